"""What each verb does: read the options, call one function of the library, write and print what it returns."""

from __future__ import annotations

import contextlib
import json
import shlex
import shutil
import sys
import tempfile
import time
import typing
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from outlast import checkpoints, recipes
from outlast.adapters import from_factory
from outlast.adapters.check import check
from outlast.cli.guessing import no_better_than_guessing
from outlast.cli.options import (
    CheckVerb,
    CompareVerb,
    EnvVerb,
    EvaluateVerb,
    GenerateVerb,
    Machine,
    Measuring,
    QuickstartVerb,
    RecipeVerb,
    RepairVerb,
    ReportVerb,
    Running,
    TasksVerb,
    TrainVerb,
)
from outlast.cli.progress import Reporter
from outlast.cli.trial import try_out
from outlast.cli.words import Words
from outlast.environment import environment
from outlast.errors import InputError, Interrupted, unknown_name
from outlast.evaluation import EvalSettings, describe_model, evaluate
from outlast.families import FAMILIES, build
from outlast.generation import generate, load_place, save_place
from outlast.interventions import Intervention, Zero, intervention
from outlast.measures import Measure, measure
from outlast.model import InputSpec, Recurrent
from outlast.objectives import objective
from outlast.quickstart import quickstart, quickstart_seeds
from outlast.repairs import compare, repair
from outlast.reporting import summary, write_report
from outlast.results import VERSION, Evaluation, Result, Training, load_result, save_result, to_json
from outlast.streams import Split, Streams, open_streams, split
from outlast.streams.fits import check_inputs
from outlast.tasks import TASKS, task
from outlast.training import TrainSettings, fit

MeasuringVerb = EvaluateVerb | RepairVerb | CompareVerb


def run_check(options: CheckVerb) -> int:
    model = _model(options.model, options)
    example = None
    if options.data:
        streams = open_streams(options.data, **_reading(options, options.data))
        check_inputs(model.input_spec, streams)
        length = min(130, int(streams.lengths[0]))
        example = streams.window(np.zeros(2, np.int64), np.zeros(2, np.int64), length).inputs
    elif options.reading():
        raise InputError(
            f"{_words(options)} without --data", "data to which this applies", "name the data, or leave these out"
        )
    with _output(options):
        report = check(model, example, seed=options.seed)
        _finish(replace(report, model={**report.model, **_command(options)}), options)
    return 0 if report.passed else 1


def run_train(options: TrainVerb) -> int:
    parts = _split(options)
    given = _in_float32(_model(options.model, options)) if options.model else None
    model = given or _fresh(options, parts.train).to(_device(options))
    settings, goal = _training(options), objective(options.objective, model, parts.train)
    try_out(model, parts.train, None)
    with _output(options), Reporter() as say:
        began = time.monotonic()
        losses = fit(
            model,
            parts.train,
            goal,
            Zero(),
            options.train_context,
            settings,
            checkpoint=_checkpoint(options),
            resume=options.resume,
            progress=lambda step, steps, loss, left: say("train", step / steps, loss),
        )
        seconds = time.monotonic() - began
        checkpoints.save(model, options.out / "model", provenance={"data": parts.train.describe(), "how": parts.how})
        result = Training(
            model={"name": str(options.out / "model"), **describe_model(model)},
            data=json.loads(json.dumps(parts.train.describe(), default=str)),
            settings={
                **asdict(settings),
                "objective": goal.name,
                "train_context": options.train_context,
                **_command(options),
            },
            seconds=round(seconds, 3),
            losses=losses,
            outlast=VERSION,
        )
        _finish(result, options)
    return 0


def run_evaluate(options: EvaluateVerb) -> int:
    parts, model = _split_and_model(options)
    with _output(options):
        with Reporter() as say:
            result = evaluate(
                model,
                parts,
                train_context=options.train_context,
                measures=_measures(options),
                settings=_measuring(options),
                name=options.model,
                progress=lambda share: say("measure", share),
            )
        _finish(replace(result, settings={**result.settings, **_command(options)}), options)
    _warn(result, parts)
    return 0


def run_repair(options: RepairVerb) -> int:
    rule = _intervention(options)
    parts, model = _split_and_model(options)
    model = _in_float32(model)
    guards = {str(path): open_streams(path, **_reading(options, path)) for path in options.guard}
    for streams in guards.values():
        try_out(model, streams, _measures(options))
    with _output(options):
        with Reporter() as say:
            done = repair(
                model,
                parts,
                train_context=options.train_context,
                intervention=rule,
                objective=options.objective,
                measures=_measures(options),
                training=_training(options),
                measuring=_measuring(options),
                guards=guards,
                checkpoint=_checkpoint(options),
                resume=options.resume,
                progress=say,
            )
        folder = options.out / ("model" if done.accepted else "refused")
        checkpoints.save(done.model, folder, provenance={"repair_of": options.model, "by": rule.describe()})
        before = replace(done.before, settings={**done.before.settings, **_command(options)})
        _finish(replace(done.result, before=before), options)
    _tell(options, f"{'repaired model' if done.accepted else 'refused model, kept for a look'}: {folder}")
    _warn(done.before, parts)
    return 0 if done.accepted else 1


def run_compare(options: CompareVerb) -> int:
    runs = options.expected_runs or (20.0 * options.train_context,)
    rules: list[Intervention] = []
    for name in options.interventions:
        for run in runs if name == "carry" else (None,):
            rules.append(intervention(name, expected_run=run, zero_share=options.zero_share))
    parts, model = _split_and_model(options)
    model = _in_float32(model)
    with _output(options):
        with Reporter() as say:
            done = compare(
                model,
                parts,
                train_context=options.train_context,
                interventions=rules,
                objective=options.objective,
                measures=_measures(options),
                training=_training(options),
                measuring=_measuring(options),
                checkpoint=_checkpoint(options),
                resume=options.resume,
                jobs=options.jobs,
                progress=say,
            )
        if done.model is not None:
            provenance = {"repair_of": options.model, "by": done.result.winner}
            checkpoints.save(done.model, options.out / "model", provenance=provenance)
        base = replace(done.result.base, settings={**done.result.base.settings, **_command(options)})
        _finish(replace(done.result, base=base), options)
    if done.model is not None:
        _tell(options, f"repaired model: {options.out / 'model'}")
    _warn(base, parts)
    return 0 if done.result.winner else 1


def run_generate(options: GenerateVerb) -> int:
    model = _model(options.model, options)
    words = Words(options.model, model.input_spec, as_numbers=bool(options.tokens))
    after = load_place(options.state, model) if options.state and options.state.exists() else None
    prompt = words.read(options.prompt, options.tokens, first=after is None)
    chosen, place = generate(
        model, prompt, options.steps, after=after, temperature=options.temperature, seed=options.seed
    )
    if options.state:
        save_place(place, options.state, model)
    numbers, text = chosen[0].tolist(), words.written(chosen[0])
    print(json.dumps({"tokens": numbers, "text": text, "position": place.position}) if options.json else text)
    return 0


def run_report(options: ReportVerb) -> int:
    if not options.results:
        raise InputError("no results", "result.json files or folders with one", "outlast report runs/quickstart")
    print(write_report([load_result(path) for path in options.results], options.out))
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
    record = environment()
    print(json.dumps(record, indent=1) if options.json else "\n".join(f"{k}: {v}" for k, v in record.items()))
    return 0


def run_quickstart(options: QuickstartVerb) -> int:
    _writable(options.out)
    # On two cores, two jobs of one thread each are faster than one job of two threads; so is training the base alone.
    torch.set_num_threads(1)
    try:
        with Reporter() as say:
            if options.seeds > 1:
                seeds = range(options.seed, options.seed + options.seeds)
                text = quickstart_seeds(options.out, seeds, options.page, options.jobs, say, options.task)
                accepted = True
            else:
                result = quickstart(options.out, options.seed, options.jobs, say, options.task)
                accepted = result.winner is not None
                text = summary(result)
    except (Interrupted, KeyboardInterrupt):
        raise Interrupted("stopped: the same command goes on from here") from None
    print(text)
    if options.seeds == 1:
        print(f"\nreport: {options.out / 'report.html'}")
    return 0 if accepted else 1


def run_recipe(options: RecipeVerb) -> int:
    if options.recipe is None:
        raise InputError("no recipe", "a recipe in TOML", "outlast recipe recipes/recall.toml")
    recipe = recipes.read_recipe(options.recipe)
    recipe = replace(recipe, out=options.out) if options.out else recipe
    _writable(recipe.out)
    try:
        with Reporter() as say:
            comparisons = recipes.run_recipe(recipe, progress=say)
    except (Interrupted, KeyboardInterrupt):
        raise Interrupted("stopped: the same command goes on from here") from None
    print("\n\n".join(summary(result) for result in comparisons))
    print(f"\nreport: {recipe.out / 'report.html'}")
    return 0


def _device(options: Machine) -> torch.device:
    """The device that was asked for, after asking for the threads."""
    if options.threads:
        torch.set_num_threads(options.threads)
    name = options.device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    kind = name.partition(":")[0]
    if kind not in ("cpu", "cuda", "mps", "xpu"):
        raise unknown_name("device", name, ("auto", "cpu", "cuda", "mps", "xpu"))
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:  # torch reports a device it lacks as either
        raise InputError(
            f"device {name!r} ({str(error).splitlines()[0]})", "a device of this machine, or auto", "try --device cpu"
        ) from None
    return device


def _model(name: str, options: Machine) -> Recurrent:
    device = _device(options)
    if Path(name).is_dir():
        return checkpoints.load(name, device)
    if ":" in name:
        return from_factory(name).to(device)
    raise InputError(
        f"model {name!r}",
        "a directory that outlast, transformers or fla saved, or package.module:build",
        "check the path; a function build in my_models.py is written my_models:build",
    )


def _in_float32(model: Recurrent) -> Recurrent:
    """The model to train: steps as small as a repair's are rounded away where parameters are in half precision."""
    halves = {p.dtype for p in model.parameters() if p.is_floating_point() and p.dtype.itemsize < 4}
    if not halves:
        return model
    print(f"parameters in {halves.pop()}: trained, measured and saved in float32", file=sys.stderr)
    return model.float()


def _fresh(options: TrainVerb, streams: Streams) -> Recurrent:
    inputs = InputSpec("tokens", streams.classes or 0) if streams.tokens else None
    inputs = inputs or InputSpec("features", streams.inputs.shape[-1])
    targets = streams.window(np.zeros(1, np.int64), np.zeros(1, np.int64), 1).targets
    outputs = streams.classes or (0 if targets is None else targets.shape[-1])
    kinds = typing.get_type_hints(FAMILIES[options.family]) if options.family in FAMILIES else {}
    settings = {key: _setting(key, value, kinds.get(key, str)) for key, value in options.settings.items()}
    return build(options.family, inputs=inputs, outputs=outputs, seed=options.seed, **settings)


def _setting(name: str, text: str, kind: Any) -> Any:
    """The value of a family's setting, of the type that the family declares."""
    if kind is bool and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    if kind in (int, float, bool):
        wanted = {int: "a whole number", float: "a number", bool: "true or false"}[kind]
        raise InputError(f"--settings {name} {text}", f"{name} with {wanted}", "correct the value")
    if typing.get_origin(kind) is dict:
        try:
            value = json.loads(text)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise InputError(f"--settings {name} {text}", f"{name} with a JSON object", f"{name} '{{\"heads\": 4}}'")
        return value
    return text


def _split_and_model(options: MeasuringVerb) -> tuple[Split, Recurrent]:
    """Both, after trying out the one on the other."""
    parts, measures = _split(options), _measures(options)
    model = _model(options.model, options)
    try_out(model, parts.test, measures)
    return parts, model


def _split(options: TrainVerb | MeasuringVerb) -> Split:
    return split(open_streams(options.data, **_reading(options, options.data)), options.shares)


def _reading(options: TrainVerb | MeasuringVerb | CheckVerb, path: Path) -> dict[str, Any]:
    """What the reader of `path` is told: tables are scaled for the split to come, others are split afterwards."""
    given = options.reading()
    if path.suffix.lower() not in (".csv", ".tsv", ".parquet"):
        given.pop("shares", None)
    return {name: list(value) if name == "inputs" else value for name, value in given.items()}


def _measures(options: Measuring) -> tuple[Measure, ...] | None:
    return tuple(measure(name) for name in options.measure) if options.measure else None


def _measuring(options: Measuring) -> EvalSettings:
    return EvalSettings(max_length=options.max_length, targets=options.targets)


def _training(options: TrainVerb | RepairVerb | CompareVerb) -> TrainSettings:
    return TrainSettings(
        steps=options.steps,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        seed=options.seed,
        checkpoint_every=options.checkpoint_every,
        precision=options.precision,
    )


def _intervention(options: RepairVerb) -> Intervention:
    run = options.expected_run
    if options.intervention.replace("-", "_") == "carry" and run is None:
        run = 20.0 * options.train_context
    settings = {"expected_run": run, "zero_share": options.zero_share, "std": options.std, "source": options.source}
    return intervention(options.intervention, **settings)


def _command(options: TrainVerb | MeasuringVerb | CheckVerb) -> dict[str, Any]:
    """What a report needs to write the next command: model, data, how the data are read, and where results are."""
    command = {"out": str(options.out), "options": _words(options)}
    if options.model:
        command["model"] = options.model
    if options.data:
        command["data"] = str(options.data)
    return {"command": command}


def _words(options: TrainVerb | MeasuringVerb | CheckVerb) -> str:
    """The reading options as one types them."""
    words: list[str] = []
    for name, value in options.reading().items():
        words += [f"--{name.replace('_', '-')}", *map(str, value if isinstance(value, tuple) else [value])]
    return shlex.join(words)


@contextlib.contextmanager
def _output(options: Running) -> Iterator[None]:
    """Before the work: can the folder be written to? After it: no checkpoint, and no folder that holds nothing.

    Stopped inside, it says how to go on.
    """
    _writable(options.out)
    checkpoint = options.out / "checkpoint"
    try:
        yield
    except KeyboardInterrupt:
        kept = any(checkpoint.rglob("training-*.json"))
        how = f"kept in {checkpoint}; run the same command with --resume" if kept else "run the same command again"
        raise Interrupted(f"stopped: {how}") from None
    except BaseException:
        with contextlib.suppress(OSError):
            options.out.rmdir()  # which only an empty folder lets happen
        raise
    shutil.rmtree(checkpoint, ignore_errors=True)


def _writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise InputError(
            f"--out {folder} ({error.strerror or error})", "a folder that may be written to", "choose another --out"
        ) from None


def _checkpoint(options: TrainVerb | RepairVerb | CompareVerb) -> Path:
    """The folder of checkpoints; says so where there is nothing to go on from."""
    folder = options.out / "checkpoint"
    if options.resume and not any(folder.rglob("training-*.json")):
        print(f"nothing to resume in {folder}: starting anew", file=sys.stderr)
    return folder


def _finish(result: Result, options: Running) -> None:
    """Write report.html, then result.json: where there is a new result.json, the rest is there."""
    report = write_report([result], options.out / "report.html")
    save_result(result, options.out / "result.json")
    print(to_json(result) if options.json else summary(result))
    _tell(options, f"\nreport: {report}")


def _warn(evaluation: Evaluation, parts: Split) -> None:
    if warning := no_better_than_guessing(evaluation, parts.train, parts.test):
        print(warning, file=sys.stderr)


def _tell(options: Running, text: str) -> None:
    print(text, file=sys.stderr if options.json else sys.stdout)
