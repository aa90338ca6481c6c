"""A result in a notebook: its verdict, its figures and its tables, short, in the colours of the notebook itself."""

from __future__ import annotations

from html import escape

from outlast.reporting.kinds import telling_of
from outlast.reporting.kinds.telling import drawing
from outlast.reporting.words.language import speaking
from outlast.results import Result

_TONES = {"bad": "#c0392b", "warn": "#b9770e", "good": "#1e8449", "open": "#2874a6"}
"""Of the badge; they can be read on white and on black."""


def short_html(result: Result) -> str:
    """The result as one element that needs nothing but itself."""
    with speaking("en"), drawing(result):
        telling = telling_of(result)
        tone, word = telling.badge(result)
        colour = _TONES.get(tone, "inherit")
        badge = f'<strong style="color: {colour}">{escape(word)}</strong>'
        said = [f"<p>{badge} · {escape(telling.eyebrow(result))}<br>{escape(telling.headline(result))}</p>"]
        if lead := telling.lead(result):
            said.append(f"<p>{escape(lead)}</p>")
        rows = "".join(
            f'<tr><th scope="row" style="text-align: left">{escape(name)}</th><td>{escape(value)}</td></tr>'
            for name, value in telling.figures(result)
        )
        said.append(f"<table>{rows}</table>")
        said += [f'<pre style="overflow-x: auto">{escape(each)}</pre>' for each in telling.terminal(result)]
        return f'<div class="outlast">{"".join(said)}</div>'
