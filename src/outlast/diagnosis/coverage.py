"""How much of what deployment visits lies where training has no states, and what that says of the error."""

from __future__ import annotations

import numpy as np

from outlast.diagnosis.pairs import Pairs, Scene, doubling_bands
from outlast.diagnosis.support import NEIGHBOURS, NULL_RATE, Support
from outlast.diagnosis.views import BEHAVIOUR, COUNTERS, HEAD, WHOLE, Views
from outlast.intervals import known_interval, known_means, share_interval
from outlast.results import CounterRow, Coverage, CoverageRow, Gap, MapPoint, ScenarioCoverage, Space, StateMap

# How much of what deployment visits lies where training has no states, by space and age, and a map of it.
#
# Recurrent states are strongly autocorrelated, so a state counts once a stream and decorrelation time.

_MAP_TRAINING = 300
_MAP_POINTS = 240


def coverage(
    scene: Scene,
    views: Views,
    regions: dict[str, Support],
    seen: Pairs,
    seed: int = 0,
    counted: np.ndarray | None = None,
) -> Coverage:
    """How much of what deployment visits lies where training has no states, by space and age.

    Args:
        counted: (N, counters) what counters read in training, where there are such.
    """
    apart = decorrelation(seen)
    spaces, rows = [], []
    bands = doubling_bands(seen.marks, scene.train_context)
    for name, region in regions.items():
        young = seen.noted_young[name]
        shape = young.shape[:2]
        outside_young = region.outside(young.reshape(-1, young.shape[-1])).reshape(shape)
        spaces.append(_space(name, views, region, outside_young))
        number = next((i for i, view in enumerate(views.views) if view.name == name), None)
        for band, columns in bands:
            chosen = spaced(seen.marks, columns, apart)
            states = seen.noted[name][:, chosen]
            flat = states.reshape(-1, states.shape[-1])
            outside = region.outside(flat).reshape(states.shape[:2])
            share = share_interval(outside.mean(1))
            far, chance = region.wasserstein(flat, seed)
            raw = {}
            if number is not None:
                kept = {key: seen.noted[key][:, chosen, number] for key in ("size", "mean", "spread")}
                raw = {
                    "norm": _mean(np.sqrt(np.mean(np.square(kept["size"])))),
                    "mean": _mean(kept["mean"].mean()),
                    "std": _mean(kept["spread"].mean()),
                }
            rows.append(
                CoverageRow(
                    name, band, *share.triple, n=share.n, samples=len(flat),
                    wasserstein=_mean(far) or 0.0, wasserstein_null=chance, **raw,
                    more=known_interval(outside.mean(1) - outside_young[:, chosen].mean(1)),
                    harm=_harm_outside(outside, seen.excess[:, chosen]),
                )
            )  # fmt: skip
    return Coverage(
        null_rate=NULL_RATE,
        neighbours=NEIGHBOURS,
        reference=regions[WHOLE].size,
        calibration=regions[WHOLE].calibration,
        decorrelation=apart,
        spaces=spaces,
        rows=rows,
        state_map=_map(regions[WHOLE], seen),
        battery=len(views.battery),
        continuation=views.battery.shape[1],
        scenarios=[row for name in (WHOLE, BEHAVIOUR) for row in _by_scenario(name, scene, regions[name], seen, apart)],
        counters=[] if counted is None else _counters(views, counted, seen, bands[-1]),
    )


def _harm_outside(outside: np.ndarray, excess: np.ndarray) -> float | None:
    """Of the summed excess of states, (S, M), the share of those outside."""
    known = np.isfinite(excess)
    total = float(excess[known].sum())
    return float(excess[known & outside].sum()) / total if total > 0 else None


def _counters(
    views: Views, counted: np.ndarray, seen: Pairs, oldest: tuple[tuple[int, int], np.ndarray]
) -> list[CounterRow]:
    """Every counter at the oldest ages, against the least and the most that it reads in training."""
    band, columns = oldest
    rows = []
    for number, part in enumerate(views.counters):
        read, trained = seen.noted[COUNTERS][:, columns, number], counted[:, number]
        share = share_interval(((read < trained.min()) | (read > trained.max())).mean(1))
        rows.append(
            CounterRow(
                views.parts[part].path, band, (float(trained.min()), float(trained.max())),
                float(read.min()), float(read.max()), *share.triple, n=share.n,
            )
        )  # fmt: skip
    return rows


def _by_scenario(space: str, scene: Scene, region: Support, seen: Pairs, apart: int) -> list[ScenarioCoverage]:
    """The states of all ages from the training context on, by the scenario of the row that was read last."""
    names = list(scene.streams.about.get("scenarios", {}))
    if not names:
        return []
    columns = spaced(seen.marks, np.arange(len(seen.marks)), apart)
    states, excess = seen.noted[space][:, columns], seen.excess[:, columns]
    outside = region.outside(states.reshape(-1, states.shape[-1])).reshape(states.shape[:2])
    at = scene.streams.starts[:, None] + seen.marks[columns][None] - 1
    rows = []
    for name in names:
        marked = scene.streams.labels[name][at] > 0
        for inside, chosen in ((True, marked), (False, ~marked)):
            met = chosen.any(1)
            if met.sum() < 2:
                continue
            share = share_interval(np.where(chosen, outside, 0).sum(1)[met] / chosen.sum(1)[met])
            costs = known_means(np.where(chosen, excess, np.nan))
            cost = known_interval(costs).triple if np.isfinite(costs).sum() > 1 else (None, None, None)
            rows.append(
                ScenarioCoverage(space, name, inside, *share.triple, *cost, n=share.n, samples=int(chosen.sum()))
            )
    return rows


def _mean(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _space(name: str, views: Views, region: Support, outside_young: np.ndarray) -> Space:
    share = share_interval(outside_young.mean(1))
    view = next((view for view in views.views if view.name == name), None)
    part = views.parts[view.part] if view else None
    sizes = {WHOLE: sum(len(v.projection) for v in views.views if v.head is None), BEHAVIOUR: 0}
    young = known_interval(outside_young.mean(1))
    return Space(
        name=name,
        kind=part.kind if part else name,
        layer=part.path if part else None,
        head=view.head if view else None,
        size=len(view.projection) if view else sizes[name],
        dimensions=region.reference.shape[1],
        radius=region.radius,
        held_out=region.held_out,
        young=type(young)(*share.triple, share.n),
    )


def decorrelation(seen: Pairs) -> int:
    """After how many positions the states of one stream are no longer alike: the first lag at which the correlation of
    the whole state, less the mean over streams at each mark, is below 1/e. At most the length of the streams."""
    late = np.flatnonzero(seen.marks >= seen.marks[-1] / 2)
    spacing = np.diff(seen.marks[late])
    longest = int(seen.marks[-1])
    if len(late) < 4:
        return longest
    states = seen.noted[WHOLE][:, late]
    states = states[np.isfinite(states).all((1, 2))]
    if len(states) < 2:
        return longest
    states = states - states.mean(0)
    scale = states.std((0, 1))
    states = states / np.where(scale > 0, scale, 1.0)
    for lag in range(1, len(late)):
        if float((states[:, lag:] * states[:, :-lag]).mean()) < np.exp(-1) * float((states**2).mean()):
            return int(lag * np.median(spacing))
    return longest


def spaced(marks: np.ndarray, columns: np.ndarray, apart: int) -> np.ndarray:
    """Those of the `columns` whose marks lie at least `apart` positions from one another; always the last."""
    chosen: list[int] = []
    for column in columns[::-1]:
        if not chosen or marks[chosen[-1]] - marks[column] >= apart:
            chosen.append(int(column))
    return np.array(chosen[::-1])


def _map(region: Support, seen: Pairs) -> StateMap:
    """The plane of the training states' two largest principal components, in each coordinate's own scale."""
    known = (region.reference - region.centre) / region.scale
    centre = known.mean(0)
    _, values, axes = np.linalg.svd(known - centre, full_matrices=False)
    plane = axes[:2].T
    if plane.shape[1] < 2:
        plane = np.hstack([plane, np.zeros((len(plane), 2 - plane.shape[1]))])
    explained = float((values[:2] ** 2).sum() / max((values**2).sum(), 1e-300))
    flat = (known - centre) @ plane
    training = flat[np.linspace(0, len(flat) - 1, min(_MAP_TRAINING, len(flat))).astype(int)]
    states, excess = seen.noted[WHOLE], seen.excess
    doubling = [columns[0] for _, columns in doubling_bands(seen.marks, int(seen.marks[0]))]
    ages = sorted({*doubling, len(seen.marks) - 1})
    each = max(1, _MAP_POINTS // max(len(ages), 1))
    points = []
    for column in ages:
        here = states[:each, column]
        outside = region.outside(here)
        placed = ((here - region.centre) / region.scale - centre) @ plane
        for stream in np.flatnonzero(np.isfinite(placed).all(1) & np.isfinite(excess[:each, column])):
            x, y = np.round(placed[stream], 4).tolist()
            points.append(
                MapPoint(
                    int(stream), int(seen.marks[column]), x, y, round(float(excess[stream, column]), 6),
                    bool(outside[stream]),
                )
            )  # fmt: skip
    return StateMap([(round(float(x), 4), round(float(y), 4)) for x, y in training], points, explained)


# From gap to error: does how far a state lies from training say how large the excess is?
#
# Asked within age bands, on other streams than those learnt from, because distance and excess both grow with age:
# that alone is no explanation. The answer may be that the gap does not explain this failure.

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
