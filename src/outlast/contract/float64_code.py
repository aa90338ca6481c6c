"""A module's own code, computed in float64 where float32 is written into it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

_WIDE = {
    torch.float16: torch.float64,
    torch.bfloat16: torch.float64,
    torch.float32: torch.float64,
    torch.complex64: torch.complex128,
}
_CASTS: tuple[Any, ...] = (Tensor.float, Tensor.half, Tensor.bfloat16)


def _widened(value: Any) -> Any:
    return _WIDE.get(value, value) if isinstance(value, torch.dtype) else value


class _Widening(TorchFunctionMode):
    """Whoever asks torch for float32, or for less, is given float64."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _CASTS and not args[0].is_complex():
            func = Tensor.double
        named = {name: _widened(value) for name, value in (kwargs or {}).items()}
        return func(*(_widened(value) for value in args), **named)


@contextlib.contextmanager
def in_float64() -> Iterator[None]:
    """Inside, `.float()`, `.to(torch.float32)`, ``dtype=torch.float32`` and the default dtype mean float64."""
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with _Widening():
            yield
    finally:
        torch.set_default_dtype(default)


class SeesSinglePrecision(TorchFunctionMode):
    """Notes whether anything was computed below float64: rounding there would look like a broken contract."""

    found = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor) and result.dtype in _WIDE:
            self.found = True
        return result
