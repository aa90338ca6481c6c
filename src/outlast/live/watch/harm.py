"""Whether age hurts a stream with an incident: asked after every probe of it, and seldom told where it is not so.

Bets are placed on the next excess (Waudby-Smith and Ramdas 2024): where an old state does no worse than a reference,
the wealth of whoever bets that it does has no expected gain, and it reaches 1/α with a chance of at most α, at whatever
probe one looks (Ville 1939). Harm may begin long after an incident opened, so the stake is spread over the probes that
bets begin with (Shin, Ramdas and Rinaldo 2023).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from outlast.intervals import mean_interval
from outlast.live.evidence import BETS
from outlast.live.incidents import Harm
from outlast.live.watch.profiles import Facts
from outlast.live.watch.signals import EXCESS

WRONG = 1e-5
"""Chance at most that harm is told of an incident without it, were its probes independent. Those of one stream resemble
each other; where they do so as in household power it is below one in a thousand (docs/watching.md)."""
LOOKS = (8, 16, 32, 64)
"""Probes at which it may be said that no harm is seen; harm needs as many as the first."""
BROKEN = 4
"""Probes at which the old state's loss was no number, and the young one's was: nobody has to bet on that."""
_CUTS = ((2.0, 2.0), (4.0, 16.0))
"""Below and above the reference, in spreads of healthy excesses, where an excess is cut off; half of the stake is on
either. The first finds small harm soon, the second large harm."""


class _Bets:
    """That excesses lie above a reference, from some probe on.

    Args:
        reference, spread: in the unit of the losses.
    """

    def __init__(self, reference: float, spread: float) -> None:
        below, above = np.array(_CUTS).T
        self._reference, self._unit, self._most = reference, below * spread, above / below
        self._held, self._count = np.zeros((len(_CUTS), len(BETS))), 0

    def place(self, excess: float) -> None:
        """One more probe. Of the stake 1/n − 1/(n + 1) comes into play with the nth."""
        self._count += 1
        stake = 1 / (self._count * (self._count + 1))
        gain = np.clip((excess - self._reference) / self._unit, -1, self._most)
        self._held = np.minimum((self._held + stake) * (1 + np.outer(gain, BETS)), 1e300)

    @property
    def wealth(self) -> float:
        """By now, of a stake of 1."""
        return float(self._held.mean()) + 1 / (self._count + 1)


class Asked:
    """What was seen of one incident of a stream with targets.

    The probe that opened it is not for it: that one was chosen for being bad, and comes back to the mean by itself.

    Args:
        facts: what is usual.
    """

    def __init__(self, facts: Facts) -> None:
        self._facts, self._told = facts, 0
        self._begin()

    def _begin(self) -> None:
        facts = self._facts
        spread = max(facts.usual[EXCESS].spread, facts.tolerance, 1e-12)
        self._latest: deque[float] = deque(maxlen=LOOKS[-1])
        self._count = self._broken = 0
        self._worse = _Bets(facts.tolerance, spread)
        self._usual, _, most = facts.excess or (0.0, 0.0, 0.0)
        self._lost = _Bets(self._usual + facts.tolerance, spread) if most < -facts.tolerance else None

    def hear(self, excess: float) -> tuple[Harm, tuple[float, float, float] | None, int]:
        """One more probe, and what is known after it.

        Harm is told where the bets on it have won, and the mean of the latest 64 excesses, not cut off, agrees. What
        follows is asked anew, and all times together err as rarely as twice the first one.

        Returns:
            ``unknown``: nothing that is new; the interval of the latest excesses (None: fewer than eight), which holds
            for all looks together; and how many probes it rests on.
        """
        if np.isinf(excess):
            self._broken += excess > 0
            if self._broken < BROKEN:
                return "unknown", *self._seen()
            count = self._count + self._broken
            self._tell()
            return "worse_than_reset", None, count
        if not np.isnan(excess):
            self._count += 1
            self._latest.append(excess)
            self._worse.place(excess)
            if self._lost is not None:
                self._lost.place(excess)
        seen, probes = self._seen()
        if seen is None:
            return "unknown", None, 0
        mean, low, high = seen
        tolerance = self._facts.tolerance
        if self._won(self._worse) and low > 0 and mean > tolerance:
            self._tell()
            return "worse_than_reset", seen, probes
        if self._lost is not None and self._won(self._lost) and low > self._usual and mean > self._usual + tolerance:
            self._tell()
            return "advantage_lost", seen, probes
        # Little was seen, or as much as is asked for.
        quiet = self._count in LOOKS and (high <= 2 * tolerance or self._count == LOOKS[-1])
        return ("none_seen" if quiet else "unknown"), seen, probes

    def _seen(self) -> tuple[tuple[float, float, float] | None, int]:
        count = len(self._latest)
        if count < LOOKS[0]:
            return None, 0
        return mean_interval(np.array(self._latest), comparisons=len(LOOKS)).triple, count

    def _won(self, bets: _Bets) -> bool:
        return bets.wealth * 0.5 ** min(self._told, 60) >= 1 / WRONG

    def _tell(self) -> None:
        self._told += 1
        self._begin()


def at_first(signals: Sequence[str], *, targets: bool) -> Harm:
    """What is known of an incident that has just opened; all that will ever be, without targets."""
    if targets:
        return "unknown"
    return "age_changes_predictions" if "divergence" in signals else "unfamiliar"
