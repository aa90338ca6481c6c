"""Modules that keep their state to themselves, as people write them."""

from __future__ import annotations

import torch
from torch import nn


class TutorialLSTM(nn.Module):
    """The most usual one: it starts from zeros at every call, and answers from the last position."""

    def __init__(self, input_size=3, hidden_size=8, num_layers=2, num_classes=4):
        super().__init__()
        self.num_layers = num_layers
        self.hidden_size = hidden_size
        self.lstm = nn.LSTM(input_size, hidden_size, num_layers, batch_first=True)
        self.fc = nn.Linear(hidden_size, num_classes)

    def forward(self, x):
        h0 = torch.zeros(self.num_layers, x.size(0), self.hidden_size).to(x.device)
        c0 = torch.zeros(self.num_layers, x.size(0), self.hidden_size).to(x.device)
        out, _ = self.lstm(x, (h0, c0))
        return self.fc(out[:, -1, :])


class StatefulLSTM(nn.Module):
    """What it read last stays in the module until somebody resets it."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 8, batch_first=True)
        self.fc = nn.Linear(8, 2)
        self.hidden = None

    def reset(self):
        self.hidden = None

    def forward(self, x):
        y, self.hidden = self.lstm(x, self.hidden)
        return self.fc(y)


class InitHiddenInside(nn.Module):
    """A time-series tutorial's: time first, a batch size in the module, the start made by a call."""

    def __init__(self, input_dim=3, hidden_dim=8, batch_size=1, output_dim=1, num_layers=2):
        super().__init__()
        self.hidden_dim, self.batch_size, self.num_layers = hidden_dim, batch_size, num_layers
        self.lstm = nn.LSTM(input_dim, hidden_dim, num_layers)
        self.linear = nn.Linear(hidden_dim, output_dim)
        self.hidden = self.init_hidden(batch_size)

    def init_hidden(self, batch_size):
        shape = (self.num_layers, batch_size, self.hidden_dim)
        return (torch.zeros(shape), torch.zeros(shape))

    def forward(self, input):
        lstm_out, self.hidden = self.lstm(input, self.hidden)
        return self.linear(lstm_out)


class DetachedInside(nn.Module):
    """Stateful, cut from the graph after every call: no gradient flows from one window to the one before."""

    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(3, 8, batch_first=True)
        self.fc = nn.Linear(8, 2)
        self.state = None

    def reset_state(self):
        self.state = None

    def forward(self, x):
        y, state = self.gru(x, self.state)
        self.state = state.detach()
        return self.fc(y)


class LightningModule(nn.Module):
    """Stands in for lightning's class: what of it a model's own code relies on."""

    def save_hyperparameters(self):
        self.hparams = {}

    def log(self, name, value):
        pass


class LitForecaster(LightningModule):
    """A Lightning module: the network inside, training steps beside it."""

    def __init__(self, learning_rate=1e-3):
        super().__init__()
        self.save_hyperparameters()
        self.learning_rate = learning_rate
        self.model = nn.LSTM(3, 8, batch_first=True)
        self.head = nn.Linear(8, 1)
        self.loss_fn = nn.MSELoss()

    def forward(self, x):
        y, _ = self.model(x)
        return self.head(y)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = self.loss_fn(self(x), y)
        self.log("train_loss", loss)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.learning_rate)
