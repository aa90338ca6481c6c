"""How much data suffices for a repair: hours of recording, and distinct states to start from.

    python -m benchmarks.data_study --out runs/plan-study --page docs/repairing.md

On bases of the study of plans (trained where they are not there yet), household power and a shipped speaker encoder:
`tbtt` on the first positions of every training stream, from a few windows to all of them; and `replay` from a bank of
few to many states, taken evenly over all of them. Steps are equal throughout, so a small part is read many times. What
is in the folder is not run again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bases import FEWER, Kind, at_its_dose, measured, say, study
from benchmarks.pages.marks import table
from outlast.interventions import Intervention, Replay, Zero, tbtt

NAMES = ("power, GLA", "speech, as it is shipped")
SHARES = (1 / 256, 1 / 64, 1 / 16, 1 / 4, 1.0)
STATES = (2, 8, 32, 128, 512)
ENOUGH = 0.9
"""Share of the benefit of all the data, that the least that suffices reaches."""
HOURS = {"power, GLA": 1 / 60, "speech, as it is shipped": 0.01 / 3600}
"""Of one position: a minute, and a frame of 10 ms."""


def run(kind: Kind, seed: int, folder: Path) -> dict[str, Any]:
    """Every amount of data on one base."""
    todo, seen, before = measured(kind, seed, folder)
    longest = int(todo.data.train.lengths.max())
    trials: list[tuple[str, float, int, Intervention]] = [
        ("hours", share, max(2 * todo.train_context, round(share * longest)), tbtt()) for share in SHARES
    ]
    trials += [("states", float(size), longest, Replay(size=size, by="evenly")) for size in STATES]
    trials += [("from zero", 1.0, longest, Zero())]
    rows = []
    for what, amount, length, rule in trials:
        say(f"{kind.name}, {seed}: {what} {amount:g}")
        part = todo.data.train.between(0, length)
        one = replace(todo, data=replace(todo.data, train=part))
        _, chosen, after = at_its_dose(one, seen, one.train(rule, None, resume=False))
        rows.append({
            "what": what, "amount": amount, "positions": int(part.lengths.sum()), "dose": chosen.dose,
            "oldest": after.oldest.loss,
        })  # fmt: skip
    return {"task": kind.task, "base": before.oldest.loss, "rows": rows}


def page(found: Sequence[dict[str, Any]]) -> str:
    """The figures, as Markdown."""
    said = []
    for what, head in (("hours", "hours of recording"), ("states", "distinct states to start from")):
        for kind in dict.fromkeys(each["kind"] for each in found):
            here = [each for each in found if each["kind"] == kind]
            seeds = [f"seed {each['seed']}" for each in here] if len(here) > 1 else []
            heads = [f"{kind}: {head}", "loss at the oldest age", *seeds, "share of the largest benefit"]
            said += [table(heads, _lines(here, what)), _least(here, what, head)]
    return "\n\n".join(said)


def _lines(found: Sequence[dict[str, Any]], what: str) -> list[list[str]]:
    zero = np.array([row["oldest"] for each in found for row in each["rows"] if row["what"] == "from zero"])
    lines = [
        ["none (as it is)", *_losses(np.array([each["base"] for each in found])), ""],
        ["all, from zero states", *_losses(zero), ""],
    ]
    for amount, share, losses in _by_amount(found, what):
        line = [_named(found, what, amount), *_losses(losses), f"{share:.2f}"]
        if line != lines[-1]:  # the least is two windows a stream, whatever share of the recording that is
            lines.append(line)
    return lines


def _losses(of: np.ndarray) -> list[str]:
    """The mean, and where there is more than one seed each."""
    return [f"{of.mean():.4f}", *(f"{each:.4f}" for each in of if len(of) > 1)]


def _named(found: Sequence[dict[str, Any]], what: str, amount: float) -> str:
    hours = np.mean([row["positions"] * HOURS[each["kind"]] for each in found for row in _rows(each, what, amount)])
    return f"{amount:,.0f}" if what == "states" else f"{hours:,.0f}" if hours >= 10 else f"{hours:.2g}"


def _rows(each: dict[str, Any], what: str, amount: float) -> list[dict[str, Any]]:
    return [row for row in each["rows"] if (row["what"], row["amount"]) == (what, amount)]


def _by_amount(found: Sequence[dict[str, Any]], what: str) -> list[tuple[float, float, np.ndarray]]:
    """Amount, its mean benefit over the bases as a share of the largest amount's, and the losses by seed.

    The share is of means: where a base has next to nothing to gain, a share of that alone says nothing.
    """
    amounts = sorted({row["amount"] for each in found for row in each["rows"] if row["what"] == what})
    bases = np.array([each["base"] for each in found])
    losses = [np.array([_rows(each, what, amount)[0]["oldest"] for each in found]) for amount in amounts]
    most = float((bases - losses[-1]).mean())
    return [(amount, float((bases - of).mean()) / most, of) for amount, of in zip(amounts, losses, strict=True)]


def _least(found: Sequence[dict[str, Any]], what: str, head: str) -> str:
    enough = next(amount for amount, share, _ in _by_amount(found, what) if share >= ENOUGH)
    return f"The least of these that gives {ENOUGH:.0%} of it: {_named(found, what, enough)} {head}."


if __name__ == "__main__":
    study("data", __doc__, run, page, NAMES, "Repairing", FEWER)
