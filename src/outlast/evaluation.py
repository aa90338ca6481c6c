"""Measure a model: age curve, position curve, controls, states by position; memory flat in the length of the streams.

The age curve scores the *same* targets from states of different ages. Because the targets are the same, what the data
itself does along a stream drops out.
"""

from __future__ import annotations

import functools
import itertools
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch

from outlast.agreement import agreement
from outlast.errors import InputError
from outlast.intervals import mean_interval
from outlast.measures import Measure, default_measures
from outlast.model import Recurrent, device_of
from outlast.parallel import side_by_side
from outlast.randomness import hash_uniform
from outlast.results import VERSION, AgeBand, Control, Evaluation, PositionBin, StateRow, plain
from outlast.slices import SliceSums
from outlast.state import State, leaves, moments, select
from outlast.streams import MIN_STREAMS, Batch, Split, Streams
from outlast.streams.fits import check_inputs
from outlast.verdicts import Band, Curve, cross_fitted_best, curve_of, judge, overlap_losses, reset_losses

WORST_SHARE = 1e4
"""A prediction that is not a finite number is scored as this many times the loss of a state of the training context's
age, and so is any worse one: a model that blows up is judged by how often, not by how large its numbers grew.
"""

_OUTPUTS_AT_ONCE = 2**26
"""Numbers in the outputs of one forward pass: 256 MiB of float32."""

Progress = Callable[[float], None]
"""Called with the share of the work that is done."""


@dataclass(frozen=True)
class EvalSettings:
    """How to measure.

    Args:
        max_length: positions of each test stream to use; None: as many as leave enough streams.
        targets: target positions a stream that every band is scored on, in random blocks of one training context
            from the last part of the streams.
        chunk: positions read at once on the long run.
        positions_at_once: rows × positions held at once.
        ends_only: leave out the bands between the one just past the training context and the oldest.
        seed: of the choice of blocks.
        jobs: passes over the streams made side by side, one thread each.
    """

    max_length: int | None = None
    targets: int = 2048
    chunk: int = 256
    positions_at_once: int = 16384
    ends_only: bool = False
    seed: int = 0
    jobs: int = 1


@dataclass(frozen=True)
class Periods:
    """Reset periods chosen elsewhere (on validation streams), for the two controls.

    Where the test streams do not allow a period, the nearest that they allow is taken, and the result says which.
    """

    periodic: int
    overlapping: int


def age_bands(train_context: int, length: int, *, ends_only: bool = False) -> tuple[Band, ...]:
    """The bands [from, to) of ages that streams of `length` positions allow.

    Below the training context T: halvings of T, rounded up, down to [1, 2) and [0, 1). From T on: T, 2T, then
    fourfold, as far as they end before the last band begins. The last is the plain carried run over the last part of
    the streams, the largest T·2^k that is at most half of their length.
    """
    if length < 2 * train_context:
        raise InputError(
            f"test streams of {length} positions for a training context of {train_context}",
            f"at least {2 * train_context}: twice the training context",
            "give longer streams, or check --train-context and --max-length",
        )
    edges = [train_context]
    while edges[0] > 1:
        edges.insert(0, (edges[0] + 1) // 2)
    edges.insert(0, 0)
    region = target_region(train_context, length)
    starts, start = [], train_context
    while 2 * start <= length - region:
        starts.append(start)
        start = start * 2 if start == train_context else start * 4
    if ends_only:
        starts = starts[:1]
    young = itertools.pairwise(edges)
    return (*young, *((start, 2 * start) for start in starts), (length - region, length))


def target_region(train_context: int, length: int) -> int:
    """How many last positions of a stream the targets come from: the largest T·2^k that is at most half of it."""
    region = train_context
    while region * 2 <= length // 2:
        region *= 2
    return region


def evaluate(
    model: Recurrent,
    data: Streams | Split,
    *,
    train_context: int,
    measures: Sequence[Measure] | None = None,
    settings: EvalSettings | None = None,
    periods: Periods | None = None,
    name: str = "model",
    progress: Progress | None = None,
) -> Evaluation:
    """Measure `model` on test streams.

    Without targets, how far the outputs move apart with age is measured (`outlast.agreement`), and there is no verdict.

    Args:
        model: on its device; left in evaluation mode.
        data: test streams (of a split, the test part). One long recording is cut into disjoint segments.
        train_context: positions that a training window had.
        measures: the first one is what the verdict is about; None: what fits the targets.
        settings: how to measure.
        periods: reset periods chosen on validation streams; None: cross-fitted over two halves of the test streams.
        name: what to call the model in the result.
        progress: called with the share done.

    Raises:
        InputError: fewer than 8 streams, streams shorter than twice the training context, targets that do not fit.
    """
    began = time.monotonic()
    settings = settings or EvalSettings()
    streams, length = usable(data.test if isinstance(data, Split) else data, train_context, settings.max_length)
    bands = age_bands(train_context, length, ends_only=settings.ends_only)
    run = _Run(model, streams, length, train_context, bands, settings, progress)
    chosen = tuple(measures or default_measures(streams))
    judged = bool(chosen)
    if not judged:
        young = next(band for band in bands if band[1] == train_context)
        chosen = (run.agreement(*young),)
    run.measure(chosen)
    # The oldest bands take longest.
    old_first = [functools.partial(run.restarted, number) for number in reversed(range(len(bands) - 1))]
    side_by_side(settings.jobs, [run.carried, *old_first])

    kept = run.counted()
    curves = {m.name: Curve(bands, run.losses(k)[:, kept], train_context) for k, m in enumerate(chosen)}
    main = chosen[0]
    verdict, short = judge(curves[main.name], main, run.non_finite) if judged else (None, None)
    rows = {m.name: _band_rows(curves[m.name]) for m in chosen}
    about = {**streams.describe(), "length_used": length}
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
        position_curve=run.position_bins(kept) if judged else [],
        controls=_controls(curves[main.name], periods) if judged else {},
        state=run.state_rows,
        short=short,
        verdict=verdict,
        slices=run.slices.report() if judged else {},
        other_measures={key: value for key, value in rows.items() if key != main.name},
        outlast=VERSION,
    )


def usable(streams: Streams, train_context: int, max_length: int | None) -> tuple[Streams, int]:
    """The test streams to use and how many positions of each.

    Fewer than 8 streams are cut into segments; of many, those too short for a common length are left out.
    """
    longest = max_length or int(streams.lengths.max())
    if len(streams) < MIN_STREAMS:
        if max_length is None or _segments(streams, max_length) < MIN_STREAMS:
            longest = min(longest, _segment_length(streams, train_context))
        streams = streams.cut(longest)
    lengths = np.sort(streams.lengths)[::-1]
    if len(lengths) >= MIN_STREAMS:
        # The common length: what at least three quarters of the streams, and never fewer than 8 of them, have.
        longest = min(longest, int(lengths[max(MIN_STREAMS, round(0.75 * len(lengths))) - 1]))
        streams = streams.take(np.flatnonzero(streams.lengths >= longest))
    if len(streams) < MIN_STREAMS:
        raise InputError(
            f"{len(streams)} streams of {longest} positions to measure on",
            f"at least {MIN_STREAMS} streams",
            "give more or longer streams, other --shares, or a smaller --max-length (which cuts more segments)",
        )
    return streams, longest


def _segments(streams: Streams, length: int) -> int:
    """How many disjoint segments of `length` positions the streams hold, with their gaps."""
    return int(np.sum((streams.lengths + streams.horizon) // (length + streams.horizon)))


def _segment_length(streams: Streams, train_context: int) -> int:
    """The longest T·2^k that still cuts the recordings into at least 16 segments; where that is only 2T, into 8."""
    length = 2 * train_context
    for wanted in (2 * MIN_STREAMS, MIN_STREAMS):
        while _segments(streams, 2 * length) >= wanted:
            length *= 2
        if length > 2 * train_context:
            break
    return length


@dataclass
class _Run:
    """The passes over the streams that an evaluation makes, and the sums they leave."""

    model: Recurrent
    streams: Streams
    length: int
    train_context: int
    bands: tuple[Band, ...]
    settings: EvalSettings
    progress: Progress | None
    measures: tuple[Measure, ...] = ()
    state_rows: list[StateRow] = field(default_factory=list)
    non_finite: int = 0

    def __post_init__(self) -> None:
        self.model.eval()
        self.device = device_of(self.model)
        self.region = target_region(self.train_context, self.length)
        self.blocks = self._blocks()
        self.edges = self._position_edges()
        self.position_sums = np.zeros((len(self.edges) - 1, len(self.streams)))
        self.position_counts = np.zeros_like(self.position_sums)
        self.done, self.total = 0.0, self._work()
        self.at_once = self._positions_at_once()
        self.slices = SliceSums(self.streams)

    def measure(self, measures: tuple[Measure, ...]) -> None:
        """Say what is measured, before the first pass."""
        self.measures = measures
        shape = (len(measures), len(self.bands), len(self.streams))
        self.sums, self.counts = np.zeros(shape), np.zeros(shape)
        self.worst = self._worst()

    def agreement(self, start: int, end: int) -> Measure:
        """How far outputs are from those of the same targets at ages [start, end)."""
        return agreement(
            self.model, self.streams, self._windows(start, end), self.blocks, self.train_context, self.at_once
        )

    @torch.no_grad()
    def _worst(self) -> torch.Tensor:
        """(measures, 1, 1) the largest loss of a position, from the loss at the streams' first target block."""
        sums, counts = torch.zeros(len(self.measures), dtype=torch.float64), 0.0
        everyone = np.arange(len(self.streams))
        at_once = max(1, self.at_once // self.train_context)
        for group in np.split(everyone, np.arange(at_once, len(everyone), at_once)):
            batch = self._read(group, self.blocks[group, 0], self.train_context)
            outputs, _ = self._step(batch, self.model.initial_state(len(group)))
            losses = torch.stack([measure.per_position(outputs, batch) for measure in self.measures]).double()
            finite = torch.isfinite(losses).all(0) * batch.weights
            sums += (losses.nan_to_num(0.0, 0.0, 0.0) * finite).sum((1, 2)).cpu()
            counts += float(finite.sum())
        level = (sums / max(counts, 1e-12)).abs()
        worst = WORST_SHARE * torch.where(level > 0, level, 1.0)
        # Measures with an absolute tolerance are rates: nothing is worse than 1.
        rates = torch.tensor([not measure.relative for measure in self.measures])
        return torch.where(rates, 1.0, worst).view(-1, 1, 1).to(self.device)

    @torch.no_grad()
    def _positions_at_once(self) -> int:
        """Rows × positions that fit the stated memory: fewer where a model has many outputs a position."""
        check_inputs(self.model.input_spec, self.streams)
        outputs, _ = self._step(
            self._read(np.zeros(1, np.int64), np.zeros(1, np.int64), 1), self.model.initial_state(1)
        )
        numbers = sum(tensor.numel() for tensor in leaves(outputs))
        return max(1, min(self.settings.positions_at_once, _OUTPUTS_AT_ONCE // max(numbers, 1)))

    def _blocks(self) -> np.ndarray:
        """(streams, blocks) first positions of target blocks, one training context long, within the last part."""
        possible = self.region // self.train_context
        wanted = min(possible, max(1, round(self.settings.targets / self.train_context)))
        streams = np.arange(len(self.streams))[:, None] * possible
        keys = hash_uniform(self.settings.seed, "blocks", 0, streams + np.arange(possible))
        order = np.sort(np.argsort(keys, axis=1)[:, :wanted], axis=1)
        return self.length - self.region + order * self.train_context

    def _position_edges(self) -> list[int]:
        edges, edge = [0], self.train_context
        while edge < self.length:
            edges.append(edge)
            edge *= 2
        return [*edges, self.length]

    def _work(self) -> float:
        young = sum(int(self._layout(number)[2].sum()) for number in range(len(self.bands) - 1))
        return float(self.length * len(self.streams) + young)

    def counted(self) -> np.ndarray:
        """Numbers of the streams with at least one target that counts. Raises InputError for fewer than 8."""
        kept = np.flatnonzero(self.counts[0, -1] > 0)
        if len(kept) < MIN_STREAMS:
            raise InputError(
                f"{len(kept)} of {len(self.streams)} test streams with targets that count in their last "
                f"{self.region} positions",
                f"at least {MIN_STREAMS} streams",
                "check the weights, or give more streams",
            )
        return kept

    def losses(self, measure: int) -> np.ndarray:
        """(bands, streams) mean losses over the targets."""
        return self.sums[measure] / np.maximum(self.counts[measure], 1e-12)

    def _per_position(self, outputs: Any, batch: Batch, scored: np.ndarray | None = None) -> np.ndarray:
        """(measures, B, T) losses, at most `worst`, and that where outputs or losses are not finite.

        Args:
            scored: (B, T), which positions are scored now; None: all.
        """
        stacked = torch.stack([measure.per_position(outputs, batch) for measure in self.measures]).double()
        finite = torch.isfinite(stacked)
        for tensor in leaves(outputs):
            if tensor.shape[:2] == stacked.shape[1:]:
                finite = finite & torch.isfinite(tensor).view(*stacked.shape[1:], -1).all(-1)
        lost = (~finite[0] & (batch.weights > 0)).cpu().numpy()
        self.non_finite += int(lost.sum() if scored is None else (lost & scored).sum())
        return torch.where(finite, stacked.clamp(-self.worst, self.worst), self.worst).cpu().numpy()

    def _count(self, work: float) -> None:
        self.done += work
        if self.progress:
            self.progress(min(self.done / self.total, 1.0))

    @torch.no_grad()
    def carried(self) -> None:
        """The whole streams from the zero state: the oldest band, the position curve and the states on the way."""
        everyone = np.arange(len(self.streams))
        at_once = max(1, self.at_once // self.settings.chunk)
        marks = set(self.edges[1:])
        collected: dict[int, Any] = {}
        for group in np.split(everyone, np.arange(at_once, len(everyone), at_once)):
            state = self.model.initial_state(len(group))
            position = 0
            while position < self.length:
                stop = min(position + self.settings.chunk, *(mark for mark in marks if mark > position))
                batch = self._read(group, np.full(len(group), position), stop - position)
                outputs, state = self._step(batch, state)
                losses = self._per_position(outputs, batch)
                self._score_positions(group, position, losses[0], batch)
                self._score_targets(group, position, losses, batch)
                if self.slices.wanted:
                    self.slices.add(group, losses[0], batch)
                position = stop
                if stop in marks:
                    collected[stop] = moments(state, self.model.state_parts(), collected.get(stop))
                self._count((stop - batch.position[0].item()) * len(group))
        paths = [part.path for part in self.model.state_parts()]
        for mark in sorted(collected):
            for path, part in zip(paths, collected[mark], strict=True):
                norm = float((part.mean**2 + part.std**2).mean().sqrt())
                row = (norm, float(part.std.mean()))
                if all(np.isfinite(row)):
                    self.state_rows.append(StateRow(mark, path, *row))

    def _read(self, streams: np.ndarray, position: np.ndarray, length: int) -> Batch:
        return self.streams.window(streams, position, length).to(self.device)

    def _step(self, batch: Batch, state: State) -> tuple[Any, State]:
        return self.model(batch.inputs, state)

    def _score_positions(self, group: np.ndarray, position: int, losses: np.ndarray, batch: Batch) -> None:
        bin_number = int(np.searchsorted(self.edges, position, side="right")) - 1
        weights = batch.weights.cpu().numpy()
        self.position_sums[bin_number, group] += (losses * weights).sum(1)
        self.position_counts[bin_number, group] += weights.sum(1)

    def _score_targets(self, group: np.ndarray, position: int, losses: np.ndarray, batch: Batch) -> None:
        offsets = position + np.arange(losses.shape[-1])
        first = self.length - self.region
        if offsets[-1] < first:
            return
        block = (offsets - first) // self.train_context * self.train_context + first
        chosen = (block[None, :, None] == self.blocks[group][:, None, :]).any(-1) & (offsets >= first)
        weights = batch.weights.cpu().numpy() * chosen
        self.sums[:, -1, group] += (losses * weights).sum(-1)
        self.counts[:, -1, group] += weights.sum(-1)

    def _windows(self, start: int, end: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The restarts that give every target exactly one age in [start, end).

        From the training context on, restarts lie `end - start` positions apart, counted from where the targets may
        begin: the target at first + j gets age start + j mod (end − start). Below it, they are counted from the
        beginning of each target block: its target j gets age start + j mod (end − start). Over many targets every age
        of the band is met equally often, but for the rest of a block that is no multiple of the band's width.

        Returns:
            stream, first position read, first target and number of targets of each window, (windows,).
        """
        width, block = end - start, self.train_context
        streams = np.repeat(np.arange(len(self.streams)), self.blocks.shape[1])
        blocks = self.blocks.reshape(-1)
        if width >= block:
            # Restart every `width` positions, counted from where the targets may begin; a block lies in one window.
            begin = (blocks - (self.length - self.region)) // width * width + (self.length - self.region)
            return streams, begin - start, blocks, np.full(len(blocks), block)
        offsets = np.arange(0, block, width)
        targets = (blocks[:, None] + offsets).reshape(-1)
        sizes = np.tile(np.minimum(width, block - offsets), len(blocks))
        return np.repeat(streams, len(offsets)), targets - start, targets, sizes

    def _layout(self, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The readings of one band; target blocks of one window share its reading.

        Returns:
            (2, readings) stream and first position of each; of each target block its reading; (readings,) positions
            to read; of each target block its offset within its reading, and its size.
        """
        streams, begins, targets, sizes = self._windows(*self.bands[number])
        codes, reading = np.unique(streams * self.length + begins, return_inverse=True)
        longest = np.zeros(len(codes), np.int64)
        np.maximum.at(longest, reading, targets - begins + sizes)
        return np.stack(np.divmod(codes, self.length)), reading, longest, targets - begins, sizes

    @torch.no_grad()
    def restarted(self, number: int) -> None:
        """One band: read from the zero state at restarts, score only the targets of ages within the band."""
        keys, reading, longest, targets, sizes = self._layout(number)
        order = np.argsort(longest, kind="stable")
        by_window = np.argsort(reading, kind="stable")
        first_of = np.searchsorted(reading[by_window], np.arange(keys.shape[1] + 1))
        chunk = min(self.settings.chunk, int(longest.max()))
        at_once = max(1, self.at_once // chunk)
        for group in np.split(order, np.arange(at_once, len(order), at_once)):
            mine = np.concatenate([by_window[first_of[w] : first_of[w + 1]] for w in group])
            row = np.repeat(np.arange(len(group)), first_of[group + 1] - first_of[group])
            self._read_group(number, keys[:, group], longest[group], row, targets[mine], sizes[mine])

    def _read_group(
        self,
        number: int,
        keys: np.ndarray,
        longest: np.ndarray,
        row: np.ndarray,
        target: np.ndarray,
        size: np.ndarray,
    ) -> None:
        streams, begins = keys
        rows = np.arange(len(streams))
        state = self.model.initial_state(len(rows))
        position = 0
        while len(rows):
            stop = min(position + self.settings.chunk, int(longest[rows].max()))
            batch = self._read(streams[rows], begins[rows] + position, stop - position)
            outputs, state = self._step(batch, state)
            scored = np.zeros((len(streams), stop - position), bool)
            offsets = np.arange(position, stop)
            inside = (offsets >= target[:, None]) & (offsets < (target + size)[:, None])
            np.logical_or.at(scored, row, inside)
            if scored.any():
                losses = self._per_position(outputs, batch, scored[rows])
                weights = batch.weights.cpu().numpy() * scored[rows]
                for k in range(len(self.measures)):
                    np.add.at(self.sums[k, number], streams[rows], (losses[k] * weights).sum(-1))
                    np.add.at(self.counts[k, number], streams[rows], weights.sum(-1))
            self._count(int((np.minimum(longest[rows], stop) - position).sum()))
            position = stop
            going = longest[rows] > position
            if not going.all():
                # Rows that ended are dropped by selecting.
                state = select(state, torch.from_numpy(np.flatnonzero(going)))
                rows = rows[going]

    def position_bins(self, kept: np.ndarray) -> list[PositionBin]:
        """The position curve over the streams `kept`, where all of them have positions that count."""
        sums, counts = self.position_sums[:, kept], self.position_counts[:, kept]
        counted = counts.min(1) > 0
        bins = []
        for k in np.flatnonzero(counted):
            interval = mean_interval(sums[k] / counts[k], int(counted.sum()))
            loss, low, high = map(plain, interval.triple)
            bins.append(PositionBin(self.edges[k], self.edges[k + 1], loss, low, high, interval.n))
        return bins


def _band_rows(curve: Curve) -> list[AgeBand]:
    short = cross_fitted_best(curve.losses[curve.within()])[0]
    rows = []
    for band, losses in zip(curve.bands, curve.losses, strict=True):
        loss, excess = mean_interval(losses, len(curve.bands)), mean_interval(losses - short, len(curve.bands))
        numbers = map(plain, (*loss.triple, *excess.triple))
        rows.append(AgeBand(band, *numbers, n=loss.n, per_stream=losses.tolist()))
    return rows


def _controls(curve: Curve, periods: Periods | None) -> dict[str, Control]:
    """The loss under the best periodic reset and under the best two overlapping copies, read off the curve."""
    controls = {}
    for name, (every, losses) in {
        "periodic_reset": reset_losses(curve),
        "overlapping_reset": overlap_losses(curve),
    }.items():
        if periods is None:
            per_stream, chosen = cross_fitted_best(losses)
            period = every[chosen[0]]
        else:
            wanted = periods.periodic if name == "periodic_reset" else periods.overlapping
            period = min(every, key=lambda value: abs(value - wanted))
            per_stream = losses[every.index(period)]
        interval = mean_interval(per_stream)
        controls[name] = Control(period, *interval.triple, per_stream=per_stream.tolist())
    return controls


def under(evaluation: Evaluation, periods: Periods) -> Evaluation:
    """The same evaluation with the controls at reset periods that were chosen elsewhere."""
    return replace(evaluation, controls=_controls(curve_of(evaluation), periods))


def best_periods(evaluation: Evaluation) -> Periods:
    """The reset periods with the lowest mean loss in an evaluation (of validation streams)."""
    curve = curve_of(evaluation)
    (periodic, resets), (overlapping, overlaps) = reset_losses(curve), overlap_losses(curve)
    return Periods(periodic[int(resets.mean(1).argmin())], overlapping[int(overlaps.mean(1).argmin())])


def describe_model(model: Recurrent) -> dict[str, Any]:
    """What a result records about a model."""
    return {
        "class": type(model).__name__,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "recipe": getattr(model, "recipe", None),
    }
