"""Objectives: what training minimises, by position."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from outlast.arguments import taking
from outlast.data import Batch, Streams
from outlast.errors import InputError, unknown_name
from outlast.evaluation.measure import DIVERGENCES, cross_entropy_per_position, divergence, squared_error_per_position
from outlast.evaluation.measures import pinball_per_position
from outlast.model import Recurrent
from outlast.modules.adapting import adapt
from outlast.state import at_least_float32


@runtime_checkable
class Objective(Protocol):
    """`prepare` may add what `per_position` needs; `per_position` gives a loss (B, T), not reduced."""

    @property
    def name(self) -> str: ...

    def prepare(self, batch: Batch) -> Batch: ...

    def per_position(self, outputs: Any, batch: Batch) -> Tensor: ...


@dataclass(frozen=True)
class CrossEntropy:
    """Next token, or any classification by position; nats."""

    name: str = "cross_entropy"

    def prepare(self, batch: Batch) -> Batch:
        return batch

    def per_position(self, outputs: Any, batch: Batch) -> Tensor:
        return cross_entropy_per_position(outputs, batch)


def head_needed(objective: Objective) -> bool:
    """Whether an objective has to see the outputs: all do but the cross-entropy, which is taken of logits in pieces."""
    return getattr(type(objective), "per_position", None) is not CrossEntropy.per_position


@dataclass(frozen=True)
class Regression:
    """Squared error of one or more values by position (the next step, or h steps ahead)."""

    name: str = "regression"

    def prepare(self, batch: Batch) -> Batch:
        return batch

    def per_position(self, outputs: Any, batch: Batch) -> Tensor:
        return squared_error_per_position(outputs, batch)


@dataclass(frozen=True)
class Quantiles:
    """Pinball loss of the quantiles `levels` of one or more values by position."""

    levels: tuple[float, ...]
    name: str = "quantiles"

    def prepare(self, batch: Batch) -> Batch:
        return batch

    def per_position(self, outputs: Any, batch: Batch) -> Tensor:
        return pinball_per_position(self.levels, outputs, batch)


@dataclass(frozen=True)
class SelfDistillation:
    """Agree with the untouched model read from the zero state on the same window; needs no labels.

    Args:
        teacher: the untouched model; `self_distillation` makes a frozen copy.
        kind: a divergence, see `outlast.evaluation.measure.divergence`.
        resets: 1: the teacher reads the window from its start. k > 1: k copies start at k evenly spaced places of the
            window, and the mean of those that have read at least window/k positions (always that of the first) is
            the target: the mean of staggered resets.
        warm_up: first positions of every window that do not count, for the teacher has read too little there.
    """

    teacher: Recurrent
    kind: str = "kl"
    resets: int = 1
    warm_up: int = 0
    name: str = "self_distillation"

    def __post_init__(self) -> None:
        if self.kind not in DIVERGENCES:
            raise unknown_name("divergence", self.kind, DIVERGENCES)
        if self.resets < 1 or self.warm_up < 0:
            raise InputError(
                f"{self.resets} resets and a warm-up of {self.warm_up}",
                "at least 1 reset and a warm-up of 0 or more positions",
                "1 and 0 are the usual choice",
            )

    @torch.no_grad()
    def prepare(self, batch: Batch) -> Batch:
        length = batch.inputs.shape[1]
        if max(self.warm_up, self.resets - 1) >= length:
            raise InputError(
                f"a warm-up of {self.warm_up} and {self.resets} resets in windows of {length} positions",
                "a window longer than the warm-up, and no more resets than positions",
                "lower them or choose a longer training context",
            )
        rows = batch.inputs.shape[0]
        step = max(length // self.resets, 1)
        total, count = None, None
        for begin in range(0, step * self.resets, step):
            outputs, _ = self.teacher(batch.inputs[:, begin:], self.teacher.initial_state(rows))
            counts = torch.ones(length - begin, device=outputs.device)
            if begin > 0:
                counts[:step] = 0
            outputs = at_least_float32(_by_value(outputs)) * counts[:, None]
            if total is None or count is None:
                total, count = outputs, counts
            else:
                total = torch.cat([total[:, :begin], total[:, begin:] + outputs], 1)
                count = torch.cat([count[:begin], count[begin:] + counts])
        assert total is not None
        assert count is not None
        warm = torch.arange(length, device=batch.weights.device) >= self.warm_up
        return replace(batch.with_extras(teacher=total / count[:, None]), weights=batch.weights * warm)

    def per_position(self, outputs: Any, batch: Batch) -> Tensor:
        return divergence(self.kind, _by_value(outputs), batch.extras["teacher"])


@dataclass(frozen=True)
class Anchored:
    """Hold the rows that start from zero to the untouched model's answer, beside what they learn.

    Rows set aside to start from the initial state minimise ``labels`` times the objective plus ``weight`` times the
    divergence from the untouched model on the same window; all other rows minimise the objective alone. Short contexts
    then pay less for what old states learn.

    Args:
        objective: what is minimised otherwise.
        teacher: the untouched model; `anchored` makes a frozen copy.
        kind: a divergence, see `outlast.evaluation.measure.divergence`.
        weight: of the divergence, on rows set aside.
        labels: of the objective, on rows set aside.
    """

    objective: Objective
    teacher: Recurrent
    kind: str = "kl"
    weight: float = 4.0
    labels: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in DIVERGENCES:
            raise unknown_name("divergence", self.kind, DIVERGENCES)
        if not (0 < self.weight < math.inf and 0 <= self.labels < math.inf):
            raise InputError(
                f"an anchor of weight {self.weight} with labels of weight {self.labels}",
                "a weight above 0, and labels of 0 or more",
                "4 and 1 are the usual choice; leave the anchor out for none",
            )

    @property
    def name(self) -> str:
        return f"{self.objective.name}, anchored ({self.kind} {self.weight:g}, labels {self.labels:g})"

    @torch.no_grad()
    def prepare(self, batch: Batch) -> Batch:
        batch = self.objective.prepare(batch)
        rows = batch.extras["aside"].nonzero().squeeze(1)
        if not len(rows):
            return batch
        outputs, _ = self.teacher(batch.inputs[rows], self.teacher.initial_state(len(rows)))
        answer = _by_value(outputs)
        whole = answer.new_zeros((len(batch.inputs), *answer.shape[1:]))
        return batch.with_extras(anchor=whole.index_copy(0, rows, answer))

    def per_position(self, outputs: Any, batch: Batch) -> Tensor:
        losses, anchor = self.objective.per_position(outputs, batch), batch.extras.get("anchor")
        if anchor is None:
            return losses
        apart = divergence(self.kind, _by_value(outputs), anchor)
        return torch.where(batch.extras["aside"][:, None], self.labels * losses + self.weight * apart, losses)


@taking
def anchored(goal: Objective, model: nn.Module, kind: str = "kl", weight: float = 4.0, labels: float = 1.0) -> Anchored:
    """`goal` with rows that start from zero held to a frozen copy of `model`."""
    return Anchored(goal, _frozen(model), kind, weight, labels)


def _by_value(outputs: Tensor) -> Tensor:
    """Outputs as (B, T, K), also those of a model with a single value that gives (B, T)."""
    return outputs[..., None] if outputs.dim() == 2 else outputs


@taking
def self_distillation(model: nn.Module, kind: str = "kl", resets: int = 1, warm_up: int = 0) -> SelfDistillation:
    """Self-distillation from a frozen copy of `model`."""
    return SelfDistillation(_frozen(model), kind, resets, warm_up)


def _frozen(model: nn.Module) -> Recurrent:
    return copy.deepcopy(adapt(model)).eval().requires_grad_(False)


OBJECTIVES = ("next_token", "classification", "regression", "quantiles", "self_distillation")


def objective(name: str | None, model: Recurrent, streams: Streams) -> Objective:
    """The objective with this slug; None: what fits the targets.

    Args:
        name: one of `OBJECTIVES`.
        model: the untouched model (the teacher of self-distillation).
        streams: whose targets decide where `name` is None.
    """
    levels = () if streams.schema is None else streams.schema.target.quantiles
    values = "quantiles" if levels else "regression"
    fitting = {"classes": "classification", "values": values}.get(streams.target_kind or "", "self_distillation")
    slug = name.replace("-", "_") if name else fitting
    if slug not in OBJECTIVES:
        raise unknown_name("objective", slug, OBJECTIVES)
    if slug == "self_distillation":
        return self_distillation(model, "squared" if streams.target_kind == "values" else "kl")
    wanted = "values" if slug in ("regression", "quantiles") else "classes"
    if streams.target_kind != wanted or (slug == "quantiles") > bool(levels):
        without = " without quantiles" if slug == "quantiles" else ""
        raise InputError(
            f"objective {slug!r} for targets that are {streams.target_kind or 'missing'}{without}",
            f"targets that are {wanted}{' with quantiles' if without else ''}",
            "leave --objective out to take what fits the data",
        )
    if slug == "quantiles":
        return Quantiles(levels)
    return Regression() if slug == "regression" else CrossEntropy("cross_entropy")
