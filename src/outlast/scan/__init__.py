"""Linear recurrences as functions, and the one place that picks an implementation."""

from __future__ import annotations

import os
from collections.abc import Callable

from torch import Tensor

from outlast.errors import unknown_name
from outlast.scan import chunked, reference

Scan = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, float], tuple[Tensor, Tensor]]
"""(q, k, v, log_decay, initial_state, scale) -> (outputs, final_state): see `outlast.scan.reference.linear_scan`."""

SCANS: dict[str, Scan] = {"reference": reference.linear_scan, "chunked": chunked.linear_scan}


def pick(name: str | None = None) -> Scan:
    """The scan called `name`; where None, the one that the environment variable OUTLAST_SCAN names, else ``chunked``.

    Raises:
        InputError: no scan of that name.
    """
    name = name or os.environ.get("OUTLAST_SCAN") or "chunked"
    if name not in SCANS:
        raise unknown_name("scan", name, SCANS)
    return SCANS[name]
