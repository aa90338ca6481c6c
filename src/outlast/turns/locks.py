"""Calls of one module from several threads: one after another, unless a call leaves nothing changed."""

from __future__ import annotations

import collections
import contextlib
import copy
import itertools
import logging
import os
import pickle
import random
import threading
import types
import weakref
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from outlast.errors import raised
from outlast.parallel import things_of_worker

# What an object holds, down to every attribute, container and tensor, so that it shows whether a call changed any.

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


# Calls of one module from several threads: one after another, unless a call leaves nothing in it.
#
# Users' modules write to themselves: a state, a count, what was last seen; two calls at once would read each other's.
# So a module has a lock, known by the module's identity, never copied with it, and shared with what is inside of it.
# Two things are quicker, and each has to be shown first: calls that leave the module as it was, down to every
# attribute and buffer, need not wait (`freely`); and workers of `side_by_side` get a replica each (`turn`), where one
# was tried.

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Waiting:
    """Why calls of a module go one after another.

    Args:
        why: a call ``changes`` what `what` names; a replica cannot be made (``uncopied``, `what` was raised) or
            ``differs``; a module is ``compiled``, or holds ``too_much``, and so cannot be looked into.
    """

    why: Literal["changes", "uncopied", "differs", "compiled", "too_much"]
    what: str = ""


@dataclass(eq=False)
class _Lock:
    """A lock of one or several modules; who needs several takes them in the order of their numbers.

    `written`: whether somebody writes to one of them during a call, so that no call may go on beside it.
    """

    number: int
    held: Any = field(default_factory=threading.RLock)
    written: bool = False


@dataclass(eq=False)
class _Turns:
    """What is known of one module.

    Args:
        own: its lock; `locks`: all of those inside of it, once it was called itself.
        free: kinds of calls that left it as it was.
        waiting: why its calls wait for one another, where they do.
        replicas: whether workers get a replica each.
    """

    module: weakref.ref[nn.Module]
    own: _Lock
    locks: tuple[_Lock, ...] = ()
    free: set[Hashable] = field(default_factory=set)
    waiting: Waiting | None = None
    replicas: bool = False

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            for lock in self.locks:
                stack.enter_context(lock.held)
            yield

    def taken(self) -> contextlib.ExitStack | None:
        """The same without waiting; None: some other thread has it."""
        with contextlib.ExitStack() as stack:
            for lock in self.locks:
                if not lock.held.acquire(blocking=False):
                    return None
                stack.callback(lock.held.release)
            return stack.pop_all()


_changing = threading.Lock()
_known: dict[int, _Turns] = {}
_numbers = itertools.count()


def _begin_anew() -> None:
    """In a child process: whoever held a lock when it was forked is not there to let go of it."""
    global _changing
    _changing = threading.Lock()
    _known.clear()


os.register_at_fork(after_in_child=_begin_anew)


def _turns_of(module: nn.Module) -> _Turns:
    found = _known.get(id(module))
    if found is not None and found.locks and found.module() is module:
        return found
    with _changing:
        inside = list(module.modules())
        known = [turns for each in inside if (turns := _known.get(id(each))) and turns.module() is each]
        locks = {turns.own.number: turns.own for turns in known} or {-1: _Lock(next(_numbers))}
        ordered = tuple(locks[number] for number in sorted(locks))
        for each in inside:
            if not ((turns := _known.get(id(each))) and turns.module() is each):
                _known[id(each)] = _Turns(weakref.ref(each, _forgetting(id(each))), ordered[0])
        _known[id(module)].locks = ordered
        return _known[id(module)]


def _forgetting(key: int) -> Callable[[Any], None]:
    def forget(gone: Any) -> None:
        if (turns := _known.get(key)) and turns.module is gone:
            _known.pop(key, None)

    return forget


@contextlib.contextmanager
def alone(module: nn.Module) -> Iterator[None]:
    """Inside, no other thread calls the module, or anything in it that has turns."""
    with _turns_of(module).alone():
        yield


@contextlib.contextmanager
def turn(module: nn.Module) -> Iterator[nn.Module]:
    """The module, which no other thread calls meanwhile, or a replica that is this worker's.

    A replica is made where two workers want the module at once, and lasts as long as `side_by_side`, inside of which
    models that its jobs share do not change. One that learns has none.
    """
    turns, things = _turns_of(module), things_of_worker()
    if things is None or not turns.replicas or turns.waiting is not None or module.training:
        with turns.alone():
            yield module
        return
    of, replica = things.get(id(module), (None, None))
    if replica is not None and of is turns:
        yield replica
        return
    if (taken := turns.taken()) is not None:
        with taken:
            yield module
        return
    with turns.alone():
        replica = _replica_of(module)
    things[id(module)] = (turns, replica)
    yield replica


def freely(module: nn.Module, kind: Hashable, call: Callable[[], Answer]) -> Answer:
    """What a call of the module gives: with no other thread's call beside it, unless calls of this kind were seen to
    leave the module as it was.

    Args:
        kind: what a call may depend on in what it keeps, such as the shape of its inputs.
    """
    if torch.compiler.is_compiling():  # of which there is one thread
        return call()
    turns = _turns_of(module)
    written = any(lock.written for lock in turns.locks)
    if kind in turns.free and turns.waiting is None and not written and not module.training:
        return call()
    with turns.alone():
        if turns.waiting is not None or module.training or torch.jit.is_tracing():
            return call()
        answer, turns.waiting = _watched(module, call)
        if turns.waiting is None:
            turns.free.add(kind)
        return answer


def try_out(module: nn.Module, read: Callable[[nn.Module], Sequence[Tensor]], *, written: bool) -> None:
    """Find out by reading whether calls leave the module as it was, so that they need not wait for one another.

    Args:
        read: what is read with a module, always the same.
        written: whether calls write to the module and put back what was there; then only workers can go on side by
            side, where a replica gives the same bits.
    """
    turns = _turns_of(module)
    with turns.alone():
        turns.free.clear()
        turns.replicas = False
        wanted, turns.waiting = _watched(module, lambda: read(module))
        if not written:
            return
        for lock in turns.locks:
            lock.written = True
        if turns.waiting is None:
            try:
                found = read(_replica_of(module))
            except Exception as error:  # users' modules may hold anything
                turns.waiting = Waiting("uncopied", raised(error))
            else:
                same = len(found) == len(wanted) and all(map(torch.equal, found, wanted))
                turns.waiting = None if same else Waiting("differs")
        turns.replicas = turns.waiting is None


def found_alike(module: nn.Module, copied: nn.Module) -> None:
    """What was found of a module holds for its copy."""
    was, now = _turns_of(module), _turns_of(copied)
    now.waiting, now.replicas = was.waiting, was.replicas


def waiting(model: nn.Module) -> Waiting | None:
    """Why calls of the model, or of what it is made of, go one after another; None: nothing says that they do."""
    found = (_known.get(id(each)) for each in model.modules())
    return next((turns.waiting for turns in found if turns is not None and turns.waiting is not None), None)


def _watched(module: nn.Module, call: Callable[[], Answer]) -> tuple[Answer, Waiting | None]:
    """What a call gives, and why others would have to wait for it."""
    if any(isinstance(each, torch.jit.ScriptModule) for each in module.modules()):
        return call(), Waiting("compiled")
    try:
        before = contents_of(module)
    except TooMuch:
        return call(), Waiting("too_much")
    answer = call()
    try:
        names = changed(before, contents_of(module))
    except TooMuch:
        return answer, Waiting("too_much")
    return answer, Waiting("changes", ", ".join(names)) if names else None


def _replica_of(module: nn.Module) -> nn.Module:
    """A copy with the same parameters, and copies of all else."""
    return copy.deepcopy(module, {id(each): each for each in module.parameters()})
