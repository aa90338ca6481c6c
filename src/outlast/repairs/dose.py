"""How far from the base to the repaired model the weights go.

What a repair costs short contexts grows about evenly with the dose; what it gains at old ages comes early. Part of the
way often has most of the gain at half of the price.
"""

from __future__ import annotations

import copy
import math

import torch
from torch import nn

from outlast.adapters.adapting import adapt
from outlast.arguments import taking
from outlast.errors import InputError
from outlast.model import Recurrent
from outlast.state import continuous


@taking
def with_dose(base: nn.Module, repaired: nn.Module, dose: float) -> Recurrent:
    """A model whose weights are base + dose · (repaired − base); 0 is the base and 1 the repaired model.

    Args:
        base, repaired: models of one shape, or modules that `outlast.adapt` takes; neither is changed.
        dose: from 0 to 1; above 1 the weights go further the same way.

    Raises:
        InputError: the models have other parameters, or the dose is no number of 0 or more.
    """
    if not 0 <= dose < math.inf:
        raise InputError(f"a dose of {dose}", "a share of the way, 0 to 1", "0.75 is a usual choice")
    base, repaired = adapt(base), adapt(repaired)
    if why := base.without_gradients or repaired.without_gradients:
        raise InputError("a model without weights that could be changed", "a base and a repair of it", why)
    there, here = dict(_tensors(repaired)), dict(_tensors(base))
    differing = sorted({*there, *here} - {n for n in here if n in there and here[n].shape == there[n].shape})
    if differing:
        raise InputError(
            f"two models that differ in {', '.join(differing[:3])}",
            "a base and a repair of it, with the same parameters",
            "give the directory that the repair began with",
        )
    mixed = copy.deepcopy(repaired)
    with torch.no_grad():
        for name, tensor in _tensors(mixed) if dose != 1 else ():
            wide = torch.promote_types(tensor.dtype, torch.float32)
            start, end = here[name].to(tensor.device, wide), tensor.to(wide)
            tensor.copy_(torch.where(start == end, start, torch.lerp(start, end, dose)))  # infinities stay
    return mixed


def _tensors(model: Recurrent) -> list[tuple[str, torch.Tensor]]:
    """Parameters and the buffers of real or complex numbers, each once."""
    buffers = ((name, buffer) for name, buffer in model.named_buffers() if continuous(buffer))
    return [*model.named_parameters(), *buffers]
