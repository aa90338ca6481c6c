"""What helps now, without training: at every position the state is drawn a little towards the initial state.

A state that is carried for long leaves the region that training has seen; a leak keeps it there, at the cost of one
copy. The idea is old: forget gates (Gers and others 2000) and leaky integrators.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from outlast.arguments import at_least, taking
from outlast.errors import InputError, unknown_name
from outlast.families.shell import Shell
from outlast.model import Recurrent
from outlast.modules.adapting import adapt
from outlast.modules.resetting import Around, WithReset
from outlast.state import State, StatePart, at_least_float32, continuous, leaves, map_state, rebuild

PIECES = 8
"""Pieces of τ / 8 positions and shorter are near enough to a leak at every position to be called one."""
_EXPONENTS = {"stabiliser": ("memory", "normaliser"), "exponent": ("numerator", "denominator")}
"""Fields that hold the logarithm of a factor of others: those leak together, by a step of the logarithm alone."""


class LeakState(NamedTuple):
    """Positions read since the start (B,) int64, and the state of the model inside."""

    read: Tensor
    inner: State


class WithLeak(Around):
    """A model whose state s becomes s₀ + exp(−1/τ) (s − s₀) before every position, s₀ being its initial state.

    What the position writes is as it was, and so is a state that is handed out: it leaks when the next position is
    read. `outlast.with_leak` says what the arguments mean.
    """

    def __init__(
        self,
        model: Recurrent,
        tau: float | Mapping[str, Any],
        parts: Sequence[str] | None = None,
        every: int = 1,
        from_age: int = 0,
    ) -> None:
        if isinstance(model, Around):
            raise InputError(
                f"a leak around a model that is {model.named}",
                "one leak, and none around a reset",
                "outlast.with_reset(with_leak(…), …)" if isinstance(model, WithReset) else "leave the other one out",
            )
        own = model.state_parts()
        tau, named = (dict(tau) if isinstance(tau, Mapping) else float(tau)), None if parts is None else list(parts)
        super().__init__(model)
        self.settings: dict[str, Any] = {"tau": tau, "parts": named, "every": every, "from_age": from_age}
        """As JSON: the arguments that make it again."""
        self.rates: dict[str, Any] = _rates(own, _start(model), tau, parts)
        """1/τ by the path of a part; of parts with heads a number, or one for each head. A tensor may stand in its
        place, and gets its gradient."""
        shortest = min(1 / (max(rate) if isinstance(rate, list) else rate) for rate in self.rates.values())
        if at_least(1, every, "every") > max(1.0, shortest / PIECES):
            raise InputError(
                f"every={every} with tau={shortest:g}",
                f"pieces of at most tau / {PIECES} positions, or of 1",
                f"for example every={max(1, int(shortest / PIECES))}",
            )
        self.every: int = every
        self.shortest: float = shortest
        self.from_age: int = at_least(0, from_age, "from_age")
        self._own = own
        self._exponents = {part.path for part in own if _is_exponent(part, own)}

    @property
    def named(self) -> str:
        tau = self.settings["tau"]
        told = f"{tau:g}" if isinstance(tau, float) else "by part"
        pieces = f" in pieces of {self.every}" if self.every > 1 else ""
        return f"{self.model.named}, leak {told}{pieces}{f' from age {self.from_age}' if self.from_age else ''}"

    @property
    def counts(self) -> bool:
        """Whether the state counts positions: a leak at every position, from the first on, needs no counter."""
        return self.every > 1 or self.from_age > 0

    def initial_state(self, batch_size: int) -> State:
        inner = self.model.initial_state(batch_size)
        if not self.counts:
            return inner
        return LeakState(torch.zeros(batch_size, dtype=torch.int64, device=leaves(inner)[0].device), inner)

    def state_parts(self) -> tuple[StatePart, ...]:
        inner = self.model.state_parts()
        return (StatePart("read", "counter"), *inner) if self.counts else inner

    def forward(self, inputs: Tensor, state: State) -> tuple[Any, State]:
        length, pieces, begin = inputs.shape[1], [], 0
        if length == 1:
            return self.piece(inputs, state)
        at_once = self.at_once
        read_on = self._at_once if at_once else self.piece
        while begin < length:
            stop = min(begin + self._until(state, length if at_once else 1), length)
            output, state = read_on(inputs[:, begin:stop], state)
            pieces.append(output)
            begin = stop
        return map_state(lambda *tensors: torch.cat(tensors, 1), *pieces), state

    @property
    def at_once(self) -> bool:
        """Whether the model takes the leak as part of its own recurrence, so that many positions are read at once."""
        if self.every > 1 or not isinstance(self.model, Shell) or self.shortest < 1:
            return False
        return self.rates.keys() <= self.model.leaks_at_once()

    def _at_once(self, inputs: Tensor, state: State) -> tuple[Any, State]:
        """Read `inputs` (B, T, …), during which no row begins to leak."""
        read, inner = state if self.counts else (None, state)
        due = None if read is None else read >= self.from_age
        if due is not None and not bool(due.any()):  # bit for bit what it was
            outputs, after = self.model(inputs, inner)
        else:
            pairs = zip(self._own, leaves(inner), strict=True)
            leak = {part.path: self._amount(part, each, due) for part, each in pairs if part.path in self.rates}
            outputs, after = self.model(inputs, inner, leak=leak)
        return outputs, after if read is None else LeakState(read + inputs.shape[1], after)

    def _amount(self, part: StatePart, tensor: Tensor, due: Tensor | None) -> Tensor:
        """What the logarithm of a part (B, …) loses at a leak, shaped to broadcast against it; 0 where none is due."""
        amount = _over(self.rates[part.path], part, tensor) * self.every
        return amount if due is None else amount * due.view(-1, *([1] * (tensor.dim() - 1)))

    def _until(self, state: State, most: int) -> int:
        """Positions that can be read in one call: up to the next leak of any row, which stands on a multiple of `every`
        of the row's own positions. Where leaks are taken at once, it is `most`, or up to the first leak of a row."""
        if not self.counts:
            return most
        left, young = self.every - state.read % self.every, self.from_age - state.read
        if self.at_once:
            left = torch.where(young > 0, young, most)
        return int(torch.maximum(left, young).min())

    def piece(self, inputs: Tensor, state: State) -> tuple[Any, State]:
        """Read `inputs` (B, T, …), of which no position but the first is due for a leak, such as one position."""
        if not self.counts:
            return self.model(inputs, self._leaked(state, None))
        read, inner = state
        due = (read % self.every == 0) & (read >= self.from_age)
        outputs, after = self.model(inputs, self._leaked(inner, due))
        return outputs, LeakState(read + inputs.shape[1], after)

    def _leaked(self, state: State, due: Tensor | None) -> State:
        """The state, tensors (B, …), as the next position finds it: `due` (B,) are the rows that leak; None: all."""
        given = leaves(state)
        starts = leaves(self.model.initial_state(given[0].shape[0]))
        made = []
        for part, tensor, start in zip(self._own, given, starts, strict=True):
            if part.path not in self.rates:
                made.append(tensor)
                continue
            amount = self._amount(part, tensor, due)
            wide = at_least_float32(tensor)
            # Written so that rows which are not due stay bit for bit what they were.
            drawn = wide - amount if part.path in self._exponents else wide + torch.expm1(-amount) * (wide - start)
            made.append(drawn.to(tensor.dtype))
        return rebuild(state, made)


def _over(rate: Any, part: StatePart, tensor: Tensor) -> Tensor:
    """1/τ, a number or one for each head, so that it broadcasts against the part's tensor (B, …)."""
    real = at_least_float32(tensor.real if tensor.is_complex() else tensor)
    found = torch.as_tensor(rate, dtype=real.dtype, device=tensor.device)
    if found.dim() == 0:
        return found.view([1] * tensor.dim())
    return found.view([-1 if axis == part.head_axis else 1 for axis in range(tensor.dim())])


def _start(model: Recurrent) -> list[Tensor]:
    with torch.no_grad():
        return leaves(model.initial_state(1))


def _siblings(part: StatePart, parts: Sequence[StatePart]) -> set[str]:
    """The fields of the layer that a part belongs to."""
    return {_field(other) for other in parts if _layer(other) == _layer(part)}


def _field(part: StatePart) -> str:
    return part.path.rpartition(".")[2]


def _is_exponent(part: StatePart, parts: Sequence[StatePart]) -> bool:
    # transformers' xLSTM keeps memory, normaliser and stabiliser in this order.
    third = part.path.endswith(".recurrent.2") and _siblings(part, parts) == {"0", "1", "2"}
    return third or set(_EXPONENTS.get(_field(part), "?")) <= _siblings(part, parts)


def usual_parts(parts: Sequence[StatePart], start: Sequence[Tensor]) -> list[str]:
    """Paths of the parts that leak where nobody names any: memories of recurrent layers.

    Not convolutions, shifted inputs, attention and counters; not the hidden state beside a cell; not what has one
    number a row, which may be an angle or a count; and of a memory that is kept with the logarithm of a factor, that
    logarithm alone.
    """
    kept = []
    for part, tensor in zip(parts, start, strict=True):
        siblings = _siblings(part, parts)
        scaled = next((p for p in parts if _is_exponent(p, parts) and _layer(p) == _layer(part)), None)
        if part.kind != "recurrent" or not continuous(tensor) or (scaled not in (None, part)):
            continue
        if _field(part) == "hidden" and "cell" in siblings:
            continue
        if tensor.numel() > 1 or scaled is part:
            kept.append(part.path)
    return kept


def memories(model: Recurrent) -> list[str]:
    """Paths of the parts of a model that leak where nobody names any; none: it has no recurrent memory."""
    return usual_parts(model.state_parts(), _start(model))


def _layer(part: StatePart) -> str:
    return part.path.rpartition(".")[0]


def _rates(
    own: Sequence[StatePart], start: Sequence[Tensor], tau: float | Mapping[str, Any], parts: Sequence[str] | None
) -> dict[str, Any]:
    if isinstance(tau, Mapping) and parts is not None:
        raise InputError("tau by part, and parts", "one of them", "leave parts out: the names in tau are the parts")
    chosen = usual_parts(own, start) if parts is None and not isinstance(tau, Mapping) else []
    wanted = dict.fromkeys(chosen, tau) | (dict(tau) if isinstance(tau, Mapping) else dict.fromkeys(parts or (), tau))
    if not wanted:
        raise InputError(
            "a leak of no part of the state", "a model with a recurrent memory, or parts named", "pass parts=[…]"
        )
    tensors = dict(zip((part.path for part in own), start, strict=True))
    rates: dict[str, Any] = {}
    for name, value in wanted.items():
        named = [part for part in own if name == part.path or part.path.endswith(f".{name}")]
        if not named:
            raise unknown_name("part of the state", name, [part.path for part in own])
        for part in named:
            if part.kind != "recurrent" or not continuous(tensors[part.path]):
                raise InputError(f"a leak of {part.path}, of the kind {part.kind}", "a recurrent part", "leave it out")
            rates[part.path] = _rate(value, part, tensors[part.path])
    return rates


def _rate(tau: Any, part: StatePart, tensor: Tensor) -> float | list[float]:
    """1/τ of one part: a number, or one for each head."""
    several: list[Any] | None = list(tau) if isinstance(tau, Sequence) and not isinstance(tau, str) else None
    heads = None if part.head_axis is None else tensor.shape[part.head_axis]
    numbers: list[Any] = [tau] if several is None else several
    if not all(isinstance(n, int | float) and 0 < n < math.inf for n in numbers):
        raise InputError(f"tau={tau!r}", "numbers of positions above 0", "for example the training context")
    if several is None:
        return 1 / numbers[0]
    if len(several) != heads:
        raise InputError(f"{len(several)} numbers for {part.path}", f"{heads or 'no'} heads", "give one number")
    return [1 / number for number in numbers]


@taking
def with_leak(
    model: nn.Module,
    tau: float | Mapping[str, Any],
    parts: Sequence[str] | None = None,
    every: int = 1,
    from_age: int = 0,
) -> WithLeak:
    """`model`, whose state is drawn a little towards its initial state before every position.

    A module is adapted first. The state s becomes s₀ + exp(−1/τ) (s − s₀): what is older than some τ positions fades,
    and a state never gets far from where training has been. It costs one copy. The training context is a good first τ.

    Args:
        tau: τ in positions, above 0: smaller forgets sooner. By part: a mapping from names as in `parts` to τ, or to
            one τ for each head.
        parts: which parts leak, by their paths in `model.state_parts()` or their last names, such as ``hidden``. None:
            the recurrent memories; of an LSTM its cells.
        every: leak once in so many positions, by as much as in all of them; at most τ / 8. 1 is exact; more is faster
            where a call for every position is slow, and is another model, measured as what it is.
        from_age: leak only at positions from this one on, counted from the start; before, the model is bit for bit
            what it was.

    Raises:
        InputError: a number out of range, unknown parts, parts that are no recurrent memory, or a module that cannot
            be adapted, such as a bidirectional one.
    """
    return WithLeak(adapt(model), tau, parts, every, from_age)
