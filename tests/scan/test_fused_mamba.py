"""The kernels of Mamba-1 around their blocks of channels: widths, strides, threads, strong decay."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from outlast.scan import fused_convolution, fused_selective, reference
from outlast.scan.kernels import threads

NAMES = ["selective_scan", "gated_selective_scan", "short_convolution"]


def make(name, B=2, T=20, D=5, N=4, *, fastest=4.0, seed=0):
    draw = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(shape, generator=draw)

    if name == "short_convolution":
        return [normal(B, T, D), normal(N, D), normal(D), normal(B, N - 1, D)]
    rate = -fastest * torch.rand(D, N, generator=draw)
    step = normal(B, T, D) if name == "gated_selective_scan" else F.softplus(normal(B, T, D))
    around = [normal(D), normal(B, T, D)] if name == "gated_selective_scan" else []
    return [normal(B, T, D), step, rate, normal(B, T, N), normal(B, T, N), *around, normal(B, D, N)]


def run(function, arguments):
    """Outputs, final state, and the gradients of a random linear function of both."""
    inputs = [x.detach().requires_grad_() for x in arguments]
    results = function(*inputs)
    draw = torch.Generator().manual_seed(1)
    weights = [torch.randn(x.shape, generator=draw).to(x.dtype) for x in results]
    return *results, *torch.autograd.grad(results, inputs, weights)


def fused(name):
    return getattr(fused_convolution if name == "short_convolution" else fused_selective, name)


def assert_defined(name, arguments, tolerance=2e-5):
    expected = run(getattr(reference, name), [x.double() for x in arguments])
    for got, exact in zip(run(fused(name), arguments), expected, strict=True):
        assert (got.double() - exact).abs().max() <= tolerance * exact.abs().max()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("D", "N"), [(1, 2), (32, 8), (33, 9), (65, 16), (7, 256)])
@pytest.mark.parametrize("T", [1, 2, 16, 65, 130])
def test_every_width_and_length(name, D, N, T):
    assert_defined(name, make(name, 2, T, D, N))


@pytest.mark.parametrize("name", NAMES)
def test_any_stride(name):
    arguments = make(name, 3, 20, 7, 4)
    expected = run(fused(name), arguments)
    wide = [torch.cat([x, x], -1)[..., : x.shape[-1]] for x in arguments]
    apart = [torch.stack([x, x], -1)[..., 0] for x in arguments]
    for given in (wide, apart):
        for got, want in zip(run(fused(name), given), expected, strict=True):
            assert torch.equal(got, want)


@pytest.mark.parametrize("name", NAMES[:2])
def test_strong_decay_at_length_4096(name):
    """Rates up to exp(−20) for a step of 1, and the gradients of rates and steps with them."""
    assert_defined(name, make(name, 1, 4096, 4, 3, fastest=20.0), 1e-4)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rows", [1, 5])
def test_threads_do_not_change_a_bit(name, rows, monkeypatch):
    monkeypatch.setattr(threads, "WORTH", 1)
    arguments = make(name, rows, 40, 70, 4)
    alone = run(fused(name), arguments)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    together = run(fused(name), arguments)
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))


def test_softplus_and_gate_at_their_ends():
    """Steps and gates far out: no infinity where the definition has none."""
    arguments = make("gated_selective_scan", 1, 9, 3, 2)
    arguments[1][0, :, 0] = torch.tensor([-200.0, -100.0, -30.0, -1.0, 0.0, 1.0, 15.0, 30.0, 80.0])
    arguments[6][0, :, 1] = torch.tensor([-200.0, -100.0, -30.0, -1.0, 0.0, 1.0, 15.0, 30.0, 200.0])
    assert_defined("gated_selective_scan", arguments, 1e-5)
