"""Directories of models that transformers runs: in and out bit for bit, and what is refused, by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
import transformers
from transformers import AutoModelForCausalLM

from benchmarks.pages import model_types
from benchmarks.pages import small_types as small
from benchmarks.pages.model_types import recurrent_types, row_of
from foreign.theirs import assert_same_directories
from outlast.checkpoints import load, read_record, save
from outlast.errors import InputError
from outlast.foreign.caches.directory import at_once, tokens_for
from outlast.foreign.caches.model import Borrowed

pytestmark = pytest.mark.filterwarnings("ignore:attention sees the last")
PAGE = Path(__file__).parents[2] / "docs" / "models.md"


def change(folder: Path, **fields: Any) -> None:
    """Change config.json; None leaves a field out."""
    record = {**json.loads((folder / "config.json").read_text()), **fields}
    (folder / "config.json").write_text(json.dumps({key: each for key, each in record.items() if each is not None}))


def rewrite(folder: Path, change: Any) -> None:
    """Change the tensors of model.safetensors, a function from dict to dict."""
    path = folder / "model.safetensors"
    safetensors.torch.save_file(change(safetensors.torch.load_file(path)), path, metadata={"format": "pt"})


@pytest.mark.parametrize("name", ["jamba", "bamba", "minimax", "xlstm", "zamba2", "qwen3_5_moe_text"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_directory_goes_back_as_it_came(name: str, dtype: torch.dtype, tmp_path: Path) -> None:
    """The same config, names, dtypes and bits, and transformers says the same of both; with parts that transformers
    keeps in float32, experts that it joins, and layers that it ties."""
    theirs = small.built(name).to(dtype)
    theirs.save_pretrained(tmp_path / "theirs")
    (tmp_path / "theirs" / "tokenizer_config.json").write_text('{"a": 1}')
    model = load(tmp_path / "theirs")
    assert isinstance(model, Borrowed)
    save(model, tmp_path / "ours", provenance={"steps": 3})
    assert_same_directories(tmp_path / "theirs", tmp_path / "ours")
    assert (tmp_path / "ours" / "tokenizer_config.json").read_text() == '{"a": 1}'
    assert read_record(tmp_path / "ours")["provenance"] == {"steps": 3}
    again = load(tmp_path / "ours")
    assert isinstance(again, Borrowed)
    assert all(map(torch.equal, again.parameters(), model.parameters()))
    if dtype == torch.float32:
        back = type(theirs).from_pretrained(tmp_path / "ours").eval()
        tokens = tokens_for(model, 1, 20)
        with torch.no_grad():
            said = back(input_ids=tokens, use_cache=False).logits
            torch.testing.assert_close(said, at_once(model, tokens), rtol=0, atol=1e-4)


def test_the_window_is_saved_with_the_model(tmp_path: Path) -> None:
    small.built("lfm2").save_pretrained(tmp_path / "theirs")
    with pytest.warns(UserWarning, match="the last 12 positions"):
        model = load(tmp_path / "theirs", attention_window=12)
    save(model, tmp_path / "ours")
    with pytest.warns(UserWarning, match="the last 12 positions"):
        assert load(tmp_path / "ours").forgets == 12
    with pytest.warns(UserWarning, match="the last 20 positions"):
        assert load(tmp_path / "ours", attention_window=20).forgets == 20
    with pytest.warns(UserWarning, match="the last 512 positions"):  # those that it was made for
        assert load(tmp_path / "theirs").forgets == 512
    for wrong in (1, True, 2.5):
        with pytest.raises(InputError, match="attention_window"):
            load(tmp_path / "theirs", attention_window=wrong)  # pyright: ignore[reportArgumentType]


def test_a_window_for_a_model_of_ours_is_refused(tmp_path: Path) -> None:
    small.built("mamba").save_pretrained(tmp_path)
    with pytest.raises(InputError, match="a model that outlast runs itself"):
        load(tmp_path, attention_window=12)


def test_shards_are_joined(tmp_path: Path) -> None:
    theirs = small.built("lfm2")
    theirs.save_pretrained(tmp_path / "whole")
    theirs.save_pretrained(tmp_path / "shards", max_shard_size="20KB")
    assert len(list((tmp_path / "shards").glob("model-*.safetensors"))) > 1
    save(load(tmp_path / "shards"), tmp_path / "back")
    assert_same_directories(tmp_path / "whole", tmp_path / "back")


def test_the_widest_dtype_of_a_file_is_read_and_each_is_written_back(tmp_path: Path) -> None:
    """transformers would round the wider tensors to config.json's dtype."""
    small.built("qwen3_5_text").to(torch.bfloat16).save_pretrained(tmp_path / "theirs")

    def wider(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {key: each.float() * 1.001 if key.endswith("A_log") else each for key, each in tensors.items()}

    rewrite(tmp_path / "theirs", wider)
    model = load(tmp_path / "theirs")
    assert {each.dtype for each in model.parameters()} == {torch.float32}
    save(model, tmp_path / "ours")
    assert_same_directories(tmp_path / "theirs", tmp_path / "ours")


def test_tensors_that_transformers_leaves_out_go_along(tmp_path: Path) -> None:
    """Qwen3.5's head that drafts tokens: transformers ignores it, and would lose it."""
    small.built("qwen3_5_text").save_pretrained(tmp_path / "theirs")
    rewrite(tmp_path / "theirs", lambda tensors: {**tensors, "mtp.fc.weight": torch.randn(3, 4)})
    save(load(tmp_path / "theirs"), tmp_path / "ours")
    assert_same_directories(tmp_path / "theirs", tmp_path / "ours")


def test_a_model_that_was_trained_in_float32_says_so(tmp_path: Path) -> None:
    small.built("lfm2").to(torch.bfloat16).save_pretrained(tmp_path / "half")
    model = load(tmp_path / "half").float()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.0001)
    save(model, tmp_path / "single")
    assert json.loads((tmp_path / "single" / "config.json").read_text())["dtype"] == "float32"
    back: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "single", dtype="auto")
    assert {each.dtype for each in back.parameters()} == {torch.float32}
    assert torch.equal(back.lm_head.weight, model.model.lm_head.weight)  # pyright: ignore


def test_a_model_of_pictures_and_text_reads_text(tmp_path: Path) -> None:
    """As Qwen3.5 is published; what it has for pictures goes along untouched."""
    small.built("qwen3_5").save_pretrained(tmp_path / "theirs")
    save(load(tmp_path / "theirs"), tmp_path / "ours")
    assert_same_directories(tmp_path / "theirs", tmp_path / "ours")
    assert any("visual" in key for key in safetensors.torch.load_file(tmp_path / "ours" / "model.safetensors"))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"quantization_config": {"quant_method": "fp8"}}, "quantization_config"),
        ({"model_type": "my_own", "auto_map": {"AutoModelForCausalLM": "modeling.Mine"}}, "which is not run"),
        ({"model_type": "my_own"}, "model_type = 'my_own'"),
        ({"model_type": 3}, "model_type = 3"),
        ({"model_type": "llama", "architectures": ["LlamaForCausalLM"], "layer_types": None}, "attention alone"),
        ({"architectures": ["Lfm2Model"]}, "a body without one"),
        ({"architectures": ["Lfm2ForCausalLM", "Lfm2Model"]}, "architectures = "),
        ({"rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}}, "how much is read at once"),
        ({"layer_types": ["conv", "chunked_attention"], "attention_chunk_size": 8}, "layers of chunked_attention"),
        ({"layer_types": ["conv", "indexed_attention"]}, "an index over all of the past"),
        ({"layer_types": ["conv"] * 2000, "num_hidden_layers": 2000}, "2000 layers"),
        ({"hidden_size": "wide"}, "of which transformers says"),
        ({"conv_L_cache": -3}, "cannot be built"),
        ({"vocab_size": 10**13}, "GiB"),
        ({"vocab_size": 65}, "cannot be read"),
        ({"num_hidden_layers": 1, "layer_types": ["conv"]}, "not in the model: model.layers.1"),
        ({"num_hidden_layers": 3, "layer_types": ["conv", "full_attention", "conv"]}, "missing: model.layers.2"),
    ],
)
def test_what_is_refused_is_named(fields: dict[str, Any], words: str, tmp_path: Path) -> None:
    small.built("lfm2").save_pretrained(tmp_path)
    change(tmp_path, **fields)
    with pytest.raises(InputError) as caught:
        load(tmp_path)
    assert words in str(caught.value)


def test_pickles_are_not_read(tmp_path: Path) -> None:
    """Also where transformers would read them."""
    small.built("lfm2").save_pretrained(tmp_path)
    tensors = safetensors.torch.load_file(tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(InputError, match="no weights"):
        load(tmp_path)
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match="only pickles"):
        load(tmp_path)


def test_an_adapter_is_not_a_model(tmp_path: Path) -> None:
    small.built("lfm2").save_pretrained(tmp_path)
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(InputError, match="merge_and_unload"):
        load(tmp_path)


def test_damaged_weights_are_named(tmp_path: Path) -> None:
    small.built("lfm2").save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(InputError, match=r"model\.safetensors cannot be used"):
        load(tmp_path)


def test_kernels_that_a_directory_asks_for_are_not_fetched(tmp_path: Path) -> None:
    """config.json may name an implementation of attention that transformers would download and run."""
    asked = {"_attn_implementation": "someone/kernels", "_experts_implementation": "deepgemm"}
    small.built("qwen3_5").save_pretrained(tmp_path)
    text = json.loads((tmp_path / "config.json").read_text())["text_config"]
    change(tmp_path, **asked, text_config={**text, **asked})
    model: Any = load(tmp_path)
    assert model.model.config._attn_implementation == "outlast_window"
    assert model.model.config.text_config._attn_implementation == "outlast_window"
    assert model.model.config.text_config._experts_implementation != "deepgemm"
    save(model, tmp_path / "back")
    assert_same_directories(tmp_path, tmp_path / "back")


def types_on_the_page() -> list[str]:
    return [line.split("`")[1] for line in PAGE.read_text().splitlines() if line.startswith("| `")]


def test_the_page_is_of_the_version_in_use_and_has_what_is_tried() -> None:
    exact = dict(line.split("==") for line in (PAGE.parents[1] / "constraints.txt").read_text().splitlines())
    assert f"model types of transformers {exact['transformers']} are read" in PAGE.read_text(), "run make models"
    assert set(small.tried()) <= set(types_on_the_page())


@pytest.mark.long
def test_the_page_has_every_type_of_its_version() -> None:
    if f"transformers {transformers.__version__} are read" in PAGE.read_text():
        assert sorted(types_on_the_page()) == recurrent_types()


def test_a_config_that_names_layers_which_its_model_has_not_is_refused(tmp_path: Path) -> None:
    """Llama takes any names of layers and builds attention all the same."""
    config = transformers.LlamaConfig(**small.COMMON, num_hidden_layers=2, num_attention_heads=4, intermediate_size=16)
    transformers.LlamaForCausalLM(config).save_pretrained(tmp_path)
    change(tmp_path, layer_types=["conv", "full_attention"])
    with pytest.raises(InputError, match="LlamaForCausalLM raises AttributeError"):
        load(tmp_path)
    change(tmp_path, layer_types=["hybrid", "hybrid"])
    with pytest.raises(InputError, match="no recurrent state in its cache"):
        load(tmp_path)


def test_a_row_of_the_page_is_what_is_found(tmp_path: Path) -> None:
    row = row_of("lfm2", tmp_path)
    assert (row.by, row.written, row.why) == ("transformers", True, "")
    assert row.pieces is not None
    assert row.gradient is not None
    assert row.pieces[0] < 1e-5
    assert max(row.pieces[1], row.gradient[1]) < 1e-12
    refused = row_of("qwen4_exp_text", tmp_path / "more")
    assert (refused.by, refused.written) == ("", False)
    assert "index over all of the past" in refused.why
    text = "\n".join(model_types.figures([row, refused]))
    assert "1 of the 2 recurrent model types" in text
    assert f"| `lfm2` | `Lfm2ForCausalLM` | {row.itself} | transformers |" in text
