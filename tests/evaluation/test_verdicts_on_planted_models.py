"""Verdicts on models whose behaviour is known because it was planted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from outlast.evaluation import EvalSettings, evaluate
from outlast.evaluation.measure import CROSS_ENTROPY
from outlast.model import InputSpec
from planted import Planted, coin_streams

T = 32


def falling(age: torch.Tensor) -> torch.Tensor:
    """Good within the training context, worse and worse past it."""
    return 2.0 - 0.4 * torch.log2((age / T).clamp_min(1.0))


def memory(length: int):
    """Skill grows with what is remembered, up to `length` positions."""
    return lambda age: 0.4 + 0.25 * torch.log2(age.clamp(1, length))


def steady(age: torch.Tensor) -> torch.Tensor:
    return torch.full_like(age, 2.0)


CASES = {
    "drifting norm, unharmed": (Planted(steady, drift=1.0), coin_streams(), "robust"),
    "saturated norm, growing loss": (Planted(falling), coin_streams(), "fails"),
    "growing norm, growing loss": (Planted(falling, drift=1.0), coin_streams(), "fails"),
    "harder data along the stream": (Planted(steady), coin_streams(harder=0.3), "robust"),
    "memory of exactly the training context": (Planted(memory(T)), coin_streams(), "robust"),
    "memory of four training contexts": (Planted(memory(4 * T)), coin_streams(), "generalises"),
}


@pytest.mark.parametrize("case", CASES)
def test_verdict(case):
    model, streams, expected = CASES[case]
    result = evaluate(model, streams, train_context=T)
    assert result.verdict is not None
    assert result.verdict.name == expected, result.verdict.because


class Moody(Planted):
    """Past the training context some streams fare better and some worse, as the second input says."""

    input_spec = InputSpec("features", 2)

    def forward(self, inputs, state):
        logits, after = super().forward(inputs, state)
        old = (state.read[:, None] + torch.arange(inputs.shape[1]) >= T)[..., None]
        return torch.where(old, logits * (1 + inputs[..., 1:]), logits), after


def test_eight_noisy_streams_are_undecided_and_say_how_many_would_decide():
    streams = coin_streams(streams=8)
    moods = np.linspace(-0.9, 0.5, 8).repeat(1024)
    streams = replace(streams, inputs=np.stack([streams.inputs[:, 0], moods], 1).astype(np.float32))
    result = evaluate(Moody(steady), streams, train_context=T)
    assert result.verdict is not None
    assert result.verdict.name == "undecided", result.verdict.because
    assert result.verdict.streams_needed is not None
    assert result.verdict.streams_needed > 8
    assert str(result.verdict.streams_needed) in result.verdict.because[1]


def test_failing_names_the_age_it_fails_from():
    result = evaluate(Planted(lambda age: falling(age / 2)), coin_streams(length=4096), train_context=T)
    assert result.verdict is not None
    assert result.verdict.from_age == 2 * T
    assert result.verdict.oldest_age == (2048, 4096)


def test_age_curve_equals_the_losses_written_out():
    """Every band against a direct computation: the right label's probability given the age."""
    streams = coin_streams(streams=9, length=512)
    assert streams.targets is not None
    result = evaluate(Planted(memory(4 * T)), streams, train_context=T, settings=EvalSettings(targets=10**6))
    for band in result.age_curve:
        ages = torch.arange(*band.age).float()
        margin = memory(4 * T)(ages)
        right = streams.inputs[:, 0].reshape(9, 512)[:, 256:] > 0
        agree = torch.from_numpy((right == streams.targets.reshape(9, 512)[:, 256:]).mean(1))
        good, bad = torch.log1p(torch.exp(-margin)).mean(), torch.log1p(torch.exp(margin)).mean()
        expected = agree * good + (1 - agree) * bad
        # Ages are met equally often up to what lies at the borders of restarts, so this holds closely, not exactly.
        torch.testing.assert_close(torch.tensor(band.per_stream).double(), expected, atol=0.02, rtol=0.02)


def test_bands_of_one_age_are_exact():
    streams = coin_streams(streams=9, length=512)
    settings = EvalSettings(targets=10**6)
    result = evaluate(Planted(memory(4 * T)), streams, train_context=T, settings=settings, measures=[CROSS_ENTROPY])
    first = result.age_curve[0]
    assert first.age == (0, 1)
    right = streams.inputs[:, 0].reshape(9, 512)[:, 256:] > 0
    assert streams.targets is not None
    agree = torch.from_numpy((right == streams.targets.reshape(9, 512)[:, 256:]).mean(1))
    good, bad = torch.log1p(torch.exp(torch.tensor(-0.4))), torch.log1p(torch.exp(torch.tensor(0.4)))
    torch.testing.assert_close(
        torch.tensor(first.per_stream).double(), agree * good + (1 - agree) * bad, rtol=1e-5, atol=1e-6
    )
