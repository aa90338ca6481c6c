"""How a check of the contract is told."""

from __future__ import annotations

import re
from collections import Counter

from outlast.reporting import captions, glossary
from outlast.reporting.commands import Step, command
from outlast.reporting.elements import Cell, Row, Section, Table
from outlast.reporting.facts import about_model
from outlast.reporting.kinds.evaluation import noted, terminal_notes
from outlast.reporting.kinds.telling import Telling
from outlast.reporting.labels import labels
from outlast.reporting.language import spoken, tell
from outlast.reporting.numbers import integer, number
from outlast.reporting.text_table import padded, wrapped
from outlast.results import Check, CheckReport


def _badge(report: CheckReport) -> tuple[str, str]:
    return ("good", labels.BADGES["kept"]) if report.passed else ("bad", labels.BADGES["contract_broken"])


def _headline(report: CheckReport) -> str:
    failed = [check for check in report.checks if check.passed is False]
    unasked, count = sum(check.passed is None for check in report.checks), len(report.checks)
    kept = count - len(failed) - unasked
    if not failed:
        rest = tell(f", {unasked} could not be asked", f"調べられなかったものは {unasked} 個です。") if unasked else ""
        return tell(
            f"This model keeps the contract of a recurrent model: {kept} of {count} points hold{rest}.",
            f"このモデルは再帰モデルの契約を守ります。{count} 項目のうち {kept} 項目が成り立ちます。{rest}",
        )
    cost = labels.CHECK_COSTS.get(failed[0].name, "")
    return tell(
        f"This model breaks {len(failed)} of {count} points of the contract{f': {cost}' if cost else ''}.",
        f"このモデルは契約の {count} 項目のうち {len(failed)} 項目を守りません。{f'{cost}。' if cost else ''}",
    )


def _figures(report: CheckReport) -> list[tuple[str, str]]:
    states = Counter(check.passed for check in report.checks)
    return [
        (labels.FIGURE_HOLD, integer(states[True])),
        (labels.FIGURE_FAIL, integer(states[False])),
        (labels.FIGURE_UNASKED, integer(states[None])),
    ]


def _detail(check: Check) -> str:
    """What was seen. The result has it in English only; the Japanese says what follows, and where the rest stands."""
    if spoken() == "en":
        return check.detail
    raised = re.match(r"The model raised (.*?)\. It costs:", check.detail)
    if raised:
        return f"モデルが例外を起こしました（{raised.group(1)}）。"
    return {
        True: "",
        False: "最大の差が許容を超えました。どこで違うかは result.json の detail にあります（英語）。",
        None: "状態に再帰的な部分がないため、調べられません。",
    }[check.passed]


_WORDS = {True: ("good", "PASSED"), False: ("bad", "FAILED"), None: ("plain", "NOT_ASKED")}
"""The tone of an answer, and the label that names it."""


def _name(check: Check) -> str:
    return labels.CHECKS.get(check.name, check.name.replace("_", " "))


def _table(report: CheckReport) -> Table:
    rows = []
    for check in report.checks:
        tone, word = _WORDS[check.passed]
        cost = labels.CHECK_COSTS.get(check.name, "")
        size = "–" if check.worst is None else number(check.worst, 2)
        allowed = "" if check.tolerance is None else captions.allowed(number(check.tolerance, 2))
        detail = Cell(_detail(check), captions.cost(cost) if check.passed is False and cost else "")
        answer = Cell(getattr(labels, word), tone=tone)
        rows.append(Row([Cell(_name(check), check.name), answer, Cell(size, allowed), detail]))
    return Table(labels.CONTRACT, labels.COLUMNS_CHECK, rows, cards=True, numeric=False)


def _terminal(report: CheckReport) -> list[str]:
    lines = []
    for check in report.checks:
        lines.append(f"{padded(getattr(labels, _WORDS[check.passed][1]), 12)}{_name(check)}")
        if check.passed is not True and (detail := _detail(check)):
            lines.append(wrapped(detail, indent=" " * 12))
    return ["\n".join(lines), *terminal_notes(report.notes)]


def _next_steps(report: CheckReport) -> list[Step]:
    if report.passed:
        return [
            Step(
                tell(
                    "Measure how the model does past its training context:",
                    "学習文脈長を超えたときのモデルを測ります：",
                ),
                command("evaluate", report.command, "--train-context TRAIN_CONTEXT"),
            )
        ]
    return [
        Step(
            tell(
                "Mend the points that fail before anything is measured or repaired, then check again:",
                "測定や修復の前に、守られない項目を直して、もう一度検査します：",
            ),
            command("check", report.command, data=None),
        )
    ]


TELLING = Telling(
    record=CheckReport,
    name=lambda: labels.CHECK,
    model=lambda report: report.model,
    badge=_badge,
    headline=_headline,
    figures=_figures,
    sections=lambda report, key: [Section(labels.CONTRACT, [_table(report)]), *noted(report.notes)],
    terminal=_terminal,
    next_steps=_next_steps,
    facts=lambda report: about_model(report.model, report.outlast),
    glossary=glossary.CHECKED,
)
