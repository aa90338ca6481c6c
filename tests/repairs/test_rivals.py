"""A repair has to beat the base and its control under the remedy that validation picks, leaks among them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from outlast.repairs import Repaired, RepairSettings, judge, rivals
from outlast.reporting.kinds import next_steps, summary
from outlast.results import from_json, to_json
from planted import Planted
from repairs.test_tuning import MEASURING, Filling, T, parts

ANYWAY = RepairSettings(anyway=True, doses=(1.0,))


def robust(age: Tensor) -> Tensor:
    """Reads one training context."""
    return 0.5 + 0.02 * age.clamp(max=T)


def further(age: Tensor) -> Tensor:
    """Reads four training contexts."""
    return 0.5 + 0.02 * age.clamp(max=4 * T)


def judged(repaired: Planted, control: Planted | None = None) -> Repaired:
    return judge(Filling(robust), repaired, parts(), train_context=T, control=control, measuring=MEASURING,
                 repairing=ANYWAY)  # fmt: skip


@pytest.fixture
def without_leaks(monkeypatch: pytest.MonkeyPatch):
    return lambda: monkeypatch.setattr(rivals, "can_leak", lambda model: False)


def test_what_a_leak_of_the_base_gives_is_no_benefit(without_leaks) -> None:
    done = judged(Planted(robust)).result
    assert done.refused_because is not None
    assert done.refused_because.name == "no_benefit"
    leak = done.remedies["leak"]
    assert f"under its best leak ({leak.name})" in done.refused_because.because[-1]
    assert (done.benefit.against, leak.cost, leak.name.partition(":")[0]) == ("leak", 1.0, "leak")
    assert done.benefit.rivals["leak"][0] == pytest.approx(done.after.oldest.loss - leak.loss)
    assert done.benefit.rivals["periodic_reset"][2] < 0
    assert from_json(to_json(done)) == done
    for language in ("en", "ja"):
        assert summary(done, language)
    without_leaks()
    assert judged(Planted(robust)).accepted


def test_a_repair_that_goes_further_is_accepted_and_a_handover_stands_beside() -> None:
    done = judged(Planted(further)).result
    assert done.accepted
    assert done.remedies.keys() == {"leak", "handover"}
    handover = done.remedies["handover"]
    assert 1 < handover.cost <= 1.25
    assert done.benefit.rivals["handover"][0] == pytest.approx(done.after.oldest.loss - handover.loss)
    assert handover.name in summary(done)


def test_a_control_that_does_as_well_under_a_leak_suffices(without_leaks) -> None:
    done = judged(Planted(further), Filling(further)).result
    assert done.refused_because is not None
    assert done.refused_because.name == "plain_training_suffices"
    leak = done.remedies["control_leak"].name
    assert leak.startswith("leak:")
    assert f"the control under its best leak ({leak})" in done.refused_because.because[-1]
    without_leaks()
    assert judged(Planted(further), Filling(further)).accepted


def leaky(usual: float) -> Filling:
    """Better at the oldest ages where its memory is not full, which only a leak brings about."""
    return Filling(lambda age: torch.where(age < 1, 0.5, torch.where(age < 8 * T, usual, 2.0)), unfit=usual)


def test_a_leak_on_top_of_a_repair_is_offered_where_validation_likes_it() -> None:
    """By more than half a tolerance, and less than a whole one: the repair is good as it is, and better under it."""
    done = judged(leaky(1.86)).result
    assert done.accepted
    assert done.on_top is not None
    assert done.after.verdict is not None
    assert 0.5 < (done.after.oldest.loss - done.on_top.loss) / done.after.verdict.tolerance < 1
    assert from_json(to_json(done)) == done
    tau, every = done.on_top.name.replace("every=", "").split(":")[1:]
    assert f"model = outlast.with_leak(done.model, tau={tau}, every={every})" in [
        each.code for each in next_steps(done)
    ]


def test_a_repair_that_is_clearly_better_under_a_leak_is_refused_as_one_that_is_better_reset() -> None:
    """As it was: only its own reset was asked about."""
    done = judged(leaky(1.65)).result
    assert done.on_top is not None
    assert done.refused_because is not None
    assert (done.refused_because.name, done.refused_because.remedy) == ("remedy_suffices", done.on_top.name)
    assert "with_leak(done.model" in summary(done)
    assert "漏れ" in summary(done, "ja")


def test_no_leak_is_offered_on_top_where_it_gives_nothing() -> None:
    assert judged(Planted(further)).result.on_top is None
