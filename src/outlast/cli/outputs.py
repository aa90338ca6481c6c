"""The folder of --out: whose results lie there, what an earlier run left, and what a run writes and warns of."""

from __future__ import annotations

import contextlib
import functools
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from outlast.checkpoints import CODE, RECORD, WEIGHTS, code_files, read_record, tokeniser_in
from outlast.cli.live_options import LiveProfileVerb, LiveRetrainVerb
from outlast.cli.live_run_options import LiveReportVerb
from outlast.cli.option_groups import Running
from outlast.cli.options import CompareVerb, DoseVerb, QuickstartVerb, RepairVerb, TrainVerb
from outlast.data import Split, Streams
from outlast.errors import InputError, Interrupted
from outlast.folders import discard, locked
from outlast.foreign import CONFIG, KEPT, is_directory_of
from outlast.ranks import rank
from outlast.repairs.saving import MODELS
from outlast.reporting import first_told, summary, write_report
from outlast.results import Comparison, Evaluation, Repair, Result, Training, load_result, save_result, to_json
from outlast.training import TrainSettings

# A warning where a model does no better than always guessing the same: most often its inputs are of another scale, or
# its tokens another tokenizer's.

_CONSTANTS = {
    "cross_entropy": "guessing by how frequent each class is among these targets",
    "error_rate": "always guessing the most frequent class",
    "squared_error": "always guessing the mean of these targets",
    "absolute_error": "always guessing the median of these targets",
}
"""What the best constant is, by measure."""


def no_better_than_guessing(evaluation: Evaluation) -> str | None:
    """A warning where, within its training context, the model is no better than the best constant on its targets."""
    guess = evaluation.guesses.get("constant")
    if evaluation.verdict is not None and evaluation.verdict.name in ("broken", "misread"):
        return None  # another scale is not the reason, or the verdict says that it is
    if evaluation.short is None or guess is None or evaluation.measure not in _CONSTANTS:
        return None
    if evaluation.short.loss < guess.loss:
        return None
    why = (
        "the inputs are scaled otherwise than in its training (--scale), or --inputs, --target or --horizon are not "
        "those it was trained for"
    )
    if str(evaluation.data.get("target", "")).startswith("next "):  # tokens or bytes: there is nothing to scale
        why = "the text was read with another tokenizer than in its training (--tokenizer), or as bytes"
    return (
        f"warning: within its training context the model is no better ({evaluation.measure.replace('_', ' ')} "
        f"{evaluation.short.loss:.4g}) than {_CONSTANTS[evaluation.measure]} ({guess.loss:.4g}). Most often {why}."
    )


RESULT, REPORT, FIGURES = "result.json", "report.html", "figures"
_CHECKPOINT = "checkpoint"
_UNREADABLE = ""
_HEAD = 4096
Writing = TypeVar("Writing", bound=Running | DoseVerb | QuickstartVerb | LiveProfileVerb)


def alone(verb: Callable[[Writing], int]) -> Callable[[Writing], int]:
    """The verb, for one run at a time in its folder: from the look at what lies there until all is written."""

    @functools.wraps(verb)
    def run(options: Writing) -> int:
        with locked(options.out, f"outlast {verb.__name__.removeprefix('run_')}"):
            return verb(options)

    return run


def claim(folder: Path, kind: str, *, replace: bool) -> None:
    """Refuse a folder where another verb's result lies, or something else of that name, unless it may be replaced.

    Args:
        kind: of the results that this verb writes.
        replace: whether the user said that it may.

    Raises:
        InputError: with --replace as the way out. Nothing was touched.
    """
    found = _writer_in(folder)
    if found in (None, kind) or replace:
        return
    what = f"is of kind {found!r}" if found else "is none of outlast's, or damaged"
    raise InputError(
        f"--out {folder}, where {RESULT} {what}",
        f"a folder without a {RESULT}, or with one of kind {kind!r}",
        "choose another --out, or --replace to write over what lies there",
    )


def claim_for_models(folder: Path, kind: str, *, replace: bool, reads: Mapping[str, str | None]) -> None:
    """`claim` for a verb that removes what its last run left: it must not remove other models, nor what it reads.

    Args:
        reads: the models that the verb reads, by option.
    """
    claim(folder, kind, replace=replace)
    for place in (folder / name for name in (*MODELS, _CHECKPOINT)):
        if not _holds_model(place):
            continue
        for option, name in reads.items():
            if name and Path(name).resolve().is_relative_to(place.resolve()):
                raise InputError(
                    f"{option} {name} with --out {folder}",
                    "a model outside of what this run writes and removes",
                    "choose another --out",
                )
        if place.name in MODELS and not replace and _writer_in(folder) is None and _maker(place) != kind:
            raise InputError(
                f"--out {folder}, where {place.name} holds a model that outlast {kind} did not write",
                "a folder without models, or the one of an earlier run",
                "choose another --out, or --replace to write over what lies there",
            )


def clear(folder: Path) -> None:
    """Remove what earlier runs wrote: result, report, figures and models; nothing that is not outlast's.

    Raises:
        InputError: something cannot be removed.
    """
    if (folder / RESULT).is_file():
        _remove(folder / RESULT, folder / REPORT)
    figures = folder / FIGURES
    if drawn := [path for path in figures.glob("*.*") if path.suffix in (".svg", ".png") and _drawn(path)]:
        _remove(*drawn)
        _remove_empty(figures)
    for name in MODELS:
        remove_model(folder / name)


def remove_model(folder: Path) -> None:
    """Remove the files of a model that outlast saved, and the folder where it then holds nothing.

    Raises:
        InputError: they cannot be removed.
    """
    if (folder / RECORD).is_file():
        theirs = (*KEPT, CONFIG) if is_directory_of(folder) else ()
        code = code_files(folder)
        # The record last: without it nobody knows, after a kill, that the rest is outlast's.
        _remove(*(folder / name for name in (WEIGHTS, *theirs)), *tokeniser_in(folder), *code, folder / RECORD)
        emptied = {parent for path in code for parent in path.parents if parent.is_relative_to(folder / CODE)}
        for each in sorted(emptied, reverse=True):
            _remove_empty(each)
        _remove_empty(folder)


def _remove(*files: Path) -> None:
    try:
        for path in files:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"{error.filename}, which could not be removed ({error.strerror})",
            "a folder whose files may be replaced",
            "choose another --out",
        ) from None


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()  # which only an empty folder lets happen


def _writer_in(folder: Path) -> str | None:
    """The kind of the result in a folder, or the verb that wrote it where several write that kind; None: no result."""
    try:
        record = json.loads((folder / RESULT).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, RecursionError):
        return _UNREADABLE
    kind = record.get("kind") if isinstance(record, dict) else None
    if kind == "compare":
        with contextlib.suppress(AttributeError, KeyError, TypeError):
            base = record["base"]
            command = base["command"] if "command" in base else base["settings"]["command"]  # where schema 1 had it
            kind = command.get("verb") or kind
    return kind if isinstance(kind, str) else _UNREADABLE


def _holds_model(folder: Path) -> bool:
    return any((folder / name).is_file() for name in (RECORD, WEIGHTS, CONFIG))


def _maker(folder: Path) -> str | None:
    """The verb that wrote a model, as far as it says so."""
    try:
        return read_record(folder)["provenance"].get("verb")
    except InputError:
        return None


def _drawn(path: Path) -> bool:
    """Whether outlast drew this figure, as the file says near its beginning."""
    with path.open("rb") as file:
        return b"outlast" in file.read(_HEAD)


@contextlib.contextmanager
def output(folder: Path, *, fresh: bool = False, trains: bool = False, keeps: bool = False) -> Iterator[None]:
    """What is around the work: before it, what an earlier run left is removed; stopped, it says how to go on.

    Args:
        fresh: what an earlier run left goes before the work begins, so that none of it passes for this run's. Its
            checkpoints stay, for this run may go on from them.
        trains: the work keeps checkpoints there, which go when it is done. Stopped, it says how to go on.
        keeps: they stay, for it can go on after its end.
    """
    if fresh:
        clear(folder)
    checkpoint = folder / _CHECKPOINT
    try:
        yield
    except KeyboardInterrupt:
        kept = trains and any(checkpoint.rglob("training-*.json"))
        how = f"kept in {checkpoint}; run the same command with --resume" if kept else "run the same command again"
        raise Interrupted(f"stopped: {how}") from None
    if trains and not keeps:
        discard(checkpoint)


def checkpoint(options: TrainVerb | RepairVerb | CompareVerb) -> Path:
    """The folder of checkpoints; says so where there is nothing to go on from."""
    folder = options.out / _CHECKPOINT
    if options.resume and not any(folder.rglob("training-*.json")):
        print(f"nothing to resume in {folder}: starting anew", file=sys.stderr)
    return folder


def is_finished(folder: Path, kind: str) -> bool:
    """Whether a run of this kind has finished in a folder: its result is written last, and goes first."""
    return _writer_in(folder) == kind


def shown_again(
    options: TrainVerb | RepairVerb | CompareVerb, kind: str, training: TrainSettings, **asked: Any
) -> int | None:
    """With --resume where the run has finished: its result is shown, and nothing is done.

    Args:
        asked: what else this command says of the training, by the names that its record has; None: there is none.

    Returns:
        the exit status that the run had; None: it is not finished, or is to be run anew.

    Raises:
        InputError: it was trained otherwise than this command says.
    """
    if not options.resume or not is_finished(options.out, kind):
        return None
    result = load_result(options.out / RESULT)
    then, now = trained_how(result), json.loads(json.dumps({**asdict(training), **asked}))
    if now["precision"] == "auto":  # the run's result says what it was
        del now["precision"]
    other = [name for name in now if name in then and then[name] != now[name]]
    if other:
        here, there = (", ".join(_worded(name, said[name]) for name in other) for said in (now, then))
        raise InputError(
            f"--resume with {here} in {options.out}, where a run with {there} has finished",
            "the command of a run that was stopped",
            "leave --resume out to run anew over what lies there, or choose another --out",
        )
    discard(options.out / _CHECKPOINT)  # a run that was killed at its very end leaves one
    print(
        f"nothing to resume in {options.out}: the run has finished, and this is what it found; leave --resume out to "
        "run it anew",
        file=sys.stderr,
    )
    show(result, options)
    refused = isinstance(result, Repair) and not result.accepted
    return int(refused or (isinstance(result, Comparison) and result.winner is None))


def _worded(name: str, value: Any) -> str:
    """A setting with its value, where it has one."""
    return f"no {name}" if value is None else f"{name} {value}"


def trained_how(result: Result) -> dict[str, Any]:
    """The settings of the training behind a result; empty where nothing was trained."""
    if isinstance(result, Training):
        return {"leak": None, **result.settings}
    if isinstance(result, Comparison):
        found = trained_how(result.rows[0].repair) if result.rows else {}
        return {name: value for name, value in found.items() if name != "intervention"}
    if not isinstance(result, Repair) or not result.training:
        return {}
    typed = {"intervention": result.typed} if result.typed else {}
    return {"leak": None, **typed, **result.training}


def finish(result: Result, options: Running | LiveReportVerb) -> None:
    """Write report.html, then result.json: where there is a new result.json, the rest is there."""
    write_report([result], options.out / REPORT, language=options.language)
    save_result(result, options.out / RESULT)
    show(result, options)


def show(result: Result, options: Running | LiveReportVerb) -> None:
    """Print a result that was written."""
    print(to_json(result) if options.json else summary(result, options.language))
    tell(options, f"\nreport: {options.out / REPORT}")


def taken(options: Running | LiveProfileVerb | LiveRetrainVerb, read: Split | Streams) -> None:
    """Print what was taken for granted when the data were read, before the work begins."""
    if rank() == 0:
        data = (read.train if isinstance(read, Split) else read).describe()
        tell(options, first_told(data, getattr(options, "language", "en")) + "\n")


def warn(evaluation: Evaluation) -> None:
    if warning := no_better_than_guessing(evaluation):
        print(warning, file=sys.stderr)


def tell(options: Running | LiveReportVerb | LiveProfileVerb | LiveRetrainVerb, text: str) -> None:
    print(text, file=sys.stderr if options.json else sys.stdout)
