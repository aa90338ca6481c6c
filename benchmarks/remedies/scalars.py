"""Ways to change a model without training it, each by one number: functions `(todo, number) -> model`, and the numbers
that are tried. None: there is nothing of the kind in this model.

`benchmarks.remedies.rows` chooses the number on validation streams.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.remedies.altered import (
    Altered,
    Between,
    Change,
    Changed,
    Confident,
    LastPositions,
    Scans,
    log_decays,
    size_of_heads,
    steps,
)
from outlast.errors import InputError
from outlast.interventions import tbtt
from outlast.model import Recurrent, quietly
from outlast.modules.leaking import PIECES, WithLeak, memories
from outlast.modules.remedies import Leak
from outlast.public import with_decay
from outlast.repairs.leaks import ready
from outlast.repairs.setup import Setup
from outlast.state import State, StatePart, leaves
from outlast.training import TrainSettings, fit

WINDOWS = 256
"""Training windows whose last states say what is usual."""
STRIDES = 8
"""Of a window that is read again: it costs as many copies."""


@dataclass(frozen=True)
class Scalar:
    """One way.

    Args:
        rule: its name where the number is told, as an identifier.
        make: the model, or None.
        numbers: what is tried, from the training context.
        cost: in copies.
    """

    rule: str
    make: Callable[[Setup, float], Recurrent | None]
    numbers: Callable[[int], Sequence[float]]
    cost: float = 1.0


@dataclass(frozen=True)
class Usual:
    """A part of the state at the end of training windows: mean (1, …), and the median of the norm of each head."""

    part: StatePart
    mean: Tensor
    size: Tensor
    start: Tensor


def usual(todo: Setup) -> dict[str, Usual]:
    """By path, of the memories; none of a model that keeps them over the exponential of another part, or complex."""
    paths, model, train = memories(todo.base), todo.base, todo.data.train
    if any(path.endswith(("stabiliser", "exponent", "recurrent.2")) for path in paths):
        return {}
    draw = np.random.default_rng(0)
    streams = draw.integers(len(train), size=WINDOWS)
    latest = np.maximum(train.lengths[streams] - todo.train_context, 0)
    sample = train.window(streams, draw.integers(latest + 1), todo.train_context)
    with quietly(model):
        start = model.initial_state(1)
        _, state = model(sample.inputs, model.initial_state(WINDOWS))
    found = {}
    for part, tensor, zero in zip(model.state_parts(), leaves(state), leaves(start), strict=True):
        if part.path in paths and tensor.is_floating_point():
            size = size_of_heads(part, tensor).median(0, keepdim=True).values
            found[part.path] = Usual(part, tensor.mean(0, keepdim=True), size, zero)
    return found


def _drawn(todo: Setup, rule: str, tau: float, targets: dict[str, Tensor]) -> Recurrent:
    """A leak in pieces of τ / 8 towards other states than the initial one."""
    every = max(1, int(tau / PIECES))
    kept = math.exp(-every / tau)

    def towards(target: Tensor) -> Change:
        return lambda tensor: target + kept * (tensor - target)

    return Between(todo.base, rule, tau, every, {path: towards(target) for path, target in targets.items()})


def towards_mean(todo: Setup, tau: float) -> Recurrent | None:
    """A leak towards the mean of the states in which training windows end."""
    found = usual(todo)
    return _drawn(todo, "mean", tau, {path: each.mean for path, each in found.items()}) if found else None


def towards_zero(todo: Setup, tau: float) -> Recurrent | None:
    """A leak towards zero; None where that is the leak, because states start from zero."""
    found = usual(todo)
    if all(not bool(each.start.any()) for each in found.values()):
        return None
    return _drawn(todo, "zero", tau, {path: torch.zeros_like(each.start) for path, each in found.items()})


def clipped(todo: Setup, times: float) -> Recurrent | None:
    """No head's memory gets larger than so many times what is usual; looked at twice a training context."""

    def clip(each: Usual) -> Change:
        return lambda tensor: tensor * (times * each.size / _sizes(each, tensor)).clamp(max=1)

    changes = {path: clip(each) for path, each in usual(todo).items()}
    return Between(todo.base, "clipped", times, max(1, todo.train_context // 2), changes) if changes else None


def normalised(todo: Setup, times: float) -> Recurrent | None:
    """From the training context on every head's memory has so many times its usual size, twice a training context."""

    def put(each: Usual) -> Change:
        return lambda tensor: tensor * (times * each.size / _sizes(each, tensor))

    changes, context = {path: put(each) for path, each in usual(todo).items()}, todo.train_context
    return Between(todo.base, "normalised", times, max(1, context // 2), changes, context) if changes else None


def _sizes(each: Usual, tensor: Tensor) -> Tensor:
    return size_of_heads(each.part, tensor).clamp(min=1e-12)


def _scans(todo: Setup, rule: str, number: float, changed: Changed) -> Recurrent | None:
    """None where the model runs no recurrence that is changed."""
    made = Scans(todo.base, rule, number, changed)
    sample = todo.data.train.window(np.zeros(1, np.int64), np.zeros(1, np.int64), 2)
    with quietly(made):
        made(sample.inputs, made.initial_state(1))
    return made if made.met else None


def capped(todo: Setup, tau: float) -> Recurrent | None:
    """Nothing is remembered for longer than τ: log decays are at most −1/τ."""
    return _scans(todo, "cap", tau, log_decays(lambda decay: decay.clamp(max=-1 / tau)))


def scaled_decays(todo: Setup, factor: float) -> Recurrent | None:
    """Log decays times a factor, as of `outlast.with_decay` and of families that it does not take."""
    try:
        # A temperature is no tensor: without a buffer a GLA with other decays would pass for the base.
        return Altered(with_decay(todo.base, factor), "decays", factor)
    except InputError:
        return _scans(todo, "decays", factor, log_decays(lambda decay: decay * factor))


def scaled_steps(todo: Setup, factor: float) -> Recurrent | None:
    """Steps Δ of Mamba and Mamba-2 times a factor."""
    return _scans(todo, "steps", factor, steps(factor))


def shifted_bias(todo: Setup, shift: float) -> Recurrent | None:
    """The forget gates of an LSTM with another bias: below 0 it forgets sooner."""
    made = copy.deepcopy(todo.base)
    found = [module for module in made.modules() if isinstance(module, nn.LSTM) and module.bias]
    with torch.no_grad():
        for lstm in found:
            for layer in range(lstm.num_layers):
                bias = lstm.get_parameter(f"bias_ih_l{layer}")
                bias[lstm.hidden_size : 2 * lstm.hidden_size] += shift
    return made if found else None


def confident(todo: Setup, every: float) -> Recurrent | None:
    """The surer one of two copies half a period apart; None where outputs are no classes."""
    return Confident(todo.base, int(every)) if todo.data.train.target_kind == "classes" else None


def last_positions(todo: Setup, window: float) -> Recurrent | None:
    """Copies that have read the last positions alone."""
    if todo.base.input_spec is None:
        return None
    return LastPositions(todo.base, int(window), max(1, int(window) // STRIDES))


class Learning(WithLeak):
    """A leak whose τ, one of each part, are all that is trained."""

    def __init__(self, model: Recurrent, tau: float) -> None:
        super().__init__(model, tau)
        self.model.requires_grad_(False)
        self.paths = list(self.rates)
        self.logs = nn.Parameter(torch.full((len(self.paths),), -math.log(tau)))

    def forward(self, inputs: Tensor, state: State) -> tuple[Any, State]:
        self.rates = dict(zip(self.paths, self.logs.exp().clamp(max=1).unbind(), strict=True))
        return super().forward(inputs, state)


def learnt(todo: Setup, number: float) -> Recurrent | None:
    """A leak of τ = T, whose τ a training of so many steps by `tbtt` has changed part by part, from old states on."""
    if not memories(todo.base):
        return None
    made = Learning(copy.deepcopy(todo.base), todo.train_context)
    if number:
        how = TrainSettings(
            steps=int(number), batch_size=16, learning_rate=0.1, warm_up=2, weight_decay=0.0, read_ahead=16,
            seed=todo.training.seed, precision="float32",
        )  # fmt: skip
        fit(made, todo.data.train, todo.objective, tbtt(), todo.train_context, how)
    taus = (-made.logs.detach()).exp().clamp(min=1).tolist()
    leak = ready(todo.base, Leak({path: float(f"{tau:.4g}") for path, tau in zip(made.paths, taus, strict=True)}))
    return leak.on(todo.base)


SCALARS: dict[str, Scalar] = {
    "leak towards the mean training state": Scalar("mean", towards_mean, lambda T: (T / 2, T, 2 * T, 4 * T)),
    "leak towards zero": Scalar("zero", towards_zero, lambda T: (T / 2, T, 2 * T, 4 * T)),
    "cap of the longest memory": Scalar("cap", capped, lambda T: (T / 2, T, 2 * T, 4 * T, 8 * T)),
    "scaled decays": Scalar("decays", scaled_decays, lambda T: (0.5, 1.5, 2, 4, 8)),
    "scaled steps": Scalar("steps", scaled_steps, lambda T: (0.5, 0.7, 0.85, 1.2, 1.5, 2)),
    "shifted forget bias": Scalar("bias", shifted_bias, lambda T: (-2, -1, -0.5, -0.25, 0.5)),
    "clipped state": Scalar("clip", clipped, lambda T: (0.7, 1, 1.5, 2, 4)),
    "normalised state": Scalar("size", normalised, lambda T: (0.5, 0.7, 1, 1.4, 2)),
    "surer of two copies": Scalar("confident", confident, lambda T: (2 * T, 4 * T, 8 * T, 32 * T), 2),
    "last positions read again": Scalar("window", last_positions, lambda T: (T, 2 * T, 4 * T, 8 * T), STRIDES),
    "learnt τ by part": Scalar("trained", learnt, lambda T: (0, 10, 40)),
}
"""By name; `T` is the training context."""
