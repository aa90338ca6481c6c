"""The folder of --out: no verb writes over another's result, and what an earlier run left passes for no other's."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

import outlast
from cli.workshop import AVERAGING, LEVELS, MEASURE, QUICK, READ, Run, contents, files
from outlast import checkpoints
from outlast.cli import outputs
from outlast.cli.options import VERBS
from outlast.families import build
from outlast.folders import locked
from outlast.model import InputSpec
from outlast.modules.leaking import WithLeak
from outlast.tasks import recipe_run

TRAIN = ("train", *READ, *QUICK, "--family", "gru", "--settings", "width", "4", "--steps", "2")
DRIFTING = ("--model", "mymod:drifting", *MEASURE, "--steps", "2", "--learning-rate", "1.0")
"""A repair of this model is refused."""
WELL = ("--model", "mymod:averaging_well", *LEVELS)
"""There is nothing to repair in this one."""
COMPARED = ("--interventions", "zero", "carry")
DOSE = ("dose", "--base", "mymod:build", "--repaired", "mymod:build", "--dose", "0.5")
MADE = {"result.json", "report.html", "model/outlast.json", "model/model.safetensors", "model/code/mymod.py"}
OF_A_FAMILY = MADE - {"model/code/mymod.py"}
"""Nobody's code goes with those."""

EVERY_VERB = {
    "check": ("check", "--model", "mymod:build"),
    "train": TRAIN,
    "evaluate": ("evaluate", "--model", "mymod:drifting", *MEASURE),
    "diagnose": ("diagnose", "--model", "mymod:drifting", *MEASURE),
    "repair": ("repair", *DRIFTING),
    "compare": ("compare", *DRIFTING),
    "dose": DOSE,
    "quickstart": ("quickstart",),
    "recipe": ("recipe", "recipe.toml"),
}


def write_recipe(folder: Path) -> None:
    lines = ('task = "recall"', 'out = "nowhere"', 'models = [{ family = "gru", seeds = [0] }]', "repairs = []")
    (folder / "recipe.toml").write_text("\n".join(lines))


def test_every_verb_has_a_folder_of_its_own() -> None:
    apart = {name: kind.__dataclass_fields__["out"].default for name, kind in VERBS.items() if name in EVERY_VERB}
    recipe = apart.pop("recipe")
    assert recipe is None  # that of the recipe
    assert apart == {name: Path("runs") / name for name in apart}


@pytest.mark.parametrize("verb", EVERY_VERB)
@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"kind": "another"}', "is of kind 'another'"),
        ('{"kind": "repair", ', "is none of outlast's, or damaged"),
        ("[1, 2]", "is none of outlast's, or damaged"),
        ("\udcff", "is none of outlast's, or damaged"),
    ],
    ids=["other", "cut", "list", "bytes"],
)
def test_another_verbs_result_is_not_written_over(run: Run, here: Path, verb: str, content: str, said: str) -> None:
    write_recipe(here)
    out = here / "out"
    checkpoints.save(build("gru", inputs=InputSpec("features", 3), outputs=1, width=4, layers=1), out / "model")
    (out / "result.json").write_bytes(content.encode(errors="surrogateescape"))
    (out / "report.html").write_text("theirs")
    before = contents(out)
    message = run(*EVERY_VERB[verb], "--out", "out").refused()
    assert f"given: --out out, where result.json {said}" in message
    assert "choose another --out, or --replace" in message
    assert contents(out) == before


@pytest.mark.parametrize("verb", EVERY_VERB)
def test_a_folder_where_another_run_is_at_work(run: Run, here: Path, verb: str) -> None:
    """Also with --replace: what it writes would be mixed with the other's."""
    write_recipe(here)
    out = here / "out"
    checkpoints.save(build("gru", inputs=InputSpec("features", 3), outputs=1, width=4, layers=1), out / "model")
    with locked(out, "outlast quickstart"):
        before = contents(out)
        message = run(*EVERY_VERB[verb], "--out", "out", "--replace").refused()
        assert f"given: --out out, where outlast quickstart (process {os.getpid()} on " in message
        assert "wait until it is done, stop it, or choose another --out" in message
        assert contents(out) == before


def test_seeds_of_a_quickstart_are_folders_of_their_own(run: Run, here: Path) -> None:
    with locked(here / "out" / "seed-7", "outlast quickstart"):
        message = run("quickstart", "--seed", "7", "--seeds", "2", "--out", "out").refused()
    assert "--out out/seed-7, where outlast quickstart" in message


@pytest.mark.parametrize("verb", ["train", "recipe"])
def test_what_killed_runs_left_goes_with_the_next(
    run: Run, here: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    write_recipe(here)

    def stopped(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(recipe_run, "side_by_side", stopped)
    left = here / "out" / ("gru-0" if verb == "recipe" else ".")
    (left / ".model.77.part").mkdir(parents=True)
    (left / ".model.77.part" / "model.safetensors").write_bytes(b"")
    (left / ".report.html.77.5.part").write_text("")
    run(*EVERY_VERB[verb], "--out", "out")
    assert not [name for name in files(here / "out") if ".part" in name]


def test_a_folder_in_the_place_of_a_result(run: Run, here: Path) -> None:
    (here / "out" / "result.json").mkdir(parents=True)
    assert "none of outlast's" in run("evaluate", *DRIFTING[:-4], "--out", "out").refused()


LONGER = [pytest.param(verb, marks=pytest.mark.long) for verb in ("check", "repair", "compare")]
"""They go through the same `outputs` as the others."""


@pytest.mark.parametrize("verb", ["train", "evaluate", "dose", *LONGER])
def test_replace_allows_it(run: Run, here: Path, verb: str) -> None:
    (here / "out").mkdir()
    (here / "out" / "result.json").write_text('{"kind": "another"}')
    (here / "out" / "notes.txt").write_text("mine")
    assert run(*EVERY_VERB[verb], "--out", "out", "--replace").status in (0, 1)
    assert (here / "out" / "notes.txt").read_text() == "mine"
    if verb == "dose":
        assert files(here / "out") == {"notes.txt"} | {name for name in MADE if name.startswith("model/")}
    else:
        assert outlast.load_result(here / "out").kind == verb
        assert run(*EVERY_VERB[verb], "--out", "out").status in (0, 1)


def test_replace_allows_the_quickstart_and_a_recipe(run: Run, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_recipe(here)
    (here / "result.json").write_text('{"kind": "another"}')
    monkeypatch.setattr(recipe_run, "run_recipe", lambda recipe, **how: [])
    assert run("recipe", "recipe.toml", "--out", here, "--replace").status == 0
    monkeypatch.setattr("outlast.cli.task_verbs.quickstart_seeds", lambda *arguments: {})
    assert run("quickstart", "--out", here, "--seeds", "2").status == 0  # which writes below that folder only
    assert json.loads((here / "result.json").read_text()) == {"kind": "another"}


def test_figures_of_a_diagnosis_go_with_it(run: Run, here: Path) -> None:
    assert run("diagnose", "--model", "mymod:drifting", *MEASURE, "--figures", "--out", "out").status == 0
    assert {path.suffix for path in (here / "out" / "figures").iterdir()} == {".svg", ".png"}
    (here / "out" / "figures" / "mine.png").write_bytes(b"a photograph")
    (here / "out" / "figures" / "mine.txt").write_text("outlast")
    assert run(*TRAIN, "--out", "out", "--replace").status == 0
    assert files(here / "out") == {*OF_A_FAMILY, "figures/mine.png", "figures/mine.txt"}


def test_a_refused_repair_leaves_no_earlier_model(run: Run, here: Path) -> None:
    assert run("repair", *AVERAGING, "--out", "out").status == 0
    assert files(here / "out") == MADE
    assert run("repair", *DRIFTING, "--out", "out").status == 1
    refused = {name.replace("model/", "refused/") for name in MADE}
    assert files(here / "out") == refused
    assert not (here / "out" / "model").exists()
    assert run("repair", *WELL, "--out", "out").status == 1
    assert files(here / "out") == {"result.json", "report.html"}


def test_a_refused_comparison_leaves_no_earlier_model(run: Run, here: Path) -> None:
    assert run("compare", *AVERAGING, *COMPARED, "--out", "out").status == 0
    assert files(here / "out") == MADE
    assert run("compare", *DRIFTING, *COMPARED, "--out", "out").status == 1
    assert files(here / "out") == {name.replace("model/", "refused/") for name in MADE}
    outcome = run("compare", *WELL, *COMPARED, "--out", "out")
    assert outcome.status == 1
    assert "no model was written: there is nothing to repair" in outcome.out
    assert files(here / "out") == {"result.json", "report.html"}


@pytest.mark.parametrize("verb", ["repair", "train", pytest.param("compare", marks=pytest.mark.long)])
@pytest.mark.parametrize(("fault", "status"), [(RuntimeError, 3), (KeyboardInterrupt, 130)])
def test_a_run_that_fails_leaves_no_earlier_model(
    run: Run, here: Path, monkeypatch: pytest.MonkeyPatch, verb: str, fault: type[BaseException], status: int
) -> None:
    words = TRAIN if verb == "train" else (verb, *AVERAGING, *(COMPARED if verb == "compare" else ()))
    assert run(*words, "--out", "out").status == 0
    assert files(here / "out") == (OF_A_FAMILY if verb == "train" else MADE)

    def failing(*arguments: object, **named: object) -> None:
        raise fault("on purpose")

    monkeypatch.setattr(f"outlast.cli.verbs.{'fit' if verb == 'train' else verb}", failing)
    assert run(*words, "--out", "out").status == status
    assert not (here / "out").exists() or files(here / "out") == set()


WRONG = {
    "train": [
        ("--train-context", "3000"),
        ("--steps", "0"),
        ("--objective", "next_token"),
        ("--settings", "width", "wide"),
        ("--device", "cuda:77"),
    ],
    "repair": [
        ("--steps", "0"),
        ("--learning-rate", "nan"),
        ("--objective", "next_token"),
        ("--objective", "regresion"),
        ("--measure", "error_rate"),
        ("--train-context", "120"),
        ("--max-length", "9"),
        ("--guard", "few.npy"),
        ("--guard", "short.npy"),
        ("--anchor", "-1"),
        ("--doses", "2"),
        ("--short-ages", "0", "17"),
        ("--expected-run", "-1"),
        ("--model", "mymod:bursting", "--intervention", "fitted_noise"),
        ("--model", "out/model"),
    ],
    "compare": [
        ("--interventions",),
        ("--interventions", "zeo"),
        ("--expected-runs", "-1"),
        ("--short-ages", "8", "4"),
        ("--train-context", "120"),
        ("--model", "mymod:bursting", "--interventions", "zero", "random_noise"),
        ("--model", "out/model"),
    ],
}


@pytest.mark.parametrize("verb", WRONG)
def test_wrong_input_removes_nothing(run: Run, here: Path, verb: str) -> None:
    words = TRAIN if verb == "train" else (verb, *AVERAGING, *(COMPARED if verb == "compare" else ()))
    assert run(*words, "--out", "out").status == 0
    np.save(here / "few.npy", np.zeros((3, 40, 1), np.float32))
    np.save(here / "short.npy", np.zeros((40, 12, 1), np.float32))
    before = contents(here / "out")
    for wrong in WRONG[verb]:
        run(*words, *wrong, "--out", "out").refused()
        assert contents(here / "out") == before, wrong
    (here / "away").write_text("a file")
    run(*words, "--out", "away").refused()


def test_a_model_that_the_run_would_remove(run: Run, here: Path) -> None:
    assert run(*TRAIN, "--out", "out").status == 0
    before = contents(here / "out")
    for words in (
        (*TRAIN, "--model", "out/model"),
        (*TRAIN, "--model", here / "out" / "model", "--replace"),
        ("repair", "--model", "out/../out/model", *MEASURE, "--replace"),
        ("compare", "--model", "out/model", *MEASURE, "--replace"),
        (*DOSE, "--repaired", "out/model", "--replace"),
        (*DOSE, "--base", "out/model", "--replace"),
    ):
        message = run(*words, "--out", "out").refused()
        assert "with --out out" in message
        assert "choose another --out" in message
        assert contents(here / "out") == before
    assert run("evaluate", "--model", "out/model", *MEASURE, "--out", "out", "--replace").status == 0
    kept = contents(here / "out" / "model")
    assert kept == {name.removeprefix("model/"): each for name, each in before.items() if name.startswith("model/")}


@pytest.mark.parametrize("foreign", [True, False])
def test_a_model_that_no_run_of_this_verb_left(run: Run, here: Path, foreign: bool) -> None:
    """One that someone saved there, or that another library did: no result beside it says whose it is."""
    checkpoints.save(
        build("gru", inputs=InputSpec("features", 3), outputs=1, width=4, layers=1), here / "out" / "model"
    )
    if foreign:
        (here / "out" / "model" / "outlast.json").rename(here / "out" / "model" / "config.json")
    before = contents(here / "out")
    for words in (TRAIN, ("repair", *DRIFTING), ("compare", *DRIFTING), DOSE):
        message = run(*words, "--out", "out").refused()
        assert f"where model holds a model that outlast {words[0]} did not write" in message
        assert contents(here / "out") == before
    assert run(*TRAIN, "--out", "out", "--replace").status == 0
    assert json.loads((here / "out" / "model" / "outlast.json").read_text())["provenance"]["verb"] == "train"


def test_a_model_without_its_result_goes_where_the_verb_wrote_it(run: Run, here: Path) -> None:
    """As a run leaves it that was killed between the two."""
    assert run(*TRAIN, "--out", "out").status == 0
    (here / "out" / "result.json").unlink()
    assert run(*TRAIN, "--out", "out").status == 0
    assert files(here / "out") == OF_A_FAMILY


def test_a_removal_that_is_cut_short_blocks_no_later_run(run: Run, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it was cut, the folder is still seen to be that of the verb which wrote it."""
    unlink, moment = Path.unlink, 0
    while True:
        assert run(*TRAIN, "--out", "out").status == 0
        moment, left = moment + 1, moment

        def cut(path: Path, missing_ok: bool = False) -> None:
            nonlocal left
            if left == 0:
                raise KeyboardInterrupt
            left -= 1
            unlink(path, missing_ok)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", cut)
            try:
                outputs.clear(here / "out")
                break
            except KeyboardInterrupt:
                pass
    assert moment > 4


def test_only_what_outlast_writes_is_removed(tmp_path: Path) -> None:
    for place, also in (("model", {}), ("refused", {"config.json": "{}", "tokenizer.json": "{}", "vocab.txt": ""})):
        checkpoints.save(build("gru", inputs=InputSpec("features", 3), outputs=1), tmp_path / place)
        for name, text in also.items():
            (tmp_path / place / name).write_text(text)
    mine = {
        "notes.txt": "mine",
        "model/notes.md": "mine",
        "model/tokenizer.json": "put there by hand",
        "refused/model.onnx": "",
        "control/model.bin": "no record beside it",
        "figures/a.svg": "<svg>mine</svg>",
        "checkpoint/step-1/model.safetensors": "kept, to go on from",
        "checkpoint/training-rank0.json": "{}",
        "base/outlast.json": "{}",
        "report.html": "a report without a result",
    }
    for name, text in mine.items():
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(text)
    outputs.clear(tmp_path)
    assert files(tmp_path) == set(mine)
    (tmp_path / "result.json").write_text("{}")
    outputs.clear(tmp_path)
    assert files(tmp_path) == set(mine) - {"report.html"}


def test_another_verb_leaves_the_checkpoints_of_a_run_that_was_stopped(run: Run, here: Path) -> None:
    kept = here / "out" / "checkpoint" / "training-rank0.json"
    for words in (DOSE, EVERY_VERB["evaluate"]):
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text("{}")
        assert run(*words, "--out", "out", "--replace").status == 0
        assert kept.read_text() == "{}"
    assert run(*TRAIN, "--out", "out", "--replace").status == 0
    assert not kept.parent.exists()


def test_what_cannot_be_removed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "result.json").write_text("{}")

    def denied(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "unlink", denied)
    with pytest.raises(outlast.InputError, match=r"result\.json, which could not be removed \(Permission denied\)"):
        outputs.clear(tmp_path)


@pytest.mark.parametrize("verb", ["evaluate", "diagnose", "repair"])
def test_streams_that_are_shorter_than_was_asked_for(run: Run, here: Path, verb: str) -> None:
    """One recording is cut into segments: the screen, the report and the result say how far they reach."""
    more = {"repair": ("--steps", "2"), "diagnose": ("--language", "ja")}.get(verb, ())
    words = (verb, "--model", "mymod:drifting", *MEASURE, *more, "--out", "out")
    outcome = run(*words, "--max-length", "900")
    assert outcome.status in (0, 1)
    record = json.loads((here / "out" / "result.json").read_text())
    data = {"repair": record.get("before"), "diagnose": record.get("evaluation")}.get(verb, record)["data"]
    assert (data["length_asked"], data["length_used"]) == (900, 32)
    assert data["unit"] == "segment of one recording"
    said = "--max-length 900 には短すぎます" if verb == "diagnose" else "too short for --max-length 900: "
    assert " ".join(outcome.out.split()).count(said) == 1
    assert said in (here / "out" / "report.html").read_text()
    run(*words, "--max-length", "32", "--replace")
    assert said[-8:] not in (here / "out" / "report.html").read_text()


def test_a_training_under_a_leak_leaves_a_model_that_leaks(run: Run, here: Path) -> None:
    """From the beginning: its weights are others than without, and it is loaded with its leak."""
    for words in ((), ("--leak", "8")):
        assert run(*TRAIN, *words, "--out", f"out{len(words)}").status == 0
    plain, leaky = (outlast.load(here / f"out{words}" / "model") for words in (0, 2))
    assert isinstance(leaky, WithLeak)
    assert leaky.settings["tau"] == 8
    pairs = zip(plain.parameters(), leaky.parameters(), strict=True)
    assert any(not torch.equal(one, other) for one, other in pairs)
    assert json.loads((here / "out2" / "result.json").read_text())["settings"]["leak"] == 8
    assert "leak" not in json.loads((here / "out0" / "result.json").read_text())["settings"]
    again = run(*TRAIN, "--model", "out2/model", "--leak", "4", "--out", "out4")
    assert "leave the other one out" in again.refused()
