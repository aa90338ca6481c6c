"""What a result is: a frozen record that goes to JSON and back without loss. Reports are drawn from these only."""

from __future__ import annotations

import importlib.metadata
from typing import TypeVar

VERSION = importlib.metadata.version("outlast")


class Result:
    """The base of what a result.json may hold: a frozen dataclass whose field `kind` has the kind's name by default.

    `outlast` is the version that made it.
    """

    kind: str
    outlast: str


KINDS: dict[str, type[Result]] = {}
"""Every kind of result, by name."""

Kind = TypeVar("Kind", bound=Result)


def result_kind(record: type[Kind]) -> type[Kind]:
    """Register a record as what result.json files of its kind hold; a decorator."""
    KINDS[record.kind] = record
    return record
