"""What `make quickstart` prints, on docs/quickstart.md: from the kept result of one run, judged again by today's rules.

python -m benchmarks.pages.one_run --page docs/quickstart.md --run runs/quickstart    # keeps this run from now on
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.bases import KEPT
from benchmarks.pages.marks import named_marks, put_figures
from outlast.evaluation.measures import MEASURES
from outlast.modules.remedies import Leak, remedy_named
from outlast.repairs.acceptance import benefit, refusal, remedy_refusal, short_context
from outlast.reporting import summary
from outlast.results import Comparison, Repair, Tuning, load_as, write_atomically

ONE_RUN = KEPT / "quickstart.json"
DIGITS = 7
"""Significant digits of a kept number: more than any page shows."""


def kept_run(file: Path = ONE_RUN) -> Comparison:
    """The run that is kept, its repair and its remedy judged from the losses of every stream."""
    found = load_as(file, Comparison)
    assert found.tuning is not None
    (row,) = found.rows
    again = replace(row, repair=_repair(row.repair))
    winner = row.name if again.repair.accepted else None
    return replace(found, rows=[again], winner=winner, tuning=_tuning(found.tuning))


def _repair(made: Repair) -> Repair:
    measure = MEASURES[made.before.measure]
    short = short_context(made.before.curve, made.after.curve, measure)
    gain = benefit(made.before, made.after, made.control, made.remedies)
    because = refusal(short, gain, made.after, measure, made.guards, made.remedies)
    return replace(made, short_context=short, benefit=gain, accepted=because is None, refused_because=because)


def _tuning(found: Tuning) -> Tuning:
    measure, leaks = MEASURES[found.before.measure], isinstance(remedy_named(found.remedy), Leak)
    looks = 2 if found.accepted and found.other else 1
    short = short_context(found.before.curve, found.after.curve, measure, looks=looks)
    gain = benefit(replace(found.before, resets={}), found.after, looks=looks)
    because = remedy_refusal(short, gain, found.after, measure, found.guards, ages=leaks, looks=looks)
    return replace(found, short_context=short, benefit=gain, accepted=because is None, refused_because=because)


def keep(run: Path, file: Path = ONE_RUN) -> None:
    """Keep the result of a run in the repository, in few bytes."""
    load_as(run, Comparison)
    record = _rounded(json.loads((run / "result.json").read_text()))
    write_atomically(file, json.dumps(record, separators=(",", ":"), ensure_ascii=False) + "\n")


def _rounded(record: Any) -> Any:
    if isinstance(record, dict):
        return {name: _rounded(each) for name, each in record.items()}
    if isinstance(record, list):
        return [_rounded(each) for each in record]
    return float(f"{record:.{DIGITS}g}") if isinstance(record, float) else record


def write_page(page: Path, found: Comparison) -> None:
    """Put what the run printed between the marks of the page."""
    printed = summary(found).replace("\N{NO-BREAK SPACE}", " ")
    put_figures(page, "The quickstart over seeds", [f"```\n{printed}\n```"], *named_marks("one run"))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--page", type=Path, required=True)
    parser.add_argument("--run", type=Path, help="folder of a quickstart, which is kept in place of the one before")
    asked = parser.parse_args()
    if asked.run:
        keep(asked.run)
    write_page(asked.page, kept_run())


if __name__ == "__main__":
    main()
