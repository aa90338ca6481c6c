"""What people give in the place of a model's folder: what it is, and how to come by a model from there.

Lines that a message prints indented are ready to paste.
"""

from __future__ import annotations

import json
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

from outlast.errors import InputError, nearest_file

EXPECTED = (
    "a folder that outlast.save, transformers or fla wrote, package.module:build, or owner/name of a model on a hub"
)
_STEP = re.compile(r"checkpoint-(\d+)")
_ADAPTER = "adapter_config.json"
_PICKLED = (".pth", ".pt", ".bin", ".ckpt", ".pkl", ".pickle")
_PARTS = (".json", ".safetensors", *_PICKLED)
_BODIES = ("backbone.", "model.layers.", "model.embeddings.", "rwkv.")
_HOLDERS = ("state_dict", "model_state_dict", "model")
"""Under which training scripts put a model's weights beside other things."""


def mistaken(path: Path, own: tuple[str, ...]) -> InputError:
    """The error for a path that is no model's folder.

    Args:
        own: files of which a model's folder has one.
    """
    try:
        if path.is_dir():
            return _folder(path, own)
        if path.exists():
            return _file(path, own)
        return InputError(f"no folder {path}", EXPECTED, _near(path))
    except OSError as error:
        return InputError(f"{path} ({error.strerror})", EXPECTED, "check who may read it")


def _near(path: Path) -> str:
    if re.fullmatch(r"[^\W\d][\w.]*:[^\W\d]\w*", str(path)):  # --model takes both a folder and such a name
        return f"build it by its function, which runs that code: outlast.from_factory({str(path)!r})"
    if path.with_name(f"{path.name}.py").is_file():
        return f"name the function in {path}.py that builds the model: {path.name}:build"
    names = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
    near = nearest_file(path, names)
    if near:
        return f"did you mean {path.parent / near}?"
    return "check the path; a function build in my_models.py is written my_models:build"


def _folder(path: Path, own: tuple[str, ...]) -> InputError:
    if (path / _ADAPTER).is_file():
        return adapter(path)
    steps = sorted(
        (int(found[1]), each) for each in _inside(path) if (found := _STEP.fullmatch(each.name)) and _model(each, own)
    )
    if steps:
        return _trainer(path, [each for _, each in steps])
    models = [each for each in sorted(_inside(path)) if _model(each, own)]
    given = f"{path}, a folder without {' or '.join(own)}"
    if models:
        return InputError(given, EXPECTED, f"name the folder inside: {', '.join(str(each) for each in models[:4])}")
    weights = sorted(each for each in path.glob("*.*") if each.suffix in (".safetensors", *_PICKLED))
    if weights:
        return InputError(
            f"{given}, though it holds {weights[0].name}",
            EXPECTED,
            f"put the config.json of that model beside its weights; or {_alone(weights[0])}",
        )
    return InputError(given, EXPECTED, "check the folder's name")


def _inside(path: Path) -> list[Path]:
    return [each for each in path.iterdir() if each.is_dir()]


def _model(path: Path, own: tuple[str, ...]) -> bool:
    return any((path / name).is_file() for name in (*own, _ADAPTER))


def _trainer(path: Path, steps: list[Path]) -> InputError:
    newest = steps[-1]
    do = f"the newest is {newest}"
    best = _read(newest / "trainer_state.json").get("best_model_checkpoint")
    if isinstance(best, str) and (found := path / Path(best).name).is_dir() and found != newest:
        do += f", the best by its measure {found}"
    return InputError(
        f"{path}, the output of transformers' Trainer: {_counted(len(steps))} and no model of its own",
        EXPECTED,
        f"name one of them: {do}",
    )


def _counted(steps: int) -> str:
    return "one checkpoint" if steps == 1 else f"{steps} checkpoints"


def _read(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def is_adapter(path: Path) -> bool:
    """Whether a folder holds an adapter of PEFT and no weights of a model."""
    return (path / _ADAPTER).is_file() and not any(any(path.glob(f"{name}*")) for name in ("model", "pytorch_model"))


def adapter(path: Path, called: str | None = None) -> InputError:
    """The error for a folder of PEFT's: what is to be added to a model's weights, and not the model.

    Args:
        called: its id on a hub, where it was fetched from there.
    """
    base = _read(path / _ADAPTER).get("base_model_name_or_path")
    shown = called or str(path)
    merged = f"{(called or str(path.resolve())).rpartition('/')[2]}-merged"
    lines = [
        "from peft import AutoPeftModelForCausalLM",
        f"model = AutoPeftModelForCausalLM.from_pretrained({shown!r})",
        f"model.merge_and_unload().save_pretrained({merged!r})",
    ]
    if (path / "tokenizer_config.json").is_file():
        lines += [
            "from transformers import AutoTokenizer",
            f"AutoTokenizer.from_pretrained({shown!r}).save_pretrained({merged!r})",
        ]
    of = f" of {base}" if isinstance(base, str) else ""
    return InputError(
        f"{shown}, an adapter{of} that PEFT saved, without the model itself",
        EXPECTED,
        f"merge it into its model, and give {merged} (pip install peft):{_pasted(lines)}",
    )


def _file(path: Path, own: tuple[str, ...]) -> InputError:
    suffix = path.suffix.lower()
    if suffix in _PARTS and _model(path.parent, own) and not is_adapter(path.parent):
        return InputError(f"{path}, a file of a model's folder", EXPECTED, f"name the folder: {path.parent}")
    if suffix == ".safetensors":
        return InputError(f"{path}, weights that do not say how their model is built", EXPECTED, _alone(path))
    if suffix in _PICKLED:
        return _pickled(path)
    if suffix == ".gguf":
        return InputError(
            f"{path}, a model as llama.cpp runs it: quantised, without gradients",
            EXPECTED,
            "give the folder that it was converted from",
        )
    if suffix == ".py":
        return InputError(
            f"{path}, a file of code",
            EXPECTED,
            f"name the function in it that builds the model: {path.stem}:build, where {path.name} can be imported",
        )
    return InputError(f"{path}, a file", EXPECTED, "name the folder of a model")


def _pickled(path: Path) -> InputError:
    """What a file of torch's is, as far as torch tells without running its code."""
    import torch  # not above: that there is no such folder is said without it

    if _is_program(path):
        return InputError(
            f"{path}, a TorchScript program, which is code",
            EXPECTED,
            "where you trust it, load it in a function of your own, and give my_model:build. In my_model.py:"
            + _pasted(_function([f"return torch.jit.load({_quoted(path)})"])),
        )
    if not _begins_as_pickle(path):
        return InputError(f"{path}, which torch did not write", EXPECTED, "check the file, or name a model's folder")
    try:
        found = torch.load(path, map_location="meta", weights_only=True)
    except pickle.UnpicklingError:
        return _objects(path)
    except Exception as error:  # of a damaged file, or one of another kind, torch raises whatever it met
        return _unreadable(path, error)
    holder = _holder(found)
    if holder is None and not _weights(found):
        return InputError(f"{path}, in which there are no weights by name", EXPECTED, "name the folder of a model")
    return InputError(f"{path}, {_contents(found)}", EXPECTED, _for_library(found) + _alone(path, holder))


def _is_program(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except zipfile.BadZipFile:
        return False


def _begins_as_pickle(path: Path) -> bool:
    with path.open("rb") as file:
        return zipfile.is_zipfile(path) or file.read(1) == b"\x80"


def _objects(path: Path) -> InputError:
    code = f"return torch.load({_quoted(path)}, map_location='cpu', weights_only=False)  # runs the file's code"
    return InputError(
        f"{path}, a pickle that holds more than tensors: outlast never runs a pickle's code",
        EXPECTED,
        "where you trust the file, load it in a function of your own (of a dict, take the model out or build it), and "
        f"give my_model:build. In my_model.py:{_pasted(_function([code]))}",
    )


def _unreadable(path: Path, error: Exception) -> InputError:
    said = str(error).strip().splitlines()
    return InputError(
        f"{path}, which torch cannot read ({said[0] if said else type(error).__name__})",
        EXPECTED,
        "check the file, or name the folder of a model",
    )


def _contents(found: Any) -> str:
    if _weights(found):
        return f"{len(found)} tensors ({', '.join(list(found)[:2])}, …) that do not say how their model is built"
    return f"a training script's checkpoint: weights in {_holder(found)!r}, which do not say how their model is built"


def _weights(found: Any) -> bool:
    from torch import Tensor

    return isinstance(found, dict) and bool(found) and all(isinstance(each, Tensor) for each in found.values())


def _holder(found: Any) -> str | None:
    return next((name for name in _HOLDERS if isinstance(found, dict) and _weights(found.get(name))), None)


def _for_library(found: Any) -> str:
    """What to do with weights that bear a library's names."""
    holder = _holder(found)
    names = found[holder] if holder else found if _weights(found) else {}
    if "emb.weight" in names and any(str(name).startswith("blocks.") for name in names):
        return "these are names of RWKV-LM, of which RWKV-7 alone is read. Otherwise "
    if not any(str(name).startswith(_BODIES) for name in names):
        return ""
    return (
        "these are names of transformers, fla or state-spaces: put the file into a folder as pytorch_model.bin, with "
        "the model's config.json beside it, and name the folder. Otherwise "
    )


def _alone(path: Path, holder: str | None = None) -> str:
    """How to load a file of weights into a model that somebody's code builds."""
    if path.suffix.lower() == ".safetensors":
        top, read = "from safetensors.torch import load_file", f"load_file({_quoted(path)})"
    else:
        top, read = "import torch", f"torch.load({_quoted(path)}, map_location='cpu', weights_only=True)"
    if holder is not None:
        read += f"[{holder!r}]"
    lines = ["model = YourModel()", f"model.load_state_dict({read})", "return model"]
    pasted = _pasted([top, "from your_code import YourModel  # the class that was trained", *_function(lines)[1:]])
    return f"build the model in a function of your own, and give my_model:build. In my_model.py:{pasted}"


def _function(lines: list[str]) -> list[str]:
    return ["import torch", "", "def build():", *(f"    {line}" for line in lines)]


def _quoted(path: Path) -> str:
    return repr(str(path.resolve()))


def _pasted(lines: list[str]) -> str:
    return "".join(f"\n    {line}".rstrip(" ") for line in lines)
