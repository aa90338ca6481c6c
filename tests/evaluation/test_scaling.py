"""How a model wants its table to be read: held to models trained by plain loops, each with its own scaling."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import outlast
from outlast.cli import main
from outlast.data.first_lines import first_lines
from outlast.errors import spelt
from outlast.evaluation.misread import Read, Tried, as_it_reads, judged, scaling_notes, typed
from outlast.reporting import summary, write_report
from outlast.reporting.kinds import headline
from outlast.reporting.kinds.first_steps import read_rightly
from outlast.results import Evaluation
from outlast.schema import Column, Schema, Target
from planted_scalings import INPUTS, KINDS, ROWS, TARGET, Forecaster, T, planted, table

MADE: dict[tuple[str, int], tuple[Forecaster, dict[str, np.ndarray]]] = {}


def made(kind: str, seed: int = 0) -> tuple[Forecaster, dict[str, np.ndarray]]:
    if (kind, seed) not in MADE:
        MADE[kind, seed] = planted(kind, seed)
    model, columns = MADE[kind, seed]
    return copy.deepcopy(model), columns


def parts_of(columns: dict[str, np.ndarray], **options: Any) -> outlast.Split:
    streams = outlast.Streams.from_table(columns, inputs=list(INPUTS), target=TARGET, stream="machine", **options)
    return outlast.split(streams)


def read(model: nn.Module, parts: outlast.Split) -> outlast.Split:
    return as_it_reads(outlast.adapt(model).eval(), parts, T)


def scaled_as(parts: outlast.Split) -> tuple[set[str], set[str]]:
    """The words by which inputs and target of a split are scaled."""
    said = parts.test.about["scaled"]
    return set(said["inputs"].values()), set(said["target"].values())


@pytest.mark.parametrize("kind", KINDS)
def test_each_is_read_as_it_was_trained_and_the_useless_as_they_are_given(kind: str) -> None:
    model, columns = made(kind)
    parts, wanted = parts_of(columns), KINDS[kind]
    found = read(model, parts)
    inputs, target = scaled_as(found)
    if wanted is None:
        assert found.test.about["scaled"]["by"] == "default"
        assert [note.name for note in scaling_notes(found.test.about)] == ["no_scaling_fits"]
        assert found.test.inputs is parts.test.inputs
        return
    assert target == {wanted.target}
    assert inputs == ({wanted.inputs, "log-standard"} if kind == "log_both" else {wanted.inputs})
    names = [note.name for note in scaling_notes(found.test.about)]
    assert names == ([] if kind == "standard" else ["scaling_found"])


def test_what_a_model_says_at_the_beginning_of_a_window_does_not_hide_its_scaling() -> None:
    """As of a module that was trained on its last output alone: at young ages it says what nobody asked it for."""
    torch.manual_seed(0)
    columns = table(0)
    rows = np.stack([columns[name].reshape(-1, ROWS) for name in INPUTS], -1)
    x = torch.from_numpy(rows).float()
    y = x[..., -1:]
    model = Forecaster((x.mean((0, 1)), x.std((0, 1))), (y.mean((0, 1)), y.std((0, 1))))
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    late = torch.arange(T)[:, None] >= 4
    for _ in range(250):
        machine, first = torch.randint(len(x), (48,)), torch.randint(ROWS - T - 1, (48,))
        at = first[:, None] + torch.arange(T)
        wanted = torch.where(late, y[machine[:, None], at + 1], y.mean() + 6 * y.std())
        loss = ((model(x[machine[:, None], at])[0] - wanted) ** 2).mean() / y.var()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    found = read(model.eval(), parts_of(columns))
    assert scaled_as(found) == ({"none"}, {"none"})
    tried = found.test.about["scaled"]["tried"]
    assert tried["loss"] < 0.5 * tried["constant"]


@pytest.mark.parametrize("finding", ["order", "found", "another", "level", "open", "doubtful", "none"])
def test_what_was_found_is_told_with_the_options_of_whoever_reads_it(finding: str) -> None:
    options = "--scale none power=minmax --target-scale none"
    other = "--scale standard --target-scale standard"
    facts = {"finding": finding, "options": options, "loss": 0.3, "given": 0.4, "constant": 1.0, "unit": "variances"}
    (note,) = scaling_notes({"scaled": {"tried": facts | {"other": other, "other_loss": 0.31, "labels": "a, b"}}})
    told = spelt(note.said)
    assert "--" not in told
    if finding != "open":
        assert "scale=['none', 'power=minmax'], target_scale='none'" in told
    if finding == "level":
        assert "scale='standard', target_scale='standard'" in told


@pytest.mark.parametrize("kind", ["raw", "log_target", "minmax"])
def test_what_was_taken_are_the_table_s_numbers_scaled_anew(kind: str) -> None:
    model, columns = made(kind)
    parts = parts_of(columns)
    found = read(model, parts)
    wanted = KINDS[kind]
    assert wanted is not None
    same = parts_of(columns, scale=wanted.inputs, target_scale=wanted.target)
    for part, other in ((found.train, same.train), (found.test, same.test)):
        rows = np.concatenate([np.arange(s, s + n) for s, n in zip(part.starts, part.lengths, strict=True)])
        np.testing.assert_allclose(part.inputs[rows], other.inputs[rows], rtol=1e-4, atol=1e-4)
        assert part.targets is not None
        assert other.targets is not None
        np.testing.assert_allclose(part.targets[rows], other.targets[rows], rtol=1e-4, atol=1e-4)


def test_another_scaling_than_was_asked_for_is_a_verdict_of_its_own(tmp_path: Path) -> None:
    model, columns = made("raw")
    parts = parts_of(columns, scale="standard")
    result = outlast.evaluate(model, parts, train_context=T)
    assert result.verdict is not None
    assert result.verdict.name == "misread"
    assert "--scale none --target-scale none" in result.verdict.because[0]
    assert "does not fit these data as they are read" in summary(result, "en")
    assert "合っていない" in summary(result, "ja")
    write_report([result], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("does not fit these data as they are read") >= 1
    outlast.save_result(result, tmp_path / "result.json")
    again = outlast.load_result(tmp_path / "result.json")
    assert isinstance(again, Evaluation)
    assert again.verdict == result.verdict
    settings = outlast.TrainSettings(steps=8, batch_size=4)
    with pytest.raises(outlast.InputError, match=r"target_scale='none'.*anyway="):
        outlast.repair(model, parts, train_context=T, intervention="carry:expected_run=100", training=settings)
    with pytest.raises(outlast.InputError, match="as they are read"):
        outlast.plan(model, parts, train_context=T, training=settings)
    told = outlast.diagnose(model, parts, train_context=T)
    assert set(told.left_out.values()) == {"the data are misread"}
    write_report([told], tmp_path / "diagnosis.html")
    page = (tmp_path / "diagnosis.html").read_text(encoding="utf-8")
    assert "--scale none --target-scale none" in page
    assert "Nothing needs repair" not in page
    assert "the excess at age" not in page
    assert "does not fit these data" in summary(told, "en")
    assert "合っていない" in summary(told, "ja")


@pytest.mark.parametrize(("how", "unit"), [
    ("standard", "variances of power"), ("none", "squared error"), ("minmax", "squared ranges of power"),
    ("log-standard", "variances of the logarithm"),
])  # fmt: skip
def test_losses_are_told_in_the_target_s_own_unit_too(how: str, unit: str) -> None:
    model, columns = made("noise")
    parts = parts_of(columns, scale="standard", target_scale=how, units={"power": "kW"})
    settings = outlast.EvalSettings(targets=64)
    result = outlast.evaluate(model, parts, train_context=T, settings=settings)
    assert result.unit == ("kW²" if how == "none" else unit)
    own = result.own_unit
    if how.startswith("log"):
        assert own is None
        return
    assert own is not None
    assert (own.column, own.unit, own.power) == ("power", "kW", 2)
    constant = own.scale * result.guesses["constant"].loss ** 0.5
    spread = float(np.std(columns["power"]))
    assert 0.8 * spread < constant < 1.2 * spread
    said = summary(result, "en")
    assert "Root mean square error of power:" in said
    assert "kW within the training context" in " ".join(said.split()).replace("\u00a0", " ")
    assert "二乗平均平方根誤差" in summary(result, "ja")


@pytest.mark.parametrize("kind", ["useless", "noise"])
def test_a_model_that_fits_under_no_scaling_is_judged_and_all_that_is_told_says_so(kind: str) -> None:
    model, columns = made(kind)
    result = outlast.evaluate(model, parts_of(columns), train_context=T, settings=outlast.EvalSettings(targets=64))
    assert result.verdict is not None
    assert result.verdict.name != "misread"
    assert "no_scaling_fits" in [note.name for note in result.notes]
    en, ja = (" ".join(summary(result, language).split()) for language in ("en", "ja"))
    assert "its table may be read wrongly" in en
    assert "Nobody said how the table is scaled, and of the scalings that were tried" in en
    assert "誤って読まれているおそれ" in ja.replace(" ", "")
    told = outlast.diagnose(model, parts_of(columns), train_context=T)
    assert told.evaluation.verdict is not None
    robust = replace(told.evaluation.verdict, name="robust")
    for each in (told, replace(told, evaluation=replace(told.evaluation, verdict=robust))):
        assert headline(each).endswith("its table may be read wrongly.")  # behind the reason, which is the verdict's
        assert headline(each).count("read wrongly") == 1
    taken = {line.about[0]: line.taken for line in first_lines(result.data)}["scaling"]
    assert "WITH NONE THAT WAS TRIED DOES THE MODEL FIT WELL" in taken[0]
    assert "どの尺度でもよく合わない" in taken[1]


def test_a_weak_model_under_a_wrong_scaling_that_was_asked_for_is_judged_and_it_is_said() -> None:
    model, columns = made("untrained")
    parts = parts_of(columns, scale="standard")
    result = outlast.evaluate(model, parts, train_context=T, settings=outlast.EvalSettings(targets=64))
    assert result.verdict is not None
    assert result.verdict.name != "misread"
    assert [note.facts["finding"] for note in result.notes if note.name == "no_scaling_fits"] == ["doubtful"]
    en, ja = (" ".join(summary(result, language).split()) for language in ("en", "ja"))
    assert "no better than the best constant" in en
    assert "its table may be read wrongly" in en
    assert "わずかに良くなります" in ja.replace(" ", "")


def test_where_no_scaling_fits_none_of_them_is_advised() -> None:
    """A command with the best of the bad ones would end in the same refusal, or in silence."""
    model, columns = made("useless")
    with torch.no_grad():
        for each in model.parameters():
            each.mul_(30)
    parts = parts_of(columns)
    result = outlast.evaluate(model, parts, train_context=T, settings=outlast.EvalSettings(targets=64))
    assert result.verdict is not None
    assert result.verdict.name == "misread"
    assert next(note.facts["finding"] for note in result.notes if note.name == "misread") == "none"
    steps = read_rightly("evaluate", result)
    assert "this fits best" not in steps.text
    assert steps.code is not None
    assert steps.code.endswith("--scale FILE.json")
    settings = outlast.TrainSettings(steps=2, batch_size=4)
    with pytest.raises(outlast.InputError, match=r"to do: say it: scale='FILE\.json'"):
        outlast.repair(model, parts, train_context=T, intervention="carry:expected_run=100", training=settings)


def test_anyway_goes_on_and_says_so() -> None:
    model, columns = made("raw")
    done = outlast.repair(
        model,
        parts_of(columns, scale="standard"),
        train_context=T,
        intervention="carry:expected_run=100",
        training=outlast.TrainSettings(steps=2, batch_size=4),
        repairing=outlast.RepairSettings(anyway=True, control=False, doses=(1.0,)),
    )
    assert done.before.verdict is not None
    assert done.before.verdict.name != "misread"
    assert "misread" in [note.name for note in done.before.notes]


def test_what_was_asked_for_and_fits_is_left_alone() -> None:
    for kind in ("standard", "raw", "useless", "noise"):
        model, columns = made(kind)
        wanted = KINDS[kind]
        how = "none" if kind == "raw" else "standard"
        found = read(model, parts_of(columns, scale=how))
        assert not scaling_notes(found.test.about), kind
        assert wanted is None or scaled_as(found) == ({wanted.inputs}, {wanted.target})


def test_a_repaired_model_keeps_the_scaling_that_was_found(tmp_path: Path) -> None:
    model, columns = made("raw_outputs")
    done = outlast.repair(
        model,
        parts_of(columns),
        train_context=T,
        intervention="carry:expected_run=100",
        training=outlast.TrainSettings(steps=2, batch_size=4),
        repairing=outlast.RepairSettings(anyway=True, control=False, doses=(1.0,)),
    )
    assert done.model.schema is not None
    assert done.model.schema.target.stds == (1.0,)
    streams = outlast.Streams.from_table(columns, stream="machine", schema=done.model.schema)
    result = outlast.evaluate(done.model, streams, train_context=T)
    assert not [note for note in result.notes if note.name in ("misread", "scaling_found")]


class TestJudged:
    """The rule alone, on losses of sixteen blocks that were made up."""

    schema = Schema((Column("a"),), Target("value", ("a",), (1,), means=(0.0,), stds=(1.0,)))

    def tried(self, given: float, others: dict[str, tuple[float, float]]) -> Tried:
        """Losses against a constant's of 1; of each other reading how far its forecasts are from the given ones."""
        draw = np.random.default_rng(0)

        def one(word: str, loss: float, apart: float) -> Read:
            losses = loss * (1 + 0.05 * draw.standard_normal(16))
            return Read({"a": word}, {"a": word}, self.schema, losses, np.full((8, 1), apart))

        reads = [one("standard", given, 0.0), *(one(word, *each) for word, each in others.items())]
        return Tried(tuple(reads), np.ones(16), 100)

    @pytest.mark.parametrize(
        ("given", "others", "by_default", "as_asked"),
        [
            (0.3, {"none": (0.9, 1.0)}, "as_given", "as_given"),
            (0.3, {"none": (0.1, 1.0)}, "found", "another"),
            (0.3, {"none": (0.1, 1.0), "minmax": (0.101, 1.02)}, "found", "another"),
            (0.3, {"none": (0.1, 1.0), "minmax": (0.101, -1.0)}, "level", "another"),
            (0.312, {"none": (0.3, 1.0)}, "level", "as_given"),
            (0.305, {"none": (0.3, 0.01)}, "as_given", "as_given"),
            (0.97, {"none": (0.9, 1.0)}, "open", "as_given"),
            (1.1, {"none": (0.999, 1.0)}, "open", "as_given"),
            (1.1, {"none": (0.9, 1.0)}, "open", "doubtful"),
            (1.9, {"none": (0.9, 1.0)}, "open", "doubtful"),
            (70.0, {"none": (0.95, 1.0)}, "none", "none"),
        ],
    )
    def test_it(self, given: float, others: dict[str, tuple[float, float]], by_default: str, as_asked: str) -> None:
        found = self.tried(given, others)
        assert judged(found, asked=False).name == by_default
        assert judged(found, asked=True).name == as_asked

    def test_two_that_fit_alike_are_named(self) -> None:
        found = self.tried(0.3, {"none": (0.1, 1.0), "minmax": (0.101, -1.0)})
        finding = judged(found, asked=False)
        assert finding.other is not None
        assert {typed(finding.read), typed(finding.other)} == {
            "--scale none --target-scale none",
            "--scale minmax --target-scale minmax",
        }


def test_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, columns = made("raw_outputs")
    names = list(columns)
    rows = [
        ",".join(names),
        *(",".join(f"{columns[name][i]:.6g}" for name in names) for i in range(len(columns["load"]))),
    ]
    (tmp_path / "plant.csv").write_text("\n".join(rows))
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    (tmp_path / "their_model.py").write_text(
        "import torch\nfrom planted_scalings import Forecaster\n"
        "def build():\n"
        "    one = (torch.zeros(1), torch.ones(1))\n"
        "    model = Forecaster(None, one)\n"
        f"    model.load_state_dict(torch.load({str(tmp_path / 'weights.pt')!r}))\n"
        "    return model\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    common = ["--model", "their_model:build", "--data", "plant.csv", "--train-context", str(T), "--stream", "machine"]
    common += ["--inputs", *INPUTS, "--target", TARGET, "--horizon", "1", "--quiet"]
    assert main(["evaluate", *common, "--out", "found"]) == 0
    said = json.loads((tmp_path / "found" / "result.json").read_text())
    assert said["data"]["scaled"]["by"] == "found"
    told = capsys.readouterr()
    assert "--scale standard --target-scale none" in " ".join(told.out.split())
    assert "target none; FOUND BY TRIAL" in " ".join((told.out + told.err).split())
    assert main(["evaluate", *common, "--scale", "standard", "--out", "asked"]) == 0
    assert json.loads((tmp_path / "asked" / "result.json").read_text())["verdict"]["name"] == "misread"
    out = capsys.readouterr().out
    assert "MISREAD" in out
    assert main(["repair", *common, "--scale", "standard", "--steps", "2", "--out", "repaired"]) == 2
    assert "as they are read" in capsys.readouterr().err
    assert not (tmp_path / "repaired" / "result.json").exists()
    assert main(["train", *common, "--scale", "standard", "--steps", "2", "--out", "trained"]) == 2
    assert main(["train", *common, "--scale", "standard", "--steps", "2", "--out", "trained", "--anyway"]) == 0


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1, 8))
def test_on_more_seeds_nothing_right_or_useless_is_misread_and_nothing_wrong_is_silent(seed: int) -> None:
    """A reading that is taken comes within a quarter of the model's own; nothing else is taken in silence."""
    for kind, wanted in KINDS.items():
        model, columns = made(kind, seed)
        found = read(model, parts_of(columns))
        said = found.test.about["scaled"]
        if wanted is None or kind == "standard":
            assert said["by"] == "default", kind
            names = [note.name for note in scaling_notes(found.test.about)]
            assert names == (["no_scaling_fits"] if wanted is None else []), kind
            continue
        facts = said["tried"]
        if facts["finding"] in ("found", "as_given"):
            assert facts["loss"] < 0.4 * facts["constant"], kind
