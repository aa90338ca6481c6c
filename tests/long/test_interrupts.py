"""A test that raises KeyboardInterrupt fails alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

TESTS = """
import signal

def test_raises(): raise KeyboardInterrupt
def pressed(*_): raise KeyboardInterrupt
def test_is_sent_one():
    signal.signal(signal.SIGINT, pressed)
    signal.raise_signal(signal.SIGINT)
def test_comes_after():
    assert signal.getsignal(signal.SIGINT) is not pressed
"""


def test_the_others_of_its_process_go_on(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text(TESTS)
    words = [sys.executable, "-m", "pytest", "-n", "1", "-p", "conftest", "-p", "no:cacheprovider", "test_some.py"]
    around = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(words, cwd=tmp_path, env=around, capture_output=True, text=True, timeout=120)
    assert "2 failed, 1 passed" in done.stdout, done.stdout
    assert done.stdout.count("a KeyboardInterrupt left the test") >= 2
