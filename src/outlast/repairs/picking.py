"""Which of several repairs validation takes, and how far from the base to the repaired model the weights go."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from outlast.arguments import taking
from outlast.errors import InputError
from outlast.intervals import standard_error, trimmed_interval
from outlast.model import Recurrent
from outlast.modules.adapting import adapt
from outlast.modules.resetting import bare
from outlast.state import continuous

# How far from the base to the repaired model the weights go.
#
# What a repair costs short contexts grows about evenly with the dose; what it gains at old ages comes early. Part of
# the way often has most of the gain at half of the price.


@taking
def with_dose(base: nn.Module, repaired: nn.Module, dose: float) -> Recurrent:
    """A model whose weights are base + dose · (repaired − base); 0 is the base and 1 the repaired model.

    It is under the remedies of the repaired model, such as the leak that it was trained with.

    Args:
        base, repaired: models of one shape, or modules that `outlast.adapt` takes; neither is changed.
        dose: from 0 to 1; above 1 the weights go further the same way.

    Raises:
        InputError: the models have other parameters, or the dose is no number of 0 or more.
    """
    if not 0 <= dose < math.inf:
        raise InputError(f"a dose of {dose}", "a share of the way, 0 to 1", "0.75 is a usual choice")
    base, repaired = adapt(base), adapt(repaired)
    if why := base.without_gradients or repaired.without_gradients:
        raise InputError("a model without weights that could be changed", "a base and a repair of it", why)
    mixed = copy.deepcopy(repaired)
    there, here = dict(_tensors(mixed)), dict(_tensors(base))
    differing = sorted({*there, *here} - {n for n in here if n in there and here[n].shape == there[n].shape})
    if differing:
        raise InputError(
            f"two models that differ in {', '.join(differing[:3])}",
            "a base and a repair of it, with the same parameters",
            "give the directory that the repair began with",
        )
    with torch.no_grad():
        for name, tensor in there.items() if dose != 1 else ():
            wide = torch.promote_types(tensor.dtype, torch.float32)
            start, end = here[name].to(tensor.device, wide), tensor.to(wide)
            tensor.copy_(torch.where(start == end, start, torch.lerp(start, end, dose)))  # infinities stay
    return mixed


def _tensors(model: Recurrent) -> list[tuple[str, torch.Tensor]]:
    """Parameters and the buffers of real or complex numbers, each once."""
    inside = bare(model)
    buffers = ((name, buffer) for name, buffer in inside.named_buffers() if continuous(buffer))
    return [*inside.named_parameters(), *buffers]


# Which of several repairs, each at several doses, validation takes.
#
# Whatever is chosen on a few streams looks better there than elsewhere. How much better is found by rotation: the
# choice is made without one block of the validation streams and looked at on that block, for every block in turn.
# What it costs short contexts there beyond what the choice was made on is kept back from the margin.


@dataclass(frozen=True, eq=False)
class Candidate:
    """One repair at one dose, by validation stream.

    Args:
        dose: of the repair.
        short: (S,) change of short contexts.
        oldest: (S,) loss at the oldest age.
        handed_on_after: how long its states were carried before foreign streams started from them.
    """

    dose: float
    short: np.ndarray
    oldest: np.ndarray
    handed_on_after: float = 0.0


@dataclass(frozen=True, eq=False)
class Validation:
    """What candidates are held against.

    Args:
        margin: what short contexts may lose.
        rival: (S,) loss of the base as it is best used without training.
        blocks: (S,) which streams belong together; None: each stands alone.
        least: by how much a repair has to be below the rival to help.
    """

    margin: float
    rival: np.ndarray
    blocks: np.ndarray | None = None
    least: float = 0.0

    def but(self, streams: np.ndarray) -> Validation:
        """Only the streams that are True in (S,) `streams`."""
        blocks = None if self.blocks is None else self.blocks[streams]
        return Validation(self.margin, self.rival[streams], blocks, self.least)


def cost(candidate: Candidate, validation: Validation) -> float:
    """What the repair may cost short contexts on a typical block: the upper end of the trimmed mean's interval.

    Validation has few blocks, and one odd one (an empty house in August) would decide alone: on ten blocks of the power
    task it moved the mean by a whole margin where the test years hardly changed.
    """
    return trimmed_interval(candidate.short, validation.blocks).high


def pick(candidates: Sequence[Candidate], validation: Validation) -> int:
    """The number of the candidate to take.

    Of those that help and whose cost is within what is left of the margin, the one with the lowest loss at the oldest
    age and those that are within one standard error of it (of the difference, paired by stream; the rule of Breiman
    and others 1984). Among these, the one that handed the longest-carried states to foreign streams: deployment runs
    longer than validation, and meets both old states and new streams. Where none is within the margin, the one that
    costs least of those that help; where none helps, the lowest loss at the oldest age.
    """
    return _chosen(candidates, validation, validation.margin - optimism(candidates, validation))


def optimism(candidates: Sequence[Candidate], validation: Validation) -> float:
    """How much more a choice costs short contexts on streams that it was not made on; at least 0."""
    units = np.arange(len(validation.rival)) if validation.blocks is None else validation.blocks
    apart: list[float] = []
    for unit in np.unique(units) if len(candidates) > 1 else ():
        rest = units != unit
        seen = [_of(candidate, rest) for candidate in candidates]
        chosen = _chosen(seen, validation.but(rest), validation.margin)
        apart.append(candidates[chosen].short[~rest].mean() - seen[chosen].short.mean())
    return max(0.0, trimmed_interval(np.array(apart)).mean) if apart else 0.0


def _chosen(candidates: Sequence[Candidate], validation: Validation, margin: float) -> int:
    everyone = range(len(candidates))
    oldest = [candidate.oldest.mean() for candidate in candidates]
    costs = [cost(candidate, validation) for candidate in candidates]
    helping = [i for i in everyone if oldest[i] < validation.rival.mean() - validation.least]
    keeping = [i for i in helping if costs[i] <= margin]
    if not keeping:
        return min(helping, key=lambda i: costs[i]) if helping else min(everyone, key=lambda i: oldest[i])
    best = min(keeping, key=lambda i: oldest[i])
    level = [i for i in keeping if _level(candidates[i].oldest - candidates[best].oldest, validation.blocks)]
    return max(level, key=lambda i: (candidates[i].handed_on_after, -oldest[i]))


def _level(differences: np.ndarray, blocks: np.ndarray | None) -> bool:
    return differences.mean() <= standard_error(differences, blocks)[0]


def _of(candidate: Candidate, streams: np.ndarray) -> Candidate:
    return Candidate(candidate.dose, candidate.short[streams], candidate.oldest[streams], candidate.handed_on_after)
