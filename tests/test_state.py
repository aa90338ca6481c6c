"""Operations on states: for every structure a model may choose, and without touching what they are given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from outlast.state import (
    StatePart,
    choose_parts,
    concatenate,
    default_parts,
    detach,
    flatten,
    interpolate,
    leaves,
    map_state,
    named_leaves,
    rebuild,
    rows_of,
    select,
    statistics,
    to,
    where,
)


class Cell(NamedTuple):
    hidden: Any
    memory: Any


def _tensor(rows: int, shape: tuple[int, ...], dtype: torch.dtype, seed: int) -> Tensor:
    values = 10 * torch.randn((rows, *shape), generator=torch.Generator().manual_seed(seed))
    return values.to(dtype)


def states(rows: int) -> st.SearchStrategy[Any]:
    """States of any structure that is allowed, of `rows` rows, with at least one tensor."""
    tensors = st.builds(
        _tensor,
        st.just(rows),
        st.lists(st.integers(1, 3), max_size=3).map(tuple),
        st.sampled_from([torch.float32, torch.float64, torch.int64]),
        st.integers(0, 10**6),
    )
    return st.recursive(
        tensors,
        lambda inner: st.one_of(
            st.lists(inner, min_size=1, max_size=3),
            st.lists(inner, min_size=1, max_size=3).map(tuple),
            st.dictionaries(st.sampled_from("dcba"), inner, min_size=1, max_size=3),
            st.builds(Cell, inner, st.one_of(st.none(), inner)),
        ),
        max_leaves=6,
    )


def like(state: Any, seed: int) -> Any:
    """Other numbers in the same structure."""
    return map_state(lambda t: _tensor(t.shape[0], tuple(t.shape[1:]), t.dtype, seed), state)


def skeleton(state: Any) -> Any:
    """The structure without its tensors."""
    if isinstance(state, Tensor):
        return state.shape[1:], state.dtype
    if isinstance(state, dict):
        return dict, {key: skeleton(state[key]) for key in state}
    return (type(state), [skeleton(child) for child in state]) if isinstance(state, tuple | list) else state


def equal(one: Any, two: Any) -> bool:
    return skeleton(one) == skeleton(two) and all(map(torch.equal, leaves(one), leaves(two)))


def untouched(operation: Callable[..., Any], *given: Any) -> Any:
    """What the operation returns, having asserted that it edited nothing it was given."""
    before = [[tensor.clone() for tensor in leaves(state)] for state in given]
    result = operation(*given)
    for state, kept in zip(given, before, strict=True):
        assert all(map(torch.equal, leaves(state), kept))
    return result


any_state = st.integers(1, 5).flatmap(states)


@settings(deadline=None, max_examples=50)
@given(any_state)
def test_rebuild_undoes_leaves(state):
    """The very tensors come back in their places, and the structure with its types."""
    again = rebuild(state, leaves(state))
    assert skeleton(again) == skeleton(state)
    assert all(a is b for a, b in zip(leaves(again), leaves(state), strict=True))


@settings(deadline=None, max_examples=50)
@given(any_state)
def test_rebuild_refuses_another_number_of_tensors(state):
    """A part that is silently dropped or left over would be another state."""
    for wrong in (leaves(state)[1:], [*leaves(state), torch.zeros(1)]):
        with pytest.raises(ValueError, match="tensors for a state of"):
            rebuild(state, wrong)


@settings(deadline=None, max_examples=50)
@given(any_state)
def test_every_tensor_has_a_path_of_its_own(state):
    """Results name parts of the state by path; two parts must not share one."""
    paths = [path for path, _ in named_leaves(state)]
    assert len(set(paths)) == len(paths)
    parts = default_parts(state)
    assert [part.path for part in parts] == paths
    assert [part.kind == "recurrent" for part in parts] == [t.is_floating_point() for t in leaves(state)]


def test_what_is_no_state_is_refused_with_its_place():
    with pytest.raises(TypeError, match=r"float at layers\.1\.memory"):
        leaves((torch.zeros(1), Cell(torch.zeros(1), 0.5)))


@settings(deadline=None, max_examples=50)
@given(any_state, st.data())
def test_select_takes_rows_of_every_tensor(state, data):
    """By number (repeated, in any order) and by mask."""
    rows = rows_of(state)
    index = torch.tensor(data.draw(st.lists(st.integers(0, rows - 1), min_size=1, max_size=6)))
    chosen = untouched(lambda s: select(s, index), state)
    assert skeleton(chosen) == skeleton(state)
    assert all(
        torch.equal(a, torch.stack([b[i] for i in index])) for a, b in zip(leaves(chosen), leaves(state), strict=True)
    )
    mask = torch.tensor(data.draw(st.lists(st.booleans(), min_size=rows, max_size=rows)))
    assert equal(select(state, mask), select(state, mask.nonzero()[:, 0]))


@settings(deadline=None, max_examples=50)
@given(any_state, st.integers(0, 99), st.data())
def test_where_takes_each_row_whole_from_one_of_two(state, seed, data):
    """A reset of some rows leaves the others bit for bit as they were."""
    other, rows = like(state, seed), rows_of(state)
    mask = data.draw(st.lists(st.booleans(), min_size=rows, max_size=rows))
    mixed = untouched(lambda a, b: where(torch.tensor(mask), a, b), state, other)
    assert skeleton(mixed) == skeleton(state)
    for row, chosen in enumerate(mask):
        assert equal(select(mixed, torch.tensor([row])), select(state if chosen else other, torch.tensor([row])))


@settings(deadline=None, max_examples=50)
@given(any_state, st.integers(0, 99))
def test_concatenate_and_select_undo_each_other(state, seed):
    """Rows that are put together come apart again."""
    rows, other = rows_of(state), like(state, seed)
    joined = untouched(lambda a, b: concatenate([a, b]), state, other)
    assert rows_of(joined) == 2 * rows
    assert equal(select(joined, torch.arange(rows)), state)
    assert equal(select(joined, torch.arange(rows, 2 * rows)), other)


@settings(deadline=None, max_examples=50)
@given(any_state, st.integers(0, 99), st.floats(0, 1))
def test_interpolate_ends_where_it_should(state, seed, weight):
    """Exact at both ends, a straight line between them, and integers from the nearer end."""
    other = like(state, seed)
    assert equal(interpolate(state, other, 0.0), state)
    assert equal(interpolate(state, other, 1.0), other)
    between = untouched(lambda a, b: interpolate(a, b, weight), state, other)
    for a, b, c in zip(leaves(state), leaves(other), leaves(between), strict=True):
        if a.is_floating_point():
            torch.testing.assert_close(c, (1 - weight) * a + weight * b, rtol=1e-5, atol=1e-4)
        else:
            assert torch.equal(c, b if weight >= 0.5 else a)


@settings(deadline=None, max_examples=50)
@given(any_state)
def test_detach_cuts_the_graph_and_keeps_the_values(state):
    """A carried state must not keep the graph of the window before."""
    tracked = map_state(lambda t: t.clone().requires_grad_() * 1 if t.is_floating_point() else t, state)
    cut = detach(tracked)
    assert equal(cut, state)
    assert not any(tensor.requires_grad for tensor in leaves(cut))
    assert equal(to(state, "cpu"), state)


@settings(deadline=None, max_examples=50)
@given(any_state)
def test_flatten_gives_a_matrix_a_part(state):
    """(B, D) by path, also for parts of one number a row."""
    parts, rows = default_parts(state), rows_of(state)
    flat = untouched(lambda s: flatten(s, parts), state)
    assert list(flat) == [part.path for part in parts]
    for matrix, tensor in zip(flat.values(), leaves(state), strict=True):
        assert matrix.shape == (rows, tensor[0].numel())
        assert torch.equal(matrix.flatten(), tensor.flatten())


@settings(deadline=None, max_examples=50)
@given(any_state, st.integers(0, 99), st.data())
def test_choose_parts_touches_only_what_interventions_may(state, seed, data):
    """Noise goes into recurrent and convolution parts; attention windows and counters keep their start."""
    kinds = ["recurrent", "convolution", "attention", "counter"]
    parts = [StatePart(path, data.draw(st.sampled_from(kinds))) for path, _ in named_leaves(state)]
    other = like(state, seed)
    chosen = untouched(lambda a, b: choose_parts(parts, a, b), other, state)
    for part, got, touched, kept in zip(parts, leaves(chosen), leaves(other), leaves(state), strict=True):
        assert got is (touched if part.kind in ("recurrent", "convolution") else kept)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=4),
    st.lists(st.integers(1, 3), min_size=1, max_size=3),
    st.data(),
)
def test_statistics_of_batches_merge_to_the_statistics_of_the_whole(batches, shape, data):
    """By head and over all heads; also far from zero, where sums of squares would cancel."""
    head_axis = data.draw(st.sampled_from([None, *range(1, len(shape) + 1)]))
    offset = data.draw(st.sampled_from([0.0, 1e6]))
    part = StatePart("layers.0", head_axis=head_axis)
    pieces = [offset + _tensor(rows, tuple(shape), torch.float64, i) for i, rows in enumerate(batches)]
    running = None
    for piece in pieces:
        running = statistics((piece,), [part], running)
    assert running is not None
    whole = torch.cat(pieces).numpy()
    axes = tuple(axis for axis in range(whole.ndim) if axis != head_axis)
    np.testing.assert_allclose(running[0].mean, whole.mean(axes, keepdims=True), rtol=1e-9)
    np.testing.assert_allclose(running[0].std, whole.std(axes, keepdims=True), rtol=1e-6, atol=1e-8)
    heads = 1 if head_axis is None else whole.shape[head_axis]
    assert running[0].count == whole.size / heads


def test_statistics_take_integers_and_keep_parts_apart():
    """Counters have statistics too, and each part its own."""
    state = (torch.tensor([1, 2, 3]), torch.ones(3, 2))
    count, ones = statistics(state, default_parts(state))
    assert float(count.mean) == 2.0
    assert float(count.std) == pytest.approx((2 / 3) ** 0.5)
    assert float(ones.std) == 0.0
