"""The root-mean-square norm as numba kernels, with a gate before it, after it, or without: silu(gate) times."""

from __future__ import annotations

import numpy as np

from outlast.scan.kernels.activations import sigmoid, silu_bend
from outlast.scan.kernels.compiling import helper, kernel
from outlast.scan.kernels.operands import clear, item, locate, padded, prefetch, put, take
from outlast.scan.kernels.simd import (
    LANES,
    aligned,
    fill_lanes,
    load_lanes,
    load_some,
    release,
    scratch,
    store,
    store_some,
    total,
)

PIECE = 64
"""Positions of a task: how the gradient of the weight is summed does not depend on the threads."""

AHEAD = 2
"""Positions from the one that is computed to the one that is asked for."""

NO_GATE, BEFORE, AFTER = range(3)
"""Where a gate is: nowhere, at what enters, at what comes out. A number, so that there is one kernel to compile."""

_ZERO, _ONE = np.float32(0), np.float32(1)


@helper
def _ahead(operand, b, t, H, D):
    """Ask for all heads of a position."""
    for h in range(H):
        prefetch(operand, locate(operand, b, t, h), D)


@helper
def _silu(gate, at, i, width):
    """silu of 32 numbers of a gate."""
    z = take(gate, at + item(gate) * i, width)
    return z * sigmoid(z)


@helper
def _entering(x, at, gate, at_gate, place, D, target):
    """What is normed, of one position and head, into lanes; the sum of its squares."""
    squares = fill_lanes(_ZERO)
    for i in range(0, D, LANES):
        entering = take(x, at + item(x) * i, D - i)
        if place == BEFORE:
            entering = entering * _silu(gate, at_gate, i, D - i)
        store(target + 4 * i, entering)
        squares = squares + entering * entering
    return total(squares)


@kernel
def forward(first, last, sizes, eps, x, gate, place, weight, outputs):
    """Pieces `first` … `last` − 1 of rows × pieces of `PIECE` positions.

    Args:
        sizes: T, H, D. Each head is normed on its own, all with the same weight.
        x, gate, outputs: operands.
        place: of the gate; any operand stands for one where there is `NO_GATE`.
        weight: address of a dense (D).
    """
    T, H, D = sizes
    pieces = (T + PIECE - 1) // PIECE
    memory = scratch(padded(D))
    entering = aligned(memory)
    for task in range(first, last):
        b, start = task // pieces, task % pieces * PIECE
        for t in range(start, min(T, start + PIECE)):
            _ahead(x, b, t + AHEAD, H, D)
            if place != NO_GATE:
                _ahead(gate, b, t + AHEAD, H, D)
            for h in range(H):
                at_gate = locate(gate, b, t, h)
                squares = _entering(x, locate(x, b, t, h), gate, at_gate, place, D, entering)
                scale = fill_lanes(_ONE / np.sqrt(squares / np.float32(D) + eps))
                at = locate(outputs, b, t, h)
                for i in range(0, D, LANES):
                    y = load_lanes(entering + 4 * i) * scale * load_some(weight + 4 * i, D - i)
                    if place == AFTER:
                        y = y * _silu(gate, at_gate, i, D - i)
                    put(outputs, at + item(outputs) * i, D - i, y)
    release(memory)


@kernel
def backward(first, last, sizes, eps, x, gate, place, weight, d_outputs, dx, d_gate, d_weight):
    """The gradients that belong to `forward`.

    Args:
        d_weight: address of (rows × pieces, D), the share of each piece.
    """
    T, H, D = sizes
    pieces = (T + PIECE - 1) // PIECE
    memory = scratch(3 * padded(D))
    entering = aligned(memory)
    aimed, shares = entering + 4 * padded(D), entering + 8 * padded(D)
    for task in range(first, last):
        b, start = task // pieces, task % pieces * PIECE
        clear(shares, padded(D))
        for t in range(start, min(T, start + PIECE)):
            _ahead(x, b, t + AHEAD, H, D)
            if place != NO_GATE:
                _ahead(gate, b, t + AHEAD, H, D)
                _ahead(d_gate, b, t + AHEAD, H, D)
            _ahead(d_outputs, b, t + AHEAD, H, D)
            _ahead(dx, b, t + AHEAD, H, D)
            for h in range(H):
                at_gate, at_d_gate = locate(gate, b, t, h), locate(d_gate, b, t, h)
                at_x, at_d, at_dx = locate(x, b, t, h), locate(d_outputs, b, t, h), locate(dx, b, t, h)
                squares = _entering(x, at_x, gate, at_gate, place, D, entering)
                scale = _ONE / np.sqrt(squares / np.float32(D) + eps)
                factor = fill_lanes(scale)
                along = fill_lanes(_ZERO)
                for i in range(0, D, LANES):
                    d = take(d_outputs, at_d + item(d_outputs) * i, D - i)
                    normed = load_lanes(entering + 4 * i) * factor
                    weights = load_some(weight + 4 * i, D - i)
                    if place == AFTER:
                        z = take(gate, at_gate + item(gate) * i, D - i)
                        share = sigmoid(z)
                        slope = share * silu_bend(z, share)
                        put(d_gate, at_d_gate + item(d_gate) * i, D - i, d * normed * weights * slope)
                        d = d * z * share
                    store(shares + 4 * i, load_lanes(shares + 4 * i) + d * normed)
                    d = d * weights
                    store(aimed + 4 * i, d)
                    along = along + d * normed
                # What of the gradient points along the normed vector has no effect: the norm takes its length away.
                mean = fill_lanes(scale * total(along) / np.float32(D))
                for i in range(0, D, LANES):
                    d = load_lanes(aimed + 4 * i) * factor - load_lanes(entering + 4 * i) * factor * mean
                    if place == BEFORE:
                        z = take(gate, at_gate + item(gate) * i, D - i)
                        share = sigmoid(z)
                        slope = share * silu_bend(z, share)
                        put(d_gate, at_d_gate + item(d_gate) * i, D - i, d * take(x, at_x + item(x) * i, D - i) * slope)
                        d = d * z * share
                    put(dx, at_dx + item(dx) * i, D - i, d)
        for i in range(0, D, LANES):
            store_some(d_weight + 4 * (task * D + i), D - i, load_lanes(shares + 4 * i))
    release(memory)
