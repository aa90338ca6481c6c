"""What verbs do that check, measure, train and repair: read the options, call one function of the library, write and
print what it returns."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch

from outlast import checkpoints
from outlast.cli import inputs, models, outputs, writing
from outlast.cli.options import (
    CheckVerb,
    CompareVerb,
    DiagnoseVerb,
    DoseVerb,
    EvaluateVerb,
    PlanVerb,
    RepairVerb,
    TrainVerb,
    TuneVerb,
)
from outlast.cli.parsing import settings_of
from outlast.cli.progress import LONG_REPAIR, Reporter
from outlast.cli.saying import tell
from outlast.cli.tracking import check_tracker, told
from outlast.cli.trial import say_what_was_found, try_out, try_repair, try_training
from outlast.contract.check import check
from outlast.data import Split, split
from outlast.diagnosis import DiagnoseSettings, diagnose
from outlast.durations import seconds_of
from outlast.errors import InputError, TrainingDiverged
from outlast.evaluation import describe_model, evaluate
from outlast.evaluation.measure import Measure
from outlast.evaluation.misread import as_it_reads, scaling_notes
from outlast.interventions import Zero, in_one_word
from outlast.model import Recurrent
from outlast.modules.leaking import with_leak
from outlast.modules.precision import trainable
from outlast.planning import plan, repair_cost
from outlast.planning.repair_cost import PRICE, VALUE, check_price
from outlast.ranks import ranks
from outlast.repairs import RepairSettings, compare, repair, tune, with_dose
from outlast.repairs.saving import save_models
from outlast.repairs.settings import BUDGET
from outlast.repairs.setup import Wanted
from outlast.reporting import ask_for_font, write_figures
from outlast.results import VERSION, Training
from outlast.tasks import task
from outlast.training import fit
from outlast.training.objectives import objective


@outputs.alone
def run_check(options: CheckVerb) -> int:
    outputs.claim(options.out, "check", replace=options.replace)
    example = None
    if options.data:
        model, streams = inputs.model_and_streams(options, options.data)
        length = min(130, int(streams.lengths[0]))
        example = streams.window(np.zeros(2, np.int64), np.zeros(2, np.int64), length).inputs
        outputs.taken(options, streams)
    elif options.reading():
        raise InputError(
            f"{inputs.typed_options(options)} without --data",
            "data to which this applies",
            "name the data, or leave these out",
        )
    else:
        model = inputs.model(options.model, options)
    with outputs.output(options.out):
        report = check(model, example, seed=options.seed, thorough=options.thorough)
        say_what_was_found(model)
        outputs.finish(replace(report, command=inputs.command(options, model)), options)
    return 0 if report.passed else 1


@outputs.alone
def run_train(options: TrainVerb) -> int:
    check_tracker(options)
    outputs.claim_for_models(options.out, "train", replace=options.replace, reads={"--model": options.model})
    settings = inputs.training(options)
    if (status := outputs.shown_again(options, "train", settings, leak=options.leak)) is not None:
        return status
    given, streams = None, None
    if options.model:
        given, streams = inputs.model_and_streams(options, options.data)
    parts = split(streams or inputs.streams_of(options, options.data, None), options.shares)
    model, cast = trainable(given or inputs.fresh(options, parts.train).to(inputs.device(options)))
    if given is not None:
        parts = as_it_reads(model, parts, options.train_context, trains=not options.anyway)
    inputs.keep_tokeniser(model, options)
    if options.leak is not None:
        model = with_leak(model, options.leak)
    tell([*([cast] if cast else []), *scaling_notes(parts.train.about)])
    goal, rule = objective(options.objective, model, parts.train), Zero()
    try_out(model, parts.train, None)
    try_training(model, parts.train, [rule], options.train_context, settings)
    outputs.taken(options, parts)
    with outputs.output(options.out, fresh=True, trains=True), told(options) as say:
        began = time.monotonic()
        losses = fit(
            model,
            parts.train,
            goal,
            rule,
            options.train_context,
            settings,
            checkpoint=outputs.checkpoint(options),
            resume=options.resume,
            progress=lambda step, steps, loss, left: say("train", step / steps, loss),
        )
        seconds = time.monotonic() - began
        provenance = {"verb": "train", "data": parts.train.describe(), "how": parts.how}
        checkpoints.save(model, options.out / "model", provenance=provenance)
        result = Training(
            model={"name": str(options.out / "model"), **describe_model(model)},
            data=json.loads(json.dumps(parts.train.describe(), default=str)),
            settings={
                **asdict(settings),
                "ranks": ranks(),
                "objective": goal.name,
                "train_context": options.train_context,
                **({} if options.leak is None else {"leak": options.leak}),
            },
            seconds=round(seconds, 3),
            losses=losses,
            notes=[*([cast] if cast else []), *scaling_notes(parts.train.about)],
            command=inputs.command(options, model),
            outlast=VERSION,
        )
        outputs.finish(result, options)
    return 0


@outputs.alone
def run_evaluate(options: EvaluateVerb) -> int:
    outputs.claim(options.out, "evaluate", replace=options.replace)
    parts, model, notes = inputs.split_and_model(options)
    tell(notes)
    outputs.taken(options, parts)
    with outputs.output(options.out):
        with Reporter(quiet=options.quiet) as say:
            result = evaluate(
                model,
                parts,
                train_context=options.train_context,
                measures=options.measure,
                settings=inputs.measuring(options, options.seed),
                name=options.model,
                progress=lambda share: say("measure", share),
                announce=say.expect,
            )
        outputs.finish(replace(result, command=inputs.command(options, model)), options)
    outputs.warn(result)
    return 0


@outputs.alone
def run_diagnose(options: DiagnoseVerb) -> int:
    outputs.claim(options.out, "diagnose", replace=options.replace)
    if options.figures:
        ask_for_font(options.language)  # before the work, not after it
    parts, model, context, measures = _to_diagnose(options)
    stationary = None
    if options.stationary:
        stationary = inputs.streams_of(options, options.stationary, model)
        try_out(model, stationary, measures)
    outputs.taken(options, parts)
    with outputs.output(options.out):
        with Reporter(quiet=options.quiet) as say:
            result = diagnose(
                model,
                parts,
                train_context=context,
                measures=measures,
                settings=DiagnoseSettings(
                    replace(inputs.measuring(options, options.seed), jobs=options.jobs),
                    options.seed,
                    inputs.start_weights(options),
                ),
                stationary=stationary,
                name=options.model,
                progress=say,
                announce=say.expect,
            )
        measured = replace(result.evaluation, command=inputs.command(options, model))
        result = replace(result, evaluation=measured)
        outputs.finish(result, options)
        if options.figures:
            write_figures(result, options.out / outputs.FIGURES, language=options.language)
    outputs.warn(result.evaluation)
    return 0


def _to_diagnose(options: DiagnoseVerb) -> tuple[Split, Recurrent, int, Sequence[Measure | str] | None]:
    """Streams, model, training context and measures, from the options or from a built-in task."""
    asked = {"--data": options.data, "--train-context": options.train_context}
    if not options.threads:
        torch.set_num_threads(1)  # jobs are side by side, one thread each
    if options.task is None:
        if options.data is None or options.train_context is None:
            raise InputError(
                f"outlast diagnose without {' and '.join(flag for flag, given in asked.items() if given is None)}",
                "data and training context, or a built-in task",
                "name both, or --task power",
            )
        model, streams = inputs.model_and_streams(options, options.data)
        parts, measures = split(streams, options.shares), options.measure
        context = options.train_context
    else:
        if options.data is not None or options.reading():
            raise InputError(
                f"--task {options.task} with data or a way to read them",
                "the one or the other",
                "leave one of them out",
            )
        chosen = task(options.task)
        parts, model = chosen.streams(), inputs.model(options.model, options)
        measures = options.measure or (chosen.measures(model) if chosen.measures else None)
        context = options.train_context or chosen.train_context
    tell(try_out(model, parts.test, measures))
    return as_it_reads(model, parts, context), model, context, measures


@outputs.alone
def run_tune(options: TuneVerb) -> int:
    outputs.claim_for_models(options.out, "tune", replace=options.replace, reads={"--model": options.model})
    parts, model, notes = inputs.split_and_model(options)
    tell(notes)
    guards = {str(path): inputs.streams_of(options, path, model) for path in options.guard}
    outputs.taken(options, parts)
    with outputs.output(options.out, fresh=True):
        with Reporter(quiet=options.quiet) as say:
            done = tune(
                model,
                parts,
                train_context=options.train_context,
                cost=options.cost,
                measures=options.measure,
                measuring=inputs.measuring(options, options.seed),
                guards=guards,
                progress=say,
            )
        said = done.save(options.out, {"verb": "tune", "tuned_of": options.model})
        before = replace(done.result.before, command=inputs.command(options, model))
        outputs.finish(replace(done.result, before=before), options)
    outputs.tell(options, said)
    outputs.warn(before)
    return 0 if done.accepted else 1


@outputs.alone
def run_repair(options: RepairVerb) -> int:
    check_tracker(options)
    outputs.claim_for_models(options.out, "repair", replace=options.replace, reads={"--model": options.model})
    rule, how = inputs.rule_of(options), _how(options)
    if (budget := _budget(options)) is None:  # with one, a training goes on after its end, too
        starts = {} if options.expected_run == inputs.BY_DATA else {"intervention": in_one_word(rule.describe())}
        if (status := outputs.shown_again(options, "repair", how["training"], **_besides(how), **starts)) is not None:
            return status
    parts, model, _ = inputs.split_and_model(options)
    if options.expected_run == inputs.BY_DATA:
        rule = inputs.rule_of(options, parts.train)
    guards = {str(path): inputs.streams_of(options, path, model) for path in options.guard}
    for streams in guards.values():
        try_out(model, streams, how["measures"])
    try_repair(Wanted(model, parts, guards=guards, **how), [rule])
    texts = writing.sampler(options, model, parts)
    if not options.quiet and not options.resume and budget is None and ranks() == 1:
        with contextlib.suppress(TrainingDiverged):  # of a broken base; what is wrong with it, measuring says
            expected = repair_cost(model, parts, intervention=rule, guards=guards, jobs=options.jobs, **how)
            if expected.seconds >= LONG_REPAIR:
                print(expected, file=sys.stderr, flush=True)
    outputs.taken(options, parts)
    with outputs.output(options.out, fresh=True, trains=True, keeps=budget is not None):
        with told(options) as say:
            done = repair(
                model,
                parts,
                intervention=rule,
                budget=budget,
                guards=guards,
                checkpoint=outputs.checkpoint(options),
                resume=options.resume,
                jobs=options.jobs,
                progress=say,
                **how,
            )
            say.conclude(done.result)
        made = {"verb": "repair", "repair_of": options.model}
        said = save_models(options.out, done.result, done.model, done.control, made)
        before = replace(done.before, command=inputs.command(options, model))
        nothing = done.result.refused_because is not None and done.result.refused_because.untouched
        written = [] if nothing else texts.samples(model, done.model)
        outputs.finish(replace(done.result, before=before, samples=written), options)
    outputs.tell(options, said)
    outputs.warn(done.before)
    return 0 if done.accepted else 1


def _budget(options: RepairVerb) -> str | None:
    """For how long to train for as long as it pays; None: a number of steps was asked for."""
    if options.budget is None:
        return BUDGET if options.steps is None else None
    seconds_of(options.budget, "--budget")
    if options.steps is not None:
        raise InputError(
            f"--steps {options.steps} with --budget {options.budget}",
            "one of the two",
            "leave --steps out, to train for as long as it pays",
        )
    return options.budget


@outputs.alone
def run_compare(options: CompareVerb) -> int:
    check_tracker(options)
    outputs.claim_for_models(options.out, "compare", replace=options.replace, reads={"--model": options.model})
    rules, how = inputs.rules_of(options), _how(options)
    if (status := outputs.shown_again(options, "compare", how["training"], **_besides(how))) is not None:
        return status
    parts, model, _ = inputs.split_and_model(options)
    try_repair(Wanted(model, parts, **how), rules)
    texts = writing.sampler(options, model, parts)
    outputs.taken(options, parts)
    with outputs.output(options.out, fresh=True, trains=True):
        with told(options) as say:
            done = compare(
                model,
                parts,
                interventions=rules,
                checkpoint=outputs.checkpoint(options),
                resume=options.resume,
                jobs=options.jobs,
                progress=say,
                **how,
            )
            say.conclude(done.result)
        said = done.save(options.out, {"verb": "compare", "repair_of": options.model})
        base = replace(done.result.base, command=inputs.command(options, model))
        picked = done.models.get(done.result.picked or "")
        written = [] if picked is None else texts.samples(model, picked)
        outputs.finish(replace(done.result, base=base, samples=written), options)
    outputs.tell(options, said)
    outputs.warn(base)
    return 0 if done.result.winner else 1


@outputs.alone
def run_plan(options: PlanVerb) -> int:
    outputs.claim(options.out, "plan", replace=options.replace)
    how = _how(options)
    budget = None if options.budget is None else seconds_of(options.budget, "--budget")
    check_price(options.price_per_hour, "--price-per-hour", PRICE)
    check_price(options.value_per_unit, "--value-per-unit", VALUE)
    parts, model, notes = inputs.split_and_model(options)
    try_repair(Wanted(model, parts, **how), [])
    tell(notes)
    outputs.taken(options, parts)
    with outputs.output(options.out):
        with Reporter(quiet=options.quiet) as say:
            result = plan(
                model,
                parts,
                budget=budget,
                price_per_hour=options.price_per_hour,
                value_per_unit=options.value_per_unit,
                jobs=options.jobs,
                progress=say,
                **how,
            )
        base = replace(result.base, command=inputs.command(options, model))
        outputs.finish(replace(result, base=base), options)
    outputs.warn(result.base)
    return 0


def _how(options: PlanVerb | RepairVerb | CompareVerb) -> dict[str, Any]:
    """What is asked of repair and compare alike, by the names of their arguments."""
    return {
        "train_context": options.train_context,
        "objective": options.objective,
        "measures": options.measure,
        "training": inputs.training(options),
        "measuring": inputs.measuring(options, options.seed),
        "repairing": settings_of(RepairSettings, options),
    }


def _besides(how: dict[str, Any]) -> dict[str, Any]:
    """What a record of training holds beside its settings."""
    return {"anchor": how["repairing"].anchor, "leak": how["repairing"].leak}


@outputs.alone
def run_dose(options: DoseVerb) -> int:
    reads = {"--base": options.base, "--repaired": options.repaired}
    outputs.claim_for_models(options.out, "dose", replace=options.replace, reads=reads)
    base, repaired = (models.model_on(name, "cpu", allow_code=options.allow_code) for name in reads.values())
    model = with_dose(base, repaired, options.dose)
    folder = options.out / "model"
    with outputs.output(options.out, fresh=True):
        provenance = {"verb": "dose", "base": options.base, "repaired": options.repaired, "dose": options.dose}
        checkpoints.save(model, folder, provenance=provenance)
    print(f"model at dose {options.dose:g}, not measured: {folder}")
    return 0
