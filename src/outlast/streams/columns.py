"""Columns of a table as arrays, with errors that name the column, the line and the value."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from outlast.errors import Choice, InputError, Question
from outlast.schema import PLAIN, Notation
from outlast.streams.notation import MISSING, as_missing, is_missing, nearly_number, number_in, other_notations
from outlast.streams.source import Table, is_number, is_text

EXACT = 1 << 53
"""Whole numbers beyond it have no float64 of their own."""
LARGEST = float(np.finfo(np.float32).max)
"""In size, that features can have."""
SAMPLED = 10_000
"""Different texts of a column that are looked at, evenly, to tell whether it holds numbers."""
MOST_SPELLINGS = 8
"""Of missing values that are proposed at once."""


def kind(column: pa.Array, notation: Notation = PLAIN) -> str:
    """``number``, ``time``, ``text``, ``empty``, ``wide integer`` or ``other``.

    Text most of which looks like numbers counts as number, so that one wrong cell is reported rather than the
    column left out. Whole numbers beyond 2^53 are identifiers or times in ns more often than measurements.
    """
    if pa.types.is_null(column.type) or column.null_count == len(column):
        return "empty"
    if pa.types.is_temporal(column.type):
        return "time"
    if not is_text(column):
        return "other" if not is_number(column) else "number" if too_wide(column) is None else "wide integer"
    counts = column.value_counts()
    values, times = counts.field("values"), np.asarray(counts.field("counts"))
    sample = np.unique(np.linspace(0, len(values) - 1, min(len(values), SAMPLED)).astype(np.int64))
    present = [(at, text) for at in sample if (text := values[int(at)].as_py()) is not None]
    alike = sum(times[at] for at, text in present if number_in(text, notation) is not None or nearly_number(text))
    return "number" if alike > sum(times[at] for at, _ in present) / 2 else "text"


def numbers(table: Table, name: str, column: pa.Array) -> np.ndarray:
    """A column as (rows,) float64, NaN where a value is missing; booleans are 0 and 1.

    Raises:
        InputError: text, a time, lists or bytes in it, an infinite value or one that float32 does not hold, or a whole
            number beyond 2^53; says on which line.
    """
    if pa.types.is_temporal(column.type):
        raise InputError(
            f"column {name!r} of {table.source}, which holds times ({column.type})",
            "a column of numbers",
            "leave it out, or write it as a number (the hour of the day, say)",
        )
    wide = too_wide(column)
    if wide is not None:
        raise InputError(
            f"{column[wide].as_py()} in column {name!r}, {table.place(wide)}",
            f"whole numbers of at most 2^53 ({EXACT:,}) in size, which a float64 can tell apart",
            "leave the column out (inputs), or write it in a larger unit, such as seconds for nanoseconds",
        )
    if is_text(column):
        values = _parsed(table, name, column)
    elif not is_number(column):
        raise InputError(
            f"column {name!r} of {table.source}, which holds {column.type}",
            "a column of numbers",
            "leave it out (inputs), or write its numbers as columns of their own",
        )
    else:
        values = np.array(column.cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)
    infinite = np.isinf(values)
    if infinite.any():
        row = int(np.argmax(infinite))
        raise Question(
            f"{values[row]} in column {name!r}, {table.place(row)}",
            "finite numbers",
            [Choice("take it for a missing value", as_missing([f"{values[row]:g}"], table.notation))],
            "correct the value",
        )
    large = np.abs(values) > LARGEST
    if large.any():
        row = int(np.argmax(large))
        raise Question(
            f"{values[row]} in column {name!r}, {table.place(row)}",
            "numbers that float32 holds, up to 3.4e38",
            [Choice("take it for a missing value", as_missing([repr(float(values[row]))], table.notation))],
            "correct the value, or choose a larger unit",
        )
    return values


def is_whole(column: pa.Array) -> bool:
    """Whether a column is of integers."""
    return pa.types.is_integer(column.type)


def too_wide(column: pa.Array) -> int | None:
    """The first row with a whole number beyond 2^53 in size; None: there is none."""
    if not pa.types.is_integer(column.type) or column.type.bit_width < 64:
        return None
    present = np.asarray(column.fill_null(0))
    wide = (present > EXACT) | (present < -EXACT)
    return int(np.argmax(wide)) if wide.any() else None


def labels(table: Table, name: str, column: pa.Array) -> tuple[np.ndarray, list[str] | list[int]]:
    """A column of class labels as (rows,) int64 numbers, −1 where missing, and the sorted labels they stand for.

    Raises:
        InputError: labels that are neither text nor whole numbers.
    """
    if is_text(column):
        coded = column.dictionary_encode()
        texts = coded.dictionary.to_pylist()
        known = sorted(texts)
        rank = {text: i for i, text in enumerate(known)}
        number = np.array([rank[text] for text in texts] + [-1], np.int64)
        return number[np.array(coded.indices.fill_null(len(texts)), np.int64)], known
    if pa.types.is_integer(column.type):  # as they are, for class numbers may be wider than a float64 holds
        values = np.asarray(column.fill_null(0))
        present = np.array(column.is_valid())
    else:
        values = numbers(table, name, column)
        present = ~np.isnan(values)
    fraction = present & (values != np.round(values))
    if fraction.any():
        row = int(np.argmax(fraction))
        raise InputError(
            f"{values[row]} as a class label in column {name!r}, {table.place(row)}",
            "text or whole numbers",
            "predict the value itself (target_kind 'value'), in bins if you want classes",
        )
    distinct, inverse = np.unique(values[present], return_inverse=True)
    numbered = np.full(len(values), -1, np.int64)
    numbered[present] = inverse
    return numbered, [int(value) for value in distinct]


def _parsed(table: Table, name: str, column: pa.Array) -> np.ndarray:
    coded, notation = column.dictionary_encode(), table.notation
    texts = coded.dictionary.to_pylist()
    values = [np.nan if is_missing(text, notation) else number_in(text, notation) for text in texts]
    wrong = np.array([value is None for value in values], bool)
    code = np.array(coded.indices.fill_null(len(texts)), np.int64)
    bad = np.append(wrong, False)[code]
    if bad.any():
        row = int(np.argmax(bad))
        odd = [texts[at].strip() for at in dict.fromkeys(code[bad].tolist())]
        raise _no_numbers(table, name, row, odd, [text for text in texts if not is_missing(text, notation)])
    return np.array([np.nan if value is None else value for value in [*values, np.nan]])[code]


def _no_numbers(table: Table, name: str, row: int, odd: list[str], all_of: list[str]) -> InputError:
    """What to say of text where a number is due: how it would be one, or that it may stand for none.

    Args:
        odd: what is no number, each text once; all_of: what the column holds.
    """
    notation = table.notation
    others = other_notations(all_of, notation) or other_notations(odd, notation)
    more = f", and {len(odd) - 1} more such texts" if len(odd) > 1 else ""
    given = f"{odd[0]!r} in column {name!r}, {table.place(row)}{more}"
    if others:
        return Question(given, f"numbers with a decimal {'point' if notation.decimal == '.' else 'comma'}", others)
    return Question(
        given,
        f"a number, or a missing value ({', '.join([*MISSING[1:], *notation.missing_values])})",
        [Choice("take it for a missing value", as_missing(odd[:MOST_SPELLINGS], notation))],
        "correct the cell, or read other columns (inputs, leave_out)",
    )
