"""Pages that are made from the code are what the code says now, and every link between pages leads somewhere."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from outlast import public
from outlast.reporting.kinds import TELLINGS

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def script() -> ModuleType:
    """docs/reference.py, which no package holds."""
    spec = importlib.util.spec_from_file_location("reference", ROOT / "docs" / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


REFERENCE = script()


@pytest.mark.parametrize("name", REFERENCE.PAGES)
def test_a_page_is_what_the_code_says_now(name: str) -> None:
    written = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert written == REFERENCE.PAGES[name](), f"docs/{name} is out of date: run make api"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_was_left_half_merged(page: Path) -> None:
    assert not re.findall(r"^(?:<<<<<<<|>>>>>>>) .*", page.read_text(encoding="utf-8"), re.MULTILINE)


def test_the_reference_has_every_public_name_and_no_address_of_this_process() -> None:
    text = REFERENCE.api()
    assert set(re.findall(r"^### (\w+)$", text, re.MULTILINE)) == set(public.__all__)
    assert " at 0x" not in text
    assert "outlast.Streams.from_table" not in text  # a method is named by its class alone
    assert "Streams.from_table(\n    source: Any,\n" in text


def test_the_glossary_has_every_term_of_every_kind_and_language() -> None:
    """Each term in one meaning only: a page could not say two."""
    text = REFERENCE.glossary()
    meanings: dict[str, str] = {}
    for telling in TELLINGS.values():
        for entry in telling.glossary:
            for term, meaning in ((entry.term, entry.meaning), (entry.term_ja, entry.meaning_ja)):
                assert meanings.setdefault(term, meaning) == meaning, term
                assert term in text
                assert meaning in text


def test_docstrings_become_lists_and_code() -> None:
    doc = (
        "Read ``x``.\n\nMore.\n\nArgs:\n    a: one\n        and two.\n    b, c: three.\n\n"
        "Raises:\n    InputError: never.\n\nAfter."
    )
    said = (
        "Read `x`.\n\nMore.\n\n**Args**\n\n- `a`: one and two.\n- `b, c`: three.\n\n"
        "**Raises**\n\n- `InputError`: never.\n\nAfter."
    )
    assert REFERENCE.markdown(doc) == said


def anchor(heading: str) -> str:
    """What a heading is linked by."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    lost = []
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", prose):
        path, _, place = link.partition("#")
        target = page.parent / path if path else page
        headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE) if place else []
        if not target.exists() or (place and place not in map(anchor, headings)):
            lost.append(link)
    assert lost == []
