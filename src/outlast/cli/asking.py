"""Questions about what was typed, each answer as the whole command to paste."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from outlast.cli.options import VERBS
from outlast.cli.parsing import is_option
from outlast.errors import Question, flagged


def asked(question: Question, name: str, rest: Sequence[str]) -> str:
    """A question with a command for every choice, where the verb has the options; otherwise as Python has them.

    Args:
        name: of the verb; rest: what was typed behind it.
    """
    verb, fields = name.split(), {item.name for item in dataclasses.fields(VERBS[name])}
    if not all(option in fields for choice in question.choices for option in choice.options):
        return str(question)
    return question.typed(
        lambda options: shlex.join(["outlast", *verb, *amended(rest, options)]),
        lambda options: shlex.join(amended([], options)),
    )


def amended(words: Sequence[str], options: Mapping[str, Any]) -> list[str]:
    """What was typed, with these options in the place of what was said of them."""
    flags = {f"--{name.replace('_', '-')}" for name in options}
    kept, dropping = [], False
    for word in words:
        if is_option(word):
            dropping = word.partition("=")[0].replace("_", "-") in flags
        if not dropping:
            kept.append(word)
    for name, value in options.items():
        kept += flagged(name, value)
    return kept
