"""What is kept of models on disk: the models themselves, the code that builds them, and states of their streams."""

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
