"""What was said of scaling, as one rule for each column: a word, figures of one's own, or what a scaler of
scikit-learn holds."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from outlast.data.files.arrays import existing
from outlast.errors import InputError, unknown_name
from outlast.schema import Log

WORDS = ("standard", "minmax", "robust", "none")
"""Zero mean and unit deviation; 0 to 1; median and distance of the quartiles; as they are."""
LOGS: tuple[Log, ...] = ("log", "log1p")
_FIGURES = 'figures of each column, such as {"power": {"mean": 80, "std": 12}, "load": {"min": 0, "max": 1}}'
_KNOWN = ("mean", "mean_", "center_", "median", "std", "scale_", "iqr", "min", "max", "min_", "log", "scale", "var_")
_PICKLED = (".joblib", ".pkl", ".pickle")
_LISTS = ("mean_", "scale_", "min_", "center_")
_NAMES = "feature_names_in_"


@dataclass(frozen=True)
class Rule:
    """How one column is scaled.

    Args:
        how: one of `WORDS`, or ``figures`` with those that were given.
        log: the logarithm that is taken first.
        given: the model reads (value − given[0]) / given[1].
    """

    how: str = "standard"
    log: Log | None = None
    given: tuple[float, float] | None = None

    @property
    def word(self) -> str:
        """As it is typed: ``minmax``, ``log-standard``, ``log`` (and no more)."""
        if self.log is None:
            return self.how
        return self.log if self.how == "none" else f"{self.log}-{self.how}"

    @property
    def estimates(self) -> bool:
        """Whether it takes figures of the training part."""
        return self.how not in ("none", "figures")


@dataclass(frozen=True)
class Scales:
    """Rules for columns.

    Args:
        default: of columns that are not named; None: all have to be.
        columns: by name.
        listed: of all columns in their order, from a scaler that has no names.
        option: what a message calls it.
    """

    default: Rule | None = Rule()
    columns: Mapping[str, Rule] = field(default_factory=dict)
    listed: tuple[Rule, ...] = ()
    option: str = "scale"

    def of(self, names: Sequence[str]) -> tuple[Rule, ...]:
        """The rule of each of these columns.

        Raises:
            InputError: one has none, or there are as many rules as columns and more or fewer.
        """
        if self.listed:
            if len(self.listed) != len(names):
                raise InputError(
                    f"{self.option} with figures of {len(self.listed)} columns for {len(names)}: {', '.join(names)}",
                    "figures of each column, in their order",
                    f"give names too ({_NAMES}), or a file with {_FIGURES}",
                )
            return self.listed
        found = [self.columns.get(name, self.default) for name in names]
        if None in found:
            name = names[found.index(None)]
            raise InputError(
                f"{self.option} with figures, but none of column {name!r}", _FIGURES, f"add {name!r}, or a word for it"
            )
        return tuple(rule for rule in found if rule is not None)


@dataclass(frozen=True)
class Scaling:
    """How inputs and targets of a table are scaled.

    Args:
        inputs: rules of the input columns.
        target: rules of the target's columns; None: as the column of the same name is.
        logs: columns of which the logarithm is taken, as inputs and as targets.
        asked: whether anybody said how; otherwise it is the default.
    """

    inputs: Scales = Scales()
    target: Scales | None = None
    logs: tuple[str, ...] = ()
    asked: bool = False

    def of_inputs(self, names: Sequence[str]) -> tuple[Rule, ...]:
        """The rule of each input."""
        return self._with_logs(names, self.inputs.of(names))

    def of_target(self, columns: Sequence[str]) -> tuple[Rule, ...]:
        """The rule of each of the target's columns, for all horizons."""
        if self.target is None and (self.inputs.listed or self.inputs.default is None):
            lacking = [name for name in columns if name not in self.inputs.columns]
            if lacking:
                raise InputError(
                    f"scale with figures, and none of the target {lacking[0]!r}",
                    "figures of the target, or a word for it",
                    "say how the target is scaled: --target-scale, for example standard or none",
                )
        return self._with_logs(columns, (self.inputs if self.target is None else self.target).of(columns))

    def check(self, names: Sequence[str]) -> None:
        """Refuse rules of columns that are neither inputs nor targets.

        Args:
            names: of both.

        Raises:
            InputError: names the column.
        """
        for columns, option in ((self.inputs.columns, "scale"), (self.logs, "log")):
            for name in columns:
                if name not in names:
                    raise unknown_name(f"{option}: column", name, names)

    def _with_logs(self, names: Sequence[str], rules: Sequence[Rule]) -> tuple[Rule, ...]:
        return tuple(
            replace(rule, log=rule.log or "log") if name in self.logs else rule
            for name, rule in zip(names, rules, strict=True)
        )


def scaling_of(scale: Any, target_scale: Any, log: Any) -> Scaling:
    """What was said, or the default where nothing was.

    Args:
        scale, target_scale: a word, ``COLUMN=WORD``, a ``.json`` file, several of them, a mapping of columns to words
            or figures, or a scaler of scikit-learn.
        log: names of columns.

    Raises:
        InputError: something else.
    """
    inputs = Scales() if scale is None else _scales(scale, "scale")
    target = None if target_scale is None else _scales(target_scale, "target_scale")
    logs = (log,) if isinstance(log, str) else tuple(log or ())
    return Scaling(inputs, target, logs, not (scale is None and target_scale is None and not logs))


def _scales(said: Any, option: str) -> Scales:
    if hasattr(said, "scale_"):
        said = {name: getattr(said, name) for name in (*_LISTS, _NAMES, "with_mean") if hasattr(said, name)}
        return _of_figures({key: np.asarray(value).tolist() for key, value in said.items()}, option, option)
    if isinstance(said, Mapping):
        if any(isinstance(said.get(key), list | tuple) for key in _LISTS):
            return _of_figures(said, option, option)
        return Scales(
            Rule(), {str(name): rule_of(each, f"{option}: {name!r}") for name, each in said.items()}, (), option
        )
    words = [said] if isinstance(said, str | os.PathLike) else list(said)
    default, columns, found = None, {}, None
    for each in words:
        name, equals, word = str(each).rpartition("=")
        if Path(each).suffix in _PICKLED:
            raise _pickled(str(each), option)
        if str(each).endswith(".json"):
            found = _read(Path(each), option)
        elif equals:
            columns[name] = rule_of(word, f"{option} {each}")
        elif default is None:
            default = rule_of(str(each), f"{option} {each}")
        else:
            raise InputError(
                f"{option} {' '.join(map(str, words))}", "one word for all columns", "name columns: a=none"
            )
    if found is None:
        return Scales(default or Rule(), columns, (), option)
    return Scales(default, {**found.columns, **columns}, found.listed, option)


def _read(path: Path, option: str) -> Scales:
    path = existing(path)
    try:
        said = json.loads(path.read_bytes())
    except (ValueError, RecursionError, OSError) as error:
        raise InputError(f"{option} {path}, which is no JSON ({error})", _FIGURES, "correct the file") from None
    return _of_figures(said, option, str(path))


def _pickled(path: str, option: str) -> InputError:
    """A scaler as joblib or pickle wrote it, which may run code when it is loaded."""
    loads = f"joblib.load({path!r})" if path.endswith(".joblib") else f"pickle.load(open({path!r}, 'rb'))"
    kept = ", ".join(map(repr, (*_LISTS, _NAMES, "with_mean")))
    target = str(Path(path).with_suffix(".json"))
    return InputError(
        f"{option} {path}, a pickle: loading it may run code, so outlast does not",
        "a word, or FILE.json with the scaler's figures",
        f"write them once, in Python:\n    import {loads.partition('.')[0]}, json, numpy; scaler = {loads}\n"
        f"    json.dump({{k: numpy.asarray(v).tolist() for k, v in vars(scaler).items() if k in ({kept})}}, "
        f"open({target!r}, 'w'))\nthen --{option.replace('_', '-')} {target}; in Python {option}=scaler takes it",
    )


def _of_figures(said: Any, option: str, where: str) -> Scales:
    """Rules from a mapping of columns to figures, or from the lists of a scaler."""
    if not isinstance(said, Mapping) or not said:
        raise InputError(f"{option} {where} without columns", _FIGURES, "write figures by column")
    if not any(isinstance(said.get(key), list | tuple) for key in _LISTS):
        rules = {str(name): rule_of(each, f"{option} {where}: {name!r}") for name, each in said.items()}
        return Scales(None, rules, (), option)
    lists = {key: list(said[key]) for key in _LISTS if said.get(key) is not None}
    if not said.get("with_mean", True):  # such a StandardScaler knows the means and does not take them away
        lists.pop("mean_", None)
    count = {len(each) for each in lists.values()}
    names = said.get(_NAMES)
    if len(count) > 1 or "scale_" not in lists or (names is not None and len(names) not in count):
        raise InputError(
            f"{option} {where} with {', '.join(f'{key} ({len(each)})' for key, each in lists.items())}",
            "lists of one length, scale_ among them, as a scaler of scikit-learn has them",
            "write them from the scaler that the model was trained with",
        )
    rules = tuple(
        rule_of({key: each[i] for key, each in lists.items()}, f"{option} {where}: column {i + 1}")
        for i in range(count.pop())
    )
    if names is None:
        return Scales(None, {}, rules, option)
    return Scales(None, dict(zip(map(str, names), rules, strict=True)), (), option)


def rule_of(said: Any, where: str = "scale") -> Rule:
    """A rule from a word or from figures."""
    if isinstance(said, str):
        first, dash, rest = said.partition("-")
        if first in LOGS:
            log, how = LOGS[LOGS.index(first)], rest if dash else "none"
        else:
            log, how = None, said
        if how not in WORDS:
            known = [*WORDS, *(log for log in LOGS), *(f"{log}-{word}" for log in LOGS for word in WORDS[:3])]
            raise unknown_name(where.partition(" ")[0].rstrip(":"), said, known)
        return Rule(how, log)
    if not isinstance(said, Mapping) or any(key not in _KNOWN for key in said):
        raise InputError(f"{where} {said!r}", _FIGURES, "write a word, or figures by these names")
    log = said.get("log")
    if log not in (None, False, True, *LOGS):
        raise InputError(f"{where} with log {log!r}", "true, or log1p", "correct it")
    taken: Log | None = "log" if log is True else log or None
    mean, std = _affine(said, where)
    if not (math.isfinite(mean) and math.isfinite(std) and std > 0):
        raise InputError(f"{where} {dict(said)!r}", "finite figures, a spread above 0", "correct them")
    return Rule("figures", taken, (mean, std))


def _affine(said: Mapping[str, Any], where: str) -> tuple[float, float]:
    """(centre, spread) from the names that people and scikit-learn have for them."""

    def number(*names: str) -> float | None:
        for name in names:
            if (value := said.get(name)) is not None:
                if isinstance(value, bool) or not isinstance(value, int | float):
                    raise InputError(f"{where} with {name} {value!r}", "a number", "correct it")
                return float(value)
        return None

    low, high = number("min"), number("max")
    if low is not None and high is not None:
        return low, high - low
    scale, offset = number("scale_"), number("min_")
    if scale is not None and offset is not None:  # MinMaxScaler reads value · scale_ + min_
        return (-offset / scale, 1 / scale) if scale > 0 else (0.0, scale)
    centre, spread = number("mean", "mean_", "center_", "median"), number("std", "scale_", "iqr", "scale")
    if centre is None and spread is None:
        raise InputError(f"{where} {dict(said)!r}", _FIGURES, "give mean and std, or min and max")
    return centre or 0.0, 1.0 if spread is None else spread
