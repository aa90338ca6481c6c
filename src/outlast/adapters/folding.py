"""Windows of a module that answers one position a call, read in one call.

Positions become rows: the module gets (B · T) rows of one position each, which its layers read as they would one after
another, and each of torch's recurrent modules inside gets them back as B rows of T positions. What a row does not know
then (the state that the position before it left, but for what a recurrent module gives at every position) is filled in.
Whether a module needs it is found by trial, with fillings that are no numbers.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from outlast.adapters.calling import forward_in_place, signature_of
from outlast.adapters.slots import is_recurrent


def foldable(module: nn.Module) -> tuple[str, ...]:
    """Names of torch's recurrent modules inside, the module itself being ''."""
    if isinstance(module, torch.jit.ScriptModule):
        return ()
    return tuple(
        name
        for name, inner in module.named_modules()
        if is_recurrent(inner) and not isinstance(inner, torch.jit.ScriptModule)
    )


def rows_of_positions(inputs: Tensor) -> Tensor:
    """(B, T, …) as (B · T, 1, …)."""
    return inputs.flatten(0, 1).unsqueeze(1)


def at_first(tensor: Tensor, length: int, fill: float) -> Tensor:
    """(B, …) as (B · T, …): in the row of the first position of each window, and `fill` in those of the others."""
    filled = tensor.new_full((1, 1), fill if tensor.is_floating_point() or tensor.is_complex() else 0)
    others = filled.view(1, 1, *[1] * (tensor.dim() - 1)).expand(len(tensor), length - 1, *tensor.shape[1:])
    return torch.cat([tensor[:, None], others], 1).flatten(0, 1)


def at_last(tensor: Tensor, length: int) -> Tensor:
    """(B · T, …) as (B, …): the row of the last position of each window."""
    return tensor.unflatten(0, (-1, length))[:, -1]


@dataclass(frozen=True)
class Folds:
    """How rows are read as positions in a call.

    Args:
        length: T.
        fill: what stands for states that are not known.
        handed_out: whether the state after the last positions has to come out by what the recurrent modules return;
            otherwise it is noted elsewhere, and theirs is filled in as well.
    """

    length: int
    fill: float
    handed_out: bool


@contextlib.contextmanager
def unfolding(module: nn.Module, names: Sequence[str], folds: Folds) -> Iterator[None]:
    """Inside, each of these recurrent modules reads rows (B · T) of one position as B rows of T positions."""
    with contextlib.ExitStack() as stack:
        for inner in (module.get_submodule(name) for name in names):
            stack.enter_context(forward_in_place(inner, _unfolded(inner, folds)))
        yield


def _unfolded(inner: nn.Module, folds: Folds) -> Callable[..., Any]:
    own, signature = inner.forward, signature_of(inner)

    def forward(*args: Any, **kwargs: Any) -> Any:
        inputs, state = [*signature.bind(*args, **kwargs).arguments.values(), None][:2]
        if isinstance(inner, nn.RNNCellBase):
            return _cell(own, inputs, state, folds.length)
        return _sequence(inner, own, inputs, state, folds)

    return forward


def _sequence(inner: Any, own: Callable[..., Any], inputs: Any, state: Any, folds: Folds) -> Any:
    """What torch's LSTM, GRU or RNN returns for rows of one position."""
    length = folds.length
    if isinstance(inputs, PackedSequence):
        padded, lengths = pad_packed_sequence(inputs, batch_first=inner.batch_first)
        outputs, final = _sequence(inner, own, padded, state, folds)
        return pack_padded_sequence(outputs, lengths, inner.batch_first, enforce_sorted=False), final
    rows, positions = (0, 1) if inner.batch_first else (1, 0)
    if inputs.dim() != 3 or inputs.shape[positions] != 1 or inputs.shape[rows] % length:
        raise ValueError(f"inputs {tuple(inputs.shape)} are not rows of one position, {length} to a window")
    windows = inputs.squeeze(positions).unflatten(0, (-1, length))
    outputs, final = own(windows if inner.batch_first else windows.transpose(0, 1), _first_of(state, length))
    outputs = (outputs if inner.batch_first else outputs.transpose(0, 1)).flatten(0, 1)
    if isinstance(final, tuple):
        known = _everywhere(final[0], outputs, folds), _everywhere(final[1], None, folds)
    else:
        known = _everywhere(final, outputs, folds)
    return outputs.unsqueeze(positions), known


def _first_of(state: Any, length: int) -> Any:
    """States (L, B · T, H) as (L, B, H), those of the first positions; None stays."""
    if isinstance(state, Tensor):
        return state.unflatten(1, (-1, length))[:, :, 0].contiguous()
    return None if state is None else tuple(_first_of(each, length) for each in state)


def _everywhere(final: Tensor, outputs: Tensor | None, folds: Folds) -> Tensor:
    """A final state (L, B, H) as (L, B · T, H), in the rows of last positions where it is to be handed out. Of the last
    layer all rows are known where they are its outputs (B · T, H)."""
    known = final if outputs is None else final[:-1]
    if outputs is not None and not len(known):
        return outputs[None]
    (layers, rows, width), unknown = known.shape, known.new_full((1, 1, 1, 1), folds.fill)
    if folds.handed_out:
        unknown = torch.cat([unknown.expand(layers, rows, folds.length - 1, width), known[:, :, None]], 2)
    everywhere = unknown.expand(layers, rows, folds.length, width).flatten(1, 2)
    return everywhere if outputs is None else torch.cat([everywhere, outputs[None]])


def _cell(own: Callable[..., Any], inputs: Tensor, state: Any, length: int) -> Any:
    """What a cell of torch's returns for rows of positions; its states are known at every position."""
    if inputs.dim() != 2 or len(inputs) % length:
        raise ValueError(f"inputs {tuple(inputs.shape)} are not rows of one position, {length} to a window")
    after = _first_of_rows(state, length)
    found = []
    for position in inputs.unflatten(0, (-1, length)).unbind(1):
        after = own(position, after)
        found.append(after)
    if isinstance(after, Tensor):
        return torch.stack(found, 1).flatten(0, 1)
    return tuple(torch.stack(each, 1).flatten(0, 1) for each in zip(*found, strict=True))


def _first_of_rows(state: Any, length: int) -> Any:
    """As `_first_of`, of states (B · T, H)."""
    if isinstance(state, Tensor):
        return state.unflatten(0, (-1, length))[:, 0]
    return None if state is None else tuple(_first_of_rows(each, length) for each in state)
