"""Clock times of positions: as people write them, read from a table's column, checked, and written in ISO 8601."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from outlast.data.files.source import Table, is_missing, is_number, is_text
from outlast.data.tables import columns
from outlast.errors import Choice, InputError, Question
from outlast.schema import Notation

if TYPE_CHECKING:
    import pyarrow as pa


# Times as people write them: by a given format, in ISO 8601, or as day, month and year in the order that they tell.

_EXPECTED = "times such as 2010-03-04 03:12:00, or seconds since 1970"
_DATE = re.compile(
    r"(?:(?P<year>\d{4})(?P<mark>[/.-])(?P<m>\d{1,2})(?P=mark)(?P<d>\d{1,2})"
    r"|(?P<a>\d{1,2})(?P<sep>[/.-])(?P<b>\d{1,2})(?P=sep)(?P<y>\d{4}|\d{2}))"
    r"(?:[T ,]+(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<part>\d{1,6}))?)?"
    r"\s*(?P<half>[AaPp])?(?:\.?[Mm]\.?)?)?"
)
_FORMATS = tuple(
    f"{date}{clock}"
    for date in ("%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y", "%Y%m%d", "%a %b %d %Y")
    for clock in ("", " %H:%M", " %H:%M:%S", " %I:%M %p", "T%H%M%S", "%H%M", "%H%M%S", " %H%M", ":%H:%M:%S")
)
"""Tried where a time cannot be read, so that the message can name one."""
_DIGITS = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
_SAMPLE = 50

Parser = Callable[[str], datetime]


def parser_of(notation: Notation) -> Parser:
    """What reads a time's text: by the format that was given, by day and month where that was, or ISO 8601.

    The parser raises ValueError where a text is something else.
    """
    form = notation.time_format
    if form is not None:
        return lambda text: datetime.strptime(text, form)
    return datetime.fromisoformat if notation.day_first is None else _by_date(notation.day_first)


def day_and_month(
    place: str, name: str, first: str, texts: Sequence[str | None], notation: Notation
) -> tuple[Parser, bool | None]:
    """A parser of day, month and year in the order that the column tells, and whether the day comes first.

    Args:
        place: where the first time stands.
        first: its text, which is not in ISO 8601; texts: all of the column.

    Raises:
        ValueError: it is no such date.
        Question: the column does not tell the order.
    """
    found = _DATE.fullmatch(first)
    if found is None or notation.time_format is not None or notation.day_first is not None:
        raise ValueError(first)
    if found["year"] is not None:
        return _by_date(True), None
    dates = ((int(each["a"]), int(each["b"])) for text in texts if (each := _date_in(text, notation)) is not None)
    telling = next(((a, b) for a, b in dates if a > 12 or b > 12), (0, 0))
    day_first, month_first = telling[0] > 12, telling[1] > 12
    if day_first == month_first and found["sep"] == "." and not month_first:
        day_first = True  # whoever writes dots writes the day first
    if day_first != month_first:
        return _by_date(day_first), day_first
    if day_first:
        raise ValueError(first)
    form = _form_of(found)
    raise Question(
        f"{first!r} in time column {name!r}, {place}, where no date of the column tells day from month",
        _EXPECTED,
        [
            Choice("read the day first", {"day_first": True}),
            Choice("read the month first", {"time_format": form}),
        ],
    )


def unread(place: str, name: str, text: str, texts: Sequence[str | None], notation: Notation) -> InputError:
    """A time that cannot be read, with the format that would read the column, where a common one does."""
    given = f"{text!r} in time column {name!r}, {place}"
    present = [each.strip() for each in texts if each is not None and not is_missing(each, notation)]
    sample = [text.strip(), *itertools.islice(present, _SAMPLE)]
    form = next((form for form in _FORMATS if all(_reads(form, each) for each in sample)), None)
    if form is not None:
        return Question(given, _EXPECTED, [Choice("say how times are written", {"time_format": form})])
    expected = _EXPECTED if notation.time_format is None else f"times written as {notation.time_format}"
    if text.strip() != present[0] and _like(text, notation) != _like(present[0], notation):
        gone = list(dict.fromkeys([*notation.missing_values, text.strip()]))
        choice = Choice("take it for a missing value", {"missing_values": gone})
        return Question(given, expected, [choice], "correct it, so that all times are written alike")
    return InputError(
        given,
        expected,
        "say how times are written (--time-format, as datetime.strptime takes it), or write them anew, in pandas: "
        f"frame[{name!r}] = pandas.to_datetime(frame[{name!r}])",
    )


def refuse_digits(place: str, name: str, column: pa.Array) -> None:
    """Ask about whole numbers that are dates without marks, 202403041730, and no seconds since 1970.

    Args:
        place: where the first of them stands.
    """
    sample = [str(number) for number in column.drop_null()[:_SAMPLE].to_pylist()]
    form = _DIGITS.get(len(sample[0])) if sample else None
    if form is not None and all(each[:2] in ("19", "20") and _reads(form, each) for each in sample):
        raise Question(
            f"{sample[0]} in time column {name!r}, {place}",
            _EXPECTED,
            [Choice("say how times are written", {"time_format": form})],
        )


def _like(text: str, notation: Notation) -> bool:
    """Whether a text is a time at all."""
    try:
        parser_of(notation)(text.strip())
    except ValueError:
        return _DATE.fullmatch(text.strip()) is not None
    return True


def _date_in(text: str | None, notation: Notation) -> re.Match[str] | None:
    found = None if text is None or is_missing(text, notation) else _DATE.fullmatch(text.strip())
    return found if found is not None and found["a"] is not None else None


def _by_date(day_first: bool) -> Parser:
    def read(text: str) -> datetime:
        found = _DATE.fullmatch(text)
        if found is None:
            return datetime.fromisoformat(text)
        return _moment(found, day_first)

    return read


def _moment(found: re.Match[str], day_first: bool) -> datetime:
    if found["year"] is not None:
        year, month, day = int(found["year"]), int(found["m"]), int(found["d"])
    else:
        day, month = (int(found[each]) for each in ("ab" if day_first else "ba"))
        year = int(found["y"])
        if len(found["y"]) == 2:
            year += 1900 if year >= 69 else 2000  # as POSIX reads two digits
    hour, half = int(found["hour"] or 0), (found["half"] or "").lower()
    if half and not 1 <= hour <= 12:
        raise ValueError(found[0])
    hour = hour % 12 + (12 if half == "p" else 0) if half else hour
    part = int((found["part"] or "0").ljust(6, "0"))
    return datetime(year, month, day, hour, int(found["minute"] or 0), int(found["second"] or 0), part)


def _form_of(found: re.Match[str]) -> str:
    """The format of a date whose month comes first."""
    form = f"%m{found['sep']}%d{found['sep']}{'%Y' if len(found['y']) == 4 else '%y'}"
    if found["hour"] is None:
        return form
    form += found[0][found.end("y") : found.start("hour")] + ("%I" if found["half"] else "%H") + ":%M"
    form += (":%S" if found["second"] else "") + (".%f" if found["part"] else "")
    last = max(found.end(each) for each in ("minute", "second", "part"))
    return form + (found[0][last : found.start("half")] + "%p" if found["half"] else "")


def _reads(form: str, text: Any) -> bool:
    try:
        datetime.strptime(text, form)
    except ValueError:
        return False
    return True


# Clock times of positions: read from a table's column, checked, and written in ISO 8601.

_YEARS = np.array(["0001-01-01", "10000-01-01"], "datetime64[s]").astype(np.float64)
"""First and end of what ISO 8601 writes with four digits, in seconds since 1970."""
RECENT = (631_152_000.0, 4_102_444_800.0)
"""Seconds from 1970 to 1990 and to 2100: numbers in between are times rather than something else."""
_DAYS = (32_874.0, 73_051.0)
"""Days from the end of 1899 to 1990 and to 2100."""
_UNITS = "divide milliseconds by 1,000, nanoseconds by 1,000,000,000"
_TWO_COLUMNS = (
    'put date and time into one column, in pandas: frame["when"] = frame["date"].astype(str) + " " + '
    'frame["time"].astype(str)'
)
_FORMS = "times such as 2010-03-04 03:12:00, or seconds since 1970"


@dataclass(frozen=True, eq=False)
class Clock:
    """When each of N positions was.

    Args:
        times: (N,) datetime64, often memory-mapped; in UTC where there is a `zone`.
        zone: in which times are told, such as ``Europe/Paris`` or ``+01:00``; None: as they stand.
        day_first: whether text was read as day, month, year; None: it says its order by itself, or was no text.
        numeric: whether they were numbers, which may be something else.
    """

    times: np.ndarray
    zone: str | None = None
    day_first: bool | None = None
    numeric: bool = False

    def at(self, row: int) -> str:
        """The time of one position in ISO 8601, with its offset from UTC where there is a zone."""
        since_1970 = int(self.times[row].astype("datetime64[us]").astype(np.int64))
        return pa.scalar(since_1970, pa.timestamp("us", self.zone)).as_py().isoformat()


def read_clock(table: Table, name: str, column: pa.Array) -> Clock:
    """A column of times as a clock, NaT where a value is missing.

    Times and dates are taken with their zone (offsets in CSV and text are told in UTC). Text is read as the table's
    notation says, otherwise as ISO 8601, or as day, month and year in the order that they tell. Numbers are seconds
    since 1970-01-01 UTC, or what divides them where they are all between 1990 and 2100 so: milliseconds, microseconds
    or nanoseconds.

    Raises:
        InputError: something else in it (says on which line), a year of more than four digits, or an unknown zone.
    """
    kind, zone, day_first = columns.kind(column, table.notation), None, None
    if table.notation.time_format is not None and (is_text(column) or is_number(column)):
        column, kind = column.cast(pa.large_string()), "text"
    if kind == "number" and pa.types.is_integer(column.type):
        refuse_digits(table.place(0), name, column)
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        zone = getattr(column.type, "tz", None)
        _check_zone(table, name, zone)
        times = column.cast(pa.timestamp("us", zone), safe=False).to_numpy(zero_copy_only=False)
    elif kind in ("number", "wide integer") and (size := _finer(table, name, column)):
        zone, times = "UTC", _since_1970(column, size)
    elif kind == "wide integer":
        row = columns.too_wide(column)
        assert row is not None
        raise _wrong(table, name, row, f"{column[row].as_py()} seconds since 1970", _UNITS)
    elif kind == "number":
        seconds = columns.numbers(table, name, column)
        if are_days(seconds[~np.isnan(seconds)]):
            given = f"time column {name!r} of {table.source} with {np.nanmin(seconds):.10g}, days since 1900 it seems"
            raise InputError(given, _FORMS, as_times(name))
        _refuse_far(table, name, seconds)
        zone = "UTC"
        times = np.round(np.nan_to_num(seconds) * 1e6).astype(np.int64).astype("datetime64[us]")
        times[np.isnan(seconds)] = np.datetime64("NaT")
    elif kind == "text":
        times, zone, day_first = _parsed(table, name, column)
    else:
        do = _TWO_COLUMNS if pa.types.is_time(column.type) else _do()
        raise InputError(f"time column {name!r} of {table.source}, which holds {column.type}", _FORMS, do)
    _refuse_far(table, name, np.where(np.isnat(times), np.nan, times.astype("datetime64[us]").astype(np.int64) / 1e6))
    return Clock(times.astype("datetime64[us]"), zone, day_first, kind in ("number", "wide integer"))


def are_days(values: np.ndarray) -> bool:
    """Whether numbers, all of them, may be days of 1990 to 2100 as spreadsheets count them, not seconds since 1970."""
    return len(values) > 1 and bool(_DAYS[0] <= values.min() and values.max() < _DAYS[1] and np.ptp(values) > 0)


def as_times(name: str) -> str:
    """What makes such a column one of times."""
    column = f"frame[{name!r}]"
    return f'write times, in pandas: {column} = pandas.to_datetime({column}, unit="D", origin="1899-12-30")'


def check_ascending(table: Table, name: str, clock: Clock, group: np.ndarray, rows: np.ndarray) -> None:
    """Refuse times that go back within a stream; equal ones may follow each other.

    Args:
        group: (N,) the stream of each position, stream after stream.
        rows: (N,) where each position stands in the table.
    """
    back = (clock.times[1:] < clock.times[:-1]) & (group[1:] == group[:-1])
    if back.any():
        later = int(np.argmax(back)) + 1
        raise InputError(
            f"{clock.at(later)} after {clock.at(later - 1)} in time column {name!r}, {table.place(int(rows[later]))}",
            "times that ascend within a stream",
            f"sort the rows by time (pandas: frame.sort_values({name!r})); where they are of several streams, name the "
            "column that tells them apart (--stream); where clocks were put back, give times in UTC or with offsets",
        )


def _finer(table: Table, name: str, column: pa.Array) -> int:
    """How many of a column's units make a second: 1,000 for milliseconds; 0 where they are seconds, or no times."""
    if not pa.types.is_integer(column.type):
        column = pa.array(columns.numbers(table, name, column), from_pandas=True)
    size = recent_unit(column)
    return 0 if size == 1 else size


def recent_unit(column: pa.Array) -> int:
    """How many of a column's units make a second, where all of its numbers are times between 1990 and 2100; else 0."""
    present = np.asarray(column.drop_null()).astype(np.float64) if is_number(column) else np.zeros(0)
    if not len(present):
        return 0
    low, high = float(present.min()), float(present.max())
    return next((size for size in (1, 10**3, 10**6, 10**9) if RECENT[0] * size <= low and high < RECENT[1] * size), 0)


def _since_1970(column: pa.Array, size: int) -> np.ndarray:
    """(rows,) datetime64 from numbers of which `size` make a second."""
    if pa.types.is_integer(column.type):
        missing, whole = np.asarray(column.is_null()), np.asarray(column.fill_null(0)).astype(np.int64)
        micros = whole // (size // 10**6) if size >= 10**6 else whole * (10**6 // size)
    else:
        values = np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False))
        missing = np.isnan(values)
        micros = np.round(np.nan_to_num(values) * (1e6 / size)).astype(np.int64)
    times = micros.astype("datetime64[us]")
    times[missing] = np.datetime64("NaT")
    return times


def _parsed(table: Table, name: str, column: pa.Array) -> tuple[np.ndarray, str | None, bool | None]:
    """Text as (rows,) times, in UTC where it has offsets; their zone; and whether the day was read before the month."""
    times, zoned, day_first = np.full(len(column), np.datetime64("NaT"), "datetime64[us]"), None, None
    told = False  # in which form they are
    read: Callable[[str], datetime] = parser_of(table.notation)
    texts = column.to_pylist()
    for row, text in enumerate(texts):
        if text is None or is_missing(text, table.notation):
            continue
        try:
            moment = read(text.strip())
        except ValueError:
            if told:
                raise unread(table.place(row), name, text, texts, table.notation) from None
            try:
                read, day_first = day_and_month(table.place(row), name, text.strip(), texts, table.notation)
                moment = read(text.strip())
            except ValueError:
                raise unread(table.place(row), name, text, texts, table.notation) from None
        told = True
        if zoned not in (None, moment.tzinfo is not None):
            raise _wrong(table, name, row, f"{text!r} {'without' if zoned else 'with'} an offset unlike those before")
        zoned = moment.tzinfo is not None
        try:
            times[row] = moment.astimezone(UTC).replace(tzinfo=None) if zoned else moment
        except OverflowError:  # at the ends of what a calendar holds
            raise _wrong(table, name, row, repr(text)) from None
    return times, "UTC" if zoned else None, day_first


def _check_zone(table: Table, name: str, zone: str | None) -> None:
    try:
        pa.scalar(0, pa.timestamp("us", zone)).as_py()
    except (pa.ArrowInvalid, LookupError):
        raise InputError(
            f"time column {name!r} of {table.source} in the zone {zone!r}",
            "a time zone that this machine knows",
            "write the times in UTC, or install the time zone database (tzdata)",
        ) from None


def _refuse_far(table: Table, name: str, seconds: np.ndarray) -> None:
    far = (seconds < _YEARS[0]) | (seconds >= _YEARS[1])
    if far.any():
        row = int(np.argmax(far))
        raise _wrong(table, name, row, f"{seconds[row]:.0f} seconds since 1970", _UNITS)


def _wrong(table: Table, name: str, row: int, what: str, do: str = "") -> InputError:
    return InputError(f"{what} in time column {name!r}, {table.place(row)}", _FORMS, do or _do())


def _do() -> str:
    return "write times as year-month-day hour:minute:second, all with an offset from UTC or all without"
