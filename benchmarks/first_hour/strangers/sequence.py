"""Cars an hour on a road, three hours ahead: an output for every hour, state in and out, standardised outside."""

from pathlib import Path

import torch
from torch import nn

HERE = Path(__file__).parent
COLUMNS = ["temp", "rain_1h", "snow_1h", "clouds_all", "traffic_volume"]


class TrafficGRU(nn.Module):
    def __init__(self, inputs=5, hidden=48):
        super().__init__()
        self.gru = nn.GRU(inputs, hidden, batch_first=True)
        self.head = nn.Sequential(nn.Linear(hidden, 32), nn.ReLU(), nn.Linear(32, 1))

    def forward(self, x, h=None):
        out, h = self.gru(x, h)
        return self.head(out), h


def build():
    model = TrafficGRU()
    model.load_state_dict(torch.load(HERE / "sequence.pt", weights_only=True))
    return model.eval()
