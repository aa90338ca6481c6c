"""Timelines as a ledger and its run would give them: figures are written down, or drawn by chance."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from outlast.results import (
    AtWork,
    CandidateMove,
    CandidateTold,
    GateAnswer,
    IncidentsOpen,
    IncidentTold,
    Instant,
    LiveEvidence,
    LossLine,
    LossPoint,
    Timeline,
)

ROWS, BEGAN = 1_200_000, datetime(2026, 3, 1, 6, 0)
FIRST, SECOND, THIRD, FOURTH = ("1" * 64, "2" * 64, "3" * 64, "4" * 64)
WAYS = ["collected", "trained", "gated", "shadow", "canary", "promoted"]
STAGES = {"shadow": (0.62, 31.0), "canary": (0.58, 44.0)}


def at(rows: int, *, timed: bool = True) -> Instant:
    """A moment: ten rows a second."""
    now = BEGAN + timedelta(seconds=rows / 10)
    own = (datetime(2010, 3, 1) + timedelta(minutes=rows / 100)).replace(second=0, microsecond=0)
    return Instant(rows, own.isoformat() if timed else None, now.replace(microsecond=0).isoformat())


def finding(verdict: str, blocks: int, gain: float) -> str:
    """As `outlast.live.evidence.Finding` writes itself."""
    known = f"loss {-gain:+.3g}; evidence 31 that it is better, 0.02 that it is worse; 20 decides"
    return f"{verdict} after {blocks} blocks of 40 streams ({known})"


def gates(rows: int, *, live: tuple[str, ...] = (), failed: str = "") -> list[GateAnswer]:
    """The answers of all gates up to those of some stages at work."""
    figures: dict[str, dict[str, Any]] = {
        "finite": {"weights": True, "corpus": True, "later": True, "notes": []},
        "short contexts": {"difference": [0.002, -0.001, 0.005], "margin": 0.012},
        "guards": {"guards": {"day.csv": [0.001, -0.002, 0.004]}},
        "corpus": {"against_base": [-0.21, -0.26, -0.16], "against_reset": [-0.02, -0.05, 0.01], "tolerance": 0.02},
        "later incidents": {"base": 3.1, "candidate": 2.48, "difference": [-0.62, -0.8, -0.44], "units": 6},
        "not worse than a reset": {"excess": [0.01, -0.02, 0.04], "base_excess": [0.7, 0.5, 0.9], "tolerance": 0.02},
        "alarm": {"base": {"loss": 6.1, "excess": 5.2}, "candidate": {"loss": 1.1, "excess": 0.9}, "rises_above": 2.0},
        "handover": {"better": "handed_over", "difference": [-0.01, -0.02, -0.004]},
    }
    left = {"incidents of another model": 3, "the same state again": 4}
    collected = {"train": 24, "later": 12, "train_streams": 6, "later_streams": 5, "left_out": left}
    found = [
        GateAnswer("collect", "collected", True, collected, at(rows)),
        GateAnswer("train", "trained", True, {"share": 0.5, "as_a_repair": "accepted"}, at(rows)),
    ]
    found += [GateAnswer("gates", name, name != failed, each, at(rows)) for name, each in figures.items()]
    for stage in live:
        gain, wealth = STAGES[stage]
        told = {
            "verdict": "better",
            "better": wealth,
            "worse": 0.02,
            "blocks": 24,
            "streams": 40,
            "broken": 0,
            "gain": gain,
        }
        found.append(GateAnswer(stage, "paired losses", True, told, at(rows)))
    return found


def candidate(number: int, model: str, places: list[int], end: str | None = None, **how: Any) -> CandidateTold:
    """One that went through the stages at these rows; `end` is a last one, out of turn."""
    names = [*WAYS[: len(places) - (end is not None)], *([end] if end else [])]
    why = {
        "collected": "24 states to train on, 12 for the gates",
        "trained": "trained for 400 steps",
        "gated": "came through all gates",
        "canary": f"as a shadow it is {finding('better', 24, 0.62)}",
        "promoted": f"as a canary it is {finding('better', 31, 0.58)}",
        "refused": f"as a shadow it is {finding('worse', 9, -0.4)}",
        "rolled_back": f"on live streams the new version is {finding('worse', 12, -0.3)}",
    }
    by = {"canary": "outlast", "promoted": "outlast", "rolled_back": "outlast"}
    moves = [
        CandidateMove(
            names[place - 1] if place else None,
            name,
            by.get(name, "ann"),
            why.get(name, "Bob agrees"),
            at(places[place]),
        )
        for place, name in enumerate(names)
    ]
    return CandidateTold(number, FIRST, model, names[-1], moves, gates(places[0], **how))


def line(model: str, part: str, first: int, last: int, level: float, slope: float = 0.0, every: int = 3000) -> LossLine:
    """Losses that wander about a level."""
    random = np.random.default_rng(first + len(part))
    edges = list(range(first, last, every))
    noise = 0.06 * random.normal(size=len(edges))
    points = [
        LossPoint(
            each, min(each + every, last), at(min(each + every, last)).time,
            level + slope * (each - first) / 1e6 + float(noise[place]), 40 * every,
        )
        for place, each in enumerate(edges)
    ]  # fmt: skip
    return LossLine(model, part, points)


def incident(number: int, stream: str, rows: int, until: int | None, harm: str, **said: Any) -> IncidentTold:
    return IncidentTold(
        number=number, model=FIRST, stream=stream, first=rows // 40, last=None if until is None else until // 40,
        signals=["loss", "excess"], harm=harm, excess=(0.7, 0.5, 0.9) if harm == "worse_than_reset" else None,
        opened=at(rows), closed=None if until is None else at(until), states=3,
        **{"label": None, "by": None, "note": None, **said},
    )  # fmt: skip


def timeline() -> Timeline:
    """The first model drifts; a candidate is refused, the next one goes to work, the third reads as a canary."""
    work = [
        AtWork(FIRST, None, at(0), at(700_000), "ann", "it starts"),
        AtWork(THIRD, 2, at(700_000), None, "outlast", f"as a canary it is {finding('better', 31, 0.58)}"),
    ]
    return Timeline(
        ledger="runs/live",
        model={"blueprint": {"family": "gla"}, "hash": THIRD},
        measure="cross_entropy",
        unit="nats",
        rows=ROWS,
        aside=17,
        last=at(ROWS),
        at_work=work,
        candidates=[
            candidate(1, SECOND, [210_000, 211_000, 212_000, 240_000, 330_000], "refused"),
            candidate(2, THIRD, [420_000, 421_000, 422_000, 450_000, 560_000, 700_000], live=("shadow", "canary")),
            candidate(3, FOURTH, [900_000, 901_000, 902_000, 940_000, 1_080_000], live=("shadow",)),
        ],
        incidents=[
            incident(1, "pump 3", 90_000, 130_000, "none_seen", label="false_alarm", by="ann", note="test run"),
            incident(2, "pump 7", 160_000, 320_000, "worse_than_reset", label="real", by="ann"),
            incident(3, "pump 9", 180_000, 260_000, "worse_than_reset"),
            incident(4, "pump 1", 600_000, 640_000, "advantage_lost"),
            incident(5, "pump 2", 1_150_000, None, "unknown"),
        ],
        left_out={"at_work": 0, "candidates": 0, "incidents": 0},
        harms={"none_seen": 1, "worse_than_reset": 2, "advantage_lost": 1, "unknown": 1},
        open_now=1,
        harmful_now=0,
        losses=[
            line(FIRST, "work", 0, 700_000, 2.5, 0.9),
            line(SECOND, "shadow", 240_000, 330_000, 3.1),
            line(THIRD, "shadow", 450_000, 560_000, 2.45),
            line(THIRD, "canary", 560_000, 700_000, 2.45),
            line(THIRD, "work", 700_000, ROWS, 2.45),
            line(FIRST, "warm", 700_000, 790_000, 3.13),
            line(FOURTH, "shadow", 940_000, 1_080_000, 2.2),
            line(FOURTH, "canary", 1_080_000, ROWS, 2.2),
        ],
        open_over_time=[
            IncidentsOpen(90_000, 130_000, 1, 0),
            IncidentsOpen(160_000, 180_000, 1, 1),
            IncidentsOpen(180_000, 260_000, 2, 2),
            IncidentsOpen(260_000, 320_000, 1, 1),
            IncidentsOpen(600_000, 640_000, 1, 1),
            IncidentsOpen(1_150_000, ROWS, 1, 0),
        ],
        evidence=LiveEvidence("canary", 3, "open", 7.4, 0.1, 20.0, 0.24, 12, 40, 0, 0),
        outlast="0.1.0",
    )


def rolled_back() -> Timeline:
    """The second version was promoted by hand, was worse by far, and went; incidents that hurt are open."""
    told, worse = timeline(), finding("worse", 12, -0.3)
    why = f"on live streams the new version is {worse}"
    work = [
        replace(told.at_work[0], until=at(600_000)),
        AtWork(THIRD, 2, at(600_000), at(640_000), "ann", "Bob agrees"),
        AtWork(FIRST, None, at(640_000), None, "outlast", why),
    ]
    return replace(
        told,
        at_work=work,
        candidates=[
            told.candidates[0],
            candidate(2, THIRD, [420_000, 421_000, 422_000, 450_000, 560_000, 600_000, 640_000], "rolled_back"),
            CandidateTold(3, FIRST, None, "refused", candidate(3, FOURTH, [900_000, 903_000], "refused").moves, []),
        ],
        incidents=[*told.incidents[:4], incident(5, "pump 2", 1_150_000, None, "worse_than_reset")],
        harms={"none_seen": 1, "worse_than_reset": 3, "advantage_lost": 1},
        harmful_now=1,
        losses=[
            line(FIRST, "work", 0, 600_000, 2.5),
            line(THIRD, "shadow", 450_000, 560_000, 2.45),
            line(THIRD, "canary", 560_000, 600_000, 2.45),
            line(THIRD, "work", 600_000, 640_000, 90.0),
            line(FIRST, "warm", 600_000, 640_000, 2.5),
            line(FIRST, "work", 640_000, ROWS, 2.5),
        ],
        evidence=None,
    )


def long_run() -> Timeline:
    """Years of it: thirty candidates, every second one at work for a while, and more incidents than are listed."""
    told, step = timeline(), ROWS // 31
    models = [f"{number:x}".rjust(64, "5") for number in range(31)]
    ones, lines, work = [], [], []
    for number, model in enumerate(models[1:], 1):
        begin = number * step
        places = [begin + k * step // 8 for k in range(6)]
        promoted = number % 2 == 0
        ones.append(
            candidate(number, model, places if promoted else [*places[:4], places[4]], None if promoted else "refused")
        )
        lines.append(line(model, "shadow", places[3], places[5], 2.2 + 0.02 * number))
        if promoted:
            lines.append(line(model, "work", places[5], min(ROWS, places[5] + 2 * step), 2.2 + 0.02 * number))
            work.append(AtWork(model, number, at(places[5]), at(places[5] + 2 * step), "outlast", "Bob agrees"))
    work[-1] = replace(work[-1], until=None)
    first = replace(told.at_work[0], model=models[0], until=work[0].since)
    return replace(
        told,
        at_work=[first, *work],
        candidates=ones,
        incidents=[incident(n, f"pump {n}", 10_000 * n, 10_000 * n + 5000, "none_seen") for n in range(1, 100)],
        left_out={"at_work": 3, "candidates": 12, "incidents": 4_100},
        losses=[line(models[0], "work", 0, work[0].since.rows, 2.6), *lines],
        open_over_time=[IncidentsOpen(k * 3000, k * 3000 + 3000, 1 + k % 7, k % 3) for k in range(400)],
        evidence=None,
    )


def deployed() -> Timeline:
    """Nothing was read yet."""
    told = timeline()
    return replace(
        told, rows=0, aside=0, last=None, at_work=[AtWork(FIRST, None, at(0, timed=False), None, "ann", "it starts")],
        candidates=[], incidents=[], harms={}, open_now=0, losses=[], open_over_time=[], evidence=None,
    )  # fmt: skip


def empty() -> Timeline:
    """A ledger in which nothing happened."""
    return replace(deployed(), model={}, measure="loss", unit="", at_work=[])


def brief() -> Timeline:
    """A first model over a few rows without times; nobody knows the losses but once."""
    told = deployed()
    points = [
        LossPoint(0, 40, None, None, 0), LossPoint(40, 80, None, 0.31, 12), LossPoint(80, 90, None, None, 0),
    ]  # fmt: skip
    return replace(told, rows=90, last=at(90, timed=False), losses=[LossLine(FIRST, "work", points)])


def hostile(nasty: str) -> Timeline:
    """Names and reasons that people and streams give."""
    told = timeline()
    ones = [
        replace(
            one,
            moves=[replace(move, by=nasty, because=nasty) for move in one.moves],
            gates=[
                replace(each, figures={"because": nasty, "guards": {nasty: [1, 2]}}, passed=False) for each in one.gates
            ],
        )
        for one in told.candidates
    ]
    points = [replace(point, time=nasty) for point in told.losses[0].points]
    return replace(
        told,
        ledger=nasty.partition("\n")[0] or told.ledger,
        candidates=ones,
        at_work=[replace(each, by=nasty, because=nasty) for each in told.at_work],
        incidents=[replace(each, stream=nasty, by=nasty, note=nasty) for each in told.incidents],
        losses=[replace(told.losses[0], points=points), *told.losses[1:]],
    )


def timelines() -> dict[str, Timeline]:
    return {
        "a canary": timeline(),
        "rolled back": rolled_back(),
        "a long run": long_run(),
        "no run": deployed(),
        "nothing": empty(),
        "few rows": brief(),
    }
