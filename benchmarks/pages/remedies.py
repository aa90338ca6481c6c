"""The page of the study of remedies, from the lines that are kept of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.pages.marks import named_marks, put_figures, table
from benchmarks.remedies.bases import Kind
from outlast.intervals import level, mean_interval

Row = dict[str, Any]
Triple = tuple[float, float, float]

LISTED = "2379c8c"
"""The commit in which bases, seeds, rows and what is wanted were written down, before any of them was run."""
COLUMNS = (
    "as it runs on", "best reset", "handover", "two copies", "leak of τ = T", "best leak", "tune", "repair",
    "repair with a leak",
)  # fmt: skip
SHARE, CLEAR = 35, 70
"""Per cent: of the repair's gain that tuning should have, and of bases on which it should clearly beat the reset."""


def write_page(page: Path, bases: Sequence[tuple[Kind, int]], rows: Sequence[Row]) -> None:
    """Put the figures between the marks of the page."""
    wanted = {(kind.name, seed) for kind, seed in bases}
    ran = [row for row in rows if (row["kind"], row["seed"]) in wanted]
    sections = [_intro(bases, ran)]
    if ran:
        sections += [_wanted(ran), _losses(ran), _differences(ran), _named(bases, ran), _leaky(ran), _short(ran)]
        sections += [*_further(ran), _times(ran)]
    put_figures(page, "The study of remedies", [*sections, _missing(bases, ran)], *named_marks("the study"))


def apart(row: Row, one: str, other: str) -> Triple | None:
    """The mean of `one` minus `other` at the oldest age with its interval; None where the base lacks either."""
    losses = [row["rows"].get(name) for name in (one, other)]
    if None in losses:
        return None
    first, second = (np.array(each["losses"]) for each in losses)
    return mean_interval(first - second, blocks=np.array(row["blocks"]) if row["blocks"] else None).triple


def mean_loss(row: Row, name: str) -> float | None:
    """The loss at the oldest age; None where the base has no such row."""
    found = row["rows"].get(name)
    return None if found is None else float(np.mean(found["losses"]))


def share(rows: Sequence[Row], name: str = "tune") -> float | None:
    """What a row has of the repair's gain over the best reset, per cent, over the bases that have both; None where the
    repair gains no more than half a tolerance."""
    repaired = [row for row in rows if "repair" in row["rows"] and name in row["rows"]]
    if not repaired:
        return None
    gains = {each: np.mean([_gain(row, each) for row in repaired]) for each in (name, "repair")}
    least = np.mean([row["tolerance"] for row in repaired]) / 2
    return None if gains["repair"] <= least else float(100 * gains[name] / gains["repair"])


def _gain(row: Row, name: str) -> float:
    change = apart(row, name, "best reset")
    assert change is not None
    return -change[0]


def _intro(bases: Sequence[tuple[Kind, int]], ran: Sequence[Row]) -> str:
    return (
        f"{len(ran)} of {len(bases)} bases have been run. The list of bases, of seeds, of rows and of what is wanted "
        f"was commit {LISTED}, before any of them was run. Losses are those at the oldest age, on test streams; "
        "differences are the first minus the second, negative is better, with intervals of 95 % paired by stream."
    )


def _wanted(ran: Sequence[Row]) -> str:
    asked, declined = ([row for row in ran if (row["declined"] is None) == each] for each in (True, False))
    changes = [(row, apart(row, "tune", "best reset")) for row in asked]
    clear = [row for row, change in changes if change and change[2] < 0]
    worse = [row for row, change in changes if change and change[1] > 0 and change[0] > row["tolerance"] / 2]
    kinds = _by_kind(asked)
    shares = {kind: share(rows) for kind, rows in kinds.items()}
    told = {kind: each for kind, each in shares.items() if each is not None}
    below = [kind for kind, each in told.items() if each < SHARE]
    lines = [
        ["`tune` clearly below the best reset", f"on at least {CLEAR} % of the bases", _of(len(clear), len(asked))],
        ["`tune` clearly worse than it, by half a tolerance", "on none", _of(len(worse), len(asked)) + _names(worse)],
        ["its share of the repair's gain over the best reset", f"at least {SHARE} %",
         _median(list(shares.values()))],
        ["kinds below that", "none", "; ".join(below) or "none"],
        ["the best leak's share, accepted or not", "", _median([share(rows, "best leak") for rows in kinds.values()])],
    ]  # fmt: skip
    return (
        "### What is wanted, and what came out\n\n"
        f"Declined, because validation said that there is nothing to repair: {_of(len(declined), len(ran))}"
        f"{_names(declined)}. Of the others:\n\n" + table(["", "wanted", "found so far"], lines)
    )


def _median(shares: Sequence[float | None]) -> str:
    told = [each for each in shares if each is not None]
    return f"{np.median(told):.0f} % (median of {len(told)} kinds where the repair gains)" if told else "–"


def _losses(ran: Sequence[Row]) -> str:
    lines = []
    for kind, rows in _by_kind(ran).items():
        cells = []
        for name in COLUMNS:
            found = [loss for row in rows if (loss := mean_loss(row, name)) is not None]
            cells.append("–" if len(found) < len(rows) else f"{np.mean(found):.4f}")
        lines.append([kind, str(len(rows)), rows[0]["unit"], *cells])
    return (
        "### Losses at the oldest age\n\nMeans over the seeds that were run; a handover costs up to 1.25 copies, two "
        "copies cost 2, all others 1.\n\n" + table(["bases", "n", "unit", *COLUMNS], lines)
    )


def _differences(ran: Sequence[Row]) -> str:
    head = ["base", "verdict", "tune picks", "tune − best reset", "repair − tune", "with a leak − plain repair"]
    head += ["tune's share", "repair accepted"]
    lines = []
    for row in ran:
        rows, own = row["rows"], share([row])
        taken, why = rows["tune"]["name"], rows["tune"]["refused"]
        taken = taken if why is None else f"nothing ({_words(why)}{'' if taken == 'none' else f': {taken}'})"
        pairs = [("tune", "best reset"), ("repair", "tune"), ("repair with a leak", "repair")]
        lines.append(
            [
                f"{row['kind']}, {row['seed']}", row["verdict"], taken, *(ends(apart(row, *pair)) for pair in pairs),
                "–" if own is None else f"{own:.0f} %", refusals(rows.get("repair")),
            ]
        )  # fmt: skip
    return (
        "### Base by base\n\nA repair without a control is not held against plain training, so *accepted* leaves that "
        "question out everywhere but on the quickstart.\n\n" + table(head, lines)
    )


def _named(bases: Sequence[tuple[Kind, int]], ran: Sequence[Row]) -> str:
    lines = []
    for counts, words in ((False, "nothing old is worth keeping"), (True, "old content may be worth something")):
        kinds = {kind.name for kind, _ in bases if kind.old_counts == counts}
        asked = _by_kind([row for row in ran if row["kind"] in kinds and row["declined"] is None])
        shares = [_median([share(rows, name) for rows in asked.values()]) for name in ("tune", "best leak")]
        changes = [each for rows in asked.values() for row in rows if (each := apart(row, "repair", "tune"))]
        lines.append([words, "; ".join(asked), *shares, _of(sum(each[2] < 0 for each in changes), len(changes))])
    head = ["named beforehand", "kinds that were run and not declined", "tune's share of the gain", "the best leak's"]
    return "### Where nothing old is worth keeping\n\n" + table([*head, "repair clearly below tune"], lines)


def _leaky(ran: Sequence[Row]) -> str:
    """Whether repairs should keep a leak on: by kind."""
    lines = []
    for kind, rows in _by_kind(ran).items():
        both = [(row, each) for row in rows if (each := apart(row, "repair with a leak", "repair")) is not None]
        if not both:
            continue
        better = sum(change[2] < 0 for _, change in both)
        worse = sum(change[1] > 0 for _, change in both)
        same = sum(level(change, row["tolerance"]) for row, change in both)
        short = [100 * _short_change(row) / row["short"] for row, _ in both]
        mean = np.mean([change[0] for _, change in both])
        lines.append(
            [kind, str(len(both)), f"{mean:+.4f}", str(better), str(worse), str(same), f"{np.mean(short):+.2f} %"]
        )
    head = ["bases", "n", "at the oldest age", "clearly better", "clearly worse", "equivalent within half a tolerance"]
    return (
        "### A leak that stays on in the repair\n\nThe repair with a leak of τ = T minus the plain one; means over "
        "seeds, and on how many of them.\n\n" + table([*head, "short contexts"], lines)
    )


def _short_change(row: Row) -> float:
    leaky, plain = (row["rows"][name]["short"][0] for name in ("repair with a leak", "repair"))
    return leaky - plain


def _short(ran: Sequence[Row]) -> str:
    names = ("leak of τ = T", "tune", "repair", "repair with a leak")
    lines = []
    for row in ran:
        cells = []
        for name in names:
            found = row["rows"].get(name)
            change = None if found is None else [100 * each / row["short"] for each in found["short"]]
            cells.append("–" if change is None else f"{change[0]:+.2f} ({change[1]:+.2f} to {change[2]:+.2f})")
        lines.append([f"{row['kind']}, {row['seed']}", f"{100 * row['margin'] / row['short']:.2f}", *cells])
    return (
        "### What short contexts cost\n\nPer cent of the base's loss within the training context; resets leave it "
        "as it is.\n\n" + table(["base", "may lose", *names], lines)
    )


def _further(ran: Sequence[Row]) -> list[str]:
    known = (*COLUMNS, "control", "control under its best reset", "control under its best leak")
    names = list(dict.fromkeys(name for row in ran for name in row["rows"] if name not in known))
    if not names:
        return []
    lines = [[name, *(_mean_apart(rows, name) for rows in _by_kind(ran).values())] for name in ("best leak", *names)]
    return [
        "### Further rows, each with one number chosen on validation\n\nMinus what `tune` leaves, means over seeds.\n\n"
        + table(["row", *_by_kind(ran)], lines)
        + _forgetting(ran)
    ]


AGAIN = "last positions read again"


def _forgetting(ran: Sequence[Row]) -> str:
    """What a leak gains by: on how many bases copies that have read the last positions alone are level with it."""
    pairs = [(row, each) for row in ran if (each := apart(row, AGAIN, "best leak")) is not None]
    if not pairs:
        return ""
    same, better, worse = (
        _of(sum(found), len(pairs))
        for found in (
            [level(change, row["tolerance"]) for row, change in pairs],
            [change[2] < 0 for _, change in pairs],
            [change[1] > 0 for _, change in pairs],
        )
    )
    return (
        "\n\nIf copies that have read the last positions alone do as well as the best leak, what a leak gives is "
        f"forgetting, not states that training has covered. They are equivalent within half a tolerance on {same} of "
        f"the bases, clearly better on {better} and clearly worse on {worse}."
    )


def _mean_apart(rows: Sequence[Row], name: str) -> str:
    found = [each[0] for row in rows if (each := apart(row, name, "tune")) is not None]
    if not found:
        return "–" if any(name in row["rows"] for row in rows) else "not run"
    return f"{np.mean(found):+.4f}"


def _times(ran: Sequence[Row]) -> str:
    parts = list(dict.fromkeys(part for row in ran for part in row["seconds"]))
    lines = [
        [kind, *(f"{np.mean([row['seconds'].get(part, 0) for row in rows]):.0f}" for part in parts)]
        for kind, rows in _by_kind(ran).items()
    ]
    return "### Seconds a base\n\nOn one core of a machine that had other work.\n\n" + table(["bases", *parts], lines)


def _missing(bases: Sequence[tuple[Kind, int]], ran: Sequence[Row]) -> str:
    known = {(row["kind"], row["seed"]) for row in ran}
    left: dict[str, list[str]] = {}
    for kind, seed in bases:
        if (kind.name, seed) not in known:
            left.setdefault(kind.name, []).append(str(seed))
    lines = [f"- {kind}: {', '.join(seeds)}" for kind, seeds in left.items()]
    return "### Not run yet\n\n" + ("\n".join(lines) if lines else "None: all were run.")


def _by_kind(rows: Sequence[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["kind"], []).append(row)
    return found


def refusals(repair: Row | None) -> str:
    """``yes``, or all that refused it."""
    if repair is None:
        return "–"
    return "yes" if repair["accepted"] else ", ".join(_words(each) for each in repair["refused"])


def ends(change: Sequence[float] | None) -> str:
    """A mean with the ends of its interval."""
    return "–" if change is None else "{:+.4f} ({:+.4f} to {:+.4f})".format(*change)


def _of(some: int, everyone: int) -> str:
    return f"{some} of {everyone}" + (f" ({100 * some / everyone:.0f} %)" if everyone else "")


def _names(rows: Sequence[Row]) -> str:
    named = "; ".join(f"{row['kind']}, {row['seed']}" for row in rows)
    return f" ({named})" if rows else ""


def _words(name: str | None) -> str:
    return (name or "").replace("_", " ")
