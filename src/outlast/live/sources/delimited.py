"""CSV that grows: a header, then records, which may go over several lines inside quotes."""

from __future__ import annotations

import csv
import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from outlast.data.files.source import is_missing
from outlast.live.sources.lines import LONG, LONGEST, REST, Cut, Position, refuse_part
from outlast.live.sources.pieces import Taking, Unreadable, Unusable, cell, decoded
from outlast.schema import PLAIN, Notation, Schema

_DELIMITERS = ",;\t"
_MOST_LINES = 64
"""Of one record. A stray quote holds up no more than these."""
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*")
_TIME = re.compile(r"\s*\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}|\s*\d{1,2}:\d{2}")
_SPELT = re.compile(r"[+-]?0\d+|\d+[eE]\d+")


@dataclass(frozen=True)
class Header:
    """Names of the columns, and what separates them."""

    names: list[str]
    delimiter: str


@dataclass(frozen=True)
class _Record:
    """Lines, and the cells that they hold; or why they hold none (empty: they are no whole lines)."""

    cuts: list[Cut]
    cells: list[str] | None
    because: str = ""


def header_of(
    cuts: Iterator[Cut], file: str, schema: Schema | None = None, *, last: bool
) -> tuple[Header, Position] | None:
    """The header and where the rows begin; None where it is not whole yet.

    Columns are separated by what cuts the first line into most of them: comma, semicolon or tab.

    Args:
        file: for messages.
        schema: of the model, whose columns a header has at least one of; None: not known.
        last: whether no more will be written.

    Raises:
        Unusable: it cannot be read, names a column twice or none that the model knows, or is a row of values.
    """
    before = Position()
    for first in cuts:
        if first.kind != LONG and not first.data.strip():
            before = before.after(first)
            continue
        delimiter = _delimiter(first)
        record = next(_records(_chained(first, cuts), delimiter, last=last), None)
        if record is None:
            return None
        if record.because or record.cells is None:
            because = record.because or f"it is longer than {LONGEST >> 20} MiB"
            raise _headless(file, f"a first line that cannot be read: {because}")
        twice = [name for name, times in Counter(record.cells).items() if times > 1]
        if twice:
            raise _headless(file, f"more than one column {twice[0]!r}")
        if _is_headless(record.cells, schema):
            raise _headless(file, f"the first line {', '.join(record.cells)[:80]!r}")
        for cut in record.cuts:
            before = before.after(cut)
        return Header(record.cells, delimiter), before
    return None


def take_records(
    cuts: Iterator[Cut], header: Header, position: Position, taking: Taking, *, schema: Schema | None, last: bool
) -> Position:
    """Take records until it is enough, with numbers as the schema's table wrote them; how far that is."""
    notation, readers = PLAIN if schema is None else schema.notation, [_reader(name, schema) for name in header.names]
    for record in _records(cuts, header.delimiter, last=last):
        number, data = position.lines + 1, record.cuts[0].data
        if record.because:
            taking.refuse(number, data, record.because)
        elif record.cells is None:
            refuse_part(record.cuts[0], position, taking)
        elif record.cells and len(record.cells) != len(header.names):
            taking.refuse(number, data, f"it has {len(record.cells)} cells, and the first line {len(header.names)}")
        elif record.cells:
            cells = zip(header.names, readers, record.cells, strict=True)
            taking.keep(number, {name: read(text, notation) for name, read, text in cells})
        for cut in record.cuts:
            position = position.after(cut)
        if taking.full:
            break
    return position


def _reader(name: str, schema: Schema | None) -> Callable[[str, Notation], float | int | str | None]:
    """How cells of a column are read: as numbers where the schema has numbers there, or nobody knows."""
    if schema is None:
        return cell
    if name == schema.time:
        return cell if schema.notation.time_format is None else _text
    values = dict.fromkeys(schema.target.columns, schema.target.labels)
    values |= {column.name: column.categories for column in schema.inputs}
    if name not in values:
        return _id
    return _text if values[name] and isinstance(values[name][0], str) else cell


def _text(given: str, notation: Notation) -> str | None:
    return None if is_missing(given, notation) else given


def _id(given: str, notation: Notation) -> float | int | str | None:
    """A cell of which the number, if any, would not tell how it was written: 007 is not 7, and 1e3 not 1000."""
    return _text(given, notation) if _SPELT.fullmatch(given) else cell(given, notation)


def _records(cuts: Iterable[Cut], delimiter: str, *, last: bool) -> Iterator[_Record]:
    """Records, up to one that is not whole yet.

    Where quotes are wrong, the first line is refused and the next one read anew, for nobody knows which quote it is.
    """
    lines = _Lines(cuts)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while (first := lines.begin()) is not None:
        if first.kind in (LONG, REST):
            yield _Record([lines.pass_over()], None)
            continue
        try:
            cells = next(reader)
        except csv.Error as error:
            if lines.ran_out and not last:
                return
            why = "a quote in it is never closed" if "unexpected end" in str(error) else f"it is no CSV ({error})"
            yield _Record([lines.again()], None, why)
            continue
        yield _Record(lines.used, cells, lines.because)


class _Lines:
    """Lines for a reader of CSV, which remembers what one record took."""

    def __init__(self, cuts: Iterable[Cut]) -> None:
        self._cuts = iter(cuts)
        self._next: deque[Cut] = deque()
        self.used: list[Cut] = []
        self.because: str = ""
        self.ran_out: bool = False

    def begin(self) -> Cut | None:
        """Begin a record; its first line stays to be read. None: there is none."""
        self.used, self.because, self.ran_out = [], "", False
        return self._peek()

    def pass_over(self) -> Cut:
        """Take the next line past the reader."""
        return self._next.popleft()

    def again(self) -> Cut:
        """Give back all lines of the record but the first, which is returned."""
        self._next.extendleft(reversed(self.used[1:]))
        return self.used[0]

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        cut = self._peek()
        self.ran_out = cut is None
        long = len(self.used) >= _MOST_LINES or sum(each.size for each in self.used) > LONGEST
        if cut is None or cut.kind in (LONG, REST) or long:
            raise StopIteration
        self.used.append(self._next.popleft())
        try:
            return decoded(cut.data) + "\n"
        except Unreadable as error:
            self.because = str(error)
            return cut.data.decode("utf-8", "surrogateescape") + "\n"

    def _peek(self) -> Cut | None:
        if not self._next:
            self._next.extend([cut] if (cut := next(self._cuts, None)) is not None else [])
        return self._next[0] if self._next else None


def _chained(first: Cut, rest: Iterator[Cut]) -> Iterator[Cut]:
    yield first
    yield from rest


def _delimiter(first: Cut) -> str:
    """What cuts a line into most cells; the comma where none does."""
    text = first.data.decode("utf-8", "replace")
    return max(_DELIMITERS, key=lambda each: _cells(text, each))


def _cells(text: str, delimiter: str) -> int:
    try:
        return len(next(csv.reader([text], delimiter=delimiter)))
    except csv.Error:  # reading it as a record says why
        return 0


def _is_headless(cells: list[str], schema: Schema | None) -> bool:
    """Whether a first line is a row: of numbers and times alone, or without any column that the model knows."""
    if schema is not None:
        return not {*schema.names, schema.stream, schema.time} & {*cells}
    filled = [each for each in cells if each.strip()]
    return bool(filled) and all(_NUMBER.fullmatch(each) or _TIME.match(each) for each in filled)


def _headless(file: str, given: str) -> Unusable:
    return Unusable(
        f"{file} with {given}",
        "a first line with the names of the columns, each once, separated by comma, semicolon or tab, in UTF-8",
        "write a header line, or take the file away",
    )
