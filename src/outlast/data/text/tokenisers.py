"""How text becomes the numbers of a stream: as bytes, or by a tokeniser."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from outlast.data.files.arrays import existing
from outlast.errors import InputError
from outlast.foreign import CONFIG, TOKENISER

# Tokenisers of language models, from a folder or a tokenizer.json. Files of this machine only; none of their code
# runs.

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


SEPARATOR = "\n\n"
"""Between joined documents, where nothing else is asked for and no tokeniser says how a text ends."""
WIDEST = 1 << 16
"""Numbers below it fit into 16 bits."""
_HOW = "give a folder or a tokenizer.json that transformers reads, or leave the tokenizer out to read bytes"


@dataclass(frozen=True, eq=False)
class Encoder:
    """Text to numbers.

    Args:
        size: numbers lie below it.
        before: numbers that stand before every document.
        between: numbers that stand after every document, where another follows it.
        between_text: what they mean, as text.
        between_bytes: bytes of text that they stand for; 0 for a mark of an end.
        identity: what tells it from others, for the cache.
        name: where the tokeniser lies; None: bytes.
        theirs: the tokeniser; None: bytes.
    """

    size: int
    before: np.ndarray
    between: np.ndarray
    between_text: str
    between_bytes: int
    identity: str
    name: str | None
    theirs: Any

    @property
    def dtype(self) -> np.dtype[Any]:
        """The smallest that the numbers are kept in."""
        return np.dtype(np.uint8 if self.theirs is None else np.uint16 if self.size <= WIDEST else np.int32)

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The numbers of each text, without marks of beginning and end."""
        if self.theirs is None:
            return [np.frombuffer(as_bytes(text), np.uint8) for text in texts]
        return [np.array(ids, self.dtype) for ids in _plain(self.theirs, texts)]

    def parts(self, first: str, second: str) -> bool:
        """Whether text may be cut between two pieces of it: they have the same numbers alone and together."""
        whole, *halves = self.encode([first + second, first, second])
        return bool(np.array_equal(whole, np.concatenate(halves)))


def as_bytes(text: str) -> bytes:
    """Text as the bytes it was read from, also where they were no UTF-8."""
    return text.encode(errors="surrogateescape")


def bytes_encoder(separator: str | None = None) -> Encoder:
    """Bytes of UTF-8."""
    text = SEPARATOR if separator is None else separator
    between = np.frombuffer(text.encode(), np.uint8)
    return Encoder(256, between[:0], between, text, len(between), "bytes", None, None)


def tokens_encoder(path: str | Path, separator: str | None = None) -> Encoder:
    """Tokens of the tokeniser at a path.

    Args:
        separator: text between joined documents; None: the tokeniser's mark of an end, or `SEPARATOR` without one.

    Raises:
        InputError: no tokeniser that can be read.
    """
    theirs = open_tokeniser(path, _HOW)
    size = 1 + max(theirs.get_vocab().values(), default=-1)
    if size < 1:
        raise InputError(f"the tokeniser in {path} without a token", "one with a vocabulary", _HOW)
    dtype = np.dtype(np.int32 if size > WIDEST else np.uint16)
    end = theirs.eos_token_id if separator is None else None
    text = theirs.eos_token if end is not None else SEPARATOR if separator is None else separator
    between = [end] if end is not None else _plain(theirs, [text])[0]
    return Encoder(
        size=size,
        before=np.array(_before(theirs), dtype),
        between=np.array(between, dtype),
        between_text=str(text),
        between_bytes=0 if end is not None else len(str(text).encode()),
        identity=_identity(theirs),
        name=str(path),
        theirs=theirs,
    )


def _plain(theirs: Any, texts: Sequence[str]) -> list[list[int]]:
    """Numbers of texts without marks, of whatever length."""
    backend = getattr(theirs, "backend_tokenizer", None)
    if backend is not None:  # half the time and memory of the call below
        backend.no_truncation()
        backend.no_padding()
        return [found.ids for found in backend.encode_batch_fast(list(texts), add_special_tokens=False)]
    settings = {"add_special_tokens": False, "truncation": False, "padding": False, "verbose": False}
    return theirs(list(texts), **settings)["input_ids"] if texts else []


def _before(theirs: Any) -> list[int]:
    """The marks of a beginning that the tokeniser puts before a text."""
    marked, plain = theirs("a", verbose=False)["input_ids"], _plain(theirs, ["a"])[0]
    for begin in range(len(marked) - len(plain) + 1):
        if marked[begin : begin + len(plain)] == plain:
            return marked[:begin]
    return []


def _identity(theirs: Any) -> str:
    """A hash of what the tokeniser does, and of the versions that do it."""
    backend = getattr(theirs, "backend_tokenizer", None)
    content = (
        backend.to_str() if backend is not None else json.dumps([repr(theirs), sorted(theirs.get_vocab().items())])
    )
    versions = [importlib.metadata.version(name) for name in ("transformers", "tokenizers")]
    return hashlib.sha256(json.dumps([content, versions, type(theirs).__name__]).encode()).hexdigest()
