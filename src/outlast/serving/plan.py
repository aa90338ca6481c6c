"""What a schema's rules make of rows that come in: which are read, where, and which values lie far outside."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from outlast.durations import written
from outlast.errors import InputError
from outlast.schema import Column, Schema
from outlast.serving.pool import Pool
from outlast.serving.rows import RowError, Rows

# What a schema's rules make of rows that come in: which are read or passed over, and where a stream begins anew.

SECOND = np.timedelta64(1, "s")


@dataclass(frozen=True)
class Plan:
    """What is to be done with rows: their values with missing ones filled, which are skipped, where states restart.

    Args:
        values: (N, F).
        skipped: by number, why a row is passed over.
        restarts: by number, why its stream begins anew there.
        by_stream: numbers of the rows that are read, by stream, in their order.
    """

    values: np.ndarray
    skipped: dict[int, str]
    restarts: dict[int, str]
    by_stream: dict[str, list[int]]

    def kept(self) -> np.ndarray:
        """Numbers (M,) of the rows that are read."""
        kept = np.ones(len(self.values), bool)
        kept[list(self.skipped)] = False
        return np.flatnonzero(kept)

    def rounds(self) -> Iterator[np.ndarray]:
        """Row numbers (S, T): streams side by side, each going on with its own rows; a restart begins a round."""
        waiting = [runs for numbers in self.by_stream.values() if (runs := self._runs(numbers))]
        while waiting:
            size = min(len(runs[0]) for runs in waiting)
            yield np.array([runs[0][:size] for runs in waiting])
            for runs in waiting:
                runs[0] = runs[0][size:]
                if not runs[0]:
                    runs.pop(0)
            waiting = [runs for runs in waiting if runs]

    def _runs(self, numbers: list[int]) -> list[list[int]]:
        """The rows of one stream, cut where it restarts."""
        borders = [i for i, number in enumerate(numbers) if number in self.restarts]
        cuts = [0, *(border for border in borders if border), len(numbers)]
        return [numbers[a:b] for a, b in itertools.pairwise(cuts) if b > a]

    def positions(self, pool: Pool, rows: Rows) -> list[int]:
        """Of every row, how many its stream has read after it."""
        reached: dict[str, int] = {}
        found = []
        for number, name in enumerate(rows.streams):
            row = pool.row.get(name)
            before = reached.get(name, 0 if row is None else int(pool.position[row]))
            reached[name] = before + (number not in self.skipped)
            found.append(reached[name])
        return found

    def remember(self, pool: Pool, rows: Rows) -> None:
        """Keep the last time and, for what is missing later, the last values of every stream."""
        for name, numbers in self.by_stream.items():
            if not numbers:
                continue
            row = pool.row[name]
            if rows.times is not None:
                pool.time[row] = rows.times[numbers[-1]]
            if pool.last.shape[1]:
                pool.last[row] = self.values[numbers[-1]]


def planned(
    rows: Rows, schema: Schema | None, pool: Pool, future: float | None = None, static: Sequence[int] = ()
) -> Plan:
    """What the schema's rules make of rows.

    Args:
        future: seconds that a time may be ahead of this machine's clock; None: any.
        static: columns that keep one value along a stream.

    Raises:
        RowError: a missing value or a gap where that is an error, a time that goes back or lies in the future, or
            another value than in the row before in a static column.
    """
    if future is not None and rows.times is not None:
        _not_ahead(rows, rows.times, future)
    values, skipped, restarts = rows.values, {}, {}
    by_stream: dict[str, list[int]] = defaultdict(list)
    missing = np.asarray(np.isnan(values).any(axis=1))
    if missing.any():
        values = values.copy()
    for number, (name, gone) in enumerate(zip(rows.streams, missing.tolist(), strict=True)):
        row, read = pool.row.get(name), by_stream[name]
        last = values[read[-1]] if read else (None if row is None else pool.last[row])
        if gone and (why := _filled(number, values, last, schema)):
            skipped[number] = why
            continue
        if rows.times is not None and schema is not None:
            before = rows.times[read[-1]] if read else (None if row is None else pool.time[row])
            if why := _gap(number, rows.times[number], before, name, schema):
                restarts[number] = why
        other = static and last is not None and differ(values[number, static], last[static]).any()
        if other and number not in restarts:
            raise RowError(number, changing(schema, static, f"stream {name!r}"))
        read.append(number)
    return Plan(values, skipped, restarts, by_stream)


def differ(values: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Which values are others than those before, where these are known."""
    return (values != before) & ~np.isnan(before)


def changing(schema: Schema | None, static: Sequence[int], stream: str) -> InputError:
    """What is said of rows in which a static value changes."""
    names = [schema.names[each] if schema else f"column {each}" for each in static]
    return InputError(
        f"rows of {stream} with other values of {', '.join(names)} than before",
        "one value for a whole stream, as in the training",
        "give the rows a stream of their own where it changes",
    )


def _not_ahead(rows: Rows, times: np.ndarray, future: float) -> None:
    """A time far ahead would shut its stream to all rows that follow."""
    now = np.datetime64(datetime.now(UTC).replace(tzinfo=None), "us")
    # Compared as seconds: a clock and a long time together may be beyond what a datetime64 holds.
    ahead = np.flatnonzero((times - now) / SECOND > future)
    if len(ahead):
        number = int(ahead[0])
        raise RowError(
            number,
            InputError(
                f"{times[number]} in stream {rows.streams[number]!r}, which this machine's clock ({now}) is far from",
                f"times up to {written(future)} ahead of it",
                "correct it, or allow more with --future",
            ),
        )


def _gap(number: int, now: np.datetime64, before: np.datetime64 | None, name: str, schema: Schema) -> str | None:
    """Why a stream begins anew at this time, if so."""
    if before is None or np.isnat(before):
        return None
    seconds = float((now - before) / SECOND)
    if seconds < 0:
        raise RowError(
            number,
            InputError(
                f"{now} after {before} in stream {name!r}", "times that ascend within a stream", "sort the rows by time"
            ),
        )
    if schema.gaps == "join" or schema.max_gap is None or seconds <= schema.max_gap:
        return None
    told_gap = f"a gap of {seconds:,g} s"
    if schema.gaps == "error":
        raise RowError(
            number,
            InputError(
                f"{told_gap} before {now} in stream {name!r}",
                f"at most {schema.max_gap:,g} s between rows",
                "restart the stream, or train with gaps='split'",
            ),
        )
    return told_gap


def _filled(number: int, values: np.ndarray, held: np.ndarray | None, schema: Schema | None) -> str | None:
    """Fill the missing values of one row by the schema's rule, in `values`; or why the row is passed over."""
    missing = np.isnan(values[number])
    names = [name for name, gone in zip(schema.names, missing, strict=True) if gone] if schema else ["a number"]
    why = f"no value for {', '.join(names)}"
    rule = schema.missing if schema else "drop"
    if rule == "error":
        raise RowError(number, InputError(why, "a value in every column", "fill it in, or train with missing='hold'"))
    if rule == "drop" or held is None or np.isnan(held[missing]).any():
        return why
    values[number, missing] = held[missing]
    return None


# Values far outside what the training part had: said once of a stream, for the forecasts that follow are a guess.


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
