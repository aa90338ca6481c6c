"""What a repair is told, what it leaves, and the model between a base and its repair."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import outlast
from cli.workshop import AVERAGING, LEARN, LEVELS, MEASURE, Outcome, Run, files
from outlast.checkpoints import read_record
from outlast.cli.option_groups import Repairing
from outlast.cli.options import CompareVerb, RepairVerb
from outlast.modules.resetting import WithReset
from outlast.repairs import RepairSettings
from outlast.results import Command, Comparison, Refusal, Repair, Tuning, load_as, save_result

BUDGET = ("repair", "--model", "mymod:drifting", *MEASURE, "--learning-rate", "0.01", "--jobs", "1", "--out", "out")
REFUSED = ("--model", "mymod:drifting", *MEASURE, "--steps", "2", "--learning-rate", "1.0")
SUFFICES = ("--model", "mymod:averaging_wrong_from_the_start", *LEVELS, *LEARN, "--anchor", "0")
SAVED = ("outlast.json", "model.safetensors", "code/mymod.py")
COMPARED = ("--interventions", "zero", "carry")


def asked(run: Run, monkeypatch: pytest.MonkeyPatch, verb: str, *words: str) -> dict[str, Any]:
    """The arguments with which a command calls the library."""
    seen: dict[str, Any] = {}

    def called(model: object, data: object, **named: Any) -> None:
        seen.update(named)
        raise outlast.InputError("enough", "nothing", "nothing")

    with monkeypatch.context() as patch:
        patch.setattr(f"outlast.cli.verbs.{verb}", called)
        assert "given: enough" in run(verb, *AVERAGING, *words).refused()
    return seen


def test_the_defaults_are_those_of_the_library() -> None:
    assert RepairSettings(**{name: field.default for name, field in Repairing.__dataclass_fields__.items()}) == (
        RepairSettings()
    )
    for verb in (RepairVerb, CompareVerb):
        assert issubclass(verb, Repairing)
        assert verb.__dataclass_fields__["jobs"].default == 1


@pytest.mark.parametrize("verb", ["repair", "compare"])
def test_options_reach_the_repair(run: Run, here: Path, monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    plain = asked(run, monkeypatch, verb)
    assert (plain["repairing"], plain["jobs"]) == (RepairSettings(), 1)
    words = ("--anchor", "2", "--labels", "0.5", "--doses", "0.25", "1", "--no-control", "--anyway")
    told = asked(run, monkeypatch, verb, *words, "--short-ages", "0", "16", "--leak", "24", "--jobs", "2")
    wanted = RepairSettings(2, 0.5, (0.25, 1), control=False, anyway=True, short_ages=(0, 16), leak=24)
    assert (told["repairing"], told["jobs"]) == (wanted, 2)
    lines = (
        "anchor = 2",
        "labels = 0.5",
        "doses = [0.25, 1]",
        "anyway = true",
        "short-ages = [0, 16]",
        "leak = 24",
        "jobs = 2",
    )
    for off in ("control = false", "no-control = true"):
        (here / "run.toml").write_text("\n".join([*lines, off]))
        told = asked(run, monkeypatch, verb, "--config", "run.toml")
        assert (told["repairing"], told["jobs"]) == (wanted, 2)
    for on in ("control = true", "no-control = false"):
        (here / "run.toml").write_text(on)
        assert asked(run, monkeypatch, verb, "--config", "run.toml")["repairing"].control
        assert not asked(run, monkeypatch, verb, "--no-control", "--config", "run.toml")["repairing"].control


def test_the_help_says_what_is_not_known_without_a_control(run: Run) -> None:
    for verb in ("repair", "compare"):
        text = " ".join(run(verb, "--help-all").out.replace("│", " ").split())
        assert "--no-control Leave out the control" in text
        assert "nobody knows whether the starts or plain training gained" in text
        assert "0 P." in text


def test_side_by_side_gives_the_same(run: Run, here: Path) -> None:
    for jobs in ("1", "2"):
        assert run("repair", *AVERAGING, "--jobs", jobs, "--out", jobs).status == 0
    first, second = (outlast.load_result(jobs) for jobs in ("1", "2"))
    assert isinstance(first, Repair)
    assert isinstance(second, Repair)
    assert first.control is not None
    assert second.control is not None
    assert first.after.age_curve == second.after.age_curve
    assert first.control.age_curve == second.control.age_curve


def test_without_a_control_and_with_one_dose(run: Run, here: Path) -> None:
    assert run("repair", *AVERAGING, "--no-control", "--doses", "0.75", "--out", "out").status in (0, 1)
    result = outlast.load_result("out")
    assert isinstance(result, Repair)
    assert result.control is None
    assert result.control_passes is None
    assert [point.dose for point in result.doses] == [0.75]
    place = here / "out" / ("model" if result.accepted else "refused")
    assert json.loads((place / "outlast.json").read_text())["provenance"] == {
        "verb": "repair",
        "repair_of": "mymod:averaging",
        "by": result.intervention,
        "dose": 0.75,
    }


def test_nothing_to_repair_writes_no_model(run: Run, here: Path) -> None:
    words = ("repair", "--model", "mymod:averaging_well", *LEVELS, "--steps", "2", "--out", "out")
    outcome = run(*words)
    assert outcome.status == 1
    assert "no model was written: there is nothing to repair (--anyway goes on all the same)" in outcome.out
    assert files(here / "out") == {"result.json", "report.html"}
    assert run(*words, "--anyway").status == 1
    assert files(here / "out") == {"result.json", "report.html", *(f"refused/{name}" for name in SAVED)}


@pytest.mark.parametrize("verb", ["repair", "compare"])
def test_a_broken_base_is_not_trained(run: Run, here: Path, verb: str) -> None:
    outcome = run(verb, "--model", "mymod:averaging_nothing", *LEVELS, "--steps", "2", "--anyway", "--out", "out")
    assert outcome.status == 1
    assert outcome.answer.startswith("BROKEN: ")
    assert "no model was written: the base is broken" in outcome.out
    assert "train" not in outcome.err
    assert files(here / "out") == {"result.json", "report.html"}


def test_weights_that_are_not_finite_are_measured_before_noise_is_fitted_to_them(run: Run, here: Path) -> None:
    noise = ("--interventions", "random_noise", "carry")
    outcome = run("compare", "--model", "mymod:without_weights", *MEASURE, "--steps", "2", *noise, "--out", "out")
    assert outcome.status == 1, outcome.err
    assert outcome.answer.startswith("BROKEN: ")


def test_a_broken_model_is_told_by_evaluate_and_diagnose(run: Run, here: Path) -> None:
    for verb in ("evaluate", "diagnose"):
        outcome = run(verb, "--model", "mymod:averaging_nothing", *LEVELS, "--out", verb)
        assert outcome.status == 0
        assert outcome.answer.startswith("BROKEN: ")
        assert "scaled otherwise" not in outcome.err


@pytest.mark.parametrize("verb", ["repair", "compare"])
def test_a_control_that_suffices_is_saved(run: Run, here: Path, verb: str) -> None:
    outcome = run(verb, *SUFFICES, "--interventions" if verb == "compare" else "--intervention", "zero", "--out", "out")
    assert outcome.status == 1
    result = outlast.load_result("out")
    found = result.rows[0].repair if isinstance(result, Comparison) else result
    assert isinstance(found, Repair)
    assert found.refused_because is not None
    assert found.refused_because.name == "plain_training_suffices"
    assert "refused model, kept for a look: out/refused" in outcome.out
    assert "the same training from zero states, which passes: out/control" in outcome.out
    kept = {f"{place}/{name}" for place in ("refused", "control") for name in SAVED}
    assert files(here / "out") == {"result.json", "report.html", *kept}
    provenance = json.loads((here / "out" / "control" / "outlast.json").read_text())["provenance"]
    assert provenance["control_of"]["name"] == "zero"
    assert found.control is not None
    again = run("evaluate", "--model", "out/control", "--allow-code", *LEVELS, "--out", "again")
    assert again.status == 0
    measured = outlast.load_result("again")
    assert [band.per_stream for band in measured.age_curve] == [  # pyright: ignore[reportAttributeAccessIssue]
        band.per_stream for band in found.control.age_curve
    ]


Told = Callable[[Repair], Repair]


@pytest.mark.parametrize(
    ("told", "saved"),
    [
        (lambda done: done, {"model"}),
        pytest.param(lambda done: _refused(done, "no_benefit", passes=False), {"refused"}, marks=pytest.mark.long),
        (lambda done: _refused(done, "short_context_lost", passes=True), {"refused", "control"}),
        pytest.param(
            lambda done: _refused(done, "plain_training_suffices", passes=False), {"refused"}, marks=pytest.mark.long
        ),
        (lambda done: _refused(done, "plain_training_suffices", passes=True), {"refused", "control"}),
        pytest.param(lambda done: _refused(done, "nothing_to_repair", passes=None), set(), marks=pytest.mark.long),
    ],
    ids=[
        "accepted",
        "no benefit",
        "only the control keeps them",
        "neither passes",
        "control passes",
        "nothing to repair",
    ],
)
def test_where_models_go(run: Run, here: Path, monkeypatch: pytest.MonkeyPatch, told: Told, saved: set[str]) -> None:
    def changed(*arguments: Any, **named: Any) -> Any:
        done = outlast.repair(*arguments, **named)
        return replace(done, result=told(done.result))

    def compared(*arguments: Any, **named: Any) -> Any:
        done = outlast.compare(*arguments, **named)
        rows = [replace(row, repair=told(row.repair)) for row in done.result.rows]
        picked = next(row for row in rows if row.name == done.result.picked)
        return replace(
            done, result=replace(done.result, rows=rows, winner=picked.name if picked.repair.accepted else None)
        )

    monkeypatch.setattr("outlast.cli.verbs.repair", changed)
    monkeypatch.setattr("outlast.cli.verbs.compare", compared)
    for verb, more in (("repair", ()), ("compare", COMPARED)):
        outcome = run(verb, *AVERAGING, *more, "--out", verb)
        assert outcome.status == (0 if saved == {"model"} else 1)
        assert {path.name for path in (here / verb).iterdir() if path.is_dir()} == saved
        for place in saved:
            assert f": {verb}/{place}" in outcome.out
            outlast.load(here / verb / place, allow_code=True)


def _refused(done: Repair, name: str, passes: bool | None) -> Repair:
    return replace(done, accepted=False, refused_because=Refusal(name, ["planted"]), control_passes=passes)


@pytest.mark.parametrize("verb", ["repair", "compare"])
def test_the_reasons_are_in_the_summary(run: Run, here: Path, verb: str) -> None:
    """Which reason decides is tested with acceptance; here, that it is on the screen with what else was wrong."""
    outcome = run(verb, *REFUSED, *(COMPARED if verb == "compare" else ()), "--out", "out")
    assert outcome.status == 1
    result = outlast.load_result("out")
    found = result.rows[0].repair if isinstance(result, Comparison) else result
    assert isinstance(found, Repair)
    assert found.refused_because is not None
    assert found.refused_because.name == "short_context_lost"
    assert "no_benefit" in found.refused_because.also
    said = " ".join(outcome.out.split())
    assert re.search(r"because.*short contexts got worse: ages 0 to 7 changed by .* is allowed\.", said)
    assert "not clearly better than the base model" in said


def weights(folder: str | Path) -> dict[str, torch.Tensor]:
    return outlast.load(folder, allow_code=True).state_dict()


def test_a_dose_lies_between_base_and_repair(run: Run, here: Path) -> None:
    words = ("train", *MEASURE[:8], "--family", "gru", "--settings", "width", "4", "--steps", "3", "--threads", "1")
    assert run(*words, "--seed", "1", "--out", "base").status == 0
    assert run(*words, "--model", "base/model", "--learning-rate", "0.1", "--out", "after").status == 0
    ends = ("--base", "base/model", "--repaired", "after/model")
    outcome = run("dose", *ends, "--dose", "0.75", "--out", "part")
    assert (outcome.status, outcome.out) == (0, "model at dose 0.75, not measured: part/model\n")
    first, last, found = (weights(folder) for folder in ("base/model", "after/model", "part/model"))
    assert any(not torch.equal(first[name], last[name]) for name in first)
    for name in first:
        torch.testing.assert_close(found[name], first[name] + 0.75 * (last[name] - first[name]))
    assert json.loads((here / "part" / "model" / "outlast.json").read_text())["provenance"] == {
        "verb": "dose",
        "base": "base/model",
        "repaired": "after/model",
        "dose": 0.75,
    }
    assert run("evaluate", "--model", "part/model", *MEASURE).status == 0
    for dose, end in (("0", first), ("1", last)):
        assert run("dose", *ends, "--dose", dose, "--out", "part").status == 0
        assert all(torch.equal(value, end[name]) for name, value in weights("part/model").items())
    (here / "dose.toml").write_text('base = "base/model"\nrepaired = "after/model"\ndose = 2\n')
    assert run("dose", "--config", "dose.toml").status == 0
    for name, value in weights("runs/dose/model").items():
        torch.testing.assert_close(value, 2 * last[name] - first[name])


def test_a_dose_of_a_module_of_ones_own(run: Run, here: Path) -> None:
    assert run("repair", *AVERAGING, "--doses", "1", "--out", "out").status == 0
    words = ("dose", "--base", "mymod:averaging", "--repaired", "out/model", "--allow-code", "--dose", "0.5")
    assert run(*words).status == 0
    [(name, last)] = weights("out/model").items()
    torch.testing.assert_close(weights("runs/dose/model")[name], (1 + last) / 2)


def test_the_quickstart_that_ran_to_its_end_is_done(run: Run, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a repair was accepted or not; and what an earlier run left does not pass for this one's."""
    results: dict[str, Comparison] = {}
    for name, words in {"won": AVERAGING, "lost": REFUSED}.items():
        run("compare", *words, *COMPARED, "--out", name)
        results[name] = load_as(here / name, Comparison)
    assert results["won"].winner is not None
    assert results["lost"].winner is None

    def quick(name: str) -> Outcome:
        monkeypatch.setattr("outlast.cli.task_verbs.quickstart", lambda *arguments: results[name])
        return run("quickstart", "--out", "won")

    before = (here / "won" / "result.json").read_bytes()
    mixed = quick("won")
    assert mixed.status == 2
    assert "of kind 'compare'" in mixed.err
    assert (here / "won" / "result.json").read_bytes() == before
    base = results["won"].base
    stamped = replace(base, command=Command(verb="quickstart"))
    save_result(replace(results["won"], base=stamped), here / "won" / "result.json")
    record = json.loads((here / "won" / "result.json").read_text())
    del record["schema"]
    record["base"]["settings"] = {"command": record["base"].pop("command")}
    (here / "won" / "result.json").write_text(json.dumps(record))  # as the first schema had it
    assert run("compare", *AVERAGING, *COMPARED, "--out", "won").status == 2
    for name in results:
        done = quick(name)
        assert done.status == 0
        assert done.out.endswith("report: won/report.html\n")
    assert not (here / "won" / "model").exists()
    assert not (here / "won" / "result.json").exists()


def test_the_expected_run_can_be_read_off_the_data(run: Run, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = outlast.expected_run(outlast.split(outlast.open_streams(here / "levels.npy")))
    typed = asked(run, monkeypatch, "repair", "--expected-run", "inf")["intervention"]
    assert typed == outlast.Carry(expected_run=float("inf"))
    refused = run("repair", *AVERAGING, "--expected-run", "long").refused()
    assert "--expected-run long" in refused
    outcome = run("repair", *AVERAGING, "--expected-run", "data", "--out", "by-data")
    assert outcome.status in (0, 1)
    assert f"expected run: {found}" in outcome.err
    assert found.run is None
    assert "tbtt" in outcome.out


def test_tune_writes_a_model_that_is_ready_to_run(run: Run, here: Path) -> None:
    """The directory runs under its remedy, a second tuning of it is refused; what finds nothing exits with 1."""
    done = run("tune", "--model", "mymod:averaging", *LEVELS, "--shares", "0.2", "0.3", "0.5", "--out", "tuned")
    assert done.status == 0
    result = load_as(here / "tuned", Tuning)
    assert result.accepted
    assert f"model under {result.remedy}: tuned/model" in done.out
    assert "outlast repair --model mymod:averaging" in done.out
    assert read_record(here / "tuned/model")["provenance"]["verb"] == "tune"
    loaded = outlast.load(here / "tuned/model", allow_code=True)
    assert isinstance(loaded, WithReset)
    assert (here / "tuned/report.html").exists()
    again = run("tune", "--model", "tuned/model", "--allow-code", *LEVELS, "--out", "again")
    assert "without a remedy" in again.refused()
    assert not (here / "again/result.json").exists()
    nothing = run("tune", "--model", "mymod:averaging_well", *LEVELS, "--out", "nothing")
    assert nothing.status == 1
    assert not (here / "nothing/model").exists()
    assert "no model was written" in nothing.out


def test_a_repair_with_a_budget_says_how_long_training_paid_and_goes_on_after_its_end(
    run: Run, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outlast.repairs.doubling.FIRST", 4)
    first = run(*BUDGET, "--budget", "0.01s")
    assert first.status in (0, 1), first
    made = load_as(here / "out" / "result.json", Repair)
    assert [each["steps"] for each in made.training["rounds"]] == [4]
    assert made.training["ended"] == "budget"
    assert "How long training paid" in (here / "out" / "report.html").read_text()
    monkeypatch.setattr("outlast.repairs.doubling.FLAT", 1)
    run(*BUDGET, "--budget", "1min", "--resume")
    rounds = load_as(here / "out" / "result.json", Repair).training["rounds"]
    assert rounds[0]["steps"] == 4
    assert len(rounds) > 1
    other = run(*BUDGET, "--budget", "1min", "--resume", "--anchor", "2").refused(after_work=True)
    assert "a checkpoint made with" in other


def test_a_budget_is_a_time_and_stands_alone(run: Run) -> None:
    assert "--steps 8 with --budget 1min" in run(*BUDGET, "--budget", "1min", "--steps", "8").refused()
    assert "given: --budget soon" in run(*BUDGET, "--budget", "soon").refused()
