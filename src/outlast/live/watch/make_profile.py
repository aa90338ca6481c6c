"""How a profile is made: from what training passed through, and from healthy streams."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch

from outlast.arguments import at_least, taking
from outlast.checkpoints import model_fingerprint
from outlast.data import Split, Streams
from outlast.data.draws import draw_places
from outlast.data.reading import read
from outlast.diagnosis.support import Support, training_states
from outlast.diagnosis.views import WHOLE, Projections
from outlast.errors import InputError
from outlast.evaluation import EvalSettings, evaluate
from outlast.evaluation.measure import Measure, outputs_of
from outlast.evaluation.measures import default_measures, measure
from outlast.evaluation.opened import AnyModel, adapted_to, opening
from outlast.intervals import mean_interval
from outlast.live.watch.alarms import Bars, calibrate, check_run_length, fit_tail, independent
from outlast.live.watch.cost import chosen_rate
from outlast.live.watch.profiles import AgeLoss, Facts, Profile, Usual, arrival_of
from outlast.live.watch.signals import BLIND, LOSS, WITH_TARGETS, Probes, Senses, joined, unusual
from outlast.model import Recurrent, quietly
from outlast.progress import ShareDone
from outlast.results import Evaluation
from outlast.state import select

# What held-out streams tell of a healthy model at work: probes along them as a watcher makes them.


@dataclass(frozen=True, eq=False)
class Healthy:
    """N probes of healthy streams, stream after stream and each in its order.

    Args:
        stream: (N,) number of the stream.
        position: (N,) of the first input that a probe reads.
        positions: that the streams have in all.
    """

    probes: Probes
    stream: np.ndarray
    position: np.ndarray
    positions: int

    @property
    def begin(self) -> np.ndarray:
        """(N,) bool, where a stream begins."""
        return np.concatenate([[True], self.stream[1:] != self.stream[:-1]])


def stretches(streams: Streams) -> Streams:
    """The streams as they lie in their recordings, without what only warms them up: segments that follow each other
    within a horizon become one. No position is in two of them.

    Raises:
        InputError: two streams share positions that count.
    """
    first, last = streams.starts + streams.warm_up, streams.starts + streams.lengths
    order = np.argsort(first, kind="stable")
    of = np.full(len(order), -1) if streams.recording is None else streams.recording
    merged: list[list[int]] = []
    for begin, end, recording in zip(*(each[order].tolist() for each in (first, last, of)), strict=True):
        if merged and begin < merged[-1][1]:
            raise InputError(
                "streams that share positions", "independent streams: no position twice", "leave copies out"
            )
        if merged and begin - merged[-1][1] <= streams.horizon and recording == merged[-1][2] != -1:
            merged[-1][1] = end
        else:
            merged.append([begin, end, recording])
    bounds = np.array(merged, np.int64)
    return replace(
        streams,
        starts=bounds[:, 0],
        lengths=bounds[:, 1] - bounds[:, 0],
        warm_up=0,
        before=None,
        recording=None,
        names=None,
    )


FEWEST = 8
"""Probes of a stream that says anything of an alarm, which comes of several."""


def long_enough(streams: Sequence[Streams], train_context: int, every: int) -> tuple[list[Streams], int]:
    """Those that have at least eight probes, and how many positions all their probes stand for: `every` each, as those
    of a stream that runs on do.

    Raises:
        InputError: none has.
    """
    half, kept, count = max(1, train_context // 2), list[Streams](), 0
    for part in streams:
        probes = (part.lengths - half - train_context) // every + 1
        chosen = np.flatnonzero(probes >= FEWEST)
        if len(chosen):
            kept.append(part.take(chosen))
            count += int(probes[chosen].sum())
    if not kept:
        longest = max(int(each.lengths.max()) for each in streams)
        raise InputError(
            f"held-out streams of at most {longest:,} positions, with a probe every {every:,}",
            f"at least {train_context + half + (FEWEST - 1) * every:,}: {FEWEST} probes",
            "give longer streams, or probe more often (--every)",
        )
    return kept, count * every


def observed(
    model: Recurrent,
    senses: Senses,
    streams: Sequence[Streams],
    train_context: int,
    every: int,
    progress: ShareDone = lambda share: None,
) -> tuple[Healthy, Senses]:
    """Read streams from their beginning, and probe each of them every so many positions.

    Returns:
        the probes, and the senses that know the usual sizes of the states' parts from them, where they did not before.

    Raises:
        InputError: no stream is long enough for a probe.
    """
    half = max(1, train_context // 2)
    found, sizes, stream, position = list[Probes](), list[np.ndarray](), list[np.ndarray](), list[np.ndarray]()
    total, done, before = sum(int(each.lengths.sum()) for each in streams), 0, 0
    for part in streams:
        order = np.argsort(-part.lengths, kind="stable")
        order = order[part.lengths[order] >= train_context + half]
        if not len(order):
            continue
        lengths, zero = part.lengths[order], np.zeros(len(order), np.int64)
        marks = np.arange(train_context, int(lengths[0]) - half + 1, every)
        for piece in read(model, part, order, zero, lengths, marks=marks):
            done += int((np.minimum(lengths, piece.end) - np.minimum(lengths, piece.begin)).sum())
            progress(done / total)
            rows = np.flatnonzero(lengths >= piece.end + half)
            if piece.end not in marks or not len(rows):
                continue
            which, at = order[rows], np.full(len(rows), piece.end, np.int64)
            lead = part.window(which, at - half, half).inputs
            state = select(piece.state, torch.arange(len(rows)))  # the longest streams come first
            probes, seen = senses.probe(state, lead, part.window(which, at, half))
            found.append(probes)
            sizes.append(seen)
            stream.append(before + which)
            position.append(at)
        before += len(part)
    if not found:
        raise InputError(
            f"held-out streams of at most {max(int(each.lengths.max()) for each in streams):,} positions",
            f"at least {train_context + half:,}: a training context and a half",
            "give longer streams",
        )
    probes, which, at = joined(found), np.concatenate(stream), np.concatenate(position)
    if senses.sizes is None:
        every_size = np.concatenate(sizes)
        senses = senses.knowing(every_size)
        assert senses.sizes is not None
        probes = replace(probes, norms=unusual(every_size, senses.sizes))
    order = np.lexsort((at, which))
    probes = Probes(**{name: getattr(probes, name)[order] for name in Probes.__dataclass_fields__})
    return Healthy(probes, which[order], at[order], total), senses


# How a profile is made: from what training passed through, and from healthy streams that it never read.

_PROBES = 8
"""To a false alarm, at least: with fewer, nearly every probe would be one."""
_FOLDS = 4
_OLDEST = 128
"""Training contexts that states of training streams are old, at most."""
_ROWS, _MARKS = 64, 24
_TARGETS = 256
"""A stream, that the age curve of a profile is measured on."""


@opening
@taking
def make_profile(
    model: AnyModel,
    data: Split,
    *,
    train_context: int,
    run_length: int,
    streams: int = 1,
    every: int | None = None,
    measures: Measure | str | None = None,
    seed: int = 0,
    progress: ShareDone | None = None,
    **reading: Any,
) -> Profile:
    """What a model at work usually looks like, and from where on that is an alarm.

    The region of known states comes from training streams: windows from zero states, and states carried far along them.
    All else comes from validation and test streams, which training never read.

    Args:
        model: a recurrent model, or a module that `outlast.adapt` takes.
        data: training streams, and healthy ones that the model was not trained on.
        train_context: positions that a training window had, T.
        run_length: positions of each stream between false alarms of the whole fleet, over all signals together.
        streams: how many the fleet has.
        every: positions of a stream between probes; None: as often as lets watching take less than 2 % of the time
            that the model itself takes on this machine, one position of all streams (at most 1,024) at a time.
        measures: of losses; None: what fits the targets.
        seed: of what is drawn at random.
        progress: called with the share done.

    Raises:
        InputError: streams that do not fit the model or are too short, or a run length of more than a tenth of the
            independent healthy data.
        NotAskable: the model's state has no part of real numbers, or they are not finite.
    """
    for name, value in (("train_context", train_context), ("run_length", run_length), ("streams", streams)):
        at_least(1, value, name)
    if every is not None:
        at_least(1, every, "every")
        _check_rate(every, run_length, streams)
    for part in (data.train, data.validation, data.test):
        model = adapted_to(model, part)
    held = [stretches(part) for part in (data.validation, data.test)]
    check_run_length(run_length, streams, sum(int(each.lengths.sum()) for each in held))  # before the long work
    chosen = _measure(measures, data.test)
    say = progress or (lambda share: None)
    with quietly(model):
        senses = _senses(model, data.train, train_context, chosen, seed)
        share = None
        if every is None:
            most = run_length * streams // _PROBES
            every, share = chosen_rate(senses, data.train, train_context, streams, most)
            _check_rate(every, run_length, streams)
        held, stood_for = long_enough(held, train_context, every)
        wanted = check_run_length(run_length, streams, stood_for)
        healthy, senses = observed(model, senses, held, train_context, every, lambda done: say(0.8 * done))
    found = _evaluated(model, data, train_context, chosen, seed)
    say(1.0)
    return _profile(senses, healthy, found, data, wanted=wanted, train_context=train_context, every=every,
                    run_length=run_length, streams=streams, share=share, seed=seed)  # fmt: skip


def _check_rate(every: int, run_length: int, streams: int) -> None:
    if every * _PROBES > run_length * streams:
        raise InputError(
            f"a probe every {every:,} positions, and one false alarm in {run_length:,}",
            f"at least {_PROBES} probes to a false alarm",
            f"ask for fewer alarms (--run-length {_PROBES * every}), or probe more often (--every)",
        )


def _measure(asked: Measure | str | None, streams: Streams) -> Measure | None:
    if streams.target_kind is None:
        return None
    if asked is None:
        return default_measures(streams)[0]
    found = measure(asked, streams) if isinstance(asked, str) else asked
    try:
        measure(found.name, streams)
    except InputError:
        raise InputError(
            f"the measure {found.name!r} of your own", "one that outlast has, by its name", "leave it out"
        ) from None
    return found


def _senses(model: Recurrent, train: Streams, train_context: int, measure: Measure | None, seed: int) -> Senses:
    """Without the usual sizes, which healthy streams tell."""
    projections = Projections(model, seed, heads=False)
    young = training_states(projections, train, train_context, seed)[WHOLE]
    old = _carried(projections, train, train_context, seed)
    states = young
    if len(old):
        alike = np.linspace(0, len(old) - 1, len(young)).astype(np.int64)
        states = np.stack([young, old[alike]], 1).reshape(-1, young.shape[1])
    return Senses(model, projections, Support(states).region, None, measure, outputs_of(train, measure))


def _carried(projections: Projections, train: Streams, train_context: int, seed: int) -> np.ndarray:
    """(N, d) states carried along training streams, row after row: what training with states that go on passes
    through; none where the streams are too short."""
    length = int(min(_OLDEST * train_context, np.quantile(train.lengths, 0.75)))
    marks = np.unique(np.linspace(2, length // train_context, _MARKS).astype(np.int64)) * train_context
    if length < 3 * train_context:
        return np.empty((0, 0))
    rows = np.arange(_ROWS)
    stream, position = draw_places(train.lengths, length, seed, "carried", rows, ordered=True)
    seen = [
        projections.look(piece.state)[WHOLE]
        for piece in read(projections.model, train, stream, position, int(marks[-1]), marks=marks.tolist())
        if piece.end in marks
    ]
    return np.stack(seen, 1).reshape(-1, seen[0].shape[1])


def _evaluated(
    model: Recurrent, data: Split, train_context: int, measure: Measure | None, seed: int
) -> Evaluation | None:
    """The age curve on held-out streams; None where they do not allow for one."""
    settings = EvalSettings(targets=_TARGETS, seed=seed, streams=16)
    try:
        return evaluate(model, data.test, train_context=train_context, measures=measure, settings=settings)
    except InputError:
        return None


def _profile(
    senses: Senses,
    healthy: Healthy,
    found: Evaluation | None,
    data: Split,
    *,
    wanted: float,
    train_context: int,
    every: int,
    run_length: int,
    streams: int,
    share: float | None,
    seed: int,
) -> Profile:
    measure, probes, begin = senses.measure, healthy.probes, healthy.begin
    sets = {"blind": BLIND} | ({"targets": WITH_TARGETS} if measure is not None else {})
    usual, bars = dict[str, Usual](), dict[str, Bars]()
    for name, signals in sets.items():
        values = probes.values(signals)
        scores = _scores(values, signals)
        bars[name] = calibrate(scores, begin, signals, wanted)
        for j, signal in enumerate(signals):
            finite = values[np.isfinite(values[:, j]), j]
            usual[signal] = Usual(
                float(finite.mean()),
                float(finite.std()),
                fit_tail(values[:, j], signal),
                independent(scores[:, j], begin),
            )
    excess, tolerance = None, 0.0
    if measure is not None:
        known = np.isfinite(probes.excess)
        blocks = np.arange(int(known.sum())) * 32 // max(int(known.sum()), 1)
        excess = mean_interval(probes.excess[known], blocks=blocks).triple
        tolerance = measure.tolerated(usual[LOSS].mean)
    projections = senses.projections
    assert senses.sizes is not None
    facts = Facts(
        model=model_fingerprint(senses.model),
        train_context=train_context,
        every=every,
        streams=streams,
        run_length=run_length,
        step=None if senses.model.schema is None else senses.model.schema.step,
        healthy=len(probes) * every,
        probes=len(probes),
        measure=None if measure is None else measure.name,
        unit=None if measure is None else measure.unit,
        outputs=senses.outputs,
        targets=arrival_of(data.test),
        shift=data.test.shift,
        usual=usual,
        bars=bars,
        parts=tuple(view.name for view in projections.views),
        sizes=tuple((float(mean), float(std)) for mean, std in senses.sizes.T),
        excess=excess,
        tolerance=tolerance,
        verdict=found.verdict.name if found is not None and found.verdict is not None else None,
        age_curve=() if found is None else tuple(AgeLoss(b.age, b.loss, b.low, b.high) for b in found.age_curve),
        share=share,
        seed=seed,
        about=cast(dict[str, Any], json.loads(json.dumps({**data.test.describe(), "split": data.how}, default=str))),
    )
    kept = {view.name: view.projection.to(torch.float64).numpy() for view in projections.views}
    return Profile(facts, senses.region, kept)


def _scores(values: np.ndarray, signals: Sequence[str]) -> np.ndarray:
    """(N, signals) scores of healthy values, each by the tails of the three quarters of all that lie elsewhere."""
    fold, scores = np.arange(len(values)) * _FOLDS // len(values), np.empty_like(values)
    for number in range(_FOLDS):
        here = fold == number
        for j, signal in enumerate(signals):
            scores[here, j] = fit_tail(values[~here, j], signal).score(values[here, j])
    return scores
