"""The process in which a program of TorchScript is tried: that it ends by itself is all that it says."""

from __future__ import annotations

import contextlib
import sys
import warnings

import torch

from outlast.model import InputSpec, quietly
from outlast.modules.calls.finding import found_here
from outlast.randomness import generator

_SHAPES = ((1, 1), (1, 70), (5, 2), (33, 64))
"""Rows and positions that are read once it is known how."""


def main() -> None:
    """Find out how the program is called, and read a few windows of other shapes."""
    warnings.simplefilter("ignore")
    module = torch.jit.load(sys.argv[1])
    spec = InputSpec(sys.argv[2], int(sys.argv[3])) if len(sys.argv) > 3 else None  # pyright: ignore[reportArgumentType]
    with contextlib.suppress(Exception):  # what it raises, it raises again where somebody reads it
        model = found_here(module, spec)
        with quietly(model):
            for rows, length in _SHAPES:
                inputs = model.calling.spec.random(rows, length, generator(0, "elsewhere"))
                model(inputs, model.initial_state(rows))


if __name__ == "__main__":
    main()
