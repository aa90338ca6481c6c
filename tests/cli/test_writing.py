"""`outlast generate` on data and beside another model, and the texts in a repair's result."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.workshop import Run
from outlast import checkpoints
from outlast.families import build
from outlast.model import InputSpec
from outlast.results import Comparison, Repair, load_result
from outlast.serving import continuing

WORDS = ("generate", "--model", "lm", "--data", "books", "--documents", "separate", "--device", "cpu")
TEXTS = ("--data", "books", "--documents", "separate")
TRAINED = ("--train-context", "16", "--scored", "32", "--steps", "2", "--device", "cpu")


@pytest.fixture
def books(here: Path) -> Path:
    """Two language models of bytes and 40 texts of 200 to 240 bytes; two models of other tokens."""
    for name, seed, size in (("lm", 0, 256), ("lm2", 1, 256), ("few", 0, 7), ("many", 0, 300)):
        model = build("gru", inputs=InputSpec("tokens", size), outputs=size, width=8, layers=1, seed=seed)
        checkpoints.save(model, here / name)
    (here / "books").mkdir()
    for number in range(40):
        (here / "books" / f"{number:02}.txt").write_text((f"Book {number} says Grüße. " * 20)[: 200 + number])
    return here / "books"


def test_a_text_is_read_up_to_an_age_and_written_on(run: Run, books: Path) -> None:
    told = json.loads(run(*WORDS, "--age", "100", "--stream", "3", "--steps", "7", "--json").out)
    text = (books / "03.txt").read_bytes()
    assert told["position"] == 106
    assert told["read"] == text[:100].decode(errors="replace")
    assert told["true"] == text[100:107].decode(errors="replace")
    prompt = run(
        "generate", "--model", "lm", "--prompt", text[:100].decode(), "--steps", "7", "--json", "--device", "cpu"
    )
    assert told["tokens"] == json.loads(prompt.out)["tokens"]
    whole = json.loads(run(*WORDS, "--steps", "1", "--json").out)
    assert whole["position"] == len((books / "00.txt").read_bytes())
    assert whole["true"] == ""


def test_two_models_write_beside_each_other(run: Run, books: Path) -> None:
    drawn = ("--age", "100", "--steps", "20", "--temperature", "1", "--seed", "4")
    told = json.loads(run(*WORDS, *drawn, "--against", "lm2", "--json").out)
    assert told["against"]["model"] == "lm2"
    assert told["against"]["tokens"] != told["tokens"] == json.loads(run(*WORDS, *drawn, "--json").out)["tokens"]
    other = ("generate", "--model", "lm2", *WORDS[3:], *drawn, "--json")
    assert json.loads(run(*other).out)["tokens"] == told["against"]["tokens"]
    shown = run(*WORDS, *drawn, "--against", "lm2").out
    lines = shown.splitlines()
    assert lines[0] == "after 100 positions of stream 0, which end:"
    assert lines[1].startswith("Book 0 says Grüße.")
    heads = next(line for line in lines if "lm2" in line)
    assert heads.split() == ["as", "the", "text", "goes", "on", "lm", "lm2"]
    assert max(map(len, lines)) <= 100
    assert not any(sign < " " for line in lines for sign in line)
    alone = run("generate", "--model", "lm", "--prompt", "Once", "--against", "lm2", "--device", "cpu").out
    assert "as the text goes on" not in alone
    assert "lm2" in alone


def test_a_text_goes_on_from_the_place_that_was_kept(run: Run, books: Path) -> None:
    once = json.loads(run(*WORDS, "--age", "100", "--steps", "9", "--json").out)
    first = json.loads(run(*WORDS, "--age", "100", "--steps", "4", "--state", "place", "--json").out)
    rest = ("generate", "--model", "lm", "--state", "place", "--steps", "5", "--json", "--device", "cpu")
    assert first["tokens"] + json.loads(run(*rest).out)["tokens"] == once["tokens"]


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("--prompt", "a"), "--data and --prompt"),
        (("--tokens", "1"), "--data and --tokens"),
        (("--state", "lm/outlast.json"), "--data and --state lm/outlast.json, which exists"),
        (("--age", "0"), "--age"),
        (("--age", "1000"), "an age of 1000 in stream 0"),
        (("--stream", "40"), "stream 40 of 40"),
        (("--stream", "-1"), "stream -1 of 40"),
        (("--data", "nowhere"), "nowhere"),
        (("--data", "features.npy"), "for features.npy, read as arrays: option 'documents'"),
        (("--against", "few"), "--against few"),
        (("--against", "lm"), "--against lm, the model itself"),
        (("--against", "lm2", "--state", "new"), "--against and --state"),
        (("--model", "few"), "a vocabulary of 7 and no tokenizer"),
        (("--model", "many"), "a vocabulary of 300 and no tokenizer"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_read_first(run: Run, books: Path, words: tuple[str, ...], part: str) -> None:
    assert part in run(*WORDS, *words).refused()


@pytest.mark.parametrize("words", [("--age", "3"), ("--stream", "1")], ids=" ".join)
def test_ages_are_of_data(run: Run, books: Path, words: tuple[str, ...]) -> None:
    message = run("generate", "--model", "lm", "--prompt", "a", *words).refused()
    assert f"{words[0]} without --data" in message


def test_a_repair_of_texts_shows_what_both_models_write(run: Run, books: Path) -> None:
    done = run("repair", "--model", "lm", *TEXTS, *TRAINED, "--anyway", "--out", "out")
    assert done.status in (0, 1), done.err
    result = load_result("out")
    assert isinstance(result, Repair)
    assert [each.stream for each in result.samples] == [0, 1, 2]
    assert all(each.read and each.true and each.age > 100 for each in result.samples)
    page = Path("out/report.html").read_text()
    assert "Texts written on at an old age" in page
    assert "Perplexity by position" in page


def test_a_comparison_of_texts_shows_the_picked_one(run: Run, books: Path) -> None:
    words = ("--interventions", "zero", "state_passing", "--no-control", "--anyway", "--out", "out")
    assert run("compare", "--model", "lm", *TEXTS, *TRAINED, *words).status in (0, 1)
    result = load_result("out")
    assert isinstance(result, Comparison)
    assert len(result.samples) == 3
    assert "Texts written on at an old age" in Path("out/report.html").read_text()


def test_without_texts_there_are_none(run: Run, books: Path) -> None:
    """Of tokens without a tokeniser, and where one cannot be read: the training is not stopped for it."""
    few = ("--data", "tokens.npy", *TRAINED, "--shares", "0.4", "0.3", "0.3")
    assert run("repair", "--model", "few", *few, "--no-control", "--anyway", "--out", "out").status in (0, 1)
    result = load_result("out")
    assert isinstance(result, Repair)
    assert result.samples == []
    (books.parent / "lm" / "tokenizer.json").write_text("{")
    again = ("repair", "--model", "lm", *TEXTS, *TRAINED, "--no-control", "--anyway", "--out", "out2")
    assert "the tokeniser in lm" in run(*again).refused()  # its texts cannot be read either


def test_a_fault_while_writing_does_not_cost_the_result(run: Run, books: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object, **named: object) -> None:
        raise OverflowError("no such token")

    monkeypatch.setattr(continuing, "generate", broken)
    done = run("repair", "--model", "lm", *TEXTS, *TRAINED, "--no-control", "--anyway", "--out", "out")
    assert done.status in (0, 1)
    assert "no continuations in the report: OverflowError: no such token" in done.err
    assert "report: out/report.html" in done.out
