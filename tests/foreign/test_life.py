"""A transformers model's whole life: trained by transformers, repaired by outlast, used by transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
import torch
from transformers import (
    AutoModelForCausalLM,
    Mamba2Config,
    Mamba2ForCausalLM,
    PreTrainedTokenizerFast,
    Trainer,
    TrainingArguments,
)

from foreign import theirs
from outlast import checkpoints
from outlast.cli import main
from outlast.data import Streams, split
from outlast.evaluation import EvalSettings
from outlast.generation import generate
from outlast.interventions import Carry
from outlast.repairs import RepairSettings, repair
from outlast.training import TrainSettings

VOCABULARY = 8


def tokens(rows: int, length: int) -> np.ndarray:
    """Counting upwards by a step of its own for each row, with some noise."""
    random = np.random.default_rng(0)
    counted = np.arange(length) * random.integers(1, VOCABULARY, (rows, 1)) % VOCABULARY
    noise = random.random((rows, length)) < 0.1
    return np.where(noise, random.integers(0, VOCABULARY, (rows, length)), counted).astype(np.int64)


class Windows(torch.utils.data.Dataset):
    """Windows of 16 tokens, as transformers' Trainer wants them."""

    def __init__(self, data: np.ndarray) -> None:
        self.rows = torch.from_numpy(data).view(-1, 16)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"input_ids": self.rows[index], "labels": self.rows[index]}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Mamba-2 after 30 steps of transformers' Trainer."""
    folder = tmp_path_factory.mktemp("trained")
    torch.manual_seed(0)
    config = Mamba2Config(
        vocab_size=VOCABULARY,
        hidden_size=16,
        num_heads=4,
        head_dim=8,
        n_groups=2,
        state_size=8,
        num_hidden_layers=1,
        chunk_size=16,
        initializer_range=0.02,
        pad_token_id=None,
        bos_token_id=None,
        eos_token_id=None,
    )
    arguments = TrainingArguments(
        output_dir=str(folder / "runs"),
        max_steps=30,
        per_device_train_batch_size=16,
        learning_rate=1e-2,
        report_to=[],
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        use_cpu=True,
    )
    trainer = Trainer(Mamba2ForCausalLM(config), arguments, train_dataset=Windows(tokens(16, 256)))  # pyright: ignore
    trainer.train()
    trainer.save_model(str(folder / "model"))
    return folder / "model"


def test_a_trained_model_is_repaired_and_goes_back(trained: Path, tmp_path: Path) -> None:
    base = checkpoints.load(trained)
    streams = split(Streams.from_tokens(tokens(40, 256), vocabulary=VOCABULARY))
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
    model: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "repaired", dtype="auto")
    assert type(model).__name__ == "Mamba2ForCausalLM"
    inputs = torch.from_numpy(tokens(3, 40))
    with torch.no_grad():
        ours = done.model(inputs, done.model.initial_state(3))[0]
        untouched = base(inputs, base.initial_state(3))[0]
    assert theirs.worst(ours, theirs.logits(model, inputs)) < 1e-4
    assert theirs.worst(ours, untouched) > 1e-3, "the repair changed nothing, so the test would show nothing"
    assert (tmp_path / "repaired" / "config.json").read_bytes() == (trained / "config.json").read_bytes()

    written = model.generate(inputs[:1, :9], max_new_tokens=12, do_sample=False)
    chosen, _ = generate(done.model, inputs[:1, :9], 12)
    assert torch.equal(written[:, 9:], chosen)


def test_on_the_command_line(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A directory in half precision is checked, repaired in float32, and saved as transformers reads it."""
    half: Any = AutoModelForCausalLM.from_pretrained(trained, dtype=torch.bfloat16)
    half.save_pretrained(tmp_path / "half")
    np.save(tmp_path / "tokens.npy", tokens(40, 256).astype(np.int32))
    assert main(["check", "--model", str(trained), "--out", str(tmp_path / "check")]) == 0
    options = ["--data", str(tmp_path / "tokens.npy"), "-T", "16", "--vocabulary", str(VOCABULARY), "--scored", "32"]
    learning = ["--steps", "3", "--batch-size", "8", "--anyway", "--out", str(tmp_path / "out")]
    assert main(["repair", "--model", str(tmp_path / "half"), *options, *learning]) in (0, 1)
    assert "parameters in bfloat16: trained, measured and saved in float32" in capsys.readouterr().err
    [saved] = [tmp_path / "out" / name for name in ("model", "refused") if (tmp_path / "out" / name).exists()]
    model: Any = AutoModelForCausalLM.from_pretrained(saved, dtype="auto")
    assert model.dtype == torch.float32
    assert not torch.equal(model.lm_head.weight, half.lm_head.weight.float())


def test_a_tokeniser_in_the_folder_is_used(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for file in trained.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    words = ["zero", "one", "two", "three", "four", "five", "six", "seven"]
    tokeniser = tokenizers.Tokenizer(tokenizers.models.WordLevel({word: i for i, word in enumerate(words)}, "zero"))
    tokeniser.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()  # pyright: ignore[reportAttributeAccessIssue]
    PreTrainedTokenizerFast(tokenizer_object=tokeniser).save_pretrained(tmp_path)
    command = ["generate", "--model", str(tmp_path), "--steps", "4"]
    assert main([*command, "--tokens", "1", "2", "3"]) == 0
    numbers = [int(word) for word in capsys.readouterr().out.split()]
    assert main([*command, "--prompt", "one two three"]) == 0
    assert capsys.readouterr().out.split() == [words[number] for number in numbers]
