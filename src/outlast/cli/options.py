"""What each verb can be told, on the command line or in a TOML file with the same keys."""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import tyro

from outlast.errors import InputError, unknown_name

Verb = TypeVar("Verb")


@dataclass(kw_only=True)
class Running:
    """Where and how to run."""

    out: Path = Path("runs/latest")
    """Folder for result.json, report.html and models."""
    seed: int = 0
    """Of everything random."""
    device: str = "auto"
    """cpu, cuda, or auto: a GPU where there is one."""
    threads: int | None = None
    """Threads inside one operation; default: what torch takes."""
    json: bool = False
    """Print the result alone, as JSON, on standard output."""


@dataclass(kw_only=True)
class Data:
    """What to read, and how tables become streams."""

    data: Path
    """A file (.npy, .csv, .tsv, .parquet, .txt) or a folder of .txt files."""
    inputs: tuple[str, ...] | None = None
    """Tables: input columns; default: all numeric ones."""
    target: str | None = None
    """Tables: the column to forecast; default: the next step of all inputs."""
    horizon: int | None = None
    """Rows ahead."""
    aggregate: Literal["value", "mean"] | None = None
    """Tables: the target's value `horizon` rows ahead, or its mean over them."""
    bins: int | None = None
    """Tables: forecast classes, quantile bins of the target."""
    target_kind: Literal["value", "class"] | None = None
    """Tables: whether the target is a number or a label."""
    stream: str | None = None
    """Tables: a column that tells streams (machines, say) apart."""
    scale: Literal["standard", "none"] | None = None
    """Tables: standardise with training figures (default), or leave numbers as they are."""
    missing: Literal["drop", "hold", "error"] | None = None
    """Tables: what to do with missing values."""
    vocabulary: int | None = None
    """Tokens: size of the vocabulary."""
    shares: tuple[float, float, float] | None = None
    """Shares of training, validation and test."""

    def reading(self) -> dict[str, Any]:
        """The options that were given, for `outlast.streams.open_streams`."""
        names = ["inputs", "target", "horizon", "aggregate", "bins", "target_kind", "stream", "scale", "missing"]
        if self.data.suffix.lower() in (".csv", ".tsv", ".parquet"):
            names.append("shares")
        names.append("vocabulary")
        given = {name: getattr(self, name) for name in names}
        return {name: list(v) if name == "inputs" else v for name, v in given.items() if v is not None}


@dataclass(kw_only=True)
class Measuring:
    """How to measure."""

    train_context: Annotated[int, tyro.conf.arg(aliases=["-T"])]
    """Positions that a training window had."""
    max_length: int | None = None
    """Positions of each test stream to use."""
    measure: tuple[str, ...] | None = None
    """The first one is what the verdict is about; default: what fits the targets."""
    targets: int = 2048
    """Target positions a stream that every age is scored on."""


@dataclass(kw_only=True)
class Learning:
    """How to train."""

    objective: str | None = None
    """next_token, classification, regression or self_distillation; default: what fits the targets."""
    steps: int = 400
    """Optimiser steps."""
    learning_rate: float = 1e-3
    """Peak learning rate."""
    batch_size: int = 32
    """Rows in a batch."""
    precision: Literal["no", "bf16"] = "no"
    """Mixed precision."""
    checkpoint_every: int = 200
    """Steps between checkpoints."""
    resume: bool = False
    """Go on from the checkpoint in the output folder."""


@dataclass(kw_only=True)
class Starting:
    """Where repair windows start."""

    intervention: str = "carry"
    """zero, random_noise, fitted_noise, state_passing, tbtt or carry."""
    expected_run: float | None = None
    """carry: positions after which the world may change; default: 20 training contexts."""
    zero_share: float | None = None
    """Share of rows that start from the initial state."""
    std: float | None = None
    """random_noise: its standard deviation."""
    source: Literal["window", "carried"] | None = None
    """fitted_noise: fitted on states at the training context, or on states carried far."""


@dataclass(kw_only=True)
class CheckVerb(Running):
    """Does a model keep the contract that evaluation and repair rely on? Exit status 1 if it does not."""

    model: str
    """A directory that outlast saved, or package.module:build."""
    data: Path | None = None
    """Take example inputs from these data; default: random ones."""


@dataclass(kw_only=True)
class TrainVerb(Measuring, Learning, Data, Running):
    """Train a model from scratch (or one that is given) from the zero state, as one usually does."""

    model: str | None = None
    """A directory or package.module:build to start from; default: a fresh model of --family."""
    family: str = "gla"
    """gla, mamba2, lstm or gru."""
    settings: dict[str, str] = field(default_factory=dict)
    """Settings of the family, such as width 64 layers 2."""


@dataclass(kw_only=True)
class EvaluateVerb(Measuring, Data, Running):
    """Measure a model past its training context: age curve, position curve, verdict."""

    model: str
    """A directory that outlast saved, or package.module:build."""


@dataclass(kw_only=True)
class RepairVerb(Starting, Measuring, Learning, Data, Running):
    """Post-train a model with other starts; exit status 1 if the repair is refused."""

    model: str
    """A directory that outlast saved, or package.module:build."""
    guard: tuple[Path, ...] = ()
    """More data of the same kind on which short contexts must hold."""


@dataclass(kw_only=True)
class CompareVerb(Measuring, Learning, Data, Running):
    """Give several interventions equal steps and data; exit status 1 if none is accepted."""

    model: str
    """A directory that outlast saved, or package.module:build."""
    interventions: tuple[str, ...] = ("zero", "random_noise", "fitted_noise", "state_passing", "tbtt", "carry")
    """Which ones; carry once for each --expected-runs."""
    expected_runs: tuple[float, ...] = ()
    """Positions; default: 20 training contexts."""
    zero_share: float | None = None
    """Share of rows that start from the initial state."""


@dataclass(kw_only=True)
class ReportVerb:
    """Draw one report from results."""

    results: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """result.json files, or folders with one."""
    out: Path = Path("report.html")
    """The HTML file."""


@dataclass(kw_only=True)
class TasksVerb:
    """List the built-in tasks, or fetch the data of one."""

    fetch: str | None = None
    """Fetch and prepare this task's data."""


@dataclass(kw_only=True)
class EnvVerb:
    """Print versions, threads and which scan is used."""

    json: bool = False
    """As JSON."""


@dataclass(kw_only=True)
class QuickstartVerb:
    """Train a small forecaster on household power, watch it fail past its training context, repair and verify it."""

    out: Path = Path("runs/quickstart")
    """Folder for result.json, report.html and the models."""
    seed: int = 0
    """Of everything random."""
    seeds: int = 1
    """Repeat with this many seeds, counted from --seed; finished ones are not run again."""
    page: Path | None = None
    """Write a Markdown page of the figures over seeds."""
    jobs: int = 2
    """Interventions trained side by side, one thread each."""


VERBS: dict[str, type] = {
    "quickstart": QuickstartVerb,
    "check": CheckVerb,
    "train": TrainVerb,
    "evaluate": EvaluateVerb,
    "repair": RepairVerb,
    "compare": CompareVerb,
    "report": ReportVerb,
    "tasks": TasksVerb,
    "env": EnvVerb,
}


def parse(verb: type[Verb], arguments: list[str]) -> Verb:
    """The verb's options from the command line, over those of --config FILE.toml, over the defaults."""
    rest, config = _take_config(arguments)
    default = _with_defaults(verb, _read_config(verb, config) if config else {})
    name = next(name for name, kind in VERBS.items() if kind is verb)
    description = (verb.__doc__ or "") + "\n\nAll options may stand in a TOML file: --config FILE.toml."
    options = (tyro.conf.FlagCreatePairsOff,)
    return tyro.cli(verb, prog=f"outlast {name}", args=rest, default=default, description=description, config=options)


def _take_config(arguments: list[str]) -> tuple[list[str], Path | None]:
    rest, config, waiting = [], None, False
    for argument in arguments:
        if waiting:
            config, waiting = Path(argument), False
        elif argument == "--config":
            waiting = True
        elif argument.startswith("--config="):
            config = Path(argument.removeprefix("--config="))
        else:
            rest.append(argument)
    if waiting:
        raise InputError("--config without a file", "--config FILE.toml", "name the file")
    return rest, config


def _read_config(verb: type, path: Path) -> dict[str, Any]:
    try:
        record = tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(f"no file {path}", "a TOML file for --config", "check the path") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not TOML ({error})", "key = value lines", "correct the file") from None
    kinds = {item.name: item.type for item in dataclasses.fields(verb)}
    values = {}
    for key, value in record.items():
        name = key.replace("-", "_")
        if name not in kinds:
            raise unknown_name(f"key in {path}", key, kinds)
        values[name] = _as_kind(value, str(kinds[name]))
    return values


def _as_kind(value: Any, kind: str) -> Any:
    if isinstance(value, str) and "Path" in kind:
        return Path(value)
    if isinstance(value, list):
        return tuple(Path(item) if "Path" in kind else item for item in value)
    if isinstance(value, dict):
        return {key: str(item) for key, item in value.items()}
    return value


def _with_defaults(verb: type[Verb], values: dict[str, Any]) -> Verb:
    required = {
        item.name: tyro.MISSING
        for item in dataclasses.fields(verb)  # pyright: ignore[reportArgumentType]
        if item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
    }
    return verb(**{**required, **values})
