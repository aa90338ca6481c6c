"""Models that are named by their ids on a hub, fetched before a verb begins: from then on they are folders."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

from outlast.checkpoints import place_of

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
    revision: str | None = getattr(options, "revision", None)
    found: dict[str, Any] = {}
    for name in set(_MODELS) & {field.name for field in fields(options)}:
        given = getattr(options, name)
        place = place_of(given, revision if name == "model" else None) if given else given
        if str(place) != str(given):
            found[name] = type(given)(str(place))
    return replace(options, **found)
