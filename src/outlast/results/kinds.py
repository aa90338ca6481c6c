"""What a result is: a frozen record that goes to JSON and back without loss. Reports are drawn from these only."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from outlast.brief import briefly
from outlast.plugins import Table

VERSION = importlib.metadata.version("outlast")


@dataclass(frozen=True)
class Command:
    """What was asked for to make a result, as far as the next command or call needs it; nothing where models and data
    were objects.

    Args:
        verb: where it does not follow from the kind of result.
        model, data: as they were named.
        options: how the data are read, ready to print.
        out: the folder of the results.
        allow_code: whether directories of the model name a function that has to run when they are loaded.
        ports: what was said of a .onnx file's inputs and outputs, ready to print.
    """

    verb: str | None = None
    model: str | None = None
    data: str | None = None
    options: str = ""
    out: str | None = None
    allow_code: bool = False
    ports: str = ""


class Result:
    """The base of what a result.json may hold: a frozen dataclass whose field `kind` has the kind's name by default.

    `outlast` is the version that made it. Printed, a result is what the terminal shows of it; in a notebook, a short
    table (where `outlast.reporting` is loaded, which `import outlast` does with the first name).
    """

    kind: str
    outlast: str

    def __str__(self) -> str:
        return _TOLD["text"](self)

    def _repr_html_(self) -> str | None:
        return _TOLD["html"](self)


_TOLD: dict[str, Callable[[Result], Any]] = {"text": repr, "html": lambda result: None}


def told_by(text: Callable[[Result], str], html: Callable[[Result], str]) -> None:
    """Register how results print: what tells them stands above them, so that it says itself how."""
    _TOLD.update(text=text, html=html)


KINDS: dict[str, type[Result]] = {}
"""Every kind of result, by name."""
OF_PACKAGES: Table[Any] = Table("outlast.kinds", {})
"""How kinds of other installed packages are told (`outlast.reporting.kinds.telling.Telling`); their modules register
their records."""

Kind = TypeVar("Kind", bound=Result)


def result_kind(record: type[Kind]) -> type[Kind]:
    """Register a record as what result.json files of its kind hold; a decorator."""
    KINDS[record.kind] = record
    return briefly(record)
