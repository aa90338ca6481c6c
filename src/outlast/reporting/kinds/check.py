"""How a check of the contract is told."""

from __future__ import annotations

import textwrap
from collections import Counter

from outlast.reporting import captions, labels
from outlast.reporting.commands import Step, command
from outlast.reporting.elements import Cell, Row, Section, Table
from outlast.reporting.facts import about_model
from outlast.reporting.kinds.evaluation import noted, terminal_notes
from outlast.reporting.kinds.telling import Telling
from outlast.reporting.numbers import integer, number, shortened
from outlast.reporting.text_table import WIDTH
from outlast.results import CheckReport


def _badge(report: CheckReport) -> tuple[str, str]:
    return ("good", labels.BADGES["kept"]) if report.passed else ("bad", labels.BADGES["contract_broken"])


def _headline(report: CheckReport) -> str:
    failed = [check for check in report.checks if check.passed is False]
    unasked = sum(check.passed is None for check in report.checks)
    kept = len(report.checks) - len(failed) - unasked
    rest = f", {unasked} could not be asked" if unasked else ""
    if not failed:
        return f"This model keeps the contract of a recurrent model: {kept} of {len(report.checks)} points hold{rest}."
    first = labels.CHECKS.get(failed[0].name)
    cost = f": {first[1]}" if first else ""
    return f"This model breaks {len(failed)} of {len(report.checks)} points of the contract{cost}."


def _figures(report: CheckReport) -> list[tuple[str, str]]:
    states = Counter(check.passed for check in report.checks)
    return [
        ("Points that hold", integer(states[True])),
        ("Points that fail", integer(states[False])),
        ("Not asked", integer(states[None])),
    ]


def _table(report: CheckReport) -> Table:
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


def _terminal(report: CheckReport) -> list[str]:
    lines = []
    for check in report.checks:
        word = {True: labels.PASSED, False: labels.FAILED, None: labels.NOT_ASKED}[check.passed]
        title = labels.CHECKS.get(check.name, (check.name,))[0]
        lines.append(f"{word:<10}{shortened(title, 60)}")
        if check.passed is not True and check.detail:
            indent = " " * 10
            lines.append(textwrap.fill(check.detail, WIDTH, initial_indent=indent, subsequent_indent=indent))
    return ["\n".join(lines), *terminal_notes(report.notes)]


def _next_steps(report: CheckReport) -> list[Step]:
    if report.passed:
        return [
            Step(
                "Measure how the model does past its training context:",
                command("evaluate", report.command, "--train-context TRAIN_CONTEXT"),
            )
        ]
    return [
        Step(
            "Mend the points that fail before anything is measured or repaired, then check again:",
            command("check", report.command, data=None),
        )
    ]


TELLING = Telling(
    record=CheckReport,
    name="Check of the contract",
    model=lambda report: report.model,
    badge=_badge,
    headline=_headline,
    figures=_figures,
    sections=lambda report, key: [Section(labels.CONTRACT, [_table(report)]), *noted(report.notes)],
    terminal=_terminal,
    next_steps=_next_steps,
    facts=lambda report: about_model(report.model, report.outlast),
    glossary={"en": labels.CHECK_ENTRIES},
)
