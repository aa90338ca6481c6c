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
from benchmarks.pages import language, one_run, reproduction
from benchmarks.pages.marks import compared
from outlast.evaluation.measures import MEASURES
from outlast.reporting import summary
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


def test_the_quickstart_s_page_and_the_readme_say_what_its_kept_run_says_by_today_s_rules(tmp_path: Path) -> None:
    shutil.copy(DOCS / "quickstart.md", tmp_path / "quickstart.md")
    found = one_run.kept_run()
    one_run.write_page(tmp_path / "quickstart.md", found)
    assert (tmp_path / "quickstart.md").read_text() == (DOCS / "quickstart.md").read_text()
    (told,) = re.findall(
        r"^The quickstart takes .*?\n\n", (DOCS.parent / "README.md").read_text(), re.MULTILINE | re.DOTALL
    )
    claims = re.findall(r"[+\N{MINUS SIGN}]?\d+\.\d{3}", told)
    assert len(claims) >= 4
    assert set(claims) <= set(re.findall(r"[+\N{MINUS SIGN}]?\d+\.\d{3}", summary(found)))
    assert ("the repair is not accepted" in told) is (found.winner is None)


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


def told_rows(page: str) -> Iterator[dict[str, str]]:
    """Every row of a page's tables, by the names of its columns."""
    head: list[str] | None = None
    for line in (DOCS / page).read_text().splitlines():
        cells = [each.strip() for each in line.strip("|").split("|")] if line.startswith("|") else None
        if cells and head and set(cells[0]) != {"-"}:
            yield dict(zip(head, cells, strict=True))
        head = None if cells is None else head or cells


def figures(cell: str) -> list[float]:
    return [float(each) for each in re.findall(r"[+-]?\d+\.\d+", cell)]


@pytest.mark.parametrize(("page", "bases"), [("families.md", 36), ("quickstart.md", 16)])
def test_printed_verdicts_are_those_of_the_printed_figures(page: str, bases: int) -> None:
    """Of pages whose runs are not kept; what lies on a border within the printed digits may be told either way."""
    rows = [row for row in told_rows(page) if "excess" in row]
    assert len(rows) >= bases
    for row in rows:
        name = (row.get("verdict") or row["verdict on the base"]).split()[0]
        (short, *_), (excess, low, high) = figures(row.get("short") or row["best short age"]), figures(row["excess"])
        tolerance = MEASURES["cross_entropy"].tolerated(short)
        off = 0.0005 if page == "families.md" else 0.00005
        fails = [excess > tolerance + slip and low > slip for slip in (-off, off)]
        held = [high <= tolerance + slip for slip in (-off, off)]
        assert (name == "fails") in fails, row
        assert name not in ("robust", "undecided") or (name == "robust") in held, row


@pytest.mark.parametrize(("page", "accepted"), [("families.md", 40), ("quickstart.md", 12)])
def test_what_a_page_calls_accepted_gains_by_today_s_rule(page: str, accepted: int) -> None:
    """Rows without a leak are of before leaks were rivals."""
    rivals = ("against the base", "against the base, reset", "against the base, leak", "what the starts gained")
    rows = [row for row in told_rows(page) if row.get("accepted") == "yes" and ("verdict" in row or "seed" in row)]
    assert len(rows) >= accepted
    for row in rows:
        half = MEASURES["cross_entropy"].tolerated(figures(row["oldest age"])[0]) / 2
        changes = [figures(row[each]) for each in rivals if each in row]
        assert all(mean < -half and high < 0 for mean, _, high in changes), row
        assert row.get("verdict", "").split(" ")[0] not in ("fails", "declines"), row
