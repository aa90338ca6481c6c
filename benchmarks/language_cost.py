"""What measuring language models of some 130 million parameters costs here, and how near the estimate before it comes.

The checkpoints have the shapes of Mamba-130M and Mamba-2-130M, as transformers saves them, with random weights; the
data are random tokens. Their losses mean nothing; time and memory are those of any such model.
Prints a table; `--page` puts it into a Markdown page.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

import outlast
from benchmarks.pages.marks import named_marks, put_figures, table
from outlast.cli.environment import flush_denormals, tune_allocator
from outlast.cli.progress import expected
from outlast.durations import seconds_of, written
from outlast.evaluation import Cost, EvalSettings, cost

VOCABULARY = 50_280
MODELS = ("Mamba", "Mamba-2")
WHOLE = {"streams": 8, "length": 16_384, "train_context": 2048}
"""What one would measure; it is only tried, and its cost told."""
SHORT = {"streams": 12, "length": 512, "train_context": 128}
"""What is measured to its end, as far as the budget allows."""


def write_checkpoint(name: str, folder: Path) -> None:
    """A model of this shape with random weights, as its library saves it."""
    from transformers import Mamba2Config, Mamba2ForCausalLM, MambaConfig, MambaForCausalLM

    torch.manual_seed(0)
    shape: dict[str, Any] = {"hidden_size": 768, "num_hidden_layers": 24, "vocab_size": VOCABULARY}
    if name == "Mamba":
        made = MambaForCausalLM(MambaConfig(**shape, state_size=16))
    else:
        made = Mamba2ForCausalLM(Mamba2Config(**shape, state_size=128, head_dim=64, num_heads=24, n_groups=1))
    made.save_pretrained(folder)


def tokens(streams: int, length: int) -> outlast.Streams:
    random = np.random.default_rng(0).integers(0, VOCABULARY, (streams, length + 1), np.int32)
    return outlast.Streams.from_tokens(random, vocabulary=VOCABULARY)


def measured(folder: Path, budget: float) -> dict[str, Any]:
    """The cost of the whole as it is told, then the short one under a budget: as told, and as it was."""
    model, told = outlast.load(folder), list[Cost]()
    whole = cost(
        model, tokens(WHOLE["streams"], WHOLE["length"]), train_context=WHOLE["train_context"], settings=EvalSettings()
    )
    result = outlast.evaluate(
        model,
        tokens(SHORT["streams"], SHORT["length"]),
        train_context=SHORT["train_context"],
        settings=EvalSettings(budget=budget),
        announce=told.append,
    )
    print(expected(whole), file=sys.stderr)
    return {
        "parameters": result.model["parameters"],
        "whole": vars(whole),
        "told": vars(told[0]),
        "targets": result.settings["targets"],
        "verdict": result.verdict is not None,
        "seconds": result.seconds,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def rows(found: dict[str, dict[str, Any]]) -> list[list[str]]:
    lines = []
    for name, each in found.items():
        whole, told = Cost(**each["whole"]), Cost(**each["told"])
        gib = f"{told.memory / 2**30:.1f} and {each['memory'] / 2**30:.1f} GiB"
        lines.append(
            [
                f"{name}, {each['parameters'] / 1e6:.0f} million",
                f"{whole.positions / whole.seconds:,.0f}",
                f"{whole.positions:,}: {written(whole.seconds)}",
                f"{told.streams} streams, {each['targets']} scored" + ("" if each["verdict"] else ", no verdict"),
                f"{told.positions:,}",
                f"{told.seconds:.0f} s and {each['seconds']:.0f} s",
                gib,
            ]
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/language"))
    parser.add_argument("--budget", default="3min", help="of the measurement that is made to its end")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    budget = seconds_of(options.budget, "--budget")
    if options.one:
        tune_allocator()
        flush_denormals()
        torch.set_num_threads(options.threads)
        print(json.dumps(measured(options.out / options.one, budget)))
        return
    found = {}
    for name in MODELS:
        write_checkpoint(name, options.out / name)
        # Each in a process of its own, whose memory is that of the measurement.
        command = [sys.executable, "-m", "benchmarks.language_cost", "--one", name]
        command += ["--out", str(options.out), "--budget", options.budget]
        command += ["--threads", str(options.threads)]
        found[name] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    head = [
        "model",
        "positions/s",
        f"{WHOLE['streams']} streams × {WHOLE['length']:,} at T = {WHOLE['train_context']:,}, expected",
        f"chosen for {options.budget} of {SHORT['streams']} × {SHORT['length']:,} at T = {SHORT['train_context']}",
        "positions read",
        "expected, and whole run",
        "memory, expected and peak",
    ]
    load = os.getloadavg()[2]
    beside = ", so other work ran beside" if load > options.threads + 0.5 else ""
    note = (
        f"({options.threads} thread of {os.cpu_count()} cores; the machine's load over the last 15 minutes was "
        f"{load:.1f}{beside}. The whole run has the trial in it.)"
    )
    lines = [table(head, rows(found)), note]
    print("\n\n".join(lines))
    if options.page:
        put_figures(options.page, "How outlast measures", lines, *named_marks("language-cost"))


if __name__ == "__main__":
    main()
