"""A steady training: its rate, the average that it ends with, and going on after its end."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
import torch

from outlast.errors import InputError, Interrupted
from outlast.interventions import Carry, FittedNoise
from outlast.training import TrainSettings, fit
from outlast.training.objectives import Regression
from outlast.training.resume import reached_in
from toys import small_gru, wave_streams
from training.kinds import MODELS, T, trained

SETTINGS = TrainSettings(steps=12, batch_size=4, learning_rate=1e-2, checkpoint_every=5, schedule="steady")
RULES = [Carry(expected_run=40), FittedNoise()]


def run(kind="gru", rule=RULES[0], settings=SETTINGS, **options):
    return trained(kind, rule, settings, **options)[0].state_dict()


def same(a, b) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_the_rate_is_as_long_a_training_as_it_may_be():
    """Whatever number of steps is asked for, the first ones are those of a longer training."""
    short, long = SETTINGS, replace(SETTINGS, steps=4000)
    assert [short.rate_at(step) for step in range(12)] == [long.rate_at(step) for step in range(12)]
    assert long.rate_at(39) == long.rate_at(3999) == 1e-2


@pytest.mark.parametrize("kind", MODELS)
def test_it_ends_with_the_average_of_its_weights_late_ones_counting_more(kind):
    """Held against the definition: weights of step n count as the product of what the running average leaves them."""
    build, streams, objective = MODELS[kind]
    trunk, seen = build(), []
    steady = replace(SETTINGS, schedule="constant", warm_up=40)

    def watch(*row):
        seen.append([each.detach().clone() for each in trunk.parameters()])

    fit(trunk, streams(), objective, RULES[0], T, steady, progress=watch)
    counts = torch.tensor([torch.tensor([n + k for k in range(6)], dtype=torch.float64).prod() for n in range(1, 13)])
    counts /= counts.sum()

    def averaged(row: tuple[torch.Tensor, ...]) -> torch.Tensor:
        wide = torch.complex128 if row[0].is_complex() else torch.float64
        return torch.stack([count * each.to(wide) for count, each in zip(counts, row, strict=True)]).sum(0)

    model = build()
    fit(model, streams(), objective, RULES[0], T, SETTINGS)
    for expected, found in zip(map(averaged, zip(*seen, strict=True)), model.parameters(), strict=True):
        torch.testing.assert_close(found.detach(), expected.to(found.dtype), rtol=1e-5, atol=1e-6)
    assert not all(torch.equal(a, b) for a, b in zip(model.parameters(), trunk.parameters(), strict=True))


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.label)
def test_going_on_after_the_end_equals_a_longer_training(kind, rule, tmp_path):
    """Bit for bit: taking the average leaves the trunk as it was."""
    run(kind, rule, replace(SETTINGS, steps=4), checkpoint=tmp_path)
    assert reached_in(tmp_path) == 4
    longer = run(kind, rule, checkpoint=tmp_path, resume=True)
    assert same(longer, run(kind, rule))
    assert same(longer, run(kind, rule, checkpoint=tmp_path, resume=True))
    assert reached_in(tmp_path) == 12


def test_a_stopped_one_leaves_the_average_so_far_and_goes_on_to_the_same_bits(tmp_path):
    stop, model = threading.Event(), small_gru()

    def progress(step, *rest):
        if step == 7:
            stop.set()

    with pytest.raises(Interrupted):
        fit(
            model,
            wave_streams(),
            Regression(),
            RULES[0],
            T,
            SETTINGS,
            checkpoint=tmp_path,
            progress=progress,
            stop=stop,
        )
    assert same(model.state_dict(), run(settings=replace(SETTINGS, steps=7)))
    assert same(run(checkpoint=tmp_path, resume=True), run())


def test_it_cannot_be_resumed_with_fewer_steps_and_no_other_schedule_with_more(tmp_path):
    run(checkpoint=tmp_path / "steady")
    with pytest.raises(InputError, match="a checkpoint after 12 steps, to be resumed with 11"):
        run(settings=replace(SETTINGS, steps=11), checkpoint=tmp_path / "steady", resume=True)
    cosine = replace(SETTINGS, schedule="cosine")
    run(settings=cosine, checkpoint=tmp_path / "cosine")
    with pytest.raises(InputError, match=r"a checkpoint made with settings .*'steps': 12"):
        run(settings=replace(cosine, steps=24), checkpoint=tmp_path / "cosine", resume=True)


def test_no_checkpoint_is_no_step(tmp_path):
    assert reached_in(None) == reached_in(tmp_path) == 0
