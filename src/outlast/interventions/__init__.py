"""Rules for where training windows start. A new one is one file here and one line in `INTERVENTIONS`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from outlast.errors import InputError, unknown_name
from outlast.interventions.carry import Carry, state_passing, tbtt
from outlast.interventions.intervention import Carried, Intervention
from outlast.interventions.mix import Mix
from outlast.interventions.noise import FittedNoise, RandomNoise
from outlast.interventions.zero import Zero

INTERVENTIONS: dict[str, Callable[..., Intervention]] = {
    "zero": Zero,
    "random_noise": RandomNoise,
    "fitted_noise": FittedNoise,
    "carry": Carry,
    "state_passing": state_passing,
    "tbtt": tbtt,
    "mix": Mix,
}


def intervention(name: str, **settings: Any) -> Intervention:
    """The intervention with this slug and these settings (those that are None are left at their defaults)."""
    slug = name.replace("-", "_")
    if slug not in INTERVENTIONS:
        raise unknown_name("intervention", name, INTERVENTIONS)
    chosen = {key: value for key, value in settings.items() if value is not None}
    if isinstance(chosen.get("expected_run"), str):
        chosen["expected_run"] = math.inf if chosen["expected_run"] == "inf" else float(chosen["expected_run"])
    try:
        return INTERVENTIONS[slug](**chosen)
    except TypeError as error:
        raise InputError(
            f"intervention {name!r} with settings {chosen}",
            f"settings that it takes ({error})",
            "carry needs --expected-run; the others run on their defaults",
        ) from None


__all__ = [
    "INTERVENTIONS",
    "Carried",
    "Carry",
    "FittedNoise",
    "Intervention",
    "Mix",
    "RandomNoise",
    "Zero",
    "intervention",
    "state_passing",
    "tbtt",
]
