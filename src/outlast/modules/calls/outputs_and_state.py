"""Which of the things that a module returns are its outputs and its state, and what it starts from inside."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from outlast.errors import raised
from outlast.model import device_of, dtype_of
from outlast.modules.calls.arguments import looks_like_state, method_of
from outlast.modules.calls.call_trial import LENGTH, LONGER, MORE_ROWS, ROWS, Unreadable, Way, alike
from outlast.modules.calls.calling import (
    STEPPED,
    Axes,
    Inside,
    Kept,
    Layout,
    Nested,
    items_of,
    layout_of,
    nested_in,
    placed,
)
from outlast.modules.calls.initial_state import (
    RESETS,
    Learned,
    Made,
    Own,
    Reset,
    Start,
    Zeros,
    after_reset,
    own_methods,
    own_start,
)
from outlast.modules.calls.module_adapter import Calling, HiddenModule, class_name
from outlast.modules.calls.state_layout import (
    Leaf,
    described,
    emptied,
    is_number,
    put_together,
    shapes_of,
    slots_of,
    take_apart,
    written,
)
from outlast.modules.precision import Probe

# What a user's module starts from where it is given no state: zeros, parameters, or what it makes inside.


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

    def inputs(module: nn.Module, rows: int) -> Any:  # also asked later, when it may lie on another device
        now = replace(way, probe=Probe.of(module))
        return placed(now.inputs(module, rows, 1), way.axes)

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
    return alike(given, alone, way.probe)


# Which of the things that a user's module returns are its outputs and its state, and what it is given at first.

_OUTPUTS = {"logits", "output", "outputs", "prediction", "predictions", "pred", "preds", "y", "y_hat", "out", "scores"}


_MOST_STARTS = 96


def models_of(module: nn.Module, way: Way) -> Iterator[HiddenModule]:
    """The module called this way, with each of the states that may be meant in what it returns."""
    failures = []
    for start, given in _given(module, way):
        try:
            yield from _read_from(module, way, start, given)
        except Unreadable as error:
            failures.append(error)
    if failures:
        raise max(failures, key=lambda failure: failure.near)


def _given(module: nn.Module, way: Way) -> Iterator[tuple[Start | None, Callable[[int], Any]]]:
    """What the module may be given before it has read anything, for a number of rows, with the start that this is;
    None: that is still to be found out."""
    carrier = way.carrier
    if isinstance(carrier, Inside):
        yield None, lambda rows: None
        return
    if isinstance(carrier, Kept):
        for name in [name for name in RESETS if method_of(module, name) is not None] or [None]:
            yield (
                Reset(name, carrier.names, carrier.counts),
                lambda rows, name=name: after_reset(module, name, carrier.names, rows, carrier.counts),
            )
        return
    for name in own_methods(module):
        with contextlib.suppress(Exception):  # a method that needs more than a number of rows is none of these
            own_start(module, name, ROWS)
            yield Own(name), lambda rows, name=name: own_start(module, name, rows)
    if carrier.parameters.optional:
        yield None, lambda rows: None
        return
    yield from ((Zeros(), zeros) for zeros in _zeros(module, len(carrier.parameters.state)))


def _zeros(module: nn.Module, arguments: int) -> Iterator[Callable[[int], Any]]:
    """Zeros of the shapes that the state may have: of its inner RNNs, or else of widths that occur in it."""

    def made(shapes: Sequence[Sequence[int | None]], single: bool) -> Callable[[int], Any]:
        def zeros(rows: int) -> Any:
            placed = [torch.zeros([rows if size is None else size for size in shape]) for shape in shapes]
            moved = [tensor.to(device_of(module), dtype_of(module)) for tensor in placed]
            return moved[0] if single else tuple(moved)

        return zeros

    rnns = [inner for inner in module.modules() if isinstance(inner, nn.RNNBase)]
    if len(rnns) == 1:
        rnn = rnns[0]
        widths = [rnn.proj_size or rnn.hidden_size, rnn.hidden_size] if isinstance(rnn, nn.LSTM) else [rnn.hidden_size]
        yield made([(rnn.num_layers, None, width) for width in widths], len(widths) == 1)
    elif rnns:

        def each_of(rows: int) -> Any:
            every = []
            for rnn in rnns:
                widths = [rnn.proj_size or rnn.hidden_size] + [rnn.hidden_size] * isinstance(rnn, nn.LSTM)
                every.append(made([(rnn.num_layers, None, width) for width in widths], len(widths) == 1)(rows))
            return tuple(every)

        yield each_of
    cells = [inner for inner in module.modules() if isinstance(inner, nn.RNNCellBase)]
    widths = [cell.hidden_size for cell in cells]
    named = (
        "hidden_size",
        "hidden_dim",
        "hidden",
        "nhid",
        "n_hidden",
        "state_size",
        "d_state",
        "units",
        "width",
        "dim",
    )
    widths += [value for name in named if isinstance(value := getattr(module, name, None), int)]
    widths += [size for parameter in module.parameters() for size in parameter.shape]
    counts = [arguments] if arguments > 1 else [1, 2]
    ways = itertools.product(dict.fromkeys(widths), counts, (2, 3))
    for width, count, axes in itertools.islice(ways, _MOST_STARTS):
        shape = (None, width) if axes == 2 else (1, None, width)
        yield made([shape] * count, count == 1)


def _read_from(module: nn.Module, way: Way, start: Start | None, given: Callable[[int], Any]) -> Iterator[HiddenModule]:
    """The module called this way from this start, with each of the states that may be meant in what it returns."""
    one = way.axes in STEPPED
    length, longer = (1, 1) if one else (LENGTH, LONGER)
    runs = [
        way.call(module, _guarded(given, rows), rows, positions)
        for rows, positions in ((ROWS, length), (MORE_ROWS, length), (ROWS, longer))
    ]
    returned = [items_of(run[0]) for run in runs]
    returned = returned if one else [{**items, **nested_in(items)} for items in returned]
    if any(found.keys() != returned[0].keys() for found in returned):
        raise Unreadable("it returns other things for other inputs")
    varying = {
        label: layout_of(returned[0][label], returned[1][label], returned[2][label], way.axes)
        for label in returned[0]
        if all(isinstance(found[label], Tensor) for found in returned)
    }
    choices = list(_choices(module, way, runs, returned, varying))
    growing = [label for label, layout in varying.items() if layout is not None and layout.time is not None]
    if not choices and len(growing) > 1:
        shapes = (tuple(found[growing[1]].shape) for found in (returned[0], returned[2]))
        raise Unreadable(
            f"for inputs of {length} and {longer} positions its hidden state has the shapes "
            f"{' and '.join(map(str, shapes))}: it grows with the position, or its rows are taken for positions",
            near=1,
        )
    if not choices and isinstance(way.carrier, Kept | Inside):
        raise Unreadable(f"its forward returned {described(runs[0][0])}, in which no axis runs over rows")
    if not choices:
        raise Unreadable(f"its forward returned {described(runs[0][0])}, with no hidden state beside the outputs")
    failures: list[Unreadable] = []
    for output, layout, state, gathered in choices:
        axes: Axes = way.axes
        if layout.time is None and not one:  # one output a window: one position is read a call
            axes = "one_time_first" if way.axes == "time_first" else "one"
        try:
            if not one:
                _refuse_another_length(returned[0][output], layout, length)
            yield from _with_state(module, way, start, runs, (output, layout, state, gathered), axes)
        except Unreadable as error:
            failures.append(error)
    if failures:
        raise max(failures, key=lambda failure: failure.near)


def _refuse_another_length(outputs: Tensor, layout: Layout, length: int) -> None:
    """Outputs (B, T + n, …) for inputs (B, T, …): which of them is a position's cannot be told, nor by single ones."""
    if layout.time is None or layout.flat or outputs.shape[layout.time] == length:
        return
    found = outputs.shape[layout.time]
    raise Unreadable(
        f"for windows of {length} positions its forward returned outputs of {found}; one output for every position is "
        "needed",
        near=2,
        do="return as many outputs as there are inputs: pad a convolution of kernel size K on the left only, by K − 1 "
        "positions, add no first or last token, and take no position away",
    )


def _guarded(given: Callable[[int], Any], rows: int) -> Any:
    try:
        return given(rows)
    except Exception as error:
        raise Unreadable(f"its own start for {rows} rows raised {raised(error)}") from error


_Choice = tuple[Any, Layout, tuple[Any, ...] | None, bool]


def _choices(
    module: nn.Module, way: Way, runs: list[tuple[Any, Any]], returned: list[dict[Any, Any]], varying: dict[Any, Any]
) -> Iterator[_Choice]:
    """Which of the things returned may be the outputs and which the state, likeliest first."""
    one, base = way.axes in STEPPED, returned[0]
    layouts = {label: _of_one(way.axes, base[label], layout) for label, layout in varying.items() if layout is not None}
    if isinstance(way.carrier, Kept | Inside):  # several tensors without positions are the state, as they return it
        layouts = {label: each for label, each in layouts.items() if each.time is not None or not _nested(label)}
    outputs = [label for label, layout in layouts.items() if layout.time is not None or layout.flat]
    outputs.sort(key=lambda label: (label not in _OUTPUTS, looks_like_state(label)))
    outputs = [label for label in outputs if not looks_like_state(label)] or outputs
    if isinstance(way.carrier, Kept | Inside):
        last = [label for label in layouts if label not in outputs]
        if any(_nested(label) for label in base):  # beside what may be the outputs, the state is none
            last = [label for label in last if not _carried(base[label], runs[0][1])]
        for label in outputs[:1] or last[:1]:
            yield label, layouts[label], None, False
        return
    names = way.carrier.parameters.state
    for label in [*outputs[:2], *(label for label in layouts if label not in outputs)][:3]:
        own = {label, label.outer if isinstance(label, Nested) else label, *outputs}
        rest = [other for other in base if other not in own and not _nested(other) and _is_state(base[other])]
        rest.sort(key=lambda other: not looks_like_state(other))
        if len(names) > 1:
            if len(rest) >= len(names):
                yield label, layouts[label], tuple(rest[: len(names)]), True
            if len(rest) > len(names):  # what else it returns stands before them
                yield label, layouts[label], tuple(rest[-len(names) :]), True
            for other in rest:
                if isinstance(base[other], tuple | list) and len(base[other]) == len(names):
                    yield label, layouts[label], (other,), False
            continue
        for other in rest:
            yield label, layouts[label], (other,), False
        for count in range(len(rest), 1, -1):
            yield label, layouts[label], tuple(rest[:count]), True
    if one:  # a cell returns its state alone
        whole = runs[0][0]
        with contextlib.suppress(TypeError, StopIteration):
            first = next(leaf for leaf in take_apart(whole) if isinstance(leaf, Tensor))
            if first.dim() == 2 and first.shape[0] == ROWS:
                yield None, Layout(0, None), (None,), False


def _of_one(axes: Axes, output: Tensor, layout: Layout) -> Layout:
    """Where positions lie in an output of one position a call, which is an axis of 1 where they lie in the inputs."""
    axis = {"one": 1, "one_time_first": 0}.get(axes)
    if axis is not None and output.dim() > 2 and output.shape[axis] == 1:
        return replace(layout, time=axis)
    return layout


def _nested(label: Any) -> bool:
    return isinstance(label, Nested)


def _carried(value: Tensor, after: Any) -> bool:
    """Whether this is a tensor of the state after the call."""
    leaves = [leaf for leaf in take_apart(after) if isinstance(leaf, Tensor)]
    return any(leaf.shape == value.shape and torch.equal(leaf, value) for leaf in leaves)


def _is_state(value: Any) -> bool:
    try:
        return any(isinstance(leaf, Tensor) for leaf in take_apart(value))
    except TypeError:
        return False


def _with_state(
    module: nn.Module, way: Way, start: Start | None, runs: list[tuple[Any, Any]], choice: _Choice, axes: Axes
) -> Iterator[HiddenModule]:
    """The model of one choice, from its start or from each that it may have."""
    output, layout, labels, gathered = choice
    calling = Calling(
        way.spec, way.reads, axes, way.carrier, output, layout, labels, gathered, None, (), start or Zeros(),
        window=None if axes == way.axes else way.axes,
    )  # fmt: skip
    states = [calling.state_in(*run) for run in runs]
    try:
        apart = [take_apart(state) for state in states]
    except TypeError as error:
        raise Unreadable(
            f"its forward returned a hidden state that holds more than tensors and numbers: {error}"
        ) from None
    rows_at = _row_axes(apart)
    structure = emptied(states[0])
    calling = replace(calling, structure=structure, slots=tuple(slots_of(module, states[0], rows_at)))
    if start is not None:
        yield HiddenModule(module, calling)
        return
    yield from from_its_start(module, way, calling)


def _row_axes(apart: list[list[Leaf]]) -> list[int | None]:
    """Which axis of each tensor of a state runs over rows."""
    if len({len(each) for each in apart}) > 1:
        raise Unreadable("its state holds more the more it has read", near=1)
    axes: list[int | None] = []
    for leaf, wider, later in zip(*apart, strict=True):
        if is_number(leaf):
            axes.append(None)
            continue
        if leaf.shape != later.shape:
            raise Unreadable(
                f"for inputs of {LENGTH} and {LONGER} positions its hidden state has the shapes "
                f"{tuple(leaf.shape)} and {tuple(later.shape)}: it grows with the position, or its rows are "
                "taken for positions",
                near=1,
            )
        differing = [axis for axis in range(leaf.dim()) if leaf.shape[axis] != wider.shape[axis]]
        if len(differing) > 1:
            raise Unreadable(
                f"for {ROWS} and {MORE_ROWS} rows its hidden state has the shapes {tuple(leaf.shape)} and "
                f"{tuple(wider.shape)}: no axis runs over rows",
                near=1,
            )
        axes.append(differing[0] if differing else None)
    if all(axis is None for axis in axes):
        raise Unreadable("its forward returned a hidden state of which no axis runs over rows", near=1)
    return axes
