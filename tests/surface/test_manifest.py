"""What others rely on changes only where somebody writes it down.

``python tests/surface/listing.py`` writes the manifest anew: its difference belongs into the commit that makes it, and
a name that goes says where it went (`outlast.public`; `old` beside an option's field).
"""

from __future__ import annotations

import difflib
import json
from typing import Any

from surface.listing import WRITTEN, manifest, text


def test_public_names_options_and_fields_are_those_of_the_manifest() -> None:
    written, found = json.loads(WRITTEN.read_text(encoding="utf-8")), json.loads(text(manifest()))
    lines = list(difflib.unified_diff(_lines(written), _lines(found), "manifest", "now", lineterm="", n=0))
    assert not lines, "\n".join([*lines, "where that is meant: python tests/surface/listing.py"])


def _lines(record: Any, place: str = "") -> list[str]:
    """One line an entry, with the whole way to it."""
    if isinstance(record, dict):
        return [line for key, each in record.items() for line in _lines(each, f"{place} > {key}" if place else key)]
    return [f"{place}: {record}"]
