"""How to measure: what a caller may choose."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from outlast.arguments import at_least, taking_fields
from outlast.data.choices import CHUNK
from outlast.durations import seconds_of
from outlast.errors import InputError, unknown_name
from outlast.modules.precisions import PRECISIONS

if TYPE_CHECKING:  # which loads torch, and the defaults are known without
    from outlast.modules.precision import Probe

LEAST_STREAMS = 2
"""Streams that an interval can be computed from; a verdict needs more."""


@taking_fields
@dataclass(frozen=True)
class EvalSettings:
    """How to measure.

    Args:
        max_length: positions of each test stream to use, at most; None: as many as leave enough streams. What was used
            is in the result, ``data["length_used"]``, beside ``data["length_asked"]``.
        up_to: the oldest age that is asked about: positions, or a length of time such as ``"24h"`` where the streams'
            rows have a regular step. It decides how recordings are cut, into segments that share what warms them up and
            no targets. None: `max_length`.
        targets: target positions a stream that every band is scored on, in random blocks of one training context
            from the last part of the streams.
        chunk: positions of a row that are read in one step.
        memory_mib: what one step of one job may take, in MiB; as many rows are read side by side as fit. None: 64 on a
            CPU, where more than its caches hold makes it slower, and 1,024 elsewhere; or as much as the model's weights
            take, which every step reads anew, where that is more.
        ends_only: leave out the bands between the one just past the training context and the oldest.
        seed: of the choice of blocks, and of streams.
        jobs: passes over the streams made side by side, one thread each.
        streams: how many of the test streams are read, at most, drawn at random from all recordings alike; None: all.
            With fewer than 8 there are curves and no verdict.
        precision: in which products are taken: ``float32``, ``bf16``, or ``auto``: what pays on this machine for this
            model, see `outlast.modules.products`. The result's settings say which it was.
        budget: seconds that measuring may take. After a short timed trial fewer targets are scored, and then fewer
            streams read, so that it is kept; the result's settings say which, and give the same again without a budget.
    """

    max_length: int | None = None
    targets: int = 2048
    chunk: int = CHUNK
    memory_mib: float | None = None
    ends_only: bool = False
    seed: int = 0
    jobs: int = 1
    streams: int | None = None
    budget: float | None = None
    precision: str = "float32"
    up_to: int | str | None = None

    def __post_init__(self) -> None:
        self._check_ages()
        for name in ("max_length", "targets", "chunk", "jobs"):
            if (value := getattr(self, name)) is not None:
                at_least(1, value, name)
        at_least(0, self.seed, "seed")
        if self.precision not in PRECISIONS:
            raise unknown_name("precision", self.precision, PRECISIONS)
        if self.streams is not None:
            at_least(LEAST_STREAMS, self.streams, "streams")
        if self.memory_mib is not None and not self.memory_mib > 0:
            raise InputError(f"memory_mib {self.memory_mib:g}", "more than 0 MiB", "leave it out for the default")
        if self.budget is not None and not 0 < self.budget < math.inf:
            raise InputError(f"budget={self.budget:g}", "seconds, more than 0", "leave it out to read all")

    def _check_ages(self) -> None:
        if self.up_to is None:
            return
        if self.max_length is not None:
            raise InputError(
                f"max_length={self.max_length} and up_to={self.up_to}",
                "one of them",
                "leave max_length out: up_to says how far streams are read, and how they are cut",
            )
        if isinstance(self.up_to, int) or self.up_to.strip().isdecimal():
            at_least(1, int(self.up_to), "up_to")
        else:
            seconds_of(self.up_to, "up_to")

    def memory(self, model: Probe) -> float:
        """Bytes that one step of one job may take."""
        if self.memory_mib is not None:
            return 2**20 * self.memory_mib
        return max(2**20 * (64 if model.device.type == "cpu" else 1024), model.weights)
