"""What every family shares: input, a stack of blocks around a recurrent mixer, output."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from outlast import scan
from outlast.errors import InputError
from outlast.linear import Linear, product_dtype
from outlast.model import InputSpec, Recurrent
from outlast.scan.reference import compute_dtype
from outlast.sizes import MOST_LAYERS
from outlast.state import PartKind, State, StatePart
from outlast.unprojected import Unprojected, head_left_out, unprojected

Parts = tuple[tuple[str, PartKind, int | None], ...]
"""Field, kind and head axis of each tensor of a layer's state, in the order of its NamedTuple."""


class RMSNorm(nn.Module):
    """x / root mean square of x · weight (Zhang and Sennrich 2019), computed in float32 at least.

    Args:
        width: of the last axis of x.
        eps: added to the mean square.
        affine: whether there is a weight.
    """

    def __init__(self, width: int, eps: float = 1e-5, affine: bool = True) -> None:
        super().__init__()
        self.width, self.eps = width, eps
        self.weight: nn.Parameter | None = nn.Parameter(torch.ones(width)) if affine else None

    def forward(self, x: Tensor) -> Tensor:
        """(…, D) -> (…, D) in the dtype of the products behind it: that of the weight, or of autocast."""
        weight = self.weights(x)
        return scan.pick(recurrence="rms_norm")(x, weight, self.eps, product_dtype(weight))

    def gated(self, x: Tensor, gate: Tensor | None) -> Tensor:
        """silu(gate) · each head normed on its own: x (B, T, H, D), gate (B, T, H · D) -> (B, T, H · D) in the dtype of
        the gate; without a gate the norm alone."""
        if gate is None:
            return self(x).flatten(2)
        return scan.pick(recurrence="norm_gated")(x, gate, self.weights(x), self.eps)

    def weights(self, x: Tensor) -> Tensor:
        """(D,); ones where there is none."""
        return x.new_ones(self.width) if self.weight is None else self.weight


class Mixer(nn.Module, ABC):
    """The recurrent part of a block: ``y, state = mixer(x, state)`` with x and y (B, T, D)."""

    parts: Parts
    leaks: str = ""
    """The field of the state whose leak (`outlast.with_leak`) `forward` takes beside it: what its logarithm loses
    before every position, so shaped that it broadcasts against the field's tensor. Empty: it takes none."""

    @abstractmethod
    def initial_state(self, batch_size: int) -> Any:
        """A NamedTuple of zeros (B, …), B = `batch_size`, at least float32, on the parameters' device."""

    @abstractmethod
    def forward(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Read x (B, T, D) from `state`; return y (B, T, D) in the dtype of x and the state after it."""


@dataclass(frozen=True, kw_only=True)
class KeyedSizes:
    """What a layer of heads with keys and values is made from: D = `width`, H heads, H·K = `keys`, H·V = `values`.

    The options below `groups` are of other libraries' models; a family has their defaults.

    Args:
        groups: of heads that share keys and values; H for none that do.
        output_gate: whether there is one.
        eps, affine: of the norm of each head.
    """

    width: int
    heads: int
    keys: int
    values: int
    groups: int
    output_gate: bool = True
    eps: float = 1e-5
    affine: bool = True

    @property
    def split(self) -> list[int]:
        """Widths of queries, keys and values in the one projection of all three."""
        shared = self.heads // self.groups
        return [self.keys, self.keys // shared, self.values // shared]

    def memory(self, batch_size: int, weight: Tensor) -> Tensor:
        """Zeros (B, H, K, V), B = `batch_size`, where a weight lies."""
        shape = (batch_size, self.heads, self.keys // self.heads, self.values // self.heads)
        return torch.zeros(shape, dtype=compute_dtype(weight), device=weight.device)


@dataclass(frozen=True, kw_only=True)
class Settings(ABC):
    """What the settings of every family hold.

    Args:
        width: D, channels between blocks.
        layers: L, number of blocks.
        mlp: hidden width of the MLP after each mixer as a multiple of `width`; 0 for none.
        residual: whether mixers stand in pre-norm residual blocks before a final norm; otherwise they are plainly
            stacked.
    """

    width: int = 64
    layers: int = 2
    mlp: float = 0.0
    residual: bool = True

    def __post_init__(self) -> None:
        require(self.width >= 1 and self.layers >= 1, self, "width and layers of at least 1")
        require(self.layers <= MOST_LAYERS, self, f"at most {MOST_LAYERS} layers")
        require(self.mlp >= 0, self, "mlp of at least 0")
        require(self.residual or self.mlp == 0, self, "mlp = 0 where residual is false")

    @abstractmethod
    def mixer(self) -> Mixer:
        """A freshly initialised mixer."""

    def mixer_of(self, layer: int) -> Mixer:
        """The freshly initialised mixer of one layer, where layers differ; the same kind in all otherwise."""
        return self.mixer()


@dataclass(frozen=True, kw_only=True)
class KeyedSettings(Settings):
    """Settings of families whose heads have keys of another width than their values.

    Args:
        heads: H.
        key_share: width of all heads' keys as a share of `width`; values always have `width`.
    """

    heads: int = 2
    key_share: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.heads >= 1 and self.width % self.heads == 0, self, "a width that `heads` divides")
        require(
            self.keys >= 1 and self.keys % self.heads == 0,
            self,
            f"key_share · width (here {self.keys}) a multiple of heads",
        )

    @property
    def keys(self) -> int:
        """H·K, the width of all heads' keys."""
        return round(self.key_share * self.width)


def require(condition: bool, settings: Settings, expected: str) -> None:
    """Raise InputError naming `settings` and what was `expected` of them unless `condition` holds."""
    if not condition:
        raise InputError(str(settings), expected, "change the settings of the family")


class Layer(nn.Module, ABC):
    """One layer with its residuals: ``x, state = layer(x, state)`` with x (B, T, D)."""

    parts: Parts
    leaks: str = ""
    """As of `Mixer`; only of a state that starts from zeros, or as the logarithm of a factor."""

    @abstractmethod
    def initial_state(self, batch_size: int) -> Any:
        """A NamedTuple (B, …), B = `batch_size`, at least float32, on the parameters' device."""

    @abstractmethod
    def forward(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Read x (B, T, D) from `state`; return the residual stream (B, T, D) after the layer, and the state."""


class Block(Layer):
    """x + mixer(norm(x)), then x + mlp(x) where there is an MLP; or the mixer alone.

    Args:
        norm: before the mixer; None: there are no residuals, the mixer stands alone.
        mlp: with a norm of its own before it.
        float32_residual: whether the residual stream is at least float32, whatever the parameters.
    """

    def __init__(
        self, norm: nn.Module | None, mixer: Mixer, mlp: nn.Module | None = None, float32_residual: bool = False
    ) -> None:
        super().__init__()
        self.norm, self.mixer, self.mlp, self.float32_residual = norm, mixer, mlp, float32_residual
        self.parts, self.leaks = mixer.parts, mixer.leaks

    def initial_state(self, batch_size: int) -> Any:
        """The mixer's, B = `batch_size`."""
        return self.mixer.initial_state(batch_size)

    def forward(self, x: Tensor, state: Any, *more: Any, leak: Tensor | None = None) -> tuple[Tensor, Any]:
        """x (B, T, D) and the mixer's state -> (B, T, D) and the mixer's state after them.

        Args:
            more: what the mixer is handed beside them.
            leak: as `Mixer.leaks` says.
        """
        named = {} if leak is None else {"leak": leak}
        if self.norm is None:
            return self.mixer(x, state, *more, **named)
        y, state = self.mixer(self.norm(x), state, *more, **named)
        x = (x.to(compute_dtype(x)) if self.float32_residual else x) + y
        return x if self.mlp is None else x + self.mlp(x), state


def block(settings: Settings, mixer: Mixer) -> Block:
    """A family's block around a mixer."""
    width, hidden = settings.width, round(settings.mlp * settings.width)
    norm = RMSNorm(width) if settings.residual else None
    if not hidden:
        return Block(norm, mixer)
    return Block(norm, mixer, nn.Sequential(RMSNorm(width), Linear(width, hidden), nn.SiLU(), Linear(hidden, width)))


class Shell(Recurrent):
    """Embedding of tokens or projection of features -> layers -> norm -> head.

    Outputs are (B, T, `outputs`); the state is a tuple over layers of their NamedTuples. `outlast.families.build` is
    the way to make one.

    Args:
        inputs: what the model reads.
        outputs: size of the head.
        blueprint: what `outlast.modules.factory.from_blueprint` needs to build this model again.
        width: D.
        layers: in their order, each made only after the embedding, so that weights are drawn from first to last.
        norm: before the head.
        head_bias: whether the head has one.
    """

    def __init__(
        self,
        inputs: InputSpec,
        outputs: int,
        blueprint: dict[str, Any],
        *,
        width: int,
        layers: Iterable[Layer],
        norm: nn.Module,
        head_bias: bool = True,
    ) -> None:
        super().__init__()
        self.input_spec: InputSpec | None = inputs
        self.blueprint: dict[str, Any] = blueprint
        embed = nn.Embedding if inputs.kind == "tokens" else Linear
        self.embed: nn.Embedding | Linear = embed(inputs.size, width)
        self.blocks: nn.ModuleList = nn.ModuleList(layers)
        self.norm: nn.Module = norm
        self.head: Linear = Linear(width, outputs, bias=head_bias)

    @property
    def layers(self) -> list[Layer]:
        """From the first to the last."""
        return list(self.blocks)  # pyright: ignore[reportReturnType]

    def initial_state(self, batch_size: int) -> State:
        """Zeros (B, …), B = `batch_size`: a tuple over layers."""
        return tuple(layer.initial_state(batch_size) for layer in self.layers)

    def state_parts(self) -> tuple[StatePart, ...]:
        """Paths such as ``layers.0.state``, in the order of `outlast.state.leaves`."""
        return tuple(
            StatePart(f"layers.{i}.{field}", kind, head_axis)
            for i, layer in enumerate(self.layers)
            for field, kind, head_axis in layer.parts
        )

    def leaks_at_once(self) -> set[str]:
        """Paths of the parts of which `forward` takes a leak."""
        own = type(self)
        if own.initial_state is not Shell.initial_state or own.forward is not Shell.forward or not _leaks(own.through):
            return set()
        return {f"layers.{i}.{layer.leaks}" for i, layer in enumerate(self.layers) if _leaks(type(layer).forward)}

    def forward(
        self, inputs: Tensor, state: State, leak: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor | Unprojected, State]:
        """Tokens (B, T) or features (B, T, F) -> outputs (B, T, `outputs`) and the state after them.

        Args:
            leak: by the path of a part, as `Mixer.leaks` says; of parts that `leaks_at_once` lists.

        Raises:
            InputError: inputs of another shape or kind, or a state of another number of layers.
        """
        x = self.embedded(self._checked(inputs))
        if len(state) != len(self.blocks):
            raise InputError(
                f"a state of {len(state)} layers", f"{len(self.blocks)} layers", "start from model.initial_state(B)"
            )
        x, after = self.through(x, state, leak)
        return self.predicted(self.norm(x)), tuple(after)

    def embedded(self, inputs: Tensor) -> Tensor:
        """Tokens (B, T) or features (B, T, F) -> what the first layer reads (B, T, D)."""
        return self.embed(inputs)

    def through(self, x: Tensor, state: State, leak: Mapping[str, Tensor] | None = None) -> tuple[Tensor, list[Any]]:
        """The embedding x (B, T, D) -> the residual stream (B, T, D) after all layers, and their states."""
        after = []
        for layer, before, lost in zip(self.layers, state, self.by_layer(leak), strict=True):
            x, new = layer(x, before, **lost)
            after.append(new)
        return x, after

    def by_layer(self, leak: Mapping[str, Tensor] | None) -> list[dict[str, Tensor]]:
        """A leak (B, …), as `forward` is told it, as the argument of each layer; empty: it has none."""
        paths = [f"layers.{i}.{layer.leaks}" for i, layer in enumerate(self.layers)]
        return [{"leak": leak[path]} if leak and path in leak else {} for path in paths]

    def predicted(self, x: Tensor) -> Tensor | Unprojected:
        """x (B, T, D), after the norm -> outputs (B, T, `outputs`)."""
        return unprojected(x, self.head) if head_left_out(self, self.head) else self.head(x)

    def _checked(self, inputs: Tensor) -> Tensor:
        """Tokens (B, T) as they are, or features (B, T, F); InputError for others."""
        spec = self.input_spec
        assert spec is not None
        given = f"inputs {tuple(inputs.shape)} of {inputs.dtype}"
        if spec.kind == "tokens":
            if inputs.dim() != 2 or inputs.shape[1] == 0 or inputs.is_floating_point():
                raise InputError(given, f"integer tokens (B, T), T ≥ 1, below {spec.size}", "pass token numbers")
            return inputs
        if inputs.dim() != 3 or inputs.shape[1] == 0 or inputs.shape[2] != spec.size or not inputs.is_floating_point():
            raise InputError(given, f"floating features (B, T, {spec.size}), T ≥ 1", f"pass {spec.size} channels")
        return inputs


def _leaks(function: Callable[..., Any]) -> bool:
    """Whether a method takes a leak."""
    return "leak" in inspect.signature(function).parameters
