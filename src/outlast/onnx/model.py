"""A .onnx file as a recurrent model: read, carried and measured, never trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from outlast.errors import InputError
from outlast.model import InputSpec, Recurrent
from outlast.onnx.files import File, Port, library, opened
from outlast.onnx.layout import Layout, as_outputs, as_state, fed, laid_out
from outlast.onnx.pairing import OnnxPorts, Pairing, paired
from outlast.onnx.record import Record, record_in
from outlast.schema import Schema
from outlast.sizes import require_memory
from outlast.state import State, StatePart, leaves

AT_ONCE = 8192
"""Rows times positions that one call reads, at most: what is inside the file's graph is seen by nobody."""

_WITHOUT = (
    "{} is a .onnx file, which has no gradients: nothing in it can be trained, and no gradient flows through its "
    "state. Use the model that it was exported from: its directory, or the function that builds it "
    "(package.module:build)"
)


class OnnxModel(Recurrent):
    """A .onnx file with its state as inputs and outputs, run by onnxruntime on the CPU.

    Inputs (B, T) of tokens or (B, T, F) of frames -> (B, T) or (B, T, O). The state is a tuple of tensors (B, …) in the
    order of the file's inputs, zeros at first; half precision is carried as float32. Where a call of the file reads one
    row, or one position, it is called once for each. `outlast.load` makes it.

    Attributes:
        told: what was found out about the file, in sentences.
    """

    blueprint: dict[str, Any]

    def __init__(self, file: File, ports: OnnxPorts, record: Record | None) -> None:
        super().__init__()
        self._session = _Session(file)
        self._pairing: Pairing = paired(file, ports)
        self._layout: Layout = laid_out(file, self._pairing, ports, self._run)
        self._record = record
        self._source = (file.path, OnnxPorts() if record else ports)
        require_memory(self._state_size(), str(file.path))
        # All of the file: the model's fingerprint is that of these 32 bytes.
        self.register_buffer("sha256", torch.frombuffer(bytearray.fromhex(file.sha256), dtype=torch.uint8))
        # In which precision it computes, as other models tell by their weights.
        width = "float16" if "float16" in file.widths else next(iter(file.widths), "float32")
        self.register_buffer("precision", torch.empty(0, dtype=getattr(torch, width)), persistent=False)
        self._numbers = file.numbers
        self.without_gradients: str = _WITHOUT.format(file.path)
        self.input_spec: InputSpec | None = self._spec(file)
        self.schema: Schema | None = record.schema if record else None
        self.told: tuple[str, ...] = tuple(self._sentences(file))
        self.blueprint = {
            "kind": "onnx",
            "file": str(file.path),
            "sha256": file.sha256,
            "states": {pair.before.name: pair.after.name for pair in self._pairing.pairs},
            "constants": dict(self._pairing.constants),
            **({"export_of": record.about} if record else {}),
        }

    @property
    def path(self) -> Path:
        """The file."""
        return self._source[0]

    @property
    def input_dtype(self) -> torch.dtype:
        return torch.float64 if self._pairing.read.dtype == "float64" else torch.float32

    @property
    def signature(self) -> str:
        """Its inputs and outputs in a line."""
        pairs = self._pairing.pairs
        given = [self._pairing.read, *(pair.before for pair in pairs)]
        back = [self._pairing.predicted, *(pair.after for pair in pairs)]
        return f"{', '.join(map(str, given))} -> {', '.join(map(str, back))}"

    @property
    def numbers(self) -> int:
        return self._numbers

    def initial_state(self, batch_size: int) -> State:
        start = self._record.start if self._record else None
        if start is not None:
            return tuple(
                start[part.path].expand(batch_size, *start[part.path].shape[1:]) for part in self.state_parts()
            )
        return tuple(
            torch.zeros(batch_size, *shape, dtype=_carried_as(pair.before))
            for shape, pair in zip(self._layout.states, self._pairing.pairs, strict=True)
        )

    def state_parts(self) -> tuple[StatePart, ...]:
        if self._record is not None:
            return self._record.parts
        return tuple(
            StatePart(pair.before.name, "recurrent" if _carried_as(pair.before).is_floating_point else "counter")
            for pair in self._pairing.pairs
        )

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Read `inputs`.

        Raises:
            InputError: inputs of another kind or width, or a gradient was asked for.
        """
        self._refuse(inputs, state)
        layout, parts = self._layout, leaves(state)
        rows, length = inputs.shape[:2]
        read = self._as_read(inputs).reshape(rows, length, *layout.frame)
        at_once = max(1, AT_ONCE // length) if layout.batched else 1
        found = [
            self._rows(read[begin : begin + at_once], [part[begin : begin + at_once] for part in parts])
            for begin in range(0, rows, at_once)
        ]
        outputs = torch.cat([each for each, _ in found])
        after = tuple(torch.cat(column) for column in zip(*(each for _, each in found), strict=True))
        return self._as_given(outputs), after

    def again(self) -> OnnxModel:
        """The model loaded once more from where it lies.

        Raises:
            InputError: it is not the same file any more.
        """
        path, ports = self._source
        found = read_onnx(path, ports)
        if found.blueprint["sha256"] != self.blueprint["sha256"]:
            raise InputError(f"{path}, which has changed since it was loaded", "the same file", "load it again")
        return found

    def _apply(self, fn: Any, recurse: bool = True) -> OnnxModel:
        return self  # it computes where and in which precision onnxruntime does

    def _refuse(self, inputs: Tensor, state: State) -> None:
        spec = self.input_spec
        tokens = self._pairing.read.dtype in ("int32", "int64")
        if torch.is_grad_enabled() and any(each.requires_grad for each in (inputs, *leaves(state))):
            raise InputError("a gradient through a .onnx file", "figures without gradients", self.without_gradients)
        shape = inputs.shape[2:] == (() if tokens else (self._layout.width,))
        if inputs.dim() < 2 or not shape or inputs.is_floating_point() == tokens or inputs.shape[1] == 0:
            wanted = "tokens (B, T)" if tokens else f"frames (B, T, {self._layout.width})"
            raise InputError(f"inputs {tuple(inputs.shape)} of {inputs.dtype}", wanted, f"it reads {spec}")

    def _rows(self, inputs: np.ndarray, state: Sequence[Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Rows that one call may read."""
        parts = [part.detach().cpu().numpy() for part in state]
        outputs = []
        for piece in [inputs] if self._layout.long else np.split(inputs, inputs.shape[1], 1):
            predicted, *after = self._run(fed(self._layout, self._pairing, piece, parts))
            outputs.append(as_outputs(self._layout, predicted, len(piece)))
            parts = [as_state(part, axis) for part, axis in zip(after, self._layout.state_rows, strict=True)]
        given = torch.from_numpy(np.ascontiguousarray(np.concatenate(outputs, 1)))
        carried = (
            torch.from_numpy(np.ascontiguousarray(part)).to(_carried_as(pair.before))
            for part, pair in zip(parts, self._pairing.pairs, strict=True)
        )
        return given.float() if given.dtype == torch.float16 else given, tuple(carried)

    def _run(self, given: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        names = [self._pairing.predicted.name, *(pair.after.name for pair in self._pairing.pairs)]
        return self._session.run(names, {**given, **self._session.constants(self._pairing.constants)})

    def _as_read(self, inputs: Tensor) -> np.ndarray:
        """Inputs as the file reads them: an export with scaling in it reads raw values."""
        read = inputs.detach().cpu().numpy()
        if self._record is None or self._record.scaling is None:
            return read
        return self._record.scaling.read(read.astype(np.float64))

    def _as_given(self, outputs: Tensor) -> Tensor:
        """Outputs as the model gives them before they are put in units."""
        scaling = self._record and self._record.scaling
        if scaling is None or scaling.output_means is None:
            return outputs
        return torch.from_numpy(scaling.given(outputs.double().numpy())).float()

    def _state_size(self) -> int:
        pairs = zip(self._layout.states, self._pairing.pairs, strict=True)
        return sum(int(np.prod(shape, dtype=object)) * np.dtype(pair.before.dtype).itemsize for shape, pair in pairs)

    def _spec(self, file: File) -> InputSpec | None:
        if self._record is not None:
            return self._record.inputs
        if self._pairing.read.dtype in ("int32", "int64"):
            size = file.vocabularies.get(self._pairing.read.name)
            return None if size is None else InputSpec("tokens", size)
        return InputSpec("features", self._layout.width)

    def _sentences(self, file: File) -> list[str]:
        if self._record is not None:
            return [f"{file.path}: exported by outlast {self._record.outlast}"]
        layout, pairing = self._layout, self._pairing
        what = "a token" if self._pairing.read.dtype in ("int32", "int64") else f"a frame of {layout.width} numbers"
        length = "any number a call" if layout.long else "one a call"
        rows = "any number of rows a call" if layout.batched else "one row a call"
        found = [f"{file.path}: reads {pairing.read}, of which a position is {what}, {length}, {rows}"]
        found += [f"state: {pair.before} comes back in {pair.after.name} ({pair.why})" for pair in pairing.pairs]
        found += [f"constant: {name} = {value:g}" for name, value in pairing.constants.items()]
        found.append(f"prediction: {pairing.predicted}")
        if pairing.unread:
            found.append(f"outputs that are not looked at: {', '.join(pairing.unread)}")
        return found


def read_onnx(path: str | Path, ports: OnnxPorts | None = None) -> OnnxModel:
    """The model in a .onnx file, or in a folder that holds one as model.onnx.

    Args:
        ports: what the file does not say of itself.

    Raises:
        InputError: the file cannot be used (see `opened`), or it has to be said what its inputs and outputs are for.
    """
    file, ports = opened(path), ports or OnnxPorts()
    record = record_in(file)
    if record is not None and ports != OnnxPorts():
        raise InputError(
            f"{file.path}, an export of outlast's that says what its inputs and outputs are, and {ports}",
            "nothing more",
            "leave out what was said of inputs and outputs",
        )
    return OnnxModel(file, record.ports if record else ports, record)


class _Session:
    """onnxruntime's session of a file. Copies of a model share it: it keeps nothing of a call."""

    def __init__(self, file: File) -> None:
        runtime = library("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what it would print is raised as well
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        source = str(file.path) if file.content is None else file.content
        try:
            self._session = runtime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has an exception for every status
            raise InputError(
                f"{file.path}, which onnxruntime cannot load ({(str(error).strip().splitlines() or [''])[0][:300]})",
                "a model of operators and versions that it knows",
                "update onnxruntime, or export the model with an older opset",
            ) from None
        self._inputs = {port.name: port for port in file.inputs}

    def __deepcopy__(self, memo: Any) -> _Session:
        return self

    def run(self, names: Sequence[str], given: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        return self._session.run(names, given)

    def constants(self, values: Mapping[str, float]) -> dict[str, np.ndarray]:
        """Inputs that have one value always."""
        found = {}
        for name, value in values.items():
            port = self._inputs[name]
            shape = [size if isinstance(size, int) else 1 for size in port.dims or ()]
            found[name] = np.full(shape, value, port.dtype)
        return found


def _carried_as(port: Port) -> torch.dtype:
    """The dtype in which a part of the state is carried: half precision as float32."""
    return getattr(torch, "float32" if port.dtype == "float16" else port.dtype)
