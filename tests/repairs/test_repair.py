"""Repair and compare: the base stays as it was, every row is given the same, and what is refused is refused."""

from __future__ import annotations

import json
import signal
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

from outlast.errors import InputError, Interrupted
from outlast.evaluation import EvalSettings
from outlast.interventions import Carry, Zero, state_passing
from outlast.parallel import side_by_side
from outlast.repairs import RepairSettings, compare, repair
from outlast.repairs.repairing import draws
from outlast.results import from_json, to_json
from outlast.training import TrainSettings
from outlast.training.objectives import Regression
from toys import Dropping, small_gru, wave_streams

T = 8
TRAINING = TrainSettings(steps=20, batch_size=8, learning_rate=1e-2, checkpoint_every=8)
RULES = [Zero(), state_passing(), Carry(expected_run=5 * T)]
ANYWAY = RepairSettings(anyway=True, doses=(1.0,))
COMMON = {
    "train_context": T,
    "training": TRAINING,
    "measuring": EvalSettings(targets=16, max_length=64),
    "repairing": ANYWAY,
}


def data():
    return wave_streams(64, 64)


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(a, b) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def figures(result) -> str:
    """The result without how long things took."""
    return json.dumps({"figures": _without_seconds(json.loads(to_json(result)))})


def _without_seconds(node):
    if isinstance(node, dict):
        return {key: _without_seconds(value) for key, value in node.items() if key != "seconds"}
    return [_without_seconds(value) for value in node] if isinstance(node, list) else node


@pytest.fixture(scope="module")
def compared():
    return compare(small_gru(), data(), interventions=RULES, **COMMON)


def test_the_base_is_not_changed():
    """Neither its weights, nor its mode, nor what requires gradients, nor what hangs on it."""
    model = small_gru().train()
    model.head.bias.requires_grad_(False)
    before, hanging = weights(model), set(vars(model))
    done = repair(model, data(), intervention=Carry(expected_run=5 * T), **COMMON)
    assert same(before, model.state_dict())
    assert model.training
    assert not model.head.bias.requires_grad
    assert all(p.grad is None for p in model.parameters())
    assert set(vars(model)) == hanging
    assert not same(before, done.model.state_dict())
    assert torch.equal(done.model.state_dict()["head.bias"], before["head.bias"])
    assert not done.model.training


def test_repair_is_the_row_of_a_comparison(compared):
    """Both go the same way: same weights, same figures where both measured."""
    done = repair(small_gru(), data(), intervention=RULES[2], **COMMON)
    row = compared.result.rows[2].repair
    assert same(done.model.state_dict(), compared.models[compared.result.rows[2].name].state_dict())
    assert done.after.oldest.per_stream == row.after.oldest.per_stream
    assert done.result.short_context == row.short_context
    assert done.result.benefit.rivals["base"] == row.benefit.rivals["base"]
    assert done.result.training == row.training


class Recording(Regression):
    """Notes which windows were read."""

    def prepare(self, batch):
        read.append((batch.stream_id.tolist(), batch.position.tolist(), batch.continues.tolist()))
        return batch


read: list[tuple[list[int], list[int], list[bool]]] = []


def test_every_intervention_is_given_equal_data():
    """The same windows at every step and row, except where a row goes on with its stream. Last comes the control,
    which reads what the picked row read."""
    read.clear()
    done = compare(small_gru(), data(), interventions=RULES, objective=Recording(), **COMMON)
    runs = [read[start : start + 20] for start in range(0, len(read), 20)]
    assert len(runs) in (4, 5)  # the control of the likely pick is trained beside them, and where it was not picked,
    assert runs[0] == runs[1]  # that of the picked one after them
    assert runs[-1] == runs[[rule.label for rule in RULES].index(done.result.picked)]
    went = 0
    for zero, carry in zip(runs[0], runs[2], strict=True):
        for row in range(8):
            went += carry[2][row]
            if not carry[2][row]:
                assert (zero[0][row], zero[1][row]) == (carry[0][row], carry[1][row])
    assert 20 < went < 140


def test_rows_start_from_the_base_and_are_told_apart(compared):
    assert [row.name for row in compared.result.rows] == [rule.label for rule in RULES]
    assert {row.repair.before.oldest.loss for row in compared.result.rows} == {compared.result.base.oldest.loss}
    assert all(row.repair.steps == 20 for row in compared.result.rows)
    states = [compared.models[row.name].state_dict() for row in compared.result.rows]
    assert not same(states[0], states[1])


def test_only_the_picked_row_is_measured_at_every_age(compared):
    bands = {row.name: len(row.repair.after.age_curve) for row in compared.result.rows}
    picked = compared.result.picked
    assert bands[picked] == len(compared.result.base.age_curve)
    assert all(count < bands[picked] for name, count in bands.items() if name != picked)


def test_equal_labels_get_names_of_their_own(tmp_path):
    """Rows, models and checkpoints are told apart by them."""
    rules = [state_passing(), state_passing(zero_share=0.5)]
    done = compare(small_gru(), data(), interventions=rules, checkpoint=tmp_path, **COMMON)
    assert [row.name for row in done.result.rows] == ["state_passing", "state_passing (2)"]
    assert sorted(path.name for path in tmp_path.iterdir())[-2:] == ["state_passing", "state_passing-2"]
    assert len(list(tmp_path.iterdir())) == 3  # and that of the control
    assert len(done.models) == 2


def test_results_go_to_json_and_back(compared):
    assert from_json(to_json(compared.result)) == compared.result


@pytest.mark.parametrize("build", [small_gru, Dropping])
def test_two_jobs_end_with_the_bits_of_one(build):
    """Also with dropout, which draws from the one global generator: such models go one after the other."""
    alone = compare(build(), data(), interventions=RULES, **COMMON)
    torch.manual_seed(7)
    drawn = torch.get_rng_state()
    together = compare(build(), data(), interventions=RULES, jobs=2, **COMMON)
    assert figures(alone.result) == figures(together.result)
    for name, model in alone.models.items():
        assert same(model.state_dict(), together.models[name].state_dict())
    assert torch.equal(drawn, torch.get_rng_state())
    assert torch.get_num_threads() == 1


def test_dropout_is_noticed_and_noticing_changes_nothing():
    streams, model = data(), Dropping().eval()
    before = torch.get_rng_state()
    assert draws(model, streams)
    assert not draws(Dropping(rate=0.0), streams)
    assert not model.training
    assert torch.equal(before, torch.get_rng_state())


def test_a_stopped_comparison_goes_on_where_it_was(tmp_path, compared):
    """Finished rows are not trained again, the one in progress goes on, the figures are those of an unbroken run."""

    def press(what, share, loss):
        if what == "train state_passing" and share == 0.5:
            signal.raise_signal(signal.SIGINT)

    options = {"interventions": RULES, "checkpoint": tmp_path, **COMMON}
    with pytest.raises(Interrupted, match="step 10 of 20"):
        compare(small_gru(), data(), progress=press, **options)
    steps = []
    done = compare(
        small_gru(),
        data(),
        resume=True,
        progress=lambda what, share, loss: steps.append(what) if what.startswith("train") else None,
        **options,
    )
    assert figures(done.result) == figures(compared.result)
    counts = {what: steps.count(what) for what in set(steps)}
    control = f"train control of {compared.result.picked}"
    assert counts == {"train state_passing": 10, "train carry(expected_run=40)": 20, control: 20}


def test_a_comparison_of_other_interventions_goes_on_with_what_is_there(tmp_path):
    """Where another row is picked then, its control is another one too, and the control of the last pick is no bar."""

    def trained(*rules, doses=(1.0,)) -> set[str]:
        steps: set[str] = set()
        options = {**COMMON, "repairing": replace(ANYWAY, doses=doses), "checkpoint": tmp_path, "resume": True}
        done = compare(small_gru(), data(), interventions=rules, progress=lambda what, *_: steps.add(what), **options)
        assert done.result.picked == rules[-1].label
        return {what for what in steps if what.startswith("train")}

    assert trained(Zero()) == {"train zero", "train control of zero"}
    assert trained(RULES[2]) == {f"train {RULES[2].label}", f"train control of {RULES[2].label}"}
    assert trained(Zero()) == trained(RULES[2], doses=(0.5,)) == set()


def test_a_checkpoint_of_another_base_is_refused(tmp_path):
    """Otherwise the repair of one model would be reported as that of another."""
    options = {"intervention": Zero(), "checkpoint": tmp_path, **COMMON}
    repair(small_gru(), data(), **options)
    with pytest.raises(InputError, match="made with model"):
        repair(small_gru(seed=1), data(), resume=True, **options)


def test_an_error_in_one_job_stops_the_others_and_is_the_one_told():
    stop, begun = threading.Event(), threading.Event()

    def patient():
        begun.set()
        assert stop.wait(60)
        raise Interrupted("stopped")

    def failing():
        begun.wait(60)
        raise ValueError("this one")

    with pytest.raises(ValueError, match="this one"):
        side_by_side(2, [patient, failing, patient], stop)
    assert stop.is_set()


def test_jobs_return_in_order():
    first = threading.Event()
    jobs = [lambda: first.wait(60) and "slow", lambda: first.set() or "fast"]
    assert side_by_side(2, jobs) == ["slow", "fast"]


def test_a_guard_on_which_short_contexts_are_lost_refuses():
    """Training towards the sign-flipped waves makes the model worse on the upright ones. Nothing holds it to them: it
    is trained without an anchor."""
    upright, streams = wave_streams(64, 64), data()
    flipped = replace(streams, targets=np.roll(-streams.inputs, -1, 0), shift=0)
    how = replace(ANYWAY, anchor=0.0, control=False)
    options = {**COMMON, "training": replace(TRAINING, steps=120), "repairing": how}
    learnt = repair(small_gru(), upright, intervention=Zero(), **options).model
    free = repair(learnt, flipped, intervention=state_passing(), **options)
    guards = {"easy": flipped, "upright": upright}
    guarded = repair(learnt, flipped, intervention=state_passing(), guards=guards, **options)
    assert same(free.model.state_dict(), guarded.model.state_dict())  # guards only judge
    assert free.result.refused_because is None
    assert free.accepted
    assert guarded.result.refused_because is not None
    assert (guarded.result.refused_because.name, guarded.result.refused_because.guard) == (
        "short_context_lost",
        "upright",
    )
    assert not guarded.accepted
    assert list(guarded.result.guards) == ["easy", "upright"]
    assert not guarded.result.guards["upright"].held
    assert guarded.result.guards["easy"].high < 0


def test_a_repair_of_nothing_is_refused():
    """One step at a learning rate of nearly nothing changes nothing, so it cannot help."""
    training = replace(TRAINING, steps=1, learning_rate=1e-12)
    done = repair(small_gru(), data(), intervention=Zero(), **{**COMMON, "training": training})
    assert done.result.refused_because is not None
    assert done.result.refused_because.name == "no_benefit"
    none = compare(small_gru(), data(), interventions=[Zero()], **{**COMMON, "training": training})
    assert none.model is None
    assert none.result.winner is None
    assert none.result.picked == "zero"


def test_short_ages_are_those_that_were_stated():
    """In the result, and in what validation keeps; the ages of a model that is reset every two positions."""
    options = {**COMMON, "repairing": replace(ANYWAY, short_ages=(0, 2))}
    done = repair(small_gru(), data(), intervention=Zero(), **options)
    assert done.result.short_context.ages == (0, 2)
    young = [
        after.loss - before.loss for before, after in zip(done.before.age_curve, done.after.age_curve, strict=True)
    ]
    assert done.result.short_context.difference == pytest.approx((young[0] + young[1]) / 2)
    compared = compare(small_gru(), data(), interventions=[Zero()], **options)
    assert compared.result.rows[0].repair.short_context == done.result.short_context
    with pytest.raises(InputError, match="short ages"):
        repair(small_gru(), data(), intervention=Zero(), **{**options, "repairing": replace(ANYWAY, short_ages=(4, 2))})


def test_figures_of_a_row_are_what_validation_said(compared):
    for row in compared.result.rows:
        figures = row.validation
        assert figures["dose"] == row.repair.dose == 1.0
        assert figures["short_cost"] >= figures["short_difference"]
        assert figures["short_margin"] > 0
        (point,) = row.repair.doses
        assert point.oldest[0] == pytest.approx(figures["oldest"])
        assert point.short[0] == pytest.approx(figures["short_difference"])
        assert point.kept == (figures["short_cost"] <= figures["short_margin"])


def test_no_steps_and_no_interventions_are_refused():
    with pytest.raises(InputError, match="steps=0"):
        repair(small_gru(), data(), intervention=Zero(), steps=0, **COMMON)
    with pytest.raises(InputError, match="no interventions"):
        compare(small_gru(), data(), interventions=[], **COMMON)


def test_steps_override_those_of_the_training():
    done = repair(small_gru(), data(), intervention=Zero(), steps=3, **COMMON)
    assert done.result.steps == 3
    assert done.result.training["steps"] == 3
    assert done.result.training["losses"][-1][0] == 3
