"""Where no harm is proven, no cause is: neither of a dent in the curve nor of states that look odd."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from outlast.diagnosis.causes import judging
from outlast.diagnosis.causes.changed import Changed
from outlast.intervals import Interval
from outlast.results import Evaluation, Verdict
from reporting import example_results
from reporting.example_results import BLOCKS, STREAMS

TOLERANCE = 0.01


def rising(rise: float, spread: float, verdict: str, after: int = 16, until: int = 64) -> Evaluation:
    """Flat but for a rise between two ages, which is `spread` from stream to stream; lowest just before it."""
    measured = example_results.evaluation()
    by_block = np.random.default_rng(0).normal(size=BLOCKS.max() + 1)
    by_stream = rise + spread * (by_block - by_block.mean())[BLOCKS]
    bands = []
    for band in measured.age_curve:
        above = np.clip(np.log2(max(band.age[1], 1) / after) / np.log2(until / after), 0, 1)
        losses = 1 + above * by_stream - 1e-6 * (band.age[1] == after) + np.zeros(STREAMS)
        bands.append(replace(band, per_stream=losses.tolist()))
    judged = Verdict(verdict, None, (8192, 16384), 0.0, -0.02, 0.02, TOLERANCE, [])  # pyright: ignore[reportArgumentType]
    return replace(measured, age_curve=bands, verdict=judged)


@pytest.mark.parametrize(
    ("rise", "spread", "verdict", "found"),
    [
        (0.05, 0.01, "fails", True),
        (0.05, 0.01, "declines", True),
        (0.05, 0.01, "undecided", False),  # clear within the context, flat past it: the length is not what fails
        (0.05, 0.01, "robust", False),
        (0.011, 0.016, "fails", False),  # above nothing, and not above half a tolerance
        (0.011, 0.016, "undecided", False),
    ],
)
def test_a_shorter_context_is_a_cause_where_the_rise_is_clear_and_something_fails(
    rise: float, spread: float, verdict: str, found: bool
) -> None:
    measured = rising(rise, spread, verdict)
    curve = measured.curve
    change = curve.interval(curve.losses[6] - curve.losses[4])
    assert change.mean > TOLERANCE
    assert change.low > 0
    assert (change.low > TOLERANCE / 2) == (rise == 0.05)
    assert bool(judging.train_context(measured).found) == found
    assert ("verdict" in judging.train_context(measured).facts) == (verdict in ("undecided", "robust"))


@pytest.mark.parametrize(("verdict", "found"), [("fails", True), ("declines", True), ("undecided", False)])
def test_that_age_harms_is_proven_only_where_the_verdict_says_so(verdict: str, found: bool) -> None:
    """Old states are worse at one age, where the world stayed as it was; whether the model fails is the verdict's."""
    worse = Interval(0.05, 0.03, 0.07, STREAMS)
    judged = rising(0.05, 0.01, verdict).verdict
    assert judged is not None
    harm = judging.age_harms(
        Changed(512, 100, worse, worse, Interval(0.0, -0.01, 0.01, STREAMS)), None, None, judged, []
    )
    assert harm.found == found
