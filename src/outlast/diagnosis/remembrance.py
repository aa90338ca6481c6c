"""Effective remembrance: is a prediction still swayed by what was read long ago?

Buitrago Ruiz and Gu (2025): EffRem_T(t) = TV(q(·|x[0:T]), q(·|x[t:T])), the total variation between the prediction
with the whole context and the one with only x[t:T]. A model that fails past its training context has a high plateau:
dropping inputs thousands of positions old still changes what it says.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from outlast.data import Streams
from outlast.diagnosis.reading import read_to, window
from outlast.errors import InputError, NotAskable
from outlast.evaluation.measure import Outputs, outputs_of
from outlast.intervals import known_interval, mean_interval
from outlast.model import Recurrent
from outlast.results import Remembrance, RemembranceRow

NEGLIGIBLE = 0.05
"""A distance up to this counts as none: a twentieth of total variation, or of the target's or embeddings' spread."""

MOST_CONTEXTS = 128
"""Training contexts that the whole context has at most, where none is named."""

_SPREAD_SAMPLE = 4096


def kept_positions(context: int) -> list[int]:
    """How many last positions are kept: 1, 2, 3, 4, 6, 8, 12, … up to half of `context`, then three quarters of it.

    Two a doubling. Reading all these stretches costs about 3.5 passes over the context.
    """
    found = [1]
    while found[-1] * 2 <= context:
        power = found[-1] * 2
        found += [power * 3 // 4, power] if power >= 4 else [power]
    return sorted({kept for kept in [*found, context * 3 // 4] if 0 < kept < context})


@torch.no_grad()
def effective_remembrance(
    model: Recurrent,
    streams: Streams,
    *,
    train_context: int,
    context: int | None = None,
    outputs: Outputs | None = None,
) -> Remembrance:
    """Distance between predictions with the whole context and with only its last positions, one sample a stream.

    Args:
        model: in evaluation mode; outputs (B, T, C).
        streams: S streams; the last `context` positions of each are read.
        train_context: to say what the plateau is.
        context: T; None: the length of the shortest stream, at most 128 training contexts.
        outputs: what they are; None: what the targets are.

    Returns:
        total variation of classes (or tokens); of values, the root mean square difference in units of the target's
        spread (without targets, of the outputs' own over streams); of embeddings, their distance in units of their
        own spread over streams.

    Raises:
        InputError: fewer than two streams, or a context that they do not have.
        NotAskable: outputs that are not one tensor.
    """
    shortest = int(streams.lengths.min())
    context = min(shortest, MOST_CONTEXTS * train_context) if context is None else context
    if len(streams) < 2 or not 1 < context <= shortest:
        raise InputError(
            f"{len(streams)} streams of at least {shortest} positions, and a context of {context}",
            "at least two streams as long as the context",
            "give more or longer streams",
        )
    number, end = np.arange(len(streams)), streams.lengths - 1  # the last position is read to be predicted from
    kept = kept_positions(context)
    stretches = np.array([context, *kept]) - 1
    rows = np.tile(number, len(stretches))
    last = np.tile(end, len(stretches))
    state = read_to(model, streams, rows, last - np.repeat(stretches, len(number)), last)
    predicted, _ = model(window(model, streams, rows, last, 1).inputs, state)
    if not isinstance(predicted, Tensor):
        raise NotAskable("the model's outputs are not one tensor")
    final = predicted[:, -1].reshape(len(stretches), len(number), -1).double().cpu()
    unit, distances = _distances(final, streams, outputs or outputs_of(streams))
    found = [mean_interval(row, len(kept)) for row in distances]
    far = [i for i, each in enumerate(kept) if each >= 2 * train_context]
    means = [interval.mean for interval in found]
    enough = next((kept[i] for i in range(len(kept)) if max(means[i:]) <= NEGLIGIBLE), None)
    return Remembrance(
        context=context,
        unit=unit,
        n=len(number),
        rows=[RemembranceRow(each, *interval.triple) for each, interval in zip(kept, found, strict=True)],
        far_from=2 * train_context,
        plateau=known_interval(distances[far].mean(0)) if far else None,
        enough=enough,
        negligible=NEGLIGIBLE,
    )


def _distances(final: Tensor, streams: Streams, outputs: Outputs) -> tuple[str, np.ndarray]:
    """(1 + K, S, C) predictions, the whole context first -> the unit, and (K, S) how far the others are from it."""
    if outputs == "classes":
        return "total variation", _total_variation(final).numpy()
    if outputs == "embeddings":
        apart = (final[1:] - final[:1]).square().sum(-1)
        whole = final[0][final[0].isfinite().all(1)]
        # The mean squared distance from their centre: `apart` in units of it is squared too.
        spread = whole.var(0).sum().nan_to_num(0.0).clamp_min(1e-24)
        return "spreads of the embeddings", (apart / spread).sqrt().nan_to_num(1e6, 1e6).numpy()
    return "spreads of the target", _in_spreads(final, streams).numpy()


def _total_variation(logits: Tensor) -> Tensor:
    """(1 + K, S, C) logits, the whole context first -> (K, S)."""
    probabilities = logits.softmax(-1)
    distance = (probabilities[1:] - probabilities[:1]).abs().sum(-1) / 2
    return distance.nan_to_num(1.0)  # a prediction that is not a number is as far as can be


def _in_spreads(outputs: Tensor, streams: Streams) -> Tensor:
    """(1 + K, S, C) values -> (K, S), in standard deviations of the targets, or of the outputs where there are none."""
    whole = outputs[0][outputs[0].isfinite().all(1)]
    spread = whole.std(0).nan_to_num(0.0)
    if streams.target_kind == "values":
        each = max(1, _SPREAD_SAMPLE // len(streams))
        stream = np.repeat(np.arange(len(streams)), each)
        position = np.concatenate([np.linspace(0, size - 1, each).astype(np.int64) for size in streams.lengths])
        targets = streams.window(stream, position, 1).targets
        assert targets is not None
        spread = targets.reshape(-1, targets.shape[-1]).double().std(0)
    difference = (outputs[1:] - outputs[:1]) / spread.clamp_min(1e-12)
    return difference.square().mean(-1).sqrt().nan_to_num(1e6, 1e6)
