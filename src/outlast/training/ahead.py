"""Reading before learning: rows carry their states through windows, as training would, and no weight moves.

A training of few steps meets young states only, whatever its rule says of how long rows go on. What reads ahead starts
where a longer training would have come to.
"""

from __future__ import annotations

from torch import nn

from outlast.interventions import Carried, Prepared
from outlast.model import Recurrent, device_of, quietly
from outlast.randomness import generator
from outlast.streams import Sampler
from outlast.streams.sampler import Places
from outlast.unprojected import leaving_out_head


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
