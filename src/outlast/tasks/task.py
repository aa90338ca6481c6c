"""A task: streams, a model to train on them, how to measure, and which repairs to compare."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

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
from outlast.tasks.known import Known
from outlast.training import TrainSettings
from outlast.training.objectives import Objective


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
