"""How a user's module is called, found by names and by running it on a few random positions.

Names say what is tried first; what is taken is what passes: reading in pieces gives the outputs and the state of
reading at once, the state changes the outputs, rows are independent, and the start is the module's own.
"""

from __future__ import annotations

import contextlib
import itertools
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from outlast.adapters.calling import (
    STEPPED,
    Argument,
    Axes,
    Carrier,
    Inside,
    Kept,
    Layout,
    items_of,
    layout_of,
    placed,
)
from outlast.adapters.hidden import Calling, HiddenModule, class_name
from outlast.adapters.parameters import Parameters, looks_like_state, method_of, parameters_of
from outlast.adapters.precision import halves_of, wide_copy
from outlast.adapters.rnn import refuse_bidirectional
from outlast.adapters.slots import is_recurrent, named_tensor, readers, slots_of
from outlast.adapters.starting import (
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
from outlast.adapters.structure import Leaf, described, emptied, is_number, put_together, shapes_of, take_apart, written
from outlast.adapters.widths import input_specs
from outlast.errors import InputError, raised
from outlast.model import InputSpec, device_of, dtype_of, quietly
from outlast.randomness import generator
from outlast.state import leaves, select

HOW_TO_BE_NATIVE = """\
class MyModel(nn.Module):
    def initial_state(self, batch_size):               # rows first, a tuple over layers
        return (torch.zeros(batch_size, self.width, device=self.weight.device, dtype=self.weight.dtype),)
    def forward(self, inputs, state):                  # inputs (B, T) or (B, T, F)
        outputs, hidden = self.read(inputs, state[0])  # outputs (B, T, ...); edit nothing in place
        return outputs, (hidden,)"""

_ROWS, _LENGTH, _MORE_ROWS, _LONGER = 2, 3, 5, 7
_OUTPUTS = {"logits", "output", "outputs", "prediction", "predictions", "pred", "preds", "y", "y_hat", "out", "scores"}
_WIDTHS = ("hidden_size", "hidden_dim", "hidden", "nhid", "n_hidden", "state_size", "d_state", "units", "width", "dim")
_MOST_STARTS = 96


class _Unreadable(Exception):
    """One way to call the module does not work: why, as a clause. `near`: it nearly did."""

    def __init__(self, why: str, near: int = 0, do: str = "") -> None:
        super().__init__(why)
        self.why, self.near, self.do = why, near, do


@dataclass(frozen=True)
class _Way:
    """One way to call a module that is to be tried."""

    spec: InputSpec
    reads: str | None
    axes: Axes
    carrier: Carrier

    def inputs(self, module: nn.Module, rows: int, length: int) -> Tensor:
        return random_inputs(module, self.spec, self.reads, rows, length)

    def call(self, module: nn.Module, given: Any, rows: int, length: int) -> tuple[Any, Any]:
        """What the module returns, and what the carrier says its state is then."""
        inputs = self.inputs(module, rows, length)
        try:
            return self.carrier.call(module, placed(inputs, self.axes), given, rows, length)
        except Exception as error:  # whatever the user's code raises is what they need to read
            shape = tuple(inputs.transpose(0, 1).shape if "time_first" in self.axes else inputs.shape)
            raise _Unreadable(f"on inputs {shape} its forward raised {raised(error)}") from error


def read_hidden_module(module: nn.Module, inputs: InputSpec | None = None) -> HiddenModule:
    """Find out by running it how `module` is called, and wrap it.

    Args:
        inputs: what it reads, where that is known.

    Raises:
        InputError: it cannot be read; the message says why and what to do.
    """
    refuse_bidirectional(module)
    specs = [inputs] if inputs is not None else input_specs(module)
    if not specs and not any(True for _ in _carriers(module)):
        raise _stateless(module)
    if not specs:
        raise unreadable(module, "no nn.Embedding, RNN or nn.Linear in it tells what it reads", HOW_TO_SAY_INPUTS)
    try:
        with quietly(module), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch says of probes is nothing to the user
            found = _first_that_fits(module, specs)
    except InputError:
        if not halves_of(module):
            raise
        # Where this device cannot run it in half precision, its layout shows in float32.
        with contextlib.suppress(InputError), quietly(module):
            return _first_that_fits(wide_copy(module).eval(), specs).around(module)
        raise
    found.guessed = inputs is None and not isinstance(getattr(module, "input_spec", None), InputSpec)
    if found.doubt:
        warnings.warn(f"{class_name(module)}: {found.doubt}. outlast check says more.", stacklevel=4)
    return found


def _first_that_fits(module: nn.Module, specs: Sequence[InputSpec]) -> HiddenModule:
    failures: list[_Unreadable] = []
    for carriers in _carriers(module):
        doubtful: HiddenModule | None = None
        before = len(failures)
        for way in _ways(module, specs, carriers):
            if way.axes in STEPPED and any(failure.near == 2 for failure in failures[before:]):
                continue  # it reads windows, and not as it would read their positions one by one
            try:
                for model in _models(module, way):
                    why = _fault(model)
                    if why is None:
                        model.found = _told(model)
                        return model
                    if isinstance(way.carrier, Argument) and doubtful is None and why.near < 3:
                        doubtful, model.doubt = model, why.why
                    failures.append(why)
            except _Unreadable as error:
                failures.append(error)
        if doubtful is not None:
            doubtful.found = _told(doubtful)
            return doubtful
    if not failures:
        raise _stateless(module)
    told = next((failure for failure in failures if failure.near), failures[0])
    say = told.do or (
        "" if told.near else f"{HOW_TO_SAY_INPUTS}. Or say outright what the model is:\n{HOW_TO_BE_NATIVE}"
    )
    raise unreadable(module, told.why, say) from told


def _stateless(module: nn.Module) -> InputError:
    return InputError(
        f"{class_name(module)}, whose forward takes no hidden state, and in which none was found",
        "forward(inputs, hidden=None) -> (outputs, hidden)",
        f"let forward take the state and return the one after it:\n{HOW_TO_BE_NATIVE}",
    )


CarrierOf = Callable[[nn.Module, _Way], Iterator[Carrier]]
"""The carriers that a module may have if it is called this way, of which the carrier is that of no state."""


def _carriers(module: nn.Module) -> Iterator[CarrierOf]:
    """Where its state may go in and come out, likeliest first."""
    of_forward = parameters_of(module.forward)
    if of_forward is not None and of_forward.state and not of_forward.unknown:
        yield lambda module, way: iter([Argument("forward", of_forward)])
    step = method_of(module, "step")
    of_step = None if step is None else parameters_of(step)
    if of_step is not None and of_step.state:
        yield lambda module, way: iter([Argument("step", of_step)] if way.axes in ("one", "cell") else [])
    if of_forward is None or of_forward.unknown:
        return
    if of_forward.optional:
        if any(_attributes(module)) or any(method_of(module, name) for name in RESETS):
            yield _kept
        if any(_carries(inner) for inner in module.modules()) and not isinstance(module, torch.jit.ScriptModule):
            yield _inside


def _carries(inner: nn.Module) -> bool:
    return is_recurrent(inner) and not isinstance(inner, torch.jit.ScriptModule)


def _ways(module: nn.Module, specs: Sequence[InputSpec], carriers: CarrierOf) -> Iterator[_Way]:
    """Ways to call it, likeliest first. An inner RNN with time first makes that the likelier boundary."""
    rnns = [inner for inner in module.modules() if isinstance(inner, nn.RNNBase)]
    alone = replace(parameters_of(module.forward) or Parameters(""), state=())
    likelier: list[Axes] = ["rows_first", "time_first"]
    if any(not rnn.batch_first for rnn in rnns):
        likelier.reverse()
    order: list[Axes] = [*likelier, "cell", "one", "packed"]
    if isinstance(module, nn.RNNCellBase):
        order = ["cell"]
    for spec in specs:
        for axes in order:
            for reads in readers(module) if spec.kind == "features" else [None]:
                try:
                    for carrier in carriers(module, _Way(spec, reads, axes, Argument("forward", alone))):
                        yield _Way(spec, reads, axes, carrier)
                except _Unreadable:
                    continue


def _inside(module: nn.Module, way: _Way) -> Iterator[Carrier]:
    """The recurrent modules inside that a call reaches."""
    alone = way.carrier.parameters
    names = tuple(name for name, inner in module.named_modules() if name and _carries(inner))
    carrier = Inside(names, alone)
    _, finals = replace(way, carrier=carrier).call(module, None, _ROWS, 1 if way.axes in STEPPED else _LENGTH)
    reached = tuple(name for name, final in zip(names, finals, strict=True) if final is not None)
    if reached:
        yield Inside(reached, alone)


def _kept(module: nn.Module, way: _Way) -> Iterator[Carrier]:
    """The attributes that a call changes, and that hold tensors of rows."""
    length = 1 if way.axes in STEPPED else _LENGTH
    before = _attributes(module)
    with contextlib.ExitStack() as stack:
        for name, value in before.items():
            stack.callback(_put_back, module, name, value)
        _reset_for(module, _ROWS)
        seen = _attributes(module)
        way.call(module, None, _ROWS, length)
        after = _attributes(module)
    changed = tuple(name for name, value in after.items() if value is not seen.get(name) and _holds_rows(value, _ROWS))
    if changed:
        yield Kept(changed, way.carrier.parameters)


def _put_back(module: nn.Module, name: str, value: Any) -> None:
    owner, _, own = name.rpartition(".")
    setattr(module.get_submodule(owner), own, value)


def _reset_for(module: nn.Module, rows: int) -> None:
    """Make room for so many rows where the module keeps its state."""
    for name in RESETS:
        if method_of(module, name) is not None:
            for attribute in [name for name, value in _attributes(module).items() if _holds_tensors(value)]:
                with contextlib.suppress(Exception):  # a method that needs more than rows is none of these
                    _put_back(module, attribute, after_reset(module, name, (attribute,), rows)[0])
            with contextlib.suppress(Exception):
                after_reset(module, name, (), rows)
            return


def _attributes(module: nn.Module) -> dict[str, Any]:
    """What modules keep beside parameters, by name: tensors, and None where one may come."""
    found: dict[str, Any] = {}
    for path, inner in module.named_modules():
        kept = {**inner._buffers, **{key: value for key, value in vars(inner).items() if not key.startswith("_")}}
        for key, value in kept.items():
            if value is None or _holds_tensors(value):
                found[f"{path}.{key}" if path else key] = value
    return found


def _holds_tensors(value: Any) -> bool:
    if isinstance(value, nn.Module | nn.Parameter):
        return False
    try:
        return any(isinstance(leaf, Tensor) for leaf in take_apart(value))
    except TypeError:
        return False


def _holds_rows(value: Any, rows: int) -> bool:
    return _holds_tensors(value) and all(
        rows in leaf.shape for leaf in take_apart(value) if isinstance(leaf, Tensor) and leaf.dim()
    )


def random_inputs(module: nn.Module, spec: InputSpec, reads: str | None, rows: int, length: int) -> Tensor:
    """Inputs of the kind `spec` says, on the module's device, features in the dtype of its tensor `reads`; always the
    same ones."""
    inputs = spec.random(rows, length, generator(0, "adapt"))
    dtype = None if spec.kind == "tokens" else dtype_of(module) if reads is None else named_tensor(module, reads).dtype
    return inputs.to(device_of(module), dtype)


def _models(module: nn.Module, way: _Way) -> Iterator[HiddenModule]:
    """The module called this way, with each of the states that may be meant in what it returns."""
    failures = []
    for start, given in _given(module, way):
        try:
            yield from _read_from(module, way, start, given)
        except _Unreadable as error:
            failures.append(error)
    if failures:
        raise max(failures, key=lambda failure: failure.near)


def _given(module: nn.Module, way: _Way) -> Iterator[tuple[Start | None, Callable[[int], Any]]]:
    """What the module may be given before it has read anything, for a number of rows, with the start that this is;
    None: that is still to be found out."""
    carrier = way.carrier
    if isinstance(carrier, Inside):
        yield None, lambda rows: None
        return
    if isinstance(carrier, Kept):
        for name in [name for name in RESETS if method_of(module, name) is not None] or [None]:
            yield (
                Reset(name, carrier.names),
                lambda rows, name=name: after_reset(module, name, carrier.names, rows),
            )
        return
    for name in own_methods(module):
        with contextlib.suppress(Exception):  # a method that needs more than a number of rows is none of these
            own_start(module, name, _ROWS)
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


def _read_from(
    module: nn.Module, way: _Way, start: Start | None, given: Callable[[int], Any]
) -> Iterator[HiddenModule]:
    """The module called this way from this start, with each of the states that may be meant in what it returns."""
    one = way.axes in STEPPED
    length, longer = (1, 1) if one else (_LENGTH, _LONGER)
    runs = [
        way.call(module, _guarded(given, rows), rows, positions)
        for rows, positions in ((_ROWS, length), (_MORE_ROWS, length), (_ROWS, longer))
    ]
    returned = [items_of(run[0]) for run in runs]
    if any(found.keys() != returned[0].keys() for found in returned):
        raise _Unreadable("it returns other things for other inputs")
    varying = {
        label: layout_of(returned[0][label], returned[1][label], returned[2][label], way.axes)
        for label in returned[0]
        if all(isinstance(found[label], Tensor) for found in returned)
    }
    choices = list(_choices(module, way, runs, returned, varying))
    growing = [label for label, layout in varying.items() if layout is not None and layout.time is not None]
    if not choices and len(growing) > 1:
        shapes = (tuple(found[growing[1]].shape) for found in (returned[0], returned[2]))
        raise _Unreadable(
            f"for inputs of {length} and {longer} positions its hidden state has the shapes "
            f"{' and '.join(map(str, shapes))}: it grows with the position, or its rows are taken for positions",
            near=1,
        )
    if not choices:
        raise _Unreadable(f"its forward returned {described(runs[0][0])}, with no hidden state beside the outputs")
    failures: list[_Unreadable] = []
    for output, layout, state, gathered in choices:
        axes: Axes = way.axes
        if layout.time is None and not one:  # one output a window: one position is read a call
            axes = "one_time_first" if way.axes == "time_first" else "one"
        try:
            yield from _with_state(module, way, start, runs, (output, layout, state, gathered), axes)
        except _Unreadable as error:
            failures.append(error)
    if failures:
        raise max(failures, key=lambda failure: failure.near)


def _guarded(given: Callable[[int], Any], rows: int) -> Any:
    try:
        return given(rows)
    except Exception as error:
        raise _Unreadable(f"its own start for {rows} rows raised {raised(error)}") from error


_Choice = tuple[Any, Layout, tuple[Any, ...] | None, bool]


def _choices(
    module: nn.Module, way: _Way, runs: list[tuple[Any, Any]], returned: list[dict[Any, Any]], varying: dict[Any, Any]
) -> Iterator[_Choice]:
    """Which of the things returned may be the outputs and which the state, likeliest first."""
    one, base = way.axes in STEPPED, returned[0]
    layouts = {label: _of_one(way.axes, base[label], layout) for label, layout in varying.items() if layout is not None}
    outputs = [label for label, layout in layouts.items() if layout.time is not None or layout.flat]
    outputs.sort(key=lambda label: (label not in _OUTPUTS, looks_like_state(label)))
    outputs = [label for label in outputs if not looks_like_state(label)] or outputs
    if isinstance(way.carrier, Kept | Inside):
        last = [label for label in layouts if label not in outputs]
        for label in outputs[:1] or last[:1]:
            yield label, layouts[label], None, False
        return
    names = way.carrier.parameters.state
    for label in [*outputs[:2], *(label for label in layouts if label not in outputs)][:3]:
        rest = [other for other in base if other != label and other not in outputs and _is_state(base[other])]
        rest.sort(key=lambda other: not looks_like_state(other))
        if len(names) > 1:
            if len(rest) >= len(names):
                yield label, layouts[label], tuple(rest[: len(names)]), True
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
            if first.dim() == 2 and first.shape[0] == _ROWS:
                yield None, Layout(0, None), (None,), False


def _of_one(axes: Axes, output: Tensor, layout: Layout) -> Layout:
    """Where positions lie in an output of one position a call, which is an axis of 1 where they lie in the inputs."""
    axis = {"one": 1, "one_time_first": 0}.get(axes)
    if axis is not None and output.dim() > 2 and output.shape[axis] == 1:
        return replace(layout, time=axis)
    return layout


def _is_state(value: Any) -> bool:
    try:
        return any(isinstance(leaf, Tensor) for leaf in take_apart(value))
    except TypeError:
        return False


def _with_state(
    module: nn.Module, way: _Way, start: Start | None, runs: list[tuple[Any, Any]], choice: _Choice, axes: Axes
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
        raise _Unreadable(
            f"its forward returned a hidden state that holds more than tensors and numbers: {error}"
        ) from None
    rows_at = _row_axes(apart)
    structure = emptied(states[0])
    calling = replace(calling, structure=structure, slots=tuple(slots_of(module, states[0], rows_at)))
    if start is not None:
        yield HiddenModule(module, calling)
        return
    yield from _from_its_start(module, way, calling)


def _row_axes(apart: list[list[Leaf]]) -> list[int | None]:
    """Which axis of each tensor of a state runs over rows."""
    if len({len(each) for each in apart}) > 1:
        raise _Unreadable("its state holds more the more it has read", near=1)
    axes: list[int | None] = []
    for leaf, wider, later in zip(*apart, strict=True):
        if is_number(leaf):
            axes.append(None)
            continue
        if leaf.shape != later.shape:
            raise _Unreadable(
                f"for inputs of {_LENGTH} and {_LONGER} positions its hidden state has the shapes "
                f"{tuple(leaf.shape)} and {tuple(later.shape)}: it grows with the position, or its rows are "
                "taken for positions",
                near=1,
            )
        differing = [axis for axis in range(leaf.dim()) if leaf.shape[axis] != wider.shape[axis]]
        if len(differing) > 1:
            raise _Unreadable(
                f"for {_ROWS} and {_MORE_ROWS} rows its hidden state has the shapes {tuple(leaf.shape)} and "
                f"{tuple(wider.shape)}: no axis runs over rows",
                near=1,
            )
        axes.append(differing[0] if differing else None)
    if all(axis is None for axis in axes):
        raise _Unreadable("its forward returned a hidden state of which no axis runs over rows", near=1)
    return axes


def _from_its_start(module: nn.Module, way: _Way, calling: Calling) -> Iterator[HiddenModule]:
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
                if shapes_of(own_start(module, name, _ROWS)) == _shapes_for(calling, _ROWS):
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


def _made(module: nn.Module, way: _Way, carrier: Inside) -> Made | None:
    """What it gives to the modules inside by itself; None: another at every call.

    Raises:
        _Unreadable: it depends on what the window holds.
    """

    def inputs(module: nn.Module, rows: int) -> Any:
        return placed(way.inputs(module, rows, 1), way.axes)

    def starts(given: Any) -> list[Leaf]:
        return take_apart(carrier.starts(module, given, _ROWS, 1))

    def differ(some: list[Leaf], others: list[Leaf]) -> bool:
        pairs = zip(some, others, strict=True)
        return any(not torch.equal(torch.as_tensor(a), torch.as_tensor(b)) for a, b in pairs)

    first, second, other = (
        inputs(module, _ROWS),
        inputs(module, _ROWS),
        placed(way.inputs(module, _ROWS, 2)[:, 1:], way.axes),
    )
    if differ(starts(first), starts(second)):
        return None
    if differ(starts(first), starts(other)):
        raise _Unreadable(
            f"what {' and '.join(f'`{name}`' for name in carrier.names)} start from depends on what was read before in "
            "the same window (an encoder and a decoder?): reading in pieces is not reading at once",
            near=3,
        )
    return Made(carrier, inputs)


def _elsewhere(module: nn.Module, way: _Way, calling: Calling) -> _Unreadable:
    """That it starts elsewhere, and a wrapper that says where."""
    again = [take_apart(way.call(module, None, _ROWS, 1)[0]) for _ in range(2)]
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
        return _Unreadable(why, 2, f"write init_hidden(batch_size) that returns the start, of the structure {shapes}")
    return _Unreadable(
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


def _starts_alike(model: HiddenModule, way: _Way) -> bool:
    """Whether the module by itself, from nothing, says what the model says from its initial state."""
    module, calling = model.module, model.calling
    length = 1 if calling.axes in STEPPED else _LENGTH
    way = replace(way, axes=calling.axes)
    returned, _ = way.call(module, None, _ROWS, length)
    alone = calling.layout.batch_first(calling.output_in(returned), _ROWS)
    try:
        given, _ = model(way.inputs(module, _ROWS, length), model.initial_state(_ROWS))
    except _Unreadable:
        raise
    except Exception as error:
        raise _Unreadable(f"given the state that it returned, its forward raised {raised(error)}", near=1) from error
    return _alike(given, alone)


def _alike(found: Tensor, wanted: Tensor) -> bool:
    """Equal up to rounding. Outputs that are no numbers are alike; that they are broken is for a measurement to say."""
    if found.shape != wanted.shape:
        return False
    coarse = {torch.float16: 2e-2, torch.bfloat16: 1e-1, torch.float64: 1e-7}
    size = float(wanted.abs().nan_to_num(0.0, 0.0, 0.0).max()) if wanted.numel() else 0.0
    near = 1e-4 if wanted.is_complex() else coarse.get(wanted.dtype, 1e-4)
    return torch.allclose(found, wanted, rtol=0, atol=near * size, equal_nan=True)


def _fault(model: HiddenModule) -> _Unreadable | None:
    """Why this is not how the module carries its state; None: reading in pieces is reading at once, and so on."""
    calling = model.calling
    way = _Way(calling.spec, calling.reads, calling.axes, calling.carrier)
    rows, length = 3, 6
    inputs = way.inputs(model.module, rows, length)
    try:
        _copy_if_edited(model, inputs)
        start = model.initial_state(rows)
        whole, final = model(inputs, start)
        state, pieces = start, []
        for piece in inputs.split([2, 1, 3], 1):
            output, state = model(piece, state)
            pieces.append(output)
        alone, _ = model(inputs[1:2], select(start, torch.tensor([1])))
        later, _ = model(inputs, final)
    except InputError as error:
        return _Unreadable(error.given, near=3)
    except Exception as error:
        return _Unreadable(f"given the state that it returned, its forward raised {raised(error)}", near=3)
    if whole.shape[:2] != (rows, length):
        return _Unreadable(
            f"for inputs {tuple(inputs.shape)} its forward returned outputs {tuple(whole.shape)}; one output for "
            "every row and position is needed, (B, T, ...)",
            near=3,
        )
    if not _alike(alone, whole[1:2]):
        return _Unreadable("what one row gives depends on the other rows", near=2)
    joined = torch.cat(pieces, 1)
    if not _alike(joined, whole) or not all(map(_alike, leaves(state), leaves(final))):
        return _Unreadable(
            f"with its state in {calling.carrier.told}, reading {length} positions in pieces does not give the outputs "
            "and the state of reading them at once: it reads ahead, or it carries something else as well",
            near=2,
        )
    if (
        calling.window is None
        and calling.axes == "one"
        and not _alike(_if_it_reads_windows(model, inputs, whole), whole)
    ):
        return _Unreadable(
            f"reading {length} positions at once is not reading them one by one: it reads ahead, or what it carries is "
            "not all in its state",
            near=2,
        )
    if calling.window is not None and not _alike(_of_a_window(model, inputs), whole[:, -1:]):
        return _Unreadable(
            "it gives one output a window, which is not the one of its last position: it depends on the others in "
            "another way than through the state",
            near=2,
        )
    if bool(torch.isfinite(whole).all()) and torch.equal(later, whole):
        return _Unreadable(f"{calling.carrier.told} does not change its outputs", near=2)
    return None


def _of_a_window(model: HiddenModule, inputs: Tensor) -> Tensor:
    """(B, 1, …) what the module says when it reads a window at once."""
    calling, (rows, length) = model.calling, inputs.shape[:2]
    assert calling.window is not None
    given = model.hidden_of(model.initial_state(rows))
    returned, _ = calling.carrier.call(model.module, placed(inputs, calling.window), given, rows, length)
    return calling.layout.batch_first(calling.output_in(returned), rows)


def _if_it_reads_windows(model: HiddenModule, inputs: Tensor, stepped: Tensor) -> Tensor:
    """(B, T, …) what the module says of a window that it reads at once; `stepped`, what it says of one position after
    another, where it cannot."""
    given = model.hidden_of(model.initial_state(len(inputs)))
    of_step = isinstance(model.calling.carrier, Argument) and model.calling.carrier.method != "forward"
    if of_step or model.calling.window is not None:
        return stepped
    try:
        returned, _ = model.calling.carrier.call(model.module, inputs, given, *inputs.shape[:2])
        found = model.calling.output_in(returned)
    except Exception:  # whatever it raises says that it reads one position a call
        return stepped
    return found if found.shape[:2] == stepped.shape[:2] else stepped


def _copy_if_edited(model: HiddenModule, inputs: Tensor) -> None:
    """Have the module given copies where it writes into the state that it is given."""
    given = model.hidden_of(model.initial_state(len(inputs)))
    tensors = [leaf for leaf in take_apart(given) if isinstance(leaf, Tensor)]
    before = [tensor._version for tensor in tensors]
    model.call(inputs[:, :1] if model.calling.axes in STEPPED else inputs, given)
    if [tensor._version for tensor in tensors] != before:
        model.calling = replace(model.calling, copies=True)


def _told(model: HiddenModule) -> str:
    """What was found, in a sentence."""
    calling = model.calling
    spec = calling.spec
    reads = f"{spec.size} features" if spec.kind == "features" else f"tokens below {spec.size}"
    ways = {
        "rows_first": "", "time_first": ", time first", "packed": ", packed", "cell": ", one position a call",
        "one": ", one position a call", "one_time_first": ", time first, one position a call",
    }  # fmt: skip
    output = "" if calling.output in (None, 0) else f"; its outputs are `{calling.output}` of what it returns"
    tensors = len(calling.slots)
    holds = "a tensor" if tensors == 1 else f"{tensors} tensors and numbers"
    numbers = any(slot.batch_axis is None for slot in calling.slots)
    holds = holds if tensors == 1 or numbers else f"{tensors} tensors"
    edits = "; it writes into its state, of which it gets copies" if calling.copies else ""
    return (
        f"{class_name(model.module)} reads {reads}{ways[calling.axes]}; its state, {holds}, is "
        f"{calling.carrier.told}, from {calling.start.told}{output}{edits}"
    )


HOW_TO_SAY_INPUTS = (
    "say what it reads: as an attribute of the class, input_spec = outlast.InputSpec('features', 8), or ('tokens', "
    "vocabulary); as outlast.adapt(module, inputs=...); or with --data, whose columns or tokens it then reads"
)


class CannotBeRead(InputError):
    """A module of which no way of calling it passes; it may be one that reads something else than was tried."""


def unreadable(module: nn.Module, why: str, do: str = "") -> CannotBeRead:
    """For a module that cannot be read, with what to do; without that, with how to say outright what a model is."""
    return CannotBeRead(
        f"{class_name(module)} cannot be read as a recurrent model: {why}",
        "forward(inputs, hidden=None) -> (outputs, hidden), with inputs and outputs (B, T, ...)",
        do
        or "change forward accordingly (a module that computes its own start has init_hidden(batch_size)), or say it "
        f"outright:\n{HOW_TO_BE_NATIVE}",
    )
