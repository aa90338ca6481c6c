"""A hub of one's own on this machine: what huggingface_hub asks for, answered over HTTP from folders."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit


@dataclass
class Hub:
    """Repositories by id and by branch, and what was asked.

    Args:
        folders: by ``owner/name`` and branch, what lies there. The commit is the hash of both.
        gated: ids of which only the list of files may be read.
        asked: method and path of every request.
    """

    folders: dict[str, dict[str, Path]]
    gated: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def commit(self, name: str, branch: str) -> str:
        return hashlib.sha1(f"{name}@{branch}".encode()).hexdigest()

    def folder(self, name: str, revision: str) -> tuple[str, Path] | None:
        """The commit and the folder of a branch, or of a commit itself."""
        for branch, folder in self.folders.get(name, {}).items():
            if revision in (branch, self.commit(name, branch)):
                return self.commit(name, branch), folder
        return None

    def fetched(self) -> set[str]:
        """Names of the files whose contents were sent."""
        return {path.rpartition("/")[2] for path in self.asked if path.startswith("GET") and "/resolve/" in path}


@contextmanager
def serving(folders: dict[str, dict[str, Path]], gated: set[str] = frozenset()) -> Iterator[Hub]:  # pyright: ignore
    """A hub that answers at `Hub.url` meanwhile."""
    hub = Hub(folders, set(gated))

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def log_message(self, format: str, *args: object) -> None:
            pass

        def _answer(self, body: bool) -> None:
            path = unquote(urlsplit(self.path).path)
            hub.asked.append(f"{self.command} {path}")
            api = path.startswith("/api/models/")
            parts = path.removeprefix("/api/models/").strip("/").split("/")
            name, verb, revision, rest = "/".join(parts[:2]), parts[2], parts[3], "/".join(parts[4:])
            if name not in hub.folders:
                return self._refuse(401 if api else 404, "RepoNotFound", body)
            if (found := hub.folder(name, revision)) is None:
                return self._refuse(404, "RevisionNotFound", body)
            commit, folder = found
            if api and verb == "revision":
                return self._send(json.dumps({"id": name, "sha": commit, "siblings": []}).encode(), commit, body)
            if api and verb == "tree":
                files = [
                    {
                        "type": "file",
                        "path": str(each.relative_to(folder)),
                        "size": each.stat().st_size,
                        "oid": "0" * 40,
                    }
                    for each in sorted(folder.rglob("*"))
                    if each.is_file()
                ]
                return self._send(json.dumps(files).encode(), commit, body)
            if name in hub.gated:
                return self._refuse(403, "GatedRepo", body)
            file = folder / rest
            if not file.is_file():
                return self._refuse(404, "EntryNotFound", body)
            return self._send(file.read_bytes(), commit, body)

        def _send(self, content: bytes, commit: str, body: bool) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", commit)
            self.end_headers()
            if body:
                self.wfile.write(content)

        def _refuse(self, status: int, code: str, body: bool) -> None:
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("X-Error-Message", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
