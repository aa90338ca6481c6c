"""How much the points of the contract read in tests: random sizes, the same for families and adapters, or the least."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import pytest
from hypothesis import strategies as st
from torch import Tensor, nn

from outlast.contract.case import Sizes, subject_of
from outlast.contract.check import check, examined
from outlast.results import CheckReport

Ask = Callable[..., CheckReport]
"""`check`, or `quick_check`."""


@st.composite
def sizes(draw: st.DrawFn) -> Sizes:
    """Some rows, and a stretch that is read in two windows: a handful of positions, or beyond a chunk."""
    length = draw(st.one_of(st.integers(2, 8), st.integers(30, 75)))
    return Sizes(draw(st.integers(2, 4)), ((draw(st.integers(1, length - 1)), length),))


def quick_check(model: nn.Module, example: Tensor | None = None) -> CheckReport:
    """`check` at its least sizes, which show every planted fault all the same (`tests/contract/test_check.py`)."""
    return examined(subject_of(model, example, seed=0), "quick")


def in_full(names: Collection[Any], *few: Any) -> Any:
    """Parametrises a test by `name` and `ask`: every model is asked quickly, a few as `outlast check` asks, and the
    others so in the long tests."""
    quick = [pytest.param(name, quick_check, id=str(name)) for name in names]
    usual = [pytest.param(n, check, id=f"{n}-in full", marks=() if n in few else pytest.mark.long) for n in names]
    return pytest.mark.parametrize(("name", "ask"), [*quick, *usual])
