"""Files that cannot be read, or not as they are, and what a .onnx file is not asked: each refused in words."""

from __future__ import annotations

import sys
from pathlib import Path

import onnx
import pytest
import torch
from onnx import TensorProto, helper

import outlast
from onnx_files.made import lstm, step, write
from outlast.onnx import read_onnx

FLOAT, WHOLE = TensorProto.FLOAT, TensorProto.INT64


def sound(path: Path) -> Path:
    return lstm(path / "sound.onnx", ["B", "T", 3], [1, "B", 4], axes="BTF")


def refused(path: Path, **said: object) -> str:
    with pytest.raises(outlast.InputError) as caught:
        read_onnx(path, outlast.OnnxPorts(**said))  # pyright: ignore[reportArgumentType]
    return str(caught.value)


def test_what_is_no_file_or_a_damaged_one(tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path / "none.onnx")
    (tmp_path / "empty.onnx").write_bytes(b"")
    assert "cannot be read as ONNX" in refused(tmp_path / "empty.onnx")
    whole = sound(tmp_path).read_bytes()
    (tmp_path / "half.onnx").write_bytes(whole[: len(whole) // 2])
    assert "cannot be read as ONNX" in refused(tmp_path / "half.onnx")


def test_custom_operators_are_named(tmp_path: Path) -> None:
    model = onnx.load(sound(tmp_path))
    model.graph.node[-1].domain = "their.ops"
    model.opset_import.append(helper.make_opsetid("their.ops", 1))
    onnx.save_model(model, tmp_path / "m.onnx")
    assert "their.ops.Identity" in refused(tmp_path / "m.onnx")


@pytest.mark.parametrize("location", ["../outside.bin", "/etc/hostname", "missing.bin"])
def test_weights_outside_of_the_folder_are_not_touched(tmp_path: Path, location: str) -> None:
    (tmp_path / "outside.bin").write_bytes(b"0" * 4096)
    folder = tmp_path / "model"
    folder.mkdir()
    model = onnx.load(sound(tmp_path))
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    assert f"lie in {location!r}" in refused(folder / "m.onnx")


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    path = sound(tmp_path)
    folder = tmp_path / "model"
    folder.mkdir()
    onnx.save_model(onnx.load(path), folder / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    (folder / "w.bin").rename(tmp_path / "elsewhere.bin")
    (folder / "w.bin").symlink_to(tmp_path / "elsewhere.bin")
    assert "lie in 'w.bin'" in refused(folder / "m.onnx")


def test_a_cache_that_grows_is_no_state(tmp_path: Path) -> None:
    ports = (
        {"x": (FLOAT, ["B", 1, 4]), "past": (FLOAT, ["B", "read", 4])},
        {"y": (FLOAT, ["B", 1, 4]), "present": (FLOAT, ["B", "more", 4])},
    )
    nodes = [helper.make_node("Concat", ["past", "x"], ["present"], axis=1), helper.make_node("Tanh", ["x"], ["y"])]
    assert "a transformer's cache" in refused(write(tmp_path / "m.onnx", nodes, *ports, []))


def test_without_a_state_there_is_nothing_to_measure(tmp_path: Path) -> None:
    ports = {"x": (FLOAT, ["B", 4])}, {"y": (FLOAT, ["B", 4])}
    said = refused(step(tmp_path / "m.onnx", ports, [("Tanh", "x", "y")]))
    assert "no input of which comes back in an output" in said


def test_two_predictions_are_asked_about(tmp_path: Path) -> None:
    ports = (
        {"x": (FLOAT, ["B", 2]), "h": (FLOAT, ["B", 3])},
        {"y": (FLOAT, ["B", 2]), "z": (FLOAT, ["B", 2]), "hn": (FLOAT, ["B", 3])},
    )
    nodes = [("Tanh", "x", "y"), ("Sigmoid", "x", "z"), ("Tanh", "h", "hn")]
    path = step(tmp_path / "m.onnx", ports, nodes)
    assert "--onnx-output y" in refused(path)
    model = read_onnx(path, outlast.OnnxPorts(output="z"))
    assert model.told[-1] == "outputs that are not looked at: y"


def test_names_that_are_not_there(tmp_path: Path) -> None:
    path = sound(tmp_path)
    assert "input of the .onnx file 'hh'" in refused(path, states={"hh": "hn"})
    assert "output of the .onnx file 'hm'" in refused(path, states={"h": "hm"})
    assert "cannot be run on x float32" in refused(path, states={"h": "y", "c": "cn"}, output="hn")


def test_pairs_that_cannot_be_one(tmp_path: Path) -> None:
    ports = {"x": (FLOAT, ["B", 2]), "h": (FLOAT, ["B", 3])}, {"y": (FLOAT, ["B", 2]), "hn": (FLOAT, ["B", 3])}
    path = step(tmp_path / "m.onnx", ports, [("Tanh", "x", "y"), ("Tanh", "h", "hn")])
    assert "as one part of the state" in refused(path, states={"h": "y"}, output="hn")


def test_a_frame_of_unknown_size_is_asked_for(tmp_path: Path) -> None:
    ports = (
        {"input": (FLOAT, ["batch", "sequence"]), "state": (FLOAT, ["batch", 1])},
        {"output": (FLOAT, ["batch", 1]), "stateN": (FLOAT, ["batch", 1])},
    )
    mean = helper.make_node("ReduceMean", ["input", "last"], ["m"], keepdims=1)
    nodes = [
        mean,
        helper.make_node("Add", ["m", "state"], ["stateN"]),
        helper.make_node("Tanh", ["stateN"], ["output"]),
    ]
    path = write(tmp_path / "m.onnx", nodes, *ports, [helper.make_tensor("last", WHOLE, [1], [1])])
    assert "--onnx-frame" in refused(path)
    model = read_onnx(path, outlast.OnnxPorts(frame=20))
    assert model.input_spec == outlast.InputSpec("features", 20)


def test_several_tokens_a_call_are_no_position(tmp_path: Path) -> None:
    ports = {"x": (WHOLE, [1, 16]), "h": (WHOLE, [1, 16])}, {"y": (WHOLE, [1, 16]), "hn": (WHOLE, [1, 16])}
    path = step(tmp_path / "m.onnx", ports, [("Add", "x h", "hn"), ("Identity", "x", "y")])
    assert "several tokens in every call" in refused(path)


def test_no_gradient_is_had(tmp_path: Path) -> None:
    model = outlast.load(sound(tmp_path))
    inputs = torch.zeros(1, 2, 3, requires_grad=True)
    with pytest.raises(outlast.InputError, match="has no gradients"):
        model(inputs, model.initial_state(1))
    streams = outlast.Streams.from_arrays(torch.randn(40, 20, 3).numpy())
    with pytest.raises(outlast.InputError, match="the function that builds it"):
        outlast.repair(model, streams, train_context=4, intervention=outlast.Carry(expected_run=8))
    with pytest.raises(outlast.InputError, match="without weights that could be changed"):
        outlast.with_dose(model, model, 0.5)


def test_it_is_the_file_that_is_kept(tmp_path: Path) -> None:
    model = outlast.load(sound(tmp_path))
    with pytest.raises(outlast.InputError, match="copy the file"):
        outlast.save(model, tmp_path / "saved")
    assert not (tmp_path / "saved").exists()


def test_inputs_of_another_kind(tmp_path: Path) -> None:
    model = outlast.load(sound(tmp_path))
    for wrong in (torch.zeros(1, 2, 5), torch.zeros(1, 0, 3), torch.zeros(1, 2, dtype=torch.int64)):
        with pytest.raises(outlast.InputError, match="frames"):
            model(wrong, model.initial_state(1))


def test_the_device_is_the_cpu(tmp_path: Path) -> None:
    with pytest.raises(outlast.InputError, match="onnxruntime computes there"):
        outlast.load(sound(tmp_path), "cuda")


def test_ports_are_of_onnx_files_alone(tmp_path: Path) -> None:
    with pytest.raises(outlast.InputError, match=r"a \.onnx file, where"):
        outlast.load(tmp_path, onnx=outlast.OnnxPorts(frame=3))


def test_the_extra_is_named_where_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = sound(tmp_path)
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert "pip install 'outlast[onnx]'" in refused(path)
