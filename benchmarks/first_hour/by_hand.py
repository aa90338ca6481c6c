"""What each stranger knows of a model: how its numbers were scaled, how it was trained, and how good it is.

All of it is plain pandas, numpy and torch: nothing here reads a table, scales, calls a model or judges by outlast's
code, since its answers are held against these.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

TRAINED = 0.6
"""Share of the rows, from the beginning, that models are trained on."""
JUDGED = 0.25
"""Share of the rows, at the end, that nobody trains on."""


@dataclass(frozen=True)
class Scaling:
    """Of F input columns and the target: (value − offset) / divisor, of logarithms where `log`."""

    offset: np.ndarray
    divisor: np.ndarray
    target_offset: float
    target_divisor: float
    log: bool = False


@dataclass(frozen=True)
class Stranger:
    """A model, its table, and what its author would type.

    Args:
        said: options beyond model, data, target, horizon and train context without which nobody can read it rightly.
        scale: ``inside`` (raw numbers go in and out), ``standard``, ``minmax``, ``robust``.
        window: predictions (B,) of windows (B, T, F), and of which series each is.
    """

    name: str
    table: str
    target: str
    horizon: int
    train_context: int
    scale: str
    window: Callable[[nn.Module, torch.Tensor, torch.Tensor], torch.Tensor]
    said: tuple[str, ...] = ()
    log: bool = False
    steps: int = 1000

    @property
    def module(self) -> Any:
        return importlib.import_module(f"strangers.{self.name}")


def _last(model: nn.Module, x: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    return model(x)[:, 0]


def _sequence(model: nn.Module, x: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    return model(x)[0][:, -1, 0]


def _stateful(model: nn.Module, x: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    model.reset_states()  # pyright: ignore[reportCallIssue]
    out = model(x)[:, -1, 0]
    model.reset_states()  # pyright: ignore[reportCallIssue]
    return out


def _with_ids(model: nn.Module, x: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    return model(x, ids)[:, -1]


def _cells(model: nn.Module, x: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    return model(x)[:, -1, 0]


def _time_first(model: nn.Module, x: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    start = model.init_hidden(len(x))  # pyright: ignore[reportCallIssue]
    return model(x.transpose(0, 1), start)[0][-1, :, 0]


def _exported(model: nn.Module, x: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    zeros = torch.zeros(1, len(x), 32)
    return model(x, zeros, zeros)[0][:, -1, 0]


STRANGERS = (
    Stranger("last_step", "parking.csv", "Occupancy", 2, 18, "inside", _last),
    Stranger("sequence", "traffic.csv", "traffic_volume", 3, 48, "standard", _sequence),
    Stranger("stateful", "traffic.csv", "traffic_volume", 3, 48, "minmax", _stateful),
    Stranger("with_ids", "parking.csv", "Occupancy", 2, 18, "standard", _with_ids, ("--category", "SystemCodeNumber")),
    Stranger("cells", "appliances.csv", "Appliances", 6, 48, "standard", _cells, log=True),
    Stranger("time_first", "appliances.csv", "Appliances", 6, 48, "robust", _time_first),
    Stranger("exported", "traffic.csv", "traffic_volume", 3, 48, "standard", _exported),
    Stranger("lightning_module", "appliances.csv", "Appliances", 6, 48, "standard", _last),
)


@dataclass(frozen=True)
class Series:
    """One machine's rows in order: inputs (T, F) and target (T,) in the table's own numbers."""

    inputs: np.ndarray
    target: np.ndarray
    number: int


def series_of(stranger: Stranger, folder: Path) -> list[Series]:
    """The rows as the model's author reads them."""
    frame = pd.read_csv(folder / stranger.table, keep_default_na=stranger.table != "traffic.csv")
    if stranger.table == "parking.csv":
        groups = sorted(frame.groupby("SystemCodeNumber"))
        return [_series(part, ["Capacity", "Occupancy"], "Occupancy", i) for i, (_, part) in enumerate(groups)]
    if stranger.table == "traffic.csv":
        return [_series(frame, ["temp", "rain_1h", "snow_1h", "clouds_all", "traffic_volume"], "traffic_volume", 0)]
    return [_series(frame, [name for name in frame.columns if name != "date"], "Appliances", 0)]


def _series(frame: pd.DataFrame, columns: list[str], target: str, number: int) -> Series:
    return Series(frame[columns].to_numpy(np.float64), frame[target].to_numpy(np.float64), number)


def training_part(series: list[Series]) -> list[Series]:
    """The beginning of each."""
    cut = [round(TRAINED * len(each.target)) for each in series]
    return [Series(s.inputs[:n], s.target[:n], s.number) for s, n in zip(series, cut, strict=True)]


def scaling_of(stranger: Stranger, series: list[Series]) -> Scaling:
    """Figures of the training part, by the formulas of sklearn's scalers; what is scaled inside needs none."""
    inputs = np.concatenate([each.inputs for each in series])
    target = np.concatenate([each.target for each in series])
    if stranger.log:
        column = int(np.flatnonzero((inputs == target[:, None]).all(0))[0])
        inputs[:, column] = np.log(inputs[:, column])
        target = np.log(target)
    both = np.column_stack([inputs, target])
    if stranger.scale == "inside":
        offset, divisor = np.zeros(both.shape[1]), np.ones(both.shape[1])
    elif stranger.scale == "standard":
        offset, divisor = both.mean(0), both.std(0)
    elif stranger.scale == "minmax":
        offset, divisor = both.min(0), both.max(0) - both.min(0)
    else:
        offset, divisor = np.median(both, 0), np.quantile(both, 0.75, axis=0) - np.quantile(both, 0.25, axis=0)
    divisor = np.where(divisor > 0, divisor, 1.0)
    return Scaling(offset[:-1], divisor[:-1], float(offset[-1]), float(divisor[-1]), stranger.log)


def scaled(series: Series, scaling: Scaling) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs (T, F) and target (T,) as the model has them."""
    inputs, target = series.inputs, series.target
    if scaling.log:
        own = (inputs == target[:, None]).all(0)
        inputs, target = np.where(own, np.log(np.where(own, inputs, 1.0)), inputs), np.log(target)
    x = (inputs - scaling.offset) / scaling.divisor
    y = (target - scaling.target_offset) / scaling.target_divisor
    return torch.from_numpy(x).float(), torch.from_numpy(y).float()


def train(stranger: Stranger, series: list[Series], scaling: Scaling, seed: int = 0) -> nn.Module:
    """A plain loop over windows drawn at random, each from the zero state."""
    torch.manual_seed(seed)
    drawn = np.random.default_rng(seed)
    model = new_model(stranger)
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    data = [scaled(each, scaling) for each in training_part(series)]
    length, spread = stranger.train_context, float(np.mean([y.std() for _, y in data]))
    for _ in range(stranger.steps):
        which = drawn.integers(len(data), size=64)
        x, y = zip(*[_window(*data[number], stranger, drawn) for number in which], strict=True)
        ids = torch.tensor([series[number].number for number in which])
        # Who has one output a window trains on whole windows; the others learn from every position.
        cut = length if stranger.window is _last else int(drawn.integers(1, length + 1))
        loss = ((stranger.window(model, torch.stack(x)[:, :cut], ids) - torch.stack(y)[:, cut - 1]) / spread).square()
        optimiser.zero_grad()
        loss.mean().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
    return model.eval()


def new_model(stranger: Stranger) -> nn.Module:
    """Untrained; the class that its file defines."""
    module = stranger.module
    kinds = [each for each in vars(module).values() if isinstance(each, type) and each.__module__ == module.__name__]
    return kinds[0]()


def trained(stranger: Stranger, folder: Path) -> nn.Module:
    """As its author loads it."""
    model = new_model(stranger)
    model.load_state_dict(torch.load(folder / "strangers" / f"{stranger.name}.pt", weights_only=True))
    return model.eval()


def _window(
    x: torch.Tensor, y: torch.Tensor, stranger: Stranger, drawn: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    begin = int(drawn.integers(len(y) - stranger.train_context - stranger.horizon))
    ahead = begin + stranger.horizon
    return x[begin : begin + stranger.train_context], y[ahead : ahead + stranger.train_context]


@torch.no_grad()
def error_at(
    model: nn.Module,
    stranger: Stranger,
    series: list[Series],
    scaling: Scaling,
    ages: tuple[int, int],
    count: int = 400,
) -> tuple[float, float]:
    """Mean squared error, in the target's own unit, of states of an age in [from, to), and its standard error.

    Every prediction is of a window of that many rows from the zero state; it ends at a row of the judged part.
    """
    drawn = np.random.default_rng(1)
    errors = []
    data = [scaled(each, scaling) for each in series]
    for _ in range(count // 40):
        age = int(drawn.integers(*ages))
        x, y, ids = [], [], []
        while len(x) < 40:
            number = int(drawn.integers(len(data)))
            inputs, target = data[number]
            first = max(round((1 - JUDGED) * len(target)), age - 1)
            if first >= len(target) - stranger.horizon:
                continue
            last = int(drawn.integers(first, len(target) - stranger.horizon))
            x.append(inputs[last - age + 1 : last + 1])
            y.append(float(series[number].target[last + stranger.horizon]))
            ids.append(series[number].number)
        predicted = stranger.window(model, torch.stack(x), torch.tensor(ids)).double().numpy()
        predicted = predicted * scaling.target_divisor + scaling.target_offset
        errors.append((np.exp(predicted) if scaling.log else predicted) - np.array(y))
    squared = np.concatenate(errors) ** 2
    return float(squared.mean()), float(squared.std() / np.sqrt(len(squared)))
