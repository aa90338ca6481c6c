"""Differences between losses on the same streams, pair by pair, with intervals over the units of the evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from outlast.evaluation.schedule import RESETS
from outlast.intervals import gained, mean_interval
from outlast.results import Evaluation, Reset
from outlast.results.curve import overlap_losses, reset_losses

Triple = tuple[float, float, float]
Band = tuple[int, int]


def paired(evaluation: Evaluation, values: Sequence[float] | np.ndarray, comparisons: int = 1) -> Triple:
    """The mean of one value a stream of the evaluation, with its interval."""
    blocks = np.array(evaluation.blocks) if evaluation.blocks else None
    return mean_interval(np.asarray(values), comparisons, blocks).triple


def beside(evaluation: Evaluation, losses: Sequence[float]) -> Triple:
    """The model at its oldest age minus other losses of the same streams."""
    return paired(evaluation, np.array(evaluation.oldest.per_stream) - np.array(losses))


def helps(evaluation: Evaluation, losses: Sequence[float]) -> bool:
    """Whether the model as it is gains something at its oldest age from a remedy that gives streams these losses.

    Where the verdict is undecided, the whole interval of the gain has to lie past half a tolerance. None helps a model
    that is under a remedy already, nor one that beats no guess where it is at its best.
    """
    if "remedy" in evaluation.model or unbeaten(evaluation):
        return False
    verdict = evaluation.verdict
    tolerance = verdict.tolerance if verdict else 0.0
    most = -tolerance / 2 if verdict and verdict.name == "undecided" else 0.0
    change = paired(evaluation, np.array(losses) - np.array(evaluation.oldest.per_stream))
    return gained(change, tolerance) and change[2] < most


def helpful_resets(evaluation: Evaluation) -> dict[str, Reset]:
    """The resets that help, the best last."""
    better = {name: each for name, each in evaluation.resets.items() if helps(evaluation, each.per_stream)}
    return dict(sorted(better.items(), key=lambda each: -each[1].loss))


def tunable(evaluation: Evaluation) -> dict[str, Reset]:
    """The same of the periods that tuning tries, from one training context on: what was measured, or where its period
    is another, the best of them, read off the ages."""
    least, found = evaluation.train_context, dict[str, Reset]()
    for name, read_off in (("periodic_reset", reset_losses), ("overlapping_reset", overlap_losses)):
        measured = evaluation.resets.get(name)
        if measured is None or least <= measured.every <= RESETS * least:
            found |= {} if measured is None else {name: measured}
            continue
        curve = evaluation.curve
        every, losses = read_off(curve)
        if rows := [i for i, each in enumerate(every) if least <= each <= RESETS * least]:
            per_stream, _ = curve.best(losses[rows])
            best = every[min(rows, key=lambda row: losses[row].mean())]
            found[name] = Reset(best, *curve.interval(per_stream).triple, per_stream=per_stream.tolist())
    return helpful_resets(replace(evaluation, resets=found))


def unread(evaluation: Evaluation) -> list[float] | None:
    """Losses of the model's own answer before it has read anything, stream by stream, where they were measured."""
    first = evaluation.age_curve[0]
    return first.per_stream if first.age == (0, 1) and len(evaluation.age_curve) > 1 else None


def without_reading(evaluation: Evaluation) -> dict[str, list[float]]:
    """Losses of what needs no reading, stream by stream: the guesses, and the model's own first answer."""
    found = {name: guess.per_stream for name, guess in evaluation.guesses.items()}
    own = unread(evaluation)
    return found if own is None else {"unread": own, **found}


def unbeaten(evaluation: Evaluation) -> tuple[str, Triple] | None:
    """The guess that the model does worst against even at its best age within the training context, minus that guess.

    None: there it is clearly better than every guess, or nothing of the kind was measured.
    """
    if evaluation.short is None:
        return None
    best = np.array(evaluation.short.per_stream)
    apart = {name: paired(evaluation, best - np.array(each.per_stream)) for name, each in evaluation.guesses.items()}
    close = [(name, each) for name, each in apart.items() if each[2] >= 0]
    return max(close, key=lambda each: each[1][0], default=None)


class Changed(NamedTuple):
    """How much another model differs from the base at ages [age[0], age[1]), on the same targets."""

    age: Band
    mean: float
    low: float
    high: float


def by_age(base: Evaluation, other: Evaluation) -> list[Changed]:
    """`other` minus `base` at every age that both were measured at.

    Intervals hold for all of them together; at the oldest age for that age alone, as wherever else that difference is
    told.
    """
    known = {band.age: np.array(band.per_stream) for band in base.age_curve}
    pairs = [
        (band.age, np.array(band.per_stream) - known[band.age])
        for band in other.age_curve
        if band.age in known and len(band.per_stream) == len(known[band.age]) > 1
    ]
    oldest = base.oldest.age
    return [Changed(age, *paired(base, differences, 1 if age == oldest else len(pairs))) for age, differences in pairs]


def excesses(evaluation: Evaluation) -> dict[Band, Triple]:
    """The excess at every age; at the oldest one as the verdict has it (of older results, for that age alone)."""
    found: dict[Band, Triple] = {
        band.age: (band.excess, band.excess_low, band.excess_high) for band in evaluation.age_curve
    }
    if (verdict := evaluation.verdict) is not None:
        found[evaluation.oldest.age] = (verdict.excess, verdict.low, verdict.high)
    return found


def losses(evaluation: Evaluation) -> dict[Band, Triple]:
    """The loss at every age."""
    return {band.age: (band.loss, band.low, band.high) for band in evaluation.age_curve}
