"""Whether a model reads in pieces what its library reads at once: asked of every model that is loaded, before it is
used, and of every model type in docs/models.md."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from outlast.foreign.caches.model import Borrowed
from outlast.foreign.caches.reading import reading
from outlast.model import device_of, dtype_of, quietly
from outlast.state import leaves, map_state

PIECES = (5, 1, 1, 6)
"""Positions of the pieces in which a model that is loaded reads; few, for it may be large."""

TOLERANCE = {torch.float64: 1e-4, torch.float32: 1e-4, torch.float16: 0.1, torch.bfloat16: 0.25}
"""Root mean square of the differences, as a share of that of the logits, by the dtype of the parameters: half precisions
round much, and a state that is dropped shows all the same."""


def at_once(model: Borrowed, tokens: Tensor) -> Tensor:
    """The library's own pass over tokens (B, T), which knows no state: logits (B, T, vocabulary)."""
    with reading(model.window, dtype_of(model)):
        return model.model(input_ids=tokens, use_cache=False).logits


def in_pieces(model: Borrowed, tokens: Tensor, pieces: Sequence[int]) -> Tensor:
    """Logits (B, T, vocabulary) of tokens (B, T) that are read in `pieces` of so many positions."""
    state, found = model.initial_state(len(tokens)), []
    for piece in tokens.split(list(pieces), 1):
        logits, state = model(piece, state)
        found.append(logits)
    return torch.cat(found, 1)


def tokens_for(model: Borrowed, rows: int, length: int) -> Tensor:
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


def apart(model: Borrowed, rows: int, pieces: Sequence[int]) -> float:
    """How far reading in pieces is from the library's reading at once (`gap`)."""
    tokens = tokens_for(model, rows, sum(pieces))
    with quietly(model):
        return gap(in_pieces(model, tokens, pieces), at_once(model, tokens))


def edited(model: Borrowed, rows: int = 2) -> bool:
    """Whether reading one position, or several, writes into the state that is given."""
    with quietly(model):
        _, state = model(tokens_for(model, rows, 3), model.initial_state(rows))
        before = map_state(torch.clone, state)
        for length in (1, 4):
            model(tokens_for(model, rows, length), state)
    return not all(map(torch.equal, leaves(state), leaves(before)))


def gradients_apart(model: Borrowed, first: int, second: int, rows: int = 2) -> float:
    """How far the gradient that reaches the embeddings of `first` positions, through the state, from a loss on `second`
    positions after them is from that of the library's pass over both (`gap`)."""
    tokens = tokens_for(model, rows, first + second)
    weights = torch.randn(second, generator=torch.Generator().manual_seed(0)).to(tokens.device)

    def loss(logits: Tensor) -> Tensor:
        return (logits[:, -second:].float().log_softmax(-1) * weights[:, None]).square().sum()

    training = model.training
    model.eval()
    try:
        with _embeddings(model) as seen:
            whole = torch.autograd.grad(loss(at_once(model, tokens)), seen[0])[0][:, :first]
        with _embeddings(model) as seen:
            parts = torch.autograd.grad(loss(in_pieces(model, tokens, (first, second))), seen[0])[0]
    finally:
        model.train(training)
    return gap(parts, whole)


@contextlib.contextmanager
def _embeddings(model: Borrowed) -> Iterator[list[Tensor]]:
    """The embeddings (B, T, D) that are made inside, as the starts of the graph."""
    seen: list[Tensor] = []

    def start(module: object, given: object, made: Tensor) -> Tensor:
        seen.append(made.detach().requires_grad_())
        return seen[-1]

    handle = model.model.get_input_embeddings().register_forward_hook(start)
    try:
        yield seen
    finally:
        handle.remove()
