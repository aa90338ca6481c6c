"""Directories as users have them: shards, tied weights, half precision, pickles; and what is refused, by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from transformers import AutoModelForCausalLM

from foreign import theirs
from foreign.theirs import assert_same_directories, worst
from outlast.checkpoints import load, read_record, save
from outlast.errors import InputError
from outlast.evaluation import describe_model
from outlast.foreign import FORMATS, parse
from outlast.modules.factory import from_blueprint

SETTINGS: dict[str, Any] = {
    "vocab_size": 13,
    "num_hidden_layers": 2,
    "hidden_size": 8,
    "num_heads": 4,
    "head_dim": 4,
    "n_groups": 2,
    "state_size": 5,
    "tie_word_embeddings": False,
}
INPUTS = theirs.tokens(SETTINGS, 2, 17)


def change(folder: Path, **fields: Any) -> None:
    """Change config.json."""
    record = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**record, **fields}))


def answer(folder: Path) -> torch.Tensor:
    model = load(folder)
    with torch.no_grad():
        return model(INPUTS, model.initial_state(2))[0]


def test_shards_are_joined_and_written_whole(tmp_path: Path) -> None:
    theirs.saved("mamba2", SETTINGS, tmp_path / "whole")
    theirs.saved("mamba2", SETTINGS, tmp_path / "shards", max_shard_size="2KB")
    assert len(list((tmp_path / "shards").glob("model-*.safetensors"))) > 2
    assert torch.equal(answer(tmp_path / "shards"), answer(tmp_path / "whole"))
    save(load(tmp_path / "shards"), tmp_path / "back")
    assert_same_directories(tmp_path / "whole", tmp_path / "back")
    with pytest.raises(InputError, match=r"model\.safetensors\.index\.json"):
        save(load(tmp_path / "shards"), tmp_path / "shards")
    index = tmp_path / "shards" / "model.safetensors.index.json"
    good = json.loads(index.read_text())
    name = next(iter(good["weight_map"]))
    for wrong, words in (
        ({**good["weight_map"], name: "../whole/model.safetensors"}, "outside its folder"),
        ({**good["weight_map"], "extra": good["weight_map"][name]}, "extra is in no file"),
        ({key: file for key, file in good["weight_map"].items() if key != name}, name),
        ({**good["weight_map"], name: "missing.safetensors"}, r"missing\.safetensors"),
    ):
        index.write_text(json.dumps({"weight_map": wrong}))
        with pytest.raises(InputError, match=words):
            load(tmp_path / "shards")


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_stays_as_it_is(dtype: torch.dtype, tied: bool, tmp_path: Path) -> None:
    """Parameters keep their dtype, the state is float32, logits are those of transformers to that precision."""
    model = theirs.built("mamba2", {**SETTINGS, "tie_word_embeddings": tied}).to(dtype)
    model.save_pretrained(tmp_path / "half")
    ours: Any = load(tmp_path / "half")
    assert {parameter.dtype for parameter in ours.parameters()} == {dtype}
    assert (ours.head.weight is ours.embed.weight) == tied
    with torch.no_grad():
        logits, state = ours(INPUTS, ours.initial_state(2))
    assert state[0].state.dtype == torch.float32
    exact = theirs.logits(model.float(), INPUTS)
    assert worst(logits, exact) < 0.05
    save(ours, tmp_path / "back")
    assert_same_directories(tmp_path / "half", tmp_path / "back")
    save(ours.float(), tmp_path / "single")
    assert parse((tmp_path / "single" / "config.json").read_text())["dtype"] == "float32"
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "single", dtype="auto").dtype == torch.float32


def test_a_tied_head_may_stand_in_the_file_or_not(tmp_path: Path) -> None:
    theirs.saved("mamba2", {**SETTINGS, "tie_word_embeddings": True}, tmp_path)
    path = tmp_path / "model.safetensors"
    tensors = safetensors.torch.load_file(path)
    assert "lm_head.weight" not in tensors
    before = answer(tmp_path)
    both = {**tensors, "lm_head.weight": tensors["backbone.embeddings.weight"].clone()}
    safetensors.torch.save_file(both, path)
    assert torch.equal(answer(tmp_path), before)
    save(load(tmp_path), tmp_path / "back")
    assert_same_directories(tmp_path, tmp_path / "back")
    both["lm_head.weight"] = both["lm_head.weight"] + 1
    safetensors.torch.save_file(both, path)
    with pytest.raises(InputError, match="tie_word_embeddings"):
        load(tmp_path)


def test_older_names_come_back_as_they_were(tmp_path: Path) -> None:
    theirs.saved("mamba2", SETTINGS, tmp_path)
    path = tmp_path / "model.safetensors"
    before = answer(tmp_path)
    tensors = safetensors.torch.load_file(path)
    old = {name.replace("backbone.embeddings.", "backbone.embedding."): tensor for name, tensor in tensors.items()}
    safetensors.torch.save_file(old, path)
    assert torch.equal(answer(tmp_path), before)
    save(load(tmp_path), tmp_path / "back")
    assert_same_directories(tmp_path, tmp_path / "back")


class Spy:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


def test_pickles_of_tensors_are_read_and_others_never_run(tmp_path: Path) -> None:
    theirs.saved("mamba2", SETTINGS, tmp_path / "a")
    before = answer(tmp_path / "a")
    tensors = safetensors.torch.load_file(tmp_path / "a" / "model.safetensors")
    (tmp_path / "a" / "model.safetensors").unlink()
    with pytest.raises(InputError, match="no weights"):
        load(tmp_path / "a")
    pickled = tmp_path / "a" / "pytorch_model.bin"
    torch.save(tensors, pickled)
    assert torch.equal(answer(tmp_path / "a"), before)
    for bad in ({"step": 3}, {**tensors, "more": Spy(tmp_path / "ran")}, [1]):
        torch.save(bad, pickled)
        with pytest.raises(InputError, match="a pickle that cannot be read as weights alone"):
            load(tmp_path / "a")
    assert not (tmp_path / "ran").exists()
    pickled.write_bytes(b"not a zip")
    with pytest.raises(InputError):
        load(tmp_path / "a")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"model_type": "llama"}, "model_type = 'llama'"),
        ({"model_type": None}, "model_type = None"),
        ({"hidden_act": "gelu"}, "hidden_act = 'gelu'"),
        ({"num_heads": 3}, "num_heads = 3"),
        ({"n_groups": 3}, "n_groups = 3"),
        ({"n_groups": 0}, "n_groups = 0"),
        ({"state_size": "large"}, "state_size = 'large'"),
        ({"state_size": True}, "state_size = True"),
        ({"vocab_size": 0}, "vocab_size = 0"),
        ({"time_step_limit": [0.1]}, "time_step_limit"),
        ({"quantization_config": {"bits": 4}}, "quantization_config"),
        ({"state_size": 6}, "of another shape"),
        ({"num_hidden_layers": 3}, "missing: backbone.layers.2"),
        ({"num_hidden_layers": 1}, "not in the model: backbone.layers.1"),
        ({"use_bias": True}, "in_proj.bias"),
    ],
)
def test_what_is_refused_is_named(fields: dict[str, Any], words: str, tmp_path: Path) -> None:
    theirs.saved("mamba2", SETTINGS, tmp_path)
    change(tmp_path, **fields)
    with pytest.raises(InputError) as caught:
        load(tmp_path)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "fields", "words"),
    [
        ("gla-0", {"attn": {"layers": [1]}}, "attn = "),
        ("gla-0", {"attnres_block_size": 2}, "attnres_block_size = 2"),
        ("gla-0", {"feature_map": "relu"}, "feature_map = 'relu'"),
        ("gla-0", {"num_kv_heads": 3}, "num_kv_heads = 3"),
        ("gla-0", {"expand_k": 0.3}, "expand_k = 0.3"),
        ("gla-0", {"hidden_act": "powlu"}, "hidden_act = 'powlu'"),
        ("retnet-0", {"expand_k": 0.375}, "expand_k = 0.375"),
        ("gated_deltanet-0", {"output_gate_activation": "relu"}, "output_gate_activation = 'relu'"),
        ("gated_deltanet-0", {"num_v_heads": 3}, "num_v_heads = 3"),
        ("rwkv6-0", {"hidden_act": "relu"}, "hidden_act = 'relu'"),
        ("rwkv6-0", {"attn": {"layers": [1]}}, "attn = "),
        ("delta_net-0", {"qk_activation": "gelu"}, "qk_activation = 'gelu'"),
        ("delta_net-0", {"qk_norm": "max"}, "qk_norm = 'max'"),
        ("delta_net-0", {"attn": {"layers": [1]}}, "attn = "),
        ("gsa-0", {"feature_map": "t2r"}, "feature_map = 't2r'"),
        ("gsa-0", {"num_slots": 0}, "num_slots = 0"),
        ("gsa-0", {"expand_v": 0.5}, "expand_v = 0.5"),
        ("gsa-0", {"num_kv_heads": 3}, "num_kv_heads = 3"),
        ("hgrn2-0", {"expand_ratio": 5}, "expand_ratio = 5"),
        ("hgrn2-0", {"expand_ratio": None, "num_heads": 3}, "num_heads = 3"),
        ("hgrn2-0", {"use_lower_bound": False}, "model.lower_bounds"),
        ("kda-0", {"num_v_heads": 3}, "num_v_heads = 3"),
        ("kda-0", {"expand_v": 0.3}, "expand_v = 0.3"),
        ("kda-0", {"lower_bound": 1.0}, "lower_bound = 1.0"),
        ("rwkv7-0", {"hidden_act": "relu"}, "hidden_act = 'relu'"),
        ("rwkv7-0", {"head_dim": 5}, "head_dim = 5"),
        ("rwkv7-0", {"value_dim": [16, 32]}, "value_dim = (16, 32)"),
        ("rwkv7-0", {"attn": {"layers": [1]}}, "attn = "),
        ("gla-0", {"model_type": "mesa_net"}, "model_type = 'mesa_net'"),
        ("mamba-0", {"dt_rank": 0}, "dt_rank = 0"),
        ("mamba-0", {"hidden_act": "relu"}, "hidden_act = 'relu'"),
        ("mamba2-0", {"head_dim": 3}, "head_dim = 3"),
        ("mamba2-0", {"n_groups": 3}, "n_groups = 3"),
        ("mamba2-0", {"quantization_config": {}}, "quantization_config = {}"),
    ],
)
def test_what_is_refused_of_fla_is_named(kind: str, fields: dict[str, Any], words: str, tmp_path: Path) -> None:
    source = Path(__file__).parent / "fla" / kind
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((source / name).read_bytes())
    load(tmp_path)
    change(tmp_path, **fields)
    with pytest.raises(InputError) as caught:
        load(tmp_path)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "fields", "words"),
    [
        ("mamba", {"state_size": 0}, "state_size = 0"),
        ("mamba2", {"conv_kernel": -1}, "conv_kernel = -1"),
        ("rwkv", {"num_hidden_layers": 0}, "num_hidden_layers = 0"),
        ("mamba", {"time_step_rank": 0}, "time_step_rank = 0"),
        ("mamba", {"intermediate_size": 0}, "intermediate_size = 0"),
        ("falcon_mamba", {"hidden_act": "relu"}, "hidden_act = 'relu'"),
        ("rwkv", {"attention_hidden_size": 0}, "attention_hidden_size = 0"),
        ("recurrent_gemma", {"rope_parameters": {"rope_type": "yarn"}}, "rope_parameters = "),
        ("recurrent_gemma", {"block_types": ["recurrent", "other"]}, "block_types = "),
        ("recurrent_gemma", {"num_key_value_heads": 99}, "num_key_value_heads = 99"),
        ("recurrent_gemma", {"head_dim": 1}, "head_dim = 1"),
        ("recurrent_gemma", {"attention_dropout": 0.5}, "attention_dropout = 0.5"),
        ("recurrent_gemma", {"hidden_activation": "relu"}, "hidden_activation = 'relu'"),
    ],
)
def test_what_is_refused_of_each_kind_is_named(kind: str, fields: dict[str, Any], words: str, tmp_path: Path) -> None:
    theirs.saved(kind, theirs.drawn(kind, lambda *choices: choices[0]), tmp_path)
    load(tmp_path)
    change(tmp_path, **fields)
    with pytest.raises(InputError) as caught:
        load(tmp_path)
    assert words in str(caught.value)


def test_damaged_files(tmp_path: Path) -> None:
    theirs.saved("mamba2", SETTINGS, tmp_path)
    config, weights = tmp_path / "config.json", tmp_path / "model.safetensors"
    good = weights.read_bytes()
    weights.write_bytes(good[:-5])
    with pytest.raises(InputError, match="cannot be used"):
        load(tmp_path)
    weights.write_bytes(good)
    for text in ("{", "[]", "\xff"):
        config.write_text(text, encoding="latin-1")
        with pytest.raises(InputError, match=r"config\.json cannot be used"):
            load(tmp_path)


def test_weights_that_changed_after_saving_are_noticed(tmp_path: Path) -> None:
    theirs.saved("mamba2", SETTINGS, tmp_path / "theirs")
    model = load(tmp_path / "theirs")
    save(model, tmp_path / "ours", provenance={"steps": 3})
    assert read_record(tmp_path / "ours")["provenance"] == {"steps": 3}
    assert torch.equal(answer(tmp_path / "ours"), answer(tmp_path / "theirs"))
    with torch.no_grad():
        next(model.parameters()).add_(1)
    save(model, tmp_path / "other")
    (tmp_path / "ours" / "model.safetensors").write_bytes((tmp_path / "other" / "model.safetensors").read_bytes())
    with pytest.raises(InputError, match="SHA-256"):
        load(tmp_path / "ours")


def test_what_lies_beside_the_weights_goes_along(tmp_path: Path) -> None:
    theirs.saved("mamba2", SETTINGS, tmp_path / "theirs")
    (tmp_path / "theirs" / "tokenizer_config.json").write_text('{"a": 1}')
    (tmp_path / "theirs" / "optimizer.pt").write_text("not ours")
    save(load(tmp_path / "theirs"), tmp_path / "ours")
    names = {path.name for path in (tmp_path / "ours").iterdir()}
    assert names == {
        *("config.json", "generation_config.json", "model.safetensors", "tokenizer_config.json", "outlast.json")
    }


def test_a_blueprint_is_plain_json_and_builds_the_model(tmp_path: Path) -> None:
    """Also with an infinite time-step limit, which JSON cannot say."""
    theirs.saved("mamba2", SETTINGS, tmp_path)
    model = load(tmp_path)
    blueprint = json.loads(json.dumps(describe_model(model)["blueprint"], allow_nan=False))
    assert blueprint["kind"] in FORMATS
    again = from_blueprint(blueprint)
    assert [(name, p.shape) for name, p in again.named_parameters()] == [
        (name, p.shape) for name, p in model.named_parameters()
    ]
    save(again, tmp_path / "new")
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "new").config.time_step_limit[1] == float("inf")


def test_a_folder_that_holds_no_model(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"without outlast\.json or config\.json"):
        load(tmp_path)
