"""The figures of the regimes recipes as Markdown tables and one plot, drawn from result files.

Only what forgetting at a fixed rate would reach is computed here, on the test streams that the results name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.pages.marks import (
    main,
    named_marks,
    outcome,
    put_figures,
    short_change,
    table,
    verdict_words,
    with_ends,
)
from benchmarks.pages.regimes_plot import Front, front_plot
from outlast.errors import InputError
from outlast.results import Comparison, Evaluation, Repair, load_as, write_atomically
from outlast.tasks.recipe_run import comparisons_in
from outlast.tasks.regimes import CONCENTRATION, generate, leaky, told

_LEAKS = (1.0, 0.999, 0.998, 0.995, 0.993, 0.99, 0.98)
_TITLE = "A stream whose rule changes"
TOLD, NOT_TOLD = "bayes_told", "bayes_not_told"


@dataclass(frozen=True)
class Measured:
    """One model on the switching streams and on the stationary ones; `repair` where it is one."""

    switching: Evaluation
    stationary: Evaluation
    repair: Repair | None = None

    def excess(self, reference: str = TOLD) -> float:
        return self.switching.slices["all"]["excess"][reference][0]

    def stationary_excess(self) -> float:
        return self.stationary.slices["all"]["excess"][TOLD][0]


@dataclass(frozen=True)
class Run:
    """One model and seed: its rows by name, the base first."""

    family: str
    seed: int
    rows: dict[str, Measured]
    trained: tuple[str, ...]

    @property
    def base(self) -> Measured:
        return self.rows["base"]

    def removed(self, row: str, floor: bool) -> float:
        """Share of the base's excess that a row removes: over the told predictor, or over the floor."""
        reference = NOT_TOLD if floor else TOLD
        return 1 - self.rows[row].excess(reference) / self.base.excess(reference)


def read_runs(folder: Path) -> list[Run]:
    """All finished runs in a recipe's output folder, by family and seed; those without all controls are left out.

    Raises:
        InputError: none is finished.
    """
    found = [_read_run(path, comparison) for path, comparison in comparisons_in(folder).items()]
    runs = [run for run in found if run is not None]
    if not runs:
        raise InputError(f"no finished run in {folder}", "folders with a result.json", "run the recipe first")
    return sorted(runs, key=lambda run: (run.family, run.seed))


def write_page(folder: Path, page: Path) -> None:
    """Put the figures in `folder` between two marks of `page`: those of one family, with a plot beside the page, or, in
    marks of their own, how several compare.
    """
    runs = read_runs(folder)
    if len({run.family for run in runs}) > 1:
        put_figures(
            page, _TITLE, [_intro_of_families(runs), *_verdicts_table(runs, outcomes=True)], *named_marks("families")
        )
        return
    picture = page.with_name(f"{page.stem}-front.svg")
    write_atomically(picture, front_plot(_front(runs)))
    sections = [
        _intro(runs),
        *_rows_table(runs),
        f"![Excess against the expected run]({picture.name})",
        *_slices_table(runs),
        *_regimes_table(runs),
        *_stationary_table(runs),
        *_leaks_table(runs),
        *_verdicts_table(runs, outcomes=False),
    ]
    put_figures(page, _TITLE, sections)


def _read_run(folder: Path, comparison: Comparison) -> Run | None:
    family, _, seed = folder.name.rpartition("-")
    control = folder / "controls" / "stationary"
    controls = [load_as(path, Evaluation) for path in sorted(control.glob("*.json"))]
    by_name = {done.model["name"]: done for done in controls}
    if not {"base", *(row.name for row in comparison.rows)} <= by_name.keys():
        return None
    rows = {"base": Measured(comparison.base, by_name["base"])}
    rows |= {row.name: Measured(row.repair.after, by_name[row.name], row.repair) for row in comparison.rows}
    trained = {}
    for path in sorted((folder / "trained").glob("*/result.json")):
        done = load_as(path, Evaluation)
        if not path.with_name("stationary.json").exists():
            continue
        trained[done.model["name"]] = Measured(done, load_as(path.with_name("stationary.json"), Evaluation))
    return Run(family, int(seed), rows | trained, tuple(trained))


def expected_run(row: str, train_context: int) -> float | None:
    """The expected run that a row's name stands for; None where it is no carry."""
    if row.startswith("carry("):
        return float(row.removeprefix("carry(expected_run=").removesuffix(")"))
    return {"state_passing": float(train_context), "tbtt": math.inf}.get(row)


def _named(row: str, train_context: int) -> str:
    run = expected_run(row, train_context)
    if run is None:
        return {"zero": "plain fine-tuning"}.get(row, row)
    if math.isinf(run):
        return "TBTT (expected run ∞)"
    return f"state passing (expected run {run:g})" if row == "state_passing" else f"carry, expected run {run:,.0f}"


def _front(runs: Sequence[Run]) -> Front:
    """The points of the seed that has most of them, and what they are compared with."""
    run = max(runs, key=lambda each: len(each.rows))
    context = run.base.switching.train_context
    runs_of = {name: expected_run(name, context) for name in run.rows}
    points = sorted((value, name) for name, value in runs_of.items() if value is not None and name not in run.trained)
    levels = {"base": run.base.excess()} | {name: run.rows[name].excess() for name in run.trained}
    floor = run.base.switching.slices["references"]
    levels["Bayes, not told"] = floor[NOT_TOLD]["loss"] - floor[TOLD]["loss"]
    return Front(
        deployment=1 / run.base.switching.data["hazard"],
        expected_runs=[value for value, _ in points],
        switching=[run.rows[name].excess() for _, name in points],
        stationary=[run.rows[name].stationary_excess() for _, name in points],
        levels=levels,
        title=f"{run.family}, seed {run.seed}",
    )


def _over_seeds(values: Sequence[float], form: Callable[[float], str] = "{:.3f}".format) -> str:
    """The mean, and the lowest and the highest where there are several."""
    mean = form(float(np.mean(values)))
    return mean if len(values) == 1 else f"{mean} ({form(min(values))} to {form(max(values))})"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _names(runs: Sequence[Run]) -> list[str]:
    """Names of all rows, in the order of the run that has most of them."""
    return list(max(runs, key=lambda each: len(each.rows)).rows)


def _intro(runs: Sequence[Run]) -> str:
    base = runs[0].base
    data, about = base.switching, base.switching.slices["references"]
    told, not_told = (about[name]["loss"] for name in (TOLD, NOT_TOLD))
    stationary = base.stationary.slices["references"][TOLD]["loss"]
    parameters = data.model["parameters"]
    most = max(runs, key=lambda each: len(each.rows))
    return (
        f"{data.data['streams']} test streams of {data.data['length_used']:,} symbols, "
        f"{len(runs)} {'seed' if len(runs) == 1 else 'seeds'} of {runs[0].family} ({parameters:,} parameters), "
        f"training context {data.train_context}, repairs of {_steps(runs)} steps. All figures "
        "are means over whole streams read once from the zero state, in nats; in brackets the lowest and the highest "
        f"seed; rows of one seed are of seed {most.seed}. The predictor that is told of the switches loses "
        f"{told:.4f}; the one that has to notice them, the floor, {not_told:.4f}, that is {not_told - told:.4f} more. "
        f"On the stationary control the best possible loss is {stationary:.4f}."
    )


def _intro_of_families(runs: Sequence[Run]) -> str:
    data = runs[0].base.switching
    sizes = {run.family: f"{run.family} ({run.base.switching.model['parameters']:,} parameters)" for run in runs}
    return (
        f"{data.data['streams']} test streams of {data.data['length_used']:,} symbols, training context "
        f"{data.train_context}, repairs of {_steps(runs)} steps: {', '.join(sizes.values())}. *Excess* is over the "
        "predictor that is told, a mean over whole streams read once from the zero state, in nats."
    )


def _steps(runs: Sequence[Run]) -> int:
    return max((row.repair.steps for run in runs for row in run.rows.values() if row.repair), default=0)


def _rows_table(runs: Sequence[Run]) -> list[str]:
    head = ["", "seeds", "loss", "excess", "removed", "removed, over the floor", "short contexts", "accepted"]
    head += ["stationary: loss", "stationary: excess"]
    lines = []
    for name in _names(runs):
        having = [run for run in runs if name in run.rows]
        rows = [run.rows[name] for run in having]
        repairs = [row.repair for row in rows if row.repair]
        shares = [short_change(repair) for repair in repairs]
        is_base = name == "base"
        lines.append(
            [
                _named(name, runs[0].base.switching.train_context),
                str(len(rows)),
                _over_seeds([row.switching.slices["all"]["loss"] for row in rows]),
                _over_seeds([row.excess() for row in rows]),
                "" if is_base else _over_seeds([run.removed(name, False) for run in having], _percent),
                "" if is_base else _over_seeds([run.removed(name, True) for run in having], _percent),
                _over_seeds(shares, lambda share: f"{100 * share:+.1f} %") if shares else "",
                f"{sum(repair.accepted for repair in repairs)} of {len(repairs)}" if repairs else "",
                _over_seeds([row.stationary.slices["all"]["loss"] for row in rows]),
                _over_seeds([row.stationary_excess() for row in rows]),
            ]
        )
    words = (
        "Excess is over the predictor that is told; *removed* is the share of the base's excess that a row removes, "
        "over that predictor and over the floor. *Short contexts* is the change of the loss at ages within the "
        "training context, every age alike, as a share of the base's; at most 0.5 % is accepted."
    )
    return ["### Every row", words, table(head, lines)]


def _label_rows(evaluation: Evaluation, label: str) -> dict[str, dict]:
    return {row["value"]: row for row in evaluation.slices["labels"][label]}


def _label_table(runs: Sequence[Run], label: str, names: Sequence[str], *, stationary: bool = False) -> str:
    def evaluation(row: Measured) -> Evaluation:
        return row.stationary if stationary else row.switching

    values = list(_label_rows(evaluation(runs[0].base), label))
    lines = []
    for name in names:
        rows = [evaluation(run.rows[name]) for run in runs if name in run.rows]
        cells = [[_label_rows(row, label)[value]["excess"][TOLD][0] for row in rows] for value in values]
        lines.append([_named(name, rows[0].train_context), *(f"{np.mean(cell):.3f}" for cell in cells)])
    bayes = [_label_rows(evaluation(runs[0].base), label)[value] for value in values]
    floor = [f"{row['excess'][TOLD][0] - row['excess'][NOT_TOLD][0]:.3f}" for row in bayes]
    return table(["", *values], [["Bayes, not told", *floor], *lines])


def _slices_table(runs: Sequence[Run]) -> list[str]:
    words = "Excess over the told predictor by symbols since the switch, mean over seeds: the first regime of a stream "
    words += "begins from the zero state, all later ones on a state that is full of another table."
    return ["### Symbols since the switch", words, _label_table(runs, "first_or_later", _names(runs))]


def _regimes_table(runs: Sequence[Run]) -> list[str]:
    words = "Excess over the told predictor by the regime's number in its stream, mean over seeds."
    return ["### Regime by regime", words, _label_table(runs, "regime", _names(runs))]


def _stationary_table(runs: Sequence[Run]) -> list[str]:
    words = (
        "Excess over the best predictor by position in streams without a switch, mean over seeds. *Bayes, not told* "
    )
    words += "is what the perfect predictor of the switching world loses here by expecting switches."
    return [
        "### The stationary control",
        words,
        _label_table(runs, "position", _names(runs), stationary=True),
    ]


def _leaks_table(runs: Sequence[Run]) -> list[str]:
    base = runs[0].base
    columns = []
    for evaluation in (base.switching, base.stationary):
        data = evaluation.data
        chains = generate(data["streams"], data["length_used"], data["hazard"], data["seed"])
        best = told(chains.symbols, chains.since, CONCENTRATION).mean()
        columns.append([float(leaky(chains.symbols, leak, CONCENTRATION).mean() - best) for leak in _LEAKS])
    excess = float(np.mean([run.base.excess() for run in runs]))
    lines = [
        [f"{leak:g}", f"{switching:.3f}", _percent(1 - switching / excess), f"{stationary:.3f}"]
        for leak, switching, stationary in zip(_LEAKS, *columns, strict=True)
    ]
    words = "Bayes without news of switches, that multiplies its counts by a fixed leak before every symbol instead. "
    words += "*Removed* is the share of the base's excess (mean over seeds) that such a predictor would remove."
    best = 1 - min(columns[0]) / excess
    shares = [
        _named(name, base.switching.train_context)
        + f" {_percent(float(np.mean([run.removed(name, False) for run in runs])) / best)}"
        for name in _names(runs)
        if name != "base" and all(name in run.rows for run in runs)
    ]
    of_best = f"Of what the best of these leaks removes ({_percent(best)}), the rows on every seed remove: "
    head = ["leak", "excess", "removed", "stationary: excess"]
    return ["### Forgetting at a fixed rate", words, table(head, lines), of_best + "; ".join(shares) + "."]


def _verdicts_table(runs: Sequence[Run], *, outcomes: bool) -> list[str]:
    """`outcomes`: also what became of each repair, which the page of one family says elsewhere."""
    head = ["model", "row", "verdict", "excess at the oldest age", "excess", "removed", "stationary: verdict"]
    head += ["stationary: excess", *(["short contexts", "accepted"] if outcomes else [])]
    lines = []
    first_seeds = {run.family: run for run in reversed(runs)}
    for run in sorted(first_seeds.values(), key=lambda run: run.family):
        for name, row in run.rows.items():
            if name in run.trained:
                continue
            verdict = row.switching.verdict
            assert verdict is not None
            change = f"{100 * short_change(row.repair):+.2f} %" if row.repair else ""
            told = [change, outcome(row.repair) if row.repair else ""]
            lines.append(
                [
                    run.family,
                    _named(name, row.switching.train_context),
                    verdict_words(verdict),
                    with_ends(verdict.excess, verdict.low, verdict.high),
                    f"{row.excess():.3f}",
                    "" if name == "base" else _percent(run.removed(name, False)),
                    verdict_words(row.stationary.verdict),
                    f"{row.stationary_excess():.3f}",
                    *(told if outcomes else []),
                ]
            )
    words = "The first seed of each family. Verdicts are on the raw loss: the oldest age against the best age within "
    words += "the training context, of the same model; the *excess at the oldest age* is that difference."
    return ["### Verdicts", words, table(head, lines)]


if __name__ == "__main__":
    main(write_page)
