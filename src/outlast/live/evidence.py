"""Whether one model does better than another on live streams, as an answer that may be asked for at any moment.

Both read the same rows. Time is cut into blocks; of each block there is one number, the mean over streams of what the
second loses less than the first, cut off at one unit each, so that no stream and no moment says more than its share.
Streams that are shorter than a block fill it together with those that come after them.
Bets are placed on the next block (Waudby-Smith and Ramdas 2024): where the second is no better, the wealth of whoever
bets that it is has no expected gain, whatever streams have in common, and it reaches 1/α with a chance of at most α, at
whatever moment one looks (Ville 1939).

What is left out of the losses must not decide: a target that does not come counts as a loss as far as targets used to
come, in most streams or in its own; streams that nobody knew when the gathering began count only where the others
agree, and each stream has bets of its own on being ruined, which a mean over many would hide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

BETS = (0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.95)
"""Shares of the wealth, each as likely as the others."""
_WARMING = 2
"""Blocks that say what a unit is, and that nothing is bet on."""
_LONG = 4
"""Times as long as a block is, by which it ends also where hardly a stream has gone on for so long."""
_STAKE = 0.6
"""Share of the wealth that is bet on a single stream's being ruined."""
MISSING = 0.1
"""Share of the forecasts whose targets should have come, above which nobody is called better."""
_NAMED = 3
"""Streams that are named, at most."""
BROKEN = 16
"""Forecasts of the second model that are no numbers, where the first one's are: nobody has to bet on that."""


@dataclass(frozen=True)
class Finding:
    """What is known by now.

    Args:
        better, worse: wealth of whoever bet that the second model is better; that it is worse by more than the
            tolerance.
        blocks: that were bet on.
        streams: that were read in the last one.
        broken: forecasts of the second model that were no numbers, where the first one's were.
        gain: mean of what the second loses less than the first, by block alike, not cut off.
        tolerance: how much worse is worse.
        reached: wealth that decides, 1/α.
        ruined: wealth of whoever bet that the second ruins some streams: loses there more than twice what two models
            usually differ by.
        worst: numbers of the streams of which that wealth comes, the worst first.
        missing: share of the forecasts of which no target came, beyond what is usual; they count as lost.
        repeated: share of the positions that were read before; they count for nothing.
    """

    better: float
    worse: float
    blocks: int
    streams: int
    broken: int
    gain: float
    tolerance: float
    reached: float
    ruined: float = 0.0
    worst: tuple[int, ...] = ()
    missing: float = 0.0
    repeated: float = 0.0

    @property
    def verdict(self) -> str:
        """``better``, ``worse`` or ``open``."""
        if self.broken >= BROKEN or self.worse >= self.reached:
            return "worse"
        # Bets are on differences that are cut off; where a few streams lose more than all others gain, that counts too.
        kept = self.gain > -self.tolerance and self.ruined < self.reached and self.missing <= MISSING
        return "better" if self.better >= self.reached and kept else "open"

    def record(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "verdict": self.verdict, "better": min(self.better, 1e300), "worse": min(self.worse, 1e300),
            "blocks": self.blocks, "streams": self.streams, "broken": self.broken, "gain": self.gain,
            "decides": self.reached, "ruined": min(self.ruined, 1e300), "worst": list(self.worst),
            "missing": self.missing, "repeated": self.repeated,
        }  # fmt: skip

    def told(self, names: Sequence[str]) -> str:
        """It in words.

        Args:
            names: of the streams, by number; fewer where they are not known.
        """
        found = str(self)
        if self.ruined >= self.reached:
            shown = ", ".join(repr(names[each]) if each < len(names) else f"number {each}" for each in self.worst)
            found += f"; it ruins some streams, the worst of them {shown}: not better before a person has looked"
        if self.missing >= 0.01:
            found += f"; of {self.missing:.0%} of the forecasts no target came that used to come: counted as lost"
        if self.repeated >= 0.01:
            found += f"; {self.repeated:.0%} of the positions had been read before: they count for nothing"
        return found

    def __str__(self) -> str:
        if self.broken >= BROKEN:
            return f"worse: {self.broken:,} of its forecasts are no numbers"
        return (
            f"{self.verdict} after {self.blocks} blocks of {self.streams} streams (loss {-self.gain:+.3g}; evidence "
            f"{self.better:.3g} that it is better, {self.worse:.3g} that it is worse; {self.reached:g} decides)"
        )


class Evidence:
    """Gathers it.

    Args:
        block: positions of a stream, on average, that make a block; more than losses remember of each other.
        tolerance: how much worse is worse, in the unit of the losses.
        alpha: chance of being told what is not so, either way.
        known: how many streams had been read when this began; 0: none was.
    """

    def __init__(self, block: int, tolerance: float, alpha: float = 0.05, known: int = 0) -> None:
        self.block, self.tolerance, self.alpha, self.known = block, tolerance, alpha, known
        self._sums, self._counts, self._missing = np.zeros(16), np.zeros(16), np.zeros(16)
        self._ruin, self._seen = np.zeros(16), np.zeros(16)  # wealth of the bets on each stream, and blocks of it
        self._asked, self._came = np.zeros(16), np.zeros(16)  # forecasts in its blocks before, targets that were due
        self._usual, self._short, self._read, self._repeated = 0.0, 0.0, 0.0, 0.0
        self._spans = np.zeros((2, 16))  # when each stream came first and last in this block
        self._sizes: list[float] = []
        self._better, self._worse = np.zeros(len(BETS)), np.zeros(len(BETS))
        self._gain, self._blocks, self._streams, self._broken = 0.0, 0, 0, 0

    def add(
        self,
        streams: np.ndarray,
        first: np.ndarray,
        second: np.ndarray,
        *,
        missing: np.ndarray | None = None,
        repeated: np.ndarray | None = None,
    ) -> None:
        """Take losses of the same positions.

        Args:
            streams: (N,) numbers of their streams.
            first, second: (N,) losses of the two models, infinite where a forecast was no number; not a number where
                there is none.
            missing: (N,) bool, whether there is none because the target of a forecast did not come.
            repeated: (N,) bool, whether this was read before: it counts for nothing.
        """
        known = ~(np.isnan(first) | np.isnan(second))
        if repeated is not None:
            self._repeated += int((known & repeated).sum())
            self._read += int((known & repeated).sum())
            known &= ~repeated
            missing = None if missing is None else missing & ~repeated
        if missing is not None and missing.any():
            self._make_room(int(streams[missing].max()) + 1)
            np.add.at(self._missing, streams[missing], 1.0)
        at, first, second = streams[known], first[known], second[known]
        if not len(at):
            return
        self._read += len(at)
        self._make_room(int(at.max()) + 1)
        self._broken += int((np.isinf(second) & np.isfinite(first)).sum())
        with np.errstate(invalid="ignore"):
            gain = first - second
        gain = np.where(np.isnan(gain), 0.0, gain)  # neither gave a number
        with np.errstate(invalid="ignore"):
            np.add.at(self._sums, at, gain)
        times = self._counts.sum() + np.arange(1, len(at) + 1)
        new, first = np.unique(at, return_index=True)
        self._spans[0, new] = np.where(self._counts[new] > 0, self._spans[0, new], times[first])
        self._spans[1, at] = times
        np.add.at(self._counts, at, 1.0)
        here, read = self._counts > 0, float(times[-1])
        side_by_side = float((self._spans[1] - self._spans[0] + 1)[here].sum()) / read
        if read >= self.block * min(float(here.sum()), _LONG * side_by_side):
            took_part = np.flatnonzero(here | (self._missing > 0))
            with np.errstate(invalid="ignore"):
                gains = self._sums[took_part] / np.maximum(self._counts[took_part], 1.0)
            self._close(gains, took_part)
            self._sums[:], self._counts[:], self._missing[:] = 0.0, 0.0, 0.0

    def _make_room(self, wanted: int) -> None:
        if wanted > len(self._sums):
            more = np.zeros(max(wanted, 2 * len(self._sums)) - len(self._sums))
            for name in ("sums", "counts", *_BY_STREAM):
                setattr(self, f"_{name}", np.concatenate([getattr(self, f"_{name}"), more]))
            self._spans = np.concatenate([self._spans, np.zeros((2, len(more)))], 1)

    def _close(self, gains: np.ndarray, at: np.ndarray) -> None:
        """A block is over; (S,) mean gain of each of its streams, and their numbers."""
        self._streams = len(gains)
        lost = self._lost(at)
        gains = np.where(np.isnan(gains), 0.0, gains)  # each gave no number somewhere in it
        if len(self._sizes) < _WARMING:
            finite = np.abs(gains[np.isfinite(gains) & (self._counts[at] > 0)])
            self._sizes.append(float(np.median(finite)) if len(finite) else 0.0)
            if np.isfinite(gains).all():
                return
        unit = max(2 * float(np.mean(self._sizes)), self.tolerance, 1e-12)
        counted = at < self.known
        # Of each stream the share whose targets did not come is a loss as large as one can be.
        gain = _least((1 - lost) * np.clip(gains / unit, -1, 1) - lost, counted)
        loss = _least(np.clip((-gains - self.tolerance) / unit, -1, 1), counted)
        self._bet_on_ruin(at, np.clip((-gains - unit) / unit, -1, 1))
        bets = np.array(BETS)
        self._better, self._worse = self._better + np.log1p(bets * gain), self._worse + np.log1p(bets * loss)
        self._blocks += 1
        finite = _least(np.clip(gains, -1e6 * unit, 1e6 * unit), counted)
        self._gain += (finite - self._gain) / self._blocks

    def _lost(self, at: np.ndarray) -> np.ndarray:
        """(S,) share of each stream's forecasts whose targets should have come, and did not: as many come usually as
        came of most streams in the best block, and of a stream as many as came of it before, but for chance."""
        came, all_of = self._counts[at], self._counts[at] + self._missing[at]
        self._usual = max(self._usual, float(np.median(came / all_of)))
        asked, before = self._asked[at], self._came[at]
        own, new = all_of * before / np.maximum(asked, 1.0), all_of / np.maximum(asked, 1.0)
        chance = 2 * np.sqrt(own * (1 - (before + 1) / (asked + 2)) * (1 + new))  # two standard deviations, of both
        own = np.where(came < own - chance, own, 0.0)
        # What did not come though it was due stays due: who blanks targets for long does not make that usual.
        self._asked[at], self._came[at] = asked + all_of, before + np.maximum(came, own)
        short = np.maximum(0.0, np.maximum(self._usual * all_of, own) - came)
        self._short += float(short.sum())
        return short / np.maximum(came + short, 1e-12)  # 0 where none came and none usually does

    def _bet_on_ruin(self, at: np.ndarray, harm: np.ndarray) -> None:
        """One more block of some streams; harm may begin late, so the stake is spread over the blocks, as in `harm`."""
        self._seen[at] += 1
        stake = 1 / (self._seen[at] * (self._seen[at] + 1))
        self._ruin[at] = np.minimum((self._ruin[at] + stake) * (1 + _STAKE * harm), 1e300)

    @property
    def finding(self) -> Finding:
        """What is known by now."""
        better, worse = (float(np.exp(np.minimum(each, 600)).mean()) for each in (self._better, self._worse))
        seen = max(1, int((self._seen > 0).sum()))
        order = np.argsort(-self._ruin, kind="stable")[:_NAMED]
        asked = self._read + self._short
        return Finding(
            better, worse, self._blocks, self._streams, self._broken, self._gain, self.tolerance, 1 / self.alpha,
            ruined=float(np.minimum(self._ruin / seen, 1e299).sum()),
            worst=tuple(int(each) for each in order if self._ruin[each] > 1.0),
            missing=self._short / asked if asked else 0.0,
            repeated=self._repeated / self._read if self._read else 0.0,
        )  # fmt: skip

    def record(self) -> dict[str, Any]:
        """As JSON, from which `from_record` goes on."""
        return {
            "block": self.block, "tolerance": self.tolerance, "alpha": self.alpha, "sums": _plain(self._sums),
            "counts": self._counts.tolist(), "spans": self._spans.tolist(), "sizes": self._sizes,
            "better": self._better.tolist(), "worse": self._worse.tolist(), "gain": self._gain, "blocks": self._blocks,
            "streams": self._streams, "broken": self._broken, "known": self.known,
            "by_stream": {name: getattr(self, f"_{name}").tolist() for name in _BY_STREAM},
            "totals": {name: getattr(self, f"_{name}") for name in _TOTALS},
        }  # fmt: skip


def from_record(record: dict[str, Any]) -> Evidence:
    """What `Evidence.record` gave."""
    found = Evidence(record["block"], record["tolerance"], record["alpha"], record.get("known", 0))
    found._sums, found._counts = np.array(record["sums"], float), np.array(record["counts"], float)
    found._spans = np.array(record["spans"], float)
    found._sizes = [float(each) for each in record["sizes"]]
    found._better, found._worse = np.array(record["better"]), np.array(record["worse"])
    found._gain, found._blocks, found._streams = record["gain"], record["blocks"], record["streams"]
    found._broken = record["broken"]
    # What an earlier outlast did not gather begins here.
    for name in _BY_STREAM:
        kept = record.get("by_stream", {}).get(name, np.zeros(len(found._sums)))
        setattr(found, f"_{name}", np.array(kept, float))
    for name, value in record.get("totals", {}).items():
        setattr(found, f"_{name}", value)
    return found


_BY_STREAM, _TOTALS = ("missing", "ruin", "seen", "asked", "came"), ("usual", "short", "read", "repeated")


def _least(values: np.ndarray, counted: np.ndarray) -> float:
    """The mean of (S,) values, or that of streams that were known before where it is less: others can be made up."""
    whole = float(values.mean())
    return min(whole, float(values[counted].mean())) if counted.any() else whole


def without(record: dict[str, Any], numbers: Sequence[int]) -> dict[str, Any]:
    """A record of `Evidence` without some streams; those that follow move up."""
    found = dict(record)
    for name in ("sums", "counts"):
        gone = [number for number in numbers if number < len(record[name])]
        found[name] = np.delete(np.array(record[name], dtype=object), gone).tolist()
    gone = [number for number in numbers if number < len(record["spans"][0])]
    found["by_stream"] = {
        name: np.delete(np.array(kept), gone).tolist() for name, kept in record.get("by_stream", {}).items()
    }
    known = record.get("known", 0)
    found["known"] = known - sum(number < known for number in numbers)
    found["spans"] = np.delete(np.array(record["spans"]), gone, 1).tolist()
    return found


def _plain(values: np.ndarray) -> list[Any]:
    """Infinities as text, which JSON has no number for."""
    return [value if np.isfinite(value) else repr(value) for value in values.tolist()]
