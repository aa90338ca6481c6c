"""Scaling with figures of the training part: what is estimated, and what float32 then still holds."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from outlast.errors import InputError
from outlast.streams.source import Table


class Figures(NamedTuple):
    """Of F columns: means (F,), standard deviations (F,), and which were constant (F,)."""

    mean: np.ndarray
    std: np.ndarray
    constant: np.ndarray

    def scaled(self, values: np.ndarray) -> np.ndarray:
        """(N, F) values as the model reads them."""
        return (values - self.mean) / self.std


def unscaled(columns: int) -> Figures:
    """Figures that leave values as they are."""
    return Figures(np.zeros(columns), np.ones(columns), np.zeros(columns, bool))


def leaving(figures: Figures, columns: np.ndarray) -> Figures:
    """The figures with those columns (F,) bool left as they are."""
    as_they_are = unscaled(len(columns))
    mean, std = (np.where(columns, own, of) for own, of in zip(as_they_are[:2], figures[:2], strict=True))
    return Figures(mean, std, figures.constant)


def estimated(values: np.ndarray, training: np.ndarray) -> Figures:
    """Of (N, F) columns over the training rows; constant ones are only centred."""
    part = values[training]
    constant = part.max(0) == part.min(0)
    mean, std = np.where(constant, part[0], part.mean(0)), np.where(constant, 1.0, part.std(0))
    if not std.all():  # squares of values below 1e-162 are zero
        largest = np.abs(part - mean).max(0)
        std = np.where(std > 0, std, largest * ((part - mean) / np.where(constant, 1.0, largest)).std(0))
    return Figures(mean, std, constant)


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
