"""Which versions read what comes in, as the ledger says by now, and the watcher beside the one at work."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from outlast.errors import InputError
from outlast.live.evidence import Evidence, Finding, from_record
from outlast.live.incidents import HARMS
from outlast.live.ledger.candidates import candidate as candidate_of
from outlast.live.ledger.candidates import deployments, place_of, roll_back
from outlast.live.ledger.incidents import Recorder, end_open
from outlast.live.ledger.store import Ledger
from outlast.live.retrain.checks import GATES, cleared, latest
from outlast.live.run.lane import Lane, Read, load
from outlast.live.run.promotion import Beside, Roles, decide, roles
from outlast.live.run.repeats import Repeats
from outlast.live.run.settings import RunSettings
from outlast.live.run.store import EVIDENCE, LANES, Store
from outlast.live.signing import ITSELF
from outlast.live.watch.watcher import Notice, Watcher
from outlast.model import Recurrent
from outlast.modules.resetting import WithReset
from outlast.serving.listening import Reading

# A watcher beside the lane that is at work: what it says goes into the ledger.


class Watching:
    """Observes all that a lane reads, and records incidents.

    Incidents of a process that is gone, or of the version before, are closed where the streams go on.

    Args:
        lane: at work; a model without resets.
        ledger: that incidents are written to.
        say: is told of each.
    """

    def __init__(self, lane: Lane, ledger: Ledger, say: Callable[[str], None]) -> None:
        profile = lane.version.profile
        self.watcher = Watcher(profile, lane.version.model)
        self._recorder = Recorder(ledger, lane.fingerprint)
        self._say, self._horizon = say, lane.ahead.horizon
        self.harmed: list[str] = []
        self._given = self.watcher.targets and profile.facts.targets == "given"
        clocks = {name: clock.position for name, clock in lane.deployed.streams.items()}
        for name, position in clocks.items():
            self.watcher.goes_on(name, position)
        closed = end_open(ledger, clocks)
        if closed:
            say(f"{closed} incidents of a watcher before are closed; what goes on will be seen again")

    def heard(self, reading: Reading, targets: Tensor, known: np.ndarray) -> None:
        """Rows were read."""
        names = reading.streams
        self._tell(self.watcher.observe(names[0] if len(names) == 1 else names, reading.before, reading.inputs))
        if not self._given:
            return
        for row in np.flatnonzero(known.any(1)).tolist():
            for begin, end in _runs(known[row]):
                first = int(reading.position[row]) - self._horizon + begin
                self._tell(self.watcher.arrived(names[row], first, targets[row : row + 1, begin:end]))

    def restarted(self, streams: Sequence[str]) -> None:
        """Streams go on from the initial state."""
        for name in streams:
            self.watcher.restarted(name)

    def take_harmed(self) -> list[str]:
        """Streams of which became known since this was asked last that a reset would help them."""
        harmed, self.harmed = self.harmed, []
        return harmed

    def close(self) -> None:
        """Make the probes that wait."""
        self._tell(self.watcher.flush())

    def _tell(self, notices: Sequence[Notice]) -> None:
        kept = self.watcher.take_kept() if notices or self.watcher.keeps else []
        if not notices and not kept:
            return
        self._recorder.write(notices, kept)
        for notice in notices:
            told = notice.incident
            if notice.what == "judged" and told.offer == "reset":
                self.harmed.append(told.stream)
            what = {"opened": str(told), "judged": f"stream {told.stream!r}: {HARMS[told.harm]}"}
            self._say(f"incident {notice.what}: {what.get(notice.what, f'stream {told.stream!r}')}")


def _runs(known: np.ndarray) -> list[tuple[int, int]]:
    """Where it is true without a break, from and to."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], known.astype(np.int8), [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


_COOLED, _RESETS = "cooled", "resets"
"""Facts that a run goes on from."""
OLD = 16
"""Training contexts that a version which began with young states reads before its losses count: young ones do well."""


class Following:
    """The version at work, and the one beside it where there is one.

    Args:
        ledger: says which.
        store: has the states that they go on from.
        settings: of the run.
        say: is told of what happens.

    Raises:
        InputError: nothing is at work, or what is at work cannot be loaded or goes on from something else.
    """

    def __init__(self, ledger: Ledger, store: Store, settings: RunSettings, say: Callable[[str], None]) -> None:
        self.ledger, self.store, self.settings, self.say = ledger, store, settings, say
        self._cooled = frozenset(store.fact(_COOLED) or [])
        self.beside: Lane | None = None
        self.watching: Watching | None = None
        self.evidence: Evidence | None = None
        self.roles: Roles = roles(ledger, self._cooled)
        self._stored = frozenset(store.fact(LANES) or [])
        before = store.fact(_RESETS)
        if before not in (None, settings.resets):
            raise InputError(
                f"--resets {settings.resets} for a run that has read under {before}",
                "the same resets",
                "choose another --ledger for other resets",
            )
        self._young = False
        self._stuck: Roles | None = None
        self._touched: dict[str, None] = {}
        self._marks = store.marks()
        self._repeats = Repeats(0)
        self._doubted = False
        self._gone: list[str] = []
        self.work = self._successor(self.roles, self._last_at_work())
        self._begin_work()
        self._begin_beside()
        self._stored = frozenset()  # what is in the store is of now as long as it is written, and no longer

    @property
    def lanes(self) -> list[Lane]:
        """All that read."""
        return [lane for lane in (self.work, self.beside) if lane is not None]

    @property
    def part(self) -> str | None:
        """What reads beside the version at work: ``shadow``, ``canary`` or ``warm``; None: nothing does."""
        return None if self.beside is None or self.roles.beside is None else self.roles.beside.part

    def read(self, rows: Sequence[dict[str, Any]]) -> tuple[Read, Read | None]:
        """Let all read raw rows, and weigh the losses of both.

        Returns:
            what the version at work makes of them, and what the one beside does.

        Raises:
            RowError: one of them cannot be read; nothing was read then.
        """
        read = self.work.read(rows)
        other = None if self.beside is None else self._read_beside(self.beside, rows)
        self._waits = max(0, self._waits - len(rows))
        if other is not None and self.evidence is not None and not self._waits:
            # The older version first.
            first, second = (other, read) if self.part == "warm" else (read, other)
            streams, missing = self._whose(read)
            self.evidence.add(streams, first.loss, second.loss, missing=missing, repeated=read.repeated)
        return read, other

    def _whose(self, read: Read) -> tuple[np.ndarray, np.ndarray]:
        """(N,) streams of rows, and whether no target came with them: a row that was passed over brought none."""
        missing, streams = read.missing, read.streams
        passed_over = np.flatnonzero(streams < 0)
        if len(passed_over):
            names = [str(read.records[number]["stream"]) for number in passed_over.tolist()]
            known = set(self.work.deployed.names)
            here = np.array([name in known for name in names])
            missing, streams = missing.copy(), streams.copy()
            missing[passed_over[here]] = True
            streams[passed_over[here]] = self.work.deployed.numbers([name for name in names if name in known])
        return streams, missing

    def restart(self, stream: str) -> None:
        """Let a stream go on from the initial state."""
        for lane in self.lanes:
            if stream in lane.deployed.names:
                lane.deployed.restart(stream)
        if self.watching is not None:
            self.watching.restarted([stream])

    def take_changes(self) -> tuple[dict[str, None], list[str]]:
        """Since this was asked last: streams whose states others have now, and versions that read no longer."""
        touched, gone = self._touched, self._gone
        self._touched, self._gone = {}, []
        return touched, gone

    def take_marks(self) -> list[int]:
        """Marks of rows that were read since this was asked last, by which they are known again."""
        return self._repeats.take_new()

    def facts(self) -> dict[str, Any]:
        """What is to be known after a restart."""
        beside, evidence = self.roles.beside, None
        if beside is not None and self.evidence is not None:
            evidence = {"key": beside.key, "record": self.evidence.record(), "waits": self._waits}
        return {
            EVIDENCE: evidence,
            _COOLED: sorted(self._cooled),
            LANES: [lane.fingerprint for lane in self.lanes],
            _RESETS: self.settings.resets,
        }

    def look(self) -> None:
        """Decide what the evidence decides, and follow what the ledger says by now; all that was read is written."""
        found = roles(self.ledger, self._cooled)
        if self.roles.beside is not None and found == self.roles:  # else somebody has decided
            finding = None if self.evidence is None else self.evidence.finding
            try:
                cool = decide(
                    self.ledger, self.roles, finding, auto=self.settings.auto, say=self.say, warm=self.settings.warm,
                    broken=self._broken, names=self.work.deployed.names,
                )  # fmt: skip
                self._doubt(finding)
            except InputError:
                if roles(self.ledger, self._cooled) == self.roles:
                    raise
                cool = False  # somebody decided at the same moment
            if cool:
                self._cooled |= {self.roles.at_work.id}
            found = roles(self.ledger, self._cooled)
        if found != self.roles:
            self._follow(found)

    def _doubt(self, finding: Finding | None) -> None:
        """Say once why a version that is better by what is measured goes on nowhere."""
        if finding is None or finding.verdict != "open" or finding.better < finding.reached or self._doubted:
            return
        self._doubted = True
        self.say(f"{self.part}, which waits for a person: {finding.told(self.work.deployed.names)}")

    def _read_beside(self, lane: Lane, rows: Sequence[dict[str, Any]]) -> Read | None:
        try:
            return lane.read(rows)
        except Exception as error:  # whatever its code raises: nobody at work depends on it
            why = _said(error)
            self.say(f"the version beside cannot read what comes in: {why}")
            self._broken, self.beside, self.evidence = why, None, None
            return None

    def _follow(self, found: Roles) -> None:
        """Let other versions read from here on."""
        ready = {lane.fingerprint: lane for lane in self.lanes}
        before, model = self.work, found.at_work.model
        if model != before.fingerprint:
            try:
                work = ready.get(model) or self._successor(found, before)
            except InputError as error:  # the version that reads now goes on
                if found == self._stuck:
                    return
                self.say(f"the version that is to be at work cannot be put there, and what reads now goes on: {error}")
                self._stuck = found
                with contextlib.suppress(InputError):  # nothing to go back to
                    roll_back(self.ledger, by=ITSELF, because=f"it cannot be put to work: {error}", of=found.at_work.id)
                return
            if self.watching is not None:
                self.watching.close()
            self.work = work
            self._touch(work)
            self.say(f"at work now: {place_of(self.ledger, found.at_work)} ({found.at_work.because})")
            self._begin_work()
        self.roles = found
        self.beside = None if found.beside is None else ready.get(found.beside.model)
        self._begin_beside()
        kept = {lane.fingerprint for lane in self.lanes}
        self._gone += [each for each in ready if each not in kept]

    def _last_at_work(self) -> Lane | None:
        """The version that read last, where the one at work has been changed since."""
        for each in deployments(self.ledger):
            if each.model in self._stored and each.model != self.roles.at_work.model:
                return self._lane(place_of(self.ledger, each), each.model, each.files)
        return None

    def _successor(self, found: Roles, before: Lane | None) -> Lane:
        """The version at work; where it did not read beside, it goes on from what the one before it has read."""
        work = found.at_work
        lane = self._lane(place_of(self.ledger, work), work.model, work.files, self._cleared(work.candidate))
        if not lane.deployed.names and before is not None:
            handed = _hands_over(self.ledger, work.candidate, before.fingerprint)
            lane.take_over(before, states=handed)
            self._young = not handed
            self._touch(lane)  # nothing of it is written down yet
        return lane

    def _cleared(self, candidate: int | None) -> Recurrent | None:
        """The model of a candidate that may be given something to do; None: it is none."""
        return None if candidate is None else cleared(self.ledger, candidate, allow_code=self.settings.allow_code)

    def _lane(
        self, folder: str | Path, fingerprint: str, files: Mapping[str, str] | None, model: Recurrent | None = None
    ) -> Lane:
        settings = self.settings
        version = load(folder, fingerprint, files=files, model=model, allow_code=settings.allow_code)
        lane = Lane(version, resets=settings.resets, stream_column=settings.stream_column, future=settings.future)
        names, packed = self.store.states(fingerprint) if fingerprint in self._stored else ([], None)
        if packed is not None and names:
            lane.go_on(names, packed)
        return lane

    def _touch(self, lane: Lane) -> None:
        """All of its streams are to be written down."""
        self._touched |= dict.fromkeys(lane.deployed.names)

    def _begin_work(self) -> None:
        """The lane that is at work is watched."""
        facts, settings = self.work.version.profile.facts, self.settings
        self._block = settings.block or max(8 * facts.train_context, 2 * self.work.ahead.horizon)
        self._tolerance, self._context = facts.tolerance, facts.train_context
        schema = self.work.version.schema
        width = len(schema.inputs) + len(schema.target.columns)
        if self._repeats.width != width:
            self._repeats = Repeats(width, self._marks)
        self.work.repeats = self._repeats
        self.watching = self.work.heard = None
        if settings.watch and settings.resets == "none" and not isinstance(self.work.version.model, WithReset):
            self.watching = self.work.heard = Watching(self.work, self.ledger, self.say)

    def _begin_beside(self) -> None:
        beside: Beside | None = self.roles.beside
        self.evidence = None
        self._waits = 0
        self._broken: str | None = None
        if beside is None:
            self.beside = None
            return
        if self.beside is None:
            try:
                model = None if beside.part == "warm" else self._cleared(beside.candidate)
                self.beside = self._lane(beside.folder, beside.model, beside.files, model)
            except Exception as error:  # whatever its code raises: nobody at work depends on it
                self._broken = _said(error)
                self.say(f"{beside.part}: {beside.folder} cannot read beside: {self._broken}")
                return
            if not self.beside.deployed.names and self.work.deployed.names:
                handed = beside.part != "warm" and _hands_over(self.ledger, beside.candidate, self.work.fingerprint)
                self.beside.take_over(self.work, states=handed)
                self._touch(self.beside)
                self._young = not handed
        if self._young:
            self._waits, self._young = OLD * self._context * len(self.beside.deployed.names), False
        self.beside.heard = self.beside.repeats = None
        self._doubted = False
        self.evidence = Evidence(self._block, self._tolerance, known=len(self.work.deployed.names))
        known = self.store.fact(EVIDENCE)
        if known is not None and known["key"] == beside.key:
            self.evidence, self._waits = from_record(known["record"]), known["waits"]
        self.say(f"{beside.part}: {beside.folder}")


def _said(error: Exception) -> str:
    """An error as a clause: our own says what to do, others their kind too."""
    return str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"


def _hands_over(ledger: Ledger, candidate: int | None, before: str) -> bool:
    """Whether the gates found that states of the version before do better than inputs that are read again."""
    if candidate is None or candidate_of(ledger, candidate).parent != before:
        return False
    found = latest(ledger, candidate, GATES).get("handover")
    return found is not None and found.figures.get("better") == "handed_over"
