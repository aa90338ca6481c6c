"""Streams that are copies of one another: together they say as much as one of them."""

from __future__ import annotations

import hashlib

import numpy as np

from outlast.streams.streams import Streams

_SAMPLE = 1024
_PIECE = 2**16


def copies(streams: Streams, length: int) -> np.ndarray:
    """(S,) numbers, equal where the first `length` positions are: inputs, targets and weights.

    Whole streams are only read where a sample of them is the same.
    """
    everyone = np.arange(len(streams))
    found = _alike(streams, everyone, [np.unique(np.linspace(0, length - 1, _SAMPLE).astype(np.int64))])
    doubtful = np.flatnonzero(np.bincount(found)[found] > 1)
    if len(doubtful):
        pieces = [np.arange(begin, min(begin + _PIECE, length)) for begin in range(0, length, _PIECE)]
        found[doubtful] = len(streams) + _alike(streams, doubtful, pieces)
    return np.unique(found, return_inverse=True)[1]


def _alike(streams: Streams, chosen: np.ndarray, pieces: list[np.ndarray]) -> np.ndarray:
    """(len(chosen),) numbers, equal where the streams agree at the positions of all pieces."""
    digests = []
    for start in streams.starts[chosen]:
        digest = hashlib.sha256()
        for positions in pieces:
            read = [streams.inputs[start + positions]]
            if streams.targets is not None:
                read.append(streams.targets[start + positions])
            elif streams.shift:
                read.append(streams.inputs[start + positions + streams.shift])
            if streams.weights is not None:
                read.append(streams.weights[start + positions])
            for values in read:
                digest.update(np.ascontiguousarray(values).tobytes())
        digests.append(digest.hexdigest())
    return np.unique(digests, return_inverse=True)[1]


def joined(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(S,) numbers of the groups into which streams fall that have a number in common in either, directly or by way of
    others."""
    from scipy.sparse import csr_array  # neither above: they take long to load, and reading streams needs none
    from scipy.sparse.csgraph import connected_components

    size, others = len(first), int(first.max()) + 1
    everyone = np.arange(size)
    links = np.concatenate([first, others + second])
    graph = csr_array((np.ones(2 * size), (np.tile(everyone, 2), links)), shape=(size, others + int(second.max()) + 1))
    return connected_components(graph @ graph.T, directed=False)[1]
