"""Modules around torch's LSTM and GRU whose state goes in and out, as people write them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class LSTMTagger(nn.Module):
    def __init__(self, inputs=3, hidden_size=8, outputs=5):
        super().__init__()
        self.lstm = nn.LSTM(inputs, hidden_size, num_layers=2, dropout=0.2, batch_first=True)
        self.norm = nn.LayerNorm(hidden_size)
        self.fc = nn.Linear(hidden_size, outputs)

    def forward(self, x, hidden=None):
        out, (h, c) = self.lstm(x, hidden)
        return self.fc(self.norm(out)), (h, c)


class FlatReturn(nn.Module):
    """``return y, h, c``, while the two go in as one."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 8, batch_first=True)
        self.fc = nn.Linear(8, 1)

    def forward(self, x, hidden=None):
        out, (h, c) = self.lstm(x, hidden)
        return self.fc(out), h, c


class TwoArguments(nn.Module):
    """``forward(x, h, c)``: each tensor of the state is an argument of its own."""

    def __init__(self):
        super().__init__()
        self.hidden_size = 8
        self.lstm = nn.LSTM(3, self.hidden_size, batch_first=True)
        self.fc = nn.Linear(8, 2)

    def forward(self, x, h0, c0):
        out, (hn, cn) = self.lstm(x, (h0, c0))
        return self.fc(out), hn, cn


class TimeFirstGRU(nn.Module):
    """Time first, as torch has it by default, and the state is called hx."""

    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(3, 8, 2)
        self.out = nn.Linear(8, 4)

    def forward(self, inputs, hx=None):
        y, hx = self.gru(inputs, hx)
        return self.out(y), hx


class WithAlphas(nn.Module):
    """An extra output behind the state: how open a gate was at each position."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(3, 8, batch_first=True)
        self.gate = nn.Linear(8, 8)
        self.fc = nn.Linear(8, 2)

    def forward(self, x, hidden=None):
        y, hidden = self.rnn(x, hidden)
        alpha = torch.sigmoid(self.gate(y))
        return self.fc(alpha * y), hidden, alpha


class ActorCritic(nn.Module):
    """A policy, a value and the state, which has no default."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(6, 16), nn.ReLU())
        self.core = nn.LSTM(16, 8, batch_first=True)
        self.policy = nn.Linear(8, 4)
        self.value = nn.Linear(8, 1)

    def forward(self, obs, state):
        y, state = self.core(self.encoder(obs), state)
        return self.policy(y), self.value(y).squeeze(-1), state


class KeywordOnly(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(3, 8, batch_first=True)
        self.head = nn.Linear(8, 2)

    def forward(self, x, *, return_features=False, state=None):
        y, state = self.rnn(x, state)
        return (y if return_features else self.head(y)), state


class LengthsBetween(nn.Module):
    """Lengths stand between the inputs and the state; packed and padded inside."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(13, 6)
        self.lstm = nn.LSTM(6, 8, batch_first=True)
        self.fc = nn.Linear(8, 13)

    def forward(self, tokens, lengths, hidden=None):
        x = pack_padded_sequence(self.embed(tokens), lengths.cpu(), batch_first=True, enforce_sorted=False)
        y, hidden = self.lstm(x, hidden)
        y, _ = pad_packed_sequence(y, batch_first=True)
        return self.fc(y), hidden


class MaskBetween(nn.Module):
    """A mask stands between the inputs and the state: what it leaves out is read as zeros."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(3, 8, batch_first=True)
        self.fc = nn.Linear(8, 2)

    def forward(self, x, mask=None, memory=None):
        if mask is not None:
            x = x * mask.unsqueeze(-1)
        y, memory = self.rnn(x, memory)
        return self.fc(y), memory


class WordLanguageModel(nn.Module):
    """Time first; scores of all positions below one another; a start that the caller asks for."""

    def __init__(self, ntoken=17, ninp=6, nhid=8, nlayers=2, dropout=0.5):
        super().__init__()
        self.ntoken = ntoken
        self.drop = nn.Dropout(dropout)
        self.encoder = nn.Embedding(ntoken, ninp)
        self.rnn = nn.LSTM(ninp, nhid, nlayers, dropout=dropout)
        self.decoder = nn.Linear(nhid, ntoken)
        self.nhid = nhid
        self.nlayers = nlayers

    def forward(self, input, hidden):
        emb = self.drop(self.encoder(input))
        output, hidden = self.rnn(emb, hidden)
        decoded = self.decoder(self.drop(output)).view(-1, self.ntoken)
        return log_softmax(decoded, dim=1), hidden

    def init_hidden(self, bsz):
        weight = next(self.parameters())
        return (weight.new_zeros(self.nlayers, bsz, self.nhid), weight.new_zeros(self.nlayers, bsz, self.nhid))


class EmbeddingGRU(nn.Module):
    def __init__(self, vocab_size=19):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, 6)
        self.gru = nn.GRU(6, 8, batch_first=True)
        self.fc = nn.Linear(8, vocab_size)

    def forward(self, x, h=None):
        out, h = self.gru(self.embedding(x), h)
        return self.fc(out), h


class LearnedStart(nn.Module):
    """Where nothing was carried in, it starts from parameters."""

    def __init__(self):
        super().__init__()
        self.h0 = nn.Parameter(torch.randn(1, 1, 8) * 0.1)
        self.c0 = nn.Parameter(torch.randn(1, 1, 8) * 0.1)
        self.lstm = nn.LSTM(3, 8, batch_first=True)
        self.fc = nn.Linear(8, 2)

    def forward(self, x, state=None):
        if state is None:
            state = (self.h0.expand(-1, x.size(0), -1).contiguous(), self.c0.expand(-1, x.size(0), -1).contiguous())
        y, state = self.lstm(x, state)
        return self.fc(y), state


class RandomStart(nn.Module):
    """Where nothing was carried in, it starts from noise: two calls differ."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(3, 8, batch_first=True)
        self.fc = nn.Linear(8, 2)

    def forward(self, x, h=None):
        if h is None:
            h = torch.randn(1, x.size(0), 8, device=x.device)
        y, h = self.rnn(x, h)
        return self.fc(y), h


class DictOutput(nn.Module):
    """Everything in a dictionary, and logits with classes before positions, as torch's cross-entropy has them."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(11, 6)
        self.rnn = nn.GRU(6, 8, batch_first=True)
        self.head = nn.Linear(8, 11)

    def forward(self, input_ids, past_state=None):
        y, past_state = self.rnn(self.embed(input_ids), past_state)
        return {"logits": self.head(y).transpose(1, 2), "features": y, "past_state": past_state}


class ListState(nn.Module):
    """A list over layers, None where a layer has no state."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(
            [nn.LSTM(3, 8, batch_first=True), nn.Linear(8, 6), nn.GRU(6, 5, batch_first=True), nn.Linear(5, 2)]
        )

    def forward(self, x, states=None):
        if states is None:
            states = [None] * len(self.layers)
        new_states = []
        for layer, state in zip(self.layers, states, strict=True):
            if isinstance(layer, nn.RNNBase):
                x, state = layer(x, state)
            else:
                x = layer(x)
            new_states.append(state)
        return x, new_states


@dataclass
class Memory:
    fast: Tensor
    slow: Tensor


class DataclassState(nn.Module):
    """A state that is an object of a class of its own."""

    def __init__(self):
        super().__init__()
        self.fast, self.slow = nn.GRU(3, 8, batch_first=True), nn.GRU(8, 4, batch_first=True)
        self.fc = nn.Linear(12, 2)

    def initial(self, batch_size):
        return Memory(torch.zeros(1, batch_size, 8), torch.zeros(1, batch_size, 4))

    def forward(self, x, memory: Memory | None = None):
        memory = self.initial(len(x)) if memory is None else memory
        a, fast = self.fast(x, memory.fast)
        b, slow = self.slow(a, memory.slow)
        return self.fc(torch.cat([a, b], -1)), Memory(fast, slow)


class ManyToOne(nn.Module):
    """One output a window, from its last position."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 8, batch_first=True)
        self.fc = nn.Linear(8, 4)

    def forward(self, x, hidden=None):
        out, hidden = self.lstm(x, hidden)
        return self.fc(out[:, -1]), hidden
