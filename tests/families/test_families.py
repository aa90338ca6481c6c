"""What is particular to a family, and what building one promises."""

from __future__ import annotations

import pytest
import torch

from outlast import families
from outlast.errors import InputError
from outlast.families.lstm import LSTM
from outlast.model import InputSpec
from outlast.state import leaves, map_state

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
        (outputs.float().sum() + sum(leaf.sum() for leaf in leaves(final))).backward()
    assert outputs.dtype == torch.bfloat16
    assert all(leaf.dtype == torch.float32 for leaf in (*leaves(start), *leaves(final)))
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
        families.from_recipe({"family": "gru"})
