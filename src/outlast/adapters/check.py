"""`check`: does a model keep the contract of a recurrent model, and what does it cost where it does not?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from outlast.adapters.contract import POINTS, Point
from outlast.adapters.precision import dtypes_of
from outlast.adapters.subject import Subject, class_of, in_use, narrowest, subject_of
from outlast.arguments import at_least, taking, tensor_of
from outlast.errors import raised
from outlast.results import VERSION, Check, CheckReport


@taking
def check(
    model: nn.Module, example: Tensor | np.ndarray | Sequence[Any] | None = None, *, seed: int = 0
) -> CheckReport:
    """Put a model through the seven points of the contract.

    Everything runs on copies, in eval mode, and twice: in the precision in which the model will be measured, within a
    tolerance for its rounding (`outlast.adapters.subject.TOLERANCES`), and in float64, where all of the model can
    compute in it: there hardly anything is rounding. Gradients and the effect of the state are asked in float64 alone,
    or else in float32, in which half-precision models are trained.

    Args:
        model: a `Recurrent`, or any module that `adapt` accepts.
        example: typical inputs, (B, T) integers or (B, T, F) floats, from which positions are drawn at random;
            without it inputs are random, as `model.input_spec` says.
        seed: of the random inputs.

    Returns:
        A report whose checks are, in this order, chunked_equals_whole, step_equals_parallel, gradient_through_state,
        rows_independent, state_matters, nothing_edited_in_place and save_load_exact. `worst` and `tolerance` are
        relative differences, unless the detail says otherwise.

    Raises:
        InputError: the module cannot be adapted or copied, its state is not batch-first, or it is not known what
            it reads.
    """
    at_least(0, seed, "seed")
    given = None if example is None else tensor_of(example, "example")
    exact = subject_of(model, given, seed=seed)
    used, note = in_use(exact)
    own = narrowest(used.model)
    about = {
        "class": class_of(exact.original),
        "parameters": exact.original.numbers,
        "dtype": " and ".join(dtypes_of(exact.original)) or None,
        "state_parts": [part.path for part in exact.parts],
        "checked_in": [str(each).removeprefix("torch.") for each in dict.fromkeys((own, exact.dtype))],
    }
    checks = []
    for name, point in POINTS.items():
        found = _ask(name, point, exact)
        if name in IN_USE and own != exact.dtype:
            found = _both(found, _ask(name, point, used), exact, own)
        checks.append(found)
    return CheckReport(about, checks, [note] if note else [], outlast=VERSION)


IN_USE = ("chunked_equals_whole", "step_equals_parallel", "rows_independent", "nothing_edited_in_place")
"""Points that are also asked in the precision of use; save_load_exact is asked in the model's own in any case."""


def _both(exact: Check, used: Check, subject: Subject, own: torch.dtype) -> Check:
    """What is found in the precision of use, unless the fault shows only without its rounding."""
    told, precisely = (str(dtype).removeprefix("torch.") for dtype in (own, subject.dtype))
    if exact.passed is False:
        return replace(exact, detail=f"In {precisely}: {exact.detail}")
    return replace(used, detail=f"In {told}: {used.detail}" if used.passed is False else used.detail)


def _ask(name: str, point: Point, subject: Subject) -> Check:
    try:
        return point.ask(subject, point.sizes)
    except Exception as error:  # a model that raises has broken the point, whatever it raised
        first = (point.ask.__doc__ or "").strip().splitlines()[0]
        return Check(name, False, None, None, f"The model raised {raised(error)}. It costs: {first}")
