"""A broken model is called so, and odd data get no verdict that they do not bear; what was odd is said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from outlast.data import Split, Streams
from outlast.data.streams import copies, joined
from outlast.errors import InputError
from outlast.evaluation import EvalSettings, evaluate
from outlast.evaluation.measure import ERROR_RATE
from outlast.evaluation.oddities import Variation
from outlast.model import InputSpec, Recurrent
from outlast.repairs import repair
from outlast.results import Evaluation, from_json, to_json
from planted import Planted, coin_streams
from toys import small_gru

T = 32
QUICK = EvalSettings(targets=128)

Skill = Callable[[torch.Tensor], torch.Tensor]


def steady(age: torch.Tensor) -> torch.Tensor:
    return torch.full_like(age, 2.0)


def failing(age: torch.Tensor) -> torch.Tensor:
    return 2.0 - 0.4 * torch.log2((age / T).clamp_min(1.0))


def lost(where: Callable[[torch.Tensor], torch.Tensor], otherwise: Skill = steady) -> Planted:
    """A model without a finite prediction at some ages."""
    return Planted(lambda age: torch.where(where(age), torch.nan, otherwise(age)))


def measured(model: Recurrent, streams: Streams | None = None) -> Evaluation:
    result = evaluate(model, streams or coin_streams(16), train_context=T, settings=QUICK)
    assert from_json(to_json(result)) == result
    return result


def verdict(result: Evaluation) -> tuple[str, str]:
    assert result.verdict is not None
    return result.verdict.name, "; ".join(result.verdict.because)


def note(result: Evaluation, name: str) -> dict[str, float | int | str]:
    return next(each.facts for each in result.notes if each.name == name)


def gru(change: Callable[[torch.nn.Parameter], object]) -> Recurrent:
    model = small_gru(outputs=2).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            change(parameter)
    return model


def test_weights_that_are_not_finite_are_broken() -> None:
    name, because = verdict(result := measured(gru(lambda weights: weights.fill_(torch.nan))))
    assert name == "broken"
    assert "100 % of those within the training context" in because
    assert note(result, "not_finite")["young"] == note(result, "not_finite")["oldest"] == 1


def test_weights_of_zero_are_broken() -> None:
    name, because = verdict(measured(gru(lambda weights: weights.zero_())))
    assert name == "broken"
    assert "the same, whatever the model reads" in because


def test_a_model_that_reads_a_little_is_not_broken() -> None:
    """As good as untrained, its outputs next to constant."""
    assert verdict(measured(gru(lambda weights: weights.mul_(1e-3))))[0] != "broken"


def test_all_ages_within_the_training_context_decide() -> None:
    assert verdict(measured(lost(lambda age: age < T)))[0] == "broken"
    assert verdict(measured(lost(lambda age: age < T / 2)))[0] != "broken"


@pytest.mark.parametrize("ages", [lambda age: age >= T, lambda age: age >= 2, lambda age: age > 8 * T])
def test_what_is_finite_when_young_fails(ages: Callable[[torch.Tensor], torch.Tensor]) -> None:
    name, because = verdict(measured(lost(ages)))
    assert name == "fails"
    assert "not finite numbers" in because


def test_a_few_lost_predictions_everywhere_are_not_robust() -> None:
    """The loss that they are scored with widens the tolerance, which is a share of it."""
    name, because = verdict(measured(lost(lambda age: (age % 2 == 1) | (age == 0))))
    assert name == "undecided"
    assert "not finite" in because


def test_constant_inputs_do_not_make_a_model_broken() -> None:
    streams = coin_streams(16)
    result = measured(Planted(steady), replace(streams, inputs=np.ones_like(streams.inputs)))
    assert verdict(result) == ("undecided", verdict(result)[1])
    assert note(result, "constant_inputs") == {"constant": 1, "channels": 1}
    assert "nothing to read" in verdict(result)[1]


@pytest.mark.parametrize("skill", [steady, failing])
def test_identical_streams_get_no_certain_verdict(skill: Skill) -> None:
    one = coin_streams(1)
    assert one.targets is not None
    eight = replace(
        one,
        inputs=np.tile(one.inputs, (8, 1)),
        targets=np.tile(one.targets, 8),
        starts=np.arange(8) * 1024,
        lengths=np.full(8, 1024),
    )
    result = measured(Planted(skill), eight)
    assert verdict(result)[0] == "undecided"
    assert "the streams are identical" in verdict(result)[1]
    with pytest.raises(InputError, match="none differ"):
        repair(Planted(skill), Split(eight, eight, eight, how="copies"), train_context=T, intervention="zero")


def test_copies_are_one_unit() -> None:
    """As wide as without them, where enough other streams are left."""
    streams = coin_streams(12, noise=0.1)
    twice = streams.take(np.repeat(np.arange(12), 2))
    once, result = measured(Planted(failing), streams), measured(Planted(failing), twice)
    assert note(result, "identical_streams") == {"streams": 24, "distinct": 12, "units": 12}
    assert verdict(result)[0] == verdict(once)[0] == "fails"
    assert once.notes == []
    widths = [each.oldest.high - each.oldest.low for each in (once, result)]
    assert widths[1] == pytest.approx(widths[0], rel=0.5)
    assert len(set(result.blocks)) == 12


def test_copies_are_found_exactly() -> None:
    streams = coin_streams(6, 5000)
    assert streams.targets is not None
    changed = replace(streams.take(np.array([0, 0, 1, 2, 1])), starts=np.array([0, 0, 1, 2, 1]) * 5000)
    assert copies(changed, 5000).tolist()[0] == copies(changed, 5000).tolist()[1]
    assert len(set(copies(changed, 5000))) == 3
    # One target in five thousand, where no sample looks.
    targets = np.concatenate([streams.targets[:5000]] * 2)
    inputs = np.concatenate([streams.inputs[:5000]] * 2)
    targets[5000 + 3] ^= 1
    pair = replace(streams, inputs=inputs, targets=targets, starts=np.array([0, 5000]), lengths=np.array([5000, 5000]))
    assert len(set(copies(pair, 5000))) == 2
    assert joined(np.array([0, 0, 1, 2, 3]), np.array([0, 1, 1, 2, 3])).tolist() == [0, 0, 0, 1, 2]


@pytest.mark.parametrize(("skill", "expected"), [(steady, "undecided"), (failing, "fails")])
def test_one_class_only_shows_harm_but_not_its_absence(skill: Skill, expected: str) -> None:
    streams = coin_streams(16)
    assert streams.targets is not None
    agreed = np.sign(streams.inputs[:, 0]) == 2 * streams.targets - 1
    inputs = np.where(agreed, 1.0, -1.0).astype(np.float32)[:, None]
    result = measured(Planted(skill), replace(streams, targets=np.ones_like(streams.targets), inputs=inputs))
    assert verdict(result)[0] == expected
    assert note(result, "constant_targets") == {"kind": "classes"}
    assert ("every target is of one class" in verdict(result)[1]) == (expected == "undecided")


def test_intervals_without_width_are_told() -> None:
    """A model without any error is robust all the same."""
    streams = coin_streams(16)
    right = replace(streams, targets=(streams.inputs[:, 0] > 0).astype(np.int64))
    result = evaluate(Planted(steady), right, train_context=T, settings=QUICK, measures=[ERROR_RATE])
    assert verdict(result)[0] == "robust"
    assert note(result, "equal_losses") == {"streams": 16}


def test_a_column_that_never_varies_is_told() -> None:
    streams = coin_streams(16)
    wide = replace(streams, inputs=np.concatenate([streams.inputs, np.ones_like(streams.inputs)], 1))

    class Wide(Planted):
        input_spec = InputSpec("features", 2)

    result = measured(Wide(steady), wide)
    assert note(result, "constant_inputs") == {
        "constant": 1, "channels": 2, "columns": "number 1, counted from 0",
    }  # fmt: skip
    assert verdict(result)[0] == "robust"


def test_columns_that_never_vary_are_named() -> None:
    table = {name: np.random.default_rng(0).normal(size=2000) for name in ("load", "power")}
    streams = Streams.from_table(table | {"mode": np.ones(2000)}, inputs=["load", "mode"], target="power", horizon=1)
    model = small_gru(InputSpec("features", 2)).eval()
    odd = [each.said for each in measured(model, streams).notes if each.name == "constant_inputs"]
    assert odd == ["1 of 2 inputs never varies: mode"]


def test_streams_of_very_different_lengths_are_measured_at_the_ages_that_exist() -> None:
    streams = coin_streams(12, 8200)
    lengths = np.array([8200] * 4 + [256] * 8)
    result = measured(Planted(failing), replace(streams, lengths=lengths))
    assert result.oldest.age == (1024, 2048)
    assert result.oldest.n == 16
    assert len(set(result.blocks)) >= 8
    assert note(result, "unequal_lengths")["left_out"] == 8
    assert verdict(result)[0] == "fails"


def test_longer_streams_that_are_too_few_are_told() -> None:
    streams = coin_streams(12, 2048)
    result = measured(Planted(failing), replace(streams, lengths=np.array([2048] + [512] * 11)))
    assert result.oldest.age == (256, 512)
    assert note(result, "unequal_lengths") == {"left_out": 0, "longer": 1, "streams": 12, "used": 512, "longest": 2048}
    shorter = evaluate(
        Planted(failing), replace(streams, lengths=np.array([2048] + [512] * 11)), train_context=T,
        settings=replace(QUICK, max_length=512),
    )  # fmt: skip
    assert shorter.notes == []


def test_variation_is_seen_by_channel() -> None:
    seen = Variation("every channel")
    seen.look([torch.full((2, 3, 2), torch.nan)])
    assert seen.channels == 0
    seen.look([torch.tensor([[[1.0, 2.0], [1.0, torch.nan]]])])
    assert (seen.channels, seen.constant) == (2, 2)
    seen.look([torch.tensor([[[1.0, 3.0]]])])
    assert (seen.constant, seen.seen) == (1, False)
    seen.look([torch.tensor([[[0.0, 3.0]]])])
    assert (seen.constant, seen.seen) == (0, True)


class HandsOutTheOldState(Recurrent):
    """A GRU whose state comes back as it was given, as where an exporter dropped the link between the two."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = gru(lambda weights: weights)
        self.input_spec = self.inner.input_spec

    def initial_state(self, batch_size: int) -> tuple[object, ...]:
        return self.inner.initial_state(batch_size)

    def forward(self, inputs: torch.Tensor, state: tuple[object, ...]) -> tuple[torch.Tensor, tuple[object, ...]]:
        return self.inner(inputs, state)[0], state


def test_a_state_that_is_not_carried_is_broken() -> None:
    result = measured(HandsOutTheOldState())
    assert verdict(result)[0] == "broken"
    assert float(note(result, "pieces_differ")["gap"]) > 0.01


def test_a_model_that_magnifies_rounding_is_not_broken_for_it() -> None:
    """At twenty times its weights a GRU is chaotic: pieces and the whole differ as two roundings do."""
    steep = measured(gru(lambda weights: weights.mul_(20)))
    assert not [each for each in steep.notes if each.name == "pieces_differ"]
