"""The page of a diagnosis: what is shown, and in which order. The words are in `en` and `ja`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from outlast.evaluation.oddities import breaking
from outlast.reporting import terms
from outlast.reporting.commands import command
from outlast.reporting.elements import Article, Bullets, Cell, Code, Element, Facts, Paragraph, Row, Section, Table
from outlast.reporting.kinds import evaluation as measured
from outlast.reporting.kinds.diagnosis import en, ja
from outlast.reporting.kinds.diagnosis import figures as draw
from outlast.reporting.kinds.diagnosis import terms as called
from outlast.reporting.kinds.diagnosis.trace import trace_elements
from outlast.reporting.numbers import duration, estimate, estimates, fixed, integer, number, span
from outlast.results import Diagnosis, Evaluation

WORDINGS: dict[str, ModuleType] = {"en": en, "ja": ja}
_HELPED = ("fails", "declines", "undecided")
"""Verdicts where a reset that does better is what to try first."""


def article(result: Diagnosis, key: str, language: str) -> Article:
    """One diagnosis as an article."""
    wording, evaluation = WORDINGS[language], result.evaluation
    verdict = evaluation.verdict
    name = verdict.name if verdict else "none"
    sections = [
        _causes(result, wording),
        _help(result, wording),
        Section(wording.AGE_CURVE, [draw.age_curve(evaluation, wording, key), draw.age_numbers(evaluation, wording)]),
    ]
    if result.remembrance:
        sections.append(Section(wording.REMEMBRANCE, draw.remembrance(result.remembrance, evaluation, wording, key)))
    if result.coverage:
        sections.append(Section(wording.MAP, [draw.state_map(result, result.coverage, wording, key)]))
        sections.append(Section(wording.COVERAGE, draw.coverage(result.coverage, wording)))
    if result.attribution:
        sections.append(Section(wording.PARTS, draw.parts(result.attribution, wording, key)))
    if result.trace:
        asked, mark = called.asked(result, wording), called.mark(evaluation, wording)
        traced = trace_elements(result.trace, asked, mark, wording, f"{key}-trace")
        sections.append(Section(wording.TRACE, traced))
    outlook = _outlook(result, wording)
    if outlook:
        sections.append(Section(wording.OUTLOOK, outlook))
    if evaluation.notes:
        sections.append(Section(wording.NOTES, [Bullets(list(map(wording.note, evaluation.notes)))]))
    facts = [*measured.facts(evaluation), (wording.WHOLE_TIME, duration(result.seconds))]
    missing: list[Element] = [Bullets([wording.left_out(what, why) for what, why in result.left_out.items()])]
    lengths = terms.shorter(evaluation)
    shorter = wording.shorter(*map(integer, reversed(lengths)), called.tested(evaluation, wording)) if lengths else ""
    said: list[Element] = [Paragraph(shorter)] if shorter else []
    sections.append(Section(wording.METHOD, [*said, *(missing if result.left_out else []), Facts(facts)]))
    made = Article(
        key,
        f"{wording.KIND} · {terms.model_name(result.model)}",
        measured.TONES.get(name, "open" if verdict else "plain"),
        wording.BADGES[name],
        headline(result, wording),
        _lead(evaluation, wording),
        _key_figures(result, wording),
        [section for section in sections if section.elements],
    )
    return _finished(made, wording.finished)


def headline(result: Diagnosis, wording: ModuleType) -> str:
    """What was found, and the reason, in one or two sentences."""
    evaluation, verdict = result.evaluation, result.evaluation.verdict
    if verdict is None:
        return wording.no_verdict()
    if verdict.name == "broken":
        return wording.broken(breaking(evaluation.notes)[0])
    value, interval = estimate(verdict.excess, verdict.low, verdict.high, signed=verdict.name != "fails")
    facts = {
        "context": integer(evaluation.train_context),
        "from": integer(verdict.from_age or verdict.oldest_age[0]),
        "oldest": span(*verdict.oldest_age),
        "measure": called.measure(evaluation, wording),
        "excess": terms.with_unit(value, called.unit(evaluation, wording)),
        "interval": interval,
        "best": span(*(verdict.best_age or verdict.oldest_age)),
    }
    return wording.headline(evaluation, facts, result.main.name if result.main else None)


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


def _helping(evaluation: Evaluation) -> list[str]:
    """Names of the resets that are better than the model as it is, the best last."""
    better = {name: each for name, each in evaluation.resets.items() if each.loss < evaluation.oldest.loss}
    return sorted(better, key=lambda name: -better[name].loss)


def _lead(evaluation: Evaluation, wording: ModuleType) -> str:
    helping = _helping(evaluation)
    if evaluation.verdict is None or evaluation.verdict.name not in _HELPED or not helping:
        return ""
    best, unit = helping[-1], called.unit(evaluation, wording)
    loss, own = evaluation.resets[best].loss, evaluation.oldest.loss
    return wording.lead(called.reset(evaluation, best, wording), terms.level(loss, unit), terms.level(own, unit))


def _key_figures(result: Diagnosis, wording: ModuleType) -> list[tuple[str, str]]:
    evaluation = result.evaluation
    figures = [
        (wording.FIGURES["train_context"], wording.positions(integer(evaluation.train_context))),
        (wording.FIGURES["oldest"], wording.positions(span(*evaluation.oldest.age))),
        (wording.FIGURES["tested"], called.tested(evaluation, wording)),
    ]
    if evaluation.verdict is not None:
        cause = wording.CAUSE_NAMES[result.main.name] if result.main else "–"
        if result.main is None and evaluation.verdict.name == "fails":
            cause = wording.UNKNOWN
        figures.append((wording.FIGURES["cause"], cause))
    split = result.attribution
    if split and result.evaluation.verdict and result.evaluation.verdict.name == "fails" and split.rows:
        top = max(split.rows, key=lambda row: row.contribution.mean)
        figures.append((wording.FIGURES["part"], called.part(top.part, top.head)))
    return figures


def _causes(result: Diagnosis, wording: ModuleType) -> Section:
    tones = {True: "bad", False: "plain", None: "open"}
    rows = [
        Row(
            [
                Cell(wording.CAUSE_NAMES[cause.name]),
                Cell(wording.FOUND[cause.found], tone=tones[cause.found]),
                Cell("\n".join(map(terms.typographic, wording.evidence(cause)))),
            ]
        )
        for cause in result.causes
    ]
    if not rows:
        return Section(wording.CAUSES, [])
    table = Table(wording.CAUSES, wording.COLUMNS_CAUSE, rows, cards=True, numeric=False)
    if not result.asked_measure:
        return Section(wording.CAUSES, [table])
    note = wording.asked_in(called.asked(result, wording), called.measure(result.evaluation, wording))
    return Section(wording.CAUSES, [Paragraph(note), table])


def _help(result: Diagnosis, wording: ModuleType) -> Section:
    evaluation, verdict = result.evaluation, result.evaluation.verdict
    elements: list[Element] = []
    if evaluation.resets and not (verdict and verdict.name == "broken"):
        oldest = evaluation.oldest
        entries = [(wording.AS_IT_IS, (oldest.loss, oldest.low, oldest.high), "–")]
        for name, each in evaluation.resets.items():
            entries.append(
                (called.reset(evaluation, name, wording), (each.loss, each.low, each.high), wording.COSTS[name])
            )
        entries += [
            (wording.GUESSES.get(name, name), (guess.loss, guess.low, guess.high), wording.GUESS_COST)
            for name, guess in evaluation.guesses.items()
        ]
        written = estimates([triple for _, triple, _ in entries], fine=True)
        rows = [
            Row([Cell(what), Cell(*text), Cell(cost)]) for (what, _, cost), text in zip(entries, written, strict=True)
        ]
        elements.append(Table(wording.HELP, wording.COLUMNS_HELP, rows, cards=True))
        helping = _helping(evaluation)
        if helping:
            best = evaluation.resets[helping[-1]]
            overlap = ", overlap=True" if helping[-1] == "overlapping_reset" else ""
            elements.append(Code(f"model = outlast.with_reset(model, every={best.every}{overlap})"))
        else:
            elements.append(Paragraph(wording.no_help()))
    cause = result.main.name if result.main else None
    if verdict is not None:
        elements += [Paragraph(wording.advice(cause, verdict.name)), Code(_command(evaluation, cause))]
    return Section(wording.HELP, elements)


def _command(evaluation: Evaluation, cause: str | None) -> str:
    verdict, given = evaluation.verdict, evaluation.command
    context = f"--train-context {evaluation.train_context}"
    assert verdict is not None
    if verdict.name == "broken":
        return command("check", given)
    if cause == "numerics":
        return command("diagnose", given, context, model="MODEL_IN_FLOAT32")
    if cause == "train_context":
        return command("diagnose", given, "--train-context TRAINED_ON")
    if cause == "memory_limited":
        return command("compare", given, context, "--expected-runs inf")
    if verdict.name in ("fails", "declines"):
        run = "POSITIONS_A_SITUATION_LASTS" if cause == "stale_context" else str(20 * evaluation.train_context)
        return command("repair", given, context, f"--intervention carry:expected_run={run}")
    if verdict.name == "undecided":
        return command("evaluate", given, context, data="MORE_DATA")
    further = 4 * evaluation.oldest.age[1]
    return command("evaluate", given, context, f"--max-length {further}", data="LONGER_DATA")


def _outlook(result: Diagnosis, wording: ModuleType) -> Sequence[Element]:
    elements: list[Element] = []
    if result.gap and result.evaluation.verdict and result.evaluation.verdict.name == "fails":
        each = result.gap.explained
        share, low, high = (
            f"{fixed(100 * value, 1, signed=True)}\u00a0%" for value in (each.mean, each.low, each.high)
        )
        elements.append(Paragraph(wording.gap(result.gap.explains, share, f"{low} to {high}", integer(each.n))))
    if result.forecast:
        ahead: Any = result.forecast
        unit = called.unit(result.evaluation, wording)
        guess, linear = (
            terms.with_unit(number(value, 2, signed=True), unit) for value in (ahead.expected, ahead.log_linear)
        )
        elements.append(Paragraph(wording.forecast(integer(ahead.age), integer(ahead.seen), guess, linear)))
        if ahead.checked:
            said, was = (
                terms.with_unit(number(value, 2, signed=True), unit)
                for value in (ahead.checked.expected, ahead.checked.measured)
            )
            elements.append(
                Paragraph(wording.forecast_check(integer(ahead.checked.age), integer(ahead.checked.seen), said, was))
            )
    return elements
