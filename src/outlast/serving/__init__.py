"""The deployed model: raw rows in, forecasts in the target's units out, any number of streams."""

from outlast.serving.deployed import Deployed, deploy

__all__ = ["Deployed", "deploy"]
