"""What the things of a result are called, numbers with their units, and what figures show in words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Protocol

from outlast.reporting.words.labels import SHARES, labels
from outlast.reporting.words.language import tell
from outlast.reporting.words.numbers import (
    MINUS,
    NO_BREAK,
    Estimate,
    duration,
    estimate,
    integer,
    number,
    percent,
    span,
)
from outlast.results import (
    AgeBand,
    CompareRow,
    Comparison,
    Evaluation,
    PositionBin,
    RecoveryBand,
    Repair,
    StateRow,
    Verdict,
)

# What the things of a result are called, and numbers with their units.


class Measured(Protocol):
    """A loss with its interval: a band of ages, a reset, a guess."""

    @property
    def loss(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...


def measure_name(measure: str) -> str:
    """The measure as a noun: "cross-entropy"; of one target of several "squared error of power@15"."""
    base, _, target = measure.partition(":")
    name = labels.MEASURES.get(base, base.replace("_", " "))
    return tell(f"{name} of {target}", f"{target} の{name}") if target else name


def unit_name(unit: str) -> str:
    """A unit of a result in the language that is spoken."""
    what, _, column = unit.partition(" of ")
    if column and what in labels.UNITS:
        return tell(unit, f"{'対数' if column == 'the logarithm' else column} の{labels.UNITS[what]}")
    return labels.UNITS.get(unit, unit)


def unit(evaluation: Evaluation) -> str:
    """The unit of the measure; empty where it only repeats the measure's name, as for an error rate."""
    own = unit_name(evaluation.unit)
    return "" if own == measure_name(evaluation.measure) else own


def with_unit(text: str, unit: str) -> str:
    """A number and its unit, kept on one line."""
    return f"{text}{NO_BREAK}{unit}" if unit else text


def loss(measured: Measured) -> Estimate:
    """A loss and its interval."""
    return estimate(measured.loss, measured.low, measured.high, fine=True)


def level(measured: Measured, unit: str) -> str:
    """A loss with its unit, in the digits it has everywhere."""
    return with_unit(loss(measured).value, unit)


def tolerated(value: float, evaluation: Evaluation) -> str:
    """A tolerance, or several of them, with its unit."""
    return with_unit(number(value, 2), unit(evaluation))


def with_interval(each: Estimate, unit: str = "") -> str:
    """ "+0.12 nats (interval +0.10 to +0.14)"."""
    value = with_unit(each.value, unit)
    return tell(f"{value} (interval {each.interval})", f"{value}（区間 {each.interval}）")


def in_unit(name: str, unit: str) -> str:
    """A heading for numbers: "excess (nats)"."""
    return tell(f"{name} ({unit})", f"{name}（{unit}）") if unit else name


def streams(count: int, unit: str) -> str:
    """ "63 streams", "1 segment of one recording"."""
    head, _, tail = unit.partition(" ")
    plural = head if count == 1 else f"{head}s"
    japanese = {"stream": f"{integer(count)} 系列", "segment of one recording": f"一つの記録の {integer(count)} 区分"}
    return tell(
        " ".join(filter(None, (integer(count), plural, tail))), japanese.get(unit, f"{integer(count)} 個の {unit}")
    )


def unit_of(evaluation: Evaluation) -> str:
    """What one of the pieces that were measured is called."""
    return str(evaluation.data.get("unit", "stream"))


def pieces(evaluation: Evaluation) -> str:
    """What was measured: "63 streams"."""
    return streams(evaluation.oldest.n, unit_of(evaluation))


def positions(text: str) -> str:
    """ "64 positions"."""
    return tell(f"{text} positions", f"{text} 位置")


def shorter(evaluation: Evaluation) -> int | None:
    """Positions of a stream that were used, where they are fewer than were asked for."""
    asked, used = (evaluation.data.get(name) for name in ("length_asked", "length_used"))
    return used if isinstance(asked, int) and isinstance(used, int) and used < asked else None


def blocks_in(evaluation: Evaluation) -> int:
    """How many units an interval rests on where neighbouring pieces are taken together; 0 where each is one."""
    count = len(set(evaluation.blocks))
    return count if count < len(evaluation.blocks) else 0


def over(evaluation: Evaluation) -> str:
    """What intervals are over: "63 streams", "63 segments of one recording in 16 blocks"."""
    told, blocks = pieces(evaluation), blocks_in(evaluation)
    if not blocks:
        return told
    return tell(f"{told} in {integer(blocks)} blocks", f"{told}（{integer(blocks)} ブロック）")


def repair_label(repair: Repair) -> str:
    """The intervention as its author would write it: "carry(expected_run=1280)"."""
    named = repair.intervention.get("label") or repair.intervention.get("name")
    return str(named or tell("the repair", "この修復"))


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
    ages = span(*band.age)
    return tell(f"at the oldest age tested ({ages} positions)", f"調べた最も古い年齢（{ages} 位置）で")


def time_of(evaluation: Evaluation, positions: int) -> str:
    """How long so many positions last, where the rows of a table have a usual step; empty where they have none."""
    times = evaluation.data.get("times")
    step = times.get("typical_step") if isinstance(times, dict) else None
    return duration(positions * step) if isinstance(step, int | float) and step > 0 else ""


def at_most(verdict: Verdict, evaluation: Evaluation) -> str:
    """What age costs at most at the oldest age, whatever else is not known: "3.1 %"; where nothing can be a share of
    anything, with its unit."""
    cost, short = max(0.0, verdict.high), evaluation.short
    if evaluation.measure.partition(":")[0] in SHARES or short is None or not short.loss:
        return tolerated(cost, evaluation)
    return percent(cost / abs(short.loss))


def ages(band: tuple[int, int]) -> str:
    """ "age 0", "ages 32 to 63"."""
    return tell(f"age{'' if band[1] - band[0] <= 1 else 's'} {span(*band)}", f"年齢 {span(*band)}")


def rival(name: str, repair: Repair) -> str:
    """What a repair is held against, with its remedy as it is typed, where it is one that was chosen for it."""
    told, found = labels.RIVALS.get(name, name.replace("_", " ")), repair.remedies.get(name)
    return told if found is None else tell(f"{told} ({found.name})", f"{told}（{found.name}）")


def guess(name: str) -> str:
    return labels.GUESSES.get(name, name.replace("_", " "))


def unused(name: str, every: int) -> bool:
    """Whether a model that is reset like this makes no use of the past: it reads the newest position, or none before.

    Two copies that are reset in turn every two positions answer from states of age one.
    """
    return every <= (2 if name == "overlapping_reset" else 1)


def reset(name: str, every: int) -> str:
    """ "periodic reset, every 64"; of the shortest ones what they mean."""
    kind = labels.RESETS.get(name, name.replace("_", " "))
    if every <= 1:
        return tell(f"{kind} at every position (no use of the past)", f"毎位置で{kind}（過去を使わない）")
    if unused(name, every):
        return tell(
            f"{kind}, every {integer(every)} (of the past only the last position)",
            f"{kind}、{integer(every)} 位置ごと（過去は直前の一位置だけ）",
        )
    return tell(f"{kind}, every {integer(every)}", f"{kind}、{integer(every)} 位置ごと")


def remedy(name: str) -> str:
    """A remedy in words: "a reset every 640 positions"."""
    kind, *rest = name.split(":")
    if kind == "leak":
        return _leak(rest)
    every, warm_up = (f"{int(each):,}" for each in [*rest, "0"][:2])
    return {
        "reset": tell(f"a reset every {every} positions", f"{every} 位置ごとのリセット"),
        "handover": tell(
            f"a handover every {every} positions after a warm-up of {warm_up}",
            f"{warm_up} 位置の助走の後、{every} 位置ごとの引き継ぎ",
        ),
        "two-copies": tell(
            f"two copies, each reset every {every} positions", f"{every} 位置ごとに交互に戻す二つの複製"
        ),
    }.get(kind, name)


def _leak(words: list[str]) -> str:
    """What follows ``leak:``, in words."""
    options = dict(each.split("=", 1) for each in words[1:])
    every, from_age = options.pop("every", ""), options.pop("from", "")
    tau = ", ".join([words[0], *(f"{part}={taus}" for part, taus in options.items())])
    first, then = tell(f"a leak with τ = {tau}", f"τ = {tau} の漏れ"), []
    if every:
        then.append(tell(f"in pieces of {every}", f"{every} 位置ごと"))
    if from_age:
        then.append(tell(f"from age {int(from_age):,} on", f"年齢 {int(from_age):,} から"))
    return tell(" ".join([first, *then]), first + (f"（{'、'.join(then)}）" if then else ""))


def typographic(text: str) -> str:
    """The text with true minus signs before numbers."""
    return re.sub(r"(?<![\w-])-(?=\d)", MINUS, text)


def reason(text: str) -> str:
    """A reason as a sentence, with typographic minus signs."""
    text = typographic(text.strip())
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith((".", "。")) else tell(".", "。"))


# What figures show in words: for those who do not see them, under the pointer, and at the ends of lines.


def curve(name: str, points: Sequence[tuple[str, float, str]], unit: str) -> str:
    """A curve in words.

    Args:
        points: where each is, its value, and the value as it is written.
    """
    best = min(points, key=lambda point: point[1])
    first, last = points[0], points[-1]
    begins = with_unit(first[2], unit)
    if len(points) == 1:
        return tell(f"{name}: {begins} at {first[0]}.", f"{name}：{first[0]}で {begins}。")
    return tell(
        f"{name}: {begins} at {first[0]}, lowest {best[2]} at {best[0]}, {last[2]} at {last[0]}.",
        f"{name}：{first[0]}で {begins}、最小は{best[0]}で {best[2]}、{last[0]}で {last[2]}。",
    )


def point(name: str, place: str, each: Estimate, unit: str) -> str:
    """What is said of a point under the pointer: "base, age 8 to 15: +0.12 nats (+0.10 to +0.14)"."""
    value = with_unit(each.value, unit)
    if not each.interval:
        return plain(name, place, value)
    return tell(f"{name}, {place}: {value} ({each.interval})", f"{name}、{place}：{value}（{each.interval}）")


def plain(name: str, place: str, value: str) -> str:
    """The same of a point without an interval."""
    return tell(f"{name}, {place}: {value}", f"{name}、{place}：{value}") if name else f"{place}: {value}"


def end_label(name: str, value: str, others: Sequence[str] = ()) -> str:
    """What stands at the end of a line: the value and the name, without its settings where no other has that name."""
    brief = name.partition("(")[0]
    if sum(other.partition("(")[0] == brief for other in others) > 1:
        brief = name
    return f"{value}  {brief}"


def at_age(band: tuple[int, int]) -> str:
    return tell(f"age {span(*band)}", f"年齢 {span(*band)}")


def at_first(value: str) -> str:
    return tell(f"{value} at first", f"最初に {value}")


def at_position(place: PositionBin | RecoveryBand) -> str:
    return at_span((place.start, place.end))


def at_span(positions: tuple[int, int]) -> str:
    return tell(f"position {span(*positions)}", f"位置 {span(*positions)}")


def at_place(position: int) -> str:
    return tell(f"position {integer(position)}", f"位置 {integer(position)}")


def at_step(step: int) -> str:
    return tell(f"step {integer(step)}", f"ステップ {integer(step)}")


def dose(dose: str, short: str, oldest: str) -> str:
    """One dose in words."""
    return tell(
        f"Dose {dose}: short contexts {short}, {oldest} at the oldest age.",
        f"用量 {dose}：短い文脈 {short}、最も古い年齢で {oldest}。",
    )


def state(name: str, rows: list[StateRow]) -> str:
    """How one part of the state grows."""
    first, last = rows[0], rows[-1]
    sizes = number(first.norm, 3), number(last.norm, 3)
    places = integer(first.position), integer(last.position)
    return tell(
        f"{name}, {first.part}: size {sizes[0]} at position {places[0]}, {sizes[1]} at position {places[1]}.",
        f"{name}、{first.part}：大きさは位置 {places[0]} で {sizes[0]}、位置 {places[1]} で {sizes[1]}。",
    )
