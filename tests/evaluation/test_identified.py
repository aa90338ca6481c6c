"""Models with ids on tables with categories: every verb reads them as the module's own loop does, or asks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import outlast
from modules.identified import AddedEmbedding, ConcatenatedOnce, IdAsColumn, LastOnly, Unnamed
from outlast.data import Streams, split
from outlast.errors import InputError, Question
from outlast.evaluation import EvalSettings
from outlast.evaluation.opened import adapted_to

MACHINES = ("press 1", "press 10", "press 2")
INPUTS = ["load", "speed", "heat"]


def plant(rows: int = 600, machines: tuple[str, ...] = MACHINES) -> dict[str, list[Any]]:
    """`rows` of each machine, one after the other; power depends on the machine."""
    numbers = np.random.default_rng(3).normal(size=(3, rows * len(machines)))
    machine = np.repeat(np.arange(len(machines)), rows)
    power = numbers[0] + 3 * machine + 0.1 * numbers[1]
    columns = dict(zip(INPUTS, (numbers * 2 + 5).tolist(), strict=True))
    return {"machine": [machines[i] for i in machine], **columns, "power": power.tolist()}


def read(**options: Any) -> Streams:
    defaults: dict[str, Any] = {"inputs": INPUTS, "target": "power", "stream": "machine", "category": ["machine"]}
    return Streams.from_table(plant(), **{**defaults, **options})


def built(kind: type[nn.Module]) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        return kind().eval()


SMALL = EvalSettings(targets=32, max_length=64)


def taking_turns(machines: int) -> dict[str, list[Any]]:
    """The first machines, a row of each in turn."""
    return {
        column: np.array(values, object)[: 600 * machines].reshape(machines, 600).T.ravel().tolist()
        for column, values in plant().items()
    }


@pytest.mark.parametrize("kind", [AddedEmbedding, ConcatenatedOnce, IdAsColumn])
def test_forecasts_and_measurements_are_those_of_the_modules_own_loop(kind: type[nn.Module]) -> None:
    streams, module = read(), built(kind)
    model = adapted_to(module, streams)
    model.schema = streams.schema
    deployed = outlast.deploy(model)
    rows = plant(20)
    dicts = [dict(zip(rows, values, strict=True)) for values in zip(*rows.values(), strict=True)]
    found = [each["forecast"]["power"] for each in deployed.read(dicts)]
    schema = streams.schema
    assert schema is not None
    target = schema.target
    with torch.no_grad():
        for number, name in enumerate(MACHINES):
            part = np.column_stack([rows[column] for column in INPUTS])[20 * number : 20 * number + 20]
            scaled = (part - [c.mean for c in schema.inputs[:3]]) / [c.std for c in schema.inputs[:3]]
            ids = torch.full((1, 20), MACHINES.index(name))
            own = module.own(torch.tensor(scaled[None], dtype=torch.float32), ids)[0, :, 0].numpy()
            wanted = own * target.stds[0] + target.means[0]
            np.testing.assert_allclose(found[20 * number : 20 * number + 20], wanted, rtol=1e-4, atol=1e-4)
    done = outlast.evaluate(model, split(streams), train_context=8, settings=SMALL)
    assert done.verdict is not None
    assert np.isfinite([band.loss for band in done.age_curve]).all()


def test_a_model_with_ids_is_saved_with_them(tmp_path: Path) -> None:
    streams = read()
    model = outlast.from_factory("modules.identified:AddedEmbedding", outlast.InputSpec("features", 4, ids=((3, 3),)))
    model.schema = streams.schema
    outlast.save(model, tmp_path / "model")
    again = outlast.load(tmp_path / "model", allow_code=True)
    assert again.input_spec == model.input_spec
    assert again.schema == streams.schema
    row = {"machine": "press 10", "load": 5.0, "speed": 4.0, "heat": 3.0}
    assert outlast.deploy(again).read(row) == outlast.deploy(model).read(row)
    with pytest.raises(InputError, match="'press 4' in column 'machine'"):
        outlast.deploy(again).read({**row, "machine": "press 4"})


def test_five_machines_for_an_embedding_of_three_is_one_message() -> None:
    five = Streams.from_table(plant(100, (*MACHINES, "press 3", "press 4")), inputs=INPUTS, target="power",
                              stream="machine", category=["machine"])  # fmt: skip
    for kind in (AddedEmbedding, IdAsColumn, Unnamed):
        with pytest.raises(InputError, match=r"3 ids for column 3 \('machine'\), which has 5 values"):
            outlast.evaluate(built(kind), five, train_context=8)


def test_a_spare_id_is_asked_about_unless_the_values_are_listed() -> None:
    options: dict[str, Any] = {"inputs": INPUTS, "target": "power"}
    streams = Streams.from_table(taking_turns(2), category=["machine"], **options)
    with pytest.raises(InputError, match=r"(?s)2 values.*3 ids.*category=\{'machine': \['press 1', 'press 10'\]\}"):
        adapted_to(built(AddedEmbedding), streams)
    listed = Streams.from_table(taking_turns(2), category={"machine": [*MACHINES]}, **options)
    adapted_to(built(AddedEmbedding), listed)


def test_a_column_of_ids_that_nobody_called_a_category_is_asked_about() -> None:
    rows = plant()
    rows["number"] = [MACHINES.index(name) for name in rows["machine"]]
    options: dict[str, Any] = {"inputs": [*INPUTS, "number"], "target": "power", "stream": "machine"}
    scaled = Streams.from_table(rows, **options)
    with pytest.raises(InputError, match=r"(?s)column 3 \('number'\).*as it is scaled.*category=\['number'\]"):
        outlast.evaluate(built(IdAsColumn), scaled, train_context=8)
    plain = Streams.from_table(rows, scale="none", **options)
    adapted_to(built(IdAsColumn), plain)


def test_an_argument_for_ids_without_a_category_is_asked_about() -> None:
    with pytest.raises(Question, match="also needs `machine_id`") as error:
        outlast.evaluate(built(AddedEmbedding), read(category=None), train_context=8)
    assert error.value.choices[0].options == {"category": ["machine"]}


@pytest.mark.parametrize("kind", [ConcatenatedOnce, LastOnly])
def test_an_id_given_once_that_changes_within_a_stream_is_refused(kind: type[nn.Module]) -> None:
    streams = Streams.from_table(taking_turns(3), inputs=INPUTS, target="power", category=["machine"])
    with pytest.raises(InputError, match=r"(?s)'machine'.*changes within stream 0.*once a window"):
        adapted_to(built(kind), streams)


def test_a_model_that_was_adapted_before_reads_what_the_data_hold() -> None:
    """Alone, its ids were taken to stand behind its features."""
    model = outlast.adapt(built(AddedEmbedding))
    assert model.input_spec == outlast.InputSpec("features", 4, ids=((3, 3),))
    first = Streams.from_table(plant(), inputs=["machine", *INPUTS], target="power", stream="machine",
                               category=["machine"])  # fmt: skip
    assert adapted_to(model, first) is model
    assert model.input_spec == outlast.InputSpec("features", 4, ids=((0, 3),))


class Native(nn.Module):
    """It says itself what its state is, and looks its last column up."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.cell, self.head = nn.Embedding(3, 3), nn.GRU(3, 4, batch_first=True), nn.Linear(4, 1)

    def initial_state(self, batch_size: int) -> torch.Tensor:
        return torch.zeros(batch_size, 1, 4)

    def forward(self, x: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        out, last = self.cell(x[..., :3] + self.table(x[..., 3].long()), state.transpose(0, 1).contiguous())
        return self.head(out), last.transpose(0, 1)


@pytest.mark.parametrize("adapted", [False, True])
def test_a_native_model_is_held_to_the_data_alike_before_and_after_it_was_adapted(adapted: bool) -> None:
    model = outlast.adapt(built(Native)) if adapted else built(Native)
    first = read(inputs=["machine", *INPUTS])
    with pytest.raises(InputError, match=r"(?s)looks column 3.*the category in the place from which the model takes"):
        adapted_to(model, first)
    assert adapted_to(model, read()).input_spec == outlast.InputSpec("features", 4, ids=((3, 3),))


def test_ids_that_half_precision_does_not_tell_apart_are_refused() -> None:
    class Many(AddedEmbedding):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(300, 4)

    rows = {key: values * 2 for key, values in plant(100).items()}
    rows["machine"] = [f"press {i % 300}" for i in range(600)]
    streams = Streams.from_table(
        rows, inputs=INPUTS, target="power", category={"machine": sorted(set(rows["machine"]))}
    )
    half = adapted_to(built(Many), streams).bfloat16()
    with pytest.raises(InputError, match=r"300 ids.*reads bfloat16"):
        adapted_to(half, streams)


@pytest.mark.parametrize("kind", [AddedEmbedding, ConcatenatedOnce, IdAsColumn])
def test_other_columns_than_the_model_reads_are_told_as_such(kind: type[nn.Module]) -> None:
    rows = plant(60)
    streams = Streams.from_table(rows, target="power", stream="machine", category=["machine"])
    told = r"(?s)5 input columns for a model that reads 4.*1 of them of ids \(category=\); these are machine, load"
    with pytest.raises(InputError, match=told):
        outlast.evaluate(built(kind), streams, train_context=8)
