"""One model at work on any number of streams, each with its state and its clock."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import narwhals.stable.v1 as nw
import numpy as np
import torch
from torch import Tensor, nn

from outlast import checkpoints
from outlast.arguments import taking
from outlast.brief import shortened
from outlast.data import Streams
from outlast.data.reading import CHUNK, pieces
from outlast.errors import InputError, type_name
from outlast.evaluation.opened import adapted_to, built_for
from outlast.model import Recurrent, device_of
from outlast.modules import adapt, names_factory
from outlast.modules.precision import runnable
from outlast.modules.remedies import under
from outlast.randomness import generator
from outlast.schema import Schema
from outlast.serving.files import read_pool, write_pool
from outlast.serving.forecasts import Units, columns_of, told
from outlast.serving.listening import Listener, Reading
from outlast.serving.plan import Plan, Ranges, changing, differ, planned
from outlast.serving.pool import Pool, Sound, pack, put_rows, unpack
from outlast.serving.rows import Rows, numbers_of, of_array, of_frame, of_records
from outlast.serving.texts import Texts
from outlast.state import State, select

_NO_NUMBER = "the model gives no number after this row, which its state leaves out"


@dataclass(frozen=True)
class Clock:
    """How far a stream has been read: positions, and the time of the last row (None: no times are told)."""

    position: int
    time: str | None


@taking
def deploy(
    model: nn.Module | str | Path,
    *,
    like: Streams | Schema | None = None,
    resets: str = "none",
    stream_column: str | None = None,
    allow_code: bool = False,
    device: torch.device | str | None = None,
) -> Deployed:
    """Put a model to work: raw rows (or text) in, forecasts in the target's units out.

    Args:
        model: a directory that outlast, transformers or fla saved, the id of a model on a hub, the name of a function
            that builds one (``package.module:build``), or a model. One that was trained on a table knows its columns,
            scaling, missing rule and units (`model.schema`); without them, arrays are read as they are.
        like: streams of a table, or their schema, for a model that does not know its columns: rows are read as that
            table was.
        resets: the remedy: ``none``; ``reset:640``: every 640 positions; ``handover:640:64``: a new copy reads the last
            64 positions before it takes over; ``two-copies:640``: two copies, half a period apart.
        stream_column: name in a row that says to which stream it belongs; None: the one that the model was trained
            with, else ``stream``.
        allow_code: as for `outlast.load`.
        device: to run on; None: where the model is, or the CPU.

    Raises:
        InputError: no such model, resets that are none, or `like` is of no table or of another one than the model's.
    """
    folder, schema = None, _schema_of(like)
    if isinstance(model, str | Path) and names_factory(str(model)):
        model = built_for(like if isinstance(like, Streams) else None, str(model))
    elif isinstance(model, str | Path):
        folder = str(checkpoints.place_of(model))
        model = checkpoints.load(folder, device or "cpu", allow_code=allow_code)
    made = adapted_to(model, like) if isinstance(like, Streams) else adapt(model)
    return Deployed(
        made if device is None else made.to(device), resets=resets, stream_column=stream_column, folder=folder,
        schema=schema,
    )  # fmt: skip


def _schema_of(like: Streams | Schema | None) -> Schema | None:
    if like is None or isinstance(like, Schema):
        return like
    if not isinstance(like, Streams) or like.schema is None:
        raise InputError(
            f"like = {'streams' if isinstance(like, Streams) else type_name(like)} without columns",
            "streams of a table, or the schema of a model",
            "outlast.Streams.from_table(…)",
        )
    return like.schema


class Deployed:
    """A deployed model. `outlast.deploy` makes it; it is not to be used from several threads at once.

    Args:
        model: a recurrent model; it is put into evaluation mode.
        resets, stream_column: as for `deploy`.
        folder: where it was saved, with its tokeniser.
        schema: what its inputs and outputs mean, where the model does not say it.

    Raises:
        InputError: the model says otherwise.

    Attributes:
        listener: is told of all rows with a schema that are read; None: nobody.
        outside: by stream, what was said of its first value far outside the training part.
        future: seconds that a row's time may be ahead of this machine's clock; None: any.
    """

    def __init__(
        self,
        model: Recurrent,
        *,
        resets: str = "none",
        stream_column: str | None = None,
        folder: str | None = None,
        schema: Schema | None = None,
    ) -> None:
        if schema is not None and model.schema is not None and schema != model.schema:
            raise InputError(
                "a schema for a model that has another one",
                "none, for the model knows its columns, scaling and units",
                "leave like=… out, or read the table as the model does: Streams.from_table(…, schema=model.schema)",
            )
        self._inner = model
        self.model: Recurrent = under(_runnable(model), resets).eval()
        self.resets: str = resets
        self.schema: Schema | None = model.schema or schema
        self.folder: str | None = folder
        self.listener: Listener | None = None
        self.future: float | None = None
        self.stream_column: str = stream_column or (self.schema.stream if self.schema else None) or "stream"
        self._fingerprint: str | None = None
        self._static = _static(model, self.schema)
        spec = model.input_spec
        width = spec.size if spec is not None and spec.static else 0
        width = len(self.schema.inputs) if self.schema else width
        self._pool = Pool(self.model, width)
        self._device = device_of(model)
        self._keeps_last = bool(self._static) or (self.schema is not None and self.schema.missing == "hold")
        self._tells_gaps = self.schema is not None and self.schema.time is not None and self.schema.gaps != "join"
        self._units = Units(self.schema.target if self.schema else None)
        self._texts = Texts(self.model, folder)
        self._sound, self._ranges = Sound(self.model), Ranges(self.schema)

    def __repr__(self) -> str:
        schema, streams = self.schema, f"{len(self._pool):,} streams read"
        if schema is None:
            return f"<Deployed {self._inner!r:.300}; resets {self.resets!r}; {streams}>"
        ahead = ", ".join(map(str, schema.target.horizons[:4]))
        reads = f"reads {shortened(schema.names)}; forecasts {shortened(schema.target.columns)} {ahead} rows ahead"
        return f"<Deployed {self._inner.named:.60}: {reads}; resets {self.resets!r}; {streams}>"

    @property
    def outside(self) -> dict[str, str]:
        """What was said of values far outside the training part, by stream."""
        return dict(self._ranges.told)

    @property
    def streams(self) -> dict[str, Clock]:
        """The streams that were read, by name."""
        pool = self._pool
        return {name: self._clock(row) for name, row in zip(pool.names, range(len(pool)), strict=True)}

    def _clock(self, row: int) -> Clock:
        time = self._pool.time[row]
        return Clock(int(self._pool.position[row]), None if np.isnat(time) else str(time))

    @torch.no_grad()
    def read(self, rows: Any, stream: str | None = None) -> Any:
        """Read the next rows of a stream, or of several, and forecast after each.

        Args:
            rows: a dict (one row, names and raw values; None where one is missing); a list of dicts; a frame of
                pandas, polars or pyarrow; an array (N, F) in the order of the schema, of one stream; text; or tokens,
                an array (N,) of integers.
            stream: to which they belong; None: what the schema's stream column says, else the stream ``""``.

        Returns:
            of a dict a dict with ``stream``, ``position``, ``forecast`` by name in the target's units and, for bins
            and classes, ``quantiles`` or ``probabilities``; ``forecast`` is None where the missing rule passed the row
            over, and ``because`` says why; ``outside`` where the first value of a stream is far outside the training
            part. Of a list a list of those. Of a frame a frame of the same library, of an
            array (N, F) an array (N, K): NaN where a row was passed over (see `forecasts.Units`). Of text a dict
            with the likeliest next tokens; of tokens (N,) the logarithms of the next token's probabilities (N, V).

        Raises:
            InputError: rows of another schema (names the column), a missing value or a gap where that is an error, a
                time that goes back. Nothing was read then.
        """
        if isinstance(rows, str):
            return self._texts.read(rows, stream or "", self._pool)
        if isinstance(rows, Mapping):
            return self._records(self._dicts([rows], stream))[0]
        if _are_dicts(rows):
            return self._records(self._dicts(rows, stream))
        if _is_frame(rows):
            return self._frame(rows, stream)
        if isinstance(rows, np.ndarray | Tensor | list | tuple):
            if self.model.input_spec is not None and self.model.input_spec.kind == "tokens":
                return self._texts.tokens(rows, stream or "", self._pool)
            return self._array(of_array(rows, self.schema, [stream or ""]))
        raise InputError(
            f"rows of type {type_name(rows)}", "a dict, a list of dicts, a frame, an array or text", "convert them"
        )

    @torch.no_grad()
    def step(self, rows: Any, streams: Sequence[str]) -> Any:
        """Read one row of each of several streams side by side.

        Args:
            rows: an array (S, F) in the order of the schema, or (S, T, F), T rows of each; or a list of S dicts.
            streams: the S different names.

        Returns:
            an array (S, K) or (S, T, K), or a list of dicts, as `read` gives them.

        Raises:
            InputError: as `read`; a stream twice.
        """
        if len(set(streams)) < len(streams) or len(streams) != len(rows):
            raise InputError(
                f"{len(rows)} rows for {len(streams)} streams, {len(set(streams))} of them different",
                "one row for each stream",
                "give each stream once",
            )
        if _are_dicts(rows):
            return self._records(replace(self._dicts(rows, ""), streams=streams))
        single = getattr(rows, "ndim", 2) != 3
        values, complete = numbers_of(rows, self.schema, 2 if single else 3)
        if complete and values.size and not self._tells_gaps:
            at = self._pool.rows(list(streams))
            count = values.size // values.shape[-1] // len(streams)
            of_rows = [name for name in streams for _ in range(count)]
            self._refuse_changing(at, values[:, None] if single else values)
            self._ranges.said(of_rows, values.reshape(-1, values.shape[-1]))
            outputs = self._units(self._advance(at, values[:, None] if single else values))
            if self._keeps_last:
                self._pool.last[at] = values if single else values[:, -1]
            return outputs[:, 0] if single else outputs
        count = 1 if single else values.shape[1]
        names = [name for name in streams for _ in range(count)]
        told_of = self._array(of_array(values.reshape(-1, values.shape[-1]), self.schema, names))
        return told_of if single else told_of.reshape(len(streams), count, -1)

    def restart(self, stream: str) -> None:
        """Let a stream go on from the initial state, and with other static values if need be; its clock runs on."""
        row = self._known(stream)
        self._pool.restart(row)
        self._pool.last[row[:, None], self._static] = np.nan

    def forget(self, *streams: str) -> None:
        """Drop streams that have ended."""
        for stream in streams:
            self._known(stream)
        self._pool.forget(streams)
        self._ranges.forget(streams)

    def _known(self, stream: str) -> np.ndarray:
        if stream not in self._pool.row:
            raise InputError(f"the stream {stream!r}", "one that was read", f"there are {len(self._pool)} streams")
        return np.array([self._pool.row[stream]])

    def save_states(self, path: str | Path) -> None:
        """Write the states and clocks of all streams, as safetensors with the model's fingerprint.

        Raises:
            InputError: the file cannot be written.
        """
        write_pool(path, self._pool, self.fingerprint, self.resets)

    def load_states(self, path: str | Path) -> None:
        """Go on where `save_states` left off; streams that were read here before are dropped.

        Raises:
            InputError: no such file, a damaged one, one of another model or of other resets.
        """
        self._pool = read_pool(path, self.model, self.fingerprint, self.resets, self._pool.last.shape[1])

    @property
    def names(self) -> list[str]:
        """The streams that were read, by number."""
        return list(self._pool.names)

    def numbers(self, streams: Sequence[str]) -> np.ndarray:
        """(N,) numbers of streams that were read, as `Reading.at` has them."""
        return np.array([self._pool.row[name] for name in streams], np.int64)

    def packed(self, streams: Sequence[str]) -> np.ndarray:
        """States and clocks of streams that were read, (N, bytes): all that they need to go on elsewhere."""
        at = self._pool.rows(list(streams))
        return pack(self._pool.tensors(at))

    def go_on(self, streams: Sequence[str], packed: np.ndarray) -> None:
        """Let streams go on from what `packed` gave; one whose state is no number begins anew, with a warning.

        Raises:
            InputError: it is of a model with other states.
        """
        pool = self._pool
        found = unpack(packed, pool.tensors(np.arange(0)))
        at = pool.rows(list(streams))
        pool.set(at, found)
        sound = self._sound.rows(pool.of(at))
        if sound is not None:
            pool.restart(at[~sound.numpy()])
            gone = [name for name, good in zip(streams, sound.tolist(), strict=True) if not good]
            shown = ", ".join(map(repr, gone[:3])) + (f" and {len(gone) - 3:,} more" if len(gone) > 3 else "")
            warnings.warn(f"the states of {shown} are no numbers: these streams begin anew", stacklevel=2)

    def take_over(self, other: Deployed, *, states: bool) -> None:
        """Have all streams of another deployed model, with its clocks.

        Args:
            states: from its states; else from the initial state.

        Raises:
            InputError: its states are of another kind.
        """
        names = other.names
        if not names:
            return
        mine, theirs = self._pool, other._pool
        at, tensors = mine.rows(names), theirs.tensors(theirs.rows(names))
        if states:
            mine.set(at, tensors)
        else:
            mine.set_clocks(at, tensors)

    @torch.no_grad()
    def encode(self, streams: Sequence[str], values: np.ndarray) -> None:
        """Read raw values (N, T, F) of N streams without counting them: only the states go on."""
        at = self._pool.rows(list(streams))
        position = self._pool.position[at].copy()
        self._advance(at, values)
        self._pool.position[at] = position

    @property
    def fingerprint(self) -> str:
        """Of the model's weights."""
        if self._fingerprint is None:
            self._fingerprint = checkpoints.model_fingerprint(self._inner)
        return self._fingerprint

    def _dicts(self, rows: Sequence[Mapping[str, Any]], stream: str | None) -> Rows:
        return of_records(rows, self._needed_schema("dicts"), stream, self.stream_column)

    def _needed_schema(self, given: str) -> Schema:
        if self.schema is None:
            raise InputError(
                f"{given} for a model that does not know the names of its columns",
                "an array (N, F) as the model reads it, or a model that was trained on a table",
                "outlast.deploy(model, like=streams); or save it with them: outlast.save(model, directory, "
                "schema=streams.schema), outlast save on the command line",
            )
        return self.schema

    def _advance(self, at: np.ndarray, values: np.ndarray, numbers: np.ndarray | None = None) -> np.ndarray:
        """Read raw values (S, T, F) of the streams at these rows of the pool; outputs (S, T, O).

        Args:
            numbers: (S, T) of the rows, for the listener.
        """
        pool, before = self._pool, self._pool.of(at)
        scaled = values if self.schema is None else self.schema.scaled(values)
        inputs = torch.from_numpy(scaled).to(self._device)
        outputs, state = self._sound_after(inputs, before)
        outputs = outputs[..., None] if outputs.dim() == 2 else outputs
        if self.listener is not None and numbers is not None:
            names = [pool.names[row] for row in at.tolist()]
            position = pool.position[at].copy()
            self.listener.read(Reading(names, at, numbers, before, inputs, values, outputs, position))
        pool.put(at, state, values.shape[1])
        return (outputs if outputs.dtype == torch.float64 else outputs.float()).cpu().numpy()

    def _sound_after(self, inputs: Tensor, before: State) -> tuple[Tensor, State]:
        """Outputs and states, tensors (S, …), that are numbers; rows that make them none are passed over."""
        outputs, state = self.model(inputs, before)
        sound = self._sound.rows(state)
        if sound is None:
            return outputs, state
        at = torch.nonzero(~sound)[:, 0]
        made, after = self._sound.in_steps(self.model, inputs[at.to(inputs.device)], select(before, at))
        return put_rows(outputs, at, made), put_rows(state, at, after)

    def _refuse_changing(self, at: np.ndarray, values: np.ndarray) -> None:
        """Refuse rows (S, T, F) of streams in which static values change, or are others than before."""
        if self._static:
            static = values[:, :, self._static]
            before = self._pool.last[at[:, None], self._static]
            if differ(static[:, 0], before).any() or (static[:, 1:] != static[:, :1]).any():
                raise changing(self.schema, self._static, "one stream")

    def _records(self, rows: Rows) -> list[dict[str, Any]]:
        """Forecasts of rows as records."""
        plan = planned(rows, self.schema, self._pool, self.future, self._static)
        outside = self._ranges.said(rows.streams, rows.values)
        positions = plan.positions(self._pool, rows)
        outputs = self._run(rows, plan)
        told_of, none = iter(told(outputs, self._units)), iter(np.asarray(np.isnan(outputs).all(-1)).tolist())
        found = []
        for number, name in enumerate(rows.streams):
            record: dict[str, Any] = {"stream": name, "position": positions[number]}
            if number in plan.skipped:
                record |= {"forecast": None, "because": plan.skipped[number]}
            else:
                made, broken = next(told_of), next(none)
                record |= {"forecast": None, "because": _NO_NUMBER} if broken else made
            if number in outside:
                record["outside"] = outside[number]
            if number in plan.restarts:
                record["restarted"] = plan.restarts[number]
            found.append(record)
        return found

    def _array(self, rows: Rows) -> np.ndarray:
        """Forecasts of rows as (N, K), NaN where a row was passed over."""
        plan = planned(rows, self.schema, self._pool, self.future, self._static)
        self._ranges.said(rows.streams, rows.values)
        outputs = self._run(rows, plan)
        found = self._units(outputs)
        if not plan.skipped:
            return found
        whole = np.full((len(rows), *found.shape[1:]), np.nan)
        whole[plan.kept()] = found
        return whole

    def _frame(self, frame: Any, stream: str | None) -> Any:
        schema = self._needed_schema("a frame")
        found = self._array(of_frame(frame, schema, stream, self.stream_column))
        columns = {name: found[:, i] for i, name in enumerate(columns_of(schema.target))}
        made = nw.from_dict(columns, backend=nw.get_native_namespace(frame))
        native = nw.to_native(made)
        if hasattr(frame, "index") and hasattr(native, "index"):
            native.index = frame.index  # rows keep their names
        return native

    def _run(self, rows: Rows, plan: Plan) -> np.ndarray:
        """Outputs (M, O) of the rows that are read, in their order."""
        pool, kept = self._pool, plan.kept()
        place_of = np.full(len(rows), -1)
        place_of[kept] = np.arange(len(kept))
        outputs: np.ndarray | None = None
        for numbers in plan.rounds():  # (S, T) row numbers, of S different streams
            at = pool.rows([rows.streams[int(number)] for number in numbers[:, 0]])
            anew = at[[i for i, number in enumerate(numbers[:, 0]) if number in plan.restarts]]
            pool.restart(anew)
            if self.listener is not None and len(anew):
                self.listener.restarted([pool.names[row] for row in anew.tolist()])
            for begin, end in pieces(numbers.shape[1], CHUNK):
                part = numbers[:, begin:end]
                found = self._advance(at, plan.values[part], part)
                if outputs is None:
                    outputs = np.empty((len(kept), found.shape[-1]), found.dtype)
                outputs[place_of[part]] = found
        plan.remember(pool, rows)
        if outputs is None:
            outputs = np.empty((0, self.schema.target.outputs if self.schema else 1), np.float32)
        return outputs


def _runnable(model: Recurrent) -> Recurrent:
    """The model, or a copy in float32 where it cannot be run in its half precision here, which is said aloud."""
    if model.input_spec is None:
        return model
    made, note = runnable(model, model.input_spec.random(2, 2, generator(0, "deploy")))
    if note is not None:
        warnings.warn(
            f"parameters in {note.facts['dtype']} cannot be run here: the model runs in float32", stacklevel=4
        )
    return made


def _are_dicts(rows: Any) -> bool:
    return isinstance(rows, list | tuple) and bool(rows) and isinstance(rows[0], Mapping)


def _is_frame(rows: Any) -> bool:
    try:
        nw.from_native(rows, eager_only=True)
    except TypeError:
        return False
    return True


def _static(model: Recurrent, schema: Schema | None) -> list[int]:
    """Columns that keep one value a stream: what the model reads once, and what was static in its training."""
    once = () if model.input_spec is None else model.input_spec.static
    columns = () if schema is None else schema.inputs
    return sorted({*once, *(place for place, column in enumerate(columns) if column.static)})
