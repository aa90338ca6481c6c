"""A file from the graph of one step: a loop over positions around it, and scaling before and after."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from outlast.exporting.step import AFTER, BEFORE, GIVEN, OPSET, READ, StepGraph
from outlast.model import InputSpec
from outlast.onnx.files import METADATA, library
from outlast.onnx.record import LOGS, Record

_LEAST_IR = 9
"""The version of the file's format: the oldest that has all that stands in it."""


def assembled(step: StepGraph, record: Record) -> bytes:
    """The file: rows and positions in any number, the state in and out, what the record says in its metadata.

    The step stands in the body of a Scan (ONNX), which reads position after position as the definition of a recurrence
    does; weights stand outside of it, once.
    """
    onnx = library("onnx")
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    inner = step.proto.graph
    before = [BEFORE + part.path for part in record.parts]
    after = [AFTER + part.path for part in record.parts]
    ports = {value.name: value for value in (*inner.input, *inner.output)}
    nodes, known = list(inner.node), {*(value.name for value in inner.input), *(t.name for t in inner.initializer)}
    outputs = []
    for name in (*after, GIVEN):
        port = ports[name]
        if name in known:  # what was given goes back as it is: a body has to make all that it returns
            port = _renamed(port, f"{name}.same")
            nodes.append(helper.make_node("Identity", [name], [port.name]))
        outputs.append(port)
    body = helper.make_graph(nodes, "step", [ports[name] for name in (*before, READ)], outputs)
    fixed, around = list(inner.initializer), []

    def then(operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        around.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def row(name: str, values: np.ndarray) -> str:
        fixed.append(numpy_helper.from_array(values, name))
        return name

    def chosen(name: str, codes: np.ndarray) -> tuple[str, str]:
        """Names of two rows: of which numbers there is a logarithm, and what is added to them before it."""
        fixed.append(numpy_helper.from_array(codes > 0, f"{name}.of"))
        return f"{name}.of", row(f"{name}.added", (codes == LOGS.index("log1p")).astype(np.float64))

    def logarithms(source: str, codes: np.ndarray) -> str:
        of, added = chosen("input.log", codes)
        safe = then("Where", [of, source, row("input.log.one", np.ones(1))], "input.log.safe")
        taken = then("Log", [then("Add", [safe, added], "input.log.sum")], "input.log.taken")
        return then("Where", [of, taken, source], "input.log.read")

    def powers(moved: str, codes: np.ndarray) -> str:
        of, added = chosen("output.log", codes)
        safe = then("Where", [of, moved, row("output.log.zero", np.zeros(1))], "output.log.safe")
        raised = then("Sub", [then("Exp", [safe], "output.log.exp"), added], "output.log.raised")
        return then("Where", [of, raised, moved], record.output)

    read = ports[READ].type.tensor_type
    kind, source = read.elem_type, record.input
    scaling = record.scaling
    if scaling is not None:
        kind = onnx.TensorProto.DOUBLE
        if scaling.input_logs is not None:
            source = logarithms(source, scaling.input_logs)
        source = then("Sub", [source, row("input.means", scaling.input_means)], "input.centred")
        source = then("Div", [source, row("input.stds", scaling.input_stds)], "input.scaled")
        source = then("Cast", [source], "input.read", to=read.elem_type)
    if record.inputs is not None and record.inputs.ids:
        source = _with_known_ids(source, record.inputs, read.elem_type, then, row)
    rescaled = scaling is not None and scaling.output_means is not None
    given = "output.given" if rescaled else record.output
    names = [name for name, _ in record.names]
    around.append(
        helper.make_node(
            "Scan",
            [*names, source],
            [*(name for _, name in record.names), given],
            body=body,
            num_scan_inputs=1,
            scan_input_axes=[1],
            scan_output_axes=[1],
        )
    )
    given_kind = ports[GIVEN].type.tensor_type.elem_type
    if rescaled:
        assert scaling is not None
        assert scaling.output_means is not None
        assert scaling.output_stds is not None
        given_kind = onnx.TensorProto.DOUBLE
        wide = then("Cast", [given], "output.wide", to=given_kind)
        spread = then("Mul", [wide, row("output.stds", scaling.output_stds)], "output.spread")
        last = record.output if scaling.output_logs is None else "output.moved"
        moved = then("Add", [spread, row("output.means", scaling.output_means)], last)
        if scaling.output_logs is not None:
            powers(moved, scaling.output_logs)

    def dims(port: str, *first: str) -> list[int | str]:
        return [*first, *(each.dim_value for each in ports[port].type.tensor_type.shape.dim[1:])]

    def state(part: str, port: str, name: str) -> Any:
        return helper.make_tensor_value_info(name, ports[port].type.tensor_type.elem_type, dims(port, "batch"))

    parts = [part.path for part in record.parts]
    graph = helper.make_graph(
        around,
        "outlast",
        [
            helper.make_tensor_value_info(record.input, kind, dims(READ, "batch", "time")),
            *(state(p, BEFORE + p, name) for p, (name, _) in zip(parts, record.names, strict=True)),
        ],
        [
            helper.make_tensor_value_info(record.output, given_kind, dims(GIVEN, "batch", "time")),
            *(state(p, AFTER + p, name) for p, (_, name) in zip(parts, record.names, strict=True)),
        ],
        initializer=fixed,
    )
    model = helper.make_model(
        graph,
        producer_name="outlast",
        producer_version=record.outlast,
        opset_imports=[helper.make_opsetid("", OPSET)],
        functions=list(step.proto.functions),
        ir_version=max(_LEAST_IR, min(step.proto.ir_version, 10)),
    )
    helper.set_model_props(model, {METADATA: record.text()})
    return model.SerializeToString()


def _with_known_ids(
    source: str, spec: InputSpec, kind: int, then: Callable[..., str], row: Callable[[str, np.ndarray], str]
) -> str:
    """What is read, from a graph that ends with an error where an id is none of the model's: operators would take −1
    for the last one, or give a number all the same. ONNX has no assertion; there is no second number in a row of one.
    """
    onnx = library("onnx")
    width = onnx.helper.tensor_dtype_to_np_dtype(kind)
    low, high, ids = np.zeros(spec.size, width), np.zeros(spec.size, width), np.zeros(spec.size, bool)
    for column, count in spec.ids:
        high[column], ids[column] = count - 1, True
    above = then("GreaterOrEqual", [source, row("ids.least", low)], "ids.above")
    below = then("LessOrEqual", [source, row("ids.most", high)], "ids.below")
    known = then("And", [above, below], "ids.known")
    wrong = then("And", [then("Not", [known], "ids.unknown"), row("ids.columns", ids)], "ids.wrong")
    number = then("Cast", [wrong], "ids.number", to=onnx.TensorProto.INT64)
    nothing = then("Gather", [row("ids.row", np.zeros(1, width)), number], "ids.nothing")
    return then("Add", [source, nothing], "ids.read")


def _renamed(port: Any, name: str) -> Any:
    found = type(port)()
    found.CopyFrom(port)
    found.name = name
    return found
