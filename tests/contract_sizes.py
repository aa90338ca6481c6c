"""Random sizes for the points of the contract, the same for families and adapters."""

from __future__ import annotations

from hypothesis import strategies as st

from outlast.adapters.subject import Sizes


@st.composite
def sizes(draw: st.DrawFn) -> Sizes:
    """Some rows, and a stretch that is read in two windows: a handful of positions, or beyond a chunk."""
    length = draw(st.one_of(st.integers(2, 8), st.integers(30, 75)))
    return Sizes(draw(st.integers(2, 4)), ((draw(st.integers(1, length - 1)), length),))
