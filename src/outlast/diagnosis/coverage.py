"""Which states training starts from and passes through, and which deployment visits.

Recurrent states are strongly autocorrelated, so a state counts once a stream and decorrelation time; large states go
through a seeded random projection before any distance is taken. A norm that drifts may be harmless: beside the states
themselves stands their *behaviour*, how a fixed battery of short continuations is predicted from them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import wasserstein_distance
from sklearn.covariance import LedoitWolf
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from outlast.diagnosis.pairs import Pairs, Scene
from outlast.diagnosis.reading import read_to
from outlast.errors import InputError
from outlast.evaluation.measures import Outputs, outputs_of
from outlast.intervals import known_interval, share_interval
from outlast.model import Recurrent, device_of
from outlast.randomness import generator, hash_integers
from outlast.results import Coverage, CoverageRow, MapPoint, Space, StateMap
from outlast.state import State, StatePart, leaves, select
from outlast.streams import Streams
from outlast.streams.places import draw_places
from outlast.streams.reading import groups

NULL_RATE = 0.05
NEIGHBOURS = 5
BEHAVIOUR, WHOLE = "behaviour", "whole state"

_DIMENSIONS = 16
_WINDOWS = 1536
_AGES = 8
_ROWS = 256
_BATTERY, _CONTINUATION = 6, 8
_DIRECTIONS = 24
_MAP_TRAINING = 300
_MAP_POINTS = 240


@dataclass(frozen=True)
class _View:
    """One way to look at a state: a part, or one head of it, projected to few numbers."""

    name: str
    part: int
    head: int | None
    projection: Tensor

    def of(self, tensors: list[Tensor], parts: tuple[StatePart, ...]) -> Tensor:
        """(B, D) the raw numbers."""
        tensor, axis = tensors[self.part], parts[self.part].head_axis
        if self.head is not None:
            assert axis is not None
            tensor = tensor.select(axis, self.head)
        return tensor.flatten(1).double() if tensor.dim() > 1 else tensor[:, None].double()


class Views:
    """Every part and head of a model's state, the whole of it, and its behaviour, each as a few numbers a row.

    Args:
        model: its floating parts but counters are looked at.
        streams: whose inputs make the battery of continuations (training streams).
        seed: of the projections and of the battery.
        outputs: what the model's outputs are; None: what the targets are. Classes are compared by their shares.
    """

    def __init__(self, model: Recurrent, streams: Streams, seed: int = 0, outputs: Outputs | None = None) -> None:
        self.model, self.parts = model, model.state_parts()
        with torch.no_grad():
            example = leaves(model.initial_state(1))
        self.views: list[_View] = []
        for number, (part, tensor) in enumerate(zip(self.parts, example, strict=True)):
            if part.kind == "counter" or not tensor.is_floating_point():
                continue
            self.views.append(_view(part.path, number, None, tensor[0].numel(), seed))
            if part.head_axis is not None and tensor.shape[part.head_axis] > 1:
                heads = tensor.shape[part.head_axis]
                for head in range(heads):
                    name = f"{part.path}, head {head}"
                    self.views.append(_view(name, number, head, tensor[0].numel() // heads, seed))
        if not self.views:
            raise InputError(
                f"a {type(model).__name__} whose state has no part of real numbers",
                "a recurrent state",
                "check its state_parts()",
            )
        self.battery = _battery(streams, seed)
        self.seed, self.outputs = seed, outputs or outputs_of(streams)
        self._behaviour: Tensor | None = None

    @property
    def names(self) -> list[str]:
        """Of all spaces, the parts first."""
        return [*(view.name for view in self.views), WHOLE, BEHAVIOUR]

    @torch.no_grad()
    def look(self, state: State) -> dict[str, np.ndarray]:
        """(B, d) numbers by space, and ``size``, ``mean`` and ``spread`` (B, views) of the raw states."""
        tensors = [tensor.cpu() for tensor in leaves(state)]
        raw = [view.of(tensors, self.parts) for view in self.views]
        seen = {view.name: (numbers @ view.projection).numpy() for view, numbers in zip(self.views, raw, strict=True)}
        seen[WHOLE] = np.concatenate([seen[view.name] for view in self.views if view.head is None], 1)
        seen[BEHAVIOUR] = self._behave(state)
        seen["size"] = torch.stack([numbers.square().mean(1).sqrt() for numbers in raw], 1).numpy()
        seen["mean"] = torch.stack([numbers.mean(1) for numbers in raw], 1).numpy()
        seen["spread"] = torch.stack([numbers.std(1, correction=0) for numbers in raw], 1).numpy()
        return seen

    def _behave(self, state: State) -> np.ndarray:
        """(B, d) the predictions at the end of every continuation of the battery."""
        count, rows = len(self.battery), leaves(state)[0].shape[0]
        found = []
        for group in groups(rows, _ROWS):
            repeated = select(state, torch.from_numpy(np.repeat(group, count)))
            inputs = self.battery.repeat(len(group), *([1] * (self.battery.dim() - 1)))
            outputs, _ = self.model(inputs.to(device_of(self.model)), repeated)
            last = outputs[:, -1].flatten(1).double().cpu()
            if self.outputs == "classes":
                last = last.softmax(-1)
            found.append(last.reshape(len(group), -1))
        answers = torch.cat(found)
        if self._behaviour is None:
            self._behaviour = _projection(answers.shape[1], BEHAVIOUR, self.seed)
        return (answers @ self._behaviour).numpy()


def _projection(size: int, name: str, seed: int) -> Tensor:
    """(D, d) a random projection that keeps squared lengths on average; the identity where D is small."""
    if size <= _DIMENSIONS:
        return torch.eye(size, dtype=torch.float64)
    random = generator(seed, f"projection {name}")
    return torch.randn(size, _DIMENSIONS, generator=random, dtype=torch.float64) / _DIMENSIONS**0.5


def _view(name: str, part: int, head: int | None, size: int, seed: int) -> _View:
    return _View(name, part, head, _projection(size, name, seed))


def _battery(streams: Streams, seed: int) -> Tensor:
    """(battery, T, …) inputs of short windows at random places of the streams."""
    length = int(min(_CONTINUATION, streams.lengths.min()))
    stream, position = draw_places(streams.lengths, length, seed, "battery", np.arange(_BATTERY), ordered=True)
    return streams.window(stream, position, length).inputs


@torch.no_grad()
def training_states(views: Views, streams: Streams, train_context: int, seed: int = 0) -> dict[str, np.ndarray]:
    """What training windows pass through: one state a window, of an age drawn evenly from (0, T], by space (N, d).

    Windows lie at random places of the training streams, in their order. The initial state itself is not among them:
    it is one point, and every window starts from it.
    """
    rows = np.arange(_WINDOWS)
    stream, position = draw_places(streams.lengths, train_context, seed, "coverage", rows, ordered=True)
    steps = min(_AGES, train_context)
    turn = (hash_integers(seed, "age", 0, rows) % np.uint64(steps)).astype(np.int64) + 1
    age = np.maximum(1, turn * train_context // steps)
    return views.look(read_to(views.model, streams, stream, position, position + age))


class Support:
    """The region that a sample of states fills: within a radius of its k-th nearest neighbour.

    States are whitened with the sample's Ledoit–Wolf covariance first. The radius is the one that leaves the share
    `NULL_RATE` of further states of the same kind outside.

    Args:
        states: (N, d) in the order in which they lie in the streams: of every six stretches one sets the radius, and
            one is held out to see whether that holds.
    """

    def __init__(self, states: np.ndarray) -> None:
        finite = np.isfinite(states).all(1)
        stretch = np.arange(len(states)) * 24 // len(states) % 6
        reference = states[finite & (stretch < 4)]
        fit = LedoitWolf().fit(reference)
        values, vectors = np.linalg.eigh(fit.covariance_)
        keep = values > max(values[-1] * 1e-10, 1e-300)
        self.whiten = vectors[:, keep] / np.sqrt(np.maximum(values[keep], 1e-300)) if keep.any() else vectors * 0
        self.centre = fit.location_
        self.size = len(reference)
        self.neighbours = NearestNeighbors(n_neighbors=NEIGHBOURS).fit(self.white(reference))
        calibration = self.distance(states[stretch == 4])
        self.calibration = len(calibration)
        self.radius = float(np.quantile(calibration, 1 - NULL_RATE, method="higher"))
        self.held_out = float(self.outside(states[stretch == 5]).mean())
        self.spare = states[finite & (stretch >= 4)]
        self.reference = reference
        self.scale = np.where(reference.std(0) > 0, reference.std(0), 1.0)

    def white(self, states: np.ndarray) -> np.ndarray:
        return np.clip((states - self.centre) @ self.whiten, -1e12, 1e12)

    def distance(self, states: np.ndarray) -> np.ndarray:
        """(N,) distance to the k-th nearest training state; infinite for a state that is not finite."""
        finite = np.isfinite(states).all(1)
        found = np.full(len(states), np.inf)
        if finite.any():
            found[finite] = self.neighbours.kneighbors(self.white(states[finite]))[0][:, -1]
        return found

    def outside(self, states: np.ndarray) -> np.ndarray:
        """(N,) whether each state lies where training has none."""
        return self.distance(states) > self.radius

    def wasserstein(self, states: np.ndarray, seed: int = 0) -> tuple[float, float]:
        """Sliced Wasserstein distance to the training sample, in its standard deviations; and the same for held-out
        training states, in a sample as large: what chance alone gives."""
        states = states[np.isfinite(states).all(1)]
        random = np.random.default_rng(seed)
        slices = random.normal(size=(self.reference.shape[1], _DIRECTIONS))
        slices /= np.linalg.norm(slices, axis=0)
        known = (self.reference - self.centre) / self.scale @ slices
        spare = self.spare[random.integers(0, len(self.spare), max(len(states), 2))]

        def far(sample: np.ndarray) -> float:
            moved = (sample - self.centre) / self.scale @ slices
            return float(np.mean([wasserstein_distance(moved[:, j], known[:, j]) for j in range(_DIRECTIONS)]))

        return (far(states) if len(states) else float("inf")), far(spare)


def supports(trained: dict[str, np.ndarray], names: list[str]) -> dict[str, Support]:
    """The training states' region in every space."""
    return {name: Support(trained[name]) for name in names}


def coverage(scene: Scene, views: Views, regions: dict[str, Support], seen: Pairs, seed: int = 0) -> Coverage:
    """How much of what deployment visits lies where training has no states, by space and age."""
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
            share = share_interval(region.outside(flat).reshape(states.shape[:2]).mean(1))
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
    )


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


def doubling_bands(marks: np.ndarray, train_context: int) -> list[tuple[tuple[int, int], np.ndarray]]:
    """[T·2^k, T·2^(k+1)) with the numbers of the marks inside, where there are any."""
    bands, start = [], train_context
    while start <= marks[-1]:
        inside = np.flatnonzero((marks >= start) & (marks < 2 * start))
        if len(inside):
            bands.append(((start, 2 * start), inside))
        start *= 2
    return bands


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
