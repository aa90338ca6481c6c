"""Long sequences in, batches out."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from outlast.data.batch import Batch, weighted_mean
    from outlast.data.files.fetch import cache_folder, fetch_package_file
    from outlast.data.opening import open_streams
    from outlast.data.sampler import Placed, Places, Sampler
    from outlast.data.streams import MIN_STREAMS, Split, Streams, split
    from outlast.data.tables.clock import Clock
else:
    from outlast.lazily import handing_on

    __getattr__ = handing_on(
        __name__,
        {
            "batch": (
                "Batch",
                "weighted_mean",
            ),
            "tables.clock": ("Clock",),
            "files.fetch": (
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
