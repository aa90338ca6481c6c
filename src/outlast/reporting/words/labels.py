"""Fixed words of reports: names of things, headings, heads of tables. Sentences stand where they are composed."""

from __future__ import annotations

from pathlib import Path

from outlast.reporting.words.language import Words

SHARES = {"error_rate"}
"""Measures of which a change is already a share, so that a percentage of it would mislead."""

labels = Words(Path(__file__).with_name("labels.toml"))
hints = Words(Path(__file__).with_name("captions.toml"))
"""What stands under figures and tables; `captions` puts values into it and chooses what applies."""
