"""What appliances will take in an hour: two layers, time before rows, scaled by median and quartiles outside."""

from pathlib import Path

import torch
from torch import nn

HERE = Path(__file__).parent


class Forecaster(nn.Module):
    def __init__(self, input_size=28, hidden_size=32, num_layers=2):
        super().__init__()
        self.hidden_size, self.num_layers = hidden_size, num_layers
        self.lstm = nn.LSTM(input_size, hidden_size, num_layers, dropout=0.1)
        self.fc = nn.Linear(hidden_size, 1)

    def init_hidden(self, batch_size):
        w = next(self.parameters())
        shape = (self.num_layers, batch_size, self.hidden_size)
        return w.new_zeros(shape), w.new_zeros(shape)

    def forward(self, input, hidden):
        output, hidden = self.lstm(input, hidden)
        return self.fc(output), hidden


def build():
    model = Forecaster()
    model.load_state_dict(torch.load(HERE / "time_first.pt", weights_only=True))
    return model.eval()
