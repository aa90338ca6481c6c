"""How a timeline is told: how it stands now, one picture of losses, stages and incidents, and what happened."""

from __future__ import annotations

import shlex

from outlast.reporting.commands import Step
from outlast.reporting.elements import Section
from outlast.reporting.facts import Facts, about_model
from outlast.reporting.kinds.telling import Telling
from outlast.reporting.kinds.timeline import page
from outlast.reporting.kinds.timeline import sentences as say
from outlast.reporting.kinds.timeline.figure import picture
from outlast.reporting.kinds.timeline.reasons import words
from outlast.reporting.text_table import wrapped
from outlast.reporting.words import glossary
from outlast.reporting.words.language import tell
from outlast.reporting.words.numbers import integer
from outlast.results import Timeline

_LEDGER = "runs/live"
"""Where the command line looks unless it is told otherwise."""
_TERMINAL = 8
"""Of what happened, in a terminal."""


def _badge(told: Timeline) -> tuple[str, str]:
    if told.now is None:
        return "plain", words.BADGES["nothing"]
    if told.harmful_now:
        return "bad", words.BADGES["harmful"]
    return ("warn", words.BADGES["open"]) if told.open_now else ("good", words.BADGES["quiet"])


def _figures(told: Timeline) -> list[tuple[str, str]]:
    changes = len(told.at_work) + told.left_out.get("at_work", 0) - 1
    return [
        (words.FIGURE_ROWS, integer(told.rows)),
        (words.FIGURE_ASIDE, integer(told.aside)),
        (words.FIGURE_INCIDENTS, say.seen(told)),
        (words.FIGURE_CANDIDATES, integer(len(told.candidates) + told.left_out.get("candidates", 0))),
        (words.FIGURE_CHANGES, integer(max(0, changes))),
    ]


def _sections(told: Timeline, key: str) -> list[Section]:
    return [
        Section(words.PICTURE, picture(told, key)),
        Section(words.HAPPENED, page.events(told)),
        Section(words.CANDIDATES, page.gates(told)),
        Section(words.INCIDENTS, page.incidents(told)),
    ]


def _terminal(told: Timeline) -> list[str]:
    happened = page.happened(told)[-_TERMINAL:]
    lines = []
    for each in happened:
        when, count = say.clock(each.when), say.rows(each.when.rows)
        who, what = each.about, each.status
        lines.append(tell(f"{when}, {count}: {who} {what}", f"{when}、{count}：{who} {what}"))
    figures = "\n".join(wrapped(tell(f"{name}: {value}", f"{name}：{value}")) for name, value in _figures(told))
    return [figures, *(["\n".join(map(wrapped, lines))] if lines else [])]


def _typed(told: Timeline, verb: str, *options: str) -> str:
    place = [] if told.ledger == _LEDGER else ["--ledger", shlex.quote(told.ledger)]
    return " ".join(["outlast live", verb, *place, *options])


def _next_steps(told: Timeline) -> list[Step]:
    steps = []
    if told.now is None:
        text = tell("Put a first model to work:", "最初のモデルの運用を始めます：")
        return [Step(text, _typed(told, "deploy", "--model MODEL", "--profile PROFILE", "--by NAME"))]
    if told.harmful_now:
        text = tell("Look at what hurts now:", "今害のある異常を見ます：")
        steps.append(Step(text, _typed(told, "incidents list", "--open")))
    for one in told.candidates:
        passed = any(each.stage == one.status and each.passed for each in one.gates)
        if one.status == "gated" or (one.status in ("shadow", "canary") and passed):
            text = tell(
                f"Candidate {one.number} may go on, if a person says so:",
                f"候補 {one.number} は、人の承認があれば次へ進めます：",
            )
            steps.append(Step(text, _typed(told, "approve", str(one.number), "--by NAME")))
    if not steps:
        text = tell("Nothing has to be done. How the run stands:", "何もする必要はありません。実行の状況：")
        steps.append(Step(text, _typed(told, "status")))
    return steps


def _facts(told: Timeline) -> Facts:
    facts: Facts = [(words.FACT_LEDGER, told.ledger)]
    if told.last is not None:
        facts.append((words.FACT_LAST, told.last.at.replace("T", " ")))
    for model, candidate in say.names(told).items():
        who = say.name(candidate)
        facts.append((f"{words.FACT_VERSION} · {who}", f"{model[:12]}…"))
    return [*facts, *about_model(told.model, told.outlast)]


TELLING = Telling(
    record=Timeline,
    name=lambda: words.TIMELINE,
    model=lambda told: told.model,
    badge=_badge,
    headline=say.headline,
    lead=say.lead,
    figures=_figures,
    sections=_sections,
    terminal=_terminal,
    next_steps=_next_steps,
    facts=_facts,
    glossary=glossary.AT_WORK,
)
