"""The next step, as a command line that runs as it is printed, and as Python for those who called from there."""

from __future__ import annotations

import re
import shlex
from pathlib import PurePath
from typing import NamedTuple

from outlast.durations import seconds_of, written
from outlast.evaluation import EvalSettings
from outlast.reporting.words.terms import shorter
from outlast.results import Command, Evaluation

# Steps of advice, and command lines that run as they are printed.

_TRAINING = ("tune", "plan", "repair", "compare", "train")
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
    found = [f"--train-context {evaluation.train_context}"]
    ages = asked_ages(evaluation) if ages is None else ages
    found += [ages] if ages else []
    if scored is None:
        scored = evaluation.data.get("targets_asked", evaluation.settings.get("targets"))
    usual = not isinstance(scored, int) or scored == EvalSettings().targets
    return " ".join([*found, *([] if usual else [f"--scored {scored}"])])


def asked_ages(evaluation: Evaluation) -> str:
    """The ages that were asked for, as they were typed; empty where none were."""
    if (up_to := evaluation.settings.get("up_to")) is not None:
        return f"--up-to {shlex.quote(str(up_to))}"
    asked = evaluation.data.get("length_asked")
    return f"--max-length {asked}" if isinstance(asked, int) else ""


def older_ages(evaluation: Evaluation) -> str:
    """Four times the oldest age that was measured, in the option and the unit that ages were asked for in. Where these
    data were too short for what was asked, that."""
    if shorter(evaluation) is not None:
        return asked_ages(evaluation)
    up_to = str(evaluation.settings.get("up_to") or "")
    if up_to and not up_to.isdecimal():
        return f"--up-to {written(4 * seconds_of(up_to, '--up-to'))}"
    option = "--max-length" if asked_ages(evaluation) and not up_to else "--up-to"
    return f"{option} {4 * evaluation.oldest.age[1]}"


def same_ages(evaluation: Evaluation) -> str | None:
    """The ages that were measured, for more of one recording: by itself that is read for older ages, and not cut into
    more pieces. None: they were asked for, or streams are counted."""
    return (
        None
        if asked_ages(evaluation) or not str(evaluation.data.get("unit")).startswith("segment")
        else f"--up-to {evaluation.oldest.age[1]}"
    )


# The next thing to do as Python, for those who called the last one from there.

_EVALUATION = {"max-length": "max_length", "scored": "targets", "up-to": "up_to", "most-streams": "streams"}
_OF_TRAINING = ("learning-rate", "batch-size", "read-ahead", "state-penalty", "state-dropout", "start-weights")
_REPAIRING = ("anchor", "labels", "doses", "short-ages", "leak", "anyway", "no-control")
_OWN = ("train-context", "intervention", "interventions", "objective", "jobs", "steps", "measure")
_SHELL = ("out", "replace", "quiet", "json", "language", "allow-code", "seed")
"""Options that only a shell needs, or that change nothing of what is advised."""
_LISTED = ("interventions", "doses", "short-ages", "inputs", "leave-out", "log", "quantiles", "shares", "category")
"""Options whose argument is a list, also of one."""
_NAMES = {"measure": "measures", "scenario": "scenarios", "no-control": "control"}
_VERBS = {"check": "", "evaluate": "settings", "diagnose": "settings", "plan": "measuring", "repair": "measuring",
          "tune": "measuring",
          "compare": "measuring"}  # fmt: skip
"""Verbs that are functions of the same name, and which argument of theirs says how to measure."""


def in_python(command: str) -> str:
    """A command line as a call of Python; what is none, or has options that a call has elsewhere, stays as it is."""
    words = shlex.split(command)
    if len(words) < 2 or words[0] != "outlast" or words[1] not in _VERBS:
        return command
    options = _options(words[2:])
    if set(options) & {"budget", "guard", "start-weights", "units", "onnx-states", "onnx-constants", "expected-run"}:
        return command
    if words[1] == "check" and set(options) - {"model", *_SHELL}:  # an example is an array in Python
        return command
    verb, model, data = words[1], options.pop("model", ["MODEL"])[0], options.pop("data", None)
    loaded = f"outlast.load({model!r}, allow_code=True)" if "allow-code" in options else _named(model)
    told = [loaded] if verb == "check" or data is None else [loaded, _named(data[0])]
    told += [_keyword(name, options[name]) for name in options if name in _OWN]
    told += [
        _keyword(name, values)
        for name, values in options.items()
        if name not in (*_OWN, *_SHELL, *_EVALUATION, *_OF_TRAINING, *_REPAIRING)
    ]
    told += _settings(verb, options)
    return f"outlast.{verb}({', '.join(told)})"


def _options(words: list[str]) -> dict[str, list[str]]:
    """What was typed behind each option."""
    found: dict[str, list[str]] = {}
    name = ""
    for word in words:
        if re.match("--[a-z]", word):
            name = word.removeprefix("--")
            found.setdefault(name, [])
        elif name:
            found[name].append(word)
    return found


def _settings(verb: str, options: dict[str, list[str]]) -> list[str]:
    """How to measure, to train and to hold a repair, as the records that Python has them in."""
    told = []
    if measured := [f"{_EVALUATION[name]}={_value(name, options[name])}" for name in options if name in _EVALUATION]:
        record = f"outlast.EvalSettings({', '.join(measured)})"
        record = f"outlast.DiagnoseSettings(measuring={record})" if verb == "diagnose" else record
        told.append(f"{_VERBS[verb]}={record}")
    for argument, kind, names in (("training", "Train", _OF_TRAINING), ("repairing", "Repair", _REPAIRING)):
        if given := [_keyword(name, options[name]) for name in options if name in names]:
            told.append(f"{argument}=outlast.{kind}Settings({', '.join(given)})")
    return told


def _keyword(name: str, values: list[str]) -> str:
    return f"{_NAMES.get(name, name).replace('-', '_')}={_value(name, values)}"


def _value(name: str, values: list[str]) -> str:
    if not values:
        return str(not name.startswith("no-"))
    told = [_literal(each) for each in values]
    return f"[{', '.join(told)}]" if len(told) > 1 or name in _LISTED else told[0]


def _literal(word: str) -> str:
    """A number as it is; a word in capitals stands for what the reader has, under a name; all else is a text."""
    if re.fullmatch(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?", word):
        return word
    return _named(word)


def _named(word: str) -> str:
    return word.lower() if re.fullmatch("[A-Z]+(_[A-Z]+)*", word) else repr(word)
