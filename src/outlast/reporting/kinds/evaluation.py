"""How an evaluation is told."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from outlast.reporting import age_figures as ages
from outlast.reporting import captions, labels, tables, terms
from outlast.reporting import curves as draw
from outlast.reporting.age_figures import Curve
from outlast.reporting.commands import Step, command, context
from outlast.reporting.elements import Bullets, Section
from outlast.reporting.facts import Facts, about_model, flat
from outlast.reporting.kinds.first_steps import mend, without_training
from outlast.reporting.kinds.telling import Telling
from outlast.reporting.numbers import duration, estimate, estimates, integer, number, shortened, span
from outlast.reporting.recovery import recovery_elements
from outlast.reporting.terms import level, measure_name, oldest_age, unit, with_unit
from outlast.reporting.text_table import WIDTH, aligned
from outlast.results import Evaluation, Note, Verdict

TONES = {
    "broken": "bad",
    "fails": "bad",
    "declines": "warn",
    "robust": "good",
    "generalises": "good",
    "undecided": "open",
}
"""The tone of a verdict on a model that stands for itself; a refused repair never wears it."""


def badge(evaluation: Evaluation) -> tuple[str, str]:
    """Tone and word of the verdict."""
    verdict = evaluation.verdict
    if verdict is None:
        return "plain", labels.BADGES["none"]
    return TONES.get(verdict.name, "open"), labels.BADGES.get(verdict.name, verdict.name)


def headline(evaluation: Evaluation) -> str:
    verdict = evaluation.verdict
    if verdict is None:
        return (
            f"There is no verdict, because the data has no targets to judge by: only how far the outputs move apart "
            f"with the age of the state was measured, up to age {span(*evaluation.oldest.age)}."
        )
    match verdict.name:
        case "broken":
            return terms.broken(verdict.because)
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


def figures(evaluation: Evaluation) -> list[tuple[str, str]]:
    measure = measure_name(evaluation.measure)
    return [
        ("Training context", f"{integer(evaluation.train_context)} positions"),
        ("Oldest age tested", f"{span(*evaluation.oldest.age)} positions"),
        ("Tested on", terms.over(evaluation)),
        ("Measure", f"{measure}, in {unit(evaluation)}" if unit(evaluation) else measure),
    ]


def sections(evaluation: Evaluation, key: str) -> list[Section]:
    curves = [Curve(labels.BASE, evaluation)]
    if evaluation.short is None:
        first = Section(labels.AGE_CURVE, [ages.loss_curve(curves, key), ages.loss_numbers(curves)])
    else:
        first = Section(labels.EXCESS_CURVE, [ages.excess_curve(curves, key), ages.excess_numbers(curves)])
    return [
        first,
        *_because(evaluation),
        *odd(evaluation, told=evaluation.verdict.because if evaluation.verdict else []),
        *tables.untrained(evaluation),
        Section(labels.RECOVERY, recovery_elements(curves, key)),
        *by_position(curves, key),
        *tables.other_measures(evaluation),
    ]


def _because(evaluation: Evaluation) -> list[Section]:
    if evaluation.verdict is None or not evaluation.verdict.because:
        return []
    return [Section(labels.BECAUSE, [Bullets([terms.reason(each) for each in evaluation.verdict.because])])]


def odd(evaluation: Evaluation, told: Sequence[str] = ()) -> list[Section]:
    """What was odd, where what is told elsewhere does not say it already."""
    return noted([note for note in evaluation.notes if note.said not in told])


def noted(notes: Sequence[Note]) -> list[Section]:
    """Notes as a section of a page."""
    return [Section(labels.NOTES, [Bullets([terms.reason(note.said) for note in notes])] if notes else [])]


def by_position(curves: Sequence[Curve], key: str) -> list[Section]:
    sections = []
    if curves[0].evaluation.position_curve:
        sections.append(Section(labels.POSITION_CURVE, draw.position_curve(curves, key)))
    if curves[0].evaluation.state:
        sections.append(Section(labels.STATE, [draw.state_figure(curves, key)]))
    return sections


def terminal(evaluation: Evaluation) -> list[str]:
    excess = evaluation.short is not None
    measure = terms.measure_name(evaluation.measure)
    head = [
        labels.COLUMN_AGE,
        shortened(terms.in_unit(measure, terms.unit(evaluation)), 28),
        labels.COLUMN_INTERVAL,
    ]
    head += [labels.COLUMN_EXCESS, labels.COLUMN_INTERVAL] if excess else []
    bands = evaluation.age_curve
    losses = estimates([(band.loss, band.low, band.high) for band in bands], fine=True)
    over = estimates([(band.excess, band.excess_low, band.excess_high) for band in bands], signed=True)
    rows = [
        [span(*band.age), *loss, *(more if excess else ()), integer(band.n)]
        for band, loss, more in zip(bands, losses, over, strict=True)
    ]
    parts = [aligned([*head, labels.COLUMN_COUNT], rows)]
    named = [(terms.reset(name, each.every), each) for name, each in evaluation.resets.items()]
    named += [(terms.guess(name), guess) for name, guess in evaluation.guesses.items()]
    untrained = [[name, *estimate(each.loss, each.low, each.high, fine=True)] for name, each in named]
    if untrained:
        parts.append(aligned([labels.WITHOUT_TRAINING, measure, labels.COLUMN_INTERVAL], untrained))
    parts += terminal_notes(evaluation.notes)
    if note := captions.blocks_note(evaluation):
        pieces = terms.streams(evaluation.oldest.n, terms.unit_of(evaluation))
        parts.append(textwrap.fill(captions.summary_units(pieces, note), WIDTH))
    return parts


def terminal_notes(notes: Sequence[Note]) -> list[str]:
    """What was odd, for the terminal."""
    found = [textwrap.fill(terms.reason(note.said), WIDTH) for note in notes]
    return ["\n".join([f"{labels.NOTES}:", *found])] if found else []


def facts(evaluation: Evaluation) -> Facts:
    verdict, own = evaluation.verdict, terms.unit(evaluation)
    found = [
        *about_model(evaluation.model, evaluation.outlast),
        *flat(labels.FACT_DATA, evaluation.data),
        *flat(labels.FACT_SETTING, evaluation.settings),
    ]
    if blocks := terms.blocks_in(evaluation):
        found.append((labels.FACT_UNITS, captions.units(blocks, evaluation)))
    if verdict is not None:
        found.append((labels.FACT_TOLERANCE, terms.with_unit(number(verdict.tolerance, 2), own)))
    if evaluation.short is not None:
        found.append((labels.FACT_SHORT, captions.short_description(evaluation.short, own)))
    return [*found, (labels.FACT_TIME, duration(evaluation.seconds))]


def next_steps(evaluation: Evaluation) -> list[Step]:
    given, verdict = evaluation.command, evaluation.verdict
    if verdict is None:
        return [
            Step(
                "Measure on data with targets; only then can there be a verdict:",
                _evaluate(evaluation, data="DATA_WITH_TARGETS"),
            )
        ]
    if verdict.name == "broken":
        return mend(evaluation)
    if verdict.name == "fails":
        run = 20 * evaluation.train_context
        return [
            Step(
                "Repair the model. Set the expected run to how many positions one situation lasts in your data; "
                f"{integer(run)}, twenty training contexts, is a start:",
                command("repair", given, context(evaluation), f"--intervention carry:expected_run={run}"),
            ),
            Step(
                "Or let several interventions compete on equal terms:",
                command("compare", given, context(evaluation)),
            ),
            *without_training(evaluation),
        ]
    if verdict.name == "declines":
        run = 20 * evaluation.train_context
        best = terms.ages(verdict.best_age or verdict.oldest_age)
        return [
            *without_training(evaluation),
            Step(
                f"Or repair the model, so that what it gains up to {best} lasts:",
                command("repair", given, context(evaluation), f"--intervention carry:expected_run={run}"),
            ),
        ]
    if verdict.name == "undecided":
        return [
            Step(
                "Measure again on more streams; the interval shrinks with their number:"
                if verdict.streams_needed is not None
                else "Measure again on data without what is odd here:",
                _evaluate(evaluation, data="MORE_DATA"),
            ),
            *without_training(evaluation),
        ]
    further = 4 * evaluation.oldest.age[1]
    return [
        Step(
            "Nothing needs repair up to the oldest age tested. If the model will run for longer than that without a "
            "reset, test older states, on streams that are long enough:",
            _evaluate(evaluation, f"--max-length {further}", data="LONGER_DATA"),
        )
    ]


def _evaluate(evaluation: Evaluation, *options: str, data: str = "") -> str:
    return command("evaluate", evaluation.command, context(evaluation), *options, data=data)


TELLING = Telling(
    record=Evaluation,
    name="Evaluation",
    model=lambda evaluation: evaluation.model,
    badge=badge,
    headline=headline,
    figures=figures,
    sections=sections,
    terminal=terminal,
    next_steps=next_steps,
    facts=facts,
    measured_on=captions.shorter,
)
