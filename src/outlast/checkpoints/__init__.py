"""What is kept of models on disk: the models themselves, the code that builds them, and states of their streams."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from outlast.checkpoints.models import (
        RECORD,
        WEIGHTS,
        code_files,
        load,
        model_fingerprint,
        place_of,
        read_record,
        save,
        tokeniser_in,
    )
    from outlast.checkpoints.sources import CODE
else:
    from outlast.lazily import handing_on

    __getattr__ = handing_on(
        __name__,
        {
            "models": (
                "RECORD",
                "WEIGHTS",
                "code_files",
                "load",
                "model_fingerprint",
                "place_of",
                "read_record",
                "save",
                "tokeniser_in",
            ),
            "sources": ("CODE",),
        },
    )

__all__ = [
    "CODE",
    "RECORD",
    "WEIGHTS",
    "code_files",
    "load",
    "model_fingerprint",
    "place_of",
    "read_record",
    "save",
    "tokeniser_in",
]
