"""What models of flash-linear-attention (fla 0.6) share: mixer and gated MLP in pre-norm residuals."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from outlast.families.convolution import ShortConvolution
from outlast.families.gla import GLAState
from outlast.families.shell import Block, Mixer, Parts, RMSNorm
from outlast.foreign.config import Config, expect, refused
from outlast.foreign.model import Foreign, Names
from outlast.foreign.naming import Joined, called
from outlast.linear import Linear
from outlast.scan.reference import compute_dtype

FUSED_EPS = 1e-5
"""Of a norm that fla computes together with the projection behind it: it does not hand its config's on."""

NAMES = Names(body="model", embedding="embeddings", norm="norm")


@dataclass(frozen=True, kw_only=True)
class FlaConfig(Config):
    """Fields that the configs of fla's gated models have in common."""

    vocab_size: int = 32000
    num_hidden_layers: int = 24
    hidden_ratio: int | float | None = 4
    intermediate_size: int | None = None
    hidden_act: str = "swish"
    norm_eps: float = 1e-6
    fuse_norm: bool = True
    attn: object = None
    attnres_block_size: object = None
    tie_word_embeddings: bool = False

    @property
    def hidden(self) -> int:
        """Width of the MLP: two thirds of hidden_ratio · hidden_size, rounded up to a multiple of 256."""
        if self.intermediate_size is not None:
            return self.intermediate_size
        ratio = 4 if self.hidden_ratio is None else self.hidden_ratio
        return 256 * math.ceil(int(self.hidden_size * ratio * 2 / 3) / 256)

    def check(self) -> None:
        """Refuse what changes the forward pass in ways that are not read."""
        for name in ("attn", "attnres_block_size"):
            if getattr(self, name) is not None:
                raise refused(name, getattr(self, name), "null: layers of attention are not read")
        expect(self, "hidden_act", self.hidden_act == "swish", "swish")


def share(config: Config, name: str, of: int, parts: int) -> int:
    """The whole number `config.name` · `of`, which `parts` must divide."""
    size = getattr(config, name) * of
    whole = round(size)
    expect(config, name, whole >= 1 and math.isclose(size, whole), f"a whole number of channels (here {size})")
    expect(config, name, whole % parts == 0, f"channels (here {whole}) that {parts} heads divide")
    return whole


def value_heads(config: Any) -> tuple[int, int]:
    """How many heads the values have, a multiple of the `num_heads` of queries and keys, and the channels of one."""
    heads = config.num_v_heads or config.num_heads
    expect(config, "num_v_heads", heads % config.num_heads == 0, f"a multiple of the {config.num_heads} num_heads")
    size = int(config.head_dim * config.expand_v)
    whole = size >= 1 and math.isclose(config.head_dim * config.expand_v, size, rel_tol=1e-5)
    expect(config, "expand_v", whole, "a whole number of channels a head")
    return heads, size


def shared_heads(config: Any) -> int:
    """How many heads keys and values have, of which each serves some of the `num_heads` of queries."""
    groups = config.num_kv_heads or config.num_heads
    expect(config, "num_kv_heads", groups >= 1 and config.num_heads % groups == 0, "a number that divides num_heads")
    return groups


def keyed(config: Any) -> dict[str, Any]:
    """What `KeyedSizes` hold, of a config of GLA or RetNet."""
    groups, width, heads = shared_heads(config), config.hidden_size, config.num_heads
    return {
        "width": width,
        "heads": heads,
        "keys": share(config, "expand_k", width, heads),
        "values": share(config, "expand_v", width, heads),
        "groups": groups,
        "output_gate": config.use_output_gate,
        "eps": config.norm_eps,
        "affine": config.elementwise_affine is not False,
    }


def norm_name(config: Any) -> str:
    """What fla calls the norm of each head: it names it by the kernel that computes it."""
    return "g_norm_swish_gate" if config.fuse_norm and config.use_output_gate else "g_norm"


class Memory(NamedTuple):
    """State of one layer: the memory (B, H, K, V), and where there are convolutions their windows (B, W − 1, D)."""

    state: Tensor
    query_window: Tensor | None = None
    key_window: Tensor | None = None
    value_window: Tensor | None = None


WINDOWS: Parts = tuple((f"{each}_window", "convolution", None) for each in ("query", "key", "value"))
"""Parts of `Memory` where there are convolutions."""


class WindowsApart(Mixer):
    """Before a family's layer among the bases: what its joined convolution carries, as fla's three windows.

    States that were stored as three stay what they are.
    """

    split: list[int]
    convolution: ShortConvolution | None

    def initial_state(self, batch_size: int) -> Any:
        """A `Memory` of zeros, B = `batch_size`."""
        return self._apart(super().initial_state(batch_size))

    def forward(self, x: Tensor, state: Any, leak: Tensor | None = None) -> tuple[Tensor, Any]:
        """x (B, T, D) and `Memory` -> (B, T, D) and the state after them."""
        window = None if self.convolution is None else torch.cat(state[1:], -1)  # pyright: ignore[reportArgumentType]
        more = () if leak is None else (leak,)
        y, after = super().forward(x, GLAState(state.state, window), *more)
        return y, self._apart(after)

    def _apart(self, state: GLAState) -> Memory:
        windows = () if state.convolution is None else state.convolution.split(self.split, -1)
        return Memory(state.state, *windows)


def joined(split: Sequence[int], convolved: bool) -> dict[str, Joined]:
    """What fla has apart for queries, keys and values, these many channels, and a layer of our families as one."""
    theirs = {"queries_keys_values": "proj"} | ({"convolution": "conv1d"} if convolved else {})
    return {
        f"{own}.weight": Joined(tuple(f"{each}_{name}.weight" for each in "qkv"), tuple(split))
        for own, name in theirs.items()
    }


class ConvolvedMixer(Mixer):
    """A mixer with a memory (B, H, K, V) whose queries, keys and values may pass through short convolutions."""

    heads: int
    K: int
    V: int
    q_proj: nn.Linear
    k_proj: nn.Linear
    v_proj: nn.Linear
    o_proj: nn.Linear

    def convolve(self, config: Any, queries: int, keys: int, values: int, silu: bool = True) -> None:
        """Name the parts of the state, and make the convolutions of these widths where the config wants them.

        Args:
            silu: whether those of queries and keys end with it, as that of values does.
        """
        self.parts = (("state", "recurrent", 1),)
        self.convolved = config.use_short_conv
        if self.convolved:
            self.q_conv1d = ShortConvolution(queries, config.conv_size, silu, bias=False)
            self.k_conv1d = ShortConvolution(keys, config.conv_size, silu, bias=False)
            self.v_conv1d = ShortConvolution(values, config.conv_size, bias=False)
            self.parts = (*self.parts, *WINDOWS)

    def initial_state(self, batch_size: int) -> Any:
        """A `Memory` of zeros."""
        weight = self.o_proj.weight
        shape = (batch_size, self.heads, self.K, self.V)
        memory = torch.zeros(shape, dtype=compute_dtype(weight), device=weight.device)
        if not self.convolved:
            return Memory(memory)
        convolutions = (self.q_conv1d, self.k_conv1d, self.v_conv1d)
        return Memory(memory, *(each.initial_window(batch_size) for each in convolutions))

    def projected(self, x: Tensor, state: Memory) -> tuple[tuple[Tensor, Tensor, Tensor], tuple[Tensor | None, ...]]:
        """Queries, keys and values (B, T, ·) of x, and the windows after it."""
        q, k, v = self.q_proj(x), self.k_proj(x), self.v_proj(x)
        windows = state[1:]
        if self.convolved:
            q, query_window = self.q_conv1d(q, windows[0])
            k, key_window = self.k_conv1d(k, windows[1])
            v, value_window = self.v_conv1d(v, windows[2])
            windows = (query_window, key_window, value_window)
        return (q, k, v), windows


class GatedMLP(nn.Module):
    """down(silu(gate(x)) · up(x)) (Shazeer 2020, "GLU Variants Improve Transformer")."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.gate_proj = Linear(width, hidden, bias=False)
        self.up_proj = Linear(width, hidden, bias=False)
        self.down_proj = Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


LAYER = {"norm": "attn_norm", "mixer": "attn", "mlp.0": "mlp_norm", "mlp.1": "mlp"}
"""Names in a layer of our families, to fla's."""


def layers(config: FlaConfig, mixers: Iterable[Mixer]) -> list[Block]:
    """The mixers in their blocks: x + mixer(norm(x)), then x + mlp(norm(x))."""
    width, eps = config.hidden_size, config.norm_eps
    return [
        called(
            Block(RMSNorm(width, eps), mixer, nn.Sequential(RMSNorm(width, eps), GatedMLP(width, config.hidden))), LAYER
        )
        for mixer in mixers
    ]


def model(blueprint: dict[str, Any], config: FlaConfig, mixers: Iterable[Mixer]) -> Foreign:
    """The blocks around the mixers, as a causal language model."""
    return Foreign(blueprint, NAMES, config, layers(config, mixers), RMSNorm(config.hidden_size, config.norm_eps))
