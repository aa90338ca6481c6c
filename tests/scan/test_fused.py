"""What is particular to the compiled kernels: tiles, strides, threads, forks, what they say and what they refuse."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from outlast import scan
from outlast.scan import fused, fused_delta, fused_dual
from outlast.scan.kernels import threads
from outlast.scan.kernels.compiling import kernel

KINDS = {"decay a channel": "linear_scan", "decay a head": "linear_scan", "delta rule": "gated_delta"}
"""What the kernels compute, and the recurrence that it belongs to."""

every_kind = pytest.mark.parametrize("kind", KINDS)


def make(kind, B=2, T=40, H=2, K=16, V=32, *, low=-0.5, seed=0):
    """Arguments of the kind's recurrence but its scale: q, k, v, log decays, the strength where it has one, state."""
    draw = torch.Generator().manual_seed(seed)
    q, k, v = (torch.randn(B, T, H, width, generator=draw) for width in (K, K, V))
    decay = low * torch.rand((B, T, H, K) if kind == "decay a channel" else (B, T, H), generator=draw)
    state = torch.randn(B, H, K, V, generator=draw)
    if kind != "delta rule":
        return [q, k, v, decay, state]
    # Unit keys, as in the layer: the memory would grow without bound otherwise.
    return [q, F.normalize(k, dim=-1), v, decay, 2 * torch.rand((B, T, H), generator=draw), state]


def call(kind, arguments, way="numba"):
    return scan.RECURRENCES[KINDS[kind]][way](*arguments, 0.3)


def run(kind, arguments, way="numba"):
    """Outputs, final state, and the gradients of a random linear function of both."""
    inputs = [x.detach().requires_grad_() for x in arguments]
    results = call(kind, inputs, way)
    draw = torch.Generator().manual_seed(1)
    weights = [torch.randn(x.shape, generator=draw).to(x.dtype) for x in results]
    return *results, *torch.autograd.grad(results, inputs, weights)


def assert_defined(kind, arguments, tolerance=2e-6):
    expected = run(kind, [x.double() for x in arguments], "reference")
    for got, exact in zip(run(kind, arguments), expected, strict=True):
        assert (got.double() - exact).abs().max() <= tolerance * exact.abs().max()


@every_kind
@pytest.mark.parametrize(("K", "V"), [(1, 1), (8, 32), (9, 33), (16, 64), (33, 31), (64, 70), (256, 3)])
@pytest.mark.parametrize("T", [1, 32, 65])
def test_every_width_around_a_tile(K, V, T, kind):
    assert_defined(kind, make(kind, 2, T, 2, K, V))


@every_kind
def test_any_stride(kind):
    q, k, v, *gates, state = make(kind, 3, 40, 2, 5, 7)
    wide = torch.cat([q, k, v], -1)
    sliced = wide[..., :5], wide[..., 5:10], wide[..., 10:]
    heads_first = [x.transpose(1, 2).contiguous().transpose(1, 2) for x in (q, k, v, *gates)]
    lanes_apart = [torch.stack([x, x], -1)[..., 0] for x in (q, k, v, *gates)]
    backwards_state = state.transpose(2, 3).contiguous().transpose(2, 3)
    expected = run(kind, [q, k, v, *gates, state])
    for given in ([*sliced, *gates], heads_first, lanes_apart, [q.clone(), k.clone(), v, *gates]):
        for got, want in zip(run(kind, [*given, backwards_state]), expected, strict=True):
            assert torch.equal(got, want)


@every_kind
def test_an_expanded_key_and_gradients_of_one_result_alone(kind):
    """Keys that all rows share, and a loss of the final state or of the outputs only."""
    q, k, *others = make(kind)
    for use in (0, 1):
        grads = []
        for way, dtype in (("numba", torch.float32), ("reference", torch.float64)):
            shared = k[:1].to(dtype).requires_grad_()
            q, *others = (x.detach().to(dtype).requires_grad_() for x in (q, *others))
            result = call(kind, [q, shared.expand(2, -1, -1, -1), *others], way)[use]
            grads.append(torch.autograd.grad(result.square().sum(), [shared, *others]))
        for got, exact in zip(*grads, strict=True):
            assert (got - exact).abs().max() <= 2e-6 * exact.abs().max()


@every_kind
@pytest.mark.parametrize("low", [-8.0, -0.2])
def test_strong_decay_at_length_4096(kind, low):
    """Rates from almost none to exp(8) a position, and the gradients of the decays with them."""
    assert_defined(kind, make(kind, 1, 4096, 2, 12, 20, low=low), 1e-5)


@every_kind
def test_a_decay_of_zero(kind):
    """At some positions of a long sequence the memory is cut: as it is defined, gradients included."""
    arguments = make(kind, 1, 200, 2, 9, 33)
    arguments[3][:, 7::40] = -torch.inf
    assert_defined(kind, arguments)


@every_kind
def test_pieces_equal_the_whole(kind):
    *along, state = make(kind, T=75)
    whole, final = call(kind, [*along, state])
    early, between = call(kind, [*(x[:, :33] for x in along), state])
    late, end = call(kind, [*(x[:, 33:] for x in along), between])
    # With one decay a head a piece is one sum, so where pieces end shows in the last bits.
    tolerance = 5e-6 if kind == "decay a head" else 0
    torch.testing.assert_close(torch.cat([early, late], 1), whole, rtol=0, atol=tolerance)
    torch.testing.assert_close(end, final, rtol=0, atol=tolerance)


@every_kind
def test_infinities_and_what_is_no_number_stay(kind):
    for bad in (float("nan"), float("inf")):
        arguments = make(kind)
        arguments[2][0, 3] = bad
        outputs, final = call(kind, arguments)
        assert not torch.isfinite(outputs[0, 3]).any()
        assert not torch.isfinite(final[0]).any()
        assert torch.isfinite(outputs[1]).all()
        arguments[3][1, 3] = float("nan")
        assert call(kind, arguments)[0][1, 3].isnan().all()


@pytest.fixture(params=["torch's", "our own"] if threads.start() else ["our own"])
def spread_over(request, monkeypatch):
    """Every kernel in threads, torch's or those of our own pool; what it gives counts how often they were asked for."""
    monkeypatch.setattr(threads, "WORTH", 1)
    name = "run" if request.param == "torch's" else "_workers"
    if name == "_workers":
        monkeypatch.setattr(threads, "start", lambda: None)
    asked, usual = [], getattr(threads, name)
    monkeypatch.setattr(threads, name, lambda *given: asked.append(1) or usual(*given))
    return asked


@every_kind
def test_threads_do_not_change_a_bit(kind, monkeypatch, spread_over):
    arguments = make(kind, 3, 50)
    alone = run(kind, arguments)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    assert not spread_over
    together = run(kind, arguments)
    assert spread_over
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))


@every_kind
def test_from_several_threads_at_once(kind, monkeypatch, spread_over):
    """Models that run side by side, each of which also spreads its own work."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    many = [make(kind, 3, 50, seed=seed) for seed in range(4)]
    expected = [run(kind, arguments) for arguments in many]
    results = [[] for _ in many]
    threads._body.cache_clear()
    at_once = threading.Barrier(len(many))

    def work(i):
        at_once.wait()  # each then finds nothing made yet
        results[i] = [run(kind, many[i]) for _ in range(10)]

    running = [threading.Thread(target=work, args=(i,)) for i in range(len(many))]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert spread_over
    for got, want in zip(results, expected, strict=True):
        assert len(got) == 10
        assert all(torch.equal(a, b) for one in got for a, b in zip(one, want, strict=True))


@every_kind
def test_after_a_fork(kind, monkeypatch, spread_over):
    """As in a data loader's worker: the parent's threads are gone, whoever's they were, and the child makes its own."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    arguments = make(kind)
    expected = call(kind, arguments)[0]
    assert spread_over
    child = os.fork()
    if child == 0:
        signal.alarm(60)  # threads that are not there would be waited for
        same = torch.equal(call(kind, arguments)[0], expected)
        os._exit(0 if same else 1)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads as Linux shows them")
def test_a_kernel_for_fewer_threads_than_torch_has_ends_none_of_them():
    """A smaller team would: torch's next operator would have to make threads anew."""
    script = """
import os, torch
from outlast.scan.kernels import threads
from outlast.scan.kernels.compiling import kernel

@kernel
def nothing(first, last):
    pass

torch.set_num_threads(4)
many, seen = torch.ones(1 << 20), set()
for _ in range(20):
    many + many
    threads.run(nothing, 2, 2)
    seen |= set(os.listdir("/proc/self/task"))
print(len(seen), len(os.listdir("/proc/self/task")))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    ever, now = map(int, done.stdout.split())
    assert ever == now


def test_torchs_threads_are_found_on_linux():
    assert (threads.start() is not None) == (sys.platform == "linux")


@kernel
def _fails(first, last, numbers, factor, half, nothing):
    if numbers[0] == 3 and factor == np.float32(0.25) and half and nothing is None and last > 1:
        raise ValueError("on purpose")


@pytest.mark.skipif(threads.start() is None, reason="torch's threads are others on this system")
def test_a_kernel_that_fails_in_any_thread_is_told():
    """And what it was given arrives, of every type."""
    threads.run(_fails, 2, 2, (3, 4), np.float32(0.5), True, None)
    with pytest.raises(RuntimeError, match="_fails failed"):
        threads.run(_fails, 2, 2, (3, 4), np.float32(0.25), True, None)


def _operator(kind):
    return {
        "decay a channel": fused._linear_scan,
        "decay a head": fused_dual._dual_scan,
        "delta rule": fused_delta._gated_delta,
    }[kind]


@every_kind
def test_without_gradients_no_states_are_kept(kind):
    arguments = make(kind)
    assert _operator(kind)(*arguments, 0.3, False)[2].numel() == 0
    assert _operator(kind)(*arguments, 0.3, True)[2].shape[2] == 2


@every_kind
def test_the_operator_keeps_torchs_promises(kind):
    """Shapes without data for torch.compile, no argument edited, gradients registered."""
    arguments = [x.requires_grad_() for x in make(kind, 2, 33, 2, 3, 4)]
    torch.library.opcheck(
        _operator(kind).overload,
        (*arguments, 0.3, True),
        test_utils=("test_schema", "test_autograd_registration", "test_faketensor"),
    )


@every_kind
def test_second_derivatives_are_refused(kind):
    inputs = [x.requires_grad_() for x in make(kind, T=3)]
    outputs, _ = call(kind, inputs)
    (first,) = torch.autograd.grad(outputs.square().sum(), inputs[:1], create_graph=True)
    with pytest.raises(RuntimeError):
        first.sum().backward()
