"""Is what outlast measured what a plain loop of the model's author measures on the same rows?

Which rows were read is taken from outlast; that they are rows of the table, one after the other, is checked. Numbers,
scaling, horizon, the reading itself and the error are the author's own.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from by_hand import Scaling, Series, Stranger, scaled, scaling_of, series_of, training_part
from torch import nn

import outlast
from outlast.cli.inputs import measuring, split_and_model
from outlast.cli.options import VERBS
from outlast.cli.parsing import parse
from outlast.evaluation.preparing import Prepared, prepared


@dataclass(frozen=True)
class Held:
    """What was found.

    Args:
        consecutive: whether every stream's rows stand one below the other in the table.
        error, by_hand: mean squared error at the oldest age, in the square of the target's unit (of its logarithm,
            where that is what the model forecasts).
        apart: the largest difference of a stream's figure, relative to their mean.
    """

    streams: int
    positions: int
    consecutive: bool
    error: float
    by_hand: float
    apart: float


Whole = Callable[[Any, torch.Tensor, torch.Tensor], torch.Tensor]
"""Predictions (B, T) of rows (B, T, F) that are read from the zero state."""


def _zeros(x: torch.Tensor) -> torch.Tensor:
    return torch.zeros(1, len(x), 32)


WHOLE: dict[str, Whole] = {
    "last_step": lambda m, x, ids: m.fc(m.lstm((x - m.mean) / m.std)[0])[..., 0] * m.std[1] + m.mean[1],
    "sequence": lambda m, x, ids: m(x)[0][..., 0],
    "stateful": lambda m, x, ids: m.linear(m.lstm(x)[0])[..., 0],
    "with_ids": lambda m, x, ids: m(x, ids),
    "cells": lambda m, x, ids: m(x)[..., 0],
    "time_first": lambda m, x, ids: m(x.transpose(0, 1), m.init_hidden(len(x)))[0][..., 0].transpose(0, 1),
    "exported": lambda m, x, ids: m(x, _zeros(x), _zeros(x))[0][..., 0],
    "lightning_module": lambda m, x, ids: m.regressor(m.lstm(x)[0])[..., 0],
}


@torch.no_grad()
def held(stranger: Stranger, model: nn.Module, command: str, folder: Path) -> Held:
    """Hold the answer of a command against the author's own loop.

    Args:
        model: as its author loads it.
        command: the one that was answered, with --out.
        folder: where it was typed.
    """
    ready, result = _read(command, folder)
    rows = series_of(stranger, folder)
    scaling = scaling_of(stranger, training_part(rows))
    curve, spread = result.age_curve[-1], float(ready.streams.schema.target.stds[0])  # pyright: ignore
    mine, consecutive = [], True
    for number in range(len(ready.streams)):
        place = _place(ready, number, rows)
        consecutive &= place is not None
        mine.append(np.nan if place is None else _error(stranger, model, scaling, *place, ready, number))
    theirs = np.array(curve.per_stream) * spread**2
    apart = float(np.nanmax(np.abs(np.array(mine) - theirs)) / np.nanmean(theirs))
    return Held(len(mine), ready.length, consecutive, float(theirs.mean()), float(np.nanmean(mine)), apart)


def _read(command: str, folder: Path) -> tuple[Prepared, Any]:
    """The streams and targets that the command measured, and its answer."""
    words = shlex.split(command)
    options = parse(VERBS[words[1]], words[2:])
    parts, model, _ = split_and_model(options)
    found = outlast.load_result(folder / options.out)
    settings = measuring(options, options.seed)
    return prepared(model, parts, options.train_context, options.measure, settings), getattr(found, "evaluation", found)


def _place(ready: Prepared, number: int, rows: list[Series]) -> tuple[Series, int] | None:
    """The machine that a stream is of and the row that it begins with; None: its rows are none of the table's."""
    streams, start = ready.streams, int(ready.streams.starts[number])
    sizes = [i for i, column in enumerate(streams.schema.inputs) if not column.categories]  # pyright: ignore
    read = streams.schema.unscaled(streams.inputs[start : start + ready.length])[:, sizes]  # pyright: ignore
    for series in rows:
        known = series.inputs
        near = np.isclose(known[: len(known) - len(read) + 1], read[0], rtol=1e-4, atol=1e-3).all(1)
        for first in np.flatnonzero(near):
            if np.allclose(known[first : first + len(read)], read, rtol=1e-4, atol=1e-3):
                return series, int(first)
    return None


def _error(
    stranger: Stranger, model: nn.Module, scaling: Scaling, series: Series, first: int, ready: Prepared, number: int
) -> float:
    """The author's mean squared error over a stream's targets."""
    x, _ = scaled(series, scaling)
    ids = torch.tensor([series.number])
    said = WHOLE[stranger.name](model, x[None, first : first + ready.length], ids)[0].double().numpy()
    said = said * scaling.target_divisor + scaling.target_offset
    said = np.exp(said) if scaling.log else said
    kind = (ready.streams.schema.target.logs or (None,))[0]  # pyright: ignore
    taken = {"log": np.log, "log1p": np.log1p}.get(kind or "", lambda values: values)
    blocks = ready.targets.first[number]
    at = (blocks[:, None] + np.arange(ready.targets.size)).ravel()
    at = at[(at < ready.length) & (first + at + stranger.horizon < len(series.target))]
    return float(((taken(said[at]) - taken(series.target[first + at + stranger.horizon])) ** 2).mean())
