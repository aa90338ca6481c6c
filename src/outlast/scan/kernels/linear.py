"""The linear recurrence with one decay a key channel as two numba kernels, forward and backward.

The state (K × V) is cut into tiles of 8 keys × 32 values. For a piece of `PIECE` positions one tile after the other is
taken through time in registers. Backward starts from the states between pieces, which forward left, makes the states
within a piece again and walks them in reverse: with G the gradient with respect to the state after a position,

    G ← G + q do^T,   dv = Gᵀ k,   dk = G v,   dq = S do,   G ← a ∘ G,   d log a = Σ G ∘ S before,

so the gradient of the decay is a sum of products and never a difference of large sums. Operands are read where they lie
(`outlast.scan.kernels.operands`): nothing is copied to bring them in order.
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
    scatter,
    state_in,
    state_out,
    tiled,
)
from outlast.scan.kernels.simd import (
    LANES,
    ROWS,
    TILE,
    across,
    aligned,
    dot_lanes,
    down,
    exponential,
    load_lanes,
    load_rows,
    load_tile,
    plus_rows,
    release,
    scratch,
    store,
    sum_lanes,
)

PIECE = 32
"""Positions between two states that forward keeps. The states of one tile over a piece are 32 KiB."""

_ZERO, _ONE = np.float32(0), np.float32(1)


@helper
def _gather_decay(log_decay, b, start, count, h, K, target):
    """Decays of a piece into dense lanes; 1 behind K, where keys are 0."""
    gather(log_decay, locate(log_decay, b, start, h), count, K, target, _ONE)
    for i in range(0, count * padded(K), LANES):
        store(target + 4 * i, exponential(load_lanes(target + 4 * i)))


@kernel
def forward(first, last, sizes, scale, q, k, v, log_decay, initial, outputs, final, between):
    """The recurrences `first` … `last` − 1 of rows × groups.

    Args:
        sizes: T, groups, heads a group, K, V.
        q, k: operands whose heads are the groups; v, log_decay, outputs: with all heads.
        initial, final: addresses of (B, H, K, V).
        between: address of (B, H, pieces, tiled(K, V)), the states before each piece; 0 to keep none.
    """
    T, groups, heads, K, V = sizes
    wide_k, wide_v, size = padded(K), padded(V), tiled(K, V)
    pieces = (T + PIECE - 1) // PIECE
    memory = scratch(PIECE * (3 * wide_k + 2 * wide_v) + heads * size)
    qs = aligned(memory)
    ks = qs + 4 * PIECE * wide_k
    decays = ks + 4 * PIECE * wide_k
    vs = decays + 4 * PIECE * wide_k
    read = vs + 4 * PIECE * wide_v
    states = read + 4 * PIECE * wide_v
    for task in range(first, last):
        b, group = task // groups, task % groups
        for h in range(heads):
            state_in(initial + 4 * (task * heads + h) * K * V, K, V, states + 4 * h * size)
        for piece in range(pieces):
            start = piece * PIECE
            n = min(PIECE, T - start)
            gather(q, locate(q, b, start, group), n, K, qs, scale)
            gather(k, locate(k, b, start, group), n, K, ks, _ONE)
            for h in range(heads):
                head = group * heads + h
                gather(v, locate(v, b, start, head), n, V, vs, _ONE)
                _gather_decay(log_decay, b, start, n, head, K, decays)
                clear(read, n * wide_v)
                state = states + 4 * h * size
                if between:
                    kept = between + 4 * ((task * heads + h) * pieces + piece) * size
                    for i in range(0, 4 * size, BLOCK):
                        store(kept + i, load_tile(state + i))
                # The order of the tiles in memory, see `state_in`.
                for i in range(0, 4 * wide_v, VECTOR):
                    for j in range(0, 4 * K, 4 * ROWS):
                        S = load_tile(state)
                        for t in range(n):
                            at_k, at_v = 4 * t * wide_k + j, 4 * t * wide_v + i
                            S = across(decays + at_k) * S + across(ks + at_k) * down(load_lanes(vs + at_v))
                            store(read + at_v, plus_rows(load_lanes(read + at_v), across(qs + at_k), S))
                        store(state, S)
                        state += BLOCK
                scatter(outputs, locate(outputs, b, start, head), n, V, read, _ONE)
        for h in range(heads):
            state_out(states + 4 * h * size, K, V, final + 4 * (task * heads + h) * K * V)
    release(memory)


@kernel
def backward(
    first, last, sizes, scale, q, k, v, log_decay, between, d_outputs, d_final, dq, dk, dv, d_decay, d_initial
):
    """The gradients that belong to `forward`, whose arguments these are; d_… have the layout of what they belong to."""
    T, groups, heads, K, V = sizes
    wide_k, wide_v, size = padded(K), padded(V), tiled(K, V)
    pieces = (T + PIECE - 1) // PIECE
    memory = scratch(PIECE * (6 * wide_k + 3 * wide_v + TILE) + heads * size)
    qs = aligned(memory)
    ks = qs + 4 * PIECE * wide_k
    decays = ks + 4 * PIECE * wide_k
    dqs = decays + 4 * PIECE * wide_k
    dks = dqs + 4 * PIECE * wide_k
    d_decays = dks + 4 * PIECE * wide_k
    vs = d_decays + 4 * PIECE * wide_k
    dos = vs + 4 * PIECE * wide_v
    dvs = dos + 4 * PIECE * wide_v
    before = dvs + 4 * PIECE * wide_v
    gradients = before + 4 * PIECE * TILE
    for task in range(first, last):
        b, group = task // groups, task % groups
        for h in range(heads):
            state_in(d_final + 4 * (task * heads + h) * K * V, K, V, gradients + 4 * h * size)
        for piece in range(pieces - 1, -1, -1):
            start = piece * PIECE
            n = min(PIECE, T - start)
            gather(q, locate(q, b, start, group), n, K, qs, scale)
            gather(k, locate(k, b, start, group), n, K, ks, _ONE)
            clear(dqs, n * wide_k)
            clear(dks, n * wide_k)
            for h in range(heads):
                head = group * heads + h
                gather(v, locate(v, b, start, head), n, V, vs, _ONE)
                gather(d_outputs, locate(d_outputs, b, start, head), n, V, dos, _ONE)
                _gather_decay(log_decay, b, start, n, head, K, decays)
                clear(dvs, n * wide_v)
                clear(d_decays, n * wide_k)
                state = between + 4 * ((task * heads + h) * pieces + piece) * size
                gradient = gradients + 4 * h * size
                for i in range(0, 4 * wide_v, VECTOR):
                    for j in range(0, 4 * K, 4 * ROWS):
                        S = load_tile(state)
                        for t in range(n):
                            at_k, at_v = 4 * t * wide_k + j, 4 * t * wide_v + i
                            store(before + t * BLOCK, S)
                            S = across(decays + at_k) * S + across(ks + at_k) * down(load_lanes(vs + at_v))
                            asked = dot_lanes(S, load_lanes(dos + at_v))
                            store(dqs + at_k, load_rows(dqs + at_k) + asked)
                        G = load_tile(gradient)
                        for t in range(n - 1, -1, -1):
                            at_k, at_v = 4 * t * wide_k + j, 4 * t * wide_v + i
                            G = G + across(qs + at_k) * down(load_lanes(dos + at_v))
                            store(dvs + at_v, plus_rows(load_lanes(dvs + at_v), across(ks + at_k), G))
                            written = dot_lanes(G, load_lanes(vs + at_v))
                            store(dks + at_k, load_rows(dks + at_k) + written)
                            G = across(decays + at_k) * G
                            S = load_tile(before + t * BLOCK)
                            faded = sum_lanes(G * S)
                            store(d_decays + at_k, load_rows(d_decays + at_k) + faded)
                        store(gradient, G)
                        gradient += BLOCK
                        state += BLOCK
                scatter(dv, locate(dv, b, start, head), n, V, dvs, _ONE)
                scatter(d_decay, locate(d_decay, b, start, head), n, K, d_decays, _ONE)
            scatter(dq, locate(dq, b, start, group), n, K, dqs, scale)
            scatter(dk, locate(dk, b, start, group), n, K, dks, _ONE)
        for h in range(heads):
            state_out(gradients + 4 * h * size, K, V, d_initial + 4 * (task * heads + h) * K * V)
    release(memory)
