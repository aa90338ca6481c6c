"""What became of a candidate, in words."""

from __future__ import annotations

from typing import Any

from outlast.live.ledger.candidates import Candidate, Gate, gates, moves
from outlast.live.ledger.store import Ledger
from outlast.live.ledger.tables import Status
from outlast.live.retraining.verified import COLLECT, GATES, TRAIN, folder_of, latest

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
