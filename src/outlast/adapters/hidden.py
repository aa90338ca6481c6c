"""The usual user module, made recurrent by how it was found to be called (`outlast.adapters.finding`)."""

from __future__ import annotations

import copy
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from outlast.adapters.calling import STEPPED, Axes, Carrier, Inside, Layout, Within, items_of, placed
from outlast.adapters.folding import Folds, at_first, at_last, rows_of_positions, unfolding
from outlast.adapters.slots import LayerState, SharedState, Slot, named_tensor, to_hidden, to_state, to_tensors
from outlast.adapters.starting import Start
from outlast.adapters.structure import Leaf, described, put_together, shapes_of, take_apart
from outlast.errors import InputError
from outlast.model import InputSpec, Recurrent, device_of, dtype_of
from outlast.state import StatePart, concatenate, default_parts, map_state, select
from outlast.turns import alone, found_alike


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
            in one call (`outlast.adapters.folding`); empty: it is called for every position.
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
            return items_of(returned)[self.output]
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

    Built by `outlast.adapters.finding.read_hidden_module`. Besides the module's own work a call costs the stacking of
    the layers' states. A module that reads one position a call is called for each, or once for all positions where that
    was found to be the same.
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
        shared = [isinstance(layer, SharedState) for layer in state for _ in layer]
        pairs = zip(default_parts(state), shared, strict=True)
        return tuple(replace(part, kind="counter") if is_shared else part for part, is_shared in pairs)

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
        returned, after = calling.carrier.call(self.module, placed(inputs, calling.axes), given, rows, length, *within)
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
