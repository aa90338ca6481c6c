"""From arguments on the command line, and keys of a TOML file, to the options of a verb; and what --help prints."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import inspect
import itertools
import json
import re
import shutil
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from outlast.cli.described import Option, about_of, first_of, in_groups, options_of
from outlast.cli.options import LEAST
from outlast.errors import InputError, nearest, unknown_name
from outlast.given_files import read_toml

# What --help prints: what a verb is for, its options in named groups, and one command to begin with.

_INDENT, _COLUMN, _WIDEST = 2, 26, 100


def help_of(verb: type[Any], *, whole: bool = False) -> str:
    """The help of a verb, at most 100 columns wide: its most usual options, or all."""
    width = max(60, min(_WIDEST, shutil.get_terminal_size().columns))
    first, *rest = inspect.cleandoc(verb.__doc__ or "").split("\n\n")
    about = [textwrap.fill(" ".join(each.split()), width) for each in (first, *rest)]
    options = in_groups(verb) if whole else first_of(verb)
    more = len(options_of(verb)) - len(options)
    places = "".join(f" [{each.takes}]" for each in options if not each.flags)
    parts = [f"usage: outlast {about_of(verb).name}{places} [options]", *about]
    for title, several in itertools.groupby(options, key=lambda each: each.group):
        parts.append("\n".join([f"{title}:", *(_lines(_head(each), each.said, width) for each in several)]))
    config = _lines("--config FILE", "Every option may stand in a TOML file.", width)
    shows = _lines("-h, --help", "Show the usual options." if more else "Show this.", width)
    every = f"Show {more} more options." if more else "Show all options."
    parts.append("\n".join(["Everywhere:", config, shows, _lines("--help-all", every, width)]))
    return "\n\n".join([*parts, f"Example:\n{_command(about_of(verb).example, width)}"])


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


Verb = TypeVar("Verb")
Settings = TypeVar("Settings")
_HELP, _WHOLE = ("-h", "--help"), "--help-all"
_VALUE = "\0"
"""Stands before every word that is a value: what argparse makes of one that begins with a dash changes with Python."""
_GONE = {("quickstart", "page"): "python -m benchmarks.pages.seeds --page FILE, in a checkout of outlast"}
"""Options that went, by verb and name, and where to."""
MOST = 2**62
"""The largest whole number that an option takes: what comes of it still fits 64 bits."""
_EXAMPLES: dict[type[Any], str] = {int: "64", float: "0.5"}
"""A value of a kind, for an option that has none by itself."""


def parse(verb: type[Verb], arguments: list[str]) -> Verb:
    """The verb's options from the command line, over those of --config FILE.toml, over the defaults.

    Raises:
        InputError: an option that is not there, a value that does not fit, a required option that is missing.
        SystemExit: after --help.
    """
    arguments, config = _take_config(arguments)
    name = about_of(verb).name
    if any(word in (*_HELP, _WHOLE) for word in arguments):
        print(help_of(verb, whole=_WHOLE in arguments))
        raise SystemExit(0)
    options = options_of(verb)
    words, given = _told_apart(name, options, arguments)
    found = argparse.Namespace(**(_from_file(name, config, options, given) if config else {}))
    _require(name, options, given | set(vars(found)))
    parser = argparse.ArgumentParser(f"outlast {name}", "", add_help=False, allow_abbrev=False)
    for option in options:
        add(parser, option, *option.old)
    left = parser.parse_known_intermixed_args(words, found)[1]
    if left:
        given_words = " ".join(word.removeprefix(_VALUE) for word in left)
        raise InputError(
            f"{given_words}, for which there is no place",
            "options and values as its help lists them",
            f"leave it out, or name the option that it is for ({_see(name)})",
        )
    for option in options:
        _hold(option, getattr(found, option.name, None), name)
    return verb(**vars(found))


def settings_of(kind: type[Settings], options: Any, **others: Any) -> Settings:
    """Settings with the options of the same names, and with what `others` say instead."""
    named = {item.name for item in dataclasses.fields(kind)}  # pyright: ignore[reportArgumentType]
    return kind(**{**{name: getattr(options, name) for name in named if hasattr(options, name)}, **others})


def add(parser: argparse.ArgumentParser, option: Option, *more: str) -> argparse.Action:
    """Make a parser take an option, by its flags and `more`, or in its place."""
    flags = (*option.flags, *more)
    if option.kind is bool:
        action = "store_false" if option.item.default is True else "store_true"
        return parser.add_argument(*flags, dest=option.name, action=action, default=argparse.SUPPRESS)
    how: dict[str, Any] = {"action": _Take, "option": option, "nargs": "?" if option.count == 1 else "*"}
    if not flags:
        return parser.add_argument(option.name, default=option.item.default, **how)
    return parser.add_argument(*flags, dest=option.name, default=argparse.SUPPRESS, **how)


class _Take(argparse.Action):
    """Reads an option's value from all that was typed for it."""

    def __init__(self, *, option: Option, **settings: Any) -> None:
        super().__init__(**settings)
        self.option: Option = option

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, flag: str | None = None
    ) -> None:
        words = [word.removeprefix(_VALUE) for word in ([values] if isinstance(values, str) else values or ())]
        if flag is None and not words:
            return  # nothing stands in its place
        value = _read(self.option, words, [flag or self.option.shown, *words], parser.prog.removeprefix("outlast "))
        if self.option.item.metadata.get("extend") or (flag is None and self.option.count is None):
            value = getattr(namespace, self.dest, ()) + value
        setattr(namespace, self.dest, value)


def _read(option: Option, words: Sequence[str], typed: Sequence[str], verb: str, where: str = "") -> Any:
    """An option's value; an InputError where the words, shown as they were `typed`, are not what it takes."""
    try:
        return option.read(words)
    except ValueError:
        pass
    if typed[0] == "--targets" and re.match(r"[^\W\d]", " ".join(words)):  # whoever gives it a column means --target
        raise InputError(
            " ".join(typed),
            "--target with the column to forecast, or --scored with how many positions are scored (--targets is its "
            "old name)",
            f"write --target {words[0]} if that is a column; for positions, --scored with a whole number",
        )
    wanted = f"{option.shown} with {option.wanted}" if option.flags else f"{option.wanted} as {option.shown}"
    raise InputError(" ".join(typed) + where, wanted, f"{_instead(option, words)} ({_see(verb)})")


def _hold(option: Option, value: Any, verb: str) -> None:
    """Raise InputError for a number beyond what its option takes."""
    if option.name in LEAST and value is not None and value < (least := LEAST[option.name]):
        slip = isinstance(value, int) and -value >= least
        meant = f"did you mean {option.shown} {-value}?" if slip else f"write {option.shown} {least}, or more"
        raise InputError(f"{option.shown} {value}", f"at least {least}", f"{meant} ({_see(verb)})")
    if isinstance(value, int) and value > MOST:
        raise InputError(f"{option.shown} {value}", f"at most {MOST:,}", f"write a smaller number ({_see(verb)})")


def _see(verb: str) -> str:
    return f"outlast {verb} --help-all says more"


def _instead(option: Option, words: Sequence[str]) -> str:
    """What to type where an option's value does not fit."""
    near = nearest(words[0], option.choices) if len(words) == 1 else None
    if near is not None:
        return f"did you mean {option.shown} {near}?"
    if option.kind is bool:
        return f"write {option.shown} alone"
    default, called = option.item.default, f"{option.shown} " if option.flags else ""
    known = default if isinstance(default, option.kind) else _EXAMPLES.get(option.kind)
    example = option.choices[0] if option.choices else known if option.kind in _EXAMPLES else None
    if example is None or option.count != 1:
        return f"write {called}{option.takes}"
    return f"write a value there, for example {called}{example}"


def is_option(word: str) -> bool:
    """Whether a word names an option, perhaps with its value behind it; -1e-3, -inf and '-a b' are values."""
    return re.match(r"--[A-Za-z]|-(?!(?i:inf|nan))[A-Za-z]\S*$", word) is not None


def _told_apart(verb: str, options: Sequence[Option], arguments: Sequence[str]) -> tuple[list[str], set[str]]:
    """The words with every value marked as one, and the names of the options among them.

    Raises:
        InputError: an option that the verb does not have.
    """
    known = {flag: option.name for option in options for flag in (*option.flags, *option.old)}
    words: list[str] = []
    given: set[str] = set()
    behind = arguments.index("--") if "--" in arguments else len(arguments)
    for word in arguments[:behind]:
        flag, equals, value = word.partition("=")
        if not is_option(word):
            words.append(_VALUE + word)
            continue
        if word[:2] in known:  # -T8
            flag, equals, value = word[:2], word[2:], word[2:].removeprefix("=")
        spelt = flag.replace("_", "-")
        if spelt not in known:
            raise _unknown(verb, options, flag, words[-1] if words else "")
        given.add(known[spelt])
        words += [spelt, _VALUE + value] if equals else [spelt]
    return [*words, *(_VALUE + word for word in arguments[behind + 1 :])], given


def _refuse_gone(verb: str, name: str, given: str) -> None:
    if (verb, name) in _GONE:
        gone = f"{given}, which outlast {verb} no longer has"
        raise InputError(gone, _GONE[verb, name], "leave it out, or run that")


def _unknown(verb: str, options: Sequence[Option], flag: str, before: str) -> InputError:
    """For an option that a verb does not have; it may be meant as the value of the one right `before` it."""
    name = flag.lstrip("-").replace("-", "_")
    if any(option.name == name and not option.flags for option in options):
        usage = f"outlast {verb}{''.join(f' [{option.takes}]' for option in options if not option.flags)}"
        return InputError(flag, f"{name} in its place, without a name: {usage}", f"leave out {flag}")
    _refuse_gone(verb, name, flag)
    given, near = f"option of outlast {verb} {flag!r}", _near(flag, [each.flags[-1] for each in options if each.flags])
    expected = f"{' or '.join(near)}, or another option of outlast {verb}" if near else f"an option of outlast {verb}"
    meant = f"did you mean {near[0]!r}? All of them: " if near else "choose one of its help: "
    if not flag.startswith("--") and any(before in option.flags and option.takes for option in options):
        meant = f"write {before}={flag} if that is its value. All options: "
    return InputError(given, expected, f"{meant}outlast {verb} --help-all")


def _near(flag: str, known: Sequence[str]) -> list[str]:
    """Up to three options that may be meant, the likeliest first."""
    best, others = nearest(flag, known), difflib.get_close_matches(flag, known, n=3, cutoff=0.65)
    return [*filter(None, [best]), *(each for each in others if each != best)][:3]


def _require(verb: str, options: Sequence[Option], given: set[str]) -> None:
    missing = [option.shown for option in options if option.required and option.name not in given]
    if missing:
        raise InputError(
            f"outlast {verb} without {', '.join(missing)}",
            "every required option, on the command line or in the file of --config",
            f"add {', '.join(missing)} ({_see(verb)})",
        )


def _take_config(arguments: list[str]) -> tuple[list[str], Path | None]:
    rest, config, waiting = [], None, False
    for argument in arguments:
        if waiting:
            config, waiting = Path(argument), False
        elif argument == "--config":
            waiting = True
        elif argument.startswith("--config="):
            config = Path(argument.removeprefix("--config="))
        else:
            rest.append(argument)
    if waiting:
        raise InputError("--config without a file", "--config FILE.toml", "name the file")
    return rest, config


def _from_file(verb: str, path: Path, options: Sequence[Option], given: set[str]) -> dict[str, Any]:
    """The values of a TOML file's keys, by option; without those that are `given` on the command line."""
    try:
        record = read_toml(path)
    except (OSError, ValueError, RecursionError) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(
            f"--config {path}, which cannot be read ({why})", "a TOML file of key = value lines", "check the file"
        ) from None
    known = {option.name: option for option in options}
    old = {flag.removeprefix("--"): option for option in options for flag in option.old}
    off = {f"no_{option.name}": option for option in options if option.item.default is True}
    found: dict[str, Any] = {}
    seen: set[str] = set()
    for key, value in record.items():
        name = key.replace("-", "_")
        option = {**known, **old, **off}.get(name)
        if option is None:
            _refuse_gone(verb, name, key)
            raise unknown_name(f"key in {path}", key, known)
        if option.name in seen:
            raise InputError(f"{key} twice in {path}", "every key once", "delete one of them")
        seen.add(option.name)
        if option.name in given:
            continue
        words = _words(path, key, value, option)
        if isinstance(value, bool):
            if (value != (name in off)) != bool(option.item.default):
                found[option.name] = not option.item.default
        else:
            typed = [option.shown, *words]
            found[option.name] = _read(option, words, typed, verb, f" (key {option.name} in {path})")
    return found


def _words(path: Path, key: str, value: Any, option: Option) -> list[str]:
    """A key's value as one would type it; an InputError where it is of another kind than the option's."""
    several, switch = option.count != 1 and not option.pairs, option.kind is bool
    fits = {list: several, dict: option.pairs, bool: switch}  # one value is a list of one
    if not fits.get(type(value), not option.pairs and not switch):
        wanted = "a list" if several else "a table" if option.pairs else "true or false" if switch else "one value"
        raise InputError(f"{key} = {value!r} in {path}", wanted, f"write {key} as TOML writes {wanted}")
    if isinstance(value, dict):
        return [str(word) for pair in value.items() for word in pair]
    items = value if isinstance(value, list) else [value]
    return [json.dumps(each) if isinstance(each, dict) else str(each) for each in items]
