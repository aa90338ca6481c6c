"""Diagnoses as a measurement would give them, of the GLA of `example_results`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from outlast.intervals import Interval
from outlast.results import (
    Attribution,
    AttributionRow,
    Cause,
    CounterRow,
    Coverage,
    CoverageRow,
    Diagnosis,
    Evaluation,
    Forecast,
    ForecastCheck,
    Gap,
    MapPoint,
    Moment,
    MomentTimes,
    PartGroup,
    Remembrance,
    RemembranceRow,
    ScenarioCoverage,
    Space,
    StateMap,
    Trace,
)
from reporting import example_results
from reporting.example_results import STREAMS, evaluation


def _estimate(mean: float) -> Interval:
    return Interval(mean, mean - 0.02, mean + 0.02, STREAMS)


TIMES = [
    MomentTimes(("2010-03-04T03:12:00", "2010-03-04T03:43:00"), ("2010-03-03T16:33:00", "2010-03-03T21:52:00")),
    MomentTimes(("2010-09-30T23:50:00", "2010-10-01T00:21:00"), ("2010-09-30T13:10:00", "2010-09-30T18:29:00")),
]


def with_clock(result: Diagnosis) -> Diagnosis:
    """The same of streams that have a clock."""
    assert result.trace is not None
    moments = [replace(moment, times=times) for moment, times in zip(result.trace.moments, TIMES, strict=True)]
    return replace(result, trace=replace(result.trace, moments=moments))


def by_scenario(result: Diagnosis) -> Diagnosis:
    """The same of streams in which nights and weekends are named; of weekends too few streams have targets."""
    assert result.coverage is not None
    rows = []
    for space in ("whole state", "behaviour"):
        for name, share in (("night", 0.97), ("weekend", 0.4)):
            for inside in (True, False):
                known = name == "night" or not inside
                cost = (0.3, 0.2, 0.4) if known else (None, None, None)
                met = share if inside else 0.06
                rows.append(ScenarioCoverage(space, name, inside, met, met - 0.05, met + 0.03, *cost, STREAMS, 400))
    return replace(
        result,
        coverage=replace(result.coverage, scenarios=rows),
        evaluation=example_results.with_scenarios(result.evaluation, "night", "weekend"),
    )


def withheld() -> Diagnosis:
    """Of a model whose two layers harm only together, and whose split by gradients misses the excess."""
    found = diagnosis("age_harms")
    assert found.attribution is not None
    assert found.coverage is not None
    rows = [replace(row, contribution=None, added=_estimate(0.0)) for row in found.attribution.rows]
    layers = ["layers.0.state", "layers.1.state"]
    split = replace(
        found.attribution, rows=rows, total=None, ranks=None, same_first=None, error=7.09e8, carriers=layers,
        acting="only together", groups=[PartGroup(layers, _estimate(0.19), _estimate(0.2))],
        withheld="the sum misses the measured excess by 7.09e+08 (root mean square over streams)",
    )  # fmt: skip
    counter = CounterRow("layers.2.read", (8192, 16384), (8.0, 64.0), 8192.0, 16320.0, 1.0, 0.94, 1.0, STREAMS)
    return replace(found, attribution=split, coverage=replace(found.coverage, counters=[counter]))


def broken() -> Diagnosis:
    """Of a model that gives no predictions to speak of, nothing is asked."""
    return replace(
        diagnosis(None, measured=example_results.broken()),
        causes=[], remembrance=None, coverage=None, attribution=None, trace=None, gap=None, forecast=None,
        left_out=dict.fromkeys(("causes", "remembrance", "coverage", "attribution", "trace"), "the model is broken"),
    )  # fmt: skip


def diagnosis(cause: str | None = "unexplored_state", measured: Evaluation | None = None) -> Diagnosis:
    """A diagnosis that found this cause, as it would be of the GLA above."""
    measured = measured or evaluation()
    alike = {"alike": 0.08, "alike_low": 0.05, "alike_high": 0.11, "alike_n": STREAMS}
    moved = {"changed": 0.07, "changed_low": -0.02, "changed_high": 0.1, "changed_n": STREAMS}
    facts: dict[str, dict[str, float | int | str]] = {
        "unexplored_state": {"age": 512, **alike, **moved, "whole_share": 1.0, "whole_low": 0.94, "whole_high": 1.0,
                             "whole_n": STREAMS, "whole_young": 0.02, "null": 0.05, "where": "layers.0.state, head 0",
                             "where_share": 1.0, "where_low": 0.94, "where_high": 1.0, "where_n": STREAMS},
        "age_harms": {"age": 512, **alike, **moved, "excess": 0.19, "excess_low": 0.15, "excess_high": 0.24,
                      "explained": "" if cause == "age_harms" else str(cause)},
        "stale_context": {"age": 512, **alike, **moved},
        "numerics": {"narrow": "layers.0.state", "difference": 0.2, "difference_low": 0.1, "difference_high": 0.3,
                     "difference_n": 16},
        "attention_window": {"parts": 1, "window": 0.2, "window_low": 0.1, "window_high": 0.3, "window_n": STREAMS},
        "train_context": {"named": 64, "turns": 16, "side": "shorter", "rise": 0.1, "rise_low": 0.05, "rise_high": 0.2,
                          "rise_n": STREAMS},
        "memory_limited": {"gain": 0.03, "gain_low": 0.01, "gain_high": 0.05, "gain_n": STREAMS, "reach": 8192},
        "harder_data": {"rise": 0.1, "rise_low": 0.05, "rise_high": 0.2, "rise_n": STREAMS, "early": 4096,
                        "late": 12288},
    }  # fmt: skip
    causes = [
        Cause(name, name == cause, 1.0 if name == cause else 0.0, found, [f"The excess is -0.01 for {name}."])
        for name, found in facts.items()
    ]
    causes.sort(key=lambda each: not each.found)
    random = np.random.default_rng(0)
    training = [(round(float(x), 3), round(float(y), 3)) for x, y in random.normal(size=(200, 2))]
    points = [
        MapPoint(stream, 64 * 2**step, 0.9 * step + 0.2 * stream, 0.4 * step - 0.1 * stream, 0.05 * step, step > 2)
        for stream in range(20)
        for step in range(8)
    ]
    names = [*((f"layers.{layer}.state", head) for layer in range(2) for head in range(2)), ("whole state", None)]
    spaces = [
        Space(
            name if head is None else f"{name}, head {head}",
            "recurrent",
            name,
            head,
            512,
            16,
            2.5,
            0.06,
            _estimate(0.04),
        )
        for name, head in names
    ]
    rows = [
        CoverageRow(each.name, (64, 128), 0.9, 0.8, 0.97, STREAMS, STREAMS, 2.5, 0.2, 1.0, 0.0, 1.0) for each in spaces
    ]
    parts = [
        AttributionRow(name, "recurrent", head, *(_estimate(0.1 - 0.03 * k) for _ in range(3)))
        for k, (name, head) in enumerate(names[:-1])
    ]
    resets = [[(9000 - 40 * 2**k, 2.5 + 0.2 * k + 0.4 * worse * (k > 3)) for k in range(8)] for worse in (0, 1)]
    return Diagnosis(
        evaluation=measured,
        causes=causes,
        remembrance=Remembrance(
            8192, "total variation", STREAMS,
            [RemembranceRow(2**k, 0.3 / (k + 1), 0.2 / (k + 1), 0.4 / (k + 1)) for k in range(13)],
            128, _estimate(0.06), 1024, 0.05,
        ),
        coverage=Coverage(0.05, 5, 1024, 256, 512, spaces, rows, StateMap(training, points, 0.62), 6, 8),
        attribution=Attribution(
            "cross_entropy", "nats", (8000, 16000), 32, 32, STREAMS, 0, 16, _estimate(0.2), 0.2, 0.001, 0.1, 0.8, True,
            parts, [], carriers=["layers.0.state, head 0"], acting="alone",
        ),
        trace=Trace(
            [Moment(k, 9000, 9032, 1.4, each, (8360, 8680), 1.1, 0.8) for k, each in zip((3, 19), resets, strict=True)],
            STREAMS, 4000,
        ),
        gap=Gap(Interval(-0.002, -0.01, 0.01, STREAMS), 0.04, ["whole state"], 900, False),
        forecast=Forecast(1_000_000, 2048, 0.21, 0.0, 0.3, ForecastCheck(8192, 512, 0.17, 0.19)),
        settings={"seed": 0},
        seconds=47.1,
        left_out={"memory": "there are no targets"},
        outlast="0.1.0",
    )  # fmt: skip
