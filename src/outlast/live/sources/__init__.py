"""What a model at work reads: files that grow, folders in which they arrive, standard input, MQTT."""

from outlast.live.sources.opening import opened
from outlast.live.sources.pieces import Offset, Piece, Refused, Source

__all__ = ["Offset", "Piece", "Refused", "Source", "opened"]
