"""How a user's module is called, found by names and by running it on a few random positions.

Names say what is tried first; what is taken is what passes: reading in pieces gives the outputs and the state of
reading at once, the state changes the outputs, rows are independent, and the start is the module's own.
"""

from __future__ import annotations

import contextlib
import itertools
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from outlast.errors import InputError
from outlast.model import InputSpec, quietly
from outlast.modules.calls.arguments import (
    Parameters,
    held,
    method_of,
    parameters_of,
    readings_of,
    says_state,
    ways_beside,
)
from outlast.modules.calls.attribute_state import attributes_of, kept_in
from outlast.modules.calls.call_trial import (
    LENGTH,
    ROWS,
    Unreadable,
    Way,
    fault_of,
    folded_where_the_same,
    random_inputs,
)
from outlast.modules.calls.calling import (
    STEPPED,
    Argument,
    Axes,
    Behind,
    Carrier,
    Inside,
    reach_of,
)
from outlast.modules.calls.compiled import hides_its_state, tried_elsewhere
from outlast.modules.calls.identifying import agreed, called, cautious, rooms_of, tables_of
from outlast.modules.calls.initial_state import (
    RESETS,
)
from outlast.modules.calls.loops import has_loops, loops_of
from outlast.modules.calls.module_adapter import HiddenModule, class_name
from outlast.modules.calls.outputs_and_state import models_of
from outlast.modules.calls.state_layout import is_recurrent, readers
from outlast.modules.calls.widths import input_specs, widths
from outlast.modules.precision import Probe, halves_of, wide_copy
from outlast.modules.torch_rnn import refuse_bidirectional
from outlast.state import leaves
from outlast.turns import alone, try_out

HOW_TO_BE_NATIVE = """\
class MyModel(nn.Module):
    def initial_state(self, batch_size):               # rows first, a tuple over layers
        return (torch.zeros(batch_size, self.width, device=self.weight.device, dtype=self.weight.dtype),)
    def forward(self, inputs, state):                  # inputs (B, T) or (B, T, F)
        outputs, hidden = self.read(inputs, state[0])  # outputs (B, T, ...); edit nothing in place
        return outputs, (hidden,)"""


def read_hidden_module(module: nn.Module, inputs: InputSpec | None = None) -> HiddenModule:
    """Find out by running it how `module` is called, and wrap it.

    Args:
        inputs: what it reads, where that is known.

    Raises:
        InputError: it cannot be read; the message says why and what to do.
    """
    refuse_bidirectional(module)
    if hides_its_state(module) is not None and not any(True for _ in _carriers(module)):
        raise _stateless(module)
    tried_elsewhere(module, inputs)
    return found_here(module, inputs)


def found_here(module: nn.Module, inputs: InputSpec | None = None) -> HiddenModule:
    """The same of a module that does not end the process."""
    specs = [inputs] if inputs is not None else input_specs(module)
    guessed = inputs is None and not isinstance(getattr(module, "input_spec", None), InputSpec)
    if not specs and not any(True for _ in _carriers(module)):
        raise _stateless(module)
    if not specs:
        raise unreadable(module, "no nn.Embedding, RNN or nn.Linear in it tells what it reads", HOW_TO_SAY_INPUTS)
    try:
        with alone(module), quietly(module), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch says of probes is nothing to the user
            probe = Probe.of(module)
            found = _found(module, probe, specs, guessed=guessed)
            _try_out(found, probe)
    except InputError:
        if not halves_of(module):
            raise
        # Where this device cannot run it in half precision, its layout shows in float32.
        with contextlib.suppress(InputError), quietly(module):
            wide = wide_copy(module).eval()
            probe = Probe.of(wide)
            found = _found(wide, probe, specs, guessed=guessed)
            _try_out(found, probe)
            return found.around(module)
        raise
    found.guessed = guessed
    if found.doubt:
        warnings.warn(f"{class_name(module)}: {found.doubt}. outlast check says more.", stacklevel=4)
    return found


def _found(module: nn.Module, probe: Probe, specs: Sequence[InputSpec], *, guessed: bool) -> HiddenModule:
    """`_first_that_fits`, with features also where the module has embeddings, and with what is known of its ids."""
    tables = tables_of(module)
    try:
        found, wanted = _first_that_fits(module, probe, specs)
    except InputError as error:
        if not guessed or not tables:
            raise
        pair = _beside_features(module, probe)
        if pair is None:
            raise error from None
        found, wanted = pair
    if wanted.kind == "features" and (tables or wanted.ids):
        _settle(found, probe, wanted, guessed=guessed)
    return found


def _beside_features(module: nn.Module, probe: Probe) -> tuple[HiddenModule, InputSpec] | None:
    """The module with an embedding of ids beside features, or among them: as many columns behind them as arguments ask
    for, the narrowest first."""
    for asked in sorted({len(reading.asked) for reading in readings_of(module.forward)} | {0}, reverse=True):
        specs = [
            InputSpec("features", width + asked, tuple((width + each, 1) for each in range(asked)))
            for width in sorted(widths(module))
        ]
        with contextlib.suppress(InputError):
            return _first_that_fits(module, probe, specs, asked)
    return None


def _settle(found: HiddenModule, probe: Probe, wanted: InputSpec, *, guessed: bool) -> None:
    """Have the model read what it is to read, after it was run with ids that it certainly has.

    Raises:
        InputError: it has fewer ids, or takes them from another column, or raises.
    """
    rooms = rooms_of(found, wanted.size)
    spec = agreed(class_name(found.module), wanted, rooms, guessed=guessed)
    spec = replace(spec, static=found.calling.spec.static)
    found.rooms, found.input_spec, found.calling = rooms, spec, replace(found.calling, spec=spec)
    found.found = _told(found)
    known = all(column in rooms for column, _ in spec.ids)
    if probe.device.type == "cpu" or known:  # elsewhere an id too many ends the process
        why = fault_of(found, probe)
        if why is not None and found.doubt is None:
            ids = "; ".join(f"{count} ids in {called(spec, column)}" for column, count in spec.ids)
            raise unreadable(found.module, f"{why.why}" + (f", with {ids}" if ids else ""))


def _first_that_fits(
    module: nn.Module, probe: Probe, specs: Sequence[InputSpec], asked: int | None = None
) -> tuple[HiddenModule, InputSpec]:
    """The first way to call it that passes, and which of `specs` that reads.

    Args:
        asked: how many arguments get columns; None: any number.
    """
    failures: list[Unreadable] = []
    for reading, carriers in _carriers(module):
        if asked not in (None, len(reading.asked)):
            continue
        doubtful: tuple[HiddenModule, InputSpec] | None = None
        before = len(failures)
        for way in _ways(module, probe, specs, reading, carriers):
            if way.axes in STEPPED and any(failure.near == 2 for failure in failures[before:]):
                continue  # it reads windows, and not as it would read their positions one by one
            try:
                for model in models_of(module, way):
                    why = fault_of(model, probe)
                    if why is None:
                        model = folded_where_the_same(model, probe)
                        model.found = _told(model)
                        return model, way.wanted or way.spec
                    if isinstance(way.carrier, Argument) and doubtful is None and why.near < 3:
                        doubtful, model.doubt = (model, way.wanted or way.spec), why.why
                    failures.append(why)
            except Unreadable as error:
                failures.append(error)
        if doubtful is not None:
            doubtful[0].found = _told(doubtful[0])
            return doubtful
    unmet = _unmet(module, specs)
    if unmet and (not failures or tables_of(module)):
        raise _asks(module, unmet)
    if not failures:
        raise _stateless(module)
    told = next((failure for failure in failures if failure.near), failures[0])
    say = told.do or (
        "" if told.near else f"{HOW_TO_SAY_INPUTS}. Or say outright what the model is:\n{HOW_TO_BE_NATIVE}"
    )
    raise unreadable(module, told.why, say) from told


def _unmet(module: nn.Module, specs: Sequence[InputSpec]) -> tuple[str, ...]:
    """The arguments that ask for ids, or for what does not change, where no column is any."""
    if any(spec.ids or spec.static for spec in specs):
        return ()
    return next((reading.asked for reading in readings_of(module.forward) if reading.asks), ())


def _asks(module: nn.Module, asked: Sequence[str]) -> NeedsColumns:
    names = " and ".join(f"`{name}`" for name in asked)
    found = NeedsColumns(
        f"{class_name(module)}, whose forward also needs {names}, but no column of the data is meant for it",
        "columns of ids (a machine, a mode) that are said to be categories, or of numbers that do not change",
        "name the columns: category=['NAME'], static='FILE' for a table of what does not "
        "change; without data, input_spec = outlast.InputSpec('features', 4, ids=((3, 5),)): of four columns the last "
        "holds ids below 5",
    )
    found.asked = tuple(asked)
    return found


def _try_out(model: HiddenModule, probe: Probe) -> None:
    """Find out whether several threads may call the module at once."""
    calling = model.calling
    inputs = random_inputs(model.module, probe, calling.spec, calling.reads, ROWS, LENGTH)

    def read(module: nn.Module) -> list[Tensor]:
        one = HiddenModule(module, calling)
        outputs, state = one(inputs, one.initial_state(ROWS))
        return [outputs, *leaves(state)]

    try_out(model.module, read, written=not isinstance(calling.carrier, Argument) or bool(calling.folded))


def _stateless(module: nn.Module) -> InputError:
    if (hidden := hides_its_state(module)) is not None:
        return hidden
    parameters = parameters_of(module.forward)
    if parameters is None or parameters.unknown:
        needs = "no input" if parameters is None else f"also {' and '.join(f'`{n}`' for n in parameters.unknown)}"
        return InputError(
            f"{class_name(module)}, whose forward takes {needs}",
            "forward(inputs, hidden=None) -> (outputs, hidden), with nothing else that has no default",
            "give the other arguments a default, or read them as more columns of the inputs, in a module around it:"
            f"\n{HOW_TO_BE_NATIVE}",
        )
    return NoState(
        f"{class_name(module)}, whose forward takes no hidden state, and in which none was found",
        "forward(inputs, hidden=None) -> (outputs, hidden)",
        f"let forward take the state and return the one after it:\n{HOW_TO_BE_NATIVE}",
    )


CarrierOf = Callable[[nn.Module, Way], Iterator[Carrier]]
"""The carriers that a module may have if it is called this way, of which the carrier is that of no state."""


def _carriers(module: nn.Module) -> Iterator[tuple[Parameters, CarrierOf]]:
    """Where its state may go in and come out, likeliest first, with what the parameters of that call are for."""
    readings = list(readings_of(module.forward))
    step = method_of(module, "step")
    for reading in readings:
        if reading.state and not reading.unknown:
            yield reading, _argument("forward", reading)
    for reading in () if step is None else readings_of(step):
        if reading.state:
            yield reading, _argument("step", reading)
    for reading in readings:
        if reading.unknown or not reading.optional:
            continue
        if any(attributes_of(module)) or any(method_of(module, name) for name in RESETS):
            yield reading, kept_in
        inside: list[CarrierOf] = []
        if any(_carries(inner) for inner in module.modules()) and not isinstance(module, torch.jit.ScriptModule):
            inside.append(_inside)
        if any(True for _ in _own_recurrences(module)):
            inside.append(_inside_own)
        if has_loops(module):
            inside.append(loops_of)
        yield from ((reading, carriers) for carriers in inside)
        if any(reach_of(inner) for inner in module.modules()):
            yield from ((reading, _behind_convolutions(carriers)) for carriers in inside)


def _argument(method: str, reading: Parameters) -> CarrierOf:
    def carriers(module: nn.Module, way: Way) -> Iterator[Carrier]:
        if method == "forward" or way.axes in ("one", "cell"):
            yield Argument(method, replace(reading, beside=way.carrier.parameters.beside))

    return carriers


def _carries(inner: nn.Module) -> bool:
    return is_recurrent(inner) and not isinstance(inner, torch.jit.ScriptModule)


def _ways(
    module: nn.Module, probe: Probe, specs: Sequence[InputSpec], reading: Parameters, carriers: CarrierOf
) -> Iterator[Way]:
    """Ways to call it, likeliest first. An inner RNN with time first makes that the likelier boundary."""
    rnns = [inner for inner in module.modules() if isinstance(inner, nn.RNNBase)]
    likelier: list[Axes] = ["rows_first", "time_first"]
    if any(not rnn.batch_first for rnn in rnns):
        likelier.reverse()
    order: list[Axes] = [*likelier, "cell", "one", "packed"]
    if isinstance(module, nn.RNNCellBase):
        order = ["cell"]
    tables = tables_of(module)
    for spec, axes in itertools.product(specs, order):
        kinds = readers(module) if spec.kind == "features" else [None]
        for reads, beside in itertools.product(kinds, ways_beside(reading.asked, spec, axes, needed=reading.asks)):
            alone = Argument("forward", replace(reading, state=(), switches=(), beside=beside))
            drawn = held(cautious(spec, tables), beside)
            try:
                for carrier in carriers(module, Way(probe, drawn, reads, axes, alone)):
                    yield Way(probe, drawn, reads, axes, carrier, spec)
            except Unreadable:
                continue


def _inside(module: nn.Module, way: Way) -> Iterator[Carrier]:
    """The recurrent modules of torch inside that a call reaches."""
    yield from _reached(module, way, [name for name, inner in module.named_modules() if name and _carries(inner)])


def _inside_own(module: nn.Module, way: Way) -> Iterator[Carrier]:
    """The same with recurrent modules of somebody's own, and those of torch beside them."""
    own = list(_own_recurrences(module))
    torchs = [name for name, inner in module.named_modules() if name and _carries(inner)]
    beside = [name for name in torchs if not any(name.startswith(f"{each}.") for each in own)]
    yield from _reached(module, way, [*own, *beside])


def _behind_convolutions(carriers: CarrierOf) -> CarrierOf:
    """The same recurrences, and the causal convolutions that a call reaches once, over positions."""

    def behind(module: nn.Module, way: Way) -> Iterator[Carrier]:
        names = [name for name, inner in module.named_modules() if reach_of(inner)]
        length = 1 if way.axes in STEPPED else LENGTH
        for carrier in carriers(module, way):
            assert isinstance(carrier, Inside)
            tried = Behind(tuple(names), carrier.parameters, behind=carrier)
            _, finals = replace(way, carrier=tried).call(module, None, ROWS, length)
            reached = [name for name, final in zip(names, finals[-len(names) :], strict=True) if final is not None]
            if reached:
                yield replace(tried, names=tuple(reached))

    return behind


def _own_recurrences(module: nn.Module) -> Iterator[str]:
    """Names of modules inside that say that they take a state, and start by themselves without it; of those within one
    another the outermost."""
    found: list[str] = []
    for name, inner in module.named_modules():
        within = any(name.startswith(f"{each}.") for each in found)
        if name and not within and not is_recurrent(inner) and not isinstance(inner, torch.jit.ScriptModule):
            reading = parameters_of(inner.forward)
            if reading is not None and says_state(reading) and reading.optional and not reading.unknown:
                found.append(name)
                yield name


def _reached(module: nn.Module, way: Way, names: Sequence[str]) -> Iterator[Carrier]:
    alone = way.carrier.parameters
    carrier = Inside(tuple(names), alone)
    _, finals = replace(way, carrier=carrier).call(module, None, ROWS, 1 if way.axes in STEPPED else LENGTH)
    reached = tuple(name for name, final in zip(names, finals, strict=True) if final is not None)
    if reached:
        yield Inside(reached, alone)


def _told(model: HiddenModule) -> str:
    """What was found, in a sentence."""
    calling = model.calling
    spec = calling.spec
    beside = "".join(f"; {each.told(spec.names)}" for each in calling.carrier.parameters.beside)
    reads = f"{spec.size} features" if spec.kind == "features" else f"tokens below {spec.size}"
    one = "one position a call" if calling.window is None else "one output a window"
    how = "all positions of it read in one call" if calling.window else "all positions of a window read in one call"
    one += f", {how}" if calling.folded else ", a call for every position" if calling.window else ""
    ways = {
        "rows_first": "", "time_first": ", time first", "packed": ", packed", "cell": f", {one}", "one": f", {one}",
        "one_time_first": f", time first, {one}",
    }  # fmt: skip
    if (key := calling.carrier.parameters.key) is not None:
        reads += f" as {key!r} of a dictionary"
    output = "" if calling.output in (None, 0) else f"; its outputs are `{calling.output}` of what it returns"
    tensors = len(calling.slots)
    holds = "a tensor" if tensors == 1 else f"{tensors} tensors and numbers"
    numbers = any(slot.batch_axis is None for slot in calling.slots)
    holds = holds if tensors == 1 or numbers else f"{tensors} tensors"
    edits = "; it writes into its state, of which it gets copies" if calling.copies else ""
    return (
        f"{class_name(model.module)} reads {reads}{ways[calling.axes]}; its state, {holds}, is "
        f"{calling.carrier.told}, from {calling.start.told}{output}{edits}{beside}"
    )


HOW_TO_SAY_INPUTS = (
    "say what it reads: as an attribute of the class, input_spec = outlast.InputSpec('features', 8), or ('tokens', "
    "vocabulary); as outlast.adapt(module, inputs=...); or with --data, whose columns or tokens it then reads"
)


class CannotBeRead(InputError):
    """A module of which no way of calling it passes; it may be one that reads something else than was tried."""


class NoState(InputError):
    """A module in which no state was found, as it was tried."""


class NeedsColumns(CannotBeRead):
    """A module that takes ids, or what does not change, of which the data have none; `asked` names the arguments."""

    asked: tuple[str, ...] = ()


def unreadable(module: nn.Module, why: str, do: str = "") -> CannotBeRead:
    """For a module that cannot be read, with what to do; without that, with how to say outright what a model is."""
    return CannotBeRead(
        f"{class_name(module)} cannot be read as a recurrent model: {why}",
        "forward(inputs, hidden=None) -> (outputs, hidden), with inputs and outputs (B, T, ...)",
        do
        or "change forward accordingly (a module that computes its own start has init_hidden(batch_size)), or say it "
        f"outright:\n{HOW_TO_BE_NATIVE}",
    )
