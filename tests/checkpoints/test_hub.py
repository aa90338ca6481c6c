"""Models named by their ids on a hub, from a hub on this machine; and what is said where there is none."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from checkpoints.hub_server import Hub, serving
from foreign import theirs
from outlast.checkpoints import load
from outlast.checkpoints.hub import is_id
from outlast.cli import main
from outlast.generation import generate

SETTINGS = {"vocab_size": 7, "num_hidden_layers": 1, "hidden_size": 8, "state_size": 4}
NOWHERE = "http://127.0.0.1:9"
"""A port that nothing listens at."""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    folder = tmp_path_factory.mktemp("repositories")
    for name, seed in (("main", 0), ("later", 1)):
        model = theirs.built("mamba", SETTINGS, seed)
        model.save_pretrained(folder / name)
    theirs.saved("mamba", SETTINGS, folder / "shards", max_shard_size="1KB")
    words = {word: i for i, word in enumerate(["a", "b", "c", "d", "e", "f", "g"])}
    tokeniser = Tokenizer(models.WordLevel(words, "a"))
    tokeniser.pre_tokenizer = pre_tokenizers.Whitespace()  # pyright: ignore[reportAttributeAccessIssue]
    PreTrainedTokenizerFast(tokenizer_object=tokeniser).save_pretrained(folder / "main")
    for name in ("pytorch_model.bin", "modeling.py", "README.md"):
        (folder / "main" / name).write_text("not to be fetched")
    (folder / "main" / "step-5").mkdir()
    (folder / "main" / "step-5" / "model.safetensors").write_text("not to be fetched")
    for name, config in (("pickle", {}), ("llama", {"model_type": "llama"})):
        (folder / name).mkdir()
        record = json.loads((folder / "main" / "config.json").read_text())
        (folder / name / "config.json").write_text(json.dumps({**record, **config}))
        (folder / name / "pytorch_model.bin").write_text("a pickle")
    (folder / "llama" / "model.safetensors").write_text("large")
    (folder / "data").mkdir()
    (folder / "data" / "data.json").write_text("{}")
    (folder / "adapter").mkdir()
    (folder / "adapter" / "adapter_config.json").write_text('{"base_model_name_or_path": "them/small"}')
    names = ("shards", "pickle", "llama", "data", "adapter")
    folders = {f"them/{name}": {"main": folder / name} for name in names}
    folders["them/small"] = {"main": folder / "main", "v2": folder / "later"}
    folders["them/secret"] = {"main": folder / "main"}
    with serving(folders, gated={"them/secret"}) as found:
        yield found


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Make a URL huggingface_hub's hub, with a cache of the test's own."""
    monkeypatch.chdir(tmp_path)

    def use(url: str) -> None:
        monkeypatch.setattr(constants, "ENDPOINT", url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)

    return use


def written(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """What `outlast generate` writes with a model on the hub."""
    capsys.readouterr()
    assert main(["generate", "--model", "them/small", "--steps", "4", "--json", *arguments]) == 0
    return json.loads(capsys.readouterr().out)


def expected(folder: Path) -> list[int]:
    return generate(load(folder), torch.tensor([[3, 1, 4]]), 4)[0][0].tolist()


def test_a_model_is_fetched_with_its_tokeniser_and_without_pickles_and_code(
    hub: Hub, at: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    at(hub.url)
    hub.asked.clear()
    first = written(capsys, "--prompt", "d b e")
    main_branch = hub.folders["them/small"]["main"]
    assert first["tokens"] == expected(main_branch)
    assert first["text"].split() == ["abcdefg"[token] for token in first["tokens"]]
    wanted = {path.name for path in main_branch.iterdir() if path.suffix in (".json", ".safetensors")}
    assert hub.fetched() == wanted
    assert "tokenizer.json" in wanted
    # What was fetched is not fetched again, and is there without any hub.
    hub.asked.clear()
    assert written(capsys, "--tokens", "3", "1", "4")["tokens"] == first["tokens"]
    assert hub.fetched() == set()
    at(NOWHERE)
    assert written(capsys, "--tokens", "3", "1", "4")["tokens"] == first["tokens"]


def test_a_revision_is_another_model(hub: Hub, at: Callable[[str], None], capsys: pytest.CaptureFixture[str]) -> None:
    at(hub.url)
    later = expected(hub.folders["them/small"]["v2"])
    assert later != expected(hub.folders["them/small"]["main"])
    for revision in ("v2", hub.commit("them/small", "v2")):
        assert written(capsys, "--tokens", "3", "1", "4", "--revision", revision)["tokens"] == later


def test_shards_are_fetched_and_the_result_names_the_commit(
    hub: Hub, at: Callable[[str], None], tmp_path: Path
) -> None:
    at(hub.url)
    assert main(["check", "--model", "them/shards", "--out", "check", "--quiet"]) == 0
    command = json.loads((tmp_path / "check" / "result.json").read_text())["command"]
    assert command["model"].endswith(f"models--them--shards/snapshots/{hub.commit('them/shards', 'main')}")


@pytest.mark.parametrize(
    ("arguments", "given", "do"),
    [
        (["them/absent"], "no such model", "check the folder's name, or the id"),
        (["them/small", "--revision", "v9"], "--revision v9", "leave it out"),
        (["them/secret"], "nobody read without asking", "hf auth login"),
        (["them/pickle"], "no safetensors", "hf download them/pickle --local-dir pickle"),
        (["them/llama"], "model_type = 'llama'", "docs/models.md"),
        (["them/adapter"], "them/adapter, an adapter of them/small", "give adapter-merged"),
        (["them/data"], "without outlast.json or config.json", "check the folder's name"),
    ],
)
def test_what_cannot_be_had_is_said_before_weights_are_fetched(
    arguments: list[str],
    given: str,
    do: str,
    hub: Hub,
    at: Callable[[str], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    at(hub.url)
    hub.asked.clear()
    assert main(["check", "--model", *arguments]) == 2
    said = re.search(r"^given: (.+)\nexpected: .+\nwhat to do: (.+)", capsys.readouterr().err, re.MULTILINE)
    assert said is not None
    assert given in said[1]
    assert do in said[2]
    assert "model.safetensors" not in hub.fetched()


def test_where_no_hub_can_be_reached_one_message_says_so(
    at: Callable[[str], None], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    at(NOWHERE)
    np.save(tmp_path / "x.npy", np.zeros((16, 1), np.float32))  # data are looked for first
    assert main(["evaluate", "--model", "them/small", "--data", str(tmp_path / "x.npy"), "-T", "8"]) == 2
    said = capsys.readouterr().err
    assert "given: 'them/small': no such folder here, and no hub can be reached" in said
    assert "hf download them/small --include '*.json' '*.safetensors' --local-dir small" in said
    assert said.count("given: ") == 1


def test_a_revision_of_a_folder_is_refused(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(hub.folders["them/small"]["main"])
    assert main(["check", "--model", folder, "--revision", "main"]) == 2
    assert "leave the revision out" in capsys.readouterr().err


def test_in_python_by_the_environment(hub: Hub, tmp_path: Path) -> None:
    code = "import outlast, torch\nmodel = outlast.load('them/small', revision='v2')\n"
    code += "print(outlast.generate(model, torch.tensor([[3, 1, 4]]), 4)[0][0].tolist())\n"
    code += "print(outlast.deploy('them/small').folder)\n"
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "cache")}
    environment.pop("HF_HUB_OFFLINE", None)
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True)
    tokens, folder = done.stdout.splitlines()
    assert json.loads(tokens) == expected(hub.folders["them/small"]["v2"])
    assert folder.endswith(f"models--them--small/snapshots/{hub.commit('them/small', 'main')}")


def test_a_folder_comes_before_a_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where only the first of two parts is here: then a name is misspelt, and nobody else is asked for it."""
    (tmp_path / "runs" / "model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    for name, asked in (
        ("runs/model", False),
        ("runs/modle", False),
        ("them/small", True),
        ("them/small.pth", False),
        ("package.module:build", False),
        ("/them/small", False),
        ("./them/small", False),
        ("them/small/more", False),
        ("small", False),
    ):
        assert is_id(name) == asked, name
    assert is_id("runs/model", revision="main")
