"""How much data suffices for a repair: hours of recording, and distinct states to start from.

    python benchmarks/data_study.py --out runs/plan-study --page docs/repairing.md

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
from bases import FEWER, Kind, at_its_dose, measured, say, study, with_interval

from outlast.interventions import Intervention, Replay, Zero, tbtt
from outlast.tasks.pages import table

NAMES = ("power, GLA", "speech, as it is shipped")
SHARES = (1 / 256, 1 / 64, 1 / 16, 1 / 4, 1.0)
STATES = (2, 8, 32, 128, 512)
ENOUGH = 0.9
"""Share of the benefit of all the data, that the least that suffices reaches."""
HOURS = {"power": 1 / 60, "speech": 0.01 / 3600}
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
        kinds = list(dict.fromkeys(each["kind"] for each in found))
        for kind in kinds:
            here = [each for each in found if each["kind"] == kind]
            said.append(table([f"{kind}: {head}", "loss at the oldest age", "share of the largest benefit"],
                              _lines(here, what)))  # fmt: skip
            said.append(_least(here, what, head))
    return "\n\n".join(said)


def _lines(found: Sequence[dict[str, Any]], what: str) -> list[list[str]]:
    lines = []
    zero = [row["oldest"] for each in found for row in each["rows"] if row["what"] == "from zero"]
    lines.append(["none (as it is)", f"{np.mean([each['base'] for each in found]):.4f}", ""])
    lines.append(["all, from zero states", f"{np.mean(zero):.4f}", ""])
    for amount, shares, losses in _by_amount(found, what):
        hours = [row["positions"] * HOURS[each["task"]] for each in found for row in _rows(each, what, amount)]
        named = f"{np.mean(hours):,.2g}" if what == "hours" else f"{amount:,.0f}"
        lines.append([named, f"{losses.mean():.4f}", with_interval(list(shares))])
    return lines


def _rows(each: dict[str, Any], what: str, amount: float) -> list[dict[str, Any]]:
    return [row for row in each["rows"] if (row["what"], row["amount"]) == (what, amount)]


def _by_amount(found: Sequence[dict[str, Any]], what: str) -> list[tuple[float, np.ndarray, np.ndarray]]:
    """Amount, and by seed the share of the largest amount's benefit over the base, and the loss."""
    amounts = sorted({row["amount"] for each in found for row in each["rows"] if row["what"] == what})
    told = []
    for amount in amounts:
        losses = np.array([_rows(each, what, amount)[0]["oldest"] for each in found])
        most = np.array([each["base"] - _rows(each, what, amounts[-1])[0]["oldest"] for each in found])
        told.append((amount, (np.array([each["base"] for each in found]) - losses) / most, losses))
    return told


def _least(found: Sequence[dict[str, Any]], what: str, head: str) -> str:
    enough = [amount for amount, shares, _ in _by_amount(found, what) if shares.mean() >= ENOUGH]
    rows = _rows(found[0], what, enough[0])
    amount = f"{rows[0]['positions'] * HOURS[found[0]['task']]:,.2g}" if what == "hours" else f"{enough[0]:,.0f}"
    return f"The least of these that gives {ENOUGH:.0%} of it: {amount} {head}."


if __name__ == "__main__":
    study("data", __doc__, run, page, NAMES, "Repairing", FEWER)
