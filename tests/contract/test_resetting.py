"""A model under resets is a recurrent model like any other, and its states have the ages that are promised."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from contract_sizes import in_full
from outlast.errors import InputError
from outlast.families import build
from outlast.model import InputSpec, Recurrent
from outlast.modules.remedies import remedy_named, rule_of, under
from outlast.modules.resetting import ResetState, WithReset, with_reset
from outlast.state import concatenate, leaves, map_state, named_leaves, rebuild, select
from planted import Planted


def inner(family: str, seed: int) -> Recurrent:
    """A small float64 model."""
    extra = {"heads": 1} if family == "gla" else {}
    return build(family, inputs=InputSpec("features", 2), outputs=2, width=4, layers=2, seed=seed, **extra).double()


@st.composite
def cases(draw):
    """A model under resets, whether two copies run, its inputs (rows, length, 2), and a generator for more choices."""
    overlap = draw(st.booleans())
    every = 2 * draw(st.integers(1, 6)) if overlap else draw(st.integers(1, 12))
    warm_up = 0 if overlap else draw(st.integers(0, every))
    seed = draw(st.integers(0, 100))
    model = with_reset(inner(draw(st.sampled_from(["gru", "gla"])), seed), every, overlap, warm_up)
    rows, length = draw(st.integers(1, 4)), draw(st.integers(1, 30))
    inputs = torch.randn(rows, length, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return model, inputs


def written_out(model, inputs: Tensor) -> Tensor:
    """Each position read from the zero state at the restart that the rule names, one reading a position."""
    half = model.every // 2
    outputs = []
    for position in range(inputs.shape[1]):
        if not model.overlap:
            start = max(0, position // model.every * model.every - model.warm_up)
        else:
            start = 0 if position < half else (position // half - 1) * half
        piece = inputs[:, start : position + 1]
        outputs.append(model.model(piece, model.model.initial_state(len(inputs)))[0][:, -1:])
    return torch.cat(outputs, 1)


def read(model: Recurrent, inputs: Tensor, sizes: list[int], state=None):
    state = model.initial_state(len(inputs)) if state is None else state
    outputs, begin = [], 0
    for size in [*sizes, inputs.shape[1]]:
        if begin < inputs.shape[1]:
            output, state = model(inputs[:, begin : begin + size], state)
            outputs.append(output)
            begin += size
    return torch.cat(outputs, 1), state


def assert_same(one, two) -> None:
    for a, b in zip([one[0], *leaves(one[1])], [two[0], *leaves(two[1])], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


reset_cases = settings(deadline=None, max_examples=30)


@reset_cases
@given(cases())
def test_outputs_are_those_of_the_inner_model_restarted_by_the_rule(case):
    """One copy: from the last multiple of the period, or the warm-up before it. Two: from the multiple of half a period
    before the last."""
    model, inputs = case
    with torch.no_grad():
        outputs, _ = model(inputs, model.initial_state(len(inputs)))
        torch.testing.assert_close(outputs, written_out(model, inputs), rtol=1e-9, atol=1e-9)


@reset_cases
@given(cases(), st.lists(st.integers(1, 9), max_size=8))
def test_chunked_equals_whole_and_steps_equal_parallel(case, sizes):
    """Resets fall where they fall, however the stream is cut."""
    model, inputs = case
    with torch.no_grad():
        whole = model(inputs, model.initial_state(len(inputs)))
        assert_same(read(model, inputs, sizes), whole)
        assert_same(read(model, inputs, [1] * inputs.shape[1]), whole)


@reset_cases
@given(cases(), st.lists(st.integers(0, 20), min_size=4, max_size=4))
def test_rows_at_different_phases_go_on_as_each_would_alone(case, done):
    """Rows that have read different numbers of positions share a batch; each is reset at its own time."""
    model, inputs = case
    before = torch.randn(len(inputs), 20, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with torch.no_grad():
        states = []
        for row in range(len(inputs)):
            state = model.initial_state(1)
            if done[row]:
                _, state = model(before[row : row + 1, : done[row]], state)
            states.append(state)
        outputs, final = model(inputs, concatenate(states))
        for row, state in enumerate(states):
            alone = model(inputs[row : row + 1], state)
            assert_same((outputs[row : row + 1], select(final, torch.tensor([row]))), alone)
        assert final.read.tolist() == [n + inputs.shape[1] for n in done[: len(inputs)]]


@settings(deadline=None, max_examples=12)
@given(cases(), st.integers(0, 15))
def test_gradients_flow_to_the_given_state_and_to_the_inputs_and_are_right(case, done):
    """From outputs and final state, against finite differences; nothing that was given is edited in place."""
    model, inputs = case
    inputs = inputs[:1, :6]
    before = torch.randn(1, done + 1, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    with torch.no_grad():
        carried = model.initial_state(1) if done == 0 else model(before[:, :done], model.initial_state(1))[1]
    kept = [tensor.clone() for tensor in (inputs, *leaves(carried))]
    points = [t.clone().requires_grad_() for t in (inputs, *leaves(carried)[1:])]

    def run(inputs: Tensor, *tensors: Tensor):
        outputs, final = model(inputs, rebuild(carried, [carried.read, *tensors]))
        return (outputs, *leaves(final)[1:])

    assert torch.autograd.gradcheck(run, points, fast_mode=True)
    assert all(map(torch.equal, kept, (inputs, *leaves(carried))))


def test_a_given_start_is_used_and_gets_its_gradient():
    """Before the first position nothing is due: a state that an intervention hands over is where reading starts."""
    model = with_reset(inner("gru", 0), 8)
    zero = model.initial_state(2)
    start = map_state(lambda t: t if t.dtype == torch.int64 else (t + 1).requires_grad_(), zero)
    inputs = torch.zeros(2, 3, 2, dtype=torch.float64)
    outputs, _ = model(inputs, start)
    assert not torch.allclose(outputs, model(inputs, zero)[0])
    outputs.sum().backward()
    assert all(t.grad is not None and bool(t.grad.abs().sum() > 0) for t in leaves(start)[1:])


@pytest.mark.parametrize("every", [2, 6, 16])
def test_the_age_of_the_speaking_state(every):
    """One copy: 0 … P−1, over and over. Two copies: as old as the stream at first, then from P/2 to P − 1 for ever."""
    inputs = torch.ones(1, 5 * every, 1)
    ages: dict[bool | str, list[float]] = {}
    for overlap in (False, True):
        model = with_reset(Planted(lambda age: age), every, overlap)
        logits, _ = model(inputs, model.initial_state(1))
        ages[overlap] = (logits[0, :, 1] - logits[0, :, 0]).tolist()
    half = every // 2
    model = with_reset(Planted(lambda age: age), every, warm_up=half)
    logits, _ = model(inputs, model.initial_state(1))
    ages["handover"] = (logits[0, :, 1] - logits[0, :, 0]).tolist()
    assert ages["handover"] == [*range(every), *([*range(half, half + every)] * 4)]
    assert ages[False] == [*range(every)] * 5
    assert ages[True] == [*range(half), *([*range(half, every)] * 9)]


@pytest.mark.parametrize("remedy", ["reset:16", "handover:16:4", "two-copies:16"])
@in_full(["gru", "gla"])
def test_the_contract(name, ask, remedy):
    """`outlast.check` holds a model under resets to the contract of every recurrent model. It is not for saving."""
    report = ask(under(inner(name, 0).float(), remedy))
    broken = {point.name: point.detail for point in report.checks if point.passed is False}
    broken.pop("save_load_exact", None)
    assert not broken


def test_parts_are_named_in_the_order_of_the_state():
    """Reports and interventions find each copy's parts; the counter never gets noise."""
    model = with_reset(inner("gla", 0), 4, overlap=True)
    state = model.initial_state(2)
    assert isinstance(state, ResetState)
    parts = model.state_parts()
    assert [part.path for part in parts] == [
        "read",
        *(f"copies.{copy}.layers.{layer}.state" for copy in (0, 1) for layer in (0, 1)),
    ]
    assert [part.touched for part in parts] == [False, True, True, True, True]
    for part, (_, tensor) in zip(parts, named_leaves(state), strict=True):
        assert part.head_axis is None or part.head_axis < tensor.dim()


@pytest.mark.parametrize(("every", "overlap"), [(0, False), (-3, False), (5, True), (1, True), (0, True)])
def test_periods_that_make_no_sense_are_refused(every, overlap):
    """With a proposal that is accepted."""
    with pytest.raises(InputError) as caught:
        with_reset(inner("gru", 0), every, overlap)
    proposed = int(caught.value.do.rsplit("=", 1)[1])
    assert with_reset(inner("gru", 0), proposed, overlap).every == proposed


def test_a_second_copy_is_read_only_while_it_warms_up():
    """A handover costs 1 + warm-up/period, where rows are at one phase."""
    read: list[int] = []
    model = with_reset(inner("gru", 0), 16, warm_up=4)
    model.model.register_forward_hook(lambda module, given, found: read.append(given[0].shape[1]))
    inputs = torch.zeros(2, 160, 2, dtype=torch.float64)
    model(inputs, model.initial_state(2))
    assert sum(read) == 160 * (1 + 4 / 16)


@pytest.mark.parametrize(
    ("typed", "name", "cost"),
    [
        ("reset:8", "reset:8", 1),
        ("periodic:8", "reset:8", 1),
        ("two-copies:8", "two-copies:8", 2),
        ("overlapping:8", "two-copies:8", 2),
        ("handover:8:2", "handover:8:2", 1.25),
    ],
)
def test_remedies_have_names_and_costs(typed, name, cost):
    """The names that resets had first are still read."""
    remedy = remedy_named(typed)
    assert remedy is not None
    assert (remedy.name, remedy.cost) == (name, cost)
    made = under(inner("gru", 0), typed)
    assert isinstance(made, WithReset)
    assert rule_of(made) == name
    assert remedy_named("none") is None
    with pytest.raises(InputError, match="already"):
        under(made, "reset:4")
