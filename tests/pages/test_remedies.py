"""The page of the study of remedies counts every base that was run, and lists those that were not."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.bases import KEPT
from benchmarks.pages import blind
from benchmarks.pages.remedies import apart, share, write_page
from benchmarks.remedies.bases import BASES, KINDS
from benchmarks.remedies_study import kept_rows

DOCS = Path(__file__).parents[2] / "docs"


def losses(level: float) -> dict[str, Any]:
    """Eight streams around a level, the same way in every row, so that differences have no spread."""
    spread = np.linspace(-0.5, 0.5, 8)
    return {"name": "none", "cost": 1, "losses": (level + spread).tolist(), "short": [0.0, -0.01, 0.01], "held": True}


def row(kind: str, seed: int, *, tune: float, declined: str | None = None) -> dict[str, Any]:
    rows = {
        "as it runs on": losses(3.0), "best reset": losses(2.8), "two copies": losses(2.7), "handover": losses(2.75),
        "leak of τ = T": losses(2.65), "tune": {**losses(tune), "accepted": True, "refused": None},
    }  # fmt: skip
    if declined is None:
        rows["repair"] = {**losses(2.6), "accepted": True, "refused": []}
        rows["repair with a leak"] = {**losses(2.59), "accepted": False, "refused": ["no_benefit"]}
    return {
        "kind": kind, "seed": seed, "unit": "nats", "tolerance": 0.01, "verdict": "fails", "blocks": [],
        "short": 2.7, "margin": 0.0135, "declined": declined, "rows": rows, "seconds": {"base": 1.0},
    }  # fmt: skip


def test_the_page_says_whether_a_leak_forgets_or_covers(tmp_path: Path) -> None:
    """By copies that have read the last positions alone; bases without such a row, or with none made, do not count."""
    kind, page = KINDS[0], tmp_path / "page.md"
    rows = [row(kind.name, seed, tune=2.65) for seed in kind.seeds]
    later = row(KINDS[1].name, KINDS[1].seeds[0], tune=2.65)
    for each, loss in zip(rows, (2.651, 2.6, None), strict=True):
        each["rows"]["best leak"] = losses(2.65)
        each["rows"]["last positions read again"] = None if loss is None else losses(loss)
    page.write_text("# Study\n\n<!-- figures of the study -->\n<!-- end of the figures of the study -->\n")
    write_page(page, BASES, [*rows, later])
    text = page.read_text()
    assert (
        "half a tolerance on 1 of 2 (50 %) of the bases, clearly better on 1 of 2 (50 %) and clearly worse on 1" in text
    )
    assert "| last positions read again | -0.0245 | not run |" in text


def test_all_bases_that_ran_are_counted_and_the_others_are_named(tmp_path: Path) -> None:
    kind, other = KINDS[0], KINDS[1]
    rows = [
        row(kind.name, kind.seeds[0], tune=2.65),
        row(kind.name, kind.seeds[1], tune=2.9),
        row(other.name, other.seeds[0], tune=3.0, declined="nothing_to_repair"),
    ]
    page = tmp_path / "page.md"
    page.write_text("# Study\n\n<!-- figures of the study -->\n<!-- end of the figures of the study -->\n")
    write_page(page, BASES, rows)
    text = page.read_text()
    assert f"3 of {len(BASES)} bases have been run" in text
    assert "| on at least 70 % of the bases | 1 of 2 (50 %) |" in text
    assert f"| on none | 1 of 2 (50 %) ({kind.name}, {kind.seeds[1]}) |" in text
    assert f"nothing to repair: 1 of 3 (33 %) ({other.name}, {other.seeds[0]})" in text
    missing = text.partition("### Not run yet")[2]
    assert f"- {kind.name}: {kind.seeds[2]}\n" in missing
    listed = [
        seed for line in missing.splitlines() if line.startswith("- ") for seed in line.split(": ")[1].split(", ")
    ]
    assert len(listed) == len(BASES) - 3
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert not [line for line in lines if re.search(r"nan|None", line)]


def test_the_share_is_of_the_gain_over_the_reset() -> None:
    one = row("air, GLA", 1, tune=2.7)
    assert share([one]) == pytest.approx(50)
    assert apart(one, "repair", "tune") == pytest.approx((-0.1, -0.1, -0.1))
    assert apart(one, "control", "tune") is None
    assert share([row("air, GLA", 1, tune=2.7, declined="nothing_to_repair")]) is None


def test_no_base_is_listed_twice_and_seeds_are_fresh() -> None:
    named = [(kind.name, seed) for kind, seed in BASES]
    assert len(set(named)) == len(named) == sum(len(kind.seeds) for kind in KINDS)
    assert all(seed == 0 or 800 <= seed < 850 for _, seed in BASES)


def blind_row(seed: int, *, accepted: bool) -> dict[str, Any]:
    one = row("quickstart", seed, tune=2.65)
    refused = [] if accepted else ["plain_training_suffices"]
    one["rows"]["repair"] |= {"accepted": accepted, "refused": refused, "because": ["level with it"], "dose": 1.0}
    one["rows"] |= {"best leak": losses(2.66), "control": losses(2.7), "control under its best leak": losses(2.62)}
    return {
        **one, "blocks": [0, 0, 1, 1, 2, 2, 3, 3], "from_age": 128, "excess": [0.3, 0.2, 0.4], "streams": 8,
        "length": 16_384, "oldest_age": [8192, 16_384],
    }  # fmt: skip


def test_the_blind_table_has_every_seed_and_its_rivals() -> None:
    text = "\n\n".join(blind.figures([blind_row(800, accepted=True), blind_row(801, accepted=False)]))
    assert "2 of 10 seeds have been run; not run yet: 802, 803" in text
    assert "Accepted: 1 of 2." in text
    assert "| oldest age against the base, leak | -0.0600 | -0.0600 to -0.0600 |" in text
    assert "| oldest age against the control, leak | -0.0200 |" in text
    assert "- Seed 801: level with it." in text


def test_the_pages_are_what_the_kept_rows_make(tmp_path: Path) -> None:
    kept = kept_rows(KEPT / "remedies.jsonl")
    for name in ("remedies-study.md", "quickstart.md"):
        shutil.copy(DOCS / name, tmp_path / name)
    write_page(tmp_path / "remedies-study.md", BASES, kept)
    blind.write_page(tmp_path / "quickstart.md", kept)
    for name in ("remedies-study.md", "quickstart.md"):
        assert (tmp_path / name).read_text() == (DOCS / name).read_text(), name
