"""Ways to look at a state: its parts and heads, the whole of it, and how it behaves, each as a few numbers.

Large states go through a seeded random projection before any distance is taken. A norm that drifts may be harmless, so
beside the states stands their *behaviour*: how a fixed battery of short continuations is predicted from them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from outlast.data import Streams
from outlast.data.draws import draw_places
from outlast.data.reading import groups
from outlast.errors import NotAskable
from outlast.evaluation.measure import Outputs, outputs_of
from outlast.model import Recurrent, device_of
from outlast.randomness import generator
from outlast.state import State, StatePart, as_matrix, as_real, continuous, leaves, select

BEHAVIOUR, WHOLE = "behaviour", "whole state"
COUNTERS = "counters"
"""What the parts that count read, (B, counters); there where a state has such."""

HEAD = re.compile(r", head \d+$")
"""Of a space that is one head of a part."""

_DIMENSIONS = 16
_ROWS = 256
_BATTERY, _CONTINUATION = 6, 8


@dataclass(frozen=True)
class _View:
    """One way to look at a state: a part, or one head of it, projected to few numbers."""

    name: str
    part: int
    head: int | None
    projection: Tensor

    def of(self, tensors: list[Tensor], parts: tuple[StatePart, ...]) -> Tensor:
        """(B, D) the raw numbers."""
        tensor, axis = tensors[self.part], parts[self.part].head_axis
        if self.head is not None:
            assert axis is not None
            tensor = tensor.select(axis, self.head)
        return as_matrix(tensor).double()


class Projections:
    """Every part and head of a model's state, and the whole of it, each as a few numbers a row.

    Args:
        model: its parts of real or complex numbers but counters are looked at.
        seed: of the projections.
        heads: whether heads are looked at one by one as well.

    Raises:
        NotAskable: the state has no part of real or complex numbers.
    """

    def __init__(self, model: Recurrent, seed: int = 0, *, heads: bool = True) -> None:
        self.model: Recurrent = model
        self.parts: tuple[StatePart, ...] = model.state_parts()
        self.seed: int = seed
        with torch.no_grad():
            example = leaves(model.initial_state(1))
        self.views: list[_View] = []
        for number, (part, tensor) in enumerate(zip(self.parts, example, strict=True)):
            if part.kind == "counter" or not continuous(tensor):
                continue
            self.views.append(_view(part.path, number, None, as_real(tensor)[0].numel(), seed))
            if heads and part.head_axis is not None and tensor.shape[part.head_axis] > 1:
                count = tensor.shape[part.head_axis]
                for head in range(count):
                    name = f"{part.path}, head {head}"  # see `HEAD`
                    self.views.append(_view(name, number, head, as_real(tensor)[0].numel() // count, seed))
        if not self.views:
            raise NotAskable(f"the state of a {model.named} has no part of real or complex numbers")

    @property
    def names(self) -> list[str]:
        """Of all spaces, the parts first."""
        return [*(view.name for view in self.views), WHOLE]

    @torch.no_grad()
    def look(self, state: State) -> dict[str, np.ndarray]:
        """(B, d) numbers by space, and ``size``, ``mean`` and ``spread`` (B, views) of the raw states."""
        tensors = [tensor.cpu() for tensor in leaves(state)]
        raw = [view.of(tensors, self.parts) for view in self.views]
        seen = {view.name: (numbers @ view.projection).numpy() for view, numbers in zip(self.views, raw, strict=True)}
        seen[WHOLE] = np.concatenate([seen[view.name] for view in self.views if view.head is None], 1)
        seen["size"] = torch.stack([numbers.square().mean(1).sqrt() for numbers in raw], 1).numpy()
        seen["mean"] = torch.stack([numbers.mean(1) for numbers in raw], 1).numpy()
        seen["spread"] = torch.stack([numbers.std(1, correction=0) for numbers in raw], 1).numpy()
        return seen


class Views(Projections):
    """The same, and the states' behaviour and what their counters read.

    Args:
        model, seed: as for `Projections`; the seed is also that of the battery.
        streams: whose inputs make the battery of continuations (training streams).
        outputs: what the model's outputs are; None: what the targets are. Classes are compared by their shares.
    """

    def __init__(self, model: Recurrent, streams: Streams, seed: int = 0, outputs: Outputs | None = None) -> None:
        super().__init__(model, seed)
        self.battery = _battery(streams, seed)
        self.outputs = outputs or outputs_of(streams)
        self.counters = [number for number, part in enumerate(self.parts) if part.kind == "counter"]
        self._behaviour: Tensor | None = None

    @property
    def names(self) -> list[str]:
        return [*super().names, BEHAVIOUR]

    @torch.no_grad()
    def look(self, state: State) -> dict[str, np.ndarray]:
        seen = {**super().look(state), BEHAVIOUR: self._behave(state)}
        if self.counters:
            read = [leaves(state)[number].cpu().double() for number in self.counters]
            seen[COUNTERS] = torch.stack([each.reshape(len(each), -1).amax(1) for each in read], 1).numpy()
        return seen

    def _behave(self, state: State) -> np.ndarray:
        """(B, d) the predictions at the end of every continuation of the battery."""
        count, rows = len(self.battery), leaves(state)[0].shape[0]
        found = []
        for group in groups(rows, _ROWS):
            repeated = select(state, torch.from_numpy(np.repeat(group, count)))
            inputs = self.battery.repeat(len(group), *([1] * (self.battery.dim() - 1)))
            outputs, _ = self.model(inputs.to(device_of(self.model)), repeated)
            last = outputs[:, -1].reshape(len(outputs), -1).double().cpu()
            if self.outputs == "classes":
                last = last.softmax(-1)
            found.append(last.reshape(len(group), -1))
        answers = torch.cat(found)
        if self._behaviour is None:
            self._behaviour = _projection(answers.shape[1], BEHAVIOUR, self.seed)
        return (answers @ self._behaviour).numpy()


def _projection(size: int, name: str, seed: int) -> Tensor:
    """(D, d) a random projection that keeps squared lengths on average; the identity where D is small."""
    if size <= _DIMENSIONS:
        return torch.eye(size, dtype=torch.float64)
    random = generator(seed, f"projection {name}")
    return torch.randn(size, _DIMENSIONS, generator=random, dtype=torch.float64) / _DIMENSIONS**0.5


def _view(name: str, part: int, head: int | None, size: int, seed: int) -> _View:
    return _View(name, part, head, _projection(size, name, seed))


def _battery(streams: Streams, seed: int) -> Tensor:
    """(battery, T, …) inputs of short windows at random places of the streams."""
    length = int(min(_CONTINUATION, streams.lengths.min()))
    stream, position = draw_places(streams.lengths, length, seed, "battery", np.arange(_BATTERY), ordered=True)
    return streams.window(stream, position, length).inputs
