"""Where windows start in training loops of others, and reading ahead before anything is learnt."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from outlast.arguments import at_least, taking_fields
from outlast.data import Batch, Sampler, Streams
from outlast.data.sampler import Places
from outlast.errors import InputError
from outlast.interventions import Carried, Intervention, Prepared, rule_of
from outlast.model import Recurrent, device_of, quietly
from outlast.modules.adapting import adapt
from outlast.randomness import generator
from outlast.ranks import rank, ranks
from outlast.state import State, concatenate, rows_of, select
from outlast.unprojected import leaving_out_head

# Where windows start, in a training loop that is not outlast's: ask before every call, hand back the final state.


@taking_fields
class Starts:
    """The states that training windows start from, for somebody else's loop.

    Each step asks for them and hands the final states back::

        outputs, final = model(inputs, starts.state(len(inputs)))
        ...                                     # loss, backward, step, as before
        starts.keep(final)

    `outlast.fit` does the same, and starts from the same states where the batches are those of `batches`.

    Args:
        model: a recurrent model, or a module that `outlast.adapt` takes, on its device; not a wrapper around it.
        intervention: what decides; also as the command line has it, ``state_passing`` or ``carry:expected_run=1280``.
        window: positions in a training window.
        batch_size: the most rows of a batch on each rank.
        streams: training streams, for noise that is fitted to states; others do without.
        seed: of everything random.

    Raises:
        InputError: an intervention that is fitted, without streams; a batch too small for it; a count that is none.
    """

    def __init__(
        self,
        model: nn.Module,
        intervention: Intervention | str | Mapping[str, Any],
        *,
        window: int,
        batch_size: int,
        streams: Streams | None = None,
        seed: int = 0,
    ) -> None:
        rule = rule_of(intervention, window)
        at_least(1, window, "window")
        at_least(1, batch_size, "batch_size")
        if streams is None and rule.fitted:
            raise InputError(
                f"{rule.label} without streams", "streams to whose states it is fitted", "pass streams=training streams"
            )
        self.model: Recurrent = adapt(model)
        self.window: int = window
        self.batch_size: int = batch_size
        self.seed: int = seed
        self.rule: Prepared = rule.prepared(self.model, cast("Streams", streams), window, seed=seed)
        self.step: int = 0
        self._at: Batch | None = None
        self._carried = self.rule.initial(self.model, batch_size)

    def state(self, rows: int, continues: Tensor | None = None) -> State:
        """The states that a batch starts from, tensors (B, …), B = `rows`.

        Args:
            rows: of this batch: at most `batch_size`; the last batch of an epoch may be smaller.
            continues: (B,) bool: whether a row goes on where the same row of the batch before ended. Those that do not
                get what the intervention gives to a new stream. None: none does.

        Raises:
            InputError: more rows than `batch_size`, not as many of `continues`, or an intervention that says where
                windows begin (replay) with windows that `batches` did not give.
        """
        self._fits(rows)
        goes_on = torch.zeros(rows, dtype=torch.bool) if continues is None else continues.bool().cpu()
        if goes_on.shape != (rows,):
            raise InputError(
                f"continues of shape {tuple(goes_on.shape)} for {rows} rows", f"shape ({rows},)", "say it of every row"
            )
        # Anew each step, because a model may learn where it starts.
        zero, last = self.model.initial_state(rows), select(self._carried.last, torch.arange(rows))
        step, self.step = self.step, self.step + 1
        read = self._read(rows, goes_on, step)
        return self.rule.start(Carried(zero, last), read, generator(self.seed, "start", step, rank()))

    def _read(self, rows: int, continues: Tensor, step: int) -> Batch:
        """What is known of the batch that starts now: of one of `batches` where it lies, of another only its rows."""
        if self._at is not None and len(self._at.stream_id) == rows:
            return replace(self._at, continues=continues)
        if self.rule.places(self.seed, step, np.arange(rows)) is not None:
            raise InputError(
                f"{self.rule.rule.label} and windows that begin anywhere",
                "those of Starts.batches, which begin where this intervention says",
                "take the windows from there, or choose another intervention",
            )
        return _rows(continues)

    def keep(self, final: State) -> None:
        """Hand back the states after a batch, tensors (B, …); no gradient is kept."""
        rows = rows_of(final)
        self._fits(rows)
        zero, last = (select(each, torch.arange(rows)) for each in self._carried)
        kept = self.rule.keep(Carried(zero, last), final, _rows(torch.zeros(rows, dtype=torch.bool))).last
        if rows < self.batch_size:
            kept = concatenate([kept, select(self._carried.last, torch.arange(rows, self.batch_size))])
        self._carried = Carried(self._carried.zero, kept)

    def batches(self, streams: Streams) -> Iterator[Batch]:
        """Windows of long streams, without end, on the model's device: rows go on with their stream as long as the
        intervention says (``batch.continues``). Each rank gets its own."""
        sampler = Sampler(
            streams, self.window, self.batch_size, self.seed, self.rule.continues, rank(), ranks(),
            placing=self.rule.places,
        )  # fmt: skip
        places = None
        for step in itertools.count():
            places = sampler.places(step, places)
            self._at = sampler.batch(places)
            yield self._at.to(device_of(self.model))

    def _fits(self, rows: int) -> None:
        if not 1 <= rows <= self.batch_size:
            raise InputError(
                f"a batch of {rows} rows", f"1 to {self.batch_size}", "make Starts with the largest batch_size there is"
            )


def _rows(continues: Tensor) -> Batch:
    """A batch of which only rows and `continues` (B,) are known: all that rules ask for."""
    numbers = torch.from_numpy(np.zeros(len(continues), np.int64))
    nothing = torch.empty(len(continues), 0)
    return Batch(nothing, None, nothing, stream_id=numbers, position=numbers, continues=continues)


# Reading before learning: rows carry their states through windows, as training would, and no weight moves.
#
# A training of few steps meets young states only, whatever its rule says of how long rows go on. What reads ahead
# starts where a longer training would have come to.


def read_ahead(
    wrapped: nn.Module, model: Recurrent, sampler: Sampler, rule: Prepared, carried: Carried, windows: int
) -> tuple[Places | None, Carried]:
    """Where rows stand and what they carry after `windows` windows, which are those of the first steps.

    Args:
        wrapped, model: what is called, and the model inside; left in the mode it is in.
        carried: what is carried before the first of them.
    """
    places, device = None, device_of(model)
    with quietly(model):  # dropout is no part of a state that deployment meets
        for step in range(windows):
            places = sampler.places(step, places)
            batch = sampler.batch(places).to(device)
            carried = Carried(model.initial_state(sampler.batch_size), carried.last)
            start = rule.start(carried, batch, generator(sampler.seed, "start", step, sampler.rank))
            with leaving_out_head(model):
                _, final = wrapped(batch.inputs, start)
            carried = rule.keep(carried, final, batch)
    return places, carried
