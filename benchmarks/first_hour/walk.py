"""A stranger's first hour: eight models, three tables, the defaults, and what outlast answers.

The stranger types what is evident (model, data, target, horizon, training context), and where outlast asks, pastes the
command that it proposes. Everything that is printed is kept; the answers are held against plain loops (`by_hand`).
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE)]

from by_hand import STRANGERS, Stranger

ASKED = 6
"""Questions after which a stranger gives up."""
PATIENCE = 900
"""Seconds after which they give up, too."""


@dataclass(frozen=True)
class Step:
    """One command, what it took, and what it answered."""

    model: str
    command: str
    status: int
    seconds: float
    said: str

    @property
    def proposed(self) -> str | None:
        """The first line of the answer that is a command."""
        lines = [line.strip().strip("`") for line in self.said.splitlines()]
        return next((line for line in lines if line.startswith("outlast ")), None)


def run(model: str, command: str, folder: Path) -> Step:
    """Run a command in the folder, as a shell would, and keep all that it prints."""
    words = shlex.split(command)
    words[0] = str(Path(sys.executable).with_name("outlast"))
    began = time.monotonic()
    try:
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=False,
                              env={**os.environ, "PYTHONPATH": str(folder)})  # fmt: skip
        status, said = done.returncode, done.stdout + done.stderr
    except subprocess.TimeoutExpired:
        status, said = 124, "(no answer)"
    return Step(model, command, status, round(time.monotonic() - began, 1), said)


def first_command(stranger: Stranger, verb: str) -> str:
    model = "exported.onnx" if stranger.name == "exported" else f"strangers.{stranger.name}:build"
    words = ["outlast", verb, "--model", model, "--data", stranger.table, "--target", stranger.target]
    words += ["--horizon", str(stranger.horizon), "--train-context", str(stranger.train_context)]
    return shlex.join([*words, "--out", f"answers/{stranger.name}-{verb}"])


def asked_until_answered(stranger: Stranger, command: str, folder: Path) -> list[Step]:
    """The command, and while wrong input is what is answered, the one that is proposed instead.

    Where an option is asked for by name and no command is there to paste, what the author knows is added.
    """
    steps = [run(stranger.name, command, folder)]
    while steps[-1].status == 2 and len(steps) <= ASKED:
        last = steps[-1]
        known = stranger.said and stranger.said[0] in last.said and stranger.said[0] not in last.command
        command = shlex.join([*shlex.split(last.command), *stranger.said]) if known else last.proposed or ""
        if command in ("", last.command):
            break
        steps.append(run(stranger.name, command, folder))
    return steps


def walk(stranger: Stranger, folder: Path, verbs: list[str]) -> list[Step]:
    steps: list[Step] = []
    for verb in verbs:
        if verb == "check":
            name = "exported.onnx" if stranger.name == "exported" else f"strangers.{stranger.name}:build"
            steps += asked_until_answered(stranger, f"outlast check --model {name}", folder)
        else:
            steps += asked_until_answered(stranger, first_command(stranger, verb), folder)
    return steps


def main() -> None:
    told = argparse.ArgumentParser(description=__doc__)
    told.add_argument("--out", type=Path, required=True, help="where `prepare.py` left tables and models")
    told.add_argument("--only", nargs="*")
    told.add_argument("--verbs", nargs="*", default=["check", "diagnose", "repair"])
    asked = told.parse_args()
    for stranger in STRANGERS:
        if asked.only and stranger.name not in asked.only:
            continue
        for step in walk(stranger, asked.out.resolve(), asked.verbs):
            with (asked.out / "steps.jsonl").open("a") as kept:
                kept.write(json.dumps(asdict(step)) + "\n")
            print(
                f"== {step.model}: {step.command}\n   status {step.status}, {step.seconds} s\n{step.said}", flush=True
            )


if __name__ == "__main__":
    main()
