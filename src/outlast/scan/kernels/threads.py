"""Kernels over several threads, on the very threads that torch's own operators run on where those are OpenMP's."""

from __future__ import annotations

import array
import ctypes
import functools
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import numba
import numpy as np
import torch
from numba.core.compiler_lock import global_compiler_lock

# Kernels on the very threads that torch's own operators run on, where those are OpenMP's.
#
# Another pool's threads would have to share the cores with torch's, which wait awake for their next operator. So the
# call by which torch starts its threads, `GOMP_parallel` (GNU's; LLVM's and Intel's libraries have it too), is made
# for kernels as well. It takes a function of one address. That function is made here, one for each list of kinds of
# arguments, and fetches the arguments from there.

_KINDS: dict[type, str] = {int: "i64", bool: "i8", np.float32: "float", type(None): "ptr"}
"""LLVM's types of arguments."""
_FAILED = 3
"""Where in the words of 8 bytes that all threads see it stands whether a kernel failed."""

_BODY = """
define void @body(ptr %words) {{
  %result = alloca ptr
  %exception = alloca ptr
  %at.parts = getelementptr i64, ptr %words, i64 1
  %parts = load i64, ptr %at.parts
  %at.tasks = getelementptr i64, ptr %words, i64 2
  %tasks = load i64, ptr %at.tasks
  %at.failed = getelementptr i64, ptr %words, i64 3
  %at.kernel = getelementptr i64, ptr %words, i64 4
  %kernel = load ptr, ptr %at.kernel
{loads}
  br label %next
next:
  %part = atomicrmw add ptr %words, i64 1 monotonic
  %there = icmp slt i64 %part, %parts
  br i1 %there, label %work, label %end
work:
  %until = add i64 %part, 1
  %low = mul i64 %part, %tasks
  %high = mul i64 %until, %tasks
  %first = sdiv i64 %low, %parts
  %last = sdiv i64 %high, %parts
  %status = call i32 %kernel(ptr %result, ptr %exception, i64 %first, i64 %last{arguments})
  %well = icmp eq i32 %status, 0
  br i1 %well, label %next, label %failed
failed:
  store i64 1, ptr %at.failed
  br label %next
end:
  ret void
}}
"""
"""Takes part after part through a kernel, as long as there are any. `words` are: the next part, how many parts and
tasks there are, whether a kernel failed, the kernel's address, its arguments. numba's convention: where the result and
an exception go, the arguments with tuples laid flat; 0 is well."""


@functools.cache
def start() -> Any:
    """`GOMP_parallel` of the library whose threads torch runs on; None where there is none."""
    # In the order in which torch itself finds it: a library that was loaded before it goes before its own.
    call = _found_in(None) or _found_in(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
    if call is None:
        return None
    call.argtypes, call.restype = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint), None
    return call


def _found_in(library: str | None) -> Any:
    try:
        return ctypes.CDLL(library).GOMP_parallel
    except (OSError, AttributeError, TypeError):  # the last one on Windows, which has no library of all libraries
        return None


def run(kernel: Any, threads: int, tasks: int, *arguments: Any) -> None:
    """Run ``kernel(first, last, *arguments)`` in so many of torch's threads on ranges that together are [0, tasks).

    Args:
        kernel: compiled.
        threads: at most as many as torch may use.
        *arguments: of it: whole numbers, truth values, float32, None, and tuples of whole numbers.

    Raises:
        RuntimeError: the kernel failed.
    """
    layout = tuple([len(each) if type(each) is tuple else _KINDS[type(each)] for each in arguments])
    words = array.array("q", [0, threads, tasks, 0, _address(kernel, layout), *_words(arguments)])
    body = _body(layout)  # held here, as another thread may put its own in the cache's place meanwhile
    # All of torch's threads are called, as torch calls them, and those without a part leave again: after a smaller team
    # the library would end the others, and make them anew for torch's next operator.
    start()(body[0], words.buffer_info()[0], torch.get_num_threads(), 0)
    if words[_FAILED]:
        raise RuntimeError(f"{kernel.__module__}.{kernel.__name__} failed")


def _words(arguments: tuple[Any, ...]) -> Iterator[int]:
    for each in arguments:
        if type(each) is tuple:
            yield from each
        elif type(each) is np.float32:
            yield int(each.view(np.int32))
        else:
            yield each or 0


@functools.cache
def _address(kernel: Any, layout: tuple[int | str, ...]) -> int:
    """Where the machine code of a kernel for arguments of this layout begins."""
    kinds = {"i64": numba.int64, "i8": numba.boolean, "float": numba.float32, "ptr": numba.types.none}
    types = (numba.types.UniTuple(numba.int64, each) if isinstance(each, int) else kinds[each] for each in layout)
    signature = (numba.int64, numba.int64, *types)
    kernel.compile(signature)
    made = kernel.overloads[signature]
    return made.library.get_pointer_to_function(made.fndesc.llvm_func_name)


@functools.cache
def _body(layout: tuple[int | str, ...]) -> tuple[int, Any]:
    """Address of `_BODY` for arguments of this layout, and what keeps it in memory."""
    kinds = [kind for each in layout for kind in (["i64"] * each if isinstance(each, int) else [each])]
    loads = [
        f"  %p{i} = getelementptr i64, ptr %words, i64 {_FAILED + 2 + i}\n  %a{i} = load {kind}, ptr %p{i}"
        for i, kind in enumerate(kinds)
    ]
    text = _BODY.format(loads="\n".join(loads), arguments="".join(f", {kind} %a{i}" for i, kind in enumerate(kinds)))
    with global_compiler_lock:
        machine = llvm.Target.from_default_triple().create_target_machine(opt=1)
        engine = llvm.create_mcjit_compiler(llvm.parse_assembly(text), machine)
        engine.finalize_object()
        return engine.get_function_address("body"), engine


# Kernels over several threads, as many as torch may use where they are called from.
#
# Torch's own threads where that can be (`team`), plain ones else; kernels let go of the interpreter's lock. Not
# numba's: its usual pool must not be entered by two Python threads at a time, which is what work side by side in
# threads does. Where torch has one thread (workers of `outlast.parallel`, of a data loader) a kernel runs in the
# thread that calls it.

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
    if not _forked and start() is not None:
        run(kernel, threads, tasks, *arguments)
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
