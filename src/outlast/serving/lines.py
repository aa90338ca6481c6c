"""Rows as lines of JSON in, forecasts as lines of JSON out."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from outlast.errors import InputError, type_name
from outlast.results import finite_or_null
from outlast.serving.deployed import Deployed
from outlast.serving.rows import RowError

_AT_ONCE = 1 << 16
"""Bytes that are taken from the input at most before they are answered."""


def answer(
    deployed: Deployed, source: int, out: TextIO, state: Path | None, every: int, *, skip: bool = False
) -> tuple[int, int]:
    """Answer every line that comes in, until the input ends; returns how many rows were read, and how many left out.

    What has arrived is read side by side, stream by stream, and answered in the order in which it came.

    Args:
        source: a file descriptor.
        state: a file to which all states are written every so many rows and at the end; None: nowhere.
        skip: whether a line that cannot be read is answered with its number and why, and left out.

    Raises:
        InputError: a line that cannot be read, where none is left out; says which. Those before it are answered, and
            states are written.
    """
    done, left_out, saved = 0, 0, 0
    try:
        for first, lines in _arriving(source):
            begin = 0
            while begin < len(lines):
                try:
                    done += _answer(deployed, lines[begin:], first + begin, out)
                    break
                except LineError as error:
                    if not skip:
                        raise
                    done, left_out = done + error.done, left_out + 1
                    _write(out, {"line": error.line, "forecast": None, "because": f"not read: {error.given}"})
                    begin = error.line - first + 1
            out.flush()
            if state is not None and done - saved >= every:
                deployed.save_states(state)
                saved = done
    finally:
        if state is not None and deployed.streams:
            deployed.save_states(state)
    return done, left_out


class LineError(InputError):
    """A line that cannot be read; `line` is its number, and `done` how many before it were answered just now."""

    def __init__(self, line: int, done: int, error: InputError) -> None:
        super().__init__(f"line {line}: {error.given}", error.expected, error.do)
        self.line, self.done = line, done


def _arriving(source: int) -> Iterator[tuple[int, list[bytes]]]:
    """Whole lines as they arrive, with the number of the first, from 1."""
    number, rest = 1, b""
    while True:
        block = os.read(source, _AT_ONCE)
        *lines, rest = (rest + block).split(b"\n")
        if not block:
            lines, rest = ([rest] if rest else []), b""
        if lines:
            yield number, lines
            number += len(lines)
        if not block:
            return


def _answer(deployed: Deployed, lines: list[bytes], first: int, out: TextIO) -> int:
    """Answer lines; one that is wrong stops after those before it."""
    rows: list[tuple[int, dict[str, Any]]] = []
    wrong: tuple[int, InputError] | None = None
    for number, line in enumerate(lines, start=first):
        if not line.strip():
            continue
        try:
            rows.append((number, _parsed(line)))
        except InputError as error:
            wrong = (number, error)
            break
    texts = any("text" in row for _, row in rows) and deployed.schema is None
    done = 0
    try:
        if texts:
            for number, row in rows:
                try:
                    _write(out, deployed.read(_text(row), str(row.get(deployed.stream_column, ""))))
                except InputError as error:
                    raise LineError(number, done, error) from None
                done += 1
        elif rows:
            done = _read(deployed, rows, out)
    finally:
        out.flush()
    if wrong is not None:
        raise LineError(wrong[0], done, wrong[1])
    return done


def _read(deployed: Deployed, rows: list[tuple[int, dict[str, Any]]], out: TextIO) -> int:
    try:
        found = deployed.read([row for _, row in rows])
    except RowError as error:  # nothing was read: those before it can be
        if error.number:
            _read(deployed, rows[: error.number], out)
        raise LineError(rows[error.number][0], error.number, error) from None
    column = deployed.schema.time if deployed.schema else None
    for (_, row), record in zip(rows, found, strict=True):
        _write(out, record if column is None else {**record, column: row[column]})
    return len(rows)


def _write(out: TextIO, record: dict[str, Any]) -> None:
    out.write(line_of(record))


def line_of(record: dict[str, Any]) -> str:
    """A record as one line of JSON; what is no number is null."""
    try:
        return json.dumps(record, allow_nan=False, ensure_ascii=False) + "\n"
    except ValueError:  # a model that diverged
        return json.dumps(finite_or_null(record), ensure_ascii=False) + "\n"


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        shown = line[:80].decode(errors="replace")
        raise InputError(
            f"{shown!r}, which is no JSON ({error})",
            'one JSON object a line, a row as {"power": 2.3, "speed": null}',
            "correct it; rows of a table become such lines with pandas: pandas.read_csv('rows.csv')"
            ".to_json('rows.jsonl', orient='records', lines=True)",
        ) from None
    if not isinstance(row, dict):
        raise InputError(f"JSON of type {type_name(row)}", 'an object such as {"power": 2.3}', "write names and values")
    return row


def _text(row: dict[str, Any]) -> str:
    if not isinstance(row.get("text"), str):
        raise InputError(f"a row without text: {', '.join(row)}", '{"text": "…"}', "give every row its text")
    return row["text"]
