"""The short causal convolution with SiLU as numba kernels: they compute `outlast.scan.reference.short_convolution`.

For 32 channels and `PIECE` positions at a time the inputs are brought into scratch memory, those before the piece in
front of them. Backward computes the W − 1 positions after a piece once more instead of carrying anything along.
"""

from __future__ import annotations

import numpy as np

from outlast.scan.kernels.activations import sigmoid, silu_bend
from outlast.scan.kernels.compiling import helper, kernel
from outlast.scan.kernels.operands import locate, prefetch, put, take
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
)

PIECE = 64
"""Positions that are brought into scratch memory together."""

_ZERO = np.float32(0)
_VECTOR = 4 * LANES


@helper
def _inputs(x, window, T, W, D, b, channel, start, count, target):
    """Inputs from `start` − W + 1 on, `count` of them, 0 from T on."""
    width = D - channel
    for i in range(count):
        t = start - W + 1 + i
        value = fill_lanes(_ZERO)
        if t < 0:
            value = load_some(window + 4 * ((b * (W - 1) + W - 1 + t) * D + channel), width)
        elif t < T:
            prefetch(x, locate(x, b, t + PIECE, channel), LANES)
            value = take(x, locate(x, b, t, channel), width)
        store(target + i * _VECTOR, value)


@helper
def _before_silu(xs, weight, bias, W, D, channel, t):
    """The convolution at position t of a piece: lanes. Row t + j of xs is the input that the j-th weight meets."""
    width = D - channel
    total = load_some(bias + 4 * channel, width)
    for j in range(W):
        total = total + load_lanes(xs + (t + j) * _VECTOR) * load_some(weight + 4 * (j * D + channel), width)
    return total


@kernel
def forward(first, last, sizes, x, window, weight, bias, outputs, final):
    """Rows `first` … `last` − 1.

    Args:
        sizes: T, W, D.
        x, outputs: operands whose heads are the channels; the others are addresses of dense tensors: window, final
            (B, W − 1, D), weight (W, D), bias (D).
    """
    T, W, D = sizes
    memory = scratch((PIECE + W - 1) * LANES)
    xs = aligned(memory)
    for b in range(first, last):
        for channel in range(0, D, LANES):
            for start in range(0, T, PIECE):
                n = min(PIECE, T - start)
                _inputs(x, window, T, W, D, b, channel, start, n + W - 1, xs)
                for t in range(n):
                    total = _before_silu(xs, weight, bias, W, D, channel, t)
                    put(outputs, locate(outputs, b, start + t, channel), D - channel, total * sigmoid(total))
            # The last W − 1 inputs; where T is smaller, some are still of the window.
            _inputs(x, window, T, W, D, b, channel, T, W - 1, xs)
            for i in range(W - 1):
                store_some(final + 4 * ((b * (W - 1) + i) * D + channel), D - channel, load_lanes(xs + i * _VECTOR))
    release(memory)


@kernel
def backward(first, last, sizes, x, window, weight, bias, d_outputs, d_final, dx, d_window, d_weight):
    """The gradients that belong to `forward`.

    Args:
        d_outputs, dx: operands.
        d_weight: address of (B, W + 1, D): of the weights, then of the bias, row by row.
    """
    T, W, D = sizes
    memory = scratch((2 * PIECE + 4 * W) * LANES)
    xs = aligned(memory)
    gs = xs + (PIECE + 2 * W) * _VECTOR
    for b in range(first, last):
        for channel in range(0, D, LANES):
            width = D - channel
            at_weight = d_weight + 4 * (b * (W + 1) * D + channel)
            for j in range(W + 1):
                store_some(at_weight + 4 * j * D, width, fill_lanes(_ZERO))
            for start in range(0, T, PIECE):
                n = min(PIECE, T - start)
                # Inputs of this piece are still read by the W − 1 outputs after it, as far as there are any.
                ahead = min(n + W - 1, T - start)
                _inputs(x, window, T, W, D, b, channel, start, n + 2 * (W - 1), xs)
                for t in range(n + W - 1):
                    gradient = fill_lanes(_ZERO)
                    if t < ahead:
                        total = _before_silu(xs, weight, bias, W, D, channel, t)
                        share = sigmoid(total)
                        prefetch(d_outputs, locate(d_outputs, b, start + t + PIECE, channel), LANES)
                        gradient = take(d_outputs, locate(d_outputs, b, start + t, channel), width)
                        gradient = gradient * share * silu_bend(total, share)
                    store(gs + t * _VECTOR, gradient)
                for j in range(W + 1):
                    total = load_some(at_weight + 4 * j * D, width)
                    for t in range(n):
                        gradient = load_lanes(gs + t * _VECTOR)
                        if j < W:
                            gradient = gradient * load_lanes(xs + (t + j) * _VECTOR)
                        total = total + gradient
                    store_some(at_weight + 4 * j * D, width, total)
                # The window lies before the first position: its gradient goes with the first piece.
                for t in range(-(W - 1) if start == 0 else 0, n):
                    total = fill_lanes(_ZERO)
                    for j in range(min(W, t + W)):
                        w = load_some(weight + 4 * (j * D + channel), width)
                        total = total + w * load_lanes(gs + (t + W - 1 - j) * _VECTOR)
                    at = start + t
                    if at >= T - W + 1:
                        total = total + load_some(d_final + 4 * ((b * (W - 1) + at - (T - W + 1)) * D + channel), width)
                    if at < 0:
                        store_some(d_window + 4 * ((b * (W - 1) + W - 1 + at) * D + channel), width, total)
                    else:
                        put(dx, locate(dx, b, at, channel), width, total)
    release(memory)
