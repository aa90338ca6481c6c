"""One run at a time in a folder; what is removed goes at once; what killed runs left goes with the next."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from outlast.errors import InputError
from outlast.folders import LOCK, aside, discard, locked, sweep

HOLDER = """
import sys
from pathlib import Path
from outlast.folders import locked
with locked(Path(sys.argv[1]), "outlast train"):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(folder: Path) -> subprocess.Popen[str]:
    """A process that holds the folder until its standard input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_another_run_is_kept_out_and_told_who_is_there(tmp_path: Path) -> None:
    out = tmp_path / "a" / "b"
    process = holder(out)
    for _ in range(2):  # being refused takes nothing away from the run that is there
        with pytest.raises(InputError) as caught, locked(out, "outlast repair"):
            pytest.fail("two runs in one folder")
        assert f"where outlast train (process {process.pid} on " in caught.value.given
    process.communicate("")
    assert names(tmp_path) == set()
    with locked(out, "outlast repair"):
        (out / "result.json").write_text("{}")
    assert names(out) == {"result.json"}


def test_one_process_cannot_hold_a_folder_twice(tmp_path: Path) -> None:
    with (
        locked(tmp_path, "outlast train"),
        pytest.raises(InputError, match=f"outlast train .process {os.getpid()} on"),
        locked(tmp_path, "outlast train"),
    ):
        pytest.fail("two runs in one folder")


def test_the_lock_of_a_killed_run_is_free_and_its_file_in_nobodys_way(tmp_path: Path) -> None:
    process = holder(tmp_path)
    process.kill()
    process.communicate()
    assert names(tmp_path) == {LOCK}
    with locked(tmp_path, "outlast train"):
        pass
    assert names(tmp_path) == set()


def test_a_lock_that_says_nothing_yet_is_a_lock(tmp_path: Path) -> None:
    """Its holder has opened it and not yet written who it is."""
    process = holder(tmp_path)
    (tmp_path / LOCK).write_text("")
    with pytest.raises(InputError, match="where another run is at work"), locked(tmp_path, "outlast train"):
        pytest.fail("two runs in one folder")
    process.communicate("")


def test_a_lock_file_that_its_holder_removes_meanwhile_is_not_taken_for_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between opening the file and locking it, the run before ends; a third one would then lock a new file."""
    import fcntl

    flock, removed = fcntl.flock, []

    def late(*arguments: object) -> None:
        if not removed:
            (tmp_path / LOCK).unlink()
            removed.append(True)
        flock(*arguments)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr("outlast.folders.fcntl.flock", late)
    with locked(tmp_path, "outlast train"):
        assert names(tmp_path) == {LOCK}
        with pytest.raises(InputError), locked(tmp_path, "outlast repair"):
            pytest.fail("two runs in one folder")
    assert removed


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "out", tmp_path / ("a" * 300), tmp_path / "nu\0l"):
        with pytest.raises(InputError, match="a folder that may be written to"), locked(place, "outlast train"):
            pytest.fail("no folder")
    assert names(tmp_path) == {"file"}


def test_the_first_rank_holds_the_folder_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with locked(tmp_path, "outlast train"):
        monkeypatch.setenv("RANK", "1")
        with locked(tmp_path, "outlast train"):
            pass
        assert names(tmp_path) == {LOCK}


def test_what_killed_runs_left_is_swept_and_nothing_else(tmp_path: Path) -> None:
    mine = {
        "notes.part",
        ".notes.part",
        ".model.x.part",
        "another/.result.json.12.part",  # another run's folder, perhaps at work
        "model/weights.12.part",
    }
    lost = {
        aside(tmp_path / "result.json", 34),
        aside(tmp_path / "checkpoint" / "control" / "training-rank0.json", 34),
        aside(tmp_path / "models" / "carry.json"),
    }
    for path in (*(tmp_path / name for name in mine), *lost):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    folder = aside(tmp_path / "model") / "inside"
    folder.mkdir(parents=True)
    sweep(tmp_path)
    assert {name for name in names(tmp_path) if (tmp_path / name).is_file()} == mine
    assert not folder.parent.exists()


def test_a_removal_that_is_cut_short_leaves_no_half_of_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "training-rank0.json").write_text("{}")

    def killed(*arguments: object, **named: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            discard(folder)
    assert not folder.exists()
    sweep(tmp_path)
    assert names(tmp_path) == set()
    discard(folder)  # of one that is not there
