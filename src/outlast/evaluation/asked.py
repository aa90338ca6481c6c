"""What a caller gave, as measuring and repairing need it; anything else is told as given, expected, what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from torch import nn

from outlast.adapters.adapting import adapt
from outlast.adapters.precision import runnable
from outlast.errors import InputError, type_name
from outlast.evaluation.measures import Measure
from outlast.evaluation.of_targets import default_measures, measure
from outlast.model import Recurrent, device_of
from outlast.results import Note
from outlast.streams import Split, Streams, split

Settings = TypeVar("Settings")


def the_streams(data: Streams | Split, what: str = "data") -> Streams:
    """Streams to measure on: of a split, the test part."""
    return data.test if isinstance(data, Split) else _checked_streams(data, what)


def the_split(data: Streams | Split) -> Split:
    """A split, or what `split` makes of streams."""
    return data if isinstance(data, Split) else split(_checked_streams(data, "data"))


def the_model(module: nn.Module, streams: Streams) -> tuple[Recurrent, list[Note]]:
    """The module made recurrent, in a precision in which it can read the streams; notes where that is not its own."""
    model = adapt(module)
    first = np.zeros(2, np.int64)
    inputs = streams.window(first, first, min(3, int(streams.lengths[0]))).inputs
    model, note = runnable(model, inputs.to(device_of(model)))
    return model, [] if note is None else [note]


def the_measures(given: Sequence[Measure | str] | Measure | str | None, streams: Streams) -> tuple[Measure, ...]:
    """Measures for these targets, some of them by name; where none was given, what fits the targets."""
    if given is None or given == ():
        return default_measures(streams)
    several = (given,) if isinstance(given, str | Measure) else given
    if not isinstance(several, Sequence) or not all(isinstance(each, str | Measure) for each in several):
        raise InputError(f"measures {given!r}", "measures or their names", 'for example measures=["cross_entropy"]')
    return tuple(measure(each, streams) if isinstance(each, str) else each for each in several)


def the_settings(given: Settings | None, kind: type[Settings], what: str) -> Settings:
    """Settings of the kind that is due; the usual ones where none were given."""
    if given is None:
        return kind()
    if not isinstance(given, kind):
        raise InputError(
            f"{what} of type {type_name(given)}", f"outlast.{kind.__name__}(…)", f"pass {kind.__name__}, or nothing"
        )
    return given


def a_count(value: Any, what: str) -> int:
    """A whole number of 1 or more; 64.0 is one."""
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer()) or hasattr(value, "__index__")
    if isinstance(value, bool) or not whole or int(value) < 1:
        raise InputError(f"{what}={value!r}", "a whole number, 1 or more", f"for example {what}=64")
    return int(value)


def _checked_streams(data: Any, what: str) -> Streams:
    if isinstance(data, Streams):
        return data
    raise InputError(
        f"{what} of type {type_name(data)}",
        "outlast.Streams, or what outlast.split made of them",
        "read files with outlast.open_streams or Streams.from_table, arrays with Streams.from_arrays, tokens with "
        "Streams.from_tokens",
    )
