"""`outlast live`: what its verbs write and print."""

from __future__ import annotations

import json
from pathlib import Path

from cli.workshop import QUICK, Run, files
from outlast.live import load_profile

PROFILE = ("live", "profile", "--model", "mymod:averaging_well", "--data", "levels.npy", "--train-context", "8", *QUICK)


def test_a_profile_is_written_and_told(run: Run, here: Path) -> None:
    done = run(*PROFILE, "--run-length", "300", "--every", "16", "--out", "out")
    assert done.status == 0
    assert done.out.startswith("one false alarm in 300 positions of one stream")
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
