"""Targets in a file beside the inputs: joined to the table's rows one to one, or by their times."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from outlast.errors import InputError, unknown_name
from outlast.schema import PLAIN, Notation
from outlast.streams.clock import read_clock
from outlast.streams.files import existing, open_array, suffix_of
from outlast.streams.frames import open_frame
from outlast.streams.gathered import open_table
from outlast.streams.source import Table

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
