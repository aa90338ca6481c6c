"""What docs/repairing.md says of taking a model from a training that may go on is made of the rows that are kept."""

from __future__ import annotations

from pathlib import Path

from benchmarks.anytime_study import SETTINGS, page
from benchmarks.bases import KEPT, kept_rows


def test_the_page_has_what_the_kept_rows_give() -> None:
    rows = kept_rows(KEPT / "anytime.jsonl")
    text = page([rows[f"{name} at {rate:g}", seed] for name, rate, seed in SETTINGS])
    assert text in Path("docs/repairing.md").read_text()
