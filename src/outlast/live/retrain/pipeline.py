"""From incidents to a candidate that came through its gates, stage by stage, and in words."""

from __future__ import annotations

from typing import Any, Literal

from torch import nn

from outlast.arguments import at_least
from outlast.data import Split
from outlast.errors import InputError
from outlast.live.ledger.candidates import Candidate, Gate, candidates, gates, moves
from outlast.live.ledger.store import Ledger
from outlast.live.ledger.tables import Status
from outlast.live.retrain.checks import COLLECT, GATES, TRAIN, check_moves, folder_of, latest
from outlast.live.retrain.collecting import collect
from outlast.live.retrain.gates import hold
from outlast.live.retrain.settings import Collecting
from outlast.live.retrain.training import Training, train
from outlast.live.signing import signed
from outlast.live.watch.profiles import Profile
from outlast.modules import adapt
from outlast.progress import WorkDone

# What became of a candidate, in words.

NEXT = {
    Status.COLLECTED: "train it: outlast live retrain --stage train --candidate {n}",
    Status.TRAINED: "hold it to its gates: outlast live retrain --stage gates --candidate {n}",
    Status.GATED: "let it read along with the model at work: outlast live approve {n} --by NAME",
    Status.REFUSED: "the model at work stays; look at what was not passed, and begin anew with more incidents",
}
"""What to do."""


def told(ledger: Ledger, one: Candidate) -> str:
    """All that is known of a candidate, in lines."""
    lines = [f"candidate {one.id}, {one.status}: {folder_of(ledger, one.id)}"]
    collected = latest(ledger, one.id, COLLECT).get("collected")
    if collected is not None:
        lines += _collected(collected.figures)
    trained = latest(ledger, one.id, TRAIN).get("trained")
    if trained is not None and trained.passed:
        lines.append(f"trained: the model {str(trained.figures.get('model'))[:12]}…")
    elif trained is not None:
        lines.append(f"not trained: {trained.figures.get('because')}")
    lines += [_gate(each) for each in latest(ledger, one.id, GATES).values()]
    if one.status == Status.REFUSED:
        lines.append(f"refused: {moves(ledger, one.id)[-1].because}")
    if one.status in NEXT:
        lines.append(f"next: {NEXT[one.status].format(n=one.id)}")
    return "\n".join(lines)


def record(ledger: Ledger, one: Candidate) -> dict[str, Any]:
    """The same as JSON."""
    return {
        **{name: getattr(one, name) for name in ("id", "parent", "model", "folder")},
        "status": str(one.status),
        "begun": one.begun.isoformat(),
        "changed": one.changed.isoformat(),
        "moves": [
            {"before": each.before, "after": each.after, "by": each.by, "because": each.because,
             "at": each.at.isoformat()}
            for each in moves(ledger, one.id)
        ],
        "gates": [{**vars(each), "at": each.at.isoformat()} for each in gates(ledger, one.id)],
    }  # fmt: skip


def _collected(figures: dict[str, Any]) -> list[str]:
    ours, theirs = (f"{figures[key]} states of {figures[f'{key}_streams']} streams" for key in ("train", "later"))
    lines = [f"collected: {ours} to train on; {theirs}, of later incidents, for the gates"]
    if figures["fewer_than_four_streams"]:
        lines.append("  fewer than four streams train: one of them may give more than a quarter")
    return lines + [f"  left out: {count:,} × {reason}" for reason, count in figures["left_out"].items()]


def _gate(found: Gate) -> str:
    figures = {name: value for name, value in found.figures.items() if name not in ("model", "because")}
    said = "; ".join(f"{name.replace('_', ' ')} {_short(value)}" for name, value in figures.items() if _any(value))
    why = found.figures.get("because")
    verdict = "figures" if found.name == "handover" else "passed" if found.passed else "NOT passed"
    return f"{found.name}: {verdict}" + (f" ({why})" if why else "") + (f": {said}" if said else "")


def _any(value: Any) -> bool:
    return value is not None and value not in ([], {}, "")


def _short(value: Any) -> str:
    if isinstance(value, list):
        mean, *ends = (_short(each) for each in value)
        return f"{mean} ({' to '.join(ends)})" if ends else mean
    if isinstance(value, dict):
        return ", ".join(f"{name} {_short(each)}" for name, each in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


# From incidents to a candidate that came through its gates: stages, each of which may be run anew.

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
