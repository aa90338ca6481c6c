"""One offline HTML file from results: what was found, the curves, the tables, what to do next, how it was measured."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import jinja2
from markupsafe import Markup, escape

from outlast.errors import InputError, unknown_name
from outlast.reporting import captions, diagnosis_ja, figures, labels, sentences
from outlast.reporting import curves as draw
from outlast.reporting.advice import next_steps
from outlast.reporting.blocks import (
    Article,
    Block,
    Bullets,
    Cell,
    Code,
    Facts,
    Fold,
    Paragraph,
    Row,
    Section,
    Table,
)
from outlast.reporting.clock import CLOCK_TIME
from outlast.reporting.curves import Curve
from outlast.reporting.diagnosis_article import WORDS
from outlast.reporting.diagnosis_article import article as diagnosis_article
from outlast.reporting.numbers import MINUS, duration, estimate, estimates, integer, number, span
from outlast.results import (
    CheckReport,
    CompareRow,
    Comparison,
    Diagnosis,
    Evaluation,
    Repair,
    Result,
    ShortContext,
    Training,
    write_atomically,
)

Language = Literal["en", "ja"]

_HERE = Path(__file__).parent


def write_report(
    results: Sequence[Result], path: str | Path, *, title: str | None = None, language: Language = "en"
) -> Path:
    """Write one HTML file that needs nothing but itself: no network, no script.

    Args:
        results: any mix of results; each becomes one part of the page, in this order.
        path: of the file.
        title: of the page; taken from the results where it is not given.
        language: English, or Japanese for diagnoses (the other kinds are told in English only).

    Returns:
        The path that was written.

    Raises:
        InputError: without results, in Japanese of anything but diagnoses, or where the file cannot be written.
    """
    results = list(results)
    _check_language(results, language)
    if not results:
        raise InputError("no results", "at least one result", "evaluate, repair, compare or check something first")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"breakable": _breakable, "unbroken": _unbroken}
    articles = [_article(result, f"r{index}", language) for index, result in enumerate(results, start=1)]
    page = environment.get_template("template.html.j2").render(
        title=title or (articles[0].eyebrow if len(articles) == 1 else sentences.default_title(results)),
        css=(_HERE / "report.css").read_text(encoding="utf-8"),
        articles=articles,
        glossary=_glossary(results, language),
        labels=WORDS[language],
        language=language,
    )
    path = Path(path)
    write_atomically(path, page)
    return path


def write_figures(result: Result, folder: str | Path, *, language: Language = "en") -> list[Path]:
    """Write every figure of a result's report as SVG and PNG, each a file of its own, for papers.

    Returns:
        The files, named for what they show.

    Raises:
        InputError: in Japanese of anything but a diagnosis, or where a file cannot be written.
    """
    _check_language([result], language)
    return figures.figures_of(lambda: _article(result, "r1", language), Path(folder))


def _check_language(results: Sequence[Result], language: str) -> None:
    if language not in WORDS:
        raise unknown_name("language", language, WORDS)
    other = [result.kind for result in results if not isinstance(result, Diagnosis)]
    if language == "ja" and other:
        raise InputError(
            f"a report in Japanese of results of kind {', '.join(dict.fromkeys(other))}",
            "diagnoses: the other kinds are told in English only",
            "leave --language out, or run outlast diagnose",
        )


def _glossary(results: Sequence[Result], language: str) -> Sequence[tuple[str, str]]:
    if all(isinstance(result, CheckReport) for result in results):
        return labels.CHECK_ENTRIES
    if language == "ja":
        return diagnosis_ja.GLOSSARY_ENTRIES
    told = {entry for result in results if isinstance(result, Diagnosis) for entry in WORDS["en"].GLOSSARY_ENTRIES}
    if len(told) and all(isinstance(result, Diagnosis) for result in results):
        return WORDS["en"].GLOSSARY_ENTRIES
    more = [entry for entry in WORDS["en"].GLOSSARY_ENTRIES if entry in told and entry not in labels.GLOSSARY_ENTRIES]
    return [*labels.GLOSSARY_ENTRIES, *more]


def _breakable(name: str) -> Markup:
    """A name that may be broken where a reader would break it: after an opening bracket, a comma, an underscore."""
    return Markup(re.sub(r"([(,_/=.])", r"\1<wbr>", str(escape(name))))


def _unbroken(text: str) -> Markup:
    """Clock times in one piece: browsers break lines after the hyphens of a date."""
    return Markup(CLOCK_TIME.sub(r'<span class="unbroken">\g<0></span>', str(escape(text))))


def _article(result: Result, key: str, language: Language = "en") -> Article:
    if isinstance(result, Diagnosis):
        return diagnosis_article(result, key, language, _evaluation_facts(result.evaluation))
    tone, badge = sentences.badge(result)
    match result:
        case Evaluation():
            first, *others = _curves([Curve(labels.BASE, result, True)], key)
            sections = [first, *_because(result), *others, *_measures(result)]
            method = _evaluation_facts(result)
        case Repair():
            curves = [
                Curve(labels.BASE, result.before, True),
                Curve(sentences.repair_label(result), result.after, True),
            ]
            table = _interventions([(sentences.repair_label(result), result, "")], result.before)
            sections = [
                Section(labels.ONE_REPAIR, [table, Paragraph(captions.repair_note())]),
                *_guards(result.guards, result.before),
                *_curves(curves, key),
            ]
            method = [*_evaluation_facts(result.before), *_repair_facts(result)]
        case Comparison():
            sections = _comparison_sections(result, key)
            method = _comparison_facts(result)
        case CheckReport():
            sections = [Section(labels.CONTRACT, [_checks(result)])]
            method = _model_facts(result.model, result.outlast)
        case Training():
            sections = []
            if result.losses:
                sections = [Section(labels.TRAINING_LOSS, [draw.training_curve(result, key)])]
            method = [
                *_model_facts(result.model, result.outlast),
                *_flat(labels.FACT_DATA, result.data),
                *_flat(labels.FACT_SETTING, result.settings),
                (labels.FACT_TIME, duration(result.seconds)),
            ]
    advice: list[Block] = []
    for step in next_steps(result):
        advice.append(Paragraph(step.text))
        if step.code:
            advice.append(Code(step.code))
    sections += [Section(labels.NEXT, advice), Section(labels.METHOD, [Facts(method)])]
    return Article(
        key,
        sentences.eyebrow(result),
        tone,
        badge,
        sentences.headline(result),
        sentences.lead(result),
        sentences.key_figures(result),
        sections,
    )


def _because(evaluation: Evaluation) -> list[Section]:
    if evaluation.verdict is None or not evaluation.verdict.because:
        return []
    return [Section(labels.BECAUSE, [Bullets([sentences.reason(each) for each in evaluation.verdict.because])])]


def _curves(curves: Sequence[Curve], key: str) -> list[Section]:
    sections = [Section(labels.AGE_CURVE, [draw.age_curve(curves, key), draw.age_numbers(curves)])]
    if curves[0].evaluation.position_curve:
        sections.append(Section(labels.POSITION_CURVE, draw.position_curve(curves, key)))
    if curves[0].evaluation.state:
        sections.append(Section(labels.STATE, [draw.state_figure(curves, key)]))
    return sections


def _measures(evaluation: Evaluation) -> list[Section]:
    """Other measures at the youngest and the oldest age."""
    rows = []
    for name, bands in evaluation.other_measures.items():
        if bands:
            last = bands[-1]
            cells = [Cell(sentences.measure_name(name)), Cell(span(*last.age))]
            cells.append(Cell(*estimate(last.loss, last.low, last.high)))
            cells.append(Cell(*estimate(last.excess, last.excess_low, last.excess_high, signed=True)))
            rows.append(Row([*cells, Cell(integer(last.n))]))
    if not rows:
        return []
    columns = [
        labels.COLUMN_MEASURE,
        labels.COLUMN_AGE,
        labels.COLUMN_VALUE,
        labels.COLUMN_EXCESS,
        labels.COLUMN_COUNT,
    ]
    return [Section(labels.OTHER_MEASURES, [Table(labels.OTHER_MEASURES, columns, rows, cards=True)])]


def _comparison_sections(comparison: Comparison, key: str) -> list[Section]:
    rows = comparison.rows
    picked = sentences.picked_row(comparison)
    curves = [Curve(labels.BASE, comparison.base, True)]
    curves += [Curve(sentences.row_label(row, rows), row.repair.after, row is picked) for row in rows]
    # What validation picked first, then the accepted, then by the loss at the oldest age.
    ranked = sorted(rows, key=lambda row: (row is not picked, not row.repair.accepted, row.repair.after.oldest.loss))
    entries = [(sentences.row_label(row, rows), row.repair, _marked(row, comparison)) for row in ranked]
    sections = _curves(curves, key)
    if entries:
        table = _interventions(entries, comparison.base)
        blocks = [table, Paragraph(captions.interventions_note()), *_validation(ranked, rows)]
        sections.insert(1, Section(labels.INTERVENTIONS, blocks))
    return sections


def _marked(row: CompareRow, comparison: Comparison) -> str:
    if row.name == comparison.winner:
        return labels.WINNER
    return labels.PICKED if comparison.winner is None and row.name == comparison.picked else ""


def _validation(ranked: Sequence[CompareRow], rows: list[CompareRow]) -> list[Block]:
    names = list(dict.fromkeys(name for row in ranked for name in row.validation))
    if not names:
        return []
    body = [
        Row(
            [
                Cell(sentences.row_label(row, rows)),
                *(Cell(number(row.validation[name])) if name in row.validation else Cell("–") for name in names),
            ]
        )
        for row in ranked
    ]
    columns = [labels.COLUMN_INTERVENTION, *(name.replace("_", " ") for name in names)]
    return [Fold(labels.VALIDATION, [Table(labels.VALIDATION, columns, body)])]


def _interventions(entries: Sequence[tuple[str, Repair, str]], base: Evaluation) -> Table:
    """Each intervention, what it cost and gave, and whether it is accepted."""
    in_unit, unit = sentences.in_unit, sentences.unit(base)
    columns = [
        labels.COLUMN_INTERVENTION,
        in_unit(labels.COLUMN_SHORT, "" if sentences.short_level(base) is not None else unit),
        in_unit(labels.COLUMN_OLDEST_LOSS, unit),
        in_unit(labels.COLUMN_BASE, unit),
        in_unit(labels.COLUMN_RESET, unit),
        in_unit(labels.COLUMN_OVERLAP, unit),
        labels.COLUMN_OUTCOME,
    ]
    ends = [repair.after.oldest for _, repair, _ in entries]
    losses = estimates([(band.loss, band.low, band.high) for band in ends], fine=True)
    rows = []
    for (name, repair, marked), loss in zip(entries, losses, strict=True):
        rivals = {repair.benefit.against: sentences.benefit_triple(repair), **repair.benefit.rivals}
        differences = [rivals.get("base"), rivals.get("periodic_reset"), repair.benefit.overlapping]
        value, interval, _ = sentences.short_change(repair.short_context, repair.before)
        rows.append(
            Row(
                [
                    Cell(name, captions.steps(repair.steps)),
                    Cell(value, interval),
                    Cell(*loss),
                    *(Cell("–") if each is None else Cell(*estimate(*each, signed=True)) for each in differences),
                    Cell(*captions.outcome(repair)),
                ],
                marked,
            )
        )
    return Table(labels.INTERVENTIONS, columns, rows, cards=True)


def _guards(guards: dict[str, ShortContext], base: Evaluation) -> list[Section]:
    rows = []
    for name, guard in guards.items():
        value, interval, allowed = sentences.absolute_change(guard, base)
        held = ("good", labels.HELD) if guard.high <= guard.margin else ("bad", labels.LOST)
        rows.append(Row([Cell(name), Cell(value, interval), Cell(allowed), Cell(held[1], tone=held[0])]))
    if not rows:
        return []
    return [Section(labels.GUARDS, [Table(labels.GUARDS, labels.COLUMNS_GUARD, rows, cards=True)])]


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


def _model_facts(model: dict[str, Any], version: str) -> list[tuple[str, str]]:
    facts = _flat(labels.FACT_MODEL, model)
    return [*facts, ("outlast", version)] if version else facts


def _evaluation_facts(evaluation: Evaluation) -> list[tuple[str, str]]:
    verdict = evaluation.verdict
    facts = [
        *_model_facts(evaluation.model, evaluation.outlast),
        *_flat(labels.FACT_DATA, evaluation.data),
        *_flat(labels.FACT_SETTING, evaluation.settings),
    ]
    if verdict is not None:
        facts.append(
            (labels.FACT_TOLERANCE, sentences.with_unit(number(verdict.tolerance, 2), sentences.unit(evaluation)))
        )
    if evaluation.short is not None:
        facts.append((labels.FACT_SHORT, captions.short_description(evaluation.short, sentences.unit(evaluation))))
    return [*facts, (labels.FACT_TIME, duration(evaluation.seconds))]


def _repair_facts(repair: Repair) -> list[tuple[str, str]]:
    return [
        *_flat(labels.FACT_INTERVENTION, repair.intervention),
        *_flat(labels.FACT_TRAINING, repair.training),
        (labels.FACT_WORST, captions.worst_band(repair.short_context, sentences.unit(repair.before))),
    ]


def _comparison_facts(comparison: Comparison) -> list[tuple[str, str]]:
    facts = _evaluation_facts(comparison.base)
    if comparison.picked:
        facts.append((labels.FACT_PICKED, comparison.picked))
    if comparison.rows:
        facts += _flat(labels.FACT_TRAINING, comparison.rows[0].repair.training)
    return facts


def _flat(prefix: str, record: dict[str, Any]) -> list[tuple[str, str]]:
    """A record as facts; a record of plain values inside it becomes one fact."""
    facts = []
    for name, value in record.items():
        term = f"{prefix} · {str(name).replace('_', ' ')}"
        if name in ("command", "losses"):
            continue  # the command comes back under "what to do next"; a loss by step is no setting
        if isinstance(value, dict) and any(isinstance(inner, dict) for inner in value.values()):
            facts += _flat(term, value)
        elif isinstance(value, dict):
            inner = (f"{str(key).replace('_', ' ')} {_fact(each)}" for key, each in value.items())
            facts.append((term, ", ".join(inner) or "–"))
        elif name in ("seed", "hash"):
            facts.append((term, str(value)))
        else:
            facts.append((term, _fact(value)))
    return facts


def _fact(value: Any) -> str:
    """A plain value in words; a long list is counted."""
    match value:
        case None:
            return "–"
        case bool():
            return labels.YES if value else labels.NO
        case int():
            return integer(value)
        case float():
            return f"{value:g}".replace("-", MINUS)
        case list() | tuple() if len(value) > 12:
            return captions.entries(len(value))
        case list() | tuple():
            return ", ".join(map(_fact, value)) or "–"
        case _:
            return str(value)
