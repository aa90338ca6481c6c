"""Models that are named by their ids on a hub, fetched before a verb begins: from then on they are folders."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Verb = TypeVar("Verb", bound="DataclassInstance")
_MODELS = ("model", "base", "repaired", "against")
"""Options that name a model."""


def settled(options: Verb) -> Verb:
    """A verb's options with folders in the place of ids, after fetching what is missing.

    Raises:
        InputError: a model that cannot be fetched, or a revision of a folder.
    """
    named = [name for name in _MODELS if getattr(options, name, None)]
    if not named:
        return options
    from outlast.checkpoints import place_of  # loads torch, which not every verb needs

    revision: str | None = getattr(options, "revision", None)
    found: dict[str, Any] = {}
    for name in named:
        given = getattr(options, name)
        place = place_of(given, revision if name == "model" else None)
        if str(place) != str(given):
            found[name] = type(given)(str(place))
    return replace(options, **found)
