"""Values far outside what the training part had: said once of a stream, for the forecasts that follow are a guess."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from outlast.schema import Column, Schema


class Ranges:
    """What training had of every column; far outside is further from it than it is wide.

    Args:
        schema: of the model; None, or one of an earlier outlast: nothing is known, and nothing is said.
    """

    def __init__(self, schema: Schema | None) -> None:
        self._columns: tuple[Column, ...] = () if schema is None else schema.inputs
        reaches = [_reach(column) for column in self._columns]
        self._low, self._high = np.array(reaches).reshape(-1, 2).T
        self.told: dict[str, str] = {}

    def said(self, streams: Sequence[str], values: np.ndarray) -> dict[int, str]:
        """What is new to say of N rows, by number.

        Args:
            streams: (N,) of the rows.
            values: (N, F) raw, NaN where one is missing.
        """
        if not self._columns:
            return {}
        outside = (values < self._low) | (values > self._high)
        found: dict[int, str] = {}
        if not outside.any():
            return found
        for number in np.flatnonzero(outside.any(1)).tolist():
            name = streams[number]
            if name not in self.told:
                at = int(np.flatnonzero(outside[number])[0])
                found[number] = self.told[name] = _said(self._columns[at], float(values[number, at]))
        return found

    def forget(self, streams: Sequence[str]) -> None:
        """Streams that have ended; another one of that name is told anew."""
        for name in streams:
            self.told.pop(name, None)


def _reach(column: Column) -> tuple[float, float]:
    low, high = column.low, column.high
    if low is None or high is None:
        return -np.inf, np.inf
    wide = max(high - low, 1e-6 * max(abs(low), abs(high)))
    return low - wide, high + wide


def _said(column: Column, value: float) -> str:
    low, high = column.low, column.high
    unit = "" if column.unit is None else f" {column.unit}"
    had = f"{low:g} alone" if low == high else f"{low:g} to {high:g}"
    return f"{column.name} is {value:g}{unit}, and training had {had}: is it in another unit, or faulty?"
