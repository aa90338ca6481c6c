"""Between the text of a command line and tokens: the model's own tokeniser, bytes, or plain numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from outlast.errors import InputError
from outlast.model import InputSpec
from outlast.streams.tokenisers import FILES, has_tokeniser, open_tokeniser

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
