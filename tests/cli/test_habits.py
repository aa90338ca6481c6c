"""What people expect of any command: quiet, completion, help in groups with examples that work, words told apart."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from cli.workshop import MEASURE, QUICK, READ, Run, contents, files
from outlast.cli.completion import SHELLS
from outlast.cli.described import options_of
from outlast.cli.options import VERBS
from outlast.cli.parsing import parse
from outlast.cli.progress import Reporter
from outlast.results import Cost

TRAIN = ("train", *READ, *QUICK, "--family", "gru", "--settings", "width", "4", "--steps", "2", "--batch-size", "4")
REPAIR = ("repair", "--model", "mymod:drifting", *MEASURE, "--steps", "2", "--batch-size", "4")


@pytest.mark.parametrize("verb", VERBS)
def test_the_example_of_every_verb_is_parsed(verb: str) -> None:
    program, *words = shlex.split(VERBS[verb].about.example)
    named = len(verb.split())
    assert (program, " ".join(words[:named])) == ("outlast", verb)
    words = words[named:]
    # Where a shell would send its output to is no word of the command.
    parse(VERBS[verb], words[: words.index("<")] if "<" in words else words)


@pytest.mark.parametrize("verb", VERBS)
def test_help_shows_every_option_in_a_named_group_and_ends_with_the_example(run: Run, verb: str) -> None:
    shown = run(*verb.split(), "--help-all").out
    for option in options_of(VERBS[verb]):
        assert option.said, option
        group = shown.partition(f"\n{option.group}:\n")[2].partition("\n\n")[0]
        assert f"  {', '.join(option.flags) or option.name.upper()}" in group
    example = shown.partition("\nExample:\n")[2].replace("\\\n", " ")
    assert shlex.split(example) == shlex.split(VERBS[verb].about.example)
    assert max(map(len, shown.splitlines())) <= 100


def test_groups_have_the_names_that_people_look_for(run: Run) -> None:
    titles = [line.rstrip(":") for line in run("repair", "--help-all").out.splitlines() if line.endswith(":")]
    wanted = [
        "Model",
        "Data",
        "Measuring",
        "Training",
        "Starts",
        "Repair",
        "Machine",
        "Output",
        "Everywhere",
        "Example",
    ]
    assert [title for title in titles if title in wanted] == wanted


def test_a_verb_of_many_options_shows_the_usual_ones_first(run: Run) -> None:
    shown = run("repair", "--help").out
    assert re.findall(r"^  (?:-\w, )?--([a-z-]+)", shown, flags=re.M) == [
        "model", "data", "train-context", "target", "horizon", "stream", "time", "intervention", "out", "budget",
        "config", "help", "help-all",
    ]  # fmt: skip
    assert f"Show {len(options_of(VERBS['repair'])) - 10} more options." in " ".join(shown.split())
    few = [run("dose", flag).out.partition("Everywhere:")[0] for flag in ("--help", "--help-all")]
    assert few[0] == few[1]


def test_quiet_leaves_out_progress_and_nothing_else(run: Run, here: Path) -> None:
    loud, quiet = (run(*TRAIN, *more, "--out", "out") for more in ((), ("--quiet",)))
    assert "train: 100%" in loud.err
    assert (quiet.status, quiet.err) == (0, "")
    assert quiet.answer.startswith("TRAINED")
    far = ("--model", "mymod:far_off", *MEASURE, "--steps", "2", "--anyway", "--quiet")
    assert "no better" in run("repair", *far).err
    assert "horizon of 5000" in run("evaluate", "--model", "mymod:build", *MEASURE, "--horizon", "5000", "-T", "8",
                                    "--quiet").refused()  # fmt: skip


def completed(script: Path, *words: str) -> set[str]:
    """What bash offers for the last of the words."""
    code = f"""
source {shlex.quote(str(script))}
COMP_WORDS=({shlex.join(words)}); COMP_CWORD={len(words) - 1}
_shtab_outlast outlast {shlex.quote(words[-1])} {shlex.quote(words[-2])}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, cwd=script.parent)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_bash_completes_verbs_options_choices_and_files(run: Run, here: Path, tmp_path: Path) -> None:
    script = tmp_path / "completion"
    script.write_text(run("--print-completion", "bash").out)
    assert completed(script, "outlast", "") == {verb.split()[0] for verb in VERBS}
    for group in ("live", "live incidents"):
        inner = {verb.removeprefix(f"{group} ").split()[0] for verb in VERBS if verb.startswith(f"{group} ")}
        assert completed(script, "outlast", *group.split(), "") == inner
    assert completed(script, "outlast", "re") == {"recipe", "repair", "report"}
    for verb, kind in VERBS.items():
        flags = {flag for option in options_of(kind) for flag in option.flags if flag.startswith("--")}
        assert completed(script, "outlast", *verb.split(), "--") == {*flags, "--config", "--help", "--help-all"}
    assert completed(script, "outlast", "train", "--precision", "") >= {"auto", "float32", "bf16"}
    assert "readings.csv" in completed(script, "outlast", "train", "--data", "rea")


@pytest.mark.parametrize("shell", SHELLS)
def test_one_script_for_all_verbs(run: Run, shell: str) -> None:
    script = run("--print-completion", shell)
    assert script.status == 0
    assert all(word in script.out for verb in VERBS for word in verb.split())
    assert run(f"--print-completion={shell}").out == script.out


@pytest.mark.parametrize("words", [("--print-completion",), ("--print-completion", "fish")])
def test_no_other_shell(run: Run, words: tuple[str, ...]) -> None:
    assert "one of bash, zsh, tcsh" in run(*words).refused()


def test_targets_is_the_old_name_of_scored_and_not_of_target(run: Run, here: Path) -> None:
    words = ("--model", "m:b", "--data", "d.csv", "-T", "8")
    evaluate = VERBS["evaluate"]
    for old in (("--targets", "32"), ("--targets=32",), ("--scored", "32")):
        assert parse(evaluate, [*words, *old]).scored == 32
    (here / "old.toml").write_text("targets = 32")
    assert parse(evaluate, [*words, "--config", "old.toml"]).scored == 32
    message = run("evaluate", *words, "--targets", "power").refused()
    assert "--targets power" in message
    assert "write --target power if that is a column" in message
    assert "--target power" in run("evaluate", *words, "--targets=power").refused()


@pytest.mark.parametrize(
    "form", [("0.6", "0.15", "0.25"), ("0.6/0.15/0.25",), ("60%/15%/25%",), ("0.6,0.15,0.25",), ("60%", "15%", "25%")]
)
def test_shares_in_the_forms_that_messages_have(here: Path, form: tuple[str, ...]) -> None:
    words = ["--model", "m:b", "--data", "d.csv", "-T", "8"]
    wanted = pytest.approx((0.6, 0.15, 0.25))
    assert parse(VERBS["evaluate"], [*words, "--shares", *form]).shares == wanted
    if len(form) == 1:
        assert parse(VERBS["evaluate"], [*words, f"--shares={form[0]}"]).shares == wanted
        (here / "c.toml").write_text(f'shares = "{form[0]}"')
        assert parse(VERBS["evaluate"], [*words, "--config", "c.toml"]).shares == wanted


@pytest.mark.parametrize(("words", "status"), [(TRAIN, (0,)), (REPAIR, (0, 1))], ids=["train", "repair"])
def test_resuming_what_has_finished_shows_it_and_does_nothing(
    run: Run, here: Path, words: tuple[str, ...], status: tuple[int, ...]
) -> None:
    first = run(*words, "--out", "out")
    assert first.status in status
    before = contents(here / "out")
    again = run(*words, "--out", "out", "--resume")
    assert again.status == first.status
    assert "nothing to resume in out: the run has finished" in again.err
    assert again.answer.splitlines()[0] == first.answer.splitlines()[0]
    assert contents(here / "out") == before
    changed = [("learning_rate", "0.5"), ("leak", "8.0")]
    changed += [("anchor", "1.0"), ("intervention", "tbtt")] if words is REPAIR else []
    for name, value in changed:
        other = run(*words, "--out", "out", "--resume", f"--{name.replace('_', '-')}", value).refused()
        assert f"--resume with {name} {value} in out, where a run with " in other
    assert "with no leak has finished" in run(*words, "--out", "out", "--resume", "--leak", "8").refused()
    assert contents(here / "out") == before


def test_resuming_where_another_verb_has_finished_is_refused_as_without_it(run: Run, here: Path) -> None:
    assert run("check", "--model", "mymod:build", "--out", "out").status == 0
    assert "of kind 'check'" in run(*TRAIN, "--out", "out", "--resume").refused()
    assert files(here / "out") == {"result.json", "report.html"}


BROKEN = """\
import torch
from torch import nn
from mymod import Drifting


class Wrong(Drifting):
    def forward(self, inputs, state):
        return self.read(inputs @ torch.ones(7, 3)), state


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(3, 4, batch_first=True)

    def forward(self, x, hidden=None):
        y, hidden = self.gru(x, hidden)
        return y.nothing, hidden


def build():
    sizes = {}
    return Plain() if sizes["width"] else None


def wrong():
    return Wrong()


def plain():
    return Plain()


def of_ours():
    from outlast import InputSpec, build
    return build("gru", inputs=InputSpec("features", 3), outputs=1, width=4, layrs=1)
"""


@pytest.mark.parametrize(
    ("function", "parts"),
    [
        ("build", ["KeyError: 'width'", 'broken.py, line 23, in build: return Plain() if sizes["width"] else None']),
        (
            "wrong",
            ["RuntimeError: ", "broken.py, line 8, in forward: return self.read(inputs @ torch.ones(7, 3)), state"],
        ),
        ("plain", ["'Tensor' object has no attribute 'nothing'", "broken.py, line 18, in forward: return y.nothing"]),
        ("of_ours", ["setting of gru 'layrs'", "broken.py, line 36, in of_ours", "did you mean 'layers'?"]),
    ],
)
def test_a_bug_in_the_users_code_is_shown_with_its_line(run: Run, here: Path, function: str, parts: list[str]) -> None:
    (here / "broken.py").write_text(BROKEN)
    message = run("evaluate", "--model", f"broken:{function}", *MEASURE).refused()
    assert all(part in message for part in parts), message
    assert "site-packages" not in message
    assert "src/outlast" not in message


def test_a_module_that_cannot_be_parsed_is_shown_with_its_line(run: Run, here: Path) -> None:
    (here / "unfinished.py").write_text("import torch\n\ndef build(:\n    pass\n")
    message = run("evaluate", "--model", "unfinished:build", *MEASURE).refused()
    assert "SyntaxError" in message
    assert "unfinished.py, line 3: def build(:" in message


@pytest.mark.parametrize(
    ("name", "near"),
    [("readngs.csv", "readings.csv"), ("readings.cvs", "readings.csv"), ("readings", "readings.csv"),
     ("Levels.npy", "levels.npy")],
)  # fmt: skip
def test_a_file_that_was_meant_is_named(run: Run, name: str, near: str) -> None:
    assert f"did you mean {near}?" in run("evaluate", "--model", "mymod:build", *MEASURE, "--data", name).refused()


@pytest.mark.parametrize("name", ["data.csv", "power.npy", "house.csv", "x"])
def test_no_odd_neighbour_is_named(run: Run, name: str) -> None:
    assert "did you mean" not in run("evaluate", "--model", "mymod:build", *MEASURE, "--data", name).refused()
    message = run("evaluate", "--model", "mymod:build", *MEASURE, "--target", "temperature").refused()
    assert "choose one of noise, phase, power" in message


def test_the_cost_of_measuring_is_said_where_it_is_more_than_a_few_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    long = Cost(streams=8, length=16_384, targets=2048, positions=480_000, seconds=1500, memory=3 * 2**29)
    for quiet, seconds in ((True, 1500), (False, 2)):
        Reporter(quiet=quiet).expect(replace(long, seconds=seconds))
        assert capsys.readouterr().err == ""
    Reporter().expect(long)
    said = capsys.readouterr().err
    for part in ("8 streams × 16,384 positions", "480,000 positions to read in all", "about 25min", "1.5 GiB"):
        assert part in said


def test_time_left_is_said_once_there_is_a_pace(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way to the first news holds compiling and the reading of files: it says nothing of what is to come."""
    now = [0.0]
    monkeypatch.setattr("outlast.cli.progress.time.monotonic", lambda: now[0])
    say = Reporter()
    for now[0], share, loss in ((30.0, 0.001, 1.5), (42.0, 0.101, 1.25), (60.0, 0.251, None), (150.0, 1.0, None)):
        say("train", share, loss)
    assert capsys.readouterr().err.splitlines() == [
        "train: 0%, loss 1.5000",
        "train: 10%, loss 1.2500, about 108s left",
        "train: 25%, about 90s left",
        "train: 100%, done in 150 s",
    ]


def test_a_budget_is_taken_in_a_table_too_and_what_it_chose_can_be_typed(run: Run, here: Path) -> None:
    (here / "how.toml").write_text("budget = 3600\nmost_streams = 9\n")
    model = ("--model", "mymod:build", *MEASURE)
    first = run("evaluate", *model, "--config", "how.toml", "--out", "first", "--json")
    assert first.status == 0
    record = json.loads(first.out)
    assert (record["settings"]["budget"], record["settings"]["streams"], record["data"]["streams"]) == (3600, 9, 9)
    assert record["cost"]["streams"] == 9
    again = run("evaluate", *model, "--most-streams", "9", "--budget", "1h", "--out", "again", "--json")
    assert json.loads(again.out)["age_curve"] == record["age_curve"]


@pytest.mark.parametrize("words", [("plan", "--help"), ("--version",)])
def test_whoever_reads_what_is_printed_may_have_had_enough(words: tuple[str, ...]) -> None:
    """As `outlast plan --help | head -1` does: no traceback, and the status of a broken pipe."""
    reads, writes = os.pipe()
    os.close(reads)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "outlast", *words], stdout=writes, stderr=subprocess.PIPE, check=False, timeout=120
        )
    finally:
        os.close(writes)
    assert (done.returncode, done.stderr) == (141, b"")
