"""Where the time of a training step goes, by what is computed: a profile of our families in both precisions.

    python -m benchmarks.where [--page docs/performance.md]

4 × 512 tokens, one thread, at width 128 (two layers) and 768 (two layers); shares of the time that operators took
themselves.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from outlast.cli.environment import flush_denormals, tune_allocator

tune_allocator()

import torch

flush_denormals()

from torch.profiler import ProfilerActivity, profile

from benchmarks.pages.marks import named_marks, put_figures, table
from benchmarks.peers import ours, train_step

FAMILIES = {"Mamba-1": ("mamba", {}), "Mamba-2 N = 64": ("mamba2", {"state_size": 64}), "GLA": ("gla", {"heads": 4})}
GROUPS = {
    "products": ("mkldnn", "aten::mm", "aten::addmm", "product", "aten::linear"),
    "recurrence forward": ("_scan_def", "selective_scan_def"),
    "recurrence backward": ("scan_backward",),
    "convolution": ("convol",),
    "norms, gates, log-sigmoid": ("norm", "log_sigmoid"),
    "loss and embedding": ("softmax", "nll", "embedding", "index_select"),
}
"""What belongs together, by parts of operators' names; the first that fits counts. A forward pass shows under the name
of the function that its gradients come from."""
OTHERS = "the rest: copies, sums, joining"
STEPS = 5


def group_of(name: str) -> str:
    return next((group for group, parts in GROUPS.items() if any(part in name for part in parts)), OTHERS)


def shares(family: str, settings: dict[str, object], width: int, half: bool) -> tuple[float, dict[str, float]]:
    """Milliseconds a step, and the share of each group."""
    model, x = ours(family, width=width, **settings), torch.randint(256, (4, 512))
    for _ in range(3):
        train_step(model, x, half)
    with profile(activities=[ProfilerActivity.CPU]) as found:
        for _ in range(STEPS):
            train_step(model, x, half)
    spent = dict.fromkeys([*GROUPS, OTHERS], 0.0)
    for event in found.key_averages():
        spent[group_of(event.key)] += event.self_cpu_time_total / 1e3 / STEPS
    whole = sum(spent.values())
    return whole, {group: time / whole for group, time in spent.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    lines = []
    for width in (128, 768):
        for name, (family, settings) in FAMILIES.items():
            for half in (False, True):
                whole, spent = shares(family, settings, width, half)
                cells = [f"{share:.0%}".replace("%", " %") for share in spent.values()]
                precision = "bfloat16" if half else "float32"
                lines.append([f"{name}, width {width}", precision, f"{whole:.0f} ms", *cells])
                print(*lines[-1], sep=" | ", flush=True)
    found = table(["model", "precision", "a step", *GROUPS, OTHERS], lines)
    if options.page:
        put_figures(options.page, "Performance", [found], *named_marks("where"))


if __name__ == "__main__":
    main()
