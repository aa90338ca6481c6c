"""The state of a recurrent model: what it is, and each operation on it once.

A state is a tuple over layers of NamedTuples of tensors. Every tensor is batch-first, (B, …), its shape does not depend
on the position in the stream, and it is never edited in place. `StatePart` names the tensors in the order in which
`leaves` returns them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

State = Any
"""A nested tuple (or NamedTuple, list, dict) of tensors (B, …)."""

HALVES = (torch.float16, torch.bfloat16)
"""The half precisions."""

PartKind = Literal["recurrent", "convolution", "attention", "counter"]


@dataclass(frozen=True)
class StatePart:
    """One named tensor of the state.

    Args:
        path: where it sits, such as ``layers.3.cell``.
        kind: ``recurrent`` and ``convolution`` parts are what interventions touch; ``attention`` windows start
            empty; a ``counter`` never gets noise.
        head_axis: the axis of the batch-first tensor that runs over heads, or None.
    """

    path: str
    kind: PartKind = "recurrent"
    head_axis: int | None = None

    @property
    def touched(self) -> bool:
        """Whether an intervention may choose this part."""
        return self.kind in ("recurrent", "convolution")


def named_leaves(state: State, prefix: str = "layers") -> Iterator[tuple[str, Tensor]]:
    """Each tensor (B, …) of the state with its path, depth first, in a fixed order."""
    if isinstance(state, Tensor):
        yield prefix, state
    elif isinstance(state, dict):
        for key in sorted(state):
            yield from named_leaves(state[key], f"{prefix}.{key}")
    elif isinstance(state, tuple | list):
        names = getattr(state, "_fields", range(len(state)))
        for name, child in zip(names, state, strict=True):
            yield from named_leaves(child, f"{prefix}.{name}")
    elif state is not None:
        raise TypeError(f"a state holds tensors in tuples, lists and dicts; found {type(state).__name__} at {prefix}")


def leaves(state: State) -> list[Tensor]:
    """The tensors (B, …) of the state, in the order of `named_leaves`."""
    found: list[Tensor] = []
    try:
        _gather(state, found)
    except TypeError:
        return [tensor for _, tensor in named_leaves(state)]  # which says where the fault lies
    return found


def _gather(state: State, found: list[Tensor]) -> None:
    """Add the tensors (B, …); without names, whose making takes longer than a small model's step."""
    if isinstance(state, Tensor):
        found.append(state)
    elif isinstance(state, tuple | list):
        for child in state:
            _gather(child, found)
    elif isinstance(state, dict):
        for key in sorted(state):
            _gather(state[key], found)
    elif state is not None:
        raise TypeError(type(state).__name__)


def rebuild(state: State, tensors: Sequence[Tensor]) -> State:
    """A state of the same structure holding `tensors`, of any shape, in the order of `leaves`.

    Raises:
        ValueError: not as many tensors as the state holds.
    """
    wanted = len(leaves(state))
    if len(tensors) != wanted:
        raise ValueError(f"{len(tensors)} tensors for a state of {wanted}")
    return _filled(state, iter(tensors))


def _filled(node: State, queue: Iterator[Tensor]) -> State:
    """`node` with its tensors replaced by the next ones of the queue, of any shape."""
    # No closure: one that calls itself would keep the tensors until the next collection of cycles.
    if isinstance(node, Tensor):
        return next(queue)
    if isinstance(node, dict):
        return {key: _filled(node[key], queue) for key in sorted(node)}
    if node is None:
        return None
    children = [_filled(child, queue) for child in node]
    return type(node)(*children) if hasattr(node, "_fields") else type(node)(children)


def map_state(function: Callable[..., Tensor], first: State, *others: State) -> State:
    """Apply `function` to corresponding tensors (B, …) of one or more states of the same structure.

    What `function` returns may be of any shape.
    """
    columns = [leaves(first), *(leaves(other) for other in others)]
    return rebuild(first, [function(*row) for row in zip(*columns, strict=True)])


def continuous(tensor: Tensor) -> bool:
    """Whether a tensor, of any shape, holds real or complex numbers: what noise and distances have a meaning for."""
    return tensor.is_floating_point() or tensor.is_complex()


def as_real(tensor: Tensor) -> Tensor:
    """Complex numbers, of any shape, as their real and imaginary parts on a last axis of 2; others as they are."""
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor


def as_like(numbers: Tensor, like: Tensor) -> Tensor:
    """What `as_real` gave, of any shape, on the device and in the dtype of `like`: complex again where that is."""
    if not like.is_complex():
        return numbers.to(like)
    return torch.view_as_complex(numbers.to(like.device, like.real.dtype).contiguous())


def in_double(tensor: Tensor) -> Tensor:
    """Real numbers, of any shape, in float64, complex ones in complex128; others as they are."""
    return tensor.to(torch.complex128) if tensor.is_complex() else tensor.double() if continuous(tensor) else tensor


def noise_like(tensor: Tensor, generator: torch.Generator, std: float, drawn_in: torch.dtype | None = None) -> Tensor:
    """Gaussian noise of the shape (B, …), dtype and device of a tensor.

    Args:
        generator: on the CPU, where the numbers are drawn.
        std: standard deviation; of complex numbers, of their real and of their imaginary parts each.
        drawn_in: floating dtype in which the numbers are drawn; None: float32.
    """
    real = as_real(tensor)
    return as_like(torch.randn(real.shape, generator=generator, dtype=drawn_in).to(real) * std, tensor)


def default_parts(state: State) -> tuple[StatePart, ...]:
    """Part names for a model that declares none: tensors (B, …) of real or complex numbers are recurrent, others are
    counters."""
    return tuple(
        StatePart(path, "recurrent" if continuous(tensor) else "counter") for path, tensor in named_leaves(state)
    )


def rows_of(state: State) -> int:
    """The number of rows B of tensors (B, …)."""
    return leaves(state)[0].shape[0]


def _over_rows(mask: Tensor, like: Tensor) -> Tensor:
    """A mask (B,) as (B, 1, …, 1), of as many axes as `like` (B, …) has."""
    return mask.to(like.device).view(-1, *([1] * (like.dim() - 1)))


def select(state: State, rows: Tensor) -> State:
    """The rows `rows` of the state, tensors (B, …) -> (N, …).

    Args:
        rows: int64 indices (N,), or a boolean mask (B,) that is true N times.
    """
    return map_state(lambda tensor: tensor[rows.to(tensor.device)], state)


def where(mask: Tensor, chosen: State, otherwise: State) -> State:
    """Row by row of tensors (B, …): `chosen` where `mask`, (B,) bool, is true, else `otherwise`."""
    return map_state(lambda a, b: torch.where(_over_rows(mask, a), a, b), chosen, otherwise)


def concatenate(states: Sequence[State]) -> State:
    """Stack the rows of several states of one structure, tensors (B, …) of each below one another."""
    return map_state(lambda *tensors: torch.cat(tensors), states[0], *states[1:])


def interpolate(start: State, end: State, weight: float) -> State:
    """(1 − weight)·start + weight·end on tensors (B, …) of real or complex numbers; others come from the nearer end."""

    def mix(a: Tensor, b: Tensor) -> Tensor:
        """(B, …) and (B, …) -> (B, …)."""
        return torch.lerp(a, b, weight) if continuous(a) else (b if weight >= 0.5 else a)

    return map_state(mix, start, end)


def detach(state: State) -> State:
    """The same values, tensors (B, …), cut from the graph."""
    return map_state(Tensor.detach, state)


def to(state: State, device: torch.device | str) -> State:
    """The state, tensors (B, …), on another device."""
    return map_state(lambda tensor: tensor.to(device), state)


def at_least_float32(tensor: Tensor) -> Tensor:
    """A floating tensor, of any shape, in its own dtype, or in float32 where that is a half precision."""
    return tensor.float() if tensor.dtype in HALVES else tensor


def flatten(state: State, parts: Sequence[StatePart]) -> dict[str, Tensor]:
    """Each part as a (B, D) matrix of real numbers, by path; a part of one number a row, such as a counter, as (B, 1).
    Of complex numbers the real and the imaginary part stand side by side."""
    return {part.path: as_matrix(tensor) for part, tensor in zip(parts, leaves(state), strict=True)}


def as_matrix(tensor: Tensor) -> Tensor:
    """One tensor (B, …) as `flatten` gives it, (B, D)."""
    tensor = as_real(tensor)
    return tensor.flatten(1) if tensor.dim() > 1 else tensor[:, None]


def choose_parts(parts: Sequence[StatePart], touched: State, untouched: State) -> State:
    """`touched` for the parts that interventions may choose, `untouched` for the rest; both of tensors (B, …)."""
    pairs = zip(parts, leaves(touched), leaves(untouched), strict=True)
    return rebuild(touched, [a if part.touched else b for part, a, b in pairs])


@dataclass(frozen=True)
class PartStatistics:
    """Running mean and variance of one part over rows and over all axes but the head axis.

    `mean` and `m2` broadcast against the part's tensor: shape (1, …, H, …, 1), float64. Of complex numbers they are
    those of the real and of the imaginary parts, and broadcast against `as_real` of the tensor: (1, …, H, …, 1, 2).
    """

    count: float
    mean: Tensor
    m2: Tensor

    @property
    def std(self) -> Tensor:
        """Standard deviation, (1, …, H, …, 1) as `mean`."""
        return (self.m2 / max(self.count, 1.0)).sqrt()


def part_statistics(tensor: Tensor, part: StatePart) -> PartStatistics:
    """Statistics of one batch (B, …) of one part (population variance, in float64)."""
    axes = [axis for axis in range(tensor.dim()) if axis != part.head_axis]
    values = as_real(tensor.detach()).double()
    mean = values.mean(axes, keepdim=True)
    return PartStatistics(values.numel() / mean.numel(), mean, ((values - mean) ** 2).sum(axes, keepdim=True))


def noise_of(fitted: PartStatistics, tensor: Tensor, generator: torch.Generator) -> Tensor:
    """Gaussian noise of these statistics, of the shape (B, …), dtype and device of a tensor."""
    real = as_real(tensor)
    noise = torch.randn(real.shape, generator=generator).to(real)
    return as_like(noise * fitted.std.to(real) + fitted.mean.to(real), tensor)


def merge_statistics(a: PartStatistics, b: PartStatistics) -> PartStatistics:
    """Statistics of the union of two samples (Chan, Golub and LeVeque 1979)."""
    count = a.count + b.count
    delta = b.mean - a.mean
    mean = a.mean + delta * (b.count / count)
    return PartStatistics(count, mean, a.m2 + b.m2 + delta**2 * (a.count * b.count / count))


def statistics(
    state: State, parts: Sequence[StatePart], before: Sequence[PartStatistics] | None = None
) -> list[PartStatistics]:
    """Running statistics of every part: of `state`, tensors (B, …), alone, or joined with what came `before`."""
    now = [part_statistics(tensor, part) for tensor, part in zip(leaves(state), parts, strict=True)]
    return now if before is None else [merge_statistics(old, new) for old, new in zip(before, now, strict=True)]
