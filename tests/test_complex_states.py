"""A state of complex numbers is a state: in every operation on it, in starts, training, files, diagnosis."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import outlast
from modules.linear import LRU
from outlast.checkpoints.states import read_state, write_state
from outlast.contract.check import check
from outlast.data import Streams
from outlast.diagnosis.views import WHOLE, Projections
from outlast.evaluation import EvalSettings
from outlast.interventions import Carried, FittedNoise, RandomNoise, intervention
from outlast.modules.precision import double_copy
from outlast.state import as_like, as_real, default_parts, flatten, interpolate, map_state, select, statistics
from outlast.training import TrainSettings
from outlast.training.loop import size_of
from toys import Hidden, Spinning, wave_streams

WINDOW = 8


def complex_state(rows: int = 3) -> Hidden:
    return Hidden(torch.randn(rows, 4, dtype=torch.complex64, generator=torch.Generator().manual_seed(1)))


def test_real_and_imaginary_parts_lie_side_by_side_and_go_back() -> None:
    state = complex_state()
    (part,) = default_parts(state)
    assert part.touched
    numbers = flatten(state, [part])["layers.hidden"]
    assert numbers.shape == (3, 8)
    assert torch.equal(numbers[:, ::2], state.hidden.real)
    assert torch.equal(numbers[:, 1::2], state.hidden.imag)
    assert torch.equal(as_like(as_real(state.hidden), state.hidden), state.hidden)


def test_half_way_between_two_states_is_their_mean() -> None:
    a, b = complex_state(), select(complex_state(), torch.tensor([2, 0, 1]))
    assert torch.allclose(interpolate(a, b, 0.5).hidden, (a.hidden + b.hidden) / 2)


def test_statistics_are_those_of_real_and_imaginary_parts() -> None:
    state = complex_state(500)
    (found,) = statistics(state, default_parts(state))
    assert found.mean.flatten().tolist() == pytest.approx(
        [state.hidden.real.mean().item(), state.hidden.imag.mean().item()], abs=1e-6
    )
    assert found.std.flatten()[1].item() == pytest.approx(state.hidden.imag.std(correction=0).item(), rel=1e-5)


def test_a_mean_square_counts_both() -> None:
    state = Hidden(torch.full((2, 3), 3 + 4j))
    assert size_of(state, default_parts(state)).tolist() == pytest.approx([12.5, 12.5])  # (9 + 16) / 2


def drawn(rule, model: Spinning, rows: int = 6000) -> torch.Tensor:
    zero = model.initial_state(rows)
    batch = wave_streams().window(np.zeros(rows, int), np.zeros(rows, int), 1)
    return rule.start(Carried(zero, zero), batch, torch.Generator().manual_seed(0)).hidden


def test_random_noise_is_as_large_in_both() -> None:
    model = Spinning()
    found = drawn(RandomNoise(std=1.7, zero_share=0.0).prepared(model, wave_streams(), WINDOW), model)
    assert found.dtype == torch.complex64
    assert as_real(found).std((0, 1)).tolist() == pytest.approx([1.7, 1.7], rel=0.02)


def test_fitted_noise_has_the_mean_and_spread_that_states_have_in_both() -> None:
    model, streams = Spinning(), wave_streams(1, WINDOW)
    with torch.no_grad():
        _, final = model(streams.window(np.array([0]), np.array([0]), WINDOW).inputs, model.initial_state(1))
    found = drawn(FittedNoise(zero_share=0.0).prepared(model, streams, WINDOW), model)
    wanted = as_real(final.hidden[0])
    assert as_real(found).mean((0, 1)).tolist() == pytest.approx(wanted.mean(0).tolist(), abs=0.03)
    assert as_real(found).std((0, 1)).tolist() == pytest.approx(wanted.std(0, correction=0).tolist(), rel=0.03)


@pytest.mark.parametrize(
    "said", ["random_noise", "fitted_noise", "state_passing", "carry:expected_run=40", "partial:of=carry,strength=0.5"]
)
def test_rows_start_from_states_that_are_not_zero(said: str) -> None:
    model = Spinning()
    if said.startswith("partial"):
        rule = outlast.Partial(of=outlast.Carry(expected_run=40), strength=0.5)
    else:
        rule = intervention(said)
    prepared = rule.prepared(model, wave_streams(), WINDOW)
    carried = prepared.initial(model, 32)
    last = Hidden(torch.randn(32, 6, dtype=torch.complex64, generator=torch.Generator().manual_seed(2)))
    batch = wave_streams().window(np.zeros(32, int), np.zeros(32, int), WINDOW)
    start = prepared.start(Carried(carried.zero, last), batch, torch.Generator().manual_seed(0)).hidden
    assert (start.abs() > 0).any(1).float().mean() >= 0.7  # one row in four is set aside
    assert start.imag.abs().max() > 0


def test_the_whole_contract_holds_also_in_double_precision() -> None:
    report = check(Spinning())
    assert report.passed, [each.detail for each in report.checks if each.passed is False]
    assert report.model["checked_in"] == ["float32", "float64"]


def test_a_state_that_is_dropped_is_found() -> None:
    class Dropped(Spinning):
        def forward(self, inputs, state):
            return super().forward(inputs, self.initial_state(len(inputs)))

    failed = [each.name for each in check(Dropped()).checks if each.passed is False]
    assert "state_matters" in failed
    assert "chunked_equals_whole" in failed


def test_a_wrong_imaginary_part_is_found() -> None:
    class Real(Spinning):
        def forward(self, inputs, state):
            outputs, final = super().forward(inputs, state)
            return outputs, Hidden(torch.complex(final.hidden.real, torch.zeros_like(final.hidden.real)))

    assert "chunked_equals_whole" in [each.name for each in check(Real()).checks if each.passed is False]


def test_files_of_states_keep_every_bit(tmp_path: Path) -> None:
    for model in (Spinning(), double_copy(Spinning())):
        state = map_state(torch.randn_like, model.initial_state(3))
        write_state(tmp_path / "state.safetensors", state, "f", {}, {})
        found, _, _ = read_state(tmp_path / "state.safetensors", model, "f", "the test")
        assert found.hidden.dtype == state.hidden.dtype
        assert torch.equal(found.hidden, state.hidden)


def test_views_look_at_both() -> None:
    model = Spinning()
    views = Projections(model)
    state = Hidden(torch.full((2, 6), 1j, dtype=torch.complex64))
    assert views.look(state)[WHOLE].shape == (2, 12)
    assert views.look(state)["size"].ravel().tolist() == pytest.approx([0.5**0.5] * 2)


def test_a_deployed_model_goes_on_from_its_saved_streams(tmp_path: Path) -> None:
    rows = np.sin(np.arange(40.0)).reshape(40, 1)
    streams = Streams.from_arrays(rows[None].astype(np.float32), horizon=1)
    model = Spinning()
    one, two = outlast.deploy(model), outlast.deploy(model)
    assert streams.inputs.shape[1:] == (1,)
    whole = one.read(rows)
    first = two.read(rows[:25])
    two.save_states(tmp_path / "streams.safetensors")
    three = outlast.deploy(model)
    three.load_states(tmp_path / "streams.safetensors")
    assert np.allclose(np.concatenate([first, three.read(rows[25:])]), whole, atol=1e-5)


MEASURING = EvalSettings(targets=16)


@pytest.fixture(scope="module")
def failing() -> tuple[Spinning, Streams]:
    """A model that keeps a little more than everything, on streams 24 times as long as its windows."""
    return Spinning(remember=1.03), wave_streams(80, 192, seed=1)


def test_its_age_curve_says_that_it_fails(failing: tuple[Spinning, Streams]) -> None:
    verdict = outlast.evaluate(*failing, train_context=WINDOW, settings=MEASURING).verdict
    assert verdict is not None
    assert verdict.name == "fails"


def test_a_repair_trains_it_from_carried_states(failing: tuple[Spinning, Streams]) -> None:
    done = outlast.repair(
        *failing,
        train_context=WINDOW,
        intervention="carry:expected_run=64",
        training=TrainSettings(steps=60, batch_size=8, learning_rate=3e-3),
        measuring=MEASURING,
    )
    before, after = done.before.age_curve[-1].loss, done.after.age_curve[-1].loss
    assert before is not None
    assert after is not None
    assert after < 0.5 * before


def test_a_diagnosis_looks_at_both_and_finds_the_state_unexplored(failing: tuple[Spinning, Streams]) -> None:
    found = outlast.diagnose(*failing, train_context=WINDOW)
    assert "unexplored state" in [each.name.replace("_", " ") for each in found.causes if each.found]


def test_a_linear_recurrent_unit_as_people_write_it_goes_through_everything() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = LRU(inputs=1, outputs=1)
    streams = wave_streams(80, 192, seed=1)
    assert check(module).passed
    parts = outlast.split(streams)
    before = outlast.evaluate(module, parts, train_context=WINDOW, settings=MEASURING).age_curve[-1].loss
    done = outlast.repair(
        module,
        parts,
        train_context=WINDOW,
        intervention="fitted_noise",
        training=TrainSettings(steps=60, batch_size=8, learning_rate=3e-3),
        measuring=MEASURING,
    )
    after = done.after.age_curve[-1].loss
    assert before is not None
    assert after is not None
    assert after < before
    found = outlast.diagnose(module, parts, train_context=WINDOW)
    assert found.coverage is not None
    assert any(space.name == "layers.0.hidden" for space in found.coverage.spaces)
