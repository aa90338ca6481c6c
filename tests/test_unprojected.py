"""Which outputs are left unprojected, and that training and measuring come to the same with them as without."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from foreign import theirs
from outlast import checkpoints, unprojected
from outlast.data import Batch, Streams
from outlast.diagnosis.reading import losses, read_to
from outlast.evaluation import EvalSettings, evaluate
from outlast.evaluation.costs import Alive, Speed, memory_needed
from outlast.evaluation.in_pieces import Scored, scored
from outlast.evaluation.measure import CROSS_ENTROPY, ERROR_RATE
from outlast.evaluation.preparing import prepared
from outlast.families import build
from outlast.interventions import Carry, FittedNoise, Zero
from outlast.model import InputSpec, Recurrent
from outlast.modules import adapt
from outlast.modules.resetting import with_reset
from outlast.results.files import to_json
from outlast.state import leaves
from outlast.training import TrainSettings, fit
from outlast.training.objectives import CrossEntropy, anchored
from outlast.unprojected import Unprojected, leaving_out_head
from toys import token_streams

VOCABULARY = 70
SETTINGS = TrainSettings(steps=6, batch_size=4, learning_rate=1e-2)


@pytest.fixture
def small_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small heads are left out too, in pieces of 64 outputs, or of 5 positions."""
    monkeypatch.setattr(unprojected, "LEAST", 2)
    for module in ("in_pieces", "costs"):
        monkeypatch.setattr(f"outlast.evaluation.{module}.AT_ONCE", 1)
    monkeypatch.setattr("outlast.evaluation.in_pieces.POSITIONS", 5)


@pytest.fixture
def left_out(monkeypatch: pytest.MonkeyPatch) -> list[Unprojected]:
    """Whatever was given in place of outputs."""
    found: list[Unprojected] = []

    class Noted(Unprojected):
        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            found.append(self)

    monkeypatch.setattr(unprojected, "Unprojected", Noted)
    return found


def gru(outputs: int = VOCABULARY) -> Recurrent:
    return build("gru", inputs=InputSpec("tokens", outputs), outputs=outputs, width=8, layers=1)


def streams(count: int = 12, length: int = 64) -> Streams:
    return token_streams(count, length, VOCABULARY)


def borrowed(kind: str, folder: Path, **settings: Any) -> Any:
    """One of transformers' models as it is read here."""
    theirs.saved(kind, {**theirs.drawn(kind, lambda *choices: choices[0]), **settings}, folder)
    return checkpoints.load(folder)


def headless(model: Recurrent, inputs: Tensor) -> Any:
    with leaving_out_head(model):
        return model(inputs, model.initial_state(len(inputs)))[0]


@pytest.mark.usefixtures("small_heads")
@pytest.mark.parametrize("kind", ["gru", "mamba", "recurrent_gemma"])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("autocast", [True, False])
def test_what_stands_for_outputs_makes_them(kind: str, tied: bool, autocast: bool, tmp_path: Path) -> None:
    """Of families, and of the models of transformers that are read by our own code, soft cap included."""
    model = gru() if kind == "gru" else borrowed(kind, tmp_path, tie_word_embeddings=tied)
    inputs = torch.randint(7, (2, 5))
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        wanted, _ = model(inputs, model.initial_state(2))
        found = headless(model, inputs)
    assert isinstance(found, Unprojected)
    assert found.dtype == (torch.bfloat16 if autocast else torch.float32)
    assert found.shape == wanted.shape
    torch.testing.assert_close(found.columns(found.hidden, 0, found.shape[-1]), wanted.float())
    assert isinstance(model(inputs, model.initial_state(2))[0], Tensor)


def test_only_the_model_that_is_asked_and_only_large_plain_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    small: Any = gru()
    inputs = torch.randint(7, (2, 5))
    assert isinstance(headless(small, inputs), Tensor)
    monkeypatch.setattr(unprojected, "LEAST", 2)
    assert isinstance(headless(small, inputs), Unprojected)
    assert isinstance(headless(with_reset(small, 2, overlap=True), inputs), Tensor)
    other = gru()
    with leaving_out_head(other):
        assert isinstance(small(inputs, small.initial_state(2))[0], Tensor)
        found = []
        thread = threading.Thread(target=lambda: found.append(other(inputs, other.initial_state(2))[0]))
        thread.start()
        thread.join()
        assert isinstance(found[0], Tensor)
        with leaving_out_head(None):
            assert isinstance(other(inputs, other.initial_state(2))[0], Tensor)
        assert isinstance(other(inputs, other.initial_state(2))[0], Unprojected)
    watching = small.head.register_forward_hook(lambda *given: None)
    assert isinstance(headless(small, inputs), Tensor)
    watching.remove()
    small.head = nn.Sequential(small.head)
    assert isinstance(headless(small, inputs), Tensor)


class Own(nn.Module):
    """A model as users write it."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.rnn, self.head = nn.Embedding(70, 8), nn.GRU(8, 8, batch_first=True), nn.Linear(8, 70)

    def initial_state(self, batch_size: int) -> tuple[Tensor]:
        return (torch.zeros(batch_size, 8),)

    def forward(self, inputs: Tensor, state: tuple[Tensor]) -> tuple[Tensor, tuple[Tensor]]:
        y, last = self.rnn(self.embed(inputs), state[0][None].contiguous())
        return self.head(y), (last[0],)


@dataclass(frozen=True)
class Smoothed(CrossEntropy):
    """An objective of the user's that sees the logits."""

    def per_position(self, outputs: Any, batch: Batch) -> Tensor:
        return super().per_position(outputs, batch) - 0.1 * outputs.log_softmax(-1).mean(-1)


def trained(model: Recurrent, objective: Any = None, settings: TrainSettings = SETTINGS, rule: Any = None) -> Any:
    history = fit(model, streams(), objective or CrossEntropy(), rule or Carry(expected_run=40), 8, settings)
    return model.state_dict(), history


@pytest.mark.parametrize("kind", ["gru", "mamba", "recurrent_gemma"])
def test_training_comes_to_the_same(
    kind: str,
    tmp_path: Path,
    left_out: list[Unprojected],
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In float64, and no logits are made twice; a tied weight gets the gradients of both its uses."""
    monkeypatch.setattr("outlast.evaluation.in_pieces._again", None)

    def fresh() -> Recurrent:
        whole = {"tie_word_embeddings": True, "vocab_size": VOCABULARY}
        return (gru() if kind == "gru" else borrowed(kind, tmp_path, **whole)).double()

    wanted, history = trained(fresh())
    assert not left_out
    request.getfixturevalue("small_heads")
    found, same_history = trained(fresh())
    assert len(left_out) == SETTINGS.steps
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, rtol=1e-6, atol=1e-9)
    assert same_history == [(step, pytest.approx(loss, rel=1e-10)) for step, loss in history]


def test_training_in_bfloat16_comes_near(left_out: list[Unprojected], request: pytest.FixtureRequest) -> None:
    settings = replace(SETTINGS, precision="bf16", steps=50)
    _, history = trained(gru(), settings=settings)
    assert not left_out
    request.getfixturevalue("small_heads")
    found, same_history = trained(gru(), settings=settings)
    assert {each.dtype for each in left_out} == {torch.bfloat16}
    assert {value.dtype for value in found.values()} == {torch.float32}
    assert same_history[-1][1] == pytest.approx(history[-1][1], rel=1e-2)


@pytest.mark.usefixtures("small_heads")
@pytest.mark.parametrize(
    "case", ["anchored", "an own objective", "dropout of the state", "an own module", "with resets"]
)
def test_what_has_to_see_the_outputs_sees_them(case: str, left_out: list[Unprojected]) -> None:
    model, objective, settings = gru(), CrossEntropy(), SETTINGS
    if case == "anchored":
        objective = anchored(CrossEntropy(), model)
    elif case == "an own objective":
        objective = Smoothed()
    elif case == "dropout of the state":
        settings = replace(SETTINGS, state_dropout=0.1)
    else:
        model = adapt(Own()) if case == "an own module" else with_reset(model, 4)
    _, history = trained(model, objective, settings, Zero())
    assert not left_out
    assert np.isfinite(history[-1][1])


def test_states_alone_need_no_head(left_out: list[Unprojected], request: pytest.FixtureRequest) -> None:
    """What is fitted to states, and what is read for them, is bit for bit what it was."""
    settings = replace(SETTINGS, read_ahead=2, steps=1)
    wanted, _ = trained(gru(), Smoothed(), settings, FittedNoise())
    model, given = gru(), streams()
    numbers, zero = np.arange(4), np.zeros(4, np.int64)
    state = read_to(model, given, numbers, zero, zero + 30)
    batch = given.window(numbers, zero, 8)
    with torch.no_grad():
        loss = losses(model, batch, state, CROSS_ENTROPY)
    assert not left_out
    request.getfixturevalue("small_heads")
    found, _ = trained(gru(), Smoothed(), settings, FittedNoise())
    assert all(torch.equal(found[name], value) for name, value in wanted.items())
    again = read_to(model, given, numbers, zero, zero + 30)
    assert all(torch.equal(*each) for each in zip(leaves(state), leaves(again), strict=True))
    before = len(left_out)
    assert before > 3
    with torch.no_grad():
        torch.testing.assert_close(losses(model, batch, state, CROSS_ENTROPY), loss)
    assert len(left_out) == before + 1
    torch.testing.assert_close(losses(model, batch, state, CROSS_ENTROPY), loss)
    assert len(left_out) == before + 1  # with gradients, of states alone, the outputs are made


def measured(model: Recurrent, measures: Any, **how: Any) -> dict[str, Any]:
    settings = EvalSettings(targets=32, **how)
    return json.loads(to_json(evaluate(model, streams(), train_context=8, measures=measures, settings=settings)))


@pytest.mark.parametrize("measures", ["cross_entropy", ["cross_entropy", "error_rate"], "error_rate"])
@pytest.mark.parametrize("jobs", [1, 2])
def test_measuring_comes_to_the_same(
    measures: Any, jobs: int, left_out: list[Unprojected], request: pytest.FixtureRequest
) -> None:
    wanted = measured(gru().double(), measures, jobs=jobs)
    assert not left_out
    request.getfixturevalue("small_heads")
    found = measured(gru().double(), measures, jobs=jobs)
    assert left_out
    for name in ("age_curve", "position_curve", "recovery", "other_measures", "notes", "short", "resets"):
        assert_alike(found[name], wanted[name])


def assert_alike(found: Any, wanted: Any) -> None:
    """The same structure, numbers to rounding."""
    if isinstance(wanted, dict):
        assert found.keys() == wanted.keys()
        for key, value in wanted.items():
            assert_alike(found[key], value)
    elif isinstance(wanted, list | tuple):
        assert len(found) == len(wanted)
        for mine, its in zip(found, wanted, strict=True):
            assert_alike(mine, its)
    else:
        assert found == (pytest.approx(wanted, rel=1e-9, abs=1e-12) if isinstance(wanted, float) else wanted)


@pytest.mark.usefixtures("small_heads")
@pytest.mark.parametrize("case", ["the same everywhere", "not finite at times"])
def test_oddities_are_seen_without_the_outputs_too(case: str, left_out: list[Unprojected]) -> None:
    model: Any = gru()
    with torch.no_grad():
        if case == "the same everywhere":
            model.head.weight.zero_()
        else:
            model.embed.weight[3] = torch.inf
    odd = {"the same everywhere": "constant_outputs", "not finite at times": "not_finite"}[case]
    assert odd in [note["name"] for note in measured(model, "cross_entropy")["notes"]]
    assert left_out


def test_the_memory_of_a_step_is_foreseen_and_small() -> None:
    """A step of as many rows as are said to fit takes what it is said to, which no longer grows with the vocabulary."""
    V, chunk = 20_000, 64
    model, given = gru(V), token_streams(12, 128, V)
    scores = (CROSS_ENTROPY.per_position, ERROR_RATE.per_position)
    needed = memory_needed(model, torch.device("cpu"), given, chunk, scores)
    logits = 4 * V
    assert needed.position < logits / 20
    rows = 12
    batch = given.window(np.arange(rows), np.zeros(rows, np.int64), chunk)
    state = model.initial_state(rows)
    with torch.no_grad(), Alive([batch.inputs, *leaves(state), *model.parameters()]) as alive:  # pyright: ignore
        with leaving_out_head(model):
            outputs, after = model(batch.inputs, state)
        found = [score(outputs, batch) for score in scores]
    assert isinstance(outputs, Unprojected)
    assert alive.most < needed.of(rows, chunk) < 3 * alive.most
    assert needed.of(rows, chunk) < rows * chunk * logits / 2
    assert needed.rows(needed.of(rows, chunk) + 1, chunk) == rows
    del after, found


@pytest.mark.usefixtures("small_heads")
def test_the_head_runs_for_what_is_scored_and_that_is_foreseen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for what is read on the way there; the estimate of the time counts both apart."""
    ready = prepared(gru(), streams(), 8, "cross_entropy", EvalSettings(targets=32))
    passes, counted = ready.passes(ready.measures), list[int]()

    def noted(outputs: Unprojected, targets: Tensor) -> Scored:
        counted.append(targets.numel())
        return scored(outputs, targets)

    monkeypatch.setattr("outlast.evaluation.scoring.scored", noted)
    passes.make(1)
    assert sum(counted) == sum(passes.scored())
    read = sum(int(steps.prod(1).sum()) for steps in passes.steps())
    assert sum(counted) < read
    assert ready.seconds(Speed(0.0, 0.0, 0.0, scored=2.0)) == 2.0 * sum(counted)
    assert ready.trial().scored > 0
    with_outputs = replace(ready, scores=(lambda outputs, batch: outputs[..., 0],))
    assert with_outputs.trial().scored == 0
