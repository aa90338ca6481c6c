"""Text, tokens and arrays: read as they are, mapped from disk, refused with the place of what is wrong."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import psutil
import pytest

from outlast.data import Streams, open_streams
from outlast.data import arrays as given_module
from outlast.data import arrays as readers_module
from outlast.data.files import arrays as files_module
from outlast.errors import InputError


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make checks work in many pieces, so that places are counted across their borders."""
    monkeypatch.setattr(readers_module, "_PIECE", 8)


def saved(folder: Path, array: np.ndarray, name: str = "data.npy") -> Path:
    np.save(folder / name, array)
    return folder / name


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.int64, np.uint64, ">i4"])
def test_tokens_predict_the_next_token(tmp_path: Path, dtype: str) -> None:
    array = np.arange(30).reshape(3, 10).astype(dtype)
    for source in (array, saved(tmp_path, array)):
        streams = Streams.from_tokens(source)
        assert (len(streams), streams.lengths.tolist(), streams.classes) == (3, [9, 9, 9], 30)
        batch = streams.window(np.array([0, 2]), np.array([8, 3]), 2)
        assert batch.targets is not None
        assert batch.inputs.tolist() == [[8, 8], [23, 24]]
        assert batch.targets.tolist() == [[9, 9], [24, 25]]
        assert batch.weights.tolist() == [[1, 0], [1, 1]]


def test_one_row_of_tokens_is_one_stream() -> None:
    streams = Streams.from_tokens(np.array([3, 1, 2]), vocabulary=10)
    assert (streams.lengths.tolist(), streams.classes, streams.target_kind) == ([2], 10, "classes")


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize(("value", "vocabulary"), [(-1, None), (50, 50), (-3, 50)])
def test_wrong_tokens_are_named(tmp_path: Path, value: int, vocabulary: int | None) -> None:
    array = np.arange(30).reshape(3, 10)
    array[1, 7] = value
    for source in (array, saved(tmp_path, array)):
        with pytest.raises(InputError, match=f"token {value} in .*, stream 1, position 7"):
            Streams.from_tokens(source, vocabulary)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 3)),
        np.zeros((2, 3), bool),
        np.zeros((2, 3), complex),
        np.zeros((2, 3), "U2"),
        np.zeros((2, 3, 4), int),
        np.zeros((2, 1), int),
        np.zeros((0, 5), int),
        np.array(3),
    ],
)
def test_arrays_that_are_no_tokens_are_refused(tmp_path: Path, array: np.ndarray) -> None:
    for source in (array, saved(tmp_path, array)):
        with pytest.raises(InputError):
            Streams.from_tokens(source)


def test_vocabulary_must_be_positive() -> None:
    with pytest.raises(InputError, match="vocabulary of 0"):
        Streams.from_tokens(np.array([0, 0]), vocabulary=0)


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
def test_arrays_predict_the_features_ahead(tmp_path: Path, dtype: str) -> None:
    array = np.arange(48).reshape(2, 8, 3).astype(dtype)
    for source in (array, saved(tmp_path, array)):
        streams = Streams.from_arrays(source, horizon=2)
        batch = streams.window(np.array([1]), np.array([4]), 2)
        assert batch.targets is not None
        assert (streams.lengths.tolist(), streams.horizon, streams.target_kind) == ([6, 6], 2, "values")
        assert np.array_equal(batch.inputs[0].numpy(), array[1, 4:6].astype(np.float32))
        assert np.array_equal(batch.targets[0].numpy(), array[1, 6:8].astype(np.float32))
    assert Streams.from_arrays(array[0]).lengths.tolist() == [7]


def test_arrays_with_targets(tmp_path: Path) -> None:
    features = np.random.default_rng(0).normal(size=(2, 8, 3))
    classes = np.arange(16).reshape(2, 8)
    streams = Streams.from_arrays(features, horizon=3, targets=saved(tmp_path, classes))
    batch = streams.window(np.array([1]), np.array([6]), 2)
    assert batch.targets is not None
    assert (streams.lengths.tolist(), streams.classes, streams.horizon) == ([8, 8], 16, 3)
    assert batch.targets.tolist() == [[14, 15]]
    values = Streams.from_arrays(features, targets=features[..., :2]).window(np.array([0]), np.array([0]), 5).targets
    assert values is not None
    assert values.shape == (1, 5, 2)
    single = Streams.from_arrays(features[0], targets=features[0, :, 0]).window(np.array([0]), np.array([0]), 5).targets
    assert single is not None
    assert single.shape == (1, 5, 1)
    for wrong in (classes[:, :7], classes[0], classes.astype(bool), features[0]):
        with pytest.raises(InputError, match="targets of shape"):
            Streams.from_arrays(features, targets=wrong)
    with pytest.raises(InputError, match="token -1"):
        Streams.from_arrays(features, targets=classes - 1)


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_named(tmp_path: Path, value: float) -> None:
    array = np.zeros((3, 8, 2), np.float32)
    array[2, 5, 1] = value
    for source in (array, saved(tmp_path, array)):
        with pytest.raises(InputError, match=f"{value} in .*, stream 2, position 5, feature 1"):
            Streams.from_arrays(source)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 3, 1), int),
        np.zeros((2, 3, 1), bool),
        np.zeros((2, 3, 1), complex),
        np.zeros((2, 3, 1), "datetime64[s]"),
        np.zeros(5),
        np.zeros((2, 3, 4, 5)),
        np.zeros((2, 3, 0)),
        np.zeros((2, 1, 3)),
    ],
)
def test_arrays_that_are_no_features_are_refused(tmp_path: Path, array: np.ndarray) -> None:
    for source in (array, saved(tmp_path, array)):
        with pytest.raises(InputError):
            Streams.from_arrays(source)


@pytest.mark.parametrize("horizon", [0, -1, 8])
def test_horizons_that_do_not_fit_are_refused(horizon: int) -> None:
    with pytest.raises(InputError, match=f"a horizon of {horizon} and streams of 8"):
        Streams.from_arrays(np.zeros((2, 8, 1)), horizon)


def test_files_that_are_no_array_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "objects.npy", np.array([{}, []], object), allow_pickle=True)
    whole = saved(tmp_path, np.arange(1000)).read_bytes()
    (tmp_path / "cut.npy").write_bytes(whole[:-50])
    (tmp_path / "empty.npy").write_bytes(b"")
    (tmp_path / "text.npy").write_text("no array")
    np.savez(tmp_path / "archive", a=np.arange(3))
    (tmp_path / "archive.npz").rename(tmp_path / "archive.npy")
    saved(tmp_path, np.asfortranarray(np.ones((3, 4))), "columns.npy")
    for name in ("objects", "cut", "empty", "text", "archive", "columns"):
        with pytest.raises(InputError, match=f"{name}.npy"):
            open_streams(tmp_path / f"{name}.npy")


def test_large_files_stay_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files_module, "IN_MEMORY", 1 << 20)
    rows, width = 100, 1_000_000  # 400 MB of int32, sparse on disk
    np.lib.format.open_memmap(tmp_path / "large.npy", mode="w+", dtype=np.int32, shape=(rows, width))
    process = psutil.Process(os.getpid())
    before = process.memory_info().rss
    streams = Streams.from_tokens(tmp_path / "large.npy")
    opened = process.memory_info().rss
    streams.window(np.arange(8), np.arange(8) * 1000, 512)
    after = process.memory_info().rss
    assert isinstance(streams.inputs, np.memmap)
    assert opened - before < 60e6  # one piece of the check at a time
    assert after - opened < 10e6


def change(path: Path, how: str) -> None:
    if how == "cut":
        os.truncate(path, path.stat().st_size // 2)
    elif how == "removed":
        path.unlink()
    else:
        os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))


@pytest.mark.parametrize("how", ["cut", "removed", "written to"])
@pytest.mark.parametrize("large", [False, True])
def test_a_file_that_changes_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: bool, how: str
) -> None:
    """Touching a page of a mapped file that is no longer there would end the process (SIGBUS)."""
    monkeypatch.setattr(files_module, "IN_MEMORY", 1 << 10 if large else 1 << 30)
    array = np.random.default_rng(0).normal(size=(16, 4096, 3)).astype(np.float32)
    path, targets = saved(tmp_path, array), saved(tmp_path, array[..., 0], "targets.npy")
    streams, part = Streams.from_arrays(path), Streams.from_arrays(array, targets=targets).take(np.arange(8, 16))
    change(path, how)
    change(targets, how)
    rows, last = np.array([7]), np.array([4000])
    if not large:
        assert streams.window(rows, last, 8).inputs.tolist() == array[7:8, 4000:4008].tolist()
        assert part.window(rows, last, 8).inputs.tolist() == array[15:, 4000:4008].tolist()
        return
    for asked, name in ((streams, "data.npy"), (part, "targets.npy")):
        with pytest.raises(InputError, match=f"{name}, which changed while it was read"):
            asked.window(rows, last, 8)
        with pytest.raises(InputError, match=f"{name}, which changed while it was read"):
            asked.fingerprint()


def test_a_mapped_file_that_is_cut_between_two_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files_module, "IN_MEMORY", 1 << 10)
    monkeypatch.setattr(readers_module, "_PIECE", 1 << 14)
    path = saved(tmp_path, np.zeros((16, 65536), np.int32))
    seen = files_module.open_array(path)
    monkeypatch.setattr(given_module, "open_array", lambda path: seen)
    change(path, "cut")
    with pytest.raises(InputError, match="which changed while it was read"):
        Streams.from_tokens(path)


def headed(header: bytes) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header


@pytest.mark.parametrize(
    "header",
    [
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 5), }",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999999999,), }",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (-4, 5), }",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (10000, 10000, 100), }",
        b"{'descr': '|O', 'fortran_order': False, 'shape': (2,), }",
        b"{'descr': '|V0', 'fortran_order': False, 'shape': (2,), }",
        b"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }",
        b"{'descr': '|b1', 'fortran_order': False, 'shape': (8, 8), }",
        b"{'descr': '<f4', 'fortran_order': 3, 'shape': (2,), }",
        b"{'descr': '<f4', 'shape': (2,), }",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (",
        b"(" * 3000,
        b"[" * 60000,
        b"\xff\xfe",
        b"",
    ],
    ids=lambda header: header[:90].decode("latin-1"),
)
def test_headers_that_no_array_follows(tmp_path: Path, header: bytes) -> None:
    (tmp_path / "wrong.npy").write_bytes(headed(header) + b"\x00" * 64)
    with pytest.raises(InputError, match=r"wrong\.npy"):
        open_streams(tmp_path / "wrong.npy")


def test_an_object_is_never_unpickled(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "sprung"),)

    np.save(tmp_path / "trap.npy", np.array([Trap()], object), allow_pickle=True)
    with pytest.raises(InputError, match=r"trap\.npy"):
        open_streams(tmp_path / "trap.npy")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(("dtype", "value"), [(np.int64, 1 << 40), (np.uint64, (1 << 64) - 1), (np.int64, 1 << 31)])
def test_numbers_that_are_too_large_for_tokens(dtype: type, value: int) -> None:
    array = np.zeros((2, 8), dtype)
    array[1, 3] = value
    for vocabulary in (None, 1 << 50):
        with pytest.raises(InputError, match=rf"token {value} in .*, stream 1, position 3 [^$]*to 2147483647"):
            Streams.from_tokens(array, vocabulary)


def test_numbers_beyond_float32_are_named() -> None:
    array = np.zeros((3, 8, 2))
    array[2, 5, 1] = 1e200
    with pytest.raises(InputError, match=r"1e\+200 in .*, stream 2, position 5, feature 1[^$]*float32"):
        Streams.from_arrays(array)


@pytest.mark.parametrize("name", ["data.npy", "data.csv", "data.parquet", "data.txt", "data"])
def test_pipes_and_devices_are_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(InputError, match="neither a file nor a folder"):
        open_streams(tmp_path / name)
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to("/dev/zero")
    with pytest.raises(InputError, match="neither a file nor a folder"):
        open_streams(tmp_path / name)


def test_text_is_read_as_bytes(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "b.txt").write_text("second é")
    (tmp_path / "a.txt").write_text("first")
    (tmp_path / "below" / "c.TXT").write_text("third")
    (tmp_path / "short.txt").write_text("x")
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "notes.log").write_text("not read")
    streams = Streams.from_text(tmp_path, documents="separate")
    assert (len(streams), streams.classes, streams.lengths.tolist()) == (3, 256, [4, 8, 4])
    assert (streams.about["documents"], streams.about["documents_too_short"]) == (3, 2)
    batch = streams.window(np.array([1]), np.array([0]), 8)
    assert batch.targets is not None
    assert bytes(batch.inputs[0].tolist()) == "second é".encode()[:-1]
    assert bytes(batch.targets[0].tolist()) == "second é".encode()[1:]
    assert Streams.from_text(tmp_path / "a.txt").lengths.tolist() == [4]


def test_text_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="without a file of text"):
        Streams.from_text(tmp_path)
    (tmp_path / "empty.txt").write_text("")
    with pytest.raises(InputError, match="none of 2 bytes"):
        Streams.from_text(tmp_path)


def test_open_streams_chooses_by_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "book.txt").write_text("some words")
    (tmp_path / "table.csv").write_text("a,b\n" + "\n".join(f"{i * i % 11},{i % 7}" for i in range(50)))
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "book.txt").write_text("some words")
    cases = {
        saved(tmp_path, np.arange(10), "tokens.npy"): "tokens",
        saved(tmp_path, np.zeros((10, 2)), "floats.npy"): "arrays",
        tmp_path / "book.txt": "text",
        tmp_path / "texts": "text",
        tmp_path / "*.txt": "text",
        tmp_path / "table.csv": "table",
        tmp_path / "*.csv": "table",
    }
    for path, reader in cases.items():
        assert open_streams(path).about["reader"] == reader
        assert open_streams(str(path)).about["reader"] == reader
    assert open_streams(tmp_path / "floats.npy", horizon=3).horizon == 3


def test_open_streams_refuses_what_it_cannot_read(tmp_path: Path) -> None:
    (tmp_path / "readings.csv").write_text("a\n1\n")
    (tmp_path / "sound.mp3").write_bytes(b"")
    (tmp_path / "empty").mkdir()
    saved(tmp_path, np.arange(10), "tokens.npy")
    (tmp_path / "book.txt").write_text("some words")
    with pytest.raises(InputError, match=r"did you mean .*readings\.csv"):
        open_streams(tmp_path / "reading.csv")
    with pytest.raises(InputError, match="check the path"):
        open_streams(tmp_path / "nowhere" / "reading.csv")
    with pytest.raises(InputError, match=r"'\.mp3'[^$]*\.npy .*\.csv"):
        open_streams(tmp_path / "sound.mp3")
    with pytest.raises(InputError, match=r"empty, with no file that can be read[^$]*\.txt files"):
        open_streams(tmp_path / "empty")
    with pytest.raises(InputError, match=r"with table and text\n[^$]*a pattern"):
        open_streams(tmp_path)
    with pytest.raises(InputError, match="which no file matches"):
        open_streams(tmp_path / "*.parquet")
    with pytest.raises(InputError, match="with tokens"):
        open_streams(tmp_path / "*.npy")
    with pytest.raises(InputError, match="option 'horizon'"):
        open_streams(tmp_path / "tokens.npy", horizon=2)
    with pytest.raises(InputError, match="did you mean 'vocabulary'"):
        open_streams(tmp_path / "tokens.npy", vocab=2)
    with pytest.raises(InputError, match="read as text"):
        open_streams(tmp_path / "book.txt", vocabulary=2)
