"""Whether one model does better than another on live streams, as an answer that may be asked for at any moment.

Both read the same rows. Time is cut into blocks; of each block there is one number, the mean over streams of what the
second loses less than the first, cut off at one unit each, so that no stream and no moment says more than its share.
Streams that are shorter than a block fill it together with those that come after them.
Bets are placed on the next block (Waudby-Smith and Ramdas 2024): where the second is no better, the wealth of whoever
bets that it is has no expected gain, whatever streams have in common, and it reaches 1/α with a chance of at most α, at
whatever moment one looks (Ville 1939).
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
    """

    better: float
    worse: float
    blocks: int
    streams: int
    broken: int
    gain: float
    tolerance: float
    reached: float

    @property
    def verdict(self) -> str:
        """``better``, ``worse`` or ``open``."""
        if self.broken >= BROKEN or self.worse >= self.reached:
            return "worse"
        # Bets are on differences that are cut off; where a few streams lose more than all others gain, that counts too.
        return "better" if self.better >= self.reached and self.gain > -self.tolerance else "open"

    def record(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "verdict": self.verdict, "better": min(self.better, 1e300), "worse": min(self.worse, 1e300),
            "blocks": self.blocks, "streams": self.streams, "broken": self.broken, "gain": self.gain,
            "decides": self.reached,
        }  # fmt: skip

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
    """

    def __init__(self, block: int, tolerance: float, alpha: float = 0.05) -> None:
        self.block, self.tolerance, self.alpha = block, tolerance, alpha
        self._sums, self._counts = np.zeros(16), np.zeros(16)
        self._spans = np.zeros((2, 16))  # when each stream came first and last in this block
        self._sizes: list[float] = []
        self._better, self._worse = np.zeros(len(BETS)), np.zeros(len(BETS))
        self._gain, self._blocks, self._streams, self._broken = 0.0, 0, 0, 0

    def add(self, streams: np.ndarray, first: np.ndarray, second: np.ndarray) -> None:
        """Take losses of the same positions.

        Args:
            streams: (N,) numbers of their streams.
            first, second: (N,) losses of the two models, infinite where a forecast was no number; not a number where
                there is none.
        """
        known = ~(np.isnan(first) | np.isnan(second))
        at, first, second = streams[known], first[known], second[known]
        if not len(at):
            return
        wanted = int(at.max()) + 1
        if wanted > len(self._sums):
            more = max(wanted, 2 * len(self._sums)) - len(self._sums)
            self._sums, self._counts = (np.concatenate([each, np.zeros(more)]) for each in (self._sums, self._counts))
            self._spans = np.concatenate([self._spans, np.zeros((2, more))], 1)
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
            self._close(self._sums[here] / self._counts[here])
            self._sums[:], self._counts[:] = 0.0, 0.0

    def _close(self, gains: np.ndarray) -> None:
        """A block is over; (S,) mean gain of each of its streams."""
        self._streams = len(gains)
        gains = np.where(np.isnan(gains), 0.0, gains)  # each gave no number somewhere in it
        if len(self._sizes) < _WARMING:
            finite = np.abs(gains[np.isfinite(gains)])
            self._sizes.append(float(np.median(finite)) if len(finite) else 0.0)
            if np.isfinite(gains).all():
                return
        unit = max(2 * float(np.mean(self._sizes)), self.tolerance, 1e-12)
        gain = float(np.clip(gains / unit, -1, 1).mean())
        loss = float(np.clip((-gains - self.tolerance) / unit, -1, 1).mean())
        bets = np.array(BETS)
        self._better, self._worse = self._better + np.log1p(bets * gain), self._worse + np.log1p(bets * loss)
        self._blocks += 1
        finite = np.clip(gains, -1e6 * unit, 1e6 * unit).mean()
        self._gain += (float(finite) - self._gain) / self._blocks

    @property
    def finding(self) -> Finding:
        """What is known by now."""
        better, worse = (float(np.exp(np.minimum(each, 600)).mean()) for each in (self._better, self._worse))
        return Finding(
            better, worse, self._blocks, self._streams, self._broken, self._gain, self.tolerance, 1 / self.alpha
        )

    def record(self) -> dict[str, Any]:
        """As JSON, from which `from_record` goes on."""
        return {
            "block": self.block, "tolerance": self.tolerance, "alpha": self.alpha, "sums": _plain(self._sums),
            "counts": self._counts.tolist(), "spans": self._spans.tolist(), "sizes": self._sizes,
            "better": self._better.tolist(), "worse": self._worse.tolist(), "gain": self._gain, "blocks": self._blocks,
            "streams": self._streams, "broken": self._broken,
        }  # fmt: skip


def from_record(record: dict[str, Any]) -> Evidence:
    """What `Evidence.record` gave."""
    found = Evidence(record["block"], record["tolerance"], record["alpha"])
    found._sums, found._counts = np.array(record["sums"], float), np.array(record["counts"], float)
    found._spans = np.array(record["spans"], float)
    found._sizes = [float(each) for each in record["sizes"]]
    found._better, found._worse = np.array(record["better"]), np.array(record["worse"])
    found._gain, found._blocks, found._streams = record["gain"], record["blocks"], record["streams"]
    found._broken = record["broken"]
    return found


def without(record: dict[str, Any], numbers: Sequence[int]) -> dict[str, Any]:
    """A record of `Evidence` without some streams; those that follow move up."""
    found = dict(record)
    for name in ("sums", "counts"):
        gone = [number for number in numbers if number < len(record[name])]
        found[name] = np.delete(np.array(record[name], dtype=object), gone).tolist()
    gone = [number for number in numbers if number < len(record["spans"][0])]
    found["spans"] = np.delete(np.array(record["spans"]), gone, 1).tolist()
    return found


def _plain(values: np.ndarray) -> list[Any]:
    """Infinities as text, which JSON has no number for."""
    return [value if np.isfinite(value) else repr(value) for value in values.tolist()]
