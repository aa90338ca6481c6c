"""Reading in pieces: every position once and in order, rows leave when they end, and pieces end where they are told."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from outlast.data import Streams
from outlast.data.reading import groups, pieces, read
from outlast.families import build
from outlast.model import InputSpec
from outlast.state import leaves

LENGTH = 40


@pytest.fixture(scope="module")
def model():
    return build("gru", inputs=InputSpec("tokens", 7), outputs=7, width=8, layers=1).eval()


@pytest.fixture(scope="module")
def streams():
    return Streams.from_tokens(np.random.default_rng(0).integers(0, 7, (5, LENGTH + 1)))


@given(
    length=st.integers(0, 50),
    chunk=st.integers(1, 20),
    marks=st.lists(st.integers(1, 60), max_size=4),
)
def test_pieces_cover_the_length_once_and_end_at_every_mark(length, chunk, marks):
    found = list(pieces(length, chunk, marks))
    assert [position for begin, end in found for position in range(begin, end)] == list(range(length))
    assert all(0 < end - begin <= chunk for begin, end in found)
    ends = {end for _, end in found}
    assert {mark for mark in marks if mark <= length} <= ends
    # Every other piece is as long as may be.
    assert all(end - begin == chunk or end in {*marks, length} for begin, end in found)


@given(rows=st.integers(1, 30), at_once=st.integers(1, 40))
def test_groups_hold_every_row_once_and_no_more_than_may_be(rows, at_once):
    found = groups(rows, at_once)
    assert np.concatenate(found).tolist() == list(range(rows))
    assert all(len(group) == at_once for group in found[:-1])
    assert 1 <= len(found[-1]) <= at_once


@torch.no_grad()
def test_what_is_read_in_pieces_is_what_is_read_at_once(model, streams):
    stream, begin = np.array([3, 0, 3]), np.array([2, 9, 0])
    whole = streams.window(stream, begin, 20)
    outputs, state = model(whole.inputs, model.initial_state(3))
    found = list(read(model, streams, stream, begin, 20, chunk=6, marks=[11]))
    assert [(piece.begin, piece.end) for piece in found] == [(0, 6), (6, 11), (11, 17), (17, 20)]
    assert torch.equal(torch.cat([piece.batch.inputs for piece in found], 1), whole.inputs)
    torch.testing.assert_close(torch.cat([piece.outputs for piece in found], 1), outputs)
    for one, other in zip(leaves(found[-1].state), leaves(state), strict=True):
        torch.testing.assert_close(one, other)


@torch.no_grad()
def test_reading_goes_on_from_the_state_that_it_is_given(model, streams):
    stream, begin = np.arange(5), np.zeros(5, np.int64)
    *_, first = read(model, streams, stream, begin, 16)
    *_, second = read(model, streams, stream, begin + 16, 16, first.state)
    *_, whole = read(model, streams, stream, begin, 32)
    torch.testing.assert_close(leaves(second.state), leaves(whole.state))


@torch.no_grad()
def test_rows_that_have_ended_are_left_out_of_what_follows(model, streams):
    length, stream = np.array([30, 16, 15, 4]), np.array([4, 1, 2, 0])
    found = list(read(model, streams, stream, np.zeros(4, np.int64), length, chunk=8))
    assert [len(piece.batch.stream_id) for piece in found] == [4, 3, 1, 1]
    assert [(piece.begin, piece.end) for piece in found] == [(0, 8), (8, 16), (16, 24), (24, 30)]
    for row, (stream_id, size) in enumerate(zip(stream, length, strict=True)):
        mine = torch.cat([piece.outputs[row] for piece in found if row < len(piece.outputs)])[:size]
        alone, _ = model(streams.window([stream_id], [0], int(size)).inputs, model.initial_state(1))
        torch.testing.assert_close(mine, alone[0])
    assert all(one.end == other.begin for one, other in itertools.pairwise(found))
