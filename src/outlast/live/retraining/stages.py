"""From incidents to a candidate that came through its gates: stages, each of which may be run anew."""

from __future__ import annotations

from typing import Literal

from torch import nn

from outlast.adapters import adapt
from outlast.arguments import at_least
from outlast.data import Split
from outlast.errors import InputError
from outlast.live.ledger.candidates import Candidate, candidates
from outlast.live.ledger.store import Ledger
from outlast.live.ledger.tables import Status
from outlast.live.profiles import Profile
from outlast.live.retraining.collecting import collect
from outlast.live.retraining.gating import hold
from outlast.live.retraining.settings import Collecting
from outlast.live.retraining.training import Training, train
from outlast.live.retraining.verified import check_moves
from outlast.live.signing import signed
from outlast.progress import WorkDone

Stage = Literal["collect", "train", "gates"]
BEFORE: dict[Stage, Status] = {"train": Status.COLLECTED, "gates": Status.TRAINED}
"""The status of a candidate that a stage takes on."""


def retrain(
    ledger: Ledger,
    data: Split,
    *,
    model: nn.Module,
    profile: Profile,
    train_context: int,
    by: str,
    number: int | None = None,
    stage: Stage | None = None,
    collecting: Collecting | None = None,
    training: Training | None = None,
    allow_code: bool = False,
    progress: WorkDone | None = None,
) -> Candidate:
    """Take a candidate as far as its gates; what is done already is not done again.

    Args:
        data: the trusted corpus: streams to train on, and held-out ones that nobody trained on.
        model: the one at work.
        profile: of it.
        by: who asks for it.
        number: of a candidate to go on with; None: the newest of this model that is not done, or a new one.
        stage: the only one to run; None: all that are left.
        allow_code: as for `outlast.load`, of the candidate's folder.

    Raises:
        InputError: a stage that is not due, another model, too few incidents, or files that are not what the ledger
            says.
    """
    signed(by)
    at_least(1, train_context, "train_context")
    if profile.facts.train_context != train_context:
        raise InputError(
            f"a training context of {train_context} and a profile of {profile.facts.train_context}",
            "the same one",
            "give the training context of the profile",
        )
    model = adapt(model)
    if stage == "collect" and number is not None:
        raise InputError(
            f"candidate {number} to be collected", "no number: collecting begins a new one", "leave it out"
        )
    if number is not None:
        one = check_moves(ledger, number)
    elif stage == "collect" or (one := _unfinished(ledger, profile.facts.model, stage)) is None:
        if stage not in (None, "collect"):
            raise InputError(
                f"no candidate of this model for stage {stage}",
                f"one that is {BEFORE[stage]}",
                "run the stage before it",
            )
        one = collect(ledger, model, profile, data.train, by=by, how=collecting)
        if stage == "collect":
            return one
    if stage in (None, "train"):
        one = train(ledger, one.id, model, data, train_context, by=by, how=training, progress=progress)
    elif one.status == Status.COLLECTED:
        raise InputError(f"candidate {one.id}, {one.status}, before gates", "a trained one", "run --stage train first")
    if stage in (None, "gates"):
        one = hold(ledger, one.id, model, profile, data, by=by, allow_code=allow_code, progress=progress)
    return one


def _unfinished(ledger: Ledger, parent: str, stage: Stage | None) -> Candidate | None:
    """The newest candidate of a model that waits for a stage."""
    wanted = set(BEFORE.values()) if stage is None or stage == "collect" else {BEFORE[stage]}
    return next((each for each in candidates(ledger) if each.parent == parent and each.status in wanted), None)
