"""Names that a package hands on from its modules, each of which is loaded when the first of its names is asked for.

So who needs one light module of a room does not wait for what its heavy ones import.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def handing_on(package: str, homes: Mapping[str, Sequence[str]]) -> Callable[[str], Any]:
    """The `__getattr__` of a package.

    Args:
        homes: by module of the package, the names that it has.
    """
    where = {name: module for module, names in homes.items() for name in names}

    def asked(name: str) -> Any:
        if name not in where:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{where[name]}"), name)

    return asked
