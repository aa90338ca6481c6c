"""The linear recurrence with one decay a head as numba kernels: the dual form of Mamba-2, by matrix products.

Within a piece of `PIECE` positions, with L[t, s] the product of the decays after s up to t (0 for s > t),

    O = from_start ∘ (Q S) + ((Q Kᵀ) ∘ L) V        S ← total S + Kᵀ (to_end ∘ V)

(Dao and Gu 2024, "Transformers are SSMs", section 6), where the factors are products of decays, never quotients or
differences of their sums: they are exact to rounding for any decay. Backward is made of the same products; the
gradient of log decay t adds up what every pair of a position before t and one from t on has to do with each other,

    Σ_{s < t ≤ i} W[i, s] + Σ_{i ≥ t} q_i·dq_i + Σ_{s < t} v_s·dv_s + total · S·dS

with W = (Q Kᵀ) ∘ L ∘ (dO Vᵀ), dq what comes of the state before the piece and dv what comes of that behind it.
"""

from __future__ import annotations

import numpy as np

from outlast.scan.kernels.compiling import helper, kernel
from outlast.scan.kernels.matrices import FROM_ROW, UP_TO_ROW, WHOLE, multiply, transpose
from outlast.scan.kernels.operands import (
    clear,
    gather,
    item,
    locate,
    padded,
    put,
    put_number,
    scatter,
    take,
    take_number,
    tiled,
)
from outlast.scan.kernels.simd import (
    LANES,
    ROWS,
    aligned,
    exponential,
    fill_lanes,
    load_float,
    load_lanes,
    release,
    scratch,
    store,
    store_float,
    total,
)

PIECE = LANES
"""Positions that are taken together; a row of L is one vector."""

_ZERO, _ONE = np.float32(0), np.float32(1)
_VECTOR = np.int64(4 * LANES)
_SQUARE = np.int64(PIECE * LANES)
_NONE, _LANES = np.int64(0), np.int64(LANES)


@helper
def _identity(target):
    """L without any decay behind a position: where the rows of L begin."""
    for t in range(PIECE):
        store(target + t * _VECTOR, fill_lanes(_ZERO))
        store_float(target + t * _VECTOR + 4 * t, _ONE)


@helper
def _state_in(source, K, V, target):
    """A dense (K, V) state into rows of whole lanes."""
    gather((_NONE, _NONE, 4 * V, _NONE), source, K, V, target, _ONE)


@helper
def _state_out(target, K, V, source):
    """The inverse of `_state_in`."""
    scatter((_NONE, _NONE, 4 * V, _NONE), target, K, V, source, _ONE)


@helper
def _gather_piece(source, place, count, width, target, factor):
    """As `gather`, and zeros for the positions behind `count`."""
    gather(source, place, count, width, target, factor)
    clear(target + 4 * count * padded(width), (PIECE - count) * padded(width))


@helper
def _gather_driven(v, step, b, start, count, head, V, target):
    """Values of a piece, times Δ where there is one."""
    _gather_piece(v, locate(v, b, start, head), count, V, target, _ONE)
    if step is not None:
        for t in range(count):
            _scale(target + 4 * t * padded(V), take_number(step, locate(step, b, start + t, head)), V)


@helper
def _scale(row, factor, width):
    """A row times one number, in place."""
    for i in range(0, 4 * width, _VECTOR):
        store(row + i, load_lanes(row + i) * fill_lanes(factor))


@helper
def _scale_rows(rows, factors, count, width):
    """`count` rows, each times its own number, in place."""
    for t in range(count):
        _scale(rows + 4 * t * padded(width), load_float(factors + 4 * t), width)


@helper
def _dot(a, b, width):
    """The scalar product of two rows, whose numbers behind `width` are 0 up to whole lanes."""
    x = fill_lanes(_ZERO)
    for i in range(0, 4 * width, _VECTOR):
        x = x + load_lanes(a + i) * load_lanes(b + i)
    return total(x)


@helper
def _dots(a, b, factors, count, width, target):
    """factors[t] · a[t] · b[t] for each position."""
    for t in range(count):
        row = 4 * t * padded(width)
        store_float(target + 4 * t, load_float(factors + 4 * t) * _dot(a + row, b + row, width))


@helper
def _decays(log_decay, b, start, count, head, K, decays, from_start, to_end, totals):
    """The decays of a piece, their products up to each position and behind it, and that of all, K times."""
    for t in range(count):
        store_float(decays + 4 * t, take_number(log_decay, locate(log_decay, b, start + t, head)))
    # Lanes behind `count` hold what an earlier piece left; they stay finite, and nothing reads them.
    store(decays, exponential(load_lanes(decays)))
    product = _ONE
    for t in range(count):
        product = product * load_float(decays + 4 * t)
        store_float(from_start + 4 * t, product)
    for i in range(0, 4 * K, _VECTOR):
        store(totals + i, fill_lanes(product))
    product = _ONE
    for t in range(count - 1, -1, -1):
        store_float(to_end + 4 * t, product)
        product = product * load_float(decays + 4 * t)


@helper
def _fade_turned(scores, identity, decays, count, target):
    """(K Qᵀ) ∘ Lᵀ, whose rows are made from the last one up."""
    column = fill_lanes(_ZERO)
    for s in range(count - 1, -1, -1):
        column = column + load_lanes(identity + s * _VECTOR)
        store(target + s * _VECTOR, load_lanes(scores + s * _VECTOR) * column)
        column = column * fill_lanes(load_float(decays + 4 * s))


@helper
def _fade(scores, d_faded, identity, decays, count, faded, pairs):
    """(Q Kᵀ) ∘ L into `faded`, its gradient dO Vᵀ times that into `pairs` (W) and times L in its own place."""
    row = fill_lanes(_ZERO)
    for t in range(count):
        at = t * _VECTOR
        row = row * fill_lanes(load_float(decays + 4 * t)) + load_lanes(identity + at)
        score, gradient = load_lanes(scores + at) * row, load_lanes(d_faded + at)
        store(faded + at, score)
        store(d_faded + at, gradient * row)
        store(pairs + at, score * gradient)


@helper
def _add_skipped(v, skip, b, start, count, head, V, read):
    """Values of a piece, undriven, times the weight of their head, added to what was read."""
    weight = fill_lanes(load_float(skip + 4 * head))
    for t in range(count):
        for i in range(0, V, LANES):
            at = read + 4 * (t * padded(V) + i)
            x = take(v, locate(v, b, start + t, head) + item(v) * i, V - i)
            store(at, load_lanes(at) + weight * x)


@kernel
def forward(first, last, sizes, scale, q, k, v, log_decay, step, skip, initial, outputs, final, between):
    """The recurrences `first` … `last` − 1 of rows × groups.

    Args:
        sizes: T, groups, heads a group, K, V.
        q, k: operands (address, bytes from row to row, from position to position, from head to head) whose heads are
            the groups; v, outputs, log_decay, step: with all heads.
        step: what values are multiplied by before they are written; None for neither step nor skip.
        skip: address of the weight of each head's values in its outputs.
        initial, final: addresses of (B, H, K, V).
        between: address of (B, H, pieces, tiled(K, V)), the states before each piece; 0 to keep none.
    """
    T, groups, heads, K, V = sizes
    wide_k, wide_v, size = padded(K), padded(V), tiled(K, V)
    row_k, row_v = 4 * wide_k, 4 * wide_v
    pieces = (T + PIECE - 1) // PIECE
    count = PIECE * 4 * wide_k + 2 * PIECE * wide_v + 3 * _SQUARE + 3 * LANES + wide_k + heads * size
    memory = scratch(count)
    qs = aligned(memory)
    # Products take in whole tiles, also of rows and lanes that no piece fills: they must hold finite numbers.
    clear(qs, count)
    ks = qs + PIECE * row_k
    qT = ks + PIECE * row_k
    kT = qT + PIECE * row_k
    vs = kT + PIECE * row_k
    read = vs + PIECE * row_v
    scores = read + PIECE * row_v
    faded = scores + 4 * _SQUARE
    identity = faded + 4 * _SQUARE
    decays = identity + 4 * _SQUARE
    from_start, to_end = decays + _VECTOR, decays + 2 * _VECTOR
    totals = decays + 3 * _VECTOR
    states = totals + row_k
    _identity(identity)
    for task in range(first, last):
        b, group = task // groups, task % groups
        for h in range(heads):
            _state_in(initial + 4 * (task * heads + h) * K * V, K, V, states + 4 * h * size)
        for piece in range(pieces):
            start = piece * PIECE
            n = min(PIECE, T - start)
            _gather_piece(q, locate(q, b, start, group), n, K, qs, scale)
            _gather_piece(k, locate(k, b, start, group), n, K, ks, _ONE)
            transpose(qs, row_k, PIECE, K, qT, _VECTOR)
            transpose(ks, row_k, PIECE, K, kT, _VECTOR)
            multiply(kT, _VECTOR, qT, _VECTOR, K, WHOLE, scores, _VECTOR, n, _LANES, _NONE)
            for h in range(heads):
                head = group * heads + h
                state = states + 4 * h * size
                _gather_driven(v, step, b, start, n, head, V, vs)
                _decays(log_decay, b, start, n, head, K, decays, from_start, to_end, totals)
                if between:
                    kept = between + 4 * ((task * heads + h) * pieces + piece) * size
                    for i in range(0, 4 * size, _VECTOR):
                        store(kept + i, load_lanes(state + i))
                _fade_turned(scores, identity, decays, n, faded)
                multiply(qT, _VECTOR, state, row_v, K, WHOLE, read, row_v, n, V, _NONE)
                multiply(faded, _VECTOR, vs, row_v, n, UP_TO_ROW, read, row_v, n, V, from_start)
                # Only now, since what is read within the piece needs the values as they are.
                _scale_rows(vs, to_end, n, V)
                multiply(ks, row_k, vs, row_v, n, WHOLE, state, row_v, K, V, totals)
                if step is not None:
                    _add_skipped(v, skip, b, start, n, head, V, read)
                scatter(outputs, locate(outputs, b, start, head), n, V, read, _ONE)
        for h in range(heads):
            _state_out(final + 4 * (task * heads + h) * K * V, K, V, states + 4 * h * size)
    release(memory)


@helper
def _d_decays(d_decay, b, start, count, head, pairs, identity, reads, writes, carried):
    """Gradients of log decays: see the top of this file. `writes` becomes the sum of those before each position."""
    before = carried
    for t in range(count):
        this = load_float(writes + 4 * t)
        store_float(writes + 4 * t, before)
        before = before + this
    # From the last position up, `later` has the sums of W over the rows from t on, and `past` is 1 in columns before t.
    later, past, read = fill_lanes(_ZERO), fill_lanes(_ONE), _ZERO
    for t in range(count - 1, -1, -1):
        later = later + load_lanes(pairs + t * _VECTOR)
        past = past - load_lanes(identity + t * _VECTOR)
        read = read + load_float(reads + 4 * t)
        here = total(later * past) + read + load_float(writes + 4 * t)
        put_number(d_decay, locate(d_decay, b, start + t, head), here)


@helper
def _d_values(v, step, skip, d_outputs, dv, d_step, d_skip, b, start, count, head, V, dvs):
    """Gradients of values, Δ and the skip out of those of the driven values."""
    if step is None:
        scatter(dv, locate(dv, b, start, head), count, V, dvs, _ONE)
        return
    weight = fill_lanes(load_float(skip + 4 * head))
    skipped = fill_lanes(_ZERO)
    for t in range(count):
        here, there = locate(v, b, start + t, head), locate(d_outputs, b, start + t, head)
        delta, d_delta = fill_lanes(take_number(step, locate(step, b, start + t, head))), fill_lanes(_ZERO)
        for i in range(0, V, LANES):
            x, do = take(v, here + item(v) * i, V - i), take(d_outputs, there + item(d_outputs) * i, V - i)
            driven = load_lanes(dvs + 4 * (t * padded(V) + i))
            place = locate(dv, b, start + t, head) + item(dv) * i
            put(dv, place, V - i, delta * driven + weight * do)
            d_delta = d_delta + x * driven
            skipped = skipped + x * do
        put_number(d_step, locate(d_step, b, start + t, head), total(d_delta))
    store_float(d_skip, load_float(d_skip) + total(skipped))


@kernel
def backward(
    first, last, sizes, scale, q, k, v, log_decay, step, skip, between, d_outputs, d_final,
    dq, dk, dv, d_decay, d_step, d_skip, d_initial,
):  # fmt: skip
    """The gradients that belong to `forward`, whose arguments these are; d_… have the layout of what they belong to.

    d_skip: address of (B, H), each row's share.
    """
    T, groups, heads, K, V = sizes
    wide_k, wide_v, size = padded(K), padded(V), tiled(K, V)
    turned = (V + ROWS - 1) // ROWS * ROWS * wide_k
    row_k, row_v = 4 * wide_k, 4 * wide_v
    pieces = (T + PIECE - 1) // PIECE
    count = PIECE * (7 * wide_k + 5 * wide_v) + 6 * _SQUARE + 6 * LANES + wide_k + heads * size + 2 * turned
    memory = scratch(count)
    qs = aligned(memory)
    clear(qs, count)  # as in `forward`
    ks = qs + PIECE * row_k
    qT = ks + PIECE * row_k
    kT = qT + PIECE * row_k
    dqs = kT + PIECE * row_k
    dks = dqs + PIECE * row_k
    asked = dks + PIECE * row_k
    vs = asked + PIECE * row_k
    vT = vs + PIECE * row_v
    dos = vT + PIECE * row_v
    doT = dos + PIECE * row_v
    dvs = doT + PIECE * row_v
    scores = dvs + PIECE * row_v
    identity = scores + 4 * _SQUARE
    faded = identity + 4 * _SQUARE
    d_faded = faded + 4 * _SQUARE
    d_fadedT = d_faded + 4 * _SQUARE
    pairs = d_fadedT + 4 * _SQUARE
    decays = pairs + 4 * _SQUARE
    from_start, to_end = decays + _VECTOR, decays + 2 * _VECTOR
    reads, writes = decays + 3 * _VECTOR, decays + 4 * _VECTOR
    ones = decays + 5 * _VECTOR
    totals = ones + _VECTOR
    gradients = totals + row_k
    stateT = gradients + 4 * heads * size
    gradientT = stateT + 4 * turned
    _identity(identity)
    store(ones, fill_lanes(_ONE))
    for task in range(first, last):
        b, group = task // groups, task % groups
        for h in range(heads):
            _state_in(d_final + 4 * (task * heads + h) * K * V, K, V, gradients + 4 * h * size)
            if step is not None:
                store_float(d_skip + 4 * (task * heads + h), _ZERO)
        for piece in range(pieces - 1, -1, -1):
            start = piece * PIECE
            n = min(PIECE, T - start)
            _gather_piece(q, locate(q, b, start, group), n, K, qs, scale)
            _gather_piece(k, locate(k, b, start, group), n, K, ks, _ONE)
            transpose(qs, row_k, PIECE, K, qT, _VECTOR)
            transpose(ks, row_k, PIECE, K, kT, _VECTOR)
            multiply(qT, _VECTOR, kT, _VECTOR, K, WHOLE, scores, _VECTOR, n, _LANES, _NONE)
            clear(dqs, n * wide_k)
            clear(dks, n * wide_k)
            for h in range(heads):
                head = group * heads + h
                state = between + 4 * ((task * heads + h) * pieces + piece) * size
                gradient = gradients + 4 * h * size
                _gather_driven(v, step, b, start, n, head, V, vs)
                _gather_piece(d_outputs, locate(d_outputs, b, start, head), n, V, dos, _ONE)
                _decays(log_decay, b, start, n, head, K, decays, from_start, to_end, totals)
                transpose(vs, row_v, PIECE, V, vT, _VECTOR)
                transpose(dos, row_v, PIECE, V, doT, _VECTOR)
                transpose(state, row_v, K, V, stateT, row_k)
                transpose(gradient, row_v, K, V, gradientT, row_k)
                multiply(doT, _VECTOR, vT, _VECTOR, V, WHOLE, d_faded, _VECTOR, n, _LANES, _NONE)
                _fade(scores, d_faded, identity, decays, n, faded, pairs)
                transpose(d_faded, _VECTOR, PIECE, _LANES, d_fadedT, _VECTOR)
                # First what comes of the state behind the piece alone: the decays' gradient needs it on its own.
                multiply(kT, _VECTOR, gradient, row_v, K, WHOLE, dvs, row_v, n, V, _NONE)
                _dots(vs, dvs, to_end, n, V, writes)
                multiply(faded, _VECTOR, dos, row_v, n, FROM_ROW, dvs, row_v, n, V, to_end)
                # Likewise what comes of the state before it.
                multiply(doT, _VECTOR, stateT, row_k, V, WHOLE, asked, row_k, n, K, _NONE)
                _dots(qs, asked, from_start, n, K, reads)
                multiply(d_fadedT, _VECTOR, ks, row_k, n, UP_TO_ROW, asked, row_k, n, K, from_start)
                for i in range(0, n * row_k, _VECTOR):
                    store(dqs + i, load_lanes(dqs + i) + load_lanes(asked + i))
                # `dks` adds up over the heads of a group, so that `to_end`, which is of one head, goes to the values.
                for i in range(0, V * _VECTOR, _VECTOR):
                    store(vT + i, load_lanes(vT + i) * load_lanes(to_end))
                multiply(vT, _VECTOR, gradientT, row_k, V, WHOLE, dks, row_k, n, K, ones)
                multiply(d_faded, _VECTOR, qs, row_k, n, FROM_ROW, dks, row_k, n, K, ones)
                carried = load_float(totals) * _dot(state, gradient, size)
                _d_decays(d_decay, b, start, n, head, pairs, identity, reads, writes, carried)
                share = d_skip + 4 * (task * heads + h)
                _d_values(v, step, skip, d_outputs, dv, d_step, share, b, start, n, head, V, dvs)
                _scale_rows(dos, from_start, n, V)
                multiply(qs, row_k, dos, row_v, n, WHOLE, gradient, row_v, K, V, totals)
            scatter(dq, locate(dq, b, start, group), n, K, dqs, scale)
            scatter(dk, locate(dk, b, start, group), n, K, dks, _ONE)
        for h in range(heads):
            _state_out(d_initial + 4 * (task * heads + h) * K * V, K, V, gradients + 4 * h * size)
    release(memory)
