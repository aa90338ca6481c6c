"""Which parts of the state carry the harm, and whether it falls on states where training has none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from diagnosis.planted_causes import LENGTH, T, levels, parted, wandering
from outlast.diagnosis import DiagnoseSettings, diagnose
from outlast.diagnosis.attribution import attribute
from outlast.diagnosis.causes import judging
from outlast.diagnosis.causes.judging import outside
from outlast.diagnosis.pairs import Scene
from outlast.diagnosis.views import BEHAVIOUR, WHOLE
from outlast.errors import NotAskable
from outlast.evaluation import EvalSettings
from outlast.evaluation.measure import SQUARED_ERROR
from outlast.intervals import Interval
from outlast.model import InputSpec, Recurrent
from outlast.results import Attribution, Coverage, CoverageRow, Verdict
from outlast.state import StatePart
from reporting import example_diagnosis

QUICK = DiagnoseSettings(measuring=EvalSettings(targets=128))
WORST = 1e4


class Three(NamedTuple):
    last: Tensor
    left: Tensor
    right: Tensor


class Made(Recurrent):
    """Predicts from the last value, and errs by two parts that grow, as it is told.

    Args:
        error: (left, right) -> what is added to the prediction.
        grows: a part -> the part one position later.
        kind: of the left part.
        warm: positions that have to be read before it says anything.
    """

    input_spec = InputSpec("features", 1)

    def __init__(
        self,
        error: Callable[[Tensor, Tensor], Tensor],
        grows: Callable[[Tensor], Tensor] = lambda part: part + 1,
        kind: str = "recurrent",
        warm: int = 0,
    ) -> None:
        super().__init__()
        self.error, self.grows, self.kind, self.warm = error, grows, kind, warm
        self.scale = torch.nn.Parameter(torch.ones(1))

    def initial_state(self, batch_size: int) -> Three:
        return Three(*(torch.zeros(batch_size) for _ in range(3)))

    def state_parts(self) -> tuple[StatePart, ...]:
        kinds = {"last": "recurrent", "left": self.kind, "right": "recurrent"}
        return tuple(StatePart(f"layers.{name}", kind) for name, kind in kinds.items())  # pyright: ignore[reportArgumentType]

    def forward(self, inputs: Tensor, state: Three) -> tuple[Tensor, Three]:
        outputs = []
        for now in inputs[..., 0].unbind(1):
            state = Three(now, self.grows(state.left), state.right + 1)
            said = 0.9 * now + self.error(state.left, state.right)
            outputs.append(torch.where(state.right > self.warm, said, 0 * said)[:, None] * self.scale)
        return torch.stack(outputs, 1), state


def past(part: Tensor, limit: float = T) -> Tensor:
    return ((part - limit).clamp_min(0) / limit).log1p()


def split_of(model: Recurrent, short: tuple[int, int] | None = None, worst: float = WORST) -> Attribution:
    scene = Scene(model.eval(), parted(wandering()).test, LENGTH, T, SQUARED_ERROR, worst, short)
    return attribute(scene, np.array([512, 992]))


def test_one_part_is_named_alone() -> None:
    found = split_of(Made(lambda left, right: 0.4 * past(left)))
    assert (found.carriers, found.acting) == (["layers.left"], "alone")
    assert found.groups == []


def test_of_two_parts_that_do_the_same_harm_neither_is_taken_for_harmless() -> None:
    """Swapped one by one, taking either away changes nothing: the other still does it."""
    found = split_of(Made(lambda left, right: 0.4 * torch.maximum(past(left), past(right))))
    by_name = {row.name: row for row in found.rows}
    assert abs(by_name["layers.left"].removed.mean) < 0.1 * found.excess.mean
    assert (found.carriers, found.acting) == (["layers.left", "layers.right"], "each alone")
    pair = next(group for group in found.groups if group.parts == found.carriers)
    assert pair.removed.mean == pytest.approx(found.excess.mean, rel=0.01)


def test_two_parts_that_add_up_are_named_together() -> None:
    found = split_of(Made(lambda left, right: 0.2 * (past(left) + past(right))))
    assert (found.carriers, found.acting) == (["layers.left", "layers.right"], "together")


def test_where_there_is_no_harm_no_part_is_named() -> None:
    found = split_of(Made(lambda left, right: 0 * left))
    assert (found.carriers, found.acting, found.groups) == ([], "", [])


def test_a_sum_that_misses_the_excess_is_withheld_and_the_swaps_stay() -> None:
    """An error that swings a thousand times on the way cannot be integrated; what swapping does is measured."""
    found = split_of(Made(lambda left, right: 3 * torch.sin(0.5 * left**2) * (left > T)))
    assert "misses the measured excess" in found.withheld
    assert found.error is not None
    assert found.error > found.spread
    assert (found.total, found.ranks, found.same_first) == (None, None, None)
    assert {row.contribution for row in found.rows} == {None}
    assert found.carriers == ["layers.left"]
    assert found.rows[1].removed.mean == pytest.approx(found.excess.mean, rel=0.05)


def test_a_part_that_explodes_is_named_though_its_losses_leave_all_bounds() -> None:
    found = split_of(Made(lambda left, right: left, grows=lambda part: 1.05 * part + 1e-3))
    assert "past all bounds" in found.withheld
    assert found.excess.high <= WORST
    assert found.carriers == ["layers.left"]


def test_a_young_state_is_one_at_which_the_model_works() -> None:
    """At half a training context this one errs already: only against younger states is the whole harm seen."""
    model = Made(lambda left, right: 0.5 * past(left, 4))
    parts = parted(wandering())
    result = diagnose(model.eval(), parts, train_context=T, settings=QUICK)
    assert result.attribution is not None
    assert result.attribution.young_age + result.attribution.scored <= 4
    assert result.attribution.excess.mean == pytest.approx(result.evaluation.oldest.excess, rel=0.1)
    half = split_of(model)
    assert half.young_age == T // 2
    assert half.excess.mean < 0.9 * result.attribution.excess.mean


def test_a_slow_starter_is_compared_with_the_ages_where_it_is_best() -> None:
    sound = Made(lambda left, right: 0 * left, warm=10)
    result = diagnose(sound.eval(), parted(wandering()), train_context=T, settings=QUICK)
    assert result.main is None
    assert result.evaluation.verdict is not None
    assert result.evaluation.verdict.name == "robust"


@pytest.mark.parametrize("kind", ["recurrent", "counter"])
def test_what_counts_past_training_is_unexplored(kind: str) -> None:
    model = Made(lambda left, right: 0.4 * past(left), kind=kind)
    result = diagnose(model.eval(), parted(wandering()), train_context=T, settings=QUICK)
    assert result.main is not None
    assert (result.main.name, result.main.facts["where"]) == ("unexplored_state", "layers.left")
    assert result.coverage is not None
    assert [row.part for row in result.coverage.counters] == ["layers.left"] * (kind == "counter")
    if kind == "counter":
        assert result.coverage.counters[0].trained == (T / 8, T)
        assert result.coverage.counters[0].unexplored == 1


def test_what_cannot_be_covered_is_age_that_harms() -> None:
    """The model fails; which states training passes through cannot be asked, and so nothing is said of them."""
    parts = parted(wandering())
    parts = replace(parts, train=replace(parts.train, lengths=np.full(len(parts.train), T - 1)))
    result = diagnose(Made(lambda left, right: 0.4 * past(left)).eval(), parts, train_context=T, settings=QUICK)
    assert result.evaluation.verdict is not None
    assert result.evaluation.verdict.name == "fails"
    assert result.main is not None
    assert result.main.name == "age_harms"
    assert {cause.name: cause.found for cause in result.causes}["unexplored_state"] is None


FAILING = Verdict("fails", 128, (512, 1024), 0.2, 0.1, 0.3, 0.01, [])


def covered(*, share: float, low: float, more: float, harm: float) -> Coverage:
    """A coverage whose every space has these at the oldest ages."""
    found = example_diagnosis.diagnosis().coverage
    assert found is not None
    behaviour = replace(found.spaces[-1], name=BEHAVIOUR)
    spaces = [*found.spaces, behaviour]
    rows = [
        CoverageRow(
            space.name, (512, 1024), share, low, 2 * share - low, 48, 48, 0.2, 0.2,
            more=Interval(more, more - 0.03, more + 0.03, 48), harm=harm,
        )
        for space in spaces
    ]  # fmt: skip
    return replace(found, spaces=spaces, rows=rows)


@pytest.mark.parametrize(
    ("share", "low", "more", "harm", "found"),
    [
        (1.0, 0.93, 0.95, 1.0, True),
        (0.25, 0.13, 0.2, 0.9, True),
        (0.08, 0.02, 0.05, 0.9, False),  # 8 % outside, 5 % by chance: the interval has both
        (0.3, 0.2, 0.01, 0.9, False),  # as many young states of these streams are outside
        (0.3, 0.2, 0.25, 0.3, False),  # the harm falls on the others
    ],
)
def test_states_outside_are_a_cause_where_they_are_more_than_chance_and_have_the_harm(
    share: float, low: float, more: float, harm: float, found: bool
) -> None:
    coverage = covered(share=share, low=low, more=more, harm=harm)
    assert outside(coverage, None).found == found
    stale = judging.stale_context(None, None, FAILING)
    named = judging.unexplored_state(None, None, coverage, None, FAILING, stale)
    rest = judging.age_harms(None, None, None, FAILING, [stale, named])
    assert (bool(named.found), rest.found) == (found, not found)


def test_a_part_that_leaves_and_does_no_harm_is_no_evidence() -> None:
    """The whole state lies outside, the part that carries the harm does not."""
    split = example_diagnosis.diagnosis().attribution
    assert split is not None
    coverage = covered(share=1.0, low=0.93, more=0.95, harm=1.0)
    inside = {"layers.0.state, head 0", BEHAVIOUR}
    rows = [replace(row, unexplored=0.04, low=0.01) if row.space in inside else row for row in coverage.rows]
    found = outside(replace(coverage, rows=rows), split)
    assert not found.found
    assert found.facts["whole_share"] == 1.0
    assert outside(replace(coverage, rows=rows), None).where == WHOLE


def test_no_target_that_counts_is_not_asked_about() -> None:
    scene = Scene(Made(lambda left, right: left).eval(), parted(levels()).test, LENGTH, T, SQUARED_ERROR, WORST)
    empty = replace(scene.streams, weights=np.zeros(len(scene.streams.inputs), np.float32))
    with pytest.raises(NotAskable, match="targets that count"):
        attribute(replace(scene, streams=empty), np.array([512]))
