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

from outlast.adapters.factory import from_blueprint
from outlast.adapters.precision import runnable, wide_copy
from outlast.adapters.subject import Sizes, Subject, cut, difference, read, result
from outlast.adapters.weights import put_tensors, tensors_of
from outlast.model import Recurrent, device_of
from outlast.onnx import OnnxModel
from outlast.randomness import generator
from outlast.results import Check
from outlast.state import State, leaves, map_state, named_leaves, rebuild


@torch.no_grad()
def chunked_equals_whole(s: Subject, sizes: Sizes) -> Check:
    """Evaluation past the first window, and any repair, would silently be of another model than the one deployed."""
    rows, length, worst, where = sizes.rows, sizes.length, 0.0, ""
    inputs = s.inputs(rows, length, "whole")
    for start, state in (("the initial state", s.model.initial_state(rows)), ("a carried state", s.carried(rows))):
        outputs, final = s.model(inputs, state)
        for way in sizes.ways:
            found_outputs, found_final = read(s.model, cut(inputs, way), state)
            for found, wanted, prefix in ((found_outputs, outputs, "outputs"), (found_final, final, "layers")):
                gap, path = s.furthest(found, wanted, prefix)
                if not gap <= worst:
                    worst = gap
                    kind = "outputs" if prefix == "outputs" else f"final state ({path})"
                    where = f"the {kind} after splitting {length} positions at {way[:-1]}, from {start}"
    return s.result(
        "chunked_equals_whole",
        worst,
        f"{len(sizes.ways)} ways of reading {length} positions in pieces, from the initial and from a carried state, "
        "give the outputs and the final state of one pass.",
        _why_chunks_differ(s, where) if worst > s.tolerance else "",
    )


def _why_chunks_differ(s: Subject, where: str) -> str:
    rows, inputs = 3, s.inputs(3, 65, "dropped")
    carried, zero = s.carried(rows), s.model.initial_state(rows)
    ignored = [
        length
        for length in (1, 2, 65)
        if s.furthest(s.model(inputs[:, :length], carried)[0], s.model(inputs[:, :length], zero)[0], "")[0] == 0.0
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
def step_equals_parallel(s: Subject, sizes: Sizes) -> Check:
    """What is measured on windows would not be what a deployment that reads one position at a time does."""
    rows, length = sizes.rows, sizes.length
    lengths = sorted({end for way in sizes.ways for end in way})
    inputs = s.inputs(rows, length, "steps")
    start = s.carried(rows)
    outputs, states, state = [], {}, start
    for position in range(length):
        output, state = s.model(inputs[:, position : position + 1], state)
        outputs.append(output)
        states[position + 1] = state
    stepped = map_state(lambda *tensors: torch.cat(tensors, 1), *outputs)
    worst_output, _ = s.furthest(s.model(inputs, start)[0], stepped, "outputs")
    gaps = {n: s.furthest(s.model(inputs[:, :n], start)[1], states[n], "layers") for n in lengths}
    wrong = [n for n in lengths if gaps[n][0] > s.tolerance]
    right = [n for n in lengths if n not in wrong]
    found = []
    if worst_output > s.tolerance:
        found.append(f"the outputs of one pass over {length} positions are off by {worst_output:.1e} (relative)")
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
        f"{length} single positions give the outputs of one pass, and the final state of passes over "
        f"{_listed(lengths)} positions.",
        f"Against one position at a time, {' and '.join(found)}.{grid} What is measured on windows would not be what "
        "a deployment that reads one position at a time does.",
    )


def gradient_through_state(s: Subject, sizes: Sizes) -> Check:
    """Training through a carried state (tbtt, or a learned start) would fail, or follow wrong gradients."""
    touched = [i for i, part in enumerate(s.parts) if part.touched]
    if not touched:
        return Check("gradient_through_state", None, None, None, "No part of the state is recurrent.")
    if s.model.without_gradients:
        return Check("gradient_through_state", None, None, None, f"{s.model.without_gradients}.")
    # cuDNN refuses the backward pass of an RNN in eval mode.
    with torch.backends.cudnn.flags(enabled=False):
        worst, where = max(
            (_gradient_gap(s, touched, sizes.rows, first, end - first) for first, end in sizes.ways),
            key=lambda pair: pair[0],
        )
    return result(
        "gradient_through_state",
        worst,
        1e-6 if s.double else 2e-2,
        "The gradient of a loss on one window flows back through the carried state to the start of the window before, "
        "and agrees with finite differences.",
        f"The gradient through the carried state is wrong or cut: {where}. Training through a carried state (tbtt) "
        "would learn as if each window stood alone, or follow a wrong gradient.",
    )


def _gradient_gap(s: Subject, touched: Sequence[int], rows: int, first: int, second: int) -> tuple[float, str]:
    """How far the gradient back through the state is from that of one pass, and from finite differences."""
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
def rows_independent(s: Subject, sizes: Sizes) -> Check:
    """Figures would depend on which other streams happen to share the batch."""
    rows, length, worst, where = sizes.rows, sizes.length, 0.0, ""
    inputs, others = s.inputs(rows, length, "rows"), s.inputs(rows, length, "other rows")
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
            gap, path = s.furthest(one, _row(full, row), "result")
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
def state_matters(s: Subject, sizes: Sizes) -> Check:
    """A state that does not change the outputs cannot fail with age, and cannot be repaired."""
    touched = [i for i, part in enumerate(s.parts) if part.touched]
    if not touched:
        return Check("state_matters", None, None, None, "No part of the state is recurrent.")
    rows, (before, end) = sizes.rows, sizes.ways[0]
    inputs = s.inputs(rows, end - before, "matters")
    carried = s.carried(rows, before)
    other = s.far_from(carried) if s.noise else s.model.initial_state(rows)
    outputs, _ = s.model(inputs, carried)
    effects = {"the whole state": s.furthest(s.model(inputs, other)[0], outputs, "")[0]}
    for i in touched:
        tensors = leaves(carried)
        tensors[i] = leaves(other)[i]
        effects[s.parts[i].path] = s.furthest(s.model(inputs, rebuild(carried, tensors))[0], outputs, "")[0]
    threshold = 1e-13 if s.double else 1e-8
    without = [path for path, effect in effects.items() if not effect > threshold]
    if without:
        detail = (
            f"{'Moved far' if s.noise else 'Put back to its initial value'}, this changes no output: "
            f"{', '.join(without)}. A part that does nothing "
            "cannot be repaired, and if the whole state does nothing, the model starts from zero at every window."
        )
    else:
        weakest = min(effects, key=effects.__getitem__)
        least = f"{weakest} changes them least, by {effects[weakest]:.1e}"
        detail = f"Each part of the carried state changes the outputs; {least}."
    worst = min(effects.values())
    return Check("state_matters", not without, worst if math.isfinite(worst) else None, threshold, detail)


def nothing_edited_in_place(s: Subject, sizes: Sizes) -> Check:
    """A state handed to two continuations, or kept for later, would have changed in between."""
    rows, edited, noted = sizes.rows, [], []
    tensors = dict(s.model.named_parameters())
    buffers = dict(s.model.named_buffers())
    for (*_, length), grad in itertools.product(sizes.ways, (False, True)):
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
        again, _ = s.furthest(s.model(inputs, start), s.model(inputs, start), "")
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
    return result("nothing_edited_in_place", count, 0.0, good + buffer_note, " ".join(found) + buffer_note)


def _same_bits(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and bool(torch.equal(a, b) or torch.allclose(a, b, rtol=0, atol=0, equal_nan=True))


@torch.no_grad()
def save_load_exact(s: Subject, sizes: Sizes) -> Check:
    """A saved model would not be the one that was measured."""
    model = s.original
    saved = safetensors.torch.load(safetensors.torch.save(tensors_of(model)))
    hidden = sorted({name for name, _ in model.named_buffers()} - set(model.state_dict()))
    blueprint = getattr(model, "blueprint", None)
    if isinstance(model, OnnxModel):
        loaded = model.again()
    elif blueprint is None:
        loaded = copy.deepcopy(model)
        for tensor in loaded.state_dict().values():
            tensor.zero_()
    else:
        loaded = from_blueprint(blueprint).to(device_of(model)).eval()
    put_tensors(loaded, saved, "the saved file")
    worst = _apart(s, sizes, model, loaded)
    if worst == 0.0 and blueprint is None and hidden and _buffers_matter(s, sizes, model, hidden):
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
    return result(
        "save_load_exact",
        worst,
        0.0,
        "Saved and loaded, the model gives the same outputs and final state, bit for bit.",
        "Saved and loaded, the model gives other outputs: something it uses is neither a parameter nor a persistent "
        f"buffer, and building it anew does not restore it.{suspects} A saved model would not be the one measured.",
    )


def _apart(s: Subject, sizes: Sizes, model: Recurrent, other: Recurrent) -> float:
    dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
    inputs = s.draw(sizes.rows, sizes.length, "saved", dtype)
    if runnable(model, inputs)[1]:  # the same bits, wider: as they are, this device cannot run them
        model, other = wide_copy(model), wide_copy(other)
    found, wanted = (leaves(each(inputs, each.initial_state(sizes.rows))) for each in (model, other))
    pairs = zip(found, wanted, strict=True)
    return max(0.0 if _same_bits(a, b) else max(_finite(difference(b, a)), 1e-300) for a, b in pairs)


def _buffers_matter(s: Subject, sizes: Sizes, model: Recurrent, names: Sequence[str]) -> bool:
    changed = copy.deepcopy(model)
    for name, buffer in changed.named_buffers():
        if name in names and buffer.is_floating_point():
            buffer.add_(1.0)
    return _apart(s, sizes, model, changed) > 0.0


def _listed(items: Sequence[Any]) -> str:
    texts = [str(item) for item in items]
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"


@dataclass(frozen=True)
class Point:
    """One promise of the contract.

    Args:
        ask: whether a model keeps it, asked with inputs of some sizes.
        sizes: those of `outlast check`; the tests draw theirs.
    """

    ask: Callable[[Subject, Sizes], Check]
    sizes: Sizes


_AROUND = (1, 63, 64, 65, 127, 129)
"""Lengths beside the usual chunk sizes (16, 32, 64, 128), where a state taken on the chunk grid shows."""

POINTS: dict[str, Point] = {
    point.ask.__name__: point
    for point in (
        Point(
            chunked_equals_whole,
            Sizes(3, (*((end, 130) for end in _AROUND), (7, 20, 21, 130), (1, 64, 65, 128, 130))),
        ),
        Point(step_equals_parallel, Sizes(2, ((1, 2, 63, 64, 65, 127, 128, 130),))),
        Point(gradient_through_state, Sizes(2, ((5, 11), (1, 2), (67, 70)))),
        Point(rows_independent, Sizes(4, ((70,),))),
        Point(state_matters, Sizes(3, ((21, 38),))),
        Point(nothing_edited_in_place, Sizes(2, ((1,), (65,)))),
        Point(save_load_exact, Sizes(2, ((11,),))),
    )
}
"""The contract. `outlast check` asks every point, and the tests ask every point of every family and adapter."""
