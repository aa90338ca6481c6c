"""One version of the model that reads all streams, with what is needed to judge its forecasts once targets arrive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from outlast import checkpoints
from outlast.data import Batch
from outlast.errors import InputError
from outlast.evaluation.measure import Measure
from outlast.evaluation.measures import default_measure, measure_of
from outlast.live.retrain.checks import MODEL, PROFILE, check_files
from outlast.live.run.delays import Delay
from outlast.live.run.repeats import Repeats
from outlast.live.watch.profiles import Profile, load_profile
from outlast.model import Recurrent
from outlast.schema import Schema, Target
from outlast.serving.deployed import Deployed
from outlast.serving.listening import Reading
from outlast.serving.pool import pack, unpack, widths_of

# Targets of forecasts, from the rows that come after them.

_LARGEST = float(np.finfo(np.float32).max)


class Ahead:
    """Tells what the target of a forecast was, as soon as it is known: the longest horizon's rows later.

    Args:
        target: what is forecast.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.horizon: int = max(target.horizons)
        # The last column says that there was a row at all, whatever its values.
        self._values = Delay(self.horizon, (len(target.columns) + 1,), np.float64, np.nan)
        self._edges = np.array(target.edges)
        self._labels: dict[Any, int] = {label: number for number, label in enumerate(target.labels)}

    def raw(self, rows: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """(N, columns) values of the target's columns; not a number where there is none."""
        found = np.full((len(rows), len(self.target.columns)), np.nan)
        for number, row in enumerate(rows):
            for place, column in enumerate(self.target.columns):
                value = row.get(column)
                if self.target.kind == "class":
                    value = self._class(value)
                if isinstance(value, int | float):
                    found[number, place] = value
        return found

    def arrived(self, at: np.ndarray, values: np.ndarray) -> tuple[Tensor, np.ndarray]:
        """Targets that are known now, of the positions a horizon before each of these.

        Args:
            at: (N,) numbers of the streams.
            values: (N, T, columns) as `raw` gives them, of their next T positions.

        Returns:
            targets (N, T) of classes or (N, T, K) of values, and (N, T) bool, whether they are known.
        """
        new = values.shape[1]
        whole = self._values.through(at, np.concatenate([values, np.ones_like(values[..., :1])], -1))
        found = []
        for column, ahead in self.target.pairs:
            series = whole[:, :, self.target.columns.index(column)]
            found.append(_ahead(series, ahead, self.target.aggregate)[:, :new])
        targets = np.stack(found, -1)
        value = self.target.kind == "value"
        targets = self.target.scaled(targets) if value else targets  # not a number where there is no logarithm
        known = np.asarray(np.isfinite(targets).all(-1) & ~np.isnan(whole[:, :new, -1]))
        if value:
            known &= (np.abs(np.nan_to_num(targets)) <= _LARGEST).all(-1)
            return torch.from_numpy(np.where(known[..., None], targets, 0.0).astype(np.float32)), known
        one = np.where(known, targets[..., 0], 0.0)
        classes = np.searchsorted(self._edges, one) if self.target.kind == "bins" else one
        return torch.from_numpy(classes.astype(np.int64)), known

    def clear(self, at: np.ndarray) -> None:
        """What comes next in some streams does not follow what came before."""
        self._values.clear(at)

    def _class(self, label: Any) -> int | None:
        """Its number; a label that was read as 2.0 is 2."""
        number = self._labels.get(label)
        if number is None and isinstance(label, float) and label.is_integer():
            return self._labels.get(int(label))
        return number

    @property
    def delays(self) -> list[Delay]:
        """What is to be kept of every stream."""
        return [self._values]


def _ahead(series: np.ndarray, horizon: int, aggregate: str) -> np.ndarray:
    """(N, L − horizon) the value `horizon` later, or the mean over the next `horizon` ones."""
    length = series.shape[1] - horizon
    if aggregate == "value" or horizon == 0:
        return series[:, horizon : horizon + length]
    # A sum that runs over what is missing would be missing from there on.
    windows = np.lib.stride_tricks.sliding_window_view(series[:, 1:], horizon, axis=1)
    return windows.mean(-1)[:, :length]


# A version of the model as its files have it, read once for all that is made of it.


@dataclass(frozen=True, eq=False)
class Loaded:
    """One version.

    Args:
        folder: of its model.
        schema: what the model's columns mean.
        fingerprint: of its weights.
    """

    folder: Path
    model: Recurrent
    schema: Schema
    profile: Profile
    fingerprint: str


def load(
    folder: str | Path,
    fingerprint: str,
    *,
    files: Mapping[str, str] | None = None,
    model: Recurrent | None = None,
    allow_code: bool = False,
) -> Loaded:
    """The version in a folder: `model` in it, and `profile`.

    Args:
        fingerprint: that its weights must have.
        files: SHA-256 that its files must have, by their paths; None: nobody knows.
        model: that was loaded from there already; None: none was.

    Raises:
        InputError: no such model or profile, a model without a schema, or another one, or other files, than was
            written down.
    """
    folder = Path(folder)
    if files is not None:
        check_files(folder, files)
    if model is None:
        model = checkpoints.load(folder / MODEL, "cpu", allow_code=allow_code)
    schema = columns_of(model, folder / MODEL)
    found = checkpoints.model_fingerprint(model)
    if found != fingerprint:
        raise InputError(
            f"{folder / MODEL} with the weights {found[:12]}…",
            f"{fingerprint[:12]}…, as the ledger says",
            "restore the folder as it was",
        )
    return Loaded(folder / MODEL, model, schema, load_profile(folder / PROFILE), found)


def columns_of(model: Recurrent, folder: str | Path) -> Schema:
    """What a model's columns mean.

    Raises:
        InputError: it does not know.
    """
    if model.schema is None:
        raise InputError(
            f"{folder}, a model that does not know its columns",
            "one that was trained on a table",
            "outlast save --model … --data … --target … --out DIR writes one from a factory's model and a table",
        )
    return model.schema


# One model that reads all streams, with what is needed to judge what it forecasts.


class Heard(Protocol):
    """Who is told of what a lane reads."""

    def heard(self, reading: Reading, targets: Tensor, known: np.ndarray) -> None:
        """Rows were read.

        Args:
            targets: (S, T) or (S, T, K), of the positions a horizon before each of these.
            known: (S, T) bool, whether they are known.
        """

    def restarted(self, streams: Sequence[str]) -> None:
        """Streams go on from the initial state."""


@dataclass(frozen=True, eq=False)
class Read:
    """What a lane made of N rows.

    Args:
        records: a forecast for each, as `Deployed.read` gives them.
        loss: (N,) of the forecast that was made a horizon before each; not a number where it has none.
        streams: (N,) numbers of their streams; −1: the row was passed over.
        missing: (N,) bool, whether that forecast has no loss because its target did not come.
        repeated: (N,) bool, whether the row came before (`Repeats`); none is where nobody asks for it.
    """

    records: list[dict[str, Any]]
    loss: np.ndarray
    streams: np.ndarray
    missing: np.ndarray
    repeated: np.ndarray


class Lane:
    """A version of the model that reads what comes in.

    Args:
        version: as its files have it.
        resets, stream_column: as for `outlast.deploy`.
        future: as `Deployed.future`.
    """

    def __init__(
        self,
        version: Loaded,
        *,
        resets: str = "none",
        stream_column: str | None = None,
        future: float | None = None,
    ) -> None:
        self.version = version
        facts, target = version.profile.facts, version.schema.target
        self.deployed: Deployed = Deployed(
            version.model, resets=resets, stream_column=stream_column, folder=str(version.folder)
        )
        self.deployed.future = future
        self.fingerprint: str = version.fingerprint
        self.deployed.listener = _Ear(self)
        self.ahead: Ahead = Ahead(target)
        self.measure: Measure = default_measure(target) if facts.measure is None else measure_of(facts.measure, target)
        # So that another version can read again what this one has.
        self._recent = Delay(facts.train_context, (len(version.schema.inputs),), np.float64, np.nan)
        self._outputs = Delay(self.ahead.horizon, (target.outputs,), np.float32, np.nan)
        self._raw = np.empty((0, 0))
        self._loss, self._numbers = np.empty(0), np.empty(0, np.int64)
        self._missing = self._repeated = np.empty(0, bool)
        self.heard: Heard | None = None
        self.repeats: Repeats | None = None

    def read(self, rows: Sequence[dict[str, Any]]) -> Read:
        """Read raw rows of any streams.

        Raises:
            RowError: one of them cannot be read; nothing was read then.
        """
        self._raw = self.ahead.raw(rows)
        self._loss, self._numbers = np.full(len(rows), np.nan), np.full(len(rows), -1)
        self._missing, self._repeated = np.zeros(len(rows), bool), np.zeros(len(rows), bool)
        records = self.deployed.read(list(rows))
        return Read(records, self._loss, self._numbers, self._missing, self._repeated)

    def take_over(self, other: Lane, *, states: bool) -> None:
        """Have all streams of another lane: with its states, or with what the last inputs make of the initial one.

        Raises:
            InputError: its states are of another kind.
        """
        names = other.deployed.names
        if not names:
            return
        self.deployed.take_over(other.deployed, states=states)
        at = np.arange(len(names))
        for mine, theirs in zip(self._kept(), other._kept(), strict=True):
            if mine is not self._outputs:  # forecasts of another model are none of this one's
                mine.keep(at, theirs.of(at))
        if not states:
            recent = other._recent.of(at)
            for begin in range(recent.shape[1]):
                # Streams that are younger than the rest have fewer inputs: those join where theirs begin.
                here = np.flatnonzero(~np.isnan(recent[:, begin]).any(-1))
                if len(here):
                    self.deployed.encode([names[i] for i in here], recent[here, begin : begin + 1])

    def packed(self, streams: Sequence[str]) -> np.ndarray:
        """All that some streams need to go on in another process, (N, bytes)."""
        at = self._at(streams)
        held = pack([torch.from_numpy(each.of(at)) for each in self._kept()])
        return np.concatenate([self.deployed.packed(streams), held], 1)

    def go_on(self, streams: Sequence[str], packed: np.ndarray) -> None:
        """Go on from what `packed` gave.

        Raises:
            InputError: it is of another model.
        """
        like = [torch.from_numpy(each.of(np.arange(0))) for each in self._kept()]
        cut = packed.shape[1] - sum(widths_of(like))
        self.deployed.go_on(streams, packed[:, : max(cut, 0)])
        at = self._at(streams)
        for each, held in zip(self._kept(), unpack(packed[:, cut:], like), strict=True):
            each.keep(at, held.numpy())

    def _at(self, streams: Sequence[str]) -> np.ndarray:
        return self.deployed.numbers(streams)

    def _kept(self) -> list[Delay]:
        return [*self.ahead.delays, self._recent, self._outputs]

    def take_in(self, reading: Reading) -> None:
        """What the deployed model has just read, and what it gave."""
        at, ahead = reading.at, self.ahead
        self._recent.through(at, reading.values)
        targets, known = ahead.arrived(at, self._raw[reading.numbers])
        given = reading.outputs.float().cpu().numpy()
        # A forecast that is no number is as bad as can be; where none was made, what is kept is not a number.
        given = np.where(np.isnan(given), np.inf, given)
        outputs = self._outputs.through(at, given)[:, : known.shape[1]]
        made = ~np.isnan(outputs).any(-1)
        zero = torch.zeros(len(at), dtype=torch.int64)
        batch = Batch(reading.inputs, targets, torch.from_numpy(known).float(), zero, zero, zero.bool())
        loss = self.measure.per_position(torch.from_numpy(outputs), batch).double().numpy()
        loss = np.where(np.isnan(loss), np.inf, loss)
        self._loss[reading.numbers] = np.where(known & made, loss, np.nan)
        self._missing[reading.numbers] = made & ~known
        if self.repeats is not None:
            rows = np.concatenate([reading.values, self._raw[reading.numbers]], -1)
            self._repeated[reading.numbers] = self.repeats.read(at, rows)
        self._numbers[reading.numbers] = at[:, None]
        if self.heard is not None:
            self.heard.heard(reading, targets, known)

    def begun_anew(self, streams: Sequence[str]) -> None:
        """Streams go on from the initial state: what comes does not follow what came."""
        at = self._at(streams)
        for each in self._kept():
            each.clear(at)
        if self.heard is not None:
            self.heard.restarted(streams)


class _Ear:
    """Hands on what a lane's deployed model reads."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane

    def read(self, reading: Reading) -> None:
        self.lane.take_in(reading)

    def restarted(self, streams: Sequence[str]) -> None:
        self.lane.begun_anew(streams)
