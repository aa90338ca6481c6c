"""From gap to error: does how far a state lies from training say how large the excess is?

Asked within age bands, on other streams than those learnt from, because distance and excess both grow with age: that
alone is no explanation. The answer may be that the gap does not explain this failure.
"""

from __future__ import annotations

import numpy as np

from outlast.diagnosis.pairs import Pairs, doubling_bands
from outlast.diagnosis.support import Support
from outlast.diagnosis.views import HEAD
from outlast.intervals import known_interval, known_means
from outlast.results import Gap

_ALPHAS = 10.0 ** np.arange(-1, 6)
_SMOOTH = 4
_FAR = 1e6


def gap_to_error(regions: dict[str, Support], seen: Pairs, train_context: int) -> Gap | None:
    """Predict the excess at every mark from the distance to training states, cross-fitted over streams.

    Neighbouring marks are averaged (four of them where there are as many), since the excess on half a training context
    is mostly chance.

    Returns:
        None with fewer than 8 streams or where the excess does not vary.
    """
    names = [name for name in regions if not HEAD.search(name)]
    excess, distance, bands = [], [], []
    for number, (_, columns) in enumerate(doubling_bands(seen.marks, train_context)):
        for group in np.array_split(columns, max(1, len(columns) // _SMOOTH)):
            excess.append(known_means(seen.excess[:, group]))
            # Logarithms, since distances run up to `_FAR` and the fit is linear.
            logs = [np.log1p(_in_radii(regions[name], seen.noted[name][:, group])) for name in names]
            distance.append(np.stack([log.mean(1) for log in logs], -1))
            bands.append(number)
    losses, features = np.stack(excess, 1), np.stack(distance, 1)
    streams = len(losses)
    if streams < 8:
        return None
    from sklearn.linear_model import RidgeCV  # takes long to load

    errors = np.zeros((3, streams))
    for half in (0, 1):
        learn, score = np.arange(streams) % 2 == half, np.arange(streams) % 2 != half
        # The fit sees both less their mean in the band: what age alone explains is not to be explained by distance.
        level, middle = _by_band(losses[learn], bands), _by_band(features[learn], bands)
        known = np.isfinite(losses[learn])
        fit = RidgeCV(alphas=_ALPHAS).fit((features[learn] - middle)[known], (losses[learn] - level)[known])
        moved = (features[score] - middle).reshape(-1, features.shape[-1])
        predicted = level + fit.predict(moved).reshape(int(score.sum()), -1)
        overall = np.nanmean(losses[learn])
        # By age alone, by age and distance, by neither.
        for i, guess in enumerate((level, predicted, overall)):
            errors[i, score] = np.nansum(np.square(losses[score] - guess), 1)
    if errors[0].mean() <= 0:
        return None
    explained = known_interval((errors[0] - errors[1]) / errors[0].mean())
    by_age = 1 - float(errors[0].mean() / max(errors[2].mean(), 1e-300))
    return Gap(explained, by_age, names, int(np.isfinite(losses).sum()), explained.low > 0)


def _in_radii(region: Support, states: np.ndarray) -> np.ndarray:
    """(S, M) distance of each state to the training states, in radii, at most `_FAR`; 0 where all states are one."""
    found = region.distance(states.reshape(-1, states.shape[-1])).reshape(states.shape[:2])
    return np.minimum(found / max(region.radius, 1e-12), _FAR)


def _by_band(values: np.ndarray, bands: list[int]) -> np.ndarray:
    """The mean over streams and the columns of each band, repeated for its columns; (columns,) or (columns, F)."""
    number = np.array(bands)
    flat = values.reshape(*values.shape[:2], -1)
    means = [known_means(flat[:, number == band].reshape(-1, flat.shape[-1]).T) for band in range(number.max() + 1)]
    return np.stack(means)[number].reshape(values.shape[1:])
