"""Rows of a table that are kept, stream after stream, and what happened to those with missing values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from outlast.errors import InputError
from outlast.streams import columns
from outlast.streams.clock import Clock, check_ascending, read_clock
from outlast.streams.columns import TableFile
from outlast.streams.table_options import TableOptions


@dataclass(frozen=True)
class Rows:
    """N rows that are kept, stream after stream.

    Args:
        features: (N, F).
        targets: (N, C) of the target columns; class labels as numbers; None: there is no target column.
        labels: what the numbers of a class target stand for.
        weights: (N,); None: all count alike.
        sizes: (S,) rows of each stream.
        origin: by column, (N,) the row of the table that each value comes from.
        missing: what a result records about missing values.
    """

    features: np.ndarray
    targets: np.ndarray | None
    labels: list[str] | list[int] | None
    weights: np.ndarray | None
    clock: Clock | None
    sizes: np.ndarray
    origin: dict[str, np.ndarray]
    missing: dict[str, Any]


def read_rows(table: TableFile, content: dict[str, pa.Array], names: list[str], options: TableOptions) -> Rows:
    """The rows of a table in which every column that is used has a value.

    Args:
        content: the table's columns by name.
        names: of the inputs.

    Raises:
        InputError: text where a number or a time is due, times that go back, a missing value where that is an error.
    """
    values = {name: columns.numbers(table, name, content[name]) for name in names}
    labels = None
    for name in options.target:
        if options.target_kind == "class":
            values[name], labels = _numbered(table, name, content[name], options)
        elif name not in values:
            values[name] = columns.numbers(table, name, content[name])
    if options.weight is not None:
        values[options.weight] = _weights(table, options.weight, content[options.weight])
    lacking = {name: column < 0 if column.dtype.kind == "i" else np.isnan(column) for name, column in values.items()}
    clock = None if options.time is None else read_clock(table, options.time, content[options.time])
    if clock is not None and options.time is not None:
        lacking[options.time] = np.isnat(clock.times)
    if options.missing == "error":
        _refuse_missing(table, lacking)
    stream = options.stream
    group = np.zeros(len(content[names[0]]), np.int64) if stream is None else _groups(table, stream, content[stream])
    order = np.argsort(group, kind="stable")
    taken, about = _kept(lacking, order, group[order], options.missing)
    rows = next(iter(taken.values()))
    group = group[rows]
    if clock is not None and options.time is not None:
        clock = replace(clock, times=clock.times[taken[options.time]])
        check_ascending(table, options.time, clock, group, taken[options.time])
    found = {name: column[taken[name]] for name, column in values.items()}
    return Rows(
        features=np.column_stack([found[name] for name in names]),
        targets=np.column_stack([found[name] for name in options.target]) if options.target else None,
        labels=labels,
        weights=None if options.weight is None else found[options.weight].astype(np.float32),
        clock=clock,
        sizes=np.bincount(group, minlength=1).astype(np.int64),
        origin=taken,
        missing=about,
    )


def _kept(
    lacking: dict[str, np.ndarray], order: np.ndarray, group: np.ndarray, missing: str
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """By column, the row of the table that each kept value comes from, and what a result records.

    Args:
        lacking: by column, (rows,) whether its value is missing.
        order: rows of the table, stream after stream.
        group: (rows,) the stream of each row in that order.
    """
    about: dict[str, Any] = {"handling": missing, "per_column": {n: int(c.sum()) for n, c in lacking.items()}}
    if missing == "hold":
        first_row = np.searchsorted(group, group)
        sources = {name: _last_present(~column[order], first_row) for name, column in lacking.items()}
        keep = np.logical_and.reduce([source >= 0 for source in sources.values()])
        about["rows_filled"] = int((np.logical_or.reduce(list(lacking.values()))[order] & keep).sum())
    else:
        keep = ~np.logical_or.reduce(list(lacking.values()))[order]
        sources = dict.fromkeys(lacking, np.arange(len(order)))
        about["note"] = "steps across dropped rows are treated as neighbours"
    about["rows_dropped"] = int((~keep).sum())
    return {name: order[source[keep]] for name, source in sources.items()}, about


def _numbered(
    table: TableFile, name: str, column: pa.Array, options: TableOptions
) -> tuple[np.ndarray, list[str] | list[int]]:
    """Class labels as numbers; with a schema, by the places that its labels have."""
    numbers, labels = columns.labels(table, name, column)
    if options.schema is None:
        return numbers, labels
    known = list(options.schema.target.labels)
    unknown = [label for label in labels if label not in known]
    if unknown:
        row = int(np.argmax(numbers == labels.index(unknown[0])))  # pyright: ignore[reportArgumentType]
        raise InputError(
            f"the label {unknown[0]!r} in column {name!r}, {table.place(row)} of {table.path}",
            f"one of the labels that the model was trained on: {', '.join(map(str, known))}",
            "correct the label, or train a model on data that have it",
        )
    places = np.array([*(known.index(label) for label in labels), -1], np.int64)
    return places[numbers], known  # pyright: ignore[reportReturnType]


def _weights(table: TableFile, name: str, column: pa.Array) -> np.ndarray:
    values = columns.numbers(table, name, column)
    if (values < 0).any():
        row = int(np.argmax(values < 0))
        raise InputError(
            f"a weight of {values[row]:g} in column {name!r}, {table.place(row)} of {table.path}",
            "weights of 0 or more",
            "correct it; 0 leaves a row's target out of training and measuring",
        )
    return values


def _refuse_missing(table: TableFile, lacking: dict[str, np.ndarray]) -> None:
    either = np.logical_or.reduce(list(lacking.values()))
    if not either.any():
        return
    row = int(np.argmax(either))
    name = next(name for name, column in lacking.items() if column[row])
    raise InputError(
        f"a missing value in column {name!r}, {table.place(row)} of {table.path}",
        "a value in every row of the columns that are used",
        "fill it in, or choose missing='drop' or missing='hold'",
    )


def _groups(table: TableFile, name: str, column: pa.Array) -> np.ndarray:
    """Number of each row's stream, in order of first appearance."""
    if column.null_count:
        row = int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))
        raise InputError(
            f"no value in stream column {name!r}, {table.place(row)} of {table.path}",
            "every row to say which stream it belongs to",
            "fill in the cell or remove the row",
        )
    try:
        return np.array(column.dictionary_encode().indices, np.int64)
    except pa.ArrowException:
        raise InputError(
            f"stream column {name!r} of {table.path}, which holds {column.type}",
            "names or numbers of streams",
            "write the streams' names as text",
        ) from None


def _last_present(present: np.ndarray, first_row: np.ndarray) -> np.ndarray:
    """(N,) the last row up to each row, in the same stream, that has a value; −1 where there is none."""
    latest = np.maximum.accumulate(np.where(present, np.arange(len(present)), -1))
    return np.where(latest >= first_row, latest, -1)
