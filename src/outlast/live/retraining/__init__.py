"""A new version from what went wrong at work: incidents are collected, a candidate is trained, and held to gates."""

from outlast.live.retraining.collecting import collect
from outlast.live.retraining.from_kept import FromKept
from outlast.live.retraining.gating import hold
from outlast.live.retraining.settings import Collecting
from outlast.live.retraining.stages import retrain
from outlast.live.retraining.training import Training, train
from outlast.live.retraining.verified import cleared, model_of

__all__ = ["Collecting", "FromKept", "Training", "cleared", "collect", "hold", "model_of", "retrain", "train"]
