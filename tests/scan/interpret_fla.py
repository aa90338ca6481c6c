"""outlast.scan.gpu by the kernels of flash-linear-attention themselves, on a CPU by Triton's interpreter.

Not a test: flash-linear-attention 0.6.0, triton 3.9.0 and einops are not among the requirements. Where they are
installed, ``TRITON_INTERPRET=1 python tests/scan/interpret_fla.py`` prints by case and tensor the largest deviation
of outputs, final states and gradients from the definition in float64, relative to the tensor's largest entry. It shows
that the kernels' arithmetic is right; TF32 products, compilation and races between threads are a GPU's to show.
"""

from __future__ import annotations

import builtins
import importlib
import sys
from collections.abc import Iterator
from typing import Any

import torch
from test_gpu import SIZES, deviations, make

from outlast import scan
from outlast.scan import gpu


class _Index(int):
    """A loop's index, of which compiled kernels can ask another dtype."""

    def to(self, *_: Any) -> _Index:
        return self


def _range(*bounds: Any) -> Iterator[_Index]:
    return (_Index(i) for i in builtins.range(*(int(bound) for bound in bounds)))


def prepare() -> None:
    """Let the interpreter run what fla's kernels assume of a compiler."""
    import triton.runtime.autotuner as tuner  # pyright: ignore[reportMissingImports]
    from triton.runtime.interpreter import InterpreterBuilder  # pyright: ignore[reportMissingImports]

    def first(self: Any, *args: Any, **kwargs: Any) -> Any:
        return self.fn.run(*args, **kwargs, **self.configs[0].all_kwargs())

    load = InterpreterBuilder.create_masked_load

    def load_where(self: Any, pointers: Any, mask: Any, *others: Any, **named: Any) -> Any:
        mask.data = mask.data.astype(bool)  # a number where a kernel joins a Python bool and a mask
        return load(self, pointers, mask, *others, **named)

    tuner.Autotuner.run = first  # the tuner would time kernels on a GPU
    InterpreterBuilder.create_masked_load = load_where
    for name in ("gla", "simple_gla", "rwkv6", "gated_delta_rule"):
        importlib.import_module(f"fla.ops.{name}")
    for name, module in list(sys.modules.items()):
        if name.startswith("fla.ops"):
            module.__dict__["range"] = _range


def main() -> None:
    assert gpu.unusable() is None, gpu.unusable()
    prepare()
    torch.set_num_threads(1)
    for name, sizes in SIZES:
        for low in (-1.0, -torch.inf):
            for T in (1, 2, 5, 64, 70, 130):
                found = deviations(name, make(name, T=T, low=low, **sizes), scan.RECURRENCES[name]["fla"])
                shown = " ".join(f"{tensor} {value:.0e}" for tensor, value in found.items())
                print(f"{name:18s} T={T:<4d} low={low:<5} {sizes} {shown}", flush=True)


if __name__ == "__main__":
    main()
