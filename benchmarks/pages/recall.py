"""The figures of the recall recipe as Markdown tables, drawn from result files only."""

from __future__ import annotations

import math
from pathlib import Path

from benchmarks.pages.marks import main, outcome, put_figures, short_change, table, verdict_words, with_ends
from outlast.results import Comparison, Evaluation, load_as


def write_page(folder: Path, page: Path) -> None:
    """Put the tables of the comparison in `folder` into `page`."""
    result = load_as(folder, Comparison)
    put_figures(page, "Streaming recall", [_intro(result), _verdicts(result), _ages(result), _distances(result)])


def _rows(result: Comparison) -> list[tuple[str, Evaluation]]:
    return [("base", result.base), *((row.name, row.repair.after) for row in result.rows)]


def _intro(result: Comparison) -> str:
    base = result.base
    return (
        f"One seed of a model of {base.model['parameters']:,} parameters, {base.oldest.n} test streams of "
        f"{base.data['length_used']:,} symbols, {base.data['keys']} keys, {base.data['values']} values, training "
        f"context {base.train_context}; repairs of {result.rows[0].repair.steps} steps. Losses are nats an "
        f"answer; guessing one of the values costs {math.log(base.data['values']):.3f}."
    )


def _verdicts(result: Comparison) -> str:
    lines = []
    for name, done in _rows(result):
        repair = next((row.repair for row in result.rows if row.name == name), None)
        verdict = done.verdict
        assert verdict is not None
        cells = [name, verdict_words(verdict), f"{done.oldest.loss:.3f}"]
        cells.append(with_ends(verdict.excess, verdict.low, verdict.high))
        if repair:
            cells += [
                f"{100 * short_change(repair):+.2f} %",
                *(with_ends(*repair.benefit.rivals[rival]) for rival in ("base", "periodic_reset")),
                outcome(repair),
            ]
        lines.append(cells + [""] * (8 - len(cells)))
    head = ["", "verdict", "loss at the oldest age", "over the best short age", "short contexts"]
    head += ["against the base", "against the base, reset", "accepted"]
    return table(head, lines)


def _ages(result: Comparison) -> str:
    ages = [band.age for band in result.rows[0].repair.after.age_curve]
    known = [{band.age for band in done.age_curve} for _, done in _rows(result)]
    shared = [age for age in ages if all(age in bands for bands in known)]
    lines = [
        [name, *(f"{band.loss:.3f}" for band in done.age_curve if band.age in shared)] for name, done in _rows(result)
    ]
    return "Loss of the same answers by age of the state:\n\n" + table(
        ["", *(f"{start:,} to {end - 1:,}" for start, end in shared)], lines
    )


def _distances(result: Comparison) -> str:
    values = [row["value"] for row in result.base.slices["labels"]["distance"]]
    lines = [
        [name, *(f"{row['loss']:.3f}" for row in done.slices["labels"]["distance"])] for name, done in _rows(result)
    ]
    return "Loss by the distance to the key's last write, on whole streams:\n\n" + table(["", *values], lines)


if __name__ == "__main__":
    main(write_page)
