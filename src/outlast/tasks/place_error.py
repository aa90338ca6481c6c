"""How often another place than the right one is the likeliest of a story's places."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from outlast.data import Batch
from outlast.evaluation.measure import CROSS_ENTROPY, Measure, logits_and_classes


def place_error(places: Sequence[int]) -> Measure:
    """The measure of answers that are among these.

    Whether any other word is likelier still is not asked, as where answers are chosen from a list: a model that learnt
    from prose alone thinks of other words first, and would else be wrong always.

    Args:
        places: their numbers in the vocabulary.
    """

    def wrong(outputs: Tensor, batch: Batch) -> Tensor:
        logits, targets = logits_and_classes(outputs, batch)
        among = torch.tensor(places, device=logits.device)
        return (among[logits[..., among].argmax(-1)] != targets).float()

    return Measure(
        "place_error",
        "error rate",
        wrong,
        relative=False,
        tolerance=0.01,
        margin=0.01,
        worst=1.0,
        smooth=CROSS_ENTROPY,
        constant=lambda targets, classes: torch.bincount(targets, minlength=classes).float(),
    )
