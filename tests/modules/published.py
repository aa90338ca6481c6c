"""Modules in the shapes in which others publish them, by tutorials, libraries and papers; each written anew here."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class CharRNN(nn.Module):
    """A character model that is called a character at a time, and views its rows as one step."""

    def __init__(self, size=11, width=8, layers=2):
        super().__init__()
        self.width, self.layers = width, layers
        self.encoder = nn.Embedding(size, width)
        self.rnn = nn.GRU(width, width, layers)
        self.decoder = nn.Linear(width, size)

    def forward(self, input, hidden):
        batch_size = input.size(0)
        encoded = self.encoder(input)
        output, hidden = self.rnn(encoded.view(1, batch_size, -1), hidden)
        return self.decoder(output.view(batch_size, -1)), hidden

    def init_hidden(self, batch_size):
        return torch.zeros(self.layers, batch_size, self.width)


class NameClassifier(nn.Module):
    """Lines, time first, and the class of each from the last hidden state."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.RNN(5, 8)
        self.h2o = nn.Linear(8, 4)
        self.softmax = nn.LogSoftmax(dim=1)

    def forward(self, line_tensor):
        _, hidden = self.rnn(line_tensor)
        return self.softmax(self.h2o(hidden[0]))


class SineSequence(nn.Module):
    """A loop over two cells on numbers without an axis of features, and forecasts beyond the window on request."""

    def __init__(self):
        super().__init__()
        self.lstm1 = nn.LSTMCell(1, 7)
        self.lstm2 = nn.LSTMCell(7, 7)
        self.linear = nn.Linear(7, 1)

    def forward(self, input, future=0):
        outputs = []
        h1 = c1 = h2 = c2 = torch.zeros(input.size(0), 7, dtype=input.dtype)
        output = None
        for x in input.split(1, dim=1):
            h1, c1 = self.lstm1(x, (h1, c1))
            h2, c2 = self.lstm2(h1, (h2, c2))
            output = self.linear(h2)
            outputs.append(output)
        for _ in range(future):
            h1, c1 = self.lstm1(output, (h1, c1))
            h2, c2 = self.lstm2(h1, (h2, c2))
            output = self.linear(h2)
            outputs.append(output)
        return torch.cat(outputs, dim=1)


class AwdEncoder(nn.Module):
    """Layers with a state each in a list of the module, made anew where the number of rows changes."""

    def __init__(self):
        super().__init__()
        self.bs = 1
        self.emb = nn.Embedding(13, 6)
        self.rnns = nn.ModuleList([nn.LSTM(6, 8, batch_first=True), nn.LSTM(8, 6, batch_first=True)])
        self.out = nn.Linear(6, 13)
        self.reset()

    def one_hidden(self, width):
        weight = next(self.parameters())
        return weight.new_zeros(1, self.bs, width), weight.new_zeros(1, self.bs, width)

    def reset(self):
        self.hidden = [self.one_hidden(8), self.one_hidden(6)]

    def forward(self, inp):
        if inp.size(0) != self.bs:
            self.bs = inp.size(0)
            self.reset()
        out, new = self.emb(inp), []
        for rnn, hidden in zip(self.rnns, self.hidden, strict=True):
            out, state = rnn(out, hidden)
            new.append(tuple(each.detach() for each in state))
        self.hidden = new
        return self.out(out)


class Seq2Seq(nn.Module):
    """An encoder, and a decoder that starts from what it left and reads its own answers."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.GRU(3, 8, batch_first=True)
        self.decoder = nn.GRUCell(1, 8)
        self.fc = nn.Linear(8, 1)

    def forward(self, src):
        _, hidden = self.encoder(src)
        h, y, outputs = hidden[-1], src[:, -1, :1], []
        for _ in range(4):
            h = self.decoder(y, h)
            y = self.fc(h)
            outputs.append(y)
        return torch.stack(outputs, 1)


class DeepAR(nn.Module):
    """One step of a probabilistic forecast, its two states apart, with a method for the start of each."""

    def __init__(self):
        super().__init__()
        self.layers, self.width = 2, 8
        self.lstm = nn.LSTM(4, 8, 2)
        self.mu, self.presigma = nn.Linear(16, 1), nn.Linear(16, 1)

    def forward(self, x, hidden, cell):
        _, (hidden, cell) = self.lstm(x, (hidden, cell))
        permuted = hidden.permute(1, 2, 0).contiguous().view(hidden.shape[1], -1)
        mu, sigma = self.mu(permuted), nn.functional.softplus(self.presigma(permuted))
        return torch.squeeze(mu), torch.squeeze(sigma), hidden, cell

    def init_hidden(self, input_size):
        return torch.zeros(self.layers, input_size, self.width)

    def init_cell(self, input_size):
        return torch.zeros(self.layers, input_size, self.width)


class ConvGRU(nn.Module):
    """A causal convolution, whose last inputs nobody carries, before a GRU."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(3, 6, 3)
        self.gru = nn.GRU(6, 8, batch_first=True)
        self.fc = nn.Linear(8, 2)

    def forward(self, x):
        z = nn.functional.pad(x.transpose(1, 2), (2, 0))
        out, _ = self.gru(torch.relu(self.conv(z)).transpose(1, 2))
        return self.fc(out)


class AttentionPool(nn.Module):
    """Attention over all outputs of an LSTM."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 8, batch_first=True)
        self.score, self.fc = nn.Linear(8, 1), nn.Linear(8, 2)

    def forward(self, x):
        out, _ = self.lstm(x)
        weights = torch.softmax(self.score(out), dim=1)
        return self.fc((weights * out).sum(1))


class PackedLengths(nn.Module):
    """Takes the lengths of its rows, and packs."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(11, 6)
        self.rnn = nn.LSTM(6, 8, batch_first=True)
        self.fc = nn.Linear(8, 5)

    def forward(self, text, lengths):
        packed = pack_padded_sequence(self.embed(text), lengths.cpu(), batch_first=True, enforce_sorted=False)
        out, _ = self.rnn(packed)
        out, _ = pad_packed_sequence(out, batch_first=True)
        return self.fc(out)


class KerasStateful(nn.Module):
    """A switch that says whether states stay, and one output a window."""

    def __init__(self, stateful=True, return_sequences=False):
        super().__init__()
        self.stateful, self.return_sequences = stateful, return_sequences
        self.lstm = nn.LSTM(3, 8, batch_first=True)
        self.dense = nn.Linear(8, 1)
        self.states = None

    def reset_states(self):
        self.states = None

    def forward(self, x):
        out, states = self.lstm(x, self.states if self.stateful else None)
        if self.stateful:
            self.states = tuple(each.detach() for each in states)
        return self.dense(out if self.return_sequences else out[:, -1])


class NestedState(nn.Module):
    """A dictionary of dictionaries as state."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(3, 8, batch_first=True)
        self.fc = nn.Linear(11, 2)

    def forward(self, x, state=None):
        if state is None:
            zeros = x.new_zeros(1, len(x), 8)
            state = {"rnn": {"h": zeros, "c": zeros}, "mean": {"value": x.new_zeros(len(x), 3)}}
        y, (h, c) = self.rnn(x, (state["rnn"]["h"], state["rnn"]["c"]))
        mean, means = state["mean"]["value"], []
        for step in x.unbind(1):
            mean = 0.9 * mean + 0.1 * step
            means.append(mean)
        y = self.fc(torch.cat([y, torch.stack(means, 1)], -1))
        return {"y": y, "state": {"rnn": {"h": h, "c": c}, "mean": {"value": mean}}}


class LastStep(nn.Module):
    """What is compiled, quantised, traced, scripted, exported and wrapped below."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 8, batch_first=True)
        self.head = nn.Linear(8, 2)

    def forward(self, x):
        out, _ = self.lstm(x)
        return self.head(out[:, -1])


class Sequence(nn.Module):
    """The same, with its state in and out and an output for every position."""

    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(3, 8, batch_first=True)
        self.head = nn.Linear(8, 2)

    def forward(self, x, hidden):
        out, hidden = self.gru(x, hidden)
        return self.head(out), hidden


class CellLoop(nn.Module):
    """A loop whose number of turns a trace writes down."""

    def __init__(self):
        super().__init__()
        self.cell, self.head = nn.GRUCell(3, 8), nn.Linear(8, 2)

    def forward(self, x):
        h = torch.zeros(x.size(0), 8)
        for t in range(x.size(1)):
            h = self.cell(x[:, t], h)
        return self.head(h)


def quantised():
    return torch.ao.quantization.quantize_dynamic(LastStep().eval(), {nn.LSTM, nn.Linear}, dtype=torch.qint8)


def weight_normed():
    module = LastStep()
    weight_norm(module.lstm, "weight_hh_l0")
    weight_norm(module.head)
    return module


def compiled():
    return torch.compile(LastStep(), backend="eager")


def compiled_with_state():
    return torch.compile(Sequence(), backend="eager")


def scripted_last_step():
    return torch.jit.script(LastStep())


def traced_last_step():
    return torch.jit.trace(LastStep().eval(), torch.randn(2, 5, 3), check_trace=False)


def traced_loop():
    return torch.jit.trace(CellLoop().eval(), torch.randn(2, 5, 3), check_trace=False)


def exported_fixed():
    return torch.export.export(LastStep().eval(), (torch.randn(2, 5, 3),)).module()


def exported_with_state():
    rows, length = torch.export.Dim("rows", min=1, max=4096), torch.export.Dim("length", min=1, max=65536)
    given = torch.randn(3, 5, 3), torch.zeros(1, 3, 8)
    shapes = {"x": {0: rows, 1: length}, "hidden": {1: rows}}
    return torch.export.export(_Steps().eval(), given, dynamic_shapes=shapes).module()


class _Steps(nn.Module):
    """A linear recurrence by sums, which can be exported for any length."""

    def __init__(self):
        super().__init__()
        self.into, self.out = nn.Linear(3, 8), nn.Linear(8, 2)

    def forward(self, x, hidden):
        u = torch.tanh(self.into(x))
        growth = torch.pow(1.25, torch.arange(1, x.shape[1] + 1, dtype=x.dtype))[None, :, None]
        h = (hidden[0][:, None] + torch.cumsum(u * growth, 1)) / growth
        return self.out(h), h[:, -1][None]


class LitRegressor(nn.Module):
    """As Lightning has it: settings, an example, steps beside the forward."""

    def __init__(self):
        super().__init__()
        self.hparams = {"width": 8, "lr": 1e-3}
        self.example_input_array = torch.zeros(2, 5, 3)
        self.net = nn.ModuleDict({"lstm": nn.LSTM(3, 8, num_layers=2, batch_first=True), "head": nn.Linear(8, 1)})
        self.criterion = nn.MSELoss()

    def forward(self, x):
        out, _ = self.net["lstm"](x)
        return self.net["head"](out[:, -1]).squeeze(-1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        return self.criterion(self(x), y)


class SkorchLanguageModel(nn.Module):
    """An output of all positions in one axis, and an initial state to be asked for."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Embedding(13, 6)
        self.rnn = nn.LSTM(6, 8, 1)
        self.decoder = nn.Linear(8, 13)

    def forward(self, input, hidden=None):
        if hidden is None:
            hidden = self.init_hidden(input.size(1))
        output, hidden = self.rnn(self.encoder(input), hidden)
        decoded = self.decoder(output.view(output.size(0) * output.size(1), output.size(2)))
        return decoded.view(output.size(0), output.size(1), decoded.size(1)), hidden

    def init_hidden(self, bsz):
        weight = next(self.parameters()).data
        return weight.new_zeros(1, bsz, 8), weight.new_zeros(1, bsz, 8)


class ForecastingDict(nn.Module):
    """Reads a dictionary of what it knows about the past and the future."""

    def __init__(self):
        super().__init__()
        self.lstm, self.fc = nn.LSTM(3, 8, batch_first=True), nn.Linear(8, 1)

    def forward(self, x):
        out, _ = self.lstm(x["encoder_cont"])
        return {"prediction": self.fc(out)}


class MinGRU(nn.Module):
    """A gated recurrence by sums of logarithms, whose state it returns only when it is told to."""

    def __init__(self, dim=4):
        super().__init__()
        self.to_hidden_and_gate = nn.Linear(dim, 2 * dim, bias=False)
        self.to_out = nn.Linear(dim, dim)

    def forward(self, x, prev_hidden=None, return_next_prev_hidden=False):
        hidden, gate = self.to_hidden_and_gate(x).chunk(2, dim=-1)
        log_coeffs = -nn.functional.softplus(gate)
        log_values = -nn.functional.softplus(-gate) + torch.log(nn.functional.softplus(hidden) + 1e-4)
        if prev_hidden is not None:
            log_values = torch.cat((prev_hidden.log(), log_values), dim=1)
            log_coeffs = nn.functional.pad(log_coeffs, (0, 0, 1, 0))
        a_star = log_coeffs.cumsum(dim=1)
        log_h0_plus_b_star = (log_values - a_star).logcumsumexp(dim=1)
        out = (a_star + log_h0_plus_b_star).exp()[:, -x.shape[1] :]
        next_prev_hidden = out[:, -1:]
        out = self.to_out(out)
        return (out, next_prev_hidden) if return_next_prev_hidden else out


class ChannelMix(nn.Module):
    """A block in RWKV's way: what was last read, and a decaying sum, in a list."""

    def __init__(self, width=4):
        super().__init__()
        self.mix = nn.Parameter(torch.rand(width))
        self.decay = nn.Parameter(torch.rand(width))
        self.key, self.value = nn.Linear(width, 8), nn.Linear(8, width)

    def forward(self, x, state=None):
        last, total = [x.new_zeros(len(x), x.size(-1))] * 2 if state is None else state
        shifted = torch.cat([last[:, None], x[:, :-1]], 1)
        mixed = x * self.mix + shifted * (1 - self.mix)
        outputs, decay = [], torch.sigmoid(self.decay)
        for k in self.value(torch.relu(self.key(mixed)) ** 2).unbind(1):
            total = decay * total + k
            outputs.append(total)
        return torch.stack(outputs, 1), [x[:, -1], total]


class MinimalMamba(nn.Module):
    """A selective recurrence whose state nobody gets: one class in one file."""

    def __init__(self, width=4, state=3):
        super().__init__()
        self.a = nn.Parameter(torch.rand(width, state))
        self.x_proj, self.dt, self.out = nn.Linear(width, 2 * state), nn.Linear(width, width), nn.Linear(width, 2)

    def forward(self, x):
        b, c = self.x_proj(x).chunk(2, -1)
        delta = nn.functional.softplus(self.dt(x))
        h, ys = x.new_zeros(x.size(0), x.size(-1), self.a.size(1)), []
        for t in range(x.size(1)):
            decay = torch.exp(-delta[:, t, :, None] * self.a)
            h = decay * h + delta[:, t, :, None] * b[:, t, None] * x[:, t, :, None]
            ys.append((h * c[:, t, None]).sum(-1))
        return self.out(torch.stack(ys, 1))


class SmallSLSTM(nn.Module):
    """An sLSTM with its four states in a tuple."""

    def __init__(self):
        super().__init__()
        self.w, self.r, self.head = nn.Linear(3, 32), nn.Linear(8, 32, bias=False), nn.Linear(8, 2)

    def forward(self, x, states=None):
        h, c, n, m = [x.new_zeros(len(x), 8) for _ in range(4)] if states is None else states
        outs = []
        for step in x.unbind(1):
            z, i, f, o = (self.w(step) + self.r(h)).chunk(4, -1)
            log_f = nn.functional.logsigmoid(f)
            new = torch.maximum(log_f + m, i)
            i, f, m = torch.exp(i - new), torch.exp(log_f + m - new), new
            c, n = f * c + i * torch.tanh(z), f * n + i
            h = torch.sigmoid(o) * c / n.clamp(min=1e-6)
            outs.append(self.head(h))
        return torch.stack(outs, 1), (h, c, n, m)


class GRUD(nn.Module):
    """Values, masks and times since the last value as columns; its last values and its state stay inside the call."""

    def __init__(self):
        super().__init__()
        self.cell = nn.GRUCell(4, 8)
        self.decay_x, self.decay_h, self.fc = nn.Linear(2, 2), nn.Linear(2, 8), nn.Linear(8, 1)

    def forward(self, x):
        values, masks, deltas = x[..., :2], (x[..., 2:4] > 0).to(x), x[..., 4:6].abs()
        h, last, outs = x.new_zeros(len(x), 8), x.new_zeros(len(x), 2), []
        for v, m, d in zip(values.unbind(1), masks.unbind(1), deltas.unbind(1), strict=True):
            last = m * v + (1 - m) * last
            filled = m * v + (1 - m) * torch.exp(-torch.relu(self.decay_x(d))) * last
            h = self.cell(torch.cat([filled, m], -1), torch.exp(-torch.relu(self.decay_h(d))) * h)
            outs.append(self.fc(h))
        return torch.stack(outs, 1)


class ConvLSTM(nn.Module):
    """Frames (B, T, C, H, W)."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1 + 4, 16, 3, padding=1)

    def forward(self, x, hidden=None):
        b, _, _, height, width = x.shape
        h, c = [x.new_zeros(b, 4, height, width)] * 2 if hidden is None else hidden
        outs = []
        for frame in x.unbind(1):
            i, f, o, g = self.conv(torch.cat([frame, h], 1)).chunk(4, 1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            outs.append(h)
        return torch.stack(outs, 1), (h, c)


class CellsKept(nn.Module):
    """Lists of states in the module, one for each of its cells, set by a reset for so many rows."""

    def __init__(self):
        super().__init__()
        self.cells = nn.ModuleList([nn.LSTMCell(3, 8), nn.LSTMCell(8, 8)])
        self.out = nn.Linear(8, 2)
        self.reset(1)

    def reset(self, batch_size):
        self.h_t = [torch.zeros(batch_size, 8) for _ in self.cells]
        self.c_t = [torch.zeros(batch_size, 8) for _ in self.cells]

    def forward(self, x):
        outputs = []
        h_t, c_t = list(self.h_t), list(self.c_t)
        for step in x.unbind(1):
            for i, cell in enumerate(self.cells):
                h_t[i], c_t[i] = cell(step, (h_t[i], c_t[i]))
                step = h_t[i]
            outputs.append(self.out(step))
        self.h_t, self.c_t = h_t, c_t
        return torch.stack(outputs, 1)


class BiGRU(nn.Module):
    """Reads both ways."""

    def __init__(self):
        super().__init__()
        self.gru, self.fc = nn.GRU(3, 8, batch_first=True, bidirectional=True), nn.Linear(16, 2)

    def forward(self, x):
        return self.fc(self.gru(x)[0])


class RecurrentPolicy(nn.Module):
    """An agent's: where an episode starts, its state is put to zero."""

    def __init__(self):
        super().__init__()
        self.lstm, self.actor, self.critic = nn.LSTM(4, 8), nn.Linear(8, 2), nn.Linear(8, 1)

    def forward(self, obs, lstm_states, episode_starts):
        outs = []
        for features, start in zip(obs.unbind(0), episode_starts.unbind(0), strict=True):
            lstm_states = tuple((1.0 - start).view(1, -1, 1) * each for each in lstm_states)
            out, lstm_states = self.lstm(features[None], lstm_states)
            outs.append(out)
        out = torch.cat(outs)
        return self.actor(out), self.critic(out), lstm_states


class EchoState(nn.Module):
    """A reservoir that is not trained, in buffers."""

    def __init__(self):
        super().__init__()
        self.register_buffer("w_in", 0.5 * torch.randn(12, 3))
        self.register_buffer("w", 0.1 * torch.randn(12, 12))
        self.leak, self.readout = 0.3, nn.Linear(12, 1)

    def forward(self, u, state=None):
        x = u.new_zeros(len(u), 12) if state is None else state
        outs = []
        for step in u.unbind(1):
            x = (1 - self.leak) * x + self.leak * torch.tanh(step @ self.w_in.T + x @ self.w.T)
            outs.append(self.readout(x))
        return torch.stack(outs, 1), x


class PeepholeLayer(nn.Module):
    """A recurrence of somebody's own, with its state in and out."""

    def __init__(self, inputs, width):
        super().__init__()
        self.width = width
        self.w, self.r = nn.Linear(inputs, 4 * width), nn.Linear(width, 4 * width, bias=False)
        self.peep = nn.Parameter(torch.rand(width))

    def forward(self, x, state=None):
        h, c = [x.new_zeros(len(x), self.width)] * 2 if state is None else state
        outs = []
        for step in x.unbind(1):
            i, f, g, o = (self.w(step) + self.r(h)).chunk(4, -1)
            c = torch.sigmoid(f + self.peep * c) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            outs.append(h)
        return torch.stack(outs, 1), (h, c)


class AroundPeephole(nn.Module):
    """Drops the state of somebody's own recurrence inside."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([PeepholeLayer(3, 8), PeepholeLayer(8, 6)])
        self.fc = nn.Linear(6, 2)

    def forward(self, x):
        for layer in self.layers:
            x, _ = layer(x)
        return self.fc(x)


class AutoEncoder(nn.Module):
    """Says the window again from its last hidden state."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = nn.LSTM(3, 8, batch_first=True), nn.LSTM(8, 8, batch_first=True)
        self.out = nn.Linear(8, 3)

    def forward(self, x):
        _, (h, _) = self.encoder(x)
        y, _ = self.decoder(h[-1][:, None].repeat(1, x.size(1), 1))
        return self.out(y)


class ResidualStack(nn.Module):
    """Layers with norms and residuals, and a list of their pairs as state."""

    def __init__(self):
        super().__init__()
        self.inp = nn.Linear(3, 8)
        self.layers = nn.ModuleList([nn.LSTM(8, 8, batch_first=True) for _ in range(2)])
        self.norms = nn.ModuleList([nn.LayerNorm(8) for _ in range(2)])
        self.fc = nn.Linear(8, 1)

    def forward(self, x, states=None):
        x, new_states = self.inp(x), []
        for i, (layer, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            y, state = layer(norm(x), None if states is None else states[i])
            x = x + y
            new_states.append(state)
        return self.fc(x), new_states


class SRU(nn.Module):
    """A light recurrence, time first, from a cell state that has a default."""

    def __init__(self, width=4):
        super().__init__()
        self.w, self.v = nn.Linear(width, 3 * width), nn.Parameter(torch.rand(2, width))

    def forward(self, x, c0=None):
        u, f, r = self.w(x).chunk(3, -1)
        c, hs = x.new_zeros(x.shape[1:]) if c0 is None else c0, []
        for t in range(len(x)):
            forget, reset = torch.sigmoid(f[t] + self.v[0] * c), torch.sigmoid(r[t] + self.v[1] * c)
            c = forget * c + (1 - forget) * u[t]
            hs.append(reset * c + (1 - reset) * x[t])
        return torch.stack(hs), c


class LSTNet(nn.Module):
    """Convolution, recurrence, a recurrence over skips, and a linear part of the last values."""

    def __init__(self):
        super().__init__()
        self.conv, self.gru, self.skip = nn.Conv1d(3, 6, 2), nn.GRU(6, 8), nn.GRU(6, 4)
        self.fc = nn.Linear(8 + 2 * 4, 3)

    def forward(self, x):
        c = torch.relu(self.conv(nn.functional.pad(x.transpose(1, 2), (1, 0))))
        _, r = self.gru(c.permute(2, 0, 1))
        even = c[:, :, -2 * (c.size(2) // 2) :].unflatten(2, (-1, 2)).permute(2, 3, 0, 1).flatten(1, 2)
        _, s = self.skip(even)
        return self.fc(torch.cat([r[0], s.view(2, x.size(0), -1).transpose(0, 1).flatten(1)], 1))


class TimeMajor(nn.Module):
    """In TensorFlow's words: time first, an initial state, lengths that nobody gives."""

    def __init__(self):
        super().__init__()
        self.cell, self.projection = nn.GRUCell(3, 8), nn.Linear(8, 2)

    def forward(self, inputs, initial_state=None, sequence_length=None, time_major=True):
        state = inputs.new_zeros(inputs.size(1), 8) if initial_state is None else initial_state
        outputs = []
        for step in inputs:
            state = self.cell(step, state)
            outputs.append(self.projection(state))
        return torch.stack(outputs), state


class LiquidTime(nn.Module):
    """Steps of a differential equation, with times between positions that may be left out."""

    def __init__(self):
        super().__init__()
        self.tau, self.a = nn.Parameter(torch.rand(8)), nn.Parameter(torch.rand(8))
        self.f, self.out = nn.Linear(11, 8), nn.Linear(8, 1)

    def forward(self, input, hx=None, timespans=None):
        h, outs = input.new_zeros(len(input), 8) if hx is None else hx, []
        for t in range(input.size(1)):
            dt = 1.0 if timespans is None else timespans[:, t, None]
            gate = torch.sigmoid(self.f(torch.cat([input[:, t], h], -1)))
            h = (h + dt * gate * self.a) / (1 + dt * (self.tau.abs() + gate))
            outs.append(self.out(h))
        return torch.stack(outs, 1), h


class SpeechDetector(nn.Module):
    """A frame of samples a call, with a state of two halves in one tensor."""

    def __init__(self):
        super().__init__()
        self.front, self.rnn, self.decoder = nn.Linear(16, 8), nn.LSTMCell(8, 8), nn.Linear(8, 1)

    def forward(self, x, state):
        h, c = self.rnn(torch.relu(self.front(x)), (state[0], state[1]))
        return torch.sigmoid(self.decoder(h)), torch.stack([h, c])


class TextGenerator(nn.Module):
    """A tutorial's: batches of text go in with rows first, and its LSTM takes them for time first."""

    def __init__(self):
        super().__init__()
        self.embedding, self.lstm, self.fc = nn.Embedding(11, 6), nn.LSTM(6, 6, num_layers=2), nn.Linear(6, 11)

    def forward(self, x, prev_state):
        output, state = self.lstm(self.embedding(x), prev_state)
        return self.fc(output), state

    def init_state(self, sequence_length):
        return torch.zeros(2, sequence_length, 6), torch.zeros(2, sequence_length, 6)


class Belief(NamedTuple):
    """What a filter believes."""

    mean: torch.Tensor
    spread: torch.Tensor


class KalmanFilter(nn.Module):
    """A mean and a covariance, in a NamedTuple."""

    def __init__(self):
        super().__init__()
        self.a, self.c = nn.Parameter(0.9 * torch.eye(2)), nn.Parameter(torch.rand(1, 2))

    def forward(self, y, belief=None):
        if belief is None:
            belief = Belief(y.new_zeros(len(y), 2), torch.eye(2).to(y).expand(len(y), 2, 2))
        outs = []
        for step in y.unbind(1):
            mean = belief.mean @ self.a.T
            spread = self.a @ belief.spread @ self.a.T + 0.1 * torch.eye(2).to(y)
            gain = spread @ self.c.T / (self.c @ spread @ self.c.T + 0.5)
            mean = mean + (gain * (step - mean @ self.c.T)[:, None]).squeeze(-1)
            belief = Belief(mean, spread - gain @ self.c @ spread)
            outs.append(mean @ self.c.T)
        return torch.stack(outs, 1), belief


class RolloutModel(nn.Module):
    """States in a list, without an axis of rows where it is asked for them."""

    def __init__(self):
        super().__init__()
        self.fc, self.lstm, self.logits = nn.Linear(4, 8), nn.LSTM(8, 8, batch_first=True), nn.Linear(8, 3)

    def get_initial_state(self):
        return [torch.zeros(8), torch.zeros(8)]

    def forward(self, inputs, state, seq_lens):
        out, (h, c) = self.lstm(torch.relu(self.fc(inputs)), (state[0].unsqueeze(0), state[1].unsqueeze(0)))
        return self.logits(out), [h.squeeze(0), c.squeeze(0)]


def data_parallel():
    return nn.DataParallel(Sequence())


class TakeFirst(nn.Module):
    """The outputs of a recurrence, without its state."""

    def forward(self, pair):
        return pair[0]


def sequential():
    return nn.Sequential(nn.GRU(3, 8, batch_first=True), TakeFirst(), nn.Linear(8, 2))


class TwoInputs(nn.Module):
    """What does not change, and the sequence, apart."""

    def __init__(self):
        super().__init__()
        self.start, self.gru, self.fc = nn.Linear(2, 8), nn.GRU(3, 8, batch_first=True), nn.Linear(8, 1)

    def forward(self, static, sequence):
        out, _ = self.gru(sequence, torch.tanh(self.start(static))[None])
        return self.fc(out)


class FixedRows(nn.Module):
    """A state in a buffer of so many rows, written in place."""

    def __init__(self):
        super().__init__()
        self.gru, self.fc = nn.GRU(3, 8, batch_first=True), nn.Linear(8, 1)
        self.register_buffer("hidden", torch.zeros(1, 4, 8))

    def forward(self, x):
        out, hidden = self.gru(x, self.hidden)
        self.get_buffer("hidden").copy_(hidden.detach())
        return self.fc(out)


class Answer(NamedTuple):
    """What a model says, and its state."""

    logits: torch.Tensor
    past_state: torch.Tensor


class NamedAnswer(nn.Module):
    """Returns a NamedTuple, after a count of positions that is a sine of its state."""

    def __init__(self):
        super().__init__()
        self.embed, self.gru, self.head = nn.Embedding(11, 6), nn.GRU(6, 8, batch_first=True), nn.Linear(8, 11)

    def forward(self, input_ids, past_state=None, use_cache=True):
        out, past_state = self.gru(self.embed(input_ids) * math.sqrt(6), past_state)
        return Answer(self.head(out), past_state)
