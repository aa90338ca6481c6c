"""Steps that need no training: resets, and what to look at where a model is broken."""

from __future__ import annotations

from outlast.reporting.commands import Step, command
from outlast.reporting.numbers import integer
from outlast.reporting.terms import level, unit
from outlast.results import Evaluation


def without_training(evaluation: Evaluation) -> list[Step]:
    """Resets that help now, with what they give."""
    oldest = evaluation.oldest.loss
    found = []
    for key, cost in (("periodic_reset", "at no extra cost"), ("overlapping_reset", "at twice the cost of running")):
        reset = evaluation.resets.get(key)
        if reset is not None and reset.loss < oldest:
            found.append((key, reset, f"{level(reset.loss, unit(evaluation))} {cost}"))
    if not found:
        return []
    texts = {
        "periodic_reset": "resetting the state every {} positions gives {}",
        "overlapping_reset": "two overlapping copies, each reset every {} positions, give {}",
    }
    gains = "; ".join(texts[key].format(integer(reset.every), gives) for key, reset, gives in found)
    key, reset, _ = min(found, key=lambda each: each[1].loss)
    overlap = ", overlap=True" if key == "overlapping_reset" else ""
    return [
        Step(
            f"What helps now, without training: on the same targets, against "
            f"{level(oldest, unit(evaluation))} at the oldest age, {gains}.",
            f"model = outlast.with_reset(model, every={reset.every}{overlap})",
        )
    ]


def mend(broken: Evaluation) -> list[Step]:
    """Steps where a model gives no predictions to speak of."""
    return [
        Step(
            "Find out why before anything else: do all weights hold finite numbers, and others than zero? Are the "
            "inputs scaled as in training, and without numbers that are missing or huge? A check says which points of "
            "the contract hold:",
            command("check", broken.command),
        )
    ]
