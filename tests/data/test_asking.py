"""What has to be asked about a table is asked in one refusal, and read by no answer that nobody gave."""

from __future__ import annotations

from pathlib import Path

import pytest

import outlast
from outlast.errors import InputError, Question, Questions


def _of_two_machines(path: Path, encoding: str = "latin-1") -> Path:
    """Two machines in turns, decimal commas, a unit in Latin-1, and a code for what was not measured."""
    lines = ["when;machine;power;Temp °C"]
    for row in range(200):
        power = "in repair" if row == 50 else f"{row % 17},5"
        for machine in ("A", "B"):
            lines.append(f"2024-03-04 {row // 60:02d}:{row % 60:02d}:00;{machine};{power};{row % 5},25")
    path.write_text("\n".join(lines), encoding=encoding)
    return path


def test_all_questions_come_in_one_refusal_with_the_keywords_that_answer_them(tmp_path: Path) -> None:
    path = _of_two_machines(tmp_path / "plant.csv")
    with pytest.raises(Questions) as refused:
        outlast.Streams.from_table(path, target="power", horizon=1)
    (choice,) = refused.value.choices
    assert {"encoding", "decimal", "stream", "missing_values"} <= set(choice.options)
    said = str(refused.value)
    assert all(f"\n  {number}. " in said for number in range(1, len(refused.value.questions) + 1))
    assert "decimal=','" in said.partition("what to do:")[2]
    streams = outlast.Streams.from_table(path, target="power", horizon=1, **choice.options)
    assert list(streams.names if streams.names is not None else ()) == ["A", "B"]


def test_a_single_question_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "power.csv"
    path.write_text("\n".join(["power;speed", *(f"{row % 17},5;{row % 5},5" for row in range(200))]))
    with pytest.raises(Question) as refused:
        outlast.Streams.from_table(path, target="power", horizon=1)
    assert not isinstance(refused.value, Questions)
    assert refused.value.choices[0].options == {"decimal": ","}


def test_what_is_wrong_where_all_is_answered_as_proposed_is_said_too(tmp_path: Path) -> None:
    path = tmp_path / "short.csv"
    path.write_text("\n".join(["power;speed", *(f"{row},5;{row},5" for row in range(4))]))
    with pytest.raises(InputError) as refused:
        outlast.Streams.from_table(path, target="power", horizon=60)
    assert "decimal=','" in str(refused.value)
    assert "a horizon of 60" in str(refused.value)
