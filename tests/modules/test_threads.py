"""Several threads in one module: whatever it keeps, each gets the answer that it would get alone."""

from __future__ import annotations

import copy
import functools
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import outlast
from modules.meeting import (
    KINDS,
    Begins,
    Buffered,
    Derives,
    Hands,
    Keeps,
    Network,
    Notes,
    Place,
    Says,
    built,
    meeting,
    together,
)
from outlast.diagnosis import DiagnoseSettings
from outlast.evaluation import EvalSettings
from outlast.families import FAMILIES, build
from outlast.model import InputSpec, Recurrent
from outlast.modules import adapt
from outlast.parallel import side_by_side
from outlast.randomness import generator
from outlast.reporting.verdict_reasons import told
from outlast.reporting.words.language import speaking
from outlast.results import one_at_a_time
from outlast.state import leaves
from outlast.turns import Waiting, waiting
from outlast.turns.locks import changed, contents_of


def inputs(rows: int, length: int = 4) -> Tensor:
    return torch.randn(rows, length, 3, generator=generator(rows, "threads"))


@torch.no_grad()
def read(model: Recurrent, rows: int) -> list[Tensor]:
    """Outputs and state of two windows, the second on the state of the first."""
    first, state = model(inputs(rows), model.initial_state(rows))
    second, state = model(inputs(rows), state)
    return [first, second, *leaves(state)]


def same(found: list[Tensor], wanted: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_two_threads_on_one_model_get_their_own_answers(kind: type[nn.Module]) -> None:
    module = built(kind)
    model = adapt(module)
    wanted = [read(model, rows) for rows in (2, 5)]
    held = dict(vars(module))
    with meeting():
        found = together(*(functools.partial(read, model, rows) for rows in (2, 5)))
    assert all(map(same, found, wanted))
    assert vars(module).keys() == held.keys()


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_two_threads_are_their_own(kind: type[nn.Module]) -> None:
    model = adapt(built(kind))
    weights = list(model.parameters())

    def slope(rows: int) -> list[Tensor]:
        outputs, state = model(inputs(rows), model.initial_state(rows))
        outputs, _ = model(inputs(rows), state)
        return list(torch.autograd.grad(outputs.square().sum(), weights))

    wanted = [slope(rows) for rows in (2, 5)]
    with meeting():
        found = together(*(functools.partial(slope, rows) for rows in (2, 5)))
    assert all(map(same, found, wanted))


@pytest.mark.parametrize("kind", [Keeps, Begins])
def test_whoever_calls_a_module_waits_for_all_others_that_do(kind: type[nn.Module]) -> None:
    """Adapted twice, with resets around it, or part of another module."""

    class Wider(nn.Module):
        def __init__(self, core: nn.Module) -> None:
            super().__init__()
            self.core = core

        def forward(self, x: Tensor) -> Tensor:
            return 2 * self.core(x)

    module = built(kind)
    others = [adapt(module), outlast.with_reset(module, every=3), adapt(Wider(module).eval())]
    for other in others:
        models = [adapt(module), other]
        wanted = [read(model, rows) for model, rows in zip(models, (2, 5), strict=True)]
        with meeting():
            found = together(
                *(functools.partial(read, model, rows) for model, rows in zip(models, (2, 5), strict=True))
            )
        assert all(map(same, found, wanted))


@pytest.mark.parametrize("kind", [Keeps, Begins])
def test_a_module_is_copied_and_adapted_between_two_calls(kind: type[nn.Module]) -> None:
    module = built(kind)
    model = adapt(module)
    wanted = read(model, 2)
    for work in (functools.partial(copy.deepcopy, model), functools.partial(adapt, module)):
        with meeting():
            found, made = together(functools.partial(read, model, 2), work)
        assert same(found, wanted)
        assert same(read(made, 2), wanted)
        assert type(made.module) is kind
        assert "forward" not in vars(made.module.rnn)


def test_a_forward_that_somebody_put_in_is_there_afterwards() -> None:
    module = built(Begins)
    own = module.rnn.forward  # pyright: ignore[reportAttributeAccessIssue]
    calls = []

    @functools.wraps(own)
    def watched(*args: Any, **named: Any) -> Any:
        calls.append(args)
        return own(*args, **named)

    module.rnn.forward = watched  # pyright: ignore[reportAttributeAccessIssue]
    model = adapt(module)
    read(model, 2)
    calls.clear()
    module(inputs(2))
    assert len(calls) == 1


class Drops(nn.Module):
    """Around a module that would take its state, which it does not hand on."""

    def __init__(self, core: nn.Module) -> None:
        super().__init__()
        self.core = core

    def forward(self, x: Tensor) -> Tensor:
        return self.core(x)[0]


def test_a_part_that_another_module_writes_to_is_not_called_meanwhile() -> None:
    """Alone, calls of this module need not wait; beside calls of the other, which reaches into its GRU, they do."""
    module = built(Hands)
    models = [adapt(module), adapt(Drops(module).eval())]
    wanted = [read(model, rows) for model, rows in zip(models, (2, 5), strict=True)]
    with meeting():
        found = together(*(functools.partial(read, model, rows) for model, rows in zip(models, (2, 5), strict=True)))
    assert all(map(same, found, wanted))


class Both(Recurrent):
    """A model of the user's own around two that were adapted before, each with a lock of its own."""

    def __init__(self, one: Recurrent, other: Recurrent) -> None:
        super().__init__()
        self.one, self.other = one, other

    def initial_state(self, batch_size: int) -> Any:
        return (*self.one.initial_state(batch_size), *self.other.initial_state(batch_size))

    def forward(self, inputs: Tensor, state: Any) -> tuple[Tensor, Any]:
        first, after = self.one(inputs, state[:1])
        second, later = self.other(first, state[1:])
        return second, (*after, *later)


def test_a_model_around_several_waits_for_each_and_nobody_for_ever() -> None:
    one, other = adapt(built(Keeps)), adapt(built(Begins))
    models = [Both(one, other).eval(), one, other, Both(other, one).eval()]
    wanted = [read(model, 2) for model in models]
    with meeting(vain=2):
        found = together(*(functools.partial(read, model, 2) for model in models))
    assert all(map(same, found, wanted))


def test_calls_that_leave_nothing_do_not_wait() -> None:
    model = adapt(built(Hands))
    for rows in (2, 5):
        read(model, rows)
    with meeting(patience=60) as place:
        together(*(functools.partial(read, model, rows) for rows in (2, 5)))
    assert place.met == 4  # two calls each
    assert waiting(model) is None


class Grows(Network):
    """Keeps a table that is as long as the longest window so far."""

    def __init__(self) -> None:
        super().__init__()
        self.table = torch.zeros(8, 1)

    def forward(self, x: Tensor, hidden: Any = None) -> tuple[Tensor, Tensor]:
        if x.shape[1] > len(self.table):
            self.table = torch.arange(x.shape[1])[:, None] * 0.1
        y, hidden = self.rnn(x, hidden)
        return self.head(y), hidden


def test_calls_of_other_shapes_are_tried_anew() -> None:
    model = adapt(Grows().eval())
    read(model, 2)
    assert waiting(model) is None
    with torch.no_grad():
        model(inputs(2, 9), model.initial_state(2))
    assert waiting(model) == Waiting("changes", "table")


@pytest.mark.parametrize("family", FAMILIES)
def test_our_own_families_keep_nothing(family: str) -> None:
    model = build(family, inputs=InputSpec("features", 3), outputs=3, width=8, layers=2).eval()
    with torch.no_grad():
        state = model.initial_state(2)
        before = contents_of(model)
        model(inputs(2), state)
    assert changed(before, contents_of(model)) == ()


class Counts(Begins):
    """Keeps count of its calls, which nothing depends on."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(x)


def streams() -> outlast.Streams:
    values = np.random.default_rng(0).normal(size=(10, 80, 3)).astype(np.float32)
    return outlast.Streams.from_arrays(values, horizon=1)


def parts() -> outlast.Split:
    return outlast.Split(streams(), streams(), streams(), how="the same three times")


def measured(module: nn.Module, jobs: int) -> Any:
    settings = EvalSettings(targets=32, chunk=16, jobs=jobs)
    return outlast.evaluate(module, streams(), train_context=8, settings=settings)


@pytest.mark.parametrize("kind", [*KINDS, Counts])
def test_figures_of_two_jobs_are_those_of_one(kind: type[nn.Module]) -> None:
    module = built(kind)
    alone = measured(module, 1)
    with meeting():
        found = measured(module, 2)
    assert found.age_curve == alone.age_curve
    assert found.position_curve == alone.position_curve
    assert found.state == alone.state
    told = [note.facts["what"] for note in found.notes if note.name == "one_at_a_time"]
    assert told == {Notes: ["last"], Buffered: ["room"], Says: ["last"], Derives: ["last"], Counts: ["calls"]}.get(
        kind, []
    )


def test_a_diagnosis_by_two_jobs_is_that_of_one() -> None:
    """Its experiments go on side by side, one of them on a copy in float64 that is made meanwhile."""
    module = built(Begins)

    def diagnosed(jobs: int) -> Any:
        measuring = EvalSettings(targets=32, chunk=16, jobs=jobs)
        return outlast.diagnose(module, parts(), train_context=8, settings=DiagnoseSettings(measuring=measuring))

    alone = diagnosed(1)
    assert alone.causes
    with meeting(vain=3):
        found = diagnosed(2)
    for name in ("causes", "remembrance", "coverage", "attribution", "trace", "gap", "forecast", "left_out"):
        assert getattr(found, name) == getattr(alone, name), name


def until_two_met(place: Place, work: Callable[[int], Any], rows: int) -> Any:
    """What the work gives, again and again until two calls went on at once."""
    for _ in range(100):
        found = work(rows)
        if place.met:
            return found
    raise AssertionError("calls never met")


@pytest.mark.parametrize("kind", [Keeps, Begins])
def test_workers_have_a_replica_each(kind: type[nn.Module]) -> None:
    """As jobs of `side_by_side` they go on at once, and share the weights alone."""
    model = adapt(built(kind))
    wanted = [read(model, rows) for rows in (2, 5)]
    with meeting(vain=100) as place:
        work = functools.partial(until_two_met, place, functools.partial(read, model))
        found = side_by_side(2, [functools.partial(work, rows) for rows in (2, 5)])
    assert all(map(same, found, wanted))
    assert waiting(model) is None
    assert waiting(copy.deepcopy(model)) is None


def test_a_replica_learns_for_the_module() -> None:
    """Gradients reach the weights that replicas share."""
    model = adapt(built(Keeps))

    def learn(rows: int) -> list[Tensor]:
        outputs, _ = model(inputs(rows), model.initial_state(rows))
        return list(torch.autograd.grad(outputs.square().sum(), list(model.parameters())))

    wanted = [learn(rows) for rows in (2, 5)]
    with meeting(vain=100) as place:
        work = functools.partial(until_two_met, place, learn)
        found = side_by_side(2, [functools.partial(work, rows) for rows in (2, 5)])
    assert all(map(same, found, wanted))


class Uncopied(Begins):
    """Holds something that cannot be copied."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()


class Loose(Begins):
    """Gives every copy of it another answer."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Loose:
        made = Loose().eval()
        made.load_state_dict({name: 2 * tensor for name, tensor in self.state_dict().items()})
        return made


@pytest.mark.parametrize(
    ("kind", "why", "what"),
    [(Uncopied, "uncopied", "lock"), (Loose, "differs", ""), (Counts, "changes", "calls")],
)
def test_where_a_replica_would_not_do_calls_wait_and_that_is_said(
    kind: type[nn.Module], why: str, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    model = adapt(built(kind))
    reason = waiting(model)
    assert reason is not None
    assert (reason.why, what in reason.what) == (why, True)
    wanted = [read(model, rows) for rows in (2, 5)]
    with meeting() as place:
        found = side_by_side(2, [functools.partial(read, model, rows) for rows in (2, 5)])
    assert all(map(same, found, wanted))
    assert place.met == 0
    note = one_at_a_time(reason)
    assert told(note).startswith("Calls of the model go one after another, because ")
    with speaking("ja"):
        assert "モデルの呼び出しは一つずつ行います" in told(note)


def test_check_says_it_too() -> None:
    assert [note.facts["what"] for note in outlast.check(built(Counts)).notes] == ["calls"]
