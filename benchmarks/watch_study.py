"""Are there as many false alarms as were asked for, and how soon are planted changes seen, and called what they are?

    python -m benchmarks.watch_study --out runs/watch-study --page docs/watching.md

Household power. Bases are trained and repaired as the quickstart does it, with a part beside their states that nothing
reads. A profile is made for one alarm in a week, from training minutes, validation minutes and the first 52 weeks of
the test; the 50 weeks after those are watched (nothing was calibrated on them), and then changes are planted at 24
moments of them. Detectors of river and scikit-learn on the same probes stand beside, each set for the same run length
on the same healthy weeks. What is kept in benchmarks/kept/, or in the folder, is not run again.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats
from watch_peers import peers

from benchmarks.pages.marks import put_figures, table
from benchmarks.planted_changes import CHANGES, Change, WithIdle
from outlast import checkpoints
from outlast.data import Split, Streams
from outlast.folders import locked
from outlast.interventions import Carry
from outlast.live import Profile, Seen, Watcher, make_profile
from outlast.live.watch.make_profile import observed, stretches
from outlast.live.watch.signals import WITH_TARGETS
from outlast.model import Recurrent
from outlast.results import write_atomically
from outlast.tasks import TASKS
from outlast.tasks.power import CHANNELS
from outlast.training import fit
from outlast.training.objectives import objective

SEEDS = (630, 631, 632)
"""Written down before any of them was run; settings were looked at on seeds 0 to 3 and weeks up to 52 of the test."""
WEEK = 10_080
CALIBRATED, JUDGED = 52, 50
"""Weeks of the test that the profile reads, and weeks after them that it is judged on."""
EVERY, PIECE = 256, 16
MOMENTS, BEFORE, AFTER = 24, 2, 2
"""At which a change begins, and weeks that are read before and after it."""
STEPS = 800
KEPT = Path(__file__).parent / "kept" / "watching.jsonl"
"""One row a model, as it was found by whoever ran it."""
BEGIN, END = "<!-- watching: begin -->", "<!-- watching: end -->"


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def deployed(seed: int, folder: Path) -> Recurrent:
    """A repaired forecaster, from the folder or made now."""
    task = TASKS["power"]
    if not folder.exists():
        say(f"{seed}: train and repair")
        model, train = task.model(seed), task.streams().train
        goal = objective(None, copy.deepcopy(model), train)
        fit(model, train, goal, Carry(expected_run=task.train_context), task.train_context,
            replace(task.training, seed=seed))  # fmt: skip
        fit(model, train, goal, Carry(expected_run=10_240), task.train_context,
            replace(task.repairing, steps=STEPS, seed=seed))  # fmt: skip
        checkpoints.save(model, folder, provenance={"seed": seed})
    return checkpoints.load(folder)


def parts_of(data: Split, weeks: tuple[int, int]) -> tuple[Split, Streams]:
    """What a profile is made of, and the weeks that follow."""
    test = stretches(data.test)
    first, last = weeks
    return replace(data, test=test.between(0, first * WEEK)), test.between(first * WEEK, last * WEEK)


def watched(
    profile: Profile,
    model: Recurrent,
    streams: Streams,
    begin: np.ndarray,
    length: int,
    change: Change | None = None,
    at: int = 0,
    targets: bool = True,
) -> tuple[list[dict[str, Any]], dict[str, list[Seen]]]:
    """Watch stretches of one stream side by side, with a change from position `at` of each.

    Returns:
        what happened, and all regular probes by stretch.
    """
    names, seen = [str(place) for place in begin.tolist()], dict[str, list[Seen]]()
    watcher = Watcher(
        profile, model, targets=targets,
        on_probe=lambda one: seen.setdefault(one.stream, []).append(one) if one.regular else None,
    )  # fmt: skip
    told, random = [], torch.Generator().manual_seed(0)
    state, which = model.initial_state(len(begin)), np.zeros(len(begin), np.int64)
    with torch.no_grad():
        for place in range(0, length - PIECE + 1, PIECE):
            batch = streams.window(which, begin + place, PIECE)
            inputs = batch.inputs
            if change is not None and place >= at:
                inputs, state = change.inputs(inputs, place - at, random), change.state(state, place - at)
            told += watcher.observe(names, state, inputs, batch.targets if targets else None)
            _, state = model(inputs, state)
    told += watcher.flush()
    return [{"what": one.what, "stream": one.incident.stream, "opened": one.incident.opened,
             "closed": one.incident.closed, "signals": one.incident.signals, "harm": one.incident.harm}
            for one in told], seen  # fmt: skip


def series(seen: Sequence[Seen]) -> np.ndarray:
    return np.array([[one.values.get(name, np.nan) for name in WITH_TARGETS] for one in seen])


def run(seed: int, folder: Path, weeks: tuple[int, int]) -> None:
    """Everything of one model."""
    path = folder / "row.json"
    if path.exists():
        return
    data = TASKS["power"].streams()
    model = WithIdle(deployed(seed, folder / "model"), len(CHANNELS)).eval()
    known, after = parts_of(data, weeks)
    say(f"{seed}: make a profile")
    profile = make_profile(model, known, train_context=64, run_length=WEEK, every=EVERY, seed=seed)
    profile.save(folder / "profile")
    length = int(after.lengths[0])
    row: dict[str, Any] = {
        "seed": seed, "weeks": length / WEEK, "verdict": profile.facts.verdict, "excess": profile.facts.excess,
        "bars": {name: list(bars.values) for name, bars in profile.facts.bars.items()}, "changes": {},
        "delay": profile.delay(targets=True), "usual loss": profile.facts.usual["loss"].mean,
        "tolerance": profile.facts.tolerance,
    }  # fmt: skip
    zero = np.zeros(1, np.int64)
    for name, targets in (("targets", True), ("blind", False)):
        say(f"{seed}: {length / WEEK:.0f} weeks, {name}")
        told, seen = watched(profile, model, after, zero, length, targets=targets)
        row[name] = told
        if targets:
            judged = series(seen["0"])
    with torch.no_grad():
        healthy, _ = observed(
            model, profile.senses(model), [stretches(part) for part in (known.validation, known.test)], 64, EVERY
        )
    values = healthy.probes.values(WITH_TARGETS)
    calm = np.split(values, np.flatnonzero(healthy.begin)[1:])
    others = [(peer, peer.chosen(calm, healthy.positions / WEEK)) for peer in peers(calm)]
    row["peers"] = {
        peer.name: {"setting": chosen, "alarms": len(peer.alarms([judged], chosen)[0]), "changes": {}}
        for peer, chosen in others
    }
    begin = np.linspace(0, length - (BEFORE + AFTER) * WEEK, MOMENTS).astype(np.int64)
    at = BEFORE * WEEK
    for change in CHANGES:
        say(f"{seed}: {change.name}")
        told, seen = watched(profile, model, after, begin, (BEFORE + AFTER) * WEEK, change, at)
        runs = [series(seen[str(place)]) for place in begin.tolist()]
        where = [np.array([one.position for one in seen[str(place)]]) for place in begin.tolist()]
        row["changes"][change.name] = {**_seen_of(told, begin, at), **_truth(runs, where, at)}
        for peer, chosen in others:
            alarms = peer.alarms(runs, chosen)
            row["peers"][peer.name]["changes"][change.name] = [
                next((int(places[i]) - at for i in found if places[i] >= at), None)
                for found, places in zip(alarms, where, strict=True)
            ]
    write_atomically(path, json.dumps(row))


def _seen_of(told: Sequence[dict[str, Any]], begin: np.ndarray, at: int) -> dict[str, Any]:
    """By stretch: positions from the change to the first incident that opened after it (None: none did; "open": one was
    open already), and what was said of its harm last."""
    delays, harms = list[Any](), list[str | None]()
    for name in map(str, begin.tolist()):
        mine = [each for each in told if each["stream"] == name]
        before = [each for each in mine if each["opened"] < at]
        going = before and not any(each["closed"] is not None and each["closed"] <= at for each in before
                                   if each["opened"] == before[-1]["opened"])  # fmt: skip
        first = next((each["opened"] for each in mine if each["opened"] >= at), None)
        delays.append("open" if going and first is None else None if first is None else first - at)
        last = before[-1]["opened"] if going and first is None else first
        harms.append(next((each["harm"] for each in reversed(mine) if each["opened"] == last), None))
    return {"delays": delays, "harms": harms}


def _truth(runs: Sequence[np.ndarray], where: Sequence[np.ndarray], at: int) -> dict[str, Any]:
    """What the change did, by stretch: mean loss before and after, and mean excess after, of all regular probes."""
    loss, excess = WITH_TARGETS.index("loss"), WITH_TARGETS.index("excess")
    pairs = list(zip(runs, where, strict=True))
    return {
        "loss before": [float(np.nanmean(each[places < at, loss])) for each, places in pairs],
        "loss after": [float(np.nanmean(each[places >= at, loss])) for each, places in pairs],
        "excess after": [float(np.nanmean(each[places >= at, excess])) for each, places in pairs],
    }


def page(rows: Sequence[dict[str, Any]]) -> str:
    """The figures, as Markdown."""
    weeks = rows[0]["weeks"]
    low, high = (int(stats.poisson.ppf(tail, weeks)) for tail in (0.025, 0.975))
    said = [
        f"False alarms in {weeks:.0f} weeks, where one a week was asked for (95 % of Poisson counts lie from {low} to "
        f"{high}); models of seeds {', '.join(str(row['seed']) for row in rows)}."
    ]
    lines = [["outlast", *(str(_opened(row["targets"])) for row in rows)]]
    lines.append(["outlast, without targets", *(str(_opened(row["blind"])) for row in rows)])
    names = list(rows[0]["peers"])
    lines += [[name, *(str(row["peers"][name]["alarms"]) for row in rows)] for name in names]
    said.append(table(["detector", *(str(row["seed"]) for row in rows)], lines))
    said.append(
        f"Changes at {MOMENTS} moments of these weeks, watched for {AFTER} weeks each: median hours to the alarm, and "
        "per cent that were missed."
    )
    lines = []
    for change in CHANGES:
        cells = [_delay(rows, change.name)]
        cells += [
            _cell([each for row in rows for each in row["peers"][name]["changes"][change.name]]) for name in names
        ]
        lines.append([change.name, *cells])
    said.append(table(["change", "outlast", *names], lines))
    said.append(
        "What these changes did (loss after, per cent of before; excess of the old state over a young one, nats), and "
        "what was said of their harm, per cent of the incidents that opened after them; in brackets, how many of those "
        "called worse than reset had a mean excess within the tolerance, over all probes after the change."
    )
    lines = [_harm(rows, change) for change in CHANGES]
    head = ["change", "loss", "excess", "worse than reset", "advantage lost", "no harm seen", "not known yet"]
    said.append(table(head, lines))
    return "\n\n".join(said)


def _opened(told: Sequence[dict[str, Any]]) -> int:
    return sum(each["what"] == "opened" for each in told)


def _delay(rows: Sequence[dict[str, Any]], name: str) -> str:
    return _cell([each for row in rows for each in row["changes"][name]["delays"] if each != "open"])


def _cell(delays: Sequence[int | None]) -> str:
    seen = [each for each in delays if each is not None]
    missed = 100 * (1 - len(seen) / max(len(delays), 1))
    median = f"{np.median(seen) / 60:,.0f} h" if seen else "–"
    return f"{median}, {missed:.0f} %"


def _harm(rows: Sequence[dict[str, Any]], change: Change) -> list[str]:
    made = [row["changes"][change.name] for row in rows]
    before, after = (np.mean([each for one in made for each in one[key]]) for key in ("loss before", "loss after"))
    excess = np.mean([each for one in made for each in one["excess after"]])
    harms = [each for one in made for each in one["harms"] if each is not None]
    names = ("worse_than_reset", "advantage_lost", "none_seen", "unknown")
    shares = [f"{100 * harms.count(name) / max(len(harms), 1):.0f}" for name in names]
    wrong = [
        mean <= row["tolerance"]
        for row, one in zip(rows, made, strict=True)
        for harm, mean in zip(one["harms"], one["excess after"], strict=True)
        if harm == "worse_than_reset"
    ]
    shares[0] += f" ({sum(wrong)} of {len(wrong)})"
    title = f"{change.name} (harmless)" if change.harmless else change.name
    return [title, f"{100 * after / before:.0f} %", f"{excess:+.3f}", *shares]


def _kept(weeks: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Rows of models that were watched in these weeks, by seed."""
    lines = KEPT.read_text().splitlines() if KEPT.exists() else []
    found = [json.loads(line) for line in lines]
    return {row["seed"]: row for row in found if row["between"] == list(weeks)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/watch-study"))
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--weeks", type=int, nargs=2, default=[CALIBRATED, CALIBRATED + JUDGED])
    parser.add_argument("--page", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rows = _kept(asked.weeks)
    with locked(asked.out, "watch_study"):
        for seed in asked.seeds:
            if seed not in rows:
                run(seed, asked.out / str(seed), (asked.weeks[0], asked.weeks[1]))
                rows[seed] = json.loads((asked.out / str(seed) / "row.json").read_text())
                if asked.weeks == [CALIBRATED, CALIBRATED + JUDGED]:
                    line = json.dumps({"between": asked.weeks, **rows[seed]})
                    write_atomically(KEPT, (KEPT.read_text() if KEPT.exists() else "") + line + "\n")
    text = page([rows[seed] for seed in asked.seeds])
    if asked.page:
        put_figures(asked.page, "Watching a model at work", [text], BEGIN, END)
    print(text)
