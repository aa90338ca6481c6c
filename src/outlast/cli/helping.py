"""What --help prints: what a verb is for, its options in named groups, and one command to begin with."""

from __future__ import annotations

import inspect
import itertools
import shutil
import textwrap
from typing import Any

from outlast.cli.described import Option, in_groups
from outlast.cli.groups import EXAMPLES

_INDENT, _COLUMN, _WIDEST = 2, 26, 100


def help_of(name: str, verb: type[Any]) -> str:
    """The help of a verb, at most 100 columns wide."""
    width = max(60, min(_WIDEST, shutil.get_terminal_size().columns))
    first, *rest = inspect.cleandoc(verb.__doc__ or "").split("\n\n")
    about = [textwrap.fill(" ".join(each.split()), width) for each in (first, *rest)]
    options = in_groups(verb)
    places = "".join(f" [{each.takes}]" for each in options if not each.flags)
    parts = [f"usage: outlast {name}{places} [options]", *about]
    for title, several in itertools.groupby(options, key=lambda each: each.group):
        parts.append("\n".join([f"{title}:", *(_lines(_head(each), each.said, width) for each in several)]))
    config = _lines("--config FILE", "Every option may stand in a TOML file.", width)
    parts.append("\n".join(["Everywhere:", config, _lines("-h, --help", "Show this.", width)]))
    return "\n\n".join([*parts, f"Example:\n{_command(EXAMPLES[name], width)}"])


def _head(option: Option) -> str:
    return f"{', '.join(option.flags) or option.shown} {option.takes}".rstrip()


def _lines(head: str, said: str, width: int) -> str:
    """An option with its values, and beside them or below them what it is for."""
    head = " " * _INDENT + head
    lines = textwrap.wrap(said, width - _COLUMN, break_on_hyphens=False, break_long_words=False)
    if len(head) + 2 > _COLUMN:
        return "\n".join([head, *(" " * _COLUMN + line for line in lines)])
    return "\n".join([head.ljust(_COLUMN) + (lines[0] if lines else ""), *(" " * _COLUMN + line for line in lines[1:])])


def _command(command: str, width: int) -> str:
    """A command on as many lines as it needs, ready to be pasted; no option is torn from its value."""
    lines, line = [], ""
    for piece in command.replace(" --", "\n--").split("\n"):
        if line and len(line) + len(piece) + 5 > width:
            lines.append(line)
            line = f"    {piece}"
        else:
            line = f"{line} {piece}" if line else f"  {piece}"
    return " \\\n".join([*lines, line])
