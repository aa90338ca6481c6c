"""How every kind of result is told. A new kind is one file here and one entry in `TELLINGS`, or an entry point."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from outlast.errors import for_python
from outlast.reporting.commands import Step, in_python
from outlast.reporting.elements import Article
from outlast.reporting.kinds import check, comparison, diagnosis, evaluation, plan, repair, timeline, training, tuning
from outlast.reporting.kinds.telling import Telling, drawing
from outlast.reporting.text_table import wrapped
from outlast.reporting.words.labels import labels
from outlast.reporting.words.language import Language, speaking, tell
from outlast.results import Result
from outlast.results.kinds import OF_PACKAGES

TELLINGS: dict[type[Result], Telling[Any]] = {
    each.record: each
    for each in (
        check.TELLING,
        comparison.TELLING,
        diagnosis.TELLING,
        evaluation.TELLING,
        plan.TELLING,
        repair.TELLING,
        timeline.TELLING,
        training.TELLING,
        tuning.TELLING,
    )
}


def telling_of(result: Result) -> Telling[Any]:
    """How results of this kind are told."""
    return TELLINGS.get(type(result)) or OF_PACKAGES[result.kind]


def badge(result: Result) -> tuple[str, str]:
    return telling_of(result).badge(result)


def headline(result: Result) -> str:
    return telling_of(result).headline(result)


def lead(result: Result) -> str:
    return telling_of(result).lead(result)


def next_steps(result: Result) -> list[Step]:
    return telling_of(result).next_steps(result)


def article(result: Result, key: str) -> Article:
    """A result as an article; `key` tells it from others on the page."""
    return telling_of(result).article(result, key)


def summary(result: Result, language: Language = "en", *, python: bool = False) -> str:
    """The result in plain text: what was found, the figures it rests on, the next thing to do.

    Args:
        python: whether the next thing is a call of Python, not a command.

    Raises:
        InputError: of a language that reports are not told in, or a result of which nothing can be told.
    """
    with speaking(language), drawing(result):
        parts = [
            wrapped(tell(f"{badge(result)[1].upper()}: {headline(result)}", f"{badge(result)[1]}：{headline(result)}"))
        ]
        parts += [wrapped(text) for text in (lead(result), telling_of(result).measured_on(result)) if text]
        parts += telling_of(result).terminal(result)
        parts = [for_python(part) for part in parts] if python else parts
        parts += _first_step(next_steps(result), python=python)
        return "\n\n".join(parts)


def _first_step(steps: Sequence[Step], *, python: bool) -> list[str]:
    """The first thing to do; where it is nothing to type here, the first command behind it too, each with its words.

    Returns:
        One paragraph, or none. Code to copy stands on a line of its own that is never broken.
    """
    typed = [step for step in steps if step.code and (python or step.code.startswith("outlast "))]
    shown = list(dict.fromkeys([*steps[:1], *typed[:1]]))
    if not shown:
        return []
    codes = [in_python(step.code) if python and step.code else step.code for step in shown]
    in_words = python and codes[0] is not None and codes[0].startswith("outlast ")  # what Python has no call for
    if shown == typed[:1] and not in_words:
        return [f"{labels.NEXT_SHORT}: {codes[0]}"]
    texts = [wrapped(f"{labels.NEXT_SHORT}: {shown[0].text}"), *(wrapped(step.text) for step in shown[1:])]
    lines = [[text, *([f"    {code}"] if code else [])] for text, code in zip(texts, codes, strict=True)]
    return ["\n".join(itertools.chain.from_iterable(lines))]
