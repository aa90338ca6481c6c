"""Facts on how something was made and measured: the records of a result in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from outlast.data.first_lines import first_lines
from outlast.reporting.text_table import wrapped
from outlast.reporting.words import captions
from outlast.reporting.words.labels import labels
from outlast.reporting.words.language import Language, speaking, spoken, tell
from outlast.reporting.words.numbers import MINUS, integer

Facts = list[tuple[str, str]]


def about_model(model: dict[str, Any], version: str) -> Facts:
    facts = flat(labels.FACT_MODEL, model)
    return [*facts, ("outlast", version)] if version else facts


def taken(data: Mapping[str, Any]) -> Facts:
    """What was taken for granted when the data were read, from their record."""
    at = 1 if spoken() == "ja" else 0  # of pairs that stand beside what they tell of
    return [(line.about[at], line.taken[at]) for line in first_lines(data)]


def first_told(data: Mapping[str, Any], language: Language) -> str:
    """The same for a terminal, before the work begins: a line each, under where the data lie."""
    with speaking(language):
        lines = [wrapped(f"{about}: {said}", indent="  ") for about, said in taken(data)]
        return "\n".join([tell(f"data: {data.get('source', '')}", f"データ：{data.get('source', '')}"), *lines])


def flat(prefix: str, record: dict[str, Any]) -> Facts:
    """A record as facts; a record of plain values inside it becomes one fact."""
    facts: Facts = []
    for name, value in record.items():
        term = f"{prefix} · {str(name).replace('_', ' ')}"
        if name in ("losses", "rounds"):
            continue  # what is no setting
        if isinstance(value, dict) and any(isinstance(inner, dict) for inner in value.values()):
            facts += flat(term, value)
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
