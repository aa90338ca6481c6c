"""Results and paths that nothing can be written of or to: one message with given, expected, what to do."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import outlast
from outlast import InputError
from outlast.results import Evaluation
from reporting.example_diagnosis import diagnosis
from reporting.example_results import evaluation

WHOLE = evaluation()


def without_losses(loss: float) -> Evaluation:
    return replace(WHOLE, age_curve=[replace(each, loss=loss, high=loss) for each in WHOLE.age_curve])


ODD = {
    "nan": without_losses(math.nan),
    "inf": without_losses(math.inf),
    "empty": replace(WHOLE, age_curve=[]),
}
FUNCTIONS: dict[str, Callable[[Evaluation], Any]] = {
    "report": lambda result: outlast.write_report(result, "report.html"),
    "figures": lambda result: outlast.write_figures(result, "figures"),
    "text": str,
    "notebook": lambda result: result._repr_html_(),
}


def refused(call: Callable[[], Any]) -> str:
    with pytest.raises(InputError) as told:
        call()
    return str(told.value)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("odd", ODD)
def test_a_result_that_was_not_measured(name: str, odd: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "of kind evaluate, of which no report can be drawn" in refused(lambda: FUNCTIONS[name](ODD[odd]))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("odd", ["nan", "inf"])
def test_numbers_that_no_file_holds(odd: str, tmp_path: Path) -> None:
    assert "that no JSON holds" in refused(lambda: outlast.save_result(ODD[odd], tmp_path / "result.json"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", ["zero\0byte", "", "half\ud800pair"], ids=["zero", "empty", "half"])
def test_paths_that_are_none(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "could not be written" in refused(lambda: outlast.write_report(WHOLE, path))
    assert "could not be written" in refused(lambda: outlast.save_result(WHOLE, path))
    assert refused(lambda: outlast.load_result(path))
    if path:
        assert "could not be written" in refused(lambda: outlast.write_figures(WHOLE, path))
    assert not list(tmp_path.iterdir())


def test_a_title_that_no_page_holds(tmp_path: Path) -> None:
    assert "could not be written" in refused(
        lambda: outlast.write_report(WHOLE, tmp_path / "report.html", title="half\ud800pair")
    )
    assert not list(tmp_path.iterdir())


def test_a_diagnosis_whose_carriers_nothing_swapped(tmp_path: Path) -> None:
    """As a file that was edited may say; a page drawn of it has nothing to tell of them."""
    outlast.save_result(diagnosis(), tmp_path / "result.json")
    text = (tmp_path / "result.json").read_text()
    assert outlast.load_result(tmp_path)
    record = json.loads(text)
    record["attribution"]["carriers"] = ["layers.7.state"]
    (tmp_path / "result.json").write_text(json.dumps(record))
    assert "carriers ['layers.7.state'] that nothing swapped" in refused(lambda: outlast.load_result(tmp_path))
