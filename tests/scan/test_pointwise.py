"""What families compute at every position beside a recurrence: norms, gates and decays as kernels."""

from __future__ import annotations

import pytest
import torch

from outlast import scan
from outlast.scan import fused_log_sigmoid, fused_norm, reference
from outlast.scan.kernels import threads

EPS = 1e-5


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def rms(B=2, T=70, D=45):
    return (lambda x, w: (x, w, EPS, torch.float32)), [normal(B, T, D), normal(D, seed=1)]


def norm_gated(B=2, T=70, D=45):
    return (lambda x, g, w: (x, g, w, EPS)), [normal(B, T, 3, D), normal(B, T, 3 * D, seed=1), normal(D, seed=2)]


def log_sigmoid(B=2, T=70, D=45):
    return (lambda x: (x, 0.1)), [30 * normal(B, T, D)]


CASES = {"rms_norm": rms, "norm_gated": norm_gated, "log_sigmoid": log_sigmoid}


def run(name, way, around, given):
    """Outputs and the gradients of a random linear function of them."""
    inputs = [x.detach().requires_grad_() for x in given]
    y = scan.pick(way, name)(*around(*inputs))
    weights = torch.randn(y.shape, generator=torch.Generator().manual_seed(9)).to(y.dtype)
    return y, *torch.autograd.grad(y, inputs, weights)


def assert_close(got, expected, tolerance):
    for a, b in zip(got, expected, strict=True):
        assert (a.double() - b.double()).abs().max() <= tolerance * b.double().abs().max()


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(("B", "T", "D"), [(1, 1, 3), (3, 64, 32), (2, 65, 33), (2, 130, 100)])
def test_kernels_equal_the_definition(name, B, T, D):
    around, given = CASES[name](B, T, D)
    expected = run(name, "reference", around, [x.double() for x in given])
    assert_close(run(name, "numba", around, given), expected, 1e-5)


@pytest.mark.parametrize("name", CASES)
def test_bfloat16_is_rounded_once_on_the_way_in_and_once_on_the_way_out(name):
    around, given = CASES[name]()
    half = [given[0].bfloat16(), *(x.bfloat16() if x.dim() > 1 else x for x in given[1:])]
    expected = run(name, "reference", around, [x.double() for x in half])
    assert_close(run(name, "numba", around, half), expected, 2**-8)


@pytest.mark.parametrize("name", CASES)
def test_threads_do_not_change_a_bit(name, monkeypatch):
    monkeypatch.setattr(threads, "WORTH", 1)
    around, given = CASES[name](3, 150, 40)
    alone = run(name, "numba", around, given)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    together = run(name, "numba", around, given)
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))


@pytest.mark.parametrize("name", CASES)
def test_any_stride(name):
    around, given = CASES[name]()
    expected = run(name, "numba", around, given)
    apart = [torch.stack([x, x], -1)[..., 0] for x in given]
    assert_close(run(name, "numba", around, apart), expected, 1e-6)


def test_the_ends_of_a_decay():
    x = torch.tensor([[-200.0, -100.0, -30.0, 0.0, 15.0, 30.0, 200.0, float("nan")]]).requires_grad_()
    y = scan.pick("numba", "log_sigmoid")(x, 0.5)
    expected = reference.log_sigmoid(x.double(), 0.5)
    assert torch.allclose(y.double(), expected, rtol=1e-5, atol=1e-12, equal_nan=True)
    (gradient,) = torch.autograd.grad(y[:, :-1].sum(), x)
    assert torch.isfinite(gradient[:, :-1]).all()


def test_the_operators_keep_torchs_promises():
    """Shapes without data for torch.compile, no argument edited, gradients registered."""
    checks = ("test_schema", "test_autograd_registration", "test_faketensor")
    x, gate, weight = (tensor.requires_grad_() for tensor in (normal(2, 33, 3, 20), normal(2, 33, 3, 20), normal(20)))
    for half in (False, True):
        for gates in ((None, None), (gate, None), (None, gate)):
            torch.library.opcheck(fused_norm._norm.overload, (x, *gates, weight, EPS, half), test_utils=checks)
    flat = normal(6, 1, 1, 20).requires_grad_()
    torch.library.opcheck(fused_log_sigmoid._log_sigmoid.overload, (flat, 0.1), test_utils=checks)
