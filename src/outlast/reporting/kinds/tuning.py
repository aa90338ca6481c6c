"""How a tuning is told: which remedy helps without training, at what cost, and whether test streams accept it."""

from __future__ import annotations

from dataclasses import replace

from outlast.reporting import refusals, tables
from outlast.reporting.commands import Step, command, context, saved
from outlast.reporting.drawing import plots
from outlast.reporting.drawing.age_figures import Curve
from outlast.reporting.drawing.svg import Line, Look
from outlast.reporting.elements import Bullets, Cell, Element, FigureElement, Row, Section, Table
from outlast.reporting.facts import Facts
from outlast.reporting.kinds import evaluation, repair
from outlast.reporting.kinds.telling import Telling
from outlast.reporting.text_table import aligned
from outlast.reporting.words import terms
from outlast.reporting.words.labels import labels
from outlast.reporting.words.language import sentences, tell
from outlast.reporting.words.numbers import estimate, number
from outlast.results import Refusal, Repair, TriedRemedy, Tuning


def _as_repair(tuning: Tuning) -> Repair:
    """The record as a repair, whose rules judged it: refusals are told in one way."""
    return Repair(
        {"name": tuning.remedy}, 0, tuning.before, tuning.after, tuning.short_context, tuning.benefit, tuning.accepted,
        tuning.refused_because, {}, guards=tuning.guards,
    )  # fmt: skip


def _done(tuning: Tuning) -> bool:
    """Whether a remedy was judged on test streams."""
    return tuning.remedy != "none"


def said(remedy: str) -> str:
    """A remedy in words: "a reset every 640 positions"."""
    kind, *numbers = remedy.split(":")
    every, warm_up = (f"{int(each):,}" for each in [*numbers, "0"][:2])
    return {
        "leak": tell(f"a leak with τ = {every}", f"τ = {every} の漏れ"),
        "reset": tell(f"a reset every {every} positions", f"{every} 位置ごとのリセット"),
        "handover": tell(
            f"a handover every {every} positions after a warm-up of {warm_up}",
            f"{warm_up} 位置の助走の後、{every} 位置ごとの引き継ぎ",
        ),
        "two-copies": tell(
            f"two copies, each reset every {every} positions", f"{every} 位置ごとに交互に戻す二つの複製"
        ),
    }.get(kind, remedy)


def _in_pieces(tried: TriedRemedy) -> str:
    return tell(f" in pieces of {tried.pieces}", f"（{tried.pieces} 位置ごと）") if tried.pieces > 1 else ""


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
        return tell(
            "No remedy was chosen: on validation streams none of those tried gains more than half a tolerance.",
            "対処は選びませんでした。検証系列で、試したどれも許容差の半分を超えて改善しません。",
        )
    own = said(tuning.remedy) + _in_pieces(_picked(tuning))
    if not tuning.accepted:
        why = refusals.why(_as_repair(tuning))
        return tell(f"The best remedy, {own}, is refused, because {why}.", f"最良の対処（{own}）は不採用です。{why}。")
    was, now = terms.loss(tuning.before.oldest).value, terms.level(tuning.after.oldest, terms.unit(tuning.after))
    where, measure = terms.oldest_age(tuning.after.oldest), terms.measure_name(tuning.after.measure)
    change = refusals.short_change(tuning.short_context, tuning.before)
    return tell(
        f"Without training, {own} takes the {measure} {where} from {was} to {now}; short contexts changed by "
        f"{change.value} (allowed {change.allowed}).",
        f"学習せずに、{own}で{where}の{measure}は {was} から {now} になります。短い文脈の変化は {change.value}"
        f"（許容 {change.allowed}）です。",
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
        tell("It costs no more to run.", "実行費用は変わりません。")
        if picked.cost == 1
        else tell(
            f"It costs {number(picked.cost, 3)} times as much to run.", f"実行費用は {number(picked.cost, 3)} 倍です。"
        ),
    )


def _triple(tuning: Tuning) -> tuple[float, float, float]:
    return tuning.benefit.difference, tuning.benefit.low, tuning.benefit.high


def _picked(tuning: Tuning) -> TriedRemedy:
    return next(each for each in tuning.tried if each.name == tuning.remedy)


def _rows(tuning: Tuning) -> list[list[str]]:
    unit = terms.unit(tuning.before)
    return [
        [
            each.name + _in_pieces(each),
            number(each.cost, 3),
            number(each.loss),
            terms.with_interval(estimate(*each.difference, signed=True), unit),
            terms.with_interval(estimate(*each.short, signed=True), unit) if each.short else "0",
        ]
        for each in tuning.tried
    ]


def _columns() -> list[str]:
    return [
        tell("remedy", "対処"),
        tell("cost, copies", "費用（複製）"),
        labels.COLUMN_OLDEST_LOSS,
        tell("against running on (interval)", "続行との差（区間）"),
        tell("short contexts (interval)", "短い文脈の変化（区間）"),
    ]


def _by_tau(tuning: Tuning, key: str) -> list[Element]:
    """Loss at the oldest age, and how short contexts changed, over τ and over the period of a reset."""
    kinds = {kind: [each for each in tuning.tried if each.name.startswith(f"{kind}:")] for kind in ("leak", "reset")}
    if not all(kinds.values()):
        return []
    return [
        _over(kinds, "loss", labels.LOSS, tell("Loss at the oldest age", "最古の年齢での損失"), f"{key}-tau"),
        _over(kinds, "short", labels.LOSS, tell("Change on short contexts", "短い文脈の変化"), f"{key}-tau-short"),
    ]


def _over(kinds: dict[str, list[TriedRemedy]], what: str, y_label: str, title: str, key: str) -> FigureElement:
    names = {"leak": tell("leak", "漏れ"), "reset": tell("reset", "リセット")}
    lines, described = [], []
    for slot, (kind, tried) in enumerate(kinds.items()):
        shown = [
            (float(each.name.split(":")[1]), each.loss if what == "loss" else (each.short or (0.0,))[0])
            for each in tried
        ]
        own = [(f"{kind}:{x:g}", y, number(y)) for x, y in sorted(shown)]
        points = [(x, y, y, y) for x, y in sorted(shown)]
        told = [terms.plain(names[kind], place, value) for place, _, value in own]
        lines.append(Line(names[kind], Look(slot, slot == 0), points, own[-1][2], own[-1][2], told))
        described.append(terms.curve(names[kind], own, ""))
    axis = tell("τ of the leak, or period of the reset, positions", "漏れの τ、またはリセットの周期（位置）")
    drawing = plots.curve(
        lines, x_labels=(axis, axis), y_label=y_label, mark=None, zero_at=None, key=key, title=title,
        description=" ".join(described), height=320, log_x=True, markers=True,
    )  # fmt: skip
    return FigureElement(drawing.wide, drawing.narrow, [], title)


def _sections(tuning: Tuning, key: str) -> list[Section]:
    tried = []
    if tuning.tried:
        title = tell("Remedies on validation streams", "検証系列での対処")
        rows = [
            Row([Cell(each) for each in row], labels.ACCEPTED if tuning.accepted and own.name == tuning.remedy else "")
            for own, row in zip(tuning.tried, _rows(tuning), strict=True)
        ]
        tried.append(Section(title, [*_by_tau(tuning, key), Table(title, _columns(), rows)]))
    if not _done(tuning):
        why = repair.untouched_why(tuning.before, _untouched(tuning))
        return [*why, *tried, *evaluation.sections(tuning.before, key)]
    made = Curve(tuning.remedy, tuning.after, "picked", refused=not tuning.accepted)
    # Its resets are read off the age curve, and the remedy is measured as it runs: one reset would have two figures.
    curves = [Curve(labels.BASE, replace(tuning.before, resets={})), made]
    refused = [] if tuning.accepted else [
        Section(labels.REFUSED_WHY, [Bullets([terms.reason(each) for each in refusals.clauses(_as_repair(tuning))])])
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
    table = [aligned(_columns(), _rows(tuning))] if tuning.tried else evaluation.terminal(tuning.before)
    return [*table, *(evaluation.terminal_notes(tuning.before.notes) if tuning.tried else [])]


def _next_steps(tuning: Tuning) -> list[Step]:
    given, measured = tuning.before.command, context(tuning.before)
    if not _done(tuning) and _untouched(tuning) is not None:
        return []
    repaired = Step(
        tell("What a repair adds, by training:", "学習による修復で加わるもの："), command("repair", given, measured)
    )
    if not tuning.accepted:
        return [repaired]
    runs = command("stream", replace(given, options=""), model=saved(given), data=None)
    if given.out is None or tuning.before.data.get("kind") == "tokens":
        return [repaired]
    return [repaired, Step(tell("Run the model under its remedy:", "対処付きのモデルを動かします："), runs)]


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
