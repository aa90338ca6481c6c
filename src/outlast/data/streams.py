"""Streams: long independent sequences; what can be read from them, how they are cut and split, and which are copies."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from outlast.arguments import taking
from outlast.brief import shortened
from outlast.data.arrays import FromFiles
from outlast.data.batch import Batch
from outlast.data.draws import located
from outlast.data.files.arrays import check_intact
from outlast.data.first_lines import MOST_NAMED, first_lines, in_python
from outlast.data.layout import (
    DEFAULT_SHARES,
    MIN_STREAMS,
    Shares,
    by_stream,
    by_time,
    check_shares,
    shuffled,
    whole_streams,
)
from outlast.data.scenarios import Condition, Scenario, compared, marks_of, recorded, scenarios_of
from outlast.data.tables.reader import FromTables
from outlast.errors import InputError, unknown_name
from outlast.intervals import blocks_of

# Streams: long independent sequences; what can be read from them, and how they are cut and split.

__all__ = ["MIN_STREAMS", "Split", "Streams", "split"]
_SHOWN = 120
"""Characters of where streams come from, and how they were split, in their `repr`."""

_BY_STREAM = ("starts", "lengths", "before", "recording", "names")
"""What has one value a stream."""


@dataclass(frozen=True, eq=False)
class Streams(FromFiles, FromTables):
    """S streams over flat arrays of N positions; the fields are those of `Layout`, and the class methods read files."""

    def __repr__(self) -> str:
        """How many, how long, of what, and where from."""
        lengths = sorted({int(self.lengths.min()), int(self.lengths.max())}) if len(self) else [0]
        told = [f"{len(self):,} of {' to '.join(f'{each:,}' for each in lengths)} positions"]
        told.append("tokens" if self.tokens else f"{self.inputs.shape[-1]} features a position")
        if self.schema is not None:
            target = self.schema.target
            told.append(f"inputs {shortened(self.schema.names)}")
            if target is not None:
                ahead = ", ".join(map(str, target.horizons))
                told.append(f"target {shortened(target.columns)}, {ahead} rows ahead")
        if "source" in self.about:
            told.append(f"from {str(self.about['source'])[-_SHOWN:]}")
        return f"<Streams: {'; '.join(told)}>"

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def tokens(self) -> bool:
        """Whether inputs are tokens (integers) rather than features."""
        return self.inputs.dtype.kind in "iu"

    @property
    def target_kind(self) -> str | None:
        """``classes``, ``values`` or None."""
        source = self.targets if self.targets is not None else (self.inputs if self.shift else None)
        return None if source is None else ("classes" if source.dtype.kind in "iu" else "values")

    def window(
        self, stream_id: np.ndarray, position: np.ndarray, length: int, continues: np.ndarray | None = None
    ) -> Batch:
        """Rows of `length` positions: row i from position[i] of stream stream_id[i].

        Positions past a stream's end get weight 0 and repeat its last position, so that rows stay equally long; those
        that only warm a state up get weight 0 too. Labels and references go into the extras, (B, length) each, as
        ``label.NAME`` and ``reference.NAME``.

        Raises:
            InputError: a file that is mapped has changed.
        """
        for array in (self.inputs, self.targets):
            check_intact(array)
        stream_id, position = np.asarray(stream_id, np.int64), np.asarray(position, np.int64)
        offset = position[:, None] + np.arange(length)
        last = self.lengths[stream_id][:, None] - 1
        inside = offset <= last
        index = self.starts[stream_id][:, None] + np.minimum(offset, last)
        weights = (inside & (offset >= self.warm_up)).astype(np.float32)
        if self.weights is not None:
            weights = weights * self.weights[index].astype(np.float32)
        return Batch(
            inputs=_tensor(self.inputs[index]),
            targets=self._targets(index),
            weights=torch.from_numpy(weights),
            stream_id=torch.from_numpy(stream_id),
            position=torch.from_numpy(position),
            continues=torch.from_numpy(np.zeros(len(stream_id), bool) if continues is None else continues),
            extras={
                **{f"label.{name}": _tensor(values[index]) for name, values in self.labels.items()},
                **{f"reference.{name}": _tensor(values[index]) for name, values in self.references.items()},
            },
        )

    def _targets(self, index: np.ndarray) -> torch.Tensor | None:
        if self.targets is not None:
            values = _tensor(self.targets[index])
        elif self.shift:
            values = _tensor(self.inputs[index + self.shift])
        else:
            return None
        return values[..., None] if values.is_floating_point() and values.dim() == 2 else values

    def with_scenarios(self, rules: Mapping[str, str] | Sequence[str]) -> Streams:
        """The same streams with situations that losses are told apart by, beside those that they have.

        Args:
            rules: by name, as `Streams.from_table` takes them: by the clock of the streams, or on columns that are
                inputs (in the table's own numbers).

        Raises:
            InputError: a rule that cannot be read, that takes a clock or a column which the streams do not have, or
                that holds nowhere.
        """
        named, where = scenarios_of(rules), str(self.about.get("source", "the streams"))
        marks = marks_of(named, len(self.inputs), self.clock, self._compared, where)
        added = recorded(named)
        about = {**self.about, **{key: {**self.about.get(key, {}), **more} for key, more in added.items()}}
        return replace(self, labels={**self.labels, **marks}, about=about)

    def _compared(self, test: Condition, scenario: Scenario) -> np.ndarray:
        known = () if self.schema is None else self.schema.inputs
        names = [column.name for column in known]
        if test.column not in names:
            raise unknown_name(f"scenario {scenario.name}={scenario.rule}: input", test.column, names)
        column = known[names.index(test.column)]
        read = self.inputs[:, names.index(test.column)].astype(np.float64)
        if column.categories and isinstance(column.categories[0], str):
            if test.sign not in ("=", "!="):
                rule = f"scenario {scenario.name}={scenario.rule}"
                raise InputError(rule, f"= or != beside the category {test.column!r}", "correct the rule")
            same = np.array([value == test.value for value in column.categories])[read.astype(np.int64)]
            return same if test.sign == "=" else ~same
        try:
            value = float(test.value)
        except ValueError:
            raise InputError(
                f"scenario {scenario.name}={scenario.rule}", "a number beside an input", "correct the rule"
            ) from None
        if column.categories:
            read = np.array(column.categories, np.float64)[read.astype(np.int64)]
        return compared(column.unscaled(read), test.sign, value)

    def take(self, streams: np.ndarray) -> Streams:
        """Only the streams with these numbers."""
        given = {name: values for name in _BY_STREAM if (values := getattr(self, name)) is not None}
        return replace(self, **{name: values[streams] for name, values in given.items()})

    def between(self, start: int, stop: int) -> Streams:
        """Every stream from position `start` up to `stop` (which may lie past the end of some).

        Streams that end before `start` are left out.
        """
        if start < 0:
            raise InputError(f"positions from {start}", "a start of at least 0", "count positions from 0")
        stop_at = np.minimum(self.lengths, stop)
        kept = self.take(np.flatnonzero(stop_at > start))
        before = None if kept.before is None else kept.before + start
        lengths, warm_up = stop_at[stop_at > start] - start, max(0, kept.warm_up - start)
        return replace(kept, starts=kept.starts + start, lengths=lengths, before=before, warm_up=warm_up)

    def cut(self, length: int, gap: int | None = None, warm_up: int = 0) -> Streams:
        """Disjoint segments of exactly `length` positions, `gap` (default: the horizon) positions apart.

        Args:
            warm_up: positions before each segment that are read with it to warm a state up. They may lie in the
                segments before, in what `before` allows and in what warmed these streams up; no target of theirs is
                scored.
        """
        gap = self.horizon if gap is None else gap
        if length < 1 or gap < 0:
            raise InputError(f"segments of {length}, {gap} apart", "at least 1, and 0 apart", "choose longer segments")
        allowed = (0 if self.before is None else self.before) + np.full(len(self), self.warm_up)
        first, sizes = self.starts + self.warm_up, self.lengths - self.warm_up
        starts = [
            np.arange(start + max(0, warm_up - free), start + size - length + 1, length + gap)
            for start, size, free in zip(first, sizes, allowed, strict=True)
        ]
        flat = np.concatenate(starts)
        if len(flat) == 0:
            raise InputError(
                f"streams of at most {int(self.lengths.max())} positions",
                f"at least one segment of {length}",
                "ask for a shorter --max-length or give longer streams",
            )
        segments = [len(each) for each in starts]
        origin = self.about.get("recordings", self.recordings)
        about = {**self.about, "recordings": origin, "unit": f"segment of {_recordings(origin)}", "gap": int(gap)}
        if warm_up:
            about["warm_up"] = int(warm_up)
        lengths = np.full(len(flat), length + warm_up, np.int64)
        return replace(
            self,
            starts=flat - warm_up,
            lengths=lengths,
            about=about,
            before=None,
            recording=np.repeat(np.arange(len(self)) if self.recording is None else self.recording, segments),
            names=None if self.names is None else np.repeat(self.names, segments),
            warm_up=warm_up,
        )

    @property
    def recordings(self) -> int:
        """How many recordings the streams are, or are pieces of."""
        return len(self) if self.recording is None else len(np.unique(self.recording))

    @property
    def blocks(self) -> np.ndarray | None:
        """(S,) which segments of one recording belong together in an interval; None: every stream is a unit."""
        if self.recording is None:
            return None
        return blocks_of(self.recording, MIN_STREAMS, int(self.about.get("together", 1)))

    def fingerprint(self) -> str:
        """A hash of where the streams lie and of what is in them (a fixed sample of 65,536 positions)."""
        for array in (self.inputs, self.targets):
            check_intact(array)
        digest = hashlib.sha256()
        for array in (self.starts, self.lengths, np.array([self.shift, self.horizon])):
            digest.update(np.ascontiguousarray(array, np.int64).tobytes())
        total = int(self.lengths.sum())
        chosen = np.linspace(0, total - 1, min(65536, total)).astype(np.int64)
        stream, position = located(self.lengths, chosen)
        index = self.starts[stream] + position
        for array in (self.inputs, self.targets, self.weights):
            if array is not None:
                digest.update(np.ascontiguousarray(array[index]).tobytes())
        return digest.hexdigest()[:16]

    def __str__(self) -> str:
        """What was taken for granted when they were read, a line each."""
        return "\n".join(f"{line.about[0]}: {in_python(line.taken[0])}" for line in first_lines(self.describe()))

    def describe(self) -> dict[str, Any]:
        """What a result records about these streams."""
        unit = "stream" if self.recording is None else f"piece of {_recordings(self.recordings)}"
        return {
            **self.about,
            **({} if self.names is None else {"names": list(dict.fromkeys(self.names.tolist()))}),
            "streams": len(self),
            "unit": self.about.get("unit", unit),
            "shortest": int(self.lengths.min()),
            "longest": int(self.lengths.max()),
            "hash": self.fingerprint(),
        }


def _as_read(streams: Streams) -> Streams:
    """The streams with a record of how many there were before they were split."""
    if "read" in streams.about:
        return streams
    whole = {"streams": len(streams), "shortest": int(streams.lengths.min()), "longest": int(streams.lengths.max())}
    if streams.names is not None:
        names = list(dict.fromkeys(streams.names.tolist()))
        whole |= {"named": len(names), "names": names[: MOST_NAMED + 1]}
    return replace(streams, about={**streams.about, "read": whole})


@dataclass(frozen=True)
class Split:
    """Training streams, validation streams for choices, test streams for figures; `how` they were told apart."""

    train: Streams
    validation: Streams
    test: Streams
    how: str

    def __repr__(self) -> str:
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        told = [f"{name} {len(part):,}" for name, part in parts.items()]
        return f"<Split: {', '.join(told)} streams, {self.how[:_SHOWN]}; test {self.test!r:.300}>"

    def with_scenarios(self, rules: Mapping[str, str] | Sequence[str]) -> Split:
        """The same with situations named in every part; see `Streams.with_scenarios`."""
        parts = (part.with_scenarios(rules) for part in (self.train, self.validation, self.test))
        return Split(*parts, how=self.how)


@taking
def split(streams: Streams, shares: Shares | None = None, seed: int | None = None) -> Split:
    """Split by stream where there are at least 32 of them, otherwise every recording by time, with a gap.

    Pieces between gaps of one recording are no streams of their own here: they stay with it, in their order in time.
    Segments that `cut` made are never shuffled: they go to training, validation and test in their order.

    Args:
        shares: of training, validation and test; they add to 1. None: those with which the streams were prepared
            (`Streams.from_table`), else 0.6, 0.15, 0.25.
        seed: of the shuffle of streams. None: that with which they were prepared, else 0.

    Raises:
        InputError: shares that do not add to 1, streams too short, or prepared streams that were cut before or are
            to be split otherwise than they were prepared for (their scaling would then have seen test data).
    """
    prepared, segments = streams.about.get("prepared_for_split"), "recordings" in streams.about
    if prepared is not None and segments:
        raise InputError(
            "segments of streams that were scaled with their training part",
            "streams as they were read: the parts of segments would not be the same",
            "split first, then cut each part",
        )
    streams = _as_read(streams)
    pieces = None if segments else streams.recording
    number = np.arange(len(streams)) if pieces is None else np.unique(pieces, return_inverse=True)[1]
    recordings = int(number.max()) + 1
    shares, seed = _as_prepared(prepared, shares, seed, whole_streams(recordings))
    check_shares(shares)
    text = "/".join(f"{share:.0%}" for share in shares)
    if whole_streams(recordings):
        order = np.arange(recordings) if segments else shuffled(recordings, seed)
        what = "stream" if pieces is None else "recording"
        how = "by segment, in their order" if segments else f"by {what}, shuffled with seed {seed}"
        parts = [streams.take(np.flatnonzero(np.isin(number, part))) for part in by_stream(order, shares)]
        return Split(*parts, how=f"{how}, {text}")
    parts, short = [], 0
    for low, size in by_time(streams.lengths, shares, streams.horizon, pieces):
        keep = np.flatnonzero(size > 0)
        if not len(keep):
            raise InputError(
                f"streams of at most {int(streams.lengths.max())} positions",
                "streams long enough to split by time",
                "give longer streams, or at least 32 of them (they are then split by stream)",
            )
        short = max(short, recordings - len(np.unique(number[keep])))
        kept = streams.take(keep)
        parts.append(replace(kept, starts=kept.starts + low[keep], lengths=size[keep], before=low[keep]))
    how = f"by time within each recording, gap {streams.horizon}, {text}"
    return Split(*parts, how=how + (f"; {short} too short for every part" if short else ""))


def _as_prepared(
    prepared: dict[str, Any] | None, shares: Shares | None, seed: int | None, uses_seed: bool
) -> tuple[Shares, int]:
    first, number = DEFAULT_SHARES, 0
    if prepared is not None:
        first, number = tuple(prepared["shares"]), prepared["seed"]
        other_shares = shares is not None and tuple(shares) != first
        other_seed = uses_seed and seed is not None and seed != number
        if other_shares or other_seed:
            raise InputError(
                f"a split with shares {shares or first} and seed {number if seed is None else seed}",
                f"shares {first} and seed {number}, with whose training part the streams were scaled",
                "read the table again with the shares and the seed of the split",
            )
    return (first if shares is None else shares), (number if seed is None else seed)


def _recordings(number: int) -> str:
    return "one recording" if number == 1 else f"{number} recordings"


def _tensor(values: np.ndarray) -> torch.Tensor:
    if values.dtype.kind in "iu":
        return torch.from_numpy(values.astype(np.int64))
    return torch.from_numpy(values.astype(np.float32, copy=False))


# Streams that are copies of one another: together they say as much as one of them.

_SAMPLE = 1024
_PIECE = 2**16


def copies(streams: Streams, length: int) -> np.ndarray:
    """(S,) numbers, equal where the first `length` positions are: inputs, targets and weights.

    Whole streams are only read where a sample of them is the same.
    """
    everyone = np.arange(len(streams))
    found = _alike(streams, everyone, [np.unique(np.linspace(0, length - 1, _SAMPLE).astype(np.int64))])
    doubtful = np.flatnonzero(np.bincount(found)[found] > 1)
    if len(doubtful):
        pieces = [np.arange(begin, min(begin + _PIECE, length)) for begin in range(0, length, _PIECE)]
        found[doubtful] = len(streams) + _alike(streams, doubtful, pieces)
    return np.unique(found, return_inverse=True)[1]


def _alike(streams: Streams, chosen: np.ndarray, pieces: list[np.ndarray]) -> np.ndarray:
    """(len(chosen),) numbers, equal where the streams agree at the positions of all pieces."""
    digests = []
    for start in streams.starts[chosen]:
        digest = hashlib.sha256()
        for positions in pieces:
            read = [streams.inputs[start + positions]]
            if streams.targets is not None:
                read.append(streams.targets[start + positions])
            elif streams.shift:
                read.append(streams.inputs[start + positions + streams.shift])
            if streams.weights is not None:
                read.append(streams.weights[start + positions])
            for values in read:
                digest.update(np.ascontiguousarray(values).tobytes())
        digests.append(digest.hexdigest())
    return np.unique(digests, return_inverse=True)[1]


def joined(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(S,) numbers of the groups into which streams fall that have a number in common in either, directly or by way of
    others."""
    from scipy.sparse import csr_array  # neither above: they take long to load, and reading streams needs none
    from scipy.sparse.csgraph import connected_components

    size, others = len(first), int(first.max()) + 1
    everyone = np.arange(size)
    links = np.concatenate([first, others + second])
    graph = csr_array((np.ones(2 * size), (np.tile(everyone, 2), links)), shape=(size, others + int(second.max()) + 1))
    return connected_components(graph @ graph.T, directed=False)[1]
