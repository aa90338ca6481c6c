"""Wrong calls in Python: each is one message with given, expected and what to do, which names what was wrong."""

# What is wrong here is wrong on purpose.
# pyright: reportArgumentType=false, reportCallIssue=false

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import nn

import outlast
from outlast import (
    Carry,
    DiagnoseSettings,
    EvalSettings,
    FittedNoise,
    InputError,
    InputSpec,
    Mix,
    RandomNoise,
    RepairSettings,
    Streams,
    TrainSettings,
    Zero,
    state_passing,
    tbtt,
)
from outlast.training.objectives import Regression
from toys import small_gru, wave_streams

T = 8
STREAMS = wave_streams(streams=48)
FRAME = pa.table({"power": [0.5, 1.5]})
MODEL = small_gru()
WRITER = outlast.build("gru", inputs=InputSpec("tokens", 7), outputs=7, width=4, layers=1)
BRIEFLY = TrainSettings(steps=2, batch_size=4)
MEASURED = outlast.evaluate(MODEL, STREAMS, train_context=T, settings=EvalSettings(targets=32))


def repaired(**more: Any) -> Any:
    given: dict[str, Any] = {"train_context": T, "intervention": "carry:expected_run=64", **more}
    return outlast.repair(MODEL, STREAMS, **given)


WRONG: list[tuple[Callable[[], Any], str]] = [
    (lambda: Streams.from_table(3), "a int where a table is due"),
    (lambda: Streams.from_table({"a": [1.0, 2.0]}, bins="many"), "bins='many'"),
    (lambda: Streams.from_table({"a": [1.0, 2.0]}, seed="first"), "seed='first'"),
    (lambda: Streams.from_table({"a": [1.0, 2.0]}, inputs="a"), "inputs='a'"),
    (lambda: Streams.from_table({"a": [1.0, 2.0]}, horizon=[1, 2.5]), "horizon=[1, 2.5]"),
    (
        lambda: Streams.from_table({"a": [1.0, 2.0]}, horizn=3),
        "outlast.Streams.from_table({'a': [1.0, 2.0]}, horizn=3)",
    ),
    (lambda: Streams.from_table({"a": [1.0, 2.0]}, units=3), "units=3"),
    (lambda: Streams.from_arrays([[1.0], [2.0]], horizon="far"), "horizon='far'"),
    (lambda: Streams.from_arrays([[1.0], [2.0]], horizon=2.5), "horizon=2.5"),
    (lambda: Streams.from_tokens([1, 2, 3], vocabulary="big"), "vocabulary='big'"),
    (lambda: outlast.deploy(3), "model=3"),
    (lambda: outlast.deploy(MODEL, resets=7), "resets=7"),
    (lambda: outlast.deploy(MODEL).read(object()), "rows of type object"),
    (lambda: Streams.from_arrays(FRAME), "a pyarrow.lib.Table"),
    (lambda: Streams.from_tokens(FRAME), "a pyarrow.lib.Table"),
    (lambda: Streams.from_text(3), "path=3"),
    (lambda: Streams.from_text("texts", tokenizer=7), "tokenizer=7"),
    (lambda: Streams.from_text("texts", documents="apart"), "documents='apart'"),
    (lambda: Streams.from_text("texts", field=["text"]), "field=['text']"),
    (lambda: outlast.open_streams(None), "path=None"),
    (lambda: Streams.from_tokens([[1, 2, 3], [1]]), "a list"),
    (lambda: Streams.from_tokens(["a", "b"]), "an array in memory of <U1"),
    (lambda: Streams.from_arrays({1.0, 2.0}), "a set"),
    (lambda: Streams.from_arrays(np.zeros((9, 9, 1), np.float32), targets={1}), "a set"),
    (lambda: outlast.evaluate(MODEL, np.zeros((9, 99)), train_context=T), "data of type numpy.ndarray"),
    (lambda: outlast.evaluate(MODEL, "readings.csv", train_context=T), "readings.csv, where there is nothing"),
    (lambda: outlast.evaluate(MODEL, STREAMS, train_contxt=T), "outlast.evaluate(a outlast.families.shell.Shell"),
    (lambda: outlast.evaluate(MODEL, FRAME, train_context=T, targt="power"), "outlast.evaluate: argument 'targt'"),
    (lambda: outlast.evaluate(MODEL, FRAME, train_contex=T), "outlast.evaluate(a outlast.families.shell.Shell"),
    (lambda: outlast.diagnose(MODEL, None, train_context=T), "data=None"),
    (lambda: outlast.repair(MODEL, FRAME, train_context=T), "the frame: at most 1 positions with a target"),
    (lambda: outlast.evaluate("gone", STREAMS, train_context=T), "no folder gone"),
    (lambda: outlast.evaluate(nn.GRU, STREAMS, train_context=T), "model, the class GRU,"),
    (
        lambda: outlast.evaluate(nn.Linear(1, 1), STREAMS, train_context=T),
        "Linear, whose forward takes no hidden state",
    ),
    (lambda: outlast.diagnose(small_gru, STREAMS, train_context=T), "model of type function"),
    (lambda: outlast.with_reset("runs/model", every=8), "model='runs/model'"),
    (lambda: outlast.evaluate(MODEL, STREAMS, train_context=8.5), "train_context=8.5"),
    (lambda: outlast.evaluate(MODEL, STREAMS, train_context="8"), "train_context='8'"),
    (lambda: outlast.evaluate(MODEL, STREAMS, train_context=0), "train_context=0"),
    (lambda: outlast.diagnose(MODEL, STREAMS, train_context=None), "train_context=None"),
    (lambda: outlast.evaluate(MODEL, STREAMS, train_context=True), "train_context=True"),
    (lambda: outlast.evaluate(MODEL, STREAMS, train_context=float("inf")), "train_context=inf"),
    (lambda: repaired(steps="many"), "steps='many'"),
    (lambda: repaired(steps=-1), "steps=-1"),
    (lambda: outlast.evaluate(MODEL, STREAMS, train_context=T, measures=["squared"]), "measure 'squared'"),
    (lambda: outlast.evaluate(MODEL, STREAMS, train_context=T, measures=3), "measures=3"),
    (lambda: repaired(measures=[len]), "measures=[a builtin_function_or_method]"),
    (
        lambda: outlast.evaluate(MODEL, STREAMS, train_context=T, settings=TrainSettings()),
        "settings of type outlast.training.settings.TrainSettings",
    ),
    (lambda: outlast.diagnose(MODEL, STREAMS, train_context=T, settings={"targets": 3}), "settings={'targets': 3}"),
    (lambda: repaired(training={"steps": 3}), "training={'steps': 3}"),
    (lambda: repaired(measuring=3), "measuring=3"),
    (lambda: repaired(repairing="gently"), "repairing='gently'"),
    (lambda: repaired(intervention="cary"), "intervention 'cary'"),
    (lambda: repaired(intervention=None), "intervention=None"),
    (lambda: repaired(intervention=Carry), "intervention, the class Carry,"),
    (lambda: repaired(intervention="carry:expected=64"), "setting of intervention 'carry' 'expected'"),
    (lambda: repaired(guards={"night": "night.csv"}), "guards={'night': 'night.csv'}"),
    (lambda: repaired(objective="next"), "objective 'next'"),
    (lambda: outlast.compare(MODEL, STREAMS, train_context=T, interventions=[3]), "interventions=[3]"),
    (lambda: outlast.compare(MODEL, STREAMS, train_context=T, interventions=[]), "no interventions"),
    (lambda: outlast.judge(MODEL, "model", STREAMS, train_context=T), "no folder model"),
    (lambda: outlast.build("lstn", inputs=InputSpec("features", 1), outputs=1), "family 'lstn'"),
    (lambda: TrainSettings(steps=2.5), "steps=2.5"),
    (lambda: TrainSettings(steps=None), "steps=None"),
    (lambda: TrainSettings(batch_size="4"), "batch_size='4'"),
    (lambda: TrainSettings(learning_rate="high"), "learning_rate='high'"),
    (lambda: TrainSettings(learning_rate=float("nan")), "steps 400, batch size 32, learning rate nan"),
    (lambda: TrainSettings(warm_up="long"), "warm_up='long'"),
    (lambda: TrainSettings(warm_up=-1), "warm_up=-1"),
    (lambda: TrainSettings(betas=0.9), "betas=0.9"),
    (lambda: TrainSettings(betas=(0.9, 0.9, 0.9)), "betas=(0.9, 0.9, 0.9)"),
    (lambda: TrainSettings(betas=(2.0, 0.9)), "betas=(2.0, 0.9)"),
    (lambda: TrainSettings(clip="no"), "clip='no'"),
    (lambda: TrainSettings(seed="a"), "seed='a'"),
    (lambda: TrainSettings(seed=-1), "seed=-1"),
    (lambda: TrainSettings(checkpoint_every="often"), "checkpoint_every='often'"),
    (lambda: TrainSettings(precision=16), "precision=16"),
    (lambda: TrainSettings(weight_decay="some"), "weight_decay='some'"),
    (lambda: EvalSettings(max_length="long"), "max_length='long'"),
    (lambda: EvalSettings(max_length=-1), "max_length=-1"),
    (lambda: EvalSettings(targets="all"), "targets='all'"),
    (lambda: EvalSettings(targets=0), "targets=0"),
    (lambda: EvalSettings(chunk=0), "chunk=0"),
    (lambda: EvalSettings(memory_mib="64"), "memory_mib='64'"),
    (lambda: EvalSettings(jobs=0), "jobs=0"),
    (lambda: EvalSettings(ends_only="yes"), "ends_only='yes'"),
    (lambda: EvalSettings(seed=None), "seed=None"),
    (lambda: EvalSettings(streams=1), "streams=1"),
    (lambda: EvalSettings(streams="all"), "streams='all'"),
    (lambda: EvalSettings(budget="10min"), "budget='10min'"),
    (lambda: EvalSettings(budget=0), "budget=0"),
    (lambda: EvalSettings(budget=float("inf")), "budget=inf"),
    (lambda: outlast.evaluate(MODEL, STREAMS, train_context=T, announce="me"), "announce='me'"),
    (lambda: outlast.cost(MODEL, STREAMS, train_context=0), "train_context=0"),
    (lambda: outlast.expected_run(MODEL), "data of type"),
    (lambda: outlast.expected_run(STREAMS, seed="x"), "seed='x'"),
    (lambda: outlast.repair_cost(MODEL, STREAMS, train_context=8, intervention=3), "intervention=3"),
    (lambda: outlast.repair_cost(MODEL, STREAMS, train_context=8, intervention="tbtt", price="x"), "price='x'"),
    (lambda: outlast.plan(MODEL, STREAMS, train_context=8, budget="soon"), "budget soon"),
    (lambda: outlast.plan(MODEL, STREAMS, train_context=8, price_per_hour=-1), "price_per_hour=-1"),
    (lambda: outlast.plan(MODEL, STREAMS, train_context=8, value_per_unit=float("inf")), "value_per_unit=inf"),
    (lambda: outlast.plan(MODEL, STREAMS, train_context=8, jobs=0), "jobs=0"),
    (lambda: TrainSettings(read_ahead=-1), "read_ahead=-1"),
    (lambda: TrainSettings(state_penalty=-1), "state_penalty -1"),
    (lambda: TrainSettings(state_dropout=1), "state_dropout 1"),
    (lambda: outlast.Partial(of=outlast.tbtt(), strength=0), "strength 0"),
    (lambda: outlast.Partial(of=3), "of=3"),
    (lambda: outlast.with_decay(MODEL, 0), "factor=0"),
    (lambda: outlast.with_decay(MODEL, "slow"), "factor='slow'"),
    (
        lambda: outlast.evaluate(MODEL, STREAMS, train_context=T, settings=EvalSettings(budget=1e-6)),
        "a budget of 1s",
    ),
    (lambda: repaired(measuring=EvalSettings(budget=60)), "measuring with budget=60"),
    (lambda: repaired(measuring=EvalSettings(streams=9)), "measuring with streams=9"),
    (lambda: RepairSettings(anchor="strong"), "anchor='strong'"),
    (lambda: RepairSettings(doses=0.5), "doses=0.5"),
    (lambda: RepairSettings(doses="half"), "doses='half'"),
    (lambda: RepairSettings(doses=("a",)), "doses=('a',)"),
    (lambda: RepairSettings(control="no"), "control='no'"),
    (lambda: RepairSettings(short_ages=8), "short_ages=8"),
    (lambda: RepairSettings(short_ages=("a", "b")), "short_ages=('a', 'b')"),
    (lambda: DiagnoseSettings(measuring={"targets": 3}), "measuring={'targets': 3}"),
    (lambda: DiagnoseSettings(seed="x"), "seed='x'"),
    (lambda: Carry("long"), "outlast.Carry('long'): too many positional a"),
    (lambda: Carry(expected_run="long"), "expected_run='long'"),
    (lambda: Carry(), "outlast.Carry(): missing a required argument"),
    (lambda: Carry(expected_run=-1), "expected_run -1"),
    (lambda: Carry(expected_run=float("nan")), "expected_run nan"),
    (lambda: Zero(zero_share="some"), "zero_share='some'"),
    (lambda: Zero(0.5), "outlast.Zero(0.5): too many positional argum"),
    (lambda: RandomNoise(std="big"), "std='big'"),
    (lambda: FittedNoise(source=3), "source=3"),
    (lambda: outlast.Replay(size="many"), "size='many'"),
    (lambda: outlast.Replay(by="luck"), "by='luck'"),
    (lambda: FittedNoise(carried_length="far"), "carried_length='far'"),
    (lambda: Mix(), "outlast.Mix(): missing a required argument:"),
    (lambda: Mix(members=("carry",)), "members=('carry',)"),
    (lambda: Mix(members=Carry(expected_run=3)), "members of type outlast.interventions.carry."),
    (lambda: Mix(members=(Zero(),), shares=("a",)), "shares=('a',)"),
    (lambda: TrainSettings(step=3), "outlast.TrainSettings(step=3): got an unexpe"),
    (lambda: state_passing("x"), "zero_share='x'"),
    (lambda: tbtt(zero_share=[1]), "zero_share=[1]"),
    (lambda: InputSpec("text", 3), "kind='text'"),
    (lambda: InputSpec("tokens", "a"), "size='a'"),
    (lambda: outlast.load(None), "directory=None"),
    (lambda: outlast.load(3), "directory=3"),
    (lambda: outlast.load("gone"), "no folder gone"),
    (lambda: outlast.load("gone", device=3.5), "device=3.5"),
    (lambda: outlast.save(MODEL, None), "directory=None"),
    (lambda: outlast.save(nn.Linear(1, 1), "d"), "a model of class Linear that was passed as a"),
    (lambda: outlast.save("model", "d"), "model='model'"),
    (lambda: outlast.save(MODEL, "d", provenance="x"), "provenance='x'"),
    (lambda: outlast.save(MODEL, "d2", provenance={"a": object()}), "provenance that is no JSON (Object of type o"),
    (lambda: outlast.check("model"), "model='model'"),
    (lambda: outlast.check(MODEL, "x"), "example='x'"),
    (lambda: outlast.check(MODEL, torch.zeros(9)), "an example of shape (9,) and dtype torch.flo"),
    (lambda: outlast.check(MODEL, seed="a"), "seed='a'"),
    (lambda: outlast.adapt(None), "module=None"),
    (lambda: outlast.adapt(len), "module of type builtin_function_or_method"),
    (lambda: outlast.split([1, 2, 3]), "streams=[1, 2, 3]"),
    (lambda: outlast.split(STREAMS, 0.5), "shares=0.5"),
    (lambda: outlast.split(STREAMS, "60/20/20"), "shares='60/20/20'"),
    (lambda: outlast.split(STREAMS, ("a", "b", "c")), "shares=('a', 'b', 'c')"),
    (lambda: outlast.split(STREAMS, seed="x"), "seed='x'"),
    (lambda: outlast.split(outlast.split(STREAMS)), "streams of type outlast.data.streams.Spli"),
    (lambda: outlast.generate(WRITER, "hello", 3), "prompt='hello'"),
    (lambda: outlast.generate(WRITER, torch.tensor([[1]]), "3"), "steps='3'"),
    (lambda: outlast.generate(WRITER, torch.tensor([[1]]), 2.5), "steps=2.5"),
    (lambda: outlast.generate(WRITER, None, 3, after="place"), "after='place'"),
    (lambda: outlast.generate(WRITER, torch.tensor([[1]]), 3, temperature="hot"), "temperature='hot'"),
    (lambda: outlast.generate(WRITER, torch.tensor([[1.5]]), 3), "a prompt of shape (1, 1) and torch.float32"),
    (lambda: outlast.generate(WRITER, torch.tensor([1]), 3), "a prompt of shape (1,) and torch.int64"),
    (lambda: outlast.generate("gru", torch.tensor([[1]]), 3), "model='gru'"),
    (lambda: outlast.generate(nn.LSTM(1, 1), torch.tensor([[1]]), 3), "a model that reads InputSpec(kind='features'"),
    (lambda: outlast.generate(WRITER, torch.tensor([[1]]), 3, temperature=1.0, seed="a"), "seed='a'"),
    (lambda: outlast.save_place("x", "p", WRITER), "place='x'"),
    (lambda: outlast.load_place(3, WRITER), "path=3"),
    (lambda: outlast.load_place("gone", WRITER), "gone cannot be read as a state (FileNotFound"),
    (lambda: outlast.write_report("result.json", "r.html"), "results='result.json'"),
    (lambda: outlast.write_report(None, "r.html"), "results=None"),
    (lambda: outlast.write_report([MODEL], "r.html"), "results=[a outlast.families.shell.Shell]"),
    (lambda: outlast.write_report([STREAMS], "r.html"), "results=[a outlast.data.streams.Streams]"),
    (lambda: outlast.write_report([MEASURED], None), "path=None"),
    (lambda: outlast.write_report([MEASURED], "r.html", language="jp"), "language='jp'"),
    (lambda: outlast.write_report([MEASURED], "r.html", language=3), "language=3"),
    (lambda: outlast.write_report([MEASURED], "r.html", title=3), "title=3"),
    (lambda: outlast.write_figures("x", "f"), "result='x'"),
    (lambda: outlast.write_figures(MEASURED, 3), "folder=3"),
    (lambda: outlast.load_result(None), "path=None"),
    (lambda: outlast.load_result("gone"), "no file gone"),
    (lambda: outlast.save_result({"a": 1}, "r.json"), "result={'a': 1}"),
    (lambda: outlast.save_result(MEASURED, None), "path=None"),
    (lambda: outlast.build(None, inputs=InputSpec("features", 1), outputs=1), "family=None"),
    (lambda: outlast.build("gru", inputs=3, outputs=1), "inputs=3"),
    (lambda: outlast.build("gru", inputs=InputSpec("features", 1), outputs="one"), "outputs='one'"),
    (lambda: outlast.build("gru", inputs=InputSpec("features", 1), outputs=1, width="wide"), "width='wide'"),
    (lambda: outlast.build("gru", inputs=InputSpec("features", 1), outputs=1, layers=1.5), "layers=1.5"),
    (lambda: outlast.build("gru", inputs=InputSpec("features", 1), outputs=1, seed="x"), "seed='x'"),
    (lambda: outlast.build("gru"), "outlast.build('gru'): missing a required arg"),
    (lambda: outlast.with_dose("a", "b", 0.5), "base='a'"),
    (lambda: outlast.with_dose(MODEL, MODEL, "half"), "dose='half'"),
    (lambda: outlast.with_dose(MODEL, None, 0.5), "repaired=None"),
    (lambda: outlast.with_reset(MODEL, every="8"), "every='8'"),
    (lambda: outlast.with_reset(MODEL, every=8.5), "every=8.5"),
    (lambda: outlast.with_reset(MODEL, every=8, overlap="yes"), "overlap='yes'"),
    (lambda: outlast.open_streams("gone", x=3), "gone, where there is nothing"),
    (lambda: outlast.from_factory(None), "spec=None"),
    (lambda: outlast.from_factory(small_gru), "spec of type function"),
    (lambda: outlast.fit("m", STREAMS, Regression(), Zero(), T, BRIEFLY), "model='m'"),
    (lambda: outlast.fit(small_gru(), np.zeros(3), Regression(), Zero(), T, BRIEFLY), "streams of type numpy.ndarray"),
    (lambda: outlast.fit(small_gru(), STREAMS, "regresion", Zero(), T, BRIEFLY), "objective 'regresion'"),
    (lambda: outlast.fit(small_gru(), STREAMS, 3, Zero(), T, BRIEFLY), "objective=3"),
    (lambda: outlast.fit(small_gru(), STREAMS, Regression(), 3, T, BRIEFLY), "intervention=3"),
    (lambda: outlast.fit(small_gru(), STREAMS, Regression(), Zero(), T, {"steps": 3}), "settings={'steps': 3}"),
    (lambda: outlast.fit(small_gru(), STREAMS, Regression(), Zero(), T, BRIEFLY, checkpoint=3), "checkpoint=3"),
    (lambda: outlast.fit(small_gru(), STREAMS, Regression(), Zero(), T, BRIEFLY, progress="loud"), "progress='loud'"),
    (
        lambda: outlast.repair(MODEL, STREAMS, train_context=T, intervention="zero", training=BRIEFLY, checkpoint=3),
        "checkpoint=3",
    ),
    (
        lambda: outlast.repair(MODEL, STREAMS, train_context=T, intervention="zero", training=BRIEFLY, jobs="two"),
        "jobs='two'",
    ),
    (lambda: outlast.repair(MODEL, STREAMS, train_context=T, intervention="zero", training=BRIEFLY, jobs=0), "jobs=0"),
    (
        lambda: outlast.repair(MODEL, STREAMS, train_context=T, intervention="zero", training=BRIEFLY, objective=3),
        "objective=3",
    ),
    (
        lambda: outlast.repair(
            MODEL, STREAMS, train_context=T, intervention="zero", training=BRIEFLY, guards=[STREAMS]
        ),
        "guards=[a outlast.data.streams.Streams]",
    ),
    (
        lambda: outlast.repair(MODEL, STREAMS, train_context=T, intervention="zero", training=BRIEFLY, progress=3),
        "progress=3",
    ),
    (lambda: outlast.evaluate(MODEL, STREAMS, train_context=T, periods=(3, 4)), "periods=(3, 4)"),
    (lambda: outlast.evaluate(MODEL, STREAMS, train_context=T, progress=3), "progress=3"),
    (lambda: outlast.evaluate(MODEL, STREAMS, train_context=T, name=3, settings=EvalSettings(targets=32)), "name=3"),
    (lambda: outlast.diagnose(MODEL, STREAMS, train_context=T, stationary="x"), "stationary='x'"),
    (lambda: outlast.anchored("regression", MODEL), "goal='regression'"),
    (lambda: outlast.anchored(Regression(), "x"), "model='x'"),
    (lambda: outlast.anchored(Regression(), MODEL, weight="x"), "weight='x'"),
    (lambda: outlast.self_distillation("x"), "model='x'"),
    (lambda: outlast.self_distillation(MODEL, kind="k"), "divergence 'k'"),
    (lambda: outlast.self_distillation(MODEL, resets="x"), "resets='x'"),
    (lambda: outlast.compare(MODEL, STREAMS, train_context=T, interventions=3), "interventions=3"),
]
"""A call, and the beginning of what it is told was given."""


def test_there_are_enough() -> None:
    assert len(WRONG) >= 60


@pytest.mark.parametrize(("call", "part"), WRONG, ids=[part for _, part in WRONG])
def test_a_wrong_call(call: Callable[[], Any], part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as told:
        call()
    message = str(told.value)
    assert [message.count(f"{name}: ") for name in ("given", "expected", "what to do")] == [1, 1, 1], message
    assert message.startswith(f"given: {part}")
    assert all(said.strip() for said in (told.value.expected, told.value.do))
    assert list(tmp_path.iterdir()) == []


TEN = """
import outlast
from outlast import Carry, EvalSettings, InputSpec, TrainSettings
calls = [
    lambda: TrainSettings(steps="many"),
    lambda: EvalSettings(targets=0),
    lambda: Carry("long"),
    lambda: InputSpec("words", 3),
    lambda: outlast.load(None),
    lambda: outlast.build("lstn", inputs=InputSpec("features", 1), outputs=1),
    lambda: outlast.split([1, 2, 3]),
    lambda: outlast.check("model"),
    lambda: outlast.write_report("result.json", "report.html"),
    lambda: outlast.load_result("gone"),
]
for call in calls:
    try:
        call()
    except outlast.InputError as error:
        print(error)
"""


def test_ten_of_them_in_a_process_of_their_own(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", TEN], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert [done.stdout.count(f"{name}: ") for name in ("given", "expected", "what to do")] == [10, 10, 10]


def test_what_means_the_same_is_taken() -> None:
    """Whole numbers written otherwise, lists for tuples, texts for paths, numpy's numbers."""
    assert TrainSettings(steps=400.0, batch_size=np.int64(4)) == TrainSettings(steps=400, batch_size=4)
    assert type(TrainSettings(steps=np.float32(3.0)).steps) is int
    assert RepairSettings(doses=[0.5, 1], short_ages=np.array([0, 8])).short_ages == (0, 8)
    assert RepairSettings(doses=[0.5, 1]) == RepairSettings(doses=(0.5, 1))
    assert outlast.build("gru", inputs=InputSpec("features", 1.0), outputs=1, width=8.0).blueprint is not None
    assert outlast.with_reset(MODEL, every=8.0).every == 8
    assert outlast.check(MODEL, np.zeros((2, 9, 1), np.float32)).passed
    assert Carry(expected_run=64).expected_run == 64


def test_fit_takes_what_repair_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    own = nn.GRU(1, 1, batch_first=True)
    losses = outlast.fit(own, outlast.split(STREAMS), "regression", "zero", 8.0, BRIEFLY, checkpoint="here")
    assert [step for step, _ in losses] == [2]
    assert (tmp_path / "here").is_dir()


def test_generate_takes_lists_and_dose_takes_modules() -> None:
    from_list, _ = outlast.generate(WRITER, [[1, 2]], 3)
    assert torch.equal(from_list, outlast.generate(WRITER, torch.tensor([[1, 2]]), 3)[0])
    assert isinstance(outlast.with_dose(nn.GRU(1, 1), nn.GRU(1, 1), 0.5), outlast.Recurrent)


def test_the_page_counts_them() -> None:
    """docs/reliability.md says how many wrong commands and calls are tried."""
    from cli.test_wrong_input import WRONG as TYPED

    page = (Path(__file__).parents[1] / "docs" / "reliability.md").read_text()
    assert f"Given {len(TYPED)} wrong commands" in page
    assert f"and {len(WRONG)} wrong calls in Python" in page
