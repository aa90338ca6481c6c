"""A model under a leak is the rule written out as a loop, however the stream is cut, and is saved with its rule."""

from __future__ import annotations

import json
import math

import pytest
import torch
from torch import Tensor, nn

import outlast
from contract_sizes import Ask, quick_check
from outlast.checkpoints import model_fingerprint
from outlast.errors import InputError
from outlast.families import FAMILIES, build
from outlast.model import InputSpec, Recurrent
from outlast.modules.leaking import WithLeak
from outlast.modules.remedies import remedy_named, rule_of, under
from outlast.modules.resetting import WithReset
from outlast.state import concatenate, leaves, rebuild, select

TAU, LENGTH = 3.0, 11
SIZES = {"gru": {}, "lstm": {}, "mamba": {"state_size": 3}, "rglru": {}}
MEMORIES = {"cell", "state", "memory", "normaliser"}


def made(family: str) -> Recurrent:
    sizes = SIZES.get(family, {"heads": 2}) if family != "hybrid" else {"recurrent_settings": {"heads": 2}}
    more = {"key_size": 3} if family == "gated_deltanet" else {}
    spec = InputSpec("features", 2)
    return build(family, inputs=spec, outputs=2, width=8, layers=2, seed=1, **sizes, **more).double().eval()


def drawn(rows: int, length: int = LENGTH, seed: int = 0) -> Tensor:
    return torch.randn(rows, length, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def started(model: Recurrent, rows: int):
    """A state that something was read into."""
    with torch.no_grad():
        return model(drawn(rows, 5, seed=1), model.initial_state(rows))[1]


def leaking(path: str, gated: bool) -> bool:
    field = path.rpartition(".")[2]
    return field in MEMORIES or (field == "hidden" and not gated)


def by_loop(model: Recurrent, inputs: Tensor, state, rate: Tensor, begin: int = 0, from_age: int = 0, every: int = 1):
    """The rule, one position after the other: λ = exp(−rate) on what remembers, then the model's own step."""
    parts = model.state_parts()
    gated, outputs = any(part.path.endswith("cell") for part in parts), []
    zero = leaves(model.initial_state(len(inputs)))
    for t in range(inputs.shape[1]):
        if begin + t >= from_age and (begin + t) % every == 0:
            tensors = leaves(state)
            kept = torch.exp(-rate * every)
            tensors = [
                start + kept * (tensor - start) if leaking(part.path, gated) else tensor
                for part, tensor, start in zip(parts, tensors, zero, strict=True)
            ]
            state = rebuild(state, tensors)
        output, state = model(inputs[:, t : t + 1], state)
        outputs.append(output)
    return torch.cat(outputs, 1), state


def meant(model: Recurrent, state) -> list[Tensor]:
    """What a state stands for: a memory that is kept over exp(m) times exp(m)."""
    found = dict(zip((part.path for part in model.state_parts()), leaves(state), strict=True))
    told = []
    for path, tensor in found.items():
        layer, _, field = path.rpartition(".")
        stabiliser = found.get(f"{layer}.stabiliser")
        if field == "stabiliser":
            continue
        if stabiliser is not None:
            tensor = tensor * stabiliser.exp().view(*stabiliser.shape, *[1] * (tensor.dim() - 2))
        told.append(tensor)
    return told


def close(found, wanted, tolerance: float = 1e-9) -> None:
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


def in_pieces(model: Recurrent, inputs: Tensor, state, sizes: list[int]):
    outputs = []
    for piece in inputs.split(sizes, 1):
        output, state = model(piece, state)
        outputs.append(output)
    return torch.cat(outputs, 1), state


@pytest.mark.parametrize("family", FAMILIES)
def test_a_leak_is_the_loop_and_so_are_its_gradients(family):
    """Outputs, final state, and gradients by the input, the state that is given, and 1/τ; in any pieces."""
    model = made(family)
    tolerance = 1e-5 if family == "mlstm" else 1e-9  # whose floor of 1e-6 stands beside what is divided by exp(m)
    found = []
    for which in ("loop", "leak"):
        rate = torch.tensor(1 / TAU, dtype=torch.float64, requires_grad=True)
        inputs = drawn(2).requires_grad_()
        given = started(model, 2)
        points = [tensor.clone().requires_grad_(tensor.is_floating_point()) for tensor in leaves(given)]
        state = rebuild(given, points)
        if which == "loop":
            outputs, after = by_loop(model, inputs, state, rate)
        else:
            leaky = outlast.with_leak(model, TAU)
            with torch.no_grad():
                close(leaky(inputs, state)[0], in_pieces(leaky, inputs, state, [1, 4, 6])[0])
            leaky.rates = dict.fromkeys(leaky.rates, rate)
            outputs, after = leaky(inputs, state)
        told = meant(model, after)
        squares = [(tensor * tensor).sum() for tensor in (outputs, *told) if tensor.is_floating_point()]
        total = torch.stack(squares).sum()
        wanted = [rate, inputs, *(point for point in points if point.requires_grad)]
        gradients = torch.autograd.grad(total, wanted, allow_unused=True)
        assert abs(float(gradients[0])) > 1e-6
        known = [torch.zeros(()) if each is None else each for each in gradients]
        found.append([outputs, *told, *known])
    close(found[1], found[0], tolerance)


@pytest.mark.parametrize("family", FAMILIES)
def test_many_positions_at_once_are_the_loop_in_float32_too(family, monkeypatch):
    """By the kernels that are at work, over more positions than one piece of a growing scan can hold."""
    leaky = outlast.with_leak(made(family).float(), TAU)
    assert leaky.at_once
    inputs = drawn(2, 70).float()
    with torch.no_grad():
        outputs, after = leaky(inputs, leaky.initial_state(2))
        monkeypatch.setattr(WithLeak, "at_once", False)
        wanted, final = leaky(inputs, leaky.initial_state(2))
    close([outputs, *leaves(after)], [wanted, *leaves(final)], 2e-4)


class Started(Recurrent):
    """A GRU that starts from a learned state."""

    def __init__(self) -> None:
        super().__init__()
        self.input_spec = InputSpec("features", 2)
        self.cell, self.start = nn.GRUCell(2, 3), nn.Parameter(torch.linspace(-1, 1, 3))

    def initial_state(self, batch_size: int) -> tuple[Tensor]:
        return (self.start.expand(batch_size, 3),)

    def forward(self, inputs: Tensor, state):
        (hidden,), outputs = state, []
        for x in inputs.unbind(1):
            hidden = self.cell(x, hidden)
            outputs.append(hidden)
        return torch.stack(outputs, 1), (hidden,)


def test_a_state_leaks_towards_where_its_row_began_and_that_gets_its_gradient():
    """Not towards zero, where the initial state is another."""
    model = Started().double()
    leaky = outlast.with_leak(model, TAU)
    given = (torch.ones(2, 3, dtype=torch.float64),)

    def run(start: Tensor, rate: Tensor):
        leaky.rates = {"layers.0": rate}
        return torch.func.functional_call(leaky, {"model.start": start}, (drawn(2, 4), given))

    points = (model.start.detach().clone().requires_grad_(), torch.tensor([0.3]).double().squeeze().requires_grad_())
    assert torch.autograd.gradcheck(lambda *a: (run(*a)[0], *run(*a)[1]), points)
    outputs, _ = outlast.with_leak(model, 1e-3)(drawn(2, 1), given)
    close([outputs], [model(drawn(2, 1), model.initial_state(2))[0]])


@pytest.mark.parametrize(("every", "from_age"), [(2, 0), (1, 7), (2, 7), (3, 1)])
@pytest.mark.parametrize("family", ["gla", "lstm", "retnet", "rglru", "rwkv6"])
def test_pieces_and_a_first_age_count_the_positions_of_every_row(family, every, from_age):
    """Rows of different ages in one batch leak each at its own positions; before the first age nothing changes."""
    model = made(family)
    leaky = outlast.with_leak(model, 24.0, every=every, from_age=from_age)
    ages = [0, 3, 4]
    with torch.no_grad():
        states, alone = [], []
        for age in ages:
            state = leaky.initial_state(1)
            if age:
                _, state = leaky(drawn(1, age, seed=age), state)
            states.append(state)
            inner = by_loop(model, drawn(1, age, seed=age), model.initial_state(1), torch.tensor(1 / 24.0), 0, from_age,
                            every)[1] if age else model.initial_state(1)  # fmt: skip
            alone.append(by_loop(model, drawn(1), inner, torch.tensor(1 / 24.0), age, from_age, every))
        inputs = drawn(1).expand(3, -1, -1)
        outputs, final = in_pieces(leaky, inputs, concatenate(states), [4, 1, 6])
        assert final.read.tolist() == [age + LENGTH for age in ages]
        for row, (wanted, after) in enumerate(alone):
            close([outputs[row : row + 1]], [wanted], 1e-7)
            close(leaves(select(final.inner, torch.tensor([row]))), leaves(after), 1e-7)
        if from_age:
            short = inputs[:, :from_age]
            assert torch.equal(leaky(short, leaky.initial_state(3))[0], model(short, model.initial_state(3))[0])


def test_what_leaks_is_chosen_by_name_by_part_and_by_head():
    """Hidden states of an LSTM stay unless they are named; a name stands for all parts that end with it."""
    lstm, gla = made("lstm"), made("gla")
    assert set(outlast.with_leak(lstm, 8).rates) == {"layers.0.cell", "layers.1.cell"}
    assert set(outlast.with_leak(lstm, 8, parts=["hidden", "cell"]).rates) == {p.path for p in lstm.state_parts()}
    assert outlast.with_leak(gla, {"layers.1.state": [4, 8]}).rates == {"layers.1.state": [0.25, 0.125]}
    assert set(outlast.with_leak(made("mlstm"), 8).rates) == {"layers.0.stabiliser", "layers.1.stabiliser"}
    assert set(outlast.with_leak(made("hybrid"), 8).rates) == {"layers.0.state"}
    state = started(gla, 2)
    by_head = outlast.with_leak(gla, {"layers.0.state": [1e9, 1e-9]})
    zeroed = rebuild(state, [t * torch.tensor([1.0, 0.0]).view(-1, 1, 1) if i == 0 else t
                             for i, t in enumerate(leaves(state))])  # fmt: skip
    close([by_head(drawn(2, 1), state)[0]], [gla(drawn(2, 1), zeroed)[0]])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"tau": 0.0}, "tau=0.0"),
        ({"tau": math.inf}, "tau=inf"),
        ({"tau": 8, "parts": ["memory"]}, "memory"),
        ({"tau": 8, "parts": []}, "no part"),
        ({"tau": {"state": [1.0, 2.0, 3.0]}}, "3 numbers"),
        ({"tau": {"state": 4}, "parts": ["state"]}, "by part"),
        ({"tau": 8, "every": 2}, "every=2"),
        ({"tau": 8, "every": 0}, "every=0"),
        ({"tau": 8, "from_age": -1}, "from_age=-1"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, said):
    with pytest.raises(InputError, match=said):
        outlast.with_leak(made("gla"), **arguments)


def test_a_bidirectional_module_is_refused():
    with pytest.raises(InputError, match="bidirectional"):
        outlast.with_leak(nn.LSTM(2, 3, bidirectional=True), 8)


@pytest.mark.parametrize("kind", ["gla", "torch.nn.LSTM"])
def test_a_saved_model_keeps_its_leak_and_its_reset(tmp_path, kind):
    """Bit for bit, one inside the other; and its fingerprint is another than that of the model without them."""
    model = made("gla").float() if kind == "gla" else outlast.adapt(nn.LSTM(2, 4, batch_first=True))
    leaky = outlast.with_reset(outlast.with_leak(model, 24.5, every=2, from_age=3), every=6)
    outlast.save(leaky, tmp_path / "model")
    again = outlast.load(tmp_path / "model")
    assert isinstance(again, WithReset)
    assert isinstance(again.model, WithLeak)
    assert (again.model.settings, again.named) == (leaky.model.settings, leaky.named)
    inputs = drawn(2, 20).float()
    for one, other in zip(*(leaves(each(inputs, each.initial_state(2))) for each in (leaky, again)), strict=True):
        assert torch.equal(one, other)
    prints = {model_fingerprint(each) for each in (model, leaky, outlast.with_leak(model, 8))}
    assert len(prints) == 3
    assert model_fingerprint(again) in prints


@pytest.mark.parametrize(
    "name",
    [
        "leak:32",
        "leak:0.1",
        "leak:32:from=64",
        "leak:8:parts=hidden+cell",
        "leak:layers.0.state=16+256:layers.1.state=64:every=2:from=5",
        "reset:6, leak:24:from=3",
    ],
)
def test_a_leak_has_one_name_that_is_typed_saved_and_told(tmp_path, name):
    """The name says all that `with_leak` was told, the age from which it leaks as well."""
    model = made("lstm" if "hidden" in name else "gla").float()
    outlast.save(under(model, name), tmp_path / "model")
    record = json.loads((tmp_path / "model" / "outlast.json").read_text())
    assert (record["remedy"], "leak" in record) == (name, False)
    assert rule_of(outlast.load(tmp_path / "model")) == name
    assert model_fingerprint(outlast.load(tmp_path / "model")) == model_fingerprint(under(model, name))


def test_a_directory_that_kept_its_leak_apart_from_its_remedy_is_read(tmp_path):
    outlast.save(made("gla").float(), tmp_path / "model")
    path = tmp_path / "model" / "outlast.json"
    record = json.loads(path.read_text())
    record |= {"leak": {"tau": 24.5, "parts": None, "every": 2, "from_age": 3}, "remedy": "reset:6"}
    path.write_text(json.dumps(record))
    assert rule_of(outlast.load(tmp_path / "model")) == "reset:6, leak:24.5:every=2:from=3"


@pytest.mark.parametrize("name", ["leak", "leak:8:9", "leak:8:from=x", "leak:8:from=1:from=2", "leak:8:state=4"])
def test_a_name_that_is_no_leak_is_refused(name):
    with pytest.raises(InputError, match="remedy"):
        remedy_named(name)


@pytest.mark.parametrize("ask", [quick_check, pytest.param(outlast.check, marks=pytest.mark.long)])
def test_the_contract_is_kept(ask: Ask):
    """A model under a leak is held to what every recurrent model is held to, saving included."""
    report = ask(outlast.with_leak(made("gru").float(), 24.0, every=3, from_age=2))
    assert not {point.name: point.detail for point in report.checks if point.passed is False}
