"""Values of several float32 lanes inside numba: written once, and LLVM makes of them what the processor has.

Three shapes: `Rows` (8 numbers), `Lanes` (32 numbers), `Tile` (8 rows × 32 lanes, on AVX-512 sixteen registers). They
have +, −, * and /, and any product may be fused with a sum. No other liberty is taken with floating point: an infinity
stays an infinity, and what is not a number stays so.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from llvmlite import ir
from numba import extending, njit, types
from numba.core import cgutils
from numba.extending import models, register_model

intrinsic: Any = extending.intrinsic

ROWS, LANES = 8, 32
TILE = ROWS * LANES
_FUSE = ("contract",)
_F32, _I32, _I64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)


class VectorType(types.Type):
    """`size` float32 numbers that are one value."""

    def __init__(self, size: int) -> None:
        self.size = size
        super().__init__(name=f"float32x{size}")


@register_model(VectorType)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: VectorType) -> None:
        super().__init__(manager, kind, ir.VectorType(_F32, kind.size))


Rows, Lanes, Tile = VectorType(ROWS), VectorType(LANES), VectorType(TILE)


def _constant(size: int, value: float) -> ir.Constant:
    return ir.Constant(ir.VectorType(_F32, size), [float(value)] * size)


def shuffle(builder: Any, x: Any, y: Any, order: list[int]) -> Any:
    return builder.shuffle_vector(x, y, ir.Constant(ir.VectorType(_I32, len(order)), order))


def _splat(builder: Any, scalar: Any, size: int) -> Any:
    vector = ir.VectorType(scalar.type, size)
    undefined = ir.Constant(vector, ir.Undefined)
    one = builder.insert_element(undefined, scalar, ir.Constant(_I32, 0))
    return shuffle(builder, one, undefined, [0] * size)


def row_of(builder: Any, tile: Any, row: int) -> Any:
    return shuffle(builder, tile, tile, list(range(row * LANES, (row + 1) * LANES)))


def joined(builder: Any, parts: list[Any]) -> Any:
    """Vectors of one size, end to end."""
    while len(parts) > 1:
        size = parts[0].type.count
        parts = [shuffle(builder, a, b, list(range(2 * size))) for a, b in zip(parts[::2], parts[1::2], strict=True)]
    return parts[0]


def _fma(builder: Any, x: Any, y: Any, z: Any) -> Any:
    return builder.fadd(builder.fmul(x, y, flags=_FUSE), z, flags=_FUSE)


def _pointer(builder: Any, address: Any, kind: Any) -> Any:
    return builder.inttoptr(address, kind.as_pointer())


def _elementwise(name: str, symbol: Any) -> None:
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return getattr(builder, name)(*args, flags=_FUSE)

    @extending.type_callable(symbol)
    def operation(context: Any) -> Any:
        return lambda x, y: x if isinstance(x, VectorType) and x == y else None

    for kind in (Rows, Lanes, Tile):
        extending.lower_builtin(symbol, kind, kind)(code)


for _name, _symbol in (
    ("fadd", operator.add),
    ("fsub", operator.sub),
    ("fmul", operator.mul),
    ("fdiv", operator.truediv),
):
    _elementwise(_name, _symbol)


def _loader(kind: VectorType) -> Any:
    vector = ir.VectorType(_F32, kind.size)

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(_pointer(builder, args[0], vector), align=4)

    @intrinsic
    def load(typing: Any, address: Any) -> Any:
        return kind(types.int64), code

    return load


load_rows, load_lanes, load_tile = _loader(Rows), _loader(Lanes), _loader(Tile)


@intrinsic
def store(typing, address, value):
    """Write a value of any shape to an address."""

    def code(context, builder, signature, args):
        builder.store(args[1], _pointer(builder, args[0], args[1].type), align=4)
        return context.get_dummy_value()

    return types.none(types.int64, value), code


@intrinsic
def load_float(typing, address):
    """The number at an address."""

    def code(context, builder, signature, args):
        return builder.load(_pointer(builder, args[0], _F32), align=4)

    return types.float32(types.int64), code


@intrinsic
def store_float(typing, address, value):
    """Write one number to an address."""

    def code(context, builder, signature, args):
        builder.store(args[1], _pointer(builder, args[0], _F32), align=4)
        return context.get_dummy_value()

    return types.none(types.int64, types.float32), code


def _first(builder: Any, count: Any) -> Any:
    """Which of the lanes are among the first `count`."""
    numbers = ir.Constant(ir.VectorType(_I64, LANES), list(range(LANES)))
    return builder.icmp_signed("<", numbers, _splat(builder, count, LANES))


_MASK = ir.VectorType(ir.IntType(1), LANES)


def read_some(builder: Any, number: Any, address: Any, count: Any) -> Any:
    """Lanes of `number`s: the first `count` from an address, the others 0; nothing behind them is touched."""
    vector = ir.VectorType(number, LANES)
    kind = ir.FunctionType(vector, [ir.PointerType(), _I32, _MASK, vector])
    load = cgutils.get_or_insert_function(builder.module, kind, f"llvm.masked.load.v{LANES}{_called(number)}.p0")
    pointer, align = builder.inttoptr(address, ir.PointerType()), ir.Constant(_I32, bytes_of(number))
    return builder.call(load, [pointer, align, _first(builder, count), vector(None)])


def write_some(builder: Any, address: Any, count: Any, value: Any) -> None:
    """Write the first `count` lanes to an address."""
    number = value.type.element
    kind = ir.FunctionType(ir.VoidType(), [value.type, ir.PointerType(), _I32, _MASK])
    write = cgutils.get_or_insert_function(builder.module, kind, f"llvm.masked.store.v{LANES}{_called(number)}.p0")
    pointer, align = builder.inttoptr(address, ir.PointerType()), ir.Constant(_I32, bytes_of(number))
    builder.call(write, [value, pointer, align, _first(builder, count)])


def _called(number: Any) -> str:
    """How LLVM's own functions call a type of numbers."""
    return "f32" if number == _F32 else f"i{number.width}"


def bytes_of(number: Any) -> int:
    """How many a number of this type takes."""
    return 4 if number == _F32 else number.width // 8


@intrinsic
def load_some(typing, address, count):
    """The first `count` lanes from an address, the others 0; nothing behind them is touched."""

    def code(context, builder, signature, args):
        return read_some(builder, _F32, *args)

    return Lanes(types.int64, types.int64), code


@intrinsic
def store_some(typing, address, count, value):
    """Write the first `count` lanes to an address."""

    def code(context, builder, signature, args):
        write_some(builder, *args)
        return context.get_dummy_value()

    return types.none(types.int64, types.int64, Lanes), code


@intrinsic
def store_some_rows(typing, address, count, value):
    """Write the first `count` of 8 numbers to an address."""

    def code(context, builder, signature, args):
        mask_type, vector = ir.VectorType(ir.IntType(1), ROWS), ir.VectorType(_F32, ROWS)
        kind = ir.FunctionType(ir.VoidType(), [vector, ir.PointerType(), _I32, mask_type])
        write = cgutils.get_or_insert_function(builder.module, kind, f"llvm.masked.store.v{ROWS}f32.p0")
        numbers = ir.Constant(ir.VectorType(_I64, ROWS), list(range(ROWS)))
        mask = builder.icmp_signed("<", numbers, _splat(builder, args[1], ROWS))
        builder.call(write, [args[2], builder.inttoptr(args[0], ir.PointerType()), ir.Constant(_I32, 4), mask])
        return context.get_dummy_value()

    return types.none(types.int64, types.int64, Rows), code


def _filler(kind: VectorType) -> Any:
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _splat(builder, args[0], kind.size)

    @intrinsic
    def fill(typing: Any, number: Any) -> Any:
        return kind(types.float32), code

    return fill


fill_rows, fill_lanes, fill_tile = _filler(Rows), _filler(Lanes), _filler(Tile)


@intrinsic
def across(typing, address):
    """A tile whose row i holds the i-th of the 8 numbers at an address in every lane."""

    def code(context, builder, signature, args):
        pointer = _pointer(builder, args[0], _F32)
        numbers = [builder.load(builder.gep(pointer, [ir.Constant(_I64, i)]), align=4) for i in range(ROWS)]
        return joined(builder, [_splat(builder, number, LANES) for number in numbers])

    return Tile(types.int64), code


@intrinsic
def down(typing, lanes):
    """A tile each of whose rows is `lanes`."""

    def code(context, builder, signature, args):
        return shuffle(builder, args[0], args[0], list(range(LANES)) * ROWS)

    return Tile(Lanes), code


@intrinsic
def plus_rows(typing, total, x, y):
    """total + Σ_i x_i y_i over the rows of two tiles: lanes."""

    def code(context, builder, signature, args):
        total, x, y = args
        odd = builder.fmul(row_of(builder, x, 1), row_of(builder, y, 1), flags=_FUSE)
        for row in range(0, ROWS, 2):
            total = _fma(builder, row_of(builder, x, row), row_of(builder, y, row), total)
        for row in range(3, ROWS, 2):
            odd = _fma(builder, row_of(builder, x, row), row_of(builder, y, row), odd)
        return builder.fadd(total, odd, flags=_FUSE)

    return Lanes(Lanes, Tile, Tile), code


def _halves(builder: Any, lanes: Any) -> tuple[Any, Any]:
    half = LANES // 2
    return shuffle(builder, lanes, lanes, list(range(half))), shuffle(builder, lanes, lanes, list(range(half, LANES)))


def _row_sums(builder: Any, halves: list[Any]) -> Any:
    """The sum of each of 8 half rows."""
    x = joined(builder, halves)
    while x.type.count > ROWS:
        even, odd = (shuffle(builder, x, x, list(range(i, x.type.count, 2))) for i in (0, 1))
        x = builder.fadd(even, odd, flags=_FUSE)
    return x


@intrinsic
def sum_lanes(typing, tile):
    """Sum over the lanes of each row: 8 numbers."""

    def code(context, builder, signature, args):
        pairs = [_halves(builder, row_of(builder, args[0], row)) for row in range(ROWS)]
        # Where the tile is a product, it is that of the first summand which is fused.
        return _row_sums(builder, [builder.fadd(second, first, flags=_FUSE) for first, second in pairs])

    return Rows(Tile), code


@intrinsic
def dot_lanes(typing, tile, lanes):
    """The product of a tile with a vector: of each row, the sum over its lanes times `lanes`."""

    def code(context, builder, signature, args):
        tile, (low, high) = args[0], _halves(builder, args[1])
        sums = []
        for row in range(ROWS):
            first, second = _halves(builder, row_of(builder, tile, row))
            sums.append(_fma(builder, first, low, builder.fmul(second, high, flags=_FUSE)))
        return _row_sums(builder, sums)

    return Rows(Tile, Lanes), code


@intrinsic
def total(typing, x):
    """Sum of all numbers of a value."""

    def code(context, builder, signature, args):
        x = args[0]
        while x.type.count > 1:
            half = x.type.count // 2
            low, high = (shuffle(builder, x, x, list(range(i, i + half))) for i in (0, half))
            x = builder.fadd(low, high, flags=_FUSE)
        return builder.extract_element(x, ir.Constant(_I32, 0))

    return types.float32(x), code


_ROUND = 12582912.0
"""1.5 · 2^23: adding it leaves the nearest whole number in the low bits."""

_POWERS = (0.00015403530, 0.0013333558, 0.0096181291, 0.055504109, 0.24022651, 0.69314718, 1.0)
"""2^f = Σ (f ln 2)^n / n! for |f| ≤ 1/2, to 2e-7."""


def _power_of_two(builder: Any, x: Any, bounded: bool) -> Any:
    """2^x, exactly 0 below −126, at most 2^127 where `bounded`, and not a number where x is not."""
    size = x.type.count
    whole = ir.VectorType(_I32, size)
    low = builder.fcmp_ordered("<", x, _constant(size, -126))
    inside = builder.select(low, _constant(size, -126), x)
    if bounded:
        high = builder.fcmp_ordered(">", inside, _constant(size, 127))
        inside = builder.select(high, _constant(size, 127), inside)
    shifted = builder.fadd(inside, _constant(size, _ROUND))
    fraction = builder.fsub(inside, builder.fsub(shifted, _constant(size, _ROUND)))
    value = _constant(size, _POWERS[0])
    for power in _POWERS[1:]:
        value = _fma(builder, value, fraction, _constant(size, power))
    exponent = builder.add(builder.bitcast(shifted, whole), ir.Constant(whole, [127] * size))
    scale = builder.bitcast(builder.shl(exponent, ir.Constant(whole, [23] * size)), x.type)
    return builder.select(low, _constant(size, 0), builder.fmul(value, scale))


@intrinsic
def power_of_two(typing, x):
    """2^x, to 2e-7; exactly 0 below −126, and never more than 2^127."""

    def code(context, builder, signature, args):
        return _power_of_two(builder, args[0], True)

    return x(x), code


@intrinsic
def power_of_two_below(typing, x):
    """`power_of_two` for x below 127."""

    def code(context, builder, signature, args):
        return _power_of_two(builder, args[0], False)

    return x(x), code


@intrinsic
def larger(typing, x, y):
    """The larger of each pair; x where it is not a number."""

    def code(context, builder, signature, args):
        return builder.select(builder.fcmp_ordered("<", args[0], args[1]), args[1], args[0])

    return x(x, x), code


_compiled: Any = njit

LOG2_E = np.float32(1.4426950408889634)


@_compiled(inline="always")
def exponential(x):
    """e^x, to 1e-6 where the result is not tiny; exactly 0 below −87."""
    return power_of_two(x * fill_lanes(LOG2_E))


@intrinsic
def _allocate(typing, size):
    def code(context, builder, signature, args):
        return builder.ptrtoint(context.nrt.allocate(builder, args[0]), _I64)

    return types.int64(types.int64), code


@intrinsic
def release(typing, memory):
    """Give `scratch` memory back: at the end of a kernel, which reads and writes it by its address alone."""

    def code(context, builder, signature, args):
        context.nrt.free(builder, builder.inttoptr(args[0], cgutils.voidptr_t))
        return context.get_dummy_value()

    return types.none(types.int64), code


@_compiled(inline="always")
def scratch(count):
    """Uninitialised memory for `count` float32 numbers from `aligned` on, to be given to `release`."""
    return _allocate(np.int64(4 * count + 64))


@_compiled(inline="always")
def aligned(memory):
    """Address of the first cache line in `scratch` memory."""
    return (memory + 63) & ~63
