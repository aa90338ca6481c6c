"""The contract of a recurrent model, for every family and random sizes: the points that `outlast check` asks, and what
a family promises beyond them."""

from __future__ import annotations

import copy
import json
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from contract_sizes import sizes
from outlast import families
from outlast.contract.case import Sizes, Subject, subject_of
from outlast.contract.points import POINTS
from outlast.model import InputSpec
from outlast.results import Check
from outlast.state import State, choose_parts, leaves, map_state, named_leaves, rebuild, select

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "gated_deltanet": [
        {"key_size": 3},
        {"convolution": 0, "mlp": 1.0, "heads": 3},
        {"negative": True, "value_size": 5},
        {"step_low": 0.5, "step_high": 1.0, "key_size": 4},
    ],
    "gla": [{}, {"convolution": 3, "mlp": 1.5}, {"gate_temperature": 0.05, "gate_bias": 0.0}, {"heads": 4}],
    "hybrid": [
        {"layers": 2, "window": 5},
        {"layers": 3, "window": 40, "recurrent": "lstm", "mlp": 1.0},
        {"layers": 4, "window": 2, "recurrent": "mamba2", "recurrent_settings": {"heads": 2, "convolution": 2}},
        {"layers": 3, "window": 3, "recurrent": "mlstm", "attention_every": 3, "attention_heads": 4},
    ],
    "gru": [{}, {"residual": True, "mlp": 2.0}, {"forget_bias": 2.0}],
    "lstm": [{}, {"residual": True, "mlp": 2.0}, {"forget_bias": 2.0}],
    "mamba": [
        {},
        {"state_size": 3, "expand": 1, "convolution": 2},
        {"step_low": 0.5, "step_high": 1.0, "step_rank": 3},
    ],
    "mamba2": [{}, {"groups": 2, "expand": 1}, {"step_low": 0.5, "step_high": 1.0}, {"convolution": 2, "mlp": 1.0}],
    "mlstm": [{}, {"heads": 4, "key_share": 1.0, "mlp": 1.0}, {"input_bias": 3.0, "forget_low": -2.0, "gate_cap": 5.0}],
    "retnet": [{}, {"rotary": False, "mlp": 1.0}, {"slowest": 1.0, "key_share": 1.0, "value_share": 2.0}],
    "rglru": [{}, {"inner_share": 1.5, "mlp": 1.0, "convolution": 2}, {"slow_low": 0.01, "slow_high": 0.1}],
    "rwkv6": [{}, {"key_share": 0.5, "mlp": 1.0}, {"decay_high": 3.0, "mix_low_rank": 2, "decay_low_rank": 1}],
}


def test_every_family_is_held_to_the_contract():
    assert set(VARIANTS) == set(families.FAMILIES)


@st.composite
def subjects(draw, family) -> Subject:
    """A small model, which is asked in float64 and starts from noise wherever an intervention may put it."""
    inputs = InputSpec(draw(st.sampled_from(["tokens", "features"])), draw(st.integers(1, 6)))
    seed = draw(st.integers(0, 1000))
    chosen: dict[str, Any] = {"width": 8, "layers": draw(st.integers(1, 3)), **draw(st.sampled_from(VARIANTS[family]))}
    model = families.build(family, inputs=inputs, outputs=draw(st.integers(1, 5)), seed=seed, **chosen)
    subject = replace(subject_of(model, seed=seed), noise=0.5, in_doubt=True)
    assert subject.double
    return subject


def in_float32(s: Subject) -> Subject:
    """The same model, inputs and noise; differences count as absolute where values are small."""

    def rounded(rows: int, length: int, salt: str, dtype: torch.dtype) -> Tensor:
        inputs = s.draw(rows, length, salt, torch.float64)
        return inputs.to(dtype) if inputs.is_floating_point() else inputs

    return replace(s, model=s.original, draw=rounded, double=False, floor=1.0)


@contextmanager
def by_definition():
    """Scans are computed position by position."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OUTLAST_SCAN", "reference")
        yield


def outputs_and_state(s: Subject, sizes: Sizes, start: State) -> list[Tensor]:
    with torch.no_grad():
        return leaves(s.model(s.inputs(sizes.rows, sizes.length, "whole"), start))


def touched(s: Subject, state: State) -> list[Tensor]:
    """The tensors that interventions choose."""
    return [tensor for part, tensor in zip(s.parts, leaves(state), strict=True) if part.touched]


def lost(single: list[Tensor], exact: list[Tensor]) -> float:
    """What rounding to float32 costs the definition: a norm over few and small numbers magnifies it."""
    return max(float((a.double() - b.double()).abs().max()) for a, b in zip(single, exact, strict=True))


GRANTED = {"gradient_through_state": 1e-3, "rows_independent": 1e-12}
"""Where it is not the point's own: a norm over small numbers bends within a finite difference (the clause below is
stricter), and rows need no rounding."""


def chunked_equals_whole_in_float32(s, sizes):
    """As far as rounding lets the definition itself."""
    single, granted = in_float32(s), 1e-5
    starts = [
        (s.carried(sizes.rows), single.carried(sizes.rows)),
        (s.model.initial_state(sizes.rows), single.model.initial_state(sizes.rows)),
    ]
    for wide, narrow in starts:
        exact = outputs_and_state(s, sizes, wide)
        with by_definition():
            granted = max(granted, 5 * lost(outputs_and_state(single, sizes, narrow), exact))
    found = POINTS["chunked_equals_whole"].ask(replace(single, tolerance=granted), sizes)
    assert found.passed, found


def is_its_definition(s, sizes):
    """Whatever computes the scans, in float64 and in float32."""
    start = s.carried(sizes.rows)
    with by_definition():
        expected = outputs_and_state(s, sizes, start)
    assert_close(outputs_and_state(s, sizes, start), expected)
    single = in_float32(s)
    start = single.carried(sizes.rows)
    with by_definition():
        granted = max(2e-5, 5 * lost(outputs_and_state(single, sizes, start), expected))
    found = outputs_and_state(single, sizes, start)
    assert_close([t.double() if t.is_floating_point() else t for t in found], expected, granted)


def assert_close(got: list[Tensor], expected: list[Tensor], tolerance: float = 1e-9) -> None:
    """Each within `tolerance` of the expected one's largest entry."""
    for a, b in zip(got, expected, strict=True):
        assert a.dtype == b.dtype
        if not a.is_floating_point():
            assert torch.equal(a, b)
            continue
        assert (a - b).abs().max() <= tolerance * b.abs().max().clamp(min=1.0)


def gradients_flow_from_outputs_and_final_state(s, sizes):
    """Along a random direction of the initial state, the derivative of outputs and final state: autograd against
    central differences, across a split."""
    ((split, _),) = sizes.ways
    x, start = s.inputs(sizes.rows, sizes.length, "whole"), s.carried(sizes.rows)
    direction, weights = s.noisy(start, "direction"), None

    def loss(state):
        nonlocal weights
        first, middle = s.model(x[:, :split], state)
        second, final = s.model(x[:, split:], middle)
        flat = torch.cat([first.flatten(), second.flatten(), *(leaf.flatten() for leaf in touched(s, final))])
        if weights is None:
            weights = torch.randn(flat.shape, generator=torch.Generator().manual_seed(s.seed), dtype=flat.dtype)
        return (flat * weights).sum()

    begun = map_state(lambda leaf: leaf.clone(), start)
    inputs = [leaf.requires_grad_() for leaf in touched(s, begun)]
    gradients = torch.autograd.grad(loss(begun), inputs)
    assert all(gradient.abs().max() > 0 for gradient in gradients)
    along = sum((g * d).sum() for g, d in zip(gradients, touched(s, direction), strict=True))
    step = 1e-5

    def moved(by: float) -> State:
        ends = map_state(lambda a, b: a + by * b if a.is_floating_point() else a, start, direction)
        return choose_parts(s.parts, ends, start)

    with torch.no_grad():
        ahead, behind = loss(moved(step)), loss(moved(-step))
    assert float(along) == pytest.approx(float(ahead - behind) / (2 * step), rel=1e-5, abs=1e-6)


def rows_may_be_selected(s, sizes):
    """In another order and without some: rows that ended are dropped so."""
    x, state = s.inputs(sizes.rows, sizes.length, "whole"), s.carried(sizes.rows)
    outputs, final = s.model(x, state)
    order = torch.randperm(sizes.rows, generator=torch.Generator().manual_seed(s.seed))[: sizes.rows - 1]
    selected = [outputs[order], *leaves(select(final, order))]
    assert_close(selected, leaves(s.model(x[order], select(state, order))), 1e-12)


def every_part_matters_to_every_row(s, sizes):
    x = s.inputs(sizes.rows, sizes.length, "whole")
    # From a random state: where the memory is empty, what it was divided by changes nothing.
    state = s.carried(sizes.rows)
    plain, others = s.model(x, state)[0], leaves(s.noisy(state, "other noise"))
    for i, part in enumerate(s.parts):
        if not part.touched:
            continue
        changed = leaves(state)
        # By much: the normaliser of an mLSTM counts only above a floor.
        changed[i] = changed[i] + 1000 * others[i]
        outputs = s.model(x, rebuild(state, changed))[0]
        assert (outputs - plain).abs().amax(dim=(1, 2)).min() > 0, part.path


def rebuilt_is_bit_exact(s, sizes):
    """From a blueprint that went through JSON: fresh, and with the parameters of training."""
    model = copy.deepcopy(s.model)
    other = families.from_blueprint(json.loads(json.dumps(model.blueprint))).double()
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.01 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(s.seed)))
    other.load_state_dict(model.state_dict())
    start = s.carried(sizes.rows)
    ours, theirs = (outputs_and_state(replace(s, model=each), sizes, start) for each in (model, other))
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def shapes_and_names(s, sizes):
    start = s.model.initial_state(sizes.rows)
    outputs, final = s.model(s.inputs(sizes.rows, sizes.length, "whole"), start)
    assert outputs.shape == (sizes.rows, sizes.length, s.model.blueprint["outputs"])
    assert [part.path for part in s.parts] == [path for path, _ in named_leaves(final)]
    for part, before, after in zip(s.parts, leaves(start), leaves(final), strict=True):
        assert before.shape == after.shape
        assert before.shape[0] == sizes.rows
        assert before.dtype == after.dtype
        assert part.head_axis is None or before.dim() == 4


def holds(found: Check) -> bool:
    if found.name not in GRANTED:
        return found.passed is True
    return found.worst is not None and found.worst <= GRANTED[found.name]


CLAUSES = [
    chunked_equals_whole_in_float32,
    is_its_definition,
    gradients_flow_from_outputs_and_final_state,
    rows_may_be_selected,
    every_part_matters_to_every_row,
    shapes_and_names,
    rebuilt_is_bit_exact,
]


def keeps(family, data):
    subject, drawn = data.draw(subjects(family)), data.draw(sizes())
    found = [point.ask(subject, drawn) for point in POINTS.values()]
    assert [each for each in found if not holds(each)] == []
    assert [each for each in found if "Buffers that a call changes" in each.detail] == []


def beyond(family, data):
    """What is asked of outlast's own families only."""
    subject, drawn = data.draw(subjects(family)), data.draw(sizes())
    for clause in CLAUSES:
        clause(subject, drawn)


def in_sizes(count):
    """A test of every family, in so many sizes that are drawn anew in each run."""

    def made(test):
        drawn = settings(max_examples=count, deadline=None)(given(data=st.data())(test))
        return pytest.mark.parametrize("family", families.FAMILIES)(drawn)

    return made


@in_sizes(2)
def test_contract(family, data):
    keeps(family, data)


@pytest.mark.long
@in_sizes(25)
def test_contract_at_many_sizes(family, data):
    keeps(family, data)


@in_sizes(3)
def test_beyond_the_contract(family, data):
    beyond(family, data)


@pytest.mark.long
@in_sizes(12)
def test_beyond_the_contract_at_many_sizes(family, data):
    beyond(family, data)
