"""One offline HTML file from results: what was found, the curves, the tables, what to do next."""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

import jinja2
from markupsafe import Markup, escape

from outlast.arguments import taking
from outlast.errors import InputError
from outlast.reporting.drawing import figure_files
from outlast.reporting.kinds import article, telling_of
from outlast.reporting.kinds.telling import drawing
from outlast.reporting.words import glossary
from outlast.reporting.words.labels import labels
from outlast.reporting.words.language import Language, speaking, spoken
from outlast.reporting.words.numbers import CLOCK_TIME, MINUS
from outlast.results import Result, write_atomically

# By what rows of a table are sorted: the number that a cell begins with, where it is one.

_NUMBER = re.compile(rf"([+{MINUS}]?\d[\d,]*(?:\.\d+)?)(?: × 10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+))?(?![\w-])")
_POWERS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")


def sort_key(text: str) -> str:
    """The number as a program reads it; empty for a cell that does not begin with one.

    "−3.1 × 10⁻⁷" is "-3.1e-07", "8,192 to 16,383" is "8192.0".
    """
    found = _NUMBER.match(text)
    if found is None:
        return ""
    value, power = found.groups(default="⁰")
    return repr(float(value.replace(",", "").replace(MINUS, "-")) * 10.0 ** int(power.translate(_POWERS)))


# One offline HTML file from results: what was found, the curves, the tables, what to do next, how it was measured.

_HERE = Path(__file__).parent


@taking
def write_report(
    results: Sequence[Result] | Result, path: str | Path, *, title: str | None = None, language: Language = "en"
) -> Path:
    """Write one HTML file that needs nothing but itself: no network, and it is whole where no script runs.

    Args:
        results: any mix of results; each becomes one part of the page, in this order.
        path: of the file.
        title: of the page; taken from the results where it is not given.
        language: ``en`` (English) or ``ja`` (Japanese). Names and records stay as the results have them.

    Returns:
        The path that was written.

    Raises:
        InputError: without results, of another language, a result of which nothing can be drawn, or where the file
            cannot be written.
    """
    results = [results] if isinstance(results, Result) else list(results)
    if not results:
        raise InputError("no results", "at least one result", "evaluate, repair, compare or check something first")
    with speaking(language), drawing(*results):
        page = _page(results, title)
    path = Path(path)
    write_atomically(path, page)
    return path


@taking
def write_figures(result: Result, folder: str | Path, *, language: Language = "en") -> list[Path]:
    """Write every figure of a result's report as SVG and PNG, each a file of its own, for papers.

    Returns:
        The files, named for what they show.

    Raises:
        InputError: of another language, in Japanese where this machine has no font for it, a result of which nothing
            can be drawn, or where a file cannot be written.
    """
    with speaking(language), drawing(result):
        figure_files.ask_for_font(language)
        return figure_files.figures_of(lambda: article(result, "r1"), Path(folder))


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"breakable": _breakable, "unbroken": _unbroken, "sort_key": sort_key}
    return environment.get_template("template.html.j2")


def _page(results: Sequence[Result], title: str | None) -> str:
    articles = [article(result, f"r{index}") for index, result in enumerate(results, start=1)]
    script = (_HERE / "report.js").read_text(encoding="utf-8")
    return _template().render(
        title=title or (articles[0].eyebrow if len(articles) == 1 else labels.DEFAULT_TITLE),
        css=(_HERE / "report.css").read_text(encoding="utf-8"),
        script=script,
        # No other script than this one runs, whatever the names in a result hold.
        allowed=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        articles=articles,
        glossary=_glossary(results),
        labels=labels,
        language=spoken(),
    )


def _glossary(results: Sequence[Result]) -> Sequence[tuple[str, str]]:
    """The terms of every kind on the page, each once; those that are explained for most kinds come first."""
    told = [entry for result in results for entry in telling_of(result).glossary]
    usual = [entry for entry in glossary.USUAL if entry in told]
    return [entry.told() for entry in dict.fromkeys([*usual, *told])]


def _breakable(name: str) -> Markup:
    """A name that may be broken where a reader would break it: after an opening bracket, a comma, an underscore."""
    return Markup(re.sub(r"([(,_/=.])", r"\1<wbr>", str(escape(name))))


def _unbroken(text: str) -> Markup:
    """Clock times in one piece: browsers break lines after the hyphens of a date."""
    return Markup(CLOCK_TIME.sub(r'<span class="unbroken">\g<0></span>', str(escape(text))))
