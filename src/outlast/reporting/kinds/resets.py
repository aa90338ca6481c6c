"""What resets would give now, without training."""

from __future__ import annotations

from outlast.reporting.commands import Step
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
