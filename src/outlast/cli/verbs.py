"""What each verb does: read the options, call one function of the library, print."""

from __future__ import annotations

import json
import shlex
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from outlast import checkpoints
from outlast.adapters import from_factory
from outlast.adapters.check import check
from outlast.cli.options import (
    CheckVerb,
    CompareVerb,
    Data,
    EnvVerb,
    EvaluateVerb,
    Learning,
    Measuring,
    QuickstartVerb,
    RepairVerb,
    ReportVerb,
    Running,
    TasksVerb,
    TrainVerb,
)
from outlast.cli.progress import Reporter
from outlast.environment import environment
from outlast.errors import InputError
from outlast.evaluation import EvalSettings, describe_model, evaluate
from outlast.families import FAMILIES, build
from outlast.interventions import Intervention, Zero, intervention
from outlast.measures import Measure, measure
from outlast.model import InputSpec, Recurrent
from outlast.objectives import objective
from outlast.quickstart import quickstart, quickstart_seeds
from outlast.repairs import compare, repair
from outlast.reporting import summary, write_report
from outlast.results import VERSION, Result, Training, load_result, save_result, to_json
from outlast.streams import Split, Streams, open_streams, split
from outlast.tasks import TASKS, task
from outlast.training import TrainSettings, fit


def run_check(options: CheckVerb) -> int:
    model = _model(options.model, options)
    example = None
    if options.data:
        streams = open_streams(options.data)
        length = min(130, int(streams.lengths[0]))
        example = streams.window(np.zeros(2, np.int64), np.zeros(2, np.int64), length).inputs
    report = check(model, example, seed=options.seed)
    _finish(report, options)
    return 0 if report.passed else 1


def run_train(options: TrainVerb) -> int:
    parts = _split(options, options.seed)
    model = _model(options.model, options) if options.model else _fresh(options, parts.train).to(_device(options))
    settings = _training(options, options.seed)
    with Reporter() as say:
        losses = fit(
            model,
            parts.train,
            objective(options.objective, model, parts.train),
            Zero(),
            options.train_context,
            settings,
            checkpoint=options.out / "checkpoint",
            resume=options.resume,
            progress=lambda step, steps, loss, left: say("train", step / steps, loss),
        )
    checkpoints.save(model, options.out / "model", provenance={"data": parts.train.describe(), "how": parts.how})
    shutil.rmtree(options.out / "checkpoint", ignore_errors=True)
    result = Training(
        model={"name": str(options.out / "model"), **describe_model(model)},
        data=json.loads(json.dumps(parts.train.describe(), default=str)),
        settings={**asdict(settings), "train_context": options.train_context, **_command(options)},
        seconds=0.0,
        losses=losses,
        outlast=VERSION,
    )
    _finish(result, options)
    return 0


def run_evaluate(options: EvaluateVerb) -> int:
    parts = _split(options, options.seed)
    model = _model(options.model, options)
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
    return 0


def run_repair(options: RepairVerb) -> int:
    parts = _split(options, options.seed)
    model = _model(options.model, options)
    rule = _intervention(options)
    guards = {str(path): open_streams(path, **options.reading()) for path in options.guard}
    with Reporter() as say:
        done = repair(
            model,
            parts,
            train_context=options.train_context,
            intervention=rule,
            objective=options.objective,
            measures=_measures(options),
            training=_training(options, options.seed),
            measuring=_measuring(options),
            guards=guards,
            checkpoint=options.out / "checkpoint",
            resume=options.resume,
            progress=say,
        )
    folder = options.out / ("model" if done.accepted else "refused")
    checkpoints.save(done.model, folder, provenance={"repair_of": options.model, "by": rule.describe()})
    before = replace(done.result.before, settings={**done.before.settings, **_command(options)})
    _finish(replace(done.result, before=before), options)
    shutil.rmtree(options.out / "checkpoint", ignore_errors=True)
    _tell(options, f"{'repaired model' if done.accepted else 'refused model, kept for a look'}: {folder}")
    return 0 if done.accepted else 1


def run_compare(options: CompareVerb) -> int:
    parts = _split(options, options.seed)
    model = _model(options.model, options)
    runs = options.expected_runs or (20.0 * options.train_context,)
    rules: list[Intervention] = []
    for name in options.interventions:
        for run in runs if name == "carry" else (None,):
            rules.append(intervention(name, expected_run=run, zero_share=options.zero_share))
    with Reporter() as say:
        done = compare(
            model,
            parts,
            train_context=options.train_context,
            interventions=rules,
            objective=options.objective,
            measures=_measures(options),
            training=_training(options, options.seed),
            measuring=_measuring(options),
            progress=say,
        )
    if done.model is not None:
        checkpoints.save(done.model, options.out / "model", provenance={"repair_of": options.model})
    base = replace(done.result.base, settings={**done.result.base.settings, **_command(options)})
    _finish(replace(done.result, base=base), options)
    return 0 if done.result.winner else 1


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
    with Reporter() as say:
        if options.seeds > 1:
            seeds = range(options.seed, options.seed + options.seeds)
            text = quickstart_seeds(options.out, seeds, options.page, options.jobs, say)
            accepted = True
        else:
            result = quickstart(options.out, options.seed, options.jobs, say)
            accepted = result.winner is not None
            text = summary(result)
    print(text)
    if options.seeds == 1:
        print(f"\nreport: {options.out / 'report.html'}")
    return 0 if accepted else 1


def _device(options: Running) -> torch.device:
    if options.threads:
        torch.set_num_threads(options.threads)
    name = options.device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.device(name)
    except RuntimeError:
        raise InputError(f"device {name!r}", "cpu, cuda, cuda:1, … or auto", "leave --device out") from None


def _model(name: str, options: Running) -> Recurrent:
    device = _device(options)
    if Path(name).is_dir():
        return checkpoints.load(name, device)
    if ":" in name:
        return from_factory(name).to(device)
    raise InputError(
        f"model {name!r}",
        "a directory that outlast saved, or package.module:build",
        "check the path; a function in my_models.py is written my_models:build",
    )


def _fresh(options: TrainVerb, streams: Streams) -> Recurrent:
    inputs = InputSpec("tokens", streams.classes or 0) if streams.tokens else None
    inputs = inputs or InputSpec("features", streams.inputs.shape[-1])
    targets = streams.window(np.zeros(1, np.int64), np.zeros(1, np.int64), 1).targets
    outputs = streams.classes or (0 if targets is None else targets.shape[-1])
    kinds = {} if options.family not in FAMILIES else FAMILIES[options.family].__dataclass_fields__
    settings = {key: _number(value) if key in kinds else value for key, value in options.settings.items()}
    return build(options.family, inputs=inputs, outputs=outputs, seed=options.seed, **settings)


def _number(text: str) -> Any:
    try:
        return json.loads(text.lower())
    except json.JSONDecodeError:
        return text


def _split(options: Data, seed: int) -> Split:
    streams = open_streams(options.data, **options.reading())
    return split(streams, options.shares)


def _measures(options: Measuring) -> tuple[Measure, ...] | None:
    return tuple(measure(name) for name in options.measure) if options.measure else None


def _measuring(options: Measuring) -> EvalSettings:
    return EvalSettings(max_length=options.max_length, targets=options.targets)


def _training(options: Learning, seed: int) -> TrainSettings:
    return TrainSettings(
        steps=options.steps,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        seed=seed,
        checkpoint_every=options.checkpoint_every,
        precision=options.precision,
    )


def _intervention(options: RepairVerb) -> Intervention:
    run = options.expected_run
    if options.intervention.replace("-", "_") == "carry" and run is None:
        run = 20.0 * options.train_context
    settings = {"expected_run": run, "zero_share": options.zero_share, "std": options.std, "source": options.source}
    return intervention(options.intervention, **settings)


def _command(options: Any) -> dict[str, Any]:
    """What a report needs to write the next command: the model, the data and how the data are read."""
    words: list[str] = []
    for name, value in options.reading().items():
        words += [f"--{name.replace('_', '-')}", *map(str, value if isinstance(value, list | tuple) else [value])]
    command = {"model": getattr(options, "model", None) or "MODEL", "data": str(options.data)}
    return {"command": {**command, "options": shlex.join(words)}}


def _finish(result: Result, options: Running) -> None:
    save_result(result, options.out / "result.json")
    report = write_report([result], options.out / "report.html")
    print(to_json(result) if options.json else summary(result))
    _tell(options, f"\nreport: {report}")


def _tell(options: Running, text: str) -> None:
    if not options.json:
        print(text)
