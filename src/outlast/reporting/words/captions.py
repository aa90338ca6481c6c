"""What stands under figures and tables: how to read them. What they show in words is in `terms`."""

from __future__ import annotations

from collections.abc import Sequence

from outlast.reporting import refusals
from outlast.reporting.commands import asked_ages
from outlast.reporting.words import terms
from outlast.reporting.words.labels import hints, labels
from outlast.reporting.words.language import listed, sentences, tell
from outlast.reporting.words.numbers import integer, number, span
from outlast.reporting.words.terms import in_unit, measure_name, over, pieces, unit
from outlast.results import Evaluation, Repair, Sample, Short


def _faint(count: int) -> str:
    return hints.FAINT if count else ""


def blocks_note(evaluation: Evaluation) -> str:
    """That neighbouring segments are one unit, and share what warms them up, where they do."""
    blocks, found = terms.blocks_in(evaluation), []
    if blocks:
        found.append(hints.told("BLOCKS", blocks=integer(blocks)))
    if evaluation.data.get("together"):
        found.append(hints.TOGETHER)
    return sentences(*found)


def shorter(evaluation: Evaluation) -> str:
    """That streams were read less far than was asked for, where they were."""
    used = terms.shorter(evaluation)
    if used is None:
        return ""
    time = terms.time_of(evaluation, used)
    in_time = tell(f" ({time})", f"（{time}）") if time else ""
    return hints.told(
        "SHORTER", typed=asked_ages(evaluation), used=integer(used), told=pieces(evaluation), time=in_time
    )


def summary_units(evaluation: Evaluation) -> str:
    """What intervals are over, where neighbouring pieces are one unit."""
    note, told = blocks_note(evaluation), pieces(evaluation)
    return sentences(hints.told("UNITS_OVER", told=told), note) if note else ""


def halves_note(evaluation: Evaluation) -> str:
    """How resets were measured whose periods two halves of the streams chose for each other, and did not agree."""
    found = [(labels.RESETS[name], each.halves) for name, each in evaluation.resets.items() if each.halves]
    said = [
        hints.told("HALVES", name=name, Name=name[:1].upper() + name[1:], one=integer(one), other=integer(other))
        for name, (one, other) in found
    ]
    return sentences(*said, hints.CHOSEN_ELSEWHERE if said else "")


def units(blocks: int, evaluation: Evaluation) -> str:
    told = pieces(evaluation)
    return hints.told("UNITS_AMONG", blocks=integer(blocks), told=told)


def _intervals(evaluation: Evaluation, lines: int, *, over: str = "ages") -> str:
    """What bands are: over ages or positions all together, or, of differences, at the oldest age for that age alone."""
    told, positions = pieces(evaluation), over == "positions"
    alone = over == "differences"
    return sentences(
        tell(
            f"{'Bands' if lines <= 3 else 'Bands, and bars at the right end,'} are 95\u00a0% intervals over {told}, "
            f"for all {'positions' if positions else 'ages'} "
            f"together{', at the oldest age for that age alone' * alone}.",
            f"{'帯' if lines <= 3 else '帯と右端の棒'}は {told}にわたる 95\u00a0% 区間で、"
            f"すべての{'位置' if positions else '年齢'}に同時に成り立ちます"
            f"{'（最も古い年齢では、その年齢だけについて）' * alone}。",
        ),
        blocks_note(evaluation),
    )


def _left_out(count: int) -> str:
    if not count:
        return ""
    return hints.told("LEFT_OUT", count=integer(count))


def logarithmic(linear_within: float | None) -> str:
    """How an axis is read that is not even."""
    if linear_within is None:
        return hints.LOGARITHMIC
    within = number(linear_within, 2)
    return hints.told("LOGARITHMIC_WITHIN", within=within)


def excess_hint(evaluation: Evaluation, lines: int, left_out: int, far: int, faint: int = 0) -> str:
    """How to read the excess by age."""
    levels = hints.LEVELS_TOLERANCE
    if lines == 1 and (evaluation.resets or evaluation.guesses):
        levels = hints.LEVELS_UNTRAINED
    return sentences(
        hints.EXCESS if lines == 1 else hints.EXCESS_OF_EACH,
        hints.YOUNG,
        levels,
        hints.FAR if far else "",
        _intervals(evaluation, lines, over="differences"),
        _faint(faint),
        _left_out(left_out),
    )


def loss_hint(evaluation: Evaluation, lines: int, left_out: int, faint: int = 0) -> str:
    """How to read losses by age, several models on one axis."""
    judged = evaluation.verdict is not None or evaluation.short is not None
    return sentences(
        hints.POINTS_TARGETS if judged else hints.POINTS_INPUTS,
        hints.YOUNG,
        hints.HEALTHY,
        hints.LEVELS_RESETS if evaluation.resets else hints.LEVELS_GUESSES if evaluation.guesses else "",
        _intervals(evaluation, lines),
        hints.WIDTH,
        _faint(faint),
        _left_out(left_out),
    )


def change_hint(base: Evaluation, lines: int, left_out: int, *, margin: bool, faint: int = 0) -> str:
    """How to read what repairs changed."""
    return sentences(
        hints.CHANGE,
        hints.YOUNG,
        hints.CHANGE_ALLOWED if margin else "",
        _intervals(base, lines, over="differences"),
        _faint(faint),
        _left_out(left_out),
    )


def recovery_hint(evaluation: Evaluation, lines: int) -> str:
    """How to read what a switch to another stream costs."""
    return sentences(
        hints.RECOVERY,
        _intervals(evaluation, lines, over="positions"),
    )


def recovered(name: str, start: str, until: str | None) -> str:
    """What the figure of recovery shows of one model.

    Args:
        start: what the first positions cost.
        until: the position from which on nothing can be told; None: there is none.
    """
    if until == "0":
        return hints.told("RECOVERED_AT_ONCE", name=name, start=start)
    if until is None:
        return hints.told("RECOVERED_NEVER", name=name, start=start)
    return hints.told("RECOVERED", name=name, start=start, until=until)


def position_hint(log_loss: bool) -> str:
    return sentences(
        hints.POSITION,
        logarithmic(None) if log_loss else "",
    )


def perplexity_hint(
    evaluation: Evaluation, lines: int, *, aged: bool, logarithmic: bool, top: str, refused: bool
) -> str:
    """How to read perplexities.

    Args:
        aged: by age of the state; otherwise by position.
        logarithmic: whether their axis is.
        top: the perplexity from which on lines are drawn at the top edge; empty where none reaches it.
        refused: whether repairs that are refused are among the lines.
    """
    return sentences(
        hints.PERPLEXITY,
        hints.PERPLEXITY_AGE if aged else hints.PERPLEXITY_POSITION,
        _intervals(evaluation, lines, over="ages" if aged else "positions"),
        hints.PERPLEXITY_LOGARITHMIC if logarithmic else "",
        hints.told("PERPLEXITY_CUT", top=top) if top else "",
        hints.HOLLOW if refused else "",
    )


def slices_hint(evaluation: Evaluation, *, refused: bool, log_loss: bool) -> str:
    """How to read losses by the values of a label."""
    return sentences(
        hints.told("SLICES", pieces=pieces(evaluation)),
        logarithmic(None) if log_loss else "",
        hints.HOLLOW if refused else "",
    )


def slices_note(evaluation: Evaluation, *, several: bool, worst_first: bool) -> str:
    """How the table of a label is read."""
    return sentences(
        hints.told("SLICES_COUNTED", over=over(evaluation)),
        hints.SLICES_CHANGE if several else "",
        hints.SLICES_WORST if worst_first else "",
    )


def scenarios_hint(evaluation: Evaluation) -> str:
    """How the figure of scenarios is read."""
    return hints.told("SCENARIOS", measure=measure_name(evaluation.measure))


def scenarios_note(evaluation: Evaluation) -> str:
    """How the table of scenarios is read."""
    return sentences(
        hints.SCENARIOS_ASKED,
        hints.told("SCENARIOS_COUNTED", over=over(evaluation)),
    )


def all_values(count: int) -> str:
    return hints.told("ALL_VALUES", count=integer(count))


def further_values(count: int) -> str:
    return hints.told("FURTHER_VALUES", count=integer(count))


def sampled(sample: Sample) -> str:
    stream, age = integer(sample.stream), integer(sample.age)
    return hints.told("SAMPLED", stream=stream, age=age, seed=sample.seed)


def samples_hint(sample: Sample) -> str:
    """How the texts of models were made."""
    return hints.told("SAMPLES", temperature=sample.temperature)


def state_hint(left_out: int, repaired: str | None) -> str:
    return sentences(
        hints.STATE,
        hints.told("STATE_BOTH", repaired=repaired) if repaired else "",
        hints.told("STATE_LEFT_OUT", left_out=integer(left_out)) if left_out else "",
    )


def outlook_hint() -> str:
    return sentences(hints.OUTLOOK, hints.OUTLOOK_INTERVAL)


def also(repair: Repair, names: Sequence[str]) -> str:
    told = listed([refusals.named(repair, name) for name in names])
    return hints.told("ALSO", told=told)


def outcome(repair: Repair) -> tuple[str, str, str]:
    """For a table: the word, the reasons below it, the tone. Only what is accepted is good."""
    because = refusals.obstacle(repair)
    if because is None:
        return labels.ACCEPTED, "", "good"
    if because.name == "undecided":
        return labels.UNSETTLED, labels.REFUSALS["undecided"], "open"
    return labels.REFUSED, listed([refusals.named(repair, name) for name in (because.name, *because.also)]), "bad"


def outcome_brief(repair: Repair) -> str:
    """For a narrow column."""
    because = refusals.obstacle(repair)
    return labels.ACCEPTED if because is None else refusals.brief(repair, because.name)


def made_by(steps: int, dose: float) -> str:
    if not steps:
        return tell("no training", "学習なし")
    return tell(f"{integer(steps)} steps, dose {dose:g}", f"{integer(steps)} ステップ、用量 {dose:g}")


def entries(count: int) -> str:
    return hints.told("ENTRIES", count=integer(count))


def short_description(short: Short, unit: str) -> str:
    bands = tell(" and ", " と ").join(dict.fromkeys(span(*band) for band in short.bands))
    value = terms.with_unit(number(short.loss), unit)
    return hints.told("SHORT", value=value, bands=bands)


def ages_weighed(ages: tuple[int, int]) -> str:
    return tell(f"{span(*ages)}, every age alike", f"{span(*ages)}（各年齢を等しく）")


def by_bands(value: str, interval: str) -> str:
    return hints.told("BY_BANDS", value=value, interval=interval)


def table_legend(base: Evaluation, controlled: bool) -> str:
    """What the columns of the terminal table of repairs mean."""
    measure = in_unit(measure_name(base.measure), unit(base))
    return sentences(
        hints.told("LEGEND", measure=measure),
        hints.LEGEND_STARTS if controlled else hints.NO_CONTROL,
        hints.told("LEGEND_OVER", over=over(base)),
    )
