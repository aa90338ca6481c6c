"""A mixture of copies of several ages, weighted by the losses that have arrived: a row that is no model by itself,
because it has to be told what came true."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from scipy.signal import lfilter
from scipy.special import log_softmax, logsumexp

from benchmarks.remedies.made import Made
from outlast.data import Split, Streams
from outlast.evaluation.preparing import prepared
from outlast.model import Recurrent, quietly
from outlast.modules.resetting import with_reset
from outlast.repairs.setup import Setup
from outlast.results import Evaluation

AGES = (2, 8)
"""Training contexts: beside the model as it runs on, two copies with each of these periods."""
MEMORY = 16
"""Training contexts: after so many positions an arrived loss counts half."""
RATES = (0.0, 0.01, 0.03, 0.1, 0.3)
"""Of learning, which validation chooses among; with 0 all copies always have the same weight."""
CHUNK = 512


def mixture(todo: Setup, seen: Evaluation) -> Made | None:
    """Weights fall exponentially with what a copy has lost; None where predictions are no probabilities."""
    if todo.main.name != "cross_entropy":
        return None
    losses = {rate: mixed.mean() for rate, mixed in _mixed(todo, todo.validation).items()}
    best = min(losses, key=lambda rate: losses[rate])
    before = todo.evaluate(todo.base, todo.data, "base", None, ends_only=True)
    mixed = _mixed(todo, todo.data)[best]
    oldest = replace(before.oldest, loss=float(mixed.mean()), per_stream=mixed.tolist())
    # Up to the first half period all copies are one: younger bands are those of the base.
    measured = replace(before, age_curve=[*before.age_curve[:-1], oldest])
    return Made(f"rate:{best:g}", todo.base, 1.0 + 2 * len(AGES), measured)


def _mixed(todo: Setup, data: Streams | Split) -> dict[float, np.ndarray]:
    """By rate, the loss (S,) of each stream over the targets that everything is scored on."""
    measuring = replace(todo.measuring, ends_only=True)
    if isinstance(data, Streams) and data is not todo.validation:
        measuring = replace(measuring, max_length=None, up_to=None)
    asked = prepared(todo.base, data, todo.train_context, todo.measures, measuring)
    experts = [todo.base, *(with_reset(todo.base, each * todo.train_context, overlap=True) for each in AGES)]
    pairs = [along(todo, model, asked.streams, asked.length) for model in experts]
    losses, weights = np.stack([each for each, _ in pairs]), pairs[0][1]
    targets = asked.targets.first[..., None] + np.arange(asked.targets.size)
    scored = targets.reshape(len(asked.streams), -1)
    delay, memory = asked.streams.horizon + 1, MEMORY * todo.train_context
    counts = np.take_along_axis(weights, scored, 1)
    found = {}
    for rate in RATES:
        mixed = np.take_along_axis(weighted(losses, weights, rate, delay, memory), scored, 1)
        found[rate] = (mixed * counts).sum(1) / counts.sum(1)
    return found


def along(todo: Setup, model: Recurrent, streams: Streams, length: int) -> tuple[np.ndarray, np.ndarray]:
    """(S, L) losses of every position, read from the beginning, and (S, L) what each counts."""
    rows, found, weights = np.arange(len(streams)), [], []
    with quietly(model), torch.no_grad():
        state = model.initial_state(len(rows))
        for begin in range(0, length, CHUNK):
            batch = streams.window(rows, np.full(len(rows), begin), min(CHUNK, length - begin))
            outputs, state = model(batch.inputs, state)
            found.append(todo.main.per_position(outputs, batch))
            weights.append(batch.weights)
    losses, counted = (torch.cat(each, 1).double().numpy() for each in (found, weights))
    return np.where(counted > 0, losses, 0.0), counted


def weighted(losses: np.ndarray, counted: np.ndarray, rate: float, delay: int, memory: float) -> np.ndarray:
    """(S, L) loss of the mixture of K experts with losses (K, S, L) in nats.

    Args:
        counted: (S, L) what each loss counts.
        rate: how fast an expert's weight falls with what it lost.
        delay: after so many positions a loss has arrived.
        memory: after so many more it counts half.
    """
    arrived = np.zeros_like(losses)
    arrived[..., delay:] = (losses * counted)[..., :-delay]
    lost = np.asarray(lfilter([1.0], [1.0, -(0.5 ** (1 / memory))], arrived, axis=-1))
    return -logsumexp(log_softmax(-rate * lost, axis=0) - losses, axis=0)
