"""One position of a model as an ONNX graph: what torch can follow of it, without loops over time."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from outlast import scan
from outlast.errors import InputError
from outlast.model import InputSpec, Recurrent
from outlast.modules.leaking import WithLeak
from outlast.modules.resetting import WithReset
from outlast.onnx.files import library
from outlast.state import leaves, rebuild

OPSET = 18
_ROWS = 3
"""Of the example that is followed; their number stays open."""
READ, GIVEN, BEFORE, AFTER = "step.read", "step.given", "step.before.", "step.after."
"""Names in the graph of a step: what is read and given, and what stands before the path of a part of the state."""


class _Step(nn.Module):
    """``given, *after = step(read, *before)`` with read (B,) or (B, F)."""

    def __init__(self, model: Recurrent) -> None:
        super().__init__()
        self.model = model
        self.like = model.initial_state(_ROWS)

    def forward(self, read: Tensor, *before: Tensor) -> tuple[Tensor, ...]:
        state = rebuild(self.like, list(before))
        # A reset or a leak is due or not by the counter alone: no loop looks for the next one.
        one = self.model.piece if isinstance(self.model, WithReset | WithLeak) else self.model
        outputs, after = one(read[:, None], state)
        return outputs[:, 0], *leaves(after)


@dataclass(frozen=True)
class StepGraph:
    """What was followed: the model's step in ONNX, and the sizes of what it gives, without rows."""

    proto: Any
    output_shape: tuple[int, ...]


def step_graph(model: Recurrent, spec: InputSpec) -> StepGraph:
    """Follow one step of a model, by the definition of its recurrence.

    Args:
        model: on the CPU, in evaluation mode.
        spec: what it reads.

    Raises:
        InputError: torch cannot follow it, or its outputs are not one tensor.
    """
    library("onnxscript")
    step = _Step(model)
    read = spec.random(_ROWS, 1, torch.Generator().manual_seed(0), model.input_dtype)[:, 0]
    before = [tensor.clone() for tensor in leaves(step.like)]
    paths = [part.path for part in model.state_parts()]
    try:
        with torch.no_grad(), scan.only("reference"), _quietly(), _rows_open(model):
            outputs, _ = model(read[:, None], step.like)
            if not isinstance(outputs, Tensor) or outputs.dim() < 3:
                raise InputError(
                    f"a {model.named} whose outputs are not one tensor (B, T, O)",
                    "one prediction",
                    "let forward return what is predicted alone",
                )
            rows = torch.export.Dim("batch")
            program = torch.onnx.export(
                step,
                (read, *before),
                dynamo=True,
                verbose=False,
                opset_version=OPSET,
                input_names=[READ, *(BEFORE + path for path in paths)],
                output_names=[GIVEN, *(AFTER + path for path in paths)],
                dynamic_shapes={"read": {0: rows}, "before": tuple({0: rows} for _ in before)},
            )
    except InputError:
        raise
    except Exception as error:  # torch.export and the translator have many kinds of their own
        raise _not_followed(model, error) from error
    assert program is not None
    return StepGraph(program.model_proto, tuple(outputs.shape[2:]))


def _not_followed(model: Recurrent, error: Exception) -> InputError:
    cause: BaseException = error
    while (deeper := cause.__cause__ or cause.__context__) is not None:
        cause = deeper
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return InputError(
        f"a {model.named} of which torch could not follow one step "
        f"({type(cause).__name__}: {(lines or ['without a message'])[0][:300]})",
        "a model whose forward is made of tensor operations alone, whatever their values are",
        "docs/onnx.md lists what is exported; in a module of yours, take out what depends on values (if, item(), "
        "numpy)",
    )


_rows = threading.Lock()


@contextlib.contextmanager
def _rows_open(model: nn.Module) -> Iterator[None]:
    """Inside, ``len(x)`` in the files of users' modules leaves open how many rows there are; Python's own len gives a
    number, which would be that of the example."""
    files = {type(each).__module__ for each in model.modules()}
    names = [vars(sys.modules[file]) for file in files if file in sys.modules and file.partition(".")[0] != "torch"]
    names = [each for each in names if "len" not in each]
    with _rows:
        for each in names:
            each["len"] = _length
        try:
            yield
        finally:
            for each in names:
                del each["len"]


def _length(value: Any) -> Any:
    """Of a tensor (B, …) its rows."""
    return value.shape[0] if isinstance(value, Tensor) and value.dim() else len(value)


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without what torch tells its own developers on the way."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        said = io.StringIO()
        with warnings.catch_warnings(), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
