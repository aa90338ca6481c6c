"""The whole life of models that transformers runs: checked, measured, repaired, saved, and loaded by transformers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from benchmarks.pages import small_types as small
from foreign.test_borrowed import KINDS
from foreign.test_life import tokens
from foreign.theirs import worst
from outlast import checkpoints
from outlast.cli import main
from outlast.data import Streams, split
from outlast.evaluation import EvalSettings, evaluate
from outlast.generation import generate
from outlast.interventions import Carry
from outlast.repairs import RepairSettings, repair
from outlast.training import TrainSettings

pytestmark = pytest.mark.filterwarnings("ignore:attention sees the last")
PAGE = Path(__file__).parents[2] / "docs" / "models.md"

LIVES = [
    pytest.param(name, id=kind, marks=[] if name == "lfm2" else [pytest.mark.long]) for kind, name in KINDS.items()
]


@pytest.mark.parametrize("name", LIVES)
def test_a_model_is_measured_and_repaired_and_goes_back(name: str, tmp_path: Path) -> None:
    small.built(name).save_pretrained(tmp_path / "theirs")
    base: Any = checkpoints.load(tmp_path / "theirs", attention_window=64)
    streams = split(Streams.from_tokens(tokens(40, 256), vocabulary=64))
    before = evaluate(base, streams, train_context=16, settings=EvalSettings(targets=32))
    assert ("attention_window" in [note.name for note in before.notes]) == (base.forgets is not None)
    done = repair(
        base,
        streams,
        train_context=16,
        intervention=Carry(expected_run=64),
        training=TrainSettings(steps=5, batch_size=8, learning_rate=1e-3),
        measuring=EvalSettings(targets=32),
        repairing=RepairSettings(anyway=True),
    )
    checkpoints.save(done.model, tmp_path / "repaired", provenance={"by": "carry"})
    back: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "repaired", dtype="auto").eval()
    assert type(back).__name__ == type(base.model).__name__
    inputs = torch.from_numpy(tokens(3, 40))
    with torch.no_grad():
        ours = done.model(inputs, done.model.initial_state(3))[0]
        untouched = base(inputs, base.initial_state(3))[0]
        theirs = back(input_ids=inputs, use_cache=False).logits
    assert worst(ours, theirs) < 1e-4
    assert worst(ours, untouched) > 1e-3, "the repair changed nothing, so the test would show nothing"
    assert (tmp_path / "repaired" / "config.json").read_bytes() == (tmp_path / "theirs" / "config.json").read_bytes()
    chosen, _ = generate(done.model, inputs[:1, :9], 8)
    written = inputs[:1, :9]
    with torch.no_grad():  # without its cache, with which xLSTM raises and others say something else
        for _ in range(8):
            likeliest = back(input_ids=written, use_cache=False).logits[:, -1:].argmax(-1)
            written = torch.cat([written, likeliest], 1)
    assert torch.equal(written[:, 9:], chosen)


def test_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The window is told when the model is loaded, once, and stands in what is found."""
    small.built("bamba").save_pretrained(tmp_path / "theirs")
    model = checkpoints.load(tmp_path / "theirs", attention_window=24)
    checkpoints.save(model, tmp_path / "narrow")
    np.save(tmp_path / "tokens.npy", tokens(40, 128).astype(np.int32))
    options = ["--data", str(tmp_path / "tokens.npy"), "-T", "16", "--vocabulary", "64", "--scored", "32"]
    assert main(["evaluate", "--model", str(tmp_path / "narrow"), *options, "--out", str(tmp_path / "out")]) == 0
    told = capsys.readouterr()
    assert told.err.count("attention sees the last 24 positions") == 1
    assert "Attention sees the last 24 positions" in told.out.replace("\n", " ")


def test_the_example_on_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small.built("lfm2").save_pretrained(tmp_path / "my-hybrid")
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(code, "docs/models.md", "exec", dont_inherit=True), names)
    assert names["model"].forgets == 512
    again: Any = checkpoints.load(tmp_path / "copy")
    assert again.forgets == 512
