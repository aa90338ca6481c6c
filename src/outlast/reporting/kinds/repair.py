"""How a repair is told."""

from __future__ import annotations

from collections.abc import Sequence

from outlast.reporting import refusals, tables, verdict_reasons
from outlast.reporting.drawing import age_figures as ages
from outlast.reporting.drawing.age_figures import Curve
from outlast.reporting.drawing.curves import dose_elements
from outlast.reporting.elements import Bullets, Section
from outlast.reporting.facts import Facts, flat
from outlast.reporting.kinds import evaluation
from outlast.reporting.kinds.repair_advice import after_repair
from outlast.reporting.kinds.telling import Telling
from outlast.reporting.kinds.training import doublings
from outlast.reporting.losses.recovery import recovery_elements
from outlast.reporting.losses.scenarios import scenarios
from outlast.reporting.losses.short_contexts import ages_harmed, by_bands_change, short_change, worst_band
from outlast.reporting.losses.slices import slices
from outlast.reporting.pairing import Triple
from outlast.reporting.refusals import further_faults, why
from outlast.reporting.tables import sample_sections
from outlast.reporting.text_table import aligned, wrapped
from outlast.reporting.verdict_reasons import bound, reasons
from outlast.reporting.words import captions, terms
from outlast.reporting.words.labels import labels
from outlast.reporting.words.language import listed, sentences, spoken, tell
from outlast.reporting.words.numbers import estimate, integer, number
from outlast.reporting.words.terms import reason
from outlast.results import Comparison, Evaluation, Refusal, Repair, ShortContext

# What is said of a repair and of a comparison of repairs: the headline, and what qualifies it.


def repair_headline(repair: Repair, label: str) -> str:
    if terms.untouched(repair):
        return _untouched_headline(repair.before, repair.refused_because)
    if _open(repair.refused_because):
        return tell(
            f"Whether {label} can be accepted is undecided: {why(repair)}.",
            f"{label} を採用できるかどうかは未決定です。{why(repair)}。",
        )
    if not repair.accepted:
        return tell(f"{label} is refused, because {why(repair)}.", f"{label} は不採用です。{why(repair)}。")
    before, after = repair.before, repair.after
    fails = before.verdict is not None and before.verdict.name == "fails"
    change = short_change(repair.short_context, before)
    was, now = terms.loss(before.oldest).value, terms.level(after.oldest, terms.unit(after))
    where, measure = terms.oldest_age(after.oldest), terms.measure_name(after.measure)
    gained = ""
    if repair.benefit.starts is not None:
        # How clearly is said below; a sentence with three intervals is read by nobody.
        value = terms.with_unit(estimate(*repair.benefit.starts, signed=True).value, terms.unit(after))
        gained = tell(
            f", and its starts gained {value} over equal training from zero states",
            f"初期状態による改善は、ゼロ状態から始める同量の学習に対して {value} です。",
        )
    return tell(
        f"{label} {'repairs it' if fails else 'improves this model'}: {where}, the {measure} goes from {was} to {now}"
        f"{gained}; short contexts changed by {change.value}, at most {change.highest} (allowed {change.allowed}).",
        f"{label} はこのモデルを{'修復します' if fails else '改善します'}。{where}の{measure}は {was} から {now} に"
        f"なります。{gained}短い文脈の変化は {change.value}、最大でも {change.highest}（許容 {change.allowed}）です。",
    )


def _untouched_headline(before: Evaluation, because: Refusal | None) -> str:
    return sentences(verdict_reasons.first_of_all(before), _left_alone(before, because))


def _left_alone(before: Evaluation, because: Refusal | None) -> str:
    verdict = before.verdict
    if because is not None and because.name == "base_broken":
        broken = verdict_reasons.broken(before, because.because[0])
        return sentences(
            broken,
            tell(
                "Nothing was done, because other starts do not mend that.",
                "初期状態を変えても直らないため、何もしませんでした。",
            ),
        )
    if verdict is None:
        return tell(
            "There is nothing to repair, and nothing was done: on validation streams this model does not fail.",
            "修復は不要で、何もしませんでした。検証系列でこのモデルは破綻しません。",
        )
    excess = estimate(verdict.excess, verdict.low, verdict.high, signed=True)
    differs = terms.with_interval(excess, terms.unit(before))
    where, measure = terms.oldest_age(before.oldest), terms.measure_name(before.measure)
    if because is not None and because.name == "not_shown_to_fail":
        return tell(
            "Nothing was trained: validation streams are too few to tell whether this model fails, and age costs it no "
            f"more there than is tolerated. On test streams, {where}, its {measure} differs by {differs} from what it "
            "is within the training context.",
            "学習は行いませんでした。検証系列が少なく、破綻しているかどうかはわかりません。そこでの年齢の影響は許容差"
            "以内です。"
            f"テスト系列では、{where}の{measure}の学習文脈長以内との差は {differs} です。",
        )
    return tell(
        "There is nothing to repair, and nothing was done: on validation streams this model does not fail, and on test "
        f"streams, {where}, its {measure} differs by {differs} from what it is within the training context.",
        "修復は不要で、何もしませんでした。検証系列でこのモデルは破綻しません。テスト系列では、"
        f"{where}の{measure}の学習文脈長以内との差は {differs} です。",
    )


def comparison_headline(comparison: Comparison) -> str:
    if terms.untouched(comparison):
        return _untouched_headline(comparison.base, comparison.refused_because)
    row, count = terms.picked_row(comparison), integer(len(comparison.rows))
    if row is not None and row.name == comparison.winner:
        return repair_headline(row.repair, terms.row_label(row, comparison.rows))
    if not comparison.rows:
        return tell(
            "No repair was accepted, because none was tried.", "修復を一つも試していないため、採用はありません。"
        )
    if row is None:
        return tell(
            f"No repair was accepted, because none of the {count} interventions tried was picked.",
            f"試した {count} 個の介入のどれも選ばれなかったため、採用できる修復はありません。",
        )
    label = terms.row_label(row, comparison.rows)
    several = len(comparison.rows) > 1
    return tell(
        f"No repair was accepted, because of {label}, "
        f"{f'the best of {count} on validation' if several else 'the only one tried'}: {why(row.repair)}.",
        f"採用できる修復はありません。{f'検証系列で {count} 個のうち最も良い' if several else '唯一試した'} {label} が"
        f"不採用のためです。{why(row.repair)}。",
    )


def _untouched_lead(base: Evaluation, because: Refusal | None) -> str:
    verdict = base.verdict
    if because is None or because.name != "not_shown_to_fail":
        return _otherwise_on_test(base)
    return bound(base, verdict) if verdict is not None and verdict.name == "undecided" else ""


def repair_lead(repair: Repair) -> str:
    if terms.untouched(repair):
        return _untouched_lead(repair.before, repair.refused_because)
    return _gains(repair) if repair.accepted else _refused(repair)


def comparison_lead(comparison: Comparison) -> str:
    if terms.untouched(comparison):
        return _untouched_lead(comparison.base, comparison.refused_because)
    row = terms.picked_row(comparison)
    if row is not None and row.name == comparison.winner:
        count = integer(len(comparison.rows))
        among = tell(
            f"It was picked among {count} interventions on validation streams.",
            f"検証系列で {count} 個の介入の中から選ばれました。",
        )
        return sentences(among if len(comparison.rows) > 1 else "", _gains(row.repair))
    said = [_refused(row.repair)] if row is not None else []
    passing = [terms.row_label(each, comparison.rows) for each in comparison.rows if each.repair.accepted]
    if passing:
        said.append(
            tell(
                f"On the test streams {listed(passing)} would pass, but choosing by the test streams would be choosing "
                f"by luck: confirm it on other data first.",
                f"テスト系列では {listed(passing)} が合格しますが、テスト系列で選ぶのは運で選ぶのと同じです。"
                "まず別のデータで確かめてください。",
            )
        )
    return sentences(*said)


def _otherwise_on_test(base: Evaluation) -> str:
    """Where validation says that a model does not fail, and the test streams do not say so."""
    verdict = base.verdict
    if verdict is None or verdict.holds or verdict.name == "broken":
        return ""
    best = terms.ages(verdict.best_age or verdict.oldest_age)
    said = {
        "fails": tell("the model fails on them", "そこではモデルが破綻します"),
        "declines": tell(
            f"the model is best at {best} and worse at the oldest", f"モデルは{best}で最も良く、その後は衰えます"
        ),
    }.get(verdict.name, tell("they do not decide whether the model holds", "モデルが保たれるかどうかは決まりません"))
    return sentences(
        tell(
            f"The test streams do not say the same: {said}. Validation streams that resemble them would tell.",
            f"テスト系列の結果はこれと違います。{said}。テスト系列に似た検証系列なら、それがわかるはずです。",
        ),
        bound(base, verdict) if verdict.name == "undecided" else "",
    )


def _refused(repair: Repair) -> str:
    """What else is known of a refused repair."""
    because = refusals.obstacle(repair)
    if because is None:
        return ""
    passes = because.name == "plain_training_suffices" and repair.control_passes
    return sentences(
        further_faults(repair, because.also),
        tell(
            "The control, equal training from zero states, passes every rule itself.",
            "対照（ゼロ状態から始める同量の学習）は、それ自体がすべての規則を満たします。",
        )
        if passes
        else "",
    )


def _gains(repair: Repair) -> str:
    """What was gained: by the starts and by the training, and against what needs no training."""
    unit, rival = terms.unit(repair.after), terms.rival(repair.benefit.against, repair)
    gain = _with_interval(benefit_triple(repair), unit)
    free = repair.benefit.against != "base"
    parts = [
        tell(
            f"Against {rival}{', the best one gets without training at the same cost' if free else ''}, it is {gain}.",
            f"{rival}{'（同じ費用で学習せずに得られる最良のもの）' if free else ''}との差は {gain} です。",
        )
    ]
    if handover := repair.remedies.get("handover"):
        other, copies = _with_interval(repair.benefit.rivals["handover"]), number(handover.cost, 3)
        parts.append(
            tell(
                f"Against {handover.name}, at {copies} times the cost: {other}.",
                f"実行費用が {copies} 倍の {handover.name} との差は {other} です。",
            )
        )
    if repair.benefit.overlapping is not None:
        other = _with_interval(repair.benefit.overlapping)
        parts.append(
            tell(
                f"Against two overlapping resets, at twice the cost: {other}.",
                f"実行費用が二倍の交互リセットとの差は {other} です。",
            )
        )
    return sentences(
        ages_harmed(repair.short_context, repair.before, repair.after),
        own_verdict(repair.after, repair.accepted),
        base_undecided(repair.before),
        starts_sentence(repair),
        *parts,
    )


def own_verdict(after: Evaluation, accepted: bool) -> str:
    """What a repaired model would be told by itself; files of before hold accepted ones that fail or decline.

    Args:
        accepted: so that an undecided one is told with why it may be.
    """
    if after.verdict is None:
        return ""
    badge, age = labels.BADGES[after.verdict.name], integer(after.verdict.oldest_age[1] - 1)
    said = tell(f"Its own verdict, up to age {age}: {badge}.", f"年齢 {age} までの自身の判定：{badge}。")
    if not accepted or after.verdict.name != "undecided":
        return said
    why = tell(
        f"That is accepted, as only what is shown to fail or to decline is not: {_not_decided(after)}.",
        f"不採用になるのは破綻や衰えが示されたときだけなので、これは採用できます。{_not_decided(after)}。",
    )
    return sentences(said, why)


def base_undecided(base: Evaluation) -> str:
    """Why something is accepted although it is not decided whether the base fails; else nothing."""
    if base.verdict is None or base.verdict.name != "undecided":
        return ""
    return tell(
        f"The base's own verdict is undecided: {_not_decided(base)}. What was gained over it is known more closely, as "
        "it is paired by stream.",
        f"元のモデル自体の判定は未決定です。{_not_decided(base)}。それに対する改善は、系列ごとに対にしてあるため、"
        "もっと細かくわかります。",
    )


def _not_decided(evaluation: Evaluation) -> str:
    """Why a verdict is undecided, as a clause."""
    verdict = evaluation.verdict
    assert verdict is not None
    excess = terms.with_interval(estimate(verdict.excess, verdict.low, verdict.high, signed=True))
    if verdict.streams_needed is None:  # what was odd about the data withholds it, whatever the figures are
        odd = next((verdict_reasons.told(each) for each in evaluation.notes if each.said in verdict.because), "")
        return verdict_reasons.because_of(odd).rstrip(".。")
    tolerance = terms.tolerated(verdict.tolerance, evaluation)
    return tell(
        f"its excess over its best within the training context, {excess}, may be more than the {tolerance} tolerated",
        f"学習文脈長以内での自身の最良値に対する超過 {excess} は、許容 {tolerance} を超えるかもしれません",
    )


def starts_sentence(repair: Repair) -> str:
    """What the starts gained and what the training did; without a control, that nobody knows."""
    starts, control, unit = repair.benefit.starts, repair.control, terms.unit(repair.after)
    if starts is None or control is None:
        return tell(
            "It is not known whether its starts gained this or the training alone: no control (equal training from "
            "zero states) was made.",
            "これが初期状態による改善か、学習だけによるものかはわかりません。対照（ゼロ状態から始める同量の学習）を"
            "作らなかったためです。",
        )
    level, gained = terms.level(control.oldest, unit), _with_interval(starts, unit)
    reset, ages = repair.benefit.rivals.get("control_reset"), terms.ages(control.oldest.age)
    against = _with_interval(reset) if reset else ""
    return tell(
        f"Equal training from zero states (the control) gives {level} at {ages}; what the starts gained over it is "
        f"{gained}{f', and over the control under its best periodic reset {against}' if reset else ''}.",
        f"ゼロ状態から始める同量の学習（対照）では{ages}で {level} です。これに対する初期状態の改善は {gained}"
        f"{f'、最良の周期で定期リセットした対照に対しては {against}' if reset else ''} です。",
    )


def _with_interval(triple: Triple, unit: str = "") -> str:
    return terms.with_interval(estimate(*triple, signed=True), unit)


def benefit_triple(repair: Repair) -> Triple:
    return repair.benefit.difference, repair.benefit.low, repair.benefit.high


def _open(because: Refusal | None) -> bool:
    return because is not None and because.name == "undecided"


def badge(accepted: bool) -> tuple[str, str]:
    """A refused repair never wears the tone of a verdict."""
    return ("good", labels.BADGES["accepted"]) if accepted else ("bad", labels.BADGES["refused"])


def _badge(repair: Repair) -> tuple[str, str]:
    """One that streams are too few to accept is not refused."""
    if terms.untouched(repair):
        return untouched_badge(repair.refused_because)
    return ("open", labels.BADGES["undecided"]) if _open(repair.refused_because) else badge(repair.accepted)


def untouched_badge(because: Refusal | None) -> tuple[str, str]:
    """Where nothing was done: because there was nothing to repair, or nothing to be seen of it, or because the base is
    broken."""
    name = "nothing_to_repair" if because is None else because.name
    tone, badge = {"base_broken": ("bad", "broken"), "not_shown_to_fail": ("open", name)}.get(name, ("plain", name))
    return tone, labels.BADGES[badge]


def _figures(repair: Repair) -> list[tuple[str, str]]:
    found = evaluation.figures(repair.after)
    if terms.untouched(repair):
        return found
    return [*found, (labels.REPAIR, captions.made_by(repair.steps, repair.dose))]


def refused(repair: Repair) -> list[Section]:
    """The reasons of a refusal, and the names of what else would have refused it."""
    because = refusals.obstacle(repair)
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
        notes = {odd.said: verdict_reasons.told(odd) for odd in base.notes}
        found = [notes[each] for each in because.because if each in notes]
        return [*found, *(reasons(base)[-1:] if found else [])] or ["検証系列で、元のモデルの予測が壊れています。"]
    name = because.because[0].rpartition(" ")[2]
    return [f"検証系列でのこのモデルの判定は「{labels.BADGES.get(name, name)}」です。"]


def by_age(curves: Sequence[Curve], short: ShortContext | None, key: str, title: str = "") -> list[Section]:
    """What repairs changed, losses on one axis, and the excess that verdicts rest on.

    Args:
        title: of what was changed, where that is no repair.
    """
    title = title or ages.change_title(curves)
    return [
        Section(title, ages.change_curve(curves, short, key, title)),
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
        *doublings(repair.training, repair.steps, terms.unit(repair.after)),
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
        change = short_change(repair.short_context, repair.before).value
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
        (labels.FACT_WORST, worst_band(short, repair.before)),
        (labels.FACT_BY_BANDS, captions.by_bands(*by_bands_change(short, repair.before)[:2])),
    ]


def _facts(repair: Repair) -> Facts:
    measured = evaluation.facts(repair.before)
    return measured if terms.untouched(repair) else [*measured, *facts(repair)]


TELLING = Telling(
    record=Repair,
    name=lambda: labels.REPAIR,
    model=lambda repair: repair.before.model,
    badge=_badge,
    headline=lambda repair: repair_headline(repair, terms.repair_label(repair)),
    lead=repair_lead,
    figures=_figures,
    sections=_sections,
    terminal=_terminal,
    next_steps=after_repair,
    facts=_facts,
    measured_on=lambda repair: captions.shorter(repair.before),
)
