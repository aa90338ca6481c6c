"""scale · log(sigmoid(x)) as numba kernels: decays of a gate between 0 and 1."""

from __future__ import annotations

import numpy as np

from outlast.scan.kernels.activations import sigmoid, softplus
from outlast.scan.kernels.compiling import kernel
from outlast.scan.kernels.operands import item, locate, put, take
from outlast.scan.kernels.simd import LANES, fill_lanes

_ZERO = np.float32(0)


@kernel
def forward(first, last, D, scale, x, outputs):
    """Rows `first` … `last` − 1 of D numbers. x, outputs: operands whose rows these are."""
    factor = fill_lanes(-scale)
    for row in range(first, last):
        here, there = locate(x, row, 0, 0), locate(outputs, row, 0, 0)
        for i in range(0, D, LANES):
            z = take(x, here + item(x) * i, D - i)
            put(outputs, there + item(outputs) * i, D - i, factor * softplus(fill_lanes(_ZERO) - z))


@kernel
def backward(first, last, D, scale, x, d_outputs, dx):
    """The gradients that belong to `forward`."""
    factor = fill_lanes(scale)
    for row in range(first, last):
        here, there, target = locate(x, row, 0, 0), locate(d_outputs, row, 0, 0), locate(dx, row, 0, 0)
        for i in range(0, D, LANES):
            z = take(x, here + item(x) * i, D - i)
            d = take(d_outputs, there + item(d_outputs) * i, D - i)
            put(dx, target + item(dx) * i, D - i, factor * d * sigmoid(fill_lanes(_ZERO) - z))
