"""What a model at work reads: files that grow, folders in which they arrive, standard input, MQTT."""

from typing import TYPE_CHECKING

from outlast.live.sources.pieces import Offset, Piece, Refused, Source

if TYPE_CHECKING:
    from outlast.live.sources.opening import opened
else:
    from outlast.lazily import handing_on

    __getattr__ = handing_on(__name__, {"opening": ("opened",)})

__all__ = ["Offset", "Piece", "Refused", "Source", "opened"]
