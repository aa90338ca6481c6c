"""What figures show in words: for those who do not see them, under the pointer, and at the ends of lines."""

from __future__ import annotations

from collections.abc import Sequence

from outlast.reporting.language import tell
from outlast.reporting.numbers import Estimate, integer, number, span
from outlast.reporting.terms import with_unit
from outlast.results import PositionBin, RecoveryBand, StateRow


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
