"""The examples in docs/extending.md run as written and keep the contract."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch

from contract_sizes import quick_check
from outlast import families, interventions, tasks
from outlast.data import Batch, open_streams, opening
from outlast.evaluation.opened import adapted_to
from outlast.model import InputSpec
from outlast.reporting import kinds
from outlast.results import KINDS, Result, from_json, load_result, to_json
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
    report = quick_check(model)
    assert report.passed, [point for point in report.checks if point.passed is False]
    hybrid = families.build("hybrid", recurrent="diagonal", inputs=InputSpec("features", 3), outputs=2, width=8)
    assert quick_check(hybrid).passed


def test_the_intervention_starts_from_weakened_states(monkeypatch):
    monkeypatch.setitem(interventions.INTERVENTIONS, "faded", example("An intervention")["Faded"])
    rule = interventions.intervention("faded", weight=0.25)
    assert rule.describe()["weight"] == 0.25
    assert interventions.intervention("faded:weight=0.25") == rule


def test_the_task_runs_the_whole_loop(monkeypatch, tmp_path):
    monkeypatch.setitem(tasks.TASKS, "waves", example("A task")["WAVES"])
    quickstart.quickstart(tmp_path, seed=0, jobs=1, name="waves")
    result = load_result(tmp_path)
    assert result.kind == "compare"
    assert (tmp_path / "report.html").stat().st_size > 1000


def test_the_measure_is_the_loss_of_a_quantile():
    measure = example("A measure")["PINBALL"]
    zero = torch.zeros(1, 2, dtype=torch.int64)
    batch = Batch(zero, torch.tensor([[[1.0], [-1.0]]]), torch.ones(1, 2), zero[0, :1], zero[0, :1], zero[0, :1] > 0)
    lost = measure.per_position(torch.zeros(1, 2, 1), batch)
    torch.testing.assert_close(lost, torch.tensor([[0.9, 0.1]]))
    values = torch.arange(101.0)[:, None]
    torch.testing.assert_close(measure.constant(values, 0), torch.tensor([90.0]))


def test_the_format_is_read_by_its_suffix(monkeypatch, tmp_path):
    monkeypatch.setattr(opening, "FORMATS", (*opening.FORMATS, example("A stream format")["LINES"]))
    path = tmp_path / "readings.lists"
    path.write_text("[1, 2, 3, 4]\n[5, 6, 7, 8]\n")
    streams = open_streams(path, horizon=2)
    assert streams.lengths.tolist() == [2, 2]
    np.testing.assert_array_equal(streams.inputs[:, 0], np.arange(1, 9))


def test_the_kind_of_result_is_told(monkeypatch):
    monkeypatch.setitem(KINDS, "tally", Result)  # in whose place the example puts its own; it goes with the test
    names = example("A kind of result")
    monkeypatch.setitem(kinds.TELLINGS, names["Tally"], names["TELLING"])
    tally = names["Tally"]({"name": "mine"}, 12345)
    assert from_json(to_json(tally)) == tally
    assert kinds.summary(tally) == "COUNTED: 12,345 positions were read."


def test_the_example_of_categories_runs_as_written(capsys):
    page = (PAGE.parent / "categories.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(code, "docs/categories.md", "exec", dont_inherit=True), names)
    assert "power" in capsys.readouterr().out
    measured = names["measured"]
    assert measured.verdict.name in ("robust", "generalises")
    assert min(band.loss for band in measured.age_curve) < 0.05
    (told,) = re.findall(r"^(ByMachine reads .*)$", page, re.MULTILINE)
    assert adapted_to(names["model"], names["streams"]).found == told  # pyright: ignore[reportAttributeAccessIssue]
