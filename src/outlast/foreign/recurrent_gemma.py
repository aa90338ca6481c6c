"""RecurrentGemma (Botev et al. 2024; De et al. 2024, "Griffin: Mixing Gated Linear Recurrences with Local Attention")
as transformers 5.24 saves it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from outlast import scan
from outlast.families.attention import AttentionState, SlidingAttention
from outlast.families.convolution import ShortConvolution
from outlast.families.rotary import rotate
from outlast.families.shell import Block, Mixer, Parts
from outlast.foreign.config import Config, expect, read
from outlast.foreign.model import Foreign, Names
from outlast.foreign.naming import called
from outlast.linear import Linear
from outlast.scan.reference import compute_dtype

SHARPNESS = 8.0
"""c of the paper's eq. 3: decays are sigmoid(Λ)^(c · gate)."""

LEAST = 1e-12
"""Least 1 − a² below its square root: there the gradient would be without bound."""


@dataclass(frozen=True, kw_only=True)
class RecurrentGemma(Config):
    """transformers' RecurrentGemmaConfig."""

    vocab_size: int = 256000
    hidden_size: int = 2560
    num_hidden_layers: int = 26
    intermediate_size: int = 7680
    num_attention_heads: int = 10
    num_key_value_heads: int | None = None
    head_dim: int | None = None
    lru_width: int | None = None
    attention_window_size: int = 2048
    conv1d_width: int = 4
    logits_soft_cap: float = 30.0
    rms_norm_eps: float = 1e-6
    hidden_activation: str = "gelu_pytorch_tanh"
    rope_parameters: dict | None = None
    rope_theta: float = 10000.0
    partial_rotary_factor: float = 0.5
    block_types: tuple[str, ...] = ("recurrent", "recurrent", "attention")
    attention_dropout: float = 0.0
    attention_bias: bool = False
    tie_word_embeddings: bool = True

    def rope(self, name: str) -> Any:
        """A setting of the rotary positions, which older files have on their own."""
        return (self.rope_parameters or {}).get(name, getattr(self, name, "default"))


class RecurrentState(NamedTuple):
    """State of one recurrent layer: the memory (B, D), the convolution's window (B, W − 1, D), and the positions read
    (B), of which only the first is told apart."""

    state: Tensor
    convolution: Tensor
    read: Tensor


class Norm(nn.Module):
    """(1 + weight) · x / rms(x)."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.eps, self.weight = eps, nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        dtype = compute_dtype(x)
        return (F.rms_norm(x.to(dtype), x.shape[-1:], 1 + self.weight.to(dtype), self.eps)).to(x.dtype)


class Gate(nn.Module):
    """The real-gated linear recurrent unit (section 2.4 of the paper), gates by blocks of channels."""

    def __init__(self, channels: int, blocks: int) -> None:
        super().__init__()
        size = channels // blocks
        self.recurrent_param = nn.Parameter(torch.linspace(-6.0, -3.0, channels))
        for name in ("input", "recurrent"):
            weight = nn.Parameter(torch.empty(blocks, size, size).normal_(std=size**-0.5))
            self.register_parameter(f"{name}_gate_weight", weight)
            self.register_parameter(f"{name}_gate_bias", nn.Parameter(torch.zeros(blocks, size)))

    def gate(self, x: Tensor, name: str) -> Tensor:
        """sigmoid of a linear map of each block of channels."""
        weight, bias = (getattr(self, f"{name}_gate_{part}").to(x.dtype) for part in ("weight", "bias"))
        return (torch.einsum("btni,nij->btnj", x.unflatten(-1, weight.shape[:2]), weight) + bias).flatten(-2).sigmoid()

    def forward(self, x: Tensor, state: RecurrentState, leak: Tensor | None) -> tuple[Tensor, Tensor]:
        """x (B, T, D) -> (B, T, D) and the memory after it, in at least float32; `leak` as `Mixer.leaks` says."""
        x = x.to(compute_dtype(x))
        log_decay = -SHARPNESS * self.gate(x, "recurrent") * F.softplus(self.recurrent_param.to(x.dtype))
        size = (-torch.expm1(2 * log_decay)).clamp_min(LEAST).sqrt()
        # The first position of a stream is written at full size: nothing before it was.
        first = (torch.arange(x.shape[1], device=x.device) + state.read[:, None] == 0)[..., None]
        written = x * self.gate(x, "input") * torch.where(first, 1.0, size)
        if leak is not None:  # behind what is written, which stays as it was
            log_decay = log_decay - leak[:, None]
        ones = torch.ones_like(x)[..., None]
        y, memory = scan.pick()(ones, ones, written[..., None], log_decay, state.state[..., None, None], 1.0)
        return y[..., 0], memory[..., 0, 0]


class Recurrent(Mixer):
    """The recurrent block (figure 2 of the paper): convolution and gated recurrence, times a GeLU branch."""

    parts: Parts = (("state", "recurrent", None), ("convolution", "convolution", None), ("read", "counter", None))

    def __init__(self, config: RecurrentGemma) -> None:
        super().__init__()
        width, channels = config.hidden_size, config.lru_width or config.hidden_size
        self.linear_y, self.linear_x = Linear(width, channels), Linear(width, channels)
        self.linear_out = Linear(channels, width)
        self.conv_1d = ShortConvolution(channels, config.conv1d_width, activation=False)
        self.rg_lru = Gate(channels, config.num_attention_heads)

    def initial_state(self, batch_size: int) -> RecurrentState:
        window = self.conv_1d.initial_window(batch_size)
        read = torch.zeros(batch_size, dtype=torch.int64, device=window.device)
        return RecurrentState(window.new_zeros(batch_size, window.shape[-1]), window, read)

    leaks = "state"

    def forward(self, x: Tensor, state: RecurrentState, leak: Tensor | None = None) -> tuple[Tensor, RecurrentState]:
        y, window = self.conv_1d(self.linear_x(x), state.convolution)
        y, memory = self.rg_lru(y, state, leak)
        y = y.to(x.dtype) * F.gelu(self.linear_y(x), approximate="tanh")
        return self.linear_out(y), RecurrentState(memory, window, state.read + x.shape[1])


class Attention(SlidingAttention):
    """Local attention in which groups of heads share keys and values, and a part of the channels is rotated."""

    def __init__(self, config: RecurrentGemma) -> None:
        nn.Module.__init__(self)
        width, self.heads = config.hidden_size, config.num_attention_heads
        self.window, self.channels = config.attention_window_size, width // self.heads
        groups = config.num_key_value_heads or self.heads
        self.repeats, self.rotated = self.heads // groups, int(self.channels * config.rope("partial_rotary_factor"))
        self.q_proj = Linear(width, self.heads * self.channels, bias=config.attention_bias)
        self.k_proj = Linear(width, groups * self.channels, bias=config.attention_bias)
        self.v_proj = Linear(width, groups * self.channels, bias=config.attention_bias)
        self.o_proj = Linear(self.heads * self.channels, width)

    def initial_state(self, batch_size: int) -> AttentionState:
        weight = self.o_proj.weight
        shape = (batch_size, self.heads // self.repeats, self.window - 1, self.channels)
        keys, values = torch.zeros(2, *shape, dtype=compute_dtype(weight), device=weight.device)
        valid = torch.zeros(batch_size, self.window - 1, dtype=torch.bool, device=weight.device)
        return AttentionState(keys, values, valid, torch.zeros(batch_size, dtype=torch.int64, device=weight.device))

    def turn(self, x: Tensor, positions: Tensor) -> Tensor:
        """Rotate the first channels."""
        return torch.cat([rotate(x[..., : self.rotated], positions), x[..., self.rotated :]], -1)

    def forward(self, x: Tensor, state: AttentionState) -> tuple[Tensor, AttentionState]:
        B, T, _ = x.shape
        q, k, v = (
            proj(x).unflatten(-1, (-1, self.channels)).transpose(1, 2).to(state.keys.dtype)
            for proj in (self.q_proj, self.k_proj, self.v_proj)
        )
        positions = (state.read[:, None] + torch.arange(T, device=x.device))[:, None]
        q, k = self.turn(q, positions), self.turn(k, positions)
        keys, values = torch.cat([state.keys, k], 2), torch.cat([state.values, v], 2)
        valid = torch.cat([state.valid, state.valid.new_ones(B, T)], 1)
        # Automatic mixed precision would attend in half precision, unlike a state that is read again later.
        with torch.autocast(x.device.type, enabled=False):
            shared_keys, shared_values = (each.repeat_interleave(self.repeats, 1) for each in (keys, values))
            y = self._attend(q, shared_keys, shared_values, valid).to(x.dtype)
        # Copies, so that the carried window does not hold on to all that was read.
        after = AttentionState(keys[:, :, T:].clone(), values[:, :, T:].clone(), valid[:, T:].clone(), state.read + T)
        return self.o_proj(y.transpose(1, 2).flatten(2)), after


class MLP(nn.Module):
    """down(gelu(gate(x)) · up(x)), with biases."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.gate_proj, self.up_proj = Linear(width, hidden), Linear(width, hidden)
        self.down_proj = Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.gelu(self.gate_proj(x), approximate="tanh") * self.up_proj(x))


LAYER = {"norm": "temporal_pre_norm", "mixer": "temporal_block", "mlp.0": "channel_pre_norm", "mlp.1": "mlp_block"}
"""Names in a layer of our families, to transformers'."""


def layer(config: RecurrentGemma, kind: str) -> Block:
    """x + temporal(norm(x)), then x + mlp(norm(x))."""
    width, eps = config.hidden_size, config.rms_norm_eps
    mixer = Recurrent(config) if kind == "recurrent" else Attention(config)
    mlp = nn.Sequential(Norm(width, eps), MLP(width, config.intermediate_size // 2))
    return called(Block(Norm(width, eps), mixer, mlp), LAYER)


NAMES = Names(body="model", embedding="embed_tokens", norm="final_norm")


def from_transformers(record: dict[str, Any], blueprint: dict[str, Any]) -> Foreign:
    """The model of a transformers config.json, with fresh weights."""
    config = read(RecurrentGemma, record)
    width, heads = config.hidden_size, config.num_attention_heads
    expect(config, "num_attention_heads", width % heads == 0, "a number that divides hidden_size")
    expect(config, "head_dim", config.head_dim in (None, width // heads), f"{width // heads}, or null")
    expect(config, "lru_width", (config.lru_width or width) % heads == 0, "a multiple of num_attention_heads")
    groups = config.num_key_value_heads or heads
    expect(config, "num_key_value_heads", groups >= 1 and heads % groups == 0, "divides num_attention_heads")
    expect(config, "hidden_activation", config.hidden_activation == "gelu_pytorch_tanh", "gelu_pytorch_tanh")
    expect(config, "attention_dropout", config.attention_dropout == 0, "0")
    expect(config, "attention_window_size", config.attention_window_size >= 2, "at least 2")
    known = bool(config.block_types) and set(config.block_types) <= {"recurrent", "attention"}
    expect(config, "block_types", known, "a list of recurrent and attention")
    plain = config.rope("rope_type") == "default" and config.rope("rope_theta") == 10000
    expect(config, "rope_parameters", plain, "rope_type default and rope_theta 10000")
    kinds = [config.block_types[i % len(config.block_types)] for i in range(config.num_hidden_layers)]
    return Foreign(
        blueprint,
        NAMES,
        config,
        [layer(config, kind) for kind in kinds],
        Norm(width, config.rms_norm_eps),
        # transformers keeps this one number in bfloat16, whatever the model's dtype
        embedding_scale=torch.tensor(width**0.5, dtype=torch.bfloat16, device="cpu").item(),
        soft_cap=config.logits_soft_cap,
    )
