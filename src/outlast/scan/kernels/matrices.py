"""Small dense matrices in memory inside numba: products and transposes, out of tiles that stay in registers.

A matrix is an address and the bytes from row to row. Rows are filled up to whole `LANES` and there are whole `ROWS` of
them, all of which may be read and written.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from outlast.scan.kernels.compiling import helper
from outlast.scan.kernels.simd import (
    LANES,
    ROWS,
    Tile,
    across,
    down,
    fill_tile,
    intrinsic,
    joined,
    load_lanes,
    row_of,
    shuffle,
)

WHOLE, UP_TO_ROW, FROM_ROW = np.int64(0), np.int64(1), np.int64(2)
"""What of the sum counts for the i-th row of a product: all; the first i + 1 terms; those from the i-th on."""

_F32, _I64 = ir.FloatType(), ir.IntType(64)


def _vectors(builder: Any, address: Any, step: Any, size: int) -> list[Any]:
    """Pointers to 8 vectors of `size` numbers, `step` bytes apart."""
    kind = ir.VectorType(_F32, size).as_pointer()
    return [
        builder.inttoptr(builder.add(address, builder.mul(step, ir.Constant(_I64, row))), kind) for row in range(ROWS)
    ]


@intrinsic
def load_apart(typing, address, step):
    """A tile whose rows are `step` bytes apart."""

    def code(context, builder, signature, args):
        pointers = _vectors(builder, args[0], args[1], LANES)
        return joined(builder, [builder.load(pointer, align=4) for pointer in pointers])

    return Tile(types.int64, types.int64), code


@intrinsic
def store_apart(typing, address, step, tile):
    """Write the rows of a tile `step` bytes apart."""

    def code(context, builder, signature, args):
        for row, pointer in enumerate(_vectors(builder, args[0], args[1], LANES)):
            builder.store(row_of(builder, args[2], row), pointer, align=4)
        return context.get_dummy_value()

    return types.none(types.int64, types.int64, Tile), code


@intrinsic
def _transpose_block(typing, source, source_step, target, target_step):
    """8 × 8 numbers. Three perfect shuffles of all 64 exchange the index of the row with that of the column."""

    def code(context, builder, signature, args):
        rows = [builder.load(pointer, align=4) for pointer in _vectors(builder, args[0], args[1], ROWS)]
        half = ROWS // 2
        orders = [[side * half + i // 2 + i % 2 * ROWS for i in range(ROWS)] for side in (0, 1)]
        for _ in range(3):
            rows = [shuffle(builder, rows[i], rows[i + half], order) for i in range(half) for order in orders]
        for row, pointer in zip(rows, _vectors(builder, args[2], args[3], ROWS), strict=True):
            builder.store(row, pointer, align=4)
        return context.get_dummy_value()

    return types.none(types.int64, types.int64, types.int64, types.int64), code


@helper
def transpose(source, source_step, rows, columns, target, target_step):
    """target[j, i] ← source[i, j]; rows and columns of the source are rounded up to whole blocks."""
    for i in range(0, rows, ROWS):
        for j in range(0, columns, ROWS):
            _transpose_block(
                source + i * source_step + 4 * j, source_step, target + j * target_step + 4 * i, target_step
            )


@helper
def multiply(a, a_step, b, b_step, count, span, target, target_step, rows, columns, factors):
    """target[i, j] ← factors[i] · target[i, j] + Σ_{n < count} a[n, i] b[n, j].

    Args:
        span: WHOLE, UP_TO_ROW or FROM_ROW; the latter two where a[n, i] is 0 for all other n.
        rows, columns: of the target; rounded up to whole tiles.
        factors: address of a number a row; 0 where the target starts from zero.
    """
    for i in range(0, rows, ROWS):
        begin = i if span == FROM_ROW else 0
        end = min(count, i + ROWS) if span == UP_TO_ROW else count
        for j in range(0, 4 * columns, 4 * LANES):
            place = target + i * target_step + j
            tile = fill_tile(np.float32(0))
            if factors:
                tile = load_apart(place, target_step) * across(factors + 4 * i)
            for n in range(begin, end):
                tile = tile + across(a + n * a_step + 4 * i) * down(load_lanes(b + n * b_step + j))
            store_apart(place, target_step, tile)
