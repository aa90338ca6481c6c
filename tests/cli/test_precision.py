"""The verbs on models of float64, bfloat16 and float16: as in Python, and a cast is told on standard error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from cli.workshop import LEVELS, QUICK, Run
from outlast import load
from precise import DTYPES

STEPS = ("--steps", "3", "--batch-size", "4")
TRAINED = "parameters in {}: trained, measured and saved in float32"


def of(folder: Path) -> set[torch.dtype]:
    return {parameter.dtype for parameter in load(folder, allow_code=True).parameters()}


@pytest.mark.parametrize(
    "dtype", [each if each == "bfloat16" else pytest.param(each, marks=pytest.mark.long) for each in DTYPES]
)
def test_every_verb_in_every_precision(dtype: str, run: Run, here: Path) -> None:
    model, wide = ("--model", f"precise:lstm_{dtype}"), {torch.float64 if dtype == "float64" else torch.float32}
    told = 0 if dtype == "float64" else 1
    for verb in ("evaluate", "diagnose", "check"):
        done = run(verb, *model, *(QUICK if verb == "check" else LEVELS), "--out", verb)
        assert done.status == 0, done.err
        assert "float32" not in done.err
        result = json.loads((here / verb / "result.json").read_text())
        assert (result["evaluation"] if verb == "diagnose" else result)["model"]["dtype"] == dtype
    for verb, more in (("repair", ("--intervention", "tbtt")), ("compare", ("--interventions", "tbtt"))):
        done = run(verb, *model, *LEVELS, *STEPS, *more, "--anyway", "--no-control", "--out", verb)
        assert done.status in (0, 1), done.err
        assert done.err.count(TRAINED.format(dtype)) == told
        assert of(next(path for path in (here / verb).iterdir() if path.name in ("model", "refused"))) == wide
        assert (TRAINED.format(dtype)[1:] in (here / verb / "report.html").read_text()) == bool(told)
    train = (*model, "--data", "levels.npy", "--train-context", "8", *QUICK, *STEPS, "--out", "train")
    done = run("train", *train)
    assert done.status == 0, done.err
    assert done.err.count(TRAINED.format(dtype)) == told
    assert of(here / "train" / "model") == wide
    assert (TRAINED.format(dtype)[1:] in (here / "train" / "report.html").read_text()) == bool(told)
    words = (
        "generate",
        "--model",
        f"precise:words_{dtype}",
        "--tokens",
        "1",
        "2",
        "--steps",
        "4",
        "--json",
        *QUICK[2:],
    )
    done = run(*words)
    assert done.status == 0, done.err
    assert len(json.loads(done.out)["tokens"]) == 4


def test_a_cast_to_measure_is_told_before_the_work(run: Run, here: Path) -> None:
    done = run("evaluate", "--model", "precise:not_in_half", *LEVELS, "--json")
    assert done.status == 0, done.err
    assert done.err.startswith("parameters in bfloat16, with which the model cannot be run here (")
    notes = json.loads(done.out)["notes"]
    assert [note["name"] for note in notes] == ["measured_in_float32"]
    done = run("repair", "--model", "precise:not_in_half", *LEVELS, *STEPS, "--intervention", "tbtt", "--anyway")
    assert "cannot be run" not in done.err
    assert done.err.count(TRAINED.format("bfloat16")) == 1


def test_bf16_autocast_of_float64_is_refused_before_anything_is_removed(run: Run) -> None:
    words = ("--intervention", "tbtt", "--anyway", "--precision", "bf16")
    done = run("repair", "--model", "precise:lstm_float64", *LEVELS, *STEPS, *words)
    assert "precision bf16 for parameters in float64" in done.refused()
