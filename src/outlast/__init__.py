"""outlast: recurrent models that outlast their training context.

The public names are those of `outlast.public`. They are loaded when the first of them is asked for, so that the
command line answers ``--help`` without loading torch.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from outlast.public import *  # noqa: F403
    from outlast.public import __version__ as __version__
else:

    def __getattr__(name: str) -> Any:
        if name.startswith("_") and name not in ("__all__", "__version__"):
            raise AttributeError(name)
        if importlib.util.find_spec(f"outlast.{name}"):
            return importlib.import_module(f"outlast.{name}")
        public = importlib.import_module("outlast.public")
        if name not in (*public.__all__, "__all__", "__version__"):
            raise AttributeError(public.not_there(name))
        return getattr(public, name)

    def __dir__() -> list[str]:
        return list(importlib.import_module("outlast.public").__all__)
