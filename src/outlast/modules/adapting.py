"""The one place that decides how a module becomes recurrent."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from outlast.arguments import taking
from outlast.errors import InputError
from outlast.model import InputSpec, Recurrent, dtype_of, quietly
from outlast.modules.calls.call_trial import random_inputs
from outlast.modules.calls.compiled import bare
from outlast.modules.calls.finding import HOW_TO_BE_NATIVE, read_hidden_module
from outlast.modules.calls.identifying import agreed, cautious, rooms_of, tables_of
from outlast.modules.calls.state_layout import named_tensor, readers
from outlast.modules.calls.widths import input_specs, widths
from outlast.modules.precision import Probe, halves_of, wide_copy
from outlast.modules.torch_rnn import TorchRNN
from outlast.state import State, StatePart
from outlast.turns import freely


class Native(Recurrent):
    """A module that has `initial_state` and ``forward(inputs, state)`` without deriving from `Recurrent`."""

    blueprint: dict[str, Any] | None = None

    rooms: Mapping[int, int] = MappingProxyType({})
    """How many ids its embeddings have for each column that goes into one."""
    guessed: bool = False
    """Whether what it reads was told by the sizes of its layers alone, beside embeddings of ids."""

    def __init__(self, module: nn.Module, inputs: InputSpec | None = None) -> None:
        super().__init__()
        self.module = module
        self.input_spec, self._reads = _readable(module, input_specs(module))
        declared = getattr(module, "input_spec", None)
        wanted = declared if isinstance(declared, InputSpec) else inputs
        if tables_of(module) and (
            _first_read(module, input_specs(module)) is None if wanted is None else wanted.kind == "features"
        ):
            self._read_ids(wanted)

    def _read_ids(self, wanted: InputSpec | None) -> None:
        """Features with ids among them, where it is no model of tokens."""
        specs = [wanted] if wanted else [InputSpec("features", size) for size in sorted(widths(self.module))]
        for spec in specs:
            drawn = cautious(spec, tables_of(self.module))
            found = _first_read(self.module, [drawn])
            if found is None:
                continue
            self.input_spec, self._reads = spec, found[1]
            self.guessed, self.rooms = wanted is None, rooms_of(self, spec.size)
            self.input_spec = agreed(type(self.module).__name__, spec, self.rooms, guessed=wanted is None)
            return

    def become(self, other: Recurrent) -> Native:
        """Read what another around the same module reads; it stays the model that it is, with its schema."""
        assert isinstance(other, Native)
        self.input_spec, self._reads, self.rooms = other.input_spec, other._reads, other.rooms
        if self.blueprint is not None and self.input_spec is not None:
            self.blueprint = {**self.blueprint, "inputs": self.input_spec.record()}
        return self

    @property
    def input_dtype(self) -> torch.dtype:
        return dtype_of(self.module) if self._reads is None else named_tensor(self.module, self._reads).dtype

    def initial_state(self, batch_size: int) -> State:
        own: Any = self.module.initial_state
        return freely(self.module, ("initial_state", batch_size), lambda: own(batch_size))

    def forward(self, inputs: Tensor, state: State) -> tuple[Any, State]:
        return freely(self.module, inputs.shape, lambda: self.module(inputs, state))

    def state_parts(self) -> tuple[StatePart, ...]:
        own = getattr(self.module, "state_parts", None)
        return super().state_parts() if own is None else own()


def _readable(module: Any, specs: list[InputSpec]) -> tuple[InputSpec | None, str | None]:
    """The first of `specs` that the module can read, and the name of the tensor whose dtype its inputs have (None: the
    first floating one). A spec that was declared, and the dtype of a module that has only one, are not doubted."""
    if len(specs) == 1 and len(readers(module)) == 1:
        return specs[0], None
    found = _first_read(module, specs)
    if found is None and halves_of(module):  # where this device cannot run it in half precision
        found = _first_read(wide_copy(module), specs)
    return found or ((specs[0] if len(specs) == 1 else None), None)


def _first_read(module: Any, specs: list[InputSpec]) -> tuple[InputSpec, str | None] | None:
    probe = Probe.of(module)
    with quietly(module):
        for spec, reads in itertools.product(specs, readers(module)):
            try:
                module(random_inputs(module, probe, spec, reads, 2, 3), module.initial_state(2))
            except (RuntimeError, ValueError, IndexError):  # what torch raises for inputs of a wrong width or dtype
                continue
            return spec, reads
    return None


@taking
def adapt(module: nn.Module, inputs: InputSpec | None = None) -> Recurrent:
    """Make a module recurrent: ``outputs, state = model(inputs, state)`` with inputs (B, T) or (B, T, F).

    Accepted, in this order:

    - a `Recurrent`, returned as it is;
    - a module with ``initial_state(batch_size)`` and ``forward(inputs, state)``;
    - torch.nn.LSTM, GRU or RNN, of one direction, with any other setting;
    - any other module whose state goes in and out of forward or of a method ``step``, stays in its attributes, or is
      that of recurrent modules inside or of a loop over positions. It is run on a few random positions (without
      gradients, in eval mode) to find out how: names say what is tried first, and what is taken is what passes
      (reading in pieces is reading at once, the state changes the outputs, rows are independent, and the start is the
      module's own). The model says in ``model.found`` what that was. docs/modules.md lists the kinds.

    Several threads may call the adapted model at once: where it writes to the module, calls go one after another.

    Of what torch.compile and nn.DataParallel wrap, the module inside is taken. What torch.jit made is tried in a
    process of its own first.

    The adapted model shares the module's parameters. Its `blueprint` is None where it cannot be built again from a
    file; use `from_factory` for a model that is to be saved.

    Args:
        module: a trained module, or one to be trained.
        inputs: what it reads; None: its own `input_spec`, or else what the sizes of its layers say.

    Raises:
        InputError: the module is bidirectional, no state was found that passes, or it cannot be read for another
            reason, which the message names, where it can with a wrapper ready to paste.
    """
    if isinstance(module, Recurrent):
        return module
    module = bare(module)
    if isinstance(module, Recurrent):
        return module
    if callable(getattr(module, "initial_state", None)):
        if not takes_state(module):
            raise InputError(
                f"{type(module).__name__} has initial_state, but its forward takes no state",
                "forward(inputs, state)",
                f"let forward take the state and return the one after it:\n{HOW_TO_BE_NATIVE}",
            )
        return Native(module, inputs)
    if isinstance(module, nn.RNNBase):
        return TorchRNN(module)
    return read_hidden_module(module, inputs)


def takes_state(module: nn.Module) -> bool:
    """Whether ``module(inputs, state)`` is a call that its forward accepts."""
    try:
        inspect.signature(module.forward).bind(None, None)
    except TypeError:
        return False
    return True
