"""What stands under figures and in tables: how to read them, and what they show for those who do not see them."""

from __future__ import annotations

from collections.abc import Sequence

from outlast.reporting import labels
from outlast.reporting.numbers import integer, number, span
from outlast.reporting.sentences import in_unit, level, measure_name, streams, unit, unit_of, with_unit
from outlast.results import AgeBand, Control, Evaluation, PositionBin, Repair, Short, ShortContext, StateRow


def age_hint(evaluation: Evaluation, lines: int, left_out: int, *, gaps: bool, log_loss: bool) -> str:
    """How to read the age curve."""
    judged = "the same targets" if evaluation.verdict is not None or evaluation.short is not None else "the same inputs"
    text = (
        f"Every point scores {judged}, predicted from a state of another age; lower is better. Left of the dashed line "
        f"are ages the model met in training. A healthy curve falls and then stays down; one that climbs to the right "
        f"of the line fails."
    )
    if evaluation.controls:
        text += " Horizontal lines: the base model when its state is reset, which needs no training."
    drawn = "Bands" if lines <= 3 else "Bands, and bars at the right end,"
    text += (
        f" {drawn} are 95\u00a0% intervals over {streams(evaluation.oldest.n, unit_of(evaluation))}. They are as wide "
        f"as these differ from one another; differences between ages are paired, and known more closely."
    )
    if gaps:
        text += " Along faint dotted stretches nothing was measured."
    if log_loss:
        text += " The loss axis is logarithmic."
    if left_out:
        text += f" {integer(left_out)} more are in the table only."
    return text


def position_hint(log_loss: bool) -> str:
    text = (
        "The streams read once from the beginning, from the zero state. Unlike the age curve, each point scores other "
        "targets, so a slope can also come from the data."
    )
    return text + " The loss axis is logarithmic." if log_loss else text


def state_hint(left_out: int, repaired: str | None) -> str:
    text = (
        "How large each part of the state is, and how much it differs between streams, by position. Growth past the "
        "dashed line is a hint, not a verdict: some models fail with a flat state, and some are healthy with a growing "
        "one."
    )
    if repaired:
        text += f" Both the base model and {repaired} are drawn."
    if left_out:
        text += f" The parts that change most are drawn; {integer(left_out)} more are left out."
    return text


def training_hint() -> str:
    return (
        "The objective on training windows, as it was recorded. It says nothing about ages past the training context."
    )


def interventions_note() -> str:
    return (
        f"Equal steps and data for each. {repair_note()} The winner was picked on validation streams, not on the "
        f"figures here."
    )


def outcome(repair: Repair) -> tuple[str, str, str]:
    """For a table: the word, the reason below it, the tone."""
    if repair.accepted:
        return labels.ACCEPTED, "", "good"
    why = repair.refused_because or ""
    return labels.REFUSED, labels.REFUSALS.get(why, why.replace("_", " ")), "bad"


def outcome_brief(repair: Repair) -> str:
    """For a narrow column."""
    why = (repair.refused_because or "").partition(" ")[0]
    return labels.ACCEPTED if repair.accepted else labels.REFUSALS_BRIEF.get(why, labels.REFUSED)


def allowed(size: str) -> str:
    return f"allowed {size}"


def steps(count: int) -> str:
    return f"{integer(count)} steps"


def cost(text: str) -> str:
    """What a failing point of the contract costs, as a sentence of its own."""
    return f"What it costs: {text}."


def entries(count: int) -> str:
    return f"{integer(count)} entries"


def repair_note() -> str:
    return (
        "Negative differences are better. A repair is accepted when short contexts hold and, at the oldest age, it is "
        "clearly below both the base model and the base model under its best periodic reset; overlapping resets cost "
        "twice as much to run and are shown for comparison."
    )


def curve_description(name: str, points: list[tuple[str, float]], unit: str) -> str:
    """A curve in words, for those who do not see it."""
    best = min(points, key=lambda point: point[1])
    first, last = points[0], points[-1]
    if len(points) == 1:
        return f"{name}: {with_unit(number(first[1]), unit)} at {first[0]}."
    return (
        f"{name}: {with_unit(number(first[1]), unit)} at {first[0]}, lowest {number(best[1])} at {best[0]}, "
        f"{number(last[1])} at {last[0]}."
    )


def control_label(key: str, control: Control) -> str:
    name = {"periodic_reset": labels.PERIODIC_RESET, "overlapping_reset": labels.OVERLAPPING_RESET}.get(
        key, key.replace("_", " ")
    )
    return f"{name}, every {integer(control.every)}"


def end_label(name: str, loss: float, others: Sequence[str] = ()) -> str:
    """What stands at the end of a line: the loss and the name, without its settings where no other has that name."""
    brief = name.partition("(")[0]
    if sum(other.partition("(")[0] == brief for other in others) > 1:
        brief = name
    if len(brief) > 18:
        # The end of a name often tells settings apart, its beginning says what it is.
        brief = f"{brief[:8]}…{brief[-9:]}"
    return f"{number(loss)}  {brief}"


def at_age(band: AgeBand) -> str:
    return f"age {span(*band.age)}"


def at_position(place: PositionBin) -> str:
    return f"position {span(place.start, place.end)}"


def at_step(step: int) -> str:
    return f"step {integer(step)}"


def state_description(name: str, rows: list[StateRow]) -> str:
    """How one part of the state grows, for those who do not see it."""
    first, last = rows[0], rows[-1]
    return (
        f"{name}, {first.part}: size {number(first.norm, 3)} at position {integer(first.position)}, "
        f"{number(last.norm, 3)} at position {integer(last.position)}."
    )


def short_description(short: Short, unit: str) -> str:
    bands = " and ".join(dict.fromkeys(span(*band) for band in short.bands))
    return f"{level(short.loss, unit)}, best of ages {bands}"


def worst_band(short: ShortContext, unit: str) -> str:
    return f"age {span(*short.worst_band)}: {with_unit(number(short.worst_difference, 2, signed=True), unit)}"


def table_legend(base: Evaluation) -> str:
    """What the columns of the terminal table of repairs mean."""
    measure = in_unit(measure_name(base.measure), unit(base))
    return (
        f"{measure}. short: change within the training context. Negative differences are better; the best rival is the "
        f"base model, or the base model under its best periodic reset. Intervals are 95\u00a0%, over "
        f"{streams(base.oldest.n, unit_of(base))}."
    )
