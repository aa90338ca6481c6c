"""Measure a model: age curve, position curve, resets, states by position; memory flat in the length of the streams.

The age curve scores the *same* targets from states of different ages. Because the targets are the same, what the data
itself does along a stream drops out.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from outlast.adapters.adapting import adapt
from outlast.adapters.precision import dtypes_of
from outlast.arguments import at_least, taking, taking_fields
from outlast.errors import InputError
from outlast.evaluation.asked import the_measures, the_model, the_streams
from outlast.evaluation.divergence import agreement, apart_from_itself
from outlast.evaluation.guesses import counted_targets, guesses
from outlast.evaluation.measures import Measure
from outlast.evaluation.memory import memory_needed
from outlast.evaluation.oddities import (
    constant_targets,
    equal_losses,
    identical_streams,
    predictions,
    table_rows,
    uncounted_streams,
    unequal_lengths,
)
from outlast.evaluation.passes import Passes
from outlast.evaluation.schedule import Targets, age_bands, draw_targets
from outlast.evaluation.verdicts import judge, overlap_losses, reset_losses
from outlast.model import Recurrent, device_of
from outlast.progress import ShareDone
from outlast.results import VERSION, AgeBand, Evaluation, Guess, Note, Reset, plain
from outlast.results.curve import Curve
from outlast.streams import MIN_STREAMS, Split, Streams, copies, joined
from outlast.streams.fits import check_inputs
from outlast.streams.reading import CHUNK

MUCH_LONGER = 4
"""A few streams this many times as long as most are worth cutting into segments: older ages are tested then."""


@taking_fields
@dataclass(frozen=True)
class EvalSettings:
    """How to measure.

    Args:
        max_length: positions of each test stream to use, at most; None: as many as leave enough streams. What was used
            is in the result, ``data["length_used"]``, beside ``data["length_asked"]``.
        targets: target positions a stream that every band is scored on, in random blocks of one training context
            from the last part of the streams.
        chunk: positions of a row that are read in one step.
        memory_mib: what one step of one job may take, in MiB; as many rows are read side by side as fit. None: 64 on a
            CPU, where more than its caches hold makes it slower, and 1,024 elsewhere.
        ends_only: leave out the bands between the one just past the training context and the oldest.
        seed: of the choice of blocks.
        jobs: passes over the streams made side by side, one thread each.
    """

    max_length: int | None = None
    targets: int = 2048
    chunk: int = CHUNK
    memory_mib: float | None = None
    ends_only: bool = False
    seed: int = 0
    jobs: int = 1

    def __post_init__(self) -> None:
        for name in ("max_length", "targets", "chunk", "jobs"):
            if (value := getattr(self, name)) is not None:
                at_least(1, value, name)
        at_least(0, self.seed, "seed")
        if self.memory_mib is not None and not self.memory_mib > 0:
            raise InputError(f"memory_mib {self.memory_mib:g}", "more than 0 MiB", "leave it out for the default")

    def memory(self, device: torch.device) -> float:
        """Bytes that one step of one job may take."""
        default = 64 if device.type == "cpu" else 1024
        return 2**20 * (default if self.memory_mib is None else self.memory_mib)


@taking_fields
@dataclass(frozen=True)
class Periods:
    """Reset periods chosen elsewhere (on validation streams), for the two kinds of reset.

    Where the test streams do not allow a period, the nearest that they allow is taken, and the result says which.
    """

    periodic: int
    overlapping: int


@taking
def evaluate(
    model: nn.Module,
    data: Streams | Split,
    *,
    train_context: int,
    measures: Sequence[Measure | str] | Measure | str | None = None,
    settings: EvalSettings | None = None,
    periods: Periods | None = None,
    name: str = "model",
    progress: ShareDone | None = None,
) -> Evaluation:
    """Measure `model` on test streams.

    Without targets, how far the outputs move apart with age is measured (`outlast.evaluation.divergence`), and there is
    no verdict.

    Args:
        model: a recurrent model, or a module that `outlast.adapt` takes, on its device; left in evaluation mode.
        data: test streams (of a split, the test part). One long recording is cut into disjoint segments.
        train_context: positions that a training window had.
        measures: by themselves or by name; the first is what the verdict is about. None: what fits the targets.
        settings: how to measure.
        periods: reset periods chosen on validation streams; None: cross-fitted over two halves of the test streams.
        name: what to call the model in the result.
        progress: called with the share done.

    Raises:
        InputError: fewer than 8 streams, streams shorter than twice the training context, targets that do not fit.
    """
    began = time.monotonic()
    given, settings = the_streams(data), settings or EvalSettings()
    model = adapt(model)
    train_context, chosen = at_least(1, train_context, "train_context"), the_measures(measures, given)
    streams, length = usable(given, train_context, settings.max_length)
    bands = age_bands(train_context, length, streams.warm_up, ends_only=settings.ends_only)
    model.eval()  # the caller's own, also where a copy is measured
    check_inputs(model, streams)
    model, cast = the_model(model, streams)
    targets = draw_targets(len(streams), train_context, length, settings.targets, settings.seed, streams.warm_up)
    judged = bool(chosen)
    chunk = min(settings.chunk, length)
    scores = [measure.per_position for measure in chosen] or [apart_from_itself(streams)]
    needed = memory_needed(model, streams, chunk, scores)
    rows_at_once = functools.partial(needed.rows, settings.memory(device_of(model)))
    if not judged:
        young = next(band for band in bands if band[1] == train_context)
        chosen = (agreement(model, streams, targets, young, chunk, rows_at_once),)
    recovering = judged and not settings.ends_only
    run = Passes(model, streams, length, bands, targets, chosen, chunk, rows_at_once, progress, recovering)
    run.make(settings.jobs)
    kept = run.counted()
    blocks, notes = _units(streams.take(kept), length)
    curves = {m.name: Curve(bands, run.losses(k)[:, kept], train_context, blocks) for k, m in enumerate(chosen)}
    main = chosen[0]
    notes += predictions(run.inputs, run.outputs, run.found.non_finite, run.lost(kept), curves[main.name].within())
    notes += _unused(given, streams, kept, length, asked=settings.max_length is not None)
    notes += [*cast, *table_rows(given.about)]
    if judged:
        notes += _alike(streams.take(kept), targets.of(kept), curves[main.name])
    verdict, short = judge(curves[main.name], main, notes) if judged else (None, None)
    rows = {m.name: _band_rows(curves[m.name]) for m in chosen}
    asked = {} if settings.max_length is None else {"length_asked": settings.max_length}
    about = {**streams.describe(), **asked, "length_used": length}
    if len(kept) < len(streams):
        about["without_counted_targets"] = len(streams) - len(kept)
    if isinstance(data, Split):
        about["split"] = data.how
    return Evaluation(
        model={"name": name, **describe_model(model)},
        data=json.loads(json.dumps(about, default=str)),
        settings={**asdict(settings), "device": str(device_of(model)), "threads": torch.get_num_threads()},
        seconds=round(time.monotonic() - began, 3),
        train_context=train_context,
        measure=main.name,
        unit=main.unit,
        age_curve=rows[main.name],
        position_curve=run.position_bins(kept, blocks) if judged else [],
        resets=_resets(curves[main.name], periods) if judged else {},
        state=run.state_rows,
        short=short,
        verdict=verdict,
        slices=run.slices.report(streams.blocks) if judged else {},
        other_measures={key: value for key, value in rows.items() if key != main.name},
        guesses=_guesses(streams.take(kept), targets.of(kept), main, curves[main.name]) if judged else {},
        recovery=run.recovery_bands(kept, blocks) if recovering else [],
        blocks=[] if blocks is None else blocks.tolist(),
        notes=notes,
        outlast=VERSION,
    )


def usable(streams: Streams, train_context: int, max_length: int | None) -> tuple[Streams, int]:
    """The test streams to use and how many positions of each.

    Fewer than 8 streams are cut into segments; of many, those too short for a common length are left out. Streams that
    are longer than that are read from their beginning, but for what only warms a state up. Where some are so much
    longer that segments of theirs reach `MUCH_LONGER` times the common length, those segments are used instead.
    """
    longest = max_length or int(streams.lengths.max())
    if len(streams) < MIN_STREAMS:
        if max_length is None or _segments(streams, max_length) < MIN_STREAMS:
            longest = min(longest, _segment_length(streams, train_context))
        streams = streams.cut(longest)
    lengths = np.sort(streams.lengths)[::-1]
    if len(lengths) >= MIN_STREAMS:
        # The common length: what at least three quarters of the streams, and never fewer than 8 of them, have.
        common = int(lengths[max(MIN_STREAMS, round(0.75 * len(lengths))) - 1])
        segment = min(longest, _segment_length(streams, train_context))
        if segment >= MUCH_LONGER * common and _segments(streams, segment) >= MIN_STREAMS:
            return streams.cut(segment), segment
        longest = min(longest, common)
        streams = streams.take(np.flatnonzero(streams.lengths >= longest))
        # Of a warm-up the beginning is left out: what is scored lies behind it.
        late = min(streams.warm_up, int(streams.lengths.min()) - longest)
        streams = streams.between(late, int(streams.lengths.max())) if late else streams
    if len(streams) < MIN_STREAMS:
        raise InputError(
            f"{len(streams)} streams of {longest} positions to measure on",
            f"at least {MIN_STREAMS} streams",
            "give more or longer streams, other --shares, or a smaller --max-length (which cuts more segments)",
        )
    return streams, longest


def _segments(streams: Streams, length: int) -> int:
    """How many disjoint segments of `length` positions the streams hold, with their gaps."""
    lengths = streams.lengths - streams.warm_up
    return int(np.sum((lengths + streams.horizon) // (length + streams.horizon)))


def _segment_length(streams: Streams, train_context: int) -> int:
    """The longest T·2^k that still cuts the recordings into at least 16 segments; where that is only 2T, into 8."""
    length = 2 * train_context
    for wanted in (2 * MIN_STREAMS, MIN_STREAMS):
        while _segments(streams, 2 * length) >= wanted:
            length *= 2
        if length > 2 * train_context:
            break
    return length


def _units(streams: Streams, length: int) -> tuple[np.ndarray | None, list[Note]]:
    """Which streams are one unit of an interval, copies together as long as enough units are left; None: each is."""
    blocks, same = streams.blocks, copies(streams, length)
    distinct = len(np.unique(same))
    if distinct == len(streams):
        return blocks, []
    joint = same if blocks is None else joined(same, blocks)
    units = len(np.unique(joint))
    return (joint if units >= MIN_STREAMS else blocks), [identical_streams(len(streams), distinct, units)]


def _unused(given: Streams, streams: Streams, kept: np.ndarray, length: int, *, asked: bool) -> list[Note]:
    """What is odd about which of the given streams were used, and how much of them.

    Args:
        streams: those that were read, `length` positions of each.
        kept: numbers of those that have targets that count.
        asked: whether that length was asked for.
    """
    found = []
    left_out = int((given.lengths < length).sum())
    longer = 0 if asked else int((streams.lengths >= MUCH_LONGER * length).sum())
    if left_out or longer:
        found.append(unequal_lengths(left_out, longer, len(given), length, int(given.lengths.max())))
    if len(kept) < len(streams):
        found.append(uncounted_streams(len(streams) - len(kept)))
    return found


def _alike(streams: Streams, targets: Targets, curve: Curve) -> list[Note]:
    """Where all targets, or the losses of all streams, are the same."""
    found = []
    if streams.target_kind is not None:
        counted = counted_targets(streams, targets, np.ones(len(streams), bool))
        if bool((counted == counted[0]).all()):
            found.append(constant_targets(streams.target_kind))
    if bool((curve.losses == curve.losses[:, :1]).all()):
        found.append(equal_losses(len(streams)))
    return found


def _band_rows(curve: Curve) -> list[AgeBand]:
    short = curve.best(curve.losses[curve.within()])[0]
    rows = []
    for band, losses in zip(curve.bands, curve.losses, strict=True):
        loss, excess = (curve.interval(values, len(curve.bands)) for values in (losses, losses - short))
        numbers = map(plain, (*loss.triple, *excess.triple))
        rows.append(AgeBand(band, *numbers, n=loss.n, per_stream=losses.tolist()))
    return rows


def _guesses(streams: Streams, targets: Targets, measure: Measure, curve: Curve) -> dict[str, Guess]:
    found = {}
    for name, losses in guesses(streams, targets, measure).items():
        found[name] = Guess(*map(plain, curve.interval(losses).triple), per_stream=losses.tolist())
    return found


def _resets(curve: Curve, periods: Periods | None) -> dict[str, Reset]:
    """The loss under the best periodic reset and under the best two overlapping copies, read off the curve."""
    found = {}
    for name, (every, losses) in {
        "periodic_reset": reset_losses(curve),
        "overlapping_reset": overlap_losses(curve),
    }.items():
        if periods is None:
            per_stream, chosen = curve.best(losses)
            period = every[chosen[0]]
        else:
            wanted = periods.periodic if name == "periodic_reset" else periods.overlapping
            period = min(every, key=lambda value: abs(value - wanted))
            per_stream = losses[every.index(period)]
        interval = curve.interval(per_stream)
        found[name] = Reset(period, *interval.triple, per_stream=per_stream.tolist())
    return found


def under(evaluation: Evaluation, periods: Periods) -> Evaluation:
    """The same evaluation with resets at periods that were chosen elsewhere."""
    return replace(evaluation, resets=_resets(evaluation.curve, periods))


def best_periods(evaluation: Evaluation) -> Periods:
    """The reset periods with the lowest mean loss in an evaluation (of validation streams)."""
    curve = evaluation.curve
    (periodic, resets), (overlapping, overlaps) = reset_losses(curve), overlap_losses(curve)
    return Periods(periodic[int(resets.mean(1).argmin())], overlapping[int(overlaps.mean(1).argmin())])


def describe_model(model: Recurrent) -> dict[str, Any]:
    """What a result records about a model."""
    return {
        "class": type(model).__name__,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "dtype": " and ".join(dtypes_of(model)) or None,
        "blueprint": getattr(model, "blueprint", None),
    }
