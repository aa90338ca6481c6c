"""What a model's inputs and outputs mean: columns in their order, scaling, and what is forecast in which unit.

A table is read into such a schema (`Streams.from_table`), a model that is trained on the streams keeps it, and rows
that come in later are read by it, with the figures of the training part.
"""

from __future__ import annotations

import functools
import numbers
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any, Literal

import cattrs
import numpy as np

from outlast.brief import briefly
from outlast.errors import InputError

Gaps = Literal["join", "split", "error"]
Missing = Literal["drop", "hold", "error"]
Log = Literal["log", "log1p"]
"""Natural logarithm of a value, or of the value and 1."""
_LISTED = 12
"""Known values that a message lists."""
_OPENING = {")": "(", "]": "["}
_IN_BRACKETS = re.compile(r".+[\[(]([^\[\]()]{1,12})[\])]\s*")


@dataclass(frozen=True)
class Column:
    """One input column: the model reads (value − mean) / std, or of a category its code.

    Args:
        mean, std: of whatever scaling it is: with min–max they are the least value and the range.
        constant: whether it had one value alone in the training part (std is then 1).
        unit: of its values, for people.
        categories: of a category, the values that are known, each at its code (mean 0, std 1: codes are not scaled);
            empty: it is a column of numbers.
        log: the logarithm that is taken of values first; None: none.
        static: whether it does not change along a stream.
        low, high: least and largest value of the training part; None: nobody noted them.
    """

    name: str
    mean: float = 0.0
    std: float = 1.0
    constant: bool = False
    unit: str | None = None
    categories: tuple[str | int, ...] = ()
    log: Log | None = None
    static: bool = False
    low: float | None = None
    high: float | None = None

    @functools.cached_property
    def codes(self) -> dict[str | int, int]:
        """The code of each known value."""
        return {value: code for code, value in enumerate(self.categories)}

    def unscaled(self, read: np.ndarray) -> np.ndarray:
        """(N,) values in the column's own unit, of what the model reads."""
        return unlogged(read[..., None] * self.std + self.mean, [self.log])[..., 0]

    def code(self, value: Any) -> int:
        """The code of a raw value; whole numbers may come as 3, 3.0 or True, text that looks like one as a number.

        Raises:
            InputError: it is not among the known values.
        """
        found = value
        if isinstance(value, numbers.Real | np.bool_) and float(value).is_integer():
            found = int(float(value))
        if isinstance(self.categories[0], str) and isinstance(found, int):
            found = str(found)
        code = self.codes.get(found) if isinstance(found, str | int) else None
        if code is None:
            raise unknown_category(f"{value!r} in column {self.name!r}", self)
        return code


def unknown_category(given: str, column: Column) -> InputError:
    """For a value that a category does not have."""
    known = ", ".join(map(str, column.categories[:_LISTED]))
    more = len(column.categories) - _LISTED
    return InputError(
        given,
        f"a value that the model knows: {known}" + (f" and {more} more" if more > 0 else ""),
        "correct the value; a new one needs a code of its own in the model, and training with it",
    )


@dataclass(frozen=True)
class Target:
    """What the outputs stand for.

    Args:
        kind: ``value``: numbers, one for every column and horizon; ``class``: logits over `labels`; ``bins``: logits
            over the bins that `edges` divide.
        columns, horizons: what is forecast, and how many rows ahead; outputs are ordered by column, then horizon, then
            quantile.
        aggregate: ``value``: the value that many rows ahead; ``mean``: the mean over the rows up to there.
        means, stds: of every column and horizon; an output is (value − mean) / std.
        logs: of every column, the logarithm that is taken of values first; empty: none of any.
        units: of every column.
        quantiles: which quantiles the outputs are; empty: one output for each value, its mean.
        labels: names of the classes.
        edges, values: borders between the bins, and the mean of the training targets in each.
    """

    kind: Literal["value", "class", "bins"]
    columns: tuple[str, ...]
    horizons: tuple[int, ...]
    aggregate: Literal["value", "mean"] = "value"
    means: tuple[float, ...] = ()
    stds: tuple[float, ...] = ()
    units: tuple[str | None, ...] = ()
    quantiles: tuple[float, ...] = ()
    labels: tuple[str | int, ...] = ()
    edges: tuple[float, ...] = ()
    values: tuple[float, ...] = ()
    logs: tuple[Log | None, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Of every column and horizon, in the order of the outputs: ``power``, or ``power@15`` of several horizons."""
        several = len(self.horizons) > 1
        return tuple(f"{column}@{ahead}" if several else column for column, ahead in self.pairs)

    @property
    def pairs(self) -> tuple[tuple[str, int], ...]:
        """(column, horizon) of every value, in the order of the outputs."""
        return tuple(product(self.columns, self.horizons))

    @property
    def outputs(self) -> int:
        """How many numbers the model gives at every position."""
        if self.kind == "value":
            return len(self.pairs) * max(1, len(self.quantiles))
        return len(self.labels) if self.kind == "class" else len(self.values)

    def scaled(self, values: np.ndarray) -> np.ndarray:
        """(…, K) values of every column and horizon as the model tells them."""
        means, stds = self._figures(1)
        return (logged(values, self.logs_of(1)) - means) / stds

    def unscaled(self, outputs: np.ndarray) -> np.ndarray:
        """(…, K) or, of Q quantiles, (…, K·Q) outputs in the columns' own units."""
        levels = max(1, len(self.quantiles))
        means, stds = self._figures(levels)
        return unlogged(outputs * stds + means, self.logs_of(levels))

    def _figures(self, levels: int) -> tuple[np.ndarray, np.ndarray]:
        pairs = len(self.pairs)
        found = (self.means or (0.0,) * pairs, self.stds or (1.0,) * pairs)
        return tuple(np.repeat(np.array(each), levels) for each in found)  # pyright: ignore[reportReturnType]

    def logs_of(self, levels: int) -> tuple[Log | None, ...]:
        """The logarithm of every output, in their order, of so many quantiles each."""
        by_column = self.logs or (None,) * len(self.columns)
        return tuple(log for log in by_column for _ in range(len(self.horizons) * levels))


@dataclass(frozen=True)
class Notation:
    """How numbers, times and missing values are written in a table's text.

    Args:
        decimal: the mark before decimals.
        thousands: the mark between groups of three digits; a blank stands for blanks of every kind. None: there is
            none.
        time_format: of times that are text, as ``datetime.strptime`` takes it. None: ISO 8601, or day, month and year.
        day_first: whether 03/04/2024 is in April. None: told by a day above 12, or by dots (03.04.2024).
        encoding: of the file's text.
        missing_values: more spellings of a missing value, and numbers that stand for one.
    """

    decimal: str = "."
    thousands: str | None = None
    time_format: str | None = None
    day_first: bool | None = None
    encoding: str = "utf-8"
    missing_values: tuple[str, ...] = ()


PLAIN = Notation()
"""Decimal points, times in ISO 8601, UTF-8."""


@briefly
@dataclass(frozen=True)
class Schema:
    """What a model of table rows reads and forecasts.

    Args:
        inputs: the columns, in the order that the model reads them.
        target: what it forecasts.
        missing: what becomes of a row with a missing value: left out (``drop``), the last value of its stream
            repeated (``hold``), or refused (``error``).
        stream, time: the columns that told streams and times apart; None: there were none.
        step: seconds between rows, where they were regular.
        max_gap: seconds between rows beyond which there is a gap; None: there never is.
        gaps: what a gap does: nothing (``join``), a stream begins anew (``split``), or it is refused (``error``).
        notation: how the table's text was written, for whoever reads such a table again.
    """

    inputs: tuple[Column, ...]
    target: Target
    missing: Missing = "drop"
    stream: str | None = None
    time: str | None = None
    step: float | None = None
    max_gap: float | None = None
    gaps: Gaps = "join"
    notation: Notation = PLAIN

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.inputs]

    @property
    def static(self) -> tuple[str, ...]:
        """Names of the columns that do not change along a stream."""
        return tuple(column.name for column in self.inputs if column.static)

    @property
    def categories(self) -> dict[str, tuple[str | int, ...]]:
        """Known values of the columns that are categories, by name."""
        return {column.name: column.categories for column in self.inputs if column.categories}

    def scaled(self, rows: np.ndarray) -> np.ndarray:
        """(…, F) values of the inputs as the model reads them; not a number where a logarithm is not known."""
        return (logged(rows, self.logs) - self._means) / self._stds

    def unscaled(self, inputs: np.ndarray) -> np.ndarray:
        """(…, F) values in the columns' own units, of what the model reads."""
        return unlogged(inputs * self._stds + self._means, self.logs)

    @functools.cached_property
    def logs(self) -> tuple[Log | None, ...]:
        """Of every input, the logarithm that is taken first."""
        return tuple(column.log for column in self.inputs)

    @functools.cached_property
    def _means(self) -> np.ndarray:
        return np.array([column.mean for column in self.inputs])

    @functools.cached_property
    def _stds(self) -> np.ndarray:
        return np.array([column.std for column in self.inputs])

    def record(self) -> dict[str, Any]:
        """As JSON; `from_record` reads it."""
        return asdict(self)


def from_record(record: Any, where: str) -> Schema:
    """The schema that `Schema.record` wrote.

    Args:
        where: it stands, for the message.

    Raises:
        InputError: it is none, or its figures do not belong together.
    """
    try:
        schema = _CONVERTER.structure(record, Schema)
    except Exception as error:  # cattrs raises groups of whatever the fields' types raise
        raise _wrong(where, _reasons(error)) from None
    target, values = schema.target, len(schema.target.pairs)
    figures = [*(c.mean for c in schema.inputs), *target.means, *target.edges, *target.values, *target.quantiles]
    spreads = [*(c.std for c in schema.inputs), *target.stds]
    if not schema.inputs or len(set(schema.names)) < len(schema.names) or not values:
        raise _wrong(where, "inputs and target need columns of different names")
    if not np.isfinite([*figures, *spreads]).all() or not all(spread > 0 for spread in spreads):
        raise _wrong(where, "a mean that is no number, or a standard deviation that is not above 0")
    for column in schema.inputs:
        if column.categories and (
            len(column.codes) < len(column.categories) or (column.mean, column.std, column.log) != (0.0, 1.0, None)
        ):
            raise _wrong(where, f"the category {column.name!r} with a value twice, or scaled")
    if target.kind == "value" and not len(target.means) == len(target.stds) == values:
        raise _wrong(where, f"{values} values, {len(target.means)} means and {len(target.stds)} standard deviations")
    if target.logs and len(target.logs) != len(target.columns):
        raise _wrong(where, f"{len(target.columns)} target columns and {len(target.logs)} logarithms")
    if target.kind == "bins" and len(target.values) != len(target.edges) + 1:
        raise _wrong(where, f"{len(target.edges)} borders and {len(target.values)} bins")
    if target.kind == "class" and not target.labels:
        raise _wrong(where, "no labels of classes")
    return schema


def logged(values: np.ndarray, logs: Sequence[Log | None]) -> np.ndarray:
    """(…, K) values with the logarithms of K columns taken; not a number where there is none."""
    if not any(logs):
        return values
    found = np.array(values, np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        for k, log in enumerate(logs):
            if log is not None:
                taken = (np.log if log == "log" else np.log1p)(found[..., k])
                found[..., k] = np.where(np.isfinite(taken), taken, np.nan)
    return found


def unlogged(values: np.ndarray, logs: Sequence[Log | None]) -> np.ndarray:
    """What `logged` was made of, (…, K); infinite where float64 does not hold it."""
    if not any(logs):
        return values
    found = np.array(values, np.float64)
    with np.errstate(over="ignore"):
        for k, log in enumerate(logs):
            if log is not None:
                found[..., k] = (np.exp if log == "log" else np.expm1)(found[..., k])
    return found


def unit_of(name: str, units: Mapping[str, str] | None) -> str | None:
    """The unit of a column: what was said, or what stands in brackets behind its name, ``power [kW]``."""
    if units and name in units:
        return units[name]
    found = _IN_BRACKETS.fullmatch(name)
    return found[1] if found else None


def quantity_of(name: str) -> str:
    """What a column is of, without the unit in brackets behind its name."""
    return name[: name.rindex(_OPENING[name.rstrip()[-1]])].strip() if _IN_BRACKETS.fullmatch(name) else name.strip()


def _reasons(error: BaseException) -> str:
    """What was wrong, without the groups that it came in."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


def _wrong(where: str, why: str) -> InputError:
    return InputError(
        f"{where}, whose schema of inputs and outputs cannot be used ({why})",
        "a schema as outlast saved it",
        "restore the file, or save the model again",
    )


def _label(value: Any, _: Any) -> str | int:
    if not isinstance(value, str | int):
        raise TypeError(f"a label {value!r}")
    return value


def _number(value: Any, _: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} where a number is due")
    return float(value)


_CONVERTER = cattrs.Converter(forbid_extra_keys=True)
_CONVERTER.register_structure_hook(str | int, _label)
_CONVERTER.register_structure_hook(float, _number)
