"""Verbs that show: results as reports, and what outlast runs on. As those of `verbs`."""

from __future__ import annotations

import json
import sys

from outlast.cli.environment import environment
from outlast.cli.options import EnvVerb, ReportVerb
from outlast.errors import InputError
from outlast.reporting import ask_for_font, write_figures, write_report
from outlast.reporting.kinds.telling import CannotBeDrawn
from outlast.results import load_result


def run_report(options: ReportVerb) -> int:
    if not options.results:
        raise InputError("no results", "result.json files or folders with one", "outlast report runs/quickstart")
    if options.figures:
        ask_for_font(options.language)
    results = [load_result(path) for path in options.results]
    try:
        if options.figures:
            for number, result in enumerate(results, start=1):
                folder = options.figures if len(results) == 1 else options.figures / str(number)
                write_figures(result, folder, language=options.language)
        print(write_report(results, options.out, language=options.language))
    except CannotBeDrawn as error:
        raise InputError(f"{', '.join(map(str, options.results))}: {error.given}", error.expected, error.do) from error
    return 0


def run_env(options: EnvVerb) -> int:
    if options.warm:
        from outlast.cli.warming import warm  # loads torch, which a report does without

        for family, precision, seconds in warm():
            print(f"{family} in {precision}: {seconds:.1f} s", file=sys.stderr)
    record = environment()
    print(json.dumps(record, indent=1) if options.json else "\n".join(f"{k}: {v}" for k, v in record.items()))
    return 0
