"""The passes over the streams that an evaluation makes, and the sums they leave."""

from __future__ import annotations

import functools
import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from outlast.data import MIN_STREAMS, Batch, Streams
from outlast.data.reading import Piece, groups, pieces, read
from outlast.errors import InputError
from outlast.evaluation.in_pieces import some_positions
from outlast.evaluation.measure import Measure
from outlast.evaluation.oddities import Variation
from outlast.evaluation.schedule import Targets, schedule
from outlast.evaluation.scoring import head_needed, predictions, scored_by
from outlast.evaluation.slices import SliceSums
from outlast.intervals import mean_interval
from outlast.model import Recurrent
from outlast.parallel import side_by_side
from outlast.progress import ShareDone
from outlast.results import PositionBin, RecoveryBand, StateRow, plain
from outlast.results.curve import Band
from outlast.state import State, leaves, statistics
from outlast.unprojected import Unprojected

WORST_SHARE = 1e4
"""A prediction that is not a finite number is scored as this many times the loss of a state of the training context's
age, and so is any worse one: a model that blows up is judged by how often, not by how large its numbers grew.
"""

RECOVERIES = 8
"""Blocks of targets of every stream that are read again, from the old state of another stream."""


class Sums(NamedTuple):
    """What a pass leaves: losses (measures, bands, streams), weights (bands, streams), the weights of predictions that
    were not finite (bands, streams), how many of those there were, the ones between the targets among them, and what
    lies in scenarios: losses of the first measure and weights (2, scenarios, bands, streams).
    """

    losses: np.ndarray
    weights: np.ndarray
    lost: np.ndarray
    non_finite: int
    marked: np.ndarray


class Passes:
    """One carried pass over whole streams, and restarts from the zero state for every younger age.

    Args:
        model: on its device, in evaluation mode.
        streams: S streams; the first `length` positions of each are read.
        bands: of ages; the last is that of the carried pass.
        targets: what all bands are scored on.
        measures: the first one is that of the position curve and of the slices.
        chunk: positions of a row that are read in one step.
        rows_at_once: how many rows of so many positions are read in one step.
        progress: called with the share done.
        recovering: whether old states are also given new streams to read.
    """

    def __init__(
        self,
        model: Recurrent,
        device: torch.device,
        streams: Streams,
        length: int,
        bands: tuple[Band, ...],
        targets: Targets,
        measures: tuple[Measure, ...],
        chunk: int,
        rows_at_once: Callable[[int], int],
        progress: ShareDone | None = None,
        recovering: bool = False,
    ) -> None:
        self.model, self.streams, self.length, self.targets = model, streams, length, targets
        self.measures, self.chunk, self.rows_at_once, self.progress = measures, chunk, rows_at_once, progress
        self.scores = tuple(measure.per_position for measure in measures)
        self.device, self.everyone = device, np.arange(len(streams))
        self.restarts = schedule(bands[:-1], targets, length)
        self.shape = (len(measures), len(bands), len(streams))
        self.scenarios = list(streams.about.get("scenarios", {}))
        self.found = self._nothing()
        self.inputs, self.outputs = Variation("every channel"), Variation("any channel")
        self.edges = _doublings(targets.size, length)
        self.position_sums = np.zeros((len(self.edges) - 1, len(streams)))
        self.position_counts = np.zeros_like(self.position_sums)
        self.state_rows: list[StateRow] = []
        self.slices = SliceSums(streams)
        self.recovering = recovering
        self.recovery = np.zeros((2, 2, len(streams), targets.size))
        self.done, self.total = 0, length * len(streams) + self.restarts.positions
        self.counting = threading.Lock()
        self.worst = torch.full((len(measures), 1, 1), torch.inf)

    def make(self, jobs: int) -> None:
        """Make all of them, `jobs` side by side. The sums do not depend on how many."""
        self.worst = self._worst()
        groups = self.restarts.groups(self.chunk, self.rows_at_once)
        restarts = [functools.partial(self.restarted, group) for group in groups]
        # The carried pass begins first and is added last, so that few sums wait for their turn.
        adding = _InOrder(self._add)
        numbered = [(len(restarts), self.carried), *enumerate(restarts)]
        side_by_side(jobs, [functools.partial(adding.run, number, each) for number, each in numbered])

    def steps(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows and positions of every step that `make` takes, (N, 2): those of the carried pass, and all others."""
        size, carried, others = self.targets.size, list[tuple[int, int]](), list[tuple[int, int]]()
        whole, block = (
            [stop - begin for begin, stop in pieces(length, self.chunk, marks)]
            for length, marks in ((self.length, self.edges[1:]), (size, ()))
        )
        again = 2 * len(self._recovered()) if self.recovering else 0
        for group in groups(len(self.everyone), self.rows_at_once(self.chunk)):
            carried += [(len(group), positions) for positions in [*whole, *block * again]]
        for group in groups(len(self.everyone), self.rows_at_once(min(self.chunk, size))):
            others += [(len(group), positions) for positions in block]
        for group in self.restarts.groups(self.chunk, self.rows_at_once):
            length = self.restarts.length[group]
            others += [(int((length > begin).sum()), stop - begin) for begin, stop in pieces(length[0], self.chunk)]
        return np.array(carried), np.array(others)

    def scored(self) -> tuple[int, int]:
        """How many positions of the carried pass are scored, and of all others."""
        carried = int(self.steps()[0].prod(1).sum())
        return carried, len(self.everyone) * self.targets.size + int(self.restarts.size.sum())

    def _add(self, found: Sums) -> None:
        was = self.found
        self.found = Sums(
            was.losses + found.losses,
            was.weights + found.weights,
            was.lost + found.lost,
            was.non_finite + found.non_finite,
            was.marked + found.marked,
        )

    def counted(self) -> np.ndarray:
        """Numbers of the streams with at least one target that counts. Raises InputError for fewer than 8.

        Where fewer than 8 are read, all of them have to have one.
        """
        kept = np.flatnonzero(self.found.weights[-1] > 0)
        if len(kept) < (least := min(MIN_STREAMS, len(self.streams))):
            raise InputError(
                f"{len(kept)} of {len(self.streams)} test streams with targets that count in their last "
                f"{self.length - self.targets.begin} positions",
                f"at least {least} streams",
                "check the weights, or give more streams",
            )
        return kept

    def losses(self, measure: int) -> np.ndarray:
        """(bands, streams) mean losses over the targets."""
        return self.found.losses[measure] / np.maximum(self.found.weights, 1e-12)

    def lost(self, kept: np.ndarray) -> np.ndarray:
        """(bands,) share of the predictions of the streams `kept` that were not finite."""
        return self.found.lost[:, kept].sum(1) / self.found.weights[:, kept].sum(1)

    def position_bins(self, kept: np.ndarray, blocks: np.ndarray | None) -> list[PositionBin]:
        """The position curve over the streams `kept`, where all of them have positions that count."""
        sums, counts = self.position_sums[:, kept], self.position_counts[:, kept]
        counted = counts.min(1) > 0
        bins = []
        for k in np.flatnonzero(counted):
            interval = mean_interval(sums[k] / counts[k], int(counted.sum()), blocks)
            loss, low, high = map(plain, interval.triple)
            bins.append(PositionBin(self.edges[k], self.edges[k + 1], loss, low, high, interval.n))
        return bins

    def recovery_bands(self, kept: np.ndarray, blocks: np.ndarray | None) -> list[RecoveryBand]:
        """The first training context of a new stream, read from old states and afresh: positions by doublings."""
        edges = _doublings(1, self.targets.size)
        (old, fresh), weights = self.recovery[:, 0][:, kept], self.recovery[0, 1][kept]
        bands = []
        for start, end in itertools.pairwise(edges):
            counts = weights[:, start:end].sum(1)
            if counts.min() <= 0:
                continue
            losses, afresh = (values[:, start:end].sum(1) / counts for values in (old, fresh))
            apart = mean_interval(losses - afresh, len(edges) - 1, blocks)
            numbers = map(plain, (losses.mean(), afresh.mean(), *apart.triple))
            bands.append(RecoveryBand(start, end, *numbers, n=apart.n))
        return bands

    @torch.no_grad()
    def carried(self) -> Sums:
        """The whole streams from the zero state: the oldest band, the position curve and the states on the way."""
        found = self._nothing()
        rows = self.rows_at_once(self.chunk)
        marks = self.edges[1:]
        collected: dict[int, Any] = {}
        for group in groups(len(self.everyone), rows):
            state = self.model.initial_state(len(group))
            for piece in self._read(group, np.zeros_like(group), self.length, state, marks):
                position, stop, batch, state = piece.begin, piece.end, piece.batch, piece.state
                losses, lost = self._per_position(piece.outputs, batch)
                found = found._replace(non_finite=found.non_finite + int(lost.sum()))
                self._score_positions(group, position, losses[0], batch)
                self._score_targets(found, group, position, losses, lost, batch)
                if self.slices.wanted:
                    self.slices.add(group, losses[0], batch)
                self._count((stop - position) * len(group))
                if stop in marks:
                    collected[stop] = statistics(state, self.model.state_parts(), collected.get(stop))
            if self.recovering:
                self._recover(group, state)
        self.state_rows = self._state_rows(collected)
        return found

    def _recover(self, group: np.ndarray, state: Any) -> None:
        """Let the states that these streams have left read target blocks of others, half of all streams away."""
        others = (group + len(self.everyone) // 2) % len(self.everyone)
        for block in self._recovered():
            for kind, start in enumerate((state, self.model.initial_state(len(group)))):
                for piece in self._read(others, self.targets.first[others, block], self.targets.size, start):
                    weights, place = piece.batch.weights.cpu().numpy(), slice(piece.begin, piece.end)
                    losses = self._per_position(piece.outputs, piece.batch)[0][0]
                    self.recovery[kind, 0, others, place] += losses * weights
                    self.recovery[kind, 1, others, place] += weights

    def _recovered(self) -> np.ndarray:
        """Numbers of the target blocks that old states read."""
        blocks = self.targets.first.shape[1]
        return np.unique(np.linspace(0, blocks - 1, min(RECOVERIES, blocks)).astype(int))

    @torch.no_grad()
    def restarted(self, restarts: np.ndarray) -> Sums:
        """Read these from the zero state, and score every stretch of targets as it is passed.

        Args:
            restarts: numbers of restarts, the longest first.
        """
        whole = self.restarts
        stretches, row = whole.stretches_of(restarts)
        first = whole.offset[stretches]
        last = first + whole.size[stretches]
        band, stream = whole.band[stretches], whole.stream[restarts][row]
        sums, counts, not_finite, missing, marked = self._nothing()
        length = whole.length[restarts]
        for position, stop, batch, outputs, _ in self._read(whole.stream[restarts], whole.begin[restarts], length):
            scored = np.flatnonzero((first < stop) & (last > position))
            if len(scored):
                begin, end = (np.clip(edge[scored], position, stop) - position for edge in (first, last))
                at = row[scored], begin, end
                losses, lost = self._per_position(outputs, batch, _within(batch.weights.shape, *at))
                weights = batch.weights.cpu().numpy()
                place = band[scored], stream[scored]
                for total, found in zip(sums, _between(losses * weights, *at), strict=True):
                    np.add.at(total, place, found)
                weighed = np.stack([weights, weights * lost]).astype(np.float64)
                for total, found in zip((counts, not_finite), _between(weighed, *at), strict=True):
                    np.add.at(total, place, found)
                missing += int(_between(lost[None].astype(np.int64), *at).sum())
                for number, inside in enumerate(self._inside(batch)):
                    for total, found in zip(
                        marked[:, number], _between(np.stack([losses[0] * weights, weights]) * inside, *at), strict=True
                    ):
                        np.add.at(total, place, found)
            self._count(int((np.clip(length, position, stop) - position).sum()))
        return Sums(sums, counts, not_finite, missing, marked)

    def _nothing(self) -> Sums:
        each = self.shape[1:]
        return Sums(np.zeros(self.shape), np.zeros(each), np.zeros(each), 0, np.zeros((2, len(self.scenarios), *each)))

    def _inside(self, batch: Batch) -> Iterator[np.ndarray]:
        """Of each scenario, (B, T) bool: where it holds."""
        return (batch.extras[f"label.{name}"].cpu().numpy() > 0 for name in self.scenarios)

    @torch.no_grad()
    def _worst(self) -> torch.Tensor:
        """(measures, 1, 1) the largest loss of a position, from the loss at the streams' first target block."""
        sums, counts = torch.zeros(len(self.measures), dtype=torch.float64), 0.0
        rows = self.rows_at_once(min(self.chunk, self.targets.size))
        for group in groups(len(self.everyone), rows):
            for _, _, batch, outputs, _ in self._read(group, self.targets.first[group, 0], self.targets.size):
                losses, _ = scored_by(self.scores, outputs, batch)
                finite = torch.isfinite(losses).all(0) * batch.weights
                sums += (losses.nan_to_num(0.0, 0.0, 0.0) * finite).sum((1, 2)).cpu()
                counts += float(finite.sum())
        level = (sums / max(counts, 1e-12)).abs()
        worst = WORST_SHARE * torch.where(level > 0, level, 1.0)
        for number, measure in enumerate(self.measures):
            if measure.worst is not None:
                worst[number] = measure.worst
        return worst.view(-1, 1, 1).to(self.device)

    def _per_position(
        self, outputs: Any, batch: Batch, wanted: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """(measures, B, T) losses, at most `worst`, and that where outputs or losses are not finite; and (B, T) whether
        a position that counts is such a one. Both for the positions `wanted` (B, T), or for all."""
        if isinstance(outputs, Unprojected):
            # Projected until one differs from another, which as a rule are the first two positions.
            for few in some_positions(outputs):
                if self.outputs.seen:
                    break
                self.outputs.look([few])
        else:
            self.outputs.look(predictions(outputs, batch))
        stacked, predicted = scored_by(self.scores, outputs, batch, wanted)
        finite = torch.isfinite(stacked) & predicted
        lost = (~finite[0] & (batch.weights > 0)).cpu().numpy()
        return torch.where(finite, stacked.clamp(-self.worst, self.worst), self.worst).cpu().numpy(), lost

    def _read(
        self,
        stream: np.ndarray,
        begin: np.ndarray,
        length: int | np.ndarray,
        state: State | None = None,
        marks: Sequence[int] = (),
    ) -> Iterator[Piece]:
        chunk, head = self.chunk, head_needed(self.scores)
        for piece in read(self.model, self.streams, stream, begin, length, state, chunk=chunk, marks=marks, head=head):
            self.inputs.look(leaves(piece.batch.inputs))
            yield piece

    def _count(self, work: int) -> None:
        with self.counting:
            self.done += work
            if self.progress:
                self.progress(min(self.done / self.total, 1.0))

    def _score_positions(self, group: np.ndarray, position: int, losses: np.ndarray, batch: Batch) -> None:
        bin_number = int(np.searchsorted(self.edges, position, side="right")) - 1
        weights = batch.weights.cpu().numpy()
        self.position_sums[bin_number, group] += (losses * weights).sum(1)
        self.position_counts[bin_number, group] += weights.sum(1)

    def _score_targets(
        self, found: Sums, group: np.ndarray, position: int, losses: np.ndarray, lost: np.ndarray, batch: Batch
    ) -> None:
        offsets = position + np.arange(losses.shape[-1])
        begin, size = self.targets.begin, self.targets.size
        if offsets[-1] < begin:
            return
        block = (offsets - begin) // size * size + begin
        chosen = (block[None, :, None] == self.targets.first[group][:, None, :]).any(-1) & (offsets >= begin)
        weights = batch.weights.cpu().numpy() * chosen
        found.losses[:, -1, group] += (losses * weights).sum(-1)
        found.weights[-1, group] += weights.sum(-1)
        found.lost[-1, group] += (lost * weights).sum(-1)
        for number, inside in enumerate(self._inside(batch)):
            found.marked[0, number, -1, group] += (losses[0] * weights * inside).sum(-1)
            found.marked[1, number, -1, group] += (weights * inside).sum(-1)

    def _state_rows(self, collected: dict[int, Any]) -> list[StateRow]:
        paths, found = [part.path for part in self.model.state_parts()], []
        for mark in sorted(collected):
            for path, part in zip(paths, collected[mark], strict=True):
                norm = float((part.mean**2 + part.std**2).mean().sqrt())
                row = (norm, float(part.std.mean()))
                if all(np.isfinite(row)):
                    found.append(StateRow(mark, path, *row))
        return found


class _InOrder:
    """Adds up what jobs side by side return in the order of their numbers, whichever ends first."""

    def __init__(self, add: Callable[[Sums], None]) -> None:
        self.add, self.waiting, self.next, self.lock = add, dict[int, Sums](), 0, threading.Lock()

    def run(self, number: int, job: Callable[[], Sums]) -> None:
        found = job()
        with self.lock:
            self.waiting[number] = found
            while self.next in self.waiting:
                self.add(self.waiting.pop(self.next))
                self.next += 1


def _between(values: np.ndarray, row: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """(K, B, T) numbers -> (K, N) their sums over [first, last) of N rows."""
    running = np.zeros((*values.shape[:2], values.shape[2] + 1), values.dtype)
    np.cumsum(values, axis=2, out=running[:, :, 1:])
    return running[:, row, last] - running[:, row, first]


def _within(shape: tuple[int, ...], row: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """(B, T) whether a position lies in [first, last) of one of N rows."""
    edges = np.zeros((shape[0], shape[1] + 1), np.int64)
    np.add.at(edges, (row, first), 1)
    np.add.at(edges, (row, last), -1)
    return edges[:, :-1].cumsum(1) > 0


def _doublings(first: int, length: int) -> list[int]:
    edges, edge = [0], first
    while edge < length:
        edges.append(edge)
        edge *= 2
    return [*edges, length]
