"""What the tests of the command line work on: a user's module, a recording, and a way to run a command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from outlast.cli import main

MODULE = '''
import torch
from torch import nn


class Forecaster(nn.Module):
    """An LSTM from 3 columns to one value."""

    def __init__(self, inputs=3, outputs=1, width=4):
        super().__init__()
        self.lstm = nn.LSTM(inputs, width, batch_first=True)
        self.head = nn.Linear(width, outputs)

    def forward(self, x, hidden=None):
        y, hidden = self.lstm(x, hidden)
        return self.head(y), hidden


def build():
    torch.manual_seed(0)
    return Forecaster()


def without_weights():
    model = build()
    with torch.no_grad():
        for weights in model.parameters():
            weights.fill_(float("nan"))
    return model


def wide():
    return Forecaster(inputs=5)


def narrow():
    return Forecaster(inputs=2)


def two_outputs():
    return Forecaster(outputs=2)


class Drifting(nn.Module):
    """Repeats the first column, and adds an error that grows with the age of the state, from 3 steps on: no reset is
    as good as a repair."""

    def __init__(self, step=0.05):
        super().__init__()
        self.step = nn.Parameter(torch.tensor(step))
        self.read = nn.Linear(3, 1)
        with torch.no_grad():
            self.read.weight.copy_(torch.tensor([[1.0, 0.0, 0.0]]))
            self.read.bias.zero_()

    def initial_state(self, batch_size):
        return (torch.zeros(batch_size, 1),)

    def forward(self, inputs, state):
        age = state[0] + torch.arange(inputs.shape[1])
        return self.read(inputs) + self.step * (age[..., None] + 3), (age[:, -1:] + 1,)


def drifting():
    return Drifting()


def far_off():
    model = Drifting(0.0)
    with torch.no_grad():
        model.read.bias.fill_(9.0)
    return model


class Averaging(nn.Module):
    """Predicts the mean of what it has read, the better the more that is. From `begin` positions on it adds an error of
    up to `wrong`. Where that begins at 8, training in windows of 8 from zero never meets it: no reset and no plain
    training is as good as a repair, nor a leak of what it remembers, for the error goes by its age."""

    def __init__(self, wrong=1.0, begin=8):
        super().__init__()
        self.wrong, self.begin = nn.Parameter(torch.tensor(wrong)), begin

    def initial_state(self, batch_size):
        return (torch.zeros(batch_size, 2), torch.zeros(batch_size, 1))

    def forward(self, inputs, state):
        total = state[0][:, :1] + inputs[..., 0].cumsum(1)
        count = (state[0][:, 1:] + torch.arange(1, inputs.shape[1] + 1)).clamp(min=1)
        age = state[1] + torch.arange(1, inputs.shape[1] + 1)
        wrong = self.wrong * ((age - self.begin) / 8).clamp(0, 1)
        after = torch.stack([total[:, -1], count[:, -1]], 1), age[:, -1:]
        return (total / count + wrong)[..., None], after


def averaging():
    return Averaging()


def averaging_well():
    return Averaging(wrong=0.0)


def averaging_nothing():
    return Averaging(wrong=float("nan"), begin=-8)


def averaging_wrong_from_the_start():
    return Averaging(begin=0)


class Bursting(Averaging):
    """Its states are no numbers after a training window."""

    def forward(self, inputs, state):
        y, (read, age) = super().forward(inputs, state)
        return y, (torch.where(age < 8, read, torch.inf), age)


def bursting():
    return Bursting()


class Growing(Drifting):
    def forward(self, inputs, state):
        return self.read(inputs), (torch.zeros(inputs.shape[0], 2),)


def growing():
    return Growing()


class Raising(Drifting):
    def forward(self, inputs, state):
        raise RuntimeError("sizes of tensors must match")


def raising():
    return Raising()


def broken():
    raise OSError("no weights here")


def tokens():
    from outlast import InputSpec, build
    return build("gru", inputs=InputSpec("tokens", 7), outputs=7, width=4, layers=1)


number = 3
'''

QUICK = ("--threads", "1", "--device", "cpu")
READ = ("--data", "readings.csv", "--target", "power", "--horizon", "2", "--train-context", "8")
MEASURE = (*READ, "--scored", "32", *QUICK)
LEVELS = ("--data", "levels.npy", "--train-context", "8", "--scored", "32", *QUICK)
LEARN = ("--steps", "40", "--learning-rate", "0.05")
AVERAGING = ("--model", "mymod:averaging", *LEVELS, *LEARN)
"""A repair of this model is accepted."""


@dataclass(frozen=True)
class Outcome:
    """What a command came to."""

    status: int
    out: str
    err: str

    @property
    def answer(self) -> str:
        """What was printed behind the first lines, which say what was taken for granted of the data."""
        told = self.out.startswith(("data: ", "データ："))
        return self.out.partition("\n\n")[2] if told else self.out

    def refused(self, after_work: bool = False) -> str:
        """The one message of a command that refused its input, with nothing before it unless there was work."""
        assert self.status == 2, (self.status, self.err)
        assert self.answer == ""
        assert "Traceback" not in self.err
        assert [self.err.count(f"{part}: ") for part in ("given", "expected", "what to do")] == [1, 1, 1], self.err
        assert after_work or self.err.startswith("given: "), self.err
        return self.err[self.err.index("given: ") :]


Run = Callable[..., Outcome]


def in_process(words: Iterable[object], capsys: pytest.CaptureFixture[str], stdin: str | bytes = "") -> Outcome:
    """What a command comes to that is run in this process, with `stdin` to read."""
    capsys.readouterr()
    with tempfile.TemporaryFile() as given, pytest.MonkeyPatch.context() as patch:
        given.write(stdin.encode() if isinstance(stdin, str) else stdin)
        given.seek(0)
        patch.setattr(sys, "stdin", given)  # commands read its file descriptor
        try:
            status = main([str(word) for word in words])
        except SystemExit as stop:
            status = int(stop.code or 0)
    said = capsys.readouterr()
    return Outcome(status, said.out, said.err)


def furnish(folder: Path) -> None:
    """Write the module and the data."""
    (folder / "mymod.py").write_text(MODULE)
    random = np.random.default_rng(0)
    time = np.arange(4000)
    power = np.sin(time / 40) + random.normal(0, 0.1, len(time))
    columns = np.column_stack([power, np.cos(time / 40), random.normal(size=len(time))])
    write_table(folder / "readings.csv", columns)
    np.save(folder / "tokens.npy", random.integers(0, 7, (40, 60)).astype(np.int32))
    np.save(folder / "features.npy", random.normal(size=(40, 60, 3)).astype(np.float32))
    levels = random.normal(size=(64, 1, 1)) + random.normal(size=(64, 160, 1))
    np.save(folder / "levels.npy", levels.astype(np.float32))
    texts = folder / "texts"
    texts.mkdir()
    for number in range(40):
        (texts / f"{number:02}.txt").write_text(f"document {number} says what it has to say, and again. " * 3)


def write_table(path: Path, columns: Iterable[Iterable[object]]) -> None:
    rows = "\n".join(",".join(map(str, row)) for row in columns)
    path.write_text(f"power,phase,noise\n{rows}\n")


def start(
    words: Sequence[str], folder: Path, preexec_fn: Callable[[], object] = lambda: None, **more: Any
) -> subprocess.Popen[str]:
    """A command in a process of its own; `preexec_fn` is called in it before it begins."""

    def begin() -> None:
        # A shell starts what runs in its background with Ctrl-C ignored, and children inherit that.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        preexec_fn()

    return subprocess.Popen(
        [sys.executable, "-m", "outlast", *words],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=begin,
        **more,
    )


def finish(process: subprocess.Popen[str]) -> Outcome:
    out, err = process.communicate(timeout=120)
    return Outcome(process.returncode, out, err)


def figures(folder: Path) -> Any:
    """What a result.json says, without what differs from run to run."""

    def pruned(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: pruned(each) for key, each in value.items() if key not in ("seconds", "command", "name")}
        return [pruned(each) for each in value] if isinstance(value, list) else value

    return pruned(json.loads((folder / "result.json").read_text()))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, with what is in it."""
    return {name: (folder / name).read_bytes() for name in files(folder)}


def files(folder: Path) -> set[str]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
