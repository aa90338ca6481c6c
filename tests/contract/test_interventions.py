"""What every intervention promises, whatever it does."""

from __future__ import annotations

import dataclasses
import inspect
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from outlast.cli.option_groups import Starting
from outlast.data import Batch
from outlast.errors import InputError
from outlast.interventions import (
    INTERVENTIONS,
    Carried,
    Carry,
    Control,
    FittedNoise,
    Mix,
    Prepared,
    RandomNoise,
    Zero,
    control_of,
    intervention,
)
from outlast.state import State, leaves, map_state, rebuild
from toys import EveryKind, wave_streams

WINDOW, ROWS = 8, 24
SETTINGS: dict[str, list[dict[str, Any]]] = {
    "random_noise": [{}, {"std": 2.0}],
    "fitted_noise": [{}, {"source": "carried", "carried_length": 40}],
    "carry": [{"expected_run": 40.0}],
    "replay": [{"size": 16, "by": "evenly"}, {"size": 8, "foreign_share": 0.0}, {"by": "novelty"}],
    "partial": [
        {"of": Carry(expected_run=40.0, zero_share=0.0)},
        {"of": RandomNoise(std=1.0, zero_share=0.0), "parts": ("layers.memory:0,2", "layers.taps"), "strength": 0.5},
    ],
    "mix": [
        {
            "members": (RandomNoise(std=1.0, zero_share=0.0), Carry(expected_run=40.0, zero_share=0.0)),
            "shares": (1.0, 2.0),
        }
    ],
}
CASES = [(name, chosen) for name in INTERVENTIONS for chosen in SETTINGS.get(name, [{}])]
each_intervention = pytest.mark.parametrize(
    ("name", "chosen"), CASES, ids=[f"{name}-{i}" for i, (name, _) in enumerate(CASES)]
)


def prepared(name: str, chosen: dict[str, Any]) -> tuple[EveryKind, Prepared]:
    model = EveryKind()
    return model, intervention(name, **chosen).prepared(model, wave_streams(), WINDOW, seed=3)


def a_batch(rows: int = ROWS, seed: int = 0) -> Batch:
    """Windows of which some rows go on with their stream and some do not."""
    random = np.random.default_rng(seed)
    places = random.integers(0, 40, rows), random.integers(0, 50, rows)
    return wave_streams().window(*places, WINDOW, random.random(rows) < 0.5)


def some_carried(model: EveryKind, rows: int = ROWS) -> Carried:
    """As in the middle of training: every row's last state is another one, and none is the zero state."""
    draw = torch.Generator().manual_seed(1)
    zero = model.initial_state(rows)
    last = [
        torch.randn(t.shape, generator=draw) + 3 if t.is_floating_point() else torch.ones_like(t) for t in leaves(zero)
    ]
    last[4] = torch.arange(100, 100 + rows)
    return Carried(zero, rebuild(zero, last))


def start(rule: Prepared, carried: Carried, batch: Batch, seed: int = 5) -> State:
    return rule.start(carried, batch, torch.Generator().manual_seed(seed))


def bits(state: State) -> list[torch.Tensor]:
    return [tensor.detach().clone() for tensor in leaves(state)]


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return all(x.dtype == y.dtype and torch.equal(x, y) for x, y in zip(a, b, strict=True))


def rows_at_zero(state: State, carried: Carried) -> torch.Tensor:
    """(B,) bool: which rows are bit for bit the zero state."""
    pairs = zip(leaves(state), leaves(carried.zero), strict=True)
    return torch.stack([(a == b).reshape(len(a), -1).all(1) for a, b in pairs]).all(0)


@each_intervention
def test_start_is_pure_and_edits_nothing(name, chosen):
    """The same carried state, batch and generator give the same bits; what was carried is as it was."""
    model, rule = prepared(name, chosen)
    carried, batch = some_carried(model), a_batch()
    before = bits(carried.zero) + bits(carried.last)
    first = bits(start(rule, carried, batch))
    torch.manual_seed(99)  # global randomness must not matter
    assert same(first, bits(start(rule, carried, batch)))
    assert same(before, bits(carried.zero) + bits(carried.last))


@each_intervention
def test_what_is_started_and_kept_has_shape_and_dtype_of_the_state(name, chosen):
    model, rule = prepared(name, chosen)
    carried = rule.initial(model, ROWS)
    for state in (start(rule, carried, a_batch()), carried.last):
        expected = [(t.shape, t.dtype) for t in leaves(model.initial_state(ROWS))]
        assert [(t.shape, t.dtype) for t in leaves(state)] == expected


@each_intervention
def test_no_gradient_crosses_keep(name, chosen):
    """The final state is kept bit for bit, cut from the graph, and so is the zero state of a model that learns it."""
    model, rule = prepared(name, chosen)
    batch = a_batch()
    _, final = model(batch.inputs, model.initial_state(ROWS))
    assert any(t.requires_grad for t in leaves(final))
    learned = map_state(lambda t: t.clone().requires_grad_() if t.is_floating_point() else t, model.initial_state(ROWS))
    kept = rule.keep(Carried(learned, learned), final, batch)
    assert same(bits(kept.last), bits(final))
    assert not any(t.requires_grad for t in (*leaves(kept.zero), *leaves(kept.last)))
    assert not any(t.requires_grad for state in rule.initial(model, ROWS) for t in leaves(state))


@each_intervention
def test_zero_share_is_the_share_of_rows_that_start_from_exactly_the_zero_state(name, chosen):
    rows = 3000
    model, rule = prepared(name, chosen)
    carried, batch = some_carried(model, rows), a_batch(rows)

    def sharing(value: float) -> Prepared:
        return replace(rule, rule=replace(rule.rule, zero_share=value))

    def share(value: float) -> float:
        return rows_at_zero(start(sharing(value), carried, batch), carried).double().mean().item()

    assert share(1.0) == 1.0
    if name == "zero":
        assert share(0.0) == 1.0
    else:
        assert share(0.0) == 0.0
        assert share(0.3) == 0.3
        aside = sharing(0.3)
        assert not aside.continues(0, 1, np.arange(rows))[aside.set_aside(rows)].any()


@each_intervention
def test_attention_and_counters_of_rows_that_do_not_go_on_start_as_at_zero(name, chosen):
    """A counter with noise or a window of another stream's positions would be nonsense."""
    model, rule = prepared(name, chosen)
    carried, batch = some_carried(model), a_batch()
    found = start(rule, carried, batch)
    fresh = ~batch.continues
    for part, tensor, zero in zip(model.state_parts(), leaves(found), leaves(carried.zero), strict=True):
        if not part.touched:
            assert torch.equal(tensor[fresh], zero[fresh]), part.path


@each_intervention
def test_continues_is_a_pure_function_of_seed_step_and_row(name, chosen):
    _, rule = prepared(name, chosen)
    rows = np.arange(200)
    answers = [rule.continues(1, step, rows) for step in range(30)]
    for step, answer in enumerate(answers):
        assert answer.dtype == bool
        assert answer.shape == (200,)
        assert np.array_equal(answer, rule.continues(1, step, rows))
    if name in ("carry", "mix"):
        assert not np.array_equal(answers[0], answers[1])
        assert not np.array_equal(answers[0], rule.continues(2, 0, rows))
    if name == "carry":
        assert np.array_equal(rule.goes_on(1, 0, rows)[50:120], rule.goes_on(1, 0, rows[50:120]))


@each_intervention
def test_describe_goes_to_json_and_back_to_the_same_intervention(name, chosen):
    rule = intervention(name, **chosen)
    written = json.loads(json.dumps(rule.describe(), allow_nan=False))
    assert intervention(**written) == rule
    assert written["label"] == rule.label
    _, bound = prepared(name, chosen)
    again = json.loads(json.dumps(bound.describe(), allow_nan=False))
    assert again == bound.describe()  # nothing changes on the way: a checkpoint is compared with it


@each_intervention
def test_its_control_reads_the_same_windows_and_always_starts_from_zero(name, chosen):
    """Row by row: what continues, continues, and what is set aside is set aside; only the starts differ."""
    model, rule = prepared(name, chosen)
    for of in (intervention(name, **chosen), rule.rule):
        control = control_of(of).prepared(model, wave_streams(), WINDOW, seed=3)
        for seed, step in ((1, 0), (1, 1), (2, 7)):
            for rows in (np.arange(ROWS), np.arange(ROWS, 2 * ROWS)):
                assert np.array_equal(control.continues(seed, step, rows), rule.continues(seed, step, rows))
        for rows in (1, 7, 32):
            assert np.array_equal(control.set_aside(rows), rule.set_aside(rows))
        carried, batch = some_carried(model), a_batch()
        assert batch.continues.any()
        assert rows_at_zero(start(control, carried, batch), carried).all()
        assert control.rule.handed_on_after == 0


@each_intervention
def test_its_control_keeps_the_promises_of_an_intervention(name, chosen):
    """Nothing is edited, no gradient crosses, and what describes it is told apart from its rule and stays so."""
    model, rule = prepared(name, chosen)
    control = control_of(intervention(name, **chosen)).prepared(model, wave_streams(), WINDOW, seed=3)
    carried, batch = some_carried(model), a_batch()
    before = bits(carried.zero) + bits(carried.last)
    found = start(control, carried, batch)
    assert same(before, bits(carried.zero) + bits(carried.last))
    assert [(t.shape, t.dtype) for t in leaves(found)] == [(t.shape, t.dtype) for t in leaves(carried.zero)]
    _, final = model(batch.inputs, found)
    kept = control.keep(carried, final, batch)
    assert not any(t.requires_grad for t in (*leaves(kept.zero), *leaves(kept.last)))
    described = control.describe()
    assert json.loads(json.dumps(described, allow_nan=False)) == described
    assert described["rule"] == rule.describe()
    assert rule.rule.label in control.rule.label
    assert control.rule.label != rule.rule.label


@each_intervention
def test_rows_set_aside_start_from_zero_and_never_go_on(name, chosen):
    """They are what an anchor holds to the base."""
    model, rule = prepared(name, chosen)
    carried = some_carried(model)
    aside = rule.set_aside(ROWS)
    assert aside.dtype == bool
    batch = a_batch()
    continues = torch.from_numpy(rule.continues(0, 3, np.arange(ROWS)))
    found = rows_at_zero(start(rule, carried, replace(batch, continues=continues)), carried)
    assert found[torch.from_numpy(aside)].all()
    assert not continues[torch.from_numpy(aside)].any()
    if name != "mix":
        assert aside.sum() == ROWS * rule.rule.zero_share


@pytest.mark.parametrize("kind", [*(type(intervention(name, **chosen)) for name, chosen in CASES), Control])
def test_a_rule_that_was_not_prepared_cannot_start_anything(kind):
    """A type checker says so before it runs: what training calls is not there."""
    calls = {"initial", "set_aside", "continues", "goes_on", "start", "chosen", "keep", "touching", "window"}
    assert calls <= set(dir(Prepared)) | set(Prepared.__dataclass_fields__)
    assert not calls & (set(dir(kind)) | set(kind.__dataclass_fields__))


@each_intervention
@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_impossible_zero_shares_are_refused(name, chosen, share):
    with pytest.raises(InputError, match="zero_share"):
        intervention(name, **{**chosen, "zero_share": share})


def test_unknown_names_and_settings_are_refused_with_what_to_do():
    with pytest.raises(InputError, match="did you mean 'carry'"):
        intervention("cary", expected_run=3)
    with pytest.raises(InputError, match="expected_run"):
        intervention("carry")
    with pytest.raises(InputError, match="expected_run"):
        intervention("zero", expected_run=3)
    with pytest.raises(InputError, match="soon"):
        intervention("carry", expected_run="soon")


@each_intervention
def test_settings_may_be_texts_or_json(name, chosen):
    """As words of a command line bring them, and as one word brings them all."""
    rule = intervention(name, **chosen)
    said = {key: value for key, value in rule.describe().items() if key != "label"}
    assert intervention(json.dumps(said)) == rule
    assert intervention(said) == rule
    if name not in ("mix", "partial"):  # they hold others, which JSON alone tells
        texts: dict[str, Any] = {key: str(value) for key, value in said.items() if key != "name" and value is not None}
        assert intervention(said["name"], **texts) == rule
        assert intervention(said["name"] + ":" + ",".join(f"{key}={value}" for key, value in texts.items())) == rule


def test_a_mix_is_made_of_whatever_is_written():
    members = (Carry(expected_run=1280), FittedNoise(source="carried", carried_length=64))
    wanted = Mix(members=members, shares=(2.0, 1.0))
    texts = ["carry:expected_run=1280", "fitted-noise:source=carried,carried-length=64"]
    assert intervention("mix", members=texts, shares=["2", "1"]) == wanted
    assert intervention({"name": "mix", "members": [members[0], members[1].describe()], "shares": [2, 1]}) == wanted
    inner = {"name": "mix", "members": ["zero", json.dumps({"name": "mix", "members": texts, "shares": [2, 1]})]}
    assert intervention(json.dumps(inner)) == Mix(members=(Zero(), wanted))


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("carry:expected_rum=3", ["setting of intervention 'carry' 'expected_rum'", "did you mean 'expected_run'"]),
        ("carry:expected_run", ["'carry:expected_run'", "after a colon"]),
        ("carry:expected_run=3,expected_run=4", ["each once"]),
        ("carry:expected_run=far", ["expected_run of intervention 'carry': 'far'", "a number, or inf"]),
        ("carry:zero_share=0.5", ["'carry' without expected_run"]),
        ("fitted_noise:source=windows", ["'windows'", "'window' or 'carried'"]),
        ("fitted_noise:carried_length=4.5", ["carried_length", "a whole number"]),
        ("mix:members=zero", ["members of intervention 'mix': 'zero'", "a list of interventions"]),
        ("mix", ["without members"]),
        ('{"name": "mix", "members": [3]}', ["intervention 3"]),
        ('{"name": "mix", "members": ["zeo"]}', ["did you mean 'zero'"]),
        ('{"expected_run": 3}', ["JSON with a name"]),
        ('{"name": "carry"', ["JSON with a name"]),
        ({"name": "carry", "expected_run": True}, ["True", "a number"]),
        ({"name": "carry", "expected_run": [3]}, ["[3]", "a number"]),
        (3, ["intervention 3"]),
    ],
)
def test_what_does_not_fit_is_refused_with_what_would(said, words):
    with pytest.raises(InputError) as caught:
        intervention(said)
    for each in words:
        assert each in str(caught.value)


def test_a_setting_is_said_once():
    with pytest.raises(InputError, match="expected_run of intervention 'carry' twice"):
        intervention("carry:expected_run=3", expected_run=4)


def test_the_command_line_has_an_option_for_every_setting():
    options = {field.name for field in dataclasses.fields(Starting)} - {"intervention"}
    options = options - {"member_shares"} | {"shares"}
    assert options == {key for kind in INTERVENTIONS.values() for key in inspect.signature(kind).parameters}


def test_names_may_be_written_with_dashes_and_none_means_the_default():
    assert intervention("state-passing", zero_share=None) == intervention("state_passing")
    assert intervention("carry", expected_run="inf") == intervention("tbtt")
