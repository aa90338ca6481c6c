"""What training and reading language models of some 130 million parameters costs here: ours and transformers'.

    python -m benchmarks.language_size [--out runs/language-size] [--threads 2] [--page docs/performance.md]

Random weights, random tokens of a vocabulary of 50,280, 24 layers of width 768. Each model in a process of its own:
forward, backward and optimiser on 2 × 1,024 positions, scoring one stream without gradients, and the highest memory of
the process. Ours make losses as training and measuring do, from what the head reads. A model whose step takes longer
than `--patience` seconds is timed once, and the table says so, as it does of one that wants more than
`MEMORY` of the machine's memory.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from outlast.cli.environment import flush_denormals, tune_allocator

tune_allocator()

import torch

flush_denormals()

from torch import nn

from benchmarks.pages.marks import named_marks, put_figures, table
from benchmarks.peers import ours, transformers_mamba, transformers_mamba2
from outlast.evaluation.in_pieces import cross_entropy, scored
from outlast.model import Recurrent
from outlast.unprojected import leaving_out_head

VOCABULARY, WIDTH, LAYERS = 50_280, 768, 24
ROWS, LENGTH, PIECE = 2, 1_024, 1_024
OURS = {
    "Mamba-1": ("mamba", {}),
    "Mamba-2": ("mamba2", {"state_size": 128, "heads": 24}),
    "GLA": ("gla", {"heads": 4}),
    "RWKV-6": ("rwkv6", {"heads": 12, "mlp": 3.5}),
}
THEIRS = {"Mamba-1": "mambapy", "Mamba-2": "chunk 64"}
"""transformers' model of the same shape, and how it computes."""
STEPS_OF_A_REPAIR = 100
MEMORY = 0.8
"""Share of the machine's memory that a process may take: one that takes all of it is ended by the system, or others
are."""


def made(name: str, whose: str) -> nn.Module:
    torch.manual_seed(0)
    if whose == "ours":
        family, settings = OURS[name]
        return ours(family, width=WIDTH, layers=LAYERS, size=VOCABULARY, **settings)
    if name == "Mamba-1":
        return transformers_mamba(mambapy=True, width=WIDTH, layers=LAYERS, size=VOCABULARY)
    return transformers_mamba2(128, width=WIDTH, layers=LAYERS, size=VOCABULARY)


def loss_of(model: nn.Module, tokens: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy () of all tokens (B, T + 1) but the first."""
    inputs, targets = tokens[:, :-1], tokens[:, 1:]
    if isinstance(model, Recurrent):
        with leaving_out_head(model):
            outputs, _ = model(inputs, model.initial_state(len(inputs)))
        return cross_entropy(outputs, targets).mean()
    logits = model(input_ids=inputs, use_cache=False).logits
    return nn.functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten())


def measured(name: str, whose: str, half: bool, patience: float) -> dict[str, Any]:
    model = made(name, whose)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4, fused=True)
    draw = torch.Generator().manual_seed(0)
    tokens = torch.randint(VOCABULARY, (ROWS, LENGTH + 1), generator=draw)

    def step() -> float:
        began = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            loss = loss_of(model, tokens)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return time.perf_counter() - began

    first = step()
    steps = [step() for _ in range(2)] if first < patience else [first]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    reading = []
    if isinstance(model, Recurrent):
        state = model.initial_state(1)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=half), leaving_out_head(model):
            for _ in range(3):
                piece = torch.randint(VOCABULARY, (1, PIECE + 1), generator=draw)
                began = time.perf_counter()
                outputs, state = model(piece[:, :-1], state)
                scored(outputs, piece[:, 1:])
                reading.append(time.perf_counter() - began)
    return {
        "name": name,
        "whose": whose,
        "half": half,
        "parameters": sum(each.numel() for each in model.parameters()),
        "step": min(steps),
        "timed": len(steps),
        "read": min(reading) if reading else None,
        "peak": peak,
    }


def within_memory() -> int:
    """Let this process have no more than its share of the memory: how many bytes that is."""
    limit = int(MEMORY * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    return limit


def lines_of(found: list[dict[str, Any]]) -> list[list[str]]:
    lines = []
    for each in found:
        whose = "outlast" if each["whose"] == "ours" else f"transformers, {THEIRS[each['name']]}"
        half = "bfloat16" if each["half"] else "float32"
        if "limit" in each:
            lines.append(
                [each["name"], whose, half, "does not fit", "", "", f"> {each['limit'] / 2**30:.0f} GiB", "", ""]
            )
            continue
        rate = ROWS * LENGTH / each["step"]
        lines.append(
            [
                f"{each['name']}, {each['parameters'] / 1e6:.0f} million",
                whose,
                half,
                f"{each['step']:.2f} s" + ("" if each["timed"] > 1 else ", once"),
                f"{rate:,.0f}",
                "" if each["read"] is None else f"{PIECE / each['read']:,.0f}",
                f"{each['peak'] / 2**30:.1f} GiB",
                f"{3600 / each['step']:,.0f}",
                f"{STEPS_OF_A_REPAIR * each['step'] / 60:.0f} min",
            ]
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/language-size"))
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--patience", type=float, default=8.0)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        torch.set_num_threads(options.threads)
        name, whose, precision = options.one
        half, limit = precision == "bfloat16", within_memory()
        try:
            one = measured(name, whose, half, options.patience)
        except (RuntimeError, MemoryError) as error:
            if "allocate memory" not in str(error) and not isinstance(error, MemoryError):
                raise
            one = {"name": name, "whose": whose, "half": half, "limit": limit}
        print(json.dumps(one))
        return
    found = []
    for name in OURS:
        for whose in ("ours", "transformers"):
            for precision in ("float32", "bfloat16"):
                if whose == "ours" or name in THEIRS:
                    command = [sys.executable, "-m", "benchmarks.language_size", "--one", name, whose, precision]
                    command += ["--threads", str(options.threads), "--patience", str(options.patience)]
                    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                    found.append(json.loads(done.stdout))
                    print(*lines_of(found)[-1], sep=" | ", flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "result.json").write_text(json.dumps(found, indent=1))
    head = ["model", "whose", "precision", f"a step of {ROWS} × {LENGTH:,}", "tokens/s, training"]
    head += ["tokens/s, scoring one stream", "peak memory", "steps/h", f"{STEPS_OF_A_REPAIR} steps of state passing"]
    note = f"({options.threads} of {os.cpu_count()} cores; forward, backward, AdamW. RWKV-6 has MLPs, the others"
    note += " none. Heads of ours are not tied to the embedding, transformers' are.)"
    if options.page:
        put_figures(options.page, "Performance", [table(head, lines_of(found)), note], *named_marks("language-size"))


if __name__ == "__main__":
    main()
