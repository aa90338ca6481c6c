"""Ways in which files are damaged, or written by something that means another thing by them: each one seeded."""

from __future__ import annotations

import copy
import gzip
import io
import json
import random
import zipfile
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet

ODD_CELLS = [
    "", "nan", "inf", "-inf", "1e200", "-1e39", "1e30", "1e-320", "9007199254740993", "18446744073709551616", "0x10",
    "1,5", '"', '""', "'", "\x00", "\ufeff", "é", "true", "2010-03-04", "9999-12-31T23:59:59Z", "x" * 5000, "\n", ";",
]  # fmt: skip
ODD_VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 2, 10**6, 2**31, 2**40, 2**63, -(2**63), 10**30, 0.5, -0.0, 1e-320, 1e308,
    float("inf"), float("-inf"), float("nan"), "", "x", "../x", "/abs", "x" * 3000, [], {}, [None], [[]],
    {"a": {"b": []}}, [1, 2, 3], [-1, -2],
]  # fmt: skip
ODD_WORDS = ["1e999", "9" * 5000, "[" * 3000, '{"a":' * 3000, "NaN", "-", "tru", '"\\ud800"', "00", "0x1"]


def bytes_of(content: bytes, draw: random.Random) -> bytes:
    """A few bytes changed, put in, taken out or doubled; or the end cut off."""
    made = bytearray(content)
    for _ in range(draw.choice([1, 1, 2, 8, 64])):
        at = draw.randrange(len(made) + 1)
        size = draw.choice([1, 1, 2, 4, 8, 100])
        match draw.randrange(6):
            case 0:
                made[at : at + size] = draw.randbytes(len(made[at : at + size]))
            case 1:
                made[at:at] = draw.randbytes(size)
            case 2:
                del made[at : at + size]
            case 3:
                made[at:at] = made[at : at + size]
            case 4:
                made[at : at + size] = draw.choice([b"\x00", b"\xff"]) * len(made[at : at + size])
            case _:
                del made[at:]
    return bytes(made)


def head_of(content: bytes, draw: random.Random, size: int = 128) -> bytes:
    """Changes in the first bytes alone, where formats keep sizes and types."""
    return bytes_of(content[:size], draw) + content[size:]


def csv(text: str, draw: random.Random) -> bytes:
    """Cells that are something else, rows of other lengths; or bytes changed."""
    if draw.random() < 0.3:
        return bytes_of(text.encode(), draw)
    rows = [line.split(",") for line in text.splitlines()]
    for _ in range(draw.choice([1, 1, 3, 40])):
        row = rows[draw.choice([0, draw.randrange(len(rows))])]
        match draw.randrange(5):
            case 0 if row:
                del row[draw.randrange(len(row))]
            case 1:
                row.append(draw.choice(ODD_CELLS))
            case _ if row:
                row[draw.randrange(len(row))] = draw.choice(ODD_CELLS)
    if draw.random() < 0.2:  # a whole column
        place, cell = draw.randrange(len(rows[0]) or 1), draw.choice(ODD_CELLS)
        rows = [rows[0], *([*row[:place], cell, *row[place + 1 :]] for row in rows[1:])]
    return "\n".join(map(",".join, rows)).encode()


def json_of(record: Any, draw: random.Random) -> bytes:
    """Values that are something else, fields taken out, put in or moved; or the text damaged."""
    if draw.random() < 0.2:
        return bytes_of(json.dumps(record).encode(), draw)
    made, marks = copy.deepcopy(record), {}
    for number in range(draw.choice([1, 1, 1, 2, 5])):
        holders = list(_holders(made))
        holder = draw.choice(holders)
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        key = draw.choice(keys)
        match draw.randrange(6):
            case 0:
                del holder[key]
                if made == type(made)():
                    return b"{}"
            case 1:
                other = draw.choice(holders)
                holder[key] = copy.deepcopy(other)
            case 2:
                holder[key] = mark = f"mark {number}"
                marks[json.dumps(mark)] = draw.choice(ODD_WORDS)
            case 3 if isinstance(holder[key], int | float) and not isinstance(holder[key], bool):
                holder[key] = draw.choice([-holder[key], holder[key] * 1000, holder[key] + 1, holder[key] / 3])
            case _:
                holder[key] = copy.deepcopy(draw.choice(ODD_VALUES))
    text = json.dumps(made)
    for mark, word in marks.items():
        text = text.replace(mark, word)
    return text.encode()


def json_lines(records: list[dict[str, Any]], draw: random.Random) -> bytes:
    """Lines that are something else; or bytes changed."""
    lines = [json.dumps(record).encode() for record in records]
    if draw.random() < 0.3:
        return bytes_of(b"\n".join(lines), draw)
    for _ in range(draw.choice([1, 1, 3, 40])):
        at = draw.randrange(len(lines))
        lines[at] = json_of(records[at], draw)
    return b"\n".join(lines)


def packed(content: bytes, draw: random.Random) -> bytes:
    """By gzip, and then perhaps with bytes changed."""
    made = gzip.compress(content, mtime=0)
    return bytes_of(made, draw) if draw.random() < 0.6 else made


def npz(arrays: dict[str, np.ndarray], draw: random.Random) -> bytes:
    """An archive with an array that is changed, missing or named otherwise; or bytes changed."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        changed = draw.choice(list(arrays))
        for name, array in arrays.items():
            if name == changed and draw.random() < 0.2:
                continue
            whole = io.BytesIO()
            np.save(whole, array)
            content = npy(array, draw) if name == changed else whole.getvalue()
            archive.writestr(f"{draw.choice([name] * 9 + ['odd'])}.npy", content)
    content = file.getvalue()
    return bytes_of(content, draw) if draw.random() < 0.3 else content


def toml(text: str, draw: random.Random) -> bytes:
    """Lines taken out, doubled or with another value; or bytes changed."""
    if draw.random() < 0.3:
        return bytes_of(text.encode(), draw)
    lines = text.splitlines()
    for _ in range(draw.choice([1, 1, 2])):
        at = draw.randrange(len(lines))
        key, equals, _ = lines[at].partition("=")
        match draw.randrange(5):
            case 0:
                del lines[at]
            case 1:
                lines.insert(at, lines[draw.randrange(len(lines))])
            case _ if equals:
                odd = ["nan", "inf", "-1", "0", "1e400", '""', '"../x"', '"/abs"', "[]", "{}", "[nan]", "[-1]", "[1.5]"]
                odd += ["true", "9" * 40, '"x"', "[[[[1]]]]", "[" * 3000, "{ a = 1 }", "2010-03-04", "[[]]"]
                lines[at] = f"{key}= {draw.choice(odd)}"
    return "\n".join(lines).encode()


def table(columns: dict[str, Any]) -> bytes:
    """A Parquet file."""
    file = io.BytesIO()
    pyarrow.parquet.write_table(pa.table(columns), file)
    return file.getvalue()


def parquet(columns: dict[str, np.ndarray], draw: random.Random) -> bytes:
    """Columns of another type; or bytes changed."""
    rows = len(next(iter(columns.values())))
    odd = [
        pa.array([[1.0, 2.0]] * rows),
        pa.array([{"x": 1}] * rows),
        pa.array([b"x"] * rows),
        pa.array(np.arange(rows) + 2**60),
        pa.array(np.full(rows, 2**64 - 1, np.uint64)),
        pa.array(np.arange(rows), pa.timestamp("ns")),
        pa.array(np.arange(rows), pa.duration("us")),
        pa.array(["x", None] * (rows // 2) + [None] * (rows % 2)),
        pa.array(["x"] * rows, pa.string_view()),
        pa.array(["x"] * rows).dictionary_encode(),
        pa.array([True] * rows),
        pa.nulls(rows),
        pa.array(np.full(rows, np.nan)),
        pa.array(np.zeros(rows, np.float16)),
        pa.array([[("x", 1)]] * rows, pa.map_(pa.string(), pa.int64())),
        pa.array([10**40] * rows, pa.decimal256(60)),
    ]
    made: dict[str, Any] = dict(columns)
    if draw.random() < 0.6:
        made[draw.choice([*made, "extra"])] = draw.choice(odd)
    if draw.random() < 0.3:
        name = draw.choice(list(columns))
        changed = columns[name].copy()
        changed[draw.randrange(rows)] = draw.choice([np.nan, np.inf, 1e200, -1e39, 1e30, 1e-320])
        made[name] = changed
    content = table(made)
    return bytes_of(content, draw) if draw.random() < 0.4 else content


def npy(array: np.ndarray, draw: random.Random) -> bytes:
    """Values, types and shapes that are something else; or a damaged header, or bytes changed."""
    made = array.copy()
    match draw.randrange(6):
        case 0:
            kinds = ["?", "<i8", "<u8", ">i4", "<f2", "<f8", "<c8", "<M8[s]", "U3", "V4", "O", "<f16"]
            made = made.astype(draw.choice(kinds))
        case 1:
            sizes = [(-1,), (1, -1), (-1, 1), (len(made), -1), (-1, 1, 1)]
            made = made.reshape(draw.choice(sizes))[: draw.choice([0, 1, 7, None])]
        case 2:
            with np.errstate(over="ignore", invalid="ignore"):
                odd = [-1, 2**31, 2**40, 2**63 - 1] if made.dtype.kind == "i" else [np.nan, np.inf, 1e200, 1e30]
                made = made.astype("<i8" if made.dtype.kind == "i" else draw.choice(["<f4", "<f8"]))
                made.reshape(-1)[draw.randrange(made.size)] = draw.choice(odd)
        case 3:
            made = np.asfortranarray(made)
    file = io.BytesIO()
    np.save(file, made, allow_pickle=True)
    content = file.getvalue()
    match draw.randrange(4):
        case 0:
            return head_of(content, draw)
        case 1:
            shape = draw.choice(
                [b"(99999999999,)", b"(-1, 5)", b"((((1,", b"(4611686018427387904, 4)", b"()", b"None", b"1"]
            )
            start, end = content.index(b"'shape': ") + 9, content.index(b"}")
            filled = (shape + b", }").ljust(end + 1 - start)
            return content[:start] + filled + content[end + 1 :]
        case 2:
            return bytes_of(content, draw)
    return content


def _holders(value: Any) -> list[Any]:
    """Every list and record with something in it."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    found = [value] if inner else []
    return [*found, *(holder for each in inner for holder in _holders(each))]
