"""What an object holds, down to every attribute, container and tensor, so that it shows whether a call changed any."""

from __future__ import annotations

import collections
import logging
import pickle
import random
import types
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

MOST = 100_000
"""Things that are looked at; what holds more is not looked through."""

_PLAIN = (bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.device, torch.Size)
_WHOLE = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, weakref.ref, logging.Logger)
"""Things that are what they are: nothing of a call lies in them."""
_ARRAYS = (Tensor, np.ndarray)
_CONTAINERS = (Mapping, list, tuple, set, frozenset, collections.deque)
_TORCHS = ("_parameters", "_buffers", "_modules")
"""Where a torch module has what it calls its attributes."""


class TooMuch(Exception):
    """It holds more than is looked through."""


@dataclass(frozen=True, eq=False)
class _Thing:
    """One thing and what was in it: for numbers, tensors and what cannot be gone into; else its parts tell."""

    itself: Any
    inside: Any

    def same(self, other: _Thing) -> bool:
        if type(self.itself) is not type(other.itself):
            return False
        if isinstance(self.itself, _PLAIN):
            return self.itself is other.itself or self.itself == other.itself
        return self.itself is other.itself and _equal(self.inside, other.inside)


Contents = Mapping[str, _Thing]


def contents_of(module: nn.Module) -> Contents:
    """Everything in a module by where it is, ``layers.0.cache[1]``.

    Raises:
        TooMuch: there are more than `MOST` things.
    """
    found: dict[str, _Thing] = {}
    met: set[int] = set()
    waiting: collections.deque[tuple[str, Any]] = collections.deque([("", module)])
    while waiting:
        path, value = waiting.popleft()
        found[path] = _Thing(value, _inside(value))
        if len(found) > MOST:
            raise TooMuch
        if not isinstance(value, _PLAIN) and id(value) not in met:
            met.add(id(value))
            waiting += _parts(path, value)
    return found


def changed(before: Contents, after: Contents) -> tuple[str, ...]:
    """Where the contents differ: the outermost names, in order."""
    apart = [
        path
        for path in dict.fromkeys([*before, *after])
        if path not in before or path not in after or not before[path].same(after[path])
    ]
    return tuple(dict.fromkeys(path.partition("[")[0] for path in apart))


def _parts(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """What a thing is made of."""
    if isinstance(value, (*_WHOLE, *_ARRAYS)):
        return
    if isinstance(value, Mapping):
        yield from ((f"{path}[{key!r}]", each) for key, each in list(value.items()))
    elif isinstance(value, _CONTAINERS):
        yield from ((f"{path}[{number}]", each) for number, each in enumerate(list(value)))
    for name, each in list(getattr(value, "__dict__", {}).items()):
        if name in _TORCHS and isinstance(value, nn.Module):
            yield from ((f"{path}.{key}".lstrip("."), inner) for key, inner in list(each.items()))
        else:
            yield f"{path}.{name}".lstrip("."), each


def _inside(value: Any) -> Any:
    """A copy of what is in a thing, where its parts do not tell; of parameters, whether they were written to."""
    if isinstance(value, Tensor):
        version = None if value.is_inference() else value._version
        plain = type(value) in (Tensor, nn.Buffer) and value.layout == torch.strided
        return (version, value.data_ptr(), value.detach().clone()) if plain else version
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, torch.Generator):
        return value.get_state()
    if isinstance(value, random.Random):
        return value.getstate()
    if isinstance(value, (*_PLAIN, *_WHOLE, *_CONTAINERS)) or hasattr(value, "__dict__"):
        return None
    try:
        return pickle.dumps(value)
    except Exception:  # whatever it raises, it cannot be looked into
        return None


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a.shape == b.shape and bool(torch.equal(a, b) or torch.allclose(a, b, rtol=0, atol=0, equal_nan=True))
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(_equal, a, b))
    return a == b
