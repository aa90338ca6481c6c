"""Streams from tables: one row a position, columns as features, a column ahead as the target.

`Streams` inherits the class method that stands here: `Streams.from_table(...)`. Whatever is
estimated from the data (scaling, borders of bins) is estimated on the training part that `split` will cut.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa

from outlast.errors import InputError, unknown_name
from outlast.streams import columns
from outlast.streams.clock import Clock, check_ascending, read_clock
from outlast.streams.columns import TableFile
from outlast.streams.files import existing
from outlast.streams.layout import Layout
from outlast.streams.shares import DEFAULT_SHARES, Shares, check_shares, training_positions


class FromTables(Layout):
    """The class method of `Streams` that reads a table."""

    @classmethod
    def from_table(
        cls,
        path: str | Path,
        inputs: list[str] | None = None,
        target: str | None = None,
        horizon: int = 1,
        aggregate: str = "value",
        target_kind: str = "value",
        bins: int | None = None,
        stream: str | None = None,
        time: str | None = None,
        scale: str = "standard",
        missing: str = "drop",
        shares: Shares = DEFAULT_SHARES,
        seed: int = 0,
    ) -> Self:
        """Streams of features from a CSV or Parquet file; the target lies `horizon` rows ahead.

        Args:
            path: ``.parquet``, or CSV with a header line, separated by comma, semicolon or tab (found by looking).
            inputs: columns to read as features. None: all columns of numbers except `stream`, `time` and a class
                target; what was left out is listed in `about`.
            target: column to predict. None: all inputs, `horizon` rows ahead.
            horizon: rows ahead, at least 1 (0, the same row, where the target is not among the inputs).
            aggregate: ``value``: the target `horizon` rows ahead; ``mean``: its mean over the next `horizon` rows.
            target_kind: ``value``, or ``class``: labels (text or whole numbers), numbered in sorted order.
            bins: turn a value target into this many classes, by its quantiles on the training part.
            stream: column that says which stream a row belongs to; rows keep their order. None: one recording.
            time: column that says when each row was, ascending within a stream, so that moments can be told by the
                clock: times, dates, ISO 8601 text or seconds since 1970 (UTC). None: positions are told only.
            scale: ``standard``: zero mean and unit standard deviation on the training part, inputs and value target;
                ``none``: as they are.
            missing: what happens to rows with a missing value in a column that is used. ``drop``: they are left out,
                and steps across the gap are treated as neighbours; ``hold``: the last value of the stream is repeated
                (rows before the first are left out); ``error``: refuse, naming the first.
            shares, seed: of the split that will follow; `split` takes them over from here.

        Raises:
            InputError: a column that is not there, text where a number or a time is due (with line and value), times
                that go back, options that do not fit together, too few rows.
        """
        _check_options(target, horizon, aggregate, target_kind, bins, scale, missing)
        check_shares(shares)
        table = columns.open_table(existing(path))
        named = list(filter(None, (target, stream, time)))
        content = table.read(None if inputs is None else list(dict.fromkeys([*inputs, *named])))
        for name in named:
            if name not in content:
                raise unknown_name(f"in {path}: column", name, table.names)
        excluded = {stream} | ({target} if target_kind == "class" or horizon == 0 else set())
        excluded |= {time} if inputs is None else set()
        names, left_out = _inputs(content, inputs, excluded, table)
        rows = _read(table, content, names, target, target_kind, stream, time, missing)

        starts, lengths = np.cumsum(rows.sizes) - rows.sizes, rows.sizes - horizon
        long_enough = lengths > 0
        if not long_enough.any():
            raise InputError(
                f"{path}: streams of at most {int(rows.sizes.max(initial=0))} rows and a horizon of {horizon}",
                "at least one stream longer than the horizon",
                "choose a smaller horizon or give more rows; missing='hold' keeps rows that 'drop' leaves out",
            )
        starts, lengths = starts[long_enough], lengths[long_enough]
        about: dict[str, Any] = {"source": str(path), "reader": "table", "rows": len(rows.features), "inputs": names}
        about |= {"left_out": left_out, "missing": rows.missing}
        if stream is not None:
            about |= {"stream_column": stream, "streams_too_short": int((~long_enough).sum())}

        if rows.clock is not None:
            about |= {"time_column": time} | ({"time_zone": rows.clock.zone} if rows.clock.zone else {})

        training = np.zeros(0, np.int64)
        if scale == "standard" or bins is not None:
            training = _training_rows(starts, lengths, horizon, shares, seed, path)
            about["prepared_for_split"] = {"shares": [float(share) for share in shares], "seed": int(seed)}
        features = rows.features
        if scale == "standard":
            for i, name in enumerate(names):
                _refuse_hidden(table, name, features[:, i], training, rows.origin[name])
            features, figures = _standardised(features, training)
            about["scaling"] = dict(zip(names, figures, strict=True))
            about["constant_columns"] = [name for name, figure in about["scaling"].items() if figure["constant"]]
        goal = _Goal(None, None, {"column": "all inputs", "horizon": horizon})
        if rows.target is not None and target is not None:
            if scale == "standard" and rows.labels is None:
                _refuse_hidden(table, target, rows.target, training, rows.origin[target])
            goal = _goal(rows, horizon, aggregate, bins, scale, training)
            goal.about.update(column=target, kind=target_kind, aggregate=aggregate, horizon=horizon)
        return cls(
            inputs=_float32(features, table, names, rows),
            starts=starts,
            lengths=lengths,
            targets=goal.values
            if goal.values is None or goal.classes is not None
            else _float32(goal.values[:, None], table, [target or ""], rows)[:, 0],
            shift=horizon if goal.values is None else 0,
            horizon=horizon,
            classes=goal.classes,
            about={**about, "target": goal.about},
            clock=rows.clock,
        )


@dataclass(frozen=True)
class _Rows:
    """Rows that are kept, stream after stream: features (N, F), target (N,), rows of each stream (S,).

    `origin` says by column in which row of the table each of the N values stands.
    """

    features: np.ndarray
    target: np.ndarray | None
    labels: list[str] | list[int] | None
    clock: Clock | None
    sizes: np.ndarray
    origin: dict[str, np.ndarray]
    missing: dict[str, Any]


@dataclass(frozen=True)
class _Goal:
    """Targets (N,) aligned with the rows, their classes, and what a result records about them."""

    values: np.ndarray | None
    classes: int | None
    about: dict[str, Any]


def _check_options(
    target: str | None,
    horizon: int,
    aggregate: str,
    target_kind: str,
    bins: int | None,
    scale: str,
    missing: str,
) -> None:
    choices = {
        "aggregate": (aggregate, ("value", "mean")),
        "target_kind": (target_kind, ("value", "class")),
        "scale": (scale, ("standard", "none")),
        "missing": (missing, ("drop", "hold", "error")),
    }
    for option, (value, known) in choices.items():
        if value not in known:
            raise unknown_name(option, value, known)
    if target is None and (aggregate != "value" or target_kind != "value" or bins is not None):
        raise InputError("aggregate, target_kind or bins without a target", "a target column", "name it with target=")
    if target_kind == "class" and (aggregate != "value" or bins is not None):
        raise InputError(
            "target_kind 'class' with aggregate 'mean' or bins", "class labels as they are", "leave the other out"
        )
    if bins is not None and bins < 2:
        raise InputError(f"{bins} bins", "at least 2", "choose 32, for example")
    least = 1 if target is None or aggregate == "mean" else 0
    if horizon < least:
        raise InputError(f"a horizon of {horizon} rows", f"at least {least} here", "choose how far ahead to predict")


def _inputs(
    content: dict[str, pa.Array], inputs: list[str] | None, excluded: set[str | None], table: TableFile
) -> tuple[list[str], dict[str, str]]:
    """Names of the feature columns, and what the other columns are."""
    if inputs is not None:
        unfit = [name for name in inputs if name in excluded]
        if unfit or not inputs or len(set(inputs)) < len(inputs):
            raise InputError(
                f"inputs {inputs}",
                "one or more different columns, none of them the stream column, a class target or, at horizon 0, "
                "the target",
                f"leave out {unfit[0]!r}" if unfit else "name each input once",
            )
        return list(inputs), {}
    kinds = {name: columns.kind(column) for name, column in content.items() if name not in excluded}
    names = [name for name, kind in kinds.items() if kind == "number"]
    if not names:
        raise InputError(
            f"{table.path} with columns {', '.join(f'{name} ({kind})' for name, kind in kinds.items())}",
            "at least one column of numbers to read as input",
            "check the delimiter and how numbers are written",
        )
    return names, {name: kind for name, kind in kinds.items() if kind != "number"}


def _read(
    table: TableFile,
    content: dict[str, pa.Array],
    names: list[str],
    target: str | None,
    target_kind: str,
    stream: str | None,
    time: str | None,
    missing: str,
) -> _Rows:
    features = np.column_stack([columns.numbers(table, name, content[name]) for name in names])
    lacking = {name: np.isnan(features[:, i]) for i, name in enumerate(names)}
    goal, labels = None, None
    if target is not None and target_kind == "class":
        goal, labels = columns.labels(table, target, content[target])
        lacking[target] = goal < 0
    elif target is not None:
        goal = columns.numbers(table, target, content[target])
        lacking[target] = np.isnan(goal)
    clock = None if time is None else read_clock(table, time, content[time])
    if clock is not None and time is not None:
        lacking[time] = np.isnat(clock.times)
    either = np.logical_or.reduce(list(lacking.values()))
    if missing == "error" and either.any():
        row = int(np.argmax(either))
        name = next(name for name, column in lacking.items() if column[row])
        raise InputError(
            f"a missing value in column {name!r}, {table.place(row)} of {table.path}",
            "a value in every row of the columns that are used",
            "fill it in, or choose missing='drop' or missing='hold'",
        )
    group = np.zeros(len(features), np.int64) if stream is None else _groups(table, stream, content[stream])
    order = np.argsort(group, kind="stable")
    group = group[order]
    about: dict[str, Any] = {"handling": missing, "per_column": {n: int(c.sum()) for n, c in lacking.items()}}
    if missing == "hold":
        first_row = np.searchsorted(group, group)
        sources = {name: _last_present(~column[order], first_row) for name, column in lacking.items()}
        keep = np.logical_and.reduce([source >= 0 for source in sources.values()])
    else:
        keep = ~either[order]
        sources = dict.fromkeys(lacking, np.arange(len(order)))
        about["note"] = "steps across dropped rows are treated as neighbours"
    about["rows_dropped"] = int((~keep).sum())
    taken = {name: order[source[keep]] for name, source in sources.items()}  # the row that each value comes from
    group = group[keep]
    if clock is not None and time is not None:
        clock = replace(clock, times=clock.times[taken[time]])
        check_ascending(table, time, clock, group, taken[time])
    return _Rows(
        features=np.column_stack([features[taken[name], i] for i, name in enumerate(names)]),
        target=None if goal is None or target is None else goal[taken[target]],
        labels=labels,
        clock=clock,
        sizes=np.bincount(group, minlength=1).astype(np.int64),
        origin=taken,
        missing=about,
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


def _training_rows(
    starts: np.ndarray, lengths: np.ndarray, horizon: int, shares: Shares, seed: int, path: str | Path
) -> np.ndarray:
    """Row numbers of the positions that `split` will give to training."""
    counts = training_positions(lengths, horizon, shares, seed)
    if not counts.any():
        raise InputError(
            f"{path}: at most {int(lengths.max())} positions with a target, horizon {horizon}, shares {shares}",
            "a training part, from which scaling and bins are taken",
            "give more rows, a smaller horizon or a larger training share",
        )
    return np.concatenate([np.arange(start, start + count) for start, count in zip(starts, counts, strict=True)])


def _goal(rows: _Rows, horizon: int, aggregate: str, bins: int | None, scale: str, training: np.ndarray) -> _Goal:
    assert rows.target is not None
    if rows.labels is not None:
        return _Goal(_ahead(rows.target, horizon, "value"), len(rows.labels), {"labels": rows.labels})
    values = _ahead(rows.target, horizon, aggregate)
    if bins is not None:
        edges = np.quantile(values[training], np.linspace(0, 1, bins + 1)[1:-1])
        classes = np.searchsorted(edges, values)
        empty = bins - len(np.unique(classes[training]))
        return _Goal(classes, bins, {"bins": edges.tolist(), "bins_without_training_positions": empty})
    if scale == "standard":
        scaled, figures = _standardised(values[:, None], training)
        return _Goal(scaled[:, 0], None, figures[0])
    return _Goal(values, None, {})


def _ahead(values: np.ndarray, horizon: int, aggregate: str) -> np.ndarray:
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


def _standardised(values: np.ndarray, training: np.ndarray) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """(N, F) columns with zero mean and unit standard deviation over the training rows; constant ones are centred."""
    part = values[training]
    constant = part.max(0) == part.min(0)
    mean, std = np.where(constant, part[0], part.mean(0)), np.where(constant, 1.0, part.std(0))
    if not std.all():  # squares of values below 1e-162 are zero
        largest = np.abs(part - mean).max(0)
        std = np.where(std > 0, std, largest * ((part - mean) / np.where(constant, 1.0, largest)).std(0))
    figures = [
        {"mean": float(m), "std": float(s), "constant": bool(c)} for m, s, c in zip(mean, std, constant, strict=True)
    ]
    return (values - mean) / std, figures


def _refuse_hidden(table: TableFile, name: str, values: np.ndarray, training: np.ndarray, origin: np.ndarray) -> None:
    """Refuse a column (N,) with values so large that, scaled by its spread, half of the others read as constant."""
    part = values[training]
    low, middle, high = np.quantile(part, [0.25, 0.5, 0.75])
    if high > low and high - low < np.finfo(np.float32).eps * part.std():
        row = int(training[np.argmax(np.abs(part - middle))])
        raise InputError(
            f"{values[row]} in column {name!r}, {table.place(int(origin[row]))} of {table.path}, where half of the "
            f"training values lie between {low:g} and {high:g}",
            "values of one scale: beside this one, float32 cannot tell the others apart",
            "correct the value, empty the cell to mark it as missing, or take logarithms",
        )


def _float32(values: np.ndarray, table: TableFile, names: list[str], rows: _Rows) -> np.ndarray:
    """(N, F) in float32."""
    with np.errstate(over="ignore"):
        narrow = values.astype(np.float32)
    infinite = np.isinf(narrow)
    if infinite.any():
        row, column = (int(i) for i in np.argwhere(infinite)[0])
        place = table.place(int(rows.origin[names[column]][row]))
        raise InputError(
            f"{values[row, column]:g}, scaled, for column {names[column]!r}, {place} of {table.path}",
            "numbers that float32 holds, up to 3.4e38",
            "correct the value, or choose a larger unit (or scale='none')",
        )
    return narrow
