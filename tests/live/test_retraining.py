"""From incidents to a candidate that came through its gates, on a model whose fault and cure are known."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from live.leaky import Leaky, T
from live.met import FEW, HALF, NOW, at_work, fill, without_targets
from outlast.checkpoints import model_fingerprint
from outlast.errors import InputError
from outlast.interventions import Carry, Mix
from outlast.live.ledger import Ledger, Status
from outlast.live.ledger import candidates as on
from outlast.live.ledger import incidents as of
from outlast.live.retrain import FromKept, cleared, collect, hold, model_of, retrain, train
from outlast.live.retrain.checks import collected_of, folder_of, probed
from outlast.live.retrain.collected import read_collected
from outlast.live.retrain.from_kept import with_arrived
from outlast.live.retrain.gates import LEAST_UNITS, Later, Seen, better, gone_quiet, no_worse_than_reset
from outlast.live.watch.signals import Probes
from outlast.randomness import generator

pytestmark = pytest.mark.xdist_group("retraining")  # one process: what they all read is made once


@pytest.fixture(scope="module")
def trained_once(model, data, profile, tmp_path_factory):
    """A ledger with one trained candidate; tests work on copies."""
    folder = tmp_path_factory.mktemp("once") / "live"
    ledger = Ledger(folder)
    fill(ledger)
    one = collect(ledger, model, profile, data.train, how=NOW, by="ann")
    train(ledger, one.id, model, data, T, how=FEW, by="ann")
    ledger.close()
    return folder


@pytest.fixture
def ledger(tmp_path):
    found = Ledger(tmp_path / "live")
    yield found
    found.close()


@pytest.fixture
def trained(trained_once, tmp_path):
    shutil.copytree(trained_once, tmp_path / "once")
    found = Ledger(tmp_path / "once")
    yield found
    found.close()


def left_out(ledger, one):
    return on.gates(ledger, one.id)[0].figures["left_out"]


def test_what_was_met_at_work_is_learnt_and_comes_through_all_gates(ledger, model, data, profile):
    fill(ledger)
    one = retrain(ledger, data, model=model, profile=profile, train_context=T, collecting=NOW, training=FEW,
                  allow_code=True, by="ann")  # fmt: skip
    assert one.status == Status.GATED
    assert [each.after for each in on.moves(ledger, one.id)] == [Status.COLLECTED, Status.TRAINED, Status.GATED]
    found = cleared(ledger, one.id, allow_code=True)
    assert model_fingerprint(found) == one.model != one.parent
    assert abs(next(found.parameters()).item()) < 0.3  # it was 1: what is in the level costs its square
    seen = {each.name: each for each in on.gates(ledger, one.id)}
    figures = seen["later incidents"].figures
    assert figures["base"] > 8
    assert figures["candidate"] < 2
    assert (figures["units"], figures["unit"]) == (6, "stream")
    scores = seen["alarm"].figures
    assert max(scores["candidate"].values()) <= 0.9 * max(scores["base"].values())
    assert max(scores["base"].values()) > 4
    assert seen["handover"].figures["better"] in ("handed_over", "encoded_anew")
    assert (folder_of(ledger, one.id) / "profile" / "profile.json").exists()
    # Once more, and nothing is done again.
    before = on.gates(ledger, one.id)
    again = retrain(
        ledger, data, model=model, profile=profile, train_context=T, number=one.id, allow_code=True, by="ann"
    )
    assert again == one
    assert on.gates(ledger, one.id) == before


def test_a_candidate_that_learnt_nothing_is_refused_by_name(ledger, model, data, profile):
    fill(ledger)
    slow = replace(FEW, training=replace(FEW.training, steps=1, learning_rate=1e-9))
    one = retrain(ledger, data, model=model, profile=profile, train_context=T, collecting=NOW, training=slow,
                  allow_code=True, by="ann")  # fmt: skip
    assert one.status == Status.REFUSED
    failed = {each.name for each in on.gates(ledger, one.id) if not each.passed}
    assert failed == {"later incidents", "not worse than a reset", "alarm"}
    assert "later incidents" in on.moves(ledger, one.id)[-1].because
    with pytest.raises(InputError, match="refused"):
        cleared(ledger, one.id, allow_code=True)


def test_without_targets_a_person_has_to_look(ledger, model, data, profile):
    fill(ledger, change=without_targets)
    one = retrain(ledger, data, model=model, profile=profile, train_context=T, collecting=NOW, training=FEW,
                  allow_code=True, by="ann")  # fmt: skip
    assert one.status == Status.REFUSED
    seen = {each.name: each for each in on.gates(ledger, one.id)}
    assert "a person has to look" in seen["later incidents"].figures["because"]
    assert seen["corpus"].passed


def test_earlier_incidents_train_and_later_ones_are_for_the_gates(ledger, model, data, profile):
    fill(ledger)
    one = collect(ledger, model, profile, data.train, how=NOW, by="ann")
    collected, _ = collected_of(ledger, one.id, model, one.parent)
    early = {row.incident for row in collected.rows if not row.later}
    late = {row.incident for row in collected.rows if row.later}
    assert max(early) < min(late)
    assert (len(early), len(late)) == (12, 6)
    assert collected.numbers(later=False).tolist() == list(range(24))


def test_labels_and_harm_decide_what_is_collected(ledger, model, data, profile):
    numbers = fill(ledger)
    fill(ledger, streams=1, rounds=1, first=100, harm="unfamiliar", excess=None, probes=0)
    of.label(ledger, numbers[0], "false_alarm", by="ann")
    of.label(ledger, numbers[1], "do_not_use", by="ann")
    of.label(ledger, numbers[2], "real", by="ann")
    one = collect(ledger, model, profile, data.train, how=NOW, by="ann")
    assert left_out(ledger, one) == {
        "incidents that people ruled out": 4,
        "incidents without the harm that was asked for": 2,
    }
    collected, _ = collected_of(ledger, one.id, model, one.parent)
    assert not {numbers[0], numbers[1]} & {row.incident for row in collected.rows}
    # Only what a person called real leaves quarantine at once.
    with pytest.raises(InputError, match="2 kept states to train on"):
        collect(ledger, model, profile, data.train, how=replace(NOW, quarantine=3600), by="ann")


def test_too_few_incidents_are_refused_with_how_many_more(ledger, model, data, profile):
    with pytest.raises(InputError, match="at least 8: 8 more"):
        collect(ledger, model, profile, data.train, how=NOW, by="ann")
    fill(ledger, streams=2, rounds=2, states=1)
    with pytest.raises(InputError, match="at least 8: 5 more"):
        collect(ledger, model, profile, data.train, how=NOW, by="ann")
    assert on.candidates(ledger) == []
    assert list((ledger.folder / "candidates").glob("*")) == []


def test_no_stream_gives_more_than_a_quarter(ledger, model, data, profile):
    fill(ledger, streams=1, rounds=6)
    fill(ledger, streams=6, rounds=3, states=1, first=50)
    one = collect(ledger, model, profile, data.train, how=replace(NOW, per_stream=30), by="ann")
    collected, _ = collected_of(ledger, one.id, model, one.parent)
    streams = [collected.rows[number].stream for number in collected.numbers(later=False)]
    assert streams.count("pump 0") <= -(-len(streams) // 4)
    assert left_out(ledger, one)["more than a quarter of one stream"] > 0


def test_fewer_than_four_streams_are_said(ledger, model, data, profile):
    fill(ledger, streams=3, rounds=4)
    one = collect(ledger, model, profile, data.train, how=NOW, by="ann")
    assert on.gates(ledger, one.id)[0].figures["fewer_than_four_streams"]


def test_another_model_than_is_at_work_is_refused(ledger, model, data, profile):
    fill(ledger)
    on.deploy(ledger, "b" * 64, "runs/0", by="ann", because="first")
    with pytest.raises(InputError, match="is at work"):
        collect(ledger, model, profile, data.train, how=NOW, by="ann")


def test_stages_go_in_their_order_and_a_stopped_one_begins_again(ledger, model, data, profile):
    fill(ledger)
    asked: dict[str, Any] = {"model": model, "profile": profile, "train_context": T, "training": FEW, "collecting": NOW,
             "allow_code": True, "by": "ann"}  # fmt: skip
    with pytest.raises(InputError, match="no candidate of this model for stage train"):
        retrain(ledger, data, stage="train", **asked)
    one = retrain(ledger, data, stage="collect", **asked)
    with pytest.raises(InputError, match="before gates"):
        retrain(ledger, data, stage="gates", number=one.id, **asked)
    with pytest.raises(InputError, match="no number"):
        retrain(ledger, data, stage="collect", number=one.id, **asked)
    with pytest.raises(InputError, match="the same one"):
        retrain(ledger, data, **{**asked, "train_context": 8})

    class Stopped(Exception):
        pass

    def stop(what, share, loss):
        if what.startswith("train") and share > 0.5:
            raise Stopped

    with pytest.raises(Stopped):
        retrain(ledger, data, stage="train", progress=stop, **asked)
    assert on.candidate(ledger, one.id).status == Status.COLLECTED
    assert retrain(ledger, data, stage="train", **asked).status == Status.TRAINED
    assert retrain(ledger, data, stage="gates", **asked).status == Status.GATED


def test_training_again_gives_the_same_model(ledger, model, data, profile, trained):
    fill(ledger)
    one = collect(ledger, model, profile, data.train, how=NOW, by="ann")
    again = train(ledger, one.id, model, data, T, how=FEW, by="ann")
    assert again.model == on.candidate(trained, 1).model


def test_states_are_encoded_anew_by_the_weights_as_they_are(ledger, model, data, profile):
    fill(ledger)
    one = collect(ledger, model, profile, data.train, how=NOW, by="ann")
    collected, hashed = collected_of(ledger, one.id, model, one.parent)
    folder = folder_of(ledger, one.id)
    rule = FromKept(folder=str(folder), sha256=hashed, model=one.parent, zero_share=0.25)
    own = at_work()
    prepared = rule.prepared(own, data.train, T)
    carried = prepared.initial(own, 8)
    batch = data.train.window(np.zeros(8, np.int64), np.arange(8), T)
    start = prepared.start(carried, batch, generator(0, "x"))
    levels = start[0].level[:, 0]
    aside = prepared.set_aside(8)
    assert (levels[torch.from_numpy(aside)] == 0).all()
    assert (levels[torch.from_numpy(~aside)] > 2).all()
    assert not start[0].level.requires_grad
    numbers = np.array([0, 5])
    found = collected.encoded(own, numbers, np.array([HALF, 3]))
    for row, (number, end) in enumerate(zip(numbers, (HALF, 3), strict=True)):
        state = (type(collected.states[0])(*(each[number : number + 1] for each in collected.states[0])),)
        _, alone = own(collected.inputs[number][None, :end], state)
        assert torch.allclose(alone[0].level, found[0].level[row : row + 1])
    mixed = Mix(members=(Carry(expected_run=64.0), rule), shares=(0.5, 0.5)).prepared(own, data.train, T)
    levels = mixed.start(mixed.initial(own, 8), batch, generator(0, "x"))[0].level[:, 0]
    assert (levels[:4] == 0).all()
    assert (levels[4:] > 2).sum() == 3


def test_what_arrived_can_be_trained_on_too(ledger, model, data, profile):
    fill(ledger)
    how = replace(NOW, continuation="arrived")
    one = collect(ledger, model, profile, data.train, how=how, by="ann")
    collected, hashed = collected_of(ledger, one.id, model, one.parent)
    streams = with_arrived(data.train, collected, T)
    assert len(streams) == len(data.train) + 24
    rule = FromKept(folder=str(folder_of(ledger, one.id)), sha256=hashed, model=one.parent, continuation="arrived",
                    zero_share=0.0).prepared(model, streams, T)  # fmt: skip
    placed = rule.places(0, 3, np.arange(4))
    assert placed is not None
    batch = streams.window(placed.stream_id, placed.position, T)
    number = placed.stream_id[0] - len(data.train)
    assert torch.equal(batch.inputs[0], collected.inputs[number][:T])
    assert batch.targets is not None
    assert torch.equal(batch.targets[0, HALF:], collected.targets[number])
    assert batch.weights[0].tolist() == [0.0] * HALF + [1.0] * HALF
    state = rule.start(rule.initial(model, 4), batch, generator(0, "x"))
    assert torch.equal(state[0].level[0], collected.states[0].level[number])
    assert train(ledger, one.id, model, data, T, how=FEW, by="ann").status == Status.TRAINED


def test_the_excess_that_a_watcher_saw_comes_out_again(ledger, model, data, profile):
    fill(ledger)
    one = collect(ledger, model, profile, data.train, how=NOW, by="ann")
    collected, _ = collected_of(ledger, one.id, model, one.parent)
    probes = probed(profile.senses(model), collected, np.arange(3), HALF)
    expected = [of.kept_state(ledger, row.hash, model, one.parent).excess for row in collected.rows[:3]]
    assert probes.excess == pytest.approx(expected, rel=1e-3)


def test_what_was_collected_is_known_by_its_hash(ledger, model, data, profile):
    fill(ledger)
    one = collect(ledger, model, profile, data.train, how=NOW, by="ann")
    with pytest.raises(InputError, match="it is not what was collected"):
        read_collected(folder_of(ledger, one.id), model, one.parent, "0" * 64)


def seen(loss, young, score=3.0):
    nothing = np.zeros(len(loss))
    scores = {"loss": 1.0, "excess": score}
    return Seen(Probes(nothing, nothing, np.array(loss), np.array(young), nothing), scores)


def test_later_incidents_are_compared_by_stream_and_beyond_chance(profile):
    young, unit = [1.0] * 8, np.arange(8)
    base = seen([4.0, 5, 4, 5, 4, 5, 4, 5], young, 3.0)
    good = Later(base, seen([1.0] * 8, young, 1.2), unit, "stream", True)
    assert better(good)[0]
    assert no_worse_than_reset(good, profile)[0]
    assert gone_quiet(good)[0]
    by_chance = Later(base, seen([1.0, 9, 1, 9, 1, 9, 1, 9], young, 3.0), unit, "stream", True)
    assert not better(by_chance)[0]
    assert not no_worse_than_reset(by_chance, profile)[0]
    assert not gone_quiet(by_chance)[0]
    halfway = Later(base, seen([3.0] * 8, young), unit, "stream", True)
    assert better(halfway)[0]
    assert not no_worse_than_reset(halfway, profile)[0]
    # Many probes of one stream are one stream.
    assert not better(Later(base, seen([1.0] * 8, young), np.zeros(8, int), "stream", True))[0]
    assert LEAST_UNITS > 1


def test_a_candidate_is_never_gated_by_a_profile_or_model_of_another(trained, data, profile):
    other = Leaky(read=0.5)
    with pytest.raises(InputError, match="from which it comes"):
        hold(trained, 1, other, profile, data, allow_code=True, by="ann")
    assert on.candidate(trained, 1).status == Status.TRAINED
    assert isinstance(model_of(trained, 1, allow_code=True), torch.nn.Module)
