"""Stand-ins for other packages' modules: their calls and the shapes of their states, with arithmetic of our own.

`CfC` stands in for ncps.torch.CfC (ncps 1.0.1) with mixed memory, `XLSTMStack` for xlstm.xLSTMBlockStack (xlstm 2.0.6).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class CfC(nn.Module):
    """As ncps.torch.CfC: ``forward(input, hx=None, timespans=None)``, hx a pair (B, units) with mixed memory."""

    def __init__(self, input_size: int = 3, units: int = 8, proj_size: int = 2) -> None:
        super().__init__()
        self.state_size = units
        self.memory = nn.LSTMCell(input_size, units)
        self.backbone = nn.Linear(input_size + units, 16)
        self.ff1, self.ff2, self.time = nn.Linear(16, units), nn.Linear(16, units), nn.Linear(16, units)
        self.fc = nn.Linear(units, proj_size)

    def forward(
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None, timespans: Tensor | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        if hx is None:
            h, c = input.new_zeros(len(input), self.state_size), input.new_zeros(len(input), self.state_size)
        elif isinstance(hx, Tensor):
            raise RuntimeError("a tuple (h0, c0) has to be passed as state")
        else:
            h, c = hx
        outputs = []
        for t in range(input.shape[1]):
            span = 1.0 if timespans is None else timespans[:, t, None]
            h, c = self.memory(input[:, t], (h, c))
            x = torch.tanh(self.backbone(torch.cat([input[:, t], h], 1)))
            gate = torch.sigmoid(self.time(x) * span)
            h = torch.tanh(self.ff1(x)) * (1 - gate) + gate * torch.tanh(self.ff2(x))
            outputs.append(self.fc(h))
        return torch.stack(outputs, 1), (h, c)


class _Block(nn.Module):
    """A matrix memory with a normaliser and a stabiliser behind a causal convolution of 4."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.size = heads, width // heads
        self.norm = nn.LayerNorm(width)
        self.conv = nn.Parameter(torch.randn(4, width) * 0.3)
        self.qkv, self.gates, self.out = (
            nn.Linear(width, 3 * width),
            nn.Linear(width, 2 * heads),
            nn.Linear(width, width),
        )

    def step(
        self,
        x: Tensor,
        mlstm_state: tuple[Tensor, Tensor, Tensor] | None = None,
        conv_state: tuple[Tensor] | None = None,
    ) -> tuple[Tensor, dict[str, tuple[Tensor, ...]]]:
        rows, length, width = x.shape
        assert length == 1, f"step only supports sequence length 1, but got {length}"
        if conv_state is None:
            conv_state = (x.new_zeros(rows, 4, width),)
        if mlstm_state is None:
            shapes = (self.size, self.size), (self.size, 1), (1, 1)
            c, n, m = (x.new_zeros(rows, self.heads, *shape) for shape in shapes)
        else:
            c, n, m = mlstm_state
        (kept,) = conv_state
        kept.copy_(torch.roll(kept, shifts=-1, dims=1))  # in place, as the package does
        kept[:, -1:] = self.norm(x)
        seen = nn.functional.silu((kept * self.conv).sum(1))
        q, k, v = self.qkv(seen).view(rows, 3, self.heads, self.size, 1).unbind(1)
        into, forget = self.gates(seen).view(rows, 2, self.heads, 1, 1).unbind(1)
        forget = nn.functional.logsigmoid(forget + 3)
        m_new = torch.maximum(forget + m, into)
        kept_share, new_share = torch.exp(forget + m - m_new), torch.exp(into - m_new)
        c, n = kept_share * c + new_share * (k @ v.mT), kept_share * n + new_share * k
        h = (q.mT @ c) / (torch.maximum((q.mT @ n).abs(), torch.exp(-m_new)) + 1e-6)
        return x + self.out(h.reshape(rows, 1, width)), {"mlstm_state": (c, n, m_new), "conv_state": (kept,)}


class XLSTMStack(nn.Module):
    """As xlstm.xLSTMBlockStack: ``forward(x)`` from nothing, ``step(x (B, 1, D), state)`` with a dict over blocks."""

    def __init__(self, width: int = 8, blocks: int = 2) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([_Block(width, 2) for _ in range(blocks)])
        self.post_blocks_norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        state: dict[str, dict[str, tuple[Tensor, ...]]] | None = None
        outputs = []
        for t in range(x.shape[1]):
            y, state = self.step(x[:, t : t + 1], state)
            outputs.append(y)
        return torch.cat(outputs, 1)

    def step(
        self, x: Tensor, state: dict[str, dict[str, tuple[Tensor, ...]]] | None = None
    ) -> tuple[Tensor, dict[str, dict[str, tuple[Tensor, ...]]]]:
        state = {} if state is None else state
        for number, block in enumerate(self.blocks):
            assert isinstance(block, _Block)
            x, state[f"block_{number}"] = block.step(x, **state.get(f"block_{number}", {}))  # pyright: ignore[reportArgumentType]
        return self.post_blocks_norm(x), state
