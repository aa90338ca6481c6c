"""What is said of a timeline: how it stands now, what happened, and what each gate found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from outlast.reporting.kinds.timeline import reasons
from outlast.reporting.kinds.timeline.reasons import in_line, words
from outlast.reporting.words import terms
from outlast.reporting.words.language import listed, sentences, tell
from outlast.reporting.words.numbers import estimate, integer, number, percent
from outlast.reporting.words.terms import with_unit
from outlast.results import AtWork, CandidateTold, GateAnswer, Instant, LiveEvidence, Timeline

HARMFUL = ("worse_than_reset", "advantage_lost")
"""Harms of incidents in which age hurts."""


def unit(told: Timeline) -> str:
    """Of losses; empty where it only repeats what they are called."""
    own = terms.unit_name(told.unit)
    return "" if own == terms.measure_name(told.measure) else own


def name(candidate: int | None) -> str:
    """A version by what people type for it."""
    return words.FIRST_MODEL if candidate is None else tell(f"candidate {candidate}", f"候補 {candidate}")


def names(told: Timeline) -> dict[str, int | None]:
    """The candidate of every model by its fingerprint; None: the first model."""
    found: dict[str, int | None] = {each.model: each.candidate for each in told.at_work}
    return found | {each.model: each.number for each in told.candidates if each.model is not None}


def time(instant: Instant) -> str:
    """ "2026-03-04 03:12", in UTC."""
    return f"{instant.at[:10]} {instant.at[11:16]}"


def clock(instant: Instant) -> str:
    """ "2026-03-04 03:12 UTC"."""
    return f"{time(instant)} UTC"


def rows(count: int) -> str:
    return tell(f"{integer(count)} row{'' if count == 1 else 's'}", f"{integer(count)} 行")


def incidents(count: int) -> str:
    return tell(f"{integer(count)} incident{'' if count == 1 else 's'}", f"{integer(count)} 件の異常")


def headline(told: Timeline) -> str:
    """How it stands now."""
    now = told.now
    if now is None:
        return tell("Nothing is at work.", "運用中のモデルはありません。")
    who, since = name(now.candidate), clock(now.since)
    if told.rows == 0:
        work = tell(
            f"{_capital(who)} has been at work since {since}; no row has been answered yet",
            f"{who}が {since} から運用中です。まだ一行も応答していません",
        )
    else:
        answered = rows(told.rows - now.since.rows)
        again = _back(told, now)
        work = tell(
            f"{_capital(who)} has been at work {'again ' if again else ''}since {since} ({answered})",
            f"{who}が {since} から{'再び' if again else ''}運用中です（{answered}）",
        )
    parts = [work, gained(told), _open(told)]
    return tell("; ".join(filter(None, parts)) + ".", "。".join(filter(None, parts)) + "。")


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def _back(told: Timeline, now: AtWork) -> bool:
    """Whether it was at work before, and what replaced it is gone."""
    return any(each.model == now.model for each in told.at_work[:-1])


def gained(told: Timeline) -> str:
    """What the version at work loses less than the one before, on the same rows; empty: nobody measured that."""
    now = told.now
    if now is None or now.candidate is None or _back(told, now):
        return ""
    known, one = told.evidence, told.candidate(now.candidate)
    gain = None
    if known is not None and known.part == "warm" and known.candidate == now.candidate and known.blocks:
        gain = known.gain
    elif one is not None:
        for gate in one.gates:
            if gate.name == "paired losses" and isinstance(gate.figures.get("gain"), float):
                gain = gate.figures["gain"]
    if gain is None:
        return ""
    size = with_unit(number(abs(gain), 2), unit(told))
    less = gain >= 0
    return tell(
        f"on the same rows it lost {size} {'less' if less else 'more'} than the version before",
        f"同じ行で前の版より損失が {size} {'小さく' if less else '大きく'}なりました",
    )


def _open(told: Timeline) -> str:
    if not told.open_now:
        return tell("no incident is open", "継続中の異常はありません")
    count, harmful = incidents(told.open_now), integer(told.harmful_now)
    verb = "is" if told.open_now == 1 else "are"
    if not told.harmful_now:
        return tell(f"{count} {verb} open", f"{count}が継続中です")
    if told.open_now == 1:
        return tell("1 incident is open, and it hurts", "害のある異常 1 件が継続中です")
    hurt = "hurts" if told.harmful_now == 1 else "hurt"
    return tell(f"{count} are open, {harmful} of which {hurt}", f"{count}が継続中で、うち {harmful} 件に害があります")


def lead(told: Timeline) -> str:
    """What was rolled back last, and what reads beside."""
    return sentences(_gone(told), *(_under_way(told, each) for each in told.candidates))


def _gone(told: Timeline) -> str:
    """That the last version at work was rolled back, and why."""
    now = told.now
    if now is None or not _back(told, now) or len(told.at_work) < 2:
        return ""
    gone = told.at_work[-2]
    why = reasons.reason(now.because, told.candidate(gone.candidate)).rstrip("。.")
    who = name(gone.candidate)
    return tell(f"{_capital(who)} was rolled back: {why}.", f"{who}は切り戻されました（{why}）。")


def _under_way(told: Timeline, one: CandidateTold) -> str:
    """A candidate that is on its way."""
    who = name(one.number)
    if one.status == "gated":
        return tell(
            f"{_capital(who)} came through its gates and waits for a person.",
            f"{who}は関門を通過し、人の承認を待っています。",
        )
    if one.status not in ("shadow", "canary"):
        return ""
    known, stage = told.evidence, words.PARTS[one.status]
    reads = tell(f"{_capital(who)} reads beside it {stage}", f"{who}が{stage}並んで読んでいます")
    if known is None or (known.candidate, known.part) != (one.number, one.status):
        return tell(f"{reads}.", f"{reads}。")
    return tell(f"{reads}: {evidence(known, unit(told))}.", f"{reads}（{evidence(known, unit(told))}）。")


def evidence(known: LiveEvidence, unit: str) -> str:
    """What live streams say of a version by now."""
    if known.waits:
        left = integer(known.waits)
        return tell(
            f"it has {left} rows to read before its losses count",
            f"損失を数え始めるまでにあと {left} 行を読みます",
        )
    return _found(known.verdict, known.blocks, known.streams, known.gain, known.broken, unit)


def _found(verdict: str, blocks: int, streams: int, gain: float, broken: int, unit: str) -> str:
    if verdict == "worse" and broken:
        return tell(
            f"{integer(broken)} of its forecasts are no numbers",
            f"予測のうち {integer(broken)} 個が数ではありません",
        )
    after = tell(
        f"after {integer(blocks)} blocks of {streams} streams", f"{streams} 系列の {integer(blocks)} ブロックで"
    )
    less = with_unit(number(abs(gain), 2), unit)
    way = tell("less" if gain >= 0 else "more", "小さい" if gain >= 0 else "大きい")
    if not blocks:
        return tell("there is no evidence yet", "証拠はまだありません")
    match verdict:
        case "better":
            said = tell("live streams say that it is better", "良いと分かりました")
        case "worse":
            said = tell("live streams say that it is worse", "悪いと分かりました")
        case _:
            said = tell("live streams do not decide yet", "まだ決まりません")
    return tell(f"{after}, {said}; it loses {less} {way}", f"{after}{said}。損失は {less} {way}")


def gate(answer: GateAnswer, told: Timeline) -> str:
    """What one gate found, in words."""
    figures = answer.figures
    why = figures.get("because")
    if isinstance(why, str) and not answer.passed:
        if answer.name == "paired losses":
            return reasons.finding(in_line(why))
        return reasons.why_not(in_line(why))
    found = _GATES[answer.name](figures, unit(told)) if answer.name in _GATES else ""
    return found or "–"


def _interval(value: Any, unit: str) -> str:
    """A difference with its interval; empty where there is none."""
    if (
        not isinstance(value, list | tuple)
        or len(value) != 3
        or not all(isinstance(each, int | float) for each in value)
    ):
        return ""
    return terms.with_interval(estimate(*map(float, value), signed=True), unit)


def _number(figures: dict[str, Any], key: str) -> float | None:
    value = figures.get(key)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _count(figures: dict[str, Any], key: str) -> int:
    return int(_number(figures, key) or 0)


def _collected(figures: dict[str, Any], unit: str) -> str:
    if _number(figures, "train") is None:
        return ""
    ours, theirs = ((integer(_count(figures, k)), integer(_count(figures, f"{k}_streams"))) for k in ("train", "later"))
    left = figures.get("left_out")
    count = integer(sum(map(int, left.values()))) if isinstance(left, dict) else "0"
    return tell(
        f"{ours[0]} states of {ours[1]} streams to train on, {theirs[0]} of {theirs[1]} for the gates; "
        f"{count} left out",
        f"学習用に {ours[1]} 系列の状態 {ours[0]} 個、関門用に {theirs[1]} 系列の {theirs[0]} 個。"
        f"除いたもの {count} 個",
    )


def _trained(figures: dict[str, Any], unit: str) -> str:
    share = _number(figures, "share")
    if share is None:
        return ""
    return tell(
        f"{percent(share)} of the rows started from kept states",
        f"行の {percent(share)} が保存した状態から始まりました",
    )


def _finite(figures: dict[str, Any], unit: str) -> str:
    parts = {
        "weights": tell("weights", "重み"),
        "corpus": tell("predictions on held-out streams", "評価用の系列での予測"),
        "later": tell("predictions on later incidents", "後の異常での予測"),
    }
    if not any(key in figures for key in parts):
        return ""
    bad = [text for key, text in parts.items() if not figures.get(key)]
    if bad:
        return tell(f"not finite: {listed(bad)}", f"有限でないもの：{listed(bad)}")
    return tell(
        "weights and predictions are finite numbers",
        "重みも予測も有限の数です",
    )


def _short(figures: dict[str, Any], unit: str) -> str:
    change, margin = _interval(figures.get("difference"), unit), _number(figures, "margin")
    if not change or margin is None:
        return change
    allowed = with_unit(number(margin, 2), unit)
    return tell(f"change {change}; {allowed} is allowed", f"変化 {change}。許容は {allowed}")


def _guards(figures: dict[str, Any], unit: str) -> str:
    found = figures.get("guards")
    if not isinstance(found, dict) or not found:
        return tell("no further data were named", "他のデータの指定なし")
    return listed([f"{in_line(str(key))}: {_interval(value, unit) or '–'}" for key, value in found.items()])


def _corpus(figures: dict[str, Any], unit: str) -> str:
    base, reset = _interval(figures.get("against_base"), unit), _interval(figures.get("against_reset"), unit)
    if not base:
        return ""
    said = tell(f"{base} against the model at work", f"運用中のモデルとの差 {base}")
    if not reset:
        return said
    return tell(f"{said}; {reset} against its best reset", f"{said}。その最良のリセットとの差 {reset}")


def _later(figures: dict[str, Any], unit: str) -> str:
    own, base = _number(figures, "candidate"), _number(figures, "base")
    apart = _interval(figures.get("difference"), unit)
    if own is None or base is None:
        return apart
    levels = with_unit(number(own, 3), unit), number(base, 3)
    said = tell(
        f"loss {levels[0]} where the model at work has {levels[1]}",
        f"損失 {levels[0]}（運用中のモデルは {levels[1]}）",
    )
    return tell(f"{said}: {apart}", f"{said}。差 {apart}") if apart else said


def _reset(figures: dict[str, Any], unit: str) -> str:
    own, base = _interval(figures.get("excess"), unit), _interval(figures.get("base_excess"), unit)
    if not own:
        return ""
    said = tell(f"{own} above a young copy of itself", f"若い複製との差 {own}")
    return tell(f"{said}; the model at work {base}", f"{said}。運用中のモデルは {base}") if base else said


def _alarm(figures: dict[str, Any], unit: str) -> str:
    own, base, bar = figures.get("candidate"), figures.get("base"), _number(figures, "rises_above")
    if not isinstance(own, dict) or not isinstance(base, dict) or bar is None:
        return ""
    said = []
    for key in own:
        signal, values = words.SIGNALS.get(key, in_line(str(key))), (_number(own, key), _number(base, key))
        if values[0] is not None and values[1] is not None:
            mine, theirs = number(values[0], 2), number(values[1], 2)
            said.append(
                tell(f"{signal} {mine} (the model at work {theirs})", f"{signal} {mine}（運用中のモデル {theirs}）")
            )
    if not said:
        return ""
    scale = tell(f"1 is usual, an alarm rises above {number(bar, 2)}", f"普段は 1、警報は {number(bar, 2)} 超で上昇")
    return tell(f"{listed(said)}; {scale}", f"{listed(said)}。{scale}")


def _handover(figures: dict[str, Any], unit: str) -> str:
    apart = _interval(figures.get("difference"), unit)
    match figures.get("better"):
        case "handed_over":
            said = tell("states of the version before do better after a switch", "切り替え後は前の版の状態の方が良い")
        case "encoded_anew":
            said = tell("inputs that are read again do better after a switch", "切り替え後は入力の読み直しの方が良い")
        case _:
            return ""
    return tell(f"{said}: {apart}", f"{said}。差 {apart}") if apart else said


def _live(figures: dict[str, Any], unit: str) -> str:
    gain, verdict = _number(figures, "gain"), figures.get("verdict")
    if gain is None or not isinstance(verdict, str):
        return ""
    blocks, streams = _count(figures, "blocks"), _count(figures, "streams")
    return _found(verdict, blocks, streams, gain, _count(figures, "broken"), unit)


_GATES: dict[str, Callable[[dict[str, Any], str], str]] = {
    "collected": _collected,
    "trained": _trained,
    "finite": _finite,
    "short contexts": _short,
    "guards": _guards,
    "corpus": _corpus,
    "later incidents": _later,
    "not worse than a reset": _reset,
    "alarm": _alarm,
    "handover": _handover,
    "paired losses": _live,
}


def caption(told: Timeline, timed: bool) -> str:
    """How the picture is read."""
    said = [
        tell(
            "The thick line is the version at work, thin ones read beside it. Vertical lines are stages of candidates; "
            "their numbers are those of the ledger.",
            "太い線が運用中の版、細い線は並んで読む版です。縦線は候補の段階で、番号は台帳のものです。",
        ),
        tell(
            "A point is the mean over the rows since the one before.",
            "一つの点は、その前の点からの行の平均です。",
        ),
    ]
    if timed:
        said.append(
            tell(
                "Below the number of rows stands the time that the data have there.",
                "行数の下は、そこでのデータの時刻です。",
            )
        )
    if not told.open_over_time:
        said.append(tell("No incident was seen.", "異常は見られませんでした。"))
    return sentences(*said)


def left_out(what: str, count: int) -> str:
    """That not all are listed."""
    texts = {
        "candidates": tell(
            f"{integer(count)} earlier candidates are not listed.", f"以前の候補 {integer(count)} 件は省略。"
        ),
        "at_work": tell(
            f"{integer(count)} earlier changes of what is at work are not listed.",
            f"以前の運用モデルの交代 {integer(count)} 件は省略。",
        ),
        "incidents": tell(
            f"{integer(count)} further incidents are not listed; the ledger has them: outlast live incidents list.",
            f"他の異常 {integer(count)} 件は省略（台帳にあります）。",
        ),
    }
    return texts[what]


def no_picture(told: Timeline) -> str:
    if told.rows == 0:
        return tell("No row has been answered yet.", "まだ一行も応答していません。")
    return tell(
        "No loss is known: targets have not come with the rows.", "損失は不明です。行と共に目標が届いていません。"
    )


def measure(told: Timeline) -> str:
    """What the vertical axis shows."""
    return terms.in_unit(terms.measure_name(told.measure), unit(told))


def seen(told: Timeline) -> str:
    """How many incidents there were: "12, 3 of which hurt"."""
    total, hurt = integer(sum(told.harms.values())), sum(told.harms.get(harm, 0) for harm in HARMFUL)
    if not hurt:
        return total
    verb = "hurts" if hurt == 1 else "hurt"
    return tell(f"{total}, {integer(hurt)} of which {verb}", f"{total}（うち害のあるもの {integer(hurt)}）")
