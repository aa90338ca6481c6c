"""Operands and states in a kernel's own order: read from where they lie into dense lanes and tiles, and written back.

An operand is (address, bytes from row to row, from position to position, from head to head); its last axis is dense.
Widths that are no multiple of a tile are filled with zeros in scratch memory.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

from outlast.scan.kernels.compiling import kernel
from outlast.scan.kernels.simd import LANES, ROWS, TILE, fill_lanes, intrinsic, load_lanes, load_some, store, store_some

VECTOR, BLOCK = 4 * LANES, 4 * TILE
"""Bytes of lanes, and of a tile."""

_ZERO = np.float32(0)
_I32 = ir.IntType(32)


@intrinsic
def _prefetch(typing, address):
    def code(context, builder, signature, args):
        kind = ir.FunctionType(ir.VoidType(), [ir.PointerType(), _I32, _I32, _I32])
        call = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        read, everywhere, data = (ir.Constant(_I32, number) for number in (0, 3, 1))
        builder.call(call, [builder.inttoptr(args[0], ir.PointerType()), read, everywhere, data])
        return context.get_dummy_value()

    return types.none(types.int64), code


@kernel
def prefetch(address, width):
    """Ask for `width` numbers before they are needed; what is no memory of ours is not touched."""
    for i in range(0, 4 * width, 64):
        _prefetch(address + i)


@kernel
def padded(width):
    """`width` rounded up to whole lanes."""
    return (width + LANES - 1) // LANES * LANES


@kernel
def gather(source, place, count, width, target, factor):
    """`count` positions of an operand times `factor` into dense lanes, zeros behind `width`."""
    _, _, step, _ = source
    row = 4 * padded(width)
    for t in range(count):
        for i in range(0, width, LANES):
            x = load_some(place + t * step + 4 * i, width - i)
            store(target + t * row + 4 * i, x * fill_lanes(factor))


@kernel
def scatter(target, place, count, width, source, factor):
    """The inverse of `gather`."""
    _, _, step, _ = target
    row = 4 * padded(width)
    for t in range(count):
        for i in range(0, width, LANES):
            x = load_lanes(source + t * row + 4 * i) * fill_lanes(factor)
            store_some(place + t * step + 4 * i, width - i, x)


@kernel
def clear(target, count):
    """Zeros for `count` numbers, rounded up to whole lanes."""
    for i in range(0, count, LANES):
        store(target + 4 * i, fill_lanes(_ZERO))


@kernel
def locate(operand, b, t, h):
    """Address of the last axis of an operand at row b, position t and head h."""
    address, row, step, head = operand
    return address + b * row + t * step + h * head


@kernel
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


@kernel
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
