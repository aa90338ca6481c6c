"""Kernels over several threads, as many as torch may use where they are called from.

Torch's own threads where that can be (`team`), plain ones else; kernels let go of the interpreter's lock. Not numba's:
its usual pool must not be entered by two Python threads at a time, which is what work side by side in threads does.
Where torch has one thread (workers of `outlast.parallel`, of a data loader) a kernel runs in the thread that calls it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch

from outlast.scan.kernels import team

WORTH = 2**19
"""Multiplications that a further thread must be given to be worth waking, some 50 microseconds' work."""

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None
_forked = False
"""Whether this process is the copy of another: of OpenMP threads that the other had it has none, and waits for them."""


def spread(kernel: Callable[..., None], tasks: int, work: int, *arguments: Any) -> None:
    """Run ``kernel(first, last, *arguments)`` on ranges that together are [0, tasks).

    Args:
        kernel: compiled; lets go of the interpreter's lock.
        tasks: independent parts, alike in cost.
        work: multiplications of all tasks together, roughly.
        *arguments: handed on.
    """
    threads = min(torch.get_num_threads(), tasks, 1 + work // WORTH)
    if threads == 1:
        kernel(0, tasks, *arguments)
        return
    if not _forked and team.start() is not None:
        team.run(kernel, threads, tasks, *arguments)
        return
    edges = [tasks * i // threads for i in range(threads + 1)]
    others = [_workers().submit(kernel, *edges[i : i + 2], *arguments) for i in range(1, threads)]
    kernel(*edges[:2], *arguments)
    for other in others:
        other.result()


def _workers() -> ThreadPoolExecutor:
    """The pool of this process. It has a thread for every core; idle ones cost nothing."""
    global _pool
    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(os.cpu_count() or 1, "outlast-kernel")
        return _pool


def _after_fork() -> None:
    """A forked process has none of its parent's threads, and perhaps its lock in a taken state."""
    global _pool, _lock, _forked
    _pool, _lock, _forked = None, threading.Lock(), True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
