"""One result as an article: which sections it has, and in which order."""

from __future__ import annotations

from collections.abc import Sequence

from outlast.reporting import age_figures as ages
from outlast.reporting import captions, diagnosis_article, labels, sentences, tables, terms
from outlast.reporting import curves as draw
from outlast.reporting.advice import next_steps
from outlast.reporting.age_figures import Curve
from outlast.reporting.blocks import Article, Block, Bullets, Cell, Code, Facts, Fold, Paragraph, Row, Section, Table
from outlast.reporting.doses import dose_blocks, dose_table
from outlast.reporting.facts import facts_of
from outlast.reporting.numbers import number
from outlast.reporting.recovery import recovery_blocks
from outlast.results import (
    CheckReport,
    CompareRow,
    Comparison,
    Diagnosis,
    Evaluation,
    Refusal,
    Repair,
    Result,
    ShortContext,
    Training,
)


def article(result: Result, key: str, language: str = "en") -> Article:
    """A result as an article; `key` tells it from others on the page."""
    if isinstance(result, Diagnosis):
        return diagnosis_article.article(result, key, language, facts_of(result.evaluation))
    tone, badge = sentences.badge(result)
    advice: list[Block] = []
    for step in next_steps(result):
        advice.append(Paragraph(step.text))
        if step.code:
            advice.append(Code(step.code))
    sections = [
        *_sections(result, key),
        Section(labels.NEXT, advice),
        Section(labels.METHOD, [*_shorter(result), Facts(facts_of(result))]),
    ]
    return Article(
        key,
        terms.eyebrow(result),
        tone,
        badge,
        sentences.headline(result),
        sentences.lead(result),
        sentences.key_figures(result),
        [section for section in sections if section.blocks],
    )


def _sections(result: Evaluation | Repair | Comparison | CheckReport | Training, key: str) -> list[Section]:
    match result:
        case Evaluation():
            return _evaluation(result, key)
        case Repair() if terms.untouched(result):
            return [*_refused(result.refused_because), *_evaluation(result.before, key)]
        case Repair():
            return _repair(result, key)
        case Comparison() if not result.rows:
            return [*_refused(result.refused_because), *_evaluation(result.base, key)]
        case Comparison():
            return _comparison(result, key)
        case CheckReport():
            return [Section(labels.CONTRACT, [_checks(result)])]
    losses = [draw.training_curve(result, key)] if result.losses else []
    return [Section(labels.TRAINING_LOSS, losses)]


def _shorter(result: Evaluation | Repair | Comparison | CheckReport | Training) -> list[Block]:
    """That fewer positions were read than were asked for."""
    match result:
        case Repair():
            said = captions.shorter(result.before)
        case Comparison():
            said = captions.shorter(result.base)
        case Evaluation():
            said = captions.shorter(result)
        case _:
            said = ""
    return [Paragraph(said)] if said else []


def _evaluation(evaluation: Evaluation, key: str) -> list[Section]:
    curves = [Curve(labels.BASE, evaluation)]
    if evaluation.short is None:
        first = Section(labels.AGE_CURVE, [ages.loss_curve(curves, key), ages.loss_numbers(curves)])
    else:
        first = Section(labels.EXCESS_CURVE, [ages.excess_curve(curves, key), ages.excess_numbers(curves)])
    return [
        first,
        *_because(evaluation),
        *tables.untrained(evaluation),
        Section(labels.RECOVERY, recovery_blocks(curves, key)),
        *_by_position(curves, key),
        *tables.other_measures(evaluation),
    ]


def _because(evaluation: Evaluation) -> list[Section]:
    if evaluation.verdict is None or not evaluation.verdict.because:
        return []
    return [Section(labels.BECAUSE, [Bullets([terms.reason(each) for each in evaluation.verdict.because])])]


def _refused(because: Refusal | None) -> list[Section]:
    """The reasons of a refusal as the record has them, and the names of what else would have refused it."""
    if because is None:
        return []
    title = labels.UNTOUCHED_WHY if because.name == "nothing_to_repair" else labels.REFUSED_WHY
    reasons = [terms.reason(each) for each in because.because]
    if because.also:
        reasons.append(captions.also(because.also))
    return [Section(title, [Bullets(reasons)] if reasons else [])]


def _by_position(curves: Sequence[Curve], key: str) -> list[Section]:
    sections = []
    if curves[0].evaluation.position_curve:
        sections.append(Section(labels.POSITION_CURVE, draw.position_curve(curves, key)))
    if curves[0].evaluation.state:
        sections.append(Section(labels.STATE, [draw.state_figure(curves, key)]))
    return sections


def _by_age(curves: Sequence[Curve], short: ShortContext | None, key: str) -> list[Section]:
    """What repairs changed, losses on one axis, and the excess that verdicts rest on."""
    return [
        Section(ages.change_title(curves), ages.change_curve(curves, short, key)),
        Section(labels.AGE_CURVE, [ages.loss_curve(curves, key), ages.loss_numbers(curves)]),
        Section(labels.EXCESS_CURVE, [ages.excess_curve(curves, key), ages.excess_numbers(curves)])
        if curves[0].evaluation.short is not None
        else Section(labels.EXCESS_CURVE, []),
    ]


def _control(repair: Repair) -> list[Curve]:
    return [] if repair.control is None else [Curve(labels.CONTROL, repair.control, "control")]


def _repair(repair: Repair, key: str) -> list[Section]:
    name = terms.repair_label(repair)
    made = Curve(name, repair.after, "picked", refused=not repair.accepted)
    curves = [Curve(labels.BASE, repair.before), made, *_control(repair)]
    table = tables.interventions([(name, repair, "")], repair.before)
    return [
        Section(labels.ONE_REPAIR, [table, *tables.notes([repair])]),
        *_refused(repair.refused_because),
        *tables.guards(repair.guards, repair.before, accepted=repair.accepted),
        *_by_age(curves, repair.short_context, key),
        *tables.simpler(repair),
        Section(labels.RECOVERY, recovery_blocks(curves, key)),
        Section(labels.DOSES, dose_blocks(repair, key)),
        *_by_position(curves, key),
    ]


def _comparison(comparison: Comparison, key: str) -> list[Section]:
    rows, picked = comparison.rows, terms.picked_row(comparison)
    curves = [Curve(labels.BASE, comparison.base)]
    for row in rows:
        role = "picked" if row is picked else "other"
        name = terms.row_label(row, rows)
        curves.append(Curve(name, row.repair.after, role, refused=not row.repair.accepted))
    shared = picked or rows[0]
    curves += _control(shared.repair)
    # What validation picked first, then the accepted, then by the loss at the oldest age.
    ranked = sorted(rows, key=lambda row: (row is not picked, not row.repair.accepted, row.repair.after.oldest.loss))
    entries = [(terms.row_label(row, rows), row.repair, _marked(row, comparison)) for row in ranked]
    table = tables.interventions(entries, comparison.base)
    because = picked.repair.refused_because if picked else None
    main = [curve for curve in curves if curve.role != "other"]
    return [
        Section(
            labels.INTERVENTIONS,
            [
                table,
                *tables.notes([row.repair for row in rows]),
                Paragraph(captions.picked_note()),
                *tables.validation(ranked, rows),
            ],
        ),
        *_refused(because),
        *_by_age(curves, picked.repair.short_context if picked else None, key),
        *(tables.simpler(picked.repair) if picked else []),
        Section(labels.RECOVERY, recovery_blocks(main, key)),
        *_doses(ranked, comparison, key),
        *_by_position(curves, key),
    ]


def _doses(ranked: Sequence[CompareRow], comparison: Comparison, key: str) -> list[Section]:
    """The doses of the picked repair as a figure, those of all as a table."""
    picked = terms.picked_row(comparison)
    blocks = dose_blocks(picked.repair, key) if picked else []
    named = [(terms.row_label(row, comparison.rows), row.repair) for row in ranked if row.repair.doses]
    if len(named) > 1:
        blocks.append(Fold(labels.ALL_DOSES, [dose_table(named)]))
    return [Section(labels.DOSES, blocks)]


def _marked(row: CompareRow, comparison: Comparison) -> str:
    if row.name == comparison.winner:
        return labels.WINNER
    return labels.PICKED if comparison.winner is None and row.name == comparison.picked else ""


def _checks(report: CheckReport) -> Table:
    rows = []
    for check in report.checks:
        name, cost = labels.CHECKS.get(check.name, (check.name.replace("_", " "), ""))
        tone, word = {True: ("good", labels.PASSED), False: ("bad", labels.FAILED), None: ("plain", labels.NOT_ASKED)}[
            check.passed
        ]
        size = "–" if check.worst is None else number(check.worst, 2)
        allowed = "" if check.tolerance is None else captions.allowed(number(check.tolerance, 2))
        detail = Cell(check.detail, captions.cost(cost) if check.passed is False and cost else "")
        rows.append(Row([Cell(name, check.name), Cell(word, tone=tone), Cell(size, allowed), detail]))
    return Table(labels.CONTRACT, labels.COLUMNS_CHECK, rows, cards=True, numeric=False)
