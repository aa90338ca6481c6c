"""A model that was written as a .onnx file is that model: called by onnxruntime alone, and loaded again."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

import outlast
from contract_sizes import quick_check
from modules.identified import AddedEmbedding, IdAsColumn, OneHot, StaticNumbers
from outlast.contract.case import difference
from outlast.exporting import TOLERANCE
from outlast.modules.remedies import under
from outlast.modules.resetting import WithReset
from outlast.onnx import OnnxModel
from outlast.schema import Column, Schema, Target
from outlast.state import leaves

TOKENS, FEATURES = outlast.InputSpec("tokens", 7), outlast.InputSpec("features", 2)
MACHINE, RATED = outlast.InputSpec("features", 4, ids=((3, 3),)), outlast.InputSpec("features", 5, static=(3, 4))
LONG = pytest.mark.long
FAMILIES = [
    ("lstm", {}, FEATURES, ()),
    ("gla", {"convolution": 4}, TOKENS, ()),
    ("hybrid", {"recurrent": "mamba2", "window": 5, "recurrent_settings": {"state_size": 8}}, TOKENS, ()),
    *((name, {}, FEATURES, LONG) for name in ("gated_deltanet", "gru", "mamba", "mamba2", "mlstm", "retnet")),
    *((name, {}, FEATURES, LONG) for name in ("rglru", "rwkv6")),
]


def built(name: str, spec: outlast.InputSpec = FEATURES, **settings: object) -> outlast.Recurrent:
    sizes = {"width": 16, "layers": 2, **settings}
    return outlast.build(name, inputs=spec, outputs=3, **sizes).eval()


def called(path: Path, inputs: np.ndarray, pieces: list[int]) -> tuple[np.ndarray, list[np.ndarray]]:
    """What onnxruntime alone gives, as a deployment without outlast calls it: state in, state out, zeros at first."""
    session = onnxruntime.InferenceSession(str(path))
    read, *parts = session.get_inputs()
    kinds = {"tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(bool)": bool}
    state = [np.zeros((len(inputs), *part.shape[1:]), kinds[part.type]) for part in parts]
    found = []
    for piece in np.split(inputs, np.cumsum(pieces)[:-1], 1):
        outputs, *state = session.run(
            None, {read.name: piece, **dict(zip((p.name for p in parts), state, strict=True))}
        )
        found.append(outputs)
    return np.concatenate(found, 1), [np.asarray(part) for part in state]


@pytest.mark.parametrize(
    ("name", "settings", "spec"),
    [pytest.param(name, settings, spec, marks=mark) for name, settings, spec, mark in FAMILIES],
)
def test_every_family_is_itself_in_pieces(
    tmp_path: Path, name: str, settings: dict[str, object], spec: outlast.InputSpec
) -> None:
    model = built(name, spec, **settings)
    file = outlast.export(model, tmp_path / "m.onnx", train_context=64)
    inputs = spec.random(2, 40, torch.Generator().manual_seed(3))
    with torch.no_grad():
        outputs, final = model(inputs, model.initial_state(2))
    found, state = called(tmp_path / "m.onnx", inputs.numpy(), [1, 24, 15])
    assert difference(torch.from_numpy(found), outputs, 1.0) <= TOLERANCE
    for given, wanted in zip(state, leaves(final), strict=True):
        assert difference(torch.from_numpy(given), wanted, 1.0) <= TOLERANCE
    assert file.state_parts() == model.state_parts()
    assert file.input_spec == spec
    assert file.blueprint["export_of"]["train_context"] == 64


def test_the_families_are_all_asked() -> None:
    from outlast.families import FAMILIES as ALL

    assert {name for name, *_ in FAMILIES} == set(ALL)


def with_schema(model: outlast.Recurrent, target: Target) -> outlast.Recurrent:
    model.schema = Schema((Column("power", 230.0, 3.0), Column("time", 1.7e9, 5.0)), target)
    return model


def test_a_model_of_rows_reads_raw_values_and_forecasts_in_units(tmp_path: Path) -> None:
    target = Target("value", ("power",), (5,), means=(230.0,), stds=(3.0,), quantiles=(0.1, 0.5, 0.9))
    model = with_schema(built("lstm"), target)
    file = outlast.export(model, tmp_path / "m.onnx")
    assert file.schema == model.schema
    rows = np.random.default_rng(0).normal(size=(30, 2)) * [3.0, 5.0] + [230.0, 1.7e9]
    wanted, loaded = (outlast.deploy(each).read(rows) for each in (model, outlast.load(tmp_path / "m.onnx")))
    np.testing.assert_allclose(loaded, wanted, rtol=0, atol=3 * TOLERANCE)
    alone, _ = called(tmp_path / "m.onnx", rows[None], [4, 26])
    assert alone.dtype == np.float64
    np.testing.assert_allclose(np.sort(alone[0], -1), wanted, rtol=0, atol=3 * TOLERANCE)


def test_logarithms_are_taken_in_the_file_as_beside_it(tmp_path: Path) -> None:
    target = Target("value", ("power",), (5,), means=(5.0,), stds=(0.1,), quantiles=(0.1, 0.5, 0.9), logs=("log",))
    model = built("lstm")
    columns = (Column("power", 5.4, 0.1, log="log"), Column("flow", 0.0, 2.0, log="log1p"))
    model.schema = Schema(columns, target)
    file = outlast.export(model, tmp_path / "m.onnx")
    assert file.schema == model.schema
    rows = np.exp(np.random.default_rng(0).normal(size=(30, 2)) * [0.1, 1.0] + [5.4, 0.0]) - [0.0, 0.5]
    wanted, loaded = (outlast.deploy(each).read(rows) for each in (model, outlast.load(tmp_path / "m.onnx")))
    np.testing.assert_allclose(loaded, wanted, rtol=1e-5)
    alone, _ = called(tmp_path / "m.onnx", rows[None], [4, 26])
    np.testing.assert_allclose(np.sort(alone[0], -1), wanted, rtol=1e-5)
    assert wanted.min() > 50  # in units, not in logarithms
    with pytest.raises(outlast.InputError, match="logarithm"):
        outlast.deploy(model).read(rows - 300)


def test_bins_stay_what_the_model_gives(tmp_path: Path) -> None:
    target = Target("bins", ("power",), (5,), edges=(229.0, 231.0), values=(228.0, 230.0, 232.0))
    model = with_schema(built("lstm"), target)
    outlast.export(model, tmp_path / "m.onnx")
    rows = np.random.default_rng(0).normal(size=(30, 2)) * [3.0, 5.0] + [230.0, 1.7e9]
    wanted, found = (outlast.deploy(each).read(rows) for each in (model, tmp_path / "m.onnx"))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-3)


@pytest.mark.parametrize("remedy", ["reset:7", "two-copies:8", "handover:7:3"])
def test_remedies_are_part_of_the_file(tmp_path: Path, remedy: str) -> None:
    model = under(built("lstm"), remedy)
    assert isinstance(model, WithReset)
    file = outlast.export(model, tmp_path / "m.onnx")
    inputs = FEATURES.random(2, 40, torch.Generator().manual_seed(3))
    with torch.no_grad():
        outputs, _ = model(inputs, model.initial_state(2))
        plain = model.model(inputs, model.model.initial_state(2))[0]
    found, state = called(tmp_path / "m.onnx", inputs.numpy(), [1, 24, 15])
    assert difference(torch.from_numpy(found), outputs, 1.0) <= TOLERANCE
    assert difference(plain, outputs) > 1e-3
    assert state[0].tolist() == [40, 40]
    assert file.blueprint["export_of"]["resets"] == remedy


def test_a_leak_is_part_of_the_file(tmp_path: Path) -> None:
    model = outlast.with_leak(built("lstm"), 16.0, every=2, from_age=5)
    file = outlast.export(model, tmp_path / "m.onnx")
    inputs = FEATURES.random(2, 40, torch.Generator().manual_seed(3))
    with torch.no_grad():
        outputs, _ = model(inputs, model.initial_state(2))
    found, _ = called(tmp_path / "m.onnx", inputs.numpy(), [1, 24, 15])
    assert difference(torch.from_numpy(found), outputs, 1.0) <= TOLERANCE
    assert file.blueprint["export_of"]["resets"] == "leak:16:every=2:from=5"


class Learned(nn.Module):
    """A GRU that starts from a state it has learnt."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(2, 4, batch_first=True)
        self.first = nn.Parameter(torch.arange(4.0))

    def initial_state(self, batch_size: int) -> tuple[torch.Tensor]:
        return (self.first.expand(batch_size, 4),)

    def forward(self, inputs: torch.Tensor, state: tuple[torch.Tensor]) -> tuple[torch.Tensor, tuple[torch.Tensor]]:
        outputs, hidden = self.gru(inputs, state[0][None].contiguous())
        return outputs, (hidden[0],)


def test_modules_of_users_and_of_torch(tmp_path: Path) -> None:
    inputs = FEATURES.random(3, 12, torch.Generator().manual_seed(3))
    for module in (nn.LSTM(2, 4, num_layers=2), Learned()):
        model = outlast.adapt(module.eval())
        model.input_spec = FEATURES
        outlast.export(module if model.blueprint else model, tmp_path / "m.onnx")
        file = outlast.load(tmp_path / "m.onnx")
        with torch.no_grad():
            wanted = model(inputs, model.initial_state(3))[0]
        assert difference(file(inputs, file.initial_state(3))[0], wanted, 1.0) <= TOLERANCE
        assert quick_check(file).passed


class Usual(nn.Module):
    """What people write most: a projection, an LSTM of rows first, a head."""

    def __init__(self) -> None:
        super().__init__()
        self.project, self.lstm, self.head = nn.Linear(3, 3), nn.LSTM(3, 4, batch_first=True), nn.Linear(4, 1)

    def forward(self, x: torch.Tensor, hidden: tuple[torch.Tensor, torch.Tensor] | None = None) -> Any:
        x = torch.cat([x, x.new_ones(len(x), x.shape[1], 1)], -1)  # whose rows would be those of an example
        outputs, hidden = self.lstm(self.project(x), hidden)
        return self.head(outputs), hidden


def test_the_usual_module_reads_any_number_of_rows(tmp_path: Path) -> None:
    model = outlast.adapt(Usual().eval(), FEATURES)
    file = outlast.export(model, tmp_path / "m.onnx")
    inputs = FEATURES.random(7, 5, torch.Generator().manual_seed(3))
    with torch.no_grad():
        wanted = model(inputs, model.initial_state(7))[0]
    assert difference(file(inputs, file.initial_state(7))[0], wanted, 1.0) <= TOLERANCE


@pytest.mark.parametrize(
    ("kind", "spec"),
    [(OneHot, MACHINE), pytest.param(IdAsColumn, MACHINE, marks=LONG), pytest.param(StaticNumbers, RATED, marks=LONG)],
)
def test_ids_and_what_does_not_change_are_columns_of_what_the_file_reads(
    tmp_path: Path, kind: type[nn.Module], spec: outlast.InputSpec
) -> None:
    model = outlast.adapt(kind().eval(), spec)
    file = outlast.export(model, tmp_path / "m.onnx")
    assert file.input_spec == model.input_spec
    inputs = spec.random(3, 12, torch.Generator().manual_seed(3))
    with torch.no_grad():
        wanted = model(inputs, model.initial_state(3))[0]
    assert difference(file(inputs, file.initial_state(3))[0], wanted, 1.0) <= TOLERANCE
    for unknown in (-1.0, 3.0, math.nan) if spec.ids else ():
        wrong = inputs.clone()
        wrong[2, 5, -1] = unknown
        with pytest.raises(Exception, match="out of data bounds"):
            file(wrong, file.initial_state(3))


@pytest.mark.long
def test_a_table_with_a_category_is_read_by_the_file_as_by_the_model(tmp_path: Path) -> None:
    drawn = np.random.default_rng(0)
    table = {name: drawn.normal(3, 2, 120) for name in ("load", "speed", "heat")}
    table["machine"] = np.tile(["press", "pump", "saw"], 40)
    streams = outlast.Streams.from_table(table, target="load", horizon=1, category=["machine"], order="file")
    model = outlast.adapt(AddedEmbedding().eval(), outlast.InputSpec("features", 4, ids=((3, 3),)))
    model.schema = streams.schema
    outlast.export(model, tmp_path / "m.onnx")
    rows = [{name: table[name][row] for name in table} for row in range(20)]
    wanted, found = (outlast.deploy(each).read(rows) for each in (model, tmp_path / "m.onnx"))
    assert [each["forecast"]["load"] for each in found] == pytest.approx([e["forecast"]["load"] for e in wanted], 1e-4)
    with pytest.raises(outlast.InputError, match="press, pump, saw"):
        outlast.deploy(tmp_path / "m.onnx").read({**rows[0], "machine": "drill"})


def test_half_precision_is_written_in_float32(tmp_path: Path) -> None:
    file = outlast.export(built("lstm").bfloat16(), tmp_path / "m.onnx")
    assert file.precision.dtype == torch.float32


class Branching(nn.Module):
    """What it does depends on what it computes."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(2, 4, batch_first=True)

    def forward(self, x: torch.Tensor, hidden: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        outputs, after = self.gru(x, hidden)
        return (outputs * 2 if float(outputs.sum()) > 1e6 else outputs), after


def test_what_cannot_be_exported_is_refused_and_leaves_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    branching = outlast.adapt(Branching())
    branching.input_spec = FEATURES
    for model, said in (
        (branching, "could not follow one step"),
        (nn.LSTM(2, 6, proj_size=2), "onnxruntime cannot run"),
        (built("lstm").double(), r"model\.float\(\)"),
    ):
        with pytest.raises(outlast.InputError, match=said):
            outlast.export(model, tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")  # torch would print the graphs
    with pytest.raises(outlast.InputError, match=r"ending in \.onnx"):
        outlast.export(built("lstm"), tmp_path / "model")
    monkeypatch.setattr("outlast.exporting.exporting.TOLERANCE", -1.0)
    with pytest.raises(outlast.InputError, match="away from the model that it was made of"):
        outlast.export(built("lstm"), tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


def test_an_export_says_itself_what_it_is(tmp_path: Path) -> None:
    file = outlast.export(built("lstm"), tmp_path / "m.onnx")
    assert isinstance(file, OnnxModel)
    with pytest.raises(outlast.InputError, match="leave out what was said"):
        outlast.load(tmp_path / "m.onnx", onnx=outlast.OnnxPorts(input="inputs"))
    with pytest.raises(outlast.InputError, match="copy the file"):
        outlast.export(file, tmp_path / "n.onnx")
    content = (tmp_path / "m.onnx").read_bytes()
    (tmp_path / "m.onnx").write_bytes(content.replace(b'"format": 1', b'"format": 7'))
    with pytest.raises(outlast.InputError, match="the metadata of"):
        outlast.load(tmp_path / "m.onnx")
