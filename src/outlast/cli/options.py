"""What each verb can be told, on the command line or in a TOML file with the same keys.

A verb is a dataclass that inherits groups of options; its help shows the groups of the rightmost base first, each under
its title (`outlast.cli.groups`). Nothing here loads torch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import tyro

Value = TypeVar("Value")
Given = Annotated[Value | None, tyro.conf.arg(help_behavior_hint="")]
"""An option that may be left out; its help says what happens then."""
Listed = Annotated[tuple[Value, ...], tyro.conf.arg(help_behavior_hint="")]
"""Any number of values."""


@dataclass(kw_only=True)
class Model:
    """What to run."""

    model: str
    """A directory that outlast, transformers or fla saved, or package.module:build."""


@dataclass(kw_only=True)
class Trust:
    """Whose code may run."""

    allow_code: bool = False
    """Import and run the function that a model's directory names. A directory of a model that was built by a function
    of yours (package.module:build) needs it; naming the function itself as the model says it already."""


@dataclass(kw_only=True)
class Source:
    """What to read, and how much of it at a time."""

    data: Path
    """A file (.npy, .npz, .csv, .tsv, .jsonl, .ndjson, .parquet, .wav, .flac, .ogg, .txt, .md, source code; tables also
    .gz), a folder of them, a saved dataset, or a pattern in quotes, such as 'data/*.csv': one stream a file."""
    train_context: Annotated[int, tyro.conf.arg(aliases=["-T"])]
    """Positions that a training window has."""


@dataclass(kw_only=True)
class ReadingText:
    """How text becomes streams of tokens; what was not given is left to the reader."""

    tokenizer: Given[Path] = None
    """Text: a folder with a tokenizer that transformers reads, or a tokenizer.json. Default: the one in the model's
    folder; without one, bytes for a vocabulary of 256."""
    field: Given[str] = None
    """Text in .jsonl, .ndjson, .parquet and saved datasets: the field or column that holds it. Default: the one called
    text or content, or the only one of text."""
    documents: Given[Literal["separate", "joined"]] = None
    """Text: each document a stream, or all joined into one long recording. Default: joined where more than half of all
    tokens lie in documents shorter than 4,096 tokens."""
    separator: Given[str] = None
    """Text: what stands between joined documents (\\n is a line's end). Default: the tokenizer's mark of an end;
    without one, an empty line."""
    text_split: Given[str] = None
    """Text: of a saved dataset with several splits, the one to read, such as train."""

    def reading(self) -> dict[str, Any]:
        """The options of reading that were given, by name."""
        kind = Reading if isinstance(self, Reading) else ReadingText
        given = {name: getattr(self, name) for name in kind.__dataclass_fields__}
        return {name: value for name, value in given.items() if value is not None}


@dataclass(kw_only=True)
class Reading(ReadingText):
    """How data become streams; what was not given is left to the reader."""

    inputs: Given[tuple[str, ...]] = None
    """Tables: input columns, in the order the model reads them. Default: all of numbers; those that look like
    identifiers, times or the target in disguise are then asked about."""
    leave_out: Given[tuple[str, ...]] = None
    """Tables: columns that are no inputs, where --inputs does not choose them."""
    target: Given[tuple[str, ...]] = None
    """Tables: the column to forecast, or several. Default: all inputs.
    (How many positions are scored is --scored.)"""
    horizon: Given[tuple[str, ...]] = None
    """Tables and features: positions ahead; tables also several, such as 1,15,60. Default: 1."""
    aggregate: Given[Literal["value", "mean"]] = None
    """Tables: forecast the value `horizon` rows ahead (default), or the mean up to there."""
    bins: Given[int] = None
    """Tables: forecast classes, this many quantile bins of the target."""
    quantiles: Given[tuple[float, ...]] = None
    """Tables: forecast these quantiles of the target, such as 0.1 0.5 0.9, judged by the pinball loss."""
    weight: Given[str] = None
    """Tables: the column that says how much a row's target counts, 0 or more. Default: all count alike."""
    target_kind: Given[Literal["value", "class"]] = None
    """Tables: whether the column of --target holds numbers (default) or labels."""
    stream: Given[str] = None
    """Tables: the column that tells streams (machines, say) apart. Default: one recording."""
    time: Given[str] = None
    """Tables: the column that says when each row was (times, ISO 8601 text, or seconds since 1970), so that a diagnosis
    tells moments by the clock. Default: positions only."""
    scale: Given[Literal["standard", "none"]] = None
    """Tables: standardise with training figures (default), or leave numbers as they are."""
    missing: Given[Literal["drop", "hold", "error"]] = None
    """Tables: drop rows with missing values (default), hold the last value, or refuse."""
    gaps: Given[Literal["split", "join", "error"]] = None
    """Tables with --time: cut streams where rows are too far apart (default), join the rows, or refuse."""
    max_gap: Given[float] = None
    """Tables with --time: seconds from which on rows are too far apart. Default: 1.5 typical steps, where 9 of 10 steps
    are like the typical one; otherwise never."""
    targets_file: Given[Path] = None
    """Tables and features: targets beside the data, row for row or by --time: a table, or .npy. Their horizon is 0
    unless --horizon says another."""
    units: Annotated[Given[dict[str, str]], tyro.conf.arg(help_behavior_hint="")] = None
    """Tables: units of columns, such as: power kW speed rpm. A column named power [kW] says its own."""
    scenario: Given[tuple[str, ...]] = None
    """Tables: situations that losses are told apart by, NAME=RULE: night=22:00/06:00 weekend=sat,sun (both take
    --time), "start-up=speed<10", or several tests with 'and' between. Also one at a time: --scenario A --scenario B."""
    vocabulary: Given[int] = None
    """Tokens: size of the vocabulary. Default: the largest token and one more."""
    shares: Given[tuple[float, float, float]] = None
    """Of training, validation and test: 0.6 0.15 0.25 (the default), 0.6/0.15/0.25 or 60%/15%/25%."""


@dataclass(kw_only=True)
class Measuring:
    """How to measure."""

    max_length: Given[int] = None
    """Positions of each test stream to use. Default: as many as leave enough streams."""
    measure: Given[tuple[str, ...]] = None
    """cross_entropy, error_rate, squared_error, absolute_error or pinball; of one of several targets, such as
    squared_error:power@15. Verdict and acceptance go by the first. Default: what fits the targets."""
    scored: Annotated[int, tyro.conf.arg(aliases=["--targets"])] = 2048
    """Positions a stream whose predictions are scored, the same ones at every age. Not the column to forecast: that is
    --target. (Its name was --targets.)"""


@dataclass(kw_only=True)
class Affording:
    """What measuring may cost."""

    budget: Given[str] = None
    """How long measuring may take, such as 90s, 10min or 2h: fewer positions are scored, and then fewer streams read,
    so that it is kept. With fewer than 8 streams there is no verdict. Of a diagnosis a sixth is for the age curve, and
    the rest reads the same streams. Default: as long as it takes."""
    most_streams: Given[int] = None
    """Test streams to read, at most, drawn at random; with fewer than 8 there is no verdict. Default: all."""


@dataclass(kw_only=True)
class Weighing:
    """Which scenarios training windows begin in."""

    start_weights: Given[tuple[str, ...]] = None
    """How often training windows begin in a --scenario against elsewhere, NAME=WEIGHT: night=4; 0: no window has a
    position in it. In a diagnosis, those that the model was trained with. Default: all alike."""


@dataclass(kw_only=True)
class Stepping:
    """How to train."""

    objective: Given[str] = None
    """next_token, classification, regression, quantiles or self_distillation. Default: what fits the targets."""
    steps: int = 400
    """Optimiser steps."""
    learning_rate: float = 1e-3
    """Peak learning rate."""
    batch_size: int = 32
    """Rows in a batch."""
    precision: Literal["no", "bf16"] = "no"
    """Mixed precision."""


@dataclass(kw_only=True)
class Learning(Stepping):
    """How to train, and how to go on with it."""

    read_ahead: Given[int] = None
    """Windows that every row reads without learning before the first step, so that a short repair starts from states as
    old as a long one meets. Default: none."""
    state_penalty: Given[float] = None
    """Weight of the mean square of the state's numbers at the end of every window. Default: none."""
    state_dropout: Given[float] = None
    """Share of the state's numbers that become those of the initial state, four times a window. Default: none."""
    checkpoint_every: int = 200
    """Steps between checkpoints."""
    resume: bool = False
    """Go on from the checkpoint that a stopped run of the same command left in --out. Where there is none, begin; where
    a finished run lies, show it and do nothing."""
    track: Given[Literal["tensorboard", "mlflow", "trackio"]] = None
    """Log the loss by step, and what came of it: tensorboard to OUT/track, the others where they are set to."""


@dataclass(kw_only=True)
class Starting:
    """Where repair windows start."""

    intervention: str = "carry"
    """zero, random_noise, fitted_noise, state_passing, tbtt, carry, replay, mix or partial; with settings also in one
    word, such as carry:expected_run=1280,zero_share=0.5, or as JSON with a name."""
    expected_run: Given[str] = None
    """carry: positions after which the world may change, inf, or data: as long as one situation lasts in the training
    streams. Default: 20 training contexts."""
    zero_share: Given[float] = None
    """Share of rows that start from the initial state. Default: 0.25; of a mix, beside its members' own: 0."""
    std: Given[float] = None
    """random_noise: its standard deviation. Default: that of the model's own states."""
    source: Given[Literal["window", "carried"]] = None
    """fitted_noise: fitted on states at the training context (default), or on states carried far."""
    carried_length: Given[int] = None
    """fitted_noise of states carried far: positions they are carried. Default: 4096."""
    by: Given[Literal["excess", "novelty", "evenly"]] = None
    """replay: what its states are chosen by: excess (those that cost the most against young ones; default), novelty
    (the farthest from training's), or evenly."""
    size: Given[int] = None
    """replay: states in its bank. Default: 512."""
    foreign_share: Given[float] = None
    """replay: share of rows that start from a state of another place. Default: 0.25."""
    members: Given[tuple[str, ...]] = None
    """mix: its interventions, each written as --intervention is."""
    member_shares: Given[tuple[float, ...]] = None
    """mix: a share of the rows for each member. Default: equal shares."""
    parts: Given[tuple[str, ...]] = None
    """Parts of the state that start as the intervention says, such as layers.1.cell, all of a layer (layers.1), or
    heads (layers.0.state:0,2); the rest starts from the initial state. Default: all."""
    strength: Given[float] = None
    """How far states start from the initial one, towards where the intervention starts them. Default: 1, all of it."""
    of: Given[str] = None
    """partial: the intervention that --parts and --strength change, where it is not --intervention itself."""


@dataclass(kw_only=True)
class Repairing:
    """What a repair is held to."""

    anchor: float = 4.0
    """Weight of the divergence from the untouched model, on rows that start from zero; 0: they only learn."""
    labels: float = 1.0
    """Weight of the objective on those rows."""
    doses: tuple[float, ...] = (0.5, 0.75, 1.0)
    """Shares of the way from the base's weights to the repaired ones; validation chooses one of them."""
    control: Annotated[bool, tyro.conf.arg(help_behavior_hint="(default: it is made)")] = True
    """Leave out the control, the same training from zero states. It costs as much as the repair; without it nobody
    knows whether the starts or plain training gained what was gained."""
    anyway: bool = False
    """Go on where validation says that there is nothing to repair."""
    short_ages: Given[tuple[int, int]] = None
    """FROM TO: ages over which short contexts must hold, every age alike. Default: 0 up to the training context. For a
    model that is reset every P positions: 0 P."""


@dataclass(kw_only=True)
class Machine(Trust):
    """What to run on."""

    device: str = "auto"
    """cpu, cuda, cuda:1, …, or auto: a GPU where there is one."""
    threads: Given[int] = None
    """Threads inside one operation. Default: what torch takes."""


@dataclass(kw_only=True)
class Running(Machine):
    """Where and how to run."""

    out: Path
    """Folder for result.json, report.html and models."""
    replace: bool = False
    """Write into --out even where another verb's result or models lie there."""
    seed: int = 0
    """Of everything random."""
    json: bool = False
    """Print the result as JSON on standard output, and all else on standard error."""
    language: Literal["en", "ja"] = "en"
    """Of the report and of what is printed: English or Japanese."""
    quiet: bool = False
    """No progress on standard error; what was found, warnings and errors are still said."""


@dataclass(kw_only=True)
class CheckVerb(Running, Reading, Model):
    """Does a model keep the contract that evaluation and repair rely on? Exit status 1 if it does not."""

    out: Path = Path("runs/check")
    """Folder for result.json and report.html."""
    data: Given[Path] = None
    """Take example inputs from these data. Default: random ones."""


@dataclass(kw_only=True)
class TrainVerb(Running, Learning, Weighing, Reading, Source):
    """Train a model from scratch (or one that is given) from the zero state, as one usually does.

    The model is written to OUT/model.
    """

    out: Path = Path("runs/train")
    """Folder for result.json, report.html and model/."""
    model: Given[str] = None
    """A directory or package.module:build to start from. Default: a fresh model of --family."""
    family: str = "gla"
    """gated_deltanet, gla, gru, hybrid, lstm, mamba, mamba2, mlstm, retnet, rglru or rwkv6."""
    settings: Annotated[dict[str, str], tyro.conf.arg(help_behavior_hint="")] = field(default_factory=dict)
    """Of the family, such as: width 64 layers 2."""


@dataclass(kw_only=True)
class EvaluateVerb(Running, Affording, Measuring, Reading, Source, Model):
    """Measure a model past its training context: age curve, position curve, verdict."""

    out: Path = Path("runs/evaluate")
    """Folder for result.json and report.html."""


@dataclass(kw_only=True)
class DiagnoseVerb(Running, Weighing, Affording, Measuring, Reading, Model):
    """Say why a model fails past its training context, which part of its state does it, and from which age on."""

    out: Path = Path("runs/diagnose")
    """Folder for result.json, report.html and figures/."""
    data: Given[Path] = None
    """A file (.npy, .npz, .csv, .tsv, .jsonl, .ndjson, .parquet, .wav, .flac, .ogg, .txt, .md, source code; tables also
    .gz), a folder of them, a saved dataset, or a pattern in quotes, such as 'data/*.csv'. Training streams say what
    training passed through, test streams what deployment meets."""
    train_context: Annotated[Given[int], tyro.conf.arg(aliases=["-T"], help_behavior_hint="")] = None
    """Positions that a training window had."""
    task: Given[str] = None
    """Instead of data and training context: those of a built-in task, such as power (the quickstart's)."""
    scored: Annotated[int, tyro.conf.arg(aliases=["--targets"])] = 512
    """Positions a stream whose predictions are scored, the same ones at every age. Not the column to forecast: that is
    --target. (Its name was --targets.)"""
    jobs: int = 2
    """Passes over the streams made side by side, one thread each."""
    stationary: Given[Path] = None
    """Streams of the same kind whose world does not change, to tell an unexplored state from stale context."""
    figures: bool = False
    """Also write every figure as SVG and PNG to OUT/figures."""


@dataclass(kw_only=True)
class PlanVerb(Running, Stepping, Weighing, Repairing, Measuring, Reading, Source, Model):
    """Say what to do about a model before anything is paid for: leave it, reset it, repair it, or go beyond starts.

    Short trainings are judged on validation streams; the advice says what it is expected to cost and to buy. The test
    streams are not read, and no model is written.
    """

    out: Path = Path("runs/plan")
    """Folder for result.json and report.html."""
    budget: Given[str] = None
    """Time that planning may take, such as 90s, 10min or 2h. Default: as long as one repair with these settings."""
    price_per_hour: Given[float] = None
    """What an hour of this machine costs, in any currency."""
    value_per_unit: Given[float] = None
    """What a day with one unit less of loss is worth, in that currency: a nat, a unit of error, or one per cent of an
    error rate."""
    jobs: int = 1
    """Pilots that are trained side by side, one thread each."""


@dataclass(kw_only=True)
class RepairVerb(Running, Learning, Weighing, Repairing, Starting, Measuring, Reading, Source, Model):
    """Post-train a model with other starts; exit status 1 if the repair is refused.

    The repaired model is written to OUT/model, a refused one to OUT/refused, and the control to OUT/control where plain
    training suffices. Where there is nothing to repair, no model is written.
    """

    out: Path = Path("runs/repair")
    """Folder for result.json, report.html, and model/, or refused/ and control/."""
    guard: Listed[Path] = ()
    """More data of the same kind on which short contexts must hold."""
    jobs: int = 1
    """2: the repair and its control are trained side by side, one thread each."""


@dataclass(kw_only=True)
class CompareVerb(Running, Learning, Weighing, Repairing, Measuring, Reading, Source, Model):
    """Give several interventions equal steps and data; exit status 1 if the one that validation picks is refused.

    An accepted model is written to OUT/model, a refused one to OUT/refused, and the control to OUT/control where plain
    training suffices. Where there is nothing to repair, no model is written.
    """

    out: Path = Path("runs/compare")
    """Folder for result.json, report.html, and model/, or refused/ and control/."""
    interventions: tuple[str, ...] = ("zero", "random_noise", "fitted_noise", "state_passing", "tbtt", "carry")
    """Which ones, each written as --intervention is; carry once for each of --expected-runs."""
    expected_runs: Listed[float] = ()
    """Positions. Default: 20 training contexts."""
    zero_share: Given[float] = None
    """Share of rows that start from the initial state. Default: 0.25."""
    jobs: int = 1
    """Interventions trained side by side, one thread each."""


@dataclass(kw_only=True)
class DoseVerb(Trust):
    """Write the model that lies part of the way from a base to its repair: base + dose · (repaired − base).

    The model is written to OUT/model. It is not measured: outlast evaluate does that.
    """

    base: str
    """The model before its repair: a directory that outlast, transformers or fla saved, or package.module:build."""
    repaired: str
    """The model after it, the same way."""
    dose: float
    """Share of the way, 0 to 1; above 1 the weights go further the same way."""
    out: Path = Path("runs/dose")
    """Folder for model/."""
    replace: bool = False
    """Write into --out even where another verb's result or models lie there."""


@dataclass(kw_only=True)
class GenerateVerb(Machine, Model, ReadingText):
    """Let a language model write on, from a prompt or from where an earlier call ended."""

    prompt: Given[str] = None
    """Text to read first, by the tokeniser in the model's folder; as bytes for a vocabulary of 256 without one."""
    tokens: Listed[int] = ()
    """Token numbers to read first, in the place of a prompt; tokens are then printed as numbers too."""
    data: Given[Path] = None
    """Text or tokens, a stream of which is read in the place of a prompt, up to --age positions."""
    age: Given[int] = None
    """With --data: positions to read before the first token is written. Default: 10000, or the whole stream where it is
    shorter."""
    stream: Given[int] = None
    """With --data: which stream, counted from 0; of texts, a document or, where they are joined, all. Default: 0."""
    against: Given[str] = None
    """Another model, such as the repaired one: both write on after the same text, with the same draws, and what each
    writes is printed beside the other."""
    steps: int = 64
    """Tokens to write."""
    state: Given[Path] = None
    """Go on from this file where it exists, and write it anew: any number of calls read as one stream."""
    temperature: float = 0.0
    """0: always the most likely token; 1: as the model is unsure."""
    seed: int = 0
    """Of what is drawn where the temperature is above 0."""
    json: bool = False
    """Print tokens, text and position as JSON."""


@dataclass(kw_only=True)
class StreamVerb(Machine, Model):
    """Run a model on raw rows: lines of JSON on standard input, a forecast a line on standard output.

    A row names the columns that the model was trained on, {"power": 2.3, "speed": null}; a language model's has a text.
    Each stream has its own state, and forecasts are in the target's units.
    """

    resets: str = "none"
    """none, periodic:EVERY positions, or overlapping:EVERY (two copies, of which the older one speaks)."""
    stream: Given[str] = None
    """Name in a row that says to which stream it belongs. Default: as in training, else stream."""
    state: Given[Path] = None
    """Go on from this file where it exists, and write the states of all streams to it."""
    state_every: int = 10_000
    """Rows after which --state is written; it is in any case at the end."""


@dataclass(kw_only=True)
class ReportVerb:
    """Draw one report from results."""

    results: Annotated[Listed[Path], tyro.conf.Positional] = ()
    """result.json files, or folders with one."""
    out: Path = Path("report.html")
    """The HTML file."""
    language: Literal["en", "ja"] = "en"
    """English or Japanese."""
    figures: Given[Path] = None
    """Also write every figure as SVG and PNG to this folder."""


@dataclass(kw_only=True)
class TasksVerb:
    """List the built-in tasks, or fetch the data of one."""

    fetch: Given[str] = None
    """Fetch and prepare this task's data."""


@dataclass(kw_only=True)
class EnvVerb:
    """Print versions, threads and which scan is used."""

    json: bool = False
    """As JSON."""


@dataclass(kw_only=True)
class QuickstartVerb:
    """Train a small forecaster on household power, watch it fail past its training context, repair and verify it."""

    task: str = "power"
    """Another built-in task, such as speech; see outlast tasks."""
    out: Path = Path("runs/quickstart")
    """Folder for result.json, report.html and the models."""
    replace: bool = False
    """Write into --out even where another verb's result lies there."""
    seed: int = 0
    """Of everything random."""
    seeds: int = 1
    """Repeat with this many seeds, counted from --seed; finished ones are not run again."""
    page: Given[Path] = None
    """Write a Markdown page of the figures over seeds."""
    jobs: int = 2
    """Interventions trained side by side, one thread each."""
    language: Literal["en", "ja"] = "en"
    """Of the report and of what is printed: English or Japanese."""
    quiet: bool = False
    """No progress on standard error; what was found, warnings and errors are still said."""


@dataclass(kw_only=True)
class RecipeVerb(Machine):
    """Run a recipe: train, compare and measure what is missing, draw its report and its page.

    A recipe names a built-in task, or data of yours; its models are families, or checkpoints of yours. It goes on where
    it was stopped. On several ranks of torchrun all of them train.
    """

    recipe: Annotated[Given[Path], tyro.conf.Positional] = None
    """A TOML file, such as recipes/regimes.toml."""
    scale: Given[str] = None
    """Which of the recipe's scales, where it has several: laptop, or paper."""
    out: Given[Path] = None
    """Folder of the results. Default: the recipe's."""
    replace: bool = False
    """Write into that folder even where another verb's result lies there."""
    language: Literal["en", "ja"] = "en"
    """Of the reports and of what is printed: English or Japanese."""
    quiet: bool = False
    """No progress on standard error; what was found, warnings and errors are still said."""


VERBS: dict[str, type] = {
    "quickstart": QuickstartVerb,
    "recipe": RecipeVerb,
    "check": CheckVerb,
    "train": TrainVerb,
    "evaluate": EvaluateVerb,
    "diagnose": DiagnoseVerb,
    "plan": PlanVerb,
    "repair": RepairVerb,
    "compare": CompareVerb,
    "dose": DoseVerb,
    "generate": GenerateVerb,
    "stream": StreamVerb,
    "report": ReportVerb,
    "tasks": TasksVerb,
    "env": EnvVerb,
}

LEAST = {
    "seed": 0,
    "seeds": 1,
    "threads": 1,
    "jobs": 1,
    "train_context": 1,
    "max_length": 1,
    "most_streams": 2,
    "scored": 1,
    "checkpoint_every": 1,
    "state_every": 1,
    "age": 1,
    "std": 0,
}
"""The smallest values that options with a bound of their own take; others are checked where they are used."""
