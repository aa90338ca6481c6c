"""From arguments on the command line, and keys of a TOML file, to the options of a verb.

The parser is tyro. What it would say in boxes is said here as every other error is: given, expected, what to do.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import itertools
import json
import re
from pathlib import Path
from typing import Any, TypeVar

import tyro

from outlast.cli.described import flag_of
from outlast.cli.helping import help_of
from outlast.cli.options import LEAST, VERBS
from outlast.errors import InputError, unknown_name
from outlast.given_files import read_toml

Verb = TypeVar("Verb")
_ALIASES = {"-T": "train_context", "--targets": "scored"}
"""Other ways to type an option."""
_OLD_KEYS = {"targets": "scored"}
"""Names that options had, in TOML files."""
_HELP = ("-h", "--help")
MOST = 2**62
"""The largest whole number that an option takes: what comes of it still fits 64 bits."""
_KINDS = {
    "tuple[float, float, float]": "three numbers",
    "tuple[float, ...]": "numbers",
    "tuple[int, int]": "two whole numbers",
    "dict": "pairs of a name and a value, such as width 64",
    "int": "a whole number",
    "float": "a number",
    "bool": "no value: it is on where it stands",
}
"""What annotations mean to a person; the first that is part of an annotation counts."""


def parse(verb: type[Verb], arguments: list[str]) -> Verb:
    """The verb's options from the command line, over those of --config FILE.toml, over the defaults.

    Raises:
        InputError: an option that is not there, a value that does not fit, a required option that is missing.
        SystemExit: after --help.
    """
    arguments, config = _take_config(arguments)
    fields = {item.name: item for item in dataclasses.fields(verb)}  # pyright: ignore[reportArgumentType]
    name = next(name for name, kind in VERBS.items() if kind is verb)
    if any(word in _HELP for word in arguments):
        print(help_of(name, verb))
        raise SystemExit(0)
    given = _names(name, arguments, fields)
    from_file = _arguments(config, fields, given) if config else {}
    _require(name, fields, given | set(from_file))
    arguments = gathered([*(word for each in from_file.values() for word in each), *arguments], "--scenario")
    arguments = shares_spread(arguments)
    _tell_targets_apart(arguments)
    options = _cli(verb, name, arguments, f"{config}" if config else None, from_file)
    for option, least in LEAST.items():
        value = getattr(options, option, None)
        if value is not None and value < least:
            raise InputError(f"{_flag(option)} {value}", f"at least {least}", f"see outlast {name} --help")
    for option in fields:
        value = getattr(options, option)
        if isinstance(value, int) and value > MOST:
            raise InputError(f"{_flag(option)} {value}", f"at most {MOST:,}", f"see outlast {name} --help")
    return options


def _cli(
    verb: type[Verb], name: str, arguments: list[str], config: str | None, from_file: dict[str, list[str]]
) -> Verb:
    markers = (tyro.conf.FlagCreatePairsOff, tyro.conf.DisallowNone)
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(verb, prog=f"outlast {name}", args=arguments, config=markers)
    except SystemExit:
        wrong = _plain(said.getvalue())
    for item in dataclasses.fields(verb):  # pyright: ignore[reportArgumentType]
        if re.search(rf"{re.escape(_spelt(item))}(?![\w-])", wrong):
            where = f" (key {item.name} in {config})" if from_file.get(item.name) else ""
            expected = f"{_spelt(item)} with {_kind(str(item.type))}"
            raise InputError(_as_given(item, arguments) + where, expected, f"see outlast {name} --help")
    raise InputError(wrong, "options and values as its help lists them", f"see outlast {name} --help")


def _plain(drawn: str) -> str:
    """The first paragraph of a message under a title, on one line, without colours and the box around it."""
    lines = [line.strip("│╰╯ ") for line in re.sub(r"\x1b\[[\d;]*m", "", drawn).splitlines()]
    body = lines[1:] if lines[0].startswith("╭") else lines[2:]  # the title is in the border, or underlined
    first = itertools.takewhile(lambda line: not re.fullmatch("[─-]{4,}", line), body)
    return " ".join(line for line in first if line)


def _as_given(option: dataclasses.Field[Any], arguments: list[str]) -> str:
    """An option and its values as they stand among the arguments."""
    flags = [_spelt(option), *(alias for alias, name in _ALIASES.items() if name == option.name)]
    start = max((i for i, word in enumerate(arguments) if word.partition("=")[0] in flags), default=None)
    if start is None:
        return flags[0]
    values = itertools.takewhile(lambda word: not is_option(word), arguments[start + 1 :])
    return " ".join([arguments[start], *values])


def _kind(annotation: str) -> str:
    """What an option takes, in words."""
    for pattern, taken in _KINDS.items():
        if pattern in annotation:
            return taken
    choices = re.search(r"Literal\[(.*?)\]", annotation)
    return re.sub("[\"']", "", choices[1]).replace(", ", " or ") if choices else "a value"


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _spelt(item: dataclasses.Field[Any]) -> str:
    """An option as one types it: what is on by itself is turned off, --no-control."""
    return flag_of(item.name, item.default)


def is_option(word: str) -> bool:
    """Whether a word is the name of an option, perhaps with its value behind ``=``."""
    return word in _ALIASES or re.match(r"--[A-Za-z]", word) is not None


def gathered(arguments: list[str], flag: str) -> list[str]:
    """The arguments with all values of an option that stands several times behind its first one."""
    rest: list[str] = []
    values: list[str] = []
    place, inside = None, False
    for word in arguments:
        name, equals, value = word.partition("=")
        if name == flag:
            place, inside = (len(rest) if place is None else place), not equals
            values += [value] if equals else []
        elif inside and not is_option(word):
            values.append(word)
        else:
            inside = False
            rest.append(word)
    return arguments if place is None else [*rest[:place], flag, *values, *rest[place:]]


def shares_spread(arguments: list[str]) -> list[str]:
    """The arguments with --shares as three numbers, also where they stand as 0.6/0.15/0.25 or 60%/15%/25%."""
    spread: list[str] = []
    at_shares = False
    for word in arguments:
        flag, equals, value = word.partition("=")
        if is_option(word):
            at_shares = flag == "--shares"
            spread += [flag, *_numbers(value)] if at_shares and equals else [word]
        else:
            spread += _numbers(word) if at_shares else [word]
    return spread


def _numbers(word: str) -> list[str]:
    """The parts of 60%/15%/25% (or with commas between them) as plain numbers; what is none stays as it is."""
    found = []
    for part in re.split("[/,]", word):
        try:
            found.append(repr(float(part[:-1]) / 100) if part.endswith("%") else part)
        except ValueError:
            return [word]
    return found


def _tell_targets_apart(arguments: list[str]) -> None:
    """Whoever gives --targets a column means --target."""
    for word, value in itertools.zip_longest(arguments, arguments[1:]):
        flag, equals, own = word.partition("=")
        value = own if equals else value
        if flag == "--targets" and value and re.match(r"[^\W\d]", value):
            raise InputError(
                f"--targets {value}",
                "--target with the column to forecast, or --scored with how many positions are scored (--targets is "
                "its old name)",
                f"write --target {value} if that is a column; for positions, --scored with a whole number",
            )


def _names(verb: str, arguments: list[str], fields: dict[str, Any]) -> set[str]:
    """Names of the options among the arguments; an InputError for one that the verb does not have."""
    names, known = set(), {_spelt(item): name for name, item in fields.items()}
    for word in arguments:
        if word.partition("=")[0] in _ALIASES and _ALIASES[word.partition("=")[0]] in fields:
            names.add(_ALIASES[word.partition("=")[0]])
        elif is_option(word):
            given = word.partition("=")[0]
            if given.replace("_", "-") not in known:
                raise unknown_name(f"option of outlast {verb}", given, known)
            names.add(known[given.replace("_", "-")])
    return names


def _require(verb: str, fields: dict[str, Any], given: set[str]) -> None:
    missing = [
        _flag(name)
        for name, item in fields.items()
        if name not in given and item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise InputError(
            f"outlast {verb} without {', '.join(missing)}",
            "every required option, on the command line or in the file of --config",
            f"see outlast {verb} --help",
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


def _arguments(path: Path, fields: dict[str, Any], given: set[str]) -> dict[str, list[str]]:
    """The keys of a TOML file as arguments of the command line, by option; without those that are `given` there."""
    try:
        record = read_toml(path)
    except (OSError, ValueError, RecursionError) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(
            f"--config {path}, which cannot be read ({why})", "a TOML file of key = value lines", "check the file"
        ) from None
    arguments: dict[str, list[str]] = {}
    off = {f"no_{name}": name for name, item in fields.items() if item.default is True}
    for key, value in record.items():
        name = _OLD_KEYS.get(key, key.replace("-", "_"))
        if name not in fields and name not in off:
            raise unknown_name(f"key in {path}", key, fields)
        item = fields[off.get(name, name)]
        if item.name in arguments:
            raise InputError(f"{key} twice in {path}", "every key once", "delete one of them")
        arguments[item.name] = [] if item.name in given else _value(path, key, value, item, off=name in off)
    return arguments


def _value(path: Path, key: str, value: Any, item: dataclasses.Field[Any], *, off: bool) -> list[str]:
    """One key as arguments; the parser then reads them as it reads those of the command line.

    Args:
        off: the key turns off what is on by itself, as no_control does.
    """
    kind = str(item.type)
    switch = isinstance(item.default, bool) or "Given[bool]" in kind
    if item.name == "shares" and isinstance(value, str):
        return [_spelt(item), value]  # 0.6/0.15/0.25, as on the command line
    flag = [] if "Positional" in kind else [_spelt(item)]
    several, table = "tuple[" in kind or "Listed[" in kind, "dict[" in kind
    fits = {list: several, dict: table, bool: switch}.get(type(value), not table)  # one value is a list of one
    if switch and not isinstance(value, bool):
        fits = False
    if not fits:
        wanted = "a list" if several else "a table" if table else "true or false" if switch else "one value"
        raise InputError(f"{key} = {value!r} in {path}", wanted, f"write {key} as TOML writes {wanted}")
    if isinstance(value, bool):
        return flag if (value != off) != bool(item.default) else []
    if isinstance(value, dict):
        return [*flag, *(str(word) for pair in value.items() for word in pair)]
    items = value if isinstance(value, list) else [value]
    return [*flag, *(json.dumps(each) if isinstance(each, dict) else str(each) for each in items)]
