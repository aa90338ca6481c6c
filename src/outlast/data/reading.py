"""Reading streams with a model piece by piece: rows side by side, the state carried from one piece to the next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch

from outlast.data.batch import Batch
from outlast.data.choices import CHUNK
from outlast.data.streams import Streams
from outlast.model import Recurrent, device_of
from outlast.state import State, select
from outlast.unprojected import leaving_out_head


class Piece(NamedTuple):
    """One step of reading, B rows.

    Args:
        begin, end: which positions were read, counted from where each row began.
        batch: what was read, on the model's device.
        outputs: of the model, (B, end − begin, …).
        state: after them.
    """

    begin: int
    end: int
    batch: Batch
    outputs: Any
    state: State


def read(
    model: Recurrent,
    streams: Streams,
    stream_id: np.ndarray,
    begin: np.ndarray,
    length: int | np.ndarray,
    state: State | None = None,
    *,
    chunk: int = CHUNK,
    marks: Iterable[int] = (),
    head: bool = True,
) -> Iterator[Piece]:
    """Read `length` positions of each row's stream from `begin` on, a piece at a time.

    Gradients are kept or not as the caller has it.

    Args:
        stream_id, begin: (B,).
        length: of all rows; or (B,) of each, the longest first. Rows that have ended are left out of the pieces that
            follow; the piece in which they end is read to its end for all.
        state: what the rows start from; None: the initial state.
        chunk: positions of a row that are read in one step, at most.
        marks: where a piece ends in any case, counted from where each row began.
        head: false: outputs may be `outlast.unprojected.Unprojected`, for who needs the state alone or scores them so.
    """
    device, lengths = device_of(model), np.broadcast_to(length, len(stream_id))
    state = model.initial_state(len(stream_id)) if state is None else state
    for first, last in pieces(int(lengths.max(initial=0)), chunk, marks):
        going = int((lengths > first).sum())
        if going < len(stream_id):
            state = select(state, torch.arange(going))
            stream_id, begin, lengths = stream_id[:going], begin[:going], lengths[:going]
        batch = streams.window(stream_id, begin + first, last - first).to(device)
        with leaving_out_head(None if head else model):
            outputs, state = model(batch.inputs, state)
        yield Piece(first, last, batch, outputs, state)


def pieces(length: int, chunk: int = CHUNK, marks: Iterable[int] = ()) -> Iterator[tuple[int, int]]:
    """[begin, end) of one piece after the other, of at most `chunk` positions; one ends at every mark."""
    stops, begin = sorted({*(int(mark) for mark in marks), length}), 0
    for stop in stops:
        while begin < min(stop, length):
            end = min(begin + chunk, stop, length)
            yield begin, end
            begin = end


def groups(rows: int, at_once: int) -> list[np.ndarray]:
    """Numbers of `rows` rows in groups of `at_once`, the last one smaller: what is read side by side."""
    return np.split(np.arange(rows), np.arange(at_once, rows, at_once))
