"""As it is chosen on a GPU: values and gradients of fla's kernels and of plain torch equal the definition."""

from __future__ import annotations

import pytest
import torch

from outlast import scan
from outlast.scan import gpu
from scan.test_gpu import SIZES, deviations, make

if not torch.cuda.is_available():
    pytest.skip("no GPU", allow_module_level=True)


@pytest.mark.parametrize(("name", "sizes"), SIZES)
@pytest.mark.parametrize("T", [1, 64, 70, 1024])
@pytest.mark.parametrize("low", [-0.05, -1.0, -30.0])
@pytest.mark.parametrize("way", ["fla", "chunked"])
def test_on_a_gpu_values_and_gradients_equal_the_definition(name, sizes, T, low, way):
    """TF32 keeps ten bits of a product's factors, plain torch all 23."""
    assert way != "fla" or gpu.unusable() is None
    tensors = make(name, T=T, low=low, device="cuda", **sizes)
    found = deviations(name, tensors, scan.pick(way, name))
    assert max(found.values()) < (1e-2 if way == "fla" else 2e-4), found
