"""Modules that read ids beside numbers, as people write them; three machines, three numbers a row, widths of four.

Each says how its author calls it: `own(x, ids)`, x (B, T, 3) and ids (B, T) int64 the same at every position of a row.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class AddedEmbedding(nn.Module):
    """LSTM, the machine's embedding added to the projected numbers; an id for every position."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(3, 4)
        self.embed = nn.Embedding(3, 4)
        self.lstm = nn.LSTM(4, 8, batch_first=True)
        self.head = nn.Linear(8, 1)

    def forward(self, x: Tensor, machine_id: Tensor, hidden: tuple[Tensor, Tensor] | None = None):
        y, hidden = self.lstm(self.project(x) + self.embed(machine_id), hidden)
        return self.head(y), hidden

    def own(self, x: Tensor, ids: Tensor) -> Tensor:
        return self(x, ids)[0]


class ConcatenatedOnce(nn.Module):
    """GRU, one id a window, its embedding concatenated at every position; the state stays inside."""

    def __init__(self) -> None:
        super().__init__()
        self.emb = nn.Embedding(3, 4)
        self.gru = nn.GRU(3 + 4, 8, batch_first=True)
        self.fc = nn.Linear(8, 1)

    def forward(self, x: Tensor, machine: Tensor) -> Tensor:
        e = self.emb(machine).unsqueeze(1).expand(-1, x.size(1), -1)
        out, _ = self.gru(torch.cat([x, e], dim=-1))
        return self.fc(out)

    def own(self, x: Tensor, ids: Tensor) -> Tensor:
        return self(x, ids[:, 0])


class IdAsColumn(nn.Module):
    """The id is the last column of x."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(3, 4)
        self.lstm = nn.LSTM(3 + 4, 8, batch_first=True)
        self.out = nn.Linear(8, 1)

    def forward(self, x: Tensor) -> Tensor:
        ids = x[..., -1].long()
        h, _ = self.lstm(torch.cat([x[..., :-1], self.embedding(ids)], dim=-1))
        return self.out(h)

    def own(self, x: Tensor, ids: Tensor) -> Tensor:
        return self(torch.cat([x, ids[..., None].float()], -1))


class OneHot(nn.Module):
    """No embedding: one_hot of the column; the state goes in and out."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.GRU(3 + 3, 8, batch_first=True)
        self.head = nn.Linear(8, 1)

    def forward(self, x: Tensor, h0: Tensor | None = None) -> tuple[Tensor, Tensor]:
        one_hot = F.one_hot(x[:, :, 3].to(torch.int64), num_classes=3).float()
        y, hn = self.rnn(torch.cat((x[:, :, :3], one_hot), 2), h0)
        return self.head(y), hn

    def own(self, x: Tensor, ids: Tensor) -> Tensor:
        return self(torch.cat([x, ids[..., None].float()], -1))[0]


class LastOnly(nn.Module):
    """One output a window, one id a window."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(3, 4)
        self.lstm = nn.LSTM(7, 8, batch_first=True)
        self.fc = nn.Linear(8, 1)

    def forward(self, x: Tensor, station: Tensor) -> Tensor:
        e = self.embed(station)[:, None, :].repeat(1, x.shape[1], 1)
        out, _ = self.lstm(torch.cat([x, e], -1))
        return self.fc(out[:, -1])

    def own(self, x: Tensor, ids: Tensor) -> Tensor:
        return torch.stack([self(x[:, : t + 1], ids[:, 0]) for t in range(x.shape[1])], 1)


class TimeFirst(nn.Module):
    """Positions first, in x and in the ids."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(3, 4)
        self.lstm = nn.LSTM(7, 8)
        self.fc = nn.Linear(8, 1)

    def forward(self, x: Tensor, ids: Tensor) -> Tensor:
        return self.fc(self.lstm(torch.cat([x, self.embed(ids)], -1))[0])

    def own(self, x: Tensor, ids: Tensor) -> Tensor:
        return self(x.transpose(0, 1), ids.T).transpose(0, 1)


class OptionalId(nn.Module):
    """The id may be left out."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(3, 3)
        self.lstm = nn.LSTM(3, 8, batch_first=True)
        self.fc = nn.Linear(8, 1)

    def forward(self, x: Tensor, hidden: tuple[Tensor, Tensor] | None = None, machine_id: Tensor | None = None):
        if machine_id is not None:
            x = x + self.embed(machine_id)
        y, hidden = self.lstm(x, hidden)
        return self.fc(y), hidden

    def own(self, x: Tensor, ids: Tensor) -> Tensor:
        return self(x, None, ids)[0]


class Unnamed(nn.Module):
    """Names say nothing: only running it does."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(3, 4)
        self.lstm = nn.LSTM(7, 8, batch_first=True)
        self.fc = nn.Linear(8, 1)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.fc(self.lstm(torch.cat([a, self.table(b)], -1))[0])

    def own(self, x: Tensor, ids: Tensor) -> Tensor:
        return self(x, ids)


class TwoIds(nn.Module):
    """A machine and a mode, in the other order than the columns stand."""

    def __init__(self) -> None:
        super().__init__()
        self.of_mode = nn.Embedding(2, 4)
        self.of_machine = nn.Embedding(3, 4)
        self.lstm = nn.LSTM(7, 8, batch_first=True)
        self.fc = nn.Linear(8, 1)

    def forward(self, x: Tensor, mode_id: Tensor, machine_id: Tensor) -> Tensor:
        e = self.of_mode(mode_id) + self.of_machine(machine_id)
        return self.fc(self.lstm(torch.cat([x, e], -1))[0])


class StaticNumbers(nn.Module):
    """What does not change (rated power, age) is concatenated at every position; given once."""

    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Linear(2, 4)
        self.lstm = nn.LSTM(3 + 4, 8, batch_first=True)
        self.fc = nn.Linear(8, 1)

    def forward(self, x: Tensor, static: Tensor) -> Tensor:
        s = torch.relu(self.encode(static)).unsqueeze(1).expand(-1, x.shape[1], -1)
        return self.fc(self.lstm(torch.cat([x, s], -1))[0])


class StepCell(nn.Module):
    """A GRUCell with an embedding, one position a call."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(3, 4)
        self.cell = nn.GRUCell(7, 8)
        self.fc = nn.Linear(8, 1)

    def forward(self, x: Tensor, machine_id: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        h = self.cell(torch.cat([x, self.embed(machine_id)], -1), h)
        return self.fc(h), h

    def own(self, x: Tensor, ids: Tensor) -> Tensor:
        h, found = torch.zeros(len(x), 8), []
        for t in range(x.shape[1]):
            y, h = self(x[:, t], ids[:, t], h)
            found.append(y)
        return torch.stack(found, 1)


IDENTIFIED = (
    AddedEmbedding, ConcatenatedOnce, IdAsColumn, OneHot, LastOnly, TimeFirst, OptionalId, Unnamed, StepCell,
)  # fmt: skip
"""Those that read one id, which is the last of four columns."""
ONCE = (ConcatenatedOnce, LastOnly)
"""Those that take it once a call."""
