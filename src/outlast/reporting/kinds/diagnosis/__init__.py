"""How a diagnosis is told: the page, and its words in English and in Japanese."""

from __future__ import annotations

import textwrap

from outlast.reporting import labels
from outlast.reporting.commands import Step, command, context
from outlast.reporting.kinds import evaluation
from outlast.reporting.kinds.diagnosis import en
from outlast.reporting.kinds.diagnosis.page import WORDINGS, article, headline
from outlast.reporting.kinds.telling import Telling
from outlast.reporting.text_table import WIDTH
from outlast.results import Diagnosis


def _terminal(diagnosis: Diagnosis) -> list[str]:
    lines = []
    for cause in diagnosis.causes:
        word = {True: labels.FOUND, False: labels.NOT_FOUND, None: labels.NOT_ASKED}[cause.found]
        lines.append(f"{word:<11}{labels.CAUSE_NAMES[cause.name]}")
        if cause.found:
            indent = " " * 11
            lines += [
                textwrap.fill(each, WIDTH, initial_indent=indent, subsequent_indent=indent) for each in cause.because
            ]
    return [*evaluation.terminal(diagnosis.evaluation), "\n".join(lines)]


def _next_steps(diagnosis: Diagnosis) -> list[Step]:
    """What the evaluation inside would advise; where arithmetic or the named length is wrong, that comes first."""
    main, measured = diagnosis.main, diagnosis.evaluation
    if main is not None and main.name == "numerics":
        again = command("diagnose", measured.command, context(measured), model="MODEL_IN_FLOAT32")
        return [Step("Keep the state in float32 and diagnose the model again:", again)]
    if main is not None and main.name == "train_context":
        again = command("diagnose", measured.command, "--train-context TRAINED_ON")
        return [Step("Name the length that the model was trained on, and diagnose it again:", again)]
    return evaluation.next_steps(measured)


TELLING = Telling(
    record=Diagnosis,
    name=labels.DIAGNOSIS,
    model=lambda diagnosis: diagnosis.model,
    badge=lambda diagnosis: evaluation.badge(diagnosis.evaluation),
    headline=lambda diagnosis: headline(diagnosis, en),
    figures=lambda diagnosis: evaluation.figures(diagnosis.evaluation),
    sections=lambda diagnosis, key: [],
    terminal=_terminal,
    next_steps=_next_steps,
    facts=lambda diagnosis: evaluation.facts(diagnosis.evaluation),
    glossary={language: wording.GLOSSARY_ENTRIES for language, wording in WORDINGS.items()},
    page=article,
)
