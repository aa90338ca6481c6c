"""Options in a text, as its reader has to write them: ``--missing hold`` in a shell, ``missing='hold'`` in Python.

A message is written once, with options in either way: ``--horizon``, ``--missing hold`` or ``missing='hold'``. A value
behind a flag is told from the sentence by beginning with a digit, or by what follows it: a bracket, a comma, the end.
Where a sentence has its value in the middle, it is written as in Python, which leaves nothing to guess.
"""

from __future__ import annotations

import ast
import contextlib
import re
import shlex
from collections.abc import Collection, Iterator, Mapping
from typing import Any

_OTHER_NAMES = {
    "scored": "targets",
    "most_streams": "streams",
    "measure": "measures",
    "scenario": "scenarios",
    "text_split": "split",
}
"""What Python calls an option otherwise, by the flag's name."""
_VALUE = r"\d[\w.]*|(?!or |and )[\w.%#-]+(?=[),;:]|\.?$|\.? *\n| --[a-z])"
_FLAG = re.compile(rf"(?<![\w-])--(?!onnx-)([a-z][a-z-]*[a-z])(?! on the command line)(?: ({_VALUE}))?")
"""ONNX files' options are no arguments of the same name; what says where it belongs stays."""
_SEVERAL = re.compile(r"(=(?:'[^'\n]*'|[\d.]+)) (?=[a-z_]+=['\d])")
_COMMAND = re.compile(r"outlast(?: [a-z]+){1,3} --.*|(?:hf|pip) [a-z]+ .*")
"""A line for a shell, which is the same wherever it is read."""
_ARGUMENT = re.compile(r"(?<![\w.:/=-])([a-z][a-z_]*)=(?=['\"\d[{T])")

_shell: Collection[str] = ()


@contextlib.contextmanager
def in_a_shell(options: Collection[str]) -> Iterator[None]:
    """While this lasts, texts are for somebody who types.

    Args:
        options: names that are options, as fields of verbs have them: ``train_context``.
    """
    global _shell
    before, _shell = _shell, options
    try:
        yield
    finally:
        _shell = before


def spelt(text: str) -> str:
    """A text for whoever reads it: for a shell within `in_a_shell`, for Python elsewhere."""
    return typed(text, _shell) if _shell else called(text)


def called(text: str) -> str:
    """A text with its options as arguments of a call; commands in it stay."""
    found, end = [], 0
    for command in _COMMAND.finditer(text):
        found += [_FLAG.sub(_as_argument, text[end : command.start()]), command[0]]
        end = command.end()
    return _SEVERAL.sub(r"\1, ", "".join([*found, _FLAG.sub(_as_argument, text[end:])]))


def written(flags: str) -> str:
    """Words of a command line, all of them options, as they are written in messages: ``classes=['idle', 'run']``."""
    found: dict[str, list[str]] = {}
    for word in shlex.split(flags):
        if word.startswith("--"):
            found[word[2:].replace("-", "_")] = []
        else:
            found[[*found][-1]].append(word)
    return ", ".join(f"{name}={values if len(values) > 1 else values[0]!r}" for name, values in found.items())


def _as_argument(flag: re.Match[str]) -> str:
    name, value = flag[1].replace("-", "_"), flag[2]
    name = _OTHER_NAMES.get(name, name)
    if value is None:
        return f"{name}="
    return f"{name}={value}" if re.fullmatch(r"\d+(\.\d+)?", value) else f"{name}={value!r}"


def typed(text: str, options: Collection[str]) -> str:
    """A text with arguments of a call as options of a command line; calls in it, such as pandas', stay."""
    found, end = [], 0
    for each in _ARGUMENT.finditer(text):
        if each[1] not in options or each.start() < end or _in_a_call(text[: each.start()]):
            continue
        if (literal := _literal(text[each.end() :])) is None:
            continue
        found += [text[end : each.start()], shlex.join(flagged(each[1], ast.literal_eval(literal)))]
        end = each.end() + len(literal)
    return "".join([*found, text[end:]])


def flagged(name: str, value: Any) -> list[str]:
    """An option and its value as words of a command line."""
    if isinstance(value, Mapping):  # names, each with what is said of it, if anything
        value = [f"{key}={','.join(map(str, said))}" if said else key for key, said in value.items()]
    several = value if isinstance(value, list | tuple) else [] if value is True else [value]
    return [f"--{name.replace('_', '-')}", *map(str, several)]


def _in_a_call(before: str) -> bool:
    """Whether a text ends within the brackets of a call."""
    depth = 0
    for at in range(len(before) - 1, -1, -1):
        depth += (before[at] == ")") - (before[at] == "(")
        if depth < 0:
            return bool(re.search(r"\w$", before[:at]))
    return False


def _literal(text: str) -> str | None:
    """The value that a text begins with, as it is written; None: it begins with none."""
    for pattern in (r"'[^'\n]*'", r'"[^"\n]*"', r"\[[^]\n]*\]", r"\{[^}\n]*\}", r"\d+(\.\d+)?(?![\w.]*\w)", r"True\b"):
        if found := re.match(pattern, text):
            with contextlib.suppress(ValueError, SyntaxError):
                ast.literal_eval(found[0])
                return found[0]
    return None
