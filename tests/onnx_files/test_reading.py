"""Files of any layout are called as they are made, and are the torch model that they hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import outlast
from onnx_files.made import FEATURES, WIDTH, lstm, reference, step, write
from outlast.onnx import OnnxModel, is_onnx, read_onnx

FLOAT = TensorProto.FLOAT
LAYOUTS = {
    "rows first": (["B", "T", 3], [1, "B", 4], "BTF", "any number a call, any number of rows"),
    "positions first": (["T", "B", 3], [1, "B", 4], "TBF", "any number a call, any number of rows"),
    "without names": ([None, None, 3], [1, None, 4], "TBF", "any number a call, any number of rows"),
    "one row": ([1, "T", 3], [1, 1, 4], "BTF", "any number a call, one row"),
    "without rows": (["T", 3], [1, 1, 4], "TF", "any number a call, one row"),
    "one position": (["B", 1, 3], [1, "B", 4], "BTF", "one a call, any number of rows"),
    "a step": (["B", 3], [1, "B", 4], "BF", "one a call, any number of rows"),
    "a step of one row": ([1, 3], [1, 1, 4], "BF", "one a call, one row"),
    "one of each": ([1, 1, 3], [1, 1, 4], "TBF", "one a call, one row"),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_is_the_model_that_was_exported(tmp_path: Path, name: str) -> None:
    read, state, axes, said = LAYOUTS[name]
    model = outlast.load(lstm(tmp_path / "model.onnx", read, state, axes=axes))
    assert isinstance(model, OnnxModel)
    assert said in model.told[0]
    assert [part.path for part in model.state_parts()] == ["h", "c"]
    assert model.input_spec == outlast.InputSpec("features", FEATURES)
    wanted = outlast.adapt(reference())
    inputs = torch.randn(3, 11, FEATURES, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        outputs, (final,) = wanted(inputs, wanted.initial_state(3))
    found, carried = [], model.initial_state(3)
    for piece in inputs.split([1, 6, 4], 1):
        given, carried = model(piece, carried)
        found.append(given)
    assert torch.cat(found, 1).shape == (3, 11, WIDTH)
    torch.testing.assert_close(torch.cat(found, 1), outputs, rtol=0, atol=1e-6)
    for part, layer in zip(carried, final, strict=True):
        torch.testing.assert_close(part.reshape(layer.shape), layer, rtol=0, atol=1e-6)


def test_the_contract_is_kept_where_no_gradient_is_needed(tmp_path: Path) -> None:
    report = outlast.check(outlast.load(lstm(tmp_path / "m.onnx", ["B", "T", 3], [1, "B", 4], axes="BTF")))
    asked = {check.name: check.passed for check in report.checks}
    assert asked.pop("gradient_through_state") is None
    assert set(asked.values()) == {True}
    assert report.passed


def test_a_file_that_changed_since_is_told(tmp_path: Path) -> None:
    model = read_onnx(lstm(tmp_path / "m.onnx", ["B", "T", 3], [1, "B", 4], axes="BTF"))
    lstm(tmp_path / "m.onnx", ["T", "B", 3], [1, "B", 4], axes="TBF")
    with pytest.raises(outlast.InputError, match="has changed since"):
        model.again()


def test_half_precision_is_carried_in_float32(tmp_path: Path) -> None:
    path = lstm(tmp_path / "m.onnx", ["B", "T", 3], [1, "B", 4], axes="BTF", dtype=TensorProto.FLOAT16)
    model = outlast.load(path)
    inputs = torch.randn(2, 5, FEATURES, generator=torch.Generator().manual_seed(1))
    outputs, state = model(inputs, model.initial_state(2))
    assert {tensor.dtype for tensor in (outputs, *state)} == {torch.float32}
    wanted = outlast.adapt(reference())
    torch.testing.assert_close(outputs, wanted(inputs, wanted.initial_state(2))[0].detach(), rtol=0, atol=5e-3)


def test_tokens_are_told_by_the_table_they_are_looked_up_in(tmp_path: Path) -> None:
    table = numpy_helper.from_array(np.eye(7, 4, dtype=np.float32), "table")
    nodes = [("Gather", "table x", "e"), ("Add", "e h", "s"), ("Tanh", "s", "h_new"), ("Identity", "h_new", "logits")]
    path = write(
        tmp_path / "m.onnx",
        [helper.make_node(o, i.split(), [t]) for o, i, t in nodes],
        {"x": (TensorProto.INT64, ["B"]), "h": (FLOAT, ["B", 4])},
        {"logits": (FLOAT, ["B", 4]), "h_new": (FLOAT, ["B", 4])},
        [table],
    )
    model = outlast.load(path)
    assert model.input_spec == outlast.InputSpec("tokens", 7)
    outputs, _ = model(torch.tensor([[1, 1, 2]]), model.initial_state(1))
    first = torch.eye(4)[1].tanh()
    torch.testing.assert_close(outputs[0, 1], (torch.eye(4)[1] + first).tanh())
    assert outlast.check(model).passed


def test_a_folder_with_one_file_is_that_file(tmp_path: Path) -> None:
    lstm(tmp_path / "model.onnx", ["B", "T", 3], [1, "B", 4], axes="BTF")
    assert is_onnx(tmp_path)
    assert outlast.load(tmp_path).input_spec == outlast.InputSpec("features", FEATURES)
    (tmp_path / "config.json").write_text("{}")  # another library's, whose export lies beside it
    assert not is_onnx(tmp_path)


def test_weights_beside_the_file_are_read_and_belong_to_its_fingerprint(tmp_path: Path) -> None:
    path = lstm(tmp_path / "m.onnx", ["B", "T", 3], [1, "B", 4], axes="BTF")
    plain = outlast.load(path)
    onnx.save_model(onnx.load(path), str(path), save_as_external_data=True, location="w.bin", size_threshold=0)
    model = outlast.load(path)
    inputs = torch.randn(1, 4, 3)
    assert torch.equal(model(inputs, model.initial_state(1))[0], plain(inputs, plain.initial_state(1))[0])
    before = read_onnx(path).blueprint["sha256"]
    weights = bytearray((tmp_path / "w.bin").read_bytes())
    weights[0] ^= 1
    (tmp_path / "w.bin").write_bytes(weights)
    assert read_onnx(path).blueprint["sha256"] != before


class TestPairing:
    """What each input is for, said in words."""

    def told(self, path: Path, **said: object) -> str:
        return "\n".join(read_onnx(path, outlast.OnnxPorts(**said)).told)  # pyright: ignore[reportArgumentType]

    def test_by_name_whatever_the_order(self, tmp_path: Path) -> None:
        swapped = {"hn": "past_cell_out", "cn": "past_hidden_out", "h": "cell_in", "c": "hidden_in"}
        path = lstm(tmp_path / "m.onnx", ["B", "T", 3], [1, "B", 4], axes="BTF", names=swapped)
        assert "cell_in float32 [1, B, 4] comes back in past_cell_out (by name)" in self.told(path)

    def test_by_order_where_nothing_else_tells(self, tmp_path: Path) -> None:
        names = {"h": "a", "c": "b", "hn": "p", "cn": "q"}
        path = lstm(tmp_path / "m.onnx", ["B", "T", 3], [1, "B", 4], axes="BTF", names=names)
        assert "a float32 [1, B, 4] comes back in p (by order)" in self.told(path)

    def test_as_said(self, tmp_path: Path) -> None:
        names = {"h": "a", "c": "b", "hn": "q", "cn": "p"}
        path = lstm(tmp_path / "m.onnx", ["B", "T", 3], [1, "B", 4], axes="BTF", names=names)
        said = self.told(path, states={"a": "q", "b": "p"})
        assert "a float32 [1, B, 4] comes back in q (as said)" in said

    def test_of_two_inputs_that_may_both_be_states_the_first_is_read(self, tmp_path: Path) -> None:
        one = [1, 2]
        ports = {"in_1": (FLOAT, one), "in_2": (FLOAT, one)}, {"out_1": (FLOAT, one), "out_2": (FLOAT, one)}
        nodes = [("Add", "in_1 in_2", "s"), ("Tanh", "s", "out_2"), ("Identity", "s", "out_1")]
        told = self.told(step(tmp_path / "m.onnx", ports, nodes), states={"in_2": "out_2"})
        assert "reads in_1" in told
        ports = {"first": (FLOAT, one), "second": (FLOAT, one)}, {"third": (FLOAT, one), "fourth": (FLOAT, one)}
        nodes = [("Add", "first second", "s"), ("Tanh", "s", "fourth"), ("Identity", "s", "third")]
        told = self.told(step(tmp_path / "n.onnx", ports, nodes))
        assert "reads first" in told
        assert "second float32 [1, 2] comes back in fourth (by shape)" in told

    def test_what_is_read_may_be_called_as_what_is_given(self, tmp_path: Path) -> None:
        names = {"x": "audio", "y": "audio_out", "h": "h0", "c": "c0"}
        told = self.told(lstm(tmp_path / "m.onnx", [1, 1, 3], [1, 1, 4], axes="BTF", names=names))
        assert "reads audio" in told
        assert "c0 float32 [1, 1, 4] comes back in cn (by name)" in told
        ports = (
            {"audio": (FLOAT, [1, 2]), "mem": (FLOAT, [1, 2])},
            {"audio_out": (FLOAT, [1, 2]), "mem_out": (FLOAT, [1, 2])},
        )
        nodes = [("Add", "audio mem", "s"), ("Tanh", "s", "mem_out"), ("Identity", "s", "audio_out")]
        assert "mem float32 [1, 2] comes back in mem_out (by name)" in self.told(
            step(tmp_path / "n.onnx", ports, nodes)
        )

    def test_a_constant_is_given_in_every_call(self, tmp_path: Path) -> None:
        ports = (
            {"x": (FLOAT, ["B", 2]), "h": (FLOAT, ["B", 2]), "sr": (TensorProto.INT64, [])},
            {"y": (FLOAT, ["B", 2]), "hn": (FLOAT, ["B", 2])},
        )
        cast = helper.make_node("Cast", ["sr"], ["rate"], to=FLOAT)
        nodes = [("Add", "x h", "s"), ("Mul", "s rate", "y"), ("Identity", "s", "hn")]
        made = [cast, *(helper.make_node(o, i.split(), [t]) for o, i, t in nodes)]
        path = write(tmp_path / "m.onnx", made, *ports, [])
        with pytest.raises(outlast.InputError, match="--onnx-constants sr=16000"):
            outlast.load(path)
        model = outlast.load(path, onnx=outlast.OnnxPorts(constants={"sr": 3}))
        assert torch.equal(
            model(torch.ones(1, 2, 2), model.initial_state(1))[0][0], torch.tensor([[3.0] * 2, [6.0] * 2])
        )
