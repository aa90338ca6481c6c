"""docs/checkpoints.md: its examples run, and its table is what is read."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import torch

from foreign import theirs
from foreign.test_state_spaces import MAMBA
from foreign.test_state_spaces import written as original
from outlast.cli import main
from outlast.foreign import FORMATS
from outlast.generation import generate, load_place

PAGE = (Path(__file__).parents[2] / "docs" / "checkpoints.md").read_text()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    settings = {"vocab_size": 13, "num_hidden_layers": 1, "hidden_size": 8, "num_heads": 4, "head_dim": 4}
    theirs.saved("mamba2", {**settings, "n_groups": 2, "state_size": 4}, tmp_path / "my-mamba2")
    original(tmp_path / "mamba-130m", MAMBA)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_python_example_runs(folder: Path) -> None:
    code = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict = {}
    for block in code:
        exec(compile(block, "docs/checkpoints.md", "exec", dont_inherit=True), names)
    theirs.assert_same_directories(folder / "my-mamba2", folder / "copy")
    assert (folder / "mamba-130m-hf" / "config.json").is_file()
    once, _ = generate(names["model"], names["prompt"], 10)
    assert torch.equal(torch.cat([names["tokens"], names["more"]], 1), once)
    assert load_place("place.safetensors", names["model"]).position == names["place"].position == 12


def test_the_commands_run_and_are_one_stream(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands = re.findall(r"^\$ outlast (.*)$", PAGE, re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        assert main(shlex.split(command)) == 0
    first, second = ([int(word) for word in line.split()] for line in capsys.readouterr().out.splitlines())
    assert (
        main(["generate", "--model", "my-mamba2", "--steps", "5", "--tokens", *map(str, [3, 1, 4, *first, 1, 5])]) == 0
    )
    assert [int(word) for word in capsys.readouterr().out.split()] == second


def test_the_table_is_what_is_read() -> None:
    kinds = re.findall(r"^\| `([\w.]+)` \| `\w+`", PAGE, re.MULTILINE)
    assert sorted(kinds) == sorted(FORMATS)
