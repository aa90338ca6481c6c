"""Pages of evaluations and repairs: what is drawn, what is marked as good, and what is not."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from outlast.intervals import mean_interval
from outlast.reporting import write_report
from outlast.reporting.drawing.age_figures import Curve, change_curve, drawn
from outlast.reporting.elements import FigureElement
from outlast.reporting.losses.recovery import recovered_from
from outlast.reporting.pairing import by_age
from outlast.reporting.words import terms
from outlast.results import Result
from reporting import example_results as example
from reporting.cases import CASES, Pages, looked_at

REFUSED = [name for name in CASES if name.startswith("refused, ")]
DONE = [f"refused, {name}" for name, each in example.refused().items() if not terms.untouched(each)]
GOOD = re.compile(r'class="[^"]*\bgood\b')
HEAVY = re.compile(r"stroke: var\(--line-1\)[^\"]*stroke-width: 2\.8|stroke-width: 2\.8[^\"]*stroke: var\(--line-1\)")


def text(page: str) -> str:
    """What people read."""
    page = re.sub(r"<style>.*?</style>|<svg.*?</svg>|<wbr>", "", page, flags=re.DOTALL)
    return re.sub(r"[ \n]+", " ", re.sub(r"<[^>]+>", " ", page))


def section(page: str, title: str) -> str:
    """The section of this title; fails where there is none."""
    found = re.search(rf"<section[^>]*>\s*<h\d[^>]*>{re.escape(title)}</h\d>(.*?)</section>", page, re.DOTALL)
    assert found, title
    return found.group(1)


def titles(page: str) -> list[str]:
    return re.findall(r"<section[^>]*>\s*<h\d[^>]*>(.*?)</h\d>", page)


def described(page: str, figure: str) -> str:
    """What a figure says to those who do not see it."""
    found = re.search(rf'<desc id="r1-{figure}w-desc">(.*?)</desc>', page)
    assert found, figure
    return found.group(1)


def page_of(result: Result, folder: Path) -> str:
    return write_report([result], folder / "report.html").read_text()


@pytest.mark.parametrize("name", [looked_at(name) for name in REFUSED])
def test_nothing_of_a_refused_repair_is_green(pages: Pages, name: str) -> None:
    """No badge, row or cell wears the good tone, also not a guard that held; no curve of it is drawn heavily."""
    assert GOOD.search(pages[name]) is None
    assert HEAVY.search(pages[name]) is None


def test_what_is_accepted_is_green_and_drawn_heavily(pages: Pages) -> None:
    assert GOOD.search(pages["repair"])
    assert HEAVY.search(pages["repair"])
    assert HEAVY.search(pages["comparison"])


def test_a_picked_repair_that_is_refused_is_marked_but_not_as_a_winner(pages: Pages) -> None:
    """In a comparison without a winner the one row that would pass is good, the picked one is not."""
    table = section(pages["no winner"], "Comparison of the interventions").partition("<details>")[0]
    rows = re.findall(r'<tr role="row".*?</tr>', table, re.DOTALL)
    picked = next(row for row in rows if "carry" in row)
    assert '<tr role="row" class="marked plain">' in picked
    assert '<span class="badge plain">picked</span>' in picked
    assert '<span class="badge bad">refused</span>' in picked
    assert [bool(GOOD.search(row)) for row in rows] == ["fitted_noise" in row.replace("<wbr>", "") for row in rows]
    assert HEAVY.search(pages["no winner"]) is None
    won = re.findall(
        r'<tr role="row".*?</tr>', section(pages["comparison"], "Comparison of the interventions"), re.DOTALL
    )
    assert '<tr role="row" class="marked good">' in next(row for row in won if "winner" in row)


def test_a_refused_curve_is_hollow_and_says_so() -> None:
    base, passing = example.evaluation(), example.evaluation(example.PASSING)
    curves = [Curve("base", base), Curve("other", passing, "picked", refused=True), Curve("good", passing, "other")]
    looks = {curve.title: look for curve, look in drawn(curves)}
    assert looks["other (refused)"].hollow
    assert not looks["other (refused)"].strong
    assert not looks["good"].hollow
    assert looks["base"].strong


def test_the_age_figure_is_of_paired_excesses(pages: Pages) -> None:
    """The losses are in the table; the figure has the excess with its intervals, and the tolerance."""
    evaluation = example.evaluation()
    page = pages["evaluation"]
    first, last = evaluation.age_curve[0], evaluation.age_curve[-1]
    told = described(page, "excess")
    assert f"base: {first.excess:+.3f}\u00a0nats at age 0" in told
    assert f"{last.excess:+.2f} at age 8,192 to 16,383" in told
    assert f"{last.loss:.3f}" not in told
    shown = text(section(page, "Excess by age of the state"))
    assert "tolerance +0.013" in shown
    assert "The verdict rests on these paired differences" in shown
    assert f"{last.loss:.3f}" in shown
    assert "Loss by age of the state" not in titles(page)


def test_without_targets_the_losses_are_drawn(pages: Pages) -> None:
    assert "Loss by age of the state" in titles(pages["no targets"])
    assert "Excess by age of the state" not in titles(pages["no targets"])


@pytest.mark.parametrize("name", ["repair", "comparison", "no winner", *DONE])
def test_what_a_repair_changed_is_drawn_by_age(pages: Pages, name: str) -> None:
    """First what changed, pair by pair, then the losses on one axis, then what verdicts rest on."""
    order = [title for title in titles(pages[name]) if "age" in title]
    assert order[0].startswith("Change through ")
    assert order[1:] == ["Loss by age of the state", "Excess by age of the state"]
    shown = text(section(pages[name], order[0]))
    assert "allowed, mean of short contexts +0.013" in shown
    assert "allowed, one band of ages +0.040" in shown


def test_changes_are_paired_by_stream_and_rest_on_blocks() -> None:
    base, after = example.evaluation(), example.evaluation(example.CARRY)
    found = by_age(base, after)
    assert [each.age for each in found] == example.AGES
    last = np.array(after.oldest.per_stream) - np.array(base.oldest.per_stream)
    alone = mean_interval(last, 1, np.array(base.blocks))
    assert (found[-1].mean, found[-1].low, found[-1].high) == pytest.approx(alone.triple)
    first = np.array(after.age_curve[0].per_stream) - np.array(base.age_curve[0].per_stream)
    together = mean_interval(first, len(found), np.array(base.blocks))
    assert (found[0].mean, found[0].low, found[0].high) == pytest.approx(together.triple)
    narrow = mean_interval(last, 1)
    assert narrow.high - narrow.low < found[-1].high - found[-1].low
    moved = [replace(band, per_stream=[loss + 0.1 for loss in band.per_stream]) for band in base.age_curve]
    for each in by_age(base, replace(base, age_curve=moved)):
        assert (each.mean, each.low, each.high) == pytest.approx((0.1, 0.1, 0.1))


def test_ages_that_only_one_was_measured_at_are_left_out() -> None:
    base, after = example.evaluation(), example.ends_only(example.repair()).after
    assert [each.age for each in by_age(base, after)] == [band.age for band in after.age_curve]
    fewer = replace(after, age_curve=[replace(band, per_stream=band.per_stream[1:]) for band in after.age_curve])
    assert by_age(base, fewer) == []
    assert change_curve([Curve("base", base), Curve("after", fewer, "picked")], None, "r1", "Change") == []
    figure = change_curve([Curve("base", base), Curve("after", after, "picked")], None, "r1", "Change")[0]
    assert isinstance(figure, FigureElement)
    assert "Along faint dotted stretches" in figure.caption


def test_what_the_starts_gained_has_its_column(pages: Pages) -> None:
    repair = example.repair(control=example.control())
    table = section(pages["repair"], "Result of the repair")
    assert repair.benefit.starts is not None
    assert f'data-label="what the starts gained (nats)"><div>−{abs(repair.benefit.starts[0]):.3f}' in table
    assert (
        f'data-label="against the control, reset (nats)"><div>−{abs(repair.benefit.rivals["control_reset"][0]):.3f}'
        in table
    )
    assert "what the starts gained" not in section(pages["no control"], "Result of the repair").partition("<p>")[0]
    assert "No control was made, so it is not known what the starts gained" in text(pages["no control"])
    assert "No control was made" not in text(pages["repair"])
    assert "control (zero states)" in section(pages["repair"], "Loss by age of the state")


def test_every_reason_for_a_refusal_is_told(pages: Pages) -> None:
    reasons = text(section(pages["refused, no_benefit"], "Reasons for the refusal"))
    assert "is not clearly below that of the base model under its best periodic reset: +0.045\u00a0nats" in reasons
    assert "What else would have refused it: still fails, better under a remedy, plain training suffices." in reasons
    assert "Reasons for the refusal" not in titles(pages["repair"])
    assert "Reasons for the refusal" in titles(pages["no winner"])


def test_recovery_is_told_before_and_after(pages: Pages) -> None:
    title = "Recovery after a switch to another stream"
    alone = section(pages["evaluation"], title)
    assert "base: an old state costs +0.120\u00a0nats (interval +0.102 to +0.138) at first" in text(alone)
    for head in ("from an old state (nats)", "read afresh (nats)", "difference (nats)"):
        assert head in alone
    both = section(pages["repair"], title)
    for name in ("base", "carry(expected_run=1280)", "control (zero states)"):
        assert f"{name}: an old state costs" in text(both)
    assert title not in titles(pages["no targets"])


def test_recovery_ends_where_no_later_cost_can_be_told() -> None:
    bands = example.recovery(0.12)
    assert recovered_from(bands) == 16
    assert recovered_from([replace(band, low=-1.0) for band in bands]) == 0
    assert recovered_from([*bands[:-1], replace(bands[-1], low=0.001)]) is None


def test_the_dose_that_was_taken_is_marked(pages: Pages) -> None:
    shown = section(pages["repair"], "Choice of the dose")
    rows = re.findall(r'<tr role="row">.*?</tr>', shown, re.DOTALL)[1:]
    assert ["<small>taken</small>" in row for row in rows] == [False, True, False]
    assert [">yes<" in row for row in rows] == [True, True, False]
    assert "Dose 1: short contexts +0.47, 2.638 at the oldest age." in described(pages["repair"], "doses")
    assert "Choice of the dose" not in titles(pages["no control"])


def test_one_dose_is_a_table_only(tmp_path: Path) -> None:
    page = page_of(example.repair(doses=example.DOSES[1:2]), tmp_path)
    assert "<figure" not in section(page, "Choice of the dose")


def test_the_doses_of_every_repair_are_in_a_table(pages: Pages) -> None:
    shown = text(section(pages["comparison"], "Choice of the dose"))
    assert "state_passing, dose 0.5" in shown


def test_a_model_stands_beside_what_is_simpler(pages: Pages) -> None:
    alone = text(section(pages["evaluation"], "Comparison with what needs no training"))
    for name in ("periodic reset, every 64", "the best constant answer", "its own answer before it has read anything"):
        assert name in alone
    both = text(section(pages["refused, remedy_suffices"], "Comparison with what is simpler"))
    assert re.search(r"repaired model, periodic reset, every 1,024 2\.593 [^+]*\+0\.041 .*? worse ", both)
    assert re.search(r"control, periodic reset, every 64 .*? better ", both)


def test_blocks_are_said_to_be_the_units(pages: Pages, tmp_path: Path) -> None:
    note = "taken together into 16 blocks, which are the units of the intervals"
    for name in ("evaluation", "repair", "comparison"):
        assert note in text(pages[name])
    assert "63 segments of one recording in 16 blocks" in text(pages["evaluation"])
    assert "一つの記録の 63 区分（16 ブロック）" in text(pages["診断"])
    apart = page_of(replace(example.evaluation(), blocks=[]), tmp_path)
    assert note not in text(apart)


def test_both_ways_to_weigh_short_contexts_are_in_the_details(pages: Pages) -> None:
    details = text(section(pages["repair"], "Method and settings"))
    assert "short contexts · ages 0 to 63, every age alike" in details
    assert "short contexts · every band alike +0.23\u00a0% (+0.02 to +0.43\u00a0%)" in details
    assert re.search(
        r"worst band age 0: \+0\.42\u00a0%, up to \+1\.15\u00a0% \(one band may lose 1\.5\u00a0%\)", details
    )


def test_guards_are_held_by_their_worst_band_too(tmp_path: Path) -> None:
    """A mean that holds does not make a guard hold."""
    lost = example.guard(example.FIRST_AGE_LOST)
    assert lost.high <= lost.margin
    page = page_of(example.repair(guards={"night": lost, "day": example.guard(example.CARRY)}), tmp_path)
    guards = section(page, "Short contexts on other data")
    assert re.findall(r'<span class="badge (\w+)">(\w+)</span>', guards) == [("bad", "lost"), ("plain", "held")]


@pytest.mark.parametrize("name", ["refused, nothing_to_repair", "refused, base_broken", "nothing to compare"])
def test_where_nothing_was_done_nothing_is_compared(pages: Pages, name: str) -> None:
    page = pages[name]
    assert titles(page)[0] == "Reasons for doing nothing"
    why = {"refused, base_broken": "9032 predictions were not finite numbers"}
    assert why.get(name, "On validation streams the model is robust.") in text(
        section(page, "Reasons for doing nothing")
    )
    for title in titles(page):
        assert not title.startswith(
            ("Result of", "Change through", "Comparison of", "Comparison with what is", "Choice")
        )
    shown = text(page.partition('<section class="glossary"')[0])
    for words in ("carry", "dose", "400 steps", "refused", "winner"):
        assert words not in shown, words


def test_a_verdict_of_a_refused_repair_is_no_badge(pages: Pages) -> None:
    """The repaired model may be robust: that is not what its page is marked with."""
    for name in REFUSED:
        badges = re.findall(r'<span class="badge \w+">(.*?)</span>', pages[name])
        assert not {"Robust", "Generalises"} & set(badges)


def test_a_decline_is_told_in_both_languages(pages: Pages) -> None:
    english, japanese = text(pages["declining"]), text(pages["衰え"])
    assert "This model is best at ages 256 to 511, past its training context of 64 positions, and worse at" in english
    assert 'class="badge warn">Declines<' in pages["declining"]
    assert "年齢 256 〜 511 で最も良くなりますが、その後は衰えます" in japanese
    assert 'class="badge warn">伸びて衰える<' in pages["衰え"]
    assert "reset it before it gets worse" in english
    assert "衰える前にリセット" in japanese
    assert "outlast repair" in japanese


def test_guesses_stand_beside_resets_in_a_diagnosis(pages: Pages) -> None:
    assert "the best constant answer 2.970" in text(pages["diagnosis"])
    assert "最も良い定数の答え 2.970" in text(pages["診断"])
