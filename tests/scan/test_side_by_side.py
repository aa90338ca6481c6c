"""Kernels in two threads at a time, with one heap for all threads, as the command line sets it."""

from __future__ import annotations

import subprocess
import sys

import pytest

_SCRIPT = """
import sys
import threading
import torch
from outlast.cli.environment import tune_allocator
from outlast.scan import pick

tune_allocator()
torch.set_num_threads(1)


def tensors(seed):
    source = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=source)

    q, k, v = (normal(16, 64, 4, 16) for _ in range(3))
    k, state = torch.nn.functional.normalize(k, dim=-1), normal(16, 4, 16, 16)
    if sys.argv[1] == "gated_dual_scan":
        step, rate, shared = normal(16, 64, 4).abs(), -normal(4).abs(), [normal(16, 64, 1, 16) for _ in range(2)]
        given = [v, step, rate, *shared, normal(4), normal(16, 64, 64), normal(64), state]
    elif sys.argv[1] == "gated_delta":
        given = [q, k, v, -normal(16, 64, 4).abs(), normal(16, 64, 4), state]
    else:
        given = [q, k, v, -normal(16, 64, 4, 16).abs(), state]
    return [tensor.requires_grad_() for tensor in given]


def results(given):
    for tensor in given:
        tensor.grad = None
    outputs, final = pick("numba", sys.argv[1])(*given, 1e-5 if sys.argv[1] == "gated_dual_scan" else 1.0)
    (outputs.square().sum() + final.square().sum()).backward()
    return [outputs.detach(), final.detach(), *(tensor.grad for tensor in given)]


expected = [results(tensors(seed)) for seed in range(2)]
wrong = []


def work(seed):
    torch.set_num_threads(1)
    given = tensors(seed)
    for _ in range(40):
        if not all(torch.equal(a, b) for a, b in zip(results(given), expected[seed])):
            wrong.append(seed)


threads = [threading.Thread(target=work, args=(seed,)) for seed in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert not wrong, wrong
"""


@pytest.mark.long
@pytest.mark.parametrize("recurrence", ["linear_scan", "gated_delta", "gated_dual_scan"])
def test_scratch_memory_belongs_to_one_kernel_until_it_ends(recurrence: str) -> None:
    """A kernel whose scratch memory was given back too early wrote into the other thread's: the process was aborted."""
    done = subprocess.run([sys.executable, "-c", _SCRIPT, recurrence], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-500:]
