"""What a caller may give in more than one form, as measuring and repairing need it."""

from __future__ import annotations

import functools
import traceback
import typing
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from torch import nn

from outlast.data import Split, Streams, split
from outlast.errors import InputError, OutlastError, raised
from outlast.evaluation.measure import Measure
from outlast.evaluation.measures import default_measures, measure
from outlast.model import Recurrent
from outlast.modules.precision import runnable
from outlast.results import Note, forgetting

F = TypeVar("F", bound=Callable[..., Any])


def telling_faults(work: F) -> F:
    """Work on a model, its first argument, in which what the model's own code raises is one clear message.

    Whatever else is raised, and what a family of outlast's raises, goes on as it is: that is a fault of ours.

    Raises:
        InputError: the model raised something.
    """

    @functools.wraps(work)
    def told(model: nn.Module, *given: Any, **named: Any) -> Any:
        try:
            return work(model, *given, **named)
        except OutlastError:
            raise
        except Exception as error:
            if not _raised_in(model, error):
                raise
            raise InputError(
                f"a model that raised {raised(error)}",
                "a model that reads whole streams, piece after piece, each from the state that the last one left",
                "mend what it says; outlast check tries the model on short pieces, and a model that has only so many "
                "positions is measured up to there with --max-length (EvalSettings)",
            ) from error

    return typing.cast(F, told)


def _raised_in(model: nn.Module, error: Exception) -> bool:
    """Whether it was raised in the model's own code, on its way through one of its modules."""
    if type(model).__module__.startswith("outlast.families"):
        return False
    inside = {id(each) for each in model.modules()}
    return any(id(frame.f_locals.get("self")) in inside for frame, _ in traceback.walk_tb(error.__traceback__))


def the_streams(data: Streams | Split) -> Streams:
    """Streams to measure on: of a split, the test part."""
    return data.test if isinstance(data, Split) else data


def the_split(data: Streams | Split) -> Split:
    """A split, or what `split` makes of streams."""
    return data if isinstance(data, Split) else split(data)


def the_model(model: Recurrent, streams: Streams) -> tuple[Recurrent, list[Note]]:
    """The model in a precision in which it can read the streams; notes where that is not its own, and
    where streams are longer than its attention sees, and its library's would see more."""
    first = np.zeros(2, np.int64)
    model, note = runnable(model, streams.window(first, first, min(3, int(streams.lengths[0]))).inputs)
    notes = [] if note is None else [note]
    if model.forgets is not None and int(streams.lengths.max()) > model.forgets:
        notes.insert(0, forgetting(model.forgets))
    return model, notes


def the_measures(given: Sequence[Measure | str] | Measure | str | None, streams: Streams) -> tuple[Measure, ...]:
    """Measures for these targets, some of them by name; where none was given, what fits the targets."""
    if given is None or given == ():
        return default_measures(streams)
    several = (given,) if isinstance(given, str | Measure) else given
    return tuple(measure(each, streams) if isinstance(each, str) else each for each in several)
