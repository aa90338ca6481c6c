"""Time of every recurrence on a GPU, forward and backward: flash-linear-attention's kernels against plain torch.

    python -m benchmarks.gpu [--out runs/gpu] [--device cuda] [--rows 8] [--positions 4096] [--heads 8] [--width 64]

Correctness first: outputs, final states and gradients of the two are compared before anything is timed. Writes
``result.json``: rows of what, ours_ms, chunked_ms, ratio (of minima) and deviation, and the environment. With
``--device cpu`` the compiled loops stand in, where there are some.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from outlast import scan
from outlast.cli.environment import environment

Results = tuple[Tensor, ...]
FURTHEST = 2e-2
"""By how much two computations may differ, relative to a tensor's largest entry: factors in TF32 have ten bits."""


def arguments(name: str, vector: bool, B: int, T: int, H: int, K: int, device: str) -> list[Tensor]:
    """Tensors of one recurrence, decays as at the start of training, keys of length 1."""
    draw = torch.Generator(device).manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=draw, device=device)

    def decays(*shape: int) -> Tensor:
        return F.logsigmoid(3 + normal(*shape))

    if name == "short_convolution":
        made = [normal(B, T, H * K), normal(4, H * K), normal(H * K), normal(B, 3, H * K)]
    else:
        qkv = [normal(B, T, H, K), F.normalize(normal(B, T, H, K), dim=-1), normal(B, T, H, K)]
        gates = {
            "linear_scan": lambda: [decays(*((B, T, H, K) if vector else (B, T, H)))],
            "retention": lambda: [decays(H)],
            "rwkv6": lambda: [decays(B, T, H, K), normal(H, K)],
            "gated_delta": lambda: [decays(B, T, H), torch.sigmoid(normal(B, T, H))],
        }[name]()
        made = [*qkv, *gates, normal(B, H, K, K)]
    return [tensor.requires_grad_() for tensor in made]


def both_ways(name: str, way: str, given: list[Tensor]) -> Callable[[], Results]:
    """Forward and backward of one implementation, the gradient of the initial state among the results."""
    scale = () if name == "short_convolution" else (given[0].shape[-1] ** -0.5,)

    def job() -> Results:
        results = scan.pick(way, name)(*given, *scale)
        return *results, *torch.autograd.grad(results, given, [torch.ones_like(result) for result in results])

    return job


def furthest(got: Results, expected: Results) -> float:
    """Largest deviation of any tensor, relative to its largest entry."""
    return max(((a - b).abs().max() / b.abs().max()).item() for a, b in zip(got, expected, strict=True))


def milliseconds(job: Callable[[], Results], device: str, repeats: int = 20) -> float:
    """The shortest of `repeats` runs, after two that compile and tune."""
    wait = torch.cuda.synchronize if device == "cuda" else (lambda: None)
    times = []
    for _ in range(2 + repeats):
        wait()
        began = time.perf_counter()
        job()
        wait()
        times.append(time.perf_counter() - began)
    return 1e3 * min(times[2:])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=Path("runs/gpu"))
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    for name, default in (("rows", 8), ("positions", 4096), ("heads", 8), ("width", 64)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    if given.device == "cuda" and not torch.cuda.is_available():
        sys.exit("no GPU here: torch.cuda.is_available() is False")
    rows = []
    for name, kind in (("linear_scan", "key"), ("linear_scan", "head"), *((r, "") for r in scan.RECURRENCES)):
        if kind == "" and name in ("linear_scan", "gated_dual_scan"):
            continue  # above, and on a GPU the latter is the former with plain torch around it
        choice = scan.choose(name, torch.device(given.device), torch.float32)
        what = f"{name}, one decay a {kind}" if kind else name
        if choice.name == "chunked" or "fla" not in scan.RECURRENCES[name]:
            print(f"{what:34s} {choice.name}: {choice.why}")
            continue
        sizes = (given.rows, given.positions, given.heads, given.width)
        tensors = arguments(name, kind == "key", *sizes, given.device)
        ours, plain = both_ways(name, choice.name, tensors), both_ways(name, "chunked", tensors)
        if not (deviation := furthest(ours(), plain())) <= FURTHEST:
            sys.exit(f"{what}: {choice.name} and chunked differ by {deviation:.1e}; no time is worth reporting")
        times = [milliseconds(job, given.device) for job in (ours, plain)]
        rows.append(
            {
                "what": what,
                "ours": choice.name,
                "ours_ms": times[0],
                "chunked_ms": times[1],
                "ratio": times[1] / times[0],
                "deviation": deviation,
            }
        )
        print(f"{what:34s} {choice.name} {times[0]:9.2f} ms, chunked {times[1]:9.2f} ms, {times[1] / times[0]:6.2f}")
    given.out.mkdir(parents=True, exist_ok=True)
    settings = {name: value for name, value in vars(given).items() if name != "out"}
    result = {"settings": settings, "environment": environment(), "rows": rows}
    (given.out / "result.json").write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
