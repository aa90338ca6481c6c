"""One training step of the commonest module there is: `nn.LSTM`, and a linear layer on its last position.

    python -m benchmarks.windows [--width 32] [--length 48]

It gives one output a window. Timed are the default batch of `TrainSettings` read as `adapt` has it read, an output at
every position; and the step of the module's author, one output of the same windows. Minima of steps in turn.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from outlast import TrainSettings, adapt
from outlast.cli.environment import flush_denormals, tune_allocator

FEATURES, TURNS = 4, 7


class LastStep(nn.Module):
    """As people write it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(FEATURES, width, batch_first=True)
        self.head = nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        out, _ = self.lstm(x)
        return self.head(out[:, -1])


def learnt(module: nn.Module, read: Callable[[], Tensor]) -> Callable[[], None]:
    """A training step of what `read` returns."""
    optimiser = torch.optim.AdamW(module.parameters())

    def step() -> None:
        optimiser.zero_grad()
        read().square().mean().backward()
        optimiser.step()

    return step


def seconds(job: Callable[[], None]) -> float:
    began = time.perf_counter()
    job()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--length", type=int, default=48)
    given = parser.parse_args()
    flush_denormals()
    tune_allocator()
    torch.manual_seed(0)
    rows, module = TrainSettings().batch_size, LastStep(given.width)
    inputs, model = torch.randn(rows, given.length, FEATURES), adapt(module)
    jobs = {
        "an output at every position": learnt(module, lambda: model(inputs, model.initial_state(rows))[0]),
        "the author's, one output a window": learnt(module, lambda: module(inputs)),
    }
    found = {name: [seconds(job) for _ in range(TURNS)] for name, job in jobs.items()}
    print(f"{rows} rows of {given.length} positions, {FEATURES} features, width {given.width}")
    for name, each in found.items():
        print(f"{name:36s} {1e3 * min(each):9.2f} ms")


if __name__ == "__main__":
    main()
