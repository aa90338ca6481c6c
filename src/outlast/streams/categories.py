"""Categories: columns of text or whole numbers of which a model reads the code of each value, not a size.

The known values are sorted, and a value's code is its place among them. They are those of the training part, unless
they are listed: a model that was trained elsewhere has codes of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from outlast.errors import Choice, InputError, Question
from outlast.schema import Column, unknown_category
from outlast.streams import columns
from outlast.streams.source import Table, is_text

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
        listed = () if values is None else values
        good = isinstance(name, str) and not isinstance(listed, str) and isinstance(listed, Sequence | np.ndarray)
        plain = [_plain(value) for value in listed] if good else []
        known = tuple(value for value in plain if value is not None)
        kinds = {type(value) for value in known}
        if not good or None in plain or len(set(known)) < len(known) or len(kinds) > 1:
            raise InputError(
                f"category {name!r}: {values!r}",
                "names of columns, each with its values where they are listed: texts or whole numbers, each once",
                "for example category={'machine': ['press 1', 'press 2']}, or category=['machine']",
            )
        found[name] = known
    return found


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
    if columns.kind(column) == "time" or (pa.types.is_floating(column.type) and _has_fractions(column)):
        raise InputError(
            f"category {name!r} of {table.source}, which holds {columns.kind(column)}s ({column.type})",
            "text or whole numbers",
            f"read it as a number: leave {name} out of --category",
        )
    codes, labels = columns.labels(table, name, column)
    if not labels:
        raise InputError(
            f"category {name!r} of {table.source} without a value", "text or whole numbers", "leave it out"
        )
    values: Known = tuple(labels)
    if known:
        places = _places(table, name, codes, values, _of_kind(known, is_text(column), name))
        codes, values = places[codes], _of_kind(known, is_text(column), name)
    return np.where(codes < 0, np.nan, codes.astype(np.float64)), values


def _has_fractions(column: pa.Array) -> bool:
    values = np.asarray(column.fill_null(0.0))
    return bool((np.isfinite(values) & (values != np.round(values))).any())


def _of_kind(known: Known, text: bool, name: str) -> Known:
    """The listed values as the column has them: what is typed is text, and may stand for whole numbers."""
    if text:
        return tuple(map(str, known))
    wrong = next((value for value in known if not re.fullmatch(r"[+-]?\d+", str(value))), None)
    if wrong is not None:
        raise InputError(
            f"the value {wrong!r} for the category {name!r}, a column of whole numbers",
            "whole numbers",
            f"for example {name}=0,1,2",
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
