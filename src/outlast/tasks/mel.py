"""From a waveform to the frames that a speaker encoder reads: level, silence, mel spectrogram. Plain NumPy.

Everything follows Resemblyzer 0.1.4 (``resemblyzer/audio.py``, ``hparams.py``), which takes its filters from librosa:
16 kHz, windows of 25 ms every 10 ms, 40 mel bands of *power* (no logarithm), level raised to −30 dBFS and never
lowered, long silences shortened. One thing differs: where that package asks webrtcvad which 30 ms hold voice, this
asks whether their energy lies within `SILENCE` decibels of the recording's loudest 30 ms.
"""

from __future__ import annotations

import functools
import struct
import wave
from pathlib import Path

import numpy as np
from scipy.ndimage import binary_dilation
from scipy.signal import get_window, resample_poly

from outlast.errors import InputError

RATE = 16_000
"""Samples a second."""
WINDOW, STEP = 400, 160
"""Samples of a frame (25 ms) and from one frame to the next (10 ms)."""
BANDS = 40
LEVEL = -30.0
"""dBFS (root mean square) below which a recording is raised to it."""
SILENCE = 35.0
"""Decibels below a recording's loudest 30 ms from which on 30 ms count as silent."""
_BLOCK, _KEPT = 480, 7  # 30 ms; silence is kept up to three of them on either side of voice

_LINEAR = 200 / 3  # Hz a mel below 1 kHz, where Slaney's scale is linear
_LOG = np.log(6.4) / 27  # above 1 kHz, 27 mels multiply the frequency by 6.4


def read_wav(path: str | Path) -> np.ndarray:
    """(N,) float64 samples in [−1, 1) at 16 kHz of a 16-bit mono WAV file at 8 or 16 kHz.

    Raises:
        InputError: not such a file.
    """
    try:
        with wave.open(str(path)) as file:
            kind = (file.getnchannels(), 8 * file.getsampwidth(), file.getframerate())
            content = file.readframes(file.getnframes())
    except (wave.Error, EOFError, OSError, ValueError, RuntimeError, ArithmeticError, struct.error) as error:
        raise InputError(f"{path} cannot be read: {error}", "a WAV file", "copy or fetch it again") from error
    if kind not in ((1, 16, 8000), (1, 16, RATE)):
        raise InputError(
            f"{path} with {kind[0]} channels of {kind[1]} bits at {kind[2]} Hz",
            f"one channel of 16 bits at 8000 or {RATE} Hz",
            "convert the file",
        )
    samples = np.frombuffer(content[: len(content) // 2 * 2], "<i2") / 32768  # half a sample is where a file was cut
    return samples if kind[2] == RATE or not len(samples) else resample_poly(samples, RATE // kind[2], 1)


def raised(samples: np.ndarray, level: float = LEVEL) -> np.ndarray:
    """The recording at a root mean square of at least `level` dBFS; a louder one, and silence, stay as they are."""
    power = float(np.mean(samples**2)) if len(samples) else 0.0
    change = level - 10 * np.log10(power) if power > 0 else 0.0
    return samples * 10 ** (change / 20) if change > 0 else samples


def without_silence(samples: np.ndarray) -> np.ndarray:
    """The recording without its silences but for 90 ms on either side of voice; whole blocks of 30 ms."""
    blocks = samples[: len(samples) // _BLOCK * _BLOCK].reshape(-1, _BLOCK)
    energy = (blocks**2).mean(1)
    if not energy.any():
        return blocks[:0].reshape(-1)
    voiced = energy > energy.max() * 10 ** (-SILENCE / 10)
    kept: np.ndarray = binary_dilation(voiced, np.ones(_KEPT))  # pyright: ignore[reportAssignmentType]
    return blocks[kept].reshape(-1)


def mel_frames(samples: np.ndarray) -> np.ndarray:
    """(1 + N // 160, 40) float32: the power of each mel band, frames centred on every 160th sample, zeros outside."""
    padded = np.pad(samples, WINDOW // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::STEP]
    power = np.abs(np.fft.rfft(frames * get_window("hann", WINDOW))) ** 2
    return (power @ mel_filters().T).astype(np.float32)


@functools.cache
def mel_filters() -> np.ndarray:
    """(40, 201) triangular filters, equally wide on Slaney's mel scale from 0 to 8 kHz, each of unit area in Hz.

    These are librosa's defaults (Slaney 1998, Auditory Toolbox).
    """
    edges = _hertz(np.linspace(0, _mels(RATE / 2), BANDS + 2))[:, None]
    at = np.fft.rfftfreq(WINDOW, 1 / RATE)
    rising = (at - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - at) / (edges[2:] - edges[1:-1])
    return np.maximum(0, np.minimum(rising, falling)) * 2 / (edges[2:] - edges[:-2])


def _mels(hertz: float) -> float:
    return hertz / _LINEAR if hertz < 1000 else 1000 / _LINEAR + np.log(hertz / 1000) / _LOG


def _hertz(mels: np.ndarray) -> np.ndarray:
    corner = 1000 / _LINEAR
    return np.where(mels < corner, mels * _LINEAR, 1000 * np.exp(_LOG * (mels - corner)))
