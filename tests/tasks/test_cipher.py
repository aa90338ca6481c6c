"""Ciphered prose: substitutions that are one to one, the reference that is told them, and the map's runner."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from outlast import InputError
from outlast.cli import main
from outlast.tasks.cipher import NGrams, ciphered
from outlast.tasks.prose import SYMBOLS, addresses, letters, letters_of, parts_by_number


def test_addresses_are_there_and_parts_are_apart():
    assert (addresses()[0].year, addresses()[-1].year, len(addresses())) == (1790, 2021, 233)
    parts = [{each.name for each in part} for part in parts_by_number().values()]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 233


def test_letters_keep_words_and_nothing_else():
    assert letters("Fellow-Citizens, 1790!").tolist() == letters("fellow citizens ").tolist()
    assert letters("az ").tolist() == [1, 26, 0]


@pytest.mark.parametrize("keys", [2, 10, 26])
def test_a_stream_is_prose_under_one_table(keys: int):
    streams = ciphered("validation", 3, 2000, 5, apart=True, keys=keys)
    text = letters_of("validation")
    for begin in streams.starts:
        symbols = streams.inputs[begin : begin + 2001]
        found = [at for at in range(0, len(text) - 2000, 2001) if ((text[at : at + 2001] == 0) == (symbols == 0)).all()]
        assert len(found) == 1  # spaces stand for themselves
        plain = text[found[0] : found[0] + 2001]
        pairs = set(zip(plain.tolist(), symbols.tolist(), strict=True))
        assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
        assert sum(a != b for a, b in pairs) <= keys


def test_tables_change_where_the_label_says_so():
    streams = ciphered("validation", 2, 4000, 5, apart=True, hazard=1 / 200)
    fixed = ciphered("validation", 2, 4000, 5, apart=True)
    names = streams.about["label_names"]["since_change"]
    assert names[:2] == ["0 to 63", "64 to 127"]
    label = streams.labels["since_change"].reshape(2, -1)[:, :-1]
    changes = np.flatnonzero(np.diff(label[0].astype(int)) < 0)
    assert 8 < len(changes) < 40
    assert (streams.inputs != fixed.inputs).mean() > 0.5
    assert ((streams.inputs == 0) == (fixed.inputs == 0)).all()


def test_the_told_reference_reaches_its_score_and_a_blind_one_does_not():
    streams = ciphered("test", 8, 4096, 4, apart=True)
    told = streams.references["told"].reshape(8, -1)[:, :-1]
    assert told.mean() == pytest.approx(1.0, abs=0.1)
    blind = NGrams.of(ciphered("train", 200, 4096, 1).inputs, 0, SYMBOLS)  # how often each symbol comes
    assert blind.losses(streams.inputs.reshape(8, -1)).mean() == pytest.approx(3.14, abs=0.05)


@pytest.mark.parametrize(
    ("streams", "keys", "hazard", "said"),
    [(10**6, 26, 0.0, "no more"), (4, 1, 0.0, "keys"), (4, 26, 1.5, "hazard")],
)
def test_what_there_is_not_is_refused(streams: int, keys: int, hazard: float, said: str):
    with pytest.raises(InputError, match=said):
        ciphered("test", streams, 100, 0, apart=True, keys=keys, hazard=hazard)


MAP = """
kind = "recipes.failure_map:FailureMap"
out = "out"
rows = "rows.jsonl"
checkpoints = [4, 8]
cooling = 2
batch_size = 2
learning_rate = 1e-3
jobs = 1
targets = 16
[[cells]]
name = "small"
family = "gru"
settings = { width = 8, layers = 1 }
data = "cipher"
train_contexts = [32]
seeds = [0]
"""


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from recipes import failure_map

    monkeypatch.setattr(failure_map, "LENGTH", 128)
    monkeypatch.setattr(failure_map, "_WINDOWS", 100)
    monkeypatch.setattr(failure_map, "_STREAMS", 8)
    failure_map._cipher.cache_clear()
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "map.toml"
    path.write_text(MAP)
    return path


def test_a_map_goes_on_where_it_was_stopped(recipe: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["recipe", str(recipe), "--allow-code"]) == 0
    whole = Path("rows.jsonl").read_text()
    rows = [json.loads(line) for line in whole.splitlines()]
    assert [row["id"] for row in rows] == [f"cipher-small-T32-seed0-step00000{step}" for step in (4, 8)]
    assert rows[0]["state_numbers"] == 8
    assert rows[0]["ages"][-1]["loss"] != rows[1]["ages"][-1]["loss"]
    Path("rows.jsonl").write_text(whole.splitlines()[0] + "\n")
    assert main(["recipe", str(recipe), "--allow-code"]) == 0
    again = [json.loads(line) for line in Path("rows.jsonl").read_text().splitlines()]
    assert [{**row, "seconds": 0} for row in again] == [{**row, "seconds": 0} for row in rows]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('"cipher"', '"nothing"'), "data of a map"),
        (("[4, 8]", "[8, 4]"), "ascending"),
        (('"recipes.failure_map:FailureMap"', '"chart"'), "kind"),
        (("[32]", "[32, 32]"), "its own name"),
        (("cooling", "cooking"), "cook"),
    ],
)
def test_a_wrong_map_is_said_in_words(
    recipe: Path, change: tuple[str, str], said: str, capsys: pytest.CaptureFixture[str]
):
    recipe.write_text(MAP.replace(*change))
    assert main(["recipe", str(recipe), "--allow-code"]) == 2
    assert said in capsys.readouterr().err
