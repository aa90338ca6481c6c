"""outlast stream: lines of JSON in, lines of JSON out, as the deployed model answers them in Python."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import outlast
from cli.workshop import Outcome, in_process
from serving.test_deployed import NAMES, deployed, rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two saved models: of rows, and of bytes."""
    here = tmp_path_factory.mktemp("lines")
    outlast.save(deployed(missing="hold").model, here / "model")
    spec = outlast.InputSpec("tokens", 256)
    outlast.save(outlast.build("gru", inputs=spec, outputs=256, width=8, layers=1, seed=1), here / "bytes")
    return here


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "outlast", "stream", *words]


Run = Callable[..., Outcome]


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """`outlast stream` in this process, in that folder."""
    monkeypatch.chdir(folder)

    def stream(given: str | bytes, *words: str, model: str = "model") -> Outcome:
        return in_process(("stream", "--model", model, *words), capsys, given)

    return stream


def lines(values: np.ndarray, **more: Any) -> str:
    return "".join(json.dumps({**dict(zip(NAMES, row, strict=True)), **more}) + "\n" for row in values.tolist())


def test_it_says_what_python_says(run: Run) -> None:
    """With streams of their own, a missing value, blank lines and no newline at the end."""
    given = lines(rows(3), stream="a") + "\n" + lines(rows(2, seed=1), stream="b")
    given += json.dumps({"power": None, "speed": 650.0, "stream": "a"})
    done = run(given)
    assert done.status == 0, done.err
    found = [json.loads(line) for line in done.out.splitlines()]
    served = deployed(missing="hold")
    expected = [served.read(json.loads(line)) for line in given.splitlines() if line]
    assert [(each["stream"], each["position"]) for each in found] == [
        (each["stream"], each["position"]) for each in expected
    ]
    for one, other in zip(found, expected, strict=True):
        assert one["forecast"]["power"] == pytest.approx(other["forecast"]["power"], rel=1e-4)


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        ("no json", "line 3: 'no json', which is no JSON"),
        ("time,power", ".to_json('rows.jsonl', orient='records', lines=True)"),
        ("[1, 2]", "line 3: JSON of type list"),
        ('{"power": 1.0}', "line 3: a row without 'speed'"),
        ('{"power": "much", "speed": 1}', "line 3: 'much' (str) in column 'power'"),
        ('{"power": 1e400, "speed": 1}', "line 3: inf in column 'power'"),
        ('{"power": 1e39, "speed": 1}', "line 3: 1e+39 in column 'power'"),
        (b"\xff\xfe", "line 3:"),
    ],
)
def test_a_wrong_line_is_named_and_what_came_before_it_is_answered(
    run: Run, tmp_path: Path, bad: str | bytes, named: str
) -> None:
    content = (
        lines(rows(2)).encode() + (bad.encode() if isinstance(bad, str) else bad) + b"\n" + lines(rows(1)).encode()
    )
    done = run(content, "--state", str(tmp_path / "states"))
    assert done.status == 2
    assert len(done.out.splitlines()) == 2
    assert named in done.err
    assert "Traceback" not in done.err
    served = deployed(missing="hold")
    served.load_states(tmp_path / "states")
    assert served.streams[""].position == 2


def test_states_go_on_over_calls(run: Run, tmp_path: Path) -> None:
    state, values = str(tmp_path / "states"), rows(9)
    parts = [run(lines(values[a:b]), "--state", state, "--resets", "periodic:5") for a, b in ((0, 4), (4, 9))]
    found = [json.loads(line)["forecast"]["power"] for done in parts for line in done.out.splitlines()]
    np.testing.assert_allclose(found, deployed(missing="hold", resets="periodic:5").read(values)[:, 0], rtol=1e-4)
    refused = run(lines(values), "--state", state)
    assert refused.status == 2
    assert "states under resets periodic:5" in refused.err


def test_each_row_is_answered_when_it_comes_and_a_stop_keeps_the_states(folder: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(
        command("--model", "model", "--state", str(tmp_path / "states")),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    for number, line in enumerate(lines(rows(3)).splitlines(), start=1):
        process.stdin.write(f"{line}\n".encode())
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["position"] == number
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 128 + signal.SIGTERM
    served = deployed(missing="hold")
    served.load_states(tmp_path / "states")
    assert served.streams[""].position == 3
    process.stdin.close()
    process.stdout.close()


def test_whoever_reads_may_have_had_enough(folder: Path) -> None:
    process = subprocess.Popen(
        command("--model", "model"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=folder
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdin.write(lines(rows(1)).encode())
    process.stdin.flush()
    process.stdout.readline()
    process.stdout.close()
    time.sleep(0.1)
    with contextlib.suppress(BrokenPipeError):  # it ends, so that nobody reads what is written
        for _ in range(1000):
            os.write(process.stdin.fileno(), lines(rows(50)).encode())
    assert b"Traceback" not in process.stderr.read()
    assert process.wait(60) == 0


def test_text(run: Run) -> None:
    given = json.dumps({"text": "Grüße", "stream": "a"}) + "\n" + json.dumps({"text": " an alle", "stream": "a"}) + "\n"
    done = run(given, model="bytes")
    assert done.status == 0, done.err
    found = [json.loads(line) for line in done.out.splitlines()]
    assert [each["position"] for each in found] == [len("Grüße".encode()), len("Grüße an alle".encode())]
    assert len(found[-1]["next"]) == 5


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (
            ("--resets", "often"),
            "none, leak:TAU, leak:TAU:from=AGE, reset:EVERY, handover:EVERY:WARM_UP or two-copies:EVERY",
        ),
        (("--state-every", "0"), "at least 1"),
        (("--state", "model/outlast.json"), "cannot be read as a state"),
    ],
)
def test_wrong_words(run: Run, words: tuple[str, ...], named: str) -> None:
    done = run(lines(rows(1)), *words)
    assert done.status == 2
    assert named in done.err
    assert not done.out


def test_lines_that_cannot_be_read_are_left_out_where_that_is_asked_for(run: Run, tmp_path: Path) -> None:
    """Each is answered with its number and why; all others as if it had not come, and the command says how many."""
    good = [line for line in lines(rows(6)).splitlines() if line]
    bad = ["no json", '{"power": 1.0}', '{"power": 1e39, "speed": 1}']
    given = [good[0], bad[0], good[1], good[2], bad[1], bad[2], *good[3:]]
    done = run("\n".join(given) + "\n", "--bad-rows", "skip", "--state", str(tmp_path / "states"))
    assert done.status == 0, done.err
    found = [json.loads(line) for line in done.out.splitlines()]
    assert [each.get("line") for each in found] == [None, 2, None, None, 5, 6, None, None, None]
    assert all(each["forecast"] is None and "not read" in each["because"] for each in found if "line" in each)
    answers = [each["forecast"]["power"] for each in found if "line" not in each]
    np.testing.assert_allclose(answers, deployed(missing="hold").read(rows(6))[:, 0], rtol=1e-4)
    assert "3 of 9 lines were left out" in done.err
    again = deployed(missing="hold")
    again.load_states(tmp_path / "states")
    assert again.streams[""].position == 6
