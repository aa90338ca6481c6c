"""A task: streams, a model to train on them, how to measure, which repairs to compare, and what is known beforehand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from outlast.brief import briefly
from outlast.data import Split, Streams
from outlast.errors import unknown_name
from outlast.evaluation import EvalSettings
from outlast.evaluation.measure import Measure
from outlast.families import build
from outlast.interventions import Intervention
from outlast.model import InputSpec, Recurrent
from outlast.repairs import RepairSettings
from outlast.results import Evaluation
from outlast.training import TrainSettings
from outlast.training.objectives import Objective

# What is known of a task before any model: how well one predicts who knows how the data are made, or knows nothing.

Predictor = Callable[[Streams], np.ndarray]
"""The probability, (N,), that a predictor gives to the target of each of the N positions of the streams' arrays, from
the symbols up to it; what it says where nothing counts has no meaning."""


@dataclass(frozen=True)
class Known:
    """Two predictors with known scores, between which a model stands.

    Args:
        reference: knows how the data come about, and is never told the answer.
        blind: reads nothing of the context that the answer lies in.
    """

    reference: Predictor
    blind: Predictor


def nats_of(streams: Streams, predictor: Predictor) -> float:
    """What the predictor loses, mean over the positions that count."""
    counted, weights = _counted(streams)
    with np.errstate(divide="ignore"):
        return float(np.average(-np.log(predictor(streams)[counted]), weights=weights))


def error_of(streams: Streams, predictor: Predictor) -> float:
    """How often an answer drawn from what the predictor says is wrong, mean over the positions that count."""
    counted, weights = _counted(streams)
    return float(1 - np.average(predictor(streams)[counted], weights=weights))


def _counted(streams: Streams) -> tuple[np.ndarray, np.ndarray]:
    """Positions in the flat arrays that count, and their weights."""
    total = int(streams.lengths.sum())
    ahead = np.cumsum(streams.lengths) - streams.lengths
    at = np.repeat(streams.starts - ahead, streams.lengths) + np.arange(total)
    weights = np.ones(total) if streams.weights is None else streams.weights[at].astype(np.float64)
    return at[weights > 0], weights[weights > 0]


@briefly
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
        method: anchor, doses, and what a repair is held to.
        measuring: how both are measured.
        interventions: what is compared.
        training_sets: further training streams by name, for a base or for rows that repairs are compared with.
        base_from: which of them the base learns from; None: the training part of `streams`.
        controls: further test streams by name, on which every model is measured too.
        pretrained: `model` comes trained, and `training` is not used.
        objective: what its repairs minimise, made from the untouched base; None: what fits the targets.
        measures: what it is judged by, made from the untouched base; None: what fits the targets.
        healthy: measures another model on data of the same kind, one that does not fail: the report shows both.
        known: a predictor with a known score and a blind one, between which its models stand; None: there is none.
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
    method: RepairSettings = field(default_factory=RepairSettings)
    training_sets: Mapping[str, Callable[[], Streams]] = field(default_factory=dict)
    base_from: str | None = None
    controls: Mapping[str, Callable[[], Streams]] = field(default_factory=dict)
    pretrained: bool = False
    objective: Callable[[Recurrent], Objective] | None = None
    measures: Callable[[Recurrent], tuple[Measure, ...]] | None = None
    healthy: Callable[[], Evaluation] | None = None
    known: Known | None = None

    def training_set(self, name: str | None = None) -> Streams:
        """The training streams of this name; None: the training part of `streams`."""
        if name is None:
            return self.streams().train
        if name not in self.training_sets:
            raise unknown_name(f"training set of task {self.name}", name, self.training_sets)
        return self.training_sets[name]()


def mamba2_of(symbols: int, **settings: int) -> Callable[[int], Recurrent]:
    """Builds a Mamba-2 from a seed: two layers of width 64 with 16 rows of memory a head, unless `settings` differ.

    Args:
        symbols: how many kinds of tokens it reads, and gives a score to.
        settings: of the family.
    """
    return lambda seed: build("mamba2", inputs=InputSpec("tokens", symbols), outputs=symbols, seed=seed, **settings)
