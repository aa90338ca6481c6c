"""Products with a weight by oneDNN: those of torch to rounding, whatever lies between rows or beside them."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from outlast.scan import fused_product
from outlast.scan.fused_product import WORTH, product


@pytest.fixture(autouse=True)
def by_onednn(monkeypatch):
    """On any processor: only whether it pays depends on which."""
    monkeypatch.setattr(fused_product, "onednn_is_faster", lambda: True)


def given(rows: int, D: int, E: int, gap: int):
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(2, rows, D + gap, generator=draw)[..., :D].requires_grad_()
    weight = torch.randn(E, D, generator=draw).requires_grad_()
    return x, weight, torch.randn(E, generator=draw).requires_grad_()


def run(function, tensors):
    """Outputs and the gradients of a random linear function of them."""
    y = function(*tensors)
    weights = torch.randn(y.shape, generator=torch.Generator().manual_seed(1))
    return y, *torch.autograd.grad((y * weights).sum(), [each for each in tensors if each is not None])


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("gap", [0, 3])
@pytest.mark.parametrize(("D", "E"), [(64, 64), (300, 33), (17, 400)])
def test_outputs_and_gradients_are_torchs(D, E, gap, biased):
    tensors = given(7, D, E, gap)
    tensors = tensors if biased else (*tensors[:2], None)
    assert D * E >= WORTH
    for got, expected in zip(run(product, tensors), run(F.linear, tensors), strict=True):
        assert (got - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_a_row_does_not_depend_on_those_beside_it():
    x, weight, bias = given(40, 64, 80, 0)
    with torch.no_grad():
        whole = product(x, weight, bias)
        for rows in (2, 3, 17):
            assert torch.equal(product(x[:1, :rows], weight, bias), whole[:1, :rows])


def test_other_precisions_and_second_derivatives_are_torchs_or_refused():
    x, weight, bias = given(3, 64, 64, 0)
    double = [each.double() for each in (x, weight, bias)]
    assert torch.equal(product(*double), F.linear(*double))
    with torch.autocast("cpu", torch.bfloat16):
        assert product(x, weight, bias).dtype == torch.bfloat16
    (once,) = torch.autograd.grad(product(x, weight, bias).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiable once"):
        torch.autograd.grad(once.sum(), x)
