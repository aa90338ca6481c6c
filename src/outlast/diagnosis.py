"""Why a model does past its training context what it does: every experiment once, and what they say together."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TypeVar

import numpy as np
import torch

from outlast.attribution import attribute
from outlast.causes import judging
from outlast.causes.changed import Changed, changed
from outlast.causes.missed import missed
from outlast.causes.numerics import numerics
from outlast.coverage import coverage, supports, training_states, views_of
from outlast.errors import InputError
from outlast.evaluation import WORST_SHARE, EvalSettings, evaluate, usable
from outlast.findings import Attribution, Cause, Coverage, Gap, Remembrance, Trace
from outlast.gap import gap_to_error
from outlast.journey import Journey, Scene, journey
from outlast.measures import ERROR_RATE, Measure, default_measures
from outlast.model import Recurrent
from outlast.prediction import forecast
from outlast.remembrance import effective_remembrance
from outlast.results import VERSION, Diagnosis, Evaluation, Verdict
from outlast.streams import Split, Streams, split
from outlast.trace import trace

Progress = Callable[[str, float], None]
"""(what is being done, share done of it)"""

Found = TypeVar("Found")

_ATTRIBUTED = 2
_FLOAT64_PLACES = 8


@dataclass(frozen=True)
class DiagnoseSettings:
    """How to diagnose.

    Args:
        measuring: of the evaluation that the verdict comes from. Fewer targets than an evaluation of its own takes.
        seed: of projections, batteries and places.
    """

    measuring: EvalSettings = field(default_factory=lambda: EvalSettings(targets=512))
    seed: int = 0


def diagnose(
    model: Recurrent,
    data: Split | Streams,
    *,
    train_context: int,
    measures: Sequence[Measure] | None = None,
    settings: DiagnoseSettings | None = None,
    stationary: Streams | None = None,
    name: str = "model",
    progress: Progress | None = None,
) -> Diagnosis:
    """Measure `model` and say why it fails past its training context, or what else holds it back.

    Args:
        model: on its device; left in evaluation mode.
        data: a split, or streams to be split: training streams say what training passed through, test streams what
            deployment meets.
        train_context: positions a training window had. Windows are taken to have started from the initial state.
        measures: the first is what the verdict and the excess are about; None: what fits the targets.
        settings: how to diagnose.
        stationary: test streams of a world that does not change, where there are such: they tell an unexplored state
            from stale context better than the data can.
        name: what to call the model in the result.
        progress: told what is going on.

    Raises:
        InputError: as `outlast.evaluate`.
    """
    began = time.monotonic()
    settings = settings or DiagnoseSettings()
    parts = data if isinstance(data, Split) else split(data)
    chosen = tuple(measures or default_measures(parts.test))
    work = _Work(progress)
    evaluation = work.do("age curve", functools.partial(
        evaluate, model, parts, train_context=train_context, measures=chosen or None, settings=settings.measuring,
        name=name,
    ))  # fmt: skip
    control = None
    if stationary is not None:
        control = evaluate(
            model, stationary, train_context=train_context, measures=chosen or None,
            settings=replace(settings.measuring, ends_only=True),
        )  # fmt: skip
    streams, length = usable(parts.test, train_context, settings.measuring.max_length)
    streams = streams.between(0, length)
    remembered = work.ask("remembrance", lambda: effective_remembrance(model, streams, train_context=train_context))
    if evaluation.verdict is None or evaluation.short is None:
        why = "the data have no targets to judge by"
        left_out = {**work.left_out, **dict.fromkeys(("causes", "coverage", "attribution", "trace"), why)}
        return _result(evaluation, [], remembered, _Deep(), settings, left_out, began)
    worst = WORST_SHARE * (abs(evaluation.short.loss) or 1.0) if chosen[0].relative else 1.0
    scene = Scene(model, streams, length, train_context, chosen[0], worst)
    deep = _Deep()
    if train_context >= 2:
        deep = _deeper(scene, parts.train, evaluation.verdict, settings, work)
    else:
        work.left_out["coverage"] = "the training context is a single position, so no state is young"
    causes = _causes(scene, evaluation, control, remembered, deep, work)
    work.say("done", 1.0)
    return _result(evaluation, causes, remembered, deep, settings, work.left_out, began)


class _Work:
    """Does one experiment after the other, says so, and keeps what could not be asked of this model."""

    def __init__(self, progress: Progress | None) -> None:
        self.progress, self.left_out = progress, {}

    def say(self, what: str, share: float) -> None:
        if self.progress:
            self.progress(what, share)

    def do(self, what: str, experiment: Callable[..., Found]) -> Found:
        found = experiment(progress=lambda share: self.say(what, share))
        self.say(what, 1.0)
        return found

    def ask(self, what: str, experiment: Callable[[], Found]) -> Found | None:
        """What the experiment finds; None, and a note why, where the model or the data do not allow it."""
        self.say(what, 0.0)
        try:
            return experiment()
        except InputError as error:
            self.left_out[what] = f"{error.given}; expected {error.expected}"
            return None
        finally:
            self.say(what, 1.0)


@dataclass(frozen=True)
class _Deep:
    """What is found out about states."""

    coverage: Coverage | None = None
    seen: Journey | None = None
    gap: Gap | None = None
    attribution: Attribution | None = None
    trace: Trace | None = None


def _deeper(scene: Scene, train: Streams, verdict: Verdict, settings: DiagnoseSettings, work: _Work) -> _Deep:
    views = views_of(scene.model, train, settings.seed)
    trained = training_states(views, train, scene.train_context, settings.seed)
    regions = supports(trained, views.names)
    work.say("states", 0.3)
    seen = journey(scene, views.look)
    work.say("states", 0.8)
    covered = coverage(scene, views, regions, seen, settings.seed)
    gap = gap_to_error(regions, seen, scene.train_context)
    work.say("states", 1.0)
    # An error rate has no gradient; the cross-entropy of the same predictions has one.
    smooth = replace(scene, measure=default_measures(scene.streams)[0]) if scene.measure is ERROR_RATE else scene
    places = seen.marks[np.unique(np.linspace(len(seen.marks) // 2, len(seen.marks) - 1, _ATTRIBUTED).astype(int))]
    split_up = work.ask("attribution", lambda: attribute(smooth, places))
    traced = None
    if verdict.name in ("fails", "undecided"):
        traced = work.ask("trace", lambda: trace(scene, seen))
    else:
        work.left_out["trace"] = "the model does not fail, so there is no harm to trace"
    return _Deep(covered, seen, gap, split_up, traced)


def _causes(
    scene: Scene,
    evaluation: Evaluation,
    control: Evaluation | None,
    remembered: Remembrance | None,
    deep: _Deep,
    work: _Work,
) -> list[Cause]:
    verdict = evaluation.verdict
    assert verdict is not None
    moved: Changed | None = None
    if scene.train_context >= 2:
        moved = work.ask("changed places", lambda: changed(scene, _age_to_ask(evaluation, scene.length)))
    late = np.unique(np.linspace(scene.length // 2, scene.length - scene.half, _FLOAT64_PLACES).astype(np.int64))
    arithmetic = numerics(scene, late)
    work.say("float64", 1.0)
    further = work.ask("memory", lambda: missed(scene))
    return judging.ordered(
        [
            judging.numerics(arithmetic, verdict),
            judging.attention_window(deep.attribution, verdict),
            judging.train_context(evaluation, verdict),
            judging.stale_context(moved, control, verdict),
            judging.unexplored_state(moved, control, deep.coverage, remembered, verdict),
            judging.memory_limited(further, verdict),
            judging.harder_data(deep.seen, verdict),
        ]
    )


def _age_to_ask(evaluation: Evaluation, length: int) -> int:
    """At which age places are compared: the youngest from 4 T on that is clearly worse than short; 4 T where none is.

    The younger, the more places there are over which the world did not change.
    """
    T, verdict = evaluation.train_context, evaluation.verdict
    assert verdict is not None
    old = [band for band in evaluation.age_curve if band.age[0] >= 2 * T]
    bad = [band.age for band in old if band.excess > verdict.tolerance and band.excess_low > 0]
    age = max(4 * T, bad[0][1]) if bad else 4 * T
    return min(age, length // 2)


def _result(
    evaluation: Evaluation,
    causes: list[Cause],
    remembered: Remembrance | None,
    deep: _Deep,
    settings: DiagnoseSettings,
    left_out: dict[str, str],
    began: float,
) -> Diagnosis:
    curve = [(band.age[0], band.excess) for band in evaluation.age_curve if band.age[0] >= evaluation.train_context]
    noise = [
        (band.excess_high - band.excess_low) / 2 / 3
        for band in evaluation.age_curve
        if band.age[0] >= evaluation.train_context
    ]
    ahead = forecast(curve, evaluation.train_context, noise=float(np.median(noise))) if evaluation.short else None
    if ahead is not None and not math.isfinite(ahead.expected):
        ahead = None
    return Diagnosis(
        evaluation=evaluation,
        causes=causes,
        remembrance=remembered,
        coverage=deep.coverage,
        attribution=deep.attribution,
        trace=deep.trace,
        gap=deep.gap,
        forecast=ahead,
        settings={**asdict(settings), "threads": torch.get_num_threads()},
        seconds=round(time.monotonic() - began, 3),
        left_out=left_out,
        outlast=VERSION,
    )
