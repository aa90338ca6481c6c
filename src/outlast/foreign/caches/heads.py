"""The head of a model that transformers runs, left out: what the head reads is taken in place of what it makes.

Nothing in the model is changed for that, so that other threads may run it whole at the same time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_RANGE = 1e3
"""Made-up logits go so far up and down, that a soft cap is seen."""


class InPlaceOfHead(TorchFunctionMode):
    """Inside, in this thread, the head makes `give` of what it reads.

    Args:
        give: (B, T, D) -> anything.
    """

    def __init__(self, head: nn.Linear, give: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self._weight, self._give = head.weight, give

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is F.linear and len(args) > 1 and args[1] is self._weight:
            return self._give(args[0])
        return func(*args, **(kwargs or {}))


def hands_on(head: nn.Linear, read: Callable[[], Tensor]) -> bool:
    """Whether logits are what the head makes, times one number: then they are also what it makes of what it reads,
    times that number. The library's own code is run on made-up logits to see.

    Args:
        read: one pass -> logits (B, T, V).
    """
    made = torch.linspace(-_RANGE, _RANGE, head.out_features, device=head.weight.device).to(head.weight.dtype)
    seen: list[Tensor] = []

    def give(hidden: Tensor) -> Tensor:
        seen.append(hidden)
        return made.expand(*hidden.shape[:-1], -1)

    with InPlaceOfHead(head, give):
        logits = read()
    if len(seen) != 1 or logits.shape != (*seen[0].shape[:-1], head.out_features):
        return False
    shares = (logits / made.to(logits.dtype))[..., made != 0].double()
    factor = shares.mean()
    return bool((shares / factor - 1).abs().max() < 1e-2) and (head.bias is None or bool(factor == 1))
