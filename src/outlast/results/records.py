"""Results: frozen records that go to JSON and back without loss. Reports are drawn from these only.

Losses are in the unit the result names. ``low`` and ``high`` are the ends of 95 % intervals over streams, simultaneous
over the rows of a curve; ``n`` is the number of streams. Per-stream values are kept so that two results on the same
streams can be compared pair by pair later.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import math
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import cattrs
from cattrs.gen import make_dict_unstructure_fn, override
from cattrs.strategies import configure_union_passthrough

from outlast.errors import InputError
from outlast.results.diagnosed import Attribution, Cause, Coverage, Forecast, Gap, Moment, Remembrance, Trace

VERSION = importlib.metadata.version("outlast")


@dataclass(frozen=True)
class AgeBand:
    """The loss of the same targets predicted from states of age [age[0], age[1]); excess is over `short`."""

    age: tuple[int, int]
    loss: float
    low: float
    high: float
    excess: float
    excess_low: float
    excess_high: float
    n: int
    per_stream: list[float]


@dataclass(frozen=True)
class PositionBin:
    """The loss at stream positions [start, end), reading from the zero state at position 0."""

    start: int
    end: int
    loss: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Control:
    """The loss of the same targets under a reset policy that needs no training."""

    every: int
    loss: float
    low: float
    high: float
    per_stream: list[float]


@dataclass(frozen=True)
class Guess:
    """The loss of the same targets by a predictor that does not read: the best constant, or persistence."""

    loss: float
    low: float
    high: float
    per_stream: list[float]


@dataclass(frozen=True)
class RecoveryBand:
    """Positions [start, end) of a new stream, read from a state that another stream has aged, and read afresh.

    `difference` is the first minus the second, paired by the new stream.
    """

    start: int
    end: int
    loss: float
    fresh: float
    difference: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class StateRow:
    """Root mean square (`norm`) and standard deviation of one part of the state, over rows, at one position."""

    position: int
    part: str
    norm: float
    std: float


@dataclass(frozen=True)
class Short:
    """The best band within the training context, cross-fitted over two halves of the streams."""

    bands: list[tuple[int, int]]
    loss: float
    per_stream: list[float]


@dataclass(frozen=True)
class Verdict:
    """``fails``, ``declines``, ``generalises``, ``robust`` or ``undecided``, judged at the oldest age tested.

    `streams_needed`: for ``undecided``, about how many streams would decide. `best_age`: for ``declines``, where past
    the training context the model is best.
    """

    name: str
    from_age: int | None
    oldest_age: tuple[int, int]
    excess: float
    low: float
    high: float
    tolerance: float
    because: list[str]
    streams_needed: int | None = None
    best_age: tuple[int, int] | None = None


@dataclass(frozen=True)
class Evaluation:
    """One model measured on one set of streams.

    `blocks` says of each stream which unit of the intervals it belongs to; empty: each is one of its own. `guesses` are
    what needs no reading (``constant``, ``persistence``), `recovery` what a switch to another stream costs.
    """

    model: dict[str, Any]
    data: dict[str, Any]
    settings: dict[str, Any]
    seconds: float
    train_context: int
    measure: str
    unit: str
    age_curve: list[AgeBand]
    position_curve: list[PositionBin]
    controls: dict[str, Control]
    state: list[StateRow]
    short: Short | None
    verdict: Verdict | None
    slices: dict[str, Any] = field(default_factory=dict)
    other_measures: dict[str, list[AgeBand]] = field(default_factory=dict)
    guesses: dict[str, Guess] = field(default_factory=dict)
    recovery: list[RecoveryBand] = field(default_factory=list)
    blocks: list[int] = field(default_factory=list)
    kind: str = "evaluate"
    outlast: str = ""

    @property
    def oldest(self) -> AgeBand:
        return self.age_curve[-1]


@dataclass(frozen=True)
class ShortContext:
    """Repaired minus base at short ages; positive is worse.

    The mean over `ages` (from, to), every age alike; `reference` is the base's loss there, and `margin` what may be
    lost. `worst_high` is the upper end, simultaneous over the bands, of the band where it is highest, and
    `worst_margin` what one band may lose. `by_bands`: the mean over bands instead, every band alike (three of ten bands
    may be the first four positions).
    """

    difference: float
    low: float
    high: float
    margin: float
    worst_band: tuple[int, int]
    worst_difference: float
    worst_high: float
    worst_margin: float
    reference: float
    ages: tuple[int, int]
    by_bands: tuple[float, float, float]

    @property
    def held(self) -> bool:
        return self.high <= self.margin and self.worst_high <= self.worst_margin


@dataclass(frozen=True)
class Benefit:
    """Repaired at its oldest age minus a rival: negative is better.

    `rivals` holds every one of them: ``base``, ``periodic_reset`` and ``overlapping_reset`` (of the base), and where
    there is a control, ``control`` and ``control_reset``. `against` names the stronger of the base and the base under
    its best periodic reset.
    """

    against: str
    difference: float
    low: float
    high: float
    rivals: dict[str, tuple[float, float, float]]

    @property
    def overlapping(self) -> tuple[float, float, float] | None:
        """Against the strongest rival that needs no training: two copies of the base, at twice the cost."""
        return self.rivals.get("overlapping_reset")

    @property
    def starts(self) -> tuple[float, float, float] | None:
        """What the starts gained: against the control, which differs in nothing else."""
        return self.rivals.get("control")


@dataclass(frozen=True)
class Refusal:
    """Why a repair is refused.

    Args:
        name: ``short_context_lost``, ``no_benefit``, ``still_fails``, ``stopped_reading``, ``reset_it_instead``,
            ``plain_training_suffices`` or ``nothing_to_repair``.
        because: what was seen, with its figures.
        also: names of what else would have refused it.
        every: the reset period that helps, where one does.
        guard: the guard set on which short contexts were lost.
    """

    name: str
    because: list[str]
    also: list[str] = field(default_factory=list)
    every: int | None = None
    guard: str | None = None


@dataclass(frozen=True)
class DosePoint:
    """What validation says of one dose: the change of short contexts, and the loss at the oldest age."""

    dose: float
    short: tuple[float, float, float]
    oldest: tuple[float, float, float]
    kept: bool


@dataclass(frozen=True)
class Repair:
    """A base model, a repair of it, and whether the repair is accepted.

    `control` is the same training from zero states, at its own dose; None: it was left out, and what the starts gained
    is not known. `doses` are those that validation chose from.
    """

    intervention: dict[str, Any]
    steps: int
    before: Evaluation
    after: Evaluation
    short_context: ShortContext
    benefit: Benefit
    accepted: bool
    refused_because: Refusal | None
    training: dict[str, Any]
    dose: float = 1.0
    doses: list[DosePoint] = field(default_factory=list)
    control: Evaluation | None = None
    control_passes: bool | None = None
    guards: dict[str, ShortContext] = field(default_factory=dict)
    kind: str = "repair"
    outlast: str = ""


@dataclass(frozen=True)
class CompareRow:
    """One intervention of a comparison: what validation said, and the repair measured on test streams."""

    name: str
    validation: dict[str, float]
    repair: Repair


@dataclass(frozen=True)
class Comparison:
    """Several interventions given equal steps and data; the winner was picked on validation.

    Where validation says that there is nothing to repair, there are no rows, and `refused_because` says so.
    """

    base: Evaluation
    rows: list[CompareRow]
    winner: str | None
    picked: str | None
    refused_because: Refusal | None = None
    kind: str = "compare"
    outlast: str = ""


@dataclass(frozen=True)
class Check:
    """One point of the contract; `passed` is None where it cannot be asked of this model."""

    name: str
    passed: bool | None
    worst: float | None
    tolerance: float | None
    detail: str


@dataclass(frozen=True)
class CheckReport:
    """What `outlast check` found."""

    model: dict[str, Any]
    checks: list[Check]
    kind: str = "check"
    outlast: str = ""

    @property
    def passed(self) -> bool:
        return all(check.passed is not False for check in self.checks)


@dataclass(frozen=True)
class Training:
    """What `outlast train` did."""

    model: dict[str, Any]
    data: dict[str, Any]
    settings: dict[str, Any]
    seconds: float
    losses: list[tuple[int, float]]
    kind: str = "train"
    outlast: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """Why a model does past its training context what it does; `causes` begins with those found, the weightiest first.

    What could not be asked of the model is None, and `left_out` says why. `asked_measure` and `asked_unit` are those
    by which old and young states are compared, where these are not the evaluation's.
    """

    evaluation: Evaluation
    causes: list[Cause]
    remembrance: Remembrance | None
    coverage: Coverage | None
    attribution: Attribution | None
    trace: Trace | None
    gap: Gap | None
    forecast: Forecast | None
    settings: dict[str, Any]
    seconds: float
    left_out: dict[str, str] = field(default_factory=dict)
    asked_measure: str = ""
    asked_unit: str = ""
    kind: str = "diagnose"
    outlast: str = ""

    @property
    def main(self) -> Cause | None:
        """The weightiest cause that was found."""
        return next((cause for cause in self.causes if cause.found), None)

    @property
    def model(self) -> dict[str, Any]:
        return self.evaluation.model


Result = Evaluation | Repair | Comparison | CheckReport | Training | Diagnosis
_KINDS: dict[str, type] = {
    "evaluate": Evaluation,
    "repair": Repair,
    "compare": Comparison,
    "check": CheckReport,
    "train": Training,
    "diagnose": Diagnosis,
}
_converter = cattrs.Converter()
configure_union_passthrough(float | int | str, _converter)  # the facts behind a cause
_converter.register_unstructure_hook(  # streams without a clock leave no trace of one
    Moment, make_dict_unstructure_fn(Moment, _converter, times=override(omit_if_default=True))
)


def to_json(result: Result) -> str:
    """The result as JSON text. Raises ValueError if it holds a number that JSON cannot (NaN or infinity)."""
    return json.dumps(_converter.unstructure(result), indent=1, allow_nan=False)


def from_json(text: str) -> Result:
    """The result that `to_json` wrote.

    Raises:
        InputError: not JSON, of another kind, or without what a result of its kind holds.
    """
    try:
        record = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"text that is not JSON ({error})", "a result.json", "point at the file outlast wrote"
        ) from None
    kind = record.get("kind") if isinstance(record, dict) else None
    if not isinstance(kind, str) or kind not in _KINDS:
        raise InputError(
            f"a JSON document of kind {kind!r}",
            f"a result.json of kind {', '.join(_KINDS)}",
            "point at a result.json that outlast wrote",
        )
    try:
        return _converter.structure(record, _KINDS[kind])
    except (cattrs.BaseValidationError, ValueError, TypeError, LookupError) as error:
        faults = cattrs.transform_error(error, path=kind)
        raise InputError(
            f"a JSON document of kind {kind!r} that does not hold what one does: {'; '.join(faults[:3])}",
            f"a result.json that outlast {VERSION} reads",
            "point at a result.json that outlast wrote, unchanged",
        ) from None


def _refuse_constant(name: str) -> float:
    raise ValueError(f"it holds {name}, which is not a number")


def write_atomically(path: str | Path, content: str | bytes) -> None:
    """Write a file so that it either has all of `content` or is as it was before.

    Raises:
        InputError: it cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())  # some file systems tell only now that they are full
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if not isinstance(error, OSError):
            raise
        raise InputError(
            f"{path} could not be written: {error.strerror or error}",
            "a folder with room that may be written to",
            "free some space or choose another --out; nothing half-written was left behind",
        ) from error


def save_result(result: Result, path: str | Path) -> None:
    """Write result.json."""
    write_atomically(path, to_json(result) + "\n")


def load_result(path: str | Path) -> Result:
    """Read a result.json; a folder means the one inside it."""
    path = Path(path)
    path = path / "result.json" if path.is_dir() else path
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(
            f"no file {path}", "a result.json or a folder with one", "run a measuring verb first"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} cannot be read ({error})", "a result.json", "point at the file outlast wrote"
        ) from None
    try:
        return from_json(text)
    except InputError as error:
        raise InputError(f"{path}: {error.given}", error.expected, error.do) from None


def plain(value: float) -> float:
    """A float for a result; refuses NaN and infinity at the place where they arise."""
    value = float(value)
    if not math.isfinite(value):
        raise OverflowError("a measured value is not finite")
    return value


Kind = TypeVar("Kind", bound=Result)


def load_as(path: str | Path, kind: type[Kind]) -> Kind:
    """`load_result` where only one kind will do. Raises InputError for a result of another."""
    result = load_result(path)
    if not isinstance(result, kind):
        raise InputError(f"{path} of kind {result.kind}", f"a {kind.__name__}", f"delete {path} and run the same again")
    return result
