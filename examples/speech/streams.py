"""Long streams of one voice each, joined from telephone prompts of five speakers.

Source: asterisk-core-sounds in English and Spanish (both named for Allison Smith), French (June Wallack), Italian
(Carlo Flora) and Russian (Maxim Topal), CC BY-SA 3.0 and CC BY 3.0, as packaged by Debian; 8 kHz, 2.1 hours in all. A
voice here is one person in one language: two of the five bear the same person's name.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from examples.speech.debian import fetch_debian_folder
from examples.speech.mel import raised, read_wav, without_silence
from outlast.data import Split, Streams, cache_folder
from outlast.data.files.audio import BANDS, STEP, mel_frames
from outlast.errors import InputError
from outlast.results import write_atomically

PACKAGE_VERSION = "1.6.1-1"
VOICES = {
    "en": ("en_US_f_Allison", "2be3ea287d83299d143815fa804f11179a75b7affd4a758b98b55f5afc18a35d"),
    "es": ("es_MX_f_Allison", "9283a09a6d56fccdcc2bcfe86c48f0f844289cfbd46a3184d8785a6f7f569903"),
    "fr": ("fr_CA_f_June", "8d4e1bc32ed5ba7fbda40841ca1825ed20cc6232724a473c90f8bb0e53e6073e"),
    "it": ("it_IT_m_Carlo", "5a26638089e134b8ac39363fe249c5c93c50cd8bfdc9b2499ae61ec4a35e2fcb"),
    "ru": ("ru_RU_f_IvrvoiceRU", "ccbfaebfa450b7a9ddf644ae0f3d1e9017d5df7c0aebe816e946345589d38201"),
}
"""By language: the folder of its prompts inside the package, and the SHA-256 of the package."""

NO_VOICE = ("ascending-2tone", "beep", "beeperr", "descending-2tone", "tt-monkeys")
"""Tones and monkeys: the same recordings, to a hundredth of their length, in all five languages."""

SHARES = {"training": 0.4, "enrolment": 0.1, "validation": 0.1, "test": 0.4}
"""Of the prompts of each speaker. Labels are used in enrolment (the centroids) and in measuring, never in a repair."""
STREAMS = {"training": (4, 20_480), "validation": (2, 10_240), "test": (4, 81_920)}
"""Streams a speaker, and frames of each."""
ENROLMENT_WINDOW = 160
_SEED = 0  # of the split and of the order of prompts in streams
_VERSION = 4  # raised whenever preparation changes, so that an older cache is not read


@dataclass(frozen=True, eq=False)
class Prompts:
    """Mel frames of all prompts.

    Args:
        frames: (N, 40) float32, prompt after prompt.
        speaker, start, length: (P,) int64, of each prompt: its speaker, and where its frames lie.
        file: (P,) int64, which of all `prompt_files` it is, counted over the languages in their order.
        about: where they come from and what was done to them.
    """

    frames: np.ndarray
    speaker: np.ndarray
    start: np.ndarray
    length: np.ndarray
    file: np.ndarray
    about: dict[str, Any]

    def of(self, prompt: int) -> np.ndarray:
        """(T, 40) frames of one prompt."""
        return self.frames[self.start[prompt] : self.start[prompt] + self.length[prompt]]


def prompt_files() -> dict[str, list[Path]]:
    """The WAV files of each language, sorted by name; fetched through apt the first time.

    Pure silences are left out, and recordings that hold no voice (`NO_VOICE`).
    """
    files = {}
    for language, (folder, sha256) in VOICES.items():
        package = f"asterisk-core-sounds-{language}-wav"
        root = fetch_debian_folder(package, PACKAGE_VERSION, sha256, f"usr/share/asterisk/sounds/{folder}")
        found = (path for path in root.rglob("*.wav") if path.parent.name != "silence" and path.stem not in NO_VOICE)
        files[language] = sorted(found)
    return files


def load_prompts() -> Prompts:
    """All prompts as mel frames; fetched and prepared the first time, then from the cache.

    Raises:
        InputError: the data are not cached and could not be fetched, or the cache is damaged.
    """
    names = {part: _cached(part) for part in ("frames.npy", "prompts.npy", "about.json")}
    if not names["about.json"].exists():  # written last: the others are then complete
        _prepare(names)
    try:
        about = json.loads(names["about.json"].read_text())
        frames = np.load(names["frames.npy"], mmap_mode="r", allow_pickle=False)
        speaker, start, length, file = np.load(names["prompts.npy"], allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise _damaged(str(error)) from error
    if frames.shape != (int(length.sum()), BANDS) or about["frames"] != len(frames):
        raise _damaged(f"frames of shape {frames.shape}")
    return Prompts(frames, speaker, start, length, file, about)


def parts(prompts: Prompts) -> dict[str, list[np.ndarray]]:
    """Prompt numbers of each speaker by part: the parts share no prompt. The same on every machine."""
    cuts = np.cumsum(list(SHARES.values()))[:-1]
    dealt: dict[str, list[np.ndarray]] = {name: [] for name in SHARES}
    for speaker in range(len(VOICES)):
        order = np.random.default_rng([_SEED, speaker]).permutation(np.flatnonzero(prompts.speaker == speaker))
        for name, mine in zip(SHARES, np.split(order, np.round(cuts * len(order)).astype(int)), strict=True):
            dealt[name].append(mine)
    return dealt


def joined(prompts: Prompts, dealt: list[np.ndarray], each: int, length: int) -> Streams:
    """Streams of one voice: each speaker's prompts are dealt out to `each` streams, which share none.

    A stream runs through its prompts in a random order, then in another one, until it has `length` frames.
    """
    random = np.random.default_rng([_SEED, each, length])
    inputs = np.empty((len(dealt) * each * length, BANDS), np.float32)
    rounds = []
    for number, (mine, offset) in enumerate((mine, offset) for mine in dealt for offset in range(each)):
        pieces, read = [], 0
        subset = mine[offset::each]
        while read < length:
            pieces += [prompts.of(prompt) for prompt in random.permutation(subset)]
            read = sum(map(len, pieces))
        inputs[number * length : (number + 1) * length] = np.concatenate(pieces)[:length]
        rounds.append(length / int(prompts.length[subset].sum()))
    streams = len(dealt) * each
    speakers = np.repeat(np.arange(len(dealt), dtype=np.uint8), each * length)
    return Streams(
        inputs=inputs,
        targets=speakers,
        starts=np.arange(streams) * length,
        lengths=np.full(streams, length),
        classes=len(dealt),
        labels={"voice": speakers},
        about={
            **prompts.about,
            "label_names": {"voice": list(VOICES)},
            "unit": "set of prompts",
            "units": f"{streams} sets of prompts without a prompt in common, {each} of each of {len(dealt)} speakers: "
            f"the intervals are over sets of prompts, and {len(dealt)} speakers are only {len(dealt)} clusters",
            "rounds": f"a stream goes through its prompts {min(rounds):.1f} to {max(rounds):.1f} times",
        },
    )


def load_speech() -> Split:
    """Training, validation and test streams of mel frames (T, 40), targets (T,) the speaker, 0 to 4.

    Raises:
        InputError: the data are not cached and could not be fetched, or the cache is damaged.
    """
    prompts = load_prompts()
    dealt = parts(prompts)
    streams = {name: joined(prompts, dealt[name], *STREAMS[name]) for name in STREAMS}
    how = ", ".join(f"{name} {share:.0%}" for name, share in SHARES.items())
    return Split(*streams.values(), how=f"by prompt within each speaker: {how}")


def enrolment_windows() -> tuple[np.ndarray, np.ndarray]:
    """(W, 160, 40) windows of the enrolment prompts, end to end, and (W,) their speakers."""
    prompts = load_prompts()
    windows, speakers = [], []
    for speaker, mine in enumerate(parts(prompts)["enrolment"]):
        frames = np.concatenate([prompts.of(prompt) for prompt in mine])
        whole = frames[: len(frames) // ENROLMENT_WINDOW * ENROLMENT_WINDOW]
        windows.append(whole.reshape(-1, ENROLMENT_WINDOW, BANDS))
        speakers.append(np.full(len(windows[-1]), speaker))
    return np.concatenate(windows), np.concatenate(speakers)


def _prepare(names: dict[str, Path]) -> None:
    frames: list[np.ndarray] = []
    speakers: list[int] = []
    files: list[int] = []
    seconds, number = 0.0, -1
    for speaker, paths in enumerate(prompt_files().values()):
        for path in paths:
            number += 1
            samples = read_wav(path)
            seconds += len(samples) / (STEP * 100)
            voiced = without_silence(raised(samples))
            if len(voiced) >= STEP:
                frames.append(mel_frames(voiced))
                speakers.append(speaker)
                files.append(number)
    lengths = np.array([len(each) for each in frames])
    about = {
        "source": "asterisk-core-sounds in five languages, one voice each",
        "licence": "CC BY-SA 3.0 and CC BY 3.0",
        "package": f"asterisk-core-sounds-{{{','.join(VOICES)}}}-wav {PACKAGE_VERSION}",
        "hours": round(seconds / 3600, 3),
        "prompts": len(frames),
        "frames": int(lengths.sum()),
        "level": "each prompt raised to -30 dBFS, never lowered",
        "silence": "blocks of 30 ms more than 35 dB below the prompt's loudest one are cut, but for 90 ms beside voice",
        "frame": "25 ms every 10 ms at 16 kHz (resampled from 8 kHz), power in 40 mel bands",
    }
    index = np.stack([np.array(speakers), np.cumsum(lengths) - lengths, lengths, np.array(files)])
    for part, array in (("frames.npy", np.concatenate(frames)), ("prompts.npy", index)):
        content = io.BytesIO()
        np.save(content, array)
        write_atomically(names[part], content.getvalue())
    write_atomically(names["about.json"], json.dumps(about, indent=1))


def _cached(part: str) -> Path:
    return cache_folder() / "prepared" / f"speech-v{_VERSION}-{part}"


def _damaged(found: str) -> InputError:
    return InputError(
        f"a damaged cache: {_cached('*')} ({found})",
        "the files as they were prepared",
        f"delete {_cached('about.json')}; the data are then prepared again",
    )
