"""The page of a diagnosis: what is shown, and in which order."""

from __future__ import annotations

from collections.abc import Sequence

from outlast.reporting import age_figures as ages
from outlast.reporting import captions, oddities, terms
from outlast.reporting.age_figures import Curve
from outlast.reporting.elements import Article, Bullets, Cell, Code, Element, Facts, Paragraph, Row, Section, Table
from outlast.reporting.kinds import evaluation as measured
from outlast.reporting.kinds.diagnosis import evidence, found
from outlast.reporting.kinds.diagnosis import figures as draw
from outlast.reporting.kinds.diagnosis import sentences as say
from outlast.reporting.kinds.diagnosis.trace import trace_elements
from outlast.reporting.kinds.diagnosis.words import words
from outlast.reporting.kinds.first_steps import reset_code
from outlast.reporting.labels import labels
from outlast.reporting.language import sentences
from outlast.reporting.numbers import between, duration, fixed, integer, number
from outlast.reporting.scenarios import scenarios
from outlast.results import Diagnosis, Evaluation


def article(result: Diagnosis, key: str) -> Article:
    """One diagnosis as an article."""
    evaluation = result.evaluation
    sections = [_causes(result), _help(result), _by_age(evaluation, key)]
    sections += scenarios([Curve(labels.BASE, evaluation)], key)
    if result.remembrance:
        sections.append(Section(words.REMEMBRANCE, draw.remembrance(result.remembrance, evaluation, key)))
    if result.coverage:
        sections.append(Section(words.MAP, [draw.state_map(result, result.coverage, key)]))
        sections.append(Section(words.COVERAGE, draw.coverage(result.coverage)))
        sections.append(Section(words.SCENARIOS, draw.scenarios(result.coverage, _asked_unit(result))))
    if result.attribution:
        told = [Paragraph(text)] if (text := found.part(result)) else []
        sections.append(Section(words.PARTS, [*told, *draw.parts(result.attribution, key)]))
    if result.trace:
        traced = trace_elements(result.trace, asked(result), ages.mark(evaluation), f"{key}-trace")
        sections.append(Section(words.TRACE, traced))
    sections.append(Section(words.OUTLOOK, _outlook(result)))
    sections.append(
        Section(labels.NOTES, [Bullets(list(map(oddities.told, evaluation.notes)))] if evaluation.notes else [])
    )
    sections.append(_method(result))
    return Article(
        key,
        f"{labels.DIAGNOSIS} · {terms.model_name(result.model)}",
        *measured.badge(evaluation),
        headline(result),
        lead(result),
        key_figures(result),
        [section for section in sections if section.elements],
    )


def asked(result: Diagnosis) -> str:
    """The measure that causes were asked in, with its unit."""
    if not result.asked_measure:
        return ages.y_label(result.evaluation)
    name, own = terms.measure_name(result.asked_measure), terms.unit_name(result.asked_unit)
    return terms.in_unit(name, "" if own == name else own)


def _asked_unit(result: Diagnosis) -> str:
    return terms.unit_name(result.asked_unit) if result.asked_measure else terms.unit(result.evaluation)


def headline(result: Diagnosis) -> str:
    """What was found, and the reason, in one or two sentences."""
    verdict = result.evaluation.verdict
    if few := oddities.too_few(result.evaluation):
        return oddities.without_verdict(few)
    if verdict is None:
        return say.no_verdict()
    if verdict.name in ("broken", "misread"):
        return measured.headline(result.evaluation)
    cause = result.main.name if result.main else None
    said = say.headline(measured.judged(result.evaluation, verdict), result.evaluation, cause)
    return sentences(said, oddities.unfitting(result.evaluation))  # the reason is the verdict's, not that of the doubt


def _by_age(evaluation: Evaluation, key: str) -> Section:
    """The excess by age, on which the verdict rests; where there is none, the loss."""
    curves = [Curve(labels.BASE, evaluation)]
    if evaluation.short is None:
        return Section(labels.AGE_CURVE, [ages.loss_curve(curves, key), ages.loss_numbers(curves)])
    return Section(labels.EXCESS_CURVE, [ages.excess_curve(curves, key), ages.excess_numbers(curves)])


def _method(result: Diagnosis) -> Section:
    shorter = captions.shorter(result.evaluation)
    missing = [say.left_out(what, why) for what, why in result.left_out.items()]
    facts = [*measured.facts(result.evaluation), (words.WHOLE_TIME, duration(result.seconds))]
    return Section(
        labels.METHOD,
        [
            *([Paragraph(shorter)] if shorter else []),
            *([Bullets(missing)] if missing else []),
            Facts(facts),
        ],
    )


def _helping(evaluation: Evaluation) -> list[str]:
    """Names of the resets that are better than the model as it is, the best last."""
    better = {name: each for name, each in evaluation.resets.items() if each.loss < evaluation.oldest.loss}
    return sorted(better, key=lambda name: -better[name].loss)


def lead(result: Diagnosis) -> str:
    """What helps now, where something does."""
    evaluation = result.evaluation
    helping = _helping(evaluation)
    if evaluation.verdict is None or evaluation.verdict.name not in found.HARMED or not helping:
        return ""
    best, unit = evaluation.resets[helping[-1]], terms.unit(evaluation)
    return say.lead(terms.reset(helping[-1], best.every), terms.level(best, unit), terms.level(evaluation.oldest, unit))


def key_figures(result: Diagnosis) -> list[tuple[str, str]]:
    evaluation = result.evaluation
    figures = measured.figures(evaluation)[:3]
    if evaluation.verdict is not None:
        cause = labels.CAUSE_NAMES[result.main.name] if result.main else "–"
        if result.main is None and evaluation.verdict.name == "fails":
            cause = words.UNKNOWN
        figures.append((words.FIGURE_CAUSE, cause))
    split = result.attribution
    if split and split.carriers and evaluation.verdict and evaluation.verdict.name in found.HARMED:
        few = [say.part_name(name) for name in split.carriers[:2]]
        more = len(split.carriers) - len(few)
        figures.append((words.FIGURE_PART, " + ".join([*few, *([say.and_more(integer(more))] if more else [])])))
    return figures


def _causes(result: Diagnosis) -> Section:
    tones = {True: "bad", False: "plain", None: "open"}
    unit = _asked_unit(result)
    rows = [
        Row(
            [
                Cell(labels.CAUSE_NAMES[cause.name]),
                Cell(words.FOUND[cause.found], tone=tones[cause.found]),
                Cell(evidence.plain(cause), more=evidence.numbers(cause, unit), more_title=words.EVIDENCE),
            ]
        )
        for cause in result.causes
    ]
    if not rows:
        return Section(words.CAUSES, [])
    table = Table(words.CAUSES, words.COLUMNS_CAUSE, rows, cards=True, numeric=False)
    if not result.asked_measure:
        return Section(words.CAUSES, [table])
    note = say.asked_in(asked(result), terms.measure_name(result.evaluation.measure))
    return Section(words.CAUSES, [Paragraph(note), table])


def _help(result: Diagnosis) -> Section:
    evaluation, verdict = result.evaluation, result.evaluation.verdict
    elements: list[Element] = []
    if evaluation.resets and not (verdict and verdict.name in ("broken", "misread")):
        entries: list[tuple[str, terms.Measured, str]] = [(words.AS_IT_IS, evaluation.oldest, "–")]
        entries += [
            (terms.reset(name, each.every), each, words.COSTS[name]) for name, each in evaluation.resets.items()
        ]
        entries += [(terms.guess(name), guess, words.GUESS_COST) for name, guess in evaluation.guesses.items()]
        rows = [Row([Cell(what), Cell(*terms.loss(each)), Cell(cost)]) for what, each, cost in entries]
        elements.append(Table(words.HELP, words.COLUMNS_HELP, rows, cards=True))
        helping = _helping(evaluation)
        if helping:
            elements.append(Code(reset_code(helping[-1], evaluation.resets[helping[-1]].every)))
        else:
            elements.append(Paragraph(say.no_help()))
    if verdict is not None:
        step = found.remedy(result)
        elements += [Paragraph(step.text), *([Code(step.code)] if step.code else [])]
    return Section(words.HELP, elements)


def _outlook(result: Diagnosis) -> Sequence[Element]:
    elements: list[Element] = []
    verdict, unit = result.evaluation.verdict, terms.unit(result.evaluation)

    def change(value: float) -> str:
        return terms.with_unit(number(value, 2, signed=True), unit)

    if result.gap and verdict and verdict.name == "fails":
        each = result.gap.explained
        share, *ends = (f"{fixed(100 * value, 1, signed=True)}\u00a0%" for value in (each.mean, each.low, each.high))
        elements.append(Paragraph(say.gap(result.gap.explains, share, between(*ends), integer(each.n))))
    if ahead := result.forecast:
        age, seen = integer(ahead.age), integer(ahead.seen)
        elements.append(Paragraph(say.forecast(age, seen, change(ahead.expected), change(ahead.log_linear))))
        if checked := ahead.checked:
            ages_told = integer(checked.age), integer(checked.seen)
            elements.append(
                Paragraph(say.forecast_check(*ages_told, change(checked.expected), change(checked.measured)))
            )
    return elements
