"""Before the long work: does the model read these data, keep its state's shape and fit the targets, and are the streams
long enough for what was asked?

What is wrong has to come out here, because afterwards an earlier run's results are removed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
import torch

from outlast.cli.saying import tell
from outlast.data import Sampler, Streams
from outlast.data.scenarios import weighted_places
from outlast.errors import InputError, OutlastError, raised
from outlast.evaluation import usable
from outlast.evaluation.asked import the_measures, the_model, the_split
from outlast.evaluation.measure import Measure
from outlast.evaluation.opened import adapted_to
from outlast.evaluation.schedule import age_bands
from outlast.interventions import Intervention, Zero
from outlast.model import Recurrent, device_of
from outlast.modules.products import chosen
from outlast.repairs.acceptance import age_weights
from outlast.repairs.setup import Wanted, set_up
from outlast.results import Note
from outlast.results.curve import Curve
from outlast.state import named_leaves
from outlast.training import TrainSettings

_ROWS = 2


def try_out(model: Recurrent, streams: Streams, measures: Sequence[Measure | str] | None) -> list[Note]:
    """Run two short windows in a row and score them; notes say so where that takes another precision than its own.

    Raises:
        InputError: the model raises, gives outputs that do not fit the targets, or returns another state than it was
            given.
    """
    model, notes = the_model(adapted_to(model, streams), streams)
    length = int(min(3, streams.lengths[0]))
    rows = np.zeros(_ROWS, np.int64)
    batch = streams.window(rows, rows, length).to(device_of(model))
    shown = f"inputs {tuple(batch.inputs.shape)}"
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            before = model.initial_state(_ROWS)
            outputs, after = model(batch.inputs, before)
            wanted, found = _shapes(before), _shapes(after)
            if found != wanted:
                raise InputError(
                    f"a model that was given the state {wanted} and returned {found}",
                    "a state of the same parts and shapes, whatever was read",
                    "return the state after the last position; outlast check says more",
                )
            model(batch.inputs, after)
    except OutlastError:
        raise
    except Exception as error:  # the user's module: whatever it raises is what they need to read
        raise InputError(
            f"a model that on {shown} raised {raised(error)}",
            "a model that reads these data",
            "check the width of its input against the data (--inputs, --target), then run outlast check",
        ) from error
    finally:
        model.train(was_training)
    with torch.no_grad():
        for measure in the_measures(measures, streams):
            measure.per_position(outputs, batch)
    if streams.classes is not None and outputs.shape[-1] < streams.classes:
        raise InputError(
            f"a model with {outputs.shape[-1]} outputs for {streams.classes} classes",
            f"at least {streams.classes} outputs",
            "check the vocabulary, --bins or the labels against the model's head",
        )
    return [note for note in notes if note.name != "attention_window"]  # which was told when the model was loaded


def say_what_was_found(model: Recurrent) -> None:
    """How a user's module carries its state, where that had to be found out."""
    if (found := getattr(model, "found", None)) is not None:
        print(found, file=sys.stderr)


def try_training(
    model: Recurrent, streams: Streams, rules: Sequence[Intervention], train_context: int, settings: TrainSettings
) -> None:
    """Prepare what training begins with; the model is in the precision of the training.

    Raises:
        InputError: streams shorter than a window, states that a rule cannot be fitted to, or a batch too small for it.
    """
    if chosen(settings.precision, model) == "bf16" and settings.precision == "auto":
        print("products are taken in bfloat16 while training; --precision float32 for float32", file=sys.stderr)
    from_zero = Zero().prepared(model, streams, train_context)
    weighted_places(streams, settings.start_weights, train_context)
    Sampler(streams, train_context, settings.batch_size, settings.seed, from_zero.continues)
    for rule in rules:
        rule.prepared(model, streams, train_context, seed=settings.seed).initial(model, settings.batch_size)


def try_repair(wanted: Wanted, rules: Sequence[Intervention]) -> None:
    """Set up a repair or a comparison and look whether all its streams can be measured and trained on.

    Raises:
        InputError: an objective that does not fit the targets, too few or too short streams, ages that are not
            measured, or what `try_training` finds.
    """
    todo, parts = set_up(wanted), the_split(wanted.data)
    model, train_context = todo.base, todo.train_context
    tell([todo.cast] if todo.cast else [])
    ages = todo.measuring.max_length, todo.measuring.up_to
    chosen_from = [
        (parts.test, ages),
        (todo.validation, ages),
        *((each, (None, None)) for each in todo.guards.values()),
    ]
    for streams, (longest, up_to) in chosen_from:
        chosen, length = usable(streams, train_context, longest, up_to)
        bands = age_bands(train_context, length, chosen.warm_up)
        age_weights(Curve(bands, np.zeros((len(bands), 1)), train_context), todo.repairing.short_ages)
    # Nothing can be fitted to the states of weights that are not finite; what the model does is for the measurement.
    if all(bool(torch.isfinite(weights).all()) for weights in model.parameters()):
        try_training(model, parts.train, rules, train_context, wanted.training or TrainSettings())


def _shapes(state: object) -> str:
    return ", ".join(f"{path} {tuple(tensor.shape)}" for path, tensor in named_leaves(state))
