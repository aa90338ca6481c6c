"""What speaks against a kept state: numbers that no stream can have led to, or figures that do not come out again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from outlast.data import Batch, Streams
from outlast.data.reading import read
from outlast.live.incidents import Kept
from outlast.live.retraining.collected import Collected
from outlast.live.signals import Probes, Senses
from outlast.model import Recurrent, quietly
from outlast.state import choose_parts, continuous, leaves

_ROWS, _LONGEST = 32, 64
"""Training streams that are read, and training contexts of each, at most."""
_SAMPLE = 1_000_000
_ALIKE = 1e-3
"""Distance of two states, as a share of their size, below which they are the same."""
_AGAIN = 0.01
"""By how much a loss may come out otherwise on another machine, in shares of it."""


@dataclass(frozen=True)
class Limits:
    """The largest numbers that are believed.

    Args:
        parts: of each part of the state that is trained from; infinite for the others.
        inputs: of inputs; of tokens, below which they lie.
        targets: of real targets.
    """

    parts: tuple[float, ...]
    inputs: float
    targets: float


def limits_of(model: Recurrent, train: Streams, train_context: int, far_state: float, far_input: float) -> Limits:
    """So many times what training streams have."""
    stream = np.argsort(-train.lengths, kind="stable")[:_ROWS]
    lengths = np.minimum(train.lengths[stream], _LONGEST * train_context)
    largest = np.zeros(len(leaves(model.initial_state(1))))
    with quietly(model):
        for piece in read(model, train, stream, np.zeros(len(stream), np.int64), lengths, chunk=train_context):
            seen = [float(each.abs().max()) if each.numel() else 0.0 for each in leaves(piece.state)]
            largest = np.fmax(largest, seen)
    touched = [part.touched for part in model.state_parts()]
    parts = tuple(far_state * each if on else np.inf for each, on in zip(largest.tolist(), touched, strict=True))
    if train.tokens:
        size = model.input_spec.size if model.input_spec is not None else int(np.max(train.inputs)) + 1
        inputs = float(size)
    else:
        inputs = far_input * _largest(train.inputs)
    real = train.target_kind == "values"
    source = train.inputs if train.targets is None else train.targets
    return Limits(parts, inputs, far_input * _largest(source) if real else np.inf)


def _largest(values: np.ndarray) -> float:
    some = np.asarray(values[:: max(1, len(values) // _SAMPLE)], np.float64)
    return float(np.abs(some[np.isfinite(some)]).max(initial=0.0))


def doubt_of(kept: Kept, model: Recurrent, train: Streams, half: int, limits: Limits) -> str | None:
    """Why a kept state is left out; None: nothing speaks against its numbers."""
    begin, end = kept.scored
    inputs, targets = kept.inputs, kept.targets
    floats = inputs.is_floating_point()
    if inputs.dim() < 2 or len(inputs) != 1 or inputs.shape[2:] != train.inputs.shape[1:] or floats == train.tokens:
        return "other inputs than the model reads"
    if not half <= begin < end <= inputs.shape[1] or end - begin != half:
        return "scored positions that do not fit its inputs"
    for tensor, limit, part in zip(leaves(kept.state), limits.parts, model.state_parts(), strict=True):
        if not part.touched or not continuous(tensor):
            continue
        if not torch.isfinite(tensor).all():
            return "a state that holds what is no number"
        if float(tensor.abs().max()) > limit:
            return "a state far from all that training streams have"
    if floats and not torch.isfinite(inputs).all():
        return "inputs that hold what is no number"
    if train.tokens and (int(inputs.min()) < 0 or int(inputs.max()) >= limits.inputs):
        return "inputs far from all that training streams have"
    if floats and float(inputs.abs().max()) > limits.inputs:
        return "inputs far from all that training streams have"
    if targets is None:
        return None
    if targets.is_floating_point() != (train.target_kind == "values") or targets.shape[:2] != (1, half):
        return "other targets than the model is trained on"
    if targets.is_floating_point() and not float(targets.abs().max()) <= limits.targets:  # also what is no number
        return "targets far from all that training streams have"
    return None


def comes_out(kept: Kept, probe: Probes) -> bool:
    """Whether the excess that was written down comes out again from the state, the inputs and the targets."""
    if kept.targets is None:
        return np.isnan(kept.excess)
    found = float(probe.excess[0])
    if not np.isfinite(kept.excess) or not np.isfinite(found):
        return kept.excess == found
    return abs(kept.excess - found) <= _AGAIN * (1 + abs(float(probe.loss[0])) + abs(float(probe.young[0])))


def state_vector(kept: Kept, model: Recurrent) -> np.ndarray:
    """(D,) the parts of a state that are trained from, side by side."""
    zero = model.initial_state(1)
    parts = leaves(choose_parts(model.state_parts(), kept.state, zero))
    return np.concatenate([each.double().reshape(-1).cpu().numpy() for each in parts])


def is_alike(vector: np.ndarray, others: list[np.ndarray]) -> bool:
    """Whether a state (D,) is as good as one of the others."""
    if not others:
        return False
    apart = np.linalg.norm(np.stack(others) - vector, axis=1)
    return bool((apart <= _ALIKE * max(float(np.linalg.norm(vector)), 1e-12)).any())


def probed(senses: Senses, collected: Collected, numbers: np.ndarray, half: int) -> Probes:
    """Probes of N states at the moments that were scored: old states are those that were kept, handed over to the
    model of `senses`, which reads what came before; beside them young ones.

    Raises:
        InputError: targets that the measure does not take.
    """
    rows = [collected.rows[number] for number in numbers]
    begins = np.array([row.begin for row in rows])
    with quietly(senses.model):
        old = collected.encoded(senses.model, numbers, begins)
    lead = torch.stack([collected.inputs[n][r.begin - half : r.begin] for n, r in zip(numbers, rows, strict=True)])
    inputs = torch.stack([collected.inputs[n][r.begin : r.end] for n, r in zip(numbers, rows, strict=True)])
    known = [collected.targets[number] for number in numbers]
    targets = None if any(each is None for each in known) else torch.stack([each for each in known if each is not None])
    zero = torch.zeros(len(rows), dtype=torch.int64)
    batch = Batch(inputs, targets, torch.ones(len(rows), half), zero, zero, zero.bool())
    with quietly(senses.model):
        return senses.probe(old, lead, batch)[0]
