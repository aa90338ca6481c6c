"""Losses by step and what came of a training, to TensorBoard, MLflow or Trackio, through Accelerate's trackers."""

from __future__ import annotations

import contextlib
import importlib.util
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from outlast.cli.option_groups import Learning, Running
from outlast.cli.progress import Reporter
from outlast.errors import InputError
from outlast.ranks import ranks
from outlast.results import Comparison, Repair, Result

if TYPE_CHECKING:
    from accelerate.tracking import GeneralTracker

FOLDER = "track"
"""Where TensorBoard's files lie in the folder of results, one folder a run; the others write where they are set to."""


class Said:
    """Progress that is passed on to a person and, where one was asked for, to a tracker. Safe to call from threads.

    Args:
        say: what shows it to the person.
        options: of a verb that trains.
    """

    def __init__(self, say: Reporter, options: Any) -> None:
        self.say = say
        self.options = options
        self.tracker: GeneralTracker | None = None
        self.lost = options.track is None
        self.steps: Counter[str] = Counter()
        self.lock = threading.Lock()

    def __call__(self, what: str, share: float, loss: float | None = None) -> None:
        self.say(what, share, loss)
        if loss is not None:
            # A training with a budget has no number of steps beforehand: they are counted.
            self.steps[what] += 1
            planned = self.options.steps
            self.log({f"{_slug(what)}/loss": loss}, self.steps[what] if planned is None else round(share * planned))

    def conclude(self, result: Result) -> None:
        """Log what came of it."""
        if figures := outcome(result):
            self.log(figures, self.options.steps or max(self.steps.values(), default=0))

    def log(self, values: dict[str, float], step: int) -> None:
        """Hand values on; a tracker that fails is not asked again, and the training goes on."""
        with self.lock:
            if self.lost:
                return
            try:
                # Not before the first value: until then ranks have not met, and nothing may be written.
                self.tracker = self.tracker or _started(self.options)
                self.tracker.log(values, step=step)
            except Exception as error:  # a full disk, a server that is not there: each has its own
                self.lost = True
                print(f"--track {self.options.track}: {error}; nothing more is tracked", file=sys.stderr)

    def close(self) -> None:
        with self.lock, contextlib.suppress(Exception):
            if self.tracker is not None:
                self.tracker.finish()


@contextlib.contextmanager
def told(options: Any) -> Iterator[Said]:
    """What the progress of a training is told to."""
    with Reporter(quiet=options.quiet) as say:
        said = Said(say, options)
        try:
            yield said
        finally:
            said.close()


def check_tracker(options: Learning) -> None:
    """Raises InputError where the tracker that was asked for is not installed."""
    name = options.track
    if name is None or importlib.util.find_spec(name) is not None:
        return
    how = "pip install 'outlast[track]'" if name == "tensorboard" else f"pip install {name}"
    raise InputError(
        f"--track {name}, which is not installed",
        f"the package {name} (of outlast's extra `track`)"
        if name == "tensorboard"
        else f"the package {name} beside outlast (its extra `track` brings tensorboard)",
        how,
    )


def outcome(result: Result) -> dict[str, float]:
    """What came of a repair, or of every row of a comparison, as numbers."""
    if isinstance(result, Comparison):
        return {key: value for row in result.rows for key, value in _figures(row.repair, _slug(row.name)).items()}
    return _figures(result, "repair") if isinstance(result, Repair) else {}


def _figures(repair: Repair, name: str) -> dict[str, float]:
    return {
        f"{name}/accepted": float(repair.accepted),
        f"{name}/dose": repair.dose,
        f"{name}/oldest_before": repair.before.oldest.loss,
        f"{name}/oldest_after": repair.after.oldest.loss,
        f"{name}/short_difference": repair.short_context.difference,
    }


def _started(options: Any) -> GeneralTracker:
    from accelerate import PartialState
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    PartialState() if ranks() > 1 else PartialState(cpu=True)  # its log wants to know whether others are there
    verb = type(options).__name__.removesuffix("Verb").lower()
    run = f"{verb}-{time.strftime('%Y%m%d-%H%M%S')}"
    if options.track == "tensorboard":
        tracker = LOGGER_TYPE_TO_CLASS["tensorboard"](run, logging_dir=options.out / FOLDER)
    elif options.track == "mlflow":
        tracker = LOGGER_TYPE_TO_CLASS["mlflow"]("outlast", run_name=run)
    else:
        tracker = LOGGER_TYPE_TO_CLASS["trackio"]("outlast", name=run)
    tracker.start()
    tracker.store_init_configuration(_asked(options))
    return tracker


def _asked(options: Running) -> dict[str, Any]:
    """What was asked for, as trackers take it: text and numbers."""
    given = {name: value for name, value in asdict(options).items() if value not in (None, (), {})}
    return {name: value if isinstance(value, bool | int | float | str) else str(value) for name, value in given.items()}


def _slug(name: str) -> str:
    """A name that every tracker takes."""
    return re.sub(r"[^\w.-]+", "_", name).strip("_")
