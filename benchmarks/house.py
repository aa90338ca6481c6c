"""How large the house is, and which room reads from which: two tables of docs/architecture.md (`make house`)."""

from __future__ import annotations

import ast
import statistics
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import outlast

PACKAGE = Path(outlast.__file__).parent
PAGE = Path(__file__).parents[1] / "docs" / "architecture.md"
LONG_FILE, LONG_FUNCTION = 500, 40
BEFORE = {"files": 523, "lines": 75_095, "median lines of a file": 121, "files with one reader": 198}
"""Of the package as it was before its rooms were sorted (commit ea76327)."""


@dataclass(frozen=True)
class Module:
    """One file: its lines, the lines of its functions, and the modules of the package that it imports."""

    name: str
    lines: int
    functions: list[int]
    reads: set[str]

    @property
    def room(self) -> str:
        return room_of(self.name)


def room_of(name: str) -> str:
    return name.partition(".")[0]


def modules() -> list[Module]:
    """Every module, without those that a ledger's migrations keep."""
    paths = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py")) if "migrations" not in path.parts}
    found = []
    for name, path in paths.items():
        text = path.read_text(encoding="utf-8")
        nodes = list(ast.walk(ast.parse(text)))
        functions = [
            (node.end_lineno or 0) - node.lineno + 1
            for node in nodes
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        ]
        reads = {read for node in nodes for read in imported(node, paths)} & set(paths) - {name}
        found.append(Module(name, len(text.splitlines()), functions, reads))
    return found


def name_of(path: Path) -> str:
    """The dotted name below `outlast`."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def imported(node: ast.AST, known: dict[str, Path]) -> list[str]:
    """Modules of the package that an import takes from; nothing of other nodes."""
    if isinstance(node, ast.Import):
        return [each.name.partition(".")[2] for each in node.names if room_of(each.name) == "outlast"]
    if not isinstance(node, ast.ImportFrom) or room_of(node.module or "") != "outlast":
        return []
    base = (node.module or "").partition(".")[2]
    longest = [f"{base}.{each.name}".strip(".") for each in node.names]
    return [each if each in known else base for each in longest]


def reads_of(found: list[Module]) -> dict[str, set[str]]:
    """The rooms that each room reads from."""
    reads: dict[str, set[str]] = {}
    for module in found:
        reads.setdefault(module.room, set()).update(room_of(each) for each in module.reads)
    return {room: read - {room} for room, read in reads.items()}


def of_rooms(found: list[Module]) -> str:
    """A row a room, from the bottom to the top: files, lines, and the rooms that it reads from."""
    rooms: dict[str, list[Module]] = {}
    for module in found:
        rooms.setdefault(module.room, []).append(module)
    reads = reads_of(found)
    rows = [
        f"| `{room}` | {len(rooms[room])} | {sum(module.lines for module in rooms[room]):,} "
        f"| {', '.join(sorted(reads[room])) or '–'} |"
        for room in ordered(reads)
    ]
    return "\n".join(["| room | files | lines | reads from |", "| --- | --- | --- | --- |", *rows])


def ordered(reads: dict[str, set[str]]) -> list[str]:
    """Rooms so that each stands below all that it reads from."""
    order: list[str] = []
    while len(order) < len(reads):
        free = sorted(room for room in reads if room not in order and reads[room] <= set(order))
        if not free:
            raise SystemExit(f"rooms in a circle: {sorted(set(reads) - set(order))}")
        order += free
    return order


def of_house(found: list[Module]) -> str:
    """Figures of the whole, beside those of before."""
    lengths = [module.lines for module in found]
    functions = [lines for module in found for lines in module.functions]
    readers = Counter(read for module in found for read in module.reads)
    now = {
        "files": len(lengths),
        "lines": sum(lengths),
        "median lines of a file": round(statistics.median(lengths)),
        "files with one reader": sum(readers[module.name] == 1 for module in found),
        f"files above {LONG_FILE} lines": sum(each > LONG_FILE for each in lengths),
        "functions": len(functions),
        "median lines of a function": round(statistics.median(functions)),
        f"functions above {LONG_FUNCTION} lines": sum(each > LONG_FUNCTION for each in functions),
    }
    rows = [f"| {what} | {f'{BEFORE[what]:,} ' if what in BEFORE else ''}| {value:,} |" for what, value in now.items()]
    return "\n".join(["| | before | now |", "| --- | --- | --- |", *rows])


def write(tables: dict[str, str]) -> None:
    """Write tables of the page between their marks."""
    text = PAGE.read_text(encoding="utf-8")
    for mark, table in tables.items():
        begin, end = f"<!-- table of {mark} -->\n", f"\n<!-- end of {mark} -->"
        before, _, rest = text.partition(begin)
        text = f"{before}{begin}\n{table}\n{end}{rest.partition(end)[2]}"
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    found = modules()
    write({"rooms": of_rooms(found), "house": of_house(found)})
