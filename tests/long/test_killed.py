"""Commands that are killed, or told to stop, at any moment go on, and end with what they would have ended with.

A signal comes before a chosen change to the output folder (every one that renames or removes, and others drawn at
random), or after a time drawn at random.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import random
import shutil
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from cli.workshop import AVERAGING, READ, figures, files, furnish
from long.dying import SEEN, run
from outlast.checkpoints import WEIGHTS, read_record
from outlast.results import load_result

LEARN = ("--steps", "40", "--checkpoint-every", "10", "--device", "cpu", "--resume", "--out", "out")
RECIPE = """
task = "toy"
out = "out"
models = [{ family = "gru", settings = { width = 8, layers = 1 }, seeds = [0] }]
repairs = [{ intervention = "carry", settings = { expected_run = 40 } }]
trained = [{ name = "longer windows", train_context = 16 }]
method = { anyway = true }
"""


@dataclass(frozen=True)
class Case:
    """A command, how many signals it gets at changes to its folder, and how many after some time.

    `again`: it starts anew where an earlier run of it has finished, which is without --resume.
    """

    words: tuple[str, ...]
    changes: int
    times: int
    again: bool = False

    @property
    def anew(self) -> tuple[str, ...]:
        """The command as it is begun; it goes on with the whole of its words."""
        return tuple(word for word in self.words if not (self.again and word == "--resume"))


TRAIN = ("train", *READ, "--family", "gru", "--settings", "width", "4", "--threads", "1", *LEARN)
REPAIR = ("repair", *AVERAGING, *LEARN)
CASES = {
    "train": Case(TRAIN, 24, 4),
    "train, again": Case(TRAIN, 12, 0, again=True),
    "repair": Case(REPAIR, 36, 6),
    "repair, again": Case(REPAIR, 12, 0, again=True),
    "repair, two jobs": Case((*REPAIR, "--jobs", "2"), 16, 4),
    "recipe": Case(("recipe", "recipe.toml"), 36, 6),
    "quickstart": Case(("quickstart", "--task", "toy", "--out", "out"), 16, 2),
}
STOPS = (signal.SIGINT, signal.SIGTERM)
PROCESSES = multiprocessing.get_context("forkserver")
"""Children of a process that has loaded everything: a command starts at once."""
ONE_AT_A_TIME = threading.Lock()
"""A start also asks after the other children, and an exit status can be read once only."""
PROCESSES.set_forkserver_preload(["long.dying", "outlast.cli.verbs", "torch._dynamo"])


@pytest.mark.long
def test_there_are_a_hundred_kills_and_more() -> None:
    assert sum(case.changes + case.times for case in CASES.values()) >= 150


def command(
    words: tuple[str, ...], here: Path, moment: int | None = None, number: int = 0, after: float | None = None
) -> int:
    """Run a command to its end, or to the signal's; returns its exit status, negative where the signal killed it."""
    process = PROCESSES.Process(target=run, args=(list(words), here, "out", moment, number))
    with ONE_AT_A_TIME:
        process.start()
    if not wait([process.sentinel], after):
        process.kill()
        wait([process.sentinel])
    with ONE_AT_A_TIME:
        process.join()
    assert process.exitcode is not None
    return process.exitcode


def furnished(here: Path) -> Path:
    here.mkdir()
    furnish(here)
    (here / "recipe.toml").write_text(RECIPE)
    return here


def weights(folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    return {str(path.relative_to(folder)): load_file(path) for path in sorted(folder.rglob("*.safetensors"))}


def numbers(folder: Path) -> dict[str, Any]:
    """What every result in the folder says, without what differs from run to run."""
    return {str(path.parent.relative_to(folder)): figures(path.parent) for path in folder.rglob("result.json")}


def moments(case: Case, seen: list[str]) -> list[tuple[int | None, int, float | None]]:
    """(change, signal, seconds) of every kill: where files are renamed or removed first, then anywhere."""
    draw = random.Random(0)
    delicate = [at for at, event in enumerate(seen) if event != "open" and event != "os.mkdir"]
    others = [at for at, event in enumerate(seen) if at not in delicate]
    draw.shuffle(delicate)
    draw.shuffle(others)
    chosen = ([*delicate, *others] * case.changes)[: case.changes]
    # A third of them is asked to stop, the others are killed; one that comes twice is both.
    signals = [STOPS[i // 3 % 2] if i % 3 == 2 else signal.SIGKILL for i in range(case.changes)]
    return list(zip(chosen, signals, [None] * case.changes, strict=True))


@pytest.mark.parametrize(
    "every", [pytest.param(1, marks=pytest.mark.field, id="all"), pytest.param(6, marks=pytest.mark.long, id="a sixth")]
)
@pytest.mark.parametrize("name", CASES)
def test_ends_as_if_nothing_had_happened(name: str, every: int, tmp_path: Path) -> None:
    case = CASES[name]
    whole = furnished(tmp_path / "whole")
    status = command(case.anew, whole)
    assert status in (0, 1), (whole / "said.txt").read_text()
    began = time.monotonic()
    if case.again:
        assert command(case.anew, whole) == status
    else:
        shutil.copytree(whole / "out", whole / "first")
        shutil.rmtree(whole / "out")
        assert command(case.anew, whole) == status
        assert numbers(whole / "first") == numbers(whole / "out")
    took = time.monotonic() - began
    wanted = weights(whole / "out")
    assert wanted
    seen = json.loads((whole / SEEN).read_text())
    draw = random.Random(1)
    kills = [
        *moments(case, seen),
        *((None, signal.SIGKILL, draw.uniform(0.1, 0.9) * took) for _ in range(case.times)),
    ][::every]

    def killed(order: int) -> str | None:
        """What was wrong after one kill."""
        here = furnished(tmp_path / f"{order}")
        moment, number, after = kills[order]
        if case.again:
            shutil.copytree(whole / "out", here / "out")
        stopped = command(case.anew, here, moment, number, after)
        wrong = []
        if stopped not in (status, -number, 128 + number):
            wrong.append(f"status {stopped}")
        wrong += damaged(here / "out")
        resumed = command(case.words, here)
        if resumed != status:
            wrong.append(f"status {resumed} when it went on")
        elif files(here / "out") != files(whole / "out"):
            wrong.append(f"files {files(here / 'out') ^ files(whole / 'out')}")
        elif numbers(here / "out") != numbers(whole / "out"):
            wrong.append("other figures")
        elif not same(weights(here / "out"), wanted):
            wrong.append("other weights")
        if not wrong:
            shutil.rmtree(here)
            return None
        at = f"change {moment}, {seen[moment]}" if moment is not None else f"{after:.2f} s"
        return f"{signal.Signals(number).name} at {at}: {wrong}; {(here / 'said.txt').read_text()[-600:]}"

    with ThreadPoolExecutor(2) as pool:
        faults = [fault for fault in pool.map(killed, range(len(kills))) if fault]
    assert faults == []


def same(some: dict[str, dict[str, torch.Tensor]], others: dict[str, dict[str, torch.Tensor]]) -> bool:
    return some.keys() == others.keys() and all(
        mine.keys() == others[name].keys() and all(torch.equal(mine[key], others[name][key]) for key in mine)
        for name, mine in some.items()
    )


def damaged(out: Path) -> list[str]:
    """What a killed run left half-written under a name that others read."""
    wrong = []
    for path in out.rglob("*.json"):
        try:
            json.loads(path.read_text())
        except ValueError:
            wrong.append(f"{path} is no JSON")
    for path in out.rglob(WEIGHTS):
        if ".part" not in str(path) and "step-" not in str(path):
            theirs = read_record(path.parent)["weights_sha256"]
            if theirs != hashlib.sha256(path.read_bytes()).hexdigest():
                wrong.append(f"{path} is not what its record says")
    for path in out.rglob("result.json"):
        if ".part" not in str(path):
            load_result(path)
    return wrong
