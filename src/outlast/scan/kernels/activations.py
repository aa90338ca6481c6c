"""What kernels put numbers through: sigmoid, SiLU's slope, softplus, the logarithm of a sigmoid."""

from __future__ import annotations

import numpy as np

from outlast.scan.kernels.compiling import helper, kernel
from outlast.scan.kernels.operands import item, locate, put, take
from outlast.scan.kernels.simd import LANES, exponential, fill_lanes, larger

# What kernels put numbers through: sigmoid, SiLU's slope, softplus; of lanes.

_ZERO, _ONE, _TWO = np.float32(0), np.float32(1), np.float32(2)
_ODD = tuple(np.float32(1 / n) for n in (11, 9, 7, 5, 3, 1))
_LAST = np.float32(1 / 13)


@helper
def sigmoid(x):
    """1 / (1 + e^−x) of lanes."""
    return fill_lanes(_ONE) / (fill_lanes(_ONE) + exponential(fill_lanes(_ZERO) - x))


@helper
def silu_bend(x, share):
    """The slope of x · sigmoid(x), over `share` = sigmoid(x)."""
    return fill_lanes(_ONE) + x * (fill_lanes(_ONE) - share)


@helper
def softplus(x):
    """log(1 + e^x) = max(x, 0) + 2 artanh(e / (2 + e)) with e = e^−|x|, by artanh's series up to the 13th power."""
    zero = fill_lanes(_ZERO)
    e = exponential(zero - larger(x, zero - x))
    s = e / (fill_lanes(_TWO) + e)
    square = s * s
    series = fill_lanes(_LAST)
    for factor in _ODD:
        series = series * square + fill_lanes(factor)
    return larger(x, zero) + fill_lanes(_TWO) * s * series


# scale · log(sigmoid(x)) as numba kernels: decays of a gate between 0 and 1.


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
