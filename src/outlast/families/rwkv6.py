"""RWKV-6 (Peng et al. 2024, "Eagle and Finch: RWKV with Matrix-Valued States and Dynamic Recurrence")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from outlast import scan
from outlast.families.shell import KeyedSettings, Mixer, require
from outlast.linear import Linear
from outlast.scan.reference import compute_dtype

_READERS = ("decay", "key", "value", "receptance", "gate")


@dataclass(frozen=True, kw_only=True)
class RWKV6Settings(KeyedSettings):
    """Settings of RWKV-6.

    Args:
        mix_low_rank: rank of what chooses between a position and the one before it, for each of five readers.
        decay_low_rank: rank of the decay's dependence on the input.
        decay_low, decay_high: the decay is exp(−exp(w)); w at first, spread over the channels.
    """

    key_share: float = 1.0
    mix_low_rank: int = 8
    decay_low_rank: int = 16
    decay_low: float = -6.0
    decay_high: float = -1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.mix_low_rank >= 1 and self.decay_low_rank >= 1, self, "ranks of at least 1")
        require(self.decay_low <= self.decay_high, self, "decay_low ≤ decay_high")

    def mixer(self) -> RWKV6:
        return RWKV6(self)


class RWKV6State(NamedTuple):
    """State of one layer: the memory (B, H, K, V), and the input before the next, (B, 1, D)."""

    state: Tensor
    shift: Tensor


class RWKV6(Mixer):
    """One time-mixing layer (section 4.2 of the paper); the shell's MLP stands where channel mixing does.

    Each of five readers sees a blend of a position and the one before it, and the blend itself depends on the input.
    """

    parts = (("state", "recurrent", 1), ("shift", "convolution", None))

    def __init__(self, settings: RWKV6Settings) -> None:
        super().__init__()
        width, keys, H = settings.width, settings.keys, settings.heads
        self.heads, self.keys, ranks = H, keys, len(_READERS) * settings.mix_low_rank
        spread = torch.linspace(0, 1, width)
        self.mix = nn.Parameter(spread.clone())
        self.mixes = nn.Parameter(spread.repeat(len(_READERS), 1))
        self.mix_low = Linear(width, ranks, bias=False)
        self.mix_high = nn.Parameter(torch.empty(len(_READERS), settings.mix_low_rank, width).uniform_(-0.01, 0.01))
        self.decay_low = Linear(width, settings.decay_low_rank, bias=False)
        self.decay_high = Linear(settings.decay_low_rank, keys)
        with torch.no_grad():
            self.decay_high.weight.mul_(0.1)
            self.decay_high.bias.copy_(torch.linspace(settings.decay_low, settings.decay_high, keys))
        self.bonus = nn.Parameter(torch.linspace(0, 1, keys).view(H, keys // H))
        self.key = Linear(width, keys, bias=False)
        self.value = Linear(width, width, bias=False)
        self.receptance = Linear(width, keys, bias=False)
        self.gate = Linear(width, width, bias=False)
        self.norm = nn.LayerNorm(width // H)
        self.output = Linear(width, width, bias=False)

    def initial_state(self, batch_size: int) -> RWKV6State:
        """An `RWKV6State` of zeros, B = `batch_size`."""
        weight = self.output.weight
        width, dtype = weight.shape[0], compute_dtype(weight)
        memory = torch.zeros(batch_size, self.heads, self.keys // self.heads, width // self.heads, dtype=dtype)
        return RWKV6State(
            memory.to(weight.device), torch.zeros(batch_size, 1, width, dtype=dtype, device=weight.device)
        )

    leaks = "state"

    def forward(self, x: Tensor, state: RWKV6State, leak: Tensor | None = None) -> tuple[Tensor, RWKV6State]:
        """x (B, T, D) and `RWKV6State` -> (B, T, D) and the state after them."""
        B, T, _ = x.shape
        joined = torch.cat([state.shift, x.to(state.shift.dtype)], 1)
        change = (joined[:, :-1] - joined[:, 1:]).to(x.dtype)  # towards the position before
        low = torch.tanh(self.mix_low(x + change * self.mix)).view(B * T, len(_READERS), -1).transpose(0, 1)
        mixes = (low @ self.mix_high + self.mixes[:, None]).view(len(_READERS), B, T, -1)
        decay, key, value, receptance, gate = (x + change * mixes).to(x.dtype).unbind()
        w = self.decay_high(torch.tanh(self.decay_low(decay)))
        # The decay decides how long the model remembers: never in half precision.
        log_decay = -w.to(compute_dtype(w)).exp()
        q, k, v, log_decay = (
            part.reshape(B, T, self.heads, -1)
            for part in (self.receptance(receptance), self.key(key), self.value(value), log_decay)
        )
        y, memory = self._recur(q, k, v, log_decay, state.state, leak)
        y = self.norm(y.to(self.norm.weight.dtype)).to(x.dtype).reshape(B, T, -1) * F.silu(self.gate(gate))
        return self.output(y), RWKV6State(memory, joined[:, -1:].clone())

    def _recur(
        self, q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, memory: Tensor, leak: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """`outlast.scan.reference.rwkv6`: outputs (B, T, H, V) and the memory (B, H, K, V) after them.

        A position reads the memory before it is written to. So a leak is on what is read too, not on the bonus.
        """
        inner, scale = scan.pick(recurrence="rwkv6"), q.shape[-1] ** -0.5
        if leak is None:
            return inner(q, k, v, log_decay, self.bonus, memory, scale)
        lost = leak[:, None, :, :, 0]
        y, memory = inner(q * (-lost).exp(), k, v, log_decay - lost, self.bonus, memory, scale)
        own = (q * self.bonus * k).sum(-1, keepdim=True) * v
        return y - scale * torch.expm1(-lost) * own, memory
