"""A command in a process of its own that gets a signal at a chosen change to its output folder."""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from outlast.cli import main
from outlast.data import Split
from outlast.evaluation import EvalSettings
from outlast.interventions import Carry
from outlast.tasks import TASKS
from outlast.tasks.power import POWER
from outlast.training import TrainSettings
from toys import small_gru, wave_streams

CHANGES = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir")
"""What Python tells before it opens a file for writing, makes, renames or removes one."""
SEEN = "seen.json"


def toy_task() -> Any:
    parts = Split(wave_streams(40, 64, 0), wave_streams(8, 64, 1), wave_streams(8, 64, 2), "by seed")
    training = TrainSettings(steps=20, batch_size=8, checkpoint_every=10)
    return replace(
        POWER,
        name="toy",
        streams=lambda: parts,
        model=lambda seed: small_gru(seed=seed),
        train_context=8,
        training=training,
        repairing=training,
        measuring=EvalSettings(targets=8),
        interventions=(Carry(expected_run=40),),
    )


def run(words: list[str], here: Path, out: str, moment: int | None, number: int) -> None:
    """Run a command in the folder `here`; before its `moment`-th change below `out`, counted from 0, comes the signal.

    Leaves in ``seen.json`` which kinds of changes there were, where it came to an end; what it said is in ``said.txt``.
    """
    os.chdir(here)
    sys.path.insert(0, str(here))
    with Path("said.txt").open("a") as said:
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
    torch.set_num_threads(1)
    TASKS["toy"] = toy_task()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    seen: list[str] = []
    whole = str(here / out)

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in CHANGES or not _below(whole, event, arguments):
            return
        seen.append(event)
        if len(seen) - 1 == moment:
            os.kill(os.getpid(), number)

    sys.addaudithook(watch)
    status = main(words)
    Path(SEEN).write_text(json.dumps(seen))
    sys.exit(status)


def _below(folder: str, event: str, arguments: tuple[Any, ...]) -> bool:
    """Whether something below the folder is about to change."""
    path = arguments[0]
    if isinstance(path, int):
        return False
    if event == "open":
        if not arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            return False
    elif arguments[-1] not in (None, -1):
        return True  # in a tree that is being removed: a bare name, and a descriptor of its folder
    return os.path.abspath(path).startswith(folder)
