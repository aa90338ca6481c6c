"""The second stage: a repair of the model at work on the trusted corpus, with windows that start from kept states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from outlast import checkpoints
from outlast.checkpoints import model_fingerprint
from outlast.checkpoints.states import file_sha256
from outlast.data import Split, Streams
from outlast.errors import InputError, TrainingDiverged
from outlast.evaluation import EvalSettings
from outlast.evaluation.measure import Measure
from outlast.folders import discard, locked
from outlast.interventions import Carry, Mix
from outlast.live.ledger.candidates import Candidate, gate, move
from outlast.live.ledger.store import Ledger
from outlast.live.ledger.tables import Status
from outlast.live.retrain.checks import (
    MODEL,
    RESULT,
    TRAIN,
    check_moves,
    collected_of,
    folder_of,
    parent_of,
    record_of,
)
from outlast.live.retrain.from_kept import FromKept, with_arrived
from outlast.live.retrain.settings import Continuation
from outlast.model import Recurrent
from outlast.modules import adapt
from outlast.progress import WorkDone
from outlast.repairs import RepairSettings, repair
from outlast.results import save_result
from outlast.training import TrainSettings
from outlast.training.objectives import Objective

WINDOWS = 20
"""Training contexts that carried rows run on for, where nothing else is asked for."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """How a candidate is trained: as a repair is, with what is particular to it.

    Args:
        share: of the rows that start from kept states; the others are carried.
        expected_run: of the carried rows, positions; None: 20 training contexts.
        training, measuring, repairing, objective, measures, guards: as for `outlast.repair`. `repairing` goes on where
            the corpus has nothing to repair, since what fails is what was met at work; of its doses only the whole one
            is tried, since the corpus cannot choose among them; and no control is made, since candidates are held
            against the model at work.
    """

    share: float = 0.5
    expected_run: float | None = None
    training: TrainSettings = field(default_factory=TrainSettings)
    measuring: EvalSettings | None = None
    repairing: RepairSettings = field(default_factory=lambda: RepairSettings(doses=(1.0,), control=False, anyway=True))
    objective: Objective | str | None = None
    measures: Sequence[Measure | str] | Measure | str | None = None
    guards: Mapping[str, Streams | Split] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise InputError(f"a share of {self.share}", "between 0 and 1", "0.5 is the default")


def train(
    ledger: Ledger,
    number: int,
    model: Recurrent,
    data: Split,
    train_context: int,
    *,
    by: str,
    how: Training | None = None,
    progress: WorkDone | None = None,
) -> Candidate:
    """Train a candidate that was collected; one that is trained already stays as it is. One that was stopped goes on.

    Args:
        model: the one at work, from which it comes.
        data: the trusted corpus.

    Raises:
        InputError: another model than the candidate comes from, or what was collected is not what the ledger says.
    """
    how, model = how or Training(), adapt(model)
    one = check_moves(ledger, number)
    if one.status != Status.COLLECTED:
        return one
    fingerprint = parent_of(one, model)
    folder = folder_of(ledger, number)
    with locked(folder, f"outlast live retrain, candidate {number}"):
        collected, hashed = collected_of(ledger, number, model, fingerprint)
        continuation: Continuation = collected.about["how"]["continuation"]
        kept = FromKept(folder=str(folder.resolve()), sha256=hashed, model=fingerprint, continuation=continuation)
        carry = Carry(expected_run=how.expected_run or float(WINDOWS * train_context))
        rule = Mix(members=(carry, kept), shares=(1 - how.share, how.share))
        given = replace(data, train=with_arrived(data.train, collected, train_context)) if (
            continuation == "arrived") else data  # fmt: skip
        try:
            done = repair(
                model,
                given,
                train_context=train_context,
                intervention=rule,
                objective=how.objective,
                measures=how.measures,
                training=how.training,
                measuring=how.measuring,
                repairing=replace(how.repairing, anyway=True),
                guards=how.guards,
                checkpoint=folder / "checkpoint",
                resume=True,
                progress=progress,
            )
        except TrainingDiverged as error:
            return _refused(ledger, number, by, str(error))
        refusal = done.result.refused_because
        if refusal is not None and refusal.untouched:
            return _refused(ledger, number, by, "; ".join([refusal.name, *refusal.because]))
        save_result(done.result, folder / RESULT)
        made = {"verb": "live retrain", "repair_of": fingerprint, "candidate": number, "by": rule.describe()}
        checkpoints.save(done.model, folder / MODEL, provenance=made)
        own = model_fingerprint(done.model)
        figures: dict[str, Any] = {
            "model": own,
            "record": record_of(folder / MODEL),
            "result": file_sha256(folder / RESULT),
            "collected": hashed,
            "seed": how.training.seed,
            "share": how.share,
            "repairing": asdict(how.repairing),
            "as_a_repair": "accepted" if refusal is None else refusal.name,
        }
        gate(ledger, number, TRAIN, "trained", passed=True, figures=figures)
        one = move(ledger, number, Status.TRAINED, by=by, because=f"trained for {done.result.steps} steps", model=own)
        discard(folder / "checkpoint")
        return one


def _refused(ledger: Ledger, number: int, by: str, why: str) -> Candidate:
    gate(ledger, number, TRAIN, "trained", passed=False, figures={"because": why})
    return move(ledger, number, Status.REFUSED, by=by, because=why)
