"""What pages say first, and what they advise, whole and in both languages, as it stands in `told/`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from outlast.evaluation.misread import scaling_notes
from outlast.repairs import acceptance
from outlast.reporting.kinds import badge, headline, lead, next_steps, telling_of
from outlast.reporting.words.language import LANGUAGES, speaking
from outlast.results import (
    Command,
    Comparison,
    Diagnosis,
    Evaluation,
    Note,
    OwnUnit,
    Plan,
    Refusal,
    Repair,
    Result,
    Timeline,
    Tuning,
)
from reporting import example_diagnosis, example_plans, example_timelines
from reporting import example_results as example

COMMAND = Command(model="runs/base", data="my power.csv", options="--target power", out="runs/r")
FAILING = example.evaluation()
UNSURE = example.evaluation(example.UNSURE, unsure=True)
WORSE = example.beside_persistence(example.evaluation(example.HEALTHY), 0.02)
"""It holds at every age, and is worse than repeating the newest value."""


def read_as(finding: str) -> list[Note]:
    """What is noted where a table was tried in several scalings."""
    tried = {
        "finding": finding, "options": "--scale none", "loss": 0.41, "given": 3.2, "constant": 1.02, "windows": 200,
        "unit": "variances", "labels": "low 0, high 1", "other": "--scale minmax", "other_loss": 0.43,
    }  # fmt: skip
    return scaling_notes({"scaled": {"tried": tried}})


def too_short(up_to: str | None) -> Evaluation:
    """Streams of half as many positions as were asked for, with a row a minute where that was a length of time."""
    each = example.evaluation(example.HEALTHY)
    used = each.oldest.age[1]
    data = {
        **each.data,
        "length_asked": 2 * used,
        "length_used": used,
        "times": {"typical_step": 60 if up_to else None},
    }
    return replace(each, data=data, settings={**each.settings, "up_to": up_to})


FINDINGS = ("found", "open", "doubtful", "another", "level", "order", "none")


def evaluations() -> dict[str, Evaluation]:
    periodic, copies = FAILING.resets["periodic_reset"], FAILING.resets["overlapping_reset"]
    worse = example.beside_persistence(FAILING, 0.02)
    robust = example.evaluation(example.HEALTHY)
    only_constant = replace(worse, guesses={"constant": worse.guesses["persistence"]})
    return {
        "fails": FAILING,
        "fails, by command": replace(FAILING, command=COMMAND),
        "robust": robust,
        "robust, up to 48 h": replace(robust, settings={**robust.settings, "up_to": "48h"}),
        "robust, too short for 48 h": too_short("48h"),
        "robust, too short for so many positions": too_short(None),
        "robust, worse than a guess": WORSE,
        "robust, no better than a guess": example.beside_persistence(robust, -0.001),
        "generalises": example.evaluation(example.IMPROVING),
        "generalises, worse than a guess": example.beside_persistence(example.evaluation(example.IMPROVING), 0.02),
        "declines": example.evaluation(example.DECLINING),
        "undecided": UNSURE,
        "undecided, worse than a guess": example.beside_persistence(UNSURE, 0.02),
        "undecided, no better than a guess": example.beside_persistence(UNSURE, -0.001),
        "undecided, up to 4 h": replace(UNSURE, settings={**UNSURE.settings, "up_to": "4h"}),
        "no verdict": example.evaluation(judged=False),
        "broken": example.broken(),
        "fails, odd": example.evaluation(notes=example.ODD),
        "robust, odd": example.evaluation(example.HEALTHY, notes=example.ODD),
        "worse than a guess": worse,
        "no better than a guess": example.beside_persistence(FAILING, -0.001),
        "worse than a constant": only_constant,
        "worse than a constant, in every scaling": replace(only_constant, notes=read_as("open")),
        **{f"scaling: {finding}": example.evaluation(notes=read_as(finding)) for finding in FINDINGS},
        "two copies alone": replace(FAILING, resets={"overlapping_reset": copies}),
        "a reset below the training context": replace(FAILING, resets={"periodic_reset": replace(periodic, every=32)}),
        "halves that chose apart": replace(FAILING, resets={"periodic_reset": replace(periodic, halves=[64, 128])}),
        "resets at every position": replace(FAILING, resets={"periodic_reset": replace(periodic, every=1)}),
        "no resets": replace(FAILING, resets={}),
        "under a remedy": replace(FAILING, model={**FAILING.model, "remedy": "reset:64"}),
        "one target of several": replace(FAILING, measure="squared_error:power@15", unit="variances of power"),
        "an error rate": replace(FAILING, measure="error_rate", unit="error rate"),
        "scenarios": example.with_scenarios(FAILING, "night", "weekend"),
        "of text": replace(example.of_text(FAILING), per_byte=0.31),
        "in its own unit": replace(FAILING, own_unit=OwnUnit("power", "kW", 1.6, 2)),
    }  # fmt: skip


def repairs() -> dict[str, Repair]:
    made, plain = example.repair(control=example.control()), example.refused()
    short, suffices = plain["one age lost"].short_context, plain["remedy_suffices"]
    ends = [FAILING.age_curve[0], *FAILING.age_curve[-1:]]
    doubtful = {"may have got worse": 1.05 * short.worst_margin, "gained": -0.02}
    told = {
        "accepted": made,
        "accepted without a control": example.repair(),
        "accepted, though young ages were harmed": example.ages_harmed(),
        "accepted, by scenario": example.repair_by_scenario("night"),
        "accepted, an error rate": replace(made, before=replace(made.before, measure="error_rate", unit="error rate")),
        **{f"refused: {name}": each for name, each in plain.items()},
        **{
            f"refused: one age {name}": replace(
                plain["one age lost"], short_context=replace(short, worst_difference=value)
            )
            for name, value in doubtful.items()
        },
        "refused: a control that does not pass": replace(plain["plain_training_suffices"], control_passes=False),
        "nothing to repair, worse than a guess": example.untouched(WORSE),
        "nothing to repair, and fails on test streams": example.untouched(example.evaluation(name="base")),
        "not shown to fail, and robust on test streams": example.untouched(because=example.not_shown()),
        "refused: short contexts, undecided": example.short_changed(-0.119, -0.31, 0.011),
        "refused: no benefit, undecided": example.against_rival("no_benefit", "periodic_reset", (-0.05, -0.12, 0.02)),
        "refused: no benefit, hopeless": example.against_rival("no_benefit", "periodic_reset", (-0.01, -0.11, 0.09)),
        "refused: no more than its best leak gives": example.beside_a_leak(),
        "refused: no more than its best leak gives, and no reset helps": replace(
            example.beside_a_leak(), before=replace(FAILING, resets={}, age_curve=ends)
        ),
        "refused: remedy_suffices, and robust": replace(
            suffices, after=replace(suffices.after, verdict=example.evaluation(example.HEALTHY).verdict)
        ),
        "refused: remedy_suffices, under a leak": replace(
            suffices, after=replace(suffices.after, model={**suffices.after.model, "remedy": "leak:64"})
        ),
        "accepted, better under a leak": replace(made, on_top=example.under_a_leak(made, -0.007)),
        "refused: better under a leak": replace(
            suffices,
            on_top=example.under_a_leak(suffices, -0.05),
            refused_because=Refusal("remedy_suffices", ["as it was"], remedy="leak:32:from=64"),
        ),
        "accepted, undecided itself": replace(made, after=replace(made.after, verdict=UNSURE.verdict)),
        "refused: plain training, undecided": example.against_rival(
            "plain_training_suffices", "control", (-0.05, -0.12, 0.02)
        ),
        "refused: still_fails, the time was over": example.within_a_budget(plain["still_fails"], "budget"),
        "refused: still_fails, no more to gain": example.within_a_budget(plain["still_fails"], "no_more_gain"),
        "refused: short contexts, the time was over": example.within_a_budget(plain["short_context_lost"], "budget"),
        "refused: a base that beats no guess": example.of_no_use("stopped_reading"),
        "refused: short contexts, and old states too": replace(
            plain["short_context_lost"], refused_because=Refusal("short_context_lost", ["as it was"], ["still_fails"])
        ),
    }
    named = {name: replace(each, before=replace(each.before, command=COMMAND)) for name, each in told.items()}
    of_code = replace(COMMAND, model="mine:build", allow_code=True)
    for name in ("accepted", "refused: plain_training_suffices", "refused: remedy_suffices", "refused: still_fails"):
        named[f"{name}, of code"] = replace(told[name], before=replace(told[name].before, command=of_code))
    return named


def comparisons() -> dict[str, Comparison]:
    lost, broken, even = example.comparison(winner=None), example.broken(), example.mended(gains=0.002)
    assert even.tuning is not None
    alone = [replace(row, repair=replace(row.repair, control=None)) for row in example.comparison().rows]
    return {
        "a winner": example.comparison(),
        "a winner without controls": replace(example.comparison(), rows=alone),
        "no winner": lost,
        "mended without training, better than the repair": example.mended(gains=0.02),
        "mended without training, not told apart from the repair": even,
        "better without training, and no more is shown": replace(
            even, tuning=replace(even.tuning, after=replace(even.tuning.after, verdict=UNSURE.verdict))
        ),
        "better without training, and the repair gains more": example.mended(gains=-0.05),
        "a winner beside a remedy": replace(example.comparison(), tuning=example.mended(gains=-0.02).tuning),
        "no winner, and no remedy": replace(
            lost, tuning=example.tuning("leak:32", made=example.refused()["undecided"])
        ),
        "nothing tried": replace(lost, rows=[], picked=None),
        "nothing to repair": example.untouched_comparison(),
        "nothing to repair, and fails on test streams": example.untouched_comparison(example.evaluation(name="base")),
        "broken": example.untouched_comparison(broken, acceptance.base_broken(broken)),
    }


def diagnoses() -> dict[str, Diagnosis]:
    causes = [each.name for each in example_diagnosis.diagnosis().causes]
    given = Command(model="mymod:build", data="readings.csv")
    told = {cause: example_diagnosis.diagnosis(cause) for cause in causes}
    return {
        **{name: replace(each, evaluation=replace(each.evaluation, command=given)) for name, each in told.items()},
        **{f"{cause}, undecided": example_diagnosis.diagnosis(cause, UNSURE) for cause in causes},
        "no cause": example_diagnosis.diagnosis(None),
        "robust": example_diagnosis.diagnosis(None, example.evaluation(example.HEALTHY)),
        "generalises": example_diagnosis.diagnosis(None, example.evaluation(example.IMPROVING)),
        "declines": example_diagnosis.diagnosis(None, example.evaluation(example.DECLINING)),
        "withheld": example_diagnosis.withheld(),
        "broken": example_diagnosis.broken(),
        "by the clock": example_diagnosis.with_clock(example_diagnosis.diagnosis()),
        "by scenario": example_diagnosis.by_scenario(example_diagnosis.diagnosis()),
        "robust, worse than a guess": example_diagnosis.diagnosis(None, WORSE),
        "worse than a guess": example_diagnosis.diagnosis(measured=example.beside_persistence(FAILING, 0.02)),
    }


def tunings() -> dict[str, Tuning]:
    return {
        "a reset": example.tuning("reset:64"),
        "a handover": example.tuning("handover:56:8"),
        "two copies": example.tuning("two-copies:64", cost=2.0),
        "a leak": example.tuning("leak:32:every=4:from=64"),
        "a leak that harms young ages": example.tuning("leak:32", made=example.ages_harmed()),
        "a leak by layer": example.tuning("leak:32:layers.0.state=64"),
        **{
            f"refused: {name}": example.tuning("reset:64", made=each)
            for name, each in example.refused().items()
            if name in ("short_context_lost", "one age lost", "no_benefit", "undecided")
        },
        **example.asked_twice(),
        "refused: a base worse than a guess": example.tuning("reset:64", made=example.of_no_use("stopped_reading")),
        "nothing to tune, worse than a guess": replace(
            example.tuning(
                "reset:64",
                made=example.untouched(WORSE),
            ),
            remedy="none",
        ),
        "none helps": replace(example.tuning("reset:64"), remedy="none", accepted=False),
        "none helps enough": replace(
            example.tuning("leak:32"),
            remedy="none",
            accepted=False,
            refused_because=Refusal("no_benefit", ["as it was"], remedy="leak:32"),
        ),
        "a base that is undecided": replace(example.tuning("leak:32"), before=UNSURE),
        "undecided itself": replace(example.tuning("leak:32"), after=UNSURE),
        "nothing to tune": replace(example.tuning("reset:64", made=example.untouched()), remedy="none"),
        "broken": replace(example.tuning("reset:64", made=example.refused()["base_broken"]), remedy="none"),
    }


def checks() -> dict[str, Result]:
    return {
        "kept": example.check_report(),
        "broken": example.check_report(broken=True),
        "training": example.training(),
        "training without losses": replace(example.training(), losses=[]),
    }


def plans() -> dict[str, Plan]:
    told = example_plans.plans()
    advised = told["starts_help"]
    assert advised.remedy is not None
    few = replace(advised, settings={**advised.settings, "training": {**advised.settings["training"], "steps": 400}})
    return {
        **told,
        "nothing_to_win, worse than a guess": replace(told["nothing_to_win"], base=WORSE),
        "starts_help, not clearly": replace(advised, evidence={**advised.evidence, "by_starts_high": 0.004}),
        **{
            f"starts_help, {steps} steps where 400 were asked for": replace(
                few, remedy=replace(advised.remedy, steps=steps)
            )
            for steps in (200, 400, 800)
        },
    }


def timelines() -> dict[str, Timeline]:
    told = example_timelines.timelines()
    canary = told["a canary"]
    third, evidence = canary.candidates[2], canary.evidence
    assert evidence is not None
    warm = replace(evidence, part="warm", candidate=2, gain=-0.07, blocks=3)
    better = [replace(each, stage="canary") if each.stage == "shadow" else each for each in third.gates]
    ungated = [replace(each, gates=[]) for each in canary.candidates]
    return {
        **told,
        "a candidate that waits": replace(canary, candidates=[replace(third, status="gated")]),
        "a canary that is better": replace(canary, candidates=[replace(third, gates=better)]),
        "after a promotion": replace(canary, evidence=warm),
        "after a promotion, without blocks": replace(canary, evidence=replace(warm, blocks=0)),
        "after a promotion, without evidence": replace(canary, evidence=None, candidates=ungated),
    }


KINDS: dict[str, Callable[[], Mapping[str, Result]]] = {
    "evaluations": evaluations,
    "repairs": repairs,
    "comparisons": comparisons,
    "diagnoses": diagnoses,
    "tunings": tunings,
    "checks": checks,
    "plans": plans,
    "timelines": timelines,
}


def said(name: str, result: Result, language: str, before: set[str]) -> list[str]:
    """The first lines and advice of a result, and which sentences of its terminal summary none before it had."""
    tone, word = badge(result)
    steps = [line for step in next_steps(result) for line in (f"- {step.text}", step.code) if line]
    more = [part for part in telling_of(result).terminal(result) if part not in before and "\n---" not in part]
    before.update(more)
    read = [text for text in (lead(result), telling_of(result).measured_on(result)) if text]
    return [f"## {name} ({language})", f"{tone}: {word}", headline(result), *(read or [""]), *steps, *more, ""]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_said_is_what_was_looked_at(kind: str, request: pytest.FixtureRequest) -> None:
    """After a change of sentences: `pytest tests/reporting/test_told.py --write-told`, and read the diff."""
    lines: list[str] = []
    before: set[str] = set()
    for name, result in KINDS[kind]().items():
        for language in LANGUAGES:
            with speaking(language):
                lines += said(name, result, language, before)
    path = Path(__file__).parent / "told" / f"{kind}.txt"
    if request.config.getoption("--write-told", default=False):
        path.write_text("\n".join(lines), encoding="utf-8")
    assert "\n".join(lines) == path.read_text(encoding="utf-8")
