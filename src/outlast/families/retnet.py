"""RetNet (Sun et al. 2023, "Retentive Network: A Successor to Transformer for Large Language Models")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from outlast import scan
from outlast.families.rotary import rotate
from outlast.families.shell import Mixer, RMSNorm, Settings, require
from outlast.linear import Linear
from outlast.scan.reference import compute_dtype


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
        return RetNet(self)


class RetNetState(NamedTuple):
    """State of one layer: the memory (B, H, K, V), turned so that the position just read is position 0."""

    state: Tensor


class RetNet(Mixer):
    """One layer: retention with fixed decays, a norm for each head, an output gate.

    Only differences between positions count, so the memory is kept as seen from the last position. No counter is needed
    then, and a memory that another row left behind means to its new row what it meant to the old one.
    """

    parts = (("state", "recurrent", 1),)

    def __init__(self, settings: RetNetSettings) -> None:
        super().__init__()
        self.heads, self.rotary = settings.heads, settings.rotary
        self.split = [settings.keys, settings.keys, settings.values]
        self.decays = [1 - 2.0 ** (-settings.slowest - head) for head in range(settings.heads)]
        self.queries_keys_values = Linear(settings.width, sum(self.split), bias=False)
        self.gate = Linear(settings.width, settings.values, bias=False)
        self.norm = RMSNorm(settings.values // settings.heads)
        self.output = Linear(settings.values, settings.width, bias=False)

    def initial_state(self, batch_size: int) -> RetNetState:
        """A `RetNetState` of zeros, B = `batch_size`."""
        weight = self.output.weight
        K, V = (size // self.heads for size in self.split[1:])
        memory = torch.zeros(batch_size, self.heads, K, V, dtype=compute_dtype(weight), device=weight.device)
        return RetNetState(memory)

    def forward(self, x: Tensor, state: RetNetState) -> tuple[Tensor, RetNetState]:
        """x (B, T, D) and `RetNetState` -> (B, T, D) and the state after them."""
        B, T, _ = x.shape
        q, k, v = (part.reshape(B, T, self.heads, -1) for part in self.queries_keys_values(x).split(self.split, -1))
        dtype = compute_dtype(q)
        log_decay = torch.tensor(self.decays, dtype=torch.float64, device=x.device).log().to(dtype)
        if self.rotary:
            positions = torch.arange(1, T + 1, device=x.device)[:, None]
            q, k = rotate(q.to(dtype), positions), rotate(k.to(dtype), positions)
        y, memory = scan.pick(recurrence="retention")(q, k, v, log_decay, state.state, q.shape[-1] ** -0.5)
        if self.rotary:
            memory = rotate(memory.transpose(2, 3), torch.tensor(-T, device=x.device)).transpose(2, 3)
        return self.output(self.norm.gated(y, self.gate(x))), RetNetState(memory)
