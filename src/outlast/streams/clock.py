"""Clock times of positions: read from a table's column, checked, and written in ISO 8601."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from outlast.errors import InputError
from outlast.streams import columns
from outlast.streams.columns import MISSING, TableFile

_YEARS = np.array(["0001-01-01", "10000-01-01"], "datetime64[s]").astype(np.float64)
"""First and end of what ISO 8601 writes with four digits, in seconds since 1970."""
_UNITS = "divide milliseconds by 1,000, nanoseconds by 1,000,000,000"
_FORMS = "times such as 2010-03-04 03:12:00, or seconds since 1970"


@dataclass(frozen=True, eq=False)
class Clock:
    """When each of N positions was.

    Args:
        times: (N,) datetime64, often memory-mapped; in UTC where there is a `zone`.
        zone: in which times are told, such as ``Europe/Paris`` or ``+01:00``; None: as they stand.
    """

    times: np.ndarray
    zone: str | None = None

    def at(self, row: int) -> str:
        """The time of one position in ISO 8601, with its offset from UTC where there is a zone."""
        since_1970 = int(self.times[row].astype("datetime64[us]").astype(np.int64))
        return pa.scalar(since_1970, pa.timestamp("us", self.zone)).as_py().isoformat()


def read_clock(table: TableFile, name: str, column: pa.Array) -> Clock:
    """A column of times as a clock, NaT where a value is missing.

    Times and dates are taken with their zone (offsets in CSV and text are told in UTC); text is read as ISO 8601;
    numbers are seconds since 1970-01-01 UTC.

    Raises:
        InputError: something else in it (says on which line), a year of more than four digits, or an unknown zone.
    """
    kind, zone = columns.kind(column), None
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        zone = getattr(column.type, "tz", None)
        _check_zone(table, name, zone)
        times = column.cast(pa.timestamp("us", zone), safe=False).to_numpy(zero_copy_only=False)
    elif kind == "wide integer":
        row = columns.too_wide(column)
        assert row is not None
        raise _wrong(table, name, row, f"{column[row].as_py()} seconds since 1970", _UNITS)
    elif kind == "number":
        seconds = columns.numbers(table, name, column)
        _refuse_far(table, name, seconds)
        zone = "UTC"
        times = np.round(np.nan_to_num(seconds) * 1e6).astype(np.int64).astype("datetime64[us]")
        times[np.isnan(seconds)] = np.datetime64("NaT")
    elif kind == "text":
        times, zone = _parsed(table, name, column)
    else:
        raise InputError(f"time column {name!r} of {table.path}, which holds {column.type}", _FORMS, _do())
    _refuse_far(table, name, np.where(np.isnat(times), np.nan, times.astype("datetime64[us]").astype(np.int64) / 1e6))
    return Clock(times.astype("datetime64[us]"), zone)


def check_ascending(table: TableFile, name: str, clock: Clock, group: np.ndarray, rows: np.ndarray) -> None:
    """Refuse times that go back within a stream; equal ones may follow each other.

    Args:
        group: (N,) the stream of each position, stream after stream.
        rows: (N,) where each position stands in the table.
    """
    back = (clock.times[1:] < clock.times[:-1]) & (group[1:] == group[:-1])
    if back.any():
        later = int(np.argmax(back)) + 1
        raise InputError(
            f"{clock.at(later)} after {clock.at(later - 1)} in time column {name!r}, {table.place(int(rows[later]))} "
            f"of {table.path}",
            "times that ascend within a stream",
            "sort the rows by time; where they are of several streams, name the column that tells them apart (stream); "
            "where clocks were put back, give times in UTC or with offsets",
        )


def _parsed(table: TableFile, name: str, column: pa.Array) -> tuple[np.ndarray, str | None]:
    """Text as ISO 8601, (rows,) in UTC where it has offsets, and its zone."""
    times, zoned = np.full(len(column), np.datetime64("NaT"), "datetime64[us]"), None
    for row, text in enumerate(column.to_pylist()):
        if text is None or text.strip() in MISSING:
            continue
        try:
            moment = datetime.fromisoformat(text.strip())
        except ValueError:
            raise _wrong(table, name, row, repr(text)) from None
        if zoned not in (None, moment.tzinfo is not None):
            raise _wrong(table, name, row, f"{text!r} {'without' if zoned else 'with'} an offset unlike those before")
        zoned = moment.tzinfo is not None
        try:
            times[row] = moment.astimezone(UTC).replace(tzinfo=None) if zoned else moment
        except OverflowError:  # at the ends of what a calendar holds
            raise _wrong(table, name, row, repr(text)) from None
    return times, "UTC" if zoned else None


def _check_zone(table: TableFile, name: str, zone: str | None) -> None:
    try:
        pa.scalar(0, pa.timestamp("us", zone)).as_py()
    except (pa.ArrowInvalid, LookupError):
        raise InputError(
            f"time column {name!r} of {table.path} in the zone {zone!r}",
            "a time zone that this machine knows",
            "write the times in UTC, or install the time zone database (tzdata)",
        ) from None


def _refuse_far(table: TableFile, name: str, seconds: np.ndarray) -> None:
    far = (seconds < _YEARS[0]) | (seconds >= _YEARS[1])
    if far.any():
        row = int(np.argmax(far))
        raise _wrong(table, name, row, f"{seconds[row]:.0f} seconds since 1970", _UNITS)


def _wrong(table: TableFile, name: str, row: int, what: str, do: str = "") -> InputError:
    return InputError(f"{what} in time column {name!r}, {table.place(row)} of {table.path}", _FORMS, do or _do())


def _do() -> str:
    return "write times as year-month-day hour:minute:second, all with an offset from UTC or all without"
