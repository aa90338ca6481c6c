"""What the processor is and can do, as the system tells it, and which library serves it best."""

from __future__ import annotations

import functools
import platform
from pathlib import Path
from typing import Any

import torch

_BFLOAT16 = ("amx_bf16", "avx512_bf16")
"""Instructions that multiply bfloat16, as Linux calls them; the fastest first."""


@functools.cache
def maker() -> str:
    """Who made it, in its own words; nothing where the system does not say."""
    return _told("vendor_id") or ("AuthenticAMD" if "AuthenticAMD" in platform.processor() else "")


@functools.cache
def multiplies_bfloat16() -> str | None:
    """The instructions by which it multiplies bfloat16; None where there are none, or the system does not say."""
    known = _told("flags").split()
    return next((name for name in _BFLOAT16 if name in known), None)


@functools.cache
def onednn_is_faster() -> bool:
    """Whether oneDNN takes products in float32 faster than torch does by itself on this machine."""
    return maker() == "AuthenticAMD" and torch.backends.cpu.get_cpu_capability() == "AVX512" and onednn() is not None


@functools.cache
def onednn() -> Any:
    """oneDNN's product as torch offers it to its compiler; None where this torch has none."""
    if not torch.backends.mkldnn.is_available():
        return None
    return getattr(torch.ops.mkldnn, "_linear_pointwise", None)


def _told(field: str) -> str:
    """A field of the first core in /proc/cpuinfo; nothing where there is none."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.split(":")[0].strip() == field), "")
