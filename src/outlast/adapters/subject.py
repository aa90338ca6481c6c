"""A model under examination: in which precision it is asked, what it reads, and how two of its answers are compared."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from outlast.adapters.adapting import adapt
from outlast.adapters.precision import copied, runnable
from outlast.errors import InputError
from outlast.model import Recurrent, device_of
from outlast.randomness import generator
from outlast.results import Check, Note
from outlast.state import HALVES, State, StatePart, leaves, map_state, named_leaves, rebuild

_DOUBLE_TOLERANCE, _SINGLE_TOLERANCE = 1e-9, 1e-5
"""Relative differences up to which two ways of computing count as equal: rounding is all that may come between them."""

TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 1e-1}
"""The same in the precision of use, by the coarsest dtype of the parameters. float64 has then told faults from rounding
already, and some models make more of rounding than others."""

Draw = Callable[[int, int, str, torch.dtype], Tensor]
"""(rows, length, salt, dtype) -> inputs, pure in its arguments."""


@dataclass(frozen=True)
class Sizes:
    """How much a point of the contract reads.

    Args:
        rows: of a batch.
        ways: ways of reading a stretch in windows, each as the positions after which its windows end; the last of
            them is the length of the stretch.
    """

    rows: int
    ways: tuple[tuple[int, ...], ...]

    @property
    def length(self) -> int:
        """Positions of the longest stretch."""
        return max(way[-1] for way in self.ways)


@dataclass(frozen=True)
class Subject:
    """A model under examination.

    Args:
        model: the copy to run, in float64 if `double`.
        original: a copy in the dtypes the model came in.
        draw: inputs.
        tolerance: relative difference up to which two ways of computing count as equal.
        floor: differences are relative to the largest value wanted, or to this where it is larger.
        noise: standard deviation of the noise that takes the place of the recurrent and convolution parts of a carried
            state; 0: they stay as the model left them.
    """

    model: Recurrent
    original: Recurrent
    parts: Sequence[StatePart]
    draw: Draw
    double: bool
    tolerance: float
    seed: int
    floor: float = 0.0
    noise: float = 0.0

    @property
    def dtype(self) -> torch.dtype:
        return torch.float64 if self.double else torch.float32

    def inputs(self, rows: int, length: int, salt: str) -> Tensor:
        return self.draw(rows, length, salt, self.dtype)

    def carried(self, rows: int, length: int = 9) -> State:
        """A state that has read `length` positions."""
        with torch.no_grad():
            state = self.model(self.inputs(rows, length, "before"), self.model.initial_state(rows))[1]
        return self.noisy(state, "noise") if self.noise else state

    def noisy(self, state: State, salt: str) -> State:
        """The state with noise in the place of its recurrent and convolution parts."""
        numbers = generator(self.seed, salt)
        tensors = [
            # Drawn in float64, so that both precisions are given the same state.
            (self.noise * torch.randn(tensor.shape, generator=numbers, dtype=torch.float64)).to(tensor)
            if part.touched
            else tensor
            for part, tensor in zip(self.parts, leaves(state), strict=True)
        ]
        return rebuild(state, tensors)

    def far_from(self, state: State) -> State:
        """A state that is nowhere near: the normaliser of an mLSTM counts only above a floor."""
        return map_state(
            lambda here, away: here + 1000 * away if here.is_floating_point() else here,
            state,
            self.noisy(state, "far"),
        )

    def furthest(self, found: Any, wanted: Any, prefix: str) -> tuple[float, str]:
        """The largest difference between corresponding tensors, and where it is."""
        pairs = list(zip(named_leaves(wanted, prefix), leaves(found), strict=True))
        return max(((difference(b, a, self.floor), path) for (path, a), b in pairs), key=lambda pair: pair[0])

    def result(self, name: str, worst: float, good: str, bad: str) -> Check:
        return result(name, worst, self.tolerance, good, bad)


def subject_of(model: nn.Module, example: Tensor | None = None, *, seed: int = 0) -> Subject:
    """The model, or any module that `adapt` accepts, ready to be examined: copies of it in eval mode, the one to run in
    float64 where all of the model can compute in it, else in float32.

    Args:
        example: what inputs are drawn from, as `check` takes it.
        seed: of the random inputs.

    Raises:
        InputError: the module cannot be adapted or copied, its state is not batch-first, or it is not known what it
            reads.
    """
    model = adapt(model)
    draw = _inputs(model, example, seed)
    original = copied(model).eval()
    _require_batch_first(original)
    exact, double = _in_best_precision(original, draw)
    return Subject(
        model=exact,
        original=original,
        parts=exact.state_parts(),
        draw=draw,
        double=double,
        tolerance=_DOUBLE_TOLERANCE if double else _single_tolerance(exact),
        seed=seed,
    )


def _single_tolerance(model: Recurrent) -> float:
    """Of a model asked in float32; of one that computes in half precision all the same (a .onnx file), that of it."""
    own = narrowest(model)
    return TOLERANCES[own] if own in HALVES else _SINGLE_TOLERANCE


def in_use(s: Subject) -> tuple[Subject, Note | None]:
    """The subject in the precision in which it will be measured: its own, or float32 where that cannot be run here, and
    the note that says so. Inputs are float32, as streams give them."""
    model, note = runnable(s.original, s.draw(2, 3, "precision", torch.float32))
    model = copied(model)
    return replace(s, model=model, double=False, tolerance=TOLERANCES[narrowest(model)]), note


def narrowest(model: Recurrent) -> torch.dtype:
    """The coarsest dtype of the model's floating parameters and buffers (float32 where there is none)."""
    tensors = (*model.parameters(), *model.buffers())
    found = {each.dtype for each in tensors if each.is_floating_point()} & set(TOLERANCES)
    return max(found, key=TOLERANCES.__getitem__, default=torch.float32)


def result(name: str, worst: float, tolerance: float, good: str, bad: str) -> Check:
    """The point `name`, passed where `worst` is within the tolerance."""
    passed = worst <= tolerance  # false for NaN too
    return Check(name, passed, worst if math.isfinite(worst) else None, tolerance, good if passed else bad)


def difference(found: Tensor, wanted: Tensor, floor: float = 0.0) -> float:
    """The largest difference relative to the largest value wanted; infinite where they cannot be compared."""
    if found.shape != wanted.shape or found.dtype != wanted.dtype:
        return math.inf
    if not wanted.is_floating_point():
        return 0.0 if torch.equal(found, wanted) else 1.0
    if wanted.numel() == 0:
        return 0.0
    gap, scale = float((found - wanted).abs().max()), max(float(wanted.abs().max()), floor)
    value = gap / scale if scale > 0 else gap
    return value if math.isfinite(value) else math.inf


def read(model: Recurrent, pieces: Sequence[Tensor], state: State) -> tuple[Any, State]:
    """Read pieces (B, t, …) one after another; outputs joined over positions, and the final state."""
    outputs = []
    for piece in pieces:
        output, state = model(piece, state)
        outputs.append(output)
    return map_state(lambda *tensors: torch.cat(tensors, 1), *outputs), state


def cut(inputs: Tensor, way: Sequence[int]) -> list[Tensor]:
    """The windows that end at the positions of `way`."""
    bounds = [0, *way]
    return [inputs[:, start:end] for start, end in itertools.pairwise(bounds)]


def class_of(model: nn.Module) -> str:
    """The full name of the model's class, or of the class inside an adapter."""
    inner = getattr(model, "module", None)
    cls = type(inner if isinstance(inner, nn.Module) and type(model).__module__.startswith("outlast.") else model)
    return f"{cls.__module__}.{cls.__qualname__}"


def _inputs(model: Recurrent, example: Tensor | None, seed: int) -> Draw:
    """Inputs on the model's device."""
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


def _in_best_precision(original: Recurrent, draw: Draw) -> tuple[Recurrent, bool]:
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
