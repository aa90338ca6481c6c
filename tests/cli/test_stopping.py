"""Ctrl-C or SIGTERM at any time: status 130 or 143, and going on, as it says, ends where an undisturbed run ends."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import pytest

import outlast
from cli.workshop import MEASURE, QUICK, READ, Run, figures, finish, start

LEARN = ("--steps", "240", "--batch-size", "4", "--checkpoint-every", "20")
COMMANDS = {
    "train": ("train", *READ, *QUICK, *LEARN, "--family", "gru", "--settings", "width", "4"),
    "repair": ("repair", "--model", "mymod:drifting", *MEASURE, *LEARN),
    "repair, two jobs": ("repair", "--model", "mymod:drifting", *MEASURE, *LEARN, "--jobs", "2"),
    "compare": ("compare", "--model", "mymod:drifting", *MEASURE, *LEARN, "--interventions", "zero", "carry"),
}
PLACE = {"train": ".", "repair": ".", "repair, two jobs": "control", "compare": "carry-expected_run-160"}


QUICK_ONES = ("train",)
SIGNALS = dict(zip(COMMANDS, [signal.SIGTERM, signal.SIGINT] * 2, strict=True))


@pytest.mark.parametrize(
    "command", [name if name in QUICK_ONES else pytest.param(name, marks=pytest.mark.long) for name in COMMANDS]
)
def test_stopped_and_resumed(run: Run, here: Path, command: str) -> None:
    words = COMMANDS[command]
    process = start([*words, "--out", "stopped"], here)
    pointer = here / "stopped" / "checkpoint" / PLACE[command] / "training-rank0.json"
    while not pointer.exists():
        assert process.poll() is None, finish(process)
        time.sleep(0.005)
    process.send_signal(SIGNALS[command])
    outcome = finish(process)
    assert outcome.status == 128 + SIGNALS[command], outcome
    assert "Traceback" not in outcome.err
    assert "run the same command with --resume" in outcome.err
    assert not (here / "stopped" / "result.json").exists()

    resumed = run(*words, "--out", "stopped", "--resume")
    assert "nothing to resume" not in resumed.err
    undisturbed = run(*words, "--out", "undisturbed")
    assert resumed.status == undisturbed.status
    assert figures(here / "stopped") == figures(here / "undisturbed")
    assert not (here / "stopped" / "checkpoint").exists()
    if (here / "stopped" / "model").exists():
        models = (outlast.load(here / out / "model", allow_code=True) for out in ("stopped", "undisturbed"))
        first, second = (model.state_dict() for model in models)
        assert all(first[name].equal(second[name]) for name in first)


@pytest.mark.parametrize("ctrl_c", [signal.default_int_handler, signal.SIG_IGN], ids=["heard", "ignored"])
def test_sigterm_outside_of_training(run: Run, here: Path, monkeypatch: pytest.MonkeyPatch, ctrl_c: Any) -> None:
    """Also where Ctrl-C is ignored, as in the background of a shell; afterwards all is as it was."""

    def terminated(*arguments: object, **named: object) -> None:
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr("outlast.evaluation.passes.Passes.carried", terminated)
    before = signal.signal(signal.SIGINT, ctrl_c)
    try:
        outcome = run("evaluate", "--model", "mymod:drifting", *MEASURE, "--out", "out")
    finally:
        signal.signal(signal.SIGINT, before)
    assert (outcome.status, outcome.err) == (143, "stopped: run the same command again\n")
    assert not (here / "out").exists()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_caller_that_handles_sigterm_itself_goes_on_doing_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = []

    def terminated(*arguments: object, **named: object) -> None:
        signal.raise_signal(signal.SIGTERM)
        raise KeyboardInterrupt

    monkeypatch.setattr("outlast.evaluation.passes.Passes.carried", terminated)
    before = signal.signal(signal.SIGTERM, lambda *arguments: heard.append(True))
    try:
        assert run("evaluate", "--model", "mymod:drifting", *MEASURE, "--out", "out").status == 130
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [True]


def stopped(*arguments: object, **named: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("verb", ["evaluate", "repair"])
def test_stopped_while_measuring(run: Run, here: Path, monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    monkeypatch.setattr("outlast.evaluation.passes.Passes.carried", stopped)
    words = {"evaluate": ("evaluate", "--model", "mymod:drifting", *MEASURE), "repair": COMMANDS["repair"]}[verb]
    outcome = run(*words, "--out", "out")
    assert (outcome.status, outcome.answer) == (130, "")
    assert outcome.err == "stopped: run the same command again\n"


def test_stopped_after_training_keeps_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    words = (*COMMANDS["repair"], "--steps", "3", "--out", "out")
    with monkeypatch.context() as patch:
        patch.setattr("outlast.repairs.setup.Setup.judge", stopped)
        outcome = run(*words)
    assert outcome.status == 130
    assert "kept in out/checkpoint; run the same command with --resume" in outcome.err
    other = run(*words, "--resume", "--learning-rate", "0.5").refused(after_work=True)
    assert "a checkpoint made with settings" in other
    assert run(*words, "--resume").status in (0, 1)


def test_nothing_to_resume_is_said(run: Run) -> None:
    outcome = run(*COMMANDS["train"], "--steps", "2", "--resume", "--out", "out")
    assert outcome.status == 0
    assert "nothing to resume in out/checkpoint: starting anew" in outcome.err


def test_the_quickstart_goes_on_by_itself(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("outlast.cli.task_verbs.quickstart", stopped)
    outcome = run("quickstart", "--out", "out")
    assert (outcome.status, outcome.err) == (130, "stopped: the same command goes on from here\n")
