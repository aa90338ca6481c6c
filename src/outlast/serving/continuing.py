"""A text written on after a state that has read far: of one model, and of a base beside its repair."""

from __future__ import annotations

import numpy as np
import torch

from outlast.data import Streams
from outlast.data.compatibility import check_inputs
from outlast.data.reading import read
from outlast.errors import InputError
from outlast.evaluation import usable
from outlast.generation import Place, generate
from outlast.model import Recurrent, device_of, quietly
from outlast.modules.precision import Probe, runnable
from outlast.results import Sample
from outlast.serving.texts import Vocabulary

AGE = 10_000
"""Positions that are read before a sample is written, where the streams are that long."""
STREAMS = 3
CHARACTERS = 200
"""Of what was read, and of what is written, that a sample holds."""
TEMPERATURE = 0.8
_AS_BYTES, _AS_TOKENS = 200, 100
"""Tokens that make about so many characters, without a tokeniser and with one."""
_BEFORE = 4 * CHARACTERS
"""Tokens that hold so many characters in any case."""


def writable(model: Recurrent, streams: Streams, vocabulary: Vocabulary) -> bool:
    """Whether streams are texts, and what the model chooses can be written as one."""
    if model.input_spec is None or model.input_spec.kind != "tokens" or not streams.tokens or streams.shift != 1:
        return False
    as_bytes = vocabulary.bytes and streams.about.get("reader") == "text"
    return streams.targets is None and (vocabulary.tokeniser is not None or as_bytes)


def tokens_of(streams: Streams, stream: int, begin: int, end: int) -> torch.Tensor:
    """Tokens (N) of a stream from position `begin` up to `end`, as far as it goes; also the last one, which is only a
    target."""
    start, last = int(streams.starts[stream]), int(streams.lengths[stream]) + streams.shift
    found = streams.inputs[start + max(0, begin) : start + min(end, last)]
    return torch.from_numpy(np.asarray(found, np.int64))


def place_in(model: Recurrent, streams: Streams, stream: int, age: int) -> Place:
    """Where a model stands that has read the first `age` tokens of a stream, the last of them not yet.

    Raises:
        InputError: the model does not read these streams, there is no such stream, or it is shorter.
    """
    check_inputs(Probe.of(model), streams)
    if not 0 <= stream < len(streams):
        raise InputError(
            f"stream {stream} of {len(streams)}", f"a number from 0 to {len(streams) - 1}", "choose another stream"
        )
    longest = int(streams.lengths[stream]) + streams.shift
    if not 1 <= age <= longest:
        raise InputError(
            f"an age of {age} in stream {stream}", f"1 to {longest} positions, which it has", "choose a lower age"
        )
    with quietly(model):
        state = model.initial_state(1)
        for piece in read(model, streams, np.array([stream]), np.zeros(1, np.int64), age - 1):
            state = piece.state
    return Place(state, tokens_of(streams, stream, age - 1, age)[None].to(device_of(model)), age - 1)


def samples(
    base: Recurrent,
    repaired: Recurrent,
    streams: Streams,
    vocabulary: Vocabulary,
    *,
    train_context: int,
    max_length: int | None,
    up_to: int | str | None = None,
    seed: int,
) -> list[Sample]:
    """What two models write on in the first test streams, each after the same positions, with the same draws.

    The streams are those that evaluations use; the age is `AGE`, or the oldest that leaves the streams as much to go
    on.

    Args:
        streams: texts (`writable`).
    """
    used, length = usable(streams, train_context, max_length, up_to)
    steps = _AS_TOKENS if vocabulary.tokeniser is not None else _AS_BYTES
    age = max(1, min(AGE, length - min(steps, length // 4)))
    found = []
    for stream in range(min(STREAMS, len(used))):
        began = _at_a_sign(used, stream, age, vocabulary)
        by_base, by_repair = (
            _written(model, used, stream, began, steps, vocabulary, seed + stream) for model in (base, repaired)
        )
        before = vocabulary.written(tokens_of(used, stream, began - _BEFORE, began))
        after = vocabulary.written(tokens_of(used, stream, began, began + steps))
        found.append(
            Sample(stream, began, before[-CHARACTERS:], _whole(after), by_base, by_repair, TEMPERATURE, seed + stream)
        )
    return found


def _at_a_sign(streams: Streams, stream: int, age: int, vocabulary: Vocabulary) -> int:
    """The age, or the nearest younger one at which no sign of UTF-8 is cut in two."""
    if vocabulary.tokeniser is not None:
        return age
    near = tokens_of(streams, stream, age - 3, age + 1).tolist()
    inside = next((back for back, byte in enumerate(reversed(near)) if byte & 0xC0 != 0x80), 0)
    return max(1, age - inside)


def _written(
    model: Recurrent, streams: Streams, stream: int, age: int, steps: int, vocabulary: Vocabulary, seed: int
) -> str:
    model, _ = runnable(model, torch.zeros(1, 2, dtype=torch.int64))
    after = place_in(model, streams, stream, age)
    with quietly(model):
        chosen, _ = generate(model, None, steps, after=after, temperature=TEMPERATURE, seed=seed)
    return _whole(vocabulary.written(chosen[0].cpu()))


def _whole(text: str) -> str:
    """As many characters as a sample holds, without a sign that was cut in two at the end."""
    return text[:CHARACTERS].removesuffix("\ufffd")
