"""Whether this checkout gives the very outputs of another commit: ``make same-as REF=<commit>``.

Both make the same small things (`benchmarks/golden.py`) on this machine, one thread each, side by side: bits differ
between processors, so none are committed. What is read here, and by which rule:

- seconds, dates, versions and folders are left out, all else is compared bit by bit;
- below ``foreign/``, directories of other libraries, numbers are compared to rounding;
- this checkout also loads what the other one saved, and reads on with it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from safetensors import safe_open

HERE = Path(__file__).resolve().parents[1]
ROUNDING = 1e-5
"""Relative to the largest number of an array, for directories of other libraries."""
UNTOLD = {"seconds", "cost", "outlast", "versions", "started", "ended", "created", "default_cost", "spent"}
"""Keys of JSON whose values are of the clock or of the machine."""
_UNITS = "milliseconds|seconds|minutes|hours|ms|min|s|h|秒|分|時間"
TIMES = re.compile(
    rf"\b\d[\d.,]*(?: |&nbsp;|\u202f)?(?:{_UNITS})(?!\w)"
    r"|(?<=core-hours)(?:</dt><dd>|: )[\d.]+|(?<=コア時間)(?:</dt><dd>|：)[\d.]+"
    r"|data-sort=\"[\d.]*\"(?= data-label=\"(?:time|時間)\")"
)
HASH = re.compile(r"\b[0-9a-f]{64}\b")
"""Of models and data: where their bits differ, these differ as well, and an .onnx file tells where its code lay."""
DATES = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ref", help="a commit, a tag or a branch to be equal to")
    parser.add_argument("--keep", type=Path, help="folder for both sets of outputs; otherwise they are removed")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        kept = asked.keep or Path(folder)
        checkout = Path(folder) / "checkout"
        _git("worktree", "add", "--detach", "--quiet", str(checkout), asked.ref)
        try:
            return _compared(checkout, kept.resolve(), asked.ref)
        finally:
            _git("worktree", "remove", "--force", str(checkout))


def _compared(checkout: Path, kept: Path, ref: str) -> int:
    sides = {"theirs": checkout, "ours": HERE}
    running = {name: _make(source, kept / name) for name, source in sides.items()}
    failed = [name for name, process in running.items() if process.wait()]
    if failed:
        print(f"the outputs could not be made: {', '.join(failed)}")
        return 2
    if _make(HERE, kept / "ours", "--load", str(kept / "theirs")).wait():
        print(f"what {ref} saved is not loaded as it was")
        return 1
    found = list(differences(kept / "theirs", kept / "ours"))
    for line in found[:20]:
        print(line)
    print(f"{len(found)} outputs differ from those of {ref}" if found else f"all outputs are those of {ref}")
    return 1 if found else 0


def _git(*words: str) -> None:
    subprocess.run(["git", "-C", str(HERE), *words], check=True)


def _make(source: Path, folder: Path, *more: str) -> subprocess.Popen[bytes]:
    """A process that makes the outputs in `folder` with the package below `source`."""
    folder.mkdir(parents=True, exist_ok=True)
    surroundings = {
        **{name: value for name, value in os.environ.items() if not name.startswith("OUTLAST_")},
        "PYTHONPATH": str(source / "src"),
        "PYTHONHASHSEED": "0",
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "100",
        "TZ": "UTC",
    }
    maker = HERE / "benchmarks" / "golden.py"
    return subprocess.Popen([sys.executable, str(maker), *more], cwd=folder, env=surroundings)


def differences(theirs: Path, ours: Path) -> Iterator[str]:
    """One line for each output that differs: where, and its first difference."""
    names = sorted(
        {str(each.relative_to(side)) for side in (theirs, ours) for each in side.rglob("*") if each.is_file()}
    )
    for name in names:
        if "__pycache__" in name or ".db" in name:  # a ledger holds moments; what is read of it is compared
            continue
        a, b = theirs / name, ours / name
        if not a.exists() or not b.exists():
            yield f"{name}: only {'ours' if b.exists() else 'theirs'}"
        elif (first := _first(name, a, b)) is not None:
            yield f"{name}{first}"


def _first(name: str, a: Path, b: Path) -> str | None:
    kind = Path(name).suffix
    close = name.startswith("foreign/")
    if kind in (".json", ".jsonl"):
        return _in_records(_records(a), _records(b), close)
    if kind == ".npz":
        return _in_arrays(*(dict(np.load(each)) for each in (a, b)), close=close)
    if kind == ".safetensors":
        return _in_arrays(*map(_tensors, (a, b)), close=close)
    if kind == ".onnx":
        return None if _graph(a) == _graph(b) else ": another graph"
    if kind in (".html", ".txt", ".md", ".svg", ".toml", ".csv"):
        return _in_text(*(_untimed(each.read_text(encoding="utf-8")) for each in (a, b)))
    return None if a.read_bytes() == b.read_bytes() else ": other bytes"


def _records(path: Path) -> Any:
    text = path.read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()] if path.suffix == ".jsonl" else json.loads(text)


def _in_records(a: Any, b: Any, close: bool) -> str | None:
    """The first difference of two JSON documents, as ``.key[3]: theirs, ours``; the order of keys counts."""
    if isinstance(a, dict) and isinstance(b, dict):
        known = [key for key in a if key not in UNTOLD]
        if known != [key for key in b if key not in UNTOLD]:
            odd = sorted({*a} ^ {*b})
            return f": keys {odd}" if odd else ": keys in another order"
        inner: list[tuple[str, Any, Any]] = [(f".{key}", a[key], b[key]) for key in known]
    elif isinstance(a, list) and isinstance(b, list):
        if len(a) != len(b):
            return f": {len(a)} and {len(b)} entries"
        inner = [(f"[{i}]", *pair) for i, pair in enumerate(zip(a, b, strict=True))]
    elif isinstance(a, str) and isinstance(b, str):
        return _in_text(_untimed(a), _untimed(b))
    else:
        if close and isinstance(a, float) and isinstance(b, float):
            same = abs(a - b) <= ROUNDING * max(1, abs(a))
        else:
            same = type(a) is type(b) and a == b
        return None if same else f": {a!r}, {b!r}"
    found = ((place, _in_records(x, y, close)) for place, x, y in inner)
    return next((place + first for place, first in found if first is not None), None)


def _tensors(path: Path) -> dict[str, Any]:
    with safe_open(path, "pt") as file:
        held = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        arrays = {
            name: np.asarray(value.float() if value.is_floating_point() else value) for name, value in held.items()
        }
        return {**arrays, "its metadata": np.array(_untimed(json.dumps(file.metadata(), sort_keys=True)))}


def _graph(path: Path) -> bytes:
    """A file without the places in the source that its nodes come from."""
    model = onnx.load(path)
    waiting: list[Any] = [model.graph, *model.functions]
    for part in waiting:
        for node in part.node:
            node.ClearField("metadata_props")
            node.ClearField("doc_string")
            waiting += [each.g for each in node.attribute if each.HasField("g")]
    return model.SerializeToString(deterministic=True)


def _in_arrays(a: dict[str, Any], b: dict[str, Any], *, close: bool) -> str | None:
    if sorted(a) != sorted(b):
        return f": arrays {sorted({*a} ^ {*b})}"
    for name in sorted(a):
        x, y = a[name], b[name]
        if x.shape != y.shape or x.dtype != y.dtype:
            return f" {name}: {x.dtype} {x.shape}, {y.dtype} {y.shape}"
        numbers = np.issubdtype(x.dtype, np.floating) and x.size
        if numbers and close:
            far = np.abs(x - y).max() > ROUNDING * max(1.0, np.abs(x).max())
        else:
            far = x.tobytes() != y.tobytes()
        if far:
            worst = f", by at most {np.abs(x - y).max():.3g}" if numbers else ""
            return f" {name} {x.shape}: other {'numbers' if numbers else 'values'}{worst}"
    return None


def _in_text(a: str, b: str) -> str | None:
    """The first line that differs, around where it does."""
    if a == b:
        return None
    lines: list[list[str]] = [a.split("\n"), b.split("\n")]
    at = next((i for i, (x, y) in enumerate(zip(*lines, strict=False)) if x != y), min(map(len, lines)))
    x, y = (each[at] if at < len(each) else "" for each in lines)
    place = next((i for i, (p, q) in enumerate(zip(x, y, strict=False)) if p != q), min(len(x), len(y)))
    around = slice(max(0, place - 40), place + 60)
    return f" line {at + 1}: {x[around]!r}, {y[around]!r}"


def _untimed(text: str) -> str:
    for pattern, instead in ((DATES, "a date"), (TIMES, "a time"), (HASH, "a hash")):
        text = pattern.sub(instead, text)
    return text


if __name__ == "__main__":
    sys.exit(main())
