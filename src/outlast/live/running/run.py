"""The deployed model over live input, version beside version, so that a kill at any moment loses nothing."""

from __future__ import annotations

import contextlib
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from outlast.errors import InputError
from outlast.live.evidence import Evidence, from_record
from outlast.live.ledger.candidates import candidate as candidate_of
from outlast.live.ledger.candidates import deployments, roll_back
from outlast.live.ledger.store import Ledger, now
from outlast.live.profiles import Profile, load_profile
from outlast.live.retraining.verified import GATES, PROFILE, cleared, latest
from outlast.live.running.lane import Lane, Read
from outlast.live.running.results import Results
from outlast.live.running.roles import Beside, Roles, place_of, roles
from outlast.live.running.stages import BY, decide
from outlast.live.running.store import Done, History, Store
from outlast.live.running.watching import Watching
from outlast.live.sources.pieces import Piece, Source
from outlast.serving.lines import line_of
from outlast.serving.rows import RowError

FOLDER = "running"
"""Of the ledger's folder, where a run keeps what it has done."""
EVIDENCE, _COOLED, WRITTEN, _LANES = "evidence", "cooled", "rows written", "lanes"
_RESETS, _CANARY = "resets", "first canary"
_IDLE = 0.1
OLD = 16
"""Training contexts that a version which began with young states reads before its losses count: young ones do well."""
_SHARE = 10
"""Writing takes at most one part in so many of the time."""


@dataclass(frozen=True)
class RunSettings:
    """How a run goes.

    Args:
        rows: that are read at once, at most.
        commit: seconds after which what was read is written down, or ten times what writing takes where that is more;
            0: after each time that rows are read.
        canary_share: of the streams, that a canary answers.
        auto: whether candidates go on by themselves where the evidence is clear; else a person says so.
        block: positions of a stream that make a block of evidence; None: eight training contexts, or two horizons
            where that is more.
        warm: blocks for which the version before is kept ready after a promotion.
        watch: whether incidents are looked for.
        reset_harmful: whether a stream whose old state does worse than a young one goes on from the initial state.
        resets, stream_column, allow_code: as for `outlast.deploy`.
    """

    rows: int = 8192
    commit: float = 1.0
    canary_share: float = 0.1
    auto: bool = False
    block: int | None = None
    warm: int = 50
    watch: bool = True
    reset_harmful: bool = False
    resets: str = "none"
    stream_column: str | None = None
    allow_code: bool = False


@dataclass
class _Open:
    """What was read and is not written down yet."""

    pieces: list[Piece] = field(default_factory=list)
    streams: dict[str, None] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    refused: list[tuple[str, int, str, str]] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    sums: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    moment: str | None = None


class Run:
    """One run over one source.

        run = Run(Ledger("runs/live"), opened("readings/"), out=Path("forecasts.jsonl"))
        while run.step() or not run.source.ended: ...
        run.close()

    Args:
        ledger: says what is at work. No other run may be at work in its folder (`folders.locked`).
        source: of rows.
        out: a file for the results; None: standard output.
        settings: how it goes.
        say: is told of what happens.

    Raises:
        InputError: nothing is at work, or what is at work cannot be loaded or goes on from something else.
    """

    def __init__(
        self,
        ledger: Ledger,
        source: Source,
        *,
        out: Path | None = None,
        settings: RunSettings | None = None,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.ledger, self.source, self.say = ledger, source, say
        self.settings: RunSettings = settings or RunSettings()
        folder = ledger.folder / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        self.store: Store = Store(folder)
        self._results = Results(self.store, out)
        self._cooled = frozenset(self.store.fact(_COOLED) or [])
        self._offsets = self.store.offsets()
        self._written = int(self.store.fact(WRITTEN) or 0)
        self._open, self._next = _Open(), 0.0
        self._beside: Lane | None = None
        self._watching: Watching | None = None
        self.roles: Roles = roles(ledger, self._cooled)
        self._stored = frozenset(self.store.fact(_LANES) or [])
        before = self.store.fact(_RESETS)
        if before not in (None, self.settings.resets):
            raise InputError(
                f"--resets {self.settings.resets} for a run that has read under {before}",
                "the same resets",
                "choose another --ledger for other resets",
            )
        self._first_canary = self.store.fact(_CANARY) or ""
        self._young = False
        self._stuck: Roles | None = None
        self._work = self._successor(self.roles, self._last_at_work())
        self._begin_work()
        self._begin_beside()
        self._stored = frozenset()  # what is in the store is of now as long as it is written, and no longer

    @property
    def rows(self) -> int:
        """That were answered, in this run and in those before."""
        return self._written

    def step(self) -> bool:
        """Read what is there, and write down what is due; whether there was anything."""
        pieces = self.source.take(self._offsets, self.settings.rows)
        for piece in pieces:
            self._offsets[piece.source] = piece.offset
            for one in piece.refused:
                self._refuse(piece.source, one.number, one.text, one.because)
        self._open.pieces += pieces
        self._read([(each.source, *one) for each in pieces for one in zip(each.numbers, each.rows, strict=True)])
        if (self._open.pieces or not pieces) and time.monotonic() >= self._next:
            self._commit()
        if not pieces:
            time.sleep(_IDLE)
        return bool(pieces)

    def close(self) -> None:
        """Write down what was read, and let go of everything."""
        try:
            if self._watching is not None:
                self._watching.close()
            self._commit()
        finally:
            self.let_go()

    def let_go(self) -> None:
        """Let go of everything; what was not written down is read again by the run that follows."""
        self.source.close()
        self.store.close()

    def _read(self, rows: list[tuple[str, int, dict[str, Any]]]) -> None:
        """Read rows; those that cannot be read are put aside."""
        begin, size = 0, len(rows)
        while begin < len(rows):
            part = rows[begin : begin + size]
            try:
                self._answer([row for _, _, row in part])
            except RowError as error:  # nothing was read: those before it can be
                if error.number:
                    size = error.number
                    continue
                source, number, row = part[0]
                self._refuse(source, number, line_of(row).strip(), str(error))
                begin, size = begin + 1, 1  # where one is wrong the next one often is
                continue
            begin, size = begin + len(part), 2 * size

    def _answer(self, rows: list[dict[str, Any]]) -> None:
        read = self._work.read(rows)
        other = None if self._beside is None else self._read_beside(self._beside, rows)
        canary = self.roles.beside is not None and self.roles.beside.part == "canary"
        time_column = self._work.deployed.schema.time if self._work.deployed.schema else None
        for number, row in enumerate(rows):
            record, by = read.records[number], self._work
            stream = record["stream"]
            if read.streams[number] >= 0:
                self._open.streams[stream] = None
            if other is not None and self._beside is not None and canary and self._is_canary(stream):
                record, by = other.records[number], self._beside
            self._written += 1
            told = {"number": self._written, **record, "version": by.fingerprint[:12]}
            self._open.lines.append(line_of(told if time_column is None else {**told, time_column: row[time_column]}))
        self._reset_harmed()
        self._waits = max(0, self._waits - len(rows))
        self._note(read, self._work, "work")
        if other is not None and self._beside is not None and self.roles.beside is not None:
            self._note(other, self._beside, self.roles.beside.part)
        if time_column is not None and rows:
            self._open.moment = str(rows[-1][time_column])
        if other is not None and self._evidence is not None and not self._waits:
            self._evidence.add(read.streams, *self._in_order(read, other))

    def _reset_harmed(self) -> None:
        """Let streams of which a watcher found that they need it go on from the initial state."""
        watching = self._watching
        if watching is None:
            return
        for stream in watching.take_harmed():
            if self.settings.reset_harmful:
                for lane in (self._work, self._beside):
                    if lane is not None and stream in lane.deployed.names:
                        lane.deployed.restart(stream)
                self._open.streams[stream] = None  # it may have read nothing since the last commit
                watching.restarted([stream])
                self.say(f"stream {stream!r} goes on from the initial state")

    def _note(self, read: Read, lane: Lane, part: str) -> None:
        """Losses, for the history."""
        finite = read.loss[np.isfinite(read.loss)]
        sums = self._open.sums.setdefault((lane.fingerprint, part), [0.0, 0])
        sums[0] += float(finite.sum())
        sums[1] += len(finite)

    def _in_order(self, read: Read, other: Read) -> tuple[np.ndarray, np.ndarray]:
        """Losses of the older version and of the newer one."""
        warm = self.roles.beside is not None and self.roles.beside.part == "warm"
        return (other.loss, read.loss) if warm else (read.loss, other.loss)

    def _read_beside(self, lane: Lane, rows: list[dict[str, Any]]) -> Read | None:
        try:
            return lane.read(rows)
        except Exception as error:  # whatever its code raises: nobody at work depends on it
            why = _said(error)
            self.say(f"the version beside cannot read what comes in: {why}")
            self._broken, self._beside, self._evidence = why, None, None
            return None

    def _is_canary(self, stream: str) -> bool:
        """Always the same streams: a share of them, and one at least."""
        if not self._first_canary:
            self._first_canary = min(self._work.deployed.names, key=_drawn, default="")
        return _drawn(stream) < self.settings.canary_share or stream == self._first_canary

    def _refuse(self, source: str, number: int, text: str, because: str) -> None:
        self._open.refused.append((source, number, text, because))
        if len(self._open.refused) <= 3:
            self.say(f"not read: {source}, line {number}: {because}")

    def _commit(self) -> None:
        """Write down all that was read; then see what the ledger says."""
        began, done = time.monotonic(), self._open
        names = list(done.streams)
        lanes = [lane for lane in (self._work, self._beside) if lane is not None]
        if done.pieces or done.gone or done.streams:
            states = {
                lane.fingerprint: (names, lane.deployed.numbers(names), lane.packed(names)) for lane in lanes if names
            }
            offsets = {piece.source: piece.offset for piece in done.pieces}
            facts = {WRITTEN: self._written, _COOLED: sorted(self._cooled), EVIDENCE: self._evidence_record()}
            facts[_LANES] = [lane.fingerprint for lane in lanes]
            facts |= {_RESETS: self.settings.resets, _CANARY: self._first_canary}
            at = now().isoformat(timespec="microseconds")
            history = [
                History(self._written, done.moment, model, part, total / count if count else None, int(count), at)
                for (model, part), (total, count) in done.sums.items()
            ]
            self.store.write(Done(offsets, states, done.lines, done.refused, facts, done.gone, history))
            self.source.committed(done.pieces)
            if len(done.refused) > 3:
                self.say(f"not read: {len(done.refused):,} rows; {self.store.path} has them")
            self._open = _Open()
        self._results.hand_over()
        self._look()
        ended, wait = time.monotonic(), self.settings.commit
        self._next = ended + (max(wait, _SHARE * (ended - began)) if wait else 0.0)

    def _look(self) -> None:
        """Decide what the evidence decides, and follow what the ledger says by now."""
        found = roles(self.ledger, self._cooled)
        if self.roles.beside is not None and found == self.roles:  # else somebody has decided
            finding = None if self._evidence is None else self._evidence.finding
            try:
                cool = decide(
                    self.ledger, self.roles, finding, auto=self.settings.auto, say=self.say, warm=self.settings.warm,
                    broken=self._broken,
                )  # fmt: skip
            except InputError:
                if roles(self.ledger, self._cooled) == self.roles:
                    raise
                cool = False  # somebody decided at the same moment
            if cool:
                self._cooled |= {self.roles.at_work.id}
            found = roles(self.ledger, self._cooled)
        if found != self.roles:
            self._follow(found)

    def _follow(self, found: Roles) -> None:
        """Let other versions read from here on; all that was read before is written down."""
        ready = {lane.fingerprint: lane for lane in (self._work, self._beside) if lane is not None}
        before, model = self._work, found.at_work.model
        if model != before.fingerprint:
            try:
                work = ready.get(model) or self._successor(found, before)
            except InputError as error:  # the version that reads now goes on
                if found == self._stuck:
                    return
                self.say(f"the version that is to be at work cannot be put there, and what reads now goes on: {error}")
                self._stuck = found
                with contextlib.suppress(InputError):  # nothing to go back to
                    roll_back(self.ledger, by=BY, because=f"it cannot be put to work: {error}", of=found.at_work.id)
                return
            if self._watching is not None:
                self._watching.close()
            self._work = work
            self._open.streams |= dict.fromkeys(self._work.deployed.names)
            self.say(f"at work now: {place_of(self.ledger, found.at_work)} ({found.at_work.because})")
            self._begin_work()
        self.roles = found
        self._beside = None if found.beside is None else ready.get(found.beside.model)
        self._begin_beside()
        kept = {lane.fingerprint for lane in (self._work, self._beside) if lane is not None}
        self._open.gone += [each for each in ready if each not in kept]

    def _last_at_work(self) -> Lane | None:
        """The version that read last, where the one at work has been changed since."""
        for each in deployments(self.ledger):
            if each.model in self._stored and each.model != self.roles.at_work.model:
                return self._lane(place_of(self.ledger, each), each.model)
        return None

    def _successor(self, found: Roles, before: Lane | None) -> Lane:
        """The version at work; where it did not read beside, it goes on from what the one before it has read."""
        work = found.at_work
        if work.candidate is not None:
            cleared(self.ledger, work.candidate, allow_code=self.settings.allow_code)
        lane = self._lane(place_of(self.ledger, work), work.model)
        if not lane.deployed.names and before is not None:
            handed = _hands_over(self.ledger, found.at_work.candidate, before.fingerprint)
            lane.take_over(before, states=handed)
            self._young = not handed
            self._open.streams |= dict.fromkeys(lane.deployed.names)  # all of them: nothing of it is written down yet
        return lane

    def _lane(self, folder: str | Path, model: str) -> Lane:
        profile = _profile(folder)
        lane = Lane(
            folder, model, measure=profile.facts.measure, resets=self.settings.resets,
            stream_column=self.settings.stream_column, allow_code=self.settings.allow_code,
            recent=profile.facts.train_context,
        )  # fmt: skip
        names, packed = self.store.states(lane.fingerprint) if lane.fingerprint in self._stored else ([], None)
        if packed is not None and names:
            lane.go_on(names, packed)
        return lane

    def _begin_work(self) -> None:
        """The lane that is at work is watched; one that has read nothing goes on from what another one has."""
        profile = _profile(self._work.folder)
        self._block = self.settings.block or max(8 * profile.facts.train_context, 2 * self._work.ahead.horizon)
        self._tolerance, self._context = profile.facts.tolerance, profile.facts.train_context
        self._watching = self._work.heard = None
        if self.settings.watch and self.settings.resets == "none":
            self._watching = self._work.heard = Watching(self._work, profile, self.ledger, self.say)

    def _begin_beside(self) -> None:
        beside = self.roles.beside
        self._evidence: Evidence | None = None
        self._waits = 0
        self._broken: str | None = None
        if beside is None:
            self._beside = None
            return
        if self._beside is None:
            try:
                if beside.part != "warm" and beside.candidate is not None:
                    cleared(self.ledger, beside.candidate, allow_code=self.settings.allow_code)
                self._beside = self._lane(beside.folder, beside.model)
            except Exception as error:  # whatever its code raises: nobody at work depends on it
                self._broken = _said(error)
                self.say(f"{beside.part}: {beside.folder} cannot read beside: {self._broken}")
                return
            if not self._beside.deployed.names and self._work.deployed.names:
                handed = beside.part != "warm" and _hands_over(self.ledger, beside.candidate, self._work.fingerprint)
                self._beside.take_over(self._work, states=handed)
                self._open.streams |= dict.fromkeys(self._beside.deployed.names)
                self._young = not handed
        if self._young:
            self._waits, self._young = OLD * self._context * len(self._beside.deployed.names), False
        self._beside.heard = None
        self._evidence = Evidence(self._block, self._tolerance)
        known = self.store.fact(EVIDENCE)
        if known is not None and known["key"] == beside.key:
            self._evidence, self._waits = from_record(known["record"]), known["waits"]
        self.say(f"{beside.part}: {beside.folder}")

    def _evidence_record(self) -> dict[str, Any] | None:
        beside: Beside | None = self.roles.beside
        if beside is None or self._evidence is None:
            return None
        return {"key": beside.key, "record": self._evidence.record(), "waits": self._waits}


def _drawn(stream: str) -> float:
    """A number between 0 and 1 that a stream always has."""
    return zlib.crc32(f"canary {stream}".encode()) / 2**32


def _said(error: Exception) -> str:
    """An error as a clause: our own says what to do, others their kind too."""
    return str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"


def _profile(folder: str | Path) -> Profile:
    return load_profile(Path(folder) / PROFILE)


def _hands_over(ledger: Ledger, candidate: int | None, before: str) -> bool:
    """Whether the gates found that states of the version before do better than inputs that are read again."""
    if candidate is None or candidate_of(ledger, candidate).parent != before:
        return False
    found = latest(ledger, candidate, GATES).get("handover")
    return found is not None and found.figures.get("better") == "handed_over"
