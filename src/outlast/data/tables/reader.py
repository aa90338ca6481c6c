"""Streams from tables: one row a position, columns as features, a column ahead as the target.

`Streams` inherits the class method that stands here: `Streams.from_table(...)`. Whatever is
estimated from the data (scaling, borders of bins) is estimated on the training part that `split` will cut.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
import pyarrow as pa

from outlast.arguments import taking
from outlast.data.files.audio import open_audio
from outlast.data.files.source import FILE, Table, marks_in_no_cell, notation_of
from outlast.data.files.tables import open_table
from outlast.data.layout import DEFAULT_SHARES, Layout, Shares, check_shares, training_positions
from outlast.data.scenarios import Condition, Scenario, in_table, marks_of, recorded, scenarios_of
from outlast.data.tables import columns
from outlast.data.tables.asking import asking_at_once
from outlast.data.tables.clock import Clock
from outlast.data.tables.columns import of_training
from outlast.data.tables.options import TableOptions, several, table_options, timed
from outlast.data.tables.order import order_of, telling
from outlast.data.tables.rows import Rows, read_rows, streams_of
from outlast.data.tables.scaling import (
    Figures,
    estimated,
    estimates,
    in_float32,
    input_rules,
    refuse_hidden,
    refuse_unlogged,
    scaling_told,
)
from outlast.data.tables.static import refuse_changing, with_static
from outlast.data.tables.suspects import refuse_codes, refuse_suspects
from outlast.data.tables.targets import columns_beside, goal, joined, open_targets
from outlast.errors import InputError, unknown_name
from outlast.schema import PLAIN, Column, Notation, Schema, unit_of


class FromTables(Layout):
    """The class methods of `Streams` that read tables, and sound as tables of its frames."""

    @classmethod
    @taking
    @asking_at_once
    def from_table(
        cls,
        source: Any,
        inputs: Sequence[str] | None = None,
        target: str | Sequence[str] | None = None,
        horizon: int | Sequence[int] | None = None,
        aggregate: str | None = None,
        target_kind: str | None = None,
        classes: Sequence[str | int] | None = None,
        bins: int | None = None,
        quantiles: Sequence[float] | None = None,
        stream: str | None = None,
        time: str | None = None,
        weight: str | None = None,
        scale: Any = None,
        target_scale: Any = None,
        log: str | Sequence[str] | None = None,
        missing: str | None = None,
        units: Mapping[str, str] | None = None,
        leave_out: str | Sequence[str] | None = None,
        gaps: str | None = None,
        max_gap: float | str | None = None,
        order: str | None = None,
        category: str | Sequence[str] | Mapping[str, Any] | None = None,
        static: Any = None,
        targets_file: Any = None,
        scenarios: Mapping[str, str] | Sequence[str] | None = None,
        sheet: str | None = None,
        decimal: str | None = None,
        thousands: str | None = None,
        encoding: str | None = None,
        missing_values: str | float | Sequence[str | float] | None = None,
        time_format: str | None = None,
        day_first: bool | None = None,
        shares: Shares = DEFAULT_SHARES,
        seed: int = 0,
        schema: Schema | None = None,
    ) -> Self:
        """Streams of features from a table; the target lies `horizon` rows ahead.

        Args:
            source: a file: ``.parquet``, CSV with a header line, separated by comma, semicolon, tab or ``|`` (found by
                looking), perhaps with a row of units below it, or JSON lines, both also packed by gzip; ``.xlsx``; a
                folder of such files, a pattern such as
                ``data/*.csv`` or a list of paths: every file is then a stream, named for its file; a frame of pandas,
                polars, pyarrow or whatever narwhals reads; a dict of columns; a list of dicts, one a row.
            inputs: columns to read as features. None: all columns of numbers except `stream`, `time`, `weight`, a
                class target and what numbers rows (pandas' index); what was left out is listed in `about`. Columns
                that look like identifiers, times or the target in disguise are then asked about.
            target: column to predict, or several. None: all inputs, `horizon` rows ahead.
            horizon: rows ahead, at least 1 (0, the same row, where the target is not among the inputs), or several;
                None: 1. Every column at every horizon is one output, by column, then by horizon.
            aggregate: ``value``: the target `horizon` rows ahead (default); ``mean``: its mean over the next `horizon`
                rows.
            target_kind: ``value`` (default), or ``class``: labels (text or whole numbers).
            classes: labels in the order of the model's outputs, which makes the target one of classes. None: sorted.
            bins: turn a value target into this many classes, by its quantiles on the training part.
            quantiles: between 0 and 1, ascending: the model gives one output for each of them, and is judged by the
                pinball loss.
            stream: column that says which stream a row belongs to; rows keep their order. None: one recording.
            time: column that says when each row was, so that moments can be told by the clock, and gaps be seen: times,
                dates, text or seconds since 1970 (UTC). None: a column of times that is no input, where there is one;
                a model does not keep one that nobody named.
            weight: column of weights, 0 or more: how much a row's target counts. None: all count alike.
            scale: how inputs and value targets are scaled, with figures of the training part. ``standard`` (default):
                zero mean and unit standard deviation; ``minmax``: 0 to 1; ``robust``: median and distance of the
                quartiles; ``none``: as they are; each also of a logarithm, ``log-standard``, ``log1p-none``. By column:
                ``{"power": "none"}`` or ``["standard", "power=none"]``. Figures of one's own: a ``.json`` file or a
                mapping of columns to ``{"mean": …, "std": …}`` or ``{"min": …, "max": …}``, or a scaler of
                scikit-learn.
            target_scale: the same of the target alone. None: as the column of that name is.
            log: columns of which the natural logarithm is taken first, as inputs and as targets.
            missing: what happens to rows with a missing value in a column that is used. ``drop`` (default): they are
                left out, and steps across the gap are treated as neighbours; ``hold``: the last value of the stream is
                repeated (rows before the first are left out); ``error``: refuse, naming the first.
            units: of columns, by name, for reports and forecasts; a name such as ``power [kW]`` says its own.
            leave_out: columns that are no inputs, where `inputs` is None. A target that is left out is not read, but
                forecast.
            gaps: what becomes of a stream with a `time` where rows are further apart than `max_gap`. ``split``
                (default): it is cut there, into pieces of one recording; ``join``: the rows are neighbours; ``error``:
                refuse.
            max_gap: seconds, or a length of time such as ``1h``. None: one and a half typical steps where nine of ten
                steps are like the typical one, and five where gaps of so few steps are multiples of it (no target
                across those counts); otherwise there are no gaps.
            category: inputs of text or whole numbers that are no sizes (a machine, a mode): the model reads the code of
                each value, which is its place among the sorted values of the training part, and nothing scales it. It
                may be the `stream` column too. A dict lists the values in the order of the codes, where the model has
                codes of its own: ``{"machine": None, "mode": ["idle", "run"]}``. A value that is not known is refused.
            static: inputs that do not change along a stream, such as a machine's rated power: names of columns; or a
                table (as `source` may be) with a row for each stream, which has the column `stream` (``file`` where
                streams are files). A model may take them once, ``forward(x, static)``.
            order: ``time``: rows are sorted by it; ``file``: they follow each other as they stand;
                ``newest-first``: they stand the other way round. None: told by the times, where there are any. Rows
                from the newest to the oldest are then read from their end. Others that do not ascend are asked about,
                and so are rows of several streams that nobody told apart.
            targets_file: targets beside the inputs: a table as `source` is, or ``.npy`` or an array of a row a row. Row
                for row, or by `time` where both have it; `target` names its column where it has several. The
                horizon is then 0 where none is given: the target stands in the row for which it is due.
            scenarios: situations by name, each with a rule (`outlast.data.scenarios`): ``{"night": "22:00/06:00",
                "weekend": "sat,sun", "start-up": "speed<10"}``. Losses are told apart by them, and training can begin
                its windows in them more often (`TrainSettings.start_weights`).
            sheet: of an ``.xlsx`` file. None: the first one.
            decimal: ``","`` where 1,5 is one and a half. None: ``"."``.
            thousands: the mark between groups of three digits, such as ``"."`` or a blank. None: there is none.
            encoding: of text, such as ``latin-1`` or ``utf-16``. None: UTF-8.
            missing_values: what stands for a missing value beside the usual spellings, in any column: ``["#N/A", "Bad",
                -9999]``. Numbers that may stand for one are asked about unless they are listed, or ``"NA"``, which says
                that they were measured.
            time_format: of the `time` column, as `datetime.strptime` takes it, such as ``"%d %b %Y %H:%M"``. None: ISO
                8601, or day, month and year where they say their order by themselves.
            day_first: whether 03/04/2024 is in April. None: told by a day above 12, or by dots.
            shares, seed: of the split that will follow; `split` takes them over from here.
            schema: of a model, `model.schema`: columns, target, missing rule, scaling, bins and how the text was
                written are then those that it was trained with, and what contradicts them is refused.

        Raises:
            InputError: a column that is not there, text where a number or a time is due (with line and value), times
                that go back, a column that is hardly an input, options that do not fit together, too few rows.
        """
        notation = notation_of(
            PLAIN if schema is None else schema.notation,
            decimal=decimal,
            thousands=thousands,
            encoding=encoding,
            missing_values=missing_values,
            time_format=time_format,
            day_first=day_first,
        )
        table = open_table(source, notation, sheet)
        beside = None if targets_file is None else open_targets(targets_file, notation)
        if beside is not None:
            target = columns_beside(beside, several("target", target), (stream, time), table.names)
            horizon = 0 if horizon is None and schema is None else horizon
        unchanging = ()
        if static is not None:
            table, unchanging = with_static(table, static, stream or (None if schema is None else schema.stream))
        options = table_options(
            schema,
            inputs=inputs,
            target=target,
            horizon=horizon,
            aggregate=aggregate,
            target_kind=target_kind,
            classes=classes,
            bins=bins,
            quantiles=quantiles,
            stream=stream,
            time=time,
            weight=weight,
            scale=scale,
            target_scale=target_scale,
            log=log,
            missing=missing,
            units={**table.units, **(units or {})},
            leave_out=leave_out,
            gaps=gaps,
            max_gap=max_gap,
            category=category,
            static=unchanging or None,
            order=order,
        )
        check_shares(shares)
        named = scenarios_of(scenarios)
        content = _content(table, options, beside, named)
        of_stream = streams_of(table, content, options.stream)
        ordered = order_of(table, content, options, of_stream[0])
        options = timed(options, ordered.time)
        names, left_out = _inputs(content, options, table)
        rows = read_rows(table, content, names, options, of_stream, ordered.sequence, ordered.clock)
        refuse_changing(table, rows, names, options.static)
        refuse_codes(table, names, rows, options)
        if options.inputs is None:
            refuse_suspects(table, names, rows, options)

        furthest = max(options.horizons)
        kept = _longer(rows, furthest, table)
        starts, lengths = (np.cumsum(rows.sizes) - rows.sizes)[kept], rows.sizes[kept] - furthest
        of_piece = rows.of_piece[kept]
        recording = of_piece if rows.gaps is not None and rows.gaps["gaps"] and options.gaps == "split" else None
        about = _about(table, rows, names, left_out, options) | ordered.about
        if rows.clock is not None and time is None and (schema is None or schema.time is None):
            about["time_recognised"] = True
        if rows.names is not None:
            about["streams_too_short"] = len(rows.names) - len(np.unique(of_piece))
        if recording is not None:
            about["times"]["pieces_too_short"] = len(rows.sizes) - len(kept)
        about |= {} if beside is None else {"targets_file": beside.source}
        if missing_values is not None and beside is None:  # a mark that is misspelt marks nothing
            unmarked = open_table(source, replace(notation, missing_values=()), sheet)
            about["marks_in_no_cell"] = marks_in_no_cell(unmarked, notation)

        training = np.zeros(0, np.int64)
        if schema is None and (estimates(names, options) or options.bins is not None or _learnt(options)):
            training = _training_rows(starts, lengths, recording, furthest, shares, seed, table)
            about["prepared_for_split"] = {"shares": [float(share) for share in shares], "seed": int(seed)}
        rows = _known_in_training(rows, table, names, options, training, np.repeat(rows.sizes > furthest, rows.sizes))
        about |= {"static_columns": list(options.static)} if options.static else {}
        if rows.categories:
            about["categories"] = {name: list(known) for name, known in rows.categories.items()}
            about["codes_known"] = [name for name, known in options.category.items() if known]
        figures = _figures(rows, table, names, options, training)
        read = _columns(names, figures, options, rows, training)
        about |= scaling_told(read, names, options)
        about |= recorded(named) if named else {}
        aim = goal(rows, table, names, options, training)
        keeps = options.gaps != "join" and "time_recognised" not in about
        return cls(
            inputs=in_float32(figures.scaled(rows.features), table, names, rows.origin),
            starts=starts,
            lengths=lengths,
            targets=aim.values,
            weights=rows.weights,
            shift=furthest if aim.values is None else 0,
            horizon=furthest,
            classes=aim.classes,
            about={**about, "target": aim.about, "horizon_assumed": "horizon" in options.assumed},
            labels=_marks(named, table, content, rows),
            clock=rows.clock,
            recording=recording,
            names=None if rows.names is None else np.array(rows.names)[of_piece],
            schema=Schema(
                inputs=read,
                target=aim.target,
                missing=options.missing,  # pyright: ignore[reportArgumentType]
                stream=options.stream,
                time=None if "time_recognised" in about else options.time,
                step=rows.step,
                max_gap=None if not keeps or rows.gaps is None else rows.gaps["max_gap"],
                gaps=options.gaps if keeps else "join",  # pyright: ignore[reportArgumentType]
                notation=notation if rows.clock is None else _as_read(notation, rows.clock),
            ),
        )

    @classmethod
    @taking
    def from_audio(
        cls,
        source: Any,
        horizon: int = 1,
        scale: Any = None,
        target_scale: Any = None,
        shares: Shares = DEFAULT_SHARES,
        seed: int = 0,
        schema: Schema | None = None,
    ) -> Self:
        """Streams of sound: 40 log-mel bands every 10 ms; the target is the frame `horizon` frames ahead.

        Sound of any rate and number of channels is read as the mean of its channels at 16 kHz. A file is a stream.

        Args:
            source: a ``.wav``, ``.flac`` or ``.ogg`` file, a folder of them, a pattern such as ``sounds/*.wav``, or a
                list of paths.
            horizon: frames ahead.
            scale, target_scale, shares, seed, schema: as for `from_table`.

        Raises:
            InputError: nothing there, no sound, files too short, or the extra `audio` is not installed.
        """
        streams = cls.from_table(
            open_audio(source),
            horizon=horizon,
            scale=scale,
            target_scale=target_scale,
            shares=shares,
            seed=seed,
            schema=schema,
        )
        return replace(streams, about={**streams.about, "reader": "audio"})


def _content(
    table: Table, options: TableOptions, beside: Table | None, scenarios: Sequence[Scenario]
) -> dict[str, pa.Array]:
    """The columns that are needed, or tell the order of rows, by name, with targets from beside; all of them where
    inputs were not chosen.
    """
    others = [name for name in options.named if beside is None or name not in options.target]
    others += [name for scenario in scenarios for name in scenario.columns]
    chosen = None if options.inputs is None else [*options.inputs, *others]
    if chosen is not None:
        chosen = _each_once([*chosen, *telling([name for name in table.names if name not in chosen])])
    content = table.read(chosen)
    for name in [*others, *options.leave_out]:
        if name not in content and (name in others or name not in options.target):
            raise unknown_name(f"in {table.source}: column", name, table.names)
    if beside is None:
        return content
    return joined(table, content, beside, options.target, options.stream, options.time)


def _longer(rows: Rows, horizon: int, table: Table) -> np.ndarray:
    """Numbers of the pieces that are longer than the horizon. Raises InputError where none is."""
    kept = np.flatnonzero(rows.sizes > horizon)
    if not len(kept):
        raise InputError(
            f"{table.source}: streams of at most {int(rows.sizes.max(initial=0))} rows and a horizon of {horizon}",
            "at least one stream longer than the horizon",
            "choose a smaller horizon or give more rows; missing='hold' keeps rows that 'drop' leaves out",
        )
    return kept


def _marks(
    named: Sequence[Scenario], table: Table, content: Mapping[str, pa.Array], rows: Rows
) -> dict[str, np.ndarray]:
    """Where each scenario holds, of values that are held too."""

    def compared(test: Condition, scenario: Scenario) -> np.ndarray:
        return in_table(test, scenario, table, content[test.column])[rows.origin.get(test.column, rows.row)]

    return marks_of(named, len(rows.row), rows.clock, compared, table.source)


def _about(
    table: Table, rows: Rows, names: list[str], left_out: dict[str, str], options: TableOptions
) -> dict[str, Any]:
    """What a result records about the table and its rows."""
    about: dict[str, Any] = {"source": table.source, "reader": "table", "rows": len(rows.features), "inputs": names}
    about |= {**table.about, **({"units_row": dict(table.units)} if table.units else {})}
    about |= {"left_out": left_out, "missing": rows.missing}
    if options.stream is not None:
        about["stream_column"] = options.stream
    if rows.clock is not None:
        about |= {"time_column": options.time} | ({"time_zone": rows.clock.zone} if rows.clock.zone else {})
        about["times"] = rows.gaps
    if options.weight is not None:
        about["weight_column"] = options.weight
    return about


def _as_read(notation: Notation, clock: Clock) -> Notation:
    """The notation with the order of day and month that the times told: a later file may not tell it."""
    return notation if clock.day_first is None else replace(notation, day_first=clock.day_first)


def _each_once(names: list[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _inputs(content: dict[str, pa.Array], options: TableOptions, table: Table) -> tuple[list[str], dict[str, str]]:
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
    beside = {name for name in options.target if name not in table.names}
    elsewhere = {*never, *beside, options.time, FILE}
    kinds = {name: columns.kind(column, table.notation) for name, column in content.items() if name not in elsewhere}
    kinds |= {name: "index" for name in kinds if _numbers_rows(name, table, content)}
    kinds |= {name: "left out as asked" for name in options.leave_out if name in kinds}
    kinds |= dict.fromkeys(options.category, "number")
    order = {name: at for at, name in enumerate(content)}
    kinds = {name: kinds[name] for name in sorted(kinds, key=lambda name: order[name])}
    names = [name for name, kind in kinds.items() if kind == "number"]
    if not names:
        raise InputError(
            f"{table.source} with columns {', '.join(f'{name} ({kind})' for name, kind in kinds.items())}",
            "at least one column of numbers to read as input",
            "check the delimiter and how numbers are written",
        )
    return names, {name: kind for name, kind in kinds.items() if kind != "number"}


def _numbers_rows(name: str, table: Table, content: dict[str, pa.Array]) -> bool:
    """Whether a column is the index that pandas writes beside the data; one without a name has to count for it."""
    if name not in table.index:
        return False
    if name.startswith("__index_level_"):
        return True
    if not columns.is_whole(content[name]) or content[name].null_count:
        return False
    values = np.asarray(content[name])
    return bool(np.all((np.diff(values) > 0) | (values[1:] == values[0])))  # of several files it begins anew


def _figures(rows: Rows, table: Table, names: list[str], options: TableOptions, training: np.ndarray) -> Figures:
    """By which the inputs are scaled: the schema's, those of the training rows, or none."""
    if options.schema is not None:
        read = options.schema.inputs
        mean, std, still = (np.array([getattr(c, each) for c in read]) for each in ("mean", "std", "constant"))
        return Figures(mean, std, still, options.schema.logs)
    rules = input_rules(names, options)
    for i, (name, rule) in enumerate(zip(names, rules, strict=True)):
        if rule.how in ("standard", "minmax"):
            refuse_hidden(table, name, rows.features[:, i], training, rows.origin[name])
        refuse_unlogged(table, name, rows.features[:, i], rule, rows.origin[name])
    return estimated(rows.features, training, rules)


def _learnt(options: TableOptions) -> list[str]:
    """Categories whose values the training part tells."""
    return [name for name, known in options.category.items() if not known]


def _known_in_training(
    rows: Rows, table: Table, names: list[str], options: TableOptions, training: np.ndarray, used: np.ndarray
) -> Rows:
    """The rows with codes by the values that the training part has, where no values were listed."""
    features, categories = rows.features, dict(rows.categories)
    for name in _learnt(options):
        at, origin = names.index(name), rows.origin[name]
        codes, categories[name] = of_training(
            table, name, features[:, at], categories[name], training, used, origin, options.category
        )
        features = np.column_stack([features[:, :at], codes, features[:, at + 1 :]])
    return replace(rows, features=features, categories=categories)


def _columns(
    names: list[str], figures: Figures, options: TableOptions, rows: Rows, training: np.ndarray
) -> tuple[Column, ...]:
    if options.schema is not None:
        return options.schema.inputs
    part = rows.features[training]
    found = []
    for place, (name, mean, std, still, log) in enumerate(zip(names, *figures, strict=True)):
        known, unit = rows.categories.get(name, ()), unit_of(name, options.units)
        ends = () if known or not len(part) else (float(part[:, place].min()), float(part[:, place].max()))
        static = name in options.static
        found.append(Column(name, float(mean), float(std), bool(still), unit, known, log, static, *ends))
    return tuple(found)


def _training_rows(
    starts: np.ndarray,
    lengths: np.ndarray,
    recording: np.ndarray | None,
    horizon: int,
    shares: Shares,
    seed: int,
    table: Table,
) -> np.ndarray:
    """Row numbers of the positions that `split` will give to training."""
    counts = training_positions(lengths, horizon, shares, seed, recording)
    if not counts.any():
        raise InputError(
            f"{table.source}: at most {int(lengths.max())} positions with a target, horizon {horizon}, shares {shares}",
            "a training part, from which scaling and bins are taken",
            "give more rows, a smaller horizon or a larger training share",
        )
    return np.concatenate([np.arange(start, start + count) for start, count in zip(starts, counts, strict=True)])
