"""The front that the expected run draws: excess with switches and without, as an SVG."""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
from matplotlib.figure import Figure

_LEVELS = (("#555555", "--"), ("#2f7d5b", "-."), ("#8a5a9e", ":"), ("#b08900", (0, (6, 2))), ("#111111", (0, (1, 3))))


@dataclass(frozen=True)
class Front:
    """What the plot shows; excess in nats over the predictor that is told.

    Args:
        deployment: symbols between the switches of deployment, on average.
        expected_runs: of the repairs, ascending; infinity for TBTT.
        switching, stationary: their excess on the two kinds of streams.
        levels: excess on the switching streams of what they are compared with, by name.
        title: which model.
    """

    deployment: float
    expected_runs: Sequence[float]
    switching: Sequence[float]
    stationary: Sequence[float]
    levels: dict[str, float]
    title: str


def front_plot(front: Front) -> str:
    """SVG text, the same for the same figures."""
    finite = [run for run in front.expected_runs if not math.isinf(run)]
    far = 4 * max(finite)
    at = [far if math.isinf(run) else run for run in front.expected_runs]
    with matplotlib.rc_context({"svg.hashsalt": "outlast", "svg.fonttype": "none", "font.size": 10}):
        figure = Figure(figsize=(8, 5.5), layout="constrained")
        axes = figure.subplots()
        axes.plot(at, front.switching, "o-", color="#1f5fa8", label="repairs, switching streams")
        axes.plot(at, front.stationary, "s--", color="#c2571a", label="repairs, stationary control")
        for (name, level), (colour, dashes) in zip(front.levels.items(), itertools.cycle(_LEVELS), strict=False):
            axes.axhline(level, color=colour, linewidth=1.2, linestyle=dashes, label=f"{name}: {level:.3f}")
        axes.axvline(front.deployment, color="#aaaaaa", linewidth=1)
        axes.annotate(
            "deployment",
            (front.deployment, 1),
            xycoords=("data", "axes fraction"),
            color="#777777",
            fontsize=8,
            textcoords="offset points",
            xytext=(3, -10),
        )
        axes.set(xscale="log", xlabel="expected run (symbols)", ylabel="excess over the told predictor (nats)")
        axes.set_xticks(at, ["∞" if math.isinf(run) else f"{run:,.0f}" for run in front.expected_runs])
        axes.minorticks_off()
        axes.set_xlim(at[0] / 1.3, far * 1.15)
        axes.set_ylim(bottom=0)
        axes.set_title(front.title, loc="left", fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
        figure.legend(frameon=False, loc="outside lower center", ncols=2, fontsize=9)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()
