"""The ten kinds are what they say: read off their losses and states alone, without a diagnosis."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch

from diagnosis.planted_causes import LENGTH, T, parted
from diagnosis.planted_kinds import KINDS, Kind, of_every_strength
from outlast.diagnosis.coverage import coverage
from outlast.diagnosis.pairs import Scene, pair_up
from outlast.diagnosis.reading import read_to
from outlast.diagnosis.support import supports, training_states
from outlast.diagnosis.views import WHOLE, Views
from outlast.evaluation.measure import SQUARED_ERROR
from outlast.results import Coverage
from outlast.state import State, leaves, rebuild

BY_NAME = {kind.name: kind for kind in KINDS}
OLD, AT = T * 24, LENGTH - 2 * T
TOLERANCE = 0.01


def scene_of(kind: Kind, seed: int = 0) -> Scene:
    parts = parted(kind.streams(seed))
    length = int(parts.test.lengths.min())
    return Scene(kind.model(1 + 0.5 * seed).eval(), parts.test, length, T, SQUARED_ERROR, 1e6)


def losses(scene: Scene, age: int) -> np.ndarray:
    """(S,) losses of the same targets from states that have read `age` positions before them."""
    where = np.full(len(scene.streams), AT)
    return scene.scored(scene.everyone, where, aged(scene, where, age))


def aged(scene: Scene, where: np.ndarray, age: int) -> State:
    return read_to(scene.model, scene.streams, scene.everyone, where - age, where)


def swapped(old: State, young: State, kind: Kind, scene: Scene, parts: tuple[str, ...]) -> State:
    """`old` with these parts from `young`."""
    paths = [part.path for part in scene.model.state_parts()]
    pairs = zip(paths, leaves(old), leaves(young), strict=True)
    return rebuild(old, [theirs if path in parts else mine for path, mine, theirs in pairs])


@functools.cache
def covered(name: str, seed: int) -> Coverage:
    scene, parts = scene_of(BY_NAME[name], seed), parted(BY_NAME[name].streams(seed))
    views = Views(scene.model, parts.train)
    regions = supports(training_states(views, parts.train, T), views.names)
    return coverage(scene, views, regions, pair_up(scene, views.look))


def test_half_of_ten_kinds_are_sound() -> None:
    assert len({kind.name for kind in KINDS}) == 10
    assert sum(kind.fails for kind in KINDS) == 5
    assert all(kind.fails == bool(kind.parts) == (kind.cause is not None) for kind in KINDS)


@pytest.mark.parametrize(("kind", "seed"), [(kind, seed) for kind, seed, _ in of_every_strength()])
def test_age_harms_those_that_are_broken_and_no_others(kind: Kind, seed: int) -> None:
    """Past the training context, where a sound model needs it to be well."""
    scene = scene_of(kind, seed)
    grown = losses(scene, OLD) - losses(scene, T)
    assert {part.path for part in scene.model.state_parts()} >= set(kind.parts)
    if kind.fails:
        assert grown.mean() > 2 * grown.std() / len(grown) ** 0.5
        assert grown.mean() > 4 * TOLERANCE * losses(scene, T).mean()
    else:
        assert abs(grown.mean()) < TOLERANCE * losses(scene, T).mean()


@pytest.mark.parametrize("name", [kind.name for kind in KINDS if kind.fails])
def test_the_parts_that_are_named_carry_the_harm(name: str) -> None:
    kind = BY_NAME[name]
    scene, where = scene_of(kind), np.full(48, AT)
    old, young = aged(scene, where, OLD), aged(scene, where, T // 2)

    def loss(state: State) -> float:
        return float(scene.scored(scene.everyone, where, state).mean())

    excess = loss(old) - loss(young)
    others = tuple(part.path for part in scene.model.state_parts() if part.path not in kind.parts)
    assert loss(old) - loss(swapped(old, young, kind, scene, kind.parts)) > 0.9 * excess
    assert loss(old) - loss(swapped(old, young, kind, scene, others)) < 0.1 * excess


def test_either_of_two_parts_alone_is_harmless() -> None:
    kind = BY_NAME["two parts that harm only together"]
    scene, where = scene_of(kind), np.full(48, AT)
    old, young = aged(scene, where, OLD), aged(scene, where, T // 2)
    well = scene.scored(scene.everyone, where, young).mean()
    for part in kind.parts:
        for state in (swapped(old, young, kind, scene, (part,)), swapped(young, old, kind, scene, (part,))):
            assert scene.scored(scene.everyone, where, state).mean() == pytest.approx(well, rel=0.01)


def test_what_turns_keeps_its_norm_and_its_place() -> None:
    name = "a turn that leaves norm and coverage"
    for seed in range(3):
        rows = [row for row in covered(name, seed).rows if row.space == "layers.0.estimates"]
        norms = [row.norm for row in rows]
        assert None not in norms
        assert np.ptp(np.array(norms, float)) < 1e-3
        young = next(space.young for space in covered(name, seed).spaces if space.name == WHOLE)
        assert covered(name, seed).at_oldest(WHOLE).unexplored < young.mean + 0.02


def test_eight_in_a_hundred_old_states_lie_outside() -> None:
    shares = [covered("eight in a hundred outside", seed).at_oldest(WHOLE).unexplored for seed in range(3)]
    assert np.mean(shares) == pytest.approx(0.08, abs=0.005)


def test_the_late_one_is_well_until_its_onset() -> None:
    kind = BY_NAME["a convolution that overflows late"]
    assert kind.from_age is not None
    for seed in range(3):
        scene = scene_of(kind, seed)
        torch.testing.assert_close(losses(scene, kind.from_age - T), losses(scene, 2 * T), rtol=1e-4, atol=1e-4)
        assert losses(scene, 2 * kind.from_age - T).mean() > 1.01 * losses(scene, 2 * T).mean()


def test_most_streams_are_spared_where_a_quarter_is_harmed() -> None:
    scene = scene_of(BY_NAME["harm in a quarter of the streams"])
    grown = losses(scene, OLD) - losses(scene, T)
    assert (np.abs(grown) < 1e-3).mean() > 0.6
    assert (grown > 0.1).mean() > 0.15
