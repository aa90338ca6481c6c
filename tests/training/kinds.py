"""Models of every kind that a training has to keep whole, with the data and the objective of each."""

from __future__ import annotations

from outlast.training import fit
from outlast.training.objectives import CrossEntropy, Regression
from toys import Dropping, EveryKind, Spinning, Tied, small_gru, token_streams, wave_streams

T = 8
MODELS = {
    "gru": (small_gru, wave_streams, Regression()),
    "dropout": (Dropping, wave_streams, Regression()),
    "every kind of part": (EveryKind, wave_streams, Regression()),
    "tied": (Tied, token_streams, CrossEntropy()),
    "complex": (Spinning, wave_streams, Regression()),
}


def trained(kind, rule, settings, model=None, **options):
    """The model, or a fresh one of this kind, after a training, and its losses."""
    build, streams, objective = MODELS[kind]
    model = model or build()
    return model, fit(model, streams(), objective, rule, T, settings, **options)
