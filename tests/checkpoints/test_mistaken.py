"""What is said of what is no model's folder: each message leads to a model, and lines to paste do what they say."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import safetensors.torch
import torch
import transformers

from foreign import theirs
from foreign.test_directories import Spy
from outlast.checkpoints import load, save
from outlast.cli import main
from outlast.errors import InputError
from outlast.families import build
from outlast.model import InputSpec

SETTINGS = {"vocab_size": 7, "num_hidden_layers": 1, "hidden_size": 8, "state_size": 4, "tie_word_embeddings": True}
MINE = """
import torch

class YourModel(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = torch.nn.GRU(2, 3, batch_first=True)
        self.head = torch.nn.Linear(3, 1)

    def forward(self, x, h=None):
        y, h = self.rnn(x, h)
        return self.head(y), h
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path


def said(name: str, capsys: pytest.CaptureFixture[str]) -> InputError:
    """What load raises, which is what the command line prints with exit status 2."""
    with pytest.raises(InputError) as caught:
        load(name)
    capsys.readouterr()
    assert main(["check", "--model", name]) == 2
    assert capsys.readouterr().err.strip() == str(caught.value)
    return caught.value


def pasted(error: InputError) -> str:
    """The lines to paste of a message."""
    lines = re.findall(r"^    (.*)$|^$", error.do, re.MULTILINE)
    return "\n".join(lines) + "\n"


def mine() -> Any:
    Path("your_code.py").write_text(MINE)
    sys.modules.pop("your_code", None)
    spec = importlib.util.spec_from_file_location("your_code", "your_code.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["your_code"] = module
    spec.loader.exec_module(module)
    torch.manual_seed(0)
    return module.YourModel()


def weights(model: Any) -> None:
    torch.save(model.state_dict(), "given.pth")


def training(model: Any) -> None:
    torch.save({"epoch": 3, "model_state_dict": model.state_dict(), "loss": 0.5}, "given.ckpt")


def tensors(model: Any) -> None:
    safetensors.torch.save_file(model.state_dict(), "given.safetensors")


def whole(model: Any) -> None:
    torch.save(model, "given.pt")


def program(model: Any) -> None:
    torch.jit.trace(model, torch.zeros(1, 2, 2)).save("given.pt")  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (weights, "6 tensors (rnn.weight_ih_l0, rnn.weight_hh_l0, …) that do not say how their model is built"),
        (training, "a training script's checkpoint: weights in 'model_state_dict'"),
        (tensors, "weights that do not say how their model is built"),
        (whole, "a pickle that holds more than tensors: outlast never runs a pickle's code"),
        (program, "a TorchScript program, which is code"),
    ],
)
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore:.*torch.jit:DeprecationWarning")
def test_a_file_of_weights_is_loaded_by_the_lines_that_are_said(
    write: Callable[[Any], None], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the tensors are those of the file."""
    model = mine()
    write(model)
    [path] = Path().glob("given.*")
    error = said(str(path), capsys)
    assert error.given == f"{path}, {words}" or error.given.startswith(f"{path}, {words}")
    assert "my_model:build" in error.do
    names: dict[str, Any] = {}
    exec(compile(pasted(error), "my_model.py", "exec", dont_inherit=True), names)
    built = names["build"]()
    for name, tensor in model.state_dict().items():
        assert torch.equal(built.state_dict()[name], tensor)


def test_a_pickle_is_not_run_to_say_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"model": Spy(Path("ran"))}, "given.pth")
    assert "never runs a pickle's code" in said("given.pth", capsys).given
    assert not Path("ran").exists()


@pytest.mark.parametrize(
    ("name", "content", "given", "do"),
    [
        ("a.pt", b"text", "a.pt, which torch did not write", "name a model's folder"),
        ("a.bin", b"PK\x03\x04", "a.bin, which torch", "a model"),
        ("a.gguf", b"GGUF", "a.gguf, a model as llama.cpp runs it", "the folder that it was converted from"),
        ("models.py", b"", "models.py, a file of code", "models:build"),
        ("a.txt", b"", "a.txt, a file", "name the folder of a model"),
    ],
)
def test_other_files(name: str, content: bytes, given: str, do: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path(name).write_bytes(content)
    error = said(name, capsys)
    assert given in error.given
    assert do in error.do


def test_a_file_of_torch_without_weights(capsys: pytest.CaptureFixture[str]) -> None:
    torch.save([1, 2], "list.pt")
    assert said("list.pt", capsys).given == "list.pt, in which there are no weights by name"


@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_a_file_of_a_model_names_its_folder(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    theirs.saved("mamba", SETTINGS, Path("model"))
    error = said(f"model/{file}", capsys)
    assert error.given == f"model/{file}, a file of a model's folder"
    assert error.do == "name the folder: model"


def test_weights_with_a_librarys_names_lack_their_config(capsys: pytest.CaptureFixture[str]) -> None:
    model = theirs.saved("mamba", SETTINGS, Path("model"))
    torch.save({name: tensor for name, tensor in model.state_dict().items() if name != "lm_head.weight"}, "w.bin")
    assert "as pytorch_model.bin, with the model's config.json beside it" in said("w.bin", capsys).do
    Path("model", "config.json").rename("config.json")
    error = said("model", capsys)
    assert error.given == "model, a folder without outlast.json or config.json, though it holds model.safetensors"
    assert error.do.startswith("put the config.json of that model beside its weights")
    Path("made").mkdir()
    Path("w.bin").rename("made/pytorch_model.bin")
    Path("config.json").rename("made/config.json")
    load("made")


def test_a_trainers_output_names_the_newest_and_the_best(capsys: pytest.CaptureFixture[str]) -> None:
    for step in (5, 10, 9):
        theirs.saved("mamba", SETTINGS, Path(f"out/checkpoint-{step}"))
    Path("out/checkpoint-99").mkdir()  # a step that was being written
    error = said("out", capsys)
    assert error.given == "out, the output of transformers' Trainer: 3 checkpoints and no model of its own"
    assert error.do == "name one of them: the newest is out/checkpoint-10"
    Path("out/checkpoint-10/trainer_state.json").write_text('{"best_model_checkpoint": "/elsewhere/out/checkpoint-9"}')
    assert said("out", capsys).do.endswith("out/checkpoint-10, the best by its measure out/checkpoint-9")
    load("out/checkpoint-10")
    for path in Path("out/checkpoint-10").iterdir():  # with its last step's model beside them it is that model's folder
        Path("out", path.name).write_bytes(path.read_bytes())
    load("out")


def test_a_folder_around_a_model_names_it(capsys: pytest.CaptureFixture[str]) -> None:
    save(build("gru", inputs=InputSpec("features", 2), outputs=1), "runs/model")
    assert said("runs", capsys).do == "name the folder inside: runs/model"
    Path("empty").mkdir()
    assert said("empty", capsys).do == "check the folder's name"
    assert said("rums", capsys).do == "did you mean runs?"
    assert said("runs/modle", capsys).do == "did you mean runs/model?"
    assert "my_models:build" in said("else", capsys).do


def adapted(folder: str) -> None:
    """What PEFT saves, in so far as it tells an adapter from a model."""
    Path(folder).mkdir(parents=True)
    record = {"peft_type": "LORA", "base_model_name_or_path": "them/base", "target_modules": ["in_proj"]}
    Path(folder, "adapter_config.json").write_text(json.dumps(record))
    safetensors.torch.save_file({"lora_A": torch.zeros(1)}, Path(folder, "adapter_model.safetensors"))


@pytest.mark.parametrize("beside", ["nothing", "config", "tokeniser"])
def test_an_adapter_is_to_be_merged(beside: str, capsys: pytest.CaptureFixture[str]) -> None:
    adapted("given")
    if beside == "config":
        theirs.saved("mamba", SETTINGS, Path("base"))
        Path("given/config.json").write_bytes(Path("base/config.json").read_bytes())
    if beside == "tokeniser":
        Path("given/tokenizer_config.json").write_text("{}")
    error = said("given", capsys)
    assert error.given == "given, an adapter of them/base that PEFT saved, without the model itself"
    code = pasted(error)
    compile(code, "merge.py", "exec")
    assert "merge_and_unload().save_pretrained('given-merged')" in code
    assert ("AutoTokenizer" in code) == (beside == "tokeniser")
    adapted("out/checkpoint-7")
    assert said("out", capsys).do.endswith("the newest is out/checkpoint-7")
    assert said("given/adapter_model.safetensors", capsys).given.startswith("given/adapter_model.safetensors, weights")


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")  # by peft
def test_an_adapter_is_merged_by_the_lines_that_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    theirs.saved("mamba", SETTINGS, Path("base"))
    model = transformers.MambaForCausalLM.from_pretrained("base")
    tuned = peft.get_peft_model(model, peft.LoraConfig(r=2, target_modules=["in_proj"], task_type="CAUSAL_LM"))
    with torch.no_grad():
        for parameter in tuned.parameters():
            parameter.add_(0.1)
    tuned.save_pretrained("given")
    exec(compile(pasted(said("given", capsys)), "merge.py", "exec", dont_inherit=True), {})
    merged, inputs = load("given-merged"), theirs.tokens(SETTINGS, 1, 9)
    with torch.no_grad():
        got, _ = merged(inputs, merged.initial_state(1))
        base = load("base")
        assert theirs.worst(got, base(inputs, base.initial_state(1))[0]) > 1e-3


@pytest.mark.parametrize("tied", [True, False])
def test_a_model_without_its_head(tied: bool, capsys: pytest.CaptureFixture[str]) -> None:
    settings = {**SETTINGS, "tie_word_embeddings": tied}
    model = theirs.built("mamba", settings)
    model.backbone.save_pretrained("given")
    error = said("given", capsys)
    assert error.given == "given, a model without its head (MambaModel)"
    if not tied:
        assert "train a head" in error.do
        return
    exec(compile(pasted(error), "whole.py", "exec", dont_inherit=True), {})
    inputs = theirs.tokens(settings, 1, 9)
    whole = load("given-whole")
    with torch.no_grad():
        assert theirs.worst(whole(inputs, whole.initial_state(1))[0], theirs.logits(model, inputs)) < 1e-4


def test_the_name_of_a_function_is_answered_by_what_builds_it() -> None:
    with pytest.raises(InputError) as refused:
        load("models:build")
    assert "outlast.from_factory('models:build')" in refused.value.do
