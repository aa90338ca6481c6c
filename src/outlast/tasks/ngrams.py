"""Symbols predicted from the few before them by counting: the reference beside which models of prose stand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from outlast.errors import InputError


@dataclass(frozen=True)
class NGrams:
    """Counts of symbols after contexts, interpolated over their lengths (Witten and Bell 1991).

    p_k(s | c) = (n(c, s) + u(c) · p_{k−1}(s | c′)) / (n(c) + u(c)), with c the last k symbols, c′ the last k − 1, n how
    often, u how many different symbols followed; p_{−1} is uniform.

    Args:
        classes: V, number of symbols.
        counted: of each context length 0, 1, …: contexts with their n and u, and context·V + symbol with its n, the
            numbers ascending.
    """

    classes: int
    counted: tuple[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray], ...]

    @classmethod
    def of(cls, symbols: np.ndarray, longest: int, classes: int) -> NGrams:
        """Count in symbols (N,) below `classes`, with contexts of up to `longest` symbols.

        Raises:
            InputError: contexts that do not fit into 63 bits.
        """
        if longest < 0 or classes ** (longest + 1) >= 1 << 63:
            raise InputError(
                f"contexts of {longest} of {classes} symbols", "numbers below 2^63", "choose shorter contexts"
            )
        counted = []
        for length in range(longest + 1):
            codes = _codes(symbols, length, classes)
            following, times = np.unique(codes, return_counts=True)
            contexts, first = np.unique(following // classes, return_index=True)
            kinds = np.diff(np.append(first, len(following)))
            counted.append((contexts, np.add.reduceat(times, first), kinds, following, times))
        return cls(classes, tuple(counted))

    def losses(self, symbols: np.ndarray) -> np.ndarray:
        """(S, L) float32 nats of every symbol but the first of each of S streams (S, L + 1), from those before it."""
        symbols = np.asarray(symbols)
        likely = np.full((symbols.shape[0], symbols.shape[1] - 1), 1.0 / self.classes)
        for length, (contexts, times_of, kinds_of, following, times) in enumerate(self.counted):
            first = max(length, 1)  # the symbol that is predicted has `length` symbols before it
            codes = np.stack([_codes(row, length, self.classes) for row in symbols])[:, first - length :]
            seen, n, u = _looked_up(codes // self.classes, contexts, times_of, kinds_of)
            _, together, _ = _looked_up(codes, following, times, times)
            shorter = likely[:, first - 1 :]
            likely[:, first - 1 :] = np.where(seen, (together + u * shorter) / np.maximum(n + u, 1), shorter)
        return -np.log(likely).astype(np.float32)


def _codes(symbols: np.ndarray, length: int, classes: int) -> np.ndarray:
    """(N − length,) each symbol and the `length` before it as one number, the symbol last."""
    found = np.zeros(len(symbols) - length, np.int64)
    for back in range(length, -1, -1):
        found = found * classes + symbols[length - back : len(symbols) - back]
    return found


def _looked_up(
    codes: np.ndarray, known: np.ndarray, first: np.ndarray, second: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Whether each code is known, and what the two lists say of it; 0 where it is not."""
    at = np.minimum(np.searchsorted(known, codes), len(known) - 1)
    seen = known[at] == codes
    return seen, np.where(seen, first[at], 0), np.where(seen, second[at], 0)
