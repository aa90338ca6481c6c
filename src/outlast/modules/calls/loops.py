"""A state that lies in local variables of a loop over positions, and that nobody hands out.

A method with a loop is compiled once more from its source, with three calls in it: before the loop, for what its
variables begin with; around what it runs over, to count; behind it, for what they hold then. During a call of the
module it stands in the place of the module's own.
"""

from __future__ import annotations

import ast
import functools
import types
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import nn

from outlast.errors import InputError, raised
from outlast.modules.calls.arguments import Parameters, as_written
from outlast.modules.calls.attribute_state import holds_rows
from outlast.modules.calls.call_trial import LENGTH, LONGER, ROWS, Unreadable, Way
from outlast.modules.calls.calling import (
    STEPPED,
    Argument,
    Carrier,
    Inside,
    Watched,
    Within,
    as_it_is,
    in_place,
    placed,
)
from outlast.modules.calls.module_adapter import copied
from outlast.modules.calls.state_layout import shapes_of
from outlast.turns import turn

Loop = tuple[str, str, int]
"""Submodule, method, and which of its loops."""
Run = tuple[str, str, int, int]
"""A loop, and for which time in a call."""
_WATCH = "_outlast_watch"


@dataclass(frozen=True)
class Loops(Inside):
    """The state is what local variables of loops hold: of each of `runs` some; `names`, all of them."""

    runs: tuple[tuple[Run, tuple[str, ...]], ...] = ()

    def _watched(
        self, module: nn.Module, inputs: Any, given: Any, rows: int, length: int, within: Within
    ) -> tuple[Any, list[Watched]]:
        slots = [None] * len(self.runs) if given is None else given
        found = {run: Watched(slot) for (run, _), slot in zip(self.runs, slots, strict=True)}
        returned = _called(module, self.parameters, _Watch(dict(self.runs), found), inputs, rows, length, within)
        for run, watched in found.items():
            if watched.final is None:
                raise InputError(
                    f"a loop in {run[1]} that holds the state, and that was not run to its end",
                    "loops that run to their end in every call",
                    "let forward take the state and return the one after it",
                )
        return returned, list(found.values())

    @property
    def told(self) -> str:
        hold = "holds" if len(self.names) == 1 else "hold"
        return f"what {' and '.join(f'`{name}`' for name in self.names)} {hold} in its loop over positions"


def has_loops(module: nn.Module) -> bool:
    """Whether a method in it has a loop that carries something on."""
    return any(True for _ in _methods(module))


def loops_of(module: nn.Module, way: Way) -> Iterator[Carrier]:
    """The variables that loops over all positions carry on, where they are tensors of rows that do not grow."""
    if way.axes in STEPPED:
        return
    short, long = _Watch(), _Watch()
    for watch, length in ((short, LENGTH), (long, LONGER)):
        try:
            inputs = placed(way.inputs(module, ROWS, length), way.axes)
            _called(module, way.carrier.parameters, watch, inputs, ROWS, length)
        except Exception as error:  # whatever the user's code raises says that it is not called this way
            raise Unreadable(f"its forward raised {raised(error)}") from error
    runs: list[tuple[Run, tuple[str, ...]]] = []
    for run, held in short.left.items():
        if (short.turns[run], long.turns.get(run)) == (LENGTH, LONGER) and run in long.left:
            alike = [name for name, value in held.items() if shapes_of(value) == shapes_of(long.left[run][name])]
            runs.append((run, tuple(name for name in alike if holds_rows(held[name], ROWS))))
    if runs := [(run, names) for run, names in runs if names]:
        every = tuple(dict.fromkeys(name for _, names in runs for name in names))
        yield Loops(every, way.carrier.parameters, tuple(runs))


@dataclass
class _Watch:
    """What is seen of the loops of one call: in `found` what the variables of those that are `wanted` begin with and
    hold in the end; where none is wanted, what those of all hold in the end, and how often each turns."""

    wanted: Mapping[Run, tuple[str, ...]] = field(default_factory=dict)
    found: Mapping[Run, Watched] = field(default_factory=dict)
    left: dict[Run, dict[str, Any]] = field(default_factory=dict)
    turns: Counter[Run] = field(default_factory=Counter)
    times: Counter[Loop] = field(default_factory=Counter)
    inside: list[Run] = field(default_factory=list)

    def begin(self, loop: Loop, held: dict[str, Any]) -> list[Any]:
        run = (*loop, self.times[loop])
        self.times[loop] += 1
        self.inside.append(run)
        if (watched := self.found.get(run)) is not None:
            watched.first = copied(tuple(held[name] for name in self.wanted[run]))
            if watched.given is not None:
                held |= zip(self.wanted[run], watched.given, strict=True)
        return list(held.values())

    def counted(self, positions: Iterable[Any]) -> Iterator[Any]:
        run = self.inside[-1]
        for each in positions:
            self.turns[run] += 1
            yield each

    def leave(self, held: dict[str, Any]) -> None:
        run = self.inside.pop()
        if run in self.wanted:
            self.found[run].final = tuple(held[name] for name in self.wanted[run])
        elif not self.wanted:
            self.left[run] = held


def _called(
    module: nn.Module, parameters: Parameters, watch: _Watch, inputs: Any, rows: int, length: int,
    within: Within = as_it_is,
) -> Any:  # fmt: skip
    """What the module returns, while the watch sees its loops."""
    with turn(module) as module, ExitStack() as stack:
        for path, name, made in _methods(module):
            inner = module.get_submodule(path)
            stack.enter_context(in_place(inner, name, types.MethodType(made(watch, path), inner)))
        return Argument("forward", parameters).alone(module, inputs, None, rows, length, within)


Made = Callable[[_Watch, str], types.FunctionType]


def _methods(module: nn.Module) -> Iterator[tuple[str, str, Made]]:
    """Methods of users' classes that have loops: submodule, name, and how one that is watched is made."""
    if isinstance(module, torch.jit.ScriptModule):
        return
    for path, inner in module.named_modules():
        yield from ((path, name, made) for name, made in _methods_of(type(inner)) if name not in vars(inner))


@functools.lru_cache(maxsize=256)
def _methods_of(cls: type) -> tuple[tuple[str, Made], ...]:
    own = {name: each for base in reversed(cls.__mro__) for name, each in vars(base).items()}
    functions = {name: each for name, each in own.items() if isinstance(each, types.FunctionType) and each.__module__}
    users = {name: each for name, each in functions.items() if each.__module__.partition(".")[0] != "torch"}
    return tuple((name, made) for name, each in users.items() if (made := _watched_anew(each)) is not None)


def _watched_anew(function: types.FunctionType) -> Made | None:
    """How the method is made with watched loops; None: it has none, or its source does not tell all of it."""
    if function.__closure__ or hasattr(function, "__wrapped__"):
        return None
    method = as_written(function)
    if method is None or method.decorator_list:
        return None
    # Types and defaults were evaluated where the method was defined, among names that are not there any more.
    method.returns = None
    for each in (node for node in ast.walk(method.args) if isinstance(node, ast.arg)):
        each.annotation = None
    method.args.defaults = [ast.Constant(None) for _ in method.args.defaults]
    method.args.kw_defaults = [each and ast.Constant(None) for each in method.args.kw_defaults]
    watching = _Watching(method)
    watching.generic_visit(method)
    if not watching.loops:
        return None
    ast.increment_lineno(method, function.__code__.co_firstlineno - 1)
    tree = ast.parse(f"def made({_WATCH}, {_WATCH}_path):\n    return {method.name}")
    cast(ast.FunctionDef, tree.body[0]).body.insert(0, method)
    names: dict[str, Any] = {}
    exec(compile(ast.fix_missing_locations(tree), function.__code__.co_filename, "exec"), function.__globals__, names)

    def made(watch: _Watch, path: str) -> types.FunctionType:
        made = names["made"](watch, path)
        made.__defaults__, made.__kwdefaults__ = function.__defaults__, function.__kwdefaults__
        return made

    return made


class _Watching(ast.NodeTransformer):
    """Puts the three calls at loops that carry something on."""

    def __init__(self, method: ast.FunctionDef) -> None:
        self.method, self.loops = method, 0

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return node  # what it loops over is its own

    def visit_For(self, node: ast.For) -> Any:
        names = self._carried(node)
        number, self.loops = self.loops, self.loops + bool(names)
        self.generic_visit(node)
        if not names:
            return node
        held = "{" + ", ".join(f"{name!r}: {name}" for name in names) + "}"
        loop = f"({_WATCH}_path, {self.method.name!r}, {number})"
        bound = f"{', '.join(names)}, = {_WATCH}.begin({loop}, {held})"
        begin, counted, leave = ast.parse(f"{bound}\n{_WATCH}.counted()\n{_WATCH}.leave({held})").body
        call = cast(ast.Call, cast(ast.Expr, counted).value)
        call.args, node.iter = [node.iter], call
        return [begin, node, leave]

    def _carried(self, loop: ast.For) -> list[str]:
        """Names that are bound before the loop, and in it read before they are bound anew."""
        before = {each.arg for each in ast.walk(self.method.args) if isinstance(each, ast.arg)}
        before |= _bound(each for each in ast.walk(self.method) if getattr(each, "lineno", loop.lineno) < loop.lineno)
        bound = _bound(ast.walk(loop.target))
        known, read = set(bound), set()
        for statement in loop.body:
            inside = list(ast.walk(statement))
            loaded = (each for each in inside if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load))
            read |= {each.id for each in loaded} - known
            read |= _bound(each.target for each in inside if isinstance(each, ast.AugAssign)) - known
            bound |= _bound(inside)
            known |= _bound(inside) if isinstance(statement, ast.Assign | ast.AnnAssign) else set()
        return sorted(before & bound & read)


def _bound(nodes: Iterable[ast.AST]) -> set[str]:
    """The names that nodes bind, or into which they write."""
    stored = [each for each in nodes if isinstance(each, ast.Name | ast.Subscript) and isinstance(each.ctx, ast.Store)]
    names = [each.value if isinstance(each, ast.Subscript) else each for each in stored]
    return {each.id for each in names if isinstance(each, ast.Name)}
