"""Files that somebody hands over: pipes and devices are not waited for, small files that ask for much are refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import outlast
from outlast import InputError, InputSpec, Streams
from outlast.cli.options import EvaluateVerb
from outlast.cli.parsing import parse
from outlast.tasks.recipe_files import read_recipe

MODEL_FILES = ("outlast.json", "model.safetensors", "config.json", "tokenizer.json", "model.onnx", "pytorch_model.bin")


def refused(call: Callable[[], Any]) -> str:
    with pytest.raises(InputError) as told:
        call()
    return str(told.value)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("odd", [pipe, device])
@pytest.mark.parametrize("name", MODEL_FILES)
def test_what_lies_in_a_model_s_folder(odd: Callable[[Path], None], name: str, tmp_path: Path) -> None:
    outlast.save(outlast.build("gru", inputs=InputSpec("features", 1), outputs=1, width=2, layers=1), tmp_path)
    (tmp_path / name).unlink(missing_ok=True)
    odd(tmp_path / name)
    assert f"{tmp_path / name}, which is a pipe, a socket or a device" in refused(lambda: outlast.load(tmp_path))


@pytest.mark.parametrize("odd", [pipe, device])
def test_a_model_that_is_none(odd: Callable[[Path], None], tmp_path: Path) -> None:
    odd(tmp_path / "model.onnx")
    assert "which is a pipe" in refused(lambda: outlast.load(tmp_path / "model.onnx"))
    odd(tmp_path / "profile.json")
    assert "which is a pipe" in refused(lambda: outlast.load_profile(tmp_path))


READERS: dict[str, Callable[[Path], Any]] = {
    "config": lambda path: parse(EvaluateVerb, ["--config", str(path)]),
    "recipe": read_recipe,
}


@pytest.mark.parametrize("reader", READERS)
def test_a_toml_file_without_end(reader: str, tmp_path: Path) -> None:
    read, path = READERS[reader], tmp_path / "options.toml"
    key = "a" + 100_000 * ".a"
    for text in (f"{key} = 1", f"[{key}]\nb = 1", f"x = {{{key} = 1}}"):
        path.write_text(text)
        assert "more than 1,000 dots" in refused(lambda: read(path))
    path.write_text("#" + 2**20 * "x")
    assert "longer than 1,048,576 bytes" in refused(lambda: read(path))
    path.unlink()
    pipe(path)
    assert "which is a pipe" in refused(lambda: read(path))
    path.unlink()
    device(path)
    assert "which is a pipe" in refused(lambda: read(path))


def test_bins_without_number() -> None:
    table = {"power": [0.1 * row for row in range(400)]}
    assert "1000000000000 bins" in refused(lambda: Streams.from_table(table, target="power", bins=10**12))
