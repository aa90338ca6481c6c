"""Ways of reading streams beside a watcher, and a log of all that it decides and of what its probes were made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from live.leaky import Kept, Leaky, T, recordings
from outlast.data import Batch, Streams
from outlast.live import Notice, Profile, Seen, Watcher
from outlast.state import State

HALF = T // 2


class Log:
    """A watcher that is told of streams of `Leaky`; whatever it is told is written down, and compared with its probes.

    Args:
        profile: the same for all; `fleet` streams of it.
        streams: (B,) whose values are read.
        given: whether the targets are given, or are the next values.
    """

    def __init__(
        self, profile: Profile, streams: Streams, fleet: int, *, kind: type[Watcher] = Watcher, **settings: Any
    ) -> None:
        self.model, self.streams, self.count = Leaky().eval(), streams, len(streams)
        self.names = [f"s{number}" for number in range(self.count)]
        facts = replace(profile.facts, streams=fleet)
        self.shift = facts.shift if facts.targets == "next" else None
        self.told: list[list[Any]] = []
        self.watcher = kind(replace(profile, facts=facts), self.model, on_probe=self._seen, **settings)
        self.level = torch.zeros(self.count)
        self.position = np.zeros(self.count, np.int64)
        self.offset = np.zeros(self.count, np.int64)
        self.state: list[State] = [self.model.initial_state(1) for _ in self.names]
        self.states: dict[tuple[str, int], State] = {}
        self.inputs: dict[tuple[str, int], Tensor] = {}
        self.targets: dict[tuple[str, int], Tensor] = {}
        self.checked = 0
        self._spy()

    def read(
        self,
        rows: Sequence[int],
        length: int = 1,
        *,
        together: bool = True,
        targets: Callable[[Tensor], Tensor | None] = lambda each: None,
    ) -> None:
        """Read on; `targets` says of (B, L, …) which are known at once (not a number where not)."""
        chosen = np.array(rows)
        batch = self.streams.window(chosen, (self.offset + self.position)[chosen], length)
        kept = [self.state[row][0] for row in rows]
        state = (Kept(torch.cat([each.level for each in kept]), torch.cat([each.idle for each in kept])),)
        state[0].level[:, 0] += self.level[chosen]
        self.level[chosen] = 0
        known = None if batch.targets is None else targets(batch.targets)
        for at, row in enumerate(rows):
            key, begin = self.names[row], int(self.position[row])
            self.states[key, begin] = tuple(Kept(*(part[at : at + 1].clone() for part in each)) for each in state)
            for step in range(length):
                self.inputs[key, begin + step] = batch.inputs[at, step].clone()
                if known is not None:
                    self.targets[key, begin + step] = known[at, step].clone()
        with torch.no_grad():
            _, after = self.model(batch.inputs, state)
        if together:
            self._notices(self.watcher.observe([self.names[row] for row in rows], state, batch.inputs, known))
        else:
            for at, row in enumerate(rows):
                one = tuple(Kept(*(part[at : at + 1] for part in each)) for each in state)
                own = None if known is None else known[at : at + 1]
                self._notices(self.watcher.observe(self.names[row], one, batch.inputs[at : at + 1], own))
        batch.inputs.fill_(float("nan"))  # whoever runs a model may use its buffers again
        for part in (*state[0], *(() if known is None else (known,))):
            part.fill_(float("nan"))
        for at, row in enumerate(rows):
            self.state[row] = (Kept(after[0].level[at : at + 1].clone(), after[0].idle[at : at + 1].clone()),)
            self.position[row] += length

    def arrived(self, row: int, begin: int, length: int = 1) -> None:
        """Targets that come later."""
        batch = self.streams.window(np.array([row]), np.array([self.offset[row] + begin]), length)
        assert batch.targets is not None
        for step in range(length):
            self.targets[self.names[row], begin + step] = batch.targets[0, step].clone()
        self._notices(self.watcher.arrived(self.names[row], begin, batch.targets))

    def restarted(self, row: int) -> None:
        self.state[row] = self.model.initial_state(1)
        self.watcher.restarted(self.names[row])

    def forget(self, row: int) -> None:
        """It begins anew, under its old name."""
        self._notices(self.watcher.forget(self.names[row]))
        self.offset[row] += self.position[row]
        self.position[row] = 0
        self.state[row] = self.model.initial_state(1)
        for told in (self.states, self.inputs, self.targets):
            for key in [each for each in told if each[0] == self.names[row]]:
                del told[key]

    def end(self) -> dict[str, Any]:
        """All that was decided, in its order."""
        self._notices(self.watcher.flush())
        for kept in self.watcher.take_kept():
            first = self.inputs.get((kept.stream, kept.position))
            if first is not None and torch.equal(first, kept.inputs[0, 0]):  # it was not forgotten since
                read = [self.inputs[kept.stream, kept.position + step] for step in range(kept.inputs.shape[1])]
                assert torch.equal(kept.inputs[0], torch.stack(read))
                assert torch.equal(kept.state[0].level, self.states[kept.stream, kept.position][0].level)
            self.told.append(["kept", kept.stream, kept.position, *kept.scored])
        counts = self.watcher.counts
        return {
            "told": self.told,
            "counts": [counts.probes, counts.dropped_probes, counts.without_targets],
        }

    def _seen(self, seen: Seen) -> None:
        self.told.append(["regular" if seen.regular else "sooner", seen.stream, seen.position])

    def _notices(self, notices: Sequence[Notice]) -> None:
        for notice in notices:
            found = notice.incident
            self.told.append([notice.what, found.stream, found.opened, found.closed, found.harm, list(found.signals)])

    def _spy(self) -> None:
        """Every probe is made of what was read of one stream, from a state that it had, and of the targets that were
        told of. Values are random numbers, and tell where they come from."""
        senses, probe = self.watcher._senses, self.watcher._senses.probe

        def spied(state: State, lead: Tensor, batch: Batch) -> Any:
            where = {value.item(): key for key, value in self.inputs.items()}
            for row in range(len(lead)):
                key = where.get(batch.inputs[row, 0].item())
                if key is None:  # of a stream that was forgotten meanwhile
                    continue
                name, begin = key
                read = torch.cat([lead[row], batch.inputs[row]])
                own = torch.stack([self.inputs[name, begin + step] for step in range(-HALF, HALF)])
                assert torch.equal(read, own)
                for mine, part in zip(self.states[name, begin][0], state[0], strict=True):
                    assert torch.equal(mine[0], part[row])
                if batch.targets is not None:
                    self._hold_to(batch, row, name, begin)
                self.checked += 1
            return probe(state, lead, batch)

        object.__setattr__(senses, "probe", spied)

    def _hold_to(self, batch: Batch, row: int, name: str, begin: int) -> None:
        assert batch.targets is not None
        for step in range(HALF):
            if self.shift is not None:
                wanted = self.inputs[name, begin + step + self.shift]
            else:
                wanted = self.targets.get((name, begin + step), torch.full_like(batch.targets[row, step], torch.nan))
                assert bool(batch.weights[row, step]) == bool(torch.isfinite(wanted).all())
            if batch.weights[row, step]:
                assert torch.equal(batch.targets[row, step], wanted)


def one_by_one(log: Log) -> None:
    for t in range(1200):
        log.level[1] += 3.0 * (t == 500)
        log.read(range(log.count), together=False)


def side_by_side(log: Log) -> None:
    """Also in other orders, in part, and one by one now and then; some are reset, and some end."""
    everyone = list(range(log.count))
    for t in range(1500):
        log.level[1] += 3.0 * (t == 500)
        log.level[3] += 2.0 * (t == 800)
        if t in (333, 340, 900):
            log.restarted(t % log.count)
        if t in (400, 1000):
            log.forget(t % 3)
        rows = everyone[::-1] if 600 < t < 620 else everyone[1:] if 700 < t < 710 else everyone
        log.read(rows, together=not 640 < t < 655)


def in_pieces(log: Log) -> None:
    """Of sizes that change, up to more than a recording."""
    random, everyone = np.random.default_rng(0), range(log.count)
    while log.position.max() < 1600:
        log.level[2] += 3.0 * (600 < log.position[2] < 604)
        log.read(everyone, int(random.choice([1, 1, 2, 3, 5, 12, 24])))


def targets_at_once(log: Log) -> None:
    """Not all of them, and not at every step."""
    random = np.random.default_rng(1)
    while log.position.max() < 1600:
        log.level[1] += 3.0 * (600 < log.position[1] < 604)

        def some(
            each: Tensor, chance: float = random.random(), holes: int = int(random.integers(2, 9))
        ) -> Tensor | None:
            if chance > 0.8:
                return None
            each = each.clone()
            each[:: int(holes), :: int(holes)] = torch.nan
            return each

        log.read(range(log.count), int(random.choice([1, 1, 1, 3, 9])), targets=some)


def targets_later(log: Log) -> None:
    """Some come at once and again, some late or never."""
    for t in range(1500):
        log.level[0] += 3.0 * (t == 500)
        at_once = t % 7 != 0
        log.read(range(log.count), targets=lambda each, at_once=at_once: each.clone() if at_once else None)
        for row in range(log.count - 1):
            delay = (0, 3, 40, 150)[row % 4]
            if t >= delay and (t % 7 == 0 or row == 1):
                log.arrived(row, t - delay - (t - delay) % 7 if row != 1 else t - delay)


SCENARIOS: dict[str, tuple[Callable[[Log], None], bool, int, int, dict[str, Any]]] = {
    "one by one": (one_by_one, False, 3, 3, {}),
    "one by one, of a fleet": (one_by_one, False, 4, 32, {}),
    "side by side": (side_by_side, False, 6, 1, {}),
    "side by side, of a fleet": (side_by_side, False, 6, 32, {}),
    "side by side, little room": (side_by_side, False, 9, 9, {"most_recorded": 3, "most_streams": 8}),
    "without targets": (side_by_side, False, 6, 6, {"targets": False}),
    "in pieces": (in_pieces, False, 5, 5, {}),
    "in pieces, of a fleet": (in_pieces, False, 5, 32, {"most_recorded": 12}),
    "targets at once": (targets_at_once, True, 5, 5, {}),
    "targets later": (targets_later, True, 5, 5, {}),
    "targets later, of a fleet": (targets_later, True, 5, 32, {"most_recorded": 12}),
}
"""How it is read, whether targets are given, how many streams, of a fleet of how many, and a watcher's settings."""


def log_of(name: str, next_ones: Profile, given_ones: Profile, given: Callable[[Streams], Streams], **more: Any) -> Log:
    """All that happens in a scenario, with a profile for each of the two kinds of targets."""
    read, brought, count, fleet, settings = SCENARIOS[name]
    streams = recordings(70, streams=count, length=2000)
    log = Log(given_ones if brought else next_ones, given(streams) if brought else streams, fleet, **settings, **more)
    read(log)
    return log
