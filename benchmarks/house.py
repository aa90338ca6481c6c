"""How large the house is, and which room reads from which: two tables of docs/architecture.md (`make house`)."""

from __future__ import annotations

import ast
import statistics
from collections import defaultdict
from pathlib import Path

import outlast

PACKAGE = Path(outlast.__file__).parent
PAGE = Path(__file__).parents[1] / "docs" / "architecture.md"
LONG_FILE, LONG_FUNCTION = 500, 40
BEFORE = {"files": 523, "lines": 75_095, "median lines of a file": 121, "files with one reader": 198}
"""Of the package as it was before its rooms were sorted (commit ea76327)."""


def files() -> list[Path]:
    """Every module, without those that a ledger's migrations keep."""
    return sorted(path for path in PACKAGE.rglob("*.py") if "migrations" not in path.parts)


def name_of(path: Path) -> str:
    """The dotted name below `outlast`."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def room_of(name: str) -> str:
    return name.partition(".")[0]


def readings() -> dict[str, set[str]]:
    """By module, the modules of the package that it imports, wherever in the file that stands."""
    known = {name_of(path): path for path in files()}
    found: dict[str, set[str]] = defaultdict(set)
    for name, path in known.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "outlast":
                base = (node.module or "").partition(".")[2]
                for each in node.names:
                    longest = f"{base}.{each.name}".strip(".")
                    found[name].add(longest if longest in known else base)
            elif isinstance(node, ast.Import):
                found[name] |= {each.name.partition(".")[2] for each in node.names if each.name.startswith("outlast.")}
        found[name] &= set(known)
        found[name] -= {name}
    return dict(found)


def of_rooms() -> str:
    """A row a room, from the bottom to the top: files, lines, and the rooms that it reads from."""
    reads, lines, count = defaultdict(set), defaultdict(int), defaultdict(int)
    for path in files():
        room = room_of(name_of(path))
        lines[room] += len(path.read_text(encoding="utf-8").splitlines())
        count[room] += 1
        reads[room] |= {room_of(each) for each in readings_of(path)} - {room}
    rows = [
        f"| `{room}` | {count[room]} | {lines[room]:,} | {', '.join(sorted(reads[room])) or '–'} |"
        for room in ordered(reads)
    ]
    return "\n".join(["| room | files | lines | reads from |", "| --- | --- | --- | --- |", *rows])


def readings_of(path: Path) -> set[str]:
    return _READINGS.get(name_of(path), set())


def ordered(reads: dict[str, set[str]]) -> list[str]:
    """Rooms so that each stands below all that it reads from."""
    order: list[str] = []
    while len(order) < len(reads):
        free = sorted(room for room in reads if room not in order and reads[room] <= set(order))
        if not free:
            raise SystemExit(f"rooms in a circle: {sorted(set(reads) - set(order))}")
        order += free
    return order


def of_house() -> str:
    """Figures of the whole, beside those of before."""
    lengths = [len(path.read_text(encoding="utf-8").splitlines()) for path in files()]
    functions = [
        (node.end_lineno or 0) - node.lineno + 1
        for path in files()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    readers: dict[str, int] = defaultdict(int)
    for each in _READINGS.values():
        for name in each:
            readers[name] += 1
    now = {
        "files": len(lengths),
        "lines": sum(lengths),
        "median lines of a file": round(statistics.median(lengths)),
        "files with one reader": sum(1 for path in files() if readers[name_of(path)] == 1),
        f"files above {LONG_FILE} lines": sum(each > LONG_FILE for each in lengths),
        "functions": len(functions),
        "median lines of a function": round(statistics.median(functions)),
        f"functions above {LONG_FUNCTION} lines": sum(each > LONG_FUNCTION for each in functions),
    }
    rows = [
        f"| {what} | {BEFORE[what]:,} | {value:,} |" if what in BEFORE else f"| {what} | | {value:,} |"
        for what, value in now.items()
    ]
    return "\n".join(["| | before | now |", "| --- | --- | --- |", *rows])


_READINGS = readings()


def main() -> None:
    """Write both tables between their marks."""
    text = PAGE.read_text(encoding="utf-8")
    for mark, table in (("rooms", of_rooms()), ("house", of_house())):
        begin, end = f"<!-- table of {mark} -->\n", f"\n<!-- end of {mark} -->"
        before, _, rest = text.partition(begin)
        text = f"{before}{begin}\n{table}\n{end}{rest.partition(end)[2]}"
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
