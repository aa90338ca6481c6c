"""What a caller may give in more than one form, as measuring and repairing need it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import nn

from outlast.adapters.precision import runnable
from outlast.evaluation.measures import Measure
from outlast.evaluation.of_targets import default_measures, measure
from outlast.model import Recurrent, device_of
from outlast.results import Note
from outlast.streams import Split, Streams, split
from outlast.streams.fits import adapted_to


def the_streams(data: Streams | Split) -> Streams:
    """Streams to measure on: of a split, the test part."""
    return data.test if isinstance(data, Split) else data


def the_split(data: Streams | Split) -> Split:
    """A split, or what `split` makes of streams."""
    return data if isinstance(data, Split) else split(data)


def the_model(module: nn.Module, streams: Streams) -> tuple[Recurrent, list[Note]]:
    """The module made recurrent, in a precision in which it can read the streams; notes where that is not its own."""
    model = adapted_to(module, streams)
    first = np.zeros(2, np.int64)
    inputs = streams.window(first, first, min(3, int(streams.lengths[0]))).inputs
    model, note = runnable(model, inputs.to(device_of(model)))
    return model, [] if note is None else [note]


def the_measures(given: Sequence[Measure | str] | Measure | str | None, streams: Streams) -> tuple[Measure, ...]:
    """Measures for these targets, some of them by name; where none was given, what fits the targets."""
    if given is None or given == ():
        return default_measures(streams)
    several = (given,) if isinstance(given, str | Measure) else given
    return tuple(measure(each, streams) if isinstance(each, str) else each for each in several)
