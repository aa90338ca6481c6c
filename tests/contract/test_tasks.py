"""What every task promises, and those whose best and blind scores are known: that there is room between the two."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from outlast.data import MIN_STREAMS, Streams
from outlast.errors import InputError
from outlast.interventions import Zero
from outlast.tasks import TASKS, Task
from outlast.tasks import task as task_of
from outlast.tasks.builtin import MOVED
from outlast.tasks.task import error_of, nats_of
from outlast.training import fit

ALL = {**TASKS, **{name: task_of(moved) for name, moved in MOVED.items()}}
KNOWN = {name: each for name, each in ALL.items() if each.known is not None}
SHOWN = [pytest.param(name, marks=pytest.mark.long if name == "stories" else ()) for name in KNOWN]
"""Stories take as long as the others together; `recipes/test_stories.py` holds their data on small ones."""


@pytest.mark.parametrize("name", ALL)
def test_a_task_says_what_it_is_and_what_is_compared(name):
    task = ALL[name]
    assert task.name == name
    assert re.fullmatch(r"[a-z_]+", name)
    assert 20 < len(task.summary) < 120
    assert not task.summary.endswith(".")
    labels = [rule.label for rule in task.interventions]
    assert len(set(labels)) == len(labels)
    assert task.base_from is None or task.base_from in task.training_sets
    with pytest.raises(InputError, match="nowhere"):
        task.training_set("nowhere")


def test_the_language_tasks_are_known():
    assert {"text", "code", "copying", "passkey", "stories", "multi_query"} <= set(KNOWN)


def measured(task: Task) -> list[Streams]:
    """What models of the task are measured on."""
    parts = task.streams()
    return [parts.validation, parts.test, *(control() for control in task.controls.values())]


@pytest.mark.parametrize("name", SHOWN)
def test_the_reference_is_far_below_the_blind_one_on_all_that_is_measured(name):
    known = KNOWN[name].known
    assert known is not None
    for streams in measured(KNOWN[name]):
        reference, blind = nats_of(streams, known.reference), nats_of(streams, known.blind)
        assert reference < 0.6 * blind
        assert blind < np.log(streams.classes or 0) + 0.01
        assert error_of(streams, known.reference) < error_of(streams, known.blind) - 0.2


@pytest.mark.parametrize("name", SHOWN)
def test_streams_are_long_marked_and_labelled(name):
    task = KNOWN[name]
    for streams in measured(task):
        assert len(streams) >= MIN_STREAMS
        assert streams.lengths.min() >= 2 * task.train_context
        assert streams.labels.keys() == streams.about["label_names"].keys()
        counts = np.ones(len(streams.inputs), bool) if streams.weights is None else streams.weights > 0
        for label, values in streams.labels.items():
            assert values.max() < len(streams.about["label_names"][label])
            assert (values[counts] >= 0)[:-1].all(), f"an answer without {label}"
        assert counts.any()
        assert int(streams.inputs.max()) < (streams.classes or 0)
    test = task.streams().test
    assert test.lengths.min() == 64 * task.train_context
    learnt = [task.training_set(each) for each in (None, *task.training_sets)]
    for streams in learnt:
        assert streams.lengths.min() >= task.train_context
        assert streams.classes == test.classes


@pytest.mark.parametrize("name", SHOWN)
def test_the_model_learns_from_what_its_base_learns_from(name):
    task = KNOWN[name]
    model = task.model(0)
    settings = replace(task.training, steps=1, batch_size=2)
    ((_, loss),) = fit(model, task.training_set(task.base_from), "next_token", Zero(), task.train_context, settings)
    assert 0 < loss < 2 * np.log(task.streams().test.classes or 0)
    other = task.model(1)
    assert any((a != b).any() for a, b in zip(task.model(0).parameters(), other.parameters(), strict=True))  # pyright: ignore[reportAttributeAccessIssue]
