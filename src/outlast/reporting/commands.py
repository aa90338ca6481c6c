"""Steps of advice, and command lines that run as they are printed."""

from __future__ import annotations

import re
import shlex
from pathlib import PurePath
from typing import NamedTuple

from outlast.evaluation import EvalSettings
from outlast.results import Command, Evaluation

_TRAINING = ("plan", "repair", "compare", "train")
"""Verbs that a model has to be trained for."""


class Step(NamedTuple):
    """One thing to do; `code` is None where there is nothing to type."""

    text: str
    code: str | None = None


def command(verb: str, given: Command, *options: str, model: str | None = None, data: str | None = "") -> str:
    """A command line that runs as it is printed; MODEL and DATA stand for what the result does not say.

    Args:
        given: the command that made the result.
        options: ready to print.
        model: instead of the model that the result is about.
        data: instead of its data; None: the verb takes none.
    """
    named = model or given.model or "MODEL"
    if verb in _TRAINING and named.endswith(".onnx"):  # a file that cannot be trained
        named = "THE_MODEL_THAT_WAS_EXPORTED"
    words = ["outlast", verb, "--model", shlex.quote(named)]
    if given.allow_code and not re.fullmatch(r"[\w.]+:\w+", named):  # a factory's name is the user's word already
        words.append("--allow-code")
    if given.ports and named == given.model:
        words.append(given.ports)
    if data is not None:
        words += ["--data", shlex.quote(data or given.data or "DATA")]
        words += [given.options] if given.options else []
    return " ".join([*words, *options])


def loading(folder: str, given: Command) -> str:
    """Python that loads what the command line saved."""
    return f"outlast.load({folder!r}{', allow_code=True' if given.allow_code else ''})"


def saved(given: Command, folder: str = "model") -> str | None:
    """Where the command line saved a model it made: the repair, a refused one, or its control."""
    return None if given.out is None else str(PurePath(given.out, folder))


def context(evaluation: Evaluation, *, ages: str | None = None, scored: int | None = None) -> str:
    """How it was measured, as far as that was asked for.

    Args:
        ages: instead of the ages that were asked about, ready to print; empty: none.
        scored: targets of each stream, instead of those that were asked for.
    """
    settings, found = evaluation.settings, [f"--train-context {evaluation.train_context}"]
    if ages is None and (up_to := settings.get("up_to")) is not None:
        ages = f"--up-to {shlex.quote(str(up_to))}"
    elif ages is None and isinstance(evaluation.data.get("length_asked"), int):
        ages = f"--max-length {evaluation.data['length_asked']}"
    found += [ages] if ages else []
    if scored is None:
        scored = evaluation.data.get("targets_asked", evaluation.settings.get("targets"))
    usual = not isinstance(scored, int) or scored == EvalSettings().targets
    return " ".join([*found, *([] if usual else [f"--scored {scored}"])])
