"""What stands under figures and in tables: how to read them, and what they show for those who do not see them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from outlast.reporting import labels, refusals, terms
from outlast.reporting.numbers import integer, number, span
from outlast.reporting.terms import in_unit, level, measure_name, over, streams, unit, unit_of, with_unit
from outlast.results import Evaluation, PositionBin, RecoveryBand, Repair, Short, StateRow

Write = Callable[[float], str]
"""How the numbers of a figure are written."""
GAPS = "Along faint dotted stretches nothing was measured."
HOLLOW = "Hollow marks belong to repairs that are refused."
_YOUNG = "Left of the dashed line are ages the model met in training."


def blocks_note(evaluation: Evaluation) -> str:
    """That neighbouring segments are one unit, where they are."""
    blocks = terms.blocks_in(evaluation)
    if not blocks:
        return ""
    return (
        f"Neighbouring ones resemble each other and are taken together into {integer(blocks)} blocks, which are the "
        f"units of the intervals."
    )


def shorter(evaluation: Evaluation) -> str:
    """That streams were read less far than --max-length asked for, where they were."""
    lengths = terms.shorter(evaluation)
    if lengths is None:
        return ""
    asked, used = map(integer, lengths)
    pieces = streams(evaluation.oldest.n, unit_of(evaluation))
    return f"{used} positions of each stream were read, not the {asked} asked for: {pieces} are no longer than that."


def summary_units(pieces: str, note: str) -> str:
    return f"Intervals are over {pieces}. {note}"


def units(blocks: int, evaluation: Evaluation) -> str:
    return f"{integer(blocks)} blocks of neighbouring ones among {streams(evaluation.oldest.n, unit_of(evaluation))}"


def _intervals(evaluation: Evaluation, lines: int, together: str = "ages") -> str:
    drawn = "Bands" if lines <= 3 else "Bands, and bars at the right end,"
    pieces = streams(evaluation.oldest.n, unit_of(evaluation))
    text = f"{drawn} are 95\u00a0% intervals over {pieces}, for all {together} together."
    return _joined(text, blocks_note(evaluation))


def _left_out(count: int) -> str:
    return f"{integer(count)} more are in the table only." if count else ""


def _joined(*sentences: str) -> str:
    return " ".join(filter(None, sentences))


def logarithmic(linear_within: float | None) -> str:
    """How an axis is read that is not even."""
    if linear_within is None:
        return "The loss axis is logarithmic."
    return f"Further than {number(linear_within, 2)} from zero the vertical axis is logarithmic."


def excess_hint(evaluation: Evaluation, lines: int, left_out: int, far: int) -> str:
    """How to read the excess by age."""
    whose, own = ("the loss", "the") if lines == 1 else ("each model's loss", "its own")
    guesses = "What is simpler and far off is in the table only." if far else ""
    levels = "Horizontal lines: the tolerance"
    if lines == 1 and (evaluation.resets or evaluation.guesses):
        levels += ", and what needs no training (resets of the model; guesses that read nothing)"
    return _joined(
        f"Excess: {whose} at an age minus {own} loss within the training context (short), on the same targets, stream "
        f"by stream. The verdict rests on these paired differences, at the oldest age, where its interval is a little "
        f"narrower because it is for that age alone. Lower is better; zero is as good as within the training context. "
        f"{_YOUNG}",
        f"{levels}.",
        guesses,
        _intervals(evaluation, lines),
        _left_out(left_out),
    )


def loss_hint(evaluation: Evaluation, lines: int, left_out: int) -> str:
    """How to read losses by age, several models on one axis."""
    judged = "the same targets" if evaluation.verdict is not None or evaluation.short is not None else "the same inputs"
    return _joined(
        f"Every point scores {judged}, predicted from a state of another age; lower is better. {_YOUNG} A healthy "
        f"curve falls and then stays down; one that climbs to the right of the line fails.",
        "Horizontal lines: the base model when its state is reset, which needs no training, and guesses that read "
        "nothing, where they are not far off."
        if evaluation.resets
        else "",
        _intervals(evaluation, lines),
        "They are as wide as these differ from one another; differences between ages and between models are paired, "
        "and known more closely.",
        _left_out(left_out),
    )


def change_hint(base: Evaluation, lines: int, left_out: int, margin: bool) -> str:
    """How to read what repairs changed."""
    return _joined(
        f"Each model minus the base at each age, on the same targets, paired by stream: below zero it is better. "
        f"{_YOUNG}",
        "The horizontal lines there are what short contexts may lose: their mean over ages, and one band of ages."
        if margin
        else "",
        _intervals(base, lines),
        _left_out(left_out),
    )


def recovery_hint(evaluation: Evaluation, lines: int) -> str:
    """How to read what a switch to another stream costs."""
    return _joined(
        "A state that one stream has aged goes on to read another one, from its beginning. Drawn is how much worse the "
        "new stream is predicted than by the same model that reads it afresh, paired by the new stream; at zero it has "
        "recovered.",
        _intervals(evaluation, lines, "positions"),
    )


def recovered(name: str, start: str, until: str | None) -> str:
    """What the figure of recovery shows of one model.

    Args:
        start: what the first positions cost.
        until: the position from which on nothing can be told; None: there is none.
    """
    if until == "0":
        return f"{name}: an old state costs nothing that can be told, from the first position on ({start} there)."
    if until is None:
        return f"{name}: an old state costs {start} at first, and still something where the measurement ends."
    return f"{name}: an old state costs {start} at first; from position {until} on no cost can be told."


def dose_hint() -> str:
    """How to read the figure of doses."""
    return (
        "Validation streams. Each point is the repair with that share of its change of the weights: further left it "
        "costs short contexts less, further down it gains more at the oldest age. Bars are 95\u00a0% intervals of the "
        "change; those of the loss are in the table, as wide as streams differ from one another and not as doses do. "
        "The dashed line is what short contexts of the test streams may lose. A dose is within the margin if the upper "
        "end is that the change has on typical streams (the interval of a trimmed mean), once what choosing among "
        "doses flatters is taken off the margin."
    )


def dose_description(dose: str, short: str, oldest: str) -> str:
    """One dose in words, for those who do not see it."""
    return f"Dose {dose}: short contexts {short}, {oldest} at the oldest age."


def position_hint(log_loss: bool) -> str:
    text = (
        "The streams read once from the beginning, from the zero state. Unlike the age curve, each point scores other "
        "targets, so a slope can also come from the data."
    )
    return _joined(text, logarithmic(None) if log_loss else "")


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


def picked_note() -> str:
    return (
        "Equal steps and data for each; all are held against the control of the picked one. What is picked, and at "
        "which dose, validation streams say, not the figures here."
    )


def also(names: Sequence[str]) -> str:
    return f"What else would have refused it: {', '.join(map(refusals.named, names))}."


def outcome(repair: Repair) -> tuple[str, str, str]:
    """For a table: the word, the reasons below it, the tone. Only what is accepted is good."""
    because = repair.refused_because
    if because is None:
        return labels.ACCEPTED, "", "good"
    names = ", ".join(map(refusals.named, (because.name, *because.also)))
    return labels.REFUSED, names, "bad"


def outcome_brief(repair: Repair) -> str:
    """For a narrow column."""
    because = repair.refused_because
    return labels.ACCEPTED if because is None else refusals.brief(because.name)


def allowed(size: str) -> str:
    return f"allowed {size}"


def made_by(steps: int, dose: float) -> str:
    return f"{integer(steps)} steps, dose {dose:g}"


def cost(text: str) -> str:
    """What a failing point of the contract costs, as a sentence of its own."""
    return f"What it costs: {text}."


def entries(count: int) -> str:
    return f"{integer(count)} entries"


def repair_note() -> str:
    return (
        "Differences are at the oldest age, the repair minus what stands above the column, paired by stream: negative "
        "is better. Short contexts: the change over all ages within the training context, every age alike. A repair is "
        "accepted when short contexts hold; when it is clearly below the base model and below the control, as they are "
        "and under their best periodic resets; and when it still reads, is not better reset, and does not itself fail. "
        "Overlapping resets cost twice as much to run and are shown for comparison."
    )


def no_control_note() -> str:
    return (
        "No control was made, so it is not known what the starts gained and what the training alone would have given."
    )


def simpler_note(name: str) -> str:
    return (
        f"Losses of the same targets. The difference is {name} at its oldest age minus what is simpler, paired by "
        f"stream; it is better or worse where the whole interval is on one side of zero."
    )


def curve_description(name: str, points: Sequence[tuple[str, float]], unit: str, write: Write = number) -> str:
    """A curve in words, for those who do not see it."""
    best = min(points, key=lambda point: point[1])
    first, last = points[0], points[-1]
    begins = f"{name}: {with_unit(write(first[1]), unit)} at {first[0]}"
    if len(points) == 1:
        return f"{begins}."
    lowest, ends = (write(value) for value in (best[1], last[1]))
    return f"{begins}, lowest {lowest} at {best[0]}, {ends} at {last[0]}."


def end_label(name: str, value: str, others: Sequence[str] = ()) -> str:
    """What stands at the end of a line: the value and the name, without its settings where no other has that name."""
    brief = name.partition("(")[0]
    if sum(other.partition("(")[0] == brief for other in others) > 1:
        brief = name
    longest = 23 - len(value) if others else len(brief)
    if len(brief) > longest:
        # The end of a name often tells settings apart, its beginning says what it is.
        brief = f"{brief[:8]}…{brief[9 - longest :]}"
    return f"{value}  {brief}"


def at_age(band: tuple[int, int]) -> str:
    return f"age {span(*band)}"


def at_first(value: str) -> str:
    return f"{value} at first"


def at_position(place: PositionBin | RecoveryBand) -> str:
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


def ages_weighed(ages: tuple[int, int]) -> str:
    return f"{span(*ages)}, every age alike"


def by_bands(value: str, interval: str) -> str:
    return f"{value} ({interval}); as it used to be told, and not what decides"


def table_legend(base: Evaluation, controlled: bool) -> str:
    """What the columns of the terminal table of repairs mean."""
    measure = in_unit(measure_name(base.measure), unit(base))
    starts = (
        f"{labels.COLUMN_STARTS_BRIEF}: against the control, equal training from zero states. "
        if controlled
        else f"{no_control_note()} "
    )
    return (
        f"{measure}. short: change within the training context, every age alike. Negative differences are better; the "
        f"best rival is the base model, or the base model under its best periodic reset. {starts}Intervals are "
        f"95\u00a0%, over {over(base)}."
    )
