"""In which precision products are taken: float32, or bfloat16 by autocast where a processor multiplies it faster.

States, sums and what decides how long a model remembers stay in float32 either way, and so do the parameters.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from outlast.errors import InputError
from outlast.model import Recurrent, device_of
from outlast.modules.precision import Probe, dtypes_of
from outlast.scan import processor
from outlast.state import State, at_least_float32, map_state
from outlast.unprojected import Unprojected

WIDE = 256
"""Width from which on bfloat16 is taken unasked. Below it a step gains little, since what is no product of matrices
takes most of the time, and what was concluded of small models was concluded in float32."""


def chosen(asked: str, model: nn.Module) -> str:
    """``float32`` or ``bf16``: in which precision the products of a model are taken where `asked` of `PRECISIONS` is.

    auto: bfloat16 where the model is on a CPU that multiplies it, its parameters are float32, and most of them belong
    to products at least `WIDE` wide.

    Raises:
        InputError: bf16 for parameters that autocast would leave as they are.
    """
    if asked == "bf16" and "float64" in (dtypes := dtypes_of(model)):
        raise InputError(
            f"precision bf16 for parameters in {' and '.join(dtypes)}",
            "parameters in float32, which autocast computes with in bfloat16",
            "leave the precision out to stay in float64, or give the model in float32",
        )
    if asked != "auto":
        return asked
    return "bf16" if _pays(model) else "float32"


def _pays(model: nn.Module) -> bool:
    probe = Probe.of(model)
    if probe.device.type != "cpu" or processor.multiplies_bfloat16() is None or probe.dtypes != (torch.float32,):
        return False
    sizes = [(each.numel(), min(each.shape)) for each in model.parameters() if each.dim() == 2]
    wide = sum(size for size, width in sizes if width >= WIDE)
    return wide > 0.5 * sum(each.numel() for each in model.parameters())


def widened(outputs: Any, state: State) -> tuple[Any, State]:
    """Outputs and state, of any shape, as a model gave them under autocast: at least in float32."""
    if not isinstance(outputs, Unprojected):  # of which only products are in bfloat16
        outputs = map_state(at_least_float32, outputs)
    return outputs, map_state(at_least_float32, state)


@contextlib.contextmanager
def products_in(precision: str, model: Recurrent) -> Iterator[None]:
    """Inside, the model takes its products in this precision, ``float32`` or ``bf16``, in whatever thread it is called;
    what it gives is float32 at least."""
    if precision != "bf16":
        yield
        return
    running = threading.local()

    def begin(module: nn.Module, given: Any) -> None:
        running.autocast = torch.autocast(device_of(model).type, torch.bfloat16)
        running.autocast.__enter__()

    def end(module: nn.Module, given: Any, result: Any) -> Any:
        running.autocast.__exit__(None, None, None)
        if result is None:
            return None
        return widened(*result)

    # A call that raises has to leave autocast as well, and then has no result.
    hooks = model.register_forward_pre_hook(begin), model.register_forward_hook(end, always_call=True)
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
