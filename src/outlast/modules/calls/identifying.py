"""Which columns a module takes for ids, and how many ids it has for each: by running it and looking at its embeddings.

Until that is known a module is run on ids that every embedding has, so that nothing is read past the end of a table.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from outlast.errors import InputError
from outlast.model import InputSpec, Recurrent, device_of, quietly

_FEW = 2
"""Ids that are drawn until it is known how many there are."""


def tables_of(module: nn.Module) -> list[int]:
    """How many ids each embedding of a module has."""
    return [inner.num_embeddings for inner in module.modules() if isinstance(inner, nn.Embedding)]


def cautious(spec: InputSpec, tables: Sequence[int]) -> InputSpec:
    """The spec with ids that the module certainly has; beside embeddings every column may be one of ids."""
    if spec.kind == "tokens":
        return spec
    least = min([_FEW, *tables])
    if tables:
        return replace(spec, ids=tuple((column, least) for column in range(spec.size)))
    return replace(spec, ids=tuple((column, min(count, least)) for column, count in spec.ids))


def rooms_of(model: Recurrent, columns: int) -> dict[int, int]:
    """How many ids there are for each column that goes into an embedding of the model, by column.

    Args:
        columns: of its inputs.
    """
    if min(tables_of(model), default=0) < _FEW:
        return {}
    inputs = torch.zeros(2, 3, columns, device=device_of(model))
    with quietly(model), _watching(model) as looked_up:

        def seen(given: Tensor) -> list[tuple[int, int]]:
            looked_up.clear()
            model(given, model.initial_state(2))
            return list(looked_up)

        base, found = seen(inputs), {}
        for column in range(columns):
            moved = inputs.clone()
            moved[..., column] = 1.0
            pairs = zip(base, seen(moved), strict=False)
            rooms = [-((first - size) // (then - first)) for (size, first), (_, then) in pairs if then > first]
            found |= {column: min(rooms)} if rooms else {}
    return found


@contextlib.contextmanager
def _watching(model: nn.Module) -> Iterator[list[tuple[int, int]]]:
    """Of every call of an embedding, how many ids it has and the largest that is looked up."""
    calls: list[tuple[int, int]] = []

    def note(inner: nn.Module, given: tuple[Tensor, ...]) -> None:
        if isinstance(inner, nn.Embedding) and given and given[0].numel():
            calls.append((inner.num_embeddings, int(given[0].max())))

    hooks = [inner.register_forward_pre_hook(note) for inner in model.modules() if isinstance(inner, nn.Embedding)]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()


def agreed(name: str, wanted: InputSpec, rooms: Mapping[int, int], *, guessed: bool) -> InputSpec:
    """What the module reads: as wanted, with the columns that go into its embeddings.

    Args:
        name: of the module's class.
        wanted: what it is to read; `guessed`: nobody said so, and the embeddings say how many ids there are.

    Raises:
        InputError: an embedding has fewer ids than the column, or it reads another column.
    """
    declared = dict(wanted.ids)
    if guessed:
        declared = {column: rooms.get(column, count) for column, count in declared.items()}
    for column, count in declared.items():
        if rooms.get(column, count) < count:
            where = called(wanted, column)
            raise InputError(
                f"{name} with an embedding of {rooms[column]} ids for {where}, which has {count} values",
                "an embedding with as many ids as the column has values",
                f"list the values that the model knows, in the order of its codes, such as "
                f"category={{{column!r}: ['first', 'second']}}, and leave out rows of others; "
                f"or build it with nn.Embedding({count}, …)",
            )
    strange = [column for column in rooms if column not in declared]
    unread = [column for column in declared if column not in rooms]
    if strange and unread and not guessed:
        raise InputError(
            f"{name}, which looks {called(wanted, strange[0])} up in an embedding of {rooms[strange[0]]} ids, and not "
            f"the category, {called(wanted, unread[0])}",
            "the category in the place from which the model takes ids",
            "name all columns in the order in which the model reads them (--inputs)",
        )
    return replace(wanted, ids=tuple(sorted((declared | {column: rooms[column] for column in strange}).items())))


def called(spec: InputSpec, column: int) -> str:
    """A column by its place and name."""
    return f"column {column} ({spec.names[column]!r})" if spec.names else f"column {column}"
