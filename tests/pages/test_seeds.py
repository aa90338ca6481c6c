"""The quickstart over seeds: refused picks and bases with nothing to repair are counted with the others."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from benchmarks.pages.seeds import seeds_figures
from outlast.results import Comparison, Refusal
from reporting import example_results as example


def accepted() -> Comparison:
    found = example.comparison()
    assert found.winner is not None
    return replace(found, base=replace(found.base, data={**found.base.data, "length_used": 16_384}))


def refused() -> Comparison:
    found = accepted()
    because = Refusal("short_context_lost", ["ages 0 to 63 changed by +0.0051 nats"])
    rows = [
        replace(row, repair=replace(row.repair, accepted=False, refused_because=because))
        if row.name == found.picked
        else row
        for row in found.rows
    ]
    return replace(found, rows=rows, winner=None)


def nothing() -> Comparison:
    found = accepted()
    because = Refusal("nothing_to_repair", ["validation says robust"])
    return replace(found, rows=[], picked=None, winner=None, refused_because=because)


def test_every_seed_is_counted():
    text = "\n\n".join(seeds_figures({0: accepted(), 1: refused(), 2: nothing(), 3: accepted()}, [60.0, 80.0]))
    assert "Accepted: 2 of 4." in text
    assert "A seed took 70 s" in text
    assert "- Seed 1: short context lost: ages 0 to 63 changed by +0.0051 nats." in text
    assert "- Seed 2: nothing to repair: validation says robust." in text
    assert re.search(r"^\| 2 \| –.*nothing to repair \|$", text, re.MULTILINE)
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert lines
    assert not [line for line in lines if line.count("|") < 3]


def test_means_are_those_of_the_picks_and_one_seed_has_no_interval():
    one = accepted()
    repair = next(row.repair for row in one.rows if row.name == one.picked)
    text = "\n\n".join(seeds_figures({0: one}, []))
    (mean,) = re.findall(r"\| oldest age against the base, reset \| (\S+) \| – \|", text)
    assert float(mean) == pytest.approx(repair.benefit.rivals["periodic_reset"][0], abs=5e-5)
    assert "Accepted: 1 of 1." in text
    assert "None was refused." in text
