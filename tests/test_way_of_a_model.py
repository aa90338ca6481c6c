"""The way of a model: through how many rooms of the package it is handed.

A room is a folder or a file directly below `outlast`. It is on the way of a model where one of its functions is called
with a model among its arguments, or with something that holds one in a field (a setup, a scene, a teacher).
The model's own methods are the model, not the way: the toy's class stands in the tests.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import outlast
from outlast.diagnosis import DiagnoseSettings
from outlast.evaluation import EvalSettings
from outlast.interventions import FittedNoise
from outlast.model import Recurrent
from outlast.repairs import RepairSettings
from outlast.training import TrainSettings
from toys import Dropping, wave_streams

PACKAGE = Path(outlast.__file__).parent
PAGE = Path(__file__).parents[1] / "docs" / "architecture.md"
T = 8
MEASURING = EvalSettings(targets=16, max_length=64)


def carries(value: Any) -> bool:
    """Whether it is a model, or holds one in a field."""
    if isinstance(value, Recurrent):
        return True
    return any(isinstance(each, Recurrent) for each in getattr(value, "__dict__", {}).values())


def rooms_on_the_way(work: Callable[[], object]) -> set[str]:
    """Rooms whose functions are called with a model while `work` is done, in this thread."""
    found: set[str] = set()
    rooms: dict[str, str | None] = {}

    def look(frame: FrameType, event: str, _: object) -> None:
        if event != "call":
            return
        code = frame.f_code
        if code.co_filename not in rooms:
            path = Path(code.co_filename)
            inside = path.is_relative_to(PACKAGE)
            rooms[code.co_filename] = path.relative_to(PACKAGE).with_suffix("").parts[0] if inside else None
        room = rooms[code.co_filename]
        if room is None or room in found:
            return
        count = code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & 4) + bool(code.co_flags & 8)
        if any(carries(frame.f_locals.get(name)) for name in code.co_varnames[:count]):
            found.add(room)

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        work()
    finally:
        sys.setprofile(before)
    return found


def evaluate(folder: Path) -> None:
    outlast.evaluate(Dropping(rate=0.0), wave_streams(64, 65), train_context=T, settings=MEASURING)


def diagnose(folder: Path) -> None:
    settings = DiagnoseSettings(measuring=MEASURING)
    outlast.diagnose(Dropping(rate=0.0), wave_streams(64, 65), train_context=T, settings=settings)


def repair(folder: Path) -> None:
    outlast.repair(
        Dropping(rate=0.0),
        wave_streams(64, 65),
        train_context=T,
        intervention=FittedNoise(),
        training=TrainSettings(steps=2, batch_size=8),
        measuring=MEASURING,
        repairing=RepairSettings(anyway=True, doses=(0.5, 1.0)),
        checkpoint=folder,
    )


def rooms_told(verb: str) -> set[str]:
    """Rooms that docs/architecture.md names in bold on the way of a verb."""
    way = PAGE.read_text(encoding="utf-8").partition("## The way of a value")[2]
    told = next(each for each in re.split(r"\n(?=\S)", way) if each.startswith(f"- `{verb}`"))
    return set(re.findall(r"\*\*(\w+)\*\*", told))


@pytest.mark.parametrize(("work", "most"), [(evaluate, 5), (diagnose, 7), (repair, 11)])
def test_a_model_passes_through_few_rooms(work, most, tmp_path):
    found = rooms_on_the_way(lambda: work(tmp_path))
    assert {"evaluation", "model", "data"} <= found  # or nothing was looked at
    assert len(found) <= most, sorted(found)
    assert found == rooms_told(work.__name__)
