"""The pages that the tests look at, each written when it is first asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from outlast.repairs import acceptance
from outlast.reporting import Language, write_report
from outlast.results import CompareRow, Comparison, Result
from reporting import example_diagnosis, example_plans, example_timelines
from reporting import example_results as example

NASTY = '<script>alert("$x$ & y")</script>'


HOSTILE = f"\n{NASTY}</pre><b>\x00\x1b[31m\u202eקרא \ufffd{'w' * 80}"


def long_names() -> Comparison:
    """Nine interventions with long names that differ late, one of them hostile."""
    base = example.evaluation(name=NASTY)
    rows = []
    for index in range(9):
        label = f"fitted_noise_of_states_carried_over_training_streams(temperature={index}, {NASTY})"
        losses = [loss + 0.002 * index for loss in example.NOISE]
        rows.append(CompareRow(label, {"oldest": 2.64}, example.repair(losses, name="noise", label=label, base=base)))
    return replace(example.comparison(), base=base, rows=rows, winner=rows[0].name, picked=rows[0].name)


def against_all() -> Result:
    """A refused repair beside every rival there is, in a unit with the name of its column."""
    found = example.repair(control=example.control())
    rivals = {**dict.fromkeys(("leak", "handover", "control_reset", "control_leak"), (-0.012, -0.026, -0.001))}
    base = replace(found.before, unit="variances of Leistung")
    benefit = replace(found.benefit, rivals={**found.benefit.rivals, **rivals})
    return replace(found, before=base, benefit=benefit)


def huge() -> Result:
    """A model whose loss leaves all bounds."""
    return example.evaluation([*example.BASE[:-2], 9.3e3, 4.1e7])


CASES: dict[str, list[Result]] = {
    "evaluation": [example.evaluation()],
    "repair": [example.repair(control=example.control())],
    "no control": [example.repair(doses=[], guards={"day": example.guard(example.CARRY)})],
    **{f"refused, {name}": [each] for name, each in example.refused().items()},
    **{f"plan, {name}": [each] for name, each in example_plans.plans().items()},
    "comparison": [example.comparison()],
    "no winner": [example.comparison(winner=None)],
    "mended": [example.mended()],
    "nothing tried": [replace(example.comparison(winner=None), rows=[], picked=None)],
    "nothing to compare": [example.untouched_comparison()],
    "check": [example.check_report(broken=True)],
    "training": [example.training()],
    "untrained": [replace(example.training(), losses=[])],
    "long names": [long_names()],
    "against all": [against_all()],
    "huge losses": [huge()],
    "huge base": [example.repair(base=example.evaluation([*example.BASE[:-2], 9.3e3, 4.1e7]))],
    "texts": [example.repair_of_text()],
    "文章": [example.repair_of_text()],
    "texts compared": [example.comparison_of_text()],
    "hostile texts": [example.repair_of_text(HOSTILE)],
    "huge perplexities": [replace(example.of_text(example.evaluation([*example.BASE[:-2], 9.3, 4.1e7])), slices={})],
    "scenarios": [example.with_scenarios(example.evaluation(), "night")],
    "scenarios repaired": [example.repair_by_scenario("night", "weekend")],
    "シナリオ": [example.with_scenarios(example.evaluation(), "night", "weekend", "start-up", NASTY)],
    "scenarios diagnosed": [example_diagnosis.by_scenario(example_diagnosis.diagnosis())],
    "シナリオの診断": [example_diagnosis.by_scenario(example_diagnosis.diagnosis())],
    "one band": [example.evaluation([2.7], ages=[(0, 1)], judged=False)],
    "no targets": [example.evaluation(judged=False)],
    "declines": [example.evaluation(example.DECLINING)],
    "generalises": [example.evaluation(example.IMPROVING)],
    "undecided": [example.evaluation(example.UNSURE, unsure=True)],
    "odd": [example.evaluation(notes=example.ODD)],
    "broken": [
        example.broken(),
        example.untouched_comparison(example.broken(), acceptance.base_broken(example.broken())),
    ],
    "diagnosis": [example_diagnosis.diagnosis()],
    "withheld": [example_diagnosis.withheld()],
    "示さない合計": [example_diagnosis.withheld()],
    "broken diagnosis": [example_diagnosis.broken()],
    "壊れた診断": [example_diagnosis.broken()],
    "no cause": [example_diagnosis.diagnosis(None, example.evaluation(example.IMPROVING))],
    "declining": [example_diagnosis.diagnosis(None, example.evaluation(example.DECLINING))],
    "診断": [example_diagnosis.diagnosis("stale_context")],
    "原因なし": [example_diagnosis.diagnosis(None)],
    "衰え": [example_diagnosis.diagnosis(None, example.evaluation(example.DECLINING))],
    "clock": [example_diagnosis.with_clock(example_diagnosis.diagnosis())],
    "時計": [example_diagnosis.with_clock(example_diagnosis.diagnosis())],
    "diagnosis and others": [example_diagnosis.diagnosis("numerics"), example.evaluation()],
    **{f"timeline, {name}": [each] for name, each in example_timelines.timelines().items()},
    "timeline, hostile": [example_timelines.hostile(NASTY)],
    "timeline, unseen signs": [example_timelines.hostile(HOSTILE)],
    "経過": [example_timelines.timeline()],
    "長い経過": [example_timelines.long_run()],
    "mix": [example.evaluation(), example.comparison(), example.check_report(), example.training()],
}


def looked_at(name: str) -> object:
    """The case as a parameter of a test; refusals are told alike, so all but one are among the long tests."""
    alike = name.startswith("refused, ") and name != "refused, remedy_suffices"
    return pytest.param(name, marks=pytest.mark.long) if alike else name


ONE_A_KIND = {
    "evaluation",
    "repair",
    "plan, starts_help",
    "comparison",
    "check",
    "training",
    "diagnosis",
    "clock",
    "timeline, rolled back",
    "mix",
    "文章",
    "診断",
    "経過",
    # made to be hard
    "long names",
    "huge losses",
    "hostile texts",
    "timeline, hostile",
    "scenarios diagnosed",
}


def one_a_kind(name: str) -> object:
    """The case as a parameter of a test that takes a while for each: the others are among the long tests."""
    return name if name in ONE_A_KIND else pytest.param(name, marks=pytest.mark.long)


def language(name: str) -> Language:
    return "en" if name.isascii() else "ja"


class Pages:
    """Every case as HTML, by name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str) -> Path:
        path = self.folder / f"{name}.html"
        return path if path.exists() else write_report(CASES[name], path, language=language(name))

    def __getitem__(self, name: str) -> str:
        return self.path(name).read_text()
