"""Decays are scaled exactly, the model given is left alone, and what is saved is what was made."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch

import outlast
from outlast.errors import InputError
from outlast.model import InputSpec
from outlast.modules.decaying import with_decay
from outlast.state import leaves, rebuild
from toys import small_gru

SCALED = ("gla", "mamba", "mamba2", "gated_deltanet", "rwkv6")


def built(family: str) -> outlast.Recurrent:
    return outlast.build(family, inputs=InputSpec("features", 3), outputs=2, width=32, layers=2, seed=1)


def memory_left(model: outlast.Recurrent, steps: int) -> torch.Tensor:
    """How much of a state is still there after `steps` inputs of zero, against what nothing leaves: (B, …), flat.

    The state's recurrent parts are read twice, from two starts that differ; what they still differ by was kept.
    """
    inputs = torch.zeros(1, steps, 3, dtype=torch.float64)
    model = copy.deepcopy(model).double()
    zero = model.initial_state(1)
    parts = [part.kind == "recurrent" for part in model.state_parts()]
    draw = torch.Generator().manual_seed(0)
    moved = [
        each + torch.randn(each.shape, generator=draw, dtype=torch.float64) if own else each
        for each, own in zip(leaves(zero), parts, strict=True)
    ]
    with torch.no_grad():
        ends = [leaves(model(inputs, rebuild(zero, start))[1])[0] for start in (moved, leaves(zero))]
    return (ends[0] - ends[1]).flatten()[:64] / (moved[0] - leaves(zero)[0]).flatten()[:64]


@pytest.mark.parametrize("family", SCALED)
def test_what_is_kept_of_the_first_layer_is_the_power_of_what_was(family: str) -> None:
    model = built(family)
    before = copy.deepcopy(model.state_dict())
    whole, half = memory_left(model, 8), memory_left(with_decay(model, 0.5), 8)
    if family != "gated_deltanet":  # it also erases what it writes over
        torch.testing.assert_close(half, whole.sqrt(), rtol=1e-6, atol=1e-9)
    assert (half.abs() > whole.abs()).all()
    assert (memory_left(with_decay(model, 2.0), 8).abs() < whole.abs()).all()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("family", SCALED)
def test_it_is_saved_as_it_is(family: str, tmp_path: Path) -> None:
    made = with_decay(built(family), 0.7)
    outlast.save(made, tmp_path / "m")
    again = outlast.load(tmp_path / "m")
    inputs = torch.randn(2, 9, 3)
    with torch.no_grad():
        ours, read = (model.eval()(inputs, model.initial_state(2))[0] for model in (made, again))
    assert torch.equal(ours, read)
    with torch.no_grad():
        same = with_decay(made, 1 / 0.7)(inputs, made.initial_state(2))[0]
        first = built(family)(inputs, made.initial_state(2))[0]
    torch.testing.assert_close(same, first, rtol=1e-4, atol=1e-5)


def test_what_has_no_decays_and_what_is_no_factor_is_refused() -> None:
    with pytest.raises(InputError, match="without decays"):
        with_decay(small_gru(), 0.5)
    for factor in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(InputError, match="factor"):
            with_decay(built("mamba2"), factor)


def test_a_decay_that_a_directory_cannot_say_is_refused() -> None:
    folder = next(Path(__file__).parents[1].glob("foreign/fla/gla-*"))
    with pytest.raises(outlast.InputError, match="without decays that a factor could scale"):
        with_decay(outlast.load(folder), 0.5)
