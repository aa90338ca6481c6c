"""The forty modules of tests/modules: each has the outcome that was written down for it."""

from __future__ import annotations

import copy
import json
import re
import warnings
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import torch
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

import outlast
from contract_sizes import Ask, quick_check
from modules.listed import MODULES, Listed
from modules.page import PAGE, page
from outlast.cli import main
from outlast.contract.check import check
from outlast.errors import InputError
from outlast.evaluation.opened import adapted_to
from outlast.model import InputSpec
from outlast.modules import adapt, from_factory
from outlast.modules.calls.module_adapter import HiddenModule
from outlast.randomness import generator
from outlast.state import concatenate, leaves

pytestmark = [
    pytest.mark.filterwarnings("ignore:.torch.jit.* is deprecated:DeprecationWarning"),  # what users still bring
    pytest.mark.filterwarnings("ignore:Converting a tensor to a Python boolean:torch.jit.TracerWarning"),
]


def printed_wrapper(message: str) -> str:
    """The code that a refusal prints, as it stands there."""
    return message[message.index("\nclass ") + 1 :]


def built_from(wrapper: str, listed: Listed) -> nn.Module:
    """What a person has who pasted the wrapper below the module's class."""
    place = dict(vars(listed.file))
    exec(wrapper, place)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        return place[wrapper.split()[1].partition("(")[0]]().eval()


def found(listed: Listed, ask: Ask) -> str:
    """What becomes of the module: ``alone``; ``wrapper``, where the one that the refusal prints works; ``refused`` with
    the message; or ``wrong`` with what is."""
    module = listed.build()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            model = adapt(module)
    except InputError as error:
        if listed.outcome != "wrapper":
            return f"refused: {error}"
        wrapper = printed_wrapper(str(error))
        assert len(wrapper.splitlines()) <= 5
        model, outcome = adapt(built_from(wrapper, listed)), "wrapper"
    except Exception as error:
        return f"wrong: {type(error).__name__}: {error}"
    else:
        outcome = "alone"
    if model.input_spec != listed.reads:
        return f"wrong: it reads {model.input_spec}"
    assert listed.whole is not None, listed.name
    inputs = listed.reads.random(3, 6, generator(0, "listed"))
    with torch.no_grad():
        outputs, _ = model.eval()(inputs, model.initial_state(3))
        wanted = listed.whole(listed.build(), inputs)
    if outputs.shape != wanted.shape or not torch.allclose(outputs, wanted, atol=1e-5):
        return f"wrong: other outputs than its own, {tuple(outputs.shape)} for {tuple(wanted.shape)}"
    failed = tuple(each.name for each in ask(model).checks if each.passed is False)
    return outcome if failed == listed.broken else f"wrong: check says {failed}"


def test_there_are_forty_and_their_own_calls_run() -> None:
    assert len({listed.name for listed in MODULES}) == 40
    for listed in MODULES:
        if listed.whole is not None:
            inputs = listed.reads.random(3, 6, generator(0, "listed"))
            assert listed.whole(listed.build(), inputs).shape[:2] == (3, 6), listed.name


SLOW = ("libraries:XLSTMStack",)
"""Takes as long as twenty others."""
ONE_A_MECHANISM = ("cells:Cell", "around:ListState", "inside:StatefulLSTM", "linear:LRU")
"""A cell, states in a list, a state that the module keeps, a complex one: asked as `outlast check` asks."""


def marked(listed: Listed, quick: bool) -> Any:
    return pytest.param(listed, id=listed.name, marks=() if quick else pytest.mark.long)


def as_written(listed: Listed, ask: Ask) -> None:
    outcome = found(listed, ask)
    assert outcome.partition(":")[0] == listed.outcome, outcome
    for word in listed.words:
        assert word in outcome


@pytest.mark.parametrize("listed", [marked(listed, listed.name not in SLOW) for listed in MODULES])
def test_outcome(listed: Listed) -> None:
    as_written(listed, quick_check)


@pytest.mark.parametrize(
    "listed", [marked(listed, listed.name in ONE_A_MECHANISM) for listed in MODULES if listed.outcome != "refused"]
)
def test_outcome_as_check_asks(listed: Listed) -> None:
    as_written(listed, check)


@pytest.mark.parametrize(
    "listed", [marked(each, at % 4 == 0) for at, each in enumerate(MODULES) if each.outcome == "alone"]
)
def test_the_command_line_and_files_name_it(listed: Listed, tmp_path: Path) -> None:
    model = from_factory(f"modules.{listed.name}")
    assert model.input_spec == listed.reads
    assert model.found is not None
    outlast.save(model, tmp_path / "model")
    loaded = outlast.load(tmp_path / "model", allow_code=True)
    inputs = listed.reads.random(2, 5, generator(1, "saved"))
    with torch.no_grad():
        outputs, _ = model.eval()(inputs, model.initial_state(2))
        assert torch.allclose(loaded.eval()(inputs, loaded.initial_state(2))[0], outputs, atol=1e-6)


class OneHot(nn.Module):
    """Nothing in it says that it reads tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.head = nn.GRU(256, 4, batch_first=True), nn.Linear(4, 256)

    def forward(self, x: Tensor, h: Tensor | None = None) -> tuple[Tensor, Tensor]:
        y, final = self.rnn(nn.functional.one_hot(x, 256).float(), h)
        return self.head(y), final


class Doubled(nn.Module):
    """Also runs on as many features as its layer has, and is meant for half of them."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.head = nn.GRU(6, 4, batch_first=True), nn.Linear(4, 1)

    def forward(self, x: Tensor, h: Tensor | None = None) -> tuple[Tensor, Tensor]:
        y, final = self.rnn(torch.cat([x, x.square()], -1)[..., :6], h)
        return self.head(y), final


def test_what_it_reads_comes_from_the_data() -> None:
    values = np.random.default_rng(0).normal(size=(20, 200, 3)).astype(np.float32)
    features = outlast.Streams.from_arrays(values, horizon=1)
    tokens = outlast.Streams.from_tokens(np.random.default_rng(0).integers(0, 256, (20, 200)), vocabulary=256)
    with pytest.raises(InputError, match=r"input_spec = outlast\.InputSpec"):
        adapt(OneHot())
    assert adapted_to(OneHot(), tokens).input_spec == InputSpec("tokens", 256)
    assert adapt(OneHot(), InputSpec("tokens", 256)).input_spec == InputSpec("tokens", 256)
    assert adapt(Doubled()).input_spec == InputSpec("features", 6)
    assert adapted_to(Doubled(), features).input_spec == InputSpec("features", 3)
    assert outlast.evaluate(OneHot(), tokens, train_context=16).age_curve


def test_check_says_what_was_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["check", "--model", "modules.inside:TutorialLSTM", "--out", str(tmp_path / "out")])
    assert "its state, 2 tensors, is what `lstm` carries inside, from zeros" in capsys.readouterr().err


def test_rows_of_different_numbers_are_read_apart() -> None:
    """A count of positions is one for all rows in the module, and another for each row of a batch here."""
    listed = next(each for each in MODULES if each.name == "cells:CountedCell")
    model = adapt(listed.build())
    inputs = listed.reads.random(3, 9, generator(2, "rows"))
    with torch.no_grad():
        states = [model(inputs[row : row + 1, :row], model.initial_state(1))[1] for row in (1, 2)]
        states.insert(1, model.initial_state(1))
        together, after = model(inputs[:, 4:], concatenate(states))
        for row, state in enumerate(states):
            alone, after_alone = model(inputs[row : row + 1, 4:], state)
            assert torch.allclose(together[row], alone[0], atol=1e-6)
            assert torch.equal(leaves(after)[1][row], leaves(after_alone)[1][0])
    assert [part.kind for part in model.state_parts()] == ["recurrent", "counter"]


class TwoHeads(nn.Module):
    """A mean and a spread, as one tuple or dictionary beside the state; of every position, or of the last one."""

    def __init__(self, named: bool, last: bool):
        super().__init__()
        self.gru = nn.GRU(3, 8, batch_first=True)
        self.mean, self.spread = nn.Linear(8, 1), nn.Linear(8, 1)
        self.named, self.last = named, last

    def forward(self, x, h=None):
        out, h = self.gru(x, h)
        out = out[:, -1] if self.last else out
        mean, spread = self.mean(out), self.spread(out)
        return ({"mean": mean, "spread": spread} if self.named else (mean, spread)), h


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("named", [False, True])
def test_of_heads_in_a_tuple_beside_the_state_the_first_is_read_and_never_the_state(named: bool, last: bool) -> None:
    """The state was taken for the outputs, for it was the only tensor that stood by itself."""
    module = TwoHeads(named, last).eval()
    model = adapt(module)
    inputs = torch.randn(2, 7, 3)
    with torch.no_grad():
        read, _ = model(inputs, model.initial_state(2))
        assert torch.allclose(read, module.mean(module.gru(inputs)[0]), atol=1e-6)
    assert isinstance(model, HiddenModule)
    assert f"its outputs are `{'mean' if named else 0}` of `0` of what it returns" in str(model.found)
    assert "is `h` of forward" in str(model.found)


def test_a_module_that_keeps_its_state_is_left_as_it_was() -> None:
    module = next(each for each in MODULES if each.name == "inside:StatefulLSTM").build()
    module(torch.randn(4, 5, 3))
    before = module.hidden
    model = adapt(module)
    model(torch.randn(2, 5, 3), model.initial_state(2))
    assert module.hidden is before


def test_a_learned_start_is_trained() -> None:
    module = next(each for each in MODULES if each.name == "around:LearnedStart").build()
    model = adapt(module)
    model(torch.randn(2, 3, 3), model.initial_state(2))[0].sum().backward()
    assert module.h0.grad is not None
    assert module.c0.grad is not None


def test_a_compiled_module_is_trained_in_a_copy() -> None:
    model = copy.deepcopy(adapt(next(each for each in MODULES if each.name == "packed:scripted").build()))
    assert all(each.is_leaf and each.requires_grad for each in model.parameters())
    model(torch.zeros(2, 3, dtype=torch.int64), model.initial_state(2))[0].sum().backward()
    assert any(each.grad is not None for each in model.parameters())


class MeanPooled(nn.Module):
    """One answer a window, from all of its positions."""

    def __init__(self) -> None:
        super().__init__()
        self.gru, self.fc = nn.GRU(3, 8, batch_first=True), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.gru(x)[0].mean(dim=1))


class Convolved(nn.Module):
    """A convolution that reads ahead, before the recurrence."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.gru = nn.Conv1d(3, 6, 3, padding=1), nn.GRU(6, 8, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.gru(self.conv(x.transpose(1, 2)).transpose(1, 2))[0]


class Attending(nn.Module):
    """Attention over the window behind the recurrence."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(3, 8, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        y, _ = self.gru(x)
        return (y @ y.transpose(1, 2)).tril().softmax(-1) @ y


class Normed(nn.Module):
    """Standardised over the window."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(3, 8, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.gru((x - x.mean(1, keepdim=True)) / (x.std(1, keepdim=True) + 1e-3))[0]


@pytest.mark.parametrize("module", [MeanPooled(), Convolved(), Attending(), Normed()], ids=lambda m: type(m).__name__)
def test_what_reads_windows_in_another_way_is_refused(module: nn.Module) -> None:
    with pytest.raises(InputError, match=r"in pieces|one output a window|one by one"):
        adapt(module)


class Ignoring(nn.Module):
    """Takes a state, and drops it."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(3, 8, batch_first=True)

    def forward(self, x: Tensor, hidden: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.gru(x)


def test_what_says_that_it_carries_and_does_not_is_told_of_and_left_to_check() -> None:
    with pytest.warns(UserWarning, match="outlast check"):
        model = adapt(Ignoring())
    assert "chunked_equals_whole" in [each.name for each in check(model).checks if each.passed is False]


def test_the_page_says_what_is_found() -> None:
    """After a change of the rules: `PYTHONPATH=tests python -m modules.page`."""
    assert page() == PAGE.read_text()


def test_the_code_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    joblib.dump(StandardScaler().fit(np.array([[1.0], [3.0]])), "scaler.joblib")
    names: dict[str, object] = {}
    for code in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL):
        exec(compile(code, str(PAGE), "exec", dont_inherit=True), names)
    assert isinstance(names["model"], outlast.Recurrent)
    assert json.loads(Path("scaler.json").read_text())["mean_"] == [2.0]
