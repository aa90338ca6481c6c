"""Results print as the terminal shows them, and as a short table in a notebook; their repr is the dataclass's."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest

import outlast
from outlast import EvalSettings, RepairSettings, TrainSettings
from outlast.reporting import summary
from outlast.results import Result
from reporting.cases import CASES
from toys import small_gru, wave_streams


class Tags(HTMLParser):
    """Which elements are open at the end, and what is linked to."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.linked: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.linked += [name for name, _ in attrs if name in ("src", "href")]
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("result", [each for several in CASES.values() for each in several])
def test_every_kind(result: Result) -> None:
    assert str(result) == summary(result, python=True)
    assert repr(result).startswith(f"{type(result).__name__}(")
    html = result._repr_html_()
    assert html is not None
    tags = Tags()
    tags.feed(html)
    assert (tags.open, tags.linked) == ([], [])
    assert len(html) < 8000
    assert not re.search("<script|http", html)


def test_what_a_repair_returns_prints_as_its_result() -> None:
    done = outlast.repair(
        small_gru(), wave_streams(streams=48), train_context=8, intervention="zero",
        training=TrainSettings(steps=2, batch_size=4), measuring=EvalSettings(targets=32),
        repairing=RepairSettings(doses=(1.0,), control=False, anyway=True),
    )  # fmt: skip
    assert str(done) == str(done.result)
    assert done._repr_html_() == done.result._repr_html_()
    assert "<table>" in str(done.before._repr_html_())


def test_results_alone_print_as_dataclasses() -> None:
    """Without reporting nothing is drawn, and nothing fails."""
    code = (
        "import sys; from outlast.results import Training; r = Training({}, {}, {}, 1.0, []); "
        "assert 'outlast.reporting' not in sys.modules; assert str(r) == repr(r) and r._repr_html_() is None"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
