"""One answer a window, as people write it: a recurrence, and something that reads its last position."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class LastStep(nn.Module):
    """The commonest module there is."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 8, batch_first=True)
        self.head = nn.Linear(8, 1)

    def forward(self, x):
        out, _ = self.lstm(x)
        return self.head(out[:, -1])


class FinalHidden(nn.Module):
    """Reads the final hidden state of the last layer, and squeezes what it says."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 8, num_layers=2, dropout=0.2, batch_first=True)
        self.fc = nn.Linear(8, 1)

    def forward(self, x):
        _, (h_n, _) = self.lstm(x)
        return self.fc(h_n[-1]).squeeze(-1)


class NormedHead(nn.Module):
    """A GRU with time first, a norm and two layers behind it, the newest reading beside."""

    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(3, 8)
        self.norm = nn.LayerNorm(8)
        self.mlp = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 3))

    def forward(self, x):
        out, _ = self.gru(x.transpose(0, 1))
        return x[:, -1] + self.mlp(self.norm(out[-1]))


class Stacked(nn.Module):
    """Two recurrences, one after the other, as in Keras, with a batch norm between them."""

    def __init__(self):
        super().__init__()
        self.first = nn.LSTM(3, 8, batch_first=True)
        self.bn = nn.BatchNorm1d(8)
        self.second = nn.GRU(8, 6, batch_first=True)
        self.dense = nn.Linear(6, 2)

    def forward(self, x):
        x, _ = self.first(x)
        x = self.bn(x.permute(0, 2, 1)).permute(0, 2, 1)
        x, _ = self.second(x)
        return torch.sigmoid(self.dense(x[:, -1, :]))


class OwnZeros(nn.Module):
    """Makes its start for the rows that it sees, and takes the state beside the answer."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.RNN(3, 8, num_layers=1, batch_first=True)
        self.fc = nn.Linear(8, 2)

    def forward(self, x, hidden=None):
        if hidden is None:
            hidden = torch.zeros(1, x.size(0), 8)
        out, hidden = self.rnn(x, hidden)
        return self.fc(out[:, -1, :]), hidden


class KeptBetween(nn.Module):
    """Keeps its state until it is reset, and answers from the last position."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 8, num_layers=2, batch_first=True)
        self.fc = nn.Linear(8, 2)
        self.hidden = None

    def reset_state(self):
        self.hidden = None

    def forward(self, x):
        out, (h, c) = self.lstm(x, self.hidden)
        self.hidden = (h.detach(), c.detach())
        return self.fc(out[:, -1])


class PackedInside(nn.Module):
    """Packs its window itself."""

    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(11, 6)
        self.gru = nn.GRU(6, 8, batch_first=True)
        self.fc = nn.Linear(8, 4)

    def forward(self, x):
        lengths = torch.full((x.size(0),), x.size(1))
        packed = pack_padded_sequence(self.emb(x), lengths, batch_first=True, enforce_sorted=False)
        out, _ = pad_packed_sequence(self.gru(packed)[0], batch_first=True)
        return self.fc(out[:, -1])


class LoopOfCells(nn.Module):
    """A loop over a cell, of which the last state is read."""

    def __init__(self):
        super().__init__()
        self.cell = nn.LSTMCell(3, 8)
        self.fc = nn.Linear(8, 2)

    def forward(self, x):
        h, c = torch.zeros(x.size(0), 8), torch.zeros(x.size(0), 8)
        for t in range(x.size(1)):
            h, c = self.cell(x[:, t], (h, c))
        return self.fc(h)


class CellRead(nn.Module):
    """Reads the cell of the LSTM, which nobody knows between the positions of a window."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 8, batch_first=True)
        self.fc = nn.Linear(8, 2)

    def forward(self, x):
        _, (_, c_n) = self.lstm(x)
        return self.fc(c_n[-1])


class AllLayers(nn.Module):
    """Reads the final hidden states of all layers."""

    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(3, 8, num_layers=2, batch_first=True)
        self.fc = nn.Linear(16, 2)

    def forward(self, x):
        _, h_n = self.gru(x)
        return self.fc(h_n.transpose(0, 1).flatten(1))


class FedBack(nn.Module):
    """The state of the recurrence decides about what it reads next."""

    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(3, 8, batch_first=True)
        self.gate = nn.Linear(8, 3)
        self.fc = nn.Linear(8, 2)

    def forward(self, x, hidden=None):
        if hidden is None:
            hidden = torch.zeros(1, x.size(0), 8)
        outs = []
        for t in range(x.size(1)):
            out, hidden = self.gru(x[:, t : t + 1] * torch.sigmoid(self.gate(hidden[-1]))[:, None], hidden)
            outs.append(out)
        return self.fc(outs[-1][:, -1]), hidden


class PooledCells(nn.Module):
    """A recurrence read twice in one call, the second time from where the first one ended."""

    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(3, 8, batch_first=True)
        self.fc = nn.Linear(8, 2)

    def forward(self, x, hidden=None):
        out = x
        for t in range(x.size(1)):
            _, hidden = self.gru(x[:, t : t + 1], hidden)
            out, hidden = self.gru(0.5 * x[:, t : t + 1], hidden)
        return self.fc(out[:, -1]), hidden


class ConvolvedLast(nn.Module):
    """Two causal convolutions, one that pads by itself and one behind zeros of the module's, before an LSTM."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv1d(3, 6, 3, padding=2), nn.Conv1d(6, 6, 2, dilation=2, groups=2)
        self.lstm, self.head = nn.LSTM(6, 8, batch_first=True), nn.Linear(8, 1)

    def forward(self, x):
        z = torch.relu(self.first(x.transpose(1, 2))[..., : x.shape[1]])
        z = torch.relu(self.second(nn.functional.pad(z, (2, 0))))
        out, _ = self.lstm(z.transpose(1, 2))
        return self.head(out[:, -1])
