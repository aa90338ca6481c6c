"""A row of units below the header: kW, °C, rpm where every other row has numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence

from outlast.schema import Notation
from outlast.streams.notation import is_missing, number_in

_LONGEST = 12
"""Characters of a unit."""
_FEWEST = 3
"""Rows below that tell what the columns hold."""
_STATES = re.compile(
    r"(?i)bad|err(or)?|fault|fail(ed|ure)?|off|on|ok|none|null|nil|init|stop(ped)?|invalid|missing|no data"
)
"""What a sensor says instead of a number is no unit."""


def units_below(names: Sequence[str], rows: Sequence[Sequence[str]], notation: Notation) -> dict[str, str]:
    """Units by column, where the first of these rows is one of units; empty: it is a row like the others.

    It is one where no cell of it is a number, though most cells below are, and what stands over numbers looks like a
    unit.

    Args:
        rows: the first rows below the header, as text.
    """
    if len(rows) <= _FEWEST or any(len(row) != len(names) for row in rows):
        return {}
    first, below = rows[0], rows[1:]
    if any(number_in(cell, notation) is not None for cell in first):
        return {}
    numeric = [at for at in range(len(names)) if _numbers([row[at] for row in below], notation)]
    told = {at: first[at].strip() for at in numeric if not is_missing(first[at], notation)}
    if not told or not all(map(_is_unit, told.values())):
        return {}
    return {names[at]: unit.strip("[]()") for at, unit in told.items()}


def _numbers(cells: Sequence[str], notation: Notation) -> bool:
    """Whether a column holds numbers: what is not missing is one."""
    present = [cell for cell in cells if not is_missing(cell, notation)]
    return bool(present) and all(number_in(cell, notation) is not None for cell in present)


def _is_unit(text: str) -> bool:
    return len(text) <= _LONGEST and _STATES.fullmatch(text) is None
