"""The terminal version of a result: the headline and one table, at most 100 columns wide."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from outlast.reporting import captions, labels, refusals, sentences, terms
from outlast.reporting.advice import next_steps
from outlast.reporting.numbers import estimate, estimates, integer, number, shortened, span
from outlast.reporting.repair_sentences import benefit_triple
from outlast.results import CheckReport, Comparison, Diagnosis, Evaluation, Repair, Result, Training

_WIDTH = 100


def summary(result: Result) -> str:
    """The result in plain text: what was found, the figures it rests on, the next thing to type."""
    _, badge = sentences.badge(result)
    parts = [textwrap.fill(f"{badge.upper()}: {sentences.headline(result)}", _WIDTH)]
    if text := sentences.lead(result):
        parts.append(textwrap.fill(text, _WIDTH))
    match result:
        case Evaluation():
            parts += _evaluation(result)
        case Repair() if terms.untouched(result):
            parts += _evaluation(result.before)
        case Repair():
            parts += _repairs([(terms.repair_label(result), result)], result.before)
        case Comparison() if not result.rows:
            parts += _evaluation(result.base)
        case Comparison():
            named = [
                (("* " if row.name == result.winner else "  ") + terms.row_label(row, result.rows), row.repair)
                for row in result.rows
            ]
            parts += _repairs(named, result.base)
        case CheckReport():
            parts += _checks(result)
        case Diagnosis():
            parts += _diagnosis(result)
        case Training():
            pass
    commands = [step.code for step in next_steps(result) if step.code and step.code.startswith("outlast ")]
    if commands:
        parts.append(f"{labels.NEXT_SHORT}: {commands[0]}")
    return "\n\n".join(parts)


def _aligned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns that line up: the first to the left, the others to the right."""
    widths = [max(len(row[index]) for row in [head, *rows]) for index in range(len(head))]
    lines = []
    for row in [head, ["-" * width for width in widths], *rows]:
        first, *others = row
        cells = [first.ljust(widths[0]), *(text.rjust(width) for text, width in zip(others, widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _evaluation(evaluation: Evaluation) -> list[str]:
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
    parts = [_aligned([*head, labels.COLUMN_COUNT], rows)]
    named = [(terms.reset(name, control.every), control) for name, control in evaluation.controls.items()]
    named += [(terms.guess(name), guess) for name, guess in evaluation.guesses.items()]
    untrained = [[name, *estimate(each.loss, each.low, each.high, fine=True)] for name, each in named]
    if untrained:
        parts.append(_aligned([labels.WITHOUT_TRAINING, measure, labels.COLUMN_INTERVAL], untrained))
    if note := captions.blocks_note(evaluation):
        pieces = terms.streams(evaluation.oldest.n, terms.unit_of(evaluation))
        parts.append(textwrap.fill(captions.summary_units(pieces, note), _WIDTH))
    return parts


def _diagnosis(diagnosis: Diagnosis) -> list[str]:
    lines = []
    for cause in diagnosis.causes:
        word = {True: labels.FOUND, False: labels.NOT_FOUND, None: labels.NOT_ASKED}[cause.found]
        lines.append(f"{word:<11}{labels.CAUSE_NAMES[cause.name]}")
        if cause.found:
            indent = " " * 11
            lines += [
                textwrap.fill(each, _WIDTH, initial_indent=indent, subsequent_indent=indent) for each in cause.because
            ]
    return [*_evaluation(diagnosis.evaluation), "\n".join(lines)]


def _repairs(named: Sequence[tuple[str, Repair]], base: Evaluation) -> list[str]:
    controlled = any(repair.benefit.starts is not None for _, repair in named)
    rows = []
    for name, repair in named:
        change, _, _ = refusals.short_change(repair.short_context, repair.before)
        value, interval = estimate(*benefit_triple(repair), signed=True)
        starts = repair.benefit.starts
        gained = [estimate(*starts, signed=True)[0] if starts else "–"] if controlled else []
        loss = number(repair.after.oldest.loss)
        rows.append([name, change, loss, f"{value} ({interval})", *gained, captions.outcome_brief(repair)])
    head = [labels.COLUMN_INTERVENTION, labels.COLUMN_SHORT_BRIEF, labels.COLUMN_OLDEST, labels.COLUMN_BENEFIT]
    head += [labels.COLUMN_STARTS_BRIEF] if controlled else []
    head.append(labels.COLUMN_OUTCOME)
    own = [labels.BASE if len(named) == 1 else f"  {labels.BASE}", "", number(base.oldest.loss)]
    rows.insert(0, [*own, *[""] * (len(head) - len(own))])
    # Names give way where a line would get too long.
    others = sum(2 + max(len(row[index]) for row in [head, *rows]) for index in range(1, len(head)))
    rows = [[shortened(row[0], _WIDTH - others), *row[1:]] for row in rows]
    return [_aligned(head, rows), textwrap.fill(captions.table_legend(base, controlled), _WIDTH)]


def _checks(report: CheckReport) -> list[str]:
    lines = []
    for check in report.checks:
        word = {True: labels.PASSED, False: labels.FAILED, None: labels.NOT_ASKED}[check.passed]
        title = labels.CHECKS.get(check.name, (check.name,))[0]
        lines.append(f"{word:<10}{shortened(title, 60)}")
        if check.passed is not True and check.detail:
            indent = " " * 10
            lines.append(textwrap.fill(check.detail, _WIDTH, initial_indent=indent, subsequent_indent=indent))
    return ["\n".join(lines)]
