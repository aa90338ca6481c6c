"""What measuring costs is known before it starts, and a budget is kept by reading less, never by a verdict on less."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import outlast
from outlast import DiagnoseSettings, EvalSettings, InputError, Streams
from outlast.evaluation import Cost, cost, drawn, preparing
from outlast.evaluation.choosing import usable
from outlast.evaluation.costs import Choice, Speed, possible_targets, speed_of, trial, within
from outlast.evaluation.preparing import prepared
from outlast.model import Recurrent
from outlast.reporting import summary, write_report
from outlast.results import Evaluation
from outlast.results.files import from_json, to_json
from toys import small_gru, wave_streams

T = 8
MODEL = small_gru()
WAVES = wave_streams(streams=48)
UNTOLD = replace(WAVES, shift=0)
"""The same without targets."""


class Watched(Recurrent):
    """A model that counts what it is called with, and lets the time of a clock go by."""

    def __init__(self, model: Recurrent, seconds: Callable[[int, int], float] = lambda rows, positions: 0.0) -> None:
        super().__init__()
        self.inner, self.input_spec, self.seconds = model, model.input_spec, seconds
        self.calls, self.now = Counter[tuple[int, int]](), 0.0

    def initial_state(self, batch_size: int) -> Any:
        return self.inner.initial_state(batch_size)

    def state_parts(self) -> Any:
        return self.inner.state_parts()

    def forward(self, inputs: Tensor, state: Any) -> Any:
        rows, positions = inputs.shape[:2]
        self.calls[rows, positions] += 1
        self.now += self.seconds(rows, positions)
        return self.inner(inputs, state)


@pytest.mark.parametrize("streams", [WAVES, UNTOLD], ids=["targets", "no targets"])
@pytest.mark.parametrize(
    "settings",
    [
        EvalSettings(targets=16),
        EvalSettings(targets=32, chunk=5, memory_mib=0.02),
        EvalSettings(targets=16, ends_only=True, streams=9),
    ],
    ids=["plain", "small steps", "ends"],
)
def test_every_step_is_foreseen(streams: Streams, settings: EvalSettings) -> None:
    model = Watched(MODEL)
    ready = prepared(model, streams, T, None, settings)
    foreseen = Counter(map(tuple, np.concatenate(ready.steps()).tolist()))
    model.calls.clear()
    measures = ready.measures or (ready.agreement(),)
    ready.passes(measures).make(1)
    assert model.calls == foreseen


def test_a_trial_times_steps_without_what_only_the_first_one_takes() -> None:
    first = set[int]()

    def seconds(rows: int, positions: int) -> float:
        compiling = 0 if positions in first else 100.0
        first.add(positions)
        return compiling + 0.5 + 0.01 * positions + 0.001 * rows * positions

    model = Watched(MODEL, seconds)
    steps = [(4, 32), (12, 16), (48, 1), (1, 32)]
    found = trial(
        model, torch.device("cpu"), WAVES, steps, [lambda outputs, batch: outputs[..., 0]], clock=lambda: model.now
    )
    assert (found.step, found.position, found.row) == pytest.approx((0.5, 0.01, 0.001))


def test_a_speed_is_never_below_nothing() -> None:
    found = speed_of([(1, 64), (8, 64), (64, 1)], [1.0, 0.9, 0.1])
    assert min(found.step, found.position, found.row) >= 0
    assert found.seconds(np.array([[1, 64], [8, 64]])) == pytest.approx(1.9, rel=0.1)


def a_second_for(targets: int, streams: int) -> float:
    """A hundred targets of a stream take a second, and so does its carried run; a trial takes five."""
    return 5 + streams * (1 + targets / 100)


@pytest.mark.parametrize(
    ("budget", "choice"),
    [
        (1000, Choice(800, 20)),
        (185, Choice(800, 20)),
        (184, Choice(700, 20)),
        (65, Choice(200, 20)),
        (64, Choice(200, 19)),
        (29, Choice(200, 8)),
        (28, Choice(200, 7)),
        (11, Choice(200, 2)),
    ],
)
def test_a_budget_takes_targets_first_and_then_streams(budget: float, choice: Choice) -> None:
    assert within(budget, a_second_for, range(200, 801, 100), 20) == choice


def test_a_budget_for_less_than_two_streams_is_refused_and_says_what_is_needed() -> None:
    with pytest.raises(InputError) as refused:
        within(10.9, a_second_for, range(200, 801, 100), 20)
    assert "a budget of 11s" in str(refused.value)
    assert "at least 11s" in str(refused.value)
    assert "a verdict needs 8, and would take 29s" in str(refused.value)


def test_targets_go_down_by_blocks_to_a_stated_least() -> None:
    assert possible_targets(64, 512, 4096) == [256, 320, 384, 448, 512]
    assert possible_targets(100, 350, 4096) == [300, 350]
    assert possible_targets(2048, 2048, 8192) == [2048]
    assert possible_targets(8, 32, 32) == [32]


def test_a_draw_takes_from_all_recordings_and_grows_by_adding() -> None:
    cut = wave_streams(streams=4, length=256).cut(32)
    assert cut.recording is not None
    few, more = drawn(cut, 4, seed=1), drawn(cut, 9, seed=1)
    assert few.recording is not None
    assert sorted(few.recording.tolist()) == [0, 1, 2, 3]
    assert set(few.starts) < set(more.starts)
    assert more.recording is not None
    assert max(Counter(more.recording.tolist()).values()) == 3
    assert set(drawn(cut, 9, seed=2).starts) != set(more.starts)
    assert drawn(cut, None, seed=1) is cut


def at(monkeypatch: pytest.MonkeyPatch, speed: Speed) -> None:
    """Let every trial find this speed."""
    monkeypatch.setattr(preparing, "trial", lambda *given: speed)


def seconds_for(streams: int, targets: int, speed: Speed) -> float:
    """A budget that so many streams just fit, but for what goes by before."""
    ready = prepared(MODEL, WAVES, T, None, EvalSettings(targets=targets, streams=streams))
    return ready.seconds(speed) / 0.9


def figures(result: Evaluation) -> dict[str, Any]:
    """What was measured: all but the time, and how the result came about."""
    beside = ("seconds", "settings", "notes", "cost", "data")
    return {each.name: getattr(result, each.name) for each in fields(result) if each.name not in beside}


SLOW = Speed(0.0, 0.0, 10.0)
"""So slow that what preparing takes is no part of a budget to speak of."""


@pytest.mark.parametrize(("streams", "judged"), [(20, True), (8, True), (7, False), (2, False)])
def test_what_a_budget_chose_gives_the_same_again_without_a_clock(
    monkeypatch: pytest.MonkeyPatch, streams: int, judged: bool
) -> None:
    at(monkeypatch, SLOW)
    budget = seconds_for(streams, 32, SLOW) + 60
    found = outlast.evaluate(MODEL, WAVES, train_context=T, settings=EvalSettings(targets=32, budget=budget))
    assert found.settings["streams"] == found.data["streams"] == found.oldest.n == streams
    assert found.settings["budget"] == budget
    assert found.data["streams_usable"] == 48
    assert found.cost is not None
    assert found.cost.seconds <= budget
    assert (found.verdict is not None) == judged
    notes = {note.name: note for note in found.notes}
    assert f"{streams} of 48 streams were read" in notes["within_budget"].said
    assert ("few_streams" in notes) != judged
    recorded = {each.name: found.settings[each.name] for each in fields(EvalSettings)}
    again = outlast.evaluate(MODEL, WAVES, train_context=T, settings=EvalSettings(**{**recorded, "budget": None}))
    assert figures(again) == figures(found)
    assert {**again.data} == {**found.data}


def test_fewer_targets_come_before_fewer_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, SLOW)
    waves = wave_streams(streams=12, length=1200)
    ready = prepared(MODEL, waves, T, None, EvalSettings(targets=400))
    budget = ready.seconds(SLOW) / 0.9 + 60
    found = outlast.evaluate(MODEL, waves, train_context=T, settings=EvalSettings(targets=512, budget=budget))
    assert (found.settings["targets"], found.settings["streams"]) == (400, None)
    assert found.data["targets_asked"] == 512
    assert found.verdict is not None


def test_a_budget_that_is_large_enough_changes_nothing() -> None:
    plain = outlast.evaluate(MODEL, WAVES, train_context=T, settings=EvalSettings(targets=32))
    found = outlast.evaluate(MODEL, WAVES, train_context=T, settings=EvalSettings(targets=32, budget=1e6))
    assert figures(found) == figures(plain)
    assert found.data == plain.data
    assert found.notes == plain.notes
    assert plain.cost is None


def test_a_budget_for_less_than_two_streams_measures_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, SLOW)
    model = Watched(MODEL)
    with pytest.raises(InputError, match="a verdict needs 8"):
        outlast.evaluate(model, WAVES, train_context=T, settings=EvalSettings(targets=32, budget=60))
    assert sum(model.calls.values()) < 5  # those that find out how much memory a step takes


def test_the_cost_is_told_before_the_work_and_is_what_is_recorded() -> None:
    told, model = list[tuple[Cost, int]](), Watched(MODEL)
    found = outlast.evaluate(
        model,
        WAVES,
        train_context=T,
        settings=EvalSettings(targets=32),
        announce=lambda each: told.append((each, sum(model.calls.values()))),
    )
    ((expected, before),) = told
    assert before < sum(model.calls.values())
    assert found.cost == expected
    assert (expected.streams, expected.length, expected.targets) == (48, 64, 32)
    ready = prepared(MODEL, WAVES, T, None, EvalSettings(targets=32))
    assert expected.positions == sum(int(steps.prod(1).sum()) for steps in ready.steps())
    assert expected.memory > sum(each.numel() for each in MODEL.parameters())
    assert from_json(to_json(found)) == found
    alone = cost(MODEL, WAVES, train_context=T, settings=EvalSettings(targets=32))
    assert replace(alone, seconds=0.0, memory=0) == replace(expected, seconds=0.0, memory=0)


def test_few_streams_have_curves_and_no_verdict_wherever_they_are_told(tmp_path: Path) -> None:
    found = outlast.evaluate(MODEL, WAVES, train_context=T, settings=EvalSettings(targets=32, streams=3))
    assert found.verdict is None
    assert found.short is not None
    assert len(found.age_curve) > 3
    assert found.resets
    text = summary(found)
    assert "3 streams were asked for, of the 8 that a verdict needs" in " ".join(text.split())
    assert "判定はありません" in "".join(summary(found, "ja").split())
    page = write_report([found], tmp_path / "report.html").read_text()
    assert page.count("of the 8 that a verdict needs") == 1


def test_few_streams_that_were_asked_for_are_not_the_budgets_doing() -> None:
    found = outlast.evaluate(MODEL, WAVES, train_context=T, settings=EvalSettings(targets=32, streams=3, budget=3600))
    text = " ".join(summary(found).split())
    assert "3 streams were asked for, of the 8 that a verdict needs" in text
    assert "The budget" not in text


def test_a_diagnosis_of_few_streams_says_why_there_are_no_causes(monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, SLOW)
    parts = outlast.split(wave_streams(streams=96, length=64))
    usable_there, _ = usable(parts.test, T, None)
    ready = prepared(MODEL, parts, T, None, EvalSettings(targets=32, streams=4))
    budget = 6 * (ready.seconds(SLOW) / 0.9 + 60)
    settings = DiagnoseSettings(measuring=EvalSettings(targets=32, budget=budget))
    found = outlast.diagnose(MODEL, parts, train_context=T, settings=settings)
    assert found.evaluation.settings["streams"] == 4 < len(usable_there)
    assert found.evaluation.verdict is None
    assert found.causes == []
    assert "allows 4 of the 8 streams" in found.left_out["causes"]
    assert "allows 4 of the 8 streams" in " ".join(summary(found).split())
    assert "判定はありません" in "".join(summary(found, "ja").split())


def test_a_diagnosis_reads_the_streams_that_its_curve_was_measured_on() -> None:
    parts = outlast.split(wave_streams(streams=96, length=64))
    settings = DiagnoseSettings(measuring=EvalSettings(targets=32, streams=9))
    found = outlast.diagnose(MODEL, parts, train_context=T, settings=settings)
    assert found.evaluation.verdict is not None
    assert found.evaluation.oldest.n == 9
    assert found.remembrance is not None


def test_repairs_and_comparisons_take_no_budget() -> None:
    for measuring in (EvalSettings(budget=60), EvalSettings(streams=9)):
        with pytest.raises(InputError, match="the same streams for every choice"):
            outlast.repair(MODEL, WAVES, train_context=T, intervention="zero", measuring=measuring)


def test_a_module_that_is_no_model_of_outlasts_has_a_cost_too() -> None:
    module = nn.GRU(1, 1, batch_first=True)
    assert cost(module, WAVES, train_context=T, settings=EvalSettings(targets=32)).streams == 48
