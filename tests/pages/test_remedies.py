"""The page of the study of remedies counts every base that was run, and lists those that were not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.pages.remedies import apart, share, write_page
from benchmarks.remedies.bases import BASES, KINDS


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
    assert f"nothing to repair ({other.name}, {other.seeds[0]})" in text
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
