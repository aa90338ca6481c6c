"""A file that grows, or a folder in which files arrive and grow, each followed to the end of what is whole."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

from outlast.errors import InputError
from outlast.live.sources.delimited import header_of, take_records
from outlast.live.sources.lines import BLOCK, Cut, Position, cuts, take_objects
from outlast.live.sources.pieces import Offset, Piece, Taking, Unusable, at_latest
from outlast.schema import Schema

if TYPE_CHECKING:
    from outlast.live.sources.parquet import Cursor

CSV = ".csv"
LINES = (".jsonl", ".ndjson", ".json")
PARQUET = ".parquet"
SUFFIXES = (CSV, *LINES, PARQUET)
"""Of files that are read."""
_BEGINNING = 4096
"""Bytes by which a file is known again."""
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class _Look:
    """A file as it was found: while none of this changes, nothing was written to it."""

    inode: int
    size: int
    changed: int
    regular: bool = True
    """Whether it is a file: what is opened of a pipe or a device may never end, or never begin."""


class Files:
    """Rows of one file, or of the files of one folder in the order of their names.

    Every file is read to where it was when the round began, then the next one; then a new round begins. What is kept
    here only saves work: the offsets alone say what was read. A file of a folder that cannot be read is put aside, and
    looked at again when it has changed.

    Args:
        path: a file, or a folder.
        once: read what is there when the first rows are asked for, and end.

    Raises:
        InputError: there is neither, and none can come into being there.
    """

    def __init__(self, path: Path, *, once: bool) -> None:
        self.ended: bool = False
        self._path, self._once = path, once
        self._schema: Schema | None = None
        self._folder = path.is_dir()
        self._round: dict[str, _Look] | None = None
        self._nothing: dict[str, tuple[Offset | None, _Look]] = {}
        self._known: dict[str, _Look] = {}
        self._cursor: Cursor | None = None
        if not self._folder:
            _accept(path, once)

    def take(self, offsets: Mapping[str, Offset], most: int) -> list[Piece]:
        """As `Source.take`.

        Raises:
            InputError: a file became shorter than what was read of it, or begins otherwise than it did; or it is no
                file of a folder, and has no header or is damaged.
        """
        if self.ended or most < 1:
            return []
        until = at_latest()
        pieces = self._read_round(offsets, most, until)
        if not pieces and (self._round is None or not self._once):
            self._round = self._looked(offsets)
            pieces = self._read_round(offsets, most, until)
        self.ended = self._once and not pieces
        return pieces

    def read_as(self, schema: Schema) -> None:
        """As `Source.read_as`."""
        self._schema = schema

    def committed(self, pieces: Sequence[Piece]) -> None:
        """Nothing is to be done: files stay."""

    def close(self) -> None:
        """As `Source.close`."""
        if self._cursor is not None:
            self._cursor.close()
        self._cursor = None

    def _looked(self, offsets: Mapping[str, Offset]) -> dict[str, _Look]:
        """Files that may have more than was read, in the order of their names, as they are now."""
        found = {}
        for name, path in self._listed():
            look = _look(path)
            if look is None:
                continue
            offset = offsets.get(name)
            known = offset is not None and self._known.get(name) != look and _before(offset) is not None
            if offset is not None and known and look.regular:
                try:
                    with _open(path) as file:
                        _hold(path, file, look.size, _before(offset) or offset)
                    self._known[name] = look
                except Unusable:
                    if not self._folder:
                        raise
            if offset is None or not _is_read(offset, look):
                found[name] = look
        return found

    def _listed(self) -> list[tuple[str, Path]]:
        if not self._folder:
            return [(self._path.name, self._path)]
        try:
            names = os.listdir(self._path)
        except OSError as error:
            raise InputError(f"{self._path} ({error.strerror})", "the folder that was there", "put it back") from None
        found = sorted(name for name in names if _is_readable(name))
        if odd := [name for name in found if not name.isprintable()]:
            raise InputError(f"a file named {odd[0]!r} in {self._path}", "a name in UTF-8", "give it another name")
        return [(name, self._path / name) for name in found]

    def _read_round(self, offsets: Mapping[str, Offset], most: int, until: float) -> list[Piece]:
        pieces: list[Piece] = []
        for name, look in (self._round or {}).items():
            offset = offsets.get(name)
            if self._nothing.get(name) == (offset, look) or (offset is not None and _is_aside(offset, look)):
                continue
            taking = Taking(most, until)
            try:
                after = self._read(name, look, None if offset is None else _before(offset), taking)
            except Unusable as error:
                if not self._folder:
                    raise
                after = _put_aside(error, offset, look, taking)
            if after is None:
                self._nothing[name] = (offset, look)
                continue
            pieces.append(taking.piece(name, after))
            most -= taking.count
            if most < 1 or taking.full:
                break
        return pieces

    def _read(self, name: str, look: _Look, offset: Offset | None, taking: Taking) -> Offset | None:
        """Read on in one file; None where there is nothing yet."""
        path = self._path / name if self._folder else self._path
        if not look.regular:
            raise Unusable(f"{path}, which is a pipe or a device", "a file", "write rows into a file instead")
        try:
            file = path.open("rb")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _closed(path, error) from None
        with file:
            if offset is not None:
                _hold(path, file, os.fstat(file.fileno()).st_size, offset)
            if path.suffix.lower() == PARQUET:
                return self._read_parquet(path, file, offset, taking)
            before = _position(offset)
            after = _read_text(path, file, before, look.size, taking, self._schema, last=self._once)
            return None if after == before else _offset_of(file, after)

    def _read_parquet(self, path: Path, file: IO[bytes], offset: Offset | None, taking: Taking) -> Offset | None:
        from outlast.live.sources.parquet import Cursor, whole  # Arrow is loaded by those who read Parquet

        size = os.fstat(file.fileno()).st_size
        if not whole(file, size):
            if self._once:
                raise Unusable(f"{path}, which is not whole", "a Parquet file with its footer", "write it anew")
            return None
        row = 0 if offset is None else offset["row"]
        if self._cursor is None or (self._cursor.path, self._cursor.row) != (path, row):
            self.close()
            self._cursor = Cursor(path, row)
        cursor = self._cursor
        while cursor.row < cursor.rows:
            try:
                taking.keep(cursor.row + 1, cursor.next())
            except Unusable:
                self.close()
                if cursor.row == row:
                    raise
                break  # what was read of it stands
            if taking.full:
                break
        if cursor.row == cursor.rows:
            self.close()
        if cursor.row == row:
            return None
        return {"row": cursor.row, "rows": cursor.rows, "size": size, "begins": _beginning(file, size)}


def _read_text(
    path: Path, file: IO[bytes], before: Position, size: int, taking: Taking, schema: Schema | None, *, last: bool
) -> Position:
    """Read on in CSV or lines of JSON, up to a size; how far that is."""
    if path.suffix.lower() != CSV:
        return take_objects(_cuts(file, before, size, last), before, taking)
    found = header_of(_cuts(file, Position(), size, last), str(path), schema, last=last)
    if found is None:
        return before
    header, first = found
    start = before if before.bytes else first
    after = take_records(_cuts(file, start, size, last), header, start, taking, schema=schema, last=last)
    return before if after == first else after


def _cuts(file: IO[bytes], position: Position, size: int, last: bool) -> Iterator[Cut]:
    """Lines of a file from a position up to a size, without a mark of the byte order before the first."""
    first = position.bytes == 0
    for cut in cuts(_blocks(file, position.bytes, size), inside=position.inside != "", last=last):
        yield replace(cut, data=cut.data.removeprefix(_BOM)) if first else cut
        first = False


def _blocks(file: IO[bytes], start: int, size: int) -> Iterator[bytes]:
    while start < size:
        file.seek(start)
        block = file.read(min(BLOCK, size - start))
        if not block:
            return
        start += len(block)
        yield block


def _position(offset: Offset | None) -> Position:
    return Position() if offset is None else Position(offset["bytes"], offset["lines"], offset["inside"])


def _offset_of(file: IO[bytes], position: Position) -> Offset:
    return {
        "bytes": position.bytes,
        "lines": position.lines,
        "inside": position.inside,
        "begins": _beginning(file, position.bytes),
    }


def _beginning(file: IO[bytes], read: int) -> str:
    """A hash of the beginning, as far as it was read."""
    file.seek(0)
    return hashlib.blake2b(file.read(min(_BEGINNING, read)), digest_size=16).hexdigest()


def _put_aside(error: Unusable, offset: Offset | None, look: _Look, taking: Taking) -> Offset:
    """The offset of a file that cannot be read as it is; that is said once for each reason."""
    because = f"the file is put aside: {error}"
    if offset is None or offset.get("aside") != because:
        taking.refuse(1, "", because)
    before = None if offset is None else _before(offset)
    return {"aside": because, "size": look.size, "changed": look.changed, "before": before}


def _before(offset: Offset) -> Offset | None:
    """How far a file was read before it was put aside, where it was."""
    return offset["before"] if "aside" in offset else offset


def _is_aside(offset: Offset, look: _Look) -> bool:
    """Whether a file was put aside as it is now."""
    return "aside" in offset and (offset["size"], offset["changed"]) == (look.size, look.changed)


def _is_read(offset: Offset, look: _Look) -> bool:
    if "aside" in offset:
        return _is_aside(offset, look)
    return offset["row"] == offset["rows"] if "row" in offset else offset["bytes"] == look.size


def _hold(path: Path, file: IO[bytes], size: int, offset: Offset) -> None:
    """Hold a file against what was read of it.

    Raises:
        InputError: it is another one.
    """
    parquet = "row" in offset
    read = offset["size"] if parquet else offset["bytes"]
    if size < read:
        given = f"{path}, which has {size:,} bytes, and {read:,} were read"
    elif parquet and size > read:
        given = f"{path}, which had {read:,} bytes when it was read, and has {size:,}"
    elif _beginning(file, read) != offset["begins"]:
        given = f"{path}, which begins otherwise than it did when it was read"
    else:
        return
    expected = "the same file, as it was" if parquet else "the same file, with what was added to its end"
    raise InputError(given, expected, "put it back, and give the new data a file with a name of its own")


def _look(path: Path) -> _Look | None:
    """A file as it is now, or what lies in its place; None where nothing does, or a folder."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _closed(path, error) from None
    if stat.S_ISDIR(found.st_mode):
        return None
    return _Look(found.st_ino, found.st_size, found.st_ctime_ns, stat.S_ISREG(found.st_mode))


def _open(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        raise _closed(path, error) from None


def _is_readable(name: str) -> bool:
    return not name.startswith(".") and name.lower().endswith(SUFFIXES)


def _accept(path: Path, once: bool) -> None:
    """Raises InputError where a path is no file that can be read, and none that can come into being."""
    known = path.suffix.lower() in SUFFIXES
    if not path.exists() and (once or not known or not path.parent.is_dir()):
        given = f"{path}, which is not there"
    elif path.exists() and (not known or not path.is_file()):
        given = f"{path}, which is none"
    else:
        return
    raise InputError(
        given,
        f"a folder, a file ending in {', '.join(SUFFIXES)}, - for standard input, or mqtt://host:port/topic/filter",
        "check the path; a file may come later where its folder is there",
    )


def _closed(path: Path, error: OSError) -> Unusable:
    return Unusable(f"{path} ({error.strerror})", "a file that can be read", "let it be read, or take it away")
