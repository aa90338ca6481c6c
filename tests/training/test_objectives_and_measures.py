"""Objectives and measures: values computed by hand, what is refused, and what is chosen where nothing is said."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from outlast.data import Batch, Streams
from outlast.errors import InputError
from outlast.evaluation.measure import ABSOLUTE_ERROR, CROSS_ENTROPY, ERROR_RATE, SQUARED_ERROR, divergence
from outlast.evaluation.measures import default_measures, measure
from outlast.model import InputSpec
from outlast.training.objectives import CrossEntropy, Regression, SelfDistillation, objective, self_distillation
from toys import Dropping, EveryKind, small_gru, token_streams, wave_streams


def batch_of(targets: torch.Tensor | None, rows: int = 1, length: int = 2, inputs: torch.Tensor | None = None) -> Batch:
    zeros = torch.zeros(rows, dtype=torch.int64)
    return Batch(
        inputs=torch.zeros(rows, length, 1) if inputs is None else inputs,
        targets=targets,
        weights=torch.ones(rows, length),
        stream_id=zeros,
        position=zeros,
        continues=zeros.bool(),
    )


CLASSES = batch_of(torch.tensor([[0, 2]]))
LOGITS = torch.log(torch.tensor([[[0.5, 0.25, 0.25], [0.1, 0.7, 0.2]]]))
VALUES = batch_of(torch.tensor([[[1.0, 2.0], [0.0, -1.0]]]))
FORECASTS = torch.tensor([[[2.0, 4.0], [0.0, -1.5]]])


@pytest.mark.parametrize(
    ("per_position", "outputs", "batch", "expected"),
    [
        (CROSS_ENTROPY.per_position, LOGITS, CLASSES, [-math.log(0.5), -math.log(0.2)]),
        (CrossEntropy().per_position, LOGITS, CLASSES, [-math.log(0.5), -math.log(0.2)]),
        (ERROR_RATE.per_position, LOGITS, CLASSES, [0.0, 1.0]),
        (SQUARED_ERROR.per_position, FORECASTS, VALUES, [2.5, 0.125]),
        (Regression().per_position, FORECASTS, VALUES, [2.5, 0.125]),
        (ABSOLUTE_ERROR.per_position, FORECASTS, VALUES, [1.5, 0.25]),
    ],
)
def test_values_by_hand(per_position, outputs, batch, expected):
    found = per_position(outputs, batch)
    assert found.shape == (1, 2)
    assert found[0].tolist() == pytest.approx(expected, rel=1e-6)
    assert per_position(outputs.bfloat16(), batch).dtype == torch.float32


def test_a_single_value_may_lack_its_axis():
    batch = batch_of(torch.tensor([[[1.0], [2.0]]]))
    assert SQUARED_ERROR.per_position(torch.tensor([[3.0, 2.0]]), batch).tolist() == [[4.0, 0.0]]


def test_divergences_by_hand():
    reference = torch.log(torch.tensor([[[0.5, 0.5]]]))
    outputs = torch.log(torch.tensor([[[0.8, 0.2]]]))
    expected = 0.5 * math.log(0.5 / 0.8) + 0.5 * math.log(0.5 / 0.2)  # KL(reference, outputs), not the reverse
    assert divergence("kl", outputs, reference).item() == pytest.approx(expected, rel=1e-5)
    assert divergence("kl", reference, reference).item() == pytest.approx(0.0, abs=1e-7)
    a, b = torch.tensor([[[3.0, 4.0]]]), torch.tensor([[[4.0, 3.0]]])
    assert divergence("squared", a, b).item() == pytest.approx(1.0)
    assert divergence("cosine", a, b).item() == pytest.approx(1 - 24 / 25)


def test_tolerance_and_margin_are_shares_of_a_loss_or_absolute():
    assert CROSS_ENTROPY.tolerated(2.0) == pytest.approx(0.01)
    assert CROSS_ENTROPY.allowed(2.0) == pytest.approx(0.01)
    assert ERROR_RATE.tolerated(0.5) == pytest.approx(0.01)
    assert ERROR_RATE.allowed(0.5) == pytest.approx(0.01)
    assert SQUARED_ERROR.tolerated(3.0) == pytest.approx(0.03)


@pytest.mark.parametrize(
    ("per_position", "outputs", "batch", "named"),
    [
        (CROSS_ENTROPY.per_position, LOGITS, VALUES, "targets that are real numbers"),
        (CROSS_ENTROPY.per_position, LOGITS, batch_of(None), "targets that are missing"),
        (CROSS_ENTROPY.per_position, LOGITS[:, :1], CLASSES, r"outputs \(1, 1, 3\) for targets \(1, 2\)"),
        (CROSS_ENTROPY.per_position, LOGITS[..., 0], CLASSES, r"outputs \(1, 2\) for targets \(1, 2\)"),
        (ERROR_RATE.per_position, (LOGITS,), CLASSES, "outputs tuple"),
        (CROSS_ENTROPY.per_position, LOGITS[..., :2], CLASSES, "target class 2 for a model with 2 outputs"),
        (CROSS_ENTROPY.per_position, LOGITS[..., :2].clone().requires_grad_(), CLASSES, "target class 2 for a model"),
        (CROSS_ENTROPY.per_position, LOGITS, batch_of(torch.tensor([[0, -100]])), "target class -100"),
        (SQUARED_ERROR.per_position, FORECASTS, CLASSES, "targets that are integer classes"),
        (SQUARED_ERROR.per_position, FORECASTS, batch_of(None), "targets that are missing"),
        (ABSOLUTE_ERROR.per_position, FORECASTS[..., :1], VALUES, r"outputs \(1, 2, 1\) for targets \(1, 2, 2\)"),
    ],
)
def test_what_does_not_fit_is_refused_with_shapes(per_position, outputs, batch, named):
    with pytest.raises(InputError, match=named):
        per_position(outputs, batch)


def test_measures_by_name():
    tokens = token_streams()
    assert measure("error_rate", tokens) is ERROR_RATE
    with pytest.raises(InputError, match="did you mean 'cross_entropy'"):
        measure("crossentropy", tokens)
    for name in ("cross_entropy:power", "squared_error:power"):
        with pytest.raises(InputError, match="of several values after the colon"):
            measure(name, tokens)
    with pytest.raises(InputError, match="targets without quantiles"):
        measure("pinball", wave_streams())


def without_targets(streams: Streams) -> Streams:
    return replace(streams, targets=None, shift=0)


def test_what_fits_the_targets_is_the_default():
    tokens, waves = token_streams(), wave_streams()
    gru, token_gru = small_gru(), small_gru(InputSpec("tokens", 5), 5)
    assert objective(None, token_gru, tokens) == CrossEntropy()
    assert objective(None, gru, waves) == Regression()
    unlabelled = objective(None, gru, without_targets(waves))
    assert isinstance(unlabelled, SelfDistillation)
    for name in ("next_token", "next-token", "classification"):
        assert objective(name, token_gru, tokens) == CrossEntropy()
    for streams, kind in ((tokens, "kl"), (waves, "squared")):
        chosen = objective("self_distillation", gru, streams)
        assert isinstance(chosen, SelfDistillation)
        assert chosen.kind == kind
    assert [m.name for m in default_measures(tokens)] == ["cross_entropy", "error_rate"]
    assert [m.name for m in default_measures(waves)] == ["squared_error", "absolute_error"]


@pytest.mark.parametrize(
    ("name", "streams", "named"),
    [
        ("regression", token_streams(), "'regression' for targets that are classes"),
        ("classification", wave_streams(), "'classification' for targets that are values"),
        ("next_token", without_targets(wave_streams()), "targets that are missing"),
        ("regresion", wave_streams(), "did you mean 'regression'"),
    ],
)
def test_objectives_that_do_not_fit_are_refused(name, streams, named):
    with pytest.raises(InputError, match=named):
        objective(name, small_gru(), streams)


INPUTS = torch.randn(3, 12, 1, generator=torch.Generator().manual_seed(0))


def test_the_teacher_is_a_frozen_copy_of_the_untouched_model():
    model = Dropping().train()
    rule = self_distillation(model, "squared")
    before = {name: value.clone() for name, value in rule.teacher.state_dict().items()}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    assert all(torch.equal(before[name], value) for name, value in rule.teacher.state_dict().items())
    assert not any(parameter.requires_grad for parameter in rule.teacher.parameters())
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert model.training
    assert not rule.teacher.training  # no dropout in what is learnt from
    prepared = rule.prepare(batch_of(None, 3, 12, INPUTS))
    assert not prepared.extras["teacher"].requires_grad


def test_the_teacher_reads_the_window_from_the_zero_state():
    model = small_gru().eval().requires_grad_(False)
    rule = self_distillation(model, "squared")
    batch = batch_of(None, 3, 12, INPUTS)
    with torch.no_grad():
        outputs, _ = model(INPUTS, model.initial_state(3))
    prepared = rule.prepare(batch)
    assert torch.equal(prepared.extras["teacher"], outputs)
    assert torch.equal(rule.per_position(outputs, prepared), torch.zeros(3, 12))
    assert rule.per_position(outputs + 2.0, prepared)[0, 0].item() == pytest.approx(4.0)
    assert set(batch.extras) == set()  # the batch given is as it was


@pytest.mark.parametrize(("length", "resets"), [(12, 2), (12, 3), (12, 4), (12, 12), (11, 3), (7, 5), (12, 1)])
def test_staggered_resets_by_brute_force(length, resets):
    """At each position the mean over the copies that have read enough, the first one always."""
    model = small_gru(seed=2)
    found = self_distillation(model, "squared", resets=resets).prepare(batch_of(None, 3, length, INPUTS[:, :length]))
    step = length // resets
    for t in range(length):
        speaking = []
        for begin in range(0, resets * step, step):
            if begin == 0 or t - begin >= step:
                outputs, _ = model(INPUTS[:, begin : t + 1], model.initial_state(3))
                speaking.append(outputs[:, -1])
        expected = torch.stack(speaking).mean(0)
        torch.testing.assert_close(found.extras["teacher"][:, t], expected, rtol=1e-5, atol=1e-6)


def test_warm_up_positions_do_not_count():
    rule = self_distillation(small_gru(), "squared", warm_up=5)
    weights = torch.rand(3, 12)
    prepared = rule.prepare(replace(batch_of(None, 3, 12, INPUTS), weights=weights))
    assert torch.equal(prepared.weights[:, :5], torch.zeros(3, 5))
    assert torch.equal(prepared.weights[:, 5:], weights[:, 5:])


def test_a_teacher_with_one_value_and_no_axis_for_it():
    class Flat(EveryKind):
        def forward(self, inputs, state):
            outputs, after = super().forward(inputs, state)
            return outputs[..., 0], after

    model = Flat()
    inputs = torch.randn(6, 6, 1)  # as many rows as positions: a wrong axis would not show
    rule = self_distillation(model, "squared", resets=2)
    prepared = rule.prepare(batch_of(None, 6, 6, inputs))
    assert prepared.extras["teacher"].shape == (6, 6, 1)
    outputs, _ = model(inputs, model.initial_state(6))
    losses = rule.per_position(outputs + 3.0, prepared)
    assert losses.shape == (6, 6)
    torch.testing.assert_close(losses, torch.full((6, 6), 9.0))


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"kind": "kll"}, "did you mean 'kl'"),
        ({"resets": 0}, "0 resets"),
        ({"warm_up": -1}, "warm-up of -1"),
    ],
)
def test_impossible_distillations_are_refused(wrong, named):
    with pytest.raises(InputError, match=named):
        self_distillation(small_gru(), **wrong)


@pytest.mark.parametrize("wrong", [{"warm_up": 12}, {"resets": 13}])
def test_windows_too_short_for_the_distillation_are_refused(wrong):
    """With every position in the warm-up nothing would be learnt, silently."""
    with pytest.raises(InputError, match="windows of 12 positions"):
        self_distillation(small_gru(), "squared", **wrong).prepare(batch_of(None, 3, 12, INPUTS))


def test_distilling_into_another_head_is_refused():
    rule = self_distillation(small_gru(), "squared")
    prepared = rule.prepare(batch_of(None, 3, 12, INPUTS))
    with pytest.raises(InputError, match=r"outputs \(3, 12, 2\) for reference outputs \(3, 12, 1\)"):
        rule.per_position(torch.zeros(3, 12, 2), prepared)


def test_weights_of_streams_reach_the_batch():
    """A position that does not count for the streams does not count for any objective."""
    streams = wave_streams(2, 16)
    streams = replace(streams, weights=np.r_[np.zeros(5), np.ones(29)].astype(np.float32))
    batch = self_distillation(small_gru(), "squared", warm_up=1).prepare(
        streams.window(np.array([0, 1]), np.array([0, 0]), 8)
    )
    assert batch.weights[0].tolist() == [0.0] * 5 + [1.0] * 3
    assert batch.weights[1].tolist() == [0.0] + [1.0] * 7
