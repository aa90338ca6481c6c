"""Speed of outlast's models and kernels against their peers: everything interleaved in one run, correctness first.

    python -m benchmarks.bench [--out runs/bench] [--page docs/performance.md]

Writes ``result.json`` (rows of what, peer, ours_ms, peer_ms, ratio: minima, with medians beside them) and ``cost.svg``.
What the rows mean stands in docs/performance.md.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from outlast.cli.environment import environment, flush_denormals, tune_allocator

ALLOCATOR = tune_allocator()

import numpy as np
import torch

flush_denormals()

from torch import nn

from benchmarks.bench_page import sections
from benchmarks.pages.marks import put_figures
from benchmarks.peers import Projections, Rnn, copy_weights, ours, train_step, transformers_mamba, transformers_mamba2
from outlast import InputSpec, Recurrent, Streams, build, evaluate, load, scan
from outlast.scan import fused_product

Job = Callable[[], object]
ROWS: list[dict] = []


def interleaved(jobs: dict[str, Job], seconds: float, repeats: int = 9) -> dict[str, list[float]]:
    """Milliseconds of every job, all of them in turn, after one turn that is not counted.

    A job that takes longer than `seconds` is repeated less often, and one of several seconds is run once.
    """
    times: dict[str, list[float]] = {name: [] for name in jobs}
    first: dict[str, float] = {}
    for turn in range(repeats + 1):
        for name, job in jobs.items():
            if turn > 0 and (first[name] > 3 or (sum(times[name]) / 1e3 > seconds and len(times[name]) >= 3)):
                continue
            began = time.perf_counter()
            job()
            took = time.perf_counter() - began
            first.setdefault(name, took)
            if turn > 0 or took > 3:
                times[name].append(took * 1e3)
    return times


def median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def rows(what: str, times: dict[str, list[float]], mine: str, **more: object) -> None:
    """One row for every peer of `mine`."""
    for peer in times:
        if peer != mine:
            row = {
                "what": what,
                "peer": peer,
                "ours_ms": round(min(times[mine]), 3),
                "peer_ms": round(min(times[peer]), 3),
                "ratio": round(min(times[peer]) / min(times[mine]), 3),
                "ours_median_ms": round(median(times[mine]), 3),
                "peer_median_ms": round(median(times[peer]), 3),
                "repeats": [len(times[mine]), len(times[peer])],
                "threads": torch.get_num_threads(),
                "allocator": ALLOCATOR,
                **more,
            }
            ROWS.append(row)
            print(
                f"{what:42s} {peer:34s} {row['ours_ms']:10.2f} {row['peer_ms']:10.2f} {row['ratio']:8.2f}", flush=True
            )


def tokens(rows: int, length: int) -> torch.Tensor:
    return torch.randint(256, (rows, length), generator=torch.Generator().manual_seed(0))


def forced(name: str, job: Job) -> Job:
    """`job` with the scan called `name`."""

    def run() -> None:
        os.environ["OUTLAST_SCAN"] = name
        try:
            job()
        finally:
            del os.environ["OUTLAST_SCAN"]

    return run


def close(what: str, got: torch.Tensor, expected: torch.Tensor, tolerance: float = 1e-4) -> None:
    """Stop the run unless two computations of the same numbers agree."""
    worst = ((got - expected).abs().max() / expected.abs().max()).item()
    if not worst <= tolerance:
        sys.exit(f"{what}: differs by {worst:.1e}, more than {tolerance:.0e}; no time is worth reporting")


def same_as_theirs(theirs: nn.Module, mine: nn.Module, what: str) -> None:
    """Loss and the gradients of the projections in and out, with the same weights: ours against theirs."""
    copy_weights(theirs, mine)
    x = tokens(2, 100)
    losses = [torch.tensor(train_step(model, x)) for model in (mine, theirs)]
    close(what, *losses)
    for block, layer in zip(mine.blocks, theirs.backbone.layers, strict=True):
        close(what, block.mixer.input.weight.grad, layer.mixer.in_proj.weight.grad)
        close(what, block.mixer.output.weight.grad, layer.mixer.out_proj.weight.grad)


def same_as_chunked(model: nn.Module, what: str) -> None:
    x = tokens(2, 100)
    train_step(model, x)
    mine = [p.grad.clone() for p in model.parameters()]
    forced("chunked", lambda: train_step(model, x))()
    for a, p in zip(mine, model.parameters(), strict=True):
        close(what, a, p.grad)


def models() -> None:
    """Forward and backward of whole models on 4 × 512 bytes."""
    x = tokens(4, 512)

    def step(model: nn.Module) -> Job:
        return lambda: train_step(model, x)

    mine, default, mambapy = ours("mamba"), transformers_mamba(mambapy=False), transformers_mamba(mambapy=True)
    same_as_theirs(mambapy, mine, "Mamba-1 against transformers")
    jobs = {
        "ours": step(mine),
        "projections alone": step(Projections("mamba")),
        "chunked torch (ours)": forced("chunked", step(mine)),
        "transformers with mambapy": step(mambapy),
        "nn.LSTM": step(Rnn(nn.LSTM)),
        "nn.GRU": step(Rnn(nn.GRU)),
        "transformers default": step(default),
    }
    same_as_chunked(mine, "Mamba-1")
    rows("train Mamba-1, 4 x 512", interleaved(jobs, 4), "ours")
    for N in (64, 128):
        mine, theirs = ours("mamba2", state_size=N), transformers_mamba2(N)
        same_as_theirs(theirs, mine, f"Mamba-2, N = {N}, against transformers")
        same_as_chunked(mine, f"Mamba-2, N = {N}")
        jobs = {"ours": step(mine), "transformers, chunk 64": step(theirs)}
        jobs["chunked torch (ours)"] = forced("chunked", step(mine))
        if N == 64:
            jobs["projections alone"] = step(Projections("mamba2"))
        rows(f"train Mamba-2 N = {N}, 4 x 512", interleaved(jobs, 4), "ours")
    mine = ours("gla", heads=4)
    same_as_chunked(mine, "GLA")
    jobs = {
        "ours": step(mine),
        "projections alone": step(Projections("gla")),
        "chunked torch (ours)": forced("chunked", step(mine)),
        "nn.LSTM": step(Rnn(nn.LSTM)),
    }
    rows("train GLA, 4 x 512", interleaved(jobs, 4), "ours")
    mine = ours("gated_deltanet", heads=4)
    same_as_chunked(mine, "Gated DeltaNet")
    jobs = {"ours": step(mine), "chunked torch (ours)": forced("chunked", step(mine))}
    rows("train gated DeltaNet, 4 x 512", interleaved(jobs, 4), "ours")


def from_directories() -> None:
    """A training step of a directory of transformers, which is read as our family, and of the family itself."""
    x = tokens(4, 512)
    for family, name, settings, theirs in (
        ("mamba", "Mamba-1", {}, transformers_mamba(mambapy=False)),
        ("mamba2", "Mamba-2 N = 64", {"state_size": 64}, transformers_mamba2(64)),
    ):
        mine = ours(family, **settings)
        copy_weights(theirs, mine)
        with tempfile.TemporaryDirectory() as folder:
            theirs.save_pretrained(folder)
            loaded = load(folder).train()
        close(f"{name} from a directory", *(torch.tensor(train_step(model, x)) for model in (loaded, mine)))
        jobs = {"a directory of transformers": lambda m=loaded: train_step(m, x)}
        jobs["the family"] = lambda m=mine: train_step(m, x)
        rows(f"train {name} from a directory", interleaved(jobs, 8, 40), "a directory of transformers")


HALF = (("mamba", "Mamba-1", {}), ("mamba2", "Mamba-2 N = 64", {"state_size": 64}), ("gla", "GLA", {"heads": 4}))
"""Families that are trained in bfloat16, at two widths; Mamba-2 in heads of 64."""


def half_precision(width: int) -> None:
    """Forward and backward in bfloat16 against float32, ours and transformers'."""
    x = tokens(4, 512)

    def step(model: nn.Module, half: bool) -> Job:
        return lambda: train_step(model, x, half)

    for family, name, settings in HALF:
        heads = {"heads": width // 32} if family == "mamba2" else {}
        mine, limit = ours(family, width=width, **settings, **heads), Projections(family, width)
        close(f"{name} in bfloat16", *(torch.tensor(train_step(mine, x, half)) for half in (True, False)), 0.01)
        jobs = {
            "ours in bfloat16": step(mine, True),
            "ours in float32": step(mine, False),
            "ours in float32, products by MKL": by_mkl(step(mine, False)),
            "projections alone in bfloat16": step(limit, True),
        }
        if family == "mamba2":
            theirs = transformers_mamba2(64, width=width)
            jobs["transformers in float32, chunk 64"] = step(theirs, False)
            jobs["transformers in bfloat16, chunk 64"] = step(theirs, True)
        if family == "mamba" and width == 128:
            jobs["transformers with mambapy"] = step(transformers_mamba(mambapy=True), False)
        rows(f"train {name}, width {width}, bfloat16", interleaved(jobs, 3, 7), "ours in bfloat16")


def by_mkl(job: Job) -> Job:
    """`job` with torch's own products in float32."""

    def run() -> None:
        with mock.patch.object(fused_product, "onednn_is_faster", return_value=False):
            job()

    return run


def core() -> None:
    """The linear recurrence of GLA and the gated delta rule alone."""
    recurrence_alone("linear_scan", "GLA's recurrence", 4, 16, 32)
    for H, K, V in ((2, 16, 32), (4, 64, 64)):
        recurrence_alone("gated_delta", f"the gated delta rule, {K} x {V}", H, K, V)


def recurrence_alone(recurrence: str, what: str, H: int, K: int, V: int) -> None:
    """Forward and backward of a recurrence over 4 × 512 positions, ours against chunked."""
    draw = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(4, 512, H, width, generator=draw) for width in (K, K, V))
    if recurrence == "gated_delta":
        gates = [-0.05 * torch.rand(4, 512, H, generator=draw), torch.rand(4, 512, H, generator=draw)]
        k = nn.functional.normalize(k, dim=-1)
    else:
        gates = [-0.05 * torch.rand(4, 512, H, K, generator=draw)]
    state = torch.randn(4, H, K, V, generator=draw)
    given = [tensor.requires_grad_() for tensor in (q, k, v, *gates, state)]
    weights = [torch.randn(v.shape, generator=draw), torch.randn(state.shape, generator=draw)]

    def both(name: str) -> Job:
        def job() -> list[torch.Tensor]:
            return list(torch.autograd.grad(scan.pick(name, recurrence)(*given, 0.25), given, weights))

        return job

    for a, b in zip(both("numba")(), both("chunked")(), strict=True):
        close(what, a, b)
    jobs = {"ours": both("numba"), "chunked torch (ours)": both("chunked")}
    rows(f"{what} alone, 4 x 512 x {H} heads", interleaved(jobs, 3, 15), "ours")


def quickstart() -> None:
    """The quickstart's model: a training step of 32 × 64 minutes, and reading without gradients."""
    from outlast.families import build
    from outlast.model import InputSpec

    model = build("gla", inputs=InputSpec("features", 7), outputs=32)
    small, wide = torch.randn(32, 64, 7), torch.randn(64, 256, 7)
    target = torch.randint(32, (32 * 64,))

    def step() -> None:
        model.zero_grad()
        outputs, _ = model(small, model.initial_state(32))
        nn.functional.cross_entropy(outputs.flatten(0, 1), target).backward()

    @torch.no_grad()
    def read() -> None:
        model(wide, model.initial_state(64))

    for what, job in (("quickstart's step, 32 x 64", step), ("quickstart's reading, 64 x 256", read)):
        rows(what, interleaved({"ours": job, "chunked torch (ours)": forced("chunked", job)}, 2, 15), "ours")
    carried = model(small, model.initial_state(32))[1]
    carried = tuple(type(layer)(*(None if t is None else t.detach() for t in layer)) for layer in carried)

    def from_carried() -> None:
        model.zero_grad()
        outputs, _ = model(small, carried)
        nn.functional.cross_entropy(outputs.flatten(0, 1), target).backward()

    rows("a step from a carried state", interleaved({"ours": from_carried, "from zero": step}, 2, 15), "ours")


def threads() -> None:
    """Two threads against one: training, measuring, and serving many small streams."""
    if (os.cpu_count() or 1) < 2:
        return
    x = tokens(4, 512)
    for family, settings in (("mamba", {}), ("mamba2", {"state_size": 64}), ("gla", {"heads": 4})):
        for half in (False, True):
            model = ours(family, **settings)
            what = f"train {family}, 4 x 512{', bfloat16' if half else ''}"
            two_threads(what, functools.partial(train_step, model, x, half), 3)
    for family in ("gla", "mamba2", "lstm"):
        small = build(family, inputs=InputSpec("features", 4), outputs=64, width=64)
        draw = np.random.default_rng(0)
        streams = Streams(
            inputs=draw.standard_normal((64 * 4_000, 4)).astype(np.float32),
            targets=draw.integers(0, 64, 64 * 4_000),
            starts=np.arange(64) * 4_000,
            lengths=np.full(64, 4_000),
            classes=64,
        )
        measure = functools.partial(evaluate, small, streams, train_context=64)
        two_threads(f"measure {family}, 64 streams x 4,000", measure, 1, repeats=3)
        two_threads(f"serve {family}, a position of 1,000 streams", served(small, 1_000), 1, repeats=40)


def served(model: Recurrent, count: int) -> Job:
    """One position of so many streams."""
    state, position = model.initial_state(count), torch.randn(count, 1, 4)

    @torch.inference_mode()
    def job() -> None:
        model(position, state)

    return job


def two_threads(what: str, job: Job, rounds: int, repeats: int | None = None) -> None:
    """A row: two threads against one."""

    def in_threads(count: int) -> Job:
        def work() -> None:
            torch.set_num_threads(count)
            job()

        return work

    more = () if repeats is None else (repeats,)
    times = interleaved({"two threads": in_threads(2), "one thread": in_threads(1)}, rounds, *more)
    torch.set_num_threads(1)
    rows(what, times, "two threads", threads=[2, 1])


def costs() -> dict[str, list[tuple[int, float]]]:
    """Milliseconds a step against length, width and rows, and resident memory and time of a long stream."""
    curves: dict[str, list[tuple[int, float]]] = {}
    for family, settings in (("mamba", {}), ("mamba2", {"state_size": 64}), ("gla", {"heads": 4})):
        model = ours(family, **settings)
        for length in (128, 512, 2048, 8192):
            x = tokens(1, length)
            took = interleaved({"ours": lambda m=model, x=x: train_step(m, x)}, 1, 4)["ours"]
            curves.setdefault(f"{family}, length", []).append((length, min(took)))
        for width in (64, 128, 256):
            wide, x = ours(family, **settings, width=width), tokens(4, 256)
            took = interleaved({"ours": lambda m=wide, x=x: train_step(m, x)}, 1, 4)["ours"]
            curves.setdefault(f"{family}, width", []).append((width, min(took)))
        for count in (1, 4, 16):
            x = tokens(count, 256)
            took = interleaved({"ours": lambda m=model, x=x: train_step(m, x)}, 1, 4)["ours"]
            curves.setdefault(f"{family}, rows", []).append((count, min(took)))
    return curves


@torch.no_grad()
def long_stream(family: str, length: int, **settings: object) -> dict:
    """A stream read in chunks of 4,096: seconds for each half, and how far resident memory rose in the second."""
    model = ours(family, **settings)
    state = model.initial_state(1)
    piece = tokens(1, 4096)
    halves, memory = [], []
    for _ in range(2):
        began = time.perf_counter()
        for _ in range(length // 2 // 4096):
            _, state = model(piece, state)
        halves.append(round(time.perf_counter() - began, 3))
        memory.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
    return {"family": family, "positions": length, "seconds": halves, "peak_mib": memory}


FIRST = """
import sys, time, torch
torch.set_num_threads(1)
from outlast.families import build
from outlast.model import InputSpec
model = build(sys.argv[1], inputs=InputSpec("tokens", 16), outputs=16, width=32)
x = torch.zeros(2, 40, dtype=torch.long)
began = time.perf_counter()
model(x, model.initial_state(2))[0].sum().backward()
print(time.perf_counter() - began)
"""


def first_calls() -> list[dict]:
    """Seconds of a family's first forward and backward in a new process: nothing compiled yet, then from the cache."""
    calls = []
    for family in ("gla", "mamba2", "mamba"):
        with tempfile.TemporaryDirectory() as cache:
            surroundings = {**os.environ, "NUMBA_CACHE_DIR": cache}
            took = [
                float(subprocess.check_output([sys.executable, "-c", FIRST, family], env=surroundings))
                for _ in range(2)
            ]
        calls.append({"family": family, "cold_s": round(took[0], 2), "cached_s": round(took[1], 2)})
        print(calls[-1], flush=True)
    return calls


def plot(curves: dict[str, list[tuple[int, float]]], path: Path) -> None:
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(11, 3.5), sharey=True)
    for axis, what in zip(axes, ("length", "width", "rows"), strict=True):
        for name, points in curves.items():
            if name.endswith(what):
                axis.plot(*zip(*points, strict=True), marker="o", label=name.split(",")[0])
        axis.set(xscale="log", yscale="log", xlabel=what)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("milliseconds a training step")
    axes[0].legend()
    figure.tight_layout()
    figure.savefig(path)


PARTS: dict[str, Callable[[], None]] = {
    "core": core,
    "quickstart": quickstart,
    "models": models,
    "directories": from_directories,
    "half precision, width 128": functools.partial(half_precision, 128),
    "half precision, width 768": functools.partial(half_precision, 768),
    "threads": threads,
}


def apart(part: str, folder: Path, **more: str) -> list[dict]:
    """The rows of a part, from a process of its own, in which no other part has left its memory and threads."""
    path = folder / "part.json"
    command = [sys.executable, "-m", "benchmarks.bench", "--part", part, "--out", str(path)]
    subprocess.run(command, env={**os.environ, **more}, check=True)
    found = json.loads(path.read_text())
    path.unlink()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    parser.add_argument("--page", type=Path, help="Markdown file whose figures are replaced")
    parser.add_argument("--part", choices=list(PARTS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    began = time.monotonic()
    if options.part:
        PARTS[options.part]()
        options.out.write_text(json.dumps(ROWS))
        return
    options.out.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        ROWS.extend(apart(part, options.out))
    curves = costs()
    long = [long_stream("gla", 1 << 20, heads=4), long_stream("mamba", 1 << 20), long_stream("mamba2", 1 << 20)]
    print(*long, sep="\n", flush=True)
    calls = first_calls()
    # Once more with memory handed back to the system after every operation, as a plain script would have it.
    ROWS.extend(apart("models", options.out, OUTLAST_ALLOCATOR="default"))
    result = {
        "kind": "bench",
        "environment": {key: str(value) for key, value in environment().items()},
        "seconds": round(time.monotonic() - began),
        "rows": ROWS,
        "cost": curves,
        "long_streams": long,
        "first_calls": calls,
    }
    (options.out / "result.json").write_text(json.dumps(result, indent=1))
    plot(curves, options.out / "cost.svg")
    if options.page:
        shutil.copyfile(options.out / "cost.svg", options.page.with_name("performance-cost.svg"))
        put_figures(options.page, "Performance", sections(result))


if __name__ == "__main__":
    main()
