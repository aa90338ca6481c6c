"""The rebuilt encoders: their published weights, one position at a time, and what is measured about them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from contract_sizes import Ask, in_full
from examples.speech import resemblyzer
from examples.speech.resemblyzer import SpeakerEncoder, load_encoder
from examples.speech.silero import FRAME, SileroVAD, load_silero
from examples.speech.streams import joined, load_prompts, parts
from examples.speech.task import SPEECH, speaker_measures, wrong_speaker
from outlast import checkpoints
from outlast.data import Batch, Split, Streams
from outlast.errors import InputError
from outlast.evaluation import EvalSettings, evaluate
from outlast.evaluation.measure import Measure
from outlast.interventions import state_passing
from outlast.training import TrainSettings, fit
from outlast.training.objectives import SelfDistillation

MODELS = {"resemblyzer": load_encoder, "silero": load_silero}


@pytest.fixture(scope="module")
def encoder() -> SpeakerEncoder:
    return load_encoder()


@pytest.fixture(scope="module")
def measures(encoder: SpeakerEncoder) -> tuple[Measure, ...]:
    return speaker_measures(encoder)


@pytest.fixture(scope="module")
def short() -> Split:
    """Two sets of prompts of each voice, short streams."""
    prompts = load_prompts()
    dealt = parts(prompts)
    made = {name: joined(prompts, dealt[name], 2, 640) for name in ("training", "validation", "test")}
    return Split(*made.values(), how="by prompt")


@in_full(MODELS)
def test_published_models_keep_the_contract(name: str, ask: Ask) -> None:
    failed = {each.name for each in ask(MODELS[name]()).checks if not each.passed}
    # Finite differences meet the kinks of the ReLUs; the test below compares gradients without them.
    assert failed <= {"gradient_through_state"}


@pytest.mark.parametrize("name", MODELS)
def test_gradients_through_the_carried_state_are_those_of_one_pass(name: str) -> None:
    model = MODELS[name]()
    assert model.input_spec is not None
    inputs = 0.01 * torch.rand(2, 30, model.input_spec.size, generator=torch.Generator().manual_seed(2))
    inputs.requires_grad_()

    def loss(outputs: torch.Tensor) -> torch.Tensor:
        last = outputs[:, -10:]
        return (last * torch.randn(last.shape, generator=torch.Generator().manual_seed(3))).sum()

    whole, _ = model(inputs, model.initial_state(2))
    _, state = model(inputs[:, :20], model.initial_state(2))
    second, _ = model(inputs[:, 20:], state)
    (expected,), (found,) = (torch.autograd.grad(loss(outputs), inputs) for outputs in (whole, second))
    assert float(expected[:, :20].abs().max()) > 0
    assert torch.allclose(found, expected, atol=1e-6 * float(expected.abs().max()) + 1e-9, rtol=1e-3)


@pytest.mark.parametrize("name", MODELS)
def test_one_position_at_a_time_is_the_whole(name: str) -> None:
    model = MODELS[name]()
    assert model.input_spec is not None
    inputs = 0.01 * torch.randn(2, 40, model.input_spec.size, generator=torch.Generator().manual_seed(0)).abs()
    with torch.no_grad():
        whole, final = model(inputs, model.initial_state(2))
        state, steps = model.initial_state(2), []
        for t in range(40):
            output, state = model(inputs[:, t : t + 1], state)
            steps.append(output)
    assert torch.allclose(torch.cat(steps, 1), whole, atol=1e-5)
    for one, other in zip(state[0], final[0], strict=True):
        assert torch.allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_repaired_models_are_saved_and_loaded_without_the_published_file(name: str, tmp_path: Path) -> None:
    model = MODELS[name]()
    checkpoints.save(model, tmp_path / "model")
    again = checkpoints.load(tmp_path / "model", allow_code=True)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))


def test_the_encoder_is_the_published_one_at_the_last_position(encoder: SpeakerEncoder) -> None:
    frames = torch.rand(3, 160, 40, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        outputs, _ = encoder(frames, encoder.initial_state(3))
        # resemblyzer/voice_encoder.py, forward
        _, (hidden, _) = encoder.lstm.module(frames)
        raw = torch.relu(encoder.linear(hidden[-1]))
        expected = raw / torch.norm(raw, dim=1, keepdim=True)
    assert torch.allclose(outputs[:, -1], expected, atol=1e-6)
    assert outputs.min() >= 0
    assert torch.allclose(outputs.norm(dim=-1), torch.ones(3, 160))


def test_a_checkpoint_is_never_unpickled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "pretrained.pt"
    torch.save({"model_state": Evil()}, path)
    monkeypatch.setattr(resemblyzer, "fetch_package_file", lambda *_: path)
    with pytest.raises(InputError, match="cannot be used"):
        load_encoder()


class Evil:
    """What a harmful checkpoint would hold."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return pytest.fail, ("code in a checkpoint was run",)


def test_silero_tells_noise_from_nothing() -> None:
    model = load_silero()
    assert isinstance(model, SileroVAD)
    with torch.no_grad():
        speech, _ = model(torch.zeros(1, 30, FRAME), model.initial_state(1))
    assert speech.shape == (1, 30)
    assert float(speech[0, 5:].max()) < 0.2


def batch_of(targets: torch.Tensor, position: int) -> Batch:
    rows, length = targets.shape
    numbers = torch.zeros(rows, dtype=torch.int64)
    return Batch(
        inputs=torch.zeros(rows, length, 40),
        targets=targets,
        weights=torch.ones(rows, length),
        stream_id=numbers,
        position=numbers + position,
        continues=numbers.bool(),
    )


def test_the_nearest_centroid_decides() -> None:
    places = F.normalize(torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]), dim=-1)
    outputs = torch.tensor([[[0.9, 0.1], [0.7, 0.6], [0.1, 0.9], [0.6, 0.7]]])
    wrong = wrong_speaker(outputs, batch_of(torch.tensor([[0, 0, 2, 1]]), 0), places)
    assert wrong.tolist() == [[0, 1, 0, 0]]
    with pytest.raises(InputError, match="embeddings"):
        wrong_speaker(outputs, replace(batch_of(torch.zeros(1, 4).long(), 0), targets=None), places)


def test_window_ends_count_for_their_window(measures: tuple[Measure, ...]) -> None:
    everywhere, at_ends = measures
    outputs = torch.rand(1, 1, 256, generator=torch.Generator().manual_seed(4)).expand(1, 320, 256)
    wrong = everywhere.per_position(outputs.expand(5, 320, 256), batch_of(torch.arange(5)[:, None].expand(5, 320), 0))
    assert sorted(wrong[:, 0].tolist()) == [0, 1, 1, 1, 1]  # one voice is the nearest
    nearest = int(wrong[:, 0].argmin())
    targets = torch.full((1, 320), nearest)
    targets[0, 159] = (nearest + 1) % 5  # wrong at the end of the first window only
    batch = batch_of(targets, 0)
    assert float(everywhere.per_position(outputs, batch).mean()) == pytest.approx(1 / 320)
    assert float(at_ends.per_position(outputs, batch)[:, :160].mean()) == 1.0
    assert float(at_ends.per_position(outputs, batch)[:, 160:].mean()) == 0.0
    later = replace(batch, position=batch.position + 1)
    assert float(at_ends.per_position(outputs, later)[:, 158]) == 0.0


def test_enrolled_voices_are_told_apart_at_the_training_context(
    encoder: SpeakerEncoder, measures: tuple[Measure, ...], short: Split
) -> None:
    result = evaluate(
        encoder,
        short.test,
        train_context=160,
        measures=measures,
        settings=EvalSettings(targets=320),
    )
    young, trained = result.age_curve[0], next(band for band in result.age_curve if band.age[1] == 160)
    assert young.loss > 0.4
    assert trained.loss < 0.15
    ends = {band.age: band.loss for band in result.other_measures["speaker_error_at_window_ends"]}
    assert ends[80, 160] < 0.1
    assert [row["value"] for row in result.slices["labels"]["voice"]] == ["en", "es", "fr", "it", "ru"]


def test_a_repair_step_needs_no_labels(encoder: SpeakerEncoder, short: Split) -> None:
    assert SPEECH.objective is not None
    objective = SPEECH.objective(encoder)
    assert isinstance(objective, SelfDistillation)
    without: Streams = replace(short.train, targets=None)
    model = load_encoder()
    settings = TrainSettings(steps=2, batch_size=4, learning_rate=2e-4)
    losses = fit(model, without, objective, state_passing(), 160, settings)
    assert 0 < losses[-1][1] < 1
    pairs = zip(objective.teacher.parameters(), encoder.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not all(torch.equal(a, b) for a, b in zip(model.parameters(), encoder.parameters(), strict=True))
