"""The study of remedies on a tiny base: every row is there, nothing is measured twice, and rows can be added later."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import outlast
from benchmarks import remedies_study
from benchmarks.remedies.bases import Kind
from benchmarks.remedies.made import Made
from benchmarks.remedies.rows import ROWS
from benchmarks.remedies_study import kept_rows, run_all
from outlast.data import Split, Streams
from outlast.evaluation import EvalSettings
from outlast.interventions import Carry
from outlast.model import Recurrent
from outlast.repairs import RepairSettings
from outlast.repairs.setup import Setup, print_of
from outlast.results import Evaluation, Refusal
from outlast.training import TrainSettings
from toys import small_gru, wave_streams

T = 8
TINY = Kind(
    name="tiny", seeds=(1,), base=lambda seed: small_gru(), streams=lambda: outlast.split(wave_streams(64, 64)),
    train_context=T, rule=Carry(expected_run=40), training=TrainSettings(steps=3, batch_size=8),
    method=RepairSettings(doses=(1.0,), anchor=0), measuring=EvalSettings(targets=16, max_length=64), control=True,
)  # fmt: skip


def anyway(monkeypatch: pytest.MonkeyPatch) -> None:
    """An untrained model has nothing to repair: trained all the same."""
    as_asked = Kind.wanted

    def wanted(kind: Kind, base: Recurrent, seed: int) -> Any:
        asked = as_asked(kind, base, seed)
        assert asked.repairing is not None
        return replace(asked, repairing=replace(asked.repairing, anyway=True))

    monkeypatch.setattr(Kind, "wanted", wanted)


def without_further_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those are tested in `test_remedies_rows`."""
    for name in list(ROWS):
        monkeypatch.delitem(ROWS, name)


def test_a_base_is_kept_with_all_rows_and_gets_further_ones_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    anyway(monkeypatch)
    measured: Counter[tuple[str, int, bool]] = Counter()
    inside = Setup.evaluate

    def counting(todo: Setup, model: Recurrent, streams: Streams | Split, name: str, *rest: Any, **more: Any) -> Any:
        measured[print_of(model), id(streams), more.get("ends_only", False)] += 1
        return inside(todo, model, streams, name, *rest, **more)

    monkeypatch.setattr(Setup, "evaluate", counting)
    without_further_rows(monkeypatch)
    kept = tmp_path / "kept.jsonl"
    run_all([(TINY, 1)], tmp_path, kept)
    (row,) = kept_rows(kept)
    names = {"as it runs on", "best reset", "two copies", "tune", "leak of τ = T", "repair", "repair with a leak"}
    assert names | {"control", "control under its best reset"} <= set(row["rows"])
    sizes = {len(each["losses"]) for each in row["rows"].values()}
    assert sizes == {row["streams"]}
    assert measured.most_common(1)[0][1] == 1

    measured.clear()
    monkeypatch.setitem(
        ROWS, "no change", lambda todo, seen: Made("none:0", outlast.with_reset(todo.base, every=10**6))
    )
    monkeypatch.setitem(ROWS, "nothing to change", lambda todo, seen: None)
    run_all([(TINY, 1)], tmp_path, kept)
    (more,) = kept_rows(kept)
    assert more["rows"].pop("nothing to change") is None
    assert more["rows"].pop("no change")["losses"] == row["rows"]["as it runs on"]["losses"]
    assert more == row
    assert len(measured) == 3, "base on validation, on test, and the row"
    run_all([(TINY, 1)], tmp_path, kept)
    assert len(measured) == 3


def test_a_base_with_nothing_to_repair_is_kept_and_not_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def robust(todo: Setup, seen: Evaluation, before: Evaluation) -> Refusal:
        return Refusal("nothing_to_repair", ["planted"])

    without_further_rows(monkeypatch)
    monkeypatch.setattr(remedies_study, "nothing_to_do", robust)
    monkeypatch.setattr("outlast.repairs.tuning.nothing_to_do", robust)
    monkeypatch.setattr(Setup, "train", lambda *_, **__: pytest.fail("trained"))
    run_all([(TINY, 1)], tmp_path, tmp_path / "kept.jsonl")
    (row,) = kept_rows(tmp_path / "kept.jsonl")
    assert row["declined"] == "nothing_to_repair"
    assert row["rows"]["tune"]["losses"] == row["rows"]["as it runs on"]["losses"]
    assert "repair" not in row["rows"]
