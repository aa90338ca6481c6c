"""`outlast live`: what its verbs write and print."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cli.workshop import QUICK, Run, files
from live.leaky import recordings
from live.met import fill
from outlast.live import Incident, Notice, load_profile
from outlast.live.incidents import Harm
from outlast.live.ledger import Ledger
from outlast.live.ledger.incidents import Recorder

PROFILE = ("live", "profile", "--model", "mymod:averaging_well", "--data", "levels.npy", "--train-context", "8", *QUICK)


def test_a_profile_is_written_and_told(run: Run, here: Path) -> None:
    done = run(*PROFILE, "--run-length", "300", "--every", "16", "--out", "out")
    assert done.status == 0
    assert done.answer.startswith("one false alarm in 300 positions of one stream")
    assert "a probe every 16 positions" in done.out
    assert "usually an old state does better than a young one by" in done.out
    assert "profile: out" in done.out
    assert files(here / "out") == {"profile.json", "profile.safetensors"}
    facts = load_profile(here / "out").facts
    assert (facts.run_length, facts.every, facts.targets) == (300, 16, "next")
    said = run(*PROFILE, "--run-length", "300", "--every", "16", "--out", "again", "--json", "--quiet")
    assert json.loads(said.out) == json.loads((here / "again" / "profile.json").read_text())
    assert "profile: again" in said.err


def test_what_live_can_do(run: Run) -> None:
    shown = run("live", "--help")
    assert shown.status == 0
    assert "outlast live VERB" in shown.out
    assert "live profile" in shown.out
    nothing = run("live")
    assert (nothing.status, nothing.out) == (2, "")
    assert "live profile" in nothing.err


def test_incidents_are_listed_shown_labelled_and_exported(run: Run, here: Path) -> None:
    ledger = Ledger(here / "runs" / "live")
    harms: tuple[tuple[int, Harm], ...] = ((1, "none_seen"), (2, "worse_than_reset"))
    told = [
        Incident("w", n, f"pump {n}", 100 * n, None if n > 1 else 900, ("loss",), {"loss": 3.0}, harm, None, None, 8, 0)
        for n, harm in harms
    ]
    Recorder(ledger, "a" * 64).write([Notice("opened", each) for each in told])
    ledger.close()
    lines = run("live", "incidents", "list").out.splitlines()
    assert lines[0].startswith("2: stream 'pump 2', positions 200: loss unusual; worse than reset")
    assert lines[1].startswith("1: stream 'pump 1', positions 100 to 900: loss unusual; no harm seen")
    assert run("live", "incidents", "list", "--open").out.splitlines() == lines[:1]
    assert run("live", "incidents", "list", "--harm", "unfamiliar").out == "no incidents\n"
    as_json = run("live", "incidents", "list", "--json", "--of-stream", "pump 1").out
    assert json.loads(as_json)["opened"] == 100
    assert json.loads(run("live", "incidents", "show", 2).out)["stream"] == "pump 2"
    said = run("live", "incidents", "label", 2, "false_alarm", "--by", "ann", "--note", "a test run")
    assert said.out.rstrip().endswith("false_alarm (ann)")
    assert json.loads(run("live", "incidents", "show", 2).out)["note"] == "a test run"
    assert json.loads(run("live", "incidents", "show", 1).out)["note"] is None
    assert run("live", "incidents", "export", "--out", "all.jsonl").out == "2 incidents: all.jsonl\n"
    assert [json.loads(line)["label"] for line in (here / "all.jsonl").read_text().splitlines()] == [
        None,
        "false_alarm",
    ]


def test_looking_makes_no_ledger(run: Run, here: Path) -> None:
    assert "no ledger.db" in run("live", "incidents", "list").refused()
    assert not (here / "runs" / "live").exists()
    Ledger(here / "runs" / "live").close()
    assert "incident 7" in run("live", "incidents", "show", 7).refused()
    assert "no incident" in run("live", "incidents", "show").refused()
    assert "without a label" in run("live", "incidents", "label", 7, "--by", "ann").refused()
    assert "lost" in run("live", "incidents", "label", 7, "lost", "--by", "ann").refused()


def test_incidents_become_a_candidate_that_is_listed_and_shown(run: Run, here: Path) -> None:
    ledger = Ledger(here / "runs" / "live")
    assert run("live", "candidates", "list").out == "no candidates\n"
    fill(ledger)
    ledger.close()
    np.save("values.npy", recordings(0, streams=40, length=2000).inputs.reshape(40, 2001, 1))
    data, work = ("--data", "values.npy", "--train-context", "16"), ("--model", "live.leaky:build")
    assert run("live", "profile", *work, *data, "--run-length", "1000", "--every", "32", "--quiet").status == 0
    how = ("--profile", "runs/profile", "--by", "ann", "--steps", "30", "--learning-rate", "0.1", "--batch-size", "16",
           "--scored", "128", "--quiet", "--far-state", "1000")  # fmt: skip
    assert "none is at work" in run("live", "retrain", *data, *how).refused()
    assert "36 left out: incidents in quarantine" in run("live", "retrain", *work, *data, *how).refused()
    first = run("live", "retrain", *work, *data, *how, "--quarantine", "0", "--stage", "collect")
    assert first.status == 0
    assert "collected: 24 states of 6 streams to train on; 12 states of 6 streams, of later" in first.out
    assert "next: train it: outlast live retrain --stage train --candidate 1" in first.out
    done = run("live", "retrain", *work, *data, *how)
    assert done.status == 0, done.err
    for name in ("finite", "short contexts", "guards", "corpus", "later incidents", "not worse than a reset", "alarm"):
        assert f"\n{name}: passed" in done.out
    assert "\nhandover: figures: better" in done.out
    assert run("live", "candidates", "list", "--status", "gated").out.startswith("1: gated since")
    shown = run("live", "candidates", "show", 1).out
    assert shown.startswith("candidate 1, gated")
    assert done.out.endswith(shown)  # behind what was taken of the data
    told = json.loads(run("live", "candidates", "show", 1, "--json").out)
    assert [each["after"] for each in told["moves"]] == ["collected", "trained", "gated"]
    assert "no candidate" in run("live", "candidates", "show").refused()


@pytest.mark.parametrize("verb", ["approve 1", "refuse 1", "rollback", "incidents label 1 real"])
def test_verbs_ask_before_they_look(run: Run, verb: str) -> None:
    """There is no ledger here: the name is judged before anything is opened."""
    words = ("live", *verb.split())
    assert "--by ''" in run(*words, "--by", "").refused()
    assert "--by 'outlast'" in run(*words, "--by", "outlast").refused()
    assert "--by 'a\\x1b[0m'" in run(*words, "--by", "a\x1b[0m").refused()
