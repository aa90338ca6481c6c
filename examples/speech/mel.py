"""From a waveform to the frames that a speaker encoder reads: level, silence, mel spectrogram. Plain NumPy.

Everything follows Resemblyzer 0.1.4 (``resemblyzer/audio.py``, ``hparams.py``), which takes its filters from librosa:
16 kHz, windows of 25 ms every 10 ms, 40 mel bands of *power* (no logarithm), level raised to −30 dBFS and never
lowered, long silences shortened. One thing differs: where that package asks webrtcvad which 30 ms hold voice, this
asks whether their energy lies within `SILENCE` decibels of the recording's loudest 30 ms.
"""

from __future__ import annotations

import struct
import wave
from pathlib import Path

import numpy as np
from scipy.ndimage import binary_dilation
from scipy.signal import resample_poly

from outlast.data.files.audio import RATE
from outlast.errors import InputError

LEVEL = -30.0
"""dBFS (root mean square) below which a recording is raised to it."""
SILENCE = 35.0
"""Decibels below a recording's loudest 30 ms from which on 30 ms count as silent."""
_BLOCK, _KEPT = 480, 7  # 30 ms; silence is kept up to three of them on either side of voice


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
