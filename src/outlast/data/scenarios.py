"""Scenarios: situations that people name, by the clock, by the calendar, or by a condition on columns.

A rule is one or more of these, with ``and`` between them:

- ``22:00/06:00``: from one time of day up to another, over midnight where the second is earlier;
- ``sat,sun``, ``mon/fri``, ``dec/feb``, ``jul,aug``: days of the week, or months;
- ``2010-03-01/2010-04-01``: from one date (or time) up to another;
- ``speed<10``, ``load>=0.5``, ``mode=idle``, ``mode!=idle``: what a column holds in that row.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from outlast.data.draws import Weighted
from outlast.data.files.source import Table, is_text
from outlast.data.layout import Layout
from outlast.data.tables import columns
from outlast.data.tables.clock import Clock
from outlast.errors import InputError, unknown_name

OTHERWISE = "otherwise"
"""What positions outside a scenario are called."""
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_FULL = {
    *("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"),
    *("january", "february", "march", "april", "june", "july", "august", "september"),
    *("october", "november", "december"),
}
_NAME = re.compile(r"[^\W_][\w .-]*")
_OF_DAY = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?")
_OFFSET = re.compile(r"[+-]\d\d(:?\d\d)?")
"""A zone that is an offset from UTC, the same all year."""
_CONDITION = re.compile(r"(.+?)\s*(<=|>=|!=|==|=|<|>)\s*(.+)")
_COMPARED: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "=": operator.eq, "!=": operator.ne,
}  # fmt: skip
_FORMS = "22:00/06:00, sat,sun, dec/feb, 2010-03-01/2010-04-01, or a column with a value (speed<10, mode=idle)"
_DAY = 86_400


@dataclass(frozen=True)
class OfDay:
    """From one time of day up to another, in seconds; over midnight where `end` is not after `start`."""

    start: int
    end: int

    def holds(self, times: np.ndarray) -> np.ndarray:
        """(N,) bool at local times (N,) datetime64[s]."""
        second = times.astype(np.int64) % _DAY
        if self.start < self.end:
            return (second >= self.start) & (second < self.end)
        return (second >= self.start) | (second < self.end)


@dataclass(frozen=True)
class Calendar:
    """Days of the week (from Monday, 0) or months (from January, 0)."""

    unit: str
    numbers: frozenset[int]

    def holds(self, times: np.ndarray) -> np.ndarray:
        """(N,) bool at local times (N,) datetime64[s]."""
        if self.unit == "month":
            number = times.astype("datetime64[M]").astype(np.int64) % 12
        else:
            number = (times.astype("datetime64[D]").astype(np.int64) + 3) % 7  # 1970 began on a Thursday
        return np.isin(number, sorted(self.numbers))


@dataclass(frozen=True)
class Between:
    """From one moment up to another."""

    start: np.datetime64
    end: np.datetime64

    def holds(self, times: np.ndarray) -> np.ndarray:
        """(N,) bool at local times (N,) datetime64[s]."""
        return (times >= self.start) & (times < self.end)


@dataclass(frozen=True)
class Condition:
    """What a column holds; a row without a value is outside."""

    column: str
    sign: str
    value: str


Test = OfDay | Calendar | Between | Condition


@dataclass(frozen=True)
class Scenario:
    """A situation and the tests that all hold in it."""

    name: str
    rule: str
    tests: tuple[Test, ...]

    @property
    def by_time(self) -> bool:
        """Whether it takes a clock to tell."""
        return any(not isinstance(test, Condition) for test in self.tests)

    @property
    def columns(self) -> list[str]:
        """Columns that its conditions are on."""
        return [test.column for test in self.tests if isinstance(test, Condition)]


def scenarios_of(given: Mapping[str, str] | Sequence[str] | str | None) -> tuple[Scenario, ...]:
    """Scenarios from ``{"night": "22:00/06:00"}`` or ``["night=22:00/06:00"]``.

    Raises:
        InputError: a name or a rule that cannot be read, or a name twice.
    """
    if given is None:
        return ()
    if isinstance(given, str):
        given = [given]
    pairs = list(given.items()) if isinstance(given, Mapping) else list(map(_parted, given))
    found = tuple(_scenario(str(name).strip(), str(rule).strip()) for name, rule in pairs)
    names = [each.name for each in found]
    double = next((name for name in names if names.count(name) > 1), None)
    if double is not None:
        raise InputError(f"scenario {double!r} twice", "a name of its own for each", "rename one of them")
    return found


def marks_of(
    scenarios: Iterable[Scenario],
    positions: int,
    clock: Clock | None,
    compared: Callable[[Condition, Scenario], np.ndarray],
    where: str,
) -> dict[str, np.ndarray]:
    """Of each scenario, (N,) int8: 1 at the positions at which it holds, else 0.

    Args:
        positions: N.
        clock: of them; None: nothing says when they were.
        compared: gives (N,) bool, where a condition holds.
        where: the data are, for messages.

    Raises:
        InputError: a rule by time without a clock, or a scenario that holds nowhere.
    """
    times = None if clock is None else _local(clock)
    found = {}
    for scenario in scenarios:
        if scenario.by_time and times is None:
            raise InputError(
                f"scenario {scenario.name}={scenario.rule} without a time column",
                "a column that says when each row was",
                "name it: --time",
            )
        holds = np.ones(positions, bool)
        for test in scenario.tests:
            if isinstance(test, Condition):
                holds &= compared(test, scenario)
            else:
                assert times is not None
                holds &= test.holds(times)
        if not holds.any():
            raise InputError(
                f"scenario {scenario.name}={scenario.rule}, which holds in no row of {where}",
                "a rule that holds somewhere",
                "check its times and values, or leave it out here",
            )
        found[scenario.name] = holds.astype(np.int8)
    return found


def recorded(scenarios: Iterable[Scenario]) -> dict[str, Any]:
    """What a result records about scenarios."""
    named = tuple(scenarios)
    return {
        "scenarios": {each.name: each.rule for each in named},
        "label_names": {each.name: [OTHERWISE, each.name] for each in named},
    }


def in_table(test: Condition, scenario: Scenario, table: Table, column: pa.Array) -> np.ndarray:
    """(rows,) bool: where a condition holds in a table.

    Raises:
        InputError: a column that cannot be compared so.
    """
    try:
        value = float(test.value)
    except ValueError:
        value = None
    if value is not None and columns.kind(column) in ("number", "empty"):
        return compared(columns.numbers(table, test.column, column), test.sign, value)
    if test.sign in ("=", "!=") and is_text(column):
        known = np.array(column.is_valid())
        same = np.array([text is not None and text.strip() == test.value for text in column.to_pylist()], bool)
        return (same if test.sign == "=" else ~same) & known
    raise InputError(
        f"scenario {scenario.name}={scenario.rule} and column {test.column!r} of {table.source}, which holds "
        f"{columns.kind(column)}s ({column.type})",
        "a number beside a column of numbers, or = and != beside text",
        "correct the rule",
    )


def compared(values: np.ndarray, sign: str, value: float) -> np.ndarray:
    """(N,) bool: where numbers compare so with a value; not where they are missing."""
    return _COMPARED[sign](values, value) & ~np.isnan(values)


def weighted_places(streams: Layout, weights: Mapping[str, float] | None, window: int) -> Weighted | None:
    """Training windows that begin in some scenarios more often than elsewhere; None: all alike.

    Args:
        weights: by scenario, 0 or more; where several hold, they are multiplied. Outside all of them it is 1.
        window: positions.

    Raises:
        InputError: a scenario that the streams do not have, or no window of any weight.
    """
    if not weights:
        return None
    known = streams.about.get("scenarios", {})
    if not known:
        raise InputError(
            f"start weights of {', '.join(weights)} for streams without scenarios",
            "scenarios that say where those are",
            "name them when the table is read: --scenario night=22:00/06:00",
        )
    each = np.ones(len(streams.inputs))
    for name, weight in weights.items():
        if name not in known:
            raise unknown_name("start weight of scenario", name, known)
        each *= np.where(streams.labels[name] > 0, weight, 1.0)
    return Weighted(streams.starts, streams.lengths, window, each)


def _parted(text: Any) -> tuple[str, str]:
    name, equals, rule = str(text).partition("=")
    if not equals:
        raise InputError(f"scenario {text!r}", "NAME=RULE", "for example night=22:00/06:00")
    return name, rule


def _scenario(name: str, rule: str) -> Scenario:
    if not _NAME.fullmatch(name):
        raise InputError(
            f"scenario {name!r} ({rule})", "a name of letters, digits, spaces, - or .", "for example night=22:00/06:00"
        )
    parts = [part.strip() for part in re.split(r"\s+and\s+", rule, flags=re.IGNORECASE)]
    return Scenario(name, rule, tuple(_test(part, f"{name}={rule}") for part in parts))


def _test(text: str, where: str) -> Test:
    first, slash, second = (part.strip() for part in text.partition("/"))
    if slash and _OF_DAY.fullmatch(first) and _OF_DAY.fullmatch(second):
        return _of_day(first, second, where)
    words = [word.strip().lower() for word in re.split("[,/]", text)]
    if all(word in _FULL or word in _DAYS or word in _MONTHS for word in words):
        return _calendar(text.lower(), where)
    if slash and re.match(r"\d{4}-\d{2}", first):
        return _between(first, second, where)
    if condition := _CONDITION.fullmatch(text):
        column, sign, value = condition.groups()
        return Condition(column.strip(), "=" if sign == "==" else sign, value.strip().strip("'\""))
    raise _wrong(text, where)


def _of_day(first: str, second: str, where: str) -> OfDay:
    ends = []
    for text in (first, second):
        found = _OF_DAY.fullmatch(text)
        assert found is not None
        hour, minute, second_ = (int(part or 0) for part in found.groups())
        if minute > 59 or second_ > 59 or hour * 3600 + minute * 60 + second_ > _DAY:
            raise _wrong(text, where)
        ends.append(hour * 3600 + minute * 60 + second_)
    start, end = ends[0] % _DAY, ends[1]
    if start == end % _DAY:
        raise InputError(f"scenario {where}: all of the day, or none of it", "two different times of day", "correct it")
    return OfDay(start, end)


def _calendar(text: str, where: str) -> Calendar:
    numbers: set[int] = set()
    units = set()
    for piece in text.split(","):
        ends = [word.strip()[:3] for word in piece.split("/")]
        known = _DAYS if ends[0] in _DAYS else _MONTHS
        if len(ends) > 2 or any(end not in known for end in ends):
            raise _wrong(piece, where)
        units.add("day" if known is _DAYS else "month")
        first, last = known.index(ends[0]), known.index(ends[-1])
        numbers |= {(first + k) % len(known) for k in range((last - first) % len(known) + 1)}
    if len(units) > 1:
        raise InputError(
            f"scenario {where}, with days and months in one list", "days or months", "write both with 'and' between"
        )
    return Calendar(units.pop(), frozenset(numbers))


def _between(first: str, second: str, where: str) -> Between:
    try:
        start, end = (np.datetime64(text.replace(" ", "T"), "s") for text in (first, second))
    except ValueError:
        raise _wrong(f"{first}/{second}", where) from None
    if not start < end:
        raise InputError(f"scenario {where}: {first} is not before {second}", "the earlier date first", "swap them")
    return Between(start, end)


def _wrong(text: str, where: str) -> InputError:
    return InputError(f"scenario {where}, in which {text!r} cannot be read", _FORMS, "correct the rule")


def _local(clock: Clock) -> np.ndarray:
    """(N,) datetime64[s] as a clock on the wall shows it in the times' zone."""
    if clock.zone is None:
        return clock.times.astype("datetime64[s]")
    if _OFFSET.fullmatch(clock.zone):  # of which pyarrow's kernels know nothing before 22
        offset = pa.scalar(0, pa.timestamp("us", clock.zone)).as_py().utcoffset()
        return (clock.times + np.timedelta64(offset)).astype("datetime64[s]")
    moments = pa.array(clock.times.astype("datetime64[us]"), pa.timestamp("us", "UTC")).cast(
        pa.timestamp("us", clock.zone)
    )
    return pc.local_timestamp(moments).to_numpy(zero_copy_only=False).astype("datetime64[s]")  # pyright: ignore[reportAttributeAccessIssue]
