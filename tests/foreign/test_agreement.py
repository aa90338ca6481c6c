"""Models read from transformers' directories give transformers' logits, and go back unchanged."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch

from contract_sizes import Ask, in_full
from foreign import theirs
from foreign.theirs import assert_same_directories, worst
from outlast.checkpoints import load, save
from outlast.foreign import Foreign
from outlast.state import leaves


@pytest.mark.parametrize("kind", theirs.CLASSES)
def test_logits_are_those_of_transformers(kind: str, tmp_path: Path) -> None:
    """On random settings, in float32, to 1e-4 of the largest logit; then written back bit for bit."""
    for seed in range(12):
        chance = random.Random(seed)
        settings = theirs.drawn(kind, lambda *choices, chance=chance: chance.choice(choices))
        folder = tmp_path / str(seed)
        model = theirs.saved(kind, settings, folder)
        ours = load(folder)
        inputs = theirs.tokens(settings, 2, 45)
        expected = theirs.logits(model, inputs)
        with torch.no_grad():
            got, _ = ours(inputs, ours.initial_state(2))
            middle = ours(inputs[:, :9], ours.initial_state(2))[1]
            rest, _ = ours(inputs[:, 9:], middle)
        assert worst(got, expected) < 1e-4, (seed, settings)
        assert worst(rest, expected[:, 9:]) < 1e-4, (seed, settings)
        assert expected.std() > 1e-2
        save(ours, tmp_path / "back")
        assert_same_directories(folder, tmp_path / "back")


@in_full(theirs.CLASSES, "mamba")
def test_the_contract_is_kept(name: str, ask: Ask, tmp_path: Path) -> None:
    chance = random.Random(100)
    theirs.saved(name, theirs.drawn(name, lambda *choices: chance.choice(choices)), tmp_path)
    model = load(tmp_path)
    assert isinstance(model, Foreign)
    report = ask(model)
    assert report.passed, [point for point in report.checks if point.passed is False]


FLA = sorted((Path(__file__).parent / "fla").iterdir())


@pytest.mark.parametrize("kind", [*theirs.CLASSES, *(folder.name for folder in FLA if folder.is_dir())])
@pytest.mark.parametrize("half", ["parameters", "autocast"])
def test_the_state_is_float32_in_half_precision(kind: str, half: str, tmp_path: Path) -> None:
    """And the outputs are those of float32 to that precision, and every parameter learns."""
    if kind in theirs.CLASSES:
        chance = random.Random(7)
        theirs.saved(kind, theirs.drawn(kind, lambda *choices: chance.choice(choices)), tmp_path)
        model = load(tmp_path)
    else:
        model = load(Path(__file__).parent / "fla" / kind)
    assert model.input_spec is not None
    inputs = model.input_spec.random(2, 33, torch.Generator().manual_seed(0))
    with torch.no_grad():
        exact = model(inputs, model.initial_state(2))[0]
    if half == "parameters":
        model = model.bfloat16()
    with torch.autocast("cpu", torch.bfloat16, enabled=half == "autocast"):
        outputs, final = model(inputs, model.initial_state(2))
    outputs.square().mean().backward()
    assert {leaf.dtype for leaf in leaves(final)} <= {torch.float32, torch.int64, torch.bool}
    assert (outputs.float() - exact).square().mean().sqrt() < 0.1 * exact.std()
    without = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert without == []
