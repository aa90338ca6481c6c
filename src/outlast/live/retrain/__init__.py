"""A new version from what went wrong at work: incidents are collected, a candidate is trained, and held to gates."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from outlast.live.retrain.checks import cleared, model_of
    from outlast.live.retrain.collecting import collect
    from outlast.live.retrain.from_kept import FromKept
    from outlast.live.retrain.gates import hold
    from outlast.live.retrain.pipeline import retrain
    from outlast.live.retrain.settings import Collecting
    from outlast.live.retrain.training import Training, train
else:
    from outlast.lazily import handing_on

    __getattr__ = handing_on(
        __name__,
        {
            "checks": ("cleared", "model_of"),
            "collecting": ("collect",),
            "from_kept": ("FromKept",),
            "gates": ("hold",),
            "pipeline": ("retrain",),
            "settings": ("Collecting",),
            "training": ("Training", "train"),
        },
    )

__all__ = ["Collecting", "FromKept", "Training", "cleared", "collect", "hold", "model_of", "retrain", "train"]
