"""What a large vocabulary's head and loss cost in training: the plain way, whose logits (B, T, V) exist, and in pieces.

Forward and backward of head and cross-entropy alone, at width 768 and 2 × 1,024 positions; some two minutes of a core:

    python -m benchmarks.head

Both ways take turns. The first turn tells the memory, the most that the process grew by (gradients included), and that
both give the same gradients; of the others the shortest counts. Linux only.
"""

from __future__ import annotations

import argparse
import ctypes
import time
from collections.abc import Callable
from pathlib import Path

from outlast.cli.environment import flush_denormals, tune_allocator

tune_allocator()

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.pages.marks import table
from outlast.evaluation.in_pieces import cross_entropy
from outlast.unprojected import unprojected

WIDTH, ROWS, POSITIONS = 768, 2, 1024
PRECISIONS = {"float32": False, "bf16 autocast": True}

Loss = Callable[[Tensor, nn.Linear, Tensor], Tensor]


def plain(hidden: Tensor, head: nn.Linear, targets: Tensor) -> Tensor:
    logits = head(hidden).float().flatten(0, 1)
    return F.cross_entropy(logits, targets.flatten(), reduction="none").view(targets.shape)


def in_pieces(hidden: Tensor, head: nn.Linear, targets: Tensor) -> Tensor:
    return cross_entropy(unprojected(hidden, head), targets)


WAYS: dict[str, Loss] = {"plain": plain, "in pieces": in_pieces}


def kib(field: str) -> int:
    """A field of this process's status."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


def step(way: Loss, head: nn.Linear, hidden: Tensor, targets: Tensor, low: bool, trimmed: bool) -> tuple[float, float]:
    """Seconds of forward and backward, and MiB that the process grew by at most."""
    head.weight.grad = hidden.grad = None
    if trimmed:
        ctypes.CDLL("libc.so.6").malloc_trim(0)  # what was freed is kept for the next step otherwise
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins here
    before, began = kib("VmRSS"), time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=low):
        loss = way(hidden, head, targets).mean()
    loss.backward()
    return time.perf_counter() - began, (kib("VmHWM") - before) / 1024


def compared(vocabulary: int, low: bool, rows: int, positions: int, rounds: int) -> dict[str, tuple[float, float]]:
    """Of each way the least seconds, and MiB."""
    torch.manual_seed(0)
    head = nn.Linear(WIDTH, vocabulary, bias=False)
    hidden = torch.randn(rows, positions, WIDTH).requires_grad_()
    targets = torch.randint(vocabulary, (rows, positions))
    memory, seconds = dict[str, float](), {name: list[float]() for name in WAYS}
    gradients: list[Tensor] = []
    for name, way in WAYS.items():
        memory[name] = step(way, head, hidden, targets, low, trimmed=True)[1]
        assert hidden.grad is not None
        gradients.append(hidden.grad)
    off = float((gradients[0] - gradients[1]).abs().max() / gradients[0].abs().max())
    assert off < (3e-2 if low else 1e-4), f"gradients differ by {off:.1e}"
    for _ in range(rounds):
        for name, way in WAYS.items():
            seconds[name].append(step(way, head, hidden, targets, low, trimmed=False)[0])
    return {name: (min(seconds[name]), memory[name]) for name in WAYS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vocabulary", type=int, nargs="+", default=[50_257, 150_000])
    parser.add_argument("--positions", type=int, default=POSITIONS)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    flush_denormals()
    torch.set_num_threads(1)
    lines = []
    for name, low in PRECISIONS.items():
        compared(1000, low, ROWS, 64, 1)  # what only the first call takes
        for vocabulary in options.vocabulary:
            found = compared(vocabulary, low, ROWS, options.positions, options.rounds)
            (seconds, mib), (own_seconds, own_mib) = found["plain"], found["in pieces"]
            times = [f"{seconds:.2f} s", f"{own_seconds:.2f} s", f"{own_seconds / seconds:.2f}"]
            memory = [f"{mib:,.0f} MiB", f"{own_mib:,.0f} MiB", f"{4 * WIDTH * vocabulary / 2**20:,.0f} MiB"]
            lines.append([f"{vocabulary:,}", name, *times, *memory])
            print(*lines[-1], flush=True)
    head = [
        "V",
        "precision",
        "plain",
        "in pieces",
        "ratio",
        "memory, plain",
        "in pieces",
        "of it the weight's gradient",
    ]
    print(table(head, lines))


if __name__ == "__main__":
    main()
