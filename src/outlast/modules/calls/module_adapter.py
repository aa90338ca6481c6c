"""The usual user module, made recurrent by how it was found to be called."""

from __future__ import annotations

import contextlib
import copy
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from outlast.errors import InputError
from outlast.model import InputSpec, Recurrent, device_of, dtype_of
from outlast.modules.calls.calling import (
    STEPPED,
    Argument,
    Axes,
    Behind,
    Carrier,
    Inside,
    Layout,
    Within,
    forward_in_place,
    item_in,
    items_of,
    placed,
    signature_of,
)
from outlast.modules.calls.initial_state import Start
from outlast.modules.calls.state_layout import (
    LayerState,
    Leaf,
    SharedState,
    Slot,
    described,
    is_recurrent,
    named_tensor,
    put_together,
    shapes_of,
    take_apart,
    to_hidden,
    to_state,
    to_tensors,
)
from outlast.state import StatePart, concatenate, default_parts, map_state, select
from outlast.turns import alone, found_alike, freely

# Windows of a module that answers one position a call, read in one call.
#
# Positions become rows: the module gets (B · T) rows of one position each, which its layers read as they would one
# after another, and each of torch's recurrent modules inside gets them back as B rows of T positions. What a row does
# not know then (the state that the position before it left, but for what a recurrent module gives at every position)
# is filled in. Whether a module needs it is found by trial, with fillings that are no numbers.


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


# The usual user module, made recurrent by how it was found to be called (`outlast.modules.calls.finding`).


@dataclass(frozen=True)
class Calling:
    """All that was found out about how a module is called.

    Args:
        spec: what it reads.
        reads: name of the tensor whose dtype its inputs have; None: the first floating one.
        axes: of its inputs.
        carrier: where its state goes in and comes out.
        output: label of its outputs in what it returns, and `layout` where rows and positions lie in them.
        state: labels of its state in what it returns, where the carrier does not tell; `gathered` as one tuple.
        structure: of the state that it is given.
        slots: where each tensor of it goes.
        start: what it starts from.
        copies: whether it edits the state that it is given, so that it gets a copy.
        window: how it reads whole windows, where it gives one output for each and so reads one position a call.
        folded: recurrent modules inside, by name, through which a module that reads one position a call reads windows
            in one call (`outlast.modules.calls.module_adapter`); empty: it is called for every position.
    """

    spec: InputSpec
    reads: str | None
    axes: Axes
    carrier: Carrier
    output: Any
    layout: Layout
    state: tuple[Any, ...] | None
    gathered: bool
    structure: Any
    slots: tuple[Slot, ...]
    start: Start
    copies: bool = False
    window: Axes | None = None
    folded: tuple[str, ...] = ()

    def output_in(self, returned: Any) -> Tensor:
        """The outputs among what a call returned; of a cell that returns its state alone, the state's first tensor."""
        if self.output is not None or self.state != (None,):
            return item_in(returned, self.output)
        return next(leaf for leaf in take_apart(returned) if isinstance(leaf, Tensor))

    def state_in(self, returned: Any, after: Any) -> Any:
        """The state after a call, of the structure that goes in."""
        if self.state is None:
            return after
        if self.state == (None,):
            return returned
        items = items_of(returned)
        found = [items[label] for label in self.state]
        return tuple(found) if self.gathered else found[0]


class HiddenModule(Recurrent):
    """A user's module whose state is a tuple over layers of `LSTMState`, `HiddenState` or `SharedState`.

    Built by `outlast.modules.calls.finding.read_hidden_module`. Besides the module's own work a call costs the
    stacking of the layers' states. A module that reads one position a call is called for each, or once for all
    positions where that was found to be the same.
    """

    blueprint: dict[str, Any] | None = None
    found: str | None = None
    """What was found out about it, in a sentence."""
    doubt: str | None = None
    """Why it may be no recurrent model as it is called, as a clause; None: nothing speaks against it."""

    guessed: bool = False
    """Whether what it reads was told by the sizes of its layers alone."""

    def __init__(self, module: nn.Module, calling: Calling) -> None:
        super().__init__()
        self.module = module
        self.calling = calling
        self.rooms: Mapping[int, int] = {}
        """How many ids its embeddings have for each column that goes into one."""
        self.input_spec = calling.spec
        self._shared = any(slot.batch_axis is None for slot in calling.slots)

    @property
    def input_dtype(self) -> torch.dtype:
        reads = self.calling.reads
        return dtype_of(self.module) if reads is None else named_tensor(self.module, reads).dtype

    def initial_state(self, batch_size: int) -> tuple[LayerState, ...]:
        """The module's own start."""
        given = self.calling.start.leaves(self.module, batch_size)
        if given is None:
            given = [torch.zeros(slot.shape_for(batch_size), dtype=slot.dtype) for slot in self.calling.slots]
        return self._state_of(given, batch_size)

    def _state_of(self, hidden: Sequence[Leaf], rows: int) -> tuple[LayerState, ...]:
        slots, device = self.calling.slots, device_of(self.module)
        pairs = zip(slots, hidden, strict=True)
        return to_state(slots, [slot.as_tensor(leaf, rows, self.module, device) for slot, leaf in pairs])

    def state_of(self, hidden: Any, rows: int) -> tuple[LayerState, ...]:
        """Back: a state of so many rows as the module has it."""
        return self._state_of(take_apart(hidden), rows)

    def state_parts(self) -> tuple[StatePart, ...]:
        with torch.no_grad():
            state = self.initial_state(1)
        carrier = self.calling.carrier
        windows = len(state) - (len(carrier.names) if isinstance(carrier, Behind) else 0)
        kinds = [
            "counter" if isinstance(layer, SharedState) else "convolution" if number >= windows else None
            for number, layer in enumerate(state)
            for _ in layer
        ]
        pairs = zip(default_parts(state), kinds, strict=True)
        return tuple(part if kind is None else replace(part, kind=kind) for part, kind in pairs)

    def forward(self, inputs: Tensor, state: Any) -> tuple[Tensor, tuple[LayerState, ...]]:
        groups = self._groups(state) if self._shared else None
        if groups is None or len(groups) == 1:
            return self._together(inputs, state)
        # Rows that are given different numbers cannot share a call.
        answers = [self._together(inputs[rows], select(state, rows)) for rows in groups]
        order = torch.argsort(torch.cat(groups))
        return torch.cat([outputs for outputs, _ in answers])[order], select(
            concatenate([s for _, s in answers]), order
        )

    def _groups(self, state: Any) -> list[Tensor]:
        """Rows that are alike in what rows share in the module."""
        values = [layer.value.flatten(1) if layer.value.dim() > 1 else layer.value[:, None]
                  for layer in state if isinstance(layer, SharedState)]  # fmt: skip
        alike = torch.cat([value.detach().double() for value in values], 1).unique(dim=0, return_inverse=True)[1]
        return [(alike == number).nonzero()[:, 0] for number in range(int(alike.max()) + 1)]

    def _together(self, inputs: Tensor, state: Any) -> tuple[Tensor, tuple[LayerState, ...]]:
        if inputs.shape[1] > 1 and self.calling.axes in STEPPED:
            return self.at_once(inputs, state) if self.calling.folded else self.stepped(inputs, state)
        outputs, given = self.call(inputs, self.hidden_of(state))
        return outputs, self.state_of(given, inputs.shape[0])

    def stepped(self, inputs: Tensor, state: Any) -> tuple[Tensor, tuple[LayerState, ...]]:
        """Outputs (B, T, …) and the state after them, by a call for every position."""
        given, outputs = self.hidden_of(state), []
        for piece in inputs.split(1, 1):
            output, given = self.call(piece, given)
            outputs.append(output)
        return torch.cat(outputs, 1), self.state_of(given, inputs.shape[0])

    def at_once(self, inputs: Tensor, state: Any, fill: float = 0.0) -> tuple[Tensor, tuple[LayerState, ...]]:
        """The same by one call, through the modules of `Calling.folded`.

        Args:
            fill: what stands for states between positions that are not known.
        """
        calling, length = self.calling, inputs.shape[1]
        inside = isinstance(calling.carrier, Inside)  # which gives its state, and notes it, where rows are unfolded
        given = self.hidden_of(state if inside else map_state(lambda t: at_first(t, length, fill), state))
        folds = Folds(length, fill, not inside)
        outputs, after = self.call(
            rows_of_positions(inputs), given, lambda module: unfolding(module, calling.folded, folds)
        )
        if inside:
            final = self.state_of(after, inputs.shape[0])
        else:
            final = map_state(lambda t: at_last(t, length), self.state_of(after, inputs.shape[0] * length))
        return outputs.flatten(0, 1).unflatten(0, (-1, length)), final

    def hidden_of(self, state: Any) -> Any:
        """A state as the module takes it."""
        slots = self.calling.slots
        return to_hidden(slots, self.calling.structure, to_tensors(slots, state), self.module)

    def call(self, inputs: Tensor, given: Any, *within: Within) -> tuple[Tensor, Any]:
        """One call of the module: outputs (B, T, …) and the state as the module has it."""
        calling, (rows, length) = self.calling, inputs.shape[:2]
        if calling.copies:
            given = copied(given)

        def run() -> tuple[Any, Any]:
            return calling.carrier.call(self.module, placed(inputs, calling.axes), given, rows, length, *within)

        if isinstance(calling.carrier, Argument) and not within:
            returned, after = freely(self.module, (calling.carrier.method, rows, length), run)
        else:  # such a call writes to the module, and takes its turn itself
            returned, after = run()
        hidden = calling.state_in(returned, after)
        if shapes_of(hidden) != shapes_of(given):
            raise InputError(
                f"{class_name(self.module)}.forward returned the hidden state {described(hidden)}",
                f"the structure and shapes it was given, {described(given)}",
                "return the state after the last position for every row, in the layout in which it came",
            )
        return calling.layout.batch_first(calling.output_in(returned), rows), hidden

    def __deepcopy__(self, memo: dict[int, Any]) -> HiddenModule:
        made = type(self).__new__(type(self))
        memo[id(self)] = made
        with alone(self.module):
            kept = {name: value for name, value in self.__dict__.items() if name != "_modules"}
            vars(made).update(copy.deepcopy(kept, memo), _modules={"module": _copy_of(self.module, memo)})
        found_alike(self.module, made.module)
        return made

    def become(self, other: Recurrent) -> HiddenModule:
        """Read what another around the same module reads; it stays the model that it is, with its schema."""
        assert isinstance(other, HiddenModule)
        names = ("calling", "input_spec", "rooms", "found", "doubt", "_shared")
        vars(self).update({name: getattr(other, name) for name in names})
        if self.blueprint is not None and self.input_spec is not None:
            self.blueprint = {**self.blueprint, "inputs": self.input_spec.record()}
        return self

    def around(self, module: nn.Module) -> HiddenModule:
        """The same around another module of the same structure."""
        found_alike(self.module, module)
        made = HiddenModule(module, self.calling)
        made.rooms = self.rooms
        return made


def _copy_of(module: nn.Module, memo: dict[int, Any]) -> nn.Module:
    if not isinstance(module, torch.jit.ScriptModule):
        return copy.deepcopy(module, memo)
    file = io.BytesIO()  # copied as other modules are, its parameters would be none that can be trained
    torch.jit.save(module, file)
    file.seek(0)
    return torch.jit.load(file)


def copied(given: Any) -> Any:
    """A state of which every tensor is a copy, through which gradients flow."""
    return put_together(given, [leaf.clone() if isinstance(leaf, Tensor) else leaf for leaf in take_apart(given)])


def class_name(module: nn.Module) -> str:
    """The name of the class that a person wrote; of a compiled module, of what it was compiled from."""
    return getattr(module, "original_name", None) or type(module).__name__
