"""Which tokeniser text is read with for a model: the one in the model's own folder, or none, where it reads bytes."""

from __future__ import annotations

from pathlib import Path

from outlast.errors import InputError
from outlast.model import Recurrent
from outlast.streams.opening import may_be_text
from outlast.streams.tokenisers import FILES, has_tokeniser


def reads_text(model: Recurrent) -> bool:
    """Whether what a model reads may be text: tokens that no table gave their meaning."""
    return model.schema is None and model.input_spec is not None and model.input_spec.kind == "tokens"


def tokeniser_for(name: str | None, reader: Recurrent, path: Path) -> dict[str, str | None]:
    """The option of the reader of text with which a model reads what lies at a path; none where that is no text.

    Raises:
        InputError: text for a model that has no tokeniser and does not read bytes.
    """
    return {"tokenizer": _tokeniser_of(name, reader, path)} if reads_text(reader) and may_be_text(path) else {}


def _tokeniser_of(name: str | None, reader: Recurrent, path: Path) -> str | None:
    """The folder of the model's own tokeniser; None: it reads bytes.

    Raises:
        InputError: it has none, and another vocabulary than that of bytes.
    """
    if name and has_tokeniser(name):
        return name
    size = 256 if reader.input_spec is None else reader.input_spec.size
    if size != 256:
        raise InputError(
            f"text in {path} for a model with a vocabulary of {size:,} and no tokenizer in its folder",
            f"a tokenizer, or a vocabulary of 256 for bytes; in the folder one of {', '.join(FILES)}",
            "name the tokenizer that the model was trained with: --tokenizer FOLDER",
        )
    return None
