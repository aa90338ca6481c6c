"""Mamba-2 (Dao and Gu 2024, "Transformers are SSMs") as transformers 5.24 and fla 0.6 save it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from outlast import scan
from outlast.foreign.blocks import Convolution, RMSNorm, rms
from outlast.foreign.config import SILU, Config, expect, read
from outlast.foreign.model import Foreign, Layer, Names
from outlast.linear import Linear
from outlast.scan.reference import compute_dtype


@dataclass(frozen=True, kw_only=True)
class TransformersMamba2(Config):
    """transformers' Mamba2Config."""

    vocab_size: int = 32768
    hidden_size: int = 4096
    num_hidden_layers: int = 64
    num_heads: int = 128
    head_dim: int = 64
    state_size: int = 128
    layer_norm_epsilon: float = 1e-5
    expand: float = 2
    conv_kernel: int = 4
    n_groups: int = 8
    use_bias: bool = False
    use_conv_bias: bool = True
    hidden_act: str = "silu"
    residual_in_fp32: bool = True
    time_step_limit: tuple[float, float] = (0.0, math.inf)
    tie_word_embeddings: bool = False


@dataclass(frozen=True, kw_only=True)
class FlaMamba2(Config):
    """fla's Mamba2Config."""

    vocab_size: int = 32000
    hidden_size: int = 2048
    num_hidden_layers: int = 48
    head_dim: int = 64
    state_size: int = 128
    norm_eps: float = 1e-5
    expand: float = 2
    conv_kernel: int = 4
    n_groups: int = 1
    use_bias: bool = False
    use_conv_bias: bool = True
    hidden_act: str = "silu"
    residual_in_fp32: bool = True
    dt_limit: tuple[float, float] = (0.0, math.inf)
    D_has_hdim: bool = False
    rmsnorm: bool = True
    norm_before_gate: bool = False
    tie_word_embeddings: bool = False


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What a layer is made from: H heads of P channels, state size N, G groups.

    Args:
        bias, convolution_bias: of the projections and of the convolution.
        step_limit: least and largest step Δ, after softplus.
        norm: whether there is a norm at the gate; before_gate: whether it stands before the gate.
        wide_skip: whether D has an entry a channel, not one a head.
        float32_residual: whether the residual stream is at least float32.
    """

    width: int
    heads: int
    head_width: int
    state_size: int
    groups: int
    kernel: int
    eps: float
    bias: bool
    convolution_bias: bool
    step_limit: tuple[float, float]
    norm: bool = True
    before_gate: bool = False
    wide_skip: bool = False
    float32_residual: bool = True


class Mamba2State(NamedTuple):
    """State of one layer: the memory (B, H, N, P) and the convolution's window (B, W − 1, H·P + 2·G·N)."""

    state: Tensor
    convolution: Tensor


class GatedNorm(nn.Module):
    """rms over each group of channels, times silu(gate), before or after."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(sizes.heads * sizes.head_width))
        self.groups, self.eps, self.before_gate = sizes.groups, sizes.eps, sizes.before_gate

    @property
    def is_plain(self) -> bool:
        """Whether it is that of the paper: one group, behind the gate."""
        return self.groups == 1 and not self.before_gate

    def forward(self, y: Tensor, gate: Tensor) -> Tensor:
        dtype = compute_dtype(y, gate)
        y, gate = y.to(dtype), F.silu(gate.to(dtype))
        if not self.before_gate:
            y = y * gate
        y = rms(y.unflatten(-1, (self.groups, -1)), self.eps).flatten(-2) * self.weight
        return y * gate if self.before_gate else y


class Mixer(nn.Module):
    """Section 7 of the paper: parallel projections, short convolution, scan, skip, gated norm."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes, H = sizes, sizes.heads
        inner, shared = H * sizes.head_width, sizes.groups * sizes.state_size
        self.split = [inner, shared, shared]
        self.conv1d = Convolution(sum(self.split), sizes.kernel, sizes.convolution_bias)
        self.in_proj = Linear(sizes.width, inner + sum(self.split) + H, bias=sizes.bias)
        self.dt_bias = nn.Parameter(torch.full((H,), -4.6))  # steps near 0.01
        self.A_log = nn.Parameter(torch.arange(1.0, H + 1).log())
        self.norm = GatedNorm(sizes) if sizes.norm else None
        self.D = nn.Parameter(torch.ones(inner if sizes.wide_skip else H))
        self.out_proj = Linear(inner, sizes.width, bias=sizes.bias)

    def forward(self, x: Tensor, state: Mamba2State) -> tuple[Tensor, Mamba2State]:
        B, T, _ = x.shape
        sizes = self.sizes
        gate, mixed, step = self.in_proj(x).split([self.split[0], sum(self.split), sizes.heads], -1)
        mixed, window = self.conv1d(mixed, state.convolution)
        values, keys, queries = mixed.split(self.split, -1)
        dtype = compute_dtype(mixed)
        values = values.to(dtype).reshape(B, T, sizes.heads, -1)
        step = F.softplus(step.to(dtype) + self.dt_bias).clamp(*sizes.step_limit)
        rate = -self.A_log.to(step.dtype).exp()
        keys, queries = (shared.unflatten(-1, (sizes.groups, sizes.state_size)) for shared in (keys, queries))
        if self.norm is not None and self.norm.is_plain and not sizes.wide_skip:
            inner = scan.pick(recurrence="gated_dual_scan")
            around = (self.D, gate, self.norm.weight)
            y, memory = inner(values, step, rate, keys, queries, *around, state.state, sizes.eps)
        else:
            y, memory = scan.pick()(queries, keys, values * step[..., None], rate * step, state.state, 1.0)
            y = (y + values * self.D.view(sizes.heads, -1)).reshape(B, T, -1)
            y = self.norm(y, gate) if self.norm is not None else y * F.silu(gate.to(dtype))
        return self.out_proj(y.to(self.out_proj.weight.dtype)), Mamba2State(memory, window)


class Mamba2Layer(Layer):
    """x + mixer(norm(x))."""

    parts = (("state", "recurrent", 1), ("convolution", "convolution", None))

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.norm = RMSNorm(sizes.width, sizes.eps)
        self.mixer = Mixer(sizes)

    def initial_state(self, batch_size: int) -> Mamba2State:
        sizes, weight = self.mixer.sizes, self.mixer.out_proj.weight
        shape = (batch_size, sizes.heads, sizes.state_size, sizes.head_width)
        memory = torch.zeros(shape, dtype=compute_dtype(weight), device=weight.device)
        return Mamba2State(memory, self.mixer.conv1d.initial_window(batch_size))

    def forward(self, x: Tensor, state: Mamba2State) -> tuple[Tensor, Mamba2State]:
        y, state = self.mixer(self.norm(x).to(self.mixer.in_proj.weight.dtype), state)
        if self.mixer.sizes.float32_residual:
            x = x.to(compute_dtype(x))
        return x + y, state


NAMES = Names(body="backbone", embedding="embeddings", norm="norm_f")


def from_transformers(record: dict[str, Any], blueprint: dict[str, Any]) -> Foreign:
    """The model of a transformers config.json, with fresh weights."""
    config = read(TransformersMamba2, record)
    inner = config.expand * config.hidden_size
    expect(config, "hidden_act", config.hidden_act in SILU, "silu")
    expect(
        config, "num_heads", config.num_heads * config.head_dim == inner, f"expand · hidden_size / head_dim = {inner}"
    )
    expect(config, "n_groups", config.num_heads % config.n_groups == 0, "divides num_heads")
    sizes = Sizes(
        width=config.hidden_size,
        heads=config.num_heads,
        head_width=config.head_dim,
        state_size=config.state_size,
        groups=config.n_groups,
        kernel=config.conv_kernel,
        eps=config.layer_norm_epsilon,
        bias=config.use_bias,
        convolution_bias=config.use_conv_bias,
        step_limit=config.time_step_limit,
        float32_residual=config.residual_in_fp32,
    )
    return _model(blueprint, config, sizes)


def from_fla(record: dict[str, Any], blueprint: dict[str, Any]) -> Foreign:
    """The model of an fla config.json, with fresh weights."""
    config = read(FlaMamba2, record)
    inner = int(config.expand * config.hidden_size)
    expect(config, "hidden_act", config.hidden_act in SILU, "silu")
    expect(config, "head_dim", inner % config.head_dim == 0, f"divides {inner}")
    heads = inner // config.head_dim
    expect(config, "n_groups", heads % config.n_groups == 0, f"divides the {heads} heads")
    sizes = Sizes(
        width=config.hidden_size,
        heads=heads,
        head_width=config.head_dim,
        state_size=config.state_size,
        groups=config.n_groups,
        kernel=config.conv_kernel,
        eps=config.norm_eps,
        bias=config.use_bias,
        convolution_bias=config.use_conv_bias,
        step_limit=config.dt_limit,
        norm=config.rmsnorm,
        before_gate=config.norm_before_gate,
        wide_skip=config.D_has_hdim,
        float32_residual=config.residual_in_fp32,
    )
    return _model(blueprint, config, sizes)


def _model(blueprint: dict[str, Any], config: Config, sizes: Sizes) -> Foreign:
    return Foreign(
        blueprint,
        NAMES,
        vocabulary=config.vocab_size,
        width=sizes.width,
        layers=[Mamba2Layer(sizes) for _ in range(config.num_hidden_layers)],
        norm=RMSNorm(sizes.width, sizes.eps),
        tied=config.tie_word_embeddings,
    )
