"""Modules in which two calls meet half-way: what one of them left in the module by then, the other one would read.

Each keeps its state as people keep it, one a way of carrying it. `together` brings two threads to the same place.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from outlast.model import InputSpec, Recurrent


class Place:
    """Where calls meet, if they are to: how often two did, and how often one may still wait in vain."""

    def __init__(self) -> None:
        self.barrier: threading.Barrier | None = None
        self.met = self.left = 0
        self.patience = 0.0
        self.lock = threading.Lock()


_place = Place()


@contextlib.contextmanager
def meeting(vain: int = 1, patience: float = 0.2) -> Iterator[Place]:
    """Inside, calls wait for one another, until so many have waited so many seconds in vain: where calls go one after
    another, no other comes."""
    _place.barrier, _place.met, _place.left, _place.patience = threading.Barrier(2), 0, vain, patience
    try:
        yield _place
    finally:
        _place.barrier = None


def meet() -> None:
    """Wait for another call, if calls are to meet."""
    if (barrier := _place.barrier) is None:
        return
    try:
        barrier.wait(_place.patience)
    except threading.BrokenBarrierError:
        with _place.lock:
            if _place.barrier is barrier:
                _place.left -= 1
                _place.barrier = threading.Barrier(2) if _place.left else None
    else:
        with _place.lock:
            _place.met += 1


def together(*works: Callable[[], Any]) -> list[Any]:
    """What each gives, all of them at once, each in a thread of its own; what one raises is raised."""
    found: list[Any] = [None] * len(works)

    def run(number: int) -> None:
        try:
            found[number] = works[number]()
        except BaseException as error:
            found[number] = error

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive(), "they wait for each other"
    for each in found:
        if isinstance(each, BaseException):
            raise each
    return found


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.head = nn.GRU(3, 4, batch_first=True), nn.Linear(4, 3)


class Keeps(Network):
    """Its state stays in an attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden: Any = None

    def reset(self) -> None:
        self.hidden = None

    def forward(self, x: Tensor) -> Tensor:
        y, self.hidden = self.rnn(x, self.hidden)
        meet()
        return self.head(y)


class Begins(Network):
    """Its GRU starts anew at every call."""

    def forward(self, x: Tensor) -> Tensor:
        meet()
        y, _ = self.rnn(x, torch.zeros(1, len(x), 4))
        return self.head(y)


class Hands(Network):
    """Its state is an argument, and nothing stays behind."""

    def forward(self, x: Tensor, hidden: Any = None) -> tuple[Tensor, Tensor]:
        y, hidden = self.rnn(x, hidden)
        meet()
        return self.head(y), hidden


class Notes(Network):
    """Its state is an argument, and goes by way of an attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.last: Tensor | None = None

    def forward(self, x: Tensor, hidden: Any = None) -> tuple[Tensor, Any]:
        y, self.last = self.rnn(x, hidden)
        meet()
        return self.head(y), self.last


class Buffered(Network):
    """Its state is an argument; what it reads goes by way of a buffer, in place."""

    def __init__(self) -> None:
        super().__init__()
        self.room = nn.Buffer(torch.zeros(512, 128, 3))

    def forward(self, x: Tensor, hidden: Any = None) -> tuple[Tensor, Tensor]:
        rows, length = x.shape[:2]
        self.room[:rows, :length] = x
        meet()
        y, hidden = self.rnn(self.room[:rows, :length].clone(), hidden)
        return self.head(y), hidden


class Says(Network):
    """Says outright what its state is, and goes by way of an attribute."""

    input_spec = InputSpec("features", 3)

    def initial_state(self, batch_size: int) -> tuple[Tensor, ...]:
        return (torch.zeros(batch_size, 4),)

    def forward(self, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        y, self.last = self.rnn(x, state[0][None])
        meet()
        return self.head(y), (self.last[0],)


class Derives(Recurrent):
    """Derives from `Recurrent`, and goes by way of an attribute."""

    input_spec = InputSpec("features", 3)

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.head = nn.GRU(3, 4, batch_first=True), nn.Linear(4, 3)

    def initial_state(self, batch_size: int) -> tuple[Tensor, ...]:
        return (torch.zeros(batch_size, 4),)

    def forward(self, inputs: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        y, self.last = self.rnn(inputs, state[0][None])
        meet()
        return self.head(y), (self.last[0],)


class Answers(Network):
    """One output a window, its state an argument; positions are read as rows, through its GRU, in one call."""

    def forward(self, x: Tensor, hidden: Any = None) -> tuple[Tensor, Tensor]:
        meet()
        y, hidden = self.rnn(x, hidden)
        return self.head(y[:, -1]), hidden


class Rolls(nn.Module):
    """Its state is a variable of a loop of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.keep, self.head = nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        h, outputs = x.new_zeros(len(x), 3), []
        for step in x.unbind(1):
            h = torch.tanh(self.keep(h) + step)
            outputs.append(h)
        meet()
        return self.head(torch.stack(outputs, 1))


KINDS: tuple[type[nn.Module], ...] = (Keeps, Begins, Hands, Answers, Notes, Buffered, Says, Derives, Rolls)


def built(kind: type[nn.Module]) -> nn.Module:
    """One of them, the same at every call."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return kind().eval()
