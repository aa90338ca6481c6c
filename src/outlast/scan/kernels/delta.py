"""The gated delta rule as two numba kernels, forward and backward.

What a position writes depends on the whole key axis of the memory before it, so a tile cannot be taken through time on
its own, as in the linear recurrence: all keys of 32 values go from position to position together. With e the error of
the memory at the key, S' = a S before and e = v − S'ᵀ k, forward is S = S' + k (β e)ᵀ. Backward starts from the states
between pieces, makes those within a piece and their errors again and walks them in reverse: with G the gradient with
respect to the state after a position,

    G ← G + q do^T,   dq = S do,   d(βe) = Gᵀ k,   dβ = e · d(βe),   dv = β d(βe),
    dk = G βe − S' dv,   G ← G − k dvᵀ,   d log a = Σ G ∘ S',   G ← a G,

so the gradient of the decay is a sum of products and never a difference of large sums.
"""

from __future__ import annotations

import numpy as np

from outlast.scan.kernels.compiling import helper, kernel
from outlast.scan.kernels.operands import (
    BLOCK,
    VECTOR,
    clear,
    gather,
    locate,
    padded,
    put_number,
    scatter,
    state_in,
    state_out,
    take_number,
    tiled,
)
from outlast.scan.kernels.simd import (
    LANES,
    across,
    aligned,
    dot_lanes,
    down,
    exponential,
    fill_lanes,
    load_lanes,
    load_rows,
    load_tile,
    plus_rows,
    release,
    scratch,
    store,
    sum_lanes,
    total,
)

PIECE = 32
"""Positions between two states that forward keeps. Those of 64 keys × 32 values over a piece are 256 KiB."""

# A *column* is a state's tiles of all keys for 32 values, in bytes. A key has LANES times as many bytes in it as among
# the numbers of a position.

_ZERO, _ONE = np.float32(0), np.float32(1)


@helper
def _gather_gates(log_decay, strength, b, start, count, h, decays, strengths):
    """Decays and strengths of a piece: lanes of the same number for each position."""
    for t in range(count):
        x = fill_lanes(take_number(log_decay, locate(log_decay, b, start + t, h)))
        store(decays + t * VECTOR, exponential(x))
        store(strengths + t * VECTOR, fill_lanes(take_number(strength, locate(strength, b, start + t, h))))


@helper
def _read(state, key, column):
    """Sᵀ k for the column at `state` and the key at another address: lanes."""
    held = fill_lanes(_ZERO)
    for j in range(0, column, BLOCK):
        held = plus_rows(held, across(key + j // LANES), load_tile(state + j))
    return held


@kernel
def forward(first, last, sizes, scale, q, k, v, log_decay, strength, initial, outputs, final, between):
    """The recurrences `first` … `last` − 1 of rows × heads.

    Args:
        sizes: T, heads, K, V.
        q, k, v, log_decay, strength, outputs: operands.
        initial, final: addresses of (B, H, K, V).
        between: address of (B, H, pieces, tiled(K, V)), the states before each piece; 0 to keep none.
    """
    T, heads, K, V = sizes
    wide_k, wide_v, size, column = padded(K), padded(V), tiled(K, V), 4 * tiled(K, LANES)
    pieces = (T + PIECE - 1) // PIECE
    memory = scratch(PIECE * (2 * wide_k + 2 * wide_v + 2 * LANES) + size)
    qs = aligned(memory)
    ks = qs + 4 * PIECE * wide_k
    vs = ks + 4 * PIECE * wide_k
    read = vs + 4 * PIECE * wide_v
    decays = read + 4 * PIECE * wide_v
    strengths = decays + PIECE * VECTOR
    states = strengths + PIECE * VECTOR
    for task in range(first, last):
        b, h = task // heads, task % heads
        state_in(initial + 4 * task * K * V, K, V, states)
        for piece in range(pieces):
            start = piece * PIECE
            n = min(PIECE, T - start)
            gather(q, locate(q, b, start, h), n, K, qs, scale)
            gather(k, locate(k, b, start, h), n, K, ks, _ONE)
            gather(v, locate(v, b, start, h), n, V, vs, _ONE)
            _gather_gates(log_decay, strength, b, start, n, h, decays, strengths)
            if between:
                kept = between + 4 * (task * pieces + piece) * size
                for i in range(0, 4 * size, BLOCK):
                    store(kept + i, load_tile(states + i))
            state = states
            # Values do not act on each other: 32 of them go through the whole piece while their column is in the cache.
            for i in range(0, 4 * wide_v, VECTOR):
                for t in range(n):
                    at_k, at_v = 4 * t * wide_k, 4 * t * wide_v + i
                    decay = load_lanes(decays + t * VECTOR)
                    error = load_lanes(vs + at_v) - decay * _read(state, ks + at_k, column)
                    written = down(load_lanes(strengths + t * VECTOR) * error)
                    asked = fill_lanes(_ZERO)
                    for j in range(0, column, BLOCK):
                        at = at_k + j // LANES
                        S = down(decay) * load_tile(state + j) + across(ks + at) * written
                        asked = plus_rows(asked, across(qs + at), S)
                        store(state + j, S)
                    store(read + at_v, asked)
                state += column
            scatter(outputs, locate(outputs, b, start, h), n, V, read, _ONE)
        state_out(states, K, V, final + 4 * task * K * V)
    release(memory)


@kernel
def backward(
    first, last, sizes, scale, q, k, v, log_decay, strength, between, d_outputs, d_final,
    dq, dk, dv, d_decay, d_strength, d_initial,
):  # fmt: skip
    """The gradients that belong to `forward`, whose arguments these are; d_… have the layout of what they belong to."""
    T, heads, K, V = sizes
    wide_k, wide_v, size, column = padded(K), padded(V), tiled(K, V), 4 * tiled(K, LANES)
    pieces = (T + PIECE - 1) // PIECE
    memory = scratch(PIECE * (4 * wide_k + 3 * wide_v + 5 * LANES) + size + (PIECE + 1) * column // 4)
    qs = aligned(memory)
    ks = qs + 4 * PIECE * wide_k
    dqs = ks + 4 * PIECE * wide_k
    dks = dqs + 4 * PIECE * wide_k
    vs = dks + 4 * PIECE * wide_k
    dos = vs + 4 * PIECE * wide_v
    dvs = dos + 4 * PIECE * wide_v
    decays = dvs + 4 * PIECE * wide_v
    strengths = decays + PIECE * VECTOR
    errors = strengths + PIECE * VECTOR
    d_decays = errors + PIECE * VECTOR
    d_strengths = d_decays + PIECE * VECTOR
    gradients = d_strengths + PIECE * VECTOR
    states = gradients + 4 * size
    for task in range(first, last):
        b, h = task // heads, task % heads
        state_in(d_final + 4 * task * K * V, K, V, gradients)
        for piece in range(pieces - 1, -1, -1):
            start = piece * PIECE
            n = min(PIECE, T - start)
            gather(q, locate(q, b, start, h), n, K, qs, scale)
            gather(k, locate(k, b, start, h), n, K, ks, _ONE)
            gather(v, locate(v, b, start, h), n, V, vs, _ONE)
            gather(d_outputs, locate(d_outputs, b, start, h), n, V, dos, _ONE)
            _gather_gates(log_decay, strength, b, start, n, h, decays, strengths)
            for sums, count in ((dqs, n * wide_k), (dks, n * wide_k), (d_decays, n * LANES), (d_strengths, n * LANES)):
                clear(sums, count)
            kept = between + 4 * (task * pieces + piece) * size
            gradient = gradients
            for i in range(0, 4 * wide_v, VECTOR):
                for j in range(0, column, BLOCK):
                    store(states + j, load_tile(kept + j))
                for t in range(n):
                    at_k, at_v = 4 * t * wide_k, 4 * t * wide_v + i
                    before = states + t * column
                    decay, d_output = load_lanes(decays + t * VECTOR), load_lanes(dos + at_v)
                    error = load_lanes(vs + at_v) - decay * _read(before, ks + at_k, column)
                    store(errors + t * VECTOR, error)
                    # The state after position t is that before t + 1: `states` has one column more than positions.
                    written = down(load_lanes(strengths + t * VECTOR) * error)
                    for j in range(0, column, BLOCK):
                        at = at_k + j // LANES
                        S = down(decay) * load_tile(before + j) + across(ks + at) * written
                        store(before + column + j, S)
                        store(dqs + at, load_rows(dqs + at) + dot_lanes(S, d_output))
                for t in range(n - 1, -1, -1):
                    at_k, at_v = 4 * t * wide_k, 4 * t * wide_v + i
                    before = states + t * column
                    d_output, d_written = down(load_lanes(dos + at_v)), fill_lanes(_ZERO)
                    for j in range(0, column, BLOCK):
                        at = at_k + j // LANES
                        G = load_tile(gradient + j) + across(qs + at) * d_output
                        d_written = plus_rows(d_written, across(ks + at), G)
                        store(gradient + j, G)
                    error, share = load_lanes(errors + t * VECTOR), load_lanes(strengths + t * VECTOR)
                    at = d_strengths + t * VECTOR
                    store(at, load_lanes(at) + d_written * error)
                    store(dvs + at_v, share * d_written)
                    written, d_value = down(share * error), down(share * d_written)
                    decay = down(load_lanes(decays + t * VECTOR))
                    faded = load_lanes(d_decays + t * VECTOR)
                    for j in range(0, column, BLOCK):
                        at = at_k + j // LANES
                        G, S = load_tile(gradient + j), decay * load_tile(before + j)
                        store(dks + at, load_rows(dks + at) + sum_lanes(G * written - S * d_value))
                        G = G - across(ks + at) * d_value
                        faded = plus_rows(faded, G, S)
                        store(gradient + j, decay * G)
                    store(d_decays + t * VECTOR, faded)
                gradient += column
                kept += column
            scatter(dv, locate(dv, b, start, h), n, V, dvs, _ONE)
            scatter(dq, locate(dq, b, start, h), n, K, dqs, scale)
            scatter(dk, locate(dk, b, start, h), n, K, dks, _ONE)
            for t in range(n):
                put_number(d_decay, locate(d_decay, b, start + t, h), total(load_lanes(d_decays + t * VECTOR)))
                put_number(d_strength, locate(d_strength, b, start + t, h), total(load_lanes(d_strengths + t * VECTOR)))
        state_out(gradients, K, V, d_initial + 4 * task * K * V)
    release(memory)
