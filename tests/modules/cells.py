"""Cells that read one position a call, and loops over cells, as people write them."""

from __future__ import annotations

import math

import torch
from torch import nn


class Cell(nn.LSTMCell):
    """torch's own cell, as it is."""

    def __init__(self):
        super().__init__(3, 8)


class NameRNN(nn.Module):
    """The cell of a well-known tutorial: a hidden state of one row, to be asked for."""

    def __init__(self, input_size=3, hidden_size=8, output_size=5):
        super().__init__()
        self.hidden_size = hidden_size
        self.i2h = nn.Linear(input_size + hidden_size, hidden_size)
        self.i2o = nn.Linear(input_size + hidden_size, output_size)
        self.softmax = nn.LogSoftmax(dim=1)

    def forward(self, input, hidden):
        combined = torch.cat((input, hidden), 1)
        hidden = torch.tanh(self.i2h(combined))
        output = self.softmax(self.i2o(combined))
        return output, hidden

    def initHidden(self):  # noqa: N802 as the tutorial has it
        return torch.zeros(1, self.hidden_size)


class StepForecaster(nn.Module):
    """One position in, one forecast out, the cell's pair beside it."""

    def __init__(self):
        super().__init__()
        self.cell = nn.LSTMCell(4, 8)
        self.head = nn.Linear(8, 1)

    def forward(self, x_t, state=None):
        h, c = self.cell(x_t, state)
        return self.head(h), (h, c)


class StackedCells(nn.Module):
    """A loop over positions inside, a list of states over layers."""

    def __init__(self):
        super().__init__()
        self.cells = nn.ModuleList([nn.GRUCell(3, 8), nn.GRUCell(8, 8)])
        self.drop = nn.Dropout(0.1)
        self.fc = nn.Linear(8, 2)

    def forward(self, x, hiddens=None):
        if hiddens is None:
            hiddens = [x.new_zeros(x.size(0), 8) for _ in self.cells]
        outputs = []
        for t in range(x.size(1)):
            inp = x[:, t]
            new = []
            for cell, h in zip(self.cells, hiddens, strict=True):
                h = cell(inp, h)
                new.append(h)
                inp = self.drop(h)
            hiddens = new
            outputs.append(self.fc(inp))
        return torch.stack(outputs, dim=1), hiddens


class CustomLSTM(nn.Module):
    """An LSTM with peepholes from plain parameters."""

    def __init__(self, input_sz=3, hidden_sz=8):
        super().__init__()
        self.hidden_size = hidden_sz
        self.W = nn.Parameter(torch.Tensor(input_sz, hidden_sz * 4))
        self.U = nn.Parameter(torch.Tensor(hidden_sz, hidden_sz * 4))
        self.peep = nn.Parameter(torch.Tensor(3, hidden_sz))
        self.bias = nn.Parameter(torch.Tensor(hidden_sz * 4))
        stdv = 1.0 / math.sqrt(hidden_sz)
        for weight in self.parameters():
            weight.data.uniform_(-stdv, stdv)

    def forward(self, x, init_states=None):
        bs, seq_sz, _ = x.size()
        hidden_seq = []
        if init_states is None:
            h_t, c_t = (x.new_zeros(bs, self.hidden_size), x.new_zeros(bs, self.hidden_size))
        else:
            h_t, c_t = init_states
        HS = self.hidden_size
        for t in range(seq_sz):
            gates = x[:, t, :] @ self.W + h_t @ self.U + self.bias
            i_t = torch.sigmoid(gates[:, :HS] + self.peep[0] * c_t)
            f_t = torch.sigmoid(gates[:, HS : HS * 2] + self.peep[1] * c_t)
            g_t = torch.tanh(gates[:, HS * 2 : HS * 3])
            c_t = f_t * c_t + i_t * g_t
            o_t = torch.sigmoid(gates[:, HS * 3 :] + self.peep[2] * c_t)
            h_t = o_t * torch.tanh(c_t)
            hidden_seq.append(h_t.unsqueeze(0))
        hidden_seq = torch.cat(hidden_seq, dim=0).transpose(0, 1).contiguous()
        return hidden_seq, (h_t, c_t)


class CountedCell(nn.Module):
    """A state of a tensor and a Python number, the position, which the cell reads as a phase."""

    def __init__(self):
        super().__init__()
        self.cell = nn.GRUCell(4, 8)
        self.fc = nn.Linear(8, 2)

    def forward(self, x, state=None):
        h, t = (x.new_zeros(len(x), 8), 0) if state is None else state
        outputs = []
        for step in x.unbind(1):
            phase = torch.full((len(x), 1), math.sin(t / 5)).to(step)
            h = self.cell(torch.cat([step, phase], -1), h)
            t += 1
            outputs.append(self.fc(h))
        return torch.stack(outputs, 1), (h, t)
