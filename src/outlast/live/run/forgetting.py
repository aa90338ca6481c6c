"""Streams of a run: which there are, and how they are forgotten, whether the run is at work or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from outlast.errors import InputError, unknown_name
from outlast.live.evidence import without
from outlast.live.ledger.store import Ledger
from outlast.live.run.store import EVIDENCE, FILE, FOLDER, LANES, Store

FORGET = "forget"
"""The fact that names streams which somebody asked to forget."""


@dataclass(frozen=True)
class StreamSeen:
    """A stream of a run.

    Args:
        position: rows of it that were read; None: an earlier outlast did not note that.
        time: of the last one, where rows have one.
        asked: whether it is to be forgotten.
    """

    name: str
    position: int | None
    time: str | None
    asked: bool

    def __str__(self) -> str:
        rows = "" if self.position is None else f" {self.position:,} rows"
        last = "" if self.time is None else f", the last one of {self.time}"
        return f"{self.name!r}:{rows}{last}{', to be forgotten' if self.asked else ''}"


def streams(ledger: Ledger, most: int) -> list[StreamSeen]:
    """Streams that the run of a ledger has read, those with the latest times first.

    Raises:
        InputError: the file of the run cannot be read.
    """
    if not (ledger.folder / FOLDER / FILE).exists():
        return []
    store = Store(ledger.folder / FOLDER, read_only=True)
    try:
        lanes, asked = store.fact(LANES) or [], set(store.fact(FORGET) or [])
        found = store.streams(lanes[0], most) if lanes else []
        return [StreamSeen(each.name, each.position, each.time, each.name in asked) for each in found]
    finally:
        store.close()


def ask(ledger: Ledger, names: Sequence[str]) -> None:
    """Ask the run of a ledger to forget streams.

    Raises:
        InputError: no name, or one of a stream that the run does not know.
    """
    known = [each.name for each in streams(ledger, 2**31 - 1)]
    if not names:
        raise InputError("no stream", "names of streams", "outlast live streams list shows them")
    for name in names:
        if name not in known:
            raise unknown_name("stream", name, known[:20])
    store = Store(ledger.folder / FOLDER)
    try:
        store.change(FORGET, lambda before: [*dict.fromkeys([*(before or []), *names])])
    finally:
        store.close()


def forget_asked(store: Store) -> list[str]:
    """Forget the streams that somebody asked for, in what is written down of a run; which these were."""
    names = store.fact(FORGET) or []
    if not names:
        return []
    lanes = store.fact(LANES) or []
    numbers = store.numbers(lanes[0], names) if lanes else []

    def facts() -> dict[str, Any]:
        later = [name for name in store.fact(FORGET) or [] if name not in names]
        known = store.fact(EVIDENCE)
        if known is not None:
            known = {**known, "record": without(known["record"], numbers)}
        return {FORGET: later, EVIDENCE: known}

    store.forget(names, facts)
    return names
