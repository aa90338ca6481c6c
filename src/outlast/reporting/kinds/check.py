"""How a check of the contract is told."""

from __future__ import annotations

import re
from collections import Counter

from outlast.reporting.commands import Step, command
from outlast.reporting.elements import Cell, Paragraph, Row, Section, Table
from outlast.reporting.facts import about_model
from outlast.reporting.kinds.evaluation import noted, terminal_notes
from outlast.reporting.kinds.telling import Telling
from outlast.reporting.text_table import padded, wrapped
from outlast.reporting.words import glossary
from outlast.reporting.words.labels import hints, labels
from outlast.reporting.words.language import spoken, tell
from outlast.reporting.words.numbers import integer, number
from outlast.results import Check, CheckReport


def _badge(report: CheckReport) -> tuple[str, str]:
    return ("good", labels.BADGES["kept"]) if report.passed else ("bad", labels.BADGES["contract_broken"])


def _headline(report: CheckReport) -> str:
    failed, causes = [check for check in report.checks if check.passed is False], report.causes
    unasked, count = sum(check.passed is None for check in report.checks), len(report.checks)
    kept = count - len(failed) - unasked
    if not failed:
        rest = tell(f", {unasked} could not be asked", f"調べられなかったものは {unasked} 個です。") if unasked else ""
        return tell(
            f"This model keeps the contract of a recurrent model: {kept} of {count} points hold{rest}.",
            f"このモデルは再帰モデルの契約を守ります。{count} 項目のうち {kept} 項目が成り立ちます。{rest}",
        )
    cost = labels.CHECK_COSTS.get(causes[0].name, "") if causes else ""
    following = len(failed) - len(causes)
    more = tell(
        f" {following} more {'fails' if following == 1 else 'fail'} because of that.",
        f"そのために、さらに {following} 項目が成り立ちません。",
    )
    return tell(
        f"This model breaks {len(causes)} of {count} points of the contract{f': {cost}' if cost else ''}.",
        f"このモデルは契約の {count} 項目のうち {len(causes)} 項目を守りません。{f'{cost}。' if cost else ''}",
    ) + (more if following else "")


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
    raised = re.match(r"(?:In \w+: )?The model raised (.*)\.$", check.detail)
    if raised:
        return f"モデルが例外を起こしました（{raised.group(1)}）。"
    if check.passed is None:
        return _unasked(check)
    return _parts(check) if check.passed else "どこで違うかは result.json の detail にあります（英語）。"


def _unasked(check: Check) -> str:
    """Why a point could not be asked, in Japanese."""
    if check.follows_from:
        return ""
    if check.name == "buffers_saved":
        return (
            "保存されないテンソルに出力が左右されます。作り直せば元に戻るかどうかは、"
            "関数の名前で渡したモデルでしか調べられません。"
        )
    if check.positions is None:
        return "状態に再帰的な部分がないため、調べられません。"
    return "丸め誤差が急に大きくなるモデルなので、比べられるものがありません。"


def _parts(check: Check) -> str:
    """Parts of the state that are odd, and harmless."""
    unread, alike = (", ".join(check.parts.get(name, [])) for name in ("never_read", "only_together"))
    said = []
    if unread:
        said.append(
            tell(
                f"Carried, but never read: {unread}. That is harmless; an intervention on it does nothing.",
                f"持ち越されるだけで読まれない部分：{unread}。害はありませんが、そこへの介入は何もしません。",
            )
        )
    if alike:
        said.append(
            tell(
                f"Outputs change with these parts only if several change at once: {alike}. They hold the same thing, "
                "which is no fault.",
                f"同時に変えたときだけ出力が変わる部分：{alike}。同じものを持っているためで、問題ではありません。",
            )
        )
    return " ".join(said)


_WORDS = {True: ("good", "PASSED"), False: ("bad", "FAILED"), None: ("plain", "NOT_ASKED")}
"""The tone of an answer, and the label that names it."""


def _name(check: Check) -> str:
    return labels.CHECKS.get(check.name, check.name.replace("_", " "))


def _because(check: Check) -> str:
    """That the point fails, or was not asked, because of another; empty where that is not so."""
    if check.follows_from is None or check.passed is True:
        return ""
    name = labels.CHECKS.get(check.follows_from, check.follows_from)
    return tell(f"Because of the point “{name}”.", f"「{name}」が成り立たないためです。")


def _below(check: Check) -> str:
    """What a fault costs and what to do about it, or whose consequence it is."""
    if check.passed is not False or check.follows_from:
        return _because(check)
    cost, remedy = labels.CHECK_COSTS.get(check.name, ""), labels.CHECK_REMEDIES.get(check.name, "")
    said = [hints.told("COST", text=cost) if cost else "", hints.told("REMEDY", text=remedy) if remedy else ""]
    return tell(" ", "").join(each for each in said if each)


def _table(report: CheckReport) -> Table:
    rows = []
    for check in report.checks:
        tone, word = _WORDS[check.passed]
        size = "–" if check.worst is None else number(check.worst, 2)
        allowed = "" if check.tolerance is None else hints.told("ALLOWED_SIZE", size=number(check.tolerance, 2))
        detail = Cell(_detail(check), _below(check))
        answer = Cell(getattr(labels, word), tone=tone)
        rows.append(Row([Cell(_name(check), check.name), answer, Cell(size, allowed), detail]))
    return Table(labels.CONTRACT, labels.COLUMNS_CHECK, rows, cards=True, numeric=False)


def _asked(report: CheckReport) -> str:
    """In which precisions, on how many positions, within what; empty in results from before that was recorded."""
    settings = report.settings
    if not settings:
        return ""
    precisions = tell(" and ", " と ").join(report.model.get("checked_in", []))
    floors = ", ".join(f"{number(size, 2)} ({name})" for name, size in settings["tolerances"].items())
    positions = integer(settings["positions"])
    further = (
        ""
        if settings["thorough"]
        else tell(" Longer windows and higher ages: --thorough.", "より長い窓と高い年齢は --thorough で調べます。")
    )
    return tell(
        f"Asked in {precisions}, on up to {positions} positions. Two ways of reading may differ by {floors} of the "
        f"largest value, and by more only where this model magnifies rounding.{further}",
        f"{precisions} で、最大 {positions} 位置まで調べました。二つの読み方の差は最大の値の {floors} まで認め、"
        f"このモデルが丸め誤差を拡大するところだけそれより大きい差も認めます。{further}",
    )


def _terminal(report: CheckReport) -> list[str]:
    lines = []
    for check in report.checks:
        measured = ""
        if check.worst is not None and check.tolerance and check.passed is not None:
            measured = f"  {number(check.worst, 2)} ({hints.told('ALLOWED_SIZE', size=number(check.tolerance, 2))})"
        lines.append(f"{padded(getattr(labels, _WORDS[check.passed][1]), 12)}{_name(check)}{measured}")
        told = [_parts(check)] if check.passed else [_detail(check), _below(check)]
        if _because(check):
            told = [_because(check)]
        lines += [wrapped(each, indent=" " * 12) for each in told if each]
    asked = [wrapped(_asked(report))] if _asked(report) else []
    return ["\n".join(lines), *asked, *terminal_notes(report.notes)]


def _next_steps(report: CheckReport) -> list[Step]:
    data = "" if report.command.data else None
    thorough = command("check", report.command, "--thorough", data=data)
    if not report.passed:
        mended = [
            Step(tell(f"Mend “{_name(check)}”: {remedy}.", f"「{_name(check)}」を直します。{remedy}。"))
            for check in report.causes
            if (remedy := labels.CHECK_REMEDIES.get(check.name))
        ]
        again = tell(
            "Change the model so; more positions would find the same. Then check it again:",
            "このようにモデルを直します。位置を増やしても結果は同じです。そのあとでもう一度検査します：",
        )
        same = thorough if report.settings.get("thorough") else command("check", report.command, data=data)
        return [*mended, Step(again, same)]
    measure = Step(
        tell("Measure how the model does past its training context:", "学習文脈長を超えたときのモデルを測ります："),
        command("evaluate", report.command, "--train-context TRAIN_CONTEXT"),
    )
    longer = Step(
        tell(
            f"What goes wrong only past {integer(report.settings.get('positions', 0))} positions is found by:",
            f"{integer(report.settings.get('positions', 0))} 位置を超えてから現れる問題は、次で見つかります：",
        ),
        thorough,
    )
    return [measure, *([longer] if report.settings and not report.settings["thorough"] else [])]


TELLING = Telling(
    record=CheckReport,
    name=lambda: labels.CHECK,
    model=lambda report: report.model,
    badge=_badge,
    headline=_headline,
    figures=_figures,
    sections=lambda report, key: [
        Section(labels.CONTRACT, [*([Paragraph(said)] if (said := _asked(report)) else []), _table(report)]),
        *noted(report.notes),
    ],
    terminal=_terminal,
    next_steps=_next_steps,
    facts=lambda report: about_model(report.model, report.outlast),
    glossary=glossary.CHECKED,
)
