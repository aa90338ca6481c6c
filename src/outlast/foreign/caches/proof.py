"""Whether a model reads in pieces what its library reads at once: asked of every model that is loaded, before it is
used, and of every model type in docs/models.md."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from outlast.foreign.caches.model import Borrowed
from outlast.foreign.caches.reading import reading
from outlast.model import Recurrent, device_of, dtype_of, quietly
from outlast.state import leaves, map_state

PIECES = (5, 1, 1, 6)
"""Positions of the pieces in which a model that is loaded reads; few, for it may be large."""

TOLERANCE = {torch.float64: 1e-4, torch.float32: 1e-4, torch.float16: 0.1, torch.bfloat16: 0.25}
"""Root mean square of the differences, as a share of that of the logits, by the dtype of the parameters: half
precisions round much, and a state that is dropped shows all the same."""


Whole = Callable[[Tensor], Tensor]
"""The library's own pass over tokens (B, T), which knows no state: logits (B, T, vocabulary)."""


def at_once(model: Borrowed, tokens: Tensor) -> Tensor:
    """What the library makes of tokens (B, T), as `Whole`."""
    with reading(model.window, dtype_of(model)):
        return model.model(input_ids=tokens, use_cache=False).logits


def in_pieces(model: Recurrent, tokens: Tensor, pieces: Sequence[int]) -> Tensor:
    """Logits (B, T, vocabulary) of tokens (B, T) that are read in `pieces` of so many positions."""
    state, found = model.initial_state(len(tokens)), []
    for piece in tokens.split(list(pieces), 1):
        logits, state = model(piece, state)
        found.append(logits)
    return torch.cat(found, 1)


def tokens_for(model: Recurrent, rows: int, length: int) -> Tensor:
    """Random tokens (rows, length), a function of the sizes alone."""
    assert model.input_spec is not None
    drawn = model.input_spec.random(rows, length, torch.Generator().manual_seed(length))
    return drawn.to(device_of(model))


def gap(found: Tensor, wanted: Tensor) -> float:
    """Root mean square of the differences as a share of that of `wanted`, both of one shape; infinite where there is
    anything that is no number."""
    found, wanted = found.double(), wanted.double()
    share = float((found - wanted).square().mean().sqrt() / wanted.square().mean().sqrt().clamp_min(1e-300))
    return share if share == share else float("inf")


def apart(model: Recurrent, whole: Whole, rows: int, pieces: Sequence[int]) -> float:
    """How far reading in pieces is from the library's reading at once (`gap`)."""
    tokens = tokens_for(model, rows, sum(pieces))
    with quietly(model):
        return gap(in_pieces(model, tokens, pieces), whole(tokens))


def edited(model: Recurrent, rows: int = 2) -> bool:
    """Whether reading one position, or several, writes into the state that is given."""
    with quietly(model):
        _, state = model(tokens_for(model, rows, 3), model.initial_state(rows))
        before = map_state(torch.clone, state)
        for length in (1, 4):
            model(tokens_for(model, rows, length), state)
    return not all(map(torch.equal, leaves(state), leaves(before)))


def gradients_apart(
    model: Recurrent, whole: Whole, embeddings: Sequence[nn.Module], first: int, second: int, rows: int = 2
) -> float:
    """How far the gradient that reaches the embeddings of `first` positions, through the state, from a loss on `second`
    positions after them is from that of the library's pass over both (`gap`).

    Args:
        model: in eval mode.
        embeddings: the module that embeds tokens in `model`, and the one in `whole`.
    """
    tokens = tokens_for(model, rows, first + second)
    weights = torch.randn(second, generator=torch.Generator().manual_seed(0)).to(tokens.device)

    def gradient(logits: Whole, embedding: nn.Module) -> Tensor:
        with _embedded(embedding) as seen:
            said = logits(tokens)[:, -second:].log_softmax(-1)
        (found,) = torch.autograd.grad((said * weights[:, None]).square().sum(), seen[:1])
        return found[:, :first]

    parts = gradient(lambda given: in_pieces(model, given, (first, second)), embeddings[0])
    return gap(parts, gradient(whole, embeddings[1]))


@contextlib.contextmanager
def _embedded(embedding: nn.Module) -> Iterator[list[Tensor]]:
    """What is embedded inside, (B, T, D) each, as the start of a graph."""
    seen: list[Tensor] = []

    def start(module: object, given: object, made: Tensor) -> Tensor:
        seen.append(made.detach().requires_grad_())
        return seen[-1]

    handle = embedding.register_forward_hook(start)
    try:
        yield seen
    finally:
        handle.remove()
