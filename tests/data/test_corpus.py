"""Tokens in the cache: made once, whole or not at all, mapped where they are many, the same in pieces as at once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from data import texts
from outlast.data import Streams
from outlast.data.files import arrays as files_module
from outlast.data.text import texts as corpus_module
from outlast.data.text import tokenisers as encoders_module
from outlast.data.text.texts import Cutter
from outlast.data.text.tokenisers import Encoder, bytes_encoder, tokens_encoder
from outlast.errors import InputError

CODE = "def f(x):\n    if x > 3:\n\n        return  [x, 'a b']   # why\n\n\nclass A:\r\n\t'''é — 語'''\n"


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("OUTLAST_CACHE", str(folder))
    return folder / "tokens"


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    return texts.byte_pairs(tmp_path / "tokenizer", text=texts.WORDS + CODE)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.txt").write_text(texts.WORDS * (number + 1))
    return folder


def kept(cache: Path) -> list[Path]:
    return sorted(path for path in cache.iterdir() if path.is_dir())


def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many texts were made tokens, call by call."""
    calls: list[int] = []
    encode = Encoder.encode

    def counted(self: Encoder, given: list[str]) -> list[np.ndarray]:
        calls.append(len(given))
        return encode(self, given)

    monkeypatch.setattr(Encoder, "encode", counted)
    return calls


def test_tokens_are_made_once_by_content(
    cache: Path, corpus: Path, tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = encoded(monkeypatch)
    first = Streams.from_text(corpus, tokenizer, documents="separate")
    assert calls == [1, 1, 1]
    shutil.copytree(corpus, tmp_path / "moved")
    (tmp_path / "moved" / "0.txt").rename(tmp_path / "moved" / "00.txt")
    moved = Streams.from_text(tmp_path / "moved", tokenizer, documents="separate")
    joined = Streams.from_text(corpus, tokenizer, documents="joined")
    assert sum(calls) == 3
    assert first.fingerprint() == moved.fingerprint() != joined.fingerprint()
    assert moved.names is not None
    assert moved.names[0] == "00.txt"
    assert len(kept(cache)) == 1
    Streams.from_text(corpus, tokenizer, separator="\n")
    other = texts.byte_pairs(tmp_path / "other", 280)
    Streams.from_text(corpus, other)
    (corpus / "1.txt").write_text("changed")
    changed = Streams.from_text(corpus, tokenizer, documents="separate")
    assert len(kept(cache)) == 4
    assert changed.lengths[1] < first.lengths[1]
    assert not list(cache.glob(".*.part"))


@pytest.mark.parametrize("damage", ["record.json", "tokens.npy", "sizes.npy", "labels.npy", "cut short", "no folder"])
def test_what_is_not_whole_is_made_anew(cache: Path, corpus: Path, tokenizer: Path, damage: str) -> None:
    expected = Streams.from_text(corpus, tokenizer).fingerprint()
    (folder,) = kept(cache)
    if damage == "cut short":
        array = np.load(folder / "tokens.npy")
        np.save(folder / "tokens.npy", array[:-1])
    elif damage == "no folder":
        folder.rename(cache / f".{folder.name}.1.part")  # of a process that died at it
    else:
        (folder / damage).write_bytes((folder / damage).read_bytes()[:20])
    assert Streams.from_text(corpus, tokenizer).fingerprint() == expected
    assert kept(cache) == [folder]


def test_a_process_that_dies_leaves_nothing_that_passes_for_whole(
    cache: Path, corpus: Path, tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = os.rename

    def dying(source: os.PathLike[str], place: os.PathLike[str]) -> None:
        if cache in Path(place).parents:
            raise KeyboardInterrupt
        rename(source, place)  # of somebody else in this process

    with monkeypatch.context() as patch:
        patch.setattr(corpus_module.os, "rename", dying)
        with pytest.raises(KeyboardInterrupt):
            Streams.from_text(corpus, tokenizer)
    assert kept(cache) == []
    with monkeypatch.context() as patch:
        patch.setattr(corpus_module.np, "save", lambda *given: (_ for _ in ()).throw(OSError(28, "No space left")))
        with pytest.raises(InputError, match=r"No space left[^$]*OUTLAST_CACHE"):
            Streams.from_text(corpus, tokenizer)
    assert kept(cache) == []
    assert len(Streams.from_text(corpus, tokenizer, documents="separate")) == 3


def test_two_processes_at_once(cache: Path, corpus: Path, tokenizer: Path) -> None:
    code = (
        "import sys; from outlast.data import Streams; print('ready', flush=True); input();"
        "print(Streams.from_text(sys.argv[1], sys.argv[2]).fingerprint())"
    )
    command = [sys.executable, "-c", code, str(corpus), str(tokenizer)]
    both = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ})
        for _ in range(2)
    ]
    for each in both:
        assert each.stdout is not None
        assert each.stdout.readline() == "ready\n"
    for each in both:
        assert each.stdin is not None
        each.stdin.write("\n")
        each.stdin.flush()
    found = [each.communicate(timeout=100)[0].strip() for each in both]
    assert found == [Streams.from_text(corpus, tokenizer).fingerprint()] * 2
    assert len(kept(cache)) == 1
    assert not list(cache.glob(".*.part"))


def test_many_tokens_are_mapped(corpus: Path, tokenizer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = Streams.from_text(corpus, tokenizer)
    monkeypatch.setattr(files_module, "IN_MEMORY", 100)
    large = Streams.from_text(corpus, tokenizer)
    assert isinstance(large.inputs, files_module.Mapped)
    assert isinstance(large.labels["document"], files_module.Mapped)
    assert not isinstance(small.inputs, np.memmap)
    assert large.fingerprint() == small.fingerprint()


def test_many_bytes_go_by_way_of_the_cache(cache: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (corpus / "odd.txt").write_bytes(b"\xef\xbb\xbfone \xff\xfe two \xc3")
    small = Streams.from_text(corpus)
    assert not cache.exists()
    monkeypatch.setattr(corpus_module, "IN_MEMORY", 100)
    large = Streams.from_text(corpus)
    assert len(kept(cache)) == 1
    assert large.inputs.tobytes() == small.inputs.tobytes()
    assert large.fingerprint() == small.fingerprint()
    assert np.array_equal(large.labels["document"], small.labels["document"])


def test_large_vocabularies_take_32_bits(corpus: Path, tokenizer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    narrow = Streams.from_text(corpus, tokenizer)
    monkeypatch.setattr(encoders_module, "WIDEST", 100)
    monkeypatch.setattr(corpus_module, "FORMAT", -1)
    wide = Streams.from_text(corpus, tokenizer)
    assert (narrow.inputs.dtype, wide.inputs.dtype) == (np.uint16, np.int32)
    assert np.array_equal(narrow.inputs, wide.inputs)


@pytest.mark.parametrize("block", [7, 64, 1 << 20])
def test_a_long_document_has_the_same_tokens_in_pieces(
    tmp_path: Path, tokenizer: Path, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus_module, "_PIECE", 200)
    monkeypatch.setattr(corpus_module, "_AROUND", 40)
    monkeypatch.setattr(corpus_module, "_BATCH", 500)
    monkeypatch.setattr("outlast.data.text.documents._BLOCK", block)
    random = np.random.default_rng(block)
    text = "".join(random.choice([*CODE.splitlines(keepends=True), *texts.WORDS.split()], 900))
    (tmp_path / "a.py").write_text(text, newline="")
    calls = encoded(monkeypatch)
    streams = Streams.from_text(tmp_path / "a.py", tokenizer)
    assert len(calls) > 10
    assert "cut_apart" not in streams.about
    whole = tokens_encoder(tokenizer).encode([text])[0]
    assert np.array_equal(streams.inputs[: len(whole)], whole)
    assert int(streams.lengths[0]) == len(whole) - 1


def test_cuts_that_change_tokens_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A text without spaces or line ends, for a tokeniser that looks at all of it."""
    monkeypatch.setattr(corpus_module, "_PIECE", 200)
    monkeypatch.setattr(corpus_module, "_AROUND", 40)
    tokenizer = texts.byte_pairs(tmp_path / "tokenizer", text="ab" * 40)
    (tmp_path / "a.txt").write_text("ab" * 1000)
    streams = Streams.from_text(tmp_path / "a.txt", tokenizer)
    assert streams.about["cut_apart"] > 5
    assert streams.about["bytes"] == 2000


def test_pieces_are_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus_module, "_PIECE", 50)
    monkeypatch.setattr(corpus_module, "_AROUND", 4)
    given = [(CODE * 3, True), ("", True), ("a", False), (CODE * 2, False), ("b" * 120, True)]
    found = list(Cutter(bytes_encoder()).cut(iter(given)))
    assert max(len(text) for text, _ in found) <= 54
    whole, ended = [""], 0
    for text, last in found:
        whole[-1] += text
        if last:
            ended += 1
            whole.append("")
    assert whole[:-1] == [CODE * 3, "", "a" + CODE * 2 + "b" * 120]


def test_memory_stays_flat(tmp_path: Path, tokenizer: Path) -> None:
    """Made tokens at once, the text would take some hundred times its size."""
    code = """
import resource, sys
from outlast.data import Streams
from outlast.data.files import arrays as files
from outlast.data.text import documents
from outlast.data.text import texts as corpus
corpus._PIECE, corpus._BATCH, documents._BLOCK = 1 << 15, 1 << 16, 1 << 15
Streams.from_text(sys.argv[1], sys.argv[2])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
files.IN_MEMORY = 1000
Streams.from_text(sys.argv[3], sys.argv[2])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    (tmp_path / "small.txt").write_text(texts.WORDS * 1000)
    (tmp_path / "large.txt").write_text(texts.WORDS * 40000)
    size = (tmp_path / "large.txt").stat().st_size
    command = [sys.executable, "-c", code, str(tmp_path / "small.txt"), str(tokenizer), str(tmp_path / "large.txt")]
    more = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout) * 1024
    assert more < 8 * size
