"""Training: one loop, whose windows start wherever an intervention says, and what it minimises."""

from outlast.training.loop import PRECISIONS, TrainSettings, fit
from outlast.training.starts import Starts
from outlast.training.together import join_ranks

__all__ = ["PRECISIONS", "Starts", "TrainSettings", "fit", "join_ranks"]
