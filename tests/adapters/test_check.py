"""Faults planted in a sound model: each must be found by the point of the contract that is about it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from outlast.adapters import adapt, from_factory
from outlast.adapters.check import check
from outlast.errors import InputError
from outlast.model import InputSpec, Recurrent
from outlast.results import Check, CheckReport, from_json, to_json

State = tuple[Tensor, ...]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


class Sound(Recurrent):
    """A leaky integrator with a readout."""

    input_spec = InputSpec("features", 3)

    def __init__(self) -> None:
        super().__init__()
        self.read, self.decay, self.out = nn.Linear(3, 4), nn.Parameter(torch.rand(4)), nn.Linear(4, 2)

    def initial_state(self, batch_size: int) -> State:
        return (self.decay.new_zeros(batch_size, 4),)

    def scan(self, inputs: Tensor, hidden: Tensor) -> list[Tensor]:
        states = []
        for step in self.read(inputs).unbind(1):
            hidden = torch.tanh(self.decay * hidden + step)
            states.append(hidden)
        return states

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        states = self.scan(inputs, state[0])
        return self.out(torch.stack(states, 1)), (states[-1],)


class DropsState(Sound):
    """As in several published models: the state is used for single positions only."""

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        return super().forward(inputs, state if inputs.shape[1] == 1 else (torch.zeros_like(state[0]),))


class IgnoresState(Sound):
    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        return super().forward(inputs, (torch.zeros_like(state[0]),))


class OffTheGrid(Sound):
    """The final state is the one at the last multiple of 64, where there is one."""

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        states, length = self.scan(inputs, state[0]), inputs.shape[1]
        return self.out(torch.stack(states, 1)), (states[(length // 64 * 64 or length) - 1],)


class StepIsAnother(Sound):
    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        outputs, state = super().forward(inputs, state)
        return (outputs * 1.01 if inputs.shape[1] == 1 else outputs), state


class CutsGradient(Sound):
    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        outputs, (hidden,) = super().forward(inputs, state)
        return outputs, (hidden.detach(),)


class WrongGradient(Sound):
    """Pieces and whole agree, but at every position backward returns the double of what it should."""

    def scan(self, inputs: Tensor, hidden: Tensor) -> list[Tensor]:
        states = []
        for step in inputs.unbind(1):
            hidden = super().scan(step[:, None], 2 * hidden - hidden.detach())[0]
            states.append(hidden)
        return states


class MixesRows(Sound):
    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        return super().forward(inputs - inputs.mean((0, 2), keepdim=True), state)


class EditsState(Sound):
    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        outputs, (hidden,) = super().forward(inputs, state)
        with torch.no_grad():
            state[0].copy_(hidden)
        return outputs, (hidden,)


class EditsInputs(Sound):
    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        with torch.no_grad():
            inputs.clamp_(-1, 1)
        return super().forward(inputs, state)


class EditsParameter(Sound):
    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        with torch.no_grad():
            self.decay.clamp_(0, 1)
        return super().forward(inputs, state)


class ReusesBuffer(Sound):
    """Hands out one tensor and overwrites it at the next call."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("cache", torch.zeros(0))

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        outputs, (hidden,) = super().forward(inputs, state)
        if self.cache.shape != hidden.shape:
            self.cache = torch.empty_like(hidden).detach()
        with torch.no_grad():
            self.cache.copy_(hidden)
        return outputs, (self.cache,)


class RemembersElsewhere(Sound):
    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        self.calls += 1
        outputs, state = super().forward(inputs, state)
        return outputs + self.calls, state


class UselessPart(Sound):
    def initial_state(self, batch_size: int) -> State:
        return (*super().initial_state(batch_size), self.decay.new_zeros(batch_size, 2))

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        outputs, (hidden,) = super().forward(inputs, state[:1])
        return outputs, (hidden, state[1] + inputs.shape[1])


class Tokens(Sound):
    input_spec = InputSpec("tokens", 9)

    def __init__(self) -> None:
        super().__init__()
        self.read = nn.Embedding(9, 4)


class CutsTokenGradient(Tokens, CutsGradient):
    pass


class Single(Sound):
    """Has float32 written into it."""

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        return super().forward(inputs, (state[0].float().to(self.decay.dtype),))


class LosesBuffer(Sound):
    """What it was built with is drawn at random and kept where saving does not look."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.rand(4), persistent=False)
        self.scale: Tensor

    def scan(self, inputs: Tensor, hidden: Tensor) -> list[Tensor]:
        return super().scan(inputs * self.scale.mean(), hidden)


class Raises(Sound):
    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        if inputs.shape[1] > 64:
            raise ValueError("at most 64 positions")
        return super().forward(inputs, state)


def build_losing_buffer() -> nn.Module:
    return LosesBuffer()


def found(report: CheckReport) -> dict[str, Check]:
    return {check.name: check for check in report.checks if check.passed is False}


@pytest.mark.parametrize("cls", [Sound, Tokens])
def test_a_sound_model_passes(cls: type[Recurrent]) -> None:
    report = check(cls())
    assert report.passed
    assert all(point.passed for point in report.checks)
    assert report.model["state_parts"] == ["layers.0"]
    assert report.model["class"].endswith(cls.__name__)
    assert from_json(to_json(report)) == report


@pytest.mark.parametrize(
    ("cls", "point", "words"),
    [
        (DropsState, "chunked_equals_whole", "dropped when more than one position is read"),
        (IgnoresState, "chunked_equals_whole", "starts from zero at every window"),
        (IgnoresState, "state_matters", "the whole state"),
        (UselessPart, "state_matters", "layers.1"),
        (OffTheGrid, "step_equals_parallel", "last full chunk"),
        (OffTheGrid, "chunked_equals_whole", "after splitting"),
        (StepIsAnother, "step_equals_parallel", "outputs of one pass"),
        (CutsGradient, "gradient_through_state", "as if each window stood alone"),
        (CutsTokenGradient, "gradient_through_state", "as if each window stood alone"),
        (WrongGradient, "gradient_through_state", "measured"),
        (MixesRows, "rows_independent", "share the batch"),
        (EditsState, "nothing_edited_in_place", "layers.0"),
        (EditsInputs, "nothing_edited_in_place", "the inputs"),
        (EditsParameter, "nothing_edited_in_place", "decay"),
        (ReusesBuffer, "nothing_edited_in_place", "as returned earlier"),
        (RemembersElsewhere, "nothing_edited_in_place", "remembers something"),
        (Raises, "chunked_equals_whole", "at most 64 positions"),
    ],
)
def test_a_planted_fault_is_found(cls: type[Recurrent], point: str, words: str) -> None:
    report = check(cls())
    assert point in found(report), report
    assert words in found(report)[point].detail
    assert from_json(to_json(report)) == report


@pytest.mark.parametrize(
    ("cls", "points"),
    [
        (OffTheGrid, {"chunked_equals_whole", "step_equals_parallel", "gradient_through_state"}),
        (CutsGradient, {"gradient_through_state"}),
        (MixesRows, {"rows_independent"}),
        (EditsParameter, {"nothing_edited_in_place", "gradient_through_state"}),
        (UselessPart, {"state_matters"}),
    ],
)
def test_a_planted_fault_blames_nothing_else(cls: type[Recurrent], points: set[str]) -> None:
    assert set(found(check(cls()))) == points


def test_the_users_model_stays_as_it_was() -> None:
    model = EditsParameter()
    with torch.no_grad():
        model.decay.fill_(1.5)
    check(model)
    assert model.training
    assert model.decay.dtype == torch.float32
    assert bool((model.decay == 1.5).all())


def test_float32_where_the_model_computes_in_it() -> None:
    report = check(Single())
    assert report.passed, report
    assert report.model["checked_in"] == ["float32"]
    assert "dropped" in found(check(type("Both", (Single, DropsState), {})()))["chunked_equals_whole"].detail


def test_a_lost_buffer_is_found() -> None:
    model = from_factory(f"{__name__}:build_losing_buffer")
    lost = found(check(model))
    assert set(lost) == {"save_load_exact"}
    assert "scale" in lost["save_load_exact"].detail


def test_a_buffer_that_may_be_lost_is_named() -> None:
    point = check(LosesBuffer()).checks[-1]
    assert point.passed is None
    assert "scale" in point.detail
    assert "from_factory" in point.detail


def test_example_inputs_are_used() -> None:
    model = adapt(Tokens())
    model.input_spec = None
    with pytest.raises(InputError, match="example"):
        check(model)
    with pytest.raises(InputError, match=r"\(B, T\) integers"):
        check(model, torch.randint(9, (4,)))
    assert check(model, torch.randint(9, (2, 30))).passed


def test_a_state_that_is_not_batch_first_is_refused() -> None:
    class LayersFirst(Sound):
        def initial_state(self, batch_size: int) -> State:
            return (self.decay.new_zeros(1, batch_size, 4),)

    with pytest.raises(InputError, match=r"layers.0 \(1, 3, 4\)"):
        check(LayersFirst())
