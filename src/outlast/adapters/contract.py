"""The contract of a recurrent model, point by point. The first line of each docstring says what breaking it costs."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from outlast.adapters.factory import from_recipe
from outlast.adapters.weights import put_tensors, tensors_of
from outlast.model import Recurrent, device_of
from outlast.randomness import generator
from outlast.results import Check
from outlast.state import State, StatePart, leaves, map_state, named_leaves, rebuild

LENGTH = 130
SPLITS = ((1,), (63,), (64,), (65,), (127,), (129,), (7, 20, 21), (1, 64, 65, 128))
FINAL_LENGTHS = (1, 2, 63, 64, 65, 127, 128, 130)
"""Lengths beside the usual chunk sizes (16, 32, 64, 128), where a state taken on the chunk grid shows."""


@dataclass(frozen=True)
class Subject:
    """A model under examination.

    Args:
        model: the copy to run, in float64 if `double`.
        original: a copy in the dtypes the model came in.
        draw: (rows, length, salt, dtype) -> inputs.
        tolerance: relative difference up to which two ways of computing count as equal.
    """

    model: Recurrent
    original: Recurrent
    parts: Sequence[StatePart]
    draw: Callable[[int, int, str, torch.dtype], Tensor]
    double: bool
    tolerance: float
    seed: int

    @property
    def dtype(self) -> torch.dtype:
        return torch.float64 if self.double else torch.float32

    def inputs(self, rows: int, length: int, salt: str) -> Tensor:
        return self.draw(rows, length, salt, self.dtype)

    def carried(self, rows: int, length: int = 9) -> State:
        """A state that has read `length` positions."""
        with torch.no_grad():
            return self.model(self.inputs(rows, length, "before"), self.model.initial_state(rows))[1]

    def result(self, name: str, worst: float, good: str, bad: str) -> Check:
        return _result(name, worst, self.tolerance, good, bad)


def _result(name: str, worst: float, tolerance: float, good: str, bad: str) -> Check:
    passed = worst <= tolerance  # false for NaN too
    return Check(name, passed, worst if math.isfinite(worst) else None, tolerance, good if passed else bad)


def difference(found: Tensor, wanted: Tensor) -> float:
    """The largest difference relative to the largest value wanted; infinite where they cannot be compared."""
    if found.shape != wanted.shape:
        return math.inf
    if not wanted.is_floating_point():
        return 0.0 if torch.equal(found, wanted) else 1.0
    if wanted.numel() == 0:
        return 0.0
    gap, scale = float((found - wanted).abs().max()), float(wanted.abs().max())
    value = gap / scale if scale > 0 else gap
    return value if math.isfinite(value) else math.inf


def furthest(found: Any, wanted: Any, prefix: str) -> tuple[float, str]:
    """The largest `difference` between corresponding tensors, and where it is."""
    pairs = list(zip(named_leaves(wanted, prefix), leaves(found), strict=True))
    return max(((difference(b, a), path) for (path, a), b in pairs), key=lambda pair: pair[0])


def _read(model: Recurrent, pieces: Sequence[Tensor], state: State) -> tuple[Any, State]:
    """Read pieces (B, t, …) one after another; outputs joined over positions, and the final state."""
    outputs = []
    for piece in pieces:
        output, state = model(piece, state)
        outputs.append(output)
    return map_state(lambda *tensors: torch.cat(tensors, 1), *outputs), state


def _cut(inputs: Tensor, splits: Sequence[int]) -> list[Tensor]:
    bounds = [0, *splits, inputs.shape[1]]
    return [inputs[:, start:end] for start, end in itertools.pairwise(bounds)]


@torch.no_grad()
def chunked_equals_whole(s: Subject) -> Check:
    """Evaluation past the first window, and any repair, would silently be of another model than the one deployed."""
    rows, worst, where = 3, 0.0, ""
    inputs = s.inputs(rows, LENGTH, "whole")
    for start, state in (("the initial state", s.model.initial_state(rows)), ("a carried state", s.carried(rows))):
        outputs, final = s.model(inputs, state)
        for splits in SPLITS:
            found_outputs, found_final = _read(s.model, _cut(inputs, splits), state)
            for found, wanted, prefix in ((found_outputs, outputs, "outputs"), (found_final, final, "layers")):
                gap, path = furthest(found, wanted, prefix)
                if not gap <= worst:
                    worst = gap
                    kind = "outputs" if prefix == "outputs" else f"final state ({path})"
                    where = f"the {kind} after splitting {LENGTH} positions at {splits}, from {start}"
    return s.result(
        "chunked_equals_whole",
        worst,
        f"{len(SPLITS)} ways of reading {LENGTH} positions in pieces, from the initial and from a carried state, give "
        "the outputs and the final state of one pass.",
        _why_chunks_differ(s, where) if worst > s.tolerance else "",
    )


def _why_chunks_differ(s: Subject, where: str) -> str:
    rows, inputs = 3, s.inputs(3, 65, "dropped")
    carried, zero = s.carried(rows), s.model.initial_state(rows)
    ignored = [
        length
        for length in (1, 2, 65)
        if furthest(s.model(inputs[:, :length], carried)[0], s.model(inputs[:, :length], zero)[0], "")[0] == 0.0
    ]
    if ignored == [2, 65]:
        return (
            "The carried state is dropped when more than one position is read: evaluation past the first chunk and "
            f"any repair would silently be of a model that starts from zero. Largest difference: {where}."
        )
    if ignored:
        return (
            "The carried state is dropped: the model starts from zero at every window, so nothing that outlast "
            f"measures or repairs past the first window would be real. Largest difference: {where}."
        )
    return (
        f"Reading in pieces is not reading at once; the largest difference is in {where}. Evaluation past the first "
        "window and any repair would silently be of another model than the one deployed. If single positions are "
        "also wrong (step_equals_parallel), look at the final state first."
    )


@torch.no_grad()
def step_equals_parallel(s: Subject) -> Check:
    """What is measured on windows would not be what a deployment that reads one position at a time does."""
    rows = 2
    inputs = s.inputs(rows, LENGTH, "steps")
    start = s.carried(rows)
    outputs, states, state = [], {}, start
    for position in range(LENGTH):
        output, state = s.model(inputs[:, position : position + 1], state)
        outputs.append(output)
        states[position + 1] = state
    stepped = map_state(lambda *tensors: torch.cat(tensors, 1), *outputs)
    worst_output, _ = furthest(s.model(inputs, start)[0], stepped, "outputs")
    gaps = {n: furthest(s.model(inputs[:, :n], start)[1], states[n], "layers") for n in FINAL_LENGTHS}
    wrong = [n for n in FINAL_LENGTHS if gaps[n][0] > s.tolerance]
    right = [n for n in FINAL_LENGTHS if n not in wrong]
    found = []
    if worst_output > s.tolerance:
        found.append(f"the outputs of one pass over {LENGTH} positions are off by {worst_output:.1e} (relative)")
    if wrong:
        paths = sorted({gaps[n][1] for n in wrong})
        agrees = f", though right after {_listed(right)}" if right else ""
        found.append(f"the final state ({_listed(paths)}) is wrong after {_listed(wrong)} positions{agrees}")
    grid = (
        " It looks as if it were taken at the end of the last full chunk, not after the last position: whoever "
        "carries it on goes on from a state that has not read the latest inputs."
        if wrong and {64, 128} <= set(right)
        else ""
    )
    return s.result(
        "step_equals_parallel",
        max(worst_output, *(gap for gap, _ in gaps.values())),
        f"{LENGTH} single positions give the outputs of one pass, and the final state of passes over "
        f"{_listed(FINAL_LENGTHS)} positions.",
        f"Against one position at a time, {' and '.join(found)}.{grid} What is measured on windows would not be what "
        "a deployment that reads one position at a time does.",
    )


def gradient_through_state(s: Subject) -> Check:
    """Training through a carried state (tbtt, or a learned start) would fail, or follow wrong gradients."""
    touched = [i for i, part in enumerate(s.parts) if part.touched]
    if not touched:
        return Check("gradient_through_state", None, None, None, "No part of the state is recurrent.")
    # cuDNN refuses the backward pass of an RNN in eval mode.
    with torch.backends.cudnn.flags(enabled=False):
        worst, where = max(
            (_gradient_gap(s, touched, first, second) for first, second in ((5, 6), (1, 1), (67, 3))),
            key=lambda pair: pair[0],
        )
    return _result(
        "gradient_through_state",
        worst,
        1e-6 if s.double else 2e-2,
        "The gradient of a loss on one window flows back through the carried state to the start of the window before, "
        "and agrees with finite differences.",
        f"The gradient through the carried state is wrong or cut: {where}. Training through a carried state (tbtt) "
        "would learn as if each window stood alone, or follow a wrong gradient.",
    )


def _gradient_gap(s: Subject, touched: Sequence[int], first: int, second: int) -> tuple[float, str]:
    """How far the gradient back through the state is from that of one pass, and from finite differences."""
    rows = 2
    before, after = s.inputs(rows, first, "before loss"), s.inputs(rows, second, "loss")
    given = [tensor.detach().clone() for tensor in leaves(s.carried(rows))]
    names = [s.parts[i].path for i in touched]
    points = [given[i] for i in touched]
    if before.is_floating_point():
        names, points = [*names, "the first window's inputs"], [*points, before]
    skeleton = s.carried(rows)

    def outputs(values: Sequence[Tensor], whole: bool) -> Sequence[Tensor]:
        tensors = list(given)
        for i, value in zip(touched, values, strict=False):
            tensors[i] = value
        inputs = values[-1] if before.is_floating_point() else before
        state = rebuild(skeleton, tensors)
        if whole:
            found = [tensor[:, first:] for tensor in leaves(s.model(torch.cat([inputs, after], 1), state)[0])]
        else:
            found = leaves(s.model(after, s.model(inputs, state)[1])[0])
        return [tensor for tensor in found if tensor.is_floating_point()]

    numbers = generator(s.seed, "weights")
    with torch.no_grad():
        values = outputs(points, False)
    weights = [torch.randn(v.shape, generator=numbers, dtype=v.dtype).to(v.device) for v in values]
    scale = sum(float((v**2).sum()) for v in values) ** 0.5

    def loss(values: Sequence[Tensor], whole: bool = False) -> Tensor:
        return torch.stack([(v * w).sum() for v, w in zip(outputs(values, whole), weights, strict=True)]).sum()

    def gradients(whole: bool) -> list[Tensor]:
        variables = [point.clone().requires_grad_() for point in points]
        value = loss(variables, whole)
        if not value.requires_grad:
            return [torch.zeros_like(point) for point in points]
        found = torch.autograd.grad(value, variables, allow_unused=True)
        return [torch.zeros_like(p) if g is None else g for p, g in zip(points, found, strict=True)]

    # Below these shares of the loss, a gradient cannot be told from rounding.
    floor, floor_numeric, epsilon = (1e-6, 1e-3, 1e-5) if s.double else (1e-3, 1e-1, 1e-2)
    gaps = []
    chunked, whole = gradients(False), gradients(True)
    for i, name in enumerate(names):
        size = max(float(whole[i].abs().max()), floor * scale)
        gap = float((chunked[i] - whole[i]).abs().max()) / size if size > 0 else 0.0
        gaps.append((_finite(gap), f"the gradient to {name} over {first} + {second} positions is not that of one pass"))
        direction = torch.randn(points[i].shape, generator=numbers, dtype=points[i].dtype).to(points[i].device)
        direction = direction * (float(points[i].square().mean().sqrt()) or 1.0)
        with torch.no_grad():
            ends = [
                float(loss([p + sign * epsilon * direction if j == i else p for j, p in enumerate(points)]))
                for sign in (1, -1)
            ]
        numeric, analytic = (ends[0] - ends[1]) / (2 * epsilon), float((chunked[i] * direction).sum())
        size = max(abs(numeric), abs(analytic), floor_numeric * scale)
        gap = abs(numeric - analytic) / size if size > 0 else 0.0
        gaps.append(
            (_finite(gap), f"to {name} over {first} + {second} positions it is {analytic:.3g}, measured {numeric:.3g}")
        )
    return max(gaps, key=lambda pair: pair[0])


def _finite(value: float) -> float:
    return value if math.isfinite(value) else math.inf


def _row(state: State, row: int) -> State:
    return map_state(lambda tensor: tensor[row : row + 1], state)


@torch.no_grad()
def rows_independent(s: Subject) -> Check:
    """Figures would depend on which other streams happen to share the batch."""
    rows, worst, where = 4, 0.0, ""
    inputs, others = s.inputs(rows, 70, "rows"), s.inputs(rows, 70, "other rows")
    state, other_state = s.carried(rows), s.model.initial_state(rows)
    full = s.model(inputs, state)
    for row in range(rows):
        keep = torch.arange(rows, device=inputs.device) == row

        def mix(a: Tensor, b: Tensor, keep: Tensor = keep) -> Tensor:
            return torch.where(keep.to(a.device).view(-1, *[1] * (a.dim() - 1)), a, b)

        changed = s.model(mix(inputs, others), map_state(mix, state, other_state))
        alone = s.model(inputs[row : row + 1], _row(state, row))
        for way, found, at in (("the other rows change", changed, row), ("it is read alone", alone, 0)):
            one = _row(found, at)
            gap, path = furthest(one, _row(full, row), "result")
            if not gap <= worst:
                worst, where = gap, f"row {row} changes when {way} ({path.replace('result.0', 'outputs')})"
    return s.result(
        "rows_independent",
        worst,
        "Each row's outputs and final state stay as they are when the other rows change, and when it is read alone.",
        f"Rows are mixed: {where}. Figures would depend on which other streams happen to share the batch, and a "
        "single deployed stream would behave like none of them.",
    )


@torch.no_grad()
def state_matters(s: Subject) -> Check:
    """A state that does not change the outputs cannot fail with age, and cannot be repaired."""
    touched = [i for i, part in enumerate(s.parts) if part.touched]
    if not touched:
        return Check("state_matters", None, None, None, "No part of the state is recurrent.")
    rows = 3
    inputs = s.inputs(rows, 17, "matters")
    carried, zero = s.carried(rows, 21), s.model.initial_state(rows)
    outputs, _ = s.model(inputs, carried)
    effects = {"the whole state": furthest(s.model(inputs, zero)[0], outputs, "")[0]}
    for i in touched:
        tensors = leaves(carried)
        tensors[i] = leaves(zero)[i]
        effects[s.parts[i].path] = furthest(s.model(inputs, rebuild(carried, tensors))[0], outputs, "")[0]
    threshold = 1e-13 if s.double else 1e-8
    without = [path for path, effect in effects.items() if not effect > threshold]
    if without:
        detail = (
            f"Put back to its initial value, this changes no output: {', '.join(without)}. A part that does nothing "
            "cannot be repaired, and if the whole state does nothing, the model starts from zero at every window."
        )
    else:
        weakest = min(effects, key=effects.__getitem__)
        least = f"{weakest} changes them least, by {effects[weakest]:.1e}"
        detail = f"Each part of the carried state changes the outputs; {least}."
    worst = min(effects.values())
    return Check("state_matters", not without, worst if math.isfinite(worst) else None, threshold, detail)


def nothing_edited_in_place(s: Subject) -> Check:
    """A state handed to two continuations, or kept for later, would have changed in between."""
    rows, edited, noted = 2, [], []
    tensors = dict(s.model.named_parameters())
    buffers = dict(s.model.named_buffers())
    for length, grad in itertools.product((1, 65), (False, True)):
        for start in (s.model.initial_state(rows), s.carried(rows)):
            inputs = s.inputs(rows, length, "edits").clone()
            state = map_state(lambda t: t.detach().clone(), start)
            watched = {"the inputs": inputs, **dict(named_leaves(state)), **tensors, **buffers}
            before = {name: (tensor.detach().clone(), tensor._version) for name, tensor in watched.items()}
            with torch.set_grad_enabled(grad):
                _, returned = s.model(inputs, state)
            kept = map_state(lambda t: t.detach().clone(), returned)
            changed = [
                name
                for name, tensor in watched.items()
                if tensor._version != before[name][1] or not _same_bits(tensor, before[name][0])
            ]
            edited += [name for name in changed if name not in buffers]
            noted += [name for name in changed if name in buffers]
            with torch.no_grad():
                s.model(s.inputs(rows, length, "later"), s.model.initial_state(rows))
            edited += [
                f"{path} as returned earlier"
                for (path, a), b in zip(named_leaves(returned), leaves(kept), strict=True)
                if not _same_bits(a, b)
            ]
    edited, noted = list(dict.fromkeys(edited)), list(dict.fromkeys(noted))
    with torch.no_grad():
        inputs, start = s.inputs(rows, 5, "twice"), s.carried(rows)
        again, _ = furthest(s.model(inputs, start), s.model(inputs, start), "")
    found = []
    if edited:
        found.append(
            f"Edited in place: {', '.join(edited)}. A state handed to two continuations, or kept for later, would have "
            "changed in between, and backpropagation through it fails."
        )
    if again > s.tolerance:
        found.append(
            "The same inputs and state gave different outputs the second time: the module remembers something outside "
            "its state, or draws random numbers. No figure of it could be measured twice."
        )
    buffer_note = f" Buffers that a call changes: {', '.join(noted)}." if noted else ""
    good = "Inputs, given states, parameters and states returned earlier stay as they were."
    count = float(len(edited) + (again > s.tolerance))
    return _result("nothing_edited_in_place", count, 0.0, good + buffer_note, " ".join(found) + buffer_note)


def _same_bits(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and bool(torch.equal(a, b) or torch.allclose(a, b, rtol=0, atol=0, equal_nan=True))


@torch.no_grad()
def save_load_exact(s: Subject) -> Check:
    """A saved model would not be the one that was measured."""
    model = s.original
    saved = safetensors.torch.load(safetensors.torch.save(tensors_of(model)))
    hidden = sorted({name for name, _ in model.named_buffers()} - set(model.state_dict()))
    recipe = getattr(model, "recipe", None)
    if recipe is None:
        loaded = copy.deepcopy(model)
        for tensor in loaded.state_dict().values():
            tensor.zero_()
    else:
        loaded = from_recipe(recipe).to(device_of(model)).eval()
    put_tensors(loaded, saved, "the saved file")
    worst = _apart(s, model, loaded)
    if worst == 0.0 and recipe is None and hidden and _buffers_matter(s, model, hidden):
        return Check(
            "save_load_exact",
            None,
            None,
            None,
            "Parameters and persistent buffers come back bit for bit, but the outputs also depend on "
            f"{_listed(hidden)}, which is not saved. Whether building the model restores it cannot be asked of a "
            "module passed as an object: name its factory (from_factory).",
        )
    suspects = f" It is not saved: {_listed(hidden)} (persistent=False)." if hidden else ""
    return _result(
        "save_load_exact",
        worst,
        0.0,
        "Saved and loaded, the model gives the same outputs and final state, bit for bit.",
        "Saved and loaded, the model gives other outputs: something it uses is neither a parameter nor a persistent "
        f"buffer, and building it anew does not restore it.{suspects} A saved model would not be the one measured.",
    )


def _apart(s: Subject, model: Recurrent, other: Recurrent) -> float:
    dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
    inputs = s.draw(2, 11, "saved", dtype)
    pairs = zip(
        leaves(model(inputs, model.initial_state(2))), leaves(other(inputs, other.initial_state(2))), strict=True
    )
    return max(0.0 if _same_bits(a, b) else max(_finite(difference(b, a)), 1e-300) for a, b in pairs)


def _buffers_matter(s: Subject, model: Recurrent, names: Sequence[str]) -> bool:
    changed = copy.deepcopy(model)
    for name, buffer in changed.named_buffers():
        if name in names and buffer.is_floating_point():
            buffer.add_(1.0)
    return _apart(s, model, changed) > 0.0


def _listed(items: Sequence[Any]) -> str:
    texts = [str(item) for item in items]
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"


POINTS: dict[str, Callable[[Subject], Check]] = {
    point.__name__: point
    for point in (
        chunked_equals_whole,
        step_equals_parallel,
        gradient_through_state,
        rows_independent,
        state_matters,
        nothing_edited_in_place,
        save_load_exact,
    )
}
