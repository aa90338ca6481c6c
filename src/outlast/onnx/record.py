"""What an export of outlast's says of itself, in the file's metadata: all that its directory said but the weights."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
from torch import Tensor

from outlast.errors import InputError
from outlast.model import InputSpec
from outlast.onnx.files import METADATA, File
from outlast.onnx.pairing import OnnxPorts
from outlast.schema import Log, Schema, from_record, logged, unlogged
from outlast.state import StatePart

FORMAT = 1
LOGS: tuple[Log | None, ...] = (None, "log", "log1p")
"""Which logarithm of a value a number in a file stands for."""


@dataclass(frozen=True)
class Scaling:
    """What the graph does before and after the model: it reads raw values, and gives some outputs in units.

    Args:
        input_means, input_stds: (F,) the model reads (value − mean) / std.
        output_means, output_stds: (O,) a forecast is output · std + mean; None: outputs are as the model gives them.
        input_logs, output_logs: (F,), (O,) of which the model reads and gives logarithms, by `LOGS`; None: of none.
    """

    input_means: np.ndarray
    input_stds: np.ndarray
    output_means: np.ndarray | None = None
    output_stds: np.ndarray | None = None
    input_logs: np.ndarray | None = None
    output_logs: np.ndarray | None = None

    def read(self, raw: np.ndarray) -> np.ndarray:
        """Raw values (…, F) of what the model reads, float64."""
        return unlogged(raw * self.input_stds + self.input_means, self._words(self.input_logs))

    def given(self, forecasts: np.ndarray) -> np.ndarray:
        """Outputs (…, O) as the model gives them, of forecasts in units."""
        if self.output_means is None or self.output_stds is None:
            return forecasts
        return (logged(forecasts, self._words(self.output_logs)) - self.output_means) / self.output_stds

    @staticmethod
    def _words(codes: np.ndarray | None) -> tuple[Log | None, ...]:
        return () if codes is None else tuple(LOGS[int(code)] for code in codes)


@dataclass(frozen=True)
class Record:
    """What an export says of itself.

    Args:
        outlast: the version that wrote it.
        inputs: what the model reads.
        input, output: names in the file.
        parts: of the state, in the order of the file's inputs.
        names: of each part, the input it goes into and the output it comes back in.
        start: the initial state by part, tensors (1, …); None: zeros.
        schema: of a model of table rows.
        scaling: what the graph does with raw values; None: nothing.
        about: more, for people: fingerprint and blueprint of the model, its training context, resets.
    """

    outlast: str
    inputs: InputSpec | None
    input: str
    output: str
    parts: tuple[StatePart, ...]
    names: tuple[tuple[str, str], ...]
    start: Mapping[str, Tensor] | None = None
    schema: Schema | None = None
    scaling: Scaling | None = None
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def ports(self) -> OnnxPorts:
        return OnnxPorts(states=dict(self.names), input=self.input, output=self.output)

    def text(self) -> str:
        """As JSON; `record_in` reads it."""
        written: dict[str, Any] = {
            "format": FORMAT,
            "outlast": self.outlast,
            "inputs": None if self.inputs is None else self.inputs.record(),
            "input": self.input,
            "output": self.output,
            "states": [
                {"path": part.path, "kind": part.kind, "head_axis": part.head_axis, "input": before, "output": after}
                for part, (before, after) in zip(self.parts, self.names, strict=True)
            ],
            "about": self.about,
        }
        if self.start is not None:
            written["start"] = base64.b64encode(safetensors.torch.save(dict(self.start))).decode()
        if self.schema is not None:
            written["schema"] = self.schema.record()
        if self.scaling is not None:
            kept = {name: getattr(self.scaling, name) for name in Scaling.__dataclass_fields__}
            written["scaling"] = {name: None if value is None else value.tolist() for name, value in kept.items()}
        return json.dumps(written, allow_nan=False)


def record_in(file: File) -> Record | None:
    """What a file says of itself; None: it is no export of outlast's.

    Raises:
        InputError: it says what cannot be.
    """
    if METADATA not in file.metadata:
        return None
    where = f"the metadata of {file.path}"
    try:
        said = json.loads(file.metadata[METADATA])
        if said["format"] != FORMAT:
            raise ValueError(f"format {said['format']!r}, not {FORMAT}")
        states = [_state(each) for each in said["states"]]
        start = safetensors.torch.load(base64.b64decode(said["start"])) if "start" in said else None
        scaling = None if said.get("scaling") is None else _scaling(said["scaling"])
        found = Record(
            outlast=str(said["outlast"]),
            inputs=None if said["inputs"] is None else _spec(said["inputs"]),
            input=str(said["input"]),
            output=str(said["output"]),
            parts=tuple(part for part, _ in states),
            names=tuple(names for _, names in states),
            start=start,
            schema=from_record(said["schema"], where) if "schema" in said else None,
            scaling=scaling,
            about=dict(said["about"]),
        )
        if start is not None and set(start) != {part.path for part in found.parts}:
            raise ValueError("an initial state of other parts")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, safetensors.SafetensorError) as error:
        raise InputError(
            f"{where}, which cannot be used ({type(error).__name__}: {error})",
            "what outlast export wrote",
            "export the model again",
        ) from None
    return found


def _state(said: Mapping[str, Any]) -> tuple[StatePart, tuple[str, str]]:
    kind, axis = said["kind"], said["head_axis"]
    if kind not in ("recurrent", "convolution", "attention", "counter") or not isinstance(axis, int | None):
        raise ValueError(f"a part of the state of kind {kind!r} with heads on axis {axis!r}")
    return StatePart(str(said["path"]), kind, axis), (str(said["input"]), str(said["output"]))


def _spec(said: Mapping[str, Any]) -> InputSpec:
    kind, size = said["kind"], said["size"]
    if kind not in ("tokens", "features") or not isinstance(size, int) or size < 1:
        raise ValueError(f"inputs {kind!r} of size {size!r}")
    return InputSpec(**said)


def _scaling(said: Mapping[str, Any]) -> Scaling:
    means, stds = _row(said["input_means"]), _row(said["input_stds"])
    given = None if said["output_means"] is None else (_row(said["output_means"]), _row(said["output_stds"]))
    logs = [None if said.get(f"{side}_logs") is None else _row(said[f"{side}_logs"]) for side in ("input", "output")]
    for codes in logs:
        if codes is not None and not np.isin(codes, range(len(LOGS))).all():
            raise ValueError("logarithms of an unknown kind")
    return Scaling(means, stds, *(given or (None, None)), *logs)


def _row(values: Any) -> np.ndarray:
    row = np.array(values, np.float64)
    if row.ndim != 1 or not np.isfinite(row).all():
        raise ValueError("a scaling that is no row of numbers")
    return row
