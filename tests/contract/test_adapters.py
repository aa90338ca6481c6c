"""Every adapter through the one contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from contract_sizes import Ask, in_full, sizes
from outlast.contract.case import Sizes, subject_of
from outlast.contract.points import POINTS
from outlast.modules import adapt
from outlast.state import leaves


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


class Tagger(nn.Module):
    """An LSTM with an input layer and a head, batch first."""

    def __init__(self) -> None:
        super().__init__()
        self.read, self.rnn, self.head = nn.Linear(3, 6), nn.LSTM(6, 8, 2, batch_first=True), nn.Linear(8, 5)

    def forward(self, x: Tensor, hidden: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        y, final = self.rnn(self.read(x), hidden)
        return self.head(y), final


class LanguageModel(nn.Module):
    """A GRU with an embedding and a head, time first at its own boundary."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.rnn, self.head = nn.Embedding(11, 6), nn.GRU(6, 7, 2), nn.Linear(7, 11)

    def forward(self, x: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        y, hidden = self.rnn(self.embed(x), hidden)
        return self.head(y), hidden


class Stack(nn.Module):
    """Two recurrences of different kinds, their hidden states in a list."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.LSTM(3, 6, batch_first=True), nn.GRU(6, 4, batch_first=True)

    def forward(self, x: Tensor, hidden: list | None = None) -> tuple[Tensor, list]:
        first, second = hidden or [None, None]
        y, first = self.first(x, first)
        y, second = self.second(y, second)
        return y, [first, second]


class Cells(nn.Module):
    """A loop over a cell, rows first in the hidden state, with its own start."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.start = nn.LSTMCell(3, 5), nn.Parameter(torch.randn(5))

    def init_hidden(self, batch_size: int) -> tuple[Tensor, Tensor]:
        return self.start.expand(batch_size, 5), torch.zeros(batch_size, 5)

    def forward(self, x: Tensor, hidden: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        outputs = []
        for step in x.unbind(1):
            hidden = self.cell(step, hidden)
            outputs.append(hidden[0])
        return torch.stack(outputs, 1), hidden


class Own(nn.Module):
    """Already recurrent, without deriving from outlast's class."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.rnn = nn.Linear(4, 2), nn.GRU(3, 4, batch_first=True)

    def initial_state(self, batch_size: int) -> tuple[Tensor]:
        return (torch.zeros(batch_size, 4, dtype=next(self.parameters()).dtype),)

    def forward(self, inputs: Tensor, state: tuple[Tensor]) -> tuple[Tensor, tuple[Tensor]]:
        outputs, hidden = self.rnn(inputs, state[0][None])
        return self.head(outputs), (hidden[0],)


TORCH: dict[str, Callable[[], nn.Module]] = {
    f"{kind.__name__}{'-batch-first' if batch_first else ''}-{layers}{''.join('-' + word for word in extra)}": (
        lambda kind=kind, batch_first=batch_first, layers=layers, extra=extra: kind(
            3, 5, layers, batch_first=batch_first, **extra
        )
    )
    for kind, extras in (
        (nn.LSTM, ({}, {"proj_size": 2})),
        (nn.GRU, ({}, {"bias": False})),
        (nn.RNN, ({}, {"nonlinearity": "relu"})),
    )
    for extra in extras
    for batch_first in (True, False)
    for layers in (1, 2)
}
USERS: dict[str, Callable[[], nn.Module]] = {cls.__name__: cls for cls in (Tagger, LanguageModel, Stack, Cells, Own)}


@pytest.mark.filterwarnings("ignore:LSTM with projections:UserWarning")
@in_full([*TORCH, *USERS], "Stack", "Cells")
def test_adapter_keeps_the_contract(name: str, ask: Ask) -> None:
    report = ask((TORCH | USERS)[name]())
    assert report.passed, [c for c in report.checks if not c.passed]
    assert [c.name for c in report.checks] == list(POINTS)
    assert all(c.passed for c in report.checks)
    assert report.model["checked_in"] == ["float32", "float64"]


@pytest.mark.filterwarnings("ignore:LSTM with projections:UserWarning")
@pytest.mark.parametrize("name", [*TORCH, *USERS])
@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=sizes(), seed=st.integers(0, 1000))
def test_adapter_keeps_the_contract_at_random_sizes(name: str, drawn: Sizes, seed: int) -> None:
    torch.manual_seed(seed)
    module = (TORCH | USERS)[name]()
    if "nonlinearity" in name:  # after a position or two all units of a ReLU may still be off: no state, and no fault
        for bias in (each for kind, each in module.named_parameters() if "bias" in kind):
            nn.init.ones_(bias)
    subject = replace(subject_of(module, seed=seed), in_doubt=True)
    assert subject.double
    assert [found for point in POINTS.values() if not (found := point.ask(subject, drawn)).passed] == []


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("Tagger", ["layers.0.hidden", "layers.0.cell", "layers.1.hidden", "layers.1.cell"]),
        ("LanguageModel", ["layers.0.hidden", "layers.1.hidden"]),
        ("Stack", ["layers.0.hidden", "layers.0.cell", "layers.1.hidden"]),
        ("Cells", ["layers.0.hidden", "layers.0.cell"]),
        ("LSTM-2", ["layers.0.hidden", "layers.0.cell", "layers.1.hidden", "layers.1.cell"]),
        ("RNN-1", ["layers.0.hidden"]),
    ],
)
def test_parts_are_named(name: str, parts: list[str]) -> None:
    assert [part.path for part in adapt((TORCH | USERS)[name]()).state_parts()] == parts


@pytest.mark.parametrize("name", ["Tagger", "LanguageModel", "LSTM-2", "GRU-batch-first-1"])
def test_states_are_float32_in_bfloat16(name: str) -> None:
    model = adapt((TORCH | USERS)[name]().bfloat16()).eval()
    assert model.input_spec is not None
    inputs = model.input_spec.random(2, 4, torch.Generator().manual_seed(1), torch.bfloat16)
    state = model.initial_state(2)
    outputs, final = model(inputs, state)
    assert {tensor.dtype for tensor in (*leaves(state), *leaves(final))} == {torch.float32}
    assert outputs.dtype == torch.bfloat16
