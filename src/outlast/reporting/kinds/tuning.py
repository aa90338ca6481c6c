"""How a tuning is told: which remedy helps without training, at what cost, and whether test streams accept it."""

from __future__ import annotations

import shlex
from dataclasses import replace

from outlast.reporting import refusals, tables
from outlast.reporting.commands import Step, command, context, same_ages, saved
from outlast.reporting.drawing.age_figures import Curve
from outlast.reporting.drawing.plots import Plot, Point, element, line_of
from outlast.reporting.drawing.svg import Look
from outlast.reporting.elements import Bullets, Cell, Element, FigureElement, Row, Section, Table
from outlast.reporting.facts import Facts
from outlast.reporting.kinds import evaluation, repair
from outlast.reporting.kinds.first_steps import better_first, mend, settling
from outlast.reporting.kinds.telling import Telling
from outlast.reporting.losses.short_contexts import ages_harmed, short_change
from outlast.reporting.text_table import aligned, wrapped
from outlast.reporting.words import terms
from outlast.reporting.words.labels import labels
from outlast.reporting.words.language import sentences, tell
from outlast.reporting.words.numbers import Estimate, estimate, number
from outlast.results import Refusal, Repair, TriedRemedy, Tuning


def as_repair(tuning: Tuning) -> Repair:
    """The record as a repair, whose rules judged it: refusals are told in one way."""
    return Repair(
        {"name": tuning.remedy}, 0, tuning.before, tuning.after, tuning.short_context, tuning.benefit, tuning.accepted,
        tuning.refused_because, {}, guards=tuning.guards,
    )  # fmt: skip


def _open(tuning: Tuning) -> bool:
    """Whether test streams are too few to accept the remedy or to refuse it."""
    return tuning.refused_because is not None and tuning.refused_because.name == "undecided"


def _done(tuning: Tuning) -> bool:
    """Whether a remedy was judged on test streams."""
    return tuning.remedy != "none"


def _headline(tuning: Tuning) -> str:
    if not _done(tuning):
        because = tuning.refused_because
        if because is not None and because.untouched:
            return tell(
                "No remedy is needed, and none was chosen: on validation streams this model does not fail."
                if because.name == "nothing_to_repair"
                else "No remedy was chosen: the model is broken, and none mends that.",
                "対処は不要で、何も選びませんでした。検証系列でこのモデルは破綻しません。"
                if because.name == "nothing_to_repair"
                else "モデルが壊れており、どの対処でも直らないため、何も選びませんでした。",
            )
        allowed, best = _left_out(tuning), _best(tuning)
        return tell(
            f"No remedy was chosen: on validation streams none of those {'that may be picked' if allowed else 'tried'} "
            f"gains more than half a tolerance{best}.",
            f"対処は選びませんでした。検証系列で、{'許される' if allowed else '試した'}どれも許容差の半分を超えて"
            f"改善しません{best}。",
        )
    own = terms.remedy(tuning.remedy)
    if not tuning.accepted:
        why = refusals.why(as_repair(tuning))
        if _open(tuning):
            return tell(
                f"Whether the best remedy, {own}, can be accepted is undecided: {why}.",
                f"最良の対処（{own}）を採用できるかどうかは未決定です。{why}。",
            )
        return tell(f"The best remedy, {own}, is refused, because {why}.", f"最良の対処（{own}）は不採用です。{why}。")
    was, now = terms.loss(tuning.before.oldest).value, terms.level(tuning.after.oldest, terms.unit(tuning.after))
    where, measure = terms.oldest_age(tuning.after.oldest), terms.measure_name(tuning.after.measure)
    change = short_change(tuning.short_context, tuning.before)
    return tell(
        f"Without training, {own} takes the {measure} {where} from {was} to {now}; short contexts changed by "
        f"{change.value} (allowed {change.allowed}).",
        f"学習せずに、{own}で{where}の{measure}は {was} から {now} になります。短い文脈の変化は {change.value}"
        f"（許容 {change.allowed}）です。",
    )


def _best(tuning: Tuning) -> str:
    """The best of remedies that gain too little, as the end of a clause; of files of before nothing."""
    remedy = tuning.refused_because.remedy if tuning.refused_because else None
    found = next((each for each in tuning.tried if each.name == remedy), None)
    if found is None:
        return ""
    change = _with_ends(found.difference)
    return tell(
        f"; the best, {terms.remedy(found.name)}, differs from running on by {change}",
        f"（最良は{terms.remedy(found.name)}で、そのまま続けた場合との差は {change}）",
    )


def _lead(tuning: Tuning) -> str:
    if not _done(tuning):
        return ""
    picked = _picked(tuning)
    gain = terms.with_interval(estimate(*_triple(tuning), signed=True), terms.unit(tuning.after))
    return sentences(
        tell(
            f"Against the model as it runs on, it is {gain} on test streams.",
            f"そのまま続けた場合との差は、テスト系列で {gain} です。",
        ),
        ages_harmed(tuning.short_context, tuning.before, tuning.after) if tuning.accepted else "",
        # Under a reset part of the targets are read by a young state at any age, and a verdict would say only that.
        repair.own_verdict(tuning.after, tuning.accepted) if tuning.remedy.startswith("leak:") else "",
        repair.base_undecided(tuning.before) if tuning.accepted else "",
        tell("It costs no more to run.", "実行費用は変わりません。")
        if picked.cost == 1
        else tell(
            f"It costs {number(picked.cost, 3)} times as much to run.", f"実行費用は {number(picked.cost, 3)} 倍です。"
        ),
        _other(tuning),
    )


def _other(tuning: Tuning) -> str:
    """That test streams were asked twice, and what came out the other time."""
    if tuning.other is None:
        return ""
    name, because = terms.remedy(tuning.other.name), tuning.other.because
    fault = labels.REFUSALS[because.name]
    if not tuning.accepted:
        return tell(
            f"The second choice, {name}, was not accepted either ({fault}).",
            f"第二候補（{name}）も採用できません（{fault}）。",
        )
    found = "do not decide about" if because.name == "undecided" else "refuse"
    return tell(
        f"This is the second choice: test streams {found} the first, {name} ({fault}). As they were asked twice, the "
        "intervals of the second are of 97.5 %.",
        f"これは第二候補です。第一候補（{name}）はテスト系列で採用できませんでした（{fault}）。"
        "テスト系列に二度尋ねたため、区間は 97.5 % のものです。",
    )


def _triple(tuning: Tuning) -> tuple[float, float, float]:
    return tuning.benefit.difference, tuning.benefit.low, tuning.benefit.high


def _picked(tuning: Tuning) -> TriedRemedy:
    return next(each for each in tuning.tried if each.name == tuning.remedy)


def _rows(tuning: Tuning) -> list[list[str]]:
    return [
        [
            each.name,
            *([number(each.cost, 3)] if _costs(tuning) else []),
            number(each.loss),
            _with_ends(each.difference),
            _with_ends(each.short) if each.short and any(each.short) else "0",
        ]
        for each in tuning.tried
    ]


def _with_ends(change: tuple[float, float, float]) -> str:
    """A change and its interval, in the unit of the losses beside it."""
    found = estimate(*change, signed=True)
    return tell(f"{found.value} ({found.interval})", f"{found.value}（{found.interval}）")


def _costs(tuning: Tuning) -> bool:
    """Whether any of those tried costs more than the model as it runs on."""
    return any(each.cost > 1 for each in tuning.tried)


def _columns(tuning: Tuning) -> list[str]:
    return [
        tell("remedy", "対処"),
        *([tell("cost, copies", "費用（複製）")] if _costs(tuning) else []),
        labels.COLUMN_OLDEST_LOSS,
        tell("against running on", "続行との差（区間）"),
        tell("short contexts", "短い文脈の変化（区間）"),
    ]


def _by_tau(tuning: Tuning, key: str) -> list[Element]:
    """Loss at the oldest age, and how short contexts changed, over τ and over the period of a reset."""
    kinds: dict[str, list[TriedRemedy]] = {"leak": [], "from": [], "reset": []}
    for each in tuning.tried:
        kind, tau, *_ = each.name.split(":")
        kind = "from" if kind == "leak" and ":from=" in each.name else kind
        if kind in kinds and "=" not in tau:
            kinds[kind].append(each)
    kinds = {kind: tried for kind, tried in kinds.items() if tried}
    if "leak" not in kinds or "reset" not in kinds:
        return []
    loss = terms.in_unit(terms.measure_name(tuning.before.measure), terms.unit(tuning.before))
    return [
        _over(kinds, "loss", loss, tell("Loss at the oldest age", "最古の年齢での損失"), f"{key}-tau"),
        _over(kinds, "short", loss, tell("Change on short contexts", "短い文脈の変化"), f"{key}-tau-short"),
    ]


def _over(kinds: dict[str, list[TriedRemedy]], what: str, y_label: str, title: str, key: str) -> FigureElement:
    names = {
        "leak": tell("leak", "漏れ"),
        "from": tell("leak from an age on", "ある年齢からの漏れ"),
        "reset": tell("reset", "リセット"),
    }
    lines = []
    for slot, (kind, tried) in enumerate(kinds.items()):
        shown = sorted(
            (float(each.name.split(":")[1]), each.loss if what == "loss" else (each.short or (0.0,))[0])
            for each in tried
        )
        points = [Point(f"{x:g}", x, (y, y, y), Estimate(number(y), "")) for x, y in shown]
        lines.append(line_of(names[kind], Look(slot, slot == 0), points))
    lines = [replace(each, end=f"{each.value} {each.name}", value=f"{each.value} {each.name}") for each in lines]
    axis = tell("τ of the leak, or period of the reset, positions", "漏れの τ、またはリセットの周期（位置）")
    y_label = tell(f"{title}: {y_label}", f"{title}：{y_label}")
    return element(Plot(key, title, lines, (axis, axis), y_label, height=320), title)


def _left_out(tuning: Tuning) -> list[tuple[str, str]]:
    """Remedies that validation refused, with the fault."""
    return [(each.name, labels.REFUSALS[each.refused]) for each in tuning.tried if each.refused]


def _marked(tuning: Tuning, own: TriedRemedy) -> tuple[str, str]:
    """The word that marks a remedy among those tried, and its tone: accepted, or why it was not picked."""
    if own.refused:
        return labels.REFUSALS[own.refused], "bad"
    return labels.ACCEPTED if tuning.accepted and own.name == tuning.remedy else "", "good"


def _sections(tuning: Tuning, key: str) -> list[Section]:
    tried = []
    if tuning.tried:
        title = tell("Remedies on validation streams", "検証系列での対処")
        rows = [
            Row([Cell(each) for each in row], *_marked(tuning, own))
            for own, row in zip(tuning.tried, _rows(tuning), strict=True)
        ]
        tried.append(Section(title, [*_by_tau(tuning, key), Table(title, _columns(tuning), rows)]))
    if not _done(tuning):
        why = repair.untouched_why(tuning.before, _untouched(tuning))
        return [*why, *tried, *evaluation.sections(tuning.before, key)]
    made = Curve(tuning.remedy, tuning.after, "picked", refused=not tuning.accepted)
    # Its resets are read off the age curve, and the remedy is measured as it runs: one reset would have two figures.
    curves = [Curve(labels.BASE, replace(tuning.before, resets={})), made]
    refused = [] if tuning.accepted else [
        Section(labels.REFUSED_WHY, [Bullets([terms.reason(each) for each in refusals.clauses(as_repair(tuning))])])
    ]  # fmt: skip
    return [
        *refused,
        *tried,
        *tables.guards(tuning.guards, tuning.before, accepted=tuning.accepted),
        *repair.by_age(curves, tuning.short_context, key, labels.REMEDY_CURVE),
        *evaluation.odd(tuning.before),
    ]


def _untouched(tuning: Tuning) -> Refusal | None:
    because = tuning.refused_because
    return because if because is not None and because.untouched else None


def _terminal(tuning: Tuning) -> list[str]:
    if not tuning.tried:
        return evaluation.terminal(tuning.before)
    broken = [tell(f"{name} ({fault})", f"{name}（{fault}）") for name, fault in _left_out(tuning)]
    left_out = tell(
        f"Left out, as they break a rule on validation streams already: {', '.join(broken)}.",
        f"検証系列ですでに規則に反するため、選びませんでした：{'、'.join(broken)}。",
    )
    table = aligned(_columns(tuning), _rows(tuning))
    return [table, *([wrapped(left_out)] if broken else []), *evaluation.terminal_notes(tuning.before.notes)]


def _next_steps(tuning: Tuning) -> list[Step]:
    given, measured = tuning.before.command, context(tuning.before)
    if (verdict := tuning.before.verdict) is not None and verdict.name == "broken":
        return mend(tuning.before)
    if not tuning.accepted and (first := better_first(tuning.before)):
        return first
    if not _done(tuning) and (because := _untouched(tuning)) is not None:
        return evaluation.untouched(tuning.before, because, "repair")
    repaired = Step(
        tell("What a repair adds, by training:", "学習による修復で加わるもの："), command("repair", given, measured)
    )
    if missing := refusals.open_whole(as_repair(tuning)):
        return [_settle(tuning, missing), repaired]
    if not tuning.accepted:
        return [repaired]
    runs = command("stream", replace(given, options=""), model=saved(given), data=None)
    if given.out is None or tuning.before.data.get("kind") == "tokens":
        return [repaired]
    return [repaired, Step(tell("Run the model under its remedy:", "対処付きのモデルを動かします："), runs)]


def _settle(tuning: Tuning, missing: refusals.Unsettled) -> Step:
    """More data, or more of their targets, where nothing else refuses the remedy."""
    base, text = tuning.before, settling(missing, tuning.before, tell("this remedy", "この対処"))
    asked = [] if tuning.cost == 1 else [f"--cost {tuning.cost:g}"]
    asked += [f"--guard {shlex.join(tuning.guards)}"] if tuning.guards else []
    if missing.scored is not None:
        return Step(text, command("tune", base.command, context(base, scored=missing.scored), *asked))
    return Step(text, command("tune", base.command, context(base, ages=same_ages(base)), *asked, data="MORE_DATA"))


def _facts(tuning: Tuning) -> Facts:
    return [
        *evaluation.facts(tuning.before),
        (tell("cost allowed", "許される費用"), tell(f"{tuning.cost:g} copies", f"複製 {tuning.cost:g} 個分")),
        (tell("remedies tried", "試した対処"), ", ".join(each.name for each in tuning.tried) or "–"),
    ]


def _badge(tuning: Tuning) -> tuple[str, str]:
    because = tuning.refused_because
    if _untouched(tuning):
        return repair.untouched_badge(because)
    if tuning.accepted:
        return "good", tell("Remedy accepted", "対処を採用")
    if _open(tuning):
        return "open", labels.BADGES["undecided"]
    return "bad", tell("Remedy refused", "対処は不採用") if _done(tuning) else tell("No remedy", "対処なし")


TELLING = Telling(
    record=Tuning,
    name=lambda: tell("Tuning", "調整"),
    model=lambda tuning: tuning.before.model,
    badge=_badge,
    headline=_headline,
    figures=lambda tuning: evaluation.figures(tuning.after),
    sections=_sections,
    terminal=_terminal,
    next_steps=_next_steps,
    facts=_facts,
    lead=_lead,
)
