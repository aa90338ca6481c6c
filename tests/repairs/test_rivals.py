"""A repair has to beat the base and its control under the remedy that validation picks, leaks among them."""

from __future__ import annotations

import pytest
from torch import Tensor

from outlast.repairs import Repaired, RepairSettings, judge, rivals
from outlast.reporting.kinds import summary
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
