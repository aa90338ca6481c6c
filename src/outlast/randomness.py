"""Randomness as a function of where one stands: nothing depends on what was drawn before.

A resumed run, and every rank of a distributed one, gets the numbers that the uninterrupted single run would get.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _mix(value: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014)."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def hash_integers(seed: int, salt: str, step: int, rows: np.ndarray) -> np.ndarray:
    """One uint64 for each row: a pure function of (seed, salt, step, row)."""
    name = salt.encode()
    words = [int.from_bytes(name[i : i + 8].ljust(8, b"\0"), "little") for i in range(0, max(len(name), 1), 8)]
    with np.errstate(over="ignore"):
        value = _mix(np.asarray(rows, np.uint64) + _GOLDEN)
        for key in (seed % 2**64, *words, step % 2**64):
            value = _mix(value + np.uint64(key) * _GOLDEN + _GOLDEN)
    return value


def hash_uniform(seed: int, salt: str, step: int, rows: np.ndarray) -> np.ndarray:
    """One float64 in [0, 1) for each row: a pure function of (seed, salt, step, row)."""
    return (hash_integers(seed, salt, step, rows) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def generator(seed: int, salt: str, step: int = 0, rank: int = 0) -> torch.Generator:
    """A fresh CPU generator, a pure function of (seed, salt, step, rank)."""
    number = hash_integers(seed, salt, step, np.array([rank]))[0] >> np.uint64(1)
    return torch.Generator().manual_seed(int(number))


_DRAWING = frozenset(
    {torch.rand, torch.randn, torch.randint, torch.randperm, torch.normal, torch.bernoulli, torch.multinomial}
    | {getattr(torch.Tensor, name) for name in ("uniform_", "normal_", "random_", "bernoulli_", "exponential_")}
    | {getattr(torch.Tensor, name) for name in ("cauchy_", "geometric_", "log_normal_")}
)


class DrawingFrom(TorchFunctionMode):
    """Inside ``with DrawingFrom(seed):`` whatever this thread draws on the CPU comes from a generator of its own.

    Modules draw their first weights from torch's global generator, which is one for all threads: a thread that seeds it
    changes what another is building. The numbers are those that the global generator would give after this seed.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.generator = torch.Generator().manual_seed(seed)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = dict(kwargs or {})
        # torch.nn.init says that it takes one; what does the drawing may not.
        if given.get("generator", self) is None or (func in _DRAWING and "generator" not in given):
            given["generator"] = self.generator
        return func(*args, **given)
