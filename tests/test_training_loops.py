"""docs/training-loops.md: its blocks run as written, and do what they say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch import Tensor, nn

import outlast
from foreign import theirs
from outlast.state import State, detach, leaves, map_state

PAGE = (Path(__file__).parents[1] / "docs" / "training-loops.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
WINDOW = 64


def block(saying: str) -> str:
    """The one block of the page that says so."""
    (found,) = [each for each in BLOCKS if saying in each]
    return found


def run(code: str, names: dict[str, Any]) -> None:
    exec(compile(code, "docs/training-loops.md", "exec", dont_inherit=True), names)


class Spy:
    """The states that a model was given and gave, call by call, while it was trained."""

    def __init__(self, model: nn.Module) -> None:
        self.starts: list[State] = []
        self.finals: list[State] = []
        self.losses: list[float] = []
        model.register_forward_hook(self.see)

    def see(self, module: nn.Module, given: tuple[Tensor, State], got: tuple[Tensor, State]) -> None:
        if module.training and torch.is_grad_enabled():
            self.starts.append(detach(given[1]))
            self.finals.append(detach(got[1]))

    def loss_of(self, function: Any) -> Any:
        def recorded(outputs: Tensor, targets: Tensor) -> Tensor:
            loss = function(outputs, targets)
            self.losses.append(float(loss.detach()))
            return loss

        return recorded

    @property
    def fell(self) -> bool:
        fifth = max(len(self.losses) // 5, 1)
        return float(np.mean(self.losses[-fifth:])) < 0.9 * float(np.mean(self.losses[:fifth]))


def row(state: State, number: Any) -> State:
    return map_state(lambda tensor: tensor[number], state)


def same(a: State, b: State) -> bool:
    return all(torch.equal(x, y) for x, y in zip(leaves(a), leaves(b), strict=True))


class Module(nn.Module):
    def __init__(self, inputs: int = 1, outputs: int = 1) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.lstm, self.head = nn.LSTM(inputs, 8, batch_first=True), nn.Linear(8, outputs)

    def forward(self, x: Tensor, hidden: Any = None) -> tuple[Tensor, Any]:
        y, hidden = self.lstm(x, hidden)
        return self.head(y), hidden


class Words(Module):
    def __init__(self) -> None:
        super().__init__(8, 256)
        self.embed = nn.Embedding(256, 8)

    def forward(self, x: Tensor, hidden: Any = None) -> tuple[Tensor, Any]:
        return super().forward(self.embed(x), hidden)


@pytest.fixture(autouse=True)
def _quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def waves(streams: int, length: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    rates = random.uniform(0.1, 0.5, (streams, 1))
    return np.sin(rates * np.arange(length) + random.uniform(0, 6, (streams, 1)))[..., None].astype(np.float32)


@pytest.fixture
def plain() -> tuple[dict[str, Any], Spy]:
    """The plain loop, and what it did."""
    values = torch.from_numpy(waves(330, WINDOW + 1))  # the last batch of an epoch is smaller
    data = torch.utils.data.TensorDataset(values[:, :-1], values[:, 1:])
    loader = torch.utils.data.DataLoader(data, batch_size=32, shuffle=True)
    module = Module()
    names: dict[str, Any] = {
        "module": module,
        "loader": [batch for _ in range(3) for batch in loader],
        "optimizer": torch.optim.Adam(module.parameters(), 1e-2),
    }
    setup, loop = block("loss = loss_function(outputs, targets)").split("for inputs", 1)
    run(setup, names)
    spy = Spy(names["model"])
    names["loss_function"] = spy.loss_of(nn.functional.mse_loss)
    run("for inputs" + loop, names)
    return names, spy


def test_the_plain_loop_passes_states_and_learns(plain: tuple[dict[str, Any], Spy]) -> None:
    names, spy = plain
    assert spy.fell
    zero, aside = names["model"].initial_state(1), np.flatnonzero(names["starts"].rule.set_aside(32))
    for before, start in zip(spy.finals[:3], spy.starts[1:4], strict=True):
        assert all(same(row(start, number), row(zero, 0)) for number in aside)
        others = [row(start, number) for number in range(32) if number not in aside]
        sources = [row(before, number) for number in range(32) if number not in aside]
        # Every one is the final state of some row, each of another one.
        matches = [[k for k, source in enumerate(sources) if same(each, source)] for each in others]
        assert sorted(each[0] for each in matches) == list(range(24))
        assert matches != [[k] for k in range(24)]


def test_the_age_curve_comes_out(plain: tuple[dict[str, Any], Spy], capsys: pytest.CaptureFixture[str]) -> None:
    names, _ = plain
    values = waves(12, 513, seed=1)
    names |= {"recordings": values[:, :-1], "answers": values[:, 1:]}
    run(block("targets=answers"), names)
    printed = capsys.readouterr().out.splitlines()
    assert [str(band.age) for band in names["found"].age_curve] == [line.rsplit(" ", 1)[0] for line in printed]
    assert names["found"].oldest.age[1] > WINDOW
    assert Path("report.html").stat().st_size > 1000
    assert names["model"].training


def test_episodes_go_on_in_chunks_and_step_by_step() -> None:
    model, rows, size = outlast.adapt(Module()), 4, 8
    spy = Spy(model)
    # Row r begins an episode every (r + 2) chunks; it has to tell how long the episode lasts: only a state can.
    first = [torch.tensor([k % (r + 2) == 0 for r in range(rows)]) for k in range(150)]
    begun = torch.zeros(rows)
    chunks = []
    for flags in first:
        begun = torch.where(flags, 0.0, begun)
        chunks.append((flags, torch.ones(rows, size, 1), (begun / 5)[:, None, None].expand(rows, size, 1)))
        begun = begun + 1
    names: dict[str, Any] = {
        "model": model,
        "chunks": chunks,
        "state": model.initial_state(rows),
        "loss_function": spy.loss_of(nn.functional.mse_loss),
        "optimizer": torch.optim.Adam(model.parameters(), 1e-2),
    }
    run(block("state = detach(final)"), names)
    assert spy.fell
    zero = row(model.initial_state(1), 0)
    for step in range(1, 20):
        for r in range(rows):
            wanted = zero if first[step][r] else row(spy.finals[step - 1], r)
            assert same(row(spy.starts[step], r), wanted)
    assert all(not leaf.requires_grad for leaf in leaves(names["state"]))
    episode = torch.randn(20, 1)
    names |= {"episode": episode}
    run(block("action, state = model("), names)
    outputs, final = model(episode[None], model.initial_state(1))
    torch.testing.assert_close(names["action"][0, 0], outputs[0, -1])
    torch.testing.assert_close(names["state"], final)


def test_an_episode_may_start_on_an_old_state() -> None:
    """What the page says of `tbtt`: rows that go on have their own state, new episodes another row's old one."""
    model = outlast.adapt(Module())
    starts = outlast.Starts(model, "tbtt", window=8, batch_size=8)
    _, final = model(torch.randn(8, 8, 1), starts.state(8))
    starts.keep(final)
    first = torch.tensor([True, False, True, False, False, False, False, True])
    start, aside = starts.state(8, ~first), starts.rule.set_aside(8)
    for number in range(8):
        if aside[number]:
            assert same(row(start, number), row(model.initial_state(1), 0))
        elif not first[number]:
            assert same(row(start, number), row(final, number))
        else:
            assert any(same(row(start, number), row(final, k)) for k in range(8) if first[k] and not aside[k])


def documents(path: Path, count: int = 12, length: int = 1500) -> np.ndarray:
    random = np.random.default_rng(0)
    steps = np.where(random.random((count, length)) < 0.1, 2, 1)
    tokens = (steps.cumsum(1) % 5).astype(np.int32)
    np.save(path, tokens)
    return tokens


def test_documents_are_read_on_with_their_state(tmp_path: Path) -> None:
    documents(tmp_path / "documents.npy")
    model = outlast.adapt(Words())
    spy = Spy(model)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    names: dict[str, Any] = {"outlast": outlast, "model": model, "optimizer": optimizer}
    code = block("carry:expected_run=4096")
    run(code.replace("400):", "60):"), names)
    again = outlast.Starts(model, "carry:expected_run=4096", window=WINDOW, batch_size=8)
    batches = [batch for batch, _ in zip(again.batches(names["streams"]), range(60), strict=False)]
    went_on = 0
    for step in range(1, 60):
        for number in np.flatnonzero(batches[step].continues.numpy()):
            went_on += 1
            assert same(row(spy.starts[step], number), row(spy.finals[step - 1], number))
            assert batches[step].position[number] == batches[step - 1].position[number] + WINDOW
            assert batches[step].stream_id[number] == batches[step - 1].stream_id[number]
    assert went_on > 60 * 8 // 2
    assert float(names["loss"].detach()) < 0.5 * float(np.log(256))


@pytest.fixture
def trainer(tmp_path: Path) -> dict[str, Any]:
    """What the page defines for a Trainer, beside a small directory of transformers and data."""
    settings = {"vocab_size": 8, "num_hidden_layers": 1, "hidden_size": 16, "state_size": 4, "expand": 2}
    theirs.saved("mamba", settings, tmp_path / "my-mamba")
    tokens = documents(tmp_path / "documents.npy")
    names: dict[str, Any] = {
        "outlast": outlast,
        "held_out": outlast.Streams.from_tokens(tokens[:, :520], vocabulary=8),
        "windows": [{"input_ids": torch.from_numpy(tokens[k % 12, k : k + WINDOW]).long()} for k in range(160)],
    }
    for saying in ("class CarriedTrainer", "class AgeCurve", "class DocumentTrainer"):
        run(block(saying), names)
    return names


@pytest.mark.filterwarnings("ignore:'pin_memory' argument is set:UserWarning")  # by transformers
def test_a_trainer_passes_states_and_prints_age_curves(
    trainer: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, after = block('outlast.load("my-mamba")').split("arguments =", 1)
    run(before, trainer)
    spy = Spy(trainer["model"])
    run("arguments =" + after, trainer)
    history = [entry["train_loss"] for entry in trainer["trainer"].state.log_history if "train_loss" in entry]
    assert history[-1] < np.log(8)
    curves = re.findall(r"^(\d+) \[([\d., ]+)\]$", capsys.readouterr().out, re.MULTILINE)
    assert [int(step) for step, _ in curves] == [20, 40]
    first, last = ([float(loss) for loss in losses.split(",")] for _, losses in curves)
    assert len(first) >= 8
    assert last[6] < first[6]
    assert len(spy.starts) == 40
    aside = outlast.state_passing().prepared(trainer["model"], None, WINDOW).set_aside(8)  # pyright: ignore
    for earlier, start in zip(spy.finals, spy.starts[1:], strict=False):
        for number in range(8):
            mine, zero = row(start, number), row(trainer["model"].initial_state(1), 0)
            assert same(mine, zero) if aside[number] else any(same(mine, row(earlier, k)) for k in range(8))
    # The other library loads what was saved, and it is what was trained.
    theirs_again = transformers.MambaForCausalLM.from_pretrained(tmp_path / "out" / "model").eval()
    tokens = torch.tensor([[1, 2, 3, 4, 0, 1]])
    model = trainer["model"].eval()
    with torch.no_grad():
        torch.testing.assert_close(
            theirs_again(tokens).logits, model(tokens, model.initial_state(1))[0], rtol=1e-4, atol=1e-4
        )


def test_a_trainer_reads_documents_on(trainer: dict[str, Any], tmp_path: Path) -> None:
    model = outlast.load("my-mamba")
    spy = Spy(model)
    arguments = transformers.TrainingArguments(
        "out", max_steps=30, per_device_train_batch_size=8, learning_rate=3e-3, remove_unused_columns=False,
        save_strategy="no", report_to="none",
    )  # fmt: skip
    running = trainer["DocumentTrainer"](model, arguments)
    running.starts = outlast.Starts(model, "tbtt", window=WINDOW, batch_size=8)
    running.documents = outlast.Streams.from_tokens(tmp_path / "documents.npy", vocabulary=8)
    running.train()
    batches = [batch for batch, _ in zip(running.starts.batches(running.documents), range(30), strict=False)]
    assert len(spy.starts) == 30
    went_on = [(step, r) for step in range(1, 30) for r in np.flatnonzero(batches[step].continues.numpy())]
    assert len(went_on) > 100
    assert all(same(row(spy.starts[step], r), row(spy.finals[step - 1], r)) for step, r in went_on)


def test_no_loop_has_more_than_ten_lines_that_are_new() -> None:
    """The page promises little: of every block, the lines that are no import, no comment and no blank."""
    for code in BLOCKS:
        lines = [line for line in code.splitlines() if line.strip() and not line.startswith(("import ", "from "))]
        assert len(lines) <= 10, code
