"""How a model is handed on through the rooms: one table of docs/architecture.md (`make house`).

A *stay* is a place in the package that calls a function with the model itself among its arguments; each place counts
once, at its first call, and the model's own methods are no place. A record that holds the model in a field does not
count: the way followed is that of one value. A *move* is from one stay to the next in another room. A *climb* is a move
to a higher floor; the floor of a room is one above the highest room that it reads from.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch import nn

import outlast
from benchmarks.house import PACKAGE, modules, ordered, reads_of, write
from outlast.cli import main as command_line
from outlast.evaluation import EvalSettings
from outlast.repairs import RepairSettings
from outlast.training import TrainSettings

T = 8
BEFORE = {"evaluate": 10, "repair": 19, "plan": 22, "repair on the command line": 31}
"""Climbs at commit ea76327, before rooms were sorted, counted in the same way."""


class Cell(nn.Module):
    """A module as people write them: a state goes in and out of forward, and nothing says so."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.head = nn.GRU(1, 4, batch_first=True), nn.Linear(4, 1)

    def forward(self, x: torch.Tensor, hidden: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        read, after = self.rnn(x, hidden)
        return self.head(read), after


def build() -> nn.Module:
    torch.manual_seed(0)
    return Cell()


@dataclass(frozen=True)
class Walk:
    """The files and rooms of every stay, in the order of the walk."""

    files: list[str]
    rooms: list[str]

    def climbs(self, floors: dict[str, int]) -> int:
        return sum(floors[a] < floors[b] for a, b in pairwise(self.rooms))

    @property
    def moves(self) -> int:
        return sum(a != b for a, b in pairwise(self.rooms))


def is_the_model(value: Any) -> bool:
    """Whether it is the model, a copy of it, or something recurrent around it."""
    begun = isinstance(value, nn.Module) and "_modules" in value.__dict__
    return begun and any(isinstance(part, Cell | nn.GRU) for part in value.modules())


def inside_a_model(frame: FrameType | None) -> bool:
    """Whether it is a method of a model, or was called by one: the model itself, not the way to it."""
    while frame is not None:
        if frame.f_code.co_varnames[:1] == ("self",) and isinstance(frame.f_locals.get("self"), nn.Module):
            return True
        frame = frame.f_back
    return False


def walk(work: Callable[[], object]) -> Walk:
    """The stays while `work` is done in this thread; what fails or is refused inside is walked as far as it comes."""
    known: set[tuple[Any, int, Any]] = set()
    begun: set[FrameType] = set()  # generators, which are called once and resumed often
    found, names = Walk([], []), dict[str, tuple[str, str] | None]()

    def place(path: str) -> tuple[str, str] | None:
        if path not in names:
            inside = Path(path).is_relative_to(PACKAGE)
            parts = Path(path).relative_to(PACKAGE).with_suffix("").parts if inside else ()
            names[path] = (".".join(parts), parts[0]) if parts else None
        return names[path]

    def look(frame: FrameType, event: str, _: object) -> None:
        code, caller = frame.f_code, frame.f_back
        if event != "call" or (where := place(code.co_filename)) is None or caller is None:
            return
        if frame in begun:
            return
        if code.co_flags & inspect.CO_GENERATOR:
            begun.add(frame)
        edge = (caller.f_code, caller.f_lineno, code)
        count = code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & 4) + bool(code.co_flags & 8)
        if edge in known or not any(is_the_model(frame.f_locals.get(name)) for name in code.co_varnames[:count]):
            return
        if inside_a_model(frame):
            return
        known.add(edge)
        found.files.append(where[0])
        found.rooms.append(where[1])

    sys.setprofile(look)
    try:
        work()
    finally:
        sys.setprofile(None)
    return found


def waves() -> outlast.Streams:
    drawn = np.random.default_rng(0).normal(size=(64, 65, 1)).astype(np.float32)
    return outlast.Streams.from_arrays(list(drawn), horizon=1)


def works(folder: Path) -> dict[str, Callable[[], object]]:
    measuring, training = EvalSettings(targets=16, max_length=64), TrainSettings(steps=64, batch_size=8)
    shared: dict[str, Any] = {"train_context": T, "training": training, "measuring": measuring}
    anyway = RepairSettings(anyway=True, doses=(0.5, 1.0))
    np.save(folder / "waves.npy", np.random.default_rng(0).normal(size=(64, 65, 1)).astype(np.float32))
    line = ["repair", "--model", f"{__name__}:build", "--data", str(folder / "waves.npy"), "--train-context", str(T)]
    line += ["--steps", "2", "--batch-size", "8", "--scored", "16", "--max-length", "64", "--anyway"]
    return {
        "evaluate": lambda: outlast.evaluate(build(), waves(), train_context=T, settings=measuring),
        "repair": lambda: outlast.repair(build(), waves(), repairing=anyway, steps=2, **shared),
        "plan": lambda: outlast.plan(build(), waves(), repairing=anyway, budget=60.0, **shared),
        "repair on the command line": lambda: command_line([*line, "--out", str(folder / "out")]),
    }


def floors() -> dict[str, int]:
    """The floor of every room, from 0."""
    reads, found = reads_of(modules()), dict[str, int]()
    for room in ordered(reads):
        found[room] = 1 + max((found[each] for each in reads[room]), default=-1)
    return found


def table() -> str:
    """A row a walk."""
    heights = floors()
    head = ["walk", "files", "rooms", "stays", "moves", "climbs before", "climbs now"]
    rows = [f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, work in works(Path(folder)).items():
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                way = walk(work)
            sizes = (
                len(set(way.files)),
                len(set(way.rooms)),
                len(way.rooms),
                way.moves,
                BEFORE[name],
                way.climbs(heights),
            )
            rows.append(f"| {name} | {' | '.join(map(str, sizes))} |")
    return "\n".join(rows)


if __name__ == "__main__":
    write({"walks": table()})
