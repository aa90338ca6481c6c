"""The page of a diagnosis: what to take away from it, what is shown, and in which order."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axes import Axes

from outlast.reporting import verdict_reasons
from outlast.reporting.commands import Step, command, context, older_ages
from outlast.reporting.drawing import age_figures as ages
from outlast.reporting.drawing.age_figures import Curve
from outlast.reporting.drawing.plots import Plot, Point, element, line_of
from outlast.reporting.drawing.svg import Line, Look, in_the_readers_fonts
from outlast.reporting.elements import (
    Article,
    Bullets,
    Cell,
    Code,
    Element,
    Facts,
    FigureElement,
    Paragraph,
    Row,
    Section,
    Table,
)
from outlast.reporting.kinds import evaluation as measured
from outlast.reporting.kinds.diagnosis import evidence
from outlast.reporting.kinds.diagnosis import figures as draw
from outlast.reporting.kinds.diagnosis import sentences as say
from outlast.reporting.kinds.diagnosis.sentences import words
from outlast.reporting.kinds.evaluation import decide
from outlast.reporting.kinds.first_steps import better_first, read_rightly, resets, tuned
from outlast.reporting.losses.scenarios import scenarios
from outlast.reporting.pairing import helpful_resets, unbeaten
from outlast.reporting.words import captions, terms
from outlast.reporting.words.labels import labels
from outlast.reporting.words.language import sentences, tell
from outlast.reporting.words.numbers import Estimate, between, clock_span, duration, fixed, integer, number, percent
from outlast.results import Attribution, Cause, Diagnosis, Evaluation, Moment, Trace

# Where harmful moments come from: a sentence for each, the figure and the table.


@dataclass(frozen=True)
class _Told:
    """A moment and its source in words: by the clock where there is one, `below` then by positions."""

    moment: str
    below: str
    source: str
    source_below: str
    end: str


@dataclass(frozen=True)
class _Stretch:
    """The part of a line, from x = `low` to `high`, that the harm comes from, and what to call it."""

    line: Line
    low: float
    high: float
    name: str


def trace_elements(found: Trace, y_label: str, mark: tuple[float, str], key: str) -> list[Element]:
    """The section's elements.

    Args:
        y_label: the measure with its unit.
        mark: the training context and its name.
        key: of the figure.
    """
    told = [_told(moment) for moment in found.moments]
    lines = [
        replace(
            line_of(
                each.moment,
                Look(i + 1, False),
                [
                    Point(integer(x), float(x), (loss, loss, loss), Estimate(number(loss, 3), ""))
                    for x, loss in ((moment.start - reset, loss) for reset, loss in moment.resets)
                ],
            ),
            end=each.end,
        )
        for i, (moment, each) in enumerate(zip(found.moments, told, strict=True))
    ]
    elements: list[Element] = [
        _figure(found, told, lines, y_label, mark, key),
        Table(
            words.TRACE,
            words.COLUMNS_TRACE,
            [
                Row(
                    [
                        Cell(each.moment, each.below),
                        Cell(number(moment.harm, 3, signed=True)),
                        Cell(each.source, each.source_below),
                        Cell(percent(moment.share)),
                    ]
                )
                for each, moment in zip(told, found.moments, strict=True)
            ],
            cards=True,
        ),
    ]
    sentences = [
        words.told(
            "TRACE_SENTENCE",
            moment=each.moment,
            stream=integer(moment.stream),
            source=each.source,
            share=percent(moment.share),
        )
        for each, moment in zip(told, found.moments, strict=True)
        if moment.times
    ]
    return [Bullets(sentences), *elements] if sentences else elements


def _told(moment: Moment) -> _Told:
    stream, start = integer(moment.stream), integer(moment.start)
    name = say.trace_moment(stream, between(start, integer(moment.end - 1)))
    source = say.trace_source(between(integer(moment.source[0]), integer(moment.source[1] - 1)))
    if moment.times is None:
        return _Told(name, "", source, "", f"{stream}: {start}")
    first, last = moment.times.moment
    begins = clock_span(first, first).partition(between("", ""))[0]
    return _Told(clock_span(first, last), name, clock_span(*moment.times.source, after=last), source, begins)


def _figure(
    found: Trace,
    told: Sequence[_Told],
    lines: Sequence[Line],
    y_label: str,
    mark: tuple[float, str],
    key: str,
) -> FigureElement:
    stretches = [
        _Stretch(line, moment.start - moment.source[1], moment.start - moment.source[0], each.source)
        for line, moment, each in zip(lines, found.moments, told, strict=True)
    ]
    plot = Plot(
        key, words.TRACE, lines, (words.RESET_AXIS[0], words.RESET_AXIS[1]), y_label, mark=mark,
        description=" ".join(map(_described, stretches)), height=360, log_y=False,
        more=functools.partial(_draw, stretches),
    )  # fmt: skip
    shown = [
        say.trace_from(each.source) if moment.times else "" for moment, each in zip(found.moments, told, strict=True)
    ]
    return element(
        plot, words.told("TRACE_CAPTION", count=integer(len(lines)), considered=integer(found.considered)), shown
    )


def _described(stretch: _Stretch) -> str:
    losses = ", ".join(f"{integer(int(x))}: {number(y, 3)}" for x, y, _, _ in stretch.line.points)
    return say.described(f"{stretch.line.name} ({say.trace_from(stretch.name)})", losses)


def _draw(stretches: Sequence[_Stretch], axes: Axes) -> None:
    """Every stretch as a broad part of its line, named beside it where there is room."""
    box = axes.get_window_extent()
    taken: list[tuple[float, float, float]] = []
    for stretch in stretches:
        points = sorted(point[:2] for point in stretch.line.points)
        x, y = np.array([point for point in points if stretch.low <= point[0] <= stretch.high]).T
        colour = stretch.line.look.colour
        axes.plot(x, y, color=colour, linewidth=7, alpha=0.45, solid_capstyle="butt", zorder=2)
        places = axes.transData.transform(np.column_stack([x, y]))
        text = axes.text(
            0, 0, stretch.name, transform=None, fontsize=12, ha="center", va="center", color=colour,
            fontweight="bold", zorder=7, parse_math=False,
        )  # fmt: skip
        with in_the_readers_fonts():
            half = text.get_window_extent().width / 2 + 6
        # Losses rise to the right over a stretch: there is room above its end's left and below its beginning's right.
        (left, low), (right, high) = places[0], places[-1]
        for middle, down in ((right - half, high + 16), (left + half, low - 16)):
            across = float(np.clip(middle, box.x0 + half, box.x1 - half))
            free = all(abs(across - a) > half + b or abs(down - c) > 18 for a, b, c in taken)
            if free and box.y0 + 8 <= down <= box.y1 - 8:
                taken.append((across, half, float(down)))
                text.set_position((across, float(down)))
                break
        else:
            text.remove()


# What to take away from a diagnosis, in plain words: which part does it, from which age on, and what to run.

HARMED = ("fails", "declines")
"""Verdicts at which there is harm that a part carries."""
UNFIT = ("broken", "misread")
"""Verdicts that judge nothing by age."""

_LEAST_CONTEXT = 4
"""A turn of the curve that is earlier than this says that the past is hardly used, not what the windows were."""


def part(result: Diagnosis) -> str:
    """Which part of the state carries the harm, in a sentence; nothing where there is no harm to be carried."""
    verdict = result.evaluation.verdict
    if verdict is None or verdict.name not in HARMED:
        return ""
    if result.attribution is None:
        return words.PART_NOT_ASKED
    return carried(result.attribution)


def carried(found: Attribution) -> str:
    """The same of an attribution, which says it of the ages that it looked at."""
    if not found.excess.low > 0:
        return words.NO_EXCESS
    names = [say.part_name(name) for name in found.carriers]
    if not names:
        return words.SPREAD
    unit, measure = terms.unit_name(found.unit), terms.measure_name(found.measure)
    unit = "" if unit == measure else unit

    def written(value: float) -> str:
        return terms.with_unit(number(value, 2, signed=True), unit)

    return say.carried(found.acting, names, written(-found.moved.removed.mean), written(found.excess.mean))


def onset(evaluation: Evaluation) -> str:
    """From which age on it is clearly worse, in a sentence; nothing where it is not."""
    verdict = evaluation.verdict
    if verdict is None:
        return ""
    if verdict.name == "declines" and verdict.best_age is not None:
        return words.told("ONSET_OF_DECLINE", best=terms.ages(verdict.best_age))
    if verdict.name != "fails" or verdict.from_age is None:
        return ""
    contexts = verdict.from_age / evaluation.train_context
    times = integer(round(contexts)) if contexts >= 10 or contexts == round(contexts) else fixed(contexts, 1)
    oldest = verdict.from_age >= verdict.oldest_age[0]
    return say.onset(integer(verdict.from_age), None if contexts == 1 else times, oldest=oldest)


def remedy(result: Diagnosis) -> Step:
    """What to do, and the command that does it, as it can be typed."""
    evaluation, verdict = result.evaluation, result.evaluation.verdict
    assert verdict is not None
    if verdict.name == "misread":
        return read_rightly("evaluate", evaluation)
    worthless = bool(verdict_reasons.first_of_all(evaluation))
    if verdict.name == "undecided" and not worthless:
        return decide(evaluation, verdict)
    cause = result.main.name if result.main else None
    better = better_first(evaluation) if worthless or verdict.name in HARMED else []
    if better and cause not in ("train_context", "numerics"):  # which spoil what a guess is held against
        return better[0]
    facts = result.main.facts if result.main else {}
    narrow = bool(facts.get("narrow"))
    return Step(say.advice(cause, verdict.name, narrow), _command(evaluation, cause, facts))


def _command(evaluation: Evaluation, cause: str | None, facts: dict[str, float | int | str]) -> str:
    verdict, given = evaluation.verdict, evaluation.command
    assert verdict is not None
    here = context(evaluation)
    if verdict.name == "broken":
        return command("check", given)
    if cause == "numerics":
        wider = "MODEL_IN_FLOAT32" if facts.get("narrow") else "MODEL_IN_FLOAT64"
        return command("diagnose", given, here, model=wider)
    if cause == "train_context":
        turns = int(facts.get("turns", 0))
        return command("diagnose", given, f"--train-context {turns if turns >= _LEAST_CONTEXT else 'TRAINED_ON'}")
    if cause == "memory_limited":
        return command("compare", given, here, "--expected-runs inf")
    if verdict.name in ("fails", "declines"):
        if cause == "stale_context":
            return command("repair", given, here, "--intervention carry --expected-run data")
        return command("repair", given, here, f"--intervention carry:expected_run={20 * evaluation.train_context}")
    return command("evaluate", given, context(evaluation, ages=older_ages(evaluation)), data="LONGER_DATA")


def at_once(result: Diagnosis) -> list[Step]:
    """What to tune without training; nothing where the training context may be another one, which tuning rests on."""
    return [] if result.main and result.main.name == "train_context" else tuned(result.evaluation)


def steps(result: Diagnosis) -> list[Step]:
    """What to do, in this order: what needs no training, what was found out, and resets where there is no tuning."""
    first = at_once(result)
    return [*first, remedy(result), *([] if first else resets(result.evaluation))]


def rows(result: Diagnosis) -> list[tuple[str, str]]:
    """Part, onset and remedy, each under its name; what there is of them."""
    verdict = result.evaluation.verdict
    if verdict is None or verdict.name == "misread":
        return []
    told = [
        (tell("part", "部分"), part(result)),
        (tell("onset", "始まり"), onset(result.evaluation)),
        *((tell("at once", "すぐに"), step.text.rstrip(":：") + tell(".", "。")) for step in at_once(result)),
        (tell("remedy", "対処"), remedy(result).text.rstrip(":：") + tell(".", "。")),
    ]
    return [(name, text) for name, text in told if text]


# The page of a diagnosis: what is shown, and in which order.


def article(result: Diagnosis, key: str) -> Article:
    """One diagnosis as an article."""
    evaluation = result.evaluation
    sections = [_causes(result), _help(result), _by_age(evaluation, key)]
    sections += scenarios([Curve(labels.BASE, evaluation)], key)
    if result.remembrance:
        sections.append(Section(words.REMEMBRANCE, draw.remembrance(result.remembrance, evaluation, key)))
    if result.coverage:
        sections.append(Section(words.MAP, [draw.state_map(result, result.coverage, key)]))
        sections.append(Section(words.COVERAGE, draw.coverage(result.coverage)))
        sections.append(Section(words.SCENARIOS, draw.scenarios(result.coverage, _asked_unit(result))))
    if result.attribution:
        told = [Paragraph(text)] if (text := part(result)) else []
        sections.append(Section(words.PARTS, [*told, *draw.parts(result.attribution, key)]))
    if result.trace:
        traced = trace_elements(result.trace, asked(result), ages.mark(evaluation), f"{key}-trace")
        sections.append(Section(words.TRACE, traced))
    sections.append(Section(words.OUTLOOK, _outlook(result)))
    sections.append(
        Section(labels.NOTES, [Bullets(list(map(verdict_reasons.told, evaluation.notes)))] if evaluation.notes else [])
    )
    sections.append(_method(result))
    return Article(
        key,
        f"{labels.DIAGNOSIS} · {terms.model_name(result.model)}",
        *measured.badge(evaluation),
        headline(result),
        lead(result),
        key_figures(result),
        [section for section in sections if section.elements],
    )


def asked(result: Diagnosis) -> str:
    """The measure that causes were asked in, with its unit."""
    if not result.asked_measure:
        return ages.y_label(result.evaluation)
    name, own = terms.measure_name(result.asked_measure), terms.unit_name(result.asked_unit)
    return terms.in_unit(name, "" if own == name else own)


def _asked_unit(result: Diagnosis) -> str:
    return terms.unit_name(result.asked_unit) if result.asked_measure else terms.unit(result.evaluation)


def headline(result: Diagnosis) -> str:
    """What was found, and the reason, in one or two sentences."""
    verdict = result.evaluation.verdict
    if few := verdict_reasons.too_few(result.evaluation):
        return verdict_reasons.without_verdict(few)
    if verdict is None:
        return words.NO_VERDICT
    if verdict.name in UNFIT:
        return measured.headline(result.evaluation)
    cause = result.main.name if result.main else None
    said = say.headline(measured.judged(result.evaluation, verdict), result.evaluation, cause)
    # The reason is the verdict's, not that of the doubt.
    return sentences(said, verdict_reasons.unfitting(result.evaluation))


def _by_age(evaluation: Evaluation, key: str) -> Section:
    """The excess by age, on which the verdict rests; where there is none, the loss."""
    curves = [Curve(labels.BASE, evaluation)]
    if evaluation.short is None:
        return Section(labels.AGE_CURVE, [ages.loss_curve(curves, key), ages.loss_numbers(curves)])
    return Section(labels.EXCESS_CURVE, [ages.excess_curve(curves, key), ages.excess_numbers(curves)])


def _method(result: Diagnosis) -> Section:
    shorter = captions.shorter(result.evaluation)
    missing = [say.left_out(what, why) for what, why in result.left_out.items()]
    facts = [*measured.facts(result.evaluation), (words.WHOLE_TIME, duration(result.seconds))]
    said = [*([Paragraph(shorter)] if shorter else []), *([Bullets(missing)] if missing else [])]
    return Section(labels.METHOD, [*said, Facts(facts)])


def lead(result: Diagnosis) -> str:
    """That the model does not beat a guess, where it does not, and what helps now, where something does."""
    evaluation = result.evaluation
    helping, doubt = list(helpful_resets(evaluation)), verdict_reasons.doubt(evaluation)
    if evaluation.verdict is None or evaluation.verdict.name not in (*HARMED, "undecided") or not helping:
        return doubt
    name = "periodic_reset" if "periodic_reset" in helping else helping[-1]  # the one that tuning is advised for
    best, unit = evaluation.resets[name], terms.unit(evaluation)
    reset, own = terms.reset(name, best.every), terms.level(evaluation.oldest, unit)
    return sentences(doubt, words.told("LEAD", best=reset, loss=terms.level(best, unit), own=own))


def key_figures(result: Diagnosis) -> list[tuple[str, str]]:
    evaluation = result.evaluation
    figures = measured.figures(evaluation)[:3]
    if evaluation.verdict is not None:
        main = None if evaluation.verdict.name == "undecided" else result.main
        cause = labels.CAUSE_NAMES[main.name] if main else "–"
        if result.main is None and evaluation.verdict.name == "fails":
            cause = words.UNKNOWN
        figures.append((words.FIGURE_CAUSE, cause))
    split = result.attribution
    if split and split.carriers and evaluation.verdict and evaluation.verdict.name in HARMED:
        few = [say.part_name(name) for name in split.carriers[:2]]
        more = len(split.carriers) - len(few)
        figures.append((words.FIGURE_PART, " + ".join([*few, *([say.and_more(integer(more))] if more else [])])))
    return figures


def answer(result: Diagnosis, cause: Cause) -> tuple[str, str]:
    """Whether a cause was found, and the tone of that; where nothing is decided, it would be one if the model fails."""
    verdict = result.evaluation.verdict
    if cause.found and cause.name in say.LIKELY and verdict is not None and verdict.name == "undecided":
        return words.IF_IT_FAILS, "open"
    return words.FOUND[str(cause.found)], {True: "bad", False: "plain", None: "open"}[cause.found]


def _causes(result: Diagnosis) -> Section:
    unit = _asked_unit(result)
    rows = []
    for cause in result.causes:
        said, tone = answer(result, cause)
        seen = Cell(evidence.plain(cause), more=evidence.numbers(cause, unit), more_title=words.EVIDENCE)
        rows.append(Row([Cell(labels.CAUSE_NAMES[cause.name]), Cell(said, tone=tone), seen]))
    if not rows:
        return Section(words.CAUSES, [])
    table = Table(words.CAUSES, words.COLUMNS_CAUSE, rows, cards=True, numeric=False)
    if not result.asked_measure:
        return Section(words.CAUSES, [table])
    note = words.told("ASKED_IN", asked=asked(result), measure=terms.measure_name(result.evaluation.measure))
    return Section(words.CAUSES, [Paragraph(note), table])


def _help(result: Diagnosis) -> Section:
    evaluation, verdict = result.evaluation, result.evaluation.verdict
    elements: list[Element] = []
    if evaluation.resets and not (verdict and verdict.name in UNFIT):
        entries: list[tuple[str, terms.Measured, str]] = [(words.AS_IT_IS, evaluation.oldest, "–")]
        entries += [
            (terms.reset(name, each.every), each, words.COSTS[name]) for name, each in evaluation.resets.items()
        ]
        entries += [(terms.guess(name), guess, words.GUESS_COST) for name, guess in evaluation.guesses.items()]
        rows = [Row([Cell(what), Cell(*terms.loss(each)), Cell(cost)]) for what, each, cost in entries]
        elements.append(Table(words.HELP, words.COLUMNS_HELP, rows, cards=True))
        elements += [Paragraph(note)] if (note := captions.halves_note(evaluation)) else []
        if not helpful_resets(evaluation) and "remedy" not in evaluation.model and not unbeaten(evaluation):
            elements.append(Paragraph(say.no_help()))
    if verdict is not None:
        for step in [*at_once(result), remedy(result)]:
            elements += [Paragraph(step.text), *([Code(step.code)] if step.code else [])]
    return Section(words.HELP, elements)


def _outlook(result: Diagnosis) -> Sequence[Element]:
    elements: list[Element] = []
    verdict, unit = result.evaluation.verdict, terms.unit(result.evaluation)

    def change(value: float) -> str:
        return terms.with_unit(number(value, 2, signed=True), unit)

    if result.gap and verdict and verdict.name == "fails":
        each = result.gap.explained
        share, *ends = (f"{fixed(100 * value, 1, signed=True)}\u00a0%" for value in (each.mean, each.low, each.high))
        elements.append(Paragraph(say.gap(result.gap.explains, share, between(*ends), integer(each.n))))
    if ahead := result.forecast:
        expected = {"expected": change(ahead.expected), "linear": change(ahead.log_linear)}
        told = words.told("FORECAST", age=integer(ahead.age), seen=integer(ahead.seen), **expected)
        elements.append(Paragraph(told))
        if checked := ahead.checked:
            measured_there = {"said": change(checked.expected), "was": change(checked.measured)}
            told = words.told("FORECAST_CHECK", age=integer(checked.age), seen=integer(checked.seen), **measured_there)
            elements.append(Paragraph(told))
    return elements
