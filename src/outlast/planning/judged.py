"""Pilots, read: the best starts, what longer trainings may reach, and the training that would be asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from outlast.intervals import Interval
from outlast.interventions import Zero, typed
from outlast.planning.advice import Tried, shown_better
from outlast.planning.outlook import outlook
from outlast.planning.pilots import Piloted, Trial, best_of
from outlast.repairs.setup import Setup
from outlast.results import Evaluation, Outlook, Remedy

LENGTHS = (0.25, 0.5, 1.0, 2.0)
"""Of a repair's steps, the trainings that are looked out for."""
ENOUGH = 0.9
"""Share of what the longest would gain, that the advised one has to reach."""


@dataclass(frozen=True)
class Judged:
    """The trials that an advice is about, and the outlook of each by steps.

    Args:
        starts: the best of those that differ in their starts; None: none came to the last round.
        longer: longer windows, where they came to the last round.
        outlooks: by name, by steps.
    """

    starts: Trial | None
    plain: Trial
    longer: Trial | None
    outlooks: dict[str, list[Outlook]]
    whole: int

    def tried(self, trial: Trial) -> Tried:
        """A trial as advice asks for it, with the outlook of a whole repair."""
        each = next(each for each in self.outlooks[trial.option.name] if each.steps == self.whole)
        expected = Interval(each.loss, each.low, each.high, len(trial.losses[-1]))
        return Tried(trial.taken.oldest, trial.kept, expected)


def judged(todo: Setup, seen: Evaluation, piloted: Piloted) -> Judged:
    """Choose among the last round.

    Args:
        todo: of a repair with the steps that a repair would have.
        seen: the base on validation streams.
    """
    validation = todo.held_against(seen)
    starts = [trial for trial in piloted.last if trial.option.kind == "starts"]
    longer = [trial for trial in piloted.last if trial.option.kind == "longer_windows"]
    steps, last = todo.training.steps, [*piloted.last, piloted.plain]
    verdict = seen.verdict
    run_on = float(seen.curve.losses[-1].mean())
    most = max(run_on - float(trial.taken.oldest.mean()) for trial in last)
    at_stake = most if verdict is None else max(most, verdict.excess, verdict.tolerance)
    lengths = sorted({trial.steps[-1] for trial in last} | {max(1, round(share * steps)) for share in LENGTHS})
    picked = best_of(starts, validation) if starts else None
    ahead = {trial.option.name: outlooks_of(trial, seen, lengths, todo.training.seed, at_stake) for trial in last}
    found = Judged(picked, piloted.plain, longer[0] if longer else None, ahead, steps)
    if picked is None or verdict is None:
        return found
    # Validation takes long runs where it cannot tell; a row that the plan's table shows to be worse is not taken.
    better = [trial for trial in starts if shown_better(found.tried(trial), found.tried(picked), verdict.tolerance)]
    if not better:
        return found
    return replace(found, starts=min(better, key=lambda trial: found.tried(trial).at_last))


def outlooks_of(trial: Trial, seen: Evaluation, lengths: list[int], seed: int, at_stake: float) -> list[Outlook]:
    """What the trial would reach at the dose that validation takes of it, after each of these steps."""
    curve, found = seen.curve, []
    # Earlier pilots were looked at at the largest dose only; what the dose takes off is taken off all of them.
    off = trial.taken.oldest - trial.losses[-1]
    losses = [each + off for each in trial.losses]
    for steps in lengths:
        if steps < trial.steps[-1]:
            continue
        each = outlook(trial.steps, losses, curve.losses[-1], steps, curve.blocks, seed, at_stake)
        # Losses that were never below zero, error rates among them, are not expected to get there.
        seen_losses = (curve.losses[-1], trial.taken.oldest, *trial.losses)
        least = 0.0 if min(float(one.min()) for one in seen_losses) >= 0 else -np.inf
        found.append(Outlook(trial.option.name, trial.option.kind, steps, *(max(least, end) for end in each.triple)))
    return found


def remedy(todo: Setup, trial: Trial, outlooks: list[Outlook], rival: float) -> Remedy:
    """The training to ask for: with the fewest steps that reach most of what twice a repair's would gain.

    Args:
        outlooks: of this trial, by steps.
        rival: the mean loss without training.
    """
    most = rival - min(each.loss for each in outlooks)
    enough = [each for each in outlooks if rival - each.loss >= ENOUGH * most] or outlooks[-1:]
    option, how = trial.option, todo.repairing
    starts = option.kind == "starts"
    return Remedy(
        name=option.name,
        kind=option.kind,
        typed=typed(option.rule if starts else Zero()),
        train_context=option.train_context,
        batch_size=option.batch_size,
        steps=enough[0].steps,
        learning_rate=todo.training.learning_rate,
        read_ahead=trial.read_ahead,
        anchor=how.anchor,
        zero_share=option.rule.zero_share,
        dose=trial.taken.dose,
    )


def losses_without_training(seen: Evaluation) -> dict[str, np.ndarray]:
    """(S,) of the base at its oldest age, as it runs on and under its best resets."""
    return {"base": seen.curve.losses[-1]} | {name: np.array(each.per_stream) for name, each in seen.resets.items()}
