"""Long sequences in, batches out."""

from outlast.streams.batch import Batch, weighted_mean
from outlast.streams.clock import Clock
from outlast.streams.copies import copies, joined
from outlast.streams.fetch import cache_folder, fetch_package_file
from outlast.streams.opening import open_streams
from outlast.streams.sampler import Placed, Places, Sampler
from outlast.streams.streams import MIN_STREAMS, Split, Streams, split

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
    "copies",
    "fetch_package_file",
    "joined",
    "open_streams",
    "split",
    "weighted_mean",
]
