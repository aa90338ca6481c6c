"""A model that forgets faster or slower than it was trained to: its log decays times a factor, without training.

MambaExtend (Azizi and others 2025) scales the steps of a Mamba to extend its context; here only what is kept is scaled,
exp(factor · step · rate), and what is written stays as it was.
"""

from __future__ import annotations

import copy
import math

import torch
from torch import nn

from outlast.arguments import taking
from outlast.errors import InputError
from outlast.families.gla import GLA
from outlast.families.rwkv6 import RWKV6
from outlast.model import Recurrent
from outlast.modules.adapting import adapt

_RATES = ("log_rate", "A_log", "time_decay")
"""Parameters of which the log decay is −exp(·), times a step where there is one: of Mamba, Mamba-2, gated DeltaNet and
RWKV-4."""


@taking
def with_decay(model: nn.Module, factor: float) -> Recurrent:
    """A copy of `model` whose log decays are `factor` times as large: below 1 it remembers longer, above 1 shorter.

    Args:
        model: Mamba, Mamba-2, gated DeltaNet or RWKV-4, ours or another library's; GLA or RWKV-6 of ours.
        factor: above 0.

    Raises:
        InputError: a factor of 0 or less, or a model without such decays (an LSTM's gates are no parameters).
    """
    if not 0 < factor < math.inf:
        raise InputError(
            f"factor={factor:g}", "a number above 0", "below 1 to remember longer, above 1 to forget sooner"
        )
    made, found = copy.deepcopy(adapt(model)), 0
    with torch.no_grad():
        for module in made.modules():
            for name in _RATES:
                if isinstance(rate := getattr(module, name, None), nn.Parameter):
                    rate += math.log(factor)
                    found += 1
            if isinstance(module, RWKV6):  # −exp of a projection
                module.decay_high.bias.add_(math.log(factor))
                found += 1
            if type(module) is GLA:  # the log of a sigmoid, over a temperature, which fla's files cannot say
                module.temperature /= factor
                found += 1
    settings = (getattr(made, "blueprint", None) or {}).get("settings", {})
    if "gate_temperature" in settings:  # what is saved has to be what was made
        settings["gate_temperature"] /= factor
    if not found:
        raise InputError(
            f"a {type(made).__name__} without decays that a factor could scale",
            "a Mamba, Mamba-2, gated DeltaNet, RWKV or GLA model",
            "reset the model instead (outlast.with_reset), or repair it",
        )
    return made
