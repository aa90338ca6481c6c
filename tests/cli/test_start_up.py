"""What a command loads: a wrong word is answered before torch is there, and no verb waits for what it does not use."""

from __future__ import annotations

import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import outlast
from outlast.data.compatibility import sizes_for
from outlast.live import Incident, Notice
from outlast.live.ledger import Ledger
from outlast.live.ledger.incidents import Recorder
from outlast.results import save_result
from reporting.example_results import evaluation, refused, repair

HEAVY = ("scipy.stats", "scipy.linalg", "sklearn", "pandas", "matplotlib", "transformers", "accelerate")
TABLE = {"power": np.sin(np.arange(200) / 7.0), "speed": np.cos(np.arange(200) / 5.0)}


def loading(folder: Path, words: str, modules: tuple[str, ...], given: str = "") -> subprocess.CompletedProcess[str]:
    """What a command says, run in a process of its own, in which none of the modules may have been loaded."""
    code = (
        "import sys; from outlast.cli import main; status = main(sys.argv[1:]); sys.stdout.flush()\n"
        f"assert not (found := set({modules!r}) & set(sys.modules)), found\nsys.exit(status)"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *shlex.split(words)], capture_output=True, text=True, cwd=folder, input=given
    )


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of a table, the table, results, and a ledger with an incident."""
    folder = tmp_path_factory.mktemp("start-up")
    streams = outlast.Streams.from_table(TABLE, target="power")
    inputs, outputs = sizes_for(streams)
    model = outlast.build("gru", inputs=inputs, outputs=outputs, width=4, layers=1)
    model.schema = streams.schema
    outlast.save(model, folder / "model")
    lines = [",".join(TABLE), *(f"{power},{speed}" for power, speed in zip(*TABLE.values(), strict=True))]
    (folder / "readings.csv").write_text("\n".join(lines))
    typed = replace(next(iter(refused().values())), typed="carry:expected_run=1280")
    for name, result in {
        "evaluation": evaluation(),
        "repair": replace(repair(), typed="tbtt"),
        "refused": typed,
    }.items():
        save_result(result, folder / f"{name}.json")
    ledger = Ledger(folder / "ledger")
    incident = Incident("w", 1, "pump", 8, None, ("loss",), {"loss": 1.0}, "unknown", None, None, 0, 0)
    Recorder(ledger, "0" * 64).write([Notice("opened", incident)])
    ledger.close()
    return folder


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("live status --ledger ledger", "nothing is at work"),
        ("live incidents list --ledger ledger", "pump"),
        ("live incidents show 1 --ledger ledger", "pump"),
        ("report evaluation.json repair.json refused.json --out page.html", "page.html"),
    ],
)
def test_what_only_reads_does_without_torch(furnished: Path, words: str, said: str) -> None:
    done = loading(furnished, words, ("torch",))
    assert done.returncode == 0, done.stderr
    assert said in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("evaluate --model modle --data readings.csv -T 8", "did you mean model?"),
        ("evaluate --model model --data readngs.csv -T 8", "did you mean readings.csv?"),
        ("evaluate --model model --data 'reading*.npy' -T 8", "which no file matches"),
        ("diagnose --model model --data readings.csv -T 8 --target powr", "did you mean 'power'?"),
        ("repair --model model --data readings.csv -T 8 --leave-out sped", "did you mean 'speed'?"),
        ("live profile --model model --data gone.csv -T 8 --run-length 9", "where there is nothing"),
        ("stream --model modle", "did you mean model?"),
    ],
)
def test_a_wrong_path_or_column_is_answered_before_torch_is_loaded(furnished: Path, words: str, said: str) -> None:
    done = loading(furnished, words, ("torch",))
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert [done.stderr.count(f"{part}: ") for part in ("given", "expected", "what to do")] == [1, 1, 1]


def test_a_stream_loads_no_more_than_its_model_takes(furnished: Path) -> None:
    """How long that takes says benchmarks/start_up.py; here it is asked what is not waited for."""
    done = loading(furnished, "stream --model model", HEAVY, '{"power": 0.5, "speed": 0.1}\n')
    assert done.returncode == 0, done.stderr
    assert '"forecast"' in done.stdout
