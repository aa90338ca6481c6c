"""Every further row of the study of remedies is a loop that is written out here, or leaves the base as it was."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import outlast
from benchmarks.remedies import mixture, scalars
from benchmarks.remedies.altered import Between, Confident, LastPositions, Scans, log_decays, steps
from benchmarks.remedies.rows import ROWS
from outlast.data import Streams
from outlast.evaluation import EvalSettings
from outlast.families import build
from outlast.model import InputSpec, Recurrent
from outlast.modules.leaking import WithLeak
from outlast.repairs import RepairSettings
from outlast.repairs.setup import Setup, Wanted, both, print_of, set_up
from outlast.state import leaves, rebuild
from outlast.training import TrainSettings
from toys import small_gru, token_streams, wave_streams

T, LENGTH = 8, 41
FEATURES = InputSpec("features", 2)
DECAYING = ("gated_deltanet", "gla", "mamba", "mamba2", "mlstm", "retnet", "rglru", "rwkv6")


def made(family: str, inputs: InputSpec = FEATURES, outputs: int = 2) -> Recurrent:
    sizes: dict[str, Any] = {} if family in ("gru", "lstm", "mamba", "rglru") else {"heads": 2}
    model = build(family, inputs=inputs, outputs=outputs, width=8, layers=2, seed=1, **sizes)
    with torch.no_grad():  # louder than when fresh: what is remembered should matter
        for parameter in model.parameters():
            parameter.mul_(1.5)
    return model.eval()


def drawn(rows: int = 3, length: int = LENGTH) -> Tensor:
    return torch.randn(rows, length, 2, generator=torch.Generator().manual_seed(0))


def todo_of(model: Recurrent, streams: Streams) -> Setup:
    measuring = EvalSettings(targets=8, max_length=64, jobs=1)
    how = RepairSettings(anchor=0, anyway=True)
    return set_up(
        Wanted(model, outlast.split(streams), T, training=TrainSettings(), measuring=measuring, repairing=how)
    )


def read(model: Recurrent, inputs: Tensor, sizes: tuple[int, ...] = ()) -> Tensor:
    state, outputs = model.initial_state(len(inputs)), []
    with torch.no_grad():
        for piece in inputs.split(list(sizes) or inputs.shape[1], 1):
            output, state = model(piece, state)
            outputs.append(output)
    return torch.cat(outputs, 1)


def close(one: Tensor, other: Tensor, tolerance: float = 1e-5) -> None:
    torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("family", DECAYING)
def test_log_decays_that_stay_are_the_base_and_scaled_ones_are_with_decay(family: str) -> None:
    model, inputs = made(family), drawn()
    kept = Scans(model, "cap", 1.0, log_decays(lambda decay: decay.clamp(max=0)))
    close(read(kept, inputs), read(model, inputs))
    assert kept.met
    scaled = Scans(model, "decays", 3.0, log_decays(lambda decay: 3 * decay))
    if family in ("mlstm", "retnet", "rglru"):
        assert not torch.allclose(read(scaled, inputs), read(model, inputs), atol=1e-4)
    else:
        close(read(scaled, inputs), read(outlast.with_decay(model, 3.0), inputs), 1e-4)


@pytest.mark.parametrize("family", [each for each in DECAYING if each not in ("rwkv6", "mlstm")])
def test_a_cap_of_no_position_forgets_all_that_was_written_before(family: str) -> None:
    """Then a prediction is what the memory's zero gives beside the same convolution."""
    model, inputs = made(family), drawn()
    capped = Scans(model, "cap", 0.0, log_decays(lambda decay: decay.clamp(max=-1e4)))
    state, outputs = model.initial_state(3), []
    for x in inputs.split(1, 1):
        pairs = zip(model.state_parts(), leaves(state), strict=True)
        state = rebuild(state, [each if part.kind == "convolution" else 0 * each for part, each in pairs])
        output, state = model(x, state)
        outputs.append(output)
    close(read(capped, inputs, (20, 21)), torch.cat(outputs, 1), 2e-4)


@pytest.mark.parametrize("family", ["mamba", "mamba2"])
def test_steps_of_no_length_leave_the_memory_alone_and_others_change_what_is_written(family: str) -> None:
    model, inputs = made(family), drawn()
    close(read(Scans(model, "steps", 1.0, steps(1.0)), inputs), read(model, inputs))
    with torch.no_grad():
        _, state = model(inputs, model.initial_state(3))
        _, after = Scans(model, "steps", 0.0, steps(0.0))(inputs, state)
    for part, one, other in zip(model.state_parts(), leaves(state), leaves(after), strict=True):
        if part.kind == "recurrent":
            close(one, other)
    halved, scaled = Scans(model, "steps", 0.5, steps(0.5)), outlast.with_decay(model, 0.5)
    assert not torch.allclose(read(halved, inputs), read(scaled, inputs), atol=1e-4), "what is written shrinks too"


def test_what_changes_between_positions_counts_those_of_every_row() -> None:
    """Rows of different ages in one batch, against a loop over the positions of each."""
    model, inputs = made("gla"), drawn()
    paths = [part.path for part in model.state_parts() if part.kind == "recurrent"]
    halving = Between(model, "half_", 1.0, 4, dict.fromkeys(paths, lambda tensor: tensor / 2), from_age=6)
    wanted = []
    for row in inputs.split(1):
        state, said = model.initial_state(1), []
        for t, x in enumerate(row.split(1, 1)):
            if t % 4 == 0 and t >= 6:
                pairs = zip(model.state_parts(), leaves(state), strict=True)
                state = rebuild(state, [each / 2 if part.path in paths else each for part, each in pairs])
            output, state = model(x, state)
            said.append(output)
        wanted.append(torch.cat(said, 1))
    close(read(halving, inputs, (3, 1, 20, 17)), torch.cat(wanted))
    _, older = halving(inputs[:, :9], halving.initial_state(3))
    mixed = rebuild(older, [torch.cat([one[:1], other[1:]]) for one, other in
                            zip(leaves(halving.initial_state(3)), leaves(older), strict=True)])  # fmt: skip
    output, _ = halving(torch.cat([inputs[:1, :15], inputs[1:, 9:24]]), mixed)
    close(output[:1], wanted[0][:, :15])
    close(output[1:], torch.cat(wanted)[1:, 9:24])


def test_what_is_usual_bounds_and_draws_the_state() -> None:
    """Clipped at infinity it is the base; clipped it stays within; normalised it has one size; drawn it is a loop."""
    todo = todo_of(made("gla", InputSpec("features", 1), 1), wave_streams(40, 64))
    base, known = todo.base.eval(), scalars.usual(todo)
    inputs = 5 * drawn()[..., :1]
    clipped, loose = (scalars.clipped(todo, times) for times in (0.5, math.inf))
    assert clipped is not None
    assert loose is not None
    with torch.no_grad():
        close(read(loose, inputs), read(base, inputs))
        for rule, compare in ((clipped, torch.le), (scalars.normalised(todo, 0.5), torch.isclose)):
            assert isinstance(rule, Between)
            _, state = base(inputs, base.initial_state(3))
            named = dict(zip((part.path for part in base.state_parts()), leaves(rule._changed(state)), strict=True))
            for path, each in known.items():
                size = scalars.size_of_heads(each.part, named[path])
                assert bool(compare(size, (0.5 + 1e-6) * each.size.expand_as(size)).all())
        tau = 24.0
        drawn_to, state = scalars.towards_mean(todo, tau), base.initial_state(3)
        assert isinstance(drawn_to, Between)
        assert drawn_to.every == 3
        said = []
        for t, x in enumerate(inputs.split(1, 1)):
            if t and t % 3 == 0:
                paths = [part.path for part in base.state_parts()]
                state = rebuild(state, [
                    known[path].mean + math.exp(-3 / tau) * (each - known[path].mean) if path in known else each
                    for path, each in zip(paths, leaves(state), strict=True)
                ])  # fmt: skip
            output, state = base(x, state)
            said.append(output)
        close(read(drawn_to, inputs), torch.cat(said, 1))


def test_a_leak_towards_zero_is_the_leak_where_states_start_there() -> None:
    todo = todo_of(small_gru(), wave_streams(40, 64))
    assert scalars.towards_zero(todo, 8.0) is None
    assert scalars.usual(todo_of(made("mlstm", InputSpec("features", 1), 1), wave_streams(40, 64))) == {}


def test_a_gate_that_never_remembers_is_an_lstm_without_a_cell() -> None:
    todo = todo_of(made("lstm", InputSpec("features", 1), 1), wave_streams(40, 64))
    closed, inputs = scalars.shifted_bias(todo, -1e9), drawn()[..., :1]
    assert closed is not None
    with torch.no_grad():
        close(read(scalars.shifted_bias(todo, 0.0), inputs), read(todo.base, inputs))  # pyright: ignore[reportArgumentType]
        state, said = todo.base.initial_state(3), []
        for x in inputs.split(1, 1):
            state = tuple(layer._replace(cell=0 * layer.cell) for layer in state)
            output, state = todo.base(x, state)
            said.append(output)
        close(read(closed, inputs), torch.cat(said, 1))
    assert scalars.shifted_bias(todo_of(small_gru(), wave_streams(40, 64)), -1.0) is None


def test_of_two_copies_the_surer_one_speaks() -> None:
    model, inputs = made("gla", outputs=5), drawn()
    found = read(Confident(model, 16), inputs, (11, 30))
    for t in range(LENGTH):
        begins = [16 * ((t + shift) // 16) - shift for shift in (0, 8)]
        said = [read(model, inputs[:, max(0, begin) : t + 1])[:, -1] for begin in begins]
        entropies = [torch.distributions.Categorical(logits=each).entropy() for each in said]
        close(found[:, t], torch.where((entropies[0] <= entropies[1])[:, None], *said))


def test_the_last_positions_read_again_are_a_copy_of_that_age() -> None:
    model, inputs = made("gla"), drawn()
    close(read(LastPositions(model, 64, 8), inputs), read(model, inputs))
    found = read(LastPositions(model, 16, 4), inputs, (7, 34))
    for t in range(LENGTH):
        begin = max(0, 4 * (t // 4) - 12)
        close(found[:, t], read(model, inputs[:, begin : t + 1])[:, -1])


def test_learnt_taus_are_all_that_a_training_changes() -> None:
    todo = todo_of(made("gla", InputSpec("features", 1), 1), wave_streams(40, 256))
    before = {name: tensor.clone() for name, tensor in todo.base.state_dict().items()}
    first, trained = scalars.learnt(todo, 0), scalars.learnt(todo, 3)
    assert isinstance(first, WithLeak)
    assert isinstance(trained, WithLeak)
    assert set(first.settings["tau"].values()) == {float(T)}
    assert all(tau != T and 0.5 * T < tau < 2 * T for tau in trained.settings["tau"].values())
    assert all(torch.equal(tensor, before[name]) for name, tensor in trained.model.state_dict().items())
    assert scalars.learnt(todo_of(Still(), wave_streams(40, 64)), 0) is None


class Still(Recurrent):
    """It remembers nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.input_spec = InputSpec("features", 1)
        self.head = torch.nn.Linear(1, 1)

    def initial_state(self, batch_size: int) -> tuple[Tensor]:
        return (torch.zeros(batch_size, 1),)

    def forward(self, inputs: Tensor, state: tuple[Tensor]) -> tuple[Tensor, tuple[Tensor]]:
        return self.head(inputs), state


def test_a_mixture_weighs_by_what_has_arrived() -> None:
    losses, counted = np.random.default_rng(0).exponential(size=(3, 2, 20)), np.ones((2, 20))
    counted[:, ::3] = 0
    found = mixture.weighted(losses, counted, 0.4, 5, 7.0)
    for t in range(20):
        lost = sum(counted[:, s] * losses[:, :, s] * 0.5 ** ((t - 5 - s) / 7) for s in range(t - 4)) + np.zeros((3, 2))
        weights = np.exp(-0.4 * lost)
        wanted = -np.log((weights / weights.sum(0) * np.exp(-losses[:, :, t])).sum(0))
        np.testing.assert_allclose(found[:, t], wanted)


@pytest.mark.parametrize("counted", [False, True])
def test_a_mixture_of_the_base_alone_is_the_base_on_the_same_targets(
    counted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams = token_streams(40, 64)
    if counted:
        streams = replace(streams, weights=np.arange(len(streams.inputs), dtype=np.float32) % 3)
    todo = todo_of(small_gru(InputSpec("tokens", 5), 5), streams)
    seen, before = both(todo, 1)
    monkeypatch.setattr(mixture, "AGES", ())
    alone = mixture.mixture(todo, seen)
    assert alone is not None
    assert alone.measured is not None
    np.testing.assert_allclose(alone.measured.oldest.per_stream, before.oldest.per_stream, rtol=1e-5)
    assert mixture.mixture(todo_of(small_gru(), wave_streams(40, 64)), seen) is None


@pytest.mark.parametrize("model", ["gla", pytest.param("lstm", marks=pytest.mark.long)])
def test_every_row_is_made_or_says_that_there_is_nothing(model: str) -> None:
    spec = InputSpec("tokens", 5)
    todo = todo_of(made(model, spec, 5), token_streams(40, 128))
    todo = replace(todo, measuring=replace(todo.measuring, max_length=None))
    seen, _ = both(todo, 1)
    found = {name: row(todo, seen) for name, row in ROWS.items()}
    nothing = {name for name, each in found.items() if each is None}
    lacks = {"gla": {"shifted forget bias"}, "lstm": {"cap of the longest memory", "scaled decays"}}[model]
    assert nothing == {"leak towards zero", "scaled steps", *lacks}
    prints = [print_of(each.model) for each in found.values() if each is not None and each.measured is None]
    assert len({*prints, print_of(todo.base)}) == len(prints) + 1, "or one would pass for another"
