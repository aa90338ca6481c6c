"""`check`: does a model keep the contract of a recurrent model, and what does it cost where it does not?"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from outlast.arguments import at_least, taking, tensor_of
from outlast.contract.case import Subject, class_of, in_use, subject_of
from outlast.contract.points import COMPARE, POINTS, Point, told_apart
from outlast.errors import raised
from outlast.modules.precision import Probe, dtype_name, dtypes_of
from outlast.results import VERSION, Check, CheckReport, forgetting, one_at_a_time
from outlast.turns import waiting


@taking
def check(
    model: nn.Module,
    example: Tensor | np.ndarray | Sequence[Any] | None = None,
    *,
    seed: int = 0,
    thorough: bool = False,
) -> CheckReport:
    """Put a model through the points of the contract.

    Everything runs on copies, in eval mode, and twice: in the precision in which the model will be measured, and in
    float64, where hardly anything is rounding; there float32 that is written into the model's code is taken for float64
    where it then computes the same thing. Gradients and the effect of the state are asked in float64 alone, or else in
    float32, in which half-precision models are trained. What two ways of computing may differ by is measured on the
    model itself (`outlast.contract.case.Subject.allowed`), and never below a floor for each precision.

    Args:
        model: a `Recurrent`, or any module that `adapt` accepts.
        example: typical inputs, (B, T) integers or (B, T, F) floats, from which positions are drawn at random;
            without it inputs are random, as `model.input_spec` says.
        seed: of the random inputs.
        thorough: read up to 2,200 positions rather than 300: finds what goes wrong only in longer windows or at higher
            ages, and takes some ten times as long.

    Returns:
        A report whose checks are, in this order, repeatable, finite, causal, chunked_equals_whole,
        step_equals_parallel, gradient_through_state, rows_independent, state_matters, nothing_edited_in_place,
        save_load_exact and buffers_saved. `worst` and `tolerance` are relative differences, unless the detail says
        otherwise. A check that fails because of another names it in `follows_from`.

    Raises:
        InputError: the module cannot be adapted or copied, its state is not batch-first, or it is not known what
            it reads.
    """
    at_least(0, seed, "seed")
    given = None if example is None else tensor_of(example, "example")
    return examined(subject_of(model, given, seed=seed), "thorough" if thorough else "usual")


Reach = Literal["quick", "usual", "thorough"]
"""How much is read: `Point.quick`, `Point.sizes` or `Point.thorough`."""


def examined(exact: Subject, reach: Reach) -> CheckReport:
    """The report about a model, by how much is read. `quick` takes a tenth of the usual time and shows the same faults,
    but measures what rounding may do only where two readings differ by more than the tolerance of their precision."""
    exact = replace(exact, in_doubt=reach == "quick")
    used, note = in_use(exact)
    own = Probe.of(used.model).narrowest
    precisions = [dtype_name(each) for each in dict.fromkeys((own, exact.dtype))]
    about = {
        "class": class_of(exact.original),
        "parameters": exact.original.numbers,
        "dtype": " and ".join(dtypes_of(exact.original)) or None,
        "state_parts": [part.path for part in exact.parts],
        "checked_in": precisions,
    }
    checks: list[Check] = []
    faults: dict[str, str] = {}
    for name, point in POINTS.items():
        if name in COMPARE and _gives_two_answers(checks, faults):
            checks.append(Check(name, None, None, None, _TWO_ANSWERS, follows_from="repeatable"))
            continue
        found, fault = _ask(name, point, exact, reach)
        if point.in_use and own != exact.dtype:
            in_own, own_fault = _ask(name, point, used, reach)
            found, fault = _both(found, in_own, exact, own), fault or own_fault
        checks.append(found)
        # Sizes in a message differ between points; the fault is the same.
        faults |= {name: re.sub(r"\d+", "#", fault)} if fault else {}
    settings = {
        "thorough": reach == "thorough",
        "seed": exact.seed,
        "positions": max(each.positions or 0 for each in checks),
        "tolerances": {dtype_name(own): used.tolerance, dtype_name(exact.dtype): exact.tolerance},
    }
    notes = [*([forgetting(used.model.forgets)] if used.model.forgets else []), *([note] if note else [])]
    if why := waiting(exact.model) or waiting(used.model):
        notes.append(one_at_a_time(why))
    return CheckReport(about, told_apart(checks, faults), notes, settings, outlast=VERSION)


def _gives_two_answers(checks: Sequence[Check], faults: Mapping[str, str]) -> bool:
    return any(each.name == "repeatable" and each.passed is False for each in checks) and "repeatable" not in faults


_TWO_ANSWERS = "Not asked: the same inputs and state give two answers, so no two readings can be compared."


def _both(exact: Check, used: Check, subject: Subject, own: torch.dtype) -> Check:
    """What is found in the precision of use, unless the fault shows only without its rounding."""
    told, precisely = dtype_name(own), dtype_name(subject.dtype)
    if exact.passed is False:
        found = replace(exact, detail=f"In {precisely}: {exact.detail}")
    elif used.passed is False:
        found = replace(used, detail=f"In {told}: {used.detail}")
    else:
        found = used if used.passed else exact
    return replace(found, asked_in=[told, precisely])


def _ask(name: str, point: Point, subject: Subject, reach: Reach) -> tuple[Check, str | None]:
    """What asking found, and what the model raised, if it did."""
    sizes = {"quick": point.quick, "usual": point.sizes, "thorough": point.thorough}[reach]
    precision = [dtype_name(subject.dtype if subject.double else Probe.of(subject.model).narrowest)]
    try:
        return replace(point.ask(subject, sizes), asked_in=precision), None
    except Exception as error:  # a model that raises has broken the point, whatever it raised
        told = raised(error)
        return Check(name, False, None, None, f"The model raised {told}.", None, precision, sizes.length), told
