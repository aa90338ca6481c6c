"""Saved models: a directory with outlast.json (how to build the model, where it comes from) and model.safetensors.

A model that came from another library's directory is written as that library writes it, with outlast.json beside it.
A .onnx file is read as it lies (`outlast.onnx`), and written by `outlast.exporting` alone.

No code is ever unpickled. Loading a family, one of torch's own modules or another library's directory runs no code but
outlast's and torch's. A model saved from a factory names a function, which loading it imports and runs: `load` does so
only where it is told that it may. The function's source goes along (`outlast.checkpoints.sources`).
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import warnings
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import nn

from outlast import foreign
from outlast.arguments import taking
from outlast.checkpoints import hub, sources
from outlast.checkpoints.mistaken import adapter, is_adapter, mistaken
from outlast.checkpoints.states import file_sha256, tensors_sha256
from outlast.checkpoints.weights import fitting, put_tensors, tensors_of
from outlast.errors import InputError
from outlast.folders import aside
from outlast.given_files import require_regular
from outlast.model import Recurrent
from outlast.modules.factory import code_of, from_blueprint, sketch_of
from outlast.modules.leaking import WithLeak
from outlast.modules.remedies import rule_of, under
from outlast.modules.resetting import Around, bare
from outlast.onnx import OnnxModel, OnnxPorts, is_onnx, read_onnx
from outlast.results import VERSION, finite_or_null, forgetting
from outlast.schema import Schema, from_record

RECORD, WEIGHTS = "outlast.json", "model.safetensors"


@taking
def save(
    model: nn.Module,
    directory: str | Path,
    *,
    provenance: dict[str, Any] | None = None,
    schema: Schema | None = None,
) -> None:
    """Write a model so that `load` gives it back bit for bit, with its schema, the code that builds it and its remedy.

    A new directory appears complete or not at all. In a directory that exists, the two files are each replaced as a
    whole and other files are left alone; if the process dies between the two, `load` notices that they do not belong
    together.

    Args:
        provenance: what the model was made from and how, as JSON: kept, and returned by `read_record`.
        schema: what its inputs and outputs mean, `Streams.schema` of a table, where the model does not say it itself.

    Raises:
        InputError: the model does not say how it is built, holds more than tensors, has another schema, or cannot be
            written.
    """
    if isinstance(model, OnnxModel):
        raise InputError(
            f"the model in {model.path}, to be saved",
            "a model whose weights outlast holds",
            "copy the file: it is the model, and loads as it lies",
        )
    remedy = "none"
    if isinstance(model, Around):  # it holds nothing of its own but what its name says
        remedy, schema, model = rule_of(model), model.schema or schema, bare(model)
    blueprint = getattr(model, "blueprint", None)
    if blueprint is None:
        named = model.named if isinstance(model, Recurrent) else type(model).__name__
        raise InputError(
            f"a model of class {named} that was passed as an object",
            "a model that can be built again: a family, a torch.nn.LSTM, GRU or RNN, or a factory's",
            "put the code that builds it into a function and use outlast.from_factory('package.module:build')",
        )
    own: Schema | None = getattr(model, "schema", None)
    if own is not None and schema is not None and own != schema:
        raise InputError("a schema for a model that has another one", "none, for the model has its own", "leave it out")
    directory = Path(directory).resolve()
    try:
        kept = json.dumps(finite_or_null(provenance or {}))
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"provenance that is no JSON ({error})", "text, numbers, lists and dicts", "leave the rest out"
        ) from None
    temporary = aside(directory)
    try:
        if temporary.exists():
            shutil.rmtree(temporary)
        temporary.mkdir(parents=True)
        files, tensors = foreign.written(model) if foreign.is_foreign(model) else ({}, tensors_of(model))
        if foreign.is_foreign(model):
            foreign.reject_mixture(directory)
        if isinstance(model, Recurrent) and model.tokeniser:  # none of another one beside it
            files = {name: files[name] for name in files if name not in foreign.TOKENISER} | dict(model.tokeniser)
        for name, content in files.items():
            (temporary / name).write_bytes(content)
        factory = code_of(blueprint)
        code, packages = sources.sources_of(factory) if factory else ({}, {})
        for name, content in code.items():
            (temporary / sources.CODE / name).parent.mkdir(parents=True, exist_ok=True)
            (temporary / sources.CODE / name).write_bytes(content)
        # The metadata is what transformers asks for.
        safetensors.torch.save_file(tensors, temporary / WEIGHTS, metadata={"format": "pt"})
        record = {
            "outlast": VERSION,
            "blueprint": blueprint,
            "weights_sha256": file_sha256(temporary / WEIGHTS),
            "provenance": json.loads(kept),
        }
        if remedy != "none":
            record["remedy"] = remedy
        if factory:
            record["code"] = sources.record_of(code, packages)
        if (meant := own or schema) is not None:
            record["schema"] = meant.record()
        if isinstance(model, Recurrent) and model.tokeniser:
            record["tokeniser"] = sorted(model.tokeniser)
        (temporary / RECORD).write_text(json.dumps(record, indent=1, allow_nan=False) + "\n")
        shutil.copymode(temporary / RECORD, temporary / WEIGHTS)  # safetensors lets nobody else read its files
        if directory.exists():
            # Record first: until the weights follow, `load` sees that they are not the record's.
            for name in (RECORD, *files, *(f"{sources.CODE}/{name}" for name in code), WEIGHTS):
                (directory / name).parent.mkdir(parents=True, exist_ok=True)
                os.replace(temporary / name, directory / name)
        else:
            os.rename(temporary, directory)
    except (OSError, safetensors.SafetensorError) as error:
        raise InputError(
            f"the model could not be written to {directory}: {getattr(error, 'strerror', None) or error}",
            "a folder with room that may be written to",
            "free some space or choose another folder; nothing half-written was left behind",
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@taking
def load(
    directory: str | Path,
    device: torch.device | str = "cpu",
    *,
    allow_code: bool = False,
    attention_window: int | None = None,
    revision: str | None = None,
    onnx: OnnxPorts | None = None,
) -> Recurrent:
    """The model that `save` or another library wrote, in eval mode, with its `blueprint`.

    Of other libraries, those in `outlast.foreign.FORMATS` are read, parameters in the dtypes of their file. Every other
    recurrent language model of transformers is run by transformers itself, its cache shown as the state. A .onnx file
    (extra `onnx`) is run on the CPU, and has no gradients.

    Args:
        directory: a folder, a .onnx file, or the id of a model on a hub (``owner/name``), of which JSON, the tokeniser
            and safetensors are fetched into huggingface_hub's cache.
        allow_code: import and run the function that the directory names, where its model was saved from a factory.
        attention_window: positions that attention sees at most, the present one included, in a model that transformers
            runs; None: as many as it was saved with, or else 4,096, or as many as it was made for, if those are fewer.
            Where more positions are read, that is another model than transformers', and a warning says so.
        revision: of a model on a hub: a branch, a tag or a commit. None: the main branch.
        onnx: what a .onnx file does not say of its inputs and outputs.

    Raises:
        InputError: the directory holds no model, a damaged one, or one that its blueprint no longer fits; it names a
            function that was not allowed to run; there is no such device; or a .onnx file cannot be used as it is.
    """
    directory, remedy, leak = place_of(directory, revision), "none", None
    if is_onnx(directory):
        return _onnx(directory, device, onnx)
    if onnx is not None:
        raise InputError(f"{directory} with {onnx}", "a .onnx file, where its inputs are told", "leave onnx out")
    if foreign.is_file_of(directory):
        model = foreign.read_file(directory)
    elif foreign.is_directory_of(directory) and not (directory / RECORD).exists():
        if is_adapter(directory):
            raise adapter(directory)
        model = foreign.read_directory(directory, attention_window)
    else:
        record = read_record(directory)
        path, remedy, leak = directory / WEIGHTS, str(record.get("remedy", "none")), record.get("leak")
        try:
            found = file_sha256(path)
        except OSError as error:
            raise _damaged(path, error.strerror or str(error)) from error
        if found != record["weights_sha256"]:
            raise _damaged(path, f"its SHA-256 is {found[:12]}…, not the {record['weights_sha256'][:12]}… of {RECORD}")
        if not allow_code and (factory := code_of(record["blueprint"])) is not None:
            raise InputError(
                f"{directory}, whose model is built by running the function {factory!r}",
                "a model that needs nobody's code, or your word that this code may run",
                "if you trust the folder and that code: outlast.load(directory, allow_code=True), or --allow-code on "
                "the command line",
            )
        theirs = record["blueprint"].get("kind") in list(foreign.KINDS)
        window = attention_window or record["blueprint"].get("attention_window")
        model = foreign.read_directory(directory, window) if theirs else _with_its_code(record, path)
        if "schema" in record:
            model.schema = from_record(record["schema"], str(directory / RECORD))
        if files := tokeniser_in(directory):
            model.tokeniser = _contents(files)
    if attention_window is not None and model.blueprint.get("kind") != foreign.BORROWED:  # pyright: ignore
        raise InputError(
            f"attention_window = {attention_window} for a model that outlast runs itself",
            "a model that transformers runs",
            "leave attention_window out: this model's attention, if it has any, has a window of its own",
        )
    if model.forgets is not None:
        warnings.warn(forgetting(model.forgets).said, stacklevel=3)
    try:
        if leak is not None:
            model = _leaking(model, leak, directory / RECORD)
        return under(model, remedy).to(device).eval()
    except (RuntimeError, AssertionError) as error:  # torch reports a device it lacks as either
        raise InputError(
            f"the device {str(device)!r} ({str(error).splitlines()[0]})", "a device of this machine", "try 'cpu'"
        ) from error


def _leaking(model: Recurrent, settings: Any, path: Path) -> Recurrent:
    try:
        return WithLeak(model, **settings)
    except (TypeError, ValueError) as error:
        raise _damaged(path, f"what it says of a leak makes none ({error})") from error


def place_of(name: str | Path, revision: str | None = None) -> Path:
    """The folder of a model on this machine: the path itself, or that of a model on a hub after it was fetched.

    Args:
        name: a path, or ``owner/name`` where there is no such path.
        revision: of a model on a hub.

    Raises:
        InputError: a revision of a folder, a model that cannot be fetched, or a pipe or a device among its files.
    """
    if hub.is_id(str(name), revision):
        return hub.fetched(str(name), revision, foreign.KEPT, functools.partial(_readable, str(name)))
    if revision is not None:
        raise InputError(
            f"the model {name} with the revision {revision}",
            "a revision with owner/name, a model on a hub",
            "leave the revision out",
        )
    return require_regular(Path(name))


def _readable(name: str, directory: Path) -> None:
    """Raise InputError where the folder of a hub's model that still lacks its weights is of none that is read."""
    if (directory / RECORD).is_file():
        read_record(directory)
    elif is_adapter(directory):
        raise adapter(directory, name)
    elif foreign.is_directory_of(directory):
        foreign.require_readable(directory)
    else:
        raise mistaken(directory, (RECORD, foreign.CONFIG))


def _onnx(path: Path, device: torch.device | str, ports: OnnxPorts | None) -> Recurrent:
    if torch.device(device).type != "cpu":
        raise InputError(
            f"the device {str(device)!r} for {path}", "cpu: onnxruntime computes there", "leave the device out"
        )
    return read_onnx(path, ports).eval()


def _with_its_code(record: dict[str, Any], path: Path) -> Recurrent:
    factory, code = code_of(record["blueprint"]), record.get("code", {})
    if factory is None:
        return _rebuilt(record["blueprint"], path)
    with sources.importable(factory, path.parent, code):
        try:
            return _rebuilt(record["blueprint"], path)
        except InputError as error:
            bring = sources.what_to_bring(code)
            if bring:
                raise InputError(error.given, error.expected, f"{error.do}; {bring}") from error
            raise


def _rebuilt(blueprint: dict[str, Any], path: Path) -> Recurrent:
    try:
        tensors = safetensors.torch.load_file(path)
    except safetensors.SafetensorError as error:
        raise _damaged(path, str(error)) from error
    outline = sketch_of(blueprint)
    if outline is not None:  # a blueprint of other sizes than the file's must not take memory first
        fitting(outline, tensors, str(path))
    model = from_blueprint(blueprint)
    put_tensors(model, tensors, str(path))
    return model


def read_record(directory: str | Path) -> dict[str, Any]:
    """What outlast.json says: the version of outlast, `blueprint`, `weights_sha256` and `provenance`. Runs no code.

    Raises:
        InputError: there is no such file, or it is not one that `save` wrote.
    """
    path = Path(directory) / RECORD
    try:
        record = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        raise mistaken(path.parent, (RECORD, foreign.CONFIG)) from None
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(path, str(error)) from error
    if isinstance(record, dict) and "recipe" in record and "blueprint" not in record:  # the name it had first
        record["blueprint"] = record.pop("recipe")
    fields = {"outlast": str, "blueprint": dict, "weights_sha256": str, "provenance": dict}
    if not isinstance(record, dict) or not all(isinstance(record.get(name), kind) for name, kind in fields.items()):
        raise _damaged(path, f"it does not have the fields {', '.join(fields)}")
    code = record.get("code", {})
    if not isinstance(code, dict) or not all(isinstance(code.get(name, {}), dict) for name in ("files", "packages")):
        raise _damaged(path, "what it says of its code is no record")
    return record


def code_files(directory: Path) -> list[Path]:
    """The files of code that the record of a saved model names; none where the record cannot be read."""
    try:
        names = read_record(directory).get("code", {}).get("files", {})
    except InputError:
        return []
    folder = directory / sources.CODE
    return [path for name in names if (path := folder / name).resolve().is_relative_to(folder.resolve())]


def tokeniser_in(directory: Path) -> list[Path]:
    """The files of a tokeniser that were saved with a model, as its record names them."""
    try:
        names = read_record(directory).get("tokeniser", [])
    except InputError:
        return []
    return [directory / name for name in foreign.TOKENISER if isinstance(names, list) and name in names]


def _contents(files: list[Path]) -> dict[str, bytes]:
    try:
        return {path.name: path.read_bytes() for path in files}
    except OSError as error:
        raise _damaged(Path(str(error.filename)), error.strerror or str(error)) from error


def model_fingerprint(model: nn.Module) -> str:
    """SHA-256 of the model's weights: names, dtypes, shapes and bits of every parameter and persistent buffer; and of
    its remedy, under which states mean something else."""
    if isinstance(model, Around):
        return tensors_sha256(tensors_of(bare(model)), rule_of(model).encode())
    return tensors_sha256(tensors_of(model))


def _damaged(path: Path, why: str) -> InputError:
    return InputError(
        f"{path} cannot be used: {why}",
        "the files of one model, as outlast.save wrote them",
        "copy the folder again from where it is whole, or save the model again",
    )
