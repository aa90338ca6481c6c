"""What a developer is told to type: help lists every target, hooks run what make lint runs, commands are there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.search(r"\.PHONY:((?:.*\\\n)*.*)", MAKEFILE)[1].replace("\\\n", " ").split())  # pyright: ignore[reportOptionalSubscript]


def commands_of(target: str) -> list[str]:
    """What a target runs, those that it needs included."""
    needs, lines = re.search(rf"^{target}:(.*)\n((?:\t.*\n)*)", MAKEFILE, re.M).groups()  # pyright: ignore[reportOptionalMemberAccess]
    inner = [line for name in needs.partition("#")[0].split() if name != "install" for line in commands_of(name)]
    return [*inner, *(line.replace("$(BIN)", ".venv/bin") for line in lines.replace("\t", "").splitlines())]


def test_help_has_one_line_for_every_target() -> None:
    shown = subprocess.run(["make", "--silent", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found = re.findall(r"^  make (\S+) +\S", shown, re.M)
    assert len(found) == len(set(found))
    assert set(found) == TARGETS
    assert max(map(len, shown.splitlines())) <= 120


def test_hooks_run_what_make_lint_runs_and_fetch_nothing() -> None:
    record = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [each["repo"] for each in record["repos"]] == ["local"]
    hooks = [hook for each in record["repos"] for hook in each["hooks"]]
    assert [hook["entry"] for hook in hooks] == commands_of("lint")
    assert all(hook["language"] == "system" and not hook["pass_filenames"] for hook in hooks)


def test_the_ten_things_have_commands_that_are_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text.partition("## Ten things one does\n")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if re.match(r"\|.*`", line)]
    assert len(rows) == 10
    assert set(re.findall(r"`make ([a-z-]+)", text)) <= TARGETS
    for file in re.findall(r"\b(?:tests|docs)/[\w/]+\.(?:py|md)", table):
        assert (ROOT / file).is_file(), file
