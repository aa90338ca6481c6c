"""A .onnx file, which nobody vouches for: looked at before anything of it is run."""

from __future__ import annotations

import hashlib
import importlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from outlast.errors import InputError

SUFFIX, NAME = ".onnx", "model.onnx"
"""Of such files, and the name of one that lies in a folder of its own."""
DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")
"""Of operators that onnxruntime brings itself; others would be somebody's library."""
METADATA = "outlast"
"""The key under which an export of outlast's says what it is."""
FLOATS = ("float16", "float32", "float64")
_KINDS = {1: "float32", 6: "int32", 7: "int64", 9: "bool", 10: "float16", 11: "float64"}
"""Types of tensors that are read and given, by ONNX's numbers."""


@dataclass(frozen=True)
class Port:
    """An input or an output.

    Args:
        dtype: numpy's name.
        dims: a size, the name of a size that may vary, or None where the file says nothing; all None: not even how
            many there are.
    """

    name: str
    dtype: str
    dims: tuple[int | str | None, ...] | None

    def __str__(self) -> str:
        dims = "?" if self.dims is None else ", ".join("?" if each is None else str(each) for each in self.dims)
        return f"{self.name} {self.dtype} [{dims}]"


@dataclass(frozen=True)
class File:
    """What a .onnx file holds, as far as it is known without running it.

    Args:
        sha256: of the file, and of the files of weights that it names.
        content: its bytes; None: it names other files, and is run from where it lies.
        inputs, outputs: in its order.
        metadata: by key.
        vocabularies: of the inputs that are looked up in a table, the rows of that table.
        numbers: how many numbers its weights have.
        widths: dtypes of its weights that are real numbers.
    """

    path: Path
    sha256: str
    content: bytes | None
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    metadata: dict[str, str]
    vocabularies: dict[str, int]
    numbers: int
    widths: tuple[str, ...]


def is_onnx(path: str | Path) -> bool:
    """Whether a model is named by a .onnx file, or by a folder that holds one as model.onnx and no other model."""
    path = Path(path)
    if path.suffix.lower() == SUFFIX:
        return not path.is_dir()
    beside = any((path / name).exists() for name in ("outlast.json", "config.json"))
    return path.is_dir() and (path / NAME).is_file() and not beside


def folder_of(name: str | Path) -> str:
    """Where what belongs to a model lies, such as its tokeniser: its folder, or that of its .onnx file."""
    return str(Path(name).parent) if is_onnx(name) and not Path(name).is_dir() else str(name)


def opened(path: str | Path) -> File:
    """Read a .onnx file (or the one in a folder) and look at all that can be looked at.

    Raises:
        InputError: there is none, it is damaged, it asks for operators or files that it may not have, its inputs or
            outputs are no tensors, or the extra `onnx` is not installed.
    """
    path = Path(path)
    path = path / NAME if path.is_dir() else path
    onnx = library("onnx")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} ({error.strerror})", "a .onnx file", "check the path") from None
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf raises several kinds of its own
        raise _damaged(path, error) from None
    outside = _outside(path, model)
    _own_operators(path, model)
    try:
        onnx.checker.check_model(str(path) if outside else content)
    except Exception as error:  # the checker's own, and protobuf's for files above 2 GiB
        raise _damaged(path, error) from None
    digest = hashlib.sha256(content)
    for each in outside:
        with each.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    graph, held = model.graph, list(_weights(model))
    fixed = {tensor.name for tensor in graph.initializer}
    return File(
        path=path,
        sha256=digest.hexdigest(),
        content=None if outside else content,
        inputs=tuple(_port(path, value) for value in graph.input if value.name not in fixed),
        outputs=tuple(_port(path, value) for value in graph.output),
        metadata={each.key: each.value for each in model.metadata_props},
        vocabularies=_vocabularies(graph),
        numbers=sum(math.prod(tensor.dims) for tensor in held),
        widths=tuple(dict.fromkeys(_KINDS[each.data_type] for each in held if _is_real(each))),
    )


def library(name: str) -> Any:
    """`onnx`, `onnxruntime` or another package of the extra.

    Raises:
        InputError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        raise InputError(
            "a .onnx file without the extra `onnx`", f"the package {name}", "pip install 'outlast[onnx]'"
        ) from None


def _outside(path: Path, model: Any) -> list[Path]:
    """The files of weights that a model names. Raises InputError for any that lies outside of its folder."""
    folder, found = path.parent.resolve(), {}
    for tensor in _tensors(model):
        if tensor.data_location != tensor.EXTERNAL:
            continue
        location = next((each.value for each in tensor.external_data if each.key == "location"), "")
        place = (folder / location).resolve()
        if not location or not place.is_relative_to(folder) or not place.is_file():
            raise InputError(
                f"{path}, whose weights {tensor.name!r} lie in {location!r}",
                f"a file below {folder}",
                "copy the model with all of its files, or save it as one file",
            )
        found[place] = None
    return list(found)


def _own_operators(path: Path, model: Any) -> None:
    """Raise InputError for operators that onnxruntime does not bring and the file does not define."""
    defined = {(each.domain, each.name) for each in model.functions}
    graphs = [node for graph in _graphs(model.graph) for node in graph.node]
    inner = [node for function in model.functions for node in _nodes_of(function)]
    for node in [*graphs, *inner]:
        if node.domain not in DOMAINS and (node.domain, node.op_type) not in defined:
            raise InputError(
                f"{path} with the operator {node.domain}.{node.op_type}",
                "operators of ONNX, or of onnxruntime itself",
                "export the model without custom operators: outlast loads nobody's library of them",
            )


def _nodes_of(function: Any) -> Iterator[Any]:
    for node in function.node:
        yield node
        for inner in _inside(node):
            for graph in _graphs(inner):
                yield from graph.node


def _inside(node: Any) -> Iterator[Any]:
    """The graphs that a node carries: branches and bodies of loops."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _graphs(graph: Any) -> Iterator[Any]:
    """A graph and all inside it."""
    yield graph
    for node in graph.node:
        for inner in _inside(node):
            yield from _graphs(inner)


def _tensors(model: Any) -> Iterator[Any]:
    """Every tensor that is written into the file, by name or inside a node."""
    for graph in _graphs(model.graph):
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
    nodes = [node for graph in _graphs(model.graph) for node in graph.node]
    for node in [*nodes, *(node for function in model.functions for node in _nodes_of(function))]:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


def _weights(model: Any) -> Iterator[Any]:
    """The tensors of more than one number that are no sizes or indices: an exporter may write weights as constants."""
    yield from (each for each in _tensors(model) if _is_real(each) and math.prod(each.dims) > 1)


def _is_real(tensor: Any) -> bool:
    return _KINDS.get(tensor.data_type) in FLOATS


def _vocabularies(graph: Any) -> dict[str, int]:
    """By input, the rows of the table that it is looked up in."""
    tables = {tensor.name: tensor.dims[0] for tensor in graph.initializer if len(tensor.dims) == 2}
    same = {value.name: value.name for value in graph.input}
    found: dict[str, int] = {}
    for node in graph.node:
        if node.op_type in ("Cast", "Identity", "Reshape", "Unsqueeze", "Squeeze") and node.input[0] in same:
            same[node.output[0]] = same[node.input[0]]
        elif node.op_type == "Gather" and node.input[0] in tables and node.input[1] in same:
            found.setdefault(same[node.input[1]], tables[node.input[0]])
    return found


def _port(path: Path, value: Any) -> Port:
    kind = value.type.tensor_type
    if not value.type.HasField("tensor_type") or kind.elem_type not in _KINDS:
        raise InputError(
            f"{path}, whose {value.name!r} is no tensor of numbers that is read here",
            f"tensors of {', '.join(_KINDS.values())}",
            "export the model with such inputs and outputs",
        )
    if not kind.HasField("shape"):
        return Port(value.name, _KINDS[kind.elem_type], None)
    return Port(value.name, _KINDS[kind.elem_type], tuple(map(_dim, kind.shape.dim)))


def _dim(dim: Any) -> int | str | None:
    if dim.HasField("dim_value"):
        return dim.dim_value if dim.dim_value > 0 else None
    return dim.dim_param or None


def _damaged(path: Path, error: Exception) -> InputError:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return InputError(
        f"{path} cannot be read as ONNX ({lines[0][:300]})", "a whole .onnx file", "copy or export it again"
    )
