"""Pages whose figures are made from results: Markdown tables between two marks, the text around them by hand."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from outlast.errors import InputError
from outlast.intervals import level
from outlast.results import CompareRow, Comparison, Repair, Verdict, write_atomically

BEGIN, END = "<!-- figures: made by the recipe -->", "<!-- end of figures -->"


def named_marks(name: str) -> tuple[str, str]:
    """The two marks of one set of figures on a page that has several."""
    return f"<!-- figures of {name} -->", f"<!-- end of the figures of {name} -->"


def put_figures(page: Path, title: str, sections: Sequence[str], begin: str = BEGIN, end: str = END) -> None:
    """Replace what stands between two marks of `page` by `sections`; a page that is missing begins with `title`.

    Raises:
        InputError: a page without the two marks, in their order.
    """
    text = page.read_text() if page.exists() else f"# {title}\n\n{begin}\n{end}\n"
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise InputError(f"{page} without the marks {begin} and {end}", "both, in this order", "put them into the page")
    write_atomically(page, f"{before}{begin}\n\n" + "\n\n".join(sections) + f"\n\n{end}{after}")


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *lines))


def verdict_words(verdict: Verdict | None) -> str:
    """``fails from age 256``, ``robust``, …"""
    if verdict is None:
        return ""
    return verdict.name + (f" from age {verdict.from_age:,}" if verdict.from_age is not None else "")


def picked(result: Comparison) -> CompareRow:
    """The row that validation picked, of a comparison that has rows."""
    return next(row for row in result.rows if row.name == result.picked)


def short_change(repair: Repair) -> float:
    """How much short contexts changed in a repair, as a share of the base's loss there."""
    return repair.short_context.difference / repair.short_context.reference


def outcome(repair: Repair) -> str:
    """``yes``, or why it was refused."""
    because = repair.refused_because
    return "yes" if because is None else ", ".join(each.replace("_", " ") for each in (because.name, *because.also))


def with_ends(mean: float, low: float | None = None, high: float | None = None) -> str:
    """A signed figure with the ends of its interval."""
    return f"{mean:+.3f}" if low is None else f"{mean:+.3f} ({low:+.3f} to {high:+.3f})"


def compared(change: tuple[float, float, float], tolerance: float, unit: str) -> str:
    """What a page may say of a difference (mean, low, high; negative is lower): *level* only where that is shown."""
    told = f"{with_ends(*change)} {unit}"
    if level(change, tolerance):
        return f"level (equivalent within half a tolerance: {told})"
    if change[1] <= 0 <= change[2]:
        return f"not told apart ({told})"
    return f"{'lower' if change[2] < 0 else 'higher'} ({told})"


def main(write_page: Callable[[Path, Path], None]) -> None:
    """Write a page from the command line: ``FOLDER PAGE``, where FOLDER is the `out` of a finished recipe."""
    parser = argparse.ArgumentParser(description="Put the figures of a finished recipe into a page.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("page", type=Path)
    given = parser.parse_args()
    write_page(given.folder, given.page)
