"""Operands and states in a kernel's own order: read from where they lie into dense lanes and tiles, and written back.

Operands are those of `outlast.scan.kernels.operands`. Widths that are no multiple of a tile are filled with zeros in
scratch memory.
"""

from __future__ import annotations

import numpy as np

from outlast.scan.kernels.compiling import helper, kernel
from outlast.scan.kernels.operands import item, put, take
from outlast.scan.kernels.simd import LANES, ROWS, TILE, fill_lanes, load_lanes, load_some, store, store_some

VECTOR, BLOCK = 4 * LANES, 4 * TILE
"""Bytes of lanes, and of a tile."""

_ZERO = np.float32(0)


@kernel
def padded(width):
    """`width` rounded up to whole lanes."""
    return (width + LANES - 1) // LANES * LANES


@helper
def gather(source, place, count, width, target, factor):
    """`count` positions of an operand times `factor` into dense lanes, zeros behind `width`."""
    step = source[2]
    row = 4 * padded(width)
    for t in range(count):
        for i in range(0, width, LANES):
            x = take(source, place + t * step + item(source) * i, width - i)
            store(target + t * row + 4 * i, x * fill_lanes(factor))


@helper
def scatter(target, place, count, width, source, factor):
    """The inverse of `gather`."""
    step = target[2]
    row = 4 * padded(width)
    for t in range(count):
        for i in range(0, width, LANES):
            x = load_lanes(source + t * row + 4 * i) * fill_lanes(factor)
            put(target, place + t * step + item(target) * i, width - i, x)


@helper
def clear(target, count):
    """Zeros for `count` numbers, rounded up to whole lanes."""
    for i in range(0, count, LANES):
        store(target + 4 * i, fill_lanes(_ZERO))


@helper
def state_in(source, K, V, target):
    """A dense (K, V) state into tiles, of which all that hold the same values lie together."""
    for i in range(0, V, LANES):
        for k in range(0, K, ROWS):
            for row in range(ROWS):
                x = fill_lanes(_ZERO)
                if k + row < K:
                    x = load_some(source + 4 * ((k + row) * V + i), V - i)
                store(target, x)
                target += VECTOR


@helper
def state_out(source, K, V, target):
    """The inverse of `state_in`."""
    for i in range(0, V, LANES):
        for k in range(0, K, ROWS):
            for row in range(ROWS):
                if k + row < K:
                    store_some(target + 4 * ((k + row) * V + i), V - i, load_lanes(source))
                source += VECTOR


@kernel
def tiled(K, V):
    """Numbers in a state's tiles."""
    return (K + ROWS - 1) // ROWS * ROWS * padded(V)
