"""Does this model read these streams? Asked before anything is run."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import numpy as np
from torch import nn

from outlast.adapters.adapting import adapt
from outlast.adapters.finding import CannotBeRead
from outlast.errors import InputError
from outlast.model import InputSpec, Recurrent
from outlast.schema import Schema
from outlast.streams.streams import Streams


def sizes_for(streams: Streams) -> tuple[InputSpec, int]:
    """What a fresh model for these streams reads, and how many outputs it has."""
    inputs = InputSpec("tokens", streams.classes or 0) if streams.tokens else inputs_of(streams)
    targets = streams.window(np.zeros(1, np.int64), np.zeros(1, np.int64), 1).targets
    told = 0 if streams.schema is None else streams.schema.target.outputs
    return inputs, told or streams.classes or (0 if targets is None else targets.shape[-1])


def inputs_of(streams: Streams) -> InputSpec:
    """What the streams hold: features, or tokens up to the largest that is known of."""
    if streams.tokens:
        return InputSpec("tokens", streams.classes or int(streams.inputs.max()) + 1)
    return InputSpec("features", streams.inputs.shape[-1])


def adapted_to(module: nn.Module, streams: Streams) -> Recurrent:
    """`adapt`; where nothing but its layers' sizes says what the module reads, it reads what the streams hold.

    Raises:
        InputError: as `adapt`.
    """
    spec = inputs_of(streams)
    try:
        found = adapt(module)
    except CannotBeRead:
        return adapt(module, spec)
    return refitted(found, spec, lambda: adapt(module, spec))


def refitted(found: Recurrent, spec: InputSpec, again: Callable[[], Recurrent]) -> Recurrent:
    """The model, or what `again` finds where it was guessed that it reads something else than `spec`."""
    guessed, reads = getattr(found, "guessed", False), found.input_spec
    if not guessed or reads is None or (reads.kind == spec.kind and (spec.kind == "tokens" or reads.size == spec.size)):
        return found
    with contextlib.suppress(InputError):  # that the two do not fit is then told of what was guessed
        return again()
    return found


def check_inputs(model: Recurrent, streams: Streams) -> None:
    """Raise InputError where the streams' inputs are not what the model reads; a model of unknown inputs passes."""
    if model.schema is not None and streams.schema is not None:
        _check_schema(model.schema, streams.schema)
    spec = model.input_spec
    if spec is None:
        return
    kind = "tokens" if streams.tokens else "features"
    if kind != spec.kind:
        raise InputError(
            f"a model that reads {spec.kind} and streams of {kind}",
            "the same of both",
            "integers in a .npy file or text are tokens; floats and tables are features",
        )
    if streams.tokens:
        largest = (streams.classes or int(streams.inputs.max()) + 1) - 1
        if largest >= spec.size:
            raise InputError(
                f"tokens up to {largest} for a model with a vocabulary of {spec.size}",
                f"tokens below {spec.size}",
                "use the tokeniser that the model was trained with",
            )
    elif streams.inputs.shape[-1] != spec.size:
        raise InputError(
            f"{streams.inputs.shape[-1]} input columns for a model that reads {spec.size}",
            f"{spec.size} columns",
            "name the columns with --inputs, in the order the model was trained with",
        )


def _check_schema(trained: Schema, read: Schema) -> None:
    """Refuse streams that were read or scaled otherwise than those that the model was trained on."""
    if trained.names != read.names:
        raise InputError(
            f"inputs {', '.join(read.names)} for a model that was trained on {', '.join(trained.names)}",
            "the same columns in the same order",
            "read the table with schema=model.schema",
        )
    told, given = trained.target, read.target
    if (told.kind, told.columns, told.horizons) != (given.kind, given.columns, given.horizons):
        raise InputError(
            f"the target {', '.join(given.names)} ({given.kind}, {_ahead(given.horizons)}) for a model that forecasts "
            f"{', '.join(told.names)} ({told.kind}, {_ahead(told.horizons)})",
            "what the model was trained to forecast",
            "read the table with schema=model.schema",
        )
    if trained.categories != read.categories:
        raise InputError(
            f"categories {_listed(read)} for a model that was trained with {_listed(trained)}",
            "the codes that the model was trained with",
            "read the table with schema=model.schema",
        )
    figures = [[(c.mean, c.std, c.log) for c in each.inputs] for each in (trained, read)]
    aims = [(each.means, each.stds, each.edges, each.logs) for each in (told, given)]
    if figures[0] != figures[1] or aims[0] != aims[1]:
        raise InputError(
            "a table that was scaled with its own figures, for a model that carries those of its training",
            "the scaling that the model was trained with",
            "read the table with schema=model.schema",
        )


def _listed(schema: Schema) -> str:
    told = [f"{name} ({', '.join(map(str, values[:6]))}{', …' * (len(values) > 6)})"
            for name, values in schema.categories.items()]  # fmt: skip
    return "; ".join(told) or "none"


def _ahead(horizons: tuple[int, ...]) -> str:
    return f"{', '.join(map(str, horizons))} ahead"
