"""What is looked at in a running stream: an old state beside a young one before the same inputs, and where it lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from outlast.data import Batch
from outlast.diagnosis.support import Region
from outlast.diagnosis.views import WHOLE, Projections
from outlast.evaluation.measure import Measure, Outputs, divergence
from outlast.model import Recurrent, device_of
from outlast.state import State, concatenate

UNEXPLORED, NORMS, LOSS, EXCESS, DIVERGENCE = "unexplored", "norms", "loss", "excess", "divergence"
WITH_TARGETS = (UNEXPLORED, NORMS, LOSS, EXCESS)
BLIND = (UNEXPLORED, NORMS, DIVERGENCE)
"""Signals that alarms are made of, with targets and without."""

_FAR = 1e12


@dataclass(frozen=True, eq=False)
class Probes:
    """N probes: each one moment of one stream.

    Args:
        unexplored: (N,) logarithm of the distance of the old state to training's, in radii of the region they fill;
            above 0 it lies where training had none.
        norms: (N,) the largest deviation of a part's size from what is usual, in standard deviations of its logarithm.
        loss: (N,) of the old state over the positions that count; not a number where none does, or without targets.
        young: (N,) the same of a state that has read half a training context.
        divergence: (N,) of the old state's outputs from the young one's.
    """

    unexplored: np.ndarray
    norms: np.ndarray
    loss: np.ndarray
    young: np.ndarray
    divergence: np.ndarray

    @property
    def excess(self) -> np.ndarray:
        """(N,) what the old state loses by its age; below 0 where its history helps."""
        return self.loss - self.young

    def values(self, signals: Sequence[str]) -> np.ndarray:
        """(N, signals): the larger, the less usual; not a number where there is none."""
        return np.stack([getattr(self, name) for name in signals], 1)

    def __len__(self) -> int:
        return len(self.unexplored)


def joined(probes: Sequence[Probes]) -> Probes:
    """All of them, in their order."""
    names = Probes.__dataclass_fields__
    return Probes(**{name: np.concatenate([getattr(each, name) for each in probes]) for name in names})


@dataclass(frozen=True, eq=False)
class Senses:
    """How probes are made of a model.

    Args:
        projections: of its states to few numbers; without heads.
        region: that training's states fill, the whole state.
        sizes: (2, parts) mean and standard deviation of the logarithm of every part's size at work; None: they are not
            known yet, and norms are not told.
        measure: of losses; None: there are no targets.
        outputs: what the model's outputs are.
    """

    model: Recurrent
    projections: Projections
    region: Region
    sizes: np.ndarray | None
    measure: Measure | None
    outputs: Outputs

    @torch.no_grad()
    def probe(self, state: State, lead: Tensor, batch: Batch) -> tuple[Probes, np.ndarray]:
        """Probes of N streams, and the logarithms of the sizes of their states' parts, (N, parts).

        Args:
            state: old states, N rows, before the batch.
            lead: (N, T/2, …) the inputs before the batch, which a young state reads.
            batch: the inputs that both then read, with targets where there are any.
        """
        rows, device = len(lead), device_of(self.model)
        seen = self.projections.look(state)
        distance = np.minimum(self.region.distance(seen[WHOLE]) / max(self.region.radius, 1e-12), _FAR)
        sizes = np.log(np.maximum(seen["size"], 1e-12))
        _, young = self.model(lead.to(device), self.model.initial_state(rows))
        both = batch.to(device)
        targets = None if both.targets is None else torch.cat([both.targets, both.targets])
        both = replace(
            both, inputs=torch.cat([both.inputs, both.inputs]), targets=targets, weights=both.weights.repeat(2, 1)
        )
        outputs, _ = self.model(both.inputs, concatenate([state, young]))
        columns = outputs[..., None] if outputs.dim() == 2 else outputs
        kind = "kl" if self.outputs == "classes" else "squared"
        apart = divergence(kind, columns[:rows], columns[rows:]).mean(1)
        none = np.full(rows, np.nan)
        measured = self.measure is not None and both.targets is not None
        losses = self._loss(outputs, both) if measured else np.concatenate([none, none])
        return Probes(
            unexplored=np.log(np.maximum(distance, 1e-12)),
            norms=none if self.sizes is None else unusual(sizes, self.sizes),
            loss=losses[:rows],
            young=losses[rows:],
            divergence=_numbers(apart),
        ), sizes  # fmt: skip

    def _loss(self, outputs: Tensor, batch: Batch) -> np.ndarray:
        assert self.measure is not None
        counted = batch.weights.sum(1)
        each = (self.measure.per_position(outputs, batch).double() * batch.weights).sum(1) / counted
        return np.where((counted > 0).cpu().numpy(), _numbers(each), np.nan)

    def knowing(self, sizes: np.ndarray) -> Senses:
        """The same, which tells norms: from the sizes (N, parts) of healthy states."""
        finite = sizes[np.isfinite(sizes).all(1)]
        return replace(self, sizes=np.stack([finite.mean(0), np.maximum(finite.std(0), 1e-6)]))


def _numbers(values: Tensor) -> np.ndarray:
    """As float64; what is no number is as bad as can be."""
    found = values.double().cpu().numpy()
    return np.where(np.isnan(found), np.inf, found)


def unusual(sizes: np.ndarray, usual: np.ndarray) -> np.ndarray:
    """(N,) the norms' signal of logarithms of sizes (N, parts).

    Args:
        usual: (2, parts) as `Senses.sizes`.
    """
    far = np.abs(sizes - usual[0]) / usual[1]
    return np.where(np.isfinite(far), far, _FAR).max(1)
