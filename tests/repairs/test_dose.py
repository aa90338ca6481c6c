"""A dose of a repair: the base at 0, the repaired model at 1, and every weight evenly in between."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

import outlast
from outlast.data import Split
from outlast.errors import InputError
from outlast.evaluation import EvalSettings
from outlast.families import FAMILIES, build
from outlast.model import InputSpec, Recurrent
from outlast.repairs import RepairSettings, judge, with_dose
from planted import Planted, coin_streams
from toys import Tied, small_gru, wave_streams


def moved(model: Recurrent, seed: int = 1) -> Recurrent:
    """A copy whose parameters are a little elsewhere."""
    other, draw = copy.deepcopy(model), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=draw, dtype=torch.float64).to(parameter))
    return other


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) and a[name].dtype == b[name].dtype for name in a)


@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_is_the_base_and_the_whole_dose_the_repaired_model_bit_for_bit(family):
    base = build(family, inputs=InputSpec("features", 1), outputs=1, width=8, layers=2)
    repaired = moved(base)
    before = weights(base), weights(repaired)
    none, half, whole = (with_dose(base, repaired, dose) for dose in (0, 0.5, 1))
    assert same(weights(none), before[0])
    assert same(weights(whole), before[1])
    for name, value in weights(half).items():
        torch.testing.assert_close(value, (before[0][name] + before[1][name]) / 2)
    assert same(weights(base), before[0])
    assert same(weights(repaired), before[1])
    with torch.no_grad():
        next(iter(whole.parameters())).add_(1.0)  # a copy: nothing is shared
    assert same(weights(repaired), before[1])


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_precisions_lose_nothing(dtype):
    base = small_gru().to(dtype)
    repaired = moved(base)
    assert same(weights(with_dose(base, repaired, 0)), weights(base))
    assert same(weights(with_dose(base, repaired, 1)), weights(repaired))
    for name, value in weights(with_dose(base, repaired, 0.25)).items():
        start, end = weights(base)[name].double(), weights(repaired)[name].double()
        torch.testing.assert_close(
            value, (start + 0.25 * (end - start)).to(dtype), rtol=1e-2 if dtype != torch.float64 else 1e-12, atol=0
        )


def test_a_dose_above_one_goes_on_the_same_way():
    base = small_gru()
    repaired = moved(base)
    for name, value in weights(with_dose(base, repaired, 1.5)).items():
        start, end = weights(base)[name], weights(repaired)[name]
        torch.testing.assert_close(value, start + 1.5 * (end - start))


def test_weights_that_are_tied_are_mixed_once_and_stay_tied():
    base = Tied()
    repaired = moved(base)
    assert repaired.head.weight is repaired.embed.weight  # pyright: ignore[reportAttributeAccessIssue]
    mixed = with_dose(base, repaired, 0.5)
    assert isinstance(mixed, Tied)
    assert mixed.head.weight is mixed.embed.weight
    torch.testing.assert_close(
        mixed.head.weight,
        (base.head.weight + repaired.head.weight) / 2,  # pyright: ignore[reportAttributeAccessIssue, reportOperatorIssue]
    )


class WithBuffers(Planted):
    """Buffers of every kind: running figures, a mask of infinities, a count and a switch."""

    def __init__(self, level: float) -> None:
        super().__init__(torch.zeros_like)
        self.register_buffer("running", torch.tensor([level, 2 * level]))
        self.register_buffer("mask", torch.tensor([0.0, -math.inf]))
        self.register_buffer("seen", torch.tensor(int(level)))
        self.register_buffer("on", torch.tensor(True))


def test_buffers_of_real_numbers_are_mixed_and_others_are_those_of_the_repaired_model():
    """What is the same in both stays as it is, an infinite mask too."""
    mixed = weights(with_dose(WithBuffers(2.0), WithBuffers(6.0), 0.75))
    assert mixed["running"].tolist() == [5.0, 10.0]
    assert mixed["mask"].tolist() == [0.0, -math.inf]
    assert (mixed["seen"].item(), mixed["on"].item()) == (6, True)


def test_a_model_keeps_its_mode_and_what_learns():
    base, repaired = small_gru().train(), small_gru(seed=1).eval()
    repaired.head.bias.requires_grad_(False)  # pyright: ignore[reportAttributeAccessIssue, reportCallIssue]
    mixed = with_dose(base, repaired, 0.5)
    assert not mixed.training
    assert [p.requires_grad for p in mixed.parameters()] == [p.requires_grad for p in repaired.parameters()]
    assert base.training


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (build("gru", inputs=InputSpec("features", 1), outputs=1, width=16, layers=1), r"differ in .*weight"),
        (build("gru", inputs=InputSpec("features", 1), outputs=1, width=8, layers=2), r"differ in blocks\.1"),
        (build("lstm", inputs=InputSpec("features", 1), outputs=1, width=8, layers=1), "differ in"),
        (Planted(torch.zeros_like), "differ in"),
    ],
    ids=["wider", "deeper", "another family", "another thing"],
)
@pytest.mark.parametrize("dose", [0.0, 0.5, 1.0])
def test_models_of_another_shape_are_refused_both_ways(other, named, dose):
    for pair in ((small_gru(), other), (other, small_gru())):
        with pytest.raises(InputError, match=named):
            with_dose(*pair, dose)


@pytest.mark.parametrize("dose", [-0.1, math.nan, math.inf])
def test_impossible_doses_are_refused(dose):
    with pytest.raises(InputError, match="a dose of"):
        with_dose(small_gru(), small_gru(), dose)


def test_a_dose_of_saved_models_is_saved_and_loaded(tmp_path):
    """Of the two directories of a repair: the base's and the repaired model's."""
    base = small_gru()
    repaired = moved(base)
    outlast.save(base, tmp_path / "base")
    outlast.save(repaired, tmp_path / "repaired")
    mixed = with_dose(outlast.load(tmp_path / "base"), outlast.load(tmp_path / "repaired"), 0.5)
    outlast.save(mixed, tmp_path / "half")
    again = outlast.load(tmp_path / "half")
    assert same(weights(again), weights(with_dose(base, repaired, 0.5)))
    batch = wave_streams().window(np.arange(3), np.zeros(3), 8)
    for one, other in ((mixed, again), (outlast.load(tmp_path / "base"), base)):
        outputs = [model.eval()(batch.inputs, model.initial_state(3))[0] for model in (one, other)]
        assert torch.equal(*outputs)


def test_a_repaired_model_of_another_shape_is_judged_at_its_whole_dose_only():
    """There is nothing between it and the base; what it does can be measured all the same."""
    streams = coin_streams(9, 128)
    parts, settings = Split(streams, streams, streams, "thrice"), EvalSettings(targets=32)

    class Larger(Planted):
        def __init__(self) -> None:
            super().__init__(lambda age: age * 0 + 2.0)
            self.more = nn.Parameter(torch.zeros(3))

    def judged(*doses: float):
        base = Planted(lambda age: 2.0 - 0.5 * (age / 8).clamp(min=1).log2())
        how = RepairSettings(doses=doses)
        return judge(base, Larger(), parts, train_context=8, measuring=settings, repairing=how)

    done = judged(1.0)
    assert isinstance(done.model, Larger)
    assert done.result.dose == 1.0
    assert done.after.oldest.loss < done.before.oldest.loss
    with pytest.raises(InputError, match="differ in more"):
        judged(0.5, 1.0)
