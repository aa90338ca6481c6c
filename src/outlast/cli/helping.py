"""What --help prints: what a verb is for, its options in named groups, and one command to begin with."""

from __future__ import annotations

import inspect
import itertools
import shutil
import textwrap
from typing import Any

from outlast.cli.described import Option, options_of
from outlast.cli.groups import EXAMPLES

_INDENT, _COLUMN, _WIDEST = 2, 26, 100


def help_of(name: str, verb: type[Any]) -> str:
    """The help of a verb, at most 100 columns wide."""
    width = max(60, min(_WIDEST, shutil.get_terminal_size().columns))
    first, *rest = inspect.cleandoc(verb.__doc__ or "").split("\n\n")
    about = [textwrap.fill(" ".join(each.split()), width) for each in (first, *rest)]
    options = options_of(verb)
    places = "".join(f" [{each.takes}]" for each in options if not each.flags)
    parts = [f"usage: outlast {name}{places} [options]", *about]
    for title, several in itertools.groupby(options, key=lambda each: each.group):
        parts.append("\n".join([f"{title}:", *(_lines(each, width) for each in several)]))
    everywhere = Option("help", ("-h", "--help"), "", "Show this.", "", (), False, False)
    config = Option("config", ("--config",), "FILE", "Every option may stand in a TOML file.", "", (), True, False)
    parts.append("\n".join(["Everywhere:", *(_lines(each, width) for each in (config, everywhere))]))
    return "\n\n".join([*parts, f"Example:\n{_command(EXAMPLES[name], width)}"])


def _lines(option: Option, width: int) -> str:
    """An option, its values, and beside them or below them what it is for."""
    head = " " * _INDENT + f"{', '.join(option.flags) or option.name.upper()} {option.takes}".rstrip()
    said = textwrap.wrap(option.said, width - _COLUMN, break_on_hyphens=False, break_long_words=False)
    if len(head) + 2 > _COLUMN:
        return "\n".join([head, *(" " * _COLUMN + line for line in said)])
    return "\n".join([head.ljust(_COLUMN) + (said[0] if said else ""), *(" " * _COLUMN + line for line in said[1:])])


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
