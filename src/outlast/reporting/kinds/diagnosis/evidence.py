"""The evidence for each cause: one plain sentence that needs no statistics, and the numbers that it rests on."""

from __future__ import annotations

from collections.abc import Callable

from outlast.reporting.kinds.diagnosis.sentences import words
from outlast.reporting.words import terms
from outlast.reporting.words.labels import labels
from outlast.reporting.words.language import sentences, spoken, tell
from outlast.reporting.words.numbers import estimate, integer, number, percent
from outlast.results import Cause

Facts = dict[str, float | int | str]


def plain(cause: Cause) -> str:
    """What was seen, in one sentence."""
    name, found, facts = cause.name, cause.found, cause.facts
    if name == "train_context":
        return _train_context(found, facts)
    if name == "unexplored_state" and found is False and _anywhere(facts):
        return _not_shown(facts)
    said = words.SEEN.get(f"{name}_{_answer(name, found, facts)}")
    if said is None:
        return terms.reason(cause.because[0]) if cause.because else ""
    return sentences(said, _where(facts)) if name == "unexplored_state" and found else said


def _answer(name: str, found: bool | None, facts: Facts) -> str:
    """Which of the sentences about a cause applies."""
    match name:
        case "attention_window" if found is not None and facts.get("parts") == 0:
            return "none"
        case "stale_context" if found is False and _anywhere(facts):
            return "anywhere"
        case "unexplored_state" if found is None and facts.get("why") == "no unchanged places":
            return "nowhere"
        case "unexplored_state" if found and facts.get("stationary") == "fails":
            return "stationary"
        case "unexplored_state" if found and _anywhere(facts):
            return "unchanged"
        case "age_harms" if not found:
            return "explained" if facts.get("explained") else "not"
        case "memory_limited" if found is not None and "gain" not in facts:
            return "by_age"
        case "harder_data" if found is False and float(facts.get("rise_low", 0.0)) > 0:
            return "somewhat"
    return "unknown" if found is None else "found" if found else "not"


def _anywhere(facts: Facts) -> bool:
    """Whether old states do worse also where the world stayed as it was."""
    return float(facts.get("alike_low", 0.0)) > 0


def numbers(cause: Cause, unit: str) -> list[str]:
    """The figures behind it; as the result says them where it carries none by name.

    Args:
        unit: of the losses that causes were asked in.
    """
    found = _numbers(cause.facts, unit)
    if found or spoken() != "en":
        return found
    return [terms.reason(each) for each in cause.because]


def _train_context(found: bool | None, facts: Facts) -> str:
    named, turns, side = int(facts.get("named", 0)), int(facts.get("turns", 0)), facts.get("side", "none")
    if "verdict" in facts:
        return words.SEEN["train_context_no_harm"]
    if not found or side == "none":
        return tell(
            f"The loss turns neither clearly before nor clearly after the {integer(named)} positions that were named.",
            f"損失の曲線は、指定された {integer(named)} 位置の前でも後でも、はっきりとは折れません。",
        )
    if side == "longer":
        return tell(
            f"The loss goes on falling long past the named {integer(named)} positions and rises only after about "
            f"{integer(turns)}: training seems to have used longer windows.",
            f"損失は指定の {integer(named)} 位置をはるかに超えて下がり続け、{integer(turns)} あたりの後で初めて"
            "上がります。もっと長い窓で学習されたようです。",
        )
    if turns <= 2:
        past = (
            tell("makes no use of the past", "過去を使っていません")
            if turns <= 1
            else tell(
                "uses of the past little more than the last position", "過去をほとんど直前の一位置しか使っていません"
            )
        )
        return tell(
            f"The model does best when it has hardly read anything, and the loss rises from there: it {past}.",
            f"モデルはほとんど何も読んでいないときに最も良く、損失はそこから上がります。つまり、{past}。",
        )
    return tell(
        f"The loss is lowest well before the named {integer(named)} positions and rises from there: training seems to "
        f"have used shorter windows, of about {integer(turns)}.",
        f"損失は指定の {integer(named)} 位置よりかなり前で最小になり、そこから上がります。"
        f"もっと短い、およそ {integer(turns)} 位置の窓で学習されたようです。",
    )


def _not_shown(facts: Facts) -> str:
    share, chance = (percent(float(facts.get(key, 0.0))) for key in ("whole_share", "null"))
    return tell(
        "An old state does worse than a young one even where the world stayed as it was, but that this comes from "
        f"states where training has none is not shown: {share} of the oldest lie there, {chance} would by chance.",
        "世界が変わらない所でも、古い状態は若い状態より悪くなります。ただし、学習が通らなかった場所にある状態の"
        f"ためだとは示せません。最も古い状態でそこにあるのは {share}、偶然なら {chance} です。",
    )


def _where(facts: Facts) -> str:
    """Which states lie where training has none."""
    share = percent(float(facts.get("where_share", facts.get("whole_share", 0.0))))
    where = str(facts.get("where", ""))
    if "counter_most" in facts:
        most, trained = (integer(round(float(facts[key]))) for key in ("counter_most", "counter_trained"))
        return tell(
            f"The part {where} counts up to {most}, and in training never further than {trained}.",
            f"部分 {where} は {most} まで数えますが、学習中は {trained} を超えません。",
        )
    by = {"behaviour": tell(", by what they do,", "ふるまいで見て")}.get(where, "")
    if where and where not in ("behaviour", "whole state"):
        by = tell(f", by the part {where},", f"部分 {where} で見て")
    return tell(
        f"Of the oldest states {share} lie{by} where training has none.",
        f"最も古い状態の {share} は、{by}学習が通らなかった場所にあります。",
    )


def _said(facts: Facts, key: str, unit: str) -> str:
    """ "+0.12 nats (+0.10 to +0.14, n = 63)"."""
    each = estimate(*(float(facts[name]) for name in (key, f"{key}_low", f"{key}_high")), signed=True)
    value, count = terms.with_unit(each.value, unit), integer(int(facts[f"{key}_n"]))
    return tell(f"{value} ({each.interval}, n = {count})", f"{value}（{each.interval}、n = {count}）")


def _numbers(facts: Facts, unit: str) -> list[str]:
    """Every figure that the facts hold, each in a sentence."""
    said = [tell_of(facts, unit) for key, tell_of in _FIGURES if key in facts]
    for key, space in (
        ("whole", tell("the whole state", "状態全体")),
        ("behaviour", tell("its behaviour", "ふるまい")),
    ):
        if f"{key}_share" in facts:
            said.append(_shares(facts, key, space))
    where = str(facts.get("where", ""))
    if where and where not in ("whole state", "behaviour") and "where_share" in facts:
        said.append(_outside(facts, where))
    return [each for each in said if each]


def _shares(facts: Facts, key: str, space: str) -> str:
    share, low, high, young, chance = (
        percent(float(facts[name])) for name in (f"{key}_share", f"{key}_low", f"{key}_high", f"{key}_young", "null")
    )
    count = integer(int(facts[f"{key}_n"]))
    return tell(
        f"Of the oldest states {share} ({low} to {high}, n = {count}) lie, by {space}, where training has none; of "
        f"young states of the same streams {young}, and by chance {chance}.",
        f"最も古い状態のうち、{space}で見て学習が通らなかった場所にあるのは {share}（{low} 〜 {high}、n = "
        f"{count}）です。同じ系列の若い状態では {young}、偶然なら {chance} です。",
    )


def _outside(facts: Facts, where: str) -> str:
    share, low, high = (percent(float(facts[f"where_{name}"])) for name in ("share", "low", "high"))
    count = integer(int(facts["where_n"]))
    return tell(
        f"By the part {where}, which carries the harm, {share} of the oldest states ({low} to {high}, n = {count}) lie "
        "where training has none.",
        f"害を担う部分 {where} で見て学習が通らなかった場所にあるのは、最も古い状態の {share}（{low} 〜 {high}、n = "
        f"{count}）です。",
    )


def _excess(facts: Facts, unit: str) -> str:
    each = estimate(*(float(facts[name]) for name in ("excess", "excess_low", "excess_high")), signed=True)
    return tell(
        f"Excess of the oldest states over young ones: {terms.with_unit(each.value, unit)} ({each.interval}).",
        f"若い状態に対する最も古い状態の超過：{terms.with_unit(each.value, unit)}（{each.interval}）。",
    )


def _alike(facts: Facts, unit: str) -> str:
    age, alike, changed = integer(int(facts["age"])), _said(facts, "alike", unit), _said(facts, "changed", unit)
    return tell(
        f"Excess over a young state at age {age}: where the data changed least {alike}, where they changed most "
        f"{changed}.",
        f"年齢 {age} での若い状態に対する超過は、データが最も変わらなかった所で {alike}、最も変わった所で {changed} "
        "です。",
    )


def _difference(facts: Facts, unit: str) -> str:
    each = _said(facts, "difference", unit)
    return tell(
        f"In float64 the loss falls at old ages by {each} more than at young ages.",
        f"float64 にすると、古い年齢での損失は若い年齢より {each} 多く下がります。",
    )


def _narrow(facts: Facts, unit: str) -> str:
    if not facts["narrow"]:
        return tell("No part of the state is kept in half precision.", "半精度で保たれる状態の部分はありません。")
    return tell(
        f"Parts of the state in half precision: {facts['narrow']}.", f"半精度で保たれる状態の部分：{facts['narrow']}。"
    )


def _window(facts: Facts, unit: str) -> str:
    each = _said(facts, "window", unit)
    return tell(
        f"With the attention windows of a young state, the old state loses {each} less.",
        f"注意の窓を若い状態のものに替えると、古い状態の損失は {each} 減ります。",
    )


def _rise(facts: Facts, unit: str) -> str:
    each = _said(facts, "rise", unit)
    if "early" in facts:
        early, late = integer(int(facts["early"])), integer(int(facts["late"]))
        return tell(
            f"States of the same young age lose {each} more from position {late} on than up to position {early}.",
            f"同じ若さの状態の損失は、位置 {late} から先では、位置 {early} までより {each} 大きくなります。",
        )
    turns = integer(int(facts["turns"]))
    return tell(
        f"The curve turns at about age {turns}, and rises by {each}.",
        f"曲線は年齢 {turns} 付近で折れ、{each} 上がります。",
    )


def _stationary(facts: Facts, unit: str) -> str:
    name = labels.BADGES.get(str(facts["stationary"]), str(facts["stationary"]))
    excess = facts.get("stationary_excess")
    more = "" if excess is None else terms.with_unit(number(float(excess), 3, signed=True), unit)
    return tell(
        f"Verdict on streams whose world does not change: {name.lower()}{f' (excess {more})' if more else ''}.",
        f"世界の変わらない系列での判定：{name}{f'（超過 {more}）' if more else ''}。",
    )


def _plateau(facts: Facts, unit: str) -> str:
    each = _said(facts, "plateau", "")
    return tell(
        f"Leaving old inputs out still moves the prediction by {each}.",
        f"古い入力を除いたときの予測の動き：{each}。",
    )


def _gain(facts: Facts, unit: str) -> str:
    share, low, high = (percent(float(facts[name]), signed=True) for name in ("gain", "gain_low", "gain_high"))
    count, reach = integer(int(facts["gain_n"])), integer(int(facts["reach"]))
    return tell(
        f"Inputs from before the training context, up to {reach} positions back, explain {share} ({low} to {high}, "
        f"n = {count}) of the variance of the errors on other streams, beyond recent inputs.",
        f"学習文脈長より前の入力（最大 {reach} 位置前）は、別の系列での誤差の分散のうち、最近の入力で説明できない分の "
        f"{share}（{low} 〜 {high}、n = {count}）を説明します。",
    )


_FIGURES: tuple[tuple[str, Callable[[Facts, str], str]], ...] = (
    ("excess", _excess),
    ("difference", _difference),
    ("narrow", _narrow),
    ("window", _window),
    ("alike", _alike),
    ("stationary", _stationary),
    ("plateau", _plateau),
    ("gain", _gain),
    ("rise", _rise),
)
