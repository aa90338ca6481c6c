"""Models that were trained by plain loops on one table, each with a scaling of its own, and what they are to be told.

They were committed before the rule that finds out how a model wants to be read (`evaluation/misread.py`), and judge it.
Nothing of outlast makes or trains them. The table is like a plant's: three positive columns of different size, one of
them skewed, several machines.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

INPUTS = ("speed", "load", "power")
TARGET = "power"
MACHINES, ROWS, T = 40, 160, 24


@dataclass(frozen=True)
class Wanted:
    """How inputs and target have to be read; None: no reading makes the model good, and it is not misread."""

    inputs: str
    target: str


KINDS: dict[str, Wanted | None] = {
    "standard": Wanted("standard", "standard"),
    "raw": Wanted("none", "none"),
    "minmax": Wanted("minmax", "minmax"),
    "robust": Wanted("robust", "robust"),
    "log_target": Wanted("standard", "log"),
    "log_standard_target": Wanted("standard", "log-standard"),
    "log_both": Wanted("standard", "log-standard"),
    "raw_inputs": Wanted("none", "standard"),
    "raw_outputs": Wanted("standard", "none"),
    "minmax_inputs": Wanted("minmax", "none"),
    "useless": None,
    "untrained": None,
    "noise": None,
}


def table(seed: int, *, noise: bool = False) -> dict[str, np.ndarray]:
    """Columns of `MACHINES` machines, `ROWS` rows each, one after another."""
    draw = np.random.default_rng(seed)
    speed, load, rest = (_wandering(draw, share) for share in (0.95, 0.9, 0.5))
    size = 0.6 * speed + 0.6 * load + 0.25 * rest
    power = 80 * np.exp(0.45 * size)
    if noise:
        power = 80 + 12 * draw.standard_normal(power.shape)
    return {
        "machine": np.repeat(np.arange(MACHINES), ROWS),
        "speed": (1500 + 120 * speed).ravel(),
        "load": (0.6 + 0.1 * load).ravel(),
        "power": power.ravel(),
    }


def _wandering(draw: np.random.Generator, share: float) -> np.ndarray:
    """(machines, rows) of unit variance, each `share` of the last value and something new."""
    values = draw.standard_normal((MACHINES, ROWS))
    for t in range(1, ROWS):
        values[:, t] = share * values[:, t - 1] + np.sqrt(1 - share**2) * values[:, t]
    return values


class Forecaster(nn.Module):
    """The commonest module: a GRU and a linear layer on every position; what it scales itself lies in buffers."""

    reads_mean: Tensor
    reads_std: Tensor
    tells_mean: Tensor
    tells_std: Tensor

    def __init__(self, reads: tuple[Tensor, Tensor] | None = None, tells: tuple[Tensor, Tensor] | None = None) -> None:
        super().__init__()
        self.gru = nn.GRU(len(INPUTS), 16, batch_first=True)
        self.head = nn.Linear(16, 1)
        self.own = (reads is not None, tells is not None)
        for name, given in (("reads", reads), ("tells", tells)):
            mean, std = given or (torch.zeros(1), torch.ones(1))
            self.register_buffer(f"{name}_mean", mean)
            self.register_buffer(f"{name}_std", std)

    def forward(self, x: Tensor, h: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        if self.own[0]:
            x = (x - self.reads_mean) / self.reads_std
        out, h = self.gru(x, h)
        out = self.head(out)
        if self.own[1]:
            out = out * self.tells_std + self.tells_mean
        return out, h


def planted(kind: str, seed: int, steps: int = 150) -> tuple[Forecaster, dict[str, np.ndarray]]:
    """The trained model of this kind, and its table. Its own figures are those of the first 60 % of the machines."""
    wanted, columns = KINDS[kind], table(seed, noise=kind == "noise")
    seen = slice(0, MACHINES * 6 // 10)
    x = np.stack([columns[name].reshape(MACHINES, ROWS)[seen] for name in INPUTS], -1)
    y = x[..., [INPUTS.index(TARGET)]]
    if kind == "log_both":  # the logarithm was taken of the column before anything else
        x = np.stack([*np.moveaxis(x[..., :-1], -1, 0), np.log(x[..., -1])], -1)
    reads, tells = (wanted.inputs, wanted.target) if wanted is not None else ("standard", "standard")
    x_scaled, y_scaled = scaled(x, reads), scaled(y, tells)
    torch.manual_seed(seed)
    model = Forecaster(_figures(x_scaled) if reads == "none" else None, _figures(y_scaled) if tells == "none" else None)
    goal = y_scaled
    if kind == "useless":
        goal = np.random.default_rng(seed).permutation(y_scaled.reshape(-1, 1)).reshape(y_scaled.shape)
    if kind != "untrained":
        nn.init.constant_(model.head.bias, 0.0 if model.own[1] else float(goal.mean()))
        _trained(model, x_scaled, goal, steps)
    return model.eval(), columns


def _figures(values: np.ndarray) -> tuple[Tensor, Tensor]:
    flat = torch.from_numpy(values.reshape(-1, values.shape[-1])).float()
    return flat.mean(0), flat.std(0)


def scaled(values: np.ndarray, how: str) -> np.ndarray:
    """(machines, rows, columns) as people scale them, with figures of these very values."""
    if how.startswith("log"):
        return scaled(np.log(values), how.partition("-")[2] or "none")
    flat = values.reshape(-1, values.shape[-1])
    low, middle, high = np.quantile(flat, [0.25, 0.5, 0.75], axis=0)
    centre, spread = {
        "none": (0.0, 1.0),
        "standard": (flat.mean(0), flat.std(0)),
        "minmax": (flat.min(0), flat.max(0) - flat.min(0)),
        "robust": (middle, high - low),
    }[how]
    return (values - centre) / spread


def _trained(model: Forecaster, x: np.ndarray, y: np.ndarray, steps: int) -> None:
    inputs, targets = torch.from_numpy(x).float(), torch.from_numpy(y).float()
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    size = model.tells_std**2 if model.own[1] else targets.var()
    for _ in range(steps):
        machine, first = torch.randint(len(x), (48,)), torch.randint(ROWS - T - 1, (48,))
        at = first[:, None] + torch.arange(T)
        out, _ = model(inputs[machine[:, None], at])
        loss = ((out - targets[machine[:, None], at + 1]) ** 2).mean() / size
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
