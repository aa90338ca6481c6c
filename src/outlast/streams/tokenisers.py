"""Tokenisers of language models, from a folder or a tokenizer.json. Files of this machine only; none of their code
runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from outlast.errors import InputError
from outlast.foreign import CONFIG, TOKENISER
from outlast.streams.files import existing

FILES = ("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "vocab.json")
"""A folder with one of them has a tokeniser."""
_WHOLE, _SETTINGS = FILES[0], FILES[2]


def has_tokeniser(folder: str | Path) -> bool:
    """Whether a tokeniser's files lie in a folder."""
    return any((Path(folder) / name).is_file() for name in FILES)


def open_tokeniser(path: str | Path, do: str) -> Any:
    """The tokeniser of transformers that a folder or a tokenizer.json holds.

    Args:
        do: what whoever asks for it may do where it cannot be read.

    Raises:
        InputError: nothing there, or no tokeniser that can be read.
    """
    found = existing(path)
    if found.is_dir() and not has_tokeniser(found):
        raise InputError(f"{path} without a tokeniser", f"one of {', '.join(FILES)} in it", do)
    from transformers import AutoTokenizer, PreTrainedTokenizerFast  # slow to load, and of use to texts alone

    alone = found / _WHOLE if found.is_dir() else found
    # Nothing says of which class a tokenizer.json alone is; it needs none.
    bare = not found.is_dir() or not any((found / name).is_file() for name in (_SETTINGS, CONFIG))
    try:
        if bare and alone.is_file():
            return PreTrainedTokenizerFast(tokenizer_file=str(alone))
        return AutoTokenizer.from_pretrained(str(found), local_files_only=True, trust_remote_code=False)
    except Exception as error:  # tokenisers raise whatever the file makes them raise
        raise InputError(
            f"the tokeniser in {path} ({type(error).__name__}: {error})", "files that transformers reads", do
        ) from error


def tokeniser_files(path: str | Path) -> dict[str, bytes]:
    """The files of the tokeniser at a path by the names that they have beside a model.

    Raises:
        InputError: they cannot be read.
    """
    found = existing(path)
    files = {_WHOLE: found}
    if found.is_dir():
        files = {name: found / name for name in TOKENISER if (found / name).is_file()}
    try:
        return {name: file.read_bytes() for name, file in files.items()}
    except OSError as error:
        raise InputError(
            f"{error.filename or path} ({error.strerror})", "a tokeniser that can be read", "check the files"
        ) from None
