"""What the things of a diagnosis are called, in the language of its words."""

from __future__ import annotations

from types import ModuleType

from outlast.reporting import terms
from outlast.reporting.numbers import integer
from outlast.results import Diagnosis, Evaluation


def called(measure: str, words: ModuleType) -> str:
    return words.MEASURES.get(measure, measure.replace("_", " "))


def measure(evaluation: Evaluation, words: ModuleType) -> str:
    return called(evaluation.measure, words)


def asked(result: Diagnosis, words: ModuleType) -> str:
    """The measure that causes were asked in, with its unit."""
    if not result.asked_measure:
        return axis(result.evaluation, words)
    name, own = called(result.asked_measure, words), words.UNITS.get(result.asked_unit, result.asked_unit)
    return terms.in_unit(name, "" if own == name else own)


def unit(evaluation: Evaluation, words: ModuleType) -> str:
    own = terms.unit(evaluation)
    return words.UNITS.get(own, own)


def axis(evaluation: Evaluation, words: ModuleType) -> str:
    return terms.in_unit(measure(evaluation, words), unit(evaluation, words))


def reset(evaluation: Evaluation, name: str, words: ModuleType) -> str:
    return words.RESETS[name].format(every=integer(evaluation.resets[name].every))


def part(path: str, head: int | None) -> str:
    return path if head is None else f"{path} · head {head}"


def mark(evaluation: Evaluation, words: ModuleType) -> tuple[float, str]:
    return float(evaluation.train_context), f"{words.TRAIN_CONTEXT}: {integer(evaluation.train_context)}"


def tested(evaluation: Evaluation, words: ModuleType) -> str:
    """How many pieces were measured, and into how many units intervals take them together."""
    pieces = words.streams(integer(evaluation.oldest.n), terms.unit_of(evaluation))
    blocks = terms.blocks_in(evaluation)
    return words.in_blocks(pieces, integer(blocks)) if blocks else pieces
