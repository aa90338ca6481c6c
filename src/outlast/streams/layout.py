"""What a reader has to say of streams: flat arrays (often memory-mapped), and where in them each stream lies."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from outlast.errors import InputError
from outlast.schema import Schema
from outlast.streams.clock import Clock


@dataclass(frozen=True, eq=False)  # arrays have no single truth value; `fingerprint` tells streams apart
class Layout:
    """S streams over a flat array of N positions.

    Args:
        inputs: (N,) integers (tokens) or (N, F) floats (features).
        starts: (S,) int64, where each stream begins in `inputs`.
        lengths: (S,) int64, its positions that have a target.
        targets: (N,) integers (classes) or (N,)/(N, K) floats aligned with `inputs`; None with `shift` 0 means
            there are none.
        weights: (N,) floats, 0 where a position does not count; None: all count.
        shift: where `targets` is None, the target at t is the input at t + shift.
        horizon: positions ahead that a target looks; segments keep at least this gap.
        classes: number of classes where targets are integers.
        about: where the data came from and what was done to them; goes into every result.
        labels: (N,) integers by name, by which losses are told apart (slices); below 0: in no slice. What the values
            stand for is in ``about["label_names"][name]``, a list.
        references: (N,) losses by name that some known predictor has at the same targets, in the unit of the first
            measure; evaluations report the excess over them.
        clock: when each of the N positions was; None: positions are told only.
        before: (S,) int64, how many positions of the same recording lie before each stream and may be read to warm a
            state up; None: none may.
        recording: (S,) the number of the recording that each segment was cut from, or each piece between gaps; None:
            every stream is one.
        names: (S,) text, what the recording of each stream is called; None: nothing tells them apart by name.
        warm_up: first positions of every stream that only warm the state up: evaluations read them and score none.
        schema: what a table's columns and targets mean; None: the streams came from something else.
    """

    inputs: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray
    targets: np.ndarray | None = None
    weights: np.ndarray | None = None
    shift: int = 0
    horizon: int = 1
    classes: int | None = None
    about: dict[str, Any] = field(default_factory=dict)
    labels: dict[str, np.ndarray] = field(default_factory=dict)
    references: dict[str, np.ndarray] = field(default_factory=dict)
    clock: Clock | None = None
    before: np.ndarray | None = None
    recording: np.ndarray | None = None
    names: np.ndarray | None = None
    warm_up: int = 0
    schema: Schema | None = None

    def __post_init__(self) -> None:
        if len(self.lengths) == 0 or int(np.min(self.lengths)) < 1:
            raise InputError(
                f"{len(self.lengths)} streams, the shortest of {min(self.lengths, default=0)} positions",
                "at least one stream with at least one position that has a target",
                "check that the file is not empty and that the horizon is shorter than the streams",
            )
