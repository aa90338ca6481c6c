"""The terms that reports explain, each in both languages."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path

from outlast.reporting.words.language import Entry

Entries = Sequence[Entry]

_READ = tomllib.loads(Path(__file__).with_name("glossary.toml").read_text(encoding="utf-8"))


def _entries(name: str) -> Entries:
    found = [(*each["term"], *each["meaning"]) for each in _READ[name]]
    return tuple(Entry(term, meaning, term_ja, meaning_ja) for term, term_ja, meaning, meaning_ja in found)


_MEASURED = _entries("measured")
USUAL: Entries = (*_MEASURED, *_entries("usual"))
CHECKED: Entries = (_MEASURED[1], *_entries("checked"))
DIAGNOSED: Entries = (*_MEASURED, *_entries("diagnosed"))
AT_WORK = _entries("at_work")
