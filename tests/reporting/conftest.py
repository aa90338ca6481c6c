"""Pages and a browser, each made once."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from reporting.cases import Pages


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-told", action="store_true", help="write what pages say to tests/reporting/told")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever looks at pages runs in one process, so that each is drawn once."""
    for item in items:
        if "pages" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("pages"))


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Pages:
    return Pages(tmp_path_factory.mktemp("pages"))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The machine's own Chromium."""
    path = shutil.which("chromium")
    assert path, "the tests look at reports in Chromium: install the package chromium"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path)
        yield started
        started.close()
