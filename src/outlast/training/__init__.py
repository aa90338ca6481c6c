"""Training: one loop, whose windows start wherever an intervention says, and what it minimises."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from outlast.training.loop import fit
    from outlast.training.settings import TrainSettings
    from outlast.training.starts import Starts
    from outlast.training.together import join_ranks
else:
    from outlast.lazily import handing_on

    __getattr__ = handing_on(
        __name__,
        {
            "loop": ("fit",),
            "settings": ("TrainSettings",),
            "starts": ("Starts",),
            "together": ("join_ranks",),
        },
    )

__all__ = ["Starts", "TrainSettings", "fit", "join_ranks"]
