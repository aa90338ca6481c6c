"""Measures: named losses by position, lower is better, by which models are judged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from outlast.data import Batch, Streams
from outlast.errors import InputError, unknown_name
from outlast.evaluation.in_pieces import cross_entropy, scored
from outlast.state import at_least_float32
from outlast.unprojected import Unprojected

# Measures: named losses by position, lower is better, by which models are judged. What training minimises is an
# `Objective`; the two may differ.

Outputs = Literal["classes", "values", "embeddings"]
"""What outputs are: logits of classes, numbers in the targets' units, or places in a space of the model's own."""


OF_ERROR, OF_KNOWN, OF_CHANCE = 0.1, 0.02, 0.001
"""Shares that limit what a rate may rise by. With them 0.01, the usual tolerance, holds where it was made for: for a
rate of a tenth to a half where chance is 1. No result was looked at.
"""


@dataclass(frozen=True)
class Measure:
    """A number for every position.

    Args:
        name: a slug.
        unit: for people.
        per_position: (outputs, batch) -> (B, T), not reduced: float64 for a model of float64, else float32.
        relative: whether `tolerance` and `margin` are shares of the short-context (or base) loss, or absolute.
        tolerance: how much worse is worse (verdicts).
        margin: how much short contexts may lose in a repair.
        worst: the largest loss that a position can have, as of a rate; None: there is none.
        outputs: what the outputs are; None: what the targets are.
        smooth: a measure of the same thing that has gradients; None: itself.
        constant: (targets that count (N,) or (N, K), number of classes) -> the output (C,) that is best where a model
            may always give the same one; None: it is not asked.
    """

    name: str
    unit: str
    per_position: Callable[[Any, Batch], Tensor]
    relative: bool
    tolerance: float
    margin: float = 0.005
    worst: float | None = None
    outputs: Outputs | None = None
    smooth: Measure | None = None
    constant: Callable[[Tensor, int], Tensor] | None = None

    def tolerated(self, reference: float, chance: float | None = None) -> float:
        """The tolerance in the measure's own unit, for a short-context loss of `reference`.

        Of a rate (`worst`) at most `tolerance`, `OF_ERROR` of the rate itself and `OF_KNOWN` of what it is below
        chance; but never less than `OF_CHANCE` of chance, which a model without an error may lose too.

        Args:
            chance: the rate of the best constant answer; None: not known, and the worst rate stands for it.
        """
        if self.relative:
            return self.tolerance * abs(reference)
        if self.worst is None:
            return self.tolerance
        most = self.worst if chance is None else chance
        return max(OF_CHANCE * most, min(self.tolerance, OF_ERROR * reference, OF_KNOWN * (most - reference)))

    def allowed(self, reference: float) -> float:
        """The margin for short contexts in the measure's own unit, for a base loss of `reference`."""
        return self.margin * abs(reference) if self.relative else self.margin


def classes_of(outputs: Any, batch: Batch) -> Tensor:
    """Integer targets (B, T) for outputs (B, T, C), projected or not, or one clear error."""
    targets = batch.targets
    if targets is None or targets.is_floating_point():
        raise InputError(
            "targets that are " + ("missing" if targets is None else "real numbers"),
            "integer classes for a cross-entropy or an error rate",
            "use --objective regression, or --bins to forecast in classes",
        )
    known = isinstance(outputs, Tensor | Unprojected)
    if not known or len(outputs.shape) != 3 or outputs.shape[:2] != targets.shape:
        shape = tuple(outputs.shape) if known else type(outputs).__name__
        raise InputError(
            f"model outputs {shape} for targets {tuple(targets.shape)}",
            "logits of shape (B, T, classes)",
            "check the model's head and that it reads (B, T, …) inputs",
        )
    # In training on a GPU, asking would hold up every step; the first evaluation has asked then.
    if targets.device.type == "cpu" or not outputs.requires_grad:
        low, high = int(targets.min()), int(targets.max())
        if low < 0 or high >= outputs.shape[-1]:
            raise InputError(
                f"a target class {low if low < 0 else high} for a model with {outputs.shape[-1]} outputs",
                "classes from 0 to below the number of outputs",
                "check the vocabulary or --bins against the model's head",
            )
    return targets


def logits_and_classes(outputs: Any, batch: Batch) -> tuple[Tensor, Tensor]:
    """Outputs (B, T, C), at least float32, and integer targets (B, T), or one clear error."""
    targets = classes_of(outputs, batch)
    return at_least_float32(outputs), targets


def values_and_targets(outputs: Any, batch: Batch) -> tuple[Tensor, Tensor]:
    """Outputs and real targets, both (B, T, K), or one clear error."""
    targets = batch.targets
    if targets is None or not targets.is_floating_point():
        raise InputError(
            "targets that are " + ("missing" if targets is None else "integer classes"),
            "real numbers for a squared error",
            "use --objective classification or next_token",
        )
    if isinstance(outputs, Tensor) and outputs.dim() == 2 and targets.shape[-1] == 1:
        outputs = outputs[..., None]
    if not isinstance(outputs, Tensor) or outputs.shape != targets.shape:
        shape = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
        raise InputError(
            f"model outputs {shape} for targets {tuple(targets.shape)}",
            "outputs of the targets' shape (B, T, values)",
            "name the target column and the horizon that the model was built for (--target, --horizon)",
        )
    outputs = at_least_float32(outputs)
    return outputs, targets.to(outputs.dtype)


def cross_entropy_per_position(outputs: Any, batch: Batch) -> Tensor:
    """−log p(target), nats, (B, T); also of outputs that were not projected, in pieces."""
    if isinstance(outputs, Unprojected):
        return cross_entropy(outputs, classes_of(outputs, batch), batch.weights)
    logits, targets = logits_and_classes(outputs, batch)
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view(targets.shape)


def error_per_position(outputs: Any, batch: Batch) -> Tensor:
    """1 where the likeliest class is not the target, (B, T); also of outputs that were not projected, in pieces."""
    if isinstance(outputs, Unprojected):
        return scored(outputs, classes_of(outputs, batch)).wrong.float()
    logits, targets = logits_and_classes(outputs, batch)
    return (logits.argmax(-1) != targets).float()


def squared_error_per_position(outputs: Any, batch: Batch) -> Tensor:
    """Squared error, mean over the K values of a target, (B, T)."""
    values, targets = values_and_targets(outputs, batch)
    return (values - targets).square().mean(-1)


def absolute_error_per_position(outputs: Any, batch: Batch) -> Tensor:
    """Absolute error, mean over the K values of a target, (B, T)."""
    values, targets = values_and_targets(outputs, batch)
    return (values - targets).abs().mean(-1)


def _counts(targets: Tensor, classes: int) -> Tensor:
    """How often each class occurs, (classes,), and once more."""
    return torch.bincount(targets, minlength=classes).float() + 1.0


CROSS_ENTROPY = Measure(
    "cross_entropy",
    "nats",
    cross_entropy_per_position,
    relative=True,
    tolerance=0.005,
    constant=lambda targets, classes: _counts(targets, classes).log(),
)
ERROR_RATE = Measure(
    "error_rate",
    "error rate",
    error_per_position,
    relative=False,
    tolerance=0.01,
    margin=0.01,
    worst=1.0,
    smooth=CROSS_ENTROPY,
    constant=_counts,
)
SQUARED_ERROR = Measure(
    "squared_error",
    "squared error",
    squared_error_per_position,
    relative=True,
    tolerance=0.01,
    constant=lambda targets, classes: targets.mean(0),
)
ABSOLUTE_ERROR = Measure(
    "absolute_error",
    "absolute error",
    absolute_error_per_position,
    relative=True,
    tolerance=0.01,
    constant=lambda targets, classes: targets.median(0).values,
)


def outputs_of(streams: Streams, measure: Measure | None = None) -> Outputs:
    """What a model's outputs are: what `measure` says; else classes for tokens and classes, and values otherwise."""
    if measure is not None and measure.outputs is not None:
        return measure.outputs
    return "classes" if streams.tokens or streams.target_kind == "classes" else "values"


DIVERGENCES = ("kl", "squared", "cosine")


def divergence(kind: str, outputs: Tensor, reference: Tensor) -> Tensor:
    """How far outputs (B, T, C) are from reference outputs, (B, T).

    Args:
        kind: ``kl``: KL(reference ‖ outputs) of the softmax distributions, nats; ``squared``: mean squared
            difference; ``cosine``: 1 − cosine similarity.
    """
    if outputs.shape != reference.shape:
        raise InputError(
            f"model outputs {tuple(outputs.shape)} for reference outputs {tuple(reference.shape)}",
            "outputs of one shape (B, T, C)",
            "distil from a model with the same head",
        )
    outputs = at_least_float32(outputs)
    reference = reference.to(outputs.dtype)
    if kind == "kl":
        log_p, log_q = F.log_softmax(reference, -1), F.log_softmax(outputs, -1)
        return (log_p.exp() * (log_p - log_q)).sum(-1)
    if kind == "squared":
        return (outputs - reference).square().mean(-1)
    if kind == "cosine":
        return 1 - torch.cosine_similarity(outputs, reference, dim=-1)
    raise unknown_name("divergence", kind, DIVERGENCES)
