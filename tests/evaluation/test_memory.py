"""Memory does not grow with the length of the streams."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

MEASURE = """
import sys, threading, time
import numpy as np, torch
from outlast.evaluation import EvalSettings, evaluate
from outlast.families import build
from outlast.model import InputSpec
from outlast.data import Streams

torch.set_num_threads(1)
peak, done = 0, threading.Event()

def watch():
    global peak
    while not done.is_set():
        for line in open("/proc/self/status"):
            if line.startswith("RssAnon"):
                peak = max(peak, int(line.split()[1]))
        time.sleep(0.005)

threading.Thread(target=watch, daemon=True).start()
model = build("gla", inputs=InputSpec("features", 1), outputs=1, width=8, layers=1, heads=1)
settings = EvalSettings(targets=64, chunk=2048, ends_only=True)
for path in sys.argv[1:]:
    result = evaluate(model, Streams.from_arrays(path), train_context=64, settings=settings)
    print(result.data["length_used"], result.oldest.n, peak // 1024)
done.set()
"""


@pytest.mark.long
def test_a_million_positions_need_no_more_memory_than_ten_thousand(tmp_path):
    """Streams are read piece by piece from their file, and nothing is kept of what was read. In MiB, anonymous."""
    lengths, paths = (10_000, 1_000_000), []
    for length in lengths:
        paths.append(tmp_path / f"{length}.npy")
        streams = np.lib.format.open_memmap(paths[-1], "w+", np.float32, (8, length + 1, 1))
        streams[:] = np.random.default_rng(0).normal(0, 1, (length + 1, 1))
        streams.flush()
        del streams
    found = subprocess.run(
        [sys.executable, "-c", MEASURE, *map(str, paths)], capture_output=True, text=True, check=True
    )
    (_, _, short), (_, _, long) = rows = [tuple(map(int, line.split())) for line in found.stdout.splitlines()]
    assert [row[:2] for row in rows] == [(length, 8) for length in lengths]
    assert long - short < 40
