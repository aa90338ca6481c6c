"""Streaming use of a language model: write on from where it stands, over any number of calls."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from outlast.arguments import at_least, taking, tensor_of
from outlast.brief import briefly
from outlast.checkpoints import model_fingerprint
from outlast.checkpoints.states import no_state, read_state, write_state
from outlast.data.reading import pieces
from outlast.errors import InputError
from outlast.model import device_of
from outlast.modules.adapting import adapt
from outlast.modules.precision import runnable
from outlast.randomness import hash_uniform
from outlast.state import State, rows_of
from outlast.unprojected import leaving_out_head

UNREAD = "unread"
_WRITERS = "outlast.save_place or outlast generate"
_PIECE = 1024
"""Positions of a prompt that are read in one step."""


@briefly
@dataclass(frozen=True)
class Place:
    """Where a model stands in its streams.

    Args:
        state: after all tokens but the last.
        unread: the last token, (B, 1): it was given or chosen, and is read when the stream goes on.
        position: how many tokens were read.
    """

    state: State
    unread: Tensor
    position: int


@taking
@torch.no_grad()
def generate(
    model: nn.Module,
    prompt: Tensor | np.ndarray | Sequence[Any] | None,
    steps: int,
    *,
    after: Place | None = None,
    temperature: float = 0.0,
    seed: int = 0,
) -> tuple[Tensor, Place]:
    """Read a prompt and choose the next tokens, one by one.

    Two calls, the second with the place that the first returned, choose what one call of as many steps chooses: what is
    drawn depends on seed and position alone. The cost of a call does not depend on how much was read before.

    Args:
        model: of tokens, or a module that `outlast.adapt` takes.
        prompt: tokens (B, T) to read first (a tensor, an array or lists), or None to go on after `after`.
        steps: tokens to choose; 0 reads the prompt and chooses none.
        after: where to go on; None starts a new stream.
        temperature: outputs are divided by it before their softmax is sampled; 0 takes the most likely token.
        seed: of the sampling.

    Returns:
        the chosen tokens (B, steps) and the place after them.

    Raises:
        InputError: no token to start from, tokens outside the vocabulary, a model that does not predict tokens.
    """
    model, asked = adapt(model), None if prompt is None else tensor_of(prompt, "prompt")
    at_least(0, seed, "seed")
    spec = model.input_spec
    if spec is None or spec.kind != "tokens":
        raise InputError(f"a model that reads {spec}", "a model of tokens", "evaluate or watch models of features")
    if steps < 0 or not temperature >= 0:
        raise InputError(f"steps {steps}, temperature {temperature}", "both at least 0", "correct them")
    device = device_of(model)
    model, note = runnable(model, torch.zeros(1, 2, dtype=torch.int64))
    if note is not None:
        warnings.warn(note.said, stacklevel=2)
    tokens = [] if after is None else [after.unread.to(device)]
    if asked is not None:
        if asked.dim() != 2 or asked.is_floating_point():
            raise InputError(
                f"a prompt of shape {tuple(asked.shape)} and {asked.dtype}",
                "token numbers (rows, positions)",
                "put the tokens of one stream into one row: [[3, 1, 4]]",
            )
        tokens.append(asked.to(device))
    unread = torch.cat(tokens, 1) if tokens else torch.empty(0, 0, dtype=torch.int64)
    if unread.numel() == 0 or unread.min() < 0 or unread.max() >= spec.size:
        raise InputError(
            f"a prompt of shape {tuple(unread.shape)}" + (f", tokens up to {unread.max()}" if unread.numel() else ""),
            f"at least one token, each from 0 to {spec.size - 1}",
            "give a prompt, or the place where an earlier call ended",
        )
    rows = unread.shape[0]
    state = model.initial_state(rows) if after is None else after.state
    position, chosen = 0 if after is None else after.position, []
    for begin, end in pieces(unread.shape[1] - 1, _PIECE):
        with leaving_out_head(model):
            _, state = model(unread[:, begin:end], state)
        position += end - begin
    unread = unread[:, -1:]
    for _ in range(steps):
        outputs, state = model(unread, state)
        if outputs.shape[-1] != spec.size:
            raise InputError(
                f"outputs {tuple(outputs.shape)} over a vocabulary of {spec.size}",
                "one output a token of the vocabulary",
                "use a model of the next token",
            )
        position += 1
        unread = _choose(outputs[:, -1].double(), temperature, seed, position)
        chosen.append(unread)
    return torch.cat([*chosen, unread[:, :0]], 1), Place(state, unread, position)


def _choose(logits: Tensor, temperature: float, seed: int, position: int) -> Tensor:
    """One token a row, (B, 1), from logits (B, vocabulary)."""
    if temperature == 0:
        return logits.argmax(-1, keepdim=True)
    drawn = torch.from_numpy(hash_uniform(seed, "generate", position, np.arange(len(logits)))).to(logits.device)
    shares = (logits / temperature).softmax(-1).cumsum(-1)
    return torch.searchsorted(shares, drawn[:, None] * shares[:, -1:], right=True).clamp_max(logits.shape[-1] - 1)


@taking
def save_place(place: Place, path: str | Path, model: nn.Module) -> None:
    """Write a place as safetensors, with the fingerprint of the model that it belongs to.

    Raises:
        InputError: the file cannot be written.
    """
    record = {"position": str(place.position)}
    write_state(path, place.state, model_fingerprint(model), {UNREAD: place.unread}, record)


@taking
def load_place(path: str | Path, model: nn.Module) -> Place:
    """The place that `save_place` wrote, on the model's device.

    Raises:
        InputError: there is no such file, it is no place, it is damaged, or it belongs to another model.
    """
    model = adapt(model)
    state, beside, record = read_state(path, model, model_fingerprint(model), _WRITERS)
    try:
        position, unread = int(record["position"]), beside[UNREAD]
    except (LookupError, ValueError) as error:
        raise no_state(path, f"{type(error).__name__}: {error}", _WRITERS) from error
    if not 0 <= position < 2**63:
        raise no_state(path, f"a position of {position}", _WRITERS)
    if unread.is_floating_point() or unread.shape != (rows_of(state), 1):
        raise no_state(path, f"an unread token of shape {tuple(unread.shape)} and {unread.dtype}", _WRITERS)
    return Place(state, unread.to(device_of(model)), position)
