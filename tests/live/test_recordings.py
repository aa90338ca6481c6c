"""What is recorded of streams, and decided of them, however they are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from live.leaky import Leaky, T, healthy
from live.scenarios import SCENARIOS, log_of
from live.test_watching import EVERY, RUN, given, given_split
from outlast.live import Watcher, make_profile
from outlast.live.watch.recorder import Recording, Tape, copies

DECISIONS = json.loads((Path(__file__).parent / "decisions.json").read_text())
"""Of a watcher that copied the row of each recording by itself at every step, which is slow and plain; from where harm
is first told on, as it was when bets had begun to tell it (before that nothing had changed)."""


@pytest.fixture(scope="module")
def profiles():
    """Of a model whose targets are its next inputs, and of one to which they are given."""
    next_ones, given_ones = (
        make_profile(Leaky().eval(), parts, train_context=T, run_length=RUN, every=EVERY)
        for parts in (healthy(), given_split())
    )
    return next_ones, given_ones


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_is_decided_stays_as_it_was(profiles, name):
    """And every probe is made of what was read of its stream, bit for bit (`Log`)."""
    log = log_of(name, profiles[0], profiles[1], given)
    found = log.end()
    assert json.loads(json.dumps(found)) == DECISIONS[name]
    assert log.checked >= 0.95 * found["counts"][0] > 50


@pytest.mark.parametrize("seed", range(4))
def test_a_tape_gives_back_what_was_read(seed):
    """Recordings that begin and end at random, steps of several sizes, targets now and then; another dtype later."""
    random, half, rows = np.random.default_rng(seed), 5, 40
    tape, now = Tape(half, 2 * half), 0
    read, given = torch.zeros(rows, 0, 2), torch.zeros(rows, 0)
    going = dict[int, Recording]()
    done = 0
    for step in range(400):
        length = int(random.choice([1, 1, 1, 2, 7]))
        dtype = torch.float32 if step < 200 else torch.float64
        inputs, targets = torch.randn(rows, length, 2, dtype=dtype), torch.randn(rows, length)
        known = random.random() < 0.7
        with torch.inference_mode(bool(random.random() < 0.5)):
            tape.hold(now, inputs.requires_grad_(step % 3 == 0) if step < 200 else inputs, targets if known else None)
        now += length
        read = torch.cat([read.to(dtype), inputs.detach()], 1)
        given = torch.cat([given, targets if known else torch.full_like(targets, torch.nan)], 1)
        for row, recording in list(going.items()):
            if now - recording.begin >= half and recording.led < 0:
                recording.led = now - recording.begin
            if recording.led >= 0 and now - recording.begin - recording.led >= half:
                tape.fetch(recording, now)
                tape.remove(recording)
                assert torch.equal(recording.inputs, read[row : row + 1, recording.begin : now])
                first = recording.begin + recording.led
                wanted = given[row, first : first + half]
                if recording.known is None or recording.targets is None:
                    assert wanted.isnan().all()
                else:
                    assert torch.equal(recording.known[0], ~wanted.isnan())
                    assert torch.equal(recording.targets[0], torch.nan_to_num(wanted))
                del going[row]
                done += 1
        for row in random.choice(rows, int(random.integers(0, 15 if step % 50 < 10 else 2)), replace=False).tolist():
            if row not in going:
                going[row] = Recording(str(row), 0, now, True)
                tape.put(going[row], row, now, now)
    assert done > 60
    assert tape.count == len(tape.recordings) == len(going)


class Operations(TorchDispatchMode):
    """Counts what torch is asked to do."""

    count = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += 1
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("brought", [False, True])
def test_a_step_takes_no_more_where_more_is_recorded(profiles, brought):
    """Whether 1 stream is recorded or 300: a copy for all, and one of targets."""
    counted = []
    for count in (1, 300):
        watcher = Watcher(profiles[brought], Leaky().eval(), most_recorded=400)
        names, state = [f"s{number}" for number in range(300)], Leaky().initial_state(300)
        for number in range(count, 300):  # these are not due
            watcher.observe(names[number], Leaky().initial_state(1), torch.zeros(1, 1, 1))
            watcher._readings.streams[names[number]].due = 10**6
        for t in range(T // 2 + 6):
            inputs, targets = torch.randn(300, 1, 1), torch.randn(300, 1, 1) if brought else None
            with Operations() as operations:
                watcher.observe(names, state, inputs, targets)
            if t > T // 2 + 1:
                assert sum(one.recording is not None for one in watcher._readings.streams.values()) == count
                counted.append(operations.count)
    assert len(set(counted)) == 1
    assert counted[0] <= 2


def test_states_of_several_rows_are_copied_at_once():
    state = ({"a": torch.randn(5, 2, 3), "b": torch.arange(5)},)
    for rows in ([3], [4, 0, 2]):
        found = copies(state, rows)
        for row, one in zip(rows, found, strict=True):
            assert torch.equal(one[0]["a"], state[0]["a"][row : row + 1])
            assert torch.equal(one[0]["b"], state[0]["b"][row : row + 1])
    state[0]["a"].fill_(0)
    assert found[0][0]["a"].any()
