"""What was taken for granted of data, told in the first lines: in both languages, and in Python."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from outlast.data import Streams, split
from outlast.data.first_lines import first_lines, in_python, lasting
from outlast.reporting import first_told

ROWS = 400
RANDOM = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {
        "when": pd.date_range("2024-01-01", periods=ROWS, freq="min").astype(str),
        "power": RANDOM.normal(size=ROWS).cumsum(),
        "speed": RANDOM.normal(size=ROWS),
        "still": 1.0,
        "note": "x",
    }
)


def told(streams: Streams) -> dict[str, str]:
    lines = first_lines(streams.describe())
    for line in lines:
        assert all(line.about)
        assert all(line.taken)
        assert re.search("[\u3041-\u30ff\u3400-\u9fff]", "".join([line.about[1], line.taken[1]]))
    japanese = first_told(streams.describe(), "ja")
    assert all(line.about[1] in japanese for line in lines)
    return {line.about[0]: line.taken[0] for line in lines}


def test_every_thing_that_was_taken_is_told() -> None:
    frame = FRAME.drop(index=range(100, 150)).reset_index(drop=True)
    frame.loc[[3, 4], "speed"] = np.nan
    said = told(Streams.from_table(frame, target="power"))
    assert said == {
        "columns": "power, speed, still, to forecast power; constant in training: still; left out: note (text)",
        "streams": "one recording of 348 rows",
        "step": "a row every 1 min; by column 'when', which nobody named (--time when keeps it with a model)",
        "horizon": "1 row ahead, which is 1 min; NOBODY GAVE ONE (--horizon)",
        "scaling": "inputs standard; target standard; by default (--scale)",
        "gaps": "1 of more than 5.5 min, the longest 51 min: streams are cut there (--gaps join reads on); 1 of a few "
        "rows: read on over, and no target across them counts",
        "missing": "2 of 350 rows dropped (--missing hold fills them)",
    }


def test_what_was_asked_for_is_told_as_such() -> None:
    frame = pd.concat([FRAME[::-1].assign(machine=f"m{at}") for at in range(12)], ignore_index=True)
    streams = Streams.from_table(
        frame, inputs=["power", "speed"], target="power", horizon=[6, 12], time="when", stream="machine", scale="none"
    )
    said = told(streams)
    assert said["streams"].startswith("12, told apart by 'machine': m0, m1, m2, m3, m4, m5, m6, m7 and 4 more; rows")
    assert said["step"] == "a row every 1 min; by column 'when'"
    assert said["horizon"] == "6, 12 rows ahead, which is 6 min, 12 min"
    assert said["gaps"] == "none of more than 1.5 min"
    assert "missing" not in said
    for part in (split(streams).train, split(streams).test):  # a part tells of the whole
        assert told(part)["streams"] == said["streams"]


def test_arrays_and_tokens_tell_what_is_known() -> None:
    assert told(Streams.from_tokens(RANDOM.integers(0, 5, (3, 100)))) == {
        "columns": "the target is next token",
        "streams": "3 of 99 positions",
    }
    many = Streams.from_arrays(RANDOM.normal(size=(40, 100, 2)).astype(np.float32), horizon=5)
    assert told(split(many).test)["streams"] == "40 of 95 positions"


def test_python_has_arguments_where_the_command_line_has_options() -> None:
    assert in_python("cut (--gaps join reads on); default (--scale)") == "cut (gaps='join' reads on); default (scale)"
    assert "NOBODY GAVE ONE (horizon)" in str(Streams.from_table(FRAME, target="power"))


def test_lengths_of_time_are_told_in_a_unit_of_their_size() -> None:
    assert [lasting(seconds)[0] for seconds in (0.5, 1, 90, 3600, 5400, 86400, 129600)] == [
        "0.5 s",
        "1 s",
        "1.5 min",
        "1 h",
        "1.5 h",
        "1 d",
        "1.5 d",
    ]


def test_a_scaling_of_its_own_is_told_beside_what_the_others_have() -> None:
    scaled = {"by": "as asked", "inputs": {"a": "standard", "b": "log-standard", "c": "standard"}, "target": {}}
    lines = {line.about[0]: line.taken[0] for line in first_lines({"scaled": scaled})}
    assert lines["scaling"] == "inputs standard, b log-standard; as asked"


def test_a_mark_of_missing_values_that_no_cell_holds_is_said(tmp_path: Path) -> None:
    rows = ["Bad,1" if row == 5 else "-9999.0,2" if row == 9 else f"{row % 7},{row % 5}" for row in range(200)]
    (tmp_path / "marked.csv").write_text("\n".join(["power,speed", *rows]))
    how: dict[str, Any] = {"target": "power", "horizon": 1, "missing": "drop"}
    streams = Streams.from_table(tmp_path / "marked.csv", missing_values=["Bad", "Bda", -9999, -999, "NA"], **how)
    assert streams.about["marks_in_no_cell"] == ["Bda", "-999"]
    (missing,) = [line.taken[0] for line in first_lines(streams.about) if line.about[0] == "missing"]
    assert missing.startswith("NO CELL HOLDS 'Bda', '-999' (--missing-values); 2 of 200 rows dropped")
    assert not Streams.from_table(tmp_path / "marked.csv", missing_values=["Bad", -9999], **how).about[
        "marks_in_no_cell"
    ]
