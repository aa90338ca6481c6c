"""Without targets: how far outputs of states of any age are from those of a state of the training context's age."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from outlast.data import Batch, Streams
from outlast.data.reading import groups, pieces, read
from outlast.errors import InputError
from outlast.evaluation.measure import Measure, divergence
from outlast.evaluation.schedule import Targets, Windows
from outlast.model import Recurrent
from outlast.results.curve import Band
from outlast.state import at_least_float32


@torch.no_grad()
def agreement(
    model: Recurrent,
    streams: Streams,
    targets: Targets,
    band: Band,
    chunk: int,
    rows_at_once: Callable[[int], int],
) -> Measure:
    """The divergence from the outputs that states of ages in `band` give at the same targets.

    Streams of tokens: KL divergence of the softmax distributions, nats. Streams of features: mean squared difference.
    The reference outputs are held in memory: targets × outputs numbers.

    Args:
        chunk: positions of a row that are read in one step.
        rows_at_once: how many rows of so many positions are read in one step.

    Raises:
        InputError: outputs that are not one tensor (B, T, outputs).
    """
    references, blocks, block = torch.empty(0), targets.first, targets.size
    for (stream, begin, target, size), length in _alike(targets.windows(band)):
        slot = (blocks[stream] <= target[:, None]).sum(1) - 1
        at_once = rows_at_once(min(chunk, length))
        for rows in groups(len(stream), at_once):
            for first, last, _, outputs, _ in read(model, streams, stream[rows], begin[rows], length, chunk=chunk):
                outputs = _one_tensor(outputs)
                if not len(references):
                    like = at_least_float32(outputs).dtype
                    references = torch.zeros(*blocks.shape, block, outputs.shape[-1], dtype=like)
                kept = np.arange(max(first, length - size[0]), last)
                if len(kept):
                    where = (begin[rows] - blocks[stream[rows], slot[rows]])[:, None] + kept
                    found = at_least_float32(outputs[:, kept[0] - first :]).cpu()
                    references[stream[rows, None], slot[rows, None], where] = found
    kind = "kl" if streams.tokens else "squared"
    unit = "nats" if streams.tokens else "squared difference"
    apart = functools.partial(_from_references, kind, references, blocks, block)
    return Measure(f"divergence_{kind}", unit, apart, relative=True, tolerance=0.01)


def _alike(windows: Windows) -> list[tuple[Windows, int]]:
    """Windows of as many targets as each other, which are read together, and how many positions each has."""
    order, found = np.argsort(windows[3], kind="stable"), []
    for same in np.split(order, np.flatnonzero(np.diff(windows[3][order])) + 1):
        stream, begin, target, size = (column[same] for column in windows)
        found.append(((stream, begin, target, size), int(target[0] - begin[0] + size[0])))
    return found


def agreement_steps(targets: Targets, band: Band, chunk: int, rows_at_once: Callable[[int], int]) -> np.ndarray:
    """Rows and positions of every step that `agreement` takes, (N, 2)."""
    found = []
    for windows, length in _alike(targets.windows(band)):
        for group in groups(len(windows[0]), rows_at_once(min(chunk, length))):
            found += [(len(group), stop - begin) for begin, stop in pieces(length, chunk)]
    return np.array(found)


def apart_from_itself(streams: Streams) -> Callable[[Any, Batch], Tensor]:
    """As the measure of `agreement`, but from the outputs themselves: what one costs before there are references."""
    kind = "kl" if streams.tokens else "squared"
    return lambda outputs, batch: divergence(kind, _one_tensor(outputs), outputs.clone())


def _one_tensor(outputs: Any) -> Tensor:
    if isinstance(outputs, Tensor) and outputs.dim() == 3:
        return outputs
    raise InputError(
        "streams without targets, and a model whose outputs are not one tensor (B, T, outputs)",
        "targets to measure against",
        "name a --target",
    )


def _from_references(
    kind: str, references: Tensor, blocks: np.ndarray, block: int, outputs: Any, batch: Batch
) -> Tensor:
    """(B, T) divergences at targets, 0 elsewhere."""
    stream = batch.stream_id.cpu().numpy()[:, None]
    position = batch.position.cpu().numpy()[:, None] + np.arange(outputs.shape[1])
    slot = np.maximum((blocks[stream] <= position[..., None]).sum(-1) - 1, 0)
    offset = position - blocks[stream, slot]
    inside = (offset >= 0) & (offset < block)
    wanted = references[stream, slot, np.where(inside, offset, 0)].to(outputs.device)
    return divergence(kind, outputs, wanted) * torch.from_numpy(inside).to(outputs.device)
