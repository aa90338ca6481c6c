"""The written page: self-contained, well-formed, escaped, and told in two languages."""

from __future__ import annotations

import base64
import functools
import hashlib
import html
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from outlast.errors import InputError
from outlast.reporting import report, write_figures, write_report
from outlast.reporting.words.numbers import clock_span
from outlast.results import from_json, to_json
from reporting import example_diagnosis
from reporting.cases import CASES, NASTY, Pages, looked_at

VOID = {"meta", "link", "br", "hr", "img", "input", "wbr"}


class Outline(HTMLParser):
    """Fails on a tag that is not closed in order; collects identifiers, references and attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append((tag, found))
        if identifier := found.get("id"):
            self.ids.append(identifier)
        for name in ("href", "aria-labelledby", "style", "clip-path"):
            value = found.get(name) or ""
            self.references += value.split() if name == "aria-labelledby" else re.findall(r"#([\w-]+)", value)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag


@pytest.mark.parametrize("name", [looked_at(name) for name in CASES])
def test_is_one_well_formed_offline_file(pages: Pages, name: str) -> None:
    page = pages[name]
    assert len(page.encode()) < 2_000_000
    script = (Path(report.__file__).parent / "report.js").read_text()
    whole, _, rest = page.partition(f"<script>{script}</script>")
    assert rest
    assert not re.search(r"https?:|//\w|@import|<script|javascript:", whole + rest)
    assert not re.search(r"https?:|fetch|XMLHttp|import\(|eval|innerHTML", script)
    outline = Outline()
    outline.feed(page)
    outline.close()
    assert outline.open == []
    assert len(outline.ids) == len(set(outline.ids))
    assert set(outline.references) <= set(outline.ids)
    assert sum(tag == "h1" for tag, _ in outline.tags) == 1
    for tag, attributes in outline.tags:
        if tag == "svg":
            assert attributes.get("role") == "img" or attributes.get("aria-hidden") == "true"


def test_typical_page_is_small(pages: Pages) -> None:
    assert len(pages["comparison"].encode()) < 600_000


def test_names_are_escaped(pages: Pages) -> None:
    assert NASTY not in pages["long names"]
    assert html.escape(NASTY, quote=False)[:20] in pages["long names"]


def test_same_results_give_the_same_file(pages: Pages, tmp_path: Path) -> None:
    again = write_report(CASES["comparison"], tmp_path / "again.html")
    assert again.read_text() == pages["comparison"]


def test_results_read_from_json_give_the_same_file(pages: Pages, tmp_path: Path) -> None:
    results = [from_json(to_json(result)) for result in CASES["mix"]]
    assert write_report(results, tmp_path / "again.html").read_text() == pages["mix"]


def test_no_colour_is_fixed_in_figures(pages: Pages) -> None:
    for figure in re.findall(r"<svg.*?</svg>", pages["mix"], re.DOTALL):
        assert not re.search(r"(?:fill|stroke|color): #", figure)


def test_a_title_of_ones_own(tmp_path: Path) -> None:
    page = write_report(CASES["check"], tmp_path / "deep" / "report.html", title="Pump <7>").read_text()
    assert "<title>Pump &lt;7&gt;</title>" in page


def test_no_results_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no results"):
        write_report([], tmp_path / "report.html")


def test_only_the_script_of_the_page_may_run(pages: Pages) -> None:
    """A name in a result cannot bring one of its own: the policy has the one script's hash and nothing else."""
    policy = re.search(r'content="(default-src [^"]*)"', pages["long names"])
    script = re.search(r"<script>(.*?)</script>", pages["long names"], re.DOTALL)
    assert policy
    assert script
    digest = base64.b64encode(hashlib.sha256(script.group(1).encode()).digest()).decode()
    assert html.unescape(policy.group(1)).endswith(f"script-src 'sha256-{digest}'")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (
            "clock",
            "The loss at 2010-03-04 03:12 to 03:43 (stream 3) comes from 2010-03-03 16:33 to 21:52: that stretch holds "
            "80\u00a0% of the harm.",
        ),
        (
            "時計",
            "2010-03-04 03:12 〜 03:43（系列 3）の損失は 2010-03-03 16:33 〜 21:52 から来ています。"
            "この区間が害の 80\u00a0% を占めます。",
        ),
    ],
)
def test_traced_moments_are_told_by_the_clock(pages: Pages, name: str, told: str) -> None:
    """In a sentence, in the table beside the positions, and in the figure; without a clock only by position."""
    page = re.sub('<span class="unbroken">(.*?)</span>', r"\1", pages[name])
    assert told in page
    source = "2010-03-03 16:33 to 21:52" if name.isascii() else "2010-03-03 16:33 〜 21:52"
    table = page.split('<div class="table cards numeric"')[-1]
    assert re.search(f"<div>{source}<small>.*8,360 .{{1,2}} 8,679", table)
    figures = [figure for figure in re.findall("<svg.*?</svg>", page, re.DOTALL) if "-trace" in figure]
    assert [source in "".join(re.findall("<text.*?</text>", figure, re.DOTALL)) for figure in figures] == [True, True]
    assert "2010-" not in pages["diagnosis"] + pages["診断"]


def test_times_are_written_without_what_goes_without_saying() -> None:
    span = functools.partial(clock_span, "2010-03-04T03:12:00")
    assert span("2010-03-04T03:43:00") == "2010-03-04 03:12 to 03:43"
    assert span("2010-03-05T00:01:00", after="2010-03-04T23:00:00") == "03:12 to 2010-03-05 00:01"
    assert span("2010-03-04T03:12:31") == "2010-03-04 03:12:00 to 03:12:31"
    assert span("2010-03-04T03:12:00.250000") == "2010-03-04 03:12:00.000 to 03:12:00.250"
    assert clock_span("2010-03-28T01:59:00+01:00", "2010-03-28T03:01:00+02:00") == (
        "2010-03-28 01:59 UTC+01:00 to 03:01 UTC+02:00"
    )
    assert clock_span("2010-03-04T03:12:00+00:00", "2010-03-04T03:43:00+00:00") == "2010-03-04 03:12 to 03:43 UTC"


def test_results_without_a_clock_are_as_they_were() -> None:
    """Nothing is written for it, and what was written before there were clocks is read."""
    assert '"times"' not in to_json(example_diagnosis.diagnosis())
    assert from_json(to_json(example_diagnosis.diagnosis())) == example_diagnosis.diagnosis()
    clocked = example_diagnosis.with_clock(example_diagnosis.diagnosis())
    assert '"2010-03-04T03:12:00"' in to_json(clocked)
    assert from_json(to_json(clocked)) == clocked


def test_figures_stand_alone(tmp_path: Path) -> None:
    """Each figure as SVG and PNG, in real colours and without the page's variables."""
    written = write_figures(example_diagnosis.diagnosis(), tmp_path / "figures")
    names = {path.name for path in written}
    assert names == {
        f"{name}.{kind}" for name in ("excess", "map", "parts", "remembrance", "trace") for kind in ("svg", "png")
    }
    for path in written:
        if path.suffix == ".svg":
            text = path.read_text()
            assert "var(--" not in text
            assert not re.search("#0[bc]000", text)
        else:
            assert path.read_bytes().startswith(b"\x89PNG")
