"""The order of class labels: kept as it was listed, told, and found out where it is not the one that was taken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import outlast
from outlast.data.first_lines import first_lines
from outlast.evaluation.misread import as_it_reads, scaling_notes
from outlast.reporting import summary, write_report
from outlast.reporting.kinds.first_steps import read_rightly

ORDER = ("run", "idle", "off")
"""In which the module's author numbered them; sorted they are idle, off, run."""
T = 8


class Sorter(nn.Module):
    """Sure of the class that the last row tells; a slow mean of what it read is its state."""

    def __init__(self, share: float = 1.0) -> None:
        super().__init__()
        self.head = nn.Linear(1, 3)
        centres = torch.tensor([1.2, -1.2, 0.0])
        with torch.no_grad():
            self.head.weight.copy_(8 * share * centres[:, None])
            self.head.bias.copy_(-4 * share * centres.square())

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        means = []
        for t in range(x.shape[1]):
            h = 0.9 * h + 0.1 * x[:, t]
            means.append(h)
        return self.head(x + 0.01 * torch.stack(means, 1)), h

    def initial_state(self, batch_size: int) -> Tensor:
        return torch.zeros(batch_size, 1)


def columns(size: float = 1.0) -> dict[str, Any]:
    draw = np.random.default_rng(0)
    x = draw.standard_normal((24, 120))
    state = np.select([x > 0.6, x < -0.6], ["run", "idle"], "off")
    state = np.concatenate([state[:, :1], state[:, :-1]], 1)
    machine = np.repeat(np.arange(24), 120)
    return {"machine": machine, "x": 500 + size * x.ravel(), "state": state.ravel()}


def parts_of(table: dict[str, Any], **options: Any) -> outlast.Split:
    return outlast.split(outlast.Streams.from_table(table, inputs=["x"], target="state", stream="machine", **options))


def said_of(parts: outlast.Split, about: str) -> str:
    return next(line.taken[0] for line in first_lines(parts.test.describe()) if line.about[0] == about)


def test_the_order_of_labels_is_told_and_a_wrong_one_is_not_called_a_scaling(tmp_path: Path) -> None:
    model, parts = Sorter(), parts_of(columns(), target_kind="class")
    assert said_of(parts, "classes") == "output 0 is idle, 1 off, 2 run; in sorted order (--classes)"
    result = outlast.evaluate(model, parts, train_context=T, settings=outlast.EvalSettings(targets=32))
    assert result.verdict is not None
    assert result.verdict.name == "misread"
    facts = next(note.facts for note in result.notes if note.name == "misread")
    assert (facts["finding"], facts["options"]) == ("order", "--classes run idle off")
    told = summary(result, "en")
    assert "The order of the labels is probably another one" in told
    assert "scale" not in told.partition("what to do")[0].replace("scaling: ", "")
    assert "ラベルの順がおそらく違います" in summary(result, "ja")
    step = read_rightly("evaluate", result)
    assert step.code is not None
    assert step.code.endswith("--classes run idle off")
    write_report([result], tmp_path / "page.html")
    assert "--classes run idle off" in (tmp_path / "page.html").read_text(encoding="utf-8")
    with pytest.raises(outlast.InputError, match=r"classes=\['run', 'idle', 'off'\]"):
        outlast.repair(model, parts, train_context=T, training=outlast.TrainSettings(steps=2, batch_size=4))


def test_listed_labels_are_the_order_of_the_outputs_and_kept() -> None:
    parts = parts_of(columns(), classes=ORDER)
    assert said_of(parts, "classes") == "output 0 is run, 1 idle, 2 off; as asked"
    assert parts.train.schema is not None
    assert parts.train.schema.target.labels == ORDER
    result = outlast.evaluate(Sorter(), parts, train_context=T, settings=outlast.EvalSettings(targets=32))
    assert result.verdict is not None
    assert result.verdict.name != "misread"
    assert result.short is not None
    assert result.short.loss < 0.6
    later = outlast.Streams.from_table(columns(), stream="machine", schema=parts.train.schema)
    assert later.about["target"]["labels"] == list(ORDER)
    with pytest.raises(outlast.InputError, match="trained with classes run, idle, off"):
        outlast.Streams.from_table(columns(), classes=["idle", "off", "run"], schema=parts.train.schema)


def test_a_wrong_scaling_and_a_wrong_order_are_found_together() -> None:
    model, parts = outlast.adapt(Sorter()).eval(), parts_of(columns(30.0), target_kind="class", scale="none")
    notes = scaling_notes(as_it_reads(model, parts, T).test.about)
    assert [note.facts["options"] for note in notes] == ["--classes run idle off --scale standard"]


def test_outputs_that_say_nothing_fit_no_order_better() -> None:
    for share in (0.0, 1e-4):
        model = outlast.adapt(Sorter(share)).eval()
        notes = scaling_notes(as_it_reads(model, parts_of(columns(), target_kind="class"), T).test.about)
        assert all(note.facts["finding"] != "order" for note in notes)


@pytest.mark.parametrize(("options", "why"), [
    ({"classes": ["idle", "off"]}, "'run' in column 'state'"),
    ({"classes": ["idle"]}, "two or more labels"),
    ({"classes": ["idle", "idle", "off"]}, "each once"),
    ({"classes": ORDER, "target_kind": "value"}, "classes with target_kind 'value'"),
    ({"classes": ORDER, "bins": 4}, "bins"),
])  # fmt: skip
def test_lists_that_cannot_be_meant_are_refused(options: dict[str, Any], why: str) -> None:
    with pytest.raises(outlast.InputError, match=why):
        parts_of(columns(), **options)


def test_labels_that_are_whole_numbers_are_listed_as_they_are_typed() -> None:
    table = columns()
    table["state"] = np.select([table["state"] == "run", table["state"] == "idle"], [7, 3], 5)
    assert parts_of(table, classes=["7", "3", "5"]).train.about["target"]["labels"] == [7, 3, 5]
    with pytest.raises(outlast.InputError, match="whole numbers"):
        parts_of(table, classes=["run", "3", "5"])
