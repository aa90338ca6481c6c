"""What is adapted, what is refused, and with which words."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from outlast.errors import InputError
from outlast.model import InputSpec, Recurrent
from outlast.modules import adapt
from outlast.state import leaves


class Around(nn.Module):
    """The usual module around an LSTM; tests derive from it and break one thing."""

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.rnn = nn.LSTM(3, 4, batch_first=True, **settings)
        self.drop = nn.Dropout(0.5)

    def forward(self, x: Tensor, hidden: Any = None) -> Any:
        y, hidden = self.rnn(x, hidden)
        return self.drop(y), hidden


def test_outputs_are_those_of_the_module() -> None:
    module = nn.LSTM(3, 4, 2)
    inputs = torch.randn(5, 7, 3)
    wanted, (hidden, cell) = module(inputs.transpose(0, 1))
    model = adapt(module)
    outputs, state = model(inputs, model.initial_state(5))
    assert torch.equal(outputs, wanted.transpose(0, 1))
    assert torch.equal(state[1].hidden, hidden[1])
    assert torch.equal(state[0].cell, cell[0])


def test_time_first_modules_are_transposed() -> None:
    class TimeFirst(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.GRU(3, 4)

        def forward(self, x: Tensor, hidden: Tensor | None = None) -> tuple[Tensor, Tensor]:
            return self.rnn(x, hidden)

    module, inputs = TimeFirst(), torch.randn(2, 9, 3)
    model = adapt(module)
    assert torch.equal(model(inputs, model.initial_state(2))[0], module(inputs.transpose(0, 1))[0].transpose(0, 1))


def test_a_recurrent_is_returned_as_it_is() -> None:
    model = adapt(nn.GRU(2, 3))
    assert adapt(model) is model
    assert isinstance(model, Recurrent)


def test_adapting_leaves_modes_and_random_state_alone() -> None:
    module = Around()
    module.rnn.eval()
    before = torch.get_rng_state()
    adapt(module)
    assert module.training
    assert module.drop.training
    assert not module.rnn.training
    assert torch.equal(torch.get_rng_state(), before)


def test_declared_input_spec_wins() -> None:
    class Scaled(Around):
        input_spec = InputSpec("features", 6)

        def __init__(self) -> None:
            super().__init__()
            self.gate = nn.Linear(2, 2)

        def forward(self, x: Tensor, hidden: Any = None) -> Any:
            return super().forward(x[..., :3] * x[..., 3:], hidden)

    assert adapt(Scaled()).input_spec == InputSpec("features", 6)


def test_a_learned_start_gets_gradients() -> None:
    class Learned(Around):
        def __init__(self) -> None:
            super().__init__()
            self.start = nn.Parameter(torch.zeros(1, 1, 4))

        def init_hidden(self, batch_size: int) -> tuple[Tensor, Tensor]:
            return self.start.expand(1, batch_size, 4).contiguous(), torch.zeros(1, batch_size, 4)

    module = Learned()
    model = adapt(module)
    model(torch.randn(2, 3, 3), model.initial_state(2))[0].sum().backward()
    assert module.start.grad is not None


class OutputsOnly(Around):
    def forward(self, x: Tensor, hidden: Any = None) -> Any:
        return super().forward(x, hidden)[0]


class NoState(nn.Module):
    def forward(self, x: Tensor) -> Any:
        return x


class Flattened(Around):
    def forward(self, x: Tensor, hidden: Any = None) -> Any:
        y, hidden = super().forward(x, hidden)
        return y.flatten(0, 1), hidden


class Growing(Around):
    def forward(self, x: Tensor, hidden: Any = None) -> Any:
        y, _ = super().forward(x)
        seen = y if hidden is None else torch.cat([hidden, y], 1)
        return y + seen.mean(1, keepdim=True), seen


class StartsAtOnes(Around):
    def forward(self, x: Tensor, hidden: Any = None) -> Any:
        if hidden is None:
            hidden = torch.ones(1, len(x), 4), torch.ones(1, len(x), 4)
        return super().forward(x, hidden)


class StartsElsewhere(nn.Module):
    """What it starts from is nowhere but in its code, and nothing shows it: a `while` is no loop that is read."""

    def __init__(self) -> None:
        super().__init__()
        self.read, self.keep = nn.Linear(3, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor, hidden: Any = None) -> Any:
        hidden = x.new_full((len(x), 4), 0.3) if hidden is None else hidden
        outputs: list[Tensor] = []
        while len(outputs) < x.shape[1]:
            hidden = torch.tanh(self.read(x[:, len(outputs)]) + self.keep(hidden))
            outputs.append(hidden)
        return torch.stack(outputs, 1), hidden


class Raises(Around):
    def forward(self, x: Tensor, hidden: Any = None) -> Any:
        raise ValueError("seven is not enough")


class StateWithoutForward(NoState):
    def initial_state(self, batch_size: int) -> tuple[Tensor, ...]:
        return (torch.zeros(batch_size, 4),)


@pytest.mark.parametrize("module", [OutputsOnly(), Flattened(), StartsAtOnes()], ids=lambda each: type(each).__name__)
def test_what_is_left_out_or_laid_out_otherwise_is_found(module: nn.Module) -> None:
    inputs = torch.randn(2, 5, 3)
    module.eval()
    wanted = module(inputs)
    wanted = wanted if isinstance(wanted, Tensor) else wanted[0]
    model = adapt(module)
    outputs, _ = model(inputs, model.initial_state(2))
    assert torch.allclose(outputs, wanted.reshape(2, 5, 4), atol=1e-6)


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (nn.LSTM(3, 4, bidirectional=True), ["bidirectional LSTM", "reads the future", "no state to carry"]),
        (Around(bidirectional=True), ["'rnn'", "reads the future"]),
        (NoState(), ["takes no hidden state", "hidden=None"]),
        (Growing(), ["grows with the position"]),
        (StartsElsewhere(), ["starts elsewhere", "def init_hidden(self, batch_size)", "torch.zeros(batch_size, 4)"]),
        (Raises(), ["ValueError", "seven is not enough"]),
        (StateWithoutForward(), ["has initial_state", "takes no state"]),
        (nn.Sequential(nn.ReLU()), ["takes no hidden state"]),
        ("a string", ["module='a string'", "torch.nn.Module"]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_refusals_say_why_and_what_to_do(module: Any, words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        adapt(module)
    for word in words:
        assert word in str(caught.value)


def test_a_start_that_a_loop_begins_with_is_seen() -> None:
    class StartsInItsLoop(StartsElsewhere):
        def forward(self, x: Tensor, hidden: Any = None) -> Any:
            hidden = x.new_full((len(x), 4), 0.3) if hidden is None else hidden
            outputs = []
            for now in self.read(x).unbind(1):
                hidden = torch.tanh(now + self.keep(hidden))
                outputs.append(hidden)
            return torch.stack(outputs, 1), hidden

    model = adapt(StartsInItsLoop())
    assert torch.equal(leaves(model.initial_state(2))[0], torch.full((2, 4), 0.3))


def test_a_state_of_another_shape_is_refused_when_it_comes() -> None:
    class Shrinks(Around):
        def forward(self, x: Tensor, hidden: Any = None) -> Any:
            y, (h, c) = super().forward(x, hidden)
            return y, ((h, c) if x.shape[1] < 20 else (h[:, :1], c))

    model = adapt(Shrinks())
    with pytest.raises(InputError) as caught:
        model(torch.randn(2, 20, 3), model.initial_state(2))
    assert "(a tensor (1, 1, 4), a tensor (1, 2, 4))" in str(caught.value)
    assert "(a tensor (1, 2, 4), a tensor (1, 2, 4))" in str(caught.value)


class Padded(Around):
    """A convolution that is padded on both sides by what belongs to the left: two outputs more than inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv1d(3, 3, 3, padding=2)

    def forward(self, x: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self.rnn(self.mix(x.transpose(1, 2)).transpose(1, 2))[0]


class Framed(Around):
    """A first and a last token of its own around what is read."""

    def forward(self, x: Tensor, hidden: Any = None) -> Any:
        token = torch.zeros_like(x[:, :1])
        return super().forward(torch.cat([token, x, token], 1), hidden)


class Shortened(Around):
    """It reads differences: an output less than inputs."""

    def forward(self, x: Tensor, hidden: Any = None) -> Any:
        return super().forward(x.diff(dim=1), hidden)


@pytest.mark.parametrize(("kind", "count"), [(Padded, 5), (Framed, 5), (Shortened, 2)])
def test_outputs_of_another_length_are_refused(kind: type[nn.Module], count: int) -> None:
    """They were taken for a module that reads one position a call, with outputs of an axis more."""
    with pytest.raises(InputError, match=f"windows of 3 positions its forward returned outputs of {count};") as refused:
        adapt(kind(), inputs=InputSpec("features", 3))
    assert "pad a convolution of kernel size K on the left only" in refused.value.do
