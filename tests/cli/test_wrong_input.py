"""Wrong input: one message with given, expected, what to do; status 2; nothing half-written."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pytest

from cli.workshop import MEASURE, QUICK, READ, Run, files, finish, start, write_table
from outlast import checkpoints
from outlast.families import build
from outlast.model import InputSpec

EVALUATE = ("evaluate", "--model", "mymod:build")
REPAIR = ("repair", "--model", "mymod:build", *MEASURE)
COMPARE = ("compare", "--model", "mymod:build", *MEASURE)
DOSE = ("dose", "--base", "mymod:build", "--repaired")


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("evalute",), ["verb 'evalute'", "did you mean 'evaluate'?"]),
        ((*EVALUATE, *MEASURE, "--horizn", "3"), ["'--horizn'", "did you mean '--horizon'?"]),
        ((*EVALUATE, *MEASURE, "stray"), ["stray"]),
        (EVALUATE, ["without --data, --train-context"]),
        ((*EVALUATE, *READ, "--targets", "many"), ["--targets many", "a whole number"]),
        ((*EVALUATE, *READ, "--targets", "0"), ["--targets 0", "at least 1"]),
        ((*EVALUATE, *READ, "--seed", "-1"), ["--seed -1", "at least 0"]),
        ((*EVALUATE, *READ, "--threads", "0"), ["--threads 0", "at least 1"]),
        ((*EVALUATE, *READ, "--aggregate", "meen"), ["--aggregate meen", "value or mean"]),
        ((*EVALUATE, *READ, "--shares", "1", "2"), ["--shares 1 2", "three numbers"]),
        ((*EVALUATE, *READ, "--shares", "0.5", "0.5", "0.5"), ["add to 1"]),
        ((*EVALUATE, *READ, "--measure", "squared_eror"), ["did you mean 'squared_error'?"]),
        ((*EVALUATE, *READ, "--measure", "error_rate"), ["targets that are real numbers"]),
        ((*EVALUATE, *READ, "--device", "cud"), ["device 'cud'", "did you mean 'cuda'?"]),
        ((*EVALUATE, *READ, "--device", "cuda:77"), ["device 'cuda:77'", "try --device cpu"]),
        (("evaluate", "--model", "mymod", *MEASURE), ["model 'mymod'", "package.module:build"]),
        (("evaluate", "--model", "my mod:build", *MEASURE), ["'my mod:build'", "package.module:build"]),
        (("evaluate", "--model", "mymd:build", *MEASURE), ["no module 'mymd'", "run from the directory"]),
        (("evaluate", "--model", "mymod:biuld", *MEASURE), ["did you mean 'build'?"]),
        (("evaluate", "--model", "mymod:number", *MEASURE), ["an object of type int"]),
        (("evaluate", "--model", "mymod:broken", *MEASURE), ["raised OSError: no weights here"]),
        (("evaluate", "--model", "mymod:wide", *MEASURE), ["3 input columns for a model that reads 5"]),
        (("evaluate", "--model", "mymod:two_outputs", *MEASURE), ["(2, 3, 2)", "(2, 3, 1)"]),
        (("evaluate", "--model", "mymod:growing", *MEASURE), ["(2, 1)", "returned", "(2, 2)", "same parts and shapes"]),
        (("evaluate", "--model", "mymod:raising", *MEASURE), ["RuntimeError", "sizes of tensors must match"]),
        (("evaluate", "--model", "texts", *MEASURE), ["no file texts/outlast.json"]),
        ((*EVALUATE, *MEASURE, "--target", "pwer"), ["column 'pwer'", "did you mean 'power'?"]),
        ((*EVALUATE, *MEASURE, "--horizon", "5000"), ["horizon of 5000"]),
        ((*EVALUATE, *MEASURE, "--data", "reading.csv"), ["did you mean readings.csv?"]),
        ((*EVALUATE, *MEASURE, "--data", "mymod.py"), ["ending in '.py'"]),
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
        ((*COMPARE, "--anchor", "nan"), ["an anchor of nan"]),
        ((*COMPARE, "--doses", "0"), ["doses 0", "above 0 and at most 1"]),
        ((*COMPARE, "--short-ages", "0", "17"), ["short ages 0 to 17"]),
        (("dose", "--base", "mymod:build"), ["without --repaired, --dose"]),
        ((*DOSE, "mymod:build", "--dose", "most"), ["--dose most", "a number"]),
        ((*DOSE, "mymod:build", "--dose", "-0.5"), ["a dose of -0.5", "a share of the way"]),
        ((*DOSE, "mymod:build", "--dose", "nan"), ["a dose of nan"]),
        ((*DOSE, "gone", "--dose", "0.5"), ["model 'gone'", "check the path"]),
        ((*DOSE, "texts", "--dose", "0.5"), ["no file texts/outlast.json"]),
        ((*DOSE, "mymod:drifting", "--dose", "0.5"), ["two models that differ in", "the repair began with"]),
        ((*DOSE, "mymod:wide", "--dose", "0.5"), ["lstm.weight_ih_l0"]),
        (("compare", "--model", "mymod:build", *MEASURE, "--interventions", "zeo"), ["did you mean 'zero'?"]),
        (("compare", "--model", "mymod:build", *MEASURE, "--interventions"), ["no interventions"]),
        (("check", "--model", "mymod:build", "--target", "power"), ["--target power without --data"]),
        (("check", "--model", "mymod:wide", "--data", "readings.csv"), ["3 input columns"]),
        (("tasks", "--fetch", "powr"), ["task 'powr'", "did you mean 'power'?"]),
        (("report",), ["no results"]),
        (("report", "nowhere"), ["no file nowhere"]),
        (("report", "texts"), ["no file texts/result.json"]),
    ],
    ids=lambda value: None if isinstance(value, list) else " ".join(value)[-45:],
)
def test_a_wrong_word(run: Run, here: Path, words: tuple[str, ...], parts: list[str]) -> None:
    message = run(*words, *(() if words[0] in ("evalute", "tasks") else ("--out", here / "out"))).refused()
    for part in parts:
        assert part in message
    assert not (here / "out").exists()


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
        (b"\xff\xfe\x00,a\n1,2\n", "cannot be read as a table"),
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
    for path, part in (("empty.txt", "none of 2 bytes"), ("nothing", "without a .txt file")):
        assert part in run("train", "--data", path, "--train-context", "4").refused()


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
        ('horizon = "far"', ["--horizon far (key horizon in wrong.toml)", "a whole number"]),
        ("horizon = [1, 2]", ["horizon = [1, 2] in wrong.toml", "one value"]),
        ('inputs = "power"', ["inputs = 'power'", "a list"]),
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
        ("doses = 0.5", ["doses = 0.5", "a list"]),
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
    assert outcome.status == 3
    assert "far into the stream" in outcome.err
    assert not (here / "out").exists()


@pytest.mark.parametrize(
    ("verb", "room", "part"),
    [
        ("evaluate", 1000, "report.html"),
        ("train", 300, "checkpoint"),
        ("repair", 6000, "report.html"),
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
