"""A stranger's first hour: eight models, three tables, the defaults, and what outlast answers.

The stranger types what is evident (model, data, target, horizon, training context), and where outlast asks, pastes the
command that it proposes. Everything that is printed is kept; the answers are held against plain loops (`by_hand`).
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import math
import os
import re
import shlex
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE)]

from by_hand import STRANGERS, Stranger, trained
from held_against import Held, held

from benchmarks.pages.marks import named_marks, put_figures

ASKED = 6
"""Questions after which a stranger gives up."""
PATIENCE = 900
"""Seconds after which they give up, too."""
LONGEST = 260
"""Characters of an answer that the page shows."""
MEASURING = ("evaluate", "diagnose")
HEADLINE = re.compile(r"[A-Z][A-Z ]+: ")


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
        lines = [line.strip().removeprefix("Next: ") for line in self.said.splitlines()]
        return next((line for line in lines if line.startswith("outlast ")), None)

    @property
    def unanswered(self) -> bool:
        """Whether something has to be said before there is an answer."""
        return self.status == 2 or self.headline.startswith("MISREAD")

    @property
    def headline(self) -> str:
        """The sentence that answers, or what was asked or refused."""
        lines = self.said.splitlines()
        if self.status == 2:
            return next((line for line in lines if line.startswith("given: ")), "")
        first = next((i for i, line in enumerate(lines) if HEADLINE.match(line)), None)
        if first is None:
            return lines[-1] if lines else ""
        return " ".join(itertools.takewhile(bool, lines[first:]))


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
    """The command, and while something has to be said first, the one that is proposed instead.

    Where an option is asked for by name and no command is there to paste, what the author knows is added.
    """
    steps = [run(stranger.name, command, folder)]
    while steps[-1].unanswered and len(steps) <= ASKED:
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


def table_of(steps: list[Step]) -> str:
    """Steps as rows of Markdown: what was typed, the time it took, the answer."""
    rows = ["| model | what was typed | seconds | answer |", "| --- | --- | --- | --- |"]
    for name, of_model in itertools.groupby(steps, key=lambda step: step.model):
        for number, step in enumerate(of_model):
            words = shlex.split(step.command)
            added = " ".join(words[words.index("--out") + 2 :]) if "--out" in words else ""
            typed = f"`{words[1]}{' … ' + added if added else ''}`"
            said = step.headline.removeprefix("given: ").replace("|", "\\|")
            said = said if len(said) <= LONGEST else f"{said[:LONGEST].rsplit(' ', 1)[0]} …"
            answer = f"asks or refuses: {said}" if step.status == 2 else said
            rows.append(f"| {f'`{name}`' if number == 0 else ''} | {typed} | {step.seconds:.0f} | {answer} |")
    return "\n".join(rows)


def held_of(found: dict[str, Held]) -> str:
    """What was measured beside what the author's loop measures."""
    rows = [
        "| model | streams × rows | rows stand so in the table | outlast | by hand | largest difference of a stream |"
    ]
    rows.append("| --- | --- | --- | --- | --- | --- |")
    for name, each in found.items():
        figures = f"{math.sqrt(each.error):.5g} | {math.sqrt(each.by_hand):.5g} | {100 * each.apart:.2g} %"
        so = "yes" if each.consecutive else "no"
        rows.append(f"| `{name}` | {each.streams} × {each.positions} | {so} | {figures} |")
    return "\n".join(rows)


def main() -> None:
    told = argparse.ArgumentParser(description=__doc__)
    told.add_argument("--out", type=Path, required=True, help="where `prepare.py` left tables and models")
    told.add_argument("--only", nargs="*")
    told.add_argument("--verbs", nargs="*", default=["check", "diagnose", "repair"])
    told.add_argument("--page", type=Path, help="write the tables between the marks of this page")
    asked = told.parse_args()
    folder = asked.out.resolve()
    sys.path[:0] = [str(folder)]
    steps: list[Step] = []
    for stranger in STRANGERS:
        if asked.only and stranger.name not in asked.only:
            continue
        for step in walk(stranger, folder, asked.verbs):
            steps.append(step)
            print(
                f"== {step.model}: {step.command}\n   status {step.status}, {step.seconds} s\n{step.said}", flush=True
            )
    (folder / "steps.json").write_text(json.dumps([asdict(step) for step in steps], indent=1))
    answered = {
        step.model: step.command for step in steps if step.status == 0 and shlex.split(step.command)[1] in MEASURING
    }
    with contextlib.chdir(folder):
        found = {s.name: held(s, trained(s, folder), answered[s.name], folder) for s in STRANGERS if s.name in answered}
    tables = f"{table_of(steps)}\n\n{held_of(found)}"
    print(tables)
    if asked.page:
        put_figures(asked.page, "A stranger's first hour", [tables], *named_marks("the walk"))


if __name__ == "__main__":
    main()
