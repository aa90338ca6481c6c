"""What a deployed model costs over the bare one, and what it holds: 64 streams by every way in, and 1,000 streams.

The bare model reads the same scaled numbers and keeps its state; both are timed in turn, and the fastest of many rounds
of each counts. Prints a table; `--page` puts it into a Markdown page.
"""

from __future__ import annotations

import argparse
import gc
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

import outlast
from benchmarks.pages.marks import named_marks, put_figures
from outlast.cli.environment import flush_denormals, tune_allocator
from outlast.schema import Column, Schema, Target
from outlast.state import leaves

STREAMS, MANY = 64, 1000
COLUMNS = (Column("power", 3.0, 2.0), Column("temperature", 40.0, 5.0), Column("speed", 700.0, 30.0))
NAMES = [column.name for column in COLUMNS]


def model(name: str) -> outlast.Recurrent:
    """The example's LSTM (one value), the quickstart's GLA (32 bins), and a wider Mamba-2."""
    value = Target("value", ("power",), (60,), means=(3.0,), stds=(2.0,))
    edges = np.linspace(0, 6, 33)
    bins = Target("bins", ("power",), (60,), edges=tuple(edges[1:-1]), values=tuple((edges[1:] + edges[:-1]) / 2))
    spec = outlast.InputSpec("features", len(COLUMNS))
    if name == "LSTM, width 32":
        made, target = outlast.build("lstm", inputs=spec, outputs=1, width=32, layers=1), value
    elif name == "GLA, width 64":
        made, target = outlast.build("gla", inputs=spec, outputs=32, width=64, layers=2), bins
    else:
        made, target = outlast.build("mamba2", inputs=spec, outputs=32, width=256, layers=2), bins
    made.schema = Schema(COLUMNS, target)
    return made.eval()


def fastest(works: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Seconds of one call of each, the fastest of so many rounds in turn."""
    found = dict.fromkeys(works, float("inf"))
    for _ in range(rounds):
        for name, work in works.items():
            began = time.perf_counter()
            for _ in range(10):
                work()
            found[name] = min(found[name], (time.perf_counter() - began) / 10)
    return found


def times(name: str, positions: int, rounds: int) -> dict[str, float]:
    """Of reading so many positions of 64 streams: the bare model, and the deployed one by each way in."""
    made = model(name)
    served = outlast.deploy(made)
    random = np.random.default_rng(0)
    values = random.normal(size=(STREAMS, positions, 3)) * [c.std for c in COLUMNS] + [c.mean for c in COLUMNS]
    scaled = torch.from_numpy(made.schema.scaled(values)).float()  # pyright: ignore[reportOptionalMemberAccess]
    streams = [f"machine {number}" for number in range(STREAMS)]
    held = [made.initial_state(STREAMS)]

    def bare() -> None:
        with torch.no_grad():
            outputs, held[0] = made(scaled, held[0])
        outputs.numpy()

    works: dict[str, Callable[[], Any]] = {"bare": bare, "array": lambda: served.step(values, streams)}
    if positions == 1:
        dicts = [dict(zip(NAMES, row, strict=True)) for row in values[:, 0].tolist()]
        frame = pd.DataFrame(values[:, 0], columns=NAMES).assign(stream=streams)
        works |= {"dicts": lambda: served.step(dicts, streams), "frame": lambda: served.read(frame)}
    return fastest(works, rounds)


def memory(name: str, rows: int) -> tuple[float, float]:
    """Megabytes that so many rows of 1,000 streams add to the process after the first ones, and those of the states."""
    served = outlast.deploy(model(name))
    random = np.random.default_rng(0)
    streams = [f"machine {number}" for number in range(MANY)]
    values = random.normal(size=(MANY, 3)) * [c.std for c in COLUMNS] + [c.mean for c in COLUMNS]
    for _ in range(20):
        served.step(values, streams)
    gc.collect()
    before = resident()
    for number in range(rows // MANY):
        part = random.permutation(MANY)[: MANY if number % 2 else MANY // 2]
        served.step(values[part], [streams[i] for i in part])
    gc.collect()
    state = sum(tensor.nbytes for tensor in leaves(served.model.initial_state(MANY)))
    return (resident() - before) / 2**20, state / 2**20


def resident() -> int:
    """Bytes of this process in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def table(rounds: int, rows: int) -> list[str]:
    lines = [
        "| model | positions a call | bare model | arrays | dicts | a frame | 1,000 streams: memory added |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name in ("LSTM, width 32", "GLA, width 64", "Mamba-2, width 256"):
        grown, state = memory(name, rows)
        for positions in (1, 16):
            found = times(name, positions, rounds if positions == 1 else max(5, rounds // 5))
            ways = ("array", "dicts", "frame")
            over = {way: f"{found[way] / found['bare'] - 1:+.0%}" if way in found else "" for way in ways}
            told = f"{grown:+.1f} MiB (states {state:.1f})" if positions == 1 else ""
            cells = [name, str(positions), f"{found['bare'] * 1e3:.2f} ms", *over.values(), told]
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--rows", type=int, default=400_000, help="of the measurement of memory")
    parser.add_argument("--page", type=Path)
    options = parser.parse_args()
    tune_allocator()
    flush_denormals()
    torch.set_num_threads(1)
    lines = table(options.rounds, options.rows)
    print("\n".join(lines))
    if options.page:
        put_figures(options.page, "Running a model", ["\n".join(lines)], *named_marks("serving"))


if __name__ == "__main__":
    main()
