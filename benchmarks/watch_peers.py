"""Detectors of river and scikit-learn on a watcher's probes, each with the setting that gives the same run length."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from river.drift import ADWIN, KSWIN, PageHinkley
from sklearn.covariance import EllipticEnvelope
from sklearn.ensemble import IsolationForest

Series = np.ndarray
"""(N, signals) of one stream: unexplored, norms, loss, excess."""
LOSS = 2


@dataclass(frozen=True)
class Peer:
    """A detector.

    Args:
        alarms: (streams, setting) -> of each stream, the numbers of the probes that raise an alarm.
        settings: from the most alarms to the fewest.
    """

    name: str
    alarms: Callable[[list[Series], float], list[list[int]]]
    settings: np.ndarray

    def chosen(self, healthy: list[Series], wanted: float) -> float:
        """The setting whose number of alarms on healthy streams is nearest to the wanted one."""
        counts = [sum(map(len, self.alarms(healthy, setting))) for setting in self.settings]
        return float(self.settings[int(np.argmin(np.abs(np.array(counts) - wanted)))])


def _on_loss(make: Callable[[float], object]) -> Callable[[list[Series], float], list[list[int]]]:
    def alarms(streams: list[Series], setting: float) -> list[list[int]]:
        found = []
        for stream in streams:
            detector, here = make(setting), []
            for number, loss in enumerate(stream[:, LOSS]):
                detector.update(float(loss))  # pyright: ignore[reportAttributeAccessIssue]
                if detector.drift_detected:  # pyright: ignore[reportAttributeAccessIssue]
                    here.append(number)
            found.append(here)
        return found

    return alarms


def _on_outliers(score: Callable[[Series], np.ndarray]) -> Callable[[list[Series], float], list[list[int]]]:
    """An alarm where a probe is an outlier and the one before was none."""

    def alarms(streams: list[Series], setting: float) -> list[list[int]]:
        found = []
        for stream in streams:
            above = score(stream) > setting
            found.append(np.flatnonzero(above & ~np.concatenate([[False], above[:-1]])).tolist())
        return found

    return alarms


def peers(healthy: list[Series]) -> list[Peer]:
    """All of them; the outlier detectors learn what is usual from the healthy streams."""
    sample = np.concatenate(healthy)
    forest = IsolationForest(random_state=0).fit(sample)
    envelope = EllipticEnvelope(support_fraction=0.9, random_state=0).fit(sample)

    def by_forest(stream: Series) -> np.ndarray:
        return -forest.score_samples(stream)

    def by_envelope(stream: Series) -> np.ndarray:
        return envelope.mahalanobis(stream)

    def levels(score: Callable[[Series], np.ndarray]) -> np.ndarray:
        return np.quantile(score(sample), np.linspace(0.8, 0.999, 60))

    return [
        Peer("ADWIN, loss (river)", _on_loss(lambda s: ADWIN(delta=s)), np.geomspace(0.9, 1e-6, 16)),
        Peer("Page–Hinkley, loss (river)", _on_loss(lambda s: PageHinkley(threshold=s)), np.geomspace(0.2, 60, 24)),
        Peer("KSWIN, loss (river)", _on_loss(lambda s: KSWIN(alpha=s, seed=0)), np.geomspace(0.2, 1e-6, 16)),
        Peer("isolation forest (scikit-learn)", _on_outliers(by_forest), levels(by_forest)),
        Peer("elliptic envelope (scikit-learn)", _on_outliers(by_envelope), levels(by_envelope)),
    ]  # fmt: skip
