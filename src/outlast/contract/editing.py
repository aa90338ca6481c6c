"""Points of the contract about what a call leaves behind."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import torch
from torch import Tensor

from outlast.contract.case import Sizes, Subject
from outlast.contract.comparing import apart
from outlast.results import Check
from outlast.state import State, leaves, map_state, named_leaves


def repeatable(s: Subject, sizes: Sizes) -> Check:
    """No figure could be measured twice, and streams that share a model would disturb one another."""
    rows, length = sizes.rows, sizes.length
    state = s.start(rows)
    asked = [s.inputs(rows, n, "twice") for n in sorted({1, length})]
    others = itertools.count()  # never the same twice: what they leave behind would be the same, too

    def answers(seed: int | None) -> list[tuple[Any, State]]:
        """Of all readings, one after another, by the same random numbers each time where there is a seed."""
        found = []
        for inputs in asked:
            with torch.random.fork_rng(enabled=seed is not None):
                if seed is not None:
                    torch.manual_seed(seed)
                found.append(s.run(inputs, state))
        s.run(s.inputs(rows, length, f"in between {next(others)}"), state)
        return found

    def furthest(seed: int | None) -> float:
        pairs = zip(answers(seed), answers(seed), strict=True)
        return max(_between(one, two) for one, two in pairs)

    size = furthest(None)
    passed = size <= s.tolerance
    if passed:
        detail = "The same inputs and state give the same answer again, after other streams were read in between."
    elif furthest(0) <= s.tolerance:
        detail = (
            "The same inputs and state gave two answers: the model draws random numbers in eval mode. No figure of it "
            "could be measured twice."
        )
    else:
        detail = (
            "The same inputs and state gave two answers: the model remembers something outside its state. What one "
            "stream leaves there, the next one reads."
        )
    worst = size if size < float("inf") else None
    return Check("repeatable", passed, worst, s.tolerance, detail, positions=length)


def _between(one: tuple[Any, State], two: tuple[Any, State]) -> float:
    """The largest difference; none where the same numbers are missing from both."""
    if all(same_bits(a, b) for a, b in zip(leaves(one), leaves(two), strict=True)):
        return 0.0
    return max(float(gap.max()) for gap in apart(two, one).values())


def nothing_edited_in_place(s: Subject, sizes: Sizes) -> Check:
    """A state handed to two continuations, or kept for later, would have changed in between."""
    rows, edited, noted = sizes.rows, [], []
    model = copy.deepcopy(s.model)
    tensors = {_own_name(name): tensor for name, tensor in model.named_parameters()}
    buffers = {_own_name(name): tensor for name, tensor in model.named_buffers()}
    for (*_, length), grad in itertools.product(sizes.ways, (False, True)):
        for start in (s.start(rows), s.carried(rows)):
            inputs = s.inputs(rows, length, "edits").clone()
            state = map_state(lambda t: t.detach().clone(), start)
            watched = {"the inputs": inputs, **dict(named_leaves(state)), **tensors, **buffers}
            before = {name: (tensor.detach().clone(), tensor._version) for name, tensor in watched.items()}
            with torch.set_grad_enabled(grad), s.arithmetic():
                _, returned = model(inputs, state)
            kept = map_state(lambda t: t.detach().clone(), returned)
            changed = [
                name
                for name, tensor in watched.items()
                if tensor._version != before[name][1] or not same_bits(tensor, before[name][0])
            ]
            edited += [name for name in changed if name not in buffers]
            noted += [name for name in changed if name in buffers]
            with torch.no_grad(), s.arithmetic():
                model(s.inputs(rows, length, "later"), s.start(rows))
            edited += [
                f"{path} as returned earlier"
                for (path, a), b in zip(named_leaves(returned), leaves(kept), strict=True)
                if not same_bits(a, b)
            ]
    edited, noted = list(dict.fromkeys(edited)), list(dict.fromkeys(noted))
    buffer_note = f" Buffers that a call changes: {', '.join(noted)}." if noted else ""
    detail = (
        f"Edited in place: {', '.join(edited)}. A state handed to two continuations, or kept for later, would have "
        "changed in between, and backpropagation through it fails."
        if edited
        else "Inputs, given states, parameters and states returned earlier stay as they were."
    )
    length = max(way[-1] for way in sizes.ways)
    return Check("nothing_edited_in_place", not edited, float(len(edited)), 0.0, detail + buffer_note, positions=length)


def _own_name(name: str) -> str:
    """The name that a tensor has in the user's module, inside an adapter or not."""
    return name.removeprefix("module.")


def same_bits(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and bool(torch.equal(a, b) or torch.allclose(a, b, rtol=0, atol=0, equal_nan=True))
