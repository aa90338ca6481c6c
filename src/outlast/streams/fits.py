"""Does this model read these streams? Asked before anything is run."""

from __future__ import annotations

from outlast.errors import InputError
from outlast.model import InputSpec
from outlast.streams.streams import Streams


def check_inputs(spec: InputSpec | None, streams: Streams) -> None:
    """Raise InputError where the streams' inputs are not what the model reads; a model of unknown inputs passes."""
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
