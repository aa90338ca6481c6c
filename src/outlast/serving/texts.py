"""Text and tokens of a stream, read by a language model with its own tokeniser."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from outlast.data.reading import CHUNK, pieces
from outlast.data.text.tokenisers import FILES, has_tokeniser, open_tokeniser
from outlast.errors import InputError
from outlast.model import InputSpec, Recurrent, device_of
from outlast.serving.pool import Pool

# Between the text of a command line and tokens: the model's own tokeniser, bytes, or plain numbers.

_AS_NUMBERS = "give the prompt as numbers: --tokens 3 1 4"


class Vocabulary:
    """How one model's tokens are written.

    Args:
        folder: where the model lies, its tokeniser's files beside it; or a tokenizer.json.
        spec: what the model reads.
        as_numbers: whether tokens stay numbers.

    Raises:
        InputError: the folder's tokeniser cannot be read.
    """

    def __init__(self, folder: str, spec: InputSpec | None, as_numbers: bool) -> None:
        self.tokeniser: Any = None
        self.as_numbers = as_numbers
        self.bytes = spec is not None and spec.size == 256
        if not as_numbers and folder and (Path(folder).is_file() or has_tokeniser(folder)):
            self.tokeniser = open_tokeniser(folder, _AS_NUMBERS)

    def read(self, prompt: str | None, tokens: tuple[int, ...], first: bool) -> Tensor | None:
        """The tokens (1, T) of a prompt or of numbers; None where there is neither.

        Args:
            first: whether the stream begins here, so that the tokeniser may put its mark of a beginning in front.

        Raises:
            InputError: both are given, or text for a model without a tokeniser.
        """
        if prompt is not None and tokens:
            raise InputError("--prompt and --tokens", "one of them", "leave one out")
        if not prompt:
            return torch.tensor([tokens]) if tokens else None
        if self.tokeniser is not None:
            return torch.tensor([self.tokeniser(prompt, add_special_tokens=first)["input_ids"]])
        if self.bytes:
            return torch.tensor([list(prompt.encode())])
        raise InputError(
            "--prompt for a model without a tokeniser in its folder",
            f"one of {', '.join(FILES)} beside the weights, or a vocabulary of 256 bytes",
            _AS_NUMBERS,
        )

    def written(self, tokens: Tensor) -> str:
        """Tokens (N) as text, or as numbers where they cannot be text."""
        if self.tokeniser is not None:
            return self.tokeniser.decode(tokens.tolist(), skip_special_tokens=True)
        if self.bytes and not self.as_numbers:
            return bytes(tokens.tolist()).decode(errors="replace")
        return " ".join(map(str, tokens.tolist()))


# Text and tokens of a stream, read by a language model.

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
