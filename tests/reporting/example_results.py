"""Results as a measurement would give them: a small GLA trained at 64 positions that fails past them, and repairs.

Losses by age are written down; streams differ from one another by chance, and everything else (intervals, verdicts,
resets, what is refused and why) is computed from them as outlast does.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from outlast.evaluation import Periods, under
from outlast.evaluation.measure import CROSS_ENTROPY
from outlast.evaluation.oddities import (
    constant_targets,
    equal_losses,
    identical_streams,
    table_rows,
    uncounted_streams,
    unequal_lengths,
)
from outlast.evaluation.verdicts import judge
from outlast.intervals import blocks_of
from outlast.repairs import acceptance
from outlast.results import (
    AgeBand,
    Check,
    CheckReport,
    CompareRow,
    Comparison,
    DosePoint,
    Evaluation,
    Guess,
    Note,
    OtherRemedy,
    PositionBin,
    RecoveryBand,
    Refusal,
    Repair,
    Sample,
    ScenarioLoss,
    Short,
    ShortContext,
    StateRow,
    Training,
    TriedRemedy,
    Tuning,
    UnderRemedy,
    Verdict,
)
from outlast.results.curve import Curve

AGES = [(0, 1), *((2**k, 2 ** (k + 1)) for k in range(10)), (2048, 4096), (8192, 16384)]
BASE = [2.72, 2.717, 2.702, 2.68, 2.66, 2.645, 2.638, 2.645, 2.689, 2.72, 2.742, 2.802, 2.83]
CARRY = [2.731, 2.726, 2.709, 2.686, 2.664, 2.648, 2.640, 2.633, 2.631, 2.630, 2.630, 2.631, 2.632]
PASSING = [2.724, 2.721, 2.706, 2.684, 2.664, 2.648, 2.641, 2.648, 2.66, 2.668, 2.674, 2.69, 2.695]
NOISE = [2.724, 2.721, 2.706, 2.684, 2.664, 2.649, 2.641, 2.638, 2.638, 2.637, 2.637, 2.638, 2.638]
TBTT = [2.79, 2.78, 2.76, 2.735, 2.705, 2.68, 2.655, 2.64, 2.634, 2.635, 2.636, 2.64, 2.642]
PLAIN = [2.715, 2.712, 2.698, 2.676, 2.657, 2.642, 2.636, 2.648, 2.68, 2.71, 2.73, 2.786, 2.81]
FAILING_STILL = [2.69, 2.68, 2.665, 2.645, 2.625, 2.61, 2.595, 2.59, 2.592, 2.6, 2.61, 2.63, 2.635]
UNREADING = [2.64] * len(AGES)
BEST_WHEN_RESET = [2.72, 2.717, 2.702, 2.68, 2.66, 2.645, 2.636, 2.6, 2.59, 2.588, 2.588, 2.61, 2.634]
BEST_LATE = [*CARRY[:11], 2.59, 2.628]
FIRST_AGE_LOST = [2.81, *CARRY[1:]]
HEALTHY = [2.72, 2.717, 2.702, 2.68, 2.66, 2.645, 2.638, 2.636, 2.635, 2.635, 2.634, 2.635, 2.636]
IMPROVING = [2.72, 2.717, 2.702, 2.68, 2.66, 2.645, 2.638, 2.63, 2.62, 2.612, 2.606, 2.6, 2.598]
DECLINING = [2.72, 2.717, 2.702, 2.68, 2.66, 2.645, 2.638, 2.61, 2.58, 2.575, 2.58, 2.61, 2.632]
UNSURE = [2.72, 2.717, 2.702, 2.68, 2.66, 2.645, 2.638, 2.64, 2.642, 2.643, 2.645, 2.648, 2.65]
CONSTANT = 2.97
STREAMS = 63
BLOCKS = blocks_of(np.zeros(STREAMS, int), 8)


def _drawn(seed: str, *shape: int) -> np.ndarray:
    """Noise by chance, alike within blocks, that averages to zero over streams (the last axis)."""
    random = np.random.default_rng(zlib.crc32(seed.encode()))
    noise = random.normal(size=(*shape, STREAMS)) + random.normal(size=(*shape, BLOCKS.max() + 1))[..., BLOCKS]
    return noise - noise.mean(-1, keepdims=True)


def _by_stream(losses: Sequence[float], name: str, *, unsure: bool) -> np.ndarray:
    """(bands, streams) losses: streams differ much, models on one stream little, and more where states are worse."""
    means = np.array(losses)[:, None]
    beyond = np.abs(means - means.min()) * (1 + np.arange(len(losses))[:, None] / len(losses))
    by_age = 0.002 + 0.12 * beyond + 0.05 * unsure
    return means + 0.1 * _drawn("streams") + 0.004 * _drawn(name) + by_age * _drawn(f"{name} by age", len(losses))


def evaluation(
    losses: Sequence[float] = BASE,
    *,
    judged: bool = True,
    ages: Sequence[tuple[int, int]] = AGES,
    name: str = "gla-power",
    scale: float = 1.0,
    growth: float = 0.42,
    costs: float = 0.12,
    unsure: bool = False,
    measured: bool = True,
    notes: Sequence[Note] = (),
) -> Evaluation:
    """One evaluation.

    Args:
        judged: whether there are targets to judge by.
        scale: stretches every loss.
        costs: what the first position of a new stream costs after an old state.
        unsure: whether streams differ so much by age that nothing can be told.
        measured: whether recovery was measured, which only full evaluations do.
    """
    by_stream = scale * _by_stream(losses, f"{name}{losses}", unsure=unsure)
    curve = Curve(tuple(ages), by_stream, 64, BLOCKS)
    verdict: Verdict | None = None
    short: Short | None = None
    excesses = np.zeros_like(by_stream)
    if judged:
        verdict, short = judge(curve, CROSS_ENTROPY, notes)
        excesses = by_stream - np.array(short.per_stream)
    bands = []
    for age, values, excess in zip(ages, by_stream, excesses, strict=True):
        ends = (*curve.interval(values, len(ages)).triple, *curve.interval(excess, len(ages)).triple)
        bands.append(AgeBand(age, *ends, n=STREAMS, per_stream=values.tolist()))
    edges = [0, 1, *(2**k for k in range(1, 15))]
    means = [*losses[:1], *(losses[min(k, len(losses) - 1)] for k in range(1, len(edges) - 1))]
    positions = [
        PositionBin(start, end, loss * scale, (loss - 0.05) * scale, (loss + 0.05) * scale, STREAMS)
        for start, end, loss in zip(edges, edges[1:], means, strict=False)
    ]
    state = [
        StateRow(position, f"layers.{layer}.state", (0.4 + 0.3 * layer) * position**growth, 0.2 * position**0.3)
        for layer in range(2)
        for position in (1, 4, 16, 64, 256, 1024, 4096, 16383)
    ]
    constant = scale * (CONSTANT + 0.1 * _drawn("streams") + 0.01 * _drawn("constant"))
    guess = Guess(*curve.interval(constant).triple, per_stream=constant.tolist())
    made = Evaluation(
        model={"name": name, "class": "GLA", "parameters": 41_216, "hash": "9f2c6a41d0b7"},
        data={
            "source": "household_power.csv",
            "streams": STREAMS,
            "unit": "segment of one recording",
            "shortest": 16_384,
            "longest": 16_384,
            "gap": 60,
            "split": "by date, 60%/15%/25%, gap 60",
            "hash": "4be1c07755aa",
        },
        settings={
            "seed": 0,
            "max_length": 16_384,
            "targets": "last 8192 positions",
            "device": "cpu",
            "threads": 2,
            "versions": {"torch": "2.11.0", "python": "3.11.9"},
        },
        seconds=48.2,
        train_context=64,
        measure="cross_entropy",
        unit="nats",
        age_curve=bands,
        position_curve=positions if judged else [],
        resets={},
        state=state,
        short=short,
        verdict=verdict,
        guesses={"constant": guess} if judged else {},
        recovery=recovery(costs, scale) if judged and measured else [],
        blocks=BLOCKS.tolist(),
        notes=list(notes),
        outlast="0.1.0",
    )
    return under(made, Periods(64, 128)) if judged and len(ages) > 1 else made


def with_scenarios(each: Evaluation, *names: str, cost: float = 0.4) -> Evaluation:
    """The same, told apart by scenarios of which each costs less than the one before."""
    rows = []
    assert each.short is not None
    for place, name in enumerate(names):
        for inside in (True, False):
            lift = cost / 2**place if inside else 0.0
            by_age = [band.loss + lift * max(0, at - 6) for at, band in enumerate(each.age_curve)]
            loss, short = by_age[-1], each.short.loss
            known = place < 3
            rows.append(
                ScenarioLoss(
                    name,
                    "22:00/06:00",
                    inside,
                    0.3 if inside else 0.7,
                    loss,
                    loss - 0.02 if known else None,
                    loss + 0.02 if known else None,
                    short,
                    loss - short,
                    loss - short - 0.01 if known else None,
                    loss - short + 0.01 if known else None,
                    by_age,
                    STREAMS if known else 1,
                )
            )
    return replace(each, scenarios=rows)


LOST = Note(
    "not_finite",
    "9032 predictions were not finite numbers and were scored as very bad ones: 100 % of those within the training "
    "context (at the ages with the fewest of them) and 100 % of those at the oldest ages",
    {"count": 9032, "young": 1.0, "oldest": 1.0},
)
TABLE = {
    "rows": 399_688,
    "missing": {"rows_dropped": 312, "rows_filled": 0, "per_column": {"kW": 300, "rpm": 12, "V": 0}},
    "times": {
        "typical_step": 60.0,
        "longest_step": 433_620.0,
        "equal_times": 3,
        "handling": "split",
        "max_gap": 90.0,
        "gaps": 71,
    },
}
ODD = (
    identical_streams(STREAMS, 40, 40),
    equal_losses(STREAMS),
    uncounted_streams(2),
    unequal_lengths(3, 1, STREAMS, 16_384, 262_144),
    *table_rows(TABLE),
    constant_targets("classes"),
    Note("constant_inputs", "1 of 3 inputs never varies: mode", {"constant": 1, "channels": 3, "columns": "mode"}),
)
"""All that can be odd about data."""


def broken() -> Evaluation:
    """A model without a finite prediction."""
    return evaluation(UNREADING, name="base", notes=[LOST])


def beside_persistence(of: Evaluation, difference: float, half: float = 0.004) -> Evaluation:
    """Its best within the training context minus the loss of the newest known value is so much, more or less."""
    assert of.short is not None
    drawn = np.random.default_rng(0).normal(size=len(of.short.per_stream))
    drawn = half / 2 * np.sqrt(len(drawn)) * (drawn - drawn.mean()) / drawn.std()
    losses = np.array(of.short.per_stream) - difference + drawn
    mean = float(losses.mean())
    return replace(of, guesses={**of.guesses, "persistence": Guess(mean, mean, mean, losses.tolist())}, blocks=[])


LABELS = {
    "year": ["2008", "2009", "2010"],
    "distance": ["0 to 1", *(f"{2**k} to {2 ** (k + 1) - 1}" for k in range(1, 12)), "4096 and on"],
    "document": [f"corpus/a_folder_with_a_long_name/{k % 7}/document_{k}.txt" for k in range(30)],
    "minute": list(map(str, range(300))),
    "speaker": [f"s-{k}" for k in range(300)],
}
"""Values of labels: few, many and very many, with an order and without."""


def of_text(each: Evaluation) -> Evaluation:
    """The same as measured on texts, whose losses are told apart by labels; of the third value there is one stream."""

    def row(value: str, k: int) -> dict[str, Any]:
        loss = each.oldest.loss + 0.2 * np.sin(k / 5)
        ends = {"low": None, "high": None} if k == 2 else {"low": loss - 0.05, "high": loss + 0.05}
        return {"value": value, "loss": loss, **ends, "n": 1 if k == 2 else 60, "positions": 900 + k, "excess": {}}

    found = {
        "all": {**row("", 0), "per_stream": []},
        "references": {},
        "labels": {name: [row(value, k) for k, value in enumerate(values)] for name, values in LABELS.items()},
    }
    return replace(each, data={**each.data, "target": "next token"}, slices=found)


def samples(written: str = "and so it goes on and on, ") -> list[Sample]:
    """What two models write on in three streams."""
    read = "A text that somebody wrote.\n\nIts second paragraph, "
    return [Sample(k, 10_000 - k, read, f"as it is {k}", 5 * "the ", 5 * written, 0.8, k) for k in range(3)]


def repair_of_text(written: str = "and so it goes on and on, ") -> Repair:
    each = repair(control=control())
    measured = {name: of_text(getattr(each, name)) for name in ("before", "after", "control")}
    return replace(each, **measured, samples=samples(written))


def comparison_of_text() -> Comparison:
    each = comparison()
    rows = [replace(row, repair=replace(row.repair, after=of_text(row.repair.after))) for row in each.rows]
    return replace(each, base=of_text(each.base), rows=rows, samples=samples())


def recovery(costs: float, scale: float = 1.0) -> list[RecoveryBand]:
    """What an old state costs on a new stream: less and less, by doublings."""
    bands = []
    for k, (start, end) in enumerate([(0, 1), *((2**k, 2 ** (k + 1)) for k in range(6))]):
        fresh, apart = BASE[k], costs * 0.55**k
        ends = (apart - 0.006 - 0.1 * apart, apart + 0.006 + 0.1 * apart)
        bands.append(
            RecoveryBand(start, end, (fresh + apart) * scale, fresh * scale, apart * scale, ends[0], ends[1], STREAMS)
        )
    return bands


DOSES = [
    DosePoint(0.5, (0.0031, 0.0022, 0.004), (2.661, 2.61, 2.712), True),
    DosePoint(0.75, (0.0049, 0.0036, 0.0062), (2.641, 2.59, 2.692), True),
    DosePoint(1.0, (0.0124, 0.0105, 0.0143), (2.638, 2.588, 2.688), False),
]


def control(losses: Sequence[float] = PLAIN) -> Evaluation:
    """The same training from zero states."""
    return evaluation(losses, name="control", costs=0.1)


def repair(
    losses: Sequence[float] = CARRY,
    *,
    name: str = "carry",
    label: str = "carry(expected_run=1280)",
    base: Evaluation | None = None,
    control: Evaluation | None = None,
    guards: dict[str, ShortContext] | None = None,
    doses: Sequence[DosePoint] = DOSES,
    notes: Sequence[Note] = (),
) -> Repair:
    """A repair, accepted or refused by the rules."""
    base = base or evaluation()
    after = evaluation(losses, name=label, growth=0.3, costs=0.02, notes=notes)
    after = under(after, Periods(acceptance.best_reset(after.curve), 128))
    short = acceptance.short_context(base.curve, after.curve, CROSS_ENTROPY)
    gain = acceptance.benefit(base, after, control)
    because = acceptance.refusal(short, gain, after, CROSS_ENTROPY, guards)
    passes = None
    if control is not None:
        alone = acceptance.short_context(base.curve, control.curve, CROSS_ENTROPY)
        passes = acceptance.refusal(alone, acceptance.benefit(base, control), control, CROSS_ENTROPY) is None
    run = {"expected_run": 1280.0} if name == "carry" else {}
    return Repair(
        intervention={"name": name, "label": label, "zero_share": 0.25, **run},
        steps=400,
        before=base,
        after=after,
        short_context=short,
        benefit=gain,
        accepted=because is None,
        refused_because=because,
        training={"objective": "cross_entropy", "learning_rate": 1e-3, "batch_size": 32, "seed": 0},
        dose=0.75,
        doses=list(doses),
        control=control,
        control_passes=passes,
        guards=guards or {},
        outlast="0.1.0",
    )


def repair_by_scenario(*names: str) -> Repair:
    """A repair whose base and result are told apart by scenarios."""
    each = repair()
    return replace(
        each, before=with_scenarios(each.before, *names), after=with_scenarios(each.after, *names, cost=0.01)
    )


def guard(losses: Sequence[float]) -> ShortContext:
    """Short contexts on another set of streams."""
    return acceptance.short_context(evaluation().curve, evaluation(losses).curve, CROSS_ENTROPY)


def untouched(base: Evaluation | None = None, because: Refusal | None = None) -> Repair:
    """What is recorded where there was nothing to repair, or nothing that could be."""
    base = base or evaluation(HEALTHY, name="base")
    same = acceptance.short_context(base.curve, base.curve, CROSS_ENTROPY)
    return Repair(
        intervention={"name": "carry", "label": "carry(expected_run=1280)", "zero_share": 0.25},
        steps=0,
        before=base,
        after=base,
        short_context=same,
        benefit=acceptance.benefit(base, base),
        accepted=False,
        refused_because=because or nothing(),
        training={},
        dose=0.0,
        outlast="0.1.0",
    )


def nothing() -> Refusal:
    refusal = acceptance.nothing_to_repair(evaluation(HEALTHY, name="base on validation"))
    assert refusal is not None
    return refusal


def not_shown() -> Refusal:
    unsure = evaluation(HEALTHY, name="base on validation", unsure=True)
    refusal = acceptance.not_shown_to_fail(unsure, unsure)
    assert refusal is not None
    return refusal


def refused() -> dict[str, Repair]:
    """A repair for each fault that refuses one, and some of the forms that a fault takes."""
    plain = control()
    return {
        "short_context_lost": repair(TBTT, label="tbtt", name="tbtt", control=plain),
        "one age lost": repair(FIRST_AGE_LOST, control=plain),
        "guard lost": repair(control=plain, guards={"day": guard(BASE), "night": guard(TBTT)}),
        "no_benefit": repair(PASSING, label="state_passing", name="state_passing", control=plain),
        "still_fails": repair(FAILING_STILL, control=plain),
        "stopped_reading": repair(UNREADING, control=plain),
        "remedy_suffices": repair(BEST_WHEN_RESET, control=plain),
        "declines": repair(BEST_LATE, control=plain),
        "undecided": _too_few_streams(repair(control=plain)),
        "plain_training_suffices": repair(control=control(CARRY)),
        "broken": repair(CARRY, control=plain, notes=[replace(LOST, facts={**LOST.facts, "young": 0.0})]),
        "nothing_to_repair": untouched(),
        "not_shown_to_fail": untouched(evaluation(HEALTHY, name="base", unsure=True), not_shown()),
        "base_broken": untouched(broken(), acceptance.base_broken(broken())),
    }


def within_a_budget(made: Repair, ended: str) -> Repair:
    """The same repair, of a training that went on for as long as it paid."""
    rounds = [
        {"steps": 200, "loss": 2.81, "gain": None, "at_most": None},
        {"steps": 400, "loss": 2.66, "gain": 0.15, "at_most": 0.16},
        {"steps": 800, "loss": 2.65, "gain": 0.01, "at_most": 0.02},
    ]
    told = {"budget": 600.0, "rounds": rounds, "ended": ended, "schedule": "steady"}
    return replace(made, steps=800, training={**made.training, **told})


def short_changed(mean: float, low: float, high: float) -> Repair:
    """Refused as short contexts changed by these shares of the base's loss there."""
    made = repair(control=control())
    by = made.short_context.reference
    short = replace(made.short_context, difference=mean * by, low=low * by, high=high * by)
    because = Refusal("short_context_lost", ["as it was"])
    return replace(made, short_context=short, accepted=False, refused_because=because)


def against_rival(name: str, rival: str, triple: tuple[float, float, float]) -> Repair:
    """Refused as it is so much better than a rival."""
    made = repair(control=control())
    benefit = replace(made.benefit, rivals={**made.benefit.rivals, rival: triple})
    return replace(made, benefit=benefit, accepted=False, refused_because=Refusal(name, ["as it was"]))


def under_a_leak(made: Repair, apart: float) -> UnderRemedy:
    """A leak that differs so much from the repaired model on every stream."""
    losses = made.after.curve.losses[-1] + apart * (1 + 0.1 * _drawn("leak"))
    return UnderRemedy("leak:32:from=64", 1.0, *made.after.curve.interval(losses).triple, losses.tolist())


def beside_a_leak() -> Repair:
    """Refused, as the base under its best leak gives as much."""
    made = against_rival("no_benefit", "leak", (-0.001, -0.004, 0.002))
    return replace(made, remedies={"leak": under_a_leak(made, 0.001)})


def of_no_use(name: str, *also: str) -> Repair:
    """Refused, of a base that is worse than the newest known value; the repair is not clearly better than that."""
    made = repair(control=control())
    after = beside_persistence(made.after, -0.001, 0.01)
    because = Refusal(name, ["as it was"], list(also))
    return replace(
        made, before=beside_persistence(made.before, 0.02), after=after, accepted=False, refused_because=because
    )


def tuning(remedy: str, *, cost: float = 1.0, made: Repair | None = None) -> Tuning:
    """A tuning that chose this remedy, which changes what a repair changes."""
    made = made or repair()
    tried = [
        TriedRemedy(remedy, cost, made.after.oldest.loss, (-0.1, -0.12, -0.08)),
        TriedRemedy(
            "two-copies:128", 2.0, made.after.oldest.loss + 0.01, (-0.09, -0.11, -0.07), (0.001, -0.001, 0.003)
        ),
    ]
    return Tuning(
        max(1.0, cost), remedy, tried[: 2 if cost > 1 else 1], made.before, made.after, made.short_context,
        made.benefit, made.accepted, made.refused_because,
    )  # fmt: skip


def asked_twice() -> dict[str, Tuning]:
    """Tunings whose first choice test streams did not accept, and one whose leaks validation refused already."""
    made, lost = tuning("reset:64"), tuning("leak:32", made=refused()["short_context_lost"])
    left_out = replace(made.tried[0], name="leak:32", refused="declines")

    def other(name: str, fault: str) -> OtherRemedy:
        return OtherRemedy(name, (-0.03, -0.05, -0.01), Refusal(fault, ["as it was"]))

    return {
        "a second choice": replace(made, other=other("leak:32", "still_fails")),
        "a second choice, the first is open": replace(made, other=other("leak:32", "undecided")),
        "no second choice either": replace(lost, other=other("reset:64", "no_benefit")),
        "a leak that validation refuses": replace(made, tried=[left_out, *made.tried]),
        "no remedy that may be picked helps": replace(made, tried=[left_out], remedy="none", accepted=False),
    }


def ages_harmed() -> Repair:
    """Accepted, though its first two ages lost more than the mean over ages may; the first of them lost most."""
    made = repair(control=control())
    bands = list(made.after.age_curve)
    for place, lost in enumerate((0.024, 0.018)):
        losses = made.before.curve.losses[place] + lost * (1 + 0.1 * _drawn(f"harmed {place}"))
        triple = made.after.curve.interval(losses, len(AGES)).triple
        bands[place] = AgeBand(bands[place].age, *triple, *triple, n=STREAMS, per_stream=losses.tolist())
    after = replace(made.after, age_curve=bands)
    short = acceptance.short_context(made.before.curve, after.curve, CROSS_ENTROPY)
    because = acceptance.refusal(short, made.benefit, after, CROSS_ENTROPY)
    return replace(made, after=after, short_context=short, accepted=because is None, refused_because=because)


def _too_few_streams(each: Repair) -> Repair:
    """A repair whose short contexts may have got worse, as far as its streams tell."""
    short = replace(each.short_context, high=2 * each.short_context.margin)
    because = acceptance.refusal(short, each.benefit, each.after, CROSS_ENTROPY)
    return replace(each, short_context=short, accepted=False, refused_because=because)


def ends_only(each: Repair) -> Repair:
    """As repairs that were not picked are measured."""
    curve = [band for band in each.after.age_curve if band.age[1] <= 128 or band.age == AGES[-1]]
    return replace(each, after=replace(each.after, age_curve=curve, recovery=[]))


def comparison(*, winner: str | None = "carry") -> Comparison:
    """Five interventions; without a winner, carry was picked and lost short contexts."""
    base, plain = evaluation(), control()
    carried = CARRY if winner else [loss + 0.03 * (age[1] <= 64) for age, loss in zip(AGES, CARRY, strict=True)]
    rows = [
        ("zero", repair(PLAIN, name="zero", label="zero", control=plain)),
        ("noise", repair(NOISE, name="fitted_noise", label="fitted_noise(source=carried)", control=plain)),
        ("state_passing", repair(PASSING, name="state_passing", label="state_passing", control=plain)),
        ("tbtt", repair(TBTT, name="tbtt", label="tbtt", control=plain)),
        ("carry", repair(carried, control=plain)),
    ]
    # What validation did not pick is measured at its ends only.
    rows = [(name, each if name == "carry" else ends_only(each)) for name, each in rows]
    figures = {"dose": 0.75, "short_cost": 0.0081, "short_margin": 0.0133}
    return Comparison(
        base=base,
        rows=[CompareRow(name, {"oldest": each.after.oldest.loss - 0.01, **figures}, each) for name, each in rows],
        winner=winner,
        picked="carry",
        outlast="0.1.0",
    )


def mended(*, gains: float = 0.0, losses: Sequence[float] = CARRY, seconds: float = 28.0) -> Comparison:
    """A comparison without a winner whose base was tuned before: past the training context the remedy gives `losses`,
    less what it `gains`."""
    lost = comparison(winner=None)
    made = repair([
        young if age[1] <= 64 else old - gains for age, young, old in zip(AGES, BASE, losses, strict=True)
    ])  # fmt: skip
    gain = acceptance.benefit(replace(made.before, resets={}), made.after)
    found = replace(tuning("leak:32", made=made), benefit=gain, accepted=True, refused_because=None, seconds=seconds)
    return replace(lost, rows=[row for row in lost.rows if row.name == "carry"], tuning=found)


def untouched_comparison(base: Evaluation | None = None, because: Refusal | None = None) -> Comparison:
    """Where there was nothing to repair, or nothing that could be."""
    base = base or evaluation(HEALTHY, name="base")
    return Comparison(base, [], None, None, because or nothing(), outlast="0.1.0")


def check_report(*, broken: bool = False) -> CheckReport:
    both = ["float32", "float64"]
    checks = {
        name: Check(name, True, 3.1e-7, 1e-4, "12 random sizes", asked_in=both, positions=300)
        for name in (
            "repeatable",
            "finite",
            "causal",
            "chunked_equals_whole",
            "step_equals_parallel",
            "gradient_through_state",
            "rows_independent",
            "state_matters",
            "nothing_edited_in_place",
            "save_load_exact",
            "buffers_saved",
        )
    }
    parts = {"never_read": ["layers.0.sum"], "only_together": ["layers.1.a", "layers.1.b"]}
    said = "The carried state changes the outputs. Carried, but never read in 300 positions: layers.0.sum."
    checks["state_matters"] = Check("state_matters", True, 0.2, None, said, asked_in=both, positions=300, parts=parts)
    unsaved = "The outputs depend on scale, which is not saved."
    checks["buffers_saved"] = Check("buffers_saved", None, None, None, unsaved, asked_in=both, positions=11)
    if broken:
        dropped = "outputs after a split at position 17 differ; the convolution state is dropped"
        checks["chunked_equals_whole"] = Check("chunked_equals_whole", False, 0.42, 1e-4, dropped, None, both, 300)
        checks["step_equals_parallel"] = Check(
            "step_equals_parallel", False, 0.4, 1e-4, "the same", "chunked_equals_whole", both, 300
        )
    return CheckReport(
        model={"name": "mine", "class": "Wrapped", "parameters": 1200, "checked_in": both},
        checks=list(checks.values()),
        settings={"thorough": False, "seed": 0, "positions": 300, "tolerances": {"float32": 1e-4, "float64": 1e-9}},
        outlast="0.1.0",
    )


def training() -> Training:
    return Training(
        model={"name": "gla-power", "class": "GLA", "parameters": 41_216, "hash": "9f2c6a41d0b7"},
        data={"source": "household_power.csv", "streams": 40, "unit": "stream"},
        settings={"train_context": 64, "seed": 0, "learning_rate": 3e-3},
        seconds=45.3,
        losses=[(step, 2.63 + 0.85 * 0.5 ** (step / 250)) for step in range(0, 2001, 20)],
        outlast="0.1.0",
    )
