"""Streams from text: which documents are streams of their own, and which are joined into one long recording."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from outlast.data.text.corpus import FEW, Corpus, read_corpus
from outlast.data.text.documents import Documents, find_documents
from outlast.data.text.tokenisers import Encoder, bytes_encoder, tokens_encoder
from outlast.errors import InputError

How = Literal["separate", "joined"]
SHORT = 4096
"""Tokens below which a document is too short to be much of a stream."""


def read_text(
    path: str | Path,
    tokenizer: str | Path | None,
    field: str | None,
    documents: How | None,
    separator: str | None,
    split: str | None,
) -> dict[str, Any]:
    """The fields of a `Layout`; the arguments are those of `Streams.from_text`."""
    found = find_documents(path, field, split)
    encoder = bytes_encoder(separator) if tokenizer is None else tokens_encoder(tokenizer, separator)
    corpus = read_corpus(found, encoder)
    kept, unit = np.flatnonzero(corpus.sizes >= 2), "bytes" if tokenizer is None else "tokens"
    how = documents or _fitting(corpus.sizes)
    if how == "joined":
        kept = np.flatnonzero(corpus.sizes)
    starts, lengths = corpus.offsets[:-1][kept], corpus.sizes[kept] - 1
    if how == "joined" and len(kept):
        starts, lengths = starts[:1], corpus.offsets[-1:] - len(encoder.between) - 1
    if not len(lengths) or lengths.min() < 1:
        raise InputError(
            f"{path}: {len(corpus.sizes)} documents, none of 2 {unit}",
            f"at least one document with a next {unit[:-1]} to predict",
            "check that the files are not empty",
        )
    few = len(corpus.sizes) <= FEW
    names = found.names(corpus.counts) if few else None
    labelled = names is not None and corpus.labels is not None and len(kept) > 1
    return {
        "inputs": corpus.tokens,
        "starts": starts,
        "lengths": lengths,
        "shift": 1,
        "classes": encoder.size,
        "labels": {"document": corpus.labels} if labelled else {},
        "names": np.array(names)[kept] if names is not None and how == "separate" else None,
        "about": {
            **_about(path, found, encoder, corpus, how, chosen=documents is None),
            "documents": len(kept),
            "documents_too_short": len(corpus.sizes) - len(kept),
            **({"label_names": {"document": names}} if labelled else {}),
        },
    }


def _fitting(sizes: np.ndarray) -> How:
    """Joined, where more than half of all tokens lie in short documents (and there are several)."""
    short = sizes[sizes < SHORT]
    return "joined" if np.count_nonzero(sizes) > 1 and 2 * short.sum() > sizes.sum() else "separate"


def _about(
    path: str | Path, found: Documents, encoder: Encoder, corpus: Corpus, how: How, *, chosen: bool
) -> dict[str, Any]:
    total, tokens = int(corpus.bytes.sum()), int(corpus.sizes.sum())
    number = int(np.count_nonzero(corpus.sizes))
    if how == "joined":  # what stands between documents is to be predicted too
        total, tokens = total + (number - 1) * encoder.between_bytes, tokens + (number - 1) * len(encoder.between)
    else:  # marks of a beginning are not
        tokens -= number * len(encoder.before)
    about: dict[str, Any] = {
        "source": str(path),
        "reader": "text",
        "target": "next byte" if encoder.theirs is None else "next token",
        "documents_read": how,
        "documents_chosen": "by their length" if chosen else "as asked",
        "bytes": total,
        "bytes_per_token": total / tokens,
    }
    if how == "joined":
        about["separator"] = encoder.between_text
    if encoder.name is not None:
        about |= {"tokenizer": encoder.name, "tokenizer_hash": encoder.identity[:16]}
    if corpus.cut:
        about["cut_apart"] = corpus.cut
    return about | {
        name: value for name, value in (("field", found.field), ("split", found.split)) if value is not None
    }
