"""One offline HTML file from results: what was found, the curves, the tables, what to do next, how it was measured."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import jinja2
from markupsafe import Markup, escape

from outlast.errors import InputError, unknown_name
from outlast.reporting import diagnosis_ja, figures, labels, terms
from outlast.reporting.articles import article
from outlast.reporting.clock import CLOCK_TIME
from outlast.reporting.diagnosis_article import WORDS
from outlast.results import CheckReport, Diagnosis, Result, write_atomically

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
        title=title or (articles[0].eyebrow if len(articles) == 1 else terms.default_title(results)),
        css=(_HERE / "report.css").read_text(encoding="utf-8"),
        articles=articles,
        glossary=_glossary(results, language),
        labels=WORDS[language],
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
    if language not in WORDS:
        raise unknown_name("language", language, WORDS)
    other = [result.kind for result in results if not isinstance(result, Diagnosis)]
    if language == "ja" and other:
        raise InputError(
            f"a report in Japanese of results of kind {', '.join(dict.fromkeys(other))}",
            "diagnoses: the other kinds are told in English only",
            "leave --language out, or run outlast diagnose",
        )


def _glossary(results: Sequence[Result], language: str) -> Sequence[tuple[str, str]]:
    if all(isinstance(result, CheckReport) for result in results):
        return labels.CHECK_ENTRIES
    if language == "ja":
        return diagnosis_ja.GLOSSARY_ENTRIES
    told = {entry for result in results if isinstance(result, Diagnosis) for entry in WORDS["en"].GLOSSARY_ENTRIES}
    if len(told) and all(isinstance(result, Diagnosis) for result in results):
        return WORDS["en"].GLOSSARY_ENTRIES
    more = [entry for entry in WORDS["en"].GLOSSARY_ENTRIES if entry in told and entry not in labels.GLOSSARY_ENTRIES]
    return [*labels.GLOSSARY_ENTRIES, *more]


def _breakable(name: str) -> Markup:
    """A name that may be broken where a reader would break it: after an opening bracket, a comma, an underscore."""
    return Markup(re.sub(r"([(,_/=.])", r"\1<wbr>", str(escape(name))))


def _unbroken(text: str) -> Markup:
    """Clock times in one piece: browsers break lines after the hyphens of a date."""
    return Markup(CLOCK_TIME.sub(r'<span class="unbroken">\g<0></span>', str(escape(text))))
