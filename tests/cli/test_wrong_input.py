"""Wrong input: one message with given, expected, what to do; status 2; nothing half-written."""

from __future__ import annotations

import contextlib
import json
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch

from cli.workshop import MEASURE, QUICK, READ, Run, files, finish, start, write_table
from foreign import theirs
from outlast import checkpoints
from outlast.families import build
from outlast.model import InputSpec
from outlast.results import to_json
from reporting import example_results

EVALUATE = ("evaluate", "--model", "mymod:build")
REPAIR = ("repair", "--model", "mymod:build", *MEASURE)
COMPARE = ("compare", "--model", "mymod:build", *MEASURE)
PLAN = ("plan", "--model", "mymod:build", *MEASURE)
DOSE = ("dose", "--base", "mymod:build", "--repaired")
TEXT = ("evaluate", "--model", "mymod:tokens", "--data", "texts")
TEXTS = ("--data", "texts", "--train-context", "8")


PROFILE = ("live", "profile", "--model", "mymod:averaging_well", "--data", "levels.npy", "-T", "8", *QUICK)
WRONG: list[tuple[tuple[str, ...], list[str]]] = [
    (("evalute",), ["verb 'evalute'", "did you mean 'evaluate'?"]),
    ((*EVALUATE, *MEASURE, "--horizn", "3"), ["'--horizn'", "did you mean '--horizon'?"]),
    ((*EVALUATE, *MEASURE, "stray"), ["stray"]),
    (EVALUATE, ["without --data, --train-context"]),
    ((*EVALUATE, *READ, "--scored", "many"), ["--scored many", "a whole number"]),
    ((*EVALUATE, *READ, "--scored", "0"), ["--scored 0", "at least 1"]),
    ((*EVALUATE, *READ, "--seed", "-1"), ["--seed -1", "at least 0"]),
    ((*EVALUATE, *READ, "--seed", "nan"), ["--seed nan", "a whole number"]),
    ((*EVALUATE, *READ, "--seed", "1" + 30 * "0"), ["--seed 1000", "at most"]),
    ((*EVALUATE, *READ, "--shares", "nan", "nan", "nan"), ["add to 1"]),
    ((*EVALUATE, *READ, "--threads", "0"), ["--threads 0", "at least 1"]),
    ((*EVALUATE, *READ, "--aggregate", "meen"), ["--aggregate meen", "value or mean"]),
    ((*EVALUATE, *READ, "--shares", "1", "2"), ["--shares 1 2", "three numbers"]),
    ((*EVALUATE, *READ, "--shares", "0.5", "0.5", "0.5"), ["add to 1"]),
    ((*EVALUATE, *READ, "--measure", "squared_eror"), ["did you mean 'squared_error'?"]),
    ((*EVALUATE, *READ, "--measure", "error_rate"), ["targets that are real numbers"]),
    ((*EVALUATE, *READ, "--device", "cud"), ["device 'cud'", "did you mean 'cuda'?"]),
    ((*EVALUATE, *READ, "--device", "cuda:77"), ["device 'cuda:77'", "try --device cpu"]),
    (("evaluate", "--model", "mymod", *MEASURE), ["no folder mymod", "package.module:build"]),
    (("evaluate", "--model", "my mod:build", *MEASURE), ["'my mod:build'", "package.module:build"]),
    (("evaluate", "--model", "mymd:build", *MEASURE), ["no module 'mymd'", "run from the directory"]),
    (("evaluate", "--model", "mymod:biuld", *MEASURE), ["did you mean 'build'?"]),
    (("evaluate", "--model", "mymod:number", *MEASURE), ["an object of type int"]),
    (("evaluate", "--model", "mymod:broken", *MEASURE), ["raised OSError: no weights here"]),
    (("evaluate", "--model", "mymod:wide", *MEASURE), ["3 input columns for a model that reads 5"]),
    (("evaluate", "--model", "mymod:two_outputs", *MEASURE), ["(2, 3, 2)", "(2, 3, 1)"]),
    (("evaluate", "--model", "mymod:growing", *MEASURE), ["(2, 1)", "returned", "(2, 2)", "same parts and shapes"]),
    (("evaluate", "--model", "mymod:raising", *MEASURE), ["RuntimeError", "sizes of tensors must match"]),
    (("evaluate", "--model", "texts", *MEASURE), ["texts, a folder without outlast.json"]),
    ((*EVALUATE, *MEASURE, "--target", "pwer"), ["column 'pwer'", "did you mean 'power'?"]),
    ((*EVALUATE, *MEASURE, "--horizon", "5000"), ["horizon of 5000"]),
    ((*EVALUATE, *MEASURE, "--data", "reading.csv"), ["did you mean readings.csv?"]),
    ((*EVALUATE, *MEASURE, "--data", "mymod.py"), ["option 'target'", "read as text"]),
    ((*EVALUATE, *MEASURE, "--data", "mymod.md5"), ["where there is nothing"]),
    ((*EVALUATE, *MEASURE, "--train-context", "900"), ["streams of 1000 positions"]),
    ((*EVALUATE, *MEASURE, "--max-length", "9"), ["9 positions", "twice the training context"]),
    (("evaluate", "--model", "mymod:tokens", *MEASURE), ["reads tokens and streams of features"]),
    (("train", *MEASURE[:-6], *QUICK, "--family", "lsmt"), ["family 'lsmt'", "did you mean 'lstm'?"]),
    (("train", *READ, "--settings", "widht", "8"), ["setting of gla 'widht'", "did you mean 'width'?"]),
    (("train", *READ, "--settings", "width", "wide"), ["--settings width wide", "a whole number"]),
    (("train", *READ, "--settings", "width"), ["--settings width", "pairs of a name and a value"]),
    (("train", *READ, "--objective", "regresion"), ["did you mean 'regression'?"]),
    (("train", *READ, "--objective", "next_token"), ["targets that are values"]),
    (("train", *READ, "--steps", "0"), ["steps 0"]),
    (("train", *READ, "--train-context", "3000"), ["training context of 3000", "2397 positions"]),
    (("repair", "--model", "mymod:build", *MEASURE, "--intervention", "cary"), ["did you mean 'carry'?"]),
    (("repair", "--model", "mymod:build", *MEASURE, "--zero-share", "2"), ["zero_share 2"]),
    (("repair", "--model", "mymod:build", *MEASURE, "--guard", "gone.csv"), ["gone.csv"]),
    ((*REPAIR, "--anchor", "-1"), ["an anchor of -1 and labels of 1", "weights of 0 or more"]),
    ((*REPAIR, "--anchor", "strong"), ["--anchor strong", "a number"]),
    ((*REPAIR, "--anchor", "0", "--labels", "0"), ["an anchor of 0 and labels of 0", "one of them above"]),
    ((*REPAIR, "--labels", "inf"), ["labels of inf"]),
    ((*REPAIR, "--labels"), ["--labels with a number"]),
    ((*REPAIR, "--doses"), ["doses none", "at least one"]),
    ((*REPAIR, "--doses", "0.5", "2"), ["doses 0.5, 2", "above 0 and at most 1"]),
    ((*REPAIR, "--doses", "half"), ["--doses half", "--doses with numbers"]),
    ((*REPAIR, "--control"), ["'--control'", "did you mean '--no-control'?"]),
    ((*REPAIR, "--no-control", "yes"), ["yes"]),
    ((*REPAIR, "--anyway=3"), ["3"]),
    ((*REPAIR, "--short-ages", "8"), ["--short-ages 8", "two whole numbers"]),
    ((*REPAIR, "--short-ages", "0", "many"), ["--short-ages 0 many", "two whole numbers"]),
    ((*REPAIR, "--short-ages", "8", "4"), ["short ages 8 to 4", "the first below the last"]),
    ((*REPAIR, "--short-ages", "-1", "4"), ["short ages -1 to 4"]),
    ((*REPAIR, "--short-ages", "0", "17"), ["short ages 0 to 17", "at most 16"]),
    ((*REPAIR, "--jobs", "0"), ["--jobs 0", "at least 1"]),
    ((*REPAIR, "--replace", "model"), ["model"]),
    ((*PROFILE, "--run-length", "soon"), ["--run-length soon", "a length of time"]),
    (
        (*PROFILE, "--run-length", "7d"),
        ["--run-length 7d", "no regular step", "a number of positions", "(--time, time=)"],
    ),
    ((*PROFILE, "--run-length", "100000"), ["one false alarm in 100,000", "a tenth of the healthy data"]),
    ((*PROFILE, "--run-length", "64", "--every", "16"), ["a probe every 16", "at least 8 probes"]),
    ((*PROFILE, "--run-length", "64", "--fleet", "0"), ["--fleet 0", "at least 1"]),
    (("live", "profiles"), ["verb 'live profiles'", "did you mean 'live profile'?"]),
    ((*PLAN, "--budget", "soon"), ["--budget soon", "a length of time"]),
    ((*PLAN, "--price-per-hour", "-1"), ["--price-per-hour=-1", "0 or more"]),
    ((*PLAN, "--value-per-unit", "much"), ["--value-per-unit much", "a number"]),
    ((*PLAN, "--steps", "0"), ["steps 0"]),
    ((*PLAN, "--read-ahead", "4"), ["'--read-ahead'"]),
    ((*REPAIR, "--read-ahead", "-1"), ["read_ahead=-1"]),
    ((*REPAIR, "--state-dropout", "1"), ["state_dropout 1", "below 1"]),
    ((*REPAIR, "--state-penalty", "-2"), ["state_penalty -2", "0 or more"]),
    ((*REPAIR, "--parts", "layers.9"), ["part 'layers.9'", "the beginning of one"]),
    ((*REPAIR, "--strength", "2"), ["strength 2", "at most 1"]),
    ((*REPAIR, "--of", "zero"), ["--of zero", "leave --of out"]),
    ((*COMPARE, "--anchor", "nan"), ["an anchor of nan"]),
    ((*COMPARE, "--doses", "0"), ["doses 0", "above 0 and at most 1"]),
    ((*COMPARE, "--short-ages", "0", "17"), ["short ages 0 to 17"]),
    (("dose", "--base", "mymod:build"), ["without --repaired, --dose"]),
    ((*DOSE, "mymod:build", "--dose", "most"), ["--dose most", "a number"]),
    ((*DOSE, "mymod:build", "--dose", "-0.5"), ["a dose of -0.5", "a share of the way"]),
    ((*DOSE, "mymod:build", "--dose", "nan"), ["a dose of nan"]),
    ((*DOSE, "gone", "--dose", "0.5"), ["no folder gone", "check the path"]),
    ((*DOSE, "texts", "--dose", "0.5"), ["texts, a folder without outlast.json"]),
    ((*DOSE, "mymod:drifting", "--dose", "0.5"), ["two models that differ in", "the repair began with"]),
    ((*DOSE, "mymod:wide", "--dose", "0.5"), ["lstm.weight_ih_l0"]),
    (("compare", "--model", "mymod:build", *MEASURE, "--interventions", "zeo"), ["did you mean 'zero'?"]),
    ((*COMPARE, "--interventions", "carry:expected_rum=3"), ["'expected_rum'", "did you mean 'expected_run'?"]),
    ((*REPAIR, "--intervention", "zero", "--std", "1"), ["setting of intervention 'zero' 'std'", "zero_share"]),
    ((*REPAIR, "--intervention", "carry:expected_run=3", "--expected-run", "4"), ["expected_run", "twice"]),
    ((*REPAIR, "--intervention", "mix"), ["'mix' without members", "--members"]),
    ((*REPAIR, "--intervention", "mix", "--members", "carry:zero"), ["'carry:zero'", "after a colon"]),
    ((*REPAIR, "--intervention", "mix", "--members", "zero", "--member-shares", "1", "2"), ["shares (1.0, 2.0)"]),
    (("compare", "--model", "mymod:build", *MEASURE, "--interventions"), ["no interventions"]),
    (("check", "--model", "mymod:build", "--target", "power"), ["--target power without --data"]),
    (("check", "--model", "mymod:wide", "--data", "readings.csv"), ["3 input columns"]),
    (("tasks", "--fetch", "powr"), ["task 'powr'", "did you mean 'power'?"]),
    ((*TEXT, "--train-context", "8"), ["vocabulary of 7 and no tokenizer", "--tokenizer FOLDER"]),
    ((*TEXT, "--train-context", "8", "--documents", "apart"), ["--documents apart", "separate or joined"]),
    (("train", *TEXTS, "--tokenizer", "texts"), ["texts without a tokeniser", "tokenizer.json"]),
    (("train", *TEXTS, "--tokenizer", "nowhere"), ["nowhere, where there is nothing"]),
    (("train", *TEXTS, "--field", "text"), ["field 'text'", ".parquet"]),
    (("train", *TEXTS, "--text-split", "train"), ["split 'train'", "save_to_disk"]),
    (("train", "--data", "readings.csv", "-T", "8", "--field", "text"), ["'field'", "read as table"]),
    (("train", "--data", "tokens.npy", "-T", "8", "--separator", " "), ["'separator'", "read as tokens"]),
    (("report",), ["no results"]),
    (("report", "nowhere"), ["no file nowhere"]),
    (("report", "texts"), ["no file texts/result.json"]),
    ((*EVALUATE, *READ, "--targets", "power"), ["--targets power", "write --target power"]),
    ((*EVALUATE, *READ, "--shares", "60%/20%"), ["--shares", "three numbers"]),
    ((*EVALUATE, *READ, "--shares", "60%/20%/30%"), ["(0.6, 0.2, 0.3)", "add to 1"]),
    (("train", *READ, "--track", "paper"), ["--track paper", "tensorboard or mlflow or trackio"]),
    ((*EVALUATE, *READ, "--quiet", "yes"), ["yes"]),
    ((*EVALUATE, *MEASURE, "--budget", "soon"), ["--budget soon", "90s, 10min, 2h"]),
    ((*EVALUATE, *MEASURE, "--budget", "0min"), ["--budget 0min", "above 0"]),
    ((*EVALUATE, *MEASURE, "--budget", "10m"), ["--budget 10m", "10min"]),
    ((*EVALUATE, *MEASURE, "--budget"), ["--budget with a value"]),
    ((*EVALUATE, *MEASURE, "--budget", "0.001s"), ["a budget of 1s", "a verdict needs 8"]),
    ((*EVALUATE, *MEASURE, "--most-streams", "1"), ["--most-streams 1", "at least 2"]),
    ((*EVALUATE, *MEASURE, "--most-streams", "many"), ["--most-streams many", "a whole number"]),
    ((*EVALUATE, *MEASURE, "--streams", "9"), ["'--streams'", "did you mean"]),
    (("diagnose", "--model", "mymod:build", *MEASURE, "--budget", "later"), ["--budget later"]),
    ((*REPAIR, "--budget", "later"), ["--budget later", "a length of time"]),
    ((*COMPARE, "--budget", "10min"), ["'--budget'"]),
    (("--print-completion", "fish"), ["--print-completion fish", "bash, zsh, tcsh"]),
]
"""What is typed, and what the message names."""


def test_there_are_enough() -> None:
    assert len(WRONG) >= 60


@pytest.mark.parametrize(
    ("words", "parts"),
    WRONG,
    ids=lambda value: None if isinstance(value, list) else " ".join(value)[-45:],
)
def test_a_wrong_word(run: Run, here: Path, words: tuple[str, ...], parts: list[str]) -> None:
    message = run(*words, *without_out(words, here)).refused()
    for part in parts:
        assert part in message
    assert not (here / "out").exists()


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        pytest.param(*each, id=str(number), marks=() if number < 2 else pytest.mark.long)
        for number, each in enumerate(WRONG[:: len(WRONG) // 10][:10])
    ],
)
def test_ten_of_them_in_processes_of_their_own(here: Path, words: tuple[str, ...], parts: list[str]) -> None:
    message = finish(start([*words, *map(str, without_out(words, here))], here)).refused()
    assert all(part in message for part in parts)
    assert not (here / "out").exists()


def without_out(words: tuple[str, ...], here: Path) -> tuple[object, ...]:
    """The folder that is named where the verb has one: none may be made."""
    return () if words[0] in ("evalute", "tasks", "--print-completion") else ("--out", here / "out")


@pytest.mark.parametrize(
    ("array", "part"),
    [
        (np.array([{"a": 1}, None]), "cannot be read as .npy"),
        (np.ones((40, 60, 3), np.complex64), "complex64"),
        (np.ones((40, 60), bool), "bool"),
        (np.full((40, 60), 9, np.int64), "tokens up to 9 for a model with a vocabulary of 7"),
        (np.full((40, 60), -1, np.int64), "token -1"),
        (np.zeros((40, 0), np.int64), "shape (40, 0)"),
        (np.full((40, 60, 3), np.nan, np.float32), "nan"),
        (np.zeros((40, 12), np.int64), "training context of 8"),
        (np.zeros((3, 20), np.int64), "streams"),
    ],
    ids=["object", "complex", "bool", "vocabulary", "negative", "empty", "nan", "short", "few"],
)
def test_wrong_arrays(run: Run, here: Path, array: np.ndarray, part: str) -> None:
    np.save(here / "wrong.npy", array, allow_pickle=True)
    out = here / "out"
    words = ("--data", "wrong.npy", "--train-context", "8", *QUICK, "--out", out)
    assert part in run("evaluate", "--model", "mymod:tokens", *words).refused()
    assert not out.exists()


def test_a_token_outside_the_given_vocabulary(run: Run) -> None:
    words = ("--data", "tokens.npy", "--train-context", "8", "--vocabulary", "5")
    assert "tokens from 0 to 4" in run("evaluate", "--model", "mymod:tokens", *words).refused()


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("", "first line with the names of the columns"),
        ("power,phase,noise\n", "at least one column of numbers"),
        ("power,phase,noise\n1,2,3\n", "longer than the horizon"),
        (b"\xff\xfe\x00,a\n1,2\n", "--encoding utf-16"),
    ],
)
def test_wrong_tables(run: Run, here: Path, content: str | bytes, part: str) -> None:
    (here / "wrong.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    assert part in run(*EVALUATE, *MEASURE, "--data", "wrong.csv").refused()


def test_text_and_gaps_in_a_column_of_numbers(run: Run, here: Path) -> None:
    rows: list[list[object]] = [[0.1 * number, 1.0, 2.0] for number in range(2000)]
    rows[7][1] = "broken"
    write_table(here / "wrong.csv", rows)
    message = run(*EVALUATE, *MEASURE, "--data", "wrong.csv").refused()
    assert "'broken' in column 'phase', line 9" in message
    rows[7][1] = ""
    write_table(here / "wrong.csv", rows)
    message = run(*EVALUATE, *MEASURE, "--data", "wrong.csv", "--missing", "error").refused()
    assert "missing value in column 'phase', line 9" in message


def test_times_that_go_back(run: Run, here: Path) -> None:
    write_table(here / "wrong.csv", [[0.1 * number, abs(number - 9), 2.0] for number in range(2000)])
    message = run("diagnose", "--model", "mymod:build", *MEASURE, "--data", "wrong.csv", "--time", "phase").refused()
    assert "in time column 'phase', line 3" in message


def test_an_empty_text_and_an_empty_folder(run: Run, here: Path) -> None:
    (here / "empty.txt").touch()
    (here / "nothing").mkdir()
    for path, part in (("empty.txt", "none of 2 bytes"), ("nothing", "no file that can be read")):
        assert part in run("train", "--data", path, "--train-context", "4").refused()


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("--leave-out", "noise", "--inputs", "noise"), "take 'noise' out of one"),
        (("--leave-out", "nois"), "did you mean 'noise'"),
        (("--max-gap", "60"), "max_gap 60.0 without a time column"),
        (("--gaps", "join"), "gaps 'join' without a time column"),
        (("--gaps", "leave"), "leave"),
        (("--targets-file", "nowhere.csv"), "where there is nothing"),
        (("--targets-file", "short.csv"), "4,000 rows in readings.csv and 3 in short.csv"),
        (("--data", "*.parquet"), "which no file matches"),
        (("--data", "*.npy"), "with arrays and tokens"),
        (("--data", "counted.csv"), "column 'No', which counts rows"),
        (("--data", "lines.jsonl"), "line 2 of lines.jsonl"),
        (("--data", "packed.csv.gz"), "cannot be read as a table"),
        (("--data", "a.npz"), "cannot be read as .npz"),
        (("--data", "a.wav"), "cannot be read"),
    ],
)
def test_data_of_every_kind_that_do_not_fit(run: Run, here: Path, words: tuple[str, ...], part: str) -> None:
    (here / "short.csv").write_text("goal\n1\n2\n3\n")
    (here / "counted.csv").write_text("power,No\n" + "".join(f"{row % 7},{row}\n" for row in range(90)))
    (here / "lines.jsonl").write_text('{"power": 1}\n{"power"\n')
    for name in ("packed.csv.gz", "a.npz", "a.wav"):
        (here / name).write_bytes(b"not what its name says")
    assert part in run("train", "--data", "readings.csv", "--train-context", "4", *words).refused()


def test_more_classes_than_the_model_has_outputs(run: Run, here: Path) -> None:
    checkpoints.save(build("gru", inputs=InputSpec("features", 3), outputs=4, width=4, layers=1), here / "small")
    message = run("evaluate", "--model", "small", *MEASURE, "--bins", "8").refused()
    assert "4 outputs" in message


@pytest.mark.parametrize("name", ["outlast.json", "model.safetensors"])
def test_a_damaged_model(run: Run, here: Path, name: str) -> None:
    checkpoints.save(build("gru", inputs=InputSpec("features", 3), outputs=1, width=4, layers=1), here / "saved")
    content = (here / "saved" / name).read_bytes()
    (here / "saved" / name).write_bytes(content[: len(content) // 2])
    assert "cannot be used" in run("evaluate", "--model", "saved", *MEASURE).refused()


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("{", "not JSON"),
        ("[1, 2]", "of kind None"),
        ('{"kind": "evalute"}', "of kind 'evalute'"),
        ('{"kind": "evaluate", "seconds": "long"}', "of kind 'evaluate'"),
        ('{"kind": "repair", "steps": 3}', "of kind 'repair'"),
    ],
)
def test_a_damaged_result(run: Run, here: Path, content: str, part: str) -> None:
    (here / "result.json").write_text(content)
    assert part in run("report", here, "--out", here / "report.html").refused()
    assert not (here / "report.html").exists()


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("horizn = 2", ["key in wrong.toml 'horizn'", "did you mean 'horizon'?"]),
        ('horizon = "far"', ["--horizon far", "whole numbers of positions"]),
        ("max-length = [1, 2]", ["max-length = [1, 2] in wrong.toml", "one value"]),
        ("inputs = true", ["inputs = True", "a list"]),
        ('json = "yes"', ["json = 'yes'", "true or false"]),
        ("no-control = true", ["key in wrong.toml 'no-control'"]),
        ("targets = true", ["targets = True", "one value"]),
        ("max-length = 1\nmax_length = 2", ["twice"]),
        ("horizon", ["cannot be read"]),
    ],
)
def test_a_wrong_config(run: Run, here: Path, content: str, parts: list[str]) -> None:
    (here / "wrong.toml").write_text(f'target = "power"\n{content}\n')
    words = ("--data", "readings.csv", "--train-context", "8", "--config", "wrong.toml")
    message = run(*EVALUATE, *words).refused()
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ('control = "no"', ["control = 'no' in wrong.toml", "true or false"]),
        ("control = false\nno_control = true", ["no_control twice in wrong.toml"]),
        ("doses = true", ["doses = True", "a list"]),
        ("short-ages = [1]", ["--short-ages 1 (key short_ages in wrong.toml)", "two whole numbers"]),
        ("anchor = [1]", ["anchor = [1]", "one value"]),
    ],
)
def test_a_wrong_config_of_a_repair(run: Run, here: Path, content: str, parts: list[str]) -> None:
    (here / "wrong.toml").write_text(f"{content}\n")
    message = run(*REPAIR, "--config", "wrong.toml").refused()
    for part in parts:
        assert part in message


def test_a_missing_config(run: Run) -> None:
    assert "--config gone.toml" in run(*EVALUATE, *READ, "--config=gone.toml").refused()
    assert "--config without a file" in run(*EVALUATE, *READ, "--config").refused()


@pytest.mark.parametrize("name", ["result.json", "pipe.json"])
def test_a_pipe_is_no_result(run: Run, here: Path, name: str) -> None:
    os.mkfifo(here / name)
    assert "which is no file" in run("report", name if name == "pipe.json" else ".").refused()


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda record: record["age_curve"][1].update(age=[-4, 8]), "age_curve[1].age[0] = -4"),
        (lambda record: record["age_curve"][1].update(age=[8, 8]), "age_curve[1].age from 8 to 8"),
        (lambda record: record["position_curve"][0].update(start=-1), "position_curve[0].start = -1"),
        (lambda record: record["position_curve"][0].update(end=0), "position_curve[0] from 0 to 0"),
        (lambda record: record["state"][0].update(position=-64), "state[0].position = -64"),
        (lambda record: record["verdict"].update(oldest_age=[512, 256]), "verdict.oldest_age from 512 to 256"),
        (lambda record: record["verdict"].update(from_age=-1), "verdict.from_age = -1"),
        (lambda record: record.update(train_context=-64), "train_context = -64"),
        (lambda record: record.update(blocks=[0, -1]), "blocks[1] = -1"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_result_that_was_not_measured(run: Run, here: Path, change: Callable[[Any], object], part: str) -> None:
    record = json.loads(to_json(example_results.evaluation()))
    (here / "result.json").write_text(json.dumps(record))
    assert run("report", here, "--out", here / "whole.html").status == 0
    change(record)
    (here / "result.json").write_text(json.dumps(record))
    assert part in run("report", here, "--out", here / "report.html").refused()
    assert not (here / "report.html").exists()


def test_numbers_and_nesting_that_no_result_has(run: Run, here: Path) -> None:
    text = to_json(example_results.evaluation())
    nested = json.dumps({**json.loads(text), "settings": {"a": 0}}).replace(
        '{"a": 0}', '{"a": ' * 200 + "0" + "}" * 200
    )
    for content, part in (
        (nested, "nested more than"),
        (text.replace('"seconds": ', '"seconds": 1e999, "x": '), "1e999"),
    ):
        (here / "result.json").write_text(content)
        assert part in run("report", here, "--out", here / "report.html").refused()


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record["age_curve"][-1]["per_stream"].pop(),
        lambda record: record.update(blocks=[0, 0, 1]),
        lambda record: record.update(age_curve=[]),
    ],
    ids=["one stream less", "other blocks", "no ages"],
)
def test_a_result_that_does_not_fit_together(run: Run, here: Path, change: Callable[[Any], object]) -> None:
    record = json.loads(to_json(example_results.evaluation()))
    change(record)
    (here / "result.json").write_text(json.dumps(record))
    assert "of which no report can be drawn" in run("report", "result.json", "--out", here / "report.html").refused()
    assert not (here / "report.html").exists()


OWN = ("generate", "--model", "own", "--tokens", "1", "2", "--steps", "2")


@pytest.fixture
def own(here: Path) -> Path:
    """A language model's folder."""
    checkpoints.save(build("hybrid", inputs=InputSpec("tokens", 7), outputs=7, width=8, layers=2), here / "own")
    return here / "own"


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ('"width": 8', '"width": 6000', "of another shape"),
        ('"width": 8', '"width": 1000000000', "sizes that tensors can have"),
        ('"width": 8', f'"width": {10**30}', "sizes that tensors can have"),
        ('"width": 8', '"width": NaN', "width"),
        ('"layers": 2', '"layers": 1000000000', "at most 1024 layers"),
        ('"window": 32', f'"window": {10**12}', "GiB of weights and state"),
        ('"size": 7', f'"size": {2**40}', "GiB of weights and state"),
        ('"seed": 0', '"seed": NaN', "blueprint"),
        ('"seed": 0', f'"seed": {10**30}', "blueprint"),
        ('"provenance": {}', '"provenance": ' + 3000 * '{"a":', "cannot be used"),
    ],
    ids=lambda value: value[:30],
)
def test_sizes_that_no_model_has(run: Run, own: Path, old: str, new: str, part: str) -> None:
    """Refused before memory is taken: what the weights' file does not hold is not built."""
    text = (own / "outlast.json").read_text()
    assert old in text
    (own / "outlast.json").write_text(text.replace(old, new))
    with little_memory():
        assert part in run(*OWN).refused()


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"hidden_size": 10**9, "head_dim": None, "lru_width": 10**9}, "GiB of weights and state"),
        ({"intermediate_size": 10**30}, "sizes that tensors can have"),
        ({"vocab_size": 2**40}, "GiB of weights and state"),
        ({"num_hidden_layers": 10**9}, "at most 1024"),
        ({"attention_window_size": 10**13}, "GiB of weights and state"),
        ({"hidden_size": float("nan")}, "hidden_size"),
    ],
    ids=str,
)
def test_sizes_that_no_model_of_another_library_has(run: Run, here: Path, change: dict[str, Any], part: str) -> None:
    drawn = theirs.drawn("recurrent_gemma", lambda *of: of[0])
    theirs.saved("recurrent_gemma", drawn, here / "theirs")
    record = json.loads((here / "theirs" / "config.json").read_text())
    (here / "theirs" / "config.json").write_text(json.dumps({**record, **change}))
    with little_memory():
        assert part in run("generate", "--model", "theirs", "--tokens", "1", "--steps", "1").refused()


def test_a_model_that_the_machine_cannot_hold(run: Run) -> None:
    words = ("train", *READ, *QUICK, "--family", "gru", "--settings", "width", "1000000")
    assert "GiB of weights and state" in run(*words).refused()


@contextlib.contextmanager
def little_memory() -> Iterator[None]:
    """Who asks for more than 1 GiB beyond what is taken is told that there is none."""
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (taken + (1 << 30), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def damaged_state(path: Path, **changes: Any) -> None:
    """Another value in a state that `outlast generate` wrote, without the hash that would tell of it."""
    with safetensors.safe_open(path, "pt") as file:
        record, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    del record["sha256"]
    for name, value in changes.items():
        (record if name in record else tensors)[name.replace("__", ".")] = value
    safetensors.torch.save_file(tensors, path, metadata=record)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"position": "-3"}, "a position of -3"),
        ({"position": str(10**30)}, "a position of"),
        ({"position": "soon"}, "cannot be read as a state"),
        ({"beside__unread": torch.zeros(1, 1)}, "an unread token of shape (1, 1) and torch.float32"),
        ({"beside__unread": torch.zeros(3, dtype=torch.int64)}, "an unread token of shape (3,)"),
        ({"beside__unread": torch.zeros(0, 1, dtype=torch.int64)}, "an unread token of shape (0, 1)"),
        ({"beside__unread": torch.full((1, 1), 99)}, "tokens up to 99"),
        ({"beside__unread": torch.full((1, 1), -9)}, "at least one token, each from 0 to 6"),
        ({"layers__0__state": torch.full((1, 2, 2, 4), torch.nan)}, "layers.0.state is of torch.float32, or holds"),
        ({"layers__0__state": torch.zeros(1, 2, 2, 4, dtype=torch.int64)}, "layers.0.state is of torch.int64"),
        ({"layers__0__state": torch.zeros(1, 9)}, "a state of other parts"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_damaged_state(run: Run, own: Path, changes: dict[str, Any], part: str) -> None:
    assert run(*OWN, "--state", "place").status == 0
    damaged_state(Path("place"), **changes)
    before = Path("place").read_bytes()
    assert part in run(*OWN, "--state", "place").refused()
    assert Path("place").read_bytes() == before


def test_a_state_in_which_something_changed(run: Run, own: Path) -> None:
    assert run(*OWN, "--state", "place").status == 0
    content = bytearray(Path("place").read_bytes())
    content[-5] ^= 1
    Path("place").write_bytes(content)
    assert "what it holds is not what was written" in run(*OWN, "--state", "place").refused()


def test_a_state_that_is_cut_off_or_no_file(run: Run, own: Path) -> None:
    assert run(*OWN, "--state", "place").status == 0
    whole = Path("place").read_bytes()
    for size in (0, 4, 8, 40, len(whole) - 1):
        Path("place").write_bytes(whole[:size])
        assert "cannot be read as a state" in run(*OWN, "--state", "place").refused()
    Path("place").unlink()
    os.mkfifo("place")
    assert "it is no file" in run(*OWN, "--state", "place").refused()


@pytest.mark.parametrize("name", ["readings.csv", "tokens.npy", "text.txt", "table.parquet"])
def test_a_pipe_is_no_data(run: Run, here: Path, name: str) -> None:
    (here / name).unlink(missing_ok=True)
    os.mkfifo(here / name)
    words = ("evaluate", "--model", "mymod:build", "--data", name, "--train-context", "8")
    assert "neither a file nor a folder" in run(*words).refused()


def test_one_value_out_of_all_proportion(run: Run, here: Path) -> None:
    """Named before anything is trained; until then it made its column a constant and the result unwritable."""
    rows: list[list[object]] = [[0.1 * (number % 9), number % 7, 2.0] for number in range(2000)]
    rows[7][1] = 1e200
    write_table(here / "wrong.csv", rows)
    words = (
        "train",
        *READ,
        *QUICK,
        "--family",
        "gru",
        "--settings",
        "width",
        "4",
        "--steps",
        "2",
        "--data",
        "wrong.csv",
    )
    assert "1e+200 in column 'phase', line 9 of wrong.csv" in run(*words, "--out", "out").refused()
    assert not (here / "out").exists()


@pytest.mark.parametrize("verb", ["check", "train", "evaluate", "repair", "compare", "dose", "report"])
def test_a_folder_that_cannot_be_written_to(run: Run, here: Path, verb: str) -> None:
    (here / "occupied").write_text("mine")
    words = {
        "check": ("--model", "mymod:build"),
        "train": (*READ, *QUICK, "--family", "gru", "--settings", "width", "4"),
        "report": ("results",),
        "dose": (*DOSE[1:], "mymod:build", "--dose", "0.5"),
    }.get(verb, ("--model", "mymod:build", *MEASURE))
    if verb == "report":
        assert run("evaluate", "--model", "mymod:build", *MEASURE, "--out", "results").status == 0
    for out in ("occupied", "occupied/below", "/proc/outlast"):
        if verb == "report" and out == "occupied":
            continue  # a file is what a report is written to
        message = run(verb, *words, "--out", out).refused()
        assert out in message
        assert "may be written to" in message
    assert (here / "occupied").read_text() == "mine"


def test_a_fault_of_the_model_later_on_is_no_answer(run: Run, here: Path) -> None:
    (here / "late.py").write_text(
        "from mymod import Drifting\n"
        "class Late(Drifting):\n"
        "    def forward(self, inputs, state):\n"
        "        if float(state[0].max()) > 12:\n"
        "            raise ZeroDivisionError('far into the stream')\n"
        "        return super().forward(inputs, state)\n"
        "def build():\n"
        "    return Late()\n"
    )
    outcome = run("evaluate", "--model", "late:build", *MEASURE, "--out", "out")
    assert outcome.status == 2
    assert "far into the stream" in outcome.err
    assert not (here / "out").exists()


@pytest.mark.parametrize(
    ("verb", "room", "part"),
    [
        ("evaluate", 1000, "report.html"),
        pytest.param("train", 300, "checkpoint", marks=pytest.mark.long),
        pytest.param("repair", 6000, "report.html", marks=pytest.mark.long),
    ],
)
def test_a_full_disk(run: Run, here: Path, verb: str, room: int, part: str) -> None:
    """A limit on the size of a file stands for a full disk; Python ignores the signal that comes with it.

    What an earlier training or repair left is gone by then: a run that failed must not show another's model.
    """
    words = {
        "evaluate": ("evaluate", "--model", "mymod:drifting", *MEASURE),
        "train": ("train", *READ, *QUICK, "--family", "gru", "--settings", "width", "4", "--steps", "2"),
        "repair": ("repair", "--model", "mymod:drifting", *MEASURE, "--steps", "2"),
    }[verb]
    assert run(*words, "--out", "out").status in (0, 1)
    before, known = (here / "out" / "result.json").read_bytes(), files(here / "out")

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    message = finish(start([*words, "--out", "out"], here, preexec_fn=limit)).refused(after_work=True)
    assert part in message
    left = files(here / "out")
    assert not {name for name in left - known if not name.startswith("checkpoint/")}
    if verb == "evaluate":
        assert (here / "out" / "result.json").read_bytes() == before
    else:
        assert not left & {"result.json", "report.html", "model/outlast.json"}


def test_a_disk_that_fills_up_after_the_report(run: Run, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("evaluate", "--model", "mymod:drifting", *MEASURE, "--out", "out")
    assert run(*words).status == 0
    before, known = (here / "out" / "result.json").read_bytes(), files(here / "out")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def full(*arguments: object, **named: object) -> Path:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        return here / "out" / "report.html"

    monkeypatch.setattr("outlast.cli.outputs.write_report", full)
    try:
        message = run(*words).refused(after_work=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "out/result.json could not be written" in message
    assert (here / "out" / "result.json").read_bytes() == before
    assert files(here / "out") == known
