"""A model under examination: in which precision it is asked, what it reads, and how two of its answers are compared."""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from outlast.contract.comparing import Apart, Gap, apart, difference, worst
from outlast.contract.float64_code import SeesSinglePrecision, in_float64
from outlast.errors import InputError
from outlast.model import InputSpec, Recurrent, device_of
from outlast.modules.adapting import adapt
from outlast.modules.precision import TOLERANCES, Probe, copied, double_copy, runnable
from outlast.randomness import generator
from outlast.results import Check, Note
from outlast.state import HALVES, State, StatePart, continuous, leaves, map_state, named_leaves, noise_like, rebuild

_MARGIN, _DRAWS = 4.0, 3
"""How many times the largest change among so many draws of rounding-sized changes may lie between two ways."""

Allowed = Callable[[], Apart]
"""What rounding may put between two readings, measured when it is first asked for."""

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
        tolerance: relative difference up to which two ways of computing count as equal in any case.
        floor: differences are relative to the largest value wanted, or to this where it is larger.
        noise: standard deviation of the noise that takes the place of the recurrent and convolution parts of a carried
            state; 0: they stay as the model left them.
        widened: whether the model is in float64 only where float32 in its code is taken for float64.
        in_doubt: whether what is costly is measured only where there is a reason to: what rounding may do where two
            readings differ by more than `tolerance`, difference quotients over the first windows.
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
    widened: bool = False
    in_doubt: bool = False

    @property
    def dtype(self) -> torch.dtype:
        return torch.float64 if self.double else torch.float32

    def inputs(self, rows: int, length: int, salt: str) -> Tensor:
        return self.draw(rows, length, salt, self.dtype)

    def arithmetic(self) -> contextlib.AbstractContextManager[None]:
        """Inside, the model computes in the precision in which it is asked."""
        return in_float64() if self.widened else contextlib.nullcontext()

    def run(self, inputs: Tensor, state: State) -> tuple[Any, State]:
        """Outputs and final state, without gradients; what is edited in place is edited on copies."""
        return self._run(self.model, inputs, state)

    def _run(self, model: Recurrent, inputs: Tensor, state: State) -> tuple[Any, State]:
        with torch.no_grad(), self.arithmetic():
            outputs, final = model(inputs.clone(), map_state(torch.clone, state))
            return map_state(torch.clone, outputs), map_state(torch.clone, final)

    def read(self, pieces: Sequence[Tensor], state: State) -> tuple[Any, State]:
        """Read pieces (B, t, …) one after another; outputs joined over positions, and the final state."""
        outputs = []
        for piece in pieces:
            output, state = self.run(piece, state)
            outputs.append(output)
        return map_state(lambda *tensors: torch.cat(tensors, 1), *outputs), state

    def start(self, rows: int) -> State:
        """The initial state."""
        with torch.no_grad(), self.arithmetic():
            return map_state(torch.clone, self.model.initial_state(rows))

    def allowed(self, inputs: Tensor, state: State, answer: tuple[Any, State]) -> Allowed:
        """`_allowed`, measured once and only when it is asked for."""
        return functools.cache(lambda: self._allowed(inputs, state, answer))

    def _allowed(self, inputs: Tensor, state: State, answer: tuple[Any, State]) -> Apart:
        """What rounding may put between `answer`, the model's to these inputs and this state, and the answer that the
        same model gives in another order of computing.

        Measured: parameters, inputs and state are changed by about their last bit, which no order of computing does
        better than; what that changes is allowed four times, and never less than `tolerance`. Errors grow along a
        reading, so what is allowed at one position is allowed after it.
        """
        found: dict[str, Tensor] = {}
        for draw, model in enumerate(self.jittered()):
            numbers = generator(self.seed, f"last bits {draw}")
            moved = [_last_bits(tensor, numbers) for tensor in (inputs, *leaves(state))]
            if self.model.input_spec is not None:
                moved[0] = with_ids_of(self.model.input_spec, moved[0], inputs)
            for path, sizes in apart(self._run(model, moved[0], rebuild(state, moved[1:])), answer, self.floor).items():
                found[path] = torch.maximum(found[path], sizes) if path in found else sizes
        return {path: (_MARGIN * sizes.cummax(0).values).clamp(min=self.tolerance) for path, sizes in found.items()}

    def jittered(self) -> Iterator[Recurrent]:
        """Copies whose parameters and buffers differ by about their last bit, one at a time: models may be large."""
        for draw in range(_DRAWS):
            model, numbers = copied(self.model), generator(self.seed, f"last bits of parameters {draw}")
            for tensor in (*model.parameters(), *model.buffers()):
                tensor.data = _last_bits(tensor.data, numbers)
            yield model

    def carried(self, rows: int, length: int = 9) -> State:
        """A state that has read `length` positions."""
        state = self.run(self.inputs(rows, length, "before"), self.start(rows))[1]
        return self.noisy(state, "noise") if self.noise else state

    def noisy(self, state: State, salt: str) -> State:
        """The state with noise in the place of its recurrent and convolution parts."""
        numbers = generator(self.seed, salt)
        tensors = [
            # Drawn in float64, so that both precisions are given the same state.
            noise_like(tensor, numbers, self.noise, torch.float64) if part.touched else tensor
            for part, tensor in zip(self.parts, leaves(state), strict=True)
        ]
        return rebuild(state, tensors)

    def compared(self, found: tuple[Any, State], wanted: tuple[Any, State], allowed: Allowed) -> Gap:
        """The worst difference between two readings."""
        return self.worst(apart(found, wanted, self.floor), allowed)

    def worst(self, differences: Apart, allowed: Allowed) -> Gap:
        """The worst of the differences."""
        if self.in_doubt and all(bool((sizes <= self.tolerance).all()) for sizes in differences.values()):
            return worst(differences, {path: torch.full_like(t, self.tolerance) for path, t in differences.items()})
        return worst(differences, allowed())

    def judged(self, name: str, gap: Gap, good: str, bad: str, positions: int) -> Check:
        """The point `name`, by the worst that was found in reading so many positions at most."""
        if not gap.judged and not gap.broken:
            unasked = (
                "In this model rounding grows so fast that two sound ways of reading differ: nothing could be compared."
            )
            return Check(name, None, None, None, unasked, positions=positions)
        size = gap.size if math.isfinite(gap.size) else None
        allowed = gap.allowed if math.isfinite(gap.allowed) else self.tolerance
        return Check(name, not gap.broken, size, allowed, bad if gap.broken else good, positions=positions)


def with_ids_of(spec: InputSpec, inputs: Tensor, others: Tensor) -> Tensor:
    """Inputs with the ids of others: a last bit would make another id of one."""
    columns = [column for column, _ in spec.ids]
    if not columns:
        return inputs
    inputs = inputs.clone()
    inputs[..., columns] = others[..., columns]
    return inputs


def _last_bits(tensor: Tensor, numbers: torch.Generator) -> Tensor:
    """The tensor, each number changed by about its last bit."""
    if not continuous(tensor):
        return tensor
    noise = torch.randn(tensor.shape, generator=numbers, dtype=torch.float64).to(tensor.device)
    wide = tensor.to(torch.complex128 if tensor.is_complex() else torch.float64)
    return (wide * (1 + torch.finfo(tensor.dtype).eps * noise)).to(tensor.dtype)


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
    exact, double, widened = _in_best_precision(original, draw)
    return Subject(
        model=exact,
        original=original,
        parts=exact.state_parts(),
        draw=draw,
        double=double,
        tolerance=TOLERANCES[torch.float64] if double else _single_tolerance(exact),
        seed=seed,
        widened=widened,
    )


def _single_tolerance(model: Recurrent) -> float:
    """Of a model asked in float32; of one that computes in half precision all the same (a .onnx file), that of it."""
    own = Probe.of(model).narrowest
    return TOLERANCES[own if own in HALVES else torch.float32]


def in_use(s: Subject) -> tuple[Subject, Note | None]:
    """The subject in the precision in which it will be measured: its own, or float32 where that cannot be run here, and
    the note that says so. Inputs are float32, as streams give them."""
    model, note = runnable(s.original, s.draw(2, 3, "precision", torch.float32))
    model = copied(model)
    tolerance = TOLERANCES[Probe.of(model).narrowest]
    return replace(s, model=model, double=False, widened=False, tolerance=tolerance), note


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
            if model.input_spec is not None:
                drawn = model.input_spec.held(drawn)
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


def _in_best_precision(original: Recurrent, draw: Draw) -> tuple[Recurrent, bool, bool]:
    """A copy in float64 if every step of it can run there, whether it is one, and whether float32 in its code has to be
    taken for float64 (only where it then computes the same thing); else a copy in float32."""
    single, double = copied(original).float(), double_copy(original)
    # Inputs are drawn before: what draws them may be in float32, and is not the model's.
    inputs = draw(2, 5, "precision", torch.float64)
    expected = _tried(single, inputs.float() if inputs.is_floating_point() else inputs)
    for widened in (False, True):
        with in_float64() if widened else contextlib.nullcontext(), SeesSinglePrecision() as seen:
            found = _tried(double, inputs)
        if found is None or seen.found or not all(t.dtype in _DOUBLE for t in found.numbers):
            continue
        if expected is not None and found.raised and not expected.raised:  # a backward pass in float32 alone
            continue
        if widened and not (expected and _alike(found.numbers, expected.numbers)):
            continue
        return double, True, widened
    return single, False, False


_DOUBLE = (torch.float64, torch.complex128)


@dataclass(frozen=True)
class _Tried:
    """The numbers among outputs and final state, and whether the backward pass raised."""

    numbers: list[Tensor]
    raised: bool


def _tried(model: Recurrent, inputs: Tensor) -> _Tried | None:
    """What a model answers on a few positions; None where it raises."""
    try:
        with torch.no_grad():
            start = model.initial_state(2)
        state = map_state(lambda t: t.detach().clone().requires_grad_(continuous(t)), start)
        outputs, final = model(inputs, map_state(lambda t: 1 * t if continuous(t) else t, state))
        numbers = [tensor for tensor in (*leaves(outputs), *leaves(final)) if continuous(tensor)]
    except Exception:  # many modules have float32 written into them; that is no fault, and float32 is asked next
        return None
    roots = [tensor.abs().sum() for tensor in numbers if tensor.requires_grad]
    try:
        with torch.backends.cudnn.flags(enabled=False):
            if roots:
                points = [tensor for tensor in leaves(state) if continuous(tensor)]
                torch.autograd.grad(torch.stack(roots).sum(), points, allow_unused=True)
    except Exception:  # whether this is the model's fault is for gradient_through_state to say
        return _Tried([tensor.detach() for tensor in numbers], True)
    return _Tried([tensor.detach() for tensor in numbers], False)


def _alike(found: Sequence[Tensor], expected: Sequence[Tensor]) -> bool:
    pairs = zip(found, expected, strict=True)
    return all(difference(a.to(b.dtype), b) <= 1e-2 for a, b in pairs)
