"""Pages of models of text: perplexities, losses by label, and what models write on."""

from __future__ import annotations

import html
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest

from outlast.reporting import write_figures
from outlast.reporting.drawing.age_figures import Curve
from outlast.reporting.elements import FigureElement, Fold, Table
from outlast.reporting.losses.perplexity import perplexity, written
from outlast.reporting.losses.slices import SHOWN, ordered, slices
from outlast.reporting.tables import sample_sections, shown
from outlast.reporting.words.language import speaking
from outlast.results import Repair, from_json, to_json
from reporting import example_results as example
from reporting.cases import Pages
from reporting.test_repair_pages import described, section, text, titles


def test_perplexity_is_exp_of_the_loss_and_of_the_ends_of_its_interval(pages: Pages) -> None:
    last = example.evaluation().position_curve[-1]
    told = described(pages["texts"], "perplexity-position")
    assert f"{math.exp(last.loss):.2f} at position 8,192 to 16,383" in told
    table = section(pages["texts"], "Perplexity by position")
    assert f"{math.exp(last.low):.2f} to {math.exp(last.high):.2f}" in table
    oldest = example.evaluation().oldest
    assert f"{math.exp(oldest.loss):.2f} at age 8,192 to 16,383" in described(pages["texts"], "perplexity-age")
    assert "training context: 64" in section(pages["texts"], "Perplexity by age of the state")


@pytest.mark.parametrize("name", ["texts", "texts compared", "huge perplexities"])
def test_models_of_tokens_have_perplexities(pages: Pages, name: str) -> None:
    found = titles(pages[name])
    assert found.index("Perplexity by position") < found.index("Perplexity by age of the state")
    assert found.index("Perplexity by age of the state") < found.index("Loss by position in the stream")


@pytest.mark.parametrize("change", [{"data": {"target": "power"}}, {"unit": "bits"}, {"measure": "error_rate"}])
def test_others_have_none(change: dict[str, object]) -> None:
    curves = [Curve("base", replace(example.of_text(example.evaluation()), **change))]
    assert perplexity(curves, "r1") == []


def test_a_broken_model_does_not_press_the_others_flat(pages: Pages) -> None:
    """It is drawn at a thousand times the lowest perplexity; no number overflows, and the table says it is more."""
    found = section(pages["huge perplexities"], "Perplexity by age of the state")
    assert "&gt; 10¹²" in found
    assert re.search(
        r"Perplexities above 1[34],\d{3}, as a broken model has them, are drawn at that height", text(found)
    )
    ticks = re.findall(r"<text[^>]*>([\d,]+)</text>", found.partition("</svg>")[0])
    assert max(int(tick.replace(",", "")) for tick in ticks) <= 16_384
    assert "Perplexities above" not in text(pages["texts"])
    assert written((50.0, 2.0, 60.0)) == ("> 10¹²", "7.389 to > 10¹²")


def test_perplexities_are_figures_for_papers_too(tmp_path: Path) -> None:
    files = {path.name for path in write_figures(example.of_text(example.evaluation()), tmp_path)}
    assert {f"perplexity-{by}.{kind}" for by in ("position", "age") for kind in ("svg", "png")} <= files
    assert {"label1.svg", "label2.svg"} <= files


@pytest.mark.parametrize(
    ("values", "numbers"),
    [
        (["2010", "2008"], ["2008", "2010"]),
        (["16 to 31", "0 to 1", "32 and on"], ["0", "16", "32"]),
        (["-0.5", "1e"], None),
        (["01.txt", "02.txt"], None),
        (["2009-01", "2009-02"], None),
        (["en", "fr"], None),
        ([], []),
    ],
)
def test_values_that_are_numbers_have_an_order(values: list[str], numbers: list[str] | None) -> None:
    found = ordered(values)
    assert (None if found is None else list(found.values())) == numbers


def test_labels_have_a_table_and_those_with_an_order_a_figure(pages: Pages) -> None:
    page = pages["texts"]
    for name in example.LABELS:
        shown = section(page, f"Loss by {name}")
        assert ("<figure>" in shown) == (name in ("year", "distance", "minute")), name
        visible, fold, _ = shown.partition("<details>")
        rows = visible.count("<tr") - 1
        many = len(example.LABELS[name]) > SHOWN
        assert bool(fold) == many
        assert rows == (1 if name == "minute" else (SHOWN if many else len(example.LABELS[name])) + 1)
        assert shown.count("<tr") - 1 - bool(fold) == len(example.LABELS[name]) + 1


def test_before_and_after_stand_beside_each_other(pages: Pages) -> None:
    base, after = example.evaluation().oldest.loss, example.repair().after.oldest.loss
    row = next(row for row in section(pages["texts"], "Loss by year").split("<tr")[1:] if ">2008<" in row)
    cells = [re.sub("<small>.*?</small>", "", cell) for cell in re.findall(r"<td.*?</td>", row, re.DOTALL)]
    told = [text(cell).strip() for cell in cells]
    assert told[:3] == [f"{base:.3f}", f"{after:.3f}", f"\u2212{base - after:.3f}"]
    assert told[4:] == ["900", "60"]
    heads = re.findall(r'scope="col">(.*?)</th>', section(pages["texts"], "Loss by year"))
    assert heads[1:5] == [
        "base (nats)",
        "carry(expected_run=1280) (nats)",
        "change (nats)",
        "control (zero states) (nats)",
    ]


def test_without_an_order_the_highest_losses_stand_first(pages: Pages) -> None:
    shown = section(pages["texts"], "Loss by document")
    first = [float(value) for value in re.findall(r"<td[^>]*><div>(\d\.\d+)<", shown)]
    after = first[1:-3:3]
    assert after == sorted(after, reverse=True)
    assert "The highest losses stand first." in text(shown)


def test_one_model_is_told_over_what_is_known() -> None:
    measured = example.of_text(example.evaluation())
    found = {
        "value": "7",
        "loss": 2.5,
        "low": 2.4,
        "high": 2.6,
        "n": 60,
        "positions": 900,
        "excess": {"a_b": [0.1, 0.05, 0.15]},
    }
    record = {"all": found, "references": {"a_b": {}}, "labels": {"year": [found]}}
    [year] = slices([Curve("base", replace(measured, slices=record))], "r1")
    table = year.elements[0]
    assert isinstance(table, Table)
    assert table.columns == ["year", "loss (nats)", "over a b (nats)", "positions", "n"]
    assert table.rows[0].cells[2].text == "+0.10"
    assert slices([Curve("base", example.evaluation())], "r1") == []


def test_figures_of_growing_distances_are_logarithmic() -> None:
    found = {
        each.title: each.elements[0] for each in slices([Curve("base", example.of_text(example.evaluation()))], "r1")
    }

    def ticks(title: str) -> list[str]:
        figure = found[title]
        assert isinstance(figure, FigureElement)
        return re.findall(r"<text[^>]*>(\d+)</text>", figure.wide)

    assert {"0", "2", "64", "4096"} <= set(ticks("Loss by distance"))
    assert {"2008", "2009", "2010"} <= set(ticks("Loss by year"))
    assert not isinstance(found["Loss by speaker"], FigureElement | Fold)


def test_texts_are_told_with_how_they_were_drawn(pages: Pages) -> None:
    for name in ("texts", "texts compared"):
        shown = text(section(pages[name], "Texts written on at an old age"))
        assert "at temperature 0.8 and with the same draws" in shown
        assert "Test stream 1, after 9,999 positions (seed 1)" in shown
        for title in ("the end of what was read", "as the text goes on", "base", "carry( expected_ run= 1280)"):
            assert title.replace(" ", "") in shown.replace(" ", "")
    assert "Texts written on at an old age" not in titles(pages["repair"])
    with speaking("ja"):
        assert sample_sections(example.samples(), "carry")[0].title == "古い年齢で書き継いだ文章"


def test_what_is_no_text_is_replaced(pages: Pages) -> None:
    assert shown("a\x00\x1b[0m\u202eb\r\n\tc\x85") == "a\ufffd\ufffd[0m\ufffdb\n\tc\ufffd"
    page = pages["hostile texts"]
    assert not re.search(r"[\x00\x1b\u202e]", page)
    assert html.escape("</pre><b>") in page


def test_samples_are_kept_and_older_files_have_none() -> None:
    result = example.repair_of_text()
    record = json.loads(to_json(result))
    assert from_json(json.dumps(record)) == result
    del record["samples"]
    older = from_json(json.dumps(record))
    assert isinstance(older, Repair)
    assert older.samples == []
