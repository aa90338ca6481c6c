"""How a deployed model is reset, as one setting."""

from __future__ import annotations

from outlast.errors import InputError
from outlast.model import Recurrent
from outlast.modules.resetting import with_reset

RESETS = ("none", "periodic:EVERY", "overlapping:EVERY")
"""No resets; every so many positions; or two copies half a period apart, of which the older one speaks."""


def under_resets(model: Recurrent, resets: str) -> Recurrent:
    """The model under the resets that a setting names, such as ``periodic:640``.

    Raises:
        InputError: it is none of `RESETS`.
    """
    name, _, every = str(resets).partition(":")
    if name == "none" and not every:
        return model
    if name in ("periodic", "overlapping") and every.isdecimal():
        return with_reset(model, int(every), overlap=name == "overlapping")
    raise InputError(
        f"resets {resets!r}", "none, periodic:EVERY or overlapping:EVERY positions", "for example periodic:640"
    )
