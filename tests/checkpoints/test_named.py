"""docs/checkpoints.md: every row of what may be named as the model, tried."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch

from checkpoints.hub_server import serving
from checkpoints.test_hub import at
from foreign import theirs
from foreign.test_rwkv_lm import drawn
from foreign.test_state_spaces import MAMBA2
from foreign.test_state_spaces import written as original
from outlast.checkpoints import save
from outlast.cli import main
from outlast.contract.check import examined
from outlast.families import build
from outlast.model import InputSpec

__all__ = ["at"]  # a fixture
PAGE = (Path(__file__).parents[2] / "docs" / "checkpoints.md").read_text()
ROWS = dict(re.findall(r"^\| (.+?) \| (read|refused) \|", PAGE, re.MULTILINE))
SETTINGS = {"vocab_size": 7, "num_hidden_layers": 1, "hidden_size": 8, "state_size": 4}


def ours() -> str:
    save(build("gru", inputs=InputSpec("features", 2), outputs=1), "ours")
    return "ours"


def theirs_() -> str:
    theirs.saved("mamba", SETTINGS, Path("theirs"))
    return "theirs"


def pickled() -> str:
    theirs_()
    weights = Path("theirs/model.safetensors")
    torch.save(safetensors.torch.load_file(weights), "theirs/pytorch_model.bin")
    weights.unlink()
    return "theirs"


def of_state_spaces() -> str:
    original(Path("original"), MAMBA2)
    return "original"


def of_rwkv_lm() -> str:
    torch.save(drawn(), "rwkv.pth")
    return "rwkv.pth"


def function() -> str:
    Path("named_models.py").write_text(
        "import torch\n\ndef build():\n    return torch.nn.GRU(2, 3, batch_first=True)\n"
    )
    return "named_models:build"


def trainer() -> str:
    theirs.saved("mamba", SETTINGS, Path("out/checkpoint-3"))
    return "out"


def adapter() -> str:
    Path("adapter").mkdir()
    Path("adapter/adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "theirs"}))
    return "adapter"


def headless() -> str:
    theirs.built("mamba", SETTINGS).backbone.save_pretrained("headless")
    return "headless"


def around() -> str:
    ours()
    Path("runs").mkdir()
    Path("ours").rename("runs/ours")
    return "runs"


def file() -> str:
    return f"{theirs_()}/config.json"


def weights() -> str:
    torch.save(torch.nn.GRU(2, 3).state_dict(), "weights.pth")
    return "weights.pth"


def whole() -> str:
    torch.save(torch.nn.GRU(2, 3), "whole.pt")
    return "whole.pt"


def program() -> str:
    torch.jit.trace(torch.nn.Linear(2, 3), torch.zeros(1, 2)).save("program.pt")  # pyright: ignore
    return "program.pt"


def gguf() -> str:
    Path("model.gguf").write_bytes(b"GGUF")
    return "model.gguf"


NAMED: dict[str, Callable[[], str]] = {
    "a folder with `outlast.json`": ours,
    "a folder with `config.json` and safetensors": theirs_,
    "the same with `pytorch_model.bin`": pickled,
    "a folder of `mamba_ssm`": of_state_spaces,
    "a `.pth` of RWKV-LM": of_rwkv_lm,
    "`package.module:build`": function,
    "the output folder of a `Trainer`": trainer,
    "a PEFT adapter": adapter,
    "a model without its head": headless,
    "a folder around a model": around,
    "a file of a model's folder": file,
    "weights alone (`.pth`, `.pt`, `.bin`, `.ckpt`, `.safetensors`)": weights,
    "a pickle of a whole model": whole,
    "a TorchScript program": program,
    "`.gguf`": gguf,
}
HUB = "`owner/name` on a hub"


def test_every_row_is_tried() -> None:
    assert set(ROWS) == {*NAMED, HUB}
    assert ROWS[HUB] == "read"


@pytest.mark.parametrize("row", NAMED)
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_what_is_named_is_read_or_refused_with_one_message(
    row: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("outlast.contract.check.examined", lambda asked, _: examined(asked, "quick"))
    name = NAMED[row]()
    capsys.readouterr()
    status = main(["check", "--model", name, "--out", "check", "--quiet"])
    printed = capsys.readouterr().err
    if ROWS[row] == "read":
        assert status == 0, printed
        return
    assert status == 2
    assert re.match(r"given: .+\nexpected: .+\nwhat to do: .+", printed), printed


def test_a_model_on_a_hub_is_read(at: Callable[[str], None], tmp_path: Path) -> None:
    with serving({"them/small": {"main": tmp_path / theirs_()}}) as hub:
        at(hub.url)
        assert main(["check", "--model", "them/small", "--out", "check", "--quiet"]) == 0
