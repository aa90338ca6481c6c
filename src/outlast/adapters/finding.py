"""How a user's module is called, found by names and by running it on a few random positions.

Names say what is tried first; what is taken is what passes: reading in pieces gives the outputs and the state of
reading at once, the state changes the outputs, rows are independent, and the start is the module's own.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import nn

from outlast.adapters.calling import (
    STEPPED,
    Argument,
    Axes,
    Carrier,
    Inside,
)
from outlast.adapters.choosing import models_of
from outlast.adapters.hidden import HiddenModule, class_name
from outlast.adapters.keeping import attributes_of, kept_in
from outlast.adapters.parameters import Parameters, method_of, parameters_of
from outlast.adapters.precision import halves_of, wide_copy
from outlast.adapters.rnn import refuse_bidirectional
from outlast.adapters.slots import is_recurrent, readers
from outlast.adapters.starting import (
    RESETS,
)
from outlast.adapters.trying import LENGTH, ROWS, Unreadable, Way, fault_of, folded_where_the_same
from outlast.adapters.widths import input_specs
from outlast.errors import InputError
from outlast.model import InputSpec, quietly

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
    failures: list[Unreadable] = []
    for carriers in _carriers(module):
        doubtful: HiddenModule | None = None
        before = len(failures)
        for way in _ways(module, specs, carriers):
            if way.axes in STEPPED and any(failure.near == 2 for failure in failures[before:]):
                continue  # it reads windows, and not as it would read their positions one by one
            try:
                for model in models_of(module, way):
                    why = fault_of(model)
                    if why is None:
                        model = folded_where_the_same(model)
                        model.found = _told(model)
                        return model
                    if isinstance(way.carrier, Argument) and doubtful is None and why.near < 3:
                        doubtful, model.doubt = model, why.why
                    failures.append(why)
            except Unreadable as error:
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
    parameters = parameters_of(module.forward)
    if parameters is None or parameters.unknown:
        needs = "no input" if parameters is None else f"also {' and '.join(f'`{n}`' for n in parameters.unknown)}"
        return InputError(
            f"{class_name(module)}, whose forward takes {needs}",
            "forward(inputs, hidden=None) -> (outputs, hidden), with nothing else that has no default",
            "give the other arguments a default, or read them as more columns of the inputs, in a module around it:"
            f"\n{HOW_TO_BE_NATIVE}",
        )
    return InputError(
        f"{class_name(module)}, whose forward takes no hidden state, and in which none was found",
        "forward(inputs, hidden=None) -> (outputs, hidden)",
        f"let forward take the state and return the one after it:\n{HOW_TO_BE_NATIVE}",
    )


CarrierOf = Callable[[nn.Module, Way], Iterator[Carrier]]
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
        if any(attributes_of(module)) or any(method_of(module, name) for name in RESETS):
            yield kept_in
        if any(_carries(inner) for inner in module.modules()) and not isinstance(module, torch.jit.ScriptModule):
            yield _inside


def _carries(inner: nn.Module) -> bool:
    return is_recurrent(inner) and not isinstance(inner, torch.jit.ScriptModule)


def _ways(module: nn.Module, specs: Sequence[InputSpec], carriers: CarrierOf) -> Iterator[Way]:
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
                    for carrier in carriers(module, Way(spec, reads, axes, Argument("forward", alone))):
                        yield Way(spec, reads, axes, carrier)
                except Unreadable:
                    continue


def _inside(module: nn.Module, way: Way) -> Iterator[Carrier]:
    """The recurrent modules inside that a call reaches."""
    alone = way.carrier.parameters
    names = tuple(name for name, inner in module.named_modules() if name and _carries(inner))
    carrier = Inside(names, alone)
    _, finals = replace(way, carrier=carrier).call(module, None, ROWS, 1 if way.axes in STEPPED else LENGTH)
    reached = tuple(name for name, final in zip(names, finals, strict=True) if final is not None)
    if reached:
        yield Inside(reached, alone)


def _told(model: HiddenModule) -> str:
    """What was found, in a sentence."""
    calling = model.calling
    spec = calling.spec
    reads = f"{spec.size} features" if spec.kind == "features" else f"tokens below {spec.size}"
    one = "one position a call" if calling.window is None else "one output a window"
    how = "all positions of it read in one call" if calling.window else "all positions of a window read in one call"
    one += f", {how}" if calling.folded else ", a call for every position" if calling.window else ""
    ways = {
        "rows_first": "", "time_first": ", time first", "packed": ", packed", "cell": f", {one}", "one": f", {one}",
        "one_time_first": f", time first, {one}",
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
