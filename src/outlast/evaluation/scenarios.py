"""The age curve told apart by scenarios: the same targets from old states and from young ones, inside and outside."""

from __future__ import annotations

import numpy as np

from outlast.evaluation.passes import Sums
from outlast.evaluation.slices import pooled
from outlast.intervals import every_other
from outlast.results import ScenarioLoss, plain
from outlast.results.curve import Curve


def scenario_losses(rules: dict[str, str], found: Sums, kept: np.ndarray, curve: Curve) -> list[ScenarioLoss]:
    """Of each scenario with targets in it: what lies inside, and what lies outside.

    Young states are those of the band that is best for all targets, chosen on the other half of the streams.

    Args:
        rules: by the name of each scenario, in the order of the sums.
        found: sums of all streams.
        kept: numbers of those that count.
        curve: of these, in the first measure.
    """
    within = curve.within()
    _, chosen = curve.best(curve.losses[within])
    streams = np.arange(len(kept))
    young = np.where(every_other(len(kept), curve.blocks), within[chosen[0]], within[chosen[1]])
    units = streams if curve.blocks is None else np.unique(curve.blocks, return_inverse=True)[1]
    everything = np.stack([found.losses[0], found.weights])[..., kept]
    rows = []
    for number, (name, rule) in enumerate(rules.items()):
        inside = found.marked[:, number][..., kept]
        for holds, (losses, counts) in ((True, inside), (False, everything - inside)):
            oldest = np.maximum(counts[-1], 0.0)
            if oldest.sum() <= 1e-9 * everything[1, -1].sum():
                continue
            old, short = losses[-1], losses[young, streams]
            rows.append(
                ScenarioLoss(
                    name,
                    rule,
                    holds,
                    plain(oldest.sum() / everything[1, -1].sum()),
                    *pooled(old, oldest, units),
                    plain(short.sum() / oldest.sum()),
                    *pooled(old - short, oldest, units),
                    by_age=[plain(each.sum() / oldest.sum()) for each in losses],
                    n=int((np.bincount(units, oldest) > 0).sum()),
                )
            )
    return rows
