"""How kernels are compiled and kept: the cache of a kernel belongs to the text of every file in this folder.

Numba knows the file that a kernel stands in, not the files that it imports, and would go on using machine code of what
`simd.py` or `layout.py` said before.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import hashlib
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from numba import config, njit
from numba.core.caching import InTreeCacheLocator, UserProvidedCacheLocator, UserWideCacheLocator
from numba.core.compiler_lock import global_compiler_lock


@functools.cache
def _stamp() -> bytes:
    """SHA-256 of the names and texts of this folder's files."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.digest()


class _Stamped:
    def get_source_stamp(self) -> bytes:
        return _stamp()


class Chosen(_Stamped, UserProvidedCacheLocator):
    """Where NUMBA_CACHE_DIR says."""


class Beside(_Stamped, InTreeCacheLocator):
    """In __pycache__ beside the file, where that may be written to."""


class OfUser(_Stamped, UserWideCacheLocator):
    """In the user's own folder of caches."""


_PLACES = ",".join(f"{__name__}.{place.__name__}" for place in (Chosen, Beside, OfUser))


_jit: Any = njit
_OPTIONS = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}


def kernel(function: Callable[..., Any]) -> Any:
    """A compiled function that lets go of the interpreter's lock; kept between processes where a place can be found."""
    # Numba looks for the place while it decorates.
    before, config.CACHE_LOCATOR_CLASSES = config.CACHE_LOCATOR_CLASSES, _PLACES  # pyright: ignore
    try:
        made = _jit(cache=True, **_OPTIONS)(function)
    except RuntimeError as error:
        if "cannot cache" not in str(error):
            raise
        _say_that_nothing_is_kept()
        made = _jit(**_OPTIONS)(function)
    finally:
        config.CACHE_LOCATOR_CLASSES = before  # pyright: ignore
    at_length = made.compile

    def compile(signature: Any) -> Any:
        with _in_haste():
            return at_length(signature)

    made.compile = compile
    return made


def helper(function: Callable[..., Any]) -> Any:
    """A function for kernels alone: it is part of each that calls it, and is not kept. Called
    from Python it ends the process."""
    return _jit(no_cpython_wrapper=True, **_OPTIONS)(function)


@contextlib.contextmanager
def _in_haste() -> Iterator[None]:
    """Kernels say themselves what is done side by side: LLVM's first level of optimisation gives them all they need.
    The third takes 1.3 times as long, and collecting garbage meanwhile a tenth more."""
    with global_compiler_lock:  # so that nobody else's functions are compiled on these terms
        collecting, level = gc.isenabled(), config.OPT  # pyright: ignore
        gc.disable()
        config.OPT = type(level)(1)  # pyright: ignore
        try:
            yield
        finally:
            config.OPT = level  # pyright: ignore
            if collecting:
                gc.enable()


@functools.cache
def _say_that_nothing_is_kept() -> None:
    warnings.warn(
        f"compiled kernels cannot be kept: neither {Path(__file__).parent} nor the user's folder of caches may be "
        "written to, so every process compiles its own for some seconds. Set NUMBA_CACHE_DIR to a folder that may be",
        stacklevel=3,
    )
