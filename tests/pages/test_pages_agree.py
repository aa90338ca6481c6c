"""Pages say what the kept rows say: figures, verdict words, and *level* only where an equivalence test shows it."""

from __future__ import annotations

import importlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from benchmarks.bases import KEPT, KINDS, SEEDS, kept_rows
from benchmarks.pages import language, reproduction
from benchmarks.pages.marks import compared
from outlast.evaluation.measures import MEASURES
from outlast.tasks.kept_rows import rows_in

DOCS = Path(__file__).parents[2] / "docs"
STUDIES = {
    "data": "repairing.md",
    "mimic": "repairing.md",
    "partial": "repairing.md",
    "precision": "measuring.md",
    "replay": "repairing.md",
    "plan": "planning.md",
}
CLAIM = re.compile(
    r"\blevel (with|on average)|\bis level\b|\bare level\b|within (the )?(scatter|noise)|indistinguishable|"
    r"the same within|no different from"
)
SHOWN = "(equivalent within half a tolerance"


def rows_of(study: str) -> list[dict[str, Any]]:
    """Kept rows in the order of a study's command line, of the seeds that its page has."""
    kept = kept_rows(KEPT / ("plans.jsonl" if study == "plan" else f"{study}.jsonl"))
    seeds = SEEDS if study == "plan" else sorted({seed for _, seed in kept})
    return [kept[kind.name, seed] for seed in seeds for kind in KINDS if (kind.name, seed) in kept]


@pytest.mark.parametrize("study", STUDIES)
def test_a_study_s_page_has_the_figures_of_its_kept_rows(study: str) -> None:
    made = importlib.import_module(f"benchmarks.{study}_study").page(rows_of(study))
    assert made in (DOCS / STUDIES[study]).read_text()


@pytest.mark.parametrize("pages", [language, reproduction], ids=lambda module: module.__name__)
def test_a_page_of_recipes_is_what_its_kept_rows_make(pages: ModuleType, tmp_path: Path) -> None:
    name = f"{pages.__name__.rpartition('.')[2]}.md"
    shutil.copy(DOCS / name, tmp_path / name)
    pages.write_page(tmp_path / name, KEPT.parents[1] / "recipes" / "kept")
    assert (tmp_path / name).read_text() == (DOCS / name).read_text()


def measured(row: Any) -> Iterator[dict[str, Any]]:
    """Everything in a kept row that has a verdict."""
    if isinstance(row, dict):
        if {"verdict", "short"} <= row.keys() and row["verdict"] is not None:
            yield row
        for each in row.values():
            yield from measured(each)


@pytest.mark.parametrize("file", ["failure-map.jsonl", "paper-language.jsonl"])
def test_verdicts_of_kept_rows_are_those_of_today_s_rules(file: str) -> None:
    """Rows keep figures and ends; whether a model declines or generalises needs streams that they do not keep."""
    found = [each for row in rows_in(KEPT.parents[1] / "recipes" / "kept" / file) for each in measured(row)]
    assert len(found) > 100
    for each in found:
        verdict, tolerance = each["verdict"], MEASURES["cross_entropy"].tolerated(each["short"])
        fails = verdict["excess"] > tolerance and verdict["low"] > 0
        assert verdict["tolerance"] == pytest.approx(tolerance, rel=1e-3)
        assert (verdict["name"] == "fails") is fails
        if verdict["name"] in ("robust", "undecided"):
            assert (verdict["name"] == "robust") is (verdict["high"] <= tolerance)


def test_no_page_calls_level_what_no_test_has_shown_to_be() -> None:
    for page in [*DOCS.glob("*.md"), *DOCS.glob("decisions/*.md")]:
        if page.name in ("log.md", "api.md"):  # what was written then, and docstrings
            continue
        for claim in CLAIM.finditer(text := " ".join(page.read_text().split())):
            assert SHOWN in text[claim.start() : claim.end() + 60], (
                f"{page.name}: {text[claim.start() - 80 : claim.end()]}"
            )


def test_a_difference_is_level_only_within_half_a_tolerance() -> None:
    assert compared((0.0, -0.004, 0.004), 0.01, "nats").startswith("level (equivalent within half a tolerance: +0.000")
    assert compared((0.0, -0.004, 0.006), 0.01, "nats").startswith("not told apart (")
    assert compared((-0.02, -0.03, -0.01), 0.01, "nats").startswith("lower (")
    assert compared((0.02, 0.01, 0.03), 0.01, "nats").startswith("higher (")
