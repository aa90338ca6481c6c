"""Sound files as tables: a row every 10 ms, a column for each of 40 mel bands, a stream for each file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from outlast.errors import InputError
from outlast.streams.files import existing, files_at
from outlast.streams.gathered import gathered
from outlast.streams.mel import BANDS, RATE, STEP, mel_frames
from outlast.streams.source import Table

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
