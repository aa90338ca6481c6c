"""Training that is stopped, killed or out of room goes on from its checkpoint to the same bits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from outlast.errors import InputError, Interrupted
from outlast.interventions import Carry, FittedNoise, Mix, RandomNoise, Zero, tbtt
from outlast.state import leaves
from outlast.training import TrainSettings, fit
from outlast.training.objectives import CrossEntropy, Regression
from toys import Dropping, Tied, small_gru, token_streams, wave_streams
from training import runs
from training.kinds import MODELS, T, trained

SETTINGS = TrainSettings(steps=12, batch_size=4, learning_rate=1e-2, checkpoint_every=5)
RULES = [
    Zero(),
    Carry(expected_run=40),
    tbtt(),
    FittedNoise(),
    RandomNoise(),
    Mix(members=(Zero(), Carry(expected_run=40)), shares=(1.0, 3.0)),
]


def run(kind="gru", rule=None, settings=SETTINGS, model=None, **options):
    return trained(kind, rule or Zero(), settings, model, **options)


def stopped_at(step: int, **options) -> None:
    """A run that was asked to stop during `step`."""
    stop = threading.Event()

    def progress(now, *rest):
        if now == step:
            stop.set()

    with pytest.raises(Interrupted, match=f"stopped at step {step} of 12: saved to"):
        run(progress=progress, stop=stop, **options)


def contents(folder: Path) -> dict[str, torch.Tensor]:
    """Every tensor of the one checkpoint in the folder: weights, the optimiser's averages, carried states."""
    record = json.loads((folder / "training-rank0.json").read_text())
    assert [path.name for path in folder.iterdir() if path.is_dir()] == [record["tensors"]]
    files = sorted((folder / record["tensors"]).iterdir())
    assert [file.name for file in files] == ["carried.safetensors", "model.safetensors", "optimizer.safetensors"]
    return {f"{file.name} {name}": tensor for file in files for name, tensor in load_file(file).items()}


def assert_same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    assert [name for name in a if not torch.equal(a[name], b[name])] == []


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.label)
def test_a_resumed_run_equals_one_that_was_not_stopped(kind, rule, tmp_path):
    """Bit for bit: weights, the optimiser's averages, carried states and recorded losses, also across two stops."""
    whole, losses = run(kind, rule, checkpoint=tmp_path / "whole")
    stopped_at(3, kind=kind, rule=rule, checkpoint=tmp_path / "stopped")
    stopped_at(8, kind=kind, rule=rule, checkpoint=tmp_path / "stopped", resume=True)
    resumed, losses_resumed = run(kind, rule, checkpoint=tmp_path / "stopped", resume=True)
    assert_same(whole.state_dict(), resumed.state_dict())
    assert_same(contents(tmp_path / "whole"), contents(tmp_path / "stopped"))
    assert losses == losses_resumed
    stored = contents(tmp_path / "whole")
    assert any("exp_avg_sq" in name for name in stored)
    assert sum("last" in name for name in stored) == len(leaves(whole.initial_state(1)))


def test_checkpoints_are_made_as_often_as_asked_and_only_the_last_is_kept(tmp_path):
    kept = []
    run(
        checkpoint=tmp_path / "c",
        progress=lambda *row: kept.append([path.name[:12] for path in (tmp_path / "c").glob("step-*")]),
    )
    assert kept == [[]] * 5 + [["step-0000005"]] * 5 + [["step-0000010"]] * 2
    assert len(contents(tmp_path / "c")) > 0


def test_a_finished_run_is_not_trained_again(tmp_path):
    whole, losses = run(checkpoint=tmp_path / "c")
    steps = []
    again, losses_again = run(checkpoint=tmp_path / "c", resume=True, progress=lambda *row: steps.append(row))
    assert steps == []
    assert_same(whole.state_dict(), again.state_dict())
    assert losses == losses_again
    assert not again.training


def test_without_resume_a_run_starts_anew(tmp_path):
    whole, _ = run(checkpoint=tmp_path / "c")
    stopped_at(7, checkpoint=tmp_path / "c")
    again, _ = run(checkpoint=tmp_path / "c")
    assert_same(whole.state_dict(), again.state_dict())


def test_resume_without_a_checkpoint_starts(tmp_path):
    whole, _ = run()
    again, _ = run(checkpoint=tmp_path / "c", resume=True)
    assert_same(whole.state_dict(), again.state_dict())


def test_tied_weights_stay_tied(tmp_path):
    stopped_at(3, kind="tied", checkpoint=tmp_path / "c")
    model, _ = run("tied", checkpoint=tmp_path / "c", resume=True)
    assert isinstance(model, Tied)
    assert model.head.weight is model.embed.weight


class Late(threading.Event):
    """Set between two looks at it."""

    looks = 0

    def is_set(self) -> bool:
        self.looks += 1
        return self.looks >= 4


def test_a_stop_that_comes_between_two_looks_is_not_told_as_saved_without_having_been(tmp_path):
    with pytest.raises(Interrupted) as caught:
        run(checkpoint=tmp_path / "c", stop=Late())
    record = json.loads((tmp_path / "c" / "training-rank0.json").read_text())
    assert f"stopped at step {record['step']} of" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"settings": replace(SETTINGS, learning_rate=0.5)}, r"settings \{'learning_rate': 0.01\}"),
        ({"settings": replace(SETTINGS, steps=13)}, r"settings \{'steps': 12\}"),
        ({"rule": Zero(zero_share=0.5)}, r"intervention \{'zero_share': 0.25\}"),
        ({"rule": tbtt()}, "'label': 'zero'"),
        ({"model": small_gru(seed=1)}, "made with model"),
    ],
)
def test_a_checkpoint_made_otherwise_is_refused_and_says_what_differs(change, named, tmp_path):
    stopped_at(3, checkpoint=tmp_path / "c")
    model = change.get("model") or small_gru()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(InputError, match=named):
        run(checkpoint=tmp_path / "c", resume=True, **{**change, "model": model})
    assert_same(before, model.state_dict())
    assert len(contents(tmp_path / "c")) > 0


@pytest.mark.parametrize(
    ("change", "named", "do"),
    [
        (lambda patch: torch.set_num_threads(2), "threads 1", "go on with 1 (--threads or OMP_NUM_THREADS;"),
        (lambda patch: torch.set_flush_denormal(True), "denormals kept", "OUTLAST_DENORMALS as it was"),
        (lambda patch: patch.setenv("OUTLAST_SCAN", "chunked"), "scan the fastest", "OUTLAST_SCAN as it was"),
        (
            lambda patch: patch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "VSX"),
            f"vector instructions {torch.backends.cpu.get_cpu_capability()}",
            "ATEN_CPU_CAPABILITY as it was",
        ),
    ],
    ids=["threads", "denormals", "scan", "vector instructions"],
)
def test_a_checkpoint_made_with_other_arithmetic_is_refused_and_says_how_to_go_on(change, named, do, tmp_path):
    """Its bits would be those of no run: neither of the one that was stopped nor of the one that goes on."""
    stopped_at(3, checkpoint=tmp_path / "c")
    with pytest.MonkeyPatch.context() as patch:
        try:
            change(patch)
            with pytest.raises(InputError) as caught:
                run(checkpoint=tmp_path / "c", resume=True)
        finally:
            torch.set_num_threads(1)
            torch.set_flush_denormal(False)
    assert f"a checkpoint made with {named}" in caught.value.given
    assert do in caught.value.do
    assert run(checkpoint=tmp_path / "c", resume=True)[1] == run()[1]


def test_a_checkpoint_of_other_streams_or_context_is_refused(tmp_path):
    stopped_at(3, checkpoint=tmp_path / "c")
    for streams, context, named in ((wave_streams(seed=1), T, "streams"), (wave_streams(), T + 1, "train_context")):
        options = {"checkpoint": tmp_path / "c", "resume": True}
        with pytest.raises(InputError, match=f"made with {named}"):
            fit(small_gru(), streams, Regression(), Zero(), context, SETTINGS, **options)


def test_a_checkpoint_from_before_there_was_a_setting_is_gone_on_with(tmp_path):
    stopped_at(3, checkpoint=tmp_path / "c")
    path = tmp_path / "c" / "training-rank0.json"
    record = json.loads(path.read_text())
    assert record["made_of"]["settings"].pop("start_weights", 0) is None
    path.write_text(json.dumps(record))
    assert run(checkpoint=tmp_path / "c", resume=True)[1] == run()[1]


def tensors_folder(folder: Path) -> Path:
    return next(folder.glob("step-*"))


@pytest.mark.parametrize("name", ["model", "optimizer", "carried"])
@pytest.mark.parametrize("harm", ["cut short", "gone", "a tensor missing", "a tensor of another shape"])
def test_a_damaged_checkpoint_is_refused_and_nothing_is_loaded(name, harm, tmp_path):
    stopped_at(3, rule=tbtt(), checkpoint=tmp_path / "c")
    path = tensors_folder(tmp_path / "c") / f"{name}.safetensors"
    tensors = load_file(path)
    victim = next(key for key in sorted(tensors) if key.endswith(("head.weight", "|exp_avg", "last.0")))
    if harm == "cut short":
        path.write_bytes(path.read_bytes()[:-10])
    elif harm == "gone":
        path.unlink()
    elif harm == "a tensor missing":
        save_file({key: value for key, value in tensors.items() if key != victim}, path)
    else:
        save_file({**tensors, victim: torch.zeros(3, 3)}, path)
    model = small_gru()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(InputError) as caught:
        run(rule=tbtt(), model=model, checkpoint=tmp_path / "c", resume=True)
    assert str(tensors_folder(tmp_path / "c")) in str(caught.value)
    assert_same(before, model.state_dict())
    assert not model.training


def test_averages_of_parameters_that_were_called_otherwise_are_not_dropped(tmp_path):
    stopped_at(3, checkpoint=tmp_path / "c")
    path = tensors_folder(tmp_path / "c") / "optimizer.safetensors"
    save_file({name.replace("head.weight", "out.weight"): each for name, each in load_file(path).items()}, path)
    with pytest.raises(InputError, match=r"averages of out\.weight"):
        run(checkpoint=tmp_path / "c", resume=True)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"made_of": {}, "tensors": 3}'])
def test_a_damaged_record_is_refused(text, tmp_path):
    stopped_at(3, checkpoint=tmp_path / "c")
    (tmp_path / "c" / "training-rank0.json").write_text(text)
    with pytest.raises(InputError, match=r"training-rank0\.json|made with settings"):
        run(checkpoint=tmp_path / "c", resume=True)


def process(*arguments: str, **options) -> subprocess.Popen:
    tests = Path(__file__).parents[1]
    # A process of one thread, without a GPU, that finds the tests' toys.
    path = os.pathsep.join([str(tests), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.Popen(
        [sys.executable, *arguments], env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def in_this_process(folder: Path, resume: bool):
    model = Dropping()
    options = {"checkpoint": folder, "resume": resume}
    fit(model, wave_streams(), Regression(), runs.RULE, T, runs.SETTINGS, **options)
    return model


def test_a_real_ctrl_c_leaves_a_whole_checkpoint(tmp_path):
    """SIGINT to another process: it finishes its step, saves, says so, and the run goes on to the same bits."""
    child = process(runs.__file__, "interrupted", str(tmp_path / "c"))
    assert child.stdout is not None
    while (line := child.stdout.readline().strip()) != "6":
        assert line, child.communicate()
    child.send_signal(signal.SIGINT)
    output, errors = child.communicate()
    assert child.returncode == 130, errors
    record = json.loads((tmp_path / "c" / "training-rank0.json").read_text())
    assert 6 <= record["step"] < 40
    assert f"stopped at step {record['step']} of 40: saved to" in output
    resumed = in_this_process(tmp_path / "c", resume=True)
    whole = in_this_process(tmp_path / "whole", resume=False)
    assert_same(whole.state_dict(), resumed.state_dict())
    assert_same(contents(tmp_path / "whole"), contents(tmp_path / "c"))


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(tmp_path):
    child = process(runs.__file__, "full_disk", str(tmp_path / "c"))
    output, errors = child.communicate()
    assert child.returncode == 2, errors
    assert [line.split(":")[0] for line in output.splitlines()] == ["given", "expected", "what to do"]
    assert json.loads((tmp_path / "c" / "training-rank0.json").read_text())["step"] == 10
    assert len(contents(tmp_path / "c")) > 0
    resumed = in_this_process(tmp_path / "c", resume=True)
    assert_same(resumed.state_dict(), in_this_process(tmp_path / "whole", resume=False).state_dict())


def test_a_failing_run_that_starts_anew_leaves_the_checkpoint_of_the_one_before(tmp_path, monkeypatch):
    """Also at the very step that checkpoint was made at."""
    run(checkpoint=tmp_path / "c", settings=replace(SETTINGS, seed=1))
    before = contents(tmp_path / "c")

    def full(*arguments):
        raise OSError("no space left on device")

    monkeypatch.setattr("outlast.training.resume.save_file", full)
    with pytest.raises(InputError, match="no space left"):
        run(checkpoint=tmp_path / "c", settings=replace(SETTINGS, seed=1, checkpoint_every=12))
    assert_same(before, contents(tmp_path / "c"))


def test_two_ranks(tmp_path):
    """They end with equal weights, read disjoint halves of what one rank of double size reads, stop together when
    only one of them was asked to, and go on to the same bits."""
    arguments = ["-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=0", "--standalone"]
    child = process(*arguments, runs.__file__, "ranks", str(tmp_path))
    try:
        _, errors = child.communicate(timeout=240)  # a rank that stops alone would leave the other waiting for ever
    finally:
        child.terminate()
    assert child.returncode == 0, errors
    first, second = (json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in range(2))
    for name, rule in (("carry", runs.RULE), ("fitted", FittedNoise())):
        assert first[name]["weights"] == second[name]["weights"]
        runs.rows.clear()
        double = replace(runs.SETTINGS, batch_size=8)
        model = small_gru()
        fit(model, wave_streams(), runs.Recording(), rule, T, double)
        assert len(runs.rows) == 40
        halves = zip(first[name]["rows"], second[name]["rows"], strict=True)
        assert [[a[k] + b[k] for k in range(2)] for a, b in halves] == runs.rows
        # Old states stay on their rank, and noise is drawn there: the windows are the same, the numbers are not.
        weights = {key: value.flatten().tolist() for key, value in model.state_dict().items()}
        assert any(weights[key] != pytest.approx(value, abs=1e-3) for key, value in first[name]["weights"].items())
    assert first["stopped"].startswith("stopped at step 7 of 40")
    assert second["stopped"].startswith("stopped at step 7 of 40")
    assert first["resumed"] == second["resumed"] == first["carry"]["weights"]

    # One rank with all rows weighs every position alike, and so do two.
    assert first["uneven"] == second["uneven"]
    model = small_gru()
    losses = fit(model, runs.uneven_streams(), Regression(), Zero(), T, replace(runs.SETTINGS, batch_size=8))
    assert [loss for _, loss in losses] == pytest.approx([loss for _, loss in first["uneven"]["losses"]], rel=1e-4)
    for name, value in model.state_dict().items():
        assert value.flatten().tolist() == pytest.approx(first["uneven"]["weights"][name], rel=1e-2, abs=1e-4)

    # The head's weights are used outside of what DDP wraps, and their gradients are summed over ranks all the same.
    assert first["without head"] == second["without head"]
    model = runs.reader()
    losses = fit(model, token_streams(), CrossEntropy(), Zero(), T, replace(runs.SETTINGS, batch_size=8))
    assert [loss for _, loss in losses] == pytest.approx([loss for _, loss in first["without head"]["losses"]])
    for name, value in model.state_dict().items():
        assert value.flatten().tolist() == pytest.approx(first["without head"]["weights"][name], rel=1e-6, abs=1e-9)

    assert first["measured"] == [5, "ValueError: invalid literal for int() with base 10: 'seven'"]
    assert second["measured"] == [
        5, "OutlastError: the first rank stopped: invalid literal for int() with base 10: 'seven'",
    ]  # fmt: skip
