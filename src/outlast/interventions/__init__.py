"""Rules for where training windows start. A new one is one file here and one line in `INTERVENTIONS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from outlast.errors import InputError, unknown_name
from outlast.interventions.carry import Carry, state_passing, tbtt
from outlast.interventions.control import Control, control_of
from outlast.interventions.intervention import Carried, Intervention, Prepared
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
    """The intervention with this slug and these settings (those that are None are left at their defaults).

    What `Intervention.describe` gave makes the same intervention again: ``intervention(**rule.describe())``.
    """
    slug = name.replace("-", "_")
    if slug not in INTERVENTIONS:
        raise unknown_name("intervention", name, INTERVENTIONS)
    chosen = {key: value for key, value in settings.items() if value is not None and key != "label"}
    try:
        if isinstance(chosen.get("expected_run"), str):
            chosen["expected_run"] = float(chosen["expected_run"])
        if "members" in chosen:
            chosen["members"] = tuple(_member(each) for each in chosen["members"])
        if "shares" in chosen:
            chosen["shares"] = tuple(chosen["shares"])
        return INTERVENTIONS[slug](**chosen)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"intervention {name!r} with settings {chosen}",
            f"settings that it takes ({error})",
            "carry needs an expected run and mix its members; the others run on their defaults",
        ) from None


def _member(described: Intervention | Mapping[str, Any]) -> Intervention:
    return described if isinstance(described, Intervention) else intervention(**described)


__all__ = [
    "INTERVENTIONS",
    "Carried",
    "Carry",
    "Control",
    "FittedNoise",
    "Intervention",
    "Mix",
    "Prepared",
    "RandomNoise",
    "Zero",
    "control_of",
    "intervention",
    "state_passing",
    "tbtt",
]
