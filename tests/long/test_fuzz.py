"""Hundreds of files that are damaged or odd: each is read, or refused with a message; none is a traceback or a hang."""

from __future__ import annotations

import gzip
import io
import json
import random
import resource
import signal
import wave
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cli import workshop
from examples.speech.mel import read_wav
from foreign import theirs
from long import mutations
from outlast.checkpoints import save
from outlast.cli import main
from outlast.data import Streams
from outlast.errors import InputError, Interrupted
from outlast.families import build
from outlast.model import InputSpec
from outlast.results import to_json
from outlast.tasks import recipe_run
from reporting.cases import CASES

pytestmark = pytest.mark.long
TIMES = 80
"""Of every kind."""
SECONDS = 60
WOULD_RUN = 130
"""What a recipe ends with here that has nothing wrong with it."""
ROOM = 6 << 30
"""Bytes of address space beyond what is taken already: who asks for more is refused, as on a small machine."""

ONCE = ("--steps", "1", "--batch-size", "2", "--family", "gru", "--settings", "width", "4")
COPYING = 'def build():\n    return made("gru", inputs=InputSpec("features", 3), outputs=3, width=4, layers=1)\n'
RECIPE = """\
task = "recall"
out = "recipe-out"
jobs = 2
base = { steps = 4, clip = 1.0, betas = [0.9, 0.98] }
repair = { steps = 4, learning_rate = 0.001 }
method = { anchor = 1.0, doses = [0.5, 1.0] }
measuring = { targets = 16, chunk = 32 }
[[models]]
family = "gru"
name = "small"
seeds = [0, 1]
settings = { width = 8, layers = 1 }
[[repairs]]
intervention = "carry"
settings = { expected_run = 256 }
[[repairs]]
intervention = "fitted_noise"
seeds = [1]
[[trained]]
name = "longer"
intervention = "zero"
train_context = 64
training = { steps = 8 }
seeds = [0]
"""
OPTIONS = """\
data = "small.csv"
target = "power"
horizon = 2
train-context = 4
targets = 8
max-length = 64
shares = [0.5, 0.2, 0.3]
measure = ["squared_error"]
inputs = ["power", "phase", "noise"]
seed = 3
threads = 1
device = "cpu"
"""


class Hang(BaseException):
    """A command took longer than any of these may."""


@dataclass(frozen=True)
class Kind:
    """One kind of file: what is in one that is in order, how it is damaged, and the command that reads it."""

    file: str
    whole: bytes
    mutated: Callable[[random.Random], bytes]
    words: tuple[str, ...]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("fuzz")
    workshop.furnish(found)
    lines = (found / "readings.csv").read_text().splitlines()
    (found / "copying.py").write_text("from outlast import InputSpec, build as made\n" + COPYING)
    (found / "small.csv").write_text("\n".join(lines[:600]) + "\n")
    save(build("gru", inputs=InputSpec("tokens", 7), outputs=7, width=4, layers=1), found / "own")
    save(build("hybrid", inputs=InputSpec("tokens", 7), outputs=7, width=8, layers=2, window=4), found / "hybrid")
    save(build("gru", inputs=InputSpec("tokens", 256), outputs=256, width=4, layers=1), found / "bytes")
    for kind in theirs.CLASSES:
        drawn = random.Random(kind)
        theirs.saved(kind, theirs.drawn(kind, lambda *of, drawn=drawn: drawn.choice(of)), found / kind)
    return found


@pytest.fixture
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))

    def instead(*arguments: Any) -> None:
        raise Interrupted("everything was in order: from here on it would be trained")

    monkeypatch.setattr(recipe_run, "side_by_side", instead)
    return folder


@contextmanager
def limits() -> Iterator[None]:
    """Little memory and little time."""

    def hang(number: int, frame: Any) -> None:
        raise Hang

    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before, old = resource.getrlimit(resource.RLIMIT_AS), signal.signal(signal.SIGALRM, hang)
    resource.setrlimit(resource.RLIMIT_AS, (taken + ROOM, before[1]))
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, old)
        resource.setrlimit(resource.RLIMIT_AS, before)


def outcome(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> str:
    """``read``, ``refused``, or what is wrong with how a command ended."""
    capsys.readouterr()
    try:
        with limits():
            status = main([*words])
    except SystemExit as stop:
        status = stop.code
    except Hang:
        status = f"no end within {SECONDS} s"
    err = capsys.readouterr().err
    if status in (0, 1, 2, WOULD_RUN) and "Traceback" not in err:
        return "refused" if status == 2 else "read"
    return f"{status}: {' | '.join(err.strip().splitlines()[-4:])[-600:]}"


def data(file: str, whole: bytes, mutated: Callable[[random.Random], bytes], *more: str, model: str) -> list[Kind]:
    """Data that are measured on and trained on."""
    given = ("--data", file, *more, "--threads", "1", "--device", "cpu", "--replace", "--train-context", "4")
    return [
        Kind(file, whole, mutated, ("evaluate", "--model", model, *given, "--scored", "8", "--out", "seen")),
        Kind(file, whole, mutated, ("train", *given, *ONCE, "--out", "learnt")),
    ]


def kinds(here: Path) -> dict[str, list[Kind]]:
    small = (here / "small.csv").read_text()
    names, read = small.partition("\n")[0].split(","), np.loadtxt(here / "small.csv", delimiter=",", skiprows=1)
    columns = dict(zip(names, read.T, strict=True))
    timed = "\n".join(
        f"{line},{'when' if at == 0 else 60 * at},{'machine' if at == 0 else 'ab'[at > 300]}"
        for at, line in enumerate(small.splitlines())
    )
    rows = [dict(zip(names, row, strict=True)) for row in read.tolist()]
    beside = "goal,note\n" + "".join(f"{value},x\n" for value in columns["power"] ** 2)
    document = (here / "texts" / "00.txt").read_bytes() * 20
    arrays = {name: (here / f"{name}.npy").read_bytes() for name in ("tokens", "features")}
    tokens, features = (np.load(here / f"{name}.npy") for name in arrays)
    archive = {"x": features, "y": features, "weights": np.ones(features.shape[:2], np.float32)}
    whole = io.BytesIO()
    np.savez(whole, **archive)  # pyright: ignore[reportArgumentType]
    mine, asked, clock = {"model": "mymod:build"}, ("--target", "power", "--horizon", "2"), ("--time", "when")
    inputs = ("--inputs", "power", "phase", "noise", "--stream", "machine")
    made = {
        "csv": data("odd.csv", small.encode(), lambda draw: mutations.csv(small, draw), *asked, **mine),
        "csv with a clock": data(
            "odd.csv", timed.encode(), lambda draw: mutations.csv(timed, draw), *asked, *clock, *inputs, **mine
        ),
        "parquet": data(
            "odd.parquet", mutations.table(columns), lambda draw: mutations.parquet(columns, draw), *asked, **mine
        ),
        "json lines": data(
            "odd.jsonl",
            "\n".join(map(json.dumps, rows)).encode(),
            lambda draw: mutations.json_lines(rows, draw),
            *asked,
            **mine,
        ),
        "packed csv": data(
            "odd.csv.gz",
            gzip.compress(small.encode()),
            lambda draw: mutations.packed(mutations.csv(small, draw), draw),
            *asked,
            **mine,
        ),
        "archive": data("odd.npz", whole.getvalue(), lambda draw: mutations.npz(archive, draw), model="copying:build"),
        "targets beside": [
            replace(each, words=(*each.words, "--targets-file", "odd.beside.csv"), file="odd.beside.csv")
            for each in data(
                "small.csv", beside.encode(), lambda draw: mutations.csv(beside, draw), "--target", "goal", **mine
            )
        ],
        "tokens": data("odd.npy", arrays["tokens"], lambda draw: mutations.npy(tokens, draw), model="mymod:tokens"),
        "features": data(
            "odd.npy", arrays["features"], lambda draw: mutations.npy(features, draw), model="copying:build"
        ),
        "text": data("odd.txt", document, lambda draw: mutations.bytes_of(document, draw), model="bytes"),
        "recipe": [
            Kind("odd.toml", RECIPE.encode(), lambda draw: mutations.toml(RECIPE, draw), ("recipe", "odd.toml"))
        ],
    }
    words = ("evaluate", "--model", "mymod:build", "--config", "odd.toml", "--out", "seen", "--replace")
    made["options"] = [Kind("odd.toml", OPTIONS.encode(), lambda draw: mutations.toml(OPTIONS, draw), words)]
    generate = ("generate", "--tokens", "1", "2", "--steps", "2", "--device", "cpu")
    records = {name: f"{name}/outlast.json" for name in ("own", "hybrid")}
    for name, file in {**records, **{name: f"{name}/config.json" for name in theirs.CLASSES}}.items():
        made[file] = json_kind(file, (here / file).read_bytes(), (*generate, "--model", name))
    assert main([*generate, "--model", "hybrid", "--state", "whole"]) == 0
    state = (here / "whole").read_bytes()
    damaged = [mutations.bytes_of, mutations.head_of]
    words = (*generate, "--model", "hybrid", "--state", "odd.state")
    made["state"] = [Kind("odd.state", state, lambda draw: draw.choice(damaged)(state, draw), words)]
    told = {results[0].kind: results[0] for results in reversed(CASES.values())}
    for kind, result in told.items():
        made[f"result of {kind}"] = json_kind("odd.json", to_json(result).encode(), ("report", "odd.json"))
    return made


def json_kind(file: str, whole: bytes, words: tuple[str, ...]) -> list[Kind]:
    record = json.loads(whole)
    return [Kind(file, whole, lambda draw: mutations.json_of(record, draw), words)]


def test_odd_files_are_read_or_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.set_num_threads(1)
    faults, tally = [], {}
    for name, group in kinds(here).items():
        tally[name] = seen = Counter[str]()
        for kind in group:
            (here / kind.file).write_bytes(kind.whole)
            assert outcome(kind.words, capsys) == "read", name
        for number in range(TIMES):
            draw = random.Random(f"{name} {number}")
            kind = group[number % len(group)]
            (here / kind.file).write_bytes(kind.mutated(draw))
            ended = outcome(kind.words, capsys)
            seen[ended if ended in ("read", "refused") else "fault"] += 1
            if ended not in ("read", "refused"):
                faults.append(f"{name} {number}: {ended}")
        for kind in group:
            (here / kind.file).write_bytes(kind.whole)
    with capsys.disabled():
        print("", *(f"{name}: {dict(seen)}" for name, seen in tally.items()), sep="\n")
        print(f"{sum(map(Counter.total, tally.values()))} odd files, {len(faults)} faults")
    assert not faults, "\n".join(faults)
    assert all(seen["refused"] for seen in tally.values())


def test_odd_sounds_are_read_or_refused(here: Path) -> None:
    """By the reader of a task, and as streams."""
    sound = io.BytesIO()
    with wave.open(sound, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(np.arange(400, dtype="<i2").tobytes())
    refused = 0
    for number in range(3 * TIMES):
        (here / "odd.wav").write_bytes(mutations.head_of(sound.getvalue(), random.Random(number), 64))
        with limits():
            for reader in (read_wav, lambda path: Streams.from_audio(path).inputs):
                try:
                    assert np.isfinite(reader(here / "odd.wav")).all()
                except InputError:
                    refused += 1
    assert 0 < refused < 6 * TIMES
