"""The kernels of Mamba-2: heads that share keys, pieces that are not full, strides, threads, strong decay."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from outlast.scan import fused_dual, reference
from outlast.scan.kernels import threads


def make(B=2, T=40, G=1, H=2, N=8, P=32, *, fastest=4.0, seed=0):
    draw = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(shape, generator=draw)

    step, rate = F.softplus(normal(B, T, H)), -fastest * torch.rand(H, generator=draw)
    shared = [normal(B, T, G, N), normal(B, T, G, N)]
    return [normal(B, T, H, P), step, rate, *shared, normal(H), normal(B, T, H * P), normal(H * P), normal(B, H, N, P)]


def run(function, arguments):
    """Outputs, final state, and the gradients of a random linear function of both."""
    inputs = [x.detach().requires_grad_() for x in arguments]
    results = function(*inputs, 1e-5)
    draw = torch.Generator().manual_seed(1)
    weights = [torch.randn(x.shape, generator=draw).to(x.dtype) for x in results]
    return *results, *torch.autograd.grad(results, inputs, weights)


def assert_defined(arguments, tolerance):
    expected = run(reference.gated_dual_scan, [x.double() for x in arguments])
    for got, exact in zip(run(fused_dual.gated_dual_scan, arguments), expected, strict=True):
        assert (got.double() - exact).abs().max() <= tolerance * exact.abs().max()


@pytest.mark.parametrize(("G", "H"), [(1, 1), (1, 4), (2, 6), (3, 3)])
@pytest.mark.parametrize(("N", "P"), [(1, 3), (8, 32), (9, 33), (64, 20), (33, 70)])
@pytest.mark.parametrize("T", [1, 31, 32, 65])
def test_every_width_around_a_tile(N, P, T, G, H):
    assert_defined(make(2, T, G, H, N, P), 3e-5)


def test_a_norm_of_each_group():
    arguments = make(2, 33, 2, 4, 5, 6)
    arguments[7] = arguments[7].view(2, -1)
    assert_defined(arguments, 3e-5)
    norms = [
        each.square().mean(-1)
        for each in run(reference.gated_dual_scan, [*arguments[:7], torch.ones(2, 12), arguments[8]])[0].split(12, -1)
    ]
    assert all((norm - 1).abs().max() < 1e-3 for norm in norms)


@pytest.mark.parametrize("fastest", [20.0, 0.5, 0.01])
def test_strong_and_weak_decay_at_length_4096(fastest):
    """Rates up to exp(−20) for a step of 1, and the gradients of rates and steps with them."""
    assert_defined(make(1, 4096, 1, 4, 5, 6, fastest=fastest), 1e-4)


def test_one_violent_decay_among_mild_ones():
    arguments = make(2, 100, fastest=0.01)
    arguments[1][:, 40] = 1e6
    assert_defined(arguments, 1e-5)


def test_any_stride():
    arguments = make(3, 40, 2, 4, 5, 7)
    expected = run(fused_dual.gated_dual_scan, arguments)
    wide = [torch.cat([x, x], -1)[..., : x.shape[-1]] for x in arguments]
    apart = [torch.stack([x, x], -1)[..., 0] for x in arguments]
    for given in (wide, apart):
        for got, want in zip(run(fused_dual.gated_dual_scan, given), expected, strict=True):
            assert torch.equal(got, want)


@pytest.mark.parametrize("rows", [1, 5])
def test_threads_do_not_change_a_bit(rows, monkeypatch):
    monkeypatch.setattr(threads, "WORTH", 1)
    arguments = make(rows, 150, 2, 4, 9, 33)
    alone = run(fused_dual.gated_dual_scan, arguments)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    together = run(fused_dual.gated_dual_scan, arguments)
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))


def test_what_is_no_number_stays_in_its_row():
    """The row that is computed next, in the same memory and with a piece that is not full, is as it is alone."""
    arguments = make(2, 40)
    alone = run(fused_dual.gated_dual_scan, [x[1:] if x.dim() > 1 else x for x in arguments])
    arguments[0][0, 20] = float("nan")
    both = run(fused_dual.gated_dual_scan, arguments)
    assert both[0][0, 20:].isnan().all()
    assert all(torch.equal(x[1:], y) for x, y in zip(both[:2], alone[:2], strict=True))
    assert all(torch.isfinite(x[1]).all() for x in both[2:] if x.dim() > 1)


def test_gates_at_their_ends():
    arguments = make(1, 9, 1, 1, 2, 3)
    arguments[6][0, :, 1] = torch.tensor([-200.0, -100.0, -30.0, -1.0, 0.0, 1.0, 15.0, 30.0, 200.0])
    assert_defined(arguments, 3e-5)


def test_the_operators_keep_torchs_promises():
    """Shapes without data for torch.compile, no argument edited, gradients registered."""
    x, step, _, b, c, skip, _, _, state = (tensor.requires_grad_() for tensor in make(2, 33, N=3, P=4))
    checks = ("test_schema", "test_autograd_registration", "test_faketensor")
    decay = (-step).detach().requires_grad_()
    for around in ((step, skip), ()):
        torch.library.opcheck(
            fused_dual._dual_scan.overload, (c, b, x, decay, state, 1.0, True, *around), test_utils=checks
        )
