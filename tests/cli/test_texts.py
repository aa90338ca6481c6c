"""Texts on the command line: a language model of transformers and a folder of texts, with nothing else typed."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
import transformers

import outlast
from cli.workshop import QUICK, Run, files
from data import texts
from outlast.results import Diagnosis, Evaluation, load_result

BRIEF = ("--train-context", "32", "--scored", "16", *QUICK)


@pytest.fixture(scope="session")
def language_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory as transformers saves it: a Mamba that was never trained, and a tokeniser."""
    folder = tmp_path_factory.mktemp("lm") / "lm"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = transformers.MambaConfig(vocab_size=304, hidden_size=8, num_hidden_layers=1, state_size=4)
        transformers.MambaForCausalLM(config).save_pretrained(folder)
    return texts.byte_pairs(folder, 300)


@pytest.fixture
def at(here: Path, language_model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The model as lm, 40 texts as corpus, their rows as rows.jsonl, and a cache of its own."""
    monkeypatch.setenv("OUTLAST_CACHE", str(here / "cache"))
    (here / "lm").symlink_to(language_model)
    (here / "corpus").mkdir()
    random = torch.Generator().manual_seed(0)
    words = texts.WORDS.split()
    said = [" ".join(words[i] for i in torch.randint(len(words), (200,), generator=random)) for _ in range(40)]
    for number, text in enumerate(said):
        (here / "corpus" / f"{number:02}.md").write_text(text)
    (here / "rows.jsonl").write_text("".join(f"{json.dumps({'text': text, 'size': 0.5})}\n" for text in said))
    return here


def test_evaluate_a_folder_of_texts(run: Run, at: Path) -> None:
    found = run("evaluate", "--model", "lm", "--data", "corpus/", *BRIEF, "--out", "out")
    assert found.status == 0, found.err
    result = load_result("out")
    assert isinstance(result, Evaluation)
    assert result.data["tokenizer"] == "lm"
    assert result.data["documents_read"] == "joined"
    assert "40 documents were joined into one long recording" in " ".join(found.out.split())
    assert result.per_byte is not None
    size = result.data["bytes_per_token"]
    # A model without training knows no more than how many tokens there are.
    assert result.oldest.loss * result.per_byte == pytest.approx(math.log2(304) / size, rel=0.02)
    bits = f"{result.oldest.loss * result.per_byte:.2f}"
    assert f"In bits per byte of text: {bits}" in found.out
    page = (at / "out" / "report.html").read_text()
    assert "Bits per byte" in page
    assert len(result.slices["labels"]["document"]) >= 8
    rows = run("evaluate", "--model", "lm", "--data", "rows.jsonl", *BRIEF, "--out", "rows")
    assert rows.status == 0, rows.err
    other = load_result("rows")
    assert isinstance(other, Evaluation)
    assert other.age_curve == result.age_curve


def test_diagnose_a_folder_of_texts(run: Run, at: Path) -> None:
    found = run("diagnose", "--model", "lm", "--data", "corpus", *BRIEF, "--jobs", "1", "--out", "out")
    assert found.status == 0, found.err
    result = load_result("out")
    assert isinstance(result, Diagnosis)
    assert result.evaluation.per_byte is not None


def test_a_tokenizer_goes_with_the_model(run: Run, at: Path) -> None:
    """Trained from text, a model finds its tokeniser again; a model that is written over it takes its own along."""
    train = ("train", "--data", "corpus", "--family", "gru", "--settings", "width", "4", "--steps", "2", *BRIEF[:2])
    named = run(*train, "--tokenizer", "lm", *QUICK, "--out", "out")
    assert named.status == 0, named.err
    tokeniser = {"model/tokenizer.json", "model/tokenizer_config.json"}
    assert tokeniser <= files(at / "out")
    assert run("evaluate", "--model", "out/model", "--data", "corpus", *BRIEF, "--out", "measured").status == 0
    result = load_result("measured")
    assert result.data["tokenizer"] == "out/model"  # pyright: ignore[reportAttributeAccessIssue]
    said = run("generate", "--model", "out/model", "--prompt", "the state", "--steps", "3", "--json")
    assert len(json.loads(said.out)["tokens"]) == 3
    model = outlast.load("out/model")
    outlast.save(model, "copy")
    assert {Path(name).name for name in tokeniser} <= files(at / "copy")
    repaired = run(
        "repair", "--model", "out/model", "--data", "corpus", *BRIEF, "--steps", "2", "--anyway", "--out", "r"
    )
    assert repaired.status in (0, 1), repaired.err
    assert any(name.endswith("/tokenizer.json") for name in files(at / "r"))

    plain = run(*train, *QUICK, "--out", "out")
    assert plain.status == 0, plain.err
    assert not tokeniser & files(at / "out")
    assert outlast.load("out/model").tokeniser is None


def test_a_tokenizer_of_more_tokens_than_the_model_has(run: Run, at: Path) -> None:
    texts.byte_pairs(at / "large", 320)
    said = run(
        "evaluate", "--model", "lm", "--data", "corpus", "--tokenizer", "large", *BRIEF, "--out", "out"
    ).refused()
    assert "tokens up to 319 for a model with a vocabulary of 304" in said
    assert "use the tokeniser that the model was trained with" in said
    assert not (at / "out").exists()


def test_documents_and_separator(run: Run, at: Path) -> None:
    words = ("check", "--model", "lm", "--data", "corpus", *QUICK, "--out", "out")
    assert run(*words, "--documents", "joined", "--separator", "\\n").status == 0
    (record,) = (at / "cache" / "tokens").glob("*/record.json")
    assert run(*words, "--documents", "joined", "--separator", "\n").status == 0
    assert list((at / "cache" / "tokens").glob("*/record.json")) == [record]
