"""How a comparison of repairs is told, and what they add to the base under its best remedy where that was asked for."""

from __future__ import annotations

from collections.abc import Sequence

from outlast.reporting import tables
from outlast.reporting.commands import Step, command, saved
from outlast.reporting.drawing.age_figures import Curve
from outlast.reporting.drawing.curves import dose_elements, dose_table
from outlast.reporting.elements import Fold, Paragraph, Section
from outlast.reporting.facts import Facts
from outlast.reporting.kinds import evaluation, repair, tuning
from outlast.reporting.kinds.repair import comparison_headline, comparison_lead
from outlast.reporting.kinds.repair_advice import after_comparison
from outlast.reporting.kinds.telling import Telling
from outlast.reporting.losses.recovery import recovery_elements
from outlast.reporting.losses.scenarios import scenarios
from outlast.reporting.losses.slices import slices
from outlast.reporting.pairing import beside
from outlast.reporting.tables import sample_sections
from outlast.reporting.words import captions, terms
from outlast.reporting.words.labels import hints, labels
from outlast.reporting.words.language import sentences, tell
from outlast.reporting.words.numbers import MINUS, duration, estimate, integer, number, percent
from outlast.results import CompareRow, Comparison, Evaluation, Repair, Tuning


def _helped(comparison: Comparison) -> Tuning | None:
    """What the base gives under its best remedy, where that is accepted and repairs are held against it."""
    found = comparison.tuning
    return found if found is not None and found.accepted and terms.picked_row(comparison) is not None else None


def _mended(found: Tuning) -> bool:
    """Whether no age is worse any more under the remedy, by more than is tolerated."""
    return found.after.verdict is not None and found.after.verdict.holds


def _badge(comparison: Comparison) -> tuple[str, str]:
    if terms.untouched(comparison):
        return repair.untouched_badge(comparison.refused_because)
    if comparison.winner is None and (found := _helped(comparison)):
        how = tell("Mended", "回復") if _mended(found) else tell("Better", "改善")
        return "good", tell(f"{how} without training", f"学習なしで{how}")
    return repair.badge(True) if comparison.winner is not None else ("bad", labels.BADGES["no_winner"])


def _headline(comparison: Comparison) -> str:
    """What the remedy gives and what the repair adds to it; without a remedy what the repairs give."""
    found, row = _helped(comparison), terms.picked_row(comparison)
    if found is None or row is None:
        return comparison_headline(comparison)
    base, own = comparison.base, terms.remedy(found.remedy)
    lost = base.verdict.excess if base.verdict else 0.0
    share = (base.oldest.loss - found.after.oldest.loss) / lost if lost > 0 else 0.0
    was, now = terms.loss(base.oldest).value, terms.level(found.after.oldest, terms.unit(base))
    took = tell(f" in {duration(found.seconds)}", f" {duration(found.seconds)}で") if found.seconds else ""
    chosen = tell(f"{own}, chosen{took} and without training, takes", f"学習なしに{took}選んだ {own}で、")
    if share > 0:
        part = tell(f"{percent(share)} of what", f"の {percent(share)} が")
        if share >= 1:
            all_of_it = tell("all that", "のすべてが")
            part = all_of_it if _mended(found) else tell(f"on average {all_of_it}", "が、平均してすべて")
        gives = tell(
            f"{chosen} back {part} this model loses as its state ages",
            f"{chosen}状態の年齢とともに失われる分{part}戻ります",
        )
    else:
        measure = terms.measure_name(base.measure)
        gives = tell(f"{chosen} the {measure} from {was} to {now}", f"{chosen}{measure}は {was} から {now} になります")
    gives = gives[:1].upper() + gives[1:]
    return tell(f"{gives}. {_beyond(row.repair, found)}.", f"{gives}。{_beyond(row.repair, found)}。")


def _runs_on(base: Evaluation) -> str:
    """From which age the model fails without a remedy, and what it gives there."""
    verdict = base.verdict
    if verdict is None or verdict.name != "fails" or base.short is None:
        return ""
    unit, age = terms.unit(base), integer(verdict.from_age or base.train_context)
    old, young = terms.level(base.oldest, unit), terms.with_unit(number(base.short.loss, 4), unit)
    return tell(
        f"As it runs on, the model fails from age {age} on: {old} at the oldest age, {young} within its training "
        "context.",
        f"そのまま続けると、モデルは年齢 {age} から破綻します。最も古い年齢で {old}、学習文脈長以内では {young} です。",
    )


def _beyond(made: Repair, found: Tuning) -> str:
    """What a trained repair adds to the base under its remedy, and whether the streams can tell."""
    change = beside(made.after, found.after.oldest.per_stream)
    size = terms.with_unit(estimate(*change, signed=True).value.lstrip(f"+{MINUS}"), terms.unit(made.after))
    if change[1] > 0:
        return tell(f"The trained repair is {size} worse than that", f"学習による修復はそれより {size} 悪くなります")
    if change[2] < 0:
        return tell(
            f"The trained repair gains another {size}{'' if made.accepted else ', but is not accepted'}",
            f"学習による修復でさらに {size} 良くなります{'' if made.accepted else 'が、採用できません'}",
        )
    better = change[0] < 0
    return tell(
        f"On average the trained repair is {size} {'better' if better else 'worse'}, but these streams cannot tell the "
        "two apart",
        f"学習による修復は平均で {size} {'良い' if better else '悪い'}ものの、これらの系列では両者を区別できません",
    )


def _lead(comparison: Comparison) -> str:
    """How the base runs on, what the repair is beside the remedy, and how it is judged."""
    said, found, row = comparison_lead(comparison), _helped(comparison), terms.picked_row(comparison)
    if found is None or row is None:
        tuned = "" if comparison.tuning is None or not comparison.rows else tuning.TELLING.headline(comparison.tuning)
        return sentences(tuned, said)
    judged = comparison_headline(comparison)
    change = estimate(*beside(row.repair.after, found.after.oldest.per_stream), signed=True)
    against = terms.with_interval(change, terms.unit(comparison.base))
    return sentences(
        _runs_on(comparison.base),
        tell(
            f"Against the base under {terms.remedy(found.remedy)}, the repair is {against}.",
            f"{terms.remedy(found.remedy)}を加えた元のモデルとの差は {against} です。",
        )
        if change.interval not in judged
        else "",
        judged,
        said,
    )


def _figures(comparison: Comparison) -> list[tuple[str, str]]:
    found = evaluation.figures(comparison.base)
    return [*found, (labels.FIGURE_INTERVENTIONS, integer(len(comparison.rows)))] if comparison.rows else found


def _under_remedy(comparison: Comparison) -> list[tuple[str, Repair]]:
    """The base under its best remedy as a row beside repairs: the name, and the record by which it is judged."""
    found = comparison.tuning
    return [] if found is None or found.remedy == "none" else [(found.remedy, tuning.as_repair(found))]


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
    remedy = _under_remedy(comparison)
    curves += [Curve(name, each.after, "remedy", refused=not each.accepted) for name, each in remedy]
    shared = picked or rows[0]
    curves += repair.control_curve(shared.repair)
    # What validation picked first, then the accepted, then by the loss at the oldest age.
    ranked = sorted(rows, key=lambda row: (row is not picked, not row.repair.accepted, row.repair.after.oldest.loss))
    entries = [(name, each, "") for name, each in remedy]
    entries += [(terms.row_label(row, rows), row.repair, _marked(row, comparison)) for row in ranked]
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
    untrained = tell("{}, no training", "{}、学習なし")
    named = [*((f"  {untrained.format(name)}", each) for name, each in _under_remedy(comparison)), *named]
    return [*repair.terminal_table(named, comparison.base), *evaluation.terminal_notes(comparison.base.notes)]


def _next_steps(comparison: Comparison) -> list[Step]:
    """After the quickstart a model of one's own; where only a remedy helps, the model under it; then as ever."""
    given, steps = comparison.base.command, after_comparison(comparison)
    if comparison.winner is None and _helped(comparison) and (folder := saved(given, "tuned")):
        text = tell("Run the model under its remedy:", "対処付きのモデルを動かします：")
        steps = [Step(text, command("stream", given, model=folder)), *steps]
    if given.verb != "quickstart":
        return steps
    return [
        Step(tell("Do the same with a model and a table of your own.", "自分のモデルと表で同じことをします。")),
        Step(
            tell(
                "A function that returns your trained model is all that the check needs:",
                "検査に必要なのは、学習済みのモデルを返す関数だけです：",
            ),
            "outlast check --model my_package.models:build",
        ),
        *steps,
    ]


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
    headline=_headline,
    lead=_lead,
    figures=_figures,
    sections=_sections,
    terminal=_terminal,
    next_steps=_next_steps,
    facts=_facts,
    measured_on=lambda comparison: captions.shorter(comparison.base),
)
