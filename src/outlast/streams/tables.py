"""Streams from tables: one row a position, columns as features, a column ahead as the target.

`Streams` inherits the class method that stands here: `Streams.from_table(...)`. Whatever is
estimated from the data (scaling, borders of bins) is estimated on the training part that `split` will cut.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa

from outlast.errors import InputError, unknown_name
from outlast.schema import Column, Schema, unit_of
from outlast.streams import columns
from outlast.streams.columns import TableFile
from outlast.streams.files import existing
from outlast.streams.goals import goal
from outlast.streams.layout import Layout
from outlast.streams.rows import Rows, read_rows
from outlast.streams.scaling import Figures, estimated, in_float32, refuse_hidden, unscaled
from outlast.streams.shares import DEFAULT_SHARES, Shares, check_shares, training_positions
from outlast.streams.table_options import TableOptions, table_options


class FromTables(Layout):
    """The class method of `Streams` that reads a table."""

    @classmethod
    def from_table(
        cls,
        path: str | Path,
        inputs: Sequence[str] | None = None,
        target: str | Sequence[str] | None = None,
        horizon: int | Sequence[int] | None = None,
        aggregate: str | None = None,
        target_kind: str | None = None,
        bins: int | None = None,
        quantiles: Sequence[float] | None = None,
        stream: str | None = None,
        time: str | None = None,
        weight: str | None = None,
        scale: str | None = None,
        missing: str | None = None,
        units: Mapping[str, str] | None = None,
        shares: Shares = DEFAULT_SHARES,
        seed: int = 0,
        schema: Schema | None = None,
    ) -> Self:
        """Streams of features from a CSV or Parquet file; the target lies `horizon` rows ahead.

        Args:
            path: ``.parquet``, or CSV with a header line, separated by comma, semicolon or tab (found by looking).
            inputs: columns to read as features. None: all columns of numbers except `stream`, `time`, `weight` and a
                class target; what was left out is listed in `about`.
            target: column to predict, or several. None: all inputs, `horizon` rows ahead.
            horizon: rows ahead, at least 1 (0, the same row, where the target is not among the inputs), or several;
                None: 1. Every column at every horizon is one output, by column, then by horizon.
            aggregate: ``value``: the target `horizon` rows ahead (default); ``mean``: its mean over the next `horizon`
                rows.
            target_kind: ``value`` (default), or ``class``: labels (text or whole numbers), numbered in sorted order.
            bins: turn a value target into this many classes, by its quantiles on the training part.
            quantiles: between 0 and 1, ascending: the model gives one output for each of them, and is judged by the
                pinball loss.
            stream: column that says which stream a row belongs to; rows keep their order. None: one recording.
            time: column that says when each row was, ascending within a stream, so that moments can be told by the
                clock: times, dates, ISO 8601 text or seconds since 1970 (UTC). None: positions are told only.
            weight: column of weights, 0 or more: how much a row's target counts. None: all count alike.
            scale: ``standard`` (default): zero mean and unit standard deviation on the training part, inputs and value
                target; ``none``: as they are.
            missing: what happens to rows with a missing value in a column that is used. ``drop`` (default): they are
                left out, and steps across the gap are treated as neighbours; ``hold``: the last value of the stream is
                repeated (rows before the first are left out); ``error``: refuse, naming the first.
            units: of columns, by name, for reports and forecasts; a name such as ``power [kW]`` says its own.
            shares, seed: of the split that will follow; `split` takes them over from here.
            schema: of a model, `model.schema`: columns, target, missing rule, scaling and bins are then those that it
                was trained with, and what contradicts them is refused.

        Raises:
            InputError: a column that is not there, text where a number or a time is due (with line and value), times
                that go back, options that do not fit together, too few rows.
        """
        options = table_options(
            schema,
            inputs=inputs,
            target=target,
            horizon=horizon,
            aggregate=aggregate,
            target_kind=target_kind,
            bins=bins,
            quantiles=quantiles,
            stream=stream,
            time=time,
            weight=weight,
            scale=scale,
            missing=missing,
            units=units,
        )
        check_shares(shares)
        table = columns.open_table(existing(path))
        content = table.read(None if options.inputs is None else _each_once([*options.inputs, *options.named]))
        for name in options.named:
            if name not in content:
                raise unknown_name(f"in {path}: column", name, table.names)
        names, left_out = _inputs(content, options, table)
        rows = read_rows(table, content, names, options)

        furthest = max(options.horizons)
        starts, lengths = np.cumsum(rows.sizes) - rows.sizes, rows.sizes - furthest
        long_enough = lengths > 0
        if not long_enough.any():
            raise InputError(
                f"{path}: streams of at most {int(rows.sizes.max(initial=0))} rows and a horizon of {furthest}",
                "at least one stream longer than the horizon",
                "choose a smaller horizon or give more rows; missing='hold' keeps rows that 'drop' leaves out",
            )
        starts, lengths = starts[long_enough], lengths[long_enough]
        about: dict[str, Any] = {"source": str(path), "reader": "table", "rows": len(rows.features), "inputs": names}
        about |= {"left_out": left_out, "missing": rows.missing}
        if options.stream is not None:
            about |= {"stream_column": options.stream, "streams_too_short": int((~long_enough).sum())}
        if rows.clock is not None:
            about |= {"time_column": options.time} | ({"time_zone": rows.clock.zone} if rows.clock.zone else {})
        if options.weight is not None:
            about["weight_column"] = options.weight

        training = np.zeros(0, np.int64)
        if schema is None and (options.scale == "standard" or options.bins is not None):
            training = _training_rows(starts, lengths, furthest, shares, seed, path)
            about["prepared_for_split"] = {"shares": [float(share) for share in shares], "seed": int(seed)}
        figures = _figures(rows, table, names, options, training)
        read = _columns(names, figures, options)
        if schema is not None or options.scale == "standard":
            about["scaling"] = {c.name: {"mean": c.mean, "std": c.std, "constant": c.constant} for c in read}
            about["constant_columns"] = [column.name for column in read if column.constant]
        aim = goal(rows, table, names, options, training)
        return cls(
            inputs=in_float32(figures.scaled(rows.features), table, names, rows.origin),
            starts=starts,
            lengths=lengths,
            targets=aim.values,
            weights=rows.weights,
            shift=furthest if aim.values is None else 0,
            horizon=furthest,
            classes=aim.classes,
            about={**about, "target": aim.about},
            clock=rows.clock,
            schema=Schema(read, aim.target, options.missing, options.stream, options.time),  # pyright: ignore[reportArgumentType]
        )


def _each_once(names: list[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _inputs(content: dict[str, pa.Array], options: TableOptions, table: TableFile) -> tuple[list[str], dict[str, str]]:
    """Names of the feature columns, and what the other columns are."""
    never = options.no_inputs
    if options.inputs is not None:
        inputs = list(options.inputs)
        unfit = [name for name in inputs if name in never]
        if unfit or not inputs:
            raise InputError(
                f"inputs {inputs}",
                "one or more different columns, none of them the stream or weight column, a class target or, at "
                "horizon 0, the target",
                f"leave out {unfit[0]!r}" if unfit else "name the inputs",
            )
        return inputs, {}
    kinds = {name: columns.kind(column) for name, column in content.items() if name not in {*never, options.time}}
    names = [name for name, kind in kinds.items() if kind == "number"]
    if not names:
        raise InputError(
            f"{table.path} with columns {', '.join(f'{name} ({kind})' for name, kind in kinds.items())}",
            "at least one column of numbers to read as input",
            "check the delimiter and how numbers are written",
        )
    return names, {name: kind for name, kind in kinds.items() if kind != "number"}


def _figures(rows: Rows, table: TableFile, names: list[str], options: TableOptions, training: np.ndarray) -> Figures:
    """By which the inputs are scaled: the schema's, those of the training rows, or none."""
    if options.schema is not None:
        read = options.schema.inputs
        parts = ([c.mean for c in read], [c.std for c in read], [c.constant for c in read])
        return Figures(*(np.array(part) for part in parts))
    if options.scale != "standard":
        return unscaled(len(names))
    for i, name in enumerate(names):
        refuse_hidden(table, name, rows.features[:, i], training, rows.origin[name])
    return estimated(rows.features, training)


def _columns(names: list[str], figures: Figures, options: TableOptions) -> tuple[Column, ...]:
    if options.schema is not None:
        return options.schema.inputs
    return tuple(
        Column(name, float(mean), float(std), bool(still), unit_of(name, options.units))
        for name, mean, std, still in zip(names, *figures, strict=True)
    )


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
