"""States as users' modules hand them around: tensors and numbers in tuples, lists, dictionaries and objects."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

Leaf = Tensor | int | float


def is_number(value: Any) -> bool:
    """Whether it is a Python number that may change along a stream; a switch (bool) is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def take_apart(value: Any) -> list[Leaf]:
    """The tensors, of any shape, and numbers in a value, in a fixed order.

    Raises:
        TypeError: it holds an object of another kind, which is named.
    """
    found: list[Leaf] = []

    def note(leaf: Leaf) -> Leaf:
        found.append(leaf)
        return leaf

    _walk(value, note)
    return found


def put_together(like: Any, leaves: Sequence[Leaf]) -> Any:
    """A value of the structure of `like` with `leaves`, tensors of any shape and numbers, as `take_apart` gave them."""
    queue: Iterator[Leaf] = iter(leaves)
    return _walk(like, lambda leaf: next(queue))


def emptied(value: Any) -> Any:
    """The same structure, which keeps no tensor, of any shape, alive."""
    return _walk(value, lambda leaf: torch.empty(0) if isinstance(leaf, Tensor) else leaf)


def _walk(node: Any, leaf: Callable[[Leaf], Any]) -> Any:
    if isinstance(node, Tensor) or is_number(node):
        return leaf(node)
    if node is None or isinstance(node, bool | str):
        return node
    if dataclasses.is_dataclass(node) and not isinstance(node, type):
        made = copy.copy(node)
        for field in dataclasses.fields(node):
            object.__setattr__(made, field.name, _walk(getattr(node, field.name), leaf))
        return made
    if isinstance(node, dict):
        made = copy.copy(node)
        for key in sorted(node, key=str):
            made[key] = _walk(node[key], leaf)
        return made
    if isinstance(node, tuple | list):
        children = [_walk(child, leaf) for child in node]
        return type(node)(*children) if hasattr(node, "_fields") else type(node)(children)
    raise TypeError(f"an object of type {type(node).__name__}")


def shapes_of(node: Any) -> Any:
    """The structure with the shapes of its tensors, to be compared; of an object only what it holds."""
    if isinstance(node, Tensor):
        return tuple(node.shape)
    if dataclasses.is_dataclass(node) and not isinstance(node, type):
        return {field.name: shapes_of(getattr(node, field.name)) for field in dataclasses.fields(node)}
    if isinstance(node, dict):
        return {key: shapes_of(child) for key, child in node.items()}
    if isinstance(node, tuple | list):
        return tuple(shapes_of(child) for child in node)
    return "a number" if is_number(node) else None


def described(node: Any) -> str:
    """The structure in words, for messages."""
    if isinstance(node, Tensor):
        return f"a tensor {tuple(node.shape)}"
    if dataclasses.is_dataclass(node) and not isinstance(node, type):
        fields = [f"{field.name}={described(getattr(node, field.name))}" for field in dataclasses.fields(node)]
        return f"{type(node).__name__}({', '.join(fields)})"
    if isinstance(node, dict):
        return "{" + ", ".join(f"{key}: {described(child)}" for key, child in node.items()) + "}"
    if isinstance(node, tuple | list):
        return "(" + ", ".join(described(child) for child in node) + ")"
    if is_number(node):
        return "a number"
    return "None" if node is None else f"an object of type {type(node).__name__}"


def written(node: Any, shape: Callable[[Tensor], str]) -> str | None:
    """The structure as Python, tensors as `shape` writes them; None where an object of a class of its own is in it."""
    if isinstance(node, Tensor):
        return shape(node)
    if node is None or isinstance(node, bool | str) or is_number(node):
        return repr(node)
    if isinstance(node, dict) and type(node) is dict:
        parts = [(repr(key), written(child, shape)) for key, child in node.items()]
        return None if any(text is None for _, text in parts) else "{" + ", ".join(f"{k}: {v}" for k, v in parts) + "}"
    if type(node) not in (tuple, list):
        return None
    texts = [written(child, shape) for child in node]
    if any(text is None for text in texts):
        return None
    inner = ", ".join(text for text in texts if text is not None)
    return f"[{inner}]" if isinstance(node, list) else f"({inner},)" if len(node) == 1 else f"({inner})"
