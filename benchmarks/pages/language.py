"""docs/language.md: ciphered prose by age, with its repairs, and the map of where models fail, from kept rows.

Run as ``python -m benchmarks.pages.language --page docs/language.md``.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from benchmarks.pages.marks import named_marks, put_figures, table
from outlast.intervals import mean_interval
from outlast.tasks.kept_rows import Row, rows_in
from recipes.failure_map import ordered

KEPT = Path("recipes/kept")
_AGES = (16, 32, 64, 128, 512, 2048, 8192)
_TITLE = "Language"


def write_page(page: Path, kept: Path = KEPT) -> None:
    """Put the figures of ciphered prose and of the map, as far as they were measured, into `page`."""
    for name, file, sections in (
        ("cipher", "paper-language.jsonl", cipher_sections),
        ("map", "failure-map.jsonl", map_sections),
    ):
        if rows := rows_in(kept / file):
            put_figures(page, _TITLE, sections(rows), *named_marks(name))


def over_seeds(values: Sequence[float], form: str = "{:.3f}") -> str:
    """The mean of one value a seed and, of three or more, its 95 % interval over seeds (Student's t)."""
    if len(values) < 3:
        return " and ".join(form.format(each) for each in values)
    found = mean_interval(np.array(values))
    return f"{form.format(found.mean)} ({form.format(found.low)} to {form.format(found.high)})"


def by_model(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Rows of the same model, its seeds one after the other."""
    found: dict[str, list[Row]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row["seed"]):
        found[row["model"]].append(row)
    return dict(found)


def everything(row: Row) -> dict[str, Row]:
    """What was measured of one base: itself, its repairs and what was trained otherwise, by name."""
    return {**row["rows"], **row["trained"]}


def at_age(measured: Row, age: int) -> float | None:
    """The loss of the band that begins at this age; None: it was not measured."""
    return next((band["loss"] for band in measured["ages"] if band["age"][0] == age), None)


def cipher_sections(rows: Sequence[Row]) -> list[str]:
    """By model: losses by age, what two copies and resets reach, and streams whose cipher changes."""
    found = []
    for name, seeds in by_model(rows).items():
        numbers = ", ".join(str(row["seed"]) for row in seeds)
        found.append(
            f"### {name}\n\n{seeds[0]['parameters']:,} parameters, training context {seeds[0]['train_context']}, seeds "
            f"{numbers}; nats a symbol by age of the state, mean over seeds"
            + (" (95 % interval over them)" if len(seeds) > 2 else "")
            + ". *Two copies* is the best loss under two overlapping copies that are reset in turn."
        )
        found += [_ages(seeds), _changing(seeds)]
    return found


def _names(seeds: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(name for row in seeds for name in everything(row)))


def _cells(seeds: Sequence[Row], name: str, value: Callable[[Row], float | None], form: str = "{:.3f}") -> str:
    values = [value(everything(row)[name]) for row in seeds if name in everything(row)]
    present = [each for each in values if each is not None]
    return over_seeds(present, form) if present else ""


def _ages(seeds: Sequence[Row]) -> str:
    lines = []
    for name in _names(seeds):
        verdicts = [everything(row)[name]["verdict"]["name"] for row in seeds if name in everything(row)]
        told = ", ".join(f"{verdicts.count(each)} × {each}" for each in dict.fromkeys(verdicts))
        judged = [row["rows"][name]["repair"] for row in seeds if name in row["rows"] and name != "base"]
        accepted = f"{sum(each['accepted'] for each in judged)} of {len(judged)}" if judged else ""
        copies = _cells(seeds, name, lambda each: each["resets"].get("overlapping_reset", [0, None])[1])
        ages = [_cells(seeds, name, lambda each, age=age: at_age(each, age)) for age in _AGES]
        lines.append([name, *ages, copies, told, accepted])
    head = ["", *(f"{age:,}" for age in _AGES), "two copies", "verdict", "accepted"]
    return table(head, lines)


def _changing(seeds: Sequence[Row]) -> str:
    """Losses on the streams whose cipher changes, by symbols since the change."""
    bases = [row["rows"]["base"]["controls"]["changing"] for row in seeds if row["rows"]["base"]["controls"]]
    bins = list(dict.fromkeys(each["value"] for base in bases for each in base["slices"]["labels"]["since_change"]))
    if not bins:
        return ""

    def of(measured: Row, wanted: str | None) -> float | None:
        if "changing" not in measured["controls"]:
            return None
        slices = measured["controls"]["changing"]["slices"]
        if wanted is None:
            return slices["all"]["loss"]
        return next((each["loss"] for each in slices["labels"]["since_change"] if each["value"] == wanted), None)

    lines = [
        [
            name,
            *(_cells(seeds, name, lambda each, value=value: of(each, value)) for value in bins),
            _cells(seeds, name, lambda each: of(each, None)),
        ]
        for name in _names(seeds)
    ]
    return (
        "The same models on streams whose cipher changes, every 1,024 symbols on average; nats a symbol by symbols "
        "since the change:\n\n" + table(["", *bins, "all"], lines)
    )


def map_sections(rows: Sequence[Row]) -> list[str]:
    """The map: what the oldest states lose over the best age within the training context, by cell and step."""
    found = []
    for data in sorted({row["data"] for row in rows}):
        some = [row for row in ordered(rows) if row["data"] == data]
        steps = sorted({row["step"] for row in some})
        cells = list(dict.fromkeys(row["cell"] for row in some))
        lines = []
        for cell in cells:
            mine = {row["step"]: row for row in some if row["cell"] == cell}
            first = next(iter(mine.values()))
            lines.append(
                [
                    first["model"],
                    str(first["train_context"]),
                    f"{first['state_numbers'] / first['train_context']:,.0f}",
                    str(first["seed"]),
                    *(_map_cell(mine.get(step)) for step in steps),
                ]
            )
        head = ["model", "T", "state numbers a training position", "seed", *(f"{step:,} steps" for step in steps)]
        found += [f"### {data}", table(head, lines)]
    found.append(_confirmed(rows))
    return [each for each in found if each]


def _map_cell(row: Row | None) -> str:
    if row is None:
        return ""
    verdict = row["verdict"]
    return f"{verdict['name']} {verdict['excess']:+.3f} ({verdict['low']:+.3f} to {verdict['high']:+.3f})"


def _confirmed(rows: Sequence[Row]) -> str:
    """The claims about steps and state sizes, on the fresh seeds."""
    fresh = [row for row in rows if row["seed"] >= 100]
    if not fresh:
        return ""
    groups: dict[tuple[str, str, int, int], list[float]] = defaultdict(list)
    for row in fresh:
        groups[row["data"], row["model"], row["train_context"], row["step"]].append(row["verdict"]["excess"])
    lines = [
        [data, model, str(context), f"{step:,}", str(len(values)), over_seeds(values, "{:+.3f}")]
        for (data, model, context, step), values in sorted(groups.items())
    ]
    return (
        "On fresh seeds, the excess at the oldest age, with its 95 % interval over seeds:\n\n"
        + table(["data", "model", "T", "steps", "seeds", "excess"], lines)
        + "\n\nThe same seeds under two conditions, the excess under the second minus that under the first:\n\n"
        + table(["conditions", "seeds", "difference"], _paired(fresh))
    )


def _paired(rows: Sequence[Row]) -> list[list[str]]:
    """Of the same seeds: most steps against fewest, and then a family's largest state against its smallest."""
    few, many = (choose(row["step"] for row in rows) for choose in (min, max))
    by_place: dict[tuple[str, str, int], list[Row]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: (row["state_numbers"], row["seed"])):
        by_place[row["data"], row["family"], row["train_context"]].append(row)
    lines = []
    for (data, _, context), some in by_place.items():
        models = list(dict.fromkeys(row["model"] for row in some))
        excess = {(row["model"], row["step"], row["seed"]): row["verdict"]["excess"] for row in some}
        seeds = sorted({row["seed"] for row in some})
        compared = [(f"{model}: {few:,} and {many:,} steps", (model, few), (model, many)) for model in models]
        if len(models) > 1:
            what = f"{many:,} steps: {models[0]} and {models[-1]}"
            compared.append((what, (models[0], many), (models[-1], many)))
        for what, first, second in compared:
            pairs = [(excess.get((*first, seed)), excess.get((*second, seed))) for seed in seeds]
            found = [two - one for one, two in pairs if one is not None and two is not None]
            if found:
                lines.append([f"{data}, T = {context}, {what}", str(len(found)), over_seeds(found, "{:+.3f}")])
    return lines


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write the figures of docs/language.md.")
    parser.add_argument("--page", type=Path, default=Path("docs/language.md"))
    parser.add_argument("--kept", type=Path, default=KEPT)
    given = parser.parse_args()
    write_page(given.page, given.kept)
