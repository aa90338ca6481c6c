"""In which precision products are taken: what auto chooses, what bfloat16 changes, and that it leaves no trace."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import Tensor, nn

from outlast import EvalSettings, InputError, Recurrent, evaluate
from outlast.data import Streams
from outlast.families import build
from outlast.families.shell import Shell
from outlast.model import InputSpec
from outlast.modules.products import WIDE, chosen, products_in
from outlast.scan import processor
from outlast.state import leaves

TOKENS = InputSpec("tokens", 16)


def model_of(width: int, **settings) -> Shell:
    return build("gla", inputs=TOKENS, outputs=16, width=width, layers=1, heads=2, **settings)


@pytest.fixture(params=["avx512_bf16", None])
def multiplies(request, monkeypatch) -> str | None:
    monkeypatch.setattr(processor, "multiplies_bfloat16", lambda: request.param)
    return request.param


def test_auto_is_bfloat16_for_wide_models_where_the_processor_multiplies_it(multiplies):
    assert chosen("auto", model_of(WIDE)) == ("bf16" if multiplies else "float32")
    assert chosen("auto", model_of(WIDE // 4)) == "float32"
    assert chosen("auto", model_of(WIDE).double()) == "float32"
    assert chosen("auto", nn.LSTM(4, 4)) == "float32"
    assert [chosen(asked, model_of(8)) for asked in ("float32", "bf16")] == ["float32", "bf16"]


def test_bfloat16_of_double_precision_is_refused():
    with pytest.raises(InputError, match="precision bf16 for parameters in float64"):
        chosen("bf16", model_of(8).double())


def test_products_are_bfloat16_and_all_that_comes_out_float32():
    model, tokens = model_of(64), torch.arange(40).remainder(16).view(2, 20)
    exact, state = model(tokens, model.initial_state(2))
    seen: list[torch.dtype] = []
    hook = model.head.register_forward_hook(lambda module, given, result: seen.append(result.dtype))
    with products_in("bf16", model):
        rounded, after = model(tokens, model.initial_state(2))
    hook.remove()
    assert seen == [torch.bfloat16]
    assert all(each.dtype == torch.float32 for each in (rounded, *leaves(after)))
    assert 0 < (rounded - exact).abs().max() < 0.05 * exact.abs().max()
    assert all((a - b).abs().max() < 0.05 * b.abs().max() for a, b in zip(leaves(after), leaves(state), strict=True))
    again, _ = model(tokens, model.initial_state(2))
    assert torch.equal(again, exact)


class Raising(Recurrent):
    def initial_state(self, batch_size: int) -> Tensor:
        return torch.zeros(batch_size, 1)

    def forward(self, inputs: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        raise ValueError("no")


def test_a_model_that_raises_leaves_autocast_off():
    model = Raising()
    with products_in("bf16", model), pytest.raises(ValueError, match="no"):
        model(torch.zeros(1, 1, 1), model.initial_state(1))
    assert not torch.is_autocast_enabled("cpu")


def test_side_by_side_in_threads():
    model, tokens = model_of(64), torch.arange(40).remainder(16).view(2, 20)
    found: list[Tensor] = []
    with torch.no_grad(), products_in("bf16", model):
        threads = [
            threading.Thread(target=lambda: found.append(model(tokens, model.initial_state(2))[0].detach()))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        alone = model(tokens, model.initial_state(2))[0]
    assert len(found) == 4
    assert all(torch.equal(each, alone) for each in found)


def test_measuring_in_bfloat16_says_so_and_is_near():
    draw = torch.Generator().manual_seed(0)
    streams = Streams.from_tokens(torch.randint(16, (8, 129), generator=draw).numpy(), vocabulary=16)
    model = model_of(64)
    exact, rounded = (
        evaluate(model, streams, train_context=16, settings=EvalSettings(targets=32, precision=each))
        for each in ("float32", "bf16")
    )
    assert [note.name for note in rounded.notes] == ["measured_in_bfloat16", *(note.name for note in exact.notes)]
    assert rounded.settings["precision"] == "bf16"
    for a, b in zip(rounded.age_curve, exact.age_curve, strict=True):
        assert a.loss != b.loss
        assert a.loss == pytest.approx(b.loss, rel=0.01)
    assert not model._forward_hooks
    assert not model._forward_pre_hooks


def test_an_unknown_precision_is_refused():
    with pytest.raises(InputError, match="precision 'half'"):
        EvalSettings(precision="half")
