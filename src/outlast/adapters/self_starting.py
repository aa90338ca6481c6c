"""What a user's module starts from where it is given no state: zeros, parameters, or what it makes inside."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from outlast.adapters.calling import (
    STEPPED,
    Inside,
    placed,
)
from outlast.adapters.hidden import Calling, HiddenModule, class_name
from outlast.adapters.parameters import looks_like_state
from outlast.adapters.starting import (
    Learned,
    Made,
    Own,
    own_methods,
    own_start,
)
from outlast.adapters.structure import Leaf, described, put_together, shapes_of, take_apart, written
from outlast.adapters.trying import LENGTH, ROWS, Unreadable, Way, alike
from outlast.errors import raised


def from_its_start(module: nn.Module, way: Way, calling: Calling) -> Iterator[HiddenModule]:
    """The model from what the module starts from by itself: zeros, parameters, or what it makes inside."""
    model = HiddenModule(module, calling)
    if _starts_alike(model, way):
        yield model
        return
    if isinstance(way.carrier, Inside):
        made = _made(module, way, way.carrier)
        if made is not None and _starts_alike(made_model := HiddenModule(module, replace(calling, start=made)), way):
            yield made_model
            return
        for name in own_methods(module):
            with contextlib.suppress(Exception):  # a method that needs more than a number of rows is none of these
                if shapes_of(own_start(module, name, ROWS)) == _shapes_for(calling, ROWS):
                    yield HiddenModule(module, replace(calling, start=Own(name)))
                    return
    for learned in _learned(module, calling):
        model = HiddenModule(module, replace(calling, start=learned))
        if _starts_alike(model, way):
            yield model
            return
    raise _elsewhere(module, way, calling)


def _shapes_for(calling: Calling, rows: int) -> Any:
    return shapes_of(put_together(calling.structure, [torch.empty(slot.shape_for(rows)) for slot in calling.slots]))


def _made(module: nn.Module, way: Way, carrier: Inside) -> Made | None:
    """What it gives to the modules inside by itself; None: another at every call.

    Raises:
        Unreadable: it depends on what the window holds.
    """

    def inputs(module: nn.Module, rows: int) -> Any:
        return placed(way.inputs(module, rows, 1), way.axes)

    def starts(given: Any) -> list[Leaf]:
        return take_apart(carrier.starts(module, given, ROWS, 1))

    def differ(some: list[Leaf], others: list[Leaf]) -> bool:
        pairs = zip(some, others, strict=True)
        return any(not torch.equal(torch.as_tensor(a), torch.as_tensor(b)) for a, b in pairs)

    first, second, other = (
        inputs(module, ROWS),
        inputs(module, ROWS),
        placed(way.inputs(module, ROWS, 2)[:, 1:], way.axes),
    )
    if differ(starts(first), starts(second)):
        return None
    if differ(starts(first), starts(other)):
        raise Unreadable(
            f"what {' and '.join(f'`{name}`' for name in carrier.names)} start from depends on what was read before in "
            "the same window (an encoder and a decoder?): reading in pieces is not reading at once",
            near=3,
        )
    return Made(carrier, inputs)


def _elsewhere(module: nn.Module, way: Way, calling: Calling) -> Unreadable:
    """That it starts elsewhere, and a wrapper that says where."""
    again = [take_apart(way.call(module, None, ROWS, 1)[0]) for _ in range(2)]
    random = any(isinstance(a, Tensor) and not torch.equal(a, b) for a, b in zip(*again, strict=True))
    name = class_name(module)
    shape = iter(calling.slots)

    def zeros(tensor: Tensor) -> str:
        slot = next(shape)
        sizes = ["batch_size" if axis == slot.batch_axis else str(size) for axis, size in enumerate(slot.shape)]
        dtype = "" if slot.dtype == torch.float32 else f", dtype={slot.dtype}"
        return f"torch.zeros({', '.join(sizes)}{dtype})"

    text = written(calling.structure, zeros)
    why = (
        "two calls that start anew give different outputs: it starts at random"
        if random
        else "where no state is given, its outputs differ from those with a state of zeros, so it starts elsewhere"
    )
    if text is None:
        shapes = described(calling.structure)
        return Unreadable(why, 2, f"write init_hidden(batch_size) that returns the start, of the structure {shapes}")
    return Unreadable(
        why,
        2,
        f"say where it starts (here at zeros) in a class that is built in the place of {name}:\n"
        f"class {name}FromZeros({name}):\n    def init_hidden(self, batch_size):\n        return {text}",
    )


def _learned(module: nn.Module, calling: Calling) -> Iterator[Learned]:
    """Parameters and buffers that may be the start, for each tensor of the state those of its size."""
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    choices: list[list[str | None]] = []
    shapes: list[tuple[int, ...]] = []
    for slot in calling.slots:
        if slot.number is not None:
            return
        shape = slot.shape_for(1)
        bare = tuple(size for size in shape if size != 1)
        fitting = [name for name, t in tensors.items() if tuple(size for size in t.shape if size != 1) == bare]
        fitting.sort(key=lambda name: not (looks_like_state(name) or "init" in name or "start" in name or "0" in name))
        choices.append([*fitting, None])
        shapes.append(shape)
    for names in itertools.islice(itertools.product(*choices), 64):
        if any(name is not None for name in names):
            yield Learned(names, tuple(shapes))


def _starts_alike(model: HiddenModule, way: Way) -> bool:
    """Whether the module by itself, from nothing, says what the model says from its initial state."""
    module, calling = model.module, model.calling
    length = 1 if calling.axes in STEPPED else LENGTH
    way = replace(way, axes=calling.axes)
    returned, _ = way.call(module, None, ROWS, length)
    alone = calling.layout.batch_first(calling.output_in(returned), ROWS)
    try:
        given, _ = model(way.inputs(module, ROWS, length), model.initial_state(ROWS))
    except Unreadable:
        raise
    except Exception as error:
        raise Unreadable(f"given the state that it returned, its forward raised {raised(error)}", near=1) from error
    return alike(given, alone, module)
