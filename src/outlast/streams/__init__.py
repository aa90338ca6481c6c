"""Long sequences in, batches out."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from outlast.streams.batch import Batch, weighted_mean
    from outlast.streams.clock import Clock
    from outlast.streams.fetch import cache_folder, fetch_package_file
    from outlast.streams.opening import open_streams
    from outlast.streams.sampler import Placed, Places, Sampler
    from outlast.streams.streams import MIN_STREAMS, Split, Streams, split
else:
    from outlast.lazily import handing_on

    __getattr__ = handing_on(
        __name__,
        {
            "batch": (
                "Batch",
                "weighted_mean",
            ),
            "clock": ("Clock",),
            "fetch": (
                "cache_folder",
                "fetch_package_file",
            ),
            "opening": ("open_streams",),
            "sampler": (
                "Placed",
                "Places",
                "Sampler",
            ),
            "streams": (
                "MIN_STREAMS",
                "Split",
                "Streams",
                "split",
            ),
        },
    )

__all__ = [
    "MIN_STREAMS",
    "Batch",
    "Clock",
    "Placed",
    "Places",
    "Sampler",
    "Split",
    "Streams",
    "cache_folder",
    "fetch_package_file",
    "open_streams",
    "split",
    "weighted_mean",
]
