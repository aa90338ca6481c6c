"""How a diagnosis is told: the page, its words and its evidence."""

from __future__ import annotations

from outlast.reporting import verdict_reasons
from outlast.reporting.commands import Step
from outlast.reporting.kinds import evaluation
from outlast.reporting.kinds.diagnosis import evidence, page
from outlast.reporting.kinds.diagnosis.page import article, headline, key_figures
from outlast.reporting.kinds.telling import Telling
from outlast.reporting.text_table import padded, wrapped
from outlast.reporting.words import captions, glossary
from outlast.reporting.words.labels import labels
from outlast.results import Diagnosis

_INDENT = 12


def _terminal(diagnosis: Diagnosis) -> list[str]:
    """What to take away first, then the causes, then what the verdict rests on."""
    taken = "\n".join(_named(name, text) for name, text in page.rows(diagnosis))
    lines = []
    for cause in diagnosis.causes:
        lines.append(f"{padded(page.answer(diagnosis, cause)[0], _INDENT)}{labels.CAUSE_NAMES[cause.name]}")
        if cause.found is not False:
            lines.append(wrapped(evidence.plain(cause), indent=" " * _INDENT))
    causes = "\n".join(lines)
    return [*(each for each in (taken, causes) if each), *evaluation.terminal(diagnosis.evaluation)]


def _named(name: str, text: str) -> str:
    """A name, and beside it a paragraph."""
    return padded(name, _INDENT) + wrapped(text, indent=" " * _INDENT).lstrip()


def _next_steps(diagnosis: Diagnosis) -> list[Step]:
    """What helps against the cause that was found; where none was, what the evaluation inside would advise."""
    measured = diagnosis.evaluation
    if measured.verdict is None or measured.verdict.name in page.UNFIT:
        return evaluation.next_steps(measured)
    return page.steps(diagnosis)


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
    lead=lambda diagnosis: verdict_reasons.doubt(diagnosis.evaluation),
    measured_on=lambda diagnosis: captions.shorter(diagnosis.evaluation),
    glossary=glossary.DIAGNOSED,
    page=article,
)
