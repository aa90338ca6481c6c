"""The built-in families of models, by name. A new family is one new file and one entry in `recurrent`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, fields
from typing import Any

import torch
from torch import nn

from outlast.arguments import fitting, taking
from outlast.errors import InputError, unknown_name
from outlast.families.hybrid import HybridSettings
from outlast.families.recurrent import RECURRENT
from outlast.families.shell import RMSNorm, Settings, Shell, block
from outlast.model import InputSpec
from outlast.plugins import Table
from outlast.randomness import DrawingFrom
from outlast.sizes import sketch

MODEST = 1 << 30
"""A model with layers · n³ of at most this, for each of its numbers n, is built without asking for its size first."""

FAMILIES: Table[type[Settings]] = Table(
    RECURRENT.group, dict(sorted({**RECURRENT.own, "hybrid": HybridSettings}.items()))
)


@taking
def build(family: str, *, inputs: InputSpec, outputs: int, seed: int = 0, **settings: Any) -> Shell:
    """A model of `family` with freshly drawn weights, on the CPU in torch's default dtype.

    The weights are a function of the arguments alone, also in a thread beside others; global random state is not used.

    Args:
        family: a name in `FAMILIES`.
        inputs: what the model reads.
        outputs: size of its head: vocabulary, bins or channels.
        seed: of the weights.
        **settings: fields of the family's settings.

    Returns:
        a model whose `blueprint` (plain numbers and strings) makes `from_blueprint` build it again.

    Raises:
        InputError: an unknown family or setting, or settings that do not fit together.
    """
    make = _maker(family, inputs, outputs, seed, settings)
    with torch.device("cpu"), DrawingFrom(seed):
        return make()


def _maker(family: str, inputs: InputSpec, outputs: int, seed: int, settings: Mapping[str, Any]) -> Callable[[], Shell]:
    """What makes the model; whether it can be made, and held by this machine, was looked at."""
    if family not in FAMILIES:
        raise unknown_name("family", family, FAMILIES)
    known = [field.name for field in fields(FAMILIES[family])]
    for name in settings:
        if name not in known:
            raise unknown_name(f"setting of {family}", name, known)
    if inputs.kind not in ("tokens", "features") or inputs.size < 1 or outputs < 1:
        raise InputError(
            f"{inputs}, outputs {outputs}", "tokens or features, sizes of at least 1", "give the data's sizes"
        )
    chosen = FAMILIES[family](**fitting(settings, FAMILIES[family]))
    blueprint = {
        "family": family,
        "settings": asdict(chosen),
        "inputs": inputs.record(),
        "outputs": outputs,
        "seed": seed,
    }
    make = functools.partial(_made, chosen, inputs, outputs, blueprint)
    if not _modest(blueprint):
        sketch(make, f"{chosen} with {inputs.size:,} {inputs.kind} as inputs and {outputs:,} outputs")
    return make


def _made(settings: Settings, inputs: InputSpec, outputs: int, blueprint: dict[str, Any]) -> Shell:
    return Shell(
        inputs,
        outputs,
        blueprint,
        width=settings.width,
        layers=(block(settings, settings.mixer_of(layer)) for layer in range(settings.layers)),
        norm=RMSNorm(settings.width) if settings.residual else nn.Identity(),
    )


def _modest(blueprint: Mapping[str, Any]) -> bool:
    """Whether a model is small whatever its numbers mean: looking closer costs a second, in which torch loads."""

    def numbers(value: Any) -> Iterator[float]:
        if isinstance(value, Mapping):
            for each in value.values():
                yield from numbers(each)
        elif isinstance(value, int | float):
            yield value

    sizes = {name: blueprint[name] for name in ("settings", "inputs", "outputs")}
    return all(blueprint["settings"]["layers"] * abs(each) ** 3 <= MODEST for each in numbers(sizes))


def from_blueprint(blueprint: Mapping[str, Any]) -> Shell:
    """The model that `build` made when it wrote `blueprint`, with the weights it had then.

    Raises:
        InputError: an unknown family or setting, or a blueprint with a missing entry.
    """
    return build(**_arguments(blueprint))


def sketch_of(blueprint: Mapping[str, Any]) -> Shell | None:
    """The model of a blueprint without its weights, on the meta device; None where it is small anyway.

    Raises:
        InputError: as `from_blueprint`.
    """
    given = _arguments(blueprint)
    family, inputs, outputs, seed = (given.pop(name) for name in ("family", "inputs", "outputs", "seed"))
    make = _maker(family, inputs, outputs, seed, given)
    return None if _modest(blueprint) else sketch(make, "the blueprint")


def _arguments(blueprint: Mapping[str, Any]) -> dict[str, Any]:
    missing = {"family", "settings", "inputs", "outputs", "seed"} - set(blueprint)
    if missing:
        raise InputError(
            f"a blueprint without {', '.join(sorted(missing))}", "model.blueprint of a built model", "save again"
        )
    own = {name: blueprint[name] for name in ("family", "outputs", "seed")}
    return {**own, "inputs": InputSpec(**blueprint["inputs"]), **blueprint["settings"]}
