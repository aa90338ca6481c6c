"""The contract of a recurrent model: its points, what each reads, and what follows from what.

The first line of a point's docstring says what breaking it costs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from outlast.contract.case import Sizes, Subject
from outlast.contract.editing import nothing_edited_in_place, repeatable
from outlast.contract.gradients import gradient_through_state
from outlast.contract.parts import state_matters
from outlast.contract.reading import causal, chunked_equals_whole, finite, rows_independent, step_equals_parallel
from outlast.contract.saving import buffers_saved, save_load_exact
from outlast.results import Check


@dataclass(frozen=True)
class Point:
    """One promise of the contract.

    Args:
        ask: whether a model keeps it, asked with inputs of some sizes.
        quick: the least that shows every planted fault short of the thorough ones.
        sizes: those of `outlast check`; the tests draw theirs.
        thorough: those of `outlast check --thorough`.
        follows_from: points whose fault makes this one fail as well.
        in_use: whether it is also asked in the precision of use.
    """

    ask: Callable[[Subject, Sizes], Check]
    quick: Sizes
    sizes: Sizes
    thorough: Sizes
    follows_from: tuple[str, ...] = ()
    in_use: bool = False


_AROUND = (1, 63, 64, 65, 127, 129)
"""Lengths beside the usual chunk sizes (16, 32, 64, 128), where a state taken on the chunk grid shows."""

_PIECES = (
    *((end, 130) for end in _AROUND),
    (7, 20, 21, 130),
    (1, 64, 65, 128, 130),
    (100, 200, 300),
    (256, 300),
    (257, 300),
)
_LONG_PIECES = (
    (300, 600),
    (512, 600),
    (*range(300, 2100, 300), 2200),
    (1024, 2200),
    (1025, 2048, 2049, 2200),
)
_STEPS, _LONG_STEPS = (1, 2, 63, 64, 65, 127, 128, 130, 256, 257, 300), (512, 1023, 1024, 1025, 2048, 2200)

POINTS: dict[str, Point] = {
    point.ask.__name__: point
    for point in (
        Point(repeatable, Sizes(2, ((9,),)), Sizes(2, ((65,),)), Sizes(2, ((300,),)), in_use=True),
        Point(finite, Sizes(2, ((65,),)), Sizes(3, ((300,),)), Sizes(3, ((2200,),)), in_use=True),
        Point(
            causal,
            Sizes(2, ((7, 20),)),
            Sizes(2, ((1, 63, 64, 130, 256, 300),)),
            Sizes(2, ((1, 64, 256, 1024, 2048, 2200),)),
            in_use=True,
        ),
        Point(
            chunked_equals_whole,
            Sizes(2, ((2, 4, 70), (7, 72, 270))),
            Sizes(3, _PIECES),
            Sizes(3, (*_PIECES, *_LONG_PIECES)),
            ("causal", "rows_independent", "state_matters"),
            in_use=True,
        ),
        Point(
            step_equals_parallel,
            Sizes(2, ((1, 2, 20),)),
            Sizes(2, (_STEPS,)),
            Sizes(2, ((*_STEPS, *_LONG_STEPS),)),
            ("causal", "rows_independent", "state_matters", "chunked_equals_whole"),
            in_use=True,
        ),
        Point(
            gradient_through_state,
            Sizes(2, ((5, 11), (63, 70))),
            Sizes(2, ((5, 11), (1, 2), (67, 137))),
            Sizes(2, ((5, 11), (1, 2), (67, 137), (290, 600), (1030, 1060))),
            ("nothing_edited_in_place", "rows_independent"),
        ),
        Point(rows_independent, Sizes(3, ((9,),)), Sizes(4, ((70,),)), Sizes(4, ((600,),)), in_use=True),
        Point(state_matters, Sizes(3, ((21, 321),)), Sizes(3, ((21, 321),)), Sizes(3, ((21, 2221),))),
        Point(
            nothing_edited_in_place,
            Sizes(2, ((1,), (9,))),
            Sizes(2, ((1,), (65,))),
            Sizes(2, ((1,), (65,), (600,))),
            in_use=True,
        ),
        Point(save_load_exact, Sizes(2, ((11,),)), Sizes(2, ((11,),)), Sizes(2, ((600,),))),
        Point(buffers_saved, Sizes(2, ((11,),)), Sizes(2, ((11,),)), Sizes(2, ((600,),))),
    )
}
"""The contract. `outlast check` asks every point, and the tests ask every point of every family and adapter."""

COMPARE = frozenset(POINTS) - {"repeatable", "nothing_edited_in_place"}
"""Points that compare two readings, which says nothing where one and the same reading gives two answers."""


def told_apart(checks: Sequence[Check], raised: Mapping[str, str]) -> list[Check]:
    """The checks, each that fails because of another with the name of that one.

    Args:
        raised: by point, what the model raised when it was asked.
    """
    by_name = {check.name: check for check in checks}
    return [replace(check, follows_from=_cause(check, by_name, raised)) for check in checks]


def _cause(check: Check, by_name: Mapping[str, Check], raised: Mapping[str, str]) -> str | None:
    said = check.follows_from
    if check.passed is not False or (said is not None and by_name[said].passed is False):
        return said
    first_to_blame = ("chunked_equals_whole", *by_name)  # what raises on a state it has handed out cannot be read on
    same = [name for name in first_to_blame if check.name in raised and raised.get(name) == raised[check.name]]
    if same and same[0] != check.name:
        return same[0]
    behind = [*(["finite"] if check.name != "finite" else []), *POINTS[check.name].follows_from]
    return next((name for name in behind if name not in same and _broken_of_itself(by_name.get(name))), None)


def _broken_of_itself(check: Check | None) -> bool:
    return check is not None and check.passed is False and check.follows_from is None
