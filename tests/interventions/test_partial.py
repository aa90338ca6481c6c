"""Only the parts that are named start as the other rule says, and by as much as is asked for."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from outlast.data import Batch
from outlast.errors import InputError
from outlast.interventions import Carried, Carry, Control, FittedNoise, Partial, intervention, typed
from outlast.randomness import generator
from outlast.state import leaves, map_state
from toys import HEADS, EveryKind, wave_streams

ROWS, WINDOW = 8, 8
CARRY = Carry(expected_run=40.0)


def batch() -> Batch:
    numbers = torch.arange(ROWS)
    continues = torch.tensor([row % 2 == 1 for row in range(ROWS)])
    return Batch(torch.zeros(ROWS, 0, 1), None, torch.zeros(ROWS, 0), numbers, numbers, continues)


def started(rule):
    """Parts of the states that a rule gives, of the initial ones, and of those of the rule inside."""
    model = EveryKind()
    zero = model.initial_state(ROWS)
    carried = Carried(zero, map_state(lambda each: each + 3 if each.dtype != torch.bool else ~each, zero))
    found = [
        leaves(each.prepared(model, wave_streams(), WINDOW).start(carried, batch(), generator(0, "x", 1)))
        for each in (rule, rule.of)
    ]
    return found[0], leaves(zero), found[1]


def test_without_parts_or_strength_it_is_the_other_rule() -> None:
    found, _, whole = started(Partial(of=CARRY))
    assert all(torch.equal(a, b) for a, b in zip(found, whole, strict=True))


def test_parts_that_are_not_named_start_from_the_initial_state() -> None:
    found, zero, whole = started(Partial(of=CARRY, parts=("layers.taps",)))
    changed = [not torch.equal(a, b) for a, b in zip(found, zero, strict=True)]
    assert changed == [False, True, False, False, False]
    assert torch.equal(found[1], whole[1])


def test_heads_are_told_apart() -> None:
    found, zero, whole = started(Partial(of=CARRY, parts=("layers.memory:0,2",)))
    for head in range(HEADS):
        wanted = whole if head in (0, 2) else zero
        assert torch.equal(found[0][:, head], wanted[0][:, head])
    assert torch.equal(found[1], zero[1])


def test_a_whole_layer_and_several_names_at_once() -> None:
    found, zero, whole = started(Partial(of=CARRY, parts=("layers",)))
    touched = [True, True, False, False, False]
    for a, b, c, each in zip(found, zero, whole, touched, strict=True):
        assert torch.equal(a, c if each else b)


def test_half_the_strength_is_half_way() -> None:
    found, zero, whole = started(Partial(of=CARRY, strength=0.5))
    torch.testing.assert_close(found[0], (zero[0] + whole[0]) / 2)
    aside = CARRY.prepared(EveryKind(), wave_streams(), WINDOW).set_aside(ROWS)
    assert torch.equal(found[0][torch.from_numpy(aside)], zero[0][torch.from_numpy(aside)])


def test_rows_go_on_as_the_other_rule_says_and_its_control_reads_the_same() -> None:
    model, streams, rows = EveryKind(), wave_streams(), np.arange(200)
    part = Partial(of=CARRY, parts=("layers.memory",))
    prepared = [each.prepared(model, streams, WINDOW) for each in (part, CARRY, Control(rule=part, zero_share=0.0))]
    for step in range(5):
        told = [each.continues(3, step, rows) for each in prepared]
        assert (told[0] == told[1]).all()
        assert (told[0] == told[2]).all()
    assert part.handed_on_after == 40.0


def test_it_is_told_and_read_again() -> None:
    for rule in (
        Partial(of=CARRY, parts=("layers.memory:1",), strength=0.25),
        Partial(of=FittedNoise(source="carried", carried_length=64)),
    ):
        assert intervention(**rule.describe()) == rule
        assert intervention(typed(rule)) == rule
    assert Partial(of=CARRY, parts=("layers.1",), strength=0.5).label == "carry(expected_run=40) in layers.1 by 0.5"
    assert Partial(of=FittedNoise()).fitted


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"strength": 0.0}, "strength 0"),
        ({"strength": 1.5}, "at most 1"),
        ({"parts": ()}, "no parts"),
        ({"parts": ("layers.memry",)}, "one of layers.memory, layers.taps"),
        ({"parts": ("layers.window",)}, "part 'layers.window'"),
        ({"parts": ("layers.memory:3",)}, "0 to 2"),
        ({"parts": ("layers.memory:all",)}, "heads of layers.memory"),
        ({"parts": ("layers.taps:0",)}, "layers.taps has none"),
        ({"parts": ("lay",)}, "part 'lay'"),
    ],
)
def test_what_is_no_part_is_told(settings: dict, words: str) -> None:
    with pytest.raises(InputError) as caught:
        Partial(of=CARRY, **settings).prepared(EveryKind(), wave_streams(), WINDOW)
    assert words in str(caught.value)
