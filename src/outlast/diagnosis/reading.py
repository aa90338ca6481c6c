"""States after a given stretch of a stream, and the loss of what follows them: the steps of every diagnosis."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from outlast.data import Batch, Streams
from outlast.data.reading import CHUNK, groups
from outlast.evaluation.measure import Measure
from outlast.evaluation.scoring import head_needed
from outlast.model import Recurrent, device_of
from outlast.state import State, concatenate, rows_of, select
from outlast.unprojected import leaving_out_head

POSITIONS_AT_ONCE = 16384
"""Rows × positions read in one step."""


@torch.no_grad()
def read_to(model: Recurrent, streams: Streams, stream_id: np.ndarray, begin: np.ndarray, end: np.ndarray) -> State:
    """The states after reading [begin, end) of each row's stream from the initial state, (B,) rows.

    Rows that begin later join those that began earlier, so that stretches of many lengths cost little more than the
    longest of them.
    """
    length = np.asarray(end) - np.asarray(begin)
    chunk = int(min(CHUNK, max(1, length.max(initial=1))))
    # Whole chunks at the end of every stretch, so that rows which end together are read together.
    order = np.lexsort((length % chunk, -(length // chunk)))
    stream_id, end, length = stream_id[order], np.asarray(end)[order], length[order]
    found = []
    at_once = max(1, POSITIONS_AT_ONCE // chunk)
    for rows in groups(len(order), at_once):
        found.append(_read_group(model, streams, stream_id[rows], end[rows], length[rows], chunk))
    back = np.empty(len(order), np.int64)
    back[order] = np.arange(len(order))
    return select(concatenate(found), torch.from_numpy(back))


def _read_group(
    model: Recurrent, streams: Streams, stream_id: np.ndarray, end: np.ndarray, length: np.ndarray, chunk: int
) -> State:
    """As `read_to`, for rows sorted by their whole chunks, the longest first."""
    device, whole, rest = device_of(model), length // chunk, length % chunk
    pieces, places = [], []
    for size in np.unique(rest):
        rows = np.flatnonzero(rest == size)
        state = model.initial_state(len(rows))
        if size:
            batch = streams.window(stream_id[rows], (end - length)[rows], int(size)).to(device)
            with leaving_out_head(model):
                _, state = model(batch.inputs, state)
        pieces.append(state)
        places.append(rows)
    back = np.empty(len(length), np.int64)
    back[np.concatenate(places)] = np.arange(len(length))
    state = select(concatenate(pieces), torch.from_numpy(back))
    for left in range(int(whole.max(initial=0)), 0, -1):
        active = int((whole >= left).sum())
        batch = streams.window(stream_id[:active], end[:active] - left * chunk, chunk).to(device)
        everyone = torch.arange(len(length))
        with leaving_out_head(model):
            _, now = model(batch.inputs, select(state, everyone[:active]))
        state = now if active == len(length) else concatenate([now, select(state, everyone[active:])])
    return state


def window(model: Recurrent, streams: Streams, stream_id: np.ndarray, position: np.ndarray, length: int) -> Batch:
    """The windows on the model's device."""
    return streams.window(stream_id, position, length).to(device_of(model))


def losses(model: Recurrent, batch: Batch, state: State, measure: Measure) -> Tensor:
    """(B,) mean loss of each row's window read from `state`, float64, with gradients where they are asked for.

    Where a prediction is not a finite number, neither is the loss.
    """
    # Without the outputs, gradients of the head's weight would be taken beside those of the state.
    whole = torch.is_grad_enabled() or head_needed((measure.per_position,))
    with leaving_out_head(None if whole else model):
        outputs, _ = model(batch.inputs, state)
    return row_means(outputs, batch, measure)


def row_means(outputs: Any, batch: Batch, measure: Measure) -> Tensor:
    """(B,) mean over the positions that count of each row; not a number where none does."""
    each = measure.per_position(outputs, batch).double()
    return (each * batch.weights).sum(1) / batch.weights.sum(1)


def in_pieces(rows: int, length: int) -> list[np.ndarray]:
    """Numbers of rows, in groups of as many as are read at once in windows of `length`."""
    return groups(rows, max(1, POSITIONS_AT_ONCE // max(length, 1)))


@torch.no_grad()
def scored(
    model: Recurrent,
    streams: Streams,
    stream_id: np.ndarray,
    position: np.ndarray,
    length: int,
    state: State,
    measure: Measure,
    worst: float,
) -> np.ndarray:
    """(B,) losses of [position, position + length) from `state`, at most `worst`, and that where not a number.

    Where no position of a window counts there is no loss: not a number.
    """
    assert rows_of(state) == len(stream_id)
    found, counted = [], []
    for rows in in_pieces(len(stream_id), length):
        batch = window(model, streams, stream_id[rows], position[rows], length)
        found.append(losses(model, batch, select(state, torch.from_numpy(rows)), measure).cpu().numpy())
        counted.append((batch.weights.sum(1) > 0).cpu().numpy())
    return bounded(np.concatenate(found), worst, np.concatenate(counted))


def bounded(losses: np.ndarray, worst: float, counted: np.ndarray) -> np.ndarray:
    """Losses within ±`worst`, that where they are no finite numbers, and not a number where nothing was counted."""
    held = np.where(np.isfinite(losses), np.clip(losses, -worst, worst), worst)
    return np.where(counted, held, np.nan)
