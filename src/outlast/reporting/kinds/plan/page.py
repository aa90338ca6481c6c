"""The tables and the figure of a plan."""

from __future__ import annotations

from dataclasses import replace

from outlast.reporting.drawing.plots import Plot, Point, element, line_of
from outlast.reporting.drawing.svg import Level, Look
from outlast.reporting.elements import Cell, Element, Fold, Row, Table
from outlast.reporting.kinds.plan import sentences as say
from outlast.reporting.kinds.plan.sentences import words
from outlast.reporting.words import captions, terms
from outlast.reporting.words.labels import labels
from outlast.reporting.words.language import tell
from outlast.reporting.words.numbers import Estimate, duration, estimate, integer, number
from outlast.results import Pilot, Plan, RepairCost, TriedRemedy


def tried(plan: Plan) -> Table:
    """What needs no training, and the last pilot of every training that went to the last round."""
    unit, rows = terms.unit(plan.base), []
    taken = {"reset": plan.rival.name, "tune": plan.tuned}.get(plan.advice)
    for each in plan.without_training:
        cells = [Cell(untrained(each), labels.WITHOUT_TRAINING), Cell(number(each.cost, 3)), Cell(number(each.loss, 4))]
        cells.append(Cell("–") if each.name == "none" else Cell(*estimate(*each.difference, signed=True)))
        short = Cell(words.HELD, estimate(*each.short, signed=True).value) if each.short else Cell("–")
        rows.append(Row([*cells, short, Cell("–")], labels.TAKEN if each.name == taken else ""))
    last = max((pilot.rung for pilot in plan.pilots), default=0)
    for pilot in (pilot for pilot in plan.pilots if pilot.rung == last):
        name, steps = say.training_name(pilot.name, pilot.kind), integer(pilot.steps)
        below = tell(f"{steps} steps, dose {pilot.dose:g}", f"{steps} ステップ、用量 {pilot.dose:g}")
        held = words.HELD if pilot.kept else words.MAYBE_LOST
        cells = [
            Cell(name, below),
            Cell(number(1, 3)),
            Cell(number(pilot.loss, 4)),
            Cell(*estimate(*pilot.oldest, signed=True)),
            Cell(held, estimate(*pilot.short, signed=True).value),
            _whole(plan, pilot),
        ]
        marked = plan.remedy is not None and plan.remedy.name == pilot.name and taken is None
        rows.append(Row(cells, labels.TAKEN if marked else ""))
    head = words.COLUMNS_TRIED
    in_units = [terms.in_unit(name, unit) for name in head]
    columns = [head[0], head[1], *in_units[2:4], head[4], in_units[5]]
    return Table(words.TRIED, columns, rows, cards=True, named=True)


def untrained(each: TriedRemedy) -> str:
    """A remedy, or running on, as a row or a line is called."""
    kind, *numbers = each.name.split(":")
    names = {"reset": "periodic_reset", "two-copies": "overlapping_reset"}
    if each.name == "none":
        return words.RUN_ON
    return terms.reset(names[kind], int(numbers[0])) if kind in names else terms.remedy(each.name)


def _whole(plan: Plan, pilot: Pilot) -> Cell:
    """What the whole of a repair's steps is expected to reach."""
    steps = plan.settings["training"]["steps"]
    found = [each for each in plan.outlooks if (each.name, each.steps) == (pilot.name, steps)]
    if not found:
        return Cell("–")
    return Cell(*estimate(found[0].loss, found[0].low, found[0].high, fine=True))


def rounds(plan: Plan) -> Fold:
    """Every pilot, in the order in which they were run."""
    unit, rows = terms.unit(plan.base), []
    for pilot in plan.pilots:
        short = Cell(words.HELD if pilot.kept else words.MAYBE_LOST, estimate(*pilot.short, signed=True).value)
        cells = [
            Cell(say.training_name(pilot.name, pilot.kind)),
            Cell(integer(pilot.steps)),
            Cell(number(pilot.loss, 4)),
            Cell(f"{pilot.dose:g}"),
            short,
            Cell(duration(pilot.seconds)),
        ]
        rows.append(Row(cells))
    head = words.COLUMNS_ROUNDS
    columns = [head[0], head[1], terms.in_unit(head[2], unit), *head[3:]]
    return Fold(words.ROUNDS, [Table(words.ROUNDS, columns, rows, named=True)])


def buys(plan: Plan, key: str) -> list[Element]:
    """Losses of the pilots by steps, and what more steps are expected to reach; empty where nothing was tried."""
    names = list(dict.fromkeys(each.name for each in plan.outlooks))
    if not names:
        return []
    lines, unit = [], terms.unit(plan.base)
    for slot, name in enumerate(names):
        pilots = [pilot for pilot in plan.pilots if pilot.name == name]
        ahead = [each for each in plan.outlooks if each.name == name and each.steps > pilots[-1].steps]
        title = say.training_name(name, pilots[-1].kind)
        values = [(pilot.steps, (pilot.loss, pilot.loss, pilot.loss), number(pilot.loss, 4)) for pilot in pilots]
        values += [(each.steps, (each.loss, each.low, each.high), say.outlook(plan, each)) for each in ahead]
        points = [
            Point(terms.at_step(step), float(step), triple, Estimate(number(triple[0], 4), ""))
            for step, triple, _ in values
        ]
        strong = plan.remedy is not None and plan.remedy.name == name
        gaps = frozenset({len(pilots) - 1}) if ahead else frozenset[int]()
        made = line_of(title, Look(slot, strong), points, unit, among=names, gaps=gaps)
        told = [terms.plain(title, point.place, text) for point, (_, _, text) in zip(points, values, strict=True)]
        lines.append(replace(made, told=told))
    ends = {"none": words.RUN_ON, "reset": labels.RESETS["periodic_reset"], "leak": words.LEAK}
    levels = [
        Level(untrained(each), each.loss, number(each.loss, 4), ends[each.name.partition(":")[0]], dash)
        for dash, each in enumerate(each for each in plan.without_training if each.cost == 1)
    ]
    y_label = terms.in_unit(labels.OLDEST_OF.format(terms.measure_name(plan.base.measure)), unit)
    plot = Plot(
        f"{key}-buys", words.BUYS, lines, (words.STEPS_AXIS, words.STEPS_AXIS_NARROW), y_label, levels, height=360,
        log_y=False,
    )  # fmt: skip
    return [element(plot, captions.outlook_hint(), [""] * len(lines))]


def money(plan: Plan) -> list[tuple[str, str]]:
    """Cost and benefit of what is advised; empty where nothing is to be done."""
    rows: list[tuple[str, str]] = []
    cost, each, worth = plan.cost, plan.expected, plan.worth
    if cost is not None and plan.advice in ("repair", "beyond_starts"):
        rows += [
            (words.FACT_STEPS, integer(cost.steps)),
            (words.FACT_POSITIONS, integer(cost.positions)),
            (words.FACT_TIME, duration(cost.seconds)),
            (words.FACT_CORE_HOURS, number(cost.core_hours, 2)),
        ]
        rows += [] if cost.money is None else [(words.FACT_MONEY, number(cost.money, 3))]
        if each is not None and worth is None:
            gain = plan.rival.loss - each.loss
            rows.append((words.FACT_GAIN, say.loss(plan, gain)))
    if worth is not None:
        told = estimate(*worth.gain, signed=True)
        over = words.FACT_GAIN_UNTRAINED if plan.advice in ("tune", "reset") else words.FACT_GAIN
        rows.append((over, f"{terms.with_unit(told.value, terms.unit_name(worth.unit))} ({told.interval})"))
        a_day = estimate(*worth.a_day, signed=True)
        rows.append((words.FACT_A_DAY, f"{a_day.value} ({a_day.interval})"))
        rows.append((words.FACT_DAY, day(worth.day)))
    if rows and plan.default_cost is not None:
        rows.append((words.FACT_DEFAULT, _brief(plan.default_cost)))
    return [*rows, (words.FACT_SPENT, duration(plan.spent))] if rows else []


def day(number_of: int | None) -> str:
    """The day on which it has paid for itself."""
    return words.NEVER if number_of is None else tell(f"on day {integer(number_of)}", f"{integer(number_of)} 日目")


def _brief(cost: RepairCost) -> str:
    steps, time = integer(cost.steps), duration(cost.seconds)
    return tell(f"{steps} steps, {time}", f"{steps} ステップ、{time}")
