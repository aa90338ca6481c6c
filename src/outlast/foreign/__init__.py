"""Directories that other libraries wrote: config.json and weights, in and out unchanged. One file a model type."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

import torch
from torch import Tensor

from outlast.errors import InputError
from outlast.foreign import (
    delta_net,
    gated_deltanet,
    gla,
    gsa,
    hgrn2,
    kda,
    mamba,
    mamba2,
    recurrent_gemma,
    retnet,
    rwkv4,
    rwkv6,
    rwkv7,
    rwkv_lm,
    state_spaces,
)
from outlast.foreign.config import parse
from outlast.foreign.files import damaged, read_tensors, read_weights
from outlast.foreign.model import Foreign, Origin
from outlast.randomness import DrawingFrom
from outlast.sizes import sketch

if TYPE_CHECKING:
    from outlast.foreign.caches.model import Borrowed

CONFIG = "config.json"

TOKENISER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "chat_template.jinja",
)
"""Files of a tokeniser."""
KEPT = ("generation_config.json", *TOKENISER)
"""Files beside the weights that go where the model goes."""


@dataclass(frozen=True)
class Format:
    """One library's way of saving one type of model.

    Args:
        build: (fields of config.json, blueprint) -> the model with fresh weights.
        model_type: config.json's.
        mark: a field that only this library's config.json has, where two libraries share a model_type.
        aliases: parts of tensors' names in older files, to what stands there now.
    """

    build: Callable[[dict[str, Any], dict[str, Any]], Foreign]
    model_type: str
    mark: str | None = None
    aliases: Mapping[str, str] | None = None


_OLD_MAMBA = {"backbone.embedding.": "backbone.embeddings."}

FORMATS: dict[str, Format] = {
    "fla.delta_net": Format(delta_net.from_fla, "delta_net"),
    "fla.gated_deltanet": Format(gated_deltanet.from_fla, "gated_deltanet"),
    "fla.gla": Format(gla.from_fla, "gla"),
    "fla.gsa": Format(gsa.from_fla, "gsa"),
    "fla.hgrn2": Format(hgrn2.from_fla, "hgrn2"),
    "fla.kda": Format(kda.from_fla, "kda"),
    "fla.mamba": Format(mamba.from_fla, "mamba", "norm_eps", _OLD_MAMBA),
    "fla.mamba2": Format(mamba2.from_fla, "mamba2", "norm_eps", _OLD_MAMBA),
    "fla.retnet": Format(retnet.from_fla, "retnet"),
    "fla.rwkv6": Format(rwkv6.from_fla, "rwkv6"),
    "fla.rwkv7": Format(rwkv7.from_fla, "rwkv7"),
    "transformers.falcon_mamba": Format(mamba.from_transformers, "falcon_mamba"),
    "transformers.mamba": Format(mamba.from_transformers, "mamba", None, _OLD_MAMBA),
    "transformers.mamba2": Format(mamba2.from_transformers, "mamba2", None, _OLD_MAMBA),
    "transformers.recurrent_gemma": Format(recurrent_gemma.from_transformers, "recurrent_gemma"),
    "transformers.rwkv": Format(rwkv4.from_transformers, "rwkv"),
}
"""By kind, the formats that are read. Of two with one model_type the first whose mark is there is meant."""


BORROWED = "transformers"
"""The kind of every other recurrent model of transformers, which is run by transformers itself."""
KINDS = (*FORMATS, BORROWED)
"""Every kind of blueprint of another library's model."""


def kind_of(record: Mapping[str, Any]) -> str:
    """The kind, of `KINDS`, of what a config.json holds; that of transformers' own where outlast has no reader."""
    name = record.get("model_type")
    for kind, format in FORMATS.items():
        if name == format.model_type and (format.mark is None or format.mark in record):
            return kind
    return BORROWED


def from_blueprint(blueprint: Mapping[str, Any]) -> Foreign | Borrowed:
    """The model of a blueprint, with fresh weights that are a function of the blueprint alone.

    Raises:
        InputError: config holds what outlast does not read.
        KeyError: an unknown kind or no config.
    """
    if blueprint["kind"] == BORROWED:
        from outlast.foreign.caches.directory import fresh

        return fresh(blueprint)
    with torch.device("cpu"), DrawingFrom(0):
        return _build(blueprint["kind"], blueprint["config"])


def _build(kind: str, record: dict[str, Any]) -> Foreign:
    return FORMATS[kind].build(record, {"kind": kind, "config": record})


def is_directory_of(directory: Path) -> bool:
    """Whether another library's model lies there."""
    return (directory / CONFIG).is_file()


def read_directory(directory: Path, attention_window: int | None = None) -> Foreign | Borrowed:
    """The model in a directory, its parameters in the dtypes of the file.

    Args:
        attention_window: positions that attention sees at most in a model that transformers runs; None: as
            `outlast.foreign.caches.choosing.window_of` says. Models that outlast runs have windows of their own.

    Raises:
        InputError: it cannot be read exactly; names the field, the tensor or the file that stands against it.
    """
    config = _read_config(directory)
    if config.kind == BORROWED:
        from outlast.foreign.caches.directory import read

        found = read(directory, config.record, attention_window)
        found.source.files = {CONFIG: config.text, **_kept(directory)}
        return found
    model = _outlined(directory, config)
    tensors = read_tensors(directory)
    if model.origin.translated:
        tensors = state_spaces.renamed(tensors, model.blueprint["config"]["tie_word_embeddings"], str(directory))
    model.take(tensors, FORMATS[config.kind].aliases or {}, str(directory))
    return model


def is_file_of(path: Path) -> bool:
    """Whether a file alone is a model that another library saved: RWKV-7 as RWKV-LM does."""
    return rwkv_lm.is_rwkv7(rwkv_lm.names_in(path))


def read_file(path: Path) -> Foreign:
    """The model in a file of which `is_file_of` is true.

    Raises:
        InputError: it cannot be read exactly.
    """
    record, tensors = rwkv_lm.translated(read_weights(path), path)
    model = sketch(lambda: _build(kind_of(record), record), str(path))
    model.origin = Origin({CONFIG: _text(record)}, translated=True)
    model.take(tensors, {}, str(path))
    return model


def require_readable(directory: Path) -> None:
    """Refuse, before any weights are read, a directory whose config.json says that it cannot be read.

    Raises:
        InputError: config.json is damaged, or of a model that is not read.
    """
    config = _read_config(directory)
    if config.kind == BORROWED:
        from outlast.foreign.caches.choosing import chosen

        chosen(config.record, str(directory / CONFIG))
    else:
        _outlined(directory, config)


@dataclass(frozen=True)
class _Config:
    """A config.json: what it holds, as text, of which kind, and whether it was another's layout, translated."""

    record: dict[str, Any]
    text: bytes
    kind: str
    translated: bool


def _read_config(directory: Path) -> _Config:
    path = directory / CONFIG
    try:
        text = path.read_bytes()
        record = parse(text.decode())
    except (OSError, ValueError, RecursionError) as error:
        raise damaged(path, str(error)) from error
    if translated := state_spaces.is_original(record):
        record = state_spaces.translated(record)
        text = _text(record)
    return _Config(record, text, kind_of(record), translated)


def _outlined(directory: Path, config: _Config) -> Foreign:
    """The model before its weights are read: none are drawn only to be replaced."""
    model = sketch(lambda: _build(config.kind, config.record), str(directory / CONFIG))
    model.origin = Origin({CONFIG: config.text, **_kept(directory)}, translated=config.translated)
    return model


def _kept(directory: Path) -> dict[str, bytes]:
    try:
        return {name: (directory / name).read_bytes() for name in KEPT if (directory / name).is_file()}
    except OSError as error:
        raise damaged(directory, str(error)) from error


def is_foreign(model: object) -> TypeGuard[Foreign | Borrowed]:
    """Whether a model goes back as another library's directory."""
    return isinstance(model, Foreign) or (getattr(model, "blueprint", None) or {}).get("kind") == BORROWED


def written(model: Foreign | Borrowed) -> tuple[dict[str, bytes], dict[str, Tensor]]:
    """The files, but for the weights, and the tensors that make a directory of the original library's.

    config.json is the one that was read, byte for byte, unless the parameters are now of another dtype: then its
    dtype is theirs.
    """
    if isinstance(model, Foreign):
        tensors, source, came = model.give(), model.origin, set(model.origin.dtypes.values())
        dtypes = {tensor.dtype for tensor in tensors.values()}
    else:
        from outlast.foreign.caches.directory import tensors_of

        tensors, source, came = tensors_of(model), model.source, {model.source.dtype} - {None}
        dtypes = {each.dtype for each in model.parameters()}
    files = dict(source.files)
    if CONFIG not in files:
        files[CONFIG] = _text(model.blueprint["config"])
    if came and len(dtypes) == 1 and dtypes != came:
        record = parse(files[CONFIG].decode())
        name = str(dtypes.pop()).removeprefix("torch.")
        record["torch_dtype" if "torch_dtype" in record else "dtype"] = name
        files[CONFIG] = _text(record)
    return files, tensors


def _text(record: dict[str, Any]) -> bytes:
    return (json.dumps(record, indent=2, allow_nan=False) + "\n").encode()


def reject_mixture(directory: Path) -> None:
    """Raise InputError where weights in a folder would stand beside those that are to be written.

    Raises:
        InputError: the folder has shards or a pickle of another model.
    """
    for path in (*directory.glob("*.index.json"), *directory.glob("pytorch_model*.bin")):
        raise InputError(
            f"the folder {directory}, which holds {path.name}",
            "a new folder, or one that outlast wrote",
            "save elsewhere: a library that finds two sets of weights might load the other one",
        )
