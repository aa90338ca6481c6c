"""What is advised, where what every training and every reset gives is written down."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from outlast.intervals import Interval
from outlast.planning.advice import Tried, advise, needs_pilots, untried
from outlast.results import Evaluation
from reporting import example_results as example

FAILING, FINE = example.BASE, example.HEALTHY
NOISE = 0.003


def tried(
    level: float,
    base: Evaluation,
    name: str,
    *,
    expected: float | None = None,
    kept: bool = True,
    noise: float = NOISE,
) -> Tried:
    """A training at this mean loss, by streams that are hard where they are for the base."""
    run_on = base.curve.losses[-1]
    draws = np.random.default_rng(len(name) + int(1000 * level))
    off = noise * draws.normal(size=len(run_on))
    losses = run_on - run_on.mean() + level + off - off.mean()
    ends = None if expected is None else Interval(expected, expected - 0.01, expected + 0.01, len(losses))
    return Tried(losses, kept, ends)


def asked(
    losses, *, starts: float | None, plain: float, longer: float | None = None, reset: float | None = None,
    expected: float | None = None, unsure: bool = False, remedy: float | None = None,
):  # fmt: skip
    base = example.evaluation(losses, unsure=unsure)
    run_on = float(base.oldest.loss)
    level = run_on if reset is None else reset
    resets = {name: tried(level, base, name).oldest for name in ("periodic_reset", "overlapping_reset")}
    if remedy is not None:
        resets["remedy"] = tried(remedy, base, "remedy").oldest
    found = advise(
        base,
        None if starts is None else tried(starts, base, "starts", expected=expected),
        tried(plain, base, "plain"),
        None if longer is None else tried(longer, base, "longer"),
        resets,
    )
    return base, found


CASES = {
    "starts win over resets and plain training": (
        FAILING, {"starts": 2.63, "plain": 2.80, "longer": 2.75, "reset": 2.70}, ("repair", "starts_help", "starts"),
    ),
    "plain training does as well": (
        FAILING, {"starts": 2.63, "plain": 2.63, "reset": 2.70},
        ("beyond_starts", "plain_training_does_as_well", "plain"),
    ),
    "only plain training gets below a reset": (
        FAILING, {"starts": 2.75, "plain": 2.63, "reset": 2.70},
        ("beyond_starts", "plain_training_does_as_well", "plain"),
    ),
    "longer windows do better": (
        FAILING, {"starts": 2.66, "plain": 2.80, "longer": 2.60, "reset": 2.70},
        ("beyond_starts", "longer_windows_do_better", "longer_windows"),
    ),
    "longer windows do better than starts, and worse than a reset": (
        FAILING, {"starts": 2.76, "plain": 2.80, "longer": 2.74, "reset": 2.65}, ("reset", "resets_do_better", None),
    ),
    "a reset is better than all": (
        FAILING, {"starts": 2.72, "plain": 2.80, "reset": 2.65}, ("reset", "resets_do_better", None),
    ),
    "a reset is better yet, but not for long": (
        FAILING, {"starts": 2.72, "plain": 2.80, "reset": 2.70, "expected": 2.64}, ("repair", "starts_help", "starts"),
    ),
    "a remedy does as well as the best pilot": (
        FAILING, {"starts": 2.66, "plain": 2.80, "reset": 2.70, "remedy": 2.661}, ("tune", "remedies_do_better", None),
    ),
    "a remedy does as well as the best pilot, and no reset does": (
        FAILING, {"starts": 2.66, "plain": 2.66, "longer": 2.65, "remedy": 2.65}, ("tune", "remedies_do_better", None),
    ),
    "a remedy does as well as the best pilot, and the whole of it goes further": (
        FAILING, {"starts": 2.66, "plain": 2.80, "reset": 2.70, "remedy": 2.66, "expected": 2.60},
        ("tune", "remedies_come_first", "starts"),
    ),
    "the best pilot is better than a remedy": (
        FAILING, {"starts": 2.63, "plain": 2.80, "reset": 2.70, "remedy": 2.66}, ("repair", "starts_help", "starts"),
    ),
    "plain training's pilot is better than a remedy": (
        FAILING, {"starts": 2.69, "plain": 2.63, "reset": 2.70, "remedy": 2.66},
        ("beyond_starts", "plain_training_does_as_well", "plain"),
    ),
    "a remedy that does no better than running on": (
        FAILING, {"starts": 2.84, "plain": 2.84, "remedy": 2.829}, ("beyond_starts", "nothing_helps", None),
    ),
    "fine, and a remedy betters it": (
        FINE, {"starts": 2.633, "plain": 2.634, "remedy": 2.60}, ("leave_it", "nothing_to_win", None),
    ),
    "nothing helps": (
        FAILING, {"starts": 2.84, "plain": 2.84}, ("beyond_starts", "nothing_helps", None),
    ),
    "no starts came to the last round": (
        FAILING, {"starts": None, "plain": 2.84, "longer": 2.5},
        ("beyond_starts", "longer_windows_do_better", "longer_windows"),
    ),
    "fine, and nothing to win": (
        FINE, {"starts": 2.633, "plain": 2.634, "longer": 2.635}, ("leave_it", "nothing_to_win", None),
    ),
    "fine, and plain training betters it": (
        FINE, {"starts": 2.50, "plain": 2.50}, ("beyond_starts", "plain_training_does_as_well", "plain"),
    ),
    "fine, and most of what starts give plain training gives too": (
        FINE, {"starts": 2.47, "plain": 2.50, "longer": 2.475}, ("beyond_starts", "training_on_helps", "starts"),
    ),
    "fine, and longer windows better it": (
        FINE, {"starts": 2.55, "plain": 2.60, "longer": 2.45},
        ("beyond_starts", "longer_windows_do_better", "longer_windows"),
    ),
    "fine, and starts better it by themselves": (
        FINE, {"starts": 2.45, "plain": 2.62}, ("repair", "starts_help", "starts"),
    ),
    "fails, and most of what starts give plain training gives too": (
        FAILING, {"starts": 2.60, "plain": 2.64, "reset": 2.70}, ("beyond_starts", "training_on_helps", "starts"),
    ),
    "longer windows are the best of what plain training mostly gives": (
        FAILING, {"starts": 2.60, "plain": 2.62, "longer": 2.57, "reset": 2.70},
        ("beyond_starts", "training_on_helps", "longer_windows"),
    ),
    "longer windows do as well as starts": (
        FAILING, {"starts": 2.62, "plain": 2.80, "longer": 2.6199, "reset": 2.70}, ("repair", "starts_help", "starts"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_advice_follows_from_what_was_planted(name: str) -> None:
    losses, levels, wanted = CASES[name]
    base, found = asked(losses, **levels)
    assert base.verdict is not None
    assert base.verdict.name == ("fails" if losses is FAILING else "robust")
    assert (found.name, found.reason, found.about) == wanted
    free = [levels.get(name) or base.oldest.loss for name in ("reset", "remedy")] if losses is FAILING else []
    rival = min(base.oldest.loss, *free, base.oldest.loss)
    assert found.evidence["plain"] == pytest.approx(levels["plain"] - rival, abs=1e-6)
    if levels["starts"] is not None:
        assert found.evidence["by_starts"] == pytest.approx(levels["starts"] - levels["plain"], abs=1e-6)


def test_plain_training_that_is_no_better_than_a_reset_is_no_rival() -> None:
    """Of few speakers a reset helps all, and plain training some: starts need not be told apart from it."""
    base = example.evaluation(FAILING)
    starts, plain = (tried(level, base, name) for name, level in (("starts", 2.63), ("plain", 2.75)))
    scattered = replace(plain, oldest=plain.oldest + 3.0 * np.sin(np.arange(len(plain.oldest)) / 4))
    reset = tried(2.70, base, "reset").oldest
    resets = {"periodic_reset": reset, "overlapping_reset": reset}
    assert base.curve.interval(starts.oldest - scattered.oldest).high > 0
    assert advise(base, starts, scattered, None, resets).name == "repair"


def test_where_nobody_can_tell_the_model_is_left_and_it_is_said_what_would_tell() -> None:
    base, found = asked(example.UNSURE, starts=2.66, plain=2.66, unsure=True)
    assert base.verdict is not None
    assert base.verdict.name == "undecided"
    assert (found.name, found.reason) == ("leave_it", "undecided")
    assert found.evidence["streams_needed"] == base.verdict.streams_needed


RISING = [*example.UNSURE[:-3], 2.66, 2.68, 2.69]
UNDECIDED = {
    "may be in order; a little better than a reset and than plain training": (
        FINE, {"starts": 2.615, "plain": 2.633, "expected": 2.61}, ("leave_it", "undecided", None),
    ),
    "may be in order; plain training is a little better": (
        FINE, {"starts": 2.62, "plain": 2.615}, ("leave_it", "undecided", None),
    ),
    "may be in order; starts better it by themselves": (
        FINE, {"starts": 2.45, "plain": 2.62}, ("repair", "starts_help", "starts"),
    ),
    "likely to fail; it is expected to become better": (
        RISING, {"starts": 2.69, "plain": 2.70, "expected": 2.60}, ("repair", "starts_help", "starts"),
    ),
    "likely to fail; a reset does better": (
        RISING, {"starts": 2.70, "plain": 2.70, "reset": 2.60}, ("reset", "resets_do_better", None),
    ),
    "likely to fail; nothing helps": (
        RISING, {"starts": 2.70, "plain": 2.70}, ("leave_it", "undecided", None),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", UNDECIDED)
def test_where_streams_are_too_few_it_counts_what_age_costs_on_them(name: str) -> None:
    """No more than the tolerance: trained on only where that gains much. More: treated as a model that fails."""
    losses, levels, wanted = UNDECIDED[name]
    base, found = asked(losses, unsure=True, **levels)
    assert base.verdict is not None
    assert base.verdict.name == "undecided"
    assert (base.verdict.excess <= base.verdict.tolerance) == (losses is FINE)
    assert (found.name, found.reason, found.about) == wanted


def test_a_broken_model_is_mended_and_one_without_a_verdict_left() -> None:
    assert not needs_pilots(example.broken())
    assert untried(example.broken()).name == "mend"
    silent = replace(example.evaluation(), verdict=None)
    assert not needs_pilots(silent)
    assert (untried(silent).name, untried(silent).reason) == ("leave_it", "no_verdict")
    assert needs_pilots(example.evaluation())


Row = tuple[float, float, bool]
"""Of one training: the pilot's loss, what is expected of the whole, and whether short contexts hold."""
TABLES: dict[str, dict[str, Row]] = {
    "starts are better than plain training, and not clearly": {
        "starts": (2.60, 2.55, True), "plain": (2.63, 2.60, True),
    },
    "longer windows are better than starts, and not clearly": {
        "starts": (2.63, 2.60, True), "plain": (2.80, 2.80, True), "longer_windows": (2.60, 2.56, True),
    },
    "plain training is the only one that is clearly below a reset, and starts are better": {
        "starts": (2.66, 2.62, True), "plain": (2.68, 2.66, True), "longer_windows": (2.75, 2.74, True),
    },
}  # fmt: skip


def of_a_table(table: dict[str, Row], noise: float, reset: float = 2.70):
    base = example.evaluation(FAILING)
    made = {
        name: tried(level, base, name, expected=expected, kept=kept, noise=noise)
        for name, (level, expected, kept) in table.items()
    }
    resets = {name: tried(reset, base, name).oldest for name in ("periodic_reset", "overlapping_reset")}
    assert base.verdict is not None
    found = advise(base, made.get("starts"), made["plain"], made.get("longer_windows"), resets)
    return made, base.verdict.tolerance, found


def shown_to_be_worse(made: dict[str, Tried], name: str, tolerance: float) -> list[str]:
    """Other rows of the table that are better in both columns, by what counts, and hold short contexts as well."""
    row, least = made[name], tolerance / 2
    return [
        other
        for other, each in made.items()
        if (each.kept or not row.kept)
        and each.oldest.mean() < row.oldest.mean() - least
        and each.at_last < row.at_last - least
    ]


@pytest.mark.parametrize("name", TABLES)
def test_the_advised_row_is_none_that_the_table_shows_to_be_worse(name: str) -> None:
    made, tolerance, found = of_a_table(TABLES[name], noise=0.3)
    assert found.about is not None
    assert shown_to_be_worse(made, found.about, tolerance) == []


def test_no_table_has_a_row_advised_that_it_shows_to_be_worse() -> None:
    """Levels, noise and what is kept drawn by chance."""
    draws, advised = np.random.default_rng(0), 0
    for _ in range(400):
        pilots = draws.uniform(2.5, 2.85, 3)
        rows = zip(pilots, pilots - draws.uniform(-0.02, 0.1, 3), draws.random(3) < 0.7, strict=True)
        table: dict[str, Row] = {
            name: (float(level), float(expected), bool(kept))
            for name, (level, expected, kept) in zip(("starts", "plain", "longer_windows"), rows, strict=True)
        }
        made, tolerance, found = of_a_table(table, noise=float(draws.choice([0.003, 0.1, 0.5])))
        if found.about is not None:
            advised += 1
            assert shown_to_be_worse(made, found.about, tolerance) == [], (table, found)
    assert advised > 200


def test_what_is_level_goes_to_what_costs_least_still() -> None:
    """Plain training needs no other starts; starts need no longer windows."""
    level = {"starts": (2.63, 2.60, True), "plain": (2.633, 2.603, True)}
    assert of_a_table(level, noise=0.3)[2].about == "plain"
