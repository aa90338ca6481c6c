"""Completion of the command line by the shell: one script for all verbs, made by shtab."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import shtab

from outlast.cli.described import Option, options_of
from outlast.cli.options import VERBS
from outlast.cli.parsing import add
from outlast.errors import InputError

SHELLS = ("bash", "zsh", "tcsh")


def completion(shell: str) -> str:
    """The script that makes a shell complete ``outlast``.

    Raises:
        InputError: a shell that it is not made for.
    """
    if shell not in SHELLS:
        raise InputError(
            f"--print-completion {shell}".rstrip(),
            f"one of {', '.join(SHELLS)}",
            "outlast --print-completion bash > ~/.local/share/bash-completion/completions/outlast",
        )
    return shtab.complete(_parser(), shell)


def _parser() -> argparse.ArgumentParser:
    """A parser of all verbs for shtab to read; each takes what `outlast.cli.parsing` makes its own parser take."""
    parser = argparse.ArgumentParser(prog="outlast", add_help=False)
    parser.add_argument("-h", "--help", action="store_true", help="show the verbs")
    parser.add_argument("--version", action="store_true", help="show the version")
    parser.add_argument("--print-completion", choices=SHELLS, help="print what makes a shell complete outlast")
    verbs = parser.add_subparsers(dest="verb")
    groups: dict[str, Any] = {"": verbs}
    for name, verb in VERBS.items():
        said, words = (verb.__doc__ or "").splitlines()[0], name.split()
        for count in range(1, len(words)):
            group, above = " ".join(words[:count]), groups[" ".join(words[: count - 1])]
            if group not in groups:
                made = above.add_parser(words[count - 1], help=f"{group} VERB", add_help=False)
                made.add_argument("-h", "--help", action="store_true", help="show the verbs")
                groups[group] = made.add_subparsers(dest=group)
        inner = groups[" ".join(words[:-1])].add_parser(words[-1], help=said, description=said, add_help=False)
        inner.add_argument("-h", "--help", action="store_true", help="show the usual options")
        inner.add_argument("--help-all", action="store_true", help="show all options")
        config = inner.add_argument("--config", metavar="FILE", help="A TOML file of options.")
        config.complete = shtab.FILE  # pyright: ignore[reportAttributeAccessIssue]
        for option in options_of(verb):
            _describe(add(inner, option), option)
    return parser


def _describe(added: argparse.Action, option: Option) -> None:
    """Say what a shell shows of an option, and what it offers as its value."""
    added.help = option.said.replace("%", "%%")
    if option.takes:
        added.metavar, added.choices = option.takes, option.choices or None
    if option.kind is Path or option.name in ("model", "base", "repaired"):
        added.complete = shtab.FILE  # pyright: ignore[reportAttributeAccessIssue]
