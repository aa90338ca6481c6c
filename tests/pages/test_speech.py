"""The long speech comparison on a few short streams: what it writes, and that it goes on where it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.pages import speech as speech_table
from benchmarks.pages.speech import TableRow, main, partial_windows, run
from examples.speech.streams import joined, load_prompts, parts
from outlast.data import Split
from outlast.interventions import state_passing
from outlast.results import Evaluation, load_result


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Split:
    prompts = load_prompts()
    dealt = parts(prompts)
    made = {name: joined(prompts, dealt[name], 2, 640) for name in ("training", "validation", "test")}
    split = Split(*made.values(), how="by prompt")
    monkeypatch.setattr(speech_table, "load_speech", lambda: split)
    measuring = replace(speech_table.SPEECH.measuring, targets=160)
    monkeypatch.setattr(speech_table, "SPEECH", replace(speech_table.SPEECH, measuring=measuring))
    return split


@pytest.mark.long
def test_what_is_there_is_not_run_again(short: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def control() -> Evaluation:
        result = load_result(tmp_path / "base")
        assert isinstance(result, Evaluation)
        result.data["planted"] = "nothing"
        return result

    monkeypatch.setattr(speech_table, "measure_silero", control)
    run(tmp_path, (TableRow("one step", state_passing(), steps=1),))
    monkeypatch.setattr(speech_table, "ROWS", (TableRow("one step", state_passing(), steps=1),))
    monkeypatch.setattr(speech_table, "evaluate", lambda *_, **__: pytest.fail("measured again"))
    monkeypatch.setattr(speech_table, "fit", lambda *_, **__: pytest.fail("trained again"))
    main(["--out", str(tmp_path), "--page", str(tmp_path / "speech.md")])
    page = (tmp_path / "speech.md").read_text()
    assert "| one step | 1 |" in page
    assert "5 speakers are only 5 clusters" in page
    assert "reset every 160, read at the last frame" in page
    assert (tmp_path / "rows" / "00" / "model" / "model.safetensors").exists()


def test_partial_windows_are_read_as_the_package_does(short: Split) -> None:
    record = partial_windows(speech_table.load_encoder(), short.test)
    assert record["step"] == 77
    assert [row["frames"] for row in record["rows"]] == [160, 314]
    assert all(row["loss"] < 0.2 and row["n"] == 10 for row in record["rows"])
