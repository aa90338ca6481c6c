"""One way to call a user's module, tried on random inputs, and what speaks against it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from outlast.errors import InputError, raised
from outlast.model import InputSpec
from outlast.modules.calls.calling import (
    STEPPED,
    Argument,
    Axes,
    Carrier,
    placed,
)
from outlast.modules.calls.module_adapter import HiddenModule, foldable
from outlast.modules.calls.state_layout import named_tensor, take_apart
from outlast.modules.precision import TOLERANCES, Probe
from outlast.randomness import generator
from outlast.state import State, continuous, leaves, rebuild, select

ROWS, LENGTH, MORE_ROWS, LONGER = 2, 3, 5, 7


class Unreadable(Exception):
    """One way to call the module does not work: why, as a clause, and what to `do`.

    `near`: 0, it did not run; 1, it ran; 2, what it carries does not pass; 3, it raised when it was given that.
    """

    def __init__(self, why: str, near: int = 0, do: str = "") -> None:
        super().__init__(why)
        self.why, self.near, self.do = why, near, do


@dataclass(frozen=True)
class Way:
    """One way to call a module that is to be tried.

    Args:
        probe: of the module.
    """

    probe: Probe
    spec: InputSpec
    reads: str | None
    axes: Axes
    carrier: Carrier
    wanted: InputSpec | None = None
    """What it is to read, of which `spec` draws what is safe; None: the same."""

    def inputs(self, module: nn.Module, rows: int, length: int) -> Tensor:
        return random_inputs(module, self.probe, self.spec, self.reads, rows, length)

    def call(self, module: nn.Module, given: Any, rows: int, length: int) -> tuple[Any, Any]:
        """What the module returns, and what the carrier says its state is then."""
        inputs = self.inputs(module, rows, length)
        try:
            return self.carrier.call(module, placed(inputs, self.axes), given, rows, length)
        except Exception as error:  # whatever the user's code raises is what they need to read
            shape = tuple(inputs.transpose(0, 1).shape if "time_first" in self.axes else inputs.shape)
            raise Unreadable(f"on inputs {shape} its forward raised {raised(error)}") from error


def random_inputs(
    module: nn.Module, probe: Probe, spec: InputSpec, reads: str | None, rows: int, length: int
) -> Tensor:
    """Inputs (B, T) or (B, T, F) of the kind `spec` says, on the module's device, features in the dtype of its tensor
    `reads`; always the same ones."""
    inputs = spec.random(rows, length, generator(0, "adapt"))
    dtype = None if spec.kind == "tokens" else probe.first if reads is None else named_tensor(module, reads).dtype
    return inputs.to(probe.device, dtype)


def alike(found: Tensor, wanted: Tensor, probe: Probe) -> bool:
    """Equal up to rounding in a module of such dtypes, also where a state is kept wider than it is computed. Outputs
    that are no numbers are alike; that they are broken is for a measurement to say."""
    if found.shape != wanted.shape:
        return False
    size = float(wanted.abs().nan_to_num(0.0, 0.0, 0.0).max()) if wanted.numel() else 0.0
    own = max(probe.narrowest, wanted.dtype, key=lambda dtype: _NEAR.get(dtype, 1e-4))
    return torch.allclose(found, wanted, rtol=0, atol=_NEAR.get(own, 1e-4) * size, equal_nan=True)


_NEAR = TOLERANCES | {torch.float64: 1e-7}


def fault_of(model: HiddenModule, probe: Probe) -> Unreadable | None:
    """Why this is not how the module carries its state; None: reading in pieces is reading at once, and so on."""
    calling = model.calling
    way = Way(probe, calling.spec, calling.reads, calling.axes, calling.carrier)
    rows, length = 3, 6
    same = partial(alike, probe=probe)
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
        return Unreadable(error.given, near=3)
    except Exception as error:
        return Unreadable(f"given the state that it returned, its forward raised {raised(error)}", near=3)
    if whole.shape[:2] != (rows, length):
        return Unreadable(
            f"for inputs {tuple(inputs.shape)} its forward returned outputs {tuple(whole.shape)}; one output for "
            "every row and position is needed, (B, T, ...)",
            near=3,
        )
    if not same(alone, whole[1:2]):
        return Unreadable("what one row gives depends on the other rows", near=2)
    joined = torch.cat(pieces, 1)
    if not same(joined, whole) or not all(map(same, leaves(state), leaves(final))):
        return Unreadable(
            f"with its state in {calling.carrier.told}, reading {length} positions in pieces does not give the outputs "
            "and the state of reading them at once: it reads ahead, or it carries something else as well",
            near=2,
        )
    if calling.window is None and calling.axes == "one" and not same(_if_it_reads_windows(model, inputs, whole), whole):
        return Unreadable(
            f"reading {length} positions at once is not reading them one by one: it reads ahead, or what it carries is "
            "not all in its state",
            near=2,
        )
    if calling.window is not None and not same(_window_read(model, inputs, start)[0], whole[:, -1:]):
        return Unreadable(
            "it gives one output a window, which is not the one of its last position: it depends on the others in "
            "another way than through the state",
            near=2,
        )
    if bool(torch.isfinite(whole).all()) and torch.equal(later, whole):
        return Unreadable(f"{calling.carrier.told} does not change its outputs", near=2)
    return None


def _window_read(model: HiddenModule, inputs: Tensor, state: State) -> tuple[Tensor, State]:
    """(B, 1, …) what the module says when it reads a window at once, and the state after it."""
    calling, (rows, length) = model.calling, inputs.shape[:2]
    assert calling.window is not None
    given = model.hidden_of(state)
    returned, after = calling.carrier.call(model.module, placed(inputs, calling.window), given, rows, length)
    return calling.layout.batch_first(calling.output_in(returned), rows), model.state_of(
        calling.state_in(returned, after), rows
    )


def _if_it_reads_windows(model: HiddenModule, inputs: Tensor, stepped: Tensor) -> Tensor:
    """(B, T, …) what the module says of a window that it reads at once; `stepped`, what it says of one position after
    another, where it cannot."""
    given = model.hidden_of(model.initial_state(len(inputs)))
    of_step = isinstance(model.calling.carrier, Argument) and model.calling.carrier.method != "forward"
    if of_step or model.calling.window is not None:
        return stepped
    try:
        returned, _ = model.calling.carrier.call(model.module, inputs, given, len(inputs), inputs.shape[1])
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


def folded_where_the_same(model: HiddenModule, probe: Probe) -> HiddenModule:
    """The model that reads windows in one call, where trials show that this is what a call for every position gives:
    outputs, final states and gradients, from its start and from a carried state, whatever stands for states between
    positions; else the model as it is."""
    calling = model.calling
    names = foldable(model.module)
    if calling.axes not in STEPPED or not names or any(slot.batch_axis is None for slot in calling.slots):
        return model
    folded = model.around(model.module)
    folded.calling = replace(calling, folded=names)
    way = Way(probe, calling.spec, calling.reads, calling.axes, calling.carrier)
    try:
        same = all(_folds(folded, way, rows, length) for rows, length in ((3, 2), (1, 5), (2, 9)))
    except Exception:  # whatever the user's code raises says that rows of it are no positions
        return model
    return folded if same else model


def _folds(model: HiddenModule, way: Way, rows: int, length: int) -> bool:
    inputs = way.inputs(model.module, rows, 2 * length)
    before, inputs = inputs.split(length, 1)
    start, same = model.initial_state(rows), partial(alike, probe=way.probe)
    for state in (start, model.stepped(before, start)[1]):
        wanted = model.stepped(inputs, state)
        for fill in (math.nan, 0.0):
            found = model.at_once(inputs, state, fill)
            if not all(map(same, [found[0], *leaves(found[1])], [wanted[0], *leaves(wanted[1])])):
                return False
    return _same_gradients(model, inputs, state, way.probe)


def _same_gradients(model: HiddenModule, inputs: Tensor, state: State, probe: Probe) -> bool:
    """Of the last output and the final state by inputs, state and parameters; those of the window that the module reads
    itself, where it reads windows, else those of single positions."""

    def of(read: Callable[[Tensor, State], tuple[Tensor, State]]) -> list[Tensor]:
        points = [tensor.detach().clone() for tensor in (inputs, *leaves(state))]
        asked = [point.requires_grad_() for point in points if continuous(point)]
        asked += [each for each in model.module.parameters() if each.requires_grad]
        outputs, final = read(points[0], rebuild(state, points[1:]))
        roots = [each for each in (outputs[:, -1], *leaves(final)) if each.requires_grad]
        total = sum((each.abs().square().sum() for each in roots), torch.zeros(()))
        return list(torch.autograd.grad(total, asked, materialize_grads=True)) if roots else []

    itself = model.stepped if model.calling.window is None else partial(_window_read, model)
    # cuDNN refuses the backward pass of an RNN in eval mode.
    with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
        found, wanted = of(model.at_once), of(itself)
    same = partial(alike, probe=probe)
    return len(found) == len(wanted) and all(map(same, found, wanted))
