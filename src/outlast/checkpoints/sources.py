"""The source of a user's module, saved beside its weights, so that the model loads where that module is not.

Saved are the module that holds the factory, what it imports from the same folder or package, and the files there that
it reads while it builds the model, such as the weights it was trained to. Where they lie as they were saved, those are
used; elsewhere, and where they have changed, the copy is.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib.metadata
import importlib.util
import os
import sys
import sysconfig
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from outlast.checkpoints.states import file_sha256
from outlast.errors import InputError
from outlast.modules.factory import files_read

_OWN = Path(__file__).parents[1]
CODE = "code"
"""The folder of a saved model that holds its source."""


def sources_of(spec: str) -> tuple[dict[str, bytes], dict[str, str]]:
    """The files that building ``package.module:build`` needs, by their paths below the folder that holds the package,
    and the installed packages that they import, with their versions.

    A factory of an installed package needs that package alone.
    """
    name = spec.partition(":")[0]
    top, path = name.split(".")[0], _file_of(name)
    if path is None or _installed(path):
        return {}, _versions({top})
    root = path.parents[len(name.split(".")) - (path.name != "__init__.py")]
    found: dict[str, bytes] = {}
    outside: set[str] = set()
    waiting = [path, *_packages(path, root)]
    while waiting:
        file = waiting.pop()
        relative = file.relative_to(root).as_posix()
        if relative in found:
            continue
        found[relative] = file.read_bytes()
        for imported in _imports(found[relative], file, root):
            here = _below(root, imported)
            if here is None:
                outside.add(imported.split(".")[0])
            else:
                waiting += [here, *_packages(here, root)]
    for file in [*files_read(spec), *_tensors_named(found, root)]:
        relative = _within(root, file)
        if relative is not None and relative not in found:
            found[relative] = file.read_bytes()
    return found, _versions(outside - sys.stdlib_module_names)


def record_of(files: Mapping[str, bytes], packages: Mapping[str, str]) -> dict[str, Any]:
    """What a saved model says of its code."""
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())}
    return {"files": hashes, "packages": dict(packages)}


@contextlib.contextmanager
def importable(spec: str, directory: Path, record: Mapping[str, Any]) -> Iterator[None]:
    """While this lasts, importing the module of a factory gives what the model was saved with.

    That is the module as it lies here, where it is the same; else the copy in the model's folder, apart from what is
    imported under that name already.

    Raises:
        InputError: the copy in the folder is not the one that was saved.
    """
    files, name = record.get("files", {}), spec.partition(":")[0]
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    here = _file_of(name)
    saved = (directory / CODE).absolute()
    if not files or (here is not None and _is_as_saved(here, name, files)):
        with _in(saved, files) if here is not None and here.is_relative_to(saved) else contextlib.nullcontext():
            yield
        return
    for relative, known in files.items():
        path = saved / relative
        if not path.resolve().is_relative_to(saved.resolve()) or not path.is_file() or file_sha256(path) != known:
            raise InputError(
                f"{path}, which is not the code that the model was saved with",
                "the files as outlast.save wrote them",
                "copy the folder again, or save the model again",
            )
    if here is not None:
        warnings.warn(
            f"{here} is not as it was when the model in {directory} was saved; the copy in that folder is used. Save "
            "the model again for the code as it is now",
            stacklevel=4,
        )
    ours = {relative.split("/")[0].removesuffix(".py") for relative in files if relative.endswith(".py")}
    before = {key: module for key, module in sys.modules.items() if key.split(".")[0] in ours}
    for key in before:
        del sys.modules[key]
    sys.path.insert(0, str(saved))
    importlib.invalidate_caches()
    try:
        with _in(saved, files):
            yield
    finally:
        sys.path.remove(str(saved))
        if here is not None:
            for key in [key for key in sys.modules if key.split(".")[0] in ours]:
                del sys.modules[key]
            sys.modules.update(before)


def _in(saved: Path, files: Mapping[str, str]) -> contextlib.AbstractContextManager[None]:
    """In the folder of the copy, where it has more than code: such files may be named from the current directory."""
    reads = any(not relative.endswith(".py") for relative in files)
    return contextlib.chdir(saved) if reads else contextlib.nullcontext()


def what_to_bring(record: Mapping[str, Any]) -> str:
    """What is needed beside the folder to load a model, for a message; empty where nothing is known."""
    packages = ", ".join(f"{name}=={version}" for name, version in record.get("packages", {}).items())
    return f"the model was saved with {packages}" if packages else ""


def _is_as_saved(here: Path, name: str, files: Mapping[str, str]) -> bool:
    """Whether all files lie around the module in the file `here` as they were saved."""
    root = here.parents[len(name.split(".")) - (here.name != "__init__.py")]
    return all(
        (root / relative).is_file() and file_sha256(root / relative) == known for relative, known in files.items()
    )


def _file_of(name: str) -> Path | None:
    """The file of a module that can be imported, with nothing run; None: there is none."""
    loaded = getattr(sys.modules.get(name), "__file__", None)
    if loaded:  # from a file that may have gone since
        return Path(loaded) if loaded.endswith(".py") and Path(loaded).is_file() else None
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return None
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


def _installed(path: Path) -> bool:
    """Whether a file belongs to a package that was installed, or to Python itself."""
    places = {sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib", "platstdlib")}
    return any(path.is_relative_to(place) for place in places if place)


def _packages(file: Path, root: Path) -> list[Path]:
    """The files of the packages around a module, as far as `root`."""
    around = [folder / "__init__.py" for folder in file.parents if folder != root and folder.is_relative_to(root)]
    return [path for path in around if path.is_file()]


def _imports(content: bytes, file: Path, root: Path) -> set[str]:
    """Full names of everything that a module imports, wherever in it that stands."""
    package = list(file.relative_to(root).parent.parts)
    names: set[str] = set()
    for node in ast.walk(_tree(content)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            names |= {base, *(f"{base}.{alias.name}" for alias in node.names if _below(root, f"{base}.{alias.name}"))}
    return names - {""}


def _below(root: Path, name: str) -> Path | None:
    """The file of a module by its full name, where it lies below `root`."""
    path = root.joinpath(*name.split("."))
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if file.is_file() and not _installed(file):
            return file
    return None


def _tensors_named(found: Mapping[str, bytes], root: Path) -> list[Path]:
    """Files of safetensors that the source names, beside it or in `root`: Python does not see them opened."""
    return [
        path
        for relative, content in found.items()
        for node in ast.walk(_tree(content))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.endswith(".safetensors")
        for path in ((root / relative).parent / node.value, root / node.value)
        if path.is_file()
    ]


def _within(root: Path, file: Path) -> str | None:
    """The path of a file below `root`; None: it lies elsewhere, in a hidden folder or a cache, is installed or ours."""
    for base, path in (root, file), (root.resolve(), file.parent.resolve() / file.name):
        path = Path(os.path.normpath(path))
        if path.is_relative_to(base):
            parts = path.relative_to(base).parts
            passed_over = any(part == "__pycache__" or part.startswith(".") for part in parts)
            return None if passed_over or _installed(path) or path.is_relative_to(_OWN) else "/".join(parts)
    return None


def _tree(content: bytes) -> ast.Module:
    try:
        return ast.parse(content)
    except (SyntaxError, ValueError):  # it was imported before; then somebody wrote into it
        return ast.Module(body=[], type_ignores=[])


def _versions(names: set[str]) -> dict[str, str]:
    """Of packages by the names under which they are imported: distribution and version."""
    known, found = importlib.metadata.packages_distributions(), {}
    for name in sorted(names):
        for distribution in known.get(name, [])[:1]:
            found[distribution] = importlib.metadata.version(distribution)
    return found
