"""What can be said of a command before anything that it needs is loaded: a wrong word is answered at once."""

from __future__ import annotations

from typing import Any

from outlast.live.signing import signed


def judge(options: Any) -> None:
    """Hold the options of a verb against what is known without its model and its data. Nothing here loads torch.

    Raises:
        InputError: names the option.
    """
    if hasattr(options, "by") and hasattr(options, "ledger"):
        signed(options.by, getattr(options, "because", None), getattr(options, "note", None), typed=True)
