"""What kernels put numbers through: sigmoid, SiLU's slope, softplus; of lanes."""

from __future__ import annotations

import numpy as np

from outlast.scan.kernels.compiling import helper
from outlast.scan.kernels.simd import exponential, fill_lanes, larger

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
