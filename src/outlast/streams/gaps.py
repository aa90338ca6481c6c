"""Where the clock of a table leaves gaps: how rows are spaced, and which neighbours are too far apart to be any.

Pieces between gaps are still of one recording: `split` deals them out by time, and intervals take them together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from outlast.errors import Choice, InputError, Question
from outlast.streams.clock import Clock
from outlast.streams.source import Table
from outlast.streams.table_options import TableOptions

REGULAR = 0.9
"""Share of steps that are like the typical one where rows are regular."""
LIKE = 0.1
"""Steps that differ from the typical one by less than this share of it are like it."""
GAP = 1.5
"""Typical steps from which on there is a gap, where rows are regular and nothing else was said."""
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
            Choice("say from how many seconds on rows are no neighbours", {"max_gap": 3600.0}),
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
