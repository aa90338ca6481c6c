"""The usual user module, ``forward(x, hidden=None) -> (y, hidden)``: its hidden state is found by running it.

Two batch sizes and two lengths show which axis of every hidden tensor runs over rows, whether time is the module's
first axis, and that nothing grows with the position. Reading the source or the submodules could only guess at that.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from outlast.adapters.precision import halves_of, wide_copy
from outlast.adapters.rnn import HiddenState, LSTMState, refuse_bidirectional
from outlast.errors import InputError, raised
from outlast.model import InputSpec, Recurrent, device_of, dtype_of, quietly
from outlast.randomness import generator
from outlast.state import at_least_float32, leaves, rebuild

HOW_TO_BE_NATIVE = """\
class MyModel(nn.Module):
    def initial_state(self, batch_size):               # rows first, a tuple over layers
        return (torch.zeros(batch_size, self.width, device=self.weight.device, dtype=self.weight.dtype),)
    def forward(self, inputs, state):                  # inputs (B, T) or (B, T, F)
        outputs, hidden = self.read(inputs, state[0])  # outputs (B, T, ...); edit nothing in place
        return outputs, (hidden,)"""

_ROWS, _LENGTH = 2, 3


@dataclass(frozen=True)
class _Slot:
    """Where one hidden tensor of the module goes in the state.

    `stacked` layers lie on its first axis (None: it is one layer) and go to layers `layer`, `layer` + 1, …, each as
    `field`. `shape` is the tensor's when probed, rows at `batch_axis`. It has the dtype of the module's tensor `like`,
    whatever the module is cast to; `dtype` where none of them had its own.
    """

    layer: int
    stacked: int | None
    field: str
    batch_axis: int
    shape: tuple[int, ...]
    like: str | None
    dtype: torch.dtype

    def shape_for(self, rows: int) -> tuple[int, ...]:
        return tuple(rows if axis == self.batch_axis else size for axis, size in enumerate(self.shape))

    def dtype_in(self, module: nn.Module) -> torch.dtype:
        return self.dtype if self.like is None else named_tensor(module, self.like).dtype


class HiddenModule(Recurrent):
    """A module ``(x, hidden) -> (y, hidden)`` whose state is a tuple over layers of `LSTMState` or `HiddenState`.

    Built by `read_hidden_module`. Besides the module's own work a call costs the stacking of the layers' states.
    """

    blueprint: dict[str, Any] | None = None

    def __init__(
        self,
        module: nn.Module,
        spec: InputSpec,
        reads: str | None,
        structure: Any,
        slots: Sequence[_Slot],
        time_first: bool,
    ) -> None:
        super().__init__()
        self.module = module
        self.input_spec = spec
        self.time_first = time_first
        self._reads = reads
        self._structure = structure
        self._slots = tuple(slots)

    @property
    def input_dtype(self) -> torch.dtype:
        return dtype_of(self.module) if self._reads is None else named_tensor(self.module, self._reads).dtype

    def initial_state(self, batch_size: int) -> tuple[LSTMState | HiddenState, ...]:
        device = device_of(self.module)
        own = getattr(self.module, "init_hidden", None)
        if own is not None:
            tensors = leaves(own(batch_size))
        else:
            tensors = [torch.zeros(slot.shape_for(batch_size)) for slot in self._slots]
        placed = [
            tensor.to(device, slot.dtype_in(self.module)) for slot, tensor in zip(self._slots, tensors, strict=True)
        ]
        return self._to_state(placed)

    def forward(self, inputs: Tensor, state: Any) -> tuple[Tensor, tuple[LSTMState | HiddenState, ...]]:
        given = self._to_hidden(state)
        inputs = inputs.transpose(0, 1) if self.time_first else inputs
        outputs, hidden = _call(self.module, inputs, given)
        if _shapes(hidden) != _shapes(given):
            raise InputError(
                f"{type(self.module).__name__}.forward returned the hidden state {_describe(hidden)}",
                f"the structure and shapes it was given, {_describe(given)}",
                "return the state after the last position for every row, in the layout in which it came",
            )
        return (outputs.transpose(0, 1) if self.time_first else outputs), self._to_state(leaves(hidden))

    def around(self, module: nn.Module) -> HiddenModule:
        """The same layout around another module of the same structure."""
        spec = self.input_spec
        assert spec is not None
        return HiddenModule(module, spec, self._reads, self._structure, self._slots, self.time_first)

    def _to_state(self, tensors: Sequence[Tensor]) -> tuple[LSTMState | HiddenState, ...]:
        layers: dict[int, dict[str, Tensor]] = {}
        for slot, tensor in zip(self._slots, tensors, strict=True):
            tensor = at_least_float32(tensor)
            pieces = [tensor.movedim(slot.batch_axis, 0)] if slot.stacked is None else tensor.unbind(0)
            for offset, piece in enumerate(pieces):
                layers.setdefault(slot.layer + offset, {})[slot.field] = piece
        return tuple(
            LSTMState(**fields) if "cell" in fields else HiddenState(**fields) for _, fields in sorted(layers.items())
        )

    def _to_hidden(self, state: Sequence[Any]) -> Any:
        tensors = []
        for slot in self._slots:
            if slot.stacked is None:
                tensor = getattr(state[slot.layer], slot.field).movedim(0, slot.batch_axis)
            else:
                pieces = [getattr(state[slot.layer + offset], slot.field) for offset in range(slot.stacked)]
                tensor = torch.stack(pieces)
            tensors.append(tensor.to(slot.dtype_in(self.module)))
        return rebuild(self._structure, tensors)


def read_hidden_module(module: nn.Module) -> HiddenModule:
    """Find out by running it how `module` lays out its hidden state, and wrap it.

    Raises:
        InputError: it cannot be read; the message says why and what to do.
    """
    refuse_bidirectional(module)
    specs = input_specs(module)
    if not specs:
        raise _unreadable(module, "no nn.Embedding, RNN or nn.Linear in it tells what it reads")
    # An inner RNN with time first makes that the likelier boundary; both are tried, the likelier one's error is told.
    rnns = [inner for inner in module.modules() if isinstance(inner, nn.RNNBase)]
    time_first_likelier = any(not rnn.batch_first for rnn in rnns)
    layouts = [
        (spec, time_first, reads)
        for spec in specs
        for time_first in (time_first_likelier, not time_first_likelier)
        for reads in (readers(module) if spec.kind == "features" else [None])
    ]
    try:
        return _first_that_fits(module, layouts)
    except InputError:
        if not halves_of(module):
            raise
        # Where this device cannot run it in half precision, its layout shows in float32.
        with contextlib.suppress(InputError):
            return _first_that_fits(wide_copy(module), layouts).around(module)
        raise


def _first_that_fits(module: nn.Module, layouts: Sequence[tuple[InputSpec, bool, str | None]]) -> HiddenModule:
    failures: list[InputError] = []
    with quietly(module):
        for spec, time_first, reads in layouts:
            try:
                return _probe(module, spec, time_first, reads)
            except InputError as error:
                failures.append(error)
    raise failures[0]


def readers(module: nn.Module) -> list[str | None]:
    """Names of the module's first tensor of each floating dtype, in their order: inputs are of one of these dtypes."""
    tensors = (*module.named_parameters(), *module.named_buffers())
    found: dict[torch.dtype, str | None] = {}
    for name, tensor in tensors:
        if tensor.is_floating_point():
            found.setdefault(tensor.dtype, name)
    return list(found.values()) or [None]


def named_tensor(module: nn.Module, name: str) -> Tensor:
    """The parameter or buffer of this name."""
    owner, _, own = name.rpartition(".")
    return getattr(module.get_submodule(owner), own)


def input_specs(module: nn.Module) -> list[InputSpec]:
    """What the module may read, likeliest first: its own `input_spec`, else its first embedding, else the input
    widths of its recurrent and linear layers."""
    declared = getattr(module, "input_spec", None)
    if declared is not None:
        return [declared]
    widths: list[int] = []
    for inner in module.modules():
        if isinstance(inner, nn.Embedding):
            return [InputSpec("tokens", inner.num_embeddings)]
        if isinstance(inner, nn.RNNBase | nn.RNNCellBase):
            widths.append(inner.input_size)
        elif isinstance(inner, nn.Linear):
            widths.append(inner.in_features)
    return [InputSpec("features", width) for width in dict.fromkeys(widths)]


def _start_of(module: nn.Module) -> Callable[[int], Any]:
    """What the module is given before it has read anything, for a number of rows: its own `init_hidden`, or None
    where its forward has that default, or else zeros shaped by its inner RNNs."""
    own = getattr(module, "init_hidden", None)
    if own is not None:
        return lambda rows: _moved(own(rows), module)
    hidden = list(inspect.signature(module.forward).parameters.values())[1]
    rnns = [inner for inner in module.modules() if isinstance(inner, nn.RNNBase)]
    if hidden.default is not inspect.Parameter.empty or not rnns:
        return lambda rows: None

    def zeros(rows: int) -> Any:
        each = [_zeros_for(rnn, rows, module) for rnn in rnns]
        return each[0] if len(each) == 1 else tuple(each)

    return zeros


def _zeros_for(rnn: nn.RNNBase, rows: int, module: nn.Module) -> Any:
    widths = [rnn.proj_size or rnn.hidden_size, rnn.hidden_size] if isinstance(rnn, nn.LSTM) else [rnn.hidden_size]
    tensors = [torch.zeros(rnn.num_layers, rows, width) for width in widths]
    return _moved(tuple(tensors) if len(tensors) > 1 else tensors[0], module)


def _probe(module: nn.Module, spec: InputSpec, time_first: bool, reads: str | None) -> HiddenModule:
    base = _run(module, random_inputs(module, spec, reads, _ROWS, _LENGTH), time_first)
    more_rows = _run(module, random_inputs(module, spec, reads, _ROWS + 3, _LENGTH), time_first)
    longer = _run(module, random_inputs(module, spec, reads, _ROWS, _LENGTH + 4), time_first)
    if not leaves(base):
        raise _unreadable(module, "its forward returned an empty hidden state")
    axes = []
    for tensor, wider, later in zip(leaves(base), leaves(more_rows), leaves(longer), strict=True):
        if tensor.shape != later.shape:
            raise _unreadable(
                module,
                f"for inputs of {_LENGTH} and {_LENGTH + 4} positions its hidden state has the shapes "
                f"{tuple(tensor.shape)} and {tuple(later.shape)}: it grows with the position, or its rows are "
                "taken for positions",
            )
        differing = [axis for axis in range(tensor.dim()) if tensor.shape[axis] != wider.shape[axis]]
        if len(differing) != 1:
            raise _unreadable(
                module,
                f"for {_ROWS} and {_ROWS + 3} rows its hidden state has the shapes {tuple(tensor.shape)} and "
                f"{tuple(wider.shape)}: no axis runs over rows",
            )
        axes.append(differing[0])
    model = HiddenModule(module, spec, reads, _skeleton(base), _slots(module, base, axes), time_first)
    _same_start(model, random_inputs(module, spec, reads, _ROWS, _LENGTH))
    return model


def _run(module: nn.Module, inputs: Tensor, time_first: bool) -> Any:
    """The hidden state after inputs (B, T, …), from the module's own start."""
    rows = len(inputs)
    inputs = inputs.transpose(0, 1) if time_first else inputs
    try:
        outputs, hidden = _call(module, inputs, _start_of(module)(rows))
    except InputError:
        raise
    except Exception as error:  # whatever the user's code raises is what they need to read
        given = f"on inputs {tuple(inputs.shape)} its forward raised {raised(error)}"
        raise _unreadable(module, given) from error
    if outputs.shape[:2] != inputs.shape[:2]:
        raise _unreadable(
            module,
            f"for inputs {tuple(inputs.shape)} its forward returned outputs {tuple(outputs.shape)}; one output for "
            "every row and position is needed, (B, T, ...)",
        )
    return hidden


def random_inputs(module: nn.Module, spec: InputSpec, reads: str | None, rows: int, length: int) -> Tensor:
    """Inputs of the kind `spec` says, on the module's device, features in the dtype of its tensor `reads`; always the
    same ones."""
    inputs = spec.random(rows, length, generator(0, "adapt"))
    dtype = None if spec.kind == "tokens" else dtype_of(module) if reads is None else named_tensor(module, reads).dtype
    return inputs.to(device_of(module), dtype)


def _call(module: nn.Module, inputs: Tensor, hidden: Any) -> tuple[Tensor, Any]:
    """``module(inputs, hidden)``, refusing anything but one tensor of outputs and a state of tensors."""
    returned = module(inputs, hidden)
    if not (isinstance(returned, tuple) and len(returned) == 2 and isinstance(returned[0], Tensor)):
        raise _unreadable(
            module, f"its forward returned {_describe(returned)}, with no hidden state beside the outputs"
        )
    try:
        leaves(returned[1])
    except TypeError as error:
        raise _unreadable(
            module, f"its forward returned a hidden state that holds more than tensors: {error}"
        ) from None
    return returned


def _same_start(model: HiddenModule, inputs: Tensor) -> None:
    """Where the module starts by itself (hidden=None), the zero state must be that start."""
    if _start_of(model.module)(_ROWS) is not None:
        return
    alone, _ = _call(model.module, inputs.transpose(0, 1) if model.time_first else inputs, None)
    given, _ = model(inputs, model.initial_state(_ROWS))
    alone = alone.transpose(0, 1) if model.time_first else alone
    # Without finite outputs it starts alike all the same; that it is broken is for a measurement to say.
    size = float(alone.nan_to_num(0.0, 0.0, 0.0).abs().max())
    if not torch.allclose(given, alone, rtol=0, atol=1e-5 * size, equal_nan=True):
        raise _unreadable(
            model.module,
            "with hidden=None its outputs differ from those with a hidden state of zeros, so it starts elsewhere "
            "(write init_hidden(batch_size) that returns the start)",
        )


def _slots(module: nn.Module, hidden: Any, axes: Sequence[int]) -> list[_Slot]:
    kinds = [isinstance(inner, nn.LSTM | nn.LSTMCell) for inner in module.modules() if _is_recurrent(inner)]
    names = {each.dtype: name for name in readers(module) if name is not None for each in [named_tensor(module, name)]}
    remaining = iter(axes)
    slots: list[_Slot] = []

    def next_layer() -> int:
        return max((slot.layer + (slot.stacked or 1) for slot in slots), default=0)

    def place(tensor: Tensor, layer: int, field: str) -> None:
        axis = next(remaining)
        stacked = tensor.shape[0] if axis == 1 else None
        slots.append(_Slot(layer, stacked, field, axis, tuple(tensor.shape), names.get(tensor.dtype), tensor.dtype))

    def walk(node: Any, lstm: bool) -> None:
        if isinstance(node, Tensor):
            place(node, next_layer(), "hidden")
        elif isinstance(node, dict):
            for key in sorted(node):
                walk(node[key], lstm)
        elif lstm and len(node) == 2 and all(isinstance(child, Tensor) for child in node):
            layer = next_layer()
            place(node[0], layer, "hidden")
            place(node[1], layer, "cell")
        elif node is not None:
            each = kinds if len(kinds) == len(node) else [lstm] * len(node)
            for child, child_lstm in zip(node, each, strict=True):
                walk(child, child_lstm)

    walk(hidden, bool(kinds) and all(kinds))
    return slots


def _is_recurrent(module: nn.Module) -> bool:
    return isinstance(module, nn.RNNBase | nn.RNNCellBase)


def _moved(hidden: Any, module: nn.Module) -> Any:
    """The module's own start, on its device and in its dtype (`init_hidden` often forgets both)."""
    dtype = dtype_of(module)
    tensors = [t.to(device_of(module), dtype if t.is_floating_point() else t.dtype) for t in leaves(hidden)]
    return rebuild(hidden, tensors)


def _skeleton(hidden: Any) -> Any:
    return rebuild(hidden, [torch.empty(0) for _ in leaves(hidden)])


def _shapes(node: Any) -> Any:
    if isinstance(node, Tensor):
        return tuple(node.shape)
    if isinstance(node, dict):
        return {key: _shapes(child) for key, child in node.items()}
    return None if node is None else tuple(_shapes(child) for child in node)


def _describe(node: Any) -> str:
    if isinstance(node, Tensor):
        return f"a tensor {tuple(node.shape)}"
    if isinstance(node, dict):
        return "{" + ", ".join(f"{key}: {_describe(child)}" for key, child in node.items()) + "}"
    if isinstance(node, tuple | list):
        return "(" + ", ".join(_describe(child) for child in node) + ")"
    return "None" if node is None else f"an object of type {type(node).__name__}"


def _unreadable(module: nn.Module, why: str) -> InputError:
    return InputError(
        f"{type(module).__name__} cannot be read as a recurrent model: {why}",
        "forward(inputs, hidden=None) -> (outputs, hidden), with inputs and outputs (B, T, ...)",
        "change forward accordingly (a module that computes its own start has init_hidden(batch_size)), or say it "
        f"outright:\n{HOW_TO_BE_NATIVE}",
    )
