"""How kernels are compiled and kept: the cache of a kernel belongs to the text of every file in this folder.

Numba knows the file that a kernel stands in, not the files that it imports, and would go on using machine code of what
`simd.py` or `layout.py` said before.
"""

from __future__ import annotations

import functools
import hashlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import config, njit
from numba.core.caching import InTreeCacheLocator, UserProvidedCacheLocator, UserWideCacheLocator


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


def kernel(function: Callable[..., Any]) -> Any:
    """A compiled function that lets go of the interpreter's lock; kept between processes where a place can be found."""
    compiled = functools.partial(njit, nogil=True, error_model="numpy")
    # Numba looks for the place while it decorates.
    before, config.CACHE_LOCATOR_CLASSES = config.CACHE_LOCATOR_CLASSES, _PLACES  # pyright: ignore
    try:
        return compiled(cache=True)(function)
    except RuntimeError as error:
        if "cannot cache" not in str(error):
            raise
        _say_that_nothing_is_kept()
        return compiled()(function)
    finally:
        config.CACHE_LOCATOR_CLASSES = before  # pyright: ignore


@functools.cache
def _say_that_nothing_is_kept() -> None:
    warnings.warn(
        f"compiled kernels cannot be kept: neither {Path(__file__).parent} nor the user's folder of caches may be "
        "written to, so every process compiles its own for some seconds. Set NUMBA_CACHE_DIR to a folder that may be",
        stacklevel=3,
    )
