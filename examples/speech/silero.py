"""Silero VAD, rebuilt from its published weights: a model made for endless streams, the healthy control on speech.

The network (Silero Team, MIT licence, silero-vad 6.2.3; its layers as in ``silero_vad/tinygrad_model.py``) reads
frames of 512 samples at 16 kHz, each with the 64 samples before it: a short-time Fourier transform written as a
convolution, four convolutions, one LSTM cell of width 128, a logistic output. No TorchScript and no pickle is read.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from examples.speech.mel import read_wav
from examples.speech.streams import load_prompts, parts, prompt_files
from outlast.data import Batch, Streams, fetch_package_file
from outlast.data.files.audio import RATE
from outlast.evaluation import EvalSettings, evaluate
from outlast.evaluation.measure import Measure
from outlast.model import InputSpec, Recurrent
from outlast.results import Evaluation
from outlast.state import StatePart

FRAME, CONTEXT, WIDTH = 512, 64, 128
TRAIN_CONTEXT = 64
"""Frames (2 s). On how long pieces the model was trained is not published."""

STREAMS = (2, 8192)
"""Streams a speaker, and frames of each (4.4 minutes)."""
_GAPS = (0.3, 2.0)  # seconds of planted silence between prompts
_NOISE = 10 ** (-70 / 20)  # root mean square of the noise under everything
_SPEECH = 10 ** (-20 / 10)  # share of the energy of the prompt's loudest frame from which on a frame is speech
_TAIL = 4  # frames after a prompt that are neither: words fade, and the model looks back
_SEED = 0
_AT_ONCE = 256  # frames convolved at once: few enough for the processor's cache


class SileroState(NamedTuple):
    """The last samples read (B, 64), and the LSTM cell's `hidden` and `cell` (B, 128)."""

    samples: Tensor
    hidden: Tensor
    cell: Tensor


class SileroVAD(Recurrent):
    """Frames of samples (B, T, 512) -> probabilities of speech (B, T)."""

    blueprint: dict[str, Any]

    def __init__(self) -> None:
        super().__init__()
        self.stft_conv = nn.Conv1d(1, 258, 256, stride=128, bias=False)
        self.conv1 = nn.Conv1d(129, 128, 3, padding=1)
        self.conv2 = nn.Conv1d(128, 64, 3, stride=2, padding=1)
        self.conv3 = nn.Conv1d(64, 64, 3, stride=2, padding=1)
        self.conv4 = nn.Conv1d(64, WIDTH, 3, padding=1)
        self.lstm = nn.LSTM(WIDTH, WIDTH, batch_first=True)
        self.final_conv = nn.Conv1d(WIDTH, 1, 1)
        self.input_spec = InputSpec("features", FRAME)
        self.blueprint = {"kind": "factory", "factory": f"{__name__}:SileroVAD"}

    def initial_state(self, batch_size: int) -> tuple[SileroState]:
        like = self.final_conv.weight
        return (SileroState(*(like.new_zeros(batch_size, width) for width in (CONTEXT, WIDTH, WIDTH))),)

    def state_parts(self) -> tuple[StatePart, ...]:
        kinds = {"samples": "convolution", "hidden": "recurrent", "cell": "recurrent"}
        return tuple(StatePart(f"layers.0.{name}", kind) for name, kind in kinds.items())  # pyright: ignore

    def forward(self, inputs: Tensor, state: tuple[SileroState]) -> tuple[Tensor, tuple[SileroState]]:
        samples, hidden, cell = state[0]
        before = torch.cat([samples[:, None], inputs[:, :-1, -CONTEXT:]], 1)
        frames = torch.cat([before, inputs], -1).flatten(0, 1)
        encoded = torch.cat([self._encode(piece) for piece in frames.split(_AT_ONCE)])
        read, (hidden, cell) = self.lstm(encoded.view(*inputs.shape[:2], WIDTH), (hidden[None], cell[None]))
        speech = self.final_conv(F.relu(read).transpose(1, 2)).sigmoid().squeeze(1)
        return speech, (SileroState(inputs[:, -1, -CONTEXT:], hidden[0], cell[0]),)

    def _encode(self, frames: Tensor) -> Tensor:
        """(N, 576) samples, the context first -> (N, 128)."""
        frames = torch.cat([frames, frames[:, -1 - CONTEXT : -1].flip(-1)], -1)  # mirrored at the end
        spectrum = _convolve(self.stft_conv, frames[..., None])
        x = torch.linalg.vector_norm(spectrum.unflatten(-1, (2, 129)), dim=-2)
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = F.relu(_convolve(layer, x))
        return x.flatten(1)


def _convolve(layer: nn.Conv1d, x: Tensor) -> Tensor:
    """(N, P, C) -> (N, P', C'): one matrix product, many times faster than a convolution over so few positions."""
    padded = F.pad(x, (0, 0, layer.padding[0], layer.padding[0]))  # pyright: ignore[reportArgumentType]
    pieces = padded.unfold(1, layer.kernel_size[0], layer.stride[0])  # (N, P', C, kernel)
    return F.linear(pieces.flatten(2), layer.weight.flatten(1), layer.bias)


def load_silero() -> SileroVAD:
    """The model with its published weights (safetensors), in eval mode; fetched through pip the first time.

    Raises:
        InputError: it could not be fetched.
    """
    path = fetch_package_file(
        "silero-vad",
        "6.2.3",
        "7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8",
        "silero_vad/data/silero_vad_16k.safetensors",
    )
    names = {"lstm_cell.weight_ih": "lstm.weight_ih_l0", "lstm_cell.weight_hh": "lstm.weight_hh_l0"}
    names |= {"lstm_cell.bias_ih": "lstm.bias_ih_l0", "lstm_cell.bias_hh": "lstm.bias_hh_l0"}
    model = SileroVAD()
    model.load_state_dict({names.get(name, name): value for name, value in load_file(path).items()})
    return model.eval()


def voice_streams() -> Streams:
    """Streams (T, 512) of one speaker's test prompts with silences planted between them, over faint noise.

    Targets are 1 where a frame holds at least a hundredth (−20 dB) of the energy of its prompt's loudest frame, and 0
    where it lies in a planted silence, more than four frames after speech. Other frames do not count: that they are
    speech, or not, the energy does not tell.
    """
    prompts, random = load_prompts(), np.random.default_rng(_SEED)
    files = [path for paths in prompt_files().values() for path in paths]
    each, length = STREAMS
    inputs, targets, weights = [], [], []
    for mine in parts(prompts)["test"]:
        for offset in range(each):
            order = iter(())
            samples, labels, read = [], [], 0
            while read < length:
                prompt = next(order, None)
                if prompt is None:
                    order = iter(random.permutation(mine[offset::each]))
                    continue
                frames, label = _with_silence(read_wav(files[prompts.file[prompt]]), random)
                samples.append(frames)
                labels.append(label)
                read += len(label)
            noisy = np.concatenate(samples)[:length] + _NOISE * random.standard_normal((length, FRAME))
            label = np.concatenate(labels)[:length]
            inputs.append(noisy.astype(np.float32))
            targets.append(np.maximum(label, 0).astype(np.uint8))
            weights.append((label >= 0).astype(np.float32))
    return Streams(
        inputs=np.concatenate(inputs),
        targets=np.concatenate(targets),
        weights=np.concatenate(weights),
        starts=np.arange(len(inputs)) * length,
        lengths=np.full(len(inputs), length),
        classes=2,
        about={
            **{name: prompts.about[name] for name in ("source", "licence", "package")},
            "unit": "set of prompts",
            "planted": f"silences of {_GAPS[0]} to {_GAPS[1]} s between prompts, noise at -70 dBFS under everything",
        },
    )


def _with_silence(samples: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(F, 512) one prompt and the silence after it, and (F,) labels: 1 speech, 0 silence, −1 does not count."""
    spoken = -(-len(samples) // FRAME)
    silent = round(random.uniform(*_GAPS) * RATE / FRAME)
    frames = np.zeros(((spoken + silent), FRAME))
    frames.reshape(-1)[: len(samples)] = samples
    energy = (frames**2).sum(1)
    label = np.where(energy > energy.max() * _SPEECH, 1, -1)
    label[spoken + _TAIL :] = 0
    return frames, label


def _wrong_decision(outputs: Tensor, batch: Batch) -> Tensor:
    assert batch.targets is not None
    return ((outputs > 0.5) != batch.targets.bool()).float()


DECISION_ERROR = Measure("speech_error", "error rate", _wrong_decision, False, 0.01, worst=1.0)
"""1 where the probability of speech lies on the wrong side of a half."""


def measure_silero() -> Evaluation:
    """The healthy control, measured to ages of 8,192 frames (4.4 minutes)."""
    return evaluate(
        load_silero(),
        voice_streams(),
        train_context=TRAIN_CONTEXT,
        measures=[DECISION_ERROR],
        settings=EvalSettings(targets=512, jobs=2),
        name="Silero VAD",
    )
