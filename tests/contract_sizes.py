"""How much the points of the contract read in tests: random sizes, the same for families and adapters, or the least."""

from __future__ import annotations

from hypothesis import strategies as st
from torch import Tensor, nn

from outlast.adapters.check import examined
from outlast.adapters.subject import Sizes, subject_of
from outlast.results import CheckReport


@st.composite
def sizes(draw: st.DrawFn) -> Sizes:
    """Some rows, and a stretch that is read in two windows: a handful of positions, or beyond a chunk."""
    length = draw(st.one_of(st.integers(2, 8), st.integers(30, 75)))
    return Sizes(draw(st.integers(2, 4)), ((draw(st.integers(1, length - 1)), length),))


def quick_check(model: nn.Module, example: Tensor | None = None) -> CheckReport:
    """`check` at its least sizes, which show every planted fault all the same (`tests/adapters/test_check.py`)."""
    return examined(subject_of(model, example, seed=0), "quick")
