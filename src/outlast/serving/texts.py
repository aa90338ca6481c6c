"""Text and tokens of a stream, read by a language model."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch

from outlast.errors import InputError
from outlast.model import InputSpec, Recurrent, device_of
from outlast.serving.pool import Pool
from outlast.serving.vocabulary import Vocabulary
from outlast.streams.reading import CHUNK, pieces

LIKELIEST = 5
"""Next tokens that are told."""


class Texts:
    """Reads text for a model.

    Args:
        model: of tokens.
        folder: where its tokeniser lies; None: bytes, for a vocabulary of 256.
    """

    def __init__(self, model: Recurrent, folder: str | None) -> None:
        self.model, self.folder = model, folder
        self.spec: InputSpec | None = model.input_spec

    @functools.cached_property
    def vocabulary(self) -> Vocabulary:
        """How the model's tokens are written; its tokeniser is loaded once."""
        if self.spec is None or self.spec.kind != "tokens":
            raise InputError(
                f"text for a model that reads {self.spec}", "rows of numbers", "give a dict, an array or a frame"
            )
        return Vocabulary(self.folder or "", self.spec, as_numbers=False)

    def read(self, text: str, stream: str, pool: Pool) -> dict[str, Any]:
        """Read text; what it surprised the model by, in nats a token, and the likeliest next tokens.

        Args:
            pool: the states of the streams.

        Raises:
            InputError: a model of features, no text, or text for a model without a tokeniser.
        """
        vocabulary = self.vocabulary
        tokens = vocabulary.read(text, (), first=stream not in pool.row)
        if tokens is None:
            raise InputError("an empty text", "at least one character", "leave it out")
        likely = self.tokens(tokens[0], stream, pool)
        later = likely[np.arange(len(likely) - 1), tokens[0, 1:].numpy()]
        best = np.argsort(-likely[-1])[:LIKELIEST]
        return {
            "stream": stream,
            "position": int(pool.position[pool.row[stream]]),
            "tokens": len(likely),
            "nats": float(-later.mean()) if len(later) else None,
            "next": [
                {"token": vocabulary.written(torch.tensor([token])), "probability": float(np.exp(likely[-1, token]))}
                for token in best
            ],
        }

    def tokens(self, tokens: Any, stream: str, pool: Pool) -> np.ndarray:
        """Logarithms of the next token's probabilities (N, V), after each of N tokens.

        Raises:
            InputError: no integers (N,), or some outside the vocabulary.
        """
        given, size = torch.as_tensor(tokens), self.spec.size if self.spec else 0
        wrong = given.is_floating_point() or given.dim() != 1 or given.numel() == 0
        if wrong or int(given.min()) < 0 or int(given.max()) >= size:
            found = "" if wrong else f", from {int(given.min())} to {int(given.max())}"
            raise InputError(
                f"tokens of shape {tuple(given.shape)} and {given.dtype}{found}",
                f"integers (N,) from 0 to {size - 1}",
                "give the tokens of one stream",
            )
        at, likely = pool.rows([stream]), []
        for begin, end in pieces(len(given), CHUNK):
            outputs, state = self.model(given[None, begin:end].to(device_of(self.model)), pool.of(at))
            pool.put(at, state, end - begin)
            likely.append(outputs[0].double().log_softmax(-1).float().cpu().numpy())
        return np.concatenate(likely)
