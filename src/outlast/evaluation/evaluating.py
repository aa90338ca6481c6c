"""Measure a model: age curve, position curve, resets, states by position; memory flat in the length of the streams.

The age curve scores the *same* targets from states of different ages. Because the targets are the same, what the data
itself does along a stream drops out.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch

from outlast.arguments import taking, taking_fields
from outlast.data import MIN_STREAMS, Split, Streams
from outlast.data.streams import copies, joined
from outlast.evaluation.asked import telling_faults
from outlast.evaluation.carrying import carrying
from outlast.evaluation.choosing import MUCH_LONGER, oldest_possible, positions_up_to
from outlast.evaluation.guesses import counted_targets, guesses
from outlast.evaluation.measure import Measure
from outlast.evaluation.measures import own_unit
from outlast.evaluation.misread import scaling_notes
from outlast.evaluation.oddities import (
    constant_targets,
    equal_losses,
    few_streams,
    identical_streams,
    joined_documents,
    older_ages,
    predictions,
    table_rows,
    uncounted_streams,
    unequal_lengths,
    unmet_scenarios,
    within_budget,
)
from outlast.evaluation.opened import AnyData, AnyModel, opening
from outlast.evaluation.preparing import Prepared, prepared
from outlast.evaluation.scenarios import scenario_losses
from outlast.evaluation.schedule import Targets
from outlast.evaluation.settings import EvalSettings
from outlast.evaluation.verdicts import judge, short_of, with_knob
from outlast.model import Recurrent
from outlast.modules.precision import dtypes_of
from outlast.modules.products import products_in
from outlast.modules.remedies import rule_of
from outlast.modules.resetting import bare
from outlast.progress import ShareDone
from outlast.results import VERSION, AgeBand, Cost, Evaluation, Guess, Note, Reset, bits_per_byte, one_at_a_time, plain
from outlast.results.curve import Curve, overlap_losses, reset_losses
from outlast.turns import waiting


@taking_fields
@dataclass(frozen=True)
class Periods:
    """Reset periods chosen elsewhere (on validation streams), for the two kinds of reset.

    Where the test streams do not allow a period, the nearest that they allow is taken, and the result says which.
    """

    periodic: int
    overlapping: int


@opening
@taking
@telling_faults
def evaluate(
    model: AnyModel,
    data: AnyData,
    *,
    train_context: int,
    measures: Sequence[Measure | str] | Measure | str | None = None,
    settings: EvalSettings | None = None,
    periods: Periods | None = None,
    name: str = "model",
    progress: ShareDone | None = None,
    announce: Callable[[Cost], None] | None = None,
    **reading: Any,
) -> Evaluation:
    """Measure `model` on test streams.

    Without targets, how far the outputs move apart with age is measured (`outlast.evaluation.divergence`), and there is
    no verdict.

    Args:
        model: a recurrent model, or a module that `outlast.adapt` takes, on its device; left in evaluation mode.
        data: test streams (of a split, the test part). One long recording is cut into disjoint segments.
        train_context: positions that a training window had.
        measures: by themselves or by name; the first is what the verdict is about. None: what fits the targets.
        settings: how to measure.
        periods: reset periods chosen on validation streams; None: cross-fitted over two halves of the test streams.
        name: what to call the model in the result.
        progress: called with the share done.
        announce: told before the long work what it will cost, after a short timed trial; None: there is a trial only
            where there is a budget.

    Raises:
        InputError: fewer than 8 streams, streams shorter than twice the training context, targets that do not fit, or a
            budget that does not allow for two streams.
    """
    began = time.monotonic()
    asked = prepared(model, data, train_context, measures, settings or EvalSettings())
    with products_in(asked.settings.precision, asked.model):
        return _measured(asked, data, periods, name, progress, announce, began)


def _measured(
    asked: Prepared,
    data: Streams | Split,
    periods: Periods | None,
    name: str,
    progress: ShareDone | None,
    announce: Callable[[Cost], None] | None,
    began: float,
) -> Evaluation:
    """`evaluate`, whose other arguments these are, once all is prepared.

    Args:
        began: when, for the budget.
    """
    ready, expected, notes = _begun(asked, announce, began)
    train_context, streams, length, targets = ready.train_context, ready.streams, ready.length, ready.targets
    settings = ready.settings
    judged = bool(ready.measures)
    chosen = ready.measures or (ready.agreement(),)
    notes += carrying(ready.model, ready.probe, streams, settings.precision, settings.chunk)
    run = ready.passes(chosen, progress)
    run.make(settings.jobs)
    kept = run.counted()
    blocks, odd = _units(streams.take(kept), length)
    notes += odd
    curves = {m.name: Curve(ready.bands, run.losses(k)[:, kept], train_context, blocks) for k, m in enumerate(chosen)}
    main = chosen[0]
    read = [] if streams.schema is None else [column.name for column in streams.schema.inputs]
    within = curves[main.name].within()
    notes += predictions(run.inputs, run.outputs, run.found.non_finite, run.lost(kept), within, read)
    notes += _unused(ready, kept)
    if settings.jobs > 1 and (why := waiting(ready.model)):
        notes.append(one_at_a_time(why))
    notes += [*ready.notes, *table_rows(ready.given.about), *joined_documents(ready.given.about)]
    notes += [*scaling_notes(ready.given.about), *_older(ready)]
    rules = streams.about.get("scenarios", {})
    verdict, short = None, None
    guessed = _guesses(streams.take(kept), targets.of(kept), main, curves[main.name]) if judged else {}
    if judged:
        notes += unmet_scenarios(rules, run.found.marked)
        notes += _alike(streams.take(kept), targets.of(kept), curves[main.name])
        if len(streams) < MIN_STREAMS:
            short = short_of(curves[main.name])
        else:
            chance = guessed["constant"].loss if "constant" in guessed else None
            verdict, short = judge(curves[main.name], main, notes, chance)
            verdict = with_knob(verdict, ready, curves[main.name], short)
    rows = {m.name: _band_rows(curves[m.name]) for m in chosen}
    about = {**streams.describe(), **_asked(asked, ready), "length_used": length}
    if len(kept) < len(streams):
        about["without_counted_targets"] = len(streams) - len(kept)
    if isinstance(data, Split):
        about["split"] = data.how
    return Evaluation(
        model={"name": name, **describe_model(ready.model)},
        data=json.loads(json.dumps(about, default=str)),
        settings={**asdict(settings), "device": str(ready.probe.device), "threads": torch.get_num_threads()},
        seconds=round(time.monotonic() - began, 3),
        train_context=train_context,
        measure=main.name,
        unit=main.unit,
        age_curve=rows[main.name],
        position_curve=run.position_bins(kept, blocks) if judged else [],
        resets=_resets(curves[main.name], periods) if judged else {},
        state=run.state_rows,
        short=short,
        verdict=verdict,
        slices=run.slices.report(streams.blocks) if judged else {},
        other_measures={key: value for key, value in rows.items() if key != main.name},
        guesses=guessed,
        scenarios=scenario_losses(rules, run.found, kept, curves[main.name]) if judged else [],
        recovery=run.recovery_bands(kept, blocks) if run.recovering else [],
        blocks=[] if blocks is None else blocks.tolist(),
        notes=notes,
        cost=expected,
        per_byte=bits_per_byte(ready.given.about, main.name),
        own_unit=own_unit(main.name, ready.given),
        outlast=VERSION,
    )


@opening
@taking
def cost(
    model: AnyModel,
    data: AnyData,
    *,
    train_context: int,
    measures: Sequence[Measure | str] | Measure | str | None = None,
    settings: EvalSettings | None = None,
    **reading: Any,
) -> Cost:
    """What `evaluate` with these arguments would cost here, after a short timed trial; with a budget, within that.

    Raises:
        InputError: as `evaluate`.
    """
    began = time.monotonic()
    asked = prepared(model, data, train_context, measures, settings or EvalSettings())
    with products_in(asked.settings.precision, asked.model):
        _, expected, _ = _begun(asked, lambda cost: None, began)
    assert expected is not None
    return expected


def _begun(
    asked: Prepared, announce: Callable[[Cost], None] | None, began: float
) -> tuple[Prepared, Cost | None, list[Note]]:
    """What is measured of what was asked for, its cost where anybody wants to know, and what to note about both.

    Args:
        began: when, for the budget.
    """
    settings = asked.settings
    if announce is None and settings.budget is None:
        return asked, None, _too_few(asked, None)
    speed = asked.trial()
    if settings.budget is None:
        ready, notes = asked, _too_few(asked, None)
    else:
        ready, verdict = asked.kept_within(settings.budget, time.monotonic() - began, speed)
        notes = _too_few(ready, verdict if len(asked.streams) >= MIN_STREAMS else None)
        counts = (len(asked.streams), asked.scored), (len(ready.streams), ready.scored)
        if counts[0] != counts[1]:
            notes.append(within_budget(settings.budget, *counts))
    expected = ready.cost(speed)
    if announce is not None:
        announce(expected)
    return ready, expected, notes


def _older(ready: Prepared) -> list[Note]:
    """Where ages ended by default, and twice as old ones could be asked for."""
    given, settings = ready.given, ready.settings
    if settings.up_to is not None or settings.max_length is not None or settings.ends_only:
        return []
    possible = oldest_possible(given, ready.train_context, ready.length)
    if possible < 2 * ready.length:
        return []
    return [older_ages(ready.length, possible, None if given.schema is None else given.schema.step)]


def _too_few(ready: Prepared, verdict: float | None) -> list[Note]:
    """Where too few streams are read for a verdict.

    Args:
        verdict: seconds that one would take, where a budget does not allow for it.
    """
    count, settings = len(ready.streams), ready.settings
    return [] if count >= MIN_STREAMS else [few_streams(count, settings.budget if verdict else None, verdict)]


def _asked(asked: Prepared, ready: Prepared) -> dict[str, int]:
    """What was asked for, or was there, where something else was done."""
    found, settings = {}, asked.settings
    if settings.max_length is not None:
        found["length_asked"] = settings.max_length
    if settings.up_to is not None:
        found["length_asked"] = positions_up_to(settings.up_to, asked.given)
    if ready.scored < asked.scored:
        found["targets_asked"] = asked.settings.targets
    if len(ready.streams) < len(ready.usable):
        found["streams_usable"] = len(ready.usable)
    return found


def _units(streams: Streams, length: int) -> tuple[np.ndarray | None, list[Note]]:
    """Which streams are one unit of an interval, copies together as long as enough units are left; None: each is."""
    blocks, same = streams.blocks, copies(streams, length)
    distinct = len(np.unique(same))
    if distinct == len(streams):
        return blocks, []
    joint = same if blocks is None else joined(same, blocks)
    units = len(np.unique(joint))
    return (joint if units >= MIN_STREAMS else blocks), [identical_streams(len(streams), distinct, units)]


def _unused(ready: Prepared, kept: np.ndarray) -> list[Note]:
    """What is odd about which of the given streams were used, and how much of them.

    Args:
        kept: numbers of those that were read and have targets that count.
    """
    found, given, streams, length = [], ready.given, ready.usable, ready.length
    left_out = int((given.lengths < length).sum())
    if streams.warm_up > given.warm_up:  # segments that reach back into what lies before their stream
        of = np.searchsorted(np.sort(given.starts), streams.starts + streams.warm_up, side="right")
        left_out = len(given) - len(np.unique(of))
    longer = 0 if ready.settings.max_length is not None else int((streams.lengths >= MUCH_LONGER * length).sum())
    if left_out or longer:
        found.append(unequal_lengths(left_out, longer, len(given), length, int(given.lengths.max())))
    if len(kept) < len(ready.streams):
        found.append(uncounted_streams(len(ready.streams) - len(kept)))
    return found


def _alike(streams: Streams, targets: Targets, curve: Curve) -> list[Note]:
    """Where all targets, or the losses of all streams, are the same."""
    found = []
    if streams.target_kind is not None:
        counted = counted_targets(streams, targets, np.ones(len(streams), bool))
        if bool((counted == counted[0]).all()):
            found.append(constant_targets(streams.target_kind))
    if bool((curve.losses == curve.losses[:, :1]).all()):
        found.append(equal_losses(len(streams)))
    return found


def _band_rows(curve: Curve) -> list[AgeBand]:
    short = curve.best(curve.losses[curve.within()])[0]
    rows = []
    for band, losses in zip(curve.bands, curve.losses, strict=True):
        loss, excess = (curve.interval(values, len(curve.bands)) for values in (losses, losses - short))
        numbers = map(plain, (*loss.triple, *excess.triple))
        rows.append(AgeBand(band, *numbers, n=loss.n, per_stream=losses.tolist()))
    return rows


def _guesses(streams: Streams, targets: Targets, measure: Measure, curve: Curve) -> dict[str, Guess]:
    found = {}
    for name, losses in guesses(streams, targets, measure).items():
        found[name] = Guess(*map(plain, curve.interval(losses).triple), per_stream=losses.tolist())
    return found


def _resets(curve: Curve, periods: Periods | None) -> dict[str, Reset]:
    """The loss under the best periodic reset and under the best two overlapping copies, read off the curve."""
    found = {}
    for name, (every, losses) in {
        "periodic_reset": reset_losses(curve),
        "overlapping_reset": overlap_losses(curve),
    }.items():
        if periods is None:
            per_stream, chosen = curve.best(losses)
            period, halves = every[int(losses.mean(1).argmin())], sorted({every[i] for i in chosen})
        else:
            wanted = periods.periodic if name == "periodic_reset" else periods.overlapping
            period, halves = min(every, key=lambda value: abs(value - wanted)), []
            per_stream = losses[every.index(period)]
        interval = curve.interval(per_stream)
        differing = halves if len(halves) > 1 else []
        found[name] = Reset(period, *interval.triple, per_stream=per_stream.tolist(), halves=differing)
    return found


def under(evaluation: Evaluation, periods: Periods) -> Evaluation:
    """The same evaluation with resets at periods that were chosen elsewhere."""
    return replace(evaluation, resets=_resets(evaluation.curve, periods))


def best_periods(evaluation: Evaluation) -> Periods:
    """The reset periods with the lowest mean loss in an evaluation (of validation streams)."""
    curve = evaluation.curve
    (periodic, resets), (overlapping, overlaps) = reset_losses(curve), overlap_losses(curve)
    return Periods(periodic[int(resets.mean(1).argmin())], overlapping[int(overlaps.mean(1).argmin())])


def describe_model(model: Recurrent) -> dict[str, Any]:
    """What a result records about a model; of one under a remedy also which, and the blueprint of the one inside."""
    remedy = rule_of(model)
    return {
        "class": model.named,
        "parameters": model.numbers,
        "dtype": " and ".join(dtypes_of(model)) or None,
        "blueprint": getattr(bare(model), "blueprint", None),
        **({} if remedy == "none" else {"remedy": remedy}),
    }
