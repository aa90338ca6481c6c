"""Sound as streams of log-mel frames: any rate, width and number of channels, one stream a file."""

from __future__ import annotations

import builtins
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from outlast.data import Streams, open_streams
from outlast.data.files.audio import log_mel, mel_filters
from outlast.errors import InputError

SECONDS = 3


def tone(rate: int, hertz: float, seconds: float = SECONDS) -> np.ndarray:
    """A tone that grows louder."""
    time = np.arange(int(seconds * rate)) / rate
    return (0.1 + 0.1 * time) * np.sin(2 * np.pi * hertz * time)


def written(path: Path, samples: np.ndarray, rate: int = 16_000, subtype: str = "PCM_16") -> Path:
    soundfile.write(path, samples, rate, subtype=subtype)
    return path


def loudest(streams: Streams) -> int:
    """The band with the most power."""
    return int(streams.inputs.mean(0).argmax())


@pytest.mark.parametrize(
    ("name", "rate", "subtype"),
    [("a.wav", 16_000, "PCM_16"), ("a.wav", 44_100, "FLOAT"), ("a.wav", 8_000, "PCM_24"), ("a.flac", 48_000, "PCM_16")],
)
def test_sound_of_any_form_becomes_mel_frames(tmp_path: Path, name: str, rate: int, subtype: str) -> None:
    stereo = np.stack([tone(rate, 1000), tone(rate, 1000)], 1)
    streams = Streams.from_audio(written(tmp_path / name, stereo, rate, subtype), scale="none")
    assert streams.inputs.shape == (1 + 100 * SECONDS, 40)
    assert streams.lengths.tolist() == [100 * SECONDS]
    at_1000 = int(mel_filters()[:, 25].argmax())  # bins of the transform are 40 Hz wide
    assert loudest(streams) == at_1000
    plain = log_mel(tone(16_000, 1000))
    assert np.allclose(streams.inputs[20:-20, at_1000], plain[20:-20, at_1000], atol=0.1)
    assert (streams.about["reader"], streams.about["inputs"][0], streams.shift) == ("audio", "mel_00", 1)


def test_each_file_is_a_stream(tmp_path: Path) -> None:
    for hertz in (300, 1000, 3000):
        written(tmp_path / f"{hertz}.wav", tone(16_000, hertz, hertz / 1000))
    (tmp_path / "notes.md").write_text("not read")
    streams = open_streams(tmp_path, horizon=5)
    assert streams.describe()["names"] == ["1000.wav", "300.wav", "3000.wav"]
    assert streams.lengths.tolist() == [96, 26, 296]
    assert streams.horizon == 5
    assert abs(float(streams.inputs.mean())) < 0.5  # standardised
    assert len(open_streams(f"{tmp_path}/*0.wav")) == 3
    assert len(Streams.from_audio([tmp_path / "300.wav", tmp_path / "1000.wav"])) == 2


def test_what_is_no_sound_is_refused(tmp_path: Path) -> None:
    (tmp_path / "noise.wav").write_bytes(b"RIFF" + bytes(200))
    (tmp_path / "empty").mkdir()
    written(tmp_path / "silent.wav", np.zeros(0))
    written(tmp_path / "slow.wav", np.zeros(400), rate=3)
    written(tmp_path / "odd.wav", np.array([0.0, np.nan] * 4000), subtype="FLOAT")
    for given, message in {
        "noise.wav": "cannot be read",
        "empty": "without a sound file",
        "silent.wav": "without a sample",
        "odd.wav": "not finite",
        "slow.wav": "at 3 Hz",
        "nowhere.wav": "where there is nothing",
    }.items():
        with pytest.raises(InputError, match=message):
            Streams.from_audio(tmp_path / given)
    with pytest.raises(InputError, match="option 'target'"):
        open_streams(tmp_path / "odd.wav", target="mel_00")


def test_without_the_extra_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "a.wav", tone(16_000, 300))
    found = builtins.__import__

    def without(name: str, *others: Any) -> Any:
        if name == "soundfile":
            raise ImportError(name)
        return found(name, *others)

    monkeypatch.delitem(sys.modules, "soundfile")
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=r"pip install 'outlast\[audio\]'"):
        Streams.from_audio(path)
