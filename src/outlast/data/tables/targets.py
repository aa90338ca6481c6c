"""Targets of a table's rows: values or classes ahead, and targets in a file beside the inputs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from outlast.data.files.arrays import existing, open_array, suffix_of
from outlast.data.files.source import Table, open_frame
from outlast.data.files.tables import open_table
from outlast.data.tables.clock import read_clock
from outlast.data.tables.options import TableOptions
from outlast.data.tables.rows import Rows
from outlast.data.tables.scaling import (
    Figures,
    estimated,
    in_float32,
    input_rules,
    refuse_hidden,
    refuse_unlogged,
    target_columns,
    target_rules,
)
from outlast.errors import InputError, unknown_name
from outlast.schema import PLAIN, Notation, Target, unit_of

# Targets of a table's rows: values or classes ahead, and what they stand for.


@dataclass(frozen=True)
class Goal:
    """Targets aligned with the rows: (N,) classes or values, (N, K) values of several columns and horizons; None: they
    are the inputs, further on. With what they stand for, and what a result records about them.
    """

    values: np.ndarray | None
    classes: int | None
    target: Target
    about: dict[str, Any]


def goal(rows: Rows, table: Table, names: list[str], options: TableOptions, training: np.ndarray) -> Goal:
    """What is to be forecast at each row; figures and borders come from the training rows, or from the schema.

    Args:
        names: of the inputs.
    """
    if rows.labels is not None:
        return _classes(rows, options)
    if options.bins is not None:
        return _bins(rows, options, training)
    return _values(rows, table, names, options, training)


def _classes(rows: Rows, options: TableOptions) -> Goal:
    assert rows.targets is not None
    assert rows.labels is not None
    target = Target("class", options.target, options.horizons, labels=tuple(rows.labels))
    ahead = rows_ahead(rows.targets[:, 0], options.horizons[0], "value")
    by = "the model" if options.schema is not None else "as asked" if options.classes else "sorted"
    return Goal(ahead, len(rows.labels), target, {**_described(options), "labels": rows.labels, "labels_by": by})


def _bins(rows: Rows, options: TableOptions, training: np.ndarray) -> Goal:
    assert rows.targets is not None
    assert options.bins is not None
    values = rows_ahead(rows.targets[:, 0], options.horizons[0], options.aggregate)
    if options.schema is not None:
        target = options.schema.target
        return Goal(np.searchsorted(target.edges, values), len(target.values), target, _described(options, target))
    edges = np.quantile(values[training], np.linspace(0, 1, options.bins + 1)[1:-1])
    classes = np.searchsorted(edges, values)
    part, chosen = values[training], classes[training]
    counts = np.bincount(chosen, minlength=options.bins)
    means = np.bincount(chosen, part, minlength=options.bins) / np.maximum(counts, 1)
    # A bin that no training target fell into lies between two equal borders, or at an end: its border stands for it.
    borders = edges[np.minimum(np.arange(options.bins), len(edges) - 1)]
    target = Target(
        "bins",
        options.target,
        options.horizons,
        aggregate=options.aggregate,  # pyright: ignore[reportArgumentType]
        units=_units(options.target, options),
        edges=tuple(edges.tolist()),
        values=tuple(np.where(counts > 0, means, borders).tolist()),
    )
    about = {**_described(options, target), "bins_without_training_positions": int((counts == 0).sum())}
    return Goal(classes, options.bins, target, about)


def _values(rows: Rows, table: Table, names: list[str], options: TableOptions, training: np.ndarray) -> Goal:
    columns = target_columns(names, options)
    if not columns:
        raise InputError(
            f"{table.source}, all of whose inputs are categories, without a target",
            "a column of numbers to forecast, or labels",
            "name it with --target, labels with target_kind='class'",
        )
    several = len(columns) > 1 or len(options.horizons) > 1
    source = rows.targets if rows.targets is not None else rows.features[:, [names.index(name) for name in columns]]
    target = options.schema.target if options.schema is not None else Target("value", columns, options.horizons)
    if _are_inputs(names, options):
        if options.schema is None:
            target = _scaled_by(target, estimated(source, training, target_rules(names, options)), options)
        return Goal(None, None, target, {"column": "all inputs", "horizon": max(options.horizons)})
    ahead = np.column_stack(
        [rows_ahead(source[:, columns.index(name)], far, options.aggregate) for name, far in target.pairs]
    )
    if options.schema is None:
        rules = target_rules(names, options)
        for i, (name, rule) in enumerate(zip(columns, rules, strict=True)):
            if rule.how in ("standard", "minmax"):
                refuse_hidden(table, name, source[:, i], training, rows.origin[name])
            refuse_unlogged(table, name, source[:, i], rule, rows.origin[name])
        each = [rules[columns.index(name)] for name, _ in target.pairs]
        target = _scaled_by(target, estimated(ahead, training, each), options)
    values = in_float32(target.scaled(ahead), table, [name for name, _ in target.pairs], rows.origin)
    return Goal(values if several else values[:, 0], None, target, _described(options, target))


def _are_inputs(names: list[str], options: TableOptions) -> bool:
    """Whether targets are the inputs themselves, further on: they are not stored twice."""
    if options.target or len(options.horizons) > 1 or options.category:
        return False
    if options.schema is None:
        return target_rules(names, options) == input_rules(names, options)
    read, target = options.schema.inputs, options.schema.target
    told = list(zip(target.means, target.stds, target.logs or (None,) * len(read), strict=True))
    return [(column.mean, column.std, column.log) for column in read] == told


def _scaled_by(target: Target, figures: Figures, options: TableOptions) -> Target:
    """The target with what it is scaled by.

    Args:
        figures: of every column and horizon.
    """
    logs = figures.logs[:: len(target.horizons)]
    return replace(
        target,
        aggregate=options.aggregate,  # pyright: ignore[reportArgumentType]
        means=tuple(figures.mean.tolist()),
        stds=tuple(figures.std.tolist()),
        units=_units(target.columns, options),
        quantiles=options.quantiles,
        logs=logs if any(logs) else (),
    )


def _units(columns: tuple[str, ...], options: TableOptions) -> tuple[str | None, ...]:
    return tuple(unit_of(name, options.units) for name in columns)


def _described(options: TableOptions, target: Target | None = None) -> dict[str, Any]:
    """What a result records about the target."""
    columns, horizons = list(options.target or ("all inputs",)), list(options.horizons)
    about: dict[str, Any] = {
        "column": columns[0] if len(columns) == 1 else columns,
        "kind": options.target_kind,
        "aggregate": options.aggregate,
        "horizon": horizons[0] if len(horizons) == 1 else horizons,
    }
    if target is not None and target.kind == "bins":
        about["bins"] = list(target.edges)
    if options.quantiles:
        about["quantiles"] = list(options.quantiles)
    if target is not None and any(target.units):
        about["units"] = {name: unit for name, unit in zip(target.columns, target.units, strict=True) if unit}
    if target is not None and target.kind == "value":
        each = [{"mean": mean, "std": std} for mean, std in zip(target.means, target.stds, strict=True)]
        about |= each[0] if len(each) == 1 else {"scaling": dict(zip(target.names, each, strict=True))}
    return about


def rows_ahead(values: np.ndarray, horizon: int, aggregate: str) -> np.ndarray:
    """(N,) the value `horizon` rows on, or the mean over the next `horizon` rows.

    The last `horizon` rows of a stream have none; what stands there (−1 for labels, NaN, another stream's value)
    lies past the stream's positions and is never read.
    """
    unknown = np.full(horizon, -1 if values.dtype.kind == "i" else np.nan, values.dtype)
    if aggregate == "value":
        return np.concatenate([values[horizon:], unknown])
    centre = values.mean()  # sums of small numbers lose less
    total = np.concatenate([[0.0], np.cumsum(values - centre)])
    return np.concatenate([(total[horizon + 1 :] - total[1:-horizon]) / horizon + centre, unknown])


# Targets in a file beside the inputs: joined to the table's rows one to one, or by their times.

Content = dict[str, pa.Array]


def open_targets(given: Any, notation: Notation = PLAIN) -> Table:
    """The table of targets: what `open_table` takes, or a ``.npy`` file or an array of a row a row.

    Raises:
        InputError: nothing there, or no table.
    """
    called = "the targets"
    if isinstance(given, str | Path) and suffix_of(Path(given)) == ".npy":
        called, given = str(given), open_array(existing(given))
    if isinstance(given, str | Path):
        return open_table(given, notation)
    if not isinstance(given, np.ndarray):
        return open_frame(given, "the targets")
    if given.ndim not in (1, 2) or given.dtype.kind not in "iufb" or 0 in given.shape:
        raise InputError(
            f"targets of shape {given.shape} and {given.dtype}",
            "numbers of shape (rows,) or (rows, columns)",
            "give every row of the table its target",
        )
    wide = {"target": given} if given.ndim == 1 else {f"target_{at}": column for at, column in enumerate(given.T)}
    return open_frame(wide, called)


def columns_beside(
    beside: Table, chosen: tuple[str, ...], keys: tuple[str | None, str | None], taken: list[str]
) -> tuple[str, ...]:
    """Which columns of the file are targets: those that were named, or the one there is.

    Args:
        keys: the stream and time columns, which are never targets.
        taken: names that the table of inputs has.

    Raises:
        InputError: names that are not there, several columns and no name, or a name that the inputs have too.
    """
    known = [name for name in beside.names if name not in (*keys, *beside.index)]
    for name in chosen:
        if name not in known:
            raise unknown_name(f"in {beside.source}: target", name, known)
    found = chosen or tuple(known)
    if len(found) > 1 and not chosen and found != tuple(f"target_{at}" for at in range(len(found))):
        raise InputError(
            f"{beside.source} with columns {', '.join(known)}",
            "the name of the target",
            f"for example --target {known[0]}",
        )
    double = next((name for name in found if name in taken), None)
    if double is not None or not found:
        raise InputError(
            f"column {double!r} in the inputs and in {beside.source}" if found else f"no target in {beside.source}",
            "targets under names of their own",
            "rename the column in one of the two files" if found else "add a column of targets",
        )
    return found


def joined(
    table: Table, content: Content, beside: Table, names: tuple[str, ...], stream: str | None, time: str | None
) -> Content:
    """The table's columns with those of the targets, row by row, or by time (and stream) where both files have it.

    Raises:
        InputError: another number of rows, a time twice, or none in common.
    """
    rows = len(next(iter(content.values())))
    by_time = time is not None and time in beside.names
    keys = [name for name in (time, stream) if by_time and name is not None and name in beside.names]
    read = beside.read([*names, *keys])
    if not by_time:
        found = len(read[names[0]])
        if found != rows:
            raise InputError(
                f"{rows:,} rows in {table.source} and {found:,} in {beside.source}",
                "a target for every row" + ("" if time is None else f", or the time column {time!r} in both"),
                "give both the same rows, or a column of times in both (--time)",
            )
        return {**content, **{name: read[name] for name in names}}
    assert time is not None
    place = {}
    for row, key in enumerate(_keys(beside, read, time, keys[1:])):
        if key in place:
            raise InputError(
                f"the time of {beside.place(place[key])} again in {beside.place(row)}",
                "one target for each time" + (" of a stream" if stream else ""),
                "remove one of the rows" + ("" if stream else ", or name the column of streams (--stream)"),
            )
        place[key] = row
    found = [place.get(key) for key in _keys(table, content, time, keys[1:])]
    if all(row is None for row in found):
        raise InputError(
            f"{table.source} and {beside.source}, which have no time in common",
            "targets at the times of the inputs",
            "check both time columns and their zones",
        )
    chosen = pa.array(found, pa.int64())
    return {**content, **{name: read[name].take(chosen) for name in names}}


def _keys(table: Table, content: Content, time: str, stream: list[str]) -> list[Any]:
    times = read_clock(table, time, content[time]).times.astype(np.int64).tolist()
    return list(zip(times, content[stream[0]].to_pylist(), strict=True)) if stream else times
