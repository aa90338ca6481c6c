"""How much memory a model takes, known before any is taken: built on the meta device, tensors have shapes alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

from outlast.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from outlast.model import Recurrent

MOST_LAYERS = 1024
"""Layers that a model can have; a file that names more is damaged, and building them would take for ever."""

Model = TypeVar("Model", bound="Recurrent")


def sketch(build: Callable[[], Model], what: str) -> Model:
    """The model that `build` makes, on the meta device.

    Args:
        what: what it is made from, for messages.

    Raises:
        InputError: sizes that no tensor has, or weights and a state of one row that this machine cannot hold.
    """
    import torch  # not above: what reads tables asks for the machine's memory too

    from outlast.state import leaves

    try:
        with torch.device("meta"):
            model = build()
            held = [*model.parameters(), *model.buffers(), *leaves(model.initial_state(1))]
    except (RuntimeError, TypeError, ValueError, ArithmeticError) as error:  # torch's words for sizes it cannot have
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise InputError(f"{what} ({reason[0]})", "sizes that tensors can have", "correct the sizes") from error
    require_memory(_bytes(held), what)
    return model


def require_memory(needed: int, what: str) -> None:
    """Raise InputError where this machine cannot hold `needed` bytes of weights and state.

    Args:
        what: they are of, for the message.
    """
    if needed > (there := machine_memory()):
        raise InputError(
            f"{what}: {needed / 2**30:,.1f} GiB of weights and state",
            f"a model that fits the {there / 2**30:,.1f} GiB of this machine",
            "correct the sizes, or use a machine with more memory",
        )


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def machine_memory() -> int:
    """Bytes of memory that this machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
