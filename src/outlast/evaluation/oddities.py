"""What is odd about data or predictions, so that figures say less than they seem to, and what verdicts make of it.

Each note has a name, by which reports and verdicts know it:

- ``constant_outputs``: every prediction is the same, though what is read is not;
- ``not_finite``: predictions that are not finite numbers;
- ``pieces_differ``: reading in pieces, with the state carried, gives other outputs than reading at once;
- ``identical_streams``: streams that are copies of one another;
- ``constant_targets``, ``constant_inputs``: there is nothing to predict, or nothing to read;
- ``equal_losses``: the same loss on every stream, so that intervals have no width;
- ``unequal_lengths``: streams too short to be used, or much longer than what could be used of them;
- ``older_ages``: nobody said up to which age to measure, and the streams allow older ones;
- ``uncounted_streams``: streams without a target that counts;
- ``few_streams``: fewer than a verdict needs were read, because that was asked for or a budget allows no more;
- ``within_budget``: fewer targets or streams than were asked for, so that a budget is kept;
- ``measured_in_float32``, ``trained_in_float32``: another precision than the parameters' (`modules.precision`);
- ``measured_in_bfloat16``: products were taken in bfloat16 (`modules.products`);
- ``attention_window``: attention sees less than the model's own library lets it see (`Recurrent.forgets`);
- ``one_at_a_time``: calls of the model wait for one another (`outlast.turns`);
- ``scaling_found``, ``misread``: a table is read as the model fits it best, or it does not fit (`evaluation.misread`);
- ``no_scaling_fits``: nobody said how a table is scaled, and the model is good under no scaling (`evaluation.misread`);
- ``missing_rows``: rows of a table that were dropped or filled for missing values;
- ``gaps``: rows of a table that lie further apart in time than is usual, or at the same time.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch

from outlast.data import MIN_STREAMS
from outlast.data.first_lines import MOST_NAMED, lasting
from outlast.durations import written
from outlast.results import Note

MOST = 0.5
"""A model is broken where at every age within its training context more of its predictions than this are not finite."""


class Variation:
    """Whether numbers differ anywhere in all that is looked at, by channel; what is not finite says nothing.

    Args:
        until: looking costs nothing once this has varied.
    """

    def __init__(self, until: Literal["every channel", "any channel"]) -> None:
        self.until, self.seen, self.lock = until, False, threading.Lock()
        self.first: list[torch.Tensor] = []
        self.varied: list[torch.Tensor] = []

    def look(self, tensors: Sequence[torch.Tensor]) -> None:
        """Tensors (B, T, …), as many and as wide each time."""
        if self.seen:
            return
        rows = [tensor.detach().reshape(tensor.shape[0] * tensor.shape[1], -1) for tensor in tensors]
        with self.lock:
            if not self.first:
                finite = torch.stack([torch.isfinite(each).all(1) for each in rows]).all(0)
                if not bool(finite.any()):
                    return
                number = int(finite.int().argmax())
                self.first = [each[number].clone() for each in rows]
                self.varied = [torch.zeros_like(each, dtype=torch.bool) for each in self.first]
            for each, first, varied in zip(rows, self.first, self.varied, strict=True):
                varied |= ((each != first) & torch.isfinite(each)).any(0)
            changed = torch.cat([each.cpu() for each in self.varied])
            self.seen = bool(changed.all() if self.until == "every channel" else changed.any())

    @property
    def channels(self) -> int:
        """How many there are; 0: nothing finite was seen."""
        return sum(len(each) for each in self.varied)

    @property
    def still(self) -> list[int]:
        """Numbers of those that never varied."""
        return [] if not self.varied else (~torch.cat(self.varied)).nonzero()[:, 0].tolist()

    @property
    def constant(self) -> int:
        """How many of them never varied."""
        return len(self.still)


def predictions(
    inputs: Variation,
    outputs: Variation,
    non_finite: int,
    lost: np.ndarray,
    within: np.ndarray,
    names: Sequence[str] = (),
) -> list[Note]:
    """What is odd about what was read and what was predicted.

    Args:
        non_finite: predictions that were not finite numbers, among all that were read.
        lost: (bands,) their share, by age.
        within: numbers of the bands within the training context.
        names: of the columns that are read, where they have any.
    """
    found = []
    if outputs.channels and outputs.constant == outputs.channels and inputs.constant < inputs.channels:
        found.append(Note("constant_outputs", "every prediction is the same, whatever the model reads"))
    if non_finite:
        young = float(lost[within].min())
        said = (
            f"{non_finite} predictions were not finite numbers and were scored as very bad ones: {100 * young:.3g} % "
            f"of those within the training context (at the ages with the fewest of them) and {100 * lost[-1]:.3g} % of "
            "those at the oldest ages"
        )
        found.append(Note("not_finite", said, {"count": non_finite, "young": young, "oldest": float(lost[-1])}))
    return [*found, *_constant_inputs(inputs, names)]


def _constant_inputs(inputs: Variation, names: Sequence[str]) -> list[Note]:
    """Inputs that never vary, by the names of their columns; without names, by their numbers from 0."""
    count, channels = inputs.constant, inputs.channels
    if not count:
        return []
    facts: dict[str, int | str] = {"constant": count, "channels": channels}
    if count == channels:
        return [Note("constant_inputs", "every input is the same: there is nothing to read", dict(facts))]
    called = [names[number] if len(names) == channels else str(number) for number in inputs.still[:MOST_NAMED]]
    facts["columns"] = ", ".join(called) + (f" and {count - MOST_NAMED} more" if count > MOST_NAMED else "")
    if len(names) != channels:
        facts["columns"] = f"number {facts['columns']}, counted from 0"
    never = "never varies" if count == 1 else "never vary"
    return [Note("constant_inputs", f"{count} of {channels} inputs {never}: {facts['columns']}", dict(facts))]


def pieces_differ(gap: float, largest: float) -> Note:
    """By how much outputs in pieces differ from those at once, beside the largest output."""
    said = (
        f"the first positions give other outputs in pieces than at once (by {gap:.3g}, the largest output is "
        f"{largest:.3g}): the state that comes back is not what the next position needs; outlast check says more"
    )
    return Note("pieces_differ", said, {"gap": gap, "largest": largest})


def identical_streams(streams: int, distinct: int, units: int) -> Note:
    """Of `streams`, `distinct` differ; with copies taken together there are `units` of an interval."""
    alike = f"only {distinct} of {streams} streams differ from one another"
    said = f"{'the streams are identical' if distinct == 1 else alike}: a copy says nothing that the stream does not"
    return Note("identical_streams", said, {"streams": streams, "distinct": distinct, "units": units})


def constant_targets(kind: str) -> Note:
    said = "every target is of one class" if kind == "classes" else "every target has the same value"
    return Note("constant_targets", f"{said}: nothing has to be read to predict it", {"kind": kind})


def equal_losses(streams: int) -> Note:
    said = f"losses are the same on all {streams} streams: their intervals have no width"
    return Note("equal_losses", said, {"streams": streams})


def older_ages(measured: int, possible: int, step: float | None) -> Note:
    """Ages ended at `measured` positions by default, and the streams allow `possible`; `step` is seconds a row."""
    facts: dict[str, float | int | str] = {"measured": measured, "possible": possible}
    if not step:
        said = f"measured up to age {measured:,}; these data allow up to {possible:,} (--up-to {possible})"
        return Note("older_ages", said, facts)
    (now, now_ja), (then, then_ja) = lasting(measured * step), lasting(possible * step)
    facts |= {"measured_time": now, "possible_time": then, "measured_ja": now_ja, "possible_ja": then_ja}
    said = f"measured up to age {measured:,}, which is {now}; these data allow up to {then} (--up-to {possible})"
    return Note("older_ages", said, facts)


def uncounted_streams(count: int) -> Note:
    return Note("uncounted_streams", f"{count} streams have no target that counts, and were left out", {"count": count})


def unequal_lengths(left_out: int, longer: int, streams: int, used: int, longest: int) -> Note:
    """Of `streams`, `left_out` were too short for the `used` positions, and `longer` much longer than that."""
    said = []
    if left_out:
        said.append(
            f"{left_out} of {streams} streams are shorter than the {used} positions that were used, and left out"
        )
    if longer:
        said.append(
            f"{longer} of {streams} streams are much longer (up to {longest} positions) than the {used} that were "
            "used, because an interval needs at least 8 streams or segments; older ages were not tested"
        )
    facts = {"left_out": left_out, "longer": longer, "streams": streams, "used": used, "longest": longest}
    return Note("unequal_lengths", "; ".join(said), dict(facts))


def measured_in_bfloat16() -> Note:
    """Where products were not taken in the precision of the parameters."""
    return Note("measured_in_bfloat16", "products of matrices were taken in bfloat16, all else in float32", {})


def few_streams(read: int, budget: float | None, needed: float | None) -> Note:
    """Of `read` streams, too few for a verdict.

    Args:
        budget: seconds, where that is why; `needed`: seconds that a verdict would take.
    """
    if budget is None or needed is None:
        said = f"no verdict: {read} streams were asked for, of the {MIN_STREAMS} that a verdict needs"
        return Note("few_streams", said, {"streams": read, "least": MIN_STREAMS})
    said = (
        f"no verdict: the budget of {written(budget)} allows {read} of the {MIN_STREAMS} streams that a verdict needs; "
        f"it would take {written(needed)}"
    )
    facts = {"streams": read, "least": MIN_STREAMS, "budget": budget, "needed": needed}
    return Note("few_streams", said, dict(facts))


def unmet_scenarios(rules: dict[str, str], marked: np.ndarray) -> list[Note]:
    """Scenarios in which no target lies that is scored.

    Args:
        rules: by name, in the order of the sums.
        marked: `Sums.marked`.
    """
    unmet = [name for name, weights in zip(rules, marked[1, :, -1].sum(-1), strict=True) if weights <= 0]
    said = f"no scored target lies in {', '.join(unmet)}: nothing is said about {'it' if len(unmet) == 1 else 'them'}"
    return [Note("unmet_scenarios", said, {"names": ", ".join(unmet)})] if unmet else []


def within_budget(budget: float, asked: tuple[int, int], read: tuple[int, int]) -> Note:
    """Of the streams and the targets of each that were asked for, those that were read and scored."""
    (streams, targets), (fewer, scored) = asked, read
    said = (
        f"to keep to the budget of {written(budget)}, {fewer:,} of {streams:,} streams were read, and {scored:,} of "
        f"{targets:,} positions of each were scored"
    )
    facts = {"budget": budget, "streams": streams, "targets": targets, "read": fewer, "scored": scored}
    return Note("within_budget", said, dict(facts))


def table_rows(about: Mapping[str, Any]) -> list[Note]:
    """What became of a table's rows: those with missing values, and those on either side of a gap in time.

    Args:
        about: what the reader of the table recorded.
    """
    found, missing, times = [], about.get("missing"), about.get("times")
    if missing is not None and "rows" in about:
        dropped, filled = missing["rows_dropped"], missing.get("rows_filled", 0)
        if dropped or filled:
            found.append(_missing_rows(about["rows"] + dropped, dropped, filled, missing["per_column"]))
    if times is not None and (times["gaps"] or times["equal_times"] or times.get("joined")):
        found.append(_gaps(times))
    return found


def _missing_rows(rows: int, dropped: int, filled: int, per_column: Mapping[str, int]) -> Note:
    columns = ", ".join(f"{name} {count:,}" for name, count in per_column.items() if count)
    done = [f"{dropped:,} were dropped"] if dropped else []
    done += [f"{filled:,} were filled with the last value"] if filled else []
    said = f"of {rows:,} rows {' and '.join(done)} for missing values ({columns})"
    return Note("missing_rows", said, {"rows": rows, "dropped": dropped, "filled": filled, "columns": columns})


def _gaps(times: Mapping[str, Any]) -> Note:
    """Steps in seconds; the typical one is 0 where rows are not regular."""
    step, longest, split = times["typical_step"] or 0.0, times["longest_step"], times["handling"] == "split"
    said = []
    if times["gaps"]:
        limit, usual = f"{times['max_gap']:,g} s", f"a usual step has {step:,g} s, " if step else ""
        what = "1 gap" if times["gaps"] == 1 else f"{times['gaps']:,} gaps"
        done = "streams were cut there" if split else "rows were read on, as if there were none"
        said.append(f"{what} of more than {limit} between rows: {done} ({usual}the longest {longest:,g} s)")
    joined = times.get("joined", 0)
    if joined:
        what = "1 gap" if joined == 1 else f"{joined:,} gaps"
        said.append(f"{what} of a few usual steps were read on over; no target that lies across one counts")
    if times["equal_times"]:
        said.append(f"{times['equal_times']:,} rows have the time of the row before them")
    facts = {"count": times["gaps"], "limit": times["max_gap"] or 0.0, "step": step, "longest": longest}
    facts |= {"split": int(split), "equal": times["equal_times"], "joined": joined}
    return Note("gaps", "; ".join(said), facts)


def joined_documents(about: Mapping[str, Any]) -> list[Note]:
    """That documents became one recording, where nobody asked for it.

    Args:
        about: what the reader of the text recorded.
    """
    if about.get("documents_read") != "joined" or about.get("documents_chosen") == "as asked":
        return []
    count = about["documents"]
    said = f"{count:,} documents were joined into one long recording, because most of their text lies in short ones"
    return [Note("joined_documents", said, {"documents": count})]


def breaking(notes: Sequence[Note]) -> list[Note]:
    """Why a model is broken: it reads nothing, does not carry its state, or predicts mostly what is not finite."""
    return [
        note
        for note in notes
        if note.name in ("constant_outputs", "pieces_differ")
        or (note.name == "not_finite" and float(note.facts["young"]) > MOST)
    ]


def withholding(notes: Sequence[Note], verdict: str, least: int) -> list[str]:
    """Why `verdict`, which the figures alone would give, is not given.

    That age does harm may be seen where there is nothing to read or to predict; that it does none has then not been
    shown.

    Args:
        least: units that an interval needs.
    """
    found, harmed = [], verdict in ("fails", "declines")
    for note in notes:
        few = note.name == "identical_streams" and int(note.facts["units"]) < least
        empty = note.name == "constant_targets" or (
            note.name == "constant_inputs" and note.facts["constant"] == note.facts["channels"]
        )
        # What was lost within the training context widens the tolerance, which is a share of the loss there.
        lost = note.name == "not_finite" and float(note.facts["young"]) > 0
        if few or (not harmed and (empty or lost)):
            found.append(note.said)
    return found
