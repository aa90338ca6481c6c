"""Rules for where training windows start. A new one is one file here and one line in `INTERVENTIONS`, or an entry point
of another package."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from outlast.errors import InputError, unknown_name
from outlast.interventions.carry import Carry, state_passing, tbtt
from outlast.interventions.control import Control, control_of
from outlast.interventions.intervention import Carried, Intervention, Prepared
from outlast.interventions.mix import Mix
from outlast.interventions.noise import FittedNoise, RandomNoise
from outlast.interventions.partial import Partial
from outlast.interventions.replay import Replay
from outlast.interventions.settings import settings_of, spoken, written
from outlast.interventions.zero import Zero
from outlast.plugins import Table

INTERVENTIONS: Table[Callable[..., Intervention]] = Table(
    "outlast.interventions",
    {
        "zero": Zero,
        "random_noise": RandomNoise,
        "fitted_noise": FittedNoise,
        "carry": Carry,
        "state_passing": state_passing,
        "tbtt": tbtt,
        "replay": Replay,
        "mix": Mix,
        "partial": Partial,
    },
)


EXPECTED_WINDOWS = 20
"""Training contexts that `carry` expects a stream to last where nobody says how long."""
USUAL = ("zero", "random_noise", "fitted_noise", "state_passing", "tbtt", "carry")
"""What is compared where nobody says which."""


def intervention(name: str | Mapping[str, Any], *, train_context: int | None = None, **settings: Any) -> Intervention:
    """The intervention with this slug and these settings (those that are None are left at their defaults).

    Values may be those of the fields, or plain ones: texts of numbers, lists, and for members of a mix whatever `name`
    may be. What `Intervention.describe` gave makes the same intervention again: ``intervention(**rule.describe())``.

    Args:
        name: a slug, also with settings, ``carry:expected_run=1280``, or a mapping (or JSON) with a name and settings.

        train_context: as for `rule_of`.

    Raises:
        InputError: an unknown name or setting, one that is missing, or a value that does not fit.
    """
    slug, said = spoken(name)
    if slug not in INTERVENTIONS:
        raise unknown_name("intervention", slug, INTERVENTIONS)
    told = {key: value for key, value in settings.items() if value is not None and key != "label"}
    twice = sorted(set(said) & set(told))
    if twice:
        raise InputError(f"{', '.join(twice)} of intervention {slug!r} twice", "every setting once", "drop one of them")
    if slug == "carry" and train_context is not None and not {"expected_run"} & {*said, *told}:
        told["expected_run"] = float(EXPECTED_WINDOWS * train_context)
    member = functools.partial(rule_of, train_context=train_context)
    return INTERVENTIONS[slug](**settings_of(slug, INTERVENTIONS[slug], {**said, **told}, member))


def typed(rule: Intervention) -> str:
    """The intervention in one word, as the command line takes it and `intervention` reads it."""
    return written(rule, INTERVENTIONS)


def in_one_word(described: Mapping[str, Any]) -> str:
    """What `Intervention.describe` gave as the command line takes it; nothing for one of somebody's own."""
    try:
        return typed(intervention(described))
    except InputError:
        return ""


def rule_of(said: Any, train_context: int | None = None) -> Intervention:
    """An intervention: as it is, or what `intervention` makes of its name or settings.

    Args:
        train_context: positions; where it is known, `carry` has an expected run of 20 of them unless one is said.
    """
    return said if isinstance(said, Intervention) else intervention(said, train_context=train_context)


__all__ = [
    "INTERVENTIONS",
    "Carried",
    "Carry",
    "Control",
    "FittedNoise",
    "Intervention",
    "Mix",
    "Partial",
    "Prepared",
    "RandomNoise",
    "Replay",
    "Zero",
    "control_of",
    "in_one_word",
    "intervention",
    "rule_of",
    "spoken",
    "state_passing",
    "tbtt",
    "typed",
]
