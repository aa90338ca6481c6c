"""Fixed words of a diagnosis; those of every kind are in `reporting.words.labels`."""

from __future__ import annotations

from pathlib import Path

from outlast.reporting.words.language import Words

words = Words(Path(__file__).with_name("words.toml"))
