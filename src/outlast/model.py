"""What outlast asks of a model: a function ``(inputs, state) -> (outputs, state)`` that says where it starts."""

from __future__ import annotations

import contextlib
import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from outlast.arguments import taking_fields
from outlast.errors import InputError
from outlast.schema import Schema
from outlast.state import State, StatePart, default_parts
from outlast.turns import freely


@taking_fields
@dataclass(frozen=True, repr=False)
class InputSpec:
    """What a model reads: ``tokens`` (B, T) int64 below `size`, or ``features`` (B, T, `size`) floats.

    Args:
        ids: features that hold ids instead of sizes, each with how many there are: ``(4, 3)``: column 4 holds 0 to 2.
        static: features that do not change along a stream, for the model reads them once a call.
        names: of the features, for people and to tell which is which.
    """

    kind: Literal["tokens", "features"]
    size: int
    ids: tuple[tuple[int, int], ...] = ()
    static: tuple[int, ...] = ()
    names: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", tuple((int(column), int(count)) for column, count in self.ids))
        for name in ("static", "names"):  # lists, as they come from JSON
            object.__setattr__(self, name, tuple(getattr(self, name)))
        columns = [column for column, _ in self.ids]
        places = {*columns, *self.static} <= set(range(self.size if self.kind == "features" else 0))
        if not places or len(set(columns)) < len(columns) or any(count < 1 for _, count in self.ids):
            raise InputError(
                f"{self!r}",
                "ids and static with columns of the features, from 0; ids each with how many there are, 1 or more",
                "for example InputSpec('features', 5, ids=((4, 3),))",
            )

    def __repr__(self) -> str:
        said = {name: value for name in ("ids", "static") if (value := getattr(self, name))}
        more = "".join(f", {name}={value!r}" for name, value in said.items())
        return f"InputSpec(kind={self.kind!r}, size={self.size}{more})"

    def random(self, rows: int, length: int, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> Tensor:
        """Random inputs of this kind, shape (rows, length) or (rows, length, size)."""
        if self.kind == "tokens":
            return torch.randint(self.size, (rows, length), generator=generator)
        found = torch.randn(rows, length, self.size, generator=generator, dtype=dtype)
        for column, count in self.ids:
            found[..., column] = torch.randint(count, (rows, length), generator=generator).to(dtype)
        return self.held(found)

    def held(self, features: Tensor) -> Tensor:
        """Features (B, T, F), of which those that do not change have the values of the first position."""
        if self.static:
            features = features.clone()
            features[..., list(self.static)] = features[:, :1, list(self.static)]
        return features

    def record(self) -> dict[str, Any]:
        """As JSON: the arguments that make it again."""
        more = {"ids": [list(each) for each in self.ids], "static": list(self.static), "names": list(self.names)}
        return {"kind": self.kind, "size": self.size, **{name: value for name, value in more.items() if value}}


class Recurrent(nn.Module, ABC):
    """A recurrent model: families and adapters derive from it.

    ``outputs, state = model(inputs, state)`` with inputs (B, T) or (B, T, F) and outputs (B, T, …). Features may be of
    any floating dtype: here, and nowhere else, they are given to `forward` in `input_dtype`. States keep the dtypes
    that `initial_state` and `forward` give them.
    """

    input_spec: InputSpec | None = None
    """What the model reads, where it is known."""
    schema: Schema | None = None
    """What its inputs and outputs mean, where it was trained on a table; saved with it."""
    tokeniser: Mapping[str, bytes] | None = None
    """The files of the tokeniser whose tokens it reads, by name, where that is known; saved with it."""
    without_gradients: str = ""
    """Why no gradient can be had of it, and what to use in its place, where that is so; else empty."""

    @property
    def named(self) -> str:
        """The name of the class that a person wrote: of a module that was made recurrent, the module's own."""
        inner = self._modules.get("module")
        own = inner if inner is not None and type(self).__module__.startswith("outlast.") else self
        return getattr(own, "original_name", None) or type(own).__name__

    def __repr__(self) -> str:
        """What it is in one line; ``print(model.module)`` or a loop over `modules()` shows what it is made of."""
        told = [f"{self.numbers:,} parameters"]
        if self.input_spec is not None:
            told.append(f"reads {self.input_spec.kind} ({self.input_spec.size})")
        with contextlib.suppress(Exception):  # of a module of somebody's, which is shown all the same
            parts = [f"{part.path} ({part.kind})" for part in self.state_parts()]
            more = f" and {len(parts) - 4} more" if len(parts) > 4 else ""
            told.append(f"state {', '.join(parts[:4])}{more}")
        return f"<{self.named}: {', '.join(told)}>"

    @property
    def numbers(self) -> int:
        """How many numbers its weights have."""
        return sum(parameter.numel() for parameter in self.parameters())

    @property
    def input_dtype(self) -> torch.dtype:
        """The dtype in which features reach `forward`: that of the first floating parameter. A model of several dtypes
        whose reading layer is not its first overrides it."""
        return dtype_of(self)

    def __call__(self, inputs: Any, *rest: Any, **named: Any) -> Any:
        if isinstance(inputs, Tensor) and inputs.is_floating_point():
            inputs = inputs.to(self.input_dtype)
        if type(self).__module__.startswith("outlast."):  # which keep nothing, or see to it themselves
            return super().__call__(inputs, *rest, **named)
        return freely(
            self, getattr(inputs, "shape", None), lambda: super(Recurrent, self).__call__(inputs, *rest, **named)
        )

    @property
    def forgets(self) -> int | None:
        """How many positions attention sees at most, the present one included, where the library that the model comes
        from lets it see more; None: nothing of the kind."""
        return None

    @abstractmethod
    def initial_state(self, batch_size: int) -> State:
        """The state before anything was read, `batch_size` rows, on the parameters' device."""

    @abstractmethod
    def forward(self, inputs: Tensor, state: State) -> tuple[Any, State]:
        """Read `inputs` (B, T, …) from `state`; return outputs (B, T, …) and the state after them."""

    def state_parts(self) -> tuple[StatePart, ...]:
        """The names of the state's tensors, in the order of `outlast.state.leaves`."""
        with torch.no_grad():
            return default_parts(self.initial_state(1))


@contextlib.contextmanager
def quietly(module: nn.Module) -> Iterator[None]:
    """Eval mode and no gradients inside; afterwards every submodule is in the mode it was in. Of one in eval mode
    already nothing is touched, so that other threads may read it meanwhile."""
    learning = [inner for inner in module.modules() if inner.training]
    try:
        with torch.no_grad():
            if learning:
                module.eval()
            yield
    finally:
        for inner in learning:
            inner.training = True


def device_of(model: nn.Module) -> torch.device:
    """The device of the first parameter or buffer (CPU where there is none)."""
    for tensor in (*model.parameters(), *model.buffers()):
        return tensor.device
    return torch.device("cpu")


def dtype_of(model: nn.Module) -> torch.dtype:
    """The dtype of the first floating parameter, or else buffer (float32 where there is none)."""
    for tensor in itertools.chain(model.parameters(), model.buffers()):  # asked at every call: stops at the first
        if tensor.is_floating_point():
            return tensor.dtype
    return torch.float32
