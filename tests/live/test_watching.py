"""Profiles, and what a watcher sees of healthy, broken and harmlessly drifting streams."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from live.leaky import LEAK, Leaky, T, healthy, recordings
from outlast.data import Split, Streams
from outlast.errors import InputError
from outlast.live import Seen, Watcher, load_profile, make_profile
from outlast.live.watch.make_profile import observed, stretches
from outlast.live.watch.profiles import ARRAYS, RECORD
from outlast.state import map_state

EVERY = 64
RUN = 3000


@pytest.fixture(scope="module")
def model():
    return Leaky().eval()


@pytest.fixture(scope="module")
def profile(model):
    return make_profile(model, healthy(), train_context=T, run_length=RUN, every=EVERY)


def watched(watcher, model, streams, count, touch=lambda state, t: state, chunk=1):
    """All notices of stream 0 read on a chunk at a time, and of how many positions."""
    found, state = [], model.initial_state(1)
    with torch.no_grad():
        for t in range(0, count, chunk):
            state = touch(state, t)
            inputs = streams.window(np.zeros(1, np.int64), np.array([t]), chunk).inputs
            _, after = model(inputs, state)
            found += watcher.observe("one", state, inputs)
            state = after
    return found


def plus(path: str, amount: float, at: int):
    """Add to one part of the state at a moment; it hardly leaks away."""

    def touch(state, t):
        if t != at:
            return state
        (kept,) = state
        return (kept._replace(**{path: getattr(kept, path) + amount}),)

    return touch


def test_a_profile_says_what_is_usual(profile):
    facts = profile.facts
    assert facts.targets == "next"
    assert facts.shift == 1
    assert facts.healthy == facts.probes * EVERY
    assert facts.healthy == pytest.approx(2 * 12 * 6000, rel=0.01)
    assert set(facts.bars) == {"targets", "blind"}
    assert facts.usual["loss"].mean == pytest.approx(1, abs=0.1)
    assert facts.excess is not None
    assert facts.excess[1] < 0 < facts.excess[2] or abs(facts.excess[0]) < facts.tolerance
    assert facts.verdict in ("robust", "undecided")
    assert len(facts.age_curve) > 3
    assert profile.delay(targets=True) >= EVERY


def test_a_profile_is_kept_whole_or_refused(profile, model, tmp_path):
    profile.save(tmp_path)
    again = load_profile(tmp_path)
    assert again.facts == profile.facts
    assert (again.region.known == profile.region.known).all()
    with pytest.raises(InputError, match="the profile of this model"):
        again.senses(Leaky(read=0.5))
    whole = (tmp_path / ARRAYS).read_bytes()
    (tmp_path / ARRAYS).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(InputError, match="is not what was written"):
        load_profile(tmp_path)
    (tmp_path / ARRAYS).write_bytes(whole[:100])
    with pytest.raises(InputError, match="cannot be used"):
        load_profile(tmp_path)
    (tmp_path / RECORD).write_text((tmp_path / RECORD).read_text().replace('"every"', '"each"'))
    with pytest.raises(InputError, match="cannot be used"):
        load_profile(tmp_path)
    with pytest.raises(InputError, match="make one"):
        load_profile(tmp_path / "nothing")


def test_what_cannot_be_promised_is_refused(model):
    with pytest.raises(InputError, match="a tenth of the healthy data"):
        make_profile(model, healthy(), train_context=T, run_length=20_000)
    with pytest.raises(InputError, match="at least 8 probes to a false alarm"):
        make_profile(model, healthy(), train_context=T, run_length=1000, every=200)
    with pytest.raises(InputError, match="every=0"):
        make_profile(model, healthy(), train_context=T, run_length=1000, every=0)
    short = Split(recordings(0), recordings(1, 400, 40), recordings(2, 400, 40), how="each by itself")
    with pytest.raises(InputError, match="at least 136: 8 probes"):
        make_profile(model, short, train_context=T, run_length=200, every=16)


def test_streams_too_short_for_an_alarm_do_not_count(model):
    """They would make the bars as if there were more healthy data than there are."""
    parts = healthy()
    many = Streams(
        inputs=np.concatenate([parts.test.inputs, recordings(9, 500, 60).inputs]),
        starts=np.concatenate([parts.test.starts, len(parts.test.inputs) + recordings(9, 500, 60).starts]),
        lengths=np.concatenate([parts.test.lengths, recordings(9, 500, 60).lengths]),
        shift=1,
    )
    made = [make_profile(model, replace(parts, test=test), train_context=T, run_length=RUN, every=EVERY)
            for test in (parts.test, many)]  # fmt: skip
    assert made[0].facts.healthy == made[1].facts.healthy
    assert made[0].facts.bars == made[1].facts.bars


def test_a_default_rate_lets_probes_not_overlap(model):
    made = make_profile(model, healthy(), train_context=T, run_length=5000)
    assert 3 * T // 2 <= made.facts.every <= 5000 // 8
    assert made.facts.share is not None


def test_a_watcher_sees_what_the_profile_was_made_of(profile, model):
    """Probes in a stream that is read one position at a time are those that a reading of the file makes."""
    streams = recordings(50, streams=1, length=3000)
    made = []
    watcher = Watcher(profile, model, on_probe=lambda seen: made.append(seen) if seen.regular else None)
    watched(watcher, model, streams, 2900)
    with torch.no_grad():
        offline, _ = observed(model, profile.senses(model), [streams], T, EVERY)
    values = offline.probes.values(watcher.bars.signals)
    assert [each.position for each in made] == offline.position[: len(made)].tolist()
    assert len(made) > 40
    seen = np.array([list(each.values.values()) for each in made])
    np.testing.assert_allclose(seen[:, 1:], values[: len(made), 1:], rtol=1e-3, atol=1e-4)
    # The logarithm of a distance in whitened space, where float32's last bits are large.
    np.testing.assert_allclose(seen[:, 0], values[: len(made), 0], atol=0.2)
    assert watcher.counts.probes >= len(made)


def test_a_state_that_hurts_is_told_to_be_worse_than_reset(profile, model):
    """The level is read out: old predictions are off by it, young ones are not."""
    watcher = Watcher(profile, model)
    found = watched(watcher, model, recordings(51, streams=1), 5000, plus("level", 2.0, 2000))
    opened = [each.incident for each in found if each.what == "opened"]
    hurt = [each.incident for each in found if each.what == "judged" and each.incident.harm == "worse_than_reset"]
    assert opened
    after = [each for each in opened if each.opened >= 2000]
    assert after[0].opened < 2000 + 6 * EVERY
    assert hurt[0].offer == "reset"
    assert hurt[0].excess is not None
    assert hurt[0].excess[0] == pytest.approx(4, abs=1.5)  # the square of what was added
    assert "worse than reset" in str(hurt[0])
    kept = watcher.take_kept()
    assert kept
    assert watcher.take_kept() == []
    first = kept[-1]
    # A kept state, read on, gives the outputs that were scored.
    begin, end = first.scored
    outputs, _ = model(first.inputs, first.state)
    assert first.targets is not None
    loss = (outputs[:, begin:end] - first.targets).square().mean()
    assert loss > 2


def test_a_drift_that_nothing_reads_is_never_called_harmful(profile, model):
    watcher = Watcher(profile, model)
    found = watched(watcher, model, recordings(52, streams=1), 5900, plus("idle", 2.0, 1000))
    opened = [each.incident for each in found if each.what == "opened"]
    assert any("unexplored" in each.signals or "norms" in each.signals for each in opened)
    assert {each.incident.harm for each in found} <= {"unknown", "none_seen"}
    assert "none_seen" in {each.incident.harm for each in found if each.what == "judged"}


def test_an_incident_that_was_harmless_may_turn_harmful(profile, model):
    """An unread part drifts on, which keeps it open; later the level goes wrong."""

    def touch(state, t):
        if t >= 1000:
            state = (state[0]._replace(idle=state[0].idle + 0.01),)
        return plus("level", 3.0, 6000)(state, t)

    watcher = Watcher(profile, model)
    found = watched(watcher, model, recordings(62, streams=1, length=9000), 8900, touch)
    before = [each for each in found if each.incident.opened < 6000 and each.incident.harm == "worse_than_reset"]
    (told, *_) = before
    assert told.what == "judged"
    assert told.incident.probes <= 64
    harms = [each.incident.harm for each in found if each.incident.number == told.incident.number]
    assert harms.index("none_seen") < harms.index("worse_than_reset")


def test_targets_with_holes_are_scored_where_they_are_known(model):
    """Some calls bring targets and some do not, and some are no numbers: never are they taken for others."""
    parts, streams = given_split(), given(recordings(64, streams=1, length=3000))
    profile = make_profile(model, parts, train_context=T, run_length=RUN, every=EVERY)
    random, seen, state = np.random.default_rng(0), [], model.initial_state(1)
    watcher = Watcher(profile, model, on_probe=seen.append)
    with torch.no_grad():
        t = 0
        while t < 2900:
            size = int(random.choice([1, 5, 24]))
            batch = streams.window(np.zeros(1, np.int64), np.array([t]), size)
            assert batch.targets is not None
            targets = batch.targets.clone()
            targets[:, :: int(random.integers(1, 4))] = torch.nan
            watcher.observe("one", state, batch.inputs, targets if random.random() < 0.6 else None)
            _, state = model(batch.inputs, state)
            t += size
    losses = [each.values["loss"] for each in seen if "loss" in each.values]
    assert len(losses) > 15
    assert max(losses) < 8  # unit noise; of targets that belong to other positions it would be 1 / (1 − SLOPE²) more
    assert np.mean(losses) == pytest.approx(1, abs=0.35)


def test_a_stream_that_is_forgotten_or_restarted_is_not_judged_by_what_it_was(profile, model):
    profile = replace(profile, facts=replace(profile.facts, streams=32))
    seen, streams = [], recordings(65, streams=1)
    watcher = Watcher(profile, model, on_probe=seen.append)
    watched(watcher, model, streams, 90)
    before = len(seen)
    watcher.forget("one")
    watched(watcher, model, streams, 3)
    watcher.flush()
    assert len(seen) == before
    assert watcher.counts.probes >= before


def test_probes_of_a_few_streams_of_a_fleet_do_not_wait_for_the_others(profile, model):
    """One of 32 streams runs in this process: it is told of as soon as of one alone."""
    fleet = replace(profile, facts=replace(profile.facts, streams=32))
    watcher = Watcher(fleet, model)
    opened = []
    state, streams = model.initial_state(1), recordings(66, streams=1)
    with torch.no_grad():
        for t in range(4000):
            if t == 2000:
                state = (state[0]._replace(level=state[0].level + 3),)
            inputs = streams.window(np.zeros(1, np.int64), np.array([t]), 1).inputs
            opened += [t for each in watcher.observe("one", state, inputs) if each.what == "opened" and t >= 2000]
            _, state = model(inputs, state)
    assert opened[0] < 2000 + 4 * EVERY


def test_without_targets_nothing_is_called_harmful(profile, model):
    watcher = Watcher(profile, model, targets=False)
    found = watched(watcher, model, recordings(53, streams=1), 5000, plus("level", 2.0, 2000))
    opened = [each.incident for each in found if each.what == "opened" and each.incident.opened >= 2000]
    assert opened
    assert opened[0].harm in ("age_changes_predictions", "unfamiliar")
    assert {each.incident.harm for each in found} <= {"age_changes_predictions", "unfamiliar"}
    assert all(each.incident.excess is None for each in found)


def test_a_state_that_is_no_number_is_an_alarm(profile, model):
    watcher = Watcher(profile, model)
    found = watched(watcher, model, recordings(54, streams=1), 1500, plus("level", float("nan"), 500))
    opened = [each.incident for each in found if each.what == "opened" and each.incident.opened >= 500]
    assert opened[0].opened < 500 + 2 * EVERY
    assert "loss" in opened[0].signals
    hurt = [each.incident for each in found if each.what == "judged" and each.incident.opened >= 500]
    assert [each.harm for each in hurt] == ["worse_than_reset"]
    assert hurt[0].excess is None


def test_an_incident_closes_when_all_is_well_again(profile, model):
    def touch(state, t):
        return plus("level", 3.0, 1000)(plus("level", -3.0 * LEAK**600, 1600)(state, t), t)

    watcher = Watcher(profile, model)
    found = watched(watcher, model, recordings(55, streams=1), 5900, touch)
    closed = [each.incident for each in found if each.what == "closed" and each.incident.opened >= 1000]
    assert closed[0].closed is not None
    assert 1600 < closed[0].closed < 5900
    assert watcher.incidents == [] or watcher.incidents[0].opened > closed[0].closed


def test_streams_side_by_side_are_watched_as_each_alone(profile, model):
    streams, names = recordings(56, streams=5, length=2000), [f"s{i}" for i in range(5)]
    profile = replace(profile, facts=replace(profile.facts, streams=5))

    def run(together):
        watcher, told = Watcher(profile, model), []
        state = model.initial_state(5)
        with torch.no_grad():
            for t in range(1900):
                inputs = streams.window(np.arange(5), np.full(5, t), 1).inputs
                if t == 700:
                    state = (state[0]._replace(level=state[0].level + torch.tensor([[0.0], [3.0], [0], [0], [0]])),)
                if together:
                    # a few calls tell them one by one: the count of each goes on
                    told += watcher.observe(list(names), state, inputs)
                else:
                    for i, name in enumerate(names):
                        one = map_state(lambda tensor, i=i: tensor[i : i + 1], state)
                        told += watcher.observe(name, one, inputs[i : i + 1])
                _, state = model(inputs, state)
        told += watcher.flush()
        return sorted((one.incident.stream, one.incident.opened) for one in told if one.what == "opened")

    apart, together = run(False), run(True)
    assert apart == together
    assert "s1" in {name for name, _ in together}


def test_what_is_held_is_bounded_and_what_is_dropped_is_counted(profile, model):
    streams, names = recordings(57, streams=40, length=600), [f"s{i}" for i in range(40)]
    watcher = Watcher(profile, model, most_recorded=4, most_streams=45)
    state, inputs = model.initial_state(40), torch.zeros(40, 1, 1)
    with torch.no_grad():
        for t in range(500):
            inputs = streams.window(np.arange(40), np.full(40, t), 1).inputs
            watcher.observe(names, state, inputs)
            assert sum(one.recording is not None for one in watcher._readings.streams.values()) <= 4
            _, state = model(inputs, state)
        for t in range(10):
            watcher.observe(f"new {t}", model.initial_state(1), inputs[:1])
    assert watcher.counts.dropped_probes > 0
    assert watcher.counts.turned_away == 5
    assert len(watcher._readings.streams) == 45
    with pytest.raises(InputError, match="each stream once"):
        watcher.observe(["a", "a"], model.initial_state(2), inputs[:2])
    with pytest.raises(InputError, match="3 rows for 2 streams"):
        watcher.observe(["a", "b"], model.initial_state(3), inputs[:3])
    watcher.observe("s1", model.initial_state(1), torch.zeros(1, 4 * EVERY, 1))
    with pytest.raises(InputError, match="3 rows for 1 streams"):
        watcher.observe("s1", model.initial_state(3), torch.zeros(3, 4 * EVERY, 1))


def test_streams_that_find_no_room_get_their_turn(profile, model):
    """With room for few at a time, nobody goes without for ever, and those who are watched stay watched."""
    streams, names, made = recordings(63, streams=30, length=3000), [f"s{i}" for i in range(30)], []
    watcher = Watcher(profile, model, most_recorded=4, most_streams=30, on_probe=lambda seen: made.append(seen.stream))
    state = model.initial_state(31)
    with torch.no_grad():
        for t in range(2500):
            inputs = streams.window(np.arange(30), np.full(30, t), 1).inputs
            inputs = torch.cat([inputs, inputs[:1]])
            watcher.observe([*names, "one too many"], state, inputs)
            _, state = model(inputs, state)
    assert set(made) == set(names)
    assert min(made.count(name) for name in names) >= 5
    assert watcher.counts.turned_away == 1


def given(streams: Streams) -> Streams:
    """The next values as targets that somebody has to bring."""
    targets = np.concatenate([streams.inputs[1:], streams.inputs[-1:]])
    return replace(streams, targets=targets, shift=0)


def given_split():
    parts = healthy()
    return replace(parts, train=given(parts.train), validation=given(parts.validation), test=given(parts.test))


@pytest.mark.parametrize("delay", [1, 5, 30, 200])
def test_targets_that_come_later_are_waited_for(model, delay):
    """As of a forecast an hour ahead: given with a delay, they lead to the same losses."""
    parts = given_split()
    profile = make_profile(model, parts, train_context=T, run_length=RUN, every=EVERY)
    assert profile.facts.targets == "given"
    streams = given(recordings(58, streams=1, length=2000))

    def run(delay):
        state, found = model.initial_state(1), []
        watcher = Watcher(profile, model, on_probe=lambda seen: found.append(seen) if seen.regular else None)
        with torch.no_grad():
            for t in range(1900):
                batch = streams.window(np.zeros(1, np.int64), np.array([t]), 1)
                watcher.observe("one", state, batch.inputs, batch.targets if delay == 0 else None)
                if delay and t >= delay:
                    late = streams.window(np.zeros(1, np.int64), np.array([t - delay]), 1)
                    assert late.targets is not None
                    watcher.arrived("one", t - delay, late.targets)
                _, state = model(batch.inputs, state)
        return found, watcher.counts.without_targets

    (at_once, none), (later, missed) = run(0), run(delay)
    assert later == at_once[: len(later)]
    assert len(later) >= len(at_once) - 1 - delay // EVERY
    assert none == missed == 0
    assert run(100_000)[1] > 10


def test_segments_of_a_recording_become_one_stretch():
    whole = replace(recordings(60, streams=2, length=1000), horizon=10)
    cut = whole.cut(200)
    assert len(cut) == 8
    assert stretches(cut).lengths.tolist() == [830, 830]
    assert stretches(cut.cut(90, warm_up=50)).lengths.sum() < 2 * 830
    with pytest.raises(InputError, match="share positions"):
        stretches(whole.take(np.array([0, 0])))


def test_a_stream_that_another_process_has_read_goes_on_at_its_position(profile, model):
    seen: list[Seen] = []
    watcher = Watcher(profile, model, on_probe=seen.append)
    watcher.goes_on("pump", 10_000)
    streams, state = recordings(7, streams=1), model.initial_state(1)
    for begin in range(0, 3 * profile.facts.every, 8):
        inputs = streams.window(np.zeros(1, int), np.array([begin]), 8).inputs
        watcher.observe("pump", state, inputs)
        _, state = model(inputs, state)
    watcher.flush()
    assert seen
    assert all(10_000 + profile.half <= each.position <= 10_000 + 3 * profile.facts.every for each in seen)
