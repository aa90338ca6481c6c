"""Whatever a call may change in a module shows, and what it leaves alone does not."""

from __future__ import annotations

import collections
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from outlast.turns import locks
from outlast.turns.locks import TooMuch, changed, contents_of


class Cache:
    """Something of the user's own."""

    def __init__(self) -> None:
        self.seen: dict[str, Any] = {"last": None}


class Full(nn.Module):
    """Holds one of everything."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.LSTM(2, 3), nn.BatchNorm1d(3))
        self.buffer = nn.Buffer(torch.zeros(2))
        self.loose = torch.zeros(2, 2)
        self.holes = torch.tensor([float("nan")])
        self.count, self.name, self.flag = 0, "a", True
        self.pair = (torch.zeros(1), 1)
        self.history: list[Tensor] = []
        self.queue: collections.deque[int] = collections.deque([1])
        self.array = np.zeros(3)
        self.cache = Cache()
        self.random, self.numbers = torch.Generator(), random.Random(0)
        self.bits = np.random.default_rng(0)
        self.mine, self.call = [self], self.forward

    def forward(self, x: Tensor) -> Tensor:
        return x


def sequential(module: Full) -> Any:
    return module.inner


CHANGES: dict[str, tuple[Callable[[Full], Any], str]] = {
    "a number": (lambda m: setattr(m, "count", 1), "count"),
    "a word": (lambda m: setattr(m, "name", "b"), "name"),
    "a switch for a number": (lambda m: setattr(m, "flag", 1), "flag"),
    "an attribute more": (lambda m: setattr(m, "more", None), "more"),
    "an attribute less": (lambda m: delattr(m, "count"), "count"),
    "another tensor of the same numbers": (lambda m: setattr(m, "loose", torch.zeros(2, 2)), "loose"),
    "a tensor in place": (lambda m: m.loose.add_(1), "loose"),
    "a tensor behind torch's back": (lambda m: m.loose.data.fill_(1), "loose"),
    "a tensor by its memory": (lambda m: m.loose.numpy().fill(1), "loose"),
    "a buffer": (lambda m: m.buffer.fill_(1), "buffer"),
    "statistics inside": (lambda m: sequential(m)[1](torch.ones(4, 3)), "inner.1.running_mean"),
    "a parameter": (lambda m: sequential(m)[0].bias_hh_l0.detach().fill_(1), "inner.0.bias_hh_l0"),
    "a mode": (lambda m: m.inner.eval(), "inner.training"),
    "a forward put in": (lambda m: setattr(sequential(m)[0], "forward", m.forward), "inner.0.forward"),
    "one more in a list": (lambda m: m.history.append(torch.zeros(1)), "history"),
    "one less in a queue": (lambda m: m.queue.pop(), "queue"),
    "an array in place": (lambda m: m.array.fill(1), "array"),
    "within an object": (lambda m: m.cache.seen.update(last=1), "cache.seen"),
    "a tensor in a pair": (lambda m: m.pair[0].add_(1), "pair"),
    "a draw of torch's": (lambda m: torch.rand(1, generator=m.random), "random"),
    "a draw of Python's": (lambda m: m.numbers.random(), "numbers"),
    "a draw of numpy's": (lambda m: m.bits.random(), "bits"),
}


@pytest.mark.parametrize("name", CHANGES)
@torch.no_grad()
def test_a_change_shows_by_its_name(name: str) -> None:
    change, where = CHANGES[name]
    module = Full()
    before = contents_of(module)
    change(module)
    assert changed(before, contents_of(module))[0] == where


def test_what_is_read_alone_stays_as_it_was() -> None:
    module = Full().eval()
    before = contents_of(module)
    module(torch.zeros(1))
    sequential(module)[1](torch.ones(4, 3))
    sequential(module)[0](torch.ones(1, 2))
    module.loose = module.loose
    module.count = 0
    assert changed(before, contents_of(module)) == ()


def test_what_holds_too_much_is_not_looked_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "MOST", 50)
    with pytest.raises(TooMuch):
        contents_of(Full())
