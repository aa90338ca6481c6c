"""Sound files as tables: a row every 10 ms, a column for each of 40 mel bands, a stream for each file."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from outlast.data.files.arrays import existing, files_at
from outlast.data.files.source import Table
from outlast.data.files.tables import gathered
from outlast.errors import InputError

# From a waveform at 16 kHz to the power of mel bands: 25 ms every 10 ms. Plain NumPy.
#
# The filters are librosa's defaults (Slaney 1998, Auditory Toolbox).

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


SUFFIXES = (".wav", ".flac", ".ogg")
"""Of sound files."""
RATES = (1_000, 400_000)
"""Samples a second, from the fewest to the most."""
LOUDNESS = 1e-6
"""Added to the power of a band before its logarithm is taken: about that of the rounding of 16 bits."""
_NAMES = [f"mel_{band:02}" for band in range(BANDS)]
_SOUND = "sound as .wav, .flac or .ogg"


def open_audio(given: Any) -> Table:
    """The logarithms of mel bands of a sound file, or of several, each a stream.

    Args:
        given: a file, a folder, a pattern such as ``sounds/*.wav``, or a list of paths.

    Raises:
        InputError: nothing there, no sound, or the extra `audio` is not installed.
    """
    read = _reader()
    if isinstance(given, Sequence) and not isinstance(given, str):
        files, source = [existing(each) for each in given], f"{len(given)} files"
    else:
        files, source = files_at(given, SUFFIXES), str(given)
    if not files:
        raise InputError(f"{source} without a sound file", _SOUND, "name the files so")
    return gathered(source, files, lambda path: _opened(path, read))


def _opened(path: Path, read: Callable[..., tuple[np.ndarray, int]]) -> Table:
    def parse(names: list[str] | None) -> pa.Table:
        table = pa.table(dict(zip(_NAMES, log_mel(_samples(path, read)).T, strict=True)))
        return table if names is None else table.select(names)

    return Table(
        source=str(path),
        names=_NAMES,
        parse=parse,
        place=lambda row: f"second {row * STEP / RATE:.2f} of {path}",
        expected=_SOUND,
    )


def log_mel(samples: np.ndarray) -> np.ndarray:
    """(1 + N // 160, 40) float32 logarithms of the power of mel bands, from (N,) samples at 16 kHz."""
    return np.log(mel_frames(samples) + LOUDNESS)


def _samples(path: Path, read: Callable[..., tuple[np.ndarray, int]]) -> np.ndarray:
    """(N,) float32 at 16 kHz, the mean of all channels."""
    try:
        sound, rate = read(path, dtype="float32", always_2d=True)
    except Exception as error:  # soundfile raises whatever libsndfile says, and others of its own
        raise InputError(f"{path}, which cannot be read ({error})", _SOUND, "copy or convert the file") from error
    if not RATES[0] <= rate <= RATES[1]:
        low, high = RATES
        raise InputError(f"{path} at {rate} Hz", f"a rate of {low:,} to {high:,} Hz", "check how the file was written")
    mono = sound.mean(1)
    if not len(mono) or not np.isfinite(mono).all():
        raise InputError(
            f"{path}, {'without a sample' if not len(mono) else 'with samples that are not finite'}",
            _SOUND,
            "check the file",
        )
    if rate == RATE:
        return mono
    from scipy.signal import resample_poly  # takes long to load, and few read sound at another rate

    return resample_poly(mono, RATE, rate)


def _reader() -> Callable[..., tuple[np.ndarray, int]]:
    try:
        import soundfile
    except (ImportError, OSError):  # OSError: of libsndfile, which is no part of every wheel
        raise InputError(
            "sound without the extra `audio`", "the package soundfile", "pip install 'outlast[audio]'"
        ) from None
    return soundfile.read
