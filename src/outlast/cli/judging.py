"""What can be said of a command before anything that it needs is loaded: a wrong word is answered at once.

What is not sure here is left to whatever reads it later, which says more.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from outlast.errors import InputError, unknown_name
from outlast.live.signing import signed

_COLUMNS = ("target", "inputs", "leave_out", "weight", "stream", "time")
"""Options that name columns of a table."""
_HEADED = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet")
"""Tables whose columns are known without reading them."""


def judge(options: Any) -> None:
    """Hold the options of a verb against what is known without its model and its data. Nothing here loads torch.

    Raises:
        InputError: names what is wrong.
    """
    if hasattr(options, "by") and hasattr(options, "ledger"):
        signed(options.by, getattr(options, "because", None), getattr(options, "note", None), typed=True)
    for name in ("model", "base", "repaired", "against"):
        if given := getattr(options, name, None):
            _model(str(given))
    for name in ("data", "stationary", "targets_file", "guard"):
        given = getattr(options, name, None)
        for path in given if isinstance(given, tuple) else filter(None, [given]):
            _data(path)
    if getattr(options, "data", None) is not None and hasattr(options, "target"):
        _columns(options.data, options)


def _model(name: str) -> None:
    """Raise InputError where there is nothing of this name, and it is neither a function nor a model on a hub."""
    from outlast.checkpoints.hub import is_id
    from outlast.checkpoints.mistaken import mistaken

    path = Path(name)
    if ":" not in name and not path.exists() and path.suffix != ".onnx" and not is_id(name, None):
        raise mistaken(path, ())


def _data(path: Path) -> None:
    from outlast.data.files.arrays import existing, is_pattern, matching

    if is_pattern(path):
        matching(path)
    else:
        existing(path)


def _columns(path: Path, options: Any) -> None:
    """Raise InputError for a column that a table does not have, unless a file beside it may have it."""
    beside = {"targets_file": ("target",), "static": ("inputs", "leave_out")}
    elsewhere = {name for file, names in beside.items() if getattr(options, file, None) for name in names}
    named = [name for name in _COLUMNS if name not in elsewhere]
    given = [(name, each) for name in named for each in _listed(getattr(options, name, None))]
    if not given or not path.is_file() or not path.name.lower().endswith(_HEADED):
        return
    from outlast.data.files.tables import open_table
    from outlast.schema import PLAIN

    encoding = getattr(options, "encoding", None)
    try:
        names = open_table(path, PLAIN if encoding is None else replace(PLAIN, encoding=encoding)).names
    except InputError:
        return
    for option, each in given:
        if each not in names:
            raise unknown_name(f"--{option.replace('_', '-')}: in {path}: column", each, names)


def _listed(value: Any) -> Iterable[str]:
    return (value,) if isinstance(value, str) else value or ()
