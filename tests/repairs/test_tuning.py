"""A remedy is chosen on validation streams and judged on test streams, on models whose losses by age were planted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

import outlast
from outlast.data import Split
from outlast.errors import InputError
from outlast.evaluation import EvalSettings, evaluate
from outlast.evaluation.evaluating import _resets
from outlast.intervals import every_other
from outlast.model import Recurrent
from outlast.modules.leaking import WithLeak
from outlast.modules.remedies import Leak, Reset, remedy_named
from outlast.modules.resetting import WithReset
from outlast.repairs import Tuned, tune
from outlast.repairs.tuning import picked
from outlast.reporting.kinds import next_steps, summary
from outlast.results import from_json, to_json
from outlast.results.curve import handover_losses, reset_losses
from planted import Planted, PlantedState, coin_streams

T, LENGTH = 16, 256
MEASURING = EvalSettings(targets=128)


def failing(age: Tensor) -> Tensor:
    """Learns over the training context, and forgets from 4 T on."""
    return torch.where(age < 4 * T, 1.5 + 0.03 * age.clamp(max=T), 0.2)


def robust(age: Tensor) -> Tensor:
    return 1.5 + 0.03 * age.clamp(max=T)


def hopeless_law(age: Tensor) -> Tensor:
    """Wrong when young, right for a while, and of little use later: every reset is young half of the time."""
    return torch.where(age < T // 2, -3.0, torch.where(age < T, 2.0, 0.3))


def parts(length: int = LENGTH) -> Split:
    return Split(*(coin_streams(count, length, noise=0.02, seed=count) for count in (8, 16, 32)), how="planted")


def tuned(skill: Callable[[Tensor], Tensor], cost: float = 1.0) -> Tuned:
    return tune(Planted(skill), parts(), train_context=T, cost=cost, measuring=MEASURING)


def test_a_model_that_fails_gets_the_best_reset() -> None:
    """At the cost of one copy; the model is ready to run and gives what the record says."""
    done = tuned(failing)
    result = done.result
    assert (result.accepted, result.remedy, result.refused_because) == (True, f"reset:{4 * T}", None)
    assert all(each.cost == 1 for each in result.tried)
    assert isinstance(done.model, WithReset)
    assert result.benefit.against == "base"
    assert result.benefit.high < 0
    assert result.short_context.difference == 0
    assert from_json(to_json(result)) == result
    for language in ("en", "ja"):
        assert str(4 * T) in summary(result, language)


class Filling(Planted):
    """Of use while its memory, which gains one at every position, is neither small nor full; never when young."""

    def __init__(self, skill: Callable[[Tensor], Tensor], least: float = 0.35 * T, unfit: float = 0.2) -> None:
        super().__init__(skill)
        self.least, self.unfit = least, unfit

    def forward(self, inputs: Tensor, state: PlantedState) -> tuple[Tensor, PlantedState]:
        steps = inputs.shape[1]
        memory = state.drift[:, :1] + torch.arange(steps)
        age = state.read[:, None] + torch.arange(steps)
        fit = (memory >= self.least) & (memory < 3 * T)
        margin = torch.where(fit | (age < T // 2), self.skill(age), self.unfit) * inputs[..., 0].sign()
        return torch.stack([-margin / 2, margin / 2], -1), PlantedState(state.read + steps, state.drift + steps)


def test_a_leak_is_taken_where_it_beats_every_reset() -> None:
    """It is run in pieces, saved and told as such; a reset is young again and again."""
    model = Filling(lambda age: torch.where(age < T // 2, -1.0, 2.0))
    done = tune(model, parts(), train_context=T, measuring=MEASURING)
    taken = next(each for each in done.result.tried if each.name == done.result.remedy)
    resets = [each.loss for each in done.result.tried if each.name.startswith("reset:")]
    assert done.accepted
    leak = remedy_named(done.result.remedy)
    assert isinstance(leak, Leak)
    assert isinstance(leak.tau, float)
    assert (leak.from_age, T <= leak.tau < 3 * T) == (0, True)
    assert taken.loss < min(resets) - 0.1
    assert isinstance(done.model, WithLeak)
    assert (leak.every, taken.cost) == (done.model.every, 1)
    assert leak.every == leak.tau // 8 > 1
    assert from_json(to_json(done.result)) == done.result
    assert f"in pieces of {leak.every}" in summary(done.result, "en")
    assert "漏れ" in summary(done.result, "ja")


def test_a_leak_that_costs_short_contexts_is_tried_from_the_training_context_on() -> None:
    """There the first positions stay bit for bit as they were."""
    model = Filling(lambda age: torch.where(age < T // 2, -1.0, 2.0), least=0.75 * T)
    done = tune(model, parts(), train_context=T, measuring=MEASURING)
    leak = remedy_named(done.result.remedy)
    assert isinstance(leak, Leak)
    assert (done.accepted, leak.from_age) == (True, T)
    assert done.result.short_context.difference == 0
    lost = next(each for each in done.result.tried if f"{each.name}:from={T}" == leak.name)
    assert lost.short is not None
    assert lost.short[1] > done.result.short_context.margin
    assert f"from age {T} on" in summary(done.result, "en")


def ageing(until: int) -> Filling:
    """Of no use when young, and of less from an age on that no memory brings back: a leak gains more than a reset, and
    still fails once it is that old."""
    return Filling(lambda age: torch.where(age < T // 2, 0.0, torch.where(age < until, 2.0, 1.4)))


def test_a_leak_that_validation_shows_to_fail_is_not_picked() -> None:
    """As it was: test streams were asked, refused it, and the model stayed as it was, though a reset helps."""
    done = tune(ageing(4 * T), parts(), train_context=T, measuring=MEASURING)
    result = done.result
    assert (done.accepted, result.remedy, result.other) == (True, f"reset:{2 * T}", None)
    taken = next(each for each in result.tried if each.name == result.remedy)
    shown = {each.name: each.refused for each in result.tried if each.refused}
    assert set(shown.values()) == {"still_fails"}
    assert min(each.loss for each in result.tried if each.name in shown) < taken.loss
    assert "still fails" in summary(result, "en")
    assert "なお破綻" in summary(result, "ja")


def test_where_test_streams_refuse_the_pick_the_best_of_another_kind_is_judged_once_and_more_strictly() -> None:
    """Validation is too short to show what the leak loses with age. Two looks are said, and paid for."""
    split = replace(parts(), validation=parts(8 * T).validation)
    done = tune(ageing(8 * T), split, train_context=T, measuring=MEASURING)
    result = done.result
    assert (done.accepted, result.remedy) == (True, f"reset:{2 * T}")
    assert isinstance(done.model, WithReset)
    first = result.other
    assert first is not None
    assert (first.name.partition(":")[0], first.because.name) == ("leak", "still_fails")
    assert first.difference[0] < result.benefit.difference
    gain = result.after.curve.losses[-1] - result.before.curve.losses[-1]
    assert result.benefit.rivals["base"] == result.after.curve.interval(gain, 2).triple
    assert from_json(to_json(result)) == result
    assert "second choice" in summary(result, "en")
    assert "97.5" in summary(result, "ja")


def test_where_both_looks_refuse_the_first_is_told_and_the_second_stands_beside() -> None:
    """The labels of the test streams are drawn by chance: who answers boldly there loses."""
    split = replace(parts(), test=coin_streams(32, LENGTH, noise=0.8, seed=32))
    done = tune(ageing(LENGTH), split, train_context=T, measuring=MEASURING)
    result, other = done.result, done.result.other
    assert result.refused_because is not None
    assert other is not None
    assert (done.accepted, result.remedy.partition(":")[0], other.name) == (False, "leak", f"reset:{2 * T}")
    assert {result.refused_because.name, other.because.name} == {"no_benefit"}
    assert result.benefit.rivals["base"][2] > 0
    assert not isinstance(done.model, WithLeak | WithReset)
    assert "second choice" in summary(result, "en")
    assert "第二候補" in summary(result, "ja")


def test_a_model_that_no_remedy_may_help_stays_as_it_was() -> None:
    """Leaks gain much and still fail, resets are young too often: validation shows both."""
    model = Filling(lambda age: torch.where(age < T // 2, -3.0, torch.where(age < 4 * T, 2.0, 1.4)))
    done = tune(model, parts(), train_context=T, measuring=MEASURING)
    assert done.result.refused_because is not None
    assert (done.accepted, done.result.remedy) == (False, "none")
    assert any(each.refused == "still_fails" for each in done.result.tried)
    assert "leak:" in done.result.refused_because.because[0]
    assert not isinstance(done.model, WithLeak)
    for language in ("en", "ja"):
        assert summary(done.result, language)


def test_more_cost_allows_handovers_and_they_are_taken_where_they_give_more() -> None:
    """Those within half a tolerance are level, and the cheapest of them wins."""
    done = tuned(failing, cost=1.5)
    kinds = {each.name.partition(":")[0] for each in done.result.tried}
    assert kinds == {"reset", "handover", "leak"}
    assert max(each.cost for each in done.result.tried) <= 1.5
    assert all(T <= int(each.name.split(":")[1]) <= 16 * T for each in done.result.tried if each.short is None)
    assert done.accepted
    assert done.result.remedy.startswith("handover:")
    one, two = Reset("reset", 8), Reset("handover", 8, 2)
    losses = [(one, np.array([1.0, 1.0])), (two, np.array([0.96, 0.96]))]
    assert picked(losses, 0.1) == one
    assert picked(losses, 0.02) == two


def test_it_declines_by_itself() -> None:
    """Where the model does not fail, and where nothing helps it."""
    fine = tune(Planted(robust), parts(2 * LENGTH), train_context=T, measuring=MEASURING)
    assert fine.result.refused_because is not None
    assert (fine.accepted, fine.result.refused_because.name) == (False, "nothing_to_repair")
    hopeless = tuned(hopeless_law)
    assert hopeless.result.refused_because is not None
    assert (hopeless.result.remedy, hopeless.result.refused_because.name) == ("none", "no_benefit")
    assert hopeless.result.refused_because.remedy in {each.name for each in hopeless.result.tried}
    for done in (fine, hopeless):
        assert not isinstance(done.model, WithReset)
        for language in ("en", "ja"):
            assert summary(done.result, language)


@pytest.mark.parametrize("cost", [0.5, float("nan"), float("inf")])
def test_a_cost_that_no_remedy_has_is_refused(cost: float) -> None:
    with pytest.raises(InputError, match="copies"):
        tuned(failing, cost=cost)


def test_a_model_under_a_remedy_is_refused() -> None:
    with pytest.raises(InputError, match="without a remedy"):
        tune(outlast.with_reset(Planted(failing), 32), parts(), train_context=T, measuring=MEASURING)


def test_handovers_are_read_off_the_age_curve() -> None:
    """What the curve says is what the model under the handover gives once it is past its first period."""
    streams = coin_streams(16, LENGTH, seed=1)
    seen = evaluate(Planted(failing), streams, train_context=T, settings=MEASURING)
    pairs, losses = handover_losses(seen.curve)
    assert (3 * T, T) in pairs
    assert all(warm_up <= every for every, warm_up in pairs)
    remedy = remedy_named(f"handover:{3 * T}:{T}")
    assert remedy is not None
    under = evaluate(remedy.on(Planted(failing)), streams, train_context=T, settings=MEASURING)
    assert under.oldest.loss == pytest.approx(losses[pairs.index((3 * T, T))].mean(), rel=0.02)


def test_what_fails_is_advised_to_be_tuned_and_under_a_remedy_to_be_repaired() -> None:
    streams = coin_streams(16, LENGTH, seed=1)

    def advised(model: Recurrent) -> list[str]:
        found = next_steps(evaluate(model, streams, train_context=T, settings=MEASURING))
        return [(step.code or "").split()[1] for step in found]

    assert advised(Planted(failing))[:2] == ["tune", "repair"]
    assert "tune" not in advised(Planted(robust))
    under = outlast.with_reset(Planted(failing), 12 * T)  # it still fails, and tuning would refuse it
    assert advised(under) == ["repair", "compare"]
    assert evaluate(under, streams, train_context=T, settings=MEASURING).model["remedy"] == f"reset:{12 * T}"


def test_a_reset_whose_period_was_chosen_by_halves_says_so_where_they_differ() -> None:
    """The figure is then that of neither period; where they agree it is that of the period, as tuning reads it off."""
    streams = coin_streams(16, LENGTH, seed=1)
    measured = evaluate(Planted(failing), streams, train_context=T, settings=MEASURING)
    every, losses = reset_losses(measured.curve)
    reset = measured.resets["periodic_reset"]
    assert (reset.every, reset.halves) == (every[int(losses.mean(1).argmin())], [])
    assert reset.per_stream == losses[every.index(reset.every)].tolist()
    even = every_other(16)
    shifted = measured.curve.losses.copy()
    shifted[3:, even] += 1.0
    apart = _resets(replace(measured.curve, losses=shifted), None)["periodic_reset"]
    assert len(apart.halves) == 2
    assert apart.every == every[int(reset_losses(replace(measured.curve, losses=shifted))[1].mean(1).argmin())]
