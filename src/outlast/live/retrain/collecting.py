"""The first stage: incidents of a ledger become the material of a candidate; what is left out is counted by reason."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta

import numpy as np
from sqlalchemy import select

from outlast.checkpoints import model_fingerprint
from outlast.data import Streams
from outlast.errors import InputError
from outlast.folders import aside, discard
from outlast.live.incidents import Kept
from outlast.live.ledger.candidates import Candidate, at_work, begin, gate
from outlast.live.ledger.incidents import kept_state
from outlast.live.ledger.store import Ledger, moment
from outlast.live.ledger.tables import IncidentRow, Label, StateRow
from outlast.live.retrain.checks import (
    COLLECT,
    comes_out,
    doubt_of,
    folder_of,
    is_alike,
    limits_of,
    probed,
    state_vector,
)
from outlast.live.retrain.collected import Collected, gathered, write_collected
from outlast.live.retrain.settings import Collecting
from outlast.live.watch.harm import BROKEN, LOOKS
from outlast.live.watch.profiles import Profile
from outlast.live.watch.signals import Senses
from outlast.model import Recurrent
from outlast.modules import adapt

SHARE = 4
"""No stream gives more than one in so many of the states that train, where there are as many streams."""


@dataclass(frozen=True)
class _Found:
    """An incident that may be used, and its states."""

    id: int
    stream: str
    told: datetime
    hashes: tuple[str, ...]


@dataclass
class _Taken:
    """States that were taken, in one order."""

    kept: list[Kept] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)
    incidents: list[int] = field(default_factory=list)
    vectors: list[np.ndarray] = field(default_factory=list)

    def only(self, chosen: list[int]) -> _Taken:
        return _Taken(*([values[i] for i in chosen] for values in vars(self).values()))


def collect(
    ledger: Ledger,
    model: Recurrent,
    profile: Profile,
    train: Streams,
    *,
    by: str,
    how: Collecting | None = None,
) -> Candidate:
    """Begin a candidate from the incidents of the model at work.

    Args:
        model: the one at work.
        profile: of it.
        train: training streams of the trusted corpus, which say what numbers are believed.
        by: who asks for it.

    Raises:
        InputError: another model than is at work, or too few states that can be used.
    """
    how, model = how or Collecting(), adapt(model)
    fingerprint = model_fingerprint(model)
    current = at_work(ledger)
    if current is not None and current.model != fingerprint:
        raise InputError(
            f"the model {fingerprint[:12]}… where {current.model[:12]}… is at work",
            "the model at work",
            f"it is in {current.folder}",
        )
    senses, left = profile.senses(model), Counter[str]()
    found = _incidents(ledger, fingerprint, how, left)
    early, late = _by_time(found, how.earlier)
    limits = limits_of(model, train, profile.facts.train_context, how.far_state, how.far_input)

    def take(incidents: list[_Found], before: list[np.ndarray]) -> _Taken:
        taken, of_stream = _Taken(vectors=list(before)), Counter[str]()
        for incident in _in_turns(incidents):
            of_incident = 0
            for hashed in incident.hashes:
                if len(taken.kept) >= how.most:
                    left["more than were asked for"] += 1
                elif of_incident >= how.per_incident or of_stream[incident.stream] >= how.per_stream:
                    left["more of one incident or stream than are taken"] += 1
                elif (kept := _read(ledger, hashed, model, fingerprint, incident.stream)) is None:
                    left["files that are missing, damaged, swapped or of another model"] += 1
                elif (doubt := doubt_of(kept, model, train, profile.half, limits)) is not None:
                    left[doubt] += 1
                elif is_alike(vector := state_vector(kept, model), taken.vectors):
                    left["the same state again"] += 1
                elif not _comes_out(kept, senses, profile.half, fingerprint):
                    left["an excess that does not come out again"] += 1
                else:
                    of_incident += 1
                    of_stream[incident.stream] += 1
                    taken.kept.append(kept)
                    taken.hashes.append(hashed)
                    taken.incidents.append(incident.id)
                    taken.vectors.append(vector)
        del taken.vectors[: len(before)]
        return taken

    training = _evened(take(early, []), left)
    later = take(late, training.vectors)
    _enough(len(training.kept), how.least, "to train on", left)
    _enough(len(later.kept), how.least_later, "for the gates, of later incidents", left)
    streams = {kept.stream for kept in training.kept}
    about = {
        "how": {**asdict(how), "harms": list(how.harms), "watchers": how.watchers and list(how.watchers)},
        "train": len(training.kept),
        "later": len(later.kept),
        "train_streams": len(streams),
        "later_streams": len({kept.stream for kept in later.kept}),
        "fewer_than_four_streams": len(streams) < SHARE,
        "left_out": dict(sorted(left.items())),
        "by": by,
    }
    both = [False] * len(training.kept) + [True] * len(later.kept)
    collected = gathered(
        training.kept + later.kept, training.hashes + later.hashes, training.incidents + later.incidents, both,
        fingerprint, about,
    )  # fmt: skip
    return _begun(ledger, fingerprint, collected, by)


def _incidents(ledger: Ledger, fingerprint: str, how: Collecting, left: Counter[str]) -> list[_Found]:
    """Those that may be used, the earliest first."""
    asked = select(IncidentRow).order_by(IncidentRow.id)
    found = list[_Found]()
    with ledger.writing() as session:
        before = moment(session) - timedelta(seconds=how.quarantine)
        states: dict[int, list[str]] = {}
        for incident, hashed in session.execute(select(StateRow.incident, StateRow.hash).order_by(StateRow.id)):
            states.setdefault(incident, []).append(hashed)
        for row in session.scalars(asked):
            hashes = states.get(row.id, [])
            if why := _unusable(row, hashes, fingerprint, how, before):
                left[why] += max(1, len(hashes))
            else:
                found.append(_Found(row.id, row.stream, row.told, tuple(hashes)))
    return found


def _unusable(row: IncidentRow, hashes: list[str], fingerprint: str, how: Collecting, before: datetime) -> str | None:
    """Why an incident is left out; None: it is not."""
    if row.model != fingerprint:
        return "incidents of another model"
    if row.harm not in how.harms:
        return "incidents without the harm that was asked for"
    if row.label in (Label.FALSE_ALARM, Label.DO_NOT_USE):
        return "incidents that people ruled out"
    if how.watchers is not None and row.watcher not in how.watchers:
        return "incidents of unknown watchers"
    if not _borne_out(row):
        return "incidents whose own figures do not bear out their harm"
    if row.changed > before and row.label != Label.REAL:
        return "incidents in quarantine"
    return None if hashes else "incidents without states"


def _borne_out(row: IncidentRow) -> bool:
    """Whether an incident's figures are such as a watcher comes to that harm by."""
    if row.harm == "worse_than_reset":
        if row.excess is None:
            return row.probes >= BROKEN
        return row.probes >= LOOKS[0] and len(row.excess) == 3 and 0 < row.excess[1] <= row.excess[0]
    if row.harm == "advantage_lost":
        known = row.excess is not None and len(row.excess) == 3 and row.usual_excess is not None
        return known and row.probes >= LOOKS[0] and row.excess[1] > row.usual_excess  # pyright: ignore
    return True


def _by_time(found: list[_Found], earlier: float) -> tuple[list[_Found], list[_Found]]:
    """Incidents before and after the moment at which the earlier share of them has been told, streams alike: a flood of
    one of them moves it by no more than that stream's share."""
    if not found:
        return [], []
    count = Counter(each.stream for each in found)
    weight = np.cumsum([1 / count[each.stream] for each in found])
    first = int(np.searchsorted(weight, earlier * weight[-1] * (1 - 1e-9))) + 1
    return found[:first], found[first:]


def _in_turns(incidents: list[_Found]) -> list[_Found]:
    """One of every stream after the other: where not all can be taken, no stream comes first."""
    turn, seen = list[tuple[int, int]](), Counter[str]()
    for at, each in enumerate(incidents):
        turn.append((seen[each.stream], at))
        seen[each.stream] += 1
    return [incidents[at] for _, at in sorted(turn)]


def _read(ledger: Ledger, hashed: str, model: Recurrent, fingerprint: str, stream: str) -> Kept | None:
    """A state; None: its file is not what the ledger says."""
    try:
        kept = kept_state(ledger, hashed, model, fingerprint)
    except (InputError, LookupError, ValueError, TypeError, RuntimeError):  # what a file says of itself may be anything
        return None
    return kept if kept.stream == stream else None


def _comes_out(kept: Kept, senses: Senses, half: int, fingerprint: str) -> bool:
    one = gathered([kept], [""], [0], [False], fingerprint, {})
    try:
        return comes_out(kept, probed(senses, one, np.zeros(1, np.int64), half))
    except InputError:  # targets that are no such thing
        return False


def _evened(taken: _Taken, left: Counter[str]) -> _Taken:
    """No stream with more than a quarter of them (rounded up), where there are four."""
    streams = [kept.stream for kept in taken.kept]
    count = Counter(streams)
    while len(count) >= SHARE and max(count.values()) > -(-sum(count.values()) // SHARE):
        largest = max(count, key=lambda stream: count[stream])
        count[largest] -= 1
    seen, chosen = Counter[str](), list[int]()
    for i, stream in enumerate(streams):
        seen[stream] += 1
        if seen[stream] <= count[stream]:
            chosen.append(i)
        else:
            left["more than a quarter of one stream"] += 1
    return taken.only(chosen)


def _enough(count: int, least: int, what: str, left: Counter[str]) -> None:
    if count < least:
        why = "; ".join(f"{number} left out: {reason}" for reason, number in left.most_common(4))
        raise InputError(
            f"{count} kept states {what}" + (f" ({why})" if why else ""),
            f"at least {least}: {least - count} more",
            "wait for more incidents, or label those that are real: outlast live incidents label N real --by NAME",
        )


def _begun(ledger: Ledger, fingerprint: str, collected: Collected, by: str) -> Candidate:
    """The candidate, whose files are there before the row that names them."""
    whole = folder_of(ledger, 0)
    made = aside(whole)
    shutil.rmtree(made, ignore_errors=True)
    hashed = write_collected(made, collected)

    def placed(number: int) -> str:
        folder = folder_of(ledger, number)
        if folder.exists():  # of a candidate that never came into the ledger
            discard(folder)
        made.rename(folder)
        return str(folder.resolve())

    said = f"{collected.about['train']} states to train on, {collected.about['later']} for the gates"
    try:
        begun = begin(ledger, fingerprint, placed, by=by, because=said)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    gate(ledger, begun.id, COLLECT, "collected", passed=True, figures={"sha256": hashed, **collected.about})
    return begun
