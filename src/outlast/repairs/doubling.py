"""A repair that trains as long as it pays: one steady training, looked at on validation streams at every doubling."""

from __future__ import annotations

import contextlib
import functools
import math
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from outlast.errors import Interrupted
from outlast.intervals import upper_limit
from outlast.interventions import Intervention
from outlast.parallel import on_first_rank, side_by_side
from outlast.repairs.picking import Validation, pick
from outlast.repairs.setup import Dosed, Setup, Trained
from outlast.results import Evaluation
from outlast.training.resume import reached_in

FIRST = 200
"""Steps of the first round."""
LEAST = 1.25
"""A round that the budget cuts short has at least so many times the steps of the one before, or is not begun."""
FLAT = 2
"""Doublings running that gain next to nothing, after which no more are made."""
SURE = 0.8


@dataclass(frozen=True)
class Round:
    """What validation streams said after so many steps.

    Args:
        loss: at the oldest age, at the dose that validation takes.
        gain: by how much that is lower than at half of the steps; None: nothing was measured there.
        at_most: the limit that the gain is below with a confidence of 80 %.
    """

    steps: int
    loss: float
    gain: float | None = None
    at_most: float | None = None


@dataclass(frozen=True)
class Allowed:
    """What a training may take.

    Args:
        budget: seconds that all of it may take, for the record.
        until: when training has to be over, by `time.monotonic`.
        workers: trainings side by side.
        folder: of checkpoints; None: they are kept for as long as the training takes.
        resume: go on from what lies there.
    """

    budget: float
    until: float
    workers: int
    folder: Path | None
    resume: bool


def as_long_as_it_pays(
    todo: Setup, rules: Sequence[Intervention], seen: Evaluation, validation: Validation, allowed: Allowed
) -> list[Trained]:
    """Trainings under each rule, of equal steps: those of the round that validation takes by the first of them.

    Each round goes on where the one before ended, up to twice its steps. It is over after `FLAT` doublings running
    whose gain is below half a tolerance, when the time is, or on Ctrl-C, which drops the round in progress.

    Args:
        rules: of the repair, and of its control if there is one.
        seen: the base on validation streams.
        validation: what candidates are held against.

    Raises:
        Interrupted: Ctrl-C before the first round was over.
    """
    best, rounds, losses, paid = None, list[Round](), dict[int, np.ndarray](), _Paid()
    with _kept(allowed.folder) as folder:
        folders = [folder, folder / "control"][: len(rules)]
        done = reached_in(folders[0]) if allowed.resume else 0
        steps, ended = _first(todo, folders, allowed.resume), ""
        try:
            while steps:
                began = time.monotonic()
                trained = _trained(todo, rules, folders, steps, allowed, goes_on=bool(rounds) or allowed.resume)
                paid.training += (now := time.monotonic()) - began
                paid.steps, done = paid.steps + steps - done, steps
                doses = todo.doses(trained[0], seen)
                paid.looking = time.monotonic() - now
                losses[steps] = doses[_taken(doses, validation)].candidate.oldest
                rounds.append(_round(steps, losses, validation))
                best = _better(best, (doses, trained), validation)
                steps, ended = _next(todo, rounds, validation, paid, allowed.until)
        except (Interrupted, KeyboardInterrupt):
            if best is None:
                if allowed.folder is None:
                    raise Interrupted(f"stopped before the first {steps} steps were done: nothing was kept") from None
                raise
            ended = "stopped"
    assert best is not None
    told = {"budget": allowed.budget, "rounds": [asdict(each) for each in rounds], "ended": ended}
    return [replace(each, record={**each.record, **told}) for each in best[1]]


@dataclass
class _Paid:
    """Steps that this run trained and the seconds that they took, and those of one look at validation streams."""

    steps: int = 0
    training: float = 0.0
    looking: float = 0.0


@contextlib.contextmanager
def _kept(folder: Path | None) -> Iterator[Path]:
    if folder is not None:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="outlast-") as made:
        yield Path(made)


def _first(todo: Setup, folders: Sequence[Path], resume: bool) -> int:
    """Steps of the first round: those that lie there where all trainings have as many, or the doubling after them."""

    def found() -> int:
        reached = [reached_in(folder) for folder in folders] if resume else [0]
        steps = FIRST
        while steps < max(reached):
            steps *= 2
        return reached[0] if min(reached) == max(reached) > 0 else steps

    return on_first_rank(found) if todo.together else found()


def _trained(
    todo: Setup, rules: Sequence[Intervention], folders: Sequence[Path], steps: int, allowed: Allowed, *, goes_on: bool
) -> list[Trained]:
    how = replace(todo, training=replace(todo.training, steps=steps, schedule="steady"))
    stop = threading.Event()
    work = [
        functools.partial(how.train, rule, folder, goes_on, stop) for rule, folder in zip(rules, folders, strict=True)
    ]
    return side_by_side(allowed.workers, work, stop)


def _taken(doses: Sequence[Dosed], validation: Validation) -> int:
    return pick([each.candidate for each in doses], validation)


def _better(
    best: tuple[list[Dosed], list[Trained]] | None, now: tuple[list[Dosed], list[Trained]], validation: Validation
) -> tuple[list[Dosed], list[Trained]]:
    """The round that validation takes, at any dose."""
    if best is None:
        return now
    return best if _taken([*now[0], *best[0]], validation) >= len(now[0]) else now


def _round(steps: int, losses: dict[int, np.ndarray], validation: Validation) -> Round:
    halves = [each for each in losses if 2 * each <= steps]
    if not halves:
        return Round(steps, float(losses[steps].mean()))
    gains = losses[max(halves)] - losses[steps]
    return Round(steps, float(losses[steps].mean()), float(gains.mean()), upper_limit(gains, SURE, validation.blocks))


def _next(todo: Setup, rounds: Sequence[Round], validation: Validation, paid: _Paid, until: float) -> tuple[int, str]:
    """Steps of the next round; 0, and why there is none."""

    def found() -> tuple[int, str]:
        doubled = [each.at_most for each in rounds if each.at_most is not None][-FLAT:]
        if len(doubled) == FLAT and all(each < validation.least for each in doubled):
            return 0, "no_more_gain"
        now, left = rounds[-1].steps, until - time.monotonic() - paid.looking
        # Where nothing was trained yet, how long a step takes is found on a short round.
        more = left * paid.steps / paid.training if paid.steps else math.ceil((LEAST - 1) * now)
        steps = min(2 * now, now + int(max(0, more)))
        return (steps, "") if left > 0 and steps >= LEAST * now else (0, "budget")

    return on_first_rank(found) if todo.together else found()
