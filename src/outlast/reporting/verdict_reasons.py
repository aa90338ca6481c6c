"""Why a verdict is what it is, from the numbers of the evaluation."""

from __future__ import annotations

from outlast.evaluation.verdicts import decline
from outlast.reporting import oddities, terms
from outlast.reporting.language import tell
from outlast.reporting.numbers import estimate, integer, number, span
from outlast.results import Evaluation, Verdict


def reasons(evaluation: Evaluation) -> list[str]:
    """Sentences; first of all what was measured at the oldest age, of a broken model what broke it."""
    verdict, short = evaluation.verdict, evaluation.short
    if verdict is None or short is None or not verdict.because:
        return []
    odd = [oddities.told(note) for note in evaluation.notes if note.said in verdict.because]
    measured = _measured(evaluation, verdict, short.loss)
    if verdict.name == "broken":
        return [*odd, measured]
    return [measured, *odd, *_rule(evaluation, verdict, short.loss)]


def _measured(evaluation: Evaluation, verdict: Verdict, short: float) -> str:
    ages, unit = terms.ages(evaluation.oldest.age), terms.unit(evaluation)
    loss = terms.level(evaluation.oldest, unit)
    excess = estimate(verdict.excess, verdict.low, verdict.high, signed=True)
    within, tolerance = number(short), terms.tolerated(verdict.tolerance, evaluation)
    return tell(
        f"At {ages} the loss is {loss}, {terms.with_interval(excess)} against {within} within the training context; "
        f"differences up to {tolerance} are tolerated.",
        f"{ages}での損失は {loss} で、学習文脈長以内の {within} との差は {terms.with_interval(excess)} です。"
        f"{tolerance} までの差は許容されます。",
    )


def _rule(evaluation: Evaluation, verdict: Verdict, short: float) -> list[str]:
    curve, unit = evaluation.curve, terms.unit(evaluation)
    match verdict.name:
        case "fails" if verdict.from_age is not None:
            age = integer(verdict.from_age)
            return [
                tell(
                    f"The excess stays above the tolerance from age {age} on.",
                    f"超過は年齢 {age} からずっと許容を上回っています。",
                )
            ]
        case "declines" if found := decline(curve, short):
            lost, best = found
            worse = terms.with_interval(estimate(*lost.triple), unit)
            return [
                tell(
                    f"It is best at ages {span(*best)} and {worse} worse at the oldest: what it gains past the "
                    "training context it loses again.",
                    f"年齢 {span(*best)} で最も良く、最も古い年齢ではそれより {worse} 悪くなります。"
                    "学習文脈長を超えて得たものを、再び失っています。",
                )
            ]
        case "generalises":
            gain = curve.interval(curve.losses[curve.just_past()] - curve.losses[-1])
            below = terms.with_interval(estimate(*gain.triple), unit)
            return [
                tell(
                    f"The oldest band is {below} below the band just past the training context: the model uses what "
                    "lies further back.",
                    f"最も古い年齢帯は、学習文脈長のすぐ先の年齢帯を {below} 下回ります。モデルは、より前にあるものを"
                    "使っています。",
                )
            ]
        case "robust":
            return [
                tell(
                    "The upper end of the excess is within the tolerance.",
                    "超過の区間の上端が許容以内に収まっています。",
                )
            ]
        case "undecided" if verdict.streams_needed is not None:
            needed = terms.streams(verdict.streams_needed, terms.unit_of(evaluation))
            there = integer(evaluation.oldest.n)
            return [
                tell(
                    f"The interval reaches past the tolerance; about {needed} like these would decide (there are "
                    f"{there}).",
                    f"区間が許容を越えています。同じような{needed}ほどあれば決まります（今は {there}）。",
                )
            ]
    return []
