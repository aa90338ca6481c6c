"""Recurrences as functions, and the one place that picks an implementation."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from outlast.errors import unknown_name
from outlast.scan import chunked, chunked_delta, chunked_mlstm, chunked_selective, reference

Scan = Callable[..., tuple[Any, Any]]
"""An implementation: arguments -> (outputs, final_state), as the function of its recurrence in
`outlast.scan.reference` defines them."""

SCANS: dict[str, Scan] = {"reference": reference.linear_scan, "chunked": chunked.linear_scan}
"""Implementations of the linear recurrence."""

RECURRENCES: dict[str, dict[str, Scan]] = {
    "linear_scan": SCANS,
    "retention": {"reference": reference.retention, "chunked": chunked.retention},
    "rwkv6": {"reference": reference.rwkv6, "chunked": chunked.rwkv6},
    "gated_delta": {"reference": reference.gated_delta, "chunked": chunked_delta.gated_delta},
    "mlstm": {"reference": reference.mlstm, "chunked": chunked_mlstm.mlstm},
    "selective_scan": {"reference": reference.selective_scan, "chunked": chunked_selective.selective_scan},
}
"""Implementations of every recurrence, by its name in `outlast.scan.reference`."""


def pick(name: str | None = None, recurrence: str = "linear_scan") -> Scan:
    """An implementation of `recurrence`.

    Args:
        name: which; None: the one that the environment variable OUTLAST_SCAN names, else ``chunked``.
        recurrence: a name in `RECURRENCES`.

    Raises:
        InputError: no such recurrence, or no implementation of that name.
    """
    if recurrence not in RECURRENCES:
        raise unknown_name("recurrence", recurrence, RECURRENCES)
    name = name or os.environ.get("OUTLAST_SCAN") or "chunked"
    if name not in RECURRENCES[recurrence]:
        raise unknown_name(f"implementation of {recurrence}", name, RECURRENCES[recurrence])
    return RECURRENCES[recurrence][name]
