"""Material that somebody or something has spoilt: it is left out and counted, or no candidate comes of it."""

from __future__ import annotations

import pickle
import shutil
import sqlite3
from dataclasses import replace

import numpy as np
import pytest
import torch

from live.leaky import Leaky, T
from live.met import FEW, HALF, NOW, at_work, fill, kept, told
from outlast import checkpoints
from outlast.checkpoints import model_fingerprint
from outlast.checkpoints.states import write_state
from outlast.errors import InputError
from outlast.live.ledger import Ledger, Status
from outlast.live.ledger import candidates as on
from outlast.live.ledger import incidents as of
from outlast.live.retrain import cleared, collect, hold, retrain, train
from outlast.live.retrain.checks import REQUIRED, collected_of, folder_of, probed
from outlast.live.retrain.collected import gathered
from outlast.state import map_state

pytestmark = pytest.mark.xdist_group("poisoned")  # one process: what they all read is made once

MODEL = model_fingerprint(Leaky())
UNREADABLE = "files that are missing, damaged, swapped or of another model"


@pytest.fixture(scope="module")
def filled_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("filled") / "live"
    ledger = Ledger(folder)
    fill(ledger)
    ledger.close()
    return folder


@pytest.fixture(scope="module")
def gated_once(model, data, profile, filled_once, tmp_path_factory):
    """Two candidates: the first came through its gates, the second is trained."""
    folder = tmp_path_factory.mktemp("gated") / "live"
    shutil.copytree(filled_once, folder)
    ledger = Ledger(folder)
    for _ in range(2):
        one = collect(ledger, model, profile, data.train, how=NOW, by="ann")
        train(ledger, one.id, model, data, T, how=FEW, by="ann")
    assert hold(ledger, 1, model, profile, data, allow_code=True, by="ann").status == Status.GATED
    ledger.close()
    return folder


@pytest.fixture
def ledger(filled_once, tmp_path):
    shutil.copytree(filled_once, tmp_path / "live")
    found = Ledger(tmp_path / "live")
    yield found
    found.close()


@pytest.fixture
def gated(gated_once, tmp_path):
    shutil.copytree(gated_once, tmp_path / "live")
    found = Ledger(tmp_path / "live")
    yield found
    found.close()


def edit(ledger, statement, *values):
    with sqlite3.connect(ledger.folder / "ledger.db") as database:
        return database.execute(statement, values).fetchall()


def state_of(one, change):
    return replace(one, state=map_state(change, one.state))


def at_first(tensor, value):
    changed = tensor.clone()
    changed.view(-1)[0] = value
    return changed


def jumbled(one):
    """Targets of another moment."""
    return replace(one, targets=kept(1, 7, 3).targets)


def far(tensor):
    return at_first(tensor, 1e6)


WRITTEN = {
    "a state with NaN": (
        lambda one: state_of(one, lambda each: at_first(each, torch.nan)),
        "a state that holds what is no number",
    ),
    "a state with inf": (
        lambda one: state_of(one, lambda each: at_first(each, torch.inf)),
        "a state that holds what is no number",
    ),
    "a huge state": (lambda one: state_of(one, far), "a state far from all that training streams have"),
    "a state of another shape": (lambda one: state_of(one, lambda each: each.repeat(1, 2)), UNREADABLE),
    "a state of another dtype": (lambda one: state_of(one, lambda each: each.to(torch.int64)), UNREADABLE),
    "inputs with NaN": (
        lambda one: replace(one, inputs=at_first(one.inputs, torch.nan)),
        "inputs that hold what is no number",
    ),
    "huge inputs": (
        lambda one: replace(one, inputs=far(one.inputs)),
        "inputs far from all that training streams have",
    ),
    "inputs of another width": (
        lambda one: replace(one, inputs=one.inputs.repeat(1, 1, 2)),
        "other inputs than the model reads",
    ),
    "inputs that are tokens": (
        lambda one: replace(one, inputs=one.inputs[..., 0].long()),
        "other inputs than the model reads",
    ),
    "inputs cut short": (
        lambda one: replace(one, inputs=one.inputs[:, :HALF]),
        "scored positions that do not fit its inputs",
    ),
    "scored positions that have no lead": (
        lambda one: replace(one, scored=(0, HALF)),
        "scored positions that do not fit its inputs",
    ),
    "targets of another moment": (jumbled, "an excess that does not come out again"),
    "targets out of range": (
        lambda one: replace(one, targets=far(one.targets)),
        "targets far from all that training streams have",
    ),
    "targets with NaN": (
        lambda one: replace(one, targets=at_first(one.targets, torch.nan)),
        "targets far from all that training streams have",
    ),
    "targets that are classes": (
        lambda one: replace(one, targets=torch.zeros(1, HALF, dtype=torch.int64)),
        "other targets than the model is trained on",
    ),
    "a made-up excess": (lambda one: replace(one, excess=100.0), "an excess that does not come out again"),
    "a made-up excess without targets": (
        lambda one: replace(one, targets=None),
        "an excess that does not come out again",
    ),
}


@pytest.mark.parametrize(("change", "reason"), WRITTEN.values(), ids=WRITTEN)
def test_a_spoilt_state_is_left_out_by_its_reason(ledger, model, data, profile, change, reason):
    """Written as a recorder writes it, so that its hash is right."""
    fill(ledger, streams=2, rounds=1, first=100, states=1, change=lambda one: change(moved(one)))
    one = collect(ledger, model, profile, data.train, how=NOW, by="ann")
    figures = on.gates(ledger, one.id)[0].figures
    assert figures["left_out"] == {reason: 2}
    assert figures["train"] + figures["later"] == 36


def moved(one):
    """Another state than those that are there."""
    return kept(one.incident, int(one.stream.split()[1]), 55, level=2.5)


def path_of_first(ledger):
    hashed = edit(ledger, "select hash from states order by id limit 1")[0][0]
    return of.state_path(ledger, hashed)


def truncated(path, other):
    path.write_bytes(path.read_bytes()[:-16])


def bits_changed(path, other):
    whole = bytearray(path.read_bytes())
    whole[-3] ^= 4
    path.write_bytes(bytes(whole))


def swapped(path, other):
    path.write_bytes(other.read_bytes())


def removed(path, other):
    path.unlink()


def empty(path, other):
    path.write_bytes(b"")


class Runs:
    def __reduce__(self):
        return (exec, ("raise SystemExit('code was run')",))


def pickled(path, other):
    path.write_bytes(pickle.dumps(Runs()))


def without_metadata(path, other):
    one = kept(1, 0, 0)
    write_state(path, one.state, MODEL, {"inputs": one.inputs}, {})


def of_another_model(path, other):
    one = kept(1, 0, 0)
    write_state(path, one.state, "b" * 64, {"inputs": one.inputs}, {"scored": "8 16"})


def nested(path, other):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "spoil",
    [truncated, bits_changed, swapped, removed, empty, pickled, without_metadata, of_another_model, nested],
)
def test_a_spoilt_file_is_left_out_and_counted(ledger, model, data, profile, spoil):
    rows = edit(ledger, "select hash from states order by id")
    spoil(path_of_first(ledger), of.state_path(ledger, rows[5][0]))
    one = collect(ledger, model, profile, data.train, how=NOW, by="ann")
    assert on.gates(ledger, one.id)[0].figures["left_out"] == {UNREADABLE: 1}


def test_a_state_that_is_given_to_an_incident_of_another_stream_is_left_out(ledger, model, data, profile):
    (first,), *_, (last,) = edit(ledger, "select hash from states order by id")
    edit(ledger, "update states set hash = ? where hash = ?", last, first)
    one = collect(ledger, model, profile, data.train, how=NOW, by="ann")
    assert on.gates(ledger, one.id)[0].figures["left_out"] == {UNREADABLE: 1}


def test_nothing_is_collected_where_all_is_spoilt(ledger, model, data, profile):
    for path in (ledger.folder / "states").rglob("*.safetensors"):
        path.write_bytes(b"spoilt")
    with pytest.raises(InputError, match="36 left out: files that are missing"):
        collect(ledger, model, profile, data.train, how=NOW, by="ann")
    assert on.candidates(ledger) == []


def flooded(ledger, count, *, same=False, watcher="w", stream=0, **more):
    """Many incidents of one stream, in one transaction."""
    notices = [told(1000 + i, stream, watcher, **more) for i in range(count)]
    one = kept(1000, stream, 60, watcher=watcher)
    states = [replace(one if same or i >= 30 else kept(1000 + i, stream, i % 60, level=4.0, watcher=watcher),
                      incident=1000 + i) for i in range(count)]  # fmt: skip
    of.Recorder(ledger, MODEL).write(notices, states)


def streams_of(ledger, one, model, *, later):
    collected, _ = collected_of(ledger, one.id, model, one.parent)
    return [collected.rows[number].stream for number in collected.numbers(later=later)]


def test_a_flood_of_one_stream_hardly_moves_the_split_and_does_not_outweigh_the_others(ledger, model, data, profile):
    flooded(ledger, 1500)
    one = collect(ledger, model, profile, data.train, how=NOW, by="ann")
    training, later = (streams_of(ledger, one, model, later=when) for when in (False, True))
    assert training.count("pump 0") <= -(-len(training) // 4)
    assert len(set(training)) == 6
    assert later.count("pump 0") <= NOW.per_stream
    assert len(set(later)) >= 4
    assert on.gates(ledger, one.id)[0].figures["left_out"]["more of one incident or stream than are taken"] > 1000


def test_a_flood_of_one_state_is_one_state(ledger, model, data, profile):
    flooded(ledger, 500, same=True)
    one = collect(ledger, model, profile, data.train, how=replace(NOW, per_stream=600), by="ann")
    assert on.gates(ledger, one.id)[0].figures["left_out"]["the same state again"] == 499


def test_a_flood_just_before_collecting_stays_in_quarantine(ledger, model, data, profile):
    edit(ledger, "update incidents set told = datetime(told, '-2 hours'), changed = datetime(changed, '-2 hours')")
    flooded(ledger, 200, stream=3)
    one = collect(ledger, model, profile, data.train, how=replace(NOW, quarantine=3600), by="ann")
    figures = on.gates(ledger, one.id)[0].figures
    assert figures["left_out"] == {"incidents in quarantine": 200}
    assert (figures["train"], figures["later"]) == (24, 12)


@pytest.mark.parametrize(
    "more",
    [{"excess": None, "probes": 0}, {"excess": (9.0, -1.0, 19.0)}, {"probes": 2}, {"excess": (1.0,)},
     {"harm": "advantage_lost", "usual_excess": None}],
)  # fmt: skip
def test_harm_that_its_own_figures_do_not_bear_out_is_made_up(ledger, model, data, profile, more):
    flooded(ledger, 40, watcher="nobody", stream=7, **more)
    one = collect(ledger, model, profile, data.train, how=NOW, by="ann")
    assert on.gates(ledger, one.id)[0].figures["left_out"] == {
        "incidents whose own figures do not bear out their harm": 40
    }


def test_a_flood_of_an_unknown_watcher_is_left_out_where_the_known_ones_are_named(ledger, model, data, profile):
    flooded(ledger, 200, watcher="nobody", stream=7)
    one = collect(ledger, model, profile, data.train, how=replace(NOW, watchers=("w",)), by="ann")
    assert on.gates(ledger, one.id)[0].figures["left_out"] == {"incidents of unknown watchers": 200}
    assert "pump 7" not in streams_of(ledger, one, model, later=False)


def test_incidents_of_another_model_are_left_out(ledger, model, data, profile):
    recorder = of.Recorder(ledger, "b" * 64)
    recorder.write([told(900, 5)], [kept(900, 5, 58)])
    one = collect(ledger, model, profile, data.train, how=NOW, by="ann")
    assert on.gates(ledger, one.id)[0].figures["left_out"] == {"incidents of another model": 1}


def contradicting(profile, model):
    """Targets that say the opposite, with the excess that a watcher would see of them."""

    def changed(one):
        turned = replace(one, targets=-one.targets)
        rows = gathered([turned], [""], [0], [False], MODEL, {})
        probe = probed(profile.senses(model), rows, np.zeros(1, np.int64), HALF)
        return replace(turned, excess=float(probe.excess[0]))

    return changed


@pytest.mark.parametrize("which", ["contradicting", "missing"])
def test_what_arrived_has_no_effect_on_training_with_the_corpus(tmp_path, model, data, profile, gated, which):
    change = contradicting(profile, model) if which == "contradicting" else (
        lambda one: replace(one, targets=None, excess=float("nan")))  # fmt: skip
    poisoned = Ledger(tmp_path / "poisoned")
    fill(poisoned, change=change)
    one = collect(poisoned, model, profile, data.train, how=NOW, by="ann")
    assert on.gates(poisoned, one.id)[0].figures["left_out"] == {}
    one = train(poisoned, one.id, model, data, T, how=FEW, by="ann")
    assert one.model == on.candidate(gated, 1).model
    poisoned.close()


def test_targets_that_contradict_do_not_let_a_candidate_through(tmp_path, model, data, profile):
    """Of later incidents: there the candidate cannot do better than the base."""
    poisoned = Ledger(tmp_path / "poisoned")
    fill(poisoned, change=contradicting(profile, model))
    one = retrain(poisoned, data, model=model, profile=profile, train_context=T, collecting=NOW,
                  training=replace(FEW, training=replace(FEW.training, steps=1, learning_rate=1e-9)),
                  allow_code=True, by="ann")  # fmt: skip
    assert one.status == Status.REFUSED
    poisoned.close()


def test_training_that_comes_apart_is_refused(ledger, model, data, profile):
    wild = replace(FEW, training=replace(FEW.training, learning_rate=1e30, clip=float("inf"), steps=20))
    one = retrain(ledger, data, model=model, profile=profile, train_context=T, collecting=NOW, training=wild,
                  allow_code=True, by="ann")  # fmt: skip
    assert one.status == Status.REFUSED


def test_a_candidate_that_loses_the_corpus_is_refused(ledger, model, data, profile, monkeypatch):
    """It cures the incidents, and spoils what was right: the repair's own judgement is of the model that is there."""
    one = collect(ledger, model, profile, data.train, how=NOW, by="ann")
    worse = at_work()
    with torch.no_grad():
        next(worse.parameters()).fill_(-300.0)
    monkeypatch.setattr("outlast.repairs.setup.fit", lambda model, *_, **__: model.load_state_dict(worse.state_dict()))
    one = train(ledger, one.id, model, data, T, how=FEW, by="ann")
    one = hold(ledger, one.id, model, profile, data, allow_code=True, by="ann")
    assert one.status == Status.REFUSED
    failed = {each.name for each in on.gates(ledger, one.id) if not each.passed}
    assert {"corpus", "later incidents"} <= failed


def other_model(folder):
    other = at_work()
    with torch.no_grad():
        next(other.parameters()).fill_(0.7)
    checkpoints.save(other, folder)
    return model_fingerprint(other)


def model_swapped(ledger):
    other_model(folder_of(ledger, 2) / "model")


def weights_edited(ledger):
    path = folder_of(ledger, 2) / "model" / "model.safetensors"
    whole = bytearray(path.read_bytes())
    whole[-1] ^= 1
    path.write_bytes(bytes(whole))


def fingerprint_edited(ledger):
    edit(ledger, "update candidates set model = ? where id = 2", "c" * 64)


def collected_edited(ledger):
    path = folder_of(ledger, 2) / "collected.safetensors"
    whole = bytearray(path.read_bytes())
    whole[-1] ^= 1
    path.write_bytes(bytes(whole))


def collected_record_edited(ledger):
    path = folder_of(ledger, 2) / "collected.json"
    path.write_text(path.read_text().replace('"later": true', '"later": false'))


def result_edited(ledger):
    path = folder_of(ledger, 2) / "result.json"
    path.write_text(path.read_text().replace('"margin":', '"margin" :', 1))


def parent_edited(ledger):
    edit(ledger, "update candidates set parent = ? where id = 2", "c" * 64)


def record_of_collecting_removed(ledger):
    edit(ledger, "delete from gates where candidate = 2 and name = 'collected'")


@pytest.mark.parametrize(
    "spoil",
    [model_swapped, weights_edited, fingerprint_edited, collected_edited, collected_record_edited, result_edited,
     parent_edited, record_of_collecting_removed],
)  # fmt: skip
def test_what_a_stage_wrote_and_another_one_reads_is_checked(gated, model, data, profile, spoil):
    spoil(gated)
    with pytest.raises(InputError):
        hold(gated, 2, model, profile, data, allow_code=True, by="ann")
    assert on.candidate(gated, 2).status == Status.TRAINED
    with pytest.raises(InputError):
        cleared(gated, 2, allow_code=True)


def test_what_was_collected_is_checked_before_training(ledger, model, data, profile):
    one = collect(ledger, model, profile, data.train, how=NOW, by="ann")
    two = collect(ledger, model, profile, data.train, how=replace(NOW, per_incident=1), by="ann")
    for name in ("collected.json", "collected.safetensors"):
        shutil.copy(folder_of(ledger, two.id) / name, folder_of(ledger, one.id) / name)
    with pytest.raises(InputError, match="not what was collected"):
        train(ledger, one.id, model, data, T, how=FEW, by="ann")
    assert on.candidate(ledger, one.id).status == Status.COLLECTED


def test_a_folder_that_is_swapped_after_the_gates_is_not_cleared(gated):
    assert cleared(gated, 1, allow_code=True) is not None
    other_model(folder_of(gated, 1) / "model")
    with pytest.raises(InputError, match="as the ledger has them"):
        cleared(gated, 1, allow_code=True)


def test_a_folder_and_a_fingerprint_that_are_swapped_after_the_gates_are_not_cleared(gated):
    edit(gated, "update candidates set model = ? where id = 1", other_model(folder_of(gated, 1) / "model"))
    with pytest.raises(InputError, match="of another model"):
        cleared(gated, 1, allow_code=True)


def test_gates_of_another_candidate_clear_nobody(gated):
    """Rows that are copied, and the moves and the status with them."""
    other_model(folder_of(gated, 2) / "model")
    edit(gated, "update candidates set status = 'gated', model = ? where id = 2", "c" * 64)
    columns = "before, after, by, because, at"
    copied = f"insert into moves (candidate, {columns}) select 2, {columns} from moves where candidate = 1"
    edit(gated, f"{copied} and after = 'gated'")
    with pytest.raises(InputError, match="is none"):
        cleared(gated, 2, allow_code=True)
    columns = "stage, name, passed, figures, at"
    copied = f"insert into gates (candidate, {columns}) select 2, {columns} from gates where candidate = 1"
    edit(gated, f"{copied} and stage = 'gates'")
    with pytest.raises(InputError, match="of another model"):
        cleared(gated, 2, allow_code=True)


def test_a_gate_that_was_not_passed_later_is_what_counts(gated):
    one = on.candidate(gated, 1)
    on.gate(gated, 1, "gates", "corpus", passed=False, figures={"model": one.model})
    with pytest.raises(InputError, match="'corpus' is not passed"):
        cleared(gated, 1, allow_code=True)


@pytest.mark.parametrize("name", REQUIRED)
def test_a_gate_that_is_missing_clears_nobody(gated, name):
    edit(gated, "delete from gates where candidate = 1 and name = ?", name)
    with pytest.raises(InputError, match=f"'{name}' is none"):
        cleared(gated, 1, allow_code=True)


@pytest.mark.parametrize("status", ["gated", "shadow", "canary", "promoted"])
def test_a_status_that_is_edited_out_of_turn_leads_nowhere(gated, model, data, profile, status):
    on.deploy(gated, MODEL, "runs/0", by="ann", because="first")
    edit(gated, "update candidates set status = ? where id = 2", status)
    for go in (
        lambda: cleared(gated, 2, allow_code=True),
        lambda: hold(gated, 2, model, profile, data, allow_code=True, by="ann"),
        lambda: on.move(gated, 2, Status.SHADOW, by="eve", because="now"),
        lambda: on.promote(gated, 2, by="eve", because="now"),
    ):
        with pytest.raises(InputError):
            go()
    current = on.at_work(gated)
    assert current is not None
    assert current.model == MODEL
