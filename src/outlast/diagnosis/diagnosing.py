"""Why a model does past its training context what it does: every experiment once, and what they say together."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
import torch

from outlast.arguments import at_least, taking, taking_fields
from outlast.data import Streams
from outlast.data.choices import check_weights
from outlast.diagnosis.attribution import attribute
from outlast.diagnosis.causes import judging
from outlast.diagnosis.causes.changed import Changed, changed
from outlast.diagnosis.causes.missed import Missed, missed
from outlast.diagnosis.causes.numerics import Numerics, numerics
from outlast.diagnosis.coverage import coverage, gap_to_error
from outlast.diagnosis.forecast import checked, forecast, noise_of
from outlast.diagnosis.pairs import Pairs, Scene, doubling_bands, marks, pair_up
from outlast.diagnosis.remembrance import effective_remembrance
from outlast.diagnosis.support import supports, training_states
from outlast.diagnosis.trace import trace
from outlast.diagnosis.views import COUNTERS, Views
from outlast.errors import NotAskable
from outlast.evaluation import EvalSettings, drawn, evaluate, usable
from outlast.evaluation.asked import telling_faults, the_measures, the_model, the_split
from outlast.evaluation.measure import Measure, outputs_of
from outlast.evaluation.misread import as_it_reads, like
from outlast.evaluation.oddities import few_streams, within_budget
from outlast.evaluation.opened import AnyData, AnyModel, adapted_to, opening
from outlast.evaluation.passes import WORST_SHARE
from outlast.intervals import known_interval, known_means
from outlast.parallel import side_by_side
from outlast.progress import WorkDone
from outlast.results import (
    VERSION,
    AgeBand,
    Attribution,
    Cause,
    Cost,
    Coverage,
    Diagnosis,
    Evaluation,
    Gap,
    Note,
    Remembrance,
    Trace,
)

Found = TypeVar("Found")

_ASKED: tuple[str, ...] = ("causes", "remembrance", "coverage", "attribution", "trace")
_ATTRIBUTED = 2
_FLOAT64_PLACES = 8
CURVE_SHARE = 1 / 6
"""Of a budget, what the age curve may take. The experiments after it read the same streams; of small models, a whole
diagnosis took 4 to 9 times as long as its curve."""


@taking_fields
@dataclass(frozen=True)
class DiagnoseSettings:
    """How to diagnose.

    Args:
        measuring: of the evaluation that the verdict comes from; by default as `outlast.evaluate` measures.
        seed: of projections, batteries and places.
        start_weights: those that the model was trained with (`TrainSettings.start_weights`): they say which windows
            training passed through.
    """

    measuring: EvalSettings = field(default_factory=EvalSettings)
    seed: int = 0
    start_weights: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        at_least(0, self.seed, "seed")
        check_weights(self.start_weights)


@opening
@taking
@telling_faults
def diagnose(
    model: AnyModel,
    data: AnyData,
    *,
    train_context: int,
    measures: Sequence[Measure | str] | Measure | str | None = None,
    settings: DiagnoseSettings | None = None,
    stationary: Streams | None = None,
    name: str = "model",
    progress: WorkDone | None = None,
    announce: Callable[[Cost], None] | None = None,
    **reading: Any,
) -> Diagnosis:
    """Measure `model` and say why it fails past its training context, or what else holds it back.

    Args:
        model: a recurrent model, or a module that `outlast.adapt` takes, on its device; left in evaluation mode.
        data: a split, or streams to be split: training streams say what training passed through, test streams what
            deployment meets.
        train_context: positions a training window had. Windows are taken to have started from the initial state.
        measures: the first is what the verdict and the excess are about; None: what fits the targets.
        settings: how to diagnose.
        stationary: test streams of a world that does not change, where there are such: they tell an unexplored state
            from stale context better than the data can.
        name: what to call the model in the result.
        progress: told what is going on.
        announce: told before the long work what the age curve will cost, as by `outlast.evaluate`; the experiments
            after it are not in that.

    Raises:
        InputError: as `outlast.evaluate`.
    """
    began = time.monotonic()
    parts, settings = the_split(data), settings or DiagnoseSettings()
    model = adapted_to(model, parts.test).eval()
    train_context = at_least(1, train_context, "train_context")
    parts = as_it_reads(model, parts, train_context)
    stationary = None if stationary is None else like(stationary, parts.train)
    model, cast = the_model(model, parts.test)
    chosen = the_measures(measures, parts.test)
    # An error rate says little about one moment, and has no gradient; the measure beside it does.
    smooth = chosen[0].smooth if chosen else None
    if smooth is not None and smooth.name not in [measure.name for measure in chosen]:
        chosen = (*chosen, smooth)
    work = _Work(progress)
    evaluation = work.do("age curve", functools.partial(
        evaluate, model, parts, train_context=train_context, measures=chosen or None,
        settings=_curve_of(settings.measuring), name=name, announce=announce,
    ))  # fmt: skip
    evaluation = replace(evaluation, notes=[*map(_of_the_whole, evaluation.notes), *cast])
    # What a budget allowed is what all that follows reads too.
    measuring = replace(settings.measuring, streams=evaluation.settings["streams"], budget=None)
    control = None
    if stationary is not None:
        control = evaluate(
            model, stationary, train_context=train_context, measures=chosen or None,
            settings=replace(measuring, targets=evaluation.settings["targets"], ends_only=True),
        )  # fmt: skip
    streams, length = usable(parts.test, train_context, measuring.max_length, measuring.up_to)
    streams = drawn(streams, measuring.streams, measuring.seed).between(0, length)
    outputs = outputs_of(streams, chosen[0] if chosen else None)
    remember = functools.partial(
        effective_remembrance, model, streams, train_context=train_context, outputs=outputs
    )  # fmt: skip
    if evaluation.verdict is None or evaluation.short is None:
        few = next((f"there is {note.said}" for note in evaluation.notes if note.name == "few_streams"), None)
        why = few or "the data have no targets to judge by"
        remembered = work.ask("remembrance", remember)
        left_out = {**work.left_out, **dict.fromkeys(("causes", "coverage", "attribution", "trace"), why)}
        return _result(evaluation, [], remembered, _Deep(), settings, left_out, began)
    if evaluation.verdict.name in ("broken", "misread"):
        why = "the model is broken" if evaluation.verdict.name == "broken" else "the data are misread"
        left_out = dict.fromkeys(_ASKED, why)
        return _result(evaluation, [], None, _Deep(), settings, left_out, began)
    asked = _Asked(evaluation, smooth or chosen[0])
    if control is not None and control.verdict is not None:
        control = replace(control, verdict=_Asked(control, asked.measure).verdict)
    scene = Scene(model, streams, length, train_context, asked.measure, asked.worst, asked.short)
    jobs = settings.measuring.jobs
    first: list[Callable[[], Any]] = [
        functools.partial(work.ask, "remembrance", remember),
        functools.partial(_states, scene, parts.train, settings, work),
    ]
    remembered, states = side_by_side(jobs, first)
    causes, deep = _causes(scene, asked, control, remembered, states, jobs, work)
    work.say("done", 1.0)
    result = _result(evaluation, causes, remembered, deep, settings, work.left_out, began)
    return replace(result, asked_measure=smooth.name, asked_unit=smooth.unit) if smooth else result


def _curve_of(measuring: EvalSettings) -> EvalSettings:
    """How the age curve is measured: with its share of a budget."""
    return measuring if measuring.budget is None else replace(measuring, budget=CURVE_SHARE * measuring.budget)


def _of_the_whole(note: Note) -> Note:
    """A note on the age curve's share of a budget as one on the budget of the diagnosis."""
    facts = note.facts
    if "budget" not in facts:
        return note
    budget = float(facts["budget"]) / CURVE_SHARE
    if note.name == "few_streams":
        return few_streams(int(facts["streams"]), budget, float(facts["needed"]) / CURVE_SHARE)
    streams, targets, read, scored = (int(facts[name]) for name in ("streams", "targets", "read", "scored"))
    return within_budget(budget, (streams, targets), (read, scored))


class _Asked:
    """The measure that causes are asked in: its age curve, and the verdict with its tolerance and its excess."""

    def __init__(self, evaluation: Evaluation, measure: Measure) -> None:
        assert evaluation.verdict is not None
        assert evaluation.short is not None
        self.evaluation, self.measure = evaluation, measure
        self.verdict, self.curve, level = evaluation.verdict, evaluation.age_curve, evaluation.short.loss
        if measure.name != evaluation.measure:
            self.curve = evaluation.other_measures[measure.name]
            level = next(band.loss for band in self.curve if band.age[1] == evaluation.train_context)
            oldest = self.curve[-1]
            self.verdict = replace(
                self.verdict, tolerance=measure.tolerated(level), excess=oldest.excess, low=oldest.excess_low,
                high=oldest.excess_high,
            )  # fmt: skip
        self.worst = WORST_SHARE * (abs(level) or 1.0) if measure.worst is None else measure.worst
        self.short = _where_it_works(self.curve, evaluation.train_context, self.verdict.tolerance)


def _where_it_works(curve: Sequence[AgeBand], train_context: int, tolerance: float) -> tuple[int, int] | None:
    """The ages of a young state, which has read something: those of the best band within the training context, where
    the last one is clearly worse than what is best there; None: the second half of the training context will do."""
    within = [band for band in curve if band.age[0] >= 1 and band.age[1] <= train_context]
    if not within:
        return None
    if within[-1].excess <= tolerance or within[-1].excess_low <= 0:
        return None
    return min(within, key=lambda band: band.loss).age


class _Work:
    """Does one experiment after the other, says so, and keeps what could not be asked of this model."""

    def __init__(self, progress: WorkDone | None) -> None:
        self.progress, self.left_out = progress, {}

    def say(self, what: str, share: float) -> None:
        if self.progress:
            self.progress(what, share, None)

    def do(self, what: str, experiment: Callable[..., Found]) -> Found:
        found = experiment(progress=lambda share: self.say(what, min(share, 0.99)))
        self.say(what, 1.0)
        return found

    def ask(self, what: str, experiment: Callable[[], Found]) -> Found | None:
        """What the experiment finds; None, and a note why, where it cannot be asked. Faults and wrong input go on."""
        self.say(what, 0.0)
        try:
            return experiment()
        except NotAskable as error:
            self.left_out[what] = str(error)
            return None
        finally:
            self.say(what, 1.0)


@dataclass(frozen=True)
class _States:
    """What is found out about states on the way."""

    coverage: Coverage
    seen: Pairs
    gap: Gap | None
    places: np.ndarray


@dataclass(frozen=True)
class _Deep:
    """What stands in the result beside the causes."""

    coverage: Coverage | None = None
    gap: Gap | None = None
    attribution: Attribution | None = None
    trace: Trace | None = None


def _states(scene: Scene, train: Streams, settings: DiagnoseSettings, work: _Work) -> _States | None:
    seed, T = settings.seed, scene.train_context
    try:
        if scene.train_context < 2:
            raise NotAskable("the training context is a single position, so no state is young")
        if (longest := int(train.lengths.max())) < scene.train_context:
            raise NotAskable(
                f"training streams have at most {longest} positions, and a training window {scene.train_context}"
            )
        views = Views(scene.model, train, seed, outputs_of(scene.streams, scene.measure))
        trained = training_states(views, train, T, seed, settings.start_weights)
        regions = supports(trained, views.names)
    except NotAskable as error:
        work.left_out |= dict.fromkeys(("coverage", "attribution", "trace", "changed places"), str(error))
        return None
    work.say("states", 0.3)
    on_the_way = marks(scene.train_context, scene.length)
    places = on_the_way[np.unique(np.linspace(len(on_the_way) // 2, len(on_the_way) - 1, _ATTRIBUTED).astype(int))]
    seen = pair_up(scene, views.look, on_the_way, places.tolist())
    work.say("states", 0.8)
    covered = coverage(scene, views, regions, seen, seed, trained.get(COUNTERS))
    gap = gap_to_error(regions, seen, scene.train_context)
    work.say("states", 1.0)
    return _States(covered, seen, gap, places)


def _causes(
    scene: Scene,
    asked: _Asked,
    control: Evaluation | None,
    remembered: Remembrance | None,
    states: _States | None,
    jobs: int,
    work: _Work,
) -> tuple[list[Cause], _Deep]:
    """The experiments that look at the states that were met, side by side, the longest first; and what they say."""
    verdict, seen = asked.verdict, states and states.seen
    late = _late(scene, seen)

    def arithmetic() -> Numerics:
        return work.do("float64", lambda progress: numerics(scene, late, seen))

    def moved() -> Changed | None:
        if states is None:
            return None
        age = _age_to_ask(asked, states.seen, scene.length)
        return work.ask("changed places", lambda: changed(scene, age))

    def further() -> Missed | None:
        if verdict.name == "fails":  # then age matters, and the question does not arise
            return None
        return work.ask("memory", lambda: missed(scene))

    def split_up() -> Attribution | None:
        if states is None:
            return None
        places, carried = states.places, states.seen.states_at(states.places)
        return work.ask("attribution", lambda: attribute(scene, places, carried))

    def traced() -> Trace | None:
        if verdict.name not in ("fails", "declines", "undecided"):
            work.left_out.setdefault("trace", "the model does not fail, so there is no harm to trace")
        elif seen is not None:
            return work.ask("trace", functools.partial(trace, scene, seen))
        return None

    experiments: list[Callable[[], Any]] = [arithmetic, moved, further, split_up, traced]
    in_float64, places, lost, split, stretch = side_by_side(jobs, experiments)
    covered = states and states.coverage
    stale = judging.stale_context(places, control, verdict)
    of_age = [
        judging.numerics(in_float64, verdict),
        judging.attention_window(split, verdict),
        judging.train_context(asked.evaluation),
        stale,
        judging.unexplored_state(places, control, covered, split, verdict, stale),
    ]
    causes = [
        *of_age,
        judging.age_harms(places, control, remembered, verdict, of_age),
        judging.memory_limited(lost, verdict),
        judging.harder_data(seen, verdict),
    ]
    return judging.ordered(causes), _Deep(covered, states and states.gap, split, stretch)


def _late(scene: Scene, seen: Pairs | None) -> np.ndarray:
    """Positions of the streams' second half at which float64 is asked; marks of the pairs where there are such."""
    if seen is None:
        return np.unique(np.linspace(scene.length // 2, scene.length - scene.half, _FLOAT64_PLACES).astype(np.int64))
    second = seen.marks[seen.marks >= min(scene.length // 2, seen.marks[-1])]
    return second[np.unique(np.linspace(0, len(second) - 1, _FLOAT64_PLACES).astype(int))]


def _age_to_ask(asked: _Asked, seen: Pairs, length: int) -> int:
    """At which age places are compared: the youngest from 4 T on that is clearly worse than short; 4 T where none is.

    The younger, the more places there are over which the world did not change. Where the curve, with few targets, shows
    none for a model that fails, its pairs are asked, old against young.
    """
    T, verdict = asked.evaluation.train_context, asked.verdict
    old = [band for band in asked.curve if band.age[0] >= 2 * T]
    bad = [band.age[1] for band in old if band.excess > verdict.tolerance and band.excess_low > 0]
    if not bad and verdict.name in ("fails", "undecided"):
        for (start, end), columns in doubling_bands(seen.marks, T):
            known = known_means(seen.excess[:, columns])
            if start < 2 * T or np.isfinite(known).sum() < 2:
                continue
            each = known_interval(known)
            if each.mean > verdict.tolerance and each.low > 0:
                bad.append(end)
    return min(max([4 * T, *bad[:1]]), length // 2)


def _result(
    evaluation: Evaluation,
    causes: list[Cause],
    remembered: Remembrance | None,
    deep: _Deep,
    settings: DiagnoseSettings,
    left_out: dict[str, str],
    began: float,
) -> Diagnosis:
    past = [band for band in evaluation.age_curve if band.age[0] >= evaluation.train_context]
    curve = [(band.age[0], band.excess) for band in past]
    known: dict[str, Any] = {"train_context": evaluation.train_context, "noise": noise_of(past)}
    told = evaluation.verdict is not None and evaluation.verdict.name not in ("broken", "misread")
    ahead = forecast(curve, **known) if told else None
    if ahead is not None:
        ahead = replace(ahead, checked=checked(curve, **known)) if math.isfinite(ahead.expected) else None
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
