"""Rows of a table that are kept, stream after stream, and where its clock leaves gaps."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from outlast.data.files.source import FILE, Table, is_text
from outlast.data.tables import columns
from outlast.data.tables.clock import Clock, check_ascending, read_clock
from outlast.data.tables.columns import Known, coded
from outlast.data.tables.options import TableOptions
from outlast.errors import Choice, InputError, Question

# Where the clock of a table leaves gaps: how rows are spaced, and which neighbours are too far apart to be any.
#
# Pieces between gaps are still of one recording: `split` deals them out by time, and intervals take them together.

REGULAR = 0.9
"""Share of steps that are like the typical one where rows are regular."""
LIKE = 0.1
"""Steps that differ from the typical one by less than this share of it are like it."""
GAP = 1.5
"""Typical steps beyond which there is a gap, where rows are regular and nothing else was said."""
JOINED = 5
"""Gaps of up to so many typical steps are no gaps where they are multiples of it: some rows are missing, and the clock
goes on as it was."""
SHORT = 64
"""Where half of the rows would fall into pieces shorter than this, the default is not taken without a word."""


@dataclass(frozen=True)
class Spacing:
    """How the rows of a table follow each other in time.

    Args:
        step: seconds of the typical step, where rows are regular.
        limit: seconds between neighbours beyond which there is a gap; None: there never is. Where gaps are joined it
            only counts them.
        told: whether what to do was said, not found.
    """

    step: float | None
    limit: float | None
    told: bool


def spacing(clock: Clock, group: np.ndarray, options: TableOptions) -> Spacing:
    """The spacing of all rows with a time, whether or not anything else is missing in them.

    Args:
        clock: of the rows, stream after stream.
        group: (rows,) the stream of each row in that order.
    """
    timed = ~np.isnat(clock.times)
    steps, _ = _steps(clock.times[timed], group[timed])
    typical = float(np.median(steps)) if len(steps) else 0.0
    alike = np.abs(steps - typical) < LIKE * typical
    step = typical if typical > 0 and alike.mean() >= REGULAR else None
    if options.max_gap is not None:
        return Spacing(step, options.max_gap, True)
    return Spacing(step, None if step is None else GAP * step, options.gaps == "join")


def ends_at_gaps(
    clock: Clock, group: np.ndarray, rows: np.ndarray, spaced: Spacing, table: Table, options: TableOptions
) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """(N − 1,) after which rows a stream ends because of a gap, of the rows that are kept; after which a short one was
    read on over; and what a result records.

    Args:
        clock, group: of the rows that are kept, stream after stream, their times ascending in each.
        rows: (N,) where each of them stands in the table.

    Raises:
        InputError: a gap where that is an error, or so many that hardly a piece would be left.
    """
    steps, within = _steps(clock.times, group)
    gap, joined = (np.zeros(max(0, len(group) - 1), bool) for _ in range(2))
    if (widest := _joining(steps, spaced, options)) is not None and spaced.step is not None:
        joined[within] = (steps > GAP * spaced.step) & (steps <= widest)
        spaced = replace(spaced, limit=widest)
    if spaced.limit is not None:
        gap[within] = steps > spaced.limit
    about: dict[str, Any] = {
        "typical_step": spaced.step,
        "longest_step": float(steps.max(initial=0.0)),
        "equal_times": int((steps == 0).sum()),
        "handling": options.gaps,
        "max_gap": spaced.limit,
        "gaps": int(gap.sum()),
        "joined": int(joined.sum()),
    }
    if options.gaps == "error" and gap.any():
        later = int(np.argmax(gap)) + 1
        raise InputError(
            f"{clock.at(later)} after {clock.at(later - 1)} in time column {options.time!r}, "
            f"{table.place(int(rows[later]))}",
            f"rows at most {spaced.limit:g} s apart",
            "fill the gap, or choose gaps='split' (streams begin anew behind it) or gaps='join'",
        )
    if not spaced.told and gap.any():
        _refuse_scattered(gap, group, spaced, options)
    return gap & (options.gaps == "split"), joined, about


def _joining(steps: np.ndarray, spaced: Spacing, options: TableOptions) -> float | None:
    """Seconds up to which gaps are read on over; None: they are not. A model that was trained so is read so."""
    step = spaced.step
    if step is None or options.gaps != "split":
        return None
    widest = (JOINED + 0.5) * step
    if spaced.told:
        return widest if spaced.limit is not None and abs(spaced.limit - widest) < LIKE * step else None
    short = steps[(steps > GAP * step) & (steps <= widest)] / step
    return widest if len(short) and (np.abs(short - np.round(short)) < LIKE).mean() >= REGULAR else None


def not_across(joined: np.ndarray, rows: int, weights: np.ndarray | None) -> np.ndarray | None:
    """(N,) weights, 0 where the target, so many rows ahead, lies beyond a gap that was read on over: it is later than
    was asked for. Where streams were cut instead, these rows would have no target.

    Args:
        joined: (N − 1,) after which rows there was one.
        weights: (N,) of the table; None: all count alike.
    """
    if not joined.any():
        return weights
    before = np.concatenate([[0], np.cumsum(joined)])
    ahead = np.minimum(np.arange(len(before)) + rows, len(before) - 1)
    whole = np.ones(len(before), np.float32) if weights is None else weights
    return np.where(before[ahead] > before, np.float32(0), whole)


def _refuse_scattered(gap: np.ndarray, group: np.ndarray, spaced: Spacing, options: TableOptions) -> None:
    border = group[1:] != group[:-1]
    if _usual(gap | border) >= SHORT or _usual(border) < SHORT:
        return
    raise Question(
        f"{int(gap.sum()):,} gaps in time column {options.time!r}, steps of more than {spaced.limit:g} s where "
        f"{spaced.step:g} s are typical: half of the rows lie in pieces of less than {SHORT} rows",
        "recordings with few gaps, or a word on what a gap is",
        [
            Choice("join everything", {"gaps": "join"}),
            Choice("repeat values that are missing", {"missing": "hold"}),
            Choice("say beyond how many seconds rows are no neighbours", {"max_gap": 3600.0}),
        ],
    )


def _usual(ends: np.ndarray) -> int:
    """Rows of the piece that the row in the middle lies in, when pieces are sorted by their length."""
    sizes = np.sort(np.diff(np.flatnonzero(np.concatenate([[True], ends, [True]]))))
    return int(sizes[np.searchsorted(np.cumsum(sizes), sizes.sum() / 2)])


def _steps(times: np.ndarray, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Seconds between neighbours of one stream, and where these are among all N − 1 neighbours."""
    within = np.flatnonzero(group[1:] == group[:-1])
    return (times[1:] - times[:-1])[within] / np.timedelta64(1, "s"), within


# Rows of a table that are kept, stream after stream, and what happened to those with missing values.

DROPPED = 0.25
"""Share of rows above which they are not dropped for missing values without a question."""
_EMPTY = 0.1
"""Share of missing values from which on a column is named as a reason."""
_FEWEST = 32
"""Rows below which nothing is asked."""
_NAMED = 8
"""Labels that a message lists."""


@dataclass(frozen=True)
class Rows:
    """N rows that are kept, stream after stream.

    Args:
        features: (N, F).
        targets: (N, C) of the target columns; class labels as numbers; None: there is no target column.
        labels: what the numbers of a class target stand for.
        weights: (N,); None: all count alike.
        stream: (N,) the number of the stream that each row belongs to.
        names: of the streams, by number; None: the table does not tell any apart.
        sizes: (P,) rows of each piece: a stream, or what lies between two gaps of one.
        step: seconds of the typical step, where rows are regular.
        gaps: what a result records about times; None: there are none.
        row: (N,) the row of the table that each one is.
        origin: by column, (N,) the row of the table that each value comes from.
        missing: what a result records about missing values.
        categories: by name, the values that the codes among `features` stand for.
    """

    features: np.ndarray
    targets: np.ndarray | None
    labels: list[str] | list[int] | None
    weights: np.ndarray | None
    clock: Clock | None
    stream: np.ndarray
    names: list[str] | None
    sizes: np.ndarray
    step: float | None
    gaps: dict[str, Any] | None
    row: np.ndarray
    origin: dict[str, np.ndarray]
    missing: dict[str, Any]
    categories: dict[str, Known] = field(default_factory=dict)

    def before_end(self, rows: int) -> np.ndarray:
        """(N,) bool: whether that many rows follow in the same piece."""
        last = np.repeat(np.cumsum(self.sizes), self.sizes)
        return np.arange(len(last)) + rows < last

    @property
    def of_piece(self) -> np.ndarray:
        """(P,) the stream of each piece."""
        return self.stream[np.cumsum(self.sizes) - self.sizes]


def read_rows(
    table: Table,
    content: dict[str, pa.Array],
    names: list[str],
    options: TableOptions,
    streams: tuple[np.ndarray, list[str] | None],
    sequence: np.ndarray | None,
    clock: Clock | None = None,
) -> Rows:
    """The rows of a table in which every column that is used has a value.

    Args:
        content: the table's columns by name.
        names: of the inputs.
        streams: as `streams_of` gives them.
        sequence: (rows,) by which the rows of a stream are sorted; None: as they stand.
        clock: what the time column says; None: it was not read yet.

    Raises:
        InputError: text where a number or a time is due, times that go back, a missing value where that is an error.
    """
    values, labels, categories = _values(table, content, names, options)
    lacking = {name: column < 0 if column.dtype.kind == "i" else np.isnan(column) for name, column in values.items()}
    if options.time is None:
        clock = None
    elif clock is None:
        clock = read_clock(table, options.time, content[options.time])
    if clock is not None and options.time is not None:
        lacking[options.time] = np.isnat(clock.times)
    if options.missing == "error":
        _refuse_missing(table, lacking)
    group, stream_names = streams
    order = np.argsort(group, kind="stable") if sequence is None else np.lexsort((sequence, group))
    spaced = None if clock is None else spacing(replace(clock, times=clock.times[order]), group[order], options)
    row, taken, about = _kept(lacking, order, group[order], options.missing)
    _refuse_empty(table, len(row), about, options)
    group = group[row]
    ends, gaps, joined = group[1:] != group[:-1], None, np.zeros(max(0, len(group) - 1), bool)
    if clock is not None and options.time is not None and spaced is not None:
        at = taken[options.time]
        clock = replace(clock, times=clock.times[at])
        check_ascending(table, options.time, clock, group, at)
        apart, joined, gaps = ends_at_gaps(clock, group, at, spaced, table, options)
        ends = ends | apart
    found = {name: column[taken[name]] for name, column in values.items()}
    weights = None if options.weight is None else found[options.weight].astype(np.float32)
    return Rows(
        features=np.column_stack([found[name] for name in names]),
        targets=np.column_stack([found[name] for name in options.target]) if options.target else None,
        labels=labels,
        weights=not_across(joined, max(options.horizons), weights),
        clock=clock,
        stream=group,
        names=stream_names,
        sizes=np.diff(np.flatnonzero(np.concatenate([[True], ends, [True]]))) if len(group) else np.zeros(0, np.int64),
        step=None if spaced is None else spaced.step,
        gaps=gaps,
        row=row,
        origin=taken,
        missing=about,
        categories=categories,
    )


def _values(
    table: Table, content: dict[str, pa.Array], names: list[str], options: TableOptions
) -> tuple[dict[str, np.ndarray], list[str] | list[int] | None, dict[str, Known]]:
    """By column, (rows,) its values: numbers, NaN where missing, or classes, −1 where missing; the labels of a class
    target; and the values of categories at their codes."""
    values = {name: columns.numbers(table, name, content[name]) for name in names if name not in options.category}
    categories: dict[str, Known] = {}
    for name, known in options.category.items():
        values[name], categories[name] = coded(table, name, content[name], known)
    labels = None
    for name in options.target:
        if options.target_kind == "class":
            values[name], labels = _numbered(table, name, content[name], options)
        elif name not in values:
            if options.schema is None and columns.kind(content[name], table.notation) == "text":
                raise _labels(table, name, content[name], options)
            values[name] = columns.numbers(table, name, content[name])
    if options.weight is not None:
        values[options.weight] = _weights(table, options.weight, content[options.weight])
    return values, labels, categories


def _kept(
    lacking: dict[str, np.ndarray], order: np.ndarray, group: np.ndarray, missing: str
) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, Any]]:
    """The rows of the table that are kept, by column the row that each of their values comes from, and what a result
    records.

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
        about["note"] = "rows on either side of dropped ones are treated as neighbours, but for gaps in time"
    about["rows_dropped"] = int((~keep).sum())
    about["dropped_between"] = about["rows_dropped"] - _at_ends(keep, group)
    return order[keep], {name: order[source[keep]] for name, source in sources.items()}, about


def _at_ends(keep: np.ndarray, group: np.ndarray) -> int:
    """How many rows that are not kept lie before the first or after the last one of their stream that is."""
    streams = int(group.max(initial=-1)) + 1
    places, rows = np.flatnonzero(keep), np.bincount(group, minlength=streams)
    first, last = np.full(streams, len(group)), np.full(streams, -1)
    np.minimum.at(first, group[places], places)
    np.maximum.at(last, group[places], places)
    return int((rows - np.maximum(last - first + 1, 0)).sum())


def _refuse_empty(table: Table, kept: int, about: dict[str, Any], options: TableOptions) -> None:
    """Ask before many rows between others are dropped for missing values, where nobody said what becomes of these.

    Args:
        kept: how many rows are not; about: what `_kept` recorded.

    Raises:
        Question: names the columns, and what to type.
    """
    dropped = about["dropped_between"]
    every = kept + about["rows_dropped"]
    if "missing" not in options.assumed or every < _FEWEST or dropped <= DROPPED * every:
        return
    counts = {name: count for name, count in about["per_column"].items() if count > _EMPTY * every}
    counts = counts or {name: count for name, count in about["per_column"].items() if count}
    named = ", ".join(f"{name!r} in {count:,}" for name, count in list(counts.items())[:8])
    spare = [name for name in counts if name not in options.named]
    choices = [
        Choice("repeat the last value", {"missing": "hold"}),
        Choice("drop the rows, and read on across them", {"missing": "drop"}),
    ]
    if spare and options.inputs is None:
        choices.insert(0, Choice("leave these columns out", {"leave_out": [*options.leave_out, *spare]}))
    raise Question(
        f"{table.source}, of which {dropped:,} of {every:,} rows would be dropped for missing values (column {named} "
        "rows)",
        f"at most {DROPPED:.0%} of the rows dropped without a word",
        choices,
    )


def _numbered(
    table: Table, name: str, column: pa.Array, options: TableOptions
) -> tuple[np.ndarray, list[str] | list[int]]:
    """Class labels as numbers: by the places that a schema's labels have, or those that were listed, or sorted."""
    numbers, labels = columns.labels(table, name, column)
    read = options.schema
    if read is None and not options.classes:
        return numbers, labels
    known = list(read.target.labels if read else columns.of_kind(options.classes, is_text(column), name))
    unknown = [label for label in labels if label not in known]
    if unknown:
        row = int(np.argmax(numbers == labels.index(unknown[0])))  # pyright: ignore[reportArgumentType]
        raise InputError(
            f"the label {unknown[0]!r} in column {name!r}, {table.place(row)}",
            f"one of the labels that {'the model was trained on' if read else 'were listed'}: "
            f"{', '.join(map(str, known))}",
            f"correct the label, or {'train a model on data that have it' if read else 'list it too (--classes)'}",
        )
    places = np.array([*(known.index(label) for label in labels), -1], np.int64)
    return places[numbers], known  # pyright: ignore[reportReturnType]


def _labels(table: Table, name: str, column: pa.Array, options: TableOptions) -> InputError:
    """What to say of a target of text that is read as a value: it is hardly anything but labels."""
    known = columns.labels(table, name, column)[1]
    more = f" and {len(known) - _NAMED:,} more" if len(known) > _NAMED else ""
    given = f"text in target column {name!r} of {table.source}: {', '.join(map(str, known[:_NAMED]))}{more}"
    expected = "numbers to forecast, or labels that are said to be classes"
    alone = len(options.target) == len(options.horizons) == 1 and options.bins is None and not options.quantiles
    if alone and options.aggregate == "value":
        return Question(given, expected, [Choice("forecast the labels as classes", {"target_kind": "class"})])
    return InputError(given, expected, "name this target alone, at one horizon, with target_kind='class'")


def _weights(table: Table, name: str, column: pa.Array) -> np.ndarray:
    values = columns.numbers(table, name, column)
    if (values < 0).any():
        row = int(np.argmax(values < 0))
        raise InputError(
            f"a weight of {values[row]:g} in column {name!r}, {table.place(row)}",
            "weights of 0 or more",
            "correct it; 0 leaves a row's target out of training and measuring",
        )
    return values


def _refuse_missing(table: Table, lacking: dict[str, np.ndarray]) -> None:
    either = np.logical_or.reduce(list(lacking.values()))
    if not either.any():
        return
    row = int(np.argmax(either))
    name = next(name for name, column in lacking.items() if column[row])
    raise InputError(
        f"a missing value in column {name!r}, {table.place(row)}",
        "a value in every row of the columns that are used",
        "fill it in, or choose missing='drop' or missing='hold'",
    )


def streams_of(table: Table, content: dict[str, pa.Array], stream: str | None) -> tuple[np.ndarray, list[str] | None]:
    """(rows,) the number of each row's stream, in order of first appearance, and what the streams are called.

    Of several files each is a stream, or as many as its column tells apart.
    """
    rows = len(next(iter(content.values())))
    by = [*([FILE] if table.several else []), *([] if stream is None else [stream])]
    if not by:
        return np.zeros(rows, np.int64), None
    ids = {name: table.ids(name, content[name]) for name in by}
    parts = [_groups(table, name, column) for name, column in ids.items()]
    wide = [int(part.max(initial=0)) + 1 for part in parts]
    _, first, group = np.unique(np.ravel_multi_index(parts, wide), return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    names = [": ".join(str(column[int(row)].as_py()) for column in ids.values()) for row in first[order]]
    return rank[group], names


def _groups(table: Table, name: str, column: pa.Array) -> np.ndarray:
    """Number of each row's stream, in order of first appearance."""
    if column.null_count:
        row = int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))
        raise InputError(
            f"no value in stream column {name!r}, {table.place(row)}",
            "every row to say which stream it belongs to",
            "fill in the cell or remove the row",
        )
    try:
        return np.array(column.dictionary_encode().indices, np.int64)
    except pa.ArrowException:
        raise InputError(
            f"stream column {name!r} of {table.source}, which holds {column.type}",
            "names or numbers of streams",
            "write the streams' names as text",
        ) from None


def _last_present(present: np.ndarray, first_row: np.ndarray) -> np.ndarray:
    """(N,) the last row up to each row, in the same stream, that has a value; −1 where there is none."""
    latest = np.maximum.accumulate(np.where(present, np.arange(len(present)), -1))
    return np.where(latest >= first_row, latest, -1)
