"""Writing on: any number of calls are one stream, step by step as in parallel, and the place survives a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

from outlast import checkpoints, generation
from outlast.cli import main
from outlast.errors import InputError
from outlast.families import build
from outlast.generation import Place, generate, load_place, save_place
from outlast.model import InputSpec, Recurrent
from outlast.state import leaves
from outlast.unprojected import LEAST

PROMPT = torch.tensor([[3, 1, 4], [1, 5, 9]])


def model(family: str = "mamba2", size: int = 11) -> Recurrent:
    return build(family, inputs=InputSpec("tokens", size), outputs=size, width=8, heads=2, seed=1).double().eval()


def assert_same_place(a: Place, b: Place) -> None:
    assert a.position == b.position
    assert torch.equal(a.unread, b.unread)
    for x, y in zip(leaves(a.state), leaves(b.state), strict=True):
        torch.testing.assert_close(x, y, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("family", ["mamba2", "gla"])
def test_the_most_likely_tokens_are_those_of_the_parallel_form(family: str) -> None:
    """Each chosen token is the likeliest after everything before it, read at once; and the state is that pass's."""
    lm = model(family)
    chosen, place = generate(lm, PROMPT, 12)
    whole = torch.cat([PROMPT, chosen], 1)
    with torch.no_grad():
        outputs, state = lm(whole[:, :-1], lm.initial_state(2))
    assert torch.equal(outputs[:, 2:].argmax(-1), chosen)
    assert_same_place(place, Place(state, whole[:, -1:], whole.shape[1] - 1))
    assert len(set(chosen.flatten().tolist())) > 2


@pytest.mark.parametrize("size", [11, 5_000])
def test_a_prompt_is_read_in_pieces_and_without_its_head(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is chosen is the same, and no more logits are made than tokens are chosen."""
    lm, prompt = model(size=size), torch.arange(2 * 7).view(2, 7) % 11
    expected, place = generate(lm, prompt, 3)
    monkeypatch.setattr(generation, "_PIECE", 2)
    made: list[int] = []
    head = next(each for each in lm.modules() if isinstance(each, torch.nn.Linear) and each.out_features == size)
    forward = head.forward
    monkeypatch.setattr(head, "forward", lambda x: (made.append(x.shape[1]), forward(x))[1])
    chosen, end = generate(lm, prompt, 3)
    assert torch.equal(chosen, expected)
    assert_same_place(end, place)
    assert sum(made) == (3 if size >= LEAST else 3 + 6)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_calls_join_into_one(temperature: float, tmp_path: Path) -> None:
    """Also with a place that went through a file, a prompt in between, and a call that only reads."""
    lm = model()

    def drawn(prompt: Tensor | None, steps: int, after: Place | None = None) -> tuple[Tensor, Place]:
        return generate(lm, prompt, steps, after=after, temperature=temperature, seed=5)

    once, end = drawn(PROMPT, 10)
    place, pieces = None, []
    for prompt, steps in ((PROMPT[:, :2], 0), (PROMPT[:, 2:], 1), (None, 4), (None, 5)):
        if place is not None:
            save_place(place, tmp_path / "place", lm)
            place = load_place(tmp_path / "place", lm)
        piece, place = drawn(prompt, steps, place)
        assert piece.shape == (2, steps)
        pieces.append(piece)
    assert place is not None
    assert torch.equal(torch.cat(pieces, 1), once)
    assert_same_place(place, end)


def test_sampling_follows_the_temperature() -> None:
    """Frequencies of the first token are the softmax of the outputs; another seed draws others."""
    lm, rows = model(), 4000
    prompt = PROMPT[:1].repeat(rows, 1)
    with torch.no_grad():
        expected = (lm(PROMPT[:1], lm.initial_state(1))[0][0, -1] / 0.3).softmax(-1)
    chosen, _ = generate(lm, prompt, 1, temperature=0.3, seed=1)
    found = torch.bincount(chosen[:, 0], minlength=11) / rows
    assert (found - expected).abs().max() < 5 * (0.25 / rows) ** 0.5
    assert not torch.equal(chosen, generate(lm, prompt, 1, temperature=0.3, seed=2)[0])


def test_wrong_input(tmp_path: Path) -> None:
    lm = model()
    features = build("gru", inputs=InputSpec("features", 3), outputs=2)
    bins = build("gru", inputs=InputSpec("tokens", 5), outputs=2)
    for given, words in (
        (lambda: generate(lm, None, 3), "at least one token"),
        (lambda: generate(lm, torch.tensor([[11]]), 3), "from 0 to 10"),
        (lambda: generate(lm, PROMPT, -1), "at least 0"),
        (lambda: generate(lm, PROMPT, 1, temperature=-1.0), "at least 0"),
        (lambda: generate(features, PROMPT, 1), "a model of tokens"),
        (lambda: generate(bins, torch.tensor([[1]]), 1), "one output a token"),
        (lambda: load_place(tmp_path / "nowhere", lm), "cannot be read"),
    ):
        with pytest.raises(InputError, match=words):
            given()


def test_a_place_belongs_to_one_model(tmp_path: Path) -> None:
    _, place = generate(model(), PROMPT, 2)
    path = tmp_path / "place"
    save_place(place, path, model())
    with pytest.raises(InputError, match="use that model"):
        load_place(path, model("gla"))
    safetensors.torch.save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(InputError, match="cannot be read"):
        load_place(path, model())
    with pytest.raises(InputError, match="could not be written"):
        save_place(place, tmp_path / "no" / "folder", model())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    checkpoints.save(model(size=256).float(), tmp_path / "lm")
    checkpoints.save(model().float(), tmp_path / "numbers")
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["generate", *words]) == 0
    return capsys.readouterr().out


def test_on_the_command_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = json.loads(said(capsys, "--model", "lm", "--prompt", "Grüße", "--steps", "9", "--json"))
    text = said(capsys, "--model", "lm", "--prompt", "Grüße", "--steps", "9")
    assert bytes(whole["tokens"]).decode(errors="replace") == whole["text"] == text.removesuffix("\n")
    tokens = []
    for words in (("--prompt", "Grü", "--steps", "0"), ("--prompt", "ße", "--steps", "4"), ("--steps", "5")):
        part = json.loads(said(capsys, "--model", "lm", "--state", "place", "--json", *words))
        tokens += part["tokens"]
    assert tokens == whole["tokens"]
    assert part["position"] == whole["position"] == len("Grüße".encode()) + 8
    numbers = said(capsys, "--model", "numbers", "--tokens", "3", "1", "4", "--steps", "3")
    assert numbers.split() == [str(token) for token in generate(model().float(), PROMPT[:1], 3)[0][0].tolist()]


def test_wrong_words_on_the_command_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "lm" / "tokenizer.json").write_text("{")
    for words, expected in (
        (("numbers", "--prompt", "text"), "--tokens 3 1 4"),
        (("numbers", "--prompt", "a", "--tokens", "1"), "leave one out"),
        (("numbers",), "at least one token"),
        (("lm", "--prompt", "a"), "the tokeniser in lm"),
    ):
        assert main(["generate", "--model", *words]) == 2
        assert expected in capsys.readouterr().err
