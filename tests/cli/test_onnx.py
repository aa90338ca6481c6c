"""A .onnx file on the command line: written, checked, measured, run and put to work; what trains refuses it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import outlast
from cli.workshop import QUICK, Outcome, Run
from live.plant import T, forecaster, recorded, results, rows, write_csv
from onnx_files.made import lstm
from outlast.results import Diagnosis, load_result

READ = ("--data", "frames.npz", "--train-context", "8", "--scored", "32", *QUICK)


@pytest.fixture
def theirs(here: Path) -> Path:
    """Somebody's LSTM of frames, which reads one position of one row a call, and streams with targets for it."""
    lstm(here / "theirs.onnx", [1, 1, 3], [1, 1, 4], axes="BTF", names={"h": "a", "c": "b", "hn": "q", "cn": "p"})
    random = np.random.default_rng(0)
    frames = random.normal(size=(40, 64, 3)).astype(np.float32)
    np.savez(here / "frames.npz", x=frames, y=random.normal(size=(40, 64, 4)).astype(np.float32))
    return here / "theirs.onnx"


STATES = ("--onnx-states", "a=q", "b=p")


def test_it_is_checked_and_the_pairing_is_said(run: Run, theirs: Path) -> None:
    done = run("check", "--model", "theirs.onnx", *STATES)
    assert done.status == 0
    assert "state: a float32 [1, 1, 4] comes back in q (as said)" in done.err
    assert "not asked   Gradients flow through the state" in done.out
    assert f"outlast evaluate --model theirs.onnx {' '.join(STATES)}" in done.out  # a next command that runs as it is


def test_it_is_measured_and_diagnosed_without_gradients(run: Run, theirs: Path) -> None:
    done = run("evaluate", "--model", "theirs.onnx", *STATES, *READ)
    assert done.status == 0, done.err
    done = run("diagnose", "--model", "theirs.onnx", *STATES, *READ)
    assert done.status == 0, done.err
    found = load_result("runs/diagnose/result.json")
    assert isinstance(found, Diagnosis)
    assert found.evaluation.model["blueprint"]["states"] == {"a": "q", "b": "p"}
    assert found.evaluation.model["parameters"] == 144


@pytest.mark.parametrize("verb", ["train", "repair", "compare", "plan"])
def test_what_trains_refuses_it_and_says_what_to_use(run: Run, theirs: Path, verb: str) -> None:
    said = run(verb, "--model", "theirs.onnx", *READ[:4]).refused()
    assert "theirs.onnx is a .onnx file, which has no gradients" in said
    assert "the function that builds it" in said


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (("--onnx-states", "a"), "NAME=VALUE"),
        (("--onnx-states", "a=q", "a=p"), "each name once"),
        (("--onnx-constants", "a=fast"), "NAME=NUMBER"),
        (("--onnx-input", "z"), "input of the .onnx file 'z'"),
        (("--onnx-frame", "0"), "at least 1"),
        (("--device", "cuda"), "device"),
    ],
)
def test_what_is_typed_wrong(run: Run, theirs: Path, typed: tuple[str, ...], said: str) -> None:
    assert said in run("check", "--model", "theirs.onnx", *typed).refused()


def test_ports_are_not_for_other_models(run: Run, here: Path) -> None:
    assert "a .onnx file, where its inputs are told" in run("check", "--model", "mymod:build", *STATES).refused()


def test_a_model_is_exported_and_answers_as_before(run: Run, here: Path) -> None:
    parts = recorded(here, length=400)
    outlast.save(forecaster(parts), here / "model")
    words = ("export", "--model", "model", "--out", "model.onnx", "-T", str(T))
    done = run(*words)
    assert done.status == 0, done.err
    assert "rows float64 [batch, time, 2], layers.0.hidden float32 [batch, 8]" in done.out
    assert "--replace" in run(*words).refused()
    assert (
        "expected: none, leak:TAU, leak:TAU:from=AGE, reset:EVERY"
        in run(*words, "--replace", "--resets", "often").refused()
    )
    table = [{"level": 0.5, "noisy": 0.4}, {"level": -1.0, "noisy": -1.1}]
    lines = "".join(json.dumps(each) + "\n" for each in table)
    answers = [piped(run("stream", "--model", name, stdin=lines)) for name in ("model", "model.onnx")]
    for own, file in zip(*answers, strict=True):
        assert file["forecast"]["level"] == pytest.approx(own["forecast"]["level"], abs=1e-5)


def piped(done: Outcome) -> list[dict[str, dict[str, float]]]:
    """Lines of JSON that a command answers on standard input."""
    assert done.status == 0, done.err
    return [json.loads(line) for line in done.out.splitlines()]


def test_an_export_is_put_to_work(run: Run, here: Path) -> None:
    parts = recorded(here)
    model = forecaster(parts)
    file = outlast.export(model, here / "model.onnx")
    outlast.make_profile(file, parts, train_context=T, run_length=600, every=T * 3).save(here / "profile")
    done = run("live", "deploy", "--model", "model.onnx", "--profile", "profile", "--by", "ann")
    assert done.status == 0, done.err
    (here / "in").mkdir()
    write_csv(here / "in" / "a.csv", rows(3, 50))
    done = run("live", "run", "--source", "in", "--once", "--out", "out.jsonl")
    assert done.status == 0, done.err
    served = outlast.deploy(model)
    for row, answer in zip(rows(3, 50), results(here / "out.jsonl"), strict=True):
        wanted = served.read(row)["forecast"]["level"]
        assert answer["forecast"]["level"] == pytest.approx(wanted, abs=1e-5)
    assert "300 rows answered" in run("live", "status").out


def test_an_export_of_a_language_model_writes_on(run: Run, here: Path) -> None:
    model = outlast.build("gru", inputs=outlast.InputSpec("tokens", 256), outputs=256, width=8, layers=1)
    outlast.save(model, here / "lm")
    outlast.export(model, here / "lm.onnx")
    words = ("--prompt", "Once upon", "--steps", "6", "--json", "--device", "cpu")
    own, file = (json.loads(run("generate", "--model", name, *words).out) for name in ("lm", "lm.onnx"))
    assert file == own
