"""Points of the contract about reading: all at once, in pieces, position by position, row by row."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from outlast.contract.case import Sizes, Subject, cut
from outlast.contract.comparing import Gap, apart, worst
from outlast.contract.parts import read_parts
from outlast.results import Check
from outlast.state import State, continuous, leaves, map_state


def finite(s: Subject, sizes: Sizes) -> Check:
    """Losses and states would be no numbers, and nothing about them could be measured."""
    rows, length = sizes.rows, sizes.length
    inputs = s.inputs(rows, length, "whole")
    for start, state in (("the initial state", s.start(rows)), ("a carried state", s.carried(rows))):
        outputs, final = s.run(inputs, state)
        for tensor in (each for each in leaves(outputs) if continuous(each)):
            bad = (~tensor.isfinite()).reshape(rows, length, -1).any(2).any(0).nonzero()
            if len(bad):
                told = f"The outputs are no finite numbers from position {int(bad[0])} on, from {start}"
                return _not_finite(told, length)
        for part, tensor in zip(s.parts, leaves(final), strict=True):
            if continuous(tensor) and part.kind != "attention" and not bool(tensor.isfinite().all()):
                return _not_finite(f"{part.path} is no finite number after {length} positions, from {start}", length)
    good = f"Outputs and states are finite numbers over {length} positions."
    return Check("finite", True, None, None, good, positions=length)


def _not_finite(found: str, length: int) -> Check:
    return Check("finite", False, None, None, f"{found}.", positions=length)


def causal(s: Subject, sizes: Sizes) -> Check:
    """Figures would be of a model that knows what comes next, which no deployed one does."""
    rows, length, found = sizes.rows, sizes.length, Gap()
    inputs, others = s.inputs(rows, length, "causal"), s.inputs(rows, length, "another future")
    state = s.carried(rows)
    answer = s.run(inputs, state)
    cuts = {end for way in sizes.ways for end in way if end < length} | {max(1, length // 2)}
    for at in sorted(cuts):
        changed = s.run(torch.cat([inputs[:, :at], others[:, at:]], 1), state)
        before = {path: sizes[:at] for path, sizes in apart(changed, answer, s.floor).items() if path[:7] == "outputs"}
        # The same shapes in the same order: rounding is the same, too.
        gap = worst(before, {path: torch.full_like(sizes, s.tolerance) for path, sizes in before.items()})
        found = found.worse(replace(gap, place=f"{gap.place} change with the inputs from position {at} on"))
    return s.judged(
        "causal",
        found,
        "Outputs do not change with inputs that come after them.",
        f"The model looks ahead: {found.place}. Reading in pieces, where the next inputs are not there yet, is then "
        "another model, and so is every deployed one.",
        length,
    )


def chunked_equals_whole(s: Subject, sizes: Sizes) -> Check:
    """Evaluation past the first window, and any repair, would silently be of another model than the one deployed."""
    rows, found = sizes.rows, Gap()
    all_inputs = s.inputs(rows, sizes.length, "whole")
    broken: list[Sequence[int]] = []
    for start, state in (("the initial state", s.start(rows)), ("a carried state", s.carried(rows))):
        for end in sorted({way[-1] for way in sizes.ways}):
            inputs = all_inputs[:, :end]
            whole = s.run(inputs, state)
            allowed = s.allowed(inputs, state, whole)
            for way in (way for way in sizes.ways if way[-1] == end):
                gap = s.compared(s.read(cut(inputs, way), state), whole, allowed)
                broken += [way] if gap.broken else []
                where = f"{gap.place} after splitting {end} positions at {way[:-1]}, from {start}"
                found = found.worse(replace(gap, place=where))
    check = s.judged(
        "chunked_equals_whole",
        found,
        f"{len(sizes.ways)} ways of reading up to {sizes.length} positions in pieces, from the initial and from a "
        "carried state, give the outputs and the final state of one pass.",
        _why_chunks_differ(s, sizes, found.place, broken) if found.broken else "",
        sizes.length,
    )
    only_single = broken and all(map(_has_single, broken)) and not all(map(_has_single, sizes.ways))
    return replace(check, follows_from="step_equals_parallel") if only_single else check


def _has_single(way: Sequence[int]) -> bool:
    return any(end - start == 1 for start, end in itertools.pairwise((0, *way)))


def _why_chunks_differ(s: Subject, sizes: Sizes, where: str, broken: Sequence[Sequence[int]]) -> str:
    """What is dropped, or from which length on passes are wrong."""
    many, one = read_parts(s, 3, 65), read_parts(s, 3, 1)
    touched = [part.path for part in s.parts if part.touched]
    dropped = [path for path, read in many.items() if not read and one[path]]
    unread = [path for path, read in many.items() if not read and not one[path]]
    largest = f" Largest difference: {where}."
    if set(touched) <= set(unread):
        return (
            "The carried state is dropped: the model starts from zero at every window, so nothing that outlast "
            f"measures or repairs past the first window would be real.{largest}"
        )
    if set(touched) <= {*dropped, *unread}:
        return (
            f"The carried state ({_listed(dropped)}) is dropped when more than one position is read: evaluation past "
            f"the first chunk and any repair would silently be of a model that starts from zero.{largest}"
        )
    if dropped:
        return (
            f"{_listed(dropped)} is taken up by single positions, and dropped when more than one position is read: "
            f"the rest of the state goes on without it.{largest}"
        )
    right = {way[-1] for way in sizes.ways} - {way[-1] for way in broken}
    longest = _longest_right(s, max(right, default=0), min(way[-1] for way in broken))
    if longest is not None:
        return (
            f"One pass over more than {longest} positions is not what pieces of 32 give; passes of up to {longest} "
            f"are right.{largest}"
        )
    if _on_the_grid(s):
        return (
            "The final state looks as if it were taken at the end of the last full chunk, not after the last position: "
            f"whoever carries it on goes on from a state that has not read the latest inputs.{largest}"
        )
    idle = f" {_listed(unread)} changes nothing that follows." if unread else ""
    return (
        f"Reading in pieces is not reading at once.{largest}{idle} Something that the outputs depend on is not in the "
        "state, or is handed out as it was before the last positions: a count of positions that starts anew with "
        "every call, the last inputs of a convolution, a sum that is never returned."
    )


def _longest_right(s: Subject, right: int, wrong: int) -> int | None:
    """The longest pass that gives what pieces of 32 positions do, found by halving between a length at which ways of
    reading agree and one at which they do not; None where length is not what makes the difference."""
    rows = 2
    inputs, state = s.inputs(rows, wrong, "longest"), s.start(rows)

    def differs(length: int) -> bool:
        read = inputs[:, :length]
        whole = s.run(read, state)
        pieces = s.read(cut(read, (*range(32, length, 32), length)), state)
        return s.compared(pieces, whole, s.allowed(read, state, whole)).broken

    if not 32 < right < wrong or differs(right) or not differs(wrong):
        return None
    while wrong - right > 1:
        middle = (right + wrong) // 2
        right, wrong = (right, middle) if differs(middle) else (middle, wrong)
    return right


def _on_the_grid(s: Subject) -> bool:
    """Whether final states are right after 64 and 128 positions, and wrong beside them."""
    rows, lengths = 2, (63, 64, 65, 127, 128, 129)
    inputs, state = s.inputs(rows, 129, "grid"), s.carried(rows)
    states = _stepped(s, inputs, state)[1]
    wrong = [n for n in lengths if _state_gap(s, inputs[:, :n], state, states[n - 1]).broken]
    return bool(wrong) and 64 not in wrong and 128 not in wrong


def _stepped(s: Subject, inputs: Tensor, state: State) -> tuple[Any, list[State]]:
    """Outputs of reading one position at a time, and the state after each."""
    outputs, states = [], []
    for position in range(inputs.shape[1]):
        output, state = s.run(inputs[:, position : position + 1], state)
        outputs.append(output)
        states.append(state)
    return map_state(lambda *tensors: torch.cat(tensors, 1), *outputs), states


def _state_gap(s: Subject, inputs: Tensor, start: State, stepped: State) -> Gap:
    """How far the final state of one pass is from that of single positions."""
    whole = s.run(inputs, start)
    allowed = s.allowed(inputs, start, whole)
    gaps = apart((whole[0], stepped), whole, s.floor)
    return s.worst({path: sizes for path, sizes in gaps.items() if path[:7] != "outputs"}, allowed)


def step_equals_parallel(s: Subject, sizes: Sizes) -> Check:
    """What is measured on windows would not be what a deployment that reads one position at a time does."""
    rows, length = sizes.rows, sizes.length
    lengths = sorted({end for way in sizes.ways for end in way})
    inputs, start = s.inputs(rows, length, "steps"), s.carried(rows)
    outputs, states = _stepped(s, inputs, start)
    whole = s.run(inputs, start)
    found = s.compared((outputs, whole[1]), whole, s.allowed(inputs, start, whole))
    told = [f"{found.place} of {length} differ by {found.size:.1e} (relative)"] if found.broken else []
    gaps = {n: _state_gap(s, inputs[:, :n], start, states[n - 1]) for n in lengths}
    if wrong := [n for n in lengths if gaps[n].broken]:
        right = [n for n in lengths if n not in wrong]
        places = sorted({gaps[n].place for n in wrong})
        agrees = f", though right after {_listed(right)}" if right else ""
        told.append(f"{_listed(places)} is wrong after {_listed(wrong)} positions{agrees}")
    for gap in gaps.values():
        found = found.worse(replace(gap, judged=found.judged))
    return s.judged(
        "step_equals_parallel",
        found,
        f"{length} single positions give the outputs of one pass, and the final state of passes over "
        f"{_listed(lengths)} positions.",
        f"Against one position at a time, {' and '.join(told)}. What is measured on windows would not be what "
        "a deployment that reads one position at a time does.",
        length,
    )


def rows_independent(s: Subject, sizes: Sizes) -> Check:
    """Figures would depend on which other streams happen to share the batch."""
    rows, length, found = sizes.rows, sizes.length, Gap()
    inputs, others = s.inputs(rows, length, "rows"), s.inputs(rows, length, "other rows")
    state, other_state = s.carried(rows), s.start(rows)
    full = s.run(inputs, state)
    allowed = s.allowed(inputs, state, full)
    for row in range(rows):
        only = torch.arange(rows, device=inputs.device) == row

        def mix(a: Tensor, b: Tensor, only: Tensor = only) -> Tensor:
            return torch.where(only.to(a.device).view(-1, *[1] * (a.dim() - 1)), a, b)

        changed = s.run(mix(inputs, others), map_state(mix, state, other_state))
        alone = s.run(inputs[row : row + 1], map_state(lambda t, row=row: t[row : row + 1], state))
        for way, answer in (("the other rows change", changed), ("it is read alone", alone)):
            # Of the answer only this row, the others as they were: differences are relative to all rows' values.
            seen = tuple(
                map_state(lambda one, all_rows, mix=mix: mix(one.expand_as(all_rows), all_rows), found_part, full_part)
                for found_part, full_part in zip(answer, full, strict=True)
            )
            gap = s.compared((seen[0], seen[1]), full, allowed)
            found = found.worse(replace(gap, place=f"of row {row}, {gap.place} change when {way}"))
    return s.judged(
        "rows_independent",
        found,
        "Each row's outputs and final state stay as they are when the other rows change, and when it is read alone.",
        f"Rows are mixed: {found.place}. Figures would depend on which other streams happen to share the batch, and a "
        "single deployed stream would behave like none of them.",
        length,
    )


def _listed(items: Sequence[Any]) -> str:
    texts = [str(item) for item in items]
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"
