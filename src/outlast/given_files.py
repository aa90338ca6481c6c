"""Files that somebody names or hands over: looked at before a byte of them is read.

A pipe may be waited for without end, and a device has no end at all; a small file can ask for far more work than it has
bytes.
"""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any

from outlast.errors import InputError

MOST_TOML = 2**20
"""Bytes of a TOML file of options; the longest recipe has some thousand."""
_MOST_DOTS = 1000
"""Between two signs of equality or ends of a line; a key's parts are looked up once for every part before them."""


def require_regular(path: Path) -> Path:
    """The path, unless a pipe, a socket or a device is there, or among the files of the folder there.

    Raises:
        InputError: it names what is there.
    """
    try:
        inside = [Path(each.path) for each in os.scandir(path)] if path.is_dir() else [path]
        odd = [each for each in inside if each.exists() and not each.is_file() and not each.is_dir()]
    except (OSError, ValueError):  # whoever reads it says more of what is wrong
        return path
    if odd:
        raise InputError(
            f"{odd[0]}, which is a pipe, a socket or a device",
            "regular files",
            "remove it, or write a file there",
        )
    return path


def read_toml(path: str | Path) -> dict[str, Any]:
    """What a TOML file of options says.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no TOML, is longer than a mebibyte, or has a key of more than a thousand parts.
        RecursionError: it is nested too deep.
        InputError: it is a pipe or a device.
    """
    with require_regular(Path(path)).open("rb") as file:
        content = file.read(MOST_TOML + 1)
    if len(content) > MOST_TOML:
        raise ValueError(f"it is longer than {MOST_TOML:,} bytes")
    text = content.decode()
    if any(part.count(".") > _MOST_DOTS for part in re.split("[=\n]", text)):
        raise ValueError(f"a line of it has more than {_MOST_DOTS:,} dots")
    return tomllib.loads(text)
