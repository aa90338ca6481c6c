"""The third stage: what a trained candidate is held against before it may read along."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from outlast.data import Split, Streams
from outlast.data.reading import read
from outlast.errors import InputError, NotAskable
from outlast.evaluation.asked import the_measures
from outlast.evaluation.measure import Measure
from outlast.folders import locked
from outlast.intervals import Interval, mean_interval
from outlast.live.ledger.candidates import Candidate, gate, move
from outlast.live.ledger.store import Ledger
from outlast.live.ledger.tables import Status
from outlast.live.retrain.checks import (
    GATES,
    PROFILE,
    REQUIRED,
    check_moves,
    collected_of,
    files_in,
    folder_of,
    model_of,
    parent_of,
    probed,
    result_of,
)
from outlast.live.retrain.collected import Collected
from outlast.live.watch.alarms import USUAL
from outlast.live.watch.make_profile import make_profile
from outlast.live.watch.profiles import Profile
from outlast.live.watch.signals import DIVERGENCE, EXCESS, LOSS, Probes
from outlast.model import Recurrent, device_of, quietly
from outlast.modules import adapt
from outlast.progress import WorkDone
from outlast.results import Repair, finite_or_null
from outlast.state import State

# What is better right after the switch from one model to another: old states, or the last inputs read anew.

_STREAMS, _AGE = 64, 32
"""Held-out streams, and training contexts that a state is old when it is handed over, at most."""


def handover(
    base: Recurrent, candidate: Recurrent, streams: Streams, measure: Measure, train_context: int
) -> dict[str, Any]:
    """Losses of a candidate over the training context after the switch, by what it starts from.

    Args:
        streams: held-out ones of the corpus.

    Returns:
        figures; ``better`` is ``handed_over``, ``encoded_anew``, or None where the streams are too short.
    """
    age = int(min(_AGE * train_context, np.median(streams.lengths) - train_context))
    stream = np.flatnonzero(streams.lengths >= age + train_context)[:_STREAMS]
    if age < 2 * train_context or len(stream) < 2:
        return {"better": None, "because": "held-out streams of less than three training contexts"}
    at = np.full(len(stream), age, np.int64)
    with torch.no_grad(), quietly(base), quietly(candidate):
        old = _read(base, streams, stream, at - age, age)
        anew = _read(candidate, streams, stream, at - train_context, train_context)
        losses = [_loss(candidate, state, streams, stream, at, measure, train_context) for state in (old, anew)]
    means = [float(each.mean()) for each in losses]
    figures: dict[str, Any] = {"better": "handed_over" if means[0] <= means[1] else "encoded_anew"}
    if not np.isfinite(losses).all():
        return {**figures, "better": "encoded_anew" if np.isfinite(losses[1]).all() else None, "age": age}
    difference = mean_interval(losses[0] - losses[1]).triple
    return {
        **figures,
        "handed_over": means[0],
        "encoded_anew": means[1],
        "difference": list(difference),
        "age": age,
        "streams": len(stream),
    }


def _read(model: Recurrent, streams: Streams, stream: np.ndarray, begin: np.ndarray, length: int) -> State:
    state = model.initial_state(len(stream))
    for piece in read(model, streams, stream, begin, length):
        state = piece.state
    return state


def _loss(
    model: Recurrent,
    state: State,
    streams: Streams,
    stream: np.ndarray,
    begin: np.ndarray,
    measure: Measure,
    length: int,
) -> np.ndarray:
    """(S,) mean loss of each stream's positions that count."""
    total, count = np.zeros(len(stream)), np.zeros(len(stream))
    for piece in read(model, streams, stream, begin, length, state):
        each = measure.per_position(piece.outputs, piece.batch).double() * piece.batch.weights
        total += each.sum(1).cpu().numpy()
        count += piece.batch.weights.sum(1).cpu().numpy()
    return total / np.maximum(count, 1e-12)


# A base and a candidate at the same moments of later incidents.
#
# Kept states were chosen for being bad, and come back to the mean by themselves: only moments at which both were
# measured tell the two apart.

_OF_PREDICTIONS = (LOSS, EXCESS, DIVERGENCE)
"""Signals that tell of predictions. What the others tell at these moments is of a state that the base made."""
LESS = 0.9
LEAST_UNITS = 4
"""Streams, or incidents where there are fewer streams, that an interval takes."""


@dataclass(frozen=True, eq=False)
class Seen:
    """Later incidents as one model meets them.

    Args:
        probes: N of them, of the old states that were handed over.
        scores: mean of each signal of its predictions, by the model's own profile; healthy ones have 1.
    """

    probes: Probes
    scores: dict[str, float]


@dataclass(frozen=True, eq=False)
class Later:
    """Both models at the N moments.

    Args:
        unit: (N,) number of the unit of intervals that each belongs to.
        of: what these are: ``stream``, or ``incident`` where there are fewer than four streams.
        targets: whether the targets arrived.
    """

    base: Seen
    candidate: Seen
    unit: np.ndarray
    of: str
    targets: bool

    def interval(self, values: np.ndarray) -> Interval | None:
        """The mean over units of the mean of each; None: there are too few units, or it is no number."""
        each = np.array([values[self.unit == unit].mean() for unit in np.unique(self.unit)])
        if len(each) < LEAST_UNITS or not np.isfinite(each).all():
            return None
        return mean_interval(each)


def later(collected: Collected, base: tuple[Recurrent, Profile], candidate: tuple[Recurrent, Profile]) -> Later:
    """Both models at the moments of the later incidents; where any have targets, at those that do."""
    numbers = collected.numbers(later=True)
    known = np.array([collected.targets[number] is not None for number in numbers])
    measured = bool(known.any()) and base[1].facts.measure is not None
    if measured:
        numbers = numbers[known]
    rows = [collected.rows[number] for number in numbers]
    streams, of = [row.stream for row in rows], "stream"
    unit = np.unique(streams, return_inverse=True)[1]
    if len(np.unique(unit)) < LEAST_UNITS:
        unit, of = np.unique([row.incident for row in rows], return_inverse=True)[1], "incident"
    seen = [_seen(*each, collected, numbers, targets=measured) for each in (base, candidate)]
    return Later(seen[0], seen[1], unit, of, measured)


def _seen(model: Recurrent, profile: Profile, collected: Collected, numbers: np.ndarray, *, targets: bool) -> Seen:
    probes = probed(profile.senses(model), collected, numbers, profile.half)
    names = [name for name in profile.signals(targets=targets).signals if name in _OF_PREDICTIONS]
    values = probes.values(names)
    scores = np.stack([profile.facts.usual[name].tail.score(values[:, j]) for j, name in enumerate(names)], 1)
    return Seen(probes, dict(zip(names, scores.mean(0).tolist(), strict=True)))


def better(found: Later) -> tuple[bool, dict[str, Any]]:
    """Whether the candidate does better than the base beyond chance."""
    if not found.targets:
        return False, {"because": "no targets arrived: a person has to look"}
    apart = found.interval(found.candidate.probes.loss - found.base.probes.loss)
    figures = {
        **_losses(found),
        "difference": None if apart is None else list(apart.triple),
        "units": len(np.unique(found.unit)),
        "unit": found.of,
        "probes": len(found.unit),
    }
    if apart is None:
        return False, {**figures, "because": f"at least {LEAST_UNITS} streams or incidents with finite losses are due"}
    return apart.high < 0, figures


def no_worse_than_reset(found: Later, profile: Profile) -> tuple[bool, dict[str, Any]]:
    """Whether a reset would not help the candidate there, as it would have helped the base.

    On average its loss is not above that of its own young copy by more than a tolerance, or half of what the base's was
    above where that is more; and not beyond chance by more than a tolerance. Few moments prove no more than that: live
    streams do, which come next.
    """
    if not found.targets:
        return False, {"because": "no targets arrived: a person has to look"}
    excess, base = (found.interval(each.probes.excess) for each in (found.candidate, found.base))
    tolerance = profile.facts.tolerance
    figures = {
        "excess": None if excess is None else list(excess.triple),
        "base_excess": None if base is None else list(base.triple),
        "tolerance": tolerance,
    }
    if excess is None or base is None:
        return False, {**figures, "because": f"at least {LEAST_UNITS} streams or incidents with finite losses are due"}
    clear = excess.mean > tolerance and excess.low > 0
    return not clear and excess.mean <= max(tolerance, base.mean / 2), figures


def gone_quiet(found: Later) -> tuple[bool, dict[str, Any]]:
    """Whether the alarm would go: at such moments no signal of the candidate's predictions is so unusual, by its own
    profile, that the sum which makes an alarm rises; or a tenth less so than the base's: the states are not its own.
    """
    figures = {"base": found.base.scores, "candidate": found.candidate.scores, "rises_above": USUAL}
    base, own = found.base.scores, found.candidate.scores
    return all(own[name] <= max(USUAL, LESS * base[name]) for name in own), figures


def _losses(found: Later) -> dict[str, Any]:
    losses = {"base": found.base.probes.loss.mean(), "candidate": found.candidate.probes.loss.mean()}
    return finite_or_null({name: float(loss) for name, loss in losses.items()})


# The third stage: what a trained candidate is held against before it may read along with the model at work.


@dataclass(frozen=True)
class _Held:
    """What gates are asked of."""

    model: Recurrent
    result: Repair
    found: Later | None
    why_not: str
    profile: Profile


def hold(
    ledger: Ledger,
    number: int,
    model: Recurrent,
    profile: Profile,
    data: Split,
    *,
    by: str,
    allow_code: bool = False,
    progress: WorkDone | None = None,
) -> Candidate:
    """Hold a trained candidate to all gates; one of another status stays as it is.

    Args:
        model: the one at work, from which it comes.
        profile: of it.
        data: the trusted corpus.
        allow_code: as for `outlast.load`.

    Raises:
        InputError: another model than the candidate comes from, or what an earlier stage wrote is not what the ledger
            says.
    """
    one, model = check_moves(ledger, number), adapt(model)
    if one.status != Status.TRAINED:
        return one
    fingerprint = parent_of(one, model)
    say = progress or (lambda what, share, loss: None)
    with locked(folder_of(ledger, number), f"outlast live retrain, candidate {number}"):
        trained = model_of(ledger, number, device_of(model), allow_code=allow_code)
        collected, _ = collected_of(ledger, number, model, fingerprint)
        result, found, why = result_of(ledger, number), None, ""
        try:
            own = _profiled(trained, profile, data, say)
            own.save(folder_of(ledger, number) / PROFILE)
            found = later(collected, (model, profile), (trained, own))
        except (InputError, NotAskable) as error:  # of a candidate that is no good
            why = str(error)
        held, failed = _Held(trained, result, found, why, profile), list[str]()
        for name, ask in _GATES.items():
            passed, figures = ask(held)
            figures = finite_or_null({**figures, "model": one.model})
            gate(ledger, number, GATES, name, passed=passed, figures=figures)
            if not passed:
                failed.append(name)
        measure = the_measures(profile.facts.measure, data.test)[0]
        figures = handover(model, trained, data.test, measure, profile.facts.train_context)
        figures = finite_or_null({**figures, "model": one.model})
        gate(ledger, number, GATES, "handover", passed=True, figures=figures)
    assert set(_GATES) == set(REQUIRED)
    if failed:
        return move(ledger, number, Status.REFUSED, by=by, because=f"not passed: {', '.join(failed)}")
    files = files_in(folder_of(ledger, number))
    return move(ledger, number, Status.GATED, by=by, because="came through all gates", files=files)


def _profiled(model: Recurrent, of: Profile, data: Split, say: WorkDone) -> Profile:
    """The candidate's own profile, made as that of the model at work was."""
    facts = of.facts
    return make_profile(
        model,
        data,
        train_context=facts.train_context,
        run_length=facts.run_length,
        streams=facts.streams,
        every=facts.every,
        measures=facts.measure,
        seed=facts.seed,
        progress=lambda share: say("profile of the candidate", share, None),
    )


def _finite(held: _Held) -> tuple[bool, dict[str, Any]]:
    """Parameters, predictions on held-out streams, and those on later incidents."""
    weights = all(bool(torch.isfinite(each).all()) for each in held.model.parameters())
    after = held.result.after
    notes = [note.said for note in after.notes if note.name == "not_finite"]
    broken = after.verdict is not None and after.verdict.name == "broken"
    probes = None if held.found is None else held.found.candidate.probes
    ahead = probes is not None and not bool(np.isinf(probes.loss).any() or np.isinf(probes.divergence).any())
    figures = {"weights": weights, "corpus": not notes and not broken, "later": ahead, "notes": notes}
    return all(figures[name] for name in ("weights", "corpus", "later")), figures


def _short(held: _Held) -> tuple[bool, dict[str, Any]]:
    found = held.result.short_context
    return found.held, {"difference": [found.difference, found.low, found.high], "margin": found.margin}


def _guards(held: _Held) -> tuple[bool, dict[str, Any]]:
    figures = {name: [each.difference, each.low, each.high] for name, each in held.result.guards.items()}
    return all(each.held for each in held.result.guards.values()), {"guards": figures}


def _corpus(held: _Held) -> tuple[bool, dict[str, Any]]:
    """At the oldest age on held-out streams no worse than the base by more than a tolerance, nor clearly worse than the
    base under its best periodic reset, or leak, by more than that."""
    rivals, verdict = held.result.benefit.rivals, held.result.before.verdict
    tolerance = held.profile.facts.tolerance if verdict is None else verdict.tolerance
    base, reset, leak = rivals["base"], rivals.get("periodic_reset"), rivals.get("leak")
    kept = base[2] <= tolerance
    behind = any(each[0] > tolerance and each[1] > 0 for each in (reset, leak) if each is not None)
    figures = {"against_base": list(base), "against_reset": reset and list(reset), "tolerance": tolerance}
    if leak is not None:
        figures["against_leak"] = list(leak)
    return kept and not behind, figures


def _of_later(ask: Callable[[_Held, Later], tuple[bool, dict[str, Any]]]) -> _Ask:
    def asked(held: _Held) -> tuple[bool, dict[str, Any]]:
        return (False, {"because": held.why_not}) if held.found is None else ask(held, held.found)

    return asked


_Ask = Callable[[_Held], tuple[bool, dict[str, Any]]]

_GATES: dict[str, _Ask] = {
    "finite": _finite,
    "short contexts": _short,
    "guards": _guards,
    "corpus": _corpus,
    "later incidents": _of_later(lambda _, found: better(found)),
    "not worse than a reset": _of_later(lambda held, found: no_worse_than_reset(found, held.profile)),
    "alarm": _of_later(lambda _, found: gone_quiet(found)),
}
