"""The selective scan of Mamba-1 as numba kernels, with what stands around it: softplus before, skip and gate after.

32 channels at a time: their state is N × 32, every operation runs over the lanes, and sums over channels (the gradients
of b and c) are taken once all blocks of a piece are done. Forward keeps the states between pieces; backward makes those
within a piece again, with their decays.
"""

from __future__ import annotations

import numpy as np

from outlast.scan.kernels.activations import sigmoid, silu_bend, softplus
from outlast.scan.kernels.compiling import helper, kernel
from outlast.scan.kernels.operands import item, locate, prefetch, put, take, take_number
from outlast.scan.kernels.simd import (
    LANES,
    LOG2_E,
    ROWS,
    aligned,
    fill_lanes,
    load_float,
    load_lanes,
    load_some,
    load_tile,
    power_of_two_below,
    release,
    scratch,
    store,
    store_float,
    store_some,
    store_some_rows,
    sum_lanes,
)

PIECE = 16
"""Positions between two states that forward keeps."""

_ZERO, _ONE = np.float32(0), np.float32(1)
_LN2 = np.float32(0.6931471805599453)
_VECTOR = 4 * LANES


@helper
def _ask(operand, row, t, channel):
    """Ask for 32 channels of a position before they are needed."""
    prefetch(operand, locate(operand, row, t, channel), LANES)


@helper
def _transposed(source, D, N, channel, target, factor):
    """Rows `channel` … of a dense (D, N) into N × 32, the other way round, times `factor`; 0 behind D."""
    for i in range(LANES):
        for n in range(N):
            value = load_float(source + 4 * ((channel + i) * N + n)) * factor if channel + i < D else _ZERO
            store_float(target + 4 * (n * LANES + i), value)


@helper
def _transposed_back(source, D, N, channel, target, factor):
    """The inverse of `_transposed`: nothing is written behind D."""
    for i in range(min(LANES, D - channel)):
        for n in range(N):
            store_float(target + 4 * ((channel + i) * N + n), load_float(source + 4 * (n * LANES + i)) * factor)


@helper
def _blocks(D):
    """How many blocks of 32 channels there are."""
    return (D + LANES - 1) // LANES


@helper
def _part(task, parts, D):
    """The first and last block of channels of a task."""
    blocks = _blocks(D)
    return task % parts * blocks // parts, (task % parts + 1) * blocks // parts


@kernel
def forward(first, last, sizes, whole, x, step, rate, b, c, skip, gate, initial, outputs, final, between):
    """Tasks `first` … `last` − 1 of rows × parts.

    Args:
        sizes: T, D, N, parts. The blocks of channels of a row are dealt out to `parts` tasks.
        whole: whether softplus, skip and gate belong to it; otherwise `step` is used as it is, and skip and gate are
            not looked at.
        x, step, gate (B, T, D), b, c (B, T, N), outputs: operands whose heads are the numbers of the last axis.
        rate, skip, initial, final: addresses of dense (D, N), (D), (B, D, N).
        between: address of (B, blocks, pieces, N, 32), the states before each piece; 0 to keep none.
    """
    T, D, N, parts = sizes
    size = N * LANES
    pieces = (T + PIECE - 1) // PIECE
    memory = scratch(2 * size)
    state = aligned(memory)
    rates = state + 4 * size
    for task in range(first, last):
        row = task // parts
        start, end = _part(task, parts, D)
        for block in range(start, end):
            channel = block * LANES
            width = D - channel
            _transposed(initial + 4 * row * D * N, D, N, channel, state, _ONE)
            # Times log₂ e, once for all positions, since decays are taken as powers of 2.
            _transposed(rate, D, N, channel, rates, LOG2_E)
            skips = load_some(skip + 4 * channel, width) if whole else fill_lanes(_ZERO)
            for t in range(T):
                if between and t % PIECE == 0:
                    kept = between + 4 * ((row * _blocks(D) + block) * pieces + t // PIECE) * size
                    for i in range(0, 4 * size, _VECTOR):
                        store(kept + i, load_lanes(state + i))
                _ask(x, row, t + PIECE, channel)
                _ask(step, row, t + PIECE, channel)
                _ask(gate, row, t + PIECE, channel)
                _ask(outputs, row, t + PIECE, channel)
                value = take(x, locate(x, row, t, channel), width)
                delta = take(step, locate(step, row, t, channel), width)
                if whole:
                    delta = softplus(delta)
                driven = delta * value
                read = skips * value
                at_b, at_c = locate(b, row, t, 0), locate(c, row, t, 0)
                for n in range(N):
                    at = state + n * _VECTOR
                    decay = power_of_two_below(delta * load_lanes(rates + n * _VECTOR))
                    h = decay * load_lanes(at) + driven * fill_lanes(take_number(b, at_b + item(b) * n))
                    store(at, h)
                    read = read + h * fill_lanes(take_number(c, at_c + item(c) * n))
                if whole:
                    g = take(gate, locate(gate, row, t, channel), width)
                    read = read * g * sigmoid(g)
                put(outputs, locate(outputs, row, t, channel), width, read)
            _transposed_back(state, D, N, channel, final + 4 * row * D * N, _ONE)
    release(memory)


@kernel
def backward(
    first, last, sizes, whole, x, step, rate, b, c, skip, gate, between, d_outputs, d_final,
    dx, d_step, d_rate, d_b, d_c, d_skip, d_gate, d_initial,
):  # fmt: skip
    """The gradients that belong to `forward`, whose arguments these are.

    Args:
        dx, d_step, d_gate: laid out as `outputs`.
        d_rate, d_skip: addresses of (B, D, N) and (B, D), each row's share.
        d_b, d_c: operands (rows × parts, T, N) in float32, each task's share.
    """
    T, D, N, parts = sizes
    size = N * LANES
    pieces = (T + PIECE - 1) // PIECE
    rows = (N + ROWS - 1) // ROWS * ROWS
    blocks = _blocks(D)
    memory = scratch(((2 * PIECE + 2) * size) + PIECE * (3 * LANES + 2 * rows * LANES) + blocks * (2 * size + LANES))
    states = aligned(memory)
    decays = states + 4 * (PIECE + 1) * size
    rates = decays + 4 * PIECE * size
    deltas = rates + 4 * size
    driven_s = deltas + PIECE * _VECTOR
    reads = driven_s + PIECE * _VECTOR
    shares_b = reads + PIECE * _VECTOR
    shares_c = shares_b + PIECE * rows * _VECTOR
    gradients = shares_c + PIECE * rows * _VECTOR
    rate_shares = gradients + 4 * blocks * size
    skip_shares = rate_shares + 4 * blocks * size
    zero = fill_lanes(_ZERO)
    for task in range(first, last):
        row = task // parts
        start, end = _part(task, parts, D)
        for block in range(start, end):
            _transposed(d_final + 4 * row * D * N, D, N, block * LANES, gradients + 4 * block * size, _ONE)
            store(skip_shares + block * _VECTOR, zero)
            for i in range(0, 4 * size, _VECTOR):
                store(rate_shares + 4 * block * size + i, zero)
        for piece in range(pieces - 1, -1, -1):
            begin = piece * PIECE
            count = min(PIECE, T - begin)
            for i in range(count * rows):
                store(shares_b + i * _VECTOR, zero)
                store(shares_c + i * _VECTOR, zero)
            for block in range(start, end):
                channel = block * LANES
                width = D - channel
                gradient, rate_share = gradients + 4 * block * size, rate_shares + 4 * block * size
                skips = load_some(skip + 4 * channel, width) if whole else zero
                _transposed(rate, D, N, channel, rates, LOG2_E)
                kept = between + 4 * ((row * blocks + block) * pieces + piece) * size
                for i in range(0, 4 * size, _VECTOR):
                    store(states + i, load_lanes(kept + i))
                for i in range(count):
                    t = begin + i
                    _ask(x, row, t - PIECE, channel)
                    _ask(step, row, t - PIECE, channel)
                    _ask(gate, row, t - PIECE, channel)
                    _ask(d_outputs, row, t - PIECE, channel)
                    _ask(dx, row, t - PIECE, channel)
                    _ask(d_step, row, t - PIECE, channel)
                    _ask(d_gate, row, t - PIECE, channel)
                    value = take(x, locate(x, row, t, channel), width)
                    delta = take(step, locate(step, row, t, channel), width)
                    if whole:
                        delta = softplus(delta)
                    driven = delta * value
                    store(deltas + i * _VECTOR, delta)
                    store(driven_s + i * _VECTOR, driven)
                    read = skips * value
                    at_b, at_c = locate(b, row, t, 0), locate(c, row, t, 0)
                    for n in range(N):
                        at = states + 4 * i * size + n * _VECTOR
                        decay = power_of_two_below(delta * load_lanes(rates + n * _VECTOR))
                        store(decays + 4 * i * size + n * _VECTOR, decay)
                        h = decay * load_lanes(at) + driven * fill_lanes(take_number(b, at_b + item(b) * n))
                        store(at + 4 * size, h)
                        if whole:
                            read = read + h * fill_lanes(take_number(c, at_c + item(c) * n))
                    d_read = take(d_outputs, locate(d_outputs, row, t, channel), width)
                    if whole:
                        g = take(gate, locate(gate, row, t, channel), width)
                        share = sigmoid(g)
                        d_gated = d_read * read * share * silu_bend(g, share)
                        put(d_gate, locate(d_gate, row, t, channel), width, d_gated)
                        d_read = d_read * g * share
                    store(reads + i * _VECTOR, d_read)
                for i in range(count - 1, -1, -1):
                    t = begin + i
                    d_read = load_lanes(reads + i * _VECTOR)
                    delta, driven = load_lanes(deltas + i * _VECTOR), load_lanes(driven_s + i * _VECTOR)
                    d_driven, d_exponent = zero, zero
                    at_b, at_c = locate(b, row, t, 0), locate(c, row, t, 0)
                    for n in range(N):
                        lane = n * _VECTOR
                        at, at_share = states + 4 * i * size + lane, (i * rows + n) * _VECTOR
                        G = load_lanes(gradient + lane) + d_read * fill_lanes(take_number(c, at_c + item(c) * n))
                        store(shares_c + at_share, load_lanes(shares_c + at_share) + d_read * load_lanes(at + 4 * size))
                        store(shares_b + at_share, load_lanes(shares_b + at_share) + G * driven)
                        d_driven = d_driven + G * fill_lanes(take_number(b, at_b + item(b) * n))
                        # From here on G belongs to the state before this position.
                        G = G * load_lanes(decays + 4 * i * size + lane)
                        store(gradient + lane, G)
                        faded = G * load_lanes(at)
                        d_exponent = d_exponent + faded * load_lanes(rates + lane)
                        store(rate_share + lane, load_lanes(rate_share + lane) + faded * delta)
                    value = take(x, locate(x, row, t, channel), width)
                    # `rates` are rates times log₂ e: ln 2 undoes it.
                    d_delta = d_driven * value + d_exponent * fill_lanes(_LN2)
                    d_value = d_driven * delta
                    if whole:
                        d_value = d_value + d_read * skips
                        raw = take(step, locate(step, row, t, channel), width)
                        d_delta = d_delta * sigmoid(raw)
                        at = skip_shares + block * _VECTOR
                        store(at, load_lanes(at) + d_read * value)
                    put(d_step, locate(d_step, row, t, channel), width, d_delta)
                    put(dx, locate(dx, row, t, channel), width, d_value)
            for i in range(count):
                for n in range(0, N, ROWS):
                    place = i * rows + n
                    store_some_rows(
                        locate(d_b, task, begin + i, n), N - n, sum_lanes(load_tile(shares_b + place * _VECTOR))
                    )
                    store_some_rows(
                        locate(d_c, task, begin + i, n), N - n, sum_lanes(load_tile(shares_c + place * _VECTOR))
                    )
        for block in range(start, end):
            channel = block * LANES
            _transposed_back(gradients + 4 * block * size, D, N, channel, d_initial + 4 * row * D * N, _ONE)
            _transposed_back(rate_shares + 4 * block * size, D, N, channel, d_rate + 4 * row * D * N, _ONE)
            if whole:
                store_some(d_skip + 4 * (row * D + channel), D - channel, load_lanes(skip_shares + block * _VECTOR))
    release(memory)
