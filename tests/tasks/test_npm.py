"""Packages from an npm registry: a real server, a real archive, and what is refused."""

from __future__ import annotations

import functools
import hashlib
import http.server
import io
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from outlast import InputError
from outlast.tasks.prose import fetch_npm_folder


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A registry with one package; its SHA-256."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as packed:
        for name in ("package/texts/data/a.txt", "package/other.txt", "package/../outside.txt"):
            entry = tarfile.TarInfo(name)
            entry.size = 5
            packed.addfile(entry, io.BytesIO(b"words"))
    archive = tmp_path / "served" / "@scope" / "books" / "-" / "books-1.0.0.tgz"
    archive.parent.mkdir(parents=True)
    archive.write_bytes(content.getvalue())
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path / "served"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", f"http://127.0.0.1:{server.server_port}")
    yield hashlib.sha256(content.getvalue()).hexdigest()
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_folder_is_fetched_once(registry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ask = functools.partial(fetch_npm_folder, "@scope/books", "1.0.0", registry, "texts/data", tmp_path / "cache")
    folder = ask()
    assert (folder / "a.txt").read_bytes() == b"words"
    assert not list(tmp_path.rglob("outside.txt"))
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", "http://127.0.0.1:9")  # nobody answers there
    assert ask() == folder


@pytest.mark.parametrize(
    ("package", "sha256", "member", "said"),
    [
        ("@scope/books", "0" * 64, "texts/data", "do not use this file"),
        ("@scope/books", None, "absent", "no folder absent"),
        ("@scope/none", None, "texts/data", "could not be fetched"),
    ],
)
def test_what_is_refused_leaves_nothing(
    registry: str, tmp_path: Path, package: str, sha256: str | None, member: str, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        fetch_npm_folder(package, "1.0.0", sha256 or registry, member, tmp_path / "cache")
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []
