"""What outlast runs on: versions, threads, devices, and which scan it picks."""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
import platform
from typing import Any

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # from malloc.h
_PACKAGES = (
    "torch",
    "numpy",
    "numba",
    "transformers",
    "accelerate",
    "flash-linear-attention",
    "mamba-ssm",
    "causal-conv1d",
)


def tune_allocator() -> str:
    """Keep freed memory for the next step instead of handing it back to the system after every operation.

    Without this, page faults take a fifth to a third of training on a CPU with glibc. It holds for the whole process,
    so only the command line asks for it. Opt out with OUTLAST_ALLOCATOR=default.

    Returns:
        what is in force: ``tuned`` or ``default``.
    """
    if os.environ.get("OUTLAST_ALLOCATOR") == "default" or platform.libc_ver()[0] != "glibc":
        return "default"
    library = ctypes.CDLL(None)
    # One arena for all threads (those of other threads cannot hold large blocks), no mmap for large blocks, no
    # trimming.
    settings = ((_M_ARENA_MAX, 1), (_M_MMAP_THRESHOLD, 1 << 30), (_M_TRIM_THRESHOLD, 2**31 - 1))
    return "tuned" if all(library.mallopt(*setting) for setting in settings) else "default"


def flush_denormals() -> str:
    """Count numbers below 1e-38 as zero, in this thread and those it starts: arithmetic with them is many times slower,
    and a memory that fades is full of them. Opt out with OUTLAST_DENORMALS=keep.

    Returns:
        what is in force: ``flushed`` or ``kept``.
    """
    import numpy as np  # not above: the command line tunes the allocator before it loads torch
    import torch

    if os.environ.get("OUTLAST_DENORMALS") == "keep":
        return "kept"
    for kind in (np.float32, np.float64):
        np.finfo(kind)  # kept from now on: older versions of numpy warn where they look for the smallest number later
    return "flushed" if torch.set_flush_denormal(True) else "kept"


def _scans() -> dict[str, str]:
    """By recurrence: the implementation for float32 on the fastest device here, and why."""
    import torch

    from outlast import scan

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    chosen = {name: scan.choose(name, device, torch.float32, scan.wanted()) for name in scan.RECURRENCES}
    return {f"scan {name}": f"{choice.name}: {choice.why}" for name, choice in chosen.items()}


def _bfloat16() -> str:
    """Whether the processor multiplies bfloat16, and what follows."""
    from outlast.modules.products import WIDE
    from outlast.scan.processor import multiplies_bfloat16

    by = multiplies_bfloat16()
    if by is None:
        return "not multiplied by this CPU: --precision auto is float32"
    return f"multiplied by this CPU ({by}): --precision auto is bf16 for models at least {WIDE} wide"


def _products() -> str:
    """Which library takes products of our own models in float32 on a CPU, and why."""
    import torch

    from outlast import scan
    from outlast.scan.processor import onednn_is_faster

    ours = scan.choose("product", torch.device("cpu"), torch.float32, scan.wanted()).name == "numba"
    return "oneDNN: MKL uses half of this CPU's vectors" if ours and onednn_is_faster() else "as torch takes them"


def _kernel_threads() -> str:
    """On whose threads compiled loops run, and how long these stay awake between two operators."""
    from outlast.scan.kernels import threads

    if threads.start() is None:
        return "of a pool beside torch's, whose threads are not OpenMP's here"
    turns = os.environ.get("GOMP_SPINCOUNT")
    policy = f"GOMP_SPINCOUNT={turns}" if turns else f"OMP_WAIT_POLICY={os.environ.get('OMP_WAIT_POLICY', 'undefined')}"
    return f"torch's own, {policy}"


def environment() -> dict[str, Any]:
    """Names and values for `outlast env`, which tunes the allocator as every verb does."""
    # Not above: the command line tunes the allocator before it loads torch, and help waits for nothing.
    import torch

    from outlast.results import VERSION

    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return {
        "outlast": VERSION,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        **versions,
        "threads": torch.get_num_threads(),
        "threads of kernels": _kernel_threads(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "allocator": tune_allocator(),
        "denormals": flush_denormals(),
        "bfloat16": _bfloat16(),
        "products in float32": _products(),
        **_scans(),
    }
