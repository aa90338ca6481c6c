"""What is particular to the compiled kernels: tiles, strides, threads, forks, what they say and what they refuse."""

from __future__ import annotations

import os
import threading

import pytest
import torch

from outlast import scan
from outlast.scan import fused, reference
from outlast.scan.kernels import threads


def make(B=2, T=40, H=2, K=16, V=32, *, vector=True, low=-0.5, seed=0):
    draw = torch.Generator().manual_seed(seed)
    q, k, v = (torch.randn(B, T, H, width, generator=draw) for width in (K, K, V))
    decay = low * torch.rand((B, T, H, K) if vector else (B, T, H), generator=draw)
    return [q, k, v, decay, torch.randn(B, H, K, V, generator=draw)]


def call(function, arguments):
    q, k, v, decay, state = arguments
    return function(q, k, v, decay, state, 0.3)


def run(function, arguments):
    """Outputs, final state, and the gradients of a random linear function of both."""
    inputs = [x.detach().requires_grad_() for x in arguments]
    results = call(function, inputs)
    draw = torch.Generator().manual_seed(1)
    weights = [torch.randn(x.shape, generator=draw).to(x.dtype) for x in results]
    return *results, *torch.autograd.grad(results, inputs, weights)


def assert_defined(arguments, tolerance=2e-6):
    expected = run(reference.linear_scan, [x.double() for x in arguments])
    for got, exact in zip(run(fused.linear_scan, arguments), expected, strict=True):
        assert (got.double() - exact).abs().max() <= tolerance * exact.abs().max()


@pytest.mark.parametrize("vector", [True, False])
@pytest.mark.parametrize(("K", "V"), [(1, 1), (8, 32), (9, 33), (16, 64), (33, 31), (64, 70), (256, 3)])
@pytest.mark.parametrize("T", [1, 32, 65])
def test_every_width_around_a_tile(K, V, T, vector):
    assert_defined(make(2, T, 2, K, V, vector=vector))


@pytest.mark.parametrize("vector", [True, False])
def test_any_stride(vector):
    q, k, v, decay, state = make(3, 40, 2, 5, 7, vector=vector)
    wide = torch.cat([q, k, v], -1)
    sliced = wide[..., :5], wide[..., 5:10], wide[..., 10:]
    heads_first = [x.transpose(1, 2).contiguous().transpose(1, 2) for x in (q, k, v, decay)]
    lanes_apart = [torch.stack([x, x], -1)[..., 0] for x in (q, k, v, decay)]
    backwards_state = state.transpose(2, 3).contiguous().transpose(2, 3)
    expected = run(fused.linear_scan, [q, k, v, decay, state])
    for given in ([*sliced, decay], heads_first, lanes_apart, [q.clone(), k.clone(), v, decay.clone()]):
        for got, want in zip(run(fused.linear_scan, [*given, backwards_state]), expected, strict=True):
            assert torch.equal(got, want)


def test_an_expanded_key_and_gradients_of_one_result_alone():
    """Keys that all rows share, and a loss of the final state or of the outputs only."""
    q, k, v, decay, state = make()
    for use in (0, 1):
        grads = []
        for function, dtype in ((fused.linear_scan, torch.float32), (reference.linear_scan, torch.float64)):
            shared = k[:1].to(dtype).requires_grad_()
            others = [x.to(dtype).requires_grad_() for x in (q, v, decay, state)]
            result = call(function, [others[0], shared.expand(2, -1, -1, -1), *others[1:]])[use]
            grads.append(torch.autograd.grad(result.square().sum(), [shared, *others[1:]]))
        for got, exact in zip(*grads, strict=True):
            assert (got - exact).abs().max() <= 2e-6 * exact.abs().max()


@pytest.mark.parametrize("vector", [True, False])
@pytest.mark.parametrize("low", [-8.0, -0.2])
def test_strong_decay_at_length_4096(vector, low):
    """Rates from almost none to exp(8) a position, and the gradients of the decays with them."""
    assert_defined(make(1, 4096, 2, 12, 20, vector=vector, low=low), 1e-5)


def test_infinities_and_what_is_no_number_stay():
    for bad in (float("nan"), float("inf")):
        q, k, v, decay, state = make()
        v[0, 3] = bad
        outputs, final = fused.linear_scan(q, k, v, decay, state, 0.3)
        assert not torch.isfinite(outputs[0, 3]).any()
        assert not torch.isfinite(final[0]).any()
        assert torch.isfinite(outputs[1]).all()
        decay[1, 3] = float("nan")
        assert fused.linear_scan(q, k, v, decay, state, 0.3)[0][1, 3].isnan().all()


def test_threads_do_not_change_a_bit(monkeypatch):
    monkeypatch.setattr(threads, "WORTH", 1)
    arguments = make(3, 50)
    alone = run(fused.linear_scan, arguments)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    asked = []
    workers = threads._workers
    monkeypatch.setattr(threads, "_workers", lambda: asked.append(1) or workers())
    together = run(fused.linear_scan, arguments)
    assert asked
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))


def test_from_several_threads_at_once(monkeypatch):
    """Models that run side by side, each of which also spreads its own work."""
    monkeypatch.setattr(threads, "WORTH", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    many = [make(3, 50, seed=seed) for seed in range(4)]
    expected = [run(fused.linear_scan, arguments) for arguments in many]
    results = [[] for _ in many]

    def work(i):
        results[i] = [run(fused.linear_scan, many[i]) for _ in range(10)]

    running = [threading.Thread(target=work, args=(i,)) for i in range(len(many))]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    for got, want in zip(results, expected, strict=True):
        assert len(got) == 10
        assert all(torch.equal(a, b) for one in got for a, b in zip(one, want, strict=True))


def test_after_a_fork(monkeypatch):
    """As in a data loader's worker: the pool of the parent is gone, and the child makes its own."""
    monkeypatch.setattr(threads, "WORTH", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    arguments = make()
    expected = call(fused.linear_scan, arguments)[0]
    child = os.fork()
    if child == 0:
        same = torch.equal(call(fused.linear_scan, arguments)[0], expected)
        os._exit(0 if same else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_without_gradients_no_states_are_kept():
    q, k, v, decay, state = make()
    assert fused._linear_scan(q, k, v, decay, state, 0.3, False)[2].numel() == 0
    assert fused._linear_scan(q, k, v, decay, state, 0.3, True)[2].shape[2] == 2


def test_the_operator_keeps_torchs_promises():
    """Shapes without data for torch.compile, no argument edited, gradients registered."""
    arguments = [x.requires_grad_() for x in make(2, 33, 2, 3, 4)]
    torch.library.opcheck(
        fused._linear_scan,
        (*arguments, 0.3, True),
        test_utils=("test_schema", "test_autograd_registration", "test_faketensor"),
    )


def test_second_derivatives_are_refused():
    q = make(T=3)
    inputs = [x.requires_grad_() for x in q]
    outputs, _ = call(scan.pick("numba"), inputs)
    (first,) = torch.autograd.grad(outputs.square().sum(), inputs[:1], create_graph=True)
    with pytest.raises(RuntimeError):
        first.sum().backward()
