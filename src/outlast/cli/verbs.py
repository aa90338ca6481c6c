"""What each verb does: read the options, call one function of the library, write and print what it returns."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from outlast import checkpoints
from outlast.adapters.check import check
from outlast.adapters.precision import runnable, trainable
from outlast.cli import inputs, outputs, writing
from outlast.cli.environment import environment
from outlast.cli.options import (
    CheckVerb,
    CompareVerb,
    DiagnoseVerb,
    DoseVerb,
    EnvVerb,
    EvaluateVerb,
    ExportVerb,
    GenerateVerb,
    PlanVerb,
    QuickstartVerb,
    RecipeVerb,
    RepairVerb,
    ReportVerb,
    StreamVerb,
    TasksVerb,
    TrainVerb,
)
from outlast.cli.progress import LONG_REPAIR, Reporter
from outlast.cli.tracking import check_tracker, told
from outlast.cli.trial import say_what_was_found, tell, try_out, try_repair, try_training
from outlast.cli.warming import warm
from outlast.diagnosis import DiagnoseSettings, diagnose
from outlast.durations import seconds_of
from outlast.errors import InputError, Interrupted, TrainingDiverged
from outlast.evaluation import describe_model, evaluate
from outlast.evaluation.measures import Measure
from outlast.exporting import TOLERANCE, export
from outlast.folders import locked
from outlast.generation import Place, generate, load_place, save_place
from outlast.interventions import Zero
from outlast.model import Recurrent, device_of
from outlast.onnx import folder_of
from outlast.planning import plan, repair_cost
from outlast.planning.repair_cost import PRICE, VALUE, check_price
from outlast.ranks import ranks
from outlast.repairs import compare, repair, with_dose
from outlast.repairs.saving import save_models
from outlast.reporting import ask_for_font, summary, write_figures, write_report
from outlast.results import VERSION, Training, load_result
from outlast.serving import Deployed
from outlast.serving.lines import answer
from outlast.serving.resets import under_resets
from outlast.serving.vocabulary import Vocabulary
from outlast.streams import Split, split
from outlast.streams.fits import check_inputs
from outlast.tasks import TASKS, recipe_run, task
from outlast.tasks.failure_map import FailureMap, run_map
from outlast.tasks.quickstart import quickstart, quickstart_seeds
from outlast.tasks.recipe_files import read_recipe
from outlast.training import fit
from outlast.training.objectives import objective


@outputs.alone
def run_check(options: CheckVerb) -> int:
    outputs.claim(options.out, "check", replace=options.replace)
    example = None
    if options.data:
        model, streams = inputs.model_and_streams(options, options.data)
        check_inputs(model, streams)
        length = min(130, int(streams.lengths[0]))
        example = streams.window(np.zeros(2, np.int64), np.zeros(2, np.int64), length).inputs
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
    if (status := outputs.shown_again(options, "train", settings)) is not None:
        return status
    given, streams = None, None
    if options.model:
        given, streams = inputs.model_and_streams(options, options.data)
    parts = split(streams or inputs.streams_of(options, options.data, None), options.shares)
    model, cast = trainable(given or inputs.fresh(options, parts.train).to(inputs.device(options)))
    inputs.keep_tokeniser(model, options)
    tell([cast] if cast else [])
    goal, rule = objective(options.objective, model, parts.train), Zero()
    try_out(model, parts.train, None)
    try_training(model, parts.train, [rule], options.train_context, settings)
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
            },
            seconds=round(seconds, 3),
            losses=losses,
            notes=[cast] if cast else [],
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
    return parts, model, context, measures


@outputs.alone
def run_repair(options: RepairVerb) -> int:
    check_tracker(options)
    outputs.claim_for_models(options.out, "repair", replace=options.replace, reads={"--model": options.model})
    rule, how = inputs.rule_of(options), _how(options)
    if (status := outputs.shown_again(options, "repair", how["training"])) is not None:
        return status
    parts, model, _ = inputs.split_and_model(options)
    if options.expected_run == inputs.BY_DATA:
        rule = inputs.rule_of(options, parts.train)
    guards = {str(path): inputs.streams_of(options, path, model) for path in options.guard}
    for streams in guards.values():
        try_out(model, streams, how["measures"])
    try_repair(model, parts, [rule], guards=guards, **how)
    texts = writing.sampler(options, model, parts)
    if not options.quiet and not options.resume and ranks() == 1:
        with contextlib.suppress(TrainingDiverged):  # of a broken base; what is wrong with it, measuring says
            expected = repair_cost(model, parts, intervention=rule, guards=guards, jobs=options.jobs, **how)
            if expected.seconds >= LONG_REPAIR:
                print(expected, file=sys.stderr, flush=True)
    with outputs.output(options.out, fresh=True, trains=True):
        with told(options) as say:
            done = repair(
                model,
                parts,
                intervention=rule,
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


@outputs.alone
def run_compare(options: CompareVerb) -> int:
    check_tracker(options)
    outputs.claim_for_models(options.out, "compare", replace=options.replace, reads={"--model": options.model})
    rules, how = inputs.rules_of(options), _how(options)
    if (status := outputs.shown_again(options, "compare", how["training"])) is not None:
        return status
    parts, model, _ = inputs.split_and_model(options)
    try_repair(model, parts, rules, guards={}, **how)
    texts = writing.sampler(options, model, parts)
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
    try_repair(model, parts, [], guards={}, **how)
    tell(notes)
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
        "repairing": inputs.repairing(options),
    }


@outputs.alone
def run_dose(options: DoseVerb) -> int:
    reads = {"--base": options.base, "--repaired": options.repaired}
    outputs.claim_for_models(options.out, "dose", replace=options.replace, reads=reads)
    base, repaired = (inputs.model_on(name, "cpu", allow_code=options.allow_code) for name in reads.values())
    model = with_dose(base, repaired, options.dose)
    folder = options.out / "model"
    with outputs.output(options.out, fresh=True):
        provenance = {"verb": "dose", "base": options.base, "repaired": options.repaired, "dose": options.dose}
        checkpoints.save(model, folder, provenance=provenance)
    print(f"model at dose {options.dose:g}, not measured: {folder}")
    return 0


def run_export(options: ExportVerb) -> int:
    if options.out.exists() and not options.replace:
        raise InputError(
            f"--out {options.out}, which is there already", "a new file", "choose another --out, or --replace"
        )
    model = inputs.model_on(options.model, "cpu", allow_code=options.allow_code)
    made = export(under_resets(model, options.resets), options.out, train_context=options.train_context)
    print(f"{options.out}: {made.signature}")
    print(f"in onnxruntime as the model, to {TOLERANCE:g}, in pieces with the state carried")
    return 0


def run_generate(options: GenerateVerb) -> int:
    writing.check(options)
    model = inputs.model(options.model, options)
    model, cast = runnable(model, torch.zeros(1, 2, dtype=torch.int64, device=device_of(model)))
    tell([cast] if cast else [])
    vocabulary = Vocabulary(
        str(options.tokenizer or folder_of(options.model)), model.input_spec, as_numbers=bool(options.tokens)
    )
    other = writing.other(options, model)
    text = writing.text_of(options, model)
    after = load_place(options.state, model) if options.state and options.state.exists() else None
    prompt = None if text else vocabulary.read(options.prompt, options.tokens, first=after is None)

    def write(one: Recurrent) -> tuple[torch.Tensor, Place]:
        begin = text.place(one) if text else after
        return generate(one, prompt, options.steps, after=begin, temperature=options.temperature, seed=options.seed)

    chosen, place = write(model)
    if options.state:
        save_place(place, options.state, model)
    written = {options.model: chosen[0]}
    if other is not None:
        written[options.against or ""] = write(other)[0][0]
    writing.say(options, vocabulary, text, written, place.position)
    return 0


def run_stream(options: StreamVerb) -> int:
    model = inputs.model(options.model, options)
    found = folder_of(options.model)
    folder = found if Path(found).is_dir() else None
    deployed = Deployed(model, resets=options.resets, stream_column=options.stream, folder=folder)
    if options.state and options.state.exists():
        deployed.load_states(options.state)
    try:
        answer(deployed, sys.stdin.fileno(), sys.stdout, options.state, options.state_every)
    except BrokenPipeError:  # whoever read the forecasts has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


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
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError) as error:
        # A file can say what no measurement does in more ways than can be asked for one by one.
        given = ", ".join(map(str, options.results))
        raise InputError(
            f"{given}, of which no report can be drawn ({type(error).__name__}: {error})",
            "results as outlast wrote them",
            "measure again; where outlast wrote these files as they are, it is a fault of outlast: report it with them",
        ) from error
    return 0


def run_tasks(options: TasksVerb) -> int:
    if options.fetch:
        parts = task(options.fetch).streams()
        print(f"{options.fetch}: {parts.how}")
        return 0
    for name, each in TASKS.items():
        print(f"{name}: {each.summary}")
    return 0


def run_env(options: EnvVerb) -> int:
    if options.warm:
        for family, precision, seconds in warm():
            print(f"{family} in {precision}: {seconds:.1f} s", file=sys.stderr)
    record = environment()
    print(json.dumps(record, indent=1) if options.json else "\n".join(f"{k}: {v}" for k, v in record.items()))
    return 0


@outputs.alone
def run_quickstart(options: QuickstartVerb) -> int:
    if options.seeds == 1:
        outputs.claim_for_models(options.out, "quickstart", replace=options.replace, reads={})
        # What a finished run left must not pass for this one's; a stopped one left no result.
        outputs.clear(options.out)
    # On two cores, two jobs of one thread each are faster than one job of two threads; so is training the base alone.
    torch.set_num_threads(1)
    try:
        with Reporter(quiet=options.quiet) as say:
            if options.seeds > 1:
                seeds = range(options.seed, options.seed + options.seeds)
                text = quickstart_seeds(
                    options.out, seeds, options.page, options.jobs, say, options.task, options.language
                )
            else:
                result = quickstart(options.out, options.seed, options.jobs, say, options.task, options.language)
                text = summary(result, options.language)
    except (Interrupted, KeyboardInterrupt):
        raise Interrupted("stopped: the same command goes on from here") from None
    print(text)
    if options.seeds == 1:
        print(f"\nreport: {options.out / outputs.REPORT}")
    return 0


def run_recipe(options: RecipeVerb) -> int:
    if options.recipe is None:
        raise InputError("no recipe", "a recipe in TOML", "outlast recipe recipes/recall.toml")
    recipe = read_recipe(options.recipe, options.scale)
    recipe = replace(recipe, out=options.out) if options.out else recipe
    if isinstance(recipe, FailureMap):
        return _run_map(recipe, options)
    place = inputs.device(options)
    with locked(recipe.out, f"outlast recipe {options.recipe}"):
        outputs.claim(recipe.out, "recipe", replace=options.replace)
        try:
            with Reporter(quiet=options.quiet) as say:
                comparisons = recipe_run.run_recipe(
                    recipe, progress=say, language=options.language, device=place, allow_code=options.allow_code
                )
        except (Interrupted, KeyboardInterrupt):
            raise Interrupted("stopped: the same command goes on from here") from None
    if not comparisons and recipe.rows:
        print(f"nothing is left to run; rows: {recipe.rows}")
        return 0
    print("\n\n".join(summary(result, options.language) for result in comparisons))
    print(f"\nreport: {recipe.out / outputs.REPORT}")
    return 0


def _run_map(recipe: FailureMap, options: RecipeVerb) -> int:
    if ranks() > 1 or options.device not in ("auto", "cpu") or options.threads:
        raise InputError(
            f"the map of {options.recipe} on {ranks()} ranks, --device {options.device}, --threads {options.threads}",
            "a map on one rank and the CPU, where every job has one thread",
            "leave these out; a recipe of comparisons takes them",
        )
    with locked(recipe.out, f"outlast recipe {options.recipe}"):
        try:
            with Reporter(quiet=options.quiet) as say:
                rows = run_map(recipe, progress=say)
        except (Interrupted, KeyboardInterrupt):
            raise Interrupted("stopped: the same command goes on from here") from None
    print(f"{len(rows)} rows: {recipe.rows}")
    return 0
