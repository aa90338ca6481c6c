"""The streams of the speech task: prompts that share nothing between parts and sets, joined; fetched where missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from examples.speech import debian
from examples.speech import streams as speech_data
from examples.speech.streams import (
    NO_VOICE,
    SHARES,
    VOICES,
    Prompts,
    enrolment_windows,
    joined,
    load_prompts,
    parts,
    prompt_files,
)
from outlast.data.files.audio import BANDS
from outlast.errors import InputError


@pytest.fixture(scope="module")
def prompts() -> Prompts:
    return load_prompts()


def test_prompts_are_those_published(prompts: Prompts) -> None:
    assert len(prompts.speaker) == prompts.about["prompts"] == 2755
    assert len(prompts.frames) == prompts.about["frames"] == 733_471
    assert prompts.about["hours"] == 2.083
    assert np.isfinite(prompts.of(0)).all()
    files = [path for paths in prompt_files().values() for path in paths]
    assert not {path.stem for path in files} & set(NO_VOICE)
    languages = [list(VOICES).index(files[number].parts[-1 - _depth(files[number])][:2]) for number in prompts.file]
    assert languages == prompts.speaker.tolist()


def _depth(path: Path) -> int:
    return len(path.parts) - 1 - next(i for i, part in enumerate(path.parts) if part[2:3] == "_" and part[5:6] == "_")


def test_every_prompt_is_in_one_part(prompts: Prompts) -> None:
    dealt = parts(prompts)
    assert list(dealt) == list(SHARES)
    everything = np.concatenate([mine for each in dealt.values() for mine in each])
    assert sorted(everything.tolist()) == list(range(len(prompts.speaker)))
    for name, each in dealt.items():
        for speaker, mine in enumerate(each):
            assert (prompts.speaker[mine] == speaker).all()
            assert len(mine) / (prompts.speaker == speaker).sum() == pytest.approx(SHARES[name], abs=0.005)


def test_streams_are_their_prompts_end_to_end() -> None:
    lengths = np.array([5, 3, 4, 6, 2, 7])
    frames = np.repeat(np.arange(6), lengths)[:, None].repeat(BANDS, 1).astype(np.float32)
    starts = np.cumsum(lengths) - lengths
    prompts = Prompts(frames, np.array([0, 0, 0, 0, 1, 1]), starts, lengths, np.arange(6), {"source": "made up"})
    streams = joined(prompts, [np.arange(4), np.array([4, 5])], 2, 40)
    assert (len(streams), set(streams.lengths), streams.classes) == (4, {40}, 2)
    read = [streams.window(np.array([i]), np.array([0]), 40) for i in range(4)]
    heard = [batch.inputs[0, :, 0].int().tolist() for batch in read]
    assert [set(each) for each in heard] == [{0, 2}, {1, 3}, {4}, {5}]
    assert [set(batch.targets[0].tolist()) for batch in read if batch.targets is not None] == [{0}, {0}, {1}, {1}]
    # Whole prompts, each once in every round.
    assert sorted(heard[0][:9]) == [0] * 5 + [2] * 4
    assert streams.about["unit"] == "set of prompts"
    again = joined(prompts, [np.arange(4), np.array([4, 5])], 2, 40)
    assert again.fingerprint() == streams.fingerprint()


def test_enrolment_has_windows_of_every_voice(prompts: Prompts) -> None:
    windows, speakers = enrolment_windows()
    assert windows.shape == (len(speakers), 160, BANDS)
    assert np.bincount(speakers).min() >= 60
    mine = parts(prompts)["enrolment"][0]
    assert np.array_equal(windows[0], np.concatenate([prompts.of(prompt) for prompt in mine])[:160])


def test_loading_again_reads_only_the_cache(prompts: Prompts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian, "_run", lambda *_: pytest.fail("asked apt"))
    assert np.array_equal(load_prompts().length, prompts.length)
    assert len(prompt_files()) == len(VOICES)


def test_a_damaged_cache_says_what_to_delete(prompts: Prompts, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = speech_data._cached
    monkeypatch.setattr(speech_data, "_cached", lambda part: tmp_path / part)
    for part in ("about.json", "prompts.npy"):
        (tmp_path / part).write_bytes(real(part).read_bytes())
    (tmp_path / "frames.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(InputError, match=r"delete .*about\.json"):
        load_prompts()
