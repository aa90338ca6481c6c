"""Operands: where tensors lie, how they are read and written, and their dense lanes in a kernel's own order."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

from outlast.scan.kernels.compiling import helper, kernel
from outlast.scan.kernels.simd import (
    LANES,
    ROWS,
    TILE,
    Lanes,
    bytes_of,
    fill_lanes,
    intrinsic,
    load_lanes,
    load_some,
    read_some,
    store,
    store_some,
    write_some,
)

# Operands: where tensors lie, and how numbers are read from them and written to them, each in its own precision.
#
# An operand is (address, bytes from row to row, from position to position, from head to head); its last axis is
# dense. Its numbers are float32, or bfloat16 where a fifth number follows. Kernels compute in float32: a bfloat16
# number is read as it is, and the nearest one is written. Which of the two it is belongs to the type of an operand,
# so that a kernel is compiled for each and nothing is asked at run time.

_F32, _I16, _I32, _I64 = ir.FloatType(), ir.IntType(16), ir.IntType(32), ir.IntType(64)


def _number(operand: Any) -> Any:
    """The type of the numbers in an operand of this type: bits of bfloat16, or float32."""
    return _I16 if len(operand) == 5 else _F32


def _like(x: Any, number: Any) -> Any:
    """The type of `number`s of which there are as many as in x."""
    return ir.VectorType(number, x.type.count) if isinstance(x.type, ir.VectorType) else number


def _each(kind: Any, value: int) -> ir.Constant:
    """The same whole number in every place of a type."""
    return ir.Constant(kind, [value] * kind.count if isinstance(kind, ir.VectorType) else value)


def _widened(builder: Any, x: Any) -> Any:
    """float32 as they are, or of the bits of bfloat16 numbers."""
    if x.type == _like(x, _F32):
        return x
    bits = _like(x, _I32)
    return builder.bitcast(builder.shl(builder.zext(x, bits), _each(bits, 16)), _like(x, _F32))


def _narrowed(builder: Any, x: Any, number: Any) -> Any:
    """float32 as they are, or the bits of the nearest bfloat16 (the even one of two); what is no number stays none."""
    if number == _F32:
        return x
    whole = _like(x, _I32)
    bits = builder.bitcast(x, whole)
    odd = builder.and_(builder.lshr(bits, _each(whole, 16)), _each(whole, 1))
    nearest = builder.add(bits, builder.add(odd, _each(whole, 0x7FFF)))
    none = builder.or_(bits, _each(whole, 0x400000))
    chosen = builder.select(builder.fcmp_unordered("uno", x, x), none, nearest)
    return builder.trunc(builder.lshr(chosen, _each(whole, 16)), _like(x, _I16))


@intrinsic
def item(typing, operand):
    """Bytes of one number of an operand."""

    def code(context, builder, signature, args):
        return ir.Constant(_I64, bytes_of(_number(operand)))

    return types.int64(operand), code


@intrinsic
def take(typing, operand, address, count):
    """The first `count` of the numbers from an address inside an operand on: lanes, the others 0."""

    def code(context, builder, signature, args):
        return _widened(builder, read_some(builder, _number(operand), *args[1:]))

    return Lanes(operand, types.int64, types.int64), code


@intrinsic
def put(typing, operand, address, count, value):
    """Write the first `count` lanes to an address inside an operand."""

    def code(context, builder, signature, args):
        write_some(builder, args[1], args[2], _narrowed(builder, args[3], _number(operand)))
        return context.get_dummy_value()

    return types.none(operand, types.int64, types.int64, Lanes), code


@intrinsic
def take_number(typing, operand, address):
    """The number at an address inside an operand: float32."""

    def code(context, builder, signature, args):
        number = _number(operand)
        pointer = builder.inttoptr(args[1], number.as_pointer())
        return _widened(builder, builder.load(pointer, align=bytes_of(number)))

    return types.float32(operand, types.int64), code


@intrinsic
def put_number(typing, operand, address, value):
    """Write a float32 number to an address inside an operand."""

    def code(context, builder, signature, args):
        number = _number(operand)
        pointer = builder.inttoptr(args[1], number.as_pointer())
        builder.store(_narrowed(builder, args[2], number), pointer, align=bytes_of(number))
        return context.get_dummy_value()

    return types.none(operand, types.int64, types.float32), code


@helper
def locate(operand, b, t, h):
    """Address of the last axis of an operand at row b, position t and head h."""
    return operand[0] + b * operand[1] + t * operand[2] + h * operand[3]


@intrinsic
def _prefetch(typing, address):
    def code(context, builder, signature, args):
        kind = ir.FunctionType(ir.VoidType(), [ir.PointerType(), _I32, _I32, _I32])
        call = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        read, everywhere, data = (ir.Constant(_I32, number) for number in (0, 3, 1))
        builder.call(call, [builder.inttoptr(args[0], ir.PointerType()), read, everywhere, data])
        return context.get_dummy_value()

    return types.none(types.int64), code


@helper
def prefetch(operand, address, width):
    """Ask for `width` numbers of an operand before they are needed; what is no memory of ours is not touched."""
    for i in range(0, item(operand) * width, 64):
        _prefetch(address + i)


# Operands and states in a kernel's own order: read from where they lie into dense lanes and tiles, and written back.
#
# Operands are those of `outlast.scan.kernels.operands`. Widths that are no multiple of a tile are filled with zeros
# in scratch memory.

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
