"""A new version from what went wrong at work: incidents are collected, a candidate is trained, and held to gates."""

from outlast.live.retrain.checks import cleared, model_of
from outlast.live.retrain.collecting import collect
from outlast.live.retrain.from_kept import FromKept
from outlast.live.retrain.gates import hold
from outlast.live.retrain.pipeline import retrain
from outlast.live.retrain.settings import Collecting
from outlast.live.retrain.training import Training, train

__all__ = ["Collecting", "FromKept", "Training", "cleared", "collect", "hold", "model_of", "retrain", "train"]
