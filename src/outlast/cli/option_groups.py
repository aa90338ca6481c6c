"""Groups of options that verbs share. Nothing here loads torch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from outlast.evaluation.settings import EvalSettings
from outlast.modules.precisions import PRECISIONS
from outlast.repairs.settings import RepairSettings
from outlast.training.settings import TrainSettings

PLACE = {"place": True}
"""Metadata of an option that is known by its place: it has no name on the command line."""


def _shares(words: Sequence[str]) -> tuple[float, ...]:
    """Shares, also where they stand as 0.6/0.15/0.25 or 60%/15%/25%."""
    parts = re.split("[/,]", "/".join(words)) if words else ()
    return tuple(float(part.removesuffix("%")) / (100 if part.endswith("%") else 1) for part in parts)


@dataclass(kw_only=True)
class Model:
    """What to run."""

    model: str
    """A directory that outlast, transformers or fla saved, a .onnx file (measured and run, not trained),
    package.module:build, or the id of a model on a hub, such as state-spaces/mamba-130m-hf."""
    revision: str | None = None
    """Of a model on a hub: a branch, a tag or a commit. Default: its main branch."""


@dataclass(kw_only=True)
class Ports:
    """What a .onnx file does not say of its inputs and outputs."""

    onnx_states: tuple[str, ...] | None = None
    """A .onnx file: which input is a part of the state, and in which output it comes back: h=hn c=cn. Default: told by
    names, shapes and order."""
    onnx_constants: tuple[str, ...] | None = None
    """A .onnx file: inputs that have one value always: sr=16000."""
    onnx_frame: int | None = None
    """A .onnx file: how many numbers of each position are read, where it leaves that open."""
    onnx_input: str | None = None
    """A .onnx file: the input that is read. Default: the one that is no state."""
    onnx_output: str | None = None
    """A .onnx file: the output that is the prediction. Default: the one that is no state."""


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
    """A file (.npy, .npz, .csv, .tsv, .jsonl, .ndjson, .parquet, .xlsx, .wav, .flac, .ogg, .txt, .md, source code;
    tables also .gz), a folder of them, a saved dataset, or a pattern in quotes, such as 'data/*.csv': one stream a
    file."""
    train_context: int = field(metadata={"short": "-T"})
    """Positions that a training window has."""


@dataclass(kw_only=True)
class ReadingText:
    """How text becomes streams of tokens; what was not given is left to the reader."""

    tokenizer: Path | None = None
    """Text: a folder with a tokenizer that transformers reads, or a tokenizer.json. Default: the one in the model's
    folder; without one, bytes for a vocabulary of 256."""
    field: str | None = None
    """Text in .jsonl, .ndjson, .parquet and saved datasets: the field or column that holds it. Default: the one called
    text or content, or the only one of text."""
    documents: Literal["separate", "joined"] | None = None
    """Text: each document a stream, or all joined into one long recording. Default: joined where more than half of all
    tokens lie in documents shorter than 4,096 tokens."""
    separator: str | None = None
    """Text: what stands between joined documents (\\n is a line's end). Default: the tokenizer's mark of an end;
    without one, an empty line."""
    text_split: str | None = None
    """Text: of a saved dataset with several splits, the one to read, such as train."""

    def reading(self) -> dict[str, Any]:
        """The options of reading that were given, by name."""
        kind = Reading if isinstance(self, Reading) else ReadingText
        given = {name: getattr(self, name) for name in kind.__dataclass_fields__}
        return {name: value for name, value in given.items() if value is not None}


@dataclass(kw_only=True)
class Reading(ReadingText):
    """How data become streams; what was not given is left to the reader."""

    inputs: tuple[str, ...] | None = None
    """Tables: input columns, in the order the model reads them. Default: all of numbers; those that look like
    identifiers, times or the target in disguise are then asked about."""
    leave_out: tuple[str, ...] | None = None
    """Tables: columns that are no inputs, where --inputs does not choose them."""
    target: tuple[str, ...] | None = None
    """Tables: the column to forecast, or several. Default: all inputs.
    (How many positions are scored is --scored.)"""
    horizon: tuple[str, ...] | None = None
    """Tables and features: positions ahead; tables also several, such as 1,15,60. Default: 1."""
    aggregate: Literal["value", "mean"] | None = None
    """Tables: forecast the value `horizon` rows ahead (default), or the mean up to there."""
    bins: int | None = None
    """Tables: forecast classes, this many quantile bins of the target."""
    quantiles: tuple[float, ...] | None = None
    """Tables: forecast these quantiles of the target, such as 0.1 0.5 0.9, judged by the pinball loss."""
    weight: str | None = None
    """Tables: the column that says how much a row's target counts, 0 or more. Default: all count alike."""
    target_kind: Literal["value", "class"] | None = None
    """Tables: whether the column of --target holds numbers (default) or labels."""
    classes: tuple[str, ...] | None = None
    """Tables: the labels of --target in the order of the model's outputs: idle run off. Default: sorted."""
    stream: str | None = None
    """Tables: the column that tells streams (machines, say) apart. Default: one recording."""
    time: str | None = None
    """Tables: the column that says when each row was (times, text, or seconds since 1970), so that a diagnosis tells
    moments by the clock, and gaps are seen. Default: a column of times, where there is one."""
    order: Literal["time", "file", "newest-first"] | None = None
    """Tables: rows sorted by their times, read as they stand, or read from the last to the first. Default: told by the
    times; rows that were shuffled, or are of several machines, are asked about."""
    scale: tuple[str, ...] | None = None
    """Tables: standard, minmax, robust or none, by column as COLUMN=WORD, or FILE.json with figures of each column;
    log-standard and log1p-standard take a logarithm first. Default: standard, unless the model is clearly better read
    otherwise."""
    target_scale: tuple[str, ...] | None = None
    """Tables: the same for the target alone. Default: as --scale says of its column."""
    log: tuple[str, ...] | None = None
    """Tables: columns of which the logarithm is taken first, as inputs and as targets."""
    missing: Literal["drop", "hold", "error"] | None = None
    """Tables: drop rows with missing values (default), hold the last value, or refuse."""
    gaps: Literal["split", "join", "error"] | None = None
    """Tables with --time: cut streams where rows are too far apart (default), join the rows, or refuse."""
    max_gap: str | None = None
    """Tables with --time: seconds, or a time such as 1h, beyond which rows are too far apart. Default: 1.5 typical
    steps, where 9 of 10 steps are like the typical one; otherwise never."""
    category: tuple[str, ...] | None = None
    """Tables: inputs that are no sizes (text or whole numbers): machine mode. The model reads the code of each value,
    its place among the sorted values of the training part; nothing scales it. Where the model has codes of its own,
    the values in their order: mode=idle,run. The column of --stream may be one."""
    static: tuple[str, ...] | None = None
    """Tables: inputs that do not change along a stream: names of columns, or one file, a table with a row for each
    stream and the column of --stream (file where streams are files)."""
    targets_file: Path | None = None
    """Tables and features: targets beside the data, row for row or by --time: a table, or .npy. Their horizon is 0
    unless --horizon says another."""
    units: dict[str, str] | None = None
    """Tables: units of columns, such as: power kW speed rpm. A column named power [kW] says its own."""
    scenario: tuple[str, ...] | None = field(default=None, metadata={"extend": True})
    """Tables: situations that losses are told apart by, NAME=RULE: night=22:00/06:00 weekend=sat,sun (both take
    --time), "start-up=speed<10", or several tests with 'and' between. Also one at a time: --scenario A --scenario B."""
    sheet: str | None = None
    """Workbooks (.xlsx): the sheet to read. Default: the first."""
    decimal: Literal[".", ","] | None = None
    """Tables in text: the mark before decimals, a comma where 1,5 is one and a half. Default: a point."""
    thousands: str | None = None
    """Tables in text: the mark between groups of three digits: a comma, a point, a blank or '. Default: none."""
    encoding: str | None = None
    """Tables in text: its encoding, such as latin-1 or utf-16. Default: UTF-8."""
    missing_values: tuple[str, ...] | None = None
    """Tables: what stands for a missing value beside empty cells, ?, NA, N/A, NaN and null: '#N/A' Bad -9999."""
    time_format: str | None = None
    """Tables with --time: how times are written, as Python's strptime takes it: '%d %b %Y %H:%M'. Default: ISO 8601, or
    day, month and year where they say their order by themselves."""
    day_first: bool | None = None
    """Tables with --time: 03/04/2024 is in April. Default: told by a day above 12, or by dots (03.04.2024)."""
    vocabulary: int | None = None
    """Tokens: size of the vocabulary. Default: the largest token and one more."""
    shares: tuple[float, float, float] | None = field(default=None, metadata={"read": _shares})
    """Of training, validation and test: 0.6 0.15 0.25 (the default), 0.6/0.15/0.25 or 60%/15%/25%."""


@dataclass(kw_only=True)
class Measuring:
    """How to measure."""

    max_length: int | None = None
    """Positions of each test stream to use, at most. Default: as many as leave enough streams."""
    up_to: str | None = None
    """The oldest age that you ask about: 24h (of tables with a --time) or 5000 positions. Recordings are cut for
    it, into segments that share what warms them up and no targets. Default: --max-length."""
    measure: tuple[str, ...] | None = None
    """cross_entropy, error_rate, squared_error, absolute_error or pinball; of one of several targets, such as
    squared_error:power@15. Verdict and acceptance go by the first. Default: what fits the targets."""
    scored: int = field(default=EvalSettings.targets, metadata={"old": ["targets"]})
    """Positions a stream whose predictions are scored, the same ones at every age. Not the column to forecast: that is
    --target. (Its name was --targets.)"""


@dataclass(kw_only=True)
class Affording:
    """What measuring may cost."""

    budget: str | None = None
    """How long measuring may take, such as 90s, 10min or 2h: fewer positions are scored, and then fewer streams read,
    so that it is kept. With fewer than 8 streams there is no verdict. Of a diagnosis a sixth is for the age curve, and
    the rest reads the same streams. Default: as long as it takes."""
    most_streams: int | None = None
    """Test streams to read, at most, drawn at random; with fewer than 8 there is no verdict. Default: all."""


@dataclass(kw_only=True)
class Weighing:
    """Which scenarios training windows begin in."""

    start_weights: tuple[str, ...] | None = None
    """How often training windows begin in a --scenario against elsewhere, NAME=WEIGHT: night=4; 0: no window has a
    position in it. In a diagnosis, those that the model was trained with. Default: all alike."""


@dataclass(kw_only=True)
class Stepping:
    """How to train."""

    objective: str | None = None
    """next_token, classification, regression, quantiles or self_distillation. Default: what fits the targets."""
    steps: int = TrainSettings.steps
    """Optimiser steps."""
    learning_rate: float = TrainSettings.learning_rate
    """Peak learning rate."""
    batch_size: int = TrainSettings.batch_size
    """Rows in a batch."""
    precision: str = field(default=TrainSettings.precision, metadata={"choices": PRECISIONS})
    """In which products are taken in training: float32, bf16 (autocast; parameters, states and sums stay float32), or
    auto: bf16 where the model is at least 256 wide and the CPU multiplies it. Measuring is in float32."""


@dataclass(kw_only=True)
class Learning(Stepping):
    """How to train, and how to go on with it."""

    read_ahead: int | None = TrainSettings.read_ahead
    """Windows that every row reads without learning before the first step, so that a short repair starts from states as
    old as a long one meets. Default: none."""
    state_penalty: float | None = TrainSettings.state_penalty
    """Weight of the mean square of the state's numbers at the end of every window. Default: none."""
    state_dropout: float | None = TrainSettings.state_dropout
    """Share of the state's numbers that become those of the initial state, four times a window. Default: none."""
    checkpoint_every: int = TrainSettings.checkpoint_every
    """Steps between checkpoints."""
    resume: bool = False
    """Go on from the checkpoint that a stopped run of the same command left in --out. Where there is none, begin; where
    a finished run lies, show it and do nothing."""
    track: Literal["tensorboard", "mlflow", "trackio"] | None = None
    """Log the loss by step, and what came of it: tensorboard to OUT/track, the others where they are set to."""


@dataclass(kw_only=True)
class Starting:
    """Where repair windows start."""

    intervention: str = "carry"
    """zero, random_noise, fitted_noise, state_passing, tbtt, carry, replay, mix or partial; with settings also in one
    word, such as carry:expected_run=1280,zero_share=0.5, or as JSON with a name."""
    expected_run: str | None = None
    """carry: positions after which the world may change, inf, or data: as long as one situation lasts in the training
    streams. Default: 20 training contexts."""
    zero_share: float | None = None
    """Share of rows that start from the initial state. Default: 0.25; of a mix, beside its members' own: 0."""
    std: float | None = None
    """random_noise: its standard deviation. Default: that of the model's own states."""
    source: Literal["window", "carried"] | None = None
    """fitted_noise: fitted on states at the training context (default), or on states carried far."""
    carried_length: int | None = None
    """fitted_noise of states carried far: positions they are carried. Default: 4096."""
    by: Literal["excess", "novelty", "evenly"] | None = None
    """replay: what its states are chosen by: excess (those that cost the most against young ones; default), novelty
    (the farthest from training's), or evenly."""
    size: int | None = None
    """replay: states in its bank. Default: 512."""
    foreign_share: float | None = None
    """replay: share of rows that start from a state of another place. Default: 0.25."""
    members: tuple[str, ...] | None = None
    """mix: its interventions, each written as --intervention is."""
    member_shares: tuple[float, ...] | None = None
    """mix: a share of the rows for each member. Default: equal shares."""
    parts: tuple[str, ...] | None = None
    """Parts of the state that start as the intervention says, such as layers.1.cell, all of a layer (layers.1), or
    heads (layers.0.state:0,2); the rest starts from the initial state. Default: all."""
    strength: float | None = None
    """How far states start from the initial one, towards where the intervention starts them. Default: 1, all of it."""
    of: str | None = None
    """partial: the intervention that --parts and --strength change, where it is not --intervention itself."""


@dataclass(kw_only=True)
class Repairing:
    """What a repair is held to."""

    anchor: float = RepairSettings.anchor
    """Weight of the divergence from the untouched model, on rows that start from zero; 0: they only learn."""
    labels: float = RepairSettings.labels
    """Weight of the objective on those rows."""
    doses: tuple[float, ...] = RepairSettings.doses
    """Shares of the way from the base's weights to the repaired ones; validation chooses one of them."""
    control: bool = RepairSettings.control
    """Leave out the control, the same training from zero states. It costs as much as the repair; without it nobody
    knows whether the starts or plain training gained what was gained. (default: it is made)"""
    anyway: bool = RepairSettings.anyway
    """Go on where validation says that there is nothing to repair, or (which stops repair alone) does not show that the
    model fails, or where the model does not fit the data as they are read."""
    short_ages: tuple[int, int] | None = RepairSettings.short_ages
    """FROM TO: ages over which short contexts must hold, every age alike. Default: 0 up to the training context. For a
    model that is reset every P positions: 0 P."""
    leak: float | None = RepairSettings.leak
    """TAU: train under a leak, which stays on at work: before every position the state is drawn towards the initial
    state by exp(-1/TAU). The training context is a good first TAU. Default: no leak."""


@dataclass(kw_only=True)
class Machine(Trust):
    """What to run on."""

    device: str = "auto"
    """cpu, cuda, cuda:1, …, or auto: a GPU where there is one."""
    threads: int | None = None
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


# Under which title help shows an option.

GROUPS: dict[type, str] = {
    Model: "Model",
    Trust: "Model",
    Ports: "Model",
    Source: "Data",
    Reading: "Data",
    Measuring: "Measuring",
    Affording: "Measuring",
    Stepping: "Training",
    Learning: "Training",
    Weighing: "Training",
    Starting: "Starts",
    Repairing: "Repair",
    Machine: "Machine",
    Running: "Output",
}
"""The title under which help shows a group of options; groups of one title are shown together."""

USUAL = (
    "model", "data", "train_context", "out", "target", "horizon", "stream", "time", "family", "budget", "cost",
    "intervention", "interventions", "steps", "up_to",
)  # fmt: skip
"""Options that most people need, the most needed ones first."""

_ALONE = {
    "Model": "family settings base repaired",
    "Data": "task stationary guard",
    "Money and time": "budget cost price_per_hour value_per_unit",
    "Starts": "interventions expected_runs continuation share",
    "Machine": "jobs",
    "Output": "language figures seeds",
    "Results": "results",
    "Text": "prompt tokens steps temperature age against",
    "State": "state state_every",
    "Streams": "resets stream",
    "Watching": "run_length fleet every profile",
    "Ledger": "ledger database",
    "Which": "open harm of_stream most quarantine watchers per_stream far_state status",
    "Incident": "incident label by note",
    "Candidate": "stage candidate",
}
OWN = {name: title for title, names in _ALONE.items() for name in names.split()}
"""The titles of options that are of no group; the others stand under `Options`."""
