"""Files of arrays: read into memory where they are small, memory-mapped and watched where they are large.

A page of a mapped file that is no longer there ends the process without a word (SIGBUS). So what is mapped carries the
size and the time that its file had, and is asked for them before its pages are.
"""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import Any

import numpy as np

from outlast.errors import InputError, nearest_file, type_name

IN_MEMORY = 1 << 30
"""Bytes up to which a file is read into memory (1 GiB); larger ones stay on disk."""

Stamp = tuple[int, int]
"""Size in bytes and time of the last change in ns."""


class Mapped(np.memmap):
    """A memory-mapped file, read-only, that knows its file's `stamp`; so do its slices."""

    stamp: Stamp | None = None

    def __array_finalize__(self, obj: Any) -> None:
        super().__array_finalize__(obj)
        self.stamp = getattr(obj, "stamp", None)


def existing(path: str | os.PathLike[str]) -> Path:
    """The path if a file or folder is there; otherwise an InputError, with the nearest name in the same folder.

    Pipes, sockets and devices are refused: they cannot be read twice, and reading one may wait for ever.
    """
    if not isinstance(path, str | os.PathLike):
        raise InputError(
            f"a {type_name(path)} where a path is due",
            "the path of a file or folder",
            "read frames with Streams.from_table, arrays and tensors with Streams.from_arrays or from_tokens",
        )
    path = Path(path)
    try:
        if path.is_file() or path.is_dir():
            return path
        there = path.exists()
        names = [neighbour.name for neighbour in path.parent.iterdir()] if path.parent.is_dir() else []
    except OSError as error:
        raise InputError(f"{path} ({error.strerror})", "a file or folder that can be read", "check the path") from None
    if there:
        raise InputError(
            f"{path}, which is neither a file nor a folder", "a regular file, or a folder", "write the data to a file"
        )
    near = nearest_file(path, names)
    raise InputError(
        f"{path}, where there is nothing",
        "a file or folder that exists",
        f"did you mean {path.parent / near}?" if near else "check the path",
    )


def is_pattern(path: str | os.PathLike[str]) -> bool:
    """Whether a path stands for those that match it, such as ``data/*.csv``; a file of that very name comes first."""
    return glob.has_magic(str(path)) and not os.path.lexists(path)


def files_at(path: str | os.PathLike[str], suffixes: tuple[str, ...]) -> list[Path]:
    """The files that a path stands for, sorted: itself; of a folder, those with one of `suffixes` in it and below it;
    of a pattern, those that match.

    Raises:
        InputError: nothing there, or nothing that matches.
    """
    if isinstance(path, str | os.PathLike) and is_pattern(path):
        return matching(path)
    found = existing(path)
    return files_below(found, suffixes) if found.is_dir() else [found]


def matching(pattern: str | os.PathLike[str]) -> list[Path]:
    """Files that match a pattern, sorted; ``**`` stands for any folders. Raises InputError where there is none."""
    try:
        found = sorted(Path(each) for each in glob.glob(str(pattern), recursive=True))
    except (OSError, ValueError) as error:  # a name with a zero byte, or too long
        raise InputError(f"{pattern} ({error})", "a pattern such as 'data/*.csv'", "check the pattern") from None
    files = [each for each in found if each.is_file()]
    if not files:
        raise InputError(
            f"{pattern}, which no file matches", "a pattern such as 'data/*.csv'", "check the folder and the ending"
        )
    return files


def files_below(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Files with one of `suffixes` in a folder and in those below it, sorted by path; hidden ones are left out."""
    return sorted(
        path
        for path in folder.rglob("*")
        if suffix_of(path) in suffixes
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def suffix_of(path: Path) -> str:
    """The ending of a file's name in lower case; of what is packed by gzip both, such as ``.csv.gz``."""
    endings = [ending.lower() for ending in path.suffixes[-2:]]
    return "".join(endings) if endings[1:] == [".gz"] else "".join(endings[-1:])


_READERS = {
    ".xls": "read_excel({!r})",
    ".ods": "read_excel({!r})",
    ".feather": "read_feather({!r})",
    ".arrow": "read_feather({!r})",
    ".orc": "read_orc({!r})",
    ".json": "read_json({!r})",
    ".h5": "read_hdf({!r})",
    ".hdf5": "read_hdf({!r})",
    ".pkl": "read_pickle({!r})",
    ".dta": "read_stata({!r})",
    ".sav": "read_spss({!r})",
    ".sas7bdat": "read_sas({!r})",
    ".xml": "read_xml({!r})",
    ".html": "read_html({!r})[0]",
    ".dat": 'read_csv({!r}, sep=r"\\s+")',
    ".zip": "read_csv({!r})",
    ".bz2": "read_csv({!r})",
    ".xz": "read_csv({!r})",
    ".zst": "read_csv({!r})",
}
"""What pandas reads files with that are not read here, by their ending."""


def converted(path: Path) -> str:
    """What to do about a file that is not read here: the line of pandas that makes a table of it."""
    ending = path.suffix.lower()
    if path.is_dir() or ending not in _READERS:
        return "convert it to one of these; arrays (.npy) are read by Streams.from_arrays"
    line = f"pandas.{_READERS[ending].format(str(path))}.to_csv({path.with_suffix('.csv').name!r}, index=False)"
    return f"convert it to one of these, in pandas: {line}"


def dtype_of(path: str | Path) -> np.dtype[Any]:
    """What a ``.npy`` file holds, by its header. Raises InputError where it is not one whole array."""
    return _map(existing(path)).dtype


def open_array(path: str | Path) -> np.ndarray:
    """A ``.npy`` file: up to `IN_MEMORY` bytes in memory, larger as `Mapped`. Objects are never unpickled.

    Raises:
        InputError: not one whole array.
    """
    path = existing(path)
    before = _stamp(path.stat())
    array = _map(path)
    if before[0] > IN_MEMORY:
        mapped = array.view(Mapped)
        mapped.stamp = before
        return mapped
    # The header was held against the file's length just now, so that no more is allocated than there is.
    read = np.fromfile(path, array.dtype, array.size, offset=array.offset)
    if read.size != array.size:
        raise _unreadable(path, "it became shorter while it was read")
    return read.reshape(array.shape, order="C" if array.flags.c_contiguous else "F")


def _map(path: Path) -> np.memmap[Any, np.dtype[Any]]:
    try:
        with np.errstate(over="ignore"):  # of a shape that no array has
            array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # numpy evaluates the header, and raises whatever comes of a damaged one
        raise _unreadable(path, f"{type(error).__name__}: {error}") from error
    if not isinstance(array, np.memmap):
        raise InputError(f"{path}, an archive of arrays", "one array in .npy form", "save the one array by numpy.save")
    return array


def check_intact(array: np.ndarray | None) -> None:
    """Raise InputError where an array's file is no longer the one that was mapped; others pass."""
    if not isinstance(array, Mapped) or array.stamp is None or array.filename is None:
        return
    path = Path(array.filename)
    try:
        now = _stamp(path.stat())
    except OSError as error:
        raise _changed(path, error.strerror or str(error)) from error
    if now != array.stamp:
        shrunk = now[0] != array.stamp[0]
        what = f"from {array.stamp[0]:,} bytes to {now[0]:,}" if shrunk else "its time says so"
        raise _changed(path, what)


def _stamp(found: os.stat_result) -> Stamp:
    return found.st_size, found.st_mtime_ns


def _changed(path: Path, how: str) -> InputError:
    return InputError(
        f"{path}, which changed while it was read ({how})",
        "data that stay as they are during a run",
        "write new data to a file of another name, and run the same command again",
    )


def _unreadable(path: Path, why: str) -> InputError:
    return InputError(
        f"{path}, which cannot be read as .npy ({why})",
        "an array of numbers written by numpy.save",
        "write it again with numpy.save, as integers or float32",
    )
