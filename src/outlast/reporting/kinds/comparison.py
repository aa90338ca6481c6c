"""How a comparison of repairs is told."""

from __future__ import annotations

from collections.abc import Sequence

from outlast.reporting import tables
from outlast.reporting.drawing.age_figures import Curve
from outlast.reporting.drawing.curves import dose_elements, dose_table
from outlast.reporting.elements import Fold, Paragraph, Section
from outlast.reporting.facts import Facts
from outlast.reporting.kinds import evaluation, repair
from outlast.reporting.kinds.repair import comparison_headline, comparison_lead
from outlast.reporting.kinds.repair_advice import after_comparison
from outlast.reporting.kinds.telling import Telling
from outlast.reporting.losses.recovery import recovery_elements
from outlast.reporting.losses.scenarios import scenarios
from outlast.reporting.losses.slices import slices
from outlast.reporting.tables import sample_sections
from outlast.reporting.words import captions, terms
from outlast.reporting.words.labels import hints, labels
from outlast.reporting.words.numbers import integer
from outlast.results import CompareRow, Comparison


def _badge(comparison: Comparison) -> tuple[str, str]:
    if terms.untouched(comparison):
        return repair.untouched_badge(comparison.refused_because)
    return repair.badge(True) if comparison.winner is not None else ("bad", labels.BADGES["no_winner"])


def _figures(comparison: Comparison) -> list[tuple[str, str]]:
    found = evaluation.figures(comparison.base)
    return [*found, (labels.FIGURE_INTERVENTIONS, integer(len(comparison.rows)))] if comparison.rows else found


def _sections(comparison: Comparison, key: str) -> list[Section]:
    if not comparison.rows:
        return [
            *repair.untouched_why(comparison.base, comparison.refused_because),
            *evaluation.sections(comparison.base, key),
        ]
    rows, picked = comparison.rows, terms.picked_row(comparison)
    curves = [Curve(labels.BASE, comparison.base)]
    for row in rows:
        role = "picked" if row is picked else "other"
        name = terms.row_label(row, rows)
        curves.append(Curve(name, row.repair.after, role, refused=not row.repair.accepted))
    shared = picked or rows[0]
    curves += repair.control_curve(shared.repair)
    # What validation picked first, then the accepted, then by the loss at the oldest age.
    ranked = sorted(rows, key=lambda row: (row is not picked, not row.repair.accepted, row.repair.after.oldest.loss))
    entries = [(terms.row_label(row, rows), row.repair, _marked(row, comparison)) for row in ranked]
    table = tables.interventions(entries, comparison.base)
    main = [curve for curve in curves if curve.role != "other"]
    return [
        Section(
            labels.INTERVENTIONS,
            [
                table,
                *tables.notes([row.repair for row in rows]),
                Paragraph(hints.PICKED),
                *tables.validation(ranked, rows),
            ],
        ),
        *(repair.refused(picked.repair) if picked else []),
        *repair.by_age(curves, picked.repair.short_context if picked else None, key),
        *(_samples(comparison, picked) if picked else []),
        *(tables.simpler(picked.repair) if picked else []),
        *evaluation.odd(comparison.base),
        Section(labels.RECOVERY, recovery_elements(main, key)),
        *_doses(ranked, comparison, key),
        *evaluation.by_position(curves, key),
        *scenarios(curves, key),
        *slices(curves, key),
    ]


def _samples(comparison: Comparison, picked: CompareRow) -> list[Section]:
    name = terms.row_label(picked, comparison.rows)
    return sample_sections(comparison.samples, name if picked.repair.accepted else labels.REFUSED_NAME.format(name))


def _doses(ranked: Sequence[CompareRow], comparison: Comparison, key: str) -> list[Section]:
    """The doses of the picked repair as a figure, those of all as a table."""
    picked = terms.picked_row(comparison)
    elements = dose_elements(picked.repair, key) if picked else []
    named = [(terms.row_label(row, comparison.rows), row.repair) for row in ranked if row.repair.doses]
    if len(named) > 1:
        elements.append(Fold(labels.ALL_DOSES, [dose_table(named)]))
    return [Section(labels.DOSES, elements)]


def _marked(row: CompareRow, comparison: Comparison) -> str:
    if row.name == comparison.winner:
        return labels.WINNER
    return labels.PICKED if comparison.winner is None and row.name == comparison.picked else ""


def _terminal(comparison: Comparison) -> list[str]:
    if not comparison.rows:
        return evaluation.terminal(comparison.base)
    named = [
        (("* " if row.name == comparison.winner else "  ") + terms.row_label(row, comparison.rows), row.repair)
        for row in comparison.rows
    ]
    return [*repair.terminal_table(named, comparison.base), *evaluation.terminal_notes(comparison.base.notes)]


def _facts(comparison: Comparison) -> Facts:
    found = evaluation.facts(comparison.base)
    row = terms.picked_row(comparison)
    if row is None:
        return found
    return [*found, (labels.FACT_PICKED, row.name), *repair.facts(row.repair)]


TELLING = Telling(
    record=Comparison,
    name=lambda: labels.COMPARISON,
    model=lambda comparison: comparison.base.model,
    badge=_badge,
    headline=comparison_headline,
    lead=comparison_lead,
    figures=_figures,
    sections=_sections,
    terminal=_terminal,
    next_steps=after_comparison,
    facts=_facts,
    measured_on=lambda comparison: captions.shorter(comparison.base),
)
