"""What every family shares: input, a stack of blocks around a recurrent mixer, output."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from outlast import scan
from outlast.errors import InputError
from outlast.linear import Linear, product_dtype
from outlast.model import InputSpec, Recurrent
from outlast.sizes import MOST_LAYERS
from outlast.state import PartKind, State, StatePart
from outlast.unprojected import Unprojected, head_left_out, unprojected


class RMSNorm(nn.Module):
    """x / root mean square of x · weight (Zhang and Sennrich 2019), computed in float32 at least.

    Args:
        width: of the last axis of x.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.eps: float = 1e-5
        self.weight: nn.Parameter = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """(…, D) -> (…, D) in the dtype of x; under autocast in that in which the products behind it are taken."""
        return scan.pick(recurrence="rms_norm")(x, self.weight, self.eps, product_dtype(x))

    def gated(self, x: Tensor, gate: Tensor) -> Tensor:
        """silu(gate) · each head normed on its own: x (B, T, H, D), gate (B, T, H · D) -> (B, T, H · D) in the dtype of
        the gate."""
        return scan.pick(recurrence="norm_gated")(x, gate, self.weight, self.eps)


class Mixer(nn.Module, ABC):
    """The recurrent part of a block: ``y, state = mixer(x, state)`` with x and y (B, T, D)."""

    parts: tuple[tuple[str, PartKind, int | None], ...]
    """Field, kind and head axis of each tensor of the state, in the order of its NamedTuple."""

    @abstractmethod
    def initial_state(self, batch_size: int) -> Any:
        """A NamedTuple of zeros (B, …), B = `batch_size`, at least float32, on the parameters' device."""

    @abstractmethod
    def forward(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Read x (B, T, D) from `state`; return y (B, T, D) in the dtype of x and the state after it."""


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


class Block(nn.Module):
    """x + mixer(norm(x)), then x + mlp(norm(x)) where there is an MLP; or the mixer alone."""

    def __init__(self, settings: Settings, mixer: Mixer) -> None:
        super().__init__()
        width, hidden = settings.width, round(settings.mlp * settings.width)
        self.norm = RMSNorm(width) if settings.residual else None
        self.mixer = mixer
        self.mlp = (
            nn.Sequential(RMSNorm(width), Linear(width, hidden), nn.SiLU(), Linear(hidden, width)) if hidden else None
        )

    def forward(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """x (B, T, D) and the mixer's state -> (B, T, D) and the mixer's state after them."""
        if self.norm is None:
            return self.mixer(x, state)
        y, state = self.mixer(self.norm(x), state)
        x = x + y
        return x if self.mlp is None else x + self.mlp(x), state


class Shell(Recurrent):
    """Embedding of tokens or projection of features -> blocks -> norm -> head.

    Outputs are (B, T, `outputs`); the state is a tuple over layers of the mixers' NamedTuples. `outlast.families.build`
    is the way to make one.

    Args:
        settings: of the family.
        inputs: what the model reads.
        outputs: size of the head.
        blueprint: what `outlast.families.from_blueprint` needs to build this model again.
    """

    def __init__(self, settings: Settings, inputs: InputSpec, outputs: int, blueprint: dict[str, Any]) -> None:
        super().__init__()
        self.input_spec: InputSpec | None = inputs
        self.blueprint: dict[str, Any] = blueprint
        embed = nn.Embedding if inputs.kind == "tokens" else Linear
        self.embed: nn.Embedding | Linear = embed(inputs.size, settings.width)
        self.blocks: nn.ModuleList = nn.ModuleList(
            [Block(settings, settings.mixer_of(layer)) for layer in range(settings.layers)]
        )
        self.norm: RMSNorm | nn.Identity = RMSNorm(settings.width) if settings.residual else nn.Identity()
        self.head: Linear = Linear(settings.width, outputs)

    def _mixers(self) -> list[Mixer]:
        return [block.mixer for block in self.blocks if isinstance(block, Block)]

    def initial_state(self, batch_size: int) -> State:
        """Zeros (B, …), B = `batch_size`: a tuple over layers."""
        return tuple(mixer.initial_state(batch_size) for mixer in self._mixers())

    def state_parts(self) -> tuple[StatePart, ...]:
        """Paths such as ``layers.0.state``, in the order of `outlast.state.leaves`."""
        return tuple(
            StatePart(f"layers.{layer}.{field}", kind, head_axis)
            for layer, mixer in enumerate(self._mixers())
            for field, kind, head_axis in mixer.parts
        )

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor | Unprojected, State]:
        """Tokens (B, T) or features (B, T, F) -> outputs (B, T, `outputs`) and the state after them.

        Raises:
            InputError: inputs of another shape or kind, or a state of another number of layers.
        """
        x = self.embed(self._checked(inputs))
        if len(state) != len(self.blocks):
            raise InputError(
                f"a state of {len(state)} layers", f"{len(self.blocks)} layers", "start from model.initial_state(B)"
            )
        after = []
        for block, before in zip(self.blocks, state, strict=True):
            x, new = block(x, before)
            after.append(new)
        x = self.norm(x)
        return unprojected(x, self.head) if head_left_out(self, self.head) else self.head(x), tuple(after)

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
