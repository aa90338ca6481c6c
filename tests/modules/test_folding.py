"""Modules of one output a window: read in one call where that is the same, and for every position where it is not."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import outlast
from contract_sizes import quick_check
from modules import last_steps
from outlast.modules import adapt
from outlast.modules.calls.module_adapter import HiddenModule
from outlast.randomness import generator
from outlast.state import leaves, map_state

AT_ONCE = (
    "LastStep", "FinalHidden", "NormedHead", "Stacked", "OwnZeros", "KeptBetween", "PackedInside", "LoopOfCells",
    "ConvolvedLast",
)  # fmt: skip
ONE_BY_ONE = ("CellRead", "AllLayers", "FedBack", "PooledCells")


def built(name: str) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return getattr(last_steps, name)().eval()


def adapted(name: str) -> HiddenModule:
    model = adapt(built(name))
    assert isinstance(model, HiddenModule)
    return model


@contextmanager
def counted(module: nn.Module) -> Iterator[Counter[str]]:
    """How often the module's own forward is run."""
    calls: Counter[str] = Counter()
    handle = module.register_forward_pre_hook(lambda *_: calls.update(["calls"]))
    try:
        yield calls
    finally:
        handle.remove()


def windows(model: HiddenModule, rows: int, length: int) -> Tensor:
    assert model.input_spec is not None
    return model.input_spec.random(rows, length, generator(rows, "windows"))


def prefixes(module: nn.Module, inputs: Tensor) -> Tensor:
    """What the module's author has of all windows that begin where these do."""
    said = []
    for end in range(1, inputs.shape[1] + 1):
        if hasattr(module, "reset_state"):
            module.reset_state()  # pyright: ignore[reportCallIssue]
        answer = module(inputs[:, :end])
        said.append(answer[0] if isinstance(answer, tuple) else answer)
    return torch.stack(said, 1)


@pytest.mark.parametrize("name", [*AT_ONCE, *ONE_BY_ONE])
def test_every_position_has_the_answer_of_the_window_that_ends_there(name: str) -> None:
    model = adapted(name)
    inputs = windows(model, 5, 11)
    with torch.no_grad(), counted(model.module) as calls:
        outputs, _ = model(inputs, model.initial_state(5))
    assert calls["calls"] == (1 if name in AT_ONCE else 11)
    with torch.no_grad():
        wanted = prefixes(built(name), inputs)
    assert torch.allclose(outputs.view_as(wanted), wanted, atol=1e-6)
    failed = {each.name for each in quick_check(model).checks if each.passed is False}
    assert failed == ({"gradient_through_state"} if name == "KeptBetween" else set())


@pytest.mark.parametrize("name", AT_ONCE)
def test_one_call_is_a_call_for_every_position(name: str) -> None:
    """From a carried state, in training, with gradients of inputs, state and parameters."""
    model = adapted(name)
    with torch.no_grad():
        _, state = model(windows(model, 4, 7), model.initial_state(4))
    inputs = windows(model, 4, 48)

    def read(how: str) -> tuple[list[Tensor], list[Tensor | None]]:
        points = map_state(lambda t: t.clone().requires_grad_(), state)
        outputs, final = getattr(model, how)(inputs, points)
        loss = outputs[:, -1].square().sum()
        asked = [*leaves(points), *model.parameters()]
        return [outputs, *leaves(final)], list(torch.autograd.grad(loss, asked, allow_unused=True))

    (found, slopes), (wanted, stepped) = read("at_once"), read("stepped")
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(found, wanted, strict=True))
    if name == "KeptBetween":  # cut between single positions, and not within a window, as in its author's training
        return
    for a, b in zip(slopes, stepped, strict=True):
        assert (a is None) == (b is None)
        assert a is None or b is None or torch.allclose(a, b, atol=1e-5)


def test_a_state_that_is_cut_between_calls_is_not_cut_within_a_window() -> None:
    """As its author trains it, and unlike one position after another."""
    model = adapted("KeptBetween")
    inputs = windows(model, 2, 9).requires_grad_()
    model(inputs, model.initial_state(2))[0][:, -1].sum().backward()
    mine = copy.deepcopy(inputs.grad)
    inputs.grad = None
    built("KeptBetween")(inputs).sum().backward()
    assert mine is not None
    assert inputs.grad is not None
    assert torch.allclose(mine, inputs.grad, atol=1e-6)


def test_check_says_how_it_is_read() -> None:
    assert "one output a window, all positions of it read in one call" in str(adapted("LastStep").found)
    assert "one output a window, a call for every position" in str(adapted("CellRead").found)


def test_a_measurement_calls_it_once_a_piece() -> None:
    module = built("LastStep")
    values = np.random.default_rng(0).normal(size=(8, 240, 3)).astype(np.float32)
    streams = outlast.Streams.from_arrays(values, targets=values[..., :1])
    with counted(module) as calls:
        outlast.evaluate(module, streams, train_context=24)
    assert calls["calls"] < 240  # a pass of 240 positions alone, position by position, would be as many


def test_a_training_step_calls_it_once() -> None:
    module = built("LastStep")
    values = np.random.default_rng(0).normal(size=(8, 240, 3)).astype(np.float32)
    streams = outlast.Streams.from_arrays(values, targets=values[..., :1])
    model = adapt(module)
    settings = outlast.TrainSettings(steps=3, batch_size=4)
    with counted(module) as calls:
        outlast.fit(model, streams, "regression", outlast.Zero(), 48, settings)
    assert calls["calls"] == 3
