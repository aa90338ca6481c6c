"""The command line: ``outlast VERB``. Exit status 0: done; 1: the answer is no; 2: wrong input; 130: stopped."""

from __future__ import annotations

import os
import sys

# Threads that wait must sleep, not spin: on a machine that others use too, spinning costs a factor of ten and more.
# It has to be said before torch loads its threads.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from outlast.cli import verbs
from outlast.cli.options import VERBS, parse
from outlast.environment import tune_allocator  # noqa: E402
from outlast.errors import Interrupted, OutlastError, unknown_name


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; returns the exit status."""
    words = sys.argv[1:] if arguments is None else arguments
    if not words or words[0] in ("-h", "--help"):
        print(_usage())
        return 0 if words else 2
    name, rest = words[0], words[1:]
    try:
        if name not in VERBS:
            raise unknown_name("verb", name, VERBS)
        tune_allocator()
        return getattr(verbs, f"run_{name}")(parse(VERBS[name], rest))
    except Interrupted as stop:
        print(stop, file=sys.stderr)
        return 130
    except OutlastError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


def _usage() -> str:
    lines = [f"  {name:<11} {(kind.__doc__ or '').splitlines()[0]}" for name, kind in VERBS.items()]
    return "\n".join(
        [
            "outlast: recurrent models that outlast their training context",
            "",
            "usage: outlast VERB [options]     outlast VERB --help",
            "",
            *lines,
        ]
    )
