"""Resemblyzer's speaker encoder, rebuilt as a recurrent model that gives an embedding at every position.

The network: three LSTM layers of width 256 over 40 mel bands, a linear layer, ReLU, unit length; trained on windows of
160 frames (1.6 s) with the GE2E loss (Wan et al. 2018, arXiv 1710.10467). The published model reads out the last
position only; the read-out is the same at every one. Weights: Resemblyzer 0.1.4, Apache-2.0.
"""

from __future__ import annotations

import pickle
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from outlast.data import fetch_package_file
from outlast.data.files.audio import BANDS
from outlast.errors import InputError
from outlast.model import InputSpec, Recurrent
from outlast.modules.torch_rnn import LSTMState, TorchRNN

TRAIN_CONTEXT = 160
"""Frames of its training windows."""
WIDTH = 256


class SpeakerEncoder(Recurrent):
    """Mel frames (B, T, 40) -> embeddings (B, T, 256) of unit length, none negative."""

    blueprint: dict[str, Any]

    def __init__(self) -> None:
        super().__init__()
        self.lstm = TorchRNN(nn.LSTM(BANDS, WIDTH, num_layers=3, batch_first=True))
        self.linear = nn.Linear(WIDTH, WIDTH)
        self.input_spec = InputSpec("features", BANDS)
        self.blueprint = {"kind": "factory", "factory": f"{__name__}:SpeakerEncoder"}

    def initial_state(self, batch_size: int) -> tuple[LSTMState, ...]:
        return self.lstm.initial_state(batch_size)  # pyright: ignore[reportReturnType]

    def forward(self, inputs: Tensor, state: Any) -> tuple[Tensor, Any]:
        hidden, state = self.lstm(inputs, state)
        return F.normalize(F.relu(self.linear(hidden)), dim=-1), state


def load_encoder() -> SpeakerEncoder:
    """The encoder with its published weights, in eval mode; fetched through pip the first time.

    The checkpoint is read as tensors only: nothing in it is executed.

    Raises:
        InputError: it could not be fetched, or is not the checkpoint it should be.
    """
    path = fetch_package_file(
        "resemblyzer",
        "0.1.4",
        "8f12eb2f1a9982d32e8db7856de754709b59c93a77bcf0ff536584b619a9dd1f",
        "resemblyzer/pretrained.pt",
    )
    model = SpeakerEncoder()
    try:
        published = torch.load(path, map_location="cpu", weights_only=True)["model_state"]
        # The two scalars of the training loss are not part of the model.
        weights = {name: value for name, value in published.items() if not name.startswith("similarity_")}
        model.load_state_dict({name.replace("lstm.", "lstm.module."): value for name, value in weights.items()})
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} cannot be used: {error}",
            "Resemblyzer's checkpoint",
            "delete the file; it is then fetched again",
        ) from error
    return model.eval()
