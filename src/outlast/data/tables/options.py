"""What a table is to be read as: options that fit together, or what a model's schema says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from outlast.data.tables.columns import Known, listed, told_categories
from outlast.data.tables.scales import Scaling, scaling_of
from outlast.durations import seconds_of
from outlast.errors import InputError, unknown_name
from outlast.schema import Schema

CHOICES = {
    "aggregate": ("value", "mean"),
    "target_kind": ("value", "class"),
    "missing": ("drop", "hold", "error"),
    "gaps": ("split", "join", "error"),
    "order": ("time", "file", "newest-first"),
}
DEFAULTS: dict[str, Any] = {
    "horizon": (1,),
    "aggregate": "value",
    "target_kind": "value",
    "missing": "drop",
    "quantiles": (),
    "leave_out": (),
}

MOST_BINS = 2**16
"""Classes that a target is divided into at most: with more, hardly any would have rows."""
_EXAMPLES: dict[str, list[float]] = {"horizon": [1, 15, 60], "quantiles": [0.1, 0.5, 0.9]}


@dataclass(frozen=True)
class TableOptions:
    """How a table is read; the arguments of `Streams.from_table` after all is said.

    Args:
        schema: what a model was trained on: inputs, target and figures are then its own.
        classes: labels of a class target in the order of the outputs; empty: sorted.
        category: inputs that are categories, with the values that were listed for them.
        static: inputs that do not change along a stream.
        assumed: options that nobody gave, so that their default holds.
        order: ``time``, ``file`` or ``newest-first``; None: told by the times, where they tell it.
    """

    inputs: tuple[str, ...] | None
    target: tuple[str, ...]
    horizons: tuple[int, ...]
    aggregate: str
    target_kind: str
    bins: int | None
    quantiles: tuple[float, ...]
    stream: str | None
    time: str | None
    weight: str | None
    scaling: Scaling
    missing: str
    units: Mapping[str, str] | None
    leave_out: tuple[str, ...]
    gaps: str | None
    max_gap: float | None
    schema: Schema | None
    category: Mapping[str, Known] = field(default_factory=dict)
    static: tuple[str, ...] = ()
    assumed: frozenset[str] = frozenset()
    order: str | None = None
    classes: Known = ()

    @property
    def named(self) -> list[str]:
        """Columns other than the inputs that are read."""
        others = (*self.static, self.stream, self.time, self.weight)
        return list(dict.fromkeys([*self.target, *self.category, *(name for name in others if name is not None)]))

    @property
    def no_inputs(self) -> set[str]:
        """Columns that are never inputs: those that tell rows apart or weigh them, labels, and the target of now."""
        found = {name for name in (self.stream, self.weight) if name is not None} - set(self.category)
        return found | (set(self.target) if self.target_kind == "class" or 0 in self.horizons else set())


def table_options(schema: Schema | None, **given: Any) -> TableOptions:
    """Options from those that were given (not None), with defaults for the others, or with what a schema says.

    Raises:
        InputError: options that are unknown, that do not fit together, or that a schema contradicts.
    """
    told = {name: value for name, value in given.items() if value is not None}
    for name in ("target", "horizon", "quantiles", "inputs", "leave_out"):
        if name in told:
            told[name] = several(name, told[name])
    if "category" in told:
        told["category"] = told_categories(told["category"])
    if "inputs" in told:
        told["inputs"] = tuple(dict.fromkeys([*told["inputs"], *told.get("static", ()), *told.get("category", ())]))
    if isinstance(told.get("max_gap"), str):
        told = {**told, "max_gap": seconds_of(told["max_gap"], "max_gap")}
    if "classes" in told:
        told = {"target_kind": "class", **told, "classes": _told_classes(told["classes"])}
    if schema is not None:
        told = _by_schema(told, schema)
    _clocked(told)
    assumed = frozenset(DEFAULTS) - set(told)
    told = {**DEFAULTS, **told}
    for option, known in CHOICES.items():
        if option in told and told[option] not in known:
            raise unknown_name(option, str(told[option]), known)
    options = TableOptions(
        inputs=told.get("inputs"),
        target=told.get("target", ()),
        horizons=told["horizon"],
        aggregate=told["aggregate"],
        target_kind=told["target_kind"],
        bins=told.get("bins"),
        quantiles=told["quantiles"],
        stream=told.get("stream"),
        time=told.get("time"),
        weight=told.get("weight"),
        scaling=scaling_of(told.get("scale"), told.get("target_scale"), told.get("log")),
        missing=told["missing"],
        units=told.get("units"),
        leave_out=told["leave_out"],
        gaps=told.get("gaps"),
        max_gap=told.get("max_gap"),
        schema=schema,
        category=told.get("category", {}),
        static=told.get("static", ()),
        assumed=assumed,
        order=told.get("order"),
        classes=told.get("classes", ()),
    )
    _fitting(options)
    return options


def timed(options: TableOptions, time: str | None) -> TableOptions:
    """The options with the column that says when rows were, and what then becomes of gaps.

    Raises:
        InputError: something was said of gaps, and nothing says when rows were.
    """
    said = next((name for name in ("gaps", "max_gap") if getattr(options, name) is not None), None)
    if time is None and said is not None:
        raise InputError(
            f"{said} {getattr(options, said)!r} without a time column",
            "a column that says when each row was",
            "name it: --time",
        )
    return replace(options, time=time, gaps=options.gaps or ("join" if time is None else "split"))


def several(name: str, value: Any) -> tuple[Any, ...]:
    """One value or several, as a tuple of them; 60.0 rows ahead are 60. None: none."""
    if value is None:
        return ()
    wanted = {"horizon": "whole numbers of rows", "quantiles": "numbers between 0 and 1"}.get(name, "names of columns")
    kind: Any = {"horizon": (int, float, np.integer), "quantiles": (int, float, np.floating)}.get(name, str)
    found = tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else (value,)
    good = all(isinstance(each, kind) and not isinstance(each, bool) for each in found)
    if good and name == "horizon":
        good = all(float(each).is_integer() for each in found)
        found = tuple(int(each) for each in found) if good else found
    if not good or len(set(found)) < len(found):
        do = "name each once" if good else f"for example {name}={_EXAMPLES.get(name, ['power'])}"
        raise InputError(f"{name} {value!r}", f"one or more different {wanted}", do)
    return found


def _told_classes(given: Any) -> Known:
    """Labels in the order of the outputs, as they were given."""
    found = listed(given)
    if not found or len(found) < 2:
        raise InputError(
            f"classes {given!r}",
            "two or more labels, each once, in the order of the model's outputs: texts or whole numbers",
            "for example classes=['idle', 'run', 'off']",
        )
    return found


def _by_schema(told: dict[str, Any], schema: Schema) -> dict[str, Any]:
    """What was told, with what the schema says; what contradicts it is refused by name."""
    target = schema.target
    numbers = tuple(name for name in schema.names if name not in schema.categories)
    everything = target.kind == "value" and target.columns == numbers
    says = {
        "inputs": tuple(schema.names),
        "target": target.columns,
        "horizon": target.horizons,
        "aggregate": target.aggregate,
        "target_kind": "class" if target.kind == "class" else "value",
        "bins": len(target.values) if target.kind == "bins" else None,
        "quantiles": target.quantiles,
    }
    says["static"] = tuple(sorted(schema.static))
    says["classes"] = tuple(map(str, target.labels)) or None
    told |= {"classes": tuple(map(str, told["classes"]))} if "classes" in told else {}
    told |= {"static": tuple(sorted(told["static"]))} if "static" in told else {}
    for name, value in says.items():
        if name in told and told[name] != value:
            raise InputError(
                f"{name} {_as_typed(told[name])} for a model that was trained with {name} {_as_typed(value)}",
                "what the model was trained to read and to forecast",
                f"leave {name} out: the model's directory says it",
            )
    _refuse_other_codes(told, schema)
    for name in ("scale", "target_scale", "log"):
        if name in told and not (name == "scale" and told[name] in ("standard", ("standard",), ["standard"])):
            raise InputError(
                f"{name} {told[name]!r} for a model that carries its own scaling",
                "the figures that it was trained with",
                f"leave {name} out: the model's directory says it",
            )
    told.pop("scale", None)
    own = {name: value for name in ("stream", "time") if (value := getattr(schema, name)) is not None}
    if told.get("time", schema.time) is not None:
        own |= {"gaps": schema.gaps} | ({} if schema.max_gap is None else {"max_gap": schema.max_gap})
        if told.get("gaps", schema.gaps) == "join":
            own.pop("max_gap", None)
    says |= {"category": schema.categories, "target": () if everything else target.columns}
    return {**own, "missing": schema.missing, **told, **says}


def _refuse_other_codes(told: Mapping[str, Any], schema: Schema) -> None:
    """Refuse categories that are not those of a schema, or with other codes."""
    kept = schema.categories
    asked = {name: tuple(map(str, known or kept.get(name, ()))) for name, known in told.get("category", kept).items()}
    if asked != {name: tuple(map(str, known)) for name, known in kept.items()}:
        raise InputError(
            f"category {_as_typed(tuple(asked))} for a model that was trained with category "
            f"{_as_typed(tuple(kept)) or 'none'}, and its own codes",
            "what the model was trained to read",
            "leave category out: the model's directory says it",
        )


def _as_typed(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _clocked(told: Mapping[str, Any]) -> None:
    """Refuse what is said of gaps and says nothing."""
    limit = told.get("max_gap")
    if limit is None:
        return
    number = isinstance(limit, int | float | np.number) and not isinstance(limit, bool)
    if not number or not 0 < limit < float("inf"):
        raise InputError(f"max_gap {limit!r}", "seconds, more than 0", "for example max_gap=3600, or '1h'")
    if told.get("gaps") == "join":
        raise InputError("max_gap with gaps 'join'", "gaps that are joined, or a longest one", "leave one of them out")


def _fitting(options: TableOptions) -> None:
    """Refuse options that do not fit together: first what is said of the target, then of other columns."""
    classes = options.target_kind == "class" or options.bins is not None
    if not options.target and (options.aggregate != "value" or classes):
        raise InputError("aggregate, target_kind or bins without a target", "a target column", "name it with target=")
    if classes and options.scaling.target is not None:
        raise InputError(
            "target_scale with classes", "values, which have a scale", "leave target_scale out, or forecast values"
        )
    if options.classes and options.target_kind != "class":
        raise InputError("classes with target_kind 'value'", "labels, which are classes", "leave one of them out")
    if options.target_kind == "class" and (options.aggregate != "value" or options.bins is not None):
        raise InputError(
            "target_kind 'class' with aggregate 'mean' or bins", "class labels as they are", "leave the other out"
        )
    if classes and (len(options.target) > 1 or len(options.horizons) > 1 or options.quantiles):
        raise InputError(
            f"classes with {len(options.target)} targets, {len(options.horizons)} horizons and "
            f"{len(options.quantiles)} quantiles",
            "classes of one column at one horizon, or values of several",
            "leave bins and target_kind out to forecast values, or choose one target and one horizon",
        )
    if options.bins is not None and not 2 <= options.bins <= MOST_BINS:
        raise InputError(f"{options.bins} bins", f"at least 2, at most {MOST_BINS:,}", "choose 32, for example")
    if not all(0 < level < 1 for level in options.quantiles) or list(options.quantiles) != sorted(options.quantiles):
        raise InputError(
            f"quantiles {_as_typed(options.quantiles)}",
            "numbers between 0 and 1, ascending",
            "for example 0.1 0.5 0.9",
        )
    least = 1 if not options.target or options.aggregate == "mean" else 0
    if not options.horizons or min(options.horizons) < least:
        given = _as_typed(options.horizons)
        raise InputError(
            f"a horizon of {given} rows",
            f"at least {least} here",
            "choose how far ahead to predict, for example horizon=1",
        )
    _columns_fit(options)


def _columns_fit(options: TableOptions) -> None:
    """Refuse columns that are said to be two things at once."""
    unfit = [name for name in options.category if name in {*options.target, *options.no_inputs, options.time}]
    if unfit:
        raise InputError(
            f"category {_as_typed(tuple(options.category))}",
            "columns that are read as inputs, none of them the target, the weight or the time",
            f"take {unfit[0]!r} out of one of the two"
            + ("; a target of labels is target_kind='class'" if unfit[0] in options.target else ""),
        )
    rules, logs = options.scaling.inputs.columns, options.scaling.logs
    scaled = [name for name in options.category if name in logs or (name in rules and rules[name].word != "none")]
    if scaled:
        raise InputError(
            f"scale of {scaled[0]!r}, which is a category",
            "scaling of columns that hold sizes: codes are read as they are",
            f"take {scaled[0]!r} out of scale or log, or out of category",
        )
    odd = [name for name in options.static if name in {*options.target, *options.no_inputs, options.time}]
    if odd:
        raise InputError(
            f"static {_as_typed(options.static)}",
            "columns that are read as inputs, none of them the target, the weight or the time, nor the stream but as a "
            "category",
            f"take {odd[0]!r} out of one of the two",
        )
    elsewhere = {*(options.inputs or ()), *options.category, *options.no_inputs, options.time}
    both = [name for name in options.leave_out if name in elsewhere]
    if both:
        raise InputError(
            f"leave_out {_as_typed(options.leave_out)}",
            "columns that would be inputs, and are not named elsewhere",
            f"take {both[0]!r} out of one of the two",
        )
