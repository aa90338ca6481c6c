"""Compile what the families call on a CPU, once, so that no later process waits for it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import torch

from outlast.families import FAMILIES, build
from outlast.model import InputSpec

_TOKENS = 8


def warm() -> Iterator[tuple[str, str, float]]:
    """Call every family forward and backward, in float32 and in bfloat16: its name, the precision, and seconds.

    What is compiled is kept where `outlast.scan.kernels.compiling` finds a place.
    """
    tokens = torch.zeros(2, 3, dtype=torch.long)
    for name in FAMILIES:
        model = build(name, inputs=InputSpec("tokens", _TOKENS), outputs=_TOKENS)
        for precision in ("float32", "bfloat16"):
            began = time.perf_counter()
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
                outputs, _ = model(tokens, model.initial_state(2))
            outputs.float().sum().backward()
            yield name, precision, time.perf_counter() - began
