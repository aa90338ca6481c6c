"""Plans as they would be made of the example's model: pilots are written down, the advice is computed from them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from outlast.evaluation.measure import CROSS_ENTROPY
from outlast.evaluation.oddities import few_streams
from outlast.intervals import Interval
from outlast.planning.advice import Advice, Tried, advise, changes, needs_pilots, untried, worth_of
from outlast.planning.planning import diverged_note
from outlast.results import (
    Command,
    Evaluation,
    Outlook,
    Pilot,
    Plan,
    Remedy,
    RepairCost,
    RunEstimate,
    TriedRemedy,
    Untrained,
)
from reporting import example_results as example

STEPS, TRAINING = (50, 100, 200), {"steps": 800, "batch_size": 32, "learning_rate": 2e-3, "seed": 3}
REPAIRING = {"anchor": 4.0, "labels": 1.0, "doses": [0.5, 0.75, 1.0], "control": True}
NAMES = {"starts": "carry(expected_run=11585)", "plain": "plain training", "longer_windows": "longer windows"}
TYPED = {"starts": "carry:expected_run=11585", "plain": "zero", "longer_windows": "zero"}
COMMAND = Command(model="runs/train/model", data="readings.csv", options="--target power", out="runs/plan")


def plan(
    base: Evaluation,
    levels: dict[str, float],
    *,
    reset: float,
    price: float | None = 0.4,
    value: float | None = 12.0,
    kept: bool = True,
    runner_up: bool = False,
    leak: float | None = None,
    handover: float | None = None,
    expected: float = 0.0,
) -> Plan:
    """A plan.

    Args:
        base: on validation streams.
        levels: mean loss at the oldest age that the last pilot of each kind has.
        reset: the loss under the best periodic reset; two copies are at a hundredth less.
        runner_up: whether another run does nearly as well.
        leak, handover: the losses under those that are best, where tuning is for this model.
        expected: by how much whole trainings are expected to be below their pilots.
    """
    base = replace(base, command=COMMAND)
    run_on = base.curve.losses[-1]

    def by_stream(level: float, name: str) -> np.ndarray:
        noise = 0.004 * np.random.default_rng(len(name)).normal(size=len(run_on))
        return run_on - run_on.mean() + level + noise - noise.mean()

    def ends(level: float) -> Interval | None:
        return Interval(level - expected, level - expected - 0.01, level - expected + 0.01, 16) if expected else None

    tried = {name: Tried(by_stream(level, name), kept, ends(level)) for name, level in levels.items()}
    resets = {"periodic_reset": by_stream(reset, "periodic"), "overlapping_reset": by_stream(reset - 0.01, "two")}
    free = {
        name: by_stream(level, name)
        for name, level in {"leak:64:every=8": leak, "handover:512:64": handover}.items()
        if level is not None
    }
    tuned = {} if leak is None else {"remedy": free["leak:64:every=8"]}
    if needs_pilots(base):
        found = advise(base, tried.get("starts"), tried["plain"], tried.get("longer_windows"), resets | tuned)
    else:
        found, levels = untried(base), {}
    short = (0.001, -0.001, 0.003)
    remedies = [
        TriedRemedy(name, 1.125 if name.startswith("handover") else 1.0, float(each.mean()),
                    base.curve.interval(each - run_on).triple, short if name.startswith("leak") else None)
        for name, each in free.items()
    ]  # fmt: skip
    return _made(base, found, tried if levels else {}, resets, price, value, runner_up, remedies)


def _made(
    base: Evaluation,
    found: Advice,
    tried: dict[str, Tried],
    resets: dict[str, np.ndarray],
    price: float | None,
    value: float | None,
    runner_up: bool,
    remedies: list[TriedRemedy],
) -> Plan:
    curve, run_on = base.curve, base.curve.losses[-1]
    pilots, outlooks = [], []
    rows = [(NAMES[kind], kind, each) for kind, each in tried.items()]
    if runner_up and "starts" in tried:
        rows.insert(1, ("tbtt", "starts", replace(tried["starts"], oldest=tried["starts"].oldest + 0.002)))
    for rung, steps in enumerate(STEPS):
        for name, kind, each in rows:
            losses = each.oldest + 0.03 * (2 - rung)
            short = curve.interval(0.002 + 0 * run_on + 0.004 * np.sin(np.arange(len(run_on))))
            pilots.append(
                Pilot(
                    name,
                    kind,
                    {"name": "carry", "label": name},
                    64 if kind != "longer_windows" else 256,
                    rung,
                    steps,
                    0.75,
                    float(losses.mean()),
                    curve.interval(losses - run_on).triple,
                    short.triple,
                    each.kept,
                    21.4,
                    went_on=rung < 2,
                )
            )
    for name, kind, each in rows:
        level = each.at_last
        outlooks += [
            Outlook(name, kind, steps, level - 0.004 * k, level - 0.012 * k - 0.002, level + 0.004 * k + 0.001)
            for k, steps in enumerate((200, 400, 800, 1600))
        ]
    untrained = [Untrained("base", None, base.oldest.loss, (0.0, 0.0, 0.0))]
    for name, every in (("periodic_reset", 128), ("overlapping_reset", 64)):
        apart = curve.interval(resets[name] - run_on)
        untrained.append(Untrained(name, every, float(resets[name].mean()), apart.triple))
    kind = found.about
    remedy = None
    if kind is not None:
        window, rows_of = (256, 8) if kind == "longer_windows" else (64, 32)
        ahead = 64 if kind == "starts" else None
        remedy = Remedy(NAMES[kind], kind, TYPED[kind], window, rows_of, 400, 2e-3, ahead, 4.0, 0.25, 0.75)
    cost = RepairCost(400, 2, 1_638_400, 2.0, 64.0, 88.0, 2, price) if remedy else None
    made = Plan(
        base=base,
        settings={"training": TRAINING, "repairing": REPAIRING},
        advice=found.name,
        reason=found.reason,
        evidence=found.evidence,
        runs=[
            RunEstimate("training", 11_585.2, 8192.0, 19_484.0),
            RunEstimate("validation", 8192.0, 4096.0, 8192.0, endless=True),
            RunEstimate("validation", None, None, None),
        ],
        untrained=untrained,
        pilots=pilots,
        outlooks=outlooks,
        remedy=remedy,
        cost=cost,
        default_cost=RepairCost(800, 2, 3_276_800, 0.0, 128.0, 88.0, 2, price) if pilots else None,
        budget=216.0 if pilots else None,
        spent=201.3,
        notes=[diverged_note("state_passing", 50)] if kind == "plain" else [],
        remedies=remedies,
        tuned=remedies[0].name if remedies else "",
        tuning=21.0 if remedies else None,
        outlast="0.1.0",
    )
    if value is not None and found.name == "tune":
        mean, low, high = remedies[0].difference
        made = replace(made, worth=worth_of((-mean, -high, -low), CROSS_ENTROPY, value, 0.0))
    elif value is not None and remedy is not None and cost is not None and price is not None:
        rival = made.rival.loss
        each = next(each for each in outlooks if (each.name, each.steps) == (remedy.name, remedy.steps))
        gain = (rival - each.loss, rival - each.high, rival - each.low)
        made = replace(made, worth=worth_of(gain, CROSS_ENTROPY, value, price * (cost.seconds + 201.3) / 3600))
    return replace(made, changes=changes(made, CROSS_ENTROPY))


def plans() -> dict[str, Plan]:
    """One of every reason."""
    failing, fine = example.evaluation(name="base"), example.evaluation(example.HEALTHY, name="base")
    unsure = example.evaluation(example.UNSURE, name="base", unsure=True)
    silent = replace(example.evaluation(name="base", notes=[few_streams(5, None, None)]), verdict=None)
    all_of = {"starts": 2.63, "plain": 2.80, "longer_windows": 2.75}
    return {
        "starts_help": plan(failing, all_of, reset=2.70, runner_up=True),
        "starts_help, unsure of short contexts": plan(failing, all_of, reset=2.70, kept=False, price=None),
        "plain_training_does_as_well": plan(failing, {"starts": 2.63, "plain": 2.63}, reset=2.70),
        "longer_windows_do_better": plan(failing, {**all_of, "longer_windows": 2.58}, reset=2.70, value=None),
        "nothing_helps": plan(failing, {"starts": 2.84, "plain": 2.84}, reset=2.85),
        "resets_do_better": plan(failing, {"starts": 2.74, "plain": 2.84}, reset=2.65),
        "remedies_do_better": plan(failing, {"starts": 2.74, "plain": 2.84}, reset=2.65, leak=2.64, handover=2.63),
        "remedies_come_first": plan(failing, {"starts": 2.66, "plain": 2.84}, reset=2.70, leak=2.65, expected=0.04),
        "remedies_come_first, plain training": plan(
            failing, {"starts": 2.66, "plain": 2.66}, reset=2.70, leak=2.65, expected=0.04
        ),
        "starts_help, and a leak": plan(failing, all_of, reset=2.70, leak=2.68, handover=2.65),
        "nothing_to_win": plan(fine, {"starts": 2.634, "plain": 2.634}, reset=2.64),
        "training_on_helps": plan(fine, {"starts": 2.45, "plain": 2.50}, reset=2.64),
        "starts_help, a fine model": plan(fine, {"starts": 2.45, "plain": 2.62}, reset=2.64),
        "undecided": plan(unsure, {"starts": 2.66, "plain": 2.66}, reset=2.66),
        "broken": plan(example.broken(), {"plain": 2.6}, reset=2.7),
        "no_verdict": plan(silent, {"plain": 2.6}, reset=2.7),
    }
