"""The page of a diagnosis: what is shown, and in which order. The words are in `diagnosis_en` and `diagnosis_ja`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from outlast.findings import Attribution, Coverage, Remembrance
from outlast.reporting import advice, diagnosis_en, diagnosis_ja, maps, plots, sentences
from outlast.reporting.blocks import (
    Article,
    Block,
    Bullets,
    Cell,
    Code,
    Facts,
    FigureBlock,
    Fold,
    LegendItem,
    Paragraph,
    Row,
    Section,
    Table,
)
from outlast.reporting.curves import centre
from outlast.reporting.numbers import duration, estimate, estimates, fixed, integer, number, percent, span
from outlast.reporting.plots import Level, Line, Look
from outlast.reporting.trace_section import trace_blocks
from outlast.results import Diagnosis, Evaluation

WORDS: dict[str, ModuleType] = {"en": diagnosis_en, "ja": diagnosis_ja}
_TONES = {"fails": "bad", "robust": "good", "generalises": "good"}
_MAP_LARGE = 2 / 3


def article(result: Diagnosis, key: str, language: str, method: list[tuple[str, str]]) -> Article:
    """One diagnosis as an article.

    Args:
        method: facts on how the evaluation was measured.
    """
    words, evaluation = WORDS[language], result.evaluation
    verdict = evaluation.verdict
    name = verdict.name if verdict else "none"
    cause = result.main.name if result.main else None
    sections = [
        _causes(result, words),
        _help(result, words),
        Section(words.AGE_CURVE, [_age_curve(evaluation, words, key), _age_numbers(evaluation, words)]),
    ]
    if result.remembrance:
        sections.append(Section(words.REMEMBRANCE, _remembrance(result.remembrance, evaluation, words, key)))
    if result.coverage:
        sections.append(Section(words.MAP, [_map(result, result.coverage, words, key)]))
        sections.append(Section(words.COVERAGE, _coverage(result.coverage, words)))
    if result.attribution:
        sections.append(Section(words.PARTS, _parts(result.attribution, words, key)))
    if result.trace:
        traced = trace_blocks(result.trace, _asked(result, words), _mark(evaluation, words), words, f"{key}-trace")
        sections.append(Section(words.TRACE, traced))
    outlook = _outlook(result, words)
    if outlook:
        sections.append(Section(words.OUTLOOK, outlook))
    facts = [*method, (words.WHOLE_TIME, duration(result.seconds))]
    missing: list[Block] = [Bullets([words.left_out(what, why) for what, why in result.left_out.items()])]
    sections.append(Section(words.METHOD, [*(missing if result.left_out else []), Facts(facts)]))
    headline = words.no_verdict()
    if verdict is not None:
        value, interval = estimate(verdict.excess, verdict.low, verdict.high, signed=verdict.name != "fails")
        headline = words.headline(
            name,
            {
                "context": integer(evaluation.train_context),
                "from": integer(verdict.from_age or verdict.oldest_age[0]),
                "oldest": span(*verdict.oldest_age),
                "measure": _measure(evaluation, words),
                "excess": sentences.with_unit(value, _unit(evaluation, words)),
                "interval": interval,
            },
            cause,
        )
    made = Article(
        key,
        f"{words.KIND} · {sentences.model_name(result)}",
        _TONES.get(name, "open" if verdict else "plain"),
        words.BADGES[name],
        headline,
        _lead(evaluation, words),
        _key_figures(result, words),
        [section for section in sections if section.blocks],
    )
    return _finished(made, words.finished)


def _finished(made: Any, finish: Callable[[str], str]) -> Any:
    """Every text that people read, finished; what is to be typed, drawn or linked to stays as it is."""
    if isinstance(made, str):
        return finish(made)
    if isinstance(made, Code):
        return made
    if isinstance(made, list | tuple):
        return [_finished(each, finish) for each in made]
    if dataclasses.is_dataclass(made) and not isinstance(made, type):
        kept = {"key", "tone", "kind", "wide", "narrow", "swatch", "cards", "numeric"}
        changed = {
            field.name: _finished(getattr(made, field.name), finish)
            for field in dataclasses.fields(made)
            if field.name not in kept
        }
        return dataclasses.replace(made, **changed)
    return made


def _measure(evaluation: Evaluation, words: ModuleType) -> str:
    return _called(evaluation.measure, words)


def _called(measure: str, words: ModuleType) -> str:
    return words.MEASURES.get(measure, measure.replace("_", " "))


def _asked(result: Diagnosis, words: ModuleType) -> str:
    """The measure that causes were asked in, with its unit."""
    if not result.asked_measure:
        return _axis(result.evaluation, words)
    name, unit = _called(result.asked_measure, words), words.UNITS.get(result.asked_unit, result.asked_unit)
    return sentences.in_unit(name, "" if unit == name else unit)


def _unit(evaluation: Evaluation, words: ModuleType) -> str:
    own = sentences.unit(evaluation)
    return words.UNITS.get(own, own)


def _helping(evaluation: Evaluation) -> list[str]:
    """Names of the resets that are better than the model as it is, the best last."""
    better = {name: each for name, each in evaluation.controls.items() if each.loss < evaluation.oldest.loss}
    return sorted(better, key=lambda name: -better[name].loss)


def _reset(evaluation: Evaluation, name: str, words: ModuleType) -> str:
    return words.RESETS[name].format(every=integer(evaluation.controls[name].every))


def _lead(evaluation: Evaluation, words: ModuleType) -> str:
    helping = _helping(evaluation)
    if evaluation.verdict is None or evaluation.verdict.name not in ("fails", "undecided") or not helping:
        return ""
    best, unit = helping[-1], _unit(evaluation, words)
    loss, own = evaluation.controls[best].loss, evaluation.oldest.loss
    return words.lead(_reset(evaluation, best, words), sentences.level(loss, unit), sentences.level(own, unit))


def _key_figures(result: Diagnosis, words: ModuleType) -> list[tuple[str, str]]:
    evaluation = result.evaluation
    figures = [
        (words.FIGURES["train_context"], words.positions(integer(evaluation.train_context))),
        (words.FIGURES["oldest"], words.positions(span(*evaluation.oldest.age))),
        (words.FIGURES["tested"], words.streams(integer(evaluation.oldest.n), sentences.unit_of(evaluation))),
    ]
    if evaluation.verdict is not None:
        cause = words.CAUSE_NAMES[result.main.name] if result.main else "–"
        if result.main is None and evaluation.verdict.name == "fails":
            cause = words.UNKNOWN
        figures.append((words.FIGURES["cause"], cause))
    split = result.attribution
    if split and result.evaluation.verdict and result.evaluation.verdict.name == "fails" and split.rows:
        top = max(split.rows, key=lambda row: row.contribution.mean)
        figures.append((words.FIGURES["part"], _part(top.part, top.head)))
    return figures


def _part(path: str, head: int | None) -> str:
    return path if head is None else f"{path} · head {head}"


def _causes(result: Diagnosis, words: ModuleType) -> Section:
    tones = {True: "bad", False: "plain", None: "open"}
    rows = [
        Row(
            [
                Cell(words.CAUSE_NAMES[cause.name]),
                Cell(words.FOUND[cause.found], tone=tones[cause.found]),
                Cell("\n".join(map(sentences.typographic, words.evidence(cause)))),
            ]
        )
        for cause in result.causes
    ]
    if not rows:
        return Section(words.CAUSES, [])
    table = Table(words.CAUSES, words.COLUMNS_CAUSE, rows, cards=True, numeric=False)
    if not result.asked_measure:
        return Section(words.CAUSES, [table])
    note = words.asked_in(_asked(result, words), _measure(result.evaluation, words))
    return Section(words.CAUSES, [Paragraph(note), table])


def _help(result: Diagnosis, words: ModuleType) -> Section:
    evaluation, verdict = result.evaluation, result.evaluation.verdict
    blocks: list[Block] = []
    if evaluation.controls:
        oldest = evaluation.oldest
        entries = [(words.AS_IT_IS, (oldest.loss, oldest.low, oldest.high), "–")]
        for name, control in evaluation.controls.items():
            entries.append(
                (_reset(evaluation, name, words), (control.loss, control.low, control.high), words.COSTS[name])
            )
        written = estimates([triple for _, triple, _ in entries], fine=True)
        rows = [
            Row([Cell(what), Cell(*text), Cell(cost)]) for (what, _, cost), text in zip(entries, written, strict=True)
        ]
        blocks.append(Table(words.HELP, words.COLUMNS_HELP, rows, cards=True))
        helping = _helping(evaluation)
        if helping:
            best = evaluation.controls[helping[-1]]
            overlap = ", overlap=True" if helping[-1] == "overlapping_reset" else ""
            blocks.append(Code(f"model = outlast.with_reset(model, every={best.every}{overlap})"))
        else:
            blocks.append(Paragraph(words.no_help()))
    cause = result.main.name if result.main else None
    if verdict is not None:
        blocks += [Paragraph(words.advice(cause, verdict.name)), Code(_command(evaluation, cause))]
    return Section(words.HELP, blocks)


def _command(evaluation: Evaluation, cause: str | None) -> str:
    verdict, settings = evaluation.verdict, evaluation.settings
    context = f"--train-context {evaluation.train_context}"
    assert verdict is not None
    if cause == "numerics":
        return advice.command("diagnose", settings, context, model="MODEL_IN_FLOAT32")
    if cause == "train_context":
        return advice.command("diagnose", settings, "--train-context TRAINED_ON")
    if cause == "memory_limited":
        return advice.command("compare", settings, context, "--expected-runs inf")
    if verdict.name == "fails":
        run = "POSITIONS_A_SITUATION_LASTS" if cause == "stale_context" else str(20 * evaluation.train_context)
        return advice.command("repair", settings, context, f"--intervention carry --expected-run {run}")
    further = 4 * evaluation.oldest.age[1]
    return advice.command("evaluate", settings, context, f"--max-length {further}", data="LONGER_DATA")


def _mark(evaluation: Evaluation, words: ModuleType) -> tuple[float, str]:
    return float(evaluation.train_context), f"{words.TRAIN_CONTEXT}: {integer(evaluation.train_context)}"


def _axis(evaluation: Evaluation, words: ModuleType) -> str:
    return sentences.in_unit(_measure(evaluation, words), _unit(evaluation, words))


def _age_curve(evaluation: Evaluation, words: ModuleType, key: str) -> FigureBlock:
    bands, unit = evaluation.age_curve, _unit(evaluation, words)
    points = [(centre(*band.age), band.loss, band.low, band.high) for band in bands]
    levels = [
        Level(words.RESET_NAMES[name], control.loss, f"{words.RESET_NAMES[name]} {number(control.loss)}")
        for name, control in evaluation.controls.items()
    ]
    text = ", ".join(f"{span(*band.age)}: {number(band.loss)}" for band in bands)
    drawing = plots.curve(
        [Line(words.BASE, Look(0, True), points, f"{words.BASE} {number(bands[-1].loss)}")],
        levels=levels,
        x_labels=words.AGE_AXIS,
        y_label=_axis(evaluation, words),
        mark=_mark(evaluation, words),
        zero_at=0.5 if bands[0].age == (0, 1) else None,
        key=f"{key}-age",
        title=words.AGE_CURVE,
        description=words.described(words.AGE_CURVE, text),
    )
    legend = [LegendItem(plots.swatch(Look(0, True)), words.BASE, sentences.level(bands[-1].loss, unit))]
    legend += [
        LegendItem(plots.swatch(None, level=i), _reset(evaluation, name, words), sentences.level(control.loss, unit))
        for i, (name, control) in enumerate(evaluation.controls.items())
    ]
    count = words.streams(integer(evaluation.oldest.n), sentences.unit_of(evaluation))
    return FigureBlock(drawing.wide, drawing.narrow, legend, words.age_caption(count))


def _age_numbers(evaluation: Evaluation, words: ModuleType) -> Fold:
    bands = evaluation.age_curve
    losses = estimates([(band.loss, band.low, band.high) for band in bands], fine=True)
    excesses = estimates([(band.excess, band.excess_low, band.excess_high) for band in bands], signed=True)
    rows = [
        Row([Cell(span(*band.age)), Cell(*loss), Cell(*excess), Cell(integer(band.n))])
        for band, loss, excess in zip(bands, losses, excesses, strict=True)
    ]
    return Fold(words.NUMBERS, [Table(words.AGE_CURVE, words.COLUMNS_AGE, rows)])


def _remembrance(found: Remembrance, evaluation: Evaluation, words: ModuleType, key: str) -> list[Block]:
    unit = words.UNITS.get(found.unit, found.unit)
    points = [(float(row.kept), row.distance, max(row.low, 0.0), row.high) for row in found.rows]
    text = ", ".join(f"{integer(row.kept)}: {number(row.distance, 3)}" for row in found.rows)
    drawing = plots.curve(
        [Line(words.REMEMBRANCE, Look(1, True), points, fixed(points[-1][1], 3))],
        levels=[Level("", found.negligible, fixed(found.negligible, 2))],
        x_labels=words.KEPT_AXIS,
        y_label=unit,
        mark=_mark(evaluation, words),
        zero_at=None,
        key=f"{key}-remembrance",
        title=words.REMEMBRANCE,
        description=words.described(words.REMEMBRANCE, text),
        height=330,
        log_y=False,
    )
    enough = integer(found.enough) if found.enough is not None else None
    caption = words.remembrance_caption(integer(found.context), enough, fixed(found.negligible, 2))
    written = [estimate(row.distance, row.low, row.high) for row in found.rows]
    rows = [
        Row([Cell(integer(row.kept)), Cell(*text), Cell(integer(found.n))])
        for row, text in zip(found.rows, written, strict=True)
    ]
    table = Table(words.REMEMBRANCE, words.COLUMNS_REMEMBRANCE, rows)
    return [FigureBlock(drawing.wide, drawing.narrow, [], caption), Fold(words.NUMBERS, [table])]


def _map(result: Diagnosis, found: Coverage, words: ModuleType, key: str) -> FigureBlock:
    shown, verdict = found.state_map, result.evaluation.verdict
    tolerance = verdict.tolerance if verdict else 0.0
    above = [point.excess for point in shown.points if point.excess > tolerance]
    large = float(np.quantile(above, _MAP_LARGE)) if above else 0.0
    dots = [
        maps.Dot(p.x, p.y, 0 if p.excess <= tolerance else 1 if p.excess < large else 2, p.unexplored)
        for p in shown.points
    ]
    path = []
    for age in sorted({point.age for point in shown.points}):
        here = np.array([(point.x, point.y) for point in shown.points if point.age == age])
        path.append((*here.mean(0).tolist(), integer(age)))
    text = ", ".join(f"{age}: ({number(x, 2)}, {number(y, 2)})" for x, y, age in path)
    drawing = maps.state_map(
        shown.training,
        dots,
        path,
        axes_names=words.MAP_AXES,
        key=f"{key}-map",
        title=words.MAP,
        description=words.described(words.MEAN_PATH, text),
    )
    legend = [
        LegendItem(maps.bar_swatch("region"), words.REGION),
        LegendItem(maps.bar_swatch("path"), words.MEAN_PATH),
        *(LegendItem(maps.dot_swatch(level, False), words.LEVELS[level]) for level in range(3)),
        *(LegendItem(maps.dot_swatch(0, outside), words.STATES[outside]) for outside in (False, True)),
    ]
    caption = words.map_caption(percent(shown.explained), percent(found.null_rate), integer(found.reference))
    return FigureBlock(drawing.wide, drawing.narrow, legend, caption)


def _coverage(found: Coverage, words: ModuleType) -> list[Block]:
    rows = []
    for space in found.spaces:
        last = found.at_oldest(space.name)
        name = words.SPACES.get(space.name) or (_part(space.layer or space.name, space.head))
        rows.append(
            Row(
                [
                    Cell(name),
                    Cell(percent(space.young.mean), f"{percent(space.young.low)} – {percent(space.young.high)}"),
                    Cell(percent(last.unexplored), f"{percent(last.low)} – {percent(last.high)}"),
                    Cell(number(last.wasserstein, 2), f"({number(last.wasserstein_null, 2)})"),
                    Cell(integer(last.n)),
                ]
            )
        )
    table = Table(words.COVERAGE, words.COLUMNS_COVERAGE, rows, cards=True)
    return [table, Paragraph(words.coverage_caption(percent(found.null_rate), integer(found.decorrelation)))]


def _parts(found: Attribution, words: ModuleType, key: str) -> list[Block]:
    ranked = sorted(found.rows, key=lambda row: -abs(row.contribution.mean))[:16]
    chosen = [row for row in found.rows if row in ranked]
    bars = [
        maps.Bar(
            _part(row.part, row.head), row.contribution.mean, row.contribution.low, row.contribution.high,
            (row.removed.mean + row.added.mean) / 2,
        )
        for row in chosen
    ]  # fmt: skip
    text = ", ".join(f"{bar.name}: {number(bar.value, 3, signed=True)}" for bar in bars)
    unit = words.UNITS.get(found.unit, found.unit)
    drawing = maps.bars(
        bars,
        x_label=sentences.in_unit(words.EXCESS, unit),
        sum_label=words.SUM,
        total=(found.total, found.excess.mean),
        key=f"{key}-parts",
        title=words.PARTS,
        description=words.described(words.PARTS, text),
    )
    legend = [
        LegendItem(maps.bar_swatch("bar"), words.CONTRIBUTION),
        LegendItem(maps.bar_swatch("interval"), words.INTERVAL),
        LegendItem(maps.bar_swatch("swap"), words.SWAP),
    ]
    caption = words.parts_caption(
        number(found.total, 3, signed=True), number(found.excess.mean, 3, signed=True), number(found.error, 2),
        None if found.ranks is None else number(found.ranks, 2), found.same_first, span(*found.old_age),
        integer(found.n),
    )  # fmt: skip
    rows = []
    for row in found.rows:
        cells = [Cell(_part(row.part, row.head), row.kind)]
        for each in (row.contribution, row.removed, row.added):
            cells.append(Cell(*estimate(each.mean, each.low, each.high, signed=True)))
        rows.append(Row([*cells, Cell(integer(row.contribution.n))]))
    table = Table(words.PARTS, words.COLUMNS_PARTS, rows)
    return [FigureBlock(drawing.wide, drawing.narrow, legend, caption), Fold(words.NUMBERS, [table])]


def _outlook(result: Diagnosis, words: ModuleType) -> Sequence[Block]:
    blocks: list[Block] = []
    if result.gap and result.evaluation.verdict and result.evaluation.verdict.name == "fails":
        each = result.gap.explained
        share, low, high = (
            f"{fixed(100 * value, 1, signed=True)}\u00a0%" for value in (each.mean, each.low, each.high)
        )
        blocks.append(Paragraph(words.gap(result.gap.explains, share, f"{low} to {high}", integer(each.n))))
    if result.forecast:
        ahead: Any = result.forecast
        unit = _unit(result.evaluation, words)
        guess, linear = (
            sentences.with_unit(number(value, 2, signed=True), unit) for value in (ahead.expected, ahead.log_linear)
        )
        blocks.append(Paragraph(words.forecast(integer(ahead.age), integer(ahead.seen), guess, linear)))
        if ahead.checked:
            said, was = (
                sentences.with_unit(number(value, 2, signed=True), unit)
                for value in (ahead.checked.expected, ahead.checked.measured)
            )
            blocks.append(
                Paragraph(words.forecast_check(integer(ahead.checked.age), integer(ahead.checked.seen), said, was))
            )
    return blocks
