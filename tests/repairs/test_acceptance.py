"""When a repair is accepted and what it is refused for, on evaluations that were written down."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from outlast.errors import InputError
from outlast.evaluation import Periods, under
from outlast.evaluation.measure import CROSS_ENTROPY, ERROR_RATE, Measure
from outlast.evaluation.verdicts import judge
from outlast.intervals import mean_interval
from outlast.repairs.acceptance import (
    age_weights,
    benefit,
    best_reset,
    not_shown_to_fail,
    nothing_to_repair,
    refusal,
    short_context,
    short_differences,
    short_level,
)
from outlast.results import AgeBand, Benefit, Evaluation, Guess, Refusal, ShortContext
from outlast.results.curve import Curve

T = 8
BANDS = ((0, 1), (1, 2), (2, 4), (4, 8), (8, 16), (16, 32), (32, 64), (64, 128), (256, 512))
STREAMS = 8
WAVE = np.array([1.0, -1.0] * (STREAMS // 2))
"""Noise of mean 0, the same half-width every time: 0.894 times its size."""

READING = (0.8, 0.5, 0.4, 0.3)
FAILING = (*READING, 0.35, 0.45, 0.55, 0.65, 0.75)
GOOD = (*READING, 0.28, 0.27, 0.26, 0.25, 0.24)


def rows(losses: Sequence[float], noise: Sequence[float] = ()) -> np.ndarray:
    """(bands, streams): the mean losses of `BANDS`, for streams that are hard or easy at all ages alike."""
    hard = np.linspace(-0.05, 0.05, STREAMS)
    wavy = np.array([*noise, *[0.0] * (len(losses) - len(noise))])
    return np.array(losses)[:, None] + hard + wavy[:, None] * WAVE


def evaluation(
    losses: Sequence[float] | np.ndarray,
    guesses: Mapping[str, float] | None = None,
    periods: Periods | None = None,
    measure: Measure = CROSS_ENTROPY,
    blocks: Sequence[int] = (),
) -> Evaluation:
    """An evaluation of eight streams with these losses by age, reset at these periods."""
    by_stream = losses if isinstance(losses, np.ndarray) else rows(losses)
    bands = BANDS[: len(by_stream)]
    verdict, short = judge(Curve(bands, by_stream, T, np.array(blocks) if blocks else None), measure)
    curve = [
        AgeBand(band, float(each.mean()), 0.0, 0.0, 0.0, 0.0, 0.0, STREAMS, each.tolist())
        for band, each in zip(bands, by_stream, strict=True)
    ]
    told = {name: Guess(loss, loss, loss, [loss] * STREAMS) for name, loss in (guesses or {}).items()}
    plain: dict[str, Any] = {"model": {}, "data": {}, "settings": {}, "seconds": 0.0, "train_context": T}
    about: dict[str, Any] = {"measure": measure.name, "unit": measure.unit, "position_curve": [], "state": []}
    made = Evaluation(
        **plain,
        **about,
        age_curve=curve,
        resets={},
        short=short,
        verdict=verdict,
        guesses=told,
        blocks=list(blocks),
    )
    return under(made, periods or Periods(8, 16))


BASE = evaluation(FAILING)


def refused(
    after: Evaluation,
    control: Evaluation | None = None,
    before: Evaluation = BASE,
    measure: Measure = CROSS_ENTROPY,
    guards: Mapping[str, ShortContext] | None = None,
) -> Refusal | None:
    change = short_context(curve(before), curve(after), measure)
    return refusal(change, benefit(before, after, control), after, measure, guards)


def curve(of: Evaluation) -> Curve:
    blocks = np.array(of.blocks) if of.blocks else None
    return Curve(tuple(band.age for band in of.age_curve), np.array([b.per_stream for b in of.age_curve]), T, blocks)


def test_a_repair_that_does_what_it_should_is_accepted():
    assert refused(evaluation(GOOD)) is None
    assert refused(evaluation(GOOD), evaluation(FAILING)) is None
    assert refused(evaluation(GOOD, {"constant": 0.69, "persistence": 0.5}), evaluation(FAILING)) is None


def changed(losses: Sequence[float], **bands: float) -> tuple[float, ...]:
    """The losses with these bands (by number, ``b3=0.1``) changed."""
    return tuple(loss + bands.get(f"b{number}", 0.0) for number, loss in enumerate(losses))


# name of the refusal, the other faults, the repaired model, its control
REFUSED: dict[str, tuple[str, list[str], Evaluation, Evaluation | None]] = {
    "worse at all short ages": (
        "short_context_lost",
        [],
        evaluation(changed(GOOD, b0=0.01, b1=0.01, b2=0.01, b3=0.01)),
        None,
    ),
    "no better than the base": ("no_benefit", ["still_fails", "remedy_suffices"], evaluation(FAILING), None),
    "no better than resetting the base": (
        "no_benefit",
        ["still_fails"],
        evaluation((*READING, 0.34, 0.36, 0.38, 0.40, 0.413)),
        None,
    ),
    "worse than its own short contexts": (
        "still_fails",
        [],
        evaluation((*READING, 0.31, 0.31, 0.31, 0.31, 0.31)),
        None,
    ),
    "no better than before it has read anything": (
        "stopped_reading",
        [],
        evaluation((0.24, *GOOD[1:])),
        None,
    ),
    "no better than a constant": ("stopped_reading", [], evaluation(GOOD, {"constant": 0.24}), None),
    "no better than persistence": ("stopped_reading", [], evaluation(GOOD, {"persistence": 0.2}), None),
    "better when reset": (
        "remedy_suffices",
        ["declines"],
        evaluation((*READING, 0.22, 0.20, 0.18, 0.18, 0.29), periods=Periods(128, 16)),
        None,
    ),
    "better at a younger age": ("declines", [], evaluation((*READING, 0.3, 0.3, 0.3, 0.28, 0.29)), None),
    "no better than its control": ("plain_training_suffices", [], evaluation(GOOD), evaluation(GOOD)),
    "no better than its control under resets": (
        "plain_training_suffices",
        [],
        evaluation(GOOD),
        evaluation((0.2, 0.2, 0.2, 0.2, *FAILING[4:])),
    ),
    "everything at once": (
        "short_context_lost",
        ["no_benefit", "still_fails", "stopped_reading", "remedy_suffices", "plain_training_suffices"],
        evaluation(changed(FAILING, b0=0.01, b1=0.01, b2=0.01, b3=0.01, b8=0.1), {"constant": 0.69}),
        evaluation(GOOD),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_every_refusal_by_name_with_the_others_beside_it(case):
    name, also, after, control = REFUSED[case]
    found = refused(after, control)
    assert found is not None
    assert (found.name, found.also) == (name, also)
    assert found.because
    assert all(text.strip() for text in found.because)


def test_the_first_fault_gives_the_name_in_the_order_of_the_rules():
    """Faults that are mended one after the other uncover the next, and `also` named it all along."""
    control, late = evaluation(GOOD), Periods(128, 16)
    lost = changed(FAILING, b0=0.01, b1=0.01, b2=0.01, b3=0.01, b8=0.1)
    steps = [
        evaluation(lost, {"constant": 0.69}),
        evaluation(changed(FAILING, b8=0.1), {"constant": 0.69}),
        evaluation((*READING, 0.24, 0.24, 0.24, 0.24, 0.32), {"constant": 0.3}, late),
        evaluation((*READING, 0.24, 0.24, 0.24, 0.24, 0.29), {"constant": 0.29}, late),
        evaluation((*READING, 0.24, 0.24, 0.24, 0.24, 0.29), {"constant": 0.5}, late),
        evaluation(GOOD, {"constant": 0.5}, late),
    ]
    found = [refused(each, control) for each in steps]
    assert [each.name for each in found if each] == [
        "short_context_lost",
        "no_benefit",
        "still_fails",
        "stopped_reading",
        "remedy_suffices",
        "plain_training_suffices",
    ]
    for one, following in itertools.pairwise(found):
        assert one is not None
        assert following is not None
        assert following.name in one.also


def test_remedy_suffices_names_the_remedy_and_the_command_for_it():
    after = evaluation((*READING, 0.22, 0.20, 0.18, 0.18, 0.29), periods=Periods(128, 16))
    found = refused(after)
    assert found is not None
    assert found.remedy == "reset:128"
    assert "under reset:128, which takes no training" in found.because[0]
    other = refused(evaluation((*READING, 0.31, 0.31, 0.31, 0.31, 0.31)))
    assert other is not None
    assert other.remedy is None


def test_a_period_that_helps_less_than_what_is_tolerated_is_no_reason():
    """0.5 % of short, the tolerance of verdicts: 0.0015 here."""
    flat = (0.30, 0.30, 0.30, 0.30, 0.30, 0.30, 0.30, 0.30)
    for late in (0.3014, 0.3017):
        found = refused(evaluation((*flat, late), periods=Periods(128, 16)))
        assert found is not None
        assert "stopped_reading" in (found.name, *found.also)  # it is as good before it has read anything
        assert ("remedy_suffices" in found.also) == (late > 0.3015)


def test_a_repaired_model_whose_own_verdict_is_fails_is_refused():
    """0.5 % of short is tolerated: 0.0015 here. Above it, the verdict is `fails`, and so nothing is accepted."""
    for late, name in ((0.3014, None), (0.3016, "still_fails")):
        after = evaluation((*READING, late, late, late, late, late))
        found = refused(after)
        assert (found.name if found else None) == name
        assert after.verdict is not None
        assert (after.verdict.name == "fails") == (name is not None)


def test_what_is_undecided_about_the_repaired_model_may_reach_two_tolerances():
    for wide, name in ((0.0018, None), (0.0022, "still_fails")):  # the half-width is 0.894 of it
        noisy = rows((*READING, *[0.3013] * 5))
        noisy[-1] += wide * WAVE
        after = evaluation(noisy)
        assert after.verdict is not None
        assert after.verdict.name == "undecided"
        found = refused(after)
        assert (found.name if found else None) == name


def test_a_repaired_model_that_declines_is_refused():
    """No reset of up to sixteen training contexts helps it, and it loses again what it gained."""
    after = evaluation((*READING, 0.3, 0.3, 0.3, 0.28, 0.29))
    assert after.verdict is not None
    assert after.verdict.name == "declines"
    found = refused(after)
    assert found is not None
    assert (found.name, found.also) == ("declines", [])
    assert "best at ages 64 to 127" in found.because[0]


def test_what_might_be_chance_does_not_count_as_better():
    """Each rival has to be beaten with an interval below zero; the mean alone is not enough."""
    wide = 0.06  # its half-width is 0.054
    for rival in ("base", "constant", "control"):
        noisy = rows(GOOD)
        noisy[-1] += wide * WAVE
        level = noisy[-1].mean() + 0.03
        before = evaluation((*READING, *[level] * 5)) if rival == "base" else BASE
        guesses = {"constant": level} if rival == "constant" else None
        control = evaluation((*READING, *[level] * 5)) if rival == "control" else None
        found = refused(evaluation(noisy, guesses), control, before)
        assert found is not None
        wanted = {"base": "no_benefit", "constant": "stopped_reading", "control": "plain_training_suffices"}[rival]
        assert wanted in (found.name, *found.also)


def test_a_gain_is_more_than_half_a_tolerance():
    """0.0015 is tolerated here; a gain that is clear and smaller than half of it is none, over the base or control."""
    late = (0.29, 0.28, 0.27, 0.26)
    after = evaluation((*READING, *late, 0.25))
    for gain, name in ((0.0007, False), (0.0008, True)):
        before, control = evaluation((*READING, 0.4, 0.4, 0.4, 0.4, 0.25 + gain)), None
        found = refused(after, control, before)
        assert (found is None) == name
        if found is not None:
            assert found.name == "no_benefit"
            assert "no more than half a tolerance (0.00075)" in found.because[0]
        control = evaluation((*READING, 0.4, 0.4, 0.4, 0.4, 0.25 + gain))
        found = refused(after, control)
        assert (found is None) == name
        assert found is None or found.name == "plain_training_suffices"


def test_rivals_are_compared_pair_by_pair():
    """Streams that are hard for both models tell nothing about the difference."""
    hard = np.linspace(-0.2, 0.2, STREAMS)
    before, after = (evaluation(rows(losses) + hard) for losses in (FAILING, GOOD))
    gain = benefit(before, after)
    assert gain.rivals["base"] == pytest.approx((-0.51, -0.51, -0.51), abs=1e-9)
    assert refused(after, before=before) is None


def test_the_rivals_of_a_repair():
    """The base and its resets, the control and its own; the stronger of the first two is what it is held against."""
    control = evaluation((*READING, 0.3, 0.3, 0.3, 0.3, 0.5), periods=Periods(4, 16))
    after = evaluation(GOOD)
    gain = benefit(BASE, after, control)
    assert set(gain.rivals) == {"base", "periodic_reset", "overlapping_reset", "control", "control_reset"}
    for name, losses in {
        "base": BASE.oldest.per_stream,
        "periodic_reset": BASE.resets["periodic_reset"].per_stream,
        "overlapping_reset": BASE.resets["overlapping_reset"].per_stream,
        "control": control.oldest.per_stream,
        "control_reset": control.resets["periodic_reset"].per_stream,
    }.items():
        expected = mean_interval(np.array(after.oldest.per_stream) - np.array(losses))
        assert gain.rivals[name] == pytest.approx(expected.triple)
    assert gain.against == "periodic_reset"
    assert (gain.difference, gain.low, gain.high) == gain.rivals["periodic_reset"]
    assert gain.starts == gain.rivals["control"]
    assert gain.overlapping == gain.rivals["overlapping_reset"]
    alone = benefit(BASE, after)
    assert (alone.starts, set(alone.rivals)) == (None, {"base", "periodic_reset", "overlapping_reset"})
    robust = evaluation((*READING, 0.3, 0.3, 0.3, 0.3, 0.3))
    assert benefit(robust, after).against == "base"


def test_two_overlapping_copies_are_shown_and_decide_nothing():
    """They cost twice as much."""
    before = evaluation(changed(FAILING, b4=-0.15), periods=Periods(8, 16))
    after = evaluation(GOOD)
    gain = benefit(before, after)
    assert gain.overlapping is not None
    assert gain.overlapping[0] > 0
    assert refused(after, before=before) is None


def test_intervals_of_a_repair_are_over_blocks():
    """Segments of one recording that say the same are one unit."""
    noisy = rows(GOOD)
    noisy[-1] += np.repeat([0.3, -0.3, 0.3, -0.3], 2)
    blocks = [0, 0, 1, 1, 2, 2, 3, 3]
    gains, changes = [], []
    for units in ((), blocks):
        before, after = evaluation(FAILING, blocks=units), evaluation(noisy, blocks=units)
        gains.append(benefit(before, after).high)
        shifted = Curve(BANDS, curve(before).losses + np.repeat([0.1, -0.1, 0.1, -0.1], 2), T)
        changes.append(short_context(curve(before), shifted, CROSS_ENTROPY).high)
    assert gains[1] > gains[0] + 0.1
    assert changes[1] > changes[0] + 0.05


# Short contexts.


def curves(*change: float, noise: float = 0.0) -> tuple[Curve, Curve]:
    before = Curve(BANDS[:5], rows(FAILING[:5]), T)
    moved = np.array([*change, *[9.0] * (5 - len(change))])[:, None] + noise * WAVE
    return before, Curve(BANDS, np.concatenate([before.losses + moved, np.full((4, STREAMS), 7.0)]), T)


def test_every_age_within_the_training_context_counts_alike():
    """Bands of 1, 1, 2 and 4 positions, weighted by that; bands past it do not enter, and may differ."""
    before, after = curves(0.08, -0.04, 0.02, 0.01)
    found = short_context(before, after, CROSS_ENTROPY)
    assert found.difference == pytest.approx((0.08 - 0.04 + 2 * 0.02 + 4 * 0.01) / 8)
    np.testing.assert_allclose(short_differences(before, after, None), found.difference)
    assert short_level(before, None) == found.reference
    assert found.low == pytest.approx(found.high) == pytest.approx(found.difference)
    assert found.reference == pytest.approx((0.8 + 0.5 + 2 * 0.4 + 4 * 0.3) / 8)
    assert found.margin == pytest.approx(0.005 * found.reference)
    assert found.worst_margin == pytest.approx(3 * found.margin)
    assert found.ages == (0, T)
    assert found.by_bands == pytest.approx((0.0175, 0.0175, 0.0175))
    assert (found.worst_band, found.worst_difference) == ((0, 1), pytest.approx(0.08))


@pytest.mark.parametrize(
    ("ages", "weights"),
    [
        ((0, 8), [1, 1, 2, 4, 0]),
        ((0, 4), [1, 1, 2, 0, 0]),
        ((4, 8), [0, 0, 0, 4, 0]),
        ((3, 7), [0, 0, 1, 3, 0]),
        ((0, 12), [1, 1, 2, 4, 4]),
        ((2, 16), [0, 0, 2, 4, 8]),
        ((0, 1), [1, 0, 0, 0, 0]),
    ],
)
def test_stated_ages_count_alike(ages, weights):
    before, after = curves(0.08, -0.04, 0.02, 0.01, 0.005)
    share = np.array(weights) / sum(weights)
    np.testing.assert_allclose(age_weights(before, ages), share)
    found = short_context(before, after, CROSS_ENTROPY, ages)
    assert found.difference == pytest.approx(share @ [0.08, -0.04, 0.02, 0.01, 0.005])
    assert found.reference == pytest.approx(share @ before.losses.mean(1))
    assert found.ages == ages
    used = [i for i in range(5) if weights[i]]
    assert found.by_bands[0] == pytest.approx(np.mean([[0.08, -0.04, 0.02, 0.01, 0.005][i] for i in used]))
    assert before.bands.index(found.worst_band) == max(used, key=lambda i: [0.08, -0.04, 0.02, 0.01, 0.005][i])


@pytest.mark.parametrize("ages", [(4, 4), (8, 4), (-1, 8), (0, 17), (0, 1000)])
def test_ages_that_are_none_or_not_short_are_refused(ages):
    with pytest.raises(InputError, match="short ages"):
        short_context(*curves(0.0, 0.0, 0.0, 0.0, 0.0), CROSS_ENTROPY, ages)


def test_ages_that_the_curve_does_not_have_are_refused():
    gap = Curve((*BANDS[:4], (16, 32)), rows(FAILING[:5]), T)
    with pytest.raises(InputError, match="short ages 0 to 12"):
        age_weights(gap, (0, 12))


def test_the_worst_band_is_the_one_whose_upper_end_is_highest_simultaneously():
    """Not the one whose mean is: one that may have lost more counts. Over as many bands as are used."""
    before, after = curves(0.02, 0.0, 0.0, 0.0)
    after.losses[2] += 0.1 * WAVE
    found = short_context(before, after, CROSS_ENTROPY)
    assert (found.worst_band, found.worst_difference) == ((2, 4), pytest.approx(0.0))
    assert found.worst_high == pytest.approx(mean_interval(0.1 * WAVE, 4).high)
    fewer = short_context(before, after, CROSS_ENTROPY, (2, 8))
    assert fewer.worst_high == pytest.approx(mean_interval(0.1 * WAVE, 2).high)


def test_margins_are_shares_of_the_loss_or_absolute():
    before, after = curves(0.0, 0.0, 0.0, 0.0)
    assert short_context(before, after, CROSS_ENTROPY).margin == pytest.approx(0.005 * 3.3 / 8)
    rates = short_context(before, after, ERROR_RATE)
    assert (rates.margin, rates.worst_margin) == (0.01, pytest.approx(0.03))


@pytest.mark.parametrize(
    ("change", "noise", "held"),
    [
        ((0.0, 0.0, 0.0, 0.0), 0.0, True),
        ((-0.1, -0.1, -0.1, -0.1), 0.0, True),
        ((0.0099, 0.0099, 0.0099, 0.0099), 0.0, True),
        ((0.0101, 0.0101, 0.0101, 0.0101), 0.0, False),
        # On average not worse, but it might be by more than the margin.
        ((0.0, 0.0, 0.0, 0.0), 0.02, False),
        # One band of a quarter of the ages may lose three times as much, while the others make up for it.
        ((0.0, 0.0, 0.029, 0.0), 0.0, True),
        ((0.0, 0.0, 0.031, 0.0), 0.0, False),
        ((0.031, -0.1, -0.1, -0.1), 0.0, False),
    ],
)
def test_short_contexts_are_held_on_average_and_in_every_band(change, noise, held):
    assert short_context(*curves(*change, noise=noise), ERROR_RATE).held == held


def test_what_few_streams_leave_open_is_undecided_and_says_how_many_would_decide():
    """On average as it should be, and the interval reaches past what is allowed: no loss, and nothing is accepted."""
    after = evaluation(GOOD)
    for change, noise in (((0.004, 0.004, 0.004, 0.004), 0.01), ((0.0, 0.0, 0.0, 0.0), 0.0224)):
        short = short_context(*curves(*change, noise=noise), ERROR_RATE)
        assert not short.held
        assert not short.lost
        assert short.n == STREAMS
        found = refusal(short, benefit(BASE, after), after, ERROR_RATE)
        assert found is not None
        assert (found.name, found.also, found.guard) == ("undecided", [], None)
        needed = re.search(r"about (\d+) more streams like these 8 would decide", found.because[-1])
        assert needed is not None
        narrower = np.sqrt(STREAMS / (STREAMS + int(needed[1])))
        assert short.difference + narrower * (short.high - short.difference) <= short.margin
    other = refusal(short, benefit(BASE, evaluation(FAILING)), evaluation(FAILING), ERROR_RATE)
    assert other is not None
    assert other.name == "no_benefit"
    assert other.also[-1] == "undecided"


def test_a_guard_that_is_undecided_is_named():
    held, wide = (short_context(*curves(0.0, 0.0, 0.0, 0.0, noise=noise), ERROR_RATE) for noise in (0.0, 0.02))
    after = evaluation(GOOD)
    found = refusal(held, benefit(BASE, after), after, ERROR_RATE, {"speech": held, "text": wide})
    assert found is not None
    assert (found.name, found.guard) == ("undecided", "text")


def test_short_contexts_say_what_was_lost():
    """The mean over ages, or one band, or both; each with its ends and what is allowed."""
    gain = benefit(BASE, evaluation(GOOD))
    for change, said in (
        ((0.02, 0.02, 0.02, 0.02), ["ages 0 to 7 changed by +0.02 ("]),
        ((0.04, -0.01, 0.0, 0.0), ["ages 0 to 0 changed by +0.04 ("]),
        ((0.04, 0.04, 0.04, 0.04), ["ages 0 to 7 changed by +0.04 (", "ages"]),
    ):
        found = refusal(short_context(*curves(*change), ERROR_RATE), gain, evaluation(GOOD), ERROR_RATE)
        assert found is not None
        assert found.name == "short_context_lost"
        assert len(found.because) == len(said)
        assert all(text.startswith(start) for text, start in zip(found.because, said, strict=True))


# Guards.


def test_a_guard_is_held_to_the_same_and_named():
    good, bad = (short_context(*curves(*[change] * 4), ERROR_RATE) for change in (0.0, 0.02))
    after, gain = evaluation(GOOD, measure=ERROR_RATE), benefit(BASE, evaluation(GOOD))
    assert refusal(good, gain, after, ERROR_RATE, {"speech": good, "text": good}) is None
    found = refusal(good, gain, after, ERROR_RATE, {"speech": good, "text": bad})
    assert found is not None
    assert (found.name, found.guard, found.also) == ("short_context_lost", "text", [])
    assert "guard text" in found.because[0]
    own = refusal(bad, gain, after, ERROR_RATE, {"text": bad})
    assert own is not None
    assert (own.name, own.guard, own.also) == ("short_context_lost", None, [])


# Nothing to repair, and resets.


@pytest.mark.parametrize(
    ("losses", "name"),
    [
        ((*READING, 0.3, 0.3, 0.3, 0.3, 0.3), "robust"),
        (GOOD, "generalises"),
        (FAILING, None),
        ((*READING, 0.2, 0.1, 0.1, 0.2, 0.29), None),  # declines
    ],
)
def test_where_validation_says_that_it_does_not_fail_there_is_nothing_to_repair(losses, name):
    found = nothing_to_repair(evaluation(losses))
    if name is None:
        assert found is None
    else:
        assert found is not None
        assert found.name == "nothing_to_repair"
        assert name in found.because[0]


def test_where_validation_cannot_tell_a_repair_is_tried():
    open_ended = rows((*READING, 0.3, 0.3, 0.3, 0.3, 0.3))
    open_ended[-1] += 0.1 * WAVE
    undecided = evaluation(open_ended)
    assert undecided.verdict is not None
    assert undecided.verdict.name == "undecided"
    assert nothing_to_repair(undecided) is None


@pytest.mark.parametrize(
    ("oldest", "test", "refused"),
    [
        (0.3, (*READING, 0.3, 0.3, 0.3, 0.3, 0.3), True),
        (0.3, None, True),  # as undecided there
        (0.3, FAILING, False),
        (0.3, (*READING, 0.2, 0.1, 0.1, 0.2, 0.29), False),  # declines
        (0.31, (*READING, 0.3, 0.3, 0.3, 0.3, 0.3), False),  # costs more than is tolerated, as far as can be told
    ],
)
def test_what_validation_cannot_tell_is_trained_where_age_costs_something_or_test_streams_say_that_it_fails(
    oldest, test, refused
):
    open_ended = rows((*READING, 0.3, 0.3, 0.3, 0.3, oldest))
    open_ended[-1] += 0.1 * WAVE
    undecided = evaluation(open_ended)
    assert undecided.verdict is not None
    assert undecided.verdict.name == "undecided"
    found = not_shown_to_fail(undecided, undecided if test is None else evaluation(test))
    assert (None if found is None else found.name) == ("not_shown_to_fail" if refused else None)
    if found is not None:
        assert found.untouched
        assert found.because[1:] == undecided.verdict.because


def test_what_is_decided_is_no_matter_of_what_can_be_shown():
    for losses in (FAILING, GOOD):
        assert not_shown_to_fail(evaluation(losses), evaluation(GOOD)) is None


def test_the_best_reset_is_at_most_sixteen_training_contexts_long():
    """A longer one is no way to keep states young, however much better it may be."""
    falling = Curve((*BANDS[:8], (128, 256)), rows((*READING, 0.3, 0.3, 0.3, 0.3, 0.1)), T)
    assert best_reset(falling) == 128
    assert best_reset(Curve(BANDS, rows(FAILING), T)) == 16
    assert best_reset(Curve(BANDS[:4], rows(READING), T)) == 8


def test_a_refusal_without_a_verdict_is_about_what_can_be_asked():
    """Where there is no short context and no verdict, only what was measured decides."""
    gain = Benefit("base", -1.0, -1.1, -0.9, rivals={"base": (-1.0, -1.1, -0.9)})
    held = short_context(*curves(0.0, 0.0, 0.0, 0.0), ERROR_RATE)
    after = evaluation(GOOD)
    bare = Evaluation(**{**vars(after), "verdict": None, "short": None, "resets": {}})
    assert refusal(held, gain, bare, ERROR_RATE) is None
