"""What is particular to a family, and what building one promises."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from outlast import families
from outlast.contract.check import check
from outlast.errors import InputError
from outlast.families.attention import SlidingAttention
from outlast.families.lstm import LSTM
from outlast.families.rglru import RGLRUSettings
from outlast.interventions import Carry, FittedNoise, Mix, RandomNoise, Zero
from outlast.model import InputSpec
from outlast.state import leaves, map_state, named_leaves
from outlast.training import TrainSettings, fit
from outlast.training.objectives import objective
from toys import token_streams

FEATURES, TOKENS = InputSpec("features", 7), InputSpec("tokens", 11)


@pytest.mark.parametrize("family", families.FAMILIES)
def test_weights_are_a_function_of_the_seed_alone(family):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = families.build(family, inputs=TOKENS, outputs=3, seed=1)
    assert torch.equal(torch.rand(3), expected)
    again = families.build(family, inputs=TOKENS, outputs=3, seed=1)
    other = families.build(family, inputs=TOKENS, outputs=3, seed=2)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))


@pytest.mark.long  # tests/contract asks the same of random sizes
@pytest.mark.parametrize("family", families.FAMILIES)
def test_the_contract_as_check_asks_it(family):
    """All points, in float64, for tokens and for features."""
    for inputs in (TOKENS, FEATURES):
        report = check(families.build(family, inputs=inputs, outputs=3, width=8))
        assert report.model["checked_in"] == ["float32", "float64"]
        assert [point.name for point in report.checks if point.passed is not True] == []


RULES = [
    Zero(zero_share=0.25),
    RandomNoise(zero_share=0.25),
    FittedNoise(zero_share=0.25),
    Carry(expected_run=40.0),
    Mix(members=(RandomNoise(std=1.0, zero_share=0.0), Carry(expected_run=40.0, zero_share=0.0))),
]


@pytest.mark.parametrize("family", families.FAMILIES)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_family_trains_with_every_intervention(family, rule):
    """Three steps change the weights and leave finite numbers; windows of attention and counters start as at zero."""
    data, chosen = token_streams(streams=12), {"width": 8, "layers": 2}
    model = families.build(family, inputs=InputSpec("tokens", 5), outputs=5, **chosen)
    bound = rule.prepared(model, data, 8)
    carried = bound.initial(model, 6)
    batch = data.window(np.arange(6), np.full(6, 8), 8, np.zeros(6, bool))
    carried = bound.keep(carried, model(batch.inputs, model.initial_state(6))[1], batch)
    starts = leaves(bound.start(carried, batch, torch.Generator().manual_seed(0)))
    for part, start, zero in zip(model.state_parts(), starts, leaves(carried.zero), strict=True):
        assert torch.isfinite(start).all()
        assert (rule.name == "zero" or not part.touched) == torch.equal(start, zero), part.path
    before = [parameter.detach().clone() for parameter in model.parameters()]
    settings = TrainSettings(steps=3, batch_size=8, learning_rate=1e-2)
    fit(model, data, objective(None, model, data), rule, 8, settings)
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())
    assert any(not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


@pytest.mark.parametrize("family", families.FAMILIES)
@pytest.mark.parametrize("half", ["parameters", "autocast"])
def test_state_stays_float32_in_half_precision(family, half):
    model = families.build(family, inputs=TOKENS, outputs=3, width=16)
    x = torch.randint(11, (2, 40), generator=torch.Generator().manual_seed(0))
    exact = model(x, model.initial_state(2))
    if half == "parameters":
        model = model.bfloat16()
    start = model.initial_state(2)
    with torch.autocast("cpu", torch.bfloat16, enabled=half == "autocast"):
        outputs, final = model(x, start)
        (outputs.float().sum() + sum(leaf.sum() for leaf in leaves(final) if leaf.is_floating_point())).backward()
    assert outputs.dtype == torch.bfloat16
    assert all(leaf.dtype == torch.float32 for leaf in leaves((start, final)) if leaf.is_floating_point())
    assert all(parameter.grad is not None for parameter in model.parameters())
    torch.testing.assert_close(outputs.float(), exact[0], atol=0.05, rtol=0.05)
    torch.testing.assert_close(leaves(final), leaves(exact[1]), atol=0.1, rtol=0.1)


def test_gla_is_the_sensor_model():
    """Width 64, 2 layers, 2 heads of key 16 and value 32, no MLP: about 40 thousand parameters, slow decay at first."""
    model = families.build("gla", inputs=FEATURES, outputs=32)
    assert [tuple(leaf.shape) for leaf in leaves(model.initial_state(3))] == [(3, 2, 16, 32)] * 2
    assert 37_000 < sum(parameter.numel() for parameter in model.parameters()) < 42_000
    assert [part.path for part in model.state_parts()] == ["layers.0.state", "layers.1.state"]
    x = torch.randn(2, 64, 7, generator=torch.Generator().manual_seed(0))
    state = model.initial_state(2)
    full = map_state(torch.ones_like, state)
    kept = map_state(lambda a, b: a - b, model(x, full)[1], model(x, state)[1])[0].state.mean()
    assert kept.item() == pytest.approx(torch.sigmoid(torch.tensor(3.0)).item() ** (64 / 16), abs=0.03)


def test_mamba2_parts():
    model = families.build("mamba2", inputs=FEATURES, outputs=32, layers=1)
    state, convolution = model.state_parts()
    assert (state.path, state.kind, state.head_axis) == ("layers.0.state", "recurrent", 1)
    assert (convolution.path, convolution.kind, convolution.head_axis) == ("layers.0.convolution", "convolution", None)
    assert [tuple(leaf.shape) for leaf in leaves(model.initial_state(3))] == [(3, 4, 16, 32), (3, 3, 160)]


@pytest.mark.parametrize(
    ("family", "shapes"),
    [
        ("mamba", {"state": (3, 128, 16), "convolution": (3, 3, 128)}),
        ("gated_deltanet", {"state": (3, 2, 16, 32), "convolution": (3, 3, 128)}),
        ("mlstm", {"memory": (3, 2, 16, 32), "normaliser": (3, 2, 16), "stabiliser": (3, 2)}),
        ("retnet", {"state": (3, 2, 16, 32)}),
        ("rglru", {"hidden": (3, 64), "convolution": (3, 3, 64)}),
        ("rwkv6", {"state": (3, 2, 32, 32), "shift": (3, 1, 64)}),
    ],
)
def test_parts_of_the_state(family, shapes):
    model = families.build(family, inputs=FEATURES, outputs=32, layers=1)
    assert {path: tuple(leaf.shape) for path, leaf in named_leaves(model.initial_state(3), "")} == {
        f".0.{name}": shape for name, shape in shapes.items()
    }
    assert all(part.touched for part in model.state_parts())


def test_a_hybrid_interleaves_any_family_with_attention():
    for recurrent in families.FAMILIES:
        if recurrent == "hybrid":
            continue
        model = families.build(
            "hybrid", inputs=FEATURES, outputs=2, width=8, layers=4, window=5, recurrent=recurrent, mlp=1.0
        )
        kinds = {int(part.path.split(".")[1]): part.kind for part in model.state_parts()}
        assert {layer for layer, kind in kinds.items() if kind in ("attention", "counter")} == {1, 3}
        outputs, _ = model(torch.randn(2, 9, 7), model.initial_state(2))
        assert outputs.isfinite().all()


def test_the_rglru_is_what_its_paper_says():
    """Equations 1 to 4, position by position."""
    layer = RGLRUSettings(width=6).mixer().double()
    x = torch.randn(2, 20, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    outputs, final = layer(x, layer.initial_state(2))
    values, gate = layer.input(x).chunk(2, -1)
    values, _ = layer.convolution(values, layer.initial_state(2).convolution)
    recurrent, write = layer.gates(values).sigmoid().chunk(2, -1)
    decay, hidden, read = torch.sigmoid(-layer.rate) ** (8 * recurrent), torch.zeros(2, 6).double(), []
    for t in range(20):
        hidden = decay[:, t] * hidden + (1 - decay[:, t] ** 2).sqrt() * write[:, t] * values[:, t]
        read.append(hidden)
    torch.testing.assert_close(final.hidden, hidden)
    torch.testing.assert_close(outputs, layer.output(torch.stack(read, 1) * torch.nn.functional.gelu(gate)))


def test_attention_sees_its_window_and_nothing_else():
    """One attending layer: the positions that change when one input does, and what starts from an empty window."""
    layer = SlidingAttention(8, 2, 4)
    x = torch.randn(1, 90, 8, generator=torch.Generator().manual_seed(0))
    plain, final = layer(x, layer.initial_state(1))
    assert (int(final.read), final.valid.tolist()) == (90, [[True] * 3])
    changed, _ = layer(x + 5.0 * (torch.arange(90) == 70)[:, None], layer.initial_state(1))
    moved = (changed - plain).abs().amax(-1)[0] > 1e-6
    assert moved.nonzero().flatten().tolist() == [70, 71, 72, 73]
    alone, short = layer(x[:, 70:72], layer.initial_state(1))
    assert short.valid.tolist() == [[False, True, True]]
    first_again = layer(x[:, 70:71] @ torch.eye(8), layer.initial_state(1))[0]
    torch.testing.assert_close(alone[:, :1], first_again)
    # By hand: the second position is a mean of its own value and the first one's, whatever the empty slots hold.
    values = layer.queries_keys_values(x[:, 70:72]).split(8, -1)[2].view(1, 2, 2, 4)
    solved = torch.linalg.lstsq(layer.output.weight, alone[0, 1]).solution.view(2, 4)
    for head in range(2):
        a, b = values[0, 0, head], values[0, 1, head]
        share = ((solved[head] - b) @ (a - b)) / ((a - b) @ (a - b))
        assert 0 < share < 1
        torch.testing.assert_close(solved[head], share * a + (1 - share) * b, rtol=1e-3, atol=1e-4)


def test_attention_does_not_care_where_its_counter_began():
    layer = SlidingAttention(8, 2, 6).double()
    x = torch.randn(2, 40, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    start = layer.initial_state(2)
    late = start._replace(read=torch.tensor([7_000_000_000, 3]))
    torch.testing.assert_close(layer(x, late)[0], layer(x, start)[0], rtol=1e-4, atol=1e-5)


def test_a_retnets_memory_is_seen_from_the_last_position():
    """Turned back by a position for each position read: it fades with its decay and keeps its shape, and what is read
    from it depends on how long ago it was written alone."""
    model = families.build("retnet", inputs=FEATURES, outputs=2, layers=1).double()
    with torch.no_grad():  # an input of zeros writes nothing
        for parameter in model.embed.parameters():
            parameter.mul_(parameter.dim() - 1)
    x = torch.randn(1, 1, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    silence = torch.zeros(1, 10, 7, dtype=torch.float64)
    first = model(x, model.initial_state(1))[1]
    after = model(silence, first)[1]
    decays = torch.tensor([1 - 2.0**-5, 1 - 2.0**-6], dtype=torch.float64) ** 10
    assert not torch.allclose(after[0].state, first[0].state * decays[:, None, None])
    torch.testing.assert_close(after[0].state.norm(dim=(2, 3)), first[0].state.norm(dim=(2, 3)) * decays)
    late = model(torch.cat([silence, x], 1), model.initial_state(1))[1]
    torch.testing.assert_close(leaves(late), leaves(first))


@pytest.mark.parametrize("family", ["lstm", "gru"])
def test_forget_bias_keeps_the_state(family):
    """A large forget bias makes the state after 20 positions remember where it began."""

    def difference(bias):
        model = families.build(family, inputs=FEATURES, outputs=1, layers=1, forget_bias=bias)
        x = torch.randn(1, 20, 7, generator=torch.Generator().manual_seed(0))
        start = model.initial_state(1)
        ends = [model(x, map_state(lambda a, v=value: a + v, start))[1] for value in (0.0, 0.5)]
        return (leaves(ends[1])[-1] - leaves(ends[0])[-1]).abs().mean().item()

    assert difference(6.0) > 0.4
    assert difference(-2.0) < 0.01


def test_lstm_stack_is_torchs():
    """Plainly stacked layers are those of one multi-layer torch.nn.LSTM."""
    model = families.build("lstm", inputs=FEATURES, outputs=4, width=8, layers=2)
    stacked = torch.nn.LSTM(8, 8, 2, batch_first=True)
    for layer, mixer in enumerate(m for m in model.modules() if isinstance(m, LSTM)):
        weights = {f"{name[:-1]}{layer}": value for name, value in mixer.lstm.state_dict().items()}
        stacked.load_state_dict(weights, strict=False)
    x = torch.randn(2, 9, 7, generator=torch.Generator().manual_seed(0))
    outputs, final = model(x, model.initial_state(2))
    expected, (hidden, cell) = stacked(model.embed(x))
    torch.testing.assert_close(outputs, model.head(expected))
    torch.testing.assert_close(torch.stack([layer.hidden for layer in final]), hidden)
    torch.testing.assert_close(torch.stack([layer.cell for layer in final]), cell)


@pytest.mark.parametrize(
    ("family", "chosen", "message"),
    [
        ("gal", {}, "gla"),
        ("gla", {"head": 2}, "heads"),
        ("gla", {"heads": 3}, "divides"),
        ("gla", {"key_share": 0.26, "heads": 2}, "multiple of heads"),
        ("gla", {"convolution": 1}, "at least 2"),
        ("mamba2", {"groups": 3}, "divide"),
        ("mamba", {"convolution": 0}, "at least 1"),
        ("mamba", {"step_low": 0.2}, "step_low ≤ step_high"),
        ("gated_deltanet", {"key_size": 0}, "at least 1"),
        ("mlstm", {"heads": 3}, "divides"),
        ("retnet", {"heads": 32}, "even key size"),
        ("rwkv6", {"key_share": 0.01}, "multiple of heads"),
        ("rglru", {"slow_high": 1.0}, "slow_high < 1"),
        ("hybrid", {"recurrent": "gal"}, "gla"),
        ("hybrid", {"recurrent": "hybrid"}, "one of"),
        ("hybrid", {"recurrent_settings": {"head": 2}}, "head"),
        ("hybrid", {"recurrent_settings": {"heads": 3}}, "divides"),
        ("hybrid", {"layers": 1}, "attention_every"),
        ("hybrid", {"attention_heads": 5}, "divide"),
        ("hybrid", {"window": 1}, "at least 2"),
        ("lstm", {"mlp": 1.0}, "residual"),
        ("gru", {"layers": 0}, "at least 1"),
    ],
)
def test_settings_that_do_not_fit(family, chosen, message):
    with pytest.raises(InputError, match=message):
        families.build(family, inputs=FEATURES, outputs=3, **chosen)


def test_inputs_that_do_not_fit():
    model = families.build("gru", inputs=FEATURES, outputs=3)
    state = model.initial_state(2)
    for wrong in (torch.zeros(2, 5, 6), torch.zeros(2, 7), torch.zeros(2, 0, 7), torch.zeros(2, 5, 7).long()):
        with pytest.raises(InputError, match="features"):
            model(wrong, state)
    with pytest.raises(InputError, match="2 layers"):
        model(torch.zeros(2, 5, 7), state[:1])
    with pytest.raises(InputError, match="without"):
        families.from_blueprint({"family": "gru"})
