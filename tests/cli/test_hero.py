"""The path of a stranger with a module and a recording of their own, the first words in processes of their own."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import outlast
from cli.workshop import finish, in_process, start

EXAMPLES = Path(__file__).parents[2] / "examples"
DATA = ("--data", "readings.csv", "--target", "power", "--horizon", "60")


def test_evaluate_repair_and_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(EXAMPLES / "my_lstm.py", tmp_path)
    written = subprocess.run(
        [sys.executable, EXAMPLES / "write_readings.py", "--rows", "12000"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert written.stdout == "readings.csv: 12000 rows\n"

    model = ("--model", "my_lstm:build", *DATA, "--train-context", "64", "--scored", "128", "--threads", "1")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "my_lstm", raising=False)
    measured = in_process(["evaluate", *model, "--out", "measured"], capsys)
    assert measured.status == 0, measured.err
    assert "report: measured/report.html" in measured.out

    words = ["repair", *model, "--steps", "30", "--learning-rate", "0.01", "--anyway", "--out", "repaired"]
    repaired = in_process(words, capsys)
    result = json.loads((tmp_path / "repaired" / "result.json").read_text())
    assert repaired.status == (0 if result["accepted"] else 1), repaired.err
    assert result["before"]["age_curve"] == json.loads((tmp_path / "measured" / "result.json").read_text())["age_curve"]
    folder = "model" if result["accepted"] else "refused"
    assert f"repaired/{folder}" in repaired.out

    loaded, again = (outlast.load(tmp_path / "repaired" / folder, allow_code=True) for _ in range(2))
    inputs = torch.randn(2, 100, 3, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        whole, _ = loaded(inputs, loaded.initial_state(2))
        first, state = again(inputs[:, :37], again.initial_state(2))
        second, _ = again(inputs[:, 37:], state)
    torch.testing.assert_close(torch.cat([first, second], 1), whole)
    streams = outlast.open_streams("readings.csv", target="power", horizon=60)
    settings = outlast.EvalSettings(targets=128)
    after = outlast.evaluate(loaded, outlast.split(streams), train_context=64, settings=settings)
    for band, told in zip(after.age_curve, result["after"]["age_curve"], strict=True):
        assert band.per_stream == pytest.approx(told["per_stream"], rel=1e-5)


def test_the_version_is_that_of_the_package(tmp_path: Path) -> None:
    assert finish(start(["--version"], tmp_path)).out == f"outlast {outlast.__version__}\n"


def test_help_is_there_at_once_and_neither_torch_nor_numpy_is_loaded(tmp_path: Path) -> None:
    outcome = finish(start(["--help"], tmp_path))
    assert outcome.status == 0
    assert "usage: outlast VERB" in outcome.out
    ran = "import sys; from outlast.cli import main; status = main(sys.argv[1:])"
    code = f"{ran}; assert not {{'torch', 'numpy'}} & {{*sys.modules}}"
    wrong = ("evalute", "evaluate --modl x", "evaluate --model a --data b --train-context many")
    for words in ("--help", "--version", *wrong):
        done = subprocess.run([sys.executable, "-c", code, *shlex.split(words)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
