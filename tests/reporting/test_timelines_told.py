"""A timeline says first how it stands now; reasons that outlast wrote are told in both languages."""

from __future__ import annotations

import html
import re
import shlex
from dataclasses import replace

import pytest

from outlast.cli.options import VERBS
from outlast.cli.parsing import parse
from outlast.live.evidence import BROKEN, Finding
from outlast.reporting import summary
from outlast.reporting.kinds import next_steps
from outlast.reporting.kinds.timeline import sentences
from outlast.reporting.kinds.timeline.page import happened
from outlast.reporting.kinds.timeline.reasons import reason
from outlast.reporting.words.language import speaking
from outlast.results import Timeline
from reporting import example_timelines as example
from reporting.cases import Pages

TOLD = example.timelines()
ENGLISH = re.compile(r"[a-z]{3,}")


def test_everything_stands_in_the_order_in_which_it_happened() -> None:
    events = happened(TOLD["rolled back"])
    assert [each.when.at for each in events] == sorted(each.when.at for each in events)
    said = [f"{each.about} {each.status}" for each in events]
    assert said[0] == "the first model put to work"
    assert said.index("candidate 2 rolled back") + 1 == said.index("the first model back at work")


FINDINGS = {
    "better": Finding(31.0, 0.02, 24, 40, 0, 0.62, 0.01, 20.0),
    "worse": Finding(0.1, 31.0, 9, 40, 0, -0.4, 0.01, 20.0),
    "broken": Finding(0.1, 1.0, 3, 40, BROKEN, 0.0, 0.01, 20.0),
}


@pytest.mark.parametrize("finding", FINDINGS.values(), ids=FINDINGS)
@pytest.mark.parametrize("begins", ["as a shadow it is", "as a canary it is", "on live streams the new version is"])
def test_what_a_run_writes_down_as_its_reason_is_told_in_both_languages(begins: str, finding: Finding) -> None:
    text = f"{begins} {finding}"
    assert reason(text).startswith(begins)
    with speaking("ja"):
        assert ENGLISH.findall(reason(text)) == []


@pytest.mark.parametrize(
    "text",
    [
        "24 states to train on, 12 for the gates",
        "trained for 400 steps",
        "came through all gates",
        "not passed: later incidents, alarm",
        "it cannot be put to work: given: a folder",
        "candidate 3 was promoted",
        "candidate 3 was rolled back",
        "no reason given",
    ],
)
def test_other_reasons_that_outlast_writes_too(text: str) -> None:
    assert reason(text) == text
    with speaking("ja"):
        assert ENGLISH.findall(reason(text).replace("result.json", "")) == []


def test_reasons_of_people_stay_as_they_are() -> None:
    with speaking("ja"):
        assert reason("I know\x00 better") == "I know\ufffd better"


@pytest.mark.parametrize("told", TOLD.values(), ids=TOLD)
def test_its_commands_can_be_typed(told: Timeline) -> None:
    steps = next_steps(replace(told, ledger="my runs/live"))
    assert steps
    for step in steps:
        words = shlex.split(step.code or "")
        verb = " ".join(words[1:4]) if words[2] == "incidents" else " ".join(words[1:3])
        assert parse(VERBS[verb], words[1 + len(verb.split()) :]) is not None
        assert "'my runs/live'" in (step.code or "")


def test_every_gate_says_its_figures_in_words() -> None:
    told = TOLD["a canary"]
    for one in told.candidates:
        for each in one.gates:
            assert sentences.gate(each, told) != "–"
            assert sentences.gate(replace(each, figures={}), told)  # a ledger may have been written by other hands
            assert sentences.gate(replace(each, figures={"difference": [None, 1, "x"], "gain": None}), told)
    alarm = next(each for each in told.candidates[1].gates if each.name == "alarm")
    assert sentences.gate(alarm, told).startswith(
        "loss 1.1 (the model at work 6.1), excess 0.90 (the model at work 5.2)"
    )
    later = next(each for each in told.candidates[1].gates if each.name == "later incidents")
    refused = replace(later, passed=False, figures={"because": "no targets arrived: a person has to look"})
    assert sentences.gate(refused, told) == "no targets arrived: a person has to look"
    with speaking("ja"):
        assert ENGLISH.findall(sentences.gate(refused, told)) == []


def test_versions_and_stages_are_named_in_the_picture(pages: Pages) -> None:
    page = html.unescape(pages["timeline, a canary"])
    wide, narrow = re.findall(r'<svg[^>]*role="img".*?</svg>', page, re.DOTALL)
    texts = ["".join(re.findall("<text.*?</text>", each, re.DOTALL)) for each in (wide, narrow)]
    for text in texts:
        assert all(each in text for each in ("candidate 2", "candidate 3", "the first model", "cross-entropy (nats)"))
    assert all(each in texts[0] for each in ("candidate 2: promoted", "candidate 1: refused", "candidate 3: canary"))
    assert all(each in texts[1] for each in ("2 promoted", "1 refused", "3 canary"))
    assert "2010-" not in texts[0]
    assert "03-09" in texts[0]


def test_long_runs_make_small_pages(pages: Pages) -> None:
    assert len(pages["timeline, a long run"].encode()) < 1_200_000
    assert "4,100 further incidents are not listed" in pages["timeline, a long run"]
    assert "<figure" not in pages["timeline, no run"]


def test_the_terminal_says_what_happened_last() -> None:
    lines = summary(TOLD["a canary"]).splitlines()
    assert "2026-03-02 12:00 UTC, 1,080,000 rows: candidate 3 canary" in lines
    assert max(map(len, lines)) <= 100
