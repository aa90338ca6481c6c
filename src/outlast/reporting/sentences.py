"""The verdict, the headline and the key figures of a result; what is said of repairs is in `repair_sentences`."""

from __future__ import annotations

from collections import Counter

from outlast.reporting import labels, terms
from outlast.reporting.numbers import duration, estimate, integer, number, span
from outlast.reporting.repair_sentences import comparison_headline, comparison_lead, repair_headline, repair_lead
from outlast.reporting.terms import level, measure_name, oldest_age, unit, with_unit
from outlast.results import CheckReport, Comparison, Diagnosis, Evaluation, Repair, Result, Training, Verdict

TONES = {"fails": "bad", "declines": "warn", "robust": "good", "generalises": "good", "undecided": "open"}
"""The tone of a verdict on a model that stands for itself; a refused repair never wears it."""


def badge(result: Result) -> tuple[str, str]:
    """Tone (bad, warn, good, open, plain) and word of the verdict."""
    match result:
        case Evaluation():
            verdict = result.verdict
            if verdict is None:
                return "plain", labels.BADGES["none"]
            return TONES.get(verdict.name, "open"), labels.BADGES.get(verdict.name, verdict.name)
        case Repair() | Comparison() if terms.untouched(result):
            return "plain", labels.BADGES["nothing_to_repair"]
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
            return repair_headline(result, terms.repair_label(result))
        case Comparison():
            return comparison_headline(result)
        case CheckReport():
            return _check_headline(result)
        case Training():
            return _training_headline(result)
        case Diagnosis():
            return f"{_evaluation_headline(result.evaluation)} {_cause_sentence(result)}".strip()


def lead(result: Result) -> str:
    """What qualifies the headline, below it; empty where nothing does."""
    match result:
        case Repair():
            return repair_lead(result)
        case Comparison():
            return comparison_lead(result)
    return ""


def _evaluation_headline(evaluation: Evaluation) -> str:
    verdict = evaluation.verdict
    if verdict is None:
        return (
            f"There is no verdict, because the data has no targets to judge by: only how far the outputs move apart "
            f"with the age of the state was measured, up to age {span(*evaluation.oldest.age)}."
        )
    match verdict.name:
        case "fails":
            return _fails(evaluation, verdict)
        case "declines":
            return _declines(evaluation, verdict)
        case "generalises":
            return _generalises(evaluation)
        case "robust":
            return _robust(evaluation, verdict)
    return _undecided(evaluation, verdict)


def _past(evaluation: Evaluation) -> str:
    return f"past its training context of {integer(evaluation.train_context)} positions"


def _fails(evaluation: Evaluation, verdict: Verdict) -> str:
    measure, where = measure_name(evaluation.measure), oldest_age(evaluation.oldest)
    value, interval = estimate(verdict.excess, verdict.low, verdict.high)
    start = verdict.oldest_age[0] if verdict.from_age is None else verdict.from_age
    worse = f"{with_unit(value, unit(evaluation))} worse (interval {interval}) than it is within the training context"
    if start >= verdict.oldest_age[0]:
        return f"This model fails {_past(evaluation)}: {where}, its {measure} is {worse}."
    return (
        f"This model fails {_past(evaluation)}: it gets worse from age {integer(start)} on, and {where} its {measure} "
        f"is {worse}."
    )


def _declines(evaluation: Evaluation, verdict: Verdict) -> str:
    best = verdict.best_age or verdict.oldest_age
    there = next((f", against {number(band.loss)} there" for band in evaluation.age_curve if band.age == best), "")
    return (
        f"This model is best at {terms.ages(best)}, {_past(evaluation)}, and worse at the oldest: "
        f"{oldest_age(evaluation.oldest)}, its {measure_name(evaluation.measure)} is "
        f"{level(evaluation.oldest.loss, unit(evaluation))}{there}."
    )


def _generalises(evaluation: Evaluation) -> str:
    past = [band for band in evaluation.age_curve if band.age[0] >= evaluation.train_context]
    return (
        f"This model keeps improving {_past(evaluation)}: {oldest_age(evaluation.oldest)}, its "
        f"{measure_name(evaluation.measure)} is {level(evaluation.oldest.loss, unit(evaluation))}, against "
        f"{number(past[0].loss)} just past the training context."
    )


def _differs(evaluation: Evaluation, verdict: Verdict) -> str:
    value, interval = estimate(verdict.excess, verdict.low, verdict.high, signed=True)
    return (
        f"{oldest_age(evaluation.oldest)}, its {measure_name(evaluation.measure)} differs by "
        f"{with_unit(value, unit(evaluation))} (interval {interval}) from what it is within the training context"
    )


def _robust(evaluation: Evaluation, verdict: Verdict) -> str:
    tolerance = with_unit(number(verdict.tolerance, 2), unit(evaluation))
    return (
        f"This model holds {_past(evaluation)}: {_differs(evaluation, verdict)}, inside the tolerance of {tolerance}."
    )


def _undecided(evaluation: Evaluation, verdict: Verdict) -> str:
    tolerance, more = with_unit(number(verdict.tolerance, 2), unit(evaluation)), ""
    if verdict.streams_needed is not None:
        more = f"; about {terms.streams(verdict.streams_needed, terms.unit_of(evaluation))} would decide it"
    return (
        f"The measurement does not decide whether this model holds {_past(evaluation)}: "
        f"{_differs(evaluation, verdict)}, and the tolerance is {tolerance}{more}."
    )


def _cause_sentence(diagnosis: Diagnosis) -> str:
    if diagnosis.main is not None:
        return f"The reason: {labels.CAUSE_SENTENCES[diagnosis.main.name]}."
    verdict = diagnosis.evaluation.verdict
    if verdict is not None and verdict.name == "fails":
        return "None of the causes that were asked about explains it."
    return ""


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
    """Three to six figures that everything else is read against: (what, how much)."""
    match result:
        case Evaluation():
            return _evaluation_figures(result)
        case Diagnosis():
            return _evaluation_figures(result.evaluation)
        case Repair():
            figures = _evaluation_figures(result.after)
            return figures if terms.untouched(result) else [*figures, *_repair_figures(result)]
        case Comparison():
            figures = _evaluation_figures(result.base)
            return [*figures, ("Interventions", integer(len(result.rows)))] if result.rows else figures
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
    measure = measure_name(evaluation.measure)
    return [
        ("Training context", f"{integer(evaluation.train_context)} positions"),
        ("Oldest age tested", f"{span(*evaluation.oldest.age)} positions"),
        ("Tested on", terms.over(evaluation)),
        ("Measure", f"{measure}, in {unit(evaluation)}" if unit(evaluation) else measure),
    ]


def _repair_figures(repair: Repair) -> list[tuple[str, str]]:
    return [("Training steps", f"{integer(repair.steps)}, at dose {repair.dose:g}")]
