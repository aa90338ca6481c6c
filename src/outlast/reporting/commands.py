"""Steps of advice, and command lines that run as they are printed."""

from __future__ import annotations

import re
import shlex
from pathlib import PurePath
from typing import Any, NamedTuple

from outlast.results import Evaluation


class Step(NamedTuple):
    """One thing to do; `code` is None where there is nothing to type."""

    text: str
    code: str | None = None


def noted(record: dict[str, Any]) -> dict[str, Any]:
    """What the command line noted about the command that made the result; empty for a result made from Python."""
    found = record.get("command")
    return found if isinstance(found, dict) else {}


def command(verb: str, record: dict[str, Any], *options: str, model: str | None = None, data: str | None = "") -> str:
    """A command line that runs as it is printed; MODEL and DATA stand for what the result does not say.

    Args:
        record: with what `noted` finds.
        options: ready to print.
        model: instead of the model that the result is about.
        data: instead of its data; None: the verb takes none.
    """
    given = noted(record)
    named = str(model or given.get("model", "MODEL"))
    words = ["outlast", verb, "--model", shlex.quote(named)]
    if needs_code(record) and not re.fullmatch(r"[\w.]+:\w+", named):  # a factory's name is the user's word already
        words.append("--allow-code")
    if data is not None:
        words += ["--data", shlex.quote(data or str(given.get("data", "DATA")))]
        words += [str(given["options"])] if given.get("options") else []
    return " ".join([*words, *options])


def needs_code(record: dict[str, Any]) -> bool:
    """Whether directories of the model name a function that has to run when they are loaded."""
    return noted(record).get("allow_code") is True


def loading(folder: str, record: dict[str, Any]) -> str:
    """Python that loads what the command line saved."""
    return f"outlast.load({folder!r}{', allow_code=True' if needs_code(record) else ''})"


def saved(record: dict[str, Any], folder: str = "model") -> str | None:
    """Where the command line saved a model it made: the repair, a refused one, or its control."""
    out = noted(record).get("out")
    return None if out is None else str(PurePath(str(out), folder))


def context(evaluation: Evaluation) -> str:
    return f"--train-context {evaluation.train_context}"
