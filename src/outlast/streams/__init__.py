"""Long sequences in, batches out."""

from outlast.streams.batch import Batch, weighted_mean
from outlast.streams.sampler import Places, Sampler
from outlast.streams.streams import MIN_STREAMS, Split, Streams, split

__all__ = ["MIN_STREAMS", "Batch", "Places", "Sampler", "Split", "Streams", "split", "weighted_mean"]
