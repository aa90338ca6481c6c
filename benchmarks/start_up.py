"""How long a command takes before it answers, beside what loading torch and numpy takes in the same run, in turns.

    python -m benchmarks.start_up [--turns 7] [--out runs/start-up.json]

What is not loaded is held by tests/cli/test_start_up.py; this is the time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import outlast
from outlast.data.compatibility import sizes_for
from outlast.live.ledger import Ledger

ROW = '{"power": 0.5, "speed": 0.1}\n'


def furnish(folder: Path) -> None:
    """A model of a table, and an empty ledger."""
    table = {"power": np.sin(np.arange(400) / 7.0), "speed": np.cos(np.arange(400) / 5.0)}
    streams = outlast.Streams.from_table(table, target="power")
    inputs, outputs = sizes_for(streams)
    model = outlast.build("gru", inputs=inputs, outputs=outputs, width=16, layers=1)
    model.schema = streams.schema
    outlast.save(model, folder / "model")
    Ledger(folder / "ledger").close()


def first_line(words: list[str], folder: Path, given: str) -> float:
    """Seconds until a process has said something; it may go on after that."""
    began = time.perf_counter()
    process = subprocess.Popen(
        words, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(given)
    process.stdin.flush()
    process.stdout.readline()
    took = time.perf_counter() - began
    process.stdin.close()
    process.wait()
    return took


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    command = [sys.executable, "-m", "outlast"]
    jobs = {
        "import torch, numpy": ([sys.executable, "-c", "import torch, numpy; print()"], ""),
        "stream, its first row": ([*command, "stream", "--model", "model"], ROW),
        "evaluate, a wrong path": ([*command, "evaluate", "--model", "modle", "--data", "model", "-T", "8"], ""),
        "live status": ([*command, "live", "status", "--ledger", "ledger"], ""),
    }
    with tempfile.TemporaryDirectory() as folder:
        furnish(Path(folder))
        times = {name: [] for name in jobs}
        for _ in range(asked.turns):
            for name, (words, given) in jobs.items():
                times[name].append(first_line(words, Path(folder), given))
    rows = [{"what": name, "least_s": min(each), "median_s": statistics.median(each)} for name, each in times.items()]
    for row in rows:
        print(f"{row['what']:<24} {row['least_s']:.2f} s at least, {row['median_s']:.2f} s in the middle")
    if asked.out:
        asked.out.parent.mkdir(parents=True, exist_ok=True)
        asked.out.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
