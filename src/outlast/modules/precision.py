"""In which precision a model is run and trained: in its own, or in float32, and then a note says so.

Nothing is ever narrowed: what is in float64 stays there.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import Tensor, nn

from outlast.errors import InputError
from outlast.model import InputSpec, Recurrent, device_of, quietly
from outlast.results import Note
from outlast.schema import Schema
from outlast.state import HALVES, at_least_float32, in_double
from outlast.turns import alone

TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 1e-1}
"""Relative differences up to which two ways of computing count as equal in any model, by the coarsest dtype of the
parameters. Where a model itself makes more of a last bit that is changed, more is allowed (`Subject.allowed`)."""

Module = TypeVar("Module", bound=nn.Module)


@dataclass(frozen=True)
class Probe:
    """What a module says of how it is read: asked of it once, where it comes in.

    Args:
        device: of the first parameter or buffer (CPU where there is none).
        dtypes: of the floating parameters and buffers, in their order.
        weights: bytes of the parameters.
        reads: a recurrent model's inputs; None: they are not known.
        schema: the columns and the scaling that it was trained with, where it carries them.
        rooms: how many ids it has for each column of ids, where that is more than `reads` says.
        input_dtype: in which features reach it.
    """

    device: torch.device
    dtypes: tuple[torch.dtype, ...]
    weights: int
    reads: InputSpec | None = None
    schema: Schema | None = None
    rooms: Mapping[int, int] = field(default_factory=dict)
    input_dtype: torch.dtype = torch.float32

    @classmethod
    def of(cls, module: nn.Module) -> Probe:
        tensors = (*module.parameters(), *module.buffers())
        device = tensors[0].device if tensors else torch.device("cpu")
        dtypes = tuple(dict.fromkeys(t.dtype for t in tensors if t.is_floating_point()))
        weights = sum(each.numel() * each.element_size() for each in module.parameters())
        if not isinstance(module, Recurrent):
            return cls(device, dtypes, weights)
        rooms = getattr(module, "rooms", {})
        return cls(device, dtypes, weights, module.input_spec, module.schema, rooms, module.input_dtype)

    @property
    def first(self) -> torch.dtype:
        """The first of the dtypes (float32 where there is none)."""
        return next(iter(self.dtypes), torch.float32)

    @property
    def narrowest(self) -> torch.dtype:
        """The coarsest of the dtypes (float32 where there is none)."""
        return max(set(self.dtypes) & set(TOLERANCES), key=TOLERANCES.__getitem__, default=torch.float32)


def dtypes_of(model: nn.Module) -> list[str]:
    """Names of the dtypes of the model's floating parameters and buffers, such as ``bfloat16``, in their order."""
    return [dtype_name(each) for each in Probe.of(model).dtypes]


def halves_of(model: nn.Module) -> str:
    """The half precisions among them, such as ``bfloat16``; empty where there is none."""
    return " and ".join(name for name in dtypes_of(model) if name in map(dtype_name, HALVES))


def copied(module: Module) -> Module:
    """A copy of a module.

    Raises:
        InputError: it cannot be copied.
    """
    try:
        with alone(module):
            return copy.deepcopy(module)
    except Exception as error:
        raise InputError(
            f"a {type(module).__name__} that cannot be copied ({type(error).__name__}: {error})",
            "a model that copy.deepcopy can copy",
            "keep no tensor with a gradient history as an attribute of the module",
        ) from error


def wide_copy(module: Module) -> Module:
    """A copy with its half-precision parameters and buffers in float32; the others stay as they are."""
    return copied(module)._apply(at_least_float32)


def double_copy(module: Module) -> Module:
    """A copy with all its real numbers in float64 and its complex ones in complex128."""
    return copied(module)._apply(in_double)


def runnable(model: Recurrent, inputs: Tensor) -> tuple[Recurrent, Note | None]:
    """The model as it is; or, where it has half-precision parameters and cannot be run with them on its device (a CPU
    lacks some operations), a copy that can, in float32, and the note that says so.

    A model that cannot be run in float32 either is returned as it is: what is wrong with it is no matter of precision.

    Args:
        inputs: (B, T, …) to try it on, on any device.
    """
    halves = halves_of(model)
    if not halves:
        return model, None
    inputs = inputs.to(device_of(model))
    why = _fault(model, inputs)
    if not why:
        return model, None
    wide = wide_copy(model)
    if _fault(wide, inputs):
        return model, None
    said = f"parameters in {halves}, with which the model cannot be run here ({why}): it was measured in float32"
    return wide, Note("measured_in_float32", said, {"dtype": halves, "error": why})


def trainable(model: Recurrent) -> tuple[Recurrent, Note | None]:
    """The model to train: as it is; or, where it has half-precision parameters, a copy in float32 with the note that
    says so. Steps as small as a repair's are rounded away in half precision.

    Raises:
        InputError: there is nothing in the model that training could change.
    """
    require_trainable(model)
    if not halves_of(model):
        return model, None
    wide = copied(model)
    return wide, widen(wide)


def widen(model: nn.Module) -> Note | None:
    """Put half-precision parameters and buffers in float32, in place; the note that says so, if there were any."""
    halves = halves_of(model)
    if not halves:
        return None
    model._apply(at_least_float32)
    said = f"parameters in {halves}: trained, measured and saved in float32"
    return Note("trained_in_float32", said, {"dtype": halves})


def require_trainable(model: nn.Module) -> None:
    """Raise InputError where training could change nothing in the model."""
    if why := getattr(model, "without_gradients", ""):
        raise InputError("a model without gradients, to be trained", "a model that can be trained", why)
    if not any(each.requires_grad for each in model.parameters()):
        raise InputError(
            "a model without a parameter that takes gradients",
            "something to train",
            "make what is to be learned an nn.Parameter with requires_grad=True; to measure the model needs none",
        )


def _fault(model: Recurrent, inputs: Tensor) -> str:
    """What the model raises when it reads `inputs` twice in a row; empty where it raises nothing."""
    try:
        with quietly(model):
            _, state = model(inputs, model.initial_state(len(inputs)))
            model(inputs, state)
    except Exception as error:  # whatever the model's code raises says that it cannot be run so
        lines = str(error).strip().splitlines() or ["without a message"]
        return f"{type(error).__name__}: {lines[0]}"
    return ""


def dtype_name(dtype: torch.dtype) -> str:
    """As reports write it: float32."""
    return str(dtype).removeprefix("torch.")
