"""Repairs beside each other, a model beside its rivals, and what models write on at an old age."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from outlast.reporting.elements import Cell, Element, Excerpt, Fold, Paragraph, Row, Section, Table
from outlast.reporting.losses.short_contexts import as_share, short_change, worst_band
from outlast.reporting.pairing import Triple, beside, unread, without_reading
from outlast.reporting.words import captions, terms
from outlast.reporting.words.labels import hints, labels
from outlast.reporting.words.language import sentences, tell
from outlast.reporting.words.numbers import Estimate, estimate, estimates, integer, number, span
from outlast.results import CompareRow, Evaluation, Repair, Sample, ShortContext, UnderRemedy

# Tables of a report that belong to no figure: repairs beside each other, and a model beside what is simpler.


def interventions(entries: Sequence[tuple[str, Repair, str]], base: Evaluation) -> Table:
    """Each intervention, what it cost and gave, and whether it is accepted.

    Args:
        entries: name, repair, and the word that marks it among the others.
    """
    in_unit, unit = terms.in_unit, terms.unit(base)
    met = {name for _, repair, _ in entries for name in repair.benefit.rivals}
    rivals = ["base", "periodic_reset", *(each for each in ("leak", "handover") if each in met), "overlapping_reset"]
    controlled = any(repair.benefit.starts is not None for _, repair, _ in entries)
    if controlled:
        rivals += ["control", "control_reset", *(["control_leak"] if "control_leak" in met else [])]
    names = {
        "base": labels.COLUMN_BASE,
        "periodic_reset": labels.COLUMN_RESET,
        "leak": labels.COLUMN_LEAK,
        "handover": labels.COLUMN_HANDOVER,
        "overlapping_reset": labels.COLUMN_OVERLAP,
        "control": labels.COLUMN_STARTS,
        "control_reset": labels.COLUMN_CONTROL_RESET,
        "control_leak": labels.COLUMN_CONTROL_LEAK,
    }
    columns = [
        labels.COLUMN_INTERVENTION,
        in_unit(labels.COLUMN_SHORT, "" if as_share(entries[0][1].short_context, base) else unit),
        in_unit(labels.COLUMN_OLDEST_LOSS, unit),
        *(in_unit(names[rival], unit) for rival in rivals),
        labels.COLUMN_OUTCOME,
    ]
    rows = []
    for name, repair, marked in entries:
        differences = [repair.benefit.rivals.get(rival) for rival in rivals]
        change = short_change(repair.short_context, repair.before)
        rows.append(
            Row(
                [
                    Cell(name, captions.made_by(repair.steps, repair.dose)),
                    Cell(change.value, change.interval),
                    Cell(*terms.loss(repair.after.oldest)),
                    *(Cell("–") if each is None else Cell(*estimate(*each, signed=True)) for each in differences),
                    Cell(*captions.outcome(repair)),
                ],
                marked,
                "good" if repair.accepted else "plain",
            )
        )
    return Table(labels.INTERVENTIONS, columns, rows, cards=True)


def notes(repairs: Sequence[Repair]) -> list[Element]:
    """How the table of interventions is read, and what is not known without a control."""
    elements: list[Element] = [Paragraph(hints.REPAIR)]
    if any(repair.control is None for repair in repairs):
        elements.append(Paragraph(hints.NO_CONTROL))
    return elements


def validation(ranked: Sequence[CompareRow], rows: list[CompareRow]) -> list[Element]:
    """What validation said of each row."""
    names = list(dict.fromkeys(name for row in ranked for name in row.validation))
    if not names:
        return []
    body = [
        Row(
            [
                Cell(terms.row_label(row, rows)),
                *(Cell(number(row.validation[name])) if name in row.validation else Cell("–") for name in names),
            ]
        )
        for row in ranked
    ]
    columns = [labels.COLUMN_INTERVENTION, *(name.replace("_", " ") for name in names)]
    return [Fold(labels.VALIDATION, [Table(labels.VALIDATION, columns, body)])]


def guards(found: dict[str, ShortContext], base: Evaluation, *, accepted: bool) -> list[Section]:
    """Short contexts on further data; nothing is good of a repair that is refused."""
    rows = []
    for name, guard in found.items():
        change = short_change(guard, base)
        held = ("good" if accepted else "plain", labels.HELD) if guard.held else ("bad", labels.LOST)
        cells = [
            Cell(name),
            Cell(change.value, change.interval),
            Cell(change.allowed),
            Cell(worst_band(guard, base)),
        ]
        rows.append(Row([*cells, Cell(held[1], tone=held[0])]))
    if not rows:
        return []
    return [Section(labels.GUARDS, [Table(labels.GUARDS, labels.COLUMNS_GUARD, rows, cards=True)])]


def other_measures(evaluation: Evaluation) -> list[Section]:
    """Other measures at the oldest age."""
    rows = []
    for name, bands in evaluation.other_measures.items():
        if bands:
            last = bands[-1]
            cells = [Cell(terms.measure_name(name)), Cell(span(*last.age))]
            cells.append(Cell(*terms.loss(last)))
            cells.append(Cell(*estimate(last.excess, last.excess_low, last.excess_high, signed=True)))
            rows.append(Row([*cells, Cell(integer(last.n))]))
    if not rows:
        return []
    columns = [labels.COLUMN_MEASURE, labels.COLUMN_AGE, labels.COLUMN_VALUE, labels.COLUMN_EXCESS, labels.COLUMN_COUNT]
    return [Section(labels.OTHER_MEASURES, [Table(labels.OTHER_MEASURES, columns, rows, cards=True)])]


@dataclass(frozen=True)
class _Rival:
    """Something simpler: its loss as it is told everywhere, and by stream."""

    name: str
    loss: Estimate
    per_stream: list[float]


def untrained(evaluation: Evaluation) -> list[Section]:
    """A model beside its own resets, and beside what does not read."""
    rivals = [*_resets(evaluation, "{}"), *_guesses(evaluation)]
    if not rivals:
        return []
    table = _simpler(labels.UNTRAINED, evaluation, rivals)
    note = sentences(hints.told("SIMPLER", name=labels.THE_MODEL), captions.halves_note(evaluation))
    return [Section(labels.UNTRAINED, [table, Paragraph(note)])]


def simpler(repair: Repair) -> list[Section]:
    """A repaired model beside the base, the control, resets of all three, and what does not read."""
    rivals = [
        _oldest(labels.BASE, repair.before),
        *_resets(repair.before, labels.OF_BASE),
        *(
            _under(labels.OF_CONTROL if name.startswith("control") else labels.OF_BASE, each)
            for name, each in repair.remedies.items()
        ),
        *([_oldest(labels.CONTROL, repair.control)] if repair.control else []),
        *(_resets(repair.control, labels.OF_CONTROL) if repair.control else []),
        *_resets(repair.after, labels.OF_REPAIR),
        *([_under(labels.OF_REPAIR, repair.on_top)] if repair.on_top else []),
        *_guesses(repair.after),
    ]
    comparable = [each for each in rivals if len(each.per_stream) == len(repair.after.oldest.per_stream)]
    table = _simpler(labels.SIMPLER, repair.after, comparable)
    periods = tell("Periods of resets were chosen on validation streams.", "リセットの周期は検証系列で選びました。")
    note = sentences(hints.told("SIMPLER", name=labels.THE_REPAIR), periods)
    return [Section(labels.SIMPLER, [table, Paragraph(note)])]


def _oldest(name: str, evaluation: Evaluation) -> _Rival:
    return _Rival(name, terms.loss(evaluation.oldest), evaluation.oldest.per_stream)


def _resets(evaluation: Evaluation, form: str) -> list[_Rival]:
    return [
        _Rival(form.format(terms.reset(name, each.every)), terms.loss(each), each.per_stream)
        for name, each in evaluation.resets.items()
    ]


def _under(form: str, remedy: UnderRemedy) -> _Rival:
    return _Rival(form.format(remedy.name), terms.loss(remedy), remedy.per_stream)


def _guesses(evaluation: Evaluation) -> list[_Rival]:
    """The guesses, and the model's own answer before it has read: its youngest band of ages."""
    own = {} if unread(evaluation) is None else {"unread": evaluation.age_curve[0]}
    return [
        _Rival(terms.guess(name), terms.loss({**own, **evaluation.guesses}[name]), losses)
        for name, losses in without_reading(evaluation).items()
    ]


def _told_apart(triple: Triple) -> str:
    _, low, high = triple
    return labels.BETTER if high < 0 else labels.WORSE if low > 0 else labels.ALIKE


def _simpler(title: str, evaluation: Evaluation, rivals: Sequence[_Rival]) -> Table:
    unit = terms.unit(evaluation)
    differences: list[Triple] = [beside(evaluation, each.per_stream) for each in rivals]
    rows = [
        Row([Cell(each.name), Cell(*each.loss), Cell(*text), Cell(_told_apart(triple))])
        for each, text, triple in zip(rivals, estimates(differences, signed=True), differences, strict=True)
    ]
    columns = [
        labels.COLUMN_SIMPLER,
        terms.in_unit(labels.LOSS, unit),
        terms.in_unit(labels.COLUMN_PAIRED, unit),
        labels.COLUMN_SO,
    ]
    return Table(title, columns, rows, cards=True)


# What the base and the repaired model write on at an old age, beside each other and beside how the text goes on.

_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufdd0-\ufdef\ufffe\uffff]")
"""Signs that show nothing, steer a terminal, or turn the direction of what follows."""


def shown(text: str) -> str:
    """A text with a replacement for every sign that is none to look at; line ends and tabs stay."""
    return _UNSEEN.sub("\ufffd", text.replace("\r\n", "\n"))


def sample_sections(samples: Sequence[Sample], repaired: str) -> list[Section]:
    """One section, or none where no text was written.

    Args:
        repaired: what the repair is called.
    """
    if not samples:
        return []
    excerpts = [
        Excerpt(
            captions.sampled(each),
            (labels.SAMPLE_READ, shown(each.read)),
            [(labels.SAMPLE_TRUE, shown(each.true)), (labels.BASE, shown(each.base)), (repaired, shown(each.repaired))],
        )
        for each in samples
    ]
    return [Section(labels.SAMPLES, [Paragraph(captions.samples_hint(samples[0])), *excerpts])]
