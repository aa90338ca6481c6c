"""How a user's module is called: how inputs get in, and where its state goes in and comes out.

A state goes in and out as arguments (`Argument`), stays in attributes of the module (`Kept`), or is that of the
recurrent modules inside, which start anew at every call (`Inside`; of loops, `outlast.modules.calls.loops.Loops`).
With it go the last inputs of causal convolutions before them (`Behind`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from outlast.modules.calls.arguments import Parameters, apart, parameters_of
from outlast.modules.calls.state_layout import put_together, take_apart
from outlast.turns import turn

Axes = Literal["rows_first", "time_first", "packed", "cell", "one", "one_time_first"]
"""Of the inputs: (B, T, …), (T, B, …), a PackedSequence; or one position a call, (B, …), (B, 1, …) or (1, B, …)."""

STEPPED = ("cell", "one", "one_time_first")


def placed(inputs: Tensor, axes: Axes) -> Any:
    """Inputs (B, T, …), T = 1 where one position is read a call, as the module takes them."""
    if axes in ("time_first", "one_time_first"):
        return inputs.transpose(0, 1)
    if axes == "cell":
        return inputs[:, 0]
    if axes == "packed":
        return pack_padded_sequence(inputs, torch.full((len(inputs),), inputs.shape[1]), batch_first=True)
    return inputs


def unpacked(returned: Any) -> Any:
    """What was returned, with each PackedSequence in it as a tensor (B, T, …)."""
    if isinstance(returned, PackedSequence):
        return pad_packed_sequence(returned, batch_first=True)[0]
    if type(returned) is tuple:
        return tuple(unpacked(each) for each in returned)
    return returned


Within = Callable[[nn.Module], AbstractContextManager[None]]
"""What a call of the user's module is made in, inside of what a carrier does around it."""


def as_it_is(module: nn.Module) -> AbstractContextManager[None]:
    """In nothing."""
    return nullcontext()


@dataclass(frozen=True)
class Argument:
    """The state goes in as arguments and comes out of the call."""

    method: str
    parameters: Parameters

    def call(
        self, module: nn.Module, inputs: Any, given: Any, rows: int, length: int, within: Within = as_it_is
    ) -> tuple[Any, Any]:
        """What the module returns; the state is somewhere in it. A call that writes nothing does not see to turns."""
        if within is as_it_is:
            return self.alone(module, inputs, given, rows, length), None
        with turn(module) as module:  # `within` writes to it
            return self.alone(module, inputs, given, rows, length, within), None

    def alone(
        self, module: nn.Module, inputs: Any, given: Any, rows: int, length: int, within: Within = as_it_is
    ) -> Any:
        """The same for a caller whose turn it is."""
        names = self.parameters.state
        named = {} if given is None else dict(zip(names, given if len(names) > 1 else (given,), strict=True))
        named |= dict.fromkeys(self.parameters.lengths, torch.full((rows,), length))
        named |= dict.fromkeys(self.parameters.masks, torch.ones(rows, length, dtype=torch.bool))
        named |= dict.fromkeys(self.parameters.switches, True)
        if self.parameters.starts:  # no episode starts within a window
            axes = inputs.shape[:-1] if inputs.is_floating_point() else inputs.shape
            named |= dict.fromkeys(self.parameters.starts, torch.zeros(axes, device=inputs.device))
        inputs, beside = apart(inputs, self.parameters.beside)
        named |= beside
        if self.parameters.key is not None:
            inputs = {self.parameters.key: inputs}
        call = module if self.method == "forward" else getattr(module, self.method)
        if isinstance(module, torch.jit.ScriptModule):  # what its compiler makes after some calls rounds otherwise
            with torch.jit.optimized_execution(False):
                return unpacked(call(inputs, **named))
        with within(module):
            return unpacked(call(inputs, **named))

    @property
    def told(self) -> str:
        what = " and ".join(f"`{name}`" for name in self.parameters.state)
        return f"{what} of {self.method}"


@dataclass(frozen=True)
class Kept:
    """The state stays in attributes of the module, ``submodule.attribute``; they are put back after every call, and so
    are those of `counts`, in which it notes how many rows its state has."""

    names: tuple[str, ...]
    parameters: Parameters
    counts: tuple[str, ...] = ()

    def call(
        self, module: nn.Module, inputs: Any, given: Any, rows: int, length: int, within: Within = as_it_is
    ) -> tuple[Any, Any]:
        """What the module returns, and the attributes after the call."""
        with turn(module) as module:
            before = [attribute(module, name) for name in (*self.names, *self.counts)]
            try:
                for name, value in zip(self.names, (None,) * len(self.names) if given is None else given, strict=True):
                    set_attribute(module, name, value)
                for name in self.counts:
                    set_attribute(module, name, rows)
                returned = Argument("forward", self.parameters).alone(module, inputs, None, rows, length, within)
                return returned, tuple(attribute(module, name) for name in self.names)
            finally:
                for name, value in zip((*self.names, *self.counts), before, strict=True):
                    set_attribute(module, name, value)

    @property
    def told(self) -> str:
        return f"its {' and '.join(f'`{name}`' for name in self.names)}"


@dataclass(frozen=True)
class Inside:
    """The state is that of recurrent modules inside, by name, which get it instead of what the module gives them."""

    names: tuple[str, ...]
    parameters: Parameters

    def call(
        self, module: nn.Module, inputs: Any, given: Any, rows: int, length: int, within: Within = as_it_is
    ) -> tuple[Any, Any]:
        """What the module returns, and the states of the modules inside after the call."""
        returned, watched = self._watched(module, inputs, given, rows, length, within)
        return returned, tuple(each.final for each in watched)

    def starts(self, module: nn.Module, inputs: Any, rows: int, length: int) -> tuple[Any, ...]:
        """What the module itself gives to the modules inside when they begin; zeros where it gives nothing."""
        _, watched = self._watched(module, inputs, None, rows, length, as_it_is)
        return tuple(_zeros_like(each.final) if each.first is None else each.first for each in watched)

    def _watched(
        self, module: nn.Module, inputs: Any, given: Any, rows: int, length: int, within: Within
    ) -> tuple[Any, list[Watched]]:
        slots = [None] * len(self.names) if given is None else given
        with turn(module) as module, contextlib.ExitStack() as stack:
            watched = [
                stack.enter_context(_watching(module.get_submodule(name), slot))
                for name, slot in zip(self.names, slots, strict=True)
            ]
            returned = Argument("forward", self.parameters).alone(module, inputs, None, rows, length, within)
        return returned, watched

    @property
    def told(self) -> str:
        carry = "carries" if len(self.names) == 1 else "carry"
        return f"what {' and '.join(f'`{name}`' for name in self.names)} {carry} inside"


@dataclass(frozen=True)
class Behind(Inside):
    """The state of `behind`, and the last inputs of causal convolutions, by name, which get these in the place of the
    zeros that are put before what they read."""

    behind: Inside = dataclasses.field(kw_only=True)

    def _watched(
        self, module: nn.Module, inputs: Any, given: Any, rows: int, length: int, within: Within
    ) -> tuple[Any, list[Watched]]:
        count = len(self.names)
        slots = [None] * count if given is None else given[-count:]
        windows = [Watched(slot) for slot in slots]

        @contextlib.contextmanager
        def around(module: nn.Module) -> Iterator[None]:
            with within(module), contextlib.ExitStack() as stack:
                for name, seen in zip(self.names, windows, strict=True):
                    inner = module.get_submodule(name)
                    own = functools.partial(_convolved, inner, seen, length)
                    stack.enter_context(in_place(inner, "_conv_forward", own))
                yield

        before = given if given is None else given[:-count]
        returned, watched = self.behind._watched(module, inputs, before, rows, length, around)
        return returned, [*watched, *windows]

    @property
    def told(self) -> str:
        return f"{self.behind.told}, and the last inputs of {' and '.join(f'`{name}`' for name in self.names)}"


def reach_of(inner: nn.Module) -> int:
    """How many inputs before its own position a convolution reads, where all of it may be causal; 0: it reads none."""
    if not isinstance(inner, nn.Conv1d) or inner.stride != (1,) or inner.padding_mode != "zeros":
        return 0
    reach = inner.dilation[0] * (inner.kernel_size[0] - 1)
    return reach if inner.padding in ("valid", (0,), (reach,)) else 0


def _convolved(inner: Any, seen: Watched, length: int, inputs: Tensor, weight: Tensor, bias: Any) -> Tensor:
    """What the convolution says of inputs (B, C, L) with a window (B, C, reach) in the place of the zeros before them,
    its own or the module's. Where the inputs have more rows than the window, these are positions, as
    `outlast.modules.calls.module_adapter.unfolding` has them."""
    reach = reach_of(inner)
    padding = reach if inner.padding == (reach,) else 0
    padded = nn.functional.pad(inputs, (padding, 0))
    seen.calls += 1
    if seen.calls > 1 or inputs.dim() != 3 or padded.shape[2] != reach + length:  # it is none over positions
        seen.final = None
        return type(inner)._conv_forward(inner, inputs, weight, bias)
    if seen.given is None:
        seen.first, seen.final = padded[..., :reach], padded[..., -reach:]
        return type(inner)._conv_forward(inner, inputs, weight, bias)
    read, folded = padded[..., reach:], inputs.shape[0] != seen.given.shape[0]
    if folded:
        read = read.flatten(1).unflatten(0, (len(seen.given), -1)).transpose(1, 2)
    read = torch.cat([seen.given, read], 2)
    seen.final = read[..., -reach:]
    behind = nn.functional.pad(read, (0, padding))  # a module that keeps what it says of these zeros reads ahead
    outputs = nn.functional.conv1d(behind, weight, bias, 1, 0, inner.dilation, inner.groups)
    if folded:
        outputs = outputs[..., : outputs.shape[2] - padding].transpose(1, 2).flatten(0, 1)
        outputs = nn.functional.pad(outputs[..., None], (0, padding))
    return outputs


def _zeros_like(state: Any) -> Any:
    return put_together(state, [torch.zeros_like(torch.as_tensor(leaf)) for leaf in take_apart(state)])


Carrier = Argument | Kept | Inside


@dataclass
class Watched:
    """A recurrence in one call: what it is given, begins with and leaves."""

    given: Any
    first: Any = None
    final: Any = None
    calls: int = 0


@contextlib.contextmanager
def _watching(inner: nn.Module, given: Any) -> Iterator[Watched]:
    """Give a recurrent module a state at its first call, and note the one after its last."""
    seen = Watched(given)
    own, signature = inner.forward, signature_of(inner)
    name = state_name(inner)

    def forward(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        if seen.calls == 0:
            seen.first = bound.arguments.get(name)
            if seen.given is not None:
                bound.arguments[name] = seen.given
        seen.calls += 1
        returned = own(*bound.args, **bound.kwargs)
        seen.final = returned if isinstance(inner, nn.RNNCellBase) else _beside_outputs(returned)
        return returned

    with forward_in_place(inner, forward):
        yield seen


def _beside_outputs(returned: Any) -> Any:
    """The state that is returned beside outputs; None: there is none."""
    return returned[1] if isinstance(returned, tuple) and len(returned) == 2 else None


@contextlib.contextmanager
def forward_in_place(inner: nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    """Inside, calls of the module are calls of `forward`."""
    forward.__dict__["__signature__"] = signature_of(inner)
    with in_place(inner, "forward", forward):
        yield


@contextlib.contextmanager
def in_place(inner: nn.Module, name: str, method: Callable[..., Any]) -> Iterator[None]:
    """Inside, calls of the module's method of this name are calls of `method`."""
    before = inner.__dict__.get(name)
    inner.__dict__[name] = method  # a module's own attribute comes before its class's
    try:
        yield
    finally:
        del inner.__dict__[name]
        if before is not None:
            inner.__dict__[name] = before


def signature_of(inner: nn.Module) -> inspect.Signature:
    """Of its forward, which somebody may stand in for."""
    return inspect.signature(inner.forward) if "forward" in inner.__dict__ else _signature(type(inner))


@functools.cache
def _signature(cls: type[nn.Module]) -> inspect.Signature:
    whole = inspect.signature(cls.forward)  # asked at every call, and takes as long as a small model's step
    return whole.replace(parameters=list(whole.parameters.values())[1:])


def state_name(inner: nn.Module) -> str:
    """The parameter by which a recurrent module takes its state."""
    names = list(signature_of(inner).parameters)
    if isinstance(inner, nn.RNNBase | nn.RNNCellBase):
        return names[1]
    said = parameters_of(inner.forward)
    return names[1] if said is None or not said.state else said.state[0]


def attribute(module: nn.Module, name: str) -> Any:
    """The attribute ``submodule.attribute``."""
    owner, _, own = name.rpartition(".")
    return getattr(module.get_submodule(owner), own)


def set_attribute(module: nn.Module, name: str, value: Any) -> None:
    """Set it."""
    owner, _, own = name.rpartition(".")
    setattr(module.get_submodule(owner), own, value)


def items_of(returned: Any) -> dict[Any, Any]:
    """What a call returned, by label: places of a tuple, keys of a dictionary, fields of an object; None: all of it."""
    if isinstance(returned, dict):
        return dict(returned)
    if dataclasses.is_dataclass(returned) and not isinstance(returned, type):
        return {field.name: getattr(returned, field.name) for field in dataclasses.fields(returned)}
    if isinstance(returned, tuple | list):
        return dict(zip(getattr(returned, "_fields", range(len(returned))), returned, strict=True))
    return {None: returned}


class Nested(NamedTuple):
    """The label of something in a tuple or dictionary that a call returns beside others: ``(mean, spread), state``."""

    outer: Any
    inner: Any

    def __str__(self) -> str:
        return f"{self.inner}` of `{self.outer}"


def nested_in(items: dict[Any, Any]) -> dict[Any, Any]:
    """What lies in such tuples and dictionaries, where they hold nothing but tensors."""
    found = {}
    for label, value in items.items():
        inner = {} if isinstance(value, Tensor) else items_of(value)
        if inner and all(isinstance(each, Tensor) for each in inner.values()):
            found |= {Nested(label, name): each for name, each in inner.items()}
    return found


def item_in(returned: Any, label: Any) -> Any:
    """What has this label in what a call returned."""
    if isinstance(label, Nested):
        return items_of(items_of(returned)[label.outer])[label.inner]
    return items_of(returned)[label]


@dataclass(frozen=True)
class Layout:
    """Where rows and positions lie in an output; `flat`: both in one axis, and which of them changes more slowly;
    `axes`: how many it has, but where it squeezes axes of one (0: they are not counted)."""

    rows: int
    time: int | None
    flat: Literal["", "rows", "time"] = ""
    axes: int = 0

    def batch_first(self, output: Tensor, rows: int) -> Tensor:
        """The output as (B, T, …); of one position, (B, 1, …)."""
        if output.dim() < self.axes and not self.flat:
            output = self._unsqueezed(output, rows)
        if self.flat:
            output = output.unflatten(self.rows, (rows, -1) if self.flat == "rows" else (-1, rows))
            both = (self.rows, self.rows + 1) if self.flat == "rows" else (self.rows + 1, self.rows)
            return output.movedim(both, (0, 1))
        if self.time is None:
            return output.movedim(self.rows, 0).unsqueeze(1)
        return output.movedim((self.rows, self.time), (0, 1))

    def _unsqueezed(self, output: Tensor, rows: int) -> Tensor:
        """With the axes of one row and of one position that `squeeze` took away."""
        gone = [self.rows] if rows == 1 else []
        gone += [self.time] if self.time is not None and len(gone) < self.axes - output.dim() else []
        for axis in sorted(gone):
            output = output.unsqueeze(axis)
        return output


def layout_of(base: Tensor, wider: Tensor, longer: Tensor, axes: Axes) -> Layout | None:
    """From outputs of fewer rows, more rows and more positions; None: no axis runs over rows."""
    if not base.dim() == wider.dim() == longer.dim():
        return None
    rows = [axis for axis in range(base.dim()) if base.shape[axis] != wider.shape[axis]]
    time = [axis for axis in range(base.dim()) if base.shape[axis] != longer.shape[axis]]
    if len(rows) != 1 or len(time) > 1:
        return None
    if rows == time:
        return Layout(rows[0], rows[0], "time" if axes == "time_first" else "rows")
    return Layout(rows[0], time[0] if time else None, axes=base.dim())
