"""README can be read in some minutes, and no page is out of reach or leads nowhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from outlast.cli.options import VERBS

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(
    (ROOT / "docs").glob("*.md")
)


def links(page: Path) -> list[str]:
    """What a page links to in this repository, without headings."""
    found = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    return [each.partition("#")[0] for each in found if "://" not in each and not each.startswith("#")]


def test_readme_is_short() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 130
    assert len(text.split()) <= 1_000


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    assert [each for each in links(page) if not (page.parent / each).exists()] == []


def test_every_page_is_in_the_list() -> None:
    listed = set(links(ROOT / "docs" / "README.md"))
    assert {page.name for page in (ROOT / "docs").glob("*.md")} - listed == {"README.md"}


def test_every_verb_is_in_the_list() -> None:
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    assert [verb for verb in VERBS if not re.search(rf"`{verb.split()[0]}\b", text)] == []
