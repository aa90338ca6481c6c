"""Small .onnx files as others export them: an LSTM with its axes in any order, read by steps or at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

FEATURES, WIDTH = 3, 4
Dims = Sequence[int | str | None]


def reference() -> nn.LSTM:
    """What the files below compute, in torch."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.LSTM(FEATURES, WIDTH, batch_first=True)


def _gates(weight: torch.Tensor) -> torch.Tensor:
    """From torch's order of gates to ONNX's: input, output, forget, cell."""
    i, f, c, o = weight.chunk(4)
    return torch.cat([i, o, f, c])[None]


def lstm(
    path: Path,
    read: Dims,
    state: Dims,
    *,
    axes: str,
    names: Mapping[str, str] | None = None,
    dtype: int = TensorProto.FLOAT,
    outputs: Dims | None = None,
) -> Path:
    """An LSTM that reads ``x`` and carries ``h`` and ``c`` to ``y``, ``hn`` and ``cn``.

    Args:
        read, state: declared sizes of what is read and of the state, (1, B, D) as in torch.
        axes: of what is read: T, B and F in their order; those left out are put in, of size 1.
        names: other names of inputs and outputs.
        outputs: declared sizes of the prediction; None: as those read, of width 4.
    """
    called = {name: (names or {}).get(name, name) for name in ("x", "h", "c", "y", "hn", "cn")}
    weights = {name: value.detach() for name, value in reference().named_parameters()}
    bias = torch.cat([_gates(weights["bias_ih_l0"]), _gates(weights["bias_hh_l0"])], 1)
    held = {"W": _gates(weights["weight_ih_l0"]), "R": _gates(weights["weight_hh_l0"]), "Bias": bias}
    half = dtype == TensorProto.FLOAT16
    fixed = [numpy_helper.from_array(value.numpy(), name) for name, value in held.items()]
    nodes: list[Any] = []

    def then(operator: str, source: str | list[str], target: str, **attributes: Any) -> str:
        inputs = [source] if isinstance(source, str) else source
        nodes.append(helper.make_node(operator, inputs, [target], **attributes))
        return target

    def axes_of(name: str, values: list[int]) -> str:
        fixed.append(helper.make_tensor(name, TensorProto.INT64, [len(values)], values))
        return name

    x, h, c = called["x"], called["h"], called["c"]
    if half:
        x, h, c = (then("Cast", name, f"{name}_wide", to=TensorProto.FLOAT) for name in (x, h, c))
    missing = [i for i, axis in enumerate("TBF") if axis not in axes]
    given = [axis for axis in "TBF" if axis in axes]
    x = then("Transpose", x, "x_turned", perm=[axes.index(axis) for axis in given])
    if missing:
        x = then("Unsqueeze", [x, axes_of("missing", missing)], "x_whole")
    nodes.append(helper.make_node("LSTM", [x, "W", "R", "Bias", "", h, c], ["Y", "hn_", "cn_"], hidden_size=WIDTH))
    y = then("Squeeze", ["Y", axes_of("direction", [1])], "y_whole")  # (T, B, D)
    if missing:
        y = then("Squeeze", [y, "missing"], "y_less")
    y = then("Transpose", y, "y_turned", perm=[given.index(axis) for axis in axes])
    last = "Cast" if half else "Identity"
    more = {"to": TensorProto.FLOAT16} if half else {}
    for source, target in ((y, "y"), ("hn_", "hn"), ("cn_", "cn")):
        then(last, source, called[target], **more)
    wide = [WIDTH if axis == "F" else size for axis, size in zip(axes, read, strict=True)]
    given, back = {"x": read, "h": state, "c": state}, {"y": outputs or wide, "hn": state, "cn": state}
    inputs, results = ({called[name]: (dtype, dims) for name, dims in each.items()} for each in (given, back))
    return write(path, nodes, inputs, results, fixed)


def step(path: Path, ports: Sequence[Mapping[str, tuple[int, Dims]]], nodes: Sequence[tuple[str, str, str]]) -> Path:
    """A file of a few nodes: operator, inputs and outputs, with spaces between names.

    Args:
        ports: inputs and outputs: type and sizes by name.
    """
    return write(path, [helper.make_node(o, i.split(), t.split()) for o, i, t in nodes], ports[0], ports[1], [])


def write(
    path: Path,
    nodes: Sequence[Any],
    inputs: Mapping[str, tuple[int, Dims]],
    outputs: Mapping[str, tuple[int, Dims]],
    fixed: Sequence[Any],
) -> Path:
    """A checked file of these nodes."""
    made = [[helper.make_tensor_value_info(n, k, d) for n, (k, d) in each.items()] for each in (inputs, outputs)]
    graph = helper.make_graph(list(nodes), "made", *made, initializer=list(fixed))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path.write_bytes(model.SerializeToString())
    onnx.checker.check_model(str(path))
    return path
