"""Two remedies of others, to be held against other starts: a penalty on the state's size, and dropout on the state."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from outlast.state import State, StatePart, as_matrix, continuous, leaves, map_state

PIECES = 4
"""Stretches that a window is read in where the state is dropped between them."""


def read_dropping(
    model: nn.Module, inputs: Tensor, start: State, zero: State, parts: tuple[StatePart, ...], share: float,
    draws: torch.Generator,
) -> tuple[Any, State]:  # fmt: skip
    """Outputs (B, T, …) and the final state of a window whose state is dropped before each of `PIECES` stretches.

    Args:
        inputs: (B, T, …).
        start, zero: the state that the window starts from, and the initial one, of B rows.
        share: of the numbers in recurrent and convolution parts that become those of the initial state, drawn anew for
            every row; the others are not scaled, as a state is no sum of them.
        draws: on the CPU.
    """
    outputs, state = [], start
    for stretch in inputs.chunk(min(PIECES, inputs.shape[1]), dim=1):
        state = _dropped(state, zero, parts, share, draws)
        output, state = model(stretch, state)
        outputs.append(output)
    return map_state(lambda *each: torch.cat(each, 1), *outputs), state


def _dropped(state: State, zero: State, parts: tuple[StatePart, ...], share: float, draws: torch.Generator) -> State:
    kinds = iter(parts)

    def one(tensor: Tensor, initial: Tensor) -> Tensor:
        """(B, …) and (B, …) -> (B, …)."""
        if not next(kinds).touched:
            return tensor
        gone = (torch.rand(tensor.shape, generator=draws) < share).to(tensor.device)
        return torch.where(gone, initial, tensor)

    return map_state(one, state, zero)


def size_of(state: State, parts: tuple[StatePart, ...]) -> Tensor:
    """(B,) mean square of the numbers in recurrent and convolution parts (B, …), every part alike."""
    squares = [
        as_matrix(tensor).float().square().mean(1)
        for part, tensor in zip(parts, leaves(state), strict=True)
        if part.touched and continuous(tensor)
    ]
    return torch.stack(squares).mean(0)
