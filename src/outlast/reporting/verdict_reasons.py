"""Why a verdict is what it is, from the numbers of the evaluation."""

from __future__ import annotations

from outlast.reporting import oddities, terms
from outlast.reporting.language import tell
from outlast.reporting.numbers import estimate, integer, number, span
from outlast.results import Evaluation, Verdict
from outlast.results.curve import decline


def reasons(evaluation: Evaluation) -> list[str]:
    """Sentences; first of all what was measured at the oldest age, of a broken or misread one why it is that."""
    verdict, short = evaluation.verdict, evaluation.short
    if verdict is None or short is None or not verdict.because:
        return []
    odd = [oddities.told(note) for note in evaluation.notes if note.said in verdict.because]
    measured = _measured(evaluation, verdict, short.loss)
    if verdict.name in ("broken", "misread"):
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
        case "undecided":
            return [*_needed(evaluation, verdict), bound(evaluation, verdict), *knob(evaluation, verdict)]
    return []


def _needed(evaluation: Evaluation, verdict: Verdict) -> list[str]:
    if verdict.streams_needed is None:
        return []
    needed = terms.streams(verdict.streams_needed, terms.unit_of(evaluation))
    there = integer(evaluation.oldest.n)
    return [
        tell(
            f"The interval reaches past the tolerance; about {needed} like these would decide (there are {there}).",
            f"区間が許容を越えています。同じような{needed}ほどあれば決まります（今は {there}）。",
        )
    ]


def bound(evaluation: Evaluation, verdict: Verdict) -> str:
    """What may be relied on where nothing is decided."""
    most, ages = terms.at_most(verdict, evaluation), terms.ages(evaluation.oldest.age)
    time = terms.time_of(evaluation, evaluation.oldest.age[1])
    return tell(
        f"Whatever age does, at {ages}{f' (up to {time})' if time else ''} it costs at most {most}.",
        f"年齢の影響がどうであれ、{ages}{f'（最長 {time}）' if time else ''}での悪化は最大でも {most} です。",
    )


def knob(evaluation: Evaluation, verdict: Verdict) -> list[str]:
    """What would decide it soonest, as it was computed."""
    found = verdict.knob
    if found is None:
        return []
    value = integer(round(found.value))
    match found.name:
        case "all_streams":
            count = integer(evaluation.oldest.n)
            return [
                tell(
                    f"What would decide it soonest: all {value} streams, of which {count} were read.",
                    f"最も早く決めるには：{value} 系列すべてを読みます（今は {count}）。",
                )
            ]
        case "scored":
            return [
                tell(
                    f"What may decide it soonest: scoring all {value} targets of each stream (--scored {value}).",
                    f"最も早く決められそうなのは、各系列の目標 {value} 個すべての採点です（--scored {value}）。",
                )
            ]
        case "up_to":
            time, up_to = terms.time_of(evaluation, round(found.value)), f"--up-to {round(found.value)}"
            in_time = tell(f" ({time})", f"（{time}）") if time else ""
            return [
                tell(
                    f"What would decide it soonest: asking about ages up to {value}{in_time}, which these data are "
                    f"expected to decide ({up_to}).",
                    f"最も早く決めるには、年齢 {value}{in_time} までを調べます。このデータで決まる見込みです"
                    f"（{up_to}）。",
                )
            ]
    times = number(found.value, 2)
    return [
        tell(
            f"What would decide it at this age is more data: about {times} times as many.",
            f"この年齢で決めるには、より多くのデータが要ります（約 {times} 倍）。",
        )
    ]
