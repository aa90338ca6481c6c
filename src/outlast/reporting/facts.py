"""Facts on how something was made and measured: the records of a result in words."""

from __future__ import annotations

from typing import Any

from outlast.reporting import captions, labels, refusals, terms
from outlast.reporting.numbers import MINUS, duration, integer, number
from outlast.results import CheckReport, Comparison, Evaluation, Repair, Result, Training

Facts = list[tuple[str, str]]


def facts_of(result: Result) -> Facts:
    """Everything that says how the figures of a result came about."""
    match result:
        case Evaluation():
            return _evaluation(result)
        case Repair() if terms.untouched(result):
            return _evaluation(result.before)
        case Repair():
            return [*_evaluation(result.before), *_repair(result)]
        case Comparison():
            return _comparison(result)
        case CheckReport():
            return _model(result.model, result.outlast)
        case Training():
            return [
                *_model(result.model, result.outlast),
                *_flat(labels.FACT_DATA, result.data),
                *_flat(labels.FACT_SETTING, result.settings),
                (labels.FACT_TIME, duration(result.seconds)),
            ]
    return _evaluation(result.evaluation)


def _model(model: dict[str, Any], version: str) -> Facts:
    facts = _flat(labels.FACT_MODEL, model)
    return [*facts, ("outlast", version)] if version else facts


def _evaluation(evaluation: Evaluation) -> Facts:
    verdict, unit = evaluation.verdict, terms.unit(evaluation)
    facts = [
        *_model(evaluation.model, evaluation.outlast),
        *_flat(labels.FACT_DATA, evaluation.data),
        *_flat(labels.FACT_SETTING, evaluation.settings),
    ]
    if blocks := terms.blocks_in(evaluation):
        facts.append((labels.FACT_UNITS, captions.units(blocks, evaluation)))
    if verdict is not None:
        facts.append((labels.FACT_TOLERANCE, terms.with_unit(number(verdict.tolerance, 2), unit)))
    if evaluation.short is not None:
        facts.append((labels.FACT_SHORT, captions.short_description(evaluation.short, unit)))
    return [*facts, (labels.FACT_TIME, duration(evaluation.seconds))]


def _repair(repair: Repair) -> Facts:
    short = repair.short_context
    return [
        *_flat(labels.FACT_INTERVENTION, repair.intervention),
        *_flat(labels.FACT_TRAINING, repair.training),
        (labels.FACT_DOSE, f"{repair.dose:g}"),
        (labels.FACT_SHORT_AGES, captions.ages_weighed(short.ages)),
        (labels.FACT_WORST, refusals.worst_band(short, repair.before)),
        (labels.FACT_BY_BANDS, captions.by_bands(*refusals.by_bands_change(short, repair.before))),
    ]


def _comparison(comparison: Comparison) -> Facts:
    facts = _evaluation(comparison.base)
    row = terms.picked_row(comparison)
    if row is None:
        return facts
    return [*facts, (labels.FACT_PICKED, row.name), *_repair(row.repair)]


def _flat(prefix: str, record: dict[str, Any]) -> Facts:
    """A record as facts; a record of plain values inside it becomes one fact."""
    facts: Facts = []
    for name, value in record.items():
        term = f"{prefix} · {str(name).replace('_', ' ')}"
        if name in ("command", "losses"):
            continue  # the command comes back under "what to do next"; a loss by step is no setting
        if isinstance(value, dict) and any(isinstance(inner, dict) for inner in value.values()):
            facts += _flat(term, value)
        elif isinstance(value, dict):
            inner = (f"{str(key).replace('_', ' ')} {_fact(each)}" for key, each in value.items())
            facts.append((term, ", ".join(inner) or "–"))
        elif name in ("seed", "hash"):
            facts.append((term, str(value)))
        else:
            facts.append((term, _fact(value)))
    return facts


def _fact(value: Any) -> str:
    """A plain value in words; a long list is counted."""
    match value:
        case None:
            return "–"
        case bool():
            return labels.YES if value else labels.NO
        case int():
            return integer(value)
        case float():
            return f"{value:g}".replace("-", MINUS)
        case list() | tuple() if len(value) > 12:
            return captions.entries(len(value))
        case list() | tuple():
            return ", ".join(map(_fact, value)) or "–"
        case _:
            return str(value)
