"""What each verb can be told, on the command line or in a TOML file with the same keys.

A verb is one dataclass here or in the files of ``live``, made by `verb`, and a function. It inherits groups of options
(`outlast.cli.option_groups`). Nothing here loads torch.
"""

from __future__ import annotations

from dataclasses import field
from pathlib import Path
from typing import Any, Literal

from outlast.cli import live_options, live_run_options
from outlast.cli.described import READINGS, verb
from outlast.cli.option_groups import (
    PLACE,
    Affording,
    Learning,
    Machine,
    Measuring,
    Model,
    Ports,
    Reading,
    ReadingText,
    Repairing,
    Running,
    Source,
    Starting,
    Stepping,
    Trust,
    Weighing,
)
from outlast.evaluation.settings import EvalSettings
from outlast.modules.precisions import PRECISIONS


@verb("quickstart", "task_verbs", "--out runs/quickstart")
class QuickstartVerb:
    """Train a small forecaster on household power, watch it fail past its training context, tune and repair it."""

    task: str = "power"
    """Another built-in task, such as air (see outlast tasks), or one of yours: package.module:NAME."""
    out: Path = Path("runs/quickstart")
    """Folder for result.json, report.html and the models."""
    replace: bool = False
    """Write into --out even where another verb's result lies there."""
    seed: int = 0
    """Of everything random."""
    seeds: int = 1
    """Repeat with this many seeds, counted from --seed; finished ones are not run again."""
    jobs: int = 2
    """Interventions trained side by side, one thread each."""
    language: Literal["en", "ja"] = "en"
    """Of the report and of what is printed: English or Japanese."""
    quiet: bool = False
    """No progress on standard error; what was found, warnings and errors are still said."""


@verb("recipe", "task_verbs", "recipes/recall.toml")
class RecipeVerb(Machine):
    """Run a recipe: train, compare and measure what is missing, draw its report.

    A recipe names a task, or data of yours; its models are families, or checkpoints of yours. It goes on where
    it was stopped. On several ranks of torchrun all of them train.
    """

    recipe: Path | None = field(default=None, metadata=PLACE)
    """A TOML file, such as recipes/regimes.toml."""
    scale: str | None = None
    """Which of the recipe's scales, where it has several: laptop, or paper."""
    out: Path | None = None
    """Folder of the results. Default: the recipe's."""
    replace: bool = False
    """Write into that folder even where another verb's result lies there."""
    language: Literal["en", "ja"] = "en"
    """Of the reports and of what is printed: English or Japanese."""
    quiet: bool = False
    """No progress on standard error; what was found, warnings and errors are still said."""


@verb("check", "verbs", "--model my_lstm:build")
class CheckVerb(Running, Reading, Ports, Model):
    """Does a model keep the contract that evaluation and repair rely on? Exit status 1 if it does not."""

    out: Path = Path("runs/check")
    """Folder for result.json and report.html."""
    data: Path | None = None
    """Take example inputs from these data. Default: random ones."""
    thorough: bool = False
    """Read up to 2,200 positions, not 300: finds faults that show only in longer windows or at higher ages. It takes
    some ten times as long."""


@verb("train", "verbs", f"--model my_lstm:build {READINGS} --steps 2000 --out runs/my_lstm")
class TrainVerb(Running, Learning, Weighing, Reading, Source):
    """Train a model from scratch (or one that is given) from the zero state, as one usually does.

    The model is written to OUT/model.
    """

    out: Path = Path("runs/train")
    """Folder for result.json, report.html and model/."""
    model: str | None = None
    """A directory, package.module:build or owner/name on a hub to start from. Default: a fresh model of --family."""
    revision: str | None = None
    """Of a model on a hub: a branch, a tag or a commit. Default: its main branch."""
    family: str = "gla"
    """gated_deltanet, gla, gru, hybrid, lstm, mamba, mamba2, mlstm, retnet, rglru or rwkv6."""
    settings: dict[str, str] = field(default_factory=dict)
    """Of the family, such as: width 64 layers 2."""
    anyway: bool = False
    """Go on where the model that is given does not fit the data as they are read."""
    leak: float | None = None
    """TAU: train under a leak, which stays on at work: before every position the state is drawn towards the initial
    state by exp(-1/TAU). Default: no leak."""


@verb("evaluate", "verbs", f"--model my_lstm:build {READINGS}")
class EvaluateVerb(Running, Affording, Measuring, Reading, Source, Ports, Model):
    """Measure a model past its training context: age curve, position curve, verdict."""

    precision: str = field(default=EvalSettings.precision, metadata={"choices": PRECISIONS})
    """In which products are taken: float32, bf16 (autocast; states stay float32), or auto: bf16 where the model is at
    least 256 wide and the CPU multiplies it."""
    out: Path = Path("runs/evaluate")
    """Folder for result.json and report.html."""


@verb("diagnose", "verbs", f"--model my_lstm:build {READINGS} --language ja")
class DiagnoseVerb(Running, Weighing, Affording, Measuring, Reading, Ports, Model):
    """Say why a model fails past its training context, which part of its state does it, and from which age on."""

    out: Path = Path("runs/diagnose")
    """Folder for result.json, report.html and figures/."""
    data: Path | None = None
    """A file (.npy, .npz, .csv, .tsv, .jsonl, .ndjson, .parquet, .wav, .flac, .ogg, .txt, .md, source code; tables also
    .gz), a folder of them, a saved dataset, or a pattern in quotes, such as 'data/*.csv'. Training streams say what
    training passed through, test streams what deployment meets."""
    train_context: int | None = field(default=None, metadata={"short": "-T"})
    """Positions that a training window had."""
    task: str | None = None
    """Instead of data and training context: those of a built-in task, such as power (the quickstart's)."""
    jobs: int = 2
    """Passes over the streams made side by side, one thread each."""
    stationary: Path | None = None
    """Streams of the same kind whose world does not change, to tell an unexplored state from stale context."""
    figures: bool = False
    """Also write every figure as SVG and PNG to OUT/figures."""


@verb("plan", "verbs", f"--model my_lstm:build {READINGS} --price-per-hour 0.40 --value-per-unit 30")
class PlanVerb(Running, Stepping, Weighing, Repairing, Measuring, Reading, Source, Model):
    """Say what to do about a model before anything is paid for: leave it, reset it, repair it, or go beyond starts.

    Short trainings are judged on validation streams; the advice says what it is expected to cost and to buy. The test
    streams are not read, and no model is written.
    """

    out: Path = Path("runs/plan")
    """Folder for result.json and report.html."""
    budget: str | None = None
    """Time that planning may take, such as 90s, 10min or 2h. Default: as long as one repair with these settings."""
    price_per_hour: float | None = None
    """What an hour of this machine costs, in any currency."""
    value_per_unit: float | None = None
    """What a day with one unit less of loss is worth, in that currency: a nat, a unit of error, or one per cent of an
    error rate."""
    jobs: int = 1
    """Pilots that are trained side by side, one thread each."""


@verb("tune", "verbs", f"--model my_lstm:build {READINGS} --cost 1.25")
class TuneVerb(Running, Measuring, Reading, Source, Model):
    """Choose what helps a model without training it: leaks, resets or handovers; exit status 1 if nothing is accepted.

    Validation streams choose, test streams judge. The model under its remedy is written to OUT/model, ready to run.
    """

    out: Path = Path("runs/tune")
    """Folder for result.json, report.html and model/."""
    cost: float = 1.0
    """What running it may cost at most, in copies of the model: 1 allows a leak or resets, 1.25 handovers, 2 two
    copies."""
    guard: tuple[Path, ...] = ()
    """More data of the same kind on which short contexts must hold."""


@verb("repair", "verbs", f"--model my_lstm:build {READINGS}")
class RepairVerb(Running, Learning, Weighing, Repairing, Starting, Measuring, Reading, Source, Model):
    """Post-train a model with other starts; exit status 1 if the repair is refused.

    The repaired model is written to OUT/model, a refused one to OUT/refused, and the control to OUT/control where plain
    training suffices. Where there is nothing to repair, no model is written.
    """

    out: Path = Path("runs/repair")
    """Folder for result.json, report.html, and model/, or refused/ and control/."""
    guard: tuple[Path, ...] = ()
    """More data of the same kind on which short contexts must hold."""
    jobs: int = 1
    """2: the repair and its control are trained side by side, one thread each."""
    steps: int | None = None  # pyright: ignore[reportIncompatibleVariableOverride, reportGeneralTypeIssues]
    """Optimiser steps, at a rate that falls to their end. Default: as many as pay within --budget."""
    budget: str | None = None
    """How long all of it may take, such as 90s or 2h. Training goes on, doubling its steps, for as long as validation
    streams gain from it. Ctrl-C ends it with the best so far; --resume goes on after its end. Default: 10min, or
    --steps."""


@verb("compare", "verbs", f"--model my_lstm:build {READINGS} --interventions zero state_passing carry --jobs 2")
class CompareVerb(Running, Learning, Weighing, Repairing, Measuring, Reading, Source, Model):
    """Give several interventions equal steps and data; exit status 1 if the one that validation picks is refused.

    An accepted model is written to OUT/model, a refused one to OUT/refused, and the control to OUT/control where plain
    training suffices. Where there is nothing to repair, no model is written.
    """

    out: Path = Path("runs/compare")
    """Folder for result.json, report.html, and model/, or refused/ and control/."""
    interventions: tuple[str, ...] = ("zero", "random_noise", "fitted_noise", "state_passing", "tbtt", "carry")
    """Which ones, each written as --intervention is; carry once for each of --expected-runs."""
    expected_runs: tuple[float, ...] = ()
    """Positions. Default: 20 training contexts."""
    zero_share: float | None = None
    """Share of rows that start from the initial state. Default: 0.25."""
    jobs: int = 1
    """Interventions trained side by side, one thread each."""


@verb("dose", "verbs", "--base my_lstm:build --repaired runs/repair/model --allow-code --dose 0.5")
class DoseVerb(Trust):
    """Write the model that lies part of the way from a base to its repair: base + dose · (repaired − base).

    The model is written to OUT/model. It is not measured: outlast evaluate does that.
    """

    base: str
    """The model before its repair: a directory that outlast, transformers or fla saved, package.module:build, or
    owner/name on a hub."""
    repaired: str
    """The model after it, the same way."""
    dose: float
    """Share of the way, 0 to 1; above 1 the weights go further the same way."""
    out: Path = Path("runs/dose")
    """Folder for model/."""
    replace: bool = False
    """Write into --out even where another verb's result or models lie there."""


@verb("save", "serving_verbs", "--model my_lstm:build --data readings.csv --target power --horizon 60 --out runs/saved")
class SaveVerb(Machine, Reading):
    """Save a model with what a table says of its columns, without training it: then it reads raw rows.

    Columns, scaling (by the training part), target and units are kept in OUT/outlast.json, as a training keeps them.
    """

    model: str
    """A directory that outlast, transformers or fla saved, or package.module:build."""
    data: Path
    """A table (.csv, .parquet, .xlsx), or a folder of them."""
    train_context: int = field(default=64, metadata={"short": "-T"})
    """Positions that a training window had. Where nobody says how the table is scaled, scalings are tried on such
    windows."""
    out: Path = Path("runs/save/model")
    """Folder of the model."""
    replace: bool = False
    """Write over a model that is there."""


@verb("export", "serving_verbs", "--model runs/repair/model --allow-code --out model.onnx")
class ExportVerb(Trust):
    """Write a model as a .onnx file: its state as inputs and outputs, rows and positions in any number.

    Scaling is part of the file: a model of table rows reads raw values and forecasts values in their units. The file is
    run in onnxruntime and held against the model before it is left at --out. It takes the extra onnx.
    """

    model: str
    """A directory that outlast, transformers or fla saved, or package.module:build."""
    resets: str = "none"
    """Also put this remedy into the file: reset:EVERY, handover:EVERY:WARM_UP or two-copies:EVERY positions."""
    train_context: int | None = field(default=None, metadata={"short": "-T"})
    """Positions that a training window had, to be written into the file. Default: not told."""
    out: Path = Path("model.onnx")
    """The file."""
    replace: bool = False
    """Write it even where a file of that name lies."""


@verb("generate", "serving_verbs", "--model runs/train/model --prompt 'Once upon' --steps 64 --state runs/state")
class GenerateVerb(Machine, Ports, Model, ReadingText):
    """Let a language model write on, from a prompt or from where an earlier call ended."""

    prompt: str | None = None
    """Text to read first, by the tokeniser in the model's folder; as bytes for a vocabulary of 256 without one."""
    tokens: tuple[int, ...] = ()
    """Token numbers to read first, in the place of a prompt; tokens are then printed as numbers too."""
    data: Path | None = None
    """Text or tokens, a stream of which is read in the place of a prompt, up to --age positions."""
    age: int | None = None
    """With --data: positions to read before the first token is written. Default: 10000, or the whole stream where it is
    shorter."""
    stream: int | None = None
    """With --data: which stream, counted from 0; of texts, a document or, where they are joined, all. Default: 0."""
    against: str | None = None
    """Another model, such as the repaired one: both write on after the same text, with the same draws, and what each
    writes is printed beside the other."""
    steps: int = 64
    """Tokens to write."""
    state: Path | None = None
    """Go on from this file where it exists, and write it anew: any number of calls read as one stream."""
    temperature: float = 0.0
    """0: always the most likely token; 1: as the model is unsure."""
    seed: int = 0
    """Of what is drawn where the temperature is above 0."""
    json: bool = False
    """Print tokens, text and position as JSON."""


@verb("stream", "serving_verbs", "--model runs/repair/model --allow-code < rows.jsonl > forecasts.jsonl")
class StreamVerb(Machine, Ports, Model):
    """Run a model on raw rows: lines of JSON on standard input, a forecast a line on standard output.

    A row names the columns that the model was trained on, {"power": 2.3, "speed": null}; a language model's has a text.
    Each stream has its own state, and forecasts are in the target's units.
    """

    resets: str = "none"
    """A remedy: none, reset:EVERY positions, handover:EVERY:WARM_UP (a new copy first reads the last WARM_UP), or
    two-copies:EVERY (of which the older one speaks)."""
    stream: str | None = None
    """Name in a row that says to which stream it belongs. Default: as in training, else stream."""
    state: Path | None = None
    """Go on from this file where it exists, and write the states of all streams to it."""
    state_every: int = 10_000
    """Rows after which --state is written; it is in any case at the end."""
    bad_rows: Literal["stop", "skip"] = "stop"
    """What a line does that cannot be read: it ends the command, or is answered with the reason and left out."""
    future: str = "1d"
    """How far ahead of this machine's clock the time of a row may be, such as 1d, or any."""


@verb("report", "showing_verbs", "runs/evaluate runs/repair --out report.html", torch=False)
class ReportVerb:
    """Draw one report from results."""

    results: tuple[Path, ...] = field(default=(), metadata=PLACE)
    """result.json files, or folders with one."""
    out: Path = Path("report.html")
    """The HTML file."""
    language: Literal["en", "ja"] = "en"
    """English or Japanese."""
    figures: Path | None = None
    """Also write every figure as SVG and PNG to this folder."""


@verb("tasks", "task_verbs", "--fetch power")
class TasksVerb:
    """List the built-in tasks, or fetch the data of one."""

    fetch: str | None = None
    """Fetch and prepare this task's data."""


@verb("env", "showing_verbs", "--json")
class EnvVerb:
    """Print versions, threads and which scan is used."""

    json: bool = False
    """As JSON."""
    warm: bool = False
    """Compile all kernels first, in float32 and bfloat16, so that no later command waits for it."""


VERBS: dict[str, type[Any]] = {
    kind.about.name: kind
    for named in (globals(), vars(live_options), vars(live_run_options))
    for kind in list(named.values())
    if "about" in getattr(kind, "__dict__", ())
}
"""Every verb by what is typed; those of two words stand under their first one."""

LEAST = {
    "seed": 0,
    "seeds": 1,
    "threads": 1,
    "fleet": 1,
    "every": 1,
    "jobs": 1,
    "train_context": 1,
    "max_length": 1,
    "most_streams": 2,
    "scored": 1,
    "onnx_frame": 1,
    "checkpoint_every": 1,
    "state_every": 1,
    "age": 1,
    "std": 0,
}
"""The smallest values that options with a bound of their own take; others are checked where they are used."""
