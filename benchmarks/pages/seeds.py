"""The quickstart repeated over seeds, as Markdown tables: the figures of docs/quickstart.md.

``python -m benchmarks.pages.seeds --seed 110 --seeds 10 --out runs/blind-2 --page docs/quickstart.md`` runs what is
missing in the folder and puts the figures between the marks of the page that are named like the folder.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from benchmarks.pages.marks import named_marks, outcome, picked, put_figures, short_change, table, verdict_words
from outlast.intervals import Interval, crossed_interval, mean_interval
from outlast.results import Comparison, Evaluation, Repair
from outlast.tasks.quickstart import quickstart_seeds

Triple = tuple[float, float, float]


def seeds_figures(results: dict[int, Comparison], seconds: Sequence[float]) -> list[str]:
    """The figures of several seeds: bases, picks with their means, and every intervention.

    Args:
        results: by seed.
        seconds: how long those took that were run now.
    """
    repaired = {seed: result for seed, result in results.items() if result.rows}
    parts = [_intro(results, seconds), _bases(results)]
    if repaired:
        parts += [
            _picks(results),
            _means(repaired, len(results)),
            _outcomes(results),
            _interventions(list(repaired.values())),
        ]
    return parts


def _intro(results: dict[int, Comparison], seconds: Sequence[float]) -> str:
    first = next(iter(results.values()))
    base, steps = first.base, sorted({row.repair.steps for each in results.values() for row in each.rows})
    took = f" A seed took {np.median(seconds):.0f} s (median)." if len(seconds) else ""
    blocks = len(set(base.blocks))
    units = f", which are taken together into {blocks} blocks for every interval" if blocks else ""
    return (
        f"{len(results)} seeds of model and training, {base.oldest.n} test streams of {base.data['length_used']:,} "
        f"positions each{units}, measured at ages {base.oldest.age[0]:,} to {base.oldest.age[1] - 1:,}. Losses are "
        f"{base.measure.replace('_', ' ')} in {base.unit}. Every repair got {' or '.join(f'{n:,}' for n in steps)} "
        f"steps of the same data.{took}"
    )


def _bases(results: dict[int, Comparison]) -> str:
    head = ["seed", "verdict on the base", "short", "oldest age", "excess", "periodic reset", "two overlapping copies"]
    lines = []
    for seed, result in results.items():
        base, verdict, short = result.base, result.base.verdict, result.base.short
        assert verdict is not None
        assert short is not None
        resets = [base.resets[name] for name in ("periodic_reset", "overlapping_reset")]
        lines.append(
            [
                str(seed),
                verdict_words(verdict),
                f"{short.loss:.4f}",
                f"{base.oldest.loss:.4f}",
                _ends((verdict.excess, verdict.low, verdict.high)),
                *(f"{control.loss:.4f} (every {control.every:,})" for control in resets),
            ]
        )
    return table(head, lines)


def _picks(results: dict[int, Comparison]) -> str:
    head = ["seed", "picked", "dose", "short contexts", "every band alike", "oldest age"]
    head += ["against the base, reset", "against two copies", "what the starts gained", "accepted"]
    lines = [_pick_cells(seed, result) for seed, result in results.items()]
    return (
        "The repair that validation picked, on test streams. Differences are repaired minus rival; negative is better. "
        "*Short contexts*: every age within the training context alike; beside it every band alike. *What the starts "
        "gained*: against the same training from zero states.\n\n" + table(head, lines)
    )


def _pick_cells(seed: int, result: Comparison) -> list[str]:
    if not result.rows:
        because = result.refused_because
        return [str(seed), "–"] + [""] * 7 + [because.name.replace("_", " ") if because else ""]
    row = picked(result)
    repair, rivals = row.repair, row.repair.benefit.rivals
    change = repair.short_context
    return [
        str(seed),
        row.name,
        f"{repair.dose:g}",
        _percent((change.difference, change.low, change.high), change.reference),
        _percent(change.by_bands, _by_bands(repair.before)),
        f"{repair.after.oldest.loss:.4f}",
        *(_ends(rivals[name]) for name in ("periodic_reset", "overlapping_reset")),
        _ends(rivals["control"]) if "control" in rivals else "",
        outcome(repair),
    ]


def _means(results: dict[int, Comparison], seeds: int) -> str:
    """What the picks do on average, over seeds and over the blocks of the test streams; `seeds` were run."""
    repairs = [picked(result).repair for result in results.values()]
    rows = []
    for name, values in {
        "short contexts, every age alike": [short_change(repair) for repair in repairs],
        "short contexts, every band alike": [
            repair.short_context.by_bands[0] / _by_bands(repair.before) for repair in repairs
        ],
    }.items():
        percent = [100 * value for value in values]
        rows.append([name, f"{np.mean(percent):+.2f} %", _over_seeds(percent, "+.2f", " %"), ""])
    rivals = {"base": "the base", "periodic_reset": "the base, reset", "overlapping_reset": "two copies"}
    rivals |= {"control": "the control", "control_reset": "the control, reset"}
    for name, words in rivals.items():
        if any(name not in repair.benefit.rivals for repair in repairs):
            continue
        values = [repair.benefit.rivals[name][0] for repair in repairs]
        both = _crossed(repairs, name)
        crossed = f"{both.low:+.4f} to {both.high:+.4f}" if both else ""
        rows.append([f"oldest age against {words}", f"{np.mean(values):+.4f}", _over_seeds(values), crossed])
    head = ["mean over the picks", "", "interval over seeds", "over seeds and blocks"]
    accepted = sum(repair.accepted for repair in repairs)
    return f"Accepted: {accepted} of {seeds}.\n\n" + table(head, rows)


def _over_seeds(values: Sequence[float], form: str = "+.4f", unit: str = "") -> str:
    """The interval over seeds; one seed has none."""
    if len(values) < 2:
        return "–"
    interval = mean_interval(np.array(values))
    return f"{interval.low:{form}} to {interval.high:{form}}{unit}"


def _crossed(repairs: Sequence[Repair], rival: str) -> Interval | None:
    """The interval over seeds and blocks of streams, where there are several of both."""
    rows = []
    for repair in repairs:
        base, alone = repair.before, repair.control
        losses = {
            "base": base.oldest,
            "periodic_reset": base.resets["periodic_reset"],
            "overlapping_reset": base.resets["overlapping_reset"],
            "control": alone.oldest if alone else None,
            "control_reset": alone.resets["periodic_reset"] if alone else None,
        }[rival]
        assert losses is not None
        apart = np.array(repair.after.oldest.per_stream) - np.array(losses.per_stream)
        blocks = np.array(base.blocks) if base.blocks else np.arange(len(apart))
        rows.append([apart[blocks == block].mean() for block in np.unique(blocks)])
    return crossed_interval(np.array(rows)) if len(rows) > 1 else None


def _outcomes(results: dict[int, Comparison]) -> str:
    """Each refusal in words."""
    lines = []
    for seed, result in results.items():
        because = result.refused_because or (picked(result).repair.refused_because if result.rows else None)
        if because is not None:
            lines.append(f"- Seed {seed}: {because.name.replace('_', ' ')}: {'; '.join(because.because)}.")
    return "Refused:\n\n" + "\n".join(lines) if lines else "None was refused."


def _interventions(results: Sequence[Comparison]) -> str:
    lines = []
    for number, row in enumerate(results[0].rows):
        repairs = [result.rows[number].repair for result in results]
        rivals = [[r.benefit.rivals[rival][0] for r in repairs] for rival in ("periodic_reset", "overlapping_reset")]
        lines.append(
            [
                row.name,
                f"{100 * np.mean([short_change(repair) for repair in repairs]):+.2f} %",
                f"{np.mean([repair.after.oldest.loss for repair in repairs]):.4f}",
                *(f"{np.mean(values):+.4f}" for values in rivals),
                f"{sum(repair.accepted for repair in repairs)} of {len(repairs)}",
            ]
        )
    head = ["intervention", "short contexts", "oldest age", "against the base, reset", "against two copies", "accepted"]
    words = "Every intervention at the dose that validation would take for it, mean over seeds; all are held against "
    return words + "the control of the pick:\n\n" + table(head, lines)


def _by_bands(base: Evaluation) -> float:
    """Mean loss over the bands within the training context."""
    return float(np.mean([band.loss for band in base.age_curve if band.age[1] <= base.train_context]))


def _percent(triple: Triple, reference: float) -> str:
    mean, low, high = (100 * value / reference for value in triple)
    return f"{mean:+.2f} % ({low:+.2f} to {high:+.2f})"


def _ends(triple: Triple) -> str:
    return f"{triple[0]:+.4f} ({triple[1]:+.4f} to {triple[2]:+.4f})"


def main() -> None:
    """Run what is missing and write the page."""
    parser = argparse.ArgumentParser(description="The quickstart over seeds; goes on where it was stopped.")
    parser.add_argument("--task", default="power")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--page", type=Path, required=True)
    given = parser.parse_args()
    torch.set_num_threads(1)
    results: dict[int, Comparison] = {}
    seconds: list[float] = []
    for seed in range(given.seed, given.seed + given.seeds):
        there, began = (given.out / f"seed-{seed}" / "result.json").exists(), time.monotonic()
        results |= quickstart_seeds(given.out, [seed], 2, _say, given.task)
        seconds += [] if there else [time.monotonic() - began]
    put_figures(given.page, "The quickstart over seeds", seeds_figures(results, seconds), *named_marks(given.out.name))


def _say(what: str, share: float, loss: float | None = None) -> None:
    print(f"{what}: {100 * share:.0f} %", file=sys.stderr)


if __name__ == "__main__":
    main()
