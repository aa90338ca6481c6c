"""What a predictor that does not read would score on the same targets: the best constant, and persistence.

A model that does no better has stopped reading, or reads inputs of another scale than in its training.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from outlast.data import Streams
from outlast.data.reading import groups, pieces
from outlast.evaluation.measure import Measure
from outlast.evaluation.schedule import Targets
from outlast.intervals import every_other

AT_ONCE = 2**22
"""Numbers of outputs that are written out at a time: one answer for every token of a vocabulary is large."""

Answer = Callable[[np.ndarray, np.ndarray, int], Tensor | None]
"""(streams (B,), first positions (B,), positions T) -> outputs (B, T, C)."""


def guesses(streams: Streams, targets: Targets, measure: Measure) -> dict[str, np.ndarray]:
    """Mean losses of every stream over its targets, (S,), of what needs no reading.

    - ``constant``: always the same output, the best one by the targets of one half of the streams for those of the
      other (`every_other`), and the other way round; where the measure says what that is;
    - ``persistence``: the newest target that is known, the one `horizon` positions earlier; where targets are values
      and the best constant has their form.
    """
    if measure.constant is None:
        return {}
    chosen = every_other(len(streams), streams.blocks)
    seen = [counted_targets(streams, targets, half) for half in (~chosen, chosen)]
    classes = streams.classes or (0 if seen[0].is_floating_point() else int(torch.cat(seen).max()) + 1)
    best = torch.stack([measure.constant(each, classes) for each in seen])

    def constant(rows: np.ndarray, first: np.ndarray, length: int) -> Tensor:
        return best[np.where(chosen[rows], 0, 1), None].expand(-1, length, -1)

    ahead = _horizons(streams)

    def persistence(rows: np.ndarray, first: np.ndarray, length: int) -> Tensor | None:
        if len(set(ahead)) == 1:
            return streams.window(rows, first - streams.horizon, length).targets
        known = {far: streams.window(rows, first - far, length).targets for far in set(ahead)}
        columns = [found[..., k] for k, far in enumerate(ahead) if (found := known[far]) is not None]
        return torch.stack(columns, -1)

    width = best.shape[-1]
    found = {"constant": _score(streams, targets, measure, constant, width)}
    known = streams.target_kind == "values" and best[0].shape == seen[0].shape[1:]
    if known and min(ahead) >= 1 and streams.horizon <= int(targets.first.min()):
        found["persistence"] = _score(streams, targets, measure, persistence, width)
    return {name: losses for name, losses in found.items() if np.isfinite(losses).all()}


def _horizons(streams: Streams) -> tuple[int, ...]:
    """How many positions ahead each value of a target looks; one horizon for all where nothing else is known."""
    if streams.schema is None or streams.schema.target.kind != "value":
        return (streams.horizon,)
    return tuple(far for _, far in streams.schema.target.pairs)


def counted_targets(streams: Streams, targets: Targets, half: np.ndarray) -> Tensor:
    """The targets that count of these streams, (N,) classes or (N, K) values."""
    rows, found = np.flatnonzero(half), []
    for first in targets.first[rows].T:
        batch = streams.window(rows, first, targets.size)
        assert batch.targets is not None
        found.append(batch.targets[batch.weights > 0])
    return torch.cat(found)


def _score(streams: Streams, targets: Targets, measure: Measure, answer: Answer, width: int) -> np.ndarray:
    total, count = np.zeros(len(streams)), np.zeros(len(streams))
    length = min(targets.size, max(1, AT_ONCE // width))
    rows_at_once = max(1, AT_ONCE // (width * length))
    for rows in groups(len(streams), rows_at_once):
        for block in targets.first[rows].T:
            for begin, end in pieces(targets.size, length):
                first, size = block + begin, end - begin
                batch = streams.window(rows, first, size)
                losses = measure.per_position(answer(rows, first, size), batch).double() * batch.weights
                total[rows] += losses.sum(1).numpy()
                count[rows] += batch.weights.double().sum(1).numpy()
    return total / count
