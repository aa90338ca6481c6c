"""The contract of a recurrent model, for every family and random sizes."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from outlast import families
from outlast.families.shell import Shell
from outlast.model import InputSpec
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
def cases(draw, family):
    """A small float64 model, and sizes: rows, length, a place to split, a seed."""
    inputs = InputSpec(draw(st.sampled_from(["tokens", "features"])), draw(st.integers(1, 6)))
    seed = draw(st.integers(0, 1000))
    chosen: dict[str, Any] = {"width": 8, "layers": draw(st.integers(1, 3)), **draw(st.sampled_from(VARIANTS[family]))}
    model = families.build(family, inputs=inputs, outputs=draw(st.integers(1, 5)), seed=seed, **chosen).double()
    length = draw(st.one_of(st.integers(2, 8), st.integers(30, 75)))
    return model, draw(st.integers(2, 4)), length, draw(st.integers(1, length - 1)), seed


def some_state(model: Shell, rows: int, seed: int, scale: float = 0.5):
    """A random state: noise where an intervention may put it, and elsewhere what three positions leave behind."""
    draw = torch.Generator().manual_seed(seed)

    def noise(part: Tensor) -> Tensor:
        return scale * torch.randn(part.shape, generator=draw, dtype=torch.float64).to(part.dtype)

    read = model(some_inputs(model, rows, 3, 0), model.initial_state(rows))[1]
    parts = [
        noise(t) if part.touched else t.detach() for part, t in zip(model.state_parts(), leaves(read), strict=True)
    ]
    return rebuild(read, parts)


def touched(model: Shell, state: State) -> list[Tensor]:
    """The tensors that interventions choose."""
    return [tensor for part, tensor in zip(model.state_parts(), leaves(state), strict=True) if part.touched]


def converted(state: State, dtype: torch.dtype) -> State:
    return map_state(lambda tensor: tensor.to(dtype) if tensor.is_floating_point() else tensor, state)


def some_inputs(model: Shell, rows: int, length: int, seed: int) -> Tensor:
    assert model.input_spec is not None
    dtype = next(model.parameters()).dtype
    return model.input_spec.random(rows, length, torch.Generator().manual_seed(seed), dtype)


def assert_close(got, expected, tolerance=1e-9):
    """Outputs and state, each within `tolerance` of the expected one's largest entry."""
    for a, b in zip([got[0], *leaves(got[1])], [expected[0], *leaves(expected[1])], strict=True):
        assert a.dtype == b.dtype
        if not a.is_floating_point():
            assert torch.equal(a, b)
            continue
        assert (a - b).abs().max() <= tolerance * b.abs().max().clamp(min=1.0)


def lost(single, exact) -> float:
    """What rounding to float32 costs the definition: a norm over few and small numbers magnifies it."""
    return max(
        float((a.detach().double() - b.detach().double()).abs().max())
        for a, b in zip(leaves(single), leaves(exact), strict=True)
    )


def chunked_equals_whole(model, rows, length, split, seed):
    x, state = some_inputs(model, rows, length, seed), some_state(model, rows, seed)
    first, middle = model(x[:, :split], state)
    second, final = model(x[:, split:], middle)
    exact = model(x, state)
    assert_close((torch.cat([first, second], 1), final), exact)
    model = model.float()
    x, state = (x.float() if x.is_floating_point() else x), converted(state, torch.float32)
    first, middle = model(x[:, :split], state)
    second, final = model(x[:, split:], middle)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OUTLAST_SCAN", "reference")
        granted = max(1e-5, 5 * lost(model(x, state), exact))
    assert_close((torch.cat([first, second], 1), final), model(x, state), granted)


def step_equals_parallel(model, rows, length, split, seed):
    x, start = some_inputs(model, rows, length, seed), some_state(model, rows, seed)
    whole, steps, state = model(x, start), [], start
    for t in range(length):
        output, state = model(x[:, t : t + 1], state)
        steps.append(output)
    assert_close((torch.cat(steps, 1), state), whole)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OUTLAST_SCAN", "reference")
        expected = model(x, start)
    assert_close(whole, expected)
    x32, start32 = (x.float() if x.is_floating_point() else x), converted(start, torch.float32)
    model = model.float()
    single = model(x32, start32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OUTLAST_SCAN", "reference")
        exact = model(x32, start32)
    granted = max(2e-5, 5 * lost(exact, expected))
    assert_close((single[0].double(), converted(single[1], torch.float64)), expected, granted)


def gradients_through_state(model, rows, length, split, seed):
    """Along a random direction of the initial state, the derivative of outputs and final state: autograd against
    central differences, across a split."""
    x, start = some_inputs(model, rows, length, seed), some_state(model, rows, seed)
    direction, weights = some_state(model, rows, seed + 1), None

    def loss(state):
        nonlocal weights
        first, middle = model(x[:, :split], state)
        second, final = model(x[:, split:], middle)
        flat = torch.cat([first.flatten(), second.flatten(), *(leaf.flatten() for leaf in touched(model, final))])
        if weights is None:
            weights = torch.randn(flat.shape, generator=torch.Generator().manual_seed(seed), dtype=flat.dtype)
        return (flat * weights).sum()

    begun = map_state(lambda leaf: leaf.clone(), start)
    inputs = [leaf.requires_grad_() for leaf in touched(model, begun)]
    gradients = torch.autograd.grad(loss(begun), inputs)
    assert all(gradient.abs().max() > 0 for gradient in gradients)
    along = sum((g * d).sum() for g, d in zip(gradients, touched(model, direction), strict=True))
    step = 1e-5

    def moved(by: float) -> State:
        ends = map_state(lambda a, b: a + by * b if a.is_floating_point() else a, start, direction)
        return choose_parts(model.state_parts(), ends, start)

    with torch.no_grad():
        ahead, behind = loss(moved(step)), loss(moved(-step))
    assert float(along) == pytest.approx(float(ahead - behind) / (2 * step), rel=1e-5, abs=1e-6)


def rows_are_independent(model, rows, length, split, seed):
    x, state = some_inputs(model, rows, length, seed), some_state(model, rows, seed)
    outputs, final = model(x, state)
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(seed))[: rows - 1]
    assert_close((outputs[order], select(final, order)), model(x[order], select(state, order)), 1e-12)


def state_matters(model, rows, length, split, seed):
    x = some_inputs(model, rows, length, seed)
    # From a random state: where the memory is empty, what it was divided by changes nothing.
    state = some_state(model, rows, seed)
    plain, others = model(x, state)[0], leaves(some_state(model, rows, seed + 1))
    for i, part in enumerate(model.state_parts()):
        if not part.touched:
            continue
        changed = leaves(state)
        # By much: the normaliser of an mLSTM counts only above a floor.
        changed[i] = changed[i] + 1000 * others[i]
        outputs = model(x, rebuild(state, changed))[0]
        assert (outputs - plain).abs().amax(dim=(1, 2)).min() > 0, part.path


def nothing_is_edited_in_place(model, rows, length, split, seed):
    x, state = some_inputs(model, rows, length, seed), some_state(model, rows, seed)
    held = [x, *leaves(state), *model.parameters(), *model.buffers()]
    before, versions = [tensor.clone() for tensor in held], [tensor._version for tensor in held]
    for grad in (True, False):
        with torch.set_grad_enabled(grad):
            _, final = model(x, state)
            copies = [leaf.clone() for leaf in leaves(final)]
            model(x, final)
            assert all(torch.equal(a, b) for a, b in zip(leaves(final), copies, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(held, before, strict=True))
    assert versions == [tensor._version for tensor in held]


def rebuilt_is_bit_exact(model, rows, length, split, seed):
    other = families.from_recipe(json.loads(json.dumps(model.recipe))).double()
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.01 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed)))
    other.load_state_dict(model.state_dict())
    x, state = some_inputs(model, rows, length, seed), some_state(model, rows, seed)
    ours, theirs = model(x, state), other(x, state)
    assert torch.equal(ours[0], theirs[0])
    assert all(torch.equal(a, b) for a, b in zip(leaves(ours[1]), leaves(theirs[1]), strict=True))


def shapes_and_names(model, rows, length, split, seed):
    start = model.initial_state(rows)
    outputs, final = model(some_inputs(model, rows, length, seed), start)
    assert outputs.shape == (rows, length, model.recipe["outputs"])
    assert [part.path for part in model.state_parts()] == [path for path, _ in named_leaves(final)]
    for part, before, after in zip(model.state_parts(), leaves(start), leaves(final), strict=True):
        assert before.shape == after.shape
        assert before.shape[0] == rows
        assert before.dtype == after.dtype
        assert part.head_axis is None or before.dim() == 4


CLAUSES = [
    chunked_equals_whole,
    step_equals_parallel,
    gradients_through_state,
    rows_are_independent,
    state_matters,
    nothing_is_edited_in_place,
    rebuilt_is_bit_exact,
    shapes_and_names,
]


@pytest.mark.parametrize("clause", CLAUSES, ids=lambda clause: clause.__name__)
@pytest.mark.parametrize("family", families.FAMILIES)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_contract(family, clause, data):
    clause(*data.draw(cases(family)))
