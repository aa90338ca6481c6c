"""One thread for every test process: tests run side by side, and bits must not depend on how many cores there are."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch loads its threads
os.environ.setdefault("OMP_NUM_THREADS", "1")  # for the processes that tests start

import pytest
import torch

if TYPE_CHECKING:
    from live.postgres import Server

torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest by far, and two processes of its own, begins first: else one core waits for it at the end."""
    items.sort(key=lambda item: not item.path.match("long/test_versions.py"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """A KeyboardInterrupt that leaves a test is that test's failure, and does not end the others of its process. Where
    tests run side by side, nobody else's can come: Ctrl-C goes to the process that deals them out."""
    try:
        return (yield)
    except KeyboardInterrupt as stop:
        if not hasattr(item.config, "workerinput"):
            raise
        raise AssertionError("a KeyboardInterrupt left the test") from stop


@pytest.fixture(autouse=True)
def signals_as_they_were() -> Iterator[None]:
    """A test that changes what a signal does leaves the next one as it was."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(autouse=True)
def denormals_as_they_were() -> Iterator[None]:
    """The command line flushes denormal numbers in its thread; a test that calls it leaves the next one as it was."""
    yield
    torch.set_flush_denormal(False)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server, for tests marked `long`."""
    from live.postgres import Server

    server = Server()
    yield server
    server.remove()
