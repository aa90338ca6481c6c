"""The page of a tuning: nothing was repaired, and one reset has one figure."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from outlast.reporting import kinds
from outlast.reporting.elements import FigureElement, Section
from outlast.reporting.words.language import Language, speaking
from outlast.results import TriedRemedy, Tuning
from reporting import example_results

MADE = example_results.repair()
TUNED = Tuning(
    1.0,
    "reset:64",
    [TriedRemedy("reset:64", 1.0, MADE.after.oldest.loss, (-0.1, -0.12, -0.08))],
    MADE.before,
    MADE.after,
    MADE.short_context,
    MADE.benefit,
    accepted=True,
    refused_because=None,
)


def figures(sections: Sequence[Section]) -> list[str]:
    return [str(each) for section in sections for each in section.elements if isinstance(each, FigureElement)]


@pytest.mark.parametrize(
    ("language", "title", "other", "line"),
    [
        ("en", "Change through the remedy, by age", "Change through the repair", "periodic reset"),
        ("ja", "対処による年齢ごとの変化", "修復による", "定期リセット"),
    ],
)
def test_its_figures_are_those_of_a_remedy(language: Language, title: str, other: str, line: str) -> None:
    """As it was: the change "through the repair", and `0.771 periodic reset` beside `0.768 reset:128`."""
    with speaking(language):
        sections = kinds.article(TUNED, "a").sections
        repaired = kinds.article(MADE, "b").sections
    assert title in [section.title for section in sections]
    shown = str(sections)
    assert other not in shown
    assert not any(line in each for each in figures(sections))
    assert any(line in each for each in figures(repaired))


def test_a_remedy_that_streams_are_too_few_to_judge_is_not_called_refused() -> None:
    """As it was: "is refused, because it is not decided whether …", where a repair was told undecided."""
    unsure = example_results.tuning("reset:64", made=example_results.refused()["undecided"])
    assert kinds.badge(unsure) == ("open", "Undecided")
    assert kinds.headline(unsure).startswith("Whether the best remedy, a reset every 64 positions, can be accepted is ")
    assert "refused" not in kinds.headline(unsure)
