"""Calls of one module from several threads: one after another, unless a call leaves nothing in it.

Users' modules write to themselves: a state, a count, what was last seen; two calls at once would read each other's. So
a module has a lock, known by the module's identity, never copied with it, and shared with what is inside of it. Two
things are quicker, and each has to be shown first: calls that leave the module as it was, down to every attribute and
buffer, need not wait (`freely`); and workers of `side_by_side` get a replica each (`turn`), where one was tried.
"""

from __future__ import annotations

import contextlib
import copy
import itertools
import os
import threading
import weakref
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn

from outlast.errors import raised
from outlast.parallel import things_of_worker
from outlast.turns.contents import TooMuch, changed, contents_of

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
