"""What one forward pass of transformers reads besides its arguments: the carried states, and the attention's window.

transformers' attention masks and its scans are functions that a model calls by name, and that know nothing of a cache.
They are told here, for the thread that is reading. Outside of `reading` they do what transformers does.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode
from transformers.masking_utils import AttentionMaskInterface, causal_mask_function, sdpa_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS, AttentionInterface

from outlast import scan

ATTENTION = "outlast_window"
"""The name under which transformers finds the attention over a window."""


@dataclass
class Reading:
    """One pass.

    Args:
        window: positions that attention sees, the present one included; None: all of them.
        waiting: states of one layer that the next scans start from, one for each of its scans.
    """

    window: int | None
    waiting: list[Tensor] = field(default_factory=list)


_now: ContextVar[Reading | None] = ContextVar("reading", default=None)


class InDouble(TorchFunctionMode):
    """Inside, whatever this thread would compute in float32 is computed in float64.

    transformers' norms, gates and scans are written in float32, whatever the parameters' dtype.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        func = torch.Tensor.double if func is torch.Tensor.float else func
        args = [torch.float64 if each is torch.float32 else each for each in args]
        kwargs = {key: torch.float64 if each is torch.float32 else each for key, each in (kwargs or {}).items()}
        found = func(*args, **kwargs)
        return found.double() if isinstance(found, Tensor) and found.dtype == torch.float32 else found


@contextlib.contextmanager
def reading(window: int | None, dtype: torch.dtype = torch.float32) -> Iterator[Reading]:
    """Inside, this thread's attention sees `window` positions, and scans start from what is `waiting`.

    Args:
        dtype: of the model's parameters: with float64, everything is computed in it.

    Raises:
        RuntimeError: a state was given to a scan that was never run, so that it would have been dropped.
    """
    begun = Reading(window)
    token = _now.set(begun)
    try:
        with InDouble() if dtype == torch.float64 else contextlib.nullcontext():
            yield begun
    finally:
        _now.reset(token)
    if begun.waiting:
        raise RuntimeError("a carried state was read by no scan")


def _window_mask(
    batch_size: int,
    q_length: int,
    kv_length: int,
    q_offset: int = 0,
    kv_offset: int = 0,
    mask_function: Callable[..., Any] = causal_mask_function,
    **rest: Any,
) -> Tensor | None:
    """transformers' mask (B, 1, T, keys), in which a query sees the window's positions alone."""
    now, seen = _now.get(), mask_function
    window = now.window if now is not None else None
    if window is not None:

        def seen(batch: Any, head: Any, query: Any, key: Any) -> Any:
            return mask_function(batch, head, query, key) & (key > query - window)

    rest |= {"allow_is_causal_skip": False}  # the mask says more than that the future is hidden
    return sdpa_mask(batch_size, q_length, kv_length, q_offset, kv_offset, seen, **rest)


def _selective_scan(
    hidden_states: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
    return_last_state: bool = False,
    *,
    initial_states: Tensor,
) -> Any:
    """Mamba-1's scan with transformers' arguments, x, step and z (B, D, T), B and C (B, N, T), from a state (B, D, N).

    transformers' own takes no initial state.
    """
    dtype = initial_states.dtype
    x, step = (each.transpose(1, 2).to(dtype) for each in (hidden_states, dt))
    if delta_bias is not None:
        step = step + delta_bias.to(dtype)
    if delta_softplus:
        step = F.softplus(step)
    keys, queries = (each.transpose(1, 2).to(dtype) for each in (B, C))
    y, memory = scan.pick(recurrence="selective_scan")(x, step, A.to(dtype), keys, queries, initial_states)
    if D is not None:
        y = y + x * D.to(dtype)
    y = y.transpose(1, 2)
    if z is not None:
        y = y * F.silu(z.to(dtype))
    y = y.to(hidden_states.dtype)
    return (y, memory) if return_last_state else y


MAMBA = "mamba_selective_scan"
_OWN = {MAMBA: _selective_scan}
"""Scans of transformers that take no initial state, and ours that do."""
SCANS = (MAMBA, "mamba2_chunk_scan")
"""Functions of transformers' modules that are given the carried state here."""
STEP = "causal_conv1d_update"
"""The function that reads one position, and writes into the window that it is given."""


def _given_states(theirs: Callable[..., Any], name: str) -> Callable[..., Any]:
    """transformers' scan, starting from the state that waits for it where one does."""
    ours = _OWN.get(name)
    names = set(inspect.signature(ours).parameters) if ours else set()

    @functools.wraps(theirs)
    def scanned(*given: Any, **named: Any) -> Any:
        now = _now.get()
        if now is None or not now.waiting:
            return theirs(*given, **named)
        named["initial_states"] = now.waiting.pop(0)
        if ours is None:
            return theirs(*given, **named)
        return ours(*given, **{key: value for key, value in named.items() if key in names})

    scanned.is_outlasts = True  # pyright: ignore[reportAttributeAccessIssue]
    return scanned


def prepare(module: ModuleType) -> None:
    """Let the scans of one of transformers' modules find the states that wait for them; once and for all."""
    for name in SCANS:
        theirs = getattr(module, name, None)
        if theirs is not None and not hasattr(theirs, "is_outlasts"):
            setattr(module, name, _given_states(theirs, name))


AttentionMaskInterface.register(ATTENTION, _window_mask)
AttentionInterface.register(ATTENTION, ALL_ATTENTION_FUNCTIONS["sdpa"])
