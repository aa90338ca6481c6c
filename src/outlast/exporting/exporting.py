"""A model as a .onnx file: rows and positions in any number, its state in and out, scaling and resets included."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from outlast.arguments import at_least, taking
from outlast.checkpoints import model_fingerprint
from outlast.errors import InputError
from outlast.exporting.graph import assembled
from outlast.exporting.step import step_graph
from outlast.folders import aside
from outlast.model import Recurrent
from outlast.modules.adapting import adapt
from outlast.modules.precision import copied, wide_copy
from outlast.modules.remedies import rule_of
from outlast.modules.resetting import bare
from outlast.onnx import OnnxModel, read_onnx
from outlast.onnx.files import SUFFIX
from outlast.onnx.record import LOGS, Record, Scaling
from outlast.randomness import generator
from outlast.results import VERSION, finite_or_null
from outlast.schema import Log, Schema
from outlast.state import State, leaves, rebuild

TOLERANCE = 1e-5
"""Between the file in onnxruntime and the model, relative to the largest output, or absolute where that is below 1."""
_ROWS, _PIECES = (1, 3), (1, 7, 9)
"""What is read to hold the file against the model: rows, and positions in pieces with the state carried."""
_MOST = 2**31 - 2**20
"""Bytes that one file can have."""


@taking
def export(model: nn.Module, path: str | Path, *, train_context: int | None = None) -> OnnxModel:
    """Write a model as a .onnx file that reads any number of rows and positions, with its state as inputs and outputs.

    A model of table rows reads raw values, in the order of its columns (of a category its code; one that the model
    does not have is an error), and forecasts values in their units: scaling is part of the file. So are the resets and
    handovers of `outlast.with_reset`. The file says in its metadata what it is, and `outlast.load` gives back a model
    that is measured and deployed as this one. Half precision is written as float32. Before anything is left at `path`,
    the file is run in onnxruntime and held against the model, in pieces with the state carried, to 1e-5.

    Args:
        model: a recurrent model, or a module that `outlast.adapt` takes; it is not changed.
        path: a file ending in .onnx; one that is there is replaced.
        train_context: positions of a training window, to be written down.

    Returns:
        the file as `outlast.load` gives it.

    Raises:
        InputError: the extra `onnx` is not installed, torch cannot follow a step of the model, the file is not the
            model, or cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != SUFFIX or path.is_dir():
        raise InputError(f"the path {path}", f"a file ending in {SUFFIX}", f"for example {path.with_suffix(SUFFIX)}")
    if train_context is not None:
        at_least(1, train_context, "train_context")
    given = adapt(model)
    if isinstance(given, OnnxModel):
        raise InputError(f"{given.path}, which is a .onnx file", "a model of torch's", "copy the file")
    made = wide_copy(copied(given)).cpu().eval()
    spec = given.input_spec
    if spec is None:
        raise InputError(
            f"a {given.named} of which it is not known what it reads",
            "a model with input_spec",
            "set model.input_spec = outlast.InputSpec('tokens' or 'features', size)",
        )
    size = sum(each.numel() * each.element_size() for each in (*made.parameters(), *made.buffers()))
    if size > _MOST:
        raise InputError(
            f"a model of {size / 2**30:.1f} GiB",
            "less than 2 GiB, which one .onnx file can hold",
            "export a smaller one",
        )
    step = step_graph(made, spec)
    record = _record(given, made, math.prod(step.output_shape), train_context)
    content = assembled(step, record)
    temporary = aside(path)
    try:
        temporary.write_bytes(content)
        _held_against(made, _run_at_all(made, temporary))
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(
            f"{path} could not be written ({error.strerror})", "a file in a folder with room", "choose another"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    return read_onnx(path)


def _run_at_all(model: Recurrent, written: Path) -> OnnxModel:
    """The file as it can be called."""
    try:
        return read_onnx(written)
    except InputError as error:
        told = error.given.replace(str(written), "the file")
        wide = " first make it model.float()" if model.input_dtype == torch.float64 else ""
        raise InputError(
            f"a {model.named} of which onnxruntime cannot run what torch's exporter made ({told})",
            "operators, and settings of them, that both have",
            f"docs/onnx.md lists what is exported;{wide or ' keep this one in its own form'}",
        ) from error


def _record(given: Recurrent, made: Recurrent, outputs: int, train_context: int | None) -> Record:
    """What the file says of itself.

    Args:
        given: the model as it came; `made`: the copy that is written.
        outputs: how many numbers it gives at every position.
    """
    inner: Any = bare(given)
    resets = rule_of(given)
    parts, spec, schema = made.state_parts(), made.input_spec, made.schema
    assert spec is not None
    read, told = ("tokens", "outputs") if spec.kind == "tokens" else ("inputs", "outputs")
    scaling = None
    if schema is not None:
        scaling, read = _scaling(schema, spec.size, outputs), "rows"
        told = "forecasts" if scaling.output_means is not None else "outputs"
    start = dict(zip((part.path for part in parts), leaves(made.initial_state(1)), strict=True))
    about: dict[str, Any] = {
        "class": inner.named,
        "fingerprint": model_fingerprint(inner),
        "blueprint": finite_or_null(getattr(inner, "blueprint", None) or {}) or None,
        "train_context": train_context,
        "resets": resets,
    }
    return Record(
        outlast=VERSION,
        inputs=spec,
        input=read,
        output=told,
        parts=parts,
        names=tuple((part.path, f"{part.path}.after") for part in parts),
        start={k: v.contiguous().clone() for k, v in start.items()}
        if any(bool(v.any()) for v in start.values())
        else None,
        schema=schema,
        scaling=scaling,
        about=about,
    )


def _scaling(schema: Schema, inputs: int, outputs: int) -> Scaling:
    target = schema.target
    if len(schema.inputs) != inputs or target.outputs != outputs:
        raise InputError(
            f"a model of {inputs} inputs and {outputs} outputs for {len(schema.inputs)} columns and {target.outputs} "
            f"outputs for {', '.join(target.names)}",
            "as many of both",
            "save the model with the data that it was trained on",
        )
    means, stds = (np.array([getattr(each, name) for each in schema.inputs], np.float64) for name in ("mean", "std"))
    read_logs = _codes(schema.logs)
    if target.kind != "value":
        return Scaling(means, stds, input_logs=read_logs)
    levels = max(1, len(target.quantiles))
    centres, spreads = (np.repeat(np.array(each, np.float64), levels) for each in (target.means, target.stds))
    return Scaling(means, stds, centres, spreads, read_logs, _codes(target.logs_of(levels)))


def _codes(logs: Sequence[Log | None]) -> np.ndarray | None:
    return np.array([LOGS.index(log) for log in logs], np.float64) if any(logs) else None


@torch.no_grad()
def _held_against(model: Recurrent, file: OnnxModel) -> None:
    """Raise InputError where the file does not give what the model gives, from the initial and from a carried state.

    The model answers in float64 where it can: of two answers in float32 each has its own rounding.
    """
    spec, model = model.input_spec, _exact(model)
    assert spec is not None
    for rows in _ROWS:
        inputs = spec.random(rows, sum(_PIECES), generator(rows, "export"), model.input_dtype)
        state, carried = model.initial_state(rows), file.initial_state(rows)
        for _ in range(2):
            outputs, state = model(inputs, state)
            found = []
            for piece in inputs.split(list(_PIECES), 1):
                given, carried = file(piece, carried)
                found.append(given)
            worst = max(_apart(torch.cat(found, 1), outputs), *map(_apart, leaves(carried), leaves(state)))
            if not worst <= TOLERANCE:
                raise InputError(
                    f"a file that in onnxruntime is {worst:.1e} away from the model that it was made of",
                    f"the same outputs and states to {TOLERANCE:g}",
                    "nothing was written; a model whose numbers grow that far cannot be exported in float32",
                )
            carried = _as_of(file, state, rows)


def _exact(model: Recurrent) -> Recurrent:
    """The model in float64; as it is where its code knows another precision only."""
    assert model.input_spec is not None
    wide = copied(model).double()
    try:
        inputs = model.input_spec.random(2, 3, generator(0, "export"))
        outputs, _ = wide(inputs, wide.initial_state(2))
    except Exception:  # whatever its code raises says that it computes in float32 alone
        return model
    return wide if outputs.dtype == torch.float64 else model


def _as_of(file: OnnxModel, state: State, rows: int) -> State:
    like = file.initial_state(rows)
    pairs = zip(leaves(like), leaves(state), strict=True)
    return rebuild(like, [tensor.to(own.dtype) for own, tensor in pairs])


def _apart(found: Tensor, wanted: Tensor) -> float:
    """How far apart two answers are: relative to the largest number, or absolute where that is below 1."""
    if found.shape != wanted.shape:
        return math.inf
    if not wanted.is_floating_point():
        return 0.0 if bool((found == wanted).all()) else math.inf
    gap = float((found.double() - wanted.double()).abs().max())
    return gap / max(1.0, float(wanted.abs().max())) if math.isfinite(gap) else math.inf
