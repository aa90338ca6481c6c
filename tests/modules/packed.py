"""Packed sequences, scripts and traces."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence


class PackedIn(nn.Module):
    """Reads and returns a PackedSequence."""

    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(3, 8)
        self.fc = nn.Linear(8, 2)

    def forward(self, packed: PackedSequence, hidden=None):
        y, hidden = self.gru(packed, hidden)
        return y._replace(data=self.fc(y.data)), hidden


class _Scriptable(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(11, 6)
        self.lstm = nn.LSTM(6, 8, batch_first=True)
        self.fc = nn.Linear(8, 11)

    def forward(self, x: Tensor, hidden: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        y, final = self.lstm(self.embed(x), hidden)
        return self.fc(y), final


class _Traceable(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(3, 8, batch_first=True)
        self.fc = nn.Linear(8, 2)

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        y, h = self.gru(x, h)
        return self.fc(y), h


def scripted():
    """Compiled by torch.jit.script."""
    return torch.jit.script(_Scriptable())


def traced():
    """Recorded by torch.jit.trace on a batch of four."""
    return torch.jit.trace(_Traceable(), (torch.randn(4, 6, 3), torch.zeros(1, 4, 8)))
