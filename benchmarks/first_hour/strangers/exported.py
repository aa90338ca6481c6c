"""The road once more, handed over as a .onnx file alone: state in, state out, standardised outside."""

import torch
from torch import nn

COLUMNS = ["temp", "rain_1h", "snow_1h", "clouds_all", "traffic_volume"]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(5, 32, batch_first=True)
        self.fc = nn.Linear(32, 1)

    def forward(self, x, h, c):
        y, (h, c) = self.rnn(x, (h, c))
        return self.fc(y), h, c


def write(model, path):
    batch, seq = torch.export.Dim("batch"), torch.export.Dim("seq")
    torch.onnx.export(
        model.eval(),
        (torch.zeros(2, 7, 5), torch.zeros(1, 2, 32), torch.zeros(1, 2, 32)),
        path,
        input_names=["x", "h0", "c0"],
        output_names=["y", "hn", "cn"],
        dynamic_shapes=({0: batch, 1: seq}, {1: batch}, {1: batch}),
        dynamo=True,
    )
