"""Which axis of what a .onnx file reads and gives is rows, which is positions, found by running it on a few numbers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from outlast.errors import InputError
from outlast.onnx.files import FLOATS, File, Port
from outlast.onnx.pairing import OnnxPorts, Pairing

Role = Literal["rows", "positions", "one", "frame", "fixed"]
Run = Callable[[Mapping[str, np.ndarray]], list[np.ndarray]]
"""Inputs by name -> the prediction, and the parts of the state after them."""

_ROWS, _POSITIONS = (2, 4), (3, 5)
"""How many are tried, to see which axes of the outputs change with them."""


@dataclass(frozen=True)
class Layout:
    """How a file is called.

    Args:
        roles: of each axis of what is read; an axis of one number or of a fixed size is part of a frame.
        frame: numbers of each position: sizes of the axes that are neither rows nor positions.
        states: shape of each part of the state for one row, without its axis of rows.
        state_rows: the axis of rows of each part; None: a call reads one row.
        output_rows, output_positions: axes of the prediction; None: it has none.
    """

    roles: tuple[Role, ...]
    frame: tuple[int, ...]
    states: tuple[tuple[int, ...], ...]
    state_rows: tuple[int | None, ...]
    output_rows: int | None = None
    output_positions: int | None = None

    @property
    def batched(self) -> bool:
        """Whether a call reads any number of rows."""
        return "rows" in self.roles

    @property
    def long(self) -> bool:
        """Whether a call reads any number of positions."""
        return "positions" in self.roles

    @property
    def width(self) -> int:
        """Numbers of a position."""
        return int(np.prod(self.frame, dtype=np.int64))


def laid_out(file: File, pairing: Pairing, ports: OnnxPorts, run: Run) -> Layout:
    """Find out how a file is called.

    Raises:
        InputError: sizes that the file leaves open, or nothing that was tried can be run.
    """
    read, real = pairing.read, pairing.read.dtype in FLOATS
    if read.dims is None or not read.dims:
        raise _unknown_size(file, read)
    open_axes = [axis for axis, size in enumerate(read.dims) if not isinstance(size, int)]
    states, state_rows = _states(file, pairing)
    batched = any(axis is not None for axis in state_rows) and all(axis is not None for axis in state_rows)
    ways = list(_ways(read, open_axes, batched, ports.frame if real else None, _symbol(pairing, state_rows)))
    if not batched:
        states = tuple(_with_one(shape, axis) for shape, axis in zip(states, state_rows, strict=True))
        state_rows = (None,) * len(states)
    why = ""
    for roles in ways:
        frame = _frame(read, roles, ports.frame)
        if not real and np.prod(frame, dtype=np.int64) != 1:
            raise InputError(
                f"{file.path}, which reads {read}: several tokens in every call, never one more or less",
                "a model that reads one token a call, or any number of them",
                "export it with a dynamic length",
            )
        if real and "one" in roles and np.prod(frame, dtype=np.int64) == 1:
            continue  # an axis that is open would be taken for a frame of one number
        found = Layout(roles, frame, states, state_rows)
        try:
            return _tried(found, pairing, run)
        except _Refuted as error:
            why = why or str(error)
    if real and ports.frame is None and open_axes and all(size == 1 for size in read.dims if isinstance(size, int)):
        raise InputError(
            f"{file.path}, which reads {read}, and leaves open how many numbers a call reads"
            f"{f' (tried with few: {why})' if why else ''}",
            "the size of a frame",
            "say it: --onnx-frame 576 (in Python OnnxPorts(frame=576)), where a call reads 576 numbers",
        )
    raise InputError(
        f"{file.path} cannot be run on {read} with the state {', '.join(str(pair.before) for pair in pairing.pairs)}"
        f"{f' ({why})' if why else ''}",
        "a model that reads positions one after another, with its state as inputs and outputs",
        "check --onnx-states, --onnx-constants and --onnx-frame, or export it with axes that have names",
    )


class _Refuted(Exception):
    """A way of calling that is not the file's."""


def _states(file: File, pairing: Pairing) -> tuple[tuple[tuple[int, ...], ...], tuple[int | None, ...]]:
    """Shapes of the state without axes of rows, and these axes. Raises InputError for other sizes that are open."""
    symbols = {size for size in pairing.read.dims or () if isinstance(size, str)}
    shapes, rows = [], []
    for pair in pairing.pairs:
        before, after = pair.before.dims, pair.after.dims
        if before is None:
            raise _unknown_size(file, pair.before)
        told = before if after is None else _joined(before, after)
        free = [axis for axis, size in enumerate(told) if not isinstance(size, int)]
        named = [axis for axis in free if before[axis] in symbols]
        axis = named[0] if named else free[0] if free else None
        if [each for each in free if each != axis]:
            raise _unknown_size(file, pair.before)
        rows.append(axis)
        shapes.append(tuple(size for each, size in enumerate(told) if each != axis and isinstance(size, int)))
    return tuple(shapes), tuple(rows)


def _joined(before: Sequence[int | str | None], after: Sequence[int | str | None]) -> list[int | str | None]:
    """Sizes as far as either side says them."""
    return [b if isinstance(b, int) and not isinstance(a, int) else a for a, b in zip(before, after, strict=True)]


def _symbol(pairing: Pairing, rows: Sequence[int | None]) -> str | None:
    """The name of the axis of rows, where the state has one."""
    for pair, axis in zip(pairing.pairs, rows, strict=True):
        if axis is not None and pair.before.dims is not None and isinstance(name := pair.before.dims[axis], str):
            return name
    return None


def _with_one(shape: tuple[int, ...], axis: int | None) -> tuple[int, ...]:
    return shape if axis is None else (*shape[:axis], 1, *shape[axis:])


def _ways(
    read: Port, open_axes: Sequence[int], batched: bool, frame: int | None, symbol: str | None
) -> Iterator[tuple[Role, ...]]:
    """Roles that the axes of what is read may have; those that read most in a call come first."""
    assert read.dims is not None
    choices: list[Role] = ["positions", "one"]
    if batched:
        choices.insert(0, "rows")
    if frame is not None:
        choices.append("frame")
    found: list[tuple[Role, ...]] = []
    for given in itertools.product(choices, repeat=len(open_axes)):
        once = all(given.count(role) <= 1 for role in ("rows", "positions", "frame"))
        if not once or given.count("rows") != batched or (frame is not None and "frame" not in given):
            continue
        roles: list[Role] = ["fixed"] * len(read.dims)
        for axis, role in zip(open_axes, given, strict=True):
            roles[axis] = role
        if symbol is not None and symbol in read.dims and roles[read.dims.index(symbol)] != "rows":
            continue
        found.append(tuple(roles))

    def order(roles: tuple[Role, ...]) -> tuple[bool, int]:
        return "positions" not in roles, roles.index("rows") if "rows" in roles else 0

    yield from sorted(found, key=order)


def _frame(read: Port, roles: Sequence[Role], frame: int | None) -> tuple[int, ...]:
    """Sizes of the axes that belong to a position."""
    assert read.dims is not None
    sizes = []
    for size, role in zip(read.dims, roles, strict=True):
        if role == "fixed":
            assert isinstance(size, int)
            sizes.append(size)
        elif role == "frame":
            sizes.append(frame or 1)
        elif role == "one":
            sizes.append(1)
    return tuple(sizes)


def _tried(layout: Layout, pairing: Pairing, run: Run) -> Layout:
    """The layout with the axes of the prediction. Raises `_Refuted` where the file cannot be called so."""
    rows, positions = _ROWS if layout.batched else (1, 1), _POSITIONS if layout.long else (1, 1)
    shapes = {}
    for n, t in itertools.product(dict.fromkeys(rows), dict.fromkeys(positions)):
        inputs = np.zeros((n, t, *layout.frame), pairing.read.dtype)
        before = [
            np.zeros((n, *shape), pair.before.dtype) for shape, pair in zip(layout.states, pairing.pairs, strict=True)
        ]
        try:
            predicted, *after = run(fed(layout, pairing, inputs, before))
        except Exception as error:  # whatever onnxruntime raises says that it cannot be called so
            raise _Refuted((str(error).strip().splitlines() or [""])[0][:200]) from None
        wanted = [as_called(each, axis).shape for each, axis in zip(before, layout.state_rows, strict=True)]
        for pair, shape, given in zip(pairing.pairs, wanted, after, strict=True):
            if given.shape != shape:
                raise _Refuted(f"{pair.after.name} came back as {given.shape}, not as {shape}")
        shapes[n, t] = predicted.shape
    first = shapes[rows[0], positions[0]]
    at_rows = _changing(first, shapes[rows[1], positions[0]], rows) if layout.batched else None
    at_positions = _changing(first, shapes[rows[0], positions[1]], positions) if layout.long else None
    return replace(layout, output_rows=at_rows, output_positions=at_positions)


def _changing(a: tuple[int, ...], b: tuple[int, ...], sizes: tuple[int, int]) -> int:
    """The axis that is as long as what is read."""
    apart = [axis for axis, pair in enumerate(zip(a, b, strict=False)) if pair[0] != pair[1]]
    if len(a) != len(b) or len(apart) != 1 or (a[apart[0]], b[apart[0]]) != sizes:
        raise _Refuted(f"the prediction is {list(a)} for {sizes[0]} and {list(b)} for {sizes[1]}")
    return apart[0]


def fed(layout: Layout, pairing: Pairing, inputs: np.ndarray, state: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """What a file is given, by name.

    Args:
        inputs: (B, T, …) with the axes of a frame; B and T are 1 where a call reads one.
        state: (B, …) by part.
    """
    order, rest = [], iter(range(2, inputs.ndim))
    for role in layout.roles:
        order.append({"rows": 0, "positions": 1}.get(role) if role in ("rows", "positions") else next(rest))
    dropped = [axis for axis in (0, 1) if axis not in order]
    arranged = inputs.transpose([*dropped, *order]).reshape([inputs.shape[axis] for axis in order])
    found = {pairing.read.name: arranged.astype(pairing.read.dtype, copy=False)}
    for pair, tensor, axis in zip(pairing.pairs, state, layout.state_rows, strict=True):
        found[pair.before.name] = as_called(tensor, axis).astype(pair.before.dtype, copy=False)
    return found


def as_called(tensor: np.ndarray, axis: int | None) -> np.ndarray:
    """A part of the state (B, …) as the file has it: with its rows on that axis, or without them."""
    return tensor[0] if axis is None else np.ascontiguousarray(np.moveaxis(tensor, 0, axis))


def as_state(tensor: np.ndarray, axis: int | None) -> np.ndarray:
    """The same back, (B, …)."""
    return tensor[None] if axis is None else np.moveaxis(tensor, axis, 0)


def as_outputs(layout: Layout, predicted: np.ndarray, rows: int) -> np.ndarray:
    """A prediction as (B, T) or (B, T, O), T = 1 where a call reads one position."""
    named = [axis for axis in (layout.output_rows, layout.output_positions) if axis is not None]
    moved = np.moveaxis(predicted, named, range(len(named)))
    length = predicted.shape[layout.output_positions] if layout.output_positions is not None else 1
    rest = moved.shape[len(named) :]
    return moved.reshape(rows, length, -1) if rest else moved.reshape(rows, length)


def _unknown_size(file: File, port: Port) -> InputError:
    return InputError(
        f"{file.path} with {port}, sizes of which the file leaves open",
        "a state of fixed sizes but for the rows: one that grows with what was read is a transformer's cache",
        "fix them in the file: python -m onnxruntime.tools.make_dynamic_shape_fixed --dim_param NAME --dim_value N "
        "IN.onnx OUT.onnx",
    )
