"""What the things of a result are called, and numbers with their units."""

from __future__ import annotations

import re
from typing import Any

from outlast.reporting import labels
from outlast.reporting.numbers import MINUS, NO_BREAK, integer, number, span
from outlast.results import AgeBand, CompareRow, Comparison, Evaluation, Repair


def measure_name(measure: str) -> str:
    """The measure as a noun: "cross-entropy"."""
    return labels.MEASURES.get(measure, measure.replace("_", " "))


def unit(evaluation: Evaluation) -> str:
    """The unit of the measure; empty where it only repeats the measure's name, as for an error rate."""
    return "" if evaluation.unit == measure_name(evaluation.measure) else evaluation.unit


def with_unit(text: str, unit: str) -> str:
    """A number and its unit, kept on one line."""
    return f"{text}{NO_BREAK}{unit}" if unit else text


def level(loss: float, unit: str) -> str:
    """A loss with its unit."""
    return with_unit(number(loss), unit)


def in_unit(name: str, unit: str) -> str:
    """A heading for numbers: "excess (nats)"."""
    return f"{name} ({unit})" if unit else name


def streams(count: int, unit: str) -> str:
    """ "63 streams", "1 segment of one recording"."""
    head, _, tail = unit.partition(" ")
    plural = head if count == 1 else f"{head}s"
    return " ".join(filter(None, (integer(count), plural, tail)))


def unit_of(evaluation: Evaluation) -> str:
    """What one of the pieces that were measured is called."""
    return str(evaluation.data.get("unit", "stream"))


def shorter(evaluation: Evaluation) -> tuple[int, int] | None:
    """Positions of a stream that were asked for and that were used, where these are fewer."""
    asked, used = (evaluation.data.get(name) for name in ("length_asked", "length_used"))
    return (asked, used) if isinstance(asked, int) and isinstance(used, int) and used < asked else None


def blocks_in(evaluation: Evaluation) -> int:
    """How many units an interval rests on where neighbouring pieces are taken together; 0 where each is one."""
    count = len(set(evaluation.blocks))
    return count if count < len(evaluation.blocks) else 0


def over(evaluation: Evaluation) -> str:
    """What intervals are over: "63 streams", "63 segments of one recording in 16 blocks"."""
    pieces, blocks = streams(evaluation.oldest.n, unit_of(evaluation)), blocks_in(evaluation)
    return f"{pieces} in {integer(blocks)} blocks" if blocks else pieces


def repair_label(repair: Repair) -> str:
    """The intervention as its author would write it: "carry(expected_run=1280)"."""
    return str(repair.intervention.get("label") or repair.intervention.get("name") or "the repair")


def row_label(row: CompareRow, rows: list[CompareRow]) -> str:
    """The row's intervention; its name where two rows carry the same label."""
    label = repair_label(row.repair)
    return label if sum(repair_label(other.repair) == label for other in rows) == 1 else row.name


def picked_row(comparison: Comparison) -> CompareRow | None:
    """The winner; where there is none, the row that validation picked and the test streams refused."""
    name = comparison.winner or comparison.picked
    return next((row for row in comparison.rows if row.name == name), None)


def untouched(result: Repair | Comparison) -> bool:
    """Whether nothing was done, because there was nothing to repair or the base is broken."""
    return result.refused_because is not None and result.refused_because.untouched


def model_name(model: dict[str, Any]) -> str:
    """What to call a model, from what a result says of it."""
    blueprint = model.get("blueprint")
    family = blueprint.get("family") if isinstance(blueprint, dict) else None
    names = [model.get("name"), family, model.get("class")]
    # A repair calls its models by what they are to it, which says nothing about which model it was.
    return str(next((name for name in names if name and name not in ("base", "model")), names[0] or "model"))


def oldest_age(band: AgeBand) -> str:
    return f"at the oldest age tested ({span(*band.age)} positions)"


def ages(band: tuple[int, int]) -> str:
    """ "age 0", "ages 32 to 63"."""
    return f"age{'' if band[1] - band[0] <= 1 else 's'} {span(*band)}"


def rival(name: str) -> str:
    return labels.RIVALS.get(name, name.replace("_", " "))


def guess(name: str) -> str:
    return labels.GUESSES.get(name, name.replace("_", " "))


def reset(name: str, every: int) -> str:
    """ "periodic reset, every 64"."""
    return f"{labels.RESETS.get(name, name.replace('_', ' '))}, every {integer(every)}"


def broken(because: list[str]) -> str:
    """The headline of a broken model, with the first of its reasons."""
    return labels.BROKEN.format(typographic(because[0]))


def typographic(text: str) -> str:
    """The text with true minus signs before numbers."""
    return re.sub(r"(?<![\w-])-(?=\d)", MINUS, text)


def reason(text: str) -> str:
    """A reason of a verdict or a refusal as a sentence, with typographic minus signs."""
    text = typographic(text.strip())
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith(".") else ".")
