"""Times as people write them: by a given format, in ISO 8601, or as day, month and year in the order that they tell."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from outlast.errors import Choice, InputError, Question
from outlast.schema import Notation
from outlast.streams.notation import is_missing

if TYPE_CHECKING:  # whoever serves rows loads no Arrow for their times
    import pyarrow as pa

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
        "say how times are written (time_format, as datetime.strptime takes it), or write them anew, in pandas: "
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
