"""What outlast runs on: versions, threads, devices, and which scan it picks."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from typing import Any

import torch

from outlast.results import VERSION

_PACKAGES = ("torch", "numpy", "numba", "transformers", "accelerate", "flash-linear-attention", "mamba-ssm")


def environment() -> dict[str, Any]:
    """Names and values for `outlast env`."""
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
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "scan": os.environ.get("OUTLAST_SCAN", "chunked"),
    }
