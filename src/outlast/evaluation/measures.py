"""The measures that can be asked for by name, and those that fit the targets. A new one is one file and one entry."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from outlast.data import Batch, Streams
from outlast.errors import InputError, unknown_name
from outlast.evaluation.measure import (
    ABSOLUTE_ERROR,
    CROSS_ENTROPY,
    ERROR_RATE,
    SQUARED_ERROR,
    Measure,
    values_and_targets,
)
from outlast.plugins import Table
from outlast.results import OwnUnit
from outlast.schema import Target
from outlast.state import at_least_float32

MEASURES: Table[Measure] = Table(
    "outlast.measures",
    {
        each.name: each
        for each in (
            CROSS_ENTROPY,
            ERROR_RATE,
            SQUARED_ERROR,
            ABSOLUTE_ERROR,
        )
    },
)


# Measures that depend on what is forecast: of one of several targets, of quantiles, and in which unit.

PINBALL = "pinball"
_OF_VALUES = (SQUARED_ERROR.name, ABSOLUTE_ERROR.name, PINBALL)
_SPREADS = {"minmax": "ranges", "robust": "quartile distances"}
"""What a target's spread is by which it was scaled, where that is no standard deviation."""
_POWERS = {SQUARED_ERROR.name: ("variances", "²"), ABSOLUTE_ERROR.name: ("standard deviations", "")}


def default_measures(streams: Streams) -> tuple[Measure, ...]:
    """What fits the targets; the first is the one that verdicts are about. Of several values, each one's own follow."""
    if streams.target_kind is None:
        return ()
    if streams.target_kind == "classes":
        return (CROSS_ENTROPY, ERROR_RATE)
    target = _values(streams)
    names = _of(target)
    several = target.names if target is not None and len(target.names) > 1 else ()
    return tuple(measure(name, streams) for name in (*names, *(f"{names[0]}:{each}" for each in several)))


def default_measure(target: Target) -> Measure:
    """The one that verdicts are about, where no streams are at hand."""
    return measure_of(_of(target)[0] if target.kind == "value" else CROSS_ENTROPY.name, target)


def _of(target: Target | None) -> tuple[str, ...]:
    """What fits values, of one or several."""
    return (PINBALL,) if target is not None and target.quantiles else (SQUARED_ERROR.name, ABSOLUTE_ERROR.name)


def measure(name: str, streams: Streams) -> Measure:
    """The measure with this name for these targets: ``squared_error``, ``squared_error:power@15``, ``pinball``, ….

    Raises:
        InputError: there is none, or it does not fit the targets.
    """
    found = measure_of(name, None if streams.schema is None else streams.schema.target)
    words = set((streams.about.get("scaled") or {}).get("target", {}).values())
    if found.name.partition(":")[0] not in _OF_VALUES or len(words) != 1 or (word := words.pop()) not in _SPREADS:
        return found
    what, _, rest = found.unit.partition(" of ")
    spreads = f"squared {_SPREADS[word]}" if what == "variances" else _SPREADS[word]
    return replace(found, unit=f"{spreads} of {rest}" if rest else spreads)


def measure_of(name: str, target: Target | None) -> Measure:
    """The measure with this name, where no streams are at hand.

    Args:
        target: what a table's targets mean; None: the streams came from something else.

    Raises:
        InputError: as `measure`.
    """
    base, colon, of = name.partition(":")
    target = target if target is not None and target.kind == "value" else None
    if base == PINBALL:
        if target is None or not target.quantiles:
            raise InputError(
                "the measure 'pinball' for targets without quantiles",
                "quantiles",
                "for example --quantiles 0.1 0.5 0.9",
            )
        found = pinball(target.quantiles)
    elif base in MEASURES:
        found = MEASURES[base]
    else:
        raise unknown_name("measure", base, [*MEASURES, PINBALL])
    if target is None or base not in _OF_VALUES:
        if colon:
            raise InputError(f"the measure {name!r}", "a target of several values after the colon", f"write {base!r}")
        return found
    found = replace(found, unit=_unit(base, target, of or None) or found.unit)
    if not colon:
        return found
    if of not in target.names:
        raise unknown_name(f"target of the measure {base!r}", of, target.names)
    return _of_one(found, name, target.names.index(of), len(target.names))


def pinball(levels: Sequence[float]) -> Measure:
    """The mean pinball loss of quantiles (Koenker and Bassett 1978); outputs are (B, T, K·Q), targets (B, T, K)."""
    return Measure(
        PINBALL,
        "pinball loss",
        functools.partial(pinball_per_position, tuple(levels)),
        relative=True,
        tolerance=0.01,
        constant=lambda targets, classes: _quantiles(targets, levels),
    )


def _quantiles(targets: Tensor, levels: Sequence[float]) -> Tensor:
    """(K·Q,) quantiles of targets (N, K), by value, then by level."""
    found = np.quantile(targets.cpu().numpy(), levels, axis=0)  # torch's refuses more than 16 million numbers
    return torch.from_numpy(np.ascontiguousarray(found.T, np.float32)).flatten().to(targets.device)


def pinball_per_position(levels: Sequence[float], outputs: Any, batch: Batch) -> Tensor:
    """Pinball loss of outputs (B, T, K·Q) at quantiles `levels` (Q), mean over all, (B, T)."""
    targets, count = batch.targets, len(levels)
    if targets is not None and isinstance(outputs, Tensor) and outputs.dim() == 2 and targets.shape[-1] * count == 1:
        outputs = outputs[..., None]
    if targets is None or not targets.is_floating_point():
        values_and_targets(outputs, batch)  # it says what is wrong
    assert targets is not None
    wanted = (*targets.shape[:-1], targets.shape[-1] * count)
    if not isinstance(outputs, Tensor) or outputs.shape != wanted:
        shape = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
        raise InputError(
            f"model outputs {shape} for {count} quantiles of targets {tuple(targets.shape)}",
            f"outputs of shape {wanted}: a number for every quantile of every target",
            "give the model's head so many outputs, or choose other --quantiles",
        )
    outputs = at_least_float32(outputs)
    missed = targets.to(outputs.dtype)[..., None] - outputs.unflatten(-1, (-1, count))
    level = torch.tensor(levels, device=missed.device, dtype=missed.dtype)
    return torch.maximum(level * missed, (level - 1) * missed).mean((-2, -1))


def _of_one(whole: Measure, name: str, number: int, values: int) -> Measure:
    """The measure of one value of K alone; outputs have one number or, of quantiles, Q for it."""

    def per_position(outputs: Any, batch: Batch) -> Tensor:
        targets = batch.targets
        if not isinstance(outputs, Tensor) or targets is None or outputs.shape[-1] % values:
            return whole.per_position(outputs, batch)  # it says what is wrong
        chosen = outputs.unflatten(-1, (values, -1))[..., number, :]
        return whole.per_position(chosen, replace(batch, targets=targets[..., number : number + 1]))

    return replace(whole, name=name, per_position=per_position)


def _values(streams: Streams) -> Target | None:
    """What the targets are, where a table said so and they are numbers."""
    known = streams.schema is not None and streams.schema.target.kind == "value"
    return streams.schema.target if known and streams.schema is not None else None


def own_unit(name: str, streams: Streams) -> OwnUnit | None:
    """How a loss by this measure is put in the numbers of the one column that it is of; None where nothing does it:
    several targets of other sizes, or logarithms."""
    target, (base, _, of) = _values(streams), name.partition(":")
    if target is None or base not in _OF_VALUES:
        return None
    chosen = [k for k, each in enumerate(target.names) if each == of or not of]
    logs = target.logs_of(1)
    scales = {(target.pairs[k][0], target.stds[k]) for k in chosen if logs[k] is None}
    if len(scales) != 1 or any(logs[k] is not None for k in chosen):
        return None
    column, scale = scales.pop()
    power = 2 if base == SQUARED_ERROR.name else 1
    if power == 1 and scale == 1:  # it is in them already
        return None
    unit = dict(zip(target.columns, target.units or (None,) * len(target.columns), strict=True))[column]
    return OwnUnit(column, unit, scale, power)


def _unit(base: str, target: Target, of: str | None) -> str | None:
    """In which unit a loss is: standard deviations and variances of scaled targets, else the column's own."""
    what, power = _POWERS.get(base, _POWERS[ABSOLUTE_ERROR.name])
    columns = target.columns if of is None else (of.partition("@")[0],)
    if any(target.logs):
        return f"{what} of the logarithm"
    if any(std != 1 for std in target.stds) or any(target.means):
        return f"{what} of {columns[0]}" if len(columns) == 1 else what
    units = {unit for column, unit in zip(target.columns, target.units, strict=False) if column in columns}
    return f"{units.pop()}{power}" if len(units) == 1 and None not in units else None
