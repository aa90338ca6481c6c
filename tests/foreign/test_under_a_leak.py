"""Other libraries' directories take a leak into their recurrence, and answer as if they were called once a position."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import outlast
from foreign import theirs
from foreign.test_fla import FOLDERS
from outlast.checkpoints import load
from outlast.modules.leaking import WithLeak
from outlast.state import leaves

BY_POSITION = ("gsa", "rwkv")
"""Slots leak with what they hold, and RWKV's layers are no blocks: those are called once a position."""
DRAWN = {
    "falcon_mamba": {"state_size": 5, "time_step_rank": 2},
    "mamba": {"state_size": 5, "time_step_rank": 2},
    "mamba2": {"num_heads": 4, "head_dim": 4, "n_groups": 2, "state_size": 5},
    "recurrent_gemma": {"num_attention_heads": 2, "intermediate_size": 16, "block_types": ["recurrent", "attention"]},
}


def answered(leaky: WithLeak, inputs: torch.Tensor) -> list[torch.Tensor]:
    """Outputs, final state, and the gradient of their squares by 1/τ, from a state into which something was read."""
    rate = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    leaky.rates = dict.fromkeys(leaky.rates, rate)
    with torch.no_grad():
        _, state = leaky(inputs.flip(1), leaky.initial_state(2))
    outputs, after = leaky(inputs, state)
    found = [outputs, *(tensor for tensor in leaves(after) if tensor.is_floating_point())]
    total = torch.stack([tensor.square().sum() for tensor in found]).sum()
    return [*found, *torch.autograd.grad(total, [rate])]


def agrees(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load(folder).double()
    leaky = outlast.with_leak(model, 3.0)
    assert leaky.at_once
    assert model.input_spec is not None
    inputs = torch.randint(model.input_spec.size, (2, 19), generator=torch.Generator().manual_seed(0))
    found = answered(leaky, inputs)
    monkeypatch.setattr(WithLeak, "at_once", False)
    for one, other in zip(found, answered(leaky, inputs), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-8)
    assert float(found[-1].abs()) > 1e-6


@pytest.mark.parametrize(
    "folder", [each for each in FOLDERS if not each.name.startswith(BY_POSITION)], ids=lambda folder: folder.name
)
def test_directories_of_fla(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    agrees(folder, monkeypatch)


@pytest.mark.parametrize("kind", DRAWN)
def test_directories_of_transformers(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs.saved(kind, {"vocab_size": 13, "num_hidden_layers": 2, "hidden_size": 8, **DRAWN[kind]}, tmp_path / kind)
    agrees(tmp_path / kind, monkeypatch)
