"""What watching takes: of the model's own time, and of memory, from one stream to ten thousand in one process.

    python -m benchmarks.watching --page docs/watching.md

A small GLA (seven features, as of household power) reads one position of all streams at a time, as a live model does; a
watcher observes every step. The rate is the one that a profile chooses here for so many streams. No incident can open;
what watching takes where every stream has one whose harm is not known, and is probed eight times as often, is reckoned
from measured pieces.
"""

from __future__ import annotations

import argparse
import gc
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.pages.marks import put_figures, table
from outlast.data import Split, Streams
from outlast.families import build
from outlast.live import Profile, Watcher, make_profile
from outlast.live.watch.cohorts import Counts
from outlast.live.watch.cost import chosen_rate, measured_cost
from outlast.model import InputSpec, Recurrent

FLEETS = (1, 100, 1_000, 10_000)
SECONDS, PROBES = 30, 256
"""Of the model's own time, that every fleet is watched for at least, and until so many probes were made."""
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
    senses = profile.senses(model)
    every, expected = chosen_rate(senses, streams, T, fleet, 10**9)
    most = measured_cost(senses, streams, T, fleet).share(max(every // 8, 3 * T // 2))
    calm = {name: replace(bars, values=(1e9,) * len(bars.values)) for name, bars in profile.facts.bars.items()}
    facts = replace(profile.facts, streams=fleet, every=every, bars=calm)
    share, pace, more, counts = watched(model, replace(profile, facts=facts), fleet)
    return [
        f"{fleet:,}", f"{pace:,.0f}", f"{every:,}", f"{counts.probes:,}", f"{counts.dropped_probes:,}",
        f"{100 * share:.2f} %", f"{100 * expected:.2f} %", f"{100 * most:.0f} %", f"{max(more, 0):.0f} MiB",
    ]  # fmt: skip


def watched(model: Recurrent, profile: Profile, fleet: int) -> tuple[float, float, float, Counts]:
    """Share of the model's own time, positions that it reads a second, MiB more at most, and counts."""
    watcher = Watcher(profile, model)
    names = [f"stream {number}" for number in range(fleet)]
    random = torch.Generator().manual_seed(0)
    inputs = torch.randn(64, fleet, 1, FEATURES, generator=random)
    state, own, watching, steps, probes = model.initial_state(fleet), 0.0, 0.0, 0, 0
    gc.collect()
    with torch.no_grad():
        # What is to be counted is what comes on top of a model that runs, not of what this process held before.
        Path("/proc/self/clear_refs").write_text("5")
        for step in inputs[:8]:
            _, state = model(step, state)
        before = peak()
        while own < SECONDS or probes < PROBES:
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
            probes = watcher.counts.probes
        began = time.perf_counter()
        watcher.flush()  # those that wait are paid for as well
        watching += time.perf_counter() - began
    return watching / own, fleet * steps / own, peak() - before, watcher.counts


def peak() -> float:
    """MiB of memory that this process held at most since that was asked to be counted anew."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


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
            "foreseen", "while all have incidents", "more memory at most"]  # fmt: skip
    text = "One thread; a GLA of 40 thousand parameters, one position of all streams at a time.\n\n" + table(
        head, lines
    )
    if asked.page:
        put_figures(asked.page, "Watching a model at work", [text], BEGIN, END)
    print(text)


if __name__ == "__main__":
    main()
