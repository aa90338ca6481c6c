"""The best that any predictor can do on Markov chains whose table is replaced now and then: two exact references.

Both know that the rows of a table are Dirichlet(α) and how likely a replacement is. `told` also knows when one
happened; `not_told` has to notice (on-line change-point detection, Adams and MacKay 2007, "Bayesian Online Changepoint
Detection", with Dirichlet-categorical counts): the floor for anything that reads the symbols alone. `leaky` is neither
exact nor a bound: it shows what forgetting at a fixed rate can reach.
"""

from __future__ import annotations

import numba
import numpy as np

HYPOTHESES = 128
"""How many possible times of the last switch `not_told` keeps; the least likely one makes room for the newest."""


def told(symbols: np.ndarray, since: np.ndarray, concentration: float, classes: int = 16) -> np.ndarray:
    """−log p of every transition for the predictor that is told of the switches.

    Args:
        symbols: (S, L + 1) integers below `classes`.
        since: (S, L) transitions since the last switch; 0 forgets all counts.
        concentration: α of the Dirichlet rows.
        classes: number of symbols.

    Returns:
        nats, (S, L) float64.
    """
    losses = np.empty(since.shape)
    _told(symbols, since, concentration, classes, losses)
    return losses


def not_told(
    symbols: np.ndarray, hazard: float, concentration: float, classes: int = 16, hypotheses: int = HYPOTHESES
) -> np.ndarray:
    """−log p of every transition for the predictor that knows the hazard but not when the table is replaced.

    Args:
        symbols: (S, L + 1) integers below `classes`.
        hazard: probability of a new table before each transition but the first.
        concentration: α of the Dirichlet rows.
        classes: number of symbols.
        hypotheses: times of the last switch kept at once; at or above L nothing is left out and the result is exact.

    Returns:
        nats, (S, L) float64.
    """
    losses = np.empty((symbols.shape[0], symbols.shape[1] - 1))
    _not_told(symbols, hazard, concentration, classes, min(hypotheses, max(losses.shape[1], 1)), losses)
    return losses


def leaky(symbols: np.ndarray, leak: float, concentration: float, classes: int = 16) -> np.ndarray:
    """−log p of every transition for told's predictor with no news of switches, that forgets at a fixed rate instead.

    Args:
        symbols: (S, L + 1) integers below `classes`.
        leak: what all counts are multiplied by before each transition; 1 never forgets.
        concentration: α of the Dirichlet rows.
        classes: number of symbols.

    Returns:
        nats, (S, L) float64.
    """
    losses = np.empty((symbols.shape[0], symbols.shape[1] - 1))
    _leaky(symbols, leak, concentration, classes, losses)
    return losses


@numba.njit(cache=True)
def _leaky(symbols, leak, concentration, classes, losses):  # pragma: no cover  (compiled)
    S, L = losses.shape
    for s in range(S):
        counts = np.zeros((classes, classes))
        for t in range(L):
            counts *= leak
            a, c = symbols[s, t], symbols[s, t + 1]
            losses[s, t] = -np.log((counts[a, c] + concentration) / (counts[a].sum() + classes * concentration))
            counts[a, c] += 1


@numba.njit(cache=True)
def _told(symbols, since, concentration, classes, losses):  # pragma: no cover  (compiled)
    S, L = since.shape
    for s in range(S):
        counts = np.zeros((classes, classes))
        totals = np.zeros(classes)
        for t in range(L):
            if since[s, t] == 0:
                counts[:] = 0.0
                totals[:] = 0.0
            a, c = symbols[s, t], symbols[s, t + 1]
            losses[s, t] = -np.log((counts[a, c] + concentration) / (totals[a] + classes * concentration))
            counts[a, c] += 1
            totals[a] += 1


@numba.njit(cache=True)
def _not_told(symbols, hazard, concentration, classes, hypotheses, losses):  # pragma: no cover  (compiled)
    S, L = losses.shape
    counts = np.empty((classes, classes, hypotheses))  # hypotheses last: every step reads and adds along them
    totals = np.empty((classes, hypotheses))
    weights = np.empty(hypotheses)
    likelihood = np.empty(hypotheses)
    for s in range(S):
        counts[:] = 0.0
        totals[:] = 0.0
        weights[0], used = 1.0, 1
        for t in range(L):
            if t > 0 and hazard > 0.0:
                for h in range(used):
                    weights[h] *= 1.0 - hazard
                if used < hypotheses:
                    fresh = used
                    used += 1
                else:
                    fresh = 0
                    for h in range(1, hypotheses):
                        if weights[h] < weights[fresh]:
                            fresh = h
                    counts[:, :, fresh] = 0.0
                    totals[:, fresh] = 0.0
                weights[fresh] = hazard
            a, c = symbols[s, t], symbols[s, t + 1]
            mass, mixed = 0.0, 0.0
            for h in range(used):
                likelihood[h] = (counts[a, c, h] + concentration) / (totals[a, h] + classes * concentration)
                mass += weights[h]
                mixed += weights[h] * likelihood[h]
            losses[s, t] = -np.log(mixed / mass)
            for h in range(used):
                weights[h] *= likelihood[h] / mixed
                counts[a, c, h] += 1
                totals[a, h] += 1
