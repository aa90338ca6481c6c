"""States that are numbers: a row after which a state is none must not stay in it, or no forecast would follow."""

from __future__ import annotations

import torch
from torch import Tensor

from outlast.model import Recurrent
from outlast.state import State, continuous, leaves, map_state, rows_of, where


class Sound:
    """Tells which rows of a model's states are numbers.

    Args:
        model: whose states they are; what is no number in its initial state may be none later.
    """

    def __init__(self, model: Recurrent) -> None:
        initial = leaves(model.initial_state(1))
        self._which = [i for i, each in enumerate(initial) if continuous(each) and bool(torch.isfinite(each).all())]

    def rows(self, state: State) -> Tensor | None:
        """(B,) bool, on the CPU; None: all of them are."""
        tensors = leaves(state)
        held = [tensors[i] for i in self._which]
        # One sum a tensor tells in the usual case; a sum of numbers may overflow, so what it doubts is looked at.
        if not held or bool(torch.isfinite(torch.stack([each.sum().abs().double().cpu() for each in held])).all()):
            return None
        found = torch.ones(rows_of(state), dtype=torch.bool)
        for each in held:
            found &= torch.isfinite(each.reshape(len(found), -1)).all(1).cpu()
        return None if bool(found.all()) else found

    def in_steps(self, model: Recurrent, inputs: Tensor, before: State) -> tuple[Tensor, State]:
        """Read (B, T, …) position by position; a row after which the state is no number is passed over.

        Returns:
            outputs (B, T, …), not a number where a row was passed over, and the state, which is numbers.
        """
        outputs, state = [], before
        for position in range(inputs.shape[1]):
            made, after = model(inputs[:, position : position + 1], state)
            sound = self.rows(after)
            if sound is not None:
                after = where(sound, after, state)
                here = sound.to(made.device).view(-1, *[1] * (made.dim() - 1))
                made = torch.where(here, made, torch.full_like(made, torch.nan))
            outputs.append(made)
            state = after
        return torch.cat(outputs, 1), state


def put_rows(state: State, at: Tensor, rows: State) -> State:
    """The state with other rows (N, …) at (N,) numbers, tensors (B, …)."""
    return map_state(lambda whole, new: whole.index_copy(0, at.to(whole.device), new.to(whole)), state, rows)
