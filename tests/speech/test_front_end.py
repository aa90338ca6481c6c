"""The front end of the speech task against librosa 0.11's numbers, and what it does to level and silence."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest

from examples.speech.mel import raised, read_wav, without_silence
from outlast.data.files.audio import BANDS, RATE, STEP, mel_filters, mel_frames
from outlast.errors import InputError

_BANDS = [0, 4, 10, 20, 30, 39]


def tone(seconds: float, amplitude: float = 0.1, hertz: float = 440.0) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)


def write(path: Path, samples: np.ndarray, rate: int = 8000, channels: int = 1) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return path


def test_filters_are_librosas_defaults() -> None:
    filters = mel_filters()
    assert filters.shape == (BANDS, 201)
    chosen = filters[[0, 10, 25, 39]]
    assert chosen.argmax(1).tolist() == [2, 20, 64, 185]
    assert chosen.max(1) == pytest.approx([0.012404520995, 0.011879489757, 0.005040556192, 0.001724940375])
    assert chosen.sum(1) == pytest.approx([0.024809040129, 0.024809041992, 0.025108657777, 0.024978756905])


def test_frames_are_librosas_power_mel_spectrogram() -> None:
    t = np.arange(1600) / RATE
    chirp = 0.1 * np.sin(2 * np.pi * (300 * t + 2000 * t**2)) + 0.02 * np.sin(2 * np.pi * 3000 * t)
    frames = mel_frames(chirp)
    assert (frames.shape, frames.dtype) == ((11, BANDS), np.float32)
    assert frames.sum() == pytest.approx(20.637069961662, rel=1e-5)
    assert frames[0, _BANDS] == pytest.approx(
        [2.2193705e-02, 3.0560946e-01, 3.7430715e-04, 3.4846267e-07, 4.0348074e-05, 2.4087822e-06], rel=1e-4
    )
    assert frames[5, _BANDS[:4]] == pytest.approx(
        [3.9211906e-07, 4.6612240e-03, 2.2238208e-06, 2.2218765e-10], rel=1e-3
    )


def test_frames_of_a_part_are_those_of_the_whole() -> None:
    samples = np.random.default_rng(0).normal(0, 0.05, RATE)
    assert np.allclose(mel_frames(samples)[10:50], mel_frames(samples[5 * STEP :])[5:45], rtol=1e-5)


def test_quiet_recordings_are_raised_and_loud_ones_left() -> None:
    quiet, loud = tone(1, 0.001), tone(1, 0.5)
    assert 10 * np.log10(np.mean(raised(quiet) ** 2)) == pytest.approx(-30)
    assert raised(loud) is loud
    assert not raised(np.zeros(100)).any()
    assert len(raised(np.zeros(0))) == 0


def test_silence_is_cut_but_for_its_edges() -> None:
    pause = np.zeros(2 * RATE)
    trimmed = without_silence(np.concatenate([pause, tone(1.2), pause, tone(0.6), pause]))
    assert len(trimmed) / RATE == pytest.approx(1.8 + 4 * 0.09, abs=0.07)
    assert len(without_silence(pause)) == 0
    assert len(without_silence(tone(1.2))) == len(tone(1.2))


def test_wav_files_come_at_16_khz(tmp_path: Path) -> None:
    samples = read_wav(write(tmp_path / "low.wav", tone(0.5)[::2]))
    assert len(samples) == RATE // 2
    middle = slice(1000, -1000)
    assert np.abs(samples[middle] - tone(0.5)[middle]).max() < 1e-3
    assert np.abs(read_wav(write(tmp_path / "high.wav", tone(0.5), RATE)) - tone(0.5)).max() < 1e-4
    assert len(read_wav(write(tmp_path / "empty.wav", np.zeros(0)))) == 0


def test_other_files_are_refused_with_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="2 channels of 16 bits at 8000 Hz"):
        read_wav(write(tmp_path / "stereo.wav", tone(0.1), channels=2))
    with pytest.raises(InputError, match="at 44100 Hz"):
        read_wav(write(tmp_path / "fast.wav", tone(0.1), 44100))
    (tmp_path / "text.wav").write_text("no audio")
    with pytest.raises(InputError, match=r"text\.wav cannot be read"):
        read_wav(tmp_path / "text.wav")
