"""The tensors of a directory as users have them: safetensors, whole or in shards, or pickles of nothing but tensors."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from outlast.errors import InputError

WHOLE, PICKLED = "model.safetensors", "pytorch_model.bin"


def read_tensors(directory: Path) -> dict[str, Tensor]:
    """Every tensor by name, on the CPU, in the dtype of the file.

    Read are, the first that is there: model.safetensors, its shards by model.safetensors.index.json,
    pytorch_model.bin, its shards by pytorch_model.bin.index.json. The last two only as far as torch reads them with
    ``weights_only=True``, which runs no code.

    Raises:
        InputError: none of them is there, one is damaged, or a pickle holds more than tensors.
    """
    for name in (WHOLE, PICKLED):
        index = directory / f"{name}.index.json"
        if (directory / name).is_file():
            return read_weights(directory / name)
        if index.is_file():
            return _shards(index)
    raise InputError(
        f"no weights in {directory}",
        f"{WHOLE}, or shards and {WHOLE}.index.json",
        "complete the download, or save the model with safe_serialization=True",
    )


def safetensors_in(directory: Path) -> list[Path]:
    """The files of a directory's weights as safetensors: one, or shards.

    Raises:
        InputError: there are none, or their index is damaged.
    """
    index = directory / f"{WHOLE}.index.json"
    if (directory / WHOLE).is_file():
        return [directory / WHOLE]
    if index.is_file():
        return [index.with_name(name) for name in sorted(set(_places(index).values()))]
    found = "only pickles" if [*directory.glob("*.bin")] else "no weights"
    raise InputError(
        f"{found} in {directory}",
        f"{WHOLE}, or shards and {WHOLE}.index.json",
        "complete the download, or load it where you trust it and save it with safe_serialization=True",
    )


def _places(index: Path) -> dict[str, str]:
    """For each tensor, the file of the folder that holds it."""
    try:
        places = json.loads(index.read_text())["weight_map"]
        inside = all(Path(name).name == name for name in places.values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise damaged(index, f"{type(error).__name__}: {error}") from error
    if not inside:
        raise damaged(index, "it names files outside its folder")
    return places


def _shards(index: Path) -> dict[str, Tensor]:
    places = _places(index)
    tensors: dict[str, Tensor] = {}
    for name in sorted(set(places.values())):
        found = read_weights(index.with_name(name))
        for key, tensor in found.items():
            if places.get(key) != name:
                raise damaged(index, f"{name} holds {key}, which the index has in {places.get(key)}")
            tensors[key] = tensor
    if missing := sorted(set(places) - set(tensors)):
        raise damaged(index, f"{', '.join(missing[:3])} is in no file")
    return tensors


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of one file, of safetensors or pickled.

    Raises:
        InputError: it is damaged, or a pickle of more than tensors.
    """
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, safetensors.SafetensorError, RuntimeError, EOFError) as error:
        raise damaged(path, getattr(error, "strerror", None) or str(error).splitlines()[0]) from error
    except pickle.UnpicklingError as error:
        raise _not_weights(path, str(error).splitlines()[0]) from error
    if not isinstance(found, dict) or not all(isinstance(tensor, Tensor) for tensor in found.values()):
        raise _not_weights(path, "it holds something other than tensors by name")
    return found


def damaged(path: Path, why: str) -> InputError:
    """The error for a file that is not whole."""
    return InputError(f"{path} cannot be used: {why}", "the files of one model", "copy or download the folder again")


def _not_weights(path: Path, why: str) -> InputError:
    return InputError(
        f"{path}, a pickle that cannot be read as weights alone ({why})",
        "safetensors, or a pickle of nothing but tensors",
        "load it where you trust it and save it with safe_serialization=True; outlast never runs a pickle's code",
    )
