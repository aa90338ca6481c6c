"""What evaluation accepts, refuses and says: explosions, units, recordings that are cut, tokens, no targets."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from outlast.data import Split, Streams, split
from outlast.errors import InputError
from outlast.evaluation import EvalSettings, evaluate
from outlast.evaluation.measure import ABSOLUTE_ERROR, ERROR_RATE, SQUARED_ERROR
from outlast.families import build
from outlast.model import InputSpec, Recurrent
from outlast.results import from_json, to_json
from outlast.state import leaves
from planted import Planted, PlantedState, coin_streams

T = 16


def steady(age):
    return torch.full_like(age, 2.0)


def after(age_of_failure: float, value: float):
    """A margin of 2 until an age, and `value` from there on."""
    return lambda age: torch.where(age < age_of_failure, 2.0, value)


class Doubling(Planted):
    """Its state doubles at every position until it overflows, and takes the outputs with it."""

    def forward(self, inputs, state):
        logits, _ = super().forward(inputs, state)
        drift = (state.drift[:, :1] + 1) * 2.0 ** torch.arange(1, inputs.shape[1] + 1)
        return logits + (drift - drift)[..., None], PlantedState(state.read + inputs.shape[1], drift[:, -1:] - 1)


EXPLODING = {
    "NaN": (Planted(after(2 * T, math.nan)), 2 * T),
    "infinity": (Planted(after(4 * T, math.inf)), 4 * T),
    "overflow of the state": (Doubling(steady), 4 * T),
}


@pytest.mark.parametrize("case", EXPLODING)
def test_a_model_that_blows_up_fails_and_the_result_is_valid(case):
    """Numbers that are none are scored as very bad predictions, counted, and said; the JSON holds numbers only."""
    model, from_age = EXPLODING[case]
    result = evaluate(model, coin_streams(streams=9, length=1024), train_context=T)
    assert result.verdict is not None
    assert (result.verdict.name, result.verdict.from_age) == ("fails", from_age)
    assert any("not finite" in reason for reason in result.verdict.because)
    assert from_json(to_json(result)) == result
    young = [band for band in result.age_curve if band.age[1] <= T]
    assert all(band.loss < 1 for band in young)
    assert result.oldest.loss > 100
    assert all(band.loss <= 1 for band in result.other_measures["error_rate"])


def test_predictions_that_are_no_numbers_are_counted_once_each():
    """Those scored, however the reading is cut up: one a position of the plain pass, one a target of a younger band."""
    model, streams = Planted(after(2 * T, math.nan)), coin_streams(streams=9, length=256)
    for settings in (EvalSettings(), EvalSettings(chunk=5, memory_mib=0.02)):
        result = evaluate(model, streams, train_context=T, settings=settings)
        assert result.verdict is not None
        wanted = 9 * (256 - 2 * T) + 2 * 9 * 128
        assert [band.age for band in result.age_curve[-3:]] == [(2 * T, 4 * T), (4 * T, 8 * T), (128, 256)]
        assert result.verdict.because[1].startswith(f"{wanted} predictions"), result.verdict.because


def test_a_model_that_is_nowhere_a_number_has_a_result_too():
    """Equally bad at all ages: nothing is lost with age, and the reasons say what happened."""
    result = evaluate(Planted(after(0, math.nan)), coin_streams(streams=9, length=256), train_context=T)
    assert result.verdict is not None
    assert "not finite" in " ".join(result.verdict.because)
    assert from_json(to_json(result)) == result


def test_an_error_rate_counts_no_number_as_an_error():
    """Where outputs are NaN the likeliest class is the first one, which is often the right one."""
    streams, model = coin_streams(streams=9, length=256), Planted(after(2 * T, math.nan))
    result = evaluate(model, streams, train_context=T, measures=[ERROR_RATE])
    assert result.oldest.loss == 1.0
    assert result.verdict is not None
    assert result.verdict.name == "fails"


class Drifting(Planted):
    """Predicts a value, and drifts away from it with age."""

    def __init__(self, unit: float, drift: float) -> None:
        super().__init__(steady)
        self.unit, self.rate = unit, drift

    def forward(self, inputs, state):
        _, read = super().forward(inputs, state)
        age = state.read[:, None] + torch.arange(inputs.shape[1])
        return self.unit * (inputs + self.rate * age[..., None]), read


@pytest.mark.parametrize("unit", [1e-4, 1.0, 1e5])
def test_the_unit_of_the_targets_changes_no_verdict(unit):
    """Watts and megawatts: losses scale, and no limit meant for nats cuts the larger ones off."""
    random = np.random.default_rng(0)
    inputs = random.normal(0, 1, (9 * 256, 1)).astype(np.float32)
    targets = (unit * (inputs[:, 0] + random.normal(0, 1, 9 * 256))).astype(np.float32)
    streams = Streams(inputs, np.arange(9) * 256, np.full(9, 256), targets=targets)
    result = evaluate(Drifting(unit, 0.02), streams, train_context=T, measures=[SQUARED_ERROR, ABSOLUTE_ERROR])
    assert result.verdict is not None
    assert result.verdict.name == "fails"
    ages = np.arange(128, 256)
    assert result.oldest.loss == pytest.approx(unit**2 * (1 + np.mean((0.02 * ages) ** 2)), rel=0.2)


@pytest.mark.parametrize("recordings", [1, 3])
def test_few_recordings_are_cut_into_segments_with_a_gap(recordings):
    """Segments are then the unit of every interval, a horizon apart, and the result says so."""
    streams = replace(coin_streams(streams=recordings, length=6000), horizon=30)
    result = evaluate(Planted(steady), streams, train_context=T)
    assert result.data["unit"] == ("segment of one recording" if recordings == 1 else "segment of 3 recordings")
    assert result.data["gap"] == 30
    assert result.oldest.n == result.data["streams"] >= 16
    length = result.data["length_used"]
    assert result.oldest.n == recordings * ((6000 + 30) // (length + 30))
    wanted = evaluate(Planted(steady), streams, train_context=T, settings=EvalSettings(max_length=100))
    assert wanted.data["length_used"] == 100
    assert wanted.oldest.n == recordings * (6030 // 130)


@pytest.mark.parametrize(
    ("streams", "said"),
    [
        (coin_streams(streams=7, length=2 * T), r"streams of 32 positions"),
        (coin_streams(streams=9, length=2 * T - 1), r"test streams of 31 positions for a training context of 16"),
        (coin_streams(streams=1, length=100), r"at least 8 streams"),
    ],
)
def test_too_little_data_is_refused_with_what_to_do(streams, said):
    """Fewer than 8 units give no interval worth printing, and streams shorter than 2T no age past T."""
    if "streams of 32" in said:
        with pytest.raises(InputError, match="at least 8 streams"):
            evaluate(Planted(steady), streams, train_context=T)
    else:
        with pytest.raises(InputError, match=said):
            evaluate(Planted(steady), streams, train_context=T)


def test_streams_without_targets_that_count_are_left_out():
    """They are not scored as 0, and the result says how many there were."""
    model, streams = Planted(after(2 * T, 1.0)), coin_streams(streams=10, length=256, noise=0.2)
    weights = np.ones((10, 256), np.float32)
    weights[9, 100:] = 0
    result = evaluate(model, replace(streams, weights=weights.reshape(-1)), train_context=T)
    without = evaluate(model, streams.take(np.arange(9)), train_context=T)
    assert result.data["without_counted_targets"] == 1
    assert result.oldest.n == 9
    assert result.curve.losses.tolist() == without.curve.losses.tolist()
    assert result.position_curve == without.position_curve
    weights[7:, 100:] = 0
    with pytest.raises(InputError, match="7 of 10 test streams"):
        evaluate(model, replace(streams, weights=weights.reshape(-1)), train_context=T)


def test_tokens():
    """Next-token prediction from tokens alone: the oldest band is the plain pass, in nats."""
    tokens = np.random.default_rng(0).integers(0, 5, (9, 200))
    model = build("gla", inputs=InputSpec("tokens", 5), outputs=5, width=8, layers=1, heads=1)
    result = evaluate(model, Streams.from_tokens(tokens), train_context=T)
    assert (result.measure, result.unit, list(result.other_measures)) == ("cross_entropy", "nats", ["error_rate"])
    assert (result.data["length_used"], result.oldest.age) == (199, (199 - 64, 199))
    inputs = torch.from_numpy(tokens)
    with torch.no_grad():
        logits, _ = model(inputs[:, :-1], model.initial_state(9))
    losses = torch.nn.functional.cross_entropy(logits.mT, inputs[:, 1:], reduction="none")
    np.testing.assert_allclose(result.oldest.per_stream, losses[:, -64:].mean(1), rtol=1e-5)
    assert from_json(to_json(result)) == result


def test_a_split_is_measured_on_its_test_part():
    """And the result says how it was split."""
    parts = split(coin_streams(streams=40, length=64))
    assert isinstance(parts, Split)
    result = evaluate(Planted(steady), parts, train_context=T)
    assert result.data["split"] == parts.how
    assert result.oldest.n == len(parts.test)


def test_states_along_the_way_are_recorded():
    """Norm and spread of every part at the position bins' ends, over all streams."""
    result = evaluate(Planted(steady, drift=0.5), coin_streams(streams=9, length=128), train_context=T)
    drift = {row.position: row for row in result.state if row.part == "layers.drift"}
    assert list(drift) == [16, 32, 64, 128]
    for position, row in drift.items():
        assert row.norm == pytest.approx(0.5 * position + 1)
        assert row.std == pytest.approx(0.0, abs=1e-6)


def without_targets(features: bool) -> tuple[Recurrent, Streams]:
    random = np.random.default_rng(1)
    kind = InputSpec("features", 2) if features else InputSpec("tokens", 6)
    model = build("gru", inputs=kind, outputs=3, width=6, layers=1, seed=1)
    inputs = random.normal(0, 1, (9 * 200, 2)).astype(np.float32) if features else random.integers(0, 6, 9 * 200)
    return model, Streams(inputs, np.arange(9) * 200, np.full(9, 200))


@pytest.mark.parametrize("features", [True, False])
@pytest.mark.parametrize("train_context", [16, 7])
def test_without_targets_outputs_are_compared_between_ages(features, train_context):
    """Each target's outputs against those at ages [T/2, T): written out for the oldest band; no verdict."""
    model, streams = without_targets(features)
    result = evaluate(model, streams, train_context=train_context, settings=EvalSettings(targets=10**6))
    assert (result.measure, result.unit) == (
        ("divergence_squared", "squared difference") if features else ("divergence_kl", "nats")
    )
    assert (result.verdict, result.short, result.position_curve, result.resets) == (None, None, [], {})
    young = next(band for band in result.age_curve if band.age[1] == train_context)
    assert young.loss == pytest.approx(0.0, abs=1e-10)
    assert result.age_curve[0].loss > 1e-4
    start, end = young.age
    region = result.oldest.age[1] - result.oldest.age[0]
    assert result.oldest.age == (200 - region, 200)
    with torch.no_grad():
        plain, _ = model(streams.window(np.arange(9), np.zeros(9), 200).inputs, model.initial_state(9))
        expected = np.zeros(9)
        for position in range(200 - region, 200):
            age = start + (position - 200 + region) % train_context % (end - start)
            batch = streams.window(np.arange(9), np.full(9, position - age), age + 1)
            wanted, got = model(batch.inputs, model.initial_state(9))[0][:, -1], plain[:, position]
            if features:
                expected += (got - wanted).square().mean(-1).numpy()
            else:
                log_p, log_q = wanted.log_softmax(-1), got.log_softmax(-1)
                expected += (log_p.exp() * (log_p - log_q)).sum(-1).numpy()
    np.testing.assert_allclose(result.oldest.per_stream, expected / region, rtol=1e-3, atol=1e-9)
    assert from_json(to_json(result)) == result


def test_sampled_targets_without_targets():
    """The reference is kept for the blocks that were drawn, in whatever pieces it is read."""
    model, streams = without_targets(True)
    settings = EvalSettings(targets=32)
    result = evaluate(model, streams, train_context=16, settings=settings)
    again = evaluate(model, streams, train_context=16, settings=replace(settings, memory_mib=0.01, chunk=9))
    young = next(band for band in result.age_curve if band.age[1] == 16)
    assert young.loss == pytest.approx(0.0, abs=1e-10)
    np.testing.assert_allclose(result.curve.losses, again.curve.losses, rtol=1e-3, atol=1e-9)
    assert len(leaves(model.initial_state(1))) == 1
