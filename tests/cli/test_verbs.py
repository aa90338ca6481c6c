"""Every verb, with a model and data of one's own."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import outlast
from cli.workshop import AVERAGING, LEVELS, MEASURE, QUICK, READ, Outcome, Run, figures, files
from outlast.cli import inputs
from outlast.cli.options import VERBS, EvaluateVerb
from outlast.cli.outputs import no_better_than_guessing
from outlast.cli.parsing import parse
from outlast.data.opening import FORMATS
from outlast.data.text.documents import SOURCE
from outlast.evaluation.measures import MEASURES
from outlast.families import FAMILIES
from outlast.interventions import INTERVENTIONS
from outlast.results import Diagnosis, Evaluation
from outlast.training.objectives import OBJECTIVES

MODEL = ("model/outlast.json", "model/model.safetensors")
REPAIR = ("repair", "--model", "mymod:drifting", *MEASURE, "--steps", "60", "--learning-rate", "0.01")


def commands(outcome: Outcome, out: Path) -> list[str]:
    """The commands that a report and a summary print, as one types them."""
    page = re.findall(r"<code>(outlast .*?)</code>", (out / "report.html").read_text())
    typed = [line.replace("&#39;", "'").replace("&#34;", '"') for line in page]
    return [*typed, *re.findall(r"^Next: (outlast .*)$", outcome.out, re.MULTILINE)]


def test_check_keeps_and_breaks(run: Run, here: Path) -> None:
    kept = run("check", "--model", "mymod:build", "--out", "kept")
    assert kept.status == 0
    assert (here / "kept" / "report.html").exists()
    with_data = run("check", "--model", "mymod:build", "--data", "readings.csv", "--out", "kept")
    assert with_data.status == 0
    assert "--model mymod:build --data readings.csv" in with_data.out
    (here / "leaky.py").write_text(
        "from mymod import Drifting\n"
        "class Leaky(Drifting):\n"
        "    def forward(self, inputs, state):\n"
        "        return self.read(inputs - inputs.mean(0)), (state[0] + 1,)\n"
        "def build():\n"
        "    return Leaky()\n"
    )
    broken = run("check", "--model", "leaky:build", "--out", "broken")
    assert broken.status == 1
    assert "outlast check --model leaky:build" in commands(broken, here / "broken")  # once it is mended
    assert "--thorough" not in broken.out.partition("Next:")[2]
    assert "What to do: compute nothing over the batch axis" in " ".join(broken.out.split())


def test_plan_advises_and_its_repair_can_be_made(run: Run, here: Path) -> None:
    asked = ("--steps", "160", "--learning-rate", "0.03", "--price-per-hour", "0.4", "--value-per-unit", "30")
    planned = run("plan", "--model", "mymod:drifting", *MEASURE, *asked, "--budget", "100s", "--out", "plan")
    assert planned.status == 0
    assert files(here / "plan") == {"result.json", "report.html"}
    result = outlast.load_result(here / "plan")
    assert isinstance(result, outlast.Plan)
    assert result.base.command.model == "mymod:drifting"
    assert result.budget == 100.0
    assert result.advice == "repair"
    assert result.worth is not None
    typed = [line for line in commands(planned, here / "plan") if line.startswith("outlast repair")]
    assert typed
    made = run(*shlex.split(typed[0])[1:], "--out", "made")
    assert "read_ahead" in figures(here / "made")["training"]
    assert made.status in (0, 1)
    again = run("report", "plan", "--out", "again.html", "--language", "ja")
    assert again.status == 0


def test_evaluate_writes_and_prints(run: Run, here: Path) -> None:
    outcome = run("evaluate", "--model", "mymod:drifting", *MEASURE, "--out", "out")
    assert outcome.status == 0
    assert outcome.answer.startswith("FAILS")
    assert files(here / "out") == {"result.json", "report.html"}
    result = outlast.load_result(here / "out")
    assert result.kind == "evaluate"


def test_files_with_gaps_and_targets_beside_them_are_measured(run: Run, here: Path) -> None:
    """One stream a file; what was dropped and cut is said at the end, and every option stands in the commands."""
    (here / "many").mkdir()
    names, *lines = (here / "readings.csv").read_text().splitlines()
    for at in range(2):
        rows = [f"{line},{60 * row},{row}" for row, line in enumerate(lines) if not 1000 <= row < 1100]
        rows[7] = "," + rows[7].partition(",")[2]
        (here / "many" / f"m{at}.csv").write_text("\n".join([f"{names},when,No", *rows]) + "\n")
    words = ("--time", "when", "--leave-out", "No", "--max-gap", "90")
    read = ("--data", "many/*.csv", *words, "--target", "power", "--horizon", "2", "--train-context", "8")
    outcome = run("evaluate", "--model", "mymod:drifting", *read, "--targets", "32", *QUICK, "--out", "out")
    said = " ".join(outcome.out.split())
    assert outcome.status == 0
    assert "Of 7,800 rows 2 were dropped for missing values (power 2)." in said
    assert "4 gaps of more than 90 s between rows: streams were cut there (a usual step has 60 s" in said
    data = outlast.load_result(here / "out").data  # pyright: ignore[reportAttributeAccessIssue]
    assert (data["names"], data["left_out"]) == (["m0.csv", "m1.csv"], {"No": "left out as asked"})
    assert "--leave-out No" in said.partition("Next:")[2]
    (here / "goal.csv").write_text("goal\n" + "".join(f"{line.split(',')[0]}\n" for line in lines[1:] + lines[:1]))
    beside = ("--data", "readings.csv", "--targets-file", "goal.csv", "--target", "goal")
    beside += ("--inputs", "power", "phase", "noise")
    model = ("--model", "mymod:drifting", "--train-context", "8", "--targets", "32", *QUICK)
    assert run("evaluate", *model, *beside, "--out", "beside").status == 0
    data = outlast.load_result(here / "beside").data  # pyright: ignore[reportAttributeAccessIssue]
    assert (data["target"]["column"], data["target"]["horizon"], data["targets_file"]) == ("goal", 0, "goal.csv")


def test_diagnose_says_why(run: Run, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    header, *rows = (here / "readings.csv").read_text().splitlines()
    dated = [f"{row},{np.datetime64('2010-03-04T00:00') + number}" for number, row in enumerate(rows)]
    (here / "dated.csv").write_text("\n".join([f"{header},when", *dated]))
    words = ("diagnose", "--model", "mymod:drifting", *MEASURE, "--data", "dated.csv", "--time", "when")
    monkeypatch.setattr("outlast.reporting.drawing.figure_files.JAPANESE", None)
    run(*words, "--language", "ja", "--figures", "--out", "out").refused()
    outcome = run(*words, "--language", "ja", "--out", "out")
    assert outcome.status == 0, outcome.err
    assert outcome.answer.startswith("破綻する：")
    result = outlast.load_result(here / "out")
    assert isinstance(result, Diagnosis)
    assert result.main is not None
    assert result.main.name == "train_context"  # its error begins long before the eight positions that are named
    assert result.trace is not None
    assert result.trace.moments[0].times is not None
    page = (here / "out" / "report.html").read_text()
    assert '<html lang="ja">' in page
    assert result.trace.moments[0].times.source[0][:10] in page
    assert "学習文脈長の食い違い" in page
    drawn = run("report", "out", "--language", "ja", "--out", "again.html")
    assert (drawn.status, (here / "again.html").read_text()) == (0, page)
    run("report", "out", "--language", "ja", "--figures", "figures").refused()
    assert run("report", "out", "--figures", "figures").status == 0
    assert {path.suffix for path in (here / "figures").iterdir()} == {".svg", ".png"}
    typed = [line for line in commands(outcome, here / "out") if line.startswith("outlast diagnose")]
    assert "--time when" in typed[0]
    assert run(*shlex.split(typed[0].replace("TRAINED_ON", "4"))[1:], *QUICK, "--out", "next").status == 0


@pytest.mark.parametrize("under", [True, False])
def test_a_command_keeps_that_the_model_runs_its_users_code(here: Path, under: bool) -> None:
    """Also under a remedy, of which the advice left `--allow-code` out, and the command was refused."""
    options = parse(VERBS["evaluate"], ["--model", "m", "--data", "readings.csv", "--train-context", "8"])
    model = outlast.from_factory("mymod:averaging")
    assert isinstance(options, EvaluateVerb)
    assert inputs.command(options, outlast.with_reset(model, every=8) if under else model).allow_code


def test_diagnose_names_part_onset_and_remedy(run: Run, here: Path) -> None:
    """And agrees with evaluate; a model that breaks on the way is one message."""
    outcome = run("diagnose", "--model", "mymod:averaging", *MEASURE, "--out", "out")
    assert outcome.status == 0, outcome.err
    lines = outcome.out.splitlines()
    for name, words in (("part", "does the harm"), ("onset", "from age 8 on"), ("remedy", "Repair the model")):
        assert words in next(line for line in lines if line.startswith(f"{name} "))
    typed = commands(outcome, here / "out")
    assert typed[-1].startswith("outlast tune --model mymod:averaging")
    last = next(line for line in typed if line.startswith("outlast repair --model mymod:averaging"))
    assert run(*shlex.split(last)[1:], "--steps", "2", *QUICK, "--out", "repaired").status in (0, 1)
    assert run("evaluate", "--model", "mymod:averaging", *MEASURE, "--out", "measured").status == 0
    measured, found = (outlast.load_result(here / name) for name in ("measured", "out"))
    assert isinstance(measured, Evaluation)
    assert isinstance(found, Diagnosis)
    assert found.evaluation.verdict == measured.verdict
    (here / "ending.py").write_text(
        "from mymod import Averaging\n"
        "class Ending(Averaging):\n"
        "    def forward(self, inputs, state):\n"
        "        if state[0][0, 1] > 12:\n"
        "            raise RuntimeError('no such position')\n"
        "        return super().forward(inputs, state)\n"
        "def build():\n"
        "    return Ending()\n"
    )
    for verb in ("evaluate", "diagnose"):
        message = run(verb, "--model", "ending:build", *MEASURE, "--out", f"{verb}-ending").refused()
        assert "raised RuntimeError: no such position (ending.py, line 5" in message


def test_diagnose_without_data_or_with_too_much(run: Run, here: Path) -> None:
    message = run("diagnose", "--model", "mymod:drifting", "--data", "readings.csv").refused()
    assert "without --train-context" in message
    run("diagnose", "--model", "mymod:drifting", "--task", "power", "--data", "readings.csv").refused()


def test_json_is_alone_on_standard_output(run: Run, here: Path) -> None:
    for words in (("evaluate", "--model", "mymod:drifting", *MEASURE), REPAIR, ("check", "--model", "mymod:build")):
        outcome = run(*words, "--json")
        out = Path("runs") / words[0]
        assert json.loads(outcome.out)["kind"] == words[0]
        assert json.loads(outcome.out) == json.loads((here / out / "result.json").read_text())
        assert f"report: {out}/report.html" in outcome.err
    assert json.loads(run("env", "--json").out)["outlast"] == outlast.__version__


def test_an_accepted_repair_is_saved_and_measures_the_same_again(run: Run, here: Path) -> None:
    outcome = run("repair", *AVERAGING, "--guard", "levels.npy", "--out", "out")
    assert outcome.status == 0, outcome.out
    assert "repaired model: out/model" in outcome.out
    assert files(here / "out") == {"result.json", "report.html", *MODEL, "model/code/mymod.py"}
    again = run("evaluate", "--model", "out/model", "--allow-code", *LEVELS, "--out", "again")
    assert again.status == 0
    assert figures(here / "again")["age_curve"] == figures(here / "out")["after"]["age_curve"]
    model = outlast.load(here / "out" / "model", allow_code=True)
    with torch.no_grad():
        outputs, _ = model(torch.zeros(1, 3, 1), model.initial_state(1))
    assert outputs.shape == (1, 3, 1)


def test_a_refused_repair_is_status_1_and_kept_apart(run: Run, here: Path) -> None:
    outcome = run(*REPAIR[:-4], "--steps", "3", "--learning-rate", "1.0", "--out", "out")
    assert outcome.status == 1
    assert "refused model, kept for a look: out/refused" in outcome.out
    assert not (here / "out" / "model").exists()


@pytest.mark.parametrize(
    "rule",
    [
        "random-noise",
        "tbtt",
        *(pytest.param(n, marks=pytest.mark.long) for n in ("zero", "fitted_noise", "state_passing")),
    ],
)
def test_every_intervention(run: Run, here: Path, rule: str) -> None:
    words = ("--intervention", rule, "--steps", "2", "--zero-share", "0.25", "--out", "out")
    assert run(*REPAIR[:-4], *words).status in (0, 1)
    intervention = json.loads((here / "out" / "result.json").read_text())["intervention"]
    assert intervention["zero_share"] == 0.25


MIXED = outlast.Mix(
    members=(
        outlast.Carry(expected_run=80.0),
        outlast.FittedNoise(source="carried", carried_length=16, zero_share=0.5),
    ),
    shares=(2.0, 1.0),
)
CARRIED = "fitted_noise:source=carried,carried_length=16,zero_share=0.5"
IN_TOML = f"""
intervention = "mix"
members = [{{ name = "carry", expected_run = 80.0 }}, "{CARRIED}"]
member_shares = [2, 1]
"""


@pytest.mark.parametrize("words", ["options", "one word", "toml"])
def test_a_mix_by_every_way_of_writing_it(run: Run, here: Path, words: str) -> None:
    (here / "mix.toml").write_text(IN_TOML)
    plain = {"name": "mix", "members": (members := ["carry:expected_run=80", CARRIED]), "shares": [2.0, 1.0]}
    told = {
        "options": ("--intervention", "mix", "--members", *members, "--member-shares", "2", "1"),
        "one word": ("--intervention", json.dumps(plain)),
        "toml": ("--config", "mix.toml"),
    }[words]
    assert run(*REPAIR[:-4], *told, "--steps", "2", "--out", "out").status in (0, 1)
    assert json.loads((here / "out" / "result.json").read_text())["intervention"] == MIXED.describe()


def test_a_comparison_of_interventions_with_settings(run: Run, here: Path) -> None:
    mix = json.dumps({"name": "mix", "members": ["carry", "zero"]})
    words = ("--interventions", "carry:expected_run=40,zero_share=0.5", "carry", mix, "--zero-share", "0.125")
    assert run("compare", *REPAIR[1:-4], *words, "--steps", "2", "--no-control", "--out", "out").status in (0, 1)
    rows = [row["repair"]["intervention"] for row in figures(here / "out")["rows"]]
    assert [(row.get("expected_run"), row["zero_share"]) for row in rows] == [
        (40.0, 0.5),
        (160.0, 0.125),
        (None, 0.125),
    ]
    assert rows[2]["members"][0]["expected_run"] == 160.0


def test_compare_saves_the_winner(run: Run, here: Path) -> None:
    words = ("compare", *AVERAGING, "--interventions", "zero", "carry", "--expected-runs", "80", "inf")
    alone = run(*words, "--out", "alone")
    assert alone.status == 0, alone.out
    assert "repaired model: alone/model" in alone.out
    result = json.loads((here / "alone" / "result.json").read_text())
    assert [row["name"] for row in result["rows"]] == ["zero", "carry(expected_run=80)", "tbtt"]
    assert run(*words, "--jobs", "2", "--out", "together").status == 0
    assert figures(here / "alone") == figures(here / "together")
    outlast.load(here / "alone" / "model", allow_code=True)


@pytest.mark.parametrize(
    "words",
    [
        ("--data", "tokens.npy", "--vocabulary", "9", "--family", "gru"),
        ("--data", "texts", "--family", "gla"),
        ("--data", "texts/01.txt", "--family", "lstm"),
        ("--data", "features.npy", "--horizon", "2", "--family", "mamba2"),
        ("--data", "readings.csv", "--target", "power", "--bins", "4", "--family", "gru"),
        ("--data", "readings.csv", "--family", "lstm"),
        ("--data", "readings.csv", "--target", "power", "--model", "mymod:build"),
    ],
)
def test_train_and_evaluate_what_it_saved(run: Run, here: Path, words: tuple[str, ...]) -> None:
    settings = () if "--model" in words else ("--settings", "width", "8", "layers", "1")
    trained = run("train", *words, *settings, "--train-context", "8", "--steps", "3", *QUICK, "--out", "out")
    assert trained.status == 0, trained.err
    result = json.loads((here / "out" / "result.json").read_text())
    assert result["seconds"] > 0
    assert result["settings"]["train_context"] == 8
    code = {"model/code/mymod.py"} if "mymod:build" in words else set()
    assert files(here / "out") == {"result.json", "report.html", *MODEL, *code}
    if "texts/01.txt" not in words:  # a text of that length is too short to measure on
        for command in commands(trained, here / "out"):
            assert "--model out/model" in command
            assert ("--allow-code" in command) == ("mymod:build" in words)
            measured = run(*shlex.split(command)[1:], "--scored", "16", "--out", "measured")
            assert measured.status == 0, measured.err


def test_code_that_a_directory_names_runs_only_where_it_may(run: Run, here: Path) -> None:
    with (here / "mymod.py").open("a") as code:
        code.write("\nfrom pathlib import Path\n\nPath('it_ran').touch()\n")
    sys.modules.pop("mymod", None)
    assert run("train", *READ, "--model", "mymod:build", "--steps", "2", *QUICK, "--out", "base").status == 0
    (here / "mymod.py").unlink()
    (here / "it_ran").unlink()
    sys.modules.pop("mymod")
    for words in (
        ("check", "--model", "base/model"),
        ("train", *READ, "--model", "base/model"),
        *((verb, "--model", "base/model", *MEASURE) for verb in ("evaluate", "diagnose", "repair", "compare")),
        ("dose", "--base", "base/model", "--repaired", "base/model", "--dose", "0.5"),
        ("generate", "--model", "base/model", "--tokens", "1"),
    ):
        message = run(*words).refused()
        assert "base/model, whose model is built by running the function 'mymod:build'" in message
        assert "--allow-code" in message
    assert files(here / "runs") == set()
    assert not (here / "it_ran").exists()
    assert run("check", "--model", "base/model", "--allow-code").status == 0
    assert (here / "it_ran").exists()


# Help calls files of source code by that name.
SUFFIXES = [suffix for each in FORMATS for suffix in each.suffixes if suffix not in SOURCE]


@pytest.mark.parametrize(
    ("verb", "option", "registered"),
    [
        ("train", "--family", FAMILIES),
        ("train", "--objective", OBJECTIVES),
        ("evaluate", "--measure", MEASURES),
        ("evaluate", "--data", [each for each in SUFFIXES if not each.endswith(".gz")]),
        ("repair", "--intervention", INTERVENTIONS),
    ],
)
def test_help_lists_what_is_registered(run: Run, verb: str, option: str, registered: Iterable[str]) -> None:
    """Help loads no torch, so the lists stand in its text."""
    shown = run(verb, "--help-all").out
    _, found, rest = shown.partition(f"{option} ")
    assert found
    told = [word.rstrip(".") for word in re.split(r"[^\w.]+", rest.partition(" --")[0])]
    assert [name for name in registered if name not in told] == []


def test_train_reads_nested_settings(run: Run, here: Path) -> None:
    nested = ("recurrent", "mamba2", "recurrent_settings", '{"heads": 2}', "width", "8")
    words = ("train", *READ, *QUICK, "--family", "hybrid", "--steps", "2", "--out", "out")
    assert run(*words, "--settings", *nested).status == 0
    blueprint = json.loads((here / "out" / "model" / "outlast.json").read_text())["blueprint"]
    assert blueprint["settings"]["recurrent_settings"] == {"heads": 2}
    wrong = run(*words, "--settings", "recurrent_settings", "heads")
    assert wrong.status == 2
    assert "a JSON object" in wrong.err


def test_train_makes_the_same_model_from_the_same_seed(run: Run) -> None:
    words = ("train", *READ, *QUICK, "--family", "gru", "--settings", "width", "4", "--steps", "3")
    for out, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert run(*words, "--seed", seed, "--out", out).status == 0
    first, second, third = (outlast.load(f"{out}/model").state_dict() for out in "abc")
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not all(torch.equal(first[name], third[name]) for name in first)


def test_a_config_stands_for_the_command_line_which_wins(run: Run, here: Path) -> None:
    (here / "run.toml").write_text(
        'model = "mymod:drifting"\ndata = "readings.csv"\ntarget = "power"\nhorizon = 2\ntrain-context = 8\n'
        'targets = 32\ninputs = ["power", "phase", "noise"]\nmeasure = ["absolute_error"]\nshares = [0.5, 0.2, 0.3]\n'
        'threads = 1\nmax_length = 64\njson = true\nout = "from-file"\n'
    )
    outcome = run("evaluate", "--config", "run.toml", "--max-length", "32")
    result = json.loads(outcome.out)
    assert result["measure"] == "absolute_error"
    assert result["data"]["length_used"] == 32
    assert result["command"]["options"] == (
        "--inputs power phase noise --target power --horizon 2 --shares 0.5 0.2 0.3"
    )
    assert (here / "from-file" / "result.json").exists()
    (here / "train.toml").write_text("[settings]\nwidth = 6\nresidual = false\n")
    words = ("train", *READ, "--family", "gru", "--steps", "2", "--config=train.toml", "--out", "trained")
    assert run(*words).status == 0
    assert json.loads((here / "trained" / "result.json").read_text())["model"]["blueprint"]["settings"]["width"] == 6


@pytest.mark.parametrize(
    "model",
    [pytest.param("averaging", marks=pytest.mark.long), pytest.param("drifting", marks=pytest.mark.long), "build"],
)
def test_printed_commands_run(run: Run, here: Path, model: str) -> None:
    """A result leads to a command, which leads to a result, and so on."""
    read = ("--data", "with space.csv", *READ[2:], "--inputs", "power", "phase", "noise")
    (here / "with space.csv").symlink_to(here / "readings.csv")
    small = ("--steps", "3", "--scored", "32", *QUICK)
    measured = run("evaluate", "--model", f"mymod:{model}", *read, "--scored", "32", *QUICK, "--out", "first")
    seen = set()
    for command in commands(measured, here / "first"):
        words = shlex.split(command)[1:]
        seen.add(words[0])
        words = ["with space.csv" if word.isupper() and word != "OUT" else word for word in words]
        if "--max-length" in words:  # of longer data than are at hand
            words = words[: words.index("--max-length")]
        more = {"train": (*small[:2], *QUICK), "repair": small, "compare": small}.get(words[0], small[2:])
        answer = run(*words, *more)
        assert answer.status in (0, 1), (command, answer.err)
        for further in commands(answer, here / "runs" / words[0]):
            assert any(data in further for data in ("'with space.csv'", "OTHER_DATA", "LONGER_DATA", "MORE_DATA"))
            assert "--inputs power phase noise --target power --horizon 2" in further
    assert seen == {"averaging": {"tune", "repair", "compare"}, "drifting": {"train"}, "build": {"train"}}[model]


def test_the_printed_command_after_acceptance_measures_the_saved_model(run: Run, here: Path) -> None:
    outcome = run("repair", *AVERAGING, "--horizon", "2", "--out", "out here")
    assert outcome.status == 0
    [command, *_] = commands(outcome, here / "out here")
    assert command.startswith("outlast evaluate --model 'out here/model' --allow-code --data OTHER_DATA --horizon 2")
    words = shlex.split(command.replace("OTHER_DATA", "levels.npy"))[1:]
    assert run(*words, "--out", "after").status == 0


def test_report_of_several_results(run: Run, here: Path) -> None:
    run("evaluate", "--model", "mymod:drifting", *MEASURE, "--out", "a")
    run("check", "--model", "mymod:build", "--out", "b")
    outcome = run("report", "a", "b/result.json", "--out", "both.html")
    assert (outcome.status, outcome.out) == (0, "both.html\n")
    page = (here / "both.html").read_text()
    assert "mymod:drifting" in page
    assert "Reading in pieces equals reading at once" in page


def test_tasks_and_env(run: Run) -> None:
    assert "power: household power" in run("tasks").out
    printed = run("env").out
    for name in (
        "outlast",
        "torch",
        "threads",
        "threads of kernels",
        "device",
        "allocator",
        "bfloat16",
        "products in float32",
        "scan",
    ):
        assert f"{name}: " in printed


@pytest.mark.skipif(sys.platform != "linux", reason="about GNU's threads")
@pytest.mark.parametrize(
    ("own", "told"), [({}, "GOMP_SPINCOUNT=2000"), ({"OMP_WAIT_POLICY": "active"}, "OMP_WAIT_POLICY=active")]
)
def test_threads_that_wait_soon_sleep_unless_the_user_says_otherwise(own: dict[str, str], told: str) -> None:
    around = {name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    command = [sys.executable, "-m", "outlast", "env"]
    done = subprocess.run(command, env={**around, **own}, capture_output=True, text=True, check=True, timeout=120)
    assert f"threads of kernels: torch's own, {told}\n" in done.stdout


@pytest.mark.long
def test_env_compiles_every_family_in_both_precisions(run: Run) -> None:
    told = run("env", "--warm").err
    assert all(f"{family} in {precision}: " in told for family in FAMILIES for precision in ("float32", "bfloat16"))


@pytest.mark.parametrize("verb", VERBS)
def test_help(run: Run, verb: str) -> None:
    outcome = run(verb, "--help")
    assert outcome.status == 0
    assert f"usage: outlast {verb}" in outcome.out
    assert "None" not in outcome.out
    assert run(verb, "-h").out == outcome.out


def test_no_verb_is_wrong_and_shows_them_all(run: Run) -> None:
    outcome = run()
    assert (outcome.status, outcome.out) == (2, "")
    assert all(verb in outcome.err for verb in VERBS)


def test_a_model_no_better_than_a_guess_is_called_that(run: Run) -> None:
    far = run("evaluate", "--model", "mymod:far_off", *MEASURE)
    assert "MISREAD: This model does not fit these data as they are read" in far.out
    assert "warning" not in far.err
    assert "warning" not in run("evaluate", "--model", "mymod:drifting", *MEASURE, "--out", "out").err
    assert "MISREAD" in run("diagnose", "--model", "mymod:far_off", *MEASURE).out
    assert "as they are read" in run("repair", "--model", "mymod:far_off", *MEASURE, "--steps", "2").refused()
    assert "as they are read" in run("compare", "--model", "mymod:far_off", *MEASURE, "--steps", "2").refused()
    anyway = run("repair", "--model", "mymod:far_off", *MEASURE, "--steps", "2", "--anyway")
    assert "warning: within its training context the model is no better (squared error" in anyway.err
    assert "always guessing the mean of these targets" in anyway.err

    measured = outlast.load_result("out")
    assert isinstance(measured, Evaluation)
    assert measured.short is not None
    guess = measured.guesses["constant"]
    for name, words in {
        "cross_entropy": "guessing by how frequent each class is among these targets",
        "error_rate": "always guessing the most frequent class",
        "squared_error": "always guessing the mean of these targets",
        "absolute_error": "always guessing the median of these targets",
    }.items():
        as_good = replace(measured, measure=name, guesses={"constant": replace(guess, loss=measured.short.loss)})
        assert f"({name.replace('_', ' ')} {measured.short.loss:.4g}) than {words}" in str(
            no_better_than_guessing(as_good)
        )
        assert "--scale" in str(no_better_than_guessing(as_good))
        of_text = replace(as_good, data={**as_good.data, "target": "next token"})
        assert "another tokenizer" in str(no_better_than_guessing(of_text))
    for better in (
        replace(measured, guesses={"constant": replace(guess, loss=measured.short.loss * 1.001)}),
        replace(measured, guesses={"persistence": replace(guess, loss=0.0)}),
        replace(measured, measure="a measure of one's own", guesses={"constant": replace(guess, loss=0.0)}),
        replace(measured, short=None),
    ):
        assert no_better_than_guessing(better) is None
