"""How a diagnosis is told: the page, its words and its evidence."""

from __future__ import annotations

from outlast.reporting import glossary
from outlast.reporting.commands import Step, command, context
from outlast.reporting.kinds import evaluation
from outlast.reporting.kinds.diagnosis import evidence
from outlast.reporting.kinds.diagnosis import sentences as say
from outlast.reporting.kinds.diagnosis.page import article, headline, key_figures
from outlast.reporting.kinds.diagnosis.words import words
from outlast.reporting.kinds.telling import Telling
from outlast.reporting.labels import labels
from outlast.reporting.text_table import padded, wrapped
from outlast.results import Diagnosis

_INDENT = 12


def _terminal(diagnosis: Diagnosis) -> list[str]:
    lines = []
    for cause in diagnosis.causes:
        lines.append(f"{padded(words.FOUND[cause.found], _INDENT)}{labels.CAUSE_NAMES[cause.name]}")
        if cause.found is not False:
            lines.append(wrapped(evidence.plain(cause), indent=" " * _INDENT))
    return [*evaluation.terminal(diagnosis.evaluation), *(["\n".join(lines)] if lines else [])]


def _next_steps(diagnosis: Diagnosis) -> list[Step]:
    """What the evaluation inside would advise; where arithmetic or the named length is wrong, that comes first."""
    main, measured = diagnosis.main, diagnosis.evaluation
    if main is not None and main.name == "numerics":
        again = command("diagnose", measured.command, context(measured), model="MODEL_IN_FLOAT32")
        return [Step(say.advice(main.name, "fails"), again)]
    if main is not None and main.name == "train_context":
        again = command("diagnose", measured.command, "--train-context TRAINED_ON")
        return [Step(say.advice(main.name, "fails"), again)]
    return evaluation.next_steps(measured)


TELLING = Telling(
    record=Diagnosis,
    name=lambda: labels.DIAGNOSIS,
    model=lambda diagnosis: diagnosis.model,
    badge=lambda diagnosis: evaluation.badge(diagnosis.evaluation),
    headline=headline,
    figures=key_figures,
    sections=lambda diagnosis, key: [],
    terminal=_terminal,
    next_steps=_next_steps,
    facts=lambda diagnosis: evaluation.facts(diagnosis.evaluation),
    glossary=glossary.DIAGNOSED,
    page=article,
)
