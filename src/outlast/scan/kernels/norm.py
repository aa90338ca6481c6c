"""The root-mean-square norm as numba kernels, with a gate before it, after it, or without: silu(gate) times."""

from __future__ import annotations

import numpy as np

from outlast.scan.kernels.compiling import kernel
from outlast.scan.kernels.convolution import sigmoid
from outlast.scan.kernels.layout import clear, padded
from outlast.scan.kernels.operands import item, locate, prefetch, put, take
from outlast.scan.kernels.simd import LANES, fill_lanes, hold, load_lanes, load_some, scratch, store, store_some, total

PIECE = 64
"""Positions of a task: how the gradient of the weight is summed does not depend on the threads."""

AHEAD = 2
"""Positions from the one that is computed to the one that is asked for."""

_ZERO, _ONE = np.float32(0), np.float32(1)


@kernel
def _ahead(operand, b, t, H, D):
    """Ask for all heads of a position."""
    if operand is not None:
        for h in range(H):
            prefetch(operand, locate(operand, b, t, h), D)


@kernel
def _silu(gate, at, i, width):
    """silu of 32 numbers of a gate."""
    z = take(gate, at + item(gate) * i, width)
    return z * sigmoid(z)


@kernel
def _where(operand, b, t, h):
    """As `locate`; 0 for an operand that is not there."""
    if operand is None:
        return np.int64(0)
    return locate(operand, b, t, h)


@kernel
def _entering(x, at, before, at_gate, D, target):
    """What is normed, of one position and head, into lanes; the sum of its squares."""
    squares = fill_lanes(_ZERO)
    for i in range(0, D, LANES):
        entering = take(x, at + item(x) * i, D - i)
        if before is not None:
            entering = entering * _silu(before, at_gate, i, D - i)
        store(target + 4 * i, entering)
        squares = squares + entering * entering
    return total(squares)


@kernel
def forward(first, last, sizes, eps, x, before, after, weight, outputs):
    """Pieces `first` … `last` − 1 of rows × pieces of `PIECE` positions.

    Args:
        sizes: T, H, D. Each head is normed on its own, all with the same weight.
        x, before, after, outputs: operands; before, after: of the gate of what enters and of what comes out, or None.
        weight: address of a dense (D).
    """
    T, H, D = sizes
    pieces = (T + PIECE - 1) // PIECE
    memory = scratch(padded(D))
    entering = np.int64(memory.ctypes.data)
    for task in range(first, last):
        b, start = task // pieces, task % pieces * PIECE
        for t in range(start, min(T, start + PIECE)):
            _ahead(x, b, t + AHEAD, H, D)
            _ahead(before, b, t + AHEAD, H, D)
            _ahead(after, b, t + AHEAD, H, D)
            for h in range(H):
                at_before, at_after = _where(before, b, t, h), _where(after, b, t, h)
                squares = _entering(x, locate(x, b, t, h), before, at_before, D, entering)
                scale = fill_lanes(_ONE / np.sqrt(squares / np.float32(D) + eps))
                place = locate(outputs, b, t, h)
                for i in range(0, D, LANES):
                    y = load_lanes(entering + 4 * i) * scale * load_some(weight + 4 * i, D - i)
                    if after is not None:
                        y = y * _silu(after, at_after, i, D - i)
                    put(outputs, place + item(outputs) * i, D - i, y)
    hold(memory)


@kernel
def backward(first, last, sizes, eps, x, before, after, weight, d_outputs, dx, d_gate, d_weight):
    """The gradients that belong to `forward`.

    Args:
        d_gate: of the gate that there is; None where there is none.
        d_weight: address of (rows × pieces, D), the share of each piece.
    """
    T, H, D = sizes
    pieces = (T + PIECE - 1) // PIECE
    memory = scratch(3 * padded(D))
    entering = np.int64(memory.ctypes.data)
    aimed, shares = entering + 4 * padded(D), entering + 8 * padded(D)
    one = fill_lanes(_ONE)
    for task in range(first, last):
        b, start = task // pieces, task % pieces * PIECE
        clear(shares, padded(D))
        for t in range(start, min(T, start + PIECE)):
            _ahead(x, b, t + AHEAD, H, D)
            _ahead(before, b, t + AHEAD, H, D)
            _ahead(after, b, t + AHEAD, H, D)
            _ahead(d_outputs, b, t + AHEAD, H, D)
            _ahead(dx, b, t + AHEAD, H, D)
            _ahead(d_gate, b, t + AHEAD, H, D)
            for h in range(H):
                at_before, at_after, at_gate = _where(before, b, t, h), _where(after, b, t, h), _where(d_gate, b, t, h)
                at_x, at_d, at_dx = locate(x, b, t, h), locate(d_outputs, b, t, h), locate(dx, b, t, h)
                squares = _entering(x, at_x, before, at_before, D, entering)
                scale = _ONE / np.sqrt(squares / np.float32(D) + eps)
                factor = fill_lanes(scale)
                along = fill_lanes(_ZERO)
                for i in range(0, D, LANES):
                    d, normed = (
                        take(d_outputs, at_d + item(d_outputs) * i, D - i),
                        load_lanes(entering + 4 * i) * factor,
                    )
                    weights = load_some(weight + 4 * i, D - i)
                    if after is not None:
                        z = take(after, at_after + item(after) * i, D - i)
                        share = sigmoid(z)
                        slope = share * (one + z * (one - share))
                        put(d_gate, at_gate + item(d_gate) * i, D - i, d * normed * weights * slope)
                        d = d * z * share
                    store(shares + 4 * i, load_lanes(shares + 4 * i) + d * normed)
                    d = d * weights
                    store(aimed + 4 * i, d)
                    along = along + d * normed
                # What of the gradient points along the normed vector has no effect: the norm takes its length away.
                mean = fill_lanes(scale * total(along) / np.float32(D))
                for i in range(0, D, LANES):
                    d = load_lanes(aimed + 4 * i) * factor - load_lanes(entering + 4 * i) * factor * mean
                    if before is not None:
                        z = take(before, at_before + item(before) * i, D - i)
                        share = sigmoid(z)
                        slope = share * (one + z * (one - share))
                        put(d_gate, at_gate + item(d_gate) * i, D - i, d * take(x, at_x + item(x) * i, D - i) * slope)
                        d = d * z * share
                    put(dx, at_dx + item(dx) * i, D - i, d)
        for i in range(0, D, LANES):
            store_some(d_weight + 4 * (task * D + i), D - i, load_lanes(shares + 4 * i))
    hold(memory)
