"""Planted models: what is sound passes, and what is broken is found by the point that is about it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from contract_models.broken_models import BROKEN, EditsParameter, LosesAttribute, LosesBuffer
from contract_models.later_models import LATER
from contract_models.leaky import Leaky, LeakyTokens, Planted, State
from contract_models.sound_models import SOUND, Constants, Kernel, SteepFloat
from contract_sizes import quick_check
from outlast.contract.case import Sizes, subject_of
from outlast.contract.check import check
from outlast.contract.points import POINTS
from outlast.errors import InputError
from outlast.modules import adapt
from outlast.results import Check, CheckReport, from_json, to_json


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


def found(report: CheckReport) -> dict[str, Check]:
    return {point.name: point for point in report.checks if point.passed is False}


def examined(planted: Planted) -> CheckReport:
    example = planted.example() if planted.example else None
    return check(planted.build(), example, thorough=planted.thorough)


def point_of(report: CheckReport, name: str) -> Check:
    return next(point for point in report.checks if point.name == name)


def quickly(planted: Planted) -> CheckReport:
    return quick_check(planted.build(), planted.example() if planted.example else None)


def short_of_thorough(table: Mapping[str, Planted]) -> list[str]:
    return [name for name, planted in table.items() if not planted.thorough]


NAMED_OTHERWISE = {"counts in float16": {"step_equals_parallel"}}
"""What the one run on the models that were planted later named in another way than was written down before."""


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_model_passes_a_quick_check(name: str) -> None:
    report = quickly(SOUND[name])
    assert found(report) == {}
    assert [point.name for point in report.checks] == list(POINTS)


@pytest.mark.parametrize("name", short_of_thorough(BROKEN))
def test_a_quick_check_finds_and_names_a_planted_fault(name: str) -> None:
    planted, report = BROKEN[name], quickly(BROKEN[name])
    assert {point.name for point in report.causes} == planted.faults
    assert planted.words in " ".join(point.detail for point in report.causes)


@pytest.mark.parametrize("name", short_of_thorough(LATER))
def test_a_quick_check_tells_models_planted_after_the_rules(name: str) -> None:
    planted, report = LATER[name], quickly(LATER[name])
    assert {point.name for point in report.causes} == NAMED_OTHERWISE.get(name, planted.faults)
    assert (found(report) == {}) == (not planted.faults)


def in_full(names: Iterable[str], quick: Collection[str]) -> list[Any]:
    """All of them, those that are not `quick` marked long: each is asked in a quick check anyway."""
    return [pytest.param(name, marks=() if name in quick else pytest.mark.long) for name in names]


@pytest.mark.parametrize("name", in_full(SOUND, {"with a counter", "chaotic", "silent for 160 positions"}))
def test_a_sound_model_passes(name: str) -> None:
    report = examined(SOUND[name])
    assert found(report) == {}
    assert [point.name for point in report.checks] == list(POINTS)
    assert from_json(to_json(report)) == report


ONE_A_POINT = {
    "looks ahead",
    "wrong beyond 256 positions",
    "edits the state",
    "rolls rows",
    "ignores the state",
    "single positions are slightly another model",
    "cuts the gradient of one part",
    "a buffer is not saved",
    "counts its calls",
    "another model in bfloat16",
}


@pytest.mark.parametrize("name", in_full(short_of_thorough(BROKEN), ONE_A_POINT))
def test_a_planted_fault_is_found_and_named(name: str) -> None:
    planted, report = BROKEN[name], examined(BROKEN[name])
    assert {point.name for point in report.causes} == planted.faults
    assert planted.words in " ".join(point.detail for point in report.causes)
    assert from_json(to_json(report)) == report


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name, planted in BROKEN.items() if planted.thorough])
def test_a_fault_far_out_is_found_by_a_thorough_check_only(name: str) -> None:
    planted = BROKEN[name]
    torch.manual_seed(0)
    assert check(planted.build()).passed
    torch.manual_seed(0)
    report = examined(planted)
    assert {point.name for point in report.causes} == planted.faults
    assert planted.words in " ".join(point.detail for point in report.causes)


@pytest.mark.long
@pytest.mark.parametrize("name", LATER)
def test_models_planted_after_the_rules_are_told_as_the_page_says(name: str) -> None:
    report = examined(LATER[name])
    assert {point.name for point in report.causes} == NAMED_OTHERWISE.get(name, LATER[name].faults)
    assert (found(report) == {}) == (not LATER[name].faults)


def test_the_page_counts_them() -> None:
    """docs/checking.md says how many models were planted, and which one was named otherwise than was written down."""
    text = (Path(__file__).parents[2] / "docs" / "checking.md").read_text()
    page = " ".join(text.split())
    sound_later = sum(not planted.faults for planted in LATER.values())
    for kind, count in (("sound", len(SOUND)), ("broken", len(BROKEN))):
        assert re.search(rf"^\| {kind} \| {count} \|", text, re.MULTILINE)
    assert f"{len(LATER)} more models" in page
    assert f"The {sound_later} sound ones pass" in page
    assert all(name in page for name in NAMED_OTHERWISE)


@pytest.mark.long
@pytest.mark.parametrize("name", SOUND)
def test_a_sound_model_passes_a_thorough_check(name: str) -> None:
    planted = SOUND[name]
    report = check(planted.build(), planted.example() if planted.example else None, thorough=True)
    assert found(report) == {}


def test_a_report_says_what_was_asked_how() -> None:
    report = check(Leaky())
    assert all(point.passed for point in report.checks)
    assert report.model["state_parts"] == ["layers.0"]
    assert report.model["class"].endswith("Leaky")
    assert report.model["checked_in"] == ["float32", "float64"]
    assert report.settings == {
        "thorough": False,
        "seed": 0,
        "positions": 300,
        "tolerances": {"float32": 1e-4, "float64": 1e-9},
    }
    pieces = point_of(report, "chunked_equals_whole")
    assert (pieces.asked_in, pieces.positions) == (["float32", "float64"], 300)
    assert point_of(report, "gradient_through_state").asked_in == ["float64"]


def test_what_follows_names_its_cause() -> None:
    report = examined(BROKEN["ignores the state"])
    assert found(report)["chunked_equals_whole"].follows_from == "state_matters"
    torch.manual_seed(0)
    report = examined(BROKEN["counts its calls"])
    unasked = [point for point in report.checks if point.passed is None]
    assert {point.follows_from for point in unasked} == {"repeatable"}


def test_more_is_allowed_where_the_model_magnifies_rounding() -> None:
    usual = point_of(check(Leaky()), "chunked_equals_whole").tolerance
    chaotic = point_of(examined(SOUND["chaotic"]), "chunked_equals_whole").tolerance
    assert usual is not None
    assert chaotic is not None
    assert chaotic > 2 * usual == 2e-4


def test_parts_without_effect_are_told_apart() -> None:
    unread = point_of(examined(SOUND["a part that nobody reads"]), "state_matters").detail
    assert "never read in 300 positions: layers.1. That is harmless" in unread
    alike = point_of(examined(SOUND["three parts alike"]), "state_matters").detail
    assert "layers.0, layers.1, layers.2 change them only together" in alike


def test_the_users_model_stays_as_it_was() -> None:
    model = EditsParameter()
    with torch.no_grad():
        model.decay.fill_(1.5)
    check(model)
    assert model.training
    assert model.decay.dtype == torch.float32
    assert bool((model.decay == 1.5).all())
    assert torch.get_default_dtype() == torch.float32


def test_float32_in_the_code_is_taken_for_float64_where_it_can_be() -> None:
    assert check(SteepFloat()).model["checked_in"] == ["float32", "float64"]
    assert check(Kernel()).model["checked_in"] == ["float32"]


def test_data_do_not_keep_a_model_from_float64() -> None:
    assert check(Leaky(), torch.randn(2, 30, 3)).model["checked_in"] == ["float32", "float64"]


@pytest.mark.parametrize("cls", [LosesBuffer, LosesAttribute, Constants])
def test_what_may_be_lost_is_named(cls: type[nn.Module]) -> None:
    report = check(cls())
    point = point_of(report, "buffers_saved")
    assert point.passed is None
    assert "from_factory" in point.detail
    assert ("waves" if cls is Constants else "scale") in point.detail
    assert report.passed


def test_example_inputs_are_used() -> None:
    model = adapt(LeakyTokens())
    model.input_spec = None
    with pytest.raises(InputError, match="example"):
        check(model)
    with pytest.raises(InputError, match=r"\(B, T\) integers"):
        check(model, torch.randint(9, (4,)))
    assert check(model, torch.randint(9, (2, 30))).passed


def test_a_state_that_is_not_batch_first_is_refused() -> None:
    class LayersFirst(Leaky):
        def initial_state(self, batch_size: int) -> State:
            return (self.decay.new_zeros(1, batch_size, 4),)

    with pytest.raises(InputError, match=r"layers.0 \(1, 3, 4\)"):
        check(LayersFirst())


def test_kinks_alone_are_no_wrong_gradient() -> None:
    """After sixteen positions so little is left of the second layer's state that kinks decide about the quotient."""
    torch.manual_seed(316)
    module = nn.RNN(3, 5, 2, nonlinearity="relu", batch_first=True)
    for bias in (each for name, each in module.named_parameters() if "bias" in name):
        nn.init.ones_(bias)
    asked = POINTS["gradient_through_state"].ask(subject_of(module, seed=316), Sizes(3, ((16, 34),)))
    assert asked.passed, asked.detail


def test_what_is_no_number_is_said_from_where_on() -> None:
    class Overflows(Leaky):
        def step(self, hidden: Tensor, read: Tensor) -> Tensor:
            return 1e6 * hidden + read

    report = check(Overflows())
    assert [point.name for point in report.causes] == ["finite"]
    assert "from position 5" in report.causes[0].detail
