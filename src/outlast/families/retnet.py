"""RetNet (Sun et al. 2023, "Retentive Network: A Successor to Transformer for Large Language Models")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from outlast import scan
from outlast.families.rotary import rotate
from outlast.families.shell import KeyedSizes, Mixer, RMSNorm, Settings, require
from outlast.linear import Linear
from outlast.scan.reference import compute_dtype, each_head


@dataclass(frozen=True, kw_only=True)
class RetNetSettings(Settings):
    """Settings of RetNet.

    Args:
        heads: H.
        key_share: width of all heads' keys as a share of `width`.
        value_share: width of all heads' values as a share of `width`.
        slowest: head h keeps 1 − 2^(−slowest − h) of its memory a position; 5 in the paper.
        rotary: whether queries and keys are turned by their position.
    """

    heads: int = 2
    key_share: float = 0.5
    value_share: float = 1.0
    slowest: float = 5.0
    rotary: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.heads >= 1 and self.slowest > 0, self, "heads of at least 1, slowest above 0")
        for name, size in (("key_share", self.keys), ("value_share", self.values)):
            require(size >= 1 and size % self.heads == 0, self, f"{name} · width (here {size}) a multiple of heads")
        require(not self.rotary or self.keys % (2 * self.heads) == 0, self, "an even key size, or rotary = false")

    @property
    def keys(self) -> int:
        """H·K, the width of all heads' keys."""
        return round(self.key_share * self.width)

    @property
    def values(self) -> int:
        """H·V, the width of all heads' values."""
        return round(self.value_share * self.width)

    def mixer(self) -> RetNet:
        return RetNet(
            RetNetSizes(
                width=self.width,
                heads=self.heads,
                keys=self.keys,
                values=self.values,
                groups=self.heads,
                slowest=self.slowest,
                rotary=self.rotary,
            )
        )


@dataclass(frozen=True, kw_only=True)
class RetNetSizes(KeyedSizes):
    """What a layer is made from, as `RetNetSettings`; `last` is of other libraries' models.

    Args:
        last: the position as which the memory sees the one just read: 0, or −1 where the next is 0.
    """

    slowest: float = 5.0
    rotary: bool = True
    last: int = 0


class RetNetState(NamedTuple):
    """State of one layer: the memory (B, H, K, V), turned so that the position just read is `last`, 0 in our
    families."""

    state: Tensor


class RetNet(Mixer):
    """One layer: retention with fixed decays, a norm for each head, an output gate.

    Only differences between positions count, so the memory is kept as seen from the last position. No counter is needed
    then, and a memory that another row left behind means to its new row what it meant to the old one.
    """

    parts = (("state", "recurrent", 1),)

    def __init__(self, sizes: RetNetSizes) -> None:
        super().__init__()
        self.sizes, self.split, width, heads = sizes, sizes.split, sizes.width, sizes.heads
        self.decays = [1 - 2.0 ** (-sizes.slowest - head) for head in range(heads)]
        self.queries_keys_values = Linear(width, sum(self.split), bias=False)
        self.gate = Linear(width, sizes.values, bias=False) if sizes.output_gate else None
        self.norm = RMSNorm(sizes.values // heads, sizes.eps, sizes.affine)
        self.output = Linear(sizes.values, width, bias=False)

    def initial_state(self, batch_size: int) -> RetNetState:
        """A `RetNetState` of zeros, B = `batch_size`."""
        return RetNetState(self.sizes.memory(batch_size, self.output.weight))

    leaks = "state"

    def forward(self, x: Tensor, state: RetNetState, leak: Tensor | None = None) -> tuple[Tensor, RetNetState]:
        """x (B, T, D) and `RetNetState` -> (B, T, D) and the state after them."""
        (B, T, _), sizes = x.shape, self.sizes
        q, k, v = self.queries_keys_values(x).split(self.split, -1)
        q = q.reshape(B, T, sizes.heads, -1)
        k, v = (each.reshape(B, T, sizes.groups, -1) for each in (k, v))
        dtype = compute_dtype(q)
        log_decay = torch.tensor(self.decays, dtype=torch.float64, device=x.device).log().to(dtype)
        if sizes.rotary:
            positions = torch.arange(1, T + 1, device=x.device)[:, None] + sizes.last
            q, k = rotate(q.to(dtype), positions), rotate(k.to(dtype), positions)
        k, v = (each_head(each, sizes.heads) for each in (k, v))
        if leak is None:
            inner = scan.pick(recurrence="retention")
        else:  # a leak is a real factor, and rotations do not mind it
            inner, log_decay = scan.pick(), (log_decay - leak[:, None, :, 0, 0]).expand(q.shape[:3])
        y, memory = inner(q, k, v, log_decay, state.state, q.shape[-1] ** -0.5)
        if sizes.rotary:
            memory = rotate(memory.transpose(2, 3), torch.tensor(-T, device=x.device)).transpose(2, 3)
        return self.output(self.norm.gated(y, self.gate and self.gate(x))), RetNetState(memory)
