"""What pages say first, and what they advise, whole and in both languages, as it stands in `told/`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from outlast.reporting.kinds import badge, headline, lead, next_steps
from outlast.reporting.words.language import LANGUAGES, speaking
from outlast.results import Result
from reporting import example_plans, example_timelines

KINDS: dict[str, Mapping[str, Result]] = {"plans": example_plans.plans(), "timelines": example_timelines.timelines()}


def said(name: str, result: Result, language: str) -> list[str]:
    tone, word = badge(result)
    steps = [line for step in next_steps(result) for line in (f"- {step.text}", step.code) if line]
    return [f"## {name} ({language})", f"{tone}: {word}", headline(result), lead(result), *steps, ""]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_said_is_what_was_looked_at(kind: str, request: pytest.FixtureRequest) -> None:
    """After a change of sentences: `pytest tests/reporting/test_told.py --write-told`, and read the diff."""
    lines: list[str] = []
    for name, result in KINDS[kind].items():
        for language in LANGUAGES:
            with speaking(language):
                lines += said(name, result, language)
    path = Path(__file__).parent / "told" / f"{kind}.txt"
    if request.config.getoption("--write-told", default=False):
        path.write_text("\n".join(lines), encoding="utf-8")
    assert "\n".join(lines) == path.read_text(encoding="utf-8")
