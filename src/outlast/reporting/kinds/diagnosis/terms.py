"""What the things of a diagnosis are called, in the language of its wording."""

from __future__ import annotations

from types import ModuleType

from outlast.reporting import terms
from outlast.reporting.numbers import integer
from outlast.results import Diagnosis, Evaluation

HOLDS = ("generalises", "robust")
"""Verdicts that leave nothing to explain where no cause is found."""


def called(measure: str, wording: ModuleType) -> str:
    return wording.MEASURES.get(measure, measure.replace("_", " "))


def measure(evaluation: Evaluation, wording: ModuleType) -> str:
    return called(evaluation.measure, wording)


def asked(result: Diagnosis, wording: ModuleType) -> str:
    """The measure that causes were asked in, with its unit."""
    if not result.asked_measure:
        return axis(result.evaluation, wording)
    name, own = called(result.asked_measure, wording), wording.UNITS.get(result.asked_unit, result.asked_unit)
    return terms.in_unit(name, "" if own == name else own)


def unit(evaluation: Evaluation, wording: ModuleType) -> str:
    own = terms.unit(evaluation)
    return wording.UNITS.get(own, own)


def axis(evaluation: Evaluation, wording: ModuleType) -> str:
    return terms.in_unit(measure(evaluation, wording), unit(evaluation, wording))


def reset(evaluation: Evaluation, name: str, wording: ModuleType) -> str:
    return wording.RESETS[name].format(every=integer(evaluation.resets[name].every))


def part(path: str, head: int | None) -> str:
    return path if head is None else f"{path} · head {head}"


def mark(evaluation: Evaluation, wording: ModuleType) -> tuple[float, str]:
    return float(evaluation.train_context), f"{wording.TRAIN_CONTEXT}: {integer(evaluation.train_context)}"


def tested(evaluation: Evaluation, wording: ModuleType) -> str:
    """How many pieces were measured, and into how many units intervals take them together."""
    pieces = wording.streams(integer(evaluation.oldest.n), terms.unit_of(evaluation))
    blocks = terms.blocks_in(evaluation)
    return wording.in_blocks(pieces, integer(blocks)) if blocks else pieces
