"""Command lines, good and bad, and what each gives: the options that are not the verb's defaults, or the message.

``python tests/surface/lines.py`` writes down anew what the lines of lines.jsonl give.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from outlast.cli import _named, _options
from outlast.cli.options import VERBS
from outlast.cli.parsing import parse
from outlast.errors import InputError, in_a_shell

RECORDED = Path(__file__).parent / "lines.jsonl"


def recorded() -> list[dict[str, Any]]:
    return [json.loads(line) for line in RECORDED.read_text(encoding="utf-8").splitlines()]


def given(entry: dict[str, Any]) -> dict[str, Any]:
    """What a line gives: ``options``, ``message`` or the first line of its help; {config}: a file with its `config`."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), in_a_shell(_options()):
        Path("options.toml").write_text(entry.get("config", ""), encoding="utf-8")
        words = [word.replace("{config}", "options.toml") for word in entry["line"]]
        name, rest = _named(words)
        said = io.StringIO()
        try:
            with contextlib.redirect_stdout(said):
                return {"options": _told(parse(VERBS[name], rest))}
        except InputError as error:
            return {"message": str(error).split("\n")}
        except SystemExit as stop:
            return {"status": stop.code, "says": said.getvalue().splitlines()[0]}


def _told(options: Any) -> dict[str, str]:
    """The options that are not the defaults, each with its type."""
    found = {}
    for item in dataclasses.fields(options):
        value = getattr(options, item.name)
        made = item.default_factory() if item.default_factory is not dataclasses.MISSING else item.default
        if made is dataclasses.MISSING or value != made or type(value) is not type(made):
            found[item.name] = repr(value).replace("PosixPath", "Path")
    return found


if __name__ == "__main__":
    os.environ["COLUMNS"] = "100"
    lines = [json.dumps({**entry, "gives": given(entry)}, ensure_ascii=False) for entry in recorded()]
    RECORDED.write_text("\n".join(lines) + "\n", encoding="utf-8")
