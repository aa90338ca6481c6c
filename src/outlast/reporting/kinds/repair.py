"""How a repair is told."""

from __future__ import annotations

from collections.abc import Sequence

from outlast.reporting import age_figures as ages
from outlast.reporting import captions, oddities, refusals, tables, terms
from outlast.reporting.age_figures import Curve
from outlast.reporting.doses import dose_elements
from outlast.reporting.elements import Bullets, Section
from outlast.reporting.facts import Facts, flat
from outlast.reporting.kinds import evaluation
from outlast.reporting.kinds.repair_advice import after_repair
from outlast.reporting.kinds.repair_sentences import benefit_triple, repair_headline, repair_lead
from outlast.reporting.kinds.telling import Telling
from outlast.reporting.labels import labels
from outlast.reporting.language import spoken
from outlast.reporting.numbers import estimate
from outlast.reporting.recovery import recovery_elements
from outlast.reporting.samples import sample_sections
from outlast.reporting.scenarios import scenarios
from outlast.reporting.slices import slices
from outlast.reporting.terms import reason
from outlast.reporting.text_table import aligned, wrapped
from outlast.reporting.verdict_reasons import reasons
from outlast.results import Evaluation, Refusal, Repair, ShortContext


def badge(accepted: bool) -> tuple[str, str]:
    """A refused repair never wears the tone of a verdict."""
    return ("good", labels.BADGES["accepted"]) if accepted else ("bad", labels.BADGES["refused"])


def untouched_badge(because: Refusal | None) -> tuple[str, str]:
    """Where nothing was done: because there was nothing to repair, or because the base is broken."""
    broken = because is not None and because.name == "base_broken"
    return ("bad", labels.BADGES["broken"]) if broken else ("plain", labels.BADGES["nothing_to_repair"])


def _figures(repair: Repair) -> list[tuple[str, str]]:
    found = evaluation.figures(repair.after)
    if terms.untouched(repair):
        return found
    return [*found, (labels.REPAIR, captions.made_by(repair.steps, repair.dose))]


def refused(repair: Repair) -> list[Section]:
    """The reasons of a refusal, and the names of what else would have refused it."""
    because = repair.refused_because
    if because is None:
        return []
    said = [reason(each) for each in refusals.clauses(repair)]
    if because.also:
        said.append(captions.also(repair, because.also))
    return [Section(labels.REFUSED_WHY, [Bullets(said)])]


def untouched_why(base: Evaluation, because: Refusal | None) -> list[Section]:
    """Why nothing was done, as the record has it: its figures are those of validation streams, which are not here."""
    if because is None:
        return []
    said = [reason(each) for each in because.because] if spoken() == "en" else _untouched_japanese(base, because)
    return [Section(labels.UNTOUCHED_WHY, [Bullets(said)])]


def _untouched_japanese(base: Evaluation, because: Refusal) -> list[str]:
    if because.name == "base_broken":
        notes = {odd.said: oddities.told(odd) for odd in base.notes}
        found = [notes[each] for each in because.because if each in notes]
        return [*found, *(reasons(base)[-1:] if found else [])] or ["検証系列で、元のモデルの予測が壊れています。"]
    name = because.because[0].rpartition(" ")[2]
    return [f"検証系列でのこのモデルの判定は「{labels.BADGES.get(name, name)}」です。"]


def by_age(curves: Sequence[Curve], short: ShortContext | None, key: str) -> list[Section]:
    """What repairs changed, losses on one axis, and the excess that verdicts rest on."""
    return [
        Section(ages.change_title(curves), ages.change_curve(curves, short, key)),
        Section(labels.AGE_CURVE, [ages.loss_curve(curves, key), ages.loss_numbers(curves)]),
        Section(labels.EXCESS_CURVE, [ages.excess_curve(curves, key), ages.excess_numbers(curves)])
        if curves[0].evaluation.short is not None
        else Section(labels.EXCESS_CURVE, []),
    ]


def control_curve(repair: Repair) -> list[Curve]:
    return [] if repair.control is None else [Curve(labels.CONTROL, repair.control, "control")]


def _sections(repair: Repair, key: str) -> list[Section]:
    if terms.untouched(repair):
        return [*untouched_why(repair.before, repair.refused_because), *evaluation.sections(repair.before, key)]
    name = terms.repair_label(repair)
    made = Curve(name, repair.after, "picked", refused=not repair.accepted)
    curves = [Curve(labels.BASE, repair.before), made, *control_curve(repair)]
    table = tables.interventions([(name, repair, "")], repair.before)
    return [
        Section(labels.ONE_REPAIR, [table, *tables.notes([repair])]),
        *refused(repair),
        *tables.guards(repair.guards, repair.before, accepted=repair.accepted),
        *by_age(curves, repair.short_context, key),
        *sample_sections(repair.samples, made.title),
        *tables.simpler(repair),
        *evaluation.odd(repair.before),
        Section(labels.RECOVERY, recovery_elements(curves, key)),
        Section(labels.DOSES, dose_elements(repair, key)),
        *evaluation.by_position(curves, key),
        *scenarios(curves, key),
        *slices(curves, key),
    ]


def terminal_table(named: Sequence[tuple[str, Repair]], base: Evaluation) -> list[str]:
    controlled = any(repair.benefit.starts is not None for _, repair in named)
    rows = []
    for name, repair in named:
        change = refusals.short_change(repair.short_context, repair.before).value
        each = estimate(*benefit_triple(repair), signed=True)
        starts = repair.benefit.starts
        gained = [estimate(*starts, signed=True).value if starts else "–"] if controlled else []
        loss, gain = terms.loss(repair.after.oldest).value, f"{each.value} ({each.interval})"
        rows.append([name, change, loss, gain, *gained, captions.outcome_brief(repair)])
    head = [labels.COLUMN_INTERVENTION, labels.COLUMN_SHORT_BRIEF, labels.COLUMN_OLDEST, labels.COLUMN_BENEFIT]
    head += [labels.COLUMN_STARTS_BRIEF] if controlled else []
    head.append(labels.COLUMN_OUTCOME)
    own = [labels.BASE if len(named) == 1 else f"  {labels.BASE}", "", terms.loss(base.oldest).value]
    rows.insert(0, [*own, *[""] * (len(head) - len(own))])
    return [aligned(head, rows), wrapped(captions.table_legend(base, controlled))]


def _terminal(repair: Repair) -> list[str]:
    if terms.untouched(repair):
        return evaluation.terminal(repair.before)
    table = terminal_table([(terms.repair_label(repair), repair)], repair.before)
    return [*table, *evaluation.terminal_notes(repair.before.notes)]


def facts(repair: Repair) -> Facts:
    short = repair.short_context
    return [
        *flat(labels.FACT_INTERVENTION, repair.intervention),
        *flat(labels.FACT_TRAINING, repair.training),
        (labels.FACT_DOSE, f"{repair.dose:g}"),
        (labels.FACT_SHORT_AGES, captions.ages_weighed(short.ages)),
        (labels.FACT_WORST, refusals.worst_band(short, repair.before)),
        (labels.FACT_BY_BANDS, captions.by_bands(*refusals.by_bands_change(short, repair.before)[:2])),
    ]


def _facts(repair: Repair) -> Facts:
    measured = evaluation.facts(repair.before)
    return measured if terms.untouched(repair) else [*measured, *facts(repair)]


TELLING = Telling(
    record=Repair,
    name=lambda: labels.REPAIR,
    model=lambda repair: repair.before.model,
    badge=lambda repair: untouched_badge(repair.refused_because) if terms.untouched(repair) else badge(repair.accepted),
    headline=lambda repair: repair_headline(repair, terms.repair_label(repair)),
    lead=repair_lead,
    figures=_figures,
    sections=_sections,
    terminal=_terminal,
    next_steps=after_repair,
    facts=_facts,
    measured_on=lambda repair: captions.shorter(repair.before),
)
