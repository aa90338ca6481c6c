"""What is probably not meant: columns of numbers that are no inputs, and numbers that stand for none.

Row numbers and other identifiers, times, and the target in disguise are asked about where nobody chose the inputs;
columns that were named are taken as they are. Numbers such as −9999 are asked about unless they, or NA, are listed.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

import numpy as np

from outlast.data.files.source import Table, as_missing
from outlast.data.tables.clock import RECENT, are_days, as_times
from outlast.data.tables.options import TableOptions
from outlast.data.tables.rows import Rows
from outlast.data.tables.targets import rows_ahead
from outlast.errors import Choice, Question

FEWEST = 32
"""Rows below which nothing is suspected: by chance much looks alike."""
MOST_NAMED = 40
"""Columns that a command can name."""
NEARLY = 0.99
MOSTLY = 0.9
_CODES = re.compile(
    r"9{3,}(\.9+)?|3276[78]|65535|214748364[78]|4294967295|9\.96920996838\d*e\+36|1e\+\d\d|3\.40282\d*e\+38"
)
"""Numbers by which loggers and file formats say that there is no measurement."""
MEASURED = "NA"
"""Listed among the marks of missing values, it says that all other numbers were measured: it is missing in any case."""
LEAK = 0.999
"""Correlation with the target ahead from which on a column may be the target itself."""
CLEARLY = 0.1
"""… where what is lacking to 1 is less than this share of what the target's present value lacks."""
_ID = "id|ids|idx|index|row|nr|no|num|number|key|uid|uuid|seq|sequence|serial"
_NAMED_ID = re.compile(rf"(^|[\W_])(?i:{_ID})\d*([\W_]|$)|[a-z](Id|ID|No|Nr)$")
_NAMED_TIME = re.compile(r"time|date|stamp|epoch|unix|when|(^|[\W_])(ts|t|ms|utc)([\W_]|$)", re.I)
_UNITS = {"seconds": 1.0, "milliseconds": 1e3, "microseconds": 1e6}


def is_named_time(name: str) -> bool:
    """Whether a column's name says that it holds times."""
    return _NAMED_TIME.search(name) is not None


class Suspect(NamedTuple):
    name: str
    kind: Literal["identifier", "time", "days", "leak"]
    why: str


def refuse_suspects(table: Table, names: list[str], rows: Rows, options: TableOptions) -> None:
    """Ask about inputs that are probably none.

    Args:
        names: of the inputs, none of which was chosen.

    Raises:
        Question: names them, says why, and what to type.
    """
    found = []
    for at, name in enumerate(names):
        if name in (*options.target, *options.category, *options.static):
            continue
        values = rows.features[:, at]
        why = _time(name, values, rows)
        if why is not None:
            found.append(Suspect(name, "time", why))
        elif is_named_time(name) and (why := _days(values, rows)) is not None:
            found.append(Suspect(name, "days", why))
        elif (why := _identifier(name, values, rows)) is not None:
            found.append(Suspect(name, "identifier", why))
        elif (why := _leak(values, rows, options)) is not None:
            found.append(Suspect(name, "leak", why))
    if found:
        raise Question(
            f"{table.source} with {'; '.join(f'column {each.name!r}, {each.why}' for each in found)}",
            "input columns that are known when a forecast is made, and that tell something about the target",
            _choices(found, names, options),
            "; ".join(as_times(each.name) for each in found if each.kind == "days"),
        )


def _choices(found: list[Suspect], names: list[str], options: TableOptions) -> list[Choice]:
    times = [each.name for each in found if each.kind == "time"]
    choices = []
    if times and options.time is None:
        left = [*options.leave_out, *(each.name for each in found if each.name != times[0])]
        choices.append(Choice("say when rows were", {"time": times[0], **({"leave_out": left} if left else {})}))
    left = [*options.leave_out, *(each.name for each in found)]
    choices.append(Choice("leave out what is no input", {"leave_out": left}))
    if ids := [each.name for each in found if each.kind == "identifier"]:
        named = {"category": [*options.category, *ids]}
        choices.append(Choice("say that its values are no sizes, for a model with an embedding of them", named))
    if len(names) <= MOST_NAMED:
        choices.append(Choice("read all of it as it is", {"inputs": names}))
    return choices


def _within(values: np.ndarray, rows: Rows) -> np.ndarray:
    """Steps between neighbouring rows of one stream."""
    return np.diff(values)[rows.stream[1:] == rows.stream[:-1]]


def _time(name: str, values: np.ndarray, rows: Rows) -> str | None:
    steps = _within(values, rows)
    if len(steps) < FEWEST - 1 or (steps >= 0).mean() < NEARLY or not (steps > 0).mean() >= 0.5:
        return None
    for unit, size in _UNITS.items():
        if RECENT[0] * size <= values.min() and values.max() < RECENT[1] * size:
            typical = np.median(steps)
            if (np.abs(steps - typical) <= 0.01 * typical).mean() >= 0.5 or is_named_time(name):
                first = np.datetime64(int(values[0] / size), "s")
                return f"which ascends as {unit} since 1970 do (from {str(first).replace('T', ' ')} on)"
    return None


def _days(values: np.ndarray, rows: Rows) -> str | None:
    """As spreadsheets count them; below a name that says that it holds times."""
    steps = _within(values, rows)
    if len(steps) < FEWEST - 1 or (steps >= 0).mean() < NEARLY or not (steps > 0).any() or not are_days(values):
        return None
    return f"which ascends as days since 1900 do in a spreadsheet (from {values[0]:.6g} on)"


def _identifier(name: str, values: np.ndarray, rows: Rows) -> str | None:
    if len(values) < FEWEST or not np.array_equal(values, np.round(values)):
        return None
    steps, named = _within(values, rows), _NAMED_ID.search(name) is not None
    if len(steps) >= FEWEST - 1:
        typical = np.median(steps)
        equal, onward = float((steps == typical).mean()), bool((steps * typical > 0).all())  # hours of the day go back
        if onward and equal >= MOSTLY and (abs(typical) == 1 or equal >= NEARLY or named):
            return f"which counts rows ({values[0]:.0f}, {values[1]:.0f}, {values[2]:.0f}, …)"
        if named and (steps > 0).mean() >= NEARLY and len(np.unique(values)) >= NEARLY * len(values):
            return "whole numbers that are all different and ascend, as identifiers do"
    first = np.flatnonzero(np.concatenate([[True], rows.stream[1:] != rows.stream[:-1]]))
    each = np.unique(values[first])
    if len(first) >= 3 and not steps.any() and len(each) == len(first):
        dense = each[-1] - each[0] < 2 * len(first)
        if named or dense:
            return "one whole number for each stream, as identifiers of streams are"
    return None


def _leak(values: np.ndarray, rows: Rows, options: TableOptions) -> str | None:
    """Why a column is the target ahead, or nearly so, and clearly better known than by the target's present value."""
    if rows.targets is None:
        return None
    for at, name in enumerate(options.target):
        now = rows.targets[:, at]
        for far in options.horizons:
            inside = rows.before_end(far)
            if inside.sum() < FEWEST:
                continue
            then = rows_ahead(now, far, options.aggregate)[inside]
            what = f"{name!r} {far} rows ahead" if far else f"{name!r} in the same row"
            same, present = _equal(values[inside], then), 0.0 if far == 0 else _equal(now[inside], then)
            if same >= LEAK and 1 - same < CLEARLY * (1 - present):
                return f"which equals the target, {what}"
            if rows.labels is not None or far == 0:
                continue
            like, present = _correlation(values[inside], then), _correlation(now[inside], then)
            if like > LEAK and 1 - like < CLEARLY * (1 - present):
                return (
                    f"which correlates by {like:.5f} with the target, {what} (its present value does by {present:.3f})"
                )
    return None


def _equal(values: np.ndarray, then: np.ndarray) -> float:
    return float(np.isclose(values, then, rtol=1e-6, atol=0).mean())


def _correlation(values: np.ndarray, then: np.ndarray) -> float:
    """In size; 0 where one of the two never varies."""
    a, b = values - values.mean(), then - then.mean()
    size = float(np.sqrt((a * a).sum()) * np.sqrt((b * b).sum()))
    return abs(float((a * b).sum())) / size if size > 0 and np.isfinite(size) else 0.0


def refuse_codes(table: Table, names: list[str], rows: Rows, options: TableOptions) -> None:
    """Ask about numbers that are probably no measurements: −9999, 1e30, or one negative number far from all others.

    Args:
        names: of the inputs.

    Raises:
        Question: names the columns and their rows.
    """
    notation = table.notation
    if MEASURED in notation.missing_values or len(rows.features) < FEWEST:
        return
    read = {name: rows.features[:, at] for at, name in enumerate(names) if name not in options.category}
    if rows.targets is not None and rows.labels is None:
        read |= {name: rows.targets[:, at] for at, name in enumerate(options.target)}
    found = {name: codes for name, values in read.items() if (codes := _codes(values))}
    if not found:
        return
    parts = []
    for name, codes in found.items():
        at = np.isin(read[name], codes)
        numbers = " and ".join(map(_spelt, codes))
        place = table.place(int(rows.origin[name][int(np.argmax(at))]))
        parts.append(f"{numbers} in {int(at.sum()):,} rows of column {name!r} (the first: {place})")
    codes = list(dict.fromkeys(_spelt(code) for each in found.values() for code in each))
    raise Question(
        f"{table.source} with {'; '.join(parts)}, far from all other values",
        "measurements, or to know which numbers stand for a missing value",
        [
            Choice("take them for missing values", as_missing(codes, notation)),
            Choice(f"read them as measured ({MEASURED} is missing in any case)", as_missing([MEASURED], notation)),
        ],
    )


def _codes(values: np.ndarray) -> list[float]:
    """Extremes of a column that stand for no measurement; up to four of them."""
    found: list[float] = []
    while len(values) and len(found) < 4:
        ends = [end for end in (float(values.min()), float(values.max())) if _may_be_code(end)]
        codes = [end for end in ends if _is_code(end, values, values[~np.isin(values, ends)])]
        if not codes:
            break
        found += codes
        values = values[~np.isin(values, codes)]
    return list(dict.fromkeys(found))


def _may_be_code(number: float) -> bool:
    return _CODES.fullmatch(f"{abs(number):.15g}") is not None or (number < 0 and number == round(number))


def _is_code(extreme: float, values: np.ndarray, others: np.ndarray) -> bool:
    """Whether an extreme of a column is farther from all other values than these are from each other."""
    if not len(others):
        return False
    low, high = float(others.min()), float(others.max())
    distance = low - extreme if extreme < low else extreme - high
    if _CODES.fullmatch(f"{abs(extreme):.15g}") is not None:
        return distance > high - low
    often = int((values == extreme).sum()) >= 3
    return often and low >= 0 and distance > 3 * (high - low) and len(np.unique(others)) >= FEWEST // 2


def _spelt(code: float) -> str:
    """A number as people write it, where that is the same number."""
    short = f"{code:.15g}"
    return short if float(short) == code else repr(code)
