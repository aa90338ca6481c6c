"""Plain-language sentences composed from results; the rest of what a report says is in captions, advice and labels."""

from __future__ import annotations

import re
from collections import Counter

from outlast.reporting import labels
from outlast.reporting.numbers import MINUS, NO_BREAK, duration, estimate, integer, number, percent, span
from outlast.results import (
    AgeBand,
    CheckReport,
    CompareRow,
    Comparison,
    Diagnosis,
    Evaluation,
    Repair,
    Result,
    ShortContext,
    Training,
)


def measure_name(measure: str) -> str:
    """The measure as a noun: "cross-entropy"."""
    return labels.MEASURES.get(measure, measure.replace("_", " "))


def unit(evaluation: Evaluation) -> str:
    """The unit of the measure; empty where it only repeats the measure's name, as for an error rate."""
    return "" if evaluation.unit == measure_name(evaluation.measure) else evaluation.unit


def with_unit(text: str, unit: str) -> str:
    """A number and its unit, kept on one line."""
    return f"{text}{NO_BREAK}{unit}" if unit else text


def streams(count: int, unit: str) -> str:
    """ "63 streams", "1 segment of one recording"."""
    head, _, tail = unit.partition(" ")
    plural = head if count == 1 else f"{head}s"
    return " ".join(filter(None, (integer(count), plural, tail)))


def unit_of(evaluation: Evaluation) -> str:
    """What one of the independent pieces is called."""
    return str(evaluation.data.get("unit", "stream"))


def repair_label(repair: Repair) -> str:
    """The intervention as its author would write it: "carry(expected_run=1280)"."""
    return str(repair.intervention.get("label") or repair.intervention.get("name") or "the repair")


def row_label(row: CompareRow, rows: list[CompareRow]) -> str:
    """The row's intervention; its name where two rows carry the same label."""
    label = repair_label(row.repair)
    return label if sum(repair_label(other.repair) == label for other in rows) == 1 else row.name


def picked_row(comparison: Comparison) -> CompareRow | None:
    """The winner; where there is none, the row that validation picked and the test streams refused."""
    name = comparison.winner or comparison.picked
    return next((row for row in comparison.rows if row.name == name), None)


def model_name(result: Result) -> str:
    match result:
        case Repair():
            model = result.before.model
        case Comparison():
            model = result.base.model
        case _:
            model = result.model
    recipe = model.get("recipe")
    family = recipe.get("family") if isinstance(recipe, dict) else None
    names = [model.get("name"), family, model.get("class")]
    # A repair calls its models by what they are to it, which says nothing about which model it was.
    return str(next((name for name in names if name and name not in ("base", "model")), names[0] or "model"))


def eyebrow(result: Result) -> str:
    return f"{labels.KINDS[result.kind]} · {model_name(result)}"


def default_title(results: list[Result]) -> str:
    return eyebrow(results[0]) if len(results) == 1 else labels.DEFAULT_TITLE


def oldest_age(band: AgeBand) -> str:
    return f"at the oldest age tested ({span(*band.age)} positions)"


def badge(result: Result) -> tuple[str, str]:
    """Tone (bad, good, open, plain) and word of the verdict."""
    match result:
        case Evaluation():
            verdict = result.verdict
            if verdict is None:
                return "plain", labels.BADGES["none"]
            tone = {"fails": "bad", "robust": "good", "generalises": "good"}.get(verdict.name, "open")
            return tone, labels.BADGES.get(verdict.name, verdict.name)
        case Repair(accepted=accepted):
            return ("good", labels.BADGES["accepted"]) if accepted else ("bad", labels.BADGES["refused"])
        case Comparison():
            if result.winner is not None:
                return "good", labels.BADGES["accepted"]
            return "bad", labels.BADGES["no_winner"]
        case CheckReport(passed=passed):
            return ("good", labels.BADGES["kept"]) if passed else ("bad", labels.BADGES["broken"])
        case Training():
            return "plain", labels.BADGES["trained"]
        case Diagnosis():
            return badge(result.evaluation)


def headline(result: Result) -> str:
    """What was found, in one sentence that someone who does not know the method can act on."""
    match result:
        case Evaluation():
            return _evaluation_headline(result)
        case Repair():
            return _repair_headline(result, repair_label(result))
        case Comparison():
            return _comparison_headline(result)
        case CheckReport():
            return _check_headline(result)
        case Training():
            return _training_headline(result)
        case Diagnosis():
            return f"{_evaluation_headline(result.evaluation)} {_cause_sentence(result)}"


def _evaluation_headline(evaluation: Evaluation) -> str:
    verdict, measure = evaluation.verdict, measure_name(evaluation.measure)
    past = f"its training context of {integer(evaluation.train_context)} positions"
    if verdict is None:
        return (
            f"There is no verdict, because the data has no targets to judge by: only how far the outputs move apart "
            f"with the age of the state was measured, up to age {span(*evaluation.oldest.age)}."
        )
    where = oldest_age(evaluation.oldest)
    if verdict.name == "fails":
        value, interval = estimate(verdict.excess, verdict.low, verdict.high)
        start = verdict.oldest_age[0] if verdict.from_age is None else verdict.from_age
        worse = (
            f"{with_unit(value, unit(evaluation))} worse (interval {interval}) than it is within the training context"
        )
        if start >= verdict.oldest_age[0]:
            return f"This model fails past {past}: {where}, its {measure} is {worse}."
        return (
            f"This model fails past {past}: it gets worse from age {integer(start)} on, and {where} its {measure} is "
            f"{worse}."
        )
    if verdict.name == "generalises":
        past_bands = [band for band in evaluation.age_curve if band.age[0] >= evaluation.train_context]
        return (
            f"This model keeps improving past {past}: {where}, its {measure} is "
            f"{level(evaluation.oldest.loss, unit(evaluation))}, against {number(past_bands[0].loss)} just past the "
            f"training context."
        )
    value, interval = estimate(verdict.excess, verdict.low, verdict.high, signed=True)
    change = f"{with_unit(value, unit(evaluation))} (interval {interval})"
    tolerance = with_unit(number(verdict.tolerance, 2), unit(evaluation))
    if verdict.name == "robust":
        return (
            f"This model holds past {past}: {where}, its {measure} differs by {change} from what it is within the "
            f"training context, inside the tolerance of {tolerance}."
        )
    more = (
        ""
        if verdict.streams_needed is None
        else (f"; about {streams(verdict.streams_needed, unit_of(evaluation))} would decide it")
    )
    return (
        f"The measurement does not decide whether this model holds past {past}: {where}, its {measure} differs by "
        f"{change} from what it is within the training context, and the tolerance is {tolerance}{more}."
    )


def _cause_sentence(diagnosis: Diagnosis) -> str:
    if diagnosis.main is not None:
        return f"The reason: {labels.CAUSE_SENTENCES[diagnosis.main.name]}."
    verdict = diagnosis.evaluation.verdict
    if verdict is not None and verdict.name == "fails":
        return "None of the causes that were asked about explains it."
    return ""


def level(loss: float, unit: str) -> str:
    """A loss with its unit."""
    return with_unit(number(loss), unit)


def in_unit(name: str, unit: str) -> str:
    """A heading for numbers: "excess (nats)"."""
    return f"{name} ({unit})" if unit else name


def short_level(evaluation: Evaluation) -> float | None:
    """What a change in short contexts is a share of: the mean over the bands within the training context.

    None where a share makes no sense, or nothing was measured there.
    """
    within = [band.loss for band in evaluation.age_curve if band.age[1] <= evaluation.train_context]
    if evaluation.measure in labels.SHARES or not within:
        return None
    return sum(within) / len(within) or None


def short_change(short: ShortContext, base: Evaluation) -> tuple[str, str, str]:
    """How much short contexts changed, the interval, and what was allowed; in percent where that makes sense."""
    whole = short_level(base)
    if whole is None:
        return absolute_change(short, base)
    scaled = [100 * each / whole for each in (short.difference, short.low, short.high)]
    value, interval = estimate(*scaled, signed=True)
    return f"{value}{NO_BREAK}%", f"{interval}{NO_BREAK}%", percent(short.margin / whole)


def absolute_change(short: ShortContext, base: Evaluation) -> tuple[str, str, str]:
    """The same in the unit of the measure."""
    value, interval = estimate(short.difference, short.low, short.high, signed=True)
    return with_unit(value, unit(base)), interval, with_unit(number(short.margin, 2), unit(base))


def rival(name: str) -> str:
    return labels.RIVALS.get(name, name.replace("_", " "))


def _repair_headline(repair: Repair, label: str) -> str:
    before, after = repair.before, repair.after
    if not repair.accepted:
        return f"{label} is refused, because {refusal(repair)}."
    verb = "repairs it" if before.verdict is not None and before.verdict.name == "fails" else "improves this model"
    change, interval, margin = short_change(repair.short_context, before)
    highest = interval.rpartition(" to ")[2]
    return (
        f"{label} {verb}: {oldest_age(after.oldest)}, the {measure_name(after.measure)} goes from "
        f"{number(before.oldest.loss)} to {level(after.oldest.loss, unit(after))}; short contexts changed by {change}, "
        f"at most {highest} (allowed {margin})."
    )


def refusal(repair: Repair) -> str:
    """Why a repair was refused, with the figures that decided it."""
    before, after, reason = repair.before, repair.after, repair.refused_because or ""
    if reason == "no_benefit":
        value, interval = estimate(*benefit_triple(repair), signed=True)
        return (
            f"{oldest_age(after.oldest)} its {measure_name(after.measure)} is not clearly below that of "
            f"{rival(repair.benefit.against)}: {with_unit(value, unit(after))} (interval {interval})"
        )
    guard = repair.guards.get(reason.removeprefix("short_context_lost on guard "))
    if guard is not None:
        value, interval, margin = absolute_change(guard, before)
        name = reason.removeprefix("short_context_lost on guard ")
        return f"on the guard data {name} short contexts changed by {value} (interval {interval}; allowed {margin})"
    if reason == "short_context_lost":
        value, interval, margin = short_change(repair.short_context, before)
        return f"it costs too much in short contexts: {value} (interval {interval}; allowed {margin})"
    return reason.replace("_", " ") or "no reason was recorded"


def benefit_triple(repair: Repair) -> tuple[float, float, float]:
    return repair.benefit.difference, repair.benefit.low, repair.benefit.high


def _comparison_headline(comparison: Comparison) -> str:
    row = picked_row(comparison)
    if row is not None and row.name == comparison.winner:
        return _repair_headline(row.repair, row_label(row, comparison.rows))
    if not comparison.rows:
        return "No repair was accepted, because none was tried."
    if row is None:
        count = integer(len(comparison.rows))
        return (
            f"No repair was accepted, because none of the {count} interventions tried both kept short contexts and "
            f"helped at the oldest age tested."
        )
    among = f"the best of {integer(len(comparison.rows))} on validation" if len(comparison.rows) > 1 else "the only one"
    return f"No repair was accepted, because of {row_label(row, comparison.rows)}, {among}: {refusal(row.repair)}."


def lead(result: Result) -> str:
    """What qualifies the headline, below it; empty where nothing does."""
    match result:
        case Repair(accepted=True):
            return _against(result)
        case Comparison():
            row = picked_row(result)
            if row is not None and row.name == result.winner:
                among = f"It was picked among {integer(len(result.rows))} interventions on validation streams. "
                return (among if len(result.rows) > 1 else "") + _against(row.repair)
            passing = [row_label(each, result.rows) for each in result.rows if each.repair.accepted]
            if passing:
                return (
                    f"On the test streams {', '.join(passing)} would pass, but choosing by the test streams would be "
                    f"choosing by luck: confirm it on other data first."
                )
    return ""


def _against(repair: Repair) -> str:
    value, interval = estimate(*benefit_triple(repair), signed=True)
    text = (
        f"Against {rival(repair.benefit.against)}, the best one gets without training at the same cost, that is "
        f"{with_unit(value, unit(repair.after))} (interval {interval})."
    )
    if repair.benefit.against == "base":
        text = f"Against the base model that is {with_unit(value, unit(repair.after))} (interval {interval})."
    if repair.benefit.overlapping is not None:
        value, interval = estimate(*repair.benefit.overlapping, signed=True)
        text += f" Against two overlapping resets, at twice the cost, it is {value} (interval {interval})."
    return text


def typographic(text: str) -> str:
    """The text with true minus signs before numbers."""
    return re.sub(r"(?<![\w-])-(?=\d)", MINUS, text)


def reason(text: str) -> str:
    """A reason of a verdict as a sentence, with typographic minus signs."""
    text = typographic(text.strip())
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith(".") else ".")


def _check_headline(report: CheckReport) -> str:
    failed = [check for check in report.checks if check.passed is False]
    unasked = sum(check.passed is None for check in report.checks)
    kept = len(report.checks) - len(failed) - unasked
    rest = f", {unasked} could not be asked" if unasked else ""
    if not failed:
        return f"This model keeps the contract of a recurrent model: {kept} of {len(report.checks)} points hold{rest}."
    first = labels.CHECKS.get(failed[0].name)
    cost = f": {first[1]}" if first else ""
    return f"This model breaks {len(failed)} of {len(report.checks)} points of the contract{cost}."


def _training_headline(training: Training) -> str:
    if not training.losses:
        return f"The model was trained in {duration(training.seconds)}; no losses were recorded."
    (_, first), (step, last) = training.losses[0], training.losses[-1]
    return (
        f"The model was trained for {integer(step)} steps in {duration(training.seconds)}; its training loss went from "
        f"{number(first)} to {number(last)}."
    )


def key_figures(result: Result) -> list[tuple[str, str]]:
    """Three to five figures that everything else is read against: (what, how much)."""
    match result:
        case Evaluation():
            return _evaluation_figures(result)
        case Diagnosis():
            return _evaluation_figures(result.evaluation)
        case Repair():
            return [*_evaluation_figures(result.after), ("Training steps", integer(result.steps))]
        case Comparison():
            return [*_evaluation_figures(result.base), ("Interventions", integer(len(result.rows)))]
        case CheckReport():
            states = Counter(check.passed for check in result.checks)
            return [
                ("Points that hold", integer(states[True])),
                ("Points that fail", integer(states[False])),
                ("Not asked", integer(states[None])),
            ]
        case Training():
            figures = [("Time", duration(result.seconds))]
            if result.losses:
                figures = [
                    ("Steps", integer(result.losses[-1][0])),
                    ("Last training loss", number(result.losses[-1][1])),
                    *figures,
                ]
            return figures


def _evaluation_figures(evaluation: Evaluation) -> list[tuple[str, str]]:
    counts = sorted({band.n for band in evaluation.age_curve})
    tested = streams(counts[-1], unit_of(evaluation))
    if len(counts) > 1:
        tested = f"{integer(counts[0])} to {tested}"
    measure = measure_name(evaluation.measure)
    return [
        ("Training context", f"{integer(evaluation.train_context)} positions"),
        ("Oldest age tested", f"{span(*evaluation.oldest.age)} positions"),
        ("Tested on", tested),
        ("Measure", f"{measure}, in {unit(evaluation)}" if unit(evaluation) else measure),
    ]
