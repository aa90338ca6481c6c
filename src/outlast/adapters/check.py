"""`check`: does a model keep the contract of a recurrent model, and what does it cost where it does not?"""

from __future__ import annotations

from torch import Tensor, nn

from outlast.adapters.contract import POINTS, Point
from outlast.adapters.subject import Subject, class_of, subject_of
from outlast.results import VERSION, Check, CheckReport


def check(model: nn.Module, example: Tensor | None = None, *, seed: int = 0) -> CheckReport:
    """Put a model through the seven points of the contract.

    Everything runs on a copy, in eval mode: in float64 where all of the model can compute in it, else in float32.

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
    subject = subject_of(model, example, seed=seed)
    about = {
        "class": class_of(subject.original),
        "parameters": sum(parameter.numel() for parameter in subject.original.parameters()),
        "state_parts": [part.path for part in subject.parts],
        "checked_in": "float64" if subject.double else "float32",
    }
    return CheckReport(about, [_ask(name, point, subject) for name, point in POINTS.items()], outlast=VERSION)


def _ask(name: str, point: Point, subject: Subject) -> Check:
    try:
        return point.ask(subject, point.sizes)
    except Exception as error:  # a model that raises has broken the point, whatever it raised
        lines = str(error).strip().splitlines() or ["without a message"]
        first = (point.ask.__doc__ or "").strip().splitlines()[0]
        return Check(name, False, None, None, f"The model raised {type(error).__name__}: {lines[0]}. It costs: {first}")
