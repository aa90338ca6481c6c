"""Models named by the function that builds them, with the files that it reads, and building one again."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from outlast import families, foreign
from outlast.arguments import taking
from outlast.errors import InputError, raised, unknown_name
from outlast.model import InputSpec, Recurrent
from outlast.modules.adapting import adapt
from outlast.modules.torch_rnn import TORCH_RNNS, rebuild_rnn
from outlast.randomness import DrawingFrom
from outlast.sizes import sketch

# Which files a user's function reads while it builds a model: weights and settings that a saved model has to bring.

_read = dict[str, set[Path]]()
_now: list[set[Path]] = []
_hooked = False


@contextlib.contextmanager
def noting_reads(spec: str) -> Iterator[None]:
    """While this lasts, files that Python opens for reading count as read by the factory `spec`.

    Python says what it opens (an audit event of PEP 578). What other languages open, safetensors in Rust for one, it
    does not see.
    """
    global _hooked
    if not _hooked:
        sys.addaudithook(_hear)
        _hooked = True
    _now.append(_read.setdefault(spec, set()))
    try:
        yield
    finally:
        _now.pop()


def files_read(spec: str) -> list[Path]:
    """Those that a factory has read in this process and that are still there, in order of their paths; of compiled
    modules the source.
    """
    return sorted(path for path in {_source(path) for path in _read.get(spec, ())} if path.is_file())


def _source(path: Path) -> Path:
    if path.suffix != ".pyc":
        return path
    try:
        return Path(importlib.util.source_from_cache(path))
    except ValueError:  # a name that Python did not give it
        return path


def _hear(event: str, about: tuple[Any, ...]) -> None:
    if not _now or event != "open":
        return
    name, mode, flags = about
    writes = (mode is not None and set(mode) & set("wax+")) or flags & (os.O_WRONLY | os.O_RDWR)
    if isinstance(name, str | bytes) and not writes:
        _now[-1].add(Path(os.path.abspath(os.fsdecode(name))))


# Models named by the function that builds them, and building a model again from what a saved file says of it.

MOVED = {f"outlast.tasks.{name}": f"examples.speech.{name}" for name in ("resemblyzer", "silero")}
"""Modules of factories that left the package for a checkout's examples."""


def names_factory(name: str) -> bool:
    """Whether a model's name is that of a function, ``package.module:build``, and of no path that is there."""
    return ":" in name and not Path(name).exists()


@taking
def from_factory(spec: str, inputs: InputSpec | None = None) -> Recurrent:
    """The model that a function of the user's builds, adapted where it has to be.

    This imports and runs the user's code, with the current directory on the import path.

    Args:
        spec: ``package.module:build``; ``build()`` takes nothing and returns a torch.nn.Module.
        inputs: what the model reads, for `adapt`; kept in the blueprint.

    Returns:
        The model of `adapt`, with ``blueprint = {"kind": "factory", "factory": spec}``, so that it can be saved.
        A family of outlast's own keeps its family blueprint, which needs nobody's code.

    Raises:
        InputError: the name is malformed or leads nowhere, or the function raises, ends the program or returns
            something else.
    """
    with noting_reads(spec):
        module = _build(spec, _find(spec))
    model = adapt(module, inputs)
    # A class derived from a family outside outlast is not what the family's blueprint builds, so it gets the factory's.
    if not type(model).__module__.startswith("outlast.families."):
        reads = {} if inputs is None else {"inputs": inputs.record()}
        model.blueprint = {"kind": "factory", "factory": spec, **reads}  # pyright: ignore[reportArgumentType]
    return model


def code_of(blueprint: Mapping[str, Any]) -> str | None:
    """The factory that building this blueprint runs; None: nobody's code but outlast's and torch's."""
    return str(_now_called(blueprint.get("factory"))) if blueprint.get("kind") == "factory" else None


def _now_called(factory: Any) -> Any:
    """The name of a factory, under which directories that were saved before it left the package find it."""
    for old, new in MOVED.items():
        if isinstance(factory, str) and factory.startswith(f"{old}:"):
            return new + factory.removeprefix(old)
    return factory


def from_blueprint(blueprint: dict[str, Any]) -> Recurrent:
    """Build a model, with fresh weights, from the `blueprint` it had; a factory's blueprint runs the user's code.

    Raises:
        InputError: the blueprint is of no known kind, or its settings do not build a model.
    """
    kind = _kind(blueprint)
    with _readable(blueprint):
        if kind == "factory":
            reads = blueprint.get("inputs")
            return from_factory(_now_called(blueprint["factory"]), None if reads is None else InputSpec(**reads))
        if kind in foreign.KINDS:
            return foreign.from_blueprint(blueprint)
        if kind == "family":
            with _named():
                return families.from_blueprint(blueprint)
        with torch.device("cpu"), DrawingFrom(0):  # fresh weights that are a function of the blueprint alone
            return rebuild_rnn(blueprint)


def sketch_of(blueprint: dict[str, Any]) -> Recurrent | None:
    """What `from_blueprint` builds, without weights and so without their memory; None where that is small, or where a
    factory has to tell.

    Raises:
        InputError: as `from_blueprint`.
    """
    kind = _kind(blueprint)
    with _readable(blueprint):
        if kind in TORCH_RNNS:
            return sketch(lambda: rebuild_rnn(blueprint), f"the blueprint {blueprint}")
        with _named():
            return families.sketch_of(blueprint) if kind == "family" else None


def _kind(blueprint: dict[str, Any]) -> str:
    kind = blueprint.get("kind", "family" if "family" in blueprint else None)
    known = ("family", "factory", *TORCH_RNNS, *foreign.KINDS)
    if kind not in known:
        raise unknown_name("kind of model", str(kind), known)
    return kind


@contextlib.contextmanager
def _named() -> Iterator[None]:
    """What is wrong with a family's settings is wrong in the file that they come from."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{error.given}, in the blueprint of a saved model", error.expected, error.do) from None


@contextlib.contextmanager
def _readable(blueprint: dict[str, Any]) -> Iterator[None]:
    try:
        yield
    except (TypeError, ValueError, LookupError, AttributeError, RuntimeError, ArithmeticError) as error:
        raise InputError(
            f"the blueprint {str(blueprint)[:500]} ({type(error).__name__}: {error})",
            "the kind and settings of a model",
            "restore outlast.json as it was saved",
        ) from error


def _well_formed(spec: str) -> bool:
    module_name, colon, attribute = spec.partition(":")
    return bool(colon) and all(part.isidentifier() for part in (*module_name.split("."), attribute))


def imported(spec: str, what: str, named: str = "NAME") -> Any:
    """What a name in a module of the user's stands for; importing it runs their code.

    Args:
        spec: ``package.module:NAME``; the current directory is on the import path.
        what: it should be, for messages: factory, task.
        named: what one is called in an example, for messages.

    Raises:
        InputError: the name is malformed or leads nowhere, or the module raises.
    """
    module_name, _, attribute = spec.partition(":")
    if not _well_formed(spec):
        raise InputError(
            f"the {what} {spec!r}", f"package.module:{named}", f"name the module, a colon, and the {what} in it"
        )
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        own = error.name is not None and (module_name == error.name or module_name.startswith(f"{error.name}."))
        given = f"no module {error.name!r} for the {what} {spec!r}"
        do = (
            f"run from the directory that holds {module_name.split('.')[0]}, or install it"
            if own
            else f"install {error.name!r}, which {module_name} imports"
        )
        raise InputError(given, "a module that can be imported", do) from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # the user's module runs when imported: whatever it raises, sys.exit() among it
        raise _raised(
            f"importing {module_name} for the {what} {spec!r}", "a module that can be imported", error
        ) from error
    if not hasattr(module, attribute):
        raise unknown_name(f"{what} of {module_name}", attribute, _own(module))
    return getattr(module, attribute)


def _own(module: ModuleType) -> list[str]:
    """Functions, classes and other callables that a module itself defines, not what it imports."""
    public = {name: value for name, value in vars(module).items() if callable(value) and not name.startswith("_")}
    own = {name: getattr(value, "__module__", None) == module.__name__ for name, value in public.items()}
    return [name for name in public if own[name]] or list(public)


def _find(spec: str) -> Callable[[], Any]:
    found = imported(spec, "factory", "build")
    if not callable(found):
        raise InputError(f"{spec!r}, an object of type {type(found).__name__}", "a function", "wrap it in a function")
    return found


def _build(spec: str, function: Callable[[], Any]) -> nn.Module:
    try:
        module = function()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        doing = f"calling {spec.partition(':')[2]}() for the factory {spec!r}"
        raise _raised(doing, "a function without arguments that returns a torch.nn.Module", error) from error
    if not isinstance(module, nn.Module):
        raise InputError(
            f"the factory {spec!r} returned an object of type {type(module).__name__}",
            "a torch.nn.Module",
            "return the built model",
        )
    return module


def _raised(doing: str, expected: str, error: BaseException) -> InputError:
    told = isinstance(error, InputError)  # by outlast, of what that code asked it for
    return InputError(
        f"{doing} raised {raised(error)}",
        error.expected if told else expected,
        error.do if told else "correct the code",
    )
