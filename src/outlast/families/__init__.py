"""The built-in families of models, by name. A new family is one new file and one line in `recurrent`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

import torch

from outlast.errors import InputError, unknown_name
from outlast.families.hybrid import HybridSettings
from outlast.families.recurrent import RECURRENT
from outlast.families.shell import Settings, Shell
from outlast.model import InputSpec
from outlast.randomness import DrawingFrom

FAMILIES: dict[str, type[Settings]] = dict(sorted({**RECURRENT, "hybrid": HybridSettings}.items()))


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
        a model whose `recipe` (plain numbers and strings) makes `from_recipe` build it again.

    Raises:
        InputError: an unknown family or setting, or settings that do not fit together.
    """
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
    chosen = FAMILIES[family](**settings)
    recipe = {
        "family": family,
        "settings": asdict(chosen),
        "inputs": asdict(inputs),
        "outputs": outputs,
        "seed": seed,
    }
    with torch.device("cpu"), DrawingFrom(seed):
        return Shell(chosen, inputs, outputs, recipe)


def from_recipe(recipe: Mapping[str, Any]) -> Shell:
    """The model that `build` made when it wrote `recipe`, with the weights it had then.

    Raises:
        InputError: an unknown family or setting, or a recipe with a missing entry.
    """
    missing = {"family", "settings", "inputs", "outputs", "seed"} - set(recipe)
    if missing:
        raise InputError(
            f"a recipe without {', '.join(sorted(missing))}", "model.recipe of a built model", "save again"
        )
    return build(
        recipe["family"],
        inputs=InputSpec(**recipe["inputs"]),
        outputs=recipe["outputs"],
        seed=recipe["seed"],
        **recipe["settings"],
    )
