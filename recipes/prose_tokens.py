"""The addresses as tokens: byte-pair encoding learnt from the training part, so that one position says more."""

from __future__ import annotations

import functools
import io
from typing import Any

import numpy as np

from outlast.data import Split, Streams, cache_folder
from outlast.data.files.arrays import open_array
from outlast.errors import InputError
from outlast.results import write_atomically
from outlast.tasks.prose import parts_by_number

_VERSION = 1
"""Raised whenever preparation changes, so that an older cache is not read."""


@functools.cache
def prose_tokens(vocabulary: int, length: int) -> Split:
    """Training addresses one a stream; validation and test addresses in disjoint segments of `length` tokens.

    Args:
        vocabulary: V, of byte-pair encoding over the 256 bytes.

    Raises:
        InputError: a vocabulary of no more than the bytes.
    """
    if vocabulary <= 256:
        raise InputError(f"a vocabulary of {vocabulary}", "more than the 256 bytes", "2048, say")
    parts = {}
    for part in ("train", "validation", "test"):
        documents = _encoded(vocabulary, part)
        sizes = [len(each) for each in documents]
        streams = Streams.from_tokens(np.concatenate(documents), vocabulary)
        if part == "train":
            starts = np.cumsum(sizes) - sizes
            parts[part] = Streams(
                inputs=streams.inputs, starts=starts, lengths=np.array(sizes) - 1, shift=1, classes=vocabulary
            )
        else:
            parts[part] = streams.cut(length)
    return Split(**parts, how="addresses of their own for training, validation and test")


def _encoded(vocabulary: int, part: str) -> list[np.ndarray]:
    """The tokens of every address of a part."""
    folder = cache_folder() / "prose-tokens" / f"{_VERSION}-{vocabulary}"
    flat, ends = folder / f"{part}.npy", folder / f"{part}-ends.npy"
    if not ends.exists():
        tokeniser, texts = _tokeniser(vocabulary), [each.text for each in parts_by_number()[part]]
        found = [np.array(each.ids, np.uint16) for each in tokeniser.encode_batch(texts)]
        for path, array in ((flat, np.concatenate(found)), (ends, np.cumsum([len(each) for each in found]))):
            write_atomically(path, _as_file(array))
    return np.split(open_array(flat), open_array(ends)[:-1])


def _as_file(array: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


@functools.cache
def _tokeniser(vocabulary: int) -> Any:
    import tokenizers  # slow to load, and of use the first time alone
    from tokenizers import decoders, models, pre_tokenizers, trainers

    made = tokenizers.Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    made.train_from_iterator([each.text for each in parts_by_number()["train"]], trainer)
    return made
