"""The paper's claims against made-up rows that are known to agree or not, and rows as a recipe leaves them."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.pages.language import cipher_sections
from benchmarks.pages.reproduction import CLAIMS, KEPT, SP, TBTT, agreement, sections
from outlast import InputError
from outlast.cli import main
from outlast.tasks.kept_rows import keep_row, rows_in

pytestmark = pytest.mark.xdist_group("reproduction")  # one process: what they all read is made once

RECIPE = """
[scales.small]
task = "recall"
out = "out"
rows = "rows.jsonl"
jobs = 1
base = { steps = 4, batch_size = 2 }
repair = { steps = 2, batch_size = 2 }
method = { anyway = true, doses = [1.0] }
measuring = { targets = 32, max_length = 512 }
remembrance = 300
[[scales.small.models]]
name = "a"
family = "gru"
settings = { width = 8, layers = 1 }
seeds = [0]
[[scales.small.models]]
name = "b"
family = "gru"
settings = { width = 8, layers = 1 }
training = { steps = 2 }
seeds = [0]
[[scales.small.repairs]]
intervention = "tbtt"
models = ["a"]
[[scales.small.repairs]]
intervention = "state_passing"
models = ["b"]
[[scales.small.trained]]
name = "plain"
models = ["a"]
"""


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("recipe")
    (folder / "small.toml").write_text(RECIPE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["recipe", "small.toml", "--scale", "small"]) == 0
        found = rows_in(Path("rows.jsonl"))
        assert main(["recipe", "small.toml", "--scale", "small"]) == 0  # nothing is left to run
        assert rows_in(Path("rows.jsonl")) == found
    return found


def test_a_finished_model_leaves_a_row_with_all_its_figures(rows: list[dict[str, Any]]):
    assert [row["id"] for row in rows] == ["a-0", "b-0"]
    a, b = rows
    assert list(a["rows"]) == ["base", "tbtt"]
    assert list(a["trained"]) == ["plain"]
    assert len(b["rows"]) == 2
    assert b["trained"] == {}
    assert a["rows"]["base"]["ages"] != b["rows"]["base"]["ages"]  # trained for other steps
    for measured in (a["rows"]["base"], a["rows"]["tbtt"], a["trained"]["plain"]):
        assert measured["remembrance"]["context"] == 300
        assert measured["positions"][-1]["end"] == 512
        assert measured["verdict"]["name"]
    assert a["rows"]["tbtt"]["repair"]["steps"] == 2
    assert "per_stream" not in json.dumps(rows)


@pytest.mark.parametrize(("scale", "said"), [((), "--scale small"), (("--scale", "big"), "big")])
def test_scales_are_asked_for_by_name(
    tmp_path: Path, scale: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
):
    path = tmp_path / "small.toml"
    path.write_text(RECIPE)
    assert main(["recipe", str(path), *scale]) == 2
    assert said in capsys.readouterr().err


def test_kept_rows_are_replaced_by_id_and_refused_where_damaged(tmp_path: Path):
    path = tmp_path / "rows.jsonl"
    for row in ({"id": "b", "x": 1.23456789}, {"id": "a", "x": [1]}, {"id": "b", "x": 2.0}):
        keep_row(path, row)
    assert rows_in(path) == [{"id": "a", "x": [1]}, {"id": "b", "x": 2.0}]
    path.write_text('{"x": 1}\n')
    with pytest.raises(InputError, match="cannot be read"):
        rows_in(path)


def _row(curves: dict[str, tuple[float, float]], plateaus: dict[str, float], seed: int) -> dict[str, Any]:
    """A model whose rows have these losses just past T = 64 and at the last positions."""

    def measured(name: str) -> dict[str, Any]:
        past, last = curves[name]
        ages = [{"age": [32, 64], "loss": past}, {"age": [64, 128], "loss": past}, {"age": [512, 1024], "loss": last}]
        return {
            "ages": ages,
            "positions": [
                {"start": 64, "end": 128, "loss": past},
                {"start": 512, "end": 1024, "loss": last},
            ],
            "state": [
                {"position": 64, "part": "layers.0.state", "std": 1.0},
                {"position": 1024, "part": "layers.0.state", "std": 2.25},
            ],
            "remembrance": {"plateau": {"mean": plateaus[name]}},
            "verdict": {"name": "fails"},
            "resets": {"overlapping_reset": [64, past]},
            "controls": {},
        }

    return {
        "id": f"m-{seed}",
        "model": "m",
        "task": "cipher",
        "seed": seed,
        "parameters": 1,
        "train_context": 64,
        "rows": {"base": measured("base")},
        "trained": {name: measured(name) for name in curves if name != "base"},
    }


LIKE_THE_PAPER = {"base": (2.0, 2.5), SP: (2.0, 2.0), TBTT: (2.0, 1.99)}
UNLIKE = {"base": (2.0, 2.0), SP: (2.0, 2.5), TBTT: (2.0, 2.6)}
JUDGED = (
    "the base fails past its training context",
    "state passing is flat",
    "state passing is better than the base at the end",
    "TBTT is flat",
    "TBTT is a little below state passing",
    "after state passing it is not",
)


def _told(rows: list[dict[str, Any]]) -> dict[str, str]:
    found = {}
    for claim in (each for each in CLAIMS if each.rows == "paper-language.jsonl"):
        finding = claim.judge(rows)
        if finding is not None:
            found[claim.says] = agreement(finding.agrees)
    return found


def test_claims_agree_with_what_the_paper_saw_and_not_with_its_contrary():
    agreeing = [_row(LIKE_THE_PAPER, {"base": 0.67, SP: 0.06, TBTT: 0.06}, seed) for seed in (1, 2)]
    contrary = [_row(UNLIKE, {"base": 0.67, SP: 0.6, TBTT: 0.6}, seed) for seed in (1, 2)]
    for says in JUDGED:
        assert _told(agreeing)[says] == "yes (2 of 2)", says
        assert _told(contrary)[says] == "no (0 of 2)", says
        assert _told([agreeing[0], contrary[0]])[says] == "on 1 of 2 seeds", says
    assert "fitted noise is flat" not in _told(agreeing)  # it was not run


def test_answers_are_compared_where_they_are_farthest():
    def measured(near: float, far: float) -> dict[str, Any]:
        labels = [{"value": "near", "loss": near}, {"value": "far", "loss": far}, {"value": "never", "loss": None}]
        whole = {"loss": (near + far) / 2}
        return {"controls": {"longer": {"slices": {"all": whole, "labels": {"length": labels}}}}}

    row = {"seed": 1, "model": "m", "train_context": 64, "rows": {"base": measured(0.1, 0.73)}}
    row["trained"] = {SP: measured(0.2, 0.53), "plain, 500 steps": measured(0.0, 0.5)}
    copying = [each for each in CLAIMS if each.rows == "paper-copying.jsonl"]
    found = [each.judge([row]) for each in copying]
    assert [each and each.agrees for each in found] == [[True], [False]]
    assert found[0] is not None
    assert found[0].ours == "right at far: 0.47 against 0.27"


def test_pages_are_made_of_the_rows(tmp_path: Path, rows: list[dict[str, Any]]):
    made = _row(LIKE_THE_PAPER, {"base": 0.67, SP: 0.06, TBTT: 0.06}, 1)
    keep_row(tmp_path / "paper-language.jsonl", copy.deepcopy(made))
    page = "\n".join(sections(tmp_path))
    assert "| the base fails past its training context | Mamba-2 370M 7.9 → 12.3" in page
    assert "7.39 → 12.18" in page
    told = "\n".join(cipher_sections(rows))
    assert "0 of 1" in told or "1 of 1" in told
    assert "| plain |" in told


def test_what_every_row_answers_alike_is_not_measurable() -> None:
    """Few-shot stories: on seeds 201 and 203 every row names the same place always."""
    told = "\n".join(sections(KEPT))
    assert "| not measurable (on 2 of 3 seeds) | TBTT below the base over all few-shot questions |" in told
    assert agreement([True, None, False]) == "on 1 of 2 seeds"
    assert agreement([None, None]) == "not measurable (on 2 of 2 seeds)"


def test_kept_rows_say_whose_spread_of_states_state_passing_flattens() -> None:
    told = "\n".join(sections(KEPT)).split("### language: ")[1:]
    flat = {each.split("\n")[0]: next(line for line in each.split("\n") if "flattens" in line) for each in told}
    assert {name: line.split(" | ")[4] for name, line in flat.items()} == {
        "gla": "no (0 of 5)",
        "mamba": "no (0 of 3)",
        "mamba2": "yes (3 of 3)",
        "rwkv6": "no (0 of 3)",
    }
