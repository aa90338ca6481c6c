"""When a repair is accepted, and why it is refused otherwise. Pure functions of measurements.

A repair has to hold short contexts, to help, and to be a repair: what it gains must not be had by resetting, by plain
training, or by no longer reading.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np

from outlast.errors import InputError
from outlast.evaluation.measure import Measure
from outlast.evaluation.schedule import RESETS
from outlast.evaluation.verdicts import written_ages
from outlast.intervals import gained
from outlast.modules.remedies import Reset
from outlast.results import Benefit, Evaluation, Refusal, ShortContext, UnderRemedy
from outlast.results.curve import Band, Curve, reset_losses

BAND_MARGINS = 3
"""One band within the training context may lose this many times what their mean may."""

Triple = tuple[float, float, float]


def age_weights(curve: Curve, ages: Band | None) -> np.ndarray:
    """(bands,) shares of the ages `ages` [from, to) that lie in each band: every age alike.

    Args:
        ages: over which short contexts must hold; None: 0 up to the training context.

    Raises:
        InputError: no ages, or ages that the curve does not have.
    """
    low, high = ages or (0, curve.train_context)
    shared = np.array([max(0, min(end, high) - max(start, low)) for start, end in curve.bands], float)
    if not 0 <= low < high <= 2 * curve.train_context or shared.sum() < high - low:
        raise InputError(
            f"short ages {low} to {high}",
            f"two ages, the first below the last, the last at most {2 * curve.train_context} (two training contexts)",
            "leave them out for 0 up to the training context",
        )
    return shared / shared.sum()


def short_level(curve: Curve, ages: Band | None) -> float:
    """The mean loss at `ages`, as `age_weights` has them."""
    weights = age_weights(curve, ages)
    used = np.flatnonzero(weights)
    return float(weights[used] @ curve.losses[used].mean(1))


def short_differences(before: Curve, after: Curve, ages: Band | None) -> np.ndarray:
    """(S,) after − before: the mean loss of each stream at `ages`, as `age_weights` has them.

    The two curves must agree in the bands that `ages` touch; past them they may differ.
    """
    weights = age_weights(before, ages)
    used = np.flatnonzero(weights)
    return weights[used] @ (after.losses[used] - before.losses[used])


def short_context(
    before: Curve, after: Curve, measure: Measure, ages: Band | None = None, looks: int = 1
) -> ShortContext:
    """How short contexts changed, repaired − base, paired by stream; arguments as of `short_differences`.

    Args:
        looks: how many times these streams were asked, over which intervals are simultaneous.
    """
    used = np.flatnonzero(age_weights(before, ages))
    differences = after.losses[used] - before.losses[used]
    change = before.interval(short_differences(before, after, ages), looks)
    by_band = [before.interval(each, looks * len(used)) for each in differences]
    worst = int(np.argmax([each.high for each in by_band]))
    reference = short_level(before, ages)
    margin = measure.allowed(reference)
    return ShortContext(
        *change.triple,
        margin=margin,
        worst_band=before.bands[used[worst]],
        worst_difference=by_band[worst].mean,
        worst_high=by_band[worst].high,
        worst_margin=BAND_MARGINS * margin,
        reference=reference,
        ages=ages or (0, before.train_context),
        by_bands=before.interval(differences.mean(0), looks).triple,
        n=change.n,
    )


AT_NO_COST = {
    "base": "the base",
    "periodic_reset": "the base under its best periodic reset",
    "leak": "the base under its best leak",
}
"""Rivals that a repair has to beat, with what they are."""
CONTROLS = {
    "control": "the control",
    "control_reset": "the control under its best periodic reset",
    "control_leak": "the control under its best leak",
}
"""Rivals that plain training gives, which it has to beat too."""


def benefit(
    before: Evaluation,
    after: Evaluation,
    control: Evaluation | None = None,
    remedies: Mapping[str, UnderRemedy] | None = None,
    looks: int = 1,
) -> Benefit:
    """The repaired model at its oldest age against the base and the control, as they are and under remedies.

    Args:
        remedies: other than resets, by the name of the rival; without a control those of the base count alone.
        looks: as of `short_context`.
    """
    rivals = {"base": before.oldest.per_stream}
    rivals |= {name: each.per_stream for name, each in before.resets.items()}
    if control is not None:
        rivals["control"] = control.oldest.per_stream
        if "periodic_reset" in control.resets:
            rivals["control_reset"] = control.resets["periodic_reset"].per_stream
    for name, each in (remedies or {}).items():
        if control is not None or name not in CONTROLS:
            rivals[name] = each.per_stream
    curve = after.curve
    intervals = {
        name: curve.interval(curve.losses[-1] - np.array(losses), looks).triple for name, losses in rivals.items()
    }
    deciding = [name for name in AT_NO_COST if name in intervals]
    against = max(deciding, key=lambda name: intervals[name][0])
    tolerance = before.verdict.tolerance if before.verdict else 0.0
    return Benefit(against, *intervals[against], rivals=intervals, tolerance=tolerance)


def refusal(
    short: ShortContext,
    gain: Benefit,
    after: Evaluation,
    measure: Measure,
    guards: Mapping[str, ShortContext] | None = None,
    remedies: Mapping[str, UnderRemedy] | None = None,
    on_top: UnderRemedy | None = None,
) -> Refusal | None:
    """Why a repair is refused, the first fault by its name and the others beside it; None: it is accepted.

    Args:
        after: the repaired model on test streams, its resets at periods from validation.
        remedies: what stands behind the rivals of the gain, which reasons name.
        on_top: the repaired model under a leak that validation likes.
    """
    found = [
        *_broken(after),
        *_short_context_lost(short, measure, guards or {}),
        *_no_benefit(gain, measure, remedies or {}),
        *_still_fails(after, measure),
        *_stopped_reading(after, measure),
        *_remedy_suffices(after, measure, on_top),
        *_plain_training_suffices(gain, measure, remedies or {}),
        *_declines(after),
        *_undecided(short, measure, guards or {}),
    ]
    return _first_of(found)


def remedy_refusal(
    short: ShortContext,
    gain: Benefit,
    after: Evaluation,
    measure: Measure,
    guards: Mapping[str, ShortContext],
    *,
    ages: bool,
    looks: int = 1,
) -> Refusal | None:
    """Why a remedy is refused, as `refusal`; None: it is accepted.

    Args:
        ages: as of `own_refusal`.
        looks: as of `short_context`.
    """
    found = [
        *_broken(after),
        *_short_context_lost(short, measure, guards),
        *_no_benefit(gain, measure, {}),
        *_own_verdict(after, measure, ages),
        *_stopped_reading(after, measure, looks),
        *_undecided(short, measure, guards),
    ]
    return _first_of(found)


def own_refusal(after: Evaluation, measure: Measure, *, ages: bool) -> Refusal | None:
    """Why a remedy is not picked for what it gives by itself on validation streams; None: it may be.

    By the rules that test streams judge by, but that it reads need not be clear of streams that may be few: its mean
    alone is asked.

    Args:
        ages: whether its state ages as the model's does, so that its own verdict is asked: `fails` and `declines`
            refuse. Under a reset part of the targets are always read by a young state, and the verdict says only that.
    """
    return _first_of([*_broken(after), *_own_verdict(after, measure, ages), *_stopped_reading(after, measure, looks=0)])


def _own_verdict(after: Evaluation, measure: Measure, ages: bool) -> list[Refusal]:
    asked = ages and after.verdict is not None and after.verdict.name in ("fails", "declines")
    return _still_fails(after, measure) + _declines(after) if asked else []


def _first_of(found: list[Refusal]) -> Refusal | None:
    """The first fault by its name and the others beside it."""
    if not found:
        return None
    first, *others = found
    also = list(dict.fromkeys(each.name for each in others if each.name != first.name))
    return Refusal(first.name, first.because, also, first.remedy, first.guard)


def nothing_to_repair(validation: Evaluation) -> Refusal | None:
    """The refusal where validation says that the model does not fail; None: there may be something to repair."""
    verdict = validation.verdict
    if verdict is None or not verdict.holds:
        return None
    return Refusal("nothing_to_repair", [f"on validation streams the model is {verdict.name}", *verdict.because])


def not_shown_to_fail(validation: Evaluation, test: Evaluation) -> Refusal | None:
    """The refusal where nothing shows that a training of minutes could gain anything: validation streams do not decide
    whether the model fails, age costs it no more than the tolerance on them, and test streams do not say that it fails.

    None: it may be trained, or `nothing_to_repair` refuses it.
    """
    verdict = validation.verdict
    if verdict is None or not verdict.sound or verdict.holds:
        return None
    if test.verdict is not None and test.verdict.name in ("fails", "declines"):
        return None
    return Refusal("not_shown_to_fail", ["on validation streams the model is undecided", *verdict.because])


def base_broken(*evaluations: Evaluation) -> Refusal | None:
    """The refusal of a base that is broken on any of its streams: no other starts give it predictions."""
    for each in evaluations:
        if each.verdict is not None and each.verdict.name == "broken":
            return Refusal("base_broken", each.verdict.because)
    return None


def _broken(after: Evaluation) -> list[Refusal]:
    """One prediction that is not a finite number is one too many: those who deploy it cannot score it as a bad one."""
    verdict = after.verdict
    because = [note.said for note in after.notes if note.name == "not_finite"]
    if verdict is not None and verdict.name == "broken":
        because = verdict.because
    return [Refusal("broken", because)] if because else []


def _short_context_lost(short: ShortContext, measure: Measure, guards: Mapping[str, ShortContext]) -> list[Refusal]:
    return [
        Refusal("short_context_lost", _changed(change, measure, guard), guard=guard)
        for guard, change in {None: short, **guards}.items()
        if change.lost
    ]


def _undecided(short: ShortContext, measure: Measure, guards: Mapping[str, ShortContext]) -> list[Refusal]:
    """Short contexts that are as good as they should be, on streams too few to show it: that is no loss."""
    found = []
    for guard, change in {None: short, **guards}.items():
        if not change.held and not change.lost:
            more = math.ceil((change.times - 1) * change.n)
            would = f"about {more:,} more streams like these {change.n:,} would decide"
            found.append(Refusal("undecided", [*_changed(change, measure, guard), would], guard=guard))
    return found


def _changed(change: ShortContext, measure: Measure, guard: str | None) -> list[str]:
    where, because = "" if guard is None else f" on guard {guard}", []
    if change.high > change.margin:
        because.append(
            f"ages {written_ages(change.ages)}{where} changed by "
            f"{_ends(change.difference, change.low, change.high)} {measure.unit}; "
            f"up to {change.margin:.4g} is allowed{_too_wide(change.difference, change.margin)}"
        )
    if change.worst_high > change.worst_margin:
        because.append(
            f"ages {written_ages(change.worst_band)}{where} changed by {change.worst_difference:+.3g} (up to "
            f"{change.worst_high:+.3g}) {measure.unit}; one band may lose up to {change.worst_margin:.4g}"
            f"{_too_wide(change.worst_difference, change.worst_margin)}"
        )
    return because


def _too_wide(difference: float, allowed: float) -> str:
    """Of a change that is refused for its interval alone: too few streams are no loss, and it is not called one."""
    on_average = ", and it is no more than is allowed on average: the interval is too wide to tell"
    return "" if difference > allowed else on_average


def _no_benefit(gain: Benefit, measure: Measure, remedies: Mapping[str, UnderRemedy]) -> list[Refusal]:
    because = [
        f"against {AT_NO_COST[name]}{_called(name, remedies)} the oldest age is {said}"
        for name, said in _not_gained(gain, AT_NO_COST, measure)
    ]
    return [Refusal("no_benefit", because)] if because else []


def _not_gained(gain: Benefit, names: Iterable[str], measure: Measure) -> list[tuple[str, str]]:
    """The rivals over which nothing was gained, with the figures."""
    found = []
    for name in names:
        if name in gain.rivals and not gained(gain.rivals[name], gain.tolerance):
            clear = gain.rivals[name][2] < 0
            why = f"no more than half a tolerance ({gain.tolerance / 2:.3g})" if clear else "not clearly better"
            found.append((name, f"{_ends(*gain.rivals[name])} {measure.unit}: {why}"))
    return found


def _still_fails(after: Evaluation, measure: Measure) -> list[Refusal]:
    verdict = after.verdict
    if verdict is None or after.short is None:
        return []
    # One age that was named beforehand: its interval is for that age alone, as those of the benefit are.
    excess = after.curve.interval(after.curve.losses[-1] - np.array(after.short.per_stream))
    if verdict.name != "fails" and excess.high <= 2 * verdict.tolerance:
        return []
    allowed = (
        "its own verdict is fails"
        if verdict.name == "fails"
        else (f"up to {2 * verdict.tolerance:.4f} (two tolerances) is allowed")
    )
    because = f"the repaired model's own excess at its oldest age is {_ends(*excess.triple)} {measure.unit}; {allowed}"
    return [Refusal("still_fails", [because])]


def _declines(after: Evaluation) -> list[Refusal]:
    """Whoever runs on past the best age loses again what was gained, and more with every doubling that nobody read."""
    verdict = after.verdict
    if verdict is None or verdict.name != "declines":
        return []
    because = f"its own verdict is declines: {verdict.because[-1]}"
    return [Refusal("declines", [because])]


def _stopped_reading(after: Evaluation, measure: Measure, looks: int = 1) -> list[Refusal]:
    """Whether it is not clearly better than a guess; with no looks at test streams, on average."""
    curve = after.curve
    rivals = {"its own answer before it has read anything": curve.losses[0]} if curve.bands[0] == (0, 1) else {}
    names = {"constant": "the best constant", "persistence": "repeating the newest known value"}
    rivals |= {names[name]: np.array(guess.per_stream) for name, guess in after.guesses.items()}
    because = []
    for named, losses in rivals.items():
        apart = curve.interval(curve.losses[-1] - losses, max(1, looks))
        if (apart.high if looks else apart.mean) >= 0:
            because.append(
                f"at its oldest age it is {_ends(*apart.triple)} {measure.unit} against {named}: not clearly better"
            )
    return [Refusal("stopped_reading", because)] if because else []


def _remedy_suffices(after: Evaluation, measure: Measure, on_top: UnderRemedy | None) -> list[Refusal]:
    """Whether the repaired model is clearly better under its best reset or leak, the better one of which is named."""
    reset = after.resets.get("periodic_reset")
    found = {} if reset is None else {Reset("reset", reset.every).name: reset.per_stream}
    found |= {} if on_top is None else {on_top.name: on_top.per_stream}
    if not found or after.short is None:
        return []
    tolerance = after.verdict.tolerance if after.verdict else measure.tolerated(after.short.loss)
    losses = after.curve.losses[-1]
    apart = {name: after.curve.interval(losses - np.array(each)) for name, each in found.items()}
    clear = {name: each for name, each in apart.items() if each.mean > tolerance and each.low > 0}
    if not clear:
        return []
    remedy = max(clear, key=lambda name: clear[name].mean)
    because = (
        f"running on, the repaired model is {_ends(*clear[remedy].triple)} {measure.unit} worse than under {remedy}, "
        "which takes no training"
    )
    return [Refusal("remedy_suffices", [because], remedy=remedy)]


def _called(name: str, remedies: Mapping[str, UnderRemedy]) -> str:
    """The remedy of a rival as it is typed, in brackets."""
    return f" ({remedies[name].name})" if name in remedies else ""


def _plain_training_suffices(gain: Benefit, measure: Measure, remedies: Mapping[str, UnderRemedy]) -> list[Refusal]:
    because = [
        f"against {CONTROLS[name]}{_called(name, remedies)} (equal training from zero states) it is {said}"
        for name, said in _not_gained(gain, CONTROLS, measure)
    ]
    return [Refusal("plain_training_suffices", because)] if because else []


def best_reset(curve: Curve) -> int:
    """The reset period, at most 16 training contexts, with the lowest mean loss."""
    every, losses = reset_losses(curve)
    allowed = [i for i, period in enumerate(every) if period <= RESETS * curve.train_context]
    return every[min(allowed, key=lambda i: losses[i].mean())]


def _ends(mean: float, low: float, high: float) -> str:
    return f"{mean:+.3g} ({low:+.3g} to {high:+.3g})"
