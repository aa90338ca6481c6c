"""What watching takes: of the model's own time, and of memory, from one stream to ten thousand in one process.

    python benchmarks/watching.py --page docs/watching.md

A small GLA (seven features, as of household power) reads one position of all streams at a time, as a live model does; a
watcher observes every step. The rate is the one that a profile chooses here for so many streams. The bars are not those
of such a fleet, which nothing here depends on.
"""

from __future__ import annotations

import argparse
import gc
import resource
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from outlast.families import build
from outlast.live import Profile, Watcher, make_profile
from outlast.live.cost import chosen_rate
from outlast.model import InputSpec, Recurrent
from outlast.streams import Split, Streams
from outlast.tasks.pages import put_figures, table

FLEETS = (1, 100, 1_000, 10_000)
SECONDS = 30
"""Of the model's own time, that every fleet is watched for at least; and every stream for two probes."""
T, FEATURES = 64, 7
BEGIN, END = "<!-- cost of watching: begin -->", "<!-- cost of watching: end -->"


def noise(seed: int, streams: int, length: int) -> Streams:
    """Values that forget by a tenth a step; the next ones are the targets."""
    random = np.random.default_rng(seed)
    values = np.zeros((streams, length + 1, FEATURES), np.float32)
    for t in range(1, length + 1):
        values[:, t] = 0.9 * values[:, t - 1] + random.normal(size=(streams, FEATURES))
    starts = np.arange(streams, dtype=np.int64) * (length + 1)
    flat = values.reshape(-1, FEATURES)
    return Streams(inputs=flat, starts=starts, lengths=np.full(streams, length, np.int64), shift=1)


def measured(model: Recurrent, profile: Profile, streams: Streams, fleet: int) -> list[str]:
    """One line of the table."""
    most = 10**9
    every, _ = chosen_rate(profile.senses(model), streams, T, fleet, most)
    watcher = Watcher(replace(profile, facts=replace(profile.facts, streams=fleet, every=every)), model)
    names = [f"stream {number}" for number in range(fleet)]
    random = torch.Generator().manual_seed(0)
    inputs = torch.randn(64, fleet, 1, FEATURES, generator=random)
    state, own, watching, steps = model.initial_state(fleet), 0.0, 0.0, 0
    gc.collect()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with torch.no_grad():
        while own < SECONDS or steps < 2 * every:
            step = inputs[steps % 64]
            began = time.perf_counter()
            _, after = model(step, state)
            between = time.perf_counter()
            if fleet == 1:
                watcher.observe(names[0], state, step)
            else:
                watcher.observe(names, state, step)
            ended = time.perf_counter()
            state, own, watching, steps = after, own + between - began, watching + ended - between, steps + 1
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    counts = watcher.counts
    return [
        f"{fleet:,}", f"{fleet * steps / own:,.0f}", f"{every:,}", f"{counts.probes:,}", f"{counts.dropped_probes:,}",
        f"{100 * watching / own:.2f} %", f"{max(more, 0):.0f} MiB",
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--fleets", type=int, nargs="+", default=list(FLEETS))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    model = build("gla", inputs=InputSpec("features", FEATURES), outputs=FEATURES, seed=0).eval()
    parts = Split(noise(0, 16, 8192), noise(1, 16, 8192), noise(2, 16, 8192), how="each by itself")
    profile = make_profile(model, parts, train_context=T, run_length=10_000, every=512)
    lines = [measured(model, profile, parts.train, fleet) for fleet in asked.fleets]
    head = ["streams", "positions a second", "positions between probes", "probes", "dropped", "of the model's own time",
            "more memory at most"]  # fmt: skip
    text = "One thread; a GLA of 40 thousand parameters, one position of all streams at a time.\n\n" + table(
        head, lines
    )
    if asked.page:
        put_figures(asked.page, "Watching a model at work", [text], BEGIN, END)
    print(text)


if __name__ == "__main__":
    main()
