"""The norm of Mamba-2 behind its gate as numba kernels: x · silu(gate) / its root mean square · weight."""

from __future__ import annotations

import numpy as np

from outlast.scan.kernels.compiling import kernel
from outlast.scan.kernels.convolution import sigmoid
from outlast.scan.kernels.layout import clear, padded, prefetch
from outlast.scan.kernels.simd import LANES, fill_lanes, hold, load_lanes, load_some, scratch, store, store_some, total

PIECE = 64
"""Positions of a task: how the gradient of the weight is summed does not depend on the threads."""

AHEAD = 2
"""Positions from the one that is computed to the one that is asked for."""

_ZERO, _ONE = np.float32(0), np.float32(1)


@kernel
def _gated(x, gate, D, target):
    """x · silu(gate) of one position into lanes; the sum of its squares."""
    squares = fill_lanes(_ZERO)
    for i in range(0, D, LANES):
        z = load_some(gate + 4 * i, D - i)
        gated = load_some(x + 4 * i, D - i) * z * sigmoid(z)
        store(target + 4 * i, gated)
        squares = squares + gated * gated
    return total(squares)


@kernel
def _at(operand, b, t):
    """Address of position t of row b."""
    address, row, step = operand
    return address + b * row + t * step


@kernel
def forward(first, last, sizes, eps, x, gate, weight, outputs):
    """Pieces `first` … `last` − 1 of rows × pieces of `PIECE` positions.

    Args:
        sizes: T, D.
        x, gate, outputs: (address, bytes from row to row, from position to position); weight: address of a dense (D).
    """
    T, D = sizes
    pieces = (T + PIECE - 1) // PIECE
    memory = scratch(padded(D))
    gated = np.int64(memory.ctypes.data)
    for task in range(first, last):
        b, start = task // pieces, task % pieces * PIECE
        for t in range(start, min(T, start + PIECE)):
            for operand in (x, gate):
                prefetch(_at(operand, b, t + AHEAD), D)
            mean = _gated(_at(x, b, t), _at(gate, b, t), D, gated) / np.float32(D)
            scale = fill_lanes(_ONE / np.sqrt(mean + eps))
            for i in range(0, D, LANES):
                y = load_lanes(gated + 4 * i) * scale * load_some(weight + 4 * i, D - i)
                store_some(_at(outputs, b, t) + 4 * i, D - i, y)
    hold(memory)


@kernel
def backward(first, last, sizes, eps, x, gate, weight, d_outputs, dx, d_gate, d_weight):
    """The gradients that belong to `forward`. d_weight: address of (rows × pieces, D), the share of each piece."""
    T, D = sizes
    pieces = (T + PIECE - 1) // PIECE
    memory = scratch(3 * padded(D))
    gated = np.int64(memory.ctypes.data)
    aimed, shares = gated + 4 * padded(D), gated + 8 * padded(D)
    one = fill_lanes(_ONE)
    for task in range(first, last):
        b, start = task // pieces, task % pieces * PIECE
        clear(shares, padded(D))
        for t in range(start, min(T, start + PIECE)):
            for operand in (x, gate, d_outputs, dx, d_gate):
                prefetch(_at(operand, b, t + AHEAD), D)
            at_x, at_gate, at_d = _at(x, b, t), _at(gate, b, t), _at(d_outputs, b, t)
            scale = _ONE / np.sqrt(_gated(at_x, at_gate, D, gated) / np.float32(D) + eps)
            factor = fill_lanes(scale)
            along = fill_lanes(_ZERO)
            for i in range(0, D, LANES):
                d, g = load_some(at_d + 4 * i, D - i), load_lanes(gated + 4 * i) * factor
                store(shares + 4 * i, load_lanes(shares + 4 * i) + d * g)
                d = d * load_some(weight + 4 * i, D - i)
                store(aimed + 4 * i, d)
                along = along + d * g
            # What of the gradient points along the normed vector has no effect: the norm takes its length away.
            mean = fill_lanes(scale * total(along) / np.float32(D))
            for i in range(0, D, LANES):
                z = load_some(at_gate + 4 * i, D - i)
                share = sigmoid(z)
                d = load_lanes(aimed + 4 * i) * factor - load_lanes(gated + 4 * i) * factor * mean
                store_some(_at(dx, b, t) + 4 * i, D - i, d * z * share)
                d = d * load_some(at_x + 4 * i, D - i) * share * (one + z * (one - share))
                store_some(_at(d_gate, b, t) + 4 * i, D - i, d)
        for i in range(0, D, LANES):
            store_some(d_weight + 4 * (task * D + i), D - i, load_lanes(shares + 4 * i))
    hold(memory)
