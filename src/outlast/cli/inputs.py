"""From options to what the library is called with: models, streams, settings."""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
import typing
from dataclasses import replace
from pathlib import Path
from typing import Any

from outlast.arguments import at_least
from outlast.cli.live_options import LiveProfileVerb, LiveRetrainVerb
from outlast.cli.models import device, model
from outlast.cli.option_groups import (
    Affording,
    Measuring,
    Ports,
    ReadingText,
    Starting,
    Weighing,
)
from outlast.cli.options import (
    CheckVerb,
    CompareVerb,
    DiagnoseVerb,
    EvaluateVerb,
    PlanVerb,
    RepairVerb,
    SaveVerb,
    TrainVerb,
    TuneVerb,
)
from outlast.cli.parsing import settings_of
from outlast.cli.trial import try_out
from outlast.data import Split, Streams, open_streams, split
from outlast.data.compatibility import inputs_of, sizes_for
from outlast.data.opening import accepted, reads_text, tokeniser_for
from outlast.data.tables.columns import typed_categories
from outlast.data.text.tokenisers import has_tokeniser, tokeniser_files
from outlast.durations import seconds_of
from outlast.errors import InputError
from outlast.evaluation import EvalSettings
from outlast.evaluation.misread import as_it_reads
from outlast.evaluation.opened import adapted_to, asking_columns
from outlast.families import FAMILIES, build
from outlast.interventions import Intervention, Partial, intervention, spoken
from outlast.model import Recurrent
from outlast.modules import from_factory
from outlast.modules.calls.finding import CannotBeRead
from outlast.modules.factory import code_of
from outlast.modules.resetting import bare
from outlast.onnx import folder_of
from outlast.planning import expected_run
from outlast.results import Command, Note
from outlast.training import TrainSettings

MeasuringVerb = EvaluateVerb | PlanVerb | RepairVerb | CompareVerb | TuneVerb
ReadingVerb = TrainVerb | MeasuringVerb | CheckVerb | DiagnoseVerb | LiveProfileVerb | SaveVerb


def model_and_streams(options: ReadingVerb, data: Path) -> tuple[Recurrent, Streams]:
    """The model, and streams as it reads them.

    A factory's model that does not say what it reads, but by its layers' sizes, reads what the data hold.
    """
    name = options.model or ""
    try:
        found = model(name, options)
    except CannotBeRead:
        read = streams_of(options, data, None)
        found = asking_columns(read, lambda: from_factory(name, inputs_of(read))).to(device(options))
    streams = streams_of(options, data, found)
    return adapted_to(found, streams), streams


def fresh(options: TrainVerb, streams: Streams) -> Recurrent:
    """A model of the family that was asked for, of the streams' sizes."""
    inputs, outputs = sizes_for(streams)
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
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise InputError(f"--settings {name} {text}", f"{name} with a JSON object", f"{name} '{{\"heads\": 4}}'")
        return value
    return text


def split_and_model(options: MeasuringVerb) -> tuple[Split, Recurrent, list[Note]]:
    """Both, after trying out the one on the other, and what that showed; a table as the model reads it best."""
    found, streams = model_and_streams(options, options.data)
    parts = split(streams, options.shares)
    keep_tokeniser(found, options)
    notes = try_out(found, parts.test, options.measure)
    return as_it_reads(found, parts, options.train_context), found, notes


def split_of(options: TrainVerb | MeasuringVerb | LiveProfileVerb | LiveRetrainVerb, reader: Recurrent | None) -> Split:
    return split(streams_of(options, options.data, reader), options.shares)


def streams_of(options: ReadingVerb | LiveRetrainVerb, path: Path, reader: Recurrent | None) -> Streams:
    """The streams of a file or folder, read as the options say.

    Tables are read as the model that will read them was trained to, where it says so. Otherwise they are scaled for the
    split to come. Other data are split afterwards.

    Args:
        reader: the model; None: there is none yet.
    """
    given = text_options(options, path, reader)
    takes = accepted(path, given)
    if "shares" not in takes:
        given.pop("shares", None)
    if reader is not None and reader.schema is not None and "schema" in takes:
        given["schema"] = reader.schema
    if "scenario" in given:
        given["scenarios"] = given.pop("scenario")
    if "category" in given:
        given["category"] = typed_categories(given["category"])
    if "horizon" in given:
        given["horizon"] = _horizons(given["horizon"])
    if len(given.get("target", ())) == 1:
        given["target"] = given["target"][0]
    return open_streams(path, **given)


def text_options(options: ReadingText, path: Path, reader: Recurrent | None) -> dict[str, Any]:
    """The options of reading that were given, those of text by the names that the reader of text has for them.

    Args:
        options: of a verb with a model; where they name no tokeniser, text is read with the model's own.
    """
    given = {**options.reading()}
    if "text_split" in given:
        given["split"] = given.pop("text_split")
    if reader is not None and "tokenizer" not in given:
        given |= tokeniser_for(folder_of(getattr(options, "model", None) or ""), reader, path)
    if "separator" in given:
        given["separator"] = given["separator"].replace("\\n", "\n").replace("\\t", "\t")
    return given


def keep_tokeniser(model: Recurrent, options: TrainVerb | MeasuringVerb) -> None:
    """Have the tokeniser of its texts saved with a model, so that whatever reads text for it finds it."""
    own = options.model if options.model and reads_text(model) and has_tokeniser(options.model) else None
    if (name := options.tokenizer or own) is not None:
        model.tokeniser = tokeniser_files(name)


def _horizons(typed: tuple[str, ...]) -> int | tuple[int, ...]:
    """One horizon or several, typed as 60, 1,15,60 or 1 15 60."""
    words = [word for each in typed for word in each.replace(",", " ").split()]
    try:
        found = tuple(int(word) for word in words)
    except ValueError:
        found = ()
    if not found:
        raise InputError(
            f"--horizon {' '.join(typed)}", "whole numbers of positions ahead", "for example --horizon 60, or 1,15,60"
        )
    return found[0] if len(found) == 1 else found


def measuring(options: Measuring, seed: int) -> EvalSettings:
    if options.up_to is not None and options.max_length is not None:
        raise InputError(
            f"--up-to {options.up_to} with --max-length {options.max_length}",
            "one of them",
            "leave --max-length out: --up-to says how far streams are read, and how they are cut",
        )
    if options.up_to is not None and options.up_to.strip().isdecimal():
        at_least(1, int(options.up_to), "--up-to")
    elif options.up_to is not None:
        seconds_of(options.up_to, "--up-to")
    settings = EvalSettings(max_length=options.max_length, up_to=options.up_to, targets=options.scored, seed=seed)
    if isinstance(options, EvaluateVerb):
        settings = replace(settings, precision=options.precision)
    if not isinstance(options, Affording):
        return settings
    budget = None if options.budget is None else seconds_of(options.budget, "--budget")
    return replace(settings, streams=options.most_streams, budget=budget)


def training(options: TrainVerb | PlanVerb | RepairVerb | CompareVerb) -> TrainSettings:
    steps = TrainSettings.steps if options.steps is None else options.steps
    return settings_of(TrainSettings, options, steps=steps, start_weights=start_weights(options))


def start_weights(options: Weighing) -> dict[str, float] | None:
    """How often training windows begin in each scenario, from NAME=WEIGHT.

    Raises:
        InputError: something else, or a scenario twice.
    """
    if options.start_weights is None:
        return None
    found: dict[str, float] = {}
    for said in options.start_weights:
        name, equals, text = said.rpartition("=")
        try:
            weight = float(text)
        except ValueError:
            weight = -1.0
        if not equals or name in found or weight < 0:
            raise InputError(
                f"--start-weights {said}",
                "NAME=WEIGHT, each scenario once, weights of 0 or more",
                "for example night=4",
            )
        found[name] = weight
    return found


BY_DATA = "data"
"""An expected run that the streams say."""


def rule_of(options: RepairVerb, streams: Streams | None = None) -> Intervention:
    """The intervention that was asked for.

    Args:
        streams: training streams, which say an expected run where that was asked for; None: they are not read yet.
    """
    told = {name: getattr(options, name) for name in Starting.__dataclass_fields__ if name != "intervention"}
    told["expected_run"] = _run(options.expected_run, streams)
    told["shares"] = told.pop("member_shares")  # --shares are those of training, validation and test
    less = {name: told.pop(name) for name in ("of", "parts", "strength") if told[name] is not None}
    if not less:
        return intervention(options.intervention, train_context=options.train_context, **told)
    if spoken(options.intervention)[0] == "partial":
        less["of"] = intervention(less.pop("of", "carry"), train_context=options.train_context, **told)
        return intervention(options.intervention, train_context=options.train_context, **less)
    if "of" in less:
        raise InputError(
            f"--of {less['of']} with --intervention {options.intervention}",
            "one intervention that --parts and --strength change",
            "leave --of out",
        )
    return Partial(of=intervention(options.intervention, train_context=options.train_context, **told), **less)


def _run(typed: str | None, streams: Streams | None) -> float | None:
    """The expected run that was typed; of data that are not read yet None."""
    if typed is None or (typed == BY_DATA and streams is None):
        return None
    if typed == BY_DATA and streams is not None:
        found = expected_run(streams)
        print(f"expected run: {found}", file=sys.stderr)
        return float("inf") if found.run is None else found.run
    try:
        return float(typed)
    except ValueError:
        raise InputError(
            f"--expected-run {typed}", "positions, inf, or data", "for example --expected-run 1280"
        ) from None


def rules_of(options: CompareVerb) -> list[Intervention]:
    """The interventions that are compared.

    Raises:
        InputError: there are none, or not these.
    """
    if not options.interventions:
        raise InputError("no interventions", "at least one", "leave --interventions out, or name carry")
    rules = []
    for said in options.interventions:
        name, settings = spoken(said)
        runs = options.expected_runs if name == "carry" and "expected_run" not in settings else ()
        share = None if "zero_share" in settings else options.zero_share
        rules += [
            intervention(said, train_context=options.train_context, expected_run=run, zero_share=share)
            for run in runs or (None,)
        ]
    return rules


def command(options: ReadingVerb, model: Recurrent) -> Command:
    """What a result keeps of the command that made it."""
    return Command(
        model=options.model or None,
        data=str(options.data) if options.data else None,
        options=typed_options(options),
        out=str(options.out),
        allow_code=code_of(getattr(bare(model), "blueprint", None) or {}) is not None,
        ports=_typed_ports(options),
    )


def _typed_ports(options: ReadingVerb) -> str:
    """What was said of a .onnx file, as one types it."""
    if not isinstance(options, Ports):
        return ""
    found: list[str] = []
    for name in Ports.__dataclass_fields__:
        value = getattr(options, name)
        if value is not None:
            found += [f"--{name.replace('_', '-')}", *map(str, value if isinstance(value, tuple) else [value])]
    return shlex.join(found)


def typed_options(options: ReadingVerb) -> str:
    """The reading options as one types them."""
    found: list[str] = []
    for name, value in options.reading().items():
        words = value if isinstance(value, tuple) else sum(value.items(), ()) if isinstance(value, dict) else [value]
        found += [f"--{name.replace('_', '-')}", *map(str, [] if value is True else words)]
    return shlex.join(found)
