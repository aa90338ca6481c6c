"""Linear maps of our models: torch's own, taken by the fastest product there is for their tensors."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from outlast import scan
from outlast.scan.reference import compute_dtype


class Linear(nn.Linear):
    """`torch.nn.Linear`, with its arguments, parameters and results."""

    def forward(self, input: Tensor) -> Tensor:
        """(…, D) -> (…, E)."""
        return scan.pick(recurrence="product")(input, self.weight, self.bias)

    def precise(self, input: Tensor) -> Tensor:
        """(…, D) -> (…, E), at least in float32, also under autocast: for what decides how long a model remembers."""
        dtype = compute_dtype(input, self.weight)
        bias = None if self.bias is None else self.bias.to(dtype)
        with torch.autocast(input.device.type, enabled=False):
            return scan.pick(recurrence="product")(input.to(dtype), self.weight.to(dtype), bias)


def product_dtype(x: Tensor) -> torch.dtype:
    """The dtype in which a product with x, of any shape, is taken: that of autocast, where it is on, else its own."""
    kind = x.device.type
    cast = torch.is_autocast_enabled(kind) and x.dtype != torch.float64
    return torch.get_autocast_dtype(kind) if cast else x.dtype
