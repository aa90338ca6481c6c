"""docs/onnx.md: its example runs as it stands, and its table names what is there."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import outlast
from outlast.families import FAMILIES
from outlast.foreign import FORMATS
from outlast.schema import Column, Schema, Target

PAGE = Path(__file__).parents[2] / "docs" / "onnx.md"


def test_the_example_carries_the_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = outlast.build("lstm", inputs=outlast.InputSpec("features", 2), outputs=1, width=8)
    columns = (Column("power", 1.0, 2.0), Column("speed", 3.0, 4.0))
    model.schema = Schema(columns, Target("value", ("power",), (1,), means=(1.0,), stds=(2.0,)))
    monkeypatch.chdir(tmp_path)
    outlast.save(model, "model")
    names: dict[str, object] = {}
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    exec(compile(code, str(PAGE), "exec"), names)
    wanted = outlast.deploy(model).read(np.zeros((6, 2)))[-1]
    np.testing.assert_allclose(np.asarray(names["forecast"])[0, -1], wanted, rtol=0, atol=1e-5)


def test_every_family_and_every_directory_that_is_read_has_a_row() -> None:
    rows = dict(re.findall(r"^\| ([^|]+?) \| (yes|no) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    assert set(FAMILIES) | set(FORMATS) <= set(rows)
    assert {rows[name] for name in FAMILIES} == {"yes"}
