"""Training: one loop, whose windows start wherever an intervention says, and what it minimises."""

from outlast.training.loop import PRECISIONS, Progress, TrainSettings, fit, join_ranks

__all__ = ["PRECISIONS", "Progress", "TrainSettings", "fit", "join_ranks"]
