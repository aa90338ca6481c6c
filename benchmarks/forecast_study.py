"""Do early forecasts hold? Models are read to a million positions and held against what younger ages let one expect.

    python -m benchmarks.forecast_study --out runs/forecast --page docs/diagnosis.md

The models are those that `make regimes` and `make regimes-families` leave, bases and repairs, each on streams of 2^20
symbols that switch. The forecast is made from ages up to 64 training contexts, as `outlast diagnose` makes it, for the
last half of the streams, ages of 2^19 to 2^20. Figures are kept in the folder, so a stopped study goes on.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.bases import made_once
from benchmarks.pages.marks import put_figures, with_ends
from benchmarks.pages.marks import table as figures
from outlast import checkpoints
from outlast.data import Streams
from outlast.diagnosis.forecast import SEEN, forecast, noise_of
from outlast.errors import InputError
from outlast.evaluation import EvalSettings, evaluate
from outlast.folders import locked
from outlast.model import Recurrent
from outlast.results import Evaluation
from outlast.tasks.regimes import HAZARD, TRAIN_CONTEXT, regimes, switching_streams

LENGTH, STREAMS, SEED = 2**20, 8, 77
REPAIRS = ("base", "models/tbtt", "models/state_passing", "models/carry-expected_run-512")
BEGIN, END = "<!-- forecast: begin -->", "<!-- forecast: end -->"


@dataclass(frozen=True)
class Row:
    """Excess over short contexts, nats: expected at ages of 2^19 to 2^20, and measured there with its interval."""

    model: str
    damped: float
    log_linear: float
    measured: float
    low: float
    high: float


def row(folder: Path, name: str) -> Row:
    """Read one model to the end of the long streams."""
    model = checkpoints.load(folder).eval()
    early = _measured(model, regimes().test, EvalSettings(targets=1024, jobs=2))
    streams = switching_streams(STREAMS, LENGTH, HAZARD, SEED)
    late = _measured(model, streams, EvalSettings(targets=LENGTH // 32, ends_only=True, max_length=LENGTH, jobs=2))
    bands = [band for band in early.age_curve if TRAIN_CONTEXT <= band.age[0] <= SEEN * TRAIN_CONTEXT]
    curve = [(band.age[0], band.excess) for band in bands]
    ahead = forecast(curve, TRAIN_CONTEXT, noise=noise_of(bands), at=late.oldest.age[0])
    assert ahead is not None
    assert late.verdict is not None
    verdict = late.verdict
    return Row(name, ahead.expected, ahead.log_linear, verdict.excess, verdict.low, verdict.high)


def _measured(model: Recurrent, streams: Streams, settings: EvalSettings) -> Evaluation:
    return evaluate(model, streams, train_context=TRAIN_CONTEXT, settings=settings)


def table(rows: list[Row]) -> str:
    """By model, and the mean absolute error of the three forecasts."""
    head = (
        f"Excess over short contexts at ages of {LENGTH // 2:,} to {LENGTH:,}, nats, {STREAMS} streams; forecasts from "
        f"ages up to {SEEN * TRAIN_CONTEXT:,}:"
    )
    lines = figures(
        ["model", "damped trend", "log-linear", "measured"],
        (
            [each.model, *map(with_ends, (each.damped, each.log_linear)), with_ends(each.measured, each.low, each.high)]
            for each in rows
        ),
    )
    errors = {
        "damped trend": [each.damped - each.measured for each in rows],
        "log-linear": [each.log_linear - each.measured for each in rows],
        "never fails": [-each.measured for each in rows],
    }
    means = ", ".join(
        f"{name} {np.mean(np.abs(each)):.3f} (median {np.median(np.abs(each)):.3f})" for name, each in errors.items()
    )
    return "\n\n".join([head, lines, f"Mean absolute error over {len(rows)} models: {means}."])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    left = [Path("runs/regimes"), Path("runs/regimes-families")]
    parser.add_argument("--models", type=Path, nargs="+", default=left)
    parser.add_argument("--out", type=Path, default=Path("runs/forecast"))
    parser.add_argument("--page", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with locked(options.out, "forecast_study"):
        study(options)


def study(options: argparse.Namespace) -> None:
    """Make what is missing, and the tables."""
    folders = [
        (family / repair, f"{family.name}, {Path(repair).name}")
        for family in sorted((each for models in options.models for each in models.glob("*-0")), key=lambda it: it.name)
        for repair in REPAIRS
        if (family / repair / "outlast.json").exists()
    ]
    if not folders:
        raise InputError(
            f"no models in {', '.join(map(str, options.models))}", "what `make regimes` leaves", "run it first"
        )
    rows = []
    for folder, name in folders:
        kept = options.out / f"{name.replace(', ', '-')}.json"
        rows.append(Row(**made_once(kept, lambda folder=folder, name=name: vars(row(folder, name)))))
        print(rows[-1], flush=True)
    text = table(rows)
    print(text)
    if options.page:
        put_figures(options.page, "Diagnosis", [text], BEGIN, END)


if __name__ == "__main__":
    main()
