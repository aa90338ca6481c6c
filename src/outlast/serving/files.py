"""States and clocks of all streams of a deployed model, to a file and back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from outlast.checkpoints.states import no_state, read_state, write_state
from outlast.errors import InputError
from outlast.model import Recurrent
from outlast.serving.pool import Pool

_WRITERS = "Deployed.save_states or outlast stream"


def write_pool(path: str | Path, pool: Pool, fingerprint: str, resets: str) -> None:
    """Write all streams of a pool.

    Raises:
        InputError: there are none, or the file cannot be written.
    """
    count = len(pool)
    if not count:
        raise InputError("states of no stream", "at least one stream that was read", "read something first")
    beside = {
        "position": torch.from_numpy(pool.position[:count].copy()),
        "time": torch.from_numpy(pool.time[:count].astype(np.int64)),
        "last": torch.from_numpy(pool.last[:count].copy()),
    }
    record = {"resets": resets, "streams": json.dumps(pool.names)}
    write_state(path, pool.of(np.arange(count)), fingerprint, beside, record)


def read_pool(path: str | Path, model: Recurrent, fingerprint: str, resets: str, width: int) -> Pool:
    """The pool that `write_pool` wrote.

    Raises:
        InputError: no such file, a damaged one, one of another model or of other resets.
    """
    state, beside, record = read_state(path, model, fingerprint, _WRITERS, resets)
    try:
        names, kept = json.loads(record["streams"]), [beside[name].numpy() for name in ("position", "time", "last")]
    except (LookupError, ValueError) as error:
        raise no_state(path, f"{type(error).__name__}: {error}", _WRITERS) from error
    position, time, last = kept
    rows = len(names) if isinstance(names, list) and len(set(map(str, names))) == len(names) else -1
    if [position.shape, time.shape, last.shape] != [(rows,), (rows,), (rows, width)]:
        raise no_state(path, "names, clocks and states that do not belong together", _WRITERS)
    pool = Pool(model, width)
    at = pool.rows([str(name) for name in names])
    pool.put(at, state, 0)
    pool.position[at], pool.time[at], pool.last[at] = position, time.astype("datetime64[us]"), last
    return pool
