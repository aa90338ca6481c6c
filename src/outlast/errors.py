"""Errors a person can act on: what was given, what was expected, what to do."""

from __future__ import annotations

import ast
import contextlib
import difflib
import re
import shlex
import sysconfig
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Spelling = Callable[[Mapping[str, Any]], str]
"""What is made of options, by name: how somebody gives them."""


class OutlastError(Exception):
    """Base of every error that outlast raises on purpose; the command line prints it and exits with status 2.

    As a text it has its options as whoever reads it writes them (`spelt`).
    """

    def __str__(self) -> str:
        return spelt(super().__str__())


class InputError(OutlastError):
    """Wrong input.

    Args:
        given: what was found, with the offending value.
        expected: what would have been accepted.
        do: the next thing to try.
    """

    def __init__(self, given: str, expected: str, do: str) -> None:
        self.given: str = given
        self.expected: str = expected
        self.do: str = do
        super().__init__(f"given: {given}\nexpected: {expected}\nwhat to do: {do}")


@dataclass(frozen=True)
class Choice:
    """One way to ask again.

    Args:
        meaning: what it would do, as one tells somebody to do it: ``read the machines apart``.
        options: what to add to the call, by argument.
    """

    meaning: str
    options: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.meaning}: {in_python(self.options)}"


def in_python(options: Mapping[str, Any]) -> str:
    """Options as arguments of a call."""
    return ", ".join(f"{name}={value!r}" for name, value in options.items())


class Question(InputError):
    """Input that can be meant in several ways, or is mended by an option: `choices` say what to add to the same call.

    Args:
        given, expected: as of every `InputError`.
        choices: one or more, the likeliest first.
        otherwise: what else can be done, outside of this call.
    """

    def __init__(self, given: str, expected: str, choices: Sequence[Choice], otherwise: str = "") -> None:
        self.choices: tuple[Choice, ...] = tuple(choices)
        self.otherwise: str = otherwise
        super().__init__(given, expected, "; or ".join([*map(str, choices), *([otherwise] if otherwise else [])]))

    def typed(self, command: Spelling, flags: Spelling) -> str:
        """The message with every choice as a command of its own line.

        Args:
            command: makes it of the choice's options; flags: makes of them what is added to it.
        """
        lines = [f"{choice.meaning}:\n    {command(choice.options)}" for choice in self.choices]
        lines += [spelt(self.otherwise)] if self.otherwise else []
        return f"given: {spelt(self.given)}\nexpected: {spelt(self.expected)}\nwhat to do: " + "\nor ".join(lines)


class Questions(Question):
    """Several questions about one input, with the likeliest answer to each of them as the one choice.

    Args:
        questions: in the order in which they came up, each once those before it were answered as proposed.
        refused: what is wrong with the input where all of them are answered so; None: nothing.
    """

    def __init__(self, questions: Sequence[Question], refused: InputError | None = None) -> None:
        self.questions: tuple[Question, ...] = tuple(questions)
        self.refused: InputError | None = refused
        options = {name: value for each in questions for name, value in each.choices[0].options.items()}
        super().__init__(self._listed(in_python), "an answer to each of them", [Choice("answer as proposed", options)])

    def _listed(self, flags: Spelling) -> str:
        """The questions by number, each with its proposal and what else could be answered."""
        many = len(self.questions)
        lines = ["a question about how it is read" if many == 1 else f"{many} questions about how it is read"]
        for number, each in enumerate(self.questions, start=1):
            said = [f"{choice.meaning} ({flags(choice.options)})" for choice in each.choices]
            others = [*said[1:], *([each.otherwise] if each.otherwise else [])]
            lines += [
                f"  {number}. {each.given}",
                f"     proposed: {said[0]}",
                *(f"     or: {other}" for other in others),
            ]
        if self.refused is not None:
            lines += [f"  Answered as proposed, there is left: {self.refused.given}", f"     {self.refused.do}"]
        return "\n".join(lines)

    def typed(self, command: Spelling, flags: Spelling) -> str:
        """The message with one command, which answers all of them as proposed."""
        (choice,) = self.choices
        return (
            f"given: {self._listed(flags)}\nexpected: {self.expected}\n"
            f"what to do: {choice.meaning}, or change an answer in this command:\n    {command(choice.options)}"
        )


class NotAskable(OutlastError):
    """A question that cannot be asked of this model or these data: not a fault of anyone's. Says why, as a clause."""


class TrainingDiverged(OutlastError):
    """The loss or the gradient stopped being a number; names the step."""


class Interrupted(OutlastError):
    """Training was asked to stop (Ctrl-C) and has saved a checkpoint from which it can go on."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> InputError:
    """An InputError for a name that is not among `known`, suggesting one that is near."""
    known = sorted(known)
    near = nearest(name, known)
    do = f"did you mean {near!r}?" if near else f"choose one of {', '.join(known)}"
    return InputError(f"{kind} {name!r}", f"one of {', '.join(known)}", do)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The one of `known` that was meant, as far as that can be told: a slip of the hand, or the rest left out."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.65)
    begun = [each for each in known if len(name) > 2 and each.startswith(name)]
    return near[0] if near else begun[0] if len(begun) == 1 else None


def nearest_file(path: Path, names: Iterable[str]) -> str | None:
    """The file name that was meant. Names of one kind end alike, so what comes before has to be near by itself."""

    def alike(a: str, b: str) -> float:
        return difflib.SequenceMatcher(None, a.lower(), b.lower()).ratio()

    wanted = path.stem if path.suffix else path.name
    near = [(alike(path.name, each), each) for each in names if alike(wanted, Path(each).stem) >= 0.75]
    return max((each for each in near if each[0] >= 0.75), default=(0.0, None))[1]


def type_name(value: object) -> str:
    """The type of a value with its module, for messages; what Python has built in goes by its name alone."""
    return f"{type(value).__module__}.{type(value).__name__}".removeprefix("builtins.")


def raised(error: BaseException) -> str:
    """What somebody's code raised, in one line, with its file, line and text, without the frames of libraries."""
    lines = str(error).strip().splitlines() or ["without a message"]
    first = error.given if isinstance(error, InputError) else lines[0]
    return f"{type(error).__name__}: {first}{_place(error)}"


def _place(error: BaseException) -> str:
    """Where it was raised: the last line of the user's own on the way there."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" ({_shown(error.filename)}, line {error.lineno}: {(error.text or '').strip()})"
    frames = [each for each in traceback.extract_tb(error.__traceback__) if not each.filename.startswith("<")]
    package, library = str(Path(__file__).parent), sysconfig.get_paths()["stdlib"]
    theirs = [each for each in frames if not each.filename.startswith(package)]
    own = [each for each in theirs if "site-packages" not in each.filename and not each.filename.startswith(library)]
    if not own:
        return ""
    last = own[-1]
    return f" ({_shown(last.filename)}, line {last.lineno}, in {last.name}: {last.line})"


def _shown(file: str) -> str:
    path, here = Path(file), Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


# Options in messages, as their reader has to write them: ``--missing hold`` in a shell, ``missing='hold'`` in Python.
#
# A message is written once, with options in either way. A value behind a flag is told from the sentence by beginning
# with a digit, or by what follows it: a bracket, a comma, the end. Where a sentence has its value in the middle, it is
# written as in Python, which leaves nothing to guess.

_OTHER_NAMES = {
    "scored": "targets",
    "most_streams": "streams",
    "measure": "measures",
    "scenario": "scenarios",
    "text_split": "split",
}
"""What Python calls an option otherwise, by the flag's name."""
_VALUE = r"\d[\w.]*|(?!or |and )[\w.%#-]+(?=[),;:]|\.?$|\.? *\n| --[a-z]| \w+=\w)"
_MORE = r"(?: \w+=[\w-]+)*"
_FLAG = re.compile(rf"(?<![\w-])--(?!onnx-)([a-z][a-z-]*[a-z])(?! on the command line)(?: ({_VALUE})({_MORE}))?")
"""ONNX files' options are no arguments of the same name; what says where it belongs stays."""
_SEVERAL = re.compile(r"(=(?:'[^'\n]*'|\[[^]\n]*\]|[\d.]+)) (?=[a-z_]+=['\d])")
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
    return for_a_shell(text, _shell) if _shell else for_python(text)


def for_python(text: str) -> str:
    """A text with its options as arguments of a call; commands in it stay."""
    found, end = [], 0
    for command in _COMMAND.finditer(text):
        found += [_FLAG.sub(_as_argument, text[end : command.start()]), command[0]]
        end = command.end()
    return _SEVERAL.sub(r"\1, ", "".join([*found, _FLAG.sub(_as_argument, text[end:])]))


def as_arguments(flags: str) -> str:
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
    if flag[3]:  # several values, as of columns
        return f"{name}={[value, *flag[3].split()]}"
    return f"{name}={value}" if re.fullmatch(r"\d+(\.\d+)?", value) else f"{name}={value!r}"


def for_a_shell(text: str, options: Collection[str]) -> str:
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
