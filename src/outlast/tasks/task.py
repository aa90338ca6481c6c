"""A task: streams, a model to train on them, how to measure, and which repairs to compare."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from outlast.evaluation import EvalSettings
from outlast.interventions import Intervention
from outlast.model import Recurrent
from outlast.streams import Split
from outlast.training import TrainSettings


@dataclass(frozen=True)
class Task:
    """Everything that a comparison on one kind of data needs.

    Args:
        name: a slug.
        summary: one line for people.
        streams: fetches and prepares the data.
        model: a fresh model for a seed.
        train_context: positions of a training window.
        training: how the base is trained.
        repairing: how a repair is trained.
        measuring: how both are measured.
        interventions: what is compared.
    """

    name: str
    summary: str
    streams: Callable[[], Split]
    model: Callable[[int], Recurrent]
    train_context: int
    training: TrainSettings
    repairing: TrainSettings
    measuring: EvalSettings
    interventions: tuple[Intervention, ...]
