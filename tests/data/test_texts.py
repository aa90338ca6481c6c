"""Text as people have it: where it lies, what it becomes, and how documents are put together."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from data import texts
from outlast.data import Streams, open_streams
from outlast.data.text import texts as texts_module
from outlast.errors import InputError

SAID = ["one two three", "two", "", "three é", "one one two two"]


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("OUTLAST_CACHE", str(folder))
    return folder


def documents(streams: Streams) -> list[str]:
    """The bytes of each stream as text, with the last target."""
    pairs = zip(streams.starts, streams.lengths, strict=True)
    return [bytes(streams.inputs[a : a + n + 1].tolist()).decode() for a, n in pairs]


def write(path: Path, rows: list) -> Path:
    """Rows in the form that the ending says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(pa.Table.from_pylist(rows), path)
        return path
    lines = "".join(f"{json.dumps(row)}\n" for row in rows)
    path.write_bytes(gzip.compress(lines.encode()) if path.suffix == ".gz" else lines.encode())
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson", "a.jsonl.gz", "a.NDJSON", "a.parquet"])
def test_rows_of_text(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, [{"id": k, "text": said or None} for k, said in enumerate(SAID)])
    expected = [said for said in SAID if said]
    for field in (None, "text"):
        assert documents(Streams.from_text(path, documents="separate", field=field)) == expected
    streams = open_streams(path, field="text", documents="separate")
    assert streams.about["field"] == "text"
    assert streams.about["documents_too_short"] == 1
    assert streams.names is not None
    assert streams.names.tolist() == ["1", "2", "4", "5"]


def test_saved_datasets(tmp_path: Path) -> None:
    texts.save_dataset(tmp_path / "one", {"content": SAID, "number": [1, 2, 3, 4, 5]})
    assert documents(open_streams(tmp_path / "one", documents="separate")) == [said for said in SAID if said]
    texts.save_datasets(tmp_path / "two", {"train": SAID, "test": SAID[:2]})
    assert documents(open_streams(tmp_path / "two", split="test", documents="separate")) == SAID[:2]
    texts.save_datasets(tmp_path / "alone", {"train": SAID[:2]})
    assert open_streams(tmp_path / "alone", documents="separate").about["split"] == "train"
    for name, field, split, said in (
        ("two", None, None, "with the splits train, test"),
        ("two", None, "tets", "did you mean 'test'"),
        ("one", None, "test", "which has none"),
        ("one", "contents", None, "did you mean 'content'"),
        ("one", "number", None, "'number' of int64"),
    ):
        with pytest.raises(InputError, match=said):
            Streams.from_text(tmp_path / name, field=field, split=split)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("state.json", "{}"),
        ("state.json", "[1"),
        ("state.json", '{"_data_files": [{"filename": "../one/data-00000-of-00001.arrow"}]}'),
        ("state.json", '{"_data_files": [{"filename": "data-00001-of-00001.arrow"}]}'),
        ("data-00000-of-00001.arrow", "ARROW1"),
    ],
)
def test_a_damaged_dataset(tmp_path: Path, file: str, content: str) -> None:
    texts.save_dataset(tmp_path / "one", {"text": SAID}, shards=1)
    (tmp_path / "one" / file).write_text(content)
    with pytest.raises(InputError, match=r"cannot be read|does not name|without data-00001"):
        open_streams(tmp_path / "one")


def test_a_source_tree(tmp_path: Path) -> None:
    for name in ("a.py", "below/b.rs", "below/c.H", "README.md", ".git/d.py", "e.o", "below/f.cpp"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(f"what {name} says")
    streams = open_streams(tmp_path, documents="separate")
    assert streams.names is not None
    assert streams.names.tolist() == ["README.md", "a.py", "below/b.rs", "below/c.H", "below/f.cpp"]
    assert documents(streams)[2] == "what below/b.rs says"
    assert open_streams(tmp_path).about["documents_read"] == "joined"
    assert len(open_streams(str(tmp_path / "**" / "*.py"), documents="separate")) == 1
    assert open_streams(tmp_path / "a.py").about["reader"] == "text"


def test_what_lies_beside_tables_does_not_make_them_text(tmp_path: Path) -> None:
    rows = "\n".join(f"{k * k % 11},{k % 7}" for k in range(50))
    (tmp_path / "readings.csv").write_text(f"a,b\n{rows}")
    (tmp_path / "README.md").write_text("These are readings.")
    (tmp_path / "load.py").write_text("import csv")
    assert open_streams(tmp_path).about["reader"] == "table"
    (tmp_path / "readings.csv").unlink()
    write(tmp_path / "rows.jsonl", [{"text": said, "a": 0.5 * k} for k, said in enumerate(SAID)])
    (tmp_path / "load.py").unlink()
    assert open_streams(tmp_path).about["reader"] == "table"
    assert documents(open_streams(tmp_path, tokenizer=None, documents="separate")) == [said for said in SAID if said]
    (tmp_path / "load.py").write_text("import csv")
    with pytest.raises(InputError, match=r"load\.py, rows\.jsonl"):
        Streams.from_text(tmp_path)
    assert len(open_streams(tmp_path, field="text", documents="separate")) == 4


def test_names_of_rows_in_several_files(tmp_path: Path) -> None:
    for name in ("a.jsonl", "below/b.jsonl"):
        write(tmp_path / name, [{"text": "one two"}, {"text": "three"}])
    for given in (tmp_path, str(tmp_path / "**" / "*.jsonl")):
        streams = Streams.from_text(given, documents="separate")
        assert streams.names is not None
        assert streams.names.tolist() == ["a.jsonl:1", "a.jsonl:2", "below/b.jsonl:1", "below/b.jsonl:2"]


@pytest.mark.parametrize(
    ("rows", "field", "said"),
    [
        ([{"a": "x", "b": "y"}], None, r"columns a, b, of text a, b\n"),
        ([{"a": 1, "b": 2}], None, r"columns a, b, none of text\n"),
        ([{"a": "xy"}], "b", r"line 1 of .*'b'"),
        ([{"a": "xy"}, {"a": 3}], "a", r"'a' in line 2 of .*, which is no text"),
        ([{"a": "x\ud800"}], "a", "half a surrogate pair"),
        ([{"a": ""}, {"a": None}], "a", "2 documents"),
        ([[1]], None, "which is no object"),
    ],
)
def test_rows_without_text(tmp_path: Path, rows: list, field: str | None, said: str) -> None:
    with pytest.raises(InputError, match=said):
        Streams.from_text(write(tmp_path / "a.jsonl", rows), field=field)


def test_files_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"one \xff two")
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    (tmp_path / "a.jsonl.gz").write_bytes(b"\x1f\x8b\x08")
    tokenizer = texts.with_start(tmp_path / "tokenizer")
    assert documents_of_bytes(Streams.from_text(tmp_path / "a.txt")) == b"one \xff two"
    with pytest.raises(InputError, match="not text in UTF-8"):
        Streams.from_text(tmp_path / "a.txt", tokenizer)
    for name in ("a.parquet", "a.jsonl.gz"):
        with pytest.raises(InputError, match="cannot be read"):
            Streams.from_text(tmp_path / name, field="text")
    with pytest.raises(InputError, match="field 'text'"):
        Streams.from_text(tmp_path / "a.txt", field="text")
    with pytest.raises(InputError, match="split 'train'"):
        Streams.from_text(tmp_path / "a.txt", split="train")


def documents_of_bytes(streams: Streams) -> bytes:
    return bytes(streams.inputs[: int(streams.lengths[0]) + 1].tolist())


def test_tokens_of_a_folder_and_of_a_file_alone(tmp_path: Path) -> None:
    tokenizer = texts.byte_pairs(tmp_path / "tokenizer")
    (tmp_path / "a.txt").write_text(texts.WORDS)
    for given in (tokenizer, str(tokenizer), tokenizer / "tokenizer.json"):
        streams = Streams.from_text(tmp_path / "a.txt", given)
        theirs = texts.PreTrainedTokenizerFast.from_pretrained(tokenizer)
        assert streams.inputs[: int(streams.lengths[0]) + 1].tolist() == theirs(texts.WORDS)["input_ids"]
        assert (streams.classes, streams.inputs.dtype) == (len(theirs), np.uint16)
        assert streams.about["target"] == "next token"
        assert streams.about["bytes_per_token"] == len(texts.WORDS) / len(theirs(texts.WORDS)["input_ids"])


def test_tokenisers_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one two")
    (tmp_path / "empty").mkdir()
    (tmp_path / "wrong").mkdir()
    (tmp_path / "wrong" / "tokenizer.json").write_text("{")
    code = {"tokenizer_class": "Mine", "auto_map": {"AutoTokenizer": ["mine.Mine", None]}}
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "tokenizer_config.json").write_text(json.dumps(code))
    (tmp_path / "code" / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Mine: pass\n")
    for name, said in (
        ("empty", "without a tokeniser"),
        ("wrong", "the tokeniser in"),
        ("code", "the tokeniser in"),
        ("gpt2", "where there is nothing"),
    ):
        with pytest.raises(InputError, match=said):
            Streams.from_text(tmp_path / "a.txt", tmp_path / name)
    assert not (tmp_path / "ran").exists()


def test_marks_of_a_beginning_and_of_an_end(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{"text": said} for said in ("one two", "", "three", "two")])
    ends = texts.byte_pairs(tmp_path / "ends")
    joined = Streams.from_text(path, ends, documents="joined")
    theirs = texts.PreTrainedTokenizerFast.from_pretrained(ends)
    between = f"one two{texts.END}three{texts.END}two{texts.END}"
    assert joined.inputs.tolist() == theirs(between)["input_ids"]
    assert joined.about["separator"] == texts.END
    # The mark after the last document has nothing behind it.
    assert int(joined.lengths[0]) == len(joined.inputs) - 2
    assert joined.about["bytes_per_token"] == len("one twothreetwo") / (len(joined.inputs) - 1)

    begins = texts.with_start(tmp_path / "begins")
    streams = Streams.from_text(path, begins, documents="separate")
    assert streams.inputs.tolist() == [0, 2, 3, 0, 4, 0, 3]
    assert (streams.starts.tolist(), streams.lengths.tolist()) == ([0, 3, 5], [2, 1, 1])
    assert streams.about["bytes_per_token"] == len("one twothreetwo") / 4
    given = Streams.from_text(path, begins, documents="joined", separator="one three")
    assert given.inputs.tolist() == [0, 2, 3, 2, 4, 0, 4, 2, 4, 0, 3, 2, 4]


def test_documents_are_joined_where_most_text_lies_in_short_ones(tmp_path: Path) -> None:
    short = texts_module.SHORT
    (tmp_path / "a.txt").write_text("a" * short)
    (tmp_path / "b.txt").write_text("b" * (short - 1))
    (tmp_path / "e.txt").write_text("")
    assert Streams.from_text(tmp_path).about["documents_read"] == "separate"
    (tmp_path / "c.txt").write_text("cc")
    streams = Streams.from_text(tmp_path)
    assert (len(streams), int(streams.lengths[0])) == (1, 2 * short - 1 + 2 + 2 * 2 - 1)
    assert documents(streams)[0].split("\n\n") == ["a" * short, "b" * (short - 1), "cc"]
    assert (streams.about["documents_chosen"], streams.about["documents"]) == ("by their length", 3)
    assert streams.about["bytes_per_token"] == 1.0
    for name in ("b.txt", "c.txt"):
        (tmp_path / name).unlink()
    (tmp_path / "a.txt").write_text("alone")
    assert Streams.from_text(tmp_path).about["documents_read"] == "separate"
    assert Streams.from_text(tmp_path, documents="joined", separator="").about["documents_chosen"] == "as asked"


@pytest.mark.parametrize("how", ["joined", "separate"])
def test_few_documents_are_told_apart(tmp_path: Path, how: texts_module.How) -> None:
    """The label of a position is the document of its target."""
    for number in range(64):
        (tmp_path / f"{number:02}.txt").write_text(chr(65 + number % 26) * 5)
    streams = Streams.from_text(tmp_path, documents=how)
    names = streams.about["label_names"]["document"]
    assert names[:2] == ["00.txt", "01.txt"]
    batch = streams.window(np.array([0]), np.array([0]), 20 if how == "joined" else 4)
    label = batch.extras["label.document"][0]
    assert batch.targets is not None
    assert label.dtype.is_floating_point is False
    assert streams.labels["document"].dtype == np.int16
    for target, document in zip(batch.targets[0].tolist(), label.tolist(), strict=True):
        assert chr(target) in (chr(65 + document), "\n")
    (tmp_path / "64.txt").write_text("one more")
    assert Streams.from_text(tmp_path, documents=how).labels == {}
