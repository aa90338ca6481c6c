"""Recurrences as functions, and the one place that picks an implementation.

Axes, here and in `outlast.families`: B rows, T positions, H heads, G groups of heads that share queries and keys, K
numbers of a key, V of a value, D channels, W positions that a convolution sees. What a channel remembers has N numbers;
in the dual form of Mamba-2, N are those of a key and P those of a value. Chunks have n positions, and there are C of
them; R = B·H. An ellipsis stands for any further axes. Results of a scan have the axes of its definition in
`outlast.scan.reference`, whichever implementation computes them.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from outlast.errors import unknown_name
from outlast.scan import chunked, chunked_delta, chunked_dplr, chunked_mlstm, chunked_selective, gpu, reference
from outlast.scan.reference import compute_dtype

Scan = Callable[..., Any]
"""An implementation: arguments -> (outputs, final_state), of `POINTWISE` outputs alone, as the function of its name in
`outlast.scan.reference` defines them."""

NAMES = ("reference", "chunked", "numba", "fla")
"""Implementations: step by step; chunks in plain torch; compiled loops on a CPU; flash-linear-attention on a GPU."""


def _later(module: str, function: str) -> Scan:
    """A function of a module that is imported at the first call: numba takes some tenths of a second to load."""

    @functools.wraps(reference.linear_scan, assigned=())
    def scan(*arguments: Any) -> Any:
        """Arguments and results as of the definition in `outlast.scan.reference` that `function` computes."""
        return getattr(importlib.import_module(module), function)(*arguments)

    return scan


SCANS: dict[str, Scan] = {
    "reference": reference.linear_scan,
    "chunked": chunked.linear_scan,
    "numba": _later("outlast.scan.fused", "linear_scan"),
    "fla": gpu.linear_scan,
}
"""Implementations of the linear recurrence."""

_SELECTIVE: dict[str, Scan] = {
    "reference": reference.selective_scan,
    "chunked": chunked_selective.selective_scan,
    "numba": _later("outlast.scan.fused_selective", "selective_scan"),
}


def _each(definition: Scan, ways: dict[str, Scan]) -> dict[str, Scan]:
    """The definition of a recurrence around another one, by each implementation of that one.

    Not by fla's form of retention: its last chunk overflows where a decay is strong, and the decay gets no gradient.
    """
    return {name: functools.partial(definition, by=way) for name, way in ways.items()} | {"reference": definition}


RECURRENCES: dict[str, dict[str, Scan]] = {
    "linear_scan": SCANS,
    "retention": _each(reference.retention, SCANS),
    "rwkv6": {
        "reference": reference.rwkv6,
        "chunked": chunked.rwkv6,
        "numba": functools.partial(chunked.rwkv6, by=SCANS["numba"]),
        "fla": gpu.rwkv6,
    },
    "gated_delta": {
        "reference": reference.gated_delta,
        "chunked": chunked_delta.gated_delta,
        "numba": _later("outlast.scan.fused_delta", "gated_delta"),
        "fla": gpu.gated_delta,
    },
    "dplr": {"reference": reference.dplr, "chunked": chunked_dplr.dplr},
    "mlstm": {"reference": reference.mlstm, "chunked": chunked_mlstm.mlstm},
    "selective_scan": _SELECTIVE,
    "gated_selective_scan": {
        **_each(reference.gated_selective_scan, _SELECTIVE),
        "numba": _later("outlast.scan.fused_selective", "gated_selective_scan"),
    },
    "gated_dual_scan": {
        **_each(reference.gated_dual_scan, SCANS),
        "numba": _later("outlast.scan.fused_dual", "gated_dual_scan"),
    },
    "short_convolution": {
        "reference": reference.short_convolution,
        "chunked": reference.short_convolution,
        "numba": _later("outlast.scan.fused_convolution", "short_convolution"),
        "fla": gpu.short_convolution,
    },
}
"""Implementations of every recurrence, by its name in `outlast.scan.reference`."""

POINTWISE: dict[str, dict[str, Scan]] = {
    "product": {
        "reference": F.linear,
        "chunked": F.linear,
        "numba": _later("outlast.scan.fused_product", "product"),
    },
    "rms_norm": {
        "reference": reference.rms_norm,
        "chunked": reference.rms_norm,
        "numba": _later("outlast.scan.fused_norm", "rms_norm"),
    },
    "norm_gated": {
        "reference": reference.norm_gated,
        "chunked": reference.norm_gated,
        "numba": _later("outlast.scan.fused_norm", "norm_gated"),
    },
    "log_sigmoid": {
        "reference": reference.log_sigmoid,
        "chunked": reference.log_sigmoid,
        "numba": _later("outlast.scan.fused_log_sigmoid", "log_sigmoid"),
    },
}
"""Implementations of what families compute at every position beside a recurrence, on the same terms."""

_ALL = {**RECURRENCES, **POINTWISE}


@dataclass(frozen=True)
class Choice:
    """The implementation that was chosen, and why. `aloud`: it stands in for one that was wanted and cannot be had."""

    name: str
    why: str
    aloud: bool = False


def pick(name: str | None = None, recurrence: str = "linear_scan") -> Scan:
    """An implementation of `recurrence`, or a function that chooses one by the tensors it is given (see `choose`).

    Args:
        name: which; None: the one that the environment variable OUTLAST_SCAN names, else the fastest for the tensors.
        recurrence: a name in `RECURRENCES` or `POINTWISE`.

    Raises:
        InputError: no such recurrence or implementation.
    """
    if recurrence not in _ALL:
        raise unknown_name("recurrence", recurrence, _ALL)
    name = wanted(name)
    if name in ("reference", "chunked"):
        return _ALL[recurrence][name]
    return functools.partial(_chosen, recurrence, name)


_only: ContextVar[str | None] = ContextVar("only", default=None)


@contextlib.contextmanager
def only(name: str) -> Iterator[None]:
    """Inside, this implementation is taken wherever none is named, in this thread."""
    before = _only.set(name)
    try:
        yield
    finally:
        _only.reset(before)


def wanted(name: str | None = None) -> str | None:
    """`name`, else what `only` or OUTLAST_SCAN says, else None. Raises InputError for an unknown one."""
    name = name or _only.get() or os.environ.get("OUTLAST_SCAN") or None
    if name is not None and name not in NAMES:
        raise unknown_name("scan", name, NAMES)
    return name


_FASTEST = {"cpu": "numba", "cuda": "fla"}
"""By device, the implementation that is taken where it can be had."""

_WHY = {
    "numba": "compiled loops are the fastest on a CPU in float32",
    "fla": "kernels of flash-linear-attention; products in TF32 unless TRITON_F32_DEFAULT=ieee",
}

_NO_SELECTIVE = "the kernel of mamba-ssm takes no initial state and gives its final state no gradient"
_NOT_BY_FLA = {
    "selective_scan": _NO_SELECTIVE,
    "gated_selective_scan": _NO_SELECTIVE,
    "mlstm": "flash-linear-attention has no mLSTM",
    "dplr": "flash-linear-attention's kernel of it was not held against the definition",
}
"""Why a recurrence has no kernel on a GPU, where there is more to say."""


def choose(recurrence: str, device: torch.device, dtype: torch.dtype, name: str | None = None) -> Choice:
    """Which implementation of `recurrence` computes on `device` in `dtype`.

    Args:
        recurrence: a name in `RECURRENCES` or `POINTWISE`.
        device: of the tensors.
        dtype: in which the recurrence is computed (`outlast.scan.reference.compute_dtype`).
        name: which is wanted; None: the fastest.
    """
    asked = name
    name = name or _FASTEST.get(device.type, "chunked")
    if name in ("reference", "chunked"):
        return Choice(name, "asked for" if asked else f"no fused kernels on {device.type}")
    if name not in _ALL[recurrence]:
        why = f"{recurrence} has no {name} kernel"
        aloud = asked is not None and recurrence in RECURRENCES
        return Choice("chunked", _NOT_BY_FLA.get(recurrence, why) if name == "fla" else why, aloud)
    if device.type != (runs_on := "cpu" if name == "numba" else "cuda"):
        return Choice("chunked", f"{name} runs on {runs_on}, not on {device.type}", aloud=True)
    if dtype != torch.float32:
        return Choice("chunked", f"the kernels compute in float32, not in {dtype}", aloud=asked is not None)
    if name == "numba" and (missing := _numba_fails()) is not None:
        return Choice("chunked", missing, aloud=True)
    if name == "fla" and (missing := gpu.unusable()) is not None:
        return Choice("chunked", missing, aloud=asked is not None or gpu.version() is not None)
    return Choice(name, "asked for" if asked else _WHY[name])


@functools.cache
def _numba_fails() -> str | None:
    """Why the compiled kernels cannot be used here; None where they can."""
    try:
        importlib.import_module("outlast.scan.kernels.linear")
    except (ImportError, RuntimeError, OSError) as error:
        return f"numba cannot be used ({type(error).__name__}: {error})"
    return None


_said: set[str] = set()


def _chosen(recurrence: str, name: str | None, *arguments: Any) -> Any:
    """Call the implementation that `choose` picks for the arguments, which are those of the definition."""
    tensors = list(_tensors(arguments))
    choice = choose(recurrence, tensors[0].device, compute_dtype(*tensors), name)
    if choice.name == "fla" and (refused := gpu.refuses(recurrence, arguments)) is not None:
        choice = Choice("chunked", refused, aloud=True)
    if choice.aloud and choice.why not in _said:
        _said.add(choice.why)
        warnings.warn(f"{recurrence} runs in plain torch ({choice.name}): {choice.why}", stacklevel=3)
    return _ALL[recurrence][choice.name](*arguments)


def _tensors(arguments: Iterable[Any]) -> Iterable[Tensor]:
    """The tensors among the arguments, of any shape, and those in tuples among them."""
    for argument in arguments:
        if isinstance(argument, Tensor):
            yield argument
        elif isinstance(argument, tuple):
            yield from argument
