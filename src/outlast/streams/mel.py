"""From a waveform at 16 kHz to the power of mel bands: 25 ms every 10 ms. Plain NumPy.

The filters are librosa's defaults (Slaney 1998, Auditory Toolbox).
"""

from __future__ import annotations

import functools

import numpy as np

RATE = 16_000
"""Samples a second."""
WINDOW, STEP = 400, 160
"""Samples of a frame (25 ms) and from one frame to the next (10 ms)."""
BANDS = 40

_LINEAR = 200 / 3  # Hz a mel below 1 kHz, where Slaney's scale is linear
_LOG = np.log(6.4) / 27  # above 1 kHz, 27 mels multiply the frequency by 6.4
_BLOCK = 30_000
"""Frames that are transformed at a time (five minutes)."""


def mel_frames(samples: np.ndarray) -> np.ndarray:
    """(1 + N // 160, 40) float32: the power of each mel band, frames centred on every 160th sample, zeros outside."""
    padded = np.pad(samples, WINDOW // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::STEP]
    blocks = [frames[begin : begin + _BLOCK] for begin in range(0, len(frames), _BLOCK)]
    return np.concatenate([_power(block) for block in blocks])


def _power(frames: np.ndarray) -> np.ndarray:
    from scipy.signal import get_window  # takes long to load

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
