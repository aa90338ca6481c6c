"""The command line: ``outlast VERB``.

Exit status 0: done; 1: the answer is no; 2: wrong input; 3: a fault, with its traceback; 130: stopped by Ctrl-C; 141:
whoever read the output closed it; 143: stopped by SIGTERM.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.metadata
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any

# Threads that wait must soon sleep: on a machine that others use too, spinning costs a factor of ten and more. But
# who sleeps takes long to wake, so GNU's stay awake for a moment, from one operator of a model to the next.
# It has to be said before torch loads its threads.
if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & {*os.environ}:
    os.environ |= {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "2000"}

from outlast.cli import several
from outlast.cli.asking import asked
from outlast.cli.described import about_of
from outlast.cli.environment import flush_denormals, tune_allocator
from outlast.cli.judging import judge
from outlast.cli.options import VERBS
from outlast.cli.parsing import parse
from outlast.cli.places import settled
from outlast.cli.stopping import sigterm_as_ctrl_c
from outlast.errors import Interrupted, OutlastError, Question, in_a_shell, unknown_name
from outlast.ranks import rank

STOPPED = 128 + signal.SIGINT


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; returns the exit status."""
    try:
        with in_a_shell(_options()):
            status = _asked(sys.argv[1:] if arguments is None else arguments)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # whoever read what is printed has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE


def _options() -> set[str]:
    """Names of all options of all verbs."""
    return {item.name for verb in VERBS.values() for item in dataclasses.fields(verb)}


def _asked(arguments: list[str]) -> int:
    """The exit status of what was typed."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_usage(), file=sys.stdout if arguments else sys.stderr)
        return 0 if arguments else 2
    if arguments[0] == "--version":
        print(f"outlast {importlib.metadata.version('outlast')}")
        return 0
    if arguments[0].partition("=")[0] == "--print-completion":
        return _print_completion(arguments)
    name, rest = _named(arguments)
    if name in _groups() and (not rest or rest[0] in ("-h", "--help")):
        print(_usage(name), file=sys.stdout if rest else sys.stderr)
        return 0 if rest else 2
    with sigterm_as_ctrl_c() as terminated:
        status = _run(name, rest)
        return 128 + signal.SIGTERM if status == STOPPED and terminated.is_set() else status


def _groups() -> set[str]:
    """What verbs of several words begin with: ``live``, ``live incidents``."""
    words = [name.split() for name in VERBS]
    return {" ".join(each[:count]) for each in words for count in range(1, len(each))}


def _named(arguments: list[str]) -> tuple[str, list[str]]:
    """The verb, of one word or several, and what follows it."""
    name, rest = arguments[0], arguments[1:]
    while name in _groups() and rest and not rest[0].startswith("-"):
        name, rest = f"{name} {rest[0]}", rest[1:]
    return name, rest


def _run(name: str, rest: list[str]) -> int:
    """Run a verb; returns the exit status, `STOPPED` where it was stopped."""
    try:
        if name not in VERBS:
            raise unknown_name("verb", name, VERBS)
        options = parse(VERBS[name], rest)
        judge(options)
        tune_allocator()
        if about_of(VERBS[name]).torch:
            flush_denormals()  # loads torch, which no help and no misspelt option has to wait for
        return several.on_ranks(name, _verb(name), settled(options))
    except (Interrupted, KeyboardInterrupt) as stop:
        if rank() == 0:
            print(str(stop) or "stopped", file=sys.stderr)
        return STOPPED
    except OutlastError as error:
        said = asked(error, name, rest) if isinstance(error, Question) else error
        print(f"rank {rank()}: {said}" if rank() else said, file=sys.stderr)
        return 2
    except BrokenPipeError:
        raise
    except Exception:
        traceback.print_exc()
        print("This is a fault of outlast, or of the model's own code where that is named last.", file=sys.stderr)
        return 3


def _verb(name: str) -> Callable[[Any], int]:
    """What a verb does: each loads no more than its own module needs."""
    module = importlib.import_module(f"outlast.cli.{about_of(VERBS[name]).module}")
    return getattr(module, f"run_{name.replace(' ', '_')}")


def _print_completion(arguments: list[str]) -> int:
    from outlast.cli.completion import completion  # loads shtab, which nothing else needs

    try:
        print(completion(arguments[0].partition("=")[2] or " ".join(arguments[1:])))
    except OutlastError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _usage(group: str = "") -> str:
    """Of all verbs, or of those of two words whose first one is the group's."""
    shown = {name: kind for name, kind in VERBS.items() if name.startswith(f"{group} ") or not group}
    lines = [f"  {name:<22} {(kind.__doc__ or '').splitlines()[0]}" for name, kind in shown.items()]
    if group:
        return "\n".join([f"usage: outlast {group} VERB [options]     outlast {group} VERB --help", "", *lines])
    return "\n".join(
        [
            "outlast: recurrent models that outlast their training context",
            "",
            "usage: outlast VERB [options]     outlast VERB --help     outlast --version",
            "       outlast --print-completion bash|zsh|tcsh",
            "",
            *lines,
        ]
    )
