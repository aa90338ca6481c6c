"""The figures of a recipe on the power stream as Markdown tables: every family, who fails and who is repaired."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.pages.marks import (
    main,
    outcome,
    picked,
    put_figures,
    short_change,
    table,
    verdict_words,
    with_ends,
)
from outlast.errors import InputError
from outlast.results import CompareRow, Comparison, Evaluation
from outlast.tasks.recipe_run import comparisons_in


def write_page(folder: Path, page: Path) -> None:
    """Put the tables of all finished comparisons in `folder`, one folder a model and seed, into `page`.

    Raises:
        InputError: none is finished.
    """
    runs = {path.name: result for path, result in comparisons_in(folder).items()}
    if not runs:
        raise InputError(f"no finished run in {folder}", "folders with a result.json", "run the recipe first")
    put_figures(page, "The families", [_intro(runs), _summary(runs), _bases(runs), _picks(runs), *_repairs(runs)])


def _intro(runs: dict[str, Comparison]) -> str:
    base = next(iter(runs.values())).base
    steps = sorted({row.repair.steps for result in runs.values() for row in result.rows})
    failing = [name for name, result in runs.items() if result.base.verdict and result.base.verdict.name == "fails"]
    repaired = [name for name in failing if runs[name].winner is not None]
    whom = f" ({', '.join(failing)}); of these, a repair was accepted for {len(repaired)}" if failing else ""
    return (
        f"{len(runs)} models, all with the same data, training context ({base.train_context} minutes), steps and "
        f"learning rates; every repair got {' or '.join(f'{n:,}' for n in steps)} steps. {base.oldest.n} test streams "
        f"of {base.data['length_used']:,} minutes, measured at ages {base.oldest.age[0]:,} to "
        f"{base.oldest.age[1] - 1:,}. Losses are {base.measure.replace('_', ' ')} in {base.unit}; intervals are "
        f"95 % over {_units(base)}.\n\nOf {len(runs)} bases {len(failing)} fail{whom}."
    )


def _units(base: Evaluation) -> str:
    return f"{len(set(base.blocks))} blocks of neighbouring streams" if base.blocks else "streams"


def _summary(runs: dict[str, Comparison]) -> str:
    """Over the seeds of each family: how many bases fail, how many are repaired, and by how much on average."""
    families: dict[str, list[Comparison]] = {}
    for name, result in runs.items():
        families.setdefault(name.rpartition("-")[0], []).append(result)
    lines = []
    for family, results in families.items():
        verdicts = [result.base.verdict.name for result in results if result.base.verdict]
        picks = [picked(result).repair for result in results if result.rows]
        means = [[pick.benefit.rivals[rival][0] for pick in picks] for rival in ("periodic_reset", "overlapping_reset")]
        lines.append(
            [
                family,
                ", ".join(f"{verdicts.count(name)} {name}" for name in dict.fromkeys(verdicts)),
                str(len(results) - len(picks)),
                f"{sum(result.winner is not None for result in results)} of {len(picks)}" if picks else "",
                f"{100 * np.mean([short_change(pick) for pick in picks]):+.2f} %" if picks else "",
                *(f"{np.mean(values):+.3f}" if values else "" for values in means),
            ]
        )
    head = ["family", "verdicts", "nothing to repair", "accepted", "short contexts", "against the base, reset"]
    words = (
        "By family, over its seeds. *Nothing to repair* is what validation said; figures are means over the others' "
    )
    return words + "picks.\n\n" + table([*head, "against two copies"], lines)


def _bases(runs: dict[str, Comparison]) -> str:
    lines = []
    for name, result in runs.items():
        base = result.base
        assert base.verdict is not None
        assert base.short is not None
        reset = base.resets["periodic_reset"]
        lines.append(
            [
                name,
                f"{base.model['parameters']:,}",
                verdict_words(base.verdict),
                f"{base.short.loss:.3f}",
                f"{base.oldest.loss:.3f}",
                with_ends(base.verdict.excess, base.verdict.low, base.verdict.high),
                f"{reset.loss:.3f} (every {reset.every:,})",
            ]
        )
    head = ["base", "parameters", "verdict", "best short age", "oldest age", "excess", "periodic reset"]
    return "Who fails:\n\n" + table(head, lines)


def _cells(row: CompareRow) -> list[str]:
    repair = row.repair
    verdict = repair.after.verdict
    assert verdict is not None
    return [
        row.name,
        verdict_words(verdict),
        f"{repair.after.oldest.loss:.3f}",
        f"{100 * short_change(repair):+.2f} %",
        *(with_ends(*repair.benefit.rivals[rival]) for rival in ("base", "periodic_reset", "overlapping_reset")),
        outcome(repair),
    ]


_REPAIR_HEAD = ["repair", "verdict", "oldest age", "short contexts", "against the base", "against the base, reset"]
_REPAIR_HEAD += ["against two copies", "accepted"]


def _picks(runs: dict[str, Comparison]) -> str:
    lines = [
        [name, *_cells(picked(result))] if result.rows else [name, "–", *[""] * 6, "nothing to repair"]
        for name, result in runs.items()
    ]
    return (
        "Who is repaired: what validation picked, on test streams. Differences are repaired minus rival; negative is "
        "better. Two copies, reset in turns, cost twice as much.\n\n" + table(["model", *_REPAIR_HEAD], lines)
    )


def _repairs(runs: dict[str, Comparison]) -> list[str]:
    """Every repair on every model, one table a repair."""
    names = list(dict.fromkeys(row.name for result in runs.values() for row in result.rows))
    tables = []
    for name in names:
        lines = [[model, *_cells(row)[1:]] for model, result in runs.items() for row in result.rows if row.name == name]
        tables.append(f"`{name}` on every model:\n\n" + table(["model", *_REPAIR_HEAD[1:]], lines))
    return tables


if __name__ == "__main__":
    main(write_page)
