"""`check`: does a model keep the contract of a recurrent model, and what does it cost where it does not?"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from outlast.adapters.adapting import adapt
from outlast.adapters.contract import POINTS, Subject
from outlast.errors import InputError
from outlast.model import Recurrent, device_of
from outlast.randomness import generator
from outlast.results import VERSION, Check, CheckReport
from outlast.state import leaves, named_leaves

_DOUBLE_TOLERANCE, _SINGLE_TOLERANCE = 1e-9, 1e-5


def check(model: nn.Module, example: Tensor | None = None, *, seed: int = 0) -> CheckReport:
    """Put a model through the seven points of the contract.

    Everything runs on a copy, in eval mode: in float64 where all of the model can compute in it, else in float32.

    Args:
        model: a `Recurrent`, or any module that `adapt` accepts.
        example: typical inputs, (B, T) integers or (B, T, F) floats, from which positions are drawn at random;
            without it inputs are random, as `model.input_spec` says.
        seed: of the random inputs.

    Returns:
        A report whose checks are, in this order, chunked_equals_whole, step_equals_parallel, gradient_through_state,
        rows_independent, state_matters, nothing_edited_in_place and save_load_exact. `worst` and `tolerance` are
        relative differences, unless the detail says otherwise.

    Raises:
        InputError: the module cannot be adapted or copied, its state is not batch-first, or it is not known what
            it reads.
    """
    model = adapt(model)
    draw = _inputs(model, example, seed)
    try:
        original = copy.deepcopy(model).eval()
    except Exception as error:
        raise InputError(
            f"{class_of(model)} cannot be copied ({type(error).__name__}: {error})",
            "a model that copy.deepcopy can copy",
            "keep no tensor with a gradient history as an attribute of the module",
        ) from error
    _require_batch_first(original)
    exact, double = _in_best_precision(original, draw)
    subject = Subject(
        model=exact,
        original=original,
        parts=exact.state_parts(),
        draw=draw,
        double=double,
        tolerance=_DOUBLE_TOLERANCE if double else _SINGLE_TOLERANCE,
        seed=seed,
    )
    about = {
        "class": class_of(model),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "state_parts": [part.path for part in subject.parts],
        "checked_in": "float64" if double else "float32",
    }
    return CheckReport(about, [_ask(name, point, subject) for name, point in POINTS.items()], outlast=VERSION)


def class_of(model: nn.Module) -> str:
    """The full name of the model's class, or of the class inside an adapter."""
    inner = getattr(model, "module", None)
    cls = type(inner if isinstance(inner, nn.Module) and type(model).__module__.startswith("outlast.") else model)
    return f"{cls.__module__}.{cls.__qualname__}"


def _ask(name: str, point: Callable[[Subject], Check], subject: Subject) -> Check:
    try:
        return point(subject)
    except Exception as error:  # a model that raises has broken the point, whatever it raised
        lines = str(error).strip().splitlines() or ["without a message"]
        first = (point.__doc__ or "").strip().splitlines()[0]
        return Check(name, False, None, None, f"The model raised {type(error).__name__}: {lines[0]}. It costs: {first}")


def _inputs(model: Recurrent, example: Tensor | None, seed: int) -> Callable[[int, int, str, torch.dtype], Tensor]:
    """A function (rows, length, salt, dtype) -> inputs on the model's device, pure in its arguments."""
    device = device_of(model)
    if example is not None:
        wanted = 3 if example.is_floating_point() else 2
        if example.dim() != wanted or example.numel() == 0:
            raise InputError(
                f"an example of shape {tuple(example.shape)} and dtype {example.dtype}",
                "(B, T) integers or (B, T, F) floats",
                "pass one batch as the model gets it",
            )
        pool = example.detach().flatten(0, 1).cpu()

        def from_example(rows: int, length: int, salt: str, dtype: torch.dtype) -> Tensor:
            drawn = pool[torch.randint(len(pool), (rows, length), generator=generator(seed, salt))]
            return drawn.to(device, dtype if drawn.is_floating_point() else drawn.dtype)

        return from_example
    spec = model.input_spec
    if spec is None:
        raise InputError(
            f"{class_of(model)}, which does not say what it reads",
            "a model with input_spec, or an example",
            "set model.input_spec = InputSpec('tokens' or 'features', size), or pass example=one batch of inputs",
        )

    def from_spec(rows: int, length: int, salt: str, dtype: torch.dtype) -> Tensor:
        return spec.random(rows, length, generator(seed, salt), dtype).to(device)

    return from_spec


def _require_batch_first(model: Recurrent) -> None:
    rows = 3
    with torch.no_grad():
        state = model.initial_state(rows)
    wrong = [f"{path} {tuple(t.shape)}" for path, t in named_leaves(state) if t.dim() == 0 or t.shape[0] != rows]
    if wrong or not leaves(state):
        raise InputError(
            f"initial_state({rows}) of {class_of(model)} gave {', '.join(wrong) or 'no tensor'}",
            f"tensors with {rows} rows on their first axis",
            "put the rows first in every tensor of the state",
        )
    named = [part.path for part in model.state_parts()]
    if len(named) != len(leaves(state)):
        raise InputError(
            f"state_parts() of {class_of(model)} names {len(named)} parts: {', '.join(named)}",
            f"one for each of the {len(leaves(state))} tensors of the state",
            "name every tensor, in the order of outlast.state.leaves",
        )


class _SeesSinglePrecision(TorchFunctionMode):
    """Notes whether anything was computed below float64: rounding there would look like a broken contract."""

    found = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor) and result.dtype in (torch.float32, torch.float16, torch.bfloat16):
            self.found = True
        return result


def _in_best_precision(
    original: Recurrent, draw: Callable[[int, int, str, torch.dtype], Tensor]
) -> tuple[Recurrent, bool]:
    """A copy in float64 if every step of it can run there, else in float32."""
    double = copy.deepcopy(original).double()
    try:
        with torch.no_grad():
            state = double.initial_state(2)
            with _SeesSinglePrecision() as seen:
                outputs, final = double(draw(2, 5, "precision", torch.float64), state)
        floating = [tensor for tensor in (*leaves(outputs), *leaves(final)) if tensor.is_floating_point()]
        if not seen.found and all(tensor.dtype == torch.float64 for tensor in floating):
            return double, True
    except Exception:  # many modules have float32 written into them; that is no fault, and float32 is asked next
        pass
    return copy.deepcopy(original).float(), False
