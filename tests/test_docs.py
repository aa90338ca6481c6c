"""The examples in docs/extending.md run as written and keep the contract."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from outlast import families, interventions, tasks
from outlast.adapters.check import check
from outlast.model import InputSpec
from outlast.results import load_result
from outlast.tasks import quickstart

PAGE = Path(__file__).parents[1] / "docs" / "extending.md"


def example(title: str) -> dict[str, Any]:
    """The names that the code under a heading defines."""
    section = re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)
    code = next(re.findall(r"```python\n(.*?)```", part, re.DOTALL)[0] for part in section if part.startswith(title))
    assert len(code.splitlines()) <= 30, f"{title}: the docs promise thirty lines"
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(code, str(PAGE), "exec", dont_inherit=True), names)
    return names


def test_the_family_keeps_the_contract(monkeypatch):
    settings = example("A family")["DiagonalSettings"]
    for table in (families.RECURRENT, families.FAMILIES):  # the second is made from the first
        monkeypatch.setitem(table, "diagonal", settings)
    model = families.build("diagonal", inputs=InputSpec("features", 3), outputs=2, width=8)
    report = check(model)
    assert report.passed, [point for point in report.checks if point.passed is False]
    hybrid = families.build("hybrid", recurrent="diagonal", inputs=InputSpec("features", 3), outputs=2, width=8)
    assert check(hybrid).passed


def test_the_intervention_starts_from_weakened_states(monkeypatch):
    monkeypatch.setitem(interventions.INTERVENTIONS, "faded", example("An intervention")["Faded"])
    rule = interventions.intervention("faded", weight=0.25)
    assert rule.describe()["weight"] == 0.25


def test_the_task_runs_the_whole_loop(monkeypatch, tmp_path):
    monkeypatch.setitem(tasks.TASKS, "waves", example("A task")["WAVES"])
    quickstart.quickstart(tmp_path, seed=0, jobs=1, name="waves")
    result = load_result(tmp_path)
    assert result.kind == "compare"
    assert (tmp_path / "report.html").stat().st_size > 1000
