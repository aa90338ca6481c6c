"""Which of several processes this is. Apart from what they do, for it has to be known before torch is loaded."""

from __future__ import annotations

import os


def ranks() -> int:
    """How many processes train together, as torchrun and Accelerate say it to each."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """The number of this process among them; the first one measures, writes and speaks."""
    return int(os.environ.get("RANK", "0"))


def local_rank() -> int:
    """The number of this process on its machine, by which each takes a device of its own."""
    return int(os.environ.get("LOCAL_RANK", "0"))
