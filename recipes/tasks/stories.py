"""Questions about stories: told within a training window, in the control ``hidden`` with up to 16 of prose in them."""

from __future__ import annotations

import functools

from outlast.data import Split, Streams
from outlast.evaluation import EvalSettings
from outlast.evaluation.measure import CROSS_ENTROPY
from outlast.interventions import Carry, FittedNoise, Zero, state_passing, tbtt
from outlast.model import Recurrent
from outlast.tasks import stories_data
from outlast.tasks.stories_data import FIRST_PLACE, PLACES, simulated, uniform, vocabulary
from outlast.tasks.stories_in_text import EXAMPLES, PROSE_WEIGHT, place_error
from outlast.tasks.task import Known, Task, mamba2_of
from outlast.training import TrainSettings

TRAIN_CONTEXT = 192

_LENGTH = 64 * TRAIN_CONTEXT
_LONGEST = 16 * TRAIN_CONTEXT
_SHORT_PROSE = TRAIN_CONTEXT // 4
_FEW_SHOT_LENGTH, _FEW_SHOT_PROSE = 16 * TRAIN_CONTEXT, 8 * TRAIN_CONTEXT
_WINDOWS, _STREAMS, _VALIDATION, _TEST = 32_768, 512, 32, 64
_SEEDS = {"windows": 1, "train": 2, "validation": 3, "test": 4, "few_shot": 5, "hidden": 6}


@functools.cache
def windows() -> Streams:
    """Streams of one training context, whole stories with little prose or none: what the base learns from."""
    return stories_data.stories("train", _WINDOWS, TRAIN_CONTEXT, _SEEDS["windows"], _SHORT_PROSE, PROSE_WEIGHT)


@functools.cache
def stories() -> Split:
    """Long streams, each part in its own addresses.

    Stories have up to 16 training contexts of prose in them where models learn, little or none where they are measured.
    """
    return Split(
        stories_data.stories("train", _STREAMS, _LENGTH, _SEEDS["train"], _LONGEST, PROSE_WEIGHT),
        stories_data.stories("validation", _VALIDATION, _LENGTH, _SEEDS["validation"], _SHORT_PROSE),
        stories_data.stories("test", _TEST, _LENGTH, _SEEDS["test"], _SHORT_PROSE),
        how="by address, each part with stories of its own seed",
    )


@functools.cache
def hidden() -> Streams:
    """Stories hidden in up to 16 training contexts of test addresses."""
    return stories_data.stories("test", _TEST, _LENGTH, _SEEDS["hidden"], _LONGEST)


@functools.cache
def prose() -> Streams:
    """Prose alone: for a base that has never seen a story."""
    return stories_data.prose("train", _LENGTH)


@functools.cache
def few_shot() -> Streams:
    """Streams that end with one question, answered examples before it."""
    return stories_data.few_shot("test", _TEST, _FEW_SHOT_LENGTH, _SEEDS["few_shot"], _FEW_SHOT_PROSE, EXAMPLES)


PLACE_ERROR = place_error(range(FIRST_PLACE, FIRST_PLACE + len(PLACES)))


def listener(seed: int) -> Recurrent:
    """Reads the words of the prose, which have to be fetched first."""
    return mamba2_of(len(vocabulary()))(seed)


STORIES = Task(
    name="stories",
    summary="where is who, and where was what: generated stories between real prose, trained on 192 words",
    streams=stories,
    model=listener,
    train_context=TRAIN_CONTEXT,
    training=TrainSettings(steps=1500, batch_size=16, learning_rate=4e-3),
    repairing=TrainSettings(steps=500, learning_rate=1e-3),
    measuring=EvalSettings(targets=1536),
    interventions=(Zero(), FittedNoise(), state_passing(), Carry(expected_run=3072), tbtt()),
    training_sets={"windows": windows, "prose": prose},
    base_from="windows",
    controls={"hidden": hidden, "few_shot": few_shot},
    measures=lambda base: (PLACE_ERROR, CROSS_ENTROPY),
    known=Known(reference=simulated, blind=uniform),
)
