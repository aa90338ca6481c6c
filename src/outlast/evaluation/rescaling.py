"""Streams of a table under another scaling than the one they were read with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from outlast.data.streams import Split, Streams
from outlast.schema import Schema

_AT_ONCE = 1 << 18


def rescaled(parts: Split, schema: Schema, scaled: dict[str, Any]) -> Split:
    """The same streams, read by another schema of the same columns and targets.

    Args:
        scaled: what their `about` is to say of it.
    """
    done: dict[int, np.ndarray] = {}  # parts of a split lie over the same arrays
    train, validation, test = (_of(part, schema, scaled, done) for part in (parts.train, parts.validation, parts.test))
    return Split(train, validation, test, how=parts.how)


def rescaled_streams(streams: Streams, schema: Schema, scaled: dict[str, Any]) -> Streams:
    """`rescaled` of streams that are no split."""
    return _of(streams, schema, scaled, {})


def _of(streams: Streams, schema: Schema, scaled: dict[str, Any], done: dict[int, np.ndarray]) -> Streams:
    before = streams.schema
    assert before is not None
    inputs, targets, shift = streams.inputs, streams.targets, streams.shift
    key = id(inputs)
    if key not in done:
        done[key] = _by_rows(inputs, lambda rows: schema.scaled(before.unscaled(rows)))
    if schema.target.kind == "value" and not (targets is None and _are_inputs(schema)):
        source = targets if targets is not None else inputs
        of_targets = -id(source)
        if of_targets not in done:
            old, new = replace(before.target, quantiles=()), schema.target
            flat = source if source.ndim > 1 else source[:, None]
            found = _by_rows(flat, lambda rows: new.scaled(old.unscaled(rows))).reshape(source.shape)
            if targets is None:  # the inputs further on; past the end nothing is read
                found = np.concatenate([found[shift:], np.full_like(found[:shift], np.nan)])
            done[of_targets] = found
        targets, shift = done[of_targets], 0
    about = {
        **streams.about,
        "scaling": {
            c.name: {"mean": c.mean, "std": c.std, "constant": c.constant} for c in schema.inputs if not c.categories
        },
        "scaled": scaled,
    }
    return replace(streams, inputs=done[key], targets=targets, shift=shift, schema=schema, about=about)


def _are_inputs(schema: Schema) -> bool:
    """Whether targets are scaled as the inputs are, of which they are the next ones."""
    target = schema.target
    told = list(zip(target.means, target.stds, target.logs_of(1), strict=True))
    return [(column.mean, column.std, column.log) for column in schema.inputs] == told


def _by_rows(values: np.ndarray, change: Any) -> np.ndarray:
    """(N, K) changed in float64, a piece at a time, and kept in float32."""
    found = np.empty(values.shape, np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        for first in range(0, len(values), _AT_ONCE):
            found[first : first + _AT_ONCE] = change(values[first : first + _AT_ONCE].astype(np.float64))
    return found
