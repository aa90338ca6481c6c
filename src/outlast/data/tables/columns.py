"""Columns of a table as arrays, and categories, of which a model reads the code of each value."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from outlast.data.files.source import (
    MISSING,
    Table,
    as_missing,
    is_missing,
    is_number,
    is_text,
    nearly_number,
    number_in,
    other_notations,
)
from outlast.errors import Choice, InputError, Question
from outlast.schema import PLAIN, Column, Notation, unknown_category

# Columns of a table as arrays, with errors that name the column, the line and the value.

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
            f"leave it out (leave_out={name!r}), or write it as a number (the hour of the day, say)",
        )
    wide = too_wide(column)
    if wide is not None:
        raise InputError(
            f"{column[wide].as_py()} in column {name!r}, {table.place(wide)}",
            f"whole numbers of at most 2^53 ({EXACT:,}) in size, which a float64 can tell apart",
            "leave the column out (--leave-out), or write it in a larger unit, such as seconds for nanoseconds",
        )
    if is_text(column):
        values = _parsed(table, name, column)
    elif not is_number(column):
        raise InputError(
            f"column {name!r} of {table.source}, which holds {column.type}",
            "a column of numbers",
            "leave it out (--leave-out), or write its numbers as columns of their own",
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
    near = [text for text in odd if nearly_number(text)]  # the rest, such as in repair, is asked about next
    others = other_notations(all_of, notation, table.delimiter)
    if not others and 2 * len(near) > len(odd):
        others = other_notations(near, notation, table.delimiter)
    more = f", and {len(odd) - 1} more such texts" if len(odd) > 1 else ""
    given = f"{odd[0]!r} in column {name!r}, {table.place(row)}{more}"
    if others:
        return Question(given, f"numbers with a decimal {'point' if notation.decimal == '.' else 'comma'}", others)
    return Question(
        given,
        f"a number, or a missing value ({', '.join([*MISSING[1:], *notation.missing_values])})",
        [Choice("take it for a missing value", as_missing(odd[:MOST_SPELLINGS], notation))],
        "correct the cell, or read other columns (--inputs, --leave-out)",
    )


# Categories: columns of text or whole numbers of which a model reads the code of each value, not a size.
#
# The known values are sorted, and a value's code is its place among them. They are those of the training part, unless
# they are listed: a model that was trained elsewhere has codes of its own.

Known = tuple[str | int, ...]
"""The values of a category, each at its code; empty: those of the training part."""


def told_categories(given: str | Sequence[str] | Mapping[str, Any]) -> dict[str, Known]:
    """Categories by name, each with the values that were listed for it.

    Args:
        given: names; or names with their values in the order of their codes, None or empty: those of the training part.

    Raises:
        InputError: something else, or a value twice.
    """
    if isinstance(given, str):
        given = [given]
    pairs = given if isinstance(given, Mapping) else dict.fromkeys(given)
    found: dict[str, Known] = {}
    for name, values in pairs.items():
        known = listed(() if values is None else values) if isinstance(name, str) else None
        if known is None:
            raise InputError(
                f"category {name!r}: {values!r}",
                "names of columns, each with its values where they are listed: texts or whole numbers, each once",
                "for example category={'machine': ['press 1', 'press 2']}, or category=['machine']",
            )
        found[name] = known
    return found


def listed(values: Any) -> Known | None:
    """Values as they were listed, each once and all of one kind: texts or whole numbers; None: they are something
    else."""
    if isinstance(values, str) or not isinstance(values, Sequence | np.ndarray):
        return None
    plain = [_plain(value) for value in values]
    known = tuple(value for value in plain if value is not None)
    whole = len(set(known)) == len(plain) and len({type(value) for value in known}) <= 1
    return known if whole else None


def _plain(value: Any) -> str | int | None:
    if isinstance(value, str):
        return value
    return int(value) if isinstance(value, int | np.integer) and not isinstance(value, bool) else None


def typed_categories(typed: Sequence[str]) -> dict[str, list[str] | None]:
    """Categories as they are typed: machine, or with the values in the order of their codes, mode=idle,run.

    Raises:
        InputError: no name, no values behind =, or a name twice.
    """
    found: dict[str, list[str] | None] = {}
    for said in typed:
        name, equals, values = said.partition("=")
        listed = [value.strip() for value in values.split(",")] if equals else None
        if not name or name in found or (listed is not None and not all(listed)):
            raise InputError(
                f"--category {said}",
                "NAME, or NAME=VALUE,VALUE,… with the values in the order of their codes; each name once",
                "for example --category machine mode=idle,run",
            )
        found[name] = listed
    return found


def as_asked(categories: Mapping[str, Known]) -> list[str] | dict[str, list[str | int] | None]:
    """Categories as one asks for them: names, or each with its values where some are listed."""
    if not any(categories.values()):
        return list(categories)
    return {name: list(known) or None for name, known in categories.items()}


def coded(table: Table, name: str, column: pa.Array, known: Known) -> tuple[np.ndarray, Known]:
    """A column as codes (rows,) float64, NaN where a value is missing, and the values that they stand for.

    Args:
        known: the values at their codes; empty: all that the column has, sorted.

    Raises:
        InputError: numbers that are not whole, or a value that is not known (with its line).
    """
    if kind(column) == "time" or (pa.types.is_floating(column.type) and _has_fractions(column)):
        raise InputError(
            f"category {name!r} of {table.source}, which holds {kind(column)}s ({column.type})",
            "text or whole numbers",
            f"read it as a number: leave {name} out of --category",
        )
    codes, found = labels(table, name, column)
    if not found:
        raise InputError(
            f"category {name!r} of {table.source} without a value", "text or whole numbers", "leave it out"
        )
    values: Known = tuple(found)
    if known:
        places = _places(table, name, codes, values, of_kind(known, is_text(column), name))
        codes, values = places[codes], of_kind(known, is_text(column), name)
    return np.where(codes < 0, np.nan, codes.astype(np.float64)), values


def _has_fractions(column: pa.Array) -> bool:
    values = np.asarray(column.fill_null(0.0))
    return bool((np.isfinite(values) & (values != np.round(values))).any())


def of_kind(known: Known, text: bool, name: str) -> Known:
    """The listed values as the column has them: what is typed is text, and may stand for whole numbers.

    Raises:
        InputError: a word, for a column of whole numbers.
    """
    if text:
        return tuple(map(str, known))
    wrong = next((value for value in known if not re.fullmatch(r"[+-]?\d+", str(value))), None)
    if wrong is not None:
        raise InputError(
            f"the value {wrong!r} for {name!r}, a column of whole numbers",
            "whole numbers",
            "list them as the column has them, such as 0 1 2",
        )
    return tuple(int(value) for value in known)


def _places(table: Table, name: str, codes: np.ndarray, values: Known, known: Known) -> np.ndarray:
    """(values + 1,) the known code of each value, and −1 for what is missing."""
    column = Column(name, categories=known)
    for number, value in enumerate(values):
        if value not in column.codes:
            row = int(np.argmax(codes == number))
            raise unknown_category(f"{value!r} in column {name!r}, {table.place(row)}", column)
    return np.array([*(column.codes[value] for value in values), -1], np.int64)


def of_training(
    table: Table,
    name: str,
    codes: np.ndarray,
    values: Known,
    training: np.ndarray,
    used: np.ndarray,
    origin: np.ndarray,
    asked: Mapping[str, Known],
) -> tuple[np.ndarray, Known]:
    """Codes (N,) by the values that the training part has, and those values.

    Args:
        codes: (N,) by `values`, those of the whole table.
        training: numbers of the training rows.
        used: (N,) bool: rows of streams that are long enough to be read.
        origin: (N,) the row of the table that each comes from.
        asked: all categories, as they were asked for.

    Raises:
        Question: later rows have a value that the training part does not.
    """
    seen = np.zeros(len(values), bool)
    seen[np.unique(codes[training]).astype(np.int64)] = True
    new = ~seen[codes.astype(np.int64)] & used
    if new.any():
        rows = np.flatnonzero(new)
        value = values[int(codes[rows[0]])]
        place = table.place(int(origin[rows[0]]))
        raise Question(
            f"{value!r} in column {name!r}, {place}: {len(rows):,} rows of validation and test hold values that no "
            "training row holds",
            f"values of the category {name!r} that the training part has, for a model learns what they mean there",
            [
                Choice(
                    "list all values in the order of the model's codes, where it knows them",
                    {"category": as_asked({**asked, name: values})},
                )
            ],
            "leave those rows out",
        )
    return np.cumsum(seen)[codes.astype(np.int64)] - 1.0, tuple(v for v, s in zip(values, seen, strict=True) if s)
