"""In which order rows stand: judged by a clock, also where nobody named it, and whether they are of several machines.

Rows of several machines, or rows that were shuffled, would be read as one recording that never was. That is asked
about. Rows from the newest to the oldest are read from their end, which is recorded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from outlast.data.files.source import FILE, Table, is_text
from outlast.data.tables import columns
from outlast.data.tables.clock import Clock, read_clock, recent_unit
from outlast.data.tables.options import TableOptions
from outlast.data.tables.rows import LIKE, REGULAR
from outlast.data.tables.suspects import FEWEST, NEARLY, is_named_time
from outlast.errors import Choice, InputError, Question

Content = dict[str, pa.Array]
_MANY = 0.5
"""Share of rows that have their time in common with others, from which on they are taken for several recordings."""
_SWITCHES = 0.25
"""Share of neighbours of different machines, where rows of several are mixed."""
_MOST = 1000
"""Machines that one file may tell apart."""
_FEW = 16
"""Columns that are all looked at."""
_SAMPLE = 20
_MACHINE = re.compile(
    r"(?i)machine|unit|device|sensor|asset|pump|line|station|site|meter|house|node|tag|serial|channel|customer|plant|"
    r"vehicle|engine|well|turbine|host|motor|room|building|name|(^|[\W_])ids?([\W_]|$)|[a-z]I[dD]$"
)
_CALENDAR = re.compile(r"(?i)hour|minute|second|day|week|month|quarter|year|period|slot|interval|step|season")


@dataclass(frozen=True)
class Order:
    """How rows follow each other.

    Args:
        time: the column that says when rows were: the one that was named, or one that was recognised.
        sequence: (rows,) by which the rows of a stream are sorted; None: as they stand.
        about: what a result records about it.
        clock: what that column says, (rows,) times; None: nothing was read of it.
    """

    time: str | None
    sequence: np.ndarray | None
    about: dict[str, Any]
    clock: Clock | None = None


class _Apart(NamedTuple):
    """A column that tells machines apart: its name, a number for every row, and what it says of the first few."""

    name: str
    number: np.ndarray
    values: list[str]


def order_of(table: Table, content: Content, options: TableOptions, group: np.ndarray) -> Order:
    """The order of a table's rows.

    Args:
        content: columns by name; those that are not used say more about the order.
        group: (rows,) the number of each row's stream.

    Raises:
        Question: rows that may be of several machines, or that were shuffled.
        InputError: an order by time, where nothing says when rows were.
    """
    rows = len(group)
    if options.order == "newest-first":
        return Order(options.time, -np.arange(rows), {"order": "newest first, as asked"})
    name, clock = options.time, None
    if name is None and (rows >= FEWEST or options.order == "time"):
        name, clock = _recognised(table, content, options)
    if name is None:
        if options.order == "time":
            raise InputError(
                "order 'time' without a time column", "a column that says when each row was", "name it: --time"
            )
        return Order(None, None, {})
    clock = clock or read_clock(table, name, content[name])
    if options.order == "time":
        rank = np.argsort(np.argsort(clock.times, kind="stable"))  # rows without a time come last
        return Order(name, rank, {"order": "sorted by time, as asked"}, clock)
    back, onward = _directions(clock, group)
    if options.order is None and rows >= FEWEST:
        _refuse_mixed(table, content, options, group, name, clock)
        if back.any() and not onward.any():
            return Order(_taken(name, clock, options, back), -np.arange(rows), {"order": "newest first"}, clock)
        if back.any():
            raise _shuffled(table, options, name, clock, group, back)
    if back.any() and options.time is None:
        return Order(None, None, {})  # as they stand, as asked: this is no clock of theirs
    return Order(_taken(name, clock, options, onward), None, {}, clock)


def telling(names: list[str]) -> list[str]:
    """Columns that may tell the order of rows, of those that nobody asked for: all of a few, otherwise by name."""
    return [name for name in names if len(names) <= _FEW or is_named_time(name) or _MACHINE.search(name)]


def _taken(name: str, clock: Clock, options: TableOptions, moving: np.ndarray) -> str | None:
    """The time column, if it was named, or tells most rows from the one before.

    Args:
        moving: (rows − 1,) where time goes on, or back.
    """
    return name if options.time is not None or (not clock.numeric and moving.mean() > _MANY) else None


def _directions(clock: Clock, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(rows − 1,) where time goes back, and where it goes on, from one row of a stream to the next in the table."""
    order = np.argsort(group, kind="stable")
    times, same = clock.times[order], group[order][1:] == group[order][:-1]
    with np.errstate(invalid="ignore"):
        return (times[1:] < times[:-1]) & same, (times[1:] > times[:-1]) & same


def _recognised(table: Table, content: Content, options: TableOptions) -> tuple[str | None, Clock | None]:
    """The column that says when rows were, though nobody named it: by its kind, then its name, then its place."""
    used = {*(options.inputs or ()), *options.target, *options.category, *options.leave_out, options.weight, FILE}
    found = []
    for place, (name, column) in enumerate(content.items()):
        if name in used or name == options.stream or not _may_be_times(table, name, column):
            continue
        try:
            clock = read_clock(table, name, column)
        except Question as question:  # times, but for one, or in an order that they do not tell
            if not is_named_time(name) or options.order is not None or options.schema is not None:
                continue
            apart = Choice("read the rows as they stand, and no times", {"order": "file"})
            raise Question(question.given, question.expected, [*question.choices, apart], question.otherwise) from None
        except InputError:  # what is no time after all; asked for by name, it says why
            continue
        known = clock.times[~np.isnat(clock.times)]
        if len(known) > 0.9 * len(column) and len(np.unique(known)) >= max(FEWEST // 4, len(known) / _MOST):
            found.append((clock.numeric, not is_named_time(name), place, name, clock))
    *_, name, clock = min(found, key=lambda each: each[:3], default=(None, None))
    return name, clock


def _may_be_times(table: Table, name: str, column: pa.Array) -> bool:
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        return True
    if is_text(column):
        sample = column.drop_null()[:_SAMPLE].to_pylist()
        return bool(sample) and all(re.search(r"\d\W+\d", each) and len(each) < 40 for each in sample)
    return is_named_time(name) and recent_unit(column) > 0


def _refuse_mixed(
    table: Table, content: Content, options: TableOptions, group: np.ndarray, name: str, clock: Clock
) -> None:
    """Ask about rows that are of several machines, by what would tell these apart."""
    if options.stream is not None:
        return
    times, known = clock.times.astype(np.int64), ~np.isnat(clock.times)
    back, onward = _directions(clock, group)
    if not back.any() and onward.mean() > 1 - _SWITCHES and _regular(clock, group):
        return
    counts = _counts(times[known], group[known])
    repeated = float(counts[counts > 1].sum() / counts.sum())
    whole_days = bool((times[known] % 86_400_000_000 == 0).all())
    found = []
    for each in _telling_apart(content, options, name):
        named, text = _MACHINE.search(each.name) is not None, is_text(content[each.name])
        if not named and (_CALENDAR.search(each.name) or (whole_days and not text)):
            continue  # hours of a day come with every date
        apart = group * (int(each.number.max()) + 1) + each.number
        if _are_machines(clock, group, apart, repeated, mixed=bool(back.any() and onward.any())):
            found.append(((not text, not named, len(each.values)), each, apart))
    if found:
        _, chosen, apart = min(found, key=lambda each: each[0])
        raise _several(table, content, options, name, chosen, _directions(clock, apart))


def _are_machines(clock: Clock, group: np.ndarray, apart: np.ndarray, repeated: float, *, mixed: bool) -> bool:
    """Whether rows are of one recording each only where a column tells them apart.

    Args:
        group, apart: (rows,) streams without the column, and with it.
        repeated: share of rows that have their time in common with others.
        mixed: whether time goes back and on without the column.
    """
    back, onward = _directions(clock, apart)
    if repeated >= _MANY:
        return len(_counts(clock.times.astype(np.int64), apart)) >= NEARLY * len(apart)
    if mixed:
        return not (back.any() and onward.any()) and bool(back.any() or onward.any())
    switches = (apart[1:] != apart[:-1]).mean()
    return bool(switches >= _SWITCHES and not _regular(clock, group) and _regular(clock, apart))


def _counts(times: np.ndarray, group: np.ndarray) -> np.ndarray:
    """How many rows each time of each group has."""
    moment = np.unique(times, return_inverse=True)[1].reshape(-1)
    return np.unique(moment * (int(group.max()) + 1) + group, return_counts=True)[1]


def _regular(clock: Clock, group: np.ndarray) -> bool:
    """Whether the steps of most streams are alike; those of one may differ from another's."""
    order = np.argsort(group, kind="stable")
    times = clock.times[order]
    alike = total = 0
    for own in np.split(times, np.flatnonzero(np.diff(group[order])) + 1):
        steps = np.diff(own) / np.timedelta64(1, "s")
        typical = float(np.median(steps)) if len(steps) else 0.0
        alike += int((np.abs(steps - typical) < LIKE * abs(typical)).sum())
        total += len(steps)
    return alike >= REGULAR * total


def _telling_apart(content: Content, options: TableOptions, time: str) -> Iterator[_Apart]:
    """Columns of text, or of whole numbers with few values, that may tell machines apart."""
    for name, column in content.items():
        if name in (time, options.weight, FILE, *options.target) or column.null_count:
            continue
        if not is_text(column) and not columns.is_whole(column):
            continue
        coded = column.dictionary_encode()
        if 2 <= len(coded.dictionary) <= min(_MOST, len(column) // 4):
            values = [str(value) for value in coded.dictionary[:4].to_pylist()]
            yield _Apart(name, np.array(coded.indices, np.int64), values + ["…"] * (len(coded.dictionary) > 4))


def _several(
    table: Table,
    content: Content,
    options: TableOptions,
    time: str,
    chosen: _Apart,
    directions: tuple[np.ndarray, np.ndarray],
) -> Question:
    back, onward = directions
    told: dict[str, Any] = {"stream": chosen.name}
    if options.inputs is not None and chosen.name in options.inputs and chosen.name not in options.category:
        told["inputs"] = [name for name in options.inputs if name != chosen.name]
    if chosen.name in options.leave_out:
        told["leave_out"] = [name for name in options.leave_out if name != chosen.name]
    if back.any() and onward.any():
        told["order"] = "time"
    numbers = [name for name, column in content.items() if columns.kind(column, table.notation) == "number"]
    names = [name for name in numbers if name not in (time, chosen.name)]
    pivot = (
        f"where {chosen.name!r} says what was measured, in pandas: frame.pivot(index={time!r}, "
        f"columns={chosen.name!r}, values={names[0]!r})"
    )
    return Question(
        f"{table.source}, which holds several recordings: times in column {time!r} repeat or go back, and column "
        f"{chosen.name!r} tells the recordings apart ({', '.join(chosen.values)})",
        "one recording with its rows in the order of time, or the column that tells recordings apart",
        [
            Choice(f"read every {chosen.name!r} as a stream of its own", told),
            Choice("read all rows as one recording, as they stand", {"order": "file"}),
        ],
        pivot if len(names) == 1 else "",
    )


def _shuffled(
    table: Table, options: TableOptions, name: str, clock: Clock, group: np.ndarray, back: np.ndarray
) -> Question:
    order = np.argsort(group, kind="stable")
    later = int(np.argmax(back)) + 1
    now, before = int(order[later]), int(order[later - 1])
    times = int(back.sum())
    choices = [Choice("sort the rows by time", {"order": "time"})]
    if options.time is None:
        choices.append(Choice("read the rows as they stand", {"order": "file"}))
    return Question(
        f"{clock.at(now)} after {clock.at(before)} in time column {name!r}, {table.place(now)}"
        + (f", and {times - 1:,} more times that go back" if times > 1 else ""),
        "times that ascend within a stream",
        choices,
        "where they are of several streams, name the column that tells them apart (--stream); where clocks were put "
        "back, give times in UTC or with offsets",
    )
