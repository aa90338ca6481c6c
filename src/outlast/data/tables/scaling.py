"""Scaling with figures of the training part: what is estimated, and what float32 then still holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from outlast.data.files.source import Table
from outlast.data.tables.options import TableOptions
from outlast.data.tables.scales import Rule
from outlast.errors import InputError
from outlast.schema import Column, Log, logged


class Figures(NamedTuple):
    """Of F columns: centres (F,), spreads (F,), which were constant (F,), and the logarithms that are taken first."""

    mean: np.ndarray
    std: np.ndarray
    constant: np.ndarray
    logs: tuple[Log | None, ...]

    def scaled(self, values: np.ndarray) -> np.ndarray:
        """(N, F) values as the model reads them."""
        with np.errstate(divide="ignore", invalid="ignore"):  # `in_float32` refuses what is no number, and says where
            return (logged(values, self.logs) - self.mean) / self.std


def estimated(values: np.ndarray, training: np.ndarray, rules: Sequence[Rule]) -> Figures:
    """Of (N, F) columns over the training rows, by the rule of each; constant ones are only centred.

    Args:
        training: numbers of the training rows; where no rule estimates anything, they may be none.
    """
    logs: tuple[Log | None, ...] = tuple(rule.log for rule in rules)
    count = len(rules)
    mean, std, constant = np.zeros(count), np.ones(count), np.zeros(count, bool)
    part = logged(values[training], logs)
    if any(rule.estimates for rule in rules):
        mean, std, constant = _standard(part)
    for k, rule in enumerate(rules):
        if rule.given is not None:
            mean[k], std[k] = rule.given
        elif rule.how == "none":
            mean[k], std[k] = 0.0, 1.0
        elif rule.how == "minmax" and not constant[k]:
            mean[k], std[k] = part[:, k].min(), np.ptp(part[:, k])
        elif rule.how == "robust" and not constant[k]:
            low, mean[k], high = np.quantile(part[:, k], [0.25, 0.5, 0.75])
            std[k] = high - low if high > low else 1.0  # as scikit-learn does
        constant[k] &= rule.estimates
    return Figures(mean, std, constant, logs)


def input_rules(names: Sequence[str], options: TableOptions) -> tuple[Rule, ...]:
    """How each input is scaled; codes of categories never are."""
    numbers = [name for name in names if name not in options.category]
    by_name = dict(zip(numbers, options.scaling.of_inputs(numbers), strict=True))
    return tuple(by_name.get(name, Rule("none")) for name in names)


def target_columns(names: Sequence[str], options: TableOptions) -> tuple[str, ...]:
    """What is forecast: the target's columns, or all inputs that are numbers."""
    return options.target or tuple(name for name in names if name not in options.category)


def target_rules(names: Sequence[str], options: TableOptions) -> tuple[Rule, ...]:
    """How each of the target's columns is scaled; classes and bins are not."""
    if options.target_kind == "class" or options.bins is not None:
        return ()
    return options.scaling.of_target(target_columns(names, options))


def estimates(names: Sequence[str], options: TableOptions) -> bool:
    """Whether any column is scaled by figures of the training part."""
    return any(rule.estimates for rule in (*input_rules(names, options), *target_rules(names, options)))


def scaling_told(read: Sequence[Column], names: Sequence[str], options: TableOptions) -> dict[str, Any]:
    """What a result records: figures of each input, which were constant, what the scaling is called and who chose."""
    about: dict[str, Any] = {
        "scaling": {c.name: {"mean": c.mean, "std": c.std, "constant": c.constant} for c in read if not c.categories},
        "constant_columns": [column.name for column in read if column.constant],
    }
    if options.schema is not None:
        return {**about, "scaled": {"by": "the model"}}
    options.scaling.check([*names, *target_columns(names, options)])
    words = [rule.word for rule in input_rules(names, options)]
    told = dict(zip(names, words, strict=True))
    aims = target_rules(names, options)
    return {
        **about,
        "scaled": {
            "by": "as asked" if options.scaling.asked else "default",
            "inputs": {name: word for name, word in told.items() if name not in options.category},
            "target": {n: rule.word for n, rule in zip(target_columns(names, options), aims, strict=False)},
        },
    }


def _standard(part: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means, standard deviations, and which columns of (N, F) are constant."""
    constant = part.max(0) == part.min(0)
    mean, std = np.where(constant, part[0], part.mean(0)), np.where(constant, 1.0, part.std(0))
    if not std.all():  # squares of values below 1e-162 are zero
        largest = np.abs(part - mean).max(0)
        std = np.where(std > 0, std, largest * ((part - mean) / np.where(constant, 1.0, largest)).std(0))
    return mean, std, constant


def refuse_unlogged(table: Table, name: str, values: np.ndarray, rule: Rule, origin: np.ndarray) -> None:
    """Refuse a column (N,) with values that the logarithm asked for does not have.

    Args:
        origin: (N,) the row of the table that each value comes from.
    """
    if rule.log is None:
        return
    lacking = ~np.isfinite(logged(values[:, None], [rule.log])[:, 0])
    if lacking.any():
        row = int(np.argmax(lacking))
        least = "0" if rule.log == "log" else "-1"
        raise InputError(
            f"{values[row]:g} in column {name!r}, {table.place(int(origin[row]))}, which has no logarithm",
            f"values above {least} in a column of which the logarithm is read",
            f"--scale {name}=log1p-standard reads the logarithm of the value and 1, where no value is below 0; or "
            "leave the logarithm out",
        )


def refuse_hidden(table: Table, name: str, values: np.ndarray, training: np.ndarray, origin: np.ndarray) -> None:
    """Refuse a column (N,) with values so large that, scaled by its spread, half of the others read as constant.

    Args:
        origin: (N,) the row of the table that each value comes from.
    """
    part = values[training]
    low, middle, high = np.quantile(part, [0.25, 0.5, 0.75])
    if high > low and high - low < np.finfo(np.float32).eps * part.std():
        row = int(training[np.argmax(np.abs(part - middle))])
        raise InputError(
            f"{values[row]} in column {name!r}, {table.place(int(origin[row]))}, where half of the "
            f"training values lie between {low:g} and {high:g}",
            "values of one scale: beside this one, float32 cannot tell the others apart",
            "correct the value, empty the cell to mark it as missing, or take logarithms",
        )


def in_float32(values: np.ndarray, table: Table, names: list[str], origin: dict[str, np.ndarray]) -> np.ndarray:
    """(N, F) in float32.

    Args:
        names: the column that each of the F comes from.
        origin: by column, (N,) the row of the table that each value comes from.
    """
    with np.errstate(over="ignore"):
        narrow = values.astype(np.float32)
    infinite = np.isinf(narrow)
    if infinite.any():
        row, column = (int(i) for i in np.argwhere(infinite)[0])
        place = table.place(int(origin[names[column]][row]))
        raise InputError(
            f"{values[row, column]:g}, scaled, for column {names[column]!r}, {place}",
            "numbers that float32 holds, up to 3.4e38",
            "correct the value, or choose a larger unit (or scale='none')",
        )
    return narrow
