"""One offline HTML file from results: what was found, the curves, the tables, what to do next, how it was measured."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import jinja2
from markupsafe import Markup, escape

from outlast.errors import InputError, unknown_name
from outlast.reporting import figures, labels
from outlast.reporting.clock import CLOCK_TIME
from outlast.reporting.kinds import article, telling_of
from outlast.reporting.kinds.diagnosis.page import WORDINGS
from outlast.results import Result, write_atomically

Language = Literal["en", "ja"]

_HERE = Path(__file__).parent


def write_report(
    results: Sequence[Result], path: str | Path, *, title: str | None = None, language: Language = "en"
) -> Path:
    """Write one HTML file that needs nothing but itself: no network, no script.

    Args:
        results: any mix of results; each becomes one part of the page, in this order.
        path: of the file.
        title: of the page; taken from the results where it is not given.
        language: English, or Japanese for diagnoses (the other kinds are told in English only).

    Returns:
        The path that was written.

    Raises:
        InputError: without results, in Japanese of anything but diagnoses, or where the file cannot be written.
    """
    results = list(results)
    _check_language(results, language)
    if not results:
        raise InputError("no results", "at least one result", "evaluate, repair, compare or check something first")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"breakable": _breakable, "unbroken": _unbroken}
    articles = [article(result, f"r{index}", language) for index, result in enumerate(results, start=1)]
    page = environment.get_template("template.html.j2").render(
        title=title or (articles[0].eyebrow if len(articles) == 1 else labels.DEFAULT_TITLE),
        css=(_HERE / "report.css").read_text(encoding="utf-8"),
        articles=articles,
        glossary=_glossary(results, language),
        labels=WORDINGS[language],
        language=language,
    )
    path = Path(path)
    write_atomically(path, page)
    return path


def write_figures(result: Result, folder: str | Path, *, language: Language = "en") -> list[Path]:
    """Write every figure of a result's report as SVG and PNG, each a file of its own, for papers.

    Returns:
        The files, named for what they show.

    Raises:
        InputError: in Japanese of anything but a diagnosis, or where a file cannot be written.
    """
    _check_language([result], language)
    return figures.figures_of(lambda: article(result, "r1", language), Path(folder))


def _check_language(results: Sequence[Result], language: str) -> None:
    if language not in WORDINGS:
        raise unknown_name("language", language, WORDINGS)
    untold = [result.kind for result in results if language not in telling_of(result).glossary]
    if untold:
        raise InputError(
            f"a report in {language} of results of kind {', '.join(dict.fromkeys(untold))}",
            "kinds that are told in this language: the others are told in English only",
            "leave --language out, or run outlast diagnose",
        )


def _glossary(results: Sequence[Result], language: str) -> Sequence[tuple[str, str]]:
    """The terms of every kind on the page, each once; those that are explained for most kinds come first."""
    told = [entry for result in results for entry in telling_of(result).glossary[language]]
    usual = [entry for entry in labels.GLOSSARY_ENTRIES if entry in told]
    return list(dict.fromkeys([*usual, *told]))


def _breakable(name: str) -> Markup:
    """A name that may be broken where a reader would break it: after an opening bracket, a comma, an underscore."""
    return Markup(re.sub(r"([(,_/=.])", r"\1<wbr>", str(escape(name))))


def _unbroken(text: str) -> Markup:
    """Clock times in one piece: browsers break lines after the hyphens of a date."""
    return Markup(CLOCK_TIME.sub(r'<span class="unbroken">\g<0></span>', str(escape(text))))
