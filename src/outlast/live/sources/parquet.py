"""Parquet files, which arrive whole, read in batches so that little is held of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet

from outlast.live.sources.pieces import Unusable, plain

_BATCH = 1024
_BUFFER = 1 << 16
"""Bytes of a column that are read at once: not all that a row group has of it."""
_MAGIC = b"PAR1"


class Cursor:
    """One open file, read from some row on.

    Args:
        row: to begin at, from 0.

    Raises:
        Unusable: it cannot be read.
    """

    def __init__(self, path: Path, row: int) -> None:
        self.path, self.row = path, row
        self._batches: Iterator[pa.RecordBatch] = iter(())
        self._held: list[dict[str, Any]] = []
        try:
            self._file = pyarrow.parquet.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False)
        except (pa.ArrowException, OSError) as error:
            raise _damaged(path, error) from None
        self.rows: int = self._file.metadata.num_rows
        self._group = 0
        skipped = 0
        while self._group < self._file.num_row_groups:
            size = self._file.metadata.row_group(self._group).num_rows
            if skipped + size > row:
                break
            skipped, self._group = skipped + size, self._group + 1
        self._skip = row - skipped

    def next(self) -> dict[str, Any]:
        """The next row. There has to be one: `row` is below `rows`."""
        while not self._held:
            self._read()
        self.row += 1
        return self._held.pop()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _read(self) -> None:
        try:
            batch = next(self._batches, None)
            if batch is None:  # one row group after the other
                self._batches = self._file.iter_batches(_BATCH, row_groups=[self._group])
                self._group += 1
                return
            begin = min(self._skip, len(batch))
            self._skip -= begin
            rows = _in_python(batch.slice(begin)).to_pylist()
        except (pa.ArrowException, OSError, ValueError) as error:
            raise _damaged(self.path, error) from None
        self._held = [{name: plain(value) for name, value in each.items()} for each in reversed(rows)]


def whole(file: IO[bytes], size: int) -> bool:
    """Whether a file begins and ends as Parquet does; until then it is being written."""
    if size < 12:
        return False
    file.seek(0)
    begin = file.read(4)
    file.seek(size - 4)
    return begin == _MAGIC == file.read(4)


def _in_python(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Times in microseconds and in UTC, which is what Python has."""
    for place, of in enumerate(batch.schema):
        wanted = of.type
        if pa.types.is_timestamp(of.type):
            wanted = pa.timestamp("us", "UTC" if of.type.tz else None)
        elif pa.types.is_time64(of.type):
            wanted = pa.time64("us")
        elif pa.types.is_duration(of.type):
            wanted = pa.duration("us")
        if wanted != of.type:
            batch = batch.set_column(place, of.name, batch.column(place).cast(wanted, safe=False))
    return batch


def _damaged(path: Path, error: Exception) -> Unusable:
    return Unusable(f"{path} ({str(error).splitlines()[0]})", "a whole Parquet file", "write it anew, or take it away")
