"""The control of a repair: equal in everything but the starts, so that what it gains too was not the starts' doing."""

from __future__ import annotations

import copy
import signal
from dataclasses import replace
from typing import Any

import pytest
import torch

from outlast.data import Split
from outlast.errors import Interrupted
from outlast.evaluation import EvalSettings, evaluate
from outlast.interventions import Carry, Intervention, Zero, control_of, tbtt
from outlast.model import Recurrent
from outlast.repairs import Repaired, RepairSettings, compare, judge, repair, tune, with_dose
from outlast.results import Repair, from_json, to_json
from outlast.training import TrainSettings, fit
from outlast.training.objectives import CrossEntropy, anchored
from planted import Learning, Planted, coin_streams

T = 8
RULE = Carry(expected_run=10 * T)
TRAINING = TrainSettings(steps=30, batch_size=8, learning_rate=0.05)
SPLIT = Split(coin_streams(20, 256), coin_streams(20, 256, seed=1), coin_streams(30, 256, seed=2), how="planted")
"""32 training contexts long."""


def reading(age: torch.Tensor) -> torch.Tensor:
    return 0.4 + 0.25 * age.clamp(1, T).log2()


def declining(age: torch.Tensor, decline: torch.Tensor) -> torch.Tensor:
    """What it loses past the training context is learnt at such ages only."""
    return reading(age) - decline * (age / T).clamp(min=1).log2()


def forgetful(age: torch.Tensor, decline: torch.Tensor) -> torch.Tensor:
    """It loses from its second position on, and can learn not to within any window."""
    return reading(age) - decline * age.clamp(min=1).log2()


def failing() -> Learning:
    return Learning(declining, 0.3)


def robust() -> Learning:
    return Learning(declining, 0.0)


COMMON: dict[str, Any] = {
    "train_context": T,
    "training": TRAINING,
    "measuring": EvalSettings(targets=64),
    "objective": "classification",
}


def repaired(base: Recurrent, rule: Intervention = RULE, progress=None, **how) -> Repaired:
    options = {**COMMON, "repairing": RepairSettings(**{"doses": (1.0,), **how})}
    return repair(base, SPLIT, intervention=rule, progress=progress, **options)


@pytest.fixture(scope="module")
def alone() -> Repaired:
    return repaired(failing())


def same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    return all(torch.equal(one, other) for one, other in zip(a.parameters(), b.parameters(), strict=True))


class Recording(CrossEntropy):
    """Notes which windows were read, and which rows were set aside."""

    def prepare(self, batch):
        places = batch.stream_id, batch.position, batch.continues, batch.extras["aside"]
        read.append([each.tolist() for each in places])
        return batch


read: list[list[list[int]]] = []


def test_it_reads_the_same_windows_for_the_same_number_of_steps():
    read.clear()
    repair(failing(), SPLIT, intervention=RULE, **{**COMMON, "objective": Recording()})
    assert len(read) == 2 * TRAINING.steps
    assert read[: TRAINING.steps] == read[TRAINING.steps :]
    assert any(any(step[2]) for step in read)  # rows did go on with their streams


@pytest.mark.parametrize("how", [{}, {"anchor": 3.0, "labels": 0.5}, {"anchor": 0.0}])
def test_it_is_trained_with_the_same_settings_and_anchor(how):
    """Bit for bit what the one training loop gives, told the rule's control."""
    base = Learning(forgetful, 0.3)
    done = repaired(base, **how)
    goal, settings = CrossEntropy("cross_entropy"), RepairSettings(**how)
    if settings.anchor:
        goal = anchored(goal, base, "kl", settings.anchor, settings.labels)
    expected = copy.deepcopy(base)
    fit(expected, SPLIT.train, goal, control_of(RULE), T, TRAINING)
    assert done.control is not None
    assert same(done.control, expected)
    assert not same(done.control, base)
    assert not same(done.control, done.model)


def test_a_repair_whose_starts_made_the_difference_is_accepted_and_its_control_does_not_pass():
    """Only old states show what has to be learnt: from zero states nothing is."""
    base = failing()
    done = repaired(base)
    assert done.accepted, done.result.refused_because
    assert isinstance(done.model, Learning)
    assert done.model.value < 0.1
    assert isinstance(done.control, Learning)
    assert done.control.value.item() == pytest.approx(0.3, abs=0.01)
    assert done.result.control is not None
    assert done.result.control_passes is False
    assert done.result.benefit.starts is not None
    assert done.result.benefit.starts[2] < 0
    assert base.value.item() == pytest.approx(0.3)
    assert from_json(to_json(done.result)) == done.result


def test_a_repair_that_plain_training_is_as_good_as_is_refused_and_its_control_passes():
    done = repaired(Learning(forgetful, 0.3))
    because = done.result.refused_because
    assert because is not None
    assert (because.name, because.also) == ("plain_training_suffices", [])
    assert done.result.control_passes is True
    assert done.control is not None


def test_plain_training_has_itself_as_its_control():
    """`zero` reads what its control reads and starts where it starts: it cannot be better."""
    done = repaired(Learning(forgetful, 0.3), Zero())
    assert done.control is not None
    assert same(done.model, done.control)
    assert done.result.refused_because is not None
    assert done.result.refused_because.name == "plain_training_suffices"


def test_it_is_left_out_where_nobody_asks_for_it():
    """Then what the starts gained is not known, and nothing is refused for it."""
    steps = []
    done = repaired(
        Learning(forgetful, 0.3), control=False, progress=lambda what, *_: steps.append(what.startswith("train"))
    )
    assert sum(steps) == TRAINING.steps
    assert (done.control, done.result.control, done.result.control_passes) == (None, None, None)
    assert set(done.result.benefit.rivals) == {"base", "periodic_reset", "leak", "handover", "overlapping_reset"}
    assert done.result.benefit.starts is None
    assert done.accepted, done.result.refused_because


def test_it_is_measured_as_the_repair_is(alone):
    """On the same streams at every age, under resets of its own."""
    done = alone
    control = done.result.control
    assert control is not None
    assert [band.age for band in control.age_curve] == [band.age for band in done.after.age_curve]
    assert control.data["hash"] == done.after.data["hash"]
    assert control.model["name"] == "control of carry(expected_run=80)"
    assert done.result.benefit.rivals["control_reset"][0] == pytest.approx(
        done.after.oldest.loss - control.resets["periodic_reset"].loss, abs=1e-9
    )
    assert done.control is not None
    again = evaluate(done.control, SPLIT, train_context=T, settings=EvalSettings(targets=64))
    assert again.oldest.per_stream == control.oldest.per_stream


def figures(result: Repair) -> Repair:
    """The result without how long things took."""
    quick = {name: replace(getattr(result, name), seconds=0.0) for name in ("before", "after", "control")}
    return replace(result, **quick)


def test_two_jobs_end_with_the_bits_of_one(alone):
    options = {**COMMON, "repairing": RepairSettings(doses=(1.0,))}
    together = repair(failing(), SPLIT, intervention=RULE, jobs=2, **options)
    assert same(alone.model, together.model)
    assert alone.control is not None
    assert together.control is not None
    assert same(alone.control, together.control)
    assert figures(alone.result) == figures(together.result)


def test_a_repair_that_was_stopped_while_its_control_was_trained_goes_on_there(tmp_path, alone):
    def press(what, share, loss):
        if what.startswith("train control") and share == 0.5:
            signal.raise_signal(signal.SIGINT)

    options = {**COMMON, "repairing": RepairSettings(doses=(1.0,)), "intervention": RULE, "checkpoint": tmp_path}
    with pytest.raises(Interrupted, match="step 15 of 30"):
        repair(failing(), SPLIT, progress=press, **options)
    steps: list[str] = []
    done = repair(failing(), SPLIT, resume=True, progress=lambda what, *_: steps.append(what), **options)
    assert [what for what in steps if what.startswith("train")] == [f"train control of {RULE.label}"] * 15
    assert figures(done.result) == figures(alone.result)


# Nothing to repair.


def test_where_there_is_nothing_to_repair_no_step_is_made():
    steps: list[str] = []
    base = robust()
    done = repaired(base, progress=lambda what, *_: steps.append(what))
    because = done.result.refused_because
    assert because is not None
    assert because.name == "nothing_to_repair"
    assert "robust" in because.because[0]
    assert not [what for what in steps if what.startswith("train")]
    assert not done.accepted
    assert same(done.model, base)
    assert done.model is not base
    assert done.control is None
    assert (done.result.steps, done.result.dose, done.result.training, done.result.doses) == (0, 0.0, {}, [])
    assert done.after == done.before
    assert done.result.short_context.difference == 0
    assert done.result.intervention == RULE.describe()
    assert from_json(to_json(done.result)) == done.result


def test_a_model_that_generalises_has_nothing_to_repair_either():
    done = repaired(Learning(declining, -0.1))
    assert done.result.refused_because is not None
    assert "generalises" in done.result.refused_because.because[0]


def test_anyway_goes_on():
    steps: list[str] = []
    done = repaired(robust(), anyway=True, progress=lambda what, *_: steps.append(what))
    assert len([what for what in steps if what.startswith("train carry")]) == TRAINING.steps
    assert done.result.steps == TRAINING.steps
    assert done.result.refused_because is None or done.result.refused_because.name != "nothing_to_repair"


def test_a_model_that_is_not_shown_to_fail_is_not_trained_unless_it_is_told_to():
    """Few streams, of which old ages are noisy: validation does not decide, and nothing could be gained for sure. Who
    compares interventions asks what they do, whatever the verdict: those are trained."""
    noisy = coin_streams(8, 256, noise=0.4, seed=5)
    parts = Split(SPLIT.train, noisy, SPLIT.test, how="planted")
    steps: list[str] = []

    def told(what: str, *_: Any) -> None:
        steps.append(what)

    how = {**COMMON, "intervention": RULE, "progress": told}
    done = repair(robust(), parts, repairing=RepairSettings(doses=(1.0,)), **how)
    because = done.result.refused_because
    assert because is not None
    assert (because.name, done.result.steps) == ("not_shown_to_fail", 0)
    assert not [what for what in steps if what.startswith("train")]
    assert tune(robust(), parts, train_context=T, measuring=COMMON["measuring"]).result.tried
    anyway = repair(robust(), parts, repairing=RepairSettings(doses=(1.0,), anyway=True), **how)
    assert anyway.result.steps == TRAINING.steps
    rules = [RULE, tbtt()]
    compared = compare(robust(), parts, interventions=rules, repairing=RepairSettings(doses=(1.0,)), **COMMON)
    assert [row.repair.steps for row in compared.result.rows] == [TRAINING.steps] * 2
    assert compared.result.refused_because is None


def test_a_comparison_with_nothing_to_repair_has_no_rows():
    steps: list[str] = []
    done = compare(
        robust(), SPLIT, interventions=[RULE, tbtt()], progress=lambda what, *_: steps.append(what), **COMMON
    )
    assert (done.model, done.models, done.control) == (None, {}, None)
    assert (done.result.rows, done.result.winner, done.result.picked) == ([], None, None)
    assert done.result.refused_because is not None
    assert done.result.refused_because.name == "nothing_to_repair"
    assert done.result.base.verdict is not None
    assert not [what for what in steps if what.startswith("train")]
    assert from_json(to_json(done.result)) == done.result


# Comparisons.


def test_all_rows_of_a_comparison_are_held_against_the_control_of_the_picked_one():
    rules = [Zero(), RULE, tbtt()]
    done = compare(failing(), SPLIT, interventions=rules, **COMMON)
    assert done.result.picked == RULE.label
    assert done.result.winner == RULE.label
    assert isinstance(done.control, Learning)
    assert done.control.value.item() == pytest.approx(0.3, abs=0.02)
    controls = [row.repair.control for row in done.result.rows]
    assert controls[0] is not None
    assert controls[0].model["name"] == f"control of {RULE.label}"
    assert all(control == controls[0] for control in controls)
    assert {row.repair.control_passes for row in done.result.rows} == {False}
    zero = done.result.rows[0].repair.refused_because
    assert zero is not None
    assert "plain_training_suffices" in (zero.name, *zero.also)
    without = compare(
        failing(), SPLIT, interventions=rules, repairing=RepairSettings(control=False, doses=(1.0,)), **COMMON
    )
    assert without.control is None
    assert {row.repair.control_passes for row in without.result.rows} == {None}


def test_where_another_row_is_picked_than_was_likely_the_control_is_that_of_the_picked_one():
    """That with the longest-carried states is likely; here it sets all rows aside, and so learns nothing."""
    read.clear()
    rules = [Carry(expected_run=2 * T, zero_share=1.0), tbtt()]
    options = {**COMMON, "objective": Recording(), "repairing": RepairSettings(doses=(1.0,))}
    done = compare(failing(), SPLIT, interventions=rules, **options)
    assert done.result.picked == "tbtt"
    runs = [read[start : start + TRAINING.steps] for start in range(0, len(read), TRAINING.steps)]
    assert runs[-1] == runs[1]
    assert {row.repair.control.model["name"] for row in done.result.rows if row.repair.control} == {"control of tbtt"}


# Doses.


def halfway(age: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
    """Half of the way has the whole gain at old ages, and short contexts pay for every step."""
    short, old = reading(age) - 0.018 * p, reading(age) + torch.where(p > 0.4, 0.5, -0.5)
    return torch.where(age < T, short, old)


def judged(base: Recurrent, given: Recurrent, control: Recurrent | None = None, **more) -> Repaired:
    settings = {"train_context": T, "measuring": EvalSettings(targets=64), **more}
    return judge(base, given, SPLIT, control=control, **settings)


def test_validation_takes_the_dose_that_short_contexts_can_pay_for():
    done = judged(Learning(halfway, 0.0), Learning(halfway, 1.0))
    assert done.result.dose == 0.5
    assert [(point.dose, point.kept) for point in done.result.doses] == [(0.5, True), (0.75, False), (1.0, False)]
    costs = [point.short[0] for point in done.result.doses]
    assert costs[1:] == pytest.approx([1.5 * costs[0], 2 * costs[0]], rel=0.05)
    assert isinstance(done.model, Learning)
    assert done.model.value.item() == 0.5
    assert done.accepted, done.result.refused_because
    whole = judged(Learning(halfway, 0.0), Learning(halfway, 1.0), repairing=RepairSettings(doses=(1.0,)))
    assert whole.result.refused_because is not None
    assert whole.result.refused_because.name == "short_context_lost"


def test_a_control_is_held_at_the_dose_that_is_best_for_it():
    """The whole one would lose short contexts, and would be no rival."""
    done = judged(Learning(halfway, 0.0), Learning(halfway, 0.5), Learning(halfway, 1.0))
    assert done.result.refused_because is not None
    assert done.result.refused_because.name == "plain_training_suffices"
    assert done.result.control_passes is True
    assert isinstance(done.control, Learning)
    assert done.control.value.item() == 0.5


def test_a_repair_at_part_of_its_dose_is_the_mixed_model():
    base = failing()
    whole, half = (repaired(base, doses=(dose,)) for dose in (1.0, 0.5))
    assert (whole.result.dose, half.result.dose) == (1.0, 0.5)
    assert same(half.model, with_dose(base, whole.model, 0.5))
    assert whole.control is not None
    assert half.control is not None
    assert same(half.control, with_dose(base, whole.control, 0.5))


# Models that were repaired elsewhere.


def test_a_given_model_is_held_to_the_same_rules(alone):
    """Neither it nor the base is changed; there is no training to record."""
    base, given = failing(), alone.model
    before = [copy.deepcopy(each) for each in (base, given)]
    done = judged(base, given, repairing=RepairSettings(doses=(1.0,)))
    assert done.after.age_curve == alone.after.age_curve
    assert done.result.short_context == alone.result.short_context
    assert done.result.benefit.rivals == {
        name: rival for name, rival in alone.result.benefit.rivals.items() if not name.startswith("control")
    }
    assert done.accepted
    assert (done.result.intervention["name"], done.result.training) == ("given", {})
    assert (done.control, done.result.control_passes) == (None, None)
    assert same(before[0], base)
    assert same(before[1], given)
    assert from_json(to_json(done.result)) == done.result


def test_a_given_control_counts():
    done = judged(failing(), Learning(declining, -0.1), Learning(declining, -0.1))
    assert done.result.refused_because is not None
    assert done.result.refused_because.name == "plain_training_suffices"
    assert done.result.control_passes is True
    assert done.control is not None


def test_a_given_model_for_a_base_that_does_not_fail_is_not_needed():
    done = judged(robust(), Learning(declining, -0.1))
    assert done.result.refused_because is not None
    assert done.result.refused_because.name == "nothing_to_repair"
    assert same(done.model, robust())
    anyway = judged(robust(), Learning(declining, -0.1), repairing=RepairSettings(anyway=True))
    assert isinstance(anyway.model, Learning)
    assert anyway.model.value < 0


def test_the_planted_models_are_what_they_are_said_to_be():
    """The tests above rest on it."""
    for model, name in ((failing(), "fails"), (robust(), "robust"), (Planted(reading), "robust")):
        verdict = evaluate(model, SPLIT, train_context=T, settings=EvalSettings(targets=64)).verdict
        assert verdict is not None
        assert verdict.name == name
